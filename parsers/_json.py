"""JSON for parsers: exact decoding, and taking members out so that what is left is what nothing mapped.

`decode` returns plain JSON values. Two things differ from the standard library: nothing lax is accepted (RFC 8259: no
NaN, no byte order mark, no invalid UTF-8; and no lone surrogate, no number beyond the range of a double), and a number
that Python would print with other characters than the source (`1.10`, `1e5`, an integer beyond 2^53) comes back as
`Number`, a `str` that holds the source's characters. Of members with one name the last wins.

The `take_*` functions pop a member from a decoded object when it has the wanted shape and leave it alone otherwise, so
that the object, at the end, is exactly what `Operation.raw` must carry: nothing is lost and nothing stands twice. A
parent that only a take has emptied goes too; an object that was empty in the source stays.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

import orjson

from parsers._contract import ABSENT, SECRET, UNKNOWN, Operation, Rejected, Time
from parsers._secrets import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES: Final = 16 * 1024 * 1024
"""Longest record that is decoded, in bytes. A page of 500 audit rows is about half a megabyte."""
MAX_DEPTH: Final = 64
"""Deepest nesting of arrays and objects, the record itself counted as 1."""
SAFE_INTEGER: Final = 2**53 - 1
"""The greatest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

ENVELOPE: Final = "@envelope"
"""Name in `raw` for what stood beside a vendor's list of records; no source uses it for a member of its own."""


class Number(str):
    """A JSON number as its source's characters, where Python would print others; never the text of a JSON string."""

    __slots__ = ()


# A number stands after `:` `,` `[` (one that is the whole record takes the exact path anyway). Inside strings this may
# match too: that costs time, nothing else. In order: 16 or more digits, an exponent, a fraction that ends in 0 (but not
# `.0`), tiny fractions (Python prints them with an exponent), minus zero. The first look-ahead is for speed, the
# second keeps the seconds of a time (`:00.000Z`) from looking like such a fraction.
_INEXACT: Final = re.compile(
    rb"[:,\[](?=[-0-9 \t\r\n])[ \t\r\n]*-?[0-9]"
    rb"(?:[0-9.]{15}|[0-9.]*[eE]|[0-9]*\.[0-9]+0(?=[\]}, \t\r\n])|(?<=0)\.0000|(?<=-0)(?![.0-9]))"
).search
_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_BOM: Final = b"\xef\xbb\xbf"


def _integer(text: str) -> int | Number:
    if len(text) > 17:
        return Number(text)
    value = int(text)
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER and str(value) == text else Number(text)


def _float(text: str) -> float | Number:
    value = float(text)
    return value if repr(value) == text else Number(text)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(child for child in item.values() if isinstance(child, dict | list))
            elif isinstance(item, list):
                below.extend(child for child in item if isinstance(child, dict | list))
        if not below:
            return False
        level = below
    return True


def may_be_inexact(record: bytes) -> bool:
    """Whether a number in `record` may be written otherwise than Python would; strings can raise a false alarm."""
    return _INEXACT(record) is not None


def decode(record: bytes) -> Any | Rejected:
    """The JSON value of `record`, with exact numbers (`Number`), or `Rejected` with a reason that names no value."""
    if len(record) > MAX_BYTES:
        return Rejected(f"longer than {MAX_BYTES} bytes")
    try:
        value = orjson.loads(record)
    except orjson.JSONDecodeError:
        return _why(record)
    # Depth cannot exceed the number of opening brackets, which is far cheaper to count than depth is to walk.
    if record.count(b"{") + record.count(b"[") > MAX_DEPTH and _too_deep(value):
        return Rejected(_DEEP)
    if _INEXACT(record) or record[:1] not in {b"{", b"["}:
        # orjson has accepted the text, so the laxer decoder sees nothing that it could accept wrongly.
        return json.loads(record, parse_int=_integer, parse_float=_float)
    return value


def decode_text(text: str) -> Any | Rejected:
    """`decode` for a text, as a member or a column holds it; one with a lone surrogate is refused as no UTF-8."""
    return decode(text.encode(errors="surrogatepass"))


def _why(record: bytes) -> Rejected:
    """The reason in our own words: a decoder's message changes with its version and may quote the text."""
    if not record.strip():
        return Rejected("empty record")
    if record.startswith(_BOM):
        return Rejected("begins with a byte order mark")
    try:
        record.decode()
    except UnicodeDecodeError:
        return Rejected("not UTF-8")
    try:
        value = json.loads(record, parse_int=Number, parse_float=Number, parse_constant=_refuse)
    except RecursionError:
        return Rejected(_DEEP)
    except ValueError:
        return Rejected("not JSON")
    return Rejected(_DEEP if _too_deep(value) else "a lone surrogate, or a number beyond the range of a double")


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class Items(NamedTuple):
    """The records of one line: `items` (at least one unless the vendor's page was empty) and what stood beside them."""

    items: list[dict[str, Any]]
    rest: dict[str, Any]


def unwrap(value: Any, *names: str) -> Items | Rejected:
    """The records in a decoded value: one object, an array of objects, or either of them under a member of `names`."""
    rest: dict[str, Any] = {}
    if isinstance(value, dict):
        name = next((name for name in names if isinstance(value.get(name), list | dict)), None)
        if name is None:
            return Items([value], rest)
        rest = {key: member for key, member in value.items() if key != name}
        value = value[name]
        if isinstance(value, dict):
            return Items([value], rest)
    elif not isinstance(value, list):
        return Rejected("neither an object nor an array")
    elif not value:
        return Rejected("an empty array")
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            return Rejected(f"item {position} of the array is no object")
    return Items(value, rest)


