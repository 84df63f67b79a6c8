"""Times as sources write them, read into RFC 3339 in UTC. Pure: no clock, no host zone; both are handed in.

Rules (docs/reference/event.md, "Time"):

- The text keeps the source's precision: as many fraction digits as it had, at most 6; further digits are cut.
- A time without an offset is read in the input's zone, whose name is returned as `zone_used`. Of the two moments that
  a repeated hour gives, the one nearer to the previous event of the stream is taken, else the first; a local time that
  a clock change skips is read with the offset from before the change.
- A time without a year (`rfc3164`, or a pattern without `%Y`) gets the latest year that puts it at most 26 h after
  min(received, modification time of the file). Where that would go back by more than a day within the stream, the next
  year is taken if it is nearer to the previous event and still at most 26 h after the receipt: the file's modification
  time was wrong then. A December line after a January one may always go back.
- A leap second (`23:59:60` UTC) becomes the first second of the next day, as in POSIX time: indexes refuse a second 60.
- A date alone is its midnight. Zone abbreviations other than `UTC`, `GMT` and `Z` are not guessed.
- What cannot be read gets the moment of receipt and the precision `received`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from parsers import Time

LAYOUTS: Final = ("iso8601", "epoch_s", "epoch_ms", "epoch_us", "rfc3164", "clf")
"""The layouts with a name; any other must be a strptime pattern (see `layout_problem`)."""

_DAY: Final = 86_400.0
_AHEAD: Final = 26 * 3600.0  # 24 h of zone mistakes and 2 h of a clock that runs ahead
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - all arithmetic here is on naive UTC values
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}

_utc_shape = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z"
).fullmatch
# The same where no calendar is needed to tell that there is such a day.
is_common = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z"
).fullmatch
"""A match for a usual text (`is_usual`) of one of the first 28 days of a month."""
# What `datetime.fromisoformat` reads on its own, with an offset: three times as fast as the numbers one by one.
_offset_shape = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,]([0-9]{1,9}))?"
    r"(?:Z|[+-][0-9]{2}:?[0-5][0-9])"
).fullmatch
_OFFSET: Final = r"(?P<offset>[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
_iso_shape = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})|(?P<month2>[0-9]{2})(?P<day2>[0-9]{2}))"
    r"(?:(?:[Tt]| {1,2})(?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?"
    r"|(?P<minute2>[0-9]{2})(?P<second2>[0-9]{2})?)(?:[.,](?P<fraction>[0-9]{1,30}))?"
    r" ?" + _OFFSET + r"?(?:\[[A-Za-z0-9_+/-]{1,64}\])?)?"
).fullmatch
_rfc3164_shape = re.compile(
    r"(?P<month>[A-Za-z]{3}) {1,2}(?P<day>[0-9]{1,2})(?: (?P<year>[0-9]{4}))?"
    r" (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,30}))?"
    r"(?: ?" + _OFFSET + r")?"
).fullmatch
_clf_shape = re.compile(
    r"\[?(?P<day>[0-9]{2})/(?P<month>[A-Za-z]{3})/(?P<year>[0-9]{4})"
    r":(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,30}))?"
    r"(?: " + _OFFSET + r")?\]?"
).fullmatch
_number_shape = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,30})?").fullmatch
_LAST_SECOND: Final = 10**11
"""Seconds since the epoch before which every moment has four digits for its year."""
_EPOCH_DIGITS: Final = {"epoch_s": 0, "epoch_ms": 3, "epoch_us": 6}

# What nearly every line of these layouts has, and the places of its second.
_BY_MINUTE: Final = frozenset({"clf", "rfc3164"})
_usual_clf = re.compile(r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9]{2}:[0-9]{2}: [+-][0-9]{4}").fullmatch
_usual_rfc3164 = re.compile(r"[A-Za-z]{3} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:").fullmatch
_SECONDS: Final = {f"{second:02d}": second for second in range(60)}

_DIRECTIVE: Final = re.compile(r"%(.)", re.DOTALL)
_KNOWN_DIRECTIVES: Final = frozenset("aAwdbBmyYHIpMSfzjUWGuV%")
_utc_suffix = re.compile(r"(?:Z|UTC|GMT)$").search
_fraction_runs = re.compile(r"[.,:]([0-9]{1,6})(?![0-9])").findall


class Resolved(NamedTuple):
    """A time that was read, or the moment of receipt where none could be.

    `text`: RFC 3339, UTC, ending in `Z`. `seconds`: since the epoch. `precision`: `exact` or `received`. `zone_used`:
    the zone's name, where the source gave no offset.
    """

    text: str
    seconds: float
    precision: str
    zone_used: str | None


class Provisional(float):
    """A `previous` that may not be the last word, since what comes before is still being read; NaN: none is known.

    `holds`: the latest true `previous`, in seconds since the epoch, with which the same would have been read.
    """

    __slots__ = ("holds",)

    def __init__(self, _seconds: float) -> None:
        self.holds = math.inf

    def told(self, holds: float) -> float | None:
        """The value, for a reading that holds up to that moment."""
        self.holds = min(self.holds, holds)
        return None if math.isnan(self) else float(self)


class _Wall(NamedTuple):
    """A time as its numbers: `offset` in seconds east of UTC, None where the source gave none."""

    year: int | None
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: str
    offset: int | None


class _Place(NamedTuple):
    """Where a time is read: what `resolve` was told."""

    received: float
    mtime: float | None
    zone: ZoneInfo
    previous: float | None


def iso(text: str, zone: ZoneInfo) -> str | None:
    """An ISO 8601 text as RFC 3339 in UTC, or None where it is none; naive times are read in `zone`.

    The hot entry point: the usual `2026-02-03T10:30:00.123Z` comes back as it is.
    """
    if _utc_shape(text):
        if text[8:10] < "29" and text[8:10] != "00" and text[:4] != "0000":
            return text
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return None
        return text
    try:
        found = _read_iso(text.strip(), _Place(0.0, None, zone, None))
    except (ValueError, OverflowError):
        return None
    return None if found is None else found.text


def is_usual(text: str) -> bool:
    """Whether a text has the usual shape, `2026-02-03T10:30:00.123Z`, and is a moment: `resolve` gives it back."""
    return utc_seconds(text) is not None


def utc_seconds(text: str) -> float | None:
    """Seconds since the epoch of a text of the usual shape, `2026-02-03T10:30:00.123Z`, which `resolve` gives back."""
    if not _utc_shape(text):
        return None
    try:
        return (datetime.fromisoformat(text[:-1]) - _EPOCH).total_seconds()
    except ValueError:
        return None


def resolve(
    time: Time | None, *, received: float, mtime: float | None, zone: ZoneInfo, previous: float | None
) -> Resolved:
    """Read `time`; never raises.

    `received` and `mtime` (of the file, or None) are seconds since the epoch; `previous` is the `seconds` of the event
    before in the same stream, or None; `zone` is where times without an offset are read.
    """
    if time is not None:
        text, layout = time
        if layout == "iso8601" and type(text) is str and _utc_shape(text):
            try:
                moment = datetime.fromisoformat(text[:-1])
            except ValueError:
                moment = None
            if moment is not None:
                return Resolved(text, (moment - _EPOCH).total_seconds(), "exact", None)
        else:
            if layout in _BY_MINUTE and type(text) is str:
                found = _read_minute(text, layout, received, mtime, zone, previous)
                if found is not None:
                    return found
            try:
                found = _read(text, layout, _Place(received, mtime, zone, previous))
            except (ValueError, OverflowError, InvalidOperation):
                found = None
            if found is not None:
                return found
    return Resolved(utc_text(_EPOCH + timedelta(seconds=received), "000"), received, "received", None)


def utc_text(moment: datetime, digits: str) -> str:
    """A naive UTC `moment` as RFC 3339, with as many fraction digits as `digits` is long (at most 6; cut)."""
    count = min(len(digits), 6)
    text = moment.isoformat(timespec="microseconds")
    return text[:19] + ("." + text[20 : 20 + count] if count else "") + "Z"


def layout_problem(layout: str) -> str | None:
    """Why `layout` cannot be used, as a sentence for a configuration error; None where it can."""
    if layout in LAYOUTS:
        return None
    if "%" not in layout:
        return f"unknown time layout; use one of {', '.join(LAYOUTS)}, or a strptime pattern such as %Y-%m-%d %H:%M:%S"
    found = [one for one in _DIRECTIVE.findall(layout) if one != "%"]
    directives = set(found)
    if layout.replace("%%", "").endswith("%"):
        return "the pattern ends in a lone %"
    if len(found) > len(directives):
        return "a directive stands twice in the pattern"
    if "Z" in directives:
        return "%Z is not supported, because zone abbreviations are ambiguous; use %z, or leave it out and set timezone"
    unknown = sorted(directives - _KNOWN_DIRECTIVES)
    if unknown:
        return f"unsupported strptime directive %{unknown[0]}"
    if "j" in directives:
        if not directives & set("yY"):
            return "%j needs a year (%Y)"
    elif "d" not in directives or not directives & set("mbB"):
        return "the pattern has no day and month"
    if "I" in directives and "p" not in directives:
        return "%I needs %p"
    return None


def _read_minute(
    text: str, layout: str, received: float, mtime: float | None, zone: ZoneInfo, previous: float | None
) -> Resolved | None:
    """A usual text of `clf` or `rfc3164`, by what is known of its minute; None where a longer look is needed.

    Lines come about in the order of their times, so a few minutes are all there is to remember.
    """
    if layout == "clf":
        digits, zone_used = text[18:20], None
        minute = _minute_with_offset(text[:18] + text[20:]) if len(text) == 26 else None
    else:
        digits, zone_used = text[13:], zone.key
        known = received if mtime is None or mtime > received else mtime
        minute = _minute_without_year(text[:13], zone, (known + _AHEAD) // _DAY) if len(text) == 15 else None
    second = _SECONDS.get(digits)
    if minute is None or second is None:
        return None
    seconds = minute[1] + second
    if zone_used is not None:
        if isinstance(previous, Provisional):
            previous = previous.told(seconds + _DAY)
        if previous is not None and previous - seconds > _DAY:
            return None
    return Resolved(f"{minute[0]}{digits}Z", seconds, "exact", zone_used)


@lru_cache(maxsize=1024)
def _minute_with_offset(text: str) -> tuple[str, float] | None:
    """Of a minute as `10/Mar/2026:13:55: +0100`: its text up to the seconds, in UTC, and the moment it begins."""
    found = _clf_shape(f"{text[:18]}00{text[18:]}") if _usual_clf(text) else None
    try:
        wall = _wall(found) if found else None
        if wall is None or wall.year is None or wall.offset is None:
            return None
        moment = datetime(wall.year, wall.month, wall.day, wall.hour, wall.minute)  # noqa: DTZ001 - the offset follows
        return _beginning(moment - timedelta(seconds=wall.offset))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _minute_without_year(text: str, zone: ZoneInfo, day: float) -> tuple[str, float] | None:
    """The same of `Mar 10 13:55:`, where every limit within a day (since the epoch) gives the same year.

    None also for minutes that come twice in the zone, or that it skips.
    """
    found = _rfc3164_shape(f"{text}00") if _usual_rfc3164(text) else None
    wall = _wall(found) if found else None
    if wall is None:
        return None
    place = _Place(0.0, None, zone, None)
    try:
        start = _EPOCH + timedelta(days=day)
        # Zones have changed at whole minutes, to offsets in whole minutes, since 1972.
        for year in range(start.year + 1, max(start.year - 10, 1979), -1):
            moment = _moment(wall, year, place)
            if moment is None or moment > start + timedelta(days=1):
                continue
            once = datetime(year, wall.month, wall.day, wall.hour, wall.minute, tzinfo=zone)
            if once.utcoffset() != once.replace(fold=1).utcoffset() or moment + timedelta(minutes=1) > start:
                return None
            return _beginning(moment)
    except (ValueError, OverflowError):
        pass
    return None


def _beginning(minute: datetime) -> tuple[str, float]:
    return minute.isoformat()[:17], (minute - _EPOCH).total_seconds()


def _read(text: str | float, layout: str, place: _Place) -> Resolved | None:
    if layout in _EPOCH_DIGITS:
        return _read_epoch(text, _EPOCH_DIGITS[layout])
    if not isinstance(text, str):
        return None
    text = text.strip()
    if layout == "iso8601":
        return _read_iso(text, place)
    if layout == "rfc3164":
        match = _rfc3164_shape(text)
        return _finish(match, place) if match else _read_iso(text, place)
    if layout == "clf":
        match = _clf_shape(text)
        return _finish(match, place) if match else None
    return _read_pattern(text, layout, place)


def _read_epoch(value: str | float, digits: int) -> Resolved | None:
    """A number of seconds, milliseconds or microseconds; `digits` says which (0, 3, 6)."""
    if type(value) is int and 0 <= value < _LAST_SECOND * 10**digits:
        seconds, part = divmod(value, 10**digits)
        fraction = f".{part:0{digits}d}" if digits else ""
        whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()
        return Resolved(f"{whole}{fraction}Z", value / 10**digits, "exact", None)
    if isinstance(value, bool):
        return None
    text = str(value).strip() if not isinstance(value, float) else format(Decimal(repr(value)), "f")
    if not _number_shape(text):
        return None
    _, _, fraction = text.partition(".")
    if isinstance(value, float) and fraction == "0":  # 1767322800.0 is how Python writes 1767322800
        fraction = ""
    micros = int(Decimal(text).scaleb(6 - digits).to_integral_value(rounding="ROUND_FLOOR"))
    moment = _EPOCH + timedelta(microseconds=micros)
    return Resolved(utc_text(moment, "0" * (digits + len(fraction))), micros / 1e6, "exact", None)


def _read_iso(text: str, place: _Place) -> Resolved | None:
    match = _offset_shape(text)
    if match:
        moment = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
        return Resolved(utc_text(moment, match[1] or ""), (moment - _EPOCH).total_seconds(), "exact", None)
    match = _iso_shape(text)
    if not match:
        return None
    got = match.groupdict()
    wall = _Wall(
        int(got["year"]),
        int(got["month"] or got["month2"]),
        int(got["day"] or got["day2"]),
        int(got["hour"] or 0),
        int(got["minute"] or got["minute2"] or 0),
        int(got["second"] or got["second2"] or 0),
        got["fraction"] or "",
        _seconds_east(got["offset"]),
    )
    if wall.fraction and not (got["second"] or got["second2"]):
        return None  # a fraction of a minute: allowed by ISO 8601, written by nobody, likelier a mistake
    return _place(wall, place)


def _finish(match: re.Match[str], place: _Place) -> Resolved | None:
    """The shapes with a month's name."""
    wall = _wall(match)
    return None if wall is None else _place(wall, place)


