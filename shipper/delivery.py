"""One output's thread: a cursor on the journal, delivery with retries, dead letters, and the cursor on disk.

A document leaves this thread in exactly one of four ways: delivered, dead-lettered, filtered by `when:`, or still
pending. The cursor file is written after `flush()`, so it never claims more than the destination has.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shipper import telemetry
from shipper.clock import Clock
from shipper.cursors import Cursor
from shipper.dlq import DeadLetters
from shipper.errors import CorruptError, DiskError, FieldtrailError, UnavailableError
from shipper.journal import Frame, Gap, Journal
from shipper.model import CONTROL_DATASETS, Batch, Document, Documents, Output, Refusal, Run

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
SAVE_EVERY = 1.0
MERGE_BYTES = 4_000_000
MERGE_DOCUMENTS = 5_000
"""Frames that wait go to the output together up to here, or to its `appetite` (bytes); a larger frame goes alone."""


def runs_of(frame: Frame) -> list[Run]:
    """The documents of a frame with their numbers and datasets, in journal order."""
    meta = frame.meta
    log, index = meta["log"], meta["first"]
    out: list[Run] = []
    at = 0
    for dataset, count in meta["routes"]:
        held = frame.documents[at : at + count]
        if dataset == "fieldtrail.checkpoint":
            out += [Run(dataset, log, (meta["checkpoint"],), (data,)) for data in held]
        else:
            out.append(Run(dataset, log, range(index, index + count), held))
            index += count
        at += count
    return out


def documents_of(frame: Frame) -> Documents:
    """The documents of a frame, in journal order."""
    return Documents(runs_of(frame))


@dataclass(slots=True)
class Request:
    """What another thread asks of the pipeline thread: a control leaf, a new generation, or a document of our own."""

    kind: str
    """`reject`, `generation`, `verify`."""
    payload: Mapping[str, Any]
    frame: int | None = None
    """The frame with which it is done, set by the pipeline's thread; None: not served yet."""
    cancelled: bool = False
    """Who asked waits no longer and has said so: what is not served yet is left undone."""


@dataclass(slots=True)
class OutputCounts:
    """Conservation, per output: kept = delivered + dead_lettered + filtered + dropped + pending."""

    delivered: int = 0
    dead_lettered: int = 0
    filtered: int = 0
    dropped: int = 0
    """In journal frames that were damaged or gone before they could be delivered."""
    lost_frames: int = 0
    """Those frames."""
    retries: int = 0
    last_error: str = ""
    connected: bool | None = None
    failing_since: float | None = None
    """Monotonic seconds; None while it is well, or was not tried."""


class Account(NamedTuple):
    """One moment of an output's account, replaced as a whole: another thread reads figures that agree.

    `base`: documents kept before this run's first frame, None until that one is read. `upto`: documents kept up to the
    end of the frames in hand, of which `left` are not settled. `time`: when the oldest of these frames was kept, in s
    since the epoch; with none in hand the newest settled one. The rest as in `OutputCounts`.
    """

    base: int | None = None
    upto: int = 0
    left: int = 0
    time: float | None = None
    delivered: int = 0
    dead_lettered: int = 0
    filtered: int = 0
    dropped: int = 0

    def kept(self, total: int) -> int:
        """Documents that this run has to deliver, of `total` kept in all."""
        return 0 if self.base is None else max(0, total - self.base)

    def pending(self, total: int) -> int:
        """Documents kept and not settled."""
        return 0 if self.base is None else max(0, total - self.upto) + self.left


class _Flushed(NamedTuple):
    """Where an output last was certain of all that it had been given. `settled`: documents kept up to there."""

    seq: int
    state: Mapping[str, Any]
    counts: OutputCounts
    settled: int | None = None


class _UnsureError(Exception):
    """What was delivered since the last flush may be lost: the output could not sync it."""


Filter = Callable[[Document], bool]


