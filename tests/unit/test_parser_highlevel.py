"""HighLevel webhooks, records and audit log: bodies and rows to operations."""

import json

import pytest

from parsers import highlevel
from parsers._contract import SECRET, UNKNOWN, Change, Context, Operation, Rejected, Time
from parsers._secrets import DROPPED
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    assert_sound,
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
PERSON = {
    "id": "u1",
    "firstName": "Ann",
    "lastName": "B",
    "email": "ann@shop.example",
    "permissions": {"contactsEnabled": True, "exportEnabled": False},
}
HEADER = "Name,Module,Action,Done By,Date & Time,Field,Old Value,New Value"
RECORDS = {
    "association": {
        "id": "1",
        "locationId": "l",
        "associationType": "a",
        "firstObjectKey": "b",
        "secondObjectKey": "c",
    },
    "object_schema": {"id": "1", "locationId": "l", "key": "k", "labels": {}, "objectType": "t"},
    "record": {"id": "1", "locationId": "l", "owners": [], "properties": [{"key": "a", "valueString": "b"}]},
    "opportunity": {"id": "1", "locationId": "l", "pipelineId": "p", "pipelineStageId": "s", "contactId": "c"},
    "contact": {"id": "1", "locationId": "l", "dateAdded": "t", "tags": []},
    "user": {**PERSON, "id": "1", "roles": {"type": "account", "role": "admin", "locationIds": ["l"]}},
}
LINES = [
    *(json.dumps(record).encode() for record in RECORDS.values()),
    json.dumps({"records": [RECORDS["record"]], "total": 1}).encode(),
    json.dumps(
        {"type": "LCEmailStats", "locationId": "l", "webhookPayload": {"event": "x", "recipient": "a@b"}}
    ).encode(),
    json.dumps({"type": "PLAN_CHANGE", "locationId": "l", "currentPlanId": "a", "newPlanId": "b"}).encode(),
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


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        ("InvoicePaid", "status", "paid"),
        ("InvoiceVoid", "status", "void"),
        ("ConversationUnreadUpdate", "unreadCount", 2),
        ("TaskComplete", "completed", True),
    ],
)
def test_more_typed_events_name_their_field(code, field, value):
    assert body(type=code, **{field: value}).changes == [Change(field, UNKNOWN, value, derivation="new_only")]


def test_a_previous_value_makes_a_typed_event_native():
    op = body(type="OpportunityStatusUpdate", status="won", previousStatus=None)
    assert op.changes == [Change("status", None, "won")]


def test_a_changed_plan_has_old_and_new():
    op = one(
        highlevel.parse,
        {"type": "PLAN_CHANGE", "locationId": "l", "appId": "a", "currentPlanId": "p1", "newPlanId": "p2"},
    )
    assert (op.action, op.object_id, op.changes, op.raw) == ("config.update", "a", [Change("planId", "p1", "p2")], {})
    op = one(highlevel.parse, {"type": "PlanChange", "locationId": "l", "previousPlanId": None, "planId": "p2"})
    assert op.changes == [Change("planId", None, "p2")]


@pytest.mark.parametrize(
    ("event", "action", "outcome"),
    [("delivered", "email.send", "success"), ("failed", "email.send", "failure"), ("opened", "log.message", None)],
)
def test_email_statistics_tell_whether_it_was_sent(event, action, outcome):
    payload = {"event": event, "recipient": "jo@shop.example", "timestamp": 1772385038}
    op = one(highlevel.parse, {"type": "LCEmailStats", "locationId": "l", "webhookPayload": payload})
    assert (op.action, op.outcome, op.time) == (action, outcome, Time(1772385038, "epoch_s"))
    assert op.fields["email.to.address"] == ["jo@shop.example"]


def test_what_a_provider_shall_send_is_a_message_of_its_user():
    op = one(highlevel.parse, {"type": "SMS", "locationId": "l", "messageId": "m", "contactId": "c", "userId": "u"})
    assert (op.action, op.object_id, op.fields["user.id"]) == ("message.send", "c", "u")


