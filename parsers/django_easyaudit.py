r"""django-easy-audit, its three tables as JSON: who changed which record from what to what, logins, and requests.

**What the source records.** `CRUDEvent`: which record was created, changed or deleted, each changed field's old and new
value, many-to-many changes, by whom, when. `LoginEvent`: logins, logouts and failed logins with the IP address.
`RequestEvent`: each request with its URL, user and IP address. A changed record has **no IP address** (only logins and
requests have one), and nothing has a session or a user agent. It does not see `QuerySet.update()` and raw SQL.

**How to get it out.** A timer that writes the rows since the last run, or for a backfill

```sh
manage.py dumpdata easyaudit --natural-foreign --format jsonl
```

Both shapes are read: the row's columns as one object (`CRUDEvent.objects.values()`), and Django's `{"model":
"easyaudit.crudevent", "pk": 1, "fields": {…}}`. Write `content_type` as `"hr.employee"` or with `--natural-foreign`; else
the type of the record is read from `object_json_repr`.

**One line in**: a row in either shape, or an array of rows.

```json
{"id":301,"event_type":2,"object_id":"55","content_type":"hr.employee","object_repr":"Lee R","object_json_repr":"[{\"model\": \"hr.employee\", \"pk\": 55, \"fields\": {\"name\": \"Lee R\", \"salary\": 120000}}]","changed_fields":"{\"salary\": [\"90000\", \"120000\"]}","user_id":7,"user_pk_as_string":"7","datetime":"2026-02-03T10:30:00.123Z"}
{"id":12,"login_type":2,"username":"kim","user_id":null,"remote_ip":"192.0.2.10","datetime":"2026-02-03T10:29:00Z"}
```

**What comes out.** `event.id` is the row's id.

| `event_type` | becomes |
|---|---|
| 1 created, 3 deleted | one `record.create` / `record.delete` with the values of `object_json_repr` |
| 2 updated | one `field.update` per member of `changed_fields`; the rest of `object_json_repr` is in `trail.raw` |
| 6 7 added, 8 9 removed (many-to-many) | one `field.update`: the keys that came, or went |
| 4 5 changed (many-to-many, older versions) | one `field.update` whose old and new value are unknown; the keys in `trail.raw` |
| 10 11 cleared | a `field.update` that cannot name the field |

Of the model `User`: `user.create`, `user.delete`, `role.grant`, `role.revoke`, `user.disable`, `user.enable`,
`password.change` or `user.update`. `LoginEvent`: `auth.login` (a failed one with outcome `failure`) and `auth.logout`.
`RequestEvent`: `http.request`; of the query string the values of parameters such as `token` are dropped.

The library writes all values as text, so that null arrives as `"None"`: it is read as null, unless `object_json_repr`
shows that the new value is that text. Of a foreign key it writes what the other record is called, not its key. The keys
of a many-to-many change it writes as Python prints them (`{'skills': [3]}`). An update whose
`changed_fields` is the text `null` or `{}` changed nothing; where the column itself is null (or there is none, in old
versions) nobody knows, and the record is in `trail.values`.

Missing: `trail.session.id`, `user_agent.original` and `trail.interface` always; `source.ip` of changed records;
`user.id` where the change was made outside a request; `trail.change.*` where nothing names the field. Options: none.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import is_text, peek, read, scalar_text, take, take_ip, take_text, take_time
from parsers._rows import (
    drop_empty,
    each_row,
    from_text,
    kept_text,
    number_of,
    row_action,
    short_name,
)
from parsers._urls import clean_url

FORMAT: Final = Format(
    name="django_easyaudit",
    module="django",
    vendor="django-easy-audit",
    title="django-easy-audit, changes, logins and requests",
    missing=("trail.session.id", "user_agent.original", "trail.interface"),
    gives=Gives.of("who when ip field old new logins"),
)
LITERALS: Final = (b'"event_type"', b'"login_type"', b'"query_string"')

_KINDS: Final = (
    ("crud", ("event_type", "object_id", "datetime")),
    ("login", ("login_type", "username", "remote_ip", "datetime")),
    ("request", ("url", "method", "query_string", "remote_ip", "datetime")),
)
_CREATE: Final = 1
_UPDATE: Final = 2
_DELETE: Final = 3
_VERBS: Final = {_CREATE: "create", _UPDATE: "update", _DELETE: "delete"}
_CODES: Final = (
    "create",
    "update",
    "delete",
    "m2m_change",
    "m2m_change_rev",
    "m2m_add",
    "m2m_add_rev",
    "m2m_remove",
    "m2m_remove_rev",
    "m2m_clear",
    "m2m_clear_rev",
)
_LOGINS: Final = (("auth.login", "success"), ("auth.logout", "success"), ("auth.login", "failure"))
# What `str` makes of `{"skills": [3, 4]}` or `{"skills": ["0b0c8a52-…"]}`: the column is a text, the value was none.
_PRINTED: Final = re.compile(r"\{'(\w{1,100})': \[(.*)\]\}$").match
_PRINTED_KEY: Final = re.compile(r"(-?[0-9]{1,18})|'([^'\\\n]{0,255})'").fullmatch
_LOGIN_CODES: Final = ("login", "logout", "failed")
_USERS: Final = ("user_id", "user", "user_pk_as_string")
_OWN: Final = (*_USERS, "remote_ip", "username", "query_string", "changed_fields", "object_json_repr", "object_repr")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Rows of the three tables, see the module's text."""
    return each_row(read(record), _row)


