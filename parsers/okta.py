"""Okta, System Log: who signed in where, who changed which user, group, application, policy or key, and how.

**What the source records.** Who (`actor`: a user, an application, or Okta itself), when (`published`), from where
(`client.ipAddress`, place and network), the browser, the session (`authenticationContext.externalSessionId`), what was
done (`eventType`), whether it went well (`outcome`) and to whom or what (`target[]`). Old and new values
(`target[].changeDetails.from` and `.to`) come with some event types only; a profile update may name the changed
attributes alone (`debugContext.debugData.changedAttributes`), or nothing.

**How to get it out.** `GET https://<org>.okta.com/api/v1/logs?since=…&sortOrder=ASCENDING&limit=1000` with an API token
of a read-only administrator or the OAuth scope `okta.logs.read`; follow the `next` link of the `Link` header and append
each event, or each whole answer, as one line to a file. Events are kept for 90 days (not confirmed); the rate limit is
told in `X-Rate-Limit-*` headers. Or let Okta send: log streaming to Amazon EventBridge (the event is in `detail`), or
event hooks (`data.events`), of which Okta sends selected event types only.

**One line in**: one event, an array of events, an event of EventBridge, or the body of an event hook.

```json
{"actor":{"id":"00u1kim","type":"User","alternateId":"kim@co.example","displayName":"Kim Q"},"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0","os":"Mac OS X","browser":"CHROME"},"device":"Computer","ipAddress":"198.51.100.9"},"authenticationContext":{"externalSessionId":"trs-7"},"eventType":"user.account.update_profile","outcome":{"result":"SUCCESS"},"published":"2026-02-03T10:30:00.000Z","severity":"INFO","target":[{"id":"00u2lee","type":"User","alternateId":"lee@co.example","displayName":"Lee W","changeDetails":{"from":{"department":"Sales"},"to":{"department":"Finance"}}}],"uuid":"0e1f-77","version":"0"}
```

**What comes out.** `event.id` is `uuid`, `event.code` the `eventType`.

- Signing in: `user.session.start`, `user.authentication.sso` and their like `auth.login` (to the application, where one
  is named), `…auth_via_mfa` `auth.mfa`, `user.session.end` `auth.logout`, `user.session.clear` `session.revoke`, access
  to the administrators' console `auth.elevate`, Okta support acting for somebody `auth.impersonate`.
- Accounts: `user.create`, `user.update`, `user.disable`, `user.lock`, `password.change`, `password.reset`,
  `mfa.enable`, `mfa.disable` and so on; `group.add` and `group.remove` with the group and the user; `role.grant` and
  `role.revoke` with one change per privilege (`role`) or of the `application`.
- Applications `app.connect`, `app.update`, `app.disconnect`; keys `token.create`, `token.revoke`; policies, zones and
  rules `config.create`, `config.update`, `config.delete`; log streams `audit.enable`, `audit.disable`; hooks
  `webhook.*`; what is not known is taken by its last word, else `log.message`.
- Each attribute that differs in `changeDetails` is one change; of a second target its name has the target's type in
  front (`policy_rule.status`). Attributes that are only named have unknown values.

The outcomes ALLOW and DENY are success and failure, CHALLENGE and the others unknown; the word itself is kept. An API
token makes the actor an `api_key` and the interface `api`; Okta itself is `system`; a browser means `ui`, which is an
inference. Secrets in URLs and values are dropped.

Missing: `trail.missing` lists old and new values where an update has no `changeDetails`, and each of IP address,
session and interface where the event (a job, an agent) has none. What is not mapped is in `trail.raw` under Okta's own
names. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import (
    Items,
    decode,
    each,
    is_text,
    peek,
    scalar_text,
    snake,
    take,
    take_ip,
    take_text,
    take_time,
    unwrap,
)
from parsers._okta import action_of
from parsers._pairs import set_person, take_first, take_point
from parsers._urls import clean_url
from parsers._values import diff

FORMAT: Final = Format(
    name="okta",
    module="okta",
    vendor="Okta",
    title="Okta, System Log",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (b'"eventType"',)

_NOBODY: Final = frozenset({"unknown", "Unknown", "UNKNOWN"})

_OBJECTS: Final = (
    ("auth.login", ("AppInstance",)),
    ("group.", ("UserGroup",)),
    ("app.", ("AppInstance",)),
    ("token.", ("Token", "access_token", "AppInstance")),
    ("config.", ("PolicyRule", "PolicyEntity")),
    ("role.", ("User", "UserGroup")),
    ("", ("User",)),
)
"""How our action begins -> the types of targets that it is about, the best first."""

_KINDS: Final = {
    "user_group": "group",
    "app_instance": "app",
    **dict.fromkeys(("access_token", "refresh_token", "id_token"), "token"),
}
"""Type of a target -> our kind of object."""
_RESULTS: Final = {"SUCCESS": "success", "ALLOW": "success", "FAILURE": "failure", "DENY": "failure"}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of the System Log, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    if isinstance(value, dict) and "detail-type" in value:
        return each(unwrap(value, "detail"), _event)
    events = peek(value, "data", "events") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(events, list) and "eventType" in value and events:
        take(value, "data", "events")
        found = unwrap(events)
        return found if isinstance(found, Rejected) else each(Items(found.items, value), _event)
    return each(unwrap(value), _event)


def _event(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("eventType")
    told = ("actor", "target", "outcome", "client", "debugContext", "authenticationContext", "severity")
    if not (is_text(code) and "published" in item and "uuid" in item and sum(name in item for name in told) >= 2):
        return Rejected("no event of the Okta System Log (eventType, published, uuid, actor, outcome … are needed)")
    del item["eventType"]
    op = Operation(action=action_of(code), kind="system", code=code, time=take_time(item, "published"))
    op.id = take_text(item, "uuid")
    _who(op, item)
    _where(op, item)
    _outcome(op, item)
    targets = [target for target in item["target"] if isinstance(target, dict)] if _all_objects(item) else []
    _what(op, targets)
    _changes(op, item, targets)
    if targets:
        item["target"] = [target for target in item["target"] if target]
        if not item["target"]:
            del item["target"]
    if not op.changes and op.action == "user.update" and not op.no_change:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return [op]


def _all_objects(item: dict[str, Any]) -> bool:
    target = item.get("target")
    return isinstance(target, list) and all(isinstance(entry, dict) for entry in target)


def _known(item: dict[str, Any], *path: str) -> str | None:
    """A text; Okta's word "unknown" tells nothing and stays where it is."""
    return None if scalar_text(peek(item, *path)) in _NOBODY else take_text(item, *path)


