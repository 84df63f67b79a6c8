r"""LEEF (Log Event Extended Format): events of many products as one line of text, versions 1.0 and 2.0.

**What the source records.** What the product puts into it: a header with vendor, product, version and the event's id,
and attributes: category, user, source and destination, times, severity. There is no attribute for a field that changed:
old and new are read only from attributes that are called so.

**How to get it out.** Point the product's syslog output (LEEF) at a syslog daemon that writes a file, or at a file
directly. The attributes of LEEF 1.0 stand apart by TAB; daemons that replace it write `#011`, `<009>` or `\x09`, which is
read too.

**One line in**, with or without a syslog header; here LEEF 2.0 with `^` between the attributes:

```text
Mar 10 13:55:36 gw1 LEEF:2.0|Acme|HR Portal|3.1|login|^|devTime=1773150936123^usrName=kim^src=192.0.2.10^srcPort=50112^sev=3^isLoginEvent=true^cat=success
```

**What comes out.** `event.module` leef, the dataset's second half `event`; vendor, product and version in `observer.*`.

- `event.code` is the event's id. `event.action` is the id if it is one of our names, `auth.login` for
  `isLoginEvent=true`, `auth.logout` for `isLogoutEvent=true`, else what `action`, `act` or the id say in a plain word
  (see the format `cef`), else `log.message`; with an old or new value `field.update`. `event.outcome` is what `outcome`,
  `result` or `cat` say plainly.
- `usrName` `user.name`, `accountName` too where there is no `usrName`; `src`, `srcPort`, `srcMAC`, `identHostName`
  `source.*`; `dst`, `dstPort`, `dstMAC` `destination.*`; NAT addresses; `srcBytes`, `dstBytes`; `proto`
  `network.transport`; `url` `url.original`; `sev` `event.severity`; `groupID` `group.id`; `reason`; `sessionId`.
  `oldValue`, `newValue` and `field` (with the other names of the format `cef`) make one change. All other attributes
  stay in `trail.raw`.
- The time is `devTime`: milliseconds, or text in the form that `devTimeFormat` gives (else `MMM dd yyyy HH:mm:ss`).
- The separator of LEEF 2.0 is a character, or its code as `x5E` or `0x5E`; a header without it means TAB. A value cannot
  hold the separator: a piece without `=` belongs to the value before it.

Missing: trail.interface; the rest where the product does not say it. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers import _siem
from parsers._commands import drop_secrets
from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._text import add

FORMAT: Final = Format(
    name="leef",
    module="leef",
    vendor="LEEF",
    title="LEEF (Log Event Extended Format) 1.0 and 2.0",
    missing=("trail.interface",),
    gives=Gives.of("who when ip session field old new logins"),
)
LITERALS: Final = (b"LEEF:",)

_header = re.compile(r"LEEF:\s{0,1}([12]\.[0-9])" + 4 * r"\|([^|]{0,8191}+)" + r"\|(.*)", re.DOTALL).fullmatch
_coded = re.compile(r"(?:0?x)([0-9A-Fa-f]{1,4})").fullmatch
_written_tab = re.compile(r"#011|<009>|\\x09|\\t").sub
_key = re.compile(r"\s{0,9}([A-Za-z0-9_][\w .\[\]-]{0,99})=(.*)", re.DOTALL).fullmatch
_TEXTS: Final = {
    "usrName": "user.name",
    "userName": "user.name",
    "accountName": "user.name",
    "url": "url.original",
    "groupID": "group.id",
    "reason": "event.reason",
    "userAgent": "user_agent.original",
    "sessionId": "trail.session.id",
    "sessionID": "trail.session.id",
    "dvchost": "observer.hostname",
}
_ENDS: Final = {"src": "source", "dst": "destination", "identSrc": "source", "identHostName": "source"}
_NAT: Final = {
    "srcPreNAT": "source.nat.ip",
    "dstPreNAT": "destination.nat.ip",
    "srcPostNAT": "source.nat.ip",
    "dstPostNAT": "destination.nat.ip",
}
_NUMBERS: Final = {
    "srcPort": "source.port",
    "dstPort": "destination.port",
    "srcBytes": "source.bytes",
    "dstBytes": "destination.bytes",
    "srcPackets": "source.packets",
    "dstPackets": "destination.packets",
    "sev": "event.severity",
}
_LABELS: Final = frozenset({"oldvalue", "previousvalue", "newvalue", "field", "fieldname", "attribute", "property"}) | {
    *("objecttype", "objectid", "objectname", "requestid", "transactionid"),
}
_plain = re.compile(r"[^a-z0-9]+").sub
# The letters of a Java date pattern -> strptime; anything else in a pattern is as it stands.
_JAVA: Final = {
    "yyyy": "%Y", "yy": "%y", "MMM": "%b", "MM": "%m", "dd": "%d", "d": "%d", "EEE": "%a", "HH": "%H", "H": "%H",
    "hh": "%I", "mm": "%M", "ss": "%S", "SSS": "%f", "SSSSSS": "%f", "a": "%p", "Z": "%z", "z": "%z", "XXX": "%z",
    "X": "%z",
}  # fmt: skip
_java_part = re.compile(r"'([^']*)'|([A-Za-z])\2*").sub


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One event per line."""
    del ctx
    around = _siem.envelope(record, b"LEEF:")
    if isinstance(around, Rejected):
        return around
    found = _header(around.text)
    if found is None:
        return Rejected("no header of LEEF: a version and four fields between bars")
    version, *head, rest = found.groups()
    vendor, product, release, code = (part.strip() for part in head)
    fields = around.fields
    for target, value in (("vendor", vendor), ("product", product), ("version", release)):
        if value:
            fields[f"observer.{target}"] = value
    delimiter, attributes = _delimiter(version, rest)
    op = Operation("log.message", "event", around.time, fields=fields, raw=pairs(attributes, delimiter))
    raw = op.raw
    _take(op, raw)
    clock, pattern = _siem.take(raw, "devTime"), _siem.take(raw, "devTimeFormat")
    if clock is not None:
        op.time = _time(clock, pattern)
    op.message = _siem.take(raw, "msg") or _siem.take(raw, "message")
    for name in ("outcome", "result", "cat"):
        text = raw.get(name)
        op.outcome = _siem.outcome_of(text) if isinstance(text, str) else None
        if op.outcome:
            del raw[name]
            break
    named = [name for name in raw if _plain("", name.lower()) in _LABELS and isinstance(raw[name], str)]
    _siem.set_labelled(op, [(name, raw.pop(name)) for name in named])
    verbs = tuple(value if isinstance(value, str) else None for value in (raw.get("action"), raw.get("act")))
    _siem.set_action(op, code, verbs)
    for name, action in (("isLoginEvent", "auth.login"), ("isLogoutEvent", "auth.logout")):
        if str(raw.get(name)).lower() == "true":
            op.action = action
            del raw[name]
    _siem.set_user(op)
    drop_secrets(op)
    return [op]


