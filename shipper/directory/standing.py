"""How fresh each list of the directory is, and what is told while one cannot be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from shipper.amounts import span
from shipper.model import Health

EVERY: Final = 3600.0
"""Seconds between two reports of one list."""
GRACE: Final = 120.0
"""Seconds that a list may be older than three times its `refresh`."""


class Standing(NamedTuple):
    """Of one list. `read`: when it was read last, seconds since the epoch; None if never. `problem`: why not now."""

    read: float | None
    refresh: float
    problem: str = ""


def encode(standings: Mapping[str, Standing]) -> bytes:
    """As it lies beside the cache."""
    return orjson.dumps({"v": 1, "lists": {name: list(one) for name, one in standings.items()}})


def decode(data: bytes) -> dict[str, Standing]:
    """What `encode` made. Raises `ValueError` for anything else."""
    held: Any = orjson.loads(data)
    try:
        return {
            name: Standing(None if read is None else float(read), float(refresh), str(problem))
            for name, (read, refresh, problem) in held["lists"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not the directory's standing: {error}") from None


class Teller:
    """Tells of lists that cannot be read, at once and then every hour as long as it lasts."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def take(self, standings: Mapping[str, Standing], now: float, monotonic: float) -> list[tuple[str, Health]]:
        """(list, what is to be told of it) at `now`, seconds since the epoch."""
        found = []
        for name, one in standings.items():
            last = self._told.get(name)
            if last is not None and monotonic - last < EVERY:
                continue
            message = _said(one, now)
            if message:
                self._told[name] = monotonic
                age = {} if one.read is None else {"health": {"age_seconds": max(0, int(now - one.read))}}
                found.append((name, Health("source.silence", f"directory {name}: {message}", {}, age, "failure")))
        return found


def _said(one: Standing, now: float) -> str:
    if one.read is None:
        return f"{one.problem}; it was never read" if one.problem else ""
    age = max(0, int(now - one.read))
    if one.problem:
        return f"{one.problem}; what it said {span(age)} ago stays in use"
    if age > 3 * one.refresh + GRACE:
        return f"not read for {span(age)}; what it said then stays in use"
    return ""
