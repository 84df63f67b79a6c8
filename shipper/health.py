"""The agent's reports of itself: now and then a sealed document about the agent and each of its inputs and outputs.

The figures are those of `Observer.status`, of one moment for each input and output. Counters are told as what was added
since the report before; together the reports of a run tell what the accounts do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shipper import build
from shipper.amounts import size, span
from shipper.clock import Clock
from shipper.logbook import Identity
from shipper.memory import resident
from shipper.model import Event
from shipper.status import Observer

ACTION = "agent.report"


class Reports:
    """For the pipeline's thread. `every`: seconds between two reports, 0 for none; the first comes after the first."""

    def __init__(self, observer: Observer, identity: Identity, clock: Clock, every: float) -> None:
        self._observer, self._identity, self._clock, self._every = observer, identity, clock, every
        self._next = clock.monotonic() + every
        self._told: dict[tuple[str, str, str], int] = {}
        """By component, id and figure: how much of it was reported."""

    def look(self) -> list[Event]:
        """The documents of a report where one is due; mostly none, and cheap."""
        now = self._clock.monotonic()
        if not self._every or now < self._next:
            return []
        # After a pause (a disk that was full) one report tells it all.
        self._next = now + self._every
        status, at = self._observer.status(), self._clock.now()
        return [
            build.health_event(self._identity, ACTION, message, at, trail={"health": dict(part)}, name=_name(part))
            for part, message in self._parts(status)
        ]

    def _parts(self, status: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Each component's figures, and the same in words."""
        yield _agent(self._identity.name, status["journal"]["bytes"], resident())
        for one in status["inputs"]:
            yield self._input(one)
        for one in status["outputs"]:
            yield self._output(one, status["dead_letters"])

    def _input(self, one: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        part: dict[str, Any] = {
            "component": "input",
            "id": one["id"],
            "read": self._since("input", one, "read"),
            "events": self._since("input", one, "events"),
            "unparsed": self._since("input", one, "rejected"),
            "lag_bytes": one["lag"]["bytes"],
        }
        last = "no record yet"
        if one["idle"] is not None:
            part["idle_seconds"] = int(one["idle"])
            last = f"last record {span(int(one['idle']))} ago"
        return part, (
            f"input {one['id']}: {_count(part['read'], 'record')}, {part['unparsed']:,} unparsed, "
            f"{_count(part['lag_bytes'], 'byte')} behind, {last}"
        )

    def _output(self, one: Mapping[str, Any], letters: Mapping[str, int] | None) -> tuple[Mapping[str, Any], str]:
        part: dict[str, Any] = {
            "component": "output",
            "id": one["id"],
            "delivered": self._since("output", one, "delivered"),
            "rejected": self._since("output", one, "dead_lettered"),
            "pending": one["pending"],
            "lag_seconds": int(one["lag"]["seconds"]),
        }
        words = [f"{part['delivered']:,} delivered", f"{part['rejected']:,} refused", f"{part['pending']:,} pending"]
        if part["pending"]:
            words[-1] += f" for {span(part['lag_seconds'])}"
        if letters is not None:
            part["dead_letters"] = letters.get(one["id"], 0)
            words.append(_count(part["dead_letters"], "dead letter"))
        if one["connected"] is False:
            words.append("failing")
        return part, f"output {one['id']}: {', '.join(words)}"

    def _since(self, component: str, one: Mapping[str, Any], figure: str) -> int:
        """What was added to a figure since it was last told.

        What an output delivers anew, after a sync that failed, was told before and is not told again.
        """
        key = (component, one["id"], figure)
        before = self._told.get(key, 0)
        self._told[key] = max(before, one[figure])
        return self._told[key] - before


def _agent(name: str, journal: int, memory: int | None) -> tuple[Mapping[str, Any], str]:
    part = {"component": "agent", "id": name, "journal_bytes": journal}
    words = f"agent {name}: journal {size(journal)}"
    return (part, words) if memory is None else ({**part, "memory_bytes": memory}, f"{words}, memory {size(memory)}")


def _name(part: Mapping[str, Any]) -> str:
    return f"{part['component']}:{part['id']}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
