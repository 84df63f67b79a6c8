"""wal2json: transactions and rows to operations."""

import json
from pathlib import Path

import pytest

from parsers import wal2json
from parsers._contract import SECRET, UNKNOWN, Change, Context, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_never_raises_when_cut,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/wal2json"

OLD = {"id": 55, "name": "Lee R", "salary": 90000}
NEW = {**OLD, "salary": 120000}
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def columns(row):
    return [{"name": name, "type": "t", "value": value} for name, value in row.items()]


def second(action, new=None, old=None, **more):
    """A row of format version 2."""
    row = {
        "action": action,
        "xid": 571,
        "timestamp": "2026-02-03 10:30:00.1+00",
        "schema": "public",
        "table": "employee",
    }
    row |= {} if new is None else {"columns": columns(new)}
    return {**row, **({} if old is None else {"identity": columns(old)}), **more}


def first(kind, new=None, old=None):
    """A transaction of one row in format version 1."""
    row = {"kind": kind, "schema": "public", "table": "employee"}
    if new is not None:
        row |= {"columnnames": list(new), "columntypes": ["t"] * len(new), "columnvalues": list(new.values())}
    if old is not None:
        row["oldkeys"] = {"keynames": list(old), "keytypes": ["t"] * len(old), "keyvalues": list(old.values())}
    return {"xid": 571, "timestamp": "2026-02-03 10:30:00.1+00", "change": [row]}


def parse(document):
    return one(wal2json.parse, document)


def with_options(document, **options):
    (op,) = wal2json.parse(json.dumps(document).encode(), Context(options=options))
    return op


@pytest.mark.parametrize(("form", "verb"), [(second, "U"), (first, "update")])
def test_an_update_with_full_identity_has_old_and_new(form, verb):
    op = parse(form(verb, NEW, OLD))
    assert (op.action, op.code, op.kind, op.id) == ("field.update", verb, "change", "571")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.time) == ("employee", "55", Time("2026-02-03 10:30:00.1+00"))
    assert (op.actor_type, op.fields) == ("unknown", {})
    assert op.raw == {"schema": "public", "columns": {"id": 55, "name": "Lee R"}, "types": "id t, name t, salary t"}


@pytest.mark.parametrize(("form", "verb"), [(second, "U"), (first, "update")])
def test_an_update_that_knows_only_the_key_does_not_claim_which_columns_changed(form, verb):
    for old in ({"id": 55}, None):
        op = parse(form(verb, NEW, old))
        assert (op.changes, op.values, op.missing, op.object_id) == ([], NEW, NOT_TOLD, "55")


def test_a_key_that_changed_is_a_change():
    op = parse(second("U", {**NEW, "id": 56}, {"id": 55}))
    assert (op.changes, op.values) == ([Change("id", 55, 56)], {"name": "Lee R", "salary": 120000})


def test_with_the_option_each_column_is_a_change_of_unknown_old_value():
    op = with_options(second("U", NEW, {"id": 55}), each_column=True)
    assert op.changes == [
        Change("name", UNKNOWN, "Lee R", derivation="new_only"),
        Change("salary", UNKNOWN, 120000, derivation="new_only"),
    ]
    assert op.values == {"id": 55}


@pytest.mark.parametrize(
    ("document", "action", "values"),
    [
        (second("I", NEW), "record.create", NEW),
        (first("insert", NEW), "record.create", NEW),
        (second("D", None, OLD), "record.delete", OLD),
        (first("delete", None, {"id": 55}), "record.delete", {"id": 55}),
    ],
)
def test_inserted_and_deleted_rows_are_their_values(document, action, values):
    op = parse(document)
    assert (op.action, op.values, op.changes, op.object_id) == (action, values, [], "55")


def test_a_large_value_that_was_left_out_is_no_change():
    op = parse(second("U", NEW, {**OLD, "bio": "long"}))
    assert [change.field for change in op.changes] == ["salary"] and op.raw["identity"] == {"bio": "long"}


def test_the_primary_key_names_the_record():
    op = parse(second("U", NEW, OLD, pk=[{"name": "name", "type": "t"}, {"name": "id", "type": "t"}]))
    assert op.object_id == "Lee R,55"
    document = first("update", NEW, OLD)
    document["change"][0]["pk"] = {"pknames": ["name"], "pktypes": ["t"]}
    assert parse(document).object_id == "Lee R"
    assert with_options(second("U", NEW, OLD), keys={"employee": ["salary"]}).object_id == "120000"


def test_truncated_tables_and_messages():
    op = parse({"action": "T", "schema": "public", "table": "employee"})
    assert (op.action, op.message) == ("record.purge", "all rows of public.employee were deleted (TRUNCATE)")
    op = parse({"action": "M", "transactional": True, "prefix": "audit", "content": "run 7"})
    assert (op.action, op.message, op.raw) == ("log.message", "run 7", {"transactional": True, "prefix": "audit"})
    op = parse({"change": [{"kind": "message", "prefix": "audit", "content": '{"user_id": 7}'}]})
    assert (op.message, op.raw["content"]) == (None, {"user_id": 7})
    assert "p-1" not in repr(parse({"action": "M", "prefix": "x", "content": "password=p-1"}))


