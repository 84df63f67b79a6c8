"""Secrets by the names of members, also in `{name, value}` pairs: parsers drop them themselves. Pure.

So no policy and no later stage can let them out. What stays of a changed password is that it changed: a value becomes
`SECRET`; null and absent stay, so that the direction of the change can still be told. Texts have no members:
`_urls.py` and `_commands.py` look into those.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from parsers._contract import ABSENT, SECRET, UNKNOWN, Operation

DROPPED: Final = "(secret dropped)"
"""What stands in `raw` and `values` in the place of a secret."""

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
# As the last words of a name: `password_changed_at`, `token_type` and `secret_santa` hold no secret. Behind them may
# stand the mark of a custom field (`password__c`).
_SECRET: Final = re.compile(
    r"(?:^| )(?:password|passwd|passphrase|passcode|pwd|secret|client secret|api ?key|apikey|access ?key|secret key"
    r"|private ?key|signing ?key|encryption ?key|recovery code|backup code|otp secret|totp secret|mfa secret"
    r"|(?:access|api|auth|bearer|refresh|session|id|secret|service|oauth|personal access|reset|csrf|device|remember"
    r"|remember me|confirmation|unlock|invitation|invite|activation|verification|authentication|password|login) ?token"
    r"|password ?(?:hash|digest|salt)|(?:encrypted|hashed|crypted) password|connection string|authorization|set cookie"
    r")s?(?: c)?$"
).search

_PAIR_NAMES: Final = ("Name", "name", "Key", "key", "displayName", "parameterKey", "ParameterKey")
_PAIR_VALUES: Final = frozenset(
    {"Value", "value", "NewValue", "OldValue", "newValue", "oldValue", "parameterValue", "ParameterValue"}
)
_DEEPEST: Final = 64


_PARTS: Final = ("pass", "pwd", "secret", "key", "token", "code", "string", "authorization", "cookie")
"""One of these is in every name of a secret."""


@lru_cache(maxsize=8192)
def _is_secret(name: str) -> bool:
    lower = name.lower()
    for part in _PARTS:
        if part in lower:
            break
    else:
        return False
    return _SECRET(_HUMP.sub(" ", name).strip().lower()) is not None


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `client_secret`, `apiKey`, `Refresh Token`."""
    return _is_secret(name) if len(name) <= 200 else False


def hidden(value: Any) -> Any:
    """`SECRET` in the place of a secret's value; null, absent, unknown and empty tell nothing and stay."""
    return value if value is None or value is ABSENT or value is UNKNOWN or value in ("", [], {}) else SECRET


def hide_secrets(op: Operation, also: Collection[str] = ()) -> None:
    """Drop the values of secrets from an operation's changes, values and raw members, by their names, however deep.

    `also`: further names, in lower case, that hold secrets in this source.
    """
    for position, change in enumerate(op.changes):
        name = _last(change.field)
        if (is_secret(name) or name.lower() in also) and change.old != change.new:
            op.changes[position] = change._replace(
                old=hidden(change.old), new=hidden(change.new), old_label=None, new_label=None
            )
        else:
            for side in (change.old, change.new):
                if isinstance(side, dict | list):
                    _clean(side, also, 0)
    for holder in (op.values, op.raw):
        if holder:
            _clean(holder, also, 0)


def _last(path: str) -> str:
    """The last name of a path: `settings.smtp.password` -> `password`."""
    return path.rpartition(".")[2].partition("[")[0] if "." in path or "[" in path else path


def _clean(holder: Any, also: Collection[str], depth: int) -> None:
    """Walk objects and arrays; decoded records are at most 64 levels deep."""
    if isinstance(holder, dict):
        if not _PAIR_VALUES.isdisjoint(holder):
            _clean_pair(holder, also)
        for name, value in holder.items():
            if isinstance(value, dict | list):
                if value and ((isinstance(value, list) and is_secret(name)) or (also and name.lower() in also)):
                    holder[name] = DROPPED
                elif depth < _DEEPEST:
                    _clean(value, also, depth + 1)
            elif value is None or value == "" or value is True or value is False:
                continue
            elif is_secret(name) or (also and name.lower() in also):
                holder[name] = DROPPED
    else:
        for value in holder:
            if isinstance(value, dict | list) and depth < _DEEPEST:
                _clean(value, also, depth + 1)


def _clean_pair(holder: dict[str, Any], also: Collection[str]) -> None:
    """In `{"Name": "Password", "Value": "x"}` the name that tells is itself a value."""
    for key in _PAIR_NAMES:
        name = holder.get(key)
        if isinstance(name, str) and (is_secret(name) or name.lower() in also):
            for other in _PAIR_VALUES:
                if holder.get(other) not in (None, "", [], {}):
                    holder[other] = DROPPED
