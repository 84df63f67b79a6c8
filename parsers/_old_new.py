"""Old and new values in objects of a shape that is not documented: what reads as a change becomes one. Pure.

Recognised: `{"name": {"old": …, "new": …}}`, `{"before": {…}, "after": {…}}`, `{"changes": [{"field": …, "old": …,
"new": …}]}`, and other usual words for the two sides (`from` and `to`, `oldValue` and `newValue` …) in their place.
"""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change
from parsers._json import is_text, same

_PAIRS: Final = (
    ("old", "new"),
    ("before", "after"),
    ("from", "to"),
    ("oldValue", "newValue"),
    ("old_value", "new_value"),
    ("originalValue", "newValue"),
    ("original", "new"),
    ("previous", "current"),
    ("previousValue", "newValue"),
    ("previousValue", "currentValue"),
)
_FIELD_NAMES: Final = ("field", "key", "name", "property")


def take_changes(details: dict[str, Any]) -> list[Change]:
    """The changes that `details` shows; what they carry is taken out of it."""
    listed = details.get("changes")
    changes: list[Change] = []
    if isinstance(listed, list):
        left = []
        for entry in listed:
            change = _entry(entry) if isinstance(entry, dict) else None
            if change is not None:
                changes.append(change)
            if change is None or len(entry) > 1:
                left.append(entry)
        listed = left
    elif isinstance(listed, dict):
        changes = _by_field(listed) or _two_states(listed)
    if changes:
        if listed:
            details["changes"] = listed
        else:
            del details["changes"]
        return changes
    changes = _two_states(details) or _by_field(details)
    if not changes and pair_of(details) is not None and "name" not in details:
        single = _entry(details)
        if single is not None:
            changes = [single]
            if len(details) == 1:
                details.clear()
    return changes


def pair_of(holder: dict[str, Any]) -> tuple[str, str] | None:
    """The names of the old and the new side in `holder`; `None` where it has not both."""
    return next((pair for pair in _PAIRS if pair[0] in holder and pair[1] in holder), None)


def _entry(entry: dict[str, Any]) -> Change | None:
    """`{"field": name, "old": …, "new": …}`; the values are taken out, the name stays to say whose the rest is."""
    name = next((name for name in _FIELD_NAMES if is_text(entry.get(name)) and entry[name]), None)
    if name is None:
        return None
    pair = pair_of(entry)
    if pair is not None:
        return Change(entry[name], entry.pop(pair[0]), entry.pop(pair[1]))
    new = next((new for _, new in _PAIRS if new in entry), None)
    if new is None:
        return None
    return Change(entry[name], UNKNOWN, entry.pop(new), derivation="new_only")


def _by_field(holder: dict[str, Any]) -> list[Change]:
    """`{name: {"old": …, "new": …}, …}`; other members stay."""
    changes = []
    for name, value in list(holder.items()):
        pair = pair_of(value) if name and isinstance(value, dict) and len(value) == 2 else None
        if pair is not None:
            changes.append(Change(name, value[pair[0]], value[pair[1]]))
            del holder[name]
    return changes


def _two_states(holder: dict[str, Any]) -> list[Change]:
    """`{"before": {…}, "after": {…}}`: the members that differ; equal ones stay, once, in the later state."""
    pair = pair_of(holder)
    if pair is None:
        return []
    before, after = holder[pair[0]], holder[pair[1]]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    names = [name for name in dict.fromkeys((*before, *after)) if name]
    differing = [name for name in names if not same(before.get(name, ABSENT), after.get(name, ABSENT))]
    if not differing:
        return []
    changes = [Change(name, before.pop(name, ABSENT), after.pop(name, ABSENT)) for name in differing]
    for name in names:
        if name in after:
            before.pop(name, None)
    for state, rest in zip(pair, (before, after), strict=True):
        if not rest:
            del holder[state]
    return changes