def read(record: bytes, *names: str) -> Items | Rejected:
    """`decode`, then `unwrap`."""
    value = decode(record)
    return value if isinstance(value, Rejected) else unwrap(value, *names)


def peek(source: dict[str, Any], *path: str) -> Any:
    """The member at `path`, left in place; `ABSENT` if there is none."""
    value: Any = source
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value


def take(source: dict[str, Any], *path: str) -> Any:
    """Pop the member at `path` and the parents that this empties; `ABSENT` if there is none."""
    name = path[0]
    if len(path) == 1:
        return source.pop(name, ABSENT)
    child = source.get(name)
    if not isinstance(child, dict) or path[1] not in child:
        return ABSENT
    value = take(child, *path[1:])
    if not child:
        del source[name]
    return value


def is_text(value: Any) -> TypeGuard[str]:
    """Whether `value` is a JSON string (a `Number` is none)."""
    return isinstance(value, str) and not isinstance(value, Number)


def scalar_text(value: Any) -> str | None:
    """A non-empty string, or a number as text; `None` for everything else (a truth value is no name or id)."""
    if isinstance(value, str):
        return str(value) if value.strip() else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def take_text(source: dict[str, Any], *path: str) -> str | None:
    """Pop a name or an id as text (see `scalar_text`); anything else stays where it is."""
    text = scalar_text(peek(source, *path))
    if text is not None:
        take(source, *path)
    return text


def take_time(source: dict[str, Any], *path: str) -> Time | None:
    """Pop a time: text as ISO 8601, numbers (also as digits in a string) as seconds, milli- or microseconds.

    The unit follows from the size: 10^11 s is the year 5138, 10^14 ms too.
    """
    value = peek(source, *path)
    text = scalar_text(value)
    if text is None:
        return None
    take(source, *path)
    number = value
    if isinstance(value, Number):
        number = float(value)
    elif isinstance(value, str):
        if not (text.isascii() and text.isdigit() and len(text) <= 17):
            return Time(text)
        number = int(text)
    size = abs(number)
    if not math.isfinite(number) or size >= 1e17:
        return Time(text)
    return Time(number, "epoch_s" if size < 1e11 else "epoch_ms" if size < 1e14 else "epoch_us")


def clean_ip(text: str) -> str | None:
    """The IP address in `text` in its shortest form, or `None`.

    Spaces around it, a port, brackets and a zone index are dropped; an IPv4 address mapped into IPv6 becomes IPv4.
    A list of addresses or a host name is no address.
    """
    # Nothing longer is an address, and it must not fill the memory of the cache.
    return _clean_ip(text) if len(text) <= 100 else None


@lru_cache(maxsize=4096)
def _clean_ip(text: str) -> str | None:
    text = text.strip()
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, port = text.split(":")
        if not _is_port(":" + port):
            return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5


def take_ip(source: dict[str, Any], *path: str) -> str | None:
    """The IP address at `path`; it is popped unless its text says more (a port, a zone) or is written otherwise."""
    text = peek(source, *path)
    if not isinstance(text, str):
        return None
    address = clean_ip(text)
    if address is not None and address == text:
        take(source, *path)
    return address


def same(left: Any, right: Any) -> bool:
    """Equal as JSON values: `1` is `1.0` but not `true`, order matters in arrays only, nothing equals `UNKNOWN`."""
    if left is UNKNOWN or right is UNKNOWN or left is SECRET:
        return False
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(member, right[name]) for name, member in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, Number) != isinstance(right, Number):
        return False
    return bool(left == right)


_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^A-Za-z0-9]+")


def snake(name: str) -> str:
    """A type name in lower snake case: `JobPost` and `jobPost` -> `job_post`, `Offer::Draft` -> `offer_draft`."""
    return _snake(name) if len(name) <= 100 else _snake.__wrapped__(name)


@lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    return _NOT_WORD.sub("_", _HUMP.sub("_", name)).strip("_").lower() or name


_DEEDS: Final = ("auth.", "session.", "data.", "report.", "record.view", "api.", "http.", "automation.run", "token.use")
"""Actions that are something by themselves, whatever changes they tell of."""


def each(
    found: Items | Rejected, one: Callable[[dict[str, Any]], list[Operation] | Rejected]
) -> list[Operation] | Rejected:
    """The operations of all records of a line, in order; one record that is not understood refuses the whole line.

    An edit all of whose changes are from a value to itself is marked as no change. What stood beside the records
    (paging and the like) is kept in the first operation's `raw` under `ENVELOPE`. Secrets are dropped.
    """
    if isinstance(found, Rejected):
        return found
    operations: list[Operation] = []
    rest = found.rest
    for position, item in enumerate(found.items):
        result = one(item)
        if isinstance(result, Rejected):
            return result if len(found.items) == 1 else Rejected(f"item {position}: {result.reason}")
        if rest and result:
            result[0].raw[ENVELOPE], rest = rest, {}
        for op in result:
            if op.changes and not op.action.startswith(_DEEDS) and all(same(one.old, one.new) for one in op.changes):
                op.no_change = True
            hide_secrets(op)
        operations += result
    return operations
