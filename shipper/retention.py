"""What may be deleted by age, said in advance: a durable memory of how long the log was on which day.

A destination that keeps events for so many days deletes none that was kept later than that many days ago. The journal
forgets much sooner, so one line a day is kept beside it: when a log had how many leaves under a durable checkpoint.
From it follows, long after, below which leaf everything is old enough. That is sealed as a `retention` leaf, before the
destination can delete by it. What the memory has lost is not announced: its absence would stay unexplained.

`<state>/retention`: one JSON object a line, {"time": s since the epoch, "log": id, "size": leaves}, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from shipper import telemetry
from shipper.clock import Clock
from shipper.config import Config, RetentionSection
from shipper.errors import DiskError
from shipper.fs import RealFs, replace_sync
from shipper.recover import Watermark
from shipper.seal.note import NoteError, log_id, parse_checkpoint, parse_note
from shipper.seal.tree import MAX_SIZE

DAY: Final = 86400.0
LINES: Final = 24
"""A retention of fewer days than these is divided into as many lines."""
LEAP: Final = 3600.0
"""Seconds by which the clock has to leap for what was written before to count as written after it."""
AHEAD: Final = 3
"""Lines by which it is said early that something may be gone."""
BEGIN: Final = 1_767_225_600.0
"""2026-01-01: a clock that shows an earlier time was not set yet, and nothing is concluded from it."""
RETRY: Final = 60.0
"""Seconds after which a file that could not be written is tried again."""


class Line(NamedTuple):
    """At `time` (s since the epoch) the log had `size` leaves under a checkpoint that was durable."""

    time: float
    log: str
    size: int


class _Held(NamedTuple):
    """A line as it stands in the file, and the time by which it is judged now: a clock can be wrong for a while."""

    line: Line
    time: float


def announced(config: Config) -> RetentionSection | None:
    """By what the log says that events may be gone; None where no destination is known to delete by age.

    That is so without an output of type `opensearch`, unless somebody wrote the section.
    """
    deletes = "retention" in config.model_fields_set or any(output.type == "opensearch" for output in config.outputs)
    return config.retention if deletes else None


class Retention:
    """For the pipeline's thread. `section`: of the configuration, None where nothing is deleted by age."""

    def __init__(self, place: Path, section: RetentionSection | None, clock: Clock) -> None:
        days = None if section is None else section.days
        self._place, self._clock, self._days = place, clock, days
        self._lines = [] if days is None else [_Held(line, line.time) for line in _load(place)]
        self._every = DAY if days is None else min(DAY, days * DAY / LINES)
        self._own = self._unsure = len(self._lines)
        """From here on the lines were written by this process; are judged by what this process knows of the clock."""
        self._offset = clock.now() - clock.monotonic()
        wait = self._lines[-1].time + self._every - clock.now() if self._lines else 0.0
        self._next = clock.monotonic() + max(0.0, min(self._every, wait))
        self._said: dict[str, int] = {}
        """By log: below which leaf this process has said that events may be gone."""
        self._refused = ""

    def look(self, mark: Watermark | None) -> list[dict[str, Any]]:
        """Payloads of `retention` leaves to be sealed now, each with its log; mostly none, and cheap.

        `mark`: the newest durable checkpoint.
        """
        now = self._clock.monotonic()
        if self._days is None or mark is None or now < self._next or self._clock.now() < BEGIN:
            return []
        self._next = now + self._every
        self._follow_the_clock()
        payloads = list(self._old_enough(self._days))
        self._remember(mark, self._days)
        return payloads

    def _old_enough(self, days: int) -> Iterator[dict[str, Any]]:
        # A document may be as much older than its line as lies between two lines, the leaf comes as much later, and
        # once more where a kill comes before it. A destination deletes to the minute: so it is said early by all that.
        oldest = self._clock.now() - days * DAY + AHEAD * self._every
        below: dict[str, int] = {}
        for line, time in self._lines:
            if time <= oldest:
                below[line.log] = max(line.size, below.get(line.log, 0))
        for log, size in below.items():
            if size > self._said.get(log, 0):
                self._said[log] = size
                yield {"log": log, "days": days, "below": size}

    def _remember(self, mark: Watermark, days: int) -> None:
        """Add the lines of this moment, and forget those of which others say as much."""
        now = self._clock.now()
        lines, known = list(self._lines), {line.log: line.size for line, _ in self._lines}
        for log, size in (*_closed(mark), (log_id(mark.origin), mark.size)):
            if size > known.get(log, 0):
                # A time never lies before the one above it: a clock that goes back makes nothing older.
                lines.append(_Held(Line(max(now, lines[-1].line.time if lines else 0.0), log, size), now))
        oldest = now - (days + 1) * DAY
        # Of each log the newest line that is old enough stays: it is said again after a start.
        newest = {line.log: number for number, (line, time) in enumerate(lines) if time <= oldest}
        kept = [one for number, one in enumerate(lines) if number >= newest.get(one.line.log, 0)]
        text = b"".join(orjson.dumps(one.line._asdict(), option=orjson.OPT_APPEND_NEWLINE) for one in kept)
        try:
            replace_sync(self._place, text, RealFs())
        except DiskError as error:
            if self._refused != str(error):
                telemetry.retention_not_kept(cause=str(error))
            self._refused = str(error)
            self._next = self._clock.monotonic() + RETRY
            return
        self._refused = ""
        gone = len(lines) - len(kept)
        self._own, self._unsure = max(0, self._own - gone), max(0, self._unsure - gone)
        self._lines = kept

    def _follow_the_clock(self) -> None:
        """After a leap ahead nothing of this process is older than the time that really went by.

        The machine slept, or its clock was wrong before, or is wrong now: which one, nothing here can tell. What seems
        to come from the future was written before now, and counts as of this process from then on. In the file the
        lines of earlier processes stay as they are: they are right again when the clock is.
        """
        now = self._clock.now()
        offset = now - self._clock.monotonic()
        leap = offset - self._offset
        ahead = leap if leap > LEAP else 0.0
        self._offset = offset
        unsure = next((number for number, held in enumerate(self._lines) if held.time > now), self._unsure)
        self._lines = [
            _Held(
                line._replace(time=line.time + ahead) if number >= self._own else line,
                min(now, time + ahead if number >= self._unsure else time),
            )
            for number, (line, time) in enumerate(self._lines)
        ]
        self._unsure = min(self._unsure, unsure)


def _closed(mark: Watermark) -> Iterator[tuple[str, int]]:
    """The earlier generations and their last sizes: (log, leaves)."""
    for entry in mark.earlier:
        try:
            yield log_id(entry["origin"]), parse_checkpoint(parse_note(entry["note"]).text).size
        except NoteError:
            continue


def _load(place: Path) -> Iterator[Line]:
    """The lines of the file; what cannot be read is not announced."""
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        telemetry.retention_not_kept(cause=f"{place}: {error.strerror or error}")
        return
    for text in data.splitlines():
        line = _line(text)
        if line is None:
            telemetry.retention_not_kept(cause=f"{place}: a line that is none")
            return
        yield line


def _line(text: bytes) -> Line | None:
    try:
        found = orjson.loads(text)
        time, log, size = found["time"], found["log"], found["size"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(time, (int, float)) or not isinstance(log, str):
        return None
    return Line(float(time), log, size) if type(size) is int and 0 < size < MAX_SIZE else None
