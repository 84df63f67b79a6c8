r"""Python logging as text, with tracebacks: the standard library's, Django's, gunicorn's, uvicorn's, Celery's forms.

**What the source records.** Time (but in `BASIC_FORMAT`), level, logger and a sentence; of an exception its
traceback; of servers' access lines client, request and status. Who did something, from where and what changed stand
in the sentence, if at all. An application that wants an audit trail should log JSON (formats `structlog`, `ecs`).

**How to get it out.** Point an input at the file. A record begins at a line that has one of the forms below; all
lines until the next one belong to it, so a traceback is one event with its message.

**One line in**

```text
2026-02-03 10:30:00,123 - hr.payroll - ERROR - could not save
```

**What comes out.** `log.message`: `@timestamp` (a time without an offset is read in the input's `timezone`),
`log.level` (as written), `log.logger`, `process.pid`, the message. Read are, with `-`, `:`, `|` or blanks between:

- `LEVEL:logger:message` (`BASIC_FORMAT`; the logger may hold no blank)
- `time - logger - LEVEL - message`, `time LEVEL logger: message`, `time LEVEL [logger] message`, `time [LEVEL]
  logger: message`, `time LEVEL message`, and the level in brackets; after the time may stand a process id in brackets
- `[time] [pid] [LEVEL] message` (gunicorn), `[time: LEVEL/Process] message` (Celery), `[time] LEVEL in module: message`
  (Flask) and `LEVEL time module message` (Django), whose module is the logger
- `LEVEL:     message` (uvicorn); its access line `192.0.2.1:50112 - "GET / HTTP/1.1" 200 OK` and Django's
  `[03/Feb/2026 10:30:00] "GET / HTTP/1.1" 200 12`: `http.request` with method, path, status, and of uvicorn the
  client

A traceback goes to `error.stack_trace`, its last line to `error.type` and `error.message` (of chained exceptions the
last one, of a group the group's); so does a stack that was asked for (`stack_info`). Pairs `name=value` in the first
line are in `trail.raw` too; they also stay in the message. Passwords and tokens in texts become `(secret dropped)`
where their name tells them.

The forms are everybody's: `auto` takes this format only where no other understands the lines.

Missing: user.id, trail.session.id, trail.interface; source.ip but of access lines; the time in `BASIC_FORMAT`.
Options: none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from parsers._commands import clean_command
from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._secrets import DROPPED, is_secret
from parsers._text import key_values, readable

_LEVELS: Final = "DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|NOTSET|NOTICE|TRACE|SUCCESS"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}"
_CLOCK: Final = _DAY + r"(?:[.,][0-9]{1,9})?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_DJANGO: Final = r"\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4} [0-9:]{8}\] "
_START: Final = rf"\[?{_DAY}|{_DJANGO}|(?:{_LEVELS})[: \]]|\[(?:{_LEVELS})\]"

FORMAT: Final = Format(
    name="python_logging",
    module="python_logging",
    vendor="Python",
    title="Python logging as text, with tracebacks",
    missing=("user.id", "trail.session.id", "trail.interface"),
    generic=True,
    framing="multiline",
    start=_START.encode(),
    gives=Gives.of("when ip"),
)
LITERALS: Final = (*(level.encode() for level in _LEVELS.split("|")), b'] "')

_LEVEL: Final = rf"(?P<level>{_LEVELS})"
_LOGGER: Final = r"(?P<logger>[A-Za-z_][\w.<>-]{0,199})"
_REST: Final = r"(?P<message>.*)"
_SEP: Final = r"\s{0,9}[|:-]\s{0,9}"
_BRACKETS: Final = (
    rf"\[?(?P<time>{_CLOCK})\]?(?:{_SEP}|\s{{1,9}})(?:\[(?P<pid>[0-9]{{1,10}})\]\s{{1,9}})?"
    rf"\[?\s{{0,9}}{_LEVEL}\s{{0,9}}\]?(?:{_SEP}|\s{{1,9}})"
    rf"(?:\[{_LOGGER}\]:?\s{{1,9}}|(?:in )?(?P<logger_>[A-Za-z_][\w.]{{0,199}}):\s{{1,9}})?{_REST}"
)
_VERBOSE: Final = (
    rf"{_LEVEL}\s{{1,9}}(?P<time>{_CLOCK})\s{{1,9}}{_LOGGER}\s{{1,9}}"
    rf"(?:(?P<pid>[0-9]{{1,10}})\s(?P<thread>[0-9]{{1,20}})\s)?{_REST}"
)
_PATTERNS: Final = (
    # asctime - name - LEVEL - message, also with | or : between
    rf"(?P<time>{_CLOCK}){_SEP}{_LOGGER}{_SEP}{_LEVEL}{_SEP}{_REST}",
    rf"(?P<time>{_CLOCK}){_SEP}{_LEVEL}{_SEP}{_LOGGER}{_SEP}{_REST}",
    rf"(?P<time>{_CLOCK})\s{{1,9}}{_LOGGER}\s{{1,9}}{_LEVEL}(?:{_SEP}|\s{{1,9}}){_REST}",
    # asctime [pid] LEVEL [name] message, the level or the name in brackets, or none
    _BRACKETS,
    rf"\[(?P<time>{_CLOCK})\]\s{{1,9}}\[{_LOGGER}\]\s{{1,9}}\[?{_LEVEL}\]?(?:{_SEP}|\s{{1,9}}){_REST}",
    # Celery
    rf"\[(?P<time>{_CLOCK}): {_LEVEL}/(?P<process>[A-Za-z][\w-]{{0,99}})\] {_REST}",
    # Django's verbose form
    _VERBOSE,
    # BASIC_FORMAT, and uvicorn
    rf"{_LEVEL}:(?:(?P<logger>[A-Za-z_][\w.<>-]{{0,199}}):|\s{{1,9}}){_REST}",
    rf"\[{_LEVEL}\]\s{{1,9}}{_REST}",
)
_request = re.compile(
    r'(?:(\S{1,100}) - )?"([A-Z]{1,20}) (\S{1,8000}) HTTP/([0-9](?:\.[0-9])?)" ([0-9]{3})'
    r"(?: ([0-9]{1,15}|[A-Za-z ]{1,50}))?"
).fullmatch
_django = re.compile(rf"({_DJANGO})(.*)", re.DOTALL).fullmatch
_GROUP: Final = "  + Exception Group Traceback (most recent call last):"
_TRACEBACK: Final = ("Traceback (most recent call last):", _GROUP)
_STACK: Final = "Stack (most recent call last):"
_error = re.compile(r"([A-Za-z_][\w.]{0,200})(?:: (.*))?", re.DOTALL).fullmatch


@cache
def _forms() -> tuple[Callable[[str], re.Match[str] | None], ...]:
    """Compiled when first needed."""
    return tuple(re.compile(pattern, re.DOTALL).fullmatch for pattern in _PATTERNS)


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One log record, with the lines that belong to it."""
    del ctx
    text = readable(record).rstrip("\r\n")
    first, _, rest = text.partition("\n")
    django = _django(first)
    if django is not None:
        request = _request(django[2])
        if request is None:
            return Rejected("after a time of Django's server stands no request")
        op = Operation("log.message", "log", Time(django[1].strip(" []"), "%d/%b/%Y %H:%M:%S"))
        _set_request(op, request)
        if rest:
            op.raw["text"] = clean_command(rest)
        return [op]
    for form in _forms():
        found = form(first)
        if found is not None:
            return [_operation(found.groupdict(), rest)]
    return Rejected("none of the usual forms of Python's logging")


