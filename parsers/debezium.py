r"""Debezium, change events of a database: which column of which row changed, from what to what.

**What the source records.** Each row that was inserted, updated or deleted in the tables that a connector watches, with
the time of the transaction, its id, and the place in the database's log. It knows **no user of the application, no IP
address, no session**: it sees what the database wrote, whoever asked for it, raw SQL included. (Oracle names the
database account.) Old values depend on the database: MySQL, MariaDB, SQL Server and Oracle give them; PostgreSQL only
after `ALTER TABLE … REPLICA IDENTITY FULL` (not `USING INDEX`: its other columns look as though they were null before);
MongoDB only with pre-images and `capture.mode=change_streams_update_full_with_pre_image`.

**How to get it out.** From the topics into a file, one event per line: `kcat -C -t hr.public.employee -J` (topic, key and
payload), a consumer of your own that writes `{"key": …, "value": …}`, or Debezium Server's HTTP sink. Set
`value.converter.schemas.enable=false` and `key.converter.schemas.enable=false`, else each line carries its schema (which
is kept in `trail.raw`), and `decimal.handling.mode=string`, else decimal numbers come as bytes in base64.

**One line in**: the envelope alone, with `schema` and `payload`, beside its `key`, or as kcat's JSON; an array of them.

```json
{"key":{"id":55},"value":{"before":{"id":55,"name":"Lee R","salary":90000},"after":{"id":55,"name":"Lee R","salary":120000},"source":{"version":"3.0.0.Final","connector":"postgresql","name":"hr","ts_ms":1770114600123,"snapshot":"false","db":"hr","schema":"public","table":"employee","txId":571,"lsn":24023128},"op":"u","ts_ms":1770114600487,"transaction":null}}
```

**What comes out.** `event.code` is `op`; `event.id` the transaction's id, which all its rows share. The record is the
table (or collection) and the key, without a key the column `id`.

| `op` | becomes |
|---|---|
| `c`, `d` | one `record.create` / `record.delete` with the row in `trail.values` |
| `u` with `before` | one `field.update` per column that differs; what did not change is in `trail.raw` |
| `u` without `before` | one `field.update` without `trail.change`, the row as it is now in `trail.values`: which columns changed nobody says |
| `u` of MongoDB without `before` | one `field.update` per updated or removed field, the old value unknown (`new_only`) |
| `t` | one `record.purge` of the whole table |
| `m` (logical decoding message) | `log.message` |
| `r` (snapshot), a tombstone (`null`), the ends of transactions | counted only: nothing changed |

An event of the schema topic (`ddl`) is a `config.update`; passwords in its SQL are dropped. A large value that
PostgreSQL or Oracle left out because it did not change (`__debezium_unavailable_value`) is no change. MongoDB's
`{"$oid": …}`, `{"$date": …}` and `{"$numberLong": …}` become plain values. Of a table of users nothing but its rows is
told: `field.update`, not `user.update`. Field names are those of Debezium's documentation for versions 2 and 3; those of
less common connectors are not confirmed.

Missing: `source.ip`, `trail.session.id`, `user_agent.original`, `trail.interface` always, `user.id` but for a database
account; of a `u` without `before` `trail.change.field`, `.old` and `.new`.

Options:

- `keys: {employee: [employee_id]}`: columns of a table's key, for events that come without their key.
- `last_editor: updated_by`: the column in which the application notes who saved the row; it becomes
  `trail.object.last_editor`, which is a hint and no author: a program that forgets the column leaves the old name there.
- `each_column: true`: a `u` without `before` becomes one change per column (`new_only`), though most did not change.
"""  # noqa: E501 - a table row and a log line have no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._commands import clean_sql
from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import Number, is_text, peek, read, scalar_text, take_text, take_time
from parsers._rows import (
    compare,
    each_row,
    from_text,
    key_columns,
    key_text,
    set_last_editor,
    set_new_row,
)
from parsers._secrets import is_secret

