r"""Microsoft 365, unified audit log: who did what in Exchange, SharePoint, OneDrive, Teams, Entra ID and Purview.

**What the source records.** Who (`UserId`, `UserType`), when (`CreationTime`, in UTC), from where (`ClientIP`), the
workload, the operation, the object, the result. Changed properties (`ModifiedProperties`) come with old and new value
from Entra ID, SharePoint and Teams; Exchange mailbox records name the properties alone; Exchange cmdlets list their
`Parameters`, which are new values. A session comes with some workloads (`AppAccessContext.AADSessionId`, `SessionId`).

**How to get it out.** Office 365 Management Activity API: an app with `ActivityFeed.Read`, `POST …/subscriptions/start`
for `Audit.AzureActiveDirectory`, `Audit.Exchange`, `Audit.SharePoint`, `Audit.General`, then list and fetch the content
blobs (available for 7 days) and append each as one line to a file. Or Microsoft Purview > Audit > search > export: a CSV
file with a column `AuditData`; or `Search-UnifiedAuditLog | Export-Csv` (as JSON too), or the audit log query of
Microsoft Graph. The log keeps 180 days (E5: one year) (not confirmed).

**One line in**: one record, an array of them, a record of Graph (`auditData`), or a CSV export with its header.

```json
{"CreationTime":"2026-02-03T10:30:00","Id":"m-77","Operation":"Update user.","OrganizationId":"t-1","RecordType":8,"ResultStatus":"Success","UserKey":"k-1","UserType":2,"Version":1,"Workload":"AzureActiveDirectory","ClientIP":"198.51.100.9:51234","ObjectId":"lee@co.example","UserId":"kim@co.example","ModifiedProperties":[{"Name":"Department","OldValue":"[\"Sales\"]","NewValue":"[\"Finance\"]"}]}
```

**What comes out.** `event.code` is `Operation`, `event.provider` the workload.

- Entra ID: as in the format `entra_id` (`user.*`, `role.grant`, `group.add`, `app.connect` …), one change for each
  property; `UserLoggedIn` and `UserLoginFailed` `auth.login`.
- Files: `file.access`, `file.download`, `file.upload`, `file.update`, `file.delete`, `record.share`, `record.unshare`.
- Mail: `email.send`, `record.delete`, `record.purge`; `MailItemsAccessed` is `data.read` where a client synchronised a
  folder, else `record.view`. A property that is only named is a change with unknown values.
- Cmdlets: `New-` `config.create` with the parameters as values, `Set-` and `Update-` `config.update` with a change for
  each parameter (the old value is not told), `Remove-` `config.delete`, rights `role.grant` and `role.revoke`, switching
  the audit off `audit.disable`, searches and mailbox exports `data.export`.
- Teams, Power Platform, Power BI by their operation; what is not known is `field.update` where it has changes, else
  `log.message`.

`UserType` tells users from applications (`api_key`, via `api`) and Microsoft's own services (`system`). Lists of
names and values (`ExtendedProperties`, `Parameters`, `DeviceProperties` …) stand in `trail.raw` as objects; passwords
and keys in them are dropped.

Missing: `trail.missing` lists session, IP address and interface where the workload does not tell them, and old values
of parameters. What is not mapped is in `trail.raw` under Microsoft's own names. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected, Time
from parsers._csv import row
from parsers._json import Items, clean_ip, each, is_text, peek, read, scalar_text, snake, take, take_ip, take_text
from parsers._m365 import action_of
from parsers._microsoft import PSEUDO, membership, take_properties, whole
from parsers._pairs import ODD, drop_equal, inner_json, set_person, take_first, take_named
from parsers._urls import clean_url

FORMAT: Final = Format(
    name="m365",
    module="m365",
    vendor="Microsoft 365",
    title="Microsoft 365, unified audit log (Management Activity API, Purview export)",
    framing="csv",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (b"CreationTime", b"AuditData", b"auditData")

_ACTORS: Final = {
    **dict.fromkeys(("0", "2", "9", "10", "Regular", "Admin", "PartnerTechnician", "Guest"), "user"),
    **dict.fromkeys(("3", "4", "7", "8", "DcAdmin", "System", "CustomPolicy", "SystemPolicy"), "system"),
    **dict.fromkeys(("5", "6", "Application", "ServicePrincipal"), "api_key"),
}
_RESULTS: Final = {
    **dict.fromkeys(("success", "succeeded", "true"), "success"),
    **dict.fromkeys(("failed", "failure", "false", "fail"), "failure"),
    "partiallysucceeded": "success",
}
_LISTS: Final = ("ExtendedProperties", "DeviceProperties", "Parameters", "OperationProperties", "CmdletParameters")
_NOBODY: Final = frozenset({"Not Available", "Unknown", "NotAvailable", ""})

_EDITS: Final = frozenset({"field.update", "user.update", "group.update", "role.update", "app.update", "config.update"})
_KINDS: Final = ("service principal", "application", "policy", "device")
_ACCOUNT: Final = re.compile(r"\b(?:user|member|password|account)\b").search
_GROUP: Final = re.compile(r"<Group>([^<]{1,300})</Group>").search
ROW: Final = "@row"
"""Name in `raw` for what stood beside a record in a row of an export; no source uses it for a member of its own."""
_SAME_TIME: Final = 19
"""Characters of a time down to the second, by which a column's time is told to be the record's."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One record, a list of them, or a row of an export, see the module's text."""
    if record[:1] in {b"{", b"["}:
        found = read(record, "value")
        if not isinstance(found, Rejected) and not found.items:
            return Rejected("an empty list of records")
        return each(found, _one)
    columns = row(record)
    if isinstance(columns, Rejected):
        return columns
    name = next((name for name in columns if name.strip().lower() == "auditdata"), None)
    if name is None:
        return Rejected("no column AuditData")
    data = inner_json(columns.pop(name))
    if isinstance(data, Rejected):
        return Rejected(f"AuditData: {data.reason}")
    _drop_columns(columns, data)
    return each(Items([data], {key: value for key, value in columns.items() if value}), _one)


