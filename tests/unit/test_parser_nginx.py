"""The format nginx: a line is read to the field, read the same on both paths, and cannot be forged by what clients send."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time
from parsers.nginx import _unusual, _usual, parse
from shipper.formats import Formats

CTX = Context()
GOLDEN = Path(__file__).parents[1] / "golden" / "nginx"
LINE = (
    '203.0.113.7 - alice [10/Mar/2026:13:55:36 +0000] "GET /path?x=1 HTTP/1.1" 200 2326 "https://ref.example/" "curl/8"'
)


def one(line):
    found = parse(line.encode() if isinstance(line, str) else line, CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def written(text):
    r"""As nginx writes a variable: quotes, backslashes and bytes outside printable ASCII as `\xHH`."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in {34, 92} else f"\\x{byte:02X}" for byte in text.encode()
    )


def test_the_combined_format_is_read_in_full():
    operation = one(LINE)
    assert (operation.action, operation.kind, operation.outcome) == ("http.request", "access", "success")
    assert operation.time == Time("10/Mar/2026:13:55:36 +0000", "clf")
    assert operation.message == "GET /path?x=1 HTTP/1.1"
    assert (operation.raw, operation.values, operation.changes) == ({}, {}, [])
    assert operation.fields == {
        "source.ip": "203.0.113.7",
        "user.name": "alice",
        "trail.actor.basis": "basic authentication",
        "http.request.method": "GET",
        "url.original": "/path?x=1",
        "url.path": "/path",
        "url.query": "x=1",
        "http.version": "1.1",
        "http.response.status_code": 200,
        "http.response.body.bytes": 2326,
        "http.request.referrer": "https://ref.example/",
        "user_agent.original": "curl/8",
    }


def test_a_dash_is_no_value():
    fields = one('203.0.113.7 - - [10/Mar/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 - "-" "-"').fields
    assert set(fields) == {
        "source.ip",
        "http.request.method",
        "url.original",
        "url.path",
        "http.version",
        "http.response.status_code",
    }


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("101", "success"),
        ("200", "success"),
        ("304", "success"),
        ("400", "failure"),
        ("499", "failure"),
        ("503", "failure"),
        ("000", "unknown"),
        ("999", "unknown"),
    ],
)
def test_the_outcome_follows_the_status(status, outcome):
    assert one(LINE.replace(" 200 ", f" {status} ")).outcome == outcome


def test_a_status_that_is_none_stays_in_raw():
    operation = one(LINE.replace(" 200 ", " 000 "))
    assert operation.raw == {"status": "000"}
    assert "http.response.status_code" not in operation.fields


def test_a_name_that_was_refused_says_nothing_about_the_actor():
    accepted, refused = one(LINE), one(LINE.replace(" 200 ", " 401 "))
    assert (accepted.actor_type, accepted.actor_confidence) == ("user", "inferred")
    assert (refused.actor_type, refused.actor_confidence) == ("unknown", "unknown")
    assert refused.fields["user.name"] == "alice"


@pytest.mark.parametrize(
    ("client", "fields"),
    [
        ("2001:db8::1", {"source.ip": "2001:db8::1"}),
        ("2001:DB8:0::1", {"source.ip": "2001:db8::1", "source.address": "2001:DB8:0::1"}),
        ("::ffff:192.0.2.1", {"source.ip": "192.0.2.1", "source.address": "::ffff:192.0.2.1"}),
        ("client.example", {"source.address": "client.example", "source.domain": "client.example"}),
        ("unix:", {"source.address": "unix:"}),
        ("256.0.0.1", {"source.address": "256.0.0.1"}),
        ("192.0.2.01", {"source.address": "192.0.2.01"}),
        ("a:b:c:d", {"source.address": "a:b:c:d"}),
    ],
)
def test_clients_are_addresses_names_or_neither(client, fields):
    found = one(LINE.replace("203.0.113.7", client)).fields
    assert {name: value for name, value in found.items() if name.startswith("source.")} == fields


@pytest.mark.parametrize(
    ("request_line", "method", "url", "version"),
    [
        ("GET /a b HTTP/1.1", "GET", "/a b", "1.1"),
        ("GET /a HTTP/1.1 HTTP/1.0", "GET", "/a HTTP/1.1", "1.0"),
        ("GET /x HTTP/2", "GET", "/x", "2"),
        ("GET /old", "GET", "/old", None),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", "1.1"),
        ("hello world", None, None, None),
        ("-", None, None, None),
        (r"\x16\x03\x01", None, None, None),
        ("GET  HTTP/1.1", None, None, None),
    ],
)
def test_request_lines_are_taken_apart_only_where_they_are_request_lines(request_line, method, url, version):
    operation = one(LINE.replace("GET /path?x=1 HTTP/1.1", request_line))
    found = operation.fields
    assert operation.message == request_line
    assert (found.get("http.request.method"), found.get("url.original"), found.get("http.version")) == (
        method,
        url,
        version,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"/caf\xC3\xA9", "/café"),
        (r"/\x22x\x22", '/"x"'),
        (r"/\xFF", r"/\xFF"),
        (r"/\x5Cx41", r"/\x5Cx41"),
        (r"/\x0A203.0.113.99", r"/\x0A203.0.113.99"),
        (r"/\xE2\x80\xAE", r"/\xE2\x80\xAE"),
    ],
)
def test_escapes_are_undone_where_that_is_readable_and_can_be_read_in_one_way(text, expected):
    assert one(LINE.replace("/path?x=1", text)).fields["url.original"] == expected
    assert one(LINE.replace("curl/8", text)).fields["user_agent.original"] == expected


