"""GitHub's audit log: what its actions mean, what they are about, and where old values stand. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from parsers._contract import UNKNOWN, Change
from parsers._values import diff


class Described(NamedTuple):
    """Our action for one of GitHub's, and the outcome that its name tells."""

    action: str
    outcome: str | None = None


_KNOWN: Final[dict[str, str]] = {
    # Members, teams and roles.
    "org.add_member": "group.add",
    "org.remove_member": "group.remove",
    "org.add_outside_collaborator": "group.add",
    "org.remove_outside_collaborator": "group.remove",
    "org.invite_member": "user.invite",
    "org.update_member": "role.grant",
    "org.block_user": "user.disable",
    "org.unblock_user": "user.enable",
    "org.create": "record.create",
    "org.delete": "record.delete",
    "org.rename": "field.update",
    "business.add_admin": "role.grant",
    "business.remove_admin": "role.revoke",
    "business.add_billing_manager": "role.grant",
    "business.remove_billing_manager": "role.revoke",
    "business.remove_member": "group.remove",
    "business.invite_admin": "user.invite",
    "business.add_organization": "record.link",
    "business.remove_organization": "record.unlink",
    "team.create": "group.create",
    "team.destroy": "group.delete",
    "team.add_member": "group.add",
    "team.remove_member": "group.remove",
    "team.add_repository": "role.grant",
    "team.remove_repository": "role.revoke",
    "team.update_repository_permission": "role.grant",
    "team.promote_maintainer": "role.grant",
    "team.demote_maintainer": "role.revoke",
    "repo.add_member": "role.grant",
    "repo.update_member": "role.grant",
    "repo.remove_member": "role.revoke",
    "organization_role.assign": "role.grant",
    "organization_role.revoke": "role.revoke",
    "organization_role.create": "role.create",
    "organization_role.update": "role.update",
    "organization_role.destroy": "role.delete",
    "role.create": "role.create",
    "role.update": "role.update",
    "role.destroy": "role.delete",
    "user.create": "user.create",
    "user.delete": "user.delete",
    "user.suspend": "user.disable",
    "user.unsuspend": "user.enable",
    "user.promote": "role.grant",
    "user.demote": "role.revoke",
    "user.rename": "user.update",
    "user.change_password": "password.change",
    "user.forgot_password": "password.reset",
    "external_identity.deprovision": "user.disable",
    "external_identity.provision": "user.create",
    "external_identity.update": "user.update",
    "repository_invitation.create": "user.invite",
    "two_factor_authentication.enabled": "mfa.enable",
    "two_factor_authentication.disabled": "mfa.disable",
    # Signing in.
    "user.login": "auth.login",
    "user.failed_login": "auth.login",
    "user.logout": "auth.logout",
    "user.two_factor_challenge_success": "auth.mfa",
    "user.two_factor_challenge_failure": "auth.mfa",
    "org.sso_response": "auth.login",
    "business.sso_response": "auth.login",
    "staff.fake_login": "auth.impersonate",
    # Repositories and their content.
    "repo.create": "record.create",
    "repo.destroy": "record.delete",
    "repo.restore": "record.restore",
    "repo.rename": "field.update",
    "repo.access": "field.update",
    "repo.transfer": "field.update",
    "repo.archived": "field.update",
    "repo.unarchived": "field.update",
    "repo.add_topic": "tag.add",
    "repo.remove_topic": "tag.remove",
    "repo.download_zip": "file.download",
    "git.clone": "data.read",
    "git.fetch": "data.read",
    "git.push": "file.update",
    "org.audit_log_export": "data.export",
    "org.audit_log_git_event_export": "data.export",
    "business.audit_log_export": "data.export",
    "business.audit_log_git_event_export": "data.export",
    "codespaces.export_environment": "data.export",
    "migration.create": "data.export",
    "api.request": "api.request",
    # Tokens, keys and applications.
    "oauth_access.create": "token.create",
    "oauth_access.regenerate": "token.update",
    "oauth_access.update": "token.update",
    "oauth_access.destroy": "token.revoke",
    "oauth_access.revoke": "token.revoke",
    "personal_access_token.create": "token.create",
    "personal_access_token.destroy": "token.revoke",
    "personal_access_token.access_granted": "approval.grant",
    "personal_access_token.access_revoked": "token.revoke",
    "personal_access_token.credential_regenerated": "token.update",
    "personal_access_token.request_created": "approval.request",
    "personal_access_token.request_denied": "approval.deny",
    "org_credential_authorization.grant": "token.update",
    "org_credential_authorization.revoke": "token.revoke",
    "org_credential_authorization.deauthorized": "token.revoke",
    "public_key.create": "token.create",
    "public_key.update": "token.update",
    "public_key.delete": "token.revoke",
    "security_key.register": "mfa.enable",
    "security_key.remove": "mfa.disable",
    "oauth_application.generate_client_secret": "token.create",
    "oauth_application.remove_client_secret": "token.revoke",
    "oauth_application.reset_secret": "token.update",
    "oauth_application.revoke_tokens": "token.revoke",
    "oauth_application.revoke_all_tokens": "token.revoke",
    "integration.generate_client_secret": "token.create",
    "integration.remove_client_secret": "token.revoke",
    "integration.revoke_tokens": "token.revoke",
    "integration.revoke_all_tokens": "token.revoke",
    "oauth_authorization.create": "app.connect",
    "oauth_authorization.update": "app.update",
    "oauth_authorization.destroy": "app.disconnect",
    "org.oauth_app_access_requested": "approval.request",
    "org.oauth_app_access_approved": "approval.grant",
    "org.oauth_app_access_denied": "approval.deny",
    "integration_installation.create": "app.connect",
    "integration_installation.destroy": "app.disconnect",
    "integration_installation.suspend": "app.disconnect",
    "integration_installation.unsuspend": "app.connect",
    # Hooks, workflows, this log.
    "hook.create": "webhook.create",
    "hook.destroy": "webhook.delete",
    "workflows.created_workflow_run": "automation.start",
    "workflows.rerun_workflow_run": "automation.start",
    "workflows.completed_workflow_run": "automation.run",
    "workflows.enable_workflow": "automation.enable",
    "workflows.disable_workflow": "automation.disable",
    "workflows.delete_workflow_run": "record.delete",
    "workflows.approve_workflow_job": "approval.grant",
    "workflows.reject_workflow_job": "approval.deny",
    "audit_log_streaming.create": "audit.enable",
    "audit_log_streaming.destroy": "audit.disable",
    "protected_branch.policy_override": "log.message",
    "protected_branch.rejected_ref_update": "log.message",
}
_WHOLE: Final = {
    "team": "group.update",
    "hook": "webhook.update",
    "integration_installation": "app.update",
    "user": "user.update",
    "git": "log.message",
    "workflows": "log.message",
}
"""Actions of these categories that are not known by their names."""
_FAILED: Final = frozenset(
    {"user.failed_login", "user.two_factor_challenge_failure", "protected_branch.rejected_ref_update"}
)
_RECORDS: Final = frozenset(
    {
        "artifact", "code_scanning_alert", "codespaces", "dependabot_alert", "discussion", "discussion_comment",
        "discussion_post", "gist", "issue", "issue_comment", "issues", "milestone", "package", "packages", "project",
        "project_field", "project_view", "pull_request", "pull_request_review", "pull_request_review_comment",
        "release", "repo", "repository_vulnerability_alert", "secret_scanning_alert", "team_discussions",
    }
)  # fmt: skip
"""Categories whose objects are records of work; those of all others are settings."""
_VERBS: Final = {
    **dict.fromkeys(("create", "created", "add", "added", "register", "publish", "opened"), "create"),
    **dict.fromkeys(("destroy", "delete", "deleted", "remove", "removed", "dismiss"), "delete"),
    **dict.fromkeys(
        (
            "update", "updated", "set", "change", "changed", "edit", "enable", "enabled", "disable", "disabled",
            "clear", "rename", "transfer", "merge", "resolve", "reopen", "close", "submit", "suspend", "unsuspend",
            "require",
        ),
        "update",
    ),
}  # fmt: skip
_OPERATIONS: Final = {
    "create": "create",
    "modify": "update",
    "remove": "delete",
    "transfer": "update",
    "restore": "restore",
    "authentication": "auth.login",
}
"""GitHub's own `operation_type`."""
UPDATES: Final = frozenset({"field.update", "config.update", "user.update", "group.update"})
CONCLUSIONS: Final = {"success": "success", "failure": "failure", "timed_out": "failure", "startup_failure": "failure"}


