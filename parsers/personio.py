"""Personio, webhooks: which person, employment, absence, attendance or document was created, changed or deleted.

**What the source records.** The event's name, the company, the time, and ids: Personio sends no data on purpose. No
user, no IP address, no session, no fields (but the two absence events that name one) and no values: read the record
again through the API to learn more. Not every changed attribute sends an event.

**How to get it out.** Create a webhook with the webhooks API (`POST /v2/webhooks` with `enabled_events`; version 2 of
the API). Your endpoint, with HTTPS, must answer within 3 seconds with a 2xx status, and appends each body as one line
to a file; Personio tries again for up to three days. Missed events of the last 30 days can be had from the webhook's
events API. The signature is not described here (not confirmed).

**One line in**: one webhook body, an array of them, or an answer `{"_data": [...]}` (its shape is not confirmed).

```json
{"company_id":"4711","event_name":"person.updated","occurred_at":"2026-03-01T17:04:05Z","payload":{"person_id":"1024"}}
```

**What comes out.** `personio.webhook`; `event.code` is the event's name. `*.created`: `record.create`; `*.deleted`:
`record.delete`; everything else (`*.updated`, `employment.started`, `employment.terminated`, `document.signed`):
`field.update`. `absence-period.updated.timerange` and `.status` name the field `timerange` or `status`. The object's
id is the payload's `id` or the id that is called like the event (`person_id`); the members of payloads are not all
confirmed, so those that are not known stay in `trail.raw`. The company is `organization.id`.

Missing: `trail.missing` always holds `user.id`, `source.ip`, `trail.session.id` and `trail.interface`; of updates
`trail.change.field`, `.old` and `.new` (of the two absence events the latter two). Options: none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, read, scalar_text, snake, take_text, take_time

FORMAT: Final = Format(
    name="personio",
    module="personio",
    vendor="Personio",
    title="Personio, webhooks",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("when field"),
)
LITERALS: Final = (b'"event_name"',)

_EVENT: Final = re.compile(
    r"(?P<noun>[a-z]{2,30}(?:[-_][a-z]{1,30}){0,3})\.(?P<verb>[a-z_]{2,30})(?:\.(?P<field>[a-z_]{2,40}))?"
).fullmatch
_ACTIONS: Final = {"created": "record.create", "deleted": "record.delete"}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One webhook body or an array of them, see the module's text."""
    found = read(record, "_data")
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list that is no webhook of Personio")
    return each(found, _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    name, payload = item.get("event_name"), item.get("payload")
    if (
        not is_text(name)
        or not isinstance(payload, dict)
        or "occurred_at" not in item
        or scalar_text(item.get("company_id")) is None
    ):
        return Rejected("no Personio webhook (company_id, event_name, occurred_at and payload are needed)")
    event = _EVENT(name.lower())
    if event is None:
        return Rejected("no Personio webhook (an event_name that is no word.word)")
    op = Operation(action=_ACTIONS.get(event["verb"], "field.update"), kind="webhook", object_type=snake(event["noun"]))
    op.code, op.time = take_text(item, "event_name"), take_time(item, "occurred_at")
    op.fields["organization.id"] = take_text(item, "company_id")
    for member in ("id", f"{op.object_type}_id"):
        op.object_id = take_text(payload, member)
        if op.object_id is not None:
            break
    if not payload:
        del item["payload"]
    if op.action == "field.update":
        if event["field"] is not None:
            op.changes = [Change(event["field"], UNKNOWN, UNKNOWN, derivation="new_only")]
        else:
            op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return [op]