def _drop_columns(outer: dict[str, Any], data: dict[str, Any]) -> None:
    """Drop what an export says beside the record and the record says itself."""
    known = {scalar_text(data.get(name)) for name in ("Id", "RecordType", "Operation", "UserId", "OrganizationId")}
    known |= {scalar_text(data.get(name)) for name in ("UserType", "Workload", "ObjectId", "ClientIP")}
    time = str(data.get("CreationTime"))[:_SAME_TIME]
    for name, value in list(outer.items()):
        text = scalar_text(value)
        if text is not None and (text in known or (text[:_SAME_TIME] == time and name.lower().startswith("creat"))):
            del outer[name]


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    wrapped = next((name for name in ("AuditData", "auditData") if name in item), None)
    if wrapped is not None and "CreationTime" not in item:
        data = item.pop(wrapped)
        if not isinstance(data, dict):
            data = inner_json(data)
        if isinstance(data, Rejected):
            return Rejected(f"{wrapped}: {data.reason}")
        _drop_columns(item, data)
        result = _record(data)
        if item and not isinstance(result, Rejected):
            result[0].raw[ROW] = item
        return result
    return _record(item)


def _record(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("Operation")
    if not (
        is_text(code)
        and code.strip()
        and "CreationTime" in item
        and "RecordType" in item
        and ("Workload" in item or "OrganizationId" in item or "UserType" in item)
    ):
        return Rejected("no record of the unified audit log (CreationTime, RecordType, Operation, Workload are needed)")
    del item["Operation"]
    op = Operation(action=action_of(code), kind="audit", code=code, time=_time(item))
    op.id = take_text(item, "Id")
    lists = {name: found for name in _LISTS if (found := take_named(item, name)) is not None}
    _who(op, item)
    _where(op, item, lists)
    _result(op, item)
    _what(op, item, lists)
    _changes(op, item, lists)
    for name, found in lists.items():
        if not found:
            del item[name]
    op.raw = item
    return [op]


def _time(item: dict[str, Any]) -> Time | None:
    """`CreationTime` is UTC, and mostly does not say so."""
    text = take_text(item, "CreationTime")
    if text is None:
        return None
    naive = len(text) >= _SAME_TIME and not text.endswith("Z") and "+" not in text and "-" not in text[_SAME_TIME:]
    return Time(text + "Z" if naive else text)


def _who(op: Operation, item: dict[str, Any]) -> None:
    user = peek(item, "UserId")
    if is_text(user) and user not in _NOBODY:
        take(item, "UserId")
        if user.startswith("S-1-"):
            op.fields["user.id"] = user
        else:
            set_person(op, user)
    drop_equal(item, "UserKey", user)
    kind = scalar_text(item.get("UserType"))
    actor = _ACTORS.get(kind) if kind is not None else None
    if actor == "system" or (actor is not None and op.fields):
        op.actor_type, op.actor_confidence = actor, "asserted"
    elif op.fields:
        op.actor_type, op.actor_confidence = "unknown", "unknown"
    if actor == "api_key":
        op.interface = "api"
    elif actor == "system":
        op.interface = "system"
    organization = take_text(item, "OrganizationId")
    if organization is not None:
        op.fields["organization.id"] = organization


def _where(op: Operation, item: dict[str, Any], lists: dict[str, dict[str, Any]]) -> None:
    for name in ("ClientIP", "ClientIPAddress", "ActorIpAddress"):
        text = item.get(name)
        address = take_ip(item, name)
        if address is not None:
            op.fields.setdefault("source.ip", address)
            known = op.fields["source.ip"]
            if name in item and isinstance(text, str) and text.strip("[]") == known:
                del item[name]
    for name in ("ClientIP", "ClientIPAddress", "ActorIpAddress"):
        text = item.get(name)
        if isinstance(text, str) and clean_ip(text) is None and not text.strip():
            del item[name]
    take_first(
        op,
        item,
        ("trail.session.id", ("AppAccessContext", "AADSessionId")),
        ("trail.session.id", ("SessionId",)),
        ("user_agent.original", ("UserAgent",)),
        ("event.provider", ("Workload",)),
    )
    extended, device = lists.get("ExtendedProperties", {}), lists.get("DeviceProperties", {})
    take_first(op, extended, ("user_agent.original", ("UserAgent",)))
    take_first(
        op,
        device,
        ("trail.session.id", ("SessionId",)),
        ("device.id", ("Id",)),
        ("user_agent.os.full", ("OS",)),
        ("user_agent.name", ("BrowserType",)),
    )


def _result(op: Operation, item: dict[str, Any]) -> None:
    status = item.get("ResultStatus")
    if is_text(status) and status.strip():
        op.outcome = _RESULTS.get(status.lower(), "unknown")
        if status.lower() in {"success", "succeeded", "true", "failed", "false"}:
            del item["ResultStatus"]
    if op.code == "UserLoginFailed":
        op.outcome = "failure"
    error = scalar_text(item.get("ErrorNumber"))
    if error is not None:
        op.fields["error.code"] = str(error)
        del item["ErrorNumber"]
    take_first(op, item, ("event.reason", ("LogonError",)))


def _what(op: Operation, item: dict[str, Any], lists: dict[str, dict[str, Any]]) -> None:
    workload = op.fields.get("event.provider")
    identity = take_text(item, "ObjectId")
    if op.action.startswith("file.") or (workload in {"SharePoint", "OneDrive"} and "SourceFileName" in item):
        op.object_type, op.object_id = "file", clean_url(identity) if identity is not None else None
        take_first(
            op,
            item,
            ("file.name", ("SourceFileName",)),
            ("file.extension", ("SourceFileExtension",)),
            ("file.size", ("FileSizeBytes",)),
            ("file.directory", ("SourceRelativeUrl",)),
        )
        op.object_name = op.fields.get("file.name")
    elif workload == "AzureActiveDirectory":
        _directory(op, item, identity)
    elif op.action == "email.send":
        _sent(op, item)
        if identity is not None:
            item["ObjectId"] = identity
    elif workload == "Exchange" and "MailboxOwnerUPN" in item:
        op.object_type, op.object_id = "mailbox", take_text(item, "MailboxOwnerUPN")
        if identity is not None:
            item["ObjectId"] = identity
        if peek(item, "OperationProperties", "MailAccessType") == "Sync":
            op.action = "data.read"
    elif workload == "MicrosoftTeams" and ("TeamGuid" in item or "TeamName" in item):
        op.object_type, op.object_label = "group", "team"
        op.object_id, op.object_name = take_text(item, "TeamGuid"), take_text(item, "TeamName")
        if identity is not None:
            item["ObjectId"] = identity
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
        members = item.get("Members")
        if isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict):
            set_person(op, take_text(members[0], "UPN"), "user.target")
            take_first(op, members[0], ("user.target.full_name", ("DisplayName",)))
            if not members[0]:
                del item["Members"]
    elif workload in {"SharePoint", "OneDrive"}:
        op.object_type, op.object_id = snake(take_text(item, "ItemType") or "site"), identity
        group = _GROUP(item["EventData"][:1000]) if is_text(item.get("EventData")) else None
        if group is not None and op.action.startswith("group."):
            op.fields["group.name"] = group[1]
    else:
        op.object_type = _noun(op)
        if op.action.startswith("automation.") and identity is not None:
            op.object_type = "flow"
            op.fields["trail.automation.scenario.id"] = identity
        if identity is None and "Parameters" in lists:
            identity = take_text(lists["Parameters"], "Identity")
        op.object_id = identity
    drop_equal(lists.get("Parameters", {}), "Identity", op.object_id)
    target = take_text(item, "TargetUserOrGroupName")
    if target is not None:
        if scalar_text(item.get("TargetUserOrGroupType")) in {"SharePointGroup", "SecurityGroup", "Group"}:
            op.fields["group.name"] = target
        else:
            set_person(op, target, "user.target")


