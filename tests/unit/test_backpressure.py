"""What a full journal drops, and how often it is said."""

from types import SimpleNamespace

import pytest

from shipper import backpressure
from shipper.backpressure import Backpressure
from shipper.journal import Frame

SEGMENT = 100


class Journal:
    """Four segments of frames with one leaf each; full as long as there are four."""

    def __init__(self):
        self.first, self.next_seq = 0, 4 * SEGMENT
        self.bytes_used = 1

    @property
    def full(self):
        return self.next_seq - self.first >= 4 * SEGMENT

    def oldest(self):
        return self.first, self.first + SEGMENT

    def release(self, seq, **_):
        bound = seq // SEGMENT * SEGMENT
        freed, self.first = bound > self.first, max(self.first, bound)
        return freed


class Room:
    """A journal that drops for one output; `leaves` is what was declared, drop by drop."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(backpressure, "telemetry", SimpleNamespace(documents_dropped=lambda **_: None))
        self.journal, self.leaves = Journal(), []
        self.output = SimpleNamespace(output=SimpleNamespace(id="siem"), seq=0, saved=0, progress=0.0)
        keeper = SimpleNamespace(checked_seq=1 << 60)
        section = SimpleNamespace(when_full="drop_oldest", max_size=1)
        self.pressure = Backpressure(
            self.journal,
            keeper,
            [self.output],
            section,
            self.declare,
            next_seq=lambda: self.journal.next_seq,
            lost={},
        )
        self.pressure._frames = self.frames

    def frames(self, first, following):
        for seq in range(first, following):
            yield Frame(seq, {"log": "l", "first": seq, "routes": [["fieldtrail.change", 1]]}, [b"x"])

    def declare(self, payloads):
        self.leaves.append([(one["from"], one["to"]) for one in payloads])
        self.journal.next_seq += 1

    def at(self, seq):
        self.output.seq = self.output.saved = seq

    def fill(self):
        self.journal.next_seq = self.journal.first + 4 * SEGMENT


@pytest.fixture
def room(monkeypatch):
    return Room(monkeypatch)


def test_an_output_that_stands_still_is_told_again_what_a_leaf_said_that_it_never_got(room):
    for _ in range(40):
        room.pressure.look(1e9)
        room.fill()
    assert max(len(one) for one in room.leaves) <= 8
    left = {low_high for one in room.leaves[-4:] for low_high in one}  # whose frames are still there
    assert {i for low, high in left for i in range(low, high + 1)} == set(range(40 * SEGMENT))


def test_an_output_that_moves_a_little_does_not_make_leaves_and_state_grow_without_bound(room):
    for _ in range(200):
        room.at(room.journal.first + 30)
        room.pressure.look(1e9)
        room.fill()
    assert len(room.leaves) == 200
    assert max(len(one) for one in room.leaves) <= 8
    assert len(room.pressure.lost["siem"]) <= 8


def test_what_an_output_has_been_told_is_forgotten_once_it_has_the_leaf(room):
    room.pressure.look(1e9)
    assert room.pressure.lost["siem"][0][:3] == ("l", 0, SEGMENT - 1)
    room.at(room.journal.next_seq)
    room.pressure.look(1e9)
    assert room.pressure.lost == {}


def test_an_output_that_makes_progress_is_waited_for(room):
    room.output.progress = 95.0
    assert room.pressure.look(100.0)
    assert room.leaves == []
    assert room.pressure.holders == ("siem",)
    assert not room.pressure.look(106.0)
    assert room.leaves == [[(0, SEGMENT - 1)]]
