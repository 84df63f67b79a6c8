"""Datagrams: one message each, by who sent them, and how many the system had to drop. For the server's thread."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from shipper.inputs.syslog._mailbox import Mailbox, Sender
from shipper.inputs.syslog._messages import Cut, trimmed
from shipper.inputs.syslog.settings import Address
from shipper.model import Record

MOST_SENDERS: Final = 1024
"""Senders that are told apart at a time: anybody can write any address as his own."""
IDLE: Final = 600.0
"""Seconds without a datagram after which a sender's stream ends."""
GREATEST_BUFFER: Final = 64 * 1024 * 1024
_TURN: Final = 512
_LARGEST: Final = 65_536
_SO_RXQ_OVFL: Final = 40
"""Linux: with each datagram comes how many were dropped on this socket so far (socket(7))."""
_SO_MEMINFO: Final = 55
"""Linux: figures of a socket; the ninth is the same count, also when no datagram comes any more (sock_diag(7))."""
_COUNTER: Final = struct.Struct("=I")
_MEMINFO: Final = struct.Struct("=9I")
_SHARED: Final = "::ffff:"
"""How an IPv4 address is written on a socket of IPv6."""


class Datagrams:
    """One UDP socket, bound. `allowed` tells who may send; `refuse` is told who may not."""

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        *,
        longest: int,
        buffer: int,
        sender: Callable[[str, str], Sender],
        allowed: Callable[[str], bool],
    ) -> None:
        self.sock, self.url = sock, address.url
        self.dropped = 0
        """Since the last look."""
        self.refused: list[str] = []
        """Peers that may not send, since the last look."""
        self.cuts: list[tuple[Sender, Cut]] = []
        self._longest, self._sender, self._allowed = longest, sender, allowed
        self._senders: OrderedDict[str, tuple[Sender, float]] = OrderedDict()
        self._offsets: dict[str, int] = {}
        self._last = 0
        self._bytes = bytearray(_LARGEST)
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        with contextlib.suppress(OSError):
            # The system gives at most net.core.rmem_max, and tells twice as much, for its own book-keeping.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer or GREATEST_BUFFER)
        given = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self.problem = ""
        """What is worth a word about the socket."""
        if given < buffer:
            self.problem = (
                f"the system gives a receive buffer of {given} bytes instead of {buffer};"
                f" hint: sysctl -w net.core.rmem_max={buffer}"
            )

    def fileno(self) -> int:
        """The descriptor."""
        return self.sock.fileno()

    def receive(self, mailbox: Mailbox, now: float, most: int = _TURN) -> int:
        """Take at most `most` datagrams that are there; returns how many there were."""
        found: dict[str, list[Record]] = {}
        view, space = memoryview(self._bytes), socket.CMSG_SPACE(4)
        count = 0
        while count < most:
            try:
                size, extra, _, peer = self.sock.recvmsg_into([view], space)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an error that the network reports, which is over once it was told
                count += 1
                continue
            count += 1
            if extra and extra[0][1] == _SO_RXQ_OVFL:
                self._note_dropped(_COUNTER.unpack(extra[0][2][:4])[0])
            host = peer[0]
            if not self._allowed(host):
                if len(self.refused) < _TURN:
                    self.refused.append(host)
                continue
            data = trimmed(bytes(view[: min(size, self._longest)]))
            if not data:
                continue
            records = found.get(host)
            if records is None:
                records = found[host] = []
                self._known(host, now, mailbox)
            at = self._offsets[host]
            records.append(Record(data, at, size))
            if size > self._longest:
                self.cuts.append((self._senders[host][0], (at, size, "long")))
            self._offsets[host] = at + size
            if len(found) >= MOST_SENDERS // 2:  # so that none of these senders is forgotten meanwhile
                break
        for host, records in found.items():
            mailbox.put(self._senders[host][0], records)
        return count

    def sweep(self, mailbox: Mailbox, now: float) -> None:
        """Look at what was dropped, and end the streams of those who are silent."""
        self._look_at_drops()
        while self._senders:
            host, (_, last) = next(iter(self._senders.items()))
            if now - last < IDLE:
                return
            self._forget(host, mailbox)

    def end(self, mailbox: Mailbox) -> None:
        """Look at what was dropped, and end all streams."""
        self._look_at_drops()
        for host in list(self._senders):
            self._forget(host, mailbox)

    def _known(self, host: str, now: float, mailbox: Mailbox) -> None:
        found = self._senders.get(host)
        if found is None:
            if len(self._senders) >= MOST_SENDERS:
                self._forget(next(iter(self._senders)), mailbox)
            shown = host.removeprefix(_SHARED)
            self._senders[host] = (self._sender(f"udp://{f'[{shown}]' if ':' in shown else shown}", shown), now)
            self._offsets[host] = 0
            return
        self._senders[host] = (found[0], now)
        self._senders.move_to_end(host)

    def _forget(self, host: str, mailbox: Mailbox) -> None:
        sender, _ = self._senders.pop(host)
        del self._offsets[host]
        mailbox.leave(sender)

    def _look_at_drops(self) -> None:
        with contextlib.suppress(OSError, struct.error):  # a system that has no such figures tells with the datagrams
            self._note_dropped(_MEMINFO.unpack(self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[8])

    def _note_dropped(self, total: int) -> None:
        more = (total - self._last) % 2**32
        if more < 2**31:  # a datagram says how many there were when it came, of which more are known already
            self.dropped += more
            self._last = total