FORMAT: Final = Format(
    name="debezium",
    module="debezium",
    vendor="Debezium",
    title="Debezium, change events of a database",
    missing=("user.id", "source.ip", "trail.session.id", "user_agent.original", "trail.interface"),
    gives=Gives.of("when field old new", "who"),
    options={
        "keys": "object: table -> columns of its key",
        "last_editor": "column that names who saved the row last",
        "each_column": "true: an update without old values is one change per column",
    },
)
LITERALS: Final = (b"source", b"event_count", b"null")

_ACTIONS: Final = {
    "c": "record.create",
    "u": "field.update",
    "d": "record.delete",
    "r": "record.view",
    "t": "record.purge",
    "m": "log.message",
}
_WRAPPERS: Final = ("payload", "value")
_UNAVAILABLE: Final = "__debezium_unavailable_value"
_NUMBERS: Final = frozenset({"$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"})
_DEEPEST: Final = 64


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """Change events, see the module's text."""
    options = ctx.options
    if record.strip() == b"null":
        return [_tombstone()]

    def one(item: dict[str, Any]) -> list[Operation] | Rejected:
        return _item(item, options)

    return each_row(read(record), one)


def _tombstone() -> Operation:
    return Operation(action="record.delete", kind="change", code="tombstone", no_change=True)


def _item(item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation] | Rejected:
    outer: dict[str, Any] = {}
    key: Any = None
    inner = item
    for _ in range(3):
        name = next((name for name in _WRAPPERS if name in inner), None)
        if name is None or "op" in inner or "ddl" in inner:
            break
        value = from_text(inner[name])
        if value is None and ("topic" in inner or inner.keys() <= {"key", *_WRAPPERS}) and "key" in inner:
            op = _tombstone()
            op.raw = inner
            return [op]
        if not isinstance(value, dict):
            break
        if "key" in inner:
            key = from_text(inner.pop("key"))
            if isinstance(key, dict) and isinstance(key.get("payload"), dict) and "schema" in key:
                outer["key"] = {"schema": key["schema"]}
                key = key["payload"]
        outer |= {member: part for member, part in inner.items() if member != name}
        inner = value
    source = inner.get("source")
    if isinstance(source, dict) and is_text(source.get("connector")):
        code = inner.get("op")
        states = "after" in inner or "before" in inner or code in ("t", "m")
        if is_text(code) and code in _ACTIONS and states:
            return [_event(inner, source, key, outer, options)]
        if is_text(inner.get("ddl")):
            return [_schema(inner, source, key, outer)]
    if inner.get("status") in ("BEGIN", "END") and {"id", "event_count", "data_collections"} <= inner.keys():
        return [Operation(action="log.message", kind="transaction", code=inner["status"], raw=inner, no_change=True)]
    return Rejected("no change event of Debezium (op, before or after, and source.connector are needed)")


def _schema(event: dict[str, Any], source: dict[str, Any], key: Any, outer: dict[str, Any]) -> Operation:
    """A statement that changed the database's schema."""
    op = Operation(action="config.update", kind="schema", code="ddl", object_type="database")
    _common(op, event, source)
    op.object_name = take_text(event, "databaseName")
    event["ddl"] = clean_sql(event["ddl"])
    op.raw = {**outer, **({} if key is None else {"key": key}), **event}
    return op


def _common(op: Operation, event: dict[str, Any], source: dict[str, Any]) -> None:
    op.outcome = "success"
    op.time = take_time(source, "ts_us") or take_time(source, "ts_ms") or take_time(event, "ts_ms")
    op.id = take_text(event, "transaction", "id") or take_text(source, "txId") or take_text(source, "gtid")
    if event.get("transaction", ABSENT) is None:
        del event["transaction"]
    account = take_text(source, "user_name")
    if account is not None:
        op.fields["user.name"] = account
        op.actor_type, op.actor_confidence = "user", "asserted"
    for name in ("query", "redo_sql"):
        if is_text(source.get(name)):
            source[name] = clean_sql(source[name])


