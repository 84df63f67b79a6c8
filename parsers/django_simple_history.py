"""django-simple-history, rows of historical tables: who saved which record when, and with your exporter what changed.

**What the source records.** The whole row after each save, and at each delete, of models that have
`HistoricalRecords`: when (`history_date`), what (`history_type` `+` created, `~` changed, `-` deleted), who
(`history_user`, where its middleware is installed and the change came by a request) and why
(`history_change_reason`). It records no IP address, no session, no field and **no old value**: the change is the
difference to the row before. It does not see `QuerySet.update()` and raw SQL.

**How to get it out.** Let a management command write the difference too; `--after` is the last `history_id` that was
written. Save it as `management/commands/export_history.py` of an app of yours, run it by a timer, append to a file.

```python
class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("label")
        parser.add_argument("--after", type=int, default=0)

    def handle(self, label, after, **options):
        history = apps.get_model(label).history.model
        for row in history.objects.filter(history_id__gt=after).order_by("history_id"):
            columns = {field.attname: getattr(row, field.attname) for field in row._meta.fields}
            line = {"model": label, "object_repr": str(row.instance), "row": columns}
            before = row.prev_record if row.history_type == "~" else None
            if before is not None:
                delta = row.diff_against(before)
                line["changes"] = [{"field": one.field, "old": one.old, "new": one.new} for one in delta.changes]
            self.stdout.write(json.dumps(line, cls=DjangoJSONEncoder))
```

(It imports `json`, `django.apps.apps`, `BaseCommand` and `DjangoJSONEncoder`.) Instead of `changes` you may write the row
before as `previous`, or whole histories as `{"model": …, "rows": […]}`, the older rows first. `manage.py dumpdata
hr.historicalemployee --format jsonl` works too, but a `~` row alone says only that something changed. Many-to-many fields
(`m2m_fields`) stand in no row: only `changes` tells them, by `previous` and `rows` such a save looks like no change.

**One line in**: a line of the exporter; a bare row; Django's `{"model": …, "pk": …, "fields": {…}}`; an array of them.

```json
{"model":"hr.Employee","object_repr":"Lee R","row":{"history_id":912,"history_date":"2026-02-03T10:30:00.123Z","history_type":"~","history_user_id":7,"history_change_reason":"annual review","id":55,"name":"Lee R","salary":120000},"changes":[{"field":"salary","old":90000,"new":120000}]}
```

**What comes out.** `event.id` is the `history_id`, `event.code` the `history_type`, `event.reason` the reason.

- `+`, `-`: one `record.create` / `record.delete` with the row in `trail.values`; of the model `User` `user.create`,
  `user.delete`.
- `~` with `changes`: one `field.update` per field, derivation `native`; with `previous` or in `rows`: the difference,
  derivation `reconstructed`. What did not change is in `trail.raw`. Of the model `User` `role.grant`, `role.revoke`,
  `user.disable`, `user.enable`, `password.change` or `user.update`.
- `~` alone: one `field.update` without `trail.change`, the row in `trail.values`.

In `rows` two neighbours of one record are compared in the order of `history_id` where it is a number, so no row may be
left out between them.

Missing: `source.ip`, `trail.session.id`, `user_agent.original` and `trail.interface` always; `user.id` where the row
has no user; of a `~` row alone `trail.change.field`, `.old` and `.new`.

Options:

- `model: hr.Employee`: the model of rows that do not say it.
- `key: uuid`: the column of the primary key, where it is not `id`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import read, same, scalar_text, take_text, take_time
from parsers._rows import compare, drop_empty, each_row, number_of, row_action, set_person, short_name

FORMAT: Final = Format(
    name="django_simple_history",
    module="django",
    vendor="django-simple-history",
    title="django-simple-history, rows of historical tables",
    missing=("source.ip", "trail.session.id", "trail.interface", "user_agent.original"),
    gives=Gives.of("who when field old new"),
    options={
        "model": "app_label.Model of rows that do not say it",
        "key": "column of the primary key, where it is not id",
    },
)
LITERALS: Final = (b'"history_type"',)

_VERBS: Final = {"+": "create", "~": "update", "-": "delete"}
_USERS: Final = ("history_user_id", "history_user")
_ROW: Final = ("history_type", "history_date")
_HISTORICAL: Final = "historical"


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """Rows of historical tables, alone or with what was before them, see the module's text."""
    options = ctx.options

    def one(item: dict[str, Any]) -> list[Operation] | Rejected:
        return _item(item, options)

    return each_row(read(record), one)