def described(action: str, operation_type: str) -> Described:
    """What an action means: by its name, by its category, by the verb in it, by GitHub's type of operation."""
    outcome = "failure" if action in _FAILED else None
    known = _KNOWN.get(action)
    category, _, verb = action.partition(".")
    if known is None:
        known = _WHOLE.get(category)
    if known is None:
        words = verb.rpartition(".")[2].split("_")
        ours = _VERBS.get(words[0]) or _VERBS.get(words[-1])
        if ours is None and "export" in words:
            return Described("data.export")
        ours = ours or _OPERATIONS.get(operation_type)
        if ours is None or "." in ours:
            known = ours or "log.message"
        elif category in _RECORDS and len(words) == 1:
            known = "field.update" if ours == "update" else f"record.{ours}"
        else:
            known = "record.restore" if ours == "restore" else f"config.{ours}"
    if known.startswith("auth.") and outcome is None:
        outcome = "success" if action.startswith("user.") else None
    return Described(known, outcome)


# -- what it is about -------------------------------------------------------------------------------------------------

OBJECTS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "repo": ("repo", ("repo_id", "repository_id"), ("repo", "repository")),
    "org": ("org", ("org_id",), ("org",)),
    "business": ("business", ("business_id",), ("business", "enterprise")),
    "team": ("team", ("team_id",), ("team",)),
    "user": ("user", ("user_id",), ("user",)),
    "hook": ("hook", ("hook_id",), ("name",)),
    "protected_branch": ("protected_branch", ("protected_branch_id",), ("name", "branch")),
    "repository_ruleset": ("ruleset", ("ruleset_id",), ("ruleset_name",)),
    "environment": ("environment", ("environment_id",), ("environment_name", "name")),
    "workflows": ("workflow", ("workflow_id",), ("workflow_name", "name")),
    "integration": ("integration", ("integration_id",), ("integration", "name")),
    "integration_installation": ("integration", ("installation_id", "integration_id"), ("integration", "name")),
    "oauth_access": ("token", ("oauth_access_id", "token_id"), ("oauth_application_name", "oauth_application")),
    "oauth_authorization": ("oauth_application", ("oauth_application_id",), ("oauth_application_name",)),
    "oauth_application": ("oauth_application", ("oauth_application_id",), ("oauth_application_name",)),
    "personal_access_token": (
        "token", ("user_programmatic_access_id", "token_id"), ("user_programmatic_access_name",),
    ),
    "public_key": ("public_key", ("public_key_id", "key_id"), ("title", "fingerprint")),
    "pull_request": ("pull_request", ("pull_request_id",), ("pull_request_title",)),
    "organization_role": ("role", ("organization_role_id", "role_id"), ("role_name", "name")),
    "role": ("role", ("role_id",), ("role_name", "name")),
    "api": ("route", (), ("route",)),
}  # fmt: skip
"""Category of an action -> type of the object, members with its id, members with its name."""
_ABOUT_USER: Final = frozenset({"role.grant", "role.revoke", "user.invite", "user.disable", "user.enable"})


