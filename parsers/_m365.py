"""What the operations of Microsoft 365's unified audit log come to in our vocabulary. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

from parsers._microsoft import directory_action

_EXACT: Final = {
    "UserLoggedIn": "auth.login",
    "UserLoginFailed": "auth.login",
    "MailboxLogin": "auth.login",
    "UserLoggedOff": "auth.logout",
    "TeamsSessionStarted": "session.start",
    "FolderBind": "record.view",
    "MessageBind": "record.view",
    "MailItemsAccessed": "record.view",
    "Send": "email.send",
    "SendAs": "email.send",
    "SendOnBehalf": "email.send",
    "SoftDelete": "record.delete",
    "MoveToDeletedItems": "record.delete",
    "HardDelete": "record.purge",
    "UpdateInboxRules": "config.update",
    "AddFolderPermissions": "role.grant",
    "ModifyFolderPermissions": "role.grant",
    "RemoveFolderPermissions": "role.revoke",
    "FileRestored": "record.restore",
    "SharingSet": "record.share",
    "SharingRevoked": "record.unshare",
    "AddedToSecureLink": "record.share",
    "RemovedFromSecureLink": "record.unshare",
    "SiteCollectionAdminAdded": "role.grant",
    "SiteCollectionAdminRemoved": "role.revoke",
    "PermissionLevelAdded": "role.create",
    "PermissionLevelModified": "role.update",
    "PermissionLevelRemoved": "role.delete",
    "AddedToGroup": "group.add",
    "RemovedFromGroup": "group.remove",
    "GroupAdded": "group.create",
    "GroupRemoved": "group.delete",
    "GroupUpdated": "group.update",
    "SearchQueryPerformed": "record.search",
    "SearchExported": "data.export",
    "SearchExportDownloaded": "data.export",
    "ViewedSearchExported": "data.export",
    "ExportReport": "data.export",
    "ExportArtifact": "data.export",
    "DownloadReport": "data.export",
    "ViewReport": "report.run",
    "TeamCreated": "group.create",
    "TeamDeleted": "group.delete",
    "TeamSettingChanged": "group.update",
    "MemberAdded": "group.add",
    "MemberRemoved": "group.remove",
    "MemberRoleChanged": "role.grant",
    "AppInstalled": "app.connect",
    "AppUninstalled": "app.disconnect",
    "BotAddedToTeam": "app.connect",
    "BotRemovedFromTeam": "app.disconnect",
    "ConnectorAdded": "app.connect",
    "ConnectorRemoved": "app.disconnect",
    "ConnectorUpdated": "app.update",
    "CreateFlow": "automation.create",
    "EditFlow": "automation.edit",
    "DeleteFlow": "automation.delete",
    "Add-MailboxPermission": "role.grant",
    "Add-MailboxFolderPermission": "role.grant",
    "Add-RecipientPermission": "role.grant",
    "New-ManagementRoleAssignment": "role.grant",
    "Add-RoleGroupMember": "role.grant",
    "Remove-MailboxPermission": "role.revoke",
    "Remove-MailboxFolderPermission": "role.revoke",
    "Remove-RecipientPermission": "role.revoke",
    "Remove-ManagementRoleAssignment": "role.revoke",
    "Remove-RoleGroupMember": "role.revoke",
    "Add-DistributionGroupMember": "group.add",
    "Add-UnifiedGroupLinks": "group.add",
    "Remove-DistributionGroupMember": "group.remove",
    "New-MailboxExportRequest": "data.export",
    "New-ComplianceSearchAction": "data.export",
    "Set-MailboxAuditBypassAssociation": "audit.disable",
    "Remove-UnifiedAuditLogRetentionPolicy": "audit.disable",
}


@cache
def _patterns() -> tuple[tuple[Callable[[str], object], str], ...]:
    return tuple(
        (re.compile(pattern).match, action)
        for pattern, action in (
            (r"File(?:Sync)?Download", "file.download"),
            (r"File(?:Sync)?Upload", "file.upload"),
            (r"File(?:Accessed|Previewed|Viewed)", "file.access"),
            (r"(?:File|Folder).{0,30}(?:Deleted|Recycled)", "file.delete"),
            (r"(?:File|Folder)(?:Modified|Renamed|Moved|Copied|Created|CheckedIn)", "file.update"),
            (r"(?:Anonymous|Company|Secure)Link(?:Created|Updated)|SharingInvitationCreated", "record.share"),
            (r"(?:Anonymous|Company|Secure)Link(?:Removed|Deleted)|SharingInvitationRevoked", "record.unshare"),
            (r"(?:New|Add|Install)-[A-Z]", "config.create"),
            (r"(?:Set|Update|Enable|Disable|Start|Stop)-[A-Z]", "config.update"),
            (r"(?:Remove|Uninstall)-[A-Z]", "config.delete"),
            (r"(?:Get|Search)-[A-Z]", "record.view"),
        )
    )


def action_of(operation: str) -> str:
    """Our action for an operation; `log.message` where nothing is known of it."""
    return _action_of(operation) if len(operation) <= 200 else "log.message"


@lru_cache(maxsize=1024)
def _action_of(operation: str) -> str:
    action = _EXACT.get(operation)
    if action is None:
        action = next((action for matches, action in _patterns() if matches(operation)), None)
    return action or directory_action(operation) or "log.message"
