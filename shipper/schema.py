"""What an event may hold: checks of a finished event, and the conversion of a value to its field's type. Pure.

The field table is ECS 9.4.0 plus `trail.*` and `seal.*` (`mappings/`). `check` walks one event against it and names
everything that is wrong. `converter` compiles one field's conversion: it is fetched once per mapping and called per
value, so it carries no look-ups. `MISFIT` is its answer to a value that the field cannot take: an expected outcome, not
an error.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import mappings
from shipper import _convert
from shipper._convert import MISFIT, Converter

if TYPE_CHECKING:
    from mappings import Field


__all__ = ["MISFIT", "Converter", "Problem", "check", "converter", "fields", "fits", "reserved", "suggest"]


class Problem(NamedTuple):
    """One thing wrong with an event: the dotted path, and what is wrong there. The text quotes no value."""

    path: str
    text: str


_TIMESTAMP = re.compile(r"[^.]{19}(?:\.[0-9]{1,6})?Z").fullmatch

_OPEN: Final = ("labels.", "trail.values.")
"""Objects whose members have names that users choose; each member is a keyword."""

_SOURCE_STREAMS: Final = frozenset({"fieldtrail.change", "fieldtrail.activity"})
_EVERYWHERE: Final = (
    "@timestamp",
    "ecs.version",
    "event.kind",
    "event.dataset",
    "data_stream.type",
    "data_stream.dataset",
    "data_stream.namespace",
    "agent.type",
    "agent.name",
    "agent.version",
    "trail.schema",
)
_OF_SOURCES: Final = (
    "event.action",
    "event.module",
    "event.created",
    "event.id",
    "message",
    "trail.operation.id",
    "trail.operation.change_count",
    "trail.origin.input",
    "trail.origin.received",
)
_OF_STREAM: Final = {
    "fieldtrail.change": _OF_SOURCES,
    "fieldtrail.activity": _OF_SOURCES,
    "fieldtrail.log": ("trail.control",),
    "fieldtrail.checkpoint": ("trail.checkpoint.size", "trail.checkpoint.note"),
}


# -- the table --------------------------------------------------------------------------------------------------------


@cache
def fields() -> Mapping[str, Field]:
    """Every field that an event may hold, by dotted name."""
    return {**mappings.ecs_fields(), **mappings.trail_fields()}


@cache
def _groups() -> frozenset[str]:
    """Every proper prefix of a field's name: `trail`, `trail.change`, `user.target` and so on."""
    found: set[str] = set()
    for name in fields():
        parts = name.split(".")
        found.update(".".join(parts[:n]) for n in range(1, len(parts)))
    return frozenset(found)


def reserved(path: str) -> bool:
    """Whether Fieldtrail alone writes this field, so that no mapping of a user may set it."""
    field = fields().get(path)
    if field is not None and field.level == "own":
        return field.reserved
    return path in {"@timestamp", "ecs.version", "event.created", "event.kind", "event.module", "event.dataset"} or (
        path.startswith(("agent.", "data_stream."))
    )


def suggest(path: str) -> list[str]:
    """Up to three field names near `path`, best first: for the error about a field that does not exist."""
    table = fields()
    if path in _groups():
        inside = [name for name in table if name.startswith(path + ".")]
        return sorted(inside, key=lambda name: (name.count("."), len(name), name))[:3]
    last = path.rsplit(".", 1)[-1]
    same = sorted((name for name in table if name.rsplit(".", 1)[-1] == last), key=len)
    near = difflib.get_close_matches(path, table, n=3, cutoff=0.75)
    return list(dict.fromkeys((*near, *difflib.get_close_matches(path, same, n=3, cutoff=0.3))))[:3]


# -- conversion -------------------------------------------------------------------------------------------------------


