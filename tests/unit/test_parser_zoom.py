"""Zoom webhooks and operation logs to operations."""

import json

import pytest

from parsers import zoom
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

NO_CHANGE_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def event(name, new=None, old=None, **more):
    payload = {"account_id": "AC1", "operator": "kim@x.example", "operator_id": "U7", "object": new or {"id": "U9"}}
    if old is not None:
        payload["old_object"] = old
    return {"event": name, "event_ts": 1770114600123, "payload": {**payload, **more}}


def log(detail, category="Account", action="Update", **more):
    return {
        "time": "2026-02-03T10:30:00Z", "operator": "kim@x.example", "category_type": category, "action": action,
        "operation_detail": detail, **more,
    }  # fmt: skip


def op_of(*args, **kwargs):
    return one(zoom.parse, event(*args, **kwargs))


def logged(*args, **kwargs):
    return one(zoom.parse, log(*args, **kwargs))


def test_a_changed_setting_has_who_when_path_old_and_new():
    document = event(
        "user.settings_updated",
        {"id": "U9", "settings": {"in_meeting": {"chat": False, "poll": True}}},
        {"id": "U9", "settings": {"in_meeting": {"chat": True, "poll": True}}},
        time_stamp=1770114600100,
    )
    assert one(zoom.parse, document) == Operation(
        action="config.update",
        kind="webhook",
        time=Time(1770114600100, "epoch_ms"),
        code="user.settings_updated",
        object_type="user",
        object_id="U9",
        actor_type="user",
        actor_confidence="asserted",
        fields={
            "organization.id": "AC1",
            "user.id": "U7",
            "user.email": "kim@x.example",
            "user.target.id": "U9",
        },
        changes=[Change("settings.in_meeting.chat", True, False)],
        raw={"event_ts": 1770114600123, "payload": {"object": {"settings": {"in_meeting": {"poll": True}}}}},
    )


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"dept": None}, {"dept": "a"}, [Change("dept", None, "a")]),
        ({"dept": "a"}, {"dept": None}, [Change("dept", "a", None)]),
        ({"dept": "a"}, {}, [Change("dept", "a", ABSENT)]),
        ({"dept": "a"}, {"dept": "b", "only_new": 1}, [Change("dept", "a", "b")]),
    ],
)
def test_only_what_the_old_object_names_has_changed(old, new, changes):
    assert op_of("user.updated", {"id": "U9", **new}, {"id": "U9", **old}).changes == changes


def test_an_update_to_the_same_is_no_change():
    assert op_of("user.updated", {"id": 1, "dept": "a"}, {"id": 1, "dept": "a"}).no_change is True


def test_an_update_without_the_state_before_says_what_is_missing():
    assert op_of("user.updated").missing == NO_CHANGE_TOLD
    op = op_of("account.settings_updated", {"settings": {"a": {"b": 1}}})
    assert op.changes == [Change("settings.a.b", UNKNOWN, 1, derivation="new_only")]


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("user.created", "user.create"),
        ("user.deactivated", "user.disable"),
        ("user.disassociated", "user.delete"),
        ("account.updated", "field.update"),
        ("meeting.created", "record.create"),
        ("webinar.deleted", "record.delete"),
        ("meeting.permanently_deleted", "record.purge"),
        ("recording.recovered", "record.restore"),
        ("group.admin_added", "role.grant"),
        ("meeting.alert", "log.message"),
    ],
)
def test_events_become_our_actions(name, action):
    assert (op_of(name).action, op_of(name).object_type) == (action, name.partition(".")[0])


def test_who_signs_in_is_the_user():
    op = op_of("user.signed_in", {"id": "U9", "email": "lee@x.example"}, operator=None, operator_id=None)
    assert (op.action, op.outcome, op.fields["user.id"], op.object_id) == ("auth.login", "success", "U9", "U9")


def test_nobody_is_named_who_the_event_does_not_name():
    op = one(
        zoom.parse,
        {"event": "meeting.started", "event_ts": 1, "payload": {"account_id": "A", "object": {"host_id": "U1"}}},
    )
    assert (op.actor_type, "user.id" in op.fields) == ("unknown", False)


def test_a_participant_has_an_address():
    op = op_of("meeting.participant_joined", {"id": 1, "participant": {"user_name": "Lee", "public_ip": "203.0.113.9"}})
    assert (op.fields["source.ip"], op.fields["user.full_name"]) == ("203.0.113.9", "Lee")


