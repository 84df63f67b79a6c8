"""Snapshot diff, the differ's own records: what changed in a record between two looks at it.

**What the source records.** Nothing: that is why there is a differ. Inputs that poll a source compare each record with
what they saw of it before, and write what differs in this format; so a change has its old and its new value, and the
two moments between which it happened. Who made it is not known, unless the source's own history names them later.

**How to get it out.** Nothing has to be done: inputs of type `poll` make these records themselves. A program of yours
that compares states may write them too, one a line.

**One line in**: one operation on one record.

```json
{"snapshot_diff":1,"module":"keap","id":"contact/991@2026-03-01T14:10:00.000Z.7","action":"field.update","object":{"type":"contact","id":"991"},"time":{"text":"2026-03-01T14:08:12Z","layout":"iso8601"},"last_editor":{"id":"40077"},"changed_after":"2026-03-01T14:05:00.000Z","changed_before":"2026-03-01T14:10:00.000Z","changes":[{"field":"owner_id","old":"60001","new":"60017"},{"field":"tag_ids","element":true,"new":"88"}]}
```

| member | what it is | goes to |
|---|---|---|
| `snapshot_diff` | `1`, the version of this layout | - |
| `id` | of the operation | `event.id`, `trail.operation.id` |
| `module` | the source, as the option `source` names it | - |
| `action` | `field.update` `record.create` `record.delete` `record.restore` `change.attributed`, or another of ours | `event.action` |
| `kind` | second half of `event.dataset`; absent: `diff` | `event.dataset` |
| `object` | the record: `type`, `id`, `name`, `label` (the word for its type in messages), `url`, `owner_id` | `trail.object.*` |
| `time` | the source's own time of the update, or of the creation: `text` and `layout` | `@timestamp`, where it lies within the bounds |
| `changed_after`, `changed_before` | the bounds: when the record was looked at before, and now; a change may have its own | `trail.change.*`, of a whole record `trail.time.after`, `.before` |
| `last_editor` | whom the source names as last editor of the record: `id`, `name`; not the author of each change | `trail.object.last_editor.*` |
| `creator` | who made the record, of one that was created: `id`, `name` | `user.id`, `user.full_name` |
| `changes` | a list: `field`, `old`, `new` (absent: there was none, there is none), `derivation` (absent: `snapshot_diff`), `element` (true: one value of a set, such as a tag, that came or went), `label`, `old_label`, `new_label`; `old_state`, `new_state`: `unknown` or `secret` | `trail.change.*` |
| `values` | the record, of one that was created, deleted or restored | `trail.values` |
| `attribution` | of `change.attributed`: `event_id`, `operation_id`, `field` of the changes whose author this names | `trail.attribution.*` |
| `actor` | `type`, `confidence` | `trail.actor.*` |
| `fields` | further fields by their names, as the source's own record gave them | themselves |
| `code` `outcome` `category` `type` `interface` `missing` `message` `raw` | as the source's own record gave them | `event.*`, `trail.*` |

Every other member is kept in `trail.raw`. A member of a wrong type refuses the record and names the member.

**What comes out.** One document per changed field with `derivation: snapshot_diff`, `trail.time.precision: bounded`, the
bounds, and a message that says so; values that lived only between two looks were not seen. A record that was created,
deleted or restored is one document with its values. `change.attributed` is one document that names the author of
changes that were told before; it holds no `trail.change`, so that changes are counted once.

Missing: `user.id`, `source.ip`, `trail.session.id` and `trail.interface`, where the source's own record does not give
them. Options: `source`, the name of the format of the source (`keap`), whose module, vendor and field policy hold for
the events.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import (
    ABSENT,
    ACTORS,
    CONFIDENCES,
    INTERFACES,
    OUTCOMES,
    SECRET,
    UNKNOWN,
    Change,
    Context,
    Format,
    Gives,
    Operation,
    Rejected,
    Time,
)
from parsers._json import Number, decode, each, is_text, scalar_text, take, take_text, unwrap
from parsers._secrets import is_secret
from parsers._snapshots import flat
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="snapshot_diff",
    module="snapshot_diff",
    vendor="the source",
    title="Snapshot diff, what inputs of type `poll` find by comparing records",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
    options={"source": "the name of the format of the source that was looked at"},
    gives=Gives.of("field old new", inferred="who when"),
)
LITERALS: Final = (b'"snapshot_diff"',)

_OBJECTS: Final = ("object", "time", "last_editor", "creator", "values", "attribution", "actor", "fields", "raw")
_TEXTS: Final = (
    (("object", "url"), "trail.object.url"),
    (("object", "owner_id"), "trail.object.owner_id"),
    (("last_editor", "id"), "trail.object.last_editor.id"),
    (("last_editor", "name"), "trail.object.last_editor.name"),
)
_LISTED: Final = (
    (("attribution", "event_id"), "trail.attribution.event_id"),
    (("attribution", "operation_id"), "trail.attribution.operation_id"),
    (("attribution", "field"), "trail.attribution.field"),
)
_WHOLE: Final = frozenset({"record.create", "record.delete", "record.restore"})
_DERIVATIONS: Final = frozenset({"native", "snapshot_diff", "new_only", "reconstructed"})
_STATES: Final = {"unknown": UNKNOWN, "secret": SECRET}


class _WrongTypeError(Exception):
    """A member of a wrong type; its text names the member."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One record of the differ, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    found = unwrap(value) if isinstance(value, dict) else Rejected("no object")
    source = ctx.options.get("source")
    return each(found, lambda item: _one(item, source))


