"""`make profile`: where the CPU of the JSON work goes, by function, with nothing but the standard library.

Two runs of the agent, each in a process of its own and with a limit on what it can tell:

- *by the clock*: a thread looks every few ms at the CPU clock of every other thread and gives what was spent since the
  last look to the function that the thread is in now. Waiting costs nothing there, and the sums per thread are exact.
  It gets its turn only when the interpreter switches threads, at the end of a call or where a loop or a function
  begins, so a neighbour may be meant, and what gives way by itself (a read, a large hash) is met a little too often. C
  functions (json, hashing, regular expressions, zlib) have no frame: their time is their caller's.
- *by counting* (cProfile in every thread): every call, C functions too, with its count. Its own cost, some tenths of a
  us a call, makes what calls much look dearer, and its clock is the wall's: whoever waits for another thread is
  charged, and only what does nothing but wait is left out. So read counts and C functions here, and times there.

Neither sees parsing processes (`agent.workers` > 1), nor what the kernel does after a call has returned.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Self, TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import corpus, peers  # noqa: E402 - needs the path above
from bench.failed import Failed  # noqa: E402
from bench.sink import Sink  # noqa: E402
from bench.works import WORKS  # noqa: E402
from shipper.cli import main as fieldtrail  # noqa: E402

EVERY = 0.002
SWITCH = 0.00002
"""Seconds after which a thread is asked to let another run, instead of 0.005: the later the sampler comes, the more
often it comes where the thread lets go by itself."""
SHOWN = 0.002
"""Threads with a smaller share of the CPU are told as one."""
WAITS = ("sigwait", "'_accept'", "'acquire'", "'poll'", "'select'")
Key = TypeVar("Key")
INSIDE = (str(ROOT) + os.sep, sys.prefix + os.sep)


class Sampler(threading.Thread):
    """CPU seconds of all other threads, by function: `own` while it is on top, `within` while it is on the stack."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.own: defaultdict[CodeType, float] = defaultdict(float)
        self.within: defaultdict[CodeType, float] = defaultdict(float)
        self.imports = 0.0
        """Spent while modules are imported: a start's, and none of the lines'."""
        self.threads: defaultdict[str, float] = defaultdict(float)
        self.looks = 0
        self._over = threading.Event()
        self._clocks: dict[int, float] = {}

    def run(self) -> None:
        """Look until it is over."""
        while not self._over.wait(EVERY):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way
                if ident != self.ident and ident in names:
                    self._look(ident, names[ident], frame)
            self.looks += 1

    def _look(self, ident: int, name: str, frame: FrameType | None) -> None:
        try:
            now = time.clock_gettime(time.pthread_getcpuclockid(ident))
        except OSError:
            return  # it ended between the two
        spent = now - self._clocks.get(ident, now)
        self._clocks[ident] = now
        if spent <= 0 or frame is None:
            return
        self.threads[name] += spent
        stack = {frame.f_code: None}
        while (frame := frame.f_back) is not None:
            stack[frame.f_code] = None
        if any(code.co_filename.startswith("<frozen importlib") for code in stack):
            self.imports += spent
            return
        self.own[next(iter(stack))] += spent
        for code in stack:
            self.within[code] += spent

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join()

    def show(self, lines: int, most: int) -> None:
        """Print what was seen, in us per line of the input."""
        total = sum(self.threads.values())
        print(f"By the clock: {total:.2f} CPU-s in {self.looks:,} looks, {total / lines * 1e6:.1f} us a line")
        shown = {name: spent for name, spent in _descending(self.threads) if spent > SHOWN * total}
        for name, spent in {**shown, "(all others)": total - sum(shown.values())}.items():
            print(f"  thread {name:24}{spent / lines * 1e6:>8.2f} us{spent / total:>6.0%}")
        print(f"  {'own us':>8}{'share':>7}{'within':>9}  function")
        print(f"  {self.imports / lines * 1e6:>8.2f}{self.imports / total:>7.1%}{'':9}  imports at the start")
        for code, spent in _descending(self.own)[:most]:
            print(
                f"  {spent / lines * 1e6:>8.2f}{spent / total:>7.1%}{self.within[code] / lines * 1e6:>9.2f}"
                f"  {_place(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"
            )


