"""The formats kv and csv: names that everybody uses are understood, all others are kept, and secrets are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time, csv, kv
from parsers._named import time_of
from shipper.formats import Formats
from tests.parser_checks import assert_sound

CTX = Context()
LINE = 'time=2026-02-03T10:30:00.123Z level=info msg="salary \\"saved\\"" user=kim user_id=7 ip=192.0.2.10 session_id=s-7 employee=55'
TABLE = 'Time,User,IP Address,Message,Session ID,Employee\n2026-02-03T10:30:00Z,kim,192.0.2.10,"said ""hi"",\nand left",s-7,55'


def one(parse, line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_a_line_of_pairs_is_an_activity():
    operation = one(kv.parse, LINE)
    assert (operation.action, operation.kind, operation.message) == ("log.message", "log", 'salary "saved"')
    assert operation.time == Time("2026-02-03T10:30:00.123Z")
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert operation.raw == {"employee": "55"}
    assert operation.fields == {
        "log.level": "info",
        "user.name": "kim",
        "user.id": "7",
        "source.ip": "192.0.2.10",
        "trail.session.id": "s-7",
    }


def test_a_row_is_an_activity():
    operation = one(csv.parse, TABLE)
    assert operation.message == 'said "hi",\nand left'
    assert operation.time == Time("2026-02-03T10:30:00Z")
    assert operation.raw == {"Employee": "55"}
    assert operation.fields == {"user.name": "kim", "source.ip": "192.0.2.10", "trail.session.id": "s-7"}


@pytest.mark.parametrize("line", ["2026-02-03 10:30:02 a=1 b=2", "[2026-02-03 10:30:02] a=1 b=2"])
def test_a_time_may_stand_before_the_pairs(line):
    assert one(kv.parse, line).time == Time("2026-02-03 10:30:02")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-02-03T10:30:00Z", Time("2026-02-03T10:30:00Z")),
        ("2026-02-03", Time("2026-02-03")),
        ("1770114602", Time(1770114602, "epoch_s")),
        ("1770114602.25", Time("1770114602.25", "epoch_s")),
        ("1770114602000", Time(1770114602000, "epoch_ms")),
        ("1770114602000000", Time(1770114602000000, "epoch_us")),
        ("03/02/2026", None),
        ("5", None),
        ("yesterday", None),
    ],
)
def test_only_times_that_mean_one_moment_are_read(text, found):
    assert time_of(text) == found


def test_what_cannot_be_read_stays_where_it_was():
    operation = one(kv.parse, "time=yesterday ip=client.example user=kim user=ann words x=")
    assert operation.time is None
    assert operation.raw == {
        "time": "yesterday",
        "ip": "client.example",
        "user": ["kim", "ann"],
        "x": "",
        "text": "words",
    }
    assert operation.fields == {}


def test_secrets_are_dropped():
    operation = one(
        kv.parse, 'user=kim password=hunter2 token=hunter2 cmd="app --password hunter2" msg="token=hunter2"'
    )
    assert "hunter2" not in repr(operation)
    operation = one(csv.parse, "User,Api Token,Command\nkim,hunter2,mysql -phunter2 hr")
    assert "hunter2" not in repr(operation)


@pytest.mark.parametrize(
    "line", ["one=pair", "words a=1 b=2", '{"a":"b=1 c=2"}', "CEF:0|A|P|1|e|n|5|a=1 b=2", "", "=1 =2"]
)
def test_lines_that_are_not_pairs_are_refused(line):
    assert isinstance(kv.parse(line.encode(), CTX), Rejected)


@pytest.mark.parametrize("record", ["a,b", "a,b\n1", "a,b\n1,2,3", 'a,b\n1,"2', '{"a":1}\n1', "a\n1", ""])
def test_rows_that_do_not_fit_their_header_are_refused(record):
    assert isinstance(csv.parse(record.encode(), CTX), Rejected)


def test_auto_takes_these_formats_last():
    formats = Formats()
    assert formats.judge(f"{LINE}\n".encode() * 3, CTX).format == "kv"
    assert formats.judge(b"CEF:0|A|P|1|1|n|5|suser=kim src=192.0.2.1\n", CTX).format == "cef"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([LINE, TABLE]), st.integers(0, 120), st.binary(max_size=6))
def test_a_damaged_record_yields_a_sound_result(record, at, piece):
    data = record.encode()
    for parse in (kv.parse, csv.parse):
        assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
