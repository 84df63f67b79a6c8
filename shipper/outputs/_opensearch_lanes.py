"""Requests side by side: threads, each with a client of its own.

A thread is begun when there is work for it and no other one is free; it stays until `close`. What the work returns or
raises comes back to the one thread that handed it out, so that only that thread decides anything.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

T = TypeVar("T")
Work = Callable[["Client"], T]
_CLOSE_SECONDS = 1.0


class Lanes(Generic[T]):
    """`make(number)` gives the client of the thread `number`, counted from 0. Used by one thread at a time."""

    def __init__(self, make: Callable[[int], Client]) -> None:
        self._make = make
        self._todo: queue.SimpleQueue[tuple[Any, Work[T]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, T | None, BaseException | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._flying = 0

    def start(self, token: Any, work: Work[T]) -> None:
        """Have `work(client)` done; `ended` gives `token` back with what came of it."""
        self._flying += 1
        if self._flying > len(self._threads):
            client = self._make(len(self._threads))
            name = f"opensearch-lane-{len(self._threads)}"
            thread = threading.Thread(target=self._run, args=(client,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put((token, work))

    def ended(self) -> tuple[Any, T]:
        """The next that is done: its token and result. Raises what it raised, which is a bug: work returns failures."""
        token, result, error = self._done.get()
        self._flying -= 1
        if error is not None:
            raise error
        return token, result  # type: ignore[return-value]  # None only beside an error

    def close(self) -> None:
        """End the threads; one that waits for an answer goes with its answer. May be called twice."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._todo.put(None)
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def _run(self, client: Client) -> None:
        try:
            while (given := self._todo.get()) is not None:
                token, work = given
                try:
                    self._done.put((token, work(client), None))
                except BaseException as error:  # noqa: BLE001 - it must reach the thread that waits for this outcome
                    self._done.put((token, None, error))
        finally:
            client.close()
