"""The format structlog: log lines, and the audit facts bound to them."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from parsers import UNKNOWN, Change, Context, Rejected, Time
from parsers.structlog import parse

CTX = Context()


def one(**members):
    line = {"event": "saved", "level": "info", "timestamp": "2026-02-03T10:30:00Z", **members}
    found = parse(json.dumps(line).encode(), CTX)
    assert not isinstance(found, Rejected)
    (operation,) = found
    return operation


def test_a_line_that_structlog_writes_is_understood_in_full():
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.CallsiteParameterAdder(),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
    )
    try:
        int("bad value")
    except ValueError:
        logger.exception("save failed", user_id=7, changes={"salary": [1, 2]})
    (operation,) = parse(out.getvalue().rstrip("\n").encode(), CTX)
    assert operation.time is not None and operation.time.layout == "iso8601"
    assert operation.fields["log.level"] == "error"
    assert operation.fields["user.id"] == "7"
    assert (operation.fields["error.type"], operation.fields["error.message"]) == (
        "ValueError",
        "invalid literal for int() with base 10: 'bad value'",
    )
    assert operation.fields["log.origin.function"] == "test_a_line_that_structlog_writes_is_understood_in_full"
    assert operation.changes == [Change("salary", 1, 2)]


def test_a_plain_line_is_an_activity_with_the_event_as_message():
    operation = one(logger="hr.api", extra={"a": 1})
    assert (operation.action, operation.message, operation.kind) == ("log.message", "saved", "log")
    assert operation.fields == {"log.level": "info", "log.logger": "hr.api"}
    assert operation.raw == {"extra": {"a": 1}}
    assert (operation.actor_type, operation.actor_confidence) == ("unknown", "unknown")


def test_changes_make_an_update_whose_sentence_is_built():
    operation = one(changes={"salary": [1, 2]}, user_id=7, ip="192.0.2.10", object_type="employee", object_id=55)
    assert operation.action == "field.update"
    assert operation.message is None and operation.raw == {"event": "saved"}
    assert (operation.object_type, operation.object_id) == ("employee", "55")
    assert operation.fields == {"user.id": "7", "source.ip": "192.0.2.10", "log.level": "info"}
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"a": [1, None]}, [Change("a", 1, None)]),
        ({"a": {"old": 1, "new": 2}}, [Change("a", 1, 2)]),
        ({"a": {"from": 1, "to": 2}}, [Change("a", 1, 2)]),
        ({"a": {"new": 2}}, [Change("a", UNKNOWN, 2, derivation="new_only")]),
        ([{"field": "a", "old": None, "new": 2, "label": "A"}], [Change("a", None, 2, label="A")]),
        ([{"name": "a", "before": [1], "after": [2]}], [Change("a", [1], [2])]),
    ],
)
def test_each_shape_of_changes_is_read(changes, expected):
    operation = one(changes=changes)
    assert operation.changes == expected
    assert "changes" not in operation.raw


def test_a_change_of_an_unknown_shape_stays_in_raw_and_the_others_are_read():
    operation = one(changes={"a": [1, 2], "b": [1, 2, 3], "c": 5, "": [1, 2]})
    assert [change.field for change in operation.changes] == ["a"]
    assert operation.raw["changes"] == {"b": [1, 2, 3], "c": 5, "": [1, 2]}
    operation = one(changes=[{"field": "a", "old": 1, "new": 2, "why": "x"}, 7])
    assert operation.changes == []
    assert operation.raw["changes"] == [{"field": "a", "old": 1, "new": 2, "why": "x"}, 7]


@pytest.mark.parametrize(
    ("verb", "action"),
    [
        ("update", "field.update"),
        ("Deleted", "record.delete"),
        ("login", "auth.login"),
        ("token.create", "token.create"),
        ("approve", "approve"),
    ],
)
def test_the_verb_becomes_our_action_and_is_kept_as_code(verb, action):
    operation = one(action=verb)
    assert (operation.action, operation.code) == (action, verb)


def test_an_unknown_verb_with_changes_is_an_update():
    operation = one(action="approve", changes={"state": ["draft", "approved"]})
    assert (operation.action, operation.code) == ("field.update", "approve")


def test_an_event_that_names_an_action_is_the_action():
    assert (one(event="auth.login").action, one(event="auth.login").code) == ("auth.login", "auth.login")
    assert one(event="auth login failed.").action == "log.message"
    assert one(event="auth.login", action="logout").action == "auth.logout"


def test_a_created_or_deleted_record_is_its_values():
    created = one(action="create", changes={"name": [None, "Lee R"], "rank": [0, 1]})
    assert (created.action, created.changes) == ("record.create", [])
    assert created.values == {"name": "Lee R", "rank": 1}
    assert created.raw["changes"] == {"rank": [0, 1]}
    deleted = one(action="delete", changes={"name": ["Lee R", None]})
    assert (deleted.action, deleted.values) == ("record.delete", {"name": "Lee R"})


def test_an_update_that_names_no_field_is_only_counted():
    assert one(action="update", changes={}).no_change
    assert not one(action="update").no_change
    assert not one(action="update", changes={"a": 5}).no_change


def test_the_first_known_name_wins_and_the_other_stays_in_raw():
    operation = one(user_id=7, actor_id=8, session_id="s1", session_key="s2")
    assert operation.fields["user.id"] == "7" and operation.fields["trail.session.id"] == "s1"
    assert operation.raw == {"actor_id": 8, "session_key": "s2"}


def test_a_user_object_is_taken_apart():
    operation = one(user={"id": 7, "name": "kim", "email": "kim@example.com", "team": "hr"})
    assert {name: value for name, value in operation.fields.items() if name.startswith("user.")} == {
        "user.id": "7",
        "user.name": "kim",
        "user.email": "kim@example.com",
    }
    assert operation.raw == {"user": {"team": "hr"}}
    assert one(user="kim").fields["user.name"] == "kim"
    assert one(user=7).fields["user.id"] == "7"


def test_what_is_no_address_stays_in_raw_and_the_next_name_is_asked():
    operation = one(ip="unknown", remote_addr="192.0.2.10:443")
    assert operation.fields["source.ip"] == "192.0.2.10"
    assert operation.raw == {"ip": "unknown", "remote_addr": "192.0.2.10:443"}


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2026-02-03T10:30:00Z", Time("2026-02-03T10:30:00Z")),
        (1770114600.25, Time(1770114600.25, "epoch_s")),
        (1770114600123, Time(1770114600123, "epoch_ms")),
    ],
)
def test_times_are_text_or_numbers(stamp, time):
    assert one(timestamp=stamp).time == time
    assert one(timestamp={}, ts=stamp).time == time


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"only text"}',
        b'{"event":{"action":"x"},"level":"info"}',
        b'{"event":"ecs","level":"info","ecs.version":"1.6.0"}',
        b'{"event":"cloud event","timestamp":"x","specversion":"1.0"}',
        b'{"message":"x","level":"info"}',
        b'{"event":"delivered","timestamp":"2026-02-03T10:30:00Z","type":"email"}',
        b'["event"]',
        b"event=x level=info",
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line, CTX), Rejected)


def test_no_member_is_lost():
    line = {
        "event": "x",
        "level": [5],
        "logger": None,
        "timestamp": [1],
        "user": [1],
        "ip": 7,
        "action": {"a": 1},
        "outcome": "won",
        "interface": "door",
        "lineno": True,
        "exception": ["x"],
        "stack": 1,
        "object_id": [],
        "session_id": {"a": 1},
    }
    operation = one(**line)
    assert operation.raw == {name: value for name, value in line.items() if name != "event"}