def _wall(match: re.Match[str]) -> _Wall | None:
    got = match.groupdict()
    month = _MONTHS.get(got["month"].lower())
    if month is None:
        return None
    return _Wall(
        int(got["year"]) if got["year"] else None,
        month,
        int(got["day"]),
        int(got["hour"]),
        int(got["minute"]),
        int(got["second"]),
        got["fraction"] or "",
        _seconds_east(got["offset"]),
    )


@lru_cache(maxsize=64)
def _pattern(layout: str) -> tuple[bool, bool, bool]:
    """Of a strptime pattern: can it be used, has it a year, does it end in a literal that means UTC."""
    directives = set(_DIRECTIVE.findall(layout))
    literal = _DIRECTIVE.sub("\0", layout)
    return layout_problem(layout) is None, bool(directives & set("yYG")), bool(_utc_suffix(literal))


def _read_pattern(text: str, layout: str, place: _Place) -> Resolved | None:
    usable, has_year, says_utc = _pattern(layout)
    if not usable:
        return None
    # Without a year strptime would assume 1900, which has no 29 February; 2000 is only a leap year to parse with.
    moment = datetime.strptime(*((text, layout) if has_year else (f"2000 {text}", f"%Y {layout}")))  # noqa: DTZ007
    offset = moment.utcoffset()
    east = 0 if offset is None and says_utc else None if offset is None else int(offset.total_seconds())
    fraction = ""
    if "%f" in layout:
        micros = f"{moment.microsecond:06d}"
        runs = [run for run in _fraction_runs(text) if run.ljust(6, "0") == micros]
        fraction = runs[-1] if runs else micros
    return _place(
        _Wall(
            moment.year if has_year else None,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
            fraction,
            east,
        ),
        place,
    )


