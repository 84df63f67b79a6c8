r"""PaperTrail (Rails), rows of the `versions` table: who created, changed or deleted which record, from what to what.

**What the source records.** The model and id (`item_type`, `item_id`), the `event`, who (`whodunnit`: whatever text
the application puts there, mostly the user's id), when, the record before it (`object`), and, where the column
`object_changes` was added to the table, each field's old and new value. IP address, user agent, request and session
only where the application added columns for them (`info_for_paper_trail`). It does not see `update_column(s)`,
`update_all`, `delete_all` and raw SQL.

**How to get it out.** Add the column `object_changes` (type `jsonb` where you can). Then a rake task that appends the rows
after the last id to a file, run by a timer:

```ruby
PaperTrail::Version.where("id > ?", after).order(:id).find_each { |version| puts version.attributes.to_json }
```

`created_at` is UTC; an export by SQL writes it without a zone, so give that input `timezone: UTC`.

**One line in**: one row, an array of rows, or `{"versions": […]}`. `object` and `object_changes` may be objects, JSON as
text, or YAML as text (PaperTrail's default).

```json
{"id":4410,"item_type":"Employee","item_id":55,"event":"update","whodunnit":"7","object":"---\nid: 55\nname: Lee R\nsalary: 90000\n","object_changes":"---\nsalary:\n- 90000\n- 120000\n","created_at":"2026-02-03T10:30:00.123Z","ip":"192.0.2.10"}
```

**What comes out.** `event.id` is the row's id, `event.code` the event.

- `update`: one `field.update` per member of `object_changes`; what of `object` did not change is in `trail.raw`.
- `create`, `destroy`: one `record.create` / `record.delete` with the values; a column's default that a new record's value
  took the place of is in `trail.raw`. `restore` (of soft deletion): `record.restore`. Any other event is a `field.update`.
  An `update` or `touch` whose `object_changes` are empty is only counted.
- Of the model `User`: `user.create`, `user.delete`, `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
  `password.change` or `user.update`.

`whodunnit` of digits or a UUID is `user.id`, with an `@` `user.email`, else `user.name`. The columns `ip`, `ip_address`,
`remote_ip`, `user_agent`, `request_id`, `session_id` are read where they exist.

Of YAML, only names with plain, quoted, or two listed scalars are read (`salary:` `- 90000` `- 120000`); a member that is
more than that (a time with its zone as a Ruby object) stays as text in `trail.raw`, and so does a document of any other
shape. Shapes are those that the library's documentation shows; columns of your own stay in `trail.raw`.

Missing: `source.ip`, `trail.session.id`, `user_agent.original` where the table has no such columns; `trail.interface`;
`user.id` where `whodunnit` is empty or a name; where there is no `object_changes`, `trail.change.field`, `.old` and
`.new`: `object` is the record before, and what became of it the row does not say. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import is_text, read, same, take_ip, take_text, take_time
from parsers._rails import columns, put_back
from parsers._rows import drop_empty, each_row, row_action, set_object, set_person, take_fields

FORMAT: Final = Format(
    name="paper_trail",
    module="rails",
    vendor="PaperTrail",
    title="PaperTrail (Rails), rows of the versions table",
    missing=("user_agent.original", "trail.interface"),
    gives=Gives.of("who when ip session field old new"),
)
LITERALS: Final = (b'"item_type"', b'"versions"')

_VERBS: Final = {"create": "create", "update": "update", "destroy": "delete", "restore": "restore"}
_FIELDS: Final = {
    "user_agent": "user_agent.original",
    "request_id": "http.request.id",
    "session_id": "trail.session.id",
}
_ADDRESSES: Final = ("ip", "ip_address", "remote_ip")
_OWN: Final = ("whodunnit", "object", "object_changes", "item_subtype", *_ADDRESSES, *_FIELDS)


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Rows of the versions table, see the module's text."""
    return each_row(read(record, "versions"), _version)


def _version(row: dict[str, Any]) -> list[Operation] | Rejected:
    event = row.get("event")
    if not (
        is_text(event)
        and is_text(row.get("item_type"))
        and "item_id" in row
        and ("object" in row or "object_changes" in row or "whodunnit" in row)
    ):
        return Rejected(
            "no row of PaperTrail's versions (item_type, item_id, event; object, object_changes, whodunnit)"
        )
    del row["event"]
    op = Operation(action="field.update", kind="version", code=event, outcome="success", raw=row)
    op.id = take_text(row, "id")
    op.time = take_time(row, "created_at")
    op.object_id = take_text(row, "item_id")
    set_object(op, take_text(row, "item_type"))
    set_person(op, take_text(row, "whodunnit"))
    take_fields(op, row, _FIELDS)
    address = next((found for name in _ADDRESSES if (found := take_ip(row, name)) is not None), None)
    if address is not None:
        op.fields["source.ip"] = address
    _what(op, row, _VERBS.get(event, "update"))
    drop_empty(row, _OWN)
    return [op]


def _what(op: Operation, row: dict[str, Any], verb: str) -> None:
    before, unread_before = columns(row.pop("object", None))
    given = row.pop("object_changes", None)
    told, unread = columns(given)
    pairs = {name: value for name, value in told.items() if name and isinstance(value, list) and len(value) == 2}
    left = {name: value for name, value in told.items() if name not in pairs}
    if verb in {"create", "delete"}:
        # A record that was created has new values only, but for defaults of its columns; one that was deleted old ones.
        side = 1 if verb == "create" else 0
        op.values = {name: pair[side] for name, pair in pairs.items() if side == 1 or pair[1] is None}
        left |= {name: pair[: 1 + (side == 0)] for name, pair in pairs.items() if pair[1 - side] is not None}
        if verb == "delete" and before:
            op.values, before = {**op.values, **before}, {}
    else:
        op.changes = [Change(name, *pair) for name, pair in pairs.items()]
        before = {name: value for name, value in before.items() if not (name in pairs and same(value, pairs[name][0]))}
        if not pairs and verb == "update":
            op.missing = CHANGE_NOT_TOLD
            op.no_change = op.code in {"update", "touch"} and given is not None and not told and unread is None
    op.action = row_action(verb, op.object_type, op.changes)
    put_back(row, "object", before, unread_before)
    put_back(row, "object_changes", left, unread)
