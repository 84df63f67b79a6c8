r"""PostgreSQL server log: connections, logins, roles and definitions, errors, and the entries of pgaudit.

**What the source records.** With the settings below: each connection with its address, each login and its method, each
failed one, each end of a session; statements that define tables, roles and rights; errors; and with pgaudit who read or
wrote which table by which statement. The user is the role of the database: behind a web application it is the
application's, not the person's. Old and new values of rows are in none of it (for these: `wal2json` or `debezium`).

**How to get it out.** In `postgresql.conf`: `logging_collector = on`, `log_destination = 'jsonlog'` (version 15 or
newer; `csvlog` before), `log_connections = on`, `log_disconnections = on`, `log_statement = 'ddl'` (or pgaudit:
`shared_preload_libraries = 'pgaudit'`, `pgaudit.log = 'role, ddl, write, read'`, `pgaudit.log_rows = on`,
`pgaudit.log_relation = on`, or no table is named), `log_timezone = 'UTC'`. A log as text needs
`log_line_prefix = '%m [%p] user=%u,db=%d,app=%a,client=%h '`. Point an input at the files. Through syslog, pgaudit's
entries are read by the format `pgaudit`.

**One line in**: a line of jsonlog, a row of csvlog (23 to 26 columns, without a header), or text.

```json
{"timestamp":"2026-02-03 10:30:00.123 UTC","user":"kim","dbname":"hr","pid":4711,"remote_host":"192.0.2.5","remote_port":50112,"session_id":"6981d2a8.1267","line_num":3,"ps":"authentication","session_start":"2026-02-03 10:30:00 UTC","vxid":"3/12","txid":0,"error_severity":"LOG","message":"connection authorized: user=kim database=hr application_name=psql","application_name":"psql","backend_type":"client backend","query_id":0}
```

```text
2026-02-03 10:30:00.123 UTC [4711] user=kim,db=hr,app=psql,client=192.0.2.5 LOG:  connection authorized: user=kim database=hr
```

**What comes out.** `user.name` the role, `source.ip` and `.port`, `trail.session.id` (not in text, but for `%c`),
`process.pid`, `log.level`, `error.code` (SQLSTATE); database, application and all else in `trail.raw`.

- `connection received` `network.connect`; `connection authorized` `auth.login` success; a refused one (wrong password,
  no rule in pg_hba.conf, no such role or database) `auth.login` failure; `disconnection` `session.end` with its
  duration.
- Statements (`log_statement`, `log_min_duration_statement`): roles `user.*` or `role.*` (`user` where the statement
  says USER or LOGIN), passwords `password.change` and `password.reset`, GRANT and REVOKE `role.grant`, `role.revoke`,
  COPY `data.export` and `data.import`, SET ROLE `auth.impersonate`, rows `record.create`, `field.update`,
  `record.delete`, `record.purge` (TRUNCATE), SELECT `data.read`, other definitions `config.create`, `.update`,
  `.delete`. ALTER ROLE and ALTER SYSTEM say what was set: a change whose old value is unknown. The kind of the object
  is the table: which rows they were, nobody says. `log_statement` writes before a
  statement runs: its outcome is unknown, and an ERROR behind it says that it failed.
- pgaudit entries: the same, with `trail.export.rows` of reads where `pgaudit.log_rows` is on (never of a COPY).
- `parameter "x" changed to "y"` `config.update`; start and stop of the server; else `log.message`, failure from ERROR on.
- Text: lines DETAIL, HINT, STATEMENT and their like are records of their own, with that word as `event.code`. A zone's
  abbreviation that is not UTC or GMT stays in `trail.raw.log_timezone`: set the input's `timezone` to `log_timezone`.
- A client chooses names: a text line that can be read in two ways gives nothing but its text, and one that a line break
  in a name cuts is not understood. JSON and CSV know no such doubts.

Passwords in statements (`PASSWORD '…'`, connection strings) become `(secret dropped)`; one among the values of an
INSERT, or in a parameter, cannot be told.

Missing: trail.interface; user.name and source.ip in lines of the server itself; trail.session.id in text; old values but
for the name of a renamed role. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from parsers._commands import clean_sql
from parsers._contract import UNKNOWN, Change, Context, Format, Gives, Operation, Rejected, Time
from parsers._csv import fields as csv_fields
from parsers._json import clean_ip, decode, is_text, peek, scalar_text, take_text
from parsers._pgaudit import MARK, set_entry
from parsers._secrets import hide_secrets
from parsers._sql_deeds import set_deed
from parsers._text import readable

FORMAT: Final = Format(
    name="postgresql",
    module="postgresql",
    vendor="PostgreSQL",
    title="PostgreSQL server log (jsonlog, csvlog, text), with pgaudit",
    missing=("trail.interface",),
    framing="postgresql",
    gives=Gives.of("who when ip session field old new logins exports"),
)

_SEVERITIES: Final = (
    *("LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4"),
    "DEBUG5",
)
_FOLLOWERS: Final = ("DETAIL", "HINT", "QUERY", "CONTEXT", "STATEMENT", "LOCATION", "BACKTRACE")
LITERALS: Final = (b'"error_severity"', *(f"{word}:  ".encode() for word in (*_SEVERITIES[:8], *_FOLLOWERS)), b",")

_COLUMNS: Final = (
    *("timestamp", "user", "dbname", "pid", "connection_from", "session_id", "line_num", "ps", "session_start"),
    *("vxid", "txid", "error_severity", "state_code", "message", "detail", "hint", "internal_query"),
    *("internal_position", "context", "statement", "cursor_position", "location", "application_name", "backend_type"),
    *("leader_pid", "query_id"),
)
"""Of csvlog, in jsonlog's names where it has them; the last ones came with versions 13 and 14."""

