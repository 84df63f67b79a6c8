"""JaVers, changes and snapshots as JSON: who changed which property of which entity, from what to what.

**What the source records.** For each commit its author, its time and properties of your own; for each entity or value
object what changed: the property, its left (old) and right (new) value, elements of lists and sets, entries of maps,
objects that came or went. It records no IP address, no session and no user agent, unless the application puts them
into the commit's properties. It sees what is committed to JaVers (`@JaversSpringDataAuditable`, `javers.commit`), no
SQL.

**How to get it out.** A scheduled job that asks for the changes since the last run and appends the answer as one line:

```java
Changes changes = javers.findChanges(QueryBuilder.anyDomainObject().from(since).withNewObjectChanges().build());
log.info(javers.getJsonConverter().toJson(changes));
```

Build JaVers with `.withPrettyPrint(false)`, so that an answer is one line. Snapshots (`findSnapshots`) are read too.

**One line in**: an array of changes, one change, `{"changes": […]}` (a diff, or with `commitMetadata` once for all of
them), an array of snapshots or `{"snapshots": […]}`.

```json
[{"changeType":"ValueChange","globalId":{"entity":"example.hr.Employee","cdoId":55},"commitMetadata":{"author":"kim","properties":[{"key":"ip","value":"192.0.2.10"}],"commitDate":"2026-02-03T11:30:00.123","commitDateInstant":"2026-02-03T10:30:00.123Z","id":3.00},"property":"salary","propertyChangeType":"PROPERTY_VALUE_CHANGED","left":90000,"right":120000}]
```

**What comes out.** The changes of one commit to one entity are one operation; `event.id` is the commit's id, which all
entities of the commit share.

- `ValueChange`, `ReferenceChange`: one `field.update`, of a reference the keys; a property that was added or removed has
  no old or no new value. `ListChange`, `ArrayChange`: one per element (`skills[1]`), `SetChange`: one per element under
  the property's name; `MapChange`: one per entry (`settings.locale`). Of a value object the owner is the record, and
  its fragment stands before the property (`address.city`).
- `NewObject`, `ObjectRemoved` of an entity: one `record.create` / `record.delete` with the values of its
  `InitialValueChange`s / `TerminalValueChange`s; of a value object the changes alone.
- A snapshot `INITIAL`, `TERMINAL`: `record.create`, `record.delete`; `UPDATE`: where the snapshot of the version before
  is on the same line, one `field.update` per property (derivation `reconstructed`), else one per name in
  `changedProperties` without the old value (`new_only`).
- Of the entity `User`: `user.create`, `user.delete`, `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
  `password.change` or `user.update`.

The author is `user.name`, digits or a UUID `user.id`, with an `@` `user.email`; the authors `unknown`, `anonymous` and
`unauthenticated`, which JaVers writes by itself, are nobody and stay in `trail.raw`. Commit properties named `ip`,
`remote_addr`, `session_id`, `user_agent` and their like are read, others are in `trail.raw`. The time is
`commitDateInstant`; older versions have only `commitDate`, in the server's zone: set the input's `timezone:` to it.

Missing: `trail.interface` always; `source.ip`, `trail.session.id`, `user_agent.original` where no commit property says
them; `user.id` where the author is a name or nobody; `trail.change.old` of a snapshot alone. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import Items, is_text, peek, read, scalar_text, take, take_ip, take_text, take_time
from parsers._rows import compare, each_row, number_of, row_action, set_object, set_person

FORMAT: Final = Format(
    name="javers",
    module="javers",
    vendor="JaVers",
    title="JaVers, changes and snapshots as JSON",
    missing=("user_agent.original", "trail.interface"),
    gives=Gives.of("who when ip session field old new"),
)
LITERALS: Final = (b'"globalId"',)

_NOBODY: Final = frozenset({"unknown", "anonymous", "unauthenticated"})
_PROPERTIES: Final = {
    "ip": "source.ip",
    "ip_address": "source.ip",
    "ipAddress": "source.ip",
    "remote_addr": "source.ip",
    "remoteAddr": "source.ip",
    "session_id": "trail.session.id",
    "sessionId": "trail.session.id",
    "user_agent": "user_agent.original",
    "userAgent": "user_agent.original",
    "request_id": "http.request.id",
    "requestId": "http.request.id",
}
_VERBS: Final = {"NewObject": "create", "ObjectRemoved": "delete"}
_SNAPSHOTS: Final = {"INITIAL": "create", "UPDATE": "update", "TERMINAL": "delete"}
_DEEPEST_OWNER: Final = 8


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Changes or snapshots, see the module's text."""
    found = read(record, "changes", "snapshots")
    if isinstance(found, Rejected):
        return found
    metadata = found.rest.pop("commitMetadata", None)
    for item in found.items:
        if isinstance(metadata, dict):
            item.setdefault("commitMetadata", _copied(metadata))
    if found.items and all(_is_snapshot(item) for item in found.items):
        return each_row(Items([{"snapshots": found.items}], found.rest), _snapshots)
    for position, item in enumerate(found.items):
        if not (is_text(item.get("changeType")) and _root(item.get("globalId"))):
            reason = "no change or snapshot of JaVers (changeType or state and commitMetadata, and globalId are needed)"
            return Rejected(reason if len(found.items) == 1 else f"item {position}: {reason}")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in found.items:
        groups.setdefault((str(peek(item, "commitMetadata", "id")), str(_root(item["globalId"]))), []).append(item)
    return each_row(Items([{"changes": group} for group in groups.values()], found.rest), _changes)


