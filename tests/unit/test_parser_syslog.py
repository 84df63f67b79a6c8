"""The format syslog and the text helpers below it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time
from parsers._text import key_values, syslog_header, unescape
from parsers.syslog import parse, unwrap

CTX = Context()


def one(line):
    found = parse(line, CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_rfc_5424_is_read_in_full():
    line = b'<38>1 2026-02-03T10:30:00.123Z web1 hr-app 4711 LOGIN [meta@32473 seq="7"][x@1 a="b"] \xef\xbb\xbfkim logged in'
    operation = one(line)
    assert (operation.action, operation.kind, operation.code) == ("log.message", "log", "LOGIN")
    assert operation.time == Time("2026-02-03T10:30:00.123Z")
    assert operation.message == "kim logged in"
    assert operation.fields == {
        "log.syslog.priority": 38,
        "log.syslog.facility.code": 4,
        "log.syslog.facility.name": "auth",
        "log.syslog.severity.code": 6,
        "log.syslog.severity.name": "informational",
        "log.level": "info",
        "log.syslog.version": "1",
        "log.syslog.hostname": "web1",
        "host.hostname": "web1",
        "log.syslog.appname": "hr-app",
        "process.name": "hr-app",
        "log.syslog.procid": "4711",
        "process.pid": 4711,
        "log.syslog.msgid": "LOGIN",
        "log.syslog.structured_data": {"meta@32473": {"seq": "7"}, "x@1": {"a": "b"}},
    }


def test_nil_values_are_absent():
    operation = one(b"<13>1 - - - - - -")
    assert operation.time is None and operation.message == "" and operation.code is None
    assert set(operation.fields) == {
        "log.level",
        "log.syslog.version",
        "log.syslog.priority",
        "log.syslog.facility.code",
        "log.syslog.facility.name",
        "log.syslog.severity.code",
        "log.syslog.severity.name",
    }


def test_structured_data_is_unescaped_as_the_rfc_says_and_repeats_make_lists():
    envelope = unwrap(rb'1 - h a p m [a@1 q="\"\]\\" n="\n" ip="1" ip="2" ip="3"] m', CTX)
    assert envelope.structured == {"a@1": {"q": '"]\\', "n": "\\n", "ip": ["1", "2", "3"]}}
    assert envelope.message == b"m"


def test_rfc_3164_is_read_with_and_without_priority():
    for line, priority in (
        (b"<34>Feb  3 10:30:02 web1 su[231]: failed", 34),
        (b"Feb  3 10:30:02 web1 su[231]: failed", None),
    ):
        operation = one(line)
        assert operation.time == Time("Feb  3 10:30:02", "rfc3164")
        assert operation.fields.get("log.syslog.priority") == priority
        assert (operation.fields["host.hostname"], operation.fields["process.name"]) == ("web1", "su")
        assert (operation.fields["process.pid"], operation.message) == (231, "failed")


@pytest.mark.parametrize(
    ("line", "host", "app", "procid", "message"),
    [
        (b"Feb  3 10:30:02 web1 last message repeated 2 times", "web1", None, None, b"last message repeated 2 times"),
        (b"<13>Feb  3 10:30:02 app[1]: no host", None, "app", "1", b"no host"),
        (b"<13>Feb  3 10:30:02 app: no host", None, "app", None, b"no host"),
        (b"Feb  3 10:30:02 web1 kernel: [ 1.5] up", "web1", "kernel", None, b"[ 1.5] up"),
        (b"Feb  3 10:30:02 2001:db8::1 Foo::Bar[7]: x", "2001:db8::1", "Foo::Bar", "7", b"x"),
        (b"Feb  3 10:30:02 web1 postfix/smtpd[9]:", "web1", "postfix/smtpd", "9", b""),
        (b"Feb  3 10:30:02 web1", "web1", None, None, b""),
        (b"2026-02-03T10:30:02.5+01:00 web1 CRON[9]: (root) CMD", "web1", "CRON", "9", b"(root) CMD"),
        (b"<13>2026-02-03T10:30:02Z web1 no tag", "web1", None, None, b"no tag"),
    ],
)
def test_host_and_program_are_told_apart(line, host, app, procid, message):
    envelope = unwrap(line, CTX)
    assert (envelope.host, envelope.app, envelope.procid, envelope.message) == (host, app, procid, message)


def test_a_sender_named_by_address_is_an_address():
    operation = one(b"<13>Feb  3 10:30:02 192.0.2.1 app: x")
    assert operation.fields["host.ip"] == ["192.0.2.1"]
    assert "host.hostname" not in operation.fields


def test_bytes_that_are_no_text_stay_visible():
    assert one(b"Feb  3 10:30:02 web1 app: M\xfcller").message == "M\\xfcller"


def test_a_process_id_that_is_no_number_is_no_pid():
    for procid in (b"main", b"99999999999", b"-"):
        assert "process.pid" not in one(b"<13>1 - h a " + procid + b" m - x").fields


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<192>1 - - - - - -",
        b"<>Feb  3 10:30:02 web1 app: x",
        b"<13>hello",
        b'<13>1 - - - - - [a@1 x="1"',
        b'<13>1 - - - - - [a@1 x="1"]y',
        b"<13>1 - - - -",
        b"2026-02-03T10:30:00Z INFO started",
        b"2026-02-03T10:30:00Z ERROR app: failed",
        b'2026-02-03T10:30:00Z {"a":1}',
        b"Feb  3 10:30:02 ",
        b"plain text",
        b'{"event":"x"}',
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line, CTX), Rejected)


def sd_escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).filter(lambda t: t != "-")
SD_NAMES = st.text(st.sampled_from("abcXYZ019@._"), min_size=1, max_size=10)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 191),
    st.tuples(TOKENS, TOKENS, TOKENS, TOKENS),
    st.dictionaries(SD_NAMES, st.dictionaries(SD_NAMES, st.text(max_size=10), max_size=3), max_size=3),
    st.text(max_size=30).filter(lambda t: not t.startswith("\ufeff")),
)
def test_any_rfc_5424_line_is_read_back(priority, tokens, structured, message):
    elements = "".join(
        "[" + " ".join([name, *(f'{key}="{sd_escaped(value)}"' for key, value in values.items())]) + "]"
        for name, values in structured.items()
    )
    line = f"<{priority}>1 2026-02-03T10:30:00Z {' '.join(tokens)} {elements or '-'} {message}"
    header = syslog_header(line.encode())
    assert not isinstance(header, Rejected)
    assert (header.priority, header.structured, header.message) == (priority, structured, message.encode())
    assert (header.host, header.app, header.procid, header.msgid) == tokens


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60).filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t)))
def test_unescape_undoes_what_json_escapes_once(text):
    assert unescape(json.dumps(text)[1:-1]) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\nb", "a\nb"),
        (r"a\\nb", r"a\nb"),
        (r"\x4d\xc3\xbcller", "Müller"),
        (r"\xfc", r"\xfc"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d", r"\ud83d"),
        (r"\q", r"\q"),
        ("end\\", "end\\"),
    ],
)
def test_unescape_replaces_each_escape_once(text, expected):
    assert unescape(text) == expected


def test_key_values_splits_pairs_from_text():
    pairs, rest = key_values('login ok user=kim ip=192.0.2.7, note="was \\"open\\", ok" n= user=lee user=max')
    assert pairs == {"user": ["kim", "lee", "max"], "ip": "192.0.2.7", "note": 'was "open", ok', "n": ""}
    assert rest == "login ok"


def test_key_values_leaves_what_is_no_pair():
    assert key_values('a="open') == ({}, 'a="open')
    assert key_values("") == ({}, "")
    assert key_values("=x y") == ({}, "=x y")
