"""The format postgresql: the same message gives the same event as jsonlog, csvlog and text, and secrets stay behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import SECRET, UNKNOWN, Change, Context, Rejected, Time, pgaudit
from parsers.postgresql import LITERALS, parse
from tests.parser_checks import assert_nothing_is_lost_or_doubled, assert_sound, mutated

CTX = Context()
GOLDEN = Path(__file__).parents[1] / "golden" / "postgresql"
ROW = {
    "timestamp": "2026-02-03 10:30:00.123 UTC",
    "user": "kim",
    "dbname": "hr",
    "pid": 4711,
    "remote_host": "192.0.2.5",
    "remote_port": 50112,
    "session_id": "6981d2a8.1267",
    "line_num": 3,
    "error_severity": "LOG",
    "message": "hello",
}
TEXT = "2026-02-03 10:30:00.123 UTC [4711] user=kim,db=hr,app=psql,client=192.0.2.5 LOG:  "


def one(line):
    found = parse(line if isinstance(line, bytes) else line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def of(message, severity="LOG", **more):
    return one(json.dumps({**ROW, "message": message, "error_severity": severity, **more}))


def csv_of(message, severity="LOG"):
    quoted = message.replace('"', '""')
    return one(
        f'2026-02-03 10:30:00.123 UTC,"kim","hr",4711,"192.0.2.5:50112",6981d2a8.1267,3,"idle",'
        f'2026-02-03 10:29:58 UTC,3/12,0,{severity},00000,"{quoted}",,,,,,,,,"psql","client backend",,0'
    )


def audit(row):
    return of("AUDIT: " + row)


MESSAGES = [
    ("connection authorized: user=kim database=hr", "auth.login"),
    ("disconnection: session time: 0:00:01.500 user=kim database=hr host=192.0.2.5 port=50112", "session.end"),
    ("statement: ALTER ROLE ann SUPERUSER", "role.update"),
    ("statement: GRANT hr_admin TO ann", "role.grant"),
    ('AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,"select ""a"" from t",<none>,7', "data.read"),
    ("anything else", "log.message"),
]


@pytest.mark.parametrize(("message", "action"), MESSAGES)
def test_json_csv_and_text_give_the_same(message, action):
    made = [of(message), csv_of(message), one(TEXT + message)]
    for operation in made:
        assert operation.action == action
        assert operation.time == Time("2026-02-03 10:30:00.123 UTC")
        assert operation.fields["user.name"] == "kim"
        assert operation.fields["source.ip"] == "192.0.2.5"
        assert operation.fields["process.pid"] == 4711
        assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert [op.changes for op in made] == [made[0].changes] * 3
    assert [(op.object_type, op.object_id, op.outcome, op.code) for op in made] == [
        (made[0].object_type, made[0].object_id, made[0].outcome, made[0].code)
    ] * 3


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('password authentication failed for user "kim"', "28P01"),
        ('no pg_hba.conf entry for host "192.0.2.5", user "kim", database "hr", no encryption', "28000"),
        ('role "kim" does not exist', "28000"),
        ('database "hr" does not exist', "3D000"),
    ],
)
def test_a_refused_connection_is_a_failed_login(message, reason):
    operation = of(message, "FATAL", state_code=reason)
    assert (operation.action, operation.outcome, operation.actor_type) == ("auth.login", "failure", "unknown")
    assert (operation.object_type, operation.object_id) == ("database", "hr")
    assert operation.fields["event.reason"] == message
    assert operation.fields["error.code"] == reason


def test_a_missing_role_in_a_statement_is_no_login():
    operation = of('role "kim" does not exist', "ERROR")
    assert (operation.action, operation.outcome, operation.category) == ("log.message", "failure", ("database",))


def test_the_end_of_a_session_has_its_duration():
    assert of(MESSAGES[1][0]).fields["event.duration"] == 1_500_000_000


@pytest.mark.parametrize(
    ("statement", "action", "kind", "name", "changes"),
    [
        ("ALTER ROLE ann PASSWORD 'hunter2'", "password.reset", "user", "ann", [("password", UNKNOWN, SECRET)]),
        ("ALTER USER kim PASSWORD 'hunter2'", "password.change", "user", "kim", [("password", UNKNOWN, SECRET)]),
        ("ALTER ROLE kim PASSWORD NULL", "password.change", "user", "kim", [("password", UNKNOWN, None)]),
        ("ALTER ROLE ann NOLOGIN CONNECTION LIMIT 5", "role.update", "role", "ann", [("login", UNKNOWN, False), ("connection_limit", UNKNOWN, 5)]),
        ("ALTER ROLE ann PASSWORD 'a SUPERUSER b' LOGIN", "role.update", "role", "ann", [("login", UNKNOWN, True), ("password", UNKNOWN, SECRET)]),
        ("ALTER ROLE ann RENAME TO anna", "role.update", "role", "ann", [("name", "ann", "anna")]),
        ("ALTER SYSTEM SET log_connections = 'off'", "config.update", "configuration", None, [("log_connections", UNKNOWN, "off")]),
        ("SET pgaudit.log = 'none'", "config.update", "configuration", None, [("pgaudit.log", UNKNOWN, "none")]),
        ("SET search_path = x", "log.message", None, None, []),
        ("SET ROLE hr_admin", "auth.impersonate", "role", "hr_admin", []),
        ("create user bob", "user.create", "user", "bob", []),
        ('DROP ROLE IF EXISTS "Bob"', "role.delete", "role", "Bob", []),
        ("CREATE TABLE IF NOT EXISTS HR.Pay (a int)", "config.create", "table", "hr.pay", []),
        ("DROP MATERIALIZED VIEW v", "config.delete", "materialized_view", "v", []),
        ("/* app */ -- x\nUPDATE ONLY employee SET salary = 1", "field.update", "employee", None, []),
        ("TRUNCATE TABLE employee", "record.purge", "employee", None, []),
        ("COPY employee (a, b) TO STDOUT", "data.export", "employee", None, []),
        ("COPY employee FROM STDIN", "data.import", "employee", None, []),
        ("REVOKE SELECT (iban), UPDATE ON employee FROM ann", "role.revoke", "user", "ann", []),
        ("SELECT 1", "log.message", None, None, []),
        ("SELECT * FROM employee", "data.read", None, None, []),
    ],
)  # fmt: skip
def test_statements_tell_what_they_do(statement, action, kind, name, changes):
    operation = of("statement: " + statement)
    assert (operation.action, operation.object_type, operation.object_id) == (action, kind, name)
    assert [(one.field, one.old, one.new) for one in operation.changes] == changes
    assert "hunter2" not in repr(operation)


def test_a_statement_that_was_only_sent_has_no_outcome_yet():
    assert of("statement: DROP TABLE a").outcome == "unknown"
    assert of("duration: 1.250 ms  statement: DROP TABLE a").outcome == "success"
    assert of("duration: 1.250 ms  statement: DROP TABLE a").fields["event.duration"] == 1_250_000


def test_an_entry_of_pgaudit_says_which_table_and_how_many_rows():
    operation = audit("SESSION,3,1,READ,SELECT,TABLE,public.employee,select * from employee,<not logged>,212")
    assert (operation.action, operation.kind, operation.code, operation.outcome) == (
        "data.read",
        "audit",
        "SELECT",
        "success",
    )
    assert operation.object_type == "public.employee"
    assert operation.fields["trail.export.objects"] == ["public.employee"]
    assert operation.fields["trail.export.rows"] == 212
    assert operation.raw["audit"] == {
        "type": "SESSION",
        "statement_id": "3",
        "substatement_id": "1",
        "class": "READ",
        "object_type": "TABLE",
        "statement": "select * from employee",
        "parameter": "<not logged>",
    }
    assert operation.message is None


def test_a_grant_names_the_roles_and_the_user():
    operation = audit("SESSION,5,1,ROLE,GRANT,,,grant a to ann,<none>")
    assert operation.fields["user.changes.roles"] == ["a"]
    assert (operation.fields["user.target.name"], operation.object_id) == ("ann", "ann")


def test_the_server_itself_changes_a_parameter():
    operation = one('2026-02-03 10:30:00 UTC [1] LOG:  parameter "log_connections" changed to "off"')
    assert (operation.action, operation.actor_type) == ("config.update", "system")
    assert operation.changes == [Change("log_connections", UNKNOWN, "off", derivation="new_only")]


def test_an_ambiguous_abbreviation_of_a_zone_is_kept_apart():
    operation = one(TEXT.replace("UTC", "CET") + "hello")
    assert operation.time == Time("2026-02-03 10:30:00.123")
    assert operation.raw["log_timezone"] == "CET"


def test_further_lines_belong_to_the_message():
    assert one(TEXT + "statement: create table t (\n\ta int\n\t)").message == "statement: create table t (\na int\n)"


def test_lines_that_follow_a_message_say_what_they_are():
    operation = one(TEXT.replace("LOG:", "STATEMENT:") + "alter role kim password 'hunter2'")
    assert (operation.action, operation.code) == ("log.message", "STATEMENT")
    assert "hunter2" not in repr(operation)


@pytest.mark.parametrize(
    "line",
    [
        TEXT.replace("user=kim", "user=x LOG:  connection authorized: user=postgres database=hr") + "hello",
        TEXT.replace("app=psql", "app=x,client=192.0.2.1 LOG:  connection authorized: user=postgres") + "hello",
        "2026-02-03 10:30:00 UTC [1] LOG:  connection authorized: user=postgres@hr FATAL:  no",
    ],
)
def test_a_name_that_a_client_chose_cannot_forge_a_line(line):
    operation = one(line)
    assert (operation.action, operation.actor_type) == ("log.message", "unknown")
    assert not {"user.name", "source.ip"} & operation.fields.keys()


@pytest.mark.parametrize("name", ["hr, desk", "x,client=198.51.100.9", "x,host=y", "a,b,c"])
def test_a_client_that_calls_itself_by_commas_hides_neither_user_nor_address(name):
    operation = one(TEXT.replace("psql", name) + "hello")
    assert (operation.fields["user.name"], operation.fields["source.ip"]) == ("kim", "192.0.2.5")
    assert operation.raw["application_name"] == name


def test_every_scalar_of_a_json_line_is_carried_exactly_once():
    line = json.dumps({**ROW, "dbname": "hr2", "message": "m", "ps": "idle", "query_id": 9, "error_severity": "LOG"})
    assert_nothing_is_lost_or_doubled(parse, line.encode(), translated={"LOG", "m"})


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**ROW, "error_severity": "info"}),
        json.dumps({"timestamp": "x", "message": "y"}),
        '2026-02-03 10:30:00 UTC,"kim"',
        "2026-02-03 10:30:00 UTC [1] hello",
        "LOG:  hello",
        json.dumps({**ROW, "message": "AUDIT: SESSION,x"}),
        "[1]",
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


def test_pgaudit_refuses_what_this_format_takes():
    for file in GOLDEN.glob("*.log"):
        for line in file.read_bytes().splitlines():
            if isinstance(parse(line, CTX), list):
                assert isinstance(pgaudit.parse(line, CTX), Rejected)


@settings(max_examples=200, deadline=None)
@given(mutated([json.dumps({**ROW, "message": message}).encode() for message, _ in MESSAGES]))
def test_a_damaged_json_line_yields_a_sound_result(line):
    assert_sound(parse(line, CTX))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MESSAGES), st.integers(0, 120), st.binary(max_size=6))
def test_a_damaged_text_line_yields_a_sound_result(message, at, piece):
    data = (TEXT + message[0]).encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for file in GOLDEN.glob("*.log"):
        for line in file.read_bytes().splitlines():
            if isinstance(parse(line, CTX), list):
                assert any(literal in line for literal in LITERALS)
