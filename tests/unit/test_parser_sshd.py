"""The format sshd: what a line says is read whatever its header, and a name that a client chose cannot forge a line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time
from parsers.sshd import parse
from shipper.formats import Formats

CTX = Context()
GOLDEN = Path(__file__).parents[1] / "golden" / "sshd"
HEAD = "Mar 10 13:55:36 host sshd[1234]: "
FAILED = "Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2"
KEY = "ED25519 SHA256:Tm90QVJlYWxLZXlKdXN0QVNhbXBsZUZpbmdlcnByaW4"
CLIENT = {"source.ip": "203.0.113.7", "source.port": 40022}


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def said(message):
    """Action, outcome, and the fields that are not the header's."""
    operation = one(HEAD + message)
    assert operation.message == message
    header = {"host.hostname", "process.name", "process.pid"}
    return (
        operation.action,
        operation.outcome,
        {name: value for name, value in operation.fields.items() if name not in header},
    )


def test_a_failed_try_is_read_in_full():
    operation = one(HEAD + FAILED)
    assert (operation.action, operation.kind, operation.outcome) == ("auth.login", "auth", "failure")
    assert operation.code == "Failed password for invalid user"
    assert (operation.actor_type, operation.actor_confidence) == ("unknown", "unknown")
    assert operation.time == Time("Mar 10 13:55:36", "rfc3164")
    assert operation.message == FAILED
    assert (operation.raw, operation.values, operation.changes) == ({}, {}, [])
    assert operation.fields == {
        "host.hostname": "host",
        "process.name": "sshd",
        "process.pid": 1234,
        "user.name": "admin",
        **CLIENT,
    }


def test_a_login_with_a_key_asserts_its_actor_and_keeps_the_key():
    operation = one(f"{HEAD}Accepted publickey for kim from 203.0.113.7 port 40022 ssh2: {KEY}")
    assert (operation.outcome, operation.code) == ("success", "Accepted publickey")
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert operation.raw == {"algorithm": "ED25519", "fingerprint": KEY.partition(" ")[2]}


@pytest.mark.parametrize(
    ("head", "clock", "layout"),
    [
        ("Mar  1 03:05:06 host sshd[1234]: ", "Mar  1 03:05:06", "rfc3164"),
        ("2026-03-10T13:55:36.123456+01:00 host sshd[1234]: ", "2026-03-10T13:55:36.123456+01:00", "iso8601"),
        ("2026-03-10T13:55:36+0000 host sshd-session[1234]: ", "2026-03-10T13:55:36+0000", "iso8601"),
        ("<38>Mar 10 13:55:36 host sshd[1234]: ", "Mar 10 13:55:36", "rfc3164"),
        ("<38>1 2026-03-10T13:55:36Z host sshd 1234 - - ", "2026-03-10T13:55:36Z", "iso8601"),
        ("<38>1 2026-03-10T13:55:36Z host sshd-auth 1234 - - \ufeff", "2026-03-10T13:55:36Z", "iso8601"),
    ],
)
def test_every_header_leads_to_the_same_message(head, clock, layout):
    operation = one(head + FAILED)
    assert operation.time == Time(clock, layout)
    assert operation.message == FAILED
    assert operation.fields["process.pid"] == 1234
    assert operation.fields["host.hostname"] == "host"
    assert operation.fields["source.ip"] == "203.0.113.7"
    assert operation.fields["process.name"].startswith("sshd")


def test_a_priority_and_structured_data_are_kept():
    fields = one('<38>1 2026-03-10T13:55:36Z 192.0.2.1 sshd main ID7 [a@1 x="1"] ' + FAILED).fields
    assert fields["host.ip"] == ["192.0.2.1"]
    assert {name: value for name, value in fields.items() if name.startswith("log.")} == {
        "log.syslog.priority": 38,
        "log.syslog.facility.code": 4,
        "log.syslog.severity.code": 6,
        "log.syslog.version": "1",
        "log.syslog.procid": "main",
        "log.syslog.msgid": "ID7",
        "log.syslog.structured_data": {"a@1": {"x": "1"}},
    }


@pytest.mark.parametrize(
    ("message", "action", "outcome", "fields"),
    [
        ("Postponed publickey for kim from 203.0.113.7 port 40022 ssh2 [preauth]", "auth.login", "unknown", {"user.name": "kim", **CLIENT}),
        ("Invalid user admin from 203.0.113.7 port 40022", "auth.login", "failure", {"user.name": "admin", **CLIENT}),
        ("Invalid user  from 203.0.113.7 port 40022", "auth.login", "failure", CLIENT),
        ("Connection closed by authenticating user kim 203.0.113.7 port 40022 [preauth]", "network.disconnect", None, {"user.name": "kim", **CLIENT}),
        ("Connection reset by 203.0.113.7 port 40022 [preauth]", "network.disconnect", None, CLIENT),
        ("Disconnected from user kim 203.0.113.7 port 40022", "network.disconnect", None, {"user.name": "kim", **CLIENT}),
        ("Received disconnect from 203.0.113.7 port 40022:11: Bye Bye [preauth]", "network.disconnect", None, {"event.reason": "Bye Bye", **CLIENT}),
        ("Connection from 203.0.113.7 port 40022 on 192.0.2.1 port 22", "network.connect", None, {"destination.ip": "192.0.2.1", "destination.port": 22, **CLIENT}),
        ("pam_unix(sshd:session): session opened for user kim(uid=1000) by (uid=0)", "session.start", None, {"user.name": "kim", "user.id": "1000"}),
        ("pam_unix(sshd:session): session closed for user kim", "session.end", None, {"user.name": "kim"}),
        ("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7 ", "log.message", "failure", {"source.ip": "203.0.113.7"}),
        ("Failed password for kim from UNKNOWN port 65535 ssh2", "auth.login", "failure", {"user.name": "kim", "source.port": 65535}),
        ("fatal: mm_answer_sign: sign: broken", "log.message", None, {"log.level": "fatal"}),
        ("Accepted key RSA SHA256:x found at /home/kim/.ssh/authorized_keys:1", "log.message", None, {}),
        ("Failed to allocate internet-domain X11 display socket.", "log.message", None, {}),
        ("Accepted password for kim from 192.0.2.10 po", "log.message", None, {}),
        ("anything else", "log.message", None, {}),
    ],
)  # fmt: skip
def test_messages_become_activities(message, action, outcome, fields):
    assert said(message) == (action, outcome, fields)


