"""The format leef: both versions, any separator, Java's date patterns, and what the attributes mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import SECRET, Change, Context, Rejected, Time
from parsers.leef import pairs, parse
from tests.parser_checks import assert_sound

CTX = Context()
ONE = "LEEF:1.0|Acme|HR Portal|3.1|e1|"
CHANGE = (
    ONE
    + "usrName=kim\tsrc=192.0.2.10\tfieldName=salary\toldValue=90000\tnewValue=120000\tobjectType=employee\tobjectId=55"
)


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_old_and_new_values_make_a_change():
    operation = one(CHANGE)
    assert (operation.action, operation.code, operation.raw) == ("field.update", "e1", {})
    assert operation.changes == [Change("salary", "90000", "120000")]
    assert (operation.object_type, operation.object_id) == ("employee", "55")
    assert operation.fields == {
        "observer.vendor": "Acme",
        "observer.product": "HR Portal",
        "observer.version": "3.1",
        "user.name": "kim",
        "source.ip": "192.0.2.10",
    }
    assert one(CHANGE.replace("120000", "90000")).no_change is True


@pytest.mark.parametrize("given", ["^", "x5E", "0x5e"])
def test_leef_2_names_its_separator(given):
    operation = one(f"LEEF:2.0|Acme|P|1|e1|{given}|usrName=kim^src=192.0.2.1")
    assert (operation.fields["user.name"], operation.fields["source.ip"]) == ("kim", "192.0.2.1")


@pytest.mark.parametrize("head", ["LEEF:2.0|Acme|P|1|e1|", "LEEF:2.0|Acme|P|1|e1||", ONE])
@pytest.mark.parametrize("tab", ["\t", "#011", "<009>", "\\x09"])
def test_without_one_it_is_a_tab_however_that_is_written(head, tab):
    operation = one(f"{head}usrName=kim{tab}src=192.0.2.1")
    assert (operation.fields["user.name"], operation.fields["source.ip"]) == ("kim", "192.0.2.1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a=1^b=x=y^c=", {"a": "1", "b": "x=y", "c": ""}),
        ("a=1^2^b=3", {"a": "1^2", "b": "3"}),
        ("lead^a=1^a=2", {"attributes": "lead", "a": ["1", "2"]}),
    ],
)
def test_attributes_are_read_one_by_one(text, found):
    assert pairs(text, "^") == found


@pytest.mark.parametrize(
    ("clock", "pattern", "time"),
    [
        ("1773150936123", None, Time(1773150936123, "epoch_ms")),
        ("Mar 10 2026 13:55:36", None, Time("Mar 10 2026 13:55:36", "rfc3164")),
        ("Mar 10 2026 13:55:36", "MMM dd yyyy HH:mm:ss", Time("Mar 10 2026 13:55:36", "%b %d %Y %H:%M:%S")),
        ("2026-03-10T13:55:36.123+0100", "yyyy-MM-dd'T'HH:mm:ss.SSSZ", Time("2026-03-10T13:55:36.123+0100", "%Y-%m-%dT%H:%M:%S.%f%z")),
        ("10.03.2026 01:55 PM", "dd.MM.yyyy hh:mm a", Time("10.03.2026 01:55 PM", "%d.%m.%Y %I:%M %p")),
        ("2026-03-10", "QQQ", Time("2026-03-10")),
    ],
)  # fmt: skip
def test_times_are_read_in_the_form_that_the_line_gives(clock, pattern, time):
    more = f"\tdevTimeFormat={pattern}" if pattern else ""
    assert one(f"{ONE}devTime={clock}{more}").time == time


@pytest.mark.parametrize(
    ("attributes", "action", "outcome"),
    [
        ("usrName=kim\tisLoginEvent=true\tcat=failed", "auth.login", "failure"),
        ("usrName=kim\tisLogoutEvent=true", "auth.logout", None),
        ("usrName=kim\taction=download", "file.download", None),
        ("usrName=kim\taction=block\toutcome=success", "log.message", "success"),
    ],
)
def test_events_become_our_actions(attributes, action, outcome):
    operation = one(ONE + attributes)
    assert (operation.action, operation.outcome) == (action, outcome)


def test_secrets_are_dropped():
    operation = one(
        CHANGE.replace("salary", "password").replace("90000", "hunter2") + "\tpassword=hunter2\tmsg=--token=hunter2"
    )
    assert operation.changes == [Change("password", SECRET, SECRET)]
    assert "hunter2" not in repr(operation)


@pytest.mark.parametrize("line", ["LEEF:1.0|A|P|1", "LEEF:3.0|A|P|1|e|a=1", "he said " + ONE, "CEF:0|A|P|1|1|n|5|", ""])
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 150), st.binary(max_size=6))
def test_a_damaged_line_yields_a_sound_result(at, piece):
    data = ("Mar 10 13:55:36 gw1 " + CHANGE).encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