_OF_ITSELF: Final = frozenset({"app", "approval", "automation", "record", "role", "token", "webhook"})
"""First words of actions whose object is never the repository or organization around it."""
_USERS: Final = frozenset({"user", "two_factor_authentication", "external_identity", "security_key"})


def objects(action: str, ours: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """What the object may be, the nearest first: type, members with its id, members with its name."""
    category, _, verb = action.partition(".")
    if category in _USERS or (category != "team" and ours in _ABOUT_USER):
        return [OBJECTS["user"]]
    found = []
    words = verb.split("_")
    if verb.startswith("audit_log_"):
        return [("audit_log", (), ())]
    if verb.startswith("oauth_app_access"):
        return [OBJECTS["oauth_application"]]
    if ours in {"config.create", "config.delete"} and len(words) > 1 and words[0] in _VERBS:
        noun = "_".join(words[1:])  # "create_actions_secret" is not about the repository
        return [(noun, (f"{noun}_id",), ("key", f"{noun}_name", noun, "name"))]
    if category in OBJECTS:
        found.append(OBJECTS[category])
    elif category not in {"git", "repository"}:
        found.append((category, (f"{category}_id",), (f"{category}_name", category)))
    if found and ours.partition(".")[0] in _OF_ITSELF:
        return found
    return [*found, *(OBJECTS[name] for name in ("repo", "org", "business"))]


# -- old and new ------------------------------------------------------------------------------------------------------

_OLD_FIRST: Final = ("old_", "previous_")
_OLD_LAST: Final = ("_was", "_were")
_NOT_THE_FIELDS: Final = frozenset({"old_permissions"})
"""What the same change means in other words; it stays in the rest."""


def pairs(item: dict[str, Any]) -> list[Change]:
    """Pop what stands in an old and a new member: `old_x` or `previous_x` or `x_was` beside `x` or `new_x`."""
    found = []
    for name in list(item):
        field = _field_of(name)
        if field is None or name not in item or name in _NOT_THE_FIELDS:
            continue
        new = next((member for member in (f"new_{field}", field) if member in item), None)
        if name == "old_user":
            new = "owner" if "owner" in item else None  # `user` beside it is somebody else
        old = item.pop(name)
        found.append(Change(field, old, UNKNOWN if new is None else item.pop(new)))
    return [change for found_one in found for change in _opened(found_one)]


def _field_of(name: str) -> str | None:
    for prefix in _OLD_FIRST:
        if name.startswith(prefix) and len(name) > len(prefix):
            return name[len(prefix) :]
    for suffix in _OLD_LAST:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    head, found, tail = name.partition("_old_")
    return f"{head}_{tail}" if found and head and tail else None


def _opened(change: Change) -> list[Change]:
    """The members of a changed object one by one, so that a secret among them is found by its name."""
    old, new = change.old, change.new
    if not isinstance(old, dict) and not isinstance(new, dict) and not _objects(old) and not _objects(new):
        return [change]
    return diff({change.field: old}, {change.field: new}) or [change]


def _objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(member, dict) for member in value)