class Delivery(threading.Thread):
    """The thread of one output."""

    def __init__(
        self,
        output: Output,
        journal: Journal,
        cursor: Cursor,
        seq: int,
        state: Mapping[str, Any],
        *,
        letters: DeadLetters,
        clock: Clock,
        ask: Callable[[Request], None],
        local_size: Callable[[], tuple[str, int]],
        when: Filter | None = None,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(name=f"output-{output.id}", daemon=True)
        self.output, self.counts = output, OutputCounts()
        self._journal, self._cursor, self._letters, self._clock = journal, cursor, letters, clock
        self._ask, self._local, self._when = ask, local_size, when
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._stop_now = threading.Event()
        self._hurried = threading.Event()
        self._reader = journal.reader(seq)
        self.first = seq
        """Where this run began."""
        self.seq = seq
        """Next frame to deliver; all before it are delivered, dead-lettered or filtered."""
        self.saved = seq
        """The same, as the cursor file has it."""
        self.asked = threading.Event()
        """Set once the destination was asked for its highest index, or is known not to answer now."""
        self.progress = clock.monotonic()
        self._merges = not hasattr(output, "confirmed_seq")
        self._state = dict(state)
        self.account = Account()
        # Documents kept before this run's first frame, unknown until that frame is read; and up to the last frame read.
        self._base: int | None = None
        self._seen = 0
        self._settled: int | None = None
        """Documents kept up to the end of the last frame delivered."""
        self._flushed = _Flushed(seq, self._state, OutputCounts())
        self._open: deque[tuple[int, Request]] = deque()
        """What was asked for about a document, and the frame from which on the document is delivered again."""
        self._held: Frame | Gap | None = None
        self._saved_at = clock.monotonic()
        self._unsaved = False
        self.failure: BaseException | None = None
        self.unconfirmed = False
        """Whether at its end the destination may not have everything that it was given."""
        self._saving = threading.Lock()
        self._abandoned = False

    def halt(self) -> None:
        """Stop at the next safe point, without delivering more."""
        self._stop_now.set()
        self._hurried.set()

    def hurry(self) -> None:
        """Try now what waits for its next try: the agent stops, and waits for it."""
        self._hurried.set()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try. True: told to stop."""
        self._hurried.wait(seconds)
        self._hurried.clear()
        return self._stop_now.is_set()

    def abandon(self) -> None:
        """Not to be waited for any longer: whatever it still does, the cursor is another's from now on."""
        with self._saving:
            self._abandoned = True

    def run(self) -> None:
        """The loop; a bug ends the thread and is told to the agent, which stops."""
        try:
            self._loop()
        except BaseException as error:  # noqa: BLE001 - whatever ends this thread must end the agent, not pass silently
            self.failure = error
            telemetry.output_failed(output=self.output.id, cause=f"{type(error).__name__}: {error}")
        finally:
            self.asked.set()
            with contextlib.suppress(FieldtrailError, OSError):
                if self.failure is None and not self._abandoned and hasattr(self.output, "drain"):
                    self.unconfirmed = not self.output.drain()
                self._save()
            self._reader.close()
            self.output.close()

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        self.output.open(self._state)
        if not (self._agree() and self._note_beginning()):
            return
        while not self._stop_now.is_set():
            try:
                self._turn()
            except _UnsureError:
                self._begin_again()

    def _turn(self) -> None:
        """Deliver what is there next, if anything is."""
        item = self._held or self._reader.read(timeout=0.25)
        self._held = None
        if item is None:
            self._maybe_save(idle=True)
            return
        if isinstance(item, Gap):
            telemetry.frames_missing(
                output=self.output.id, first=item.first_seq, last=item.last_seq, reason=item.reason
            )
            self.counts.lost_frames += item.last_seq - item.first_seq + 1
            self.seq = item.last_seq + 1
            return
        last, runs = self._merged(item)
        documents = self._filtered(Documents(runs))
        self._publish(len(documents), item)
        if not self._deliver(last, documents):
            return
        self._publish(0, last)
        self.seq, self._settled = last.seq + 1, last.meta["total"]
        self.progress = self._clock.monotonic()
        self._maybe_save(idle=False)

    def _begin_again(self) -> None:
        """Go back to the last flush and open the output anew: it is given once more what it may have lost."""
        self.output.close()
        self._reader.close()
        seq, state, counts, settled = self._flushed
        self._reader, self._held, self.seq, self._settled = self._journal.reader(seq), None, seq, settled
        self._seen = (self._base or 0) if settled is None else settled
        for name in ("delivered", "dead_lettered", "filtered", "dropped", "lost_frames"):
            setattr(self.counts, name, getattr(counts, name))
        self._publish(0)
        wait = FIRST_WAIT
        while not self._stop_now.wait(wait):
            try:
                self.output.open(state)
            except FieldtrailError as error:
                wait = min(wait * 2, LONGEST_WAIT)
                self._failing(str(error), wait)
                continue
            telemetry.output_begun_again(output=self.output.id)
            return

    def _note_beginning(self) -> bool:
        """Save what the output has begun (a file) before anything goes into it; False when told to stop before that.

        After a crash it could not tell its own from somebody else's, and would begin another beside it.
        """
        wait = FIRST_WAIT
        while not self._stop_now.is_set():
            try:
                self._save()
            except (DiskError, OSError) as error:
                self._unsaved = True
                self._failing(str(error), wait)
                if self._stop_now.wait(wait):
                    return False
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            self._saved_at = self._clock.monotonic()
            return True
        return False

    def _merged(self, first: Frame) -> tuple[Frame, list[Run]]:
        """`first` and what of the frames after it is there and goes with it in one request; the last one of them."""
        self._account(first)
        last, runs = first, runs_of(first)
        size, count = sum(map(len, first.documents)), len(first.documents)
        # An output with several requests in flight takes as many times as much.
        most = max(MERGE_BYTES, getattr(self.output, "appetite", 0))
        documents = MERGE_DOCUMENTS * most // MERGE_BYTES
        # A destination that confirms by frame number must see each frame under its own.
        while self._merges and size < most and count < documents:
            following = self._reader.read(timeout=0)
            if isinstance(following, Frame):
                size += sum(map(len, following.documents))
                count += len(following.documents)
            if (
                not isinstance(following, Frame)
                or following.meta["log"] != first.meta["log"]
                or size > most
                or count > documents
            ):
                self._held = following
                break
            self._account(following)
            last = following
            runs += runs_of(following)
        return last, runs

    def _peek(self) -> None:
        """Look at the first frame while the destination does not answer, to know how much is waiting for it."""
        if self._held is None:
            self._held = self._reader.read(timeout=0)
            if isinstance(self._held, Frame):
                self._account(self._held)

    def _account(self, frame: Frame) -> None:
        """Note where this run's documents begin, and how many were lost with frames that a gap has taken."""
        before = frame.meta["total"] - len(frame.documents)
        if self._base is None:
            self._base = before
            self.account = self.account._replace(base=before, upto=before, time=frame.meta.get("time"))
        else:
            self.counts.dropped += max(0, before - self._seen)
        self._seen = frame.meta["total"]

    def _publish(self, left: int, frame: Frame | None = None) -> None:
        """Let other threads see the account: all frames read so far are in it, `left` documents of them not settled."""
        counts = self.counts
        self.account = Account(
            self._base,
            self._seen,
            left,
            self.account.time if frame is None else frame.meta.get("time"),
            counts.delivered,
            counts.dead_lettered,
            counts.filtered,
            counts.dropped,
        )

    def _filtered(self, documents: Documents) -> Documents:
        when = self._when
        if when is None:
            return documents
        kept = documents.chosen([document.dataset in CONTROL_DATASETS or when(document) for document in documents])
        self.counts.filtered += len(documents) - len(kept)
        return kept

    def _agree(self) -> bool:
        """Ask the destination for its highest index before anything is sent (sealing.md 9). False: told to stop."""
        wait = FIRST_WAIT
        while not self._stop_now.is_set():
            self._peek()
            log, size = self._local()
            try:
                highest = self.output.highest(log)
            except UnavailableError as error:
                self._failing(str(error), wait)
                self.asked.set()
                if self._pause(wait * (0.5 + self._rng.random() / 2)):
                    return False
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            if highest is not None and highest >= size:
                self._ask(
                    Request("generation", {"reason": "ahead", "output": self.output.id, "highest": highest, "log": log})
                )
            self._well()
            self.asked.set()
            return True
        return False

    def _deliver(self, last: Frame, documents: Sequence[Document]) -> bool:
        """Send until nothing is left to retry; False when told to stop before that."""
        wait, tries = FIRST_WAIT, 0
        pending: Sequence[Document] = documents
        while pending:
            if self._stop_now.is_set():
                return False
            receipt = self.output.deliver(
                Batch(last.seq, last.meta["log"], last.meta["origin"], pending, last.meta.get("namespace", "default"))
            )
            self.counts.delivered += receipt.delivered
            if receipt.refused:
                self._refuse(receipt.refused, last.meta["log"], tries + 1)
            if receipt.fork:
                self._fork(receipt.fork, last, tries + 1)
            if receipt.delivered or receipt.refused or receipt.fork:
                self.progress = self._clock.monotonic()
                wait = FIRST_WAIT
            pending = receipt.retry
            self._publish(len(pending))
            if pending and not receipt.error:
                continue  # nothing is wrong: the output had more than it takes in one turn
            if pending:
                tries += 1
                self.counts.retries += 1
                pause = receipt.retry_after if receipt.retry_after is not None else wait * self._rng.random()
                pause = min(max(pause, 0.02), LONGEST_WAIT)
                self._failing(receipt.error, pause)
                self._stop_if_unsure()
                wait = min(wait * 2, LONGEST_WAIT)
                # The time that a destination asks for is its own; what we chose ourselves may be cut short.
                if self._pause(pause) if receipt.retry_after is None else self._stop_now.wait(pause):
                    return False
        if tries:
            telemetry.output_recovered(output=self.output.id, tries=tries)
        self._well()
        return True

    def _failing(self, cause: str, wait: float) -> None:
        if self.counts.last_error != cause or self.counts.connected is not False:
            telemetry.output_failing(output=self.output.id, cause=cause, retry_in=wait)
        if self.counts.failing_since is None:
            self.counts.failing_since = self._clock.monotonic()
        self.counts.last_error, self.counts.connected = cause, False

    def _well(self) -> None:
        self.counts.last_error, self.counts.connected, self.counts.failing_since = "", True, None

    def _refuse(self, refused: Sequence[Refusal], log: str, attempts: int) -> None:
        """Dead letters first, durably; then a leaf that says so, with type and field but never the reason's text."""
        self._put(refused, attempts)
        self.counts.dead_lettered += len(refused)
        by_kind: dict[tuple[str, str | None], list[int]] = {}
        for refusal in refused:
            # A refused control document raises no further leaf: it would be refused as well, for ever.
            if refusal.document.dataset not in CONTROL_DATASETS:
                by_kind.setdefault((refusal.type, refusal.field), []).append(refusal.document.index)
            else:
                by_kind.setdefault((refusal.type, refusal.field), [])
        for (kind, name), indexes in by_kind.items():
            telemetry.documents_refused(output=self.output.id, count=len(indexes) or 1, kind=kind)
            for first, last in ranges(sorted(indexes)):
                payload = {"output": self.output.id, "log": log, "from": first, "to": last, "type": kind}
                self._ask_about_a_document("reject", payload if name is None else {**payload, "field": name})

    def _fork(self, documents: Sequence[Document], last: Frame, attempts: int) -> None:
        reason = "the destination holds other content under this id"
        self._put([Refusal(document, "fork", reason) for document in documents], attempts)
        self.counts.dead_lettered += len(documents)
        telemetry.fork_found(output=self.output.id, count=len(documents), first=documents[0].id)
        payload = {"reason": "fork", "output": self.output.id, "log": last.meta["log"]}
        self._ask_about_a_document("generation", payload)

    def _ask_about_a_document(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Ask for what explains its absence. Until that is kept no cursor passes it: after a kill it is refused anew.

        An output with a place of its own in its state (`file`) refuses nothing, so that the two stay together.
        """
        request = Request(kind, payload)
        self._open.append((self.seq, request))
        self._ask(request)

    def _put(self, refused: Sequence[Refusal], attempts: int) -> None:
        """Keep dead letters; a disk that is full makes the output wait, since nothing may be dropped."""
        wait = FIRST_WAIT
        while True:
            try:
                # A stop must not lose them: they are kept beyond the bound.
                if not self._letters.full or self._stop_now.is_set():
                    self._letters.put(self.output.id, refused, self._clock.now(), attempts)
                    return
                self._failing("the dead letters are full (hint: fieldtrail dlq list)", LONGEST_WAIT)
                self._stop_now.wait(1.0)
            except (DiskError, CorruptError) as error:
                self._failing(str(error), wait)
                if self._stop_now.wait(wait):
                    raise
                wait = min(wait * 2, LONGEST_WAIT)

    # -- the cursor ---------------------------------------------------------------------------------------------------

    def confirmed(self) -> int:
        """The next frame that is not certainly delivered, by the destination's own word where it has one.

        A frame of which a document was refused is not passed before the leaf that says so is kept.
        """
        ask = getattr(self.output, "confirmed_seq", None)
        own = ask() if ask is not None else None
        kept = self._journal.next_seq
        while self._open and (done := self._open[0][1].frame) is not None and done < kept:
            self._open.popleft()
        told = self._open[0][0] if self._open else self.seq
        return min(self.seq, told) if own is None else min(self.seq, told, own)

    def kept(self, total: int) -> int:
        """Documents that this run has to deliver here, of `total` kept in all."""
        return self.pending(total) if self.account.base is None else self.account.kept(total)

    def pending(self, total: int) -> int:
        """Documents kept and not yet delivered here; before the first was read 1 where there are frames at all."""
        if self.account.base is None:
            return int(self.seq < self._journal.next_seq)
        return self.account.pending(total)

    def _maybe_save(self, *, idle: bool) -> None:
        now = self._clock.monotonic()
        if self.confirmed() != self.saved and (idle or now - self._saved_at >= SAVE_EVERY):
            self._saved_at = now
            try:
                self._save()
            except (DiskError, OSError) as error:
                self._unsaved = True
                self._failing(str(error), SAVE_EVERY)
                self._stop_if_unsure()

    def _stop_if_unsure(self) -> None:
        if getattr(self.output, "unsure", False):
            raise _UnsureError

    def _save(self) -> None:
        seq = self.confirmed()
        self._state = dict(self.output.flush())
        self._flushed = _Flushed(self.seq, self._state, replace(self.counts), self._settled)
        with self._saving:
            if self._abandoned:
                return
            self._cursor.save(seq, self._state)
        self.saved = seq
        if self._unsaved:
            self._unsaved = False
            self._well()  # an output at rest would be called failing until its next delivery


def await_answers(deliveries: Sequence[Delivery], seconds: float, ending: threading.Event) -> None:
    """Wait until each destination has said how far it is, or is known not to answer; at most `seconds` for all.

    What is sealed before the answer may have numbers that a destination holds already, where a state was restored.
    """
    end = time.monotonic() + seconds
    for delivery in deliveries:
        while not ending.is_set() and not delivery.asked.wait(0.05) and time.monotonic() < end:
            pass


def ranges(indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted indexes as inclusive ranges: [1, 2, 3, 7] -> [(1, 3), (7, 7)]."""
    out: list[tuple[int, int]] = []
    for index in indexes:
        if out and index == out[-1][1] + 1:
            out[-1] = (out[-1][0], index)
        else:
            out.append((index, index))
    return out
