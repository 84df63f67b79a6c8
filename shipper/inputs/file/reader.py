"""One stream: an open file, how far it was read, and the proof that it still is the same file.

Every read takes the bytes before the read position along and compares them with what was read there earlier. So a file
that was truncated and has grown past the old position is noticed before a byte of it is taken for a continuation, at
the cost of 256 bytes per read. Reads are `pread`: the descriptor's own offset is never used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.framing import UTF8, LineFramer
from shipper.grouping import GroupFramer
from shipper.inputs.file.identity import ANCHOR, HEAD, FileId, Position, fingerprint
from shipper.inputs.file.unpack import PEEK, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from shipper.grouping import Framing
    from shipper.inputs.file.packed import Pack
    from shipper.model import Record

FIRST: Final = 4096
"""Bytes in which the first line of a file is looked for at first."""
WINDOW: Final = 16 * 1024
"""Bytes of the last reads that are kept to recognise a copy that ends a little before the read position."""
_SPARSE: Final = 4096


def open_file(path: str) -> int:
    """Open a regular file to read. Raises OSError, also when `path` is none.

    Non-blocking, so that a pipe that took the file's name between look and open cannot hold the agent.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        os.close(fd)
        raise
    if not regular:
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


class Turn(NamedTuple):
    """What one read gave. `more`: there may be more at once. `changed`: the file is no longer what was read before."""

    records: Sequence[Record]
    more: bool
    changed: bool
    mtime: float | None


_CHANGED: Final = Turn((), False, True, None)


