"""Requests between arrival and answer: none is acknowledged before its frame is durable, none is told twice."""

import contextlib
import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper import telemetry
from shipper.errors import DiskError
from shipper.inputs._hint import Hint
from shipper.inputs._ledger import Ledger
from shipper.inputs.webhook import _entries
from shipper.inputs.webhook._entries import PATIENCE, STALLED, Entries, Entry


class Desk:
    """What senders were told: entry -> True (kept) or False (send it again)."""

    def __init__(self):
        self.told = {}

    def post(self, entries, kept):
        for one in entries:
            assert one not in self.told, "answered twice"
            self.told[one] = kept

    def answers(self, *entries):
        return [self.told.get(one) for one in entries]


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(tmp_path / "one.db", 0)
    yield opened
    opened.close()


@pytest.fixture
def desk():
    return Desk()


def entries(ledger, desk, **more):
    return Entries(ledger, desk.post, now=lambda: 1000.0, **more)


def request(data=b"{}", since=0.0, **more):
    return Entry(data, since, lambda kept: None, **more)


def chunks(made):
    return list(made.give(2**40))


def test_a_request_is_answered_when_its_frame_is_durable_and_not_before(ledger, desk):
    made, one = entries(ledger, desk), request(delivery="evt-1")
    assert made.take(one)
    assert desk.answers(one) == [None]
    assert made.group()
    (given,) = chunks(made)
    assert (given.n, [record.data for record in given.records], given.deliveries) == (1, [b"{}"], {0: "evt-1"})
    assert desk.answers(one) == [None]
    made.kept(1)
    assert desk.answers(one) == [True]
    assert made.bytes == 0


def test_what_came_meanwhile_goes_into_one_group_and_offsets_go_on(ledger, desk):
    made = entries(ledger, desk)
    made.take(request(b"abc"))
    made.take(request(b"de", delivery="x"))
    made.group()
    made.take(request(b"f"))
    made.group()
    first, second = chunks(made)
    assert [(record.offset, record.length) for record in first.records] == [(0, 3), (3, 2)]
    assert first.deliveries == {3: "x"}
    assert [(record.offset, record.length) for record in second.records] == [(5, 1)]
    assert second.end == 6


def test_a_repeat_of_what_is_kept_is_answered_at_once_and_counted(ledger, desk):
    made, one, again = entries(ledger, desk), request(delivery="evt"), request(delivery="evt")
    made.take(one)
    made.group()
    chunks(made)
    made.kept(1)
    made.take(again)
    assert made.group()
    assert desk.answers(again) == [True]
    assert chunks(made) == []
    assert made.set_aside() == {"deduplicated": 1, "filtered": 0}
    assert made.set_aside() == {"deduplicated": 0, "filtered": 0}
    assert made.bytes == 0


def test_a_repeat_of_what_is_under_way_waits_for_the_same_frame(ledger, desk):
    made = entries(ledger, desk)
    one, twin, later = request(delivery="evt"), request(delivery="evt"), request(delivery="evt")
    made.take(one)
    made.take(twin)
    made.group()
    (given,) = chunks(made)
    assert len(given.records) == 1
    made.take(later)
    made.group()
    assert desk.answers(one, twin, later) == [None, None, None]
    made.kept(1)
    assert desk.answers(one, twin, later) == [True, True, True]


@contextlib.contextmanager
def restarted(ledger, desk, number):
    """The ledger after a crash before which one delivery was given; frames up to `number` are durable."""
    made = entries(ledger, desk)
    made.take(request(delivery="evt"))
    made.group()
    chunks(made)
    ledger.close()
    restored = Ledger.open(ledger.path, number)
    with contextlib.closing(restored):
        yield restored


def test_a_repeat_after_a_restart_is_known(ledger, desk):
    with restarted(ledger, desk, 1) as restored:
        made, again = entries(restored, desk, restored=(1, 2)), request(delivery="evt")
        made.take(again)
        made.group()
        assert desk.answers(again) == [True]
        assert chunks(made) == []


