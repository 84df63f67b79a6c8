"""What goes between the agent and a parsing process: a few large blocks per chunk, no objects per line.

A message is its length (8 bytes, little-endian) and so many bytes. The small part of each is pickled; both ends are the
same program, and nobody else holds the pipes.
"""

from __future__ import annotations

import pickle
import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

from shipper.framing import Block
from shipper.model import Chunk, Counts, Record
from shipper.pipeline import Lines
from shipper.seal.sealer import Form

LENGTH: Final = struct.Struct("<Q")
_JOB: Final = struct.Struct("<I")
_LINES: Final = struct.Struct("<II")
_COUNTS: Final = ("read", "with_events", "rejected", "no_change", "filtered", "deduplicated", "bytes", "events")
_LEAF: Final = 32
_SIZE: Final = array("Q").itemsize


class Job(NamedTuple):
    """A chunk to parse, without its position. `previous`: the time of the stream's event before it, s since the epoch.

    `exact`: whether that is known, or only the last one known while chunks before this one are still being parsed.
    """

    chunk: Chunk
    previous: float | None
    exact: bool


class Tally(NamedTuple):
    """What a chunk adds to the counts of its lane: in the order of `_COUNTS`, and `extra`."""

    counts: tuple[int, ...]
    extra: dict[str, int]

    @classmethod
    def of(cls, counts: Counts) -> Tally:
        """The figures as they stand."""
        return cls(tuple(getattr(counts, name) for name in _COUNTS), dict(counts.extra))

    def since(self, before: Tally) -> Tally:
        """What was added."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        extra = {name: now - before.extra.get(name, 0) for name, now in self.extra.items()}
        return Tally(counts, {name: more for name, more in extra.items() if more})

    def add_to(self, counts: Counts) -> None:
        """Add to the counts of a lane."""
        for name, more in zip(_COUNTS, self.counts, strict=True):
            setattr(counts, name, getattr(counts, name) + more)
        for name, more in self.extra.items():
            counts.extra[name] = counts.extra.get(name, 0) + more


class Parsed(NamedTuple):
    """What became of a chunk. `previous`: the time of its last event, None where it had none that could be read.

    `holds`: the result is the same for every time of the event before the chunk up to this one (s; inf: for any).
    """

    lines: Lines
    tally: Tally
    previous: float | None
    holds: float


def message(*parts: bytes) -> list[bytes]:
    """The parts of one message with its length before them."""
    return [LENGTH.pack(sum(map(len, parts))), *parts]


def job_message(job: Job) -> list[bytes]:
    """A job."""
    chunk = job.chunk
    about = (
        chunk.input, chunk.stream, chunk.path, chunk.format, chunk.received, chunk.mtime, dict(chunk.deliveries),
        job.previous, job.exact,
    )  # fmt: skip
    records = chunk.records
    if isinstance(records, Block):
        # Most are: nobody has cut it into lines yet.
        layout: int | tuple[bytes, bytes, bytes] = records.offset
        data = records.data
    else:
        lines = [record.data for record in records]
        layout = (
            array("Q", (record.offset for record in records)).tobytes(),
            array("Q", (record.length for record in records)).tobytes(),
            array("Q", map(len, lines)).tobytes(),
        )
        data = b"".join(lines)
    meta = pickle.dumps((about, layout), pickle.HIGHEST_PROTOCOL)
    return message(_JOB.pack(len(meta)), meta, data)


def job_of(payload: bytes) -> Job:
    """The job of a message's payload."""
    (size,) = _JOB.unpack_from(payload)
    at = _JOB.size + size
    about, layout = _small(payload[_JOB.size : at])
    name, stream, path, form, received, mtime, deliveries, previous, exact = about
    records: Sequence[Record]
    if isinstance(layout, int):
        records = Block(payload[at:], layout)
    else:
        offsets, lengths, sizes = (array("Q", numbers) for numbers in layout)
        places = list(accumulate(sizes, initial=at))
        lines = [payload[start:end] for start, end in pairwise(places)]
        records = [Record(*one) for one in zip(lines, offsets, lengths, strict=True)]
    return Job(Chunk(name, stream, path, form, records, {}, received, mtime, deliveries), previous, exact)


def parsed_message(parsed: Parsed) -> list[bytes]:
    """A result."""
    lines = parsed.lines
    about = (lines.routes, lines.source, lines.size, lines.problems, parsed.tally, parsed.previous, parsed.holds)
    meta = pickle.dumps(about, pickle.HIGHEST_PROTOCOL)
    form = Form.of(lines.bodies, lines.nonces)
    head = _LINES.pack(len(meta), len(lines.bodies))
    return message(head, meta, b"".join(lines.leaves), array("Q", form.lengths).tobytes(), form.text)


def parsed_of(payload: bytes) -> Parsed:
    """The result of a message's payload; its documents are a form."""
    size, count = _LINES.unpack_from(payload)
    at = _LINES.size + size
    routes, source, total, problems, tally, previous, holds = _small(payload[_LINES.size : at])
    middle = at + count * _LEAF
    end = middle + count * _SIZE
    lines = Lines(
        routes=routes,
        form=Form(payload[end:], array("Q", payload[middle:end])),
        leaves=[payload[place : place + _LEAF] for place in range(at, middle, _LEAF)],
        source=source,
        size=total,
        problems=problems,
    )
    return Parsed(lines, tally, previous, holds)


def _small(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - from our own process, over a pipe that nobody else holds
