"""Canonical bytes: one serialization per event, equal to RFC 8785 (JCS), so that any JCS library can check a seal.

Contract
- `canonical(event)` gives the bytes that are hashed. Fast path: orjson with sorted keys, which equals RFC 8785 for
  events inside the profile. It costs no second pass over the event, and therefore trusts two promises of the caller:
  foreign values went through `conform_value`, and every float that we computed went through `conform_number`.
- `conform(event)` brings any JSON-like dict into the profile, whatever it holds; it never raises.
- `exact(value)` is RFC 8785 without the promises, for a verifier: what is outside the profile is a `ValueError`.
- `splice` and `unsplice` add and take off the last member `seal` on the bytes themselves.

Profile: integers within +-(2^53-1); floats that are not integral and are written without an exponent by every printer
(1e-4 <= |x| < 1e16); Unicode without lone surrogates; depth <= 64; <= 1,000 members; <= 64,000 bytes; a string
<= 32,000 bytes of UTF-8; no member `seal` at the root. Everything else becomes text or is cut, and is noted.

Why integers stop at 2^53-1: readers in JavaScript and Java round beyond it (RFC 8785 section 3.2.2.3, RFC 7493
section 2.2). Why floats with exponents become text: printers differ in how they write them.
"""

from __future__ import annotations

import math
import re
from binascii import a2b_base64
from typing import Any, Final, NamedTuple

import orjson

from shipper.seal._squeeze import Note, squeeze

MAX_INT: Final = 2**53 - 1
MAX_DEPTH: Final = 64
MAX_MEMBERS: Final = 1_000
MAX_BYTES: Final = 64_000
MAX_STRING: Final = 32_000
_MAX_KEY: Final = 1_000

_SORTED: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)
_ASTRAL: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
"""First bytes of the characters beyond U+FFFF. A search for one byte costs a tenth of one for a class of bytes."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SEAL: Final = re.compile(
    rb'(,?)"seal":\{"i":(0|[1-9][0-9]{0,15}),"log":"([0-9a-f]{16})","n":"([A-Za-z0-9_-]{21}[AQgw])"\}\}', re.ASCII
)
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")
_SEAL_KEY: Final = b'"seal":{"i":'


class Unsealed(NamedTuple):
    """A shipped document taken apart: `body` is what was hashed, `nonce` the 16 bytes before it."""

    body: bytes
    i: int
    log: str
    nonce: bytes


def canonical(event: dict[str, Any]) -> bytes:
    """The RFC 8785 bytes of an event; never raises.

    An event that orjson refuses or that is too large is conformed first (so the bytes may say less than `event`, and
    then say so in `trail.truncated`).
    """
    if "seal" in event:
        return _slow(event)
    try:
        data = orjson.dumps(event, option=_SORTED)
    except (TypeError, ValueError, RecursionError):
        return _slow(event)
    if len(data) > 5_000 and (len(data) > MAX_BYTES or data.count(b'":') > MAX_MEMBERS):
        return _slow(event)
    if not data.isascii() and (b"\xef" in data or b"\xee" in data) and any(lead in data for lead in _ASTRAL):
        # Only here can UTF-16 order (RFC 8785 section 3.2.3) differ from code point order, which orjson uses.
        return orjson.dumps(_utf16_order(event))
    return data


def _slow(event: dict[str, Any]) -> bytes:
    conformed, _ = conform(event)
    return orjson.dumps(_utf16_order(conformed))


def conform(event: dict[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """The event inside the profile, and what had to be changed; never raises, whatever the dict holds.

    Cut values are listed in `trail.truncated` as `{path, length}`; other notes there carry a `why` too. Where the
    event as a whole is too large, `trail.raw` and `trail.values` shrink first.
    """
    notes: list[Note] = []
    result = {key: value for key, value in event.items() if key != "seal"}
    if len(result) != len(event):
        notes.append(Note("seal", 0, "dropped"))
    value = conform_value(result, 0, "", notes)
    assert isinstance(value, dict)
    noted = _with_notes(value, notes) if notes else value
    if _fits(noted):
        return noted, notes
    value = squeeze(value, notes, max_bytes=MAX_BYTES - 8_000, max_members=MAX_MEMBERS - 200)
    return _with_notes(value, notes), notes


def _fits(value: dict[str, Any]) -> bool:
    data = orjson.dumps(value)
    return len(data) <= MAX_BYTES and (len(data) <= 5_000 or _members(value) <= MAX_MEMBERS)


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_members(item) for item in value.values())
    return sum(_members(item) for item in value) if isinstance(value, list) else 0


def _with_notes(value: dict[str, Any], notes: list[Note]) -> dict[str, Any]:
    """`value` with at most 50 notes in `trail.truncated`, so that the list of cuts cannot itself be the problem."""
    trail = value.get("trail")
    known = trail.get("truncated") if isinstance(trail, dict) else None
    listed: list[Any] = known[:20] if isinstance(known, list) and len(orjson.dumps(known[:20])) < 2_000 else []
    for note in notes[: 50 - len(listed)]:
        # A path names foreign keys, so it is cut like any other foreign text.
        entry: dict[str, Any] = {"path": note.path[:100], "length": note.length}
        if note.why != "cut":
            entry["why"] = note.why
        listed.append(entry)
    return {**value, "trail": {**(trail if isinstance(trail, dict) else {}), "truncated": listed}}


def conform_number(number: float) -> int | float | str:
    """A number inside the profile: itself, or its text. Bools are the caller's business."""
    if type(number) is float:
        if not math.isfinite(number):
            return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")  # noqa: PLR0124 - is NaN
        if number.is_integer():
            return int(number) if abs(number) <= MAX_INT else _float_text(number)
        return number if 1e-4 <= abs(number) < 1e16 else _float_text(number)
    if -MAX_INT <= number <= MAX_INT:
        return number
    try:
        return str(number)
    except ValueError:  # Python refuses to print more than 4,300 decimal digits; hexadecimal has no such bound.
        return hex(int(number))


