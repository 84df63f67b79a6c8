"""What is to be read when: one task a listing, with its waits and its troubles. Pure: time is handed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.inputs.poll.engine import Reading
from shipper.inputs.poll.limits import Bucket

PATIENCE: Final = 8
"""Failures in a row after which a reading is given up, to be begun anew: its pages may be gone meanwhile."""
DENIED: Final = 3600.0
"""Seconds until what the account may not read is tried again, at least."""


@dataclass(slots=True)
class Task:
    """One thing that is read again and again. Times are monotonic, s.

    `begin`: a new reading, None where there is nothing to read now. `due`: when the next reading begins; `ready`: when
    the next request may go. `after`: one that is read before this one where both are due, as long as that works.
    """

    name: str
    resource: str
    begin: Callable[[], Reading | None]
    every: float
    due: float
    budget: Bucket | None = None
    ready: float = 0.0
    reading: Reading | None = None
    tries: int = 0
    problem: str = ""
    runs: int = 0
    """Readings that came to their end, good or bad."""
    anew: bool = False
    """It was begun anew because of the server's clock, which is done once a reading."""
    after: Task | None = None
    passed: str = ""
    passed_at: int = -2
    """What the reading of that number met, and went on."""

    def when(self, now: float) -> float:
        """The moment at which it can go on."""
        moment = self.ready if self.reading is not None else max(self.due, self.ready)
        if self.after is not None and self.waits(now):
            moment = max(moment, self.after.when(now))
        return moment if self.budget is None else max(moment, now + self.budget.wait(now))

    def waits(self, now: float) -> bool:
        """Whether another one has to be read before."""
        first = self.after
        if self.reading is not None or first is None or first.problem:
            return False
        return first.reading is not None or first.due <= now

    def pass_over(self, problem: str) -> None:
        """A part of what is read cannot be read; the rest can."""
        self.passed, self.passed_at, self.tries = problem, self.runs, 0

    @property
    def trouble(self) -> str:
        """What does not work, at this moment or in a part of the last reading."""
        return self.problem or (self.passed if self.runs - self.passed_at <= 1 else "")

    def done(self, now: float) -> None:
        """The reading came to its end."""
        self.reading, self.tries, self.problem, self.anew = None, 0, "", False
        self.runs += 1
        self.due = now + self.every

    def failed(self, now: float, problem: str, wait: float) -> None:
        """A request failed, and is made again; the reading is begun anew where that has gone on for long."""
        self.tries += 1
        self.problem = problem
        self.ready = now + wait
        if self.tries % PATIENCE == 0:
            self.reading = None
            self.runs += 1

    def given_up(self, now: float, problem: str, wait: float = 0.0) -> None:
        """The reading cannot go on."""
        self.reading, self.tries, self.problem = None, 0, problem
        self.runs += 1
        self.due = now + max(self.every, wait)


class Tasks:
    """The tasks of one input, in turns: a long reading does not keep the others waiting."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._order = deque(tasks)
        self.all: Sequence[Task] = tuple(sorted(self._order, key=lambda one: one.name))
        """Each of them; for any thread."""

    def next(self, now: float) -> Task | None:
        """The one whose turn it is, None where none can go on now."""
        for _ in range(len(self._order)):
            task = self._order[0]
            self._order.rotate(-1)
            if task.when(now) <= now and not task.waits(now):
                return task
        return None

    def wait(self, now: float) -> float:
        """Seconds until one can go on; a long time without tasks."""
        return max(0.0, min((task.when(now) for task in self._order), default=now + 3600.0) - now)
