"""Greenhouse Recruiting, Audit Log API: who changed which field of which record, from what to what.

**What the source records.** Who (`performer`: id, user name, full name; or an API key), when (`event_time`), the IP
address, the field, its old and its new value. It records no session and no user agent. `request.id` joins the rows of
one user action: several rows may share it.

**How to get it out.** A paid add-on; Greenhouse enables it on request. Get a token with `POST
https://harvest.greenhouse.io/auth/jwt_access_token` (a Harvest key as basic user, `On-Behalf-Of`; valid for 24 h),
then page through `GET https://auditlog.us.greenhouse.io/events?paging=true` (headers `Size` 100-500, `Pit-Id`,
`Search-After`; end at `paging.next_search_after: null`; 3 paged requests in 30 s) and append each row, or each whole
answer, as one line to a file. Events are kept for **30 days**: fetch daily at least.

**One line in**: one event, an array of events, or an answer `{"events": […], "paging": {…}}`.

```json
{"request":{"id":"r9","type":"offers#update"},"performer":{"id":7,"type":"user","ip_address":"198.51.100.9","meta":{"name":"Kim Q","username":"kim@co.example"}},"organization_id":123,"event":{"type":"data_change_update","target_type":"Offer","target_id":55,"meta":{"salary":[90000,120000]}},"event_time":"2026-02-03T10:30:00.000Z"}
```

**What comes out.** `event.id` is the request's id, `event.code` its type (`offers#update`).

- `data_change_update`: one `field.update` per member of `event.meta`, with the direction of nulls kept (`[null, x]`
  adds, `[x, null]` removes); of a user: `role.grant`, `role.revoke`, `user.disable`, `user.enable` or
  `user.update`.
- `data_change_create`, `data_change_destroy`: one `record.create` / `record.delete` (of a user `user.create` /
  `user.delete`) with the values.
- `harvest_access`: `record.view` through the API. `action`: `data.export`, `report.run`, `auth.login` and their like
  where the request's type says so, else `log.message`.

The interface is `ui` for a user, `api` for an API key, `system` for Greenhouse itself: an inference from the
performer's type. `trail.missing` holds `trail.session.id` and `user_agent.original`, and the parts of the change where
an update names no field. What is not mapped is in `trail.raw`. Recruiting webhooks (`{"action": …, "payload": …}`) are
another source and are refused. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import Change, Context, Format, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_ip, take_text, take_time

FORMAT: Final = Format(
    name="greenhouse",
    module="greenhouse",
    vendor="Greenhouse",
    title="Greenhouse Recruiting, Audit Log API",
    missing=("trail.session.id", "user_agent.original"),
)
LITERALS: Final = (b'"performer"', b'"paging"')

_PERFORMERS: Final = {
    "user": ("user", "ui"),
    "api_key": ("api_key", "api"),
    "greenhouse_internal": ("system", "system"),
}
"""performer.type -> actor type, interface."""

_NO_CHANGE_TOLD: Final = ("trail.change.field", "trail.change.old", "trail.change.new")
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


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of the Audit Log API, see the module's text."""
    found = read(record, "events")
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
        if isinstance(item.get("action"), str) and isinstance(item.get("payload"), dict):
            return Rejected("looks like a Greenhouse recruiting webhook; this format reads the Audit Log API")
        return Rejected("no event of the Greenhouse Audit Log API (event.type, performer and event_time are needed)")

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


def _what(op: Operation, kind: str, item: dict[str, Any]) -> None:
    if kind == "data_change_update":
        _update(op, item)
    elif kind in {"data_change_create", "data_change_destroy"}:
        _whole(op, item, created=kind == "data_change_create")
    elif kind == "harvest_access":
        op.action, op.interface = "record.view", "api"
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
        op.missing = _NO_CHANGE_TOLD
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
    else:
        op.action = f"record.{verb}"
