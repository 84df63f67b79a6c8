"""Laravel Auditing: rows of the audits table to operations."""

import json
from pathlib import Path

import pytest

from parsers import laravel_auditing
from parsers._contract import SECRET, UNKNOWN, Change, Context, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/laravel_auditing"

ROW = {
    "id": 7301,
    "user_type": "App\\Models\\User",
    "user_id": 7,
    "event": "updated",
    "auditable_type": "App\\Models\\JobPost",
    "auditable_id": 55,
    "old_values": {"salary": 90000},
    "new_values": {"salary": 120000},
    "url": "https://hr.example/posts/55?tab=pay&signature=s-1",
    "ip_address": "192.0.2.10",
    "user_agent": "Mozilla/5.0",
    "tags": "pay,review",
    "created_at": "2026-02-03 10:30:00",
    "updated_at": "2026-02-03 10:30:00",
}


def parse(document):
    return one(laravel_auditing.parse, document)


def test_an_update_has_who_what_old_new_and_where_from():
    op = parse(ROW)
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "updated", "audit", "7301")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.object_label) == ("job_post", "55", "JobPost")
    assert op.fields == {
        "user.id": "7",
        "user_agent.original": "Mozilla/5.0",
        "source.ip": "192.0.2.10",
        "url.original": "https://hr.example/posts/55?tab=pay&signature=(secret dropped)",
    }
    assert (op.actor_type, op.time) == ("user", Time("2026-02-03 10:30:00"))
    assert op.raw == {"user_type": "App\\Models\\User", "tags": "pay,review"}


def test_values_may_be_json_text_and_empty_ones_php_arrays():
    op = parse({**ROW, "old_values": '{"a": 1}', "new_values": '{"a": null}'})
    assert op.changes == [Change("a", 1, None)]
    op = parse({**ROW, "event": "created", "old_values": [], "new_values": '{"name": "Lee"}'})
    assert (op.action, op.values, op.raw.get("old_values")) == ("record.create", {"name": "Lee"}, None)


@pytest.mark.parametrize(
    ("event", "old", "new", "action", "values"),
    [
        ("created", [], {"n": 1}, "record.create", {"n": 1}),
        ("deleted", {"n": 1}, [], "record.delete", {"n": 1}),
        ("restored", [], {"n": 1}, "record.restore", {"n": 1}),
        ("retrieved", [], [], "record.view", {}),
    ],
)
def test_events_become_our_actions(event, old, new, action, values):
    op = parse({**ROW, "event": event, "old_values": old, "new_values": new})
    assert (op.action, op.values, op.changes) == (action, values, [])


def test_a_member_that_only_one_side_has_is_unknown_on_the_other():
    op = parse({**ROW, "event": "attached", "old_values": {"a": 1}, "new_values": {"b": 2}})
    assert op.changes == [
        Change("a", 1, UNKNOWN, derivation="new_only"),
        Change("b", UNKNOWN, 2, derivation="new_only"),
    ]


def test_an_update_without_values_is_counted_and_an_own_event_is_not():
    assert parse({**ROW, "old_values": [], "new_values": []}).no_change
    op = parse({**ROW, "event": "approved", "old_values": [], "new_values": []})
    assert not op.no_change and "trail.change.field" in op.missing


def test_the_console_is_the_system():
    op = parse({**ROW, "url": "artisan user:create --password=p-1", "user_id": None, "user_type": None})
    assert (op.interface, op.actor_type, "url.original" in op.fields) == ("system", "unknown", False)
    assert "p-1" not in repr(op)


def test_the_prefix_of_the_users_columns_is_an_option():
    row = {**ROW, "admin_id": 9}
    (op,) = laravel_auditing.parse(json.dumps(row).encode(), Context(options={"user": "admin"}))
    assert (op.fields["user.id"], op.raw["user_id"]) == ("9", 7)


def test_secrets_are_dropped():
    old, new = {"password": "p-1", "remember_token": "r-1"}, {"password": "p-2", "remember_token": "r-2"}
    op = parse({**ROW, "auditable_type": "App\\Models\\User", "old_values": old, "new_values": new})
    assert op.changes == [Change("password", SECRET, SECRET), Change("remember_token", SECRET, SECRET)]
    assert op.action == "password.change"
    assert "p-1" not in repr(parse({**ROW, "old_values": '{"password": "p-1", cut'}))


def test_every_scalar_is_carried_exactly_once():
    row = {**ROW, "url": "https://hr.example/", "updated_at": "2026-02-04 10:30:00", "own": "x"}
    assert_nothing_is_lost_or_doubled(
        laravel_auditing.parse, json.dumps(row).encode(), translated={"App\\Models\\JobPost"}
    )


@pytest.mark.parametrize("name", ["auditable_type", "auditable_id", "event", "old_values", "new_values"])
def test_a_row_without_its_columns_is_refused(name):
    row = {key: value for key, value in ROW.items() if key != name}
    assert isinstance(laravel_auditing.parse(json.dumps(row).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in laravel_auditing.LITERALS)


def test_a_change_whose_values_a_redactor_made_alike_is_a_change_all_the_same():
    alike = {"old_values": {"iban": "####5678"}, "new_values": {"iban": "####5678"}}
    op = parse({**ROW, **alike})
    assert op.changes == [Change("iban", SECRET, SECRET)] and not op.no_change
    assert parse({**ROW, **alike, "event": "reviewed"}).changes == [Change("iban", "####5678", "####5678")]
