"""Bytes into records that may be more than a line: rows of CSV, JSON documents, lines that belong together. Pure.

`GroupFramer` is `LineFramer` with groups: which ones is told by a `Framing` and the first line of the stream. Streams
of lines pass through it as they are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shipper._groupers import MAX_BYTES, MAX_LINES, Auditd, Documents, Grouper, Multiline, Rows, State
from shipper.framing import MAX_LINE, Block, LineFramer
from shipper.patterns import MATCH_SECONDS, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from parsers._contract import Format
    from shipper.model import Record

LINES: Final = "lines"
DOCUMENT: Final = "json_document"
CSV: Final = "csv"
MULTILINE: Final = "multiline"
AUDITD: Final = "auditd"
POSTGRESQL: Final = "postgresql"
_ROWS, _TABBED, _UNKNOWN = "rows", "tabbed", ""
TIMEOUT: Final = 2.0
MAX_JSON_LINE: Final = 16 * 1024 * 1024
"""Bytes kept of one line of JSON: vendors put whole pages of records on one, and cut in two it is worth nothing."""
MAX_HEADER: Final = 16 * 1024
"""A longer first line is no header: it would be in memory with every row."""

_CSVLOG: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})? [^\s,\"]{1,40},")
_JSON: Final = re.compile(rb'\s*(?:\{|\[\s*(?:[\[{"\]]|$))')


class Framing(NamedTuple):
    """How a stream is cut. `kind` is that of `parsers._contract.Format.framing`, or `json_document`.

    `start`: where a record of `multiline` begins; `limited`: a user wrote it, so that each look has a time limit, and a
    line that takes longer begins nothing. `strict`: `kind` was asked for, whatever the first line looks like.
    `timeout`: seconds of quiet after which a group of which nobody can tell the end is given out.
    """

    kind: str = LINES
    start: bytes = b""
    strict: bool = False
    max_lines: int = MAX_LINES
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT
    limited: bool = False

    @classmethod
    def of(cls, card: Format) -> Framing:
        """What a format says itself."""
        return cls(card.framing, card.start)

    def kind_of(self, first: bytes) -> str:
        """The kind of a stream whose first line that is not empty is `first`."""
        if self.strict:
            return self.kind
        if b"".join(first.split()) in {b"{", b"[", b"[{"}:
            return DOCUMENT
        if self.kind == MULTILINE and _begins(self.start, self.limited)(first):
            return MULTILINE
        if self.kind in {LINES, AUDITD}:
            return self.kind
        if _JSON.match(first):
            return LINES
        if self.kind == POSTGRESQL:
            return _ROWS if _CSVLOG.match(first) else _TABBED
        return self.kind

    def grouper(self, kind: str, first: bytes, state: Mapping[str, Any] | None) -> Grouper | None:
        """What groups the lines of a stream; None where each is a record."""
        if kind == CSV and len(first) <= MAX_HEADER:
            return Rows(first)
        if kind == _ROWS:
            return Rows()
        if kind == DOCUMENT:
            return Documents(state)
        if kind == AUDITD:
            return Auditd(self.max_lines, self.max_bytes, state)
        if kind in {MULTILINE, _TABBED}:
            begins = _begins(self.start, self.limited) if kind == MULTILINE else _is_not_tabbed
            return Multiline(
                begins, alone=kind == MULTILINE, max_lines=self.max_lines, max_bytes=self.max_bytes, state=state
            )
        return None


@lru_cache(maxsize=64)
def _begins(start: bytes, limited: bool) -> Callable[[bytes], object]:  # noqa: FBT001 - a key of the cache
    """Whether a line begins a record, as a function."""
    if not limited:
        return re.compile(start).match
    pattern = compiled(start)

    def begins(line: bytes) -> object:
        try:
            return pattern.match(line, timeout=MATCH_SECONDS)
        except TimeoutError:
            return None

    return begins


def lines_only(form: str) -> Framing:
    """A framing by format, where every format is of lines."""
    del form
    return Framing()


def _is_not_tabbed(line: bytes) -> bool:
    return not line.startswith(b"\t")


class GroupFramer:
    """Cuts one stream into records, like `LineFramer`.

    `offset` is the place of the first byte that was not given out: the first line of the first group held, else the
    unfinished line. `state` goes with it into the position. A stream that is resumed is given both, and `first`, the
    first line of the stream that is not empty, where it lies before `offset`.

    `max_line` is the limit of lines that are text; of lines of JSON it is `MAX_JSON_LINE`, unless a lower limit than
    the usual one was asked for.
    """

    __slots__ = ("_begun", "_first", "_framing", "_grouper", "_kind", "_lines", "_text_line")

    def __init__(
        self,
        framing: Framing = Framing(),  # noqa: B008 - it is frozen
        offset: int = 0,
        encoding: str = "",
        max_line: int = MAX_LINE,
        *,
        state: Mapping[str, Any] | None = None,
        first: bytes = b"",
    ) -> None:
        self._framing = framing
        self._text_line = max_line
        longest = max_line if max_line < MAX_LINE else max(max_line, MAX_JSON_LINE)  # until the first line was seen
        self._lines = LineFramer(offset, encoding, longest, keep_empty=True)
        self._kind = _UNKNOWN
        self._first = b""
        self._grouper: Grouper | None = None
        self._begun = state  # until the kind is known
        if first:
            self._choose(first)

    def _choose(self, first: bytes) -> None:
        self._kind = kind = self._framing.kind_of(first)
        known = self._begun if self._begun and self._begun.get("kind") == kind else None
        self._grouper, self._begun = self._framing.grouper(kind, first, known), None
        self._first = first if kind == CSV else b""
        self._lines.keep_empty = self._grouper is not None
        if kind != LINES or not _JSON.match(first):
            self._lines.max_line = self._text_line

    # -- as LineFramer -------------------------------------------------------------------------------------------------

    @property
    def offset(self) -> int:
        """The place of the first byte that was not given out."""
        held = None if self._grouper is None else self._grouper.held
        return self._lines.offset if held is None else held

    @property
    def end(self) -> int:
        """The place of the next byte to feed."""
        return self._lines.end

    @property
    def encoding(self) -> str:
        """As of `LineFramer`."""
        return self._lines.encoding

    @property
    def max_line(self) -> int:
        """As of `LineFramer`, for text."""
        return self._text_line

    @property
    def longest(self) -> int:
        """Bytes kept of the next line: more than `max_line` where it is, or may be, JSON."""
        return self._lines.max_line

    @property
    def truncated(self) -> dict[int, int]:
        """As of `LineFramer`: by the offset of the line, which need not be that of its record."""
        return self._lines.truncated

    @property
    def nul_bytes(self) -> int:
        """As of `LineFramer`."""
        return self._lines.nul_bytes

    @property
    def replaced(self) -> int:
        """As of `LineFramer`."""
        return self._lines.replaced

    @property
    def hollow(self) -> bool:
        """As of `LineFramer`."""
        return self._lines.hollow

    @property
    def partial(self) -> bytes:
        """As of `LineFramer`."""
        return self._lines.partial

    def feed_hole(self, count: int) -> None:
        """As of `LineFramer`."""
        self._lines.feed_hole(count)

    def rewind(self) -> None:
        """Forget all that was not given out; the next byte to feed is the one at `offset`."""
        state = self.state
        self._lines.rewind(self.offset)
        if self._grouper is not None:
            self._grouper = self._framing.grouper(self._kind, self._first, state)

    def feed(self, chunk: bytes) -> Sequence[Record]:
        """The records that `chunk` completes, in order. `chunk` follows directly on what was fed before."""
        records = self._lines.feed(chunk)
        if self._kind and self._grouper is None:
            return records
        return self._grouped(records)

    def flush(self) -> list[Record]:
        """Give out all that is held, and the unfinished line although it has no end: for a stream that is over."""
        last = self._lines.flush()
        out = list(self._grouped([] if last is None else [last]))
        if self._grouper is not None:
            self._grouper.finish(out)
        return out

    # -- groups --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State | None:
        """What is to be known at `offset` to go on there, beside the first line; None: nothing."""
        if self._grouper is None:
            return dict(self._begun) if self._begun else None
        state = self._grouper.state
        return None if state is None else {"kind": self._kind, **state}

    @property
    def line(self) -> int:
        """The place of the unfinished line."""
        return self._lines.offset

    @property
    def ends(self) -> bool:
        """Whether the unfinished line, if that is all of it, ends the document that it belongs to."""
        return isinstance(self._grouper, Documents) and self._grouper.ends(self._lines.partial)

    @property
    def overdue(self) -> float | None:
        """Seconds of quiet after which `release` is to be called; None: nothing waits for that."""
        grouper = self._grouper
        return self._framing.timeout if grouper is not None and grouper.timed and grouper.held is not None else None

    def release(self) -> list[Record]:
        """Give out all whole lines that are held."""
        out: list[Record] = []
        if self._grouper is not None:
            self._grouper.finish(out)
        return out

    def _grouped(self, records: Sequence[Record]) -> Sequence[Record]:
        lines = records.lines() if isinstance(records, Block) else records
        at = 0 if self._kind else self._begin(lines)
        if self._grouper is not None:
            out: list[Record] = []
            for line in lines[at:]:
                self._grouper.take(line, out)
            return out
        return records if isinstance(records, Block) else [line for line in lines if line.data]

    def _begin(self, lines: Sequence[Record]) -> int:
        """Choose the kind by the first line that is not empty, if it is there; returns where the records begin."""
        for number, line in enumerate(lines):
            if line.data:
                self._choose(line.data)
                return number + (self._kind == CSV)  # a header is no record
        return len(lines)
