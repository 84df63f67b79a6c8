"""What a statement of PostgreSQL does, told from its first words: for the formats `postgresql` and `pgaudit`. Pure.

No grammar: a statement that is not one of the forms below stays a statement. What is set to what is taken from ALTER
ROLE and ALTER SYSTEM alone, where it stands in so many words; an UPDATE's new values are not, since they may be
expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from parsers._contract import SECRET, UNKNOWN, Change, Operation

_LOOK: Final = 20_000
"""Characters of a statement that are looked at."""
_NAME: Final = r'(?:"(?:[^"]|"")++"|[A-Za-z_\x80-\U0010ffff][\w$]*+)'
_DOTTED: Final = rf"{_NAME}(?:\.{_NAME}){{0,3}}"
_NAMES: Final = rf"{_NAME}(?:\s{{0,9}},\s{{0,9}}{_NAME}){{0,50}}"
_IF: Final = r"(?:IF\s{1,9}(?:NOT\s{1,9})?EXISTS\s{1,9})?"

DEED: Final = {
    "INSERT": "record.create",
    "UPDATE": "field.update",
    "DELETE": "record.delete",
    "TRUNCATE": "record.purge",
    "MERGE": "field.update",
}
_DDL: Final = {"CREATE": "config.create", "ALTER": "config.update", "DROP": "config.delete", "COMMENT": "config.update"}
_DEEDS: Final = {"CREATE": "create", "ALTER": "update", "DROP": "delete"}
_FLAGS: Final = ("superuser", "createdb", "createrole", "inherit", "login", "replication", "bypassrls")


@cache
def _find(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern.replace(" ", r"\s{1,9}"), re.IGNORECASE | re.DOTALL).match


@cache
def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern.replace(" ", r"\s{1,9}"), re.IGNORECASE | re.DOTALL).search


_comment = re.compile(r"(?:\s++|--[^\n]*+(?:\n|\Z)|/\*.*?\*/)*+", re.DOTALL).match


def plain(name: str) -> str:
    """An identifier as PostgreSQL stores it: quotes undone, else in lower case."""
    parts = re.findall(_NAME, name)
    if not _find(rf"{_DOTTED}$")(name):
        return name
    return ".".join(part[1:-1].replace('""', '"') if part[0] == '"' else part.lower() for part in parts)


def set_deed(op: Operation, statement: str) -> None:
    """Set action, object and changes from a statement; leaves `op` alone where nothing is known of it."""
    start = _comment(statement)
    text = statement[start.end() if start else 0 :][:_LOOK]
    verb = text.partition(" ")[0].partition("\n")[0].upper().rstrip(";(")
    if verb in {"GRANT", "REVOKE"}:
        _set_grant(op, text, verb)
    elif verb == "SET":
        _set_setting(op, text)
    elif verb == "COPY":
        _set_copy(op, text)
    elif verb in DEED:
        found = _find(rf"(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|MERGE INTO) (?:TABLE )?(?:ONLY )?({_DOTTED})")(text)
        op.action = DEED[verb]
        if found:
            set_rows(op, plain(found[1]))
    elif verb == "SELECT":
        if _search(r"\bFROM\b")(text):
            op.action = "data.read"
    elif verb in _DDL:
        _set_definition(op, text, verb)


def set_rows(op: Operation, relation: str) -> None:
    """Rows of a table are what a statement works on: no id of a record is known, and the table is its kind."""
    op.object_type, op.object_label = relation, f"rows of {relation}"
    if op.action in {"data.read", "data.export", "data.import"}:
        op.fields["trail.export.objects"] = [relation]


def _set_copy(op: Operation, text: str) -> None:
    table = _find(rf"COPY ({_DOTTED})(?:\s{{0,9}}\([^()]{{0,5000}}\))? (TO|FROM)\b")(text)
    if table:
        op.action = "data.export" if table[2].upper() == "TO" else "data.import"
        set_rows(op, plain(table[1]))
        if op.action == "data.import":
            del op.fields["trail.export.objects"]
    elif _search(r"\) TO\b")(text):
        op.action = "data.export"


def _set_grant(op: Operation, text: str, verb: str) -> None:
    """Roles to users, or privileges on objects to roles."""
    to = "TO" if verb == "GRANT" else "FROM"
    rights = _find(
        rf"{verb} (?:GRANT OPTION FOR |ADMIN OPTION FOR )?((?:[A-Za-z,\s]|\([^()]{{0,2000}}\)){{1,300}}?) "
        rf"ON (.{{1,5000}}?) {to} (?:GROUP )?({_NAMES})"
    )(text)
    roles = None if rights else _find(rf"{verb} (?:ADMIN OPTION FOR )?({_NAMES}) {to} ({_NAMES})")(text)
    if not rights and not roles:
        return
    op.action = "role.grant" if verb == "GRANT" else "role.revoke"
    if rights:
        op.values = {"privileges": " ".join(rights[1].split()), "on": rights[2].strip()}
        grantees = _list(rights[3])
    elif roles:
        op.fields["user.changes.roles"] = _list(roles[1])
        op.values = {"roles": _list(roles[1])}
        grantees = _list(roles[2])
    if len(grantees) == 1:
        op.object_type, op.object_id = "user", grantees[0]
        op.fields["user.target.name"] = grantees[0]
    else:
        op.raw["grantees"] = grantees


def _list(names: str) -> list[str]:
    return [plain(name) for name in re.findall(_NAME, names)]


def _set_setting(op: Operation, text: str) -> None:
    role = _find(r"SET (?:SESSION |LOCAL )?(?:ROLE|SESSION AUTHORIZATION) '?(" + _NAME + ")")(text)
    if role:
        if plain(role[1]) not in {"none", "default"}:
            op.action, op.object_type, op.object_id = "auth.impersonate", "role", plain(role[1])
            op.fields["user.effective.name"] = op.object_id
        return
    # Settings of a session are everyday life, but for those that decide what is logged.
    logged = _find(rf"SET (?:SESSION |LOCAL )?((?:pgaudit|log_)[\w.]{{1,100}}) (?:=|TO) ({_VALUE})")(
        re.sub(r"\s{0,9}(=)\s{0,9}", r" \1 ", text, count=1)
    )
    if logged:
        _set_parameter(op, logged[1].lower(), _unquoted(logged[2]), "session")


_VALUE: Final = r"'(?:[^']|'')*+'|[^\s;]{1,500}"


def _unquoted(value: str) -> str:
    return value[1:-1].replace("''", "'") if value[:1] == "'" and value[-1:] == "'" and len(value) > 1 else value


def _set_parameter(op: Operation, name: str, value: str, scope: str) -> None:
    op.action = "config.update"
    op.object_type = "configuration"
    op.raw["scope"] = scope
    op.changes = [Change(name, UNKNOWN, value, derivation="new_only")]


def _set_definition(op: Operation, text: str, verb: str) -> None:
    """CREATE, ALTER, DROP and COMMENT: of the server's settings, of roles, of anything else."""
    system = _find(
        rf"ALTER SYSTEM (?:SET ([\w.]{{1,100}})\s{{0,9}}(?:=|TO\b)\s{{0,9}}({_VALUE})|RESET ([\w.]{{1,100}}))"
    )(text)
    if system:
        _set_parameter(op, (system[1] or system[3]).lower(), _unquoted(system[2] or "DEFAULT"), "system")
        return
    account = _find(rf"(?:CREATE|ALTER|DROP) (USER|ROLE|GROUP) (?!MAPPING\b){_IF}({_NAME})(.*)")(text)
    if account:
        _set_account(op, verb, account[1].upper(), plain(account[2]), account[3])
        return
    thing = _find(
        r"(?:CREATE|ALTER|DROP|COMMENT ON) (?:OR REPLACE )?(?:GLOBAL |LOCAL )?(?:TEMP(?:ORARY)? |UNLOGGED |UNIQUE "
        r"|RECURSIVE |CONSTRAINT |TRUSTED )?((?:MATERIALIZED |FOREIGN |EVENT |TEXT SEARCH |ACCESS |USER |DATA )?"
        rf"[A-Z]{{3,20}})(?: WRAPPER| METHOD)? (?:CONCURRENTLY )?{_IF}(?:ONLY |FOR )?({_DOTTED})"
    )(text)
    op.action = _DDL[verb]
    if thing:
        op.object_type, op.object_id = "_".join(thing[1].lower().split()), plain(thing[2])


