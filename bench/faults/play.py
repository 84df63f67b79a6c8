"""Playing the scenarios to the agents, several trials at a time, each in a process of its own."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from pathlib import Path

from bench.failed import Failed
from bench.faults.agents import Agent
from bench.faults.scenarios import SCENARIOS, Scenario, Taken
from bench.faults.trial import Count, Trial

ATTEMPTS = 5
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
Results = dict[tuple[str, str], Count | Failed | None]
"""(scenario, agent) -> the worst of its rounds; None where the agent cannot send that way."""


def play(chosen: list[Scenario], found: list[Agent], rounds: int, jobs: int, folder: Path) -> Results:
    """Every scenario to every agent, so many rounds, `jobs` at a time."""
    results: Results = {}
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {}
        for number in range(rounds):
            for scenario in chosen:
                for agent in found:
                    key = (scenario.name, agent.title)
                    if not agent.speaks(scenario.transport):
                        results[key] = None
                        continue
                    place = folder / f"{number}-{scenario.name}-{found.index(agent)}"
                    running[pool.submit(_trial, scenario.name, agent, place)] = key
        for done in concurrent.futures.as_completed(running):
            key, came = running[done], done.result()
            before = results.get(key)
            if isinstance(before, Count) and isinstance(came, Count):
                results[key] = Count(*map(max, before, came))
            elif not isinstance(before, Failed):
                results[key] = came
    return results


def _trial(name: str, agent: Agent, folder: Path) -> Count | Failed:
    why: Failed | None = None
    for attempt in range(ATTEMPTS):
        try:
            return _played(BY_NAME[name], agent, folder / str(attempt))
        except Taken as taken:
            why = taken
        except Failed as failed:
            return failed
    assert why is not None
    return why


def _played(scenario: Scenario, agent: Agent, folder: Path) -> Count:
    trial = Trial(agent, folder, scenario.transport)
    try:
        scenario.play(trial)
        return trial.finished()
    finally:
        trial.close()
