r"""Greenhouse, Audit Log API and webhooks of Recruiting and Onboarding: who changed which field, from what to what.

**What the source records.** The Audit Log API is the one to have: who (`performer`: id, user name, full name; or an
API key, or an OAuth client), when (`event_time`), the IP address, the field, its old and its new value. It records no
session and no user agent. `request.id` joins the rows of one user action: several rows may share it. A recruiting
webhook sends the whole record as it is now: nobody is named, no old value, no IP address, and no time of the event. An
onboarding webhook names the employee who acted and the changed fields, without values.

**How to get it out.** Audit Log API: a paid add-on; Greenhouse enables it on request. Get a token with `POST
https://harvest.greenhouse.io/auth/jwt_access_token` (a Harvest key as basic user, `On-Behalf-Of`; valid for 24 h),
then page through `GET https://auditlog.us.greenhouse.io/events?paging=true` (headers `Size` 100-500, `Pit-Id`,
`Search-After`; end at `paging.next_search_after: null`; 3 paged requests in 30 s) and append each row, or each whole
answer, as one line to a file. Events are kept for **30 days**: fetch daily at least. Webhooks: *Dev Center > Web
Hooks* (not confirmed), one per event, each with a secret key; your endpoint checks `Signature: sha256 <hex>`
(HMAC-SHA256 over the raw body, `\u` escapes as sent) and appends each body as one line. The ping on saving must
succeed; after it Greenhouse tries seven times in 15 hours. Onboarding webhooks are in beta, on request.

**One line in**: one event of the Audit Log API, an array of them, or an answer `{"results": [...], "paging": {...}}`;
one body of a recruiting webhook; one body of an onboarding webhook.

```json
{"request":{"id":"r9","type":"offers#update"},"performer":{"id":7,"type":"user","ip_address":"198.51.100.9","meta":{"name":"Kim Q","username":"kim@co.example"}},"organization_id":123,"event":{"type":"data_change_update","target_type":"Offer","target_id":55,"meta":{"salary":[90000,120000]}},"event_time":"2026-02-03T10:30:00.000Z"}
{"action":"offer_updated","payload":{"id":5120,"application_id":71980,"version":2,"offer_status":"Created","custom_fields":{"salary":{"name":"Salary","type":"currency","value":{"amount":80000,"unit":"USD"}}}}}
{"event_type":"employee:updated","id":"0b7e5d1c","payload":{"updated_employee_id":31,"acting_employee_id":7,"updated_at":"2026-02-03T10:31:00-07:00","updated_fields":[{"id":"personal_email","name":"Personal Email"}]}}
```

**What comes out.** Of the Audit Log API (`greenhouse.audit`); `event.id` is the request's id, `event.code` its type
(`offers#update`):

- `data_change_update`: one `field.update` per member of `event.meta`, with the direction of nulls kept (`[null, x]`
  adds, `[x, null]` removes); of a user: `role.grant`, `role.revoke`, `user.disable`, `user.enable` or `user.update`.
- `data_change_create`, `data_change_destroy`: one `record.create` / `record.delete` (of a user `user.create` /
  `user.delete`) with the values.
- `harvest_access`, `mcp_access`: `record.view` through the API. `mcp_tool_call`: by its operation `record.create`,
  `field.update`, `record.delete` or `record.view`; the authorizing user of an OAuth client is `user.effective.id`.
- `action`: `data.export`, `report.run`, `auth.login` and their like where the request's type says so, else
  `log.message`.

Of a recruiting webhook (`greenhouse.webhook`); `event.code` is its action, the record is in `trail.values` with one
value for each custom field (`custom_fields.salary`): `record.create`, `record.delete`, `record.merge`,
`approval.grant` (offer or job approved), else `field.update`, with `trail.change` where the action names what changed:
the stage (`candidate_stage_change`), the status (hired, unhired, rejected, unrejected), each anonymized field. Old
values are never told. The time is the record's own where it means the event (`last_activity_at`, `rejected_at`,
`created_at`), else that of receipt. Of an onboarding webhook (`greenhouse.onboarding`): one `field.update` for each
named field of the employee.

The interface is `ui` for a user, `api` for an API key or an OAuth client, `system` for Greenhouse itself: an inference
from the performer's type. What is not mapped is in `trail.raw`.

Missing: `trail.missing` holds `trail.session.id` and `user_agent.original` always, and the parts of the change where
an update names no field; of webhooks `user.id`, `source.ip` and `trail.interface` too (of onboarding the latter two).
Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_ip, take_text, take_time
from parsers._snapshots import flat, named_only, split_custom_fields

FORMAT: Final = Format(
    name="greenhouse",
    module="greenhouse",
    vendor="Greenhouse",
    title="Greenhouse, Audit Log API and webhooks",
    missing=("trail.session.id", "user_agent.original"),
    gives=Gives.of("who when ip field old new", "logins exports"),
)
LITERALS: Final = (b'"performer"', b'"paging"', b'"payload"')

_PERFORMERS: Final = {
    "user": ("user", "ui"),
    "api_key": ("api_key", "api"),
    "oauth": ("api_key", "api"),
    "greenhouse_internal": ("system", "system"),
}
"""performer.type -> actor type, interface."""

_TOOL_OPERATIONS: Final = {
    "create": "record.create",
    "update": "field.update",
    "delete": "record.delete",
    "read": "record.view",
}
"""event.meta.operation of an `mcp_tool_call` -> our action."""
_USERS: Final = frozenset({"user"})
_ROLE: Final = re.compile(r"(?:^|_)(?:roles?|permissions?|privileges?|site_admin|job_admin|admin)(?:_|$)").search
_SWITCHED_OFF: Final = frozenset({"disabled", "deactivated", "disabled_at", "deactivated_at"})
_SWITCHED_ON: Final = frozenset({"active", "enabled"})

# Words of `request.type` ("<controller>#<verb>") of a row of type `action`. The first that is found decides.
_ACTIONS: Final = (
    (re.compile(r"export|download|csv").search, "data.export"),
    (re.compile(r"report").search, "report.run"),
    (re.compile(r"import|upload").search, "data.import"),
    (re.compile(r"sessions?#(?:create|new)|log_?in|sign_?in").search, "auth.login"),
    (re.compile(r"sessions?#destroy|log_?out|sign_?out").search, "auth.logout"),
    (re.compile(r"merge").search, "record.merge"),
    (re.compile(r"emails?#(?:create|send)|#send|send_").search, "message.send"),
    (re.compile(r"#(?:show|index|view|search|preview)").search, "record.view"),
)

# Actions of recruiting webhooks: our action, the record's type, and the field that the action is about.
_HOOKS: Final[dict[str, tuple[str, str, str | None]]] = {
    "new_candidate_application": ("record.create", "application", None),
    "new_prospect_application": ("record.create", "application", None),
    "application_updated": ("field.update", "application", None),
    "delete_application": ("record.delete", "application", None),
    "candidate_stage_change": ("field.update", "application", "current_stage"),
    "hire_candidate": ("field.update", "application", "status"),
    "unhire_candidate": ("field.update", "application", "status"),
    "reject_candidate": ("field.update", "application", "status"),
    "unreject_candidate": ("field.update", "application", "status"),
    "update_candidate": ("field.update", "candidate", None),
    "delete_candidate": ("record.delete", "candidate", None),
    "merge_candidate": ("record.merge", "candidate", None),
    "candidate_anonymized": ("field.update", "candidate", None),
    "offer_created": ("record.create", "offer", None),
    "offer_updated": ("field.update", "offer", None),
    "offer_approved": ("approval.grant", "offer", None),
    "offer_deleted": ("record.delete", "offer", None),
    "interview_deleted": ("record.delete", "interview", None),
    "scorecard_deleted": ("record.delete", "scorecard", None),
    "job_created": ("record.create", "job", None),
    "job_updated": ("field.update", "job", None),
    "job_approved": ("approval.grant", "job", None),
    "job_deleted": ("record.delete", "job", None),
    "job_post_created": ("record.create", "job_post", None),
    "job_post_updated": ("field.update", "job_post", None),
    "job_post_deleted": ("record.delete", "job_post", None),
    "job_interview_stage_deleted": ("record.delete", "job_interview_stage", None),
    "department_deleted": ("record.delete", "department", None),
    "office_deleted": ("record.delete", "office", None),
    "ping": ("log.message", "web_hook", None),
}
_LATER_HOOK: Final = re.compile(
    r"(?P<noun>[a-z]+(?:_[a-z]+){0,4})_(?P<verb>created|updated|deleted|approved)"
).fullmatch
_VERBS: Final = {
    "created": "record.create",
    "updated": "field.update",
    "deleted": "record.delete",
    "approved": "approval.grant",
}
# Where a record's own time means the event. A webhook has none of its own.
_HOOK_TIMES: Final = {
    "new_candidate_application": ("last_activity_at", "applied_at"),
    "new_prospect_application": ("last_activity_at", "applied_at"),
    "candidate_stage_change": ("last_activity_at",),
    "unreject_candidate": ("last_activity_at",),
    "reject_candidate": ("rejected_at", "last_activity_at"),
    "job_created": ("created_at",),
    "job_post_created": ("updated_at",),
    "job_post_updated": ("updated_at",),
}
_BODIES: Final = {"candidate": ("candidate", "person")}
"""Type of a record -> the members of a payload that may hold it, where they are not called like it."""
_ONBOARDING: Final = re.compile(r"(?P<noun>employee):(?P<verb>[a-z_]{1,40})").fullmatch


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of the Audit Log API or one body of a webhook, see the module's text."""
    found = read(record, "results", "events")
    if not isinstance(found, Rejected) and not found.items:
        if "paging" not in found.rest:
            return Rejected("an empty list of events that is no answer of the Greenhouse Audit Log API")
        return [Operation(action="log.message", kind="audit", no_change=True)]
    return each(found, _event)