def test_after_a_restart_a_delivery_whose_frame_was_lost_is_taken(ledger, desk):
    with restarted(ledger, desk, 0) as restored:
        made = entries(restored, desk)
        made.take(request(b"[]", delivery="evt"))
        made.group()
        assert [record.data for record in chunks(made)[0].records] == [b"[]"]


def test_a_signed_request_that_comes_again_under_another_id_is_a_repeat_and_its_id_is_not_noted(ledger, desk):
    made = entries(ledger, desk)
    made.take(request(delivery="evt-1", replay="signed:1"))
    made.take(request(delivery="evt-2", replay="signed:1"))  # an id that was not signed can be anything
    made.group()
    made.take(request(b"[]", delivery="evt-2", replay="signed:2"))
    made.group()
    assert [record.data for given in chunks(made) for record in given.records] == [b"{}", b"[]"]


def test_requests_without_an_id_are_each_an_event(ledger, desk):
    made = entries(ledger, desk)
    made.take(request())
    made.take(request())
    made.group()
    (given,) = chunks(made)
    assert len(given.records) == 2
    assert given.deliveries == {}


def test_there_is_a_bound_of_bytes_up_to_the_moment_when_they_are_kept(ledger, desk):
    one = request(b"x" * 100)
    made = entries(ledger, desk, most_bytes=one.size)
    assert made.take(one)
    assert not made.take(request(b""))
    made.group()
    chunks(made)
    assert not made.room(0.0, 1)
    made.kept(1)
    assert made.take(request(b""))


def test_where_nothing_moves_no_more_are_taken(ledger, desk):
    made = entries(ledger, desk)
    made.take(request(since=10.0))
    assert made.room(10.0 + STALLED - 0.01)
    assert not made.room(10.0 + STALLED)
    assert not made.take(request(since=10.0 + STALLED))


def test_who_waited_too_long_is_sent_away_and_leaves_no_trace_if_nothing_was_written(ledger, desk):
    made, one = entries(ledger, desk), request(since=10.0, delivery="evt")
    made.take(one)
    made.expire(10.0 + PATIENCE - 0.01)
    assert desk.answers(one) == [None]
    made.expire(10.0 + PATIENCE)
    assert desk.answers(one) == [False]
    assert not made.group()
    assert made.bytes == 0
    assert not ledger.has_delivery("evt")


def test_one_that_was_sent_away_and_has_an_id_in_the_ledger_is_told_all_the_same(ledger, desk):
    made = entries(ledger, desk)
    known, unknown = request(b"known", delivery="evt"), request(b"unknown")
    made.take(known)
    made.take(unknown)
    made.group()
    made.expire(PATIENCE)
    assert desk.answers(known, unknown) == [False, False]
    (given,) = chunks(made)
    assert [record.data for record in given.records] == [b"known"]
    again = request(since=PATIENCE, delivery="evt")
    made.take(again)
    made.group()
    made.kept(given.n)
    assert desk.answers(again) == [True]
    assert made.bytes == 0


def test_a_disk_that_refuses_sends_them_away_and_takes_them_again_afterwards(ledger, desk, monkeypatch):
    made, one = entries(ledger, desk), request(delivery="evt")
    made.take(one)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "begin", lambda n: (_ for _ in ()).throw(DiskError("write ledger", "x", "full")))
        assert not made.group()
    assert desk.answers(one) == [False]
    assert "full" in made.failing
    again = request(delivery="evt")
    made.take(again)
    assert made.group()
    assert made.failing == ""
    assert len(chunks(made)) == 1


