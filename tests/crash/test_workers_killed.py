"""An agent with parsing processes: they may die at any moment, they obey nobody but the agent, and never outlive it."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.agent_process import Place, eventually, lines, numbers

DIED = "parsing process died, its lines are parsed again"


def ends(agent):
    """How many processes the agent has seen end."""
    return len(agent.told(DIED)) + len(agent.told("parsing process not started, will try again"))


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def children(pid):
    """The process ids of a process's children."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return found


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]


def test_parsing_processes_that_are_killed_lose_and_repeat_nothing(place):
    count = 20_000
    place.write(agent={"workers": 2})
    place.append(lines(0, count))
    agent = place.start().ready()
    killed = set()

    def torment():
        status = place.status()
        if status and 0 < status["inputs"][0]["read"] < count and len(killed) < 3:
            victim = next((pid for pid in children(agent.pid) if pid not in killed), None)
            if victim is not None and len(killed) == len(agent.told(DIED)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.add(victim)
        return bool(status) and status["inputs"][0]["read"] >= count

    eventually(torment, "all lines read")
    place.settled(count)
    assert len(killed) == ends(agent) >= len(agent.told(DIED)) > 0
    eventually(lambda: len(children(agent.pid)) == 2, "two processes again")
    assert agent.terminate() == 0
    assert numbers(place.archived()) == list(range(count))
    place.verified()


def test_no_parsing_process_outlives_an_agent_that_is_killed(place):
    place.write(agent={"workers": 3})
    place.append(lines(0, 3000))
    agent = place.start().ready()
    pids = eventually(lambda: len(children(agent.pid)) == 3 and children(agent.pid))
    agent.kill()
    eventually(lambda: not alive(pids), "all processes gone")
    done = place.once()
    assert done.code == 0, done
    assert numbers(place.archived()) == list(range(3000))
    place.verified()


def test_parsing_processes_leave_signals_to_the_agent(place):
    place.write(agent={"workers": 2})
    place.append(lines(0, 100))
    agent = place.start().ready()
    place.settled(100)
    pids = children(agent.pid)
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    place.append(lines(100, 100))
    place.settled(200)
    assert children(agent.pid) == pids
    assert agent.terminate() == 0
    assert not alive(pids)
    assert numbers(place.archived()) == list(range(200))


def test_a_reload_ends_the_processes_of_the_configuration_before(place):
    place.write(agent={"workers": 2})
    place.append(lines(0, 2000))
    agent = place.start().ready()
    before = eventually(lambda: len(children(agent.pid)) == 2 and children(agent.pid))
    place.write(agent={"workers": 3})
    agent.signal(signal.SIGHUP)
    agent.wait_told("agent started", 2)
    after = eventually(lambda: len(children(agent.pid)) == 3 and children(agent.pid))
    assert not set(before) & set(after)
    assert not alive(before)
    place.append(lines(2000, 100))
    eventually(lambda: len(numbers(place.archived())) == 2100, "all lines shipped")
    assert agent.terminate() == 0
    assert numbers(place.archived()) == list(range(2100))
    place.verified()
