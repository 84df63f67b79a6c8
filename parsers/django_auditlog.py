"""django-auditlog entries (`LogEntry` rows) as JSON, by your own code or by Django's serializers.

What it records: which field of which record changed, from what to what, when, by whom and from which address, for
every save and delete that passes through the ORM and every many-to-many change. It does not see `QuerySet.update()`,
raw SQL or bulk operations, and it cannot give the session or the user agent.

How to get it: a JSON logger in `settings.LOGGING` and a `post_save` receiver on `LogEntry` that logs the row's fields in
`transaction.on_commit` (django-auditlog writes updates before they are committed: without it, changes that are rolled
back are logged too), with `timestamp.isoformat()`, since `DjangoJSONEncoder` cuts it to milliseconds; for a backfill:

```sh
manage.py dumpdata auditlog.logentry --natural-foreign --format jsonl
```

Both shapes are read: the row's fields as one object, and Django's `{"model": "auditlog.logentry", "pk": 1, "fields":
{…}}` (also an array of either on one line). Write `content_type` as `"hr.employee"` or with `--natural-foreign`: a bare
number says nothing outside its database.

One line in:

```json
{"id":8801,"content_type":"hr.employee","object_pk":"55","object_repr":"Lee R","action":1,"changes":{"salary":["90000","120000"]},"actor":7,"actor_email":"kim@example.com","remote_addr":"192.0.2.10","timestamp":"2026-02-03T10:30:00.123Z"}
```

One document per changed field out: `event.action` field.update, `trail.change.*` salary 90000 -> 120000
(`native`), `trail.object.*` employee 55, `user.id` 7, `user.email`, `source.ip`, `trail.operation.id` 8801.

| in the row | goes to |
|---|---|
| `action` 0 create · 1 update · 2 delete · 3 access | record.create · field.update · record.delete · record.view (`event.code`: the word) |
| `content_type` | `trail.object.type`: the model's name; with its app in `trail.raw` |
| `object_pk` (else `object_id`) · `object_repr` | `trail.object.id` · `trail.object.name` |
| `changes`, also as JSON text, else `changes_text` | one change per field; of a created or deleted record `trail.values` |
| `actor` (id, name, natural key or object) · `actor_email` | `user.*` |
| `remote_addr` · `remote_port` · `cid` | `source.ip` · `source.port` · `http.request.id` |
| `additional_data`: `interface` `session_id` `request_id` `user_agent` | `trail.interface` · `trail.session.id` · `http.request.id` · `user_agent.original` |

By default django-auditlog writes every value as text, so that null arrives as `"None"`: it is read as null. Under
`mask_fields` values arrive with stars, and a null as `**ne`; where two masked values look alike, all that is told is that
the field changed. Of the model `User` updates are `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
`password.change` or `user.update`, the others `user.create` and `user.delete`. A many-to-many change says only what was added or removed;
that is the new or old value, the other is absent. A created or deleted record has in its values every field that is
not null, but no many-to-many field.

A line is accepted if it has `action`, `content_type`, `object_repr`, and `object_pk` or `object_id`.

Missing: trail.session.id, user_agent.original, trail.interface, unless `additional_data` has them; user.id where the
change was made outside a request (a command, a task).

Options:

- `none_is_text: true`: values are real JSON (`AUDITLOG_STORE_JSON_CHANGES = True`), so `"None"` is a text.
- `content_types: {"7": hr.employee}`: names for bare numbers in `content_type`.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._contract import ABSENT, SECRET, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import decode, scalar_text, take, take_ip, take_text, take_time
from parsers._rows import row_action
from parsers._secrets import DROPPED, hide_secrets

FORMAT = Format(
    name="django_auditlog",
    module="django",
    vendor="django-auditlog",
    title="django-auditlog entries as JSON",
    missing=("user_agent.original",),
    gives=Gives.of("who when ip session field old new"),
    options={
        "none_is_text": 'true: the text "None" is a value, not null',
        "content_types": "object: number of a content type -> app_label.model",
    },
)
LITERALS = (b'"object_repr"',)

_ACTIONS: Final = {
    "create": "record.create",
    "update": "field.update",
    "delete": "record.delete",
    "access": "record.view",
}
_NUMBERED: Final = ("create", "update", "delete", "access")
_INTERFACES: Final = frozenset(("ui", "api", "import", "automation", "mobile", "sync", "system"))
_MASKED_NULL: Final = "**ne"
"""What `mask_str` of the library makes of `None`; there is no value before a creation and none after a deletion."""
_MAX_PORT: Final = 65_535


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One operation per entry."""
    data = decode(record)
    if isinstance(data, Rejected):
        return data
    if isinstance(data, dict):
        entry = _entry(data, ctx.options)
        return entry if isinstance(entry, Rejected) else [entry]
    if not isinstance(data, list) or not data:
        return Rejected("neither an entry nor a list of entries")
    found: list[Operation] = []
    for position, item in enumerate(data):
        entry = _entry(item, ctx.options)
        if isinstance(entry, Rejected):
            return Rejected(f"entry {position}: {entry.reason}")
        found.append(entry)
    return found


