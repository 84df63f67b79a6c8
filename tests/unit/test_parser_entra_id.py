"""Entra ID audit and sign-in records to operations."""

import json

import pytest

from parsers import entra_id
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from parsers._microsoft import directory_action, property_changes
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

KIM = {
    "user": {"id": "u-1", "displayName": "Kim Q", "userPrincipalName": "kim@co.example", "ipAddress": "198.51.100.9"}
}


def target(kind="User", *properties, **more):
    entries = [{"displayName": name, "oldValue": old, "newValue": new} for name, old, new in properties]
    return {"id": "t-1", "type": kind, "modifiedProperties": entries, **more}


def audit(activity, *targets, **more):
    return {
        "id": "a-1",
        "activityDisplayName": activity,
        "activityDateTime": "2026-02-03T10:30:00Z",
        "result": "success",
        "initiatedBy": KIM,
        "targetResources": list(targets),
        **more,
    }


def sign_in(code=0, **more):
    return {
        "id": "s-1",
        "createdDateTime": "2026-02-03T11:00:00Z",
        "userPrincipalName": "kim@co.example",
        "userId": "u-1",
        "appId": "app-1",
        "appDisplayName": "Portal",
        "ipAddress": "198.51.100.9",
        "status": {"errorCode": code, "failureReason": "reason"},
        **more,
    }


LINES = [
    json.dumps(audit("Update user", target("User", ("Department", '["A"]', '["B"]'), ("X", None, '"1"')))).encode(),
    json.dumps({"value": [sign_in(50126), sign_in(location={"geoCoordinates": {"latitude": 1.5, "longitude": 2}})]}).encode(),
    json.dumps(
        {"time": "2026-02-03T10:30:00Z", "category": "AuditLogs", "callerIpAddress": "198.51.100.9",
         "properties": audit("Add member to group", target("User", ("Group.ObjectID", None, '"g-1"')))}
    ).encode(),
]  # fmt: skip


def test_values_are_read_out_of_their_texts():
    op = one(
        entra_id.parse,
        audit("Update user", target("User", ("Department", '["Sales"]', '["HR"]'), ("Phone", "[]", '["5"]'))),
    )
    assert (op.action, op.code, op.object_type, op.object_id) == ("user.update", "Update user", "user", "t-1")
    assert op.changes == [Change("Department", "Sales", "HR"), Change("Phone", ABSENT, "5")]
    assert op.time == Time("2026-02-03T10:30:00Z")
    assert op.fields["user.email"] == "kim@co.example" and op.actor_type == "user"


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (None, '"x"', Change("p", None, "x")),
        ('"x"', None, Change("p", "x", None)),
        ('["a"]', "[]", Change("p", "a", ABSENT)),
        ('["a"]', '["a","b"]', Change("p", ["a"], ["a", "b"])),
        ("[true]", "[false]", Change("p", True, False)),
        ("plain", "[broken", Change("p", "plain", "[broken")),
        (UNKNOWN, '"x"', Change("p", UNKNOWN, "x", derivation="new_only")),
    ],
)
def test_values_of_a_property_keep_their_direction(old, new, change):
    assert property_changes("p", old, new) == [change]


def test_of_objects_the_members_that_differ_are_the_changes():
    assert property_changes("p", '{"a":1,"b":{"c":2}}', '{"a":1,"b":{"c":3}}') == [Change("p.b.c", 2, 3)]
    shifted = property_changes("p", json.dumps({"l": list(range(100))}), json.dumps({"l": list(range(1, 101))}))
    assert [change.field for change in shifted] == ["p"], "a list that shifted is one change"


@pytest.mark.parametrize(
    ("activity", "action"),
    [
        ("Add user", "user.create"),
        ("Delete user", "user.delete"),
        ("Hard Delete user", "record.purge"),
        ("Disable account", "user.disable"),
        ("Reset user password", "password.reset"),
        ("Change user password", "password.change"),
        ("Reset password (self-service)", "password.reset"),
        ("Add member to role.", "role.grant"),
        ("Remove eligible member from role in PIM completed (permanent)", "role.revoke"),
        ("Add member to role requested (PIM activation)", "approval.request"),
        ("Add member to group", "group.add"),
        ("Remove owner from group", "group.remove"),
        ("Update group", "group.update"),
        ("Add owner to application", "app.update"),
        ("Add app role assignment to service principal", "role.grant"),
        ("Add service principal credentials", "token.create"),
        ("Update application – Certificates and secrets management ", "token.update"),
        ("Delete application", "app.disconnect"),
        ("Consent to application", "app.connect"),
        ("Delete conditional access policy", "config.delete"),
        ("Set Company Information", "config.update"),
        ("User registered security info", "mfa.enable"),
        ("Update StsRefreshTokenValidFrom Timestamp", "session.revoke"),
        ("Update role definition", "role.update"),
        ("Something else happened", None),
        ("FileAccessed", None),
    ],
)
def test_activities_become_our_actions(activity, action):
    assert directory_action(activity) == action


