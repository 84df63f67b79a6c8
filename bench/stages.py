"""Where Fieldtrail's time goes: the stages of the hot path one after the other, in one process and one thread.

Usage: stages.py DATA PORT [--passes N]; prints {"lines": n, "bytes": {...}, "stages": {name: CPU ns per line}} as JSON.

Lines are taken through the stages in slices of `SLICE`, frames as they come, and the CPU clock of the thread is read
between two stages. In the agent one line goes through all stages before the next, output and pipeline take turns, and
what is kept for a whole frame falls out of the processor's caches: the whole costs more than this sum. Threads,
start-up, cursors and the waits for the disk are not in it either. The best of the passes, since other load only adds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from hmac import new as new_hmac
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import peers  # noqa: E402 - needs the path above
from parsers._contract import Rejected  # noqa: E402
from parsers._json import decode  # noqa: E402
from shipper import __version__  # noqa: E402
from shipper.build import Lanes  # noqa: E402
from shipper.clock import SystemClock, rfc3339  # noqa: E402
from shipper.config import Config, OpenSearchSection, load  # noqa: E402
from shipper.delivery import documents_of  # noqa: E402
from shipper.fs import RealFs  # noqa: E402
from shipper.journal import Frame, Journal  # noqa: E402
from shipper.logbook import Identity, Logbook  # noqa: E402
from shipper.model import Batch, Chunk, Event, Record  # noqa: E402
from shipper.normalize import Origin  # noqa: E402
from shipper.outputs._bulk import body  # noqa: E402
from shipper.outputs.opensearch import OpenSearchOutput  # noqa: E402
from shipper.pipeline import Lane, Lines  # noqa: E402
from shipper.seal import keys  # noqa: E402
from shipper.seal.canonical import canonical  # noqa: E402

STAGES = (
    "read and frame",
    "decode JSON",
    "map to an operation",
    "normalize",
    "canonical bytes",
    "custody MAC",
    "seal",
    "batch leaf and checkpoint",
    "journal",
    "frame to documents",
    "bulk body",
    "send and read the answer",
)
READ_BUDGET = 1_000_000
"""Bytes of a chunk, about what the agent reads for a frame."""
SLICE = 50
"""Lines; a whole chunk of events at once would measure the garbage collector."""
EXTRA = ("gzip -1 of the body",)


class Timer:
    """CPU seconds of this thread by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = dict.fromkeys((*STAGES, *EXTRA), 0.0)
        self._from = time.thread_time()

    def start(self) -> None:
        """What was done since the last call belongs to no stage."""
        self._from = time.thread_time()

    def stop(self, stage: str) -> None:
        """What was done since the last call belongs to `stage`."""
        now = time.thread_time()
        self.spent[stage] += now - self._from
        self._from = time.thread_time()


def one_pass(config: Config, folder: Path) -> tuple[Timer, int, dict[str, int]]:
    """One run over the whole input: the timer, the number of lines, and bytes by what they are."""
    clock = SystemClock()
    lanes = Lanes(config, "bench", os.urandom)
    source = lanes.input(config.inputs[0], clock=clock, once=True, wake=threading.Event())
    lane = lanes.lane("crm", "crm_audit")
    keys.create_identity(folder / "keys")
    private, mac_key = keys.load_identity(folder / "keys"), keys.custody_key(folder / "keys")
    identity = Identity("bench", __version__, "default", "bench.example/audit/bench", private, mac_key)
    book = Logbook.begin(identity, clock.now(), os.urandom, host="bench", config_hash="", succession=None)
    limits = config.journal
    journal, _ = Journal.open(
        folder / "journal",
        RealFs(),
        clock,
        segment_bytes=limits.segment_size,
        max_bytes=limits.max_size,
        keep_seconds=limits.keep,
    )
    section = config.outputs[0]
    assert isinstance(section, OpenSearchSection)
    output = OpenSearchOutput(section, namespace="default")
    output.open({})
    output.highest(book.sealer.log.id)
    reader = journal.reader(0)
    timer, count = Timer(), 0
    sizes = {"lines": 0, "documents": 0, "bulk bodies": 0, "gzip bodies": 0}
    chunks = _chunks(source.read, source.done, timer)
    for chunk in chunks:
        count += len(chunk.records)
        part = _lines(chunk, lane, mac_key, timer)
        close = book.open_leaves + len(part.bodies) >= config.seal.max_events
        timer.start()
        built = book.build([part], {}, clock.now(), close=False, interval=60.0)
        timer.stop("seal")
        documents = len(built.documents)
        pending = [(built.meta, built.documents)]
        if close:
            timer.start()
            closing = book.build([], {}, clock.now(), close=True, interval=60.0)
            timer.stop("batch leaf and checkpoint")
            pending.append((closing.meta, closing.documents))
        for meta, shipped in pending:
            meta["total"] = documents
            timer.start()
            journal.append(meta, shipped, snapshot=dict)
            timer.stop("journal")
            frame = reader.read(timeout=0)
            assert isinstance(frame, Frame)
            timer.start()
            ready = documents_of(frame)
            timer.stop("frame to documents")
            data = body(ready, "default")
            timer.stop("bulk body")
            packed = gzip.compress(data, 1, mtime=0)
            timer.stop("gzip -1 of the body")
            batch = Batch(frame.seq, meta["log"], meta["origin"], ready)
            timer.start()
            receipt = output.deliver(batch)
            timer.stop("send and read the answer")
            assert not receipt.retry, receipt.error
            assert not receipt.refused
            sizes["documents"] += sum(map(len, shipped))
            sizes["bulk bodies"] += len(data)
            sizes["gzip bodies"] += len(packed)
        sizes["lines"] += sum(record.length for record in chunk.records)
    # `deliver` makes the body once more.
    timer.spent["send and read the answer"] -= timer.spent["bulk body"]
    output.close()
    reader.close()
    journal.close()
    source.close()
    return timer, count, sizes


