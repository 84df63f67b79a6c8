r"""Apache HTTP Server, access and error logs: who requested what, and what the server said about it.

**What the source records.** The access log: each request with the client's address, the names from identd and from
basic authentication, time, request line, status, size, and (combined) referrer and user agent. The error log: time,
module, level, process, client, Apache's message number and a sentence. Neither knows a session, what a request changed,
or who the user is in the application behind. A name is what the client sent with the request, so the actor is inferred,
and after a 401 unknown.

**How to get it out.** Point an input at `access.log`, `other_vhosts_access.log` or `error.log` (below
`/var/log/apache2` or `/var/log/httpd`). Access and error log are two inputs or one, both shapes are read. Behind a load
balancer use `mod_remoteip` and `%a`: otherwise the address is the balancer's. Many systems write `%O` (bytes with the
headers) where the classic formats have `%b`; the line does not tell which.

**One line in**

```text
www.shop.example:443 203.0.113.7 - alice [10/Mar/2026:13:55:36 +0000] "GET /path?x=1 HTTP/1.1" 200 2326 "https://ref.example/" "Mozilla/5.0"
```

**What comes out.**

- Access (`apache.access`): `http.request`, success below status 400, else failure; `source.ip`, `user.name`,
  `http.request.method`, `url.original`, `.path`, `.query`, `http.version`, `http.response.status_code`,
  `http.response.body.bytes`, `http.request.referrer`, `user_agent.original`. The message is the request as it stands in
  the line. Read are `common`, `combined`, and `vhost_combined` (or common), whose host and port go to `url.domain` and
  `url.port`; the name from identd goes to `trail.raw.ident`. Behind the user agent: as the format `nginx` does.
- Error (`apache.error`), the form of 2.4 and that of 2.2: `auth.login` failure for the messages of basic and digest
  authentication (`AH01617`, `AH01618`, `AH01790`, `AH01794` and their like), with the name that the client gave;
  `service.start` for `AH00489`, `AH00292` and `AH00163` (modules event, worker and prefork), `service.stop` for their
  `AH00491`, `AH00295`, `AH00169` and the graceful ones; else `log.message`. `event.code` is the number `AH…`;
  `log.level`, `log.logger` (the module), `log.origin.file.*`, `process.pid`, `process.thread.id`; a client is
  `source.*`, a server behind Apache (`[remote …]`) `destination.*`; the system's error stands in `error.code` and
  `error.message`, a referrer in `http.request.referrer`.
- A name that the client left empty (`""`) is `trail.raw.user`.
- Escapes (`\"`, `\\`, `\xHH`) are undone where that gives readable text without a backslash. A line with a bare quote
  inside a field cannot be told from a forged one, and is refused.

nginx and Apache write the combined format alike: such a line tells nothing of which server it is from. `auto` therefore
takes `nginx` for it; name the format `apache` if it is Apache's. All other shapes above `auto` gives to `apache`.

Missing: trail.session.id, trail.interface; user.name without authentication. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from parsers._access_log import combined_tail, common_tail, outline, requested, undone
from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._hosts import set_end
from parsers._json import clean_ip
from parsers._text import readable

FORMAT: Final = Format(
    name="apache",
    module="apache",
    vendor="Apache",
    title="Apache HTTP Server access and error logs",
    missing=("trail.session.id", "trail.interface"),
    # Its combined line is nginx's too: as a generic format it is asked after those that are certain.
    generic=True,
    gives=Gives.of("when ip logins", "who"),
)

LITERALS: Final = (b'] "', b"] [")

_is_message = re.compile(rb"\[[A-Z][a-z]{2} [A-Z][a-z]{2} ").match
_vhost = re.compile(r"([A-Za-z0-9_.*-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})").fullmatch


@cache
def _error() -> Callable[[str], re.Match[str] | None]:
    return re.compile(
        r"\[([A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}(?:\.[0-9]{1,6})? [0-9]{4})\] "
        r"\[(?:([a-z0-9_]{0,40}|-):)?([a-z]{3,6}[0-9]?)\] "
        r"(?:\[pid ([0-9]{1,10})(?::tid ([0-9]{1,20}))?\] )?"
        r"(?:([a-z0-9_.+-]{1,100}\.[a-z]{1,4})\(([0-9]{1,7})\): )?"
        r"(?:\(([0-9-]{1,10})\)([^:\[\]]{1,200}): )?"
        r"(?:\[(remote|client) (\[[0-9A-Fa-f:.%]{2,100}\]:[0-9]{1,5}|[^\]\s]{1,300})\] )?"
        r"(?:\(([0-9-]{1,10})\)([^:\[\]]{1,200}): )?"
        r"(?:(AH[0-9]{5}): )?(.*)",
        re.DOTALL,
    ).fullmatch


_port = re.compile(r"(.*):([0-9]{1,5})").fullmatch
_referer = re.compile(r"(.*), referer: (\S{1,8000})", re.DOTALL).fullmatch
_LEVELS: Final = frozenset(
    (
        "emerg",
        "alert",
        "crit",
        "error",
        "warn",
        "notice",
        "info",
        "debug",
        *(f"trace{number}" for number in range(1, 9)),
    )
)
_LOGINS: Final = {
    "AH01617": ("password mismatch", "user ", ": authentication failure for "),
    "AH01618": ("unknown user", "user ", " not found: "),
    "AH01790": ("unknown user", "user `", "' in realm `"),
    "AH01791": ("denied by provider", "user `", "' in realm `"),
    **dict.fromkeys(("AH01792", "AH01794"), ("password mismatch", "user ", ": password mismatch: ")),
    "AH01807": ("password mismatch", "user '", "': authentication failure for "),
    "AH01808": ("unknown user", "user '", "' not found: "),
}
"""Numbers of mod_auth_basic, mod_auth_digest and mod_auth_form -> why, and what stands before and behind the name."""
_SERVICE: Final = {
    **dict.fromkeys(("AH00163", "AH00292", "AH00489"), "service.start"),
    **dict.fromkeys(("AH00169", "AH00170", "AH00295", "AH00296", "AH00491", "AH00492"), "service.stop"),
}
"""What the modules prefork, worker and event say, each under a number of its own."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One request, or one message of the server."""
    del ctx
    if _is_message(record):
        return _message(readable(record))
    text = record.decode("utf-8", "backslashreplace")
    found = outline(text)
    if isinstance(found, Rejected):
        return found
    first, _, rest = found.head.partition(" ")
    vhost = _vhost(first) if clean_ip(first) != first else None
    head = (rest if vhost else found.head).split(" ", 2)
    if len(head) < 3 or "" in head:
        return Rejected("no client, identity and user before the time")
    tail = combined_tail(text, found.quote) or common_tail(text, found.quote)
    if tail is None:
        return Rejected("no request, status and size after the time")
    operation = requested(head[0], head[2], found.clock, tail.groups())
    if head[1] != "-":
        operation.raw["ident"] = undone(head[1])
    if vhost:
        operation.fields["url.domain"] = vhost[1]
        operation.fields["url.port"] = int(vhost[2])
    return [operation]


