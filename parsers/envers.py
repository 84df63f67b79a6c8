"""Hibernate Envers, rows of `*_AUD` tables joined with `REVINFO`: who changed which entity, and what it became.

**What the source records.** The whole row of an audited entity after each revision: the revision (`REV`), what was done
(`REVTYPE` 0 added, 1 modified, 2 deleted) and, in `REVINFO`, when (`REVTSTMP`). A user or an address only if the
application has a revision entity of its own with such columns. **No old value**: the change is the difference to the
row of the revision before; with `withModifiedFlag` columns `<field>_MOD` say at least which fields changed. It does not
see HQL and SQL updates.

**How to get it out.** A query per audited table that joins `REVINFO`, each row as JSON to a file, run by a timer. Give the
columns of your revision entity names that begin with `rev_`, so that they cannot be mistaken for the entity's own:

```sql
SELECT row_to_json(page) FROM (
  SELECT a.*, r.revtstmp, r.username AS rev_username, r.ip AS rev_ip
  FROM employee_aud a JOIN revinfo r ON r.rev = a.rev WHERE a.rev > :after ORDER BY a.id, a.rev) page;
```

To have old values, write pairs `{"entity": "Employee", "previous": {…}, "row": {…}}` (the row before by `LAG` or a second
query), or whole histories as `{"entity": "Employee", "rows": […]}`.

**One line in**: a pair, a history, a bare row, or an array of rows. The case of column names does not matter.

```json
{"entity":"Employee","previous":{"id":55,"REV":100,"REVTYPE":0,"REVTSTMP":1770114000000,"name":"Lee R","salary":90000},"row":{"id":55,"REV":101,"REVTYPE":1,"REVTSTMP":1770114600000,"rev_username":"kim","rev_ip":"192.0.2.10","name":"Lee R","salary":120000}}
```

**What comes out.** `event.id` is the revision, which all entities of one transaction share; `event.code` is `REVTYPE`.

- added, deleted: one `record.create` / `record.delete` with the row in `trail.values` (of a deleted entity Envers keeps
  only the id, but with `store_data_at_delete`); of the entity `User` `user.create` / `user.delete`.
- modified: rows of one entity and id in one history or array are put in the order of `REV` and compared with the one
  before: one `field.update` per field, derivation `reconstructed`. So no revision may be left out between them; where
  the rows have `REVEND` and it names another revision, they are not compared.
- modified, with no row before it: with `_MOD` columns one `field.update` per field whose flag is true (derivation
  `new_only`), else one without `trail.change`. What is not in a change is in `trail.values`.
- Of the entity `User`: `role.grant`, `role.revoke`, `user.disable`, `user.enable`, `password.change`, `user.update`.

Who: `rev_user_id`, `rev_userid`, `rev_username`, `rev_user_name`, `rev_user`, `rev_author`, `rev_modified_by`,
`rev_email`, or members of an object `REVINFO` without the prefix; from where: `rev_ip`, `rev_ip_address`,
`rev_remote_address`; `rev_session_id`. Envers' own column names are its defaults (not confirmed for your settings).

Missing: `trail.interface`, `user_agent.original` always; `user.id`, `source.ip`, `trail.session.id` where the revision
entity has no such column; of a modified row alone `trail.change.field` (without `_MOD`), `.old` and `.new`.

Options:

- `entity: Employee`: the entity of rows that do not say it.
- `key: employee_id`: the column of the id, where it is not `id`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import Items, read, scalar_text, take_ip, take_text, take_time
from parsers._rows import (
    compare,
    drop_empty,
    each_row,
    number_of,
    row_action,
    set_object,
    set_person,
    take_fields,
)

FORMAT: Final = Format(
    name="envers",
    module="hibernate",
    vendor="Hibernate Envers",
    title="Hibernate Envers, rows of audit tables",
    missing=("trail.interface", "user_agent.original"),
    gives=Gives.of("who when ip session new", "field old"),
    options={
        "entity": "entity of rows that do not say it",
        "key": "column of the id, where it is not id",
    },
)
LITERALS: Final = (b'"REVTYPE"', b'"revtype"', b'"RevType"', b'"revType"')

_TYPES: Final = {
    "0": ("create", "0"),
    "1": ("update", "1"),
    "2": ("delete", "2"),
    "ADD": ("create", "ADD"),
    "MOD": ("update", "MOD"),
    "DEL": ("delete", "DEL"),
}
_OWN: Final = frozenset({"rev", "revtype", "revtstmp", "revend", "revend_tstmp", "revinfo"})
_PEOPLE: Final = ("user_id", "userid", "username", "user_name", "user", "author", "modified_by", "email")
_ADDRESSES: Final = ("ip", "ip_address", "remote_address")
_FLAG: Final = "_mod"


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """Rows of audit tables, see the module's text."""
    options = ctx.options
    found = read(record)
    if not isinstance(found, Rejected) and len(found.items) > 1 and all(_is_row(item) for item in found.items):
        # A page of rows is one history, so that each can be compared with the one before it.
        found = Items([{"rows": found.items}], {})

    def one(item: dict[str, Any]) -> list[Operation] | Rejected:
        return _item(item, options)

    return each_row(found, one)


def _columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Names of Envers' own columns in lower case -> as written."""
    return {name.lower(): name for name in row if name.lower() in _OWN or name.lower().startswith("rev_")}


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    names = {name.lower(): name for name in value}
    return "rev" in names and "revtype" in names and str(value[names["revtype"]]) in _TYPES


