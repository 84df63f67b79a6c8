"""What is piped in can be read once only: a stop and a new configuration lose nothing of it."""

import contextlib
import signal
import subprocess

import pytest

from tests.e2e.agent_process import eventually, line, lines, numbers

INPUTS = [{"id": "in", "type": "stdin", "format": "app"}]


@pytest.fixture
def piped(place):
    place.write(inputs=INPUTS)
    agent = place.start(stdin=subprocess.PIPE).ready()
    yield agent
    with contextlib.suppress(BrokenPipeError):  # what a test that failed has not sent
        agent.process.stdin.close()


def send(agent, data):
    agent.process.stdin.write(data)
    agent.process.stdin.flush()


def test_a_line_in_the_midst_of_which_the_configuration_changes_stays_whole(place, piped):
    whole = line(20) + "\n"
    send(piped, lines(0, 20) + whole[:30].encode())
    eventually(lambda: numbers(place.stored()) == list(range(20)))
    place.write(inputs=INPUTS, seal={"interval": "7s"})
    piped.signal(signal.SIGHUP)
    piped.wait_told("agent started", 2)
    send(piped, whole[30:].encode() + lines(21, 5))
    eventually(lambda: numbers(place.stored()) == list(range(26)))
    assert piped.terminate() == 0
    place.verified()


def test_a_stop_keeps_what_is_in_the_pipe_and_the_line_that_was_not_ended(place, piped):
    piped.signal(signal.SIGSTOP)
    send(piped, lines(0, 100) + line(100).encode())
    piped.signal(signal.SIGTERM)
    piped.signal(signal.SIGCONT)
    assert piped.end() == 0
    assert numbers(place.stored()) == list(range(101))
    place.verified()
