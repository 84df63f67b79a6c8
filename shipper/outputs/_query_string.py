r"""A query in our syntax, written so that OpenSearch's `query_string` takes it to mean the same as the store does.

Lucene's own parser reads some of it otherwise: `a OR b AND c` by no precedence at all, `:>"-5"` as two terms,
`@timestamp:2026-03` as the first of March, the slash of a network as the start of a regular expression, `\<` at the
start of a value as "less than". So every operation is put into parentheses, every value into quotes, every date into
its two ends. Sources: Apache Lucene, classic query parser; OpenSearch documentation, "Query string".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from luqum import tree
from luqum.thread import parse as parse_lucene

from shipper.outputs._match import Wild, has_wildcards, split_wildcards
from shipper.outputs._query import DATE_FIELDS, bounds, compile_query, quote, unquoted
from shipper.outputs._when import Span, parse_span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPECIAL = re.compile(r'[+\-=&|><!(){}\[\]^"~*?:\\/\s]')


def query_string(text: str, now: float) -> str:
    """`text` for `query_string`; `now` (s since the epoch) for date math. Raises `UsageError` as the store does."""
    compile_query(text, now)
    return _Writer(now).write(parse_lucene(text), None)


class _Writer:
    """Walks a tree that has been compiled, so that it holds nothing that is not understood."""

    def __init__(self, now: float) -> None:
        self._now = now

    def write(self, node: tree.Item, field: str | None) -> str:
        match node:
            case tree.SearchField() if node.name == "_exists_":
                return "_exists_:" + str(node.expr.value).strip('"')
            case tree.SearchField():
                return self.write(node.expr, node.name)
            case tree.Group() | tree.FieldGroup() | tree.Plus():
                return self.write(node.children[0], field)
            case tree.OrOperation():
                return self._joined(" OR ", node.operands, field)
            case tree.AndOperation() | tree.UnknownOperation():
                return self._joined(" AND ", node.operands, field)
            case tree.Not() | tree.Prohibit():
                return f"(*:* AND NOT {self.write(node.a, field)})"
            case tree.Range() | tree.From() | tree.To():
                return self._range(node, field or "")
            case _:
                return self._term(node, field)

    def _joined(self, word: str, operands: Sequence[tree.Item], field: str | None) -> str:
        return f"({word.join(self.write(one, field) for one in operands)})"

    def _term(self, node: tree.Word | tree.Phrase, field: str | None) -> str:
        before = "" if field is None else f"{field}:"
        if isinstance(node, tree.Word):
            if node.value == "*":
                return "*:*" if field in (None, "*") else f"_exists_:{field}"
            pieces = split_wildcards(node.value)
            if has_wildcards(pieces):
                return before + "".join(
                    piece.value if isinstance(piece, Wild) else _SPECIAL.sub(r"\\\g<0>", piece) for piece in pieces
                )
        text = unquoted(node)
        span = parse_span(text, self._now) if field in DATE_FIELDS else None
        if span is not None:
            return f"{field}:[{_moment(span.lo)} TO {_moment(span.hi)}}}"
        return before + quote(text)

    def _range(self, node: tree.Range | tree.From | tree.To, field: str) -> str:
        sides = []
        for side, lower in zip(bounds(node), (True, False), strict=True):
            if side is None or (isinstance(side[0], tree.Word) and side[0].value == "*"):
                sides.append(("*", True))
                continue
            text, include = unquoted(side[0]), side[1]
            span = parse_span(text, self._now) if field in DATE_FIELDS else None
            sides.append((quote(text), include) if span is None else _end(span, lower=lower, include=include))
        (low, with_low), (high, with_high) = sides
        return f"{field}:{'[' if with_low else '{'}{low} TO {high}{']' if with_high else '}'}"


def _end(span: Span, *, lower: bool, include: bool) -> tuple[str, bool]:
    """One end of a range of dates, and whether it belongs to it: the span is a half-open one."""
    return _moment(span.lo if lower == include else span.hi), lower


def _moment(micros: int) -> str:
    when = _EPOCH + timedelta(milliseconds=micros // 1000)
    # Not strftime, which writes the year 800 with three digits.
    return f'"{when.replace(tzinfo=None).isoformat(timespec="milliseconds")}Z"'
