r"""audited (Rails), rows of the `audits` table: who created, changed or destroyed which record, from what to what.

**What the source records.** The record (`auditable_type`, `auditable_id`), the action, each field's old and new value
(`audited_changes`), who (`user_id` and `user_type`, or `username`), when, the IP address (`remote_address`), the
request (`request_uuid`) and a `comment`. It records no session and no user agent, and it does not see changes that
skip callbacks (`update_columns`, `update_all`, raw SQL).

**How to get it out.** A rake task that appends the rows after the last id to a file, run by a timer:

```ruby
Audited::Audit.where("id > ?", after).order(:id).find_each { |audit| puts audit.attributes.to_json }
```

`created_at` is UTC; an export by SQL writes it without a zone, so give that input `timezone: UTC`.

**One line in**: one row, an array of rows, or `{"audits": […]}`. `audited_changes` may be an object, JSON as text, or
YAML as text (the library's default; `jsonb` is optional).

```json
{"id":9120,"auditable_id":55,"auditable_type":"Employee","associated_id":null,"associated_type":null,"user_id":7,"user_type":"User","username":null,"action":"update","audited_changes":{"salary":[90000,120000]},"version":4,"comment":"annual review","remote_address":"192.0.2.10","request_uuid":"5d1f6f1e-0d6c-4f0e-9a5e-2d1c3b4a5f60","created_at":"2026-02-03T10:30:00.123Z"}
```

**What comes out.** `event.id` is the row's id, `event.code` the action, `event.reason` the comment.

- `update`: one `field.update` per member of `audited_changes` that is a pair.
- `create`, `destroy`: one `record.create` / `record.delete` with the values (plain values here, no pairs: of a field that is
  itself a list of two the list is the value).
- A pair of the same text or list is what `redacted:` (`[REDACTED]`) and encrypted attributes (`[FILTERED]`) leave of a change: the
  field changed, and both values are withheld.
- An `update` without changes is only counted, unless it has a comment.
- Of the model `User`: `user.create`, `user.delete`, `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
  `password.change` or `user.update`. Any other action is a `field.update`.

Of YAML, only names with plain, quoted, or two listed scalars are read; a member that is more than that stays as text in
`trail.raw`, and so does a document of any other shape. `associated_*` (the parent record), `user_type`, `version` and
columns of your own are in `trail.raw`.

Missing: `trail.session.id`, `user_agent.original` and `trail.interface` always; `user.id` and `source.ip` where the
change was made outside a request (a job, the console); of an update that holds no pair `trail.change.field`, `.old`
and `.new`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, SECRET, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import is_text, read, take_ip, take_text, take_time
from parsers._rails import columns, put_back
from parsers._rows import drop_empty, each_row, row_action, set_object, take_fields

FORMAT: Final = Format(
    name="audited",
    module="rails",
    vendor="audited",
    title="audited (Rails), rows of the audits table",
    missing=("trail.session.id", "user_agent.original", "trail.interface"),
    gives=Gives.of("who when ip field old new"),
)
LITERALS: Final = (b'"audited_changes"', b'"audits"')

_VERBS: Final = {"create": "create", "update": "update", "destroy": "delete"}
_FIELDS: Final = {
    "user_id": "user.id",
    "username": "user.name",
    "comment": "event.reason",
    "request_uuid": "http.request.id",
}
_OWN: Final = (*_FIELDS, "user_type", "associated_id", "associated_type", "remote_address", "version")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Rows of the audits table, see the module's text."""
    return each_row(read(record, "audits"), _audit)


def _audit(row: dict[str, Any]) -> list[Operation] | Rejected:
    action = row.get("action")
    if not (
        is_text(action) and is_text(row.get("auditable_type")) and "auditable_id" in row and "audited_changes" in row
    ):
        return Rejected("no row of audited (auditable_type, auditable_id, action and audited_changes are needed)")
    del row["action"]
    op = Operation(action="field.update", kind="audit", code=action, outcome="success", raw=row)
    op.id = take_text(row, "id")
    op.time = take_time(row, "created_at")
    op.object_id = take_text(row, "auditable_id")
    set_object(op, take_text(row, "auditable_type"))
    take_fields(op, row, _FIELDS)
    if "user.id" in op.fields or "user.name" in op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    address = take_ip(row, "remote_address")
    if address is not None:
        op.fields["source.ip"] = address
    _what(op, row, _VERBS.get(action, "update"))
    drop_empty(row, _OWN)
    return [op]


def _what(op: Operation, row: dict[str, Any], verb: str) -> None:
    told, unread = columns(row.pop("audited_changes"))
    left: dict[str, Any] = {}
    if verb == "update":
        pairs = {name: value for name, value in told.items() if name and isinstance(value, list) and len(value) == 2}
        op.changes = [_change(name, *pair) for name, pair in pairs.items()]
        left = {name: value for name, value in told.items() if name not in pairs}
        op.no_change = not told and unread is None and "event.reason" not in op.fields
        if not pairs:
            op.missing = CHANGE_NOT_TOLD
    else:
        op.values = told
    op.action = row_action(verb, op.object_type, op.changes)
    put_back(row, "audited_changes", left, unread)


def _change(name: str, old: Any, new: Any) -> Change:
    """The library writes only what changed, so a pair of the same is what it puts in the place of hidden values."""
    hidden = isinstance(old, str | list) and bool(old) and old == new
    return Change(name, SECRET, SECRET) if hidden else Change(name, old, new)
