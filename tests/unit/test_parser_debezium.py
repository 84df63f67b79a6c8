"""Debezium: change events to operations."""

import json
from pathlib import Path

import pytest

from parsers import debezium
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Context, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/debezium"

SOURCE = {
    "version": "3.0.0.Final",
    "connector": "postgresql",
    "name": "hr-1",
    "ts_ms": 1770114600123,
    "db": "hr",
    "schema": "public",
    "table": "employee",
    "txId": 571,
    "lsn": 24023128,
}
OLD = {"id": 55, "name": "Lee R", "salary": 90000}
NEW = {**OLD, "salary": 120000}
EVENT = {"before": OLD, "after": NEW, "source": SOURCE, "op": "u", "ts_ms": 1770114600487, "transaction": None}
MONGO = {"connector": "mongodb", "ts_ms": 1770114600123, "db": "crm", "collection": "contacts"}
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def parse(document):
    return one(debezium.parse, document)


def with_options(document, **options):
    (op,) = debezium.parse(json.dumps(document).encode(), Context(options=options))
    return op


def test_an_update_has_what_old_and_new_and_nobody():
    op = parse({"key": {"id": 55}, "value": EVENT})
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "u", "change", "571")
    assert op.changes == [Change("salary", 90000, 120000)]
    assert (op.object_type, op.object_id, op.time) == ("employee", "55", Time(1770114600123, "epoch_ms"))
    assert (op.actor_type, op.fields) == ("unknown", {})
    assert op.raw["after"] == {"id": 55, "name": "Lee R"} and "before" not in op.raw


def test_the_envelope_may_stand_alone_with_its_schema_or_in_the_json_of_kcat():
    bare = parse(EVENT)
    assert parse({"schema": {"type": "struct"}, "payload": EVENT}).raw == {**bare.raw, "schema": {"type": "struct"}}
    kcat = {"topic": "t", "offset": 9, "key": '{"id":55}', "payload": json.dumps(EVENT)}
    op = parse(kcat)
    assert op.changes == bare.changes and op.raw == {**bare.raw, "topic": "t", "offset": 9}
    nested = {"schema": {}, "payload": {"id": 55}}
    assert parse({"key": nested, "value": {"schema": {}, "payload": EVENT}}).object_id == "55"


def test_created_and_deleted_rows_are_their_values():
    op = parse({**EVENT, "op": "c", "before": None})
    assert (op.action, op.values, op.no_change) == ("record.create", NEW, False)
    op = parse({**EVENT, "op": "d", "after": None})
    assert (op.action, op.values, op.object_id) == ("record.delete", OLD, "55")


def test_an_update_without_old_values_does_not_claim_which_columns_changed():
    op = parse({**EVENT, "before": None})
    assert (op.action, op.changes, op.values, op.missing) == ("field.update", [], NEW, NOT_TOLD)


def test_with_the_option_each_column_is_a_change_of_unknown_old_value():
    op = with_options({**EVENT, "before": None}, each_column=True)
    assert op.changes == [
        Change("name", UNKNOWN, "Lee R", derivation="new_only"),
        Change("salary", UNKNOWN, 120000, derivation="new_only"),
    ]
    assert op.values == {"id": 55}


def test_a_snapshot_a_tombstone_and_the_ends_of_transactions_are_no_changes():
    assert parse({**EVENT, "op": "r", "before": None}).no_change
    assert parse(b"null").no_change
    assert parse({"topic": "t", "key": '{"id":55}', "payload": None}).no_change
    assert parse({"key": {"id": 55}, "value": None}).no_change
    assert parse({"status": "END", "id": "571", "event_count": 2, "data_collections": []}).no_change
    assert parse({**EVENT, "before": NEW}).no_change


def test_a_truncated_table_is_purged():
    op = parse({**EVENT, "op": "t", "before": None, "after": None})
    assert (op.action, op.object_type, op.object_id) == ("record.purge", "employee", None)
    assert op.message == "all rows of public.employee were deleted (TRUNCATE)"


def test_a_value_that_was_left_out_is_no_change():
    op = parse({**EVENT, "before": {**OLD, "bio": "long"}, "after": {**NEW, "bio": "__debezium_unavailable_value"}})
    assert [change.field for change in op.changes] == ["salary"]
    assert op.raw["after"]["bio"] == "__debezium_unavailable_value"


