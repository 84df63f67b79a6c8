"""What the agent's parts have counted, as one JSON-able object: the figures of `fieldtrail status` and of the metrics.

Called by other threads while the parts work. Each part replaces its account as a whole, so the figures of one input, or
of one output, belong to one moment and their equation holds at any time, or something is wrong:

- per input: read = with_events + rejected + no_change + filtered + deduplicated
- per output: kept = delivered + dead_lettered + filtered + dropped + pending

all since the agent's start or reload; new rights (`agent.confine`) begin it anew, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shipper import __version__
from shipper.backpressure import Backpressure
from shipper.clock import Clock, rfc3339
from shipper.config import Config
from shipper.delivery import Account, Delivery
from shipper.dlq import DeadLetters
from shipper.errors import FieldtrailError
from shipper.intake import Intake
from shipper.journal import Journal
from shipper.keeper import Keeper
from shipper.logbook import Logbook
from shipper.model import KEPT_PARTS, READ_PARTS, Input
from shipper.pipeline import Lane
from shipper.waits import Waits

STALLED: Final = 60.0
"""Seconds after which a pipeline that has not come round is called stuck; a turn takes about a second at the most."""
LOOK_EVERY: Final = 1.0
LOOK_SHARE: Final = 100.0
"""A look at the streams is followed by so many times its length without one: it costs a hundredth at the most."""
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """What `--once` shows on a terminal."""

    read: int
    events: int
    delivered: dict[str, int]


def progress(lanes: Mapping[tuple[str, str], Lane], deliveries: Sequence[Delivery]) -> Progress:
    """How far it is."""
    counts = [lane.counts for lane in lanes.values()]
    return Progress(
        sum(count.read for count in counts),
        sum(count.events for count in counts),
        {delivery.output.id: delivery.counts.delivered for delivery in deliveries},
    )


@dataclass
class Observer:
    """Looks at the parts of a running agent. `turn` for the pipeline's thread, all else for any.

    `book` gives the log that is being written; `stopping` is set once the agent drains.
    """

    config: Config
    clock: Clock
    intake: Intake
    deliveries: Sequence[Delivery]
    journal: Journal
    keeper: Keeper
    room: Backpressure
    letters: DeadLetters
    book: Callable[[], Logbook]
    stopping: threading.Event
    _waits: dict[str, Waits] = field(init=False)

    def __post_init__(self) -> None:
        self._started, self._began = self.clock.now(), self.clock.monotonic()
        self._turned = self._next_look = self._began
        self._waits = {source.id: Waits() for source in self.intake.inputs}
        # By input: how many records it had when that was last looked at, and when there was first more; None: never.
        self._read: dict[str, tuple[int, float | None]] = {source.id: (0, None) for source in self.intake.inputs}
        self._checkpoint: tuple[int, float | None] = (self.keeper.checked_seq, None)

    def turn(self) -> None:
        """The pipeline came round. Cheap; once a second it also looks how far the streams are behind."""
        now = self._turned = self.clock.monotonic()
        if self.keeper.checked_seq != self._checkpoint[0]:
            self._checkpoint = (self.keeper.checked_seq, now)
        if now >= self._next_look:
            for source in self.intake.inputs:
                self._waits[source.id].look(now, _streams(source))
                read = self.intake.accounts[source.id].read
                if read != self._read[source.id][0]:
                    self._read[source.id] = (read, now)
            self._next_look = now + max(LOOK_EVERY, LOOK_SHARE * (self.clock.monotonic() - now))

    # -- health -------------------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Why this process should be started anew; empty while it does its work, or waits for a disk or an output."""
        found = [f"output {one.output.id} has ended by an error" for one in self.deliveries if one.failure is not None]
        still = self.clock.monotonic() - self._turned
        # A disk that refuses holds the pipeline, and so does draining; another process could do no better.
        if still > STALLED and not self.keeper.failing and not self.stopping.is_set():
            found.append(f"the pipeline has not moved for {still:.0f} s")
        return found

    def unready(self) -> list[str]:
        """Why events are not read, kept and delivered now; without texts of others, which may name addresses."""
        found = self.faults()
        if self.stopping.is_set():
            found.append("the agent is stopping")
        if self.keeper.failing:
            found.append("the disk does not keep frames")
        if self.room.full:
            found.append(f"the journal is full: reading waits for {', '.join(self.room.holders) or 'a cursor'}")
        now, patience = self.clock.monotonic(), self.config.metrics.unready_after if self.config.metrics else 300.0
        for delivery in self.deliveries:
            since = delivery.counts.failing_since
            if since is not None and now - since > patience:
                found.append(f"output {delivery.output.id} has been failing for {now - since:.0f} s")
        return found

    # -- figures ------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Everything (`fieldtrail status --json`)."""
        now = self.clock.monotonic()
        sealer = self.book().sealer
        inputs = [self._input(source, now) for source in self.intake.inputs]
        outputs = self._outputs(now)
        at, reasons = self._checkpoint[1], self.unready()
        return {
            "name": self.config.agent.name,
            "version": __version__,
            "pid": os.getpid(),
            "started": rfc3339(self._started),
            "uptime": now - self._began,
            "ready": not reasons,
            "reasons": reasons,
            "conserved": all(one["conserved"] for one in (*inputs, *outputs)),
            "lost": {
                "events": sum(one["lost"]["events"] for one in (*inputs, *outputs)),
                "bytes": sum(one["lost"]["bytes"] for one in inputs),
            },
            "log": {
                "id": sealer.log.id,
                "origin": sealer.log.origin,
                "size": sealer.tree.size,
                "checkpoint": sealer.checked_size,
                "checkpoint_age": None if at is None else now - at,
            },
            "inputs": inputs,
            "outputs": outputs,
            "journal": {
                "bytes": self.journal.bytes_used,
                "limit": self.config.journal.max_size,
                "first_seq": self.journal.first_seq,
                "next_seq": self.journal.next_seq,
                "full": self.journal.full,
                "paused": self.room.full,
                "held_by": list(self.room.holders),
                "failing": self.keeper.failing,
                "turn_age": now - self._turned,
            },
            "dead_letters": self._dead_letters(),
        }

    def books(self) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
        """Both sides of the equation of each input and of each output, by id."""
        status = self.status()
        inputs = {one["id"]: {name: one[name] for name in ("read", *READ_PARTS)} for one in status["inputs"]}
        outputs = {one["id"]: {name: one[name] for name in ("kept", *KEPT_PARTS)} for one in status["outputs"]}
        return inputs, outputs

    def _input(self, source: Input, now: float) -> dict[str, Any]:
        account, lost, streams = self.intake.accounts[source.id], self.intake.lost[source.id], _streams(source)
        behind = sum(stream["lag"] for stream in streams)
        waited = self._waits[source.id].longest(now) if behind else 0.0
        seen, last = self._read[source.id]
        if account.read != seen:
            last = now
        return {
            "id": source.id,
            **account._asdict(),
            "conserved": account.read == sum(getattr(account, name) for name in READ_PARTS),
            "lag": {
                "bytes": behind,
                "seconds": waited,
                "events_estimated": round(behind * account.events / account.bytes) if account.bytes else None,
            },
            # To about a second: the accounts are looked at as often as the streams.
            "idle": None if last is None else max(0.0, now - last),
            # A loss is at least one event; how many were in the bytes nobody can tell.
            "lost": {"events": lost.losses, "bytes": lost.bytes, "unknown": lost.unknown},
            "streams": streams,
        }

    def _outputs(self, now: float) -> list[dict[str, Any]]:
        # The accounts first: what they speak of is kept, even where the keeper has not come to say so.
        accounts = [delivery.account for delivery in self.deliveries]
        total = max([self.keeper.total, *(account.upto for account in accounts)])
        return [
            self._output(delivery, account, total, now)
            for delivery, account in zip(self.deliveries, accounts, strict=True)
        ]

    def _output(self, delivery: Delivery, account: Account, total: int, now: float) -> dict[str, Any]:
        counts = delivery.counts
        # Before it has read its first frame it only knows whether there is one.
        unknown = int(account.base is None and delivery.seq < self.journal.next_seq)
        figures = {
            "kept": account.kept(total) + unknown,
            "delivered": account.delivered,
            "dead_lettered": account.dead_lettered,
            "filtered": account.filtered,
            "dropped": account.dropped,
            "pending": account.pending(total) + unknown,
        }
        waited = 0.0
        if figures["pending"] and account.time is not None:
            waited = max(0.0, self.clock.now() - account.time)
        since = counts.failing_since
        return {
            "id": delivery.output.id,
            **figures,
            "conserved": figures["kept"] == sum(figures[name] for name in KEPT_PARTS),
            "lag": {"bytes": self.journal.bytes_from(delivery.seq), "seconds": waited},
            # Frames that are gone held at least as many documents; how many shows with the next frame.
            "lost": {"events": max(account.dropped, counts.lost_frames), "frames": counts.lost_frames},
            "retries": counts.retries,
            "connected": counts.connected,
            "failing_seconds": 0.0 if since is None else now - since,
            "last_error": counts.last_error,
        }

    def _dead_letters(self) -> dict[str, int] | None:
        """Letters per output that has some; None where they cannot be read now."""
        try:
            return self.letters.counts()
        except FieldtrailError:
            return None


def _streams(source: Input) -> list[dict[str, Any]]:
    """An input's streams; asked again if the pipeline changed the table while it was read."""
    look: Callable[[], list[dict[str, Any]]] = getattr(source, "statistics", list)
    for _ in range(_TRIES):
        try:
            return look()
        except RuntimeError:
            continue
    return look()
