"""How one value of an event is held against one literal of a query. Pure.

The rules follow OpenSearch's field types without needing its mapping: numbers compare as numbers, dates as dates,
addresses as addresses, `message` by words, everything else as a keyword, which is exact and case sensitive.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from shipper.outputs._when import Span, instant, parse_span

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"-?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?")
_WORDS = re.compile(
    r"[\u3040-\u309f\u3400-\u9fff\uf900-\ufaff]"
    r"|(?:[^\W\u3040-\u309f\u3400-\u9fff\uf900-\ufaff]"
    r"|(?<=[^\W\d_])[.:'\u2019\u00b7](?=[^\W\d_])|(?<=\d)[.,;'\u2019](?=\d))+"
)
"""Words as the standard tokenizer of Lucene cuts them (Unicode Standard Annex 29): a dot or a colon between letters and
a dot or a comma between digits are within a word, and each Han or Hiragana character is one of its own."""
_IPV4 = 0xFFFF << 32
FLAT_OBJECTS = frozenset({"trail.raw", "trail.values", "labels"})
"""Objects whose values are all texts to OpenSearch (`flat_object`)."""


class Wild(Enum):
    """A wildcard in a pattern; an escaped `*` is plain text."""

    MANY = "*"
    ONE = "?"


Piece = str | Wild


class Glob:
    """A pattern of `*` (any text) and `?` (any one character), matched in linear time.

    Not a regular expression with `.*` in it: those backtrack, and a query of twenty stars would stop the search.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        segments, lengths = [""], [0]
        for piece in pieces:
            if piece is Wild.MANY:
                segments.append("")
                lengths.append(0)
            else:
                segments[-1] += "." if isinstance(piece, Wild) else re.escape(piece)
                lengths[-1] += 1 if isinstance(piece, Wild) else len(piece)
        self._parts = [re.compile(segment, re.DOTALL) for segment in segments]
        self._tail_length = lengths[-1]

    def matches(self, text: str) -> bool:
        """True if the whole of `text` fits."""
        if len(self._parts) == 1:
            return self._parts[0].fullmatch(text) is not None
        head = self._parts[0].match(text)
        if head is None:
            return False
        at = head.end()
        for part in self._parts[1:-1]:
            found = part.search(text, at)
            if found is None:
                return False
            at = found.end()
        start = len(text) - self._tail_length
        return start >= at and self._parts[-1].match(text, start) is not None


def lowered(pieces: Sequence[Piece]) -> list[Piece]:
    """The pattern for texts in lower case."""
    return [piece.lower() if isinstance(piece, str) else piece for piece in pieces]


def split_wildcards(raw: str) -> list[Piece]:
    """The parts of an unquoted term: wildcards, and literal text with its backslashes resolved."""
    pieces: list[Piece] = []
    text = ""
    characters = iter(raw)
    for character in characters:
        if character == "\\":
            text += next(characters, "\\")
        elif character in "*?":
            pieces += [text, Wild(character)] if text else [Wild(character)]
            text = ""
        else:
            text += character
    return [*pieces, text] if text else pieces


def has_wildcards(pieces: Sequence[Piece]) -> bool:
    """True if the term stands for more than one text."""
    return any(isinstance(piece, Wild) for piece in pieces)


def number(text: str) -> float | None:
    """`text` as a number (an int where it is one), None if it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    return float(text) if "." in text or "e" in text.lower() else int(text)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _number(address: Address) -> int:
    """The place of an address among all: those of IPv4 stand at ::ffff:0:0/96, as in OpenSearch."""
    return int(address) + _IPV4 if address.version == 4 else int(address)


def _inside(address: Address, network: Network) -> bool:
    return _number(network[0]) <= _number(address) <= _number(network[-1])


def words(text: str) -> list[str]:
    """The lower-case words of a text field, in order."""
    return _WORDS.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal of a query, read in every way that it can be read."""

    text: str
    pieces: tuple[Piece, ...]
    """The parts of a term with wildcards, empty for a plain one."""
    number: float | None
    span: Span | None
    address: Address | None
    network: Network | None

    @classmethod
    def term(cls, raw: str, now: float) -> Literal:
        """An unquoted term: wildcards count, a backslash takes the next character as it is."""
        pieces = split_wildcards(raw)
        if has_wildcards(pieces):
            return cls(raw, tuple(pieces), None, None, None, None)
        return cls.exact("".join(str(piece) for piece in pieces), now)

    @classmethod
    def exact(cls, text: str, now: float) -> Literal:
        """A quoted text, or a term without wildcards."""
        return cls(text, (), number(text), parse_span(text, now), _address(text), _network(text))


Test = Callable[[Any], bool]
"""Does this leaf value (text, number, boolean) fit?"""