def _operation(parts: dict[str, str | None], rest: str) -> Operation:
    op = Operation("log.message", "log")
    fields = op.fields
    fields["log.level"] = parts["level"]
    clock = parts.get("time")
    if clock:
        op.time = Time(clock)
    for name, target in (("logger", "log.logger"), ("logger_", "log.logger"), ("process", "process.name")):
        if parts.get(name):
            fields[target] = parts[name]
    for name, target in (("pid", "process.pid"), ("thread", "process.thread.id")):
        text = parts.get(name)
        if text and len(text) <= 15:
            fields[target] = int(text)
    message = (parts["message"] or "").strip()
    request = _request(message)
    if request is not None:
        _set_request(op, request)
    else:
        named, _ = key_values(message) if "=" in message else ({}, "")
        op.raw.update({name: _clean(name, value) for name, value in named.items()})
        op.message = clean_command(message) or None
    if rest:
        _set_rest(op, rest)
    return op


def _clean(name: str, value: Any) -> Any:
    if is_secret(name) or name.lower() == "token":
        return DROPPED
    return [clean_command(part) for part in value] if isinstance(value, list) else clean_command(value)


def _set_request(op: Operation, request: re.Match[str]) -> None:
    """An access line of uvicorn or of Django's server."""
    client, method, target, version, status, size = request.groups()
    op.action, op.kind, op.message = "http.request", "access", clean_command(request[0])
    fields = op.fields
    path, mark, query = clean_command(target).partition("?")
    fields.update({"http.request.method": method, "url.original": path + mark + query, "http.version": version})
    if path.startswith("/"):
        fields["url.path"] = path
        if mark:
            fields["url.query"] = query
    fields["http.response.status_code"] = int(status)
    op.outcome = "success" if int(status) < 400 else "failure"
    if size and size.isdigit():
        fields["http.response.body.bytes"] = int(size)
    if not client:
        return
    # uvicorn always writes a port, also behind IPv6 without brackets.
    host, _, port = client.rpartition(":")
    address = clean_ip(host) if port.isdigit() else None
    if address:
        fields["source.port"] = int(port)
    address = address or clean_ip(client)
    if address:
        fields["source.ip"] = address
    else:
        op.raw["client"] = client


def _set_rest(op: Operation, rest: str) -> None:
    """The lines behind the first one: more of the message, and a traceback."""
    lines = rest.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith((*_TRACEBACK, _STACK))), None)
    if start is None:
        op.message = "\n".join(part for part in (op.message, clean_command(rest)) if part)
        return
    if start:
        op.message = "\n".join(part for part in (op.message, clean_command("\n".join(lines[:start]))) if part)
    op.fields["error.stack_trace"] = clean_command("\n".join(lines[start:]))
    error = _error(_last_words(lines[start:]))
    if error is not None:
        op.fields["error.type"] = error[1]
        if error[2]:
            op.fields["error.message"] = clean_command(error[2])


def _last_words(lines: list[str]) -> str:
    """The last exception of a traceback: what follows its frames and is not indented; it may have more lines."""
    starts = [number for number, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    if not starts:
        return ""  # a stack that the program asked for, without an exception
    lines = lines[starts[-1] :]
    if lines[0] == _GROUP:
        end = next((number for number, line in enumerate(lines) if line.startswith("  +-+")), len(lines))
        lines = [line.removeprefix("  | ") for line in lines[:end]]
    stack = next((number for number, line in enumerate(lines) if line == _STACK), len(lines))
    lines = lines[:stack]  # of exception and stack, the stack comes last
    frames = [number for number, line in enumerate(lines) if line.startswith(" ")]
    return "\n".join(lines[(frames[-1] if frames else 0) + 1 :]).strip()
