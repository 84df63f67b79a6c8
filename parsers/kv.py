r"""Lines of key=value pairs (logfmt): any program that writes `time=… level=… msg="…" user=…`.

**What the source records.** Whatever the program wrote. Who, from where and in which session are known where the line
says so under one of the names below; what changed is not: name the pairs in a format of your own
(`formats:` with `decode: kv`) for that.

**How to get it out.** Point an input at the file. Loggers that write logfmt: Go's `slog.TextHandler` and logrus, many
proxies and agents.

**One line in**

```text
time=2026-02-03T10:30:00.123Z level=info msg="salary saved" user=kim ip=192.0.2.10 session_id=s-7 employee=55
```

**What comes out.** One `log.message` a line: `@timestamp`, the message, `log.level`, `user.name`, `source.ip`,
`trail.session.id`; here `employee` stays in `trail.raw`.

| names (case, `_`, `-` and `.` make no difference) | go to |
|---|---|
| `time` `ts` `t` `timestamp` `datetime` `date` `event_time` `created_at` | `@timestamp`: ISO 8601, or seconds, milli- or microseconds since the epoch |
| `msg` `message` `description` `details` `text` | the message |
| `level` `lvl` `severity` · `logger` · `error` `err` | `log.level` · `log.logger` · `error.message` |
| `user` `username` `login` · `user_id` `uid` · `email` `user_email` | `user.name` · `user.id` · `user.email` |
| `ip` `ip_address` `client_ip` `remote_ip` `remote_addr` `source_ip` | `source.ip` |
| `session_id` `session` · `request_id` · `trace_id` · `user_agent` | `trail.session.id` · `http.request.id` · `trace.id` · `user_agent.original` |

A line must begin with a pair, or with a time and then a pair, and have at least two pairs. Text between pairs stays in
`trail.raw.text`; a name that comes twice makes a list. Values in quotes may hold blanks and `\"`. Secrets, by their names
or inside of texts, become `(secret dropped)`.

Missing: trail.interface, and what the program does not write. Options: none.
"""  # noqa: E501 - a table row has no line breaks

from __future__ import annotations

import re
from typing import Final

from parsers._commands import clean_command
from parsers._contract import Context, Format, Gives, Operation, Rejected
from parsers._named import described, time_of
from parsers._text import key_values, readable

FORMAT: Final = Format(
    name="kv",
    module="kv",
    vendor="key=value",
    title="Lines of key=value pairs (logfmt)",
    missing=("trail.interface",),
    generic=True,
    gives=Gives.of("who when ip session"),
)
LITERALS: Final = (b"=",)

_LONGEST: Final = 1 << 20
_clock = re.compile(
    r"\[?([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}(?:[.,][0-9]{1,9})?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)\]?\s{1,9}"
).match
_begins = re.compile(r"[A-Za-z_@][\w.@/-]{0,99}=").match


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One activity per line."""
    del ctx
    if len(record) > _LONGEST:
        return Rejected(f"longer than {_LONGEST} bytes")
    text = readable(record).strip()
    clock = _clock(text)
    body = text[clock.end() :] if clock else text
    if not _begins(body):
        return Rejected("does not begin with a pair, nor with a time and a pair")
    found, rest = key_values(body)
    if len(found) < 2:
        return Rejected("fewer than two pairs")
    op = described(dict(found))
    if rest:
        op.raw["text" if "text" not in op.raw else "@text"] = clean_command(rest)
    if clock and op.time is None:
        op.time = time_of(clock[1])
    elif clock:
        op.raw["@time"] = clock[1]
    return [op]
