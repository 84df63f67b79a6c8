"""Salesforce's change data capture: one event, several records, the fields that its header names. Pure."""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Operation, Rejected
from parsers._json import is_text, peek, scalar_text, snake, take, take_text, take_time

_SYSTEM: Final = frozenset({"LastModifiedDate", "LastModifiedById", "SystemModstamp"})
"""Change with every edit: no change that anybody made."""
_TYPES: Final = {
    "CREATE": "record.create",
    "UPDATE": "field.update",
    "DELETE": "record.delete",
    "UNDELETE": "record.restore",
}
_USER: Final = {
    "record.create": "user.create",
    "field.update": "user.update",
    "record.delete": "user.delete",
    "record.restore": "user.enable",
}
_RIGHTS: Final = frozenset({"ProfileId", "UserRoleId"})
_NOWHERE: Final = frozenset({"000000000000000AAA", "000000000000000"})
"""Stands in place of record ids where an event is about none."""
_INTERNAL: Final = "client=SfdcInternalAPI"


def read_capture(item: dict[str, Any], path: tuple[str, ...]) -> list[Operation] | Rejected:
    """The operations of one event; `path` leads to its body from the envelope that it came in."""
    body: dict[str, Any] = peek(item, *path) if path else item
    header = body.pop("ChangeEventHeader")
    ids = header.get("recordIds")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        return Rejected("ChangeEventHeader.recordIds: no list of ids")
    if not is_text(header.get("changeType")) or not is_text(header.get("entityName")):
        return Rejected("ChangeEventHeader: entityName and changeType are needed")
    del header["recordIds"]
    template = _common(header, body)
    gap = (template.code or "").startswith("GAP_")
    changes, values = _content(template, header, body)
    records = [one for one in ids if one not in _NOWHERE and not one.endswith("*")]
    if len(records) < len(ids):
        header["recordIds"] = [one for one in ids if one not in records]
    if header:
        body["ChangeEventHeader"] = header
    _drop_empty(item, path)
    key = template.fields.get("transaction.id")
    operations = []
    for one in records or [None]:
        op = Operation(action=template.action, kind="change_event", time=template.time, code=template.code)
        op.object_type, op.object_label, op.object_id = template.object_type, template.object_label, one
        op.actor_type, op.actor_confidence = template.actor_type, template.actor_confidence
        op.interface, op.fields, op.missing = template.interface, dict(template.fields), template.missing
        op.changes, op.values = list(changes), dict(values)
        if key is not None:
            sequence = template.fields.get("event.sequence")
            op.id = "/".join(str(part) for part in (key, sequence, one) if part is not None)
        if gap and not records:
            op.action = "log.message"
        operations.append(op)
    # What the event says once for all its records stands with the first.
    operations[0].raw = item
    return operations


def _common(header: dict[str, Any], body: dict[str, Any]) -> Operation:
    kind, entity = header.pop("changeType"), header.pop("entityName")
    op = Operation(action=_TYPES.get(kind.removeprefix("GAP_"), "log.message"), kind="change_event", code=kind)
    op.object_type, op.object_label = snake(entity) or None, entity or None
    op.time = take_time(header, "commitTimestamp")
    user = take_text(header, "commitUser")
    if user is not None:
        op.fields["user.id"] = user
        op.actor_type, op.actor_confidence = "user", "asserted"
    key = take_text(header, "transactionKey")
    if key is not None:
        op.fields["transaction.id"] = key
    sequence = header.get("sequenceNumber")
    if isinstance(sequence, int) and not isinstance(sequence, bool) and 0 <= sequence < 2**53:
        op.fields["event.sequence"] = header.pop("sequenceNumber")
    origin = header.get("changeOrigin")
    if isinstance(origin, str) and "/api/" in origin and "client=" in origin and _INTERNAL not in origin:
        op.interface = "api"
    editor = scalar_text(body.get("LastModifiedById"))
    if editor is not None:
        op.fields["trail.object.last_editor.id"] = take_text(body, "LastModifiedById")
    if op.object_type == "user":
        op.action = _USER.get(op.action, op.action)
    return op


def _content(op: Operation, header: dict[str, Any], body: dict[str, Any]) -> tuple[list[Change], dict[str, Any]]:
    """The changes or the values; takes away what they hold, and null where the header says that nothing changed."""
    kind = op.code or ""
    named = [_names(header, name) for name in ("changedFields", "nulledFields", "diffFields")]
    if kind == "UPDATE":
        changed, nulled, patched = named
        if not changed and not nulled:  # the older form, whose body holds the changed fields and no others
            changed = [name for name in body if name not in _SYSTEM]
        changes = []
        for name in dict.fromkeys((*changed, *nulled)):
            if name not in _SYSTEM and name:
                new = None if name in nulled else UNKNOWN if name in patched else _value(body, name)
                if name not in patched:
                    take(body, *name.split("."))
                changes.append(Change(name, UNKNOWN, new, derivation="new_only"))
        if op.object_type == "user":
            op.action = _user_action(changes)
        _drop_nulls(body)
        return changes, {}
    if kind in {"CREATE", "UNDELETE"}:
        _drop_nulls(body)
        values = {}
        for name in [name for name in body if name and name not in _SYSTEM]:
            value = body.pop(name)
            if isinstance(value, dict) and all(value):
                values.update({f"{name}.{part}": inner for part, inner in value.items()})
            else:
                values[name] = value
        return [], values
    if kind == "GAP_CREATE":
        op.missing = ("trail.values",)
    return [], {}


def _names(header: dict[str, Any], member: str) -> list[str]:
    listed = header.get(member)
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return []
    del header[member]
    return listed


def _value(body: dict[str, Any], name: str) -> Any:
    value = peek(body, *name.split("."))
    return UNKNOWN if value is ABSENT else value


def _user_action(changes: list[Change]) -> str:
    if any(change.field in _RIGHTS for change in changes):
        return "role.grant"
    active = next((change.new for change in changes if change.field == "IsActive"), UNKNOWN)
    if isinstance(active, bool):
        return "user.enable" if active else "user.disable"
    return "user.update"


def _drop_nulls(holder: dict[str, Any]) -> None:
    """Fields that did not change, or were not set, may come as null: they say nothing."""
    for name in list(holder):
        value = holder[name]
        if isinstance(value, dict) and value:
            value = {part: inner for part, inner in value.items() if inner is not None} or None
            holder[name] = value
        if value is None:
            del holder[name]


def _drop_empty(item: dict[str, Any], path: tuple[str, ...]) -> None:
    for end in range(len(path), 0, -1):
        if peek(item, *path[:end]) == {}:
            take(item, *path[:end])