@cache
def converter(path: str) -> Converter:
    """The conversion to the type of `path`: value in, converted value or `MISFIT` out; never raises.

    Text fields take any scalar (true, 12 and 1.5 become `true`, `12`, `1.5`). Whole-number fields take integers,
    integral floats and text of digits; decimal ones numbers and their text. An address loses brackets, port and zone,
    and an IPv4 address in IPv6 clothes becomes IPv4. A date passes only as RFC 3339 text; `shipper/timestamps.py` reads
    all others. Fields with allowed values take those, in any case of letters. Array fields take lists, all of whose
    elements must fit, or one scalar. null, and an empty list, fit nothing.

    Raises `KeyError` for a name that is no field, or is a group of fields; `suggest` names near ones.
    """
    field = fields().get(path)
    if field is None:
        if path.startswith(_OPEN) and not path.endswith("."):
            return _convert.to_text
        raise KeyError(path)
    if path in _groups():
        raise KeyError(path)
    return _convert.for_field(field)


def fits(path: str, value: Any) -> tuple[bool, Any]:
    """`(True, converted)`, or `(False, value)` if the field cannot take it; raises `KeyError` as `converter` does."""
    converted = converter(path)(value)
    return (False, value) if converted is MISFIT else (True, converted)


# -- the check of a finished event ------------------------------------------------------------------------------------

_Check = Callable[[Any], "str | None"]
_Node = dict[str, "tuple[_Check | None, _Node | None]"]


