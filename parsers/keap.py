"""Keap (Infusionsoft): REST hooks, stage moves, and contacts, opportunities, users and tags as the API gives them.

**What the source records.** A **REST hook** says that something happened to a record and when: no user, no IP address,
no session, no field, no old and no new value. A **stage move** (REST v2) is Keap's one record with an old and a new
value: who moved which opportunity from which pipeline stage to which, and when; it has no IP address and no session. A
**record as it is now** (contact, opportunity, user) says when it was made and last changed and who changed it last, not
what; an **applied tag** says which and when, not by whom, and the removal of a tag is recorded nowhere but in a hook.
Keap has no audit log API.

**How to get it out.** Hooks: `POST /crm/rest/v1/hooks {"eventKey": "contact.edit", "hookUrl": …}` towards an
endpoint of yours that appends each body as one line to a file, one subscription per event key; Keap must be answered
with its own `X-Hook-Secret` once. Hooks carry
no signature: use a path that cannot be guessed, and TLS. They come 30-60 s after the change in batches of up to 1,000
records, and after four failed deliveries Keap turns the subscription off until it is verified again. The rest with a
token (a personal one: 240 requests a minute), each answer appended as one line: `GET
/crm/rest/v2/opportunities/stageMoves`; `GET /crm/rest/v2/contacts?filter=start_update_time==…&fields=…` (`fields` must
name `update_time`, `last_updated_by` and all that you want to see); `/crm/rest/v2/opportunities`, `/crm/rest/v2/users`;
`/crm/rest/v2/contacts/-/tags`, or `/crm/rest/v2/contacts/{id}/tags`, to which you add `contact_id` since the answer
does not say it.

**One line in**: one hook body; one stage move, contact, opportunity, user or tag, an array of them, or an answer
`{"stage_moves": […]}`, `{"contacts": […]}`, `{"opportunities": […]}`, `{"users": […]}`, `{"tags": […]}`.

```json
{"event_key":"contact.edit","object_type":"contact","object_keys":[{"id":1234,"apiUrl":"https://api.infusionsoft.com/crm/rest/v1/contacts/1234","timestamp":"2026-03-01T17:04:05Z"}]}
{"id":"812","opportunity_id":"991","move_time":"2026-03-01T17:04:05Z","move_from_stage_id":"0","move_to_stage_id":"14","user_id":"40077","created_by":"40077","create_time":"2026-03-01T17:04:06Z"}
{"id":"1234","given_name":"Jo","family_name":"Q","email_addresses":[{"email":"jo@shop.example","field":"EMAIL1"}],"tag_ids":["88"],"create_time":"2026-01-10T09:00:00Z","update_time":"2026-03-01T17:04:05Z","last_updated_by":"40077"}
```

**What comes out.**

- Of a hook one event per object key: `record.create` for `*.add`, `record.delete` for `*.delete`, `record.merge` for
  `*.merge`, `record.purge` for `*.redact`, `field.update` for everything else, without `trail.change` because nothing is
  known about the change; of users `user.create`, `user.update`, `user.delete`. For `contactGroup.applied` and `.removed`
  one `tag.add` or `tag.remove` per contact of its `contact_details` (a shape that is not confirmed), with the tag as
  `trail.change` of the field `tag`. `event.code` is the event key.
- Of a stage move one `field.update` of the field `stage` of the opportunity; stage `0` means none and becomes null.
- Of a contact, opportunity or user one `field.update` (of a user `user.update`) at its time of update, or
  `record.create` (`user.create`) where it was not changed since it was made (its time of update is the same, or null),
  with the whole record in `trail.values`.
  Who made it (`created_by`) is the actor of its creation; who changed it last is `trail.object.last_editor.id`, never the
  actor. A record that does not say when it was last changed (`fields` did not ask for it) is a `log.message`: that it
  was seen is all that is known. Custom fields become one value each, `custom_fields.<id>`.
- Of an applied tag one `tag.add` of the contact, with the tag as `trail.change` of the field `tag`.

Missing: `trail.missing` of a hook holds `user.id`, `source.ip`, `trail.session.id`, `trail.interface`, for edits
`trail.change.field`, `.old` and `.new`, and for a record that was created or deleted `trail.values`; of a stage move `source.ip`, `trail.session.id`, `trail.interface`; of a record
as it is now the same as of a hook. What is not mapped is in `trail.raw`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import decode, each, is_text, peek, scalar_text, snake, take, take_text, take_time, unwrap
from parsers._pairs import named_properties
from parsers._snapshots import full_name
from parsers._urls import clean_urls

FORMAT: Final = Format(
    name="keap",
    module="keap",
    vendor="Keap",
    title="Keap (Infusionsoft), REST hooks, stage moves and records",
    missing=("source.ip", "trail.session.id", "trail.interface"),
    gives=Gives.of("who when field old new"),
)

LITERALS: Final = (
    b'"event_key"',
    b'"move_to_stage_id"',
    b'"stage_moves"',
    b'"stageMoves"',
    b'"given_name"',
    b'"opportunity_title"',
    b'"applied_at"',
    b'"applied_time"',
    b'"next_page_token"',
)

_WRAPPERS: Final = ("stage_moves", "stageMoves", "contacts", "opportunities", "users", "tags", "applied_tags")
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
_OF_CONTACTS: Final = frozenset(
    """addresses birth_date contact_type create_time custom_fields email_addresses family_name fax_numbers job_title
    leadsource_id owner_id phone_numbers preferred_locale referral_code score_value social_accounts source_type
    spouse_name tag_ids update_time utm_parameters
    """.split()  # noqa: SIM905 - a list of twenty quoted words reads worse
)
"""Members of a contact beside its names; three of them tell it from what others call a contact."""
_UPDATED: Final = ("update_time", "last_updated_time")
_CREATED: Final = ("create_time", "created_time")
_NOT_TOLD: Final = {
    **dict.fromkeys(("field.update", "user.update"), CHANGE_NOT_TOLD),
    **dict.fromkeys(("record.create", "record.delete"), ("trail.values",)),
}
"""What a hook does not tell, beside who."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One hook body or stage moves, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    # A record may have members of these names too.
    found = unwrap(value, *(() if isinstance(value, dict) and "id" in value else _WRAPPERS))
    if isinstance(found, Rejected):
        return found
    if not found.items:
        if not any(name in record for name in (b'"stage_moves"', b'"stageMoves"', b'"next_page_token"')):
            return Rejected("an empty list that is no answer of Keap's")
        return [Operation(action="field.update", kind="stage_move", no_change=True)]
    contact = found.rest.get("contact_id")
    if scalar_text(contact) is not None and all(_is_applied(item) for item in found.items):
        del found.rest["contact_id"]
        for item in found.items:
            item["contact_id"] = contact
    return each(found, _one)


