r"""Microsoft Entra ID, audit and sign-in logs: who changed which property of which account, role or app; who signed in.

**What the source records.** Audit log: who (`initiatedBy`: a user or an app), when, the IP address of a user, the
activity, whether it went well, each target (`targetResources[]`) and its changed properties with old and new value
(`modifiedProperties[]`). It has no session; a user agent only in some `additionalDetails`. Sign-in log: who, when, IP
address and place, application, client, device, the error code, and in newer records the session (`sessionId`).

**How to get it out.** Microsoft Graph with an app that has `AuditLog.Read.All` (and `Directory.Read.All`):
`GET /v1.0/auditLogs/directoryAudits` and `/auditLogs/signIns`, follow `@odata.nextLink`, append each answer as one line
to a file. Or let Entra send: Entra ID > Monitoring > Diagnostic settings, categories AuditLogs, SignInLogs,
NonInteractiveUserSignInLogs, ServicePrincipalSignInLogs, ManagedIdentitySignInLogs, to an event hub or a storage
account. Sign-ins over Graph need a P1 or P2 licence. Kept for 30 days with such a licence, else 7 (not confirmed).

**One line in**: one record of Graph or of Azure Monitor, an array, `{"value": […]}` or `{"records": […]}`.

```json
{"id":"Directory_77","category":"UserManagement","correlationId":"c-1","result":"success","resultReason":"","activityDisplayName":"Update user","activityDateTime":"2026-02-03T10:30:00Z","loggedByService":"Core Directory","operationType":"Update","initiatedBy":{"user":{"id":"u-7","userPrincipalName":"kim@co.example","ipAddress":"198.51.100.9"},"app":null},"targetResources":[{"id":"u-9","displayName":"Lee W","type":"User","userPrincipalName":"lee@co.example","modifiedProperties":[{"displayName":"Department","oldValue":"[\"Sales\"]","newValue":"[\"Finance\"]"}]}],"additionalDetails":[]}
```

**What comes out.** `event.code` is the activity.

- An audit record is one operation with a change for each property. Values are JSON in texts and are read: an array of
  one is that value, an empty array is no value. Of created and deleted objects they are `trail.values`. Of a second
  target the property's name has the target's type in front.
- `user.*`, `password.*`, `mfa.*`, `group.add` and `group.remove` (group and user), `role.grant` and `role.revoke` (the
  `role` as a change), `app.*` for applications, service principals and consents, `token.*` for their secrets and
  certificates, `config.*` for policies, domains and the company, `session.revoke`, `approval.*` for requests of
  Privileged Identity Management, `data.export` for bulk downloads; an activity that is not known is `field.update`
  where it has changes, else `log.message`.
- "Included Updated Properties" and the `TargetId.`, `ActorId.` and `MethodExecutionResult.` properties name no change:
  they stay in `trail.raw`.
- A sign-in is `auth.login` to the application, with `error.code`; error 0 is success, an error by which Entra only asks
  for more (a second factor, a registration) has outcome unknown, every other is a failure.

An app acts with credentials of its own: `api_key`, via `api`. A user together with an app is the user. A browser as
client means `ui`, which is an inference.

Missing: `trail.missing` lists session and interface of audit records, and the IP address where an app acted. What is
not mapped is in `trail.raw` under Microsoft's own names. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import (
    each,
    is_text,
    peek,
    read,
    scalar_text,
    snake,
    take,
    take_ip,
    take_text,
    take_time,
)
from parsers._microsoft import PSEUDO, directory_action, membership, take_properties, whole
from parsers._pairs import drop_equal, set_person, take_first, take_named, take_point

FORMAT: Final = Format(
    name="entra_id",
    module="entra_id",
    vendor="Entra ID",
    title="Microsoft Entra ID, audit and sign-in logs",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (b'"activityDateTime"', b'"createdDateTime"', b'"AuditLogs"', b'SignInLogs"', b"auditLogs/")

_SIGN_INS: Final = frozenset(
    {
        "SignInLogs",
        "NonInteractiveUserSignInLogs",
        "ServicePrincipalSignInLogs",
        "ManagedIdentitySignInLogs",
        "ADFSSignInLogs",
    }
)
_ASKS: Final = frozenset({50072, 50074, 50076, 50079, 50097, 50125, 50127, 50129, 50140, 50203})
"""Error codes of sign-ins that go on: a second factor, its registration, the device, "stay signed in"."""
_RESULTS: Final = {"success": "success", "failure": "failure", "timeout": "failure"}
_EDITS: Final = frozenset({"field.update", "user.update", "group.update", "role.update", "app.update", "config.update"})


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of audit or sign-in records, see the module's text."""
    found = read(record, "value", "records")
    if not isinstance(found, Rejected) and not found.items:
        context = found.rest.get("@odata.context")
        if not (is_text(context) and "auditLogs/" in context):
            return Rejected("an empty list that is no answer of Microsoft Graph about audit logs")
        return [Operation(action="log.message", kind="audit", no_change=True)]
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    category, inner = item.get("category"), item.get("properties")
    if isinstance(inner, dict) and "time" in item and is_text(category) and category in {"AuditLogs", *_SIGN_INS}:
        wanted = _is_audit(inner) if category == "AuditLogs" else _is_sign_in(inner)
        if not wanted:
            return Rejected("a record of Azure Monitor without the members of an Entra audit or sign-in record")
        op = _audit(inner) if category == "AuditLogs" else _sign_in(inner)
        return [_outer(op, item, inner)]
    if _is_audit(item):
        return [_audit(item)]
    if _is_sign_in(item):
        return [_sign_in(item)]
    return Rejected(
        "neither an Entra audit record (activityDateTime, activityDisplayName, initiatedBy or targetResources)"
        " nor a sign-in (createdDateTime, ipAddress or status, appId)"
    )


