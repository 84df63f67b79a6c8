"""JSON lines of structlog, with the audit facts that an application binds to them.

What it records: the time, level, logger and event text of a log line, and whatever key-value pairs the application
adds. Who, from where, in which session and what changed are known exactly if the application says so under one of the
names below.

How to get it: end the processor chain with `structlog.processors.JSONRenderer()`, and have `add_log_level` and
`TimeStamper(fmt="iso", utc=True)` in it. For changes, log them:

```python
log.info("saved", action="update", object_type="employee", object_id=55, user_id=7, changes={"salary": [90000, 120000]})
```

One line in:

```json
{"event":"employee saved","level":"info","logger":"hr.api","timestamp":"2026-02-03T10:30:00.123456Z","user_id":7,"ip":"192.0.2.10","action":"update","object_type":"employee","object_id":55,"changes":{"salary":[90000,120000]}}
```

One document per change out: `event.action` field.update, `event.code` update, `trail.change.*` salary 90000 -> 120000,
`trail.object.*`, `user.id` 7, `source.ip`, `log.level`, `log.logger`. A line without changes is one activity,
log.message, or the action that `action` names.

| names in the line | go to |
|---|---|
| `timestamp` `ts` `time` | `@timestamp`; ISO 8601, or a number of seconds (larger ones: milli-, microseconds) |
| `event` | `message`; where there are changes, `trail.raw`, since the message then tells the change |
| `level` · `logger` | `log.level` · `log.logger` |
| `user_id` `actor_id` · `username` `user_name` · `user_email` `actor_email` · `user` `actor` | `user.*` (the last two: a name, or an object with id, name, email) |
| `ip` `remote_addr` `client_ip` `ip_address` `remote_ip` `source_ip` | `source.ip` |
| `session_id` `session_key` · `request_id` · `trace_id` · `span_id` · `user_agent` | `trail.session.id` · `http.request.id` · `trace.id` · `span.id` · `user_agent.original` |
| `action` · `object_type` · `object_id` · `object_name` · `outcome` · `interface` | `event.action` (our names, or create, update, delete, view, login, logout, export, import and the like) · `trail.object.*` · `event.outcome` · `trail.interface` |
| `changes` | `{field: [old, new]}`, `{field: {"old": …, "new": …}}`, or `[{"field": …, "old": …, "new": …}]` |
| `exception` `stack` | `error.*` |
| `filename` `lineno` `func_name` `process` `process_name` `thread` `thread_name` | `log.origin.*`, `process.*` |

An `event` such as `auth.login` is taken as the action if nothing else names one. Every other name stays in `trail.raw`.
Secrets, by their names or inside of texts (`password=…`), become `(secret dropped)`.

A line is accepted if it is a JSON object with a text `event` and one of `level`, `logger`, `timestamp` (with the last
alone, only if it has no `type`: that is some service's webhook).

Missing: what the application does not log. Options: none.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import decode, take, take_ip, take_text, take_time
from parsers._logged import drop_logged_secrets

FORMAT = Format(
    name="structlog",
    module="structlog",
    vendor="structlog",
    title="structlog JSON lines",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS = (b'"event"',)

_VERBS: Final = {
    **dict.fromkeys(("create", "created", "insert", "add", "added"), "record.create"),
    **dict.fromkeys(("update", "updated", "edit", "edited", "change", "changed", "modify", "modified"), "field.update"),
    **dict.fromkeys(("delete", "deleted", "remove", "removed", "destroy"), "record.delete"),
    **dict.fromkeys(("view", "viewed", "read", "access", "accessed"), "record.view"),
    **dict.fromkeys(("login", "logged_in"), "auth.login"),
    **dict.fromkeys(("logout", "logged_out"), "auth.logout"),
    **dict.fromkeys(("export", "exported", "download"), "data.export"),
    **dict.fromkeys(("import", "imported"), "data.import"),
}
_action_shape = re.compile(r"[a-z]{1,32}\.[a-z_]{1,32}").fullmatch
_TEXTS: Final = (
    ("user.email", ("user_email", "actor_email")),
    ("trail.session.id", ("session_id", "session_key")),
    ("http.request.id", ("request_id",)),
    ("trace.id", ("trace_id",)),
    ("span.id", ("span_id",)),
    ("user_agent.original", ("user_agent",)),
    ("log.level", ("level",)),
    ("log.logger", ("logger",)),
    ("log.origin.file.name", ("filename",)),
    ("log.origin.function", ("func_name",)),
    ("process.name", ("process_name",)),
    ("process.thread.name", ("thread_name",)),
)
_NUMBERS: Final = (("log.origin.file.line", "lineno"), ("process.pid", "process"), ("process.thread.id", "thread"))
_ADDRESSES: Final = ("ip", "remote_addr", "client_ip", "ip_address", "remote_ip", "source_ip")
_INTERFACES: Final = frozenset(("ui", "api", "import", "automation", "mobile", "sync", "system"))
_FIELD: Final = ("field", "name")
_OLD: Final = ("old", "old_value", "from", "before")
_NEW: Final = ("new", "new_value", "to", "after")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One operation per line."""
    del ctx
    data = decode(record)
    if isinstance(data, Rejected):
        return data
    if not isinstance(data, dict):
        return Rejected("not a JSON object")
    event = data.get("event")
    if not isinstance(event, str):
        return Rejected("no text in event")
    if not (isinstance(data.get("level"), str) or isinstance(data.get("logger"), str)):
        if "timestamp" not in data:
            return Rejected("neither level, logger nor timestamp")
        if "type" in data:  # an event of a webhook names its type, a log line does not
            return Rejected("a typed event without level and logger")
    if "ecs.version" in data or "specversion" in data:
        return Rejected("another format's version mark")
    fields: dict[str, Any] = {}
    operation = Operation(action="log.message", kind="log", fields=fields, raw=data)
    for name in ("timestamp", "ts", "time"):
        operation.time = take_time(data, name)
        if operation.time is not None:
            break
    _who(data, operation)
    for target, names in _TEXTS:
        for name in names:
            text = take_text(data, name) if name in data else None
            if text is not None:
                fields[target] = text
                break
    for target, name in _NUMBERS:
        value = data.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            fields[target] = data.pop(name)
    for name in _ADDRESSES:
        address = take_ip(data, name) if name in data else None
        if address is not None:
            fields["source.ip"] = address
            break
    _error(data, fields)
    operation.object_type = take_text(data, "object_type")
    operation.object_id = take_text(data, "object_id")
    operation.object_name = take_text(data, "object_name")
    if data.get("outcome") in ("success", "failure", "unknown"):
        operation.outcome = data.pop("outcome")
    interface = data.get("interface")
    if isinstance(interface, str) and interface in _INTERFACES:
        operation.interface = data.pop("interface")
    _what(data, operation, event)
    drop_logged_secrets(operation)
    return [operation]