def _set_account(op: Operation, verb: str, word: str, name: str, rest: str) -> None:
    """A role: one that may log in is a user, as far as the statement says."""
    words = re.sub(r"'(?:[^']|'')*+(?:'|\Z)", "''", rest)  # what a literal says is no option
    is_user = word == "USER" or (verb == "CREATE" and _search(r"\bLOGIN\b")(words) is not None)
    kind = "user" if is_user else "role"
    op.action = f"{kind}.{_DEEDS[verb]}"
    op.object_type, op.object_id = kind, name
    if kind == "user":
        op.fields["user.target.name"] = name
    found = _options(words, rest)
    if verb == "CREATE":
        op.values = {option: "(secret dropped)" if value is SECRET else value for option, value in found.items()}
    elif verb == "ALTER":
        renamed = _find(rf"\s{{0,9}}RENAME TO ({_NAME})")(rest)
        op.changes = [Change(option, UNKNOWN, value, derivation="new_only") for option, value in found.items()]
        if renamed:
            op.changes = [Change("name", name, plain(renamed[1]))]
        elif "password" in found and len(found) == 1:
            same = op.fields.get("user.name") == name
            op.action, op.object_type = ("password.change" if same else "password.reset"), "user"
            op.fields["user.target.name"] = name


def _options(words: str, rest: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flag in _FLAGS:
        given = _search(rf"\b(NO)?{flag}\b")(words)
        if given:
            found[flag] = given[1] is None
    limit = _search(r"\bCONNECTION LIMIT (-?[0-9]{1,9})")(words)
    if limit:
        found["connection_limit"] = int(limit[1])
    until = _search(r"\bVALID UNTIL ('(?:[^']|'')*+')")(rest) if _search(r"\bVALID UNTIL\b")(words) else None
    if until:
        found["valid_until"] = _unquoted(until[1])
    if _search(r"\bPASSWORD\b")(words):
        found["password"] = None if _search(r"\bPASSWORD NULL\b")(words) else SECRET
    setting = _search(rf"\bSET ([\w.]{{1,100}})\s{{0,9}}(?:=|TO\b)\s{{0,9}}({_VALUE})")(rest)
    if setting and _search(r"\bSET\b")(words):
        found[setting[1].lower()] = _unquoted(setting[2])
    return found
