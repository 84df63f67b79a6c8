"""A JSON parser for hostile input: what two readers could read differently is refused.

Pure. Duplicate names, numbers beyond what a double holds exactly, NaN, lone surrogates, a byte order mark, bytes that
are not UTF-8 and nesting beyond our profile are all `StrictError`; the common fast parsers accept most of them and
keep the last duplicate, so that a person could be shown something else than was checked (RFC 7493, I-JSON).
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

_MAX_NUMBER_TEXT: Final = 40
_MAX_INT: Final = 2**53 - 1


class StrictError(ValueError):
    """The bytes are no JSON that every reader reads alike."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise StrictError("duplicate names in an object")
    return result


def _integer(text: str) -> int:
    if len(text) > _MAX_NUMBER_TEXT or abs(int(text)) > _MAX_INT:
        raise StrictError("an oversized number")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if len(text) > _MAX_NUMBER_TEXT or not math.isfinite(number):
        raise StrictError("an oversized number")
    return number


def _constant(_text: str) -> Any:
    raise StrictError("not a JSON number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def parse(data: bytes) -> Any:
    """The JSON value, or `StrictError`."""
    try:
        value = _DECODER.decode(data.decode())
        json.dumps(value, ensure_ascii=False).encode()
    except StrictError:
        raise
    except (ValueError, RecursionError) as error:
        raise StrictError("not JSON") from error
    return value


def parse_object(data: bytes) -> dict[str, Any]:
    """As `parse`, for a JSON object."""
    value = parse(data)
    if not isinstance(value, dict):
        raise StrictError("not a JSON object")
    return value
