"""Slack's audit actions: what they mean, and where their old and new values stand. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import UNKNOWN, Change
from parsers._values import diff

UPDATES: Final = frozenset(
    {"field.update", "config.update", "user.update", "group.update", "app.update", "file.update"}
)

_KNOWN: Final[dict[str, str]] = {
    "user_login": "auth.login",
    "user_login_failed": "auth.login",
    "cli_login": "auth.login",
    "user_logout": "auth.logout",
    "cli_logout": "auth.logout",
    "user_logout_compromised": "session.revoke",
    "user_logout_non_compliant_mobile_app_version": "session.revoke",
    "user_session_invalidated": "session.revoke",
    "user_session_reset_by_admin": "session.revoke",
    "bulk_session_reset_by_admin": "session.revoke",
    "user_created": "user.create",
    "guest_created": "user.create",
    "user_deactivated": "user.disable",
    "guest_deactivated": "user.disable",
    "guest_expired": "user.disable",
    "user_reactivated": "user.enable",
    "guest_reactivated": "user.enable",
    "user_email_updated": "user.update",
    "user_username_updated": "user.update",
    "user_profile_updated": "user.update",
    "user_profile_deleted": "user.update",
    "user_session_settings_changed": "user.update",
    "guest_expiration_set": "user.update",
    "guest_expiration_cleared": "user.update",
    "user_joined_workspace": "group.add",
    "guest_joined_workspace": "group.add",
    "user_added_to_usergroup": "group.add",
    "user_removed_from_usergroup": "group.remove",
    "user_channel_join": "group.add",
    "guest_channel_join": "group.add",
    "user_channel_leave": "group.remove",
    "guest_channel_leave": "group.remove",
    "dm_user_added": "group.add",
    "usergroup_created": "group.create",
    "usergroup_updated": "group.update",
    "usergroup_deleted": "group.delete",
    "role_change_to_admin": "role.grant",
    "role_change_to_owner": "role.grant",
    "role_change_to_user": "role.grant",
    "role_change_to_guest": "role.grant",
    "owner_transferred": "role.grant",
    "admin_removed": "role.revoke",
    "owner_removed": "role.revoke",
    "role_assigned": "role.grant",
    "role_removed": "role.revoke",
    "permissions_assigned": "role.grant",
    "permissions_removed": "role.revoke",
    "file_downloaded": "file.download",
    "file_downloaded_blocked": "file.download",
    "file_uploaded": "file.upload",
    "file_deleted": "file.delete",
    "file_shared": "record.share",
    "file_public_link_created": "record.share",
    "file_public_link_revoked": "record.unshare",
    "workflow_responses_csv_download": "data.export",
    "app_installed": "app.connect",
    "org_app_installed": "app.connect",
    "org_app_workspace_added": "app.connect",
    "app_uninstalled": "app.disconnect",
    "org_app_uninstalled": "app.disconnect",
    "org_app_workspace_removed": "app.disconnect",
    "app_approved": "approval.grant",
    "app_restricted": "approval.deny",
    "app_removed_from_whitelist": "approval.deny",
    "app_scopes_expanded": "app.update",
    "app_resources_granted": "app.update",
    "app_collaborator_added": "app.update",
    "app_collaborator_removed": "app.update",
    "app_token_preserved": "app.update",
    "cli_app_deploy": "app.update",
    "bot_token_upgraded": "token.update",
    "bot_token_downgraded": "token.update",
    "workflow_created": "automation.create",
    "workflow_deleted": "automation.delete",
    "workflow_published": "automation.enable",
    "workflow_unpublished": "automation.disable",
    "message_tombstoned": "record.delete",
    "message_restored": "record.restore",
    "message_flagged": "log.message",
    "channel_renamed": "field.update",
    "channel_moved": "field.update",
    "channel_workspaces_updated": "field.update",
    "organization_renamed": "config.update",
    "external_shared_channel_connected": "record.share",
    "external_shared_channel_reconnected": "record.share",
    "external_shared_channel_disconnected": "record.unshare",
    "external_shared_channel_invite_sent": "approval.request",
    "external_shared_channel_invite_approved": "approval.grant",
    "external_shared_channel_invite_accepted": "approval.grant",
    "external_shared_channel_invite_declined": "approval.deny",
    "billing_address_added": "config.update",
    "anomaly": "log.message",
}
_FAILED: Final = frozenset({"user_login_failed", "file_downloaded_blocked"})
_SUCCEEDED: Final = frozenset({"user_login", "cli_login", "file_downloaded"})
_EXPORT: Final = re.compile(r"_export_(?:started|completed|downloaded)$").search
_BEGINNINGS: Final = (
    ("pref.", "config.update"),
    ("ekm_", "config.update"),
    ("idp_", "config.update"),
    ("corporate_exports_", "config.update"),
)
_SETTINGS: Final = ("barrier_", "domain_", "idp_configuration_", "approved_orgs_", "ekm_key_", "channel_email_address_")
"""Beginnings of actions whose objects are settings, not records."""
_LAST_WORDS: Final = {
    **dict.fromkeys(("created", "added", "generated"), "create"),
    **dict.fromkeys(("deleted", "removed", "revoked"), "delete"),
    **dict.fromkeys(
        ("updated", "changed", "renamed", "set", "cleared", "archive", "unarchive", "private", "aliased"), "update"
    ),
    **dict.fromkeys(("enabled", "disabled"), "switch"),
    **dict.fromkeys(("viewed", "opened", "preview", "previewed"), "view"),
}


def described(action: str) -> tuple[str, str | None]:
    """Our action for one of Slack's, and the outcome that its name tells."""
    outcome = "failure" if action in _FAILED else "success" if action in _SUCCEEDED else None
    known = _KNOWN.get(action)
    if known is not None:
        return known, outcome
    if _EXPORT(action):
        return "data.export", None
    verb = _LAST_WORDS.get(action.rpartition("_")[2])
    if action.startswith(_SETTINGS) and verb in {"create", "delete", "update"}:
        return f"config.{verb}", None
    for beginning, ours in _BEGINNINGS:
        if action.startswith(beginning):
            return ours, None
    if verb is None:
        return "log.message", None
    if verb == "switch":
        return "config.update", None
    return ("field.update" if verb == "update" else f"record.{verb}"), None


