"""The requests between their arrival and their answer: waiting, grouped under a number, given out, kept.

A request that repeats an earlier one (its delivery's id is in the ledger) waits for the same frame as that one, or is
answered at once if that is kept. A request that nobody could keep in time is answered 429: the source sends it again.
As long as it was not given out it is then forgotten; what cannot be forgotten any more has its id in the ledger, so
that the repeat is known. Only for a request without any id a repeat may become a second event.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.errors import FieldtrailError
from shipper.inputs.webhook._faults import Faults
from shipper.model import Record

if TYPE_CHECKING:
    from shipper.inputs._hint import Feeder, Hint
    from shipper.inputs._ledger import Ledger

PATIENCE: Final = 4.0
"""Seconds within which a request is kept or answered 429: sources give up after 3 (Slack), 5 (HubSpot) or 10."""
STALLED: Final = 2.0
"""Seconds that the oldest request has waited, from which on no more are taken."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of bodies that wait in one endpoint, from the moment they are taken to the moment they are kept."""
GROUP_BYTES, GROUP_MOST = 128 * 1024, 2000
"""Bytes and number of bodies after which a group is closed."""
AHEAD: Final = 2
"""Groups that wait for the pipeline: what is not grouped yet can still be refused without a trace."""
OVERHEAD: Final = 512
"""Bytes counted for a request beside its body."""


class Entry:
    """A request that was found to be the source's, and waits for its answer. `since`: monotonic seconds.

    `delivery`, `replay` and `known_by`: as of `Accepted`; `ids`: by which a repeat is known, each once. `hints`: what a
    poll input is to look at instead of an event; None: an event.
    """

    __slots__ = ("answered", "data", "delivery", "hints", "ids", "settle", "since")

    def __init__(
        self,
        data: bytes,
        since: float,
        settle: Callable[[bool], None],
        *,
        delivery: str | None = None,
        replay: str | None = None,
        known_by: str | None = None,
        hints: tuple[Hint, ...] | None = None,
    ) -> None:
        """`settle`: called once in the listener's loop, with whether it is kept."""
        self.data, self.since, self.settle = data, since, settle
        self.delivery = delivery
        # What was signed comes first: where that is known, an id that was not signed is not even noted.
        self.ids = tuple(dict.fromkeys(one for one in (replay, known_by or delivery) if one is not None))
        self.hints = hints
        self.answered = False

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.data) + OVERHEAD


class Given(NamedTuple):
    """What the pipeline gets at once: the number in the ledger, the records and the ids of their deliveries."""

    n: int
    records: list[Record]
    deliveries: dict[int, str]
    end: int
    """Bytes of the stream up to here."""