def _seconds_east(text: str | None) -> int | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return 0
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:4] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def _place(wall: _Wall, place: _Place) -> Resolved | None:
    """The numbers as a moment; None (or ValueError, OverflowError) where there is no such time."""
    moment = _guess_year(wall, place) if wall.year is None else _moment(wall, wall.year, place)
    if moment is None:
        return None
    return Resolved(
        utc_text(moment, wall.fraction),
        (moment - _EPOCH).total_seconds(),
        "exact",
        place.zone.key if wall.offset is None else None,
    )


def _moment(wall: _Wall, year: int, place: _Place) -> datetime | None:
    """Naive UTC, or None where the calendar has no such time."""
    leap = wall.second == 60
    micros = int(wall.fraction[:6].ljust(6, "0")) if wall.fraction else 0
    try:
        local = datetime(  # noqa: DTZ001 - the zone follows below
            year, wall.month, wall.day, wall.hour, wall.minute, 59 if leap else wall.second, micros
        )
        moment = _from_zone(local, place) if wall.offset is None else local - timedelta(seconds=wall.offset)
        if leap:
            if (moment.hour, moment.minute) != (23, 59):
                return None
            moment += timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return moment


def _from_zone(local: datetime, place: _Place) -> datetime:
    """A naive local time as naive UTC (PEP 495)."""
    first = local.replace(tzinfo=place.zone)
    moment = first.astimezone(UTC).replace(tzinfo=None)
    previous = place.previous
    if previous is None:
        return moment
    second = first.replace(fold=1).astimezone(UTC).replace(tzinfo=None)
    # `second` is later in a repeated hour, earlier in a skipped one, and equal at all other times.
    if second > moment:
        if isinstance(previous, Provisional):
            previous = previous.told(-math.inf)
            if previous is None:
                return moment
        before = _EPOCH + timedelta(seconds=previous)
        return second if abs(second - before) < abs(moment - before) else moment
    return moment