def _entry(data: Any, options: Mapping[str, Any]) -> Operation | Rejected:
    if not isinstance(data, dict):
        return Rejected("not an object")
    row = data.get("fields")
    if isinstance(row, dict) and isinstance(data.get("model"), str):
        number = scalar_text(data.get("pk"))
        outer = {name: value for name, value in data.items() if name not in ("fields", "pk")}
        if number is None and data.get("pk") is not None:
            outer["pk"] = data["pk"]
    else:
        row, outer, number = data, {}, None
    missing = [name for name in ("action", "content_type", "object_repr") if name not in row]
    if missing:
        return Rejected(f"no {missing[0]}")
    if "object_pk" not in row and "object_id" not in row:
        return Rejected("neither object_pk nor object_id")
    verb = _verb(row["action"])
    if verb is None:
        return Rejected("an action that is none of create, update, delete, access")
    del row["action"]
    operation = Operation(action=_ACTIONS[verb], kind="audit", code=verb, raw=row)
    operation.id = number if number is not None else take_text(row, "id")
    operation.time = take_time(row, "timestamp")
    operation.object_id = take_text(row, "object_pk") or take_text(row, "object_id")
    if operation.object_id is not None and scalar_text(row.get("object_id")) == operation.object_id:
        del row["object_id"]
    operation.object_name = take_text(row, "object_repr")
    operation.object_type = _model(row, options)
    _who(row, operation)
    _more(row, operation)
    _values(row, operation, verb, keep_text=options.get("none_is_text") is True)
    if verb != "access":
        operation.action = row_action(verb, operation.object_type, operation.changes)
    for name in [name for name, value in row.items() if value is None or value == ""]:
        del row[name]  # the empty columns of a row: a null there says nothing
    for name, value in outer.items():
        row.setdefault(name, value)
    hide_secrets(operation)
    return operation


