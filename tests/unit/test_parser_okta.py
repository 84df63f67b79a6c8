"""Okta System Log: events to operations."""

import json

import pytest

from parsers import okta
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

KIM = {"id": "00u1", "type": "User", "alternateId": "kim@co.example", "displayName": "Kim Q"}
LEE = {"id": "00u2", "type": "User", "alternateId": "lee@co.example", "displayName": "Lee W"}
GROUP = {"id": "00g1", "type": "UserGroup", "alternateId": "unknown", "displayName": "Payroll"}
APP = {"id": "0oa1", "type": "AppInstance", "alternateId": "Payroll App", "displayName": "Payroll"}


def event(kind, *targets, result="SUCCESS", actor=KIM, **more):
    return {
        "uuid": "e-1",
        "eventType": kind,
        "published": "2026-02-03T10:30:00.000Z",
        "actor": actor,
        "outcome": {"result": result},
        "client": {"ipAddress": "198.51.100.9"},
        "target": list(targets),
        **more,
    }


def test_a_profile_update_has_who_whom_from_and_to():
    target = {**LEE, "changeDetails": {"from": {"title": "A", "phone": None}, "to": {"title": "B", "phone": "5"}}}
    op = one(okta.parse, event("user.account.update_profile", target))
    assert op == Operation(
        action="user.update",
        kind="system",
        time=Time("2026-02-03T10:30:00.000Z"),
        id="e-1",
        code="user.account.update_profile",
        outcome="success",
        object_type="user",
        object_id="00u2",
        object_label="User",
        actor_type="user",
        actor_confidence="asserted",
        fields={
            "user.id": "00u1",
            "user.email": "kim@co.example",
            "user.full_name": "Kim Q",
            "source.ip": "198.51.100.9",
            "user.target.email": "lee@co.example",
            "user.target.full_name": "Lee W",
        },
        changes=[Change("title", "A", "B"), Change("phone", None, "5")],
        raw={"actor": {"type": "User"}},
    )


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("user.session.start", "auth.login"),
        ("user.session.end", "auth.logout"),
        ("user.authentication.sso", "auth.login"),
        ("user.authentication.auth_via_AD_agent", "auth.login"),
        ("user.authentication.auth_via_mfa", "auth.mfa"),
        ("user.session.impersonation.initiate", "auth.impersonate"),
        ("user.lifecycle.create", "user.create"),
        ("user.lifecycle.suspend", "user.disable"),
        ("user.lifecycle.delete.completed", "user.delete"),
        ("user.account.unlock_by_admin", "user.unlock"),
        ("user.mfa.factor.reset_all", "mfa.disable"),
        ("group.lifecycle.delete", "group.delete"),
        ("application.lifecycle.create", "app.connect"),
        ("system.api_token.revoke", "token.revoke"),
        ("iam.role.create", "role.create"),
        ("event_hook.deactivated", "webhook.disable"),
        ("policy.rule.add", "config.create"),
        ("policy.lifecycle.deactivate", "config.update"),
        ("system.log_stream.lifecycle.delete", "audit.disable"),
        ("analytics.reports.export.download", "data.export"),
        ("something.that.happened", "log.message"),
    ],
)
def test_event_types_become_our_actions(kind, action):
    op = one(okta.parse, event(kind, LEE))
    assert (op.action, op.code) == (action, kind)


@pytest.mark.parametrize(
    ("result", "outcome", "left"),
    [
        ("SUCCESS", "success", {}),
        ("FAILURE", "failure", {}),
        ("ALLOW", "success", {"outcome": {"result": "ALLOW"}}),
        ("DENY", "failure", {"outcome": {"result": "DENY"}}),
        ("CHALLENGE", "unknown", {"outcome": {"result": "CHALLENGE"}}),
    ],
)
def test_results_become_outcomes_and_unlike_words_stay(result, outcome, left):
    op = one(okta.parse, event("user.session.start", result=result))
    assert op.outcome == outcome
    assert {name: op.raw[name] for name in op.raw if name == "outcome"} == left


def test_the_actor_may_be_okta_an_application_or_a_token():
    system = one(okta.parse, event("user.account.lock", LEE, actor={"id": "s", "type": "SystemPrincipal"}))
    assert (system.actor_type, system.interface) == ("system", "system")
    app = one(okta.parse, event("user.lifecycle.create", LEE, actor={"id": "a", "type": "PublicClientApp"}))
    assert (app.actor_type, app.interface) == ("api_key", "api")
    token = one(okta.parse, event("user.lifecycle.create", LEE, transaction={"detail": {"requestApiTokenId": "t"}}))
    assert (token.actor_type, token.interface, token.fields["user.id"]) == ("api_key", "api", "00u1")