def _guess_year(wall: _Wall, place: _Place) -> datetime | None:
    """See the module's rules. 29 February may need eight years (1896 to 1904)."""
    known = place.received if place.mtime is None else min(place.received, place.mtime)
    limit = _EPOCH + timedelta(seconds=known + _AHEAD)
    found: datetime | None = None
    year = limit.year + 1
    for year in range(limit.year + 1, limit.year - 10, -1):
        if not 1 <= year <= 9999:
            continue
        candidate = _moment(wall, year, place)
        if candidate is not None and candidate <= limit:
            found = candidate
            break
    previous = place.previous
    if isinstance(previous, Provisional) and found is not None:
        previous = previous.told((found - _EPOCH).total_seconds() + _DAY)
    if found is None or previous is None:
        return found
    before = _EPOCH + timedelta(seconds=previous)
    if before - found <= timedelta(seconds=_DAY) or (wall.month == 12 and before.month == 1):
        return found
    if isinstance(place.previous, Provisional):
        place.previous.told(-math.inf)
    latest = _EPOCH + timedelta(seconds=place.received + _AHEAD)
    for later in range(year + 1, year + 10):
        candidate = _moment(wall, later, place)
        if candidate is not None:
            return candidate if candidate <= latest and abs(candidate - before) < before - found else found
    return found
