"""Personio webhooks: bodies to operations."""

import json

import pytest

from parsers import personio
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

HOOK = json.loads(FOREIGN["personio"])
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def hook(name, **payload):
    return one(personio.parse, {**HOOK, "event_name": name, "payload": payload})


def test_an_update_says_only_that_something_changed():
    assert one(personio.parse, FOREIGN["personio"]) == Operation(
        action="field.update",
        kind="webhook",
        time=Time("2026-03-01T17:04:05Z"),
        code="person.updated",
        object_type="person",
        object_id="1024",
        fields={"organization.id": "4711"},
        missing=NOT_TOLD,
    )


@pytest.mark.parametrize(
    ("name", "action", "kind"),
    [
        ("person.created", "record.create", "person"),
        ("person.deleted", "record.delete", "person"),
        ("employment.terminated", "field.update", "employment"),
        ("attendance-period.created", "record.create", "attendance_period"),
        ("document.signed", "field.update", "document"),
    ],
)
def test_names_of_events_become_our_actions(name, action, kind):
    op = hook(name, id="x-1")
    assert (op.action, op.object_type, op.object_id, op.code) == (action, kind, "x-1", name)


@pytest.mark.parametrize("field", ["timerange", "status"])
def test_an_absence_event_names_its_field(field):
    op = hook(f"absence-period.updated.{field}", id="x-1")
    assert op.changes == [Change(field, UNKNOWN, UNKNOWN, derivation="new_only")]
    assert op.missing == ()


def test_members_of_a_payload_that_nobody_knows_stay_in_raw():
    op = hook("employment.updated", id="88", person_id="1024", x=None)
    assert (op.object_id, op.raw) == ("88", {"payload": {"person_id": "1024", "x": None}})


@pytest.mark.parametrize(
    "document",
    [
        {"_data": []},
        {**HOOK, "event_name": "ping"},
        {**HOOK, "payload": []},
        {**HOOK, "company_id": None},
        {name: value for name, value in HOOK.items() if name != "occurred_at"},
    ],
)
def test_what_personio_does_not_send_is_refused(document):
    assert isinstance(personio.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped():
    assert "hunter2" not in repr(hook("person.updated", password="hunter2"))


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps({**HOOK, "meta": {"a": 1.5}, "payload": {"id": "x", "person_id": "y"}}).encode()
    assert_nothing_is_lost_or_doubled(personio.parse, line)