@pytest.mark.parametrize(("code", "action"), [("RelationCreate", "record.link"), ("RelationDelete", "record.unlink")])
def test_a_relation_links_its_first_record(code, action):
    document = {
        "type": code,
        "locationId": "l",
        "id": "r",
        "firstObjectKey": "custom_objects.pets",
        "firstRecordId": "1",
        "secondRecordId": "2",
    }
    op = one(highlevel.parse, document)
    assert (op.action, op.object_type, op.object_id) == (action, "custom_objects_pets", "1")
    assert op.values == {"id": "r", "secondRecordId": "2"}


def test_an_account_is_a_target_and_each_permission_a_value():
    op = one(highlevel.parse, {**PERSON, "type": "UserCreate", "locationId": "l", "role": "admin"})
    assert (op.action, op.object_id) == ("user.create", "u1")
    assert op.fields == {
        "organization.id": "l",
        "user.target.full_name": "Ann B",
        "user.target.email": "ann@shop.example",
        "user.target.roles": ["admin"],
    }
    assert op.values == {"permissions.contactsEnabled": True, "permissions.exportEnabled": False}


def test_the_documented_body_of_a_created_user_is_one():
    op = one(highlevel.parse, {**PERSON, "type": "account", "locationId": "l", "role": "user"})
    assert (op.action, op.object_type, op.object_id, op.code) == ("user.create", "user", "u1", None)


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_without_a_type_is_told_from_its_members(kind):
    op = one(highlevel.parse, RECORDS[kind])
    assert (op.kind, op.action, op.object_type, op.object_id) == ("snapshot", "log.message", kind, "1")
    assert "type" not in op.values


def test_a_record_without_a_type_is_of_its_own_time():
    record = {
        **RECORDS["record"],
        "createdAt": "t1",
        "updatedAt": "t2",
        "lastUpdatedBy": {"sourceId": "u2", "channel": "APP"},
    }
    op = one(highlevel.parse, record)
    assert (op.action, op.time, op.fields["trail.object.last_editor.id"]) == ("field.update", Time("t2"), "u2")
    assert (op.values["lastUpdatedBy"], op.values["properties.a"]) == ({"channel": "APP"}, "b")
    assert one(highlevel.parse, {**record, "updatedAt": "t1"}).action == "record.create"
    assert one(highlevel.parse, {**RECORDS["record"], "timestamp": "t3"}).time == Time("t3")


def test_properties_may_be_an_object():
    record = {"id": "1", "locationId": "l", "objectKey": "k", "properties": {"iban": "x"}}
    assert one(highlevel.parse, record).values == {"objectKey": "k", "properties.iban": "x"}


def test_an_answer_of_the_api_yields_its_records_and_keeps_what_is_beside_them():
    (op,) = highlevel.parse(json.dumps({"records": [RECORDS["record"]], "total": 1}).encode(), CONTEXT)
    assert op.raw == {"@envelope": {"total": 1}}
    assert isinstance(highlevel.parse(b'{"records":[]}', CONTEXT), Rejected)
    assert body(contacts=[{"id": 1}]).values["contacts"] == [{"id": 1}]


def test_secrets_in_addresses_are_dropped():
    op = body(website="https://h.example/?token=t-1")
    assert op.values["website"] == f"https://h.example/?token={DROPPED}"


# -- audit log --------------------------------------------------------------------------------------------------------


def row(*cells, header=HEADER, **options):
    line = f"{header}\n{','.join(cells)}".encode()
    result = highlevel.parse(line, Context(options=options))
    assert isinstance(result, list), result
    assert_sound(result)
    (op,) = result
    return op


def test_a_row_says_who_changed_which_field_from_what_to_what():
    op = row("Roof", "Opportunity", "Updated", "Ann B", "2026-03-01T17:04:05Z", "Monetary Value", "40", "55")
    assert op == Operation(
        action="field.update",
        kind="audit",
        code="Updated",
        time=Time("2026-03-01T17:04:05Z"),
        object_type="opportunity",
        object_name="Roof",
        object_label="Opportunity",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.full_name": "Ann B"},
        changes=[Change("Monetary Value", "40", "55")],
    )


