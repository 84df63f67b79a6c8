"""What goes through the pipes of parsing processes, and which results hold although the event before was not known."""

import math
import os
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import Time
from shipper.framing import Block, LineFramer, size_of
from shipper.model import Chunk, Counts, Record
from shipper.pipeline import Lines
from shipper.seal.canonical import canonical
from shipper.seal.sealer import LogName, Sealer, hash_leaves
from shipper.seal.tree import Tree
from shipper.timestamps import Provisional, resolve
from shipper.workers.process import HEAVY, Flight
from shipper.workers.wire import LENGTH, Job, Parsed, Tally, job_message, job_of, parsed_message, parsed_of

BERLIN = ZoneInfo("Europe/Berlin")


def payload(parts):
    """What the other end gets."""
    whole = b"".join(parts)
    assert LENGTH.unpack_from(whole)[0] == len(whole) - LENGTH.size
    return whole[LENGTH.size :]


def chunk(records, **more):
    about = {"path": "/logs/\udcff.log", "position": {}, "received": 5.25, **more}
    return Chunk(input="app", stream="s", format="json", records=records, **about)


@given(st.lists(st.tuples(st.binary(min_size=1), st.integers(0, 1 << 60), st.integers(0, 1 << 60)), max_size=5))
def test_a_job_arrives_as_it_was_sent(records):
    sent = Job(chunk([Record(*one) for one in records], mtime=1.5), None, False)
    assert job_of(payload(job_message(sent))) == sent


@given(st.text("ab\r\n", max_size=40), st.integers(0, 1 << 50))
def test_a_block_arrives_as_the_records_that_it_stands_for(text, offset):
    records = LineFramer(offset, "utf-8").feed(text.encode())
    there = job_of(payload(job_message(Job(chunk(records), 3.5, True))))
    assert there.chunk.records == list(records)
    assert (there.previous, there.exact) == (3.5, True)


def test_a_block_is_true_only_where_it_holds_a_record():
    for data, found in ((b"\n\r\n", False), (b"\r\r\n", True), (b"\na\n", True), (b"\n\n", False)):
        block = Block(data, 7)
        assert bool(block) is found is bool(list(block)), data
        assert size_of(block) == len(data)


@given(
    st.lists(st.text("%db\u00e4\n", max_size=6), max_size=4),
    st.integers(0, 12).map(lambda digits: max(0, 10**digits - 2)),
)
def test_a_result_arrives_as_it_was_sent_with_documents_that_are_sealed_as_here(texts, first):
    bodies = [canonical({"message": text}) for text in texts]
    nonces, leaves = hash_leaves(bodies, os.urandom)
    lines = Lines(
        bodies=bodies,
        routes=[["fieldtrail.change", len(bodies)]],
        nonces=nonces,
        leaves=leaves,
        source={"lines": len(bodies), "mac": "00"},
        size=sum(map(len, bodies)),
        problems=["user.id"],
    )
    sent = Parsed(lines, Tally((1,) * 8, {"internal_errors": 2}), 4.5, math.inf)
    there = parsed_of(payload(parsed_message(sent)))
    form = there.lines.form
    assert form.bodies() == bodies
    assert there == sent._replace(lines=replace(lines, bodies=[], nonces=[], form=form))
    one, other = (Sealer(LogName.of("audit.example/app/1"), grown(first)) for _ in range(2))
    assert other.fill(form, there.lines.leaves) == one.seal(bodies, nonces, leaves)
    assert (other.state(), other.open_leaves) == (one.state(), one.open_leaves)


def grown(size):
    """A tree of so many leaves."""
    return Tree(size, [bytes(32)] * size.bit_count())


@given(st.text("ab\n", min_size=1, max_size=60), st.integers(0, 9))
def test_a_chunk_that_is_too_heavy_is_given_out_in_blocks_of_which_none_is(text, offset):
    block = Block((text.strip("\n") + "\n").encode() * 400, offset)
    flights = Flight(chunk(block)).light()
    assert all(isinstance(flight.chunk.records, Block) for flight in flights)
    assert [record for flight in flights for record in flight.chunk.records] == list(block)
    assert max(flight.weight for flight in flights) <= HEAVY
    assert [flight.last for flight in flights] == [False] * (len(flights) - 1) + [True]


@given(st.text("ab\n", max_size=12).filter(lambda text: text.strip("\n").count("\n")))
def test_halving_a_block_ends_at_its_single_lines(text):
    block, lines = Block((text.rstrip("\n") + "\n").encode(), 3), []
    left = [Flight(chunk(block))]
    while left:
        flight = left.pop(0)
        records = flight.chunk.records
        if len(records) > 1:
            left[:0] = flight.halves()
        else:
            lines += records
    assert lines == list(block)


def test_a_tally_is_what_was_added_since():
    there = Counts(read=10, with_events=6, rejected=4, events=7, extra={"a": 1, "b": 2})
    here = Counts(read=100, with_events=100, extra={"b": 1})
    before = Tally.of(there)
    there.read, there.with_events, there.events, there.extra = 13, 9, 11, {"a": 1, "b": 5, "c": 1}
    Tally.of(there).since(before).add_to(here)
    assert here == Counts(read=103, with_events=103, events=4, extra={"b": 4, "c": 1})


# -- times -------------------------------------------------------------------------------------------------------------


def at(*moment):
    return datetime(*moment, tzinfo=UTC).timestamp()


def read(text, layout, previous, received=None, mtime=None):
    received = at(2026, 11, 20) if received is None else received
    return resolve(Time(text, layout), received=received, mtime=mtime, zone=BERLIN, previous=previous)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("2026-10-25T02:30:00Z", "iso8601"),
        ("2026-10-25T02:30:00+01:00", "iso8601"),
        ("2026-10-25T04:30:00", "iso8601"),
        ("1770000000", "epoch_s"),
        ("no time", "iso8601"),
    ],
)
def test_a_time_that_says_when_it_is_holds_whatever_came_before(text, layout):
    previous = Provisional(math.nan)
    assert read(text, layout, previous) == read(text, layout, None)
    assert previous.holds == math.inf


@pytest.mark.parametrize("known", [None, at(2026, 10, 25, 1, 29), at(2026, 10, 25, 0, 29)])
def test_a_time_in_a_repeated_hour_holds_for_no_other_event_before(known):
    previous = Provisional(math.nan if known is None else known)
    assert read("2026-10-25T02:30:00", "iso8601", previous) == read("2026-10-25T02:30:00", "iso8601", known)
    assert previous.holds == -math.inf


YEARS = st.floats(at(2024, 1, 1), at(2026, 12, 1))


@given(
    st.sampled_from(["Dec 31 23:59:58", "Jan  1 00:00:03", "Mar  5 10:00:00", "Nov 19 12:00:00", "Feb 29 08:00:00"]),
    YEARS,
    st.one_of(st.none(), YEARS),
    st.one_of(st.none(), YEARS),
)
def test_a_time_without_a_year_holds_for_every_event_before_that_it_says(text, mtime, known, true):
    previous = Provisional(math.nan if known is None else known)
    found = read(text, "rfc3164", previous, mtime=mtime)
    assert found == read(text, "rfc3164", known, mtime=mtime)
    if previous.holds > -math.inf and (true is None or true <= previous.holds):
        assert found == read(text, "rfc3164", true, mtime=mtime)


def test_lines_in_order_hold_although_the_event_before_is_not_known():
    previous = Provisional(math.nan)
    read("Nov 19 12:00:00", "rfc3164", previous)
    assert previous.holds >= at(2026, 11, 19, 12)
