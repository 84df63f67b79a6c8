"""Zoom: what its events mean, and the sentences of its operation logs. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Operation
from parsers._json import scalar_text, snake, take_text, take_time
from parsers._secrets import DROPPED, hidden
from parsers._urls import clean_text

UPDATES: Final = frozenset({"field.update", "config.update", "user.update", "group.update", "role.update"})
BY_THE_OBJECT: Final = frozenset({"user.signed_in", "user.signed_out"})
"""Events whose object is who did it."""
TELLS_NEW: Final = {"user.presence_status_updated": "presence_status"}
"""Events of an update that tell the new value of one member alone."""

_KNOWN: Final[dict[str, str]] = {
    "user.created": "user.create",
    "user.updated": "user.update",
    "user.personal_notes_updated": "user.update",
    "user.presence_status_updated": "field.update",
    "user.invitation_accepted": "user.enable",
    "user.activated": "user.enable",
    "user.deactivated": "user.disable",
    "user.disassociated": "user.delete",
    "user.deleted": "user.delete",
    "user.signed_in": "auth.login",
    "user.signed_out": "auth.logout",
    "group.created": "group.create",
    "group.updated": "group.update",
    "group.deleted": "group.delete",
    "group.member_added": "group.add",
    "group.member_deleted": "group.remove",
    "group.member_removed": "group.remove",
    "group.admin_added": "role.grant",
    "group.admin_deleted": "role.revoke",
    "role.created": "role.create",
    "role.updated": "role.update",
    "role.deleted": "role.delete",
    "role.member_added": "role.grant",
    "role.member_deleted": "role.revoke",
    "account.disassociated": "record.unlink",
    "app_deauthorized": "app.disconnect",
    "meeting.participant_joined": "session.start",
    "meeting.participant_left": "session.end",
    "webinar.participant_joined": "session.start",
    "webinar.participant_left": "session.end",
    "meeting.permanently_deleted": "record.purge",
    "webinar.permanently_deleted": "record.purge",
    "meeting.recovered": "record.restore",
    "webinar.recovered": "record.restore",
    "recording.completed": "record.create",
    "recording.trashed": "record.delete",
    "recording.deleted": "record.purge",
    "recording.recovered": "record.restore",
    "recording.renamed": "field.update",
}
_VERBS_OF_EVENTS: Final = {
    "settings_updated": "config.update",
    "created": "record.create",
    "updated": "field.update",
    "deleted": "record.delete",
    "registration_created": "record.create",
}


def described(event: str) -> str:
    """Our action for one of Zoom's events."""
    known = _KNOWN.get(event)
    if known is not None:
        return known
    return _VERBS_OF_EVENTS.get(event.rpartition(".")[2], "log.message")


# -- values -----------------------------------------------------------------------------------------------------------

_DEEPEST: Final = 8
_HOST_KEY: Final = "host_key"


def values(body: dict[str, Any], path: str = "", depth: int = 0) -> dict[str, Any]:
    """Pop scalars, lists of scalars and what is in objects, by dotted name."""
    found: dict[str, Any] = {}
    for name in [name for name in body if name]:
        value, dotted = body[name], f"{path}{name}"
        if isinstance(value, dict):
            if value and depth < _DEEPEST:
                found |= values(value, f"{dotted}.", depth + 1)
                if len(value) == 0:
                    del body[name]
        elif not isinstance(value, list) or not any(isinstance(member, dict | list) for member in value):
            found[dotted] = value
            del body[name]
    return found


def new_only(body: dict[str, Any], single: str | None) -> list[Change]:
    """Of an update without the state before: the one member that is known to be new, or the settings."""
    if single is not None and single in body:
        return [Change(single, UNKNOWN, body.pop(single), derivation="new_only")]
    settings = body.get("settings")
    if not isinstance(settings, dict):
        return []
    found = [
        Change(name, UNKNOWN, value, derivation="new_only") for name, value in values(settings, "settings.").items()
    ]
    if not settings:
        del body["settings"]
    return found


def hide_host_key(op: Operation, body: Any) -> None:
    """The number by which somebody becomes host of a meeting opens as much as a password."""
    op.changes = [
        change._replace(old=hidden(change.old), new=hidden(change.new)) if change.field == _HOST_KEY else change
        for change in op.changes
    ]
    for holder in (op.values, body):
        if isinstance(holder, dict) and holder.get(_HOST_KEY):
            holder[_HOST_KEY] = DROPPED


# -- operation logs ---------------------------------------------------------------------------------------------------