_STAMP: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(?:\.[0-9]{1,6})? (?:[A-Z]{1,5}|[+-][0-9]{2}(?::?[0-9]{2})?)"
_stamp = re.compile(_STAMP).match
_WORDS: Final = "|".join((*_SEVERITIES, *_FOLLOWERS))


@cache
def _text_line() -> Callable[[str], re.Match[str] | None]:
    return re.compile(
        rf"({_STAMP}) \[([0-9]{{1,10}})\](?:-[0-9]{{1,9}})?:?(.{{0,1000}}?) ?({_WORDS}):  (.*)", re.DOTALL
    ).match


@cache
def _prefix() -> Callable[[str], re.Match[str] | None]:
    return re.compile(
        r" ?(?:\[([0-9]{1,9})(?:-[0-9]{1,9})?\]:?)? ?(?:([0-9a-f]{6,16}\.[0-9a-f]{1,8}) )?"
        r"(?:user=([^,]{0,300}),db=([^,]{0,300})(?:,app=((?:(?!,(?:user|db|app)=).){0,300}?))?"
        r"(?:,(?:client|host)=([^\s,]{0,300}))?"
        r"|([^\s@]{0,300})@(\S{0,300}))? ?"
    ).fullmatch


_ends: Final = re.compile(rf" (?:{_WORDS}):  ").finditer


def _two_ways(message: str) -> bool:
    """Whether a second end of a prefix stands in a message: what a client called itself may have made the first."""
    for end in _ends(message):
        last = message[max(0, end.start() - 300) : end.start()].rpartition(" ")[2]
        if "=" in last or "@" in last:
            return True
    return False


