"""The thread that keeps frames: while one is compressed, written and synced, the next is read, parsed and sealed.

Frames are kept in the order in which they are handed over, one at a time; whoever hands over a second one waits for the
first. What a frame's meta says of the log may therefore run ahead of the disk by one frame; what was kept, and may be
relied on, is told here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shipper import telemetry
from shipper.errors import DiskError
from shipper.journal import Journal
from shipper.recover import Watermark

FIRST_RETRY, LONGEST_RETRY = 0.2, 10.0


class Sealed(NamedTuple):
    """A frame to be kept. `state`: the whole state before it; `mark`: what `Watermark` takes, where it ends a batch."""

    meta: Mapping[str, Any]
    documents: Sequence[bytes]
    state: Mapping[str, Any]
    mark: tuple[str, int, int, str, str] | None


class Keeper:
    """Keeps frames for one thread that hands them over. `stopping`: set when a disk that refuses ends the agent.

    `make_room` is called when the disk refuses, before it is tried again.
    """

    def __init__(
        self,
        journal: Journal,
        place: Path,
        mark: Watermark | None,
        *,
        stopping: threading.Event,
        make_room: Callable[[], None],
        total: int,
        checked_seq: int,
        patience: float | None = None,
    ) -> None:
        """`place`: of the file of the watermark. `total` and `checked_seq`: as the journal has them at the start.

        `patience`: seconds after which a disk that goes on refusing ends the agent; None: it never does.
        """
        self.total = total
        """Documents that are kept."""
        self.checked_seq = checked_seq
        """The frame of the newest checkpoint that is kept."""
        self.failing = ""
        """Why a frame cannot be kept now; empty while frames are kept."""
        self.mark = mark
        """The newest checkpoint that is kept."""
        self.kept: Callable[[Mapping[str, Any]], None] | None = None
        """Called with the positions of each frame that is durable; it must neither block nor raise."""
        self._journal, self._place = journal, place
        self._stopping, self._make_room, self._patience = stopping, make_room, patience
        self._changed = threading.Condition()
        self._frame: Sealed | None = None
        self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def keep(self, frame: Sealed) -> None:
        """Hand a frame over, once the one before it is kept. Raises what went wrong with that one."""
        with self._changed:
            self._wait()
            self._frame = frame
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything that was handed over is kept. Raises what went wrong."""
        with self._changed:
            self._wait()

    def close(self) -> None:
        """End the thread, after the frame that it is keeping; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _wait(self) -> None:
        self._changed.wait_for(lambda: self._frame is None or self._failure is not None)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frame is not None or self._closed)
                frame = self._frame
            if frame is None:
                return
            try:
                self._write(frame)
            except BaseException as error:  # noqa: BLE001 - it ends the agent, by way of the thread that hands over
                if isinstance(error, DiskError):
                    telemetry.journal_given_up(cause=str(error), hint=error.hint)
                self._failure = error
            with self._changed:
                self._frame = None
                self._changed.notify_all()
                if self._failure is not None:
                    return

    def _write(self, frame: Sealed) -> None:
        self._patiently(lambda: self._journal.append(frame.meta, frame.documents, snapshot=lambda: frame.state))
        self.total = frame.meta["total"]
        if self.kept is not None and frame.meta["positions"]:
            self.kept(frame.meta["positions"])
        if frame.mark is not None:
            mark = Watermark(*frame.mark) if self.mark is None else self.mark.next(*frame.mark)
            self._patiently(lambda: mark.save(self._place))
            self.mark = mark
        self.checked_seq = frame.meta["checked_seq"]

    def _patiently(self, write: Callable[[], object]) -> None:
        """Write to the state folder; a disk that refuses (it is full) is tried again until the agent has to stop."""
        wait, waited = FIRST_RETRY, 0.0
        while True:
            try:
                write()
            except DiskError as error:
                enough = self._patience is not None and waited >= self._patience
                if getattr(error, "fatal", False) or self._stopping.is_set() or self._closed or enough:
                    raise
                self.failing = str(error)
                telemetry.journal_failed(cause=self.failing, retry_in=wait)
                self._make_room()
                self._stopping.wait(wait)
                waited += wait
                wait = min(wait * 2, LONGEST_RETRY)
                continue
            if wait != FIRST_RETRY:
                self.failing = ""
                telemetry.journal_resumed()
            return
