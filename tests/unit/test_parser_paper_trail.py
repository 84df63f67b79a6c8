"""PaperTrail: rows of the versions table to operations."""

import json
from pathlib import Path

import pytest

from parsers import paper_trail
from parsers._contract import SECRET, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/paper_trail"

ROW = {
    "id": 4410,
    "item_type": "Hr::Employee",
    "item_id": 55,
    "event": "update",
    "whodunnit": "7",
    "object": {"name": "Lee R", "salary": 90000},
    "object_changes": {"salary": [90000, 120000]},
    "created_at": "2026-02-03T10:30:00.123Z",
    "ip": "192.0.2.10",
    "user_agent": "Mozilla/5.0",
    "request_id": "r-1",
    "session_id": "s-81",
}
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def parse(document):
    return one(paper_trail.parse, document)


def test_an_update_has_who_what_old_new_and_where_from():
    op = parse(ROW)
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "update", "version", "4410")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.object_label) == ("employee", "55", "Employee")
    assert op.fields == {
        "user.id": "7",
        "source.ip": "192.0.2.10",
        "user_agent.original": "Mozilla/5.0",
        "http.request.id": "r-1",
        "trail.session.id": "s-81",
    }
    assert (op.time, op.raw) == (Time("2026-02-03T10:30:00.123Z"), {"object": {"name": "Lee R"}})


def test_columns_may_be_yaml_or_json_text():
    old, new = "---\nname: Lee R\nsalary: 90000\n", "---\nsalary:\n- 90000\n- 120000\n"
    for columns in (
        {"object": old, "object_changes": new},
        {"object": json.dumps(ROW["object"]), "object_changes": json.dumps(ROW["object_changes"])},
    ):
        assert parse({**ROW, **columns}) == parse(ROW)


def test_yaml_that_is_more_than_scalars_stays_as_text():
    zoned = "---\nsalary:\n- 1\n- 2\nat:\n- !ruby/object:ActiveSupport::TimeWithZone\n  utc: 2026\n- 3\n"
    op = parse({**ROW, "object": None, "object_changes": zoned})
    assert op.changes == [Change("salary", 1, 2)]
    assert op.raw == {"object_changes": {"at": "- !ruby/object:ActiveSupport::TimeWithZone\n  utc: 2026\n- 3"}}
    op = parse({**ROW, "object": None, "object_changes": "--- !ruby/object:Evil {}\n"})
    assert (op.changes, op.missing) == ([], NOT_TOLD)
    assert op.raw == {"object_changes": "--- !ruby/object:Evil {}\n"}


def test_created_and_destroyed_records_are_their_values():
    op = parse({**ROW, "event": "create", "object": None, "object_changes": {"name": [None, "Lee"], "rank": [0, 1]}})
    assert (op.action, op.values, op.raw) == (
        "record.create",
        {"name": "Lee", "rank": 1},
        {"object_changes": {"rank": [0]}},
    )
    op = parse({**ROW, "event": "destroy", "object_changes": None})
    assert (op.action, op.values, op.raw) == ("record.delete", ROW["object"], {})
    op = parse({**ROW, "event": "destroy", "object": None, "object_changes": {"name": ["Lee", None]}})
    assert op.values == {"name": "Lee"}


def test_without_object_changes_an_update_does_not_say_what_changed():
    op = parse({**ROW, "object_changes": None})
    assert (op.changes, op.missing, op.raw) == ([], NOT_TOLD, {"object": ROW["object"]})
    assert not op.no_change


def test_empty_changes_are_only_counted():
    assert parse({**ROW, "object_changes": "--- {}\n"}).no_change
    assert parse({**ROW, "event": "touch", "object_changes": {}}).no_change
    assert not parse({**ROW, "event": "signed", "object_changes": {}}).no_change


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("7", "user.id"),
        ("0b0c8a52-2f0b-4d0e-8a5e-0d8f6f3b1c11", "user.id"),
        ("kim@example.com", "user.email"),
        ("console: ops", "user.name"),
    ],
)
def test_whodunnit_is_an_id_an_address_or_a_name(text, field):
    assert parse({**ROW, "whodunnit": text}).fields[field] == text


def test_nobody_is_nobody():
    op = parse({**ROW, "whodunnit": None})
    assert op.actor_type == "unknown" and not any(name.startswith("user.") for name in op.fields)


def test_restored_records_and_other_events():
    assert parse({**ROW, "event": "restore"}).action == "record.restore"
    op = parse({**ROW, "event": "signed"})
    assert (op.action, op.code) == ("field.update", "signed")


def test_null_keeps_its_direction():
    op = parse({**ROW, "object_changes": {"a": [None, 1], "b": [1, None]}})
    assert op.changes == [Change("a", None, 1), Change("b", 1, None)]


def test_secrets_are_dropped():
    op = parse({**ROW, "item_type": "User", "object_changes": {"encrypted_password": ["p-1", "p-2"]}})
    assert (op.action, op.changes) == ("password.change", [Change("encrypted_password", SECRET, SECRET)])
    for text in ("--- !ruby/object:X\napi_key: k-1\n", '{"api_key": "k-1", cut', "---\nc: !x\n  api_key: k-1\n"):
        assert "k-1" not in repr(parse({**ROW, "object": text, "object_changes": text}))


def test_a_wrapped_page_keeps_what_stands_beside_it():
    found = paper_trail.parse(json.dumps({"versions": [ROW, ROW], "next": 2}).encode(), CONTEXT)
    assert [op.raw.get("@envelope") for op in found] == [{"next": 2}, None]


def test_every_scalar_is_carried_exactly_once():
    row = {**ROW, "object": {"name": "Lee R", "n": 1.5}, "item_subtype": "Sub", "transaction_id": 99}
    assert_nothing_is_lost_or_doubled(paper_trail.parse, json.dumps(row).encode(), translated={"Hr::Employee"})


@pytest.mark.parametrize("name", ["item_type", "item_id", "event"])
def test_a_row_without_its_columns_is_refused(name):
    row = {key: value for key, value in ROW.items() if key != name}
    assert isinstance(paper_trail.parse(json.dumps(row).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in paper_trail.LITERALS)
