"""Pipedrive, webhooks and changelogs: who changed which field of which record, from what to what.

**What the source records.** A **webhook** (v1 and v2) says who (`meta.user_id`), when, what was done to which record,
the record as it is now, and what its changed fields were before; whether it came through the application or the API. A
row of a **changelog** says who changed which field of a deal (person, organization) from what to what, when, and with
which program. Neither names an IP address nor a session.

**How to get it out.**

- Webhooks: Settings > Tools and apps > Webhooks, or `POST /v1/webhooks` with `"version": "2.0"` and the event `*.*` by an
  admin (others only see what they may see), towards an endpoint of yours that appends each body as one line to a file.
  At most 40 webhooks per user; three repetitions. There is no signature: give the URL HTTP basic credentials, and use
  TLS. v2 sends one body for one edit; v1 is to be retired.
- Changelogs: `GET /v1/deals/{id}/changelog` (also of persons and organizations), one call per record; the answer does not
  name the record: add `deal_id` (`person_id`, `organization_id`) beside `data`. Its times have no zone and are UTC (not
  confirmed): set the input's `timezone: UTC`.

**One line in**: one body or an array of bodies; one answer of a changelog.

```json
{"meta":{"action":"change","entity":"deal","entity_id":"8","company_id":"8087566","id":"df47d877-b58c-4886-91cd-1aa83e1d7366","timestamp":"2026-03-01T17:04:05.724Z","user_id":"12415231","version":"2.0","webhook_id":"4710827","change_source":"app","attempt":1},"data":{"id":8,"title":"Roof","value":500,"currency":"EUR"},"previous":{"value":300}}
{"deal_id":8,"success":true,"data":[{"field_key":"stage_id","old_value":"2","new_value":"3","actor_user_id":12415231,"time":"2026-03-01 17:04:05","change_source":"app","change_source_user_agent":"Mozilla/5.0","is_bulk_update_flag":false}]}
```

**What comes out.** `event.code` is the event (`updated.deal`) or the action (`change`), `event.id` the id of the
delivery's event; v1 has none.

- `change`, `updated`: one `field.update` per changed field (`value`, `custom_fields.<key>`), the rest of the record in
  `trail.values`. `previous` of v2 names changed fields alone; of v1 it is the whole record, so both are compared. The
  record's own time of update is no change. `create`, `added` -> `record.create`, `delete`, `deleted` -> `record.delete`,
  with the record in `trail.values`; `merged`, and a deletion that names `merged_to_id`, -> `record.merge`.
- Of users `user.create`, `user.update`, `user.delete`, `user.disable` and `user.enable` (`active_flag`), `role.grant` and
  `role.revoke`; of pipelines, stages, boards, phases and types of activities `config.create`, `.update`, `.delete`.
- Of a row of a changelog one `field.update`.

`trail.interface` is `ui`, `api`, `mobile`, `import` or `automation` where `change_source` says so.

Missing: `trail.missing` holds `source.ip`, `trail.session.id`, and the parts of the change where an edit names no field.
What is not mapped is in `trail.raw`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import (
    Items,
    decode,
    each,
    is_text,
    peek,
    same,
    scalar_text,
    snake,
    take,
    take_text,
    take_time,
    unwrap,
)
from parsers._rows import compare, row_action
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="pipedrive",
    module="pipedrive",
    vendor="Pipedrive",
    title="Pipedrive, webhooks and changelogs",
    missing=("source.ip", "trail.session.id"),
    gives=Gives.of("who when field old new"),
)
LITERALS: Final = (b'"webhook_id"', b'"matches_filters"', b'"field_key"')

_VERBS: Final = {
    "create": "create",
    "added": "create",
    "change": "update",
    "updated": "update",
    "delete": "delete",
    "deleted": "delete",
    "merged": "merge",
}
_SETTINGS: Final = frozenset({"pipeline", "stage", "activity_type", "board", "phase"})
_SOURCES: Final = {
    "app": "ui",
    "web": "ui",
    "api": "api",
    "mobile": "mobile",
    "import": "import",
    "workflow": "automation",
    "automation": "automation",
}
_BOOKKEEPING: Final = frozenset({"update_time", "modified"})
"""Fields that every edit changes; what they were before is in `raw`, what they are among the values."""
_OWNERS: Final = ("deal_id", "person_id", "organization_id", "product_id")
_OF_A_ROW: Final = ("old_value", "new_value", "actor_user_id", "time")
_NAMES: Final = ("title", "name", "subject")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One body, an array of bodies, or an answer of a changelog, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    if isinstance(value, dict) and "meta" not in value and isinstance(value.get("data"), list):
        return _changelog(value)
    return each(unwrap(value), _body)


def _body(item: dict[str, Any]) -> list[Operation] | Rejected:
    meta = item.get("meta")
    if not isinstance(meta, dict) or not all(name in meta for name in ("action", "company_id")):
        if _is_row(item):
            return [_row(item, None)]
        return Rejected("no Pipedrive webhook (meta with action and company_id)")
    second = "entity" in meta and "webhook_id" in meta and "data" in item
    first = "object" in meta and "current" in item and ("webhook_id" in meta or "matches_filters" in item)
    action = meta.get("action")
    if not is_text(action) or not (first or second) or "previous" not in item:
        return Rejected("no Pipedrive webhook (neither entity and data nor object and current, and previous)")

    event = item.get("event")
    op = Operation(action="log.message", kind="webhook", code=take_text(item, "event") if is_text(event) else action)
    if op.code == action:
        take(item, "meta", "action")
    named = take_text(item, "meta", "entity" if second else "object")
    op.object_type = snake(named) if named is not None else None
    _meta(op, item, second=second)
    _what(op, item, _VERBS.get(action, "update"), "data" if second else "current", whole=not second)
    op.raw = item
    clean_urls(op.raw)
    clean_urls(op.values)
    return [op]


def _meta(op: Operation, item: dict[str, Any], *, second: bool) -> None:
    """Who, when, whose, and by which way."""
    identity = take_text(item, "meta", "id")
    if second:
        op.object_id = take_text(item, "meta", "entity_id")
        # The events of users carry the user's id in the place of one of their own.
        if identity == op.object_id:
            identity = take_text(item, "meta", "correlation_id")
        op.id = identity
    else:
        op.object_id = identity
        op.time = take_time(item, "meta", "timestamp_micro")
    if op.time is None:
        op.time = take_time(item, "meta", "timestamp")
    company = take_text(item, "meta", "company_id")
    if company is not None:
        op.fields["organization.id"] = company
    if scalar_text(peek(item, "meta", "user_id")) not in {None, "0"}:
        op.fields["user.id"] = take_text(item, "meta", "user_id")
        op.actor_type, op.actor_confidence = "user", "asserted"
    _source(op, item, ("meta", "change_source"))


def _source(op: Operation, item: dict[str, Any], path: tuple[str, ...]) -> None:
    word = peek(item, *path)
    if is_text(word) and word in _SOURCES:
        op.interface = _SOURCES[word]
        take(item, *path)


# -- what was done ----------------------------------------------------------------------------------------------------


def _what(op: Operation, item: dict[str, Any], verb: str, now: str, *, whole: bool) -> None:
    present, previous = item.get(now), item.get("previous")
    if verb in {"create", "delete"} or not isinstance(present, dict) or not isinstance(previous, dict):
        name = now if isinstance(present, dict) else "previous"
        if isinstance(item.get(name), dict):
            op.values = _flat(item.pop(name))
        for side in (now, "previous"):
            if item.get(side, ABSENT) is None:
                del item[side]
    else:
        del item[now], item["previous"]
        _edit(op, item, previous, present, whole=whole)
    if verb == "delete" and scalar_text(peek(item, "meta", "merged_to_id")) is not None:
        verb = "merge"
    op.action = _action(op, verb)
    if verb == "update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    if op.object_id is None:
        op.object_id = scalar_text(op.values.get("id"))
    if scalar_text(op.values.get("id")) == op.object_id:
        op.values.pop("id", None)
    if op.object_type == "user":
        _account(op)
    else:
        called = next((name for name in _NAMES if is_text(op.values.get(name)) and op.values[name].strip()), None)
        # A person's name is personal data: it stays among the values, where the privacy policy looks at each.
        if called is not None and op.object_type != "person":
            op.object_name = op.values.pop(called)


def _edit(
    op: Operation, item: dict[str, Any], previous: dict[str, Any], present: dict[str, Any], *, whole: bool
) -> None:
    told = bool(previous)
    before = {name: previous.pop(name) for name in _BOOKKEEPING if name in previous}
    kept = {name: present.pop(name) for name in _BOOKKEEPING if name in present}
    custom = (previous.pop("custom_fields", ABSENT), present.pop("custom_fields", ABSENT))
    changes, rest = compare(previous, present, old_is_whole=whole)
    op.values = {**rest, **kept}
    if isinstance(custom[1], dict):
        old = custom[0] if isinstance(custom[0], dict) else {}
        more, unchanged = _custom(old, custom[1], whole=whole)
        changes += more
        op.values |= {f"custom_fields.{name}": value for name, value in unchanged.items()}
    elif not same(*custom):
        changes.append(Change("custom_fields", *custom))
    op.changes = changes
    # Bookkeeping that did not change is among the values already.
    before = {name: value for name, value in before.items() if not same(value, kept.get(name, ABSENT))}
    if before:
        item["previous"] = before
    op.no_change = told and not op.changes and not before


def _custom(old: dict[str, Any], new: dict[str, Any], *, whole: bool) -> tuple[list[Change], dict[str, Any]]:
    """Custom fields and what of them did not change.

    Of v2 each is an object of a type and a value (or an id), or null; the value's path is the field's own.
    """
    changes: list[Change] = []
    unchanged: dict[str, Any] = {}
    for name in {**new, **old}:
        was, value = old.get(name, ABSENT), new.get(name, ABSENT)
        if was is ABSENT and not whole:
            unchanged[name] = value
            continue
        if isinstance(was, dict) and isinstance(value, dict):
            more, rest = compare(was, value)
            changes += [change._replace(field=_path(name, change.field)) for change in more]
        else:
            (was, rest), (value, more_rest) = _plain(was), _plain(value)
            rest |= more_rest
            if same(was, value):
                rest = {**rest, "value": value}
            else:
                changes.append(Change(f"custom_fields.{name}", was, value))
        if rest:
            unchanged[name] = rest
    return changes, unchanged


def _plain(side: Any) -> tuple[Any, dict[str, Any]]:
    """A custom field's value, and what else its object says."""
    if isinstance(side, dict):
        for name in ("value", "id", "values"):
            if name in side:
                return side[name], {key: value for key, value in side.items() if key != name}
    return side, {}