def test_a_fault_of_ours_leaves_nobody_without_an_answer(ledger, desk, monkeypatch):
    told = []
    monkeypatch.setattr(telemetry, "webhook_fault", lambda **words: told.append(words))
    made, one = entries(ledger, desk), request(delivery="evt")
    made.take(one)
    monkeypatch.setattr(ledger, "begin", lambda n: 1 // 0)
    assert not made.group()
    assert desk.answers(one) == [False]
    assert re.fullmatch(r"internal error: ZeroDivisionError in test_webhook_entries\.py:\d+", made.failing)
    assert told == [{"place": str(ledger.path), "cause": made.failing.removeprefix("internal error: "), "requests": 1}]


def test_only_so_many_groups_wait_for_the_pipeline(ledger, desk):
    made = entries(ledger, desk)
    for _ in range(_entries.AHEAD):
        made.take(request())
        assert made.group()
    made.take(request())
    assert not made.group()
    assert len(chunks(made)) == _entries.AHEAD
    assert made.group()


def test_a_group_has_a_bound(ledger, desk, monkeypatch):
    monkeypatch.setattr(_entries, "GROUP_MOST", 3)
    made = entries(ledger, desk)
    for _ in range(5):
        made.take(request())
    made.group()
    made.group()
    assert [len(given.records) for given in chunks(made)] == [3, 2]


def test_giving_stops_at_the_budget(ledger, desk):
    made = entries(ledger, desk)
    for _ in range(2):
        made.take(request(b"x" * 10))
        made.group()
    assert [given.n for given in made.give(10)] == [1]
    assert [given.n for given in made.give(10)] == [2]


class Feeder:
    def __init__(self, fault=None):
        self.told, self.fault = [], fault

    def takes(self, object_type):
        return object_type == "contact"

    def hints(self, told):
        if self.fault:
            raise self.fault
        self.told += told


HINT = Hint("changed", "contact", "7", None, 5.0)


def test_a_hint_is_handed_over_answered_and_no_event(ledger, desk):
    made, one, again = (
        entries(ledger, desk),
        request(delivery="evt", hints=(HINT,)),
        request(delivery="evt", hints=(HINT,)),
    )
    made.feeder = Feeder()
    made.take(one)
    made.group()
    assert made.feeder.told == [(HINT, "evt")]
    assert desk.answers(one) == [True]
    made.take(again)
    made.group()
    assert len(made.feeder.told) == 1
    assert desk.answers(again) == [True]
    assert chunks(made) == []
    assert made.set_aside() == {"deduplicated": 1, "filtered": 1}
    assert made.bytes == 0


OTHER = Hint("changed", "invoice", "8")


@pytest.mark.parametrize("hints", [(), (OTHER,)])
def test_a_signed_body_that_names_nothing_the_fed_input_reads_is_an_event(ledger, desk, hints):
    made = entries(ledger, desk)
    made.feeder = Feeder()
    made.take(request(b"whole", hints=hints))
    made.group()
    assert [record.data for record in chunks(made)[0].records] == [b"whole"]
    assert not made.feeder.told


@pytest.mark.parametrize("hints", [(), (OTHER,)])
def test_a_body_that_is_not_signed_is_answered_and_no_event_whatever_it_names(ledger, desk, hints):
    made, one = entries(ledger, desk, believed=False), request(hints=hints)
    made.feeder = Feeder()
    made.take(one)
    made.group()
    assert desk.answers(one) == [True]
    assert made.set_aside()["filtered"] == 1


def test_hints_of_many_requests_are_written_at_once(ledger, desk):
    made = entries(ledger, desk)
    made.feeder = Feeder()
    calls = []
    made.feeder.hints = calls.append
    for number in range(5):
        made.take(request(delivery=f"evt-{number}", hints=(HINT, OTHER)))
    made.group()
    assert [len(told) for told in calls] == [10]


def test_a_hint_that_cannot_be_kept_is_sent_again(ledger, desk):
    made, one = entries(ledger, desk), request(delivery="evt", hints=(HINT,))
    made.feeder = Feeder(DiskError("write ledger", "x", "full"))
    made.take(one)
    made.group()
    assert desk.answers(one) == [False]
    assert not ledger.has_delivery("evt")


def test_without_somebody_to_feed_a_body_is_an_event(ledger, desk):
    made = entries(ledger, desk)
    made.take(request(b"whole", hints=(HINT,)))
    made.group()
    assert [record.data for record in chunks(made)[0].records] == [b"whole"]


def test_at_the_end_what_is_written_is_given_and_the_rest_sent_away(ledger, desk):
    made = entries(ledger, desk)
    written, waiting = request(b"a"), request(b"b")
    made.take(written)
    made.group()
    made.take(waiting)
    made.refuse()
    assert desk.answers(written, waiting) == [None, False]
    assert not made.take(request())
    (given,) = chunks(made)
    made.kept(given.n)
    assert desk.answers(written) == [True]


def test_abandoning_answers_everybody_once(ledger, desk):
    made = entries(ledger, desk)
    held = [request(delivery=name) for name in ("a", "b", "b", "c")]
    made.take(held[0])
    made.group()
    chunks(made)
    for one in held[1:3]:
        made.take(one)
    made.group()
    made.take(held[3])
    made.abandon()
    assert desk.answers(*held) == [False, False, False, False]
    made.abandon()


def test_the_end_does_not_overtake_what_is_being_written(ledger, desk, monkeypatch):
    made = entries(ledger, desk)
    made.take(request(delivery="evt"))
    inside, go_on = threading.Event(), threading.Event()
    begin = ledger.begin

    def slow(n):
        inside.set()
        assert go_on.wait(10)
        return begin(n)

    monkeypatch.setattr(ledger, "begin", slow)
    writer = threading.Thread(target=made.group)
    writer.start()
    assert inside.wait(10)
    ender = threading.Thread(target=made.refuse)
    ender.start()
    go_on.set()
    writer.join()
    ender.join()
    assert len(chunks(made)) == 1


# -- against a model: crashes at any moment ----------------------------------------------------------------------------

EVENT = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 4)),
    st.tuples(st.just("send"), st.integers(0, 4)),
    st.tuples(st.just("group"), st.just(0)),
    st.tuples(st.just("give"), st.just(0)),
    st.tuples(st.just("sync"), st.integers(1, 3)),
    st.tuples(st.just("tell"), st.just(0)),
    st.tuples(st.just("late"), st.just(0)),
    st.tuples(st.just("crash"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENT, max_size=40))
