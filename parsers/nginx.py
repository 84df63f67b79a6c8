r"""nginx, access and error logs: who requested what, and what the server said about it.

**What the source records.** The access log: each request with the client's address, time, method, URL, protocol,
status, bytes sent, referrer and user agent, and the name that the client gave for basic authentication. The error log:
time (without its zone), level, process, connection, a sentence, and for requests client, server and request line.
Neither can tell a session, what a request changed, nor who the client's user is in the application behind. The name is
what the client sent: nginx writes it down whether or not it asked for a password, so the actor is inferred, and after a
401 unknown.

**How to get it out.** `access_log /var/log/nginx/access.log combined;` is nginx's default. Name the fields that you
add (`rt=$request_time host="$host"`), else nobody can tell what they are. Point the same or another input at
`error.log` and set its `timezone` to the server's; logins without a password, starts and stops are there only with
`error_log … info;`. Behind a load balancer, use the realip module: without it the address is the balancer's.

**One line in**

```text
203.0.113.7 - alice [10/Mar/2026:13:55:36 +0000] "GET /path?x=1 HTTP/1.1" 200 2326 "https://ref.example/" "Mozilla/5.0"
```

**What comes out.**

Access (`nginx.access`), the format `combined`, also with further fields behind it: `event.action` http.request,
`event.outcome` success (failure from status 400 on), `source.ip`, `user.name`, `http.request.method`, `url.original`,
`url.path`, `url.query`, `http.version`, `http.response.status_code`, `http.response.body.bytes`,
`http.request.referrer`, `user_agent.original`. The message is the request as it stands in the line.

- `-` is no value. A client that is no address goes to `source.address` and `source.domain`.
- A request line that is none (a TLS handshake on a plain port, say) stays whole in the message.
- nginx writes quotes, backslashes and bytes beyond ASCII as `\xHH`. They are undone where that gives readable text
  without a backslash; any other field is kept as it is written, so a backslash in a field always is the log's own.
- Behind the user agent: a quoted list of addresses (`$http_x_forwarded_for`) gives `network.forwarded_ip`, the last
  of them: the one that a proxy in front of nginx added; a client that connects by itself can write anything there. A
  list also stays in `trail.raw.x_forwarded_for`. `name=value` goes to `trail.raw` under its name, `rt=` or
  `request_time=` in seconds to `event.duration`. The rest has no names and is kept as `trail.raw.extra`.
- A line with a bare quote inside a field (`escape=none`) cannot be told from a forged one, and is refused.

Error (`nginx.error`): `auth.login` failure for the three messages of basic authentication (wrong password, unknown
user, neither name nor password), with the name that the client gave and the cause in `event.reason`; `service.start`
for the line with nginx's version, `service.stop` for SIGTERM, SIGINT and SIGQUIT (a worker that got one of them says
the same); else `log.message`, a failure where access was forbidden by a rule or a limit of requests or connections was
reached. `log.level`, `process.pid`, `process.thread.id`, `source.ip`, `url.domain` and `url.port` (from the client's
`Host`), `server.domain`, method, URL and version of the request, `http.request.referrer`; connection, upstream and what
else is said in `trail.raw`.

- In this log nginx escapes nothing that a client sent. A path with `%0a` even starts a new line, which can be forged
  whole: what is there is a hint, the evidence is the access log. Where a line cannot be read in one way only (the
  client named twice, or 2047 bytes, after which nginx cuts), its text stays whole in the message, without an address.

Missing: trail.session.id, trail.interface; user.id without basic authentication. Options: none.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from parsers._access_log import combined_tail, operation, outline, requested, set_request
from parsers._commands import clean_command
from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._hosts import set_end
from parsers._json import clean_ip
from parsers._urls import clean_text, clean_url

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT: Final = Format(
    name="nginx",
    module="nginx",
    vendor="nginx",
    title="nginx access and error logs",
    missing=("trail.session.id", "trail.interface"),
    gives=Gives.of("when ip logins", "who"),
)

LITERALS: Final = (b"] ",)

# What nearly every line without an escape is, with a request that is one. It must not accept less strictly than the
# shared patterns do, since it decides alone.
_usual = re.compile(
    r'([^ "]+) - ([^ "]+) \[([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4})\] '
    r'"(([A-Z]+) ([^ "]+) HTTP/([0-9](?:\.[0-9])?))" ([0-9]{3}) ([0-9]{1,15}|-) "([^"]*)" "([^"]*)"(?: (.*))?',
    re.DOTALL,
).fullmatch

_is_message = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:").match


@cache
def _message() -> Callable[[str], re.Match[str] | None]:
    return re.compile(
        r"([0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) "
        r"\[(debug|info|notice|warn|error|crit|alert|emerg)\] "
        r"([0-9]{1,10})#([0-9]{1,18}): (?:\*([0-9]{1,20}) )?(.*)",
        re.DOTALL,
    ).fullmatch


_LONGEST_LINE: Final = 2047
"""Of the error log, in bytes: what is longer nginx cuts off."""
_CLIENT: Final = ", client: "
_MISMATCH: Final = '": password mismatch'
_NOT_FOUND: Final = '" was not found in "'
_USER: Final = 'user "'
_NOBODY: Final = "no user/password was provided for basic authentication"
_FORBIDDEN: Final = ("access forbidden by rule", "limiting requests, excess: ", "limiting connections by zone ")
# What stands in them before the client holds no text of the client's, or a name, in which there is no colon.
_CERTAIN: Final = (_USER, _NOBODY, *_FORBIDDEN, "limiting requests, dry run", "delaying request")
_parties = re.compile(r"([^,]{0,300})(?:, server: ([^,]{0,300}))?").match
_facts = re.compile(r", (server|request|subrequest|upstream|host|referrer): ").split
_ORDER: Final = {name: place for place, name in enumerate(("request", "subrequest", "upstream", "host", "referrer"))}
_started = re.compile(r"[A-Za-z][A-Za-z-]{1,30}/[0-9][0-9.]{0,30}(?: \([^()]{1,100}\))?").fullmatch
_stopped = re.compile(
    r"signal [0-9]{1,3} \(SIG(?:TERM|INT|QUIT)\) received(?: from [0-9]{1,10})?, (?:exiting|shutting down)"
).fullmatch
_domain = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_.-]{1,253}").fullmatch
_host = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?").fullmatch


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One request, or one message of the server, per line."""
    del ctx
    text = record.decode("utf-8", "backslashreplace")
    usual = None if "\\" in text else _usual(text)
    if usual is None:
        return _said(text, len(record)) if _is_message(text) else _unusual(text)
    client, user, time, request, method, target, version, status, size, referrer, agent, extra = usual.groups()
    if clean_ip(client) == client:
        fields: dict[str, Any] = {"source.ip": client, "http.request.method": method, "url.original": target}
    else:
        fields = {"http.request.method": method, "url.original": target}
        set_end(fields, client, "source")
    if target[0] == "/":
        if "?" in target:
            fields["url.path"], _, fields["url.query"] = target.partition("?")
        else:
            fields["url.path"] = target
    fields["http.version"] = version
    if referrer != "-" and referrer:
        fields["http.request.referrer"] = referrer
    if agent != "-" and agent:
        fields["user_agent.original"] = agent
    return [operation(fields, Time(time, "clf"), request, user, status, size, extra)]


