"""Zoom, event webhooks and the operation logs report: who changed which setting, user or meeting, from what to what.

**What the source records.** *Webhooks*: the event (`user.settings_updated`), when, who (`operator`), and the object; an
update has the changed members before (`old_object`) and after (`object`). *Operation logs*: what administrators did,
with the operator, a category, and a sentence that often says `name: from X to Y`. Neither records a session; an address
is told of meeting participants only. Events of meetings that began or ended, of sign-ins and of presence name no
operator.

**How to get it out.** Webhooks: an app of the Zoom Marketplace with event subscriptions (Pro plan or higher); Zoom signs
each request (`x-zm-signature`: HMAC-SHA256 over `v0:<x-zm-request-timestamp>:<body>`). Operation logs: `GET
https://api.zoom.us/v2/report/operationlogs?from=…&to=…&page_size=300`, scope `report:read:admin`, at most one month at
once, page by `next_page_token` (it expires after 15 minutes), "heavy" rate limit. How long they are kept is not
confirmed.

**One line in**: one event, an array of events, one operation log, or an answer `{"operation_logs": […]}`.

```json
{"event":"user.settings_updated","event_ts":1770114600123,"payload":{"account_id":"AC1","operator":"kim@acme.example","operator_id":"U7","object":{"id":"U9","settings":{"in_meeting":{"private_chat":false}}},"old_object":{"id":"U9","settings":{"in_meeting":{"private_chat":true}}},"time_stamp":1770114600100}}
```

**What comes out.** `event.code` is the event, or action and category of an operation log.

- Users: `user.create`, `user.update`, `user.disable`, `user.enable`, `user.delete`, with `user.target.*`;
  `user.signed_in` and `user.signed_out`: `auth.login`, `auth.logout`. Groups and roles: `group.*`, `role.*`.
- Settings (`*.settings_updated`): `config.update`. Meetings, webinars, recordings, accounts: `record.create` with the
  values, `field.update`, `record.delete`, `record.purge`, `record.restore`. Who joins or leaves a meeting opens or
  closes a session on it. An event that is not known here follows its last word, else it is `log.message`.
- One change for each member that `old_object` names, by its path (`settings.in_meeting.private_chat`). What only
  `object` has identifies it, and stays in `trail.raw`.
- Operation logs: each `name: from X to Y` of the sentence is a change (a switch's name is followed by `on/off`); where
  a sentence cannot be taken apart without doubt it is the message. Times without a zone are read in the input's zone.

Passwords, keys and the tokens in join and download addresses are dropped; so are `download_token` and `signature`. The
challenge by which Zoom checks an address (`endpoint.url_validation`) yields nothing.

Missing: `trail.missing` holds `trail.session.id`, `trail.interface` and `user_agent.original`, `source.ip` where none
is told, `user.id` of events without an operator, and the parts of the change where an update names none. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers import _zoom
from parsers._contract import ABSENT, CHANGE_NOT_TOLD, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, same, scalar_text, take, take_ip, take_text, take_time
from parsers._rows import compare
from parsers._secrets import DROPPED
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="zoom",
    module="zoom",
    vendor="Zoom",
    title="Zoom, event webhooks and operation logs",
    missing=("trail.session.id", "user_agent.original"),
    gives=Gives.of("who when ip field old new logins"),
)  # fmt: skip
LITERALS: Final = (b'"payload"', b'"operation_detail"', b'"operation_logs"')

_CHALLENGE: Final = "endpoint.url_validation"
_IDS: Final = ("id", "uuid", "channel_id", "message_id")
_NAMES: Final = ("topic", "account_name", "name", "display_name", "email")
_SECRETS: Final = ("download_token", "signature", "verification_token", "plainToken", "encryptedToken")
_IAM: Final = frozenset({"user", "group", "role"})


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of either channel, see the module's text."""
    found = read(record, "operation_logs")
    if not isinstance(found, Rejected) and not found.items:
        return [Operation(action="log.message", kind="operation", no_change=True)]
    return each(found, _item)


def _item(item: dict[str, Any]) -> list[Operation] | Rejected:
    if is_text(item.get("operation_detail")) and is_text(item.get("category_type")) and "time" in item:
        return [_zoom.logged(item)]
    event, payload = item.get("event"), item.get("payload")
    if not is_text(event) or not event.strip() or not isinstance(payload, dict):
        return Rejected("neither an event of Zoom (event and payload) nor one of its operation logs")
    if event == _CHALLENGE:
        return [Operation(action="log.message", kind="webhook", code=event, no_change=True)]
    if scalar_text(payload.get("account_id")) is None and scalar_text(item.get("account_id")) is None:
        return Rejected("no event of Zoom (payload.account_id is needed)")
    if "event_ts" not in item and not isinstance(payload.get("object"), dict):
        return Rejected("no event of Zoom (event_ts or payload.object is needed)")
    return [_event(event, item, payload)]


