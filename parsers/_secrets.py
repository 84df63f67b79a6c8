"""Secrets in values: a parser drops them itself, so that no policy and no later stage can let them out. Pure.

What stays of a changed password is that it changed: a value becomes `SECRET`; null and absent stay, so that the
direction of the change can still be told.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from parsers._contract import ABSENT, SECRET, UNKNOWN, Operation

DROPPED: Final = "(secret dropped)"
"""What stands in `raw` and `values` in the place of a secret."""

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
# As the last words of a name: `password_changed_at`, `token_type` and `secret_santa` hold no secret.
_SECRET: Final = re.compile(
    r"(?:^| )(?:password|passwd|passphrase|passcode|pwd|secret|client secret|api ?key|apikey|access ?key|secret key"
    r"|private ?key|signing ?key|encryption ?key|recovery code|backup code|otp secret|totp secret|mfa secret"
    r"|(?:access|api|auth|bearer|refresh|session|id|secret|service|oauth|personal access|reset|csrf|device) ?token"
    r"|password ?(?:hash|digest|salt)|encrypted password|crypted password|connection string"
    r"|authorization|set cookie)s?$"
).search


@lru_cache(maxsize=8192)
def _is_secret(name: str) -> bool:
    return _SECRET(_HUMP.sub(" ", name).strip().lower()) is not None


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `client_secret`, `apiKey`, `Refresh Token`."""
    return _is_secret(name) if len(name) <= 200 else False


def hidden(value: Any) -> Any:
    """`SECRET` in the place of a secret's value; null, absent, unknown and empty tell nothing and stay."""
    return value if value is None or value is ABSENT or value is UNKNOWN or value in ("", [], {}) else SECRET


def hide_secrets(op: Operation) -> None:
    """Drop the values of secrets from an operation's changes, values and raw members, by their names."""
    for position, change in enumerate(op.changes):
        if is_secret(_last(change.field)) and change.old != change.new:
            op.changes[position] = change._replace(
                old=hidden(change.old), new=hidden(change.new), old_label=None, new_label=None
            )
    for name, value in op.values.items():
        if is_secret(name) and value not in (None, "", [], {}):
            op.values[name] = DROPPED
    if op.raw:
        _clean(op.raw, 0)


def _last(path: str) -> str:
    """The last name of a path: `settings.smtp.password` -> `password`."""
    return path.rpartition(".")[2].partition("[")[0] if "." in path or "[" in path else path


def _clean(holder: Any, depth: int) -> None:
    """Walk what nothing mapped; decoded records are at most 64 levels deep."""
    if isinstance(holder, dict):
        for name, value in holder.items():
            if isinstance(value, dict | list):
                if value and isinstance(value, list) and is_secret(name) and not isinstance(value[0], dict):
                    holder[name] = DROPPED
                elif depth < 64:
                    _clean(value, depth + 1)
            elif isinstance(value, str) and value and is_secret(name):
                holder[name] = DROPPED
    else:
        for value in holder:
            if isinstance(value, dict | list) and depth < 64:
                _clean(value, depth + 1)
