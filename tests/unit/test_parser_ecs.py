"""The format ecs: dotted and nested names, conflicts, and what a source may not say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time
from parsers.ecs import parse

CTX = Context()
STAMP = "2026-03-01T17:04:05.507Z"


def one(document=None, **members):
    line = {"@timestamp": STAMP, "ecs.version": "1.6.0", **(document or {}), **members}
    found = parse(json.dumps(line).encode(), CTX)
    assert not isinstance(found, Rejected)
    (operation,) = found
    assert operation.raw.pop("ecs.version") == "1.6.0"
    return operation


def test_what_ecs_logging_writes_lands_in_its_fields():
    operation = one(
        {"log.level": "warning", "message": "field changed"},
        log={"logger": "app", "origin": {"file": {"line": 3}}},
        user={"id": "42"},
    )
    assert operation.time == Time(STAMP)
    assert (operation.action, operation.kind, operation.message) == ("log.message", "log", "field changed")
    assert operation.fields == {
        "log.level": "warning",
        "log.logger": "app",
        "log.origin.file.line": 3,
        "user.id": "42",
    }
    assert operation.raw == {}
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")


def test_the_version_may_be_nested():
    (operation,) = parse(b'{"@timestamp":"2026-03-01T17:04:05Z","ecs":{"version":"8.0.0"}}', CTX)
    assert operation.raw == {"ecs.version": "8.0.0"}


def test_equal_values_under_both_spellings_are_one():
    operation = one({"log.level": "info"}, log={"level": "info"})
    assert (operation.fields, operation.raw) == ({"log.level": "info"}, {})


def test_of_two_values_the_first_stays_and_the_other_is_kept_in_raw():
    operation = one({"log.level": "info"}, log={"level": "debug", "logger": "x"})
    assert operation.fields == {"log.level": "info", "log.logger": "x"}
    assert operation.raw == {"log": {"level": "debug"}}


@pytest.mark.parametrize("order", [1, -1])
def test_a_scalar_beside_an_object_gives_way(order):
    members = dict([("url", "https://example.com/a"), ("url.path", "/a")][::order])
    operation = one(members)
    assert operation.fields == {"url.path": "/a"}
    assert operation.raw == {"url": "https://example.com/a"}


def test_labels_stay_one_object():
    operation = one({"labels.env": "prod"}, labels={"team": "hr"})
    assert operation.fields == {"labels": {"env": "prod", "team": "hr"}}


def test_unknown_names_are_handed_on_for_the_field_table_to_judge():
    assert one(session_id="abc", my={"own": 1}).fields == {"session_id": "abc", "my.own": 1}


def test_the_action_is_kept_as_code_and_ids_and_outcome_have_their_place():
    operation = one(event={"action": "user-login", "code": 4624, "id": "e1", "outcome": "success", "duration": 5})
    assert (operation.action, operation.code) == ("user-login", "user-login")
    assert (operation.id, operation.outcome) == ("e1", "success")
    assert operation.fields == {"event.duration": 5}
    assert operation.raw == {"event.code": 4624}
    assert (one(event={"code": 4624}).code, one(event={"code": 4624}).action) == ("4624", "log.message")


def test_what_an_event_is_stays_ours_to_say():
    ours = {
        "event": {"kind": "alert", "module": "m", "dataset": "d", "created": STAMP, "original": "x"},
        "agent": {"name": "other"},
        "data_stream": {"dataset": "fieldtrail.change"},
        "seal": {"i": 1},
    }
    operation = one(ours)
    assert operation.fields == {}
    assert operation.raw == {
        "event.kind": "alert",
        "event.module": "m",
        "event.dataset": "d",
        "event.created": STAMP,
        "event.original": "x",
        "agent.name": "other",
        "data_stream.dataset": "fieldtrail.change",
        "seal.i": 1,
    }


def test_an_application_can_name_its_session_and_record():
    operation = one(
        trail={"session": {"id": "s1"}, "object": {"type": "employee", "id": 55, "name": "Lee R", "key": "x"}}
    )
    assert operation.fields == {"trail.session.id": "s1"}
    assert (operation.object_type, operation.object_id, operation.object_name) == ("employee", "55", "Lee R")
    assert operation.raw == {"trail.object.key": "x"}


@pytest.mark.parametrize("mark", [{"change": {"field": "salary"}}, {"schema": 1}])
def test_a_document_of_another_fieldtrail_keeps_its_trail_in_raw(mark):
    operation = one(trail={**mark, "session": {"id": "s1"}, "object": {"id": "1"}})
    assert operation.fields == {} and operation.object_id is None
    assert operation.raw["trail.session.id"] == "s1" and operation.raw["trail.object.id"] == "1"


def test_null_and_empty_members_stay_in_raw():
    operation = one({"user": {"id": None}, "http": {}, "": 1, "a..b": 2})
    assert operation.fields == {}
    assert operation.raw == {"user": {"id": None}, "http": {}, "": 1, "a..b": 2}


def test_a_message_that_is_no_text_stays_in_raw():
    operation = one(message=5)
    assert operation.message is None and operation.raw == {"message": 5}


def test_a_number_as_time_is_milliseconds():
    (operation,) = parse(b'{"@timestamp":1772384645507,"ecs.version":"1.6.0"}', CTX)
    assert operation.time == Time(1772384645507, "epoch_ms")


@pytest.mark.parametrize(
    "line",
    [
        b'{"@timestamp":"2026-03-01T17:04:05Z"}',
        b'{"ecs.version":"1.6.0"}',
        b'{"@timestamp":true,"ecs.version":"1.6.0"}',
        b'{"@timestamp":"2026-03-01T17:04:05Z","ecs":"8.0.0"}',
        b"[]",
        b"x",
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line, CTX), Rejected)


LEAVES = st.one_of(
    st.integers(-5, 5), st.text("ab", max_size=2), st.booleans(), st.lists(st.integers(0, 2), max_size=2)
)
NAMES = st.sampled_from(
    ["user", "user.id", "id", "a", "a.b", "b", "labels", "labels.x", "event", "kind", "", "trail", "x."]
)
DOCUMENTS = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8), max_size=5
)


def leaves(node):
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in leaves(value)]
    if isinstance(node, list):
        return [str(node), *map(str, node)]
    return [str(node)]


@settings(max_examples=120, deadline=None)
@given(DOCUMENTS)
def test_every_leaf_is_in_fields_or_in_raw(document):
    operation = one(document)
    own = [getattr(operation, name) for name in ("object_type", "object_id", "object_name", "id", "outcome", "message")]
    kept = {*leaves(operation.fields), *leaves(operation.raw), *map(str, own)}
    for value in operation.raw.values():
        if isinstance(value, list):
            kept |= {leaf for item in value for leaf in leaves(item)}
    assert set(leaves(document)) <= kept
    for name in operation.fields:
        assert not any(other.startswith(f"{name}.") for other in operation.fields)


def test_an_original_that_repeats_the_message_is_left_out():
    assert "log.original" not in one(message="saved", log={"original": "saved"}).fields
    assert one(message="saved", log={"original": "sav%s"}).fields["log.original"] == "sav%s"
