"""Pipedrive webhooks and changelogs: bodies to operations."""

import json

import pytest

from parsers import pipedrive
from parsers._contract import ABSENT, SECRET, Change, Rejected, Time
from parsers._secrets import DROPPED
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

META = {
    "action": "change",
    "entity": "deal",
    "entity_id": "8",
    "company_id": "8087566",
    "correlation_id": "co-1",
    "id": "df47d877",
    "is_bulk_edit": False,
    "timestamp": "2026-03-01T17:04:05.724Z",
    "user_id": "12415231",
    "version": "2.0",
    "webhook_id": "4710827",
    "change_source": "app",
    "attempt": 1,
}
FIRST = {
    "v": 1,
    "matches_filters": {"current": [], "previous": []},
    "meta": {
        "action": "updated",
        "object": "deal",
        "id": 8,
        "company_id": 1,
        "user_id": 7,
        "timestamp": 1772384645,
        "timestamp_micro": 1772384645384700,
        "webhook_id": 3,
    },
    "retry": 0,
    "current": {"id": 8, "value": 250, "title": "Roof"},
    "previous": {"id": 8, "value": 100, "title": "Roof"},
    "event": "updated.deal",
}
ROW = {
    "field_key": "stage_id",
    "old_value": "2",
    "new_value": None,
    "actor_user_id": 5,
    "time": "2026-03-01 17:04:05",
    "change_source": "app",
    "change_source_user_agent": "Mozilla/5.0",
}


def body(data, previous, **meta):
    return {"data": data, "previous": previous, "meta": {**META, **meta}}


def hook(data, previous, **meta):
    return one(pipedrive.parse, body(data, previous, **meta))


EDIT = body({"id": 8, "value": 500, "owner_id": 2, "currency": "EUR"}, {"value": 300, "owner_id": None})
LINES = [
    json.dumps(EDIT).encode(),
    json.dumps(body(None, {"id": 8, "title": "x"}, action="delete")).encode(),
    json.dumps(
        [body({"id": 8, "custom_fields": {"k": {"type": "enum", "id": 1}}}, {"custom_fields": {"k": None}})]
    ).encode(),
    json.dumps(FIRST).encode(),
    json.dumps({"deal_id": 8, "success": True, "data": [ROW, ROW]}).encode(),
]


def test_an_edit_says_who_changed_which_field_of_what():
    op = one(pipedrive.parse, EDIT)
    assert op.changes == [Change("value", 300, 500), Change("owner_id", None, 2)]
    assert (op.action, op.code, op.id, op.time) == ("field.update", "change", "df47d877", Time(META["timestamp"]))
    assert (op.object_type, op.object_id, op.values) == ("deal", "8", {"currency": "EUR"})
    assert op.fields == {"organization.id": "8087566", "user.id": "12415231"}
    assert (op.actor_type, op.actor_confidence, op.interface) == ("user", "asserted", "ui")


def test_what_previous_does_not_name_has_not_changed():
    op = hook({"id": 8, "title": "a", "value": 1}, {"title": None})
    assert op.changes == [Change("title", None, "a")]
    assert op.values == {"value": 1}


def test_the_records_own_time_of_update_is_no_change():
    op = hook({"id": 8, "value": 2, "update_time": "t2"}, {"value": 1, "update_time": "t1"})
    assert op.changes == [Change("value", 1, 2)]
    assert (op.values["update_time"], op.raw["previous"]) == ("t2", {"update_time": "t1"})


def test_an_edit_that_names_no_field_says_so_and_one_of_equal_values_is_none():
    op = hook({"id": 8, "update_time": "t2"}, {"update_time": "t1"})
    assert (op.changes, op.no_change) == ([], False)
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")
    assert hook({"id": 8, "value": 1}, {"value": 1}).no_change is True


@pytest.mark.parametrize(
    ("old", "new", "changes", "values"),
    [
        (None, {"type": "varchar", "value": "x"}, [("", None, "x")], {"type": "varchar"}),
        ({"type": "enum", "id": 1}, {"type": "enum", "id": 2}, [("", 1, 2)], {"type": "enum"}),
        ({"type": "enum", "id": 1}, None, [("", 1, None)], {"type": "enum"}),
        (
            {"type": "monetary", "value": 1, "currency": "EUR"},
            {"type": "monetary", "value": 1, "currency": "USD"},
            [(".currency", "EUR", "USD")],
            {"type": "monetary", "value": 1},
        ),
        ("a", "b", [("", "a", "b")], None),
    ],
)
def test_custom_fields_change_by_their_value(old, new, changes, values):
    op = hook({"id": 8, "custom_fields": {"k": new, "other": 1}}, {"custom_fields": {"k": old}})
    assert op.changes == [Change(f"custom_fields.k{part}", *pair) for part, *pair in changes]
    assert op.values.get("custom_fields.k") == values
    assert op.values["custom_fields.other"] == 1