def _sent(op: Operation, item: dict[str, Any]) -> None:
    """A sent message: whose it was, and for whom it was sent where it was sent in another's name."""
    take_first(
        op,
        item,
        ("email.from.address", ("MailboxOwnerUPN",)),
        ("email.subject", ("Item", "Subject")),
        ("email.message_id", ("Item", "InternetMessageId")),
    )
    for name in ("SendAsUserSmtp", "SendOnBehalfOfUserSmtp"):
        set_person(op, take_text(item, name), "user.effective")


def _noun(op: Operation) -> str | None:
    """What a cmdlet is about: `Set-InboxRule` -> `inbox_rule`."""
    noun = (op.code or "").partition("-")[2]
    return snake(noun) if noun.isalnum() and noun.isascii() and len(noun) <= 60 else None


def _directory(op: Operation, item: dict[str, Any], identity: str | None) -> None:
    """Records of Entra ID: the object is an account, a group, an application …, told from the operation's words."""
    words = (op.code or "").lower()
    if op.action == "auth.login":
        op.object_type, op.object_id = "app", take_text(item, "ApplicationId") or identity
        if identity is not None and identity != op.object_id:
            item["ObjectId"] = identity
        return
    kind = next((kind.replace(" ", "_") for kind in _KINDS if kind in words), None)
    if kind is None and "group" in words and "member" not in words:
        kind = "group"
    elif kind is None and _ACCOUNT(words):
        kind = "user"
    op.object_type, op.object_id = kind or "directory_object", identity
    if kind == "user" and identity is not None:
        set_person(op, identity, "user.target")


