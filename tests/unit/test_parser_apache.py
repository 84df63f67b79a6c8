"""The format apache: access lines of all three shapes and the error log, and neither can be forged by a client."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time, nginx
from parsers.apache import LITERALS, parse
from shipper.formats import Formats
from tests.parser_checks import assert_sound

CTX = Context()
COMBINED = (
    '203.0.113.7 - alice [10/Mar/2026:13:55:36 +0000] "GET /p?x=1 HTTP/1.1" 200 26 "https://ref.example/" "curl/8"'
)
COMMON = '203.0.113.7 - - [10/Mar/2026:13:55:36 +0000] "GET /p HTTP/1.1" 404 -'
ERROR = "[Tue Mar 10 13:55:39.123456 2026] [auth_basic:error] [pid 47:tid 14] [client 203.0.113.7:40022] "
FAILED = ERROR + 'AH01617: user alice: authentication failure for "/admin": Password Mismatch'


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_a_combined_line_gives_what_nginx_gives():
    assert parse(COMBINED.encode(), CTX) == nginx.parse(COMBINED.encode(), CTX)


def test_a_common_line_has_neither_referrer_nor_agent():
    operation = one(COMMON)
    assert operation.outcome == "failure"
    assert operation.time == Time("10/Mar/2026:13:55:36 +0000", "clf")
    assert operation.fields == {
        "source.ip": "203.0.113.7",
        "http.request.method": "GET",
        "url.original": "/p",
        "url.path": "/p",
        "http.version": "1.1",
        "http.response.status_code": 404,
    }


@pytest.mark.parametrize(
    ("vhost", "domain", "port"),
    [
        ("www.shop.example:443", "www.shop.example", 443),
        ("192.0.2.80:80", "192.0.2.80", 80),
        ("[2001:db8::80]:80", "[2001:db8::80]", 80),
    ],
)
def test_a_virtual_host_in_front_is_the_urls(vhost, domain, port):
    fields = one(f"{vhost} {COMMON}").fields
    assert (fields["url.domain"], fields["url.port"], fields["source.ip"]) == (domain, port, "203.0.113.7")


def test_a_client_of_ipv6_is_no_virtual_host():
    fields = one(COMMON.replace("203.0.113.7", "2001:db8::1")).fields
    assert fields["source.ip"] == "2001:db8::1" and "url.domain" not in fields


def test_a_name_from_identd_is_kept():
    assert one(COMBINED.replace(" - alice", " kimpc alice")).raw == {"ident": "kimpc"}


def test_escaped_quotes_in_a_user_name_do_not_open_a_request():
    name = r"a [01/Jan/2020:00:00:00 +0000] \"GET /forged HTTP/1.1\" 200 1"
    operation = one(COMBINED.replace("alice", name))
    assert operation.fields["url.path"] == "/p"
    assert operation.fields["user.name"] == name.replace("\\", "")


def test_a_failed_basic_authentication_is_a_failed_login():
    operation = one(FAILED)
    assert (operation.action, operation.outcome, operation.code) == ("auth.login", "failure", "AH01617")
    assert (operation.actor_type, operation.kind) == ("unknown", "error")
    assert operation.time == Time("Tue Mar 10 13:55:39.123456 2026", "%a %b %d %H:%M:%S.%f %Y")
    assert operation.fields == {
        "log.level": "error",
        "log.logger": "auth_basic",
        "process.pid": 47,
        "process.thread.id": 14,
        "source.ip": "203.0.113.7",
        "source.port": 40022,
        "event.reason": "password mismatch",
        "user.name": "alice",
    }


def test_a_name_that_holds_our_words_gives_no_name():
    assert "user.name" not in one(FAILED.replace("alice", "root: authentication failure for x")).fields


@pytest.mark.parametrize(
    ("client", "address", "port"),
    [
        ("203.0.113.7:1", "203.0.113.7", 1),
        ("[2001:db8::1]:40022", "2001:db8::1", 40022),
        ("2001:db8::1:4002", "2001:db8::1", 4002),
    ],
)
def test_the_client_of_a_message_has_a_port(client, address, port):
    fields = one(FAILED.replace("203.0.113.7:40022", client)).fields
    assert (fields["source.ip"], fields["source.port"]) == (address, port)


def test_the_older_error_log_has_no_port():
    operation = one(
        "[Tue Mar 10 13:55:44 2026] [error] [client 2001:db8::1:4002] File does not exist: /x, referer: https://ref.example/"
    )
    assert operation.fields["source.ip"] == "2001:db8::1:4002"
    assert operation.fields["http.request.referrer"] == "https://ref.example/"
    assert operation.message == "File does not exist: /x"


def test_the_systems_error_is_kept_wherever_it_stands():
    for line in (
        "[Tue Mar 10 13:55:41.1 2026] [core:error] [pid 1] (13)Permission denied: [client 203.0.113.7:1] AH00035: no",
        "[Tue Mar 10 13:55:41.1 2026] [core:error] [pid 1] [client 203.0.113.7:1] (13)Permission denied: AH00035: no",
    ):
        operation = one(line)
        assert (operation.fields["error.code"], operation.fields["error.message"]) == ("13", "Permission denied")
        assert (operation.code, operation.message) == ("AH00035", "no")


@pytest.mark.parametrize(
    "line",
    [
        COMMON[:-5],
        COMMON.replace(" - - ", " "),
        '203.0.113.7 - - [10/Mar/2026:13:55:36 +0000] "GET /"x" HTTP/1.1" 200 5',
        "[Tue Mar 10 13:55:44 2026] [loud] hello",
        '{"a":1}',
        "",
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


def test_auto_takes_nginx_for_combined_lines_and_apache_for_all_others():
    formats = Formats()
    assert formats.judge(f"{COMBINED}\n".encode(), CTX).format == "nginx"
    for line in (COMMON, f"www.shop.example:80 {COMBINED}", FAILED):
        assert formats.judge(f"{line}\n".encode() * 2, CTX).format == "apache"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([COMBINED, COMMON, FAILED]), st.integers(0, 150), st.binary(max_size=6))
def test_a_damaged_line_yields_a_sound_result(line, at, piece):
    data = line.encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in (COMBINED, COMMON, FAILED):
        assert any(literal in line.encode() for literal in LITERALS)


def test_an_empty_name_stands_in_two_bare_quotes():
    operation = one('203.0.113.7 - "" [10/Mar/2026:13:55:36 +0000] "GET /private HTTP/1.1" 401 421')
    assert (operation.raw, operation.actor_type, operation.outcome) == ({"user": ""}, "unknown", "failure")
    assert "user.name" not in operation.fields


@pytest.mark.parametrize(
    "line",
    [
        '203.0.113.7 - "" "" [10/Mar/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5',
        '203.0.113.7 - ""x [10/Mar/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5',
        '203.0.113.7 - "" [10/Mar/2026:13:55:36 +0000]',
    ],
)
def test_no_other_bare_quote_before_the_request_is_accepted(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


@pytest.mark.parametrize("number", ["AH00169", "AH00295", "AH00491"])
def test_each_processing_module_says_by_a_number_of_its_own_that_the_server_stops(number):
    assert one(f"[Tue Mar 10 13:55:43.1 2026] [mpm_x:notice] [pid 1:tid 1] {number}: caught SIGTERM").action == (
        "service.stop"
    )


def test_a_message_for_debugging_has_its_place_in_the_source_before_the_client():
    line = "[Tue Mar 10 13:55:39.1 2026] [authz_core:debug] [pid 1:tid 2] mod_authz_core.c(815): [client ::1:4022] "
    operation = one(f"{line}AH01626: granted")
    assert (operation.code, operation.message, operation.fields["source.ip"]) == ("AH01626", "granted", "::1")
    assert operation.fields["log.origin.file.name"] == "mod_authz_core.c"
    assert operation.fields["log.origin.file.line"] == 815


def test_a_server_behind_the_proxy_is_no_client():
    operation = one("[Tue Mar 10 13:55:39.1 2026] [proxy:error] [pid 1:tid 2] [remote 192.0.2.1:8080] AH01102: x")
    assert (operation.fields["destination.ip"], operation.fields["destination.port"]) == ("192.0.2.1", 8080)
    assert "source.ip" not in operation.fields


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("AH01794: user kim: password mismatch: /x", "kim"),
        ("AH01791: user `kim' in realm `r' denied by provider: /x", "kim"),
        ("AH01808: user 'kim' not found: /x", "kim"),
        ("AH01618: user  not found: /x", None),
    ],
)
def test_the_name_of_each_kind_of_failed_login_is_read(message, name):
    operation = one(ERROR + message)
    assert (operation.action, operation.outcome, operation.fields.get("user.name")) == ("auth.login", "failure", name)


def test_escapes_are_undone_in_messages_too():
    assert one(ERROR + r"AH00128: File does not exist: /gr\xc3\xb6\xc3\x9fe").message.endswith("/größe")
