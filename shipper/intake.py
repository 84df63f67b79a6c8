"""What the pipeline thread takes in: the inputs and their positions, what became of their lines, their troubles."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shipper import build, telemetry
from shipper.clock import Clock
from shipper.framing import size_of
from shipper.logbook import Identity
from shipper.model import Chunk, Event, Input
from shipper.pipeline import Lane, Lines
from shipper.processor import Processor
from shipper.workers.crew import Crew

READ_BUDGET = 1_000_000
"""Bytes of input per frame: large enough that one sync is cheap per event, small enough for a short wait."""
READ_TURN, LEAST_TURN = 64 * 1024, 8 * 1024
"""Bytes asked of one input at a time, at most and at least: so many that they make about `TURN_BYTES` of events."""
TURN_BYTES = 1024 * 1024
FIRST_GROWTH = 32.0
"""By how much lines are expected to grow before any was read; lines of one byte grow five hundredfold."""
FAR_TURN = 128 * 1024
"""The same for a parsing process: each chunk costs a message there and one back."""
FRAME_BYTES = 4 * 1024 * 1024
"""Bytes of events after which a frame is closed before the next turn."""
PATIENCE, LONGEST_WAIT = 0.1, 1.0
"""Seconds that a frame waits for parsing processes to fill it, and for its first lines."""
_MOST_REPORTED, _TOLD_FOR = 1000, 3600.0
"""Different troubles told and remembered, and the seconds after which room is made: so many lines an hour at most."""


@dataclass(slots=True)
class _Told:
    """What an input had to tell, in its place between the chunks: it is true once those before it are kept."""

    ended: list[str] = field(default_factory=list)
    losses: list[Event] = field(default_factory=list)


class Account(NamedTuple):
    """One moment of an input's account, replaced as a whole: another thread reads figures that agree.

    `read` and `bytes` count what was taken from the input, the others what its lanes made of that: two counts of the
    same records, so that a difference between them says something.
    """

    read: int = 0
    bytes: int = 0
    with_events: int = 0
    rejected: int = 0
    no_change: int = 0
    filtered: int = 0
    deduplicated: int = 0
    events: int = 0
    internal_errors: int = 0


class Lost(NamedTuple):
    """What an input lost for good. `bytes`: of losses whose size is known; `unknown`: losses of which it is not."""

    losses: int = 0
    bytes: int = 0
    unknown: int = 0


class Intake:
    """The inputs of one run. `budget`: bytes of input per frame. For the pipeline thread; `lanes` may be looked at.

    With a `crew`, reading runs ahead of what `take` gives, by what keeps its processes busy.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        processor: Processor,
        positions: Mapping[str, Mapping[str, Any]],
        *,
        identity: Identity,
        clock: Clock,
        budget: int = READ_BUDGET,
        crew: Crew | None = None,
    ) -> None:
        """`positions`: as the journal's metas have them, {stream: {"input": id, ...position}}."""
        self.inputs = inputs
        self.ended: list[str] = []
        """Streams of which no more can come; their positions need not be kept any longer."""
        self.unread = False
        """Whether there was anything that could not be read, at least for a while."""
        self._processor, self._crew = processor, crew
        self._identity, self._clock = identity, clock
        self._budget = max(READ_TURN, min(READ_BUDGET, budget))
        self._order: deque[Chunk | _Told] = deque()
        self._turn = 0
        self._growth = FIRST_GROWTH
        """Bytes of events for a byte of the last chunk."""
        self._reported: OrderedDict[str, float] = OrderedDict()
        """What was told, and when (monotonic), the oldest first."""
        self.accounts = {source.id: Account() for source in inputs}
        self._aside: dict[str, Counter[str]] = {source.id: Counter() for source in inputs}
        """Records that inputs read and did not give out, by what became of them."""
        self.lost = {source.id: Lost() for source in inputs}
        for source in inputs:
            source.restore(
                {
                    stream: {key: value for key, value in position.items() if key != "input"}
                    for stream, position in positions.items()
                    if position["input"] == source.id
                }
            )

    @property
    def lanes(self) -> Mapping[tuple[str, str], Lane]:
        """The lanes, by input and format."""
        return self._processor.lanes

    @property
    def ahead(self) -> bool:
        """Whether something was read that `take` has not given yet."""
        return bool(self._order)

    def take(
        self, tap: Callable[[Event], None] | None, *, reading: bool = True
    ) -> tuple[list[Lines], dict[str, Any], list[Event]]:
        """What one frame takes: lines, the positions after them, and health events about what was lost.

        Without `reading`, only what was read before.
        """
        lines: list[Lines] = []
        positions: dict[str, Any] = {}
        losses: list[Event] = []
        left, size, quiet = self._budget, 0, 0 if reading else len(self.inputs)
        began, now = self._clock.monotonic(), self._clock.now()
        for name, told in self._processor.reports(now):
            losses.append(build.told_event(self._identity, f"directory {name}", told, now, 0))
        while (left > 0 and size < FRAME_BYTES) or (self._order and self._crew is None):
            quiet = self._read(quiet)
            if not self._order:
                break
            oldest = self._order[0]
            if isinstance(oldest, _Told):
                self.ended += oldest.ended
                losses += oldest.losses
                self._order.popleft()
                continue
            wait = began + (PATIENCE if lines else LONGEST_WAIT) - self._clock.monotonic()
            parts = self._parsed(oldest, tap, wait)
            if parts is None:
                break
            self._order.popleft()
            for part in parts:
                size += part.size
                lines.append(part)
                self._report(part.problems)
            read = size_of(oldest.records)
            self._count(oldest, read, parts)
            left -= read
            self._growth = max(1.0, sum(part.size for part in parts) / max(1, read))
            positions[oldest.stream] = {"input": oldest.input, **oldest.position}
        if self._crew is not None:
            self._read(quiet)  # so that the processes have work while this frame is written
            if not self._order:
                self._crew.look()
        return lines, positions, losses

    def _read(self, quiet: int) -> int:
        """Read the inputs in turns while there is room. `quiet`: how many in succession had nothing; returned anew."""
        crew, order = self._crew, self._order
        while quiet < len(self.inputs) and (crew.room if crew is not None else not order):
            self._turn = (self._turn + 1) % len(self.inputs)
            source = self.inputs[self._turn]
            quiet += 1
            near = max(LEAST_TURN, min(READ_TURN, int(TURN_BYTES / self._growth)))
            for chunk in source.read(near if crew is None else FAR_TURN):
                if chunk.records:
                    quiet = 0
                order.append(chunk)
                if crew is not None:
                    crew.submit(chunk)
            told = self._told(source)
            if told is not None:
                order.append(told)
            self._set_aside(source)
        return quiet

    def _parsed(self, chunk: Chunk, tap: Callable[[Event], None] | None, wait: float) -> list[Lines] | None:
        """What became of the oldest chunk; None where that is not known within `wait` seconds, or time is up."""
        if self._crew is None:
            return [self._processor.process(chunk, tap)]
        return self._crew.next(tap, wait) if wait > 0 else None

    def _count(self, chunk: Chunk, size: int, parts: Sequence[Lines]) -> None:
        """Bring the account of a chunk's input up to date: the chunk was taken, and its lanes have counted it."""
        before, aside = self.accounts[chunk.input], self._aside[chunk.input]
        # A block for another process is not cut here; what it says of its lines is what gets sealed.
        own = self._crew is None
        read = len(chunk.records) if own else sum(part.source["lines"] for part in parts)
        counts = [lane.counts for (name, _), lane in self.lanes.items() if name == chunk.input]
        self.accounts[chunk.input] = Account(
            before.read + read,
            before.bytes + size,
            sum(count.with_events for count in counts),
            sum(count.rejected for count in counts),
            sum(count.no_change for count in counts),
            sum(count.filtered for count in counts) + aside["filtered"],
            sum(count.deduplicated for count in counts) + aside["deduplicated"],
            sum(count.events for count in counts),
            sum(count.extra.get("internal_errors", 0) for count in counts),
        )

    def _set_aside(self, source: Input) -> None:
        """Count what an input read and did not give out: hints, and what it had before."""
        aside: Mapping[str, int] = getattr(source, "set_aside", dict)()
        read = sum(aside.values())
        if read:
            self._aside[source.id].update(aside)
            # Not from the lanes anew: they may have counted a part of a chunk whose records are not read by the books.
            before = self.accounts[source.id]
            self.accounts[source.id] = before._replace(
                read=before.read + read, **{name: getattr(before, name) + count for name, count in aside.items()}
            )

    def _told(self, source: Input) -> _Told | None:
        """Losses become health events; unreadable files are told once per cause."""
        ended: list[str] = getattr(source, "ended", list)()
        losses = []
        for loss in getattr(source, "losses", list)():
            telemetry.input_loss(input_id=source.id, path=loss.path, offset=loss.offset, seen=loss.seen_size)
            number, size, unknown = self.lost[source.id]
            known = loss.seen_size is not None
            self.lost[source.id] = Lost(
                number + 1, size + (loss.seen_size - loss.offset if known else 0), unknown + (not known)
            )
            losses.append(build.loss_event(self._identity, source.id, loss, self._clock.now()))
        for number, told in enumerate(getattr(source, "reports", list)()):
            telemetry.input_told(input_id=source.id, action=told.action, message=told.message)
            losses.append(build.told_event(self._identity, source.id, told, self._clock.now(), number))
        for path, cause in getattr(source, "problems", list)():
            self.unread = True
            if self._first_time(f"{source.id}\0{path}\0{cause}"):
                telemetry.input_problem(input_id=source.id, path=path, cause=cause)
        for cut in getattr(source, "cuts", list)():
            path, offset, length, why = (cut.path, *cut[2:]) if len(cut) == 5 else ("-", *cut)
            if self._first_time(f"{source.id}\0cut\0{path}\0{why}"):
                telemetry.line_cut(input_id=source.id, path=path, offset=offset, length=length, why=why)
        return _Told(ended, losses) if ended or losses else None

    def _report(self, problems: Sequence[str]) -> None:
        for name in problems:
            if self._first_time(name):
                telemetry.schema_problem(field=name)

    def _first_time(self, told: str) -> bool:
        """Whether to tell it: not if it was, nor if as many as are kept were told within the last hour."""
        if told in self._reported:
            return False
        now = self._clock.monotonic()
        if len(self._reported) >= _MOST_REPORTED:
            if now - next(iter(self._reported.values())) < _TOLD_FOR:
                return False  # what stands is asked for at each read: it is told when there is room
            self._reported.popitem(last=False)
        self._reported[told] = now
        return True

    def kept(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """A frame with these positions is durable: tell the inputs that wait for it. Called by the journal's thread."""
        by_input: dict[str, dict[str, Mapping[str, Any]]] = {}
        for stream, position in positions.items():
            by_input.setdefault(position["input"], {})[stream] = position
        for source in self.inputs:
            told = by_input.get(source.id)
            kept = getattr(source, "kept", None)
            if told is not None and kept is not None:
                kept(told)

    def finish(self, handed: Collection[str]) -> None:
        """Take over what inputs hold that cannot be read again, but for those that are handed on; `take` gives it."""
        for source in self.inputs:
            give = getattr(source, "finish", None)
            for chunk in give() if give is not None and source.id not in handed else ():
                self._order.append(chunk)
                if self._crew is not None:
                    self._crew.submit(chunk)
            told = None if source.id in handed else self._told(source)
            if told is not None:
                self._order.append(told)

    def done(self) -> bool:
        """True when nothing more can come."""
        return not self._order and all(source.done() for source in self.inputs)

    def tell_left(self) -> None:
        """Name the unfinished last lines that `--once` has left."""
        for source in self.inputs:
            for path, offset, length in getattr(source, "left", list)():
                telemetry.line_left(input_id=source.id, path=path, offset=offset, length=length)
