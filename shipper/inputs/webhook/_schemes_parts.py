"""The parts that schemes are made of: one header, a signed time, an HMAC, a comparison that takes always as long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from shipper.inputs.webhook._schemes_model import RawRequest, Refused

LONGEST_HEADER: Final = 4096
LONGEST_ID: Final = 200
AHEAD: Final = 300.0
"""Seconds that a sender's clock may be ahead of ours, however wide the window is."""

Encoding = Literal["hex", "base64"]
_is_plain_id = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_ID}}}").fullmatch
_is_seconds = re.compile(r"[0-9]{10}").fullmatch
_is_millis = re.compile(r"[0-9]{13}").fullmatch
_is_iso = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})"
).fullmatch


def header(request: RawRequest, name: str) -> str | Refused:
    """The one value of a header. Twice is refused: which of both would be the one that another server saw?"""
    wanted = name.lower()
    found = [value for key, value in request.headers if key.lower() == wanted]
    if not found:
        return Refused(f"no header {name}")
    if len(found) > 1:
        return Refused(f"header {name} more than once")
    if len(found[0]) > LONGEST_HEADER:
        return Refused(f"header {name} is too long")
    return found[0]


def headers(request: RawRequest, *names: str) -> list[str] | Refused:
    """The values of several headers, or the first refusal."""
    values = []
    for name in names:
        value = header(request, name)
        if isinstance(value, Refused):
            return value
        values.append(value)
    return values


def as_bytes(text: str) -> bytes:
    """A header's value as it came, for any value that a server may hand over."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def same(one: bytes, other: bytes) -> bool:
    """Whether both are equal, in a time that tells neither their contents nor their lengths."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())


def written(digest: bytes, encoding: Encoding) -> bytes:
    """A digest as text. One way only: a signature with another letter case or padding is another signature."""
    return digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)


def hmac_hex(secret: bytes, message: bytes) -> str:
    """HMAC-SHA256 in hex."""
    return hmac.digest(secret, message, "sha256").hex()


@lru_cache(maxsize=64)
def _keyed(secret: bytes, digest: str) -> hmac.HMAC:
    return hmac.new(secret, digestmod=digest)


def _hmac(secret: bytes, message: bytes, digest: str) -> bytes:
    # Half the time of `hmac.digest`, which makes the key's state anew and lets go of the interpreter for each request.
    keyed = _keyed(secret, digest).copy()
    keyed.update(message)
    return keyed.digest()


def signed_by(
    secrets: Sequence[bytes], message: bytes, presented: bytes, *, encoding: Encoding, digest: str = "sha256"
) -> bytes | None:
    """The secret by which `presented` is the HMAC of `message`, or None. Every secret is tried, also after a match."""
    found = None
    for secret in secrets:
        if secret and same(written(_hmac(secret, message, digest), encoding), presented):
            found = secret
    return found


def without_prefix(text: str, prefix: str) -> str | Refused:
    """What follows `prefix` in a header's value."""
    return text[len(prefix) :] if text.startswith(prefix) else Refused("the signature is not written as it should be")


def seconds(text: str) -> float | None:
    """Ten digits: seconds since 1970, from 2001 to 2286. Exactly ten, so that no digit can move to its neighbour."""
    return float(int(text)) if _is_seconds(text) else None


def millis(text: str) -> float | None:
    """Thirteen digits: milliseconds since 1970, in s."""
    return int(text) / 1000 if _is_millis(text) else None


def iso(text: str) -> float | None:
    """A time of ISO 8601 with its zone, in s since 1970."""
    if not _is_iso(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def any_time(text: str) -> float | None:
    """A time in seconds, milliseconds or ISO 8601."""
    for reading in (seconds, millis, iso):
        found = reading(text)
        if found is not None:
            return found
    return None


def signed_time(
    text: str, request: RawRequest, window: float, reading: Callable[[str], float | None]
) -> float | Refused:
    """The time that was signed, if it lies within the window."""
    when = reading(text)
    if when is None:
        return Refused("the time is not written as it should be")
    return too_old(when, request, window) or when


def timed_signature(
    request: RawRequest,
    names: tuple[str, str],
    window: float,
    reading: Callable[[str], float | None],
    *,
    prefix: str = "",
) -> tuple[str, str, float] | Refused:
    """A signature and its time, out of the two headers `names`, the time also as it is written: for the signed text.

    The signature is what follows `prefix`. Gives (signature, time as written, time in s since 1970).
    """
    given = headers(request, *names)
    if isinstance(given, Refused):
        return given
    value, stamp = given
    signature = without_prefix(value, prefix)
    if isinstance(signature, Refused):
        return signature
    when = signed_time(stamp, request, window, reading)
    return when if isinstance(when, Refused) else (signature, stamp, when)


def too_old(when: float, request: RawRequest, window: float) -> Refused | None:
    """Refused where a time lies outside of the window."""
    age = request.received - when
    if age > window:
        return Refused("the time is too old")
    if age < -min(window, AHEAD):
        return Refused("the time lies ahead of ours")
    return None


def id_of(text: str) -> str | None:
    """A delivery's id as it is kept: the text itself, or its digest where it is long or strange; None where empty."""
    if not text:
        return None
    return text if _is_plain_id(text) else digest_id("text", as_bytes(text))


def digest_id(kind: str, sent: bytes) -> str:
    """An id made of what was sent; `kind` keeps different makings apart."""
    return f"{kind}:{hashlib.sha256(sent).hexdigest()[:40]}"


def id_with_body(delivery: str, body: bytes) -> str:
    """By what a delivery is known whose id was not signed: with another body the same id is another delivery.

    By the id alone whoever has recorded one delivery could send it under the id of one that is still to come, and that
    would be taken for a repeat.
    """
    return digest_id("delivery", as_bytes(delivery) + b"\0" + body)