def _one(item: dict[str, Any], source: Any) -> list[Operation] | Rejected:
    if "snapshot_diff" not in item:
        return Rejected("no snapshot_diff")
    if scalar_text(item["snapshot_diff"]) != "1":
        return Rejected("snapshot_diff: only version 1 is known")
    try:
        return [_operation(item, source)]
    except _WrongTypeError as error:
        return Rejected(str(error))


def _operation(item: dict[str, Any], source: Any) -> Operation:
    del item["snapshot_diff"]
    for name in _OBJECTS:
        if item.get(name, {}) is None:
            del item[name]
        elif not isinstance(item.get(name, {}), dict):
            raise _WrongTypeError(f"{name}: no object")
    action = _text(item, "action")
    if action is None:
        raise _WrongTypeError("action: missing")
    op = Operation(action=action, kind=_text(item, "kind") or "diff", id=_text(item, "id"))
    if item.get("module") == source:
        item.pop("module", None)
    op.code, op.outcome = _text(item, "code"), _word(item, OUTCOMES, "outcome")
    op.interface = _word(item, INTERFACES, "interface")
    op.message = _text(item, "message")
    op.category, op.type = _names(item, "category"), _names(item, "type")
    op.missing = _names(item, "missing")
    op.object_type, op.object_id = take_text(item, "object", "type"), take_text(item, "object", "id")
    op.object_name, op.object_label = take_text(item, "object", "name"), take_text(item, "object", "label")
    op.time = _time(item)
    op.fields = item.pop("fields", {})
    secret = {name: op.fields.pop(name) for name in list(op.fields) if is_secret(name.rpartition(".")[2])}
    if secret:
        item["fields"] = secret  # where `each` drops its values
    for path, target in _TEXTS:
        text = take_text(item, *path)
        if text is not None:
            op.fields[target] = text
    for path, target in _LISTED:
        texts = _names(item, *path)
        if texts:
            op.fields[target] = list(texts)
    _who(op, item)
    bounds = _text(item, "changed_after"), _text(item, "changed_before")
    sets: set[str] = set()
    op.changes = _changes(item, bounds, sets)
    op.sets = frozenset(sets)
    if action in _WHOLE and bounds[1] is not None:
        op.bounds = bounds
    op.values = flat(item.pop("values", {}))
    clean_urls(op.values)
    raw = item.pop("raw", {})
    op.raw = {**item, **raw}
    return op


