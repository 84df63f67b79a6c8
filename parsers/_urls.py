"""Addresses that let their reader in: what stands in a URL for a password or a token is dropped. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._secrets import DROPPED, is_secret

_PARAMETER: Final = re.compile(r"(?<=[?&;#])([A-Za-z0-9_.\-]{1,100})=(?!\(secret dropped\))([^&;#\s\"'<>]+)")
_ACCOUNT: Final = re.compile(r"(?<=://)([^/@:\s]{0,200}):[^/@\s]{1,500}(?=@)")
# Addresses of incoming webhooks, whose last part is the key: Slack's and Discord's.
_HOOK: Final = re.compile(r"(/services/T[A-Z0-9]{1,20}/B[A-Z0-9]{1,20}/|/api/webhooks/[0-9]{1,25}/)[\w\-]{1,200}")
_KEYS: Final = frozenset({"token", "tk", "zak", "key", "sig", "signature", "code", "auth", "jwt", "otp", "pass"})
"""Names of parameters that open something, beside those that are secrets anywhere."""
_DEEPEST: Final = 64


def _parameter(found: re.Match[str]) -> str:
    name = found[1]
    secret = name.lower() in _KEYS or name.lower().endswith("_token") or is_secret(name)
    return f"{name}={DROPPED}" if secret else found[0]


def clean_url(text: str) -> str:
    """A text without the secrets of the addresses in it: `…/j/7?pwd=x` -> `…/j/7?pwd=(secret dropped)`."""
    if "://" not in text:
        return text
    if "=" in text:
        text = _PARAMETER.sub(_parameter, text)
    if "@" in text:
        text = _ACCOUNT.sub(rf"\1:{DROPPED}", text)
    return _HOOK.sub(rf"\1{DROPPED}", text) if "/services/T" in text or "/api/webhooks/" in text else text


def clean_urls(holder: Any, depth: int = 0) -> None:
    """`clean_url` for every text in a decoded object or array, in place."""
    for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(value, str):
            if "://" in value:
                holder[key] = clean_url(value)
        elif isinstance(value, dict | list) and depth < _DEEPEST:
            clean_urls(value, depth + 1)
