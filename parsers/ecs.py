"""Documents that are ECS already: ecs-logging (Python, Java, .NET, Node, Go ...) and any JSON in ECS.

What it records: whatever the application put into ECS fields: the time, usually the logger, the process and the
message, and, where the application adds them, the user, address and HTTP request. ECS has no place for a changed field
of a record, so this source cannot give field, old and new value.

How to get it: `pip install ecs-logging`, `handler.setFormatter(ecs_logging.StdlibFormatter())`, one document a line.

One line in:

```json
{"@timestamp":"2026-03-01T17:04:05.507Z","log.level":"warning","message":"rate limit hit","ecs.version":"1.6.0","log":{"logger":"app"},"user":{"id":"42"},"source":{"ip":"192.0.2.7"}}
```

One event out: `@timestamp`, `message`, `log.level`, `log.logger`, `user.id` and `source.ip` as
given, `event.action` log.message, and `trail.raw` with `ecs.version`, since the event is in our version.

Dotted and nested names mean the same, so `log.level` beside `log: {}` is one object. Where they contradict (a scalar
and an object, or two values), the object or the first value stays, and the other goes to `trail.raw`. Every leaf keeps
its name; a name that ECS 9.4 does not have, or a value that does not fit its type, goes to `trail.raw`. `log.original`
is left out where it repeats `message`, as ecs-logging has it. Secrets, by their names or inside of texts
(`password=…`), become `(secret dropped)`.

`event.action` becomes `event.code`; it stays the action too where it is one of ours (such as `auth.login`). Fields
that say what the event is and how it came here are ours, and what the document has there stays in `trail.raw`:
`event.kind` `event.module` `event.dataset` `event.created` `event.ingested` `event.original` `event.timezone`,
`agent.*`, `data_stream.*`, `seal.*` and `trail.*`, but for `trail.session.id` and `trail.object.type|id|name`, with
which an application can name its session and record (not in a document that comes from another Fieldtrail).

A line is accepted if it is a JSON object with `@timestamp` and `ecs.version`.

Missing: trail.session.id and trail.interface, unless given as above. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from parsers._contract import Context, Format, Gives, Operation, Rejected, Time
from parsers._json import decode, same, scalar_text
from parsers._logged import drop_logged_secrets
from parsers._secrets import DROPPED, hide_secrets, is_secret

FORMAT = Format(
    name="ecs",
    module="ecs",
    vendor="ECS",
    title="ECS JSON (ecs-logging and its like)",
    gives=Gives.of("who when ip session logins"),
)
LITERALS = (b'"ecs.version"', b'"ecs"')

_OURS: Final = frozenset(
    f"event.{name}" for name in ("kind", "module", "dataset", "created", "ingested", "original", "timezone")
)
_OUR_ROOTS: Final = frozenset(("agent", "data_stream", "ecs", "seal", "trail"))
_TRAIL: Final = {
    "trail.object.type": "object_type",
    "trail.object.id": "object_id",
    "trail.object.name": "object_name",
}
# ECS fields that hold an object whose names are free.
_OPEN: Final = frozenset(("labels", "container.labels", "log.syslog.structured_data"))
_NESTED: Final = frozenset((dict, list))
_MAX_PARTS: Final = 24
_MAX_NAME: Final = 256
_USER: Final = ("user.id", "user.name", "user.email")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One operation per document."""
    del ctx
    document = decode(record)
    if isinstance(document, Rejected):
        return document
    if not isinstance(document, dict):
        return Rejected("not a JSON object")
    stamp = document.get("@timestamp")
    if isinstance(stamp, bool) or not isinstance(stamp, (str, int)):
        return Rejected("no @timestamp")
    nested = document.get("ecs")
    if "ecs.version" not in document and not (isinstance(nested, dict) and "version" in nested):
        return Rejected("no ecs.version")
    del document["@timestamp"]
    leaves = _Leaves()
    raw = leaves.flatten(document, "")
    for name, value in leaves.evicted.items():
        _keep(raw, name, value)
    fields = leaves.fields
    operation = Operation(
        action="log.message",
        kind="log",
        # A number is what Elasticsearch's default date format makes of it: milliseconds.
        time=Time(str(stamp)) if isinstance(stamp, str) else Time(stamp, "epoch_ms"),
        fields=fields,
        raw=raw,
    )
    _describe(operation, foreign=any(name.startswith(("trail.schema", "trail.change")) for name in fields))
    drop_logged_secrets(operation)
    return [operation]


