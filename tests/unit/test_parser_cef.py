"""The format cef: header and extension with their escapes, labelled values, and what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import SECRET, UNKNOWN, Change, Context, Rejected, Time
from parsers.cef import pairs, parse
from tests.parser_checks import assert_sound

CTX = Context()
HEAD = "CEF:0|Acme|HR Portal|3.1|e1|Something|5|"
CHANGE = (
    "rt=1773150936123 suser=kim suid=7 src=192.0.2.10 externalId=ev-1 cs1Label=Field cs1=salary cs2Label=Old Value"
    " cs2=90000 cs3Label=New Value cs3=120000 cs4Label=Object Type cs4=employee cs5Label=Object ID cs5=55"
)


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_labelled_values_make_a_change():
    operation = one(HEAD + CHANGE)
    assert (operation.action, operation.code, operation.id) == ("field.update", "e1", "ev-1")
    assert operation.changes == [Change("salary", "90000", "120000")]
    assert (operation.object_type, operation.object_id) == ("employee", "55")
    assert operation.time == Time(1773150936123, "epoch_ms")
    assert operation.raw == {}
    assert operation.fields == {
        "observer.vendor": "Acme",
        "observer.product": "HR Portal",
        "observer.version": "3.1",
        "event.severity": 5,
        "user.name": "kim",
        "user.id": "7",
        "source.ip": "192.0.2.10",
    }


@pytest.mark.parametrize(
    ("extension", "change"),
    [
        ("cs1Label=New Value cs1=x cs2Label=Attribute cs2=title", Change("title", UNKNOWN, "x", derivation="new_only")),
        ("cs1Label=old_value cs1=x", Change("value", "x", UNKNOWN, derivation="new_only")),
        ("cs1Label=Old Value cs1= cs2Label=New Value cs2=x", Change("value", "", "x")),
    ],
)
def test_a_side_that_is_not_there_is_unknown(extension, change):
    assert one(HEAD + extension).changes == [change]


def test_a_value_that_stayed_is_no_change():
    assert one(HEAD + CHANGE.replace("120000", "90000")).no_change is True


def test_secrets_are_dropped_from_changes_labels_and_texts():
    operation = one(
        HEAD + CHANGE.replace("salary", "password").replace("90000", "hunter2").replace("120000", "hunter22")
        + " cs6Label=API Key cs6=hunter2 token=hunter2 msg=run --password\\=hunter2"
    )  # fmt: skip
    assert operation.changes == [Change("password", SECRET, SECRET)]
    assert "hunter2" not in repr(operation)


def test_escapes_are_undone_once():
    operation = one(r"CEF:0|A\|c|P\\|1|e|n|5|msg=a\=b\nc \\n d")
    assert (operation.fields["observer.vendor"], operation.fields["observer.product"]) == ("A|c", "P\\")
    assert operation.message == "a=b\nc \\n d"


@pytest.mark.parametrize(
    ("extension", "found"),
    [
        ("", {}),
        ("a=1 b=two words c=", {"a": "1", "b": "two words", "c": ""}),
        ("a=1 a=2", {"a": ["1", "2"]}),
        ("words a=1", {"extension": "words", "a": "1"}),
        ("a=x=y b=2", {"a": "x=y", "b": "2"}),
        ("ad.user[0].name=kim", {"ad.user[0].name": "kim"}),
        (r"a=b\=c d\=e f=1", {"a": "b=c d=e", "f": "1"}),
    ],
)
def test_an_extension_is_read_key_by_key(extension, found):
    assert pairs(extension) == found


@pytest.mark.parametrize(
    ("line", "action", "outcome"),
    [
        ("CEF:0|A|P|1|1|Login|5|suser=kim outcome=success", "auth.login", "success"),
        ("CEF:0|A|P|1|1|x|5|act=export suser=kim", "data.export", None),
        ("CEF:0|A|P|1|user.create|x|5|suser=kim", "user.create", None),
        ("CEF:0|A|P|1|1|Blocked|5|act=blocked", "log.message", None),
    ],
)
def test_plain_words_and_our_own_names_become_actions(line, action, outcome):
    operation = one(line)
    assert (operation.action, operation.outcome) == (action, outcome)


def test_whom_a_failed_login_was_for_is_no_actor():
    operation = one("CEF:0|A|P|1|1|Login|5|duser=root outcome=failed")
    assert (operation.fields["user.name"], operation.actor_type) == ("root", "unknown")
    assert "user.target.name" not in operation.fields


@pytest.mark.parametrize(
    ("head", "time"),
    [
        ("Mar 10 13:55:36 fw1 ", Time("Mar 10 13:55:36", "rfc3164")),
        ("<134>1 2026-03-10T13:55:36Z fw1 app 1 ID - ", Time("2026-03-10T13:55:36Z")),
        ("<13>", None),
        ("<13>Mar 10 13:55:36 ", Time("Mar 10 13:55:36", "rfc3164")),
        ("", None),
    ],
)
def test_a_syslog_header_may_stand_before_it(head, time):
    operation = one(head + HEAD + "suser=kim")
    assert (operation.fields["user.name"], operation.time) == ("kim", time)


@pytest.mark.parametrize("line", ["CEF:0|A|P|1|1|n", "CEF:9|A|P|1|1|n|5|", "he said " + HEAD, "<999>" + HEAD, ""])
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 250), st.binary(max_size=6))
def test_a_damaged_line_yields_a_sound_result(at, piece):
    data = ("Mar 10 13:55:36 fw1 " + HEAD + CHANGE).encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
