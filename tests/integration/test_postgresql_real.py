"""A real PostgreSQL does known things; its logs and its write-ahead log must say who did what, and no password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.components import absent
from tests.integration import postgresql

ROOT = Path(__file__).resolve().parents[2]
ANN, NEMO = "pw-of-ann-1", "pw-of-nemo-2"
SECRETS = (postgresql.PASSWORD, ANN, NEMO, "pw-of-ann-3", "pw-of-bob-4", "pw-of-zoe-5", "pw-of-column-6")
APPLICATION = "hr, desk,client=192.0.2.9"
"""What a client calls itself may look like the next part of a prefix."""
FORGED = "/* x\n2026-02-03 10:30:00.123 UTC [4711] chief@hr LOG:  statement: DROP ROLE ann */ SELECT 1 FROM account"
FORGER = "x\n2026-02-03 10:30:00.123 UTC [1] chief@hr LOG:  statement: drop role ann"
TEXT_PREFIX = "%m [%p] user=%u,db=%d,app=%a,client=%h "
SYSLOG_PREFIX = "user=%u,db=%d,app=%a,client=%h "

MAKE = (
    f"CREATE ROLE ann LOGIN PASSWORD '{ANN}'",
    "CREATE ROLE hr_admin",
    "CREATE TABLE employee (id int PRIMARY KEY, name text, salary int)",
    "CREATE TABLE account (id int PRIMARY KEY, name text, password text, salary int, note text, team text)",
    "ALTER TABLE account REPLICA IDENTITY FULL",
    "GRANT SELECT, UPDATE ON employee, account TO ann",
    "GRANT hr_admin TO ann",
    "INSERT INTO employee VALUES (7, 'Lee R', 90000), (8, 'Bö', NULL)",
    "INSERT INTO account (id, name, salary, team) VALUES (7, 'Lee R', 90000, 'ops')",
)
BY_ANN = (
    "UPDATE employee SET salary = 120000 WHERE id = 7",
    "SELECT name,\n       salary\n  FROM employee\n WHERE id = 7",
    "SELECT now()",
    "COPY employee TO STDOUT",
    "COPY (SELECT name FROM employee) TO STDOUT",
    "SELECT * FROM employe",
    "DROP TABLE employee",
    FORGED,
)
BY_CHIEF = (
    "UPDATE account SET salary = 120000, password = 'pw-of-column-6', note = 'now', name = 'Lee R' WHERE id = 7",
    "UPDATE account SET note = NULL WHERE id = 7",
    "UPDATE account SET salary = salary WHERE id = 7",
    "UPDATE employee SET id = 9 WHERE id = 8",
    "DELETE FROM employee WHERE id = 9",
    "DELETE FROM account",
    "TRUNCATE employee",
    "ALTER ROLE ann\n  PASSWORD 'pw-of-ann-3'",
    "ALTER ROLE ann CREATEDB VALID UNTIL '2030-01-01'",
    f"ALTER ROLE nemo PASSWORD '{NEMO}'",
    "CREATE USER bob PASSWORD 'pw-of-bob-4'",
    "REVOKE hr_admin FROM ann",
    "REVOKE ALL ON employee FROM ann",
    "SET ROLE hr_admin",
    "RESET ROLE",
    "ALTER ROLE bob RENAME TO rob",
    "DROP ROLE rob",
)


def rows_of(slot, options=""):
    """The statement that takes everything out of a slot."""
    given = ", ".join(f"'{option}', '1'" for option in ("include-xids", "include-timestamp", "include-pk"))
    return f"SELECT data FROM pg_logical_slot_get_changes('{slot}', NULL, NULL, {given}{options})"


def act(cluster, made):
    """The script."""
    cluster.psql("CREATE DATABASE hr", database="postgres")
    for slot in ("one", "two"):
        cluster.psql(f"SELECT pg_create_logical_replication_slot('{slot}', 'wal2json')")
    cluster.psql(*MAKE)
    cluster.psql(*BY_ANN, user="ann", password=ANN, application="desk", check=False)
    cluster.psql("SELECT 1", user="ann", password="pw-of-zoe-5", check=False)
    cluster.psql("SELECT 1", user="zoe", password="pw-of-zoe-5", check=False)
    cluster.psql("SELECT 1", user=FORGER, password="pw-of-zoe-5", check=False)
    cluster.psql("SELECT 1", user="ann", database="nowhere", check=False)
    cluster.psql(*BY_CHIEF, application="admin", options="-c log_statement=all", check=False)
    cluster.pgbench(
        "INSERT INTO employee VALUES (:id, :name, 5);\nUPDATE employee SET salary = :salary WHERE id = :id;\n",
        options="-c log_statement=all -c log_min_duration_statement=0 -c pgaudit.log_relation=on",
        id=11,
        name='"O\'Neil, "',
        salary=77,
    )
    for number, prefix in enumerate((TEXT_PREFIX, SYSLOG_PREFIX), 1):
        cluster.psql(f"ALTER SYSTEM SET log_line_prefix = '{prefix}'", "SELECT pg_reload_conf()")
        cluster.wait_for("log_line_prefix", 2 * number)
        cluster.psql(
            "SELECT account.name\n  FROM account, employee",
            "TABLE employee",
            password=postgresql.PASSWORD,
            options="-c pgaudit.log_relation=on",
            application=APPLICATION,
        )
        cluster.psql("SELECT 1", user="ann", password="pw-of-zoe-5", application=APPLICATION, check=False)
    made["one"] = cluster.psql(rows_of("one"))
    made["two"] = cluster.psql(rows_of("two", ", 'format-version', '2', 'include-lsn', '1'"))
    cluster.shut_down()
    cluster.wait_for("database system is shut down")


def through_syslog(messages):
    """The lines that rsyslog writes for PostgreSQL's messages: control characters as octal numbers, no line end."""
    for priority, process, text in messages:
        written = "".join(f"#{ord(c):03o}" if ord(c) < 32 else c for c in text.rstrip("\n"))
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        yield f"<{16 * 8 + int(priority)}>{stamp} db1 postgres[{process}]: {written}\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Every log of the script, as files; `began` and `ended`."""
    if reason := postgresql.missing():
        absent(reason)
    folder = tmp_path_factory.mktemp("postgresql")
    made, began = {}, time.time()
    cluster = postgresql.Cluster()
    try:
        act(cluster, made)
        # Without a time in front, the rest of the text is nobody's log.
        text = cluster.text()
        made |= {"text": text[: text.index("\nuser=") + 1], "csv": cluster.text("server.csv")}
        made |= {"json": cluster.text("server.json"), "syslog": "".join(through_syslog(cluster.messages()))}
    finally:
        cluster.stop()
    made["audit"] = "".join(line for line in made["syslog"].splitlines(keepends=True) if "AUDIT: " in line)
    for name, content in made.items():
        (folder / name).write_text(content)
    return SimpleNamespace(folder=folder, began=began, ended=time.time(), cache={})