def _delimiter(version: str, rest: str) -> tuple[str, str]:
    """The character between attributes, and the attributes."""
    if version[0] == "2":
        given, bar, attributes = rest.partition("|")
        coded = _coded(given)
        if bar and coded:
            return chr(int(coded[1], 16)), attributes
        if bar and len(given) <= 1:
            return given or "\t", attributes
    return "\t", rest


def pairs(text: str, delimiter: str) -> dict[str, Any]:
    """The attributes; what is in none of them stands under `attributes`."""
    if delimiter == "\t" and "\t" not in text:
        text = _written_tab("\t", text)
    found: dict[str, Any] = {}
    name, value = "", ""
    for piece in text.split(delimiter) if delimiter else [text]:
        match = _key(piece)
        if match is None:
            # A value that holds the separator, or text before the first attribute.
            value = f"{value}{delimiter}{piece}" if value or name else piece
            continue
        if name or value.strip():
            add(found, name or "attributes", value.strip())
        name, value = match[1].strip(), match[2]
    if name or value.strip():
        add(found, name or "attributes", value.strip())
    return found


def _take(op: Operation, raw: dict[str, Any]) -> None:
    fields = op.fields
    for name, target in _TEXTS.items():
        text = None if target in fields else _siem.take(raw, name)
        if text is not None:
            fields[target] = text
    for name, side in _ENDS.items():
        if f"{side}.ip" not in fields or not clean_ip(str(raw.get(name))):
            _siem.take_end(raw, name, fields, side)
    for name, target in _NAT.items():
        address = clean_ip(str(raw.get(name)))
        if address is not None and address == raw.get(name) and target not in fields:
            fields[target] = raw.pop(name)
    for name, target in _NUMBERS.items():
        _siem.take_number(raw, name, fields, target)
    for name, target in (("srcMAC", "source.mac"), ("dstMAC", "destination.mac")):
        text = raw.get(name)
        if isinstance(text, str) and _siem.is_mac(text):
            fields[target] = raw.pop(name).upper().replace(":", "-")
    protocol = raw.get("proto")
    if isinstance(protocol, str) and protocol.isalpha():
        fields["network.transport"] = protocol.lower()
        del raw["proto"]


def _time(text: str, pattern: str | None) -> Time:
    """`devTime` in the form of `devTimeFormat`, which is a Java date pattern."""
    if pattern is None or text.strip().isdigit():
        return _siem.time_of(text)
    known = True

    def part(match: re.Match[str]) -> str:
        nonlocal known
        if match[1] is not None:
            return match[1].replace("%", "%%") or "'"
        meant = _JAVA.get(match[0])
        known = known and meant is not None
        return meant or match[0]

    layout = _java_part(part, pattern.replace("%", "%%"))
    text = text.replace("GMT+00:00", "+0000").replace("GMT", "+0000") if "%z" in layout else text
    return Time(text, layout) if known and "%d" in layout else _siem.time_of(text)