def _who(data: dict[str, Any], operation: Operation) -> None:
    fields = operation.fields
    for name in ("user_id", "actor_id"):
        text = take_text(data, name)
        if text is not None:
            fields["user.id"] = text
            break
    for name in ("username", "user_name"):
        text = take_text(data, name)
        if text is not None:
            fields["user.name"] = text
            break
    for name in ("user", "actor"):
        if name not in data:
            continue
        value = data[name]
        if isinstance(value, dict):
            for target, names in (
                ("user.id", ("id", "pk")),
                ("user.name", ("username", "name")),
                ("user.email", ("email",)),
                ("user.full_name", ("full_name",)),
            ):
                for part in names:
                    text = None if target in fields else take_text(data, name, part)
                    if text is not None:
                        fields[target] = text
        elif isinstance(value, str) and "user.name" not in fields:
            text = take_text(data, name)
            if text is not None:
                fields["user.name"] = text
        elif not isinstance(value, str) and "user.id" not in fields:
            text = take_text(data, name)
            if text is not None:
                fields["user.id"] = text
    if fields or isinstance(data.get("user_email", data.get("actor_email")), str):
        operation.actor_type = "user"
        operation.actor_confidence = "asserted"


def _error(data: dict[str, Any], fields: dict[str, Any]) -> None:
    """`format_exc_info` writes text, `dict_tracebacks` a list of exceptions, the outermost first."""
    exception = data.get("exception")
    if isinstance(exception, str):
        fields["error.stack_trace"] = data.pop("exception")
    elif isinstance(exception, list) and exception and isinstance(exception[0], dict):
        for target, name in (("error.type", "exc_type"), ("error.message", "exc_value")):
            text = take_text(exception[0], name)
            if text is not None:
                fields[target] = text
    if "error.stack_trace" not in fields and isinstance(data.get("stack"), str):
        fields["error.stack_trace"] = data.pop("stack")