_QUOTED: Final = r'"(.{1,300}?)"'
_DISCONNECTION: Final = (
    r"disconnection: session time: ([0-9]{1,6}:[0-9]{2}:[0-9]{2}\.[0-9]{3}) user=(\S{0,300}) database=(\S{0,300})"
    r" host=(\S{1,300})(?: port=([0-9]{1,5}))?"
)
_NO_RULE: Final = (
    r"(?:no pg_hba\.conf entry|pg_hba\.conf rejects connection) for (?:replication connection from )?"
    rf'host "(\S{{1,100}})", user {_QUOTED}(?:, database {_QUOTED})?(?:, .*)?'
)
_MESSAGES: Final[tuple[tuple[str, str, str | None, tuple[str, ...]], ...]] = (
    (r"connection received: host=(\S{1,300})(?: port=([0-9]{1,5}))?", "network.connect", "success", ("host", "port")),
    (r"(?:replication )?connection authorized: user=(\S{1,300})(?: database=(\S{1,300}))?(?: .*)?", "auth.login",
     "success", ("user", "database")),
    (r'connection authenticated: identity="(.{1,300}?)" method=(\S{1,100})(?: .*)?', "", None, ("identity", "method")),
    (_DISCONNECTION, "session.end", None, ("time", "user", "database", "host", "port")),
    (rf"(\S{{1,40}}) authentication failed for user {_QUOTED}", "auth.login", "failure", ("method", "user")),
    (_NO_RULE, "auth.login", "failure", ("host", "user", "database")),
    (rf"role {_QUOTED} (?:does not exist|is not permitted to log in)", "auth.login", "failure", ("user",)),
    (rf"database {_QUOTED} does not exist", "auth.login", "failure", ("database",)),
)  # fmt: skip
"""Pattern, action ("" for a message about authentication), outcome, and what the groups are."""
_FIRST_WORDS: Final = re.compile(
    r"connection |replication |disconnection|no pg_hba|pg_hba|role |database |\S{1,40} authentication failed"
).match
_statement = re.compile(
    r"(?:duration: ([0-9]{1,12}\.[0-9]{3}) ms(?:  |$))?(?:(statement|execute [^:\n]{1,200}|parse [^:\n]{1,200}"
    r"|bind [^:\n]{1,200}): (.*))?",
    re.DOTALL,
).fullmatch
_parameter = re.compile(
    r'parameter "([\w.]{1,100})" (?:changed to "(.*)"|removed from configuration file, .*)', re.DOTALL
)
_denied = re.compile(r"permission denied for ([a-z ]{1,40}?) (\S{1,300})").fullmatch
_SERVICE: Final = {
    "database system is ready to accept connections": "service.start",
    "database system is shut down": "service.stop",
}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One message per record."""
    del ctx
    if record[:1] == b"{":
        data = decode(record)
        if isinstance(data, Rejected):
            return data
        if not isinstance(data, dict) or not {"timestamp", "error_severity", "pid"} <= data.keys():
            return Rejected("no line of jsonlog (timestamp, pid, error_severity)")
        if data["error_severity"] not in _SEVERITIES:
            return Rejected("error_severity is none of PostgreSQL's words")
        return _structured(data)
    text = readable(record)
    stamp = _stamp(text)
    if stamp is None:
        return Rejected("no time of PostgreSQL's at the beginning")
    if text[stamp.end() : stamp.end() + 1] == ",":
        return _row(text)
    return _text(text.replace("\n\t", "\n"))


def _row(text: str) -> list[Operation] | Rejected:
    """A row of csvlog."""
    values = csv_fields(text)
    if isinstance(values, Rejected):
        return values
    if not 23 <= len(values) <= 26 or values[11] not in _SEVERITIES:
        return Rejected("no row of csvlog: 23 to 26 columns with a severity in the twelfth")
    data: dict[str, Any] = {name: value for name, value in zip(_COLUMNS, values, strict=False) if value != ""}
    host, port = data.pop("connection_from", ""), ""
    if ":" in host:
        host, _, port = host.rpartition(":")
    data.update({"remote_host": host} if host else {}, **({"remote_port": port} if port else {}))
    return _structured(data)


def _structured(data: dict[str, Any]) -> list[Operation] | Rejected:
    """jsonlog, and csvlog under its names."""
    op = Operation("log.message", "log", raw=data)
    hide_secrets(op)
    fields = op.fields
    clock = take_text(data, "timestamp")
    op.time = _time(op, clock) if clock else None
    for name, target in (
        ("user", "user.name"),
        ("session_id", "trail.session.id"),
        ("func_name", "log.origin.function"),
        ("file_name", "log.origin.file.name"),
    ):
        value = take_text(data, name)
        if value is not None:
            fields[target] = value
    for name, target in (
        ("pid", "process.pid"),
        ("remote_port", "source.port"),
        ("file_line_num", "log.origin.file.line"),
    ):
        _take_number(data, name, fields, target)
    host = take_text(data, "remote_host")
    if host:
        _set_host(op, host)
    for name in ("statement", "internal_query", "detail", "context"):
        if is_text(peek(data, name)):
            data[name] = clean_sql(data[name])
    message = data.pop("message") if is_text(peek(data, "message")) else None
    severity = data.pop("error_severity")
    code = scalar_text(peek(data, "state_code"))
    if code and code != "00000":
        fields["error.code"] = take_text(data, "state_code")
    return _described(op, severity, message)


def _take_number(data: dict[str, Any], name: str, fields: dict[str, Any], target: str) -> None:
    text = scalar_text(peek(data, name))
    if text and text.isascii() and text.isdigit() and len(text) <= 10:
        fields[target] = int(text)
        del data[name]


def _time(op: Operation, text: str) -> Time:
    """PostgreSQL's time; an abbreviation that names several zones is kept apart, and the time read in the input's."""
    day, _, zone = text.rpartition(" ")
    if zone.isalpha() and zone not in {"UTC", "GMT"} and day:
        op.raw["log_timezone"] = zone
        return Time(day)
    return Time(text)


def _text(text: str) -> list[Operation] | Rejected:
    """A message as text, with what the usual prefixes hold."""
    found = _text_line()(text)
    if found is None:
        return Rejected("no process id and severity after the time")
    clock, pid, between, word, message = found.groups()
    op = Operation("log.message", "log", fields={"process.pid": int(pid)})
    op.time = _time(op, clock)
    if _two_ways(message):
        op.message = clean_sql(text[found.start(3) :].strip())
        return [op]
    prefix = _prefix()(between)
    if prefix is None:
        op.raw["prefix"] = between.strip()
    else:
        line, session, user, database, application, client, other, other_database = prefix.groups()
        if line:
            op.raw["line_num"] = line
        if session:
            op.fields["trail.session.id"] = session
        for name, value in (
            ("user.name", user or other),
            ("dbname", database or other_database),
            ("application_name", application),
        ):
            if value and value != "[unknown]":
                (op.fields if "." in name else op.raw)[name] = value
        if client:
            _set_client(op, client)
    if word in _FOLLOWERS:
        op.code, op.message = word, clean_sql(message)
        return [op]
    return _described(op, word, message)


def _set_client(op: Operation, client: str) -> None:
    """`%h`, or `%r` with the port in brackets."""
    host, bracket, port = client.partition("(")
    _set_host(op, host if bracket and port[:-1].isdigit() else client)
    if bracket and port[:-1].isdigit() and len(port) <= 6:
        op.fields["source.port"] = int(port[:-1])


def _set_host(op: Operation, host: str) -> None:
    address = clean_ip(host) if host.count(":") != 1 else None
    if address:
        op.fields["source.ip"] = address
    if host != address and host not in {"[local]", "???"}:
        op.fields["source.address" if address else "source.domain"] = host
    elif host == "[local]":
        op.raw["remote_host"] = host


def _described(op: Operation, severity: str, message: str | None) -> list[Operation] | Rejected:
    """What a message tells, whichever way it was written."""
    op.fields["log.level"] = severity.lower()
    if "user.name" in op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    if message is None:
        return [op]
    op.message = clean_sql(message)
    if message.startswith(MARK):
        refused = set_entry(op, message)
        return refused or [op]
    failed = severity in {"ERROR", "FATAL", "PANIC"}
    if failed:
        op.outcome, op.category, op.type = "failure", ("database",), ("error",)
        op.fields["error.message"] = op.message
    if _FIRST_WORDS(message) and (failed is False or severity == "FATAL"):
        for pattern, action, outcome, names in _MESSAGES:
            found = _matcher(pattern)(message)
            if found:
                _connection(op, action, outcome, dict(zip(names, found.groups(), strict=True)))
                return [op]
    denied = _denied(message) if failed else None
    parameter = None if failed else _parameter.fullmatch(message)
    statement = None if failed else _statement(message)
    if denied:
        op.object_type, op.object_id = "_".join(denied[1].split()), denied[2]
        op.type = ("access", "error")
    elif parameter:
        op.action, op.actor_type, op.actor_confidence = "config.update", "system", "asserted"
        op.object_type = "configuration"
        op.changes = [
            Change(
                parameter[1], UNKNOWN, parameter[2] if parameter[2] is not None else "DEFAULT", derivation="new_only"
            )
        ]
    elif statement and (statement[1] or statement[3]):
        if statement[1]:
            op.fields["event.duration"] = int(statement[1].replace(".", "")) * 1000
        if statement[3]:
            op.code, op.category, op.type = statement[2].partition(" ")[0], ("database",), ("access",)
            set_deed(op, statement[3])
            if op.action != "log.message":
                op.category, op.type = (), ()
                # `log_statement` writes before the statement runs, a duration stands behind it.
                op.outcome = "success" if statement[1] else "unknown"
    elif message in _SERVICE:
        op.action = _SERVICE[message]
        op.fields["service.name"] = "postgresql"
    return [op]


@cache
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern, re.DOTALL).fullmatch


def _connection(op: Operation, action: str, outcome: str | None, parts: dict[str, str | None]) -> None:
    """A message about a connection; what the record says in members of their own counts more."""
    op.action, op.outcome, op.category, op.type = action or "log.message", outcome, (), ()
    if not action:
        op.category, op.type = ("authentication",), ("info",)
    user, database = parts.get("user"), parts.get("database")
    if user:
        op.fields.setdefault("user.name", user)
        if outcome != "failure":
            op.actor_type, op.actor_confidence = "user", "asserted"
    if action == "auth.login":
        op.object_type, op.object_id = "database", database or scalar_text(op.raw.get("dbname"))
        if op.object_id is None:
            op.object_type = None
        elif op.raw.get("dbname") == op.object_id:
            del op.raw["dbname"]
    if outcome == "failure":
        op.actor_type = op.actor_confidence = "unknown"
        op.fields["event.reason"] = op.message
        del op.fields["error.message"]
    host, port = parts.get("host"), parts.get("port")
    if host and "source.ip" not in op.fields and "source.domain" not in op.fields:
        _set_host(op, host)
    if port:
        op.fields.setdefault("source.port", int(port))
    for name in ("method", "identity"):
        if parts.get(name):
            op.raw[name] = parts[name]
    clock = parts.get("time")
    if clock:
        hours, minutes, seconds = clock.split(":")
        whole, thousandths = seconds.split(".")
        total = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
        op.fields["event.duration"] = (total * 1000 + int(thousandths)) * 1_000_000
        if database and "dbname" not in op.raw:
            op.raw["dbname"] = database
