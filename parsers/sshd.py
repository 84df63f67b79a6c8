r"""OpenSSH server messages, as syslog daemons and journald write them to files (`/var/log/auth.log`, `secure`).

What it records: each try to log in with its method, the name that was given, the client's address and port, and
whether it was accepted; sessions that were opened and closed; connections that ended, with the reason that either side
gave. It cannot tell what was done in a session, nor tie a session's lines together other than by the process id.

How to get it: point an input at the file, or at `journalctl -u ssh -o short-iso --follow`. Lines of other programs in
the same file are refused: where they matter, read the file with the format `syslog`, or let rsyslog write sshd's lines
to a file of their own (`:programname, startswith, "sshd"`). `LogLevel VERBOSE` in `sshd_config` also names the key of
each failed try. In rsyslog, prefer a template whose times have a year and an offset (`RSYSLOG_FileFormat`).

One line in:

```text
Mar 10 13:55:36 host sshd[1234]: Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2
```

One event out: `event.action` auth.login, `event.outcome` failure, `event.code` Failed password for invalid user,
`user.name` admin, `source.ip`, `source.port`, `host.hostname`, `process.name`, `process.pid`. The message is sshd's
own, whole.

- `Accepted …`: `auth.login`, success. `Failed …`: failure. `Partial …`, `Postponed …`: unknown, more has to follow.
- `Invalid user …`, `User … not allowed because …`, `maximum authentication attempts exceeded …`, `ROOT LOGIN REFUSED`:
  `auth.login`, failure. One try can yield several of these lines: `event.code` tells them apart.
- `session opened`, `session closed` (PAM), `Starting session`, `Close session`: `session.start`, `session.end`.
- `Connection from …`: `network.connect`. `Connection closed by …`, `Connection reset by …`, `Disconnected from …`,
  `Disconnecting …`, `Received disconnect …`: `network.disconnect`.
- `Server listening on …`: `service.start`. `Received signal 15; terminating.`: `service.stop`.
- Anything else: `log.message`, with the client where the form of the line makes it certain.

- The actor is known (asserted) only where sshd had let the user in. The name in a failed try is what the client sent.
- Clients choose names freely, "x from 192.0.2.1 port 1 ssh2" for one. A line is read from the end that sshd wrote; one
  that can be read in two ways gives neither name nor address. Escapes such as `\303\274` or `#012` stay as written.
- The key of a login goes to `trail.raw`: `algorithm` and `fingerprint`, or `certificate`.
- `message repeated 3 times: [ … ]` is one event with `trail.raw.repeated` 3: it stands for three.

Missing: trail.session.id, trail.interface; user.id but for sessions, source.ip where the line names no client.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._hosts import set_end, set_host
from parsers._json import clean_ip
from parsers._syslog import header_fields
from parsers._text import readable, syslog_header

FORMAT = Format(
    name="sshd",
    module="sshd",
    vendor="OpenSSH",
    title="OpenSSH server messages (auth.log, journal)",
    missing=("trail.session.id", "trail.interface"),
    gives=Gives.of("who when ip logins"),
)

LITERALS: Final = (b"sshd",)

_PROGRAMS: Final = frozenset({"sshd", "sshd-session", "sshd-auth"})
"""OpenSSH 9.8 and 10.0 moved parts of the server to programs of their own."""

# The usual header; others, with a priority or as RFC 5424, are read by `syslog_header`.
_head = re.compile(
    r"((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3][0-9] [0-9:]{8}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:[.,][0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
    r" ([A-Za-z0-9_][A-Za-z0-9._:%-]{0,254}) (sshd(?:-session|-auth)?)(?:\[([0-9]{1,10})\])?: "
).match

# One word for the user and nothing but a key behind: only one reading.
_verdict = re.compile(
    r"((Accepted|Failed|Partial|Postponed) [^ ]+) for (invalid user )?([^ ]*) from ([^ ]+) port ([0-9]{1,5}) ssh2"
    r"(?:: ([A-Z][A-Z0-9-]*) ((?:SHA[0-9]+|MD5):[A-Za-z0-9+/=:]+))?(?: \[preauth\])?"
).fullmatch
# A name with blanks: sshd writes what follows it, so the last client is the true one.
_spaced = re.compile(
    r"((Accepted|Failed|Partial|Postponed) [^ ]+) for (invalid user )?(.*) from ([^ ]+) port ([0-9]{1,5}) ssh2"
    r"(?: \[preauth\])?",
    re.DOTALL,
).fullmatch
# A certificate's text is the client's too.
_certified = re.compile(
    r"((Accepted|Failed|Partial|Postponed) [^ ]+) for (invalid user )?(.*?) from ([^ ]+) port ([0-9]{1,5}) ssh2: (.+)",
    re.DOTALL,
).fullmatch
_repeated = re.compile(r"message repeated ([0-9]{1,9}) times: \[ ?(.*)\]", re.DOTALL).fullmatch

_NOBODY: Final = "UNKNOWN"
"""sshd's word for a client that it cannot tell."""
_OUTCOMES: Final = {"Accepted": "success", "Failed": "failure", "Partial": "unknown", "Postponed": "unknown"}
_FROM: Final = r"([^ ]+) port ([0-9]{1,5})"
_PREAUTH: Final = r"(?: \[preauth\])?"
_USER: Final = r"([^ ]*+|.*)"
"""One word as a rule, which saves going back over the line letter by letter; else the longest that fits."""


