"""The install engine: bring what a server has to what it should have, and say what differed.

A `Kind` knows how one sort of thing is read, written and compared; `install` is the same for all of them. Done twice,
it changes nothing; what is newer on the server is left alone; what needs a plugin that is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import orjson

from shipper.outputs._opensearch_errors import DeniedError

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

INSTALLED: Final = "installed"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"
NEWER: Final = "newer"
LEFT_OUT: Final = "left out"
"""How the result of a part begins whose plugin is not there; the reason follows."""

_LONGEST_VALUE: Final = 60
"""Characters of one value in a difference."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the server has. `body`: as it tells it.

    `handle`: what a replacement must name (a monitor's id, `(seq_no, primary_term)`), None if nothing.
    """

    body: Mapping[str, Any]
    handle: Any = None


class Kind(Protocol):
    """One sort of thing that a server keeps under a name.

    `label`: in words, e.g. "index template". `plugin`: its name in `GET /_cat/plugins`, None for what every server has.
    """

    @property
    def label(self) -> str:
        """In words, e.g. `index template`."""

    @property
    def plugin(self) -> str | None:
        """The plugin that must be there; None: none."""

    def read(self, client: Client, name: str) -> Stored | None:
        """What the server has under this name; None: nothing. `UnavailableError`."""

    def write(self, client: Client, name: str, body: Mapping[str, Any], stored: Stored | None) -> None:
        """Put it there, in place of `stored`. `UnavailableError`."""

    def normal(self, body: Mapping[str, Any]) -> Any:
        """Comparable JSON: without what a server adds to a body or writes otherwise."""

    def version(self, body: Mapping[str, Any]) -> int | None:
        """The version of a body, ours or a stored one; None: it has none."""

    def path(self, name: str) -> str:
        """The address to send a body to, for those who install by other means."""


@dataclass(frozen=True, slots=True)
class Part:
    """Things of one kind: name -> body, in the order to install them."""

    kind: Kind
    bodies: Mapping[str, Mapping[str, Any]]


class Step(NamedTuple):
    """What became of one thing.

    `result`: `installed`, `updated`, `unchanged`, `newer` (left as it is), or `left out: <why>`. `difference`: one line
    for each member that an update changes, `settings.index.codec: best_compression -> zstd`.
    """

    kind: str
    name: str
    result: str
    difference: tuple[str, ...] = ()


def install(client: Client, parts: Iterable[Part], *, dry_run: bool = False) -> Iterator[Step]:
    """Put each thing that is not there as it should be, part by part. `dry_run`: only say so. `UnavailableError`."""
    plugins: frozenset[str] | None = None
    asked = False
    for part in parts:
        kind = part.kind
        if kind.plugin is not None and not asked:
            plugins, asked = installed_plugins(client), True
        if kind.plugin is not None and plugins is not None and kind.plugin not in plugins:
            why = f"{LEFT_OUT}: the server has no plugin {kind.plugin}"
            yield from (Step(kind.label, name, why) for name in part.bodies)
            continue
        for name, body in part.bodies.items():
            yield _install(client, kind, name, body, dry_run=dry_run)


def _install(client: Client, kind: Kind, name: str, body: Mapping[str, Any], *, dry_run: bool) -> Step:
    stored = kind.read(client, name)
    differing: tuple[str, ...] = ()
    if stored is not None:
        there, wanted = kind.normal(stored.body), kind.normal(body)
        if there == wanted:
            return Step(kind.label, name, UNCHANGED)
        version, ours = kind.version(stored.body), kind.version(body)
        if version is not None and ours is not None and version > ours:
            return Step(kind.label, name, NEWER)
        differing = difference(there, wanted)
    if not dry_run:
        kind.write(client, name, body, stored)
    return Step(kind.label, name, INSTALLED if stored is None else UPDATED, differing)


def installed_plugins(client: Client) -> frozenset[str] | None:
    """The names of the server's plugins; None where the account may not ask, so that only a try can tell."""
    try:
        told = client.ask("list the plugins", "GET", "/_cat/plugins", params={"format": "json", "h": "component"})
    except DeniedError:
        return None
    lines = told if isinstance(told, list) else ()
    return frozenset(str(line.get("component")) for line in lines if isinstance(line, dict))


def difference(there: Any, wanted: Any) -> tuple[str, ...]:
    """What makes `there` into `wanted`, one line for each member, by its path: `a.b: 1 -> 2`, `c: added`, `d: removed`.

    Both are JSON values. Long values are cut with `…`; a member that is new or gone as a whole is named once.
    """
    return tuple(_differing(there, wanted, ""))


def _differing(there: Any, wanted: Any, path: str) -> Iterator[str]:
    if there == wanted:
        return
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        for name in sorted({*there, *wanted}):
            inner = f"{path}.{name}" if path else str(name)
            if name not in there:
                yield f"{inner}: added"
            elif name not in wanted:
                yield f"{inner}: removed"
            else:
                yield from _differing(there[name], wanted[name], inner)
    elif _listed(there) and _listed(wanted) and len(there) == len(wanted) and any(map(_nested, wanted)):
        for number, (one, other) in enumerate(zip(there, wanted, strict=True)):
            yield from _differing(one, other, f"{path}[{number}]")
    else:
        yield f"{path or 'all'}: {_shown(there)} -> {_shown(wanted)}"


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or _listed(value)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = text.replace("\n", "\\n")
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
