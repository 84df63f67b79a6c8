"""The journal's bound: what is given back, when reading pauses and for whom, and what is dropped where that is wanted.

A segment goes when every output has passed it, a later checkpoint is durable and `journal.keep` is over; a full journal
does not wait for the last. If it is full all the same, an output is behind. Then the inputs pause (`when_full: wait`),
or the oldest segment goes although outputs still need it (`drop_oldest`). What they lose by that is sealed first, as
`drop` leaves, so that a verifier can tell it from what somebody removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shipper import telemetry
from shipper.config import JournalSection
from shipper.delivery import Delivery
from shipper.errors import DiskError
from shipper.journal import Frame, Journal
from shipper.keeper import Keeper

CHECKPOINT = "fieldtrail.checkpoint"
REASON = "journal full"
PATIENCE = 1.0
"""Seconds for which the same outputs have to be behind before a full journal is told."""
DROP_PATIENCE = 10.0
"""Seconds for which an output makes no progress before what it needs is dropped: a slow request is none of it."""

Lost = dict[str, list[tuple[str, int, int, int]]]
"""By output: (log, first leaf, last leaf, frame) of what was dropped, as long as the output may not have got the newest
leaf that says so, which stands in that frame."""


class Backpressure:
    """For the pipeline's thread. `declare` seals `drop` leaves with these payloads and returns once they are kept.

    A `drop` leaf may be dropped like any other; then what it said is said again. `lost` is kept in the journal's state,
    and is `Lost` as JSON gives it back. `next_seq`: the number of the frame in which `declare` puts its leaves.
    """

    def __init__(
        self,
        journal: Journal,
        keeper: Keeper,
        deliveries: Sequence[Delivery],
        section: JournalSection,
        declare: Callable[[Sequence[dict[str, Any]]], None],
        *,
        next_seq: Callable[[], int],
        lost: Mapping[str, Any],
    ) -> None:
        self.full = False
        """Whether reading pauses, as `look` last found."""
        self.holders: tuple[str, ...] = ()
        """The outputs for which it pauses."""
        self._journal, self._keeper, self._deliveries, self._section = journal, keeper, deliveries, section
        self._declare, self._next_seq = declare, next_seq
        self.lost: Lost = {name: [(log, low, high, at) for log, low, high, at in kept] for name, kept in lost.items()}
        self._refused = ""
        self._since: float | None = None
        self._told: tuple[str, ...] = ()

    def release(self, *, urgent: bool = False) -> None:
        """Give back what every output has and a durable checkpoint covers; `urgent`: before `journal.keep` is over."""
        needed = min((delivery.saved for delivery in self._deliveries), default=self._journal.next_seq)
        urgent = urgent or self._journal.full
        try:
            self._journal.release(needed, checkpoint_seq=self._keeper.checked_seq, urgent=urgent)
        except DiskError as error:  # nothing is lost: it is tried again, and meanwhile the journal is larger
            if self._refused != str(error):
                telemetry.release_failed(cause=str(error))
            self._refused = str(error)
        else:
            self._refused = ""

    def look(self, now: float) -> bool:
        """Make room in a full journal; whether reading has to pause all the same. `now`: monotonic seconds."""
        if self.lost:
            self._forget()
        if self._journal.full:
            self.release()
            if self._section.when_full == "drop_oldest":
                self._drop(now)
        newest = self._journal.next_seq
        # With all delivered there is nobody to wait for: what is left is given back after the next checkpoint.
        if not self._journal.full or all(delivery.saved >= newest for delivery in self._deliveries):
            self.full, self.holders, self._since, self._told = False, (), None, ()
            return False
        # Those that need the oldest segment. Where none does, it is given back as soon as their cursors are saved.
        span = self._journal.oldest()
        needed = span[1] if span is not None else newest
        holders = tuple(delivery.output.id for delivery in self._deliveries if delivery.seq < needed)
        if not self.full or holders != self.holders:
            self._since = now
        # Those that are still behind after a moment: while it fills up a quick output may be behind, too.
        if holders and holders != self._told and self._since is not None and now - self._since >= PATIENCE:
            self._told = holders
            used, limit = self._journal.bytes_used, self._section.max_size
            telemetry.journal_full(used=used, limit=limit, waiting_for=list(holders))
        self.full, self.holders = True, holders
        return True

    def _drop(self, now: float) -> None:
        """Drop the oldest segments until the journal is below its bound; what outputs lose is declared before.

        Outputs that make progress are waited for: reading pauses for a moment, and nothing is lost by that.
        """
        while self._journal.full:
            span = self._journal.oldest()
            if span is None or span[1] > self._keeper.checked_seq:
                return
            first, following = span
            losers = [delivery for delivery in self._deliveries if delivery.seq < following]
            if not losers:
                return  # they have passed it, and save their cursors within a second
            if any(now - delivery.progress < DROP_PATIENCE for delivery in losers):
                return
            # Without their documents, of which a segment may hold gigabytes.
            start = max(first, min(delivery.seq for delivery in losers))
            frames = [replace(frame, documents=()) for frame in self._frames(start, following)]
            payloads, declared = [], self._next_seq()
            for delivery in losers:
                name = delivery.output.id
                fresh = list(_leaves(frame for frame in frames if frame.seq >= delivery.seq))
                for log, low, high in fresh:
                    telemetry.documents_dropped(output=name, log=log, first=low, last=high)
                known = self.lost.get(name, [])
                # What a leaf said that goes now, too, is said again, with all the rest, to which it may be joined.
                again = any(at < following for _, _, _, at in known)
                told = _joined([*(one[:3] for one in known if again), *fresh])
                self.lost[name] = [*(() if again else known), *((*one, declared) for one in told)]
                payloads += [
                    {"output": name, "log": log, "from": low, "to": high, "reason": REASON} for log, low, high in told
                ]
            self._declare(payloads)
            freed = self._journal.release(following, checkpoint_seq=self._keeper.checked_seq, urgent=True)
            if not freed:
                return

    def _forget(self) -> None:
        """Forget what outputs lost that have got the leaf that says so, or are no more."""
        saved = {delivery.output.id: delivery.saved for delivery in self._deliveries}
        kept = {
            name: [one for one in ranges if saved[name] <= one[3]]
            for name, ranges in self.lost.items()
            if name in saved
        }
        self.lost = {name: ranges for name, ranges in kept.items() if ranges}

    def _frames(self, first: int, following: int) -> Iterator[Frame]:
        with self._journal.reader(first) as reader:
            while reader.seq < following:
                item = reader.read(timeout=0)
                if item is None:
                    return
                if isinstance(item, Frame):
                    yield item


def _joined(ranges: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The ranges, in order, those in one that follow one another."""
    out: list[tuple[str, int, int]] = []
    for log, low, high in ranges:
        if out and out[-1][0] == log and out[-1][2] + 1 == low:
            out[-1] = (log, out[-1][1], high)
        else:
            out.append((log, low, high))
    return out


def _leaves(frames: Iterator[Frame]) -> Iterator[tuple[str, int, int]]:
    """The leaf ranges of frames, both ends included, by log: (log, first, last)."""
    log, low, high = "", 0, -1
    for frame in frames:
        count = sum(count for dataset, count in frame.meta["routes"] if dataset != CHECKPOINT)
        if not count:
            continue
        first = frame.meta["first"]
        if frame.meta["log"] != log or first != high + 1:
            if high >= low:
                yield log, low, high
            log, low = frame.meta["log"], first
        high = first + count - 1
    if high >= low:
        yield log, low, high
