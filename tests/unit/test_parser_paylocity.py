"""Paylocity webhooks: bodies to operations."""

import json

import pytest

from parsers import paylocity
from parsers._contract import UNKNOWN, Change, Operation, Rejected
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

CHANGE = json.loads(FOREIGN["paylocity"])
HIRE = {**CHANGE, "companyName": "Acme", "employeeFirstName": "Jo", "employeeHireDate": "2026-03-02T00:00:00Z"}
TERMINATION = {**CHANGE, "employeeTermDate": "2026-03-31", "employeeTermReason": "Voluntary", "employeeFirstName": "Jo"}
TIME_OFF = {**CHANGE, "employeeName": "Jo Lind", "hoursPerDay": 8.0, "timeOffStartDate": "2026-03-16T08:00:00-06:00"}
LINES = [json.dumps(body).encode() for body in (CHANGE, HIRE, TERMINATION, [TIME_OFF, CHANGE])]


def test_a_change_says_only_whose_record_changed():
    assert one(paylocity.parse, FOREIGN["paylocity"]) == Operation(
        action="field.update",
        kind="webhook",
        object_type="employee",
        object_id="20417",
        fields={"organization.id": "ACM1"},
        missing=("trail.change.field", "trail.change.old", "trail.change.new"),
    )


def test_a_new_hire_is_one_operation_with_values():
    op = one(paylocity.parse, HIRE)
    assert (op.action, op.changes) == ("record.create", [])
    assert op.values == {"employeeFirstName": "Jo", "employeeHireDate": "2026-03-02T00:00:00Z"}
    assert op.fields == {"organization.id": "ACM1", "organization.name": "Acme"}


def test_a_termination_changes_its_date_and_reason():
    op = one(paylocity.parse, TERMINATION)
    assert op.changes == [
        Change("employeeTermDate", UNKNOWN, "2026-03-31", derivation="new_only"),
        Change("employeeTermReason", UNKNOWN, "Voluntary", derivation="new_only"),
    ]
    assert (op.action, op.values) == ("field.update", {"employeeFirstName": "Jo"})


def test_an_approved_time_off_belongs_to_the_employee():
    op = one(paylocity.parse, TIME_OFF)
    assert (op.action, op.object_type, op.object_id, op.object_name) == ("approval.grant", "time_off", None, "Jo Lind")
    assert op.fields["trail.object.owner_id"] == "20417"


@pytest.mark.parametrize(
    "document",
    [
        {"companyId": "ACM1"},
        {**CHANGE, "employeeId": None},
        {**CHANGE, "type": "employee.updated"},
        {**CHANGE, "data": {}},
        {"COMPANYID": "ACM1", "employeeId": "1"},
        {**CHANGE, "": 1},
    ],
)
def test_what_paylocity_does_not_send_is_refused(document):
    assert isinstance(paylocity.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped():
    assert "hunter2" not in repr(one(paylocity.parse, {**HIRE, "employeePassword": "hunter2"}))
    assert "hunter2" not in repr(one(paylocity.parse, {**CHANGE, "employeeTermPassword": "hunter2"}))


@pytest.mark.parametrize("line", LINES[:3])
def test_every_scalar_is_carried_exactly_once(line):
    assert_nothing_is_lost_or_doubled(paylocity.parse, line)


def test_the_name_of_a_time_off_s_employee_is_the_object_s_name():
    assert_nothing_is_lost_or_doubled(paylocity.parse, json.dumps(TIME_OFF).encode(), translated={"Jo Lind"})