def _what(data: dict[str, Any], operation: Operation, event: str) -> None:
    """Action, changes and message."""
    given = "changes" in data
    changes = _changes(data)
    verb = data.get("action")
    if isinstance(verb, str) and verb:
        operation.code = data.pop("action")
        known = _VERBS.get(verb.lower())
        operation.action = known or (verb if not changes or _action_shape(verb) else "field.update")
    elif changes:
        operation.action = "field.update"
    elif _action_shape(event):
        operation.action = operation.code = event
    if changes and operation.action in ("record.create", "record.delete"):
        created = operation.action == "record.create"
        unexpected: dict[str, Any] = {}
        for change in changes:
            value, other = (change.new, change.old) if created else (change.old, change.new)
            if not _is_mark(value):
                operation.values[change.field] = value
            if other is not None and not _is_mark(other):
                unexpected[change.field] = [change.old, change.new]
        if unexpected:
            unread = data.get("changes", {})
            data["changes"] = {**unread, **unexpected} if isinstance(unread, dict) else [*unread, unexpected]
    else:
        operation.changes = changes
    operation.no_change = given and not changes and "changes" not in data and operation.action == "field.update"
    if not changes:
        operation.message = event
        del data["event"]


def _is_mark(value: Any) -> bool:
    return value is ABSENT or value is UNKNOWN


def _changes(data: dict[str, Any]) -> list[Change]:
    """The changes that have a known shape; the others stay in `data`."""
    given = data.get("changes")
    found: list[Change] = []
    if isinstance(given, dict):
        left: Any = {}
        for name, value in given.items():
            change = _pair(name, value)
            if change is None:
                left[name] = value
            else:
                found.append(change)
    elif isinstance(given, list):
        left = []
        for item in given:
            change = _item(item)
            if change is None:
                left.append(item)
            else:
                found.append(change)
    else:
        return found
    if left:
        data["changes"] = left
    else:
        del data["changes"]
    return found


def _pair(name: str, value: Any) -> Change | None:
    if not name:
        return None
    if isinstance(value, list):
        return Change(name, value[0], value[1]) if len(value) == 2 else None
    return _item({**value, "field": name}) if isinstance(value, dict) and not (set(value) & set(_FIELD)) else None


def _item(item: Any) -> Change | None:
    """`{"field", "old", "new"}` under any of their usual names; nothing else may stand beside them."""
    if not isinstance(item, dict):
        return None
    item = dict(item)
    name = next((text for text in (take_text(item, key) for key in _FIELD) if text is not None), None)
    old = next((take(item, key) for key in _OLD if key in item), UNKNOWN)
    new = next((take(item, key) for key in _NEW if key in item), UNKNOWN)
    label = take_text(item, "label")
    if name is None or item or (old is UNKNOWN and new is UNKNOWN):
        return None
    return Change(name, old, new, label=label, derivation="native" if old is not UNKNOWN else "new_only")