class _Shape(NamedTuple):
    """One kind of message. `fields`: what its groups are, in order; groups that did not take part are left out.

    `actor`: sshd had let the user in. `once`: a text that must occur only once, where somebody else's words follow a
    name that somebody else chose.
    """

    pattern: str
    fields: tuple[str, ...]
    action: str
    outcome: str | None = None
    code: str | None = None
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    actor: bool = False
    once: str = ""


_CLIENT: Final = ("source.ip", "source.port")
_BOTH: Final = ("user.name", *_CLIENT)
_WHY: Final = (*_CLIENT, "event.reason")
_ENDS: Final = frozenset({"source.ip", "destination.ip", "server.ip"})
_PORTS: Final = frozenset({"source.port", "destination.port", "server.port"})
_NET: Final = ("network",)
_DENIED: Final = ("connection", "denied")


def _ended(code: str, words: str) -> tuple[_Shape, ...]:
    """A connection's end, told of a name that was given, of a user who was let in, and of a bare client."""
    tried = rf"{words} (?:authenticating|invalid) user {_USER} {_FROM}{_PREAUTH}"
    return (
        _Shape(tried, _BOTH, "network.disconnect", code=code),
        _Shape(rf"{words} user {_USER} {_FROM}", _BOTH, "network.disconnect", code=code, actor=True),
        _Shape(rf"{words} {_FROM}{_PREAUTH}", _CLIENT, "network.disconnect", code=code),
    )


