"""HubSpot, webhooks, property history and account activity: who set which property, logged in, exported.

**What the source records.** Four channels, each with a part of the answer; none names a session.

| channel | who | from where | field | old | new |
|---|---|---|---|---|---|
| webhooks (v3) | `sourceId` `userId:N`, where a user did it | - | `propertyName` | - | `propertyValue` |
| property history | `updatedByUserId` or `sourceId` | - | the property | the next-older item | `value` |
| audit log (Enterprise) | `actingUser` | - | - | - | - |
| login and security activity | id, e-mail | IP address, place, browser (logins) | - | - | - |

The audit log has actions of HubSpot users only: what a form, a workflow or an integration did is not in it.

**How to get it out.** Write each answer or body as one line to a file.

- Webhooks: subscriptions of an app (`contact.propertyChange`, `deal.creation` …, or `object.*` for all types), sent to
  an endpoint of yours, which must check `X-HubSpot-Signature-v3` (HMAC-SHA256 over method, URI, body and
  `X-HubSpot-Request-Timestamp`; refuse what is older than five minutes (not confirmed)). An `eventId` is not
  guaranteed to be unique, and a delivery may be repeated with a higher `attemptNumber`.
- Property history: `GET /crm/v3/objects/contacts/{id}?propertiesWithHistory=salary,email`. How many items HubSpot keeps
  is limited (not confirmed), so nothing is claimed about what was before the oldest one. The answer does not name the type of the record: give
  it with the option `object_type`. Each fetch repeats the history: write a record once per change, e.g. when a webhook
  names it.
- Audit log: `GET /account-info/v3/activity/audit-logs` (scope `account-info.security.read`, Enterprise only), also
  `…/activity/login` (90 days) and `…/activity/security`; page with `after`.

**One line in**: one object, an array (a webhook's body), or an answer `{"results": […], "paging": {…}}`.

```json
[{"eventId":3181526809,"subscriptionId":25,"portalId":33,"appId":1160452,"occurredAt":1772384645507,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":991,"propertyName":"lifecyclestage","propertyValue":"customer","changeSource":"CRM_UI","sourceId":"userId:7"}]
{"id":"991","propertiesWithHistory":{"salary":[{"value":"120000","timestamp":"2026-03-01T17:04:05.507Z","sourceType":"CRM_UI","sourceId":"userId:7","updatedByUserId":7},{"value":"90000","timestamp":"2026-01-01T09:00:00Z","sourceType":"IMPORT"}]}}
{"id":"a-1","category":"CRM_OBJECT","subCategory":"CONTACT","action":"UPDATE","targetObjectId":"991","occurredAt":"2026-03-01T17:04:05.507Z","actingUser":{"userId":7,"userEmail":"kim@co.example"}}
{"id":"48","loginAt":"2026-03-01T17:04:05.507Z","userId":7,"email":"kim@co.example","loginSucceeded":true,"ipAddress":"198.51.100.9","userAgent":"ExampleBrowser/1.0","countryCode":"us"}
```

**What comes out.**

- Webhook (`hubspot.webhook`): `propertyChange` is one `field.update` with the new value (`new_only`); `creation`,
  `deletion`, `privacyDeletion`, `merge`, `restore` are `record.create`, `.delete`, `.purge`, `.merge`, `.restore`;
  `associationChange` is `record.link` or `record.unlink` of the record that it begins at. `event.code` is the
  subscription's type, `event.id` the `eventId`.
- Property history (`hubspot.property_history`; inputs of type `poll` give each item by itself, with the next-older one
  under `before` and the type under `objectType`): one `field.update` per item, oldest first, whose old value is the
  next-older item (`reconstructed`); of the oldest item the old value is unknown.
- Audit log (`hubspot.audit`): the action that category and verb say: `record.*` and `field.update` of CRM objects,
  `user.*`, `role.*`, `automation.*` of workflows, `data.export`, `auth.login`, `config.*` of settings, pipelines and
  properties, else `log.message`. `event.code` is `CATEGORY.SUBCATEGORY.ACTION`.
- Logins (`hubspot.login`) are `auth.login` with their outcome. Security activity (`hubspot.security`) is what its
  type's words say (`ADD_USER` is `user.create`), else `log.message`; HubSpot publishes no list of the types, and that
  `userId` is the acting user's is not confirmed.

The interface follows from `changeSource` or `sourceType` (`CRM_UI` is `ui`, `AUTOMATION_PLATFORM` `automation`, `API`
`api` …), which stays in `trail.raw`. Where these name a way and no user, the kind of actor is inferred from them.

Missing: `trail.session.id`, always; of webhooks, history and audit log `source.ip`; of webhooks `trail.change.old`; of
audit log updates the whole change. What is not mapped is in `trail.raw`. Options: `object_type`, the type of the
records whose property history is read (`contact`); without it a record's own `url` tells it, or the type is `record`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, read, scalar_text, snake, take_ip, take_text, take_time

FORMAT: Final = Format(
    name="hubspot",
    module="hubspot",
    vendor="HubSpot",
    title="HubSpot, webhooks, property history, audit log, login and security activity",
    missing=("trail.session.id",),
    options={"object_type": "type of the records whose property history is read, e.g. contact"},
    gives=Gives.of("who when ip field new logins exports", "old"),
)  # fmt: skip
LITERALS: Final = (
    b'"subscriptionType"', b'"propertiesWithHistory"', b'"occurredAt"', b'"loginAt"', b'"actingUser"',
)  # fmt: skip

_TYPES: Final = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-7": "product",
    "0-8": "line_item",
}
_user_id = re.compile(r"userId:([0-9]{1,20})").fullmatch
_record_url = re.compile(r"/record/([0-9]{1,4}-[0-9]{1,20})/").search

_WAYS: Final = {
    **dict.fromkeys(("CRM_UI", "CRM_UI_BULK_ACTION", "CONTACTS_WEB", "EXTENSION"), ("ui", "user")),
    **dict.fromkeys(("MOBILE_IOS", "MOBILE_ANDROID"), ("mobile", "user")),
    **dict.fromkeys(("API", "INTEGRATION", "INTEGRATIONS_PLATFORM"), ("api", "api_key")),
    **dict.fromkeys(("INTEGRATIONS_SYNC", "SALESFORCE"), ("sync", "system")),
    "IMPORT": ("import", "user"),
    **dict.fromkeys(("AUTOMATION_PLATFORM", "WORKFLOWS", "SEQUENCES"), ("automation", "automation")),
    **dict.fromkeys(("CALCULATED", "DEFAULT", "MIGRATION", "ASSOCIATIONS"), ("system", "system")),
}
"""changeSource, sourceType -> interface, kind of actor."""
_WEBHOOKS: Final = {
    "propertyChange": "field.update",
    "creation": "record.create",
    "deletion": "record.delete",
    "privacyDeletion": "record.purge",
    "merge": "record.merge",
    "restore": "record.restore",
}
_VERBS: Final = {
    "CREATE": "create",
    "UPDATE": "update",
    "EDIT": "update",
    "DELETE": "delete",
    "REMOVE": "delete",
    "ARCHIVE": "delete",
    "RESTORE": "restore",
    "MERGE": "merge",
    "VIEW": "view",
}
_NOUNS: Final = (
    (("PROPERTY_VALUE",), "record", "update"),
    (("LOGIN", "LOGOUT"), "auth", ""),
    (("EXPORT",), "data.export", ""),
    (("IMPORT",), "data.import", ""),
    (("WORKFLOW", "SEQUENCE"), "automation", "edit"),
    (("API_KEY", "ACCESS_TOKEN", "PRIVATE_APP"), "token", "update"),
    (("USER",), "user", "update"),
    (("PERMISSION", "ROLE"), "role", "update"),
    (("TEAM",), "group", "update"),
    (("PIPELINE", "PROPERTY", "SETTING", "SECURITY", "DOMAIN"), "config", "update"),
)
"""Words in an audit log entry's category and subcategory -> family of actions, the family's word for an update."""
_KEYS: Final = ("API_KEY", "TOKEN", "PRIVATE_APP")
_FACTORS: Final = ("TWO_FACTOR", "2FA", "MFA")
_RIGHTS: Final = ("ADMIN", "PERMISSION", "ROLE")
_ADDED, _REMOVED = ("ADD", "ENABLE", "CREATE", "GRANT", "INVITE"), ("REMOVE", "DISABLE", "DELETE", "REVOKE")
_SECURITY: Final = (
    (("EXPORT",), ("",), "data.export", None),
    (_ADDED, _FACTORS, "mfa.enable", "user"),
    (_REMOVED, _FACTORS, "mfa.disable", "user"),
    (_ADDED, _KEYS, "token.create", "api_key"),
    ((*_REMOVED, "DEACTIVATE"), _KEYS, "token.revoke", "api_key"),
    (("VIEW",), _KEYS, "record.view", "api_key"),
    (_ADDED, _RIGHTS, "role.grant", "user"),
    (_REMOVED, _RIGHTS, "role.revoke", "user"),
    (("DEACTIVATE",), ("USER",), "user.disable", "user"),
    (_ADDED, ("USER",), "user.create", "user"),
    (_REMOVED, ("USER",), "user.delete", "user"),
    (("PASSWORD",), ("",), "password.change", "user"),
    (("SSO", "SINGLE_SIGN_ON", "TWO_FACTOR", "SETTING"), ("",), "config.update", "setting"),
)
"""Words of a security activity's type, one of each list -> action, type of the object."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One answer or webhook body, see the module's text."""
    found = read(record, "results")
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list of results")
    object_type = scalar_text(ctx.options.get("object_type"))

    def one(item: dict[str, Any]) -> list[Operation] | Rejected:
        if isinstance(item.get("propertiesWithHistory"), dict):
            return _history(item, object_type)
        kind = item.get("subscriptionType")
        if is_text(kind) and "." in kind and "portalId" in item and ("eventId" in item or "subscriptionId" in item):
            return [_webhook(item, kind)]
        if "loginAt" in item and "loginSucceeded" in item:
            return [_login(item)]
        if {"category", "action", "occurredAt"} <= item.keys() and ("actingUser" in item or "subCategory" in item):
            return [_audit(item)]
        if is_text(item.get("type")) and is_text(item.get("actingUser")) and "createdAt" in item and "userId" in item:
            return [_security(item)]
        return Rejected("neither a HubSpot webhook, nor property history, audit log, login or security activity")

    return each(found, one)


def _put(op: Operation, target: str, text: str | None) -> None:
    if text is not None:
        op.fields[target] = text


# -- webhooks and history: a property and its value --------------------------------------------------------------------


def _who(op: Operation, item: dict[str, Any], way_name: str) -> None:
    """The user, from `updatedByUserId` or `sourceId`, else the kind of actor that the way of the change tells."""
    interface, actor = _WAYS.get(str(item.get(way_name)), (None, "unknown"))
    op.interface = interface
    source = item.get("sourceId")
    found = _user_id(source) if is_text(source) else None
    user = take_text(item, "updatedByUserId")
    if found and user in {None, found[1]}:
        user = found[1]
        del item["sourceId"]
    if user is not None:
        op.fields["user.id"] = user
        op.actor_type, op.actor_confidence = "user", "asserted"
    elif actor != "unknown":
        op.actor_type, op.actor_confidence = actor, "inferred"
        op.fields["trail.actor.basis"] = way_name


def _webhook(item: dict[str, Any], kind: str) -> Operation:
    del item["subscriptionType"]
    noun, _, verb = kind.rpartition(".")
    op = Operation(action=_WEBHOOKS.get(verb, "log.message"), kind="webhook", code=kind, raw=item)
    op.time = take_time(item, "occurredAt")
    op.id = take_text(item, "eventId")
    op.object_type = snake(noun)
    if noun == "object":
        type_id = scalar_text(item.get("objectTypeId"))
        op.object_type = _TYPES.get(type_id or "", take_text(item, "objectTypeId"))
    op.object_id = take_text(item, "objectId")
    _put(op, "organization.id", take_text(item, "portalId"))
    _who(op, item, "changeSource")
    if verb == "propertyChange":
        name = take_text(item, "propertyName")
        if name is None:
            op.missing = CHANGE_NOT_TOLD
        else:
            value = item.pop("propertyValue", UNKNOWN)
            op.changes = [Change(name, UNKNOWN, value, derivation="new_only")]
    elif verb == "associationChange":
        op.action = "record.unlink" if item.get("associationRemoved") is True else "record.link"
        op.object_id = op.object_id or take_text(item, "fromObjectId")
    elif verb == "merge":
        op.object_id = op.object_id or take_text(item, "primaryObjectId")
    elif verb in {"creation", "deletion"}:
        op.missing = ("trail.values",)
    return op


def _history(item: dict[str, Any], object_type: str | None) -> list[Operation] | Rejected:
    history = item.pop("propertiesWithHistory")
    url = item.get("url")
    found = _record_url(url) if is_text(url) else None
    if object_type is None and found:
        object_type = _TYPES.get(found[1], found[1])
    common = Operation(action="field.update", kind="property_history", object_type=object_type)
    common.object_id = take_text(item, "id")
    if object_type is None and is_text(item.get("objectType")):
        common.object_type = object_type = take_text(item, "objectType")
    before = item.get("before", {})
    if not isinstance(before, dict) or not all(isinstance(one, dict) for one in before.values()):
        return Rejected("before: an object with the next-older item of each property")
    fields: dict[str, Any] = {}
    if is_text(url) and url.strip():
        fields["trail.object.url"] = item.pop("url")
    operations = []
    for name, items in history.items():
        if not name or not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            return Rejected("propertiesWithHistory: a property's history is a list of objects")
        older: Any = UNKNOWN
        # Where an item stands alone, what was before it may be told beside it.
        if name in before:
            older = before[name].pop("value", UNKNOWN)
        for one in _oldest_first(items):
            value = one.pop("value", UNKNOWN)
            op = Operation(action="field.update", kind="property_history", object_type=object_type)
            op.object_id, op.fields, op.time = common.object_id, dict(fields), take_time(one, "timestamp")
            op.changes = [Change(name, older, value, derivation="new_only" if older is UNKNOWN else "reconstructed")]
            older = value
            _who(op, one, "sourceType")
            op.raw = {"propertiesWithHistory": {name: one}} if one else {}
            operations.append(op)
    if not operations:
        common.no_change, common.raw = True, item
        return [common]
    # What the answer says once for all its properties stands with the first item.
    operations[0].raw = {**item, **operations[0].raw}
    return operations


def _oldest_first(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """HubSpot gives the newest first; a list that somebody turned round is read as it stands."""
    first, last = (items[0].get("timestamp"), items[-1].get("timestamp")) if items else ("", "")
    if is_text(first) and is_text(last):
        turned = first < last
    else:
        turned = isinstance(first, int | float) and isinstance(last, int | float) and first < last
    return items if turned else items[::-1]


# -- account activity --------------------------------------------------------------------------------------------------


def _audit(item: dict[str, Any]) -> Operation:
    said = [take_text(item, name) or "" for name in ("category", "subCategory", "action")]
    category, sub, verb = (word.upper() for word in said)
    op = Operation(action="log.message", kind="audit", time=take_time(item, "occurredAt"), raw=item)
    op.id, op.code = take_text(item, "id"), ".".join(word for word in said if word) or None
    object_type = snake(said[1] if said[1] and category in {"CRM_OBJECT", "CONTENT"} else said[0]) or None
    _put(op, "user.id", take_text(item, "actingUser", "userId"))
    _put(op, "user.email", take_text(item, "actingUser", "userEmail"))
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    about = f"{category}.{sub}" if sub else category
    family, changed = next(
        ((name, update) for words, name, update in _NOUNS if any(word in about for word in words)), ("record", "update")
    )
    if "." in family or "EXPORT" in verb:
        op.action = family if "." in family else "data.export"
    elif family == "auth":
        op.action = "auth.logout" if "LOGOUT" in about else "auth.login"
        op.outcome = "failure" if "FAIL" in about + verb else "success" if "SUCCE" in about + verb else None
    else:
        op.action = _of_family(family, _VERBS.get(verb), changed)
    if family != "auth":  # what a login's target is, is not known
        op.object_type, op.object_id = object_type, take_text(item, "targetObjectId")
    if op.action in {"field.update", "user.update", "role.update", "config.update"}:
        op.missing = CHANGE_NOT_TOLD
    return op


def _of_family(family: str, verb: str | None, changed: str) -> str:
    if family == "record":
        return "field.update" if verb == "update" else f"record.{verb}" if verb else "log.message"
    if verb == "delete" and family == "token":
        return "token.revoke"
    if verb not in {"create", "update", "delete"}:
        return "log.message"
    return f"{family}.{changed if verb == 'update' else verb}"


def _from_where(op: Operation, item: dict[str, Any]) -> None:
    address = take_ip(item, "ipAddress")
    _put(op, "source.ip", address)
    _put(op, "source.geo.name", take_text(item, "location"))
    country = item.get("countryCode")
    if is_text(country) and len(country) == 2 and country.isascii() and country.isalpha():
        op.fields["source.geo.country_iso_code"] = item.pop("countryCode").upper()


def _login(item: dict[str, Any]) -> Operation:
    op = Operation(action="auth.login", kind="login", time=take_time(item, "loginAt"), raw=item)
    op.id = take_text(item, "id")
    if isinstance(item["loginSucceeded"], bool):
        op.outcome = "success" if item.pop("loginSucceeded") else "failure"
    _put(op, "user.id", take_text(item, "userId"))
    _put(op, "user.email", take_text(item, "email"))
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    _from_where(op, item)
    _put(op, "user_agent.original", take_text(item, "userAgent"))
    return op


def _security(item: dict[str, Any]) -> Operation:
    code = item.pop("type")
    action, object_type = _security_action(code.upper())
    op = Operation(action=action, kind="security", code=code, raw=item)
    op.id, op.time = take_text(item, "id"), take_time(item, "createdAt")
    op.object_id = take_text(item, "objectId")
    op.object_type = object_type if op.object_id is not None else None
    _put(op, "user.id", take_text(item, "userId"))
    _put(op, "user.email", take_text(item, "actingUser"))
    op.actor_type, op.actor_confidence = "user", "asserted"
    _from_where(op, item)
    _put(op, "url.original", take_text(item, "infoUrl"))
    return op


def _security_action(code: str) -> tuple[str, str | None]:
    """Action and type of the object."""
    for verbs, nouns, action, object_type in _SECURITY:
        if any(word in code for word in verbs) and any(word in code for word in nouns):
            return action, object_type
    return "log.message", None
