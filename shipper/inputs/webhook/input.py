"""The input of type `webhook`: one endpoint, whose requests are answered 2xx once their frame is durable.

A request's way: the listener's thread checks and verifies it (`_requests`); a thread of this input's own writes the ids
of what waits to the ledger, many at once; the pipeline takes the groups as chunks; the frame with them is synced, and
`kept` answers. Two syncs lie between a request and its answer, shared by all requests that came meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shipper._webhook_auth import WebhookAuthSection
from shipper.clock import Clock, rfc3339
from shipper.errors import FieldtrailError
from shipper.inputs._hint import Feeder
from shipper.inputs._ledger import MOST_PRUNED, Ledger
from shipper.inputs.webhook._entries import MOST_BYTES, OVERHEAD, Entries, Entry
from shipper.inputs.webhook._listener import Listener, listening, release
from shipper.inputs.webhook._refusals import Refusals
from shipper.inputs.webhook._schemes_keys import Keys
from shipper.inputs.webhook.schemes import RawRequest, Verdict, remember, verify
from shipper.inputs.webhook.settings import Settings
from shipper.model import Chunk, Health

MOST_DELIVERIES: Final = 5_000_000
"""Ids of deliveries that are remembered at the most, whatever the window: half a gigabyte."""
_LOOK: Final = 0.5
"""Seconds after which the writing thread looks up, though nothing came."""
_GATHER: Final = 0.01
"""Seconds from one group to the next at the least: under load each brings a frame, and a frame has its price. The first
request after a quiet moment does not wait."""
_PRUNE_EVERY: Final = 30.0
_RETRY: Final = 0.5
"""Seconds after which a ledger that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is and what it takes. `content_types`: lower case, without parameters."""

    path: str
    max_body: int
    content_types: frozenset[str]


class WebhookInput:
    """Implements `shipper.model.Input`, and the endpoint of a listener.

    The address is bound when it is made, and answered once `restore` was called. Raises `ConfigError` where the address
    or a secret cannot be used. `once`: nothing is awaited, and there is nothing to read.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (the protocol's name)
        settings: Settings,
        place: Place,
        auth: WebhookAuthSection,
        *,
        clock: Clock,
        format: str,  # noqa: A002 - as the other inputs call it
        ledger: Path,
        wake: threading.Event,
        once: bool = False,
    ) -> None:
        self.id = id
        self.path, self.max_body, self.content_types = place.path, place.max_body, place.content_types
        self.stream = f"webhook/{id}"
        self._auth, self._clock, self._format, self._wake = auth, clock, format, wake
        self._keys = Keys(auth.scheme, f"inputs {id}")
        self._refusals = Refusals()
        self._accepted = self._deferred = 0
        self._last: float | None = None
        self._file, self._once = ledger, once
        self._ledger: Ledger | None = None
        self._entries: Entries | None = None
        self._feeder: Feeder | None = None
        self._given = 0
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._linger = False
        self._listener: Listener | None = None if once else listening(settings)
        if self._listener is not None:
            self._listener.expect(self.path)

    # -- the input ----------------------------------------------------------------------------------------------------

    def connect(self, feeder: Feeder) -> None:
        """The poll input that this one `feeds`. Before `restore`, and again after a reload."""
        self._feeder = feeder
        if self._entries is not None:
            self._entries.feeder = feeder

    def rewire(self, wake: threading.Event) -> None:
        """Another agent takes this input over as it runs."""
        self._wake = wake
        wake.set()

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on after the last group that is kept, and answer from now on. Raises what `Ledger.open` does."""
        position = positions.get(self.stream, {})
        n, end = int(position.get("n", 0)), int(position.get("offset", 0))
        if self._listener is None or (self._entries is not None and n >= self._given):
            return  # nothing is awaited, or it runs already, and all that it gave was kept
        if self._entries is not None:
            self._stop_writing()
            self._entries.abandon()
            self._listener.detach(self)
        if self._ledger is not None:
            self._ledger.close()
        self._ledger = Ledger.open(self._file, n)
        most = max(MOST_BYTES, self.max_body + OVERHEAD)
        self._entries = Entries(
            self._ledger, self._listener.post, now=self._clock.now, restored=(n, end), most_bytes=most,
            believed=self._auth.body_is_signed,
        )  # fmt: skip
        self._entries.feeder = self._feeder
        self._given = n
        self._ending.clear()
        self._thread = threading.Thread(target=self._write, name=f"ledger {self.id}", daemon=True)
        self._thread.start()
        self._listener.attach(self)

    def read(self, budget: int) -> Iterator[Chunk]:
        """The groups that are written, about `budget` bytes at the most; never blocks."""
        self._keys.look()
        if self._listener is not None:
            self._listener.look(self._clock.monotonic())
        if self._entries is None:
            return
        for given in self._entries.give(budget):
            self._given = given.n
            position = {"v": 1, "n": given.n, "offset": given.end}
            yield Chunk(
                self.id, self.stream, f"POST {self.path}", self._format, given.records, position, self._clock.now(),
                deliveries=given.deliveries,
            )  # fmt: skip

    def kept(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """The frame with this position is durable: its requests are answered."""
        position = positions.get(self.stream)
        if position is not None and self._entries is not None:
            self._entries.kept(int(position["n"]))

    def finish(self) -> Iterator[Chunk]:
        """Take no more requests, and give out those that are written already. May be called twice."""
        if self._entries is not None:
            self._entries.refuse()
            yield from self.read(2**62)

    def done(self) -> bool:
        """True where nothing is awaited."""
        return self._once

    def leave(self) -> None:
        """What closes it is a new configuration: the address is to answer 429 until that takes over."""
        self._linger = True

    def close(self) -> None:
        """Answer who waits, and give the address back; may be called twice."""
        self._stop_writing()
        if self._entries is not None:
            self._entries.abandon()
        if self._listener is not None:
            self._listener.detach(self)
            release(self._listener, linger=self._linger)
            self._listener = None
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    # -- what the agent asks ------------------------------------------------------------------------------------------

    def set_aside(self) -> dict[str, int]:
        """Records since the last call that became no event: `deduplicated` (repeats) and `filtered` (hints)."""
        if self._entries is None:
            return {}
        return self._entries.set_aside()

    def reports(self) -> list[Health]:
        """What was refused, once a minute at the most."""
        found = self._refusals.report(self._clock.monotonic())
        if found is None:
            return []
        message = f"{self.id}: {found}"
        origin = {"input": self.id, "path": f"POST {self.path}"}
        return [Health("source.refused", message, origin, {"health": {"refused": found.requests}}, "failure")]

    def problems(self) -> list[tuple[str, str]]:
        """What does not work now, as (place, cause)."""
        found = [(self.path, self._keys.problem)]
        if self._listener is not None:
            found.append((self._listener.settings.place, self._listener.problem))
        if self._entries is not None:
            found.append((str(self._file), self._entries.failing))
        return [(place, cause) for place, cause in found if cause]

    def statistics(self) -> list[dict[str, Any]]:
        """One entry: `stream`, `path`, `offset` (bytes given out), `size`, `lag` (bytes waiting), `format`, `state`.

        Requests since this input was made: `accepted` (200 since it is kept), `deferred` (429), `refused` by reason.
        `last_delivery`: when one was accepted last.
        """
        waiting = self._entries.bytes if self._entries is not None else 0
        end = self._entries.end if self._entries is not None else 0
        return [
            {
                "stream": self.stream,
                "path": f"POST {self.path}",
                "offset": end,
                "size": end + waiting,
                "lag": waiting,
                "format": self._format,
                "state": "listening" if self._entries is not None else "closed",
                "accepted": self._accepted,
                "deferred": self._deferred,
                "refused": self._refusals.figures(),
                "last_delivery": None if self._last is None else rfc3339(self._last),
            }
        ]

    # -- the endpoint, called by the listener -------------------------------------------------------------------------

    def verify(self, request: RawRequest) -> Verdict:
        """Whether it is the source's."""
        return verify(self._auth, request, self._keys.secrets)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def room(self, now: float) -> bool:
        """Whether requests are taken now."""
        return self._entries is not None and self._entries.room(now)

    def take(self, entry: Entry) -> bool:
        """Whether this one is taken."""
        if entry.hints and self._feeder is not None and not self._auth.body_is_signed:
            unread = {one.object_type for one in entry.hints if not self._feeder.takes(one.object_type)}
            if unread:
                self._refusals.add(f"nobody reads objects of the type {min(unread)[:40]!r}", "")
        return self._entries is not None and self._entries.take(entry)

    def refused(self, reason: str, client: str) -> None:
        """One was refused."""
        self._refusals.add(reason, client)

    def acknowledged(self) -> None:
        """One was answered 200, since it is kept."""
        self._accepted += 1
        self._last = self._clock.now()

    def deferred(self) -> None:
        """One was answered 429."""
        self._deferred += 1

    def expire(self, now: float) -> None:
        """Answer those that have waited too long."""
        if self._entries is not None:
            self._entries.expire(now)

    # -- the thread that writes ---------------------------------------------------------------------------------------

    def _write(self) -> None:
        entries = self._entries
        assert entries is not None
        pruned = self._clock.monotonic()
        while not self._ending.is_set():
            entries.wait(_LOOK)
            began = self._clock.monotonic()
            if entries.group():
                self._wake.set()
                self._ending.wait(max(0.0, began + _GATHER - self._clock.monotonic()))
            elif entries.failing:
                self._ending.wait(_RETRY)
            now = self._clock.monotonic()
            if now - pruned >= _PRUNE_EVERY:
                pruned = now
                self._prune()

    def _prune(self) -> None:
        """Forget the ids that no window needs any more, a part at a time."""
        before = self._clock.now() - remember(self._auth)
        # What the disk refuses now is forgotten later.
        with contextlib.suppress(FieldtrailError):
            while self._ledger is not None and self._ledger.prune_deliveries(before, MOST_DELIVERIES) == MOST_PRUNED:
                if self._ending.is_set():
                    return

    def _stop_writing(self) -> None:
        self._ending.set()
        if self._entries is not None:
            self._entries.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
