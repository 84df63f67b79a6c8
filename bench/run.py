"""`make bench`: Fieldtrail and rsyslog do the same work side by side; conditions, medians and ratios are printed.

The work: JSON audit lines (corpus.py) become ECS documents and go by `_bulk` to a destination on loopback (sink.c)
that reads every body to its end and answers one status per document. Rounds are interleaved and their order alternates,
so what else the machine does meets both; still it distorts. CPU per event is the figure to quote, as the ratio of one
round's two runs.

- wall: from the start of the process until its last request was received in full
- CPU: user and system time of the process and its children from start to end (wait4)
- RSS: the peak (VmHWM), asked every 50 ms

Exit codes: 0 done, 1 with --gate where Fieldtrail does not need less CPU per event than rsyslog, 64 usage, 69 something
that is needed is not here, 70 a run went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import corpus, peers  # noqa: E402 - needs the path above
from shipper import __version__  # noqa: E402

STALLED = 60.0
STAGES_DEADLINE = 900.0
POLL = 0.05
FLOOR_RUNS = 3
Starter = Callable[[Path, Path], peers.Program]


class Run(NamedTuple):
    """One program over one file."""

    lines: int
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
        """Lines per second."""
        return self.lines / self.wall

    @property
    def cost(self) -> float:
        """CPU seconds per million lines."""
        return self.cpu / self.lines * 1e6


def fail(code: int, cause: str, hint: str) -> NoReturn:
    """End with one line for the cause and one for what to type."""
    print(f"error: {cause}\nhint: {hint}", file=sys.stderr)
    sys.exit(code)


# -- the destination ---------------------------------------------------------------------------------------------------


class Sink:
    """The destination, and the questions that only the benchmark asks it."""

    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            fail(69, "no C compiler: bench/sink.c has to be compiled", "apt-get install gcc libc6-dev zlib1g-dev")
        program, source = folder / "sink", ROOT / "bench/sink.c"
        base = [compiler, "-O2", "-o", str(program), str(source)]
        with_zlib = subprocess.run([*base, "-DHAVE_ZLIB", "-lz"], capture_output=True, check=False)
        self.gzip = with_zlib.returncode == 0
        if not self.gzip:
            plain = subprocess.run(base, capture_output=True, text=True, check=False)
            if plain.returncode:
                fail(69, f"bench/sink.c cannot be compiled:\n{plain.stderr}", "apt-get install gcc libc6-dev")
        templates = folder / "templates.json"
        templates.write_bytes(peers.templates_answer())
        self._process = subprocess.Popen([program, templates], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().split()
        if len(said) != 2:
            fail(70, "the sink did not start", f"{program} {templates}")
        self.port = int(said[1])

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def reset(self, marker: str) -> None:
        """Count anew, documents with this marker apart."""
        self._ask("POST", "/_sink/reset", marker.encode())

    def stats(self) -> dict[str, Any]:
        """The counts since `reset`."""
        told: dict[str, Any] = json.loads(self._ask("GET", "/_sink/stats"))
        return told

    def sample(self) -> bytes:
        """The first marked document since `reset`."""
        return self._ask("GET", "/_sink/sample")

    def close(self) -> None:
        """End it."""
        self._process.communicate()


# -- one run -----------------------------------------------------------------------------------------------------------


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    return 0


def measure(start: Starter, data: Path, lines: int, sink: Sink, folder: Path) -> tuple[Run, str]:
    """Run a program over `data` until all of its lines are at the sink and it has ended; the run and its name."""
    folder.mkdir()
    program = start(folder, data)
    sink.reset(program.marker)
    cpu_before = sink.stats()["cpu"]
    log = folder / "log"
    with log.open("wb") as out:
        began = time.monotonic()
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(program.argv, env=dict(program.env), stdout=out, stderr=out, cwd=folder)
        rss, told, asked, status, usage = 0, False, 0.0, None, None
        most, moved = 0, began
        while usage is None:
            rss = max(rss, _peak(process.pid))
            pid, code, spent = os.wait4(process.pid, os.WNOHANG)
            if pid:
                status, usage = os.waitstatus_to_exitcode(code), spent
                process.returncode = status  # wait4 has reaped it
                break
            now = time.monotonic()
            if now - asked > 0.2:
                asked = now
                counted = sink.stats()
                if counted["documents"] > most:
                    most, moved = counted["documents"], now
                if counted["marked"] >= lines and not program.ends and not told:
                    process.terminate()
                    told = True
            if now - moved > STALLED:
                process.kill()
                process.wait()
                print(log.read_text(encoding="utf-8", errors="replace")[-4000:], file=sys.stderr)
                fail(70, f"{program.name} sent nothing for {STALLED:.0f} s", "see its output above")
            time.sleep(POLL)
    seen = sink.stats()
    if seen["marked"] != lines or seen["odd"] or status not in {0, -signal.SIGTERM}:
        print(log.read_text(encoding="utf-8", errors="replace")[-4000:], file=sys.stderr)
        fail(
            70, f"{program.name}: exit {status}, {seen['marked']:,} of {lines:,} lines arrived", "see its output above"
        )
    run = Run(
        lines,
        (seen["last_ns"] - began_ns) / 1e9,
        usage.ru_utime + usage.ru_stime,
        rss,
        seen["bytes"],
        seen["plain_bytes"],
        seen["documents"],
        seen["requests"],
        seen["cpu"] - cpu_before,
    )
    shutil.rmtree(folder)
    return run, program.name


# -- conditions --------------------------------------------------------------------------------------------------------


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if found:
            return found[1]
    return platform.machine()


def _optimized() -> str:
    built = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "built with PGO" if "--enable-optimizations" in built else "built without PGO"


def _file_system(folder: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind = line.split()[:3]
        if folder.is_relative_to(point) and len(point) > len(best[0]):
            best = (point, kind)
    return best[1]


def conditions(folder: Path, lines: int, rounds: int, size: int, found: tuple[Path, Path | None]) -> dict[str, Any]:
    """All that a reader has to know to judge the figures."""
    answer = subprocess.run(
        [found[0], "-v"], env=peers.environment(found[1]), capture_output=True, text=True, check=False
    )
    version = re.search(r"rsyslogd\s+([\d.]+)", answer.stdout)
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "file system": _file_system(folder),
        "fieldtrail": __version__,
        "python": f"{platform.python_version()} ({_optimized()})",
        "orjson": importlib.metadata.version("orjson"),
        "opensearch-py": importlib.metadata.version("opensearch-py"),
        "rsyslog": version[1] if version else "unknown",
        "lines": lines,
        "bytes a line": round(size / lines, 1),
        "rounds": rounds,
        "load average at start": round(os.getloadavg()[0], 2),
    }


# -- the whole ---------------------------------------------------------------------------------------------------------


def _row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    def middle(values: Iterator[float]) -> float:
        return statistics.median(list(values))

    return {
        "name": name,
        "events_per_second": middle(run.rate for run in runs),
        "cpu_seconds_per_million": middle(run.cost for run in runs),
        "peak_rss_bytes": middle(float(run.rss) for run in runs),
        "body_bytes_per_line": middle(run.plain_bytes / run.lines for run in runs),
        "sent_bytes_per_line": middle(run.bytes / run.lines for run in runs),
        "requests": middle(float(run.requests) for run in runs),
        "further_documents": middle(float(run.documents - run.lines) for run in runs),
        "sink_cpu_seconds_per_million": middle(run.sink_cpu / run.lines * 1e6 for run in runs),
        "runs": [{"events_per_second": run.rate, "cpu_seconds_per_million": run.cost} for run in runs],
    }


def _ratio(ours: Sequence[Run], theirs: Sequence[Run], floor: dict[str, float]) -> dict[str, Any]:
    cpu = [a.cost / b.cost for a, b in zip(ours, theirs, strict=True)]
    steady = [(a.cpu - floor["fieldtrail"]) / (b.cpu - floor["rsyslog"]) for a, b in zip(ours, theirs, strict=True)]
    speed = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
    return {
        "cpu_per_event": {"rounds": cpu, "median": statistics.median(cpu)},
        "cpu_per_event_without_start_and_end": {"rounds": steady, "median": statistics.median(steady)},
        "events_per_second": {"rounds": speed, "median": statistics.median(speed)},
    }


def bench(options: argparse.Namespace, folder: Path, found: tuple[Path, Path | None]) -> dict[str, Any]:
    """All runs; what `--json` prints."""
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    data, single = folder / "audit.jsonl", folder / "one.jsonl"
    with data.open("wb") as file:
        file.writelines(corpus.lines(options.lines))
    single.write_bytes(next(corpus.lines(1)))
    told = conditions(folder, options.lines, options.rounds, data.stat().st_size, found)
    say("Conditions")
    for name, value in told.items():
        say(f"  {name:24}{value:,}" if isinstance(value, int) else f"  {name:24}{value}")
    say("  Other load on the machine distorts: quote ratios, and CPU rather than wall time.\n")
    sink = Sink(folder)
    starters: dict[str, Starter] = {
        "fieldtrail": lambda place, source: peers.fieldtrail(place, source, sink.port, "none"),
        "rsyslog": lambda place, source: peers.rsyslog(place, source, sink.port, found),
    }
    if sink.gzip:
        starters["gzip"] = lambda place, source: peers.fieldtrail(place, source, sink.port, "gzip")
    runs: dict[str, list[Run]] = {key: [] for key in starters}
    names: dict[str, str] = {}
    fields: dict[str, int] = {}
    floor: dict[str, float] = {}
    try:
        for key in ("fieldtrail", "rsyslog"):
            tries = [measure(starters[key], single, 1, sink, folder / f"one-{key}-{n}") for n in range(FLOOR_RUNS)]
            names[key] = tries[0][1]
            floor[key] = min(run.cpu for run, _ in tries)
            fields[key] = peers.leaves(json.loads(sink.sample()))
        for number in range(options.rounds):
            order = list(starters)
            if number % 2:
                order[:2] = reversed(order[:2])
            for key in order:
                data.read_bytes()  # into the page cache, for whoever comes first
                run, names[key] = measure(starters[key], data, options.lines, sink, folder / f"{number}-{key}")
                runs[key].append(run)
                say(f"  round {number + 1}  {names[key]:18}{run.rate:>9,.0f} ev/s  {run.cost:>7.1f} CPU-s/M")
        stages = None if options.no_stages else _stages(folder, min(options.lines, 40_000), sink)
    finally:
        sink.close()
    return {
        "conditions": told,
        "table": [_row(names[key], runs[key]) for key in starters],
        "ratio": _ratio(runs["fieldtrail"], runs["rsyslog"], floor),
        "start_and_end_cpu_seconds": {names[key]: value for key, value in floor.items()},
        "fields": {names[key]: value for key, value in fields.items()},
        "stages": stages,
    }


def _stages(folder: Path, lines: int, sink: Sink) -> dict[str, Any] | None:
    """What stages.py prints; None where it failed, so that the figures of the runs are not lost with it."""
    data = folder / "stages.jsonl"
    with data.open("wb") as file:
        file.writelines(corpus.lines(lines))
    argv = [sys.executable, str(ROOT / "bench/stages.py"), str(data), str(sink.port)]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=STAGES_DEADLINE)
    if answer.returncode:
        print(answer.stderr, file=sys.stderr)
        return None
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def show(result: dict[str, Any]) -> None:
    """The tables."""
    print(f"\n{'median':20}{'ev/s':>10}{'CPU-s/M':>10}{'RSS MB':>9}{'body B/line':>13}{'sent B/line':>13}{'fields':>8}")
    for row in result["table"]:
        fields = result["fields"].get(row["name"], "")
        print(
            f"{row['name']:20}{row['events_per_second']:>10,.0f}{row['cpu_seconds_per_million']:>10.1f}"
            f"{row['peak_rss_bytes'] / 1e6:>9.0f}{row['body_bytes_per_line']:>13,.0f}"
            f"{row['sent_bytes_per_line']:>13,.0f}{fields:>8}"
        )
    sink = result["table"][0]["sink_cpu_seconds_per_million"]
    print(f"the sink itself: {sink:.1f} CPU-s/M in the Fieldtrail runs")
    floors = ", ".join(f"{name} {cpu:.2f}" for name, cpu in result["start_and_end_cpu_seconds"].items())
    print(f"start and end are in the figures; CPU-s a run, measured with one line: {floors}")
    ratio = result["ratio"]
    print("\nFieldtrail / rsyslog, round by round")
    for key, name in (
        ("cpu_per_event", "CPU per event"),
        ("cpu_per_event_without_start_and_end", "the same without start and end"),
        ("events_per_second", "events/s"),
    ):
        rounds = "  ".join(f"{value:.2f}" for value in ratio[key]["rounds"])
        print(f"  {name:32}{rounds}   median {ratio[key]['median']:.2f}")
    print(
        "Fieldtrail seals every document (hash, tree, signed checkpoints) and keeps it in a synced journal before it\n"
        "is sent; rsyslog, as configured, does neither: its queues are in memory."
    )
    if result["stages"]:
        stages = result["stages"]
        print(f"\nFieldtrail stage by stage, in isolation ({stages['lines']:,} lines, CPU us per line)")
        total = sum(value for name, value in stages["stages"].items() if name not in stages["extra"])
        for name, value in stages["stages"].items():
            share = "  not in the sum" if name in stages["extra"] else f"{value / total:>6.0%}"
            print(f"  {name:28}{value / 1000:>7.2f}{share}")
        print(f"  {'sum':28}{total / 1000:>7.2f}")
    met = ratio["cpu_per_event"]["median"] < 1
    print(f"\nLess CPU per event than rsyslog: {'yes' if met else 'NO'}")


def main() -> int:
    """Measure, print; the exit code."""
    parser = argparse.ArgumentParser(description="Fieldtrail and rsyslog side by side on the same work.")
    parser.add_argument("--lines", type=int, default=500_000, help="lines of input (default 500,000)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--quick", action="store_true", help="20,000 lines and one round: whether it works at all")
    parser.add_argument("--no-stages", action="store_true", help="leave out the table of stages")
    parser.add_argument("--gate", action="store_true", help="exit 1 unless Fieldtrail needs less CPU per event")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--dir", type=Path, help="folder for input, state and journal (default: the temporary folder)")
    try:
        options = parser.parse_args()
    except SystemExit as ended:
        return 64 if ended.code else 0
    if options.quick:
        options.lines, options.rounds = 20_000, 1
    if options.lines < 1 or options.rounds < 1:
        fail(64, "--lines and --rounds must be at least 1", "bench/run.py --help")
    if sys.platform != "linux":
        fail(69, "the benchmark reads /proc and uses epoll: it runs on Linux only", "run it in a Linux machine")
    found = peers.find_rsyslog()
    if found is None:
        fail(
            69,
            "no rsyslog with omelasticsearch and mmjsonparse on PATH or in the cache",
            "bench/install_rsyslog.sh, or: apt-get install rsyslog rsyslog-elasticsearch",
        )
    with tempfile.TemporaryDirectory(prefix="fieldtrail-bench-", dir=options.dir) as folder:
        result = bench(options, Path(folder), found)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    if result["stages"] is None and not options.no_stages:
        fail(70, "bench/stages.py failed, see its output above", "bench/run.py --no-stages")
    return 1 if options.gate and result["ratio"]["cpu_per_event"]["median"] >= 1 else 0


if __name__ == "__main__":
    sys.exit(main())
