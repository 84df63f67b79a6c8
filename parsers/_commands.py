"""Secrets in texts (command lines, SQL, messages): what stands behind a word such as `--password=` is dropped. Pure.

Texts have no members whose names could tell, so this goes by the words before a value. It drops too much rather than
too little; a secret without such a word (`VALUES ('kim', 'hunter2')`, a password of several words) it cannot see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Final, NamedTuple

from parsers._contract import Operation
from parsers._secrets import DROPPED, hide_secrets
from parsers._urls import clean_text

_LITERAL: Final = (
    r"""(?:'(?:[^'\\]|''|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z)"""
    r"""|\$([A-Za-z_0-9]{0,30})\$.*?(?:\$\3\$|\Z))"""
)
_WORD: Final = r"""(?:"[^"]*+"?|'[^']*+'?|[^\s;&|"']+)"""
_NAMES: Final = (
    r"(?:password|passwd|passphrase|passcode|[_-]pwd|pass|secret|token|credential|api[_-]?key|access[_-]?key"
    r"|secret[_-]?key|private[_-]?key|auth[_-]?key)"
)


@cache
def _sql() -> Callable[[str], str]:
    find = re.compile(
        r"(password(?:_?(?:hash|digest|salt))?\b\"?(?:\s{1,9}for\s{1,9}\S{1,200})?|passwd\b|secret\b|token\b|api_?key\b"
        r"|identified\s{1,9}(?:with\s{1,9}\S{1,99}\s{1,9})?(?:by|as)\b|\bcrypt)"
        rf"(\s{{0,9}}(?:=|:=|=>|to\b|\()?\s{{0,9}}(?:E|N|U&|_utf8)?){_LITERAL}",
        re.IGNORECASE | re.DOTALL,
    ).sub
    return lambda text: find(rf"\1\2'{DROPPED}'", text)


_NEEDLES: Final = ("pass", "_pwd", "-pwd", "secret", "token", "credential", "key")


class _Rule(NamedTuple):
    """`needles`: one of them is in any text (in lower case) to which the rule applies; a look for them is cheap."""

    needles: tuple[str, ...]
    clean: Callable[[str], str]


def _rule(needles: tuple[str, ...], pattern: str, tools: str = "") -> _Rule:
    find = re.compile(pattern, re.IGNORECASE).sub
    if not tools:
        return _Rule(needles, partial(find, _KEPT))
    has = re.compile(rf"(?:^|[\s/=;|&(\"'])(?:{tools})(?=[\s;|&\"']|$)", re.IGNORECASE).search
    return _Rule(needles, lambda text: find(_KEPT, text) if has(text) else text)


_KEPT: Final = rf"\g<1>{DROPPED}"


@cache
def _assignment() -> _Rule:
    return _rule(_NEEDLES, rf"({_NAMES}s?=){_WORD}")


@cache
def _shell() -> tuple[_Rule, ...]:
    """In order; the last ones know the options of a tool."""
    return (
        _assignment(),
        _rule(_NEEDLES, rf"((?:password|passwd|passphrase|secret|token|[_-]key):\s{{1,2}}){_WORD}"),
        _rule(_NEEDLES, rf"(--[a-z0-9-]{{0,30}}{_NAMES}\s{{1,9}})(?!-|\(secret){_WORD}"),
        _Rule(("://",), clean_text),
        _rule(
            ("authorization", "bearer"),
            r"(\bauthorization:?\s{0,9}(?:bearer|basic|token|digest)\s{1,9}|\bbearer\s{1,9})[\w.~+/=-]{1,5000}",
        ),
        _rule(("pass:",), r"(\spass:)\S{1,500}"),
        _rule(("mysql", "mariadb"), rf"(\s-p)(?!\s){_WORD}", "mysql[a-z_-]{0,20}|mariadb[a-z_-]{0,20}"),
        _rule(
            ("sshpass", "useradd", "usermod", "docker", "podman"),
            rf"(\s-p\s{{0,9}}){_WORD}",
            r"sshpass|useradd|usermod|(?:docker|podman)\s{1,9}login",
        ),
        _rule(("ldap",), rf"(\s-w\s{{0,9}}){_WORD}", "ldap[a-z]{1,20}"),
        _rule(("redis-cli",), rf"(\s-a\s{{0,9}}){_WORD}", "redis-cli"),
        _rule(("curl",), r"(\s(?:-u|--user)\s{0,9}[\"']?[^\s:\"']{1,200}:)[^\s\"']{1,500}", "curl"),
        _rule(("smbclient",), r"(\s-U\s{0,9}[\"']?[^\s%\"']{1,200}%)[^\s\"']{1,500}", "smbclient"),
    )


_SQL_NEEDLES: Final = (*_NEEDLES, "identified", "crypt")


def clean_sql(text: str) -> str:
    """SQL without the literals behind PASSWORD, IDENTIFIED BY and their like, and without secrets in what it quotes."""
    lower = text.lower()
    if any(needle in lower for needle in _SQL_NEEDLES):
        # Connection strings stand in literals: CONNECTION 'host=db1 password=…'.
        return _assignment().clean(_sql()(text))
    return text


_HINTS: Final = (
    "pass", "_pwd", "-pwd", "secret", "token", "credential", "key", "identified", "crypt", "://", "authorization",
    "bearer", "mysql", "mariadb", "useradd", "usermod", "docker", "podman", "ldap", "redis", "curl", "smbclient",
)  # fmt: skip
"""One of these is in every text that is cleaned: looks for fixed words are the quickest way past the others."""


def clean_command(text: str) -> str:
    """A command line without passwords, tokens and keys in options, assignments, URLs and SQL."""
    if len(text) < 6:
        return text
    lower = text.lower()
    for hint in _HINTS:
        if hint in lower:
            break
    else:
        return text
    if any(needle in lower for needle in _SQL_NEEDLES):
        text = _sql()(text)
    for needles, clean in _shell():
        if any(needle in lower for needle in needles):
            text = clean(text)
    return text


_TOKENS: Final = frozenset({"token", "cookie", "jwt", "auth", "credentials"})
"""Names of pairs that are secrets when they stand alone."""
_TEXTS: Final = ("url.original", "http.request.referrer", "process.command_line", "event.reason", "error.message")


def drop_secrets(op: Operation) -> None:
    """For formats whose members are all texts: secrets by their names, and those inside of texts."""
    hide_secrets(op)
    for name, value in op.raw.items():
        if value and name.lower() in _TOKENS:
            op.raw[name] = DROPPED
        elif isinstance(value, str):
            op.raw[name] = clean_command(value)
        elif isinstance(value, list):
            op.raw[name] = [clean_command(part) if isinstance(part, str) else part for part in value]
    for name in _TEXTS:
        if name in op.fields:
            op.fields[name] = clean_command(op.fields[name])
    if op.message:
        op.message = clean_command(op.message)
