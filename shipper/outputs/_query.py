"""Queries in Lucene query string syntax, compiled to a predicate over events and to SQL that narrows the search.

The grammar is luqum's. What is understood: `field:value`, `"quoted phrases"`, `*` and `?`, ranges `[a TO b]` and
`{a TO b}`, `>` `>=` `<` `<=`, AND OR NOT `+` `-`, groups, `field:(a OR b)`, `_exists_:field`, `*:*`, escaped
characters, bare words, dates with date math. Terms that only stand side by side must all match (ask OpenSearch with
`default_operator: AND` for the same answer). Regular expressions, fuzziness, proximity and boosts are refused.

The predicate alone decides what is found. The SQL (`Query.where`) is a necessary condition on the store's extracted
columns, never a sufficient one. Reference for users: docs/reference/search.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from luqum import tree
from luqum.exceptions import ParseError
from luqum.thread import parse as parse_lucene

import mappings
from shipper.errors import UsageError
from shipper.model import Event
from shipper.outputs._match import (
    FLAT_OBJECTS,
    Literal,
    Test,
    Wild,
    above,
    below,
    contains_words,
    equals,
    has_wildcards,
    leaves,
    reader,
    spelled,
    split_wildcards,
)
from shipper.outputs._when import instant
from shipper.schema import fields

COLUMNS = {
    "event.module": "module",
    "event.action": "action",
    "event.outcome": "outcome",
    "user.id": "user_id",
    "user.name": "user_name",
    "trail.object.key": "object_key",
    "trail.object.type": "object_type",
    "trail.object.id": "object_id",
    "trail.change.field": "field",
    "trail.interface": "interface",
    "data_stream.dataset": "dataset",
}
"""Fields that the store keeps in columns of their own. They are names: exact, never dates, numbers or addresses."""

LOOK_INSIDE = "\x00"
"""What such a column holds where the document has no single text there (a list, a number): look into the document."""

DEFAULT_FIELDS = ("message", "user.*", "trail.object.*", "trail.change.*")
"""Where a bare word or phrase is looked for."""

TEXT_FIELDS = frozenset({"message", "error.message"})
DATE_FIELDS = frozenset(
    {
        "@timestamp",
        "event.created",
        "event.start",
        "event.end",
        "event.ingested",
        "trail.change.changed_after",
        "trail.change.changed_before",
        "trail.origin.received",
        "trail.time.after",
        "trail.time.before",
        "trail.alert.window_start",
        "trail.alert.window_end",
        "trail.verify.since",
        "trail.verify.until",
    }
)
"""All indexed fields of type date, and one that the pipeline of a server's owner may add."""

_BELOW_FLAT = tuple(f"{name}." for name in sorted(FLAT_OBJECTS))
_PLAIN = re.compile(r"[ !#-\[\]-~]+")
_LONGEST = 4096
_DEEPEST = 50
_DEEPEST_TREE = 150
"""Operations within each other: enough for every group in every place, and far from Python's limit of 1,000 calls."""
_POSITION = re.compile(r" at (?:position (\d+)|the end)!?$")

Predicate = Callable[[Event], bool]
Param = str | int | bytes