def _descending(spent: Mapping[Key, float]) -> list[tuple[Key, float]]:
    return sorted(spent.items(), key=lambda item: item[1], reverse=True)


def _place(file: str) -> str:
    for folder in INSIDE:
        file = file.removeprefix(folder)
    return file


class Counting:
    """cProfile in every thread that begins while it is on, and in this one."""

    def __init__(self) -> None:
        self._own = cProfile.Profile()
        self._all = [self._own]

    def __enter__(self) -> Self:
        threading.setprofile(self._begin)
        self._own.enable()
        return self

    def _begin(self, *_: object) -> None:
        """The first event of a new thread: from here on its own profile takes over."""
        profile = cProfile.Profile()
        self._all.append(profile)
        profile.enable()

    def __exit__(self, *_: object) -> None:
        self._own.disable()
        threading.setprofile(None)

    def show(self, lines: int, most: int) -> None:
        """Print the dearest functions, in calls and us per line of the input."""
        stats = pstats.Stats(*self._all)
        timed: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
        working = [item for item in timed.items() if not any(wait in item[0][2] for wait in WAITS)]
        rows = sorted(working, key=lambda item: item[1][2], reverse=True)
        print(f"By counting: {'calls a line':>14}{'own us':>9}{'within':>9}  function")
        for (file, line, name), (_, calls, own, within, _) in rows[:most]:
            where = name if file == "~" else f"{_place(file)}:{line} {name}"
            print(f"{calls / lines:>27.2f}{own / lines * 1e6:>9.2f}{within / lines * 1e6:>9.2f}  {where}")


def _run(folder: Path, data: Path, sink: Sink, work: str) -> None:
    """`fieldtrail run --once` in this process; `Failed` where it does not end well."""
    program = peers.fieldtrail(folder, data, sink.port, WORKS[work].conf)
    log = folder / "log"
    with log.open("w", encoding="utf-8") as out, contextlib.redirect_stderr(out):
        sys.argv = ["fieldtrail", *program.argv[program.argv.index("run") :]]
        code: object = 0
        try:
            fieldtrail()
        except SystemExit as ended:
            code = ended.code
    if code:
        raise Failed(70, f"fieldtrail ended with {code}:\n{log.read_text(encoding='utf-8')[-4000:]}", "see above")


def _sampled(options: argparse.Namespace, run: Callable[[], None]) -> None:
    sys.setswitchinterval(SWITCH)
    sampler = Sampler()
    sampler.start()
    run()
    sampler.end()
    sampler.show(options.lines, options.most)


def _counted(options: argparse.Namespace, run: Callable[[], None]) -> None:
    with Counting() as counting:
        run()
    counting.show(options.lines, options.most)


WAYS = {"clock": _sampled, "counting": _counted}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The hot functions of a piece of the benchmark's work.")
    parser.add_argument("--work", default="json", choices=["json", "pairs", "nginx", "sshd"], help="(default json)")
    parser.add_argument("--lines", type=int, default=150_000, help="lines of input (default 150,000)")
    parser.add_argument("--most", type=int, default=30, help="functions in each table (default 30)")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="one table alone (default both)")
    options = parser.parse_args()
    options.way = options.way or list(WAYS)
    return options


def main() -> int:
    """Profile, print; the exit code."""
    options = _options()
    if len(options.way) > 1:
        # What one run has imported, configured and cached must not show in the next one's figures.
        argv = [sys.executable, __file__, *(f"--{name}={getattr(options, name)}" for name in ("work", "lines", "most"))]
        return max(subprocess.run([*argv, f"--way={way}"], check=False).returncode for way in options.way)
    try:
        with tempfile.TemporaryDirectory(prefix="fieldtrail-profile-") as place:
            folder = Path(place)
            data = folder / "input.log"
            with data.open("wb") as file:
                file.writelines(corpus.lines(options.lines, WORKS[options.work].kind))
            sink = Sink(folder)
            print(f"\n{WORKS[options.work].title}, {options.lines:,} lines (what it can tell: bench/profiling.py)")
            try:
                WAYS[options.way[0]](options, lambda: _run(folder, data, sink, options.work))
            finally:
                sink.close()
    except Failed as failed:
        print(f"error: {failed.cause}\nhint: {failed.hint}", file=sys.stderr)
        return failed.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