def _who(op: Operation, item: dict[str, Any]) -> None:
    kind = peek(item, "actor", "type")
    if isinstance(item.get("actor"), dict):
        identity, full = _known(item, "actor", "id"), _known(item, "actor", "displayName")
        if identity is not None:
            op.fields["user.id"] = identity
        set_person(op, _known(item, "actor", "alternateId"))
        if full is not None:
            op.fields["user.full_name"] = full
    if kind == "User":
        if op.fields:
            op.actor_type, op.actor_confidence = "user", "asserted"
    elif kind == "SystemPrincipal":
        op.actor_type, op.actor_confidence, op.interface = "system", "asserted", "system"
    elif is_text(kind) and op.fields:
        # A service application, an agent, a client: it acts with credentials of its own.
        op.actor_type, op.actor_confidence = "api_key", "asserted"
        op.interface = "api"
    if scalar_text(peek(item, "transaction", "detail", "requestApiTokenId")) is not None:
        op.actor_type, op.interface = "api_key", "api"
    elif op.interface is None and peek(item, "transaction", "type") == "JOB":
        op.interface = "system"


def _where(op: Operation, item: dict[str, Any]) -> None:
    address = take_ip(item, "client", "ipAddress")
    if address is not None:
        op.fields["source.ip"] = address
    browser = _known(item, "client", "userAgent", "browser")
    if browser is not None:
        op.fields["user_agent.name"] = browser
        op.interface = op.interface or "ui"
    system = _known(item, "client", "userAgent", "os")
    if system is not None:
        op.fields["user_agent.os.full"] = system
    place = ("client", "geographicalContext")
    take_first(
        op,
        item,
        ("user_agent.original", ("client", "userAgent", "rawUserAgent")),
        ("source.geo.city_name", (*place, "city")),
        ("source.geo.region_name", (*place, "state")),
        ("source.geo.country_name", (*place, "country")),
        ("source.geo.postal_code", (*place, "postalCode")),
        ("source.as.organization.name", ("securityContext", "asOrg")),
        ("http.request.id", ("debugContext", "debugData", "requestId")),
        ("url.path", ("debugContext", "debugData", "requestUri")),
        ("url.original", ("debugContext", "debugData", "url")),
    )
    point = take_point(item, (*place, "geolocation"), "lat", "lon")
    if point is not None:
        op.fields["source.geo.location"] = point
    number = peek(item, "securityContext", "asNumber")
    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
        op.fields["source.as.number"] = take(item, "securityContext", "asNumber")
    session = _known(item, "authenticationContext", "externalSessionId")
    if session is not None:
        op.fields["trail.session.id"] = session
    for name in ("url.path", "url.original"):
        if name in op.fields:
            op.fields[name] = clean_url(op.fields[name])


