"""The parsing processes as the agent sees them: chunks go out side by side, results come back in the chunks' order.

Nothing is lost with a process, since a chunk is kept until its result is here: it is given out again, to a process that
takes the dead one's place. A chunk with which two processes died is halved until the line is alone that does it; that
line becomes an unparsed event, without a parser having seen it again. Where no process can be started, the agent parses
for itself.

The time of a stream's last event, on which the reading of a time may depend (`timestamps.Provisional`), is not known
yet while the chunk before is being parsed. The last one known is used, the process says for which times its result
holds, and a result that does not hold is made again: in a repeated hour, and where the year had to be corrected.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import select
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from parsers._contract import Rejected
from shipper import __version__, telemetry
from shipper.workers.process import KILLS, Flight, Worker
from shipper.workers.wire import Parsed, parsed_of

if TYPE_CHECKING:
    from shipper.clock import Clock
    from shipper.config import Config
    from shipper.model import Chunk, Event
    from shipper.pipeline import Lane, Lines
    from shipper.processor import Processor

AHEAD: Final = 2 << 20
"""Weight of the chunks that a process may have at a time."""
HELD: Final = 16 << 20
"""Bytes of results that may wait for an earlier one."""
FIRST_RETRY, LONGEST_RETRY = 0.5, 60.0
"""Seconds until a process that could not be started is tried again; doubled each time."""
SILENCE: Final = 120.0
"""Seconds that the agent waits for one chunk before it takes the process for stuck."""
FAREWELL: Final = 2.0
"""Seconds that processes have for ending."""

_DIED: Final = "internal error: the process that parsed it died"


class Crew:
    """`count` processes. For one thread. `processor` parses what they cannot, and holds counts and times of all."""

    def __init__(
        self, count: int, config: Config, place: str, mac_key: bytes, processor: Processor, clock: Clock
    ) -> None:
        self._count, self._processor, self._clock = count, processor, clock
        told = (config.model_copy(update={"outputs": ()}), place, mac_key)
        self._charge = pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        self._workers: list[Worker] = []
        self._order: deque[Flight] = deque()
        self._pieces: list[Lines] = []
        self._held = 0
        self._weight = 0
        self._retry, self._retry_at = FIRST_RETRY, -math.inf
        self._replenish()

    @property
    def room(self) -> bool:
        """Whether more chunks may come."""
        return self._weight < AHEAD * self._count

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [worker.process.pid for worker in self._workers]

    @property
    def ready(self) -> list[int]:
        """The process ids of those that have started."""
        return [worker.process.pid for worker in self._workers if worker.greeted]

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk parsed."""
        for flight in Flight(chunk).light():
            self._order.append(flight)
            self._weight += flight.weight
        self._assign()

    def next(self, tap: Callable[[Event], None] | None, wait: float) -> list[Lines] | None:
        """What became of the oldest chunk, in one part or several; None where it is not there in `wait` seconds."""
        deadline = self._clock.monotonic() + wait
        self._replenish()
        while self._order:
            lines = self._accept(self._order[0], tap)
            if lines is not None:
                flight = self._order.popleft()
                self._weight -= flight.weight
                self._pieces.append(lines)
                if flight.last:
                    pieces, self._pieces = self._pieces, []
                    return pieces
            elif self._order[0].away and not self._pump(deadline - self._clock.monotonic()):
                return None
        return None

    def look(self) -> None:
        """Notice, with nothing to parse, that a process has died."""
        self._replenish()
        self._pump(0.0)

    def close(self) -> None:
        """End all processes. May be called twice."""
        workers, self._workers, self._count = self._workers, [], 0
        for worker in workers:
            worker.close()
        deadline = self._clock.monotonic() + FAREWELL
        for worker in workers:
            worker.end(max(0.0, deadline - self._clock.monotonic()))
        self._order.clear()

    # -- results ------------------------------------------------------------------------------------------------------

    def _accept(self, flight: Flight, tap: Callable[[Event], None] | None) -> Lines | None:
        """What became of the oldest chunk, if it is known and holds; it is counted then."""
        chunk, processor = flight.chunk, self._processor
        if flight.result is None:
            if flight.worker is None and not flight.own:
                self._assign()
            if flight.away:
                return None
            return processor.process(chunk, tap, self._refusing(chunk) if flight.doomed else None)
        parsed = parsed_of(flight.result)
        self._held -= len(flight.result)
        flight.result = None
        times = processor.times
        if not _stands(flight, parsed, times.get(chunk.stream)):
            self._assign()
            return None
        parsed.tally.add_to(processor.lane(chunk).counts)
        if parsed.previous is not None:
            times[chunk.stream] = parsed.previous
        if tap is not None and parsed.lines.form is not None:
            for body in parsed.lines.form.bodies():
                tap(orjson.loads(body))
        return parsed.lines

    def _refusing(self, chunk: Chunk) -> Lane:
        """A lane that counts as the chunk's does, and parses nothing."""
        telemetry.line_unparsed(input_id=chunk.input, path=chunk.path, offset=chunk.records[0].offset)
        lane = self._processor.lane(chunk)
        lane.counts.extra["internal_errors"] = lane.counts.extra.get("internal_errors", 0) + 1
        return replace(lane, parse=lambda *_: Rejected(_DIED), quick=None)

    # -- processes ----------------------------------------------------------------------------------------------------

    def _assign(self) -> None:
        """Give out chunks in their order: the oldest in any case, others where there is room."""
        before: set[str] = set()
        for flight in self._order:
            if flight.own:
                continue
            if flight.worker is None and flight.result is None:
                worker = self._idlest()
                if worker is None or (before and worker.weight >= AHEAD):
                    return
                flight.exact = flight.chunk.stream not in before
                flight.previous = self._processor.times.get(flight.chunk.stream)
                worker.take(flight)
            before.add(flight.chunk.stream)

    def _idlest(self) -> Worker | None:
        """The process with the least to do; one that is still starting only where the others have enough."""
        ready = [worker for worker in self._workers if worker.greeted and worker.weight < AHEAD]
        return min(ready or self._workers, key=lambda worker: worker.weight, default=None)

    def _pump(self, wait: float) -> bool:
        """Move what the pipes take and hold, waiting `wait` seconds for something to move; False where nothing did."""
        oldest = self._order[0] if self._order else None
        poll = select.poll()
        for worker in self._workers:
            # The oldest chunk is always waited for; memory bounds what may come before its turn.
            if self._held < HELD or (oldest is not None and worker is oldest.worker):
                poll.register(worker.results, select.POLLIN)
            if worker.outgoing:
                poll.register(worker.to, select.POLLOUT)
        began = self._clock.monotonic()
        moved = {fd for fd, _ in poll.poll(max(0.0, wait) * 1000)}
        for worker in list(self._workers):
            if worker.to in moved:
                worker.send_rest()
            if worker.results in moved:
                self._receive(worker)
        if not moved and oldest is not None and oldest.worker is not None:
            oldest.waited += self._clock.monotonic() - began
            if oldest.waited > SILENCE:
                oldest.waited = 0.0
                oldest.worker.process.kill()
        return bool(moved)

    def _receive(self, worker: Worker) -> None:
        messages = worker.receive()
        if messages is None:
            self._lost(worker)
            return
        for payload in messages:
            if not worker.greeted:
                if payload != __version__.encode():
                    self._retry_at = math.inf
                    worker.process.kill()
                    telemetry.worker_missing(cause="the installed program is another version", retry_in=None)
                    return
                worker.greeted = True
                self._retry = FIRST_RETRY
                continue
            flight = worker.flights.popleft()
            worker.weight -= flight.weight
            flight.worker, flight.result = None, payload
            self._held += len(payload)
        self._assign()

    def _lost(self, worker: Worker) -> None:
        """A process has ended: its chunks go to others."""
        self._workers.remove(worker)
        code = worker.end(FAREWELL)
        cause = f"exit status {code}" if code >= 0 else f"signal {-code}"
        with contextlib.suppress(ValueError):
            cause = signal.Signals(-code).name
        for flight in worker.flights:
            flight.worker = None
        if worker.greeted:
            telemetry.worker_died(pid=worker.process.pid, cause=cause, chunks=len(worker.flights))
            if worker.flights:
                self._blame(worker.flights[0])
        elif self._retry_at < math.inf:
            self._cannot_start(cause)
        self._replenish()
        self._assign()

    def _blame(self, flight: Flight) -> None:
        """A process died while it had this chunk."""
        flight.kills += 1
        if flight.kills < KILLS or len(flight.chunk.records) < 2:
            return
        at = self._order.index(flight)
        del self._order[at]
        self._weight -= flight.weight
        for half in reversed(flight.halves(KILLS - 1)):
            self._order.insert(at, half)
            self._weight += half.weight

    def _replenish(self) -> None:
        while len(self._workers) < self._count and self._clock.monotonic() >= self._retry_at:
            try:
                self._workers.append(Worker(self._charge))
            except OSError as error:
                self._cannot_start(error.strerror or str(error))

    def _cannot_start(self, cause: str) -> None:
        telemetry.worker_missing(cause=cause, retry_in=self._retry)
        self._retry_at = self._clock.monotonic() + self._retry
        self._retry = min(self._retry * 2, LONGEST_RETRY)


def _stands(flight: Flight, parsed: Parsed, previous: float | None) -> bool:
    """Whether a result is what parsing one chunk after the other would have given."""
    if flight.exact or flight.previous == previous:
        return True
    return parsed.holds == math.inf or (-math.inf < parsed.holds and (previous is None or previous <= parsed.holds))
