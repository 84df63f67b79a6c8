"""HighLevel (GoHighLevel): webhooks of a Marketplace app, records as the API gives them, and its audit log as CSV.

**What the source records.** A **webhook** says that a record was created, updated or deleted, its id, and the whole
record as it is now. It names no user (but for app installs, plans and sent messages), no IP address, no session, no old
value and, for plain updates, no field. The typed events (`OpportunityStageUpdate` and its like) name one field and give
its new value. A **record** of the API says the same without an event, and of custom objects who changed it last. The
**audit log** has who, when, what was done to which thing, and original and new values; it has no API.

**How to get it out.**

- Webhooks: a Marketplace app with the wanted events, and an endpoint of yours that checks each delivery's signature
  (`X-GHL-Signature`, Ed25519 over the raw body) and appends its body as one line to a file. HighLevel repeats a delivery
  **only after an answer 429**, 6 times, 10 minutes apart; any other failure loses the event, so compare daily with a
  poll.
- Records: `POST /contacts/search`, `POST /opportunities/search`, `POST /objects/{key}/records/search`, `GET
  /users/search` of `https://services.leadconnectorhq.com` (100 requests in 10 s), each answer appended as one line.
- Audit log: Settings > Audit Logs > export (permission `audit-logs.export`, up to 500,000 rows; rows are kept for 60
  days, exports for 30). HighLevel does not document the header of the CSV: columns are found by their names, in any
  order, case and spelling of spaces (not confirmed).

**One line in**: one body, an array of bodies, or an answer `{"contacts": […]}`, `{"opportunities": […]}`,
`{"records": […]}`, `{"users": […]}`; or a CSV file with a header.

```json
{"type":"OpportunityStageUpdate","locationId":"ve9EPM428h8vShlRW1KT","id":"wWhVuzqpRuOA1ZVWi4FC","status":"open","pipelineStageId":"e93ba61a-53b3","monetaryValue":40,"timestamp":"2026-03-01T17:04:05.000Z","webhookId":"wh-1"}
```
```text
Name,Module,Action,Done By,Date & Time,Field,Old Value,New Value
Roof repair,Opportunity,Updated,Ann B,2026-03-01T17:04:05Z,Monetary Value,40,55
```

**What comes out.** Of a webhook `event.code` is the type, `event.id` the `webhookId`, `organization.id` the location, else
the company.

- `*Create` -> `record.create`, `*Delete` -> `record.delete`, every other event of a record -> `field.update`, each with
  the record in `trail.values`; of users `user.create`, `user.delete`, `user.update`, with name, address and role as
  `user.target.*` and each permission as a value; of a relation `record.link` and `record.unlink` of its first record.
- A typed event (also an invoice that was sent, paid or voided) has one `trail.change` with `derivation: new_only` (old
  unknown, unless the body names a previous value), and the rest of the record in `trail.values`.
- `INSTALL` -> `app.connect`, `UNINSTALL` -> `app.disconnect`, messages -> `message.send` or `message.receive` of the
  contact, a changed plan -> `config.update` of `planId`, `LCEmailStats` -> `email.send` with its outcome where it tells of
  a delivery, anything else of HighLevel -> `log.message`.
- A record without a type (some webhooks have none, and those of the API) is `field.update` at its own time of update, or
  `record.create` where it was not changed since; a body of type `account` or `agency`, which is how HighLevel documents
  `UserCreate`, is `user.create`. What happened is not confirmed there.
- A row of the audit log becomes `record.*`, `user.*`, `auth.*` or `data.export`, by action and module, with
  `trail.change` where it has columns of a field's old and new value, or JSON with both.

Lists of custom properties (`properties`, `customFields`) become one value per property, named `properties.<key>`.

Time: `timestamp` of the delivery; else the own `dateAdded` or `createdAt` of a created record or message, `dateUpdated`
or `updatedAt` of an update; else the moment of receipt.

Missing: `trail.missing` holds `user.id`, `source.ip`, `trail.session.id`, `trail.interface`, `trail.change.old`, and for
plain updates `trail.change.field` and `trail.change.new`. What is not mapped is in `trail.raw`.

Options: `time_layout`, a strptime pattern of the audit log's times (`%m/%d/%Y %I:%M %p`), where they are not ISO 8601.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers import _highlevel_audit, _highlevel_records
from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._highlevel_records import account, own_time, values_of
from parsers._json import decode, each, is_text, peek, scalar_text, snake, take, take_text, take_time, unwrap
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="highlevel",
    module="highlevel",
    vendor="HighLevel",
    title="HighLevel (GoHighLevel), webhooks, records and audit log",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
    framing="csv",
    options={"time_layout": "strptime pattern of the times in the audit log's CSV"},
    gives=Gives.of("who when field old new exports"),
)
LITERALS: Final = (
    b'"locationId"',
    b'"companyId"',
    b'"altId"',
    b'"locationIds"',
    b"Done By",
    b"Done by",
    b"done by",
    b"DONE BY",
    b"DoneBy",
    b"doneBy",
    b"done_by",
    b"Done_By",
)
_WRAPPERS: Final = ("contacts", "opportunities", "records", "users")

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
    "ConversationUnreadUpdate": "unreadCount",
    "ConversationUnreadWebhook": "unreadCount",
    "InvoiceSent": "status",
    "InvoicePaid": "status",
    "InvoicePartiallyPaid": "status",
    "InvoiceVoid": "status",
}
"""Types that name the one field that changed."""

_SPECIAL: Final = {
    "INSTALL": ("app.connect", "app"),
    "AppInstall": ("app.connect", "app"),
    "UNINSTALL": ("app.disconnect", "app"),
    "AppUninstall": ("app.disconnect", "app"),
    "PlanChange": ("config.update", "app"),
    "PLAN_CHANGE": ("config.update", "app"),
    "InboundMessage": ("message.receive", "message"),
    "OutboundMessage": ("message.send", "message"),
    "ProviderOutboundMessage": ("message.send", "message"),
    "ConversationProviderOutboundMessage": ("message.send", "message"),
}
_CHANNELS: Final = frozenset({"SMS", "Email"})
"""Types of what a user wrote and a provider of the customer's own shall send; they come without another type."""
_VERBS: Final = {"Create": "create", "created": "create", "Delete": "delete", "deleted": "delete"}
_PLANS: Final = (("currentPlanId", "newPlanId"), ("previousPlanId", "planId"))
_SENT: Final = {
    "delivered": "success",
    **dict.fromkeys(("bounced", "dropped", "failed", "rejected"), "failure"),
}
"""`event` of LCEmailStats -> whether the message was sent; others (opened, clicked …) say what came of it."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One webhook body, record or row of the audit log, an array or an answer of them, see the module's text."""
    if record[:1] in {b"{", b"["} or b"\n" not in record:
        value = decode(record)
        if isinstance(value, Rejected):
            return value
        # A webhook's body may have members of these names too.
        found = unwrap(value, *(() if isinstance(value, dict) and "type" in value else _WRAPPERS))
        if isinstance(found, Rejected) or found.items:
            return each(found, _body)
        return Rejected("an empty list")
    return _highlevel_audit.entry(record, ctx.options.get("time_layout"))


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("type")
    kind = _highlevel_records.kind_of(item)
    if kind is not None:
        return [_highlevel_records.snapshot(item, kind)]
    if not is_text(code):
        return Rejected("no HighLevel webhook (no type)")
    data = item["data"] if isinstance(item.get("data"), dict) else {}
    if not any(is_text(holder.get(name)) for holder in (item, data) for name in _OWNERS):
        return Rejected("no HighLevel webhook (neither locationId nor companyId)")
    special = _SPECIAL.get(code)
    if code in _CHANNELS and "messageId" in item:
        special = ("message.send", "message")
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
    elif code == "LCEmailStats":
        _email(op, item)
    op.raw = item
    clean_urls(op.raw)
    return [op]