def _float_text(number: float) -> str:
    text = repr(number)
    return text.removesuffix(".0")


def conform_value(value: Any, depth: int = 2, path: str = "", notes: list[Note] | None = None) -> Any:
    """A foreign JSON value inside the profile: the same object where it fits already, else a changed copy.

    `depth` is how many containers stand around it (2 for a member of `trail.raw`'s dict: `trail` and `raw`). What JSON
    has no word for becomes its text. Size and number of members of the whole event are `canonical`'s business.
    """
    if _clean(value, depth):
        return value
    return _conformed(value, depth, path, [] if notes is None else notes)


def _clean(value: Any, depth: int) -> bool:
    """Whether `_conformed` would change nothing; the common case, checked without building anything."""
    kind = type(value)
    if kind is str:
        return bool(len(value) <= MAX_STRING and (value.isascii() or _plain_text(value)))
    if kind is int:
        return bool(-MAX_INT <= value <= MAX_INT)
    if kind is bool or value is None:
        return True
    if kind is float:
        return bool(not value.is_integer() and 1e-4 <= abs(value) < 1e16)
    if kind is dict:
        if depth >= MAX_DEPTH:
            return False
        deeper = depth + 1
        for key, item in value.items():
            if type(key) is not str or len(key) > _MAX_KEY or not (key.isascii() or _plain_text(key, _MAX_KEY)):
                return False
            if not _clean(item, deeper):
                return False
        return True
    if kind is list:
        if depth >= MAX_DEPTH:
            return False
        deeper = depth + 1
        return all(_clean(item, deeper) for item in value)
    return False


def _plain_text(text: str, limit: int = MAX_STRING) -> bool:
    try:
        return len(text.encode()) <= limit
    except UnicodeEncodeError:
        return False


def _conformed(value: Any, depth: int, path: str, notes: list[Note]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value), MAX_STRING, path, notes)
    if isinstance(value, int):
        return conform_number(int(value))
    if isinstance(value, float):
        return conform_number(float(value))
    if isinstance(value, (dict, list, tuple)):
        if depth >= MAX_DEPTH:
            return _text(_flat(value), MAX_STRING, path, notes)
        if isinstance(value, dict):
            return _conformed_dict(value, depth, path, notes)
        return [_conformed(item, depth + 1, f"{path}.{n}" if path else str(n), notes) for n, item in enumerate(value)]
    if isinstance(value, (bytes, bytearray)):
        return _text(bytes(value).decode("utf-8", "backslashreplace"), MAX_STRING, path, notes)
    return _text(_safe_str(value), MAX_STRING, path, notes)


