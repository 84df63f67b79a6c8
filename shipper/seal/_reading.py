"""One stored document, read without belief: which leaf it claims to be, and the hash that it really has.

Pure. The fast path of the verifier slices `seal` off the bytes; here is the slow path for everything that does not
simply fit: parse strictly, take `seal` off, canonicalize, hash.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from shipper.seal.canonical import exact, unsplice
from shipper.seal.strict import StrictError, parse_object
from shipper.seal.tree import MAX_SIZE, leaf_hash

_LOG: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]", re.ASCII)
_ID: Final = re.compile(r"([0-9a-f]{16})-(c?)([0-9a-f]{14})", re.ASCII)
_SEAL_TEXT: Final = re.compile(rb'"seal"\s*:\s*\{([^{}]{0,300})\}')
_I_TEXT: Final = re.compile(rb'"i"\s*:\s*([0-9]{1,16})\s*[,}]?')
_LOG_TEXT: Final = re.compile(rb'"log"\s*:\s*"([0-9a-f]{16})"')


class Reading(NamedTuple):
    """What a document claims and what it is.

    `i`, `log`: the leaf that it claims to be, -1 and "" where it claims none; `leaf`: its hash, None where it has no
    lawful one; `verbatim`: the bytes are as shipped; `doc`: parsed, without `seal`, None where it cannot be parsed.
    """

    i: int
    log: str
    leaf: bytes | None
    verbatim: bool
    doc: dict[str, Any] | None

    @property
    def stamp(self) -> str:
        """Its own claim of when it was made: `event.created`, else `@timestamp`, else ""."""
        return stamp(self.doc)

    @property
    def dataset(self) -> str:
        """`data_stream.dataset`, "" where there is none."""
        stream = (self.doc or {}).get("data_stream")
        name = stream.get("dataset") if isinstance(stream, dict) else None
        return name if isinstance(name, str) else ""


def stamp(doc: dict[str, Any] | None) -> str:
    """See `Reading.stamp`."""
    if doc is None:
        return ""
    event = doc.get("event")
    for value in (event.get("created") if isinstance(event, dict) else None, doc.get("@timestamp")):
        if isinstance(value, str):
            return value[:64]
    return ""


def instant(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, None where it is none; a naive time is read as UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def loads(payload: bytes) -> dict[str, Any]:
    """A statement's payload; {} where it is no object."""
    value = orjson.loads(payload)
    return value if isinstance(value, dict) else {}


def index(value: Any) -> int | None:
    """A leaf index that a statement names, None where it is none."""
    return value if type(value) is int and 0 <= value < MAX_SIZE else None


def parse_id(text: str | None) -> tuple[str, bool, int] | None:
    """(log, whether it names a checkpoint, leaf index or size) of an `_id` of ours."""
    match = _ID.fullmatch(text) if text is not None else None
    return None if match is None else (match[1], bool(match[2]), int(match[3], 16))


def read(data: bytes) -> Reading:
    """Read a document; every deviation from the shipped form ends in `leaf` None, never in an exception."""
    try:
        doc = parse_object(data)
    except StrictError:
        return _broken(data)
    if "seal" not in doc:
        return Reading(-1, "", None, verbatim=False, doc=doc)
    seal = doc.pop("seal")
    i, log = (seal.get("i"), seal.get("log")) if isinstance(seal, dict) else (None, None)
    if type(i) is not int or not 0 <= i < MAX_SIZE or not isinstance(log, str) or _LOG.fullmatch(log) is None:
        return Reading(-1, "", None, verbatim=False, doc=doc)
    nonce = seal.get("n")
    if seal.keys() != {"i", "log", "n"} or not isinstance(nonce, str) or _NONCE.fullmatch(nonce) is None:
        return Reading(i, log, None, verbatim=False, doc=doc)
    try:
        body = exact(doc)
    except (ValueError, RecursionError):
        return Reading(i, log, None, verbatim=False, doc=doc)
    parts = unsplice(data)
    return Reading(
        i,
        log,
        leaf_hash(urlsafe_b64decode(nonce + "=="), body),
        verbatim=parts is not None and parts.body == body,
        doc=doc,
    )


def _broken(data: bytes) -> Reading:
    """Bytes that no strict reader accepts: at least find which leaf they claim to be, so that it can be named."""
    for found in list(_SEAL_TEXT.finditer(data))[-1:]:  # the last one stands where the shipped form has it
        i, log = _I_TEXT.search(found[1] + b"}"), _LOG_TEXT.search(found[1])
        if i is not None and log is not None and int(i[1]) < MAX_SIZE:
            return Reading(int(i[1]), log[1].decode(), None, verbatim=False, doc=None)
    return Reading(-1, "", None, verbatim=False, doc=None)