def _one(item: dict[str, Any]) -> list[Operation] | Rejected:
    event_key = item.get("event_key")
    if is_text(event_key) and "." in event_key and isinstance(item.get("object_keys"), list):
        return _hook(item, event_key)
    if "opportunity_id" in item and "move_to_stage_id" in item and "move_time" in item:
        return [_stage_move(item)]
    if _is_applied(item):
        return [_applied(item)]
    kind = _kind_of_record(item)
    if kind is not None:
        return [_record(item, kind)]
    return Rejected(
        "neither a Keap REST hook (event_key, object_keys) nor a stage move"
        " (opportunity_id, move_to_stage_id, move_time), contact, opportunity, user or applied tag"
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
    if action.startswith("tag."):
        operations = [op for key in keys for op in _tagged(key, event_key, action)]
    else:
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
        missing=("user.id", *_NOT_TOLD.get(action, ())),
    )
    url = peek(key, "apiUrl")
    if is_text(url) and url.strip():
        op.fields["trail.object.url"] = take(key, "apiUrl")
    # `object_keys` is where the source has these members: the path tells them from the hook's own.
    op.raw = {"object_keys": key} if key else {}
    return op


def _tagged(key: dict[str, Any], event_key: str, action: str) -> list[Operation]:
    """The contacts that a tag was applied to or removed from; the key itself is the tag."""
    tag: Any = take_text(key, "id")
    tag = UNKNOWN if tag is None else tag
    details = key.get("contact_details")
    contacts: list[dict[str, Any]] = [{}]
    if isinstance(details, list) and details and all(isinstance(detail, dict) for detail in details):
        contacts = key.pop("contact_details")
    operations = []
    for contact in contacts:
        op = Operation(
            action=action,
            kind="hook",
            time=take_time(contact, "timestamp"),
            code=event_key,
            object_type="contact",
            object_id=take_text(contact, "id"),
            changes=[Change("tag", ABSENT, tag) if action == "tag.add" else Change("tag", tag, ABSENT)],
            missing=("user.id",),
        )
        op.raw = {"object_keys": {"contact_details": contact}} if contact else {}
        operations.append(op)
    timeless = [op for op in operations if op.time is None]
    time = take_time(key, "timestamp") if timeless else None
    for op in timeless:
        op.time = time
    # What the key says once for all its contacts stands with the first of them.
    if key:
        first = operations[0]
        first.raw = {"object_keys": {**key, **first.raw.get("object_keys", {})}}
    return operations


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