def _verb(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if value in ("0", "1", "2", "3"):
            value = int(value)
        else:
            return value.lower() if value.lower() in _ACTIONS else None
    return _NUMBERED[value] if isinstance(value, int) and 0 <= value < len(_NUMBERED) else None


def _model(row: dict[str, Any], options: Mapping[str, Any]) -> str | None:
    """The model's name; `content_type` itself stays in `raw`, since it also names the app."""
    kind = row["content_type"]
    names = options.get("content_types")
    if isinstance(names, Mapping):
        known = names.get(str(kind), names.get(kind) if isinstance(kind, int) else None)
        kind = known if isinstance(known, str) else kind
    if isinstance(kind, dict):
        model = scalar_text(kind.get("model"))
    elif isinstance(kind, list):  # a natural key: [app_label, model]
        model = scalar_text(kind[-1]) if kind else None
    elif isinstance(kind, str) and not kind.isdigit():
        model = kind.rpartition(".")[2].strip().lower() or None
    else:
        serialized = row.get("serialized_data")
        label = serialized.get("model") if isinstance(serialized, dict) else None
        model = label.rpartition(".")[2] if isinstance(label, str) else None
    if model:
        return model
    number = scalar_text(kind)
    return f"contenttype-{number}" if number else None


def _who(row: dict[str, Any], operation: Operation) -> None:
    fields = operation.fields
    actor = row.get("actor")
    if isinstance(actor, dict):
        for target, names in (
            ("user.id", ("id", "pk")),
            ("user.name", ("username", "name")),
            ("user.email", ("email",)),
            ("user.full_name", ("full_name", "get_full_name")),
        ):
            for name in names:
                text = None if target in fields else take_text(row, "actor", name)
                if text is not None:
                    fields[target] = text
    elif isinstance(actor, list):  # a natural key
        if len(actor) == 1 and isinstance(actor[0], str) and actor[0]:
            fields["user.name"] = actor[0]
            del row["actor"]
    elif (text := take_text(row, "actor")) is not None:
        # A number is the primary key, and so is a UUID; what else is text is the user name.
        is_key = not isinstance(actor, str) or text.isdigit() or (len(text) == 36 and text.count("-") == 4)
        fields["user.id" if is_key else "user.name"] = text
    email = None if "user.email" in fields else take_text(row, "actor_email")
    if email is not None:
        fields["user.email"] = email
    elif row.get("actor_email") == fields.get("user.email"):
        row.pop("actor_email", None)
    if fields:
        operation.actor_type = "user"
        operation.actor_confidence = "asserted"


def _more(row: dict[str, Any], operation: Operation) -> None:
    """Where it came from, and what the application added of its own."""
    fields = operation.fields
    address = take_ip(row, "remote_addr")
    if address is not None:
        fields["source.ip"] = address
    port = row.get("remote_port")
    if isinstance(port, int) and not isinstance(port, bool) and 0 <= port <= _MAX_PORT:
        fields["source.port"] = row.pop("remote_port")
    request = take_text(row, "cid")
    if request is not None:
        fields["http.request.id"] = request
    more = row.get("additional_data")
    if isinstance(more, str):
        decoded = decode(more.encode())
        if isinstance(decoded, dict):
            row["additional_data"] = more = decoded
    if not isinstance(more, dict):
        return
    interface = more.get("interface")
    if isinstance(interface, str) and interface in _INTERFACES:
        operation.interface = take(row, "additional_data", "interface")
    for target, name in (
        ("trail.session.id", "session_id"),
        ("http.request.id", "request_id"),
        ("user_agent.original", "user_agent"),
    ):
        text = None if target in fields else take_text(row, "additional_data", name)
        if text is not None:
            fields[target] = text


def _values(row: dict[str, Any], operation: Operation, verb: str, *, keep_text: bool) -> None:
    """Changes of an update; values of a record that was created, deleted or viewed."""
    changes = _changes(row, keep_text=keep_text)
    if verb in ("create", "delete"):
        created = verb == "create"
        unexpected: dict[str, Any] = {}
        for change in changes:
            value, other = (change.new, change.old) if created else (change.old, change.new)
            if value is not None and value is not ABSENT:
                operation.values[change.field] = DROPPED if value is SECRET else value
            if other is not None and other is not ABSENT and other != _MASKED_NULL:
                unexpected[change.field] = [_plain(change.old), _plain(change.new)]
        if unexpected:
            unread = row.get("changes")
            row["changes"] = {**unread, **unexpected} if isinstance(unread, dict) else unexpected
        if not operation.values:
            whole = row.get("serialized_data")
            if isinstance(whole, dict) and isinstance(whole.get("fields"), dict):
                operation.values = take(row, "serialized_data", "fields")
        return
    operation.changes = changes
    operation.no_change = verb == "update" and not (changes or row.get("changes") or row.get("changes_text"))


def _plain(value: Any) -> Any:
    """A side of a change as JSON has it."""
    return None if value is ABSENT else DROPPED if value is SECRET else value


def _changes(row: dict[str, Any], *, keep_text: bool) -> list[Change]:
    """Read `changes` (or the text of older versions); entries of an unknown shape stay in `row`."""
    found: list[Change] = []
    given, name = row.get("changes"), "changes"
    if not given and row.get("changes_text"):
        given, name = row["changes_text"], "changes_text"
    if isinstance(given, str):
        decoded = decode(given.encode())
        if not isinstance(decoded, dict):
            return found
        given = decoded
    if not isinstance(given, dict):
        return found
    left: dict[str, Any] = {}
    for field, value in given.items():
        change = _change(field, value, keep_text=keep_text)
        if change is None:
            left[field] = value
        else:
            found.append(change)
    if name == "changes" and isinstance(row.get("changes_text"), str) and decode(row["changes_text"].encode()) == given:
        del row["changes_text"]  # both columns are filled while an installation moves from the old one to the new
    if left:
        row[name] = left
    else:
        del row[name]
    return found


def _change(field: str, value: Any, *, keep_text: bool) -> Change | None:
    if not field:
        return None
    if isinstance(value, list) and len(value) == 2:
        old, new = value if keep_text else (None if part == "None" else part for part in value)
        if old == new and isinstance(old, str) and "*" in old:
            old = new = SECRET  # the library compares before it masks: the values differ, and do not show it
        return Change(field, old, new)
    if isinstance(value, dict) and value.keys() == {"type", "operation", "objects"} and value["type"] == "m2m":
        if value["operation"] == "add":
            return Change(field, ABSENT, value["objects"])
        if value["operation"] in ("delete", "remove", "clear"):
            return Change(field, value["objects"], ABSENT)
    return None
