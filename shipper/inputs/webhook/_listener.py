"""One address on which webhooks are awaited: a thread with a loop of its own, shared by all endpoints there.

The listening socket is bound when a listener is made, so that an address that is taken is told before anything runs.
Nobody is answered before an endpoint is attached; until then connections wait in the system's backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from shipper.errors import ConfigError
from shipper.inputs._certificate import Certificate
from shipper.inputs._sockets import bound_socket
from shipper.inputs.webhook._body import Bodies
from shipper.inputs.webhook._door import Door, Seat
from shipper.inputs.webhook._entries import Entry
from shipper.inputs.webhook._faults import Faults
from shipper.inputs.webhook._requests import Connection, Desk, Endpoint
from shipper.inputs.webhook.settings import Settings

BACKLOG: Final = 1024
SWEEP: Final = 0.5
"""Seconds between two looks at who takes too long."""
GOODBYE: Final = 2.0
"""Seconds that answers get at the end."""
LINGER: Final = 10.0
"""Seconds that a listener without endpoints answers 429 while a new configuration takes over."""
HEAD_LINE, HEAD_FIELD, HEAD_FIELDS = 8190, 8190, 100
"""Bytes of a request line and of a header, number of headers."""

_silent = logging.getLogger("shipper.webhook")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
"""What aiohttp says of broken requests: their senders get an answer, and nobody may fill the log with them."""


class Listener:
    """Use `listening`, which shares one among the endpoints of an address."""

    def __init__(self, settings: Settings) -> None:
        self.problem = ""
        """Why the certificate cannot be renewed; empty when it can."""
        self.users = 0
        self._tls = certificate_of(settings)
        self._socket = bound(settings)
        self.settings = replace(settings, port=self._socket.getsockname()[1])
        self._faults = Faults(self.settings.place)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._desk: Desk | None = None
        self._ending: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._door: Door | None = None
        self._late: threading.Timer | None = None
        self._expected: set[str] = set()

    def expect(self, path: str) -> None:
        """An endpoint of this path will be attached: until then 429, since some sources never try again after a 404."""
        self._expected.add(path)

    def attach(self, endpoint: Endpoint) -> None:
        """Answer requests to an endpoint's path from now on."""
        if self._thread is None:
            self._started.clear()
            self._thread = threading.Thread(target=self._run, name=f"webhook {self.settings.place}", daemon=True)
            self._thread.start()
            self._started.wait()
        if self._desk is None:
            raise ConfigError("listen for webhooks", self.settings.place, self.problem, "fieldtrail status")
        self._desk.attach(endpoint)
        self._expected.discard(endpoint.path)

    def detach(self, endpoint: Endpoint) -> None:
        """Answer its requests 429 from now on: it may come back."""
        if self._desk is not None:
            self._desk.detach(endpoint)

    def post(self, entries: Sequence[Entry], kept: bool) -> None:  # noqa: FBT001 - what happened to them
        """Answer requests; for any thread."""
        if entries and self._loop is not None:
            # Once it is closed nobody waits for an answer.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, entries, kept)

    def look(self, now: float) -> None:
        """Take a renewed certificate; for the agent's thread. `now`: monotonic s."""
        if self._tls is not None:
            self._tls.look(now)
            self.problem = self._tls.problem

    def close(self) -> None:
        """End it: connections are closed, those that wait for an answer get `GOODBYE` seconds."""
        if self._late is not None:
            self._late.cancel()
        if self._thread is not None and self._loop is not None and self._ending is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
            self._thread = None
        self._socket.close()

    def status(self) -> dict[str, int]:
        """Figures: connections now, and how many lost their seats to others."""
        door = self._door if self._thread is not None else None
        return {"connections": door.taken if door else 0, "shed": door.shed if door else 0}

    # -- its thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                loop = runner.get_loop()
                loop.set_exception_handler(self._unhandled)
                runner.run(self._serve(loop))
        except Exception as error:  # noqa: BLE001 - whatever ends this thread must be seen, and nobody wait for it
            self.problem = f"the listener ended: {self._faults.add(error)}"
        finally:
            self._started.set()

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """What nobody caught: connections that break, of which whoever broke them knows, or an error of ours."""
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError):
            self._faults.add(error)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self.settings
        self._loop, self._ending = loop, asyncio.Event()
        bodies = Bodies(seconds=settings.body_seconds)
        self._desk = desk = Desk(bodies, settings.trusted_proxies, self._faults, self._expected)
        self._server = server = web.Server(desk.handle, request_factory=desk.request)

        def protocol(seat: Seat) -> asyncio.Protocol:
            made = Connection(
                server,
                loop=loop,
                logger=_silent,
                access_log=None,  # type: ignore[arg-type]  # as `web.Server` says it, for none
                auto_decompress=False,
                keepalive_timeout=settings.idle_seconds,
                lingering_time=1.0,
                max_line_size=HEAD_LINE,
                max_field_size=HEAD_FIELD,
                max_headers=HEAD_FIELDS,
            )
            made.faults = desk.faults
            made.seat = seat
            return made

        self._door = door = Door(
            loop,
            self._socket,
            protocol,
            seats=settings.connections,
            tls=lambda: None if self._tls is None else self._tls.context,
            admits=settings.admits,
            head_seconds=settings.head_seconds,
            idle_seconds=settings.idle_seconds,
            body_seconds=settings.body_seconds,
        )
        self._started.set()
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._ending.wait()
            door.sweep()
            desk.sweep()
        door.shut()
        await door.clear(GOODBYE)
        await server.shutdown(0)


