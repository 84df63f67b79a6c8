r"""CEF (Common Event Format): security events of many products, as one line of text, mostly through syslog.

**What the source records.** What the product puts into it: a header with vendor, product, version, the event's id, its
name and severity, and `key=value` pairs from a dictionary: source and destination, users on either side, request, file,
outcome. There is no key for a field that changed: old and new are read only where custom strings are labelled so.

**How to get it out.** Point the product's syslog output (CEF) at a syslog daemon that writes a file, or at a file
directly. Some daemons cut long lines or replace control characters; lines are taken as they are.

**One line in**, with or without a syslog header:

```text
Mar 10 13:55:36 fw1 CEF:0|Acme|HR Portal|3.1|field.update|Salary changed|5|rt=1773150936123 suser=kim suid=7 src=192.0.2.10 externalId=ev-1 cs1Label=Field cs1=salary cs2Label=Old Value cs2=90000 cs3Label=New Value cs3=120000 cs4Label=Object Type cs4=employee cs5Label=Object ID cs5=55
```

**What comes out.** `event.module` cef, the dataset's second half `event`; vendor, product and version in `observer.*`.

- `event.code` is the event's id. `event.action` is the id if it is one of our names (as Fieldtrail's own CEF has), else
  `act`, the name or the id where it is a plain word (login, logout, create, update, delete, view, export, import,
  upload, download), else `log.message`; with an old or new value `field.update`.
- Custom values (`cs1`, `cn1`, `cfp1`, `c6a1`, `flexString1`, `deviceCustomDate1` …) stand in `trail.raw` under their
  label. The labels `Old Value`, `New Value` and `Field` (also `Attribute`, `Property`, `Parameter`, `Setting`) make one
  change; without a field label the field is called `value`. `Session ID`, `Object Type`, `Object ID`, `Object Name`,
  `Request ID`, `Trace ID` go to their fields.
- `suser`, `suid` `user.*`; `duser`, `duid` `user.target.*`, of a login without `suser` `user.*`; `src`, `spt`, `shost`,
  `smac` `source.*`; `dst`, `dpt`, `dhost`, `dmac` `destination.*`; `request` `url.original`; `requestMethod`;
  `requestClientApplication` `user_agent.original`; `requestContext` the referrer; `fname`, `filePath`, `fsize`,
  `fileType` `file.*`; `proto` `network.transport`; `app` `network.protocol`; `in`, `out` bytes; `dvc`, `dvchost`
  `observer.*`; `outcome`, `reason`; `externalId` the event's id; `sproc`, `spid` `process.*`. The time is `rt`, else
  `start`, else `end`, else that of the syslog header. All other keys stay in `trail.raw`.
- Escapes: `\|` and `\\` in the header, `\=`, `\\`, `\n`, `\r` in values. A key begins after a blank, so a value that
  holds ` word=` unescaped is cut there: that is the sender's mistake, and nothing is lost.

Missing: trail.interface; the rest where the product does not say it. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers import _siem
from parsers._commands import drop_secrets
from parsers._contract import Context, Format, Gives, Operation, Rejected
from parsers._json import clean_ip
from parsers._text import add

FORMAT: Final = Format(
    name="cef",
    module="cef",
    vendor="CEF",
    title="CEF (Common Event Format)",
    missing=("trail.interface",),
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (b"CEF:",)

_header = re.compile(
    r"CEF:\s{0,1}([01](?:\.[0-9])?)" + 6 * r"\|((?:[^|\\]|\\.){0,8191}+)" + r"\|(.*)", re.DOTALL
).fullmatch
_keys = re.compile(r"\\.|(?:(?<=\s)|\A)([A-Za-z0-9_][\w.\[\]-]{0,99})=", re.DOTALL).finditer
_head_escape = re.compile(r"\\([|\\])").sub
_escape = re.compile(r"\\([=\\nr|])").sub
_custom = re.compile(
    r"(?:cs|cn|cfp|c6a|flexString|flexNumber|flexDate|deviceCustomDate|deviceCustomString|deviceCustomNumber"
    r"|deviceCustomFloatingPoint|deviceCustomIPv6Address)[0-9]{1,2}"
).fullmatch
_TEXTS: Final = {
    "suser": "user.name",
    "suid": "user.id",
    "duser": "user.target.name",
    "duid": "user.target.id",
    "request": "url.original",
    "requestMethod": "http.request.method",
    "requestClientApplication": "user_agent.original",
    "requestContext": "http.request.referrer",
    "fname": "file.name",
    "filePath": "file.path",
    "fileType": "file.type",
    "reason": "event.reason",
    "dvchost": "observer.hostname",
    "sproc": "process.name",
}
_ENDS: Final = {"src": "source", "dst": "destination", "shost": "source", "dhost": "destination"}
_NUMBERS: Final = {
    "spt": "source.port",
    "dpt": "destination.port",
    "in": "source.bytes",
    "out": "destination.bytes",
    "fsize": "file.size",
    "spid": "process.pid",
}
_LOWER: Final = {"proto": "network.transport", "app": "network.protocol"}
_MACS: Final = {"smac": "source.mac", "dmac": "destination.mac"}
_MEANT: Final = {"n": "\n", "r": "\r"}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One event per line."""
    del ctx
    around = _siem.envelope(record, b"CEF:")
    if isinstance(around, Rejected):
        return around
    found = _header(around.text)
    if found is None:
        return Rejected("no header of CEF: a version and six fields between bars")
    version, *head, extension = found.groups()
    vendor, product, release, code, name, severity = (_head_escape(r"\1", part).strip() for part in head)
    fields = around.fields
    for target, value in (("vendor", vendor), ("product", product), ("version", release)):
        if value:
            fields[f"observer.{target}"] = value
    op = Operation("log.message", "event", fields=fields, raw=pairs(extension))
    raw = op.raw
    labelled = _labelled(raw)
    if severity.isdigit() and len(severity) <= 3:
        fields["event.severity"] = int(severity)
    elif severity:
        add(raw, "severity", severity)
    if version != "0":
        add(raw, "cef_version", version)
    _take(op, raw)
    for clock in ("rt", "start", "end"):
        text = _siem.take(raw, clock)
        if text is not None:
            op.time = _siem.time_of(text)
            break
    else:
        op.time = around.time
    op.id = _siem.take(raw, "externalId")
    op.message = _siem.take(raw, "msg")
    if op.message is None:
        op.message = name or None
    elif name:
        add(raw, "name", name)
    outcome = _siem.outcome_of(raw.get("outcome") if isinstance(raw.get("outcome"), str) else None)
    if outcome:
        op.outcome = outcome
        del raw["outcome"]
    _siem.set_labelled(op, labelled)
    act = raw.get("act")
    _siem.set_action(op, code, (act if isinstance(act, str) else None, name))
    _siem.set_user(op)
    drop_secrets(op)
    return [op]


