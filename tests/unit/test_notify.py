"""The service manager hears when the agent is ready, reloads, stops and lives, and nothing else."""

import contextlib
import itertools
import math
import os
import socket

import pytest

from shipper import notify
from shipper.notify import LONGEST_SILENCE, Notifier, from_environment


class Hands:
    """A clock that is set by hand."""

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


class Manager:
    """A service manager's socket."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(address)

    def heard(self):
        """What came in since it was asked last, one list of lines for each message."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096).decode().split("\n"))
        return found


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    made.address = str(tmp_path / "notify")
    yield made
    made.socket.close()


def test_ready_comes_with_a_status_of_one_line(manager):
    from_environment({"NOTIFY_SOCKET": manager.address}).ready("2 inputs,\nREADY=0")
    assert manager.heard() == [["READY=1", "STATUS=2 inputs, READY=0"]]


def test_an_abstract_address_is_understood():
    manager = Manager(f"\0fieldtrail-test-{os.getpid()}")
    with contextlib.closing(manager.socket):
        from_environment({"NOTIFY_SOCKET": f"@fieldtrail-test-{os.getpid()}"}).ready("well")
        assert manager.heard() == [["READY=1", "STATUS=well"]]


def test_a_reload_names_its_moment_on_the_monotonic_clock(manager):
    clock = Hands()
    clock.time = 12.5
    notifier = Notifier(manager.address, clock=clock)
    notifier.reloading()
    notifier.ready("again")
    assert manager.heard() == [["RELOADING=1", "MONOTONIC_USEC=12500000"], ["READY=1", "STATUS=again"]]


def test_a_healthy_agent_beats_twice_in_each_period_of_the_watchdog(manager):
    clock = Hands()
    notifier = from_environment(
        {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, pid=77, clock=clock
    )
    notifier.ready("well")
    manager.heard()
    beats = []
    for _ in range(600):  # ten minutes, a turn each second
        clock.time += 1
        notifier.beat(healthy=True)
        beats += [clock.time for message in manager.heard() if message == ["WATCHDOG=1"]]
    assert len(beats) == 40
    assert {after - before for before, after in itertools.pairwise(beats)} == {15.0}


def test_an_agent_that_is_not_healthy_is_silent_and_speaks_at_once_when_it_is(manager):
    clock = Hands()
    notifier = Notifier(manager.address, 30.0, clock=clock)
    clock.time += 100
    notifier.beat(healthy=False)
    assert manager.heard() == []
    notifier.beat(healthy=True)
    assert manager.heard() == [["WATCHDOG=1"]]


@pytest.mark.parametrize(
    "environment",
    [
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "78"},
        {"WATCHDOG_USEC": "often"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "me"},
        {"WATCHDOG_USEC": "-5"},
        {},
    ],
    ids=["of-another-process", "no-number", "no-process", "negative", "none"],
)
def test_a_watchdog_that_is_not_ours_is_not_answered(manager, environment):
    clock = Hands()
    notifier = from_environment({"NOTIFY_SOCKET": manager.address, **environment}, pid=77, clock=clock)
    clock.time += 3600
    notifier.beat(healthy=True)
    assert manager.heard() == []


def test_a_draining_agent_asks_for_time_as_long_as_it_drains(manager):
    clock = Hands()
    notifier = Notifier(manager.address, 30.0, clock=clock)
    notifier.stopping(30.0)
    asked = f"EXTEND_TIMEOUT_USEC={int((30 + LONGEST_SILENCE) * 1e6)}"
    assert manager.heard() == [["STOPPING=1", asked, "WATCHDOG=1"]]
    for _ in range(100):  # two seconds in turns of 20 ms
        clock.time += 0.02
        notifier.stopping(30.0)
    assert manager.heard() == []
    clock.time += LONGEST_SILENCE
    notifier.stopping(30.0)
    assert manager.heard() == [[asked, "WATCHDOG=1"]]


def test_the_watchdog_waits_as_for_a_start_while_the_agent_begins_anew(manager):
    notifier = from_environment({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}, clock=Hands())
    notifier.reloading()
    notifier.ready("again")
    notifier.busy()
    notifier.ready("once more")
    assert manager.heard() == [
        ["RELOADING=1", "MONOTONIC_USEC=100000000", "WATCHDOG_USEC=900000000"],
        ["READY=1", "STATUS=again", "WATCHDOG_USEC=30000000"],
        ["WATCHDOG_USEC=900000000"],
        ["READY=1", "STATUS=once more", "WATCHDOG_USEC=30000000"],
    ]


def test_a_watchdog_that_waits_longer_than_a_start_is_not_made_shorter(manager):
    Notifier(manager.address, 3600.0).busy()
    assert manager.heard() == [["WATCHDOG_USEC=3600000000"]]


def test_without_a_watchdog_none_is_set(manager):
    notifier = from_environment({"NOTIFY_SOCKET": manager.address}, clock=Hands())
    notifier.busy()
    notifier.reloading()
    notifier.ready("again")
    assert manager.heard() == [["RELOADING=1", "MONOTONIC_USEC=100000000"], ["READY=1", "STATUS=again"]]


def test_a_grace_without_end_is_nothing_to_a_process_without_a_manager():
    Notifier("").stopping(math.inf)


def test_without_a_manager_nothing_is_sent(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was made")

    monkeypatch.setattr(notify.socket, "socket", refuse)
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}, {"NOTIFY_SOCKET": "relative"}):
        notifier = from_environment({**environment, "WATCHDOG_USEC": "1"})
        notifier.ready("well")
        notifier.beat(healthy=True)
        notifier.reloading()
        notifier.busy()
        notifier.stopping(1.0)


def test_a_manager_that_is_gone_or_does_not_read_ends_nobody(tmp_path, manager, monkeypatch):
    Notifier(str(tmp_path / "gone")).ready("well")
    monkeypatch.setattr(notify, "PATIENCE", 0.0)
    notifier = Notifier(manager.address)
    for _ in range(2000):  # more than the queue of a socket takes
        notifier.reloading()
    assert 0 < len(manager.heard()) < 2000