def _unusual(text: str) -> list[Operation] | Rejected:
    """A line with escapes, blanks in a name, a malformed request, or a client that is no plain address."""
    found = outline(text)
    if isinstance(found, Rejected):
        return found
    head = found.head.split(" ", 2)
    if len(head) < 3 or "" in head or head[1] != "-":
        return Rejected("no client and user before the time")
    tail = combined_tail(text, found.quote)
    if tail is None:
        return Rejected("no request, status, size, referrer and user agent after the time")
    return [requested(head[0], head[2], found.clock, tail.groups())]


def _said(text: str, length: int) -> list[Operation] | Rejected:
    """A line of the error log."""
    found = _message()(text)
    if found is None:
        return Rejected("no level and process after the time")
    clock, level, pid, thread, connection, said = found.groups()
    fields: dict[str, Any] = {"log.level": level, "process.pid": int(pid), "process.thread.id": int(thread)}
    op = Operation("log.message", "error", Time(clock, "%Y/%m/%d %H:%M:%S"), fields=fields)
    if connection:
        op.raw["connection"] = connection
    if said.startswith(_CERTAIN) or (said.count(_CLIENT) == 1 and length < _LONGEST_LINE):
        said, mark, rest = said.partition(_CLIENT)
        if mark:
            _set_facts(op, rest)
    # At the level debug nginx writes down all that was sent and received, with its headers.
    op.message = clean_text(clean_command(said)) if level == "debug" or _CLIENT in said else said
    if said.startswith(_USER):
        _set_login(op, said)
    elif said.startswith(_NOBODY):
        op.action, op.outcome, fields["event.reason"] = "auth.login", "failure", "no user and password"
    elif said.startswith(_FORBIDDEN):
        op.outcome = "failure"
    elif level == "notice" and not connection:
        if _started(said):
            op.action = "service.start"
        elif _stopped(said):
            op.action = "service.stop"
    return [op]


def _set_login(op: Operation, said: str) -> None:
    """A name that was refused. It ends at the first colon that was sent, so it cannot hold the words of the first."""
    name, wrong, _ = said[len(_USER) :].partition(_MISMATCH)
    if not wrong:
        name, _, rest = name.partition(_NOT_FOUND)
        if not rest:
            return
        if _NOT_FOUND in rest:
            name = ""  # the client's name holds our words, and nobody can tell where it ends
    op.action, op.outcome = "auth.login", "failure"
    op.fields["event.reason"] = "password mismatch" if wrong else "unknown user"
    if name:
        op.fields["user.name"] = name


def _set_facts(op: Operation, text: str) -> None:
    """What stands behind `, client: `; what cannot be read in one way only stays as it is."""
    found = _parties(text)
    client, server = found.groups() if found else ("", None)
    set_end(op.fields, client, "source")
    if server and _domain(server):
        op.fields["server.domain"] = server
    elif server:
        op.raw["server"] = server
    text = text[found.end() :] if found else text
    before, *parts = _facts(text)
    places = [_ORDER.get(name, -1) for name in parts[::2]]
    quoted = all(len(value) > 1 and value[0] == value[-1] == '"' for value in parts[1::2])
    if before or -1 in places or places != sorted(set(places)) or not quoted:
        op.raw["rest"] = clean_text(clean_command(text.removeprefix(", ")))
        return
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        _set_fact(op, name, value[1:-1])


def _set_fact(op: Operation, name: str, value: str) -> None:
    fields = op.fields
    if name == "request":
        set_request(fields, value, escaped=False)
        if "http.request.method" not in fields:
            op.raw["request"] = value
    elif name == "host" and (host := _host(value)):
        fields["url.domain"] = host[1]
        if host[2]:
            fields["url.port"] = int(host[2])
    elif name == "referrer":
        fields["http.request.referrer"] = value
    else:
        op.raw[name] = clean_url(value)
