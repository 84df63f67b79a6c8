r"""Access logs of web servers: what nginx and Apache write alike. Pure.

Both write the client, a name, a time in brackets, the request in quotes, status and size, and (combined) referrer and
user agent in quotes, and both escape what a client could forge: quotes, backslashes and control characters.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from parsers._contract import Operation, Rejected, Time
from parsers._hosts import set_end
from parsers._json import clean_ip
from parsers._text import key_values, unescape

_QUOTED: Final = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
combined_tail: Final = re.compile(
    rf"{_QUOTED} ([0-9]{{3}}) ([0-9]{{1,15}}|-) {_QUOTED} {_QUOTED}(?: (.*))?",
    re.DOTALL,
).fullmatch
common_tail: Final = re.compile(rf"{_QUOTED} ([0-9]{{3}}) ([0-9]{{1,15}}|-)", re.DOTALL).fullmatch
_bare_quote = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL).match
_request = re.compile(r"([A-Za-z_-]{1,32}) (.+?) HTTP/([0-9](?:\.[0-9])?)", re.DOTALL).fullmatch
_clf = re.compile(r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9:]{8}(?:\.[0-9]{1,9})? [+-][0-9]{4}").fullmatch
_iso = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})").fullmatch
_forwarded = re.compile(r'"([^"\\]*)"(?: |$)').match
_seconds = re.compile(r"([0-9]{1,8})\.([0-9]{3})").fullmatch

_STATUS: Final = {str(code): (code, "success" if code < 400 else "failure") for code in range(100, 600)}
_EMPTY: Final = '"" ['
_NO_LOGIN: Final = "401"
_BASIS: Final = "basic authentication"
_DURATIONS: Final = ("request_time", "rt")


class Outline(NamedTuple):
    """A line cut at the two places that no client can write: before the time, and at the request's quote."""

    head: str
    clock: Time
    quote: int


def outline(text: str) -> Outline | Rejected:
    """Where the time and the request are.

    Quotes are escaped, so the first bare one opens the request, and only brackets right before it are the time's: what
    a client puts into its user name cannot pass for either. For a name that is empty Apache writes two bare quotes.
    """
    found = _bare_quote(text)
    quote = found.end() - 1 if found else -1
    if quote > 0 and text.startswith(_EMPTY, quote):
        found = _bare_quote(text, quote + len(_EMPTY))
        quote = found.end() - 1 if found else -1
    if quote < 0 or text[quote - 2 : quote] != "] ":
        return Rejected("no time in brackets before the request")
    opening = text.rfind(" [", 0, quote)
    clock = text[opening + 2 : quote - 2]
    if opening < 0 or not (_clf(clock) or _iso(clock)):
        return Rejected("no time in brackets before the request")
    return Outline(text[:opening], Time(clock, "iso8601" if clock[4] == "-" else "clf"), quote)


def requested(client: str, user: str, clock: Time, tail: tuple[str | None, ...]) -> Operation:
    """The operation of a line; `tail` is what the tail's pattern found, six groups or the first three of them."""
    request, status, size = (part or "" for part in tail[:3])
    referrer, agent, extra = tail[3:] or ("", "", None)
    fields: dict[str, Any] = {}
    set_end(fields, client, "source")
    set_request(fields, request)
    if referrer and referrer != "-":
        fields["http.request.referrer"] = undone(referrer)
    if agent and agent != "-":
        fields["user_agent.original"] = undone(agent)
    return operation(fields, clock, request, undone(user), status, size, extra)


def operation(
    fields: dict[str, Any], time: Time, request: str, user: str, status: str, size: str, extra: str | None
) -> Operation:
    """The operation of a line whose client and quoted parts are in `fields` already."""
    raw: dict[str, Any] = {}
    kind = confidence = "unknown"
    if user == '""':
        raw["user"] = ""
    elif user != "-":
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


def undone(text: str) -> str:
    r"""`text` without nginx's `\xHH`, or as it is where the result would be unreadable or could be read two ways."""
    if "\\" not in text:
        return text
    plain = unescape(text)
    return plain if "\\" not in plain and plain.isprintable() else text


def set_request(fields: dict[str, Any], request: str, *, escaped: bool = True) -> None:
    """The request line, if it is one; the blanks that some clients leave in a URL belong to the URL."""
    found = _request(request)
    if found is not None:
        method, target, version = found.groups()
        fields["http.version"] = version
    elif request.startswith("GET /"):  # HTTP/0.9
        method, _, target = request.partition(" ")
    else:
        return
    if escaped:
        target = undone(target)
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
