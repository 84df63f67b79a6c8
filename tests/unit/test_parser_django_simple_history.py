"""django-simple-history: rows of historical tables to operations."""

import json
from pathlib import Path

import pytest

from parsers import django_simple_history
from parsers._contract import Change, Context, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/django_simple_history"

ROW = {
    "history_id": 912,
    "history_date": "2026-02-03T10:30:00.123Z",
    "history_type": "~",
    "history_user_id": 7,
    "history_change_reason": "annual review",
    "id": 55,
    "name": "Lee R",
    "salary": 120000,
}
OLDER = {**ROW, "history_id": 911, "history_user_id": 8, "salary": 90000}
SALARY = {"field": "salary", "old": 90000, "new": 120000}
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def parse(document):
    return one(django_simple_history.parse, document)


def test_what_the_exporter_writes_has_who_what_old_and_new():
    op = parse({"model": "hr.Employee", "object_repr": "Lee R", "row": ROW, "changes": [SALARY]})
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "~", "history", "912")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.object_name) == ("employee", "55", "Lee R")
    assert op.fields == {"user.id": "7", "event.reason": "annual review"}
    assert (op.actor_type, op.actor_confidence) == ("user", "asserted")
    assert op.time == Time("2026-02-03T10:30:00.123Z")
    assert op.raw == {"model": "hr.Employee", "row": {"id": 55, "name": "Lee R"}}


def test_the_row_before_gives_the_difference():
    op = parse({"model": "hr.Employee", "previous": OLDER, "row": ROW})
    assert op.changes == [Change("salary", 90000, 120000, derivation="reconstructed")]
    assert op.raw["previous"]["history_id"] == 911 and op.raw["row"] == {"id": 55, "name": "Lee R"}


def test_a_changed_row_alone_says_only_that_something_changed():
    op = parse(ROW)
    assert (op.action, op.changes, op.missing) == ("field.update", [], NOT_TOLD)
    assert op.values == {"id": 55, "name": "Lee R", "salary": 120000}


def test_neighbours_of_one_record_are_compared_in_the_order_of_history_id():
    other = {**ROW, "history_id": 910, "id": 56}
    newest = {**ROW, "history_id": 913, "history_type": "-"}
    line = json.dumps({"model": "hr.Employee", "rows": [newest, ROW, OLDER, other], "page": 1}).encode()
    found = django_simple_history.parse(line, CONTEXT)
    assert [(op.id, op.action, len(op.changes)) for op in found] == [
        ("910", "field.update", 0),
        ("911", "field.update", 0),
        ("912", "field.update", 1),
        ("913", "record.delete", 0),
    ]
    assert found[0].raw["page"] == 1 and all(op.raw["model"] == "hr.Employee" for op in found)


def test_created_and_deleted_rows_are_their_values():
    for code, action in (("+", "record.create"), ("-", "record.delete")):
        op = parse({**ROW, "history_type": code})
        assert (op.action, op.changes, op.values["salary"]) == (action, [], 120000)


def test_what_dumpdata_writes_is_read():
    fields = {name: value for name, value in ROW.items() if name not in {"history_id", "history_user_id"}}
    op = parse({"model": "hr.historicalemployee", "pk": 9, "fields": {**fields, "history_user": ["kim"]}})
    assert (op.id, op.object_type, op.fields["user.name"]) == ("9", "employee", "kim")


def test_options_name_the_model_and_the_key():
    row = {**ROW, "uuid": "0b0c8a52"}
    context = Context(options={"model": "hr.ContactPerson", "key": "uuid"})
    (op,) = django_simple_history.parse(json.dumps(row).encode(), context)
    assert (op.object_type, op.object_id) == ("contactperson", "0b0c8a52")


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (("is_superuser", False, True), "role.grant"),
        (("is_staff", True, False), "role.revoke"),
        (("is_active", True, False), "user.disable"),
        (("is_active", False, True), "user.enable"),
        (("password", "a", "b"), "password.change"),
        (("last_login", "a", "b"), "user.update"),
    ],
)
def test_updates_of_the_model_user_say_what_they_amount_to(change, action):
    told = dict(zip(("field", "old", "new"), change, strict=True))
    assert parse({"model": "auth.User", "row": ROW, "changes": [told]}).action == action


def test_null_keeps_its_direction_and_no_difference_is_no_change():
    told = [{"field": "a", "old": None, "new": 1}, {"field": "b", "old": 1, "new": None}]
    assert parse({"row": ROW, "changes": told}).changes == [Change("a", None, 1), Change("b", 1, None)]
    assert parse({"row": ROW, "changes": []}).no_change
    assert parse({"previous": OLDER, "row": {**OLDER, "history_id": 912}}).no_change


def test_secrets_are_dropped_also_within_json_columns():
    config = {"smtp": {"password": "p-1", "host": "h"}}
    later = {"smtp": {"password": "p-2", "host": "h"}}
    op = parse({"previous": {**ROW, "api_key": "k-1", "c": config}, "row": {**ROW, "api_key": "k-2", "c": later}})
    assert "p-1" not in repr(op) and "p-2" not in repr(op) and "k-1" not in repr(op) and "k-2" not in repr(op)
    assert [change.field for change in op.changes] == ["api_key", "c.smtp.password"]
    op = parse({**ROW, "history_type": "+", "c": config, "remember_token": "r-1"})
    assert "p-1" not in repr(op) and "r-1" not in repr(op)


def test_every_scalar_is_carried_exactly_once():
    row = {**{name: value for name, value in ROW.items() if name != "salary"}, "history_x": "x"}
    line = json.dumps({"model": "hr.Employee", "object_repr": "Lee", "row": row, "changes": [SALARY]})
    assert_nothing_is_lost_or_doubled(django_simple_history.parse, line.encode(), translated={"salary", "Lee", "55"})


def test_a_row_that_is_no_row_is_refused():
    assert isinstance(django_simple_history.parse(json.dumps({**ROW, "history_type": "?"}).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in django_simple_history.LITERALS)


def test_a_foreign_key_is_told_by_its_field_and_does_not_stand_in_the_row_again():
    row = {**ROW, "manager_id": 8}
    op = parse({"model": "hr.Employee", "row": row, "changes": [{"field": "manager", "old": None, "new": 8}]})
    assert op.changes == [Change("manager", None, 8)] and "manager_id" not in op.raw["row"]
