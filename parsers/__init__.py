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
    "get",
    "load",
    "names",
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
def names() -> tuple[str, ...]:
    """The names of all formats of this package, in alphabetical order; none of them is imported for it."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


@cache
def get(name: str) -> Parser:
    """The format called `name`, imported when it is first asked for. `KeyError` for a name that there is not."""
    if name not in names():
        raise KeyError(name)
    module = import_module(f"{__name__}.{name}")
    return Parser(module.FORMAT, module.parse, cleandoc(module.__doc__ or ""), tuple(getattr(module, "LITERALS", ())))


def load() -> dict[str, Parser]:
    """Every format of this package by its name, in alphabetical order."""
    return {name: get(name) for name in names()}