def _chunks(read: Callable[[int], Any], done: Callable[[], bool], timer: Timer) -> Iterator[Chunk]:
    while True:
        timer.start()
        found = list(read(READ_BUDGET))
        timer.stop("read and frame")
        yield from found
        if not found and done():
            return


def _lines(chunk: Chunk, lane: Lane, mac_key: bytes, timer: Timer) -> Lines:
    """What `shipper.pipeline.process` does, stage by stage."""
    records = chunk.records
    bodies: list[bytes] = []
    datasets: list[str] = []
    mac = new_hmac(mac_key, digestmod=sha256)
    for at in range(0, len(records), SLICE):
        part = records[at : at + SLICE]
        events = _events(chunk, part, lane, timer)
        bodies += [canonical(event) for event in events]
        timer.stop("canonical bytes")
        for record in part:
            mac.update(record.data)
            mac.update(b"\n")
        timer.stop("custody MAC")
        datasets += [event["data_stream"]["dataset"] for event in events]
    last = records[-1]
    custody = {
        "input": chunk.input,
        "path": chunk.path,
        "stream": chunk.stream,
        "from": records[0].offset,
        "to": last.offset + last.length,
        "lines": len(records),
        "events": len(bodies),
        "rejected": 0,
        "no_change": 0,
        "mac": mac.hexdigest(),
    }
    return Lines(bodies=bodies, datasets=datasets, source=custody)


def _events(chunk: Chunk, part: Sequence[Record], lane: Lane, timer: Timer) -> list[Event]:
    ctx, normalizer, parse = lane.context, lane.normalizer, lane.parse
    stream, path, received, mtime = chunk.stream, chunk.path, chunk.received, chunk.mtime
    text = rfc3339(received)
    timer.start()
    for record in part:
        decode(record.data)
    timer.stop("decode JSON")
    parsed = [parse(record.data, ctx) for record in part]
    timer.stop("map to an operation")
    events: list[Event] = []
    for (data, offset, length), operations in zip(part, parsed, strict=True):
        assert not isinstance(operations, Rejected)
        origin = Origin(stream, path, offset, length, received, text, mtime, None, 0, data)
        for operation in operations:
            events += normalizer.events(operation, origin)[0]
    timer.stop("normalize")
    return events


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("data", type=Path)
    options.add_argument("port", type=int)
    options.add_argument("--passes", type=int, default=3)
    given = options.parse_args()
    passes: list[dict[str, float]] = []
    count = 0
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=given.data.parent) as place:
        for number in range(given.passes):
            folder = Path(place) / str(number)
            folder.mkdir()
            peers.fieldtrail(folder, given.data, given.port, "none")
            timer, count, sizes = one_pass(load(folder / "fieldtrail.yaml"), folder)
            # `parse` decodes as well.
            timer.spent["map to an operation"] -= timer.spent["decode JSON"]
            passes.append(timer.spent)
    best = {name: min(one[name] for one in passes) / count * 1e9 for name in passes[0]}
    per_line = {name: size / count for name, size in sizes.items()}
    print(json.dumps({"lines": count, "bytes": per_line, "stages": best, "extra": list(EXTRA)}))


if __name__ == "__main__":
    main()
