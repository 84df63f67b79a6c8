"""What the events of Google Workspace come to in our vocabulary. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

_ADMIN: Final = {
    "CREATE_USER": "user.create",
    "DELETE_USER": "user.delete",
    "UNDELETE_USER": "record.restore",
    "SUSPEND_USER": "user.disable",
    "ARCHIVE_USER": "user.disable",
    "UNSUSPEND_USER": "user.enable",
    "UNARCHIVE_USER": "user.enable",
    "CHANGE_PASSWORD": "password.reset",
    "GRANT_ADMIN_PRIVILEGE": "role.grant",
    "GRANT_DELEGATED_ADMIN_PRIVILEGES": "role.grant",
    "ASSIGN_ROLE": "role.grant",
    "REVOKE_ADMIN_PRIVILEGE": "role.revoke",
    "UNASSIGN_ROLE": "role.revoke",
    "CREATE_ROLE": "role.create",
    "DELETE_ROLE": "role.delete",
    "RENAME_ROLE": "role.update",
    "UPDATE_ROLE": "role.update",
    "ADD_PRIVILEGE": "role.update",
    "REMOVE_PRIVILEGE": "role.update",
    "TURN_OFF_2_STEP_VERIFICATION": "mfa.disable",
    "UNENROLL_USER_FROM_STRONG_AUTH": "mfa.disable",
    "RESET_SIGNIN_COOKIES": "session.revoke",
    "SIGN_OUT_USER": "session.revoke",
    "REVOKE_3LO_TOKEN": "token.revoke",
    "REVOKE_3LO_DEVICE_TOKENS": "token.revoke",
    "REVOKE_ASP": "token.revoke",
    "GENERATE_2SV_SCRATCH_CODES": "token.create",
    "CREATE_GROUP": "group.create",
    "DELETE_GROUP": "group.delete",
    "ADD_GROUP_MEMBER": "group.add",
    "REMOVE_GROUP_MEMBER": "group.remove",
    "AUTHORIZE_API_CLIENT_ACCESS": "app.connect",
    "ADD_APPLICATION": "app.connect",
    "REMOVE_API_CLIENT_ACCESS": "app.disconnect",
    "REMOVE_APPLICATION": "app.disconnect",
    "CREATE_APPLICATION_SETTING": "config.create",
    "DELETE_APPLICATION_SETTING": "config.delete",
    "CUSTOMER_TAKEOUT_CREATED": "data.export",
    "CUSTOMER_TAKEOUT_SUCCEEDED": "data.export",
    "DOWNLOAD_USERLIST_CSV": "data.export",
    "EMAIL_LOG_SEARCH": "record.search",
}
_LOGIN: Final = {
    "login_success": "auth.login",
    "login_failure": "auth.login",
    "login_challenge": "auth.mfa",
    "login_verification": "auth.mfa",
    "logout": "auth.logout",
    "password_edit": "password.change",
    "2sv_enroll": "mfa.enable",
    "passkey_enrolled": "mfa.enable",
    "2sv_disable": "mfa.disable",
    "passkey_removed": "mfa.disable",
    "recovery_email_edit": "user.update",
    "recovery_phone_edit": "user.update",
    "recovery_secret_qa_edit": "user.update",
    "titanium_enroll": "user.update",
    "titanium_unenroll": "user.update",
}
_DRIVE: Final = {
    "view": "file.access",
    "preview": "file.access",
    "print": "file.access",
    "download": "file.download",
    "upload": "file.upload",
    "create": "file.create",
    "copy": "file.create",
    "edit": "file.update",
    "rename": "file.update",
    "move": "file.update",
    "trash": "file.delete",
    "delete": "file.delete",
    "untrash": "record.restore",
    "change_user_access": "record.share",
    "change_document_visibility": "record.share",
    "change_document_access_scope": "record.share",
    "shared_drive_membership_change": "record.share",
    "change_owner": "file.update",
}
_TOKEN: Final = {
    "authorize": "app.connect",
    "revoke": "app.disconnect",
    "activity": "token.use",
    "request": "token.use",
}
_GROUPS: Final = {
    "create_group": "group.create",
    "delete_group": "group.delete",
    "add_member": "group.add",
    "add_user": "group.add",
    "accept_invitation": "group.add",
    "approve_join_request": "group.add",
    "join": "group.add",
    "remove_member": "group.remove",
    "remove_user": "group.remove",
    "ban_user_with_moderation": "group.remove",
}
_BY_APPLICATION: Final = {
    "admin": _ADMIN,
    "login": _LOGIN,
    "user_accounts": _LOGIN,
    "saml": _LOGIN,
    "drive": _DRIVE,
    "token": _TOKEN,
    "groups": _GROUPS,
    "groups_enterprise": _GROUPS,
}
_BY_TYPE: Final = {
    "USER_SETTINGS": "user.update",
    "GROUP_SETTINGS": "group.update",
    "DELEGATED_ADMIN_SETTINGS": "role.update",
}


@cache
def _patterns() -> tuple[tuple[Callable[[str], object], str], ...]:
    return tuple(
        (re.compile(pattern).search, action)
        for pattern, action in (
            (r"^login:account_disabled", "user.disable"),
            (r"^groups(?:_enterprise)?:change_", "group.update"),
            (r"^admin:(?:CREATE|ADD)_", "config.create"),
            (r"^admin:(?:DELETE|REMOVE)_", "config.delete"),
            (r"^admin:(?:CHANGE|UPDATE|TOGGLE|ENFORCE|ALLOW|EDIT|SET|ENABLE|DISABLE|RENAME|MOVE)_", "config.update"),
            (r"(?i)takeout|export|download", "data.export"),
        )
    )


@lru_cache(maxsize=1024)
def _known(application: str, name: str, kind: str) -> str:
    action = _BY_APPLICATION.get(application, {}).get(name)
    if action is None and application == "admin":
        action = _BY_TYPE.get(kind)
    if action is None:
        text = f"{application}:{name}"
        action = next((action for matches, action in _patterns() if matches(text)), None)
    return action or "log.message"


def action_of(application: str, name: str, kind: str) -> str:
    """Our action for an event of an application, by its name and type; `log.message` where nothing is known of it."""
    return _known(application, name, kind) if len(name) + len(kind) <= 300 else "log.message"