def test_only_who_was_let_in_is_an_asserted_actor():
    for message in (
        "Disconnected from user kim 203.0.113.7 port 1",
        "pam_unix(sshd:session): session closed for user kim",
    ):
        assert one(HEAD + message).actor_confidence == "asserted"
    for message in (
        "Disconnected from authenticating user kim 203.0.113.7 port 1",
        "Invalid user kim from 203.0.113.7",
    ):
        assert one(HEAD + message).actor_confidence == "unknown"


def test_a_repeated_message_is_its_message_with_a_count():
    operation = one(f"{HEAD}message repeated 3 times: [ {FAILED}]")
    assert operation.raw == {"repeated": 3}
    assert operation.message == f"message repeated 3 times: [ {FAILED}]"
    assert (operation.action, operation.fields["source.ip"]) == ("auth.login", "203.0.113.7")


def test_lines_of_other_programs_are_refused():
    for line in (GOLDEN / "refused.log").read_bytes().split(b"\n"):
        assert isinstance(parse(line, CTX), Rejected), line


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.lists(
    st.sampled_from(
        ["x", " ", "from", " from ", "192.0.2.1", " port ", "22", " ssh2", ":", " RSA SHA256:abc", " [preauth]", "invalid user ", " from 192.0.2.1 port 22 ssh2", " 192.0.2.1 port 22 [preauth]", " for "]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    NAMES,
    st.sampled_from(
        [
            "Failed password for invalid user {} from 203.0.113.7 port 40022 ssh2",
            "Failed none for invalid user {} from 203.0.113.7 port 40022 ssh2 [preauth]",
            "Invalid user {} from 203.0.113.7 port 40022",
            "Connection closed by invalid user {} 203.0.113.7 port 40022 [preauth]",
            "Connection reset by authenticating user {} 203.0.113.7 port 40022 [preauth]",
            "Disconnected from invalid user {} 203.0.113.7 port 40022 [preauth]",
            "error: maximum authentication attempts exceeded for invalid user {} from 203.0.113.7 port 40022 ssh2 [preauth]",
        ]
    ),
)
def test_whatever_name_a_client_chooses_the_client_is_who_sshd_says(name, message):
    _, _, fields = said(message.format(name))
    assert fields == {**CLIENT, **({"user.name": name} if name else {})}


@settings(max_examples=400, deadline=None)
@given(
    NAMES,
    st.sampled_from(
        [
            "Failed publickey for invalid user {} from 203.0.113.7 port 40022 ssh2: " + KEY,
            "Failed publickey for kim from 203.0.113.7 port 40022 ssh2: ED25519-CERT SHA256:a ID {} (serial 0) CA "
            + KEY,
            "Disconnecting invalid user {} 203.0.113.7 port 40022: Too many authentication failures [preauth]",
            "Received disconnect from 203.0.113.7 port 40022:11: {}",
            "Bad protocol version identification '{}' from 203.0.113.7 port 40022",
        ]
    ),
)
def test_where_two_readings_are_possible_none_is_taken(name, message):
    _, outcome, fields = said(message.format(name))
    assert fields.get("source.ip") in {None, "203.0.113.7"}
    assert outcome in {None, "failure"}
    if "source.ip" in fields and "invalid user {}" in message:
        assert fields.get("user.name", "") == name


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for invalid user " + " from x" * 15_000,
        "Failed password for invalid user " + " from 192.0.2.1 port 22 ssh2" * 4_000 + "!",
        "Failed publickey for x from a port 1 ssh2: " + " from a port 1 ssh2: " * 5_000,
        "Connection closed by invalid user " + "x " * 50_000,
        "Disconnecting user " + "a port 1: " * 10_000,
        "Starting session: x" + " for a from b" * 8_000,
        "pam_unix(sshd:session): session opened for user " + "(uid=1)" * 15_000,
        "pam_" + "a" * 100_000,
        "message repeated 2 times: [ " + "message repeated 2 times: [ " * 4_000,
        "Accepted " + "SHA256:" * 15_000,
    ],
)
def test_long_hostile_lines_take_no_longer_than_long_lines(message):
    data = (HEAD + message).encode()
    best = 1.0
    for _ in range(3):
        start = time.perf_counter()
        parse(data, CTX)
        best = min(best, time.perf_counter() - start)
    assert best < 0.1


def test_auto_knows_the_format():
    assert Formats().judge((GOLDEN / "normal.log").read_bytes(), CTX).format == "sshd"
