"""A total deadline for a request: a socket's own timeout starts anew with every byte that drips in."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


def in_time(work: Callable[[], T], seconds: float, undo: Callable[[T], None]) -> T:
    """What `work` returns or raises, done in a thread of its own; `TimeoutError` when the time is up before.

    For what nothing can interrupt, as the look-up of a name. `work` then goes on alone, and what it returns goes to
    `undo`.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []
    over = threading.Event()
    left = threading.Lock()
    abandoned = False

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            failure = error
        with left:
            if not abandoned:
                outcome.append((result, failure))
                over.set()
                return
        if failure is None:
            undo(result)  # type: ignore[arg-type]  # None only beside a failure

    threading.Thread(target=run, name="connect", daemon=True).start()
    over.wait(max(0.0, seconds))
    with left:
        abandoned = not outcome
    if abandoned:
        raise TimeoutError
    result, failure = outcome[0]
    if failure is not None:
        raise failure
    return result  # type: ignore[return-value]  # None only beside a failure


class Watch:
    """Ends the request under way when its time is up, whatever the peer is doing.

    Shutting the socket down from another thread is the one thing that ends a read, a write and a TLS record alike. The
    thread stays for the requests that follow, since starting one costs as much as a small request does, and a request
    wakes it only if it would sleep past the end of that request's time. Used by one thread at a time.
    """

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.expired = False
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._wakes = math.inf
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Give what happens inside `seconds`; afterwards `expired` tells whether they were over."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self.socket, self.expired, self._closed = None, False, False
            self._deadline = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request-watch", daemon=True)
                self._thread.start()
            elif deadline < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadline = None

    def left(self) -> float:
        """Seconds until the time of the request under way is up."""
        deadline = self._deadline
        return 0.0 if deadline is None else max(0.0, deadline - time.monotonic())

    def cut(self) -> None:
        """End the request under way as if its time were up. For any thread."""
        with self._changed:
            if self._deadline is not None:
                self._deadline = None
                self._end()

    def close(self) -> None:
        """End the thread; may be called twice."""
        with self._changed:
            thread, self._thread, self._closed = self._thread, None, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                left = math.inf if self._deadline is None else self._deadline - time.monotonic()
                if left <= 0:
                    self._deadline = None
                    self._end()
                else:
                    self._wakes = time.monotonic() + left
                    self._changed.wait(None if left == math.inf else left)

    def _end(self) -> None:
        self.expired = True
        if self.socket is not None:
            # The plain method: that of an SSL socket would pull the TLS state away from under the reading thread.
            with suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
