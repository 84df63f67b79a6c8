"""Ashby, webhooks: what happened to which application, candidate, job, offer or interview, and how it is now.

**What the source records.** The action and the whole record as it is now. No user (but who scheduled an interview), no
IP address, no session, no old value (but that a created record had none), and no time of the event: only the record's
own `createdAt` and `updatedAt`. One action of a person may send several webhooks with the same `webhookActionId`
(`candidateHire` also sends `candidateStageChange` and `applicationUpdate`). No audit log API of Ashby is known (not
confirmed).

**How to get it out.** *Admin > Integrations > Webhooks*, one webhook per action, with a secret token. Your endpoint
checks `Ashby-Signature: sha256=<hex>` (HMAC-SHA256 over the raw body) and appends each body as one line to a file. A
ping is sent when the webhook is saved.

**One line in**: one webhook body, or an array of them.

```json
{"webhookActionId":"0d9a61b2-7c35-4e0f-8a94-5b2f1e6c7d80","action":"candidateStageChange","data":{"application":{"id":"a-1","createdAt":"2026-03-01T09:00:00.000Z","updatedAt":"2026-03-02T09:00:00.000Z","status":"Active","candidate":{"id":"c-1","name":"Jo Lind"},"currentInterviewStage":{"id":"s-2","title":"Phone Screen"},"job":{"id":"j-1","title":"Engineer"}}}}
```

**What comes out.** `ashby.webhook`; `event.id` is the `webhookActionId`, `event.code` the action, and the record is in
`trail.values` with one value for each custom field (`customFields.<title>`).

- `...Create`, `...Submit`: `record.create`; `...Delete`: `record.delete`; `candidateMerge`: `record.merge` of the
  deleted candidate; `pushToHRIS`: `data.export`; `ping`: `log.message`; everything else `field.update`.
- `trail.change` (`derivation: new_only`) only where the action names what changed: `candidateStageChange` the field
  `currentInterviewStage`, `candidateHire` the field `status`, `jobPostingPublish` and `jobPostingUnpublish` the field
  `isListed`, `signatureRequestUpdate` the field `eventType`.

The time is the record's `updatedAt`, of a creation its `createdAt`, else that of receipt. Who scheduled an interview
is the user of `interviewScheduleCreate` alone, as an inference (`trail.actor.basis`).

Missing: `trail.missing` always holds `source.ip`, `trail.session.id` and `trail.interface`, nearly always `user.id`;
of an update that names no field `trail.change.field`, `.old` and `.new`. What is not mapped is in `trail.raw`.
Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_text, take_time
from parsers._secrets import DROPPED
from parsers._snapshots import flat, full_name, split_custom_fields

FORMAT: Final = Format(
    name="ashby",
    module="ashby",
    vendor="Ashby",
    title="Ashby, webhooks",
    missing=("source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("field new exports", "who when"),
)
LITERALS: Final = (b'"action"',)

_ACTION: Final = re.compile(
    r"(?P<noun>applicationFeedback|application|candidateNote|candidate|jobPosting|job|offer|opening|interviewSchedule"
    r"|interviewPlan|interview|signatureRequest|survey|assessment|referral|sourcing[A-Za-z]{1,20})"
    r"(?P<verb>[A-Z][A-Za-z]{2,20})"
).fullmatch
_SPECIAL: Final = {
    "pushToHRIS": ("data.export", "application"),
    "ping": ("log.message", "webhook"),
    "candidateStageChange": ("field.update", "application"),
    "candidateHire": ("field.update", "application"),
    "candidateMerge": ("record.merge", "candidate"),
}
_VERBS: Final = {"Create": "record.create", "Submit": "record.create", "Delete": "record.delete"}
_CHANGED: Final = {
    "candidateStageChange": "currentInterviewStage",
    "candidateHire": "status",
    "jobPostingPublish": "isListed",
    "jobPostingUnpublish": "isListed",
    "signatureRequestUpdate": "eventType",
}
"""Actions that name the one field that changed."""
_SECRETS: Final = ("token", "webhookToken", "secretToken", "signature")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One webhook body or an array of them, see the module's text."""
    return each(read(record), _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("action")
    data = item.get("data", {} if code == "ping" else None)
    if not is_text(code) or not isinstance(data, dict):
        return Rejected("no Ashby webhook (action and data are needed)")
    match = _ACTION(code)
    special = _SPECIAL.get(code)
    if (match is None and special is None) or (code == "ping" and "webhookActionId" not in item):
        return Rejected("no Ashby webhook (an action that Ashby does not send)")
    if special is not None:
        action, kind = special
    elif match is not None:
        action, kind = _VERBS.get(match["verb"], "field.update"), snake(match["noun"])
    op = Operation(action=action, kind="webhook", object_type=kind)
    op.code, op.id = take_text(item, "action"), take_text(item, "webhookActionId")
    _record(op, item, data)
    for name in _SECRETS:
        if item.get(name):
            item[name] = DROPPED
    op.raw = item
    return [op]


def _record(op: Operation, item: dict[str, Any], data: dict[str, Any]) -> None:
    name = _holder(op, data)
    body: dict[str, Any] = data.pop(name) if name is not None else item.pop("data", {})
    if name is not None and op.code != "candidateMerge":
        op.object_type = snake(name)
    op.object_id = take_text(body, "id")
    op.object_name = take_text(body, "title") if op.object_type in {"job", "job_posting"} else None
    # The record's own account of when this happened stays among its values, since it is one.
    word = "createdAt" if op.action == "record.create" else "updatedAt"
    op.time = take_time({word: body.get(word)}, word)
    if op.code == "offerCreate" and op.time is None:
        op.time = take_time({word: peek(body, "latestVersion", word)}, word)
    if op.code == "interviewScheduleCreate":
        _scheduler(op, body)
    field = _CHANGED.get(op.code or "")
    if field is not None:
        op.changes = [_new_only(field, body)]
    elif op.action == "field.update":
        op.missing = CHANGE_NOT_TOLD
    # What stands beside the record (the accepted offer of a hire) is part of the same state.
    beside = {word: data.pop(word) for word in list(data) if word and word not in body} if name is not None else {}
    rest = split_custom_fields(body)
    if "" in body:
        rest[""] = body.pop("")
    if rest:
        item["data"] = {**data, name: rest} if name is not None else rest
    elif not data:
        item.pop("data", None)
    for word, below in split_custom_fields(beside).items():
        item.setdefault("data", {})[word] = below
    op.values = flat({**body, **beside})


def _holder(op: Operation, data: dict[str, Any]) -> str | None:
    """The member of `data` that holds the record; `None` where `data` is the record itself."""
    names = [op.object_type or ""] if op.code != "candidateMerge" else ["deleted_candidate", "candidate"]
    for name, member in data.items():
        if snake(name) in names and isinstance(member, dict):
            return name
    if op.code == "interviewPlanTransition" or op.object_type in {"survey", "candidate_note"}:
        return next((name for name, member in data.items() if isinstance(member, dict) and "id" in member), None)
    return None


def _scheduler(op: Operation, body: dict[str, Any]) -> None:
    identity = scalar_text(peek(body, "scheduledBy", "id"))
    if identity is None:
        return
    op.fields["user.id"] = identity
    take(body, "scheduledBy", "id")
    person = full_name(peek(body, "scheduledBy", "firstName"), peek(body, "scheduledBy", "lastName"))
    if person is not None:
        op.fields["user.full_name"] = person
        for name in ("firstName", "lastName"):
            if is_text(peek(body, "scheduledBy", name)):
                take(body, "scheduledBy", name)
    email = scalar_text(peek(body, "scheduledBy", "email"))
    if email is not None and "@" in email:
        op.fields["user.email"] = email
        take(body, "scheduledBy", "email")
    op.fields["trail.actor.basis"] = "scheduledBy"
    op.actor_type, op.actor_confidence = "user", "inferred"


def _new_only(field: str, body: dict[str, Any]) -> Change:
    if isinstance(body.get(field), dict):
        label, new = take_text(body, field, "title"), take_text(body, field, "id")
        return Change(field, UNKNOWN, UNKNOWN if new is None else new, new_label=label, derivation="new_only")
    return Change(field, UNKNOWN, body.pop(field, UNKNOWN), derivation="new_only")
