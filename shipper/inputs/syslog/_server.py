"""The thread that listens: accepts, receives, answers, and ends what takes too long.

When the mailbox is full, nothing is received: TCP makes the senders wait, the system drops datagrams and counts them.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from shipper import telemetry
from shipper.inputs.syslog._connection import Connection
from shipper.inputs.syslog._datagrams import Datagrams
from shipper.inputs.syslog._mailbox import Mailbox, Sender
from shipper.inputs.syslog._messages import Stream
from shipper.inputs.syslog._relp import Relp
from shipper.inputs.syslog._reports import Reports
from shipper.inputs.syslog._sockets import bound, certificate_of
from shipper.inputs.syslog.settings import Address, Settings

SWEEP: Final = 0.5
"""Seconds between two looks at who takes too long."""
MOST_HELD: Final = 64 * 1024 * 1024
"""Bytes of unfinished messages, and of answers that wait, of all connections."""
GOODBYE: Final = 1.0
"""Seconds that answers get at the end, and datagrams that the system holds."""
LAST_TURNS: Final = 64
"""Pieces that a connection may give when the agent ends: what the system holds, and not what comes meanwhile."""
LAST_BYTES: Final = 64 * 1024 * 1024
"""Bytes that wait at the end, beyond which nothing more is taken: nobody who never rests may keep it from ending."""
_ACCEPTS: Final = 64
_MOST_CUTS: Final = 10_000


class Cut(NamedTuple):
    """A message that was given out and is not whole."""

    stream: str
    path: str
    offset: int
    length: int
    why: str


class Bound(NamedTuple):
    """A listening socket."""

    sock: socket.socket
    address: Address


class Server:
    """Binds its addresses when it is made; receives once `start` was called. Raises `ConfigError`.

    `name`: what makes the ids of its streams its own. `wake`: called when there are messages.
    """

    def __init__(
        self,
        settings: Settings,
        mailbox: Mailbox,
        reports: Reports,
        *,
        name: str,
        wake: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wake = wake
        self.cuts: deque[Cut] = deque(maxlen=_MOST_CUTS)
        self.addresses: list[Address] = []
        """Where it listens, with the ports that it got."""
        self._settings, self._mailbox, self._reports, self._name = settings, mailbox, reports, name
        self._now = monotonic
        self._count = 0
        self._connections: dict[str, Connection] = {}
        """By the id of the stream."""
        self._listening: list[Bound] = []
        self._datagrams: list[Datagrams] = []
        self._kept: deque[tuple[str, int]] = deque()
        self._failed = ""
        self._acknowledges = any(one.scheme in {"relp", "relps"} for one in settings.addresses)
        self._paused = self._accepting = self._hearing = False
        self._finishing, self._ending = threading.Event(), threading.Event()
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self._allowed = lru_cache(maxsize=4096)(self._may_send)
        with contextlib.ExitStack() as stack:
            self._tls = certificate_of(settings)
            for address in settings.addresses:
                sock = bound(address)
                stack.callback(sock.close)
                here = address._replace(port=sock.getsockname()[1])
                self.addresses.append(here)
                if address.scheme == "udp":
                    self._datagrams.append(
                        Datagrams(
                            sock, here, longest=settings.longest, buffer=settings.receive_buffer,
                            sender=self._sender, allowed=self._allowed,
                        )
                    )  # fmt: skip
                else:
                    self._listening.append(Bound(sock, here))
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._selector = selectors.DefaultSelector()
            stack.pop_all()

    # -- from outside -------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it receives, or did."""
        return self._thread is not None

    @property
    def listening(self) -> bool:
        """Whether it receives now: not before `start`, nor after `finish`, nor when a bug has ended the thread."""
        return self._thread is not None and self._thread.is_alive() and not self._finished.is_set()

    @property
    def paused(self) -> bool:
        """Whether nothing is received until there is room in the mailbox."""
        return self._paused

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def start(self) -> None:
        """Receive from now on."""
        self._thread = threading.Thread(target=self._run, name=f"syslog {self._name}", daemon=True)
        self._thread.start()

    def kept(self, offsets: Mapping[str, int]) -> None:
        """Messages up to these offsets are durable, by stream. For any thread."""
        if self._acknowledges:
            self._kept.extend(offsets.items())
            self.ring()

    def look(self) -> None:
        """Take a renewed certificate. For the agent's thread."""
        if self._tls is not None:
            self._tls.look(self._now())

    def ring(self) -> None:
        """Make the thread look up. For any thread."""
        with contextlib.suppress(OSError):
            os.eventfd_write(self._bell, 1)

    def finish(self) -> None:
        """Accept nothing more and take what the system holds; returns when that is done. Answers are still sent."""
        if self._thread is None or self._finished.is_set():
            return
        self._finishing.set()
        self.ring()
        self._finished.wait()

    def close(self) -> None:
        """End all connections; may be called twice."""
        if self._thread is not None and self._thread.is_alive():
            self._ending.set()
            self.ring()
            self._thread.join()
        for connection in list(self._connections.values()):
            self._drop(connection)
        for bound_to in self._listening:
            bound_to.sock.close()
        for datagrams in self._datagrams:
            datagrams.sock.close()
        self._selector.close()
        if self._bell >= 0:
            bell, self._bell = self._bell, -1
            os.close(bell)

    def problems(self) -> list[tuple[str, str]]:
        """What does not work as it should, as (place, cause)."""
        found = [(one.url, one.problem) for one in self._datagrams if one.problem]
        if self._failed:
            found.append((self._place, self._failed))
        if self._tls is not None and self._tls.problem:
            found.append(("tls", self._tls.problem))
        return found

    @property
    def _place(self) -> str:
        return " ".join(one.url for one in self.addresses)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # noqa: BLE001 - a bug here must not leave the agent waiting for this thread
            self._failed = f"nothing is received any more: internal error: {type(error).__name__}: {error}"
            self._give_up()
        finally:
            self._finished.set()

    def _give_up(self) -> None:
        """Close everything after a bug: the system would go on to accept, and the senders would never know."""
        with contextlib.suppress(Exception), contextlib.ExitStack() as stack:  # what stumbles leaves the others closed
            stack.callback(self.wake)
            for datagrams in self._datagrams:
                stack.callback(datagrams.sock.close)
                stack.callback(datagrams.end, self._mailbox)
            for connection in list(self._connections.values()):
                stack.callback(self._drop, connection)
            for listening in self._listening:
                stack.callback(listening.sock.close)
            stack.callback(telemetry.listener_ended, place=self._place, cause=self._failed)

    def _loop(self) -> None:
        selector = self._selector
        selector.register(self._bell, selectors.EVENT_READ, None)
        self._accept_on(on=True)
        self._hear(on=True)
        swept = self._now()
        busy: set[Connection] = set()
        while not self._ending.is_set():
            # At the end nothing is received again, so there is nothing to hurry for.
            room = self._paused and not self._finished.is_set() and not self._mailbox.full
            ready = selector.select(0 if busy or room else SWEEP)
            now = self._now()
            if not self._finished.is_set() and self._pause(self._mailbox.full, now):
                # What lies in the TLS layer already, the system does not report.
                busy |= {one for one in self._connections.values() if one.pending}
            before = self._mailbox.received
            for key, events in ready:
                source = key.data
                if isinstance(source, Connection):
                    # What one has given may have been the last there was room for; the next one is asked again then.
                    heard = events if source.shaking or not self._mailbox.full else events & selectors.EVENT_WRITE
                    if not source.closed and heard:
                        self._serve(source, heard, now, busy)
                elif isinstance(source, Datagrams):
                    self._datagram(source, now)
                elif isinstance(source, Bound):
                    self._accept(source, now)
                else:
                    with contextlib.suppress(OSError):
                        os.eventfd_read(self._bell)
            for connection in [one for one in busy if not one.closed and not self._paused]:
                if not self._mailbox.full:
                    self._serve(connection, selectors.EVENT_READ, now, busy)
            busy = {one for one in busy if not one.closed} if not self._paused else set()
            self._tell_kept()
            if self._finishing.is_set() and not self._finished.is_set():
                self._take_last(now)
                self._finished.set()
            if self._mailbox.received != before:
                self.wake()
            if now - swept >= SWEEP:
                swept = now
                self._sweep(now)
        self._tell_kept()
        self._say_goodbye()

    def _accept_on(self, *, on: bool) -> None:
        """Wait for newcomers, or not."""
        if on != self._accepting:
            self._accepting = on
            for one in self._listening:
                if on:
                    self._selector.register(one.sock, selectors.EVENT_READ, one)
                else:
                    self._selector.unregister(one.sock)

    def _hear(self, *, on: bool) -> None:
        """Wait for datagrams, or not."""
        if on != self._hearing:
            self._hearing = on
            for one in self._datagrams:
                if on:
                    self._selector.register(one, selectors.EVENT_READ, one)
                else:
                    self._selector.unregister(one)

    def _pause(self, pause: bool, now: float) -> bool:  # noqa: FBT001 - what the mailbox says
        """Receive nothing, or receive again; whether that begins now."""
        if pause == self._paused:
            return False
        self._paused = pause
        self._hear(on=not pause)
        for connection in self._connections.values():
            if not pause:
                connection.excuse(now)
            self._watch(connection)
        return not pause

    def _watch(self, connection: Connection) -> None:
        """Wait for what a connection needs."""
        wanted = connection.wanted(reading=not self._paused and not self._finished.is_set())
        if wanted == connection.events:
            return
        if not connection.events:
            self._selector.register(connection, wanted, connection)
        elif wanted:
            self._selector.modify(connection, wanted, connection)
        else:
            self._selector.unregister(connection)
        connection.events = wanted

    def _serve(self, connection: Connection, events: int, now: float, busy: set[Connection]) -> None:
        if events & selectors.EVENT_WRITE and not connection.send():
            self._drop(connection)
            return
        if events & selectors.EVENT_READ or connection.shaking:
            why = connection.receive(self._mailbox, now)
            self._note_cuts(connection)
            if why:
                if why != "end":
                    self._reports.refuse(connection.place, why, connection.sender.peer)
                self._drop(connection)
                return
            if connection.pending:
                busy.add(connection)
            else:
                busy.discard(connection)
        self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        """Send what there is to say; end what has said all."""
        broken = bool(connection.session.out) and not connection.send()
        if broken or (connection.session.over and not connection.session.out):
            self._drop(connection)
        else:
            self._watch(connection)

    def _datagram(self, datagrams: Datagrams, now: float) -> None:
        datagrams.receive(self._mailbox, now)
        self._note_datagrams(datagrams)

    def _note_datagrams(self, datagrams: Datagrams) -> None:
        if datagrams.dropped:
            self._reports.drop(datagrams.url, datagrams.dropped)
            datagrams.dropped = 0
        for peer in datagrams.refused:
            self._reports.refuse(datagrams.url, "not in allow", peer)
        datagrams.refused.clear()
        for sender, cut in datagrams.cuts:
            self.cuts.append(Cut(sender.id, sender.path, *cut))
        datagrams.cuts.clear()

    def _accept(self, listening: Bound, now: float) -> None:
        url = listening.address.url
        for _ in range(_ACCEPTS):
            try:
                sock, peer = listening.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor is left
                self._reports.refuse(url, (error.strerror or str(error)).lower(), "-")
                if not self._make_room(now):
                    self._accept_on(on=False)  # until the next look: who waits would be told of again at once
                return
            host = str(peer[0]).removeprefix("::ffff:")
            if not self._allowed(host):
                self._reports.refuse(url, "not in allow", host)
                sock.close()
            elif len(self._connections) >= self._settings.connections and not self._make_room(now):
                self._reports.refuse(url, "all connections are taken", host)
                sock.close()
            else:
                self._admit(sock, listening.address, host, now)

    def _admit(self, sock: socket.socket, address: Address, host: str, now: float) -> None:
        relp = address.scheme in {"relp", "relps"}
        longest = self._settings.longest
        session = Relp(longest) if relp else Stream(longest, self._settings.framing)
        sender = self._sender(f"{address.scheme}://{f'[{host}]' if ':' in host else host}", host)
        context = self._tls.context if address.secure and self._tls is not None else None
        try:
            connection = Connection(sock, address.url, sender, session, context, now)
        except OSError:
            sock.close()
            return
        self._connections[sender.id] = connection
        self._watch(connection)

    def _make_room(self, now: float) -> bool:
        """End the connection that can be missed most.

        That is one that has said nothing yet, then one that leaves a message unfinished, then the quietest one of a
        client that has more than a quarter of all.
        """
        connections = self._connections.values()
        silent = [one for one in connections if not one.taken]
        stuck = [one for one in connections if one.began is not None and now - one.last >= self._settings.slow / 2]
        greedy, count = Counter(one.sender.peer for one in connections).most_common(1)[0] if connections else ("", 0)
        many = (
            [one for one in connections if one.sender.peer == greedy] if 4 * count > self._settings.connections else []
        )
        ranked = silent or stuck or many
        if not ranked:
            return False
        worst = min(ranked, key=lambda one: one.last)
        self._reports.refuse(worst.place, "all connections are taken: ended the one that said least", worst.sender.peer)
        self._drop(worst)
        return True

    def _sweep(self, now: float) -> None:
        """End what takes too long, and what holds too much."""
        for datagrams in self._datagrams:
            datagrams.sweep(self._mailbox, now)
            self._note_datagrams(datagrams)
        if not self._finished.is_set():
            self._accept_on(on=True)
        if self._paused:
            return  # it is this side that takes long
        limits = self._settings
        for connection in list(self._connections.values()):
            began = connection.began
            if began is not None and (connection.shaking or connection.session.unfinished):
                if now - began >= limits.slow:
                    what = "a TLS handshake" if connection.shaking else "a message"
                    self._end(connection, f"{what} took longer than {limits.slow:g} s")
            elif now - connection.last >= limits.idle:
                self._drop(connection)
        self._relieve()

    def _relieve(self) -> None:
        """End those that hold most, until what the others hold together is bearable."""
        held = {one: one.session.held for one in self._connections.values()}
        total = sum(held.values())
        for largest in sorted(held, key=held.__getitem__, reverse=True):
            if total <= MOST_HELD:
                return
            total -= held[largest]
            self._end(largest, "what is unfinished or unanswered held too much memory")

    def _end(self, connection: Connection, reason: str) -> None:
        """End a connection that is not to go on; what came of its last message is kept."""
        records = connection.session.end()
        if records:
            self._mailbox.put(connection.sender, records)
            self.wake()
        connection.cuts += connection.session.cuts
        self._note_cuts(connection)
        self._reports.refuse(connection.place, reason, connection.sender.peer)
        self._drop(connection)

    def _tell_kept(self) -> None:
        told: dict[str, int] = {}
        with contextlib.suppress(IndexError):
            while True:
                stream, offset = self._kept.popleft()
                told[stream] = offset
        for stream, offset in told.items():
            connection = self._connections.get(stream)
            if connection is not None:
                connection.kept(offset)
                self._answer(connection)

    def _take_last(self, now: float) -> None:
        """The agent ends: what the system holds is taken, however full the mailbox is. RELP sends it again."""
        self._accept_on(on=False)
        self._hear(on=False)
        for listening in self._listening:
            # Who comes now is to find nobody here, rather than one who will not read any more.
            self._accept(listening, now)
            listening.sock.close()
        until = self._now() + GOODBYE  # what is refused or empty fills nothing, and may come for ever
        for datagrams in self._datagrams:
            while self._mailbox.bytes < LAST_BYTES and self._now() < until and datagrams.receive(self._mailbox, now):
                self._note_datagrams(datagrams)
            datagrams.end(self._mailbox)
            self._note_datagrams(datagrams)
        for connection in list(self._connections.values()):
            if isinstance(connection.session, Relp):
                continue
            if connection.receive(self._mailbox, now, LAST_TURNS if self._mailbox.bytes < LAST_BYTES else 0) == "":
                records = connection.session.end()
                if records:
                    self._mailbox.put(connection.sender, records)
                connection.cuts += connection.session.cuts
            self._note_cuts(connection)
            self._drop(connection)
        for connection in self._connections.values():
            if connection.events:
                self._selector.unregister(connection)
                connection.events = 0

    def _say_goodbye(self) -> None:
        """Send the answers that are due, for a moment, and close."""
        until = self._now() + GOODBYE
        for connection in self._connections.values():
            connection.bye()
        while self._now() < until and any(one.session.out for one in self._connections.values()):
            for connection in [one for one in self._connections.values() if one.session.out]:
                if not connection.send():
                    connection.session.out.clear()
            time.sleep(0.005)

    def _drop(self, connection: Connection) -> None:
        if connection.events:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(connection)
            connection.events = 0
        connection.close()
        self._connections.pop(connection.sender.id, None)
        self._mailbox.leave(connection.sender)

    def _note_cuts(self, connection: Connection) -> None:
        for cut in connection.cuts:
            self.cuts.append(Cut(connection.sender.id, connection.sender.path, *cut))
        connection.cuts.clear()

    def _sender(self, path: str, peer: str) -> Sender:
        self._count += 1
        text = f"fieldtrail/syslog/1 {self._name} {path} {self._count}"
        return Sender(blake2b(text.encode(), digest_size=16).hexdigest(), path, peer)

    def _may_send(self, host: str) -> bool:
        if not self._settings.allow:
            return True
        address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._settings.allow)
