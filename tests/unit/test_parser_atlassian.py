"""Atlassian's audit logs, four shapes, to operations."""

import json

import pytest

from parsers import _atlassian, atlassian
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

NO_CHANGE_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")
LEE = {"id": "u9", "name": "lee", "typeName": "USER"}


def jira(summary, kind="PROJECT", changed=None, **more):
    document = {
        "id": 7, "summary": summary, "remoteAddress": "198.51.100.9", "authorAccountId": "u7",
        "created": "2026-02-03T10:30:00.123+0000", "category": "c", "eventSource": "",
        "objectItem": {"id": "o1", "name": "Thing", "typeName": kind}, **more,
    }  # fmt: skip
    return document if changed is None else {**document, "changedValues": changed}


def confluence(summary, changed=(), **more):
    return {
        "author": {"type": "user", "displayName": "Kim", "accountId": "u7"}, "remoteAddress": "198.51.100.9",
        "creationDate": 1770114600123, "summary": summary, "category": "c",
        "affectedObject": {"name": "Home", "objectType": "Space"}, "changedValues": list(changed), **more,
    }  # fmt: skip


def datacenter(action, objects=(), changed=(), key="jira.auditing.x", **more):
    return {
        "affectedObjects": list(objects), "auditType": {"action": action, "actionI18nKey": key},
        "author": {"id": "10", "name": "kim", "type": "user"}, "changedValues": list(changed), "method": "Browser",
        "source": "198.51.100.9", "system": "https://jira.x.example",
        "timestamp": {"epochSecond": 1770114600, "nano": 514000000}, **more,
    }  # fmt: skip


def organization(action, **more):
    return {
        "id": "ev1", "type": "events",
        "attributes": {
            "time": "2026-02-03T10:30:00Z", "action": action,
            "actor": {"id": "u7", "name": "Kim", "email": "kim@x.example"}, "location": {"ip": "198.51.100.9"}, **more,
        },
    }  # fmt: skip


def test_a_changed_value_of_jira_has_who_when_where_old_and_new():
    document = jira(
        "Customer permissions changed", changed=[{"fieldName": "Access", "changedFrom": "a", "changedTo": "b"}]
    )
    assert one(atlassian.parse, document) == Operation(
        action="field.update",
        kind="jira",
        time=Time("2026-02-03T10:30:00.123+0000"),
        id="7",
        code="Customer permissions changed",
        object_type="project",
        object_id="o1",
        object_name="Thing",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "u7", "source.ip": "198.51.100.9"},
        changes=[Change("Access", "a", "b")],
        raw={"category": "c", "eventSource": ""},
    )


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ({"changedFrom": None, "changedTo": "x"}, Change("A", None, "x")),
        ({"changedFrom": "x", "changedTo": None}, Change("A", "x", None)),
        ({"changedTo": "x"}, Change("A", ABSENT, "x")),
        ({"changedFrom": "x"}, Change("A", "x", ABSENT)),
        ({"changedFrom": "", "changedTo": "x"}, Change("A", "", "x")),
        ({}, Change("A", UNKNOWN, UNKNOWN)),
    ],
)
def test_each_side_of_a_change_keeps_its_state(entry, change):
    assert one(atlassian.parse, jira("Scheme updated", "SCHEME", [{"fieldName": "A", **entry}])).changes == [change]


@pytest.mark.parametrize(
    ("summary", "kind", "action"),
    [
        ("User added to group", "group", "group.add"),
        ("User removed from group", "group", "group.remove"),
        ("User created", "user", "user.create"),
        ("User deactivated", "user", "user.disable"),
        ("User's password changed", "user", "password.change"),
        ("Global permission added", "permissions", "role.grant"),
        ("Global permission removed", "permissions", "role.revoke"),
        ("Permission scheme updated", "scheme", "config.update"),
        ("Permission scheme created", "scheme", "config.create"),
        ("Permission scheme added to project", "project", "record.link"),
        ("Project created", "project", "record.create"),
        ("Request type deleted", "project", "config.update"),
        ("Project role deleted", "project_role", "config.delete"),
        ("Personal access token created", "user", "token.create"),
        ("Customer invited notification changed", "project", "field.update"),
        ("Space exported", "space", "data.export"),
        ("Audit Log search performed", None, "record.search"),
        ("User login failed", None, "auth.login failure"),
        ("User login successful", None, "auth.login"),
        ("user_logged_out", None, "auth.logout"),
        ("api_token_revoked", None, "token.revoke"),
        ("Issue viewed", "issue", "record.view"),
        ("Benutzer erstellt", "user", "log.message"),
    ],
)
def test_summaries_become_our_actions(summary, kind, action):
    assert _atlassian.described(summary, kind) == action


def test_where_the_text_tells_nothing_the_key_does():
    op = one(
        atlassian.parse,
        datacenter("Benutzer hinzugefügt", [{"name": "g", "type": "GROUP"}], key="jira.auditing.user.added.to.group"),
    )
    assert (op.action, op.code) == ("group.add", "jira.auditing.user.added.to.group")


