"""The agent's own log lines may fail to be written; that costs lines and nothing else."""

import os
import subprocess

from tests.e2e.agent_process import COMMAND, conserved, environment, eventually, lines, numbers


def test_a_full_disk_under_standard_error_ends_nothing(place):
    place.append(lines(0, 20))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "run", "--once", "-c", str(place.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=full,
            env=environment(place.root),
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    assert numbers(place.stored()) == list(range(20))
    place.verified()


def test_a_reader_of_standard_error_that_went_away_ends_nothing(place):
    theirs, ours = os.pipe()
    agent = subprocess.Popen(
        [*COMMAND, "run", "-c", str(place.config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=ours,
        env=environment(place.root),
    )
    os.close(ours)
    try:
        eventually(place.status, "the agent answers")
        os.close(theirs)
        place.append(lines(0, 20))
        conserved(place.settled(20))
        agent.terminate()  # it says farewell, to nobody
        assert agent.wait(60) == 0
    finally:
        agent.kill()
        agent.wait()
    assert numbers(place.stored()) == list(range(20))