def _item(item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation] | Rejected:
    rows = item.get("rows")
    if isinstance(rows, list) and rows and all(_is_row(row) for row in rows):
        return _history(item, options)
    if _is_row(item.get("row")):
        row = item.pop("row")
        changes = item.get("changes")
        if isinstance(changes, list) and all(_is_change(change) for change in changes):
            del item["changes"]
            return _operation(
                row, item, options, told=[Change(one["field"], one["old"], one["new"]) for one in changes]
            )
        previous = item.pop("previous", None)
        if isinstance(previous, dict):
            before = {name: previous.pop(name) for name in list(previous) if name.startswith("history_")}
            if before:
                item["previous"] = before
            return _operation(row, item, options, previous=previous)
        return _operation(row, item, options)
    fields = item.get("fields")
    if _is_row(fields) and isinstance(item.get("model"), str):
        row = item.pop("fields")
        row.setdefault("history_id", item.pop("pk", None))
        return _operation(row, item, options)
    if _is_row(item) and "history_id" in item:
        return _operation(item, {}, options)
    return Rejected("no row of django-simple-history (history_id, history_type + ~ - and history_date are needed)")


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and value.get("history_type") in ("+", "~", "-") and "history_date" in value


def _is_change(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"field", "old", "new"}
        and isinstance(value["field"], str)
        and value["field"] != ""
    )


def _key(row: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    name = options.get("key")
    return scalar_text(row.get(name if isinstance(name, str) else "id"))


def _history(item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation] | Rejected:
    rows = item.pop("rows")
    numbers = [number_of(row.get("history_id")) for row in rows]
    if None not in numbers:
        rows = [rows[place] for place in sorted(range(len(rows)), key=lambda place: numbers[place] or 0)]
    found: list[Operation] = []
    before: dict[str | None, dict[str, Any]] = {}
    model = item.pop("model", None)
    for row in rows:
        key = _key(row, options)
        state = {name: value for name, value in row.items() if not name.startswith("history_")}
        outer = {} if model is None else {"model": model}
        result = _operation(row, outer, options, previous=before.get(key) if key is not None else None)
        if isinstance(result, Rejected):
            return result
        found += result
        before[key] = state
    found[0].raw = {**item, **found[0].raw}
    return found


def _operation(
    row: dict[str, Any],
    outer: dict[str, Any],
    options: Mapping[str, Any],
    *,
    previous: dict[str, Any] | None = None,
    told: list[Change] | None = None,
) -> list[Operation] | Rejected:
    """One row; `outer` is what stood beside it, `told` the changes that the source itself gave."""
    code = row.pop("history_type")
    verb = _VERBS[code]
    op = Operation(action="field.update", kind="history", code=code, outcome="success")
    op.id = take_text(row, "history_id")
    op.time = take_time(row, "history_date")
    _who(op, row)
    reason = take_text(row, "history_change_reason")
    if reason is not None:
        op.fields["event.reason"] = reason
    drop_empty(row, ("history_id", "history_change_reason", "history_relation_id", *_USERS))
    label = outer.get("model") if isinstance(outer.get("model"), str) else options.get("model")
    if isinstance(label, str) and label.strip():
        # As django-auditlog names it, so that the histories of one record meet; `model` stays in raw for its app.
        op.object_type = short_name(label).lower().removeprefix(_HISTORICAL)
    op.object_id = _key(row, options)
    op.object_name = take_text(outer, "object_repr")
    own = {name: row.pop(name) for name in list(row) if name.startswith("history_")}
    op.raw = {**outer, **own}
    if verb != "update":
        op.values = row
    elif told is not None:
        op.changes, op.no_change = told, not told
        for change in told:
            # A foreign key is told by its field's name, and stands in the row under its column's.
            for name in (change.field, f"{change.field}_id"):
                if name in row and same(row[name], change.new):
                    del row[name]
                    break
        op.raw = {**op.raw, "row": row} if row else op.raw
    elif previous is not None:
        op.changes, rest = compare(previous, row, derivation="reconstructed")
        op.no_change = not op.changes
        op.raw = {**op.raw, "row": rest} if rest else op.raw
    else:
        op.values, op.missing = row, CHANGE_NOT_TOLD
    op.action = row_action(verb, op.object_type, op.changes)
    return [op]


def _who(op: Operation, row: dict[str, Any]) -> None:
    for name in _USERS:
        user = row.get(name)
        if isinstance(user, dict):
            for target, members in (
                ("user.id", ("id", "pk")),
                ("user.name", ("username", "name")),
                ("user.email", ("email",)),
            ):
                for member in members:
                    text = None if target in op.fields else take_text(user, member)
                    if text is not None:
                        op.fields[target] = text
            if not user:
                del row[name]
        elif isinstance(user, list):  # a natural key
            if len(user) == 1 and isinstance(user[0], str) and user[0]:
                op.fields.setdefault("user.name", user[0])
                del row[name]
        else:
            set_person(op, take_text(row, name))
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