# -- records as they are now ------------------------------------------------------------------------------------------


def _kind_of_record(item: dict[str, Any]) -> str | None:
    if "id" not in item:
        return None
    if "opportunity_title" in item and "stage" in item:
        return "opportunity"
    if "given_name" not in item:
        return None
    if "keap_id" in item or "global_user_id" in item:
        return "user"
    return "contact" if len(item.keys() & _OF_CONTACTS) >= 3 else None


def _record(item: dict[str, Any], kind: str) -> Operation:
    updated, created = (
        next((name for name in names if scalar_text(item.get(name))), None) for names in (_UPDATED, _CREATED)
    )
    op = Operation(
        action="log.message",
        kind="snapshot",
        object_type=kind,
        object_id=take_text(item, "id"),
        missing=("user.id",),
    )
    # The times stay among the values: they are the record's own.
    whole = "user" if kind == "user" else "record"
    # A time of update that was not asked for may be later than all that is known of the record.
    asked = any(name in item for name in _UPDATED)
    if created is not None and asked and (updated is None or item[updated] == item[created]):
        op.action = f"{whole}.create"
        op.time = take_time({"time": item[created]}, "time")
        if scalar_text(item.get("created_by")) not in {None, "0"}:
            op.fields["user.id"] = take_text(item, "created_by")
            op.actor_type, op.actor_confidence = "user", "asserted"
    elif updated is not None:
        op.action = "user.update" if kind == "user" else "field.update"
        op.missing = ("user.id", *CHANGE_NOT_TOLD)
        op.time = take_time({"time": item[updated]}, "time")
    _last_editor(op, item)
    if kind == "user":
        _account(op, item)
    op.values = named_properties(item, ("custom_fields",))
    clean_urls(op.values)
    return op


def _last_editor(op: Operation, item: dict[str, Any]) -> None:
    for name in ("last_updated_by", "updated_by"):
        editor = item.get(name)
        if isinstance(editor, dict):
            called = full_name(editor.get("given_name"), editor.get("family_name"))
            if called is not None:
                op.fields["trail.object.last_editor.name"] = called
                take(item, name, "given_name")
                take(item, name, "family_name")
        for path in ((name,), (name, "user_id"), (name, "id")):
            if scalar_text(peek(item, *path)) not in {None, "0"}:
                op.fields["trail.object.last_editor.id"] = take_text(item, *path)
                return


def _account(op: Operation, item: dict[str, Any]) -> None:
    """What ECS says of the account that an event is about; its name in full is no member of Keap's, so it is added."""
    name = full_name(item.get("given_name"), item.get("family_name"))
    if name is not None:
        op.fields["user.target.full_name"] = name
    if item.get("admin") is True:
        op.fields["user.target.roles"] = ["admin"]


# -- tags -------------------------------------------------------------------------------------------------------------


def _is_applied(item: dict[str, Any]) -> bool:
    if "tag_id" in item and "contact_id" in item and "applied_at" in item:
        return True
    return "applied_time" in item and isinstance(item.get("tag"), dict) and "id" in item["tag"]


def _applied(item: dict[str, Any]) -> Operation:
    op = Operation(
        action="tag.add",
        kind="tag",
        outcome="success",
        time=take_time(item, "applied_at") or take_time(item, "applied_time"),
        object_type="contact",
        object_id=take_text(item, "contact_id"),
        missing=("user.id",),
    )
    tag = take_text(item, "tag_id") or take_text(item, "tag", "id")
    op.changes = [Change("tag", ABSENT, UNKNOWN if tag is None else tag, new_label=take_text(item, "tag", "name"))]
    op.raw = item
    return op
