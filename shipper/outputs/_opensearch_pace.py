"""How many requests may be in flight: found out by the answers, the pure part. Times are handed in, in seconds.

Additive increase, multiplicative decrease (reliability.md 4.2). The time of an answer is compared with a moving mean of
those before it, one decision for about one answer's time: a server that gets slower is full before it says so.
"""

from __future__ import annotations

import math
from typing import Final

_WEIGHT: Final = 0.4
"""How much the newest period counts in the moving mean."""
_DEVIATIONS: Final = 2.5
_DECREASE: Final = 0.9
_EQUAL: Final = 1 + 1e-9
"""Up to here two times are the same but for rounding."""


class Pace:
    """The number of requests that may be in flight at once: `limit`, 1 at first, never above `most`.

    Call `began` as a request is sent and `ended` when its outcome is known, both with the time of a clock that only
    goes forward.
    """

    def __init__(self, most: int) -> None:
        self.limit = 1
        self._most = most
        self._flying = 0
        self._reached = self._pressed = False
        self._times: list[float] = []
        self._mean = math.nan
        self._variance = 0.0
        self._next = -math.inf

    def began(self) -> None:
        """A request goes out."""
        self._flying += 1
        self._reached = self._reached or self._flying >= self.limit

    def ended(self, now: float, took: float | None, *, pressed: bool) -> None:
        """Its outcome is known at `now`.

        `took`: seconds until the answer, None where none came that tells of the server's load. `pressed`: the server
        asked for less (429, 503) or did not manage in time.
        """
        self._flying -= 1
        self._pressed = self._pressed or pressed
        if took is not None:
            self._times.append(took)
        if now >= self._next:
            self._decide(now)

    def _decide(self, now: float) -> None:
        times, mean = self._times, self._mean
        current = sum(times) / len(times) if times else math.nan
        slow = current > mean * _EQUAL and current >= mean + _DEVIATIONS * math.sqrt(self._variance)
        if self._pressed or slow:
            self.limit = max(1, int(self.limit * _DECREASE))
        elif self._reached and current <= mean * _EQUAL:
            self.limit = min(self._most, self.limit + 1)
        if times:
            # Of the first there is nothing to compare with: it only becomes the mean.
            step = 0.0 if math.isnan(mean) else current - mean
            self._mean = current if math.isnan(mean) else mean + _WEIGHT * step
            self._variance = (1 - _WEIGHT) * (self._variance + _WEIGHT * step * step)
        self._next = now + (0.0 if math.isnan(self._mean) else self._mean)
        self._times, self._pressed = [], False
        self._reached = self._flying >= self.limit
