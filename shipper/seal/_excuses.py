"""The verifier's third concern: why a document may be missing, by what the agent itself sealed about it.

Only control leaves whose hash a signed root vouches for are heard. Order of preference where several explain one index:
erased, rejected, expired, before-output, dropped, filtered. What was dropped is named, and is a loss all the same.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.seal.tree import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipper.seal._ledger import Ledger, Log

_ORDER: Final = ("erased", "rejected", "expired", "before-output", "dropped", "filtered")
_RANGES: Final = {"reject": "rejected", "erasure": "erased", "drop": "dropped"}
"""Statements about a range of leaves, and the cause that they give."""
DEFAULT_INTERVAL: Final = 60.0


class Intervals:
    """Disjoint, sorted [low, high) ranges of leaf indexes."""

    def __init__(self) -> None:
        self._raw: list[tuple[int, int]] = []
        self._lows: list[int] = []
        self._highs: list[int] = []

    def add(self, low: int, high: int) -> None:
        """Add a range; empty ones are nothing."""
        if low < high:
            self._raw.append((low, high))

    def freeze(self) -> None:
        """Sort and merge, once all are added."""
        for low, high in sorted(self._raw):
            if self._highs and low <= self._highs[-1]:
                self._highs[-1] = max(self._highs[-1], high)
            else:
                self._lows.append(low)
                self._highs.append(high)

    def span(self, at: int) -> tuple[bool, int]:
        """Whether `at` is inside, and where that ends."""
        n = bisect_right(self._lows, at) - 1
        if n >= 0 and at < self._highs[n]:
            return True, self._highs[n]
        return False, self._lows[n + 1] if n + 1 < len(self._lows) else MAX_SIZE


class Excuses:
    """What the statements of one log explain."""

    def __init__(self, ledger: Ledger, log: Log, *, partial: bool) -> None:
        self._by_cause = {cause: Intervals() for cause in _ORDER}
        self.before = 0
        """Leaves below this index were sealed before the output existed, or are past what the source keeps."""
        self.interval = DEFAULT_INTERVAL
        """Newest stated `seal.interval`, seconds."""
        self._heard(ledger, log)
        first = log.seen.first()
        starts = [0]
        for payload in (loads(statement.payload) for statement in ledger.statements(log, "config")):
            for entry in _objects(payload.get("added")):
                start = _index(entry.get("from"))
                if start is not None and start <= first:
                    starts.append(start)
        self.before = max(starts)
        self._by_cause["before-output"].add(0, self.before)
        if partial and first < log.size:
            self._by_cause["expired"].add(0, first)
            self.before = max(self.before, first)
        for intervals in self._by_cause.values():
            intervals.freeze()

    def _heard(self, ledger: Ledger, log: Log) -> None:
        filtered_from = -1
        for statement in ledger.statements(log, *_RANGES, "retention", "config", "batch"):
            payload = loads(statement.payload)
            low, high = _index(payload.get("from")), _index(payload.get("to"))
            if statement.kind in _RANGES and payload.get("log", log.id) == log.id:
                if low is not None and high is not None:
                    self._by_cause[_RANGES[statement.kind]].add(low, high + 1)
            elif statement.kind == "retention" and payload.get("log", log.id) == log.id:
                self._by_cause["expired"].add(0, _index(payload.get("below")) or 0)
            elif statement.kind == "batch":
                interval = payload.get("interval")
                if isinstance(interval, (int, float)) and 0 < interval < 1e6:
                    self.interval = float(interval)
            elif statement.kind == "config":
                if filtered_from >= 0:
                    self._by_cause["filtered"].add(filtered_from, statement.i)
                drops = any("when" in output for output in _objects(payload.get("outputs")))
                filtered_from = statement.i if drops else -1
        if filtered_from >= 0:
            self._by_cause["filtered"].add(filtered_from, log.size)
        # A document of this log may be refused, dropped or expire after a new generation has begun, which then says so.
        for other in ledger.logs.values():
            for statement in ledger.statements(other, *_RANGES, "retention") if other is not log else ():
                payload = loads(statement.payload)
                if payload.get("log") != log.id:
                    continue
                low, high = _index(payload.get("from")), _index(payload.get("to"))
                if statement.kind == "retention":
                    self._by_cause["expired"].add(0, _index(payload.get("below")) or 0)
                elif low is not None and high is not None:
                    self._by_cause[_RANGES[statement.kind]].add(low, high + 1)

    def split(self, low: int, high: int) -> Iterator[tuple[int, int, str]]:
        """Cut [low, high) into pieces of one cause each, "" for none."""
        start, held = low, None
        at = low
        while at < high:
            cause, end = "", high
            for name in _ORDER:
                inside, border = self._by_cause[name].span(at)
                end = min(end, border)
                if inside:
                    cause = name
                    break
            if held is not None and cause != held:
                yield start, at, held
                start = at
            held, at = cause, end
        if held is not None:
            yield start, high, held

    def covers(self, low: int, high: int) -> bool:
        """Whether all of [low, high) is explained."""
        return all(cause for _, _, cause in self.split(low, high))


def loads(payload: bytes) -> dict[str, Any]:
    """A statement's payload; {} where it is no object."""
    value = orjson.loads(payload)
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _index(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_SIZE else None


def explains_absence(ledger: Ledger, log: Log) -> bool:
    """Whether a generation says that an output was added in it, so that this output never held earlier generations.

    Where every output is called new the agent had lost its memory, and the statement tells nothing.
    """
    if next(ledger.statements(log, "succession"), None) is None:
        return False
    for statement in ledger.statements(log, "config"):
        payload = loads(statement.payload)
        added = {str(entry.get("id")) for entry in _objects(payload.get("added"))}
        known = {str(entry.get("id")) for entry in _objects(payload.get("outputs"))}
        if added and known - added:
            return True
    return False
