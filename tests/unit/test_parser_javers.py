"""JaVers: changes and snapshots to operations."""

import json
from pathlib import Path

import pytest

from parsers import javers
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/javers"

COMMIT = {
    "author": "kim",
    "properties": [{"key": "ip", "value": "192.0.2.10"}, {"key": "sessionId", "value": "s-81"}],
    "commitDate": "2026-02-03T11:30:00.123",
    "commitDateInstant": "2026-02-03T10:30:00.123Z",
    "id": 3.5,
}
CHANGE = {
    "changeType": "ValueChange",
    "globalId": {"entity": "example.hr.JobPost", "cdoId": 55},
    "commitMetadata": COMMIT,
    "property": "salary",
    "propertyChangeType": "PROPERTY_VALUE_CHANGED",
    "left": 90000,
    "right": 120000,
}
STATE = {
    "commitMetadata": COMMIT,
    "globalId": CHANGE["globalId"],
    "state": {"name": "Lee R", "salary": 120000},
    "changedProperties": ["salary"],
    "type": "UPDATE",
    "version": 3,
}


def parse(document):
    return one(javers.parse, document)


def many(document):
    return javers.parse(json.dumps(document).encode(), CONTEXT)


def changes(**members):
    document = {name: value for name, value in CHANGE.items() if name not in {"left", "right"}}
    return parse({**document, **members}).changes


def test_a_value_change_has_who_what_old_new_and_where_from():
    op = parse(CHANGE)
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "ValueChange", "change", "3.5")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.object_label) == ("job_post", "55", "JobPost")
    assert op.fields == {"user.name": "kim", "source.ip": "192.0.2.10", "trail.session.id": "s-81"}
    assert op.time == Time("2026-02-03T10:30:00.123Z")
    assert op.raw == {"commitMetadata": {"commitDate": "2026-02-03T11:30:00.123"}}


def test_changes_of_one_commit_and_entity_are_one_operation():
    other = {**CHANGE, "globalId": {"entity": "E", "cdoId": 1}}
    later = {**CHANGE, "commitMetadata": {**COMMIT, "id": 4.5}}
    found = many([CHANGE, other, {**CHANGE, "property": "title"}, later])
    assert [(op.id, op.object_id, [change.field for change in op.changes]) for op in found] == [
        ("3.5", "55", ["salary", "title"]),
        ("3.5", "1", ["salary"]),
        ("4.5", "55", ["salary"]),
    ]
    assert all(op.fields["source.ip"] == "192.0.2.10" for op in found)


def test_one_commit_for_all_changes_is_read_for_each():
    bare = {name: value for name, value in CHANGE.items() if name != "commitMetadata"}
    found = many({"changes": [bare, {**bare, "globalId": {"entity": "E", "cdoId": 1}}], "commitMetadata": COMMIT})
    assert [op.fields["source.ip"] for op in found] == ["192.0.2.10", "192.0.2.10"]


def test_properties_that_came_or_went_are_absent_on_the_other_side():
    assert changes(propertyChangeType="PROPERTY_ADDED", left=None, right=1) == [Change("salary", ABSENT, 1)]
    assert changes(propertyChangeType="PROPERTY_REMOVED", left=1, right=None) == [Change("salary", 1, ABSENT)]
    assert changes(left=1, right=None) == [Change("salary", 1, None)]
    assert changes(left=None, right=1) == [Change("salary", None, 1)]


def test_a_reference_changes_by_its_keys():
    op = parse({**CHANGE, "left": {"entity": "E", "cdoId": 3}, "right": {"entity": "E", "cdoId": 4}})
    assert op.changes == [Change("salary", 3, 4)]
    assert (op.raw["left"], op.raw["right"]) == ({"entity": "E"}, {"entity": "E"})


def test_elements_and_entries_are_changes_of_their_own():
    elements = [
        {"elementChangeType": "ValueAdded", "index": 1, "value": "a"},
        {"elementChangeType": "ValueRemoved", "index": 2, "value": "b"},
        {"elementChangeType": "ElementValueChange", "index": 0, "leftValue": "c", "rightValue": "d"},
        {"elementChangeType": "ValueAdded", "value": "set"},
    ]
    assert changes(changeType="ListChange", elementChanges=elements) == [
        Change("salary[1]", ABSENT, "a"),
        Change("salary[2]", "b", ABSENT),
        Change("salary[0]", "c", "d"),
        Change("salary", ABSENT, "set"),
    ]
    entries = [
        {"entryChangeType": "EntryAdded", "key": "a", "value": 1},
        {"entryChangeType": "EntryRemoved", "key": "b", "value": 2},
        {"entryChangeType": "EntryValueChange", "key": "c", "leftValue": 3, "rightValue": 4},
    ]
    assert changes(changeType="MapChange", entryChanges=entries) == [
        Change("salary.a", ABSENT, 1),
        Change("salary.b", 2, ABSENT),
        Change("salary.c", 3, 4),
    ]


