"""What CEF and LEEF have in common: which values of an event a message carries, how they read as text, how grave it is.

Pure. The tables are data (mappings/siem); the two formats only differ in keys and in what has to be escaped.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mappings import Dialect, DialectKey
    from shipper.model import Event

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SORTED: Final = orjson.OPT_SORT_KEYS
PICTURES: Final = {**{code: chr(0x2400 + code) for code in range(32)}, 0x7F: "\u2421"}
"""For `str.translate`: control characters as the pictures of them (U+2400 and on), one character for each.

On the way to a SIEM they do not survive: daemons write `#011` or cut at them, and a line end ends the message.
"""
_control = re.compile(r"[\x00-\x1f\x7f]").search


class _Node:
    """What is wanted of one object of an event, by member name."""

    __slots__ = ("grades", "inner", "values")

    def __init__(self) -> None:
        self.inner: dict[str, _Node] = {}
        self.values: dict[str, list[tuple[int, int, Callable[[Any], str | None]]]] = {}
        """(place of the key in the table, rank among the fields that it takes, form)."""
        self.grades: dict[str, Mapping[str, int]] = {}

    def at(self, path: str) -> tuple[_Node, str]:
        """The node that holds the last member of a dotted path, made if need be, and that member's name."""
        *around, name = path.split(".")
        node = self
        for part in around:
            node = node.inner.setdefault(part, _Node())
        return node, name


class Table:
    """The table of one dialect, ready for events."""

    def __init__(self, dialect: Dialect) -> None:
        self._keys, self._base, self._root = dialect.keys, dialect.base_severity, _Node()
        for place, key in enumerate(dialect.keys):
            for rank, path in enumerate(key.fields):
                node, name = self._root.at(path)
                node.values.setdefault(name, []).append((place, rank, FORMS[key.form]))
        for path, grades in dialect.grades.items():
            node, name = self._root.at(path)
            node.grades[name] = grades

    def read(self, event: Event) -> tuple[list[tuple[DialectKey, str]], int]:
        """The keys that the event has with their texts, in order, and its severity."""
        # By the members of the event, of which there are fewer than rows in the table.
        found: list[tuple[int, int, str]] = []
        grade, waiting = self._base, [(self._root, event)]
        for node, members in waiting:
            for name, value in members.items():
                inner = node.inner.get(name)
                if inner is not None and isinstance(value, dict):
                    waiting.append((inner, value))
                for place, rank, form in node.values.get(name, ()):
                    text = form(value)
                    if text is not None:
                        found.append((place, rank, text))
                if name in node.grades and isinstance(value, str):
                    grade = max(grade, node.grades[name].get(value, 0))
        found.sort()
        pairs, last = [], -1
        for place, _, text in found:
            if place != last:
                pairs.append((self._keys[place], text))
                last = place
        return pairs, self._alert(event, grade)

    @staticmethod
    def _alert(event: Event, grade: int) -> int:
        """An alert's own severity, 0 to 100, counts more than that of its kind."""
        told = event.get("event")
        if isinstance(told, dict) and told.get("kind") == "alert":
            own = told.get("severity")
            if isinstance(own, int) and 0 <= own <= 100:
                return max(1, -(-own // 10))
        return grade


def plain(text: str) -> str:
    """`text` with pictures instead of control characters."""
    return text.translate(PICTURES) if _control(text) else text


def cut(text: str, length: int) -> str:
    """`text` in at most `length` bytes of UTF-8; what is cut says so, and how long it was."""
    octets = text.encode()
    if len(octets) <= length:
        return text
    mark = f"...[cut from {len(octets)} bytes]"
    return octets[: max(0, length - len(mark))].decode("utf-8", "ignore") + mark


def moment(text: object) -> datetime | None:
    """A time of ours, `2026-02-03T10:30:00.123Z`, in UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ",".join(_text(item) or "" for item in value) if value else None
    return orjson.dumps(value, option=_SORTED).decode()


def _milliseconds(value: Any) -> str | None:
    found = moment(value)
    return None if found is None else str((found - _EPOCH) // _MILLISECOND)


def _seconds(value: Any) -> str | None:
    if not isinstance(value, int):
        return None
    whole, rest = divmod(value, 1_000_000_000)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")


def _number(value: Any) -> str | None:
    return _text(value) if isinstance(value, int | float | str) else None


def _address4(value: Any) -> str | None:
    return value if isinstance(value, str) and ":" not in value else None


def _address6(value: Any) -> str | None:
    return value if isinstance(value, str) and ":" in value else None


FORMS: Final[dict[str, Callable[[Any], str | None]]] = {
    "text": _text,
    "milliseconds": _milliseconds,
    "seconds": _seconds,
    "number": _number,
    "address4": _address4,
    "address6": _address6,
}
"""How a value reads; None: it cannot be said in this form."""
