"""Whatever dies when: every change that was observed is told exactly once, and the snapshots are as far as the journal.

A model of the agent: chunks are given out with their numbers, frames make some of them durable in order, and a crash
forgets the rest. The ledger, the cipher, the differ and the format of its records are the real ones.
"""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers import Change, Context, Operation, Time, snapshot_diff
from parsers._contract import ABSENT
from shipper.changes import same
from shipper.clock import rfc3339
from shipper.differ import Differ, ObjectPolicy, Seen, Snapshots
from shipper.inputs._ledger import Ledger

T0 = 1_772_373_600.0
FIELDS = ("a", "b", "c")
TAGS = ("x", "y", "z")
RECORDS = ("1", "2", "3")
KIND = "contact"
POLICY = ObjectPolicy(ignore=("noise",))


class Agent:
    """One poll input with its ledger, and the journal that its chunks go to."""

    def __init__(self, folder):
        self.folder = folder
        self.frames = []  # (n, operations) that are durable
        self.waiting = []  # (n, operations) that are given out
        self.n = 0
        self.ledger = None
        self.start()

    def start(self):
        self.ledger = Ledger.open(self.folder / "inputs" / "keap.db", self.n)
        snapshots = Snapshots.open(
            "keap", self.ledger, keys=self.folder / "keys", place="keap.db", random_bytes=self.random
        )
        self.differ = Differ("keap", snapshots, {KIND: POLICY}, slack=0.0)

    salt = 0

    def random(self, count):
        type(self).salt += 1
        return type(self).salt.to_bytes(count, "big")

    def chunk(self, take):
        """Give out what `take(book)` makes, in one chunk."""
        n = (self.waiting[-1][0] if self.waiting else self.n) + 1
        with self.ledger.begin(n) as book:
            records = take(book)
        operations = []
        for data in records:
            parsed = snapshot_diff.parse(data, Context(options={"source": "keap"}))
            assert isinstance(parsed, list), parsed
            operations += parsed
        self.waiting.append((n, operations))

    def keep(self, count):
        """A frame with the first `count` chunks is durable."""
        kept, self.waiting = self.waiting[:count], self.waiting[count:]
        self.frames += kept
        if kept:
            self.n = kept[-1][0]
            self.ledger.settle(self.n)

    def crash(self):
        self.ledger.close()
        self.waiting = []
        self.start()

    @property
    def told(self):
        return [op for _, operations in self.frames for op in operations]


def state_of(world, key):
    body = world.get(key)
    return None if body is None else {**body, "tags": sorted(body["tags"])}


def values_of(op):
    """The record in `values`, where members of members have a dotted name."""
    body = {name: value for name, value in op.values.items() if name != "noise"}
    for name in [name for name in body if "." in name]:
        outer, inner = name.split(".")
        body.setdefault(outer, {})[inner] = body.pop(name)
    return {**body, "tags": set(body["tags"])}


def replayed(baselines, operations):
    """The states that follow from what was told; each change must fit what was told before it."""
    states = {key: None if body is None else {**body, "tags": set(body["tags"])} for key, body in baselines.items()}
    for op in operations:
        key = op.object_id
        if op.action in {"record.create", "record.restore"}:
            assert states.get(key) is None
            states[key] = values_of(op)
            continue
        body = states[key]
        assert body is not None
        if op.action == "record.delete":
            assert values_of(op) == body
            states[key] = None
            continue
        for change in op.changes:
            assert change.derivation == "snapshot_diff"
            assert change.changed_after is None or change.changed_after <= change.changed_before
            if change.field == "tags":
                if change.new is ABSENT:
                    body["tags"].remove(change.old)
                else:
                    assert change.new not in body["tags"]
                    body["tags"].add(change.new)
                continue
            assert same(body.get(change.field, ABSENT), change.old), (op.id, change, body)
            if change.new is ABSENT:
                del body[change.field]
            else:
                body[change.field] = change.new
    return {key: None if body is None else {**body, "tags": sorted(body["tags"])} for key, body in states.items()}


VALUES = st.sampled_from([None, "", 0, 1, "1", 2.5, True, {"deep": 1}, [1, 2], ABSENT])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from(RECORDS), st.sampled_from(FIELDS), VALUES),
        st.tuples(st.just("noise"), st.sampled_from(RECORDS)),
        st.tuples(st.just("tag"), st.sampled_from(RECORDS), st.sampled_from(TAGS)),
        st.tuples(st.just("drop"), st.sampled_from(RECORDS)),
        st.tuples(st.just("make"), st.sampled_from(RECORDS)),
        st.tuples(st.just("see"), st.lists(st.sampled_from(RECORDS), max_size=3)),
        st.tuples(st.just("list")),
        st.tuples(st.just("late")),
        st.tuples(st.just("keep"), st.integers(1, 4)),
        st.tuples(st.just("crash")),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_observed_change_is_told_exactly_once_whatever_dies(steps):
    with tempfile.TemporaryDirectory() as folder:
        _run(Agent(Path(folder)), steps)


