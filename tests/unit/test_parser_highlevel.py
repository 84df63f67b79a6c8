"""HighLevel webhooks: bodies to operations."""

import json

import pytest
from hypothesis import given, settings

from parsers import highlevel
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_never_raises_when_cut,
    assert_nothing_is_lost_or_doubled,
    assert_refuses_all_but,
    assert_sound,
    mutated,
    one,
)

STAGE = json.loads(FOREIGN["highlevel"])
CONTACT = {
    "type": "ContactUpdate",
    "locationId": "loc-1",
    "id": "con-1",
    "email": "john@shop.example",
    "tags": ["a", "b"],
    "dnd": True,
    "customFields": [{"id": "cf1", "value": "XYZ"}],
    "dateAdded": "2021-11-26T12:41:02.193Z",
    "timestamp": "2026-03-01T17:04:05.000Z",
    "webhookId": "wh-1",
}
LINES = [
    FOREIGN["highlevel"],
    json.dumps(CONTACT).encode(),
    json.dumps(
        [{"type": "ContactCreate", "timestamp": 1, "webhookId": "w", "data": {"id": "c", "locationId": "l"}}]
    ).encode(),
    json.dumps(
        {"type": "OutboundMessage", "locationId": "l", "messageId": "m", "userId": "u", "contactId": "c"}
    ).encode(),
]


def body(**members):
    return one(highlevel.parse, {**CONTACT, **members})


def test_a_typed_event_is_one_new_value_of_an_unknown_old_one():
    assert one(highlevel.parse, FOREIGN["highlevel"]) == Operation(
        action="field.update",
        kind="webhook",
        code="OpportunityStageUpdate",
        object_type="opportunity",
        object_id="opp-1",
        fields={"organization.id": "loc-1"},
        changes=[Change("pipelineStageId", UNKNOWN, "stage-2", derivation="new_only")],
        values={"status": "open", "monetaryValue": 40},
    )


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        ("OpportunityStatusUpdate", "status", "won"),
        ("OpportunityAssignedToUpdate", "assignedTo", None),
        ("OpportunityMonetaryValueUpdate", "monetaryValue", 12),
        ("ContactTagUpdate", "tags", ["x"]),
        ("ContactDndUpdate", "dnd", False),
        ("OrderStatusUpdate", "status", "shipped"),
    ],
)
def test_each_typed_event_names_its_field(code, field, value):
    op = body(type=code, **{field: value})
    assert op.changes == [Change(field, UNKNOWN, value, derivation="new_only")]
    assert field not in op.values
    assert op.missing == ()


def test_a_typed_event_without_its_value_has_an_unknown_new_one():
    op = body(type="OpportunityStageUpdate")
    assert op.changes == [Change("pipelineStageId", UNKNOWN, UNKNOWN, derivation="new_only")]


def test_a_plain_update_is_the_record_as_it_is_now():
    op = body()
    assert (op.action, op.id, op.code, op.object_type, op.object_id) == (
        "field.update",
        "wh-1",
        "ContactUpdate",
        "contact",
        "con-1",
    )
    assert op.time == Time("2026-03-01T17:04:05.000Z")
    assert op.changes == []
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")
    assert op.values == {
        "email": "john@shop.example",
        "tags": ["a", "b"],
        "dnd": True,
        "customFields.cf1": "XYZ",
        "dateAdded": "2021-11-26T12:41:02.193Z",
    }
    assert op.raw == {}


@pytest.mark.parametrize(
    ("code", "action", "object_type"),
    [
        ("ContactCreate", "record.create", "contact"),
        ("ContactDelete", "record.delete", "contact"),
        ("ObjectSchemaCreate", "record.create", "object_schema"),
        ("InvoicePartiallyPaid", "field.update", "invoice"),
        ("UserCreate", "user.create", "user"),
        ("UserUpdate", "user.update", "user"),
        ("user.updated", "user.update", "user"),
        ("user.deleted", "user.delete", "user"),
        ("INSTALL", "app.connect", "app"),
        ("UNINSTALL", "app.disconnect", "app"),
        ("PlanChange", "config.update", "app"),
        ("InboundMessage", "message.receive", "message"),
        ("OutboundMessage", "message.send", "message"),
        ("LCEmailStats", "log.message", None),
    ],
)
def test_types_become_our_actions(code, action, object_type):
    op = body(type=code)
    assert (op.action, op.object_type, op.code) == (action, object_type, code)


def test_a_record_under_its_own_name_or_under_data_is_found():
    appointment = {"type": "AppointmentUpdate", "locationId": "l", "appointment": {"id": "ap", "title": "T"}, "v": 1}
    op = one(highlevel.parse, appointment)
    assert (op.object_id, op.values, op.raw) == ("ap", {"title": "T"}, {"v": 1})
    wrapped = {"type": "ContactCreate", "webhookId": "w", "data": {"id": "c", "locationId": "l", "phone": "1"}}
    op = one(highlevel.parse, wrapped)
    assert (op.object_id, op.values, op.fields) == ("c", {"phone": "1"}, {"organization.id": "l"})