def _settle(entries: Sequence[Entry], kept: bool) -> None:  # noqa: FBT001 - what happened to them
    for entry in entries:
        entry.settle(kept)


def bound(settings: Settings) -> socket.socket:
    """A socket that listens there; `ConfigError` where it cannot."""
    return bound_socket("listen for webhooks", settings.place, settings.host, settings.port, backlog=BACKLOG)


def certificate_of(settings: Settings) -> Certificate | None:
    """Its certificate, None where it has none. Raises `ConfigError` where that cannot be used."""
    if settings.cert is None or settings.key is None:
        return None
    return Certificate("listen for webhooks", settings.cert, settings.key)


# -- sharing -----------------------------------------------------------------------------------------------------------

_listeners: dict[tuple[str, int], Listener] = {}
_sharing = threading.Lock()


def listening(settings: Settings) -> Listener:
    """The listener of an address, made if there is none. Give it back with `release`.

    Raises `ConfigError` where it cannot be bound, or its certificate cannot be used.
    """
    with _sharing:
        address = (settings.host, settings.port)
        found = _listeners.get(address) if settings.port else None
        if found is not None and found.settings != settings:
            if found.users:
                raise ConfigError(
                    "listen for webhooks", settings.place, "another endpoint there has other settings",
                    "give all inputs with one listen the same tls, trusted_proxies and connections",
                )  # fmt: skip
            _forget(found)  # also where the next one cannot be made: a closed one would be taken for it
            found.close()
            found = None
        if found is None:
            for one in set(_listeners.values()):
                # One that lingers on 127.0.0.1 would keep the next from binding 0.0.0.0.
                if not one.users and one.settings.port == settings.port:
                    _forget(one)
                    one.close()
            found = Listener(settings)
            _listeners[settings.host, found.settings.port] = found
        if found._late is not None:  # noqa: SLF001 - of this module
            found._late.cancel()  # noqa: SLF001 - of this module
            found._late = None  # noqa: SLF001 - of this module
        found.users += 1
        return found


def release(listener: Listener, *, linger: bool = False) -> None:
    """An endpoint needs it no more; the last one closes it.

    `linger`: only after `LINGER` seconds, unless somebody takes it over: meanwhile it answers 429.
    """
    with _sharing:
        listener.users -= 1
        if listener.users:
            return
        if linger:
            listener._late = timer = threading.Timer(LINGER, _close_unused, (listener,))  # noqa: SLF001 - of this module
            timer.daemon = True
            timer.start()
            return
        _forget(listener)
    listener.close()


def _close_unused(listener: Listener) -> None:
    with _sharing:
        if listener.users:
            return
        _forget(listener)
    listener.close()


def _forget(listener: Listener) -> None:
    for address in [address for address, one in _listeners.items() if one is listener]:
        del _listeners[address]
