"""Rows of audit tables and of change data capture: states, actions on accounts, people, keys, classes, texts. Pure.

For formats whose record is a row of a table that an application or a database writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Operation, Rejected
from parsers._json import Items, Number, decode_text, each, is_text, same, scalar_text, snake
from parsers._pairs import take_first
from parsers._secrets import DROPPED, is_secret
from parsers._values import diff

_ACCOUNTS: Final = frozenset({"user", "account_user", "user_account"})
_ROLE: Final = re.compile(
    r"(?:^|_)(?:roles?|groups?|permissions?|privileges?|is_staff|is_superuser|superuser|admin)(?:_|$)"
).search
_SWITCHED_OFF: Final = frozenset({"disabled", "deactivated", "disabled_at", "deactivated_at", "suspended_at"})
_SWITCHED_ON: Final = frozenset({"active", "enabled", "is_active", "is_enabled"})
_PASSWORDS: Final = frozenset({"password", "encrypted_password", "password_digest", "password_hash", "hashed_password"})
_NOTHING: Final = frozenset({"", "0", "False", "false", "f", "None", "null"})

_parts = re.compile(r"[.:\\/$]+").split
_named = re.compile(r"(?<![\w-])([A-Za-z_][\w-]{0,60})[\"']?[ \t]{0,9}[:=]").finditer


def compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    derivation: str = "native",
    old_is_whole: bool = True,
) -> tuple[list[Change], dict[str, Any]]:
    """What differs between two states of a row, and what of the new one does not."""
    changes = [change for change in diff(old, new, derivation=derivation, old_is_whole=old_is_whole) if change.field]
    rest: dict[str, Any] = {}
    if not same(old.get("", ABSENT), new.get("", ABSENT)):
        rest[""] = [old.get(""), new.get("")]  # a column without a name cannot be said to have changed
    for name, value in new.items():
        left = value if name not in old and not old_is_whole else _unchanged(old.get(name, ABSENT), value)
        if left is not ABSENT:
            rest[name] = left
    return changes, rest


def _unchanged(old: Any, new: Any) -> Any:
    if same(old, new):
        return new
    pairs: Iterable[tuple[str, Any, Any]]
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = ((name, old.get(name, ABSENT), value) for name, value in new.items())
    elif isinstance(old, list) and isinstance(new, list):
        pairs = ((f"[{place}]", before, after) for place, (before, after) in enumerate(zip(old, new, strict=False)))
    else:
        return ABSENT
    return {name: left for name, *pair in pairs if (left := _unchanged(*pair)) is not ABSENT} or ABSENT


def row_action(verb: str, object_type: str | None, changes: Collection[Change] = ()) -> str:
    """Our action for a row that somebody created, updated, deleted, or else; of an account what that amounts to.

    Of several things that one update does to an account, roles weigh more than switching off, that more than the
    password, and that more than the rest.
    """
    if object_type not in _ACCOUNTS or verb not in {"create", "update", "delete"}:
        return "field.update" if verb == "update" else f"record.{verb}"
    if verb != "update":
        return f"user.{verb}"
    roles = [change for change in changes if _ROLE(snake(change.field))]
    if roles:
        return "role.revoke" if all(_is_nothing(change.new) for change in roles) else "role.grant"
    names = {snake(change.field): change for change in changes}
    for name, change in names.items():
        if name in _SWITCHED_OFF | _SWITCHED_ON:
            return "user.disable" if (name in _SWITCHED_OFF) != _is_nothing(change.new) else "user.enable"
    return "password.change" if names.keys() & _PASSWORDS else "user.update"


def _is_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return value in _NOTHING
    return value is ABSENT or not value


def set_new_row(op: Operation, row: dict[str, Any], options: Mapping[str, Any], key: Collection[str]) -> None:
    """An update whose old values are unknown: which fields changed is too, so the row is told as it is now.

    With the option `each_column` each column that is not in the key is told as changed, though most are not.
    """
    if options.get("each_column") is not True:
        op.values, op.missing = row, CHANGE_NOT_TOLD
        return
    op.changes = [Change(name, UNKNOWN, row[name], derivation="new_only") for name in row if name and name not in key]
    op.values = {name: value for name, value in row.items() if not name or name in key}


def set_last_editor(op: Operation, row: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Who the row itself names as its last editor, where the option `last_editor` names that column."""
    name = options.get("last_editor")
    text = scalar_text(row.get(name)) if isinstance(name, str) else None
    if text is not None:
        op.fields["trail.object.last_editor.id" if text.isdigit() else "trail.object.last_editor.name"] = text


def short_name(label: str) -> str:
    r"""The last name of a class: `hr.Employee`, `Hr::Employee`, `App\Models\Employee` -> `Employee`."""
    return next((part for part in reversed(_parts(label)) if part.strip()), label)


def set_object(op: Operation, label: str | None) -> None:
    r"""Name the object's type from its class: `App\Models\JobPost` is the type `job_post`, in messages `JobPost`."""
    if label is not None:
        op.object_label = short_name(label)
        op.object_type = snake(op.object_label)


def set_person(op: Operation, text: str | None) -> None:
    """Put who did it, from a column that holds an id, an e-mail address or a name, into the field that fits."""
    if text is None:
        return
    name = "user.name"
    if text.isdigit() or (len(text) == 36 and text.count("-") == 4):
        name = "user.id"
    elif "@" in text and " " not in text:
        name = "user.email"
    op.fields[name] = text
    op.actor_type, op.actor_confidence = "user", "asserted"


def take_fields(op: Operation, source: dict[str, Any], names: Mapping[str, str]) -> None:
    """`take_first` for a table: column -> field."""
    take_first(op, source, *((target, (name,)) for name, target in names.items()))


def drop_empty(source: dict[str, Any], names: Iterable[str]) -> None:
    """Drop columns of the audit table itself that are null: of a fact that is not there nothing is lost."""
    for name in names:
        if source.get(name, ABSENT) is None:
            del source[name]


def from_text(value: Any) -> Any:
    """The JSON in a text column; a text that is no JSON stays, unless the name of a secret stands in it."""
    if not is_text(value):
        return value
    found = decode_text(value)
    return kept_text(value) if isinstance(found, Rejected) else found


def kept_text(text: str) -> str:
    """A text that no parser could read into members, dropped whole where it names a secret and then gives a value."""
    return DROPPED if any(is_secret(found[1]) for found in _named(text)) else text


def each_row(
    found: Items | Rejected, one: Callable[[dict[str, Any]], list[Operation] | Rejected]
) -> list[Operation] | Rejected:
    """`each`, for a line of at least one record."""
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list of records")
    return each(found, one)


def key_text(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The values of a key's columns as one text, joined by commas; None where one of them is none."""
    parts = [scalar_text(row.get(name)) for name in names]
    return ",".join(part for part in parts if part) if parts and None not in parts else None


def number_of(value: Any) -> int | None:
    """A whole number, also from its digits in a text."""
    if isinstance(value, str) and not isinstance(value, Number) and value.isascii() and value.isdigit():
        return int(value) if len(value) < 18 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def key_columns(options: Mapping[str, Any], table: str | None, usual: str) -> list[str]:
    """The columns of a table's key, by the option `keys` (table -> column or columns), else the usual one, if any."""
    keys = options.get("keys")
    names = keys.get(table) if isinstance(keys, Mapping) else None
    if isinstance(names, str):
        return [names]
    if isinstance(names, list | tuple):
        return [name for name in names if isinstance(name, str)]
    return [usual] if usual else []
