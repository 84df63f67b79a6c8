"""How many requests may be in flight: raised by answers that come as quickly as ever, lowered by all else."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.outputs._opensearch_pace import Pace


class Link:
    """A pace and the time: `round` sends as many requests as it allows, each answered after the same seconds."""

    def __init__(self, most=8):
        self.pace = Pace(most)
        self.now = 0.0

    def round(self, took=0.1, *, pressed=False, count=None):
        count = self.pace.limit if count is None else count
        for _ in range(count):
            self.pace.began()
        self.now += 0.1 if took is None else took
        for _ in range(count):
            self.pace.ended(self.now, took, pressed=pressed)
        return self.pace.limit

    def risen(self):
        """At the most that is allowed."""
        for _ in range(400):
            self.round()
        assert self.pace.limit == self.pace._most
        return self


def test_it_begins_with_one_and_the_first_answer_is_only_learned_from():
    link = Link()
    assert link.pace.limit == 1
    assert link.round() == 1


def test_answers_as_quick_as_ever_raise_it_by_one_at_a_time_up_to_the_most():
    link = Link(4)
    seen = [link.round() for _ in range(60)]
    assert max(seen) == seen[-1] == 4
    assert all(after - before in {0, 1} for before, after in itertools.pairwise(seen))


def test_it_is_not_raised_where_it_was_not_reached():
    link = Link()
    while link.pace.limit < 3:
        link.round()
    for _ in range(50):
        assert link.round(count=1) == 3


def test_with_a_most_of_one_it_stays_one():
    link = Link(1)
    assert {link.round() for _ in range(50)} == {1}


@pytest.mark.parametrize(("before", "after"), [(8, 7), (10, 9), (20, 18), (32, 28)])
def test_a_server_that_asks_for_less_lowers_it_by_a_tenth_rounded_down(before, after):
    link = Link(before).risen()
    assert link.round(pressed=True) == after


def test_a_storm_brings_it_down_to_one_and_no_further_and_after_it_it_rises_again():
    link = Link().risen()
    for _ in range(60):
        link.round(pressed=True)
    assert link.pace.limit == 1
    link.risen()


def test_requests_that_run_out_of_time_lower_it_although_none_was_measured():
    link = Link().risen()
    assert link.round(None, pressed=True) == 7


def test_answers_that_suddenly_take_far_longer_lower_it():
    link = Link().risen()
    before = link.pace.limit
    assert link.round(3.0) < before


def test_answers_that_take_a_little_longer_than_usual_change_nothing():
    link = Link()
    times = [0.10, 0.13, 0.09, 0.12, 0.08, 0.11]
    for n in range(60):
        link.round(times[n % 6])
    before = link.pace.limit
    assert link.round(link.pace._mean + 0.001) == before


def test_many_answers_within_one_answers_time_are_one_decision():
    link = Link().risen()
    for _ in range(8):
        link.pace.began()
    link.now += 0.1
    for _ in range(8):
        link.pace.ended(link.now, 0.1, pressed=True)
    assert link.pace.limit == 7


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 32),
    st.lists(st.tuples(st.none() | st.floats(0.0, 60.0), st.booleans(), st.integers(1, 40)), max_size=60),
)
def test_whatever_comes_it_stays_between_one_and_the_most_and_never_jumps_up(most, rounds):
    link = Link(most)
    before = 1
    for took, pressed, count in rounds:
        for _ in range(count):
            link.pace.began()
        link.now += took or 0.0
        for _ in range(count):
            link.pace.ended(link.now, took, pressed=pressed)
            assert 1 <= link.pace.limit <= most
            assert link.pace.limit <= before + 1
            before = link.pace.limit
    assert link.pace._flying == 0
