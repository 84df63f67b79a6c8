"""BambooHR webhooks: bodies to operations."""

import json

import pytest

from parsers import bamboohr
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

EVENT = json.loads(FOREIGN["bamboohr"])
EMPLOYEE = json.loads(FOREIGN["bamboohr fields"])["employees"][0]
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def event(kind="employee.updated", **data):
    return one(bamboohr.parse, {**EVENT, "type": kind, "data": {**EVENT["data"], **data}})


def employee(**members):
    return one(bamboohr.parse, {"employees": [{**EMPLOYEE, **members}]})


def test_an_update_names_its_fields_and_nothing_more():
    assert one(bamboohr.parse, FOREIGN["bamboohr"]) == Operation(
        action="field.update",
        kind="webhook",
        time=Time("2026-01-31T18:42:00+0000"),
        code="employee.updated",
        object_type="employee",
        object_id="67890",
        fields={"organization.id": "12345"},
        changes=[Change("firstName", UNKNOWN, UNKNOWN, derivation="new_only")],
    )


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("employee.created", "record.create"),
        ("employee.deleted", "record.delete"),
        ("employee_with_fields.updated", "field.update"),
        ("employee.archived", "field.update"),
    ],
)
def test_event_types_become_our_actions(kind, action):
    assert event(kind).action == action


@pytest.mark.parametrize("names", [[], ["a", 7], "a", None, [" "]])
def test_an_update_that_names_no_fields_says_what_is_missing(names):
    op = event(changedFields=names)
    assert (op.changes, op.missing) == ([], NOT_TOLD)
    assert op.raw == {"data": {"changedFields": names}}


def test_a_posted_value_is_the_new_value_and_other_posted_fields_are_values():
    op = employee(fields={"Pay rate": "98000.00 USD", "Status": "Active"})
    assert op.changes == [Change("Pay rate", UNKNOWN, "98000.00 USD", derivation="new_only")]
    assert op.values == {"Status": "Active"}
    assert (op.code, op.object_id, op.raw) == ("Updated", "3108", {})


def test_a_posted_null_is_a_removal_and_a_value_may_stand_in_an_object():
    op = employee(changedFields=["a", "b"], fields={"a": None, "b": {"value": "x"}})
    assert [(change.field, change.new) for change in op.changes] == [("a", None), ("b", "x")]


def test_names_of_changed_and_posted_fields_may_differ_in_case():
    op = employee(changedFields=["First name"], fields={"First Name": "Tamsin"})
    assert [(change.field, change.new) for change in op.changes] == [("First name", "Tamsin")]
    assert op.values == {}


@pytest.mark.parametrize(("action", "ours"), [("Created", "record.create"), ("Deleted", "record.delete")])
def test_created_and_deleted_employees_are_one_operation_with_values(action, ours):
    op = employee(action=action, changedFields=[], fields={"First name": "Jo"})
    assert (op.action, op.values, op.changes) == (ours, {"First name": "Jo"}, [])


def test_a_field_without_a_name_stays_in_raw():
    assert employee(fields={"": 1, "Pay rate": 2}).raw == {"fields": {"": 1}}


def test_the_values_of_secrets_are_dropped():
    op = employee(changedFields=["password"], fields={"password": "hunter2", "API key": "k"})
    assert "hunter2" not in repr(op) and "'k'" not in repr(op)


def test_what_stands_beside_the_employees_is_kept():
    op = one(bamboohr.parse, {"employees": [EMPLOYEE], "sentBy": 4})
    assert op.raw == {"@envelope": {"sentBy": 4}}


@pytest.mark.parametrize("missing", ["companyId", "employeeId"])
def test_an_event_without_its_ids_is_refused(missing):
    data = {name: value for name, value in EVENT["data"].items() if name != missing}
    assert isinstance(bamboohr.parse(json.dumps({**EVENT, "data": data}).encode(), CONTEXT), Rejected)


def test_an_empty_list_of_employees_is_refused():
    assert isinstance(bamboohr.parse(b'{"employees":[]}', CONTEXT), Rejected)


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps({**EVENT, "x": [1.5], "data": {"companyId": "1", "employeeId": "2"}}).encode()
    assert_nothing_is_lost_or_doubled(bamboohr.parse, line)
    line = json.dumps({**EMPLOYEE, "changedFields": [], "fields": {"a": "p", "b": ["q"]}}).encode()
    assert_nothing_is_lost_or_doubled(bamboohr.parse, line)