def test_a_list_of_addresses_behind_the_user_agent_is_the_forwarded_client():
    operation = one(f'{LINE} "198.51.100.9, 2001:db8::9"')
    assert operation.fields["network.forwarded_ip"] == "2001:db8::9"
    assert operation.raw == {"x_forwarded_for": "198.51.100.9, 2001:db8::9"}
    assert one(f'{LINE} "198.51.100.9"').raw == {}
    assert one(f'{LINE} "-"').raw == {}


@pytest.mark.parametrize(
    ("extra", "raw", "duration"),
    [
        (' "10.0.0.5:8080"', {"extra": '"10.0.0.5:8080"'}, None),
        (" 0.005 0.004 .", {"extra": "0.005 0.004 ."}, None),
        (' rt=0.005 uct="0.001"', {"uct": "0.001"}, 5_000_000),
        (" request_time=61.250", {}, 61_250_000_000),
        (" rt=-", {"rt": "-"}, None),
        (" rt=1.000 rt=2.000", {"rt": ["1.000", "2.000"]}, None),
        (" extra=1 x=2", {"extra": "extra=1 x=2"}, None),
        (' "-" host="a b" tail', {"host": "a b", "extra": "tail"}, None),
    ],
)
def test_what_stands_behind_the_user_agent_is_read_by_name_or_kept(extra, raw, duration):
    operation = one(LINE + extra)
    assert operation.raw == raw
    assert operation.fields.get("event.duration") == duration


@pytest.mark.parametrize("case", ["normal", "edge", "hostile"])
def test_the_quick_path_says_what_the_thorough_one_says(case):
    quick = 0
    for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n"):
        text = line.decode(errors="backslashreplace")
        if _usual(text):
            quick += 1
            assert parse(line, CTX) == _unusual(text)
    assert quick


PIECES = st.sampled_from(
    [
        "203.0.113.7",
        "::1",
        "x",
        "-",
        " ",
        " - ",
        "[",
        "] ",
        '"',
        "\\",
        "\\x22",
        "GET ",
        "get /",
        "/",
        "?",
        " HTTP/1.1",
        "200",
        "000",
        "10/Mar/2026:13:55:36 +0000",
        "é",
        "=",
        "rt=0.001",
        ",",
        "a.example",
        '" "',
        '] "',
    ]
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(PIECES, max_size=3).map("".join),
    st.lists(PIECES, max_size=4).map("".join),
    st.lists(PIECES, max_size=4).map("".join),
    st.lists(PIECES, max_size=5).map("".join),
)
def test_the_quick_path_says_what_the_thorough_one_says_of_any_line(client, user, request_line, extra):
    text = f'{client} - {user} [10/Mar/2026:13:55:36 +0000] "{request_line}" 200 5 "{user}" "{client}"{extra}'
    if _usual(text):
        assert parse(text.encode(), CTX) == _unusual(text)


CHOSEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        'x" 200 5 "-" "y',
        'a [01/Jan/2020:00:00:00 +0000] "GET /forged HTTP/1.1" 200 1 "-" "-"',
        "a\n203.0.113.99 - root",
        "\\",
        '"',
    ]
)


@settings(max_examples=300, deadline=None)
@given(CHOSEN.filter(lambda text: text.strip(" ") == text and text), CHOSEN, CHOSEN, CHOSEN)
def test_no_text_of_a_client_changes_what_nginx_says_itself(user, path, referrer, agent):
    line = (
        f'203.0.113.7 - {written(user)} [10/Mar/2026:13:55:36 +0000] "GET /{written(path)} HTTP/1.1" 403 153 '
        f'"{written(referrer)}" "{written(agent)}"'
    )
    operation = one(line)
    assert operation.fields["source.ip"] == "203.0.113.7"
    assert operation.fields["http.response.status_code"] == 403
    assert operation.fields["http.response.body.bytes"] == 153
    assert operation.time == Time("10/Mar/2026:13:55:36 +0000", "clf")
    assert operation.outcome == "failure"
    assert operation.raw == {}
    assert operation.fields["url.original"] in {f"/{path}", f"/{written(path)}"}
    if user != "-":
        assert operation.fields["user.name"] in {user, written(user)}


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.7 - a" + " [x" * 30_000,
        "203.0.113.7 - a" + " [x" * 30_000 + '] "GET / HTTP/1.1" 200 5 "-" "-"',
        '203.0.113.7 - - [10/Mar/2026:13:55:36 +0000] "' + "\\x" * 50_000,
        '203.0.113.7 - - [10/Mar/2026:13:55:36 +0000] "' + "GET /a HTTP/1.1 " * 6_000 + '" 200 5 "-" "-"',
        LINE + ' "' + "1.1.1.1, " * 10_000 + '"',
        LINE + " a=" * 30_000,
        "1." * 50_000,
        "a:" * 50_000,
    ],
)
def test_long_hostile_lines_take_no_longer_than_long_lines(line):
    data = line.encode()
    best = 1.0
    for _ in range(3):
        start = time.perf_counter()
        parse(data, CTX)
        best = min(best, time.perf_counter() - start)
    assert best < 0.1


def test_auto_knows_the_format():
    assert Formats().decide((GOLDEN / "normal.log").read_bytes(), CTX) == "nginx"
