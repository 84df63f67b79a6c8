r"""PostgreSQL, wal2json: which column of which row changed, from what to what, as the write-ahead log has it.

**What the source records.** Each row that was inserted, updated or deleted, with the transaction's id and time where the
plugin is told to give them. It knows **no user, no IP address, no session**: it sees what the database wrote, whoever
asked for it, raw SQL included. Old values only of tables with `REPLICA IDENTITY FULL`; with the default only the primary
key's. Updates and deletes of a table that has neither a primary key nor a replica identity are not written at all.

**How to get it out.** `wal_level = logical`, a slot, and

```sh
pg_recvlogical -d hr --slot fieldtrail --create-slot -P wal2json
pg_recvlogical -d hr --slot fieldtrail --start -f changes.json \
  -o format-version=2 -o include-xids=1 -o include-timestamp=1 -o include-lsn=1 -o include-pk=1
```

and for each table whose old values you want `ALTER TABLE employee REPLICA IDENTITY FULL`. A slot that nobody reads keeps
the log's files until the disk is full. Prefer format version 2: version 1 says nothing of a TRUNCATE (the transaction is
empty), and of tables with `REPLICA IDENTITY FULL` neither the primary key nor an old value that was null (which is told
only where more than three columns, or else all that differ from null, have an old value). In format version 2 the time stands only on the rows, where it is given
(`include-timestamp`), and a large value that did not change is left out.

**One line in**: a transaction (format version 1), a row (format version 2), or a row of `pg_logical_slot_get_changes` as
JSON (`{"lsn": …, "xid": …, "data": …}`); an array of them.

```json
{"action":"U","xid":571,"timestamp":"2026-02-03 10:30:00.123456+00","lsn":"0/16E8F28","schema":"public","table":"employee","columns":[{"name":"id","type":"integer","value":55},{"name":"name","type":"text","value":"Lee R"},{"name":"salary","type":"integer","value":120000}],"identity":[{"name":"id","type":"integer","value":55},{"name":"name","type":"text","value":"Lee R"},{"name":"salary","type":"integer","value":90000}],"pk":[{"name":"id","type":"integer"}]}
{"change":[{"kind":"update","schema":"public","table":"employee","columnnames":["id","salary"],"columntypes":["integer","integer"],"columnvalues":[55,120000],"oldkeys":{"keynames":["id"],"keytypes":["integer"],"keyvalues":[55]}}]}
```

**What comes out.** One operation per row; `event.code` is the action or kind, `event.id` the transaction's id, which all its
rows share. The record is the table and the primary key (`include-pk`), else the replica identity, else the column `id`.

- insert, delete: one `record.create` / `record.delete` with the row, or of a deleted one what the identity holds.
- update, where the identity holds all columns: one `field.update` per column that differs; the rest in `trail.raw`.
- update, where it holds only a key: a key that changed is one `field.update`; which other columns changed nobody says, so
  the row as it is now is in `trail.values`.
- truncate: one `record.purge` of the whole table. Message (`pg_logical_emit_message`): `log.message`.
- begin, commit, and a transaction without rows are counted only.

Columns and identity are in `trail.raw` as name -> value, their types as one text (`id integer, name
text`), what the plugin says beyond that (`include-not-null` and the like) as `more`. Of a table of users nothing
but its rows is told: `field.update`, not `user.update`.

Missing: `user.id`, `source.ip`, `trail.session.id`, `user_agent.original`, `trail.interface` always; of an update whose old
values are unknown `trail.change.field`, `.old` and `.new`.

Options:

- `keys: {employee: [employee_id]}`: columns of a table's key, where the lines do not say them.
- `last_editor: updated_by`: the column in which the application notes who saved the row; it becomes
  `trail.object.last_editor`, which is a hint and no author: a program that forgets the column leaves the old name there.
- `each_column: true`: an update without old values becomes one change per column (`new_only`), though most did not change.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._contract import Context, Format, Gives, Operation, Rejected
from parsers._json import is_text, read, scalar_text, take_text, take_time
from parsers._rows import (
    compare,
    each_row,
    from_text,
    kept_text,
    key_columns,
    key_text,
    set_last_editor,
    set_new_row,
)
from parsers._secrets import is_secret

FORMAT: Final = Format(
    name="wal2json",
    module="postgresql",
    vendor="PostgreSQL",
    title="PostgreSQL, rows from the write-ahead log by wal2json",
    missing=("user.id", "source.ip", "trail.session.id", "user_agent.original", "trail.interface"),
    gives=Gives.of("when field old new"),
    options={
        "keys": "object: table -> columns of its key",
        "last_editor": "column that names who saved the row last",
        "each_column": "true: an update without old values is one change per column",
    },
)
LITERALS: Final = (b'"action"', b'"change"', b'\\"action\\"', b'\\"change\\"')

_ACTIONS: Final = {
    "I": "record.create",
    "insert": "record.create",
    "U": "field.update",
    "update": "field.update",
    "D": "record.delete",
    "delete": "record.delete",
    "T": "record.purge",
    "truncate": "record.purge",
    "M": "log.message",
    "message": "log.message",
}
_WIDEST_KEY: Final = 3
"""Columns of the identity of a deleted row that may be its key; more are likely the whole row."""
_ENDS: Final = frozenset({"action", "xid", "timestamp", "lsn", "nextlsn", "origin"})
_REASON: Final = (
    "no line of wal2json (change with kind, schema and table; or action, schema, table, columns or identity)"
)


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """Transactions or rows, see the module's text."""
    options = ctx.options

    def one(item: dict[str, Any]) -> list[Operation] | Rejected:
        return _item(item, options)

    return each_row(read(record), one)