# fmt: off
_SHAPES: Final[dict[str, tuple[_Shape, ...]]] = {
    "Invalid": (
        _Shape(rf"Invalid user {_USER} from ([^ ]+)(?: port ([0-9]{{1,5}}))?",
               _BOTH, "auth.login", "failure", "Invalid user"),
    ),
    "Connection": (
        *_ended("Connection closed", "Connection closed by"),
        *_ended("Connection reset", "Connection reset by"),
        _Shape(rf"Connection from {_FROM}(?: on ([^ ]+) port ([0-9]{{1,5}})(?: rdomain .*)?)?",
               (*_CLIENT, "destination.ip", "destination.port"), "network.connect", code="Connection",
               type=("connection", "start")),
    ),
    "Disconnected": _ended("Disconnected", "Disconnected from"),
    "Disconnecting": (
        _Shape(rf"Disconnecting (?:(?:authenticating |invalid )?user (.*) )?{_FROM}: (.*?){_PREAUTH}",
               (*_BOTH, "event.reason"), "network.disconnect", code="Disconnecting", once=" port "),
    ),
    "Received": (
        _Shape(rf"Received disconnect from {_FROM}:[0-9]+: (.*?){_PREAUTH}",
               _WHY, "network.disconnect", code="Received disconnect"),
        _Shape(r"Received signal [0-9]+; terminating\.", (), "service.stop", code="Received signal"),
    ),
    "Server": (
        _Shape(rf"Server listening on {_FROM}\.", ("server.ip", "server.port"), "service.start",
               code="Server listening"),
    ),
    "User": (
        _Shape(r"User (.*) from ([^ ]+) not allowed because (.*)",
               ("user.name", "source.ip", "event.reason"), "auth.login", "failure", "User not allowed", once=" from "),
    ),
    "ROOT": (
        _Shape(rf"ROOT LOGIN REFUSED FROM {_FROM}", _CLIENT, "auth.login", "failure", "ROOT LOGIN REFUSED"),
    ),
    "error:": (
        _Shape(rf"error: maximum authentication attempts exceeded for (?:invalid user )?{_USER} from {_FROM} ssh2"
               rf"{_PREAUTH}", _BOTH, "auth.login", "failure", "maximum authentication attempts exceeded"),
    ),
    "Starting": (
        _Shape(rf"Starting session: .* for ([^ ]+) from {_FROM} id [0-9]+",
               _BOTH, "session.start", code="Starting session", actor=True, once=" from "),
    ),
    "Close": (
        _Shape(rf"Close session: user {_USER} from {_FROM} id [0-9]+",
               _BOTH, "session.end", code="Close session", actor=True),
    ),
    "Did": (
        _Shape(rf"Did not receive identification string from {_FROM}",
               _CLIENT, "log.message", category=_NET, type=("info",)),
    ),
    "Unable": (
        _Shape(rf"Unable to negotiate with {_FROM}: (.*?){_PREAUTH}",
               _WHY, "log.message", "failure", category=_NET, type=_DENIED),
    ),
    "Bad": (
        _Shape(rf"Bad protocol version identification .* from {_FROM}",
               _CLIENT, "log.message", "failure", category=_NET, type=_DENIED),
    ),
    "banner": (
        _Shape(rf"banner exchange: Connection from {_FROM}: (.*)",
               _WHY, "log.message", "failure", category=_NET, type=_DENIED),
    ),
    "Timeout": (
        _Shape(rf"Timeout before authentication for {_FROM}",
               _CLIENT, "log.message", category=_NET, type=("connection", "end")),
    ),
}
"""By the message's first word."""

_PAM: Final = (
    _Shape(r"pam_[a-z0-9_]+\(sshd:session\): session opened for user (.*?)(?:\(uid=([0-9]{1,10})\))? by .*",
           ("user.name", "user.id"), "session.start", code="session opened", actor=True),
    _Shape(r"pam_[a-z0-9_]+\(sshd:session\): session closed for user (.*)",
           ("user.name",), "session.end", code="session closed", actor=True),
    _Shape(r"pam_[a-z0-9_]+\(sshd:auth\): authentication failure; logname=[^ ]* uid=[0-9]+ euid=[0-9]+ tty=[^ ]* "
           r"ruser=[^ ]* rhost=([^ ]*)(?: +(?:user=(.*))?)?",
           ("source.ip", "user.name"), "log.message", "failure", "authentication failure",
           ("authentication",), ("info",)),
)
# fmt: on


@cache
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Compiled when first needed: all of them at once would add half as much again to the loading of this module."""
    return re.compile(pattern, re.DOTALL).fullmatch


_LEVELS: Final = {"error:": "error", "fatal:": "fatal", "debug1:": "debug", "debug2:": "debug", "debug3:": "debug"}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One message per line."""
    del ctx
    text = record.decode("utf-8", "backslashreplace")
    head = _head(text)
    if head is None:
        return _framed(record)
    clock, host, program, pid = head.groups()
    fields: dict[str, Any] = {"process.name": program}
    set_host(fields, host)
    if pid:
        fields["process.pid"] = int(pid)
    return [_read(fields, Time(clock, "iso8601" if clock[4] == "-" else "rfc3164"), text[head.end() :])]


