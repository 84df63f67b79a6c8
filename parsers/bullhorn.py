"""Bullhorn, event subscriptions and edit histories: who changed which field of which record, from what to what.

**What the source records.** An event: the record, whether it was inserted, updated or deleted, the names of the
changed properties, the person's id and the time; no values. An edit history (`CandidateEditHistory` and its like):
who, when, and for each field the old and the new value as texts. Neither has an IP address or a session. Both carry
the id of the transaction, by which they can be joined.

**How to get it out.** Events: once `PUT /event/subscription/NAME` with `type=entity`, `names=Candidate,Placement` and
`eventTypes=INSERTED,UPDATED,DELETED`, then `GET /event/subscription/NAME?maxEvents=100` regularly; **reading deletes
them** (the last answer can be had again by its `requestId`), unread events expire after 7 days, 15 subscriptions at
most. Append each answer as one line to a file before you ask again. Edit histories: `GET
/query/PlacementEditHistoryFieldChange` with the fields `id,display,columnName,oldValue,newValue` and
`editHistory(id,dateAdded,transactionID,modifyingPerson,targetEntity)`, or `GET /query/PlacementEditHistory` with
`fieldChanges`. They exist for appointments, companies, job orders, submissions, opportunities, placements, tasks and
users (candidates and contacts are among the users).

**One line in**: an answer with `events`, one event, or an array of events (an event may hold the rows of its edit
history under `editHistory`, where a collector has joined them); an answer with `data`, one row, or an array of rows of
an edit history.

```json
{"requestId":2,"events":[{"eventId":"ID:JBM-9001","eventType":"ENTITY","eventTimestamp":1772384645000,"eventMetadata":{"PERSON_ID":"2","TRANSACTION_ID":"3e7a9c21"},"entityName":"Candidate","entityId":5401,"entityEventType":"UPDATED","updatedProperties":["salary"]}]}
{"id":6001,"columnName":"payRate","display":"Pay Rate","oldValue":"40","newValue":"45","editHistory":{"id":880,"dateAdded":1772384645000,"transactionID":"3e7a9c21","modifyingPerson":{"id":2,"firstName":"Kim","lastName":"Quill"},"targetEntity":{"id":55}}}
```

**What comes out.** `INSERTED`: `record.create`, `UPDATED`: one `field.update` for each property, `DELETED`:
`record.delete` (`bullhorn.event`; of a corporate user `user.create`, `user.update`, `user.delete`; an event that is
about no entity is `log.message`). Each row of an edit history: one `field.update` for each field change
(`bullhorn.edit_history`); the text `[blank]` is no value. `event.code` is the event's type, `transaction.id` the
transaction.

Missing: `trail.missing` always holds `source.ip`, `trail.session.id` and `trail.interface`; of events' changes
`trail.change.old` and `.new`. What is not mapped is in `trail.raw`. Option `entity`: the type of the records that the
rows of an edit history are about (`Placement`), since the rows do not say it; without it the type is `record`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, snake, take, take_text, take_time
from parsers._secrets import DROPPED, is_secret
from parsers._snapshots import full_name, named_only

FORMAT: Final = Format(
    name="bullhorn",
    module="bullhorn",
    vendor="Bullhorn",
    title="Bullhorn, event subscriptions and edit histories",
    missing=("source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("who when field old new"),
    options={"entity": "type of the records that rows of an edit history are about, e.g. Placement"},
)
LITERALS: Final = (b'"eventTimestamp"', b'"requestId"', b'"columnName"', b'"modifyingPerson"')

_EVENTS: Final = {"INSERTED": "create", "UPDATED": "update", "DELETED": "delete"}
_ACCOUNTS: Final = frozenset({"corporate_user"})
_BLANK: Final = "[blank]"


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """An answer of an event subscription or of an edit history, see the module's text."""
    found = read(record, "events", "data")
    if not isinstance(found, Rejected) and not found.items:
        if "requestId" in found.rest:
            return [Operation(action="field.update", kind="event", no_change=True)]
        return Rejected("an empty list that is no answer of a Bullhorn event subscription")
    entity = ctx.options.get("entity")
    return each(found, partial(_one, entity=entity if isinstance(entity, str) else None))


def _one(item: dict[str, Any], *, entity: str | None) -> list[Operation] | Rejected:
    if is_text(item.get("eventType")) and "eventTimestamp" in item and "eventId" in item:
        return [_event(item)]
    history = item.get("editHistory")
    if is_text(item.get("columnName")) and item["columnName"] and isinstance(history, dict):
        return [_history(item, [item], ("editHistory",), entity)]
    if isinstance(item.get("modifyingPerson"), dict) and "fieldChanges" in item and "targetEntity" in item:
        return [_history(item, list(_rows(item.get("fieldChanges"))), (), entity)]
    return Rejected(
        "neither a Bullhorn event (eventId, eventType, eventTimestamp) nor a row of an edit history"
        " (columnName and editHistory, or modifyingPerson, targetEntity and fieldChanges)"
    )


