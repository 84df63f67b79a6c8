"""audited: rows of the audits table to operations."""

import json
from pathlib import Path

import pytest

from parsers import audited
from parsers._contract import SECRET, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/audited"

ROW = {
    "id": 9120,
    "auditable_id": 55,
    "auditable_type": "Employee",
    "associated_id": 4,
    "associated_type": "Company",
    "user_id": 7,
    "user_type": "Admin",
    "username": "kim",
    "action": "update",
    "audited_changes": {"salary": [90000, 120000]},
    "version": 3,
    "comment": "annual review",
    "remote_address": "192.0.2.10",
    "request_uuid": "5d1f6f1e",
    "created_at": "2026-02-03T10:30:00.123Z",
}


def parse(document):
    return one(audited.parse, document)


def test_an_update_has_who_what_old_new_and_where_from():
    op = parse(ROW)
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "update", "audit", "9120")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.object_label) == ("employee", "55", "Employee")
    assert op.fields == {
        "user.id": "7",
        "user.name": "kim",
        "event.reason": "annual review",
        "http.request.id": "5d1f6f1e",
        "source.ip": "192.0.2.10",
    }
    assert (op.actor_type, op.actor_confidence) == ("user", "asserted")
    assert op.time == Time("2026-02-03T10:30:00.123Z")
    assert op.raw == {"associated_id": 4, "associated_type": "Company", "user_type": "Admin", "version": 3}


@pytest.mark.parametrize(("verb", "action"), [("create", "record.create"), ("destroy", "record.delete")])
def test_created_and_destroyed_records_have_plain_values(verb, action):
    op = parse({**ROW, "action": verb, "audited_changes": {"name": "Lee", "range": [1, 2]}})
    assert (op.action, op.values, op.changes) == (action, {"name": "Lee", "range": [1, 2]}, [])


def test_changes_may_be_yaml_or_json_text():
    for text in ("---\nsalary:\n- 90000\n- 120000\n", '{"salary": [90000, 120000]}'):
        assert parse({**ROW, "audited_changes": text}) == parse(ROW)


def test_a_member_that_is_no_pair_stays_in_raw():
    op = parse({**ROW, "audited_changes": {"salary": [1, 2], "plain": "x"}})
    assert (op.changes, op.raw["audited_changes"]) == ([Change("salary", 1, 2)], {"plain": "x"})
    op = parse({**ROW, "audited_changes": {"plain": "x"}})
    assert op.changes == [] and "trail.change.field" in op.missing and not op.no_change


def test_an_update_without_changes_is_counted_unless_it_has_a_comment():
    assert parse({**ROW, "audited_changes": {}, "comment": None}).no_change
    assert not parse({**ROW, "audited_changes": {}}).no_change


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"role": ["clerk", "admin"]}, "role.grant"),
        ({"admin": [True, False]}, "role.revoke"),
        ({"active": [True, False]}, "user.disable"),
        ({"disabled_at": ["2026-01-01", None]}, "user.enable"),
        ({"password_digest": ["a", "b"]}, "password.change"),
        ({"email": ["a@b.example", "c@d.example"]}, "user.update"),
    ],
)
def test_updates_of_the_model_user_say_what_they_amount_to(changes, action):
    assert parse({**ROW, "auditable_type": "User", "audited_changes": changes}).action == action


def test_nobody_is_nobody():
    op = parse({**ROW, "user_id": None, "username": None})
    assert (op.actor_type, "user.id" in op.fields) == ("unknown", False)


def test_null_keeps_its_direction():
    op = parse({**ROW, "audited_changes": {"a": [None, 1], "b": [1, None]}})
    assert op.changes == [Change("a", None, 1), Change("b", 1, None)]


def test_secrets_are_dropped():
    op = parse({**ROW, "audited_changes": {"api_key": ["k-1", "k-2"]}})
    assert op.changes == [Change("api_key", SECRET, SECRET)]
    assert "k-1" not in repr(parse({**ROW, "action": "create", "audited_changes": {"c": {"api_key": "k-1"}}}))
    assert "k-1" not in repr(parse({**ROW, "audited_changes": "---\n- api_key: k-1\n"}))


def test_every_scalar_is_carried_exactly_once():
    assert_nothing_is_lost_or_doubled(audited.parse, json.dumps({**ROW, "own": "x"}).encode())


@pytest.mark.parametrize("name", ["auditable_type", "auditable_id", "action", "audited_changes"])
def test_a_row_without_its_columns_is_refused(name):
    row = {key: value for key, value in ROW.items() if key != name}
    assert isinstance(audited.parse(json.dumps(row).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in audited.LITERALS)


def test_a_change_whose_values_the_library_hid_is_a_change_all_the_same():
    hidden = {"ssn": ["[REDACTED]", "[REDACTED]"], "pin": [["My", 7], ["My", 7]], "note": ["", ""], "rank": [1, 1]}
    op = parse({**ROW, "audited_changes": hidden})
    assert not op.no_change
    assert op.changes[:2] == [Change("ssn", SECRET, SECRET), Change("pin", SECRET, SECRET)]
    assert op.changes[2:] == [Change("note", "", ""), Change("rank", 1, 1)]
