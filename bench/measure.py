"""One program over one file: what it took.

- wall: from the start of the process until its last request was received in full
- CPU: user and system time of the process and its children from start to end (wait4)
- RSS: the peak (VmHWM) of the process, with its children's added; asked every 50 ms. What processes share counts twice
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench import proc
from bench.failed import Failed
from bench.peers import Program
from bench.sink import Sink

STALLED = 60.0
POLL = 0.05
ASK_EVERY = 0.2
STOP_GRACE = 60.0
Starter = Callable[[Path, Path, int], Program]
"""(folder for its files, input, port of the sink) -> program."""


class Sample(NamedTuple):
    """A moment of a run."""

    documents: int
    """That stand for lines, received so far."""
    cpu: float
    rss: int
    """Bytes, with the children's."""


class Run(NamedTuple):
    """One program over one file, all of it delivered. An event: a document that stands for a line or a part of it."""

    lines: int
    events: int
    wall: float
    cpu: float
    rss: int
    """Bytes."""
    bytes: int
    """Of all request bodies as they came."""
    plain_bytes: int
    documents: int
    requests: int
    sink_cpu: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.wall

    @property
    def cost(self) -> float:
        """CPU seconds per million events."""
        return self.cpu / self.events * 1e6


class Measured(NamedTuple):
    """A run, its program's name, the first document that stands for a line, and moments of the run."""

    run: Run
    name: str
    sample: Any
    samples: list[Sample]


def measure(start: Starter, data: Path, lines: int, events: int, sink: Sink, folder: Path) -> Measured:
    """Run a program over `data` until all of its events are at the sink and it has ended."""
    folder.mkdir()
    program = start(folder, data, sink.port)
    sink.reset(program.marker)
    cpu_before = sink.stats()["cpu"]
    log = folder / "log"
    samples: list[Sample] = []
    peaks: dict[int, int] = {}
    with log.open("wb") as out:
        began = time.monotonic()
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(program.argv, env=dict(program.env), stdout=out, stderr=out, cwd=folder)
        told, asked, most, moved = False, 0.0, 0, began
        while True:
            family = proc.tree(process.pid)
            for one in family:
                peaks[one] = max(peaks.get(one, 0), proc.peak(one))
            cpu, rss = sum(map(proc.cpu, family)), sum(map(proc.resident, family))
            pid, code, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                status = process.returncode = os.waitstatus_to_exitcode(code)  # wait4 has reaped it
                break
            now = time.monotonic()
            if now - asked > ASK_EVERY:
                asked = now
                counted = sink.stats()
                samples.append(Sample(counted["marked"], cpu, rss))
                if counted["documents"] > most:
                    most, moved = counted["documents"], now
                if counted["marked"] >= events and not program.ends and not told:
                    process.terminate()
                    told = True
            if now - moved > STALLED:
                process.kill()
                process.wait()
                raise _broken(program, log, f"sent nothing for {STALLED:.0f} s after {most:,} documents")
            time.sleep(POLL)
    seen = sink.stats()
    if seen["marked"] != events or seen["odd"] or status not in {0, -signal.SIGTERM}:
        raise _broken(program, log, f"exit {status}, {seen['marked']:,} of {events:,} events arrived")
    run = Run(
        lines,
        events,
        (seen["last_ns"] - began_ns) / 1e9,
        usage.ru_utime + usage.ru_stime,
        sum(peaks.values()),
        seen["bytes"],
        seen["plain_bytes"],
        seen["documents"],
        seen["requests"],
        seen["cpu"] - cpu_before,
    )
    shutil.rmtree(folder)
    return Measured(run, program.name, sink.sample(), samples)


def _broken(program: Program, log: Path, cause: str) -> Failed:
    print(log.read_text(encoding="utf-8", errors="replace")[-4000:], file=sys.stderr)
    return Failed(70, f"{program.name}: {cause}", "see its output above")


class Running:
    """A program that stays, for what is measured while it runs: a context manager that ends it."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program, self._log = program, folder / "log"
        self.began_ns = time.monotonic_ns()
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(program.argv, env=dict(program.env), stdout=out, stderr=out, cwd=folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def until(self, reached: Callable[[], bool], what: str, every: float) -> None:
        """Ask until it is true; `Failed` where the program ends before, or nothing comes of it."""
        deadline = time.monotonic() + STALLED
        while not reached():
            if self._process.poll() is not None:
                raise _broken(self._program, self._log, f"ended with {self._process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise _broken(self._program, self._log, f"{STALLED:.0f} s without {what}")
            time.sleep(every)

    def cpu(self) -> float:
        """Seconds so far, with its children's."""
        return sum(map(proc.cpu, proc.tree(self._process.pid)))

    def resident(self) -> int:
        """Bytes now, with its children's."""
        return sum(map(proc.resident, proc.tree(self._process.pid)))

    def peak(self) -> int:
        """The peak in bytes, with its children's."""
        return sum(map(proc.peak, proc.tree(self._process.pid)))