def _row(data: dict[str, Any]) -> list[Operation] | Rejected:
    row, outer = data, {}
    if isinstance(data.get("fields"), dict) and str(data.get("model")).startswith("easyaudit."):
        row = data["fields"]
        outer = {name: value for name, value in data.items() if name not in {"fields", "pk"}}
        if "pk" in data:
            row.setdefault("id", data["pk"])
    kind = next((kind for kind, names in _KINDS if all(name in row for name in names)), None)
    if kind == "crud" and not {"object_json_repr", "changed_fields", "user_pk_as_string"} & row.keys():
        kind = None
    if kind is None:
        return Rejected("no row of django-easy-audit (CRUDEvent, LoginEvent or RequestEvent with all their columns)")
    op = Operation(action="field.update", kind=kind, raw=row)
    op.id = take_text(row, "id")
    op.time = take_time(row, "datetime")
    _who(op, row)
    address = take_ip(row, "remote_ip")
    if address is not None:
        op.fields["source.ip"] = address
    if kind == "request":
        _request(op, row)
    else:
        refused = _login(op, row) if kind == "login" else _crud(op, row)
        if refused is not None:
            return refused
    drop_empty(row, _OWN)
    for name, value in outer.items():
        row.setdefault(name, value)
    return [op]


def _who(op: Operation, row: dict[str, Any]) -> None:
    for name in _USERS:
        user = row.get(name)
        if isinstance(user, list) and len(user) == 1 and is_text(user[0]):  # a natural key
            op.fields["user.name"] = user[0]
            del row[name]
        elif "user.id" not in op.fields:
            text = take_text(row, name)
            if text is not None:
                op.fields["user.id"] = text
        elif scalar_text(user) == op.fields["user.id"]:
            del row[name]
    if row.get("user_pk_as_string") == "":
        del row["user_pk_as_string"]
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"


def _login(op: Operation, row: dict[str, Any]) -> Rejected | None:
    number = number_of(row["login_type"])
    if number is None or not 0 <= number < len(_LOGINS):
        return Rejected("a login_type that is none of 0, 1, 2")
    del row["login_type"]
    op.action, op.outcome = _LOGINS[number]
    op.code = _LOGIN_CODES[number]
    name = take_text(row, "username")
    if name is not None:
        op.fields["user.name"] = name
        op.actor_type = "user"
        # Whoever failed to log in only gave that name.
        op.actor_confidence = "asserted" if op.outcome == "success" else "unknown"
    return None


def _request(op: Operation, row: dict[str, Any]) -> None:
    op.action = "http.request"
    method, path = take_text(row, "method"), take_text(row, "url")
    if method is not None:
        op.fields["http.request.method"] = method
    if path is not None:
        op.fields["url.path"] = path = clean_url(path)
        op.message = f"{method} {path}" if method is not None else path
    query = take_text(row, "query_string")
    if query is not None:
        op.fields["url.query"] = clean_url(query)
    elif row["query_string"] == "":
        del row["query_string"]


