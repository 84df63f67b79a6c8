"""The conversions behind `shipper.schema.converter`: one function per type, value in, value or `MISFIT` out. Pure.

None raises, whatever the value: on the hot path a value that does not fit is an expected outcome.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mappings import Field


class _Misfit:
    """The type of `MISFIT`; compare with `is`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISFIT"


MISFIT: Final = _Misfit()
"""What a converter returns for a value that its field cannot take."""

Converter = Callable[[Any], Any]

SAFE_INTEGER: Final = 2**53 - 1
"""Integers beyond this lose digits in JSON readers that use doubles (RFC 8785, section 3.2.2.3)."""

_DATE = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_INTEGER = re.compile(r"-?[0-9]{1,16}").fullmatch
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_V4_PORT = re.compile(r"([0-9.]{7,15}):[0-9]{1,5}").fullmatch
_BRACKETS = re.compile(r"\[([^\]]{2,64})\](?::[0-9]{1,5})?").fullmatch
_POINT = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,20})?, ?-?[0-9]{1,3}(?:\.[0-9]{1,20})?").fullmatch

TEXTS: Final = frozenset({"keyword", "wildcard", "constant_keyword", "match_only_text", "text"})
INTEGERS: Final = {"long": SAFE_INTEGER, "integer": 2**31 - 1, "short": 2**15 - 1}
DECIMALS: Final = frozenset({"float", "double", "scaled_float"})
OBJECTS: Final = frozenset({"object", "nested", "flattened", "flat_object"})


def for_field(field: Field) -> Converter:
    """The conversion for `field`, lists included."""
    scalar = _scalar(field)
    return _listed(scalar) if field.array and field.type not in OBJECTS else scalar


def _scalar(field: Field) -> Converter:
    kind = field.type
    if field.allowed:
        return _one_of(field.allowed)
    if kind in TEXTS:
        return to_text
    if kind in INTEGERS:
        return _to_integer(INTEGERS[kind])
    if kind in DECIMALS:
        return _to_decimal
    by_type: dict[str, Converter] = {"ip": _to_ip, "date": _to_date, "boolean": _to_boolean, "geo_point": to_point}
    return by_type.get(kind, _to_object)


def to_text(value: Any) -> Any:
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        # Python refuses to print more than 4,300 digits; nobody's log needs a hundredth of that.
        return str(value) if value.bit_length() <= 4096 else MISFIT
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else MISFIT
    return MISFIT


def _one_of(allowed: tuple[str, ...]) -> Converter:
    known = {text.lower(): text for text in allowed}

    def convert(value: Any) -> Any:
        return known.get(value.lower(), MISFIT) if isinstance(value, str) else MISFIT

    return convert


def _to_integer(limit: int) -> Converter:
    def convert(value: Any) -> Any:
        if isinstance(value, bool):
            return MISFIT
        if isinstance(value, str):
            if not _INTEGER(value):
                return MISFIT
            value = int(value)
        elif isinstance(value, float):
            if not value.is_integer():
                return MISFIT
            value = int(value)
        elif not isinstance(value, int):
            return MISFIT
        return value if -limit <= value <= limit else MISFIT

    return convert


def _to_decimal(value: Any) -> Any:
    if isinstance(value, bool):
        return MISFIT
    if isinstance(value, str):
        if not _NUMBER(value):
            return MISFIT
        value = float(value)
    if isinstance(value, int):
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else MISFIT
    if isinstance(value, float) and math.isfinite(value):
        # The canonical form of an event writes a whole number without a fraction; so must the fields.
        return int(value) if value.is_integer() and abs(value) <= SAFE_INTEGER else value
    return MISFIT


def _to_ip(value: Any) -> Any:
    # Longer texts are no addresses and have no place in a cache.
    return _ip(value) if isinstance(value, str) and len(value) <= 100 else MISFIT


@lru_cache(maxsize=8192)
def _ip(text: str) -> Any:
    text = text.strip()
    found = _BRACKETS(text) or _V4_PORT(text)
    if found:
        text = found[1]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return MISFIT
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _to_date(value: Any) -> Any:
    return value if isinstance(value, str) and is_date(value) else MISFIT


def is_date(text: str) -> bool:
    """RFC 3339 with upper-case T and Z, a date that the calendar has, and no leap second (OpenSearch takes none)."""
    if not _DATE(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _to_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), MISFIT)
    return MISFIT


def to_point(value: Any) -> Any:
    if isinstance(value, dict):
        point = {name: _to_decimal(value.get(name)) for name in ("lat", "lon")}
        if len(value) == 2 and MISFIT not in point.values() and abs(point["lat"]) <= 90 and abs(point["lon"]) <= 180:
            return point
        return MISFIT
    if isinstance(value, str) and _POINT(value):
        lat, _, lon = value.partition(",")
        return to_point({"lat": lat, "lon": lon.strip()})
    return MISFIT


def _to_object(value: Any) -> Any:
    return value if isinstance(value, dict) else MISFIT


def _listed(scalar: Converter) -> Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            one = scalar(value)
            return MISFIT if one is MISFIT else [one]
        if not value:
            return MISFIT
        out = [scalar(item) for item in value]
        return MISFIT if MISFIT in out else out

    return convert
