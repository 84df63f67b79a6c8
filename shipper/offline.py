"""Lines to unsealed events without an agent: for `parse`, `explain`, `formats` and the golden tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from parsers._contract import Rejected
from shipper.build import Lanes
from shipper.clock import SystemClock, rfc3339
from shipper.config import Config
from shipper.framing import LineFramer
from shipper.model import Event, Record
from shipper.normalize import Origin
from shipper.pipeline import Lane, reference
from shipper.spliced import Times

SAMPLE = 65536


def events_of(
    lane: Lane, record: Record, path: str, received: float, previous: float | None
) -> tuple[list[Event], float | None]:
    """The events of one record, as the agent would make them; and the time to hand to the next record."""
    origin = Origin(
        path, path, record.offset, record.length, received, rfc3339(received), None, previous, 0, record.data
    )
    seen = Times(previous)
    events = reference(lane, origin, seen)
    if isinstance(events, Rejected):
        return [lane.normalizer.unparsed(events.reason, origin)], previous
    return events, seen.previous


def read_events(
    config: Config,
    place: str,
    name: str,
    source: tuple[str, Iterable[bytes]],
    *,
    received: float | None = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Iterator[Event]:
    """Every event of one stream of bytes; `config` has one input, called `parse`. An unfinished last line counts."""
    path, blocks = source
    now = SystemClock().now() if received is None else received
    lanes = Lanes(config, place, random_bytes)
    framer = LineFramer()
    previous: float | None = None
    lane: Lane | None = None if name == "auto" else lanes.lane("parse", name)
    waiting: list[Record] = []
    size = 0
    for block in itertools.chain(blocks, (None,)):
        if block is None:
            last = framer.flush()
            records: Sequence[Record] = [] if last is None else [last]
        else:
            records = framer.feed(block)
        if lane is None:
            waiting += records
            size += sum(record.length for record in records)
            if block is not None and size < SAMPLE:
                continue
            if not waiting:
                continue
            sample = b"".join(record.data + b"\n" for record in waiting)[:SAMPLE]
            lane = lanes.lane("parse", lanes.formats.decide(sample, lanes.context("parse")))
            records, waiting = waiting, []
        for record in records:
            events, previous = events_of(lane, record, path, now, previous)
            yield from events


def example(config: Config, place: str, name: str, documentation: str) -> tuple[str, list[Event]] | None:
    """The first line of a format's documentation that the format itself accepts, and its events."""
    lane = Lanes(config, place, os.urandom).lane("parse", name)
    for line in documentation.splitlines():
        data = line.strip().encode()
        if len(data) < 20 or isinstance(lane.parse(data, lane.context), Rejected):
            continue
        events, _ = events_of(lane, Record(data, 0, len(data) + 1), "example.log", SystemClock().now(), None)
        return data.decode(), events
    return None
