"""What the audit tables of Rails applications share: columns of changes, as JSON or as YAML. Pure.

No YAML library: what people put into a log must not reach one. The reader here knows a mapping of names to scalars, or
to lists of scalars, one a line, as Psych writes a hash of attributes; of anything else it keeps the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import Rejected
from parsers._json import Number, decode_text, is_text
from parsers._rows import kept_text
from parsers._text import unescape

_head: Final = re.compile(r"--- ?(?:!ruby/hash:ActiveSupport::HashWithIndifferentAccess|!map:[A-Za-z:]{1,80})?$").match
_name: Final = re.compile(r"(?:([A-Za-z_][\w.?!/-]{0,200})|'([^']{1,200})'|\"([^\"\\]{1,200})\"):(?: (.*)|)$").match
_number: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,60})(?:\.[0-9]{1,60})?$").match
_single: Final = re.compile(r"'((?:[^']|'')*)'$").match
_double: Final = re.compile(r'"((?:[^"\\]|\\["\\/ntr]|\\u[0-9A-Fa-f]{4})*)"$').match
_plain: Final = re.compile(r"[^\s!&*|>%@`{}\[\],?:#\"'-][^\n]*$|-[^\s-][^\n]*$|:[^\s:][^\n]*$").match
_comment_or_name: Final = re.compile(r"[ \t]#|:[ \t]|:$").search
_WORDS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
    "[]": [],
    "{}": {},
}
_EMPTY: Final = frozenset({"---", "--- {}", "--- []", "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess {}"})
_COMPLEX: Final = object()


def columns(value: Any) -> tuple[dict[str, Any], Any]:
    """A column of attributes as (name -> value, what could not be read and stays in `raw`: None, an object or a text).

    The column is an object already, or its JSON or its YAML as text.
    """
    if isinstance(value, dict):
        return value, None
    if not is_text(value):
        return {}, value
    if value.startswith("---"):
        found = _yaml(value)
        return ({}, kept_text(value)) if found is None else found
    decoded = decode_text(value)
    if isinstance(decoded, dict):
        return decoded, None
    return {}, (kept_text(value) if isinstance(decoded, Rejected) else value)


def put_back(row: dict[str, Any], name: str, left: dict[str, Any], unread: Any) -> None:
    """Put back into a row what of a column was not mapped."""
    if isinstance(unread, dict):
        left = {**left, **unread}
    elif unread is not None:
        row[name] = unread
        return
    if left:
        row[name] = left


def _yaml(text: str) -> tuple[dict[str, Any], dict[str, str] | None] | None:
    """Members that are plainly scalars or lists of them, and the text of the others; None for another document."""
    if text.rstrip() in _EMPTY:
        return {}, None
    lines = text.removesuffix("\n").split("\n")
    if not _head(lines[0]):
        return None
    members: dict[str, list[str]] = {}
    block: list[str] | None = None
    for line in lines[1:]:
        named = _name(line)
        if named:
            name = named[1] or named[2] or named[3]
            if name in members:
                return None
            members[name] = block = [named[4] or ""]
        elif block is not None and (line.startswith((" ", "-")) or not line):
            block.append(line)
        else:
            return None
    found: dict[str, Any] = {}
    left: dict[str, str] = {}
    for name, block in members.items():
        value = _member(block)
        if value is _COMPLEX:
            left[name] = kept_text("\n".join(block).removeprefix("\n"))
        else:
            found[name] = value
    return found, left or None


def _member(block: list[str]) -> Any:
    first, *items = block
    if not items:
        return _scalar(first)
    if first or any(item != "-" and not item.startswith("- ") for item in items):
        return _COMPLEX
    values = [_scalar(item[2:]) for item in items]
    return _COMPLEX if any(value is _COMPLEX for value in values) else values


def _scalar(text: str) -> Any:
    if text in _WORDS:
        value = _WORDS[text]
        return value.copy() if isinstance(value, list | dict) else value
    if _number(text):
        return _exact(text)
    quoted = _single(text)
    if quoted:
        return quoted[1].replace("''", "'")
    quoted = _double(text)
    if quoted:
        return _COMPLEX if "\\ud" in text.lower() else unescape(quoted[1])
    if not _plain(text) or _comment_or_name(text) or text != text.rstrip():
        return _COMPLEX
    return text


def _exact(text: str) -> int | float | Number:
    """A number that keeps its characters: money columns arrive as `90000.50`."""
    if "." in text:
        value = float(text)
        return value if repr(value) == text else Number(text)
    return int(text) if len(text) <= 15 else Number(text)