def equals(literal: Literal, *, keyword: bool, fold: bool) -> Test:
    """A test for `field:literal`. `keyword`: the field holds names, never dates or addresses; `fold`: in lower case."""
    text = literal.text.lower() if fold else literal.text
    if literal.pieces:
        fits = Glob(lowered(literal.pieces) if fold else literal.pieces).matches
        return lambda value: fits(_shown(value, fold=fold))

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return text == ("true" if value else "false")
        if isinstance(value, int | float):
            return literal.number == value
        if not isinstance(value, str):
            return False
        if (value.lower() if fold else value) == text:
            return True
        if keyword:
            return False
        if literal.span is not None:
            when = instant(value)
            return when is not None and literal.span.lo <= when < literal.span.hi
        if literal.network is not None:
            found = _address(value)
            return found is not None and _inside(found, literal.network)
        if literal.address is None:
            return False
        found = _address(value)
        return found is not None and _number(found) == _number(literal.address)

    return test


def spelled(literal: Literal) -> Test:
    """A test for values that are all texts: numbers and the like as JSON spells them."""
    if literal.pieces:
        return equals(literal, keyword=True, fold=False)
    return lambda value: _shown(value, fold=False) == literal.text


def contains_words(literal: Literal) -> Test:
    """A test for a text field: the literal's words stand in the value, one after the other."""
    if literal.pieces:
        glob = Glob(lowered(literal.pieces))
        return lambda value: isinstance(value, str) and any(glob.matches(word) for word in words(value))
    wanted = words(literal.text)
    size = len(wanted)

    def test(value: Any) -> bool:
        if not isinstance(value, str) or not size:
            return False
        have = words(value)
        return any(have[k : k + size] == wanted for k in range(len(have) - size + 1))

    return test


def above(literal: Literal, *, include: bool, keyword: bool, fold: bool = False, texts: bool = False) -> Test:
    """A test for `> literal`, with `include` `>= literal`; `texts`: all values are texts, numbers too."""
    return _ordered(literal, keyword=keyword, fold=fold, texts=texts, sign=1, include=include)


def below(literal: Literal, *, include: bool, keyword: bool, fold: bool = False, texts: bool = False) -> Test:
    """A test for `< literal`, with `include` `<= literal`; `texts`: all values are texts, numbers too."""
    return _ordered(literal, keyword=keyword, fold=fold, texts=texts, sign=-1, include=include)


def _ordered(literal: Literal, *, keyword: bool, fold: bool, texts: bool, sign: int, include: bool) -> Test:
    if not fold and not texts:
        return _compared(literal, keyword=keyword, sign=sign, include=include)
    text = literal.text.lower() if fold else literal.text

    def test(value: Any) -> bool:
        have = _shown(value, fold=fold)
        return include if have == text else have > text if sign > 0 else have < text

    return test


def _compared(literal: Literal, *, keyword: bool, sign: int, include: bool) -> Test:
    span = literal.span

    def order(have: Any, want: Any) -> bool:
        if have == want:
            return include
        return bool(have > want) if sign > 0 else bool(have < want)

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return False
        if isinstance(value, int | float):
            return literal.number is not None and order(value, literal.number)
        if not isinstance(value, str):
            return False
        if not keyword:
            if span is not None and (when := instant(value)) is not None:
                if sign > 0:
                    return when >= (span.lo if include else span.hi)
                return when < (span.hi if include else span.lo)
            if literal.number is not None and (have := number(value)) is not None:
                return order(have, literal.number)
            if literal.address is not None:
                found = _address(value)
                return found is not None and order(_number(found), _number(literal.address))
        return order(value, literal.text)

    return test


def _shown(value: Any, *, fold: bool) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text.lower() if fold else text


def read(event: Any, path: Sequence[str]) -> Iterator[Any]:
    """Every leaf value at `path`; lists are entered, foreign keys that hold dots are found, null is no value."""
    if event is None:
        return
    if isinstance(event, list):
        for item in event:
            yield from read(item, path)
        return
    if not path:
        if not isinstance(event, dict):
            yield event
        return
    if isinstance(event, dict):
        for size in range(1, len(path) + 1):
            key = path[0] if size == 1 else ".".join(path[:size])
            if key in event:
                yield from read(event[key], path[size:])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf below `value` with its dotted path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None:
        yield path, value


def reader(path: str) -> Callable[[Any], Iterator[Any]]:
    """A function from an event to the leaf values of `path`, whose `*` and `?` (if any) stand for parts of names.

    A `flat_object` (`trail.raw`, `trail.values`, `labels`) named as a whole gives all its values, as in OpenSearch.
    """
    pieces = split_wildcards(path)
    if has_wildcards(pieces):
        glob = Glob(pieces)
        return lambda event: (value for name, value in leaves(event) if glob.matches(name))
    parts = "".join(str(piece) for piece in pieces).split(".")
    if path in FLAT_OBJECTS:
        return lambda event: (value for _, value in leaves(_child(event, parts)))
    return lambda event: read(event, parts)


def _child(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
