"""GitHub audit log: events and CSV rows to operations."""

import json

import pytest

from parsers import github
from parsers._contract import SECRET, UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

NO_CHANGE_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


def event(action, **more):
    return {
        "@timestamp": 1767441600123,
        "_document_id": "d1",
        "action": action,
        "actor": "kim-q",
        "actor_id": 7,
        "org": "acme",
        "org_id": 11,
        **more,
    }


def op_of(action, **more):
    return one(github.parse, event(action, **more))


def test_a_changed_permission_is_a_granted_role_with_all_that_the_event_says():
    document = event(
        "org.update_member", user="lee", user_id=9, permission="admin", old_permission="read", actor_ip="198.51.100.9"
    )
    assert one(github.parse, document) == Operation(
        action="role.grant",
        kind="audit",
        time=Time(1767441600123, "epoch_ms"),
        id="d1",
        code="org.update_member",
        object_type="user",
        object_id="9",
        object_name="lee",
        actor_type="user",
        actor_confidence="asserted",
        fields={
            "user.name": "kim-q",
            "user.id": "7",
            "source.ip": "198.51.100.9",
            "organization.id": "11",
            "organization.name": "acme",
            "user.target.name": "lee",
            "user.target.roles": ["read"],
            "user.changes.roles": ["admin"],
        },
        changes=[Change("permission", "read", "admin")],
    )


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        ("read", "admin", "role.grant"),
        ("admin", "write", "role.revoke"),
        ("read", None, "role.revoke"),
        (None, "read", "role.grant"),
        ("custom", "other", "role.grant"),
    ],
)
def test_a_lower_permission_is_a_revoked_role(old, new, action):
    op = op_of("repo.update_member", user="lee", old_repo_permission=old, new_repo_permission=new)
    assert (op.action, op.changes) == (action, [Change("repo_permission", old, new)])


@pytest.mark.parametrize(
    ("members", "change"),
    [
        ({"previous_visibility": "private", "visibility": "public"}, Change("visibility", "private", "public")),
        ({"events_were": ["push"], "events": ["push", "fork"]}, Change("events", ["push"], ["push", "fork"])),
        ({"active_was": True, "active": False}, Change("active", True, False)),
        ({"old_policy": "a", "new_policy": None}, Change("policy", "a", None)),
        ({"ruleset_old_name": "a", "ruleset_name2": 1}, Change("ruleset_name", "a", UNKNOWN)),
        ({"changes": {"x": {"from": 1, "to": 2}}}, Change("x", 1, 2)),
        ({"changes": {"x": "new"}}, Change("x", UNKNOWN, "new", derivation="new_only")),
        ({"data": {"old_x": 1, "x": 2}}, Change("x", 1, 2)),
    ],
)
def test_old_and_new_values_are_found_in_each_of_their_places(members, change):
    assert op_of("frobnicate.update", **members).changes == [change]


@pytest.mark.parametrize(
    ("action", "members", "ours", "kind"),
    [
        ("org.add_member", {"user": "lee"}, "group.add", "org"),
        ("team.remove_member", {"team": "a/b", "user": "lee"}, "group.remove", "team"),
        ("repo.create", {"repo": "acme/x", "repo_id": 5}, "record.create", "repo"),
        ("repo.create_actions_secret", {"repo": "acme/x", "key": "K"}, "config.create", "actions_secret"),
        ("protected_branch.create", {"name": "main", "repo": "acme/x"}, "config.create", "protected_branch"),
        ("hook.destroy", {"hook_id": 3}, "webhook.delete", "hook"),
        ("oauth_access.create", {}, "token.create", "token"),
        ("integration_installation.destroy", {"integration": "Bot"}, "app.disconnect", "integration"),
        ("workflows.disable_workflow", {"workflow_id": 4}, "automation.disable", "workflow"),
        ("two_factor_authentication.disabled", {"user": "lee"}, "mfa.disable", "user"),
        ("audit_log_streaming.destroy", {}, "audit.disable", "org"),
        ("org.audit_log_export", {}, "data.export", "audit_log"),
        ("git.clone", {"repo": "acme/x"}, "data.read", "repo"),
        ("pull_request.create", {"pull_request_id": 9}, "record.create", "pull_request"),
        ("frobnicate.zap", {"operation_type": "remove"}, "config.delete", "org"),
        ("frobnicate.zap", {}, "log.message", "org"),
    ],
)
def test_actions_become_ours_with_their_objects(action, members, ours, kind):
    op = op_of(action, **members)
    assert (op.action, op.object_type, op.code) == (ours, kind, action)