def test_the_word_unknown_names_nobody():
    actor = {"id": "unknown", "type": "User", "alternateId": "kim@co.example", "displayName": "unknown"}
    op = one(okta.parse, event("user.session.start", actor=actor, result="FAILURE"))
    assert "user.id" not in op.fields and op.fields["user.email"] == "kim@co.example"
    assert op.raw["actor"] == {"id": "unknown", "type": "User", "displayName": "unknown"}


def test_a_membership_names_the_group_and_the_user():
    op = one(okta.parse, event("group.user_membership.add", LEE, GROUP))
    assert (op.object_type, op.object_id, op.object_name) == ("group", "00g1", "Payroll")
    assert (op.fields["group.id"], op.fields["user.target.id"]) == ("00g1", "00u2")


def test_an_assigned_application_is_a_change_of_the_user():
    op = one(okta.parse, event("application.user_membership.remove", APP, LEE))
    assert (op.action, op.object_id) == ("role.revoke", "00u2")
    assert op.changes == [Change("application", "0oa1", ABSENT, old_label="Payroll")]


def test_each_privilege_is_a_change():
    debug = {"debugData": {"privilegeGranted": "Super administrator, Report administrator"}}
    op = one(okta.parse, event("user.account.privilege.grant", LEE, debugContext=debug))
    assert op.changes == [
        Change("role", ABSENT, "Super administrator"),
        Change("role", ABSENT, "Report administrator"),
    ]


def test_attributes_that_are_only_named_have_unknown_values():
    debug = {"debugData": {"changedAttributes": "title, phone"}}
    op = one(okta.parse, event("user.account.update_profile", LEE, debugContext=debug))
    assert op.changes == [
        Change("title", UNKNOWN, UNKNOWN, derivation="new_only"),
        Change("phone", UNKNOWN, UNKNOWN, derivation="new_only"),
    ]
    nothing = one(okta.parse, event("user.account.update_profile", LEE))
    assert nothing.changes == [] and "trail.change.old" in nothing.missing


def test_a_value_that_was_not_there_is_added_and_one_that_went_is_removed():
    target = {**LEE, "changeDetails": {"from": {"a": None, "b": "x", "c": "y"}, "to": {"a": "x", "b": None}}}
    op = one(okta.parse, event("user.account.update_profile", target))
    assert op.changes == [Change("a", None, "x"), Change("b", "x", None), Change("c", "y", ABSENT)]


def test_an_edit_that_changed_nothing_is_no_change():
    target = {**LEE, "changeDetails": {"from": {"a": 1}, "to": {"a": 1}}}
    assert one(okta.parse, event("user.account.update_profile", target)).no_change is True


def test_secrets_are_dropped_from_changes_urls_and_debug_data():
    target = {**LEE, "changeDetails": {"from": {"password": "old-p"}, "to": {"password": "new-p"}}}
    debug = {"debugData": {"url": "/x?stateToken=st-1", "list": [{"name": "API key", "value": "k-1"}], "apiKey": "k-2"}}
    op = one(okta.parse, event("user.account.update_profile", target, debugContext=debug))
    assert op.changes == [Change("password", SECRET, SECRET)]
    assert not any(secret in repr(op) for secret in ("old-p", "new-p", "st-1", "k-1", "k-2"))


def test_a_stream_of_eventbridge_and_an_event_hook_are_unwrapped():
    inner = event("user.session.end")
    (bridged,) = okta.parse(json.dumps({"detail-type": "SystemLog", "id": "b", "detail": inner}).encode(), CONTEXT)
    assert (bridged.action, bridged.raw["@envelope"]) == ("auth.logout", {"detail-type": "SystemLog", "id": "b"})
    hook = {"eventType": "com.okta.event_hook", "eventId": "h", "data": {"events": [inner, inner]}}
    assert len(okta.parse(json.dumps(hook).encode(), CONTEXT)) == 2


def test_every_scalar_of_an_event_is_carried_exactly_once():
    document = event(
        "user.account.update_profile",
        {**LEE, "detailEntry": {"note": "n"}, "changeDetails": {"from": {"title": "A"}, "to": {"title": "B"}}},
        authenticationContext={"externalSessionId": "s-1", "authenticationStep": 0},
        securityContext={"asNumber": 64500, "asOrg": "Net", "isp": "isp"},
        debugContext={"debugData": {"requestId": "r-1", "dtHash": "h"}},
        displayMessage="m",
        actor={**KIM, "type": "SystemPrincipal"},
        request={"ipChain": [{"ip": "203.0.113.1"}]},
    )
    assert_nothing_is_lost_or_doubled(okta.parse, json.dumps(document).encode(), translated={"SUCCESS"})


@pytest.mark.parametrize("line", [b'{"eventType":"a","uuid":"b","published":"c"}', b'{"detail-type":"x","detail":{}}'])
def test_what_is_no_event_is_refused(line):
    assert isinstance(okta.parse(line, CONTEXT), Rejected)
