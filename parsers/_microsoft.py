"""What Entra ID's audit log and the unified audit log of Microsoft 365 share: directory activities and property lists.

Both name a directory activity by the same words ("Add member to role."), and both write the values of a changed
property as JSON in a text, mostly an array even where there is one value. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Operation
from parsers._json import is_text, same, scalar_text
from parsers._values import diff, unwrap_json

_USER: Final = {"add": "user.create", "delete": "user.delete", "": "user.update"}
_GROUP: Final = {"add": "group.create", "delete": "group.delete", "": "group.update"}
_ROLE: Final = {"add": "role.create", "delete": "role.delete", "": "role.update"}
_APP: Final = {"add": "app.connect", "delete": "app.disconnect", "": "app.update"}
_TOKEN: Final = {"add": "token.create", "delete": "token.revoke", "": "token.update"}
_GRANT: Final = {"add": "role.grant", "delete": "role.revoke", "": "role.grant"}
_MEMBER: Final = {"add": "group.add", "delete": "group.remove", "": "group.update"}
_CONFIG: Final = {"add": "config.create", "delete": "config.delete", "": "config.update"}

PSEUDO: Final = (
    "Included Updated Properties",
    "TargetId.",
    "ActorId.",
    "MethodExecutionResult.",
    "Action Client Name",
)
"""How the names of properties begin that tell something about the record and name no change."""

_MOST: Final = 50
"""Changes within one object that are told apart; beyond that a list has shifted, and the object changed as a whole."""

_EXACT: Final = {
    "add user": "user.create",
    "delete user": "user.delete",
    "hard delete user": "record.purge",
    "restore user": "record.restore",
    "disable account": "user.disable",
    "enable account": "user.enable",
    "invite external user": "user.invite",
    "update stsrefreshtokenvalidfrom timestamp": "session.revoke",
    "revoke sign-in sessions": "session.revoke",
    "enable strong authentication": "mfa.enable",
    "disable strong authentication": "mfa.disable",
    "user registered security info": "mfa.enable",
    "admin registered security info": "mfa.enable",
    "user registered all required security info": "mfa.enable",
    "user deleted security info": "mfa.disable",
    "admin deleted security info": "mfa.disable",
    "consent to application": "app.connect",
    "revoke consent": "app.disconnect",
}


@cache
def _families() -> tuple[tuple[Callable[[str], object], dict[str, str]], ...]:
    """(whether an activity is of the family, our actions by what its first word comes to), the first decides."""
    return tuple(
        (re.compile(pattern).search, actions)
        for pattern, actions in (
            (r"\bpim\b.*\brequested\b|\brequested\b.*\bpim\b", {"": "approval.request"}),
            (r"request approved", {"": "approval.grant"}),
            (r"request denied", {"": "approval.deny"}),
            (r"^change .{0,20}password", {"": "password.change"}),
            (r"^(?:reset|set|unlock) .{0,20}password|^admin .{0,40}password", {"": "password.reset"}),
            (r"^(?:bulk )?(?:download|export)", {"": "data.export"}),
            (r"\bowner (?:to|from) (?:application|service principal)", {"": "app.update"}),
            (r"member (?:to|from|in) (?:scoped )?role|to role\b", _GRANT),
            (r"app role assignment|delegated permission|oauth2permissiongrant", _GRANT),
            (r"(?:member|owner) (?:to|from) group", _MEMBER),
            (r"service principal credentials|certificates and secrets|application password", _TOKEN),
            (r"conditional access|policy|company|domain|partner|administrative unit|device|named location", _CONFIG),
            (r"\brole\b", _ROLE),
            (r"application|service principal", _APP),
            (r"\bgroup\b", _GROUP),
            (r"\buser\b", _USER),
        )
    )


_WORDS: Final = {
    **dict.fromkeys(("add", "create", "register", "consent", "grant", "assign"), "add"),
    **dict.fromkeys(("delete", "remove", "revoke", "unregister", "hard"), "delete"),
    **dict.fromkeys(("update", "set", "change", "enable", "disable", "restore"), ""),
}


def directory_action(activity: str) -> str | None:
    """Our action for a directory activity, by its words; None where they say nothing."""
    return _directory_action(activity.strip().rstrip(".").lower()) if len(activity) <= 200 else None


@lru_cache(maxsize=1024)
def _directory_action(text: str) -> str | None:
    action = _EXACT.get(text)
    if action is not None or " " not in text:
        return action
    verb = _WORDS.get(text.partition(" ")[0])
    for matches, actions in _families():
        if matches(text) and (verb is not None or "add" not in actions):
            return actions.get(verb or "", actions[""])
    return None if verb is None else _CONFIG[verb]


def plain(value: Any) -> Any:
    """A property's value out of its text: JSON is read, an array of one is that one, an empty array is no value."""
    value = unwrap_json(value)
    if isinstance(value, list) and len(value) <= 1:
        return value[0] if value else ABSENT
    return value