def test_a_failed_login_is_a_failure():
    assert (op_of("user.failed_login").outcome, op_of("user.login").outcome) == ("failure", "success")


def test_an_update_that_names_no_field_says_so():
    assert op_of("org.oauth_policy_change", operation_type="modify").missing == NO_CHANGE_TOLD


def test_what_the_name_of_an_action_switches_is_a_change_of_which_only_the_new_value_is_known():
    assert op_of("secret_scanning.disable", repo="acme/x").changes == [
        Change("secret_scanning", UNKNOWN, False, derivation="new_only")
    ]
    assert op_of("org.enable_saml").changes == [Change("saml", UNKNOWN, True, derivation="new_only")]


def test_a_renamed_repository_has_its_new_name_from_the_event():
    op = op_of("repo.rename", repo="acme/new", old_name="old")
    assert op.changes == [Change("name", "old", "new", derivation="reconstructed")]


@pytest.mark.parametrize(
    ("members", "kind", "confidence", "interface"),
    [
        ({"user_agent": "Mozilla/5.0"}, "user", "asserted", "ui"),
        ({"programmatic_access_type": "OAuth access token"}, "user", "asserted", "api"),
        ({"programmatic_access_type": "GitHub App server-to-server token"}, "automation", "asserted", "api"),
        ({"programmatic_access_type": "Deploy key"}, "api_key", "asserted", "api"),
        ({"actor": "x[bot]"}, "automation", "inferred", None),
        ({"actor_is_bot": True}, "automation", "asserted", None),
        ({"actor": None}, "unknown", "unknown", None),
    ],
)
def test_people_keys_and_automations_are_told_apart(members, kind, confidence, interface):
    op = op_of("repo.create", **members)
    assert (op.actor_type, op.actor_confidence, op.interface) == (kind, confidence, interface)


def test_secrets_in_hooks_are_dropped():
    op = op_of(
        "hook.config_changed",
        config={"secret": "new", "url": "https://u:p@x.example/?token=abc&a=1"},
        config_was={"secret": "old", "url": "https://u:p@x.example/?token=abd&a=1"},
    )
    assert op.changes == [Change("config.secret", SECRET, SECRET)]
    op = op_of("hook.create", config={"secret": "s", "url": "https://x.example/services/T1/B2/cdE"})
    assert op.raw["config"] == {
        "secret": "(secret dropped)", "url": "https://x.example/services/T1/B2/(secret dropped)",
    }  # fmt: skip


def test_a_row_of_the_csv_export_is_read_by_its_header_in_any_writing():
    record = b"Action,ACTOR,created at,Org,Old Permission,permission,User,x\norg.update_member,kim,1767441600123,acme,read,admin,lee,y"
    op = github.parse(record, CONTEXT)[0]
    assert (op.action, op.changes, op.raw) == ("role.grant", [Change("permission", "read", "admin")], {"x": "y"})
    assert op.time == Time(1767441600123, "epoch_ms")


@pytest.mark.parametrize(
    "record",
    [
        b"a,b\n1,2",
        b"action,actor,created_at\nrepo.create,kim,1",
        b"action,org\nrepo.create,acme",
        b"action,actor,org,created_at",
    ],
)
def test_other_csv_is_refused(record):
    assert isinstance(github.parse(record, CONTEXT), Rejected)


def test_every_scalar_is_carried_exactly_once():
    document = event(
        "repo.update_member", user="lee", user_id=9, old_repo_permission="write", new_repo_permission="none",
        hashed_token="h", token_id=3, request_id="r", actor_location={"country_code": "DE"}, user_agent="curl",
        data={"x": ["p", {"q": "z"}]}, created_at=1767441600124, external_identity_nameid="k@x.example",
    )  # fmt: skip
    # The roles before and after stand in the change and, for queries, at the user.
    assert_nothing_is_lost_or_doubled(github.parse, json.dumps(document).encode(), translated={"write", "none"})
