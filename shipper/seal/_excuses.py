"""The verifier's third concern: why a document may be missing, by what the agent itself sealed about it.

Only control leaves whose hash a signed root vouches for are heard, and what they say of outputs only where such an
output can have written what is verified. Order of preference where several explain one index:
erased, rejected, expired, before-output, dropped, filtered. What was dropped is named, and is a loss all the same.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shipper.seal._expiry import expired_below
from shipper.seal._reading import index, loads
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


class Writers(NamedTuple):
    """The outputs that can have written what is verified: what another one refuses or leaves out explains nothing here.

    `kinds`: their types; `only`: the id of the one that did, None where nobody said so.
    """

    kinds: frozenset[str]
    only: str | None = None

    def of(self, outputs: Any) -> list[dict[str, Any]]:
        """Those of a `config` leaf's `outputs`."""
        return [
            output
            for output in _objects(outputs)
            if isinstance(output.get("type"), str)
            and output["type"] in self.kinds
            and (self.only is None or output.get("id") == self.only)
        ]


class Excuses:
    """What the statements of one log, and those of the same agent's other logs about it, explain."""

    def __init__(self, ledger: Ledger, log: Log, writers: Writers, *, partial: bool, now: float | None) -> None:
        self._by_cause = {cause: Intervals() for cause in _ORDER}
        self.before = 0
        """Leaves below this index were sealed before the output existed, or are past what the source keeps."""
        self.interval = DEFAULT_INTERVAL
        """Newest stated `seal.interval`, seconds."""
        self.notes_only = False
        """Whether an output that can have written the source was ever to have checkpoints without leaf hashes."""
        self.known: set[str] = set()
        """The ids of the outputs that can have written it, from all logs of the agent."""
        self._writers = writers
        first = log.seen.first()
        self._own(ledger, log, first)
        self._told_of(ledger, log)
        self._by_cause["expired"].add(0, expired_below(ledger, log, now))
        self._by_cause["before-output"].add(0, self.before)
        if partial and first < log.size:
            self._by_cause["expired"].add(0, first)
            self.before = max(self.before, first)
        for intervals in self._by_cause.values():
            intervals.freeze()

    def _own(self, ledger: Ledger, log: Log, first: int) -> None:
        """What the configuration was. `first`: the first leaf that is here."""
        filtered_from = -1
        for statement in ledger.statements(log, "config", "batch"):
            payload = loads(statement.payload)
            if statement.kind == "batch":
                interval = payload.get("interval")
                if isinstance(interval, (int, float)) and 0 < interval < 1e6:
                    self.interval = float(interval)
                continue
            if filtered_from >= 0:
                self._by_cause["filtered"].add(filtered_from, statement.i)
            outputs = self._writers.of(payload.get("outputs"))
            drops = bool(outputs) and all("when" in output for output in outputs)
            filtered_from = statement.i if drops else -1
            self.notes_only |= any(output.get("control") == "notes" for output in outputs)
            for start in _begun(payload, self._writers):
                if start <= first:
                    self.before = max(self.before, start)
        if filtered_from >= 0:
            self._by_cause["filtered"].add(filtered_from, log.size)

    def _told_of(self, ledger: Ledger, log: Log) -> None:
        """Ranges that were refused, erased or dropped; a later generation may tell of them, but no other agent."""
        logs = [one for one in ledger.logs.values() if one.trust is log.trust]
        for speaker in logs:
            for statement in ledger.statements(speaker, "config"):
                outputs = self._writers.of(loads(statement.payload).get("outputs"))
                self.known |= {str(output.get("id")) for output in outputs}
        for speaker in logs:
            for statement in ledger.statements(speaker, *_RANGES):
                payload = loads(statement.payload)
                low, high = index(payload.get("from")), index(payload.get("to"))
                if payload.get("log", speaker.id) != log.id or low is None or high is None:
                    continue
                if statement.kind != "reject" or str(payload.get("output")) in self.known:
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

    def covers(self, low: int, high: int, cause: str) -> bool:
        """Whether one cause explains all of [low, high)."""
        inside, end = self._by_cause[cause].span(low)
        return inside and end >= high


def _begun(payload: dict[str, Any], writers: Writers) -> Iterator[int]:
    """Where the outputs begin that a `config` leaf calls new."""
    ours = {str(output.get("id")) for output in writers.of(payload.get("outputs"))}
    for entry in _objects(payload.get("added")):
        start = index(entry.get("from"))
        if start is not None and str(entry.get("id")) in ours:
            yield start


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def explains_absence(ledger: Ledger, log: Log, writers: Writers) -> bool:
    """Whether a generation says that an output was added in it, so that this output never held earlier generations.

    Where every output is called new the agent had lost its memory, and the statement tells nothing.
    """
    if next(ledger.statements(log, "succession"), None) is None:
        return False
    for statement in ledger.statements(log, "config"):
        payload = loads(statement.payload)
        added = {str(entry.get("id")) for entry in _objects(payload.get("added"))}
        known = {str(entry.get("id")) for entry in _objects(payload.get("outputs"))}
        ours = {str(output.get("id")) for output in writers.of(payload.get("outputs"))}
        if added & ours and known - added:
            return True
    return False