def _describe(operation: Operation, *, foreign: bool) -> None:
    """Move what has a place of its own out of the fields, and what is ours to say into `raw`."""
    fields, raw = operation.fields, operation.raw
    message = fields.get("message")
    if isinstance(message, str):
        operation.message = str(message)
        del fields["message"]
        if fields.get("log.original") == message:
            del fields["log.original"]  # ecs-logging says everything twice
    elif message is not None:
        _keep(raw, "message", fields.pop("message"))
    action = fields.pop("event.action", None)
    code = fields.pop("event.code", None)
    if isinstance(action, str) and action:
        operation.action = operation.code = action
        if code is not None:
            _keep(raw, "event.code", code)
    else:
        if action is not None:
            _keep(raw, "event.action", action)
        operation.code = scalar_text(code)
        if code is not None and operation.code is None:
            _keep(raw, "event.code", code)
    number = scalar_text(fields.get("event.id"))
    if number is not None:
        operation.id = number
        del fields["event.id"]
    outcome = fields.get("event.outcome")
    if isinstance(outcome, str):
        operation.outcome = outcome
        del fields["event.outcome"]
    if not foreign:
        for name, attribute in _TRAIL.items():
            text = scalar_text(fields.get(name))
            if text is not None:
                setattr(operation, attribute, text)
                del fields[name]
    for name in [name for name in fields if _is_ours(name)]:
        if name != "trail.session.id" or foreign:
            _keep(raw, name, fields.pop(name))
    if any(name in fields for name in _USER):
        operation.actor_type = "user"
        operation.actor_confidence = "asserted"


@lru_cache(maxsize=8192)
def _is_ours(name: str) -> bool:
    return name in _OURS or name.partition(".")[0] in _OUR_ROOTS


def _keep(raw: dict[str, Any], name: str, value: Any) -> None:
    """Put `value` under its dotted name; a value that stands there already is kept beside it."""
    if name in raw:
        have = raw[name]
        raw[name] = [*have, value] if isinstance(have, list) else [have, value]
    else:
        raw[name] = value


@lru_cache(maxsize=8192)
def _place(name: str) -> tuple[tuple[str, ...] | None, bool]:
    """The names above a dotted one, the outermost first, and whether it is a secret's.

    There are none above a name that is none itself (`a..b`), or too deep.
    """
    parts = name.split(".")
    secret = is_secret(parts[-1])
    if "" in parts or len(parts) > _MAX_PARTS:
        return None, secret
    return tuple(".".join(parts[:count]) for count in range(1, len(parts))), secret


def _hidden(value: Any) -> Any:
    """What stays of a secret; empty values, and whether there is one, tell nothing."""
    return value if value in ("", []) or isinstance(value, bool) else DROPPED


class _Leaves:
    """The leaves of a document by dotted name, and the names above them, so that conflicts are found at once."""

    __slots__ = ("evicted", "fields", "parents")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.parents: set[str] = set()
        self.evicted: dict[str, Any] = {}
        """Scalars whose name turned out to be an object's: no ECS field is both, and the object has the fields."""

    def flatten(self, node: dict[str, Any], prefix: str) -> dict[str, Any]:
        """Take the leaves of `node`; returns what found no place, under its own names."""
        left: dict[str, Any] = {}
        for key, value in node.items():
            name = f"{prefix}.{key}" if prefix else key
            above, secret = _place(name) if len(name) <= _MAX_NAME else (None, False)
            if value is None or above is None:
                left[key] = value
            elif not isinstance(value, dict) or not value:
                if secret and not isinstance(value, dict):
                    value = _hidden(value)  # noqa: PLW2901 - what becomes of it from here on
                elif isinstance(value, list) and not _NESTED.isdisjoint(map(type, value)):
                    hide_secrets(Operation("", "", raw={key: value}))
                if not self._put(name, above, value):
                    left[key] = value
            else:
                rest = self.flatten(value, name)
                if rest:
                    left[key] = rest
        return left

    def _put(self, name: str, above: tuple[str, ...], value: Any) -> bool:
        """Set a leaf unless something else stands there; False where it must stay in `raw`."""
        fields = self.fields
        if name in fields:
            return same(fields[name], value)
        if name in self.parents or value == {}:
            return False
        for parent in above:
            if parent in _OPEN:
                return self._put_open(parent, name[len(parent) + 1 :], value)
            if parent in fields:
                self.evicted[parent] = fields.pop(parent)
        self.parents.update(above)
        fields[name] = value
        return True

    def _put_open(self, holder: str, key: str, value: Any) -> bool:
        """`labels.env` as the member `env` of the object `labels`."""
        members = self.fields.setdefault(holder, {})
        if not isinstance(members, dict):
            self.evicted[holder] = members
            members = self.fields[holder] = {}
        self.parents.add(holder)
        if key in members:
            return same(members[key], value)
        members[key] = value
        return True
