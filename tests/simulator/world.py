"""The records of all vendors, and the ground truth: what really changed, when, by whom."""

import copy
import re
import threading
from typing import Any, NamedTuple

ABSENT = "<absent>"


class Fact(NamedTuple):
    """One true change. `verb`: create, update or delete; of an update `field`, `old` and `new`; `at`: s since the epoch."""

    source: str
    type: str
    id: str
    verb: str
    field: str
    old: Any
    new: Any
    at: float
    actor: str

    @property
    def key(self):
        """What the record is called in events."""
        return f"{self.source}:{self.type}/{self.id}"


class Thing:
    """A record: its values now, and all its versions, each `(at, values)`, None for a deleted one."""

    def __init__(self, source, kind, identity, values, at, actor):
        self.source, self.type, self.id = source, kind, identity
        self.values = copy.deepcopy(values)
        self.created = self.updated = at
        self.creator = self.editor = actor
        self.deleted = None
        self.versions = [(at, copy.deepcopy(values))]

    @property
    def key(self):
        """As `Fact.key`."""
        return f"{self.source}:{self.type}/{self.id}"

    @property
    def version(self):
        """Its number: 0 is the first."""
        return len(self.versions) - 1


class Served(NamedTuple):
    """A version of a record that was shown to the agent, whole and without a fault."""

    key: str
    version: int
    at: float


_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


def _steps(field):
    """`custom_fields[7].content` -> (False, custom_fields), (True, 7), (False, content)."""
    return [(match[1] is not None, match[1] if match[1] is not None else match[2]) for match in _STEP.finditer(field)]


def look(values, field):
    """The value at a path; `[7]` is the object in a list whose `id` (or `field`) is 7."""
    for by_id, name in _steps(field):
        if by_id and isinstance(values, list):
            values = next(
                (one for one in values if isinstance(one, dict) and name in {str(one.get("id")), one.get("field")}),
                ABSENT,
            )
        elif not by_id and isinstance(values, dict):
            values = values.get(name, ABSENT)
        else:
            return ABSENT
        if values is ABSENT:
            return ABSENT
    return values


def put(values, field, new):
    """Set the value at a path; `ABSENT` takes the member out."""
    way, _, last = field.rpartition(".")
    if way:
        values = look(values, way)
    if new is ABSENT:
        values.pop(last, None)
    else:
        values[last] = copy.deepcopy(new)


def parts(old, new):
    """(old, new) of each change between two values of a field: one for each element of a list of plain values."""
    lists = isinstance(old, list) and isinstance(new, list)
    if not lists or any(isinstance(one, dict | list) for one in (*old, *new)):
        return [(old, new)]
    return [(one, ABSENT) for one in old if one not in new] + [(ABSENT, one) for one in new if one not in old]


class World:
    """All records. Every method takes the lock; a vendor holds it while it makes an answer."""

    def __init__(self, clock):
        self.clock = clock
        self.lock = threading.RLock()
        self.things = {}
        self.facts = []
        self.served = []
        self.listeners = []
        """`listener(thing, facts)` is called after each change, within the lock."""
        self._last = 0.0

    def _now(self):
        # Each change has a millisecond of its own, so that the order of two is never in doubt.
        self._last = max(round(self.clock.now(), 3), round(self._last + 0.001, 3))
        return self._last

    def _tell(self, thing, facts):
        self.facts.extend(facts)
        for listener in self.listeners:
            listener(thing, facts)

    def create(self, source, kind, identity, values, actor=""):
        """A new record."""
        with self.lock:
            at = self._now()
            thing = Thing(source, kind, identity, values, at, actor)
            assert thing.key not in self.things
            self.things[thing.key] = thing
            self._tell(thing, [Fact(source, kind, identity, "create", "", None, None, at, actor)])
            return thing

    def change(self, source, kind, identity, changes, actor="", *, noise=False):
        """Set fields: `changes` is `{path: value}`. `noise`: members that nobody calls a change (counters)."""
        with self.lock:
            thing = self.things[f"{source}:{kind}/{identity}"]
            at, facts = self._now(), []
            for field, new in changes.items():
                old = copy.deepcopy(look(thing.values, field))
                if old == new:
                    continue
                put(thing.values, field, new)
                if not noise:
                    told = parts(old, copy.deepcopy(new))
                    facts += [Fact(source, kind, identity, "update", field, *pair, at, actor) for pair in told]
            if not facts and not noise:
                return []
            thing.updated, thing.editor = at, actor or thing.editor
            thing.versions.append((at, copy.deepcopy(thing.values)))
            self._tell(thing, facts)
            return facts

    def delete(self, source, kind, identity, actor=""):
        """Take a record away."""
        with self.lock:
            thing = self.things[f"{source}:{kind}/{identity}"]
            thing.deleted = thing.updated = self._now()
            thing.versions.append((thing.deleted, None))
            self._tell(thing, [Fact(source, kind, identity, "delete", "", None, None, thing.deleted, actor)])

    def alive(self, source, kind):
        """The records of one type that are there now, in order of their making."""
        with self.lock:
            return [one for one in self.things.values() if (one.source, one.type, one.deleted) == (source, kind, None)]

    def show(self, things):
        """Put down that these records were shown as they are now; called when the answer has left whole."""
        with self.lock:
            now = self.clock.now()
            self.served.extend(Served(key, version, now) for key, version in things)

    def at(self, key, field, moment):
        """What a field was at a moment: ABSENT also where the record was not there."""
        with self.lock:
            found = None
            for at, values in self.things[key].versions:
                if at > moment:
                    break
                found = values
            return ABSENT if found is None else look(found, field)
