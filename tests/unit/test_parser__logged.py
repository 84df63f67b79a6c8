"""Secrets in the records of loggers: gone from members, fields and texts, and nothing else is changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, ecs, structlog
from parsers import json as any_json
from parsers._contract import SECRET, Operation
from parsers._logged import clean_logged, drop_logged_secrets
from parsers._secrets import DROPPED

CTX = Context()
STRUCTLOG = {"event": "saved", "level": "info"}
ECS = {"@timestamp": "2026-03-01T17:04:05Z", "ecs.version": "1.6.0"}


def one(format_, **members):
    (operation,) = format_.parse(json.dumps(members).encode(), CTX)
    return operation


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("retry with password=hunter2 now", f"retry with password={DROPPED} now"),
        ("login --token=hunter2", f"login --token={DROPPED}"),
        ("api_key: hunter2", f"api_key: {DROPPED}"),
        ("Authorization: Bearer hunter2", f"Authorization: Bearer {DROPPED}"),
        ("GET https://kim:hunter2@api.example/?sig=hunter2", f"GET https://kim:{DROPPED}@api.example/?sig={DROPPED}"),
        ("GET https://api.example/?token=hunter2&page=2", f"GET https://api.example/?token={DROPPED}&page=2"),
    ],
)
def test_a_text_loses_what_stands_behind_the_word(text, cleaned):
    assert clean_logged(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "saved",
        "password changed",
        "GET /reports?page=2 at 12:30",
        "https://api.example/x",
        "user=kim rows=5",
        "Traceback (most recent call last):\n  File x, line 1\nKeyError: 'id'",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert clean_logged(text) == text


@pytest.mark.parametrize(
    ("format_", "members"),
    [
        (structlog, {**STRUCTLOG, "api_key": "hunter2"}),
        (structlog, {**STRUCTLOG, "args": {"n": [{"password": "hunter2"}]}}),
        (structlog, {**STRUCTLOG, "event": "password=hunter2"}),
        (structlog, {**STRUCTLOG, "event": "password=hunter2", "changes": {"a": [1, 2]}}),
        (structlog, {**STRUCTLOG, "exception": "ValueError: token=hunter2"}),
        (structlog, {**STRUCTLOG, "exception": [{"exc_type": "E", "exc_value": "token=hunter2"}]}),
        (structlog, {**STRUCTLOG, "changes": {"password": ["hunter2", "hunter22"]}}),
        (structlog, {**STRUCTLOG, "action": "create", "changes": {"api_key": [None, "hunter2"]}}),
        (structlog, {**STRUCTLOG, "action": "create", "changes": {"note": [None, "password=hunter2"]}}),
        (any_json, {"message": "password=hunter2"}),
        (any_json, {"a": [{"b": ["x", "secret=hunter2"]}], "headers": {"Authorization": "hunter2"}}),
        (any_json, {"name": "api_key", "value": "hunter2"}),
        (ecs, {**ECS, "message": "password=hunter2"}),
        (ecs, {**ECS, "log.original": "token=hunter2"}),
        (ecs, {**ECS, "url": {"original": "https://x.example/?token=hunter2", "password": "hunter2"}}),
        (ecs, {**ECS, "labels": {"api_key": "hunter2"}}),
        (ecs, {**ECS, "labels.api_key": "hunter2"}),
        (ecs, {**ECS, "db.password": "hunter2"}),
        (ecs, {**ECS, "app": {"secrets": ["hunter2"], "list": [{"password": "hunter2"}]}}),
        (ecs, {**ECS, "a..password": "hunter2"}),
        (ecs, {**ECS, "x.password": "hunter2", "x": {"password": "hunter22"}}),
        (ecs, {**ECS, "password": "hunter2", "password.a": 1}),
        (ecs, {**ECS, "error": {"stack_trace": "token=hunter2", "message": "token=hunter2"}}),
    ],
)
def test_a_secret_gets_no_further_than_the_parser(format_, members):
    operation = one(format_, **members)
    assert "hunter2" not in repr(operation)
    assert any(mark in repr(operation) for mark in (DROPPED, repr(SECRET)))


@pytest.mark.parametrize(("format_", "members"), [(structlog, STRUCTLOG), (ecs, ECS), (any_json, {})])
def test_what_tells_nothing_of_a_secret_stays(format_, members):
    more = {"password": "", "token_type": "x", "has_secret": True, "api_key": None}
    operation = one(format_, **members, **more)
    kept = {**operation.fields, **operation.raw}
    assert {name: kept[name] for name in more} == more


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.sampled_from("abk =:/?-"), max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abk. ", max_size=3), inner, max_size=3),
        max_leaves=12,
    )
)
def test_where_there_is_no_secret_nothing_is_changed(value):
    raw = {"x": value}
    before = json.dumps(raw)
    drop_logged_secrets(Operation("log.message", "log", raw=raw))
    assert json.dumps(raw) == before
