"""Two states of a record, compared; and JSON values that hide in texts. Pure.

A source that gives a whole row before and after (history tables, change data capture) changed only what differs.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from parsers._contract import ABSENT, Change, Rejected
from parsers._json import Number, decode_text, same


def diff(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    sets: Container[str] = (),
    skip: Container[str] = (),
    derivation: str = "native",
    old_is_whole: bool = True,
) -> list[Change]:
    """What differs between two states of one record, in the order of `new`, then what only `old` has.

    Members of an object have a dotted path (`address.city`), elements of an array a position (`emails[1].value`).
    Arrays whose member is named in `sets` are compared as sets and change as a whole. Members in `skip` are left out.
    With `old_is_whole` false a member that `old` has not is not compared: only what `old` names has changed.
    """
    found: list[Change] = []
    for name, value in new.items():
        if name in skip or (not old_is_whole and name not in old):
            continue
        _compare(found, name, old.get(name, ABSENT), value, sets, derivation)
    for name, value in old.items():
        if name not in new and name not in skip:
            found.append(Change(name, value, ABSENT, derivation=derivation))
    return found


def _compare(found: list[Change], path: str, old: Any, new: Any, sets: Container[str], derivation: str) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**new, **old}:
            _compare(found, f"{path}.{name}", old.get(name, ABSENT), new.get(name, ABSENT), sets, derivation)
    elif isinstance(old, list) and isinstance(new, list):
        if path.rpartition(".")[2] in sets or path in sets:
            if not _same_set(old, new):
                found.append(Change(path, old, new, derivation=derivation))
            return
        for position in range(max(len(old), len(new))):
            before = old[position] if position < len(old) else ABSENT
            after = new[position] if position < len(new) else ABSENT
            _compare(found, f"{path}[{position}]", before, after, sets, derivation)
    elif not same(old, new):
        found.append(Change(path, old, new, derivation=derivation))


def _same_set(old: list[Any], new: list[Any]) -> bool:
    return all(any(same(one, other) for other in new) for one in old) and all(
        any(same(one, other) for other in old) for one in new
    )


def unwrap_json(text: Any) -> Any:
    """The JSON value in a text (`"KeyDescription"` in quotes -> `KeyDescription`); the text itself where there is none.

    For sources that put JSON into strings; numbers in it keep their characters.
    """
    if not isinstance(text, str) or isinstance(text, Number) or not text[:1] or text[:1] not in '"[{tfn-0123456789':
        return text
    value = decode_text(text)
    return text if isinstance(value, Rejected) else value