def _event(
    event: dict[str, Any], source: dict[str, Any], key: Any, outer: dict[str, Any], options: Mapping[str, Any]
) -> Operation:
    code = event.pop("op")
    op = Operation(action=_ACTIONS[code], kind="change", code=code)
    _common(op, event, source)
    table = take_text(source, "table") or take_text(source, "collection")
    op.object_type = op.object_label = table
    before, after = _state(event, "before"), _state(event, "after")
    named = _key(key, before, after, table, options)
    op.object_id = key_text(named, named)
    if op.object_id is None and key is not None:
        outer["key"] = {**outer["key"], "payload": key} if "key" in outer else key
    row = after if after is not None else before
    if row is not None:
        set_last_editor(op, row, options)
    if code in {"c", "r"}:
        op.values, op.no_change = after or {}, code == "r"
    elif code == "d":
        op.values = before or {}
    elif code == "u":
        _update(op, event, before, after, (named, options))
    elif code == "t" and table is not None:
        schema = scalar_text(source.get("schema")) or scalar_text(source.get("db"))
        op.message = f"all rows of {schema}.{table} were deleted (TRUNCATE)" if schema else None
    op.raw = {**outer, **event}
    return op


def _state(event: dict[str, Any], side: str) -> dict[str, Any] | None:
    """Pop one state of the row; what is none stays, but for null, which says that there is none."""
    given = event.get(side)
    value = from_text(given)
    if isinstance(value, dict):
        del event[side]
        return {name: _plain(member) for name, member in value.items()} if is_text(given) else value
    if value is None:
        event.pop(side, None)
    else:
        event[side] = value
    return None


def _plain(value: Any, depth: int = 0) -> Any:
    """MongoDB's extended JSON as plain values."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [_plain(part, depth + 1) for part in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, inner),) = value.items()
        if name in _NUMBERS and is_text(inner):
            return Number(inner)
        if name in {"$oid", "$date"}:
            return _plain(inner, depth + 1)
    return {name: _plain(part, depth + 1) for name, part in value.items()}


def _key(
    key: Any,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    table: str | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The columns of the row's key with their values, from the message's key or else from the row."""
    if isinstance(key, dict) and key:
        plain = {name: value for name, value in key.items() if not is_secret(name)}  # what a key should never hold
        return {name: _plain(from_text(value)) if name == "id" else value for name, value in plain.items()}
    row = after or before or {}
    usual = next((name for name in row if name.lower() in {"id", "_id"}), "id")
    return {name: row.get(name) for name in key_columns(options, table, usual)}


def _update(
    op: Operation,
    event: dict[str, Any],
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    more: tuple[dict[str, Any], Mapping[str, Any]],
) -> None:
    key, options = more
    if before and after is not None:
        left_out = [name for name, value in after.items() if value == _UNAVAILABLE]
        kept = {name: after.pop(name) for name in left_out}
        for name in left_out:
            before.pop(name, None)
        op.changes, rest = compare(before, after)
        op.no_change = not op.changes
        if rest or kept:
            event["after"] = {**rest, **kept}
        event.pop("updateDescription", None)
    elif isinstance(peek(event, "updateDescription"), dict):
        _described(op, event, after or {})
    elif after is not None:
        set_new_row(op, after, options, key)


def _described(op: Operation, event: dict[str, Any], after: dict[str, Any]) -> None:
    """MongoDB: the fields that were set or removed, by their paths, without their old values."""
    told = event["updateDescription"]
    updated = from_text(told.get("updatedFields"))
    if isinstance(updated, dict):
        del told["updatedFields"]
        for name, value in updated.items():
            if name:
                op.changes.append(Change(name, UNKNOWN, _plain(value), derivation="new_only"))
                after.pop(name, None)
    removed = told.get("removedFields")
    if isinstance(removed, list) and all(is_text(name) and name for name in removed):
        del told["removedFields"]
        op.changes += [Change(name, UNKNOWN, ABSENT, derivation="new_only") for name in removed]
    for name in [name for name, value in told.items() if value is None]:
        del told[name]
    if not told:
        del event["updateDescription"]
    if after:
        event["after"] = after
