r"""pgaudit, entries through syslog: which role read, wrote or defined what in PostgreSQL, by which statement.

**What the source records.** For each audited statement its class (READ, WRITE, FUNCTION, ROLE, DDL, MISC), its command,
the object, its text and, if asked, its parameters and number of rows. Role, database, client and session stand in
front of it only if PostgreSQL's `log_line_prefix` puts them there. The role is the application's, not the person's.
Old and new values of rows are not in it.

**How to get it out.** In `postgresql.conf`: `shared_preload_libraries = 'pgaudit'`, `pgaudit.log = 'role, ddl, write,
read'`, `pgaudit.log_rows = on`, `pgaudit.log_relation = on` (else no table is named), `log_destination = 'syslog'`,
`syslog_split_messages = off` (or a long statement arrives in pieces, of which none is understood), and
`log_line_prefix = 'user=%u,db=%d,app=%a,client=%h '`; Debian's `'%m [%p] %q%u@%d '` is understood too, but has no
address. Point an input at syslog's file. Entries in PostgreSQL's own log files, whose lines begin with a time and a process id,
or are JSON or CSV, are read by the format `postgresql`, and refused here.

**One line in**, with or without the syslog header and the counter `[5-1]`:

```text
Feb  3 10:30:00 db1 postgres[4711]: [5-1] user=kim,db=hr,app=psql,client=192.0.2.5 LOG:  AUDIT: SESSION,3,1,READ,SELECT,TABLE,public.employee,"select * from employee",<not logged>,212
```

**What comes out.** `event.code` is the command, `user.name` the role, `source.ip` the client; class, statement,
parameters and database are in `trail.raw`.

- READ `data.read` with `trail.export.objects` and, with `pgaudit.log_rows`, `trail.export.rows`, but for a SELECT that
  reads no table (`log.message`); COPY … TO `data.export`, whose rows pgaudit does not count. WRITE `record.create` (INSERT), `field.update` (UPDATE, MERGE), `record.delete`, `record.purge`
  (TRUNCATE), `data.import` (COPY … FROM); the kind of the record is the table, which row it was nobody says.
- ROLE `role.grant`, `role.revoke`, `user.*` where the statement says USER or LOGIN, else `role.*`, `password.change`,
  `password.reset`. DDL `config.create`, `config.update`, `config.delete`. MISC, FUNCTION: `log.message`, but
  `auth.impersonate` for SET ROLE and `config.update` for what is logged. ALTER ROLE and ALTER SYSTEM give a change
  whose old value is unknown.

pgaudit itself hides most passwords in statements of roles; others behind `PASSWORD` become `(secret dropped)`. One
among the values of an INSERT, or in the parameters, cannot be told. A client chooses role, database and application
name: a line that can be read in two ways is refused.

Missing: trail.interface, trail.session.id; user.name and source.ip without a prefix. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._pgaudit import MARK, set_entry
from parsers._syslog import header_fields
from parsers._text import readable, syslog_header

FORMAT: Final = Format(
    name="pgaudit",
    module="pgaudit",
    vendor="pgaudit",
    title="pgaudit entries through syslog",
    missing=("trail.interface", "trail.session.id"),
    gives=Gives.of("who when ip field new logins exports"),
)
LITERALS: Final = (b"AUDIT: ",)


@cache
def _body() -> Callable[[str], re.Match[str] | None]:
    return re.compile(
        r"(?:\[([0-9]{1,9})(?:-1)?\] )?"
        r"(?:([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(?:\.[0-9]{1,6})? [A-Z0-9:+-]{1,9}) \[[0-9]{1,10}\] )?"
        r"(?:user=([^,]{0,300}),db=([^,]{0,300})(?:,app=((?:(?!,(?:user|db|app)=).){0,300}?))?"
        r"(?:,(?:client|host)=([^\s,]{0,300}))? |([^\s@]{1,300})@(\S{1,300}) )?(?:LOG|INFO|NOTICE|WARNING|DEBUG):  "
        r"(AUDIT: .*)",
        re.DOTALL,
    ).fullmatch


_marks = re.compile(r"(?:LOG|INFO|NOTICE|WARNING|DEBUG):  AUDIT: ").findall


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One entry per line."""
    del ctx
    if MARK.encode() not in record:
        return Rejected("no entry of pgaudit")
    header = syslog_header(record)
    fields: dict[str, Any] = {}
    time: Time | None = None
    text = readable(record)
    if not isinstance(header, Rejected):
        if not (header.app or "").startswith("postgres"):
            return Rejected("a syslog line of another program than postgres")
        fields, time = header_fields(header), header.time
        text = readable(header.message)
    op = Operation("log.message", "audit", time, fields=fields)
    if not text.startswith(MARK):
        found = _body()(text)
        if found is None:
            return Rejected("before the entry there is none of the usual prefixes of PostgreSQL through syslog")
        if len(_marks(text)) > 1:
            return Rejected("a line that can be read in two ways")
        if found[2] and time is None and found[1] is None:
            return Rejected("a line of PostgreSQL's own log")
        _set_prefix(op, found.groups())
        text = found[9]
    refused = set_entry(op, text)
    return refused or [op]


def _set_prefix(op: Operation, groups: tuple[str | None, ...]) -> None:
    number, clock, user, database, application, client, other, other_database, _ = groups
    # `%m` is more exact than syslog's time, if its zone is one that means the same everywhere.
    zone = clock.rpartition(" ")[2] if clock else ""
    if clock and (zone in {"UTC", "GMT"} or not zone.isalpha()):
        before, op.time = op.time, Time(clock)
        clock = str(before.text) if before else None
    if user or other:
        op.fields["user.name"] = user or other
        op.actor_type, op.actor_confidence = "user", "asserted"
    for name, value in (
        ("line_num", number),
        ("other_time", clock),
        ("dbname", database or other_database),
        ("application_name", application),
    ):
        if value:
            op.raw[name] = value
    if client:
        host, bracket, port = client.partition("(")
        address = clean_ip(host)
        if address:
            op.fields["source.ip"] = address
        if bracket and port[:-1].isdigit() and len(port) <= 6:
            op.fields["source.port"] = int(port[:-1])
        elif address != client:
            op.raw["client"] = client
