"""django-easy-audit: rows of its three tables to operations."""

import json
from pathlib import Path

import pytest

from parsers import django_easyaudit
from parsers._contract import ABSENT, SECRET, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

GOLDEN = Path(__file__).parents[1] / "golden/django_easyaudit"

CRUD = {
    "id": 301,
    "event_type": 2,
    "object_id": "55",
    "content_type": "hr.employee",
    "object_repr": "Lee R",
    "object_json_repr": '[{"model": "hr.employee", "pk": 55, "fields": {"name": "Lee", "salary": 120000}}]',
    "changed_fields": '{"salary": ["90000", "120000"]}',
    "user_id": 7,
    "user_pk_as_string": "7",
    "datetime": "2026-02-03T10:30:00.123Z",
}
LOGIN = {
    "id": 12,
    "login_type": 0,
    "username": "kim",
    "user_id": 7,
    "remote_ip": "192.0.2.10",
    "datetime": "2026-02-03T10:30:00Z",
}
REQUEST = {
    "id": 21,
    "url": "/reports/7",
    "method": "GET",
    "query_string": "year=2026&token=t-1",
    "user_id": 7,
    "remote_ip": "192.0.2.10",
    "datetime": "2026-02-03T10:30:00Z",
}


def parse(document):
    return one(django_easyaudit.parse, document)


def test_an_update_has_who_what_old_and_new():
    op = parse(CRUD)
    assert (op.action, op.code, op.kind, op.id) == ("field.update", "update", "crud", "301")
    assert op.changes == [Change("salary", "90000", "120000")]
    assert (op.object_type, op.object_id, op.object_name) == ("employee", "55", "Lee R")
    assert (op.fields, op.time) == ({"user.id": "7"}, Time("2026-02-03T10:30:00.123Z"))
    assert op.raw == {
        "content_type": "hr.employee",
        "object_json_repr": {"model": "hr.employee", "fields": {"name": "Lee"}},
    }


@pytest.mark.parametrize(("number", "action"), [(1, "record.create"), (3, "record.delete")])
def test_created_and_deleted_records_are_their_values(number, action):
    op = parse({**CRUD, "event_type": number, "changed_fields": None})
    assert (op.action, op.values) == (action, {"name": "Lee", "salary": 120000})


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (4, Change("skills")),
        (5, Change("skills")),
        (6, Change("skills", ABSENT, [3, 4])),
        (7, Change("skills", ABSENT, [3, 4])),
        (8, Change("skills", [3, 4], ABSENT)),
        (9, Change("skills", [3, 4], ABSENT)),
    ],
)
def test_many_to_many_changes_say_what_came_and_went(number, change):
    op = parse({**CRUD, "event_type": number, "changed_fields": '{"skills": [3, 4]}'})
    assert (op.action, op.changes) == ("field.update", [change])
    assert ("changed_fields" in op.raw) is (number in {4, 5})


def test_a_cleared_relation_cannot_name_the_field():
    op = parse({**CRUD, "event_type": 10, "changed_fields": "[]"})
    assert (op.changes, op.code) == ([], "m2m_clear") and "trail.change.field" in op.missing


def test_the_text_none_is_null():
    op = parse({**CRUD, "changed_fields": '{"a": ["None", "1"], "b": ["1", "None"]}'})
    assert op.changes == [Change("a", None, "1"), Change("b", "1", None)]


def test_an_update_that_changed_nothing_is_told_from_one_that_does_not_say():
    assert parse({**CRUD, "changed_fields": "null"}).no_change
    assert parse({**CRUD, "changed_fields": {}}).no_change
    op = parse({**CRUD, "changed_fields": None})
    assert not op.no_change and op.values == {"name": "Lee", "salary": 120000}
    assert "trail.change.field" in op.missing


@pytest.mark.parametrize(
    ("number", "action", "outcome", "confidence"),
    [
        (0, "auth.login", "success", "asserted"),
        (1, "auth.logout", "success", "asserted"),
        (2, "auth.login", "failure", "unknown"),
    ],
)
def test_logins_have_name_address_and_outcome(number, action, outcome, confidence):
    op = parse({**LOGIN, "login_type": number})
    assert (op.action, op.outcome, op.actor_confidence, op.kind) == (action, outcome, confidence, "login")
    assert op.fields == {"user.id": "7", "user.name": "kim", "source.ip": "192.0.2.10"}


