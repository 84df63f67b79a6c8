"""All lanes of one process, and the lines of a chunk taken through theirs: in the agent, or in a parsing process."""

from __future__ import annotations

from collections.abc import Callable

from shipper import build
from shipper.model import Chunk, Event, Health
from shipper.pipeline import Lane, Lines, process


class Processor:
    """Parses chunks. For one thread; `lanes`, by input and format, may be looked at by others."""

    def __init__(self, table: build.Lanes, mac_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.times: dict[str, float] = {}
        """The time of the last event of each stream, seconds since the epoch."""
        self._table, self._mac_key, self._random = table, mac_key, random_bytes

    def lane(self, chunk: Chunk) -> Lane:
        """The lane of a chunk, made for its first one."""
        key = (chunk.input, chunk.format)
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = self._table.lane(*key)
        return lane

    def reports(self, now: float) -> list[tuple[str, Health]]:
        """(list of the directory, what is to be told of it). `now`: seconds since the epoch."""
        return [] if self._table.directory is None else self._table.directory.reports(now)

    def process(self, chunk: Chunk, tap: Callable[[Event], None] | None, lane: Lane | None = None) -> Lines:
        """What a chunk becomes; `tap` sees each event. `lane`: another than its own."""
        if self._table.directory is not None:
            self._table.directory.look()
        return process(chunk, lane or self.lane(chunk), self.times, self._mac_key, tap, self._random)