def _item(item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation] | Rejected:
    rows = item.get("rows")
    if isinstance(rows, list) and rows and all(_is_row(row) for row in rows):
        del item["rows"]
        return _history(rows, item, options)
    if _is_row(item.get("row")):
        row, previous = item.pop("row"), item.get("previous")
        if not isinstance(previous, dict) or not _is_row(previous):
            return [_operation(row, item, options)]
        del item["previous"]
        state, own = _split(previous)
        op = _operation(row, item, options, state if _follows(own, row) else None)
        op.raw["previous"] = own if op.changes or op.no_change else {**own, **state}
        return [op]
    if _is_row(item):
        return [_operation(item, {}, options)]
    return Rejected("no row of an Envers audit table (REV and REVTYPE 0, 1, 2 are needed)")


def _split(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entity's columns, and Envers' own; flags are left out."""
    own = _columns(row)
    kept = own.values()
    state = {name: value for name, value in row.items() if name not in kept and not _is_flag(name, row)}
    return state, {name: row[name] for name in kept}


def _is_flag(name: str, row: Mapping[str, Any]) -> bool:
    return name.lower().endswith(_FLAG) and isinstance(row[name], bool | int) and name[: -len(_FLAG)] in row


def _follows(previous: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the row is the revision right after another: `REVEND`, where there is one, says so."""
    end = next((value for name, value in previous.items() if name.lower() == "revend"), None)
    return end is None or scalar_text(end) == scalar_text(row[_columns(row)["rev"]])


def _key(row: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    wanted = options.get("key")
    wanted = wanted.lower() if isinstance(wanted, str) else "id"
    return next((scalar_text(value) for name, value in row.items() if name.lower() == wanted), None)


def _history(rows: list[dict[str, Any]], item: dict[str, Any], options: Mapping[str, Any]) -> list[Operation]:
    numbers = [number_of(row[_columns(row)["rev"]]) for row in rows]
    if None not in numbers:
        rows = [rows[place] for place in sorted(range(len(rows)), key=lambda place: numbers[place] or 0)]
    name = next((name for name in ("entity", "table") if isinstance(item.get(name), str)), None)
    entity = {} if name is None else {name: item.pop(name)}
    found: list[Operation] = []
    before: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for row in rows:
        key, state = _key(row, options), _split(row)
        previous = before.get(key) if key is not None else None
        follows = previous is not None and _follows(previous[1], row)
        found.append(_operation(row, {**entity}, options, previous[0] if previous is not None and follows else None))
        if key is not None:
            before[key] = state
    found[0].raw = {**item, **found[0].raw}
    return found


def _operation(
    row: dict[str, Any], outer: dict[str, Any], options: Mapping[str, Any], previous: dict[str, Any] | None = None
) -> Operation:
    written = _columns(row)
    own = {lower: row.pop(name) for lower, name in written.items()}
    verb, code = _TYPES[str(own.pop("revtype"))]
    flags = {name: row.pop(name) for name in list(row) if _is_flag(name, row)}
    op = Operation(action="field.update", kind="revision", code=code, outcome="success")
    op.id = take_text(own, "rev")
    info = own.get("revinfo")
    op.time = take_time(own, "revtstmp")
    if isinstance(info, dict):
        for name in list(info):
            info[name.lower()] = info.pop(name)
        op.time = op.time or take_time(info, "revtstmp") or take_time(info, "timestamp")
        if op.id is not None and scalar_text(info.get("rev")) == op.id:
            del info["rev"]
        _who(op, info, "")
        if not info:
            del own["revinfo"]
    _who(op, own, "rev_")
    label = take_text(outer, "entity") or take_text(outer, "table") or scalar_text(options.get("entity"))
    set_object(op, None if label is None else _without_suffix(label))
    op.object_id = _key(row, options)
    drop_empty(own, ("revend", "revend_tstmp"))
    op.raw = {**outer, **{written[lower]: value for lower, value in own.items()}}
    _what(op, verb, row, flags, previous)
    return op


def _without_suffix(label: str) -> str:
    return label[:-4] if label.lower().endswith("_aud") and len(label) > 4 else label


def _who(op: Operation, source: dict[str, Any], prefix: str) -> None:
    for name in _PEOPLE:
        before = len(op.fields)
        text = scalar_text(source.get(prefix + name))
        if text is not None and not any(field.startswith("user.") for field in op.fields):
            set_person(op, take_text(source, prefix + name))
        elif text is not None and name in {"username", "user_name", "email"} and before:
            take_fields(op, source, {prefix + name: "user.email" if name == "email" else "user.name"})
    for name in _ADDRESSES:
        address = take_ip(source, prefix + name)
        if address is not None:
            op.fields.setdefault("source.ip", address)
    take_fields(op, source, {f"{prefix}session_id": "trail.session.id"})
    drop_empty(source, [prefix + name for name in (*_PEOPLE, *_ADDRESSES, "session_id")])


def _what(
    op: Operation, verb: str, row: dict[str, Any], flags: dict[str, Any], previous: dict[str, Any] | None
) -> None:
    if verb != "update":
        op.values = row
    elif previous is not None:
        op.changes, rest = compare(previous, row, derivation="reconstructed")
        op.no_change = not op.changes
        if rest:
            op.raw["row"] = rest
    else:
        changed = [name[: -len(_FLAG)] for name, flag in flags.items() if flag in (True, 1)]
        op.changes = [Change(name, UNKNOWN, row.pop(name), derivation="new_only") for name in changed]
        op.values = row
        if not changed:
            op.missing = CHANGE_NOT_TOLD
    names = {change.field for change in op.changes}
    # A flag that says what the changes say has been read; another is kept.
    op.raw |= {name: flag for name, flag in flags.items() if bool(flag) != (name[: -len(_FLAG)] in names)}
    op.action = row_action(verb, op.object_type, op.changes)
