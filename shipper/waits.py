"""How long the oldest unread byte of a stream has waited, from looks at how far it was read and how long it is.

Monotonic time since the agent first saw the byte, so what was written while nobody looked counts from the first look,
and no clock of another machine is believed. Pure: the looks bring their time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

MOST_MARKS: Final = 128
"""Looks that are remembered of one stream; beyond it two become one, as if its bytes were all as old as the older."""

_Marks = list[tuple[int, float]]
"""[(size, when it was first seen so long), ...], both rising."""


class Waits:
    """The streams of one input. `look` by one thread, `longest` by any."""

    def __init__(self) -> None:
        self._marks: dict[str, _Marks] = {}

    def look(self, now: float, streams: Iterable[Mapping[str, Any]]) -> None:
        """Take note of `statistics()`: `stream`, `offset` (all before it was read) and `size`."""
        before, after = self._marks, {}
        for stream in streams:
            offset, size = stream["offset"], stream["size"]
            if size <= offset:
                continue
            marks = [mark for mark in before.get(stream["stream"], ()) if offset < mark[0] <= size]
            if not marks or marks[-1][0] < size:
                marks.append((size, now))
            if len(marks) > MOST_MARKS:
                marks = [(marks[at + 1][0], marks[at][1]) for at in range(0, len(marks) - 1, 2)] + marks[-1:]
            after[stream["stream"]] = marks
        self._marks = after  # as a whole, for whoever looks meanwhile

    def longest(self, now: float) -> float:
        """Seconds that the oldest unread byte of all streams has waited; 0 where everything was read."""
        return max((now - marks[0][1] for marks in self._marks.values()), default=0.0)
