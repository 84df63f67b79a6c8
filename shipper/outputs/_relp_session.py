"""One RELP session with a receiver: open, messages within a window, their answers, close.

The Reliable Event Logging Protocol as rsyslog and librelp speak it. A frame is

    TXNR SP COMMAND SP DATALEN [SP DATA] LF

TXNR counts commands from 1 and goes back to 1 after 999,999,999; 0 is a hint that nobody answers. The data of an
answer (`rsp`) begins with a code of three digits: 200 is taken, all others are not. Answers may come in any order, but
each must be to a command that waits for one. What is not an answer in this form ends the session: a receiver that
speaks something else must not be believed.
"""

from __future__ import annotations

import errno
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from shipper import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shipper.outputs._stream import Stream

LAST_TXNR = 999_999_999
LONGEST_ANSWER = 4096
"""Bytes of data in a frame from the receiver; librelp's longest, the answer to `open`, has about 100."""
CLOSE_SECONDS = 2.0
_HEADER = re.compile(rb"(\d{1,9}) ([A-Za-z]{1,32}) (\d{1,9})(?=[ \n])")
_LONGEST_HEADER = 9 + 1 + 32 + 1 + 9 + 1
_OFFERS = f"relp_version=0\nrelp_software=fieldtrail,{__version__}\ncommands=syslog".encode()
_PIECE = 256 * 1024
"""About how many bytes go out before answers are looked for."""
_TEXT = 200


class ProtocolError(ConnectionError):
    """The receiver said something that is not RELP, or not possible here."""


class SessionEndedError(ConnectionError):
    """The receiver ended the session by a `serverclose`."""


class Frame(NamedTuple):
    """One frame from the receiver."""

    txnr: int
    command: bytes
    data: bytes


class Frames:
    """Bytes from the receiver to frames; at most one unfinished frame is kept."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises `ProtocolError`."""
        buffer = self._rest + data if self._rest else data
        found: list[Frame] = []
        at = 0
        while at < len(buffer):
            header = _HEADER.match(buffer, at)
            if header is None:
                if len(buffer) - at > _LONGEST_HEADER or not _may_begin(buffer[at:]):
                    raise ProtocolError(f"not a RELP frame: {shown(buffer[at : at + 60])}")
                break
            length = int(header[3])
            if length > LONGEST_ANSWER:
                raise ProtocolError(f"a frame of {length} bytes; {LONGEST_ANSWER} is the most that is taken")
            begin = header.end() + (1 if length else 0)
            if length and buffer[header.end()] != 32:
                raise ProtocolError(f"not a RELP frame: {shown(buffer[at : at + 60])}")
            end = begin + length
            if len(buffer) <= end:
                break
            if buffer[end] != 10:
                raise ProtocolError("a frame that does not end where it says")
            found.append(Frame(int(header[1]), header[2], buffer[begin:end]))
            at = end + 1
        self._rest = buffer[at:]
        return found


def _may_begin(data: bytes) -> bool:
    """Whether a header can begin like this: `12`, `12 rs`, `12 rsp 6`."""
    return re.fullmatch(rb"\d{1,9}( ([A-Za-z]{1,32}( (\d{1,9})?)?)?)?", data) is not None


def shown(data: bytes) -> str:
    """What a receiver said, as one short line of printable text."""
    text = data[:_TEXT].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(slots=True)
class Answers:
    """What became of the messages of one `send`, by their place in it."""

    taken: list[bool]
    refused: dict[int, str] = field(default_factory=dict)
    """Answered with another code than 200: the code and text."""
    error: OSError | None = None
    """Why the session is over; what has no answer may have arrived or not."""

    def alone(self) -> set[int]:
        """Those of `refused` that the receiver alone cannot be blamed for.

        It took a message that was sent later, or it took all others.
        """
        last = max((place for place, taken in enumerate(self.taken) if taken), default=-1)
        only = len(self.refused) == 1 and last >= 0
        return {place for place in self.refused if only or place < last}


