"""One change that a source tells and a comparison finds is one change. Pure.

A source's own record of a change (a stage move, a value's history) and the difference of two snapshots are met by
record, field and new value, within the bounds of the comparison:

- the source's record came first: what it told is not told again (`untold`). Where the snapshots show more than that
  (the value before its old one, or after its new one), the rest is a change by comparison, within what bounds remain.
- the comparison came first: the source's record names the author of the change that is told already (`match`).

Values are met by what they read as: a history says `"14"`, a snapshot `14`. The two clocks are the source's, but its
answers may lag behind its records; `slack` (s) is how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from parsers._contract import ABSENT, UNKNOWN
from parsers._json import Number
from shipper.changes import text_of
from shipper.differ.snapshots import Native, Told

_LONGEST: Final = 2_000
"""Characters of a text that is compared; longer ones are compared by these and their length."""


def loose(value: Any) -> str | None:
    """A value as it is met: numbers by their size, nothing (absent, null, empty) as ""; None where it is not known."""
    if value is UNKNOWN:
        return None
    if value is None or value is ABSENT:
        return ""
    if isinstance(value, Number | int | float) and not isinstance(value, bool):
        try:
            number = Decimal(repr(value) if isinstance(value, float) else str(value))
            return format(number.normalize(), "f") if abs(number.adjusted()) < 100 else str(number)
        except InvalidOperation:
            return str(value)
    text = text_of(value)
    return text if len(text) <= _LONGEST else f"{len(text)} {text[:_LONGEST]}"


def native_of(path: str, old: Any, new: Any, time: float) -> Native:
    """A change that a source told, of the field that snapshots have at `path`."""
    return Native(path, loose(old), loose(new) or "", _kept(old), _kept(new), time)


def _kept(value: Any) -> dict[str, Any]:
    return {} if value is ABSENT or value is UNKNOWN else {"v": value}


class Piece(NamedTuple):
    """A part of a difference that nobody told. `after`, `before`: its bounds, s since the epoch."""

    old: Any
    new: Any
    after: float | None
    before: float


class Met(NamedTuple):
    """What remains of a difference, and the records of the source that told the rest."""

    pieces: list[Piece]
    natives: list[Native]


def untold(whole: Piece, natives: Sequence[Native], slack: float) -> Met:
    """What of a difference the source has not told. `natives`: of this field."""
    new = loose(whole.new)
    within = sorted(
        (
            one
            for one in natives
            if (whole.after is None or one.time > whole.after - slack) and one.time <= whole.before + slack
        ),
        key=lambda one: one.time,
    )
    after = whole.after
    # Some of these the older snapshot may show already: so many that the least remains to be explained.
    early = 0 if after is None else sum(one.time <= after + slack for one in within)
    best, least = Met([whole], []), (len(within) + 2, 0)
    for k in range(early + 1):
        rest = within[k:]
        met = _pieces(whole, rest[: _shown(rest, new, whole.before - slack)])
        astray = 0 if after is None else sum((place < k) != (one.time <= after) for place, one in enumerate(within))
        if (len(met.pieces), astray) < least:
            best, least = met, (len(met.pieces), astray)
    return best


def _pieces(whole: Piece, within: Sequence[Native]) -> Met:
    """What lies between the records of the source, which follow one another, and before and after them."""
    old, new = loose(whole.old), loose(whole.new)
    pieces: list[Piece] = []
    here, value, since = old, whole.old, whole.after
    connected = False
    for one in within:
        if one.old in {None, here}:
            connected = True
        else:
            pieces.append(Piece(value, one.old_value.get("v", ABSENT), since, one.time))
        here, value, since = one.new, one.new_value.get("v", ABSENT), one.time
    if here == new:
        connected = True
    else:
        pieces.append(Piece(value, whole.new, since, whole.before))
    if not within or not connected:
        # Nothing was told, or what was told names values otherwise than the snapshots do.
        return Met([whole], [])
    return Met(pieces, list(within))


def _shown(natives: Sequence[Native], value: str | None, since: float) -> int:
    """How many of these, in order of time, a snapshot with this value shows; those up to `since` it shows in any case.

    It shows all up to the last one that made this value. Without one it was made by a change that nobody told: before
    the first one that changed it to another value, or else after all of them.
    """
    sure = sum(one.time <= since for one in natives)
    if sure == len(natives):
        return sure
    made = [k for k in range(sure, len(natives) + 1) if k and natives[k - 1].new == value]
    left = [k for k in range(sure, len(natives)) if natives[k].old in {None, value}]
    return made[-1] if made else left[0] if left else len(natives)


def untold_element(whole: Piece, natives: Sequence[Native], slack: float) -> Met:
    """As `untold`, of a value that came into a set or went from it: it is told or it is not."""
    old, new = loose(whole.old), loose(whole.new)
    for one in natives:
        late = whole.after is not None and one.time <= whole.after - slack
        if not late and one.time <= whole.before + slack and one.new == new and one.old in {None, old}:
            return Met([], [one])
    return Met([whole], [])


def match(told: Sequence[Told], native: Native, slack: float) -> Told | None:
    """The change by comparison whose author a record of the source names; None where it is a change of its own."""
    found = None
    for one in told:
        if one.field != native.field or one.new != native.new or native.time > one.before + slack:
            continue
        if one.after is not None and native.time <= one.after - slack:
            continue
        if one.old == native.old:
            return one
        # Of a value that went, the old one is all that tells it from others.
        if native.old is None or native.new:
            found = found or one
    return found
