"""The output of type `syslog`: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425).

Delivery. Plain syslog has no acknowledgement: what the kernel took may be lost with the receiver. So over TCP and TLS
everything sent stays in a window until it is confirmed, and the whole window is sent again, byte for byte the same,
after any disconnect (at least once). Confirmed is what the peer's kernel has acknowledged (SIOCOUTQ 0) for 5 seconds,
or what lies more than 16 MiB behind the newest byte: more than the receiver's socket can hold unread. `confirmed_seq()`
tells the agent how far its cursor may go. This narrows the gap and does not close it: a receiver that keeps its
connection and loses messages is believed. Over UDP nothing is confirmed and nothing is sent again.

Size. A message over `max_bytes` (65,536; UDP 8,192) is refused into the dead letters, never cut: a cut document could
not be verified, and the receiver could not tell. With `control: full` a checkpoint that is too long goes in its
`notes` form instead.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, Any

from shipper.model import Batch, Document, Receipt, Refusal
from shipper.outputs import _syslog_frame as frame
from shipper.outputs._stream import Stream, Window
from shipper.outputs._syslog_target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shipper.output_sections import SyslogSection

LARGEST_DATAGRAM = 8192
"""`max_bytes` over UDP unless configured."""
RECONNECT_EVERY = 1.0
"""Seconds between attempts to connect while there is nothing new to send."""
PATIENT, LONGEST_PAUSE = 3, 60.0
"""After so many disconnects with the same window the pauses grow, up to so many seconds."""


class SyslogOutput:
    """One receiver. `hostname` is the HOSTNAME of every message. Used by one thread at a time."""

    def __init__(
        self, section: SyslogSection, *, hostname: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = section.id
        self._target = Target(section)
        self._framed = frame.octet_counted if section.framing == "octet-counting" else frame.newline_ended
        self._udp = self._target.transport == "udp"
        limit = section.max_bytes or (LARGEST_DATAGRAM if self._udp else frame.LARGEST)
        self._messages = frame.Messages(section, hostname=hostname, limit=limit)
        self._timeout = section.timeout
        self._monotonic = monotonic
        self._stream: Stream | None = None
        self._datagrams: socket.socket | None = None
        self._window = Window()
        self._tried = float("-inf")
        self._resent: tuple[int | None, int] = (None, 0)
        """The oldest frame of the window that was sent again last, and how many times in a row."""
        self._longest = 0

    def open(self, stored: Mapping[str, Any]) -> None:
        """Read the certificates; connecting waits for the first delivery. Raises ConfigError."""
        del stored
        self._target.context()

    def highest(self, log: str) -> int | None:
        """None: a syslog receiver cannot be asked."""
        del log
        return None

    def deliver(self, batch: Batch) -> Receipt:
        """Hand the batch to the kernel, all of it or (over TCP and TLS) nothing that counts."""
        messages, refused = self._messages.of(batch.documents)
        if self._udp:
            return self._send_datagrams(batch, messages, refused)
        data = b"".join([self._framed(text) for _, text in messages])
        try:
            if data:
                self._connected().send(data)
        except OSError as error:
            self._disconnect()
            return Receipt(0, retry=batch.documents, error=self._target.said(error))
        if data:
            self._longest = max([self._longest, *(len(text) for _, text in messages)])
            self._window.add(batch.seq, data, self._monotonic())
        return Receipt(len(batch.documents) - len(refused), refused=refused)

    def _send_datagrams(self, batch: Batch, messages: list[tuple[Document, bytes]], refused: list[Refusal]) -> Receipt:
        failed = {refusal.document.id for refusal in refused}
        for number, (document, text) in enumerate(messages):
            try:
                self._datagram_socket().send(text)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    reason = f"message of {len(text)} bytes does not fit a datagram"
                    refused.append(Refusal(document, "message_too_long", reason))
                    failed.add(document.id)
                    continue
                self._disconnect()
                # "Connection refused" is the answer to the datagram before this one, so that one is sent again, too.
                unsent = {later.id for later, _ in messages[max(0, number - 1) :]} - failed
                retry = [later for later in batch.documents if later.id in unsent]
                return Receipt(
                    len(batch.documents) - len(retry) - len(refused),
                    refused,
                    retry=retry,
                    error=self._target.said(error),
                )
        return Receipt(len(batch.documents) - len(refused), refused)

    def _datagram_socket(self) -> socket.socket:
        if self._datagrams is None:
            family, kind, protocol, _, target = socket.getaddrinfo(
                self._target.host, self._target.port, type=socket.SOCK_DGRAM
            )[0]
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self._timeout)
                made.connect(target)
            except OSError:
                made.close()
                raise
            self._datagrams = made
        return self._datagrams

    def _connected(self) -> Stream:
        """A connection that was alive a moment ago; after a new one the window has been sent again."""
        now = self._monotonic()
        if self._stream is not None:
            trouble = self._stream.trouble()
            if trouble is None:
                self._window.settle(self._stream.unacknowledged(), now)
                return self._stream
            self._disconnect()
            if now - self._tried < RECONNECT_EVERY:
                # Who closes at once would get the whole window with every batch: let the agent wait first.
                raise trouble
        oldest = self._window.oldest()
        resent = self._resent[1] if oldest is not None and self._resent[0] == oldest else 0
        if now - self._tried < _pause(resent):
            hint = f"max_bytes: does it take messages of {self._longest} bytes? That is the longest that was sent"
            said = f"the receiver closed {resent} times after the same messages (hint: {hint})"
            raise ConnectionResetError(errno.ECONNRESET, said)
        self._tried = now
        stream = self._target.connect()
        self._resent = (oldest, resent + 1)
        try:
            for data in self._window.unconfirmed():
                stream.send(data)
        except BaseException:
            stream.abort()
            raise
        self._window.sent_again(self._monotonic())
        self._stream = stream
        return stream

    def confirmed_seq(self) -> int | None:
        """The `seq` of the oldest frame that may still be lost, None if there is none.

        Also notices a connection that was lost while nothing was sent, and sends the window again.
        """
        if self._window.is_empty():
            return None
        now = self._monotonic()
        if self._stream is not None or now - self._tried >= RECONNECT_EVERY:
            try:
                self._connected()
            except OSError:
                self._disconnect()  # told by the next delivery that fails
        return self._window.oldest()

    def drain(self) -> bool:
        """End the connection in good order: True if the receiver read everything up to the end of the stream.

        Then nothing is unconfirmed any more, and nobody has to wait for the window. For the agent's last save.
        """
        if self._stream is None:
            return self._window.is_empty()
        stream, self._stream = self._stream, None
        if not stream.finish(self._timeout):
            self._tried = self._monotonic()  # the agent saves next: asking must not connect and send all of it again
            return False
        self._window.clear()
        return True

    def flush(self) -> Mapping[str, Any]:
        """Nothing to sync; the state tells the first unconfirmed frame, for people who look into the cursor file."""
        oldest = self._window.oldest()
        return {} if oldest is None else {"unconfirmed": oldest}

    def cursor(self) -> int | None:
        """None: the cursor file holds it."""
        return None

    def _disconnect(self) -> None:
        if self._stream is not None:
            self._stream.abort()
            self._stream = None
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    def close(self) -> None:
        """Close the connection; may be called twice. What is unconfirmed is sent again at the next start."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()
        self._disconnect()
        self._window.clear()


def _pause(resent: int) -> float:
    """Seconds to wait before the window that was sent again so often already is sent once more.

    A receiver that closes at a message which is too long for it (syslog-ng) would get all of it every second.
    """
    return 0.0 if resent < PATIENT else min(2.0 ** (resent - PATIENT + 1), LONGEST_PAUSE)
