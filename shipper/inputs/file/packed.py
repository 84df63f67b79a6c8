"""What is known of the content of one compressed file.

A compressed file says neither how much it holds nor whether it is whole before all of it was unpacked. So it is
unpacked twice: once to look into it, in pieces that are dropped again (how long is it, is it whole, do the places at
which known streams stand look as they should), and once to read what is not known yet. To read on after a restart means
to unpack from the beginning on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from shipper.inputs.file.identity import ANCHOR, HEAD, fingerprint
from shipper.inputs.file.unpack import PIECE, TAKE, Unpacker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shipper.inputs.file.identity import Position
    from shipper.inputs.file.reader import Stream

CUT: Final = "ends in the middle: cut off, or still being written"


class Pack:
    """One compressed file; `kind` is that of `unpack.kind_of`.

    `raw` is size and modification time (ns) of the file that was looked into, `quiet` since when (monotonic) they have
    been so. `length` counts the bytes that can be had of it, `head`, `tail` and `marks` (by offset: the bytes before
    it) are some of them. `whole`: that is all; else `fault` says why not. `known` is True from when it was decided what
    the file is until it changes. `original` is the stream from which all of its lines come already, `kept` the position
    of a file that was read to its end in an earlier run and was not unpacked in this one. `told`: that bytes are
    missing was said. `spent` counts the bytes taken or given since the caller set it to 0.
    """

    __slots__ = (
        "_buffer",
        "_hash",
        "_prints",
        "_unpacker",
        "_wanted",
        "fault",
        "head",
        "kept",
        "kind",
        "known",
        "length",
        "marks",
        "original",
        "quiet",
        "raw",
        "spent",
        "tail",
        "told",
        "whole",
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.raw = (-1, -1)
        self.quiet = 0.0
        self.known = self.whole = self.told = False
        self.fault = ""
        self.original: Stream | None = None
        self.kept: Position | None = None
        self.spent = 0
        self.head = b""
        self._prints: dict[int, str] = {}
        self._unpacker: Unpacker | None = None
        self._buffer = b""
        self.begin(())

    # -- looking into it -------------------------------------------------------------------------------------------

    def begin(self, wanted: Iterable[int]) -> None:
        """Look into the file from its beginning on, and mark the places `wanted`."""
        self.release()
        self.length = 0
        self.tail = b""
        self.marks: dict[int, bytes] = {0: b""}
        self._wanted = sorted(wanted)
        self._hash = blake2b(digest_size=16)

    def goes_on(self, raw: tuple[int, int]) -> bool:
        """Whether the file, now as `raw` says, can only have grown since it was looked into last."""
        unpacker = self._unpacker
        return unpacker is not None and not unpacker.damage and (raw == self.raw or raw[0] > self.raw[0])

    def survey(self, fd: int, count: int) -> bool:
        """Unpack about `count` bytes more; True when all that is there was. Raises OSError."""
        if self._unpacker is None:
            self._unpacker = Unpacker(self.kind)
        while count > 0:
            piece = self._unpacker.piece(fd)
            self.spent += self._unpacker.cost
            count -= self._unpacker.cost
            if not piece:
                if self._unpacker.busy:
                    continue
                self.whole = self._unpacker.whole
                self.fault = "" if self.whole else self._unpacker.damage or f"{self.kind} data {CUT}"
                self.marks[self.length] = self.tail
                return True
            self._note(piece)
        return False

    def _note(self, piece: bytes) -> None:
        start, self.length = self.length, self.length + len(piece)
        if start < HEAD:
            self.head = self.head[:start] + piece[: HEAD - start]
            self._prints.clear()
        for place in self._wanted:
            if start < place <= self.length:
                self.marks[place] = (self.tail + piece[: place - start])[-ANCHOR:]
        self.tail = (self.tail + piece)[-ANCHOR:]
        self._hash.update(piece)

    @property
    def digest(self) -> bytes:
        """A hash of all that was looked at."""
        return self._hash.digest()

    def changed(self, size: int, mtime_ns: int) -> bool:
        """Whether the file is no longer the one that was looked into; then nothing is known of it any more."""
        if self.raw == (size, mtime_ns):
            return False
        self.known, self.original = False, None
        return True

    def begins(self, length: int, head: str) -> bool:
        """Whether `head` is the hash of the first `length` bytes."""
        found = self._prints.get(length)
        if found is None:
            found = self._prints[length] = fingerprint(self.head[:length])
        return length <= len(self.head) and found == head

    def verifies(self, position: Position) -> bool:
        """Whether a stream that stands at `position` goes on in this file; its place has to be marked."""
        mark = self.marks.get(position.offset)
        if mark is None or not self.begins(position.head_len, position.head):
            return False
        return not position.anchor_len or fingerprint(mark[-position.anchor_len :]) == position.anchor

    def given(self, offset: int) -> bool:
        """Whether, with everything before `offset` given out, nothing more can come."""
        return self.known and self.whole and offset >= self.length

    # -- reading ---------------------------------------------------------------------------------------------------

    def beginning(self, fd: int, count: int) -> bytes:
        """The first `count` bytes, if there are so many; b"" where it takes long to come by them. Raises OSError."""
        unpacker, data, work = Unpacker(self.kind), bytearray(), 0
        while len(data) < count:
            if work >= TAKE + 4 * count:
                return b""  # fewer would look as if there were no more; the survey finds them
            piece = unpacker.piece(fd)
            work += unpacker.cost
            self.spent += unpacker.cost
            if not (piece or unpacker.busy):
                break
            data += piece
        return bytes(data[:count])

    def read(self, fd: int, start: int, count: int) -> bytes | None:
        """Up to `count` bytes from `start` on; None if it takes more turns to come to any. Raises OSError.

        If there are fewer than the survey showed, `length` says so afterwards.
        """
        if count <= 0:
            return b""
        unpacker = self._unpacker
        if unpacker is None or unpacker.at - len(self._buffer) > start:
            unpacker, self._buffer = Unpacker(self.kind), b""
            self._unpacker = unpacker
        work = max(count, PIECE)
        data, self._buffer = bytearray(self._buffer), b""  # up to `unpacker.at`, whatever was before is gone
        while unpacker.at < start + count:
            if work <= 0:
                if unpacker.at <= start:
                    return None
                break
            piece = unpacker.piece(fd)
            self.spent += unpacker.cost
            work -= unpacker.cost
            if not piece:
                if unpacker.busy:
                    continue
                self.length, self.whole = unpacker.at, False
                self.fault = unpacker.damage or f"{self.kind} data {CUT}"
                break
            data += piece
            if unpacker.at <= start:
                data.clear()
        del data[: max(0, start - (unpacker.at - len(data)))]
        self._buffer = bytes(data[count:])
        return bytes(data[:count])

    def release(self) -> None:
        """Let go of what unpacking takes in memory."""
        self._unpacker, self._buffer = None, b""
