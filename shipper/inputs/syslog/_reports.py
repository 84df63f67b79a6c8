"""What was refused and what was dropped: counted, and told once a minute at the most, so that nobody floods the log."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from shipper.model import Health

EVERY: Final = 60.0
"""Seconds between two reports of one kind and place."""
_MOST: Final = 64
"""Reasons that are told apart."""


class Reports:
    """Of one input. For two threads: one counts, one takes reports."""

    def __init__(self) -> None:
        self.refused = self.dropped = 0
        """Connections, datagrams or messages that were refused, and datagrams that the system dropped, in all."""
        self._lock = threading.Lock()
        self._refused: dict[str, Counter[str]] = {}
        self._example: dict[str, str] = {}
        self._dropped: Counter[str] = Counter()
        self._told: dict[tuple[str, str], float] = {}

    def refuse(self, place: str, reason: str, peer: str) -> None:
        """Count what was refused at an address. `reason`: a short text, bounded by the caller."""
        with self._lock:
            self.refused += 1
            reasons = self._refused.setdefault(place, Counter())
            if reason not in reasons and len(reasons) >= _MOST:
                reason = "another reason"
            reasons[reason] += 1
            self._example[place] = peer

    def drop(self, place: str, count: int) -> None:
        """Count datagrams that the system dropped since nobody read them in time."""
        with self._lock:
            self.dropped += count
            self._dropped[place] += count

    def take(self, now: float, *, ending: bool = False) -> list[Health]:
        """What there is to tell at `now` (monotonic s); at the end all that was not told yet."""
        with self._lock:
            found = []
            for place in [place for place in self._dropped if ending or self._due("dropped", place, now)]:
                count = self._dropped.pop(place)
                message = f"{place}: the system dropped {count} datagrams that could not be read in time"
                found.append(Health("source.loss", message, {"path": place}, {"health": {"dropped": count}}, "failure"))
            for place in [place for place in self._refused if ending or self._due("refused", place, now)]:
                reasons = self._refused.pop(place)
                count = reasons.total()
                told = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(5))
                message = f"{place}: refused {count} times: {told}; the last from {self._example[place]}"
                found.append(
                    Health("source.refused", message, {"path": place}, {"health": {"refused": count}}, "failure")
                )
            return found

    def _due(self, kind: str, place: str, now: float) -> bool:
        last = self._told.get((kind, place))
        if last is not None and now - last < EVERY:
            return False
        self._told[kind, place] = now
        return True