def _run(agent, steps):
    try:
        now = T0
        world = {key: {"a": 1, "tags": ["x"]} for key in RECORDS}
        updated = dict.fromkeys(RECORDS, T0)
        noise = 0
        old = {}  # a state that a hook may still bring
        baselines = {key: dict(body) for key, body in world.items()}

        def seen(key, body=None, when=None, **more):
            body = world.get(key) if body is None else body
            whole = None if body is None else {**body, "noise": noise}
            time = Time(rfc3339(updated[key] if when is None else when))
            return Seen(KIND, key, whole, now, updated=time, **more)

        def look(keys, **more):
            def take(book):
                return [data for key in keys for data in agent.differ.see(book, seen(key, **more)).records]

            agent.chunk(take)

        def listing():
            def take(book):
                number = agent.differ.begin_listing(book, KIND, now)
                found = []
                for key in list(world):
                    found += agent.differ.see(book, seen(key, listing=number)).records
                for key in list(agent.differ.absent(book, KIND)):
                    found += agent.differ.see(book, Seen(KIND, key, None, now)).records
                agent.differ.end_listing(book, KIND)
                return found

            agent.chunk(take)

        look(RECORDS)
        agent.keep(1)
        for step in steps:
            now += 10
            match step:
                case ("edit", key, field, value) if key in world:
                    old[key] = (dict(world[key]), updated[key])
                    body = {name: kept for name, kept in world[key].items() if name != field}
                    world[key] = body if value is ABSENT else {**body, field: value}
                    updated[key] = now
                case ("tag", key, tag) if key in world:
                    tags = set(world[key]["tags"]) ^ {tag}
                    world[key] = {**world[key], "tags": sorted(tags, reverse=True)}
                    updated[key] = now
                case ("noise", _):
                    noise += 1
                case ("drop", key):
                    world.pop(key, None)
                case ("make", key) if key not in world:
                    world[key] = {"a": "new", "tags": []}
                    updated[key] = now
                case ("see", keys):
                    look(keys)
                case ("list",):
                    listing()
                case ("late",):
                    for key in old.keys() & world.keys():
                        body, when = old[key]
                        if when < updated[key]:
                            # Only what is known to be older can be told apart from news.
                            look([key])
                            look([key], body=body, when=when, pushed=True)
                            assert agent.waiting[-1][1] == []
                case ("keep", count):
                    agent.keep(count)
                case ("crash",):
                    agent.crash()
        listing()
        agent.keep(len(agent.waiting))
        agent.crash()
        now += 10
        listing()
        assert agent.waiting[-1][1] == []  # all was told
        states = replayed(baselines, agent.told)
        assert {key: body for key, body in states.items() if body} == {key: state_of(world, key) for key in world}
        identities = [op.id for op in agent.told]
        assert len(identities) == len(set(identities))
    finally:
        agent.ledger.close()


# -- with the source's own history, which comes before or after, once --------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["p", "q", "r", "s"]),  # the value that the field gets
        st.booleans(),  # whether anybody looks after it
        st.sampled_from(["at once", "later"]),  # when its history is read
        st.booleans(),  # whether the agent dies then
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MOVES)
def test_a_change_that_two_channels_bring_counts_once_and_has_its_author(moves):
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(Path(folder))
        try:
            _moves(agent, moves)
        finally:
            agent.ledger.close()


def _moves(agent, moves):
    now, value = T0, "o"
    agent.chunk(lambda book: agent.differ.see(book, Seen(KIND, "1", {"stage": "o"}, now)).records)
    agent.keep(1)
    natives = []  # the source's records given out as they are: (old, new)
    history = []

    def read_history():
        """Give out the source's records, met with what was found, and keep the frame."""
        for old, new, time in history:
            op = Operation(
                action="field.update", kind="h", object_type=KIND, object_id="1", changes=[Change("stage", old, new)],
                time=Time(rfc3339(time)), fields={"user.id": "7"},
            )  # fmt: skip
            own = []

            def take(book, op=op, own=own):
                records = agent.differ.native(book, op)
                if records is None:
                    own.append(op)
                return records or ()

            agent.chunk(take)
            agent.keep(1)
            natives.extend(own)
        history.clear()

    def look(moment):
        seen = Seen(KIND, "1", {"stage": value}, moment)
        agent.chunk(lambda book: agent.differ.see(book, seen).records)

    for to, looked, read, dies in moves:
        if to == value:
            continue
        now += 10
        history.append((value, to, now))
        value = to
        if read == "at once":
            read_history()
        now += 10
        if looked:
            look(now)
            if dies:
                agent.crash()
                look(now)
            agent.keep(1)
    read_history()
    now += 10
    look(now)
    agent.keep(1)
    made = [change for op in (*agent.told, *natives) for change in op.changes]
    true = []
    value = "o"
    for to, *_ in moves:
        if to != value:
            true.append((value, to))
            value = to
    # What was told leads from the first value to the last, and by no more steps than there were.
    assert len(made) <= len(true)
    attributed = [op for op in agent.told if op.action == "change.attributed"]
    by_diff = [change for change in made if change.derivation == "snapshot_diff"]
    assert len(attributed) <= len(by_diff)
    # Every true change is told by its history, or its author is named for what was found.
    assert len(natives) + len(attributed) == len(true)
