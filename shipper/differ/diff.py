"""Two states of one record, compared: what changed, field by field. Pure.

Rules:

- Members of objects by path (`address.city`).
- Lists of tags, ids and their like are sets: one change for each value that came (`old` absent) or went (`new` absent);
  their order means nothing.
- Lists of objects that all have an id, each another, are compared by it (`phones[7].number`); order means nothing.
- Any other list changes as a whole; within it the order of everything counts.
- Values are compared as JSON: `1` is `1.0` and not `true`. Absent, null, `""`, `[]` and `{}` are five different things.
- Fields that a policy ignores are counted, and never change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from parsers._contract import ABSENT
from parsers._json import Number, snake
from shipper.changes import same

MOST_OF_A_LIST: Final = 100
"""Elements of one list that change one by one; a list in which more changed changes as a whole."""
_SETS: Final = frozenset(
    """followers groups ids keywords labels members permissions recipients roles scopes skills subscribers tags teams
    watchers""".split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""Last words of names of lists in which the order of the values means nothing."""


class ById(str):
    """A step to the element of a list that has this id; a plain text is a step to a member of this name."""

    __slots__ = ()


Path = tuple[str, ...]
"""Steps from a record to a value in it: names of members, and `ById`."""


@dataclass(frozen=True, slots=True)
class ObjectPolicy:
    """How records of one type are compared.

    Paths here are names joined by dots, without ids (`phones.checked_at`); `*` stands for any part of one name.
    `ignore`: fields, with all beneath them, of which differences are only counted (counters, times of synchronisation).
    `sets`: further lists in which order means nothing. `ids`: list -> the member that tells its elements apart, where
    that is not `id`. `beside`: members of such an element that are told with what changed in it. `aliases`: name of a
    field in the source's own records of changes -> path of it in the snapshot.
    """

    ignore: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


class Difference(NamedTuple):
    """One field that is not what it was. `old`, `new`: JSON values, or `ABSENT`.

    `element`: a value that came into, or went from, the set at `path`.
    """

    path: Path
    old: Any
    new: Any
    element: bool = False

    @property
    def field(self) -> str:
        """The path as text."""
        return text_of_path(self.path)


class Diff(NamedTuple):
    """What differs, in the order of the new state, then what only the old one has; `ignored`: fields only counted."""

    differences: tuple[Difference, ...]
    ignored: int


def text_of_path(path: Path) -> str:
    """A path as people, and the field policy, read it: names by dots, ids in brackets."""
    text = ""
    for step in path:
        if isinstance(step, ById):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step or '""'
    return text


def diff(old: Mapping[str, Any], new: Mapping[str, Any], policy: ObjectPolicy) -> Diff:
    """What `new` has otherwise than `old`: both the same record, decoded by `parsers._json.decode`."""
    found: list[Difference] = []
    _members(found, (), old, new, policy)
    if not policy.ignore:
        return Diff(tuple(found), 0)
    patterns = [pattern.split(".") for pattern in policy.ignore]
    kept = tuple(one for one in found if not _is_under(one.path, patterns))
    return Diff(kept, len(found) - len(kept))


def beside(paths: Collection[Path], body: Mapping[str, Any], policy: ObjectPolicy) -> dict[str, Any]:
    """Path as text -> value of what `policy` wants told with changes at `paths`; `body`: the record as it is now."""
    found: dict[str, Any] = {}
    for path in paths if policy.beside else ():
        here: Any = body
        for place, step in enumerate(path[:-1]):
            if isinstance(step, ById):
                member = policy.ids.get(".".join(_names(path[:place])), "id")
                here = (_by_id(here, member) or {}).get(step) if isinstance(here, list) else None
                names = policy.beside if isinstance(here, dict) else ()
                found |= {text_of_path((*path[: place + 1], name)): here[name] for name in names if name in here}
            else:
                here = here.get(step) if isinstance(here, dict) else None
    return {name: value for name, value in found.items() if name not in {text_of_path(path) for path in paths}}


def _is_under(path: Path, patterns: list[list[str]]) -> bool:
    names = _names(path)
    return any(
        len(parts) <= len(names) and all(fnmatchcase(name, part) for name, part in zip(names, parts, strict=False))
        for parts in patterns
    )


def _names(path: Path) -> list[str]:
    return [step for step in path if not isinstance(step, ById)]


def _members(
    found: list[Difference], path: Path, old: Mapping[str, Any], new: Mapping[str, Any], policy: ObjectPolicy
) -> None:
    for name, value in new.items():
        _values(found, (*path, name), old.get(name, ABSENT), value, policy)
    found += [Difference((*path, name), value, ABSENT) for name, value in old.items() if name not in new]


def _values(found: list[Difference], path: Path, old: Any, new: Any, policy: ObjectPolicy) -> None:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        _members(found, path, old, new, policy)
        return
    if isinstance(old, list) and isinstance(new, list):
        inside: list[Difference] | None = None
        if _is_set(path, policy):
            inside = _elements(path, old, new)
        if inside is None:
            inside = _listed(path, old, new, policy)
        if inside is not None and len(inside) <= MOST_OF_A_LIST:
            found += inside
            return
    found.append(Difference(path, old, new))


def _is_set(path: Path, policy: ObjectPolicy) -> bool:
    names = _names(path)
    if snake(names[-1]).rpartition("_")[2] in _SETS:
        return True
    return any(
        len(parts) == len(names) and all(map(fnmatchcase, names, parts))
        for parts in (pattern.split(".") for pattern in policy.sets)
    )


def _elements(path: Path, old: list[Any], new: list[Any]) -> list[Difference] | None:
    """What went from a set, and what came; None where it holds lists or objects."""
    if any(isinstance(value, dict | list) for value in (*old, *new)):
        return None
    before, after = ({_identity(value): value for value in values} for values in (old, new))
    gone = [Difference(path, value, ABSENT, element=True) for key, value in before.items() if key not in after]
    come = [Difference(path, ABSENT, value, element=True) for key, value in after.items() if key not in before]
    return gone + come


def _identity(value: Any) -> tuple[str, Any]:
    """Equal for scalars that are the same as JSON."""
    if isinstance(value, bool):
        return "bool", value
    if value is None:
        return "null", None
    if isinstance(value, Number | int | float):
        try:
            return "number", Decimal(repr(value) if isinstance(value, float) else str(value))
        except InvalidOperation:  # an exponent that Decimal cannot hold
            return "number", str(value)
    return "text", value


def _listed(path: Path, old: list[Any], new: list[Any], policy: ObjectPolicy) -> list[Difference] | None:
    """Differences of a list of objects by their ids; None where not all of them have one."""
    member = policy.ids.get(".".join(_names(path)), "id")
    before, after = _by_id(old, member), _by_id(new, member)
    if before is None or after is None:
        return None
    found: list[Difference] = []
    for key, value in after.items():
        _values(found, (*path, ById(key)), before.get(key, ABSENT), value, policy)
    found += [Difference((*path, ById(key)), value, ABSENT) for key, value in before.items() if key not in after]
    return found


def _by_id(values: list[Any], member: str) -> dict[str, dict[str, Any]] | None:
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        identity = value.get(member) if isinstance(value, dict) else None
        if isinstance(identity, bool) or not isinstance(identity, str | int | float):
            return None
        key = str(identity)
        if key in found:
            return None
        found[key] = value
    return found