def _who(op: Operation, item: dict[str, Any]) -> None:
    op.actor_type = _word(item, ACTORS, "actor", "type") or "unknown"
    op.actor_confidence = _word(item, CONFIDENCES, "actor", "confidence") or "unknown"
    for name, target in (("id", "user.id"), ("name", "user.full_name")):
        creator = take_text(item, "creator", name)
        if creator is not None:
            op.fields[target] = creator
            if op.actor_type == "unknown":
                op.actor_type, op.actor_confidence = "user", "asserted"


def _text(item: dict[str, Any], name: str) -> str | None:
    value = item.get(name)
    if value is not None and (not isinstance(value, str) or isinstance(value, Number)):
        raise _WrongTypeError(f"{name}: no text")
    text = take_text(item, name)
    if text is None:
        item.pop(name, None)  # null or blank: not given
    return text


def _word(item: dict[str, Any], known: frozenset[str], *path: str) -> str | None:
    """A word of ours; any other text stays where it is, for `raw`."""
    text = _text(item, *path) if len(path) == 1 else take_text(item, *path)
    if text is None or text in known:
        return text
    place = item
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = text
    return None


def _names(item: dict[str, Any], *path: str) -> tuple[str, ...]:
    listed = take(item, *path)
    if listed is ABSENT or listed is None:
        return ()
    if not isinstance(listed, list) or not all(is_text(one) and one for one in listed):
        raise _WrongTypeError(f"{'.'.join(path)}: no list of texts")
    return tuple(listed)


def _time(item: dict[str, Any]) -> Time | None:
    told = item.get("time")
    if not told:
        item.pop("time", None)
        return None
    text, layout = told.get("text"), told.get("layout")
    if not is_text(layout) or not layout or isinstance(text, bool) or not isinstance(text, str | int | float):
        raise _WrongTypeError("time: neither text nor number with a layout")
    del told["text"], told["layout"]
    if not told:
        del item["time"]
    return Time(str(text) if isinstance(text, Number) else text, layout)


def _changes(item: dict[str, Any], bounds: tuple[str | None, str | None], sets: set[str]) -> list[Change]:
    """`changes`; the fields of those that are `element` are put into `sets`."""
    listed = item.pop("changes", None)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise _WrongTypeError("changes: no list")
    found, left = [], []
    for position, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise _WrongTypeError(f"changes[{position}]: no object")
        try:
            change = _change(entry, bounds)
            found.append(change)
            if entry.get("element") is True:
                del entry["element"]
                sets.add(change.field)
        except _WrongTypeError as error:
            raise _WrongTypeError(f"changes[{position}].{error}") from None
        left.append(entry)
    if any(left):
        item["changes"] = left  # what nothing here carries, at its position
    return found


def _change(entry: dict[str, Any], bounds: tuple[str | None, str | None]) -> Change:
    name = _text(entry, "field")
    if name is None:
        raise _WrongTypeError("field: missing")
    derivation = _text(entry, "derivation") or "snapshot_diff"
    if derivation not in _DERIVATIONS:
        raise _WrongTypeError("derivation: no word of ours")
    change = Change(
        name,
        _value(entry, "old"),
        _value(entry, "new"),
        _text(entry, "label"),
        _text(entry, "old_label"),
        _text(entry, "new_label"),
        derivation,
        _text(entry, "changed_after"),
        _text(entry, "changed_before"),
    )
    if derivation == "snapshot_diff" and change.changed_before is None:
        return change._replace(changed_after=bounds[0], changed_before=bounds[1])
    return change


def _value(entry: dict[str, Any], side: str) -> Any:
    state = _text(entry, f"{side}_state")
    if state is None:
        return entry.pop(side, ABSENT)
    if state not in _STATES:
        raise _WrongTypeError(f"{side}_state: no word of ours")
    return _STATES[state]
