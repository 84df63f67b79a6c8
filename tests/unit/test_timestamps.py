"""Times as sources write them: layouts, zones, the missing year, and what cannot be read."""

# ruff: noqa: DTZ001 - hypothesis takes naive bounds

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Time
from shipper import timestamps
from shipper.timestamps import LAYOUTS, Provisional, Resolved, iso, layout_problem, resolve

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")
SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


RECEIVED = at("2026-02-03T12:00:00")


def read(text, layout="iso8601", *, received=RECEIVED, mtime=None, zone=BERLIN, previous=None):
    return resolve(Time(text, layout), received=received, mtime=mtime, zone=zone, previous=previous)


@pytest.mark.parametrize(
    "text",
    ["2026-02-03T10:30:00Z", "2026-02-03T10:30:00.1Z", "2026-02-03T10:30:00.123456Z", "2024-02-29T23:59:59.000Z"],
)
def test_the_usual_form_comes_back_as_it_is(text):
    assert iso(text, BERLIN) is text
    assert read(text) == Resolved(text, datetime.fromisoformat(text).timestamp(), "exact", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-03T10:30:00.123456789Z", "2026-02-03T10:30:00.123456Z"),
        ("2026-02-03T10:30:00.10+02:00", "2026-02-03T08:30:00.10Z"),
        ("2026-02-03T10:30:00.000+0000", "2026-02-03T10:30:00.000Z"),
        ("2026-02-03T10:30:00-05", "2026-02-03T15:30:00Z"),
        ("2026-02-03 10:30:00,678+01:00", "2026-02-03T09:30:00.678Z"),
        ("2026-02-03 10:30:00 UTC", "2026-02-03T10:30:00Z"),
        ("2026-02-03t10:30:00z", "2026-02-03T10:30:00Z"),
        ("2026-02-03T10:30Z", "2026-02-03T10:30:00Z"),
        ("20260203T103000Z", "2026-02-03T10:30:00Z"),
        ("2026-02-03T10:30:00+01:00[Europe/Berlin]", "2026-02-03T09:30:00Z"),
        ("  2026-02-03T10:30:00Z ", "2026-02-03T10:30:00Z"),
    ],
)
def test_offsets_become_utc_and_the_precision_stays(text, expected):
    assert iso(text, BERLIN) == expected
    assert read(text)[::2] == (expected, "exact")
    assert read(text).zone_used is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02 03:04:05,678", "2026-01-02T02:04:05.678Z"),
        ("2026-07-02T03:04:05", "2026-07-02T01:04:05Z"),
        ("2026-02-03", "2026-02-02T23:00:00Z"),
    ],
)
def test_a_naive_time_is_read_in_the_zone_and_the_zone_is_named(text, expected):
    assert iso(text, BERLIN) == expected
    assert (read(text).text, read(text).zone_used) == (expected, "Europe/Berlin")
    assert read(text, zone=UTC_ZONE).zone_used == "UTC"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30T10:30:00Z",
        "2026-13-01T10:30:00Z",
        "2026-02-00T10:30:00Z",
        "0000-02-03T10:30:00Z",
        "2026-02-03T24:00:00Z",
        "2026-02-03T10:60:00Z",
        "2026-02-03T10:30:00.Z",
        "2026-02-03T10:30.5Z",
        "2026-02-03T10:30:00+25:00",
        "2026-02-03T10:30:00+01:75",
        "2026-02-03T10:30:00 CET",
        "2026-W06-2T10:30:00Z",
        "٢٠٢٦-02-03T10:30:00Z",
        "2026-02-03T10:30:00Z\n2026",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "1770114600",
    ],
)
def test_what_is_no_time_gets_the_moment_of_receipt(text):
    assert iso(text, BERLIN) is None
    assert read(text) == Resolved("2026-02-03T12:00:00.000Z", RECEIVED, "received", None)


def test_no_time_at_all_gets_the_moment_of_receipt():
    found = resolve(None, received=RECEIVED + 0.25, mtime=None, zone=BERLIN, previous=None)
    assert found == Resolved("2026-02-03T12:00:00.250Z", RECEIVED + 0.25, "received", None)


def test_a_leap_second_becomes_the_next_second():
    assert iso("2016-12-31T23:59:60Z", BERLIN) == "2017-01-01T00:00:00Z"
    assert iso("2017-01-01T00:59:60.5+01:00", BERLIN) == "2017-01-01T00:00:00.5Z"
    assert read("2016-12-31T23:59:60Z").seconds == at("2017-01-01T00:00:00")