def test_a_request_loses_the_secrets_of_its_query():
    op = parse(REQUEST)
    assert (op.action, op.message) == ("http.request", "GET /reports/7")
    assert op.fields["url.query"] == "year=2026&token=(secret dropped)"
    assert op.fields["url.path"] == "/reports/7" and op.fields["http.request.method"] == "GET"


def test_what_dumpdata_writes_is_read():
    fields = {name: value for name, value in CRUD.items() if name not in {"id", "user_id"}}
    fields |= {"content_type": ["hr", "employee"], "user": ["kim"]}
    op = parse({"model": "easyaudit.crudevent", "pk": 9, "fields": fields})
    assert (op.id, op.object_type, op.fields) == ("9", "employee", {"user.name": "kim", "user.id": "7"})
    assert op.raw["model"] == "easyaudit.crudevent"


def test_secrets_are_dropped():
    fields = '{"username": "kim", "password": "p-new"}'
    op = parse(
        {
            **CRUD,
            "changed_fields": '{"password": ["p-old", "p-new"]}',
            "object_json_repr": '[{"model": "auth.user", "pk": 55, "fields": ' + fields + "}]",
            "content_type": "auth.user",
        }
    )
    assert op.changes == [Change("password", SECRET, SECRET)] and op.action == "password.change"
    assert "p-old" not in repr(op) and "p-new" not in repr(op)
    assert "p-new" not in repr(parse({**CRUD, "event_type": 1, "object_json_repr": '{"password": "p-new", cut'}))


def test_every_scalar_is_carried_exactly_once():
    crud = {**CRUD, "object_id": 55, "metadata": {"t": "HR-9"}, "content_type": 4, "event_type": 3}
    crud |= {"object_json_repr": {"fields": {"name": "Lee"}}, "changed_fields": "x"}
    del crud["user_pk_as_string"]
    assert_nothing_is_lost_or_doubled(django_easyaudit.parse, json.dumps(crud).encode(), translated={"Lee R", "3"})
    login = {**LOGIN, "login_type": 1}
    assert_nothing_is_lost_or_doubled(django_easyaudit.parse, json.dumps(login).encode(), translated={"1"})


@pytest.mark.parametrize("document", [{**CRUD, "event_type": 12}, {**LOGIN, "login_type": 3}, {"event_type": 1}])
def test_numbers_that_the_library_does_not_have_are_refused(document):
    assert isinstance(django_easyaudit.parse(json.dumps(document).encode(), CONTEXT), Rejected)


LINES = [line for case in ("normal", "edge") for line in (GOLDEN / f"{case}.log").read_bytes().split(b"\n") if line]


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in django_easyaudit.LITERALS)


@pytest.mark.parametrize(
    ("number", "printed", "change"),
    [
        (6, "{'skills': [1, 3]}", Change("skills", ABSENT, [1, 3])),
        (8, "{'skills': [3]}", Change("skills", [3], ABSENT)),
        (7, "{'skills': ['0b0c8a52-2f0b']}", Change("skills", ABSENT, ["0b0c8a52-2f0b"])),
        (6, "{'skills': []}", Change("skills", ABSENT, [])),
    ],
)
def test_many_to_many_keys_are_read_as_the_library_prints_them(number, printed, change):
    op = parse({**CRUD, "event_type": number, "changed_fields": printed})
    assert op.changes == [change] and op.missing == () and "changed_fields" not in op.raw


@pytest.mark.parametrize("printed", ["{'skills': [1, None]}", "{'skills': [1], 'x': [2]}", "{'skills': 1}", "{'"])
def test_what_the_library_does_not_print_stays_as_it_is(printed):
    op = parse({**CRUD, "event_type": 6, "changed_fields": printed})
    assert op.changes == [] and op.raw["changed_fields"] == printed and "trail.change.field" in op.missing


def test_a_new_text_none_is_told_from_null_by_the_record():
    told = {"changed_fields": '{"name": ["x", "None"]}'}
    for value, new in (("None", "None"), (None, None)):
        whole = json.dumps([{"model": "hr.employee", "pk": 55, "fields": {"name": value}}])
        assert parse({**CRUD, **told, "object_json_repr": whole}).changes == [Change("name", "x", new)]


def test_the_empty_changed_fields_of_a_created_record_say_nothing():
    assert "changed_fields" not in parse({**CRUD, "event_type": 1, "changed_fields": ""}).raw
