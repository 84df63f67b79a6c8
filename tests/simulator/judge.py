"""What an agent shipped against what really changed.

Every true change is there exactly once, or it lived only between two looks at the record (and is counted so); every
event that claims a change stands for a true one, with its old and new value, bounds and who.
"""

import itertools
import json
from collections import Counter, defaultdict
from functools import cache
from typing import Any, NamedTuple

from tests.simulator.clock import moment
from tests.simulator.world import ABSENT, look

TOLERANCE = 1.1
"""Seconds by which a bound may be off: what a vendor's `Date` tells is cut to whole seconds."""
EXACT = frozenset({"native", "reconstructed", "new_only"})
"""Derivations of what the source itself recorded, with its time and author."""
WHOLE = {"record.create": "create", "user.create": "create", "record.delete": "delete", "user.delete": "delete"}


class Claim(NamedTuple):
    """One event that says that a field changed."""

    id: str
    key: str
    field: str
    old: Any
    new: Any
    derivation: str
    at: float
    after: float | None
    before: float | None
    user: str | None
    editor: str | None
    received: float


class Row(NamedTuple):
    """A record of a source's own log. `actor`, `old`, `new`: as its event must have them, None where it tells none."""

    id: str
    at: float
    actor: str | None = None
    old: Any = None
    new: Any = None


class Finding(NamedTuple):
    """Something that is wrong. `kind`: lost, invented, doubled, value, bounds, actor or time."""

    kind: str
    source: str
    about: str


def text(value):
    """(state, text) of a value, as events hold it."""
    if value is ABSENT:
        return "absent", None
    if value is None:
        return "null", None
    if value in ("", [], {}):
        return "empty", None
    if isinstance(value, str):
        return "value", value
    return "value", json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def side(change, name):
    """The same of an event; an empty value's own text (`[]`) says no more than its state."""
    state = change.get(f"{name}_state", "value" if name in change else "absent")
    return state, change.get(name) if state == "value" else None


def _plain(value):
    """A value of `trail.values` as `text` has it."""
    return None if value in ("", "[]", "{}") else value


def claims(documents):
    """The claims of the documents, in order."""
    found = []
    # The sensitive fields of a record that came or went have documents of their own beside it.
    whole = {one["trail"]["operation"]["id"] for one in documents if one["event"].get("action") in WHOLE}
    for one in documents:
        change = one["trail"].get("change")
        if (
            change is None
            or one["data_stream"]["dataset"] != "fieldtrail.change"
            or one["event"]["action"] == "change.attributed"
            or one["trail"]["operation"]["id"] in whole
        ):
            continue
        found.append(
            Claim(
                one["event"]["id"],
                one["trail"]["object"]["key"],
                change["field"],
                side(change, "old"),
                side(change, "new"),
                change["derivation"],
                moment(one["@timestamp"]),
                moment(change["changed_after"]) if "changed_after" in change else None,
                moment(change["changed_before"]) if "changed_before" in change else None,
                one.get("user", {}).get("id"),
                one["trail"]["object"].get("last_editor", {}).get("id"),
                moment(one["trail"]["origin"]["received"]),
            )
        )
    return found