def test_the_location_is_the_organization_and_the_company_stands_in_for_it():
    op = body(companyId="co-1", appId="app-1")
    assert (op.fields["organization.id"], op.raw) == ("loc-1", {"companyId": "co-1", "appId": "app-1"})
    document = {"type": "LocationCreate", "id": "l", "companyId": "co-1", "name": "Shop"}
    op = one(highlevel.parse, document)
    assert (op.action, op.fields, op.values) == ("record.create", {"organization.id": "co-1"}, {"name": "Shop"})


def test_custom_properties_are_named_by_their_key():
    record = {
        "type": "RecordUpdate",
        "id": "r",
        "locationId": "l",
        "properties": [{"key": "salary", "valueString": "9"}, {"key": "n", "valueNumber": 1}],
    }
    assert one(highlevel.parse, record).values == {"properties.salary": "9", "properties.n": 1}


@pytest.mark.parametrize(
    "properties",
    [
        [],
        "x",
        [1],
        [{"key": "a"}],
        [{"key": "a", "valueString": "1"}, {"key": "a", "valueString": "2"}],
        [{"key": "a", "valueString": "1", "more": 2}],
    ],
)
def test_custom_properties_of_another_shape_stay_as_they_are(properties):
    record = {"type": "RecordUpdate", "id": "r", "locationId": "l", "properties": properties}
    assert one(highlevel.parse, record).values == {"properties": properties}


def test_the_time_is_the_deliverys_else_the_records_own_else_none():
    assert body(timestamp=1700000000000).time == Time(1700000000000, "epoch_ms")
    assert body(type="ContactCreate", timestamp=None).time == Time("2021-11-26T12:41:02.193Z")
    assert body(timestamp=None, dateUpdated="2026-03-01T00:00:00Z").time == Time("2026-03-01T00:00:00Z")
    assert body(timestamp=None).time is None
    assert body(type="ContactDelete", timestamp=None).time is None
    assert body(type="ContactCreate", timestamp=None).values["dateAdded"] == "2021-11-26T12:41:02.193Z"


def test_who_installed_an_app_or_sent_a_message_is_told_and_who_received_one_is_not_the_actor():
    install = one(highlevel.parse, {"type": "INSTALL", "appId": "a", "companyId": "c", "userId": "u", "planId": "p"})
    assert (install.object_id, install.fields["user.id"], install.actor_type) == ("a", "u", "user")
    assert install.raw == {"planId": "p"}
    message = {
        "locationId": "l",
        "contactId": "c",
        "messageId": "m",
        "userId": "u",
        "dateAdded": "2026-03-01T00:00:00Z",
    }
    sent = one(highlevel.parse, {"type": "OutboundMessage", **message})
    assert (sent.object_type, sent.object_id, sent.fields["user.id"]) == ("contact", "c", "u")
    assert (sent.time, sent.raw) == (Time("2026-03-01T00:00:00Z"), {"messageId": "m"})
    received = one(highlevel.parse, {"type": "InboundMessage", **message})
    assert received.actor_type == "unknown"
    assert received.raw == {"messageId": "m", "userId": "u"}


def test_the_last_editor_of_a_record_is_not_its_actor():
    op = body(lastUpdatedBy="u9")
    assert op.fields["trail.object.last_editor.id"] == "u9"
    assert (op.actor_type, "user.id" in op.fields, "lastUpdatedBy" in op.values) == ("unknown", False, False)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "ContactUpdate", "id": "c"},
        {"type": "contact.updated", "locationId": "l"},
        {"type": 7, "locationId": "l"},
        {"locationId": "l", "id": "c"},
        {"type": "ContactUpdate", "locationId": 7},
    ],
)
def test_what_highlevel_does_not_send_is_refused(document):
    assert isinstance(highlevel.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_an_array_of_bodies_is_read_in_order():
    operations = highlevel.parse(json.dumps([STAGE, CONTACT]).encode(), CONTEXT)
    assert [op.code for op in operations] == ["OpportunityStageUpdate", "ContactUpdate"]


@pytest.mark.parametrize(
    "code", ["ContactUpdate", "ContactTagUpdate", "ContactCreate", "InboundMessage", "LCEmailStats"]
)
def test_every_scalar_is_carried_exactly_once(code):
    document = {**CONTACT, "type": code, "companyId": "co", "extra": {"deep": [1, 2.5, None]}, "lastUpdatedBy": "u9"}
    names = {"cf1"}  # it becomes part of a name
    assert_nothing_is_lost_or_doubled(highlevel.parse, json.dumps(document).encode(), translated=names)


def test_lines_of_other_formats_are_refused():
    assert_refuses_all_but(highlevel.parse, "highlevel")


@pytest.mark.parametrize("line", LINES)
def test_a_line_cut_at_any_byte_is_refused(line):
    assert_never_raises_when_cut(highlevel.parse, line)


@settings(max_examples=200, deadline=None)
@given(mutated(LINES))
def test_a_damaged_line_raises_nothing_and_yields_a_sound_result(line):
    assert_sound(highlevel.parse(line, CONTEXT))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"type":"LocationCreate","companyId":"c"}']:
        assert isinstance(highlevel.parse(line, CONTEXT), list)
        assert any(literal in line for literal in highlevel.LITERALS)