class Session:
    """An open session. Used by one thread. `timeout`: seconds without any progress after which it is given up."""

    def __init__(
        self, stream: Stream, timeout: float, window: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._timeout, self._window, self._monotonic = stream, timeout, window, monotonic
        self._frames = Frames()
        self._txnr = 0
        self.software = ""
        """What the receiver calls itself."""

    @classmethod
    def open(
        cls, stream: Stream, timeout: float, window: int, monotonic: Callable[[], float] = time.monotonic
    ) -> Session:
        """Agree on the protocol; `stream` is closed if that fails. Raises `OSError`."""
        session = cls(stream, timeout, window, monotonic)
        try:
            session._agree()
        except ConnectionResetError:
            stream.abort()
            missing = (
                "tls.cert, tls.key: does it ask for a certificate?" if stream.version() else "relps:// if it speaks TLS"
            )
            said = f"the receiver closed the connection before a session was open (hint: {missing})"
            raise ConnectionResetError(errno.ECONNRESET, said) from None
        except BaseException:
            stream.abort()
            raise
        return session

    def _agree(self) -> None:
        number = self._next()
        self._stream.send(_framed(number, b"open", _OFFERS))
        code, text = _answer(self._wait_for(number))
        if code != 200:
            raise ProtocolError(f"the receiver refuses the session: {shown(text)}")
        offers = dict(re.findall(rb"([a-z_]+)=(\S*)", text))
        if b"relp_version" not in offers:
            raise ProtocolError("the receiver names no version of RELP")
        if b"commands" in offers and b"syslog" not in offers[b"commands"].split(b","):
            raise ProtocolError("the receiver does not take syslog messages")
        self.software = shown(offers.get(b"relp_software", b""))

    def _wait_for(self, number: int) -> bytes:
        """The data of the answer to command `number`, the only one that waits."""
        deadline = self._monotonic() + self._timeout
        while True:
            for frame in self._received(deadline):
                if (frame.txnr, frame.command) == (number, b"rsp"):
                    return frame.data
                _unexpected(frame)

    def _received(self, deadline: float) -> list[Frame]:
        left = deadline - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return self._frames.feed(self._stream.receive(left))

    def is_open(self) -> bool:
        """False if the receiver has ended the session, or said anything while nothing waited for an answer."""
        try:
            return not self._stream.receive(0)
        except OSError:
            return False

    def send(self, texts: Sequence[bytes]) -> Answers:
        """Send all and wait for each answer. Never raises for what the receiver does."""
        answers = Answers([False] * len(texts))
        waiting: dict[int, int] = {}
        sent = 0
        deadline = self._monotonic() + self._timeout
        try:
            while sent < len(texts) or waiting:
                if sent < len(texts) and len(waiting) <= self._window // 2:
                    count = self._send_some(texts, sent, waiting)
                    sent += count
                    deadline = self._monotonic() + self._timeout
                before = len(waiting)
                for frame in self._received(deadline):
                    self._note(frame, waiting, answers)
                if len(waiting) < before:
                    deadline = self._monotonic() + self._timeout
        except OSError as error:
            answers.error = error
            if not isinstance(error, ProtocolError):
                # What it answered before it closed may still be there: that need not be sent again.
                with suppress(OSError):
                    for frame in self._frames.feed(self._stream.receive(0)):
                        self._note(frame, waiting, answers)
        return answers

    def _send_some(self, texts: Sequence[bytes], first: int, waiting: dict[int, int]) -> int:
        """Fill the window; how many went out. Answers to so few fit the kernel's buffers, so nobody blocks for ever."""
        parts: list[bytes] = []
        size = 0
        for place in range(first, min(len(texts), first + self._window - len(waiting))):
            number = self._next()
            waiting[number] = place
            parts.append(_framed(number, b"syslog", texts[place]))
            size += len(texts[place])
            if size >= _PIECE:
                break
        self._stream.send(b"".join(parts))
        return len(parts)

    def _note(self, frame: Frame, waiting: dict[int, int], answers: Answers) -> None:
        if frame.command != b"rsp" or frame.txnr not in waiting:
            _unexpected(frame)
        code, text = _answer(frame.data)
        place = waiting.pop(frame.txnr)
        if code == 200:
            answers.taken[place] = True
        else:
            answers.refused[place] = f"{code} {shown(text)}".strip()

    def _next(self) -> int:
        self._txnr = self._txnr + 1 if self._txnr < LAST_TXNR else 1
        return self._txnr

    def close(self) -> None:
        """End the session in good order; a receiver that does not answer is not waited for long."""
        self._timeout = min(self._timeout, CLOSE_SECONDS)
        number = self._next()
        with suppress(OSError):
            self._stream.send(_framed(number, b"close", b""))
            self._wait_for(number)
        self._stream.close()

    def abort(self) -> None:
        """End it after an error."""
        self._stream.abort()


def _framed(number: int, command: bytes, data: bytes) -> bytes:
    return b"%d %b %d %b\n" % (number, command, len(data), data) if data else b"%d %b 0\n" % (number, command)


def _answer(data: bytes) -> tuple[int, bytes]:
    """(code, what follows it) of an answer."""
    if re.match(rb"\d{3}(?=[ \n]|$)", data) is None:
        raise ProtocolError(f"an answer without a code: {shown(data[:60])}")
    return int(data[:3]), data[4:]


def _unexpected(frame: Frame) -> None:
    """Raise for a frame that is no answer to what waits for one."""
    if (frame.txnr, frame.command) == (0, b"serverclose"):
        raise SessionEndedError("the receiver ended the session")
    told = shown(frame.command)
    raise ProtocolError(f"`{told}` with number {frame.txnr}, for which nothing waits")