def test_a_second_60_elsewhere_is_no_time():
    assert iso("2016-12-31T22:59:60Z", BERLIN) is None
    assert iso("2016-12-31T23:59:61Z", BERLIN) is None


def test_a_skipped_local_hour_is_read_with_the_offset_from_before():
    assert iso("2026-03-29T02:30:00", BERLIN) == "2026-03-29T01:30:00Z"


def test_a_repeated_local_hour_follows_the_event_before():
    text = "2025-10-26T02:00:10"
    assert read(text).text == "2025-10-26T00:00:10Z"
    assert read(text, previous=at("2025-10-25T23:59:00")).text == "2025-10-26T00:00:10Z"
    assert read(text, previous=at("2025-10-26T00:59:30")).text == "2025-10-26T01:00:10Z"
    # Lines a little out of order do not jump into the second hour.
    assert read("2025-10-26T02:30:01", previous=at("2025-10-26T00:30:01.4")).text == "2025-10-26T00:30:01Z"


@pytest.mark.parametrize(
    ("value", "layout", "expected"),
    [
        (1770114600, "epoch_s", "2026-02-03T10:30:00Z"),
        (1770114600.25, "epoch_s", "2026-02-03T10:30:00.25Z"),
        (1770114600.0, "epoch_s", "2026-02-03T10:30:00Z"),
        ("1770114600.1234567", "epoch_s", "2026-02-03T10:30:00.123456Z"),
        (1770114600123, "epoch_ms", "2026-02-03T10:30:00.123Z"),
        ("1770114600123.5", "epoch_ms", "2026-02-03T10:30:00.1235Z"),
        (1770114600123456, "epoch_us", "2026-02-03T10:30:00.123456Z"),
        (-1, "epoch_s", "1969-12-31T23:59:59Z"),
        (0, "epoch_s", "1970-01-01T00:00:00Z"),
    ],
)
def test_numbers_are_seconds_milliseconds_or_microseconds(value, layout, expected):
    assert read(value, layout)[::2] == (expected, "exact")


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), 1e300, 10**30, "1e9", "", "12 s", 1770114600123])
def test_a_number_that_is_no_moment_is_not_read(value):
    assert read(value, "epoch_s").precision == "received"


def test_the_access_log_layout_is_read():
    assert read("[03/Feb/2026:10:30:00 +0200]", "clf").text == "2026-02-03T08:30:00Z"
    assert read("03/Feb/2026:10:30:00", "clf").zone_used == "Europe/Berlin"
    assert read("03/Foo/2026:10:30:00 +0200", "clf").precision == "received"


def test_patterns_are_read_with_their_precision():
    assert read("03.02.2026 10:30:00.250", "%d.%m.%Y %H:%M:%S.%f").text == "2026-02-03T09:30:00.250Z"
    assert read("02/03/26 10:30 PM", "%m/%d/%y %I:%M %p").text == "2026-02-03T21:30:00Z"
    assert read("2026-02-03 10:30:00 +0530", "%Y-%m-%d %H:%M:%S %z").text == "2026-02-03T05:00:00Z"
    assert read("2026-02-03 xx", "%Y-%m-%d %H:%M").precision == "received"


@pytest.mark.parametrize("end", ["Z", " UTC", " GMT"])
def test_a_literal_mark_of_utc_in_a_pattern_means_utc(end):
    found = read(f"2026-02-03T10:30:00{end}", f"%Y-%m-%dT%H:%M:%S{end}")
    assert (found.text, found.zone_used) == ("2026-02-03T10:30:00Z", None)


def test_a_pattern_without_a_year_follows_the_year_rule_on_29_february_too():
    assert read("29.02. 10:00", "%d.%m. %H:%M", zone=UTC_ZONE).text == "2024-02-29T10:00:00Z"
    assert read("03.02. 10:00", "%d.%m. %H:%M", zone=UTC_ZONE).text == "2026-02-03T10:00:00Z"


@pytest.mark.parametrize("layout", [*LAYOUTS, "%Y-%m-%d", "%d/%b/%y %H:%M", "%Y%j", "%m%d %H:%M:%S.%f"])
def test_usable_layouts_have_no_problem(layout):
    assert layout_problem(layout) is None


