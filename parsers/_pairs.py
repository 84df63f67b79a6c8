"""Lists of `{name, value}` objects, and the secrets that hide in them, in nested values and in URLs. Pure.

`hide_secrets` goes by the names of members. In `{"Name": "Password", "Value": "x"}` the name is itself a value, and
what a parser puts into `values` or a change may be an object with a secret deep inside: `tidy` looks there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from parsers._contract import ABSENT, SECRET, Operation, Rejected
from parsers._json import decode, is_text, peek, scalar_text, take, take_text
from parsers._secrets import DROPPED, is_secret

ODD: Final = "@odd"
"""Name, among the named ones, for the entries of a list that are no pair of a name and a value."""

_NAMES: Final = ("Name", "name", "Key", "key", "displayName", "parameterKey", "ParameterKey")
_VALUES: Final = ("Value", "value", "NewValue", "OldValue", "newValue", "oldValue", "parameterValue", "ParameterValue")
_DEEPEST: Final = 64

_TELLING: Final = (
    r"[A-Za-z0-9_.%-]{0,60}"
    r"(?:token|code|password|passwd|pwd|secret|signature|assertion|samlresponse|samlrequest|ticket|key|sig)"
)
_in_url: Final = re.compile(rf"([?&;#]{_TELLING}=)[^&;#\s\"'<>]+", re.IGNORECASE).sub
_login_in_url: Final = re.compile(r"(://[^/:@\s]{0,200}:)[^/@\s]{1,500}@").sub


def clean_url(text: str) -> str:
    """A URL, or a text that holds some, without the values of parameters that are tokens, codes, keys or passwords."""
    if "=" in text:
        text = _in_url(rf"\1{DROPPED}", text)
    return _login_in_url(rf"\1{DROPPED}@", text) if "@" in text else text


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
    try:
        value = decode(text.encode())
    except UnicodeEncodeError:
        return Rejected("not UTF-8")
    if isinstance(value, Rejected):
        return value
    return value if isinstance(value, dict) else Rejected("no JSON object")


def tidy(op: Operation, also: Collection[str] = ()) -> Operation:
    """Drop secrets in pairs, deep in values, and in members whose lower-case name is in `also`."""
    _clean(op.raw, also, 0)
    _clean(op.values, also, 0)
    for position, change in enumerate(op.changes):
        if change.field.rpartition(".")[2].lower() in also:
            op.changes[position] = change._replace(old=_dropped(change.old), new=_dropped(change.new))
        else:
            _clean(change.old, also, 0)
            _clean(change.new, also, 0)
    return op


def _dropped(value: Any) -> Any:
    return SECRET if value and isinstance(value, str | int | float | list | dict) else value


def _clean(holder: Any, also: Collection[str], depth: int) -> None:
    if depth > _DEEPEST:
        return
    if isinstance(holder, list):
        for value in holder:
            if isinstance(value, dict | list):
                _clean(value, also, depth + 1)
        return
    if not isinstance(holder, dict):
        return
    for key in _NAMES:
        name = holder.get(key)
        if isinstance(name, str) and (is_secret(name) or name.lower() in also):
            for other in _VALUES:
                if holder.get(other) not in (None, "", [], {}):
                    holder[other] = DROPPED
    for name, value in holder.items():
        if isinstance(value, dict | list):
            if value and (name.lower() in also or (isinstance(value, list) and is_secret(name))):
                holder[name] = DROPPED
            else:
                _clean(value, also, depth + 1)
        elif isinstance(value, str) and value and (name.lower() in also or is_secret(name)):
            holder[name] = DROPPED