def check(event: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with a finished event, in the order of its members; [] if it is well formed.

    Names must exist and be nested, not dotted; values must have their field's type without conversion; array fields are
    lists and no others are; vocabularies are kept; `event.category` and `event.type` go together; what every document
    of its stream has must be there. `seal` may be there and is checked too.
    """
    problems: list[Problem] = []
    _walk(event, _tree(), "", problems)
    _check_required(event, problems)
    _check_pairs(event, problems)
    return problems


def _walk(members: Mapping[str, Any], nodes: _Node, prefix: str, problems: list[Problem]) -> None:
    for name, value in members.items():
        node = nodes.get(name)
        if node is None:
            problems.append(Problem(prefix + name, "no such field"))
            continue
        test, inner = node
        if inner is None:
            assert test is not None
            text = test(value)
            if text is not None:
                problems.append(Problem(prefix + name, text))
        elif isinstance(value, dict):
            if value:
                _walk(value, inner, prefix + name + ".", problems)
            else:
                problems.append(Problem(prefix + name, "is an empty object"))
        elif test is not None and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            for item in value:
                _walk(item, inner, prefix + name + ".", problems)
        else:
            problems.append(Problem(prefix + name, "must be an object"))


def _get(event: Mapping[str, Any], path: str) -> Any:
    here: Any = event
    for part in path.split("."):
        if not isinstance(here, dict):
            return None
        here = here.get(part)
    return here


def _check_required(event: Mapping[str, Any], problems: list[Problem]) -> None:
    stream = _get(event, "data_stream.dataset")
    wanted = _OF_STREAM.get(stream, ()) if isinstance(stream, str) else ()
    problems.extend(Problem(path, "is missing") for path in (*_EVERYWHERE, *wanted) if _get(event, path) is None)
    if isinstance(stream, str) and stream.removeprefix("fieldtrail.") not in mappings.component_templates().streams:
        problems.append(Problem("data_stream.dataset", "is no stream of ours"))
    dataset = _get(event, "event.dataset")
    if stream in _SOURCE_STREAMS and isinstance(dataset, str) and dataset.startswith("fieldtrail"):
        problems.append(Problem("event.dataset", "begins with fieldtrail, which is for our own events"))
    when = event.get("@timestamp")
    if isinstance(when, str) and not _TIMESTAMP(when):
        problems.append(Problem("@timestamp", "must be UTC with Z and at most six digits of a second"))
    action = _get(event, "event.action")
    if isinstance(action, str) and action not in mappings.actions():
        problems.append(Problem("event.action", "is not in the vocabulary of actions"))


def _check_pairs(event: Mapping[str, Any], problems: list[Problem]) -> None:
    """Each type must be one that ECS expects with some category of the event, and each category must have one."""
    part = event.get("event")
    if not isinstance(part, dict):
        return
    categories, kinds = part.get("category"), part.get("type")
    if kinds is not None and categories is None:
        problems.append(Problem("event.type", "stands without event.category"))
    if not isinstance(categories, list) or not isinstance(kinds, list):
        return
    expected = mappings.expected_types()
    known = [expected[name] for name in categories if isinstance(name, str) and name in expected]
    if any(isinstance(kind, str) and not any(kind in group for group in known) for kind in kinds):
        problems.append(Problem("event.type", "holds a type that ECS does not expect with these categories"))
    if any(group.isdisjoint(kind for kind in kinds if isinstance(kind, str)) for group in known):
        problems.append(Problem("event.category", "holds a category for which no type is given"))


@cache
def _tree() -> _Node:
    """The field table as nested dicts: member name -> (test of its value, members). Groups have no test."""
    root: _Node = {}
    names = fields()
    groups = _groups()
    for name in sorted(names):
        nodes = root
        parts = name.split(".")
        for depth, part in enumerate(parts[:-1], 1):
            upper = names.get(".".join(parts[:depth]))
            entry = nodes.setdefault(part, (_anything if upper and upper.type in _convert.OBJECTS else None, {}))
            assert entry[1] is not None, name
            nodes = entry[1]
        if name not in groups:
            nodes[parts[-1]] = (_test(names[name]), None)
    return root


def _anything(value: Any) -> str | None:
    del value
    return None


def _test(field: Field) -> _Check:
    kind = field.type
    if kind in _convert.OBJECTS:
        return _test_open if field.array or kind == "nested" else _test_object
    scalar: _Check
    if field.allowed:
        scalar = _test_allowed(frozenset(field.allowed))
    elif kind in _convert.TEXTS:
        scalar = _test_text
    elif kind in _convert.INTEGERS:
        scalar = _test_integer(_convert.INTEGERS[kind])
    elif kind in _convert.DECIMALS:
        scalar = _test_decimal
    else:
        tests: dict[str, _Check] = {
            "ip": _test_ip,
            "date": _test_date,
            "boolean": lambda value: None if isinstance(value, bool) else "must be true or false",
            "geo_point": lambda value: "must be {lat, lon}" if _convert.to_point(value) is MISFIT else None,
        }
        scalar = tests[kind]
    return _test_list(scalar, may_be_empty=not field.index) if field.array else scalar


def _test_text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be text"


def _test_allowed(allowed: frozenset[str]) -> _Check:
    words = ", ".join(sorted(allowed))

    def test(value: Any) -> str | None:
        return None if isinstance(value, str) and value in allowed else f"must be one of {words}"

    return test


def _test_integer(limit: int) -> _Check:
    def test(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be a whole number"
        return None if -limit <= value <= limit else "is too large"

    return test


def _test_decimal(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "must be a number"
    return None if isinstance(value, int) or math.isfinite(value) else "must be finite"


def _test_ip(value: Any) -> str | None:
    return None if isinstance(value, str) and len(value) <= 100 and _plain_ip(value) else "must be an IP address"


@lru_cache(maxsize=8192)
def _plain_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _test_date(value: Any) -> str | None:
    return None if isinstance(value, str) and _convert.is_date(value) else "must be an RFC 3339 date and time"


def _test_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _test_open(value: Any) -> str | None:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        return None
    return "must be objects"


def _test_list(scalar: _Check, *, may_be_empty: bool) -> _Check:
    def test(value: Any) -> str | None:
        if not isinstance(value, list):
            return "must be a list"
        if not value and not may_be_empty:
            return "is an empty list"
        for item in value:
            text = scalar(item)
            if text is not None:
                return "each element " + text
        return None

    return test
