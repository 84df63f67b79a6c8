"""The input of type `poll`: a thread of its own asks an API, the pipeline takes what came as chunks.

What one answer means (records, cursors, snapshots, hints that are done with) is written to the ledger under the number
of its chunk, durably, before the chunk is given out; a crash in between takes it back, and the page is asked for again.
So an item is given out once, whatever happens, and the change of an object is told once.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shipper.amounts import span
from shipper.clock import Clock, rfc3339
from shipper.errors import DiskError, FieldtrailError
from shipper.inputs._hint import Hint
from shipper.inputs._ledger import Ledger
from shipper.inputs.poll.auth import Auth, Sender
from shipper.inputs.poll.changed import Changed, reading_of
from shipper.inputs.poll.engine import Batch, Walk
from shipper.inputs.poll.hooks import Hooks
from shipper.inputs.poll.keeping import Keeping, Tokens, numbers
from shipper.inputs.poll.limits import Bucket, backoff
from shipper.inputs.poll.objects import Objects
from shipper.inputs.poll.pages import UnusableError, decode, item_of
from shipper.inputs.poll.paging import Ask
from shipper.inputs.poll.preset import Source
from shipper.inputs.poll.session import SKEWED, Absent, Bad, Denied, Good, Later, Session, lacking
from shipper.inputs.poll.single import CROWD, Reads, Trust, Wanted
from shipper.inputs.poll.standing import Standing, whole
from shipper.inputs.poll.tasks import DENIED, Task, Tasks
from shipper.model import Chunk, Health

_LONGEST: Final = 3600.0
"""Seconds that the thread sleeps at the most."""
_JOIN: Final = 5.0
_PRUNE_EVERY: Final = 600.0
_LOOK_EVERY: Final = 60.0
_SHARE: Final = 0.5
"""`CROWD` objects and that share of all are not believed to be deleted before two full listings say so."""
_SKEW_TOLD: Final = 60.0


@dataclass
class _Run:
    """What lives from a `restore` to the next, or the end."""

    ledger: Ledger
    keeping: Keeping
    session: Session
    tasks: Tasks = field(init=False)
    standing: Standing = field(init=False)


class PollInput:
    """Implements `shipper.model.Input`. Raises what `Ledger.open` does, in `restore`.

    `objects` makes the differ of a ledger that was opened; asked for only where the source has objects. `threaded` off:
    nothing runs by itself, and `turn` is called. `once`: everything is read once.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (the protocol's name)
        source: Source,
        *,
        clock: Clock,
        ledger: Path,
        sender: Sender,
        wake: threading.Event,
        objects: Callable[[Ledger, Source], Objects],
        once: bool = False,
        threaded: bool = True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.id = id
        self._source, self._clock, self._file, self._sender, self._wake = source, clock, ledger, sender, wake
        self._make_objects, self._once, self._threaded, self._chance = objects, once, threaded, chance
        self._run: _Run | None = None
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._reports: deque[Health] = deque(maxlen=1000)
        self._gaps_told: set[str] = set()
        self._unread: deque[Wanted] = deque()
        self._trust = Trust()
        self._disk = ""
        self._pruned = 0.0
        self._looked = -_LOOK_EVERY
        self._late: list[tuple[str, str]] = []

    # -- the input ----------------------------------------------------------------------------------------------------

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on after the last chunk that is kept."""
        self._stop()
        ledger = Ledger.open(self._file, numbers(positions))
        try:
            made = self._make_objects(ledger, self._source)
            compares = any(spec.object is not None for spec in self._source.resources.values())
            objects = made if compares else None
            keeping = Keeping(self.id, self._source, ledger, objects, self._clock, positions)
            auth = Auth(self._source.auth, f"inputs {self.id}", Tokens(ledger, made.snapshots))
            run = _Run(ledger, keeping, Session(self._source, self._sender, auth, self._clock, self._chance))
            run.tasks = Tasks(self._in_turn(list(self._tasks(run))))
        except BaseException:
            ledger.close()
            raise
        named = {task.name: task for task in run.tasks.all}
        run.standing = Standing(self._source, keeping, named, self._clock.now())
        self._run = run  # whole: other threads ask it at any time
        self._pruned = self._clock.monotonic()
        self._ending.clear()
        if self._threaded:
            self._thread = threading.Thread(target=self._work, name=f"poll {self.id}", daemon=True)
            self._thread.start()

    def read(self, budget: int) -> Iterator[Chunk]:
        """What came, about `budget` bytes at the most; never blocks."""
        if self._run is not None:
            yield from self._run.keeping.give(budget)

    def kept(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """The frame with these positions is durable."""
        if self._run is not None:
            self._run.keeping.kept(numbers(positions))

    def done(self) -> bool:
        """With `once`: whether everything was read, and taken."""
        run = self._run
        if not self._once or run is None:
            return False
        # Others may end while objects are read one by one, and what these read is yet to come.
        busy = any(task.reading is not None or not task.runs for task in run.tasks.all)
        return not busy and not self._unread and not run.keeping.pending

    def close(self) -> None:
        """Stop asking; may be called twice."""
        self._stop()
        self._sender.close()

    def takes(self, object_type: str) -> bool:
        """Whether a hint of an object of this type leads to anything. For any thread."""
        name = self._resource_of(object_type)
        spec = None if name is None else self._source.resources[name].object
        return spec is not None and (spec.read is not None or spec.hints == "snapshot")

    def hints(self, told: Sequence[tuple[Hint, str | None]]) -> None:
        """What hooks say of objects, each with its delivery's id; kept durably before it returns. Raises `DiskError`.

        For any thread. What is read because of it comes as any other change of the object does.
        """
        if self._run is None:
            raise DiskError("keep a hint", self.id, "the input is not running")
        self._run.keeping.hint(told)

    # -- what the agent asks ------------------------------------------------------------------------------------------

    def set_aside(self) -> dict[str, int]:
        """Items since the last call that had come before: listings overlap."""
        return {} if self._run is None else self._run.keeping.set_aside()

    def reports(self) -> list[Health]:
        """Gaps, hooks that were given up, and what is not believed."""
        found = []
        while self._reports:
            found.append(self._reports.popleft())
        return found

    def problems(self) -> list[tuple[str, str]]:
        """What does not work now, as (place, cause)."""
        run = self._run
        if run is None:
            return []
        found = [(task.name, task.trouble) for task in run.tasks.all if task.trouble]
        found += [(str(self._file), self._disk)] if self._disk else []
        if abs(run.session.skew) > _SKEW_TOLD:
            # In steps, since each text is told once.
            found.append(("clock", f"the server's is about {span(abs(run.session.skew) // 60 * 60)} apart from ours"))
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            text = f"not read to its end for long: {self._source.title} forgets what is not read in time"
            self._late = [(one["path"], text) for one in self.statistics() if one["late"]]
            self._reports += run.standing.overdue(self._clock.now())
        return found + self._late

    def statistics(self) -> list[dict[str, Any]]:
        """One entry for each resource.

        `stream`, `path`, `offset` (bytes given out), `size`, `lag` (bytes that wait), `format`, `state`; and `behind`
        (s since the moment up to which everything was read, None before there was one), `next` (s until it is asked
        again), `error`, `late` (the vendor will forget soon what was not read), `looks` (what the differ made of its
        objects: `changed`, `same`, `stale` and so on, `ignored` fields, changes `met` that the source told itself).
        """
        run = self._run
        if run is None:
            return []
        return run.standing.statistics(self._clock.monotonic(), run.session.now())

    # -- the thread that asks -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        run = self._run
        assert run is not None, "it is started by restore"
        while True:
            run.keeping.stirred.clear()  # whatever stirs from now on ends the wait
            if self._ending.is_set():
                return
            wait = self.turn()
            if wait > 0:
                run.keeping.stirred.wait(min(wait, _LONGEST))

    def turn(self) -> float:
        """Do one thing, a request at the most. Seconds until there is something to do again."""
        run = self._run
        if run is None:
            return _LONGEST
        now = self._clock.monotonic()
        if now - self._pruned >= _PRUNE_EVERY:
            self._pruned = now
            self._guarded(run.keeping.prune)
        if not run.keeping.room:
            return _LONGEST
        held = run.session.pace.wait(now)
        if held > 0:
            return held
        for task in run.tasks.all:
            if task.name == _READS and (run.keeping.hinted or self._unread) and task.reading is None:
                task.due = min(task.due, now)
        task_ = run.tasks.next(now)
        if task_ is None:
            return run.tasks.wait(now)
        self._guarded(lambda: self._step(run, task_), task_)
        return 0.0

    def _guarded(self, work: Callable[[], object], task: Task | None = None) -> None:
        """Do it; a disk that refuses is waited for."""
        try:
            work()
        except FieldtrailError as error:
            self._disk = str(error)
            if task is not None:
                # What was read and is not kept is asked for again.
                now = self._clock.monotonic()
                task.given_up(now, str(error))
                task.due = now + backoff(1, self._chance)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the reading of all else
            text = f"internal error ({type(error).__name__}), report it"
            if task is None:
                self._disk = text
            else:
                task.given_up(self._clock.monotonic(), text, 60.0)
        else:
            self._disk = ""

    def _step(self, run: _Run, task: Task) -> None:
        try:
            if task.reading is None:
                task.reading = task.begin()
            ask = None if task.reading is None else task.reading.ask()
            if ask is None:
                self._ended(run, task)
                return
            if task.budget is not None:
                task.budget.take(self._clock.monotonic())
            self._met(run, task, ask)
        except UnusableError as error:
            task.given_up(self._clock.monotonic(), f"{task.name}: {error}")

    def _met(self, run: _Run, task: Task, ask: Ask) -> None:
        """Ask, and do what the answer means."""
        reading = task.reading
        assert reading is not None, "it was begun"
        outcome = run.session.send(ask, task.tries)
        now = self._clock.monotonic()
        if isinstance(outcome, Later):
            task.failed(now, f"{ask.place}: {outcome.problem}", outcome.wait)
            if outcome.all:
                run.session.pace.hold(now + outcome.wait)
        elif isinstance(outcome, Good):
            if isinstance(reading, Walk | Changed) and reading.began > outcome.heard + SKEWED and not task.anew:
                # It asked for the wrong times: our clock is ahead of the server's, which was not known.
                task.reading, task.anew = None, True
                return
            try:
                batch = reading.take(outcome.answer, outcome.heard)
            except UnusableError as error:
                self._spoiled(run, task, f"{ask.place}: {error}")
                return
            task.tries, task.problem = 0, ""
            self._keep(run, batch, outcome.asked, outcome.heard)
            self._keep_held(run, reading)
            self._tell(reading)
            if reading.ask() is None:
                self._ended(run, task)
        elif isinstance(outcome, Absent) and isinstance(reading, Reads):
            reading.hold(outcome)
            task.tries, task.problem = 0, ""
            self._keep_held(run, reading)
        elif isinstance(outcome, Absent):
            gone = reading.absent()
            if gone is None:
                task.given_up(now, f"{ask.place}: {outcome.problem}: there is no such thing", DENIED)
            else:
                self._keep(run, gone, outcome.asked, outcome.heard)
        elif isinstance(outcome, Denied):
            self._spoiled(run, task, lacking(self._source.resources.get(task.resource), ask, outcome.status), DENIED)
        elif isinstance(outcome, Bad):
            self._spoiled(run, task, f"{ask.place}: {outcome.problem}")

    def _keep_held(self, run: _Run, reading: object) -> None:
        """Keep what a reading held back, and believes by now."""
        if isinstance(reading, Reads):
            for held in reading.believed():
                self._keep(run, held.batch, held.asked, held.read)

    def _ended(self, run: _Run, task: Task) -> None:
        """A reading came to its end."""
        now, reading = self._clock.monotonic(), task.reading
        if isinstance(reading, Reads):
            reading.end()
            self._keep_held(run, reading)
        task.done(now)
        if isinstance(reading, Reads):
            task.due = min(task.due, self._trust.due(now))
            if self._trust.again:
                self._trust.again, run.keeping.hinted = False, True
            for name, text in self._trust.told:
                self._reports.append(Health("source.gap", text, {"path": self._source.resources[name].path}))
            self._trust.told.clear()

    def _spoiled(self, run: _Run, task: Task, problem: str, wait: float = 0.0) -> None:
        """A request that will never be answered well: one of many is passed over, a listing ends."""
        reading, rest = task.reading, None
        if isinstance(reading, Reads):
            rest = reading.skip()
        elif isinstance(reading, Walk | Changed):
            rest = reading.pass_over()
        if rest is None:
            task.given_up(self._clock.monotonic(), problem, wait)
        else:
            task.pass_over(problem)
            self._keep(run, rest, run.session.now(), run.session.now())

    def _keep(self, run: _Run, batch: Batch, asked: float, read: float) -> None:
        if batch.resource in self._source.resources:
            absent = run.keeping.keep(batch, asked, read)
            if batch.complete and batch.listing is not None:
                self._seen_to(run, batch.resource, absent, asked, read)
            self._wake.set()

    # -- what is read -------------------------------------------------------------------------------------------------

    def _tasks(self, run: _Run) -> Iterator[Task]:
        now = self._clock.monotonic()
        with_objects = False
        for name, spec in self._source.resources.items():
            if spec.format is None and spec.object is None:
                continue
            budget = Bucket(spec.limits) if spec.limits is not None else None
            every = self._source.period(name)
            if spec.object is None:
                yield Task(name, name, self._listing(run, name), every, now, budget)
                continue
            with_objects = True
            period = spec.object.reconcile if spec.since is not None else every
            yield Task(whole(name) if spec.since is not None else name, name, self._full(run, name), period,
                       now + self._until_full(run, name, period), budget)  # fmt: skip
            if spec.since is not None:
                yield Task(name, name, self._listing(run, name), every, now, budget)
        if with_objects:
            yield Task(_READS, "", self._singly(run), _LONGEST, now)
        if self._source.hooks is not None:
            hooks = self._source.hooks
            yield Task("hooks", "", lambda: Hooks(self._source, hooks), hooks.every, now)

    def _in_turn(self, tasks: list[Task]) -> list[Task]:
        """The same, each with the one that it comes after."""
        for task in tasks:
            spec = self._source.resources.get(task.resource)
            if spec is not None and spec.after is not None:
                task.after = next((one for one in tasks if one.resource == spec.after), None)
        return tasks

    def _singly(self, run: _Run) -> Callable[[], Reads]:
        return lambda: Reads(self._source, lambda: self._wanted(run), self._trust, self._clock.monotonic)

    def _listing(self, run: _Run, name: str) -> Callable[[], Walk | Changed | None]:
        spec = self._source.resources[name]

        def begin() -> Walk | Changed | None:
            # What is new of objects is asked for once all of them are known.
            if spec.object is not None and run.keeping.cursor(name) is None:
                return None
            reading = reading_of(self._source, name, run.keeping, run.session.now())
            self._tell(reading)
            return reading

        return begin

    def _full(self, run: _Run, name: str) -> Callable[[], Walk]:
        own = self._source.resources[name].object

        def begin() -> Walk:
            now = run.session.now()
            if own is not None and own.partial:
                return Walk(self._source, name, run.keeping, now, whole=True)
            return Walk(self._source, name, run.keeping, now, number=run.keeping.begin_listing(name, now))

        return begin

    def _until_full(self, run: _Run, name: str, period: float) -> float:
        """Seconds until a full listing is due: a restart does not begin one."""
        last = run.keeping.known(name)
        return 0.0 if last is None or self._once else max(0.0, last + period - self._clock.now())

    def _wanted(self, run: _Run) -> Iterator[Wanted]:
        """The objects to be read one by one: those that hooks speak of, then those that a full listing lacked."""
        for one in run.keeping.wanted(self._resource_of):
            spec = self._source.resources[one.resource]
            assert spec.object is not None, "resource_of gives those"
            if one.snapshot is not None and spec.object.hints == "snapshot" and not one.gone:
                self._guarded(lambda one=one: self._take_snapshot(run, one))  # type: ignore[misc]
            elif spec.object.read is not None:
                yield one
            else:
                run.keeping.forget(one.hints)
        yield from self._trust.left(self._clock.monotonic())
        while self._unread:
            yield self._unread.popleft()

    def _take_snapshot(self, run: _Run, one: Wanted) -> None:
        """An object as a hook had it, whole."""
        spec = self._source.resources[one.resource]
        data = one.snapshot or b""
        batch = Batch(one.resource, "hook", served=one.hints, delivery=one.delivery, pushed=True)
        try:
            item = item_of(data, decode(data), spec.id, spec.time, {})
        except UnusableError:
            item = None
        if item is not None and item.id == one.id:
            batch.items.append(item)
        self._keep(run, batch, run.session.now(), run.session.now())

    def _resource_of(self, object_type: str) -> str | None:
        return next(
            (name for name, spec in self._source.resources.items() if spec.object and spec.object.type == object_type),
            None,
        )

    def _seen_to(self, run: _Run, name: str, lacking: dict[str, bool], asked: float, read: float) -> None:
        """After a full listing: what it lacked is gone, if it is. `lacking`: as `Keeping.keep` gives it.

        Where nothing can be read again, two listings in a row must have lacked it: what is deleted while a listing is
        read shifts those after it to pages that were read before.
        """
        spec = self._source.resources[name]
        known = run.keeping.count(name) if lacking else 0
        new = sum(not twice for twice in lacking.values())
        if new and (len(lacking) == known or new >= max(CROWD, _SHARE * known)):
            text = (
                f"a full listing of {name} lacks {len(lacking)} of {known}: taken for a change of rights, nothing is"
                " said to be deleted unless the next one lacks them, too"
            )
            self._reports.append(Health("source.gap", text, {"path": f"{spec.method} {spec.path}"}))
            return
        if spec.object is not None and spec.object.read is not None:
            self._unread += [Wanted(name, identity) for identity in lacking]
        else:
            gone = [identity for identity, twice in lacking.items() if twice]
            for start in range(0, len(gone), 500):
                part = tuple(gone[start : start + 500])
                self._keep(run, Batch(name, f"{spec.method} {spec.path}", gone=part), asked, read)

    def _tell(self, reading: object) -> None:
        """Pass on what a reading has to report."""
        if isinstance(reading, Walk):
            for gap in reading.gaps:
                mark = f"{gap.key}\0{gap.since}"
                if mark not in self._gaps_told:
                    self._gaps_told.add(mark)
                    spec = self._source.resources[reading.resource]
                    begin, end = rfc3339(gap.since), rfc3339(gap.until)
                    text = f"{gap.key} was not read from {begin} to {end}, and {self._source.title} does not keep it"
                    self._reports.append(Health("source.gap", text, {"path": f"{spec.method} {spec.path}"}))
            reading.gaps.clear()
        elif isinstance(reading, Hooks):
            for text in reading.told:
                self._reports.append(Health("source.silence", text, {"path": "hooks"}))
            reading.told.clear()

    def _stop(self) -> None:
        self._ending.set()
        run = self._run
        if run is not None:
            run.keeping.stirred.set()
        if self._thread is not None and run is not None:
            run.session.auth.end(self._sender.cut)
            # The look-up of a name cannot be ended; what it leads to finds the ledger closed.
            self._thread.join(_JOIN)
            self._thread = None
        self._run = None
        if run is not None:
            with suppress(FieldtrailError):
                run.session.auth.settle()
            run.ledger.close()


_READS: Final = "objects"
"""The task that reads objects one by one."""