def test_whatever_happens_every_acknowledged_delivery_is_in_the_journal_once(tmp_path_factory, events):
    """The journal is a list of what frames hold; some of what is durable was not told yet when the crash comes."""
    path = tmp_path_factory.mktemp("hook") / "one.db"
    ledger, desk = Ledger.open(path, 0), Desk()
    made = entries(ledger, desk)
    given, journal, restored, clock = [], [], (0, 0), 0.0
    acknowledged = set()
    try:
        for what, number in [*events, ("crash", 0)]:
            if what == "send":
                made.take(request(b"%d" % number, since=clock, delivery=f"evt-{number}"))
            elif what == "group":
                made.group()
            elif what == "give":
                given += made.give(1)
            elif what == "sync":
                for one in given[:number]:
                    journal += [record.data for record in one.records]
                    restored = (one.n, one.end)
                given = given[number:]
            elif what == "tell" and restored[0]:
                made.kept(restored[0])
            elif what == "late":
                clock += PATIENCE
                made.expire(clock)
            elif what == "crash":
                acknowledged |= {int(one.data) for one, kept in desk.told.items() if kept}
                ledger.close()
                ledger, desk, given = Ledger.open(path, restored[0]), Desk(), []
                made = entries(ledger, desk, restored=restored)
            assert len(set(journal)) == len(journal), "told twice"
            assert {b"%d" % number for number in acknowledged} <= set(journal), "acknowledged and lost"
            assert {one.data for one, kept in desk.told.items() if kept} <= set(journal), "acknowledged too early"
    finally:
        ledger.close()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_whoever_sends_until_it_is_acknowledged_is_told_once(tmp_path_factory, crashes):
    path = tmp_path_factory.mktemp("hook") / "one.db"
    ledger, journal, restored = Ledger.open(path, 0), [], (0, 0)
    for crash in [*crashes, 9]:
        desk = Desk()
        made, one = entries(ledger, desk, restored=restored), request(b"1", delivery="evt")
        made.take(one)
        if crash > 0:
            made.group()
        for one_given in chunks(made) if crash > 1 else ():
            journal += [record.data for record in one_given.records]
            restored = (one_given.n, one_given.end)
        if crash > 2:
            made.kept(restored[0])
            assert desk.answers(one) == [True]
        ledger.close()
        ledger = Ledger.open(path, restored[0])
    ledger.close()
    assert journal == [b"1"]