@pytest.mark.parametrize(
    ("meta", "data", "previous", "action"),
    [
        ({"action": "create"}, {"id": 8}, None, "record.create"),
        ({"action": "delete"}, None, {"id": 8}, "record.delete"),
        ({"action": "delete", "merged_to_id": "9"}, None, {"id": 8}, "record.merge"),
        ({"action": "frobnicate"}, {"id": 8}, None, "field.update"),
        ({"action": "create", "entity": "pipeline"}, {"id": 8}, None, "config.create"),
        ({"entity": "activityType"}, {"name": "a"}, {"name": "b"}, "config.update"),
        ({"action": "delete", "entity": "stage"}, None, {"id": 8}, "config.delete"),
        ({"action": "create", "entity": "user"}, {"id": 8}, None, "user.create"),
        ({"entity": "user"}, {"lang": "a"}, {"lang": "b"}, "user.update"),
        ({"entity": "user"}, {"active_flag": False}, {"active_flag": True}, "user.disable"),
        ({"entity": "user"}, {"active_flag": True}, {"active_flag": False}, "user.enable"),
        ({"entity": "user"}, {"active_flag": []}, {"active_flag": False}, "user.disable"),
        ({"entity": "user"}, {"is_admin": 1}, {"is_admin": 0}, "role.grant"),
        ({"entity": "user"}, {"is_admin": 0}, {"is_admin": 1}, "role.revoke"),
    ],
)
def test_actions_and_entities_become_our_actions(meta, data, previous, action):
    assert hook(data, previous, **meta).action == action


def test_a_created_or_deleted_record_is_its_values():
    values = {"title": "x", "custom_fields": {"k": {"type": "double", "value": 1}}}
    for data, previous, action in (({"id": 8, **values}, None, "create"), (None, {"id": 8, **values}, "delete")):
        op = hook(json.loads(json.dumps(data)), json.loads(json.dumps(previous)), action=action)
        assert (op.object_name, op.values) == ("x", {"custom_fields.k": {"type": "double", "value": 1}})
        assert op.changes == []


def test_an_account_is_a_target_and_its_events_have_the_id_of_what_caused_them():
    op = hook(
        {"id": "7", "name": "Ann", "email": "a@b.example"}, None, action="create", entity="user", entity_id="7", id="7"
    )
    assert op.id == "co-1"
    assert op.fields["user.target.full_name"] == "Ann"
    assert op.fields["user.target.email"] == "a@b.example"
    assert op.values == {}


@pytest.mark.parametrize(
    ("source", "interface"),
    [("app", "ui"), ("api", "api"), ("mobile", "mobile"), ("import", "import"), ("robot", None)],
)
def test_the_way_is_told_where_its_word_is_known(source, interface):
    op = hook({"id": 8}, None, action="create", change_source=source)
    assert op.interface == interface
    assert ("change_source" in op.raw["meta"]) is (interface is None)


def test_nobody_is_no_user():
    for nobody in (None, 0, "0", {}):
        op = hook({"id": 8}, None, action="create", user_id=nobody)
        assert ("user.id" in op.fields, op.actor_type) == (False, "unknown")


def test_the_first_version_compares_whole_records():
    op = one(pipedrive.parse, FIRST)
    assert op.changes == [Change("value", 100, 250)]
    assert (op.code, op.id, op.object_id, op.object_name) == ("updated.deal", None, "8", "Roof")
    assert op.time == Time(1772384645384700, "epoch_us")
    current = {"id": 8, "value": None, "new": 1}
    op = one(pipedrive.parse, {**FIRST, "current": current, "previous": {"id": 8, "value": 1, "gone": 2}})
    assert op.changes == [Change("value", 1, None), Change("new", ABSENT, 1), Change("gone", 2, ABSENT)]


def test_a_row_of_a_changelog_is_one_change_of_the_record_that_is_named_beside_it():
    first, second = pipedrive.parse(LINES[4], CONTEXT)
    assert first.changes == [Change("stage_id", "2", None)]
    assert (first.object_type, first.object_id, first.time) == ("deal", "8", Time("2026-03-01 17:04:05"))
    assert first.fields == {"user.id": "5", "user_agent.original": "Mozilla/5.0"}
    assert (first.raw, second.raw) == ({"@envelope": {"success": True}}, {})
    alone = one(pipedrive.parse, ROW)
    assert (alone.object_type, alone.changes) == (None, first.changes)


def test_secrets_are_dropped():
    op = hook({"id": 8, "api_token": "t-2", "site": "https://u:pw@h.example/?token=t-9"}, {"api_token": "t-1"})
    assert op.changes == [Change("api_token", SECRET, SECRET)]
    assert op.values["site"] == f"https://u:{DROPPED}@h.example/?token={DROPPED}"
    row = one(pipedrive.parse, {**ROW, "field_key": "password", "old_value": None, "new_value": "hunter2"})
    assert row.changes == [Change("password", None, SECRET)]


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps(
        body(
            {
                "id": 80,
                "value": 500,
                "title": "Roof",
                "tags": [31, 32],
                "custom_fields": {"k": {"type": "t", "value": "v"}},
            },
            {"value": 300, "custom_fields": {"k": {"type": "t2", "value": "w"}}},
        )
    ).encode()
    assert_nothing_is_lost_or_doubled(pipedrive.parse, line, translated={"app", "deal", "Roof"})
    assert_nothing_is_lost_or_doubled(
        pipedrive.parse, json.dumps({**ROW, "new_value": "3"}).encode(), translated={"app", "stage_id"}
    )


@pytest.mark.parametrize(
    "document",
    [
        {"meta": {"action": "change"}},
        {"meta": META, "data": {}},
        {"meta": {**META, "action": 7}, "data": {}, "previous": {}},
        {"meta": {"action": "updated", "company_id": 1, "object": "deal"}, "current": {}, "previous": {}},
        {"data": []},
        {"data": [{"id": 1, "title": "deal"}]},
        {"field_key": "", "old_value": 1, "new_value": 2, "actor_user_id": 1, "time": "t"},
        {"field_key": "a", "old_value": 1, "new_value": 2},
    ],
)
def test_what_pipedrive_does_not_send_is_refused(document):
    assert isinstance(pipedrive.parse(json.dumps(document).encode(), CONTEXT), Rejected)
