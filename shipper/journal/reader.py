"""Reading the journal: segments from disk, and the frames that the writer has just published.

`walk` is the one judgement of what a segment holds, shared by recovery, `journal check` and the readers: which frames
count, which bytes are damage, which are the tail. A frame counts when its checksum holds, its number is above the ones
before it and below the first number of the next segment. So when a frame had to be written again into a new segment
(after a failed sync), the later segment wins and the earlier copy is only tail.

`Reader` blocks for the next frame. What was written lately comes from memory, shared between all readers; the rest is
read from the files. What cannot be read is returned as a `Gap`, never skipped in silence.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from shipper.errors import CorruptError, DiskError
from shipper.journal import format as codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipper.fs import Fs
    from shipper.journal.format import Frame, Good, Read, SegmentHeader

MEMORY_BYTES = 12 * 1024 * 1024
"""How much of the newest frames is kept in memory for readers that have not come to them, uncompressed bytes."""


class Damage(NamedTuple):
    """Bytes of a segment that cannot be read, or frames that are not there.

    `path`, `offset`, `length`: the bytes (length 0: the frames are simply missing). `first_seq`..`last_seq`: the
    frames that were lost, both included; `last_seq < first_seq` when none was (a damaged segment header).
    """

    path: Path
    offset: int
    length: int
    first_seq: int
    last_seq: int
    reason: str = ""

    @property
    def frames(self) -> int:
        """How many frames were lost."""
        return self.last_seq - self.first_seq + 1


class Gap(NamedTuple):
    """Frames that a reader cannot give: damaged, or deleted before it came to them."""

    first_seq: int
    last_seq: int
    reason: str


class Rest(NamedTuple):
    """The end of a segment: the bytes after its last frame that counts. `end_seq` is the number after that frame.

    In the newest segment these bytes are a torn write; in an older one that lost no frame they are superseded.
    """

    offset: int
    length: int
    end_seq: int


class SegmentFile(NamedTuple):
    """A segment on disk. `limit`: first number of the next segment, None for the newest."""

    path: Path
    first_seq: int
    limit: int | None


def list_segments(folder: Path, fs: Fs) -> tuple[list[SegmentFile], list[Path]]:
    """The segments of a journal in order, and the files in its folder that do not belong there.

    Ranges set aside by `journal repair` (`*.damaged`) and a segment that was never finished (`*.seg.tmp`) are neither.
    """
    numbers: list[int] = []
    foreign: list[Path] = []
    for name in sorted(fs.listdir(folder)):
        number = codec.parse_segment_name(name)
        if number is not None:
            numbers.append(number)
        elif not name.endswith((".damaged", ".seg.tmp")):
            foreign.append(folder / name)
    pairs = itertools.zip_longest(numbers, numbers[1:])
    return [SegmentFile(folder / codec.segment_name(n), n, limit) for n, limit in pairs], foreign


def read_header(read: Read, path: Path, first_seq: int) -> SegmentHeader | str:
    """A segment's header, or why it cannot be used.

    Raises `CorruptError` for a segment of another format version: it may be in perfect order.
    """
    try:
        header = codec.decode_segment_header(read(0, 65536))
    except codec.UnknownVersionError as error:
        raise CorruptError(
            "read journal", str(path), str(error), "use the release that wrote it, or move the journal folder away"
        ) from error
    except codec.FormatError as error:
        return str(error)
    return header if header.first_seq == first_seq else "the segment header and the file name disagree"


def walk(
    read: Read, size: int, segment: SegmentFile, *, salt: bytes | None, start: int, expected: int
) -> Iterator[Good | Damage | Rest]:
    """What a segment holds from offset `start` to `size`: frames that count and damage, in order; then one `Rest`.

    `expected` is the number that the first frame should have. `salt` None means that the header is unreadable.
    """
    path, _, limit = segment
    bad: codec.Bad | None = None
    end = start
    for piece in codec.scan(read, start, size, salt):
        if isinstance(piece, codec.Bad):
            bad = bad or piece
            continue
        seq = piece.header.seq
        if seq < expected:
            bad = bad or codec.Bad(piece.offset, 0, "a frame with the number of an earlier one")
            continue
        if limit is not None and seq >= limit:
            break
        if bad is not None:
            yield Damage(path, end, piece.offset - end, expected, seq - 1, bad.reason)
        elif seq > expected:
            yield Damage(path, end, 0, expected, seq - 1, "frames are missing")
        yield piece
        expected, end, bad = seq + 1, piece.end, None
    if limit is not None and expected < limit:
        reason = bad.reason if bad is not None else "frames are missing"
        yield Damage(path, end, size - end, expected, limit - 1, reason)
        end = size
    yield Rest(end, size - end, expected)


def pieces(fs: Fs, handle: int, segment: SegmentFile, size: int) -> Iterator[SegmentHeader | Good | Damage | Rest]:
    """A whole segment: its header if it can be used, then what `walk` finds.

    An unreadable header is a `Damage` that loses no frame, as long as a frame follows.
    """

    def read(offset: int, length: int) -> bytes:
        return fs.pread(handle, length, offset)

    header = read_header(read, segment.path, segment.first_seq)
    if not isinstance(header, str):
        yield header
        yield from walk(read, size, segment, salt=header.salt, start=header.length, expected=segment.first_seq)
        return
    for piece in walk(read, size, segment, salt=None, start=0, expected=segment.first_seq):
        yield piece._replace(reason=header) if isinstance(piece, Damage) and piece.offset == 0 else piece


@dataclass(slots=True)
class Segment:
    """A segment in the running journal. Changed only under the lock of `Published`."""

    path: Path
    first_seq: int
    created_ms: int
    length: int
    """Bytes up to the end of the last published frame; in one that is not written any more the file's size."""


