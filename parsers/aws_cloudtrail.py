"""AWS CloudTrail: which identity called which API on what, from where; console sign-ins, keys, roles and policies.

**What the source records.** Who (`userIdentity`: root, an IAM user, an assumed role, a federated user, another account,
an AWS service), when (`eventTime`), from where (`sourceIPAddress`), the user agent, the call (`eventSource`,
`eventName`), its parameters, the answer, and the error. **No old values**: a call that changes something says the new
ones; one that takes a right away names it, and that is its old value. S3 objects, Lambda calls and the like come only
where data events are switched on.

**How to get it out.** A trail writes gzip files of `{"Records": […]}` to an S3 bucket (also for a whole organization);
copy them (`aws s3 sync`) into a folder that Fieldtrail reads. Or EventBridge (the event is in `detail`), or CloudWatch
Logs. Or `aws cloudtrail lookup-events`: management events of the last 90 days, 2 requests a second per account and
region. Events come up to some 15 minutes late.

**One line in**: one event, an array, `{"Records": […]}`, an event of EventBridge, or an answer of `lookup-events`.

```json
{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAKIM","arn":"arn:aws:iam::111122223333:user/kim","accountId":"111122223333","accessKeyId":"AKIAKIM","userName":"kim"},"eventTime":"2026-02-03T10:30:00Z","eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.9","userAgent":"aws-cli/2.31","requestParameters":{"userName":"lee","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"},"responseElements":null,"requestID":"rq-1","eventID":"ev-1","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}
```

**What comes out.** `event.code` is `eventName`, `event.provider` the service.

- `ConsoleLogin` `auth.login`; assuming a role `auth.elevate`; users, groups, roles, access keys, MFA devices and
  policies of IAM the actions of their kind; `StopLogging`, `DeleteTrail` and their like `audit.disable`; S3 objects
  `file.download`, `file.upload`, `file.delete`; sharing a snapshot or an image `record.share`; exports `data.export`.
- Other calls by their verb: `config.create`, `config.update`, `config.delete`; reading is `api.request`, a secret's
  value `record.view`.
- Request parameters of a call that makes or removes something are `trail.values`; of one that changes something each is
  a change whose old value is not told. What the call is about (a user, a bucket …) is the object.
- An error code makes the outcome a failure, with `error.code` and `error.message`.

An assumed role acts for a session, whose name is `user.name`, and with the role's rights: `user.effective`. The name of
a session is chosen by who assumes the role: the actor is inferred (`trail.actor.basis`) where the console, single
sign-on or an address in the name speak for a person, else unknown. A long-lived access key is an `api_key`, a service
of AWS `system`. The key id of temporary credentials stands for the session, which is an inference.

Passwords, secret keys, session tokens and secret strings in parameters and answers are dropped.

Missing: `trail.missing` lists `trail.change.old` of every change, the session of calls with long-lived keys, and the
IP address of calls by services. What is not mapped is in `trail.raw` under AWS's own names. Options: none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._cloudtrail import action_of, objects_for
from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import Items, decode, each, is_text, peek, scalar_text, take, take_ip, take_text, take_time, unwrap
from parsers._pairs import drop_equal, inner_json, set_person, take_first
from parsers._secrets import hide_secrets

FORMAT: Final = Format(
    name="aws_cloudtrail",
    module="aws_cloudtrail",
    vendor="AWS",
    title="AWS CloudTrail, events",
    gives=Gives.of("who when ip field new logins exports", "session old"),
)
LITERALS: Final = (b'"eventSource"', b'"CloudTrailEvent"')

_SECRETS: Final = frozenset(
    {
        *("secretstring", "secretbinary", "masteruserpassword", "newpassword", "oldpassword", "userdata"),
        *("plaintext", "ciphertextblob", "keymaterial", "base32stringseed", "qrcodepng", "authenticationcode1"),
        *("authenticationcode2", "samlassertion", "samlassertionid", "webidentitytoken", "privatekey", "authparameter"),
        *("servicepassword", "tokencode", "authtoken", "policytoken"),
    }
)
"""Members, in lower case, whose values are secrets beyond those that are told by their names everywhere."""
_CONTROLS: Final = frozenset({"Host", "clientRequestToken", "clientToken", "dryRun", "force"})
"""Request parameters that steer the call and change nothing."""
_PEOPLE: Final = frozenset(
    {"Root", "IAMUser", "FederatedUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser", "Directory"}
)
_UPDATES: Final = frozenset(
    {"config.update", "user.update", "role.update", "token.update", "role.grant", "role.revoke", "record.share"}
)
_WHOLES: Final = (".create", ".delete", ".enable", ".disable")
_ARN_NAME: Final = re.compile(r"^arn:[a-z-]{1,20}:[a-z]{1,9}::[0-9]{0,12}:(?:[a-z-]{1,20}/)?(.{1,512})$").match
_MACHINE: Final = re.compile(r"^i-[0-9a-f]{8,17}$").match


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One event, a file of them, or what EventBridge and `lookup-events` give, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    if isinstance(value, dict) and "detail-type" in value:
        return each(unwrap(value, "detail"), _event)
    if isinstance(value, dict) and isinstance(value.get("Events"), list):
        return _looked_up(value)
    found = unwrap(value, "Records")
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list of records")
    return each(found, _event)


def _looked_up(value: dict[str, Any]) -> list[Operation] | Rejected:
    """An answer of `lookup-events`: the whole event is a text in each entry."""
    events = []
    for position, entry in enumerate(value.pop("Events")):
        data = inner_json(entry.get("CloudTrailEvent") if isinstance(entry, dict) else None)
        if isinstance(data, Rejected):
            return Rejected(f"Events[{position}].CloudTrailEvent: {data.reason}")
        events.append(data)
    return each(Items(events, value), _event) if events else Rejected("an empty list of events")


def _event(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("eventName")
    if not (
        is_text(code)
        and is_text(item.get("eventSource"))
        and "eventTime" in item
        and "eventVersion" in item
        and ("userIdentity" in item or "eventCategory" in item or "awsRegion" in item)
    ):
        return Rejected(
            "no CloudTrail event (eventVersion, eventTime, eventSource, eventName, userIdentity are needed)"
        )
    del item["eventName"]
    op = Operation(action="api.request", kind="event", code=code, time=take_time(item, "eventTime"))
    op.id = take_text(item, "eventID")
    op.action = action_of(code, read_only=item.get("readOnly") is True)
    if item.get("eventType") == "AwsCloudTrailInsight":
        op.action = "log.message"
    op.fields["cloud.provider"] = "aws"
    take_first(
        op,
        item,
        ("event.provider", ("eventSource",)),
        ("cloud.region", ("awsRegion",)),
        ("cloud.account.id", ("recipientAccountId",)),
        ("http.request.id", ("requestID",)),
        ("user_agent.original", ("userAgent",)),
    )
    _who(op, item)
    _where(op, item)
    error = take_text(item, "errorCode")
    op.outcome = "success" if error is None else "failure"
    if error is not None:
        op.fields["error.code"] = error
    take_first(op, item, ("error.message", ("errorMessage",)))
    _login(op, item)
    _what(op, item)
    op.raw = item
    hide_secrets(op, _SECRETS)
    return [op]


def _who(op: Operation, item: dict[str, Any]) -> None:
    kind = scalar_text(peek(item, "userIdentity", "type"))
    take_first(op, item, ("user.id", ("userIdentity", "principalId")))
    name = take_text(item, "userIdentity", "userName")
    arn = peek(item, "userIdentity", "arn")
    if name is None and is_text(arn):
        found = _ARN_NAME(arn)
        if found is not None and kind in {"Root", "IAMUser", "FederatedUser"}:
            name = found[1].rpartition("/")[2]
    if kind == "AssumedRole":
        name = _assumed(op, item, arn, name)
    elif kind == "AWSService" or is_text(peek(item, "userIdentity", "invokedBy")):
        op.actor_type, op.actor_confidence = "system", "asserted"
    elif kind in _PEOPLE:
        key = scalar_text(peek(item, "userIdentity", "accessKeyId")) or ""
        op.actor_type, op.actor_confidence = "api_key" if key.startswith("AKIA") else "user", "asserted"
    if kind == "IdentityCenterUser":
        take_first(op, item, ("user.id", ("userIdentity", "onBehalfOf", "userId")))
    set_person(op, name)
    key = scalar_text(peek(item, "userIdentity", "accessKeyId")) or ""
    if key.startswith("ASIA"):
        op.fields["trail.session.id"] = key
        take(item, "userIdentity", "accessKeyId")
    _account(op, item)
    _interface(op, item)


def _account(op: Operation, item: dict[str, Any]) -> None:
    """The account of the identity, where it is the account that the event is about."""
    identity = item.get("userIdentity")
    if isinstance(identity, dict):
        if "cloud.account.id" not in op.fields:
            take_first(op, item, ("cloud.account.id", ("userIdentity", "accountId")))
        else:
            drop_equal(identity, "accountId", op.fields["cloud.account.id"])


def _assumed(op: Operation, item: dict[str, Any], arn: Any, name: str | None) -> str | None:
    """A role's session: who it was is a guess from its name, what rights it had is told."""
    issuer = ("userIdentity", "sessionContext", "sessionIssuer")
    take_first(
        op, item, ("user.effective.id", (*issuer, "principalId")), ("user.effective.name", (*issuer, "userName"))
    )
    source = take_text(item, "userIdentity", "sessionContext", "sourceIdentity")
    session = source or name or (arn.rpartition("/")[2] if is_text(arn) and "/" in arn else None)
    role = op.fields.get("user.effective.name", "")
    console = (
        str(item.get("sessionCredentialFromConsole")).lower() == "true" or item.get("eventType") == "AwsConsoleAction"
    )
    if is_text(peek(item, "userIdentity", "invokedBy")) or (session is not None and _MACHINE(session)):
        op.actor_type, op.actor_confidence = "system", "inferred"
        op.fields["trail.actor.basis"] = "role_session"
    elif source is not None:
        op.actor_type, op.actor_confidence = "user", "inferred"
        op.fields["trail.actor.basis"] = "source_identity"
    elif session is not None and (console or "@" in session or str(role).startswith("AWSReservedSSO_")):
        op.actor_type, op.actor_confidence = "user", "inferred"
        op.fields["trail.actor.basis"] = "role_session_name"
    return session


