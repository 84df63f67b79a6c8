"""How a user's own format turns a record into names and values: `decode: json | kv | csv | regex | grok`.

What comes out is a plain dict, as if the record had been JSON, so that all of them share one mapping language
(`mapped.py`). Patterns are the user's and may backtrack without end, so each match has a time limit (`patterns.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from parsers import _csv
from parsers._contract import Rejected
from parsers._json import decode as decode_json
from parsers._text import key_values, readable
from shipper.grok import Expression, expand
from shipper.patterns import MATCH_SECONDS, compiled

if TYPE_CHECKING:
    from shipper.config import FormatSection

Decode = Callable[[bytes], "dict[str, Any] | Rejected"]

MAX_BYTES: Final = 1 << 18
"""Longest record that a pattern is tried on."""
REST: Final = "message"
"""Name of the text of a `kv` record that is in no pair."""

_TOO_SLOW: Final = Rejected(f"the format's pattern was stopped after {MATCH_SECONDS * 1000:.0f} ms")


def names_of(section: FormatSection) -> list[str]:
    """The names that the patterns of a `regex` or `grok` format give. Raises `PatternError` for what is no pattern."""
    if section.decode not in {"regex", "grok"}:
        return []
    return [name for expression in _expressions(section) for name in _names(expression)]


def decoder(section: FormatSection) -> Decode:
    """The function that decodes one record of a format. Raises `PatternError` for a pattern that is none."""
    if section.decode == "json":
        return _json
    if section.decode == "kv":
        return _pairs(section.separator, section.assign)
    if section.decode == "csv":
        return _rows(section.columns, section.separator or ",")
    return _patterns(_expressions(section))


def _json(record: bytes) -> dict[str, Any] | Rejected:
    data = decode_json(record)
    if type(data) is not dict:
        return data if isinstance(data, Rejected) else Rejected("not a JSON object")
    return data


# -- key=value ---------------------------------------------------------------------------------------------------------


def _pairs(separator: str | None, assign: str) -> Decode:
    def read(record: bytes) -> dict[str, Any] | Rejected:
        text = readable(record)
        found: dict[str, Any]
        if separator is None and assign == "=":
            found, rest = key_values(text)
        else:
            found, rest = _split(text, separator or " ", assign)
        if not found:
            return Rejected(f"no pair such as name{assign}value")
        if rest:
            found.setdefault(REST, rest)
        return found

    return read


def _split(text: str, separator: str, assign: str) -> tuple[dict[str, Any], str]:
    """Pairs between `separator`s outside double quotes; a name that comes again makes a list."""
    found: dict[str, Any] = {}
    rest: list[str] = []
    for piece in _pieces(text, separator):
        name, there, value = piece.strip().partition(assign)
        name = name.strip()
        if not there or not name:
            rest.append(piece.strip())
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found, " ".join(part for part in rest if part)


def _pieces(text: str, separator: str) -> list[str]:
    """`text` cut at each `separator` that stands in no double quotes; a quote that nobody closes hides none."""
    if text.count('"') < 2:
        return text.split(separator)
    pieces: list[str] = []
    start, quoted = 0, False
    for token in re.finditer(rf'\\.|"|{re.escape(separator)}', text, re.DOTALL):
        if token[0] == '"':
            quoted = not quoted
        elif token[0] == separator and not quoted:
            pieces.append(text[start : token.start()])
            start = token.end()
    return text.split(separator) if quoted else [*pieces, text[start:]]


# -- CSV ---------------------------------------------------------------------------------------------------------------


def _rows(columns: Sequence[str], separator: str) -> Decode:
    if not columns:
        return _csv.row  # the framer puts the header before each row

    def read(record: bytes) -> dict[str, Any] | Rejected:
        values = _csv.fields(readable(record), separator)
        if isinstance(values, Rejected):
            return values
        if len(values) != len(columns):
            return Rejected(f"a CSV row of {len(values)} fields, not {len(columns)}")
        return dict(zip(columns, values, strict=True))

    return read


# -- patterns ----------------------------------------------------------------------------------------------------------


def _expressions(section: FormatSection) -> list[Expression]:
    if section.decode == "regex":
        return [Expression(pattern, {}) for pattern in section.patterns]
    return [expand(pattern, section.definitions) for pattern in section.patterns]


def _names(expression: Expression) -> list[str]:
    groups = compiled(expression.pattern).groupindex
    return list(dict.fromkeys(expression.fields[name][0] if name in expression.fields else name for name in groups))


def _patterns(expressions: Sequence[Expression]) -> Decode:
    known = [(compiled(expression.pattern), expression.fields) for expression in expressions]

    def read(record: bytes) -> dict[str, Any] | Rejected:
        if len(record) > MAX_BYTES:
            return Rejected(f"longer than {MAX_BYTES} bytes: no pattern is tried on it")
        text = readable(record)
        for pattern, fields in known:
            try:
                found = pattern.search(text, timeout=MATCH_SECONDS)
            except TimeoutError:
                return _TOO_SLOW
            if found is not None:
                return _groups(found.groupdict(), fields)
        return Rejected("no pattern matches")

    return read


def _groups(found: Mapping[str, str | None], fields: Mapping[str, tuple[str, type | None]]) -> dict[str, Any]:
    """What took part in a match, by the names that the user gave."""
    out: dict[str, Any] = {}
    for group, text in found.items():
        if text is None:
            continue
        name, kind = fields.get(group, (group, None))
        if name not in out:
            out[name] = text if kind is None else _number(text, kind)
    return out


def _number(text: str, kind: type) -> Any:
    """The number in `text`, or the text where it is none of that kind or JSON has no such number."""
    try:
        value = kind(text)
    except ValueError:
        return text
    return value if str(value) == text and math.isfinite(value) else text