def _conformed_dict(value: dict[Any, Any], depth: int, path: str, notes: list[Note]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str else _safe_str(key)
        below = f"{path}.{name[:200]}" if path else name[:200]
        name = _text(name, _MAX_KEY, below, notes)
        if name in result:  # two foreign keys became one by cutting or by U+FFFD: neither may be lost
            n = 2
            while f"{name}~{n}" in result or f"{name}~{n}" in value:
                n += 1
            name = f"{name}~{n}"
        result[name] = _conformed(item, depth + 1, below, notes)
    return result


def _text(text: str, limit: int, path: str, notes: list[Note]) -> str:
    if _SURROGATE.search(text):
        text = _SURROGATE.sub("�", text)
        notes.append(Note(_SURROGATE.sub("�", path), len(text), "surrogate"))
    if len(text) * 4 <= limit:
        return text
    data = text.encode()
    if len(data) <= limit:
        return text
    notes.append(Note(_SURROGATE.sub("�", path), len(data), "cut"))
    return data[:limit].decode("utf-8", "ignore")


def _safe_str(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything, and an event is still owed
        return f"<{type(value).__name__}>"


def _flat(value: Any) -> str:
    """A container that stands too deep, as JSON text where it can be written, else a placeholder."""
    try:
        return orjson.dumps(value, default=_safe_str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return "(nested too deep)"


def exact(value: Any) -> bytes:
    """RFC 8785 bytes of a parsed JSON value; `ValueError` for what our profile would never have written.

    A float that is integral is written as an integer, as RFC 8785 demands: a cluster that turns 5 into 5.0 did no harm.
    """
    return orjson.dumps(_exact(value, 0))


def _exact(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        if kind is str and not _plain_text(value, 1 << 62):
            raise ValueError("lone surrogate")
        return value
    if kind is int or kind is float:
        number = conform_number(value)
        if type(number) is str:
            raise ValueError("number outside the profile")
        return number
    if depth >= MAX_DEPTH:
        raise ValueError("nested too deep")
    if kind is dict:
        return {key: _exact(value[key], depth + 1) for key in sorted(value, key=_utf16)}
    if kind is list:
        return [_exact(item, depth + 1) for item in value]
    raise ValueError("not a JSON value")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _utf16_order(value: Any) -> Any:
    """A copy whose dicts stand in the order of RFC 8785 section 3.2.3 (UTF-16 code units)."""
    if isinstance(value, dict):
        return {key: _utf16_order(value[key]) for key in sorted(value, key=_utf16)}
    return [_utf16_order(item) for item in value] if isinstance(value, list) else value


def splice(body: bytes, i: int, log: str, nonce_b64: str) -> bytes:
    """The shipped bytes: `body` with `seal` as its last member.

    `i` is the leaf index, `log` the 16 hex digits, `nonce_b64` the 22 base64url characters of the 16-byte nonce.
    """
    seal = f'"seal":{{"i":{i},"log":"{log}","n":"{nonce_b64}"}}}}'.encode()
    return body[:-1] + (b"," + seal if len(body) > 2 else seal)


def unsplice(data: bytes) -> Unsealed | None:
    """Take the last member `seal` off the bytes; None where it does not stand there exactly as `splice` writes it."""
    at = data.rfind(_SEAL_KEY)
    if at < 1:
        return None
    comma = data[at - 1] == 0x2C
    match = _SEAL.fullmatch(data, at - comma)
    if match is None or comma != (at > 1) or data[0] != 0x7B:
        return None
    return Unsealed(
        data[: at - comma] + b"}", int(match[2]), match[3].decode(), a2b_base64(match[4].translate(_URLSAFE) + b"==")
    )


_VECTORS: Final[tuple[tuple[dict[str, Any], bytes], ...]] = (
    ({"b": 1, "a": -1, "B": 0, "_": True, "@": None}, b'{"@":null,"B":0,"_":true,"a":-1,"b":1}'),
    ({"n": [MAX_INT, -MAX_INT]}, b'{"n":[9007199254740991,-9007199254740991]}'),
    ({"f": [0.5, -33.33, 0.0001, 1234567890.125]}, b'{"f":[0.5,-33.33,0.0001,1234567890.125]}'),
    ({"f": [0.1, 123456789012345.67, 5e-1]}, b'{"f":[0.1,123456789012345.67,0.5]}'),
    ({"s": '\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7f'}, b'{"s":"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\x7f"}'),
    ({"s": "é€\u2028\U0001f600"}, '{"s":"é€\u2028\U0001f600"}'.encode()),
    ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'.encode()),
    ({"l": [], "o": {}, "e": ""}, b'{"e":"","l":[],"o":{}}'),
    ({"i": 2**53, "j": [-(2**64)]}, b'{"i":"9007199254740992","j":["-18446744073709551616"]}'),
)


def self_check() -> str:
    """Compare the installed orjson with fixed vectors; the first difference as text, or "" when all agree.

    The agent calls it at start and refuses to run on a difference: a seal that other people's tools cannot
    recompute is worth nothing.
    """
    for value, expected in _VECTORS:
        got = canonical(value)
        if got != expected:
            return f"canonical bytes differ: expected {expected!r}, got {got!r} (orjson {orjson.__version__})"
    return ""