def _item(item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation] | Rejected:
    outer: dict[str, Any] = {}
    if is_text(item.get("data")) and "lsn" in item:
        inner = from_text(item["data"])
        if not isinstance(inner, dict):
            return Rejected(_REASON)
        outer = {name: value for name, value in item.items() if name != "data"}
        item = inner
        # The slot's own columns say the same as the line where it says it at all.
        item.setdefault("xid", outer.pop("xid", None))
    changes = item.get("change")
    if isinstance(changes, list):
        return _transaction(item, changes, outer, options)
    action = item.get("action")
    if action in ("B", "C") and item.keys() <= _ENDS:
        return [Operation(action="log.message", kind="change", code=str(action), no_change=True)]
    if not _is_row(item, "action"):
        return Rejected(_REASON)
    op = Operation(action="field.update", kind="change", code=item.pop("action"), outcome="success")
    op.id = take_text(item, "xid")
    op.time = take_time(item, "timestamp")
    if item.get("xid", "") is None:
        del item["xid"]
    more: list[Any] = []
    old = _named(item.pop("identity", None), more)
    new = _named(item.pop("columns", None), more)
    key = _named(item.pop("pk", None), more)[0]
    _row(op, item, (old, new, list(key)), options)
    if more:
        item["more"] = more
    op.raw = {**outer, **item}
    return [op]


def _is_row(row: Any, verb: str) -> bool:
    if not isinstance(row, dict) or not is_text(row.get(verb)) or row[verb] not in _ACTIONS:
        return False
    if _ACTIONS[row[verb]] == "log.message":
        return "prefix" in row and "content" in row
    return (
        is_text(row.get("table"))
        and ("schema" in row or "columns" in row or "columnnames" in row)
        and _is_even(row, "column")
        and _is_even(row.get("oldkeys"), "key")
    )


def _is_even(source: Any, what: str) -> bool:
    """Whether each name has its value; there may be neither."""
    if not isinstance(source, dict):
        return True
    names, values = source.get(f"{what}names", []), source.get(f"{what}values", [])
    return (
        isinstance(names, list)
        and isinstance(values, list)
        and len(names) == len(values)
        and all(is_text(name) for name in names)
    )


def _transaction(
    item: dict[str, Any], changes: list[Any], outer: dict[str, Any], options: Mapping[str, Any]
) -> list[Operation] | Rejected:
    """Format version 1: all rows of a transaction on one line."""
    if not all(_is_row(change, "kind") for change in changes):
        return Rejected(_REASON)
    if not changes and not item.keys() <= {"change", *_ENDS}:
        return Rejected(_REASON)
    del item["change"]
    number, time = take_text(item, "xid"), take_time(item, "timestamp")
    if item.get("xid", "") is None:
        del item["xid"]
    if not changes:
        return [Operation(action="log.message", kind="change", code="change", no_change=True, raw={**outer, **item})]
    found = []
    for change in changes:
        op = Operation(action="field.update", kind="change", code=change.pop("kind"), outcome="success")
        op.id, op.time = number, time
        keys = change.pop("oldkeys") if isinstance(change.get("oldkeys"), dict) else {}
        key = change.pop("pk") if isinstance(change.get("pk"), dict) else {}
        names = key.get("pknames")
        primary = [name for name in names if is_text(name)] if isinstance(names, list) else []
        new = _listed(change, "column")
        old = _with_nulls(_listed(keys, "key"), new, primary)
        _row(op, change, (old, new, primary), options)
        op.raw = change
        found.append(op)
    found[0].raw = {**outer, **item, **found[0].raw}
    return found