def _changes(op: Operation, item: dict[str, Any], lists: dict[str, dict[str, Any]]) -> None:
    changes, same = take_properties(item, "ModifiedProperties", ("Name", "OldValue", "NewValue"), PSEUDO)
    if op.action in {"group.add", "group.remove", "role.grant", "role.revoke"}:
        facts, changes = membership(op, changes)
        if facts:
            item["ModifiedProperties"] = [facts, *item.get("ModifiedProperties", [])]
        if op.action.startswith("group.") and op.object_type == "user" and "group.id" in op.fields:
            op.object_type, op.object_id = "group", op.fields["group.id"]
            op.object_name = op.fields.get("group.name")
    op.changes = changes
    parameters = lists.get("Parameters", {})
    if parameters and not changes and op.action in {"config.update", "config.create", "role.grant", "audit.disable"}:
        _parameters(op, parameters)
    if op.action.endswith((".create", ".delete")):
        whole(op)
    if op.action == "log.message" and op.changes:
        op.action = "field.update"
    op.no_change = same and not op.changes and op.action in _EDITS
    if op.action == "user.update" and not op.changes and not op.no_change:
        op.missing = CHANGE_NOT_TOLD


def _parameters(op: Operation, parameters: dict[str, Any]) -> None:
    """A cmdlet's parameters: values of what it makes, new values of what it changes."""
    if op.code == "Set-AdminAuditLogConfig":
        switch = scalar_text(parameters.get("UnifiedAuditLogIngestionEnabled"))
        if switch is not None:
            op.action = "audit.enable" if switch.lower() == "true" else "audit.disable"
    taken = {name: value for name, value in parameters.items() if name not in {"Identity", ODD}}
    for name in taken:
        del parameters[name]
    if op.action == "config.create":
        op.values = taken
        return
    if op.action == "role.grant":
        user = scalar_text(taken.get("User") or taken.get("Member") or taken.get("Trustee"))
        if user is not None:
            set_person(op, user, "user.target")
            for name in ("User", "Member", "Trustee"):
                if taken.get(name) == user:
                    del taken[name]
    op.changes = [Change(name, UNKNOWN, value, derivation="new_only") for name, value in taken.items()]