# -- old and new ------------------------------------------------------------------------------------------------------

_SAID: Final = {
    "role_change_to_admin": ("role", "admin"),
    "role_change_to_owner": ("role", "owner"),
    "role_change_to_user": ("role", "user"),
    "role_change_to_guest": ("role", "guest"),
    "owner_transferred": ("role", "owner"),
    "public_channel_archive": ("archived", True),
    "private_channel_archive": ("archived", True),
    "public_channel_unarchive": ("archived", False),
    "private_channel_unarchive": ("archived", False),
    "public_channel_converted_to_private": ("privacy", "private"),
    "private_channel_converted_to_public": ("privacy", "public"),
    "group_converted_to_channel": ("privacy", "public"),
    "mpim_converted_to_private": ("privacy", "private"),
}
_PREFIXES: Final = ("previous_", "old_")
_NOT_A_CHANGE: Final = frozenset({"previous_ip_address", "previous_ua"})
_LISTS: Final = frozenset({"type", "user", "subteam", "scopes", "bot_scopes", "channels"})
"""Lists in which order means nothing."""


def said(action: str) -> list[Change]:
    """A new state that only the action's name tells."""
    known = _SAID.get(action)
    return [Change(known[0], UNKNOWN, known[1], derivation="new_only")] if known else []


def changes(action: str, details: dict[str, Any]) -> list[Change]:
    """Pop what stands in an old and a new member: `previous_x` or `old_x` beside `new_x` or `x`."""
    found: list[Change] = []
    for name in list(details):
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is None or name in _NOT_A_CHANGE or name not in details:
            continue
        stem = name[len(prefix) :]
        other = next((member for member in (f"new_{stem}", stem) if member in details), None)
        if other is None or not stem:
            continue
        found += _compared(_field(action, stem), details.pop(name), details.pop(other))
    if not found and "new_value" in details:
        found.append(Change(_field(action, "value"), UNKNOWN, details.pop("new_value"), derivation="new_only"))
    return found


def _field(action: str, stem: str) -> str:
    """What was changed: of a bare `value` the preference that the action is called after."""
    if stem != "value":
        return stem
    return action.removeprefix("pref.").removesuffix("_changed").removesuffix("_updated") or stem


def _compared(field: str, old: Any, new: Any) -> list[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        pair = (old, new) if field == "profile" else ({field: old}, {field: new})
        return diff(*pair, sets=_LISTS) or [Change(field, old, new)]
    return [Change(field, old, new)]
