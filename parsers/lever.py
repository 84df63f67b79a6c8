"""Lever, webhooks and audit events: which opportunity moved from which stage to which, and who did what.

**What the source records.** A webhook says what happened to which candidate, opportunity, contact or interview, and
when; a stage change names the stage before and after, an archive change the archive state. It names nobody (but
`deletedBy`, where Lever sends it), no IP address and no session. Audit events (`GET /v1/audit_events`) name the user,
the target and the time. Their schema is not confirmed: what is not known here is kept in `trail.raw`.

**How to get it out.** Webhooks: *Settings > Integrations and API > Webhooks*, one address per event, each with its own
signature token. Your endpoint checks `signature` (hex HMAC-SHA256 with the signature token over `token` followed by
`triggeredAt`; not confirmed) and appends each body as one line. The signature does not cover the rest of the body:
read a record again through the API before you act on it. Audit events: page through `GET
https://api.lever.co/v1/audit_events` with an API key and append each event, or each whole answer (10 requests a
second, not confirmed).

**One line in**: one webhook body or an array of them; one audit event, an array, or an answer `{"data": [...]}`.

```json
{"id":"5f1c","event":"candidateStageChange","triggeredAt":1772384645000,"token":"7c40","signature":"e15d","data":{"candidateId":"c-1","opportunityId":"o-1","contactId":"p-1","fromStageId":"lead-new","toStageId":"phone-screen"}}
{"id":"ae-1","createdAt":1772384645000,"type":"user:login","user":{"id":"u-7","name":"Kim Q","email":"kim@co.example"},"target":{"type":"user","id":"u-7","label":"Kim Q"},"meta":{}}
```

**What comes out.** `event.code` is the event or the audit type.

- Webhooks (`lever.webhook`): `applicationCreated`, `contactCreated`, `interviewCreated`: `record.create`;
  `...Deleted`: `record.delete`; everything else `field.update`, with one change for each pair `fromX`, `toX` of `data`
  (`fromStageId` and `toStageId` are the field `stage`; null means none; where only one of them is sent the other is
  unknown). `token` and `signature` are secrets: only that they were there is kept.
- Audit events (`lever.audit`): by the words of the type `auth.login`, `auth.logout`, `data.export`, `record.create`,
  `field.update`, `record.delete` and, of users, `user.create`, `user.update`, `user.delete`, `role.grant` and the
  like; else `log.message`. A type that says only that a role changed is a `user.update`.

Missing: `trail.missing` always holds `source.ip`, `trail.session.id` and `trail.interface`; of webhooks `user.id`, and
`trail.values` of a record that was created or deleted; of an edit that names no field `trail.change.field`, `.old` and `.new`. What is not mapped is in `trail.raw`. Options:
none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take_text, take_time
from parsers._secrets import DROPPED

FORMAT: Final = Format(
    name="lever",
    module="lever",
    vendor="Lever",
    title="Lever, webhooks and audit events",
    missing=("source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("who when field old new logins exports"),
)
LITERALS: Final = (b'"triggeredAt"', b'"createdAt"')

_HOOK: Final = re.compile(
    r"(?P<noun>application|candidate|interview|contact|opportunity|posting|requisition|offer|feedback|panel|user)"
    r"(?P<verb>[A-Z][A-Za-z]{2,30})"
).fullmatch
_CREATED: Final = {"Created": "record.create", "Deleted": "record.delete", "Merged": "record.merge"}
_IDS: Final = {
    "application": ("applicationId", "opportunityId", "candidateId"),
    "interview": ("interviewId", "opportunityId", "candidateId"),
    "contact": ("contactId",),
}
"""Noun of an event -> the members of `data` that name the record, the nearest first."""
_RECORD_IDS: Final = ("opportunityId", "candidateId", "contactId")
_SECRETS: Final = ("token", "signature", "signatureToken")

_AUDIT_TYPE: Final = re.compile(r"[A-Za-z_-]{2,60}(?::[A-Za-z_-]{2,60}){1,3}").fullmatch
# Words of an audit event's type. The first that is found decides.
_AUDITS: Final = (
    (re.compile(r"export|download").search, "data.export"),
    (re.compile(r"log_?in|sign_?in").search, "auth.login"),
    (re.compile(r"log_?out|sign_?out").search, "auth.logout"),
    (re.compile(r"import").search, "data.import"),
    (re.compile(r"(?:role|permission|access).{0,20}(?:remov|revok|delet)").search, "role.revoke"),
    (re.compile(r"(?:role|permission|access).{0,20}(?:grant|add|assign|creat)").search, "role.grant"),
    (re.compile(r"role|permission|access").search, "update"),
    (re.compile(r"deactivat|disabl|suspend").search, "disable"),
    (re.compile(r"reactivat|enabl").search, "enable"),
    (re.compile(r"creat|add|invit").search, "create"),
    (re.compile(r"delet|remov").search, "delete"),
    (re.compile(r"updat|chang|edit|set").search, "update"),
    (re.compile(r"view|read").search, "record.view"),
)
_OF_USERS: Final = {
    "create": "user.create",
    "delete": "user.delete",
    "update": "user.update",
    "disable": "user.disable",
    "enable": "user.enable",
    "role.grant": "role.grant",
    "role.revoke": "role.revoke",
}
_OF_RECORDS: Final = {
    "create": "record.create",
    "delete": "record.delete",
    "update": "field.update",
    "disable": "field.update",
    "enable": "field.update",
    "role.grant": "field.update",
    "role.revoke": "field.update",
}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Webhook bodies or audit events, see the module's text."""
    found = read(record)
    if not isinstance(found, Rejected) and len(found.items) == 1 and "triggeredAt" not in found.items[0]:
        found = read(record, "data")
        if not isinstance(found, Rejected) and not found.items:
            return Rejected("an empty list that is no answer of Lever")
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    event = item.get("event")
    if is_text(event) and "triggeredAt" in item and isinstance(item.get("data"), dict):
        known = _HOOK(event)
        if known is not None:
            return [_hook(item, known["noun"], known["verb"])]
    kind, target = item.get("type"), item.get("target")
    if (
        is_text(kind)
        and _AUDIT_TYPE(kind)
        and "createdAt" in item
        and "meta" in item
        and "user" in item
        and (target is None or isinstance(target, dict))
    ):
        return [_audit(item, kind)]
    return Rejected(
        "neither a Lever webhook (event, triggeredAt, data) nor an audit event (type, createdAt, user, target, meta)"
    )


