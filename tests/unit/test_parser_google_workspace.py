"""Google Workspace activities to operations."""

import json

import pytest

from parsers import google_workspace
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from parsers._google import action_of
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)


def event(name, kind="x", **parameters):
    entries = []
    for key, value in parameters.items():
        kinds = {bool: "boolValue", list: "multiValue"}
        entries.append({"name": key, kinds.get(type(value), "value"): value})
    return {"name": name, "type": kind, "parameters": entries}


def activity(application, *events, **more):
    return {
        "kind": "admin#reports#activity",
        "id": {
            "time": "2026-02-03T10:30:00.000Z",
            "uniqueQualifier": "-7",
            "applicationName": application,
            "customerId": "C",
        },
        "actor": {"callerType": "USER", "email": "kim@co.example", "profileId": "1077"},
        "ipAddress": "198.51.100.9",
        "events": list(events),
        **more,
    }


SETTING = event(
    "CHANGE_APPLICATION_SETTING", APPLICATION_NAME="Drive", SETTING_NAME="SHARING", OLD_VALUE="OFF", NEW_VALUE="ON"
)
SHARED = event(
    "change_user_access",
    doc_id="d-1",
    doc_title="Pay",
    doc_type="document",
    target_user="eve@other.example",
    old_value=["none"],
    new_value=["can_edit"],
    old_visibility="private",
    visibility="shared_externally",
)
LINES = [
    json.dumps(activity("admin", SETTING)).encode(),
    json.dumps(
        {"kind": "admin#reports#activities", "items": [activity("drive", SHARED, event("view", doc_id="d"))]}
    ).encode(),
    json.dumps(
        activity("login", event("login_failure", login_failure_type="bad"), networkInfo={"ipAsn": [1]})
    ).encode(),
]


def test_a_setting_has_who_what_from_and_to():
    op = one(google_workspace.parse, LINES[0])
    assert (op.action, op.kind, op.code) == ("config.update", "admin", "CHANGE_APPLICATION_SETTING")
    assert op.changes == [Change("SHARING", "OFF", "ON")]
    assert (op.object_type, op.object_id) == ("application", "Drive")
    assert op.fields["user.email"] == "kim@co.example" and op.fields["organization.id"] == "C"
    assert (op.id, op.time) == ("2026-02-03T10:30:00.000Z/-7", Time("2026-02-03T10:30:00.000Z"))
    assert op.raw == {"kind": "admin#reports#activity", "actor": {"callerType": "USER"}, "events": {"type": "x"}}


def test_each_event_of_an_activity_is_an_operation_with_its_own_id():
    operations = google_workspace.parse(LINES[1], CONTEXT)
    assert [op.id.rpartition("/")[2] for op in operations] == ["1", "2"]
    assert [op.fields["user.id"] for op in operations] == ["1077", "1077"]
    assert "actor" in operations[0].raw and "actor" not in operations[1].raw


def test_sharing_says_with_whom_and_both_changes():
    op = one(google_workspace.parse, activity("drive", SHARED))
    assert op.action == "record.share" and op.fields["user.target.email"] == "eve@other.example"
    assert op.changes == [
        Change("access", "none", "can_edit"),
        Change("visibility", "private", "shared_externally"),
    ]
    back = event("change_user_access", doc_id="d", old_value=["can_edit"], new_value=["none"])
    assert one(google_workspace.parse, activity("drive", back)).action == "record.unshare"


@pytest.mark.parametrize(
    ("application", "name", "kind", "action"),
    [
        ("admin", "CREATE_USER", "", "user.create"),
        ("admin", "CHANGE_LAST_NAME", "USER_SETTINGS", "user.update"),
        ("admin", "CHANGE_GROUP_SETTING", "GROUP_SETTINGS", "group.update"),
        ("admin", "CREATE_SOMETHING", "", "config.create"),
        ("admin", "REMOVE_SOMETHING", "", "config.delete"),
        ("admin", "CUSTOMER_TAKEOUT_CREATED", "", "data.export"),
        ("login", "login_success", "", "auth.login"),
        ("login", "account_disabled_spamming", "", "user.disable"),
        ("user_accounts", "2sv_disable", "", "mfa.disable"),
        ("drive", "download", "", "file.download"),
        ("drive", "create", "", "file.create"),
        ("token", "authorize", "", "app.connect"),
        ("groups_enterprise", "remove_member", "", "group.remove"),
        ("vault", "start_export", "", "data.export"),
        ("chat", "message_posted", "", "log.message"),
    ],
)
def test_events_become_our_actions(application, name, kind, action):
    assert action_of(application, name, kind) == action


