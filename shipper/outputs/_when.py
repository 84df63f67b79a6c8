"""Dates in queries: what `2026-03`, `now-1d/d` or `2026-01-01||+1M` mean. Pure: `now` is handed in.

A date literal is a span of time, half open, in microseconds since the epoch (UTC): `2026-03` is the whole of March. The
shortest is a millisecond, the resolution of OpenSearch's dates, so that the store answers as OpenSearch does.
That is how OpenSearch rounds, too: `>=` and `<` look at the beginning of the span, `>` and `<=` at its end (OpenSearch
documentation, "Date field type" and "Date math").
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shipper.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?"
)
_MATH = re.compile(r"([+-])(\d{1,6})([yMwdhHms])|/([yMwdhHms])")
_FIXED = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "H": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PARTS = ("y", "M", "d", "h", "m", "s")


class Span(NamedTuple):
    """A half-open stretch of time, microseconds since the epoch: `lo` belongs to it, `hi` does not."""

    lo: int
    hi: int


def micros(when: datetime) -> int:
    """`when` (aware) in whole microseconds since the epoch."""
    return (when - _EPOCH) // _MICROSECOND


def instant(text: str) -> int | None:
    """An event's timestamp (RFC 3339, at least to the minute) in microseconds, None if `text` is not one.

    A text without a zone is taken as UTC; digits after the sixth are cut.
    """
    if len(text) < 16 or text[10] not in "Tt " or text[4] != "-" or len(text) > 40:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return micros(when if when.tzinfo is not None else when.replace(tzinfo=UTC))


def parse_span(text: str, now: float) -> Span | None:
    """The span that the literal `text` names, None if it is no date. `now`: seconds since the epoch."""
    try:
        if text.startswith("now"):
            return _with_math(_EPOCH + timedelta(milliseconds=int(now * 1000)), "ms", text[3:])
        base, bar, math = text.partition("||")
        if bar and not math:
            return None
        match = _DATE.fullmatch(base)
        return None if match is None else _with_math(*_read(match), math)
    except (ValueError, OverflowError):  # the 31st of February, the year 0, a thousand centuries ago
        return None


def parse_when(text: str, now: float, option: str) -> Span:
    """As `parse_span`, for a command line option; raises `UsageError` that names the option."""
    span = parse_span(text.strip(), now)
    if span is None:
        raise UsageError(
            f"read {option}", text, "not a date", f"{option} 2026-01-31, 2026-01-31T08:00:00Z, now-7d or now-1d/d"
        )
    return span


def _read(match: re.Match[str]) -> tuple[datetime, str]:
    """The beginning of what a date literal names, and the unit of its last part."""
    given = [part for part in match.groups()[:6] if part is not None]
    numbers = [int(part) for part in given] + [1, 1, 1, 0, 0, 0][len(given) :]
    unit = _PARTS[len(given) - 1]
    fraction = match[7]
    if fraction is not None:
        unit = "ms"  # more digits name the millisecond that they are in: OpenSearch keeps no more of a time
    year, month, day, hour, minute, second = numbers
    millisecond = int((fraction or "0").ljust(3, "0")[:3])
    when = datetime(year, month, day, hour, minute, second, millisecond * 1000, tzinfo=UTC)
    zone = match[8]
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        when = when - offset if zone[0] == "+" else when + offset
    return when, unit


def _with_math(when: datetime, unit: str, math: str) -> Span | None:
    """`when` after the date math `+1d`, `-3M`, `/d` … (in order)."""
    at = 0
    while at < len(math):
        step = _MATH.match(math, at)
        if step is None:
            return None
        if step[4]:
            unit = step[4]
            when = _floor(when, unit)
        else:
            when = _add(when, step[3], int(step[1] + step[2]))
        at = step.end()
    return Span(micros(when), micros(_add(when, unit, 1)))


def _add(when: datetime, unit: str, count: int) -> datetime:
    if unit in _FIXED:
        return when + _FIXED[unit] * count
    months = when.year * 12 + when.month - 1 + (count * 12 if unit == "y" else count)
    first = when.replace(year=months // 12, month=months % 12 + 1, day=1)
    last_day = ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day
    return first.replace(day=min(when.day, last_day))


def _floor(when: datetime, unit: str) -> datetime:
    if unit == "w":
        when -= timedelta(days=when.weekday())
        unit = "d"
    smaller = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    kept = _PARTS.index("h" if unit == "H" else unit)
    return when.replace(microsecond=0, **dict(list(smaller.items())[kept:]))  # type: ignore[arg-type]
