"""HighLevel: records as they are now, with an event or without. Pure."""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Operation, Time
from parsers._json import is_text, peek, scalar_text, snake, take, take_text, take_time
from parsers._pairs import named_properties
from parsers._snapshots import full_name
from parsers._urls import clean_urls

_ADDED: Final = ("dateAdded", "createdAt")
_CHANGED: Final = ("dateUpdated", "updatedAt")
_SHAPES: Final = (
    ("association", ("associationType", "firstObjectKey", "secondObjectKey")),
    ("relation", ("firstObjectKey", "firstRecordId", "secondRecordId")),
    ("object_schema", ("key", "labels", "objectType")),
    ("user", ("permissions", "roles", "email")),
    ("opportunity", ("pipelineId", "pipelineStageId", "contactId", "id")),
    ("record", ("properties", "owners", "id")),
    ("record", ("properties", "objectKey", "id")),
    ("contact", ("dateAdded", "tags", "id")),
    ("contact", ("dateAdded", "dnd", "id")),
)
"""What a body without a type is, told from members that only it has; all but users also have `locationId`."""
_ACCOUNT_TYPES: Final = frozenset({"account", "agency"})


def kind_of(item: dict[str, Any]) -> str | None:
    """What a body is that names no event; `None` for all others."""
    if is_text(item.get("type")) and item["type"] in _ACCOUNT_TYPES and "role" in item and "locationId" in item:
        return "user"
    if "type" in item:
        return None
    for kind, names in _SHAPES:
        if all(name in item for name in names):
            roles = item.get("roles")
            if kind == "user":
                return kind if isinstance(roles, dict) and "locationIds" in roles else None
            return kind if is_text(item.get("locationId")) else None
    return None


def snapshot(item: dict[str, Any], kind: str) -> Operation:
    """A record without an event: changed at its own time of update, or made then."""
    op = Operation(
        action="log.message",
        kind="snapshot",
        object_type=kind,
        id=take_text(item, "webhookId"),
        time=take_time(item, "timestamp"),
    )
    location = take_text(item, "locationId")
    if location is not None:
        op.fields["organization.id"] = location
    whole = "user" if kind == "user" else "record"
    added, changed = (
        next((name for name in names if scalar_text(item.get(name))), None) for names in (_ADDED, _CHANGED)
    )
    if "type" in item or (added is not None and changed is not None and item[added] == item[changed]):
        op.action = f"{whole}.create"
        op.time = op.time or own_time(item, _ADDED)
    elif op.time is not None or changed is not None:
        op.action = "user.update" if kind == "user" else "field.update"
        op.missing = CHANGE_NOT_TOLD
        op.time = op.time or own_time(item, _CHANGED)
    if kind == "relation":
        relation(op, item, "")
    for name in ("id", "key"):
        if op.object_id is None:
            op.object_id = take_text(item, name)
    if kind == "user":
        account(op, item)
    op.values = values_of(op, item)
    return op


def values_of(op: Operation, body: dict[str, Any]) -> dict[str, Any]:
    """The record's members as values; who changed it last becomes a field of its own."""
    for path in (("lastUpdatedBy", "sourceId"), ("lastUpdatedBy",)):
        editor = take_text(body, *path)
        if editor is not None:
            op.fields["trail.object.last_editor.id"] = editor
            break
    values = named_properties(body, ("properties", "customFields"))
    properties = values.get("properties")
    if isinstance(properties, dict) and properties and not any(f"properties.{name}" in values for name in properties):
        values |= {f"properties.{name}": value for name, value in values.pop("properties").items()}
    clean_urls(values)
    return values


def own_time(body: dict[str, Any], names: tuple[str, ...]) -> Time | None:
    """The record's own account of when this happened; it stays among the values, since it is one."""
    return next((time for time in (take_time({name: body.get(name)}, name) for name in names) if time), None)


def account(op: Operation, body: dict[str, Any]) -> None:
    """Name, address and role of the account as ECS has them, and each of its permissions as a value of its own."""
    name = take_text(body, "name")
    first, last = body.get("firstName"), body.get("lastName")
    if name is not None and name == full_name(first, last):
        del body["firstName"], body["lastName"]
    if name is None:
        name = full_name(first, last)
        for part in ("firstName", "lastName") if name is not None else ():
            body.pop(part, None)
    if name is not None:
        op.fields["user.target.full_name"] = name
    email = body.get("email")
    if is_text(email) and "@" in email:
        op.fields["user.target.email"] = take(body, "email")
    for path in (("role",), ("roles", "role")):
        if is_text(peek(body, *path)) and peek(body, *path):
            op.fields["user.target.roles"] = [take(body, *path)]
            break
    permissions = body.get("permissions")
    if isinstance(permissions, dict) and permissions:
        del body["permissions"]
        body |= {f"permissions.{name}": value for name, value in permissions.items()}


def relation(op: Operation, body: dict[str, Any], what: str) -> None:
    """A link of two records is something that happened to the first of them; the link's own id is a value."""
    op.action = {"create": "record.link", "delete": "record.unlink"}.get(what, op.action)
    key, identity = body.get("firstObjectKey"), scalar_text(body.get("firstRecordId"))
    if is_text(key) and key and identity is not None:
        op.object_type = snake(take(body, "firstObjectKey"))
        op.object_id = take_text(body, "firstRecordId")