def test_a_value_object_is_a_change_of_its_owner():
    address = {"valueObject": "Address", "ownerId": CHANGE["globalId"], "fragment": "homes/1"}
    op = parse({**CHANGE, "globalId": address})
    assert (op.object_type, op.object_id, op.changes[0].field) == ("job_post", "55", "homes.1.salary")
    new = {**CHANGE, "globalId": address, "changeType": "NewObject"}
    assert many([new, {**CHANGE, "globalId": address}])[0].action == "field.update"


@pytest.mark.parametrize(
    ("whole", "part", "sides", "action"),
    [
        ("NewObject", "InitialValueChange", (None, "Lee"), "record.create"),
        ("ObjectRemoved", "TerminalValueChange", ("Lee", None), "record.delete"),
    ],
)
def test_objects_that_came_or_went_are_their_values(whole, part, sides, action):
    first = {name: CHANGE[name] for name in ("globalId", "commitMetadata")}
    value = {**CHANGE, "changeType": part, "left": sides[0], "right": sides[1]}
    (op,) = many([{**first, "changeType": whole}, value])
    assert (op.action, op.values, op.changes) == (action, {"salary": "Lee"}, [])


def test_a_snapshot_is_compared_with_the_version_before_it():
    older = {**STATE, "version": 2, "state": {"name": "Lee R", "salary": 90000}, "type": "INITIAL"}
    found = many([STATE, older])
    assert found[0].changes == [Change("salary", 90000, 120000, derivation="reconstructed")]
    assert (found[1].action, found[1].values["salary"]) == ("record.create", 90000)
    newest = {**STATE, "version": 4, "state": {"name": "Lee R", "salary": 130000}}
    assert many([newest, {**STATE}])[0].changes == [Change("salary", 120000, 130000, derivation="reconstructed")]


def test_a_snapshot_alone_knows_the_names_and_the_new_values():
    op = parse(STATE)
    assert op.changes == [Change("salary", UNKNOWN, 120000, derivation="new_only")]
    assert op.values == {"name": "Lee R"} and "changedProperties" not in op.raw
    assert parse({**STATE, "type": "TERMINAL"}).action == "record.delete"


@pytest.mark.parametrize("author", ["unknown", "anonymous", "unauthenticated"])
def test_authors_that_are_nobody_stay_nobody(author):
    op = parse({**CHANGE, "commitMetadata": {**COMMIT, "author": author}})
    assert (op.actor_type, "user.name" in op.fields) == ("unknown", False)
    assert op.raw["commitMetadata"]["author"] == author


def test_secrets_are_dropped():
    properties = [{"key": "api_key", "value": "k-1"}]
    document = {**CHANGE, "property": "password", "left": "p-1", "right": "p-2"}
    op = parse({**document, "commitMetadata": {**COMMIT, "properties": properties}})
    assert op.changes == [Change("password", SECRET, SECRET)]
    assert not any(secret in repr(op) for secret in ("p-1", "p-2", "k-1"))
    assert "p-1" not in repr(parse({**CHANGE, "left": {"password": "p-1"}, "right": None}))


def test_every_scalar_is_carried_exactly_once():
    translated = {"example.hr.JobPost", "PROPERTY_VALUE_CHANGED", "salary", "ip", "sessionId"}
    commit = {**COMMIT, "properties": [*COMMIT["properties"], {"key": "tenant", "value": "acme"}]}
    line = json.dumps({**CHANGE, "commitMetadata": commit, "own": {"a": 7}}).encode()
    assert_nothing_is_lost_or_doubled(javers.parse, line, translated)
    state = {**STATE, "changedProperties": ["salary"], "more": 1}
    assert_nothing_is_lost_or_doubled(javers.parse, json.dumps(state).encode(), translated)


@pytest.mark.parametrize("name", ["changeType", "globalId"])
def test_a_change_without_its_members_is_refused(name):
    assert isinstance(many({key: value for key, value in CHANGE.items() if key != name}), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in javers.LITERALS)
