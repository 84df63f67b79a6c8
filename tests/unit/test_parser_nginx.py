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
from tests.parser_checks import assert_sound

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
    assert Formats().judge((GOLDEN / "normal.log").read_bytes(), CTX).format == "nginx"


# -- the error log ----------------------------------------------------------------------------------------------------

HEAD = "2026/02/03 10:30:00 [error] 123#124: *45 "
PARTIES = ", client: 192.0.2.1, server: www.shop.example"
TAIL = (
    f'{PARTIES}, request: "GET /admin/?a=1 HTTP/1.1", host: "www.shop.example:8443", referrer: "https://ref.example/"'
)


def test_a_line_of_the_error_log_is_read_in_full():
    operation = one(f'{HEAD}open() "/srv/x" failed (2: No such file or directory){TAIL}')
    assert (operation.action, operation.kind, operation.outcome) == ("log.message", "error", None)
    assert operation.time == Time("2026/02/03 10:30:00", "%Y/%m/%d %H:%M:%S")
    assert operation.message == 'open() "/srv/x" failed (2: No such file or directory)'
    assert operation.raw == {"connection": "45"}
    assert operation.fields == {
        "log.level": "error",
        "process.pid": 123,
        "process.thread.id": 124,
        "source.ip": "192.0.2.1",
        "server.domain": "www.shop.example",
        "http.request.method": "GET",
        "url.original": "/admin/?a=1",
        "url.path": "/admin/",
        "url.query": "a=1",
        "http.version": "1.1",
        "url.domain": "www.shop.example",
        "url.port": 8443,
        "http.request.referrer": "https://ref.example/",
    }


@pytest.mark.parametrize(
    ("said", "name", "reason"),
    [
        ('user "kim": password mismatch', "kim", "password mismatch"),
        ('user "a "b" c": password mismatch', 'a "b" c', "password mismatch"),
        ('user "" was not found in "/etc/nginx/.htpasswd"', None, "unknown user"),
        ('user "kim" was not found in "/etc/nginx/.htpasswd"', "kim", "unknown user"),
        ('user "root" was not found in "x" was not found in "/etc/nginx/.htpasswd"', None, "unknown user"),
        ("no user/password was provided for basic authentication", None, "no user and password"),
    ],
)
@pytest.mark.parametrize("tail", [TAIL, f'{TAIL}, client: 198.51.100.66"', ""])
def test_a_refused_login_is_a_failed_login_of_the_name_that_was_given(said, name, reason, tail):
    operation = one(HEAD + said + tail)
    assert (operation.action, operation.outcome) == ("auth.login", "failure")
    assert operation.fields.get("user.name") == name
    assert operation.fields["event.reason"] == reason
    assert operation.fields.get("source.ip") == ("192.0.2.1" if tail else None)
    assert (operation.actor_type, operation.actor_confidence) == ("unknown", "unknown")
    assert operation.message == said


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("access forbidden by rule", "failure"),
        ('limiting requests, excess: 5.720 by zone "one"', "failure"),
        ('limiting connections by zone "one"', "failure"),
        ('limiting requests, dry run, excess: 5.720 by zone "one"', None),
        ('delaying request, excess: 0.5, by zone "one"', None),
        ("upstream timed out (110: Connection timed out) while connecting to upstream", None),
    ],
)
def test_what_was_refused_is_a_failure(said, outcome):
    operation = one(HEAD + said + TAIL)
    assert (operation.action, operation.outcome, operation.message) == ("log.message", outcome, said)


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("nginx/1.22.1", "service.start"),
        ("nginx/1.25.3 (Ubuntu)", "service.start"),
        ("openresty/1.21.4.1", "service.start"),
        ("start worker processes", "log.message"),
        ("signal 15 (SIGTERM) received from 1, exiting", "service.stop"),
        ("signal 2 (SIGINT) received, exiting", "service.stop"),
        ("signal 3 (SIGQUIT) received from 7, shutting down", "service.stop"),
        ("signal 1 (SIGHUP) received from 7, reconfiguring", "log.message"),
        ("signal 17 (SIGCHLD) received from 7", "log.message"),
        ("exiting", "log.message"),
    ],
)
def test_a_start_and_a_stop_are_told_by_lines_that_come_once(said, action):
    assert one(f"2026/02/03 10:30:00 [notice] 7#7: {said}").action == action
    assert one(f"2026/02/03 10:30:00 [notice] 7#7: *5 {said}").action == "log.message"
    assert one(f"2026/02/03 10:30:00 [error] 7#7: {said}").action == "log.message"


