"""Workday activity logging and sign-on reports: rows to operations."""

import json

import pytest

from parsers import workday
from parsers._contract import Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

ACTIVITY = json.loads(FOREIGN["workday"])
SIGN_ON = json.loads(FOREIGN["workday sign-on"])["Report_Entry"][0]


def activity(**members):
    return one(workday.parse, {**ACTIVITY, **members})


def sign_on(**members):
    return one(workday.parse, {**SIGN_ON, **members})


def test_an_activity_says_who_ran_which_task_and_from_where():
    assert one(workday.parse, FOREIGN["workday"]) == Operation(
        action="record.view",
        kind="activity",
        time=Time("2026-03-09T07:15:30.250Z"),
        code="View Worker Pay",
        object_type="task",
        object_id="7a10b3c4d5e6",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.name": "rvale", "trail.session.id": "d04f1a", "source.ip": "198.51.100.9"},
        raw={"activityAction": "READ"},
    )


@pytest.mark.parametrize(
    ("verb", "task", "action"),
    [
        ("READ", "View Worker", "record.view"),
        ("CREATE", "Create Position", "record.create"),
        ("UPDATE", "Edit Position", "field.update"),
        ("DELETE", "Delete Position", "record.delete"),
        ("OTHER", "payroll/inputs", "log.message"),
        ("READ", "Export Workers to Excel", "data.export"),
        ("OTHER", "Start Proxy", "auth.impersonate"),
        ("READ", "View Exporter Settings", "record.view"),
    ],
)
def test_what_was_done_follows_from_the_activity_and_the_task(verb, task, action):
    assert activity(activityAction=verb, taskDisplayName=task).action == action


def test_whom_a_proxy_stands_for_is_not_told():
    op = activity(activityAction="OTHER", taskDisplayName="Start Proxy")
    assert (op.missing, "user.effective.id" in op.fields) == (("user.effective.id",), False)


def test_an_update_says_that_no_field_is_told():
    op = activity(activityAction="UPDATE")
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")


def test_the_target_is_the_object_and_the_task_stays():
    op = activity(target={"id": "t-1", "descriptor": "Kim Quill"})
    assert (op.object_type, op.object_id, op.object_name) == ("record", "t-1", "Kim Quill")
    assert op.raw == {"activityAction": "READ", "taskId": "7a10b3c4d5e6"}


def test_an_account_with_a_name_is_two_fields():
    fields = activity(systemAccount="rvale / Robin Vale").fields
    assert (fields["user.name"], fields["user.full_name"]) == ("rvale", "Robin Vale")


@pytest.mark.parametrize("task", ["Get Workers (Web Service)", "payroll/inputs (GET) (v2 - )"])
def test_tasks_of_programs_came_through_the_api(task):
    assert activity(taskDisplayName=task).interface == "api"


def test_a_sign_on_is_a_login_with_its_session():
    assert one(workday.parse, FOREIGN["workday sign-on"]) == Operation(
        action="auth.login",
        kind="sign_on",
        time=Time("2026-03-12T09:20:05-07:00"),
        code="SAML",
        outcome="success",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.name": "rvale", "trail.session.id": "e7719c"},
    )


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"Failed_Signon": "1"}, "failure"),
        ({"Failed_Signon": "0", "Session_ID": ""}, "success"),
        ({"Invalid_Credentials": True}, "failure"),
        ({"Account_Locked__Disabled_or_Expired": "yes"}, "failure"),
        ({"Successful": "0"}, "failure"),
        ({"Successful": "1", "Session_ID": None}, "success"),
        ({"Authentication_Failure_Message": "Invalid password"}, "failure"),
        ({"Session_ID": None}, None),
    ],
)
def test_the_outcome_of_a_sign_on_is_what_its_columns_say(members, outcome):
    assert sign_on(**members).outcome == outcome


def test_the_reason_of_a_failure_and_the_end_of_a_session_are_taken():
    op = sign_on(Authentication_Failure_Message="Invalid password", Signoff_Time="2026-03-12T10:20:05-07:00")
    assert op.fields["event.reason"] == "Invalid password"
    assert op.fields["event.end"] == "2026-03-12T10:20:05-07:00"


def test_a_second_account_column_may_add_the_person():
    op = sign_on(System_Account="rvale / Robin Vale", Signon_Worker="Robin Vale (7)")
    assert op.fields["user.full_name"] == "Robin Vale"
    assert op.raw == {"Signon_Worker": "Robin Vale (7)"}


@pytest.mark.parametrize(
    ("originator", "interface"), [("UI", "ui"), ("Web Services", "api"), ("Internal", "system"), ("Kiosk", None)]
)
def test_the_originator_is_the_interface(originator, interface):
    assert sign_on(Request_Originator=originator).interface == interface


def test_columns_are_found_without_case_and_punctuation():
    op = one(workday.parse, {"Signon DateTime": "2026-03-02T10:00:00Z", "user name": "jo", "Failed Signon": "0"})
    assert (op.fields, op.outcome) == ({"user.name": "jo"}, "success")


def test_words_in_the_place_of_an_address_stay_in_raw():
    assert sign_on(Signon_IP_Address="Workday Internal").raw == {"Signon_IP_Address": "Workday Internal"}


def test_an_empty_report_is_no_change_and_an_empty_list_of_data_is_refused():
    (op,) = workday.parse(b'{"Report_Entry":[]}', CONTEXT)
    assert op.no_change is True
    assert isinstance(workday.parse(b'{"data":[]}', CONTEXT), Rejected)


def test_a_report_about_something_else_is_refused():
    rows = {"Report_Entry": [{"Employee_ID": "7", "Hire_Date": "2024-03-19", "User_Name": "jo"}]}
    assert isinstance(workday.parse(json.dumps(rows).encode(), CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped():
    assert "hunter2" not in repr(sign_on(password="hunter2"))


def test_every_scalar_is_carried_exactly_once():
    line = json.dumps({**ACTIVITY, "target": {"id": "t-1", "descriptor": "Kim", "x": 1.5}, "deviceType": "d"}).encode()
    assert_nothing_is_lost_or_doubled(workday.parse, line, translated={"Kim"})
    line = json.dumps({**SIGN_ON, "Failed_Signon": "0", "Browser_Type": "b", "tenant_name": "acme"}).encode()
    assert_nothing_is_lost_or_doubled(workday.parse, line)