_VERBS: Final = {
    "add": "create", "create": "create", "batch add": "create", "delete": "delete", "batch delete": "delete",
    "remove": "delete", "update": "update", "edit": "update", "batch update": "update",
}  # fmt: skip
_CATEGORIES: Final = {
    "user": "user",
    "user_group": "group",
    "group": "group",
    "role": "role",
    "role_management": "role",
}
_SETTINGS: Final = frozenset({"account", "user_settings", "sub_account", "billing", "im", "security", "zoom_rooms"})
_PERSON: Final = re.compile(
    r"(Activate|Deactivate|Add|Delete|Edit|Update) User (\S{1,320}@\S{1,320}?)\s{0,9}"
).fullmatch
_THING: Final = re.compile(r"(?:Add|Create|Delete|Edit|Update) (?:Group|Role) (\S.{0,300})").fullmatch
_EMAIL: Final = re.compile(r"[^\s@]{1,99}@[^\s@]{1,250}").fullmatch
_SWITCH: Final = frozenset({"On", "Off"})
_LONGEST: Final = 20_000


def logged(item: dict[str, Any]) -> Operation:
    """One row of the operation logs report."""
    detail = clean_text(str(item.pop("operation_detail"))).strip()
    category, verb = take_text(item, "category_type"), take_text(item, "action")
    op = Operation(action="log.message", kind="operation", time=take_time(item, "time"))
    op.code = " ".join(text for text in (verb, category) if text) or None
    operator = scalar_text(item.get("operator"))
    if operator is not None:
        op.fields["user.email" if "@" in operator else "user.name"] = take_text(item, "operator")
        op.actor_type, op.actor_confidence = "user", "asserted"
    op.object_type = snake(category) if category else None
    op.object_type = _CATEGORIES.get(op.object_type or "", op.object_type)
    if verb is not None and verb.startswith("SCIM API"):
        op.interface = "api"
        verb = verb.partition("- ")[2] or verb
    op.action = _action(op.object_type or "", _VERBS.get((verb or "").strip().lower(), ""))
    op.raw = item
    head, op.changes = taken_apart(detail)
    head = head.strip()
    told = _target(op, head)
    if op.changes:
        return _section(op, head)
    if told:
        op.raw["operation_detail"] = detail
    else:
        op.message = detail
    if op.action in UPDATES:
        op.missing = CHANGE_NOT_TOLD
    return op


def _action(kind: str, verb: str) -> str:
    if not verb:
        return "log.message"
    if kind in {"user", "group", "role"}:
        return f"{kind}.{verb}"
    if kind in _SETTINGS:
        return f"config.{verb}"
    return "field.update" if verb == "update" else f"record.{verb}"


def _target(op: Operation, head: str) -> bool:
    """Whether the first words are a verb and a person, group or role, which becomes the object then."""
    person = _PERSON(head)
    if person is not None and op.object_type == "user":
        op.fields["user.target.email"] = op.object_name = person[2]
        if person[1] in {"Activate", "Deactivate"}:
            op.action = "user.enable" if person[1] == "Activate" else "user.disable"
        return True
    if op.object_type in {"group", "role"}:
        thing = _THING(head)
        if thing is not None:
            op.object_name = thing[1]
            if op.object_type == "group":
                op.fields["group.name"] = thing[1]
            return True
    return False


def _section(op: Operation, head: str) -> Operation:
    """Names of changes: a person's address before `from` is whom it is about; a section's name goes in front."""
    changes = []
    for change in op.changes:
        field = change.field
        if head == "Change Role" and _EMAIL(field):
            op.fields["user.target.email"] = op.object_name = field
            field, op.action = "role", "role.grant"
        elif op.object_name is None and head:
            field = f"{head} - {field}"
        if change.old in _SWITCH and change.new in _SWITCH:
            field = f"{field} on/off"
        changes.append(change._replace(field=field))
    op.changes = changes
    if op.action == "log.message":
        op.action = "config.update"
    return op


def taken_apart(detail: str) -> tuple[str, list[Change]]:
    """`(first words, changes)` of `Section  - Name: from X to Y - Name: from X to Y`.

    No changes where any part of it could be read in two ways.
    """
    parts = detail.split(" - ") if len(detail) <= _LONGEST else [detail]
    if len(parts) < 2:
        return detail, []
    found = []
    for part in parts[1:]:
        name, said, states = part.partition(": from ")
        pair = states.split(" to ")
        if not said or not name.strip() or len(pair) != 2:
            return detail, []
        found.append(Change(name.strip(), pair[0].strip(), pair[1].strip()))
    return parts[0], found
