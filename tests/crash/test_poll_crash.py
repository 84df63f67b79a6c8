"""The input of type `poll` over crashes at any moment: each item once, and changes that join without a gap or a double."""

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.inputs._hint import Hint
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.preset import told
from tests.poll_api import CONTACTS, START, Api, Clock, Place, source

ROWS = {
    "get": "/rows",
    "query": {"since": "{since}"},
    "items": "rows",
    "id": "id",
    "time": "at",
    "format": "json",
    "limit": 3,
    "since": {"overlap": 120, "first": 86400},
    "paging": {"type": "offset", "parameter": "from"},
}
OFTEN = {**CONTACTS, "since": {"overlap": 120}, "object": {**CONTACTS["object"], "reconcile": 900}}


class World:
    """Rows that come, some of them late, and contacts that change."""

    def __init__(self, clock, order):
        self.clock, self.order, self.rows, self.contacts, self.broken = clock, order, [], {}, False

    def __call__(self, method, path, query, headers, body):
        if self.broken:
            return Answer(503, {}, b"")
        since = query.get("since", "")
        if path == "/rows":
            found = sorted((one for one in self.rows if one["at"] >= since), key=lambda one: (one["at"], one["id"]))
            found = found[:: -1 if self.order == "descending" else 1]
            first = int(query["from"])
            return {"rows": found[first : first + 3]}
        if path == "/contacts":
            return {"contacts": [one for one in self.contacts.values() if one["updated"] >= since]}
        return self.contacts.get(path.rpartition("/")[2]) or Answer(404, {}, b"")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("poll"), st.integers(1, 8)),
        st.tuples(st.just("poll"), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 1000])),
        st.tuples(st.just("rows"), st.integers(0, 100)),
        st.tuples(st.just("contact"), st.integers(0, 2)),
        st.tuples(st.just("hint"), st.integers(0, 2)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("crash"), st.integers(0, 2)),
        st.tuples(st.just("broken"), st.booleans()),
    ),
    min_size=5,
    max_size=40,
)
UNKEPT = [("rows", 5), ("contact", 1), ("poll", 8), ("crash", 0), ("poll", 8), ("crash", 1), ("rows", 90), ("poll", 3)]
"""Crashes after something was found and given out, and not kept."""


def take(place, count):
    """Give `count` chunks to the journal, which keeps them."""
    chunks = place.input.read(1)
    for _ in range(count):
        chunk = next(chunks, None)
        if chunk is None:
            chunks = place.input.read(1)
            chunk = next(chunks, None)
        if chunk is None:
            return
        place.given += [(chunk, record) for record in chunk.records]
        place.positions[chunk.stream] = dict(chunk.position)
    place.input.kept(place.positions)


@settings(max_examples=25, deadline=None)
@example(UNKEPT, "ascending")
@example(UNKEPT, "descending")
@given(STEPS, st.sampled_from(["ascending", "descending"]))
def test_each_item_comes_once_and_changes_join(steps, order):
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        world = World(clock, order)
        for number in range(3):
            world.contacts[str(number)] = {"id": str(number), "v": 0, "updated": told(START - 500, "iso8601")}
        spec = source(
            module="desk",
            api="https://api.example",
            every=60,
            resources={"rows": {**ROWS, "order": order}, "contacts": OFTEN},
        )
        place = Place(Path(folder), Api(world), spec, clock).start()
        place.run(5)
        for what, value in steps:
            if what == "poll":
                clock.at += 61
                for _ in range(value):
                    place.input.turn()
            elif what == "wait":
                clock.at += value
            elif what == "rows":
                for late in range(4):
                    world.rows.append({"id": len(world.rows), "at": told(clock.at - value / (late + 1), "iso8601")})
            elif what == "contact":
                one = world.contacts[str(value)]
                world.contacts[str(value)] = {**one, "v": one["v"] + 1, "updated": told(clock.at, "iso8601")}
            elif what == "hint":
                place.input.hints([(Hint("changed", "contact", str(value)), None)])
            elif what == "take":
                take(place, value)
            elif what == "crash":
                take(place, value)
                place.crash()
                place.start()
            else:
                world.broken = value
        world.broken = False
        place.run(2000)
        place.input.close()
        got = [one["id"] for one in place.rows if "at" in one]
        assert sorted(got) == [one["id"] for one in world.rows]
        for identity, contact in world.contacts.items():
            steps_ = [
                (change["old"], change["new"])
                for one in place.rows
                if one.get("object", {}).get("id") == identity
                for change in one["changes"]
            ]
            assert [old for old, _ in steps_[:1]] in ([], [0])
            assert all(one[1] == other[0] for one, other in pairwise(steps_))
            assert (steps_[-1][1] if steps_ else 0) == contact["v"]
        for stream in place.positions:
            ends = 0
            for chunk, record in place.given:
                if chunk.stream == stream:
                    assert record.offset == ends
                    ends += record.length