def _event(item: dict[str, Any]) -> list[Operation] | Rejected:
    event, performer = item.get("event"), item.get("performer")
    kind = event.get("type") if isinstance(event, dict) else None
    if not (
        isinstance(event, dict)
        and is_text(kind)
        and isinstance(performer, dict)
        and "event_time" in item
        and ("request" in item or "organization_id" in item)
    ):
        if isinstance(item.get("payload"), dict):
            return _webhook(item)
        return Rejected(
            "no event of the Greenhouse Audit Log API (event.type, performer and event_time are needed)"
            " and no Greenhouse webhook (action or event_type, and payload)"
        )

    take(item, "event", "type")
    op = Operation(action="log.message", kind="audit", time=take_time(item, "event_time"))
    op.code = take_text(item, "request", "type")
    op.id = take_text(item, "request", "id")
    if op.id is not None:
        op.fields["http.request.id"] = op.id
    _who(op, item)
    organization = take_text(item, "organization_id")
    if organization is not None:
        op.fields["organization.id"] = organization
    op.object_label = take_text(item, "event", "target_type")
    op.object_type = snake(op.object_label) if op.object_label is not None else None
    op.object_id = take_text(item, "event", "target_id")
    _what(op, kind, item)
    op.raw = item
    return [op]


def _who(op: Operation, item: dict[str, Any]) -> None:
    known = _PERFORMERS.get(str(peek(item, "performer", "type")))
    if known is not None:
        take(item, "performer", "type")
        op.actor_type, op.interface = known
        op.actor_confidence = "asserted"
    for name, path in (("user.id", ("id",)), ("user.name", ("meta", "username")), ("user.full_name", ("meta", "name"))):
        text = take_text(item, "performer", *path)
        if text is not None:
            op.fields[name] = text
    email = scalar_text(peek(item, "performer", "meta", "email"))
    if email is not None and "@" in email:
        op.fields["user.email"] = email
        take(item, "performer", "meta", "email")
    address = take_ip(item, "performer", "ip_address")
    if address is not None:
        op.fields["source.ip"] = address
    client = take_text(item, "performer", "meta", "client_name")
    if client is not None:
        op.fields.setdefault("user.name", client)
    behind = take_text(item, "performer", "meta", "on_behalf_of", "id")
    if behind is not None:
        op.fields["user.effective.id"] = behind


