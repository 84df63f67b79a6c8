"""Text for parsers: escapes in one pass, `key=value` lists, epochs, and the two syslog headers. Pure.

Nothing here backtracks without a bound: each pattern is either linear or limited by a length.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from parsers._contract import Rejected, Time

_SIMPLE: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "0": "\0",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "/": "/",
}
_escapes = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+|(?:\\u[0-9A-Fa-f]{4})+|\\(.)", re.DOTALL).sub


def _unescaped(match: re.Match[str]) -> str:
    whole = match[0]
    single = match[1]
    if single is not None:
        return _SIMPLE.get(single, whole)
    try:
        if whole[1] == "x":
            return bytes.fromhex(whole.replace("\\x", "")).decode()
        return bytes.fromhex(whole.replace("\\u", "")).decode("utf-16-be")
    except UnicodeDecodeError:
        return whole  # no character: the escapes themselves are the better evidence


def unescape(text: str) -> str:
    r"""`text` with its backslash escapes replaced, each exactly once, from left to right.

    Known: the C and JSON escapes, `\uHHHH` (surrogates in pairs), and runs of `\xHH` that are UTF-8. Anything else
    stays as it is written.
    """
    return _escapes(_unescaped, text) if "\\" in text else text


# A key begins where a word does, so that a long text without a pair is passed over once, not once for each letter.
_pairs = re.compile(
    r'(?<![^\s,;])([^\s=,;"]{1,128}+)=(?:"((?:[^"\\]|\\.)*+)"|([^\s,;"]*+))(?=[\s,;]|$)', re.DOTALL
).finditer
_SEPARATORS: Final = " \t\r\n,;"


def key_values(text: str) -> tuple[dict[str, str | list[str]], str]:
    r"""A list such as `user=kim ip=192.0.2.7 note="was \"open\""` as a dict, and the text that is in no pair.

    Pairs stand apart by white space, comma or semicolon; a quoted value may hold them and escapes. A key that comes
    again makes a list. Values stay text.
    """
    found: dict[str, str | list[str]] = {}
    rest: list[str] = []
    end = 0
    for match in _pairs(text):
        if match.start() > end:
            rest.append(text[end : match.start()].strip(_SEPARATORS))
        end = match.end()
        quoted = match[2]
        add(found, match[1], match[3] if quoted is None else unescape(quoted))
    rest.append(text[end:].strip(_SEPARATORS))
    return found, " ".join(part for part in rest if part)


def add(found: dict[str, Any], name: str, value: str) -> None:
    """Put a pair into a dict; a name that comes again makes a list."""
    have = found.get(name)
    if have is None:
        found[name] = value
    elif isinstance(have, list):
        have.append(value)
    else:
        found[name] = [have, value]


def epoch(digits: str) -> Time:
    """Seconds, milli- or microseconds since the epoch, told by the count of digits."""
    return Time(int(digits), "epoch_s" if len(digits) <= 10 else "epoch_ms" if len(digits) <= 13 else "epoch_us")


class Header(NamedTuple):
    """A syslog line without its header: what the header said, None where it did not, and the message's bytes.

    `priority` is facility * 8 + severity (0 to 191). `version` is 1 for RFC 5424, None for the older form.
    `structured`: SD-ID -> parameter -> value, a list where the parameter comes more than once.
    """

    priority: int | None
    version: int | None
    time: Time | None
    host: str | None
    app: str | None
    procid: str | None
    msgid: str | None
    structured: dict[str, dict[str, str | list[str]]]
    message: bytes


_priority = re.compile(rb"<([0-9]{1,3})>").match
_ISO: Final = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
# RFC 5424, section 6: VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP. The lengths are the RFC's
# doubled, since senders exceed them.
_modern = re.compile(rb"1 (-|" + _ISO + rb") ([!-~]{1,512}) ([!-~]{1,128}) ([!-~]{1,256}) ([!-~]{1,64})(?: |$)").match
# RFC 3164 as syslog daemons write it, and with the RFC 3339 time of their newer file formats.
_legacy = re.compile(
    rb"((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: [1-9]|[0-9]{2})(?: [0-9]{4})?"
    rb" [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?|" + _ISO + rb") "
).match
_host = re.compile(rb"([A-Za-z0-9_][A-Za-z0-9._:%/@-]{0,254})(?: |$)").match
_LEVELS: Final = frozenset(
    (b"TRACE", b"DEBUG", b"INFO", b"NOTICE", b"WARN", b"WARNING", b"ERR", b"ERROR", b"CRITICAL", b"FATAL")
)
_tag = re.compile(rb"((?:[!-9;-Z\\^-~]|:(?=[!-~])){1,128})(?:\[([!-Z\\^-~]{1,128})\])?:(?: |$)").match
_element = re.compile(rb'\[([!#-<>-\\^-~]{1,256})((?: [!#-<>-\\^-~]{1,256}="(?:[^"\\\]]|\\.)*")*)\]', re.DOTALL).match
_parameter = re.compile(rb' ([!#-<>-\\^-~]{1,256})="((?:[^"\\\]]|\\.)*)"', re.DOTALL).finditer
_sd_escape = re.compile(rb'\\(["\\\]])').sub
_BOM: Final = b"\xef\xbb\xbf"


def readable(data: bytes) -> str:
    r"""Bytes as text; a byte that is no UTF-8 is written `\xHH`, so that no byte is lost."""
    return data.decode(errors="backslashreplace")


def _nil(value: bytes) -> str | None:
    return None if value == b"-" else value.decode("ascii")


def syslog_header(record: bytes) -> Header | Rejected:
    """Split a line of RFC 5424, of RFC 3164, or of the latter with an RFC 3339 time; the priority is optional."""
    priority = None
    start = 0
    found = _priority(record)
    if found:
        priority = int(found[1])
        start = found.end()
        if priority > 191:
            return Rejected("a syslog priority above 191")
    modern = _modern(record, start)
    if modern:
        structured, end = _structured(record, modern.end())
        if end < 0:
            return Rejected("malformed structured data")
        message = record[end:].removeprefix(b" ")
        return Header(
            priority,
            1,
            None if modern[1] == b"-" else Time(modern[1].decode("ascii")),
            _nil(modern[2]),
            _nil(modern[3]),
            _nil(modern[4]),
            _nil(modern[5]),
            structured,
            message.removeprefix(_BOM),
        )
    legacy = _legacy(record, start)
    if not legacy:
        return Rejected("no syslog header")
    layout = "iso8601" if legacy[1][:1].isdigit() else "rfc3164"
    time = Time(legacy[1].decode("ascii"), layout)
    end = legacy.end()
    host = app = procid = None
    tag = _tag(record, end)
    if not tag:  # the usual case: a host comes first
        name = _host(record, end)
        if not name:
            return Rejected("no host or program after the time")
        host = name[1].decode("ascii")
        end = name.end()
        tag = _tag(record, end)
        # "2026-02-03T10:30:00Z INFO started" is an application's own log, in which no host stands.
        if layout == "iso8601" and priority is None and (not tag or name[1].upper() in _LEVELS):
            return Rejected("a time, but neither priority nor program")
    if tag:
        app = tag[1].decode("ascii")
        procid = tag[2].decode("ascii") if tag[2] else None
        end = tag.end()
    return Header(priority, None, time, host, app, procid, None, {}, record[end:])


def _structured(record: bytes, start: int) -> tuple[dict[str, dict[str, str | list[str]]], int]:
    """STRUCTURED-DATA at `start` and where it ends; -1 where it is malformed."""
    found: dict[str, dict[str, str | list[str]]] = {}
    if record[start : start + 1] == b"-" and record[start + 1 : start + 2] in {b" ", b""}:
        return found, start + 1
    end = start
    while record[end : end + 1] == b"[":
        element = _element(record, end)
        if not element:
            return found, -1
        values = found.setdefault(element[1].decode("ascii"), {})
        for parameter in _parameter(element[2]):
            add(values, parameter[1].decode("ascii"), readable(_sd_escape(rb"\1", parameter[2])))
        end = element.end()
    return (found, end) if end > start and record[end : end + 1] in {b" ", b""} else (found, -1)