def test_a_granted_role_is_one_change():
    properties = (("Role.ObjectID", None, '"r-1"'), ("Role.DisplayName", None, '"Global Administrator"'))
    op = one(entra_id.parse, audit("Add member to role", target("User", *properties)))
    assert op.changes == [Change("role", ABSENT, "Global Administrator")]
    assert op.raw["targetResources"] == [{"modifiedProperties": [{"Role.ObjectID": "r-1"}]}]
    gone = audit("Remove member from role", target("User", ("Role.DisplayName", '"Helpdesk"', None)))
    assert one(entra_id.parse, gone).changes == [Change("role", "Helpdesk", ABSENT)]


def test_a_membership_names_the_group_and_the_account():
    properties = (("Group.ObjectID", None, '"g-1"'), ("Group.DisplayName", None, '"Payroll"'))
    op = one(
        entra_id.parse, audit("Add member to group", target("User", *properties, userPrincipalName="lee@co.example"))
    )
    assert (op.object_type, op.object_id, op.object_name) == ("group", "g-1", "Payroll")
    assert (op.fields["user.target.id"], op.fields["user.target.email"]) == ("t-1", "lee@co.example")


def test_a_created_account_has_values_and_pseudo_properties_stay():
    properties = (("AccountEnabled", "[]", "[true]"), ("Included Updated Properties", None, '"AccountEnabled"'))
    op = one(entra_id.parse, audit("Add user", target("User", *properties)))
    assert (op.action, op.values, op.changes) == ("user.create", {"AccountEnabled": True}, [])
    assert op.raw["targetResources"][0]["modifiedProperties"][0]["displayName"] == "Included Updated Properties"


def test_an_app_acts_with_its_own_credentials():
    by = {"user": None, "app": {"servicePrincipalId": "sp", "displayName": "HR Sync", "appId": "ap"}}
    op = one(entra_id.parse, audit("Delete user", target(), initiatedBy=by))
    assert (op.actor_type, op.interface, op.fields["user.full_name"]) == ("api_key", "api", "HR Sync")
    assert op.raw["initiatedBy"] == {"user": None, "app": {"appId": "ap"}}


def test_a_further_target_is_named_before_its_properties():
    document = audit("Update x", target("Policy", ("A", None, '"1"')), target("Group", ("B", None, '"2"')))
    assert [change.field for change in one(entra_id.parse, document).changes] == ["A", "group.B"]


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, "success"), (50126, "failure"), ("50074", "unknown"), (None, "unknown")]
)
def test_error_codes_of_sign_ins_become_outcomes(code, outcome):
    op = one(entra_id.parse, sign_in(code))
    assert (op.action, op.outcome, op.object_id) == ("auth.login", outcome, "app-1")


def test_a_sign_in_has_session_place_device_and_agent():
    document = sign_in(
        sessionId="x-1",
        userAgent="UA",
        clientAppUsed="Browser",
        location={"city": "Lyon", "geoCoordinates": {"latitude": 45.5, "longitude": 4.5}},
        deviceDetail={"deviceId": "d", "browser": "Edge"},
    )
    op = one(entra_id.parse, document)
    assert op.interface == "ui" and op.fields["trail.session.id"] == "x-1"
    assert op.fields["source.geo.location"] == {"lat": 45.5, "lon": 4.5}
    assert (op.fields["device.id"], op.fields["user_agent.original"]) == ("d", "UA")


def test_a_record_of_azure_monitor_says_things_once():
    op = one(entra_id.parse, LINES[2])
    assert op.raw == {"category": "AuditLogs"}
    other = {**json.loads(LINES[2]), "callerIpAddress": "203.0.113.1", "tenantId": "t"}
    op = one(entra_id.parse, other)
    assert op.raw["callerIpAddress"] == "203.0.113.1" and op.fields["organization.id"] == "t"


def test_an_edit_that_changed_nothing_is_no_change():
    assert one(entra_id.parse, audit("Update user", target("User", ("A", '["x"]', '["x"]')))).no_change is True
    assert one(entra_id.parse, audit("Disable account", target("User", ("A", '["x"]', '["x"]')))).no_change is False


def test_secrets_are_dropped_from_properties_and_details():
    document = audit(
        "Update user",
        target("User", ("Password", '"old-p"', '"new-p"'), ("Profile", None, '{"clientSecret":"cs-1","n":1}')),
        additionalDetails=[{"key": "apiKey", "value": "k-1"}],
    )
    op = one(entra_id.parse, document)
    assert op.changes[0] == Change("Password", SECRET, SECRET)
    assert not any(secret in repr(op) for secret in ("old-p", "new-p", "cs-1", "k-1"))


def test_an_empty_page_is_taken_only_from_graph():
    assert isinstance(entra_id.parse(b'{"value":[]}', CONTEXT), Rejected)
    page = b'{"@odata.context":"https://graph.example/v1.0/$metadata#auditLogs/signIns","value":[]}'
    (op,) = entra_id.parse(page, CONTEXT)
    assert op.no_change is True


def test_every_scalar_of_a_record_is_carried_exactly_once():
    document = audit(
        "Update user",
        target("User", ("Department", "Sales", "HR"), userPrincipalName="lee@co.example", groupType=None),
        resultReason="r",
        loggedByService="Core",
        additionalDetails=[{"key": "k", "value": "v"}],
    )
    names = {"displayName", "Department", "k", "User", "success"}
    assert_nothing_is_lost_or_doubled(entra_id.parse, json.dumps(document).encode(), translated=names)
