"""Make an event that is too large small enough, without losing what it is: foreign containers shrink first.

Pure. The input is already inside the profile but for its size and number of members (`canonical.conform`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

_FOREIGN: Final = ("raw", "values")
_FIRST: Final = ("@timestamp", "agent", "data_stream", "ecs", "event")


class Note(NamedTuple):
    """A value that did not fit the profile. `why`: `cut`, `dropped`, `surrogate`; `length`: bytes it had before."""

    path: str
    length: int
    why: str


class _Budget:
    """Bytes and members that may still be spent."""

    __slots__ = ("members", "octets")

    def __init__(self, octets: int, members: int) -> None:
        self.octets, self.members = octets, members

    def take(self, octets: int, members: int = 0) -> bool:
        if octets > self.octets or members > self.members:
            return False
        self.octets -= octets
        self.members -= members
        return True


def squeeze(event: dict[str, Any], notes: list[Note], *, max_bytes: int, max_members: int) -> dict[str, Any]:
    """The event within both limits; what was cut or dropped is appended to `notes`."""
    rest, foreign = _apart(event)
    cap = 32_000
    shrunk: dict[str, Any] = rest
    cuts: list[Note] = []
    while len(orjson.dumps(shrunk)) > max_bytes * 3 // 4 and cap > 64:
        # Halving the longest strings keeps every field; dropping fields is the last resort below.
        cap //= 2
        cuts = []
        shrunk = _capped(rest, cap, "", cuts)
    notes.extend(cuts)
    budget = _Budget(max_bytes, max_members)
    kept: dict[str, Any] = {}
    for key in (*(key for key in _FIRST if key in shrunk), *(key for key in shrunk if key not in _FIRST)):
        value = _within(shrunk[key], budget, key, notes) if budget.take(_size(key), 1) else None
        if value is None and shrunk[key] is not None:
            notes.append(Note(key, _size(shrunk[key]), "dropped"))
        else:
            kept[key] = value
    for name, value in foreign:
        if budget.take(_size(name) + _size("trail"), 2):
            part = _within(value, budget, f"trail.{name}", notes)
            trail = kept.get("trail")
            kept["trail"] = {**(trail if isinstance(trail, dict) else {}), name: part}
        else:
            notes.append(Note(f"trail.{name}", _size(value), "dropped"))
    return kept


def _apart(event: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """The event without its foreign containers, and those containers."""
    trail = event.get("trail")
    if not isinstance(trail, dict):
        return event, []
    own = {key: value for key, value in trail.items() if key not in _FOREIGN}
    return {**event, "trail": own}, [(name, trail[name]) for name in _FOREIGN if name in trail]


def _size(value: Any) -> int:
    """Bytes of JSON, with room for a comma or colon."""
    return len(orjson.dumps(value)) + 1


def _capped(value: Any, cap: int, path: str, cuts: list[Note]) -> Any:
    if isinstance(value, str):
        data = value.encode()
        if len(data) <= cap:
            return value
        cuts.append(Note(path, len(data), "cut"))
        return data[:cap].decode("utf-8", "ignore")
    if isinstance(value, dict):
        return {key: _capped(item, cap, f"{path}.{key}" if path else key, cuts) for key, item in value.items()}
    if isinstance(value, list):
        return [_capped(item, cap, f"{path}.{n}", cuts) for n, item in enumerate(value)]
    return value


def _within(value: Any, budget: _Budget, path: str, notes: list[Note]) -> Any:
    """As much of `value` as the budget allows; None where not even a part fits."""
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        if not budget.take(2):
            return None
        for key, item in value.items():
            below = f"{path}.{key}"
            part = _within(item, budget, below, notes) if budget.take(_size(key), 1) else None
            if part is None and item is not None:
                notes.append(Note(below, _size(item), "dropped"))
                if budget.octets < 16 or budget.members <= 0:
                    break  # one note for the first member that found no room stands for the rest of its object
            else:
                result[key] = part
        return result
    if isinstance(value, list):
        items: list[Any] = []
        if not budget.take(2):
            return None
        for n, item in enumerate(value):
            part = _within(item, budget, f"{path}.{n}", notes)
            if part is None and item is not None:
                notes.append(Note(f"{path}.{n}", _size(value) - _size(items), "dropped"))
                break
            items.append(part)
        return items
    if budget.take(_size(value)):
        return value
    if isinstance(value, str) and budget.octets > 200:
        length = len(value.encode())
        part = value.encode()[: (budget.octets - 100) // 6].decode("utf-8", "ignore")  # an escape is 6 bytes
        if budget.take(_size(part)):
            notes.append(Note(path, length, "cut"))
            return part
    return None