def _outcome(op: Operation, item: dict[str, Any]) -> None:
    result = peek(item, "outcome", "result")
    if not is_text(result):
        return
    op.outcome = _RESULTS.get(result, "unknown")
    if result in {"SUCCESS", "FAILURE", "UNKNOWN"}:
        take(item, "outcome", "result")
    reason = take_text(item, "outcome", "reason")
    if reason is not None:
        op.fields["event.reason"] = reason


def _what(op: Operation, targets: list[dict[str, Any]]) -> None:
    """The object of the operation is the best fitting target; users and groups fill their ECS fields too."""
    wanted = next(types for beginning, types in _OBJECTS if op.action.startswith(beginning))
    chosen = next((target for kind in wanted for target in targets if target.get("type") == kind), None)
    user = next((target for target in targets if target.get("type") == "User"), None)
    if chosen is None and targets:
        chosen = targets[0]
    if op.action in {"role.grant", "role.revoke"}:
        _granted(op, targets, chosen)
    if user is not None and user is not chosen and op.action in {"group.add", "group.remove", "session.revoke"}:
        identity = take_text(user, "id")
        if identity is not None:
            op.fields["user.target.id"] = identity
        _target_user(op, user)
        take(user, "type")
    if chosen is None:
        return
    op.object_label = take_text(chosen, "type")
    kind = snake(op.object_label) if op.object_label is not None else None
    op.object_type = _KINDS.get(kind, kind) if kind is not None else None
    op.object_id = take_text(chosen, "id")
    if op.object_type == "user":
        _target_user(op, chosen)
    else:
        op.object_name = _known(chosen, "displayName")
    if op.object_type == "group":
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
    side = {"auth.impersonate": "effective", "session.revoke": "target"}.get(op.action)
    if side is not None and op.object_type == "user" and op.object_id is not None:
        op.fields[f"user.{side}.id"] = op.object_id


def _target_user(op: Operation, target: dict[str, Any]) -> None:
    if peek(target, "id") == op.fields.get("user.id") or op.object_id == op.fields.get("user.id"):
        # A person who does something to the own account: who it is has been said.
        for name, field in (
            ("alternateId", "user.email"),
            ("alternateId", "user.name"),
            ("displayName", "user.full_name"),
        ):
            if field in op.fields and target.get(name) == op.fields[field]:
                del target[name]
    set_person(op, _known(target, "alternateId"), "user.target")
    full = _known(target, "displayName")
    if full is not None:
        op.fields["user.target.full_name"] = full


def _granted(op: Operation, targets: list[dict[str, Any]], chosen: dict[str, Any] | None) -> None:
    """An application that a user or group was given or lost, as a change of theirs."""
    app = next((target for target in targets if target.get("type") == "AppInstance" and target is not chosen), None)
    identity = scalar_text(app.get("id")) if app is not None else None
    if app is None or identity is None:
        return
    label = _known(app, "displayName")
    take(app, "id")
    take(app, "type")
    if op.action == "role.grant":
        op.changes.append(Change("application", ABSENT, identity, new_label=label))
    else:
        op.changes.append(Change("application", identity, ABSENT, old_label=label))


def _changes(op: Operation, item: dict[str, Any], targets: list[dict[str, Any]]) -> None:
    first = True
    for target in targets:
        details = target.get("changeDetails")
        if not isinstance(details, dict) or not ("from" in details or "to" in details):
            continue
        old, new = details.pop("from", ABSENT), details.pop("to", ABSENT)
        if not details:
            del target["changeDetails"]
        before = "" if first else f"{snake(scalar_text(target.get('type')) or 'target')}."
        first = False
        if isinstance(old, dict | None) and isinstance(new, dict | None) and not (old is None and new is None):
            op.changes += [
                change._replace(field=before + (change.field or "value")) for change in diff(old or {}, new or {})
            ]
        else:
            op.changes.append(Change(f"{before}value", _side(old), _side(new)))
    op.no_change = not first and not op.changes
    debug = peek(item, "debugContext", "debugData")
    if not isinstance(debug, dict):
        return
    names = scalar_text(debug.get("changedAttributes"))
    if names is not None and first and not op.changes:
        op.changes = [
            Change(name.strip(), UNKNOWN, UNKNOWN, derivation="new_only") for name in names.split(",") if name.strip()
        ]
        take(item, "debugContext", "debugData", "changedAttributes")
    for member, granted in (("privilegeGranted", True), ("privilegeRevoked", False)):
        listed = scalar_text(debug.get(member))
        if listed is not None and op.action in {"role.grant", "role.revoke"}:
            take(item, "debugContext", "debugData", member)
            for role in (part.strip() for part in listed.split(",")):
                if role:
                    op.changes.append(Change("role", ABSENT, role) if granted else Change("role", role, ABSENT))


def _side(value: Any) -> Any:
    return UNKNOWN if value is ABSENT else value
