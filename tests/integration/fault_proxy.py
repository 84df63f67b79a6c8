"""A TCP proxy on the loopback interface that does to a connection what networks do: for tests.

    with FaultProxy(("127.0.0.1", 9200)) as proxy:
        proxy.port  # connect here
        proxy.stall()  # bytes wait in both directions, connections stay
        proxy.resume()  # ... and go on, none lost
        proxy.reset()  # every connection ends with a RST

Its loop has a thread of its own; every method may be called from any thread and has taken effect when it returns.
"""

import asyncio
import socket
import struct
import threading
from contextlib import suppress

HOST = "127.0.0.1"
PIECE = 64 * 1024


class _Link:
    """One connection through the proxy: `near` to the client, `far` to the target."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.lossy = False
        """Bytes of it were swallowed: it can only end."""
        self.orphaned = False
        """The target is gone and the client must not learn of it."""
        self.over = asyncio.Event()

    def reset(self):
        self.over.set()
        for writer in (self.near, self.far):
            abort(writer)


class FaultProxy:
    """Forwards every connection to `target`, a (host, port). `taken`, `ended`: connections so far, and those by us."""

    def __init__(self, target, port=0):
        self.target = target
        self.taken = self.ended = 0
        self.delay = 0.0
        """Seconds that each piece of bytes takes longer."""
        self.pace = None
        """Bytes a second in each direction, None = as fast as it goes."""
        self._losing = 0
        self._swallowing = False
        self._links = set()
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._flow = asyncio.Event()
        self._flow.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accept, HOST, port))
        self.port = self._server.sockets[0].getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- faults --------------------------------------------------------------------------------------------------------

    def stall(self):
        """Hold all bytes back, in both directions; new connections are taken and held as well."""
        self._call(self._flow.clear)

    def swallow(self):
        """A black hole: connections are taken and stay, what is sent goes nowhere."""
        self._call(lambda: setattr(self, "_swallowing", True))

    def resume(self):
        """No fault any more. Connections that lost bytes meanwhile end with a RST."""

        def well():
            self.delay, self.pace, self._losing, self._swallowing = 0.0, None, 0, False
            for link in [one for one in self._links if one.lossy or one.orphaned]:
                self._end(link)
            self._flow.set()

        self._call(well)

    def reset(self):
        """End all connections with a RST on both sides."""
        self._call(lambda: [self._end(link) for link in list(self._links)])

    def orphan(self):
        """Half-open: the target loses its connections and the clients are told nothing."""

        def leave():
            for link in self._links:
                link.orphaned = True
                abort(link.far)

        self._call(leave)

    def lose_answers(self, count=1):
        """The next `count` times the target says something, it is lost and the connection ends with a RST."""
        self._call(lambda: setattr(self, "_losing", count))

    def close(self):
        """End everything; may be called twice."""
        if self._loop.is_closed():
            return
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- the loop's own ------------------------------------------------------------------------------------------------

    def _do(self, what):
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    def _call(self, what):
        async def call():
            what()

        self._do(call())

    def _end(self, link):
        self.ended += 1
        link.reset()

    async def _shut(self):
        self._server.close()
        self._flow.set()
        for link in list(self._links):
            link.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            abort(writer)  # the proxy closes; a cancelled handler would be reported as an error
        finally:
            self._tasks.discard(task)

    async def _forward(self, reader, near):
        await self._flow.wait()
        self.taken += 1
        try:
            back, far = await asyncio.open_connection(*self.target)
        except OSError:
            abort(near)  # who is refused by the target is refused here, a moment later
            return
        link = _Link(near, far)
        self._links.add(link)
        try:
            await asyncio.gather(self._pump(link, reader, far), self._pump(link, back, near, answers=True))
        finally:
            self._links.discard(link)
            for writer in (near, far):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _pump(self, link, reader, writer, *, answers=False):
        """Bytes of one direction until its end, which is passed on."""
        with suppress(OSError):
            while data := await reader.read(PIECE):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flow.wait()
                if self._swallowing or link.orphaned:
                    link.lossy = True
                elif answers and self._losing:
                    self._losing -= 1
                    self._end(link)
                else:
                    await self._send(writer, data)
            await self._flow.wait()
            if not (self._swallowing or link.orphaned) and writer.can_write_eof():
                writer.write_eof()
        if not answers:
            link.over.set()
        elif link.orphaned:
            await link.over.wait()  # the client is to see an open connection until it gives up, or the fault is over

    async def _send(self, writer, data):
        if self.pace is None:
            writer.write(data)
            await writer.drain()
            return
        at = 0
        while at < len(data):
            step = len(data) if self.pace is None else max(1, self.pace // 20)
            writer.write(data[at : at + step])
            await writer.drain()
            at += step
            await asyncio.sleep(0.05)


def abort(writer):
    """Close at once, with a RST."""
    plain = writer.get_extra_info("socket")
    with suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
