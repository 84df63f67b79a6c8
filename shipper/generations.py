"""The log that is being written, over its generations: taken up at the start, succeeded where it must not go on.

A generation ends when what may have left the machine cannot be continued (see `recover.continue_log`), or when a
destination holds more of the log, or another log under its name.
"""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shipper import __version__, build, recorded, telemetry
from shipper.clock import Clock
from shipper.config import Config
from shipper.delivery import Delivery, Request
from shipper.journal import Frame, Journal
from shipper.logbook import Identity, Logbook
from shipper.recover import State, Watermark, continue_log


class Generations:
    """For the pipeline's thread. `book` is the generation being written, from `open` on."""

    book: Logbook

    def __init__(
        self,
        config: Config,
        identity: Identity,
        journal: Journal,
        state: State,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        once: bool,
    ) -> None:
        self._config, self._identity, self._journal, self._state = config, identity, journal, state
        self._clock, self._random, self._once = clock, random_bytes, once
        self._announced = False

    def open(self, folder: Path, furthest: int, mark: Watermark | None) -> None:
        """Go on with the log of the journal in `folder`, or open the next one. `furthest`: as in `continue_log`."""
        state = self._state
        found = continue_log(state, self._identity, folder, self._journal.next_seq, furthest, mark, self._random)
        if isinstance(found, Logbook):
            self.book = found
            if found.open_leaves:
                found.opened_at = self._clock.monotonic()
            return
        previous: dict[str, Any] | None = None
        if state.log:
            log = state.log
            previous = {"origin": log["origin"], "size": log["tree"]["size"], "note": log.get("note", "")}
        if mark is not None and (previous is None or mark.size > previous["size"]):
            previous = {"origin": mark.origin, "size": mark.size, "note": mark.note}
        self._begin(found, previous)

    def _begin(self, reason: str, previous: Mapping[str, Any] | None) -> None:
        """Open a new generation: the first log of a state folder, or the successor of one that must not go on."""
        # Health events that wait for a frame are true in any log; control leaves speak of their own.
        book = getattr(self, "book", None)
        waiting = [] if book is None else [event for event in book.pending if "control" not in event["trail"]]
        self.book = Logbook.begin(
            self._identity,
            self._clock.now(),
            self._random,
            host=socket.gethostname(),
            config_hash=self._config_hash(),
            succession=None if previous is None else {**previous, "reason": reason},
        )
        self.book.pending += waiting
        # What was to be said about leaves of the old log is said in the new one.
        for event in book.pending if book is not None else ():
            kind, said = event["trail"].get("control"), event["trail"].get("log")
            if book is not None and kind in {"reject", "drop", "retention"}:
                self.state_range(kind, {"log": book.sealer.log.id, **said})
        telemetry.generation_opened(
            origin=self.book.sealer.log.origin,
            reason=reason,
            previous=None if previous is None else str(previous["origin"]),
        )

    def _config_hash(self) -> str:
        """A keyed digest of the configuration, in which secrets are stars: it shows that something changed, no more.

        Without the key a short secret that is not known for one could be guessed by it.
        """
        text = self._config.model_dump_json().encode()
        return hmac.digest(self._identity.mac_key, b"config\0" + text, "sha256").hex()

    def announce(self, deliveries: Sequence[Delivery]) -> None:
        """The `start` leaf, and a `config` leaf where the configuration is not what the last one said."""
        self._announced = True
        now, book, state = self._clock.now(), self.book, self._state
        book.control("start", {"version": __version__, "pid": os.getpid(), "once": self._once}, now)
        outputs, config_hash = build.describe_outputs(self._config), self._config_hash()
        known = state.outputs
        if outputs != known or config_hash != state.config_hash or not book.sealer.tree.size:
            index = book.sealer.tree.size
            firsts = {delivery.output.id: delivery.first for delivery in deliveries}
            added = [name for name in outputs if name not in known]
            payload = {
                "outputs": list(outputs.values()),
                "added": [{"id": name, "from": self._start_index(firsts[name], index)} for name in added],
                "removed": [name for name in known if name not in outputs],
                "config_hash": config_hash,
            }
            book.control("config", payload, now)
            state.outputs, state.config_hash = outputs, config_hash
        book.pending.append(build.health_event(self._identity, "agent.start", "the agent started", now))

    def _start_index(self, seq: int, size: int) -> int:
        """The first leaf that a new output will get, which begins at frame `seq`; `size`: of the log."""
        if seq >= self._journal.next_seq:
            return size
        # What is older may have been given back.
        with self._journal.reader(max(seq, self._journal.first_seq)) as reader:
            frame = reader.read(timeout=0)
        if isinstance(frame, Frame) and frame.meta["log"] == self.book.sealer.log.id:
            return int(frame.meta["first"])
        return 0

    def state_range(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Queue a control leaf about a range of leaves of the log that `payload` names.

        The name is left out where it is this log; a new generation may have followed since.
        """
        mine = payload["log"] == self.book.sealer.log.id
        said = {key: value for key, value in payload.items() if key != "log" or not mine}
        self.book.control(kind, said, self._clock.now())

    def serve(self, request: Request, deliveries: Sequence[Delivery]) -> None:
        """Do what another thread asks for."""
        if request.cancelled:
            return
        payload, sealer = request.payload, self.book.sealer
        if request.kind == "reject":
            self.state_range("reject", payload)
        elif request.kind == "verify":
            self.book.pending.append(recorded.event_of(payload, self._identity, self._clock.now()))
        elif payload["log"] == sealer.log.id:
            self._begin(
                f"{payload['reason']} at output {payload['output']}",
                {"origin": sealer.log.origin, "size": sealer.tree.size, "note": self.book.note},
            )
            if self._announced:
                self.announce(deliveries)
