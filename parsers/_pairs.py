"""Lists of `{name, value}` objects as one object, and small moves that the JSON of APIs asks for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from parsers._contract import ABSENT, Operation, Rejected
from parsers._json import decode_text, is_text, peek, scalar_text, take, take_text

ODD: Final = "@odd"
"""Name, among the named ones, for the entries of a list that are no pair of a name and a value."""


def named(entries: Sequence[Any], name: str = "Name", values: Collection[str] = ("Value",)) -> dict[str, Any]:
    """A list of pairs as one object, so that each value has a path of its own; what is no pair is under `ODD`.

    An entry that has a name and no value is null. Of entries with one name the first is taken, the others are odd.
    """
    found: dict[str, Any] = {}
    odd = []
    for entry in entries:
        if isinstance(entry, dict) and is_text(entry.get(name)) and entry[name] not in {"", ODD, *found}:
            others = [key for key in entry if key != name]
            if not others or (len(others) == 1 and others[0] in values):
                found[entry[name]] = entry[others[0]] if others else None
                continue
        odd.append(entry)
    if odd:
        found[ODD] = odd
    return found


def take_named(
    source: dict[str, Any], member: str, name: str = "Name", values: Collection[str] = ("Value",)
) -> dict[str, Any] | None:
    """Replace a list of pairs in `source` by its object (see `named`), and return that; None where there is none."""
    entries = source.get(member)
    if not isinstance(entries, list) or not entries:
        return None
    source[member] = found = named(entries, name, values)
    return found


def named_properties(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The record with its lists of custom fields as one value per field, so that each is found by its name.

    `{"custom_fields": [{"id": "7", "content": "x"}]}` is `{"custom_fields.7": "x"}`. A list of any other shape, or one
    in which a name comes twice, stays as it is.
    """
    for name in names:
        properties = body.get(name)
        if not isinstance(properties, list) or not properties:
            continue
        named: dict[str, Any] = {}
        for entry in properties:
            label = next((label for label in ("key", "id") if isinstance(entry, dict) and _named(entry, label)), None)
            if label is None or len(entry) != 2 or f"{name}.{entry[label]}" in named.keys() | body.keys():
                break
            named[f"{name}.{entry[label]}"] = next(value for key, value in entry.items() if key != label)
        else:
            del body[name]
            body |= named
    return body


def _named(entry: dict[str, Any], label: str) -> bool:
    value = entry.get(label)
    return scalar_text(value) is not None if label == "id" else is_text(value)


def take_first(op: Operation, source: dict[str, Any], *wanted: tuple[str, tuple[str, ...]]) -> None:
    """Move texts of `source` to the operation's fields: (field, path) each; a field that is set already stays."""
    for field, path in wanted:
        if field not in op.fields:
            text = take_text(source, *path)
            if text is not None:
                op.fields[field] = text


def set_person(op: Operation, text: str | None, prefix: str = "user") -> None:
    """An account's name as the field it fits: an address is `email`, anything else `name`."""
    if text is not None:
        op.fields[f"{prefix}.{'email' if '@' in text else 'name'}"] = text


def take_point(source: dict[str, Any], holder: tuple[str, ...], lat: str, lon: str) -> dict[str, Any] | None:
    """Pop a place on earth: `{"lat": …, "lon": …}` as ECS wants it, where the source has two numbers in range."""
    y, x = peek(source, *holder, lat), peek(source, *holder, lon)
    fit = all(isinstance(part, int | float) and not isinstance(part, bool) for part in (y, x))
    if not fit or not (-90 <= y <= 90 and -180 <= x <= 180):
        return None
    take(source, *holder, lat)
    take(source, *holder, lon)
    return {"lat": y, "lon": x}


def drop_equal(holder: dict[str, Any], name: str, *known: Any) -> None:
    """Drop a member that says what is known already, so that nothing stands twice."""
    text = scalar_text(holder.get(name))
    if text is not None and any(text == scalar_text(value) for value in known if value is not ABSENT):
        del holder[name]


def inner_json(text: Any) -> dict[str, Any] | Rejected:
    """The JSON object in a text, as exports carry it in a column."""
    if not is_text(text):
        return Rejected("no text that holds JSON")
    value = decode_text(text)
    return value if isinstance(value, dict | Rejected) else Rejected("no JSON object")