def pairs(extension: str) -> dict[str, Any]:
    """The extension's keys and values, escapes undone."""
    found: dict[str, Any] = {}
    keys = [match for match in _keys(extension) if match[1] is not None]
    if not keys:
        text = extension.strip()
        return {"extension": text} if text else {}
    before = extension[: keys[0].start()].strip()
    if before:
        found["extension"] = before
    ends = [match.start() for match in keys[1:]] + [len(extension)]
    for match, end in zip(keys, ends, strict=True):
        text = extension[match.end() : end].strip()
        if "\\" in text:
            text = _escape(lambda one: _MEANT.get(one[1], one[1]), text)
        add(found, match[1], text)
    return found


def _labelled(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Custom values with their labels, taken out."""
    found = []
    for name in [name for name in raw if _custom(name)]:
        label, value = raw.get(f"{name}Label"), raw[name]
        if isinstance(label, str) and label and isinstance(value, str):
            del raw[name], raw[f"{name}Label"]
            found.append((label, value))
    return found


def _take(op: Operation, raw: dict[str, Any]) -> None:
    """What the dictionary knows."""
    fields = op.fields
    for name, target in _TEXTS.items():
        text = _siem.take(raw, name)
        if text is not None:
            fields[target] = text
    for name, side in _ENDS.items():
        _siem.take_end(raw, name, fields, side)
    for name, target in _NUMBERS.items():
        _siem.take_number(raw, name, fields, target)
    for name, target in _LOWER.items():
        text = _siem.take(raw, name)
        if text is not None:
            fields[target] = text.lower()
    for name, target in _MACS.items():
        text = raw.get(name)
        if isinstance(text, str) and _siem.is_mac(text):
            fields[target] = text.upper().replace(":", "-")
            del raw[name]
    device = raw.get("dvc")
    address = clean_ip(device) if isinstance(device, str) else None
    if address is not None:
        fields["observer.ip"] = [address]
        if address == device:
            del raw["dvc"]