def _crud(op: Operation, row: dict[str, Any]) -> Rejected | None:
    number = number_of(row["event_type"])
    if number is None or not 1 <= number <= len(_CODES):
        return Rejected("an event_type that is none of 1 to 11")
    del row["event_type"]
    op.code, op.outcome = _CODES[number - 1], "success"
    op.object_id = take_text(row, "object_id")
    op.object_name = take_text(row, "object_repr")
    state = _state(op, row)
    op.object_type = _model(row)
    if number == _UPDATE:
        _update(op, row, state)
    elif number in _VERBS:
        op.values = take(row, "object_json_repr", "fields") if state else {}
        if row.get("changed_fields") == "":
            del row["changed_fields"]
    else:
        _many(op, row, op.code)
    op.action = row_action(_VERBS.get(number, "update"), op.object_type, op.changes)
    return None


def _state(op: Operation, row: dict[str, Any]) -> dict[str, Any]:
    """The record's fields after the event, which stay in `row` for now; `{}` where they cannot be read."""
    whole = from_text(row.get("object_json_repr"))
    if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict):
        whole = whole[0]
    if whole in ("", None):
        row.pop("object_json_repr", None)
        return {}
    row["object_json_repr"] = whole
    if not isinstance(whole, dict):
        return {}
    if op.object_id is not None and scalar_text(whole.get("pk")) == op.object_id:
        del whole["pk"]
    fields = whole.get("fields")
    return fields if isinstance(fields, dict) else {}


def _model(row: dict[str, Any]) -> str | None:
    """The model's name; `content_type` itself stays in `raw`, since it also names the app."""
    kind = row.get("content_type")
    if isinstance(kind, list) and kind:  # a natural key: [app_label, model]
        kind = kind[-1]
    label = kind if is_text(kind) and not kind.isdigit() else peek(row, "object_json_repr", "model")
    if is_text(label) and label.strip():
        return short_name(label).lower()
    number = scalar_text(kind) or scalar_text(row.get("content_type_id"))
    return f"contenttype-{number}" if number else None


def _told(row: dict[str, Any]) -> Any:
    """What `changed_fields` holds; versions that made it a JSON column still put JSON text into it."""
    given = row.get("changed_fields")
    value = _printed(given) if is_text(given) and given.startswith("{'") else from_text(from_text(given))
    if "changed_fields" in row:
        row["changed_fields"] = value
    # SQL's null says nothing, JSON's says that nothing changed.
    return {} if value is None and given is not None else value


def _printed(text: str) -> Any:
    """The keys of a many-to-many change as Python printed them; the text itself where it is anything else."""
    found = _PRINTED(text)
    keys = [_PRINTED_KEY(part) for part in found[2].split(", ")] if found and found[2] else []
    if found is None or None in keys:
        return kept_text(text)
    return {found[1]: [int(key[1]) if key[1] else key[2] for key in keys if key is not None]}


def _update(op: Operation, row: dict[str, Any], state: dict[str, Any]) -> None:
    told = _told(row)
    if told == {}:
        op.no_change = True
        del row["changed_fields"]
        return
    pairs = {}
    if isinstance(told, dict):
        pairs = {name: value for name, value in told.items() if name and isinstance(value, list) and len(value) == 2}
    if not pairs:
        op.missing = CHANGE_NOT_TOLD
        if state:
            op.values = take(row, "object_json_repr", "fields")
        return
    for name, pair in pairs.items():
        old, new = (None if part == "None" else part for part in pair)
        if new is None and state.get(name) == "None":
            new = "None"
        op.changes.append(Change(name, old, new))
        take(row, "changed_fields", name)
        if name in state and str(state[name]) == str(new):
            take(row, "object_json_repr", "fields", name)


def _many(op: Operation, row: dict[str, Any], code: str) -> None:
    told = _told(row)
    if not isinstance(told, dict) or not told or "clear" in code:
        op.missing = CHANGE_NOT_TOLD
        if told in ([], {}):
            row.pop("changed_fields", None)
        return
    for name, keys in list(told.items()):
        if not name:
            continue
        if "add" in code:
            op.changes.append(Change(name, ABSENT, keys))
        elif "remove" in code:
            op.changes.append(Change(name, keys, ABSENT))
        else:
            op.changes.append(Change(name))  # the keys that came or went: the row does not say which
            continue
        take(row, "changed_fields", name)
