"""The receiver's side of RELP, the Reliable Event Logging Protocol of rsyslog and librelp. Pure.

    TXNR SP COMMAND SP DATALEN [SP DATA] LF

A client sends `open`, then `syslog` with one message each, at last `close`. Each is answered by `rsp` with its number;
a message only once it is kept, in the order in which they came. What was not answered the client sends again over its
next connection: it may have been kept, so it may stand twice. The protocol knows no way to tell.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from shipper import __version__
from shipper.inputs.syslog._messages import LARGEST, Counted, Cut, GarbageError, shown
from shipper.model import Record

_HEADER: Final = re.compile(rb"([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})([ \n])").match
_MAY_BEGIN: Final = re.compile(rb"[0-9]{1,9}( ([A-Za-z]{1,32}( ([0-9]{1,9})?)?)?)?").fullmatch
_LONGEST_HEADER: Final = 9 + 1 + 32 + 1 + 9 + 1
_LONGEST_OFFER: Final = 4096
"""Bytes of data of a command that is no message; the longest of librelp, `open`, has about 100."""
_OFFERS: Final = f"200 OK\nrelp_version=0\nrelp_software=fieldtrail,{__version__}\ncommands=syslog".encode()
_MOST_WAITING: Final = 10_000
"""Messages and commands of one session that may wait for their answers; rsyslog sends 128 ahead."""
_WAITING_BYTES: Final = 136
"""Memory that one of them takes (measured: 132)."""


class Relp:
    """One session. Implements `_messages.Session`."""

    def __init__(self, longest: int) -> None:
        self.cuts: list[Cut] = []
        self.out = bytearray()
        self.over = False
        self.broken = ""
        self._open = self._closing = False
        self._begin = b""
        self._counted = Counted(longest)
        self._offset = 0
        self._now: tuple[int, bytes] = (0, b"")
        """Number and command of what is being received."""
        self._tail = False
        """Whether the LF that ends a frame is still to come."""
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        """(offset up to which it has to be kept, number, answer), in the order in which they came."""
        self._kept = 0

    @property
    def held(self) -> int:
        """Bytes that are kept in memory: of an unfinished frame, and of answers that are not due yet or not sent."""
        return self._counted.held + len(self._begin) + len(self.out) + _WAITING_BYTES * len(self._waiting)

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended, or the session is not open yet."""
        return not self._open or bool(self._begin) or self._counted.busy or self._tail

    @property
    def waiting(self) -> int:
        """Messages without an answer."""
        return len(self._waiting)

    def feed(self, data: bytes) -> Sequence[Record]:
        """The messages that are complete now; `broken` may be set afterwards."""
        if self._begin:
            data = self._begin + data
            self._begin = b""
        found: list[Record] = []
        try:
            self._take(data, found)
        except GarbageError as error:
            self.broken = str(error)
        self.cuts += self._counted.cuts
        self._counted.cuts.clear()
        self._answer()
        return found

    def _take(self, data: bytes, found: list[Record]) -> None:
        at = 0
        while at < len(data) and not self.over:
            if self._tail:
                if data[at] != 10:
                    raise GarbageError("a frame that does not end where it says")
                self._tail = False
                at += 1
                continue
            if not self._counted.busy:
                began = self._header(data, at)
                if began is None:
                    break
                at = began
                continue
            record, at = self._counted.take(data, at)
            if record is not None:
                self._tail = True
                if (message := self._whole(record)) is not None:
                    found.append(message)

    def end(self) -> Sequence[Record]:
        """Nothing: a message that did not come whole comes again, since it was not answered."""
        self.over = True
        return []

    def kept(self, offset: int) -> None:
        """What was given out up to here is durable: it is answered."""
        self._kept = max(self._kept, offset)
        self._answer()

    def bye(self) -> None:
        """Say that this receiver ends."""
        self.out += b"0 serverclose 0\n"
        self.over = True

    def _header(self, data: bytes, at: int) -> int | None:
        """The place after the header that begins here; None where it is not complete."""
        head = _HEADER(data, at)
        if head is None:
            if len(data) - at > _LONGEST_HEADER or not _MAY_BEGIN(data[at:]):
                raise GarbageError(f"not RELP: {shown(data[at:])}")
            self._begin = data[at:]
            return None
        number, command, length = int(head[1]), head[2], int(head[3])
        if length > (LARGEST if command == b"syslog" else _LONGEST_OFFER):
            raise GarbageError(f"a RELP frame of {length} bytes")
        if not self._open and command != b"open":
            raise GarbageError(f"RELP without open: {shown(data[at:])}")
        if (length == 0) != (head[4] == b"\n"):
            raise GarbageError(f"not RELP: {shown(data[at:])}")
        self._now = number, command
        if length:
            self._counted.begin(self._offset, head.end() - at, length)
        else:
            self._command(b"")
        return head.end()

    def _whole(self, record: Record) -> Record | None:
        """A frame's data is there: the message, if it is one and says something."""
        number, command = self._now
        if command != b"syslog":
            self._command(record.data)
            return None
        if record.data:
            record = record._replace(offset=self._offset, length=record.length + 1)
            self._offset += record.length
        self._wait(self._offset, number, b"200 OK")
        return record if record.data else None

    def _command(self, data: bytes) -> None:
        number, command = self._now
        if command == b"open":
            offers = dict(line.partition(b"=")[::2] for line in data.split(b"\n"))
            if offers.get(b"relp_version", b"0") not in {b"0", b"1"}:
                raise GarbageError("a version of RELP that is not known here")
            self._open = True
            self._wait(0, number, _OFFERS)
        elif command in {b"close", b"syslog"}:  # a message without a byte says nothing
            self._wait(0, number, b"200 OK")
            self._closing = command == b"close"
        else:
            self._wait(0, number, b"500 no such command")

    def _wait(self, offset: int, number: int, answer: bytes) -> None:
        """The answer is due once everything before `offset` is kept, after those that are due before."""
        if len(self._waiting) >= _MOST_WAITING:
            raise GarbageError("too much without waiting for answers")
        self._waiting.append((offset, number, answer))

    def _answer(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= self._kept:
            _, number, text = waiting.popleft()
            self.out += b"%d rsp %d %b\n" % (number, len(text), text)
        if self._closing and not waiting and not self.over:
            self.bye()