def _is_audit(item: dict[str, Any]) -> bool:
    named = is_text(item.get("activityDisplayName")) and "activityDateTime" in item
    return named and ("initiatedBy" in item or "targetResources" in item)


def _is_sign_in(item: dict[str, Any]) -> bool:
    return (
        "createdDateTime" in item
        and ("status" in item or "ipAddress" in item)
        and ("appId" in item or "appDisplayName" in item or "servicePrincipalId" in item)
        and ("userPrincipalName" in item or "userId" in item or "servicePrincipalId" in item)
    )


def _outer(op: Operation, item: dict[str, Any], inner: dict[str, Any]) -> Operation:
    """Azure Monitor's members around a record; what both say is kept once."""
    op.raw = item
    tenant = take_text(item, "tenantId")
    if tenant is not None:
        op.fields["organization.id"] = tenant
    address = peek(item, "callerIpAddress")
    if "source.ip" not in op.fields:
        found = take_ip(item, "callerIpAddress")
        if found is not None:
            op.fields["source.ip"] = found
    elif address == op.fields["source.ip"]:
        del item["callerIpAddress"]
    if op.time is not None:
        drop_equal(item, "time", op.time.text)
    if op.code is None:
        op.code = take_text(item, "operationName")
    drop_equal(item, "operationName", op.code)
    drop_equal(item, "correlationId", inner.get("correlationId", ABSENT))
    drop_equal(item, "identity", op.fields.get("user.full_name"), op.fields.get("user.name"))
    drop_equal(item, "resultType", op.fields.get("error.code"))
    if not inner:
        del item["properties"]
    return op


# -- audit ------------------------------------------------------------------------------------------------------------


def _audit(item: dict[str, Any]) -> Operation:
    code: str = item.pop("activityDisplayName")
    op = Operation(action="log.message", kind="audit", code=code, time=take_time(item, "activityDateTime"))
    op.id = take_text(item, "id")
    _initiator(op, item)
    result = item.get("result")
    if is_text(result):
        op.outcome = _RESULTS.get(result.lower(), "unknown")
        if op.outcome == result.lower():
            del item["result"]
    take_first(op, item, ("event.reason", ("resultReason",)), ("event.provider", ("loggedByService",)))
    details = take_named(item, "additionalDetails", "key", ("value",))
    if details is not None:
        agent = take_text(item, "additionalDetails", "User-Agent")
        if agent is not None:
            op.fields["user_agent.original"] = agent
    found = item.get("targetResources")
    targets = found if isinstance(found, list) and all(isinstance(target, dict) for target in found) else []
    op.action = directory_action(code) or "log.message"
    _targets(op, targets)
    if targets:
        item["targetResources"] = [target for target in targets if target]
        if not item["targetResources"]:
            del item["targetResources"]
    if op.action == "log.message" and op.changes:
        op.action = "field.update"
    if op.action == "user.update" and not op.changes and not op.no_change:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return op


def _initiator(op: Operation, item: dict[str, Any]) -> None:
    user, app = ("initiatedBy", "user"), ("initiatedBy", "app")
    take_first(op, item, ("user.id", (*user, "id")), ("user.full_name", (*user, "displayName")))
    set_person(op, take_text(item, *user, "userPrincipalName"))
    address = take_ip(item, *user, "ipAddress")
    if address is not None:
        op.fields["source.ip"] = address
    if any(name.startswith("user.") for name in op.fields):
        op.actor_type, op.actor_confidence = "user", "asserted"
        return
    take_first(
        op,
        item,
        ("user.id", (*app, "servicePrincipalId")),
        ("user.name", (*app, "servicePrincipalName")),
        ("user.full_name", (*app, "displayName")),
    )
    if any(name.startswith("user.") for name in op.fields):
        op.actor_type, op.actor_confidence, op.interface = "api_key", "asserted", "api"