def _copied(metadata: dict[str, Any]) -> dict[str, Any]:
    """A commit that stands once for all changes, for one of them: reading takes its properties out."""
    properties = metadata.get("properties")
    if not isinstance(properties, list):
        return {**metadata}
    return {**metadata, "properties": [{**part} if isinstance(part, dict) else part for part in properties]}


def _root(value: Any) -> tuple[str, str] | None:
    """Type and id of the entity that a global id leads to."""
    for _ in range(_DEEPEST_OWNER):
        if not isinstance(value, dict):
            return None
        if is_text(value.get("entity")) and "cdoId" in value:
            return value["entity"], scalar_text(value["cdoId"]) or str(value["cdoId"])
        if not is_text(value.get("valueObject")):
            return None
        if "ownerId" not in value:
            return value["valueObject"], ""
        value = value["ownerId"]
    return None


def _commit(op: Operation, item: dict[str, Any]) -> None:
    """Who and when, from the commit of one change; of the other changes of a group it is the same."""
    op.id = take_text(item, "commitMetadata", "id")
    op.time = take_time(item, "commitMetadata", "commitDateInstant") or take_time(item, "commitMetadata", "commitDate")
    author = scalar_text(peek(item, "commitMetadata", "author"))
    if author is not None and author not in _NOBODY:
        set_person(op, take_text(item, "commitMetadata", "author"))
    properties = peek(item, "commitMetadata", "properties")
    if isinstance(properties, list):
        left = [entry for entry in properties if not _property(op, entry)]
        if left:
            item["commitMetadata"]["properties"] = left
        else:
            take(item, "commitMetadata", "properties")


def _property(op: Operation, entry: Any) -> bool:
    """Whether a commit property was read into a field."""
    if not isinstance(entry, dict) or entry.keys() != {"key", "value"} or not is_text(entry["key"]):
        return False
    target = _PROPERTIES.get(entry["key"])
    if target is None or target in op.fields:
        return False
    value = take_ip(entry, "value") if target == "source.ip" else take_text(entry, "value")
    if value is not None:
        op.fields[target] = value
    return "value" not in entry


def _object(op: Operation, item: dict[str, Any]) -> str:
    """Name the record, take its global id out of the change, and give what stands before the property's name."""
    fragments: list[str] = []
    path: tuple[str, ...] = ("globalId",)
    while is_text(peek(item, *path, "valueObject")) and isinstance(peek(item, *path, "ownerId"), dict):
        fragment = take_text(item, *path, "fragment")
        if fragment is not None:
            fragments.insert(0, fragment.replace("/", "."))
        path = (*path, "ownerId")
    label = take_text(item, *path, "entity") or take_text(item, *path, "valueObject")
    key = take_text(item, *path, "cdoId")
    if op.object_type is None:
        set_object(op, label)
        op.object_id = key
    return "".join(f"{fragment}." for fragment in fragments)


def _changes(group: dict[str, Any]) -> list[Operation]:
    items: list[dict[str, Any]] = group["changes"]
    op = Operation(action="field.update", kind="change", outcome="success")
    verb = "update"
    codes = []
    left = []
    for item in items[1:]:
        if "commitMetadata" in item and item["commitMetadata"] == items[0].get("commitMetadata"):
            del item["commitMetadata"]
    _commit(op, items[0])
    for item in items:
        whole = is_text(peek(item, "globalId", "entity"))
        prefix = _object(op, item)
        code = take_text(item, "changeType") or ""
        if code not in codes:
            codes.append(code)
        if code in _VERBS and whole:
            verb = _VERBS[code]
        op.changes += _change(item, prefix)
        if item:
            left.append(item)
    op.code = ",".join(codes) or None
    if verb != "update":
        side = "new" if verb == "create" else "old"
        op.values = {change.field: getattr(change, side) for change in op.changes}
        op.changes = []
    op.action = row_action(verb, op.object_type, op.changes)
    if left:
        op.raw = left[0] if len(items) == 1 else {"changes": left}
    return [op]


