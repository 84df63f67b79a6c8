r"""nginx access logs in the `combined` format, also with further fields behind it.

What it records: each request with the client's address, time, method, URL, protocol, status, bytes sent, referrer and
user agent, and the name that the client gave for basic authentication. It cannot tell a session, what a request
changed, nor who the client's user is in the application behind. The name is what the client sent: nginx writes it down
whether or not it asked for a password, so the actor is inferred, and after a 401 unknown.

How to get it: `access_log /var/log/nginx/access.log combined;` is nginx's default. Name the fields that you add
(`rt=$request_time host="$host"`), else nobody can tell what they are. Behind a load balancer, use the realip module:
without it the address is the balancer's.

One line in:

```text
203.0.113.7 - alice [10/Mar/2026:13:55:36 +0000] "GET /path?x=1 HTTP/1.1" 200 2326 "https://ref.example/" "Mozilla/5.0"
```

One event out: `event.action` http.request, `event.outcome` success (failure from status 400 on), `source.ip`,
`user.name`, `http.request.method`, `url.original`, `url.path`, `url.query`, `http.version`,
`http.response.status_code`, `http.response.body.bytes`, `http.request.referrer`, `user_agent.original`. The message is
the request as it stands in the line.

- `-` is no value. A client that is no address goes to `source.address` and `source.domain`.
- A request line that is none (a TLS handshake on a plain port, say) stays whole in the message.
- nginx writes quotes, backslashes and bytes beyond ASCII as `\xHH`. They are undone where that gives readable text
  without a backslash; any other field is kept as it is written, so a backslash in a field always is the log's own.
- Behind the user agent: a quoted list of addresses (`$http_x_forwarded_for`) gives `network.forwarded_ip`, the last
  of them: the one that a proxy in front of nginx added; a client that connects by itself can write anything there. A
  list also stays in `trail.raw.x_forwarded_for`. `name=value` goes to `trail.raw` under its name, `rt=` or
  `request_time=` in seconds to `event.duration`. The rest has no names and is kept as `trail.raw.extra`.
- A line with a bare quote inside a field (`escape=none`) cannot be told from a forged one, and is refused.

Missing: trail.session.id, trail.interface; user.id without basic authentication.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import Context, Format, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._text import key_values, unescape

FORMAT = Format(
    name="nginx",
    module="nginx",
    vendor="nginx",
    title="nginx access log (combined)",
    missing=("trail.session.id", "trail.interface"),
)

LITERALS: Final = (b'] "',)

# What nearly every line without an escape is, with a request that is one. It must not accept less strictly than `_tail`
# and `_request` do, since it decides alone.
_usual = re.compile(
    r'([^ "]+) - ([^ "]+) \[([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4})\] '
    r'"(([A-Z]+) ([^ "]+) HTTP/([0-9](?:\.[0-9])?))" ([0-9]{3}) ([0-9]{1,15}|-) "([^"]*)" "([^"]*)"(?: (.*))?',
    re.DOTALL,
).fullmatch
_QUOTED: Final = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_tail = re.compile(
    rf"{_QUOTED} ([0-9]{{3}}) ([0-9]{{1,15}}|-) {_QUOTED} {_QUOTED}(?: (.*))?",
    re.DOTALL,
).fullmatch
_request = re.compile(r"([A-Za-z_-]{1,32}) (.+?) HTTP/([0-9](?:\.[0-9])?)", re.DOTALL).fullmatch
_clf = re.compile(r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9:]{8}(?:\.[0-9]{1,9})? [+-][0-9]{4}").fullmatch
_iso = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})").fullmatch
_name = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_.-]{1,253}").fullmatch
_forwarded = re.compile(r'"([^"\\]*)"(?: |$)').match
_seconds = re.compile(r"([0-9]{1,8})\.([0-9]{3})").fullmatch

_STATUS: Final = {str(code): (code, "success" if code < 400 else "failure") for code in range(100, 600)}
_NO_LOGIN: Final = "401"
_BASIS: Final = "basic authentication"
_DURATIONS: Final = ("request_time", "rt")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One request per line."""
    del ctx
    text = record.decode("utf-8", "backslashreplace")
    usual = None if "\\" in text else _usual(text)
    if usual is None:
        return _unusual(text)
    client, user, time, request, method, target, version, status, size, referrer, agent, extra = usual.groups()
    if clean_ip(client) == client:
        fields: dict[str, Any] = {"source.ip": client, "http.request.method": method, "url.original": target}
    else:
        fields = {"http.request.method": method, "url.original": target}
        _set_source(fields, client)
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
    return [_operation(fields, Time(time, "clf"), request, user, status, size, extra)]


