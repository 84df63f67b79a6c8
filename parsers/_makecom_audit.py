"""Make: the entries of its audit log, as lists give them and as the detail of one entry does. Pure."""

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Change, Operation
from parsers._json import is_text, peek, scalar_text, snake, take, take_ip, take_text, take_time
from parsers._old_new import take_changes

_MEMBERS: Final = ("uuid", "triggeredAt", "actor", "organizationId", "organization", "team", "targetId")

_MOVES: Final = {
    **dict.fromkeys(("created", "added", "joined", "cloned", "imported", "installed", "assigned", "granted"), "made"),
    **dict.fromkeys(("deleted", "removed", "revoked", "left", "uninstalled", "unassigned"), "gone"),
    **dict.fromkeys(("disabled", "deactivated", "suspended", "blocked", "stopped"), "off"),
    **dict.fromkeys(("enabled", "activated", "reactivated", "started", "unblocked"), "on"),
    "invited": "invited",
}
"""Verbs of `eventName` -> what they come to; every other verb is a change."""

_TOKEN: Final = {"made": "token.create", "gone": "token.revoke", "": "token.update"}
_WEBHOOK: Final = {"made": "webhook.create", "gone": "webhook.delete", "off": "webhook.disable", "": "webhook.update"}
_MEMBER: Final = {"made": "group.add", "gone": "group.remove", "": "user.update"}
_GRANT: Final = {"made": "role.grant", "gone": "role.revoke", "": "user.update"}
_CONFIG: Final = {"made": "config.create", "gone": "config.delete", "": "config.update"}
_USER: Final = {
    "made": "user.create",
    "invited": "user.invite",
    "gone": "user.delete",
    "off": "user.disable",
    "on": "user.enable",
    "": "user.update",
}
_AUTOMATION: Final = {
    "made": "automation.create",
    "gone": "automation.delete",
    "off": "automation.disable",
    "on": "automation.enable",
    "": "automation.edit",
}
_NOUNS: Final = {
    "key": _TOKEN,
    "token": _TOKEN,
    "connection": {"made": "app.connect", "gone": "app.disconnect", "": "app.update"},
    "webhook": _WEBHOOK,
    "hook": _WEBHOOK,
    "scenario": _AUTOMATION,
    "user": _USER,
    "member": _USER,
    "team_user": _MEMBER,
    "team_member": _MEMBER,
    "team": {"made": "group.create", "gone": "group.delete", "": "group.update"},
    "role": {"made": "role.create", "gone": "role.delete", "": "role.update"},
    "user_role": _GRANT,
    "member_role": _GRANT,
    "permission": {**_GRANT, "": "role.update"},
    "audit_log": {"off": "audit.disable", "gone": "audit.disable", "on": "audit.enable", "": "config.update"},
}
"""Noun of `eventName`, or how it ends (`team_scenario` is a `scenario`) -> our actions."""
_ROLES: Final = ("user_role", "member_role")
"""How nouns of an account's role end: a change of it grants one where it says which, else that is not known."""
_ACCOUNTS: Final = frozenset({"user", "member", "organization_user", "organization_member", "user_role", "member_role"})
"""Nouns whose `targetId` is an account; of `team_user` it may be the team's."""


def is_entry(item: dict[str, Any]) -> bool:
    """Whether `item` is an entry of the audit log."""
    return is_text(item.get("eventName")) and sum(name in item for name in _MEMBERS) >= 2


def entry(item: dict[str, Any]) -> Operation:
    """The operation of one entry."""
    code: str = item.pop("eventName")
    op = Operation(action="config.update", kind="audit", code=code, time=take_time(item, "triggeredAt"))
    op.id = take_text(item, "uuid")
    _actor(op, item)
    _organization(op, item)
    noun, verb = _words(code)
    op.object_type = "user" if noun in _ACCOUNTS else noun or None
    op.object_id = take_text(item, "targetId")
    op.action = _action(noun, verb)
    if op.action.startswith("group."):
        for field, name in (("group.id", "id"), ("group.name", "name")):
            text = take_text(item, "team", name)
            if text is not None:
                op.fields[field] = text
    if op.action == "automation.edit" or op.object_type == "scenario":
        op.fields["trail.automation.platform"] = "make"
        if op.object_id is not None:
            op.fields["trail.automation.scenario.id"] = op.object_id
    _what(op, item)
    if noun.endswith(_ROLES) and op.action == "user.update" and op.changes:
        op.action = "role.grant"
    op.raw = item
    return op


