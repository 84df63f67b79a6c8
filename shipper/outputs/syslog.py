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
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from shipper.errors import ConfigError
from shipper.model import CONTROL_DATASETS, Batch, Document, Receipt, Refusal
from shipper.outputs import _syslog_frame as frame
from shipper.outputs._stream import Stream, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shipper.config import SyslogSection, TlsSection

_ADDRESS = re.compile(r"(udp|tcp|tls)://(?:\[([0-9A-Fa-f:.]+)\]|([^\s/:\[\]]+)):(\d{1,5})")
_LARGEST_DATAGRAM = 65_507
RECONNECT_EVERY = 1.0
"""Seconds between attempts to connect while there is nothing new to send."""


class SyslogOutput:
    """One receiver. `hostname` is the HOSTNAME of every message. Used by one thread at a time."""

    def __init__(
        self, section: SyslogSection, *, hostname: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.id = section.id
        self.address = section.address
        self.transport, self._host, self._port = split_address(section)
        self._hostname = frame.header_value(hostname, 255)
        self._facility = section.facility
        self._control = section.control
        self._framed = frame.octet_counted if section.framing == "octet-counting" else frame.newline_ended
        self._udp = self.transport == "udp"
        self._limit = section.max_bytes or (8192 if self._udp else 65_536)
        self._timeout = section.timeout
        self._tls = section.tls if self.transport == "tls" else None
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._stream: Stream | None = None
        self._datagrams: socket.socket | None = None
        self._window = Window()
        self._tried = float("-inf")

    def open(self, stored: Mapping[str, Any]) -> None:
        """Read the certificates; connecting waits for the first delivery. Raises ConfigError."""
        del stored
        if self._tls is not None:
            self._context = tls_context(self._tls, self.id)

    def highest(self, log: str) -> int | None:
        """None: a syslog receiver cannot be asked."""
        del log
        return None

    def deliver(self, batch: Batch) -> Receipt:
        """Hand the batch to the kernel, all of it or (over TCP and TLS) nothing that counts."""
        messages: list[tuple[Document, bytes]] = []
        refused: list[Refusal] = []
        for document in batch.documents:
            if self._control == "none" and document.dataset in CONTROL_DATASETS:
                continue
            text = self._message(document)
            if len(text) > self._limit:
                reason = f"message of {len(text)} bytes is over max_bytes {self._limit}"
                refused.append(Refusal(document, "message_too_long", reason))
            else:
                messages.append((document, text))
        if self._udp:
            return self._send_datagrams(batch, messages, refused)
        data = b"".join([self._framed(text) for _, text in messages])
        try:
            if data:
                self._connected().send(data)
        except OSError as error:
            self._disconnect()
            return Receipt(0, retry=batch.documents, error=self._said(error))
        if data:
            self._window.add(batch.seq, data, self._monotonic())
        return Receipt(len(batch.documents) - len(refused), refused=refused)

    def _message(self, document: Document) -> bytes:
        full = self._control == "full"
        text = frame.message(document, facility=self._facility, hostname=self._hostname, notes=not full)
        if full and len(text) > self._limit and document.dataset == "fieldtrail.checkpoint":
            return frame.message(document, facility=self._facility, hostname=self._hostname, notes=True)
        return text

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
                    len(batch.documents) - len(retry) - len(refused), refused, retry=retry, error=self._said(error)
                )
        return Receipt(len(batch.documents) - len(refused), refused)

    def _datagram_socket(self) -> socket.socket:
        if self._datagrams is None:
            family, kind, protocol, _, target = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
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
        self._tried = now
        stream = Stream.connect(self._host, self._port, self._timeout, self._context, self._name())
        try:
            for data in self._window.unconfirmed():
                stream.send(data)
        except BaseException:
            stream.abort()
            raise
        self._window.sent_again(self._monotonic())
        self._stream = stream
        return stream

    def _name(self) -> str:
        return (self._tls.server_name if self._tls is not None else None) or self._host

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

    def _said(self, error: OSError) -> str:
        return f"syslog {self.address}: {explain(error)}"


def explain(error: OSError) -> str:
    """One line on what went wrong, with what to set where a setting is wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        told = error.verify_message or str(error)
        if "mismatch" in told or "not valid for" in told:
            return f"TLS: {told} (hint: tls.server_name: the name in the receiver's certificate)"
        return f"TLS: the receiver's certificate is not trusted: {told} (hint: tls.ca: the authority that signed it)"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS: {error.reason or error} (hint: does the receiver speak TLS on this port, and ask for a certificate?)"
        )
    if isinstance(error, socket.gaierror):
        return f"cannot resolve the host name: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)


def split_address(section: SyslogSection) -> tuple[str, str, int]:
    """(transport, host, port) of a configured address; `ConfigError` for a port that is none."""
    match = _ADDRESS.fullmatch(section.address)
    if match is None or not 0 < int(match[4]) < 65536:
        raise ConfigError(
            "read configuration", f"outputs: {section.id}: address", section.address, "tls://soc.example:6514"
        )
    return match[1], match[2] or match[3], int(match[4])


def tls_context(section: TlsSection, output: str) -> ssl.SSLContext:
    """The client's TLS settings: own authorities, own certificate, at least TLS 1.2. Raises `ConfigError`."""
    where, used = f"outputs: {output}: tls.ca", section.ca
    try:
        context = ssl.create_default_context(cafile=None if section.ca is None else str(section.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not section.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if section.cert is not None:
            where, used = f"outputs: {output}: tls.cert", section.cert
            key = None if section.key is None else str(section.key)
            context.load_cert_chain(str(section.cert), key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        cause = f"{used}: {getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}"
        raise ConfigError("read certificates", where, cause, f"openssl x509 -in {used} -noout -subject") from None
    return context
