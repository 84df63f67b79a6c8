"""Ids of deliveries: the same `trail.origin.delivery` on the quick way, by the reference, and from another process."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import names
from shipper.build import Lanes
from shipper.config import parse
from shipper.model import Chunk, Record
from shipper.pipeline import LONGEST_DELIVERY, process
from shipper.workers.wire import LENGTH, Job, job_message, job_of
from tests.framed import records_of

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
OWN = """
inputs: [{id: hook-1, type: file, paths: ["/x"], format: own}]
formats:
  own:
    decode: json
    time: {field: ts}
    map: {user.name: who, trail.object.type: kind, trail.object.id: n}
    changes: {list: changes}
    default_action: field.update
"""
LINE = (
    b'{"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "offer", "n": "%d", "origin": {"input": "hook-1"},'
    b' "changes": [{"field": "stage", "old": "a%d", "new": "b%d"}]}'
)


def own_lane():
    return Lanes(parse(OWN, "test"), "test", bytes).lane("hook-1", "own")


def documents(lane, records, deliveries, form="own", input_id="hook-1"):
    chunk = Chunk(input_id, "s", "POST /in", form, records, {}, 1_780_000_000.0, deliveries=deliveries)
    made = process(chunk, lane, {}, b"key", None, bytes)
    assert made.problems == []
    return made.bodies


def lines(count):
    found, at = [], 0
    for number in range(count):
        data = LINE % (number, number, number)
        found.append(Record(data, at, len(data)))
        at += len(data)
    return found


LANE = own_lane()
for _ in range(3):  # so that the quick way knows such lines
    documents(LANE, lines(4), {})


def told(body):
    return orjson.loads(body)["trail"]["origin"].get("delivery")


def test_the_quick_way_takes_lines_with_deliveries():
    records = lines(3)
    quick = LANE.quick.begin  # what it makes is counted
    taken = []

    class Counting:
        def begin(self, *words):
            line = quick(*words)

            def counted(*record):
                made = line(*record)
                taken.append(made is not None)
                return made

            return counted

    bodies = documents(replace(LANE, quick=Counting()), records, {one.offset: f"evt-{one.offset}" for one in records})
    assert taken == [True, True, True]
    assert [told(body) for body in bodies] == [f"evt-{one.offset}" for one in records]


def test_it_stands_in_the_origin_alone_whatever_the_line_looks_like():
    (body,) = documents(LANE, lines(1), {0: "evt-7"})
    assert body.count(b"evt-7") == 1
    assert orjson.loads(body)["trail"]["raw"]["origin"] == {"input": "hook-1"}
    assert told(body) == "evt-7"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=40), st.text("abc-:09", min_size=1, max_size=40)), max_size=6))
def test_both_ways_give_the_same_bytes(ids):
    records = lines(len(ids))
    deliveries = {record.offset: one for record, one in zip(records, ids, strict=True) if one is not None}
    quick = documents(LANE, records, deliveries)
    assert quick == documents(replace(LANE, quick=None), records, deliveries)
    for body, one in zip(quick, ids, strict=True):
        assert told(body) == (None if one is None else one)


def test_an_id_with_half_a_character_or_of_great_length_is_told_as_well_as_it_can():
    records = lines(3)
    long = "x" * (LONGEST_DELIVERY + 1)
    bodies = documents(LANE, records, {records[0].offset: "a\ud800b", records[1].offset: long})
    assert [told(body) for body in bodies] == ["a?b", long, None]


def test_a_line_that_is_refused_names_its_delivery_too():
    (body,) = documents(LANE, [Record(b"{", 0, 1)], {0: "evt"})
    assert orjson.loads(body)["event"]["kind"] == "pipeline_error"
    assert told(body) == "evt"


@pytest.mark.parametrize("name", names())
def test_both_ways_agree_on_the_golden_lines_of_every_format(name):
    text = f'inputs: [{{id: x, type: file, paths: ["/x"], format: {name}, timezone: UTC}}]'
    lanes = Lanes(parse(text, "test"), "test", bytes)
    lane = lanes.lane("x", name)
    for sample in sorted((GOLDEN / name).glob("*.log"))[:2]:
        records = records_of(name, sample.read_bytes())[:40]
        deliveries = {record.offset: f"d-{number}" for number, record in enumerate(records)}
        documents(lane, records, {}, name, "x")
        quick = documents(lane, records, deliveries, name, "x")
        assert quick == documents(replace(lane, quick=None), records, deliveries, name, "x")
        assert all(told(body) for body in quick)


def test_another_process_gets_them_with_the_chunk():
    records = lines(2)
    chunk = Chunk("hook-1", "s", "POST /in", "own", records, {"v": 1}, 1.5, deliveries={0: "evt-0"})
    payload = b"".join(job_message(Job(chunk, None, True)))[LENGTH.size :]
    assert job_of(payload).chunk == replace(chunk, position={}, records=job_of(payload).chunk.records)
    assert job_of(payload).chunk.deliveries == {0: "evt-0"}
