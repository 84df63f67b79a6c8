"""Lines into groups: what holds lines back until the record that they make is whole. Pure.

A grouper is given every line of a stream, empty ones too, and gives out records in the order of their first lines.
`held` is the place of the first line that was not given out, and `state` what must be known there beside the kind (and
the header) to go on from that place: a reader that is started there gives out the rest, and nothing twice.

What never ends, because a quote or a brace is missing, is given out line by line once it is larger than any record may
be, or at the end of the stream: damage costs its own record and no other, and no line is lost.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

from shipper.model import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_ROW: Final = 1 << 20
MAX_ROW_LINES: Final = 20_000
MAX_DOCUMENT: Final = 16 << 20
MAX_DOCUMENT_LINES: Final = 1_000_000
MAX_LINES: Final = 500
MAX_BYTES: Final = 256 * 1024
_MAX_SERIALS: Final = 64
_SERIAL_SECONDS: Final = 2.0
_RESCANS: Final = 8
"""Bytes of damaged documents that may be looked at again for each byte taken in, so that the work stays linear."""

State = dict[str, Any]


class Grouper(Protocol):
    """Lines in, records out. `timed`: nothing shows the end of a group, so quiet ends it."""

    timed: bool

    @property
    def held(self) -> int | None:
        """The place of the first line held, None where there is none."""

    @property
    def state(self) -> State | None:
        """What is to be known to go on at `held`, or after the last line; None: nothing."""

    def take(self, line: Record, out: list[Record]) -> None:
        """One more line."""

    def finish(self, out: list[Record]) -> None:
        """No more lines come, or not soon: give out what is held."""


class Held:
    """Lines that stand one after the other, in little memory."""

    __slots__ = ("_lengths", "_sizes", "_text", "length", "offset")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self.offset = self.length = 0
        self._text = bytearray()
        self._sizes, self._lengths = array("Q"), array("Q")

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, line: Record) -> None:
        """One more."""
        if self._sizes:
            self._text += b"\n"
        else:
            self.offset = line.offset
        self._text += line.data
        self._sizes.append(len(line.data))
        self._lengths.append(line.length)
        self.length += line.length

    def text(self) -> bytes:
        """All of them, LF between them."""
        return bytes(self._text)

    def record(self) -> Record:
        """All of them as one record, without empty lines at the end; they are held no more."""
        record = Record(bytes(self._text.rstrip(b"\n")), self.offset, self.length)
        self.clear()
        return record

    def first(self) -> Record:
        """The first of them."""
        return Record(bytes(self._text[: self._sizes[0]]), self.offset, self._lengths[0])

    def lines(self) -> Iterator[Record]:
        """Each by itself; they are held no more."""
        text, sizes, lengths, offset = bytes(self._text), self._sizes, self._lengths, self.offset
        self.clear()
        places = accumulate((size + 1 for size in sizes), initial=0)
        for at, size, length, start in zip(places, sizes, lengths, accumulate(lengths, initial=offset), strict=False):
            yield Record(text[at : at + size], start, length)


class Rows:
    """Rows of CSV: a row whose quotes are open goes on with the next line.

    With a `header`, each record is the header, LF, and a row; rows that repeat the header are passed over. A quote
    opens a field only where the field begins, so that one inside a field (`19" screen`) does no harm.
    """

    timed = False

    def __init__(self, header: bytes | None = None) -> None:
        self._header = header
        self._lead = b"" if header is None else header + b"\n"
        separator = b"," if header is None else max((b",", b";", b"\t", b"|"), key=header.count)
        self._opening = re.compile(rb"(?:\A|" + re.escape(separator) + rb')"')
        self._lines = Held()
        self.state: State | None = None

    @property
    def held(self) -> int | None:
        return self._lines.offset if self._lines else None

    def take(self, line: Record, out: list[Record]) -> None:
        lines = self._lines
        data = line.data
        if not lines:
            if not data or data == self._header:
                return
            if b'"' not in data or not self._open(data, inside=False):
                out.append(Record(self._lead + data, line.offset, line.length))
                return
            lines.add(line)
            return
        lines.add(line)
        if b'"' in data and not self._open(data, inside=True):
            offset, length = lines.offset, lines.length
            out.append(Record(self._lead + lines.text(), offset, length))
            lines.clear()
        elif lines.length > MAX_ROW or len(lines) > MAX_ROW_LINES:
            self._give_up(out)

    def finish(self, out: list[Record]) -> None:
        while self._lines:
            self._give_up(out)

    def _give_up(self, out: list[Record]) -> None:
        """The first line by itself. The others hold no quote that closes, so each of them is a row."""
        first, *rest = self._lines.lines()
        out.append(Record(self._lead + first.data, first.offset, first.length))
        for line in rest:
            self.take(line, out)

    def _open(self, data: bytes, *, inside: bool) -> bool:
        """Whether a quoted field is open after `data`."""
        at = 0
        while True:
            if not inside:
                opening = self._opening.search(data, at)
                if opening is None:
                    return False
                at = opening.end()
            at = data.find(b'"', at)
            while at >= 0 and data.startswith(b'""', at):
                at = data.find(b'"', at + 2)
            if at < 0:
                return True
            at += 1
            inside = False


class Multiline:
    """A record begins at a line that `begins` says, and goes on until the next.

    `alone`: a line that does not begin one, and comes before the first that does, is a record of its own.
    """

    timed = True

    def __init__(
        self,
        begins: Callable[[bytes], object],
        *,
        alone: bool,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._begins, self._alone = begins, alone
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self._lines = Held()
        self._goes_on = bool(state and state.get("goes_on"))  # the next line, or the first held, continues a long one

    @property
    def held(self) -> int | None:
        return self._lines.offset if self._lines else None

    @property
    def state(self) -> State | None:
        return {"goes_on": True} if self._goes_on else None

    def take(self, line: Record, out: list[Record]) -> None:
        lines = self._lines
        if not lines and not line.data:
            return
        begins = bool(line.data) and bool(self._begins(line.data))
        if lines and (begins or len(lines) >= self._max_lines or lines.length + line.length > self._max_bytes):
            out.append(lines.record())
            self._goes_on = not begins
            if not line.data:
                return
        elif begins:
            self._goes_on = False
        if not lines and self._alone and not begins and not self._goes_on:
            out.append(line)
            return
        lines.add(line)

    def finish(self, out: list[Record]) -> None:
        if self._lines:
            out.append(self._lines.record())
        self._goes_on = False


_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_BETWEEN: Final = re.compile(rb"[\s,]*+")
_SCALAR: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[^\s,\]]++', re.DOTALL)
_DEEPER: Final = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


class Documents:
    """JSON documents over several lines; of an outermost array, each element is a record.

    Elements may share a line, so the state has the `column` in the first line from which on nothing was given out, in
    bytes of the line as it is given out.
    """

    timed = False

    def __init__(self, state: Mapping[str, Any] | None = None, max_bytes: int = MAX_DOCUMENT) -> None:
        state = state or {}
        self._array = bool(state.get("array"))
        self._column = int(state.get("column", 0))  # of the next line
        self._max_bytes = max_bytes
        self._lines = Held()  # of a document that is open: it begins in the first one
        self._start, self._shared = 0, False  # there, and whether something before it in that line was given out
        self._before = False  # whether that line began inside the array
        self._depth = 0
        self._credit = 0

    @property
    def held(self) -> int | None:
        return self._lines.offset if self._lines else None

    @property
    def state(self) -> State | None:
        column, array = self._column, self._array
        if self._lines:
            column, array = (self._start, array) if self._shared else (0, self._before)
        state: State = {"array": True} if array else {}
        if column:
            state["column"] = column
        return state or None

    def take(self, line: Record, out: list[Record]) -> None:
        self._credit += _RESCANS * line.length
        self._take(line, out)
        if self._lines.length > self._max_bytes or len(self._lines) > MAX_DOCUMENT_LINES:
            self._give_up(out)

    def finish(self, out: list[Record]) -> None:
        while self._lines:
            self._give_up(out)

    def ends(self, line: bytes) -> bool:
        """Whether `line`, although it has no line end, leaves nothing open."""
        depth = self._depth
        for token in _TOKEN.findall(line, 0 if self._lines else self._column):
            depth += _DEEPER.get(token, 0)
        return line.rstrip().endswith((b"}", b"]")) and (depth == 0 or (self._array and depth == -1))

    def _take(self, line: Record, out: list[Record]) -> None:
        data = line.data
        at, self._column = (0 if self._lines else self._column), 0
        before = self._array
        shared, mine = bool(at), False  # something in this line was given out; now
        while True:
            if not self._depth:
                at = _BETWEEN.match(data, at).end()  # type: ignore[union-attr]  # it matches everywhere
                if at == len(data):
                    return
                first = data[at : at + 1]
                if first == (b"]" if self._array else b"["):
                    self._array, at = not self._array, at + 1
                    continue
                self._start, self._shared, self._before = at, shared, before
                if mine:
                    out[-1] = out[-1]._replace(length=_place(line, at) - out[-1].offset)
                if first not in {b"{", b"["}:
                    scalar = _SCALAR.match(data, at) if self._array else None
                    end = len(data) if scalar is None else scalar.end()
                    if scalar is None and not shared:
                        self._start = 0  # no JSON: the line as it is
                    self._give(line, end, out)
                    at, shared, mine = end, True, True
                    continue
            for token in _TOKEN.finditer(data, at):
                self._depth += _DEEPER.get(token[0], 0)
                if not self._depth:
                    at = token.end()
                    break
            if self._depth:
                self._lines.add(line)
                return
            self._give(line, at, out)
            shared = mine = True

    def _give(self, line: Record, end: int, out: list[Record]) -> None:
        """Give out what ends at `end` of `line`; its length goes to the end of the line."""
        if not self._lines:
            data, offset = line.data[self._start : end], _place(line, self._start) if self._shared else line.offset
        else:
            first = self._lines.first()
            data = b"\n".join((self._lines.text()[self._start :], line.data[:end]))
            offset = _place(first, self._start) if self._shared else first.offset
            self._lines.clear()
        out.append(Record(data, offset, line.offset + line.length - offset))

    def _give_up(self, out: list[Record]) -> None:
        """The first line by itself; then from the beginning, as long as that does not become too much work."""
        first, *rest = self._lines.lines()
        offset = _place(first, self._start) if self._shared else first.offset
        out.append(Record(first.data[self._start :], offset, first.offset + first.length - offset))
        self._array, self._depth = False, 0
        self._credit -= sum(line.length for line in rest)
        for line in rest:
            if self._credit >= 0:
                self._take(line, out)
            elif line.data:
                out.append(line)


def _place(line: Record, column: int) -> int:
    """A place in a line, in its source. Where the source is not UTF-8 it is near, and never beyond the line."""
    return line.offset + min(column, line.length - 1)


_AUDIT: Final = re.compile(rb"\baudit\(([0-9]{1,12})(\.[0-9]{1,9})?:[0-9]{1,20}\)")
_NODE: Final = re.compile(rb"node=(\S{1,255}) ")
_TYPE: Final = re.compile(rb"\btype=([A-Z0-9_]{1,60}) ")
_AUDIT_HEAD: Final = 512
_LAST: Final = frozenset((b"EOE", b"PROCTITLE"))
# What programs send by themselves, and the daemon about itself: such a record is the whole event.
_SINGLE: Final = re.compile(
    rb"USER|CRED_|SERVICE_|SYSTEM_|DAEMON_|ADD_|DEL_|GRP_|CHGRP_|CHUSER_|ACCT_|CRYPTO_|ROLE_|LABEL_|VIRT_|SOFTWARE_|"
    rb"DEV_|FS_RELABEL|RESP_|ANOM_(?:LOGIN|MOD|ACCESS|CRYPTO|AMTU|RBAC|ADD|DEL|ROOT|EXEC)|TRUSTED_"
)


class _Event:
    """Lines of one serial. `seconds`: its time, -1 where there is none."""

    __slots__ = ("closed", "key", "lines", "node", "seconds", "size")

    def __init__(self, key: bytes, node: bytes, seconds: float, *, closed: bool) -> None:
        self.key, self.node, self.seconds, self.closed = key, node, seconds, closed
        self.lines: list[Record] = []
        self.size = 0


class Auditd:
    """Lines of the Linux audit log that share a serial, which others may stand between.

    An event ends with its last record, or once the log is two seconds further on, or 64 younger ones are open. Events
    come out in the order of their first lines; so lines beyond `held` may have been given out, and the state names the
    serials for which that is so, and up to where.
    """

    timed = True

    def __init__(
        self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES, state: Mapping[str, Any] | None = None
    ) -> None:
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self._waiting: deque[_Event] = deque()  # in the order of their first lines
        self._by_serial: dict[bytes, _Event] = {}
        self._end = 0
        self._done: dict[bytes, int] = {
            key.encode("latin-1"): int(end) for key, end in (state or {}).get("done", {}).items()
        }

    @property
    def held(self) -> int | None:
        return self._waiting[0].lines[0].offset if self._waiting else None

    @property
    def state(self) -> State | None:
        return {"done": {key.decode("latin-1"): end for key, end in self._done.items()}} if self._done else None

    def take(self, line: Record, out: list[Record]) -> None:
        head = line.data[:_AUDIT_HEAD]
        if not head:
            return
        self._end = line.offset + line.length
        serial = _AUDIT.search(head)
        if serial is None:
            self._begin(b"", b"", -1.0, closed=True).lines.append(line)
            self._give(out)
            return
        node, kind = _NODE.match(head), _TYPE.search(head)
        host, name = node[1] if node else b"", kind[1] if kind else b""
        key, seconds = host + b" " + serial[0], float(serial[1] + (serial[2] or b""))
        if line.offset < self._done.get(key, 0):
            return
        event = self._by_serial.get(key)
        if event is None:
            if name == b"EOE":  # the end of an event that was given out already
                return
            event = self._begin(key, host, seconds, closed=_SINGLE.match(name) is not None)
        elif event.size + len(line.data) > self._max_bytes or len(event.lines) >= self._max_lines:
            event.closed = True
            event = self._begin(key, host, seconds, closed=False)
        event.lines.append(line)
        event.size += len(line.data)
        if name in _LAST:
            event.closed = True
        for other in self._waiting:
            if other.node == host and 0 <= other.seconds <= seconds - _SERIAL_SECONDS:
                other.closed = True
        if len(self._waiting) > _MAX_SERIALS:
            self._waiting[0].closed = True
        self._give(out)

    def finish(self, out: list[Record]) -> None:
        for event in self._waiting:
            event.closed = True
        self._give(out)

    def _begin(self, key: bytes, node: bytes, seconds: float, *, closed: bool) -> _Event:
        event = _Event(key, node, seconds, closed=closed)
        self._waiting.append(event)
        if key:
            self._by_serial[key] = event
        return event

    def _give(self, out: list[Record]) -> None:
        """Give out the oldest events that are closed, and note how far."""
        waiting = self._waiting
        while waiting and waiting[0].closed:
            event = waiting.popleft()
            first, last = event.lines[0], event.lines[-1]
            end = last.offset + last.length
            out.append(Record(b"\n".join(line.data for line in event.lines), first.offset, end - first.offset))
            if self._by_serial.get(event.key) is event:
                del self._by_serial[event.key]
            if event.key:
                self._done[event.key] = end
        upto = self._end if self.held is None else self.held
        self._done = {key: end for key, end in self._done.items() if end > upto}
