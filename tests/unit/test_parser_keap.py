"""Keap REST hooks, stage moves and records: bodies to operations."""

import json

import pytest

from parsers import keap
from parsers._contract import ABSENT, UNKNOWN, Change, Operation, Rejected, Time
from parsers._secrets import DROPPED
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

HOOK = json.loads(FOREIGN["keap"])
MOVE = json.loads(FOREIGN["keap move"])
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")
CONTACT = {
    "id": "1234",
    "given_name": "Jo",
    "family_name": "Q",
    "email_addresses": [{"email": "jo@shop.example", "field": "EMAIL1"}],
    "tag_ids": ["88"],
    "custom_fields": [{"id": "12", "content": "blue"}],
    "create_time": "2026-01-10T09:00:00Z",
    "update_time": "2026-03-01T17:04:05Z",
    "created_by": "1",
    "last_updated_by": "40077",
}
ACCOUNT = {"id": "7", "keap_id": "k", "given_name": "Ann", "family_name": "B", "update_time": "t2", "create_time": "t1"}
APPLIED = {"contact_id": "7", "tag_id": "88", "applied_at": "2026-03-01T17:14:05Z"}
LINES = [
    FOREIGN["keap"],
    json.dumps({"stage_moves": [MOVE, {**MOVE, "id": "813"}], "next_page_token": "t"}).encode(),
    json.dumps({**MOVE, "created_by": "5", "user_id": None}).encode(),
    json.dumps({"contacts": [CONTACT], "next_page_token": "t"}).encode(),
    json.dumps(
        [ACCOUNT, {"id": "1", "opportunity_title": "x", "stage": {"id": "2"}, "last_updated_time": "t"}]
    ).encode(),
    json.dumps({"contact_id": "7", "tags": [{"tag": {"id": "9", "name": "n"}, "applied_time": "t"}]}).encode(),
    json.dumps({"contacts": [APPLIED]}).encode(),
]


def test_an_edit_says_only_that_something_changed():
    assert one(keap.parse, FOREIGN["keap"]) == Operation(
        action="field.update",
        kind="hook",
        time=Time("2026-03-01T17:04:05Z"),
        code="contact.edit",
        object_type="contact",
        object_id="1234",
        fields={"trail.object.url": "https://api.keap.example/contacts/1234"},
        missing=("user.id", *NOT_TOLD),
    )


@pytest.mark.parametrize(
    ("event_key", "object_type", "action", "kind"),
    [
        ("contact.add", "contact", "record.create", "contact"),
        ("contact.delete", "contact", "record.delete", "contact"),
        ("contact.merge", "contact", "record.merge", "contact"),
        ("contact.redact", "contact", "record.purge", "contact"),
        ("contact.frobnicate", "contact", "field.update", "contact"),
        ("invoice.payment.add", None, "record.create", "invoice_payment"),
        ("user.add", "user", "user.create", "user"),
        ("user.edit", "user", "user.update", "user"),
        ("user.delete", "user", "user.delete", "user"),
    ],
)
def test_event_keys_become_our_actions(event_key, object_type, action, kind):
    document = {**HOOK, "event_key": event_key, "object_type": object_type}
    op = one(keap.parse, document)
    assert (op.action, op.object_type, op.code, op.changes) == (action, kind, event_key, [])
    assert (set(NOT_TOLD) <= set(op.missing)) is (action in {"field.update", "user.update"})
    assert ("trail.values" in op.missing) is (action in {"record.create", "record.delete"})
    assert "user.id" in op.missing and op.actor_type == "unknown"


@pytest.mark.parametrize(
    ("verb", "action", "sides"), [("applied", "tag.add", (ABSENT, "88")), ("removed", "tag.remove", ("88", ABSENT))]
)
def test_a_tag_is_put_on_each_of_its_contacts(verb, action, sides):
    details = [{"id": 1235, "timestamp": "t1"}, {"id": 1236, "timestamp": "t2", "x": 1}]
    key = {"id": 88, "apiUrl": "", "contact_details": details}
    document = {"event_key": f"contactGroup.{verb}", "object_type": "contactGroup", "object_keys": [key]}
    first, second = keap.parse(json.dumps(document).encode(), CONTEXT)
    assert (first.action, first.object_type, first.object_id, first.time) == (action, "contact", "1235", Time("t1"))
    assert first.changes == second.changes == [Change("tag", *sides)]
    assert first.raw == {"object_keys": {"apiUrl": ""}}
    assert (second.object_id, second.time) == ("1236", Time("t2"))
    assert second.raw == {"object_keys": {"contact_details": {"x": 1}}}


