"""Hibernate Envers: rows of audit tables to operations."""

import json
from pathlib import Path

import pytest

from parsers import envers
from parsers._contract import SECRET, UNKNOWN, Change, Context, Rejected, Time
from tests.parser_checks import (
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/envers"

ROW = {
    "id": 55,
    "REV": 101,
    "REVTYPE": 1,
    "REVTSTMP": 1770114600000,
    "rev_username": "kim",
    "rev_ip": "192.0.2.10",
    "name": "Lee R",
    "salary": 120000,
}
OLDER = {**ROW, "REV": 100, "REVTSTMP": 1770114000000, "salary": 90000}


def parse(document):
    return one(envers.parse, document)


def many(document, **options):
    return envers.parse(json.dumps(document).encode(), Context(options=options))


def test_a_row_with_the_one_before_it_has_old_and_new():
    op = parse({"entity": "Employee", "previous": OLDER, "row": ROW})
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "1", "revision", "101")
    assert op.changes == [Change("salary", 90000, 120000, derivation="reconstructed")]
    assert (op.object_type, op.object_id, op.object_label) == ("employee", "55", "Employee")
    assert op.fields == {"user.name": "kim", "source.ip": "192.0.2.10"}
    assert (op.actor_type, op.time) == ("user", Time(1770114600000, "epoch_ms"))
    assert op.raw["row"] == {"id": 55, "name": "Lee R"} and op.raw["previous"]["REV"] == 100


def test_a_page_is_compared_in_the_order_of_revisions():
    other = {**ROW, "id": 56, "REV": 99}
    found = many([ROW, OLDER, other], entity="Employee")
    assert [(op.id, op.object_id, len(op.changes)) for op in found] == [
        ("99", "56", 0),
        ("100", "55", 0),
        ("101", "55", 1),
    ]
    found = many({"entity": "Employee", "rows": [OLDER, ROW], "page": 1})
    assert [len(op.changes) for op in found] == [0, 1] and found[0].raw == {"page": 1}


def test_rows_between_which_a_revision_is_missing_are_not_compared():
    found = many([{**OLDER, "REVEND": 777}, ROW])
    assert [op.changes for op in found] == [[], []]
    found = many([{**OLDER, "REVEND": 101}, ROW])
    assert [len(op.changes) for op in found] == [0, 1]
    op = parse({"previous": {**OLDER, "REVEND": 777}, "row": ROW})
    assert op.changes == [] and op.raw["previous"]["salary"] == 90000


@pytest.mark.parametrize(("code", "action"), [(0, "record.create"), ("2", "record.delete"), ("ADD", "record.create")])
def test_added_and_deleted_rows_are_their_values(code, action):
    op = parse({**ROW, "REVTYPE": code})
    assert (op.action, op.values) == (action, {"id": 55, "name": "Lee R", "salary": 120000})


def test_flags_say_which_fields_changed():
    op = parse({**ROW, "name_MOD": False, "salary_MOD": True})
    assert op.changes == [Change("salary", UNKNOWN, 120000, derivation="new_only")]
    assert (op.values, op.raw) == ({"id": 55, "name": "Lee R"}, {})
    op = parse({"previous": OLDER, "row": {**ROW, "name_MOD": True, "salary_MOD": True}})
    assert [change.field for change in op.changes] == ["salary"] and op.raw["name_MOD"] is True


def test_a_modified_row_alone_says_only_that_something_changed():
    op = parse(ROW)
    assert (op.changes, op.values["salary"]) == ([], 120000) and "trail.change.field" in op.missing


def test_names_of_columns_may_have_any_case_and_revinfo_may_be_an_object():
    info = {"rev": 7, "timestamp": 1770114600000, "user_id": 9, "UserName": "kim", "email": "kim@example.com"}
    op = parse({"table": "EMPLOYEE_AUD", "row": {"ID": 5, "rev": 7, "revtype": 1, "revinfo": info}})
    assert (op.object_type, op.object_id, op.id) == ("employee", "5", "7")
    assert op.fields == {"user.id": "9", "user.name": "kim", "user.email": "kim@example.com"}
    assert op.raw == {}


def test_options_name_the_entity_and_the_key():
    (op,) = many({**ROW, "employee_id": 9}, entity="com.acme.JobPost", key="EMPLOYEE_ID")
    assert (op.object_type, op.object_id) == ("job_post", "9")


def test_null_keeps_its_direction_and_no_difference_is_no_change():
    op = parse({"previous": {**OLDER, "a": None, "b": 1}, "row": {**OLDER, "REV": 101, "a": 1, "b": None}})
    assert [(change.field, change.old, change.new) for change in op.changes] == [("a", None, 1), ("b", 1, None)]
    assert parse({"previous": OLDER, "row": {**OLDER, "REV": 101}}).no_change


def test_secrets_are_dropped():
    row = {**ROW, "password": "p-2", "c": {"api_key": "k-2"}}
    op = parse({"entity": "User", "previous": {**OLDER, "password": "p-1", "c": {"api_key": "k-1"}}, "row": row})
    assert Change("password", SECRET, SECRET, derivation="reconstructed") in op.changes
    assert op.action == "password.change"
    assert not any(secret in repr(op) for secret in ("p-1", "p-2", "k-1", "k-2"))


def test_secrets_of_one_row_are_no_change_of_the_next():
    older, newer = ({**row, "REVTYPE": kind, "c": {"api_key": "k-1", "n": 1}} for row, kind in ((OLDER, 0), (ROW, 1)))
    found = many([older, newer])
    assert [change.field for change in found[1].changes] == ["salary"] and "k-1" not in repr(found)


def test_every_scalar_is_carried_exactly_once():
    row = {**ROW, "REVTYPE": 2, "REVEND": 5, "rev_session_id": "s-81", "rev_user_id": 9, "rev_other": "x"}
    assert_nothing_is_lost_or_doubled(envers.parse, json.dumps(row).encode(), translated={"55"})


@pytest.mark.parametrize("document", [{**ROW, "REVTYPE": 3}, {"id": 1, "REV": 1}, {"entity": "E", "rows": []}])
def test_rows_that_are_no_rows_are_refused(document):
    assert isinstance(many(document), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in envers.LITERALS)
