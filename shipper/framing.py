"""Bytes into records: the line framer. Pure: bytes are fed in, records come out, nothing is read or written here.

A record is one line without its line end, with the place where it stood. The rules:

- A line ends at LF. A CR directly before the LF belongs to the line end; any other CR is content.
- Empty lines give no record; the position passes them.
- A byte order mark at offset 0 belongs to the first line's `length`, not to its data. After a UTF-16 mark the line end
  is searched in code units and `data` is UTF-8; `offset` and `length` stay in bytes of the source.
- NUL bytes at the start of a line are the hole that a writer leaves who goes on at its old offset after somebody
  truncated the file: they are not data, they count in `length`, and `nul_bytes` counts them.
- A line longer than `max_line` bytes is given out as its first `max_line` bytes (cut back to a whole character) when
  its end is seen, with its true `length`; `truncated` says so. Memory stays bounded, however long the line is.

Whatever way a stream is split into feeds, the records are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, compress
from typing import TYPE_CHECKING, Final, cast, overload

from shipper.model import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LINE: Final = 1 << 20
"""Bytes kept of one line by default. A shipped event holds at most 64,000 bytes; this leaves room to parse."""

UTF8: Final = "utf-8"
UTF16_LE: Final = "utf-16-le"
UTF16_BE: Final = "utf-16-be"

_MARKS: Final = ((b"\xef\xbb\xbf", UTF8), (b"\xff\xfe", UTF16_LE), (b"\xfe\xff", UTF16_BE))

# One C call per record: `Record(...)` through the generated Python `__new__` costs three times as much.
_record = cast("Callable[[Iterable[object]], Record]", partial(tuple.__new__, Record))


Columns = tuple[list[bytes], list[int], list[int]]
"""Data, offsets and lengths of records, as many of each."""


class Block(Sequence[Record]):
    """Lines that stand one after the other from `offset` on, ending in LF; cut when the first of them is asked for.

    So they can be given to another process in one piece. `data` holds no NUL bytes and no line that is too long.
    """

    __slots__ = ("_columns", "_records", "data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data, self.offset = data, offset
        self._columns: Columns | None = None
        self._records: list[Record] | None = None

    def lines(self) -> list[Record]:
        """Every line, empty ones too."""
        return list(map(_record, zip(*self._split(), strict=True)))

    def _split(self) -> Columns:
        """Every line as three lists."""
        lines = self.data.split(b"\n")
        lines.pop()
        lengths = [len(line) + 1 for line in lines]
        offsets = list(accumulate(lengths, initial=self.offset))
        offsets.pop()
        if b"\r" in self.data:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        return lines, offsets, lengths

    def columns(self) -> Columns:
        """The records as three lists."""
        if self._columns is None:
            lines, offsets, lengths = self._split()
            if not all(lines):
                offsets, lengths = list(compress(offsets, lines)), list(compress(lengths, lines))
                lines = [line for line in lines if line]
            self._columns = lines, offsets, lengths
        return self._columns

    def _cut(self) -> list[Record]:
        if self._records is None:
            self._records = list(map(_record, zip(*self.columns(), strict=True)))
        return self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._cut())

    def __len__(self) -> int:
        return len(self.columns()[0])

    def __bool__(self) -> bool:
        return self.data[0] not in b"\r\n" or bool(self.data.strip(b"\r\n")) or bool(self._cut())

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> list[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | list[Record]:
        return self._cut()[at]

    def __eq__(self, other: object) -> bool:
        return self._cut() == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like a list


def columns_of(records: Sequence[Record]) -> Columns:
    """Data, offsets and lengths of records."""
    if isinstance(records, Block):
        return records.columns()
    return [record.data for record in records], [record.offset for record in records], [one.length for one in records]


def size_of(records: Sequence[Record]) -> int:
    """Bytes of the source that the records stand for; of a block without cutting it."""
    return len(records.data) if isinstance(records, Block) else sum(record.length for record in records)


class LineFramer:
    """Cuts one stream into lines.

    `offset` is the place of the first byte that was not given out yet: the start of the unfinished line. Every record
    given out lies before it, so it is the position to keep. `end` is the place of the next byte to feed.

    `encoding` is `utf-8`, `utf-16-le` or `utf-16-be`, and "" as long as a stream that begins at 0 has shown too few
    bytes to tell. A stream that is resumed is given the encoding it had.

    `truncated` maps the offset of each line that was cut to its true length in bytes, without hole and line end; the
    caller takes the entries out. `nul_bytes` and `replaced` (lines with units that are no UTF-16, given out with
    U+FFFD in their place) only grow. With `keep_empty`, empty lines are records too (of a `Block`, by `Block.lines`).
    """

    __slots__ = (
        "_begin",
        "_cr",
        "_held",
        "_holes",
        "_last",
        "_lead",
        "_length",
        "_odd",
        "_size",
        "encoding",
        "keep_empty",
        "max_line",
        "nul_bytes",
        "offset",
        "replaced",
        "truncated",
    )

    def __init__(
        self, offset: int = 0, encoding: str = "", max_line: int = MAX_LINE, *, keep_empty: bool = False
    ) -> None:
        if encoding not in {"", UTF8, UTF16_LE, UTF16_BE}:
            raise ValueError(f"not an encoding of lines: {encoding!r}")
        if max_line < 16:
            raise ValueError("max_line must be at least 16 bytes")
        self.offset = offset
        self.max_line = max_line
        self.keep_empty = keep_empty
        self.truncated: dict[int, int] = {}
        self.nul_bytes = 0
        self.replaced = 0
        self._begin = encoding or (UTF8 if offset else "")
        self._restart_line()
        self._lead = b""
        self._odd = b""
        self._set_encoding(self._begin)

    def _set_encoding(self, encoding: str) -> None:
        self.encoding = encoding
        self._cr = {UTF16_LE: b"\r\0", UTF16_BE: b"\0\r"}.get(encoding, b"\r")

    def _restart_line(self) -> None:
        self._held = bytearray()  # the unfinished line, at most max_line and one line end
        self._size = 0  # its bytes, without hole
        self._length = 0  # its bytes, all of them
        self._holes = 0  # the NUL bytes before its first other byte
        self._last = b""  # its last code unit

    @property
    def end(self) -> int:
        """The place of the next byte to feed."""
        return self.offset + self._length + len(self._lead) + len(self._odd)

    @property
    def hollow(self) -> bool:
        """True when the unfinished line consists of NUL bytes only: the writer may fill them in later."""
        return self._length > 0 and not self._held and not self._odd and self._holes == self._length

    @property
    def partial(self) -> bytes:
        """The unfinished line as far as it is known (UTF-8, at most `max_line` bytes)."""
        held = bytes(self._held[: self.max_line]) + self._odd
        if self.encoding in {UTF16_LE, UTF16_BE}:
            return held.decode(self.encoding, "replace").encode()
        return self._lead + held

    def rewind(self, offset: int | None = None) -> None:
        """Forget the unfinished line, and those from `offset` on; the next byte to feed is the one at `offset`."""
        self._restart_line()
        self.offset = self.offset if offset is None else offset
        self._lead = self._odd = b""
        if self.offset == 0:
            self._set_encoding(self._begin)

    def feed(self, chunk: bytes) -> Sequence[Record]:
        """The records that `chunk` completes, in order. `chunk` follows directly on what was fed before."""
        if not self.encoding:
            chunk = self._detect(chunk)
        if not chunk:
            return []
        return self._feed_bytes(chunk) if self.encoding == UTF8 else self._feed_wide(chunk)

    def feed_hole(self, count: int) -> None:
        """Feed `count` NUL bytes that nobody had to read (a hole in a sparse file); not for UTF-16."""
        if not self.encoding:
            self._assume_utf8()
        if self._size:
            self._hold(bytes(min(count, self.max_line + 1)))
            rest = max(0, count - self.max_line - 1)
            self._size += rest
        else:
            rest = count
            self._holes += count
        self._length += rest

    def flush(self) -> Record | None:
        """Give out the unfinished line although it has no end: for a stream of which no more can come."""
        if self._lead:
            self._assume_utf8()
        if self._odd:
            self._hold(self._odd)
            self._odd = b""
        return self._finish(0)

    def _detect(self, chunk: bytes) -> bytes:
        head = self._lead + chunk
        self._lead = b""
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                self._set_encoding(encoding)
                self._length = len(mark)
                return head[len(mark) :]
            if mark.startswith(head):
                self._lead = head
                return b""
        self._set_encoding(UTF8)
        return head

    def _assume_utf8(self) -> None:
        lead, self._lead = self._lead, b""
        self._set_encoding(UTF8)
        if lead:
            self._hold(lead)

    def _feed_bytes(self, chunk: bytes) -> Sequence[Record]:
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._hold(chunk)
            return []
        if self._length == len(self._held):  # nothing had to be left out of the unfinished line
            data = bytes(self._held) + chunk[:end]
            if len(data) <= self.max_line and b"\0" not in data:
                block = Block(data, self.offset)
                self.offset += len(data)
                self._restart_line()
                if end < len(chunk):
                    self._hold(chunk[end:])
                return block
        records: list[Record] = []
        start = 0
        while start < end:
            stop = chunk.index(b"\n", start)
            self._hold(chunk[start:stop])
            record = self._finish(1)
            if record is not None:
                records.append(record)
            start = stop + 1
        if end < len(chunk):
            self._hold(chunk[end:])
        return records

    def _feed_wide(self, chunk: bytes) -> list[Record]:
        chunk = self._odd + chunk
        even = len(chunk) & ~1
        self._odd = chunk[even:]
        newline = b"\n\0" if self.encoding == UTF16_LE else b"\0\n"
        records: list[Record] = []
        start = 0
        at = chunk.find(newline, 0, even)
        while at >= 0:
            if at & 1:  # the second half of one unit and the first of the next
                at = chunk.find(newline, at + 1, even)
                continue
            self._hold(chunk[start:at])
            record = self._finish(2)
            if record is not None:
                records.append(record)
            start = at + 2
            at = chunk.find(newline, start, even)
        self._hold(chunk[start:even])
        return records

    def _hold(self, piece: bytes) -> None:
        """Add `piece` to the unfinished line, as much of it as will be given out."""
        self._length += len(piece)
        if not self._size and piece[:1] == b"\0":
            hole = len(piece) - len(piece.lstrip(b"\0"))
            if self.encoding != UTF8:
                hole &= ~1  # the high byte of a big-endian letter is no hole
            self._holes += hole
            piece = piece[hole:]
        if not piece:
            return
        self._size += len(piece)
        self._last = piece[-len(self._cr) :]
        room = self.max_line + len(self._cr) - len(self._held)
        if room > 0:
            self._held += piece[:room]

    def _finish(self, ending: int) -> Record | None:
        """End the unfinished line; `ending` is the length of its LF (0: there is none)."""
        length = self._length + ending
        size = self._size
        if ending and self._last == self._cr:
            size -= len(self._cr)
        data = bytes(self._held[:size])
        if size > self.max_line:
            self.truncated[self.offset] = size
            data = data[: self.max_line]
            data = _whole(data) if self.encoding == UTF8 else _whole_units(data, self.encoding)
        if self.encoding in {UTF16_LE, UTF16_BE}:
            data = self._decode(data)
        record = Record(data, self.offset, length) if data or (ending and self.keep_empty) else None
        self.nul_bytes += self._holes
        self.offset += length
        self._restart_line()
        return record

    def _decode(self, data: bytes) -> bytes:
        try:
            return data.decode(self.encoding).encode()
        except UnicodeDecodeError:
            self.replaced += 1
            return data.decode(self.encoding, "replace").encode()


def _whole(head: bytes) -> bytes:
    """`head` without the first bytes of a UTF-8 character whose rest was cut off."""
    for back in (1, 2, 3):
        byte = head[-back]
        if byte >= 0xC0:  # a lead byte: 2, 3 or 4 bytes long
            need = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return head[:-back] if need > back else head
        if byte < 0x80:
            break
    return head


def _whole_units(head: bytes, encoding: str) -> bytes:
    """`head` in whole UTF-16 units, without a high surrogate at the end."""
    head = head[: len(head) & ~1]
    high = head[-1] if encoding == UTF16_LE else head[-2]
    return head[:-2] if 0xD8 <= high <= 0xDB else head
