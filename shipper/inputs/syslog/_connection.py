"""One connection: its socket, TLS, and the session that understands its bytes. For the server's thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final

from shipper.inputs.syslog._mailbox import Mailbox, Sender
from shipper.inputs.syslog._messages import Cut, Session
from shipper.inputs.syslog._relp import Relp
from shipper.model import Record

PIECE: Final = 64 * 1024
TURN: Final = 4
"""Pieces that one connection may give before others have their turn."""
MOST_UNSENT: Final = 1024 * 1024
"""Bytes of answers that a client may leave unread before nothing more is received of it."""


class Connection:
    """A client. `place`: the address that it came to, as people write it. `now` in all methods: monotonic seconds."""

    __slots__ = (
        "_handshake", "_sock", "_tls_waits_to_write", "began", "closed", "cuts", "events", "last", "place", "sender",
        "session", "taken",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        place: str,
        sender: Sender,
        session: Session,
        context: ssl.SSLContext | None,
        now: float,
    ) -> None:
        """Raises `OSError` where TLS cannot begin."""
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 120)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handshake = context is not None
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._sock = sock
        self._tls_waits_to_write = False
        self.place, self.sender, self.session = place, sender, session
        self.last = now
        """When it last said something."""
        self.began: float | None = now
        """Since when something is unfinished: the handshake, the session's begin or a message."""
        self.taken = 0
        """Messages that came."""
        self.events = 0
        """What it is registered for."""
        self.closed = False
        self.cuts: list[Cut] = []

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    def wanted(self, *, reading: bool) -> int:
        """What it waits for. `reading`: whether there is room for more."""
        heard = len(self.session.out) < MOST_UNSENT
        events = EVENT_READ if (reading and heard and not self.session.over) or self._handshake else 0
        if self.session.out or self._tls_waits_to_write:
            events |= EVENT_WRITE
        return events

    def receive(self, mailbox: Mailbox, now: float, turns: int = TURN) -> str:
        """Take what is there. Returns why the connection has to end, "" where it has not; "end" at its regular end."""
        try:
            if self._handshake and not self._shake(now):
                return ""
            for _ in range(turns):
                if self.session.over:
                    break
                data = self._sock.recv(PIECE)
                if not data:
                    self._give(mailbox, self.session.end())
                    return "end"
                self.last = now
                self._give(mailbox, self.session.feed(data))
                if self.session.broken:
                    return self.session.broken
        except (ssl.SSLWantReadError, BlockingIOError, InterruptedError):
            pass
        except ssl.SSLWantWriteError:
            self._tls_waits_to_write = True
        except ssl.SSLError as error:
            self._give(mailbox, self.session.end())
            return f"TLS: {(error.reason or 'error').lower().replace('_', ' ')}"
        except OSError:
            self._give(mailbox, self.session.end())
            return "end"
        self._note(now)
        return ""

    @property
    def pending(self) -> bool:
        """Whether bytes wait in the TLS layer, of which the system does not know."""
        return isinstance(self._sock, ssl.SSLSocket) and not self._handshake and self._sock.pending() > 0

    @property
    def shaking(self) -> bool:
        """Whether the TLS handshake is not over."""
        return self._handshake

    def send(self) -> bool:
        """Send what can be sent now; False where the connection is broken."""
        self._tls_waits_to_write = False
        out = self.session.out
        try:
            while out:
                sent = self._sock.send(memoryview(out)[:PIECE].tobytes())
                del out[:sent]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return True

    def excuse(self, now: float) -> None:
        """It was not heard until now: what it left unfinished begins to take time now."""
        self.last = now
        self.began = None if self.began is None else now

    def kept(self, offset: int) -> None:
        """Its messages up to here are durable."""
        self.session.kept(offset)

    def bye(self) -> None:
        """The receiver ends: say so, where the protocol has a word for it."""
        if isinstance(self.session, Relp) and not self.session.over:
            self.session.bye()
            self.send()

    def close(self) -> None:
        """The end; may be called twice."""
        self.closed = True
        self._sock.close()

    def _shake(self, now: float) -> bool:
        assert isinstance(self._sock, ssl.SSLSocket)
        self._sock.do_handshake()
        self._handshake, self.last = False, now
        self.began = None
        return True

    def _give(self, mailbox: Mailbox, records: Sequence[Record]) -> None:
        if records:
            self.taken += 1
            mailbox.put(self.sender, records)
            self.began = None
        if self.session.cuts:
            self.cuts += self.session.cuts
            self.session.cuts.clear()

    def _note(self, now: float) -> None:
        """Since when something is unfinished."""
        if self._handshake or self.session.unfinished:
            self.began = now if self.began is None else self.began
        else:
            self.began = None
