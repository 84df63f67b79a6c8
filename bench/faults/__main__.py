"""`make bench-faults`: who lost, who doubled, who kept; a table, with conditions. Asserts nothing.

Each scenario is played to Fieldtrail, rsyslog and syslog-ng, each of them once told to read the logs alone and once
with their rotated generations, several rounds; the worst figure of the rounds is shown. Trials run side by side, each
with a writer, an agent and a sink of its own. Nothing is said about speed.

Exit codes: 0 done, 64 usage, 69 something that is needed is not here, 70 a trial could not be played.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from bench.conditions import file_system
from bench.failed import Failed
from bench.faults.agents import FIELDTRAIL, NAMES, NEEDED, TEMPLATES, Agent, agents
from bench.faults.play import BY_NAME, Results, play
from bench.faults.scenarios import Scenario
from bench.faults.trial import QUIET, RATE, Count
from bench.peers import ROOT

PRODUCTS = (FIELDTRAIL, *NEEDED)


def main() -> int:
    """Play, print; the exit code."""
    try:
        options = _options()
    except SystemExit as ended:
        return 64 if ended.code else 0
    chosen = [BY_NAME[name] for name in options.only or BY_NAME]
    rounds = 1 if options.quick else options.rounds
    try:
        found, versions = agents(options.agent or list(PRODUCTS))
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fieldtrail-faults-", dir=options.dir) as folder:
            results = play(chosen, found, rounds, options.jobs, Path(folder))
            told = _conditions(Path(folder), versions, rounds, options.jobs, time.monotonic() - began)
    except Failed as failed:
        print(f"error: {failed.cause}\nhint: {failed.hint}", file=sys.stderr)
        return failed.code
    if options.json:
        print(json.dumps({"conditions": told, "results": _as_json(chosen, found, results)}, indent=2))
    else:
        _show(chosen, found, results, told)
    failures = {key: came for key, came in results.items() if isinstance(came, Failed)}
    for (scenario, agent), why in failures.items():
        print(f"error: {scenario}, {agent}: {why.cause}\nhint: {why.hint}", file=sys.stderr)
    return 70 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description="Who loses, who doubles, who keeps")
    parser.add_argument("--only", action="append", choices=BY_NAME, help="this scenario (again for more)")
    parser.add_argument("--agent", action="append", choices=PRODUCTS, help="this product (again for more)")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each is played (3)")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--jobs", type=_positive, default=8, help="trials at a time (8); most of a trial is waiting")
    parser.add_argument("--dir", type=Path, help="where to work; the file system matters (the one for temporary files)")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _conditions(
    folder: Path, versions: dict[str, str], rounds: int, jobs: int, seconds: float
) -> dict[str, str | int | float]:
    return {
        **versions,
        "configurations": f"{TEMPLATES.relative_to(ROOT)}/",
        "rounds (the worst figure is shown)": rounds,
        "trials at a time": jobs,
        "lines a second": RATE,
        "lost is what is missing after a quiet of, seconds": QUIET,
        "kernel": platform.release(),
        "cores": os.cpu_count() or 0,
        "file system": file_system(folder),
        "python": platform.python_version(),
        "took, seconds": round(seconds),
    }


def _as_json(chosen: list[Scenario], found: list[Agent], results: Results) -> dict[str, object]:
    def one(count: Count | Failed | None) -> dict[str, int] | str | None:
        return count._asdict() if isinstance(count, Count) else cell(count) if count else None

    return {
        scenario.name: {agent.title: one(results[scenario.name, agent.title]) for agent in found} for scenario in chosen
    }


def _show(chosen: list[Scenario], found: list[Agent], results: Results, told: dict[str, str | int | float]) -> None:
    for name, value in told.items():
        print(f"{name:50}  {value}")
    print()
    print(
        "| what happens | lines | " + " | ".join(f"{agent.product} `{NAMES[agent.pattern]}`" for agent in found) + " |"
    )
    print("|---" * (len(found) + 2) + "|")
    for scenario in chosen:
        counts = [results[scenario.name, agent.title] for agent in found]
        lines = next((count.written for count in counts if isinstance(count, Count)), 0)
        print(f"| {scenario.title} | {lines} | " + " | ".join(map(cell, counts)) + " |")


def cell(count: Count | Failed | None) -> str:
    """What a cell of the table says of a count."""
    if count is None:
        return "cannot"
    if isinstance(count, Failed):
        return "failed"
    words = ("lost", "doubled", "out of order", "torn")
    return ", ".join(f"{word} {figure}" for word, figure in zip(words, count[1:], strict=True) if figure) or "kept"


if __name__ == "__main__":
    sys.exit(main())
