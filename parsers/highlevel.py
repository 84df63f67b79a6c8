"""HighLevel (GoHighLevel): webhooks of a Marketplace app.

**What the source records.** That a record was created, updated or deleted, its id, and the whole record as it is now.
It names no user (but for app installs and sent messages), no IP address, no session, no old value and, for plain
updates, no field. The typed events (`OpportunityStageUpdate` and its like) name one field and give its new value.
HighLevel's own audit log (Settings > Audit Logs, 60 days) has old and new values, but no API.

**How to get it out.** A Marketplace app with the wanted events, and an endpoint of yours that checks each delivery's
signature and appends its body as one line to a file. Deliveries are signed (`X-GHL-Signature`, Ed25519 over the raw body). HighLevel repeats a delivery **only after an answer 429**, 6
times, 10 minutes apart; any other failure loses the event, so compare daily with a poll.

**One line in**: one body, or an array of bodies.

```json
{"type":"OpportunityStageUpdate","locationId":"ve9EPM428h8vShlRW1KT","id":"wWhVuzqpRuOA1ZVWi4FC","status":"open","pipelineStageId":"e93ba61a-53b3","monetaryValue":40,"timestamp":"2026-03-01T17:04:05.000Z","webhookId":"wh-1"}
```

**What comes out.** `event.code` is the type, `event.id` the `webhookId`, `organization.id` the location, else the
company.

- `*Create` -> `record.create`, `*Delete` -> `record.delete`, every other event of a record -> `field.update`, each with
  the record in `trail.values`; of users `user.create`, `user.delete`, `user.update`.
- A typed event has one `trail.change` with `derivation: new_only` (old unknown), and the rest of the record in
  `trail.values`.
- `INSTALL` -> `app.connect`, `UNINSTALL` -> `app.disconnect`, messages -> `message.send` or
  `message.receive` of the contact, `PlanChange` -> `config.update`, anything else of HighLevel -> `log.message`.

Lists of custom properties (`properties`, `customFields`) become one value per property, named `properties.<key>`.

Time: `timestamp` of the delivery; else the own `dateAdded` or `createdAt` of a created record or message, `dateUpdated`
or `updatedAt` of an update; else the moment of receipt.

`trail.missing` holds `user.id`, `source.ip`, `trail.session.id`, `trail.interface`, `trail.change.old`, and for plain
updates `trail.change.field` and `trail.change.new`. What is not mapped is in `trail.raw`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Operation, Rejected, Time
from parsers._json import each, is_text, peek, read, scalar_text, snake, take_text, take_time

FORMAT: Final = Format(
    name="highlevel",
    module="highlevel",
    vendor="HighLevel",
    title="HighLevel (GoHighLevel), webhooks",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
)
LITERALS: Final = (b'"locationId"', b'"companyId"', b'"altId"')

_NOUNS: Final = (
    "Appointment|Association|Campaign|Contact|Conversation|Estimate|Invoice|Location|Note|ObjectSchema|Opportunity|Order|"
    "Price|Product|Record|Relation|Task|User"
)
_TYPE: Final = re.compile(rf"(?P<noun>{_NOUNS})(?P<verb>[A-Z][A-Za-z]*)").fullmatch
_DOTTED: Final = re.compile(r"(?P<noun>user)\.(?P<verb>created|updated|deleted)").fullmatch
_SOME_TYPE: Final = re.compile(r"[A-Z][A-Za-z]+").fullmatch
_OWNERS: Final = ("locationId", "companyId", "altId")

_SINGLE: Final = {
    "OpportunityStageUpdate": "pipelineStageId",
    "OpportunityStatusUpdate": "status",
    "OpportunityAssignedToUpdate": "assignedTo",
    "OpportunityMonetaryValueUpdate": "monetaryValue",
    "ContactTagUpdate": "tags",
    "ContactDndUpdate": "dnd",
    "CampaignStatusUpdate": "status",
    "OrderStatusUpdate": "status",
    "TaskComplete": "completed",
}
"""Types that name the one field that changed."""

_SPECIAL: Final = {
    "INSTALL": ("app.connect", "app"),
    "AppInstall": ("app.connect", "app"),
    "UNINSTALL": ("app.disconnect", "app"),
    "AppUninstall": ("app.disconnect", "app"),
    "PlanChange": ("config.update", "app"),
    "InboundMessage": ("message.receive", "message"),
    "OutboundMessage": ("message.send", "message"),
    "ProviderOutboundMessage": ("message.send", "message"),
    "ConversationProviderOutboundMessage": ("message.send", "message"),
}
_VERBS: Final = {"Create": "create", "created": "create", "Delete": "delete", "deleted": "delete"}
_PROPERTY_LISTS: Final = ("properties", "customFields")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One webhook body or an array of them, see the module's text."""
    return each(read(record), _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("type")
    if not is_text(code):
        return Rejected("no HighLevel webhook (no type)")
    data = item["data"] if isinstance(item.get("data"), dict) else {}
    if not any(is_text(holder.get(name)) for holder in (item, data) for name in _OWNERS):
        return Rejected("no HighLevel webhook (neither locationId nor companyId)")
    special = _SPECIAL.get(code)
    match = _TYPE(code) or _DOTTED(code)
    if special is None and match is None and not _SOME_TYPE(code):
        return Rejected("no HighLevel webhook (a type that HighLevel does not send)")

    del item["type"]
    op = Operation(action="log.message", kind="webhook", code=code, id=take_text(item, "webhookId"))
    op.time = take_time(item, "timestamp")
    owner = next((take_text(item, *path) for path in _owner_paths(item)), None)
    if owner is not None:
        op.fields["organization.id"] = owner
    if special is not None:
        _activity(op, item, *special)
    elif match is not None:
        _record(op, item, match["noun"], match["verb"])
    op.raw = item
    return [op]


def _owner_paths(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """Where the tenant's id stands, the nearest first: a location belongs to a company."""
    paths = [(name,) for name in _OWNERS] + [("data", name) for name in _OWNERS]
    return [path for path in paths if is_text(peek(item, *path)) and scalar_text(peek(item, *path))]


def _activity(op: Operation, item: dict[str, Any], action: str, kind: str) -> None:
    """An app's connection or a message: no record, so nothing goes to `values`."""
    op.action, op.object_type = action, kind
    body: tuple[str, ...] = ("data",) if isinstance(item.get("data"), dict) else ()
    # A message is part of its contact's history, so the contact is what it was done to.
    names = (("app", "appId"),) if kind == "app" else (("contact", "contactId"), ("message", "messageId"))
    for kind_named, name in names:
        op.object_id = take_text(item, *body, name)
        if op.object_id is not None:
            op.object_type = kind_named
            break
    if op.code != "InboundMessage":
        # Of an inbound message `userId` is whose inbox it came to, not who wrote it.
        user = take_text(item, *body, "userId")
        if user is not None:
            op.fields["user.id"] = user
            op.actor_type, op.actor_confidence = "user", "asserted"
    if kind == "message" and op.time is None:
        op.time = take_time(item, *body, "dateAdded")


def _record(op: Operation, item: dict[str, Any], noun: str, verb: str) -> None:
    kind = snake(noun)
    what = _VERBS.get(verb, "update")
    op.object_type = kind
    op.action = f"user.{what}" if kind == "user" else "field.update" if what == "update" else f"record.{what}"
    body = _take_body(item, noun)
    for name in ("id", "_id", f"{noun[0].lower()}{noun[1:]}Id", "key"):
        op.object_id = take_text(body, name)
        if op.object_id is not None:
            break
    field = _SINGLE.get(op.code or "")
    if field is not None:
        new = body.pop(field, ABSENT)
        op.changes = [Change(field, UNKNOWN, UNKNOWN if new is ABSENT else new, derivation="new_only")]
    elif what == "update":
        op.missing = ("trail.change.field", "trail.change.old", "trail.change.new")
    editor = take_text(body, "lastUpdatedBy")
    if editor is not None:
        op.fields["trail.object.last_editor.id"] = editor
    op.values = _flat(body)
    if op.time is None:
        op.time = _own_time(body, ("dateAdded", "createdAt") if what == "create" else ("dateUpdated", "updatedAt"))


def _take_body(item: dict[str, Any], noun: str) -> dict[str, Any]:
    """The record out of a body: under `data`, under its own name (`appointment`), or the body without its envelope."""
    for name in ("data", f"{noun[0].lower()}{noun[1:]}"):
        body = item.get(name)
        if isinstance(body, dict):
            del item[name]
            return body
    envelope = {"companyId", "appId", "versionId", "webhookId", "timestamp", "altId", "altType", "locationId"}
    return {name: item.pop(name) for name in list(item) if name not in envelope}


def _own_time(body: dict[str, Any], names: tuple[str, ...]) -> Time | None:
    """The record's own account of when this happened; it stays among the values, since it is one."""
    return next((time for time in (take_time({name: body.get(name)}, name) for name in names) if time), None)


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    """The record with its lists of custom properties as one value per property, so that each is found by its name."""
    for name in _PROPERTY_LISTS:
        properties = body.get(name)
        if not isinstance(properties, list) or not properties:
            continue
        named: dict[str, Any] = {}
        for entry in properties:
            label = next(
                (label for label in ("key", "id") if isinstance(entry, dict) and is_text(entry.get(label))), None
            )
            if label is None or len(entry) != 2 or f"{name}.{entry[label]}" in named.keys() | body.keys():
                break
            named[f"{name}.{entry[label]}"] = next(value for key, value in entry.items() if key != label)
        else:
            del body[name]
            body |= named
    return body