class Published:
    """What the writer has published, shared between the writing and the reading threads."""

    def __init__(self, fs: Fs, segments: list[Segment], next_seq: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self.fs = fs
        self.changed = threading.Condition()
        self.segments = segments
        self.next_seq = next_seq
        self.closed = False
        self._memory_bytes = memory_bytes
        # Not a dict: that is slow to take its first item out of again and again.
        self._recent: OrderedDict[int, tuple[Frame, int]] = OrderedDict()
        self._recent_bytes = 0
        self._readers: list[Reader] = []

    def publish(self, segment: Segment, length: int, frame: Frame, raw_bytes: int) -> None:
        """Let readers see one more frame, which ends at `length` of `segment`."""
        with self.changed:
            if not self.segments or self.segments[-1] is not segment:
                self.segments.append(segment)
            segment.length = length
            self.next_seq = frame.seq + 1
            self._recent[frame.seq] = (frame, raw_bytes)
            self._recent_bytes += raw_bytes
            while self._recent_bytes > self._memory_bytes:
                self._forget_oldest()
            self.changed.notify_all()

    def enter(self, reader: Reader) -> None:
        """A reader begins: what it has not read yet is kept for it, within the bound."""
        with self.changed:
            self._readers.append(reader)

    def leave(self, reader: Reader) -> None:
        """A reader is done; may be called twice."""
        with self.changed:
            if reader in self._readers:
                self._readers.remove(reader)
                self.passed()

    def passed(self) -> None:
        """Forget the frames that every reader has passed. Call with the lock held."""
        self.forget(min((reader.seq for reader in self._readers), default=0))

    def forget(self, seq: int) -> None:
        """Forget the frames below a number: everybody has them, or they are gone for good. Call with the lock held."""
        while self._recent and next(iter(self._recent)) < seq:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._recent_bytes -= self._recent.popitem(last=False)[1][1]

    def recent(self, seq: int) -> Frame | None:
        """The frame, if it is still in memory. Call with the lock held."""
        entry = self._recent.get(seq)
        return entry[0] if entry else None

    def locate(self, seq: int) -> tuple[SegmentFile, int] | None:
        """The segment that should hold this frame, and its length. Call with the lock held."""
        limit = self.next_seq
        for segment in reversed(self.segments):
            if segment.first_seq <= seq:
                return SegmentFile(segment.path, segment.first_seq, limit), segment.length
            limit = segment.first_seq
        return None

    @property
    def first_seq(self) -> int:
        """The first number that is still on disk (`next_seq` if nothing is). Call with the lock held."""
        return self.segments[0].first_seq if self.segments else self.next_seq

    def close(self) -> None:
        """Wake up everybody; readers return None from now on."""
        with self.changed:
            self.closed = True
            self._recent.clear()
            self._recent_bytes = 0
            self.changed.notify_all()


class Reader:
    """A place in the journal. One thread uses it; `close` it when done.

    `seq` is the number of the next frame to be returned.
    """

    def __init__(self, published: Published, seq: int) -> None:
        self._published = published
        self._handle: int | None = None
        self._path: Path | None = None
        self._salt: bytes | None = None
        self._offset = 0
        self._expected = 0
        self.seq = seq
        published.enter(self)

    def read(self, timeout: float | None = None) -> Frame | Gap | None:
        """The frame `seq`, after which the reader stands on the next; blocks until it is there.

        `Gap` tells that frames cannot be given any more; the reader then stands after them. None: `timeout` (seconds)
        is over, or the journal was closed. Raises `DiskError` if the disk fails to read; the reader stays where it is.
        """
        published = self._published
        while True:
            with published.changed:
                published.changed.wait_for(lambda: published.closed or published.next_seq > self.seq, timeout)
                if published.closed or published.next_seq <= self.seq:
                    return None
                frame = published.recent(self.seq)
                if frame is not None:
                    self._drop()  # so that a deleted segment's space is freed
                    self.seq += 1
                    published.passed()
                    return frame
                place = published.locate(self.seq)
                first = published.first_seq
            if place is None:
                self._drop()
                gap = Gap(self.seq, first - 1, "deleted before it was read")
                self.seq = first
                return gap
            try:
                return self._from_disk(*place)
            except FileNotFoundError:
                with published.changed:
                    if published.locate(self.seq) == place:
                        return self._skip((place[0].limit or self.seq + 1) - 1, "its segment is gone from the disk")
                # Released between the look and the opening: look again.
            except OSError as error:
                self._drop()
                raise DiskError(
                    "read journal", str(place[0].path), error.strerror or str(error), "fieldtrail journal check"
                ) from error

    def _from_disk(self, segment: SegmentFile, length: int) -> Frame | Gap:
        fs = self._published.fs
        if self._path != segment.path:
            self._drop()
            self._handle = fs.open_read(segment.path)
            self._path, self._expected = segment.path, segment.first_seq
            header = read_header(self._pread, segment.path, segment.first_seq)
            self._salt, self._offset = (None, 0) if isinstance(header, str) else (header.salt, header.length)
        pieces = walk(self._pread, length, segment, salt=self._salt, start=self._offset, expected=self._expected)
        for piece in pieces:
            if isinstance(piece, Damage):
                if piece.last_seq >= self.seq:
                    return self._skip(piece.last_seq, piece.reason)
            elif isinstance(piece, codec.Good):
                self._offset, self._expected, self._salt = piece.end, piece.header.seq + 1, piece.header.salt
                if piece.header.seq == self.seq:
                    try:
                        frame = codec.decode(piece.header, piece.payload)
                    except codec.FormatError as error:
                        return self._skip(self.seq, str(error))
                    self.seq += 1
                    return frame
        # `walk` accounts for every number below the limit, so this is unreachable unless the file changed meanwhile.
        limit = segment.limit if segment.limit is not None else self.seq + 1
        return self._skip(limit - 1, "not found in its segment")

    def _skip(self, last: int, reason: str) -> Gap:
        gap = Gap(self.seq, last, reason)
        self.seq = last + 1
        return gap

    def _pread(self, offset: int, length: int) -> bytes:
        assert self._handle is not None
        return self._published.fs.pread(self._handle, length, offset)

    def _drop(self) -> None:
        handle, self._handle, self._path = self._handle, None, None
        if handle is not None:
            with contextlib.suppress(OSError):  # nothing was written through it
                self._published.fs.close(handle)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._drop()
        self._published.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