def _interface(op: Operation, item: dict[str, Any]) -> None:
    kind = scalar_text(item.get("eventType"))
    if (
        kind in {"AwsConsoleSignIn", "AwsConsoleAction"}
        or str(item.get("sessionCredentialFromConsole")).lower() == "true"
    ):
        op.interface = "ui"
    elif op.actor_type == "system" or (kind == "AwsServiceEvent" and op.actor_type == "unknown"):
        op.interface = "system"
    elif kind == "AwsApiCall":
        op.interface = "api"


def _where(op: Operation, item: dict[str, Any]) -> None:
    address = take_ip(item, "sourceIPAddress")
    if address is not None:
        op.fields["source.ip"] = address
        return
    text = item.get("sourceIPAddress")
    if is_text(text) and "." in text and " " not in text and len(text) <= 253:
        op.fields["source.domain"] = take(item, "sourceIPAddress")


def _login(op: Operation, item: dict[str, Any]) -> None:
    """A sign-in says in its answer, or in its details, how it went."""
    if op.action not in {"auth.login", "auth.mfa"} or op.code is None:
        return
    for holder in ("responseElements", "serviceEventDetails"):
        result = peek(item, holder, op.code)
        if not is_text(result):
            continue
        op.outcome = {"Success": "success", "Failure": "failure"}.get(result, "unknown")
        if op.outcome != "unknown":
            take(item, holder, op.code)
        if "error.message" in op.fields:
            op.fields["event.reason"] = op.fields.pop("error.message")


