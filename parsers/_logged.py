"""Secrets in the records of loggers: dropped by the names of members, and from texts (`password=x`, URLs). Pure.

Nearly no text holds one, and there are many texts: a few words are looked for before anything that takes time.
"""

from __future__ import annotations

from typing import Any, Final

from parsers._commands import clean_command
from parsers._contract import Operation
from parsers._secrets import hide_secrets
from parsers._urls import clean_text

_WORDS: Final = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "bearer")
_TEXTS: Final = frozenset(
    {
        *("error.message", "error.stack_trace", "log.original", "process.command_line", "event.reason"),
        *("url.original", "url.full", "url.query", "http.request.referrer", "http.request.body.content"),
    }
)
_DEEPEST: Final = 64


def drop_logged_secrets(op: Operation) -> None:
    """Drop the secrets of an operation from raw members, values and changes, the message and fields that hold texts."""
    raw, fields, message = op.raw, op.fields, op.message
    if raw or op.changes or op.values:
        hide_secrets(op)
        _clean_texts(raw, 0)
        if op.values:
            _clean_texts(op.values, 0)
    if message and ("=" in message or ":" in message):
        op.message = clean_logged(message)
    if not _TEXTS.isdisjoint(fields):
        for name in _TEXTS.intersection(fields):
            if isinstance(fields[name], str):
                fields[name] = clean_logged(fields[name])


def clean_logged(text: str) -> str:
    """A text of a log without what stands behind `password=`, `token: `, `Bearer ` and their like, or opens a URL."""
    if "=" not in text and ":" not in text:
        return text
    lower = text.lower()
    for word in _WORDS:
        if word in lower:
            text = clean_command(text)
            break
    return clean_text(text) if "://" in text and ("=" in text or "@" in text) else text


def _clean_texts(holder: Any, depth: int) -> None:
    for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
        if isinstance(value, str):
            if "=" in value or ":" in value:
                holder[key] = clean_logged(value)
        elif isinstance(value, dict | list) and depth < _DEEPEST:
            _clean_texts(value, depth + 1)
