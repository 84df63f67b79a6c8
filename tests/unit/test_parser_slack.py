"""Slack Audit Logs API: entries to operations."""

import json

import pytest

from parsers import slack
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

NO_CHANGE_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")
LEE = {"type": "user", "user": {"id": "W9", "name": "Lee", "email": "lee@x.example"}}


def entry(action, entity=None, details=None, **more):
    document = {
        "id": "e1",
        "date_create": 1770114600,
        "action": action,
        "actor": {"type": "user", "user": {"id": "W7", "name": "Kim", "email": "kim@x.example"}},
        "entity": json.loads(json.dumps(entity or {"type": "workspace", "workspace": {"id": "T1", "name": "Acme"}})),
        "context": {"ua": "Mozilla/5.0", "ip_address": "198.51.100.9", "session_id": 42},
        **more,
    }
    return document if details is None else {**document, "details": details}


def op_of(*args, **kwargs):
    return one(slack.parse, entry(*args, **kwargs))


def test_a_changed_preference_has_who_when_where_session_old_and_new():
    assert op_of("pref.session_duration_changed", details={"previous_value": "1", "new_value": "2"}) == Operation(
        action="config.update",
        kind="audit",
        time=Time(1770114600, "epoch_s"),
        id="e1",
        code="pref.session_duration_changed",
        object_type="workspace",
        object_id="T1",
        object_name="Acme",
        actor_type="user",
        actor_confidence="asserted",
        interface="ui",
        fields={
            "user.id": "W7",
            "user.full_name": "Kim",
            "user.email": "kim@x.example",
            "source.ip": "198.51.100.9",
            "user_agent.original": "Mozilla/5.0",
            "trail.session.id": "42",
        },
        changes=[Change("session_duration", "1", "2")],
    )


@pytest.mark.parametrize(
    ("details", "changes"),
    [
        ({"previous_value": None, "new_value": 1}, [Change("thing", None, 1)]),
        ({"previous_value": 1, "new_value": None}, [Change("thing", 1, None)]),
        ({"new_value": 1}, [Change("thing", UNKNOWN, 1, derivation="new_only")]),
        ({"old_name": "a", "name": "b"}, [Change("name", "a", "b")]),
        ({"previous_profile": {"a": 1, "b": 2}, "new_profile": {"a": 1, "b": 3}}, [Change("b", 2, 3)]),
        ({"old_policy": {"a": 1}, "new_policy": {"a": 2}}, [Change("policy.a", 1, 2)]),
        (
            {"previous_scopes": ["a", "b"], "new_scopes": ["b", "a", "c"]},
            [Change("scopes", ["a", "b"], ["b", "a", "c"])],
        ),
        ({"previous_ip_address": "192.0.2.1", "ip_address": "x"}, []),
        ({"previous_x": 1}, []),
    ],
)
def test_old_and_new_values_are_paired(details, changes):
    assert op_of("pref.thing_changed", details=details).changes == changes


def test_a_preference_that_stayed_the_same_is_no_change():
    assert op_of("pref.x", details={"previous_value": 1, "new_value": 1}).no_change is True


@pytest.mark.parametrize(
    ("action", "ours", "outcome"),
    [
        ("user_login", "auth.login", "success"),
        ("user_login_failed", "auth.login", "failure"),
        ("file_downloaded_blocked", "file.download", "failure"),
        ("scheduled_export_completed", "data.export", None),
        ("manual_export_deleted", "record.delete", None),
        ("idp_configuration_deleted", "config.delete", None),
        ("idp_prod_configuration_updated", "config.update", None),
        ("org_app_future_workspace_install_enabled", "config.update", None),
        ("canvas_opened", "record.view", None),
        ("frobnicated", "log.message", None),
    ],
)
def test_actions_become_ours(action, ours, outcome):
    op = op_of(action)
    assert (op.action, op.outcome, op.code) == (ours, outcome, action)
    assert op.missing == (NO_CHANGE_TOLD if ours == "config.update" else ())


def test_a_new_role_is_a_change_of_which_only_the_new_value_is_known():
    op = op_of("role_change_to_admin", LEE)
    assert op.changes == [Change("role", UNKNOWN, "admin", derivation="new_only")]
    assert (op.object_type, op.object_id, op.fields["user.target.email"]) == ("user", "W9", "lee@x.example")


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("role_assigned", Change("role", UNKNOWN, "Admins", derivation="new_only")),
        ("role_removed", Change("role", "Admins", ABSENT)),
    ],
)
def test_of_an_assigned_role_the_object_is_the_person(action, change):
    op = op_of(action, {"type": "role", "role": {"id": "R1", "name": "Admins"}}, {"target_user": "W9"})
    assert (op.object_type, op.object_id, op.changes) == ("user", "W9", [change])
    assert op.raw == {"entity": {"role": {"id": "R1"}}}


def test_what_was_created_is_not_the_workspace_around_it():
    op = op_of("idp_configuration_added", details={"label": "x"})
    assert (op.action, op.object_type, op.object_id) == ("config.create", "idp_configuration", None)


def test_slack_itself_is_the_system():
    op = op_of("user_deactivated", LEE, actor={"type": "user", "user": {"id": "USLACKUSER"}})
    assert (op.actor_type, op.interface, "user.id" in op.fields) == ("system", "system", False)


def test_secrets_are_dropped():
    op = op_of("file_shared", details={"url_private": "https://f.example/a?pub_secret=abc", "access_token": "x"})
    assert op.raw["details"] == {
        "url_private": "https://f.example/a?pub_secret=(secret dropped)", "access_token": "(secret dropped)",
    }  # fmt: skip
    op = op_of("pref.signing_secret_changed", details={"previous_value": "a", "new_value": "b"})
    assert op.changes == [Change("signing_secret", SECRET, SECRET)]


def test_an_empty_answer_is_no_change_and_an_empty_list_of_others_is_refused():
    assert one(slack.parse, {"entries": [], "response_metadata": {}}).no_change is True
    assert isinstance(slack.parse(b'{"entries":[]}', CONTEXT), Rejected)


def test_every_scalar_is_carried_exactly_once():
    document = entry(
        "user_email_updated", LEE, {"previous_email": "o", "new_email": "n", "x": [1, {"y": "z"}]},
        id="e2", extra={"a": "b"},
    )  # fmt: skip
    document["entity"]["user"]["team"] = "T9"
    document["entity"] = {"type": "app", "app": document["entity"]["user"]}
    # The kinds of actor and object, and the object's name, are told in words of ours.
    assert_nothing_is_lost_or_doubled(slack.parse, json.dumps(document).encode(), translated={"user", "app", "Lee"})
