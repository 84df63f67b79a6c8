"""The format pgaudit: an entry is read the same with every prefix, and refused where it can be read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import UNKNOWN, Change, Context, Rejected, Time
from parsers.pgaudit import parse
from shipper.formats import Formats
from tests.parser_checks import assert_sound

CTX = Context()
ENTRY = 'AUDIT: SESSION,3,1,READ,SELECT,TABLE,public.employee,"select ""a"", \'b,c\' from employee",<not logged>,212'
LINE = "Feb  3 10:30:00 db1 postgres[4711]: [5-1] user=kim,db=hr,app=psql,client=192.0.2.5(50112) LOG:  "


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_an_entry_with_everything_around_it():
    operation = one(LINE + ENTRY)
    assert (operation.action, operation.kind, operation.code) == ("data.read", "audit", "SELECT")
    assert operation.time == Time("Feb  3 10:30:00", "rfc3164")
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert operation.fields == {
        "process.name": "postgres",
        "process.pid": 4711,
        "host.hostname": "db1",
        "user.name": "kim",
        "source.ip": "192.0.2.5",
        "source.port": 50112,
        "trail.export.objects": ["public.employee"],
        "trail.export.rows": 212,
    }
    assert operation.raw["audit"]["statement"] == "select \"a\", 'b,c' from employee"
    assert operation.raw["dbname"] == "hr"


@pytest.mark.parametrize(
    "prefix",
    ["", "LOG:  ", "[5-1] LOG:  ", "[5-1] user=kim,db=hr LOG:  ", "[5] LOG:  ", "kim@hr LOG:  ", "Feb  3 10:30:00 db1 postgres[4]: LOG:  ",
     "<134>1 2026-02-03T10:30:00Z db1 postgres 4711 - - [5-1] LOG:  ", "<134>Feb  3 10:30:00 db1 postgres: "],
)  # fmt: skip
def test_every_prefix_leads_to_the_same_entry(prefix):
    operation = one(prefix + ENTRY)
    assert (operation.action, operation.object_type) == ("data.read", "public.employee")


def test_the_prefix_that_debian_sets_has_the_more_exact_time():
    debian = "Feb  3 10:30:00 db1 postgres[4711]: [5] 2026-02-03 10:30:00.123 {} [4711] kim@hr LOG:  " + ENTRY
    exact, unclear = one(debian.format("UTC")), one(debian.format("CET"))
    assert (exact.time, exact.raw["other_time"]) == (Time("2026-02-03 10:30:00.123 UTC"), "Feb  3 10:30:00")
    assert (unclear.time, unclear.raw["other_time"]) == (
        Time("Feb  3 10:30:00", "rfc3164"),
        "2026-02-03 10:30:00.123 CET",
    )
    assert exact.fields["user.name"] == unclear.fields["user.name"] == "kim"


@pytest.mark.parametrize("name", ["hr, desk", "x,client=198.51.100.9", "x,host=y", "a,b,c"])
def test_a_client_that_calls_itself_by_commas_hides_neither_user_nor_address(name):
    operation = one(LINE.replace("psql", name) + ENTRY)
    assert (operation.fields["user.name"], operation.fields["source.ip"]) == ("kim", "192.0.2.5")
    assert operation.raw["application_name"] == name


def test_rows_of_a_copy_are_not_counted_and_a_select_of_no_table_reads_nothing():
    operation = one(LINE + "AUDIT: SESSION,1,1,READ,COPY,,,copy t to stdout,<none>,0")
    assert operation.action == "data.export"
    assert "trail.export.rows" not in operation.fields
    assert operation.raw["audit"]["rows"] == "0"
    assert one(LINE + "AUDIT: SESSION,1,1,READ,SELECT,,,select now(),<none>,1").action == "log.message"
    assert one(LINE + "AUDIT: SESSION,1,1,READ,SELECT,,,select a from t,<none>,1").action == "data.read"


def test_a_statement_of_several_lines_is_understood_though_rsyslog_wrote_their_ends_as_numbers():
    operation = one(LINE + "AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,ALTER ROLE ann#012#011SUPERUSER,<none>,0")
    assert operation.changes == [Change("superuser", UNKNOWN, True, derivation="new_only")]
    assert operation.raw["audit"]["statement"] == "ALTER ROLE ann#012#011SUPERUSER"


@pytest.mark.parametrize(
    ("row", "action", "kind", "name"),
    [
        ("WRITE,INSERT,TABLE,public.t,insert into t values (1),<none>", "record.create", "public.t", None),
        ("WRITE,UPDATE,TABLE,public.t,update t set a=1,<none>", "field.update", "public.t", None),
        ('WRITE,DELETE,TABLE,"public.""T""",delete from "T",<none>', "record.delete", "public.T", None),
        ("READ,COPY,TABLE,public.t,copy t to stdout,<none>", "data.export", "public.t", None),
        ("ROLE,CREATE ROLE,,,create user bob,<none>", "user.create", "user", "bob"),
        ("ROLE,GRANT,,,grant a to ann,<none>", "role.grant", "user", "ann"),
        ("DDL,ALTER TABLE,TABLE,public.t,alter table t add b int,<none>", "config.update", "table", "public.t"),
        ("FUNCTION,EXECUTE,FUNCTION,public.f,select f(),<none>", "log.message", "function", "public.f"),
        ("MISC,SET,,,set role hr_admin,<none>", "auth.impersonate", "role", "hr_admin"),
        ("READ,SELECT,TABLE,public.t,<previously logged>,<previously logged>", "data.read", "public.t", None),
    ],
)
def test_classes_and_commands_become_our_actions(row, action, kind, name):
    operation = one(f"{LINE}AUDIT: SESSION,1,1,{row}")
    assert (operation.action, operation.object_type, operation.object_id) == (action, kind, name)


def test_a_role_that_is_altered_has_a_new_value():
    operation = one(LINE + "AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,alter role ann superuser,<none>")
    assert operation.changes == [Change("superuser", UNKNOWN, True, derivation="new_only")]


def test_passwords_are_dropped():
    operation = one(LINE + "AUDIT: SESSION,1,1,ROLE,CREATE ROLE,,,\"create user bob password 'hunter2'\",<none>")
    assert "hunter2" not in repr(operation)
    assert operation.values == {"password": "(secret dropped)"}


@pytest.mark.parametrize(
    "line",
    [
        "Feb  3 10:30:00 db1 other[1]: " + ENTRY,
        "Feb  3 10:30:00 db1 postgres[1]: [5-1] LOG:  connection authorized: user=kim",
        "Feb  3 10:30:00 db1 postgres[1]: [5-2] " + ENTRY,
        "2026-02-03 10:30:00 UTC [1] LOG:  " + ENTRY,
        "AUDIT: SESSION,3,READ",
        'AUDIT: SESSION,3,1,READ,SELECT,TABLE,t,"select,<none>',
        LINE.replace("app=psql", "app=x LOG:  AUDIT: SESSION") + ENTRY,
    ],
)
def test_other_lines_and_those_of_two_readings_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


def test_it_can_stand_inside_syslog():
    inside = Formats().get("syslog", {"inner": "pgaudit"})
    (operation,) = inside.parse((LINE + ENTRY).encode(), CTX)
    assert (operation.action, operation.time) == ("data.read", Time("Feb  3 10:30:00", "rfc3164"))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.binary(max_size=6))
def test_a_damaged_line_yields_a_sound_result(at, piece):
    data = (LINE + ENTRY).encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
