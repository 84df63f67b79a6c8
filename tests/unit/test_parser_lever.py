"""Lever webhooks and audit events: bodies to operations."""

import json

import pytest

from parsers import lever
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

HOOK = json.loads(FOREIGN["lever"])
AUDIT = json.loads(FOREIGN["lever audit"])
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")
LINES = [
    FOREIGN["lever"],
    FOREIGN["lever audit"],
    json.dumps({"data": [AUDIT, {**AUDIT, "type": "candidate:export"}], "hasNext": False}).encode(),
    json.dumps([{**HOOK, "event": "candidateDeleted", "data": {"candidateId": "c-1", "deletedBy": "u-7"}}]).encode(),
]


def hook(event="candidateStageChange", **data):
    return one(lever.parse, {**HOOK, "event": event, "data": data})


def audit(**members):
    return one(lever.parse, {**AUDIT, **members})


def test_a_stage_change_has_both_stages_and_no_secret():
    assert one(lever.parse, FOREIGN["lever"]) == Operation(
        action="field.update",
        kind="webhook",
        time=Time(1772384645000, "epoch_ms"),
        id="5f1c",
        code="candidateStageChange",
        object_type="candidate",
        object_id="c-1",
        changes=[Change("stage", "lead-new", "phone-screen")],
        raw={"token": "(secret dropped)", "signature": "(secret dropped)"},
    )


def test_the_opportunity_is_nearer_than_the_candidate():
    op = hook(candidateId="c-1", opportunityId="o-1", contactId="p-1", fromStageId="a", toStageId="b")
    assert (op.object_type, op.object_id) == ("opportunity", "o-1")
    assert op.raw["data"] == {"candidateId": "c-1", "contactId": "p-1"}


@pytest.mark.parametrize(
    ("data", "change"),
    [
        ({"fromStageId": None, "toStageId": "b"}, Change("stage", None, "b")),
        ({"fromStageId": "a", "toStageId": None}, Change("stage", "a", None)),
        ({"toStageId": "b"}, Change("stage", UNKNOWN, "b", derivation="new_only")),
        ({"fromStageId": "a"}, Change("stage", "a", UNKNOWN, derivation="new_only")),
        ({"fromArchived": None, "toArchived": {"reason": "r"}}, Change("archived", None, {"reason": "r"})),
    ],
)
def test_the_direction_of_a_change_is_kept(data, change):
    assert hook(**data).changes == [change]


def test_a_change_to_the_same_stage_changed_nothing():
    assert hook(fromStageId="a", toStageId="a").no_change is True


@pytest.mark.parametrize(
    ("event", "action", "kind"),
    [
        ("applicationCreated", "record.create", "application"),
        ("candidateDeleted", "record.delete", "candidate"),
        ("interviewCreated", "record.create", "interview"),
        ("interviewUpdated", "field.update", "interview"),
        ("interviewDeleted", "record.delete", "interview"),
        ("contactCreated", "record.create", "contact"),
        ("contactUpdated", "field.update", "contact"),
        ("candidateHired", "field.update", "candidate"),
        ("requisitionUpdated", "field.update", "requisition"),
    ],
)
def test_events_become_our_actions(event, action, kind):
    op = hook(event, **{f"{kind}Id": "x-1"})
    assert (op.action, op.missing) == (action, NOT_TOLD if action == "field.update" else ("trail.values",))
    assert (op.object_type, op.object_id) == (kind, "x-1" if kind != "requisition" else None)


def test_who_deleted_a_candidate_is_the_user():
    op = hook("candidateDeleted", candidateId="c-1", deletedBy="u-7")
    assert (op.fields, op.actor_type, op.actor_confidence) == ({"user.id": "u-7"}, "user", "asserted")


def test_empty_secrets_tell_nothing_and_stay():
    op = one(lever.parse, {**HOOK, "token": "", "signature": None})
    assert op.raw == {"token": "", "signature": None}


def test_an_audit_event_says_who_did_what_to_whom():
    assert one(lever.parse, FOREIGN["lever audit"]) == Operation(
        action="auth.login",
        kind="audit",
        time=Time(1772384645000, "epoch_ms"),
        id="ae-1",
        code="user:login",
        object_type="user",
        object_id="u-7",
        object_label="user",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "u-7", "user.full_name": "Kim Q"},
        raw={"meta": {}},
    )


@pytest.mark.parametrize(
    ("code", "target", "action"),
    [
        ("user:logout", "user", "auth.logout"),
        ("user:created", "user", "user.create"),
        ("user:updated", "user", "user.update"),
        ("user:deleted", "user", "user.delete"),
        ("user:deactivated", "user", "user.disable"),
        ("user:reactivated", "user", "user.enable"),
        ("user:role:updated", "user", "user.update"),
        ("user:role:added", "user", "role.grant"),
        ("user:role:removed", "user", "role.revoke"),
        ("posting:created", "posting", "record.create"),
        ("posting:updated", "posting", "field.update"),
        ("posting:deleted", "posting", "record.delete"),
        ("candidate:export", "candidate", "data.export"),
        ("candidate:viewed", "candidate", "record.view"),
        ("sso:frobnicated", "account", "log.message"),
    ],
)
def test_types_of_audit_events_become_our_actions(code, target, action):
    assert audit(type=code, target={"type": target, "id": "x"}).action == action


def test_an_email_is_taken_only_if_it_looks_like_one():
    op = audit(user={"id": "u-7", "email": "none"})
    assert (op.fields, op.raw) == ({"user.id": "u-7"}, {"user": {"email": "none"}, "meta": {}})


def test_a_page_of_audit_events_keeps_what_stands_beside_them():
    first, second = lever.parse(LINES[2], CONTEXT)
    assert (first.action, second.action) == ("auth.login", "data.export")
    assert first.raw == {"meta": {}, "@envelope": {"hasNext": False}}


@pytest.mark.parametrize(
    "document",
    [
        {"data": []},
        {**HOOK, "event": "somethingElse"},
        {**HOOK, "data": []},
        {name: value for name, value in AUDIT.items() if name != "meta"},
        {**AUDIT, "type": "login"},
    ],
)
def test_what_lever_does_not_send_is_refused(document):
    assert isinstance(lever.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped():
    assert "hunter" not in repr(hook(fromPassword="hunter2", toPassword="hunter3"))
    assert "hunter" not in repr(audit(meta={"password": "hunter2"}))


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps({**HOOK, "x": 1.5}).encode()
    assert_nothing_is_lost_or_doubled(lever.parse, line, translated={"7c40", "e15d"})
    target = {"type": "posting", "id": "po-1", "label": "Engineer", "x": True}
    line = json.dumps({**AUDIT, "target": target}).encode()
    assert_nothing_is_lost_or_doubled(lever.parse, line, translated={"Engineer"})