def _event(event: str, item: dict[str, Any], payload: dict[str, Any]) -> Operation:
    clean_urls(item)
    for holder in (item, payload):
        for name in _SECRETS:
            if name in holder:
                holder[name] = DROPPED
    del item["event"]
    op = Operation(action=_zoom.described(event), kind="webhook", code=event)
    op.outcome = "success" if event == "user.signed_in" else None
    op.time = take_time(item, "payload", "time_stamp") or take_time(item, "event_ts")
    if op.time is None:
        op.time = take_time(item, "payload", "object", "date_time")
    account = take_text(item, "payload", "account_id") or take_text(item, "account_id")
    if account is not None:
        op.fields["organization.id"] = account
    _who(op, event, item)
    _object(op, event, item)
    if op.action in _zoom.UPDATES:
        _compare(op, payload)
        if not op.changes and not op.no_change:
            op.missing = CHANGE_NOT_TOLD
    elif event.endswith((".created", ".deleted")):
        _whole(op, item)
    _zoom.hide_host_key(op, peek(item, "payload", "object"))
    if item.get("payload") == {}:
        del item["payload"]
    op.raw = item
    return op


def _who(op: Operation, event: str, item: dict[str, Any]) -> None:
    if event in _zoom.BY_THE_OBJECT:
        place: tuple[str, ...] = ("payload", "object")
        pairs: tuple[tuple[str, str], ...] = (("id", "user.id"), ("email", "user.email"))
    elif "participant_" in event:
        place = ("payload", "object", "participant")
        pairs = (("id", "user.id"), ("email", "user.email"), ("user_name", "user.full_name"))
        address = take_ip(item, *place, "public_ip") or take_ip(item, *place, "ip_address")
        if address is not None:
            op.fields["source.ip"] = address
    else:
        place = ("payload",)
        operator = scalar_text(peek(item, "payload", "operator")) or ""
        pairs = (("operator_id", "user.id"), ("operator", "user.email" if "@" in operator else "user.name"))
    for name, field in pairs:
        text = take_text(item, *place, name)
        if text is not None:
            op.fields[field] = text
            op.actor_type, op.actor_confidence = "user", "asserted"
    if event == "app_deauthorized":
        text = take_text(item, "payload", "user_id")
        if text is not None:
            op.fields["user.id"] = text
            op.actor_type, op.actor_confidence = "user", "asserted"


def _object(op: Operation, event: str, item: dict[str, Any]) -> None:
    op.object_type = event.partition(".")[0] if "." in event else None
    place: tuple[str, ...] = ("payload", "object")
    if event == "app_deauthorized":
        op.object_type, op.object_id = "app", take_text(item, "payload", "client_id")
        return
    if event in _zoom.BY_THE_OBJECT:
        op.object_id = op.fields.get("user.id")
        return
    if event.endswith(".registration_created"):
        op.object_type, place = "registrant", (*place, "registrant")
    number = next((name for name in _IDS if scalar_text(peek(item, *place, name)) is not None), None)
    op.object_id = take_text(item, *place, number) if number is not None else None
    family = op.action.partition(".")[0]
    if op.object_type == "user" and family in _IAM | {"config"}:
        email = take_text(item, *place, "email")
        if email is not None:
            op.fields["user.target.email"] = email
        if family == "config" and op.object_id is not None:
            op.fields["user.target.id"] = op.object_id
    elif op.action not in _zoom.UPDATES:
        name = next((name for name in _NAMES if scalar_text(peek(item, *place, name)) is not None), None)
        op.object_name = take_text(item, *place, name) if name is not None else None
    if op.object_type == "group":
        for field, text in (("group.id", op.object_id), ("group.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
    if op.action in {"group.add", "group.remove", "role.grant", "role.revoke"}:
        _members(op, item)


def _members(op: Operation, item: dict[str, Any]) -> None:
    """Whom it is about, where that is one person; of several the list stays as it is."""
    for name in ("members", "admins", "users"):
        people = peek(item, "payload", "object", name)
        if isinstance(people, list) and len(people) == 1 and isinstance(people[0], dict):
            for member, field in (("id", "user.target.id"), ("email", "user.target.email")):
                text = take_text(people[0], member)
                if text is not None:
                    op.fields[field] = text
            if not people[0]:
                take(item, "payload", "object", name)
            return


def _compare(op: Operation, payload: dict[str, Any]) -> None:
    # An object of which nothing is left but its id has gone with it.
    new, old = payload.get("object", {}), payload.get("old_object")
    single = _zoom.TELLS_NEW.get(op.code or "")
    if not isinstance(new, dict):
        return
    if not isinstance(old, dict):
        op.changes = _zoom.new_only(new, single)
    else:
        for name in _IDS:
            if name in old and (str(old[name]) == op.object_id or same(old[name], new.get(name, ABSENT))):
                del old[name]
        nameless = {"": old.pop("")} if "" in old else {}
        op.changes, rest = compare(old, new, old_is_whole=False)
        op.no_change = bool(old) and not op.changes
        payload["object"], payload["old_object"] = rest, nameless
    for name in ("object", "old_object"):
        if payload.get(name) == {}:
            del payload[name]


def _whole(op: Operation, item: dict[str, Any]) -> None:
    """Values of what was created or deleted; lists of objects stay, so that nothing in them is overlooked."""
    body = peek(item, "payload", "object")
    if not isinstance(body, dict):
        return
    op.values = _zoom.values(body)
    if not body:
        take(item, "payload", "object")
