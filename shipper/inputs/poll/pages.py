"""What an answer holds: JSON within bounds, and its items with their bytes as they came. Pure.

An item's bytes are cut out of the answer, not written anew: numbers keep their digits, and what one sees is what the
source sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import orjson

DEEPEST: Final = 64
"""Levels of JSON that are taken; no API of which we know has more than some ten."""
MOST_ITEMS: Final = 20_000


class UnusableError(Exception):
    """An answer that is not what it should be. Its text is ours alone and quotes nothing of the answer."""


class Item(NamedTuple):
    """One item of a page. `data`: JSON; `value`: the same decoded; `time`: s since the epoch, where it tells."""

    data: bytes
    value: Any
    id: str
    named: bool
    """Whether `id` is the source's, not a digest."""
    time: float | None


def decode(body: bytes) -> Any:
    """A JSON document. Raises `UnusableError` for what is none, or nests too deeply."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:  # half of a surrogate pair, and the like, that orjson refuses
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise UnusableError("the answer is not JSON") from None
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            one
            for holder in level
            for one in (holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ())
            if isinstance(one, dict | list)
        ]
        if not level:
            return value
    raise UnusableError(f"the answer nests deeper than {DEEPEST} levels")


def at(value: Any, path: str) -> Any:
    """The member at a dotted path, None where there is none. `""` is the value.

    A number is a place in a list, `-1` its last.
    """
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            # Names with dots in them are asked for first: `@odata.nextLink`.
            if path in value:
                return value[path]
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, list) and value and name == "-1":
            value = value[-1]
        else:
            return None
    return value


def text_at(value: Any, path: str) -> str | None:
    """The same as text: of a text, a whole number or a boolean; None for all else."""
    found = at(value, path)
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int) and found != "" else None


def items(body: bytes, value: Any, path: str, key: str | None = None) -> list[tuple[bytes, Any]]:
    """(bytes, decoded) of the items at `path` of a decoded answer. A single object there is one item, null is none.

    `path.*`: the members of the object at `path`, where an API has them by their ids; an empty list there is none.
    `key`: the member that an object there gets its name as, unless it has one.

    Raises `UnusableError` where there is nothing of that name.
    """
    if path.endswith(".*"):
        path = path.removesuffix(".*")
        members = at(value, path)
        if isinstance(members, dict):
            found = list(zip(_members(raw_at(body, path), members), members.values(), strict=True))
            return found if key is None else [_keyed(*one, key, name) for one, name in zip(found, members, strict=True)]
    found = at(value, path)
    if found is None and path and not (isinstance(value, dict) and path.rpartition(".")[2] in _holder(value, path)):
        raise UnusableError(f"the answer has no {path}")
    if found is None:
        return []
    raw = raw_at(body, path)
    if isinstance(found, dict):
        return [(raw, found)]
    if not isinstance(found, list):
        raise UnusableError(f"{path or 'the answer'} is neither a list nor an object")
    if len(found) > MOST_ITEMS:
        raise UnusableError(f"more than {MOST_ITEMS} items in one answer")
    try:
        parts = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        parts = []
    if len(parts) != len(found):
        return [(json.dumps(one).encode(), one) for one in found]
    return [(bytes(part).strip(), one) for part, one in zip(parts, found, strict=True)]


def _keyed(data: bytes, value: Any, key: str, name: str) -> tuple[bytes, Any]:
    """A member of an object with its name."""
    if not isinstance(value, dict) or key in value:
        return data, value
    return _with(data, {key: name}, None), {key: name, **value}


def _members(raw: bytes, members: dict[str, Any]) -> list[bytes]:
    """The bytes of an object's members."""
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        return [bytes(parts[name]).strip() for name in members]
    except (msgspec.DecodeError, RecursionError, KeyError):
        return [orjson.dumps(one) for one in members.values()]


def _holder(value: Any, path: str) -> Any:
    above = at(value, path.rpartition(".")[0]) if "." in path else value
    return above if isinstance(above, dict) else {}


def raw_at(body: bytes, path: str) -> bytes:
    """The bytes of the member at a path of names."""
    for name in path.split(".") if path else ():
        try:
            members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            return b""
        body = bytes(members.get(name, b""))
    return body.strip()


def item_of(
    data: bytes, value: Any, ids: Sequence[str], time: str | None, added: Mapping[str, str], wrap: str | None = None
) -> Item:
    """An item with its id and time. `added`: members that it gets; `wrap`: the list that it becomes the only one of."""
    named_in = {**added, **value} if added and isinstance(value, dict) else value
    parts = [text_at(named_in, path) for path in ids]
    named = bool(parts) and any(part is not None for part in parts)
    text = "\x1f".join(part or "" for part in parts) if named else blake2b(data, digest_size=16).hexdigest()
    key = text.encode("utf-8", "replace").decode()  # halves of surrogate pairs stand in no database
    if wrap is not None or added:
        data = _with(data, added, wrap)
    return Item(data, value, key, named, None if time is None else moment(at(value, time)))


def gathered(identity: str, member: str, name: str, rows: list[tuple[bytes, Any]]) -> tuple[bytes, Any]:
    """One object of the rows of a list: its id as `member`, the rows as `name`."""
    value = {member: identity, name: [row for _, row in rows]}
    inner = b"[" + b",".join(data for data, _ in rows) + b"]"
    return b"{" + orjson.dumps(member) + b":" + orjson.dumps(identity) + b"," + orjson.dumps(
        name
    ) + b":" + inner + b"}", value


def _with(data: bytes, added: Mapping[str, str], wrap: str | None) -> bytes:
    """The item's bytes with members before its own: of two with one name the last counts, which is the source's."""
    members = b",".join(orjson.dumps(name) + b":" + _scalar(value) for name, value in added.items())
    if wrap is not None:
        inner = orjson.dumps(wrap) + b":[" + data + b"]"
        return b"{" + members + (b"," if members else b"") + inner + b"}"
    rest = data[1:].lstrip()
    if not data.startswith(b"{"):
        return data
    return b"{" + members + (b"" if rest.startswith(b"}") else b",") + rest


def _scalar(text: str) -> bytes:
    """A filled-in text as JSON: a whole number as one, as ids often are."""
    whole = text.isascii() and text.isdigit() and (text == "0" or not text.startswith("0")) and len(text) < 16
    return text.encode() if whole else orjson.dumps(text)


def moment(value: Any) -> float | None:
    """A time in s since the epoch: ISO 8601, or a number of s, ms or us by its size; None for all else."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 17):
            try:
                when = datetime.fromisoformat(value.strip())
            except ValueError:
                return None
            return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    if seconds >= 1e14:
        seconds /= 1e6
    elif seconds >= 1e11:
        seconds /= 1e3
    return seconds if 0 < seconds < 2.5e11 else None