def _path(name: str, part: str) -> str:
    return f"custom_fields.{name}" if part in {"value", "id"} else f"custom_fields.{name}.{part}"


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose custom fields are values of their own."""
    custom = record.get("custom_fields")
    if not isinstance(custom, dict):
        return record
    del record["custom_fields"]
    return record | {f"custom_fields.{name}": value for name, value in custom.items()}


def _action(op: Operation, verb: str) -> str:
    if op.object_type in _SETTINGS and verb in {"create", "update", "delete"}:
        return f"config.{verb}"
    if op.object_type == "user" and verb == "update":
        for change in op.changes:
            if change.field == "active_flag":
                on = change.new is True or scalar_text(change.new) == "1"
                return "user.enable" if on else "user.disable"
    return row_action(verb, op.object_type, op.changes)


def _account(op: Operation) -> None:
    """What ECS says of the account that an event is about."""
    name = op.values.get("name")
    if is_text(name) and name.strip():
        op.fields["user.target.full_name"] = op.values.pop("name")
    email = op.values.get("email")
    if is_text(email) and "@" in email:
        op.fields["user.target.email"] = op.values.pop("email")


# -- changelogs -------------------------------------------------------------------------------------------------------


def _is_row(item: dict[str, Any]) -> bool:
    key = item.get("field_key")
    return is_text(key) and bool(key) and all(name in item for name in _OF_A_ROW)


def _changelog(page: dict[str, Any]) -> list[Operation] | Rejected:
    rows = page.pop("data")
    if not rows or not all(isinstance(row, dict) and _is_row(row) for row in rows):
        return Rejected("neither a Pipedrive webhook nor an answer of its changelog (field_key, old_value, new_value)")
    kind = next((name for name in _OWNERS if scalar_text(page.get(name)) is not None), None)
    identity = take_text(page, kind) if kind is not None else None
    owner = (kind.removesuffix("_id"), identity) if kind is not None and identity is not None else None
    return each(Items(rows, page), lambda row: [_row(row, owner)])


def _row(row: dict[str, Any], owner: tuple[str, str] | None) -> Operation:
    op = Operation(
        action="field.update",
        kind="changelog",
        time=take_time(row, "time"),
        changes=[Change(row.pop("field_key"), row.pop("old_value"), row.pop("new_value"))],
    )
    if owner is not None:
        op.object_type, op.object_id = owner
    if scalar_text(row.get("actor_user_id")) not in {None, "0"}:
        op.fields["user.id"] = take_text(row, "actor_user_id")
        op.actor_type, op.actor_confidence = "user", "asserted"
    _source(op, row, ("change_source",))
    agent = take_text(row, "change_source_user_agent")
    if agent is not None:
        op.fields["user_agent.original"] = agent
    op.raw = row
    return op
