"""Which host of a cluster is asked next: failover, the breaker that opens, and the way back."""

import random

import pytest

from shipper.outputs._opensearch_hosts import LONGEST_WAIT, OPEN_AT, Hosts


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def hosts(count, clock):
    return Hosts(count, monotonic=clock, rng=random.Random(7))


def order(states, home=0):
    """(number, probe) of each candidate."""
    return [(one.number, one.probe) for one in states.order(home)]


def test_while_all_are_well_each_thread_begins_with_its_own_host(clock):
    states = hosts(3, clock)
    assert [order(states, home)[0] for home in range(4)] == [(0, False), (1, False), (2, False), (0, False)]
    assert [number for number, _ in order(states, 1)] == [1, 2, 0]


def test_a_host_that_failed_once_stands_behind_those_that_are_well(clock):
    states = hosts(3, clock)
    states.silent(0)
    assert order(states)[:2] == [(1, False), (2, False)]


def test_a_host_that_says_its_name_again_is_used_again(clock):
    states = hosts(2, clock)
    states.silent(0)
    clock.now += 60
    assert order(states) == [(0, True), (1, False)]
    states.answered(0)
    assert order(states) == [(0, False), (1, False)]


def test_two_requests_at_once_do_not_both_ask_for_the_name(clock):
    states = hosts(2, clock)
    states.silent(0)
    clock.now += 60
    assert order(states, 0)[0] == (0, True)
    assert all(not probe for _, probe in order(states, 1))


def test_a_single_host_is_asked_up_to_five_times_and_then_left_alone(clock):
    states = hosts(1, clock)
    for _ in range(OPEN_AT):
        assert order(states) == [(0, False)]
        states.silent(0)
    assert order(states) == []
    assert 0 < states.wait() <= 0.5


def test_an_answer_in_between_begins_the_count_anew(clock):
    states = hosts(1, clock)
    for _ in range(OPEN_AT - 1):
        states.silent(0)
    states.answered(0)
    for _ in range(OPEN_AT - 1):
        states.silent(0)
    assert order(states) == [(0, False)]


def test_when_its_time_has_come_the_silent_host_is_asked_for_its_name_first(clock):
    states = hosts(1, clock)
    for _ in range(OPEN_AT):
        states.silent(0)
    clock.now += states.wait()
    (candidate,) = states.order(0)
    assert candidate == (0, True, True)
    states.answered(0)
    assert order(states) == [(0, False)]


def test_the_waits_grow_to_a_minute_and_are_random_below_their_bound(clock):
    states = hosts(1, clock)
    for _ in range(OPEN_AT):
        states.silent(0)
    waits = []
    for _ in range(40):
        waits.append(states.wait())
        clock.now += waits[-1]
        assert order(states) == [(0, True)]
        states.silent(0)
    assert all(wait <= min(LONGEST_WAIT, 0.5 * 2.0**n) for n, wait in enumerate(waits))
    assert max(waits) > 30
    assert len({round(wait, 6) for wait in waits[10:]}) > 20


def test_when_all_are_silent_the_soonest_is_told(clock):
    states = hosts(3, clock)
    for number in range(3):
        for _ in range(OPEN_AT):
            states.silent(number)
    assert order(states) == []
    soonest = min(state.due for state in states._states)
    assert states.wait() == soonest - clock.now
    clock.now = soonest
    assert [probe for _, probe in order(states)] == [True]


def test_where_none_is_well_the_one_that_failed_longest_ago_is_asked_first(clock):
    states = hosts(3, clock)
    for number in (2, 0, 1):
        clock.now += 1
        states.silent(number)
    assert [number for number, _ in order(states)] == [2, 0, 1]


def test_a_host_that_answers_with_a_gateways_error_gives_way_and_is_never_left_alone(clock):
    states = hosts(2, clock)
    for _ in range(3 * OPEN_AT):
        states.answered(0, well=False)
    assert order(states)[0] == (1, False)
    only = hosts(1, clock)
    for _ in range(3 * OPEN_AT):
        only.answered(0, well=False)
    assert order(only) == [(0, False)]