def _what(op: Operation, item: dict[str, Any]) -> None:
    """What the detail of an entry tells of the change, and the step from one version to the next."""
    edit = op.action.endswith((".update", ".edit"))
    for name in ("detail", "details"):
        detail = item.get(name)
        if not isinstance(detail, dict):
            continue
        op.changes += take_changes(detail)
        if op.object_name is None and op.object_type is not None:
            op.object_name = take_text(detail, _called(op.object_type))
        if not detail and (op.changes or op.object_name):
            del item[name]
    version = item.get("version")
    if edit and isinstance(version, dict) and "from" in version and "to" in version:
        op.changes.append(Change("version", take(item, "version", "from"), take(item, "version", "to")))
    if edit and not op.changes:
        op.missing = CHANGE_NOT_TOLD


def _called(object_type: str) -> str:
    """The member of a detail that holds the thing's name: `webhookName` of a `webhook`."""
    first, *others = object_type.split("_")
    return first + "".join(word.capitalize() for word in others) + "Name"


def _words(code: str) -> tuple[str, str]:
    """`eventName` as noun and verb: `team_variable_created` -> `team_variable`, `created`."""
    name = snake(code)
    for ending, verb in (("log_in", "login"), ("login", "login"), ("log_out", "logout"), ("logout", "logout")):
        if name.endswith(ending):
            return name.removesuffix(ending).rstrip("_"), verb
    for ending, verb in (("logged_in", "login"), ("signed_in", "login"), ("logged_out", "logout")):
        if name.endswith(ending):
            return name.removesuffix(ending).rstrip("_"), verb
    noun, _, verb = name.rpartition("_")
    return noun, verb


def _action(noun: str, verb: str) -> str:
    """Our action for a noun and a verb of Make's; `config.update` for those that are not known."""
    if verb in {"login", "logout"}:
        return f"auth.{verb}"
    if verb in {"exported", "downloaded"}:
        return "data.export"
    if noun == "role" and verb in {"assigned", "granted", "revoked", "unassigned"}:
        noun = "user_role"
    words = noun.split("_")
    if words[-1] == "scenario" and verb in {"run", "executed"}:
        return "automation.start"
    endings = ("_".join(words[start:]) for start in range(len(words)))
    actions = next((_NOUNS[ending] for ending in endings if ending in _NOUNS), _CONFIG)
    return actions.get(_MOVES.get(verb, ""), actions[""])


def _actor(op: Operation, item: dict[str, Any]) -> None:
    actor = item.get("actor")
    if isinstance(actor, dict):
        for field, name in (("user.id", "id"), ("user.full_name", "name"), ("user.name", "username")):
            text = take_text(item, "actor", name)
            if text is not None:
                op.fields[field] = text
        email = peek(item, "actor", "email")
        if is_text(email) and "@" in email:
            op.fields["user.email"] = take(item, "actor", "email")
    else:
        text = scalar_text(actor)
        if text is not None and text.isdigit():
            op.fields["user.id"] = take_text(item, "actor")
        elif text is not None and "@" in text:
            op.fields["user.email"] = take_text(item, "actor")
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    for path in (("actor", "ip"), ("actor", "ipAddress"), ("ip",), ("ipAddress",)):
        address = take_ip(item, *path)
        if address is not None:
            op.fields["source.ip"] = address
            break


def _organization(op: Operation, item: dict[str, Any]) -> None:
    identity = take_text(item, "organization", "id") or take_text(item, "organizationId")
    if identity is not None:
        op.fields["organization.id"] = identity
        if scalar_text(item.get("organizationId")) == identity:
            del item["organizationId"]
    name = take_text(item, "organization", "name")
    if name is not None:
        op.fields["organization.name"] = name
