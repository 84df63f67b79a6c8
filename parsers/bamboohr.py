"""BambooHR, webhooks: which employee was created, changed or deleted, and which fields.

**What the source records.** Event-based webhooks: the employee's id, the names of the changed fields and the time; no
values. Field-based webhooks: the same with the current values of the fields that you chose to be posted. Neither tells
who did it, the IP address, the session, or the old value (but that a created employee had none). A field with a
history (`payRate`, `jobTitle`) is reported on the day when the change takes effect, not when it was entered. No API
for BambooHR's own audit trail is known (not confirmed).

**How to get it out.** *Account > Settings > Webhooks* (global webhooks), or `POST /api/v1/webhooks` with an API key
(permissioned webhooks: they send what the creating user may see, and stop when that user is deactivated). Choose JSON,
not form post. The endpoint is yours, with HTTPS; it checks `X-BambooHR-Signature` (HMAC-SHA256 with the private key
that is shown once) over the body and `X-BambooHR-Timestamp` (the order of the two is not confirmed), and appends each
body as one line to a file. Field-based webhooks can carry pay rates and social security numbers: set a `privacy:`
policy.

**One line in**: one event-based body; one field-based body, or an array of its employees.

```json
{"type":"employee.updated","timestamp":"2026-02-10T09:15:00+0000","data":{"companyId":"40021","employeeId":"3108","changedFields":["payRate","jobTitle"]}}
{"employees":[{"id":"3108","action":"Updated","timestamp":"2026-02-10T09:15:00+0000","changedFields":["Pay rate"],"fields":{"Pay rate":"98000.00 USD","Status":"Active"}}]}
```

**What comes out.** `employee.created` and `Created`: `record.create`; `employee.deleted` and `Deleted`:
`record.delete`; `employee.updated` and `Updated`: one `field.update` for each changed field, with
`trail.change.derivation: new_only`: the new value where the body posts it, else neither value. Posted fields that did
not change are in `trail.values`. `event.code` is the event type or the action. The company is `organization.id`.
Creating an employee sends `employee.created` and then `employee.updated`.

Missing: `trail.missing` always holds `user.id`, `source.ip`, `trail.session.id` and `trail.interface`; of a change
`trail.change.old`, and `trail.change.new` where no value is posted; of an update without field names all three of
field, old and new; of a creation or deletion without posted values `trail.values`. What is not mapped is in `trail.raw`. Form posts are not read. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_text, take_time
from parsers._snapshots import named_only

FORMAT: Final = Format(
    name="bamboohr",
    module="bamboohr",
    vendor="BambooHR",
    title="BambooHR, event-based and field-based webhooks",
    missing=("user.id", "source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("when field new"),
)
LITERALS: Final = (b'"employeeId"', b'"changedFields"')

_EVENT: Final = re.compile(r"(?P<noun>employee)(?:_with_fields)?\.(?P<verb>[a-z_]{1,40})").fullmatch
_ACTIONS: Final = {
    "created": "record.create",
    "deleted": "record.delete",
    "updated": "field.update",
}
"""The last word of an event type, or an action in lower case."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One webhook body, see the module's text."""
    found = read(record, "employees")
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list that is no webhook of BambooHR")
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    code = item.get("type")
    known = _EVENT(code) if is_text(code) else None
    if known is not None and "timestamp" in item and _are_ids(item, ("data", "employeeId"), ("data", "companyId")):
        return [_event(item, known["verb"])]
    if _are_ids(item, ("id",), ("action",)) and "timestamp" in item and "changedFields" in item:
        return [_employee(item)]
    return Rejected(
        "neither an event-based webhook of BambooHR (type employee.*, timestamp, data.companyId, data.employeeId)"
        " nor an employee of a field-based one (id, action, timestamp, changedFields)"
    )


def _are_ids(item: dict[str, Any], *paths: tuple[str, ...]) -> bool:
    return all(scalar_text(peek(item, *path)) is not None for path in paths)


def _operation(item: dict[str, Any], verb: str, employee: tuple[str, ...]) -> Operation:
    action = _ACTIONS.get(verb, "field.update")
    return Operation(
        action=action,
        kind="webhook",
        time=take_time(item, "timestamp"),
        object_type="employee",
        object_id=take_text(item, *employee),
    )


def _event(item: dict[str, Any], verb: str) -> Operation:
    op = _operation(item, verb, ("data", "employeeId"))
    op.code = take_text(item, "type")
    company = take_text(item, "data", "companyId")
    if company is not None:
        op.fields["organization.id"] = company
    changes, _ = named_only(peek(item, "data", "changedFields"))
    if changes and op.action == "field.update":
        take(item, "data", "changedFields")
        op.changes = changes
    return _finished(op, item)


def _employee(item: dict[str, Any]) -> Operation:
    op = _operation(item, snake(str(item["action"])), ("id",))
    op.code = take_text(item, "action")
    posted = item.get("fields")
    if isinstance(posted, dict) and posted:
        # Permissioned webhooks put each value into an object of its own.
        op.values = {name: _value(value) for name, value in posted.items() if name}
        del item["fields"]
        if "" in posted:
            item["fields"] = {"": posted[""]}
    changes, _ = named_only(item["changedFields"])
    if changes and op.action == "field.update":
        del item["changedFields"]
        # The two lists may write a name in different case (`First name`, `First Name`).
        names = {name.casefold(): name for name in op.values}
        op.changes = [_with_value(change, op.values, names) for change in changes]
    return _finished(op, item)


def _value(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and value.keys() == {"value"} else value


def _with_value(change: Change, values: dict[str, Any], names: dict[str, str]) -> Change:
    """The change with its new value, which leaves `values`."""
    name = change.field if change.field in values else names.get(change.field.casefold(), "")
    return change._replace(new=values.pop(name, UNKNOWN))


def _finished(op: Operation, item: dict[str, Any]) -> Operation:
    if op.action == "field.update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    elif op.action != "field.update" and not op.values:
        op.missing = ("trail.values",)
    op.raw = item
    return op
