"""Patterns that users write: each match has a time limit, so that none can hang the agent. Pure.

The standard library's `re` cannot be stopped; `regex` can, and reads the same patterns. Ours need no limit: they are
written so that each can match a text in few ways, and tests hold them against long nonsense.
"""

from __future__ import annotations

from typing import Any, Final

MATCH_SECONDS: Final = 0.05
"""Longest time that one pattern may look at one text; then `TimeoutError`. Give it as `timeout=` to each match."""


class PatternError(ValueError):
    """A pattern that cannot be compiled; the text says why."""


def compiled(pattern: str | bytes) -> Any:
    """The pattern of `regex`. Raises `PatternError`."""
    import regex  # noqa: PLC0415 - 25 ms at import, and few have patterns of their own

    try:
        return regex.compile(pattern, regex.VERSION0)
    except regex.error as error:
        raise PatternError(f"not a regular expression: {error}") from None
