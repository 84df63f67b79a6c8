"""What is measured of Fieldtrail alone: a long backlog, idling, the delay of a line, the start."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bench import corpus, peers
from bench.gates import Gate
from bench.measure import Running, Sample, measure
from bench.works import Setting, spread

FILES = 1_000
FRAME = 16 * 1024
"""Bytes: the frames of a start, which hold control leaves alone, are smaller; one with the events of `FIRST` is not."""
FIRST = 2_000
"""Lines that lie there at a start."""
STARTS = 7
HELPS = 15
GROWTH = 1.10
"""Times the resident size of the first fifth that the last fifth's may be, before it counts as growth."""
COST = 1.20
"""Times the cost of the first fifth that the last fifth's may be; wider, since other load shows in it."""


def backlog(setting: Setting, lines: int) -> dict[str, Any]:
    """One run over a long file: does cost or memory grow with what was done?"""
    data = setting.data("json", lines)
    start = partial(peers.fieldtrail, work="json")
    done = measure(start, data, lines, lines, setting.sink, setting.folder / "backlog")
    parts = fifths(done.samples, lines, done.run.cpu)
    first, last = parts[0], parts[-1]
    growth, cost = (last[name] / max(first[name], 1e-9) for name in ("rss_bytes", "cpu_seconds_per_million"))
    return {
        "title": f"a backlog of {lines:,} JSON lines",
        "events_per_second": done.run.rate,
        "cpu_seconds_per_million": done.run.cost,
        "peak_rss_bytes": done.run.rss,
        "fifths": parts,
        "gates": [
            Gate("backlog", "peak memory, MB", done.run.rss / 1e6, 150, least=False),
            Gate("backlog", "memory of the last fifth / of the first", growth, GROWTH, least=False, unit="x"),
            Gate("backlog", "CPU per event of the last fifth / of the first", cost, COST, least=False, unit="x"),
        ],
    }


def fifths(samples: list[Sample], lines: int, cpu: float) -> list[dict[str, float]]:
    """CPU seconds per million events and median resident size of each fifth of the events, from moments of a run."""
    moments = [sample for sample in samples if sample.documents < lines]
    moments.append(Sample(lines, cpu, moments[-1].rss if moments else 0))
    parts: list[dict[str, float]] = []
    before = Sample(0, 0.0, 0)
    for number in range(1, 6):
        limit = lines * number // 5
        within = [moment for moment in moments if before.documents < moment.documents <= limit]
        # A run that is too quick for a sample in every fifth has nothing to tell.
        end = within[-1] if within else before
        done = max(1, end.documents - before.documents)
        parts.append(
            {
                "events": end.documents,
                "cpu_seconds_per_million": (end.cpu - before.cpu) / done * 1e6,
                "rss_bytes": statistics.median(moment.rss for moment in within) if within else 0.0,
            }
        )
        before = end
    return parts


def idle(setting: Setting, seconds: float) -> dict[str, Any]:
    """An agent that watches `FILES` files in which nothing happens."""
    folder = setting.folder / "idle"
    logs = folder / "logs"
    logs.mkdir(parents=True)
    for number, line in enumerate(corpus.lines(FILES)):
        (logs / f"{number:04d}.jsonl").write_bytes(line)
    program = peers.fieldtrail(folder, logs / "*.jsonl", setting.sink.port, once=False)
    setting.sink.reset(program.marker)
    with Running(program, folder) as running:
        running.until(lambda: setting.sink.stats()["marked"] >= FILES, f"{FILES} delivered lines", 0.1)
        time.sleep(5.0)  # what follows the last delivery is no idling
        before, began = running.cpu(), time.monotonic()
        time.sleep(seconds)
        spent, took = running.cpu() - before, time.monotonic() - began
        rss, peak = running.resident(), running.peak()
    return {
        "title": f"idle, {FILES:,} watched files",
        "seconds": took,
        "cpu_seconds": spent,
        "rss_bytes": rss,
        "peak_rss_bytes": peak,
        "gates": [
            Gate("idle", "CPU, % of one core", spent / took * 100, 1, least=False, unit=" %"),
            Gate("idle", "memory, MB", rss / 1e6, 100, least=False),
        ],
    }


