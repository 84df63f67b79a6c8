"""Shipped documents as syslog messages, and their framing on a stream. Pure.

    <PRI>1 TIMESTAMP HOSTNAME fieldtrail - MSGID [seal@32473 i="88121" log="9f2c61d0aa01b3e7" n="…"] {"@timestamp":…}

MSG is the shipped bytes themselves, with their `seal` member: whatever receiver keeps MSG can be checked by `fieldtrail
verify --ndjson`. No byte order mark stands before it, although RFC 5424 section 6.4 asks for one before UTF-8: it would
make every MSG invalid JSON (RFC 8259 section 8.1), and receivers hand it on as part of the text. The structured data
repeats the seal for search; 32473 is the enterprise number that RFC 5612 sets aside for examples, and a receiver must
not take it for a registered vendor.

Of CEF and LEEF the text stands where the document would. Most that read these expect the older header of RFC 3164
(`<PRI>Feb  3 10:30:00 HOSTNAME CEF:0|…`), whose time has no year and no zone: it is UTC, and the message holds its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from shipper.model import CONTROL_DATASETS, Document, Refusal
from shipper.outputs._cef import Cef
from shipper.outputs._dialect import moment
from shipper.outputs._leef import Leef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shipper.model import Event
    from shipper.output_sections import SyslogSection

ENTERPRISE = 32473
LARGEST = 65_536
"""`max_bytes` on a stream unless configured."""
_INFORMATIONAL, _WARNING = 6, 4
# RFC 5424 section 6.2.3: at most six digits of a fraction, no leap second, `T` and `Z` in upper case.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_PRINTABLE = re.compile(r"[^!-~]")


def header_value(text: str, longest: int) -> str:
    """`text` as a header field: printable ASCII without spaces, at most `longest`, `-` for nothing."""
    return _NOT_PRINTABLE.sub("_", text)[:longest] or "-"


def param_value(text: str) -> str:
    r"""`text` as an SD-PARAM value: `"`, `\` and `]` escaped (RFC 5424 section 6.3.3)."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def severity(event: dict[str, Any]) -> int:
    """4 (warning) for what failed, for alerts and for lines nobody understood, else 6 (informational)."""
    told = event.get("event")
    if isinstance(told, dict) and (
        told.get("outcome") == "failure" or told.get("kind") in ("alert", "pipeline_error", "signal")
    ):
        return _WARNING
    return _INFORMATIONAL


def message(document: Document, *, facility: int, hostname: str, notes: bool) -> bytes:
    """One RFC 5424 message. `hostname`: as `header_value` made it. `notes`: a checkpoint goes without leaf hashes."""
    event = orjson.loads(document.data)
    data = document.data
    if notes and document.dataset == "fieldtrail.checkpoint":
        data = without_leaves(event)
    return rfc5424_header(document, event, facility, hostname).encode("ascii", "replace") + data


def rfc5424_header(document: Document, event: Event, facility: int, hostname: str) -> str:
    """What stands before MSG, up to the blank (RFC 5424 section 6)."""
    stamp = event.get("@timestamp")
    when = stamp if isinstance(stamp, str) and _TIMESTAMP.fullmatch(stamp) else "-"
    priority = facility * 8 + severity(event)
    kind, structured = header_value(document.dataset, 32), _structured(document, event)
    return f"<{priority}>1 {when} {hostname} fieldtrail - {kind} {structured} "


def rfc3164_header(document: Document, event: Event, facility: int, hostname: str) -> str:
    """What stands before the text, up to the blank (RFC 3164 section 4.1), the time in UTC; no TAG."""
    del document
    when, priority = moment(event.get("@timestamp")), facility * 8 + severity(event)
    if when is None:  # without a time the receiver's own counts (section 4.3.2)
        return f"<{priority}>"
    return f"<{priority}>{_MONTHS[when.month - 1]} {when.day:2d} {when:%H:%M:%S} {hostname} "


def _structured(document: Document, event: dict[str, Any]) -> str:
    seal = event.get("seal")
    if isinstance(seal, dict):
        values = [(name, str(seal.get(name, ""))) for name in ("i", "log", "n")]
    else:
        log, _, size = document.id.rpartition("-c")
        if not log:
            return "-"
        values = [("log", log), ("size", str(int(size, 16)))]
    return f"[seal@{ENTERPRISE} " + " ".join(f'{name}="{param_value(value)}"' for name, value in values) + "]"


def without_leaves(checkpoint: dict[str, Any]) -> bytes:
    """A checkpoint document without `trail.checkpoint.leaves`, which fill most of it; it carries no seal to break."""
    trail = checkpoint.get("trail")
    told = trail.get("checkpoint") if isinstance(trail, dict) else None
    if not isinstance(told, dict):
        return orjson.dumps(checkpoint)
    rest = {name: value for name, value in told.items() if name != "leaves"}
    return orjson.dumps({**checkpoint, "trail": {**checkpoint["trail"], "checkpoint": rest}})


class Messages:
    """Documents as the messages of one receiver.

    `hostname` is any text; `limit`: bytes of a message without its framing. Format, header, facility and which control
    documents go are those of the section.
    """

    def __init__(self, section: SyslogSection, *, hostname: str, limit: int) -> None:
        self._facility, self._control, self._limit = section.facility, section.control, limit
        self._hostname = header_value(hostname, 255)
        self._dialect: Callable[[Event], str] | None = None
        if section.format == "cef":
            self._dialect = Cef(standard=section.lengths == "standard")
        elif section.format == "leef":
            self._dialect = Leef()
        self._header = rfc3164_header if section.header == "rfc3164" else rfc5424_header

    def of(self, documents: Sequence[Document]) -> tuple[list[tuple[Document, bytes]], list[Refusal]]:
        """The messages to send, in order, and what is too long; control documents not wanted are in neither."""
        messages: list[tuple[Document, bytes]] = []
        refused: list[Refusal] = []
        for document in documents:
            if self._control == "none" and document.dataset in CONTROL_DATASETS:
                continue
            text = self._message(document)
            if len(text) > self._limit:
                reason = f"message of {len(text)} bytes is over max_bytes {self._limit}"
                refused.append(Refusal(document, "message_too_long", reason))
            else:
                messages.append((document, text))
        return messages, refused

    def _message(self, document: Document) -> bytes:
        if self._dialect is not None:
            event = orjson.loads(document.data)
            event["_id"] = document.id
            return (self._header(document, event, self._facility, self._hostname) + self._dialect(event)).encode()
        full = self._control == "full"
        text = message(document, facility=self._facility, hostname=self._hostname, notes=not full)
        if full and len(text) > self._limit and document.dataset == "fieldtrail.checkpoint":
            return message(document, facility=self._facility, hostname=self._hostname, notes=True)
        return text


def octet_counted(text: bytes) -> bytes:
    """`LEN SP MSG` (RFC 6587 section 3.4.1, RFC 5425 section 4.3)."""
    return b"%d %b" % (len(text), text)


def newline_ended(text: bytes) -> bytes:
    """`MSG LF` (RFC 6587 section 3.4.2). Canonical JSON holds no raw line ends, so none has to be replaced."""
    return text + b"\n"
