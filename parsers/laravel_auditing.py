r"""Laravel Auditing (owen-it), rows of the `audits` table: who changed which record, from what to what, from where.

**What the source records.** The record (`auditable_type`, `auditable_id`), the event, each field's old and new value,
who (`user_type`, `user_id`), when, the IP address, the user agent, the URL, and `tags`. It records no session. It does not
see mass updates by the query builder and raw SQL, and changes made in the console only with `audit.console`.

**How to get it out.** An Artisan command that appends the rows after the last id to a file, run by the scheduler:

```php
foreach (Audit::where('id', '>', $after)->orderBy('id')->lazy() as $audit) {
    $this->line(json_encode($audit->getAttributes(), JSON_UNESCAPED_UNICODE));
}
```

`created_at` is in the application's zone (`app.timezone`) and written without it: set the input's `timezone:` to it.

**One line in**: one row, an array of rows, or `{"audits": […]}` or `{"data": […]}` (a page of Laravel's paginator).
`old_values` and `new_values` may be objects or JSON as text; PHP writes an empty one as `[]`.

```json
{"id":7301,"user_type":"App\\Models\\User","user_id":7,"event":"updated","auditable_type":"App\\Models\\Employee","auditable_id":55,"old_values":{"salary":90000},"new_values":{"salary":120000},"url":"https://hr.example/employees/55?tab=pay","ip_address":"192.0.2.10","user_agent":"Mozilla/5.0","tags":null,"created_at":"2026-02-03 10:30:00","updated_at":"2026-02-03 10:30:00"}
```

**What comes out.** `event.id` is the row's id, `event.code` the event.

- `updated`, and events of your own: one `field.update` per member of `old_values` and `new_values`. A member that only
  one of them has is unknown on the other side.
- A member of `updated` with two like texts is what a redactor left of a change: the field changed, both values are withheld.
- `created`, `deleted`, `restored`: one `record.create` / `record.delete` / `record.restore` with the values.
  `retrieved`: `record.view`.
- Of the model `User`: `user.create`, `user.delete`, `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
  `password.change` or `user.update`.

The URL is `url.original`, without the values of parameters such as `token`; where there is none because the change was
made in the console, what stands there is in `trail.raw` and the interface is `system`. `tags` are in `trail.raw` as
they are written. Shapes are those that the library's source shows.

Missing: `trail.session.id` always, `trail.interface` but for the console; `user.id`, `source.ip`, `user_agent.original`
where the row has none; of another event without values `trail.change.field`, `.old` and `.new`.

Options:

- `user: admin`: the prefix of the user's columns, where `audit.user.morph_prefix` is not `user`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._commands import clean_command
from parsers._contract import CHANGE_NOT_TOLD, SECRET, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import is_text, peek, read, take_ip, take_text, take_time
from parsers._rows import (
    drop_empty,
    each_row,
    from_text,
    row_action,
    set_object,
    take_fields,
)
from parsers._urls import clean_url

FORMAT: Final = Format(
    name="laravel_auditing",
    module="laravel",
    vendor="Laravel Auditing",
    title="Laravel Auditing (owen-it), rows of the audits table",
    missing=("trail.session.id", "user_agent.original"),
    gives=Gives.of("who when ip field old new"),
    options={"user": "prefix of the user's columns"},
)
LITERALS: Final = (b'"old_values"', b'"new_values"')

_VERBS: Final = {
    "created": "create",
    "updated": "update",
    "deleted": "delete",
    "restored": "restore",
    "retrieved": "view",
}
_OWN: Final = ("tags", "url", "ip_address", "user_agent")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """Rows of the audits table, see the module's text."""
    prefix = ctx.options.get("user")
    prefix = prefix if isinstance(prefix, str) and prefix else "user"

    def one(row: dict[str, Any]) -> list[Operation] | Rejected:
        return _audit(row, prefix)

    return each_row(read(record, "audits", "data"), one)


def _audit(row: dict[str, Any], prefix: str) -> list[Operation] | Rejected:
    event = row.get("event")
    if not (
        is_text(event)
        and is_text(row.get("auditable_type"))
        and "auditable_id" in row
        and "old_values" in row
        and "new_values" in row
    ):
        return Rejected(
            "no row of Laravel Auditing (auditable_type, auditable_id, event, old_values and new_values are needed)"
        )
    del row["event"]
    op = Operation(action="field.update", kind="audit", code=event, outcome="success", raw=row)
    op.id = take_text(row, "id")
    op.time = take_time(row, "created_at")
    if peek(row, "updated_at") == (op.time.text if op.time else None):
        del row["updated_at"]  # an audit is written once
    op.object_id = take_text(row, "auditable_id")
    set_object(op, take_text(row, "auditable_type"))
    take_fields(op, row, {f"{prefix}_id": "user.id", "user_agent": "user_agent.original"})
    if "user.id" in op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    address = take_ip(row, "ip_address")
    if address is not None:
        op.fields["source.ip"] = address
    _where(op, row)
    _what(op, row, _VERBS.get(event, "update"))
    drop_empty(row, (*_OWN, f"{prefix}_id", f"{prefix}_type"))
    return [op]


def _where(op: Operation, row: dict[str, Any]) -> None:
    url = row.get("url")
    if not is_text(url):
        return
    if "://" in url:
        op.fields["url.original"] = clean_url(url)
        del row["url"]
        return
    row["url"] = clean_command(url)
    if url == "console" or "artisan" in url:
        op.interface = "system"


def _what(op: Operation, row: dict[str, Any], verb: str) -> None:
    old, new = _values(row, "old_values"), _values(row, "new_values")
    if verb == "update":
        for name, values in (("old_values", old), ("new_values", new)):
            if "" in values:
                row[name] = {"": values.pop("")}  # a member without a name cannot be said to have changed
        op.changes = _changes(old, new)
        if op.code == "updated":  # it has only what changed; events of an application's own may have anything
            op.changes = [one if one.old != one.new or not _is_shown(one.old) else _hidden(one) for one in op.changes]
        if not op.changes:
            op.missing = CHANGE_NOT_TOLD
            op.no_change = op.code == "updated" and not {"old_values", "new_values"} & row.keys()
    elif verb != "view":
        values, other, name = (old, new, "new_values") if verb == "delete" else (new, old, "old_values")
        op.values = values or other
        if values and other:
            row[name] = other
    op.action = row_action(verb, op.object_type, op.changes)


def _is_shown(value: Any) -> bool:
    return is_text(value) and value != ""


def _hidden(change: Change) -> Change:
    return change._replace(old=SECRET, new=SECRET)


def _values(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Pop the values of one side; what is no object stays, cleaned of secrets."""
    value = from_text(row[name])
    if isinstance(value, dict) or value in (None, [], ""):
        del row[name]
        return value or {}
    row[name] = value
    return {}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    found = []
    for name in {**old, **new}:
        if name in old and name in new:
            found.append(Change(name, old[name], new[name]))
        else:
            known = {"new": new[name]} if name in new else {"old": old[name]}
            found.append(Change(name, **{"old": UNKNOWN, "new": UNKNOWN, **known}, derivation="new_only"))
    return found