def latency(setting: Setting, count: int) -> dict[str, Any]:
    """From writing a line to a watched file until the sink has the request that holds it, in full; an idle agent."""
    folder = setting.folder / "latency"
    folder.mkdir()
    log, source = folder / "audit.jsonl", corpus.lines(count + 1)
    log.write_bytes(next(source))
    program = peers.fieldtrail(folder, log, setting.sink.port, once=False)
    setting.sink.reset(program.marker)
    rng, delays = random.Random(corpus.SEED), []
    with Running(program, folder) as running, log.open("ab", buffering=0) as file:

        def arrived(lines: int) -> Callable[[], bool]:
            return lambda: setting.sink.stats()["marked"] >= lines

        running.until(arrived(1), "the first line", 0.05)
        time.sleep(3.0)
        for number, line in enumerate(source):
            time.sleep(rng.uniform(0.05, 0.3))
            written = time.monotonic_ns()
            file.write(line)
            running.until(arrived(number + 2), f"line {number + 2}", 0.01)
            delays.append((setting.sink.stats()["last_marked_ns"] - written) / 1e6)
    ordered = sorted(delays)
    p99 = ordered[max(0, round(0.99 * len(ordered)) - 1)]
    return {
        "title": f"delay of a line, idle agent, {count} lines",
        "milliseconds": {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]},
        "gates": [Gate("latency", "p99 from write to delivery, ms", p99, 300, least=False, unit=" ms")],
    }


def start(setting: Setting) -> dict[str, Any]:
    """From exec to the first kept event, in a new state folder; and the time of `--help`."""
    kept, delivered = [], []
    data = setting.data("json", FIRST)
    for number in range(STARTS):
        folder = setting.folder / f"start-{number}"
        folder.mkdir()
        program = peers.fieldtrail(folder, data, setting.sink.port, once=False)
        setting.sink.reset(program.marker)
        journal = folder / "state/journal"
        with Running(program, folder) as running:
            running.until(lambda at=journal: _size(at) > FRAME, "a frame with events", 0.001)  # type: ignore[misc]
            kept.append((time.monotonic_ns() - running.began_ns) / 1e6)
            running.until(lambda: setting.sink.stats()["marked"] > 0, "a delivered event", 0.005)
            delivered.append((setting.sink.stats()["first_marked_ns"] - running.began_ns) / 1e6)
    help_wall, help_cpu = _help_times()
    first, shown = spread(kept), spread(help_wall)
    return {
        "title": f"start, {FIRST:,} lines waiting",
        "first_event_kept_ms": first,
        "first_event_delivered_ms": spread(delivered),
        "help_ms": shown,
        "help_cpu_ms": spread(help_cpu),
        "note": (
            "kept: the frame with the first events is in the journal's file; its fdatasync, a few ms, may end later,\n"
            "and the first delivery follows it"
        ),
        "gates": [
            Gate("start", "first event kept, median, ms", first["median"], 800, least=False, unit=" ms"),
            Gate("start", "fieldtrail --help, median, ms", shown["median"], 200, least=False, unit=" ms"),
        ],
    }


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.seg"))


def _help_times() -> tuple[list[float], list[float]]:
    """Wall and CPU milliseconds of `fieldtrail --help`, one run after the other; the first, unmeasured, warms up."""
    starter = Path(sys.executable).with_name("fieldtrail")
    argv = [str(starter), "--help"] if starter.exists() else [sys.executable, "-m", "shipper", "--help"]
    wall, cpu = [], []
    for number in range(HELPS + 1):
        began, before = time.monotonic(), os.times()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, cwd=peers.ROOT)
        after = os.times()
        if number:
            wall.append((time.monotonic() - began) * 1e3)
            cpu.append(
                (after.children_user + after.children_system - before.children_user - before.children_system) * 1e3
            )
    return wall, cpu


ALONE: Final[Mapping[str, Callable[..., dict[str, Any]]]] = MappingProxyType(
    {"backlog": backlog, "idle": idle, "latency": latency, "start": start}
)