FORMATS = {
    "text": "postgresql",
    "csv": "postgresql",
    "json": "postgresql",
    "audit": "pgaudit",
    "one": "wal2json",
    "two": "wal2json",
}
SERVER = pytest.mark.parametrize("log", ["text", "csv", "json"])
STRUCTURED = pytest.mark.parametrize("log", ["csv", "json"])
AUDITED = pytest.mark.parametrize("log", ["text", "csv", "json", "audit"])
ROWS = pytest.mark.parametrize("log", ["one", "two"])
ALL = pytest.mark.parametrize("log", sorted(FORMATS))


def flat(value, path=""):
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    if not isinstance(value, dict):
        return {path: value}
    return {name: one for key, inner in value.items() for name, one in flat(inner, f"{path}.{key}".lstrip(".")).items()}


def parsed(ran, log, name=None):
    """The events that `fieldtrail parse` makes of a log."""
    name = name or FORMATS[log]
    if (log, name) not in ran.cache:
        done = subprocess.run(
            [sys.executable, "-m", "shipper", "parse", "--format", name, "--timezone", "UTC", str(ran.folder / log)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            timeout=60,
            capture_output=True,
        )
        ran.cache[log, name] = [flat(json.loads(line)) for line in done.stdout.splitlines()]
    return ran.cache[log, name]


def those(events, **wanted):
    """Events with these values; `__` in a name stands for a dot, None for a field that is not there."""
    wanted = {name.replace("__", "."): value for name, value in wanted.items()}
    return [event for event in events if all(event.get(name) == value for name, value in wanted.items())]


def one(events, **wanted):
    found = those(events, **wanted)
    assert len(found) == 1, (wanted, [event["message"] for event in found])
    return found[0]


def audited(events, statement):
    """The one entry of pgaudit for a statement, whatever stands between its lines."""
    found = [
        event
        for event in events
        if event.get("trail.raw.audit.statement", "").replace("#012#011", "\n").replace("\n\t", "\n") == statement
    ]
    assert len(found) == 1, statement
    return found[0]


def has(event, **wanted):
    wanted = {name.replace("__", "."): value for name, value in wanted.items()}
    assert {name: event.get(name) for name in wanted} == wanted


@ALL
def test_every_record_is_understood_and_no_password_is_in_any_event(ran, log):
    events = parsed(ran, log)
    assert events
    unparsed = those(events, event__kind="pipeline_error")
    # In text, a name with a line break cuts a line in two; its first part is no message.
    assert len(unparsed) == (2 if log == "text" else 0), [event["message"] for event in unparsed]
    text = json.dumps(events)
    assert [secret for secret in SECRETS if secret in text] == []


@ALL
def test_times_are_those_of_the_deeds(ran, log):
    for event in parsed(ran, log):
        if event["event.kind"] != "pipeline_error" and not event["@timestamp"].startswith("2026-02-03"):
            moment = datetime.fromisoformat(event["@timestamp"]).timestamp()
            assert ran.began - 1 <= moment <= ran.ended + 1, event["message"]


@ALL
def test_auto_finds_the_format(ran, log):
    def told(events):
        return [(event["event.action"], event["message"], event["event.module"]) for event in events]

    assert told(parsed(ran, log, "auto")) == told(parsed(ran, log))


def test_csvlog_and_jsonlog_tell_the_same(ran):
    def told(log):
        # Numbers are texts in csvlog, which has a code for success and no empty text.
        own = ("event.id", "event.created", "trail.origin.", "trail.operation.id", "trail.raw.state", "trail.raw.ps")
        return Counter(
            json.dumps({name: str(event[name]) for name in sorted(event) if not name.startswith(own)})
            for event in parsed(ran, log)
        )

    left, right = told("csv"), told("json")
    assert list((left - right).items()) == []
    assert list((right - left).items()) == []


@STRUCTURED
def test_a_session_is_told_from_its_first_to_its_last_message(ran, log):
    events = parsed(ran, log)
    update = audited(events, BY_ANN[0])
    session = those(events, trail__session__id=update["trail.session.id"])
    assert [event["event.action"] for event in session[:3]] == ["network.connect", "log.message", "auth.login"]
    assert session[-1]["event.action"] == "session.end"
    assert session[-1]["event.duration"] > 0
    assert {event.get("user.name") for event in session[1:]} == {"ann"}
    assert {event["source.ip"] for event in session} == {"127.0.0.1"}
    assert len({event["source.port"] for event in session}) == 1


@SERVER
def test_logins_and_refused_logins(ran, log):
    events = parsed(ran, log)
    network = {} if log == "text" else {"source__ip": "127.0.0.1"}
    login = {"event__action": "auth.login", "trail__object__id": "hr"}
    assert those(events, **login, user__name="ann", event__outcome="success", trail__actor__type="user", **network)
    assert those(events, **login, user__name="chief", event__outcome="success", source__ip=None)
    for name in ("ann", "zoe"):
        refused = those(events, **login, user__name=name, event__outcome="failure", **network)
        assert refused
        assert {event["trail.actor.type"] for event in refused} == {"unknown"}
        assert {event["event.reason"] for event in refused} == {f'password authentication failed for user "{name}"'}
    one(events, event__action="auth.login", event__outcome="failure", trail__object__id="nowhere")


@SERVER
def test_what_a_client_calls_itself_hides_nobody_and_invents_no_address(ran, log):
    events = parsed(ran, log)
    named = those(events, trail__raw__application_name=APPLICATION)
    assert {event["user.name"] for event in named} == {"chief"} if log != "text" else {"chief", "ann"}
    assert {event["source.ip"] for event in named} == {"127.0.0.1"}


@SERVER
def test_what_a_client_writes_makes_no_event_of_its_own(ran, log):
    events = parsed(ran, log)
    dropped = those(events, trail__object__id="ann", event__action="role.delete")
    assert dropped == []
    forged = [event for event in events if "DROP ROLE ann" in json.dumps(event)]
    assert len(forged) == 1
    if log == "text":
        has(forged[0], event__action="log.message", user__name=None)
    else:
        has(forged[0], event__action="data.read", user__name="ann", source__ip="127.0.0.1")


@AUDITED
def test_roles_and_rights(ran, log):
    events = parsed(ran, log)
    chief = {"user__name": "chief", "event__outcome": "success"}
    made = audited(events, "CREATE ROLE ann LOGIN PASSWORD <REDACTED>")
    has(made, event__action="user.create", trail__object__id="ann", user__target__name="ann", **chief)
    has(audited(events, "CREATE ROLE hr_admin"), event__action="role.create", trail__object__id="hr_admin", **chief)
    given = audited(events, "GRANT hr_admin TO ann")
    has(given, event__action="role.grant", user__target__name="ann", **{"user.changes.roles": ["hr_admin"]}, **chief)
    has(audited(events, MAKE[5]), event__action="role.grant", trail__object__id="ann", **chief)
    has(audited(events, "REVOKE hr_admin FROM ann"), event__action="role.revoke", user__target__name="ann", **chief)
    has(
        audited(events, "SET ROLE hr_admin"),
        event__action="auth.impersonate",
        user__effective__name="hr_admin",
        **chief,
    )
    reset = audited(events, "ALTER ROLE ann\n  PASSWORD <REDACTED>")
    has(
        reset, event__action="password.reset", trail__change__field="password", trail__change__redaction="drop", **chief
    )
    first = audited(events, BY_CHIEF[8])
    flags = those(events, trail__operation__id=first["trail.operation.id"])
    assert {(event["trail.change.field"], event["trail.change.new"]) for event in flags} == {
        ("createdb", "true"),
        ("valid_until", "2030-01-01"),
    }
    assert {event["trail.change.old_state"] for event in flags} == {"unknown"}
    renamed = audited(events, "ALTER ROLE bob RENAME TO rob")
    has(renamed, trail__change__old="bob", trail__change__new="rob", **chief)


@AUDITED
def test_tables_rows_and_exports(ran, log):
    events = parsed(ran, log)
    ann = {"user__name": "ann", "event__outcome": "success"}
    has(audited(events, MAKE[2]), event__action="config.create", trail__object__id="employee", user__name="chief")
    has(audited(events, MAKE[7]), event__action="record.create", trail__object__type="employee")
    has(audited(events, BY_ANN[0]), event__action="field.update", trail__object__type="employee", **ann)
    has(audited(events, BY_ANN[1]), event__action="data.read", trail__export__rows=1, **ann)
    has(audited(events, "SELECT now()"), event__action="log.message", trail__export__rows=None, **ann)
    exported = audited(events, "COPY employee TO STDOUT")
    has(exported, event__action="data.export", trail__export__rows=None, trail__object__type="employee", **ann)
    assert exported["trail.export.objects"] == ["employee"]
    has(audited(events, BY_CHIEF[4]), event__action="record.delete", trail__object__type="employee")
    has(audited(events, "TRUNCATE employee"), event__action="record.purge", trail__object__type="employee")
    update = audited(events, "UPDATE employee SET salary = $1 WHERE id = $2;")
    has(
        update,
        event__action="field.update",
        trail__object__type="public.employee",
        trail__raw__audit__parameter="77,11",
    )


@AUDITED
def test_with_log_relation_each_table_that_was_read_is_named(ran, log):
    found = [
        event
        for event in those(parsed(ran, log), event__action="data.read", user__name="chief")
        if event.get("trail.raw.audit.object_type") == "TABLE"
    ]
    tables = Counter((event["trail.export.objects"][0], event["trail.raw.audit.statement_id"]) for event in found)
    times = 1 if log == "text" else 2
    joined = {("public.account", "1"): times, ("public.employee", "1"): times}
    assert tables == {**joined, ("public.employee", "2"): times}


@SERVER
def test_a_statement_that_failed_says_so(ran, log):
    events = parsed(ran, log)
    denied = one(events, error__message="must be owner of table employee")
    has(denied, event__outcome="failure", user__name="ann", log__level="error")
    if log != "text":
        has(denied, error__code="42501", trail__raw__statement="DROP TABLE employee")
    failed = one(events, error__message='role "nemo" does not exist')
    has(failed, event__outcome="failure", user__name="chief")
    asked = those(events, event__action="password.reset", trail__object__id="nemo")
    assert [event["event.outcome"] for event in asked] == ["unknown"]


@SERVER
def test_statements_are_understood_without_pgaudit(ran, log):
    events = [event for event in parsed(ran, log) if "trail.raw.audit.class" not in event]
    made = one(events, event__action="user.create", user__name="chief")
    has(made, trail__object__id="bob", user__target__name="bob", event__outcome="unknown")
    one(events, event__action="record.purge", trail__object__type="employee", user__name="chief")
    one(events, event__action="auth.impersonate", user__effective__name="hr_admin")
    inserted = those(events, event__action="record.create", trail__object__type="employee", event__code="execute")
    assert len(inserted) == 1


@SERVER
def test_a_changed_setting_is_a_change_by_the_system(ran, log):
    changes = those(parsed(ran, log), trail__change__field="log_line_prefix", trail__actor__type="system")
    assert changes[0]["trail.change.new"] == TEXT_PREFIX
    by_chief = those(parsed(ran, log), trail__change__field="log_line_prefix", user__name="chief")
    assert by_chief[0]["event.action"] == "config.update"


def test_syslogs_entries_keep_host_process_and_client(ran):
    events = parsed(ran, "audit")
    assert {event["host.hostname"] for event in events} == {"db1"}
    assert all(event["process.pid"] for event in events)
    assert all(event["user.name"] in {"chief", "ann"} for event in events)
    named = those(events, trail__raw__application_name=APPLICATION)
    assert {event["source.ip"] for event in named} == {"127.0.0.1"}
    with_time = [event for event in events if "trail.raw.other_time" in event]
    assert len(with_time) > len(named)


@ROWS
def test_old_and_new_values_are_told_under_a_full_replica_identity(ran, log):
    changes = those(
        parsed(ran, log), trail__object__type="account", event__action="field.update", trail__object__id="7"
    )
    updates = [event for event in changes if event["event.code"] in {"U", "update"}]
    assert {
        (
            event["trail.change.field"],
            event["trail.change.op"],
            event.get("trail.change.old"),
            event.get("trail.change.new"),
        )
        for event in updates
    } == {
        ("salary", "update", "90000", "120000"),
        ("password", "add", None, None),
        ("note", "add", None, "now"),
        ("note", "remove", "now", None),
    }
    assert {event["trail.change.derivation"] for event in updates} == {"native"}
    gone = one(parsed(ran, log), event__action="record.delete", trail__object__type="account")
    has(gone, trail__object__id="7", user__name=None)


@ROWS
def test_old_values_stay_unknown_under_the_default_replica_identity(ran, log):
    events = parsed(ran, log)
    update = one(events, event__action="field.update", trail__object__id="7", trail__change__field=None)
    has(update, trail__object__type="employee", trail__values__salary="120000", trail__change__old=None)
    assert {"trail.change.field", "trail.change.old", "trail.change.new"} <= set(update["trail.missing"])
    key = one(events, trail__object__type="employee", trail__change__field="id")
    has(key, trail__change__old="8", trail__change__new="9", event__action="field.update")
    one(events, event__action="record.delete", trail__object__type="employee", trail__object__id="9")


@ROWS
def test_rows_of_one_transaction_share_its_id_and_a_truncate_is_told_in_version_two(ran, log):
    events = parsed(ran, log)
    rows = those(events, event__action="record.create", trail__object__type="employee")
    assert [event["trail.object.id"] for event in rows] == ["7", "8", "11"]
    numbers = [event["trail.operation.id"].partition(":")[0] for event in rows]
    assert numbers[0] == numbers[1] != numbers[2]
    assert len(those(events, event__action="record.purge", trail__object__type="employee")) == (log == "two")