def test_an_empty_cell_is_null_so_that_the_direction_is_kept():
    cells = ("Roof", "Contacts", "Updated", "ann@shop.example", "t", "Phone")
    assert row(*cells, "", "1").changes == [Change("Phone", None, "1")]
    assert row(*cells, "1", "").changes == [Change("Phone", "1", None)]
    assert row(*cells, "1", "").fields == {"user.email": "ann@shop.example"}
    assert row(*cells, "1", "1").no_change is True


@pytest.mark.parametrize(
    ("module", "action", "ours"),
    [
        ("Contact", "Created", "record.create"),
        ("Contact", "Deleted", "record.delete"),
        ("Contact", "Restored", "record.restore"),
        ("Contact", "Frobnicated", "log.message"),
        ("My Staff", "Created", "user.create"),
        ("User", "Updated", "user.update"),
        ("Workflow", "Updated", "automation.edit"),
        ("Audit Logs", "Exported", "data.export"),
        ("User", "Login", "auth.login"),
    ],
)
def test_actions_and_modules_become_our_actions(module, action, ours):
    assert row("x", module, action, "Ann", "t", "", "", "").action == ours


def test_a_changed_role_is_granted():
    op = row("Ben", "User", "Updated", "Ann", "t", "Role", "user", "admin")
    assert (op.action, op.object_type, op.fields["user.changes.roles"]) == ("role.grant", "user", ["admin"])


def test_json_in_cells_is_compared():
    old, new = ('"{""a"":1,""b"":2}"', '"{""a"":1,""b"":3}"')
    op = row("x", "Contact", "Updated", "Ann", "t", "", old, new)
    assert (op.changes, op.raw) == ([Change("b", 2, 3)], {"New Value": {"a": 1}})
    assert row("x", "Contact", "Created", "Ann", "t", "", "", new).values == {"a": 1, "b": 3}
    assert row("x", "Contact", "Deleted", "Ann", "t", "", old, "").values == {"a": 1, "b": 2}


def test_columns_are_found_by_their_names_in_any_order_and_spelling():
    header = "date_time,DONE BY,module,ACTION,Record Id,Modified Fields,IP Address,Sub-Account ID,Extra"
    detail = '"[{""field"":""phone"",""old"":""1"",""new"":null,""why"":""x""}]"'
    op = row("t", "Ann", "Contact", "updated", "c-1", detail, "198.51.100.9:443", "l", "e", header=header)
    assert (op.object_id, op.changes) == ("c-1", [Change("phone", "1", None)])
    assert (op.fields["source.ip"], op.fields["organization.id"]) == ("198.51.100.9", "l")
    assert op.raw == {
        "IP Address": "198.51.100.9:443",
        "Modified Fields": {"changes": [{"field": "phone", "why": "x"}]},
        "Extra": "e",
    }


def test_the_layout_of_times_is_an_option():
    op = row("x", "Contact", "Updated", "Ann", "03/01/2026 05:04 PM", "", "", "", time_layout="%m/%d/%Y %I:%M %p")
    assert op.time == Time("03/01/2026 05:04 PM", "%m/%d/%Y %I:%M %p")
    assert row("x", "Contact", "Updated", "Ann", "", "", "", "").time is None


def test_the_system_is_no_user():
    op = row("x", "Contact", "Updated", "System", "t", "", "", "")
    assert (op.actor_type, op.fields, op.raw) == ("system", {}, {"Done By": "System"})


def test_a_changed_secret_is_dropped_and_has_changed():
    op = row("x", "Contact", "Updated", "Ann", "t", "Api Key", "k-1", "k-2")
    assert (op.changes, op.no_change) == ([Change("Api Key", SECRET, SECRET)], False)


@pytest.mark.parametrize(
    "record",
    [b"Name,Module,Action\na,b,c", b"Date,User,Action,Section\na,b,c,d", HEADER.encode() + b"\na,b", HEADER.encode()],
)
def test_other_tables_are_refused(record):
    assert isinstance(highlevel.parse(record, CONTEXT), Rejected)


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"type":"LocationCreate","companyId":"c"}']:
        assert isinstance(highlevel.parse(line, CONTEXT), list)
        assert any(literal in line for literal in highlevel.LITERALS)