def property_changes(name: str, old: Any, new: Any) -> list[Change]:
    """The changes of one property; of objects, those of their members."""
    old, new = unwrap_json(old), unwrap_json(new)
    if all(side is None or not isinstance(side, list) or len(side) <= 1 for side in (old, new)):
        old, new = plain(old), plain(new)
    else:
        old, new = (ABSENT if side == [] else side for side in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        found = diff({name: old}, {name: new})
        if len(found) <= _MOST:
            return found
    return [Change(name, old, new, derivation="new_only" if old is UNKNOWN else "native")]


def take_properties(
    holder: dict[str, Any], member: str, names: tuple[str, str, str], pseudo: tuple[str, ...] = ()
) -> tuple[list[Change], bool]:
    """Pop the changed properties out of `holder[member]`; and whether there were some that did not change.

    `names`: those of name, old and new value. What is no property stays, and so do properties whose name begins with
    one of `pseudo` and those whose values are the same.
    """
    entries = holder.get(member)
    if not isinstance(entries, list):
        return [], False
    name, old, new = names
    changes: list[Change] = []
    left = []
    unchanged = False
    for entry in entries:
        if is_text(entry) and entry.strip():
            changes.append(Change(entry, UNKNOWN, UNKNOWN, derivation="new_only"))
        elif (
            isinstance(entry, dict)
            and is_text(entry.get(name))
            and entry[name].strip()
            and not entry[name].startswith(pseudo)
            and (old in entry or new in entry)
        ):
            found = property_changes(entry[name], entry.get(old, UNKNOWN), entry.get(new, UNKNOWN))
            found = [change for change in found if not same(change.old, change.new)]
            if not found:
                unchanged = True
                left.append(entry)
                continue
            changes += found
            more = {key: value for key, value in entry.items() if key not in {old, new}}
            if len(more) > 1:
                left.append(more)
        else:
            left.append(entry)
    if left:
        holder[member] = left
    elif entries:
        del holder[member]
    return changes, unchanged


def membership(op: Operation, changes: list[Change]) -> tuple[dict[str, str], list[Change]]:
    """The group or role of a membership, which stands among the properties of the account.

    The group goes to the operation's fields, the role becomes one change; returns what else was said of either, and
    the other changes.
    """
    left = []
    facts: dict[str, str] = {}
    for change in changes:
        sides = (change.old, change.new) if op.action.endswith((".remove", ".revoke")) else (change.new, change.old)
        value = next((text for side in sides if (text := scalar_text(side)) is not None), None)
        if value is not None and change.field.startswith(("Group.", "Role.")):
            facts[change.field] = value
        else:
            left.append(change)
    for field, name in (("group.id", "Group.ObjectID"), ("group.name", "Group.DisplayName")):
        if name in facts:
            op.fields[field] = facts.pop(name)
    role = facts.pop("Role.DisplayName", None)
    if role is not None:
        left.insert(0, Change("role", ABSENT, role) if op.action == "role.grant" else Change("role", role, ABSENT))
    return facts, left


def whole(op: Operation) -> None:
    """Of a record that was made or is gone the properties are its values; a real pair stays a change."""
    left = []
    for change in op.changes:
        old, new = (value in (None, "", ABSENT, UNKNOWN) for value in (change.old, change.new))
        if old or new:
            op.values[change.field] = None if old and new else change.old if new else change.new
        else:
            left.append(change)
    op.changes = left