def _person(op: Operation, item: dict[str, Any], *path: str) -> None:
    identity = take_text(item, *path, "id")
    if identity is None:
        return
    op.fields["user.id"] = identity
    op.actor_type, op.actor_confidence = "user", "asserted"
    first, last = peek(item, *path, "firstName"), peek(item, *path, "lastName")
    name = full_name(first, last)
    if name is not None:
        op.fields["user.full_name"] = name
        for member, text in (("firstName", first), ("lastName", last)):
            if is_text(text):
                take(item, *path, member)


def _transaction(op: Operation, item: dict[str, Any], *path: str) -> None:
    text = take_text(item, *path)
    if text is not None:
        op.fields["transaction.id"] = text


def _event(item: dict[str, Any]) -> Operation:
    op = Operation(action="log.message", kind="event", id=take_text(item, "eventId"))
    op.time = take_time(item, "eventTimestamp")
    op.object_label = take_text(item, "entityName")
    op.object_type = snake(op.object_label) if op.object_label is not None else None
    op.object_id = take_text(item, "entityId")
    what = _EVENTS.get(str(item.get("entityEventType")))
    op.code = take_text(item, "entityEventType") or take_text(item, "eventType")
    if what is not None:
        account = op.object_type in _ACCOUNTS
        op.action = f"user.{what}" if account else "field.update" if what == "update" else f"record.{what}"
        if account and op.object_id is not None:
            op.fields["user.target.id"] = op.object_id
    person = take_text(item, "eventMetadata", "PERSON_ID")
    if person is not None:
        op.fields["user.id"] = person
        op.actor_type, op.actor_confidence = "user", "asserted"
    _transaction(op, item, "eventMetadata", "TRANSACTION_ID")
    if what == "update":
        _updated(op, item)
    op.raw = item
    return op


def _updated(op: Operation, item: dict[str, Any]) -> None:
    """The changes of an event: from the rows of its edit history where they are there, else the names alone."""
    rows = [row for row in _rows(item.get("editHistory")) if _is_row(row)]
    op.changes = [_change(row) for row in rows]
    known = {change.field for change in op.changes}
    named, _ = named_only(item.get("updatedProperties", []))
    if named:
        del item["updatedProperties"]
        op.changes += [change for change in named if change.field not in known]
    if not op.changes:
        op.missing = CHANGE_NOT_TOLD


def _rows(holder: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The field changes in an edit history or in a list, also under its `data` and `fieldChanges`."""
    if isinstance(holder, list):
        for member in holder:
            if isinstance(member, dict) and depth < 4:
                yield from _rows(member, depth + 1)
    elif isinstance(holder, dict):
        if _is_row(holder):
            yield holder
        elif depth < 4:
            for name in ("fieldChanges", "data"):
                yield from _rows(holder.get(name), depth + 1)


def _is_row(row: dict[str, Any]) -> bool:
    return is_text(row.get("columnName")) and bool(row["columnName"]) and ("oldValue" in row or "newValue" in row)


def _change(row: dict[str, Any]) -> Change:
    """The change of a row, whose members are taken out of it."""
    field = row.pop("columnName")
    old, new = row.pop("oldValue", UNKNOWN), row.pop("newValue", UNKNOWN)
    told = old is not UNKNOWN and new is not UNKNOWN
    return Change(
        field,
        None if old == _BLANK else old,
        None if new == _BLANK else new,
        label=take_text(row, "display"),
        derivation="native" if told else "new_only",
    )


def _history(item: dict[str, Any], rows: list[dict[str, Any]], path: tuple[str, ...], entity: str | None) -> Operation:
    op = Operation(action="field.update", kind="edit_history", id=take_text(item, "id"))
    op.time = take_time(item, *path, "dateAdded")
    _person(op, item, *path, "modifyingPerson")
    _transaction(op, item, *path, "transactionID")
    op.object_label = take_text(item, *path, "targetEntity", "_subtype") or entity
    op.object_type = snake(op.object_label) if op.object_label else None
    op.object_id = take_text(item, *path, "targetEntity", "id")
    op.changes = [_change(row) for row in rows if _is_row(row)]
    if not op.changes:
        op.missing = CHANGE_NOT_TOLD
    if item.get("auditTrail") and any(is_secret(change.field) for change in op.changes):
        # The same changes once more, as HTML.
        item["auditTrail"] = DROPPED
    op.raw = item
    return op