@pytest.mark.parametrize(
    ("layout", "word"),
    [
        ("iso", "unknown time layout"),
        ("", "unknown time layout"),
        ("%H:%M:%S", "day"),
        ("%Y-%m-%d %Z", "%z"),
        ("%Y-%m-%d %q", "%q"),
        ("%Y-%m-%d %c", "%c"),
        ("%Y-%m-%d %", "lone"),
        ("%j %H", "year"),
        ("%Y-%m-%d %H:%H", "twice"),
        ("%Y-%m-%d %I", "%p"),
    ],
)
def test_unusable_layouts_are_explained_and_never_read(layout, word):
    assert word in (layout_problem(layout) or "")
    assert read("2026-02-03 10:30:00", layout).precision == "received"


# -- the year that is not there ---------------------------------------------------------------------------------------


def year_of(text, **place):
    return read(text, "rfc3164", zone=UTC_ZONE, **place).text


def test_the_year_is_the_latest_within_26_hours_of_the_receipt():
    assert year_of("Feb  3 10:30:00") == "2026-02-03T10:30:00Z"
    assert year_of("Feb  4 13:59:59") == "2026-02-04T13:59:59Z"
    assert year_of("Feb  4 14:00:01") == "2025-02-04T14:00:01Z"
    assert year_of("Dec 31 23:59:59.5") == "2025-12-31T23:59:59.5Z"


def test_an_old_file_is_read_in_the_year_it_was_written():
    assert year_of("Feb  3 10:30:00", mtime=at("2019-06-01T00:00:00")) == "2019-02-03T10:30:00Z"
    assert year_of("Feb  3 10:30:00", mtime=at("2031-06-01T00:00:00")) == "2026-02-03T10:30:00Z"


def test_new_year_rolls_over_within_a_file():
    received = at("2026-01-01T00:00:05")
    first = read("Dec 31 23:59:58", "rfc3164", received=received, zone=UTC_ZONE)
    second = read("Jan  1 00:00:01", "rfc3164", received=received, zone=UTC_ZONE, previous=first.seconds)
    late = read("Dec 28 23:59:59", "rfc3164", received=received, zone=UTC_ZONE, previous=second.seconds)
    assert [first.text, second.text, late.text] == [
        "2025-12-31T23:59:58Z",
        "2026-01-01T00:00:01Z",
        "2025-12-28T23:59:59Z",
    ]


def test_a_wrong_file_time_does_not_throw_a_stream_back_a_year():
    mtime = at("2025-03-01T00:00:00")
    before = read("Mar  2 01:00:00", "rfc3164", mtime=mtime, zone=UTC_ZONE).seconds
    assert before == at("2025-03-02T01:00:00")
    assert year_of("Mar  3 10:00:00", mtime=mtime, previous=before) == "2025-03-03T10:00:00Z"
    assert year_of("Mar  3 10:00:00", mtime=mtime) == "2024-03-03T10:00:00Z"


def test_a_line_some_days_late_keeps_its_year():
    assert year_of("Jan 28 10:00:00", previous=at("2026-02-03T10:00:00")) == "2026-01-28T10:00:00Z"


def test_the_future_is_never_chosen_to_keep_the_order():
    assert year_of("Mar  5 10:00:00", previous=at("2026-02-03T10:00:00")) == "2025-03-05T10:00:00Z"


def test_29_february_finds_a_leap_year():
    assert year_of("Feb 29 10:00:00") == "2024-02-29T10:00:00Z"
    assert year_of("Feb 29 10:00:00", received=at("1904-01-05T00:00:00")) == "1896-02-29T10:00:00Z"


def test_a_day_that_no_year_has_is_not_read():
    assert read("Feb 30 10:00:00", "rfc3164").precision == "received"
    assert read("Foo  3 10:00:00", "rfc3164").precision == "received"


def test_the_syslog_layout_takes_a_year_and_full_times_too():
    assert year_of("Feb  3 2020 10:30:00") == "2020-02-03T10:30:00Z"
    assert year_of("2026-02-03T10:30:00.5+01:00") == "2026-02-03T09:30:00.5Z"


# -- properties -------------------------------------------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1))
OFFSETS = st.integers(-14 * 60, 14 * 60)


@settings(max_examples=200, deadline=None)
@given(MOMENTS, OFFSETS, st.integers(0, 6), st.sampled_from(["T", " "]))
def test_any_offset_time_is_the_moment_it_names(moment, minutes, digits, separator):
    local = moment + timedelta(minutes=minutes)
    text = local.isoformat(sep=separator, timespec="microseconds")
    text = text[: 20 + digits] if digits else text[:19]
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    found = iso(text + offset, BERLIN)
    wanted = moment.isoformat(timespec="microseconds")
    assert found == (wanted[: 20 + digits] if digits else wanted[:19]) + "Z"


