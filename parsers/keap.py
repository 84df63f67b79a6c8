"""Keap (Infusionsoft): REST hooks and the history of opportunity stage moves.

**What the source records.** A REST hook says that something happened to a record and when: no user, no IP address, no
session, no field, no old and no new value. A stage move (REST v2) is Keap's one record with an old and a new value: who
moved which opportunity from which pipeline stage to which, and when; it has no IP address and no session. Keap has no
audit log API.

**How to get it out.** Hooks: `POST /crm/rest/v1/hooks {"eventKey": "contact.edit", "hookUrl": …}` towards an
endpoint of yours that appends each body as one line to a file, one subscription per event key; Keap must be answered
with its own `X-Hook-Secret` once. Hooks carry
no signature: use a path that cannot be guessed, and TLS. They come 30-60 s after the change in batches of up to 1,000
records, and after four failed deliveries Keap turns the subscription off until it is verified again. Stage moves:
`GET /crm/rest/v2/opportunities/stageMoves` with a token (a personal one: 240 requests a minute), appended to a file.

**One line in**: one hook body; one stage move, an array of them, or an answer `{"stage_moves": […]}`.

```json
{"event_key":"contact.edit","object_type":"contact","object_keys":[{"id":1234,"apiUrl":"https://api.infusionsoft.com/crm/rest/v1/contacts/1234","timestamp":"2026-03-01T17:04:05Z"}]}
{"id":"812","opportunity_id":"991","move_time":"2026-03-01T17:04:05Z","move_from_stage_id":"0","move_to_stage_id":"14","user_id":"40077","created_by":"40077","create_time":"2026-03-01T17:04:06Z"}
```

**What comes out.** Of a hook one event per object key: `record.create` for `*.add`, `record.delete` for `*.delete`,
`record.merge` for `*.merge`, `record.purge` for `*.redact`, `field.update` for everything else, without `trail.change`
because nothing is known about the change; of users `user.create`, `user.update`, `user.delete`; for
`contactGroup.applied` and `.removed` `tag.add` and `tag.remove` of the tag, with the contacts in `trail.raw`.
`event.code` is the event key. Of a stage move one `field.update` of the field `stage` of the opportunity; stage `0`
means none and becomes null.

`trail.missing` of a hook: `user.id`, `source.ip`, `trail.session.id`, `trail.interface`, and for edits
`trail.change.field`, `.old` and `.new`; of a stage move `source.ip`, `trail.session.id`, `trail.interface`. What is not
mapped is in `trail.raw`. Options: none.
"""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import UNKNOWN, Change, Context, Format, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_text, take_time

FORMAT: Final = Format(
    name="keap",
    module="keap",
    vendor="Keap",
    title="Keap (Infusionsoft), REST hooks and stage moves",
    missing=("source.ip", "trail.session.id", "trail.interface"),
)

LITERALS: Final = (b'"event_key"', b'"move_to_stage_id"', b'"stage_moves"', b'"stageMoves"')

_WRAPPERS: Final = ("stage_moves", "stageMoves")
_VERBS: Final = {
    "add": "create",
    "added": "create",
    "create": "create",
    "created": "create",
    "delete": "delete",
    "deleted": "delete",
    "merge": "merge",
    "redact": "purge",
}
_TAGS: Final = {("contactGroup", "applied"): "tag.add", ("contactGroup", "removed"): "tag.remove"}
_NOT_TOLD: Final = ("trail.change.field", "trail.change.old", "trail.change.new")


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One hook body or stage moves, see the module's text."""
    found = read(record, *_WRAPPERS)
    if not isinstance(found, Rejected) and not found.items:
        return [Operation(action="field.update", kind="stage_move", no_change=True)]
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    event_key = item.get("event_key")
    if is_text(event_key) and "." in event_key and isinstance(item.get("object_keys"), list):
        return _hook(item, event_key)
    if "opportunity_id" in item and "move_to_stage_id" in item and "move_time" in item:
        return [_stage_move(item)]
    return Rejected(
        "neither a Keap REST hook (event_key, object_keys) nor a stage move"
        " (opportunity_id, move_to_stage_id, move_time)"
    )


def _hook(item: dict[str, Any], event_key: str) -> list[Operation] | Rejected:
    keys = item["object_keys"]
    for position, key in enumerate(keys):
        if not isinstance(key, dict):
            return Rejected(f"object_keys[{position}] is no object")
    del item["event_key"], item["object_keys"]
    noun, _, verb = event_key.rpartition(".")
    kind = snake(take_text(item, "object_type") or noun)
    what = _VERBS.get(snake(verb), "update")
    if (noun, verb) in _TAGS:
        action = _TAGS[noun, verb]
    elif kind == "user" and what in {"create", "update", "delete"}:
        action = f"user.{what}"
    else:
        action = "field.update" if what == "update" else f"record.{what}"
    operations = [_key(key, event_key, kind, action) for key in keys]
    if not operations:
        return [Operation(action=action, kind="hook", code=event_key, object_type=kind, raw=item, no_change=True)]
    # What else the hook says once for all its keys stands with the first of them.
    operations[0].raw = {**item, **operations[0].raw}
    return operations


def _key(key: dict[str, Any], event_key: str, kind: str, action: str) -> Operation:
    op = Operation(
        action=action,
        kind="hook",
        time=take_time(key, "timestamp"),
        code=event_key,
        object_type=kind,
        object_id=take_text(key, "id"),
        missing=("user.id", *_NOT_TOLD) if action in {"field.update", "user.update"} else ("user.id",),
    )
    url = peek(key, "apiUrl")
    if is_text(url) and url.strip():
        op.fields["trail.object.url"] = take(key, "apiUrl")
    # `object_keys` is where the source has these members: the path tells them from the hook's own.
    op.raw = {"object_keys": key} if key else {}
    return op


def _stage(item: dict[str, Any], name: str) -> Any:
    """A stage's id as text; `"0"` and null mean no stage; anything but an id stays in `raw` and is unknown."""
    value = peek(item, name)
    if value is None or scalar_text(value) == "0":
        take(item, name)
        return None
    text = take_text(item, name)
    return UNKNOWN if text is None else text


def _stage_move(item: dict[str, Any]) -> Operation:
    old, new = _stage(item, "move_from_stage_id"), _stage(item, "move_to_stage_id")
    derivation = "new_only" if old is UNKNOWN else "native"
    op = Operation(
        action="field.update",
        kind="stage_move",
        time=take_time(item, "move_time"),
        id=take_text(item, "id"),
        outcome="success",
        object_type="opportunity",
        object_id=take_text(item, "opportunity_id"),
        changes=[Change("stage", old, new, derivation=derivation)],
    )
    if scalar_text(peek(item, "user_id")) not in {None, "0"}:
        op.fields["user.id"] = take_text(item, "user_id")
        op.actor_type, op.actor_confidence = "user", "asserted"
    elif scalar_text(peek(item, "created_by")) not in {None, "0"}:
        # Who wrote the history record is likely, not certainly, who moved the opportunity.
        op.fields["user.id"] = take_text(item, "created_by")
        op.fields["trail.actor.basis"] = "created_by"
        op.actor_type, op.actor_confidence = "user", "inferred"
    op.raw = item
    return op
