"""Entries of pgaudit, a CSV row behind `AUDIT: `, for the formats `postgresql` and `pgaudit`. Pure.

The row's columns: kind of auditing, statement and substatement number, class, command, object type, object name,
statement, parameters, and with `pgaudit.log_rows` the number of rows.
"""

from __future__ import annotations

from typing import Final

from parsers._commands import clean_sql
from parsers._contract import Operation, Rejected
from parsers._csv import fields
from parsers._sql_deeds import DEED, plain, set_deed, set_rows

MARK: Final = "AUDIT: "
_KINDS: Final = frozenset({"SESSION", "OBJECT"})
_ROWS: Final = frozenset({"READ", "WRITE"})
_RELATIONS: Final = frozenset({"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "INDEX", "SEQUENCE", ""})
_SHORT: Final = 1000
"""Characters of a statement in which a FROM would have been seen."""
_NOTHING: Final = frozenset({"", "<none>", "<not logged>", "<previously logged>"})


def set_entry(op: Operation, message: str) -> Rejected | None:
    """Set `op` from a message that begins with `AUDIT: `; `Rejected` where what follows is no entry."""
    row = fields(message.removeprefix(MARK).strip())
    if isinstance(row, Rejected):
        return row
    if len(row) not in {9, 10} or row[0] not in _KINDS or not (row[1].isdigit() and row[2].isdigit()):
        return Rejected("no pgaudit entry: nine or ten columns that begin with SESSION or OBJECT and two numbers")
    kind, number, part, group, command, object_type, name, statement, parameters, *rows = row
    op.kind, op.code, op.message = "audit", command or None, None
    op.category, op.type = (), ()
    audit = {"type": kind, "statement_id": number, "substatement_id": part, "class": group}
    op.raw["audit"] = audit
    relation = group in _ROWS and object_type in _RELATIONS
    if statement not in _NOTHING:
        # rsyslog writes what PostgreSQL puts between the lines of a statement, LF and TAB, as octal numbers.
        set_deed(op, statement.replace("#012#011", "\n"))
    if group in _ROWS and command in {"SELECT", *DEED} and (name or not _reads_nothing(op, statement)):
        # The entry knows better than the statement what was done, and to what: one statement can write many tables.
        op.action = DEED.get(command, "data.read")
    if name:
        if relation:
            set_rows(op, plain(name))
        elif op.object_id is None or group == "DDL":
            op.object_type, op.object_id = op.object_type or _snake(object_type) or "object", name
        if name not in {op.object_id, op.object_type}:
            audit["object_name"] = name
    # Nowhere but in the statement can a secret be told from a value.
    further = {"object_type": object_type, "statement": clean_sql(statement), "parameter": parameters}
    audit.update({member: value for member, value in further.items() if value})
    if rows:
        # Of a COPY they are not counted: pgaudit writes 0.
        counted = op.action in {"data.read", "data.export"} and not (command == "COPY" and rows[0] == "0")
        if counted and rows[0].isdigit() and len(rows[0]) <= 15:
            op.fields["trail.export.rows"] = int(rows[0])
        else:
            audit["rows"] = rows[0]
    if op.action == "log.message":
        op.category, op.type = ("database",), ("access",)
    if op.outcome is None:
        op.outcome = "success"
    return None


def _reads_nothing(op: Operation, statement: str) -> bool:
    """A SELECT without FROM (`SELECT 1`, `SELECT now()`): pgaudit counts it as READ all the same."""
    return op.action == "log.message" and statement[:7].upper() == "SELECT " and len(statement) <= _SHORT


def _snake(words: str) -> str:
    return "_".join(words.lower().split())
