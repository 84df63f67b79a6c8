"""Which host of a cluster to ask next: a circuit breaker for each of them. It knows their numbers, not their names.

A host that failed is left alone while another one is well, and asked for its name (`GET /`) at growing, random
intervals until it answers. Where no host is well, those that failed are asked all the same, up to `OPEN_AT` times in a
row; after that they, too, are only asked for their names when it is time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

OPEN_AT: Final = 5
"""Requests in a row without an answer after which a host is sent no documents any more."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0


class Candidate(NamedTuple):
    """A host to ask. `probe`: only after it has answered `GET /`. `alone`: no other host is well."""

    number: int
    probe: bool
    alone: bool


@dataclass(slots=True)
class _State:
    well: bool = True
    silent: int = 0
    """Requests in a row without an answer."""
    doubts: int = 0
    """Requests in a row without a good answer."""
    failed: float = 0.0
    due: float = 0.0
    """When it may be asked for its name."""


class Hosts:
    """The state of `count` hosts, shared by the threads that talk to them. `monotonic`: the clock, in seconds."""

    def __init__(
        self, count: int, *, monotonic: Callable[[], float] = time.monotonic, rng: random.Random | None = None
    ) -> None:
        self._states = [_State() for _ in range(count)]
        self._monotonic = monotonic
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._lock = threading.Lock()
        self._count = count

    def order(self, home: int) -> list[Candidate]:
        """The hosts to try for one request, the first that answers; `home` (any number) is the first of equals.

        Empty where all are silent and none is due: `wait` tells for how long.
        """
        with self._lock:
            states = self._states
            if self._count == 1 and states[0].silent < OPEN_AT:
                return [Candidate(0, probe=False, alone=True)]
            now = self._monotonic()
            rotated = [(home + step) % self._count for step in range(self._count)]
            well = [number for number in rotated if states[number].well]
            failed = sorted((n for n in rotated if not states[n].well), key=lambda n: states[n].failed)
            ready = [n for n in failed if states[n].silent < OPEN_AT]
            due = [n for n in failed if states[n].due <= now and (well or n not in ready)]
            # One probe for a request is enough, and none for two requests at once.
            for number in due[:1] if well else due:
                states[number].due = now + LONGEST_WAIT
            probed = due[:1] if well else due
            plain = [*well, *(n for n in ready if n not in probed)]
            asked = [Candidate(n, probe=False, alone=not well) for n in plain]
            tested = [Candidate(n, probe=True, alone=not well) for n in probed]
            return [*tested, *asked] if well else [*asked, *tested]

    def answered(self, number: int, *, well: bool = True) -> None:
        """The host answered; not `well`: with an error that another host may not have (502, 503, 504)."""
        state = self._states[number]
        if well and state.well and not state.doubts:
            return  # as usual: nothing to note
        with self._lock:
            state.silent = 0
            state.well = well
            if well:
                state.doubts = 0
            else:
                self._wait(state)

    def silent(self, number: int) -> None:
        """The host did not answer."""
        with self._lock:
            state = self._states[number]
            state.silent += 1
            state.well = False
            self._wait(state)

    def _wait(self, state: _State) -> None:
        state.doubts += 1
        state.failed = self._monotonic()
        steps = state.doubts - 1 if state.doubts < OPEN_AT else state.doubts - OPEN_AT
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(steps, 20))
        state.due = state.failed + longest * self._rng.random()

    def wait(self) -> float:
        """Seconds until the first of them may be asked."""
        with self._lock:
            return max(0.0, min(state.due for state in self._states) - self._monotonic())