def _what(op: Operation, kind: str, item: dict[str, Any]) -> None:
    if kind == "data_change_update":
        _update(op, item)
    elif kind in {"data_change_create", "data_change_destroy"}:
        _whole(op, item, created=kind == "data_change_create")
    elif kind in {"harvest_access", "mcp_access"}:
        op.action, op.interface = "record.view", "api"
    elif kind == "mcp_tool_call":
        op.action = _TOOL_OPERATIONS.get(str(peek(item, "event", "meta", "operation")), "log.message")
        op.missing = CHANGE_NOT_TOLD if op.action == "field.update" else ()
        status = peek(item, "event", "meta", "status")
        if is_text(status):
            op.outcome = "success" if status == "ok" else "failure" if status in {"error", "failed"} else "unknown"
    elif kind == "action":
        code = (op.code or "").lower()
        op.action = next((action for matches, action in _ACTIONS if matches(code)), "log.message")
    else:
        # A type that Greenhouse added later: kept whole, and its name with it.
        item.setdefault("event", {})["type"] = kind


def _pairs(item: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Pop the members of `event.meta` that are pairs; others stay for `trail.raw`."""
    meta = peek(item, "event", "meta")
    if not isinstance(meta, dict):
        return []
    pairs = [(name, *pair) for name, pair in meta.items() if name and isinstance(pair, list) and len(pair) == 2]
    for name, _, _ in pairs:
        take(item, "event", "meta", name)
    return pairs


def _update(op: Operation, item: dict[str, Any]) -> None:
    op.no_change = peek(item, "event", "meta") == {}
    op.outcome = "success"
    op.changes = [Change(name, old, new) for name, old, new in _pairs(item)]
    if not op.changes:
        op.missing = CHANGE_NOT_TOLD
    op.action = _user_action(op.changes) if op.object_type in _USERS else "field.update"


def _user_action(changes: list[Change]) -> str:
    """What an update of a user amounts to: roles weigh more than switching off, that more than the rest."""
    roles = [change for change in changes if _ROLE(snake(change.field))]
    if roles:
        return "role.revoke" if all(_nothing(change.new) for change in roles) else "role.grant"
    for change in changes:
        name = snake(change.field)
        if name in _SWITCHED_OFF | _SWITCHED_ON:
            return "user.disable" if (name in _SWITCHED_OFF) != _nothing(change.new) else "user.enable"
    return "user.update"


def _nothing(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def _whole(op: Operation, item: dict[str, Any], *, created: bool) -> None:
    op.outcome = "success"
    for name, old, new in _pairs(item):
        value, other = (new, old) if created else (old, new)
        if other is None:
            op.values[name] = value
        else:
            # Neither a created nor a deleted value: the pair is kept as it is.
            item.setdefault("event", {}).setdefault("meta", {})[name] = [old, new]
    verb = "create" if created else "delete"
    if op.object_type in _USERS:
        op.action = f"user.{verb}"
    elif op.object_type is not None and _ROLE(op.object_type):
        op.action = "role.grant" if created else "role.revoke"
        owner = take_text(op.values, "user_id")
        if owner is not None:
            op.fields["user.target.id"] = owner
    else:
        op.action = f"record.{verb}"


def _webhook(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("action")
    if is_text(code):
        known = _HOOKS.get(code)
        later = _LATER_HOOK(code) if known is None and item.keys() == {"action", "payload"} else None
        if later is not None:
            known = (_VERBS[later["verb"]], later["noun"], None)
        if known is not None:
            return [_recruiting(item, *known)]
    event_type = item.get("event_type")
    onboarding = _ONBOARDING(event_type) if is_text(event_type) else None
    if onboarding is not None and scalar_text(item.get("id")) is not None:
        return [_onboarding(item, onboarding["verb"])]
    return Rejected("a webhook that Greenhouse does not send (an action or event_type of another source)")


def _recruiting(item: dict[str, Any], action: str, kind: str, field: str | None) -> Operation:
    code = take_text(item, "action") or ""
    op = Operation(action=action, kind="webhook", code=code, object_type=kind)
    payload = item.pop("payload")
    holder = next((name for name in _BODIES.get(kind, (kind,)) if isinstance(payload.get(name), dict)), None)
    body = payload.pop(holder) if holder is not None else payload
    for name in ("id", f"{kind}_id"):
        op.object_id = op.object_id or take_text(body, name)
    for name in ("name", "title") if kind not in {"application", "candidate"} else ():
        op.object_name = op.object_name or take_text(body, name)
    url = body.get("url")
    if is_text(url) and url.strip():
        op.fields["trail.object.url"] = body.pop("url")
    op.time = next((take_time({"": body.get(name)}, "") for name in _HOOK_TIMES.get(code, ())), None)
    if field is not None:
        op.changes = [_new_only(code, field, body)]
    if code == "candidate_anonymized":
        changes, other = named_only(body.pop("anonymized_fields", []))
        op.changes += changes
        if other:
            body["anonymized_fields"] = other
    if op.action == "field.update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    rest = split_custom_fields(body)
    if "" in body:
        rest[""] = body.pop("")
    op.values = flat(body)
    left = rest if holder is None else {**payload, holder: rest} if rest else payload
    if left:
        item["payload"] = left
    op.raw = item
    return op


def _new_only(code: str, field: str, body: dict[str, Any]) -> Change:
    """The field that the action is about, with the value that it has now."""
    stage = body.get(field)
    if field == "current_stage" and isinstance(stage, dict):
        label, new = take_text(body, field, "name"), take_text(body, field, "id")
        return Change(field, UNKNOWN, UNKNOWN if new is None else new, new_label=label, derivation="new_only")
    # The body of a hire has no status: that it is `hired` now is what the action says.
    new = body.pop(field, "hired" if code == "hire_candidate" else UNKNOWN)
    return Change(field, UNKNOWN, new, derivation="new_only")


def _onboarding(item: dict[str, Any], verb: str) -> Operation:
    op = Operation(action=_VERBS.get(verb, "field.update"), kind="onboarding", object_type="employee")
    op.code, op.id = take_text(item, "event_type"), take_text(item, "id")
    op.time = take_time(item, "payload", "updated_at")
    op.object_id = take_text(item, "payload", f"{verb}_employee_id")
    actor = take_text(item, "payload", "acting_employee_id")
    if actor is not None:
        op.fields["user.id"] = actor
        op.actor_type, op.actor_confidence = "user", "asserted"
    fields = peek(item, "payload", "updated_fields")
    if isinstance(fields, list) and all(
        isinstance(field, dict) and field.keys() == {"id", "name"} and all(map(is_text, field.values())) and field["id"]
        for field in fields
    ):
        take(item, "payload", "updated_fields")
        op.changes = [
            Change(field["id"], UNKNOWN, UNKNOWN, label=field["name"] or None, derivation="new_only")
            for field in fields
        ]
    if op.action == "field.update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return op