def _change(item: dict[str, Any], prefix: str) -> list[Change]:
    """The changes in one JaVers change; what was read is taken out of it."""
    name = scalar_text(item.get("property"))
    if name is None:
        return []
    how = item.get("propertyChangeType")
    field = prefix + name
    found: list[Change] = []
    if "left" in item or "right" in item:
        old, new = _side(item, "left"), _side(item, "right")
        if how == "PROPERTY_ADDED" and old is None:
            old = ABSENT
        if how == "PROPERTY_REMOVED" and new is None:
            new = ABSENT
        found.append(Change(field, old, new))
    for member, part in (("elementChanges", _element), ("entryChanges", _entry)):
        parts = item.get(member)
        if isinstance(parts, list):
            rest = []
            for entry in parts:
                change = part(entry, field) if isinstance(entry, dict) else None
                if change is None:
                    rest.append(entry)
                else:
                    found.append(change)
            if rest:
                item[member] = rest
            else:
                del item[member]
    if found:
        del item["property"]
        if how in ("PROPERTY_VALUE_CHANGED", "PROPERTY_ADDED", "PROPERTY_REMOVED"):
            del item["propertyChangeType"]
    return found


def _side(item: dict[str, Any], name: str) -> Any:
    """A value, or the key of the entity that a reference leads to; the entity's type stays in `raw`."""
    value = item.get(name)
    if isinstance(value, dict) and is_text(value.get("entity")) and scalar_text(value.get("cdoId")) is not None:
        return take(item, name, "cdoId")
    return take(item, name) if name in item else None


def _sides(entry: dict[str, Any], kind: str) -> tuple[Any, Any] | None:
    if "leftValue" in entry and "rightValue" in entry:
        return entry["leftValue"], entry["rightValue"]
    if "value" in entry and "Added" in kind:
        return ABSENT, entry["value"]
    if "value" in entry and "Removed" in kind:
        return entry["value"], ABSENT
    return None


def _element(entry: dict[str, Any], field: str) -> Change | None:
    sides = _sides(entry, str(entry.get("elementChangeType")))
    index = number_of(entry.get("index"))
    if sides is None:
        return None
    return Change(field if index is None or index < 0 else f"{field}[{index}]", *sides)


def _entry(entry: dict[str, Any], field: str) -> Change | None:
    sides = _sides(entry, str(entry.get("entryChangeType")))
    key = scalar_text(entry.get("key"))
    return None if sides is None or key is None else Change(f"{field}.{key}", *sides)


def _is_snapshot(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("state"), dict)
        and isinstance(item.get("commitMetadata"), dict)
        and _root(item.get("globalId")) is not None
        and ("changedProperties" in item or "type" in item or "initial" in item)
    )


def _snapshots(page: dict[str, Any]) -> list[Operation]:
    """Snapshots in the order of the line, each compared with the version before it where that is there too."""
    items: list[dict[str, Any]] = page["snapshots"]
    states = {}
    for item in items:
        version = number_of(item.get("version"))
        if version is not None:
            states[str(item["globalId"]), version] = {**item["state"]}
    return [_snapshot(item, states) for item in items]


def _snapshot(item: dict[str, Any], states: dict[tuple[str, int], dict[str, Any]]) -> Operation:
    op = Operation(action="field.update", kind="snapshot", outcome="success", raw=item)
    version = number_of(item.get("version"))
    previous = states.get((str(item["globalId"]), version - 1)) if version is not None else None
    whole = is_text(peek(item, "globalId", "entity"))
    _commit(op, item)
    prefix = _object(op, item)
    kind = item.get("type")
    if kind is None and isinstance(item.get("initial"), bool):
        kind = "INITIAL" if item["initial"] else "UPDATE"
    verb = _SNAPSHOTS.get(str(kind), "update")
    if "type" in item:
        op.code = take_text(item, "type")
    state = item.pop("state")
    if verb != "update" and whole:
        op.values = state
    elif verb != "update":  # a value object came or went: of its owner that is a change
        op.changes = [
            Change(prefix + name, ABSENT, value) if verb == "create" else Change(prefix + name, value, ABSENT)
            for name, value in state.items()
            if prefix + name
        ]
    elif previous is not None:
        changes, rest = compare(previous, state, derivation="reconstructed")
        op.changes = [change._replace(field=prefix + change.field) for change in changes]
        op.no_change = not changes
        if rest:
            item["state"] = rest
    else:
        names = item.get("changedProperties")
        known = [name for name in names if is_text(name) and name] if isinstance(names, list) else []
        op.changes = [
            Change(prefix + name, UNKNOWN, state.pop(name, ABSENT), derivation="new_only")
            for name in dict.fromkeys(known)
        ]
        op.values = state
    names = item.get("changedProperties")
    if isinstance(names, list) and {prefix + name for name in names if is_text(name)} <= {
        *(change.field for change in op.changes),
        *(prefix + name for name in op.values if verb != "update"),
    }:
        del item["changedProperties"]
    op.action = row_action(verb if whole else "update", op.object_type, op.changes)
    return op
