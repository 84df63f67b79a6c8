"""Records that a webhook sends whole: members as values by dotted name, custom fields, names of what changed. Pure."""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import UNKNOWN, Change
from parsers._json import Number, is_text

_CUSTOM: Final = frozenset({"custom_fields", "customFields"})
_DEEPEST: Final = 6
"""Objects deeper than this stay objects: their names would be longer than what they say."""


def flat(body: dict[str, Any]) -> dict[str, Any]:
    """`{"candidate": {"name": "Jo"}}` as `{"candidate.name": "Jo"}`: policy and search find a field by its name.

    Arrays and empty objects stay as they are. A dotted name that comes again has `#2`, `#3` … behind it.
    """
    values: dict[str, Any] = {}
    _fill(values, body, "", 0)
    return values


def _fill(values: dict[str, Any], body: dict[str, Any], path: str, depth: int) -> None:
    for name, member in body.items():
        dotted = f"{path}.{name}" if path else name
        if isinstance(member, dict) and member and depth < _DEEPEST:
            _fill(values, member, dotted, depth + 1)
            continue
        unique, count = dotted, 1
        while unique in values:
            count += 1
            unique = f"{dotted}#{count}"
        values[unique] = member


def split_custom_fields(body: dict[str, Any]) -> dict[str, Any]:
    """Put the bare values of custom fields in the place of their descriptions; returns what else was said, by path.

    `{"salary": {"name": …, "type": …, "value": 7}}` under `custom_fields` becomes `{"salary": 7}`, and a list of
    `{"id": …, "title": "Salary", "value": 7}` becomes `{"Salary": 7}`, so that a field is found by its name.
    """
    rest: dict[str, Any] = {}
    for name, member in body.items():
        said: Any = None
        if name in _CUSTOM and isinstance(member, dict):
            said = _described(member)
        elif name in _CUSTOM and member and isinstance(member, list) and all(map(_is_titled, member)):
            body[name] = _titled(member)
            said = member if any(member) else None
        elif isinstance(member, dict):
            said = split_custom_fields(member)
        if said:
            rest[name] = said
    return rest


def _is_titled(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry and is_text(entry.get("title")) and bool(entry["title"])


def _titled(fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Title -> value; a title that comes again has `#2`, `#3` … behind it."""
    values: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for field in fields:
        title = name = field.pop("title")
        while name in values:
            seen[title] = seen.get(title, 1) + 1
            name = f"{title}#{seen[title]}"
        values[name] = field.pop("value")
    return values


def _described(fields: dict[str, Any]) -> dict[str, Any]:
    said = {}
    for name, entry in fields.items():
        if isinstance(entry, dict) and "value" in entry:
            fields[name] = entry.pop("value")
            if entry:
                said[name] = entry
    return said


def named_only(names: Any) -> tuple[list[Change], list[Any]]:
    """`(changes, rest)` of a list of field names: nothing is known of a field but that it changed.

    A list that holds anything but names comes back as the rest, whole.
    """
    if not isinstance(names, list) or not all(is_text(name) and name.strip() for name in names):
        return [], names if isinstance(names, list) else [names]
    return [Change(name, UNKNOWN, UNKNOWN, derivation="new_only") for name in dict.fromkeys(names)], []


def full_name(first: Any, last: Any) -> str | None:
    """First and last name as people say them; `None` where neither is a text."""
    parts = [part.strip() for part in (first, last) if isinstance(part, str) and not isinstance(part, Number)]
    return " ".join(part for part in parts if part) or None
