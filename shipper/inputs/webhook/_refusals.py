"""Requests that were refused, counted, and told once a minute at the most with a sample: nobody can flood the log."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final, NamedTuple

EVERY: Final = 60.0
"""Seconds between two reports of one endpoint."""
_MOST_REASONS: Final = 16


class Report(NamedTuple):
    """What was refused since the last report: how many, why (the most frequent first), and from where for example."""

    requests: int
    reasons: tuple[tuple[str, int], ...]
    client: str

    def __str__(self) -> str:
        told = "; ".join(f"{reason} ({number})" for reason, number in self.reasons)
        return f"refused {self.requests} request{'s' * (self.requests != 1)}: {told}; the last from {self.client}"


class Refusals:
    """The refusals of one endpoint. For two threads: one counts, one takes reports."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._reasons: Counter[str] = Counter()
        self._client = ""
        self._told: float | None = None

    def add(self, reason: str, client: str) -> None:
        """Count one. `reason` is one of a few texts of ours."""
        with self._lock:
            if reason not in self.totals and len(self.totals) >= _MOST_REASONS:
                reason = "another reason"
            self.totals[reason] += 1
            self._reasons[reason] += 1
            self._client = client

    def figures(self) -> dict[str, int]:
        """How many in all, by reason, the most frequent first."""
        with self._lock:
            return dict(self.totals.most_common())

    def report(self, now: float) -> Report | None:
        """What there is to tell at `now` (monotonic s), None where there is nothing, or it is too early."""
        with self._lock:
            if not self._reasons or (self._told is not None and now - self._told < EVERY):
                return None
            self._told = now
            reasons = tuple(self._reasons.most_common())
            self._reasons.clear()
            return Report(sum(count for _, count in reasons), reasons, self._client)
