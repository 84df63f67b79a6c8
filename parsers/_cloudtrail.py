"""What the API calls of AWS come to in our vocabulary, and what they are about. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_EXACT: Final = {
    "ConsoleLogin": "auth.login",
    "Logout": "auth.logout",
    "UserAuthentication": "auth.login",
    "Authenticate": "auth.login",
    "CheckMfa": "auth.mfa",
    "CredentialVerification": "auth.mfa",
    "CredentialChallenge": "auth.mfa",
    "SwitchRole": "auth.elevate",
    "ExitRole": "session.end",
    "AssumeRole": "auth.elevate",
    "AssumeRoleWithSAML": "auth.elevate",
    "AssumeRoleWithWebIdentity": "auth.elevate",
    "AssumeRoot": "auth.elevate",
    "GetSessionToken": "token.create",
    "GetFederationToken": "token.create",
    "CreateGroup": "group.create",
    "UpdateGroup": "group.update",
    "DeleteGroup": "group.delete",
    "CreateUser": "user.create",
    "UpdateUser": "user.update",
    "DeleteUser": "user.delete",
    "CreateLoginProfile": "password.reset",
    "UpdateLoginProfile": "password.reset",
    "DeleteLoginProfile": "user.update",
    "ChangePassword": "password.change",
    "PasswordUpdated": "password.change",
    "CreateAccessKey": "token.create",
    "UpdateAccessKey": "token.update",
    "DeleteAccessKey": "token.revoke",
    "CreateServiceSpecificCredential": "token.create",
    "DeleteServiceSpecificCredential": "token.revoke",
    "UploadSSHPublicKey": "token.create",
    "DeleteSSHPublicKey": "token.revoke",
    "CreateRole": "role.create",
    "CreateServiceLinkedRole": "role.create",
    "UpdateRole": "role.update",
    "UpdateRoleDescription": "role.update",
    "UpdateAssumeRolePolicy": "role.update",
    "PutRolePermissionsBoundary": "role.update",
    "DeleteRolePermissionsBoundary": "role.update",
    "DeleteRole": "role.delete",
    "AttachUserPolicy": "role.grant",
    "AttachRolePolicy": "role.grant",
    "AttachGroupPolicy": "role.grant",
    "PutUserPolicy": "role.grant",
    "PutRolePolicy": "role.grant",
    "PutGroupPolicy": "role.grant",
    "CreateAccountAssignment": "role.grant",
    "DetachUserPolicy": "role.revoke",
    "DetachRolePolicy": "role.revoke",
    "DetachGroupPolicy": "role.revoke",
    "DeleteUserPolicy": "role.revoke",
    "DeleteRolePolicy": "role.revoke",
    "DeleteGroupPolicy": "role.revoke",
    "DeleteAccountAssignment": "role.revoke",
    "AddUserToGroup": "group.add",
    "CreateGroupMembership": "group.add",
    "RemoveUserFromGroup": "group.remove",
    "DeleteGroupMembership": "group.remove",
    "EnableMFADevice": "mfa.enable",
    "DeactivateMFADevice": "mfa.disable",
    "DeleteVirtualMFADevice": "mfa.disable",
    "StopLogging": "audit.disable",
    "DeleteTrail": "audit.disable",
    "DeleteFlowLogs": "audit.disable",
    "DeleteEventDataStore": "audit.disable",
    "StopConfigurationRecorder": "audit.disable",
    "DeleteConfigurationRecorder": "audit.disable",
    "DeleteDetector": "audit.disable",
    "StartLogging": "audit.enable",
    "CreateTrail": "audit.enable",
    "CreateFlowLogs": "audit.enable",
    "StartConfigurationRecorder": "audit.enable",
    "CreateDetector": "audit.enable",
    "GetObject": "file.download",
    "PutObject": "file.upload",
    "CompleteMultipartUpload": "file.upload",
    "CopyObject": "file.upload",
    "DeleteObject": "file.delete",
    "GetSecretValue": "record.view",
    "CreateSnapshot": "config.create",
    "ModifySnapshotAttribute": "record.share",
    "ModifyImageAttribute": "record.share",
    "ModifyDBSnapshotAttribute": "record.share",
    "StartExportTask": "data.export",
    "ExportTableToPointInTime": "data.export",
    "CreateInstanceExportTask": "data.export",
    "ExportImage": "data.export",
    "GetQueryResults": "data.export",
    "StartQueryExecution": "report.run",
}
_BEGINNINGS: Final = (
    (("Get", "Describe", "List", "Head", "Lookup", "Search", "BatchGet", "Select", "Query", "Scan"), "api.request"),
    (("Decrypt", "Encrypt", "GenerateDataKey", "Sign", "Verify", "Invoke", "Test", "Simulate"), "api.request"),
    (("Create", "Run", "Register", "Allocate", "Import", "Add", "Enable", "Attach", "Associate"), "config.create"),
    (("Delete", "Terminate", "Deregister", "Release", "Remove", "Disable", "Detach", "Disassociate"), "config.delete"),
    (("Update", "Put", "Modify", "Set", "Change", "Authorize", "Revoke", "Tag", "Untag", "Restore"), "config.update"),
)
_ADDS: Final = ("Enable", "Disable", "Attach", "Detach", "Associate", "Disassociate", "Add", "Remove")
"""Verbs that change a thing which is there before and after."""

_OBJECTS: Final = (
    ("userName", "user"),
    ("roleName", "role"),
    ("groupName", "group"),
    ("policyArn", "policy"),
    ("policyName", "policy"),
    ("roleArn", "role"),
    ("bucketName", "bucket"),
    ("functionName", "function"),
    ("secretId", "secret"),
    ("keyId", "key"),
    ("instanceId", "instance"),
    ("groupId", "security_group"),
    ("dBInstanceIdentifier", "db_instance"),
    ("tableName", "table"),
    ("trailName", "trail"),
    ("snapshotId", "snapshot"),
    ("imageId", "image"),
    ("volumeId", "volume"),
    ("vpcId", "vpc"),
    ("stackName", "stack"),
    ("clusterName", "cluster"),
    ("queueUrl", "queue"),
    ("topicArn", "topic"),
    ("resourceArn", "resource"),
    ("arn", "resource"),
    ("name", "resource"),
    ("id", "resource"),
)
"""Request parameter -> what it names; the first that is there is what a call is about."""
_FIRST: Final = {
    "group.": ("groupName", "group"),
    "auth.elevate": ("roleArn", "role"),
    "token.": ("accessKeyId", "access_key_id"),
}


def action_of(name: str, *, read_only: bool) -> str:
    """Our action for an API call; reading is `api.request`, and so is a verb that says nothing."""
    return _action_of(name, read_only) if len(name) <= 200 else "api.request"


@lru_cache(maxsize=2048)
def _action_of(name: str, read_only: bool) -> str:  # noqa: FBT001 - called from one place
    action = _EXACT.get(name)
    if action is not None:
        return action
    if read_only:
        return "api.request"
    action = next((action for words, action in _BEGINNINGS if name.startswith(words)), "api.request")
    if action.startswith("config.") and name.startswith(_ADDS):
        return "config.update"
    return action


def objects_for(action: str) -> tuple[tuple[str, str], ...]:
    """(request parameter, kind of object), the best first."""
    first = next((found for beginning, found in _FIRST.items() if action.startswith(beginning)), None)
    return _OBJECTS if first is None else (first, *_OBJECTS)
