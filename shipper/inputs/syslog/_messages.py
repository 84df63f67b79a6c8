"""Bytes of one connection into messages, in the two framings of RFC 6587, told apart by the first bytes. Pure.

Octet counting (3.4.1, RFC 5425 4.3): `MSG-LEN SP MSG`. Newline (3.4.2): a message is a line, which some senders end
with NUL. A connection keeps the framing that it began with: counted if it begins with a number, a blank and the `<` of
a priority.

A message longer than `longest` is given out as its first bytes, with its true length; `cuts` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from shipper.framing import UTF8, LineFramer
from shipper.model import Record

LARGEST: Final = 128 * 1024 * 1024
"""Bytes that a counted message may claim to have; who says more does not count."""
_COUNT: Final = re.compile(rb"([1-9][0-9]{0,8}) ").match
_MAY_COUNT: Final = re.compile(rb"[1-9][0-9]{0,8}( <?)?").fullmatch
_TLS_HELLO: Final = re.compile(rb"\x16\x03[\x00-\x04]").match
_SHOWN: Final = 40

Cut = tuple[int, int, str]
"""Offset and true length of a message that is not whole, and why: `long` or `unterminated`."""


class GarbageError(Exception):
    """What comes is not what is spoken here; the text says what it is. Inside a session only."""


class Session(Protocol):
    """What understands the bytes of one connection."""

    cuts: list[Cut]
    out: bytearray
    """Bytes to send."""
    over: bool
    """Nothing more is to be read; once `out` is sent the connection may end."""
    broken: str
    """Why what comes cannot be read on; empty while it can."""

    @property
    def held(self) -> int:
        """Bytes that are kept in memory: of an unfinished message, and of answers."""

    @property
    def unfinished(self) -> bool:
        """Whether a message, or what comes before the first one, has begun and not ended."""

    def feed(self, data: bytes) -> Sequence[Record]:
        """The messages that are complete now; `broken` may be set afterwards."""

    def end(self) -> Sequence[Record]:
        """What can still be given out when no more comes."""

    def kept(self, offset: int) -> None:
        """What was given out up to here is durable."""


class Counted:
    """Messages of a known length, of which only the first `longest` bytes are held.

    `begin` starts one; `take` is then given bytes until it returns the message. `offset`: of the message in the stream.
    """

    __slots__ = ("_ahead", "_data", "_left", "_length", "_longest", "_start", "cuts")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._ahead = self._left = self._length = self._start = 0
        self._data = bytearray()
        self.cuts: list[Cut] = []

    @property
    def busy(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._left > 0

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._data)

    def begin(self, offset: int, ahead: int, length: int) -> None:
        """A message of `length` > 0 bytes begins; it has `ahead` bytes before it that belong to it."""
        self._start, self._ahead, self._left, self._length = offset, ahead, length, ahead + length
        self._data = bytearray()

    def take(self, data: bytes, at: int) -> tuple[Record | None, int]:
        """(the message where it is whole, the place after what was taken of `data` from `at` on)."""
        end = min(len(data), at + self._left)
        room = self._longest - len(self._data)
        if room > 0:
            self._data += data[at : min(end, at + room)]
        self._left -= end - at
        return (None if self._left else self.cut(0)), end

    def cut(self, missing: int) -> Record:
        """The message as far as it came. `missing`: bytes that did not come."""
        data = bytes(self._data)
        self._data = bytearray()
        self._left = 0
        length = self._length - missing
        if missing:
            self.cuts.append((self._start, length, "unterminated"))
        elif length - self._ahead > self._longest:
            self.cuts.append((self._start, length, "long"))
        return Record(trimmed(data), self._start, length)

    @property
    def missing(self) -> int:
        """Bytes of the message that have not come."""
        return self._left


def trimmed(data: bytes) -> bytes:
    """A message without what some senders put behind it: line ends and NUL."""
    return data.rstrip(b"\r\n\0")


class Stream:
    """Messages over TCP or TLS. `framing`: `auto`, `octets` or `lines`. Implements `Session`."""

    def __init__(self, longest: int, framing: str = "auto") -> None:
        self.cuts: list[Cut] = []
        self.out = bytearray()
        self.over = False
        self.broken = ""
        self._longest = longest
        self._begin = b""
        """What came before the framing, or the next length, was known."""
        self._offset = 0
        self._lines: LineFramer | None = LineFramer(0, UTF8, longest) if framing == "lines" else None
        self._counted: Counted | None = Counted(longest) if framing == "octets" else None

    @property
    def framing(self) -> str:
        """`octets` or `lines`, `auto` as long as it is not known."""
        return "lines" if self._lines is not None else "octets" if self._counted is not None else "auto"

    @property
    def held(self) -> int:
        """Bytes of an unfinished message that are kept in memory."""
        inside = self._counted.held if self._counted is not None else 0
        if self._lines is not None:
            inside = min(self._lines.end - self._lines.offset, self._longest)
        return inside + len(self._begin)

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        if self._lines is not None:
            return self._lines.end > self._lines.offset
        return bool(self._begin) or (self._counted is not None and self._counted.busy)

    def feed(self, data: bytes) -> Sequence[Record]:
        """The messages that are complete now; `broken` may be set afterwards."""
        if self._lines is None and self._counted is None:
            data = self._begin + data
            self._begin = b""
            if _TLS_HELLO(data):
                self.broken = "a TLS handshake; this address speaks plain TCP: use tls://"
                return []
            if not self._chosen(data):
                self._begin = data
                return []
        if self._lines is not None:
            found = self._lines.feed(data.replace(b"\0", b"\n"))
            self._note_long()
            return found
        assert self._counted is not None
        return self._octets(self._counted, data)

    def end(self) -> Sequence[Record]:
        """The last message, although its end did not come."""
        self.over = True
        if self._lines is None and self._counted is None:
            begin, self._begin = self._begin, b""
            self._lines = LineFramer(0, UTF8, self._longest)
            self._lines.feed(begin)
        if self._lines is not None:
            last = self._lines.flush()
            self._note_long()
            if last is None:
                return []
            self.cuts.append((last.offset, last.length, "unterminated"))
            return [last]
        assert self._counted is not None
        if not self._counted.busy or not self._counted.held:
            return []
        last = self._counted.cut(self._counted.missing)
        self.cuts += self._counted.cuts
        self._counted.cuts.clear()
        return [last]

    def kept(self, offset: int) -> None:
        """Nobody is told: plain syslog has no answers."""

    def _chosen(self, data: bytes) -> bool:
        found = _COUNT(data)
        if found is not None and data[found.end() : found.end() + 1] == b"<":
            self._counted = Counted(self._longest)
            return True
        if not data or _MAY_COUNT(data) or (data[:1] == b"\x16" and len(data) < 3):
            return False
        self._lines = LineFramer(0, UTF8, self._longest)
        return True

    def _octets(self, counted: Counted, data: bytes) -> list[Record]:
        if self._begin:
            data = self._begin + data
            self._begin = b""
        found: list[Record] = []
        try:
            self._take(counted, data, found)
        except GarbageError as error:
            self.broken = str(error)
        self.cuts += counted.cuts
        counted.cuts.clear()
        return found

    def _take(self, counted: Counted, data: bytes, found: list[Record]) -> None:
        at = 0
        while at < len(data):
            if not counted.busy:
                if data[at] in b"\r\n\0":  # some senders end a counted message nevertheless
                    at += 1
                    self._offset += 1
                    continue
                head = _COUNT(data, at)
                if head is None:
                    if len(data) - at < 11 and _MAY_COUNT(data[at:]):
                        self._begin = data[at:]
                        break
                    raise GarbageError(f"neither a length nor a message: {shown(data[at:])}")
                length = int(head[1])
                if length > LARGEST:
                    raise GarbageError(f"a message of {length} bytes")
                ahead = head.end() - at
                counted.begin(self._offset, ahead, length)
                self._offset += ahead + length
                at = head.end()
            record, at = counted.take(data, at)
            if record is not None and record.data:
                found.append(record)

    def _note_long(self) -> None:
        assert self._lines is not None
        self.cuts += [(offset, length, "long") for offset, length in self._lines.truncated.items()]
        self._lines.truncated.clear()


def shown(data: bytes) -> str:
    """The beginning of what somebody sent, as one line of printable text."""
    text = data[:_SHOWN].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