@pytest.mark.parametrize(
    "document",
    [
        jira("User added to group", "GROUP", associatedItems=[LEE]),
        datacenter(
            "User added to group",
            [{"id": "o1", "name": "Thing", "type": "GROUP"}, {"id": "u9", "name": "lee", "type": "USER"}],
        ),
        organization(
            "user_added_to_group",
            context=[
                {"id": "o1", "type": "groups", "attributes": {"name": "Thing"}},
                {"id": "u9", "type": "users", "attributes": {"name": "lee"}},
            ],
        ),
    ],
)
def test_a_change_of_membership_names_group_and_user(document):
    op = one(atlassian.parse, document)
    assert (op.action, op.object_type) == ("group.add", "group")
    told = {name: op.fields[name] for name in ("group.id", "group.name", "user.target.id", "user.target.name")}
    assert told == {"group.id": "o1", "group.name": "Thing", "user.target.id": "u9", "user.target.name": "lee"}
    assert not {"associatedItems", "affectedObjects", "context"} & {*op.raw, *op.raw.get("attributes", ())}


def test_what_is_created_or_deleted_has_values():
    op = one(atlassian.parse, jira("Project created", changed=[{"fieldName": "Key", "changedTo": "P"}]))
    assert (op.values, op.changes) == ({"Key": "P"}, [])
    op = one(atlassian.parse, confluence("Space deleted", [{"name": "Key", "oldValue": "P", "newValue": ""}]))
    assert (op.action, op.values) == ("record.delete", {"Key": "P"})


def test_an_update_that_names_no_field_says_so():
    assert one(atlassian.parse, jira("Workflow updated", "WORKFLOW")).missing == NO_CHANGE_TOLD


@pytest.mark.parametrize(
    ("moment", "time"),
    [
        ({"epochSecond": 1770114600, "nano": 514000000}, Time(1770114600514000, "epoch_us")),
        ({"epochSecond": 1770114600, "nano": 1}, Time("1770114600.000000001", "epoch_s")),
        ("2026-02-03T10:30:00Z", Time("2026-02-03T10:30:00Z")),
        ({"epochSecond": True, "nano": 1}, None),
        ({"epochSecond": 1, "nano": 10**9}, None),
    ],
)
def test_the_time_of_the_log_file_keeps_its_digits(moment, time):
    assert one(atlassian.parse, datacenter("x", timestamp=moment)).time == time


@pytest.mark.parametrize(
    ("author", "kind"),
    [
        ({"id": "-1", "name": "System"}, "system"),
        ({"id": "-2", "name": "Anonymous"}, "unknown"),
        ({"name": "kim"}, "user"),
    ],
)
def test_accounts_that_are_nobody_are_no_users(author, kind):
    op = one(atlassian.parse, datacenter("x", author=author))
    assert (op.actor_type, "user.name" in op.fields) == (kind, kind == "user")


def test_whoever_acts_for_another_is_told_apart():
    actor = {"id": "u7", "name": "Kim", "auth": {"tokenId": "t"}, "onBehalfOf": {"id": "u9", "name": "Lee"}}
    op = one(atlassian.parse, organization("policy_updated", actor=actor))
    assert (op.fields["user.id"], op.fields["user.effective.id"], op.interface) == ("u7", "u9", "api")


def test_an_address_behind_a_proxy_stays_as_it_is():
    op = one(atlassian.parse, datacenter("x", source="127.0.0.1,192.0.2.33"))
    assert "source.ip" not in op.fields and op.raw["source"] == "127.0.0.1,192.0.2.33"


def test_secrets_are_dropped():
    op = one(
        atlassian.parse,
        jira("Setting changed", "APP", [{"fieldName": "Client secret", "changedFrom": "a", "changedTo": "b"}]),
    )
    assert op.changes == [Change("Client secret", SECRET, SECRET)]
    op = one(
        atlassian.parse,
        confluence("x", [{"name": "Password", "oldValue": "a", "newValue": "b", "hiddenNewValue": "c"}]),
    )
    assert op.raw["changedValues"] == [{"name": "Password", "hiddenNewValue": "(secret dropped)"}]
    op = one(
        atlassian.parse,
        datacenter("x", extraAttributes=[{"name": "API key", "value": "a"}, {"name": "n", "value": "b"}]),
    )
    assert op.raw["extraAttributes"] == [{"name": "API key", "value": "(secret dropped)"}, {"name": "n", "value": "b"}]


@pytest.mark.parametrize(
    ("document", "translated"),
    [
        (
            jira(
                "Scheme updated",
                "SCHEME",
                [{"fieldName": "A", "changedFrom": "p", "changedTo": "q"}],
                authorKey="k",
                description="d",
            ),
            {"SCHEME", "Thing", "A"},
        ),
        (
            confluence(
                "Space updated",
                [{"name": "A", "oldValue": "p", "newValue": "q", "hiddenNewValue": "h"}],
                sysAdmin=False,
            ),
            {"user", "Space", "Home"},
        ),
        (
            datacenter(
                "Thing happened",
                [{"id": "1", "type": "THING", "uri": "https://u.example"}],
                [{"key": "A", "i18nKey": "k", "to": "v"}],
            ),
            {"user", "Browser", "THING", "1770114600", "514000000"},
        ),
        (
            organization("thing_happened", context=[{"id": "c1", "type": "things"}], container=[{"x": "y"}]),
            {"events", "things"},
        ),
    ],
)
def test_every_scalar_is_carried_exactly_once(document, translated):
    assert_nothing_is_lost_or_doubled(atlassian.parse, json.dumps(document).encode(), translated=translated)


def test_empty_answers_are_no_change_and_empty_lists_of_others_are_refused():
    assert one(atlassian.parse, {"records": [], "offset": 0, "limit": 1, "total": 0}).no_change is True
    assert one(atlassian.parse, {"entities": [], "pagingInfo": {}}).no_change is True
    for name in ("records", "results", "data", "entities"):
        assert isinstance(atlassian.parse(json.dumps({name: []}).encode(), CONTEXT), Rejected)
