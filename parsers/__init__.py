"""The log formats: one module each, found by file name; what they return is in `parsers._contract`.

A module whose name begins with `_` is shared code. Every other one is a format and has a docstring (its user
documentation), `FORMAT` (its card, `FORMAT.name` equal to the module's name), `parse`, and optionally `LITERALS`: bytes
of which at least one occurs in any record that the format accepts, so that `auto` can rule it out without parsing.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from inspect import cleandoc
from typing import NamedTuple

from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Context, Format, Gives, Operation, Parse, Rejected, Time

__all__ = [
    "ABSENT",
    "SECRET",
    "UNKNOWN",
    "Change",
    "Context",
    "Format",
    "Gives",
    "Operation",
    "Parse",
    "Parser",
    "Rejected",
    "Time",
    "load",
]


class Parser(NamedTuple):
    """A format as others use it: its card, its pure function, and its documentation.

    `literals`: one of them occurs in any record that the format accepts; empty where nothing can be said.
    """

    format: Format
    parse: Parse
    doc: str
    literals: tuple[bytes, ...] = ()


@cache
def _found() -> tuple[tuple[str, Parser], ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return tuple((name, _parser(name)) for name in names)


def _parser(name: str) -> Parser:
    module = import_module(f"{__name__}.{name}")
    return Parser(module.FORMAT, module.parse, cleandoc(module.__doc__ or ""), tuple(getattr(module, "LITERALS", ())))


def load() -> dict[str, Parser]:
    """Every format of this package by its name, in alphabetical order."""
    return dict(_found())