@settings(max_examples=200, deadline=None)
@given(MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]))
def test_a_naive_local_time_names_a_moment_that_the_zone_shows_as_it(moment, name):
    zone = ZoneInfo(name)
    local = moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    found = iso(local.isoformat(timespec="microseconds"), zone)
    assert found is not None
    assert datetime.fromisoformat(found).astimezone(zone).replace(tzinfo=None) == local


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=40), st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")),
    st.sampled_from([*LAYOUTS, "%Y-%m-%d", "%d %b %H:%M"]),
    st.one_of(st.none(), st.floats(0, 4e9)),
)
def test_any_text_gives_a_time_of_one_shape_and_never_raises(text, layout, previous):
    found = read(text, layout, previous=previous)
    assert SHAPE.fullmatch(found.text)
    assert abs(found.seconds - datetime.fromisoformat(found.text).timestamp()) < 0.001


@settings(max_examples=200, deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(-60_000, 25 * 3600))
def test_a_time_without_year_near_the_receipt_gets_its_year_back(received, ahead):
    moment = (received + timedelta(seconds=ahead)).replace(microsecond=0)
    text = moment.strftime("%b %d %H:%M:%S")
    assert year_of(text, received=received.replace(tzinfo=UTC).timestamp()) == moment.isoformat() + "Z"


NEAR_RECEIPT = st.datetimes(datetime(2024, 12, 30), datetime(2026, 3, 30)) | st.sampled_from(
    [
        datetime(2025, 10, 26, 2, 30),
        datetime(2025, 3, 30, 2, 30),
        datetime(2024, 2, 29, 1),
        datetime(2025, 12, 31, 23, 59, 59),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    moment=NEAR_RECEIPT,
    layout=st.sampled_from(["rfc3164", "clf"]),
    offset=st.sampled_from(["", " +0000", " -0330", " +0200", " +2500", " Z"]),
    received=NEAR_RECEIPT.map(lambda moment: moment.replace(tzinfo=UTC).timestamp()),
    mtime=st.none() | st.floats(1.7e9, 1.78e9),
    previous=st.none() | NEAR_RECEIPT.map(lambda moment: moment.replace(tzinfo=UTC).timestamp()),
    provisional=st.booleans(),
    zone=st.sampled_from([BERLIN, UTC_ZONE, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_a_usual_text_is_read_as_one_with_a_fraction_whose_minute_is_not_remembered(
    moment, layout, offset, received, mtime, previous, provisional, zone
):
    text = moment.strftime("%b %e %H:%M:%S" if layout == "rfc3164" else "%d/%b/%Y:%H:%M:%S")
    before = [Provisional(math.nan if previous is None else previous) if provisional else previous for _ in range(2)]
    found, wanted = (
        read(f"{text}{fraction}{offset}", layout, received=received, mtime=mtime, zone=zone, previous=given)
        for fraction, given in zip(("", ".0"), before, strict=True)
    )
    if wanted.precision == "received":
        assert found == wanted
        return
    assert found == wanted._replace(text=wanted.text.replace(".0Z", "Z"))
    if provisional:
        # What holds for longer has to be true for longer.
        assert before[0].holds >= before[1].holds
        later = min(before[0].holds, 2e9)
        assert later == -math.inf or found == read(
            f"{text}{offset}", layout, received=received, mtime=mtime, zone=zone, previous=later
        )


@pytest.mark.parametrize(
    "text", ["10/Mar/2026:13:55:60 +0000", "10/Mar/2026:24:00:00 +0000", "31/Feb/2026:13:55:36 +0000",
             "10/Xyz/2026:13:55:36 +0000", "10/Mar/2026:13:55:36 +2500", "01/Jan/0001:00:00:00 +0500",
             "10/Mar/2026:13:55:٣٦ +0000", "10/Mar/2026:13:55:36_+0000", "10/Mar/2026T13:55:36 +0000"]
)  # fmt: skip
def test_a_text_near_the_usual_one_of_access_logs_is_not_read(text):
    assert read(text, "clf").precision == "received"


def test_the_minutes_that_are_remembered_are_bounded():
    for minute in range(3_000):
        moment = datetime(2026, 1, 1) + timedelta(minutes=minute)
        assert read(moment.strftime("%d/%b/%Y:%H:%M:07 +0000"), "clf").text == moment.strftime("%Y-%m-%dT%H:%M:07Z")
        assert read(moment.strftime("%b %e %H:%M:07"), "rfc3164", zone=UTC_ZONE).precision == "exact"
    for remembered in (timestamps._minute_with_offset, timestamps._minute_without_year):
        assert remembered.cache_info().currsize <= 1_024