class Judge:
    """What is right of the documents of an agent.

    `aliases`: (source, type, name in events) -> path in the world. `interrupted`: (from, to) of times in which an agent
    was ended: a value that it was shown then, and that was another one when it looked again, nobody can know.
    """

    def __init__(
        self,
        world,
        documents,
        *,
        aliases=None,
        editors=(),
        interrupted=(),
        began=0.0,
        tolerance=TOLERANCE,
        latency=TOLERANCE,
    ):
        """`began`: changes before this moment are part of the baseline. `editors`: sources that name the last editor.

        `latency`: seconds that a question and its answer take at the most.
        """
        self.world, self.documents = world, documents
        self.aliases, self.editors, self.interrupted = aliases or {}, editors, interrupted
        self.began, self.tolerance, self.latency = began, tolerance, latency
        self.findings = []
        self.counts = defaultdict(Counter)
        self._before = set()
        self._stood_for = {}
        """Id of an event -> the true change that it tells."""

    def wrong(self, kind, source, about):
        """Put down a finding."""
        self.findings.append(Finding(kind, source, str(about)))
        self.counts[source][kind] += 1

    # -- differ sources -----------------------------------------------------------------------------------------------

    def fields(self, *sources):
        """Judge the changes of fields of these sources."""
        facts, told = defaultdict(list), defaultdict(list)
        for fact in self.world.facts:
            if fact.source in sources and fact.verb == "update" and fact.at >= self.began:
                facts[fact.key, fact.field, self._element(fact)].append(fact)
        for claim in claims(self.documents):
            source = claim.key.partition(":")[0]
            if source not in sources:
                continue
            kind = claim.key.partition(":")[2].partition("/")[0]
            field = self.aliases.get((source, kind, claim.field), claim.field)
            element = self._element_of(claim, facts, field)
            if claim.derivation in EXACT and self._of_before(claim, field):
                continue
            if (claim.key, field, element) not in facts:
                self.wrong("invented", source, claim)
                continue
            told[claim.key, field, element].append(claim)
        for series, true in facts.items():
            self._series(series, true, told[series])
        self._authors(sources, "event_id")
        return self

    def _of_before(self, claim, field):
        """Whether a source's own record tells rightly of what a record was made with, or of what was before."""
        thing = self.world.things.get(claim.key)
        made = thing is not None and abs(thing.created - claim.at) < 0.0015
        if made and claim.old[0] in {"absent", "unknown"}:
            right = text(look(thing.versions[0][1], field)) == claim.new
        elif claim.at < self.began - 0.0015:
            right = any(
                (fact.key, fact.field) == (claim.key, field)
                and abs(fact.at - claim.at) < 0.0015
                and (text(fact.new), claim.user) == (claim.new, fact.actor)
                for fact in self.world.facts
            )
        else:
            return False
        if not right:
            self.wrong("invented", claim.key.partition(":")[0], claim)
        elif (claim.key, field, claim.at) in self._before:
            self.wrong("doubled", claim.key.partition(":")[0], claim)
        self._before.add((claim.key, field, claim.at))
        return True

    @staticmethod
    def _element(fact):
        """What tells the changes of one list's elements apart."""
        whole = fact.old if fact.new is ABSENT else fact.new if fact.old is ABSENT else None
        return None if whole is None else text(whole)[1]

    def _element_of(self, claim, facts, field):
        for element in (
            claim.new[1] if claim.old[0] == "absent" else claim.old[1] if claim.new[0] == "absent" else None,
            None,
        ):
            if (claim.key, field, element) in facts:
                return element
        return None

    def _series(self, series, facts, told):
        source = facts[0].source
        count = self.counts[source]
        count["true"] += len(facts)
        exact = [one for one in told if one.derivation in EXACT]
        diffs = [one for one in told if one.derivation not in EXACT]
        native = set()
        for claim in exact:
            place = next(
                (n for n, fact in enumerate(facts) if abs(fact.at - claim.at) < 0.0015 and text(fact.new) == claim.new),
                None,
            )
            if place is None:
                self.wrong("invented", source, claim)
            elif place in native:
                self.wrong("doubled", source, claim)
            else:
                native.add(place)
                self._stood_for[claim.id] = facts[place]
                self._right(source, "new", right=True, about=claim)
                self._right(source, "bounds", right=True, about=claim)
                if claim.old[0] != "unknown":
                    self._right(source, "old", right=text(facts[place].old) == claim.old, about=(claim, facts[place]))
                self._who(source, claim.user, facts[place].actor, claim)
        ends, start = set(), 0
        for claim, run in zip(diffs, self._assigned(facts, diffs), strict=True):
            if run is None:
                self._astray(source, claim, facts[start:], diffs)
                continue
            first, last = run
            self._stood_for[claim.id] = facts[last]
            self._check(source, claim, facts[first : last + 1])
            if last in native:
                self.wrong("doubled", source, (claim, "is native, too"))
            ends.add(last)
            start = last + 1
        seen = native | ends
        count["seen"] += len(seen)
        self._unseen(source, series, facts, seen)

    def _assigned(self, facts, diffs):
        """Of each claim the (first, last) of the true changes that it stands for, None for none; as many as can be."""

        @cache
        def best(place, start):
            if place == len(diffs):
                return 0, ()
            found = [(score + 1, (run, *rest)) for run in self._runs(facts, start, diffs[place])
                     for score, rest in [best(place + 1, run[1] + 1)]]  # fmt: skip
            score, rest = best(place + 1, start)
            # The first of equals: its bounds hold without tolerance, or it spans the most.
            return max([*found, (score, (None, *rest))], key=lambda one: one[0])

        return best(0, 0)[1]

    def _runs(self, facts, start, claim):
        """(first, last) of true changes that a claim may stand for: what lies between two looks, in one."""
        found = []
        after, before = claim.after or 0.0, claim.at if claim.before is None else claim.before
        for near in (0.001, self.tolerance):
            inside = [n for n in range(start, len(facts)) if after - near <= facts[n].at <= before + near]
            pairs = itertools.combinations_with_replacement(inside, 2)
            right = [
                (first, last)
                for first, last in pairs
                if text(facts[first].old) == claim.old and text(facts[last].new) == claim.new
            ]
            found += sorted(right, key=lambda pair: (pair[0], -pair[1]))
        return list(dict.fromkeys(found))

    def _astray(self, source, claim, facts, diffs):
        """A claim that stands for no true change as it is: what is wrong with it."""
        if sum((one.old, one.new) == (claim.old, claim.new) for one in diffs) > 1:
            self.wrong("doubled", source, claim)
            return
        old = {text(fact.old) for fact in facts}
        new = {text(fact.new) for fact in facts}
        if claim.old not in old and claim.new not in new:
            self.wrong("invented", source, claim)
            return
        self._right(source, "old", right=claim.old in old, about=claim)
        self._right(source, "new", right=claim.new in new, about=claim)
        if claim.old in old and claim.new in new:
            self._right(source, "bounds", right=False, about=claim)

    def _right(self, source, what, *, right, about):
        """Count what an event says of `what` (old, new, bounds), and put down what is not right."""
        self.counts[source][f"{what} {'right' if right else 'wrong'}"] += 1
        if not right:
            self.wrong("bounds" if what == "bounds" else "value", source, about)

    def _who(self, source, told, actor, about):
        """Count whom an event names: nobody is honest, anybody else is wrong."""
        if told is None:
            self.counts[source]["actor unknown"] += 1
        elif told == actor:
            self.counts[source]["actor right"] += 1
        else:
            self.wrong("actor", source, (about, actor))

    def _authors(self, sources, of):
        """Those who were named afterwards for changes of fields (`of` event_id) or of records that were told before."""
        named = set()
        for one in self.documents:
            source, attribution = one["event"].get("module"), one["trail"].get("attribution", {})
            if one["event"].get("action") != "change.attributed" or source not in sources:
                continue
            if of not in attribution or (of == "operation_id" and "event_id" in attribution):
                continue
            for identity in attribution[of]:
                fact, user = self._stood_for.get(identity), one.get("user", {}).get("id")
                if fact is None:
                    self.wrong("invented", source, (identity, "is attributed, and no change"))
                elif identity in named:
                    self.wrong("doubled", source, (identity, "is attributed twice"))
                elif user != fact.actor or abs(moment(one["@timestamp"]) - fact.at) > 0.0015:
                    self.wrong("actor", source, (identity, user, fact))
                else:
                    self.counts[source]["actor right"] += 1
                    self.counts[source]["actor unknown"] -= 1
                named.add(identity)

    def _check(self, source, claim, facts):
        near = self.tolerance
        claim = claim if claim.before is not None else claim._replace(after=None, before=claim.at)
        # Old and new value are right, or the claim would not stand for these.
        self.counts[source]["old right"] += 1
        self.counts[source]["new right"] += 1
        holds = claim.after is not None and all(
            claim.after - near <= fact.at <= claim.before + near for fact in facts
        )  # fmt: skip
        self._right(source, "bounds", right=holds, about=(claim, facts))
        if holds and not claim.after - 0.001 <= claim.at <= claim.before + 0.001:
            self.wrong("time", source, (claim, "outside its bounds"))
        if claim.user is not None:
            self.wrong("actor", source, (claim, "nobody told who"))
        else:
            self.counts[source]["actor unknown"] += 1
        if source in self.editors:
            possible = self._editors(claim.key, claim.before - self.latency - near, claim.before + near)
            if claim.editor not in possible:
                self.wrong("actor", source, (claim, possible))

    def _editors(self, key, since, until):
        """Who was the last editor of a record at any moment between two."""
        found, before = set(), None
        for fact in self.world.facts:
            if fact.key != key:
                continue
            if fact.at <= since:
                before = fact.actor
            elif fact.at <= until:
                found.add(fact.actor)
        return found | {before}

    def _unseen(self, source, series, facts, seen):
        """True changes of which there is no event: honest only where nobody could see them."""
        key = series[0]
        thing = self.world.things[key]
        for place, fact in enumerate(facts):
            if place in seen:
                continue
            until = facts[place + 1].at if place + 1 < len(facts) else thing.deleted or float("inf")
            if self._was_shown(key, fact, until):
                self.wrong("lost", source, (fact, until))
            else:
                self.counts[source]["unseen"] += 1

    def _was_shown(self, key, fact, until):
        """Whether the agent was shown a value, and nothing hindered it from keeping what it saw."""
        times = [at for at, _ in self.world.things[key].versions]
        shown = [
            one
            for one in self.world.served
            if one.key == key and not any(start <= one.at <= end for start, end in self.interrupted)
        ]
        if shown and fact.at <= times[shown[0].version]:
            # It was so when the record was first looked at: the baseline, whose changes nobody could tell.
            return False
        return until == float("inf") or any(fact.at <= times[one.version] < until for one in shown)

    # -- whole records ------------------------------------------------------------------------------------------------

    def records(self, *sources, missing_ok=()):
        """Judge creations and deletions. `missing_ok`: (source, verb) that a source cannot show."""
        told = defaultdict(list)
        for one in self.documents:
            action, target = one["event"].get("action", ""), one["trail"].get("object", {}).get("key", "")
            verb = WHOLE.get(action) if "change" not in one["trail"] else None
            if verb and target.partition(":")[0] in sources:
                told[target, verb].append(one)
        whole = [fact for fact in self.world.facts if fact.source in sources and fact.verb != "update"]
        # What was before, a source's own log tells rightly, too.
        before = {(fact.key, fact.verb) for fact in whole if fact.at < self.began}
        true = {(fact.key, fact.verb): fact for fact in whole if fact.at >= self.began}
        for (key, verb), found in told.items():
            source = key.partition(":")[0]
            if (key, verb) not in true:
                if (key, verb) not in before or found[0]["event"]["dataset"].endswith(".diff"):
                    self.wrong("invented", source, (key, verb))
                continue
            if len(found) > 1:
                self.wrong("doubled", source, (key, verb, len(found)))
            self._whole(source, true[key, verb], found[0])
        for (key, verb), fact in true.items():
            self.counts[fact.source]["true"] += 1
            if told[key, verb]:
                self.counts[fact.source]["seen"] += 1
            elif (fact.source, verb) in missing_ok or self._short_lived(key):
                self.counts[fact.source]["unseen"] += 1
            else:
                self.wrong("lost", fact.source, fact)
        self._authors(sources, "operation_id")
        return self

    def _whole(self, source, fact, document):
        """A record that came or went: what it was, when, and who did it."""
        self._stood_for[document["trail"]["operation"]["id"]] = fact
        time, at = document["trail"]["time"], moment(document["@timestamp"])
        near = self.tolerance
        if time["precision"] == "exact":
            holds = abs(at - fact.at) <= 0.0015
        else:
            after = moment(time["after"]) if "after" in time else 0.0
            holds = after - near <= fact.at <= moment(time["before"]) + near
        self._right(source, "bounds", right=holds, about=(fact, time, at))
        self._who(source, document.get("user", {}).get("id"), fact.actor, fact)
        # Its values are those of one of its versions; sensitive ones stand in documents of their own.
        said = document["trail"].get("values", {})
        versions = [values for _, values in self.world.things[fact.key].versions if values is not None]
        right = any(
            all(text(values[name])[1] == _plain(told) for name, told in said.items() if name in values)
            for values in versions
        )  # fmt: skip
        self._right(source, "new" if fact.verb == "create" else "old", right=right, about=(fact, said))

    def _short_lived(self, key):
        """Whether a record came and went without having been shown."""
        thing = self.world.things[key]
        return thing.deleted is not None and not any(one.key == key for one in self.world.served)

    # -- logs of the sources' own -------------------------------------------------------------------------------------

    def rows(self, module, expected, dataset=""):
        """Judge native records: each `Row` is one document. `dataset`: of these, where the module has several."""
        told = defaultdict(list)
        for one in self.documents:
            told_by_itself = (
                one["event"].get("dataset") == dataset
                if dataset
                else not one["event"].get("dataset", "").endswith(".diff")
            )
            if one["event"].get("module") == module and one["event"].get("kind") == "event" and told_by_itself:
                told[one["event"]["id"]].append(one)
        name = dataset or module
        count = self.counts[name]
        for row in expected:
            count["true"] += 1
            found = told.get(row.id, [])
            if not found:
                self.wrong("lost", name, row)
                continue
            count["seen"] += 1
            if len(found) > 1:
                self.wrong("doubled", name, (row, len(found)))
            change, user = found[0]["trail"].get("change"), found[0].get("user", {}).get("id")
            holds = abs(moment(found[0]["@timestamp"]) - row.at) <= 0.0015
            self._right(name, "bounds", right=holds, about=(row, found[0]["@timestamp"]))
            self._who(name, user, row.actor, row)
            if row.actor is not None and user is None:
                self.wrong("actor", name, (row, "was told, and is not named"))
            if row.new is not None:
                for which, value in (("old", row.old), ("new", row.new)):
                    right = change is not None and side(change, which) == text(value)
                    self._right(name, which, right=right, about=(row, change))
        for identity in told.keys() - {row.id for row in expected}:
            self.wrong("invented", name, identity)
        return self

    # -- the report ---------------------------------------------------------------------------------------------------

    def report(self):
        """One line a source.

        `true` changes, of which so many were `found`, the others `unseen` by design (gone again before the next look, or
        never shown by the source) or `lost`. Of what was found: how often the old value, the new one and the bounds (or
        the exact time) are right, of as many as have one; how often the actor is, and how often nobody is named. Then
        what was `wrong`: invented, doubled, and everything else that is not true.
        """
        names = ("old", "new", "bounds")
        columns = ("true", "found", "unseen", "lost", *names, "actor", "unknown", "invented", "doubled", "wrong")
        lines = [f"{'source':<14}" + "".join(f"{name:>9}" for name in columns)]
        for source, count in sorted(self.counts.items()):
            sides = [f"{count[f'{name} right']}/{count[f'{name} right'] + count[f'{name} wrong']}" for name in names]
            wrong = sum(count[kind] for kind in ("value", "bounds", "actor", "time"))
            values = (count["true"], count["seen"], count["unseen"], count["lost"], *sides)
            values += (count["actor right"], count["actor unknown"], count["invented"], count["doubled"], wrong)
            lines.append(f"{source:<14}" + "".join(f"{value:>9}" for value in values))
        return "\n".join(lines)


def audited(vendor):
    """The rows of HubSpot's audit log as `Judge.rows` wants them."""
    return [Row(one["id"], moment(one["occurredAt"]), str(one["actingUser"]["userId"])) for one in vendor.audits]
