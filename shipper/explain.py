"""Where each field of an event comes from, found by trying: change one value of the source, see which fields follow.

That is what the format really does, not what a table says it does, so it holds for any format. Where a source value
cannot be changed without the line being refused, the value itself is looked for.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from parsers._contract import Rejected
from shipper.build import Lanes
from shipper.config import Config
from shipper.grouping import GroupFramer
from shipper.model import Record
from shipper.offline import events_of
from shipper.pipeline import Lane

_RECEIVED = 1_780_000_000.0
_FIXED = {
    "ecs.version": "the field table this agent was built with",
    "event.kind": "every event of a source is `event`; a line nobody understood is `pipeline_error`",
    "event.module": "the format",
    "event.dataset": "the format, and the kind of record",
    "event.created": "the moment of receipt",
    "trail.schema": "the version of this layout",
    "trail.time.precision": "whether @timestamp is the source's",
    "trail.missing": "what the source did not give",
    "message": "built from the other fields, after the privacy policy",
    "trail.sealed_fields": "digests of values withheld by the privacy policy",
    "event.original": "the line itself",
    "error.message": "why the format refused the line",
}
_FIXED_PREFIX = {
    "agent.": "this agent",
    "data_stream.": "event.action, and agent.namespace",
    "trail.origin.": "where the line stood and when it was read",
    "trail.operation.": "the record's own id or place, and its number of changes",
    "event.category": "event.action, by the table of actions",
    "event.type": "event.action, by the table of actions",
    "event.outcome": "event.action, by the table of actions",
    "related.": "every such value in the document",
    "trail.change.category": "the field policy",
    "trail.change.sensitivity": "the field policy",
    "trail.change.redaction": "the privacy policy",
}


class Row(NamedTuple):
    """One field of one event. `document` counts the line's events from 0."""

    document: int
    field: str
    value: Any
    source: str


def explain(config: Config, place: str, name: str, data: bytes) -> list[Row]:
    """Each field of each event that the first record of `data` yields, with its origin.

    `config` has one input, called `parse`.
    """
    lanes = Lanes(config, place, os.urandom)
    if name == "auto":
        name = lanes.judge("parse", data + b"\n").format
    lane = lanes.lane("parse", name)
    framer = GroupFramer(lanes.framing("parse", name))
    data = next(iter([*framer.feed(data), *framer.flush()]), Record(data, 0, 0)).data
    record = Record(data, 0, len(data) + 1)
    events, _ = events_of(lane, record, "line", _RECEIVED, None)
    flat = [dict(_leaves(event)) for event in events]
    followed = _follow(lane, data)
    rows = []
    for number, fields in enumerate(flat):
        for field, value in sorted(fields.items()):
            origin = _origin(
                field, value, followed.get((number, field)), followed.get((number, "event.code")), data, name
            )
            rows.append(Row(number, field, value, origin))
    return rows


def _follow(lane: Lane, data: bytes) -> dict[tuple[int, str], list[str]]:
    """(document, field) -> paths of the source that it follows."""
    try:
        source = orjson.loads(data)
    except ValueError:
        return {}
    # The line as it is written again, so that only what is changed on purpose differs.
    again = orjson.dumps(source)
    if isinstance(lane.parse(again, lane.context), Rejected):
        return {}
    flat = [dict(_leaves(e)) for e in events_of(lane, Record(again, 0, len(again) + 1), "line", _RECEIVED, None)[0]]
    found: dict[tuple[int, str], list[str]] = {}
    for path, value in _leaves(source):
        for changed in _other(value):
            variant = copy.deepcopy(source)
            _set(variant, path, changed)
            line = orjson.dumps(variant)
            if isinstance(lane.parse(line, lane.context), Rejected):
                continue
            events, _ = events_of(lane, Record(line, 0, len(line) + 1), "line", _RECEIVED, None)
            after = [dict(_leaves(event)) for event in events]
            if len(after) != len(flat):
                continue
            for number, fields in enumerate(flat):
                for field, old in fields.items():
                    if after[number].get(field) != old and path not in found.setdefault((number, field), []):
                        found[(number, field)].append(path)
            break
    return found


def _other(value: Any) -> Iterator[Any]:
    """Values near `value` that a format is likely to accept too."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield value + 1
    elif isinstance(value, str):
        digits = [at for at, char in enumerate(value) if char.isdigit()]
        if digits:
            at = digits[-1]
            yield value[:at] + str((int(value[at]) + 1) % 10 if value[at].isdecimal() else 1) + value[at + 1 :]
        yield value + "x"
        yield "x"
    else:
        yield "x"


def _origin(field: str, value: Any, followed: list[str] | None, code: list[str] | None, data: bytes, name: str) -> str:
    fixed = _FIXED.get(field)
    if fixed is None:
        fixed = next((text for prefix, text in _FIXED_PREFIX.items() if field.startswith(prefix)), None)
    if fixed is not None:
        return fixed
    if field == "event.action" and not followed and code:
        return "source: " + ", ".join(code) + ", by the table of actions"
    if followed:
        return "source: " + ", ".join(followed[:4]) + (f" and {len(followed) - 4} more" if len(followed) > 4 else "")
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    at = data.find(text.encode())
    if len(text) > 1 and at >= 0:
        return f"source: bytes {at}-{at + len(text.encode()) - 1} of the line"
    return f"the format {name}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths of the leaves; lists of scalars count as one leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(value, list) and path and not path.startswith(("event.", "related.", "trail.")) and value:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    else:
        yield path, value


def _set(target: Any, path: str, value: Any) -> None:
    """Set the leaf at a path that `_leaves` gave; keys that hold dots or brackets are found by trying longer names."""
    if isinstance(target, list):
        index, _, rest = path[1:].partition("]")
        rest = rest.removeprefix(".")
        if rest:
            _set(target[int(index)], rest, value)
        else:
            target[int(index)] = value
        return
    for key in target:
        if path == key:
            target[key] = value
            return
        rest = path[len(key) :]
        if path.startswith(key) and rest[:1] in {".", "["} and isinstance(target[key], (dict, list)):
            _set(target[key], rest.removeprefix("."), value)
            return