def _message(text: str) -> list[Operation] | Rejected:
    """A line of the error log."""
    found = _error()(text)
    if found is None:
        return Rejected("neither an access line nor a time, module and level in brackets")
    clock, module, level, pid, thread, file, line, code, words, *rest = found.groups()
    side, peer, late_code, late_words, number, message = rest
    if level not in _LEVELS:
        return Rejected("no level of Apache's in the second brackets")
    fields: dict[str, Any] = {"log.level": level}
    if module and module != "-":
        fields["log.logger"] = module
    if pid:
        fields["process.pid"] = int(pid)
    if thread:
        fields["process.thread.id"] = int(thread)
    if code or late_code:
        fields["error.code"], fields["error.message"] = code or late_code, words or late_words
    if file:
        fields["log.origin.file.name"], fields["log.origin.file.line"] = file, int(line)
    if peer:
        _set_end(fields, peer, "source" if side == "client" else "destination", with_port=pid is not None)
    layout = "%a %b %d %H:%M:%S.%f %Y" if "." in clock else "%a %b %d %H:%M:%S %Y"
    op = Operation("log.message", "error", Time(clock, layout), code=number, fields=fields)
    ending = _referer(message)
    if ending:
        fields["http.request.referrer"] = undone(ending[2])
    op.message = undone(ending[1] if ending else message)
    if number in _LOGINS:
        op.action, op.outcome = "auth.login", "failure"
        fields["event.reason"], before, behind = _LOGINS[number]
        # Name and URL are the client's: where one of them holds our words too, nobody can tell where the name ends.
        if message.startswith(before) and message.count(behind) == 1:
            name = undone(message[len(before) : message.index(behind)])
            if name:
                fields["user.name"] = name
    elif number in _SERVICE:
        op.action = _SERVICE[number]
    return [op]


def _set_end(fields: dict[str, Any], peer: str, role: str, *, with_port: bool) -> None:
    """`203.0.113.7:40022`; Apache 2.4 writes a port always, also behind IPv6 without brackets, 2.2 never."""
    port = _port(peer) if with_port else None
    set_end(fields, port[1].strip("[]") if port else peer, role)
    if port:
        fields[f"{role}.port"] = int(port[2])
