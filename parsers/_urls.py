"""Secrets in URLs: what lets somebody in (parameters, passwords, keys of incoming webhooks) is dropped. Pure.

`clean_url` is for a text that is a URL or a part of one, `clean_text` for a text with URLs in it, `clean_urls` for all
texts of a document. They drop too much rather than too little: `country_code=DE` goes with `code=4711`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from parsers._secrets import DROPPED, is_secret

_Names = Callable[[str], Iterator[re.Match[str]]]
_Value = Callable[[str, int], re.Match[str] | None]

# Only names are looked for, so that the parameters of a URL within a parameter's value are seen too.
_names: Final = re.compile(r"(?:^|(?<=[?&;#]))([^=&;?#]{1,200})=").finditer
_value: Final = re.compile(r"[^&;#]+").match
_names_in_text: Final = re.compile(r"(?<=[?&;#])([^=&;?#\s\"'<>]{1,200})=").finditer
_value_in_text: Final = re.compile(r"(?!\(secret dropped\))[\"']?[^&;#\s\"'<>]+").match
_account: Final = re.compile(r"(?<=://)([^/@:\s]{0,200}):[^/@\s]{1,500}(?=@)").sub
# Addresses of incoming webhooks, whose last part is the key: Slack's and Discord's.
_hook: Final = re.compile(r"(/services/T[A-Z0-9]{1,20}/B[A-Z0-9]{1,20}/|/api/webhooks/[0-9]{1,25}/)[\w\-]{1,200}").sub
_KEYS: Final = frozenset({"tk", "zak", "auth", "jwt", "otp", "pass"})
_ENDINGS: Final = (
    *("token", "code", "password", "passwd", "pwd", "secret", "key", "sig", "signature", "ticket", "assertion"),
    *("samlresponse", "samlrequest"),
)
"""How names of parameters end that open something; many of them would tell nothing as names of fields."""
_DEEPEST: Final = 64


def clean_url(text: str) -> str:
    """A URL, its path with the query, or the query, without secrets: `/j/7?pwd=x` -> `/j/7?pwd=(secret dropped)`."""
    return _clean(text, _names, _value)


def clean_text(text: str) -> str:
    """A text without the secrets of the URLs in it; a text in which no `://` stands is left as it is."""
    return _clean(text, _names_in_text, _value_in_text) if "://" in text else text


def clean_urls(holder: Any, depth: int = 0) -> None:
    """`clean_text` for every text in a decoded object or array, in place."""
    for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(value, str):
            if "://" in value:
                holder[key] = clean_text(value)
        elif isinstance(value, dict | list) and depth < _DEEPEST:
            clean_urls(value, depth + 1)


def _clean(text: str, names: _Names, value: _Value) -> str:
    if "=" in text:
        parts: list[str] = []
        end = 0
        for found in names(text):
            held = value(text, found.end()) if found.start() >= end and _opens(found[1]) else None
            if held is not None:
                parts += (text[end : held.start()], DROPPED)
                end = held.end()
        text = "".join((*parts, text[end:]))
    if "@" in text:
        text = _account(rf"\1:{DROPPED}", text)
    return _hook(rf"\1{DROPPED}", text) if "/services/T" in text or "/api/webhooks/" in text else text


def _opens(name: str) -> bool:
    """Whether a parameter of this name lets somebody in; `user[password]` and `user%5Bpassword%5D` do."""
    name = unquote(name).rstrip("]")
    lower = name.lower()
    return lower in _KEYS or lower.endswith(_ENDINGS) or is_secret(name)