def _what(op: Operation, item: dict[str, Any]) -> None:
    parameters = item.get("requestParameters")
    if not isinstance(parameters, dict):
        parameters = {}
    if op.action.startswith("file.") and "key" in parameters:
        bucket, key = take_text(parameters, "bucketName"), take_text(parameters, "key")
        op.object_type, op.object_id = "s3_object", "/".join(part for part in (bucket, key) if part is not None)
        op.fields["file.name"] = (key or "").rpartition("/")[2] or key
    elif not op.action.startswith("auth.login"):
        _object(op, item, parameters)
    if op.object_type == "user" and op.object_id is not None:
        op.fields["user.target.name"] = op.object_id
    elif op.object_type in {"group", "access_key_id"}:
        take_first(op, parameters, ("user.target.name", ("userName",)))
        if op.object_type == "group" and op.object_id is not None:
            op.fields["group.name"] = op.object_id
    if op.action == "auth.elevate" and op.object_id is not None:
        op.fields.setdefault("user.effective.name", op.object_id.rpartition("/")[2])
    if parameters and op.action in _UPDATES:
        op.changes = [
            Change(name, value, ABSENT)
            if op.action == "role.revoke"
            else Change(name, UNKNOWN, value, derivation="new_only")
            for name, value in parameters.items()
            # An empty text is a part of S3's address ("?policy").
            if name.strip() and name not in _CONTROLS and value != ""
        ]
        for change in op.changes:
            del parameters[change.field]
    elif parameters and op.action.endswith(_WHOLES):
        op.values = dict(parameters)
        parameters.clear()
    if item.get("requestParameters") == {} and (op.changes or op.values or op.object_id is not None):
        del item["requestParameters"]
    if op.action == "user.update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD


def _object(op: Operation, item: dict[str, Any], parameters: dict[str, Any]) -> None:
    instances = peek(parameters, "instancesSet", "items")
    if isinstance(instances, list) and len(instances) == 1 and isinstance(instances[0], dict):
        op.object_type, op.object_id = "instance", take_text(instances[0], "instanceId")
        if not instances[0]:
            take(parameters, "instancesSet", "items")
        return
    for name, kind in objects_for(op.action):
        if name == "accessKeyId" and name not in parameters:
            text = take_text(item, "responseElements", "accessKey", "accessKeyId")
        else:
            text = take_text(parameters, name)
        if text is not None:
            op.object_type, op.object_id = kind, text
            op.object_label = "access key" if kind == "access_key_id" else None
            return
    resources = item.get("resources")
    first = resources[0] if isinstance(resources, list) and resources and isinstance(resources[0], dict) else None
    arn = scalar_text(first.get("ARN")) if first is not None else None
    if arn is not None and first is not None:
        op.object_type, op.object_id = "resource", arn
        del first["ARN"]
    elif op.action == "api.request":
        # A call about nothing in particular: the sentence names the call.
        op.object_type, op.object_name = "operation", op.code