def test_secrets_are_dropped():
    op = op_of(
        "meeting.created",
        {"id": 1, "password": "p", "host_key": "1", "a": {"passcode": "2"}, "u": "https://z.example/j?pwd=x"},
    )
    assert op.values == {
        "password": "(secret dropped)", "host_key": "(secret dropped)", "a.passcode": "(secret dropped)",
        "u": "https://z.example/j?pwd=(secret dropped)",
    }  # fmt: skip
    assert op_of("user.updated", {"host_key": "1"}, {"host_key": "2"}).changes == [Change("host_key", SECRET, SECRET)]
    op = one(zoom.parse, {**event("recording.completed"), "download_token": "eyJ"})
    assert op.raw["download_token"] == "(secret dropped)"


def test_the_challenge_of_zoom_yields_nothing():
    op = one(zoom.parse, {"event": "endpoint.url_validation", "payload": {"plainToken": "x"}, "event_ts": 1})
    assert op.no_change is True and op.raw == {}


@pytest.mark.parametrize(
    ("detail", "changes"),
    [
        ("Security  - Sign in: from On to Off", [Change("Security - Sign in on/off", "On", "Off")]),
        ("Rules  - A: from 8 to 14 - B: from x to y", [Change("Rules - A", "8", "14"), Change("Rules - B", "x", "y")]),
        ("Branding  - A: from b to c to d", []),
        ("Branding  - A: from b - c to d", []),
        ("Nothing said", []),
    ],
)
def test_sentences_of_operation_logs_are_taken_apart_where_there_is_no_doubt(detail, changes):
    op = logged(detail)
    assert (op.action, op.changes, op.message) == ("config.update", changes, None if changes else detail)
    assert op.missing == (() if changes else NO_CHANGE_TOLD)


@pytest.mark.parametrize(
    ("detail", "category", "verb", "action", "target"),
    [
        ("Deactivate User lee@x.example ", "User", "Update", "user.disable", "lee@x.example"),
        ("Delete User lee@x.example", "User", "Delete", "user.delete", "lee@x.example"),
        ("Change Role  - lee@x.example: from User to Admin", "User", "Batch Update", "role.grant", "lee@x.example"),
        ("Add Group Ops", "User Group", "Add", "group.create", None),
        ("Something", "Recording", "Delete", "record.delete", None),
        ("Something", "Billing", "Zap", "log.message", None),
    ],
)
def test_operation_logs_become_our_actions(detail, category, verb, action, target):
    op = logged(detail, category, verb)
    assert (op.action, op.fields.get("user.target.email")) == (action, target)


def test_a_secret_in_a_sentence_is_dropped():
    op = logged("Edit User lee@x.example  - Host Passcode: from 1 to 2", "User")
    assert op.changes == [Change("Host Passcode", SECRET, SECRET)] and op.message is None and op.raw == {}


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps(
        event(
            "user.updated",
            {"id": "U9", "a": 1, "b": {"c": 2, "d": 3}},
            {"id": "U9", "a": 4, "b": {"c": 5, "d": 3}},
            x="y",
        )
    )
    document = json.loads(line)
    del document["payload"]["old_object"]["id"], document["payload"]["old_object"]["b"]["d"]
    # A member that the state before lacks is one that was added.
    assert_nothing_is_lost_or_doubled(zoom.parse, json.dumps(document).encode())
    detail = "Rules  - A: from 8 to 14"
    assert_nothing_is_lost_or_doubled(
        zoom.parse, json.dumps(log(detail, z="q")).encode(), translated={detail, "Update", "Account"}
    )


@pytest.mark.parametrize(
    "document",
    [
        {"event": "user.updated", "payload": {"object": {"id": 1}}, "event_ts": 1},
        {"event": "user.updated", "payload": {"account_id": "A"}},
        {"event": " ", "payload": {"account_id": "A"}, "event_ts": 1},
        {"category_type": "User", "operation_detail": "x"},
        {"operation_logs": [{"a": 1}]},
    ],
)
def test_what_only_looks_like_zoom_is_refused(document):
    assert isinstance(zoom.parse(json.dumps(document).encode(), CONTEXT), Rejected)
