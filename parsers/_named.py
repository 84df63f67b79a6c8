"""Named texts whose names nobody has fixed (`key=value` lines, CSV): what the usual names mean. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._commands import drop_secrets
from parsers._contract import Operation, Time
from parsers._json import clean_ip
from parsers._text import epoch

_TIMES: Final = frozenset(
    {"@timestamp", "timestamp", "time", "ts", "t", "datetime", "date", "dateandtime", "eventtime", "createdat", "when"}
)
_MESSAGES: Final = frozenset({"message", "msg", "description", "details", "text"})
_TEXTS: Final = {
    "level": "log.level",
    "lvl": "log.level",
    "severity": "log.level",
    "loglevel": "log.level",
    "logger": "log.logger",
    "userid": "user.id",
    "uid": "user.id",
    "user": "user.name",
    "username": "user.name",
    "login": "user.name",
    "email": "user.email",
    "useremail": "user.email",
    "sessionid": "trail.session.id",
    "session": "trail.session.id",
    "requestid": "http.request.id",
    "traceid": "trace.id",
    "useragent": "user_agent.original",
}
_ADDRESSES: Final = frozenset({"ip", "ipaddress", "clientip", "remoteip", "remoteaddr", "sourceip", "srcip"})
_ERRORS: Final = {"error": "error.message", "err": "error.message"}
_WHO: Final = ("user.id", "user.name", "user.email")
_simple = re.compile(r"[\s_.&-]+").sub
_iso_like = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ][0-9:.,TtZzUGMC+\- ]{0,40})?").fullmatch
_number = re.compile(r"([0-9]{9,16})(?:\.([0-9]{1,9}))?").fullmatch


def _plain(name: str) -> str:
    """A name as it is compared: in lower case, without blanks, dots, hyphens and underscores."""
    return _simple("", name).lower()


def time_of(text: str) -> Time | None:
    """ISO 8601, or seconds, milli- or microseconds since the epoch, told by their size; None for anything else."""
    text = text.strip()
    if _iso_like(text):
        return Time(text)
    number = _number(text)
    if number is None:
        return None
    if number[2] is not None:
        return Time(text, "epoch_s") if len(number[1]) <= 10 else Time(text, "epoch_ms")
    return epoch(text)


def described(data: dict[str, Any]) -> Operation:
    """One activity of a record; what has no usual name, or comes twice, stays in `raw` under its own."""
    op = Operation("log.message", "log", raw=data)
    fields = op.fields
    for name in list(data):
        value = data[name]
        if not isinstance(value, str) or not value.strip():
            continue
        plain = _plain(name)
        if plain in _TIMES:
            time = time_of(value) if op.time is None else None
            if time is not None:
                op.time = time
                del data[name]
        elif plain in _MESSAGES:
            if op.message is None:
                op.message = data.pop(name)
        elif plain in _ADDRESSES:
            address = clean_ip(value)
            if address is not None and "source.ip" not in fields:
                fields["source.ip"] = address
                if address == value:
                    del data[name]
        else:
            target = _TEXTS.get(plain) or _ERRORS.get(plain)
            if target is not None and target not in fields:
                fields[target] = data.pop(name)
    if any(name in fields for name in _WHO):
        op.actor_type, op.actor_confidence = "user", "asserted"
    drop_secrets(op)
    return op