def test_a_role_is_granted_to_a_person():
    op = one(
        google_workspace.parse, activity("admin", event("ASSIGN_ROLE", ROLE_NAME="R", USER_EMAIL="lee@co.example"))
    )
    assert op.changes == [Change("role", ABSENT, "R")]
    assert (op.object_id, op.fields["user.target.email"]) == ("lee@co.example", "lee@co.example")
    gone = event("UNASSIGN_ROLE", ROLE_NAME="R", USER_EMAIL="lee@co.example")
    assert one(google_workspace.parse, activity("admin", gone)).changes == [Change("role", "R", ABSENT)]


def test_a_value_that_is_not_told_is_unknown():
    document = activity("admin", event("CHANGE_X", SETTING_NAME="S", NEW_VALUE="b"))
    assert one(google_workspace.parse, document).changes == [Change("S", UNKNOWN, "b", derivation="new_only")]
    document = activity("admin", event("CHANGE_X", SETTING_NAME="S", OLD_VALUE="a"))
    assert one(google_workspace.parse, document).changes == [Change("S", "a", UNKNOWN)]


def test_the_name_of_an_event_names_the_field_where_no_setting_does():
    document = activity(
        "admin", event("CHANGE_LAST_NAME", "USER_SETTINGS", USER_EMAIL="l@co.example", OLD_VALUE="a", NEW_VALUE="b")
    )
    op = one(google_workspace.parse, document)
    assert (op.action, op.changes) == ("user.update", [Change("last_name", "a", "b")])


@pytest.mark.parametrize(
    ("name", "parameters", "outcome"),
    [
        ("login_success", {}, "success"),
        ("login_failure", {"login_failure_type": "bad"}, "failure"),
        ("login_challenge", {"login_challenge_status": "Challenge Passed."}, "success"),
        ("login_challenge", {"login_challenge_status": "Challenge Failed."}, "failure"),
    ],
)
def test_sign_ins_have_outcomes(name, parameters, outcome):
    op = one(google_workspace.parse, activity("login", event(name, **parameters)))
    assert op.outcome == outcome and op.object_type is None
    assert op.fields.get("event.reason") == parameters.get("login_failure_type")


def test_keys_the_system_and_impersonating_applications_are_told_apart():
    system = one(google_workspace.parse, activity("login", event("x"), actor={"callerType": "KEY", "key": "SYSTEM"}))
    assert (system.actor_type, system.interface) == ("system", "system")
    key = one(google_workspace.parse, activity("admin", event("x"), actor={"callerType": "KEY", "key": "k-1"}))
    assert (key.actor_type, key.fields["user.id"]) == ("api_key", "k-1")
    robot = {
        "email": "kim@co.example",
        "applicationInfo": {"oauthClientId": "c", "applicationName": "Bot", "impersonation": True},
    }
    op = one(google_workspace.parse, activity("drive", event("view"), actor=robot))
    assert (op.actor_type, op.fields["user.name"], op.fields["user.effective.email"]) == (
        "api_key",
        "Bot",
        "kim@co.example",
    )


def test_an_edit_that_changed_nothing_is_no_change():
    document = activity("admin", event("CHANGE_X", SETTING_NAME="S", OLD_VALUE="a", NEW_VALUE="a"))
    assert one(google_workspace.parse, document).no_change is True


def test_secrets_are_dropped_from_settings_and_parameters():
    document = activity(
        "admin", event("CHANGE_X", SETTING_NAME="smtp password", OLD_VALUE="p-1", NEW_VALUE="p-2", api_key="k-1")
    )
    op = one(google_workspace.parse, document)
    assert op.changes == [Change("smtp password", SECRET, SECRET)]
    assert not any(secret in repr(op) for secret in ("p-1", "p-2", "k-1"))


def test_an_application_that_is_not_known_keeps_its_name():
    op = one(google_workspace.parse, activity("brand_new", event("x")))
    assert op.kind == "activity" and op.raw["id"] == {"applicationName": "brand_new"}


def test_an_empty_page_and_an_activity_without_events_are_taken():
    (page,) = google_workspace.parse(b'{"kind":"admin#reports#activities","items":[]}', CONTEXT)
    assert page.no_change is True
    assert one(google_workspace.parse, activity("meet")).action == "log.message"


@pytest.mark.parametrize("document", [{"items": []}, {"id": {"time": "t"}, "events": []}, activity("admin", "x")])
def test_what_is_no_activity_is_refused(document):
    assert isinstance(google_workspace.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_every_scalar_of_an_activity_is_carried_exactly_once():
    document = activity(
        "admin",
        event("CHANGE_X", "T", ORG_UNIT_NAME="/HR", NEW_VALUE="n", OLD_VALUE="o", flag=True, scope=["a", "b"]),
        etag="e",
        ownerDomain="co.example",
    )
    names = {"ORG_UNIT_NAME", "NEW_VALUE", "OLD_VALUE", "flag", "scope", "admin", "-7"}
    assert_nothing_is_lost_or_doubled(google_workspace.parse, json.dumps(document).encode(), translated=names)
