"""Withholding in plain text, where there are no fields to go by: the text half of `shipper.protect`. Pure.

What it can do: find `key: value` and `key=value` pairs whose key the policy withholds, and things that look like an
IBAN, a card number, a US social security number or, if asked, any long number. What it cannot: know that some other
word is a salary. Every pattern is linear in the length of the text, which may be hostile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WITHHELD: Final = "(withheld)"
STARS: Final = "******"

# A key in quotes (JSON, Python, JSON within JSON) or bare, and the sign after it. A bare key starts where a word
# starts: without the look-behind a long word would be tried again from each of its letters.
_KEY = re.compile(
    r"""(?:\\{0,4}["']([^"'\\]{1,128}+)\\{0,4}["']|(?<![A-Za-z0-9_.\-])([A-Za-z_][A-Za-z0-9_.\-]{0,127}+))"""
    r"""[ \t]{0,8}(=>|[:=])[ \t]{0,8}"""
)
_QUOTED = re.compile(r"""(\\{0,4})(["'])""")
_STRING: Final = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+{quote}?", re.DOTALL) for quote in ('"', "'")}
_AFTER_EQUALS = re.compile(r"[^\s,;&|}\])]*")
_AFTER_COLON = re.compile(r"[^\r\n,;|}\]]*")
_OPENING: Final = {"{": "}", "[": "]", "(": ")"}

# Two keys are called as secrets are, and often hold none. `PWD=` of the shell and of sudo is a directory, if a path and
# a blank stand behind it; but not in a connection string (`UID=sa; PWD=…`).
_DIRECTORIES: Final = frozenset({"PWD=", "OLDPWD="})
_directory = re.compile(r"/[A-Za-z0-9._@+~/-]{0,4096}+(?=\s|$)").match
_in_connection = re.compile(r"\S;\s\Z|UID=").search
_NEAR: Final = 200
# And passwd is a program, known by the words that it uses, and a service of PAM (`pam_unix(passwd:chauthtok)`).
_of_program = re.compile(
    r"(?<=\(passwd:)(?:auth|account|session|chauthtok|setcred)\)|pam_[a-z0-9_]{1,32}\("
    r"|password (?:changed for |unchanged\b|for '|expiry |aging )|Authentication (?:token|failure)\b"
    r"|(?:expiring the password|unlocking the password|You may not|You must|[Cc]annot) "
).match

_TELLING: Final = (
    # IBAN (ISO 13616): country, two digits, up to 30 letters and digits, in one piece or in groups of four.
    re.compile(r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?\b"),
    # US social security number.
    re.compile(r"(?<![0-9])[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}(?![0-9])"),
    # Card number in groups.
    re.compile(r"(?<![0-9])[0-9]{4}(?:[ -][0-9]{4}){2}[ -]?[0-9]{1,7}(?![0-9])"),
)
# A place where one of the patterns above and below can match, if any does, in the classes of a text's bytes: letters,
# digits, `_`, what may stand between groups, the rest. It begins with a number's first two digits, which are rare in
# sentences, so that most texts are passed over at the speed of a search for two bytes.
_CLASSES: Final = bytes.maketrans(
    bytes(range(256)),
    b"".join(
        b"0" if char in b"0123456789" else b"a" if char.isalpha() else b"_" if char == b"_"
        else b"-" if char in b"-. " else b"/" for char in (bytes([code]) for code in range(256))
    ),
)  # fmt: skip
_suspect_classes = re.compile(
    rb"00(?<!000)(?:(?<=[-/]aa00)(?:-?[a0]{4}){2}|0(?:-00-0|0(?:-0{4}-0{4}-?0|0{9})))",
).search
# The keys of `_KEY` that stand in no quotes, in a text written backwards: sought from their signs, since few words are
# followed by one. A key of more than 128 characters is none here either.
_keys_backwards = re.compile(r"[:=][ \t]{0,8}([A-Za-z0-9_.\-]{1,128}+)(?![A-Za-z0-9_.\-])").findall
_MOST_KEYS: Final = 1024
_CARD = re.compile(r"(?<![0-9])[0-9]{13,19}(?![0-9])")
_LONG = re.compile(r"\d{6,}")


def pairs(text: str, withheld: Callable[[str], bool]) -> str:
    """`text` with the value of each `key: value` or `key=value` replaced whose key `withheld` says yes to."""
    if "=" not in text and ":" not in text:
        return text
    out: list[str] = []
    done = position = 0
    while (found := _KEY.search(text, position)) is not None:
        position = found.end()
        if not withheld(found[1] or found[2]) or _tells_no_secret(text, found):
            continue
        end = _value_end(text, position, found[3])
        if end > position:
            out += (text[done:position], WITHHELD)
            done = position = end
    if not out:
        return text
    out.append(text[done:])
    return "".join(out)


def _tells_no_secret(text: str, key: re.Match[str]) -> bool:
    """Whether what stands around a key shows that it is none of a secret."""
    start, end = key.span()
    if key[0] in _DIRECTORIES:
        before = text[max(0, start - _NEAR) : start]
        alone = not before or before[-1].isspace()
        return alone and _directory(text, end) is not None and _in_connection(before) is None
    return key[2] == "passwd" and key[3] == ":" and _of_program(text, end) is not None


def patterns(text: str, *, numbers: bool) -> str:
    """`text` without what looks like an IBAN, a social security or a card number; with `numbers`, any long number."""
    if numbers:
        for pattern in _TELLING:
            text = pattern.sub(STARS, text)
        return _LONG.sub(STARS, text)
    if not _is_suspect(text):
        return text
    for pattern in _TELLING:
        text = pattern.sub(STARS, text)
    return _CARD.sub(lambda found: STARS if _luhn(found[0]) else found[0], text)


class Sieve:
    """Tells of most texts at a glance that neither `pairs` nor `patterns` (without `numbers`) would change them.

    Keys that are kept are remembered, at most `_MOST_KEYS` of at most 128 characters.
    """

    __slots__ = ("_kept", "_withheld")

    def __init__(self, withheld: Callable[[str], bool]) -> None:
        self._withheld = withheld
        self._kept: set[str] = set()
        """Keys, written backwards."""

    def passes(self, text: str) -> bool:
        """Whether nothing in `text` is withheld; False may also mean that it takes a longer look.

        What is true of a text is true of each part of it between two signs of which no key, number or word has one
        (and which are no quotes): texts may be joined by `|`, and parts between blanks or beside `?` need no look of
        their own.
        """
        if "=" in text or ":" in text:
            if '"' in text or "'" in text:
                return False
            found = _keys_backwards(text[::-1])
            if not self._kept.issuperset(found) and not self._keeps(found):
                return False
        return not _is_suspect(text)

    def _keeps(self, found: list[str]) -> bool:
        for key in found:
            if key in self._kept:
                continue
            if self._withheld(key[::-1]):
                return False
            if len(self._kept) < _MOST_KEYS:
                self._kept.add(key)
        return True


def _is_suspect(text: str) -> bool:
    """Whether one of the patterns may match."""
    return _suspect_classes(b"/" + text.encode("utf-8", "replace").translate(_CLASSES)) is not None


def _luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _value_end(text: str, start: int, sign: str) -> int:
    """Where the value that begins at `start` ends; in doubt too late rather than too early."""
    quoted = _QUOTED.match(text, start)
    if quoted is not None:
        if quoted[1]:
            end = text.find(quoted[0], quoted.end())
            return len(text) if end < 0 else end + len(quoted[0])
        string = _STRING[quoted[2]].match(text, quoted.end())
        return string.end() if string else len(text)
    if text[start : start + 1] in _OPENING:
        return _bracket_end(text, start)
    bare = (_AFTER_EQUALS if sign == "=" else _AFTER_COLON).match(text, start)
    return bare.end() if bare else start


def _bracket_end(text: str, start: int) -> int:
    """The end of the bracketed value, or of the text where a bracket never closes."""
    waiting: list[str] = []
    quote = ""
    skip = False
    for index in range(start, len(text)):
        char = text[index]
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif quote:
            if char == quote:
                quote = ""
        elif char == '"':
            quote = char
        elif char in _OPENING:
            waiting.append(_OPENING[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return index + 1
    return len(text)
