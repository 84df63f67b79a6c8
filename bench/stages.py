"""Where Fieldtrail's time goes: the stages of the hot path one after the other, in one process and one thread.

Usage: stages.py DATA PORT [--passes N]; prints JSON: `lines`, `bytes`, `stages` {name: CPU ns per line}, `extra` (the
stages that are not in the sum), `sum`, and the shares of it that are `sealing` and `journal`.

Lines are taken through the stages in slices of `SLICE`, frames as they come, and the CPU clock of the thread is read
between two stages. In the agent one line goes through all stages before the next, output and pipeline take turns, and
what is kept for a whole frame falls out of the processor's caches: the whole costs more than this sum. Threads,
start-up, cursors and the waits for the disk are not in it either. The best of the passes, since other load only adds.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import peers  # noqa: E402 - needs the path above
from parsers._contract import Rejected  # noqa: E402
from shipper import __version__  # noqa: E402
from shipper.build import Lanes  # noqa: E402
from shipper.clock import SystemClock, rfc3339  # noqa: E402
from shipper.config import Config, load  # noqa: E402
from shipper.delivery import documents_of  # noqa: E402
from shipper.fs import RealFs  # noqa: E402
from shipper.journal import Frame, Journal  # noqa: E402
from shipper.logbook import Identity, Logbook  # noqa: E402
from shipper.model import Batch, Chunk  # noqa: E402
from shipper.normalize import Origin  # noqa: E402
from shipper.output_sections import OpenSearchSection  # noqa: E402
from shipper.outputs._bulk import body  # noqa: E402
from shipper.outputs._gzip import quickest  # noqa: E402
from shipper.outputs.opensearch import OpenSearchOutput  # noqa: E402
from shipper.pipeline import Lane, Lines, process  # noqa: E402
from shipper.seal import keys  # noqa: E402
from shipper.seal.canonical import canonical  # noqa: E402
from shipper.seal.sealer import hash_leaves  # noqa: E402

STAGES = (
    "read and frame",
    "lines to canonical bytes",
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
REFERENCE = "lines, the reference way"
LEAVES = "leaf hashes, a part of the lines"
CUSTODY = "custody MAC, a part of the lines"
GZIP = "gzip of the body, as the output does it"
EXTRA = (REFERENCE, LEAVES, CUSTODY, GZIP)
SEALING = ("seal", "batch leaf and checkpoint", LEAVES, CUSTODY)
"""What an agent that does not seal would not do; it cannot be turned off, so this is how it is measured."""


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
    timer, count, compress = Timer(), 0, quickest()
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
            packed = compress(data)
            timer.stop(GZIP)
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
    """The hot path itself; beside it, not in the sum, its part of the sealing, and its cost without the quick ways."""
    timer.start()
    lines = process(chunk, lane, {}, mac_key, None, os.urandom)
    timer.stop("lines to canonical bytes")
    hash_leaves(lines.bodies, os.urandom)
    timer.stop(LEAVES)
    hmac.digest(mac_key, b"\n".join([record[0] for record in chunk.records] + [b""]), "sha256")
    timer.stop(CUSTODY)
    text = rfc3339(chunk.received)
    for at in range(0, len(chunk.records), SLICE):
        for data, offset, length in chunk.records[at : at + SLICE]:
            operations = lane.parse(data, lane.context)
            assert not isinstance(operations, Rejected)
            origin = Origin(chunk.stream, chunk.path, offset, length, chunk.received, text, chunk.mtime, None, 0, data)
            for operation in operations:
                for event in lane.normalizer.events(operation, origin)[0]:
                    canonical(event)
    timer.stop(REFERENCE)
    return lines


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
            peers.fieldtrail(folder, given.data, given.port)
            timer, count, sizes = one_pass(load(folder / "fieldtrail.yaml"), folder)
            passes.append(timer.spent)
    best = {name: min(one[name] for one in passes) / count * 1e9 for name in passes[0]}
    per_line = {name: size / count for name, size in sizes.items()}
    total = sum(best[name] for name in STAGES)
    told = {
        "lines": count,
        "bytes": per_line,
        "stages": best,
        "extra": list(EXTRA),
        "sum": total,
        "sealing": sum(best[name] for name in SEALING) / total,
        "journal": best["journal"] / total,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