@pytest.mark.parametrize(
    "line", [b'{"action":"B"}', b'{"action":"C","xid":1}', b'{"change":[]}', b'{"change":[],"xid":1}']
)
def test_begin_commit_and_empty_transactions_are_only_counted(line):
    assert parse(line).no_change


def test_all_rows_of_a_transaction_share_its_id_and_time():
    document = first("insert", NEW)
    document["change"] *= 2
    found = wal2json.parse(json.dumps({**document, "nextlsn": "0/1"}).encode(), CONTEXT)
    assert [(op.id, op.time.text) for op in found] == [("571", "2026-02-03 10:30:00.1+00")] * 2
    assert [op.raw.get("nextlsn") for op in found] == ["0/1", None]


def test_a_row_of_the_slot_holds_a_line():
    op = parse({"lsn": "0/1", "xid": "9", "data": json.dumps({"change": first("update", NEW, OLD)["change"]})})
    assert (op.id, op.changes, op.raw["lsn"]) == ("9", [Change("salary", 90000, 120000)], "0/1")


def test_the_last_editor_of_the_row_is_no_author():
    op = with_options(second("U", {**NEW, "by": 7}, OLD), last_editor="by")
    assert op.fields == {"trail.object.last_editor.id": "7"} and op.actor_type == "unknown"


def test_null_keeps_its_direction():
    op = parse(second("U", {"id": 1, "a": 1, "b": None}, {"id": 1, "a": None, "b": 1}))
    assert op.changes == [Change("a", None, 1), Change("b", 1, None)]


def test_version_one_leaves_nulls_out_of_a_full_identity():
    row = {"id": 55, "name": "Lee R", "team": "ops", "salary": 9, "note": "now", "room": None}
    old = {"id": 55, "name": "Lee R", "team": "ops", "salary": 8}
    op = parse(first("update", row, old))
    assert op.changes == [Change("salary", 8, 9), Change("note", None, "now")]
    assert op.object_id == "55"
    # What it leaves out is null still: the same as a full one.
    assert parse(first("update", {**OLD, "note": None}, OLD)).no_change
    # Here the identity may be an index of three columns: what is not in it is unknown.
    op = parse(first("update", {**NEW, "note": "now", "password": "p-1"}, OLD))
    assert (op.changes, op.object_id) == ([Change("salary", 90000, 120000)], "55")
    assert op.values["note"] == "now"
    assert "p-1" not in repr(op)


def test_a_key_of_four_columns_is_a_key_where_the_line_says_so():
    key = {"a": 1, "b": 2, "c": 3, "d": 4}
    document = first("update", {**key, "salary": 9}, key)
    document["change"][0]["pk"] = {"pknames": list(key), "pktypes": ["t"] * 4}
    op = parse(document)
    assert (op.changes, op.object_id, op.missing) == ([], "1,2,3,4", NOT_TOLD)


def test_no_secret_is_part_of_a_key():
    op = parse(first("update", {"name": "kim", "password": "p-2", "a": 1}, {"name": "kim", "password": "p-1"}))
    assert op.object_id == "kim"
    assert "p-1" not in repr(op) and "p-2" not in repr(op)


def test_secrets_are_dropped_though_they_are_named_by_a_value():
    op = parse(
        second("U", {"id": 1, "password": "p-2", "api_key": "k-1"}, {"id": 1, "password": "p-1", "api_key": "k-1"})
    )
    assert op.changes == [Change("password", SECRET, SECRET)]
    assert not any(secret in repr(op) for secret in ("p-1", "p-2", "k-1"))


def test_every_scalar_is_carried_exactly_once():
    document = second("I", {"a": 1.5, "b": "x"}, lsn="0/1")
    document["columns"][0]["optional"] = "o"
    for column in document["columns"]:
        del column["type"]
    assert_nothing_is_lost_or_doubled(wal2json.parse, json.dumps(document).encode(), translated={"employee", "a", "b"})


@pytest.mark.parametrize(
    "document",
    [
        {"action": "X", "schema": "s", "table": "t"},
        {"action": "B", "more": 1},
        {"change": [{"kind": "insert"}]},
        {"change": [{"kind": "insert", "schema": "s", "table": "t", "columnnames": ["a"], "columnvalues": []}]},
    ],
)
def test_what_is_no_line_of_wal2json_is_refused(document):
    assert isinstance(wal2json.parse(json.dumps(document).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


@pytest.mark.parametrize("line", LINES[1:4])
def test_a_line_cut_at_any_byte_is_refused(line):
    assert_never_raises_when_cut(wal2json.parse, line)


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in wal2json.LITERALS)
