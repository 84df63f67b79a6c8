"""1Password Events API: items of the three feeds to operations."""

import json

import pytest

from parsers import onepassword
from parsers._contract import Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

NO_CHANGE_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")
KIM = {"uuid": "U7", "name": "Kim", "email": "kim@x.example"}
LEE = {"uuid": "U9", "name": "Lee", "email": "lee@x.example"}
CLIENT = {"app_name": "App", "app_version": "8", "os_name": "Linux", "os_version": "6", "ip_address": "198.51.100.9"}


def signin(category="success", **more):
    return {
        "uuid": "E1", "session_uuid": "S1", "timestamp": "2026-02-03T10:30:00Z", "country": "DE", "category": category,
        "type": "password_secret_bad", "details": None, "target_user": dict(KIM), "client": dict(CLIENT), **more,
    }  # fmt: skip


def usage(action, **more):
    return {
        "uuid": "E2", "timestamp": "2026-02-03T10:30:00Z", "used_version": 1, "vault_uuid": "V1", "item_uuid": "I1",
        "user": dict(KIM), "client": dict(CLIENT), "action": action, **more,
    }  # fmt: skip


def audit(kind, verb, **more):
    return {
        "uuid": "E3", "timestamp": "2026-02-03T10:30:00Z", "actor_uuid": "U7", "actor_details": dict(KIM),
        "action": verb, "object_type": kind, "object_uuid": "O1",
        "session": {"uuid": "S1", "login_time": "t", "device_uuid": "D1", "ip": "198.51.100.9"}, **more,
    }  # fmt: skip


def test_a_failed_sign_in_has_who_when_where_session_and_reason():
    assert one(onepassword.parse, signin("credentials_failed")) == Operation(
        action="auth.login",
        kind="signin",
        time=Time("2026-02-03T10:30:00Z"),
        id="E1",
        code="credentials_failed",
        outcome="failure",
        actor_type="user",
        actor_confidence="asserted",
        fields={
            "user.id": "U7",
            "user.full_name": "Kim",
            "user.email": "kim@x.example",
            "trail.session.id": "S1",
            "event.reason": "password_secret_bad",
            "user_agent.name": "App",
            "user_agent.version": "8",
            "user_agent.os.name": "Linux",
            "user_agent.os.version": "6",
            "source.ip": "198.51.100.9",
            "source.geo.country_iso_code": "DE",
        },
        raw={"details": None},
    )


@pytest.mark.parametrize(
    ("category", "outcome"),
    [("success", "success"), ("firewall_reported_success", "success"), ("mfa_failed", "failure"), ("odd", "unknown")],
)
def test_the_outcome_follows_from_the_category(category, outcome):
    assert one(onepassword.parse, signin(category)).outcome == outcome


@pytest.mark.parametrize(
    ("use", "action"),
    [
        ("reveal", "record.view"),
        ("secure-copy", "record.view"),
        ("export", "data.export"),
        ("share", "record.share"),
        ("server-create", "record.create"),
        ("server-update", "field.update"),
        ("something-new", "record.view"),
    ],
)
def test_uses_of_items_become_our_actions(use, action):
    op = one(onepassword.parse, usage(use))
    assert (op.action, op.object_type, op.object_id, op.code) == (action, "item", "I1", use)
    assert op.missing == (NO_CHANGE_TOLD if action == "field.update" else ())


@pytest.mark.parametrize(
    ("kind", "verb", "action", "object_type"),
    [
        ("user", "suspend", "user.disable", "user"),
        ("gm", "join", "group.add", "group_membership"),
        ("uva", "grant", "role.grant", "user_vault_access"),
        ("vault", "export", "data.export", "vault"),
        ("vault", "delete", "record.delete", "vault"),
        ("account", "updatfw", "config.update", "account"),
        ("satoken", "revoke", "token.revoke", "service_account_token"),
        ("mfa", "disblmfa", "mfa.disable", "mfa"),
        ("thing", "zzz", "log.message", "thing"),
    ],
)
def test_audit_events_become_our_actions(kind, verb, action, object_type):
    op = one(onepassword.parse, audit(kind, verb))
    assert (op.action, op.object_type, op.code) == (action, object_type, f"{kind}.{verb}")


def test_the_person_concerned_is_the_object_or_stands_beside_it():
    op = one(onepassword.parse, audit("user", "suspend", object_uuid="U9", object_details=LEE))
    assert (op.object_id, op.object_name, op.fields["user.target.email"]) == ("U9", "Lee", "lee@x.example")
    op = one(onepassword.parse, audit("gm", "join", aux_uuid="U9", aux_details=LEE))
    assert (op.fields["user.target.id"], op.fields["user.target.full_name"]) == ("U9", "Lee")
    assert (op.fields["group.id"], op.fields["device.id"]) == ("O1", "D1")


def test_a_service_account_is_a_key():
    assert one(onepassword.parse, usage("reveal", user={**KIM, "type": "service_account"})).actor_type == "api_key"
    assert one(onepassword.parse, audit("vault", "view", actor_type="service_account")).actor_type == "api_key"


def test_secrets_are_dropped():
    assert one(onepassword.parse, usage("reveal", service_token="x")).raw["service_token"] == "(secret dropped)"


def test_an_empty_answer_is_no_change_and_an_empty_list_of_others_is_refused():
    assert one(onepassword.parse, {"cursor": "c", "has_more": False, "items": []}).no_change is True
    assert isinstance(onepassword.parse(b'{"items":[],"cursor":"c"}', CONTEXT), Rejected)


def test_every_scalar_is_carried_exactly_once():
    assert_nothing_is_lost_or_doubled(onepassword.parse, json.dumps(signin(country="Chad")).encode())
    # "reveal" is our "viewed", and stays as the code.
    assert_nothing_is_lost_or_doubled(
        onepassword.parse, json.dumps(usage("reveal", location={"latitude": 5.5})).encode()
    )
    document = audit("gm", "join", aux_uuid="U9", aux_details={"name": "Lee"}, aux_info="A", x=[1, {"y": 2}])
    del document["actor_details"]["uuid"]
    # Object and verb are one code; the group's id stands for the group too.
    line = json.dumps(document).encode()
    assert_nothing_is_lost_or_doubled(onepassword.parse, line, translated={"gm", "join", "O1"})


@pytest.mark.parametrize(
    "document",
    [
        {"uuid": "1", "timestamp": "t", "action": "x", "actor_uuid": "u"},
        {"uuid": "1", "timestamp": "t", "item_uuid": "i", "user": "kim", "vault_uuid": "v"},
        {"uuid": 1, **{name: value for name, value in signin().items() if name != "uuid"}},
    ],
)
def test_what_only_looks_like_1password_is_refused(document):
    assert isinstance(onepassword.parse(json.dumps(document).encode(), CONTEXT), Rejected)