def told(changes: dict[str, Any]) -> list[Change]:
    """Pop the members of `changes`: pairs in one of three forms, else new values alone."""
    found = pairs(changes)
    for name in list(changes):
        value = changes[name]
        if not name:
            continue
        if isinstance(value, dict):
            for old, new in (("from", "to"), ("old", "new"), ("old_value", "new_value")):
                if value.keys() == {old, new}:
                    found += _opened(Change(name, value[old], value[new]))
                    del changes[name]
                    break
        else:
            found.append(Change(name, UNKNOWN, value, derivation="new_only"))
            del changes[name]
    return found


_SINGLE: Final = {
    "repo.access": "visibility",
    "gist.visibility_change": "visibility",
    "org.update_member": "permission",
    "org.update_default_repository_permission": "permission",
    "repo.update_member": "permission",
    "team.update_repository_permission": "permission",
    "hook.active_changed": "active",
    "hook.events_changed": "events",
    "billing.change_email": "email",
}
_SETTERS: Final = ("update_", "set_", "change_")
_SWITCHES: Final = {"enable": True, "enabled": True, "disable": False, "disabled": False}
_SAID: Final = {"repo.archived": ("archived", True), "repo.unarchived": ("archived", False)}


def single(action: str, ours: str, item: dict[str, Any]) -> list[Change]:
    """A change of which only the new value is told: by a member, which is popped, or by the action's own name."""
    if ours not in UPDATES and action not in _SINGLE:
        return []
    category, _, rest = action.partition(".")
    verb = rest.rpartition(".")[2]
    name = _SINGLE.get(action)
    if name is None:
        name = next((verb.removeprefix(setter) for setter in _SETTERS if verb.startswith(setter)), None)
    if name is not None and name not in item:
        name = name.rpartition("_")[2]  # "set_actions_retention_limit" has a member `limit`
    value = item.get(name) if name else None
    if name is not None and value is not None and not isinstance(value, dict):
        return [Change(name, UNKNOWN, item.pop(name), derivation="new_only")]
    said = _SAID.get(action)
    if said is None:
        words = verb.split("_")
        for place in (0, -1):
            if words[place] in _SWITCHES:
                left = words[1:] if place == 0 else words[:-1]
                field = "_".join(left) or rest.rpartition(".")[0] or category
                said = (field, _SWITCHES[words[place]])
                break
    return [] if said is None else [Change(said[0], UNKNOWN, said[1], derivation="new_only")]