_Named = tuple[dict[str, Any], dict[str, Any]]
"""Columns: name -> value, name -> type."""


def _named(columns: Any, more: list[Any]) -> _Named:
    """Columns of format version 2; what they say beyond name, type and value is added to `more`."""
    values: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for column in columns if isinstance(columns, list) else ():
        if not isinstance(column, dict) or not is_text(column.get("name")):
            more.append(column)
            continue
        name = column.pop("name")
        values[name] = column.pop("value", None)
        if "type" in column:
            types[name] = column.pop("type")
        if column and not is_secret(name):
            more.append({"name": name, **column})
    return values, types


def _listed(source: dict[str, Any], what: str) -> _Named:
    names, values = source.pop(f"{what}names", []), source.pop(f"{what}values", [])
    types = source.pop(f"{what}types", None)
    return (
        dict(zip(names, values, strict=True)),
        dict(zip(names, types, strict=False)) if isinstance(types, list) else {},
    )


def _with_nulls(identity: _Named, columns: _Named, primary: list[str]) -> _Named:
    """A full identity with what was null in it, which version 1 leaves out; one that may be but a key is left alone."""
    old, new = identity[0], columns[0]
    left_out = new.keys() - old.keys()
    if not old or not left_out or old.keys() <= set(primary):
        return identity
    many = len(old) > _WIDEST_KEY and len(old) >= len(left_out)
    if many or (len(old) > 1 and all(new[name] is None for name in left_out)):
        return {**dict.fromkeys(left_out), **old}, identity[1]
    return identity


def _row(
    op: Operation, row: dict[str, Any], columns: tuple[_Named, _Named, list[str]], options: Mapping[str, Any]
) -> None:
    (old, old_types), (new, types), primary = columns
    op.action = _ACTIONS[str(op.code)]
    if op.action == "log.message":
        _message(op, row)
        return
    table = take_text(row, "table")
    op.object_type = op.object_label = table
    whole = bool(new) and old.keys() >= new.keys()
    op.object_id = key_text(new or old, primary or key_columns(options, table, "") or _identity(old, new, whole=whole))
    set_last_editor(op, new or old, options)
    if op.action == "record.purge":
        schema = scalar_text(row.get("schema"))
        op.message = f"all rows of {schema}.{table} were deleted (TRUNCATE)" if schema else None
    elif op.action != "field.update":
        op.values = new or old
    else:
        # A large value that did not change is in the identity alone, and is no change.
        op.changes, rest = compare({name: old[name] for name in old if name in new}, new, old_is_whole=False)
        if whole:
            op.no_change = not op.changes
            left_out = {name: value for name, value in old.items() if name not in new}
            row |= {name: part for name, part in (("columns", rest), ("identity", left_out)) if part}
        elif op.changes:
            op.values, op.missing = rest, ()
        else:
            set_new_row(op, rest, options, old)
    types = {**old_types, **types}
    if types:
        row["types"] = ", ".join(f"{name} {kind}" for name, kind in types.items())


def _identity(old: dict[str, Any], new: dict[str, Any], *, whole: bool) -> list[str]:
    """The columns that the replica identity names as the key; a whole row is none, but for its column `id`."""
    if new and old and not whole and not ("id" in old and len(old) >= _WIDEST_KEY):
        return [name for name in old if not is_secret(name)]
    if "id" in (new or old):
        return ["id"]
    return [name for name in old if not is_secret(name)] if not new and len(old) <= _WIDEST_KEY else []


def _message(op: Operation, row: dict[str, Any]) -> None:
    content = from_text(row["content"])
    if is_text(content):
        op.message = kept_text(content)
        del row["content"]
    else:
        row["content"] = content
