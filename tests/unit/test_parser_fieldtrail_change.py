"""Our own JSON body: every member to its place, what is refused, and a page whose schema is the parser's."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

import mappings
from parsers import fieldtrail_change
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    mutated,
    one,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/fieldtrail_change.md").read_text(encoding="utf-8")
FULL = {
    "fieldtrail_change": 1,
    "id": "c-812",
    "time": "2026-03-01T17:04:05Z",
    "actor": {
        "id": "7",
        "name": "kim",
        "full_name": "Kim Q",
        "email": "kim@co.example",
        "type": "user",
        "on_behalf_of": {"id": "8", "name": "lee"},
    },
    "ip": "198.51.100.9",
    "session": "s-4",
    "user_agent": "ExampleBrowser/1.0",
    "request_id": "r-9",
    "interface": "ui",
    "object": {
        "type": "employee",
        "id": "7711",
        "name": "Lee Ode",
        "label": "Employee",
        "url": "https://hr.co.example/7711",
        "owner_id": "12",
    },
    "action": "update",
    "changes": [{"field": "salary", "old": 90000, "new": 120000, "label": "Base", "old_label": "a", "new_label": "b"}],
    "target": {"id": "44", "email": "bo@co.example"},
    "execution": {"platform": "make", "scenario_id": 4412, "scenario_name": "Sync", "id": "ex-7", "module": 5},
    "export": {"rows": 10, "bytes": "20", "format": "csv", "objects": ["contact"]},
    "reason": "review",
    "ticket": "HR-1",
    "approver": "13",
    "outcome": "success",
    "source": "hrapp",
    "tags": ["x", "y"],
    "extra": {"k": ["v"]},
}
LINES = [
    json.dumps(FULL).encode(),
    json.dumps(
        {
            "events": [
                {"fieldtrail_change": 1, "object": {"type": "c"}, "before": {"a": 1, "b": [1]}, "after": {"b": [2]}}
            ]
        }
    ).encode(),
    json.dumps({"fieldtrail_change": 1, "action": "create", "changes": [{"field": "a", "new": 1}]}).encode(),
]


def body(**members):
    return {"fieldtrail_change": 1, **members}


def test_every_member_has_its_place():
    op = one(fieldtrail_change.parse, FULL)
    assert (op.action, op.kind, op.code, op.id, op.outcome) == ("field.update", "change", "update", "c-812", "success")
    assert op.time == Time("2026-03-01T17:04:05Z")
    assert (op.object_type, op.object_id, op.object_name, op.object_label) == (
        "employee",
        "7711",
        "Lee Ode",
        "Employee",
    )
    assert (op.actor_type, op.actor_confidence, op.interface) == ("user", "asserted", "ui")
    assert op.changes == [Change("salary", 90000, 120000, "Base", "a", "b")]
    assert op.fields == {
        "user.id": "7",
        "user.name": "kim",
        "user.full_name": "Kim Q",
        "user.email": "kim@co.example",
        "user.effective.id": "8",
        "user.effective.name": "lee",
        "user.target.id": "44",
        "user.target.email": "bo@co.example",
        "trail.session.id": "s-4",
        "user_agent.original": "ExampleBrowser/1.0",
        "http.request.id": "r-9",
        "trail.object.url": "https://hr.co.example/7711",
        "trail.object.owner_id": "12",
        "trail.automation.platform": "make",
        "trail.automation.scenario.id": "4412",
        "trail.automation.scenario.name": "Sync",
        "trail.automation.execution.id": "ex-7",
        "trail.automation.module": "5",
        "trail.export.rows": 10,
        "trail.export.bytes": 20,
        "trail.export.format": "csv",
        "trail.export.objects": ["contact"],
        "event.reason": "review",
        "trail.approval.ticket": "HR-1",
        "trail.approval.approver_id": "13",
        "service.name": "hrapp",
        "source.ip": "198.51.100.9",
        "tags": ["x", "y"],
    }
    assert op.raw == {"extra": {"k": ["v"]}}


def test_nothing_of_a_body_is_lost_or_doubled():
    line = json.dumps({**FULL, "outcome": "fine", "unknown": {"a": [{"b": "only here"}]}}).encode()
    ours = {"1", "user", "ui", "Base", "a", "b", "Employee", "employee", "Lee Ode", "salary"}
    assert_nothing_is_lost_or_doubled(fieldtrail_change.parse, line, translated=ours)


def test_a_missing_old_value_is_unknown_and_a_null_is_null():
    changes = [{"field": "a", "new": 1}, {"field": "b", "old": None, "new": 1}, {"field": "c", "old": 1, "new": None}]
    assert one(fieldtrail_change.parse, body(changes=changes)).changes == [
        Change("a", UNKNOWN, 1, derivation="new_only"),
        Change("b", None, 1),
        Change("c", 1, None),
    ]


def test_two_states_are_compared():
    op = one(
        fieldtrail_change.parse, body(before={"a": 1, "b": {"c": 2}, "d": 3}, after={"a": 1, "b": {"c": 4}, "e": 5})
    )
    assert op.changes == [Change("b.c", 2, 4), Change("e", ABSENT, 5), Change("d", 3, ABSENT)]
    assert op.raw == {}


@pytest.mark.parametrize(
    "members",
    [
        {"changes": []},
        {"changes": [{"field": "a", "old": [1], "new": [1]}]},
        {"before": {"a": 1}, "after": {"a": 1}},
    ],
)
def test_an_edit_that_changed_nothing_is_no_change(members):
    assert one(fieldtrail_change.parse, body(**members)).no_change


@pytest.mark.parametrize(
    ("members", "action", "values"),
    [
        ({"before": None, "after": {"a": 1}}, "record.create", {"a": 1}),
        ({"before": {"a": 1}, "after": None}, "record.delete", {"a": 1}),
        ({"action": "create", "values": {"a": 1}}, "record.create", {"a": 1}),
        ({"action": "create", "changes": [{"field": "a", "new": 1}]}, "record.create", {"a": 1}),
        ({"action": "delete", "changes": [{"field": "a", "old": 1, "new": None}]}, "record.delete", {"a": 1}),
    ],
)
def test_a_record_that_came_or_went_is_one_operation_with_its_values(members, action, values):
    op = one(fieldtrail_change.parse, body(**members))
    assert (op.action, op.values, op.changes, op.raw) == (action, values, [], {})


@pytest.mark.parametrize(
    ("word", "action", "code"),
    [
        ("update", "field.update", "update"),
        ("export", "data.export", "export"),
        ("auth.login", "auth.login", None),
        ("frobnicate", "log.message", "frobnicate"),
        ("seal.control", "log.message", "seal.control"),
    ],
)
def test_actions_are_ours_or_stay_the_sources_word(word, action, code):
    op = one(fieldtrail_change.parse, body(action=word))
    assert (op.action, op.code) == (action, code)


def test_every_word_that_it_translates_to_is_in_the_vocabulary():
    assert set(fieldtrail_change._VERBS.values()) <= set(mappings.actions())


def test_an_automation_without_an_actor_is_the_actor():
    op = one(fieldtrail_change.parse, body(action="update", execution={"id": "ex-1"}))
    assert (op.actor_type, op.actor_confidence, op.interface) == ("automation", "asserted", "automation")
    with_user = one(fieldtrail_change.parse, body(action="update", execution={"id": "ex-1"}, actor="kim"))
    assert (with_user.actor_type, with_user.interface, with_user.fields["user.name"]) == ("user", None, "kim")


def test_what_is_not_given_leaves_no_trace():
    empty = {"actor": {"id": None, "name": ""}, "object": {}, "ip": "", "time": None, "values": None, "execution": None}
    op = one(fieldtrail_change.parse, body(action="view", **empty))
    assert (op.fields, op.raw, op.time, op.actor_type) == ({}, {}, None, "unknown")


def test_an_address_that_is_none_stays_in_raw():
    op = one(fieldtrail_change.parse, body(action="view", ip="proxy-1"))
    assert (op.fields, op.raw) == ({}, {"ip": "proxy-1"})


def test_secrets_are_dropped_by_their_names():
    op = one(fieldtrail_change.parse, body(changes=[{"field": "password", "old": "p1", "new": "p2"}], api_key="p3"))
    assert op.changes == [Change("password", SECRET, SECRET)]
    assert "p3" not in str(op.raw)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"object": {"id": []}, "action": "view"}, "object.id: neither text nor a number"),
        ({"changes": "salary"}, "changes: no list"),
        ({"changes": [1]}, "changes[0]: no object"),
        ({"changes": [{"old": 1}]}, "changes[0].field: missing"),
        ({"changes": [], "before": {}}, "changes: either changes or before and after"),
        ({"before": {}}, "action: missing, and neither changes nor before and after tell it"),
        ({"action": "update", "before": {}}, "after: missing (null where the record is gone)"),
        ({"action": "view", "tags": [["a"]]}, "tags: no list of texts"),
        ({"action": "view", "ip": 1}, "ip: no text"),
        ({"action": True}, "action: neither text nor a number"),
        ({"action": "view", "fieldtrail_change": 1.5}, "fieldtrail_change: only version 1 is known"),
    ],
)
def test_a_member_of_a_wrong_type_refuses_the_body_and_is_named(members, reason):
    assert fieldtrail_change.parse(json.dumps(body(**members)).encode(), CONTEXT) == Rejected(reason)


# -- the page -------------------------------------------------------------------------------------------------------


def section(title):
    text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


SCHEMA = json.loads(section("JSON Schema")[0])
EXAMPLES = [line for block in section("Examples") for line in block.splitlines()]
REFUSED = [line for block in section("What is refused") for line in block.splitlines()]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "null": type(None),
}


def is_type(value, name):
    if name in {"number", "integer"}:
        return isinstance(value, int if name == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def valid(value, schema):
    """Whether `value` keeps `schema`, of which the keywords of the page are known and no others."""
    checks = {
        "$ref": lambda ref: valid(value, SCHEMA["$defs"][ref.removeprefix("#/$defs/")]),
        "type": lambda names: any(is_type(value, name) for name in ([names] if isinstance(names, str) else names)),
        "enum": lambda allowed: any(type(one) is type(value) and one == value for one in allowed),
        "anyOf": lambda options: any(valid(value, option) for option in options),
        "allOf": lambda parts: all(valid(value, part) for part in parts),
        "not": lambda other: not valid(value, other),
        "required": lambda names: not isinstance(value, dict) or set(names) <= set(value),
        "properties": lambda known: (
            not isinstance(value, dict) or all(valid(value[name], known[name]) for name in value if name in known)
        ),
        "propertyNames": lambda names: not isinstance(value, dict) or all(valid(name, names) for name in value),
        "items": lambda items: not isinstance(value, list) or all(valid(entry, items) for entry in value),
        "minItems": lambda least: not isinstance(value, list) or len(value) >= least,
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "pattern": lambda pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
    }
    return all(checks[name](wanted) for name, wanted in schema.items() if name not in {"$schema", "title", "$defs"})


def accepted(line):
    return not isinstance(fieldtrail_change.parse(line.encode(), CONTEXT), Rejected)


@pytest.mark.parametrize("line", [*EXAMPLES, *(line.decode() for line in LINES)])
def test_schema_and_parser_take_the_examples(line):
    assert accepted(line)
    assert valid(json.loads(line), SCHEMA)


@pytest.mark.parametrize("line", REFUSED)
def test_schema_and_parser_refuse_what_the_page_says_is_refused(line):
    assert not accepted(line)
    assert not valid(json.loads(line), SCHEMA)


def test_the_schema_knows_the_members_of_the_table():
    rows = [row for row in fieldtrail_change.__doc__.splitlines() if row.startswith("| `")]
    table = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert table - {"events"} == set(SCHEMA["$defs"]["body"]["properties"])


@settings(max_examples=300, deadline=None)
@given(mutated(LINES))
def test_what_the_schema_takes_the_parser_takes(line):
    try:
        value = json.loads(line)
    except ValueError:
        return
    if valid(value, SCHEMA) and not isinstance(fieldtrail_change.parse(line, CONTEXT), list):
        told = fieldtrail_change.parse(line, CONTEXT).reason
        # Null and empty text are "not given", which a schema cannot say of everything.
        assert re.search(r"missing|not JSON|not UTF-8|surrogate|range of a double|either changes", told), told