@pytest.mark.parametrize("details", [None, [], ["odd"], {}])
def test_a_tag_without_contacts_names_none(details):
    key = {"id": 88, "timestamp": "t", "contact_details": details}
    document = {"event_key": "contactGroup.applied", "object_type": "contactGroup", "object_keys": [key]}
    op = one(keap.parse, document)
    assert (op.object_type, op.object_id, op.time) == ("contact", None, Time("t"))
    assert op.raw == {"object_keys": {"contact_details": details}}


def test_a_hook_of_many_objects_is_one_operation_for_each():
    document = {
        **HOOK,
        "object_keys": [{"id": 1, "apiUrl": "u1"}, {"id": 2**60, "timestamp": "t2", "x": {"y": 1}}, {}],
        "account": "a",
    }
    operations = keap.parse(json.dumps(document).encode(), CONTEXT)
    assert [op.object_id for op in operations] == ["1", str(2**60), None]
    assert [op.time and op.time.text for op in operations] == [None, "t2", None]
    assert [op.raw for op in operations] == [{"account": "a"}, {"object_keys": {"x": {"y": 1}}}, {}]


def test_a_hook_of_no_object_is_no_change():
    assert one(keap.parse, {**HOOK, "object_keys": []}).no_change is True


def test_a_hook_whose_keys_are_no_objects_is_refused():
    result = keap.parse(json.dumps({**HOOK, "object_keys": [{"id": 1}, 7]}).encode(), CONTEXT)
    assert result == Rejected("object_keys[1] is no object")


def test_a_stage_move_has_who_from_and_to():
    assert one(keap.parse, FOREIGN["keap move"]) == Operation(
        action="field.update",
        kind="stage_move",
        time=Time("2026-03-01T17:04:05Z"),
        id="812",
        outcome="success",
        object_type="opportunity",
        object_id="991",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "40077"},
        changes=[Change("stage", None, "14")],
    )


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("12", "14", Change("stage", "12", "14")),
        (12, 0, Change("stage", "12", None)),
        (None, "14", Change("stage", None, "14")),
        ([], "14", Change("stage", UNKNOWN, "14", derivation="new_only")),
    ],
)
def test_stage_zero_is_none_and_an_odd_stage_unknown(old, new, change):
    op = one(keap.parse, {**MOVE, "move_from_stage_id": old, "move_to_stage_id": new})
    assert op.changes == [change]
    assert op.raw == ({"move_from_stage_id": []} if old == [] else {})


def test_a_move_that_does_not_say_where_from_has_an_unknown_old_stage():
    document = {name: value for name, value in MOVE.items() if name != "move_from_stage_id"}
    assert one(keap.parse, document).changes == [Change("stage", UNKNOWN, "14", derivation="new_only")]


def test_without_a_user_the_writer_of_the_record_is_inferred():
    op = one(keap.parse, {**MOVE, "user_id": "0", "created_by": "5"})
    assert (op.fields["user.id"], op.actor_confidence, op.fields["trail.actor.basis"]) == (
        "5",
        "inferred",
        "created_by",
    )
    assert op.raw == {"user_id": "0"}


def test_without_anybody_the_actor_is_unknown():
    op = one(keap.parse, {**MOVE, "user_id": None})
    assert (op.actor_type, op.actor_confidence, "user.id" in op.fields) == ("unknown", "unknown", False)


def test_an_answer_of_stage_moves_yields_each_and_keeps_its_paging():
    operations = keap.parse(LINES[1], CONTEXT)
    assert [(op.id, op.raw) for op in operations] == [("812", {"@envelope": {"next_page_token": "t"}}), ("813", {})]
    assert len(keap.parse(json.dumps([MOVE, MOVE]).encode(), CONTEXT)) == 2
    (empty,) = keap.parse(b'{"stage_moves":[]}', CONTEXT)
    assert empty.no_change is True


def test_a_contact_is_seen_whole_at_its_time_of_update_and_its_last_editor_is_no_actor():
    op = one(keap.parse, CONTACT)
    assert (op.action, op.kind, op.object_type, op.object_id) == ("field.update", "snapshot", "contact", "1234")
    assert op.time == Time("2026-03-01T17:04:05Z")
    assert op.fields == {"trail.object.last_editor.id": "40077"}
    assert (op.actor_type, op.changes, op.missing) == ("unknown", [], ("user.id", *NOT_TOLD))
    assert op.values["custom_fields.12"] == "blue"
    assert op.values["update_time"] == "2026-03-01T17:04:05Z"


def test_a_record_that_was_not_changed_since_it_was_made_was_made_by_its_maker():
    op = one(keap.parse, {**CONTACT, "update_time": CONTACT["create_time"]})
    assert (op.action, op.fields["user.id"], op.actor_confidence) == ("record.create", "1", "asserted")
    assert op.missing == ("user.id",)
    assert one(keap.parse, {**ACCOUNT, "update_time": None}).action == "user.create"