class _Part(NamedTuple):
    """A compiled part: the predicate, and SQL that holds wherever the predicate does ("" = nothing known)."""

    matches: Predicate
    where: str = ""
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled query. `where` (SQL over the store's columns, "" = all rows) holds wherever `matches` does."""

    text: str
    matches: Predicate
    where: str = ""
    params: tuple[Param, ...] = ()


def compile_query(text: str, now: float) -> Query:
    """The query `text`, with `now` (seconds since the epoch) for date math; blank text matches every event.

    Raises `UsageError` with the position of what is wrong and a hint.
    """
    if not text.strip():
        return Query(text, lambda _: True)
    if len(text) > _LONGEST:
        raise UsageError("read query", "", f"longer than {_LONGEST} characters", "split it into several searches")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("read query", "", "is not UTF-8 text", "use a UTF-8 terminal") from None
    if text.count("(") > _DEEPEST:
        raise UsageError("read query", "", f"more than {_DEEPEST} groups", "field:(a OR b OR c) takes many values")
    try:
        root = parse_lucene(text)
    except ParseError as error:
        raise _syntax_error(text, str(error)) from None
    except RecursionError:
        raise _too_deep() from None
    part = _Compiler(now).compile(root)
    return Query(text, part.matches, part.where, part.params)


def unquoted(node: tree.Item) -> str:
    """The text that a word, a phrase or the end of a range stands for, wildcards taken as they are."""
    if isinstance(node, tree.Prohibit):  # [-5 TO 5]
        return f"-{node.a}"
    text = node.value[1:-1] if isinstance(node, tree.Phrase) else node.value
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def quote(value: str) -> str:
    """`value` as a quoted phrase that means exactly this text."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _syntax_error(text: str, message: str) -> UsageError:
    found = _POSITION.search(message)
    position = int(found[1]) if found and found[1] else len(text)
    cause = "ends too early" if position >= len(text) else f"{text[position]!r} is not expected here"
    hint = 'put values with spaces, colons or a leading minus into quotes: field:"2001:db8::1", field:>="-5"'
    if text.count('"') % 2:
        hint = 'a quote " is not closed; a quote within a value is written \\"'
    elif text.count("(") != text.count(")"):
        hint = "parentheses come in pairs: field:(a OR b)"
    return UsageError("read query", f"position {position + 1}", cause, hint)


def _too_deep() -> UsageError:
    return UsageError("read query", "", "nested too deeply", "NOT, + and - once before a term or a group")


def _field(name: str) -> tuple[str, str]:
    """A field without the name of the other way in which OpenSearch indexes it as well, and that name: lc, text, ""."""
    path, _, way = name.rpartition(".")
    # Below a flat object it is a member like any other.
    return (path, way) if way in {"lc", "text"} and not name.startswith(_BELOW_FLAT) else (name, "")


def _is_flat(path: str) -> bool:
    return path in FLAT_OBJECTS or path.startswith(_BELOW_FLAT)


def _refused(node: tree.Item, cause: str, hint: str) -> UsageError:
    return UsageError("read query", "" if node.pos is None else f"position {node.pos + 1}", cause, hint)


class _Compiler:
    """Walks luqum's tree. `field` is the field whose values a part is about, None outside `field:`."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._depth = 0

    def compile(self, node: tree.Item, field: str | None = None) -> _Part:
        self._depth += 1
        if self._depth > _DEEPEST_TREE:
            raise _too_deep()
        part = self._compile(node, field)
        self._depth -= 1
        return part

    def _compile(self, node: tree.Item, field: str | None) -> _Part:
        match node:
            case tree.SearchField():
                return self._search_field(node, field)
            case tree.Group() | tree.FieldGroup():
                return self.compile(node.expr, field)
            case tree.AndOperation() | tree.UnknownOperation():
                return _all([self.compile(operand, field) for operand in node.operands])
            case tree.OrOperation():
                return _any([self.compile(operand, field) for operand in node.operands])
            case tree.Plus():
                return self.compile(node.a, field)
            case tree.Prohibit() if field is not None and isinstance(node.a, tree.Word):
                raise _refused(
                    node, "a minus before a value can be read two ways", f'{field}:"-{node.a}" or NOT {field}:{node.a}'
                )
            case tree.Not() | tree.Prohibit():
                inner = self.compile(node.a, field).matches
                return _Part(lambda event: not inner(event))
            case tree.Word() | tree.Phrase():
                return self._term(node, field)
            case tree.Range() | tree.From() | tree.To():
                return self._range(node, field)
            case tree.Regex():
                raise _refused(node, "regular expressions are not supported", "use * and ?, or quote a value with /")
            case tree.Fuzzy() | tree.Proximity():
                raise _refused(node, "~ (fuzziness) is not supported", "use * and ?; a ~ in a value is written \\~")
            case tree.Boost():
                raise _refused(node, "^ (boost) is not supported: results are in order of time", "leave it out")
            case _:
                raise _refused(node, f"{type(node).__name__} is not supported", "docs/reference/search.md")

    def _search_field(self, node: tree.SearchField, field: str | None) -> _Part:
        if field is not None:
            hint = f"{field}:{quote(f'{node.name}:{node.expr}')}"
            raise _refused(node, "a value that holds a colon needs quotes", hint)
        if node.name == "_exists_":
            if not isinstance(node.expr, tree.Word | tree.Phrase):
                raise _refused(node, "_exists_ takes the name of a field", "_exists_:trail.change.old")
            return _exists(node.expr.value.strip('"'))
        if node.name.startswith("!"):
            raise _refused(node, "! is not supported", f"NOT {node.name[1:]}:{node.expr}")
        # OpenSearch wants the star in a field's name escaped; a name that holds a real star does not exist in ECS.
        return self.compile(node.expr, node.name.replace("\\*", "*"))

    def _literal(self, node: tree.Item, field: str | None) -> Literal:
        exact = isinstance(node, tree.Prohibit | tree.Phrase)
        literal = Literal.exact(unquoted(node), self._now) if exact else Literal.term(node.value, self._now)
        if field in DATE_FIELDS and literal.span is None and literal.pieces != (Wild.MANY,):
            raise _refused(node, f"{literal.text!r} is not a date", f"{field}:[2026-01-01 TO now-1d]")
        return literal

    def _term(self, node: tree.Word | tree.Phrase, field: str | None) -> _Part:
        if field is None and node.value in ("&&", "||", "!"):
            raise _refused(node, f"{node.value} is not supported", "write AND, OR, NOT")
        if isinstance(node, tree.Word) and node.value == "*":
            return _Part(lambda _: True) if field in (None, "*") else _exists(field or "*")
        literal = self._literal(node, field)
        if field is None:
            return _Part(_anywhere(literal))
        path, way = _field(field)
        keyword, fold = path in COLUMNS, way == "lc"
        if path in TEXT_FIELDS or way == "text":
            return _Part(_on(path, contains_words(literal)))
        test = spelled(literal) if _is_flat(path) else equals(literal, keyword=keyword, fold=fold)
        matches = _on(path, _dated(test) if path in DATE_FIELDS else test)
        if fold:
            return _Part(matches)
        if path == "@timestamp" and literal.span is not None:
            return _Part(matches, "ts >= ? AND ts < ?", tuple(literal.span))
        return _Part(matches, *(_column_where(COLUMNS[path], literal) if keyword else _bytes_where(literal)))

    def _range(self, node: tree.Range | tree.From | tree.To, field: str | None) -> _Part:
        if field is None:
            raise _refused(node, "a range needs a field", f"@timestamp:{node}")
        tests: list[Test] = []
        limits: list[tuple[str, int]] = []
        path, way = _field(field)
        keyword, fold, texts = path in COLUMNS, way == "lc", _is_flat(path)
        lower, upper = bounds(node)
        for side, bound, name in ((lower, above, "ts >= ?"), (upper, below, "ts < ?")):
            if side is None or (isinstance(side[0], tree.Word) and side[0].value == "*"):
                continue
            literal, include = self._literal(side[0], field), side[1]
            if literal.pieces:
                raise _refused(node, "a range takes no wildcards", f"{field}:[a TO b], with * alone for no limit")
            test = bound(literal, include=include, keyword=keyword, fold=fold, texts=texts)
            tests.append(_dated(test) if field in DATE_FIELDS else test)
            if field == "@timestamp" and literal.span is not None:
                at_begin = include if bound is above else not include
                limits.append((name, literal.span.lo if at_begin else literal.span.hi))
        if not tests:
            return _exists(field)
        where = " AND ".join(name for name, _ in limits)
        return _Part(_on(path, lambda value: all(test(value) for test in tests)), where, tuple(v for _, v in limits))


_Side = tuple[tree.Item, bool] | None


def bounds(node: tree.Range | tree.From | tree.To) -> tuple[_Side, _Side]:
    """The lower and the upper bound, each with whether it belongs to the range itself."""
    if isinstance(node, tree.Range):
        return (node.low, node.include_low), (node.high, node.include_high)
    return ((node.a, node.include), None) if isinstance(node, tree.From) else (None, (node.a, node.include))


def _dated(test: Test) -> Test:
    """`test` for a date field: what is not a date is neither before nor after anything."""
    return lambda value: isinstance(value, str) and instant(value) is not None and test(value)


def _on(path: str, test: Test) -> Predicate:
    values = reader(path)
    return lambda event: any(test(value) for value in values(event))


def _anywhere(literal: Literal) -> Predicate:
    """The predicate of a bare word or phrase: as words in text fields, as the whole value in the others."""
    in_text = contains_words(literal)
    whole, folded = (equals(literal, keyword=True, fold=fold) for fold in (False, True))
    known, lower = fields(), mappings.component_templates().lower

    def fits(path: str, value: Any) -> bool:
        if literal.pieces and not isinstance(value, str):
            return False  # a number has no beginning
        if whole(value):
            return True
        field = known.get(path)
        if field is None:
            return False
        return ((field.lower or path in lower) and folded(value)) or (field.text and in_text(value))

    def test(event: Event) -> bool:
        if in_text(event.get("message")):
            return True
        trail = event.get("trail")
        parts = {"user": event.get("user")}
        if isinstance(trail, dict):
            parts |= {"trail.object": trail.get("object"), "trail.change": trail.get("change")}
        return any(fits(path, value) for name, part in parts.items() for path, value in leaves(part, name))

    return test


def _exists(name: str) -> _Part:
    path, _ = _field(name)
    if path in COLUMNS:
        return _Part(_on(path, lambda _: True), f"{COLUMNS[path]} IS NOT NULL")
    if has_wildcards(split_wildcards(path)):
        return _Part(_on(path, lambda _: True))
    values, below_it = reader(path), reader(path + ".*")
    return _Part(lambda event: any(True for _ in values(event)) or any(True for _ in below_it(event)))


def _column_where(column: str, literal: Literal) -> tuple[str, tuple[Param, ...]]:
    if not literal.pieces:
        return f"{column} IN (?, ?)", (literal.text, LOOK_INSIDE)
    prefix = literal.pieces[0]
    if isinstance(prefix, Wild):
        return f"{column} IS NOT NULL", ()
    # SQLite compares text by its UTF-8 bytes: nothing that begins with the prefix sorts after prefix + U+10FFFF.
    return f"({column} BETWEEN ? AND ? OR {column} = ?)", (prefix, prefix + "\U0010ffff", LOOK_INSIDE)


def _bytes_where(literal: Literal) -> tuple[str, tuple[Param, ...]]:
    """The value's own characters stand in the document's bytes, where it can be spelled in one way only.

    That holds for printable ASCII without quote and backslash, which canonical JSON never escapes, and not for what
    compares as a date, a network or a number with more than one spelling.
    """
    text = literal.text
    if literal.pieces or literal.span or literal.network or not _PLAIN.fullmatch(text):
        return "", ()
    if literal.number is not None and not (len(text) < 16 and "." not in text and str(literal.number) == text):
        return "", ()
    if literal.address is not None and literal.address.version == 6:
        return "", ()
    return "instr(data, ?) > 0", (text.encode(),)


def _all(parts: Sequence[_Part]) -> _Part:
    tests = [part.matches for part in parts]
    known = [part for part in parts if part.where]
    where = " AND ".join(f"({part.where})" for part in known)
    return _Part(
        lambda event: all(test(event) for test in tests), where, tuple(value for part in known for value in part.params)
    )


def _any(parts: Sequence[_Part]) -> _Part:
    tests = [part.matches for part in parts]
    matches: Predicate = lambda event: any(test(event) for test in tests)  # noqa: E731 - one line, as its sibling above
    if not all(part.where for part in parts):
        return _Part(matches)
    where = " OR ".join(f"({part.where})" for part in parts)
    return _Part(matches, where, tuple(value for part in parts for value in part.params))