def test_mongodb_tells_the_fields_that_were_set_and_removed():
    told = {"removedFields": ["phone"], "updatedFields": '{"visits": {"$numberLong": "5"}}', "truncatedArrays": None}
    after = '{"_id": {"$oid": "507f"}, "visits": {"$numberLong": "5"}, "n": 1}'
    op = parse({"before": None, "after": after, "updateDescription": told, "source": MONGO, "op": "u"})
    assert op.changes == [
        Change("visits", UNKNOWN, "5", derivation="new_only"),
        Change("phone", UNKNOWN, ABSENT, derivation="new_only"),
    ]
    assert (op.object_type, op.object_id, op.raw["after"]) == ("contacts", "507f", {"_id": "507f", "n": 1})


def test_mongodb_with_a_pre_image_has_old_and_new():
    before, after = '{"_id": 4, "stage": "lead"}', '{"_id": 4, "stage": "won"}'
    op = parse({"key": {"id": "4"}, "value": {"before": before, "after": after, "source": MONGO, "op": "u"}})
    assert (op.changes, op.object_id) == ([Change("stage", "lead", "won")], "4")


def test_the_database_account_of_oracle_is_who():
    op = parse({**EVENT, "source": {**SOURCE, "connector": "oracle", "user_name": "PAYROLL_APP"}})
    assert op.fields == {"user.name": "PAYROLL_APP"} and op.actor_type == "user"


def test_the_last_editor_of_the_row_is_no_author():
    row = {**EVENT, "after": {**NEW, "updated_by": 7}}
    op = with_options(row, last_editor="updated_by")
    assert op.fields == {"trail.object.last_editor.id": "7"} and op.actor_type == "unknown"
    op = with_options({**EVENT, "after": {**NEW, "by": "kim"}}, last_editor="by")
    assert op.fields == {"trail.object.last_editor.name": "kim"}


def test_keys_of_several_columns_and_keys_by_option():
    assert parse({"key": {"a": 7, "b": "x"}, "value": EVENT}).object_id == "7,x"
    assert with_options(EVENT, keys={"employee": ["id", "name"]}).object_id == "55,Lee R"
    assert with_options(EVENT, keys={"employee": "name"}).object_id == "Lee R"
    op = parse({"key": "text", "value": {**EVENT, "before": {"x": 1}, "after": {"x": 2}}})
    assert (op.object_id, op.raw["key"]) == (None, "text")


def test_a_change_of_the_schema_loses_its_passwords():
    op = parse({"source": SOURCE, "databaseName": "hr", "ddl": "CREATE USER kim IDENTIFIED BY 'p-1'"})
    assert (op.action, op.object_type, op.object_name) == ("config.update", "database", "hr")
    assert "p-1" not in repr(op) and op.raw["ddl"].startswith("CREATE USER kim")


def test_null_keeps_its_direction():
    op = parse({**EVENT, "before": {"id": 1, "a": None, "b": 1}, "after": {"id": 1, "a": 1, "b": None}})
    assert op.changes == [Change("a", None, 1), Change("b", 1, None)]


def test_secrets_are_dropped():
    before, after = ({"id": 1, "password": f"p-{n}", "c": {"api_key": f"k-{n}"}} for n in (1, 2))
    op = parse({**EVENT, "before": before, "after": after})
    assert op.changes == [Change("password", SECRET, SECRET), Change("c.api_key", SECRET, SECRET)]
    assert "k-1" not in repr(parse({**EVENT, "op": "c", "before": None, "after": before}))
    assert "p-1" not in repr(parse({**EVENT, "before": '{"password": "p-1", cut'}))


def test_every_scalar_is_carried_exactly_once():
    event = {
        **EVENT,
        "before": {"s": 1.5},
        "after": {"s": 2.5, "n": "x"},
        "transaction": {"id": "t-9", "total_order": 8},
    }
    line = json.dumps({"schema": {"type": "struct"}, "payload": event}).encode()
    assert_nothing_is_lost_or_doubled(debezium.parse, line, translated={"u", "employee"})
    deleted = {**EVENT, "op": "d", "before": {"a": 9}, "after": None, "transaction": {}}
    assert_nothing_is_lost_or_doubled(
        debezium.parse, json.dumps({"value": deleted}).encode(), translated={"d", "None", "employee"}
    )


@pytest.mark.parametrize("document", [{**EVENT, "op": "x"}, {**EVENT, "source": {"db": "x"}}, {"payload": {"a": 1}}])
def test_what_is_no_change_event_is_refused(document):
    assert isinstance(debezium.parse(json.dumps(document).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in debezium.LITERALS)


def test_passwords_in_the_redo_sql_of_oracle_are_dropped():
    redo = 'update "HR"."USERS" set "PASSWORD" = \'hunter2\' where "ID" = \'7\''
    assert "hunter2" not in repr(parse({**EVENT, "source": {**SOURCE, "connector": "oracle", "redo_sql": redo}}))
