"""One record that is seen in several ways, each with members of its own. Pure.

A listing may show other members of a record than its own reading does, and a hook others again. What one of them never
showed has not gone, and what only another showed is not new. So what is seen in a way is compared with what is known of
those members that this way shows; the snapshot holds all of them.

A member that a second way shows at its first look may be new, or may be one that the first way never shows: it is
remembered as `quiet`, and told once the first way shows it, too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from shipper.differ.snapshots import Entry, View

LIST: Final = "list"
READ: Final = "read"
HOOK: Final = "hook"
"""The ways: it stood in a listing, it was read by itself, it was sent."""


def sides(entry: Entry, body: dict[str, Any], view: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(old, new) that can be compared, of a record that is known and one as it is seen now."""
    known = entry.body or {}
    if entry.views.keys() <= {view}:
        return known, body
    shown = _shown(entry, view)
    if shown is None:
        common = known.keys() & body.keys()
        return _of(known, common), _of(body, common)
    unsure = entry.quiet - shown
    return _of(known, (shown | body.keys()) - unsure), body


def bound_of(entry: Entry, view: str, name: str) -> float:
    """The moment from which on the difference in a member that `sides` gave must have happened."""
    shown = _shown(entry, view)
    mine = entry.views.get(view)
    lacked = shown is not None and name not in shown
    if mine is not None and lacked and (name in entry.quiet or name not in (entry.body or {})):
        return mine.after
    sights = [one.after for one in entry.views.values() if one.members is None or name in one.members]
    return max(sights, default=entry.after)


def remember(
    entry: Entry, body: dict[str, Any], view: str, asked: float, told: frozenset[str] = frozenset()
) -> None:  # fmt: skip
    """Take what is seen into the record. `told`: members that were found to differ."""
    known, mine = entry.body, entry.views.get(view)
    moment = asked if mine is None else max(asked, mine.after)
    if known is None or entry.views.keys() <= {view}:
        entry.body, entry.views, entry.quiet = body, {view: View(None, moment)}, frozenset()
        return
    shown = _shown(entry, view)
    if shown is None:
        merged = known | body
        quiet = (entry.quiet - told) | (body.keys() - known.keys())
    else:
        merged = {name: value for name, value in known.items() if name in body or name not in shown} | body
        quiet = entry.quiet - told - (body.keys() - shown)
    if merged.keys() != known.keys():
        for name, one in entry.views.items():
            if one.members is None:
                entry.views[name] = View(frozenset(known), one.after)
    entry.body, entry.quiet = merged, frozenset(quiet & merged.keys())
    entry.views[view] = View(None if merged.keys() == body.keys() else frozenset(body), moment)


def _shown(entry: Entry, view: str) -> frozenset[str] | None:
    """The members that this way showed last, None where it never showed the record."""
    mine = entry.views.get(view)
    if mine is None:
        return None
    return frozenset(entry.body or {}) if mine.members is None else mine.members


def _of(body: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name in names}