def _hook(item: dict[str, Any], noun: str, verb: str) -> Operation:
    op = Operation(action=_CREATED.get(verb, "field.update"), kind="webhook", object_type=noun)
    op.code, op.id, op.time = take_text(item, "event"), take_text(item, "id"), take_time(item, "triggeredAt")
    data = item["data"]
    names = _IDS.get(noun, _RECORD_IDS if op.action == "field.update" else (f"{noun}Id", *_RECORD_IDS))
    for name in names:
        op.object_id = take_text(data, name)
        if op.object_id is not None:
            op.object_type = snake(name.removesuffix("Id"))
            break
    by = take_text(data, "deletedBy")
    if by is not None:
        op.fields["user.id"] = by
        op.actor_type, op.actor_confidence = "user", "asserted"
    if op.action == "field.update":
        op.changes = _moves(data)
        op.missing = () if op.changes else CHANGE_NOT_TOLD
    elif op.action in {"record.create", "record.delete"}:
        op.missing = ("trail.values",)
    for name in _SECRETS:
        if item.get(name):
            item[name] = DROPPED
    if not data:
        del item["data"]
    op.raw = item
    return op


def _moves(data: dict[str, Any]) -> list[Change]:
    """Each pair `fromX`, `toX` as the change of one field; a side that is not sent is unknown."""
    fields = dict.fromkeys(
        name[len(side) :] for name in data for side in ("from", "to") if name[len(side) : len(side) + 1].isupper()
        and name.startswith(side)
    )  # fmt: skip
    found = []
    for field in fields:
        old, new = data.pop(f"from{field}", UNKNOWN), data.pop(f"to{field}", UNKNOWN)
        name = field.removesuffix("Id") or field
        told = old is not UNKNOWN and new is not UNKNOWN
        found.append(Change(name[0].lower() + name[1:], old, new, derivation="native" if told else "new_only"))
    return found


def _audit(item: dict[str, Any], kind: str) -> Operation:
    op = Operation(action="log.message", kind="audit", id=take_text(item, "id"), time=take_time(item, "createdAt"))
    op.code = take_text(item, "type")
    for field, name in (("user.id", "id"), ("user.full_name", "name"), ("user.email", "email")):
        text = scalar_text(peek(item, "user", name))
        if text is not None and (field != "user.email" or "@" in text):
            op.fields[field] = text
            take_text(item, "user", name)
            op.actor_type, op.actor_confidence = "user", "asserted"
    op.object_label = take_text(item, "target", "type")
    op.object_type = snake(op.object_label) if op.object_label is not None else None
    op.object_id = take_text(item, "target", "id")
    op.object_name = take_text(item, "target", "label")
    words = kind.lower()
    action = next((action for found, action in _AUDITS if found(words)), "log.message")
    op.action = (_OF_USERS if op.object_type == "user" else _OF_RECORDS).get(action, action)
    if op.action in {"field.update", "user.update"}:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return op
