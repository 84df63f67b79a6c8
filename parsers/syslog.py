r"""Syslog lines: RFC 5424, RFC 3164, and the files that syslog daemons write.

What it records: the sender's time, host, program, process id, message id, facility, severity and structured data, and
a message. It cannot tell who did something, from where or in which session, nor any field, old or new value: those are
inside the message, if at all. Name the format of the message with the option `inner`, and it is read too.

How to get it: point an input at a file below /var/log. In rsyslog, prefer the template `RSYSLOG_SyslogProtocol23Format`
(RFC 5424), whose times have a year, an offset and microseconds; `RSYSLOG_TraditionalFileFormat` has neither, so that
the year is inferred and the time is read in the input's `timezone`.

One line in:

```text
<38>1 2026-02-03T10:30:00.123Z web1 hr-app 4711 LOGIN [meta@32473 seq="7"] Accepted password for kim
```

One event out: `event.action` log.message, `@timestamp`, `host.hostname` web1 (`host.ip` where the sender's name is an
address), `process.name` hr-app, `process.pid` 4711, `log.level` info, `log.syslog.*` (priority, facility, severity,
appname, procid, msgid, version, structured data), and the message.

Bytes that are no UTF-8 are written `\xHH`. Without a tag such as `sshd[123]:` the whole rest is the message. The
priority may be missing, as it is in most files. A repeated structured-data parameter becomes a list.

Missing: user.id, source.ip, trail.session.id, trail.interface (unless `inner` gives them).

Options:

- `inner`: name of the format of the message, such as `structlog` or one of your own `formats:`. Its events carry the
  envelope's host, program and severity where they have none, and the envelope's time where they have none. A leading
  `@cee:` is skipped. A message that the inner format does not understand is an unparsed line.
"""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import Context, Format, Gives, Operation, Rejected
from parsers._syslog import header_fields
from parsers._text import Header, readable, syslog_header

FORMAT = Format(
    name="syslog",
    module="syslog",
    vendor="syslog",
    title="Syslog lines (RFC 5424, RFC 3164, daemon files)",
    generic=True,
    options={"inner": "name of the format of the message"},
    gives=Gives.of("when"),
)

Envelope = Header
"""A line without its header; see `parsers._text.Header`."""

# RFC 5424, tables 1 and 2, in the short names of syslog.conf.
_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp"),
    *("audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
_SEVERITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
_LEVELS: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


def unwrap(record: bytes, ctx: Context) -> Envelope | Rejected:
    """The envelope of a line, with its message's bytes as they are."""
    del ctx
    return syslog_header(record)


def fields_of(envelope: Envelope) -> dict[str, Any]:
    """What the envelope says, as ECS fields by dotted name."""
    fields = header_fields(envelope)
    if envelope.priority is not None:
        facility, severity = divmod(envelope.priority, 8)
        fields["log.syslog.facility.name"] = _FACILITIES[facility]
        fields["log.syslog.severity.name"] = _SEVERITIES[severity]
        fields["log.level"] = _LEVELS[severity]
    for name, text in (("hostname", envelope.host), ("appname", envelope.app), ("procid", envelope.procid)):
        if text is not None:
            fields[f"log.syslog.{name}"] = text
    return fields


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One activity per line; `shipper.formats` obeys the option `inner`, since formats do not know each other."""
    envelope = unwrap(record, ctx)
    if isinstance(envelope, Rejected):
        return envelope
    return [
        Operation(
            action="log.message",
            kind="log",
            time=envelope.time,
            code=envelope.msgid,
            fields=fields_of(envelope),
            message=readable(envelope.message),
        )
    ]
