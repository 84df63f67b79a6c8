"""Bullhorn event subscriptions and edit histories: answers to operations."""

import json

import pytest

from parsers import bullhorn
from parsers._contract import UNKNOWN, Change, Context, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

EVENT = json.loads(FOREIGN["bullhorn"])["events"][0]
ROW = json.loads(FOREIGN["bullhorn history"])
HISTORY = {
    "id": 1,
    "dateAdded": 1772384645000,
    "transactionID": "51B0",
    "modifyingPerson": {"id": 2, "firstName": "Kim", "lastName": "Quill"},
    "targetEntity": {"id": 55, "_subtype": "Placement"},
    "fieldChanges": {
        "total": 2,
        "data": [
            {"columnName": "payRate", "display": "Pay Rate", "oldValue": "40", "newValue": "45"},
            {"columnName": "date", "oldValue": "[blank]", "newValue": "x"},
        ],
    },
}


def event(**members):
    return one(bullhorn.parse, {**EVENT, **members})


def row(**members):
    return one(bullhorn.parse, {**ROW, **members})


def test_an_event_names_the_person_and_the_properties():
    assert one(bullhorn.parse, FOREIGN["bullhorn"]) == Operation(
        action="field.update",
        kind="event",
        time=Time(1772384645000, "epoch_ms"),
        id="ID:JBM-9001",
        code="UPDATED",
        object_type="candidate",
        object_id="5401",
        object_label="Candidate",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "2"},
        changes=[Change("salary", UNKNOWN, UNKNOWN, derivation="new_only")],
        raw={"eventType": "ENTITY", "@envelope": {"requestId": 2}},
    )


@pytest.mark.parametrize(
    ("entity", "kind", "action"),
    [
        ("Candidate", "INSERTED", "record.create"),
        ("Candidate", "DELETED", "record.delete"),
        ("CorporateUser", "INSERTED", "user.create"),
        ("CorporateUser", "UPDATED", "user.update"),
        ("CorporateUser", "DELETED", "user.delete"),
        ("Candidate", "MERGED", "log.message"),
    ],
)
def test_types_of_events_become_our_actions(entity, kind, action):
    op = event(entityName=entity, entityEventType=kind)
    assert (op.action, op.code) == (action, kind)
    assert op.fields.get("user.target.id") == ("5401" if action.startswith("user.") else None)


def test_an_event_about_no_entity_is_a_message():
    op = one(bullhorn.parse, {"eventId": "e", "eventType": "FIELD_MAP_CHANGE", "eventTimestamp": 1772384645000})
    assert (op.action, op.code, op.raw) == ("log.message", "FIELD_MAP_CHANGE", {})


@pytest.mark.parametrize("names", [[], [7], "x"])
def test_an_update_that_names_no_property_says_what_is_missing(names):
    op = event(updatedProperties=names)
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")
    assert op.raw["updatedProperties"] == names


@pytest.mark.parametrize(
    "joined",
    [
        [{"columnName": "salary", "oldValue": "1", "newValue": "2"}],
        {"fieldChanges": {"data": [{"columnName": "salary", "oldValue": "1", "newValue": "2"}]}},
        [{"fieldChanges": [{"columnName": "salary", "oldValue": "1", "newValue": "2"}]}],
    ],
)
def test_a_joined_edit_history_gives_old_and_new_values(joined):
    op = event(updatedProperties=["salary", "status"], editHistory=joined)
    assert op.changes == [
        Change("salary", "1", "2"),
        Change("status", UNKNOWN, UNKNOWN, derivation="new_only"),
    ]


def test_a_row_of_an_edit_history_is_one_native_change():
    assert one(bullhorn.parse, FOREIGN["bullhorn history"]) == Operation(
        action="field.update",
        kind="edit_history",
        time=Time(1772384645000, "epoch_ms"),
        id="6001",
        object_id="55",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "2"},
        changes=[Change("payRate", "40", "45")],
        raw={"editHistory": {"id": 880}},
    )


def test_a_history_with_its_changes_is_one_operation():
    op = one(bullhorn.parse, HISTORY)
    assert op.changes == [Change("payRate", "40", "45", label="Pay Rate"), Change("date", None, "x")]
    assert (op.object_type, op.object_label, op.object_id) == ("placement", "Placement", "55")
    assert op.fields == {"user.id": "2", "user.full_name": "Kim Quill", "transaction.id": "51B0"}


@pytest.mark.parametrize(
    ("old", "new", "wanted"), [("[blank]", "x", (None, "x")), ("x", "[blank]", ("x", None)), (None, "", (None, ""))]
)
def test_blank_is_no_value(old, new, wanted):
    (change,) = row(oldValue=old, newValue=new).changes
    assert (change.old, change.new) == wanted


def test_a_row_without_one_of_the_values_does_not_know_it():
    document = {name: value for name, value in ROW.items() if name != "oldValue"}
    assert one(bullhorn.parse, document).changes == [Change("payRate", UNKNOWN, "45", derivation="new_only")]


def test_the_option_says_what_the_rows_are_about():
    (op,) = bullhorn.parse(FOREIGN["bullhorn history"], Context(options={"entity": "Placement"}))
    assert (op.object_type, op.object_label) == ("placement", "Placement")


def test_a_change_to_the_same_value_changed_nothing():
    assert row(oldValue="x", newValue="x").no_change is True


def test_an_empty_answer_of_a_subscription_is_no_change_and_others_are_refused():
    (op,) = bullhorn.parse(b'{"requestId":3,"events":[]}', CONTEXT)
    assert op.no_change is True
    for line in (b'{"events":[]}', b'{"data":[]}', b'{"columnName":"x","oldValue":"1"}'):
        assert isinstance(bullhorn.parse(line, CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped_from_the_html_too():
    document = json.loads(json.dumps(HISTORY))
    document["auditTrail"] = "<b>password: hunter2</b>"
    document["fieldChanges"]["data"][0]["columnName"] = "password"
    assert "hunter2" not in repr(one(bullhorn.parse, document))
    assert "hunter2" not in repr(row(columnName="password", oldValue="hunter2"))


def test_every_scalar_is_carried_exactly_once():
    assert_nothing_is_lost_or_doubled(bullhorn.parse, json.dumps({**EVENT, "updatedProperties": [], "x": 1.5}).encode())
    assert_nothing_is_lost_or_doubled(bullhorn.parse, FOREIGN["bullhorn history"], translated={"payRate"})