def _email(op: Operation, item: dict[str, Any]) -> None:
    holder: tuple[str, ...] = ("webhookPayload",) if isinstance(item.get("webhookPayload"), dict) else ()
    op.outcome = _SENT.get(str(peek(item, *holder, "event")))
    op.action = "email.send" if op.outcome is not None else "log.message"
    if op.time is None:
        op.time = take_time(item, *holder, "timestamp")
    address = peek(item, *holder, "recipient")
    if is_text(address) and "@" in address:
        op.fields["email.to.address"] = [take(item, *holder, "recipient")]


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
    if action == "config.update":
        pair = next((pair for pair in _PLANS if all(peek(item, *body, name) is not ABSENT for name in pair)), None)
        if pair is not None:
            op.changes = [Change("planId", *(take(item, *body, name) for name in pair))]


def _record(op: Operation, item: dict[str, Any], noun: str, verb: str) -> None:
    kind = snake(noun)
    what = _VERBS.get(verb, "update")
    op.object_type = kind
    op.action = f"user.{what}" if kind == "user" else "field.update" if what == "update" else f"record.{what}"
    body = _take_body(item, noun)
    if kind == "relation":
        _highlevel_records.relation(op, body, what)
    for name in ("id", "_id", f"{noun[0].lower()}{noun[1:]}Id", "key"):
        if op.object_id is None:
            op.object_id = take_text(body, name)
    if kind == "location" and op.object_id is None:
        op.object_id = op.fields.get("organization.id")
    field = _SINGLE.get(op.code or "")
    if field is not None:
        new = body.pop(field, ABSENT)
        before = body.pop(f"previous{field[0].upper()}{field[1:]}", UNKNOWN)
        derivation = "new_only" if before is UNKNOWN else "native"
        op.changes = [Change(field, before, UNKNOWN if new is ABSENT else new, derivation=derivation)]
    elif what == "update":
        op.missing = CHANGE_NOT_TOLD
    if op.time is None:
        op.time = own_time(body, ("dateAdded", "createdAt") if what == "create" else ("dateUpdated", "updatedAt"))
    if kind == "user":
        account(op, body)
    op.values = values_of(op, body)


def _take_body(item: dict[str, Any], noun: str) -> dict[str, Any]:
    """The record out of a body: under `data`, under its own name (`appointment`), or the body without its envelope."""
    for name in ("data", f"{noun[0].lower()}{noun[1:]}"):
        body = item.get(name)
        if isinstance(body, dict):
            del item[name]
            return body
    envelope = {"companyId", "appId", "versionId", "webhookId", "timestamp", "altId", "altType", "locationId"}
    return {name: item.pop(name) for name in list(item) if name not in envelope}
