"""The verifier's second concern: documents that are not simply what their place should hold.

`judge_suspects` names those within the signed log, `judge_tail` those past its newest checkpoint, which may simply be
too young for one: an event is pending only if it goes on from the checkpoint without a gap and is younger than two
seal intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.seal._reading import instant
from shipper.seal.findings import UNEXPLAINED, Finding

if TYPE_CHECKING:
    from shipper.seal._ledger import Ledger, Log
    from shipper.seal.findings import Findings

_PENDING_INTERVALS: Final = 2


class Period(NamedTuple):
    """Leaf indexes [low, high) that are judged."""

    low: int
    high: int

    def holds(self, i: int) -> bool:
        """Whether a leaf is judged."""
        return self.low <= i < self.high


def judge_suspects(ledger: Ledger, log: Log, period: Period, findings: Findings) -> None:
    """MODIFIED, REORDERED, DUPLICATE and INSERTED within the signed log; call `Ledger.locate` first."""
    for suspect in ledger.suspects(log.id, "position >= 0"):
        at = suspect.position
        kind = "DUPLICATE" if log.seen[at] else "REORDERED"
        log.seen.set(at)
        if period.holds(at):
            where = "" if suspect.i == at else f"it stands at {suspect.i}"
            if suspect.i == at and kind == "REORDERED":
                where = f"stored under the id {suspect.id}"
            findings.add(Finding(kind, log.id, at, at, detail=where))
    last = -1
    for suspect in ledger.suspects(log.id, "position < 0 AND i < ?", log.size):
        if not period.holds(suspect.i):
            continue
        if log.seen[suspect.i] or suspect.i == last:
            detail = f"a second document for leaf {suspect.i}"
            findings.add(Finding("INSERTED", log.id, what=suspect.name, detail=detail))
        else:
            last = suspect.i
            findings.add(Finding("MODIFIED", log.id, suspect.i, suspect.i))


def judge_tail(
    ledger: Ledger,
    log: Log,
    interval: float,
    reference: float | None,
    findings: Findings,
    warnings: list[str],
    *,
    suppressed: bool,
) -> int:
    """Judge the documents past the newest checkpoint; the number of those that are pending.

    `interval`: seconds between checkpoints; `reference`: the moment that ages are counted from. `suppressed`: another
    finding says already why checkpoints are missing.
    """
    expected = log.size
    strays = 0
    ages = {False: [0, 0], True: [0, 0]}  # beyond a gap -> [pending, old]
    last = -1
    kept: bytes | None = None
    for suspect in ledger.suspects(log.id, "i >= ? AND position < 0", log.size):
        if suspect.i < expected or suspect.i == last:
            same = suspect.leaf is not None and suspect.leaf == kept
            findings.add(
                Finding("DUPLICATE", log.id, suspect.i, suspect.i)
                if same
                else Finding("INSERTED", log.id, what=suspect.name, detail=f"a second document for leaf {suspect.i}")
            )
            continue
        last, kept = suspect.i, suspect.leaf
        beyond = suspect.i != expected
        if beyond:
            strays += 1
        else:
            expected += 1
            if suspect.leaf is None:
                findings.add(Finding("MODIFIED", log.id, suspect.i, suspect.i))
                continue
        at = instant(suspect.stamp)
        late = at is None or reference is None or reference - at > _PENDING_INTERVALS * interval
        ages[beyond][late] += 1
    pending, old = ages[False]
    if strays:
        gap = last + 1 - expected - strays
        _judge_strays(ledger, log, expected, findings, foreign=gap > strays)
        if gap <= strays:
            pending, old = pending + ages[True][0], old + ages[True][1]
    if old and suppressed:
        warnings.append(f"log {log.id}: {old} documents past the newest good checkpoint cannot be checked")
    elif old:
        detail = f"{old} documents past the newest checkpoint ({log.size} leaves) should have one by now"
        findings.add(Finding("TRUNCATED", log.id, detail=detail))
    return pending


def _judge_strays(ledger: Ledger, log: Log, expected: int, findings: Findings, *, foreign: bool) -> None:
    """Documents past a gap: the gap is missing, or they never belonged there (`foreign`); the shorter list is named."""
    at = expected
    for suspect in ledger.suspects(log.id, "i >= ? AND position < 0", expected):
        if foreign:
            detail = f"it stands at {suspect.i}, where no checkpoint reaches"
            findings.add(Finding("INSERTED", log.id, what=suspect.name, detail=detail))
        elif suspect.i > at:
            findings.add(Finding("MISSING", log.id, at, suspect.i - 1, cause=UNEXPLAINED))
        at = max(at, suspect.i + 1)
