"""How much of what `retention` leaves announce the sealed times bear out.

A `retention` leaf rests on the agent's clock and on a file beside it. A clock that was wrong once would otherwise
explain the absence of everything, for ever: so a document counts as expired only where a time that was sealed after it
is as old as the leaf says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shipper.seal._reading import index, instant, loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipper.seal._ledger import Ledger, Log

_DAY: Final = 86400.0
_EARLY, _LINES = 4, 24
"""By how many lines of its memory the agent may speak early, and into how many a short retention is divided."""
_LONGEST: Final = 36_500
_BEGIN: Final = 1_767_225_600.0
"""2026-01-01: a clock that shows an earlier time was not set yet."""


def expired_below(ledger: Ledger, log: Log, now: float | None) -> int:
    """The leaf index below which the documents of a log have expired, 0 where none has.

    Its own generation may say so, or another one of the same agent. `now`: s since the epoch, where it is known.
    """
    claims = sorted(
        claim
        for speaker in ledger.logs.values()
        if speaker.trust is log.trust
        for claim in _claims(ledger, speaker, log, now)
    )
    below = 0
    for i, at in _times(ledger, log) if claims else ():
        if not claims or i + 1 <= below:
            break
        while claims and claims[-1][0] >= at:
            below = max(below, min(claims.pop()[1], i + 1))
    return below


def _claims(ledger: Ledger, speaker: Log, log: Log, now: float | None) -> Iterator[tuple[float, int]]:
    """(time by which a leaf has to be sealed, index that it has to be below) by each `retention` leaf about `log`."""
    said = {
        statement.i: payload
        for statement in ledger.statements(speaker, "retention")
        if (payload := loads(statement.payload)).get("log", speaker.id) == log.id
    }
    told = float("inf") if now is None else now
    # From the end: nothing was said later than the times that were sealed after it.
    for i, at in _times(ledger, speaker) if said else ():
        told = min(told, at)
        payload = said.get(i, {})
        below, days = index(payload.get("below")), payload.get("days")
        if below and type(days) is int and 0 < days <= _LONGEST:
            yield told - days * _DAY + _EARLY * min(_DAY, days * _DAY / _LINES), below


def _times(ledger: Ledger, log: Log) -> Iterator[tuple[int, float]]:
    """(leaf index, s since the epoch) of the control leaves that are vouched for, the last one first."""
    for i, text in ledger.times(log):
        at = instant(text)
        if at is not None and at >= _BEGIN:
            yield i, at