def _targets(op: Operation, targets: list[dict[str, Any]]) -> None:
    """The object is the first target; of memberships it is the group, and the account is `user.target`."""
    same = False
    for position, target in enumerate(targets):
        before = f"{snake(scalar_text(target.get('type')) or 'target')}." if position else ""
        changes, unchanged = take_properties(
            target, "modifiedProperties", ("displayName", "oldValue", "newValue"), PSEUDO
        )
        same = same or unchanged
        if op.action in {"group.add", "group.remove", "role.grant", "role.revoke"}:
            facts, changes = membership(op, changes)
            if facts:
                target["modifiedProperties"] = [facts, *target.get("modifiedProperties", [])]
        op.changes += [change._replace(field=before + change.field) for change in changes]
    op.no_change = same and not op.changes and op.action in _EDITS
    if not targets:
        return
    chosen = targets[0]
    if op.action in {"role.grant", "role.revoke"} and chosen.get("type") == "Role" and len(targets) > 1:
        chosen = targets[1]
        role = take_text(targets[0], "displayName") if not op.changes else None
        if role is not None:
            op.changes = [Change("role", ABSENT, role) if op.action == "role.grant" else Change("role", role, ABSENT)]
    if op.action in {"group.add", "group.remove"}:
        chosen = next((target for target in targets if target.get("type") == "Group"), chosen)
        member = next((target for target in targets if target is not chosen), None)
        if member is not None or chosen.get("type") != "Group":
            _account(op, member if member is not None else chosen, own_id=True)
        if chosen.get("type") != "Group" and "group.id" in op.fields:
            op.object_type, op.object_label, op.object_id = "group", "Group", op.fields["group.id"]
            op.object_name = op.fields.get("group.name")
            return
    op.object_label = take_text(chosen, "type")
    op.object_type = snake(op.object_label) if op.object_label is not None else None
    op.object_id = take_text(chosen, "id")
    if op.object_type == "user":
        _account(op, chosen, own_id=False)
    else:
        op.object_name = take_text(chosen, "displayName") or op.fields.get("group.name")
        if op.object_type == "group":
            for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
                if text is not None:
                    op.fields[field] = text
    if op.action.endswith((".create", ".delete")) or op.action == "app.connect":
        whole(op)


def _account(op: Operation, target: dict[str, Any], *, own_id: bool) -> None:
    if own_id:
        take_first(op, target, ("user.target.id", ("id",)))
        take(target, "type")
    elif op.action in {"session.revoke", "record.restore", "record.purge"} and op.object_id is not None:
        op.fields["user.target.id"] = op.object_id
    set_person(op, take_text(target, "userPrincipalName"), "user.target")
    take_first(op, target, ("user.target.full_name", ("displayName",)))


# -- sign-ins ---------------------------------------------------------------------------------------------------------


def _sign_in(item: dict[str, Any]) -> Operation:
    op = Operation(action="auth.login", kind="sign_in", time=take_time(item, "createdDateTime"))
    op.id = take_text(item, "id")
    op.outcome = "unknown"
    code = peek(item, "status", "errorCode")
    text = scalar_text(code)
    if text is not None:
        op.fields["error.code"] = str(text)
        take(item, "status", "errorCode")
        op.outcome = "success" if text == "0" else "unknown" if text.isdigit() and int(text[:9]) in _ASKS else "failure"
        if op.outcome != "success":
            take_first(op, item, ("event.reason", ("status", "failureReason")))
    _signer(op, item)
    address = take_ip(item, "ipAddress")
    if address is not None:
        op.fields["source.ip"] = address
    point = take_point(item, ("location", "geoCoordinates"), "latitude", "longitude")
    if point is not None:
        op.fields["source.geo.location"] = point
    take_first(
        op,
        item,
        ("user_agent.original", ("userAgent",)),
        ("user_agent.os.full", ("deviceDetail", "operatingSystem")),
        ("user_agent.name", ("deviceDetail", "browser")),
        ("device.id", ("deviceDetail", "deviceId")),
        ("trail.session.id", ("sessionId",)),
        ("source.geo.city_name", ("location", "city")),
        ("source.geo.region_name", ("location", "state")),
        ("source.geo.country_iso_code", ("location", "countryOrRegion")),
    )
    op.object_id, op.object_name = take_text(item, "appId"), take_text(item, "appDisplayName")
    if op.object_id is not None or op.object_name is not None:
        op.object_type = "app"
    if peek(item, "clientAppUsed") == "Browser":
        op.interface = "ui"
    op.raw = item
    return op


def _signer(op: Operation, item: dict[str, Any]) -> None:
    take_first(op, item, ("user.id", ("userId",)), ("user.full_name", ("userDisplayName",)))
    set_person(op, take_text(item, "userPrincipalName"))
    if {"user.id", "user.email", "user.name"} & op.fields.keys():
        op.actor_type, op.actor_confidence = "user", "asserted"
        return
    take_first(op, item, ("user.id", ("servicePrincipalId",)), ("user.name", ("servicePrincipalName",)))
    if "user.id" in op.fields:
        op.actor_type, op.actor_confidence, op.interface = "api_key", "asserted", "api"
