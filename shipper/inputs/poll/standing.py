"""How far the listings of an input are, and which are behind: what `status` shows and a person is told. No network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shipper.amounts import span
from shipper.clock import rfc3339
from shipper.inputs.poll.keeping import Keeping
from shipper.inputs.poll.preset import Source
from shipper.inputs.poll.tasks import Task
from shipper.model import Health

LATE: Final = 0.8
"""The share of what the vendor keeps that may pass without a reading before a person is told."""
OVERDUE: Final = 3
"""Periods without a listing of everything that came to its end, after which that is told."""


def whole(name: str) -> str:
    """The name of the task that lists all objects of a resource, beside the one that lists what is new."""
    return f"{name} (all)"


class Standing:
    """`tasks`: by their names; `began`: when the input did, s since the epoch. Used by the pipeline's thread."""

    def __init__(self, source: Source, keeping: Keeping, tasks: Mapping[str, Task], began: float) -> None:
        self._source, self._keeping, self._tasks, self._began = source, keeping, tasks, began
        self._told: set[str] = set()

    def statistics(self, now: float, server: float) -> list[dict[str, Any]]:
        """As `PollInput.statistics`. `now`: monotonic; `server`: its time, s since the epoch."""
        found = []
        for name, spec in self._source.resources.items():
            if name not in self._tasks:
                continue
            one, task = self._keeping.progress(name), self._tasks[name]
            # What is new is not asked for before everything was listed once: what is wrong with that stands here, too.
            trouble = task.trouble or (self._tasks[whole(name)].trouble if whole(name) in self._tasks else "")
            behind = None if one.checked is None else max(0.0, server - one.checked)
            late = spec.horizon is not None and behind is not None and behind > LATE * spec.horizon
            found.append(
                {
                    "stream": one.stream,
                    "path": f"{spec.method} {spec.path}",
                    "offset": one.end - one.waiting,
                    "size": one.end,
                    "lag": one.waiting,
                    "format": one.format,
                    "state": "failing" if trouble else "reading" if task.reading else "waiting",
                    "behind": behind,
                    "next": max(0.0, task.when(now) - now),
                    "error": trouble,
                    "late": late,
                    "looks": self._keeping.looks(name),
                }
            )
        return found

    def overdue(self, now: float) -> Iterator[Health]:
        """Objects of which no listing of everything has come to its end for long, each told once until one has.

        `now`: s since the epoch.
        """
        for name, task in self._tasks.items():
            spec = self._source.resources.get(task.resource)
            if spec is None or spec.object is None or name not in {task.resource, whole(task.resource)}:
                continue
            if name == task.resource and whole(name) in self._tasks:
                continue
            last = self._keeping.known(task.resource)
            if now - (self._began if last is None else max(last, self._began - task.every)) <= OVERDUE * task.every:
                self._told.discard(name)
            elif name not in self._told:
                self._told.add(name)
                since = "was never read to its end" if last is None else f"was last read to its end at {rfc3339(last)}"
                lost = "nothing of it is compared yet" if last is None else "what was deleted since is not known"
                text = f"the whole of {task.resource} {since}, though it is read every {span(task.every)}: {lost}"
                yield Health("source.gap", text, {"path": f"{spec.method} {spec.path}"})