def test_a_record_without_times_was_only_seen():
    document = {name: value for name, value in CONTACT.items() if not name.endswith("_time")}
    op = one(keap.parse, document)
    assert (op.action, op.time, op.missing) == ("log.message", None, ("user.id",))


def test_a_record_that_says_only_when_it_was_made_may_have_changed_since():
    document = {name: value for name, value in CONTACT.items() if name != "update_time"}
    op = one(keap.parse, document)
    assert (op.action, op.time, op.actor_type) == ("log.message", None, "unknown")
    assert op.values["create_time"] == CONTACT["create_time"]


@pytest.mark.parametrize(
    ("editor", "identity", "name"),
    [
        ({"user_id": 5, "given_name": "Ann", "family_name": "B"}, "5", "Ann B"),
        ({"id": "6"}, "6", None),
        ("0", None, None),
        ({"user_id": None}, None, None),
    ],
)
def test_the_last_editor_may_be_an_id_or_an_object(editor, identity, name):
    op = one(keap.parse, {**CONTACT, "last_updated_by": editor})
    assert op.fields.get("trail.object.last_editor.id") == identity
    assert op.fields.get("trail.object.last_editor.name") == name
    assert ("last_updated_by" in op.values) is (identity is None)


def test_an_account_is_a_target_with_its_name_and_role():
    op = one(keap.parse, {**ACCOUNT, "admin": True, "updated_by": 9})
    assert (op.action, op.object_type, op.object_id) == ("user.update", "user", "7")
    assert op.fields == {
        "user.target.full_name": "Ann B",
        "user.target.roles": ["admin"],
        "trail.object.last_editor.id": "9",
    }


def test_an_opportunity_is_told_from_its_title_and_stage():
    op = one(keap.parse, {"id": 1, "opportunity_title": "x", "stage": {"id": 2}, "last_updated_time": 1772384645000})
    assert (op.action, op.object_type, op.time) == ("field.update", "opportunity", Time(1772384645000, "epoch_ms"))


def test_an_applied_tag_is_a_change_of_its_contact():
    op = one(keap.parse, APPLIED)
    assert (op.action, op.object_type, op.object_id, op.raw) == ("tag.add", "contact", "7", {})
    assert op.changes == [Change("tag", ABSENT, "88")]
    assert op.time == Time("2026-03-01T17:14:05Z")
    (listed,) = keap.parse(
        json.dumps({"contact_id": "7", "tags": [{"tag": {"id": "9", "name": "n"}, "applied_time": "t"}]}).encode(),
        CONTEXT,
    )
    assert (listed.object_id, listed.changes) == ("7", [Change("tag", ABSENT, "9", new_label="n")])


def test_secrets_in_a_record_are_dropped():
    op = one(
        keap.parse,
        {**CONTACT, "custom_fields": [{"id": "password", "content": "x"}], "website": "https://u:pw@h.example/"},
    )
    assert op.values["custom_fields.password"] == DROPPED
    assert op.values["website"] == f"https://u:{DROPPED}@h.example/"


@pytest.mark.parametrize(
    "document",
    [
        {"contacts": []},
        {"contacts": [{"id": "c", "locationId": "l", "firstName": "Jo"}]},
        {"id": "7", "opportunity_title": "x"},
        {"id": "1", "given_name": "Jo", "family_name": "Q"},
        {"tags": [{"name": "a"}]},
    ],
)
def test_what_others_call_a_contact_is_refused(document):
    assert isinstance(keap.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_an_empty_page_is_no_change():
    assert one(keap.parse, {"contacts": [], "next_page_token": ""}).no_change is True


def test_every_scalar_of_a_contact_is_carried_exactly_once():
    document = {**CONTACT, "website": None, "extra": [1.5, {"a": True}]}
    assert_nothing_is_lost_or_doubled(
        keap.parse, json.dumps(document).encode(), translated={"12", CONTACT["update_time"]}
    )


def test_every_scalar_of_a_hook_is_carried_exactly_once():
    document = {**HOOK, "object_type": "person", "portal": {"id": 5}}
    document["object_keys"] = [{**HOOK["object_keys"][0], "extra": [1.5, None]}]
    assert_nothing_is_lost_or_doubled(keap.parse, json.dumps(document).encode(), translated={"person"})


def test_every_scalar_of_a_stage_move_is_carried_exactly_once():
    document = {**MOVE, "move_from_stage_id": "12", "created_by": "5", "create_time": "t", "prev_stage_move_time": None}
    assert_nothing_is_lost_or_doubled(keap.parse, json.dumps(document).encode())


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"stage_moves":[]}', b'{"stageMoves":[]}']:
        assert isinstance(keap.parse(line, CONTEXT), list)
        assert any(literal in line for literal in keap.LITERALS)
