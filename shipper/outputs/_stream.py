"""A TCP or TLS connection to a receiver, and the window of what one that never answers may not have read yet."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import ssl
import struct
import sys
import termios
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

USER_TIMEOUT_MS = 10_000
"""How long sent bytes may stay unacknowledged before the kernel gives the connection up (Linux tcp(7))."""
SEND_BUFFER = 256 * 1024
"""Small, so that little waits in our own kernel when the receiver stops reading."""
HOLD_SECONDS = 5.0
_ALERT_SECONDS = 0.25
_CLOSED = "the receiver closed the connection"
_NOT_WANTED = f"{_CLOSED} after the handshake (hint: tls.cert, tls.key: does it ask for a certificate?)"
_PIECE = 64 * 1024
WINDOW_BYTES = 16 * 1024 * 1024


class _Sent(NamedTuple):
    seq: int
    data: bytes
    at: float


class Window:
    """What was sent and is not confirmed: frames by `seq` in order of sending."""

    def __init__(self, hold: float = HOLD_SECONDS, largest: int = WINDOW_BYTES) -> None:
        self._hold, self._largest = hold, largest
        self._sent: deque[_Sent] = deque()
        self._bytes = 0

    def add(self, seq: int, data: bytes, now: float) -> None:
        """`data` of frame `seq` was handed to the kernel; what is more than the window behind it is confirmed."""
        self._sent.append(_Sent(seq, data, now))
        self._bytes += len(data)
        while self._bytes - len(self._sent[0].data) >= self._largest:
            self._drop()

    def settle(self, unacknowledged: int, now: float) -> None:
        """Confirm what is old enough, if the peer's kernel has everything (`unacknowledged` bytes, -1 = unknown)."""
        while self._sent and unacknowledged == 0 and now - self._sent[0].at >= self._hold:
            self._drop()

    def sent_again(self, now: float) -> None:
        """Everything was sent on a new connection: its time begins anew."""
        self._sent = deque(sent._replace(at=now) for sent in self._sent)

    def unconfirmed(self) -> Iterator[bytes]:
        """The bytes to send again, in order."""
        return (sent.data for sent in self._sent)

    def oldest(self) -> int | None:
        """The `seq` of the oldest unconfirmed frame."""
        return self._sent[0].seq if self._sent else None

    def is_empty(self) -> bool:
        """True if everything is confirmed."""
        return not self._sent

    def clear(self) -> None:
        """Forget everything."""
        self._sent.clear()
        self._bytes = 0

    def _drop(self) -> None:
        self._bytes -= len(self._sent.popleft().data)


class Stream:
    """A connected socket, plain or TLS. All errors are `OSError` (which `ssl.SSLError` is)."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def connect(cls, host: str, port: int, timeout: float, context: ssl.SSLContext | None, name: str) -> Stream:
        """Connect within `timeout` seconds a step; with `context` over TLS, the certificate being that of `name`."""
        plain = socket.create_connection((host, port), timeout)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the end of a window must not wait for an ACK
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if sys.platform == "linux":
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            if context is None:
                return cls(plain)
            secured = context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        stream = cls(secured)
        # In TLS 1.3 a refused client certificate is told after our side of the handshake is done; the tickets that a
        # willing receiver sends end the waiting.
        _readable(secured, _ALERT_SECONDS)
        if trouble := stream.trouble():
            stream.abort()
            if isinstance(trouble, ConnectionResetError):
                raise ConnectionResetError(errno.ECONNRESET, _NOT_WANTED)
            raise trouble
        return stream

    def send(self, data: bytes) -> None:
        """All of `data`, or an error; after an error nobody knows how much arrived.

        The timeout is for each piece, so that a slow receiver is waited for as long as it reads at all.
        """
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            self._socket.sendall(view[at : at + _PIECE])

    def receive(self, timeout: float) -> bytes:
        """What the peer says within `timeout` seconds, empty for nothing; raises when the connection is over."""
        if sys.platform == "linux":
            # Receivers without TCP_NODELAY hold every answer but the first back until our kernel acknowledges that
            # one, which it delays by 40 ms unless told otherwise; it forgets that it was told (tcp(7)).
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        before = self._socket.gettimeout()
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(_PIECE)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return b""
        finally:
            self._socket.settimeout(before)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, _CLOSED)
        return data

    def version(self) -> str | None:
        """`TLSv1.3` or `TLSv1.2`, None for plain TCP."""
        return self._socket.version() if isinstance(self._socket, ssl.SSLSocket) else None

    def trouble(self) -> OSError | None:
        """Why the connection is over, None while it is not. What the peer says is read and thrown away.

        A syslog receiver says nothing, but TLS 1.3 sends session tickets, and alerts such as a refused certificate.
        """
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            for _ in range(16):
                if not self._socket.recv(4096):
                    return ConnectionResetError(errno.ECONNRESET, _CLOSED)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            return error
        else:
            return None
        finally:
            with suppress(OSError):
                self._socket.settimeout(timeout)

    def unacknowledged(self) -> int:
        """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)); -1 where the kernel cannot say."""
        if sys.platform != "linux":
            return -1
        answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

    def finish(self, timeout: float) -> bool:
        """Say that nothing more comes and wait until the peer closes, too: True if it did so in good order."""
        try:
            self._socket.settimeout(timeout)
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket = self._socket.unwrap()
            self._socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if not self._socket.recv(4096):
                    # An end that came before our last bytes were taken says nothing about them.
                    return self.unacknowledged() <= 0
        except ssl.SSLEOFError:
            # Receivers on GnuTLS (rsyslog) end without a close_notify of their own. An end it is all the same: a kernel
            # that closes over unread bytes sends a reset, which is another error.
            return self.unacknowledged() <= 0
        except OSError:
            pass
        finally:
            self._socket.close()
        return False

    def close(self) -> None:
        """Close in good order without waiting; what is on its way still goes out."""
        with suppress(OSError, ValueError):
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(0)
                self._socket.unwrap()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        # Unread bytes (TLS tickets) would turn the close into a reset, which can take sent messages with it.
        with suppress(OSError, ValueError):
            if _readable(self._socket, 0):
                self._socket.recv(65536)
        self._socket.close()

    def abort(self) -> None:
        """Close after an error."""
        with suppress(OSError):
            self._socket.close()


def _readable(connection: socket.socket, seconds: float) -> bool:
    """Whether there is something to read within so many seconds; for descriptors above 1,023 as well."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
