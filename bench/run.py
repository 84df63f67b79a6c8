"""`make bench`: Fieldtrail, rsyslog and syslog-ng do the same work side by side; conditions, medians, ratios, gates.

The destination (sink.c) is on loopback, reads every body to its end and answers one status per document, whoever asks.
Rounds are interleaved and everyone is first in turn, so that what else the machine does meets all; still it distorts.
CPU per event is the figure to quote, as the median of the rounds' ratios. What is measured how: measure.py, alone.py.

Exit codes: 0 done, 1 with --gate where a gate is not met, 64 usage, 69 something that is needed is not here, 70 a run
went wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import corpus, peers, report  # noqa: E402 - needs the path above
from bench.alone import ALONE  # noqa: E402
from bench.conditions import conditions  # noqa: E402
from bench.failed import Failed  # noqa: E402
from bench.gates import Gate  # noqa: E402
from bench.sink import Sink  # noqa: E402
from bench.works import PLUGINS, WORKS, Setting, compare, unmet  # noqa: E402

STAGES_DEADLINE = 900.0
STAGE_LINES = 40_000
KEYS = (*WORKS, *ALONE)


def main() -> int:
    """Measure, print; the exit code."""
    try:
        options = _options()
    except SystemExit as ended:
        return 64 if ended.code else 0
    try:
        _check(options)
        with tempfile.TemporaryDirectory(prefix="fieldtrail-bench-", dir=options.dir) as folder:
            result = bench(options, Path(folder))
    except Failed as failed:
        print(f"error: {failed.cause}\nhint: {failed.hint}", file=sys.stderr)
        return failed.code
    if options.json:
        print(json.dumps({**result, "gates": [gate.told() for gate in result["gates"]]}, indent=2))
    else:
        report.show(result)
    if any("failed" in work for work in result["works"].values()):
        return 70
    return 1 if options.gate and not all(gate.met for gate in result["gates"]) else 0


def _check(options: argparse.Namespace) -> None:
    if min(options.lines, options.rounds, options.backlog, options.delays) < 1 or options.seconds <= 0:
        raise Failed(64, "numbers must be at least 1", "bench/run.py --help")
    if sys.platform != "linux":
        raise Failed(69, "the benchmark reads /proc and uses epoll: it runs on Linux only", "use a Linux machine")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fieldtrail beside its peers, and alone.")
    parser.add_argument(
        "--work",
        action="append",
        metavar="NAME",
        choices=KEYS,
        help=f"what to measure, may be repeated (default json): {', '.join(KEYS)}",
    )
    parser.add_argument("--all", action="store_true", help="everything, which takes most of an hour")
    parser.add_argument("--lines", type=int, default=500_000, help="lines of input (default 500,000)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--backlog", type=int, default=5_000_000, help="lines of the backlog (default 5,000,000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of idling (default 30)")
    parser.add_argument("--delays", type=int, default=200, help="lines whose delay is measured (default 200)")
    parser.add_argument("--quick", action="store_true", help="little of everything: whether it works at all")
    parser.add_argument("--no-stages", action="store_true", help="leave out the table of stages of the JSON work")
    parser.add_argument("--gate", action="store_true", help="exit 1 unless every gate of what ran is met")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--dir", type=Path, help="folder for input, state and journal (default: the temporary folder)")
    options = parser.parse_args()
    if options.quick:
        options.lines, options.rounds, options.backlog = 20_000, 1, 100_000
        options.seconds, options.delays = 5.0, 20
    options.work = list(KEYS) if options.all else list(dict.fromkeys(options.work or ["json"]))
    return options


def bench(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All that was asked for; what `--json` prints."""
    say: Callable[[str], None] = (lambda text: print(text, file=sys.stderr)) if options.json else print
    wanted = {name for key in options.work if key in WORKS for name in WORKS[key].contenders}
    found = {name: peers.find(*where) for name, where in PLUGINS.items() if name in wanted}
    told = conditions(folder, options.lines, options.rounds, found)
    say(report.head(told))
    sink = Sink(folder)
    setting = Setting(folder, sink, found, _Inputs(folder), options.lines, options.rounds, say)
    sizes = {"backlog": (options.backlog,), "idle": (options.seconds,), "latency": (options.delays,), "start": ()}
    works: dict[str, Any] = {}
    try:
        for key in options.work:
            try:
                if key in WORKS:
                    works[key] = compare(key, setting, floors=key == "json")
                else:
                    say(f"\n{key}")
                    works[key] = ALONE[key](setting, *sizes[key])
            except Failed as failed:
                # What was measured before it is not lost, and what comes after it is measured.
                say(f"  failed: {failed.cause}")
                cause = failed.cause.partition("\n")[0]
                gates = unmet(key, cause) if key in WORKS else [Gate(key, "it works", None, 1, least=True, why=cause)]
                works[key] = {"title": key, "failed": failed.cause, "gates": gates}
            if key == "json" and not options.no_stages:
                works[key]["stages"], shares = _stages(setting)
                works[key]["gates"] += shares
    finally:
        sink.close()
    found_gates = [gate for work in works.values() for gate in work.pop("gates")]
    return {"conditions": told, "works": works, "gates": found_gates}


class _Inputs:
    """The files of generated lines, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, kind: str, lines: int) -> Path:
        """The file of so many lines of one kind."""
        path = self._folder / f"{kind}-{lines}.log"
        if not path.exists():
            with path.open("wb") as file:
                file.writelines(corpus.lines(lines, kind))
        return path


def _stages(setting: Setting) -> tuple[dict[str, Any] | None, list[Gate]]:
    """What stages.py prints, and the gates on it. Where it fails, the figures of the runs are not lost with it."""
    data = setting.data("json", min(setting.lines, STAGE_LINES))
    argv = [sys.executable, str(ROOT / "bench/stages.py"), str(data), str(setting.sink.port)]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=STAGES_DEADLINE)
    told: dict[str, Any] | None = None
    if answer.returncode:
        print(answer.stderr, file=sys.stderr)
    else:
        told = json.loads(answer.stdout)
    limits = {"sealing": 25, "journal": 20}
    return told, [
        Gate(
            "json",
            f"{name}, % of the CPU of all stages",
            None if told is None else told[name] * 100,
            limit,
            least=False,
            unit=" %",
            why="stages.py failed",
        )
        for name, limit in limits.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