class Entries:
    """The requests of one endpoint.

    Four threads meet here: the listener's (`take`), one that writes (`group`), the pipeline's (`give`) and the
    journal's (`kept`). `post` answers requests: the listener's loop will call their `settle`. `restored`: number and
    bytes as they came back. `believed`: whether bodies are signed, so that they can be events.
    """

    def __init__(
        self,
        ledger: Ledger,
        post: Callable[[Sequence[Entry], bool], None],
        *,
        now: Callable[[], float],
        restored: tuple[int, int] = (0, 0),
        most_bytes: int = MOST_BYTES,
        believed: bool = True,
    ) -> None:
        self.feeder: Feeder | None = None
        self.failing = ""
        """Why groups cannot be written now."""
        self.bytes = 0
        """Of all that wait."""
        self.end = restored[1]
        self._aside = {"deduplicated": 0, "filtered": 0}
        self._ledger, self._post, self._now, self._most = ledger, post, now, most_bytes
        self._believed = believed
        self._faults = Faults(str(ledger.path))
        self._kept = restored[0]
        self._next = restored[0] + 1
        self._open, self._ended = True, False
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._ready: deque[tuple[int, list[Entry]]] = deque()
        self._given: dict[int, list[Entry]] = {}
        self._riders: dict[int, list[Entry]] = {}
        """By the number of the group that holds the request they repeat."""
        self._writing = False

    # -- the listener's thread ----------------------------------------------------------------------------------------

    def take(self, entry: Entry) -> bool:
        """Whether the request is taken; if not, it is to be sent again later."""
        with self._changed:
            if not self.room(entry.since, entry.size):
                return False
            self._waiting.append(entry)
            self.bytes += entry.size
            self._changed.notify_all()
            return True

    def room(self, now: float, size: int = 0) -> bool:
        """Whether there is room for a request of this size."""
        with self._changed:  # other threads change what it looks at
            if not self._open or self.bytes + size > self._most:
                return False
            oldest = self._oldest()
            return oldest is None or now - oldest < STALLED

    def expire(self, now: float) -> None:
        """Answer those that have waited too long."""
        with self._changed:
            late = [one for one in self._all() if not one.answered and now - one.since >= PATIENCE]
            if not late:
                return
            for one in late:
                one.answered = True
            for one in [one for one in self._waiting if one.answered]:
                self._waiting.remove(one)
                self.bytes -= one.size
        self._post(late, False)

    def _oldest(self) -> float | None:
        for _, entries in self._ready:
            return entries[0].since
        return self._waiting[0].since if self._waiting else None

    def _all(self) -> Iterator[Entry]:
        yield from self._waiting
        for _, entries in self._ready:
            yield from entries
        for held in (self._given, self._riders):
            for entries in held.values():
                yield from entries

    # -- the thread that writes ---------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Until there is something to group, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._can_group() or self._ended, seconds)

    def _can_group(self) -> bool:
        return bool(self._waiting) and len(self._ready) < AHEAD

    def group(self) -> bool:
        """Write what waits to the ledger, under the next number. Whether there was anything that could be written."""
        with self._changed:
            if not self._can_group():
                return False
            batch: list[Entry] = []
            size = 0
            while self._waiting and size < GROUP_BYTES and len(batch) < GROUP_MOST:
                batch.append(self._waiting.popleft())
                size += batch[-1].size
            self._writing = True
        fresh: list[Entry] = []
        repeats: list[tuple[int, Entry]] = []
        hinted: list[Entry] = []
        try:
            self._write(batch, fresh, repeats, hinted)
        except Exception as error:  # noqa: BLE001 - also a fault of ours must not leave requests without an answer
            if isinstance(error, FieldtrailError):
                self.failing = str(error)
            else:
                self.failing = f"internal error: {self._faults.add(error)}"
            self._fail(batch)
            return False
        self.failing = ""
        done = list(hinted)
        with self._changed:
            self._writing = False
            self._aside["filtered"] += len(hinted)
            self._aside["deduplicated"] += len(repeats)
            self.bytes -= sum(one.size for one in hinted)
            for number, one in repeats:
                self.bytes -= one.size
                if number <= self._kept:
                    done.append(one)
                else:
                    self._riders.setdefault(number, []).append(one)
            if fresh:
                self._ready.append((self._next, fresh))
                self._next += 1
            done = _unanswered(done)
            self._changed.notify_all()
        self._post(done, True)
        return True

    def _fed(self, one: Entry) -> bool:
        """Whether another input reads what this request speaks of. One whose body is not signed is never an event."""
        if self.feeder is None or one.hints is None:
            return False
        return not self._believed or any(self.feeder.takes(hint.object_type) for hint in one.hints)

    def _write(
        self, batch: Iterable[Entry], fresh: list[Entry], repeats: list[tuple[int, Entry]], hinted: list[Entry]
    ) -> None:
        """Sort a batch, and write what belongs to it. Raises `FieldtrailError`."""
        events = []
        told: list[tuple[Hint, str | None]] = []
        for one in batch:
            if not self._fed(one):
                events.append(one)
            elif (known := self._known(one)) is not None:
                repeats.append((known, one))
            else:
                told += [(hint, one.delivery) for hint in one.hints or ()]
                hinted.append(one)
        # First the hints, then the ids: a crash in between makes the source send it again, and hints do no harm.
        if told and self.feeder is not None:
            self.feeder.hints(told)
        now = self._now()
        noted = [one for one in hinted if one.ids]
        if noted:
            with self._ledger.outside() as transaction:
                for one in noted:
                    for delivery in one.ids:
                        transaction.note_delivery(delivery, now)
        if not any(one.ids for one in events):
            fresh += events
            return
        with self._ledger.begin(self._next) as transaction:
            for one in events:
                claimed = (transaction.claim(delivery, now) for delivery in one.ids)
                known = next((number for number in claimed if number is not None), None)
                if known is None:
                    fresh.append(one)
                else:
                    repeats.append((known, one))
            if not fresh:
                transaction.discard()  # nobody has the number yet, so nothing may stand under it

    def _known(self, entry: Entry) -> int | None:
        """The number of the group that holds the request which this one repeats."""
        found = (self._ledger.delivery(delivery) for delivery in entry.ids)
        return next((number for number in found if number is not None), None)

    def _fail(self, batch: list[Entry]) -> None:
        with self._changed:
            self._writing = False
            self.bytes -= sum(one.size for one in batch)
            late = _unanswered(batch)
            self._changed.notify_all()
        self._post(late, False)

    # -- the pipeline's thread ----------------------------------------------------------------------------------------

    def give(self, budget: int) -> Iterator[Given]:
        """The groups that are written, about `budget` bytes at the most."""
        used = 0
        while used < budget:
            with self._changed:
                if not self._ready:
                    return
                n, entries = self._ready.popleft()
                # What was refused meanwhile is sent again. With an id it would be known then, so it is taken now.
                gone = [one for one in entries if one.answered and not one.ids]
                if gone:
                    entries = [one for one in entries if not one.answered or one.ids]
                    self.bytes -= sum(one.size for one in gone)
                self._given[n] = entries
                self._changed.notify_all()
            if not entries:
                continue
            records, deliveries, at = [], {}, self.end
            for one in entries:
                records.append(Record(one.data, at, len(one.data)))
                if one.delivery is not None:
                    deliveries[at] = one.delivery
                at += len(one.data)
            used += at - self.end
            self.end = at
            yield Given(n, records, deliveries, at)

    @property
    def pending(self) -> int:
        """Requests that were not given out."""
        with self._changed:
            return len(self._waiting) + sum(len(entries) for _, entries in self._ready)

    def set_aside(self) -> dict[str, int]:
        """Requests since the last call that became no event, by what became of them."""
        with self._changed:
            taken, self._aside = self._aside, {"deduplicated": 0, "filtered": 0}
        return taken

    def refuse(self) -> None:
        """Take no more, and refuse what is not written; returns once nothing is being written any more."""
        with self._changed:
            self._open = False
            waiting = list(self._waiting)
            self._waiting.clear()
            self.bytes -= sum(one.size for one in waiting)
            late = _unanswered(waiting)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._writing)
        self._post(late, False)

    # -- the journal's thread -----------------------------------------------------------------------------------------

    def kept(self, n: int) -> None:
        """The frame with group `n`, and all before it, is durable: answer its requests and those that repeat them."""
        self._ledger.settle(n)
        with self._changed:
            self._kept = max(self._kept, n)
            done = []
            for number in [number for number in self._given if number <= n]:
                entries = self._given.pop(number)
                self.bytes -= sum(one.size for one in entries)
                done += entries
            for number in [number for number in self._riders if number <= n]:
                done += self._riders.pop(number)
            done = _unanswered(done)
        self._post(done, True)

    def stop(self) -> None:
        """As `refuse`, and `wait` returns at once from now on."""
        with self._changed:
            self._ended = True
        self.refuse()

    def abandon(self) -> None:
        """Answer all that is left: it may be kept or not, and is to be sent again."""
        self.stop()
        with self._changed:
            late = _unanswered(list(self._all()))
        self._post(late, False)


def _unanswered(entries: list[Entry]) -> list[Entry]:
    """Those that nobody answered yet, which are answered now."""
    found = [one for one in entries if not one.answered]
    for one in found:
        one.answered = True
    return found