def _framed(record: bytes) -> list[Operation] | Rejected:
    """A line with a syslog priority, or of RFC 5424."""
    header = syslog_header(record)
    if isinstance(header, Rejected):
        return header
    if header.app not in _PROGRAMS:
        return Rejected("a line of another program than sshd")
    return [_read(header_fields(header), header.time, readable(header.message))]


def _read(fields: dict[str, Any], time: Time | None, message: str) -> Operation:
    """The operation that a message tells of; `fields` has what the header said."""
    verdict = _verdict(message)
    if verdict is not None:
        return _login(fields, time, message, verdict.groups())
    word = message[: message.find(" ")]
    if word in _OUTCOMES:
        login = _unusual_login(fields, time, message)
        if login is not None:
            return login
    for shape in _PAM if word.startswith("pam_") else _SHAPES.get(word, ()):
        found = _matcher(shape.pattern)(message)
        if found is not None and not (shape.once and message.count(shape.once) > 1):
            return _shaped(fields, time, message, shape, found.groups())
    repeated = _repeated(message) if word == "message" else None
    if repeated is not None and not repeated[2].startswith("message repeated"):
        operation = _read(fields, time, repeated[2])
        operation.message = message
        operation.raw["repeated"] = int(repeated[1])
        return operation
    if word in _LEVELS:
        fields["log.level"] = _LEVELS[word]
    return Operation("log.message", "auth", time, fields=fields, message=message)


def _login(
    fields: dict[str, Any], time: Time | None, message: str, groups: tuple[Any, ...], certificate: str | None = None
) -> Operation:
    """A verdict on one try to log in; `groups` are those of `_verdict`."""
    code, word, invalid, user, client, port, algorithm, fingerprint = groups
    raw: dict[str, Any] = {}
    if user:
        fields["user.name"] = user
    address = clean_ip(client)
    if address == client:
        fields["source.ip"] = address
    elif client != _NOBODY:
        set_end(fields, client, "source")
    fields["source.port"] = int(port)
    if fingerprint:
        raw["algorithm"], raw["fingerprint"] = algorithm, fingerprint
    if certificate:
        raw["certificate"] = certificate
    if invalid:
        code += " for invalid user"
    kind, confidence = ("user", "asserted") if word == "Accepted" else ("unknown", "unknown")
    # By position, in the order of the contract: keywords would take twice as long.
    # fmt: off
    return Operation(
        "auth.login", "auth", time, None, code, _OUTCOMES[word], (), (), None, None, None, None, kind, confidence, None,
        fields, [], {}, raw, (), message,
    )
    # fmt: on


def _unusual_login(fields: dict[str, Any], time: Time | None, message: str) -> Operation | None:
    """A verdict on a name with blanks or a certificate; neither name nor client where it can be read in two ways."""
    spaced = _spaced(message)
    if spaced is not None:
        return _login(fields, time, message, (*spaced.groups(), None, None))
    certified = _certified(message)
    if certified is None:
        return None
    *groups, certificate = certified.groups()
    if message.count(" from ") == 1:
        return _login(fields, time, message, (*groups, None, None), certificate)
    code, word = groups[:2]
    return Operation("auth.login", "auth", time, outcome=_OUTCOMES[word], code=code, fields=fields, message=message)


def _shaped(
    fields: dict[str, Any], time: Time | None, message: str, shape: _Shape, groups: tuple[str | None, ...]
) -> Operation:
    """A message of a known kind."""
    for name, value in zip(shape.fields, groups, strict=True):
        if not value:
            continue
        if name in _PORTS:
            fields[name] = int(value)
        elif name in _ENDS:
            if clean_ip(value) == value:
                fields[name] = value
            elif value != _NOBODY:
                set_end(fields, value, name[:-3])
        else:
            fields[name] = value
    kind, confidence = ("user", "asserted") if shape.actor else ("unknown", "unknown")
    # fmt: off
    return Operation(
        shape.action, "auth", time, None, shape.code, shape.outcome, shape.category, shape.type, None, None, None, None,
        kind, confidence, None, fields, [], {}, {}, (), message,
    )
    # fmt: on