@pytest.mark.parametrize(
    "line",
    [
        f'{HEAD}open() "/srv/a, client: 198.51.100.66, server: x" failed{TAIL}',
        f'{HEAD}open() "/srv/a" failed{TAIL}, client: 198.51.100.66"',
        (f'{HEAD}open() "/srv/a, client: 198.51.100.66, server: x' + "x" * 2047)[:2047],
    ],
)
def test_an_address_is_given_only_where_it_can_only_be_the_servers_word(line):
    operation = one(line)
    assert "source.ip" not in operation.fields and "server.domain" not in operation.fields
    assert operation.message == line.removeprefix(HEAD)


@pytest.mark.parametrize(
    "rest",
    [
        'request: "GET /", host: "a", host: "b"',
        'host: "a", request: "GET / HTTP/1.1"',
        'request: "GET / HTTP/1.1", server: x',
        'request: "GET / HTTP/1.1", referrer: "cut',
        'upstream: "10.0.0.5:5432", bytes from/to client:0/0',
        'login: "kim"',
    ],
)
def test_what_can_be_read_in_two_ways_stays_as_it_is(rest):
    operation = one(f"{HEAD}access forbidden by rule{PARTIES}, {rest}")
    assert operation.fields["source.ip"] == "192.0.2.1"
    assert operation.raw == {"connection": "45", "rest": rest}
    assert "url.original" not in operation.fields


def test_nothing_is_unescaped_in_the_error_log():
    operation = one(rf'{HEAD}open() "/srv/\x41" failed{PARTIES}, request: "GET /\x41 HTTP/1.1"')
    assert operation.fields["url.original"] == r"/\x41"


def test_the_parts_of_a_request_that_have_no_field_stay_in_raw():
    tail = ', client: unix:, server: _, request: "", subrequest: "/auth?token=hunter2", upstream: "http://kim:hunter2@10.0.0.5/", host: "a b"'
    operation = one(f"{HEAD}x{tail}")
    assert operation.raw == {
        "connection": "45",
        "server": "_",
        "request": "",
        "subrequest": "/auth?token=(secret dropped)",
        "upstream": "http://kim:(secret dropped)@10.0.0.5/",
        "host": "a b",
    }
    assert operation.fields["source.address"] == "unix:"


def test_secrets_of_headers_and_urls_are_dropped():
    assert "hunter2" not in repr(one('2026/02/03 10:30:00 [debug] 1#1: *1 http header: "Authorization: Basic hunter2"'))
    assert "hunter2" not in repr(one(f'{HEAD}x, client: a, client: b, request: "GET /?password=hunter2 HTTP/1.1"'))
    assert "hunter2" not in repr(
        one(f'{HEAD}x{PARTIES}, request: "GET /?password=hunter2 HTTP/1.1", host: "a", host: "b"')
    )


@pytest.mark.parametrize(
    "line",
    [
        "2026/02/03 10:30:00 [loud] 1#1: x",
        "2026/02/03 10:30:00 [error] x",
        "2026/02/03 10:30:00 saved",
        "2026/02/03 10:30 [error] 1#1: x",
        "2026-02-03 10:30:00 [error] 1#1: x",
    ],
)
def test_other_lines_with_a_time_in_front_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((GOLDEN / "normal_error.log").read_bytes().splitlines()), st.integers(0, 250), st.binary(max_size=6)
)
def test_a_damaged_line_of_the_error_log_yields_a_sound_result(line, at, piece):
    assert_sound(parse(line[:at] + piece + line[at + len(piece) :], CTX))


@settings(max_examples=300, deadline=None)
@given(CHOSEN.map(lambda text: text.partition(":")[0]), CHOSEN, CHOSEN)
def test_no_text_of_a_client_changes_who_was_refused(name, host, referrer):
    line = f'{HEAD}user "{name}": password mismatch{PARTIES}, request: "GET / HTTP/1.1", host: "{host}", referrer: "{referrer}"'
    operation = one(line)
    assert (operation.action, operation.outcome) == ("auth.login", "failure")
    assert operation.fields["source.ip"] == "192.0.2.1"
    assert operation.fields.get("user.name", "") == name


@pytest.mark.parametrize("unit", [", client: ", ', host: "', 'user "', "*1 ", '" was not found in "', "a=", "(secret"])
def test_long_lines_of_the_error_log_take_no_longer_than_long_lines(unit):
    data = f"{HEAD}{PARTIES}{unit * 20_000}".encode()
    best = 1.0
    for _ in range(3):
        start = time.perf_counter()
        parse(data, CTX)
        best = min(best, time.perf_counter() - start)
    assert best < 0.2
