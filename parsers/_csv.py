"""CSV for parsers: one record is the header line, LF, and one row (see `Format.framing`). Pure.

What RFC 4180 says, and what exports do beside it: separators are `,` `;` TAB or `|`, told from the header; quoted
fields may hold separators, quotes (doubled) and line ends; a byte order mark is no part of the first name.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Final, NamedTuple

from parsers._contract import Rejected
from parsers._text import readable

_SEPARATORS: Final = ",;\t|"
_MAX_COLUMNS: Final = 2000
_BOM: Final = "\ufeff"

csv.field_size_limit(1 << 26)


class Header(NamedTuple):
    """Column names as written (a name that comes again has `#2`, `#3` … behind it), and the separator."""

    names: tuple[str, ...]
    separator: str


def header(line: bytes) -> Header | Rejected:
    """The header in `line`; `Rejected` where there are not at least two named columns, or they cannot be told apart."""
    return _header(line) if len(line) <= 20_000 else _header.__wrapped__(line)


@lru_cache(maxsize=256)
def _header(line: bytes) -> Header | Rejected:
    text = readable(line).removeprefix(_BOM)
    separator = max(_SEPARATORS, key=text.count)
    names = fields(text, separator)
    if isinstance(names, Rejected):
        return names
    names = [name.strip() for name in names]
    if len(names) < 2:
        return Rejected("no CSV header: there is only one column")
    if len(names) > _MAX_COLUMNS:
        return Rejected(f"a CSV header of more than {_MAX_COLUMNS} columns")
    seen: dict[str, int] = {}
    unique = []
    for position, name in enumerate(names):
        plain = name or f"column {position + 1}"
        seen[plain] = count = seen.get(plain, 0) + 1
        unique.append(plain if count == 1 else f"{plain}#{count}")
    return Header(tuple(unique), separator)


def fields(text: str, separator: str = ",") -> list[str] | Rejected:
    """The fields of one row, which may hold line ends in quotes."""
    lines = [f"{line}\n" for line in text.split("\n")]  # not `splitlines`, which ends lines at more than LF
    try:
        rows = list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return Rejected("a CSV row whose quotes do not match")
    if len(rows) != 1:
        return Rejected("no CSV row" if not rows else "more than one CSV row")
    return rows[0]


def row(record: bytes) -> dict[str, str] | Rejected:
    """One row as column name -> text; an empty field is `""`."""
    first, found, rest = record.partition(b"\n")
    if not found:
        return Rejected("no CSV record: a header and a row are needed")
    head = header(first.removesuffix(b"\r"))
    if isinstance(head, Rejected):
        return head
    values = fields(readable(rest), head.separator)
    if isinstance(values, Rejected):
        return values
    if len(values) != len(head.names):
        return Rejected(f"a CSV row of {len(values)} fields under a header of {len(head.names)}")
    return dict(zip(head.names, values, strict=True))
