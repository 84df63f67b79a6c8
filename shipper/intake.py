"""What the pipeline thread takes in: the inputs and their positions, the lanes of their formats, their troubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shipper import build, telemetry
from shipper.clock import Clock
from shipper.logbook import Identity
from shipper.model import Chunk, Event, Input
from shipper.pipeline import Lane, Lines, process

READ_BUDGET = 1_000_000
"""Bytes of input per frame: large enough that one sync is cheap per event, small enough for a short wait."""
READ_TURN = 32 * 1024
"""Bytes asked of one input at a time: a megabyte of lines of one byte would be half a gigabyte of events."""
FRAME_BYTES = 8 * 1024 * 1024
"""Bytes of events after which a frame is closed before the next turn."""
_MOST_REPORTED = 1000


class Intake:
    """The inputs of one run. `budget`: bytes of input per frame. For the pipeline thread; `lanes` may be looked at."""

    def __init__(
        self,
        inputs: Sequence[Input],
        table: build.Lanes,
        positions: Mapping[str, Mapping[str, Any]],
        *,
        identity: Identity,
        clock: Clock,
        budget: int = READ_BUDGET,
    ) -> None:
        """`positions`: as the journal's metas have them, {stream: {"input": id, ...position}}."""
        self.inputs = inputs
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.ended: list[str] = []
        """Streams of which no more can come; their positions need not be kept any longer."""
        self.unread: set[str] = set()
        """Paths that could not be read, at least for a while."""
        self._table, self._identity, self._clock = table, identity, clock
        self._budget = max(READ_TURN, min(READ_BUDGET, budget))
        self._times: dict[str, float] = {}
        self._reported: set[str] = set()
        for source in inputs:
            source.restore(
                {
                    stream: {key: value for key, value in position.items() if key != "input"}
                    for stream, position in positions.items()
                    if position["input"] == source.id
                }
            )

    def take(self, tap: Callable[[Event], None] | None) -> tuple[list[Lines], dict[str, Any], list[Event]]:
        """What one frame takes: lines, the positions after them, and health events about what was lost."""
        lines: list[Lines] = []
        positions: dict[str, Any] = {}
        for chunk in self._chunks(lines):
            lines.append(self._process(chunk, tap))
            positions[chunk.stream] = {"input": chunk.input, **chunk.position}
        return lines, positions, self._troubles()

    def _chunks(self, lines: Sequence[Lines]) -> Iterator[Chunk]:
        """Chunks in turns. `lines`: what the caller has made of the chunks so far."""
        left, more = self._budget, True
        while more and left > 0:
            more = False
            for source in self.inputs:
                for chunk in source.read(READ_TURN):
                    more = more or bool(chunk.records)
                    left -= sum(record.length for record in chunk.records)
                    yield chunk
                if sum(part.size for part in lines) >= FRAME_BYTES:
                    return

    def _process(self, chunk: Chunk, tap: Callable[[Event], None] | None) -> Lines:
        key = (chunk.input, chunk.format)
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = self._table.lane(chunk.input, chunk.format)
        part = process(chunk, lane, self._times, self._identity.mac_key, tap)
        for name in part.problems:
            if self._first_time(name):
                telemetry.schema_problem(field=name)
        return part

    def _troubles(self) -> list[Event]:
        """Losses become health events; unreadable files are told once per cause."""
        events = []
        for source in self.inputs:
            self.ended += getattr(source, "ended", list)()
            for loss in getattr(source, "losses", list)():
                telemetry.input_loss(input_id=source.id, path=loss.path, offset=loss.offset, seen=loss.seen_size)
                events.append(build.loss_event(self._identity, source.id, loss, self._clock.now()))
            for path, cause in getattr(source, "problems", list)():
                self.unread.add(path)
                if self._first_time(f"{source.id}\0{path}\0{cause}"):
                    telemetry.input_problem(input_id=source.id, path=path, cause=cause)
        return events

    def _first_time(self, told: str) -> bool:
        if told in self._reported or len(self._reported) >= _MOST_REPORTED:
            return False
        self._reported.add(told)
        return True

    def done(self) -> bool:
        """True when nothing more can come."""
        return all(source.done() for source in self.inputs)

    def tell_left(self) -> None:
        """Name the unfinished last lines that `--once` has left."""
        for source in self.inputs:
            for path, offset, length in getattr(source, "left", list)():
                telemetry.line_left(input_id=source.id, path=path, offset=offset, length=length)
