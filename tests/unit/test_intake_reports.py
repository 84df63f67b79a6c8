"""What the intake says of an input's troubles: each once, never too many at a time, and never silent for good."""

from __future__ import annotations

import pytest

from shipper import intake as module
from shipper import telemetry
from shipper.intake import Intake
from tests.tailing import StandingClock


class Troubled:
    """An input without lines that has these troubles at each look."""

    id = "crm"

    def __init__(self):
        self.troubles = []

    def restore(self, positions):
        pass

    def read(self, budget):
        return []

    def problems(self):
        return list(self.troubles)

    def done(self):
        return True


class Untold:
    """A processor with nothing to tell of a directory."""

    def reports(self, now):
        return []


class Part:
    def __init__(self):
        self.clock, self.source = StandingClock(), Troubled()
        self.intake = Intake([self.source], Untold(), {}, identity=None, clock=self.clock)


@pytest.fixture
def part():
    return Part()


@pytest.fixture
def told(monkeypatch):
    said = []
    monkeypatch.setattr(telemetry, "input_problem", lambda *, input_id, path, cause: said.append(path))
    return said


def test_a_trouble_that_stands_is_told_once(part, told):
    part.source.troubles = [("/a.log", "denied")]
    for _ in range(3):
        part.intake.take(None)
        part.clock.mono += 10_000
    assert told == ["/a.log"]


def test_after_many_troubles_new_ones_are_told_again_but_only_so_many_in_an_hour(part, told, monkeypatch):
    monkeypatch.setattr(module, "_MOST_REPORTED", 3)
    part.source.troubles = [(f"/{number}.log", "denied") for number in range(5)]
    part.intake.take(None)
    part.clock.mono += 3599
    part.intake.take(None)
    assert told == ["/0.log", "/1.log", "/2.log"]
    part.clock.mono += 2
    part.source.troubles = [("/3.log", "denied"), ("/4.log", "denied")]
    part.intake.take(None)
    assert told[3:] == ["/3.log", "/4.log"]
    for _ in range(3):
        part.intake.take(None)
    assert len(told) == 5


def test_that_something_could_not_be_read_is_known_without_a_list_of_it(part, told):
    part.intake.take(None)
    assert not part.intake.unread
    part.source.troubles = [("/a.log", "denied")]
    part.intake.take(None)
    part.source.troubles = []
    part.intake.take(None)
    assert part.intake.unread is True
