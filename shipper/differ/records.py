"""The differ's records: one JSON object for each operation, read by the format `snapshot_diff`. Pure.

Its members are described in parsers/snapshot_diff.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Time
from shipper.clock import rfc3339
from shipper.differ.snapshots import dumps

VERSION = 1


class Named(NamedTuple):
    """An account as a source names it."""

    id: str | None = None
    name: str | None = None

    def told(self) -> dict[str, str]:
        """What is known of it."""
        return {key: value for key, value in self._asdict().items() if value}


class Found(NamedTuple):
    """A field that differs; `element`: one value of a set. `after`, `before`: its bounds in s since the epoch."""

    field: str
    old: Any
    new: Any
    after: float | None
    before: float
    element: bool = False


def moment(seconds: float | None, *, up: bool = False) -> str | None:
    """A bound as text in milliseconds; `up`: the next one, so that bounds stay bounds."""
    if seconds is None:
        return None
    return rfc3339(math.ceil(seconds * 1000) / 1000 if up else seconds)


def time_of(time: Time | None) -> dict[str, Any] | None:
    """A time of the source as a member of a record."""
    return None if time is None else {"text": time.text, "layout": time.layout}


def record(source: str, identity: str, members: Mapping[str, Any]) -> bytes:
    """One record. Members that are None or empty are left out; `identity`: the operation's id."""
    told = {name: value for name, value in members.items() if value not in (None, (), [], {}, "")}
    return dumps({"snapshot_diff": VERSION, "module": source, "id": identity, **told})


def changes(found: Iterable[Found], after: float | None, before: float) -> list[dict[str, Any]]:
    """`changes` of an operation with these bounds."""
    entries = []
    for one in found:
        entry: dict[str, Any] = {"field": one.field, "element": True} if one.element else {"field": one.field}
        for side in ("old", "new"):
            value = getattr(one, side)
            if value is not ABSENT:
                entry[side] = value
        if (one.after, one.before) != (after, before):
            entry["changed_after"], entry["changed_before"] = moment(one.after), moment(one.before, up=True)
        entries.append(entry)
    return entries


def members_of(op: Operation) -> dict[str, Any]:
    """An operation of another format as members of a record, all but its id and its changes."""
    return {
        "kind": op.kind,
        "action": op.action,
        "code": op.code,
        "outcome": op.outcome,
        "category": list(op.category),
        "type": list(op.type),
        "time": time_of(op.time),
        "object": {
            name: value
            for name, value in (
                ("type", op.object_type),
                ("id", op.object_id),
                ("name", op.object_name),
                ("label", op.object_label),
            )
            if value
        },
        "actor": {"type": op.actor_type, "confidence": op.actor_confidence},
        "interface": op.interface,
        "fields": op.fields,
        "values": op.values,
        "raw": op.raw,
        "missing": list(op.missing),
        "message": op.message,
    }


def native_changes(changed: Iterable[Change]) -> list[dict[str, Any]]:
    """Changes as a source told them."""
    entries = []
    for one in changed:
        entry: dict[str, Any] = {"field": one.field, "derivation": one.derivation}
        for side in ("old", "new"):
            value = getattr(one, side)
            if value is UNKNOWN or value is SECRET:
                entry[f"{side}_state"] = "unknown" if value is UNKNOWN else "secret"
            elif value is not ABSENT:
                entry[side] = value
        for name in ("label", "old_label", "new_label", "changed_after", "changed_before"):
            value = getattr(one, name)
            if value is not None:
                entry[name] = value
        entries.append(entry)
    return entries
