"""Builds the parts, starts and stops the threads, drains. Only this module sees inputs, journal and outputs together.

Threads: the pipeline (the caller's thread: reads inputs, parses, seals, keeps frames), one per output, the control
socket's, and watchdog's. The pipeline alone advances the log; the others ask it by a queue.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shipper import __version__, build, telemetry
from shipper.backpressure import Backpressure
from shipper.clock import Clock, SystemClock
from shipper.config import Config
from shipper.control import ControlServer
from shipper.cursors import Cursor
from shipper.delivery import Delivery, Request, await_answers
from shipper.dlq import DeadLetters
from shipper.errors import DiskError, FieldtrailError
from shipper.fs import RealFs, ensure_dir
from shipper.generations import Generations
from shipper.health import Reports
from shipper.intake import Intake
from shipper.journal import Journal
from shipper.keeper import Keeper, Sealed
from shipper.logbook import Identity, Logbook
from shipper.memory import Rest, settle_in
from shipper.model import Input, Output
from shipper.notify import Notifier
from shipper.pipeline import Lines
from shipper.processor import Processor
from shipper.recorded import Recorder
from shipper.recover import State, Watermark, state_of, tell
from shipper.retention import Retention, announced
from shipper.seal import keys
from shipper.seal.canonical import self_check
from shipper.state_folder import lock, prepare_folder
from shipper.status import Observer, Progress, progress
from shipper.workers.crew import Crew

IDLE_WAIT = 0.25
RELEASE_EVERY = 5.0
LONGEST_ASKING, SHORTEST_ASKING = 5.0, 0.4
"""Seconds that a start, and one that takes over inputs which cannot wait, asks destinations how far they are."""
LONGEST_JOIN, SHORTEST_JOIN = 10.0, 0.5
"""Seconds given to output threads to come back from their sockets: at a stop, and at a second signal."""


class Agent:
    """One run over one configuration. `run` returns the exit code; `stop` and `reload` may be called from a signal."""

    def __init__(
        self,
        config: Config,
        place: str,
        *,
        once: bool = False,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        progress: Callable[[Progress], None] | None = None,
        inherited: Mapping[str, Input] | None = None,
        notifier: Notifier | None = None,
        confine: Callable[[], None] | None = None,
    ) -> None:
        """`inherited`: `handed` of the agent before, by input id.

        `confine` is called once the state folder is there, before the first thread and process is started.
        """
        self.config, self.place, self.once = config, place, once
        self.clock: Clock = clock or SystemClock()
        self._random = random_bytes
        self._progress = progress
        self._notifier = notifier or Notifier("")
        self._confine = confine
        self.folder = config.agent.state_dir
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._ending = threading.Event()
        """As `_stopping`, but not for a reload: that waits for a disk that is full."""
        self._now = threading.Event()
        self._stops = 0
        self._joined = False
        self.reloading = False
        self._inherited = dict(inherited or {})
        self.handed = dict(self._inherited)
        """Inputs that cannot be read again (standard input), for the agent that follows after a reload."""
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._deliveries: list[Delivery] = []
        self._state = State()
        self._last_leaf = 0.0
        self._waited_since = 0.0
        self.begun = False
        """Whether the start is over: what fails before it is the configuration's fault, or the state folder's."""

    # -- from outside -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop reading and drain; a second call ends at once."""
        self._stops += 1
        if self._stops > 1:
            self._now.set()
        self._ending.set()
        self._stopping.set()
        self._wake.set()

    def reload(self, following: Config) -> None:
        """Stop without draining, so that another run takes over with another configuration."""
        formats = following.formats == self.config.formats
        same = {section.id for section in self.config.inputs if formats and section in following.inputs}
        sources = self._intake.inputs if self.begun else list(self._inherited.values())
        self.handed = {one.id: one for one in sources if hasattr(one, "finish") and one.id in same}
        self.reloading = True
        self._stopping.set()
        self._wake.set()

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run to the end; returns the exit code. Raises `FieldtrailError` where it cannot start."""
        fault = self_check()
        if fault:
            raise FieldtrailError("start", "seal/canonical", fault, "install the pinned requirements")
        with contextlib.ExitStack() as stack:
            self._open(stack)
            settle_in()
            self.begun = True
            try:
                self._loop()
                return self._drain()
            except DiskError as error:
                for delivery in self._deliveries:
                    delivery.halt()
                return error.exit_code

    def _open(self, stack: contextlib.ExitStack) -> None:
        config = self.config
        lanes = build.Lanes(config, self.place, self._random)  # configuration errors come before any state is touched
        empty = prepare_folder(self.folder)
        stack.enter_context(lock(self.folder))
        endpoint = None
        if config.metrics is not None:
            from shipper.endpoint import Endpoint  # noqa: PLC0415 - its library is imported where it is asked for

            endpoint = Endpoint(config.metrics)
            stack.callback(endpoint.close)
        if self._confine is not None:  # threads and processes inherit it
            self._confine()
        if empty:
            keys.create_identity(self.folder / "keys")
        private = keys.load_identity(self.folder / "keys")
        mac_key = keys.custody_key(self.folder / "keys")
        if config.directory:
            from shipper.directory.keeper import directory_kept  # noqa: PLC0415 - loaded where there is one

            stack.enter_context(directory_kept(config.directory, self.folder, mac_key))
        processor = Processor(lanes, mac_key, self._random)
        crew = None
        if config.agent.workers > 1:  # early, since processes take a while to start
            crew = Crew(config.agent.workers, config, self.place, mac_key, processor, self.clock)
            stack.callback(crew.close)
        if config.privacy is None:
            telemetry.default_policy()
        self._identity = Identity(
            config.agent.name,
            __version__,
            config.agent.namespace,
            f"{config.agent.origin}/{config.agent.name}",
            private,
            mac_key,
        )
        journal_folder = self.folder / "journal"
        self.journal, recovery = Journal.open(
            journal_folder,
            RealFs(),
            self.clock,
            # In at least four parts, since only what lies before the newest part can be given back.
            segment_bytes=max(65536, min(config.journal.segment_size, config.journal.max_size // 4)),
            max_bytes=config.journal.max_size,
            keep_seconds=config.journal.keep,
        )
        stack.callback(self.journal.close)
        tell(recovery, journal_folder)
        self._state = state_of(recovery)
        self._letters = DeadLetters(self.folder / "dlq")
        stack.callback(self._letters.close)
        self._open_outputs(stack)
        mark = Watermark.load(self.folder / "checkpoint")
        self._log = Generations(
            config,
            self._identity,
            self.journal,
            self._state,
            clock=self.clock,
            random_bytes=self._random,
            once=self.once,
        )
        self._log.open(journal_folder, self._furthest, mark)
        self._next_seq = self.journal.next_seq
        self._keeper = Keeper(
            self.journal,
            self.folder / "checkpoint",
            mark,
            stopping=self._ending,
            make_room=self._make_room,
            total=self._state.total,
            checked_seq=self._state.log.get("checked_seq", -1),
            patience=config.agent.shutdown_grace if self.once else None,
        )
        stack.callback(self._keeper.close)
        self._room = Backpressure(
            self.journal,
            self._keeper,
            self._deliveries,
            config.journal,
            self._declare_dropped,
            next_seq=lambda: self._next_seq,
            lost=self._state.lost,
        )
        inputs: list[Input] = []
        for section in config.inputs:
            inherited = self._inherited.get(section.id)
            inputs.append(inherited or lanes.input(section, clock=self.clock, once=self.once, wake=self._wake))
            stack.callback(self._close_input, inputs[-1])
        build.connect_inputs(config, inputs, self._wake)
        self._intake = Intake(
            inputs,
            processor,
            self._state.positions,
            identity=self._identity,
            clock=self.clock,
            budget=config.journal.max_size // 8,  # without large frames a small journal can be bounded
            crew=crew,
        )
        self._keeper.kept = self._intake.kept
        self._observer = Observer(
            config,
            self.clock,
            self._intake,
            self._deliveries,
            self.journal,
            self._keeper,
            self._room,
            self._letters,
            book=lambda: self.book,
            stopping=self._stopping,
        )
        self._retention = Retention(self.folder / "retention", announced(config), self.clock)
        self._reports = Reports(self._observer, self._identity, self.clock, config.agent.report)
        recorder = Recorder(self._ask, self.journal, self._ending)
        self._control = ControlServer(self.folder / "control.sock", self._observer.status, {"record": recorder.record})
        self._control.begin()
        stack.callback(self._control.close)
        for delivery in self._deliveries:
            delivery.start()
        stack.callback(self._join)
        if self.book.sealer.tree.size:  # of a log that begins now no destination can hold anything
            await_answers(self._deliveries, SHORTEST_ASKING if self._inherited else LONGEST_ASKING, self._ending)
        self._serve_requests()
        self._log.announce(self._deliveries)
        if endpoint is not None:
            endpoint.serve(self._observer)
        telemetry.agent_started(
            log=self.book.sealer.log.id,
            size=self.book.sealer.tree.size,
            inputs=len(inputs),
            outputs=len(self._deliveries),
            version=__version__,
        )
        self._notifier.ready(
            f"{len(inputs)} inputs, {len(self._deliveries)} outputs, log {self.book.sealer.log.origin}"
        )

    def _close_input(self, source: Input) -> None:
        if self.handed.get(source.id) is source and (self.reloading or not self.begun):
            return
        if (self.reloading or not self.begun) and hasattr(source, "leave"):
            source.leave()
        source.close()

    def _open_outputs(self, stack: contextlib.ExitStack) -> None:
        cursors = self.folder / "cursors"
        ensure_dir(cursors)
        fresh = self.journal.next_seq == 0
        self._furthest = 0
        for section in build.output_sections(self.config):
            output = build.output(section, self.config, self.folder)
            stack.callback(self._close_output, output)
            cursor = Cursor(cursors, section.id)
            kept = cursor.load()
            # Opened once here, so that what cannot work ends the start; the output's thread opens it for itself.
            output.open(kept[1] if kept is not None else {})
            own = output.cursor()
            output.close()
            if own is not None:
                self._furthest = max(self._furthest, own)
                kept = cursor.behind(own, kept, self.journal.first_seq)
            if kept is None:
                # A new output starts at the end unless told otherwise; the very first run starts at the beginning.
                at_end = section.start == "end" and not fresh and section.id not in self._state.outputs
                kept = (self.journal.next_seq if at_end else self.journal.first_seq, {})
                cursor.save(*kept)
            self._furthest = max(self._furthest, kept[0])
            seq = min(kept[0], self.journal.next_seq)
            self._deliveries.append(
                Delivery(
                    output,
                    self.journal,
                    cursor,
                    seq,
                    kept[1],
                    letters=self._letters,
                    clock=self.clock,
                    ask=self._ask,
                    local_size=self._local_size,
                    when=build.when_filter(section.when),
                )
            )

    # -- the pipeline thread ------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        released = self.clock.monotonic()
        rest = Rest(released)
        # A pipe that ended brings nothing more: an agent that reads nothing else has done its work.
        finite = self.once or all(section.type == "stdin" for section in self.config.inputs)
        while not self._stopping.is_set():
            self._observer.turn()
            self.book.pending += self._reports.look()
            for payload in self._retention.look(self._keeper.mark):
                self._log.state_range("retention", payload)
            moved = self._step()
            now = self.clock.monotonic()
            self._notifier.beat(healthy=all(delivery.is_alive() for delivery in self._deliveries))
            if now - released >= RELEASE_EVERY:
                released = now
                self._room.release()
            if any(delivery.failure is not None for delivery in self._deliveries):
                return
            rest.look(now, worked=moved)
            if moved:
                continue
            if finite and self._intake.done():
                return
            if self.once and self._given_up(now):
                return
            self._wake.wait(self._idle(now))
            self._wake.clear()

    def _given_up(self, now: float) -> bool:
        """With `--once`: whether the journal is full and no output has made progress for the grace."""
        if not self._room.full:
            self._waited_since = now
            return False
        late = [d.progress for d in self._deliveries if d.seq < self.journal.next_seq]
        return now >= max([self._waited_since, *late]) + self.config.agent.shutdown_grace

    def _idle(self, now: float) -> float:
        if self.book.opened_at is None:
            return IDLE_WAIT
        return max(0.0, min(IDLE_WAIT, self.book.opened_at + self.config.seal.interval - now))

    def _step(self) -> bool:
        """One frame, if there is anything to keep. True when something was read."""
        self._serve_requests()
        lines: list[Lines] = []
        positions: dict[str, Any] = {}
        if not self._room.look(self.clock.monotonic()):
            lines, positions, troubles = self._intake.take(self._control.tap)
            self.book.pending += troubles
        book, now = self.book, self.clock.monotonic()
        fresh = len(book.pending) + sum(len(part.leaves) for part in lines)
        leaves = book.open_leaves + fresh
        idle = book.quiet and fresh == len(book.pending)
        if idle and self._last_leaf and now - self._last_leaf >= self.config.seal.heartbeat:
            book.control("heartbeat", {"size": book.sealer.tree.size}, self.clock.now())
            self._keep(lines, positions, close=True)
            return bool(lines)
        if book.opened_at is None and fresh:
            book.opened_at = now
        due = book.opened_at is not None and now - book.opened_at >= self.config.seal.interval
        close = (due and leaves > 0) or leaves >= self.config.seal.max_events
        if not (lines or fresh or close or self._intake.ended):
            return False
        self._keep(lines, positions, close=close)
        return bool(lines)

    def _keep(self, lines: Sequence[Lines], positions: Mapping[str, Any], *, close: bool) -> None:
        """Seal one frame, and hand it over to be kept."""
        quiet = self.book.quiet and not any(part.leaves for part in lines)
        built = self.book.build(lines, positions, self.clock.now(), close=close, interval=self.config.seal.interval)
        meta, state, seq = built.meta, self._state, self._next_seq
        before = state.as_json()
        meta["total"] = state.total + len(built.documents)
        meta["outputs"], meta["config_hash"] = state.outputs, state.config_hash
        if self._room.lost:
            meta["lost"] = dict(self._room.lost)
        if self._intake.ended:
            meta["ended"], self._intake.ended = self._intake.ended, []
        meta["checked_seq"] = seq if close else state.log.get("checked_seq", -1)
        if state.log.get("log") != meta["log"]:
            meta["genesis"] = self.book.genesis.hex()
            if not close:
                meta["checked_seq"] = seq - 1
        mark = None
        if built.checkpoint is not None:
            mark = (self.book.sealer.log.origin, built.checkpoint, seq, self.book.note, self.book.genesis.hex())
        state.fold(meta)
        self._next_seq += 1
        self._keeper.keep(Sealed(meta, built.documents, before, mark))
        if (built.documents and not quiet) or not self._last_leaf:
            self._last_leaf = self.clock.monotonic()
        if self._progress is not None:
            self._progress(progress(self._intake.lanes, self._deliveries))

    def _make_room(self) -> None:
        """The disk refuses. Called by the keeper's thread: the pipeline waits for it then, which is no fault of its."""
        self._notifier.beat(healthy=True)
        self._room.release(urgent=True)

    def _declare_dropped(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Seal what outputs are about to lose, durably, before it goes."""
        for payload in payloads:
            self._log.state_range("drop", payload)
        self._keep([], {}, close=False)
        self._keeper.flush()

    @property
    def book(self) -> Logbook:
        """The log that is being written."""
        return self._log.book

    # -- requests of the output threads -------------------------------------------------------------------------------

    def _ask(self, request: Request) -> None:
        self._requests.put(request)
        self._wake.set()

    def _local_size(self) -> tuple[str, int]:
        return self.book.sealer.log.id, self.book.sealer.tree.size

    def _serve_requests(self) -> None:
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            self._log.serve(request, self._deliveries)
            # What it asks for stands in the next frame; without anything waiting it was done with the frame before.
            request.frame = self._next_seq if self.book.pending else self._next_seq - 1

    # -- the end ------------------------------------------------------------------------------------------------------

    def _drain(self) -> int:
        """Keep what was read, deliver for the grace, close the log with a `stop` leaf and a checkpoint."""
        self._intake.finish(self.handed if self.reloading else ())
        while self._intake.ahead and not self._now.is_set():
            lines, positions, losses = self._intake.take(self._control.tap, reading=False)
            self.book.pending += losses
            if lines or losses:
                self._keep(lines, positions, close=False)
        self._intake.tell_left()
        failed = next((delivery.failure for delivery in self._deliveries if delivery.failure is not None), None)
        deadline = self._grace()
        if not self.reloading:
            self._notifier.stopping(self.config.agent.shutdown_grace + LONGEST_JOIN)
            for delivery in self._deliveries:
                delivery.hurry()
            if self.book.pending:
                self._keep([], {}, close=False)
            if failed is None:
                self._await_outputs(deadline)
        now = self.clock.now()
        if self.reloading:
            self.book.pending.append(build.health_event(self._identity, "agent.reload", "configuration changes", now))
        else:
            self.book.control("stop", {"pid": os.getpid(), "once": self.once}, now)
            self.book.pending.append(build.health_event(self._identity, "agent.stop", "the agent stopped", now))
        self._serve_requests()
        self._keep([], {}, close=True)
        self._keeper.flush()
        if failed is None and not self.reloading:
            self._await_outputs(deadline)
        self._join()
        self._serve_requests()  # what the outputs asked for up to their end
        if self.book.pending:
            self._keep([], {}, close=True)
            self._keeper.flush()
        total = self._keeper.total
        pending = {d.output.id: d.pending(total) for d in self._deliveries if d.pending(total)}
        if not self.reloading:
            inputs, outputs = self._observer.books()
            telemetry.agent_stopped(
                log=self.book.sealer.log.id,
                size=self.book.sealer.tree.size,
                pending=pending,
                inputs=inputs,
                outputs=outputs,
            )
        if failed is not None:
            return failed.exit_code if isinstance(failed, FieldtrailError) else 70
        unconfirmed = [delivery.output.id for delivery in self._deliveries if delivery.unconfirmed]
        if unconfirmed and not self.reloading:
            telemetry.outputs_unconfirmed(outputs=unconfirmed)
        if (pending or unconfirmed) and not self.reloading:
            return 75
        return 74 if self.once and self._intake.unread else 0

    def _grace(self) -> Callable[[], float]:
        """The moment until which delivery is waited for: `shutdown_grace` after the last progress of any output."""
        began = self.clock.monotonic()

        def deadline() -> float:
            late = [d.progress for d in self._deliveries if d.seq < self.journal.next_seq]
            return max([began, *late]) + self.config.agent.shutdown_grace

        return deadline

    def _await_outputs(self, deadline: Callable[[], float]) -> None:
        """Until every output has everything, nobody makes progress any more, or a second signal comes."""
        while not self._now.is_set():
            if not self.reloading:
                self._notifier.stopping(self.config.agent.shutdown_grace + LONGEST_JOIN)
            self._serve_requests()
            if self.book.pending:
                self._keep([], {}, close=True)
            self._keeper.flush()
            waiting = [d for d in self._deliveries if d.seq < self.journal.next_seq and d.is_alive()]
            # An output asks for a leaf before it passes the document that the leaf is about.
            if (not waiting and self._requests.empty()) or self.clock.monotonic() >= deadline():
                return
            if self._progress is not None:
                self._progress(progress(self._intake.lanes, self._deliveries))
            self._wake.wait(0.02)
            self._wake.clear()

    def _join(self) -> None:
        """Wait for the outputs' threads; one that does not come back from its socket may not save any more."""
        for delivery in self._deliveries:
            delivery.halt()
        if self._joined:
            return
        self._joined = True
        deadline = self.clock.monotonic() + (SHORTEST_JOIN if self._now.is_set() else LONGEST_JOIN)
        for delivery in self._deliveries:
            if delivery.is_alive():
                delivery.join(timeout=max(0.0, deadline - self.clock.monotonic()))
            if delivery.is_alive():
                delivery.abandon()

    def _close_output(self, output: Output) -> None:
        """A thread that still uses it closes it itself."""
        if not any(delivery.output is output and delivery.is_alive() for delivery in self._deliveries):
            output.close()
