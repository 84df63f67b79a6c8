"""Lines to unsealed events without an agent: for `parse`, `explain`, `formats` and the golden tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator

from parsers._contract import Rejected
from shipper.build import Lanes
from shipper.clock import SystemClock, rfc3339
from shipper.config import Config
from shipper.formats import Decision
from shipper.framing import LineFramer
from shipper.grouping import MAX_JSON_LINE, Framing, GroupFramer
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
    decided: Callable[[Decision], None] | None = None,
) -> Iterator[Event]:
    """Every event of one stream of bytes; `config` has one input, called `parse`. An unfinished last line counts.

    `decided` is told what `auto` chose.
    """
    path, blocks = source
    now = SystemClock().now() if received is None else received
    lanes = Lanes(config, place, random_bytes)
    previous: float | None = None
    framer: GroupFramer | None = None
    lane: Lane | None = None
    if name != "auto":
        lane, framer = lanes.lane("parse", name), GroupFramer(lanes.framing("parse", name))
    begin = bytearray()  # until the format is decided: enough of it, and a whole line however long
    whole = False
    for block in itertools.chain(blocks, (None,)):
        if lane is None or framer is None:
            begin += block or b""
            whole = whole or block is None or b"\n" in block or len(begin) > MAX_JSON_LINE
            if block is not None and (len(begin) < SAMPLE or not whole):
                continue
            head = bytes(begin)
            found = lanes.judge("parse", _sample(head))
            if decided is not None:
                decided(found)
            name = found.format
            lane, framer = lanes.lane("parse", name), GroupFramer(lanes.framing("parse", name))
            records = framer.feed(head)
            if block is None:
                records = [*records, *framer.flush()]
        else:
            records = framer.flush() if block is None else framer.feed(block)
        for record in records:
            events, previous = events_of(lane, record, path, now, previous)
            yield from events


def _sample(begin: bytes) -> bytes:
    """The first lines as records are: without mark, UTF-8."""
    framer = LineFramer(max_line=MAX_JSON_LINE)
    lines = [record.data for record in framer.feed(begin)]
    return b"".join(line + b"\n" for line in lines)[: max(SAMPLE, len(lines[0]))] if lines else framer.partial


def records_in(documentation: str, framing: Framing) -> Iterator[Record]:
    """What may be a record in a format's documentation: of each block of sample text, and each line."""
    blocks = documentation.split("\n```")
    for block in blocks[1::2]:
        framer = GroupFramer(framing)
        text = block.partition("\n")[2] + "\n"
        yield from [*framer.feed(text.encode()), *framer.flush()]
    for line in documentation.splitlines():
        data = line.strip().encode()
        yield Record(data, 0, len(data) + 1)


def example(
    config: Config, place: str, name: str, documentation: str, *, received: float | None = None
) -> tuple[str, list[Event]] | None:
    """The first record of a format's documentation that the format itself accepts, and its events."""
    lanes = Lanes(config, place, os.urandom)
    lane = lanes.lane("parse", name)
    for record in records_in(documentation, lanes.framing("parse", name)):
        if len(record.data) < 20 or isinstance(lane.parse(record.data, lane.context), Rejected):
            continue
        whole = Record(record.data, 0, len(record.data) + 1)
        now = SystemClock().now() if received is None else received
        events, _ = events_of(lane, whole, "example.log", now, None)
        return record.data.decode(), events
    return None
