"""Who may be connected, and for how long: a seat for each connection, so many at the most.

A connection that says nothing costs a socket and a small object; the machinery for HTTP is made for it with its first
byte. When all seats are taken, the one that has been idle, or in the middle of its request, for longest loses its seat
to the newcomer; who waits for an answer keeps it. So idle or dripping connections, however many, neither fill the
memory nor keep a sender out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

HEAD_SECONDS: Final = 10.0
"""For the whole head of a request, however it drips, and for the TLS handshake."""
IDLE_SECONDS: Final = 75.0
"""That a connection may be idle, before its first request or between two: what senders' pools are used to."""
MOST_HEAD: Final = 64 * 1024
"""Bytes that come before the head of a request is whole; the last packet with it may bring more."""
LEAVE_SECONDS: Final = 3.0
"""That a connection which was answered for good may stay, so that its sender reads the answer."""
_ACCEPTS: Final = 64
"""Connections taken at once, before those that are there have their turn."""
_RETRY: Final = 0.2
"""Seconds after which connections are taken again when the system had no descriptor left."""

OPENING, IDLE, HEAD, BODY, BUSY, LEAVING = "opening", "idle", "head", "body", "busy", "leaving"


class Seat(asyncio.Protocol):
    """One connection: its clock, and the protocol of aiohttp behind it as soon as it is needed."""

    __slots__ = ("_door", "_inner", "_transport", "doing", "head", "peer", "since", "task")

    def __init__(self, door: Door, peer: str) -> None:
        self._door, self.peer = door, peer
        self._inner: Any = None
        self._transport: asyncio.Transport | None = None
        self.task: asyncio.Task[Any] | None = None
        self.doing = OPENING
        self.head = 0
        self.since = door.now()

    def turn(self, doing: str) -> None:
        """From now on it does something else."""
        self.doing, self.since = doing, self._door.now()

    def abort(self) -> None:
        """Take the seat away."""
        if self._transport is not None:
            self._transport.abort()
        elif self.task is not None:
            self.task.cancel()
        self._door.leave(self)

    # -- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, its TLS handshake done."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.turn(IDLE)

    def data_received(self, data: bytes) -> None:
        """The first bytes make the protocol that understands them."""
        inner = self._inner
        if inner is None:
            assert self._transport is not None
            inner = self._inner = self._door.protocol(self)
            inner.connection_made(self._transport)
        if self.doing is IDLE:
            self.turn(HEAD)
            self.head = 0
        if self.doing is HEAD:
            if self.head >= MOST_HEAD:
                self.abort()
                return
            self.head += len(data)
        inner.data_received(data)

    def eof_received(self) -> bool | None:
        """The other side sends no more."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """The other side does not read its answers."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if self._inner is not None:
            self._inner.connection_lost(exc)
        self._door.leave(self)


class Door:
    """Takes the connections of one listening socket. For the thread of its loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        protocol: Callable[[Seat], asyncio.Protocol],
        *,
        seats: int,
        tls: Callable[[], ssl.SSLContext | None],
        admits: Callable[[str], bool],
        head_seconds: float = HEAD_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        body_seconds: float = HEAD_SECONDS,
    ) -> None:
        """`protocol` makes what understands the bytes of a connection; `tls` gives the context for a new one.

        `admits`: whether an address may connect at all.
        """
        self.protocol = protocol
        self.now = loop.time
        self.shed = 0
        """Connections that lost their seats to others."""
        self._loop, self._listening, self._tls, self._most, self._admits = loop, listening, tls, seats, admits
        self._limits = {
            IDLE: idle_seconds,
            HEAD: head_seconds,
            OPENING: head_seconds,
            # Who reads the body ends it with an answer; this is for what never comes to that.
            BODY: body_seconds + LEAVE_SECONDS,
            LEAVING: LEAVE_SECONDS,
        }
        self._seats: set[Seat] = set()
        loop.add_reader(listening.fileno(), self._accept)

    @property
    def taken(self) -> int:
        """Seats that are taken."""
        return len(self._seats)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No descriptor is left. Those that wait are taken when there is one, or give up.
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(_RETRY, self._again)
                self._make_room()
                return
            if not self._admits(str(address[0])) or (len(self._seats) >= self._most and not self._make_room()):
                connection.close()
                continue
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            seat = Seat(self, str(address[0]))
            self._seats.add(seat)
            seat.task = self._loop.create_task(self._open(seat, connection))
            seat.task.add_done_callback(partial(self._opened, seat, connection))

    def _again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    async def _open(self, seat: Seat, connection: socket.socket) -> None:
        context = self._tls()
        limit = None if context is None else self._limits[OPENING]
        await self._loop.connect_accepted_socket(lambda: seat, connection, ssl=context, ssl_handshake_timeout=limit)

    def _opened(self, seat: Seat, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """The connection is there; or its handshake failed or took too long, or its seat was taken away before."""
        seat.task = None
        if task.cancelled() or task.exception() is not None:
            connection.close()
            self.leave(seat)

    def _make_room(self) -> bool:
        """Take the seat from the connection that can be missed most."""
        # By age alone: if idle ones went first, seats full of dripping heads would push out whoever has just come.
        found = min((seat for seat in self._seats if seat.doing is not BUSY), key=lambda seat: seat.since, default=None)
        if found is None:
            return False
        found.abort()
        self.shed += 1
        return True

    def leave(self, seat: Seat) -> None:
        """A connection is gone."""
        self._seats.discard(seat)

    def sweep(self) -> None:
        """End what takes too long."""
        now = self.now()
        for seat in [seat for seat in self._seats if now - seat.since >= self._limits.get(seat.doing, now)]:
            seat.abort()

    def shut(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._listening.fileno())

    async def clear(self, seconds: float) -> None:
        """End all connections; those that wait for an answer get so long for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(seat.doing is BUSY for seat in self._seats):  # noqa: ASYNC110 - it ends soon, and they are many
                    await asyncio.sleep(0.01)
        tasks = [seat.task for seat in self._seats if seat.task is not None]
        for seat in list(self._seats):
            seat.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to tell that they are closed