def _operation(
    fields: dict[str, Any], time: Time, request: str, user: str, status: str, size: str, extra: str | None
) -> Operation:
    """The operation of a line whose client and quoted parts are in `fields` already."""
    raw: dict[str, Any] = {}
    kind = confidence = "unknown"
    if user != "-":
        fields["user.name"] = user
        if status != _NO_LOGIN:
            kind, confidence = "user", "inferred"
            fields["trail.actor.basis"] = _BASIS
    known = _STATUS.get(status)
    if known is not None:
        fields["http.response.status_code"], outcome = known
    else:
        raw["status"], outcome = status, "unknown"
    if size != "-":
        fields["http.response.body.bytes"] = int(size)
    if extra:
        _set_extra(fields, raw, extra)
    # By position, in the order of the contract: keywords would take as long as the rest of this function.
    # fmt: off
    return Operation(
        "http.request", "access", time, None, None, outcome, (), (), None, None, None, None, kind, confidence, None,
        fields, [], {}, raw, (), request,
    )
    # fmt: on


def _unusual(text: str) -> list[Operation] | Rejected:
    """A line with escapes, blanks in a name, a malformed request, or a client that is no plain address."""
    # nginx escapes quotes, so the first one opens the request, and only brackets right before it are the time's: what
    # a client puts into its user name cannot pass for either.
    quote = text.find('"')
    if quote < 0 or text[quote - 2 : quote] != "] ":
        return Rejected("no time in brackets before the request")
    opening = text.rfind(" [", 0, quote)
    clock = text[opening + 2 : quote - 2]
    if opening < 0 or not (_clf(clock) or _iso(clock)):
        return Rejected("no time in brackets before the request")
    head = text[:opening].split(" ", 2)
    if len(head) < 3 or "" in head or head[1] != "-":
        return Rejected("no client and user before the time")
    client, _, user = head
    tail = _tail(text, quote)
    if tail is None:
        return Rejected("no request, status, size, referrer and user agent after the time")
    request, status, size, referrer, agent, extra = tail.groups()
    fields: dict[str, Any] = {}
    _set_source(fields, client)
    _set_request(fields, request)
    if referrer not in {"-", ""}:
        fields["http.request.referrer"] = _undone(referrer)
    if agent not in {"-", ""}:
        fields["user_agent.original"] = _undone(agent)
    time = Time(clock, "iso8601" if clock[4] == "-" else "clf")
    return [_operation(fields, time, request, _undone(user), status, size, extra)]


def _undone(text: str) -> str:
    r"""`text` without nginx's `\xHH`, or as it is where the result would be unreadable or could be read two ways."""
    if "\\" not in text:
        return text
    plain = unescape(text)
    return plain if "\\" not in plain and plain.isprintable() else text


def _set_source(fields: dict[str, Any], client: str) -> None:
    """The client: an address, a host name, or the path of a socket."""
    address = clean_ip(client)
    if address is not None:
        fields["source.ip"] = address
    if address != client:
        fields["source.address"] = client
        if address is None and _name(client):
            fields["source.domain"] = client


def _set_request(fields: dict[str, Any], request: str) -> None:
    """The request line, if it is one; the blanks that some clients leave in a URL belong to the URL."""
    found = _request(request)
    if found is not None:
        method, target, version = found.groups()
        fields["http.version"] = version
    elif request.startswith("GET /"):  # HTTP/0.9
        method, _, target = request.partition(" ")
    else:
        return
    target = _undone(target)
    fields["http.request.method"] = method
    fields["url.original"] = target
    if target[0] == "/":
        path, mark, query = target.partition("?")
        fields["url.path"] = path
        if mark:
            fields["url.query"] = query


def _set_extra(fields: dict[str, Any], raw: dict[str, Any], extra: str) -> None:
    """What stands behind the user agent."""
    first = _forwarded(extra)
    if first is not None:
        addresses = _addresses(first[1])
        if addresses:
            fields["network.forwarded_ip"] = addresses[-1]
            if first[1] != addresses[-1]:
                raw["x_forwarded_for"] = first[1]
        if addresses or first[1] == "-":
            extra = extra[first.end() :]
    pairs, rest = key_values(extra)
    for name in _DURATIONS:
        value = pairs.get(name)
        seconds = _seconds(value) if isinstance(value, str) else None
        if seconds is not None:
            fields["event.duration"] = int(seconds[1]) * 1_000_000_000 + int(seconds[2]) * 1_000_000
            del pairs[name]
            break
    for name, value in pairs.items():
        if name in raw or name == "extra":
            raw["extra"] = extra  # a name that is taken: the text as it is, so that nothing is mixed up
            return
        raw[name] = value
    if rest:
        raw["extra"] = rest


def _addresses(text: str) -> list[str]:
    """The addresses of an `X-Forwarded-For`; none where anything else is in it, such as a port."""
    found = []
    for part in text.split(","):
        address = clean_ip(part)
        if address is None or part.count(":") == 1 or "[" in part:
            return []
        found.append(address)
    return found