class Stream:
    """One generation of one file; everything about it that changes.

    `path` is a name of the file, or the last it had; `former` the one before a rename. `size` is what the last look
    showed, `seen` the largest size at which the content proved to be this stream's. `limit` ends the reading
    (`--once`). `linked` is True while the last scan found the file. `fresh` is True until it is known whether the file
    is new or a copy of one that was read. `ready`: there may be something to read. `over`: nothing is read any more.
    `wait` is (stream, offset): the other stream has to come so far before this one is read. `old`: its
    modification time (ns), if that is before what is to be read and the file was not known; else 0. `cut`: how many
    records were given out that are not whole lines.

    Of a compressed file, which has a `pack`, all places and sizes are of its content as unpacked.
    """

    __slots__ = (
        "_anchor",
        "_head",
        "_recent",
        "check",
        "closed",
        "cut",
        "fd",
        "file",
        "format",
        "former",
        "framer",
        "fresh",
        "generation",
        "grown",
        "held",
        "id",
        "limit",
        "linked",
        "looked",
        "mtime_ns",
        "old",
        "over",
        "pack",
        "path",
        "ready",
        "renamed",
        "retry",
        "sampled",
        "seen",
        "size",
        "undecided",
        "wait",
    )

    def __init__(self, name: str, file: FileId, generation: int, path: str, framer: GroupFramer, form: str) -> None:
        self.id = name
        self.file = file
        self.generation = generation
        self.path = path
        self.framer = framer
        self.format = form
        self.fd = -1
        self.former = ""
        self.size = 0
        self.seen = 0
        self.mtime_ns = 0
        self.limit: int | None = None
        self.looked = -1  # how far it was read when its last line without end was looked at
        self.linked = True
        self.renamed = False
        self.closed = False
        self.fresh = False
        self.over = False
        self.ready = False
        self.check = 0  # scans at which the content is still to be checked without a sign of change
        self.grown = 0.0  # monotonic time of the last growth
        self.held: float | None = None  # since when it has been held back as a possible copy
        self.sampled: float | None = None  # since when there is a line to decide the format on
        self.undecided = -1  # the size at which the format could not be told
        self.retry: float | None = None  # monotonic time of the next attempt after a failure
        self.wait: tuple[Stream, int] | None = None
        self.pack: Pack | None = None
        self.old = 0
        self.cut = 0
        self._head = b""
        self._recent = b""
        self._anchor = b""

    @property
    def offset(self) -> int:
        """The start of the first line that was not given out, alone or in its group."""
        return self.framer.offset

    @property
    def read_to(self) -> int:
        """The next byte to read."""
        return self.framer.end

    @property
    def unread(self) -> int:
        """Bytes known to be there and not read yet."""
        return max(0, (self.size if self.limit is None else min(self.size, self.limit)) - self.framer.end)

    @property
    def head(self) -> bytes:
        """The first bytes of what was read, at most 1,024."""
        return self._head

    @property
    def last(self) -> bytes:
        """The bytes before the read position, at most `WINDOW`."""
        return self._recent

    def position(self) -> Position:
        """The position after the records given out so far."""
        offset = self.framer.offset
        pack = self.pack
        if pack is not None and pack.kept is not None and pack.kept.offset == offset:
            return replace(pack.kept, path=self.path)  # nothing of it was unpacked in this run
        head = self._head[:offset]
        return Position(
            path=self.path,
            file=self.file,
            generation=self.generation,
            head_len=len(head),
            head=fingerprint(head),
            offset=offset,
            anchor_len=len(self._anchor),
            anchor=fingerprint(self._anchor),
            size=max(self.seen, offset),
            format=self.format,
            encoding=self.framer.encoding,
            closed=self.closed or (pack is not None and pack.given(offset)),
            framing=self.framer.state,
            packed=None if pack is None else pack.raw,
        )

    def notice(self, size: int, mtime_ns: int) -> None:
        """Take note of what a look at the file showed."""
        if self.pack is not None:
            if self.pack.changed(size, mtime_ns):
                self.ready = True
            return
        self.size = size
        if size != self.framer.end or mtime_ns != self.mtime_ns:
            self.ready = True

    def intact(self) -> bool:
        """Whether the open file still holds what was read of it. Raises OSError."""
        if self.pack is not None:
            return True  # looked into anew when the file changes
        known, end, head = self._recent[-ANCHOR:], self.framer.end, self._head
        if self.framer.hollow:  # NUL bytes may be filled in
            known, end = self._anchor, self.framer.offset
            head = head[:end]
        return (
            os.fstat(self.fd).st_size >= end
            and os.pread(self.fd, len(known), end - len(known)) == known
            and os.pread(self.fd, len(head), 0) == head
        )

    def resume(self, framing: Framing, offset: int, encoding: str, state: Mapping[str, Any] | None) -> None:
        """Stand at `offset` of the open file without having read what lies before it. Raises OSError.

        Of a compressed file `offset` is one of the places that its `pack` has marked.
        """
        max_line = self.framer.max_line
        first = self.sample(FIRST)[0].partition(b"\n")[0] if offset else b""
        self.framer = GroupFramer(framing, offset, encoding if offset else "", max_line, state=state, first=first)
        if self.pack is None:
            self._head = os.pread(self.fd, min(HEAD, offset), 0)
            self._anchor = self._recent = os.pread(self.fd, min(ANCHOR, offset), max(0, offset - ANCHOR))
        else:
            self._head = self.pack.head[:offset]
            self._anchor = self._recent = self.pack.marks.get(offset, b"")

    def read(self, count: int) -> Turn:
        """Read up to `count` bytes. Raises OSError; then nothing has changed."""
        if self.pack is not None:
            return self._read_packed(self.pack, count)
        status = os.fstat(self.fd)
        if self.framer.hollow and status.st_mtime_ns != self.mtime_ns:
            self.framer.rewind()  # what was NUL may have been written by now
            self._recent = self._anchor
            self._head = self._head[: self.framer.offset]
        start = self.framer.end
        if status.st_size < start:
            return _CHANGED
        if self.limit is not None:
            count = min(count, self.limit - start)
        known = self._recent[-ANCHOR:]
        data = os.pread(self.fd, len(known) + max(0, count), start - len(known))
        if not data.startswith(known):
            return _CHANGED
        if self.check or (status.st_size <= start and status.st_mtime_ns != self.mtime_ns):
            head = self._head
            if head and os.pread(self.fd, len(head), 0) != head:
                return _CHANGED
        self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
        self.seen = max(self.seen, self.size)
        fresh = data[len(known) :]
        if not fresh:
            return Turn((), False, False, status.st_mtime)
        self.closed = False
        self.check = 2
        if fresh[0] == 0 and len(fresh) >= _SPARSE and not fresh.strip(b"\0") and self.framer.encoding in {"", UTF8}:
            hole = self._hole(start, len(fresh))
            self.framer.feed_hole(hole)
            if start < HEAD:
                self._head = (self._head + bytes(HEAD))[:HEAD]
            self._recent = bytes(ANCHOR)
            return Turn((), self.unread > 0, False, status.st_mtime)
        return Turn(self._take(fresh, start, known), self.unread > 0, False, status.st_mtime)

    def _read_packed(self, pack: Pack, count: int) -> Turn:
        """As `read`; a turn that only unpacks what lies before the read position gives no record."""
        status = os.fstat(self.fd)
        if pack.changed(status.st_size, status.st_mtime_ns):
            return Turn((), True, False, status.st_mtime)
        start = self.framer.end
        self.mtime_ns = status.st_mtime_ns
        fresh = pack.read(self.fd, start, min(count, self.unread))
        if fresh is None:
            return Turn((), True, False, status.st_mtime)
        self.size = pack.length
        self.seen = max(self.seen, self.size)
        if not fresh:
            return Turn((), False, False, status.st_mtime)
        self.closed = False
        return Turn(self._take(fresh, start, self._recent[-ANCHOR:]), self.unread > 0, False, status.st_mtime)

    def _take(self, fresh: bytes, start: int, known: bytes) -> Sequence[Record]:
        """Feed what was read at `start`; `known` are the bytes before it."""
        before = self.framer.offset
        records = self.framer.feed(fresh)
        if len(self._head) < HEAD and len(self._head) == start:
            self._head += fresh[: HEAD - start]
        if self.framer.offset != before:
            done = self.framer.offset - start
            if done >= ANCHOR:
                self._anchor = fresh[done - ANCHOR : done]
            elif done >= 0:
                self._anchor = (known + fresh[:done])[-ANCHOR:]
            else:  # some of what was read before is still held
                self._anchor = self._before(self.framer.offset, start)
        if len(fresh) >= WINDOW:
            self._recent = fresh[-WINDOW:]
        else:
            self._recent = (self._recent + fresh)[-WINDOW:]
        return records

    def _hole(self, start: int, seen: int) -> int:
        """The length of the hole at `start`, of which `seen` bytes are known to be NUL."""
        try:
            end = os.lseek(self.fd, start + seen, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no such call on this file system
                return seen
            end = max(self.size, start + seen)  # nothing but a hole up to the end
        if self.limit is not None:
            end = min(end, self.limit)
        return max(seen, end - start)

    def _before(self, offset: int, end: int) -> bytes:
        """The bytes before `offset`, out of the last ones read (up to `end`) or, if those do not reach, the file."""
        count = min(ANCHOR, offset)
        known = self._recent[: max(0, len(self._recent) - (end - offset))]
        if len(known) >= count:
            return known[-count:] if count else b""
        if self.pack is not None:
            return b""  # a position without this mark is a position
        try:
            return os.pread(self.fd, count, offset - count)
        except OSError:
            return b""

    def flush(self) -> tuple[list[Record], bool]:
        """Give out all that is held, and the unfinished line as it is; True if there was one."""
        if self.framer.hollow:
            return self.release(), False
        unfinished = self.framer.end > self.framer.line
        records = self.framer.flush()
        self._anchor = self._recent[-ANCHOR:]
        return records, unfinished

    def release(self) -> list[Record]:
        """Give out the whole lines that are held."""
        records = self.framer.release()
        if records:
            self._anchor = self._before(self.framer.offset, self.framer.end)
        return records

    def sample(self, limit: int) -> tuple[bytes, bytes, bool]:
        """The first lines of the open file, the line after them as far as it is there, and whether it was much.

        As many complete lines as `limit` bytes hold, and at least one where there is one, however long; True if there
        were `limit` bytes. Lines are as records are: without mark, UTF-8, no empty ones; LF between them. Raises
        OSError.
        """
        end = self.size if self.limit is None else min(self.size, self.limit)
        while True:
            framer = LineFramer(max_line=self.framer.longest)
            if self.pack is None:
                data = os.pread(self.fd, min(limit, end), 0)
            else:
                data = self.pack.beginning(self.fd, min(limit, end))
            records = framer.feed(data)
            full = len(data) >= limit
            if records or not full or limit > self.framer.longest:
                return b"\n".join(record.data for record in records), framer.partial, full
            limit *= 4

    def relation(self, other: Stream) -> str:
        """How this stream's file stands, by content, to `other`'s. Both are open.

        `continues`: all that was given out of `other` is in this file too. `prefix`: this file is, so far, a beginning
        of the other, read or not: perhaps a copy that is being made. "" else. Raises OSError.
        """
        if other.position().continues_in(self.fd, self.size):
            return "continues"
        if not self.size or self.size > os.fstat(other.fd).st_size:
            return ""
        count = min(self.size, HEAD)
        if os.pread(self.fd, count, 0) != os.pread(other.fd, count, 0):
            return ""
        place = max(0, self.size - ANCHOR)
        length = self.size - place
        return "prefix" if os.pread(self.fd, length, place) == os.pread(other.fd, length, place) else ""

    def extends(self, other: Stream) -> bool:
        """Whether all that was read of `other` is in this file too. Raises OSError."""
        end, head, known = other.read_to, other.head, other._recent[-ANCHOR:]
        return (
            self.size >= end
            and os.pread(self.fd, len(known), end - len(known)) == known
            and os.pread(self.fd, len(head), 0) == head
        )

    def covered_by(self, other: Stream) -> bool:
        """Whether this file is a copy of which every byte was read from `other` before that was truncated.

        Raises OSError.
        """
        count = min(self.size, len(other.head))
        missing = other.read_to - self.size
        known = other._recent
        if count < 16 or missing < 0 or missing > len(known) - 16:
            return False
        tail = known[max(0, len(known) - missing - ANCHOR) : len(known) - missing]
        if os.pread(self.fd, len(tail), self.size - len(tail)) != tail:
            return False
        return os.pread(self.fd, count, 0) == other.head[:count]

    def packed(self) -> str:
        """How the open file is compressed, "" if it is not; asked while nothing of it was taken. Raises OSError."""
        return kind_of(os.pread(self.fd, PEEK, 0))

    def forget_window(self) -> None:
        """Keep only what the next read needs, and the bytes before lines that may be given out without one."""
        if self.framer.overdue is None:
            self._recent = self._recent[-ANCHOR:]

    def close(self) -> None:
        """Close the file; the stream can be opened again."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):  # nothing was written: what close reports changes nothing
                os.close(fd)
