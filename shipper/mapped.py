"""A user's own log, mapped by configuration (`formats:`), as a parser like any other.

A mapping is turned into plain tables once; a record is decoded, the mapped members are taken out of it, and what is
left goes to `trail.raw`, so that no field of the source is lost. What is decoded to names and values, and how, is told
in `decoders.py`. Pure: bytes in, operations out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import mappings
from parsers._contract import ABSENT, OUTCOMES, UNKNOWN, Change, Context, Format, Operation, Rejected, Time
from shipper.decoders import decoder, names_of
from shipper.errors import ConfigError
from shipper.patterns import PatternError
from shipper.schema import converter, reserved, suggest

if TYPE_CHECKING:
    from shipper.config import FormatSection

_MISSING: Final = object()

_SPECIAL: Final = {
    "event.action": "action",
    "event.id": "id",
    "event.code": "code",
    "event.outcome": "outcome",
    "trail.operation.id": "id",
    "trail.object.type": "object_type",
    "trail.object.id": "object_id",
    "trail.object.name": "object_name",
    "trail.actor.type": "actor_type",
    "trail.actor.confidence": "actor_confidence",
    "trail.interface": "interface",
    "message": "message",
}
"""Targets that are attributes of the operation rather than further fields."""

_FIXED: Final = frozenset({"event.action", "trail.object.type", "trail.object.id", "trail.object.name", "message"})
"""Of these, the ones that a constant sets in the operation too: as a field beside it, they would not be heard."""

_VALUES: Final = "trail.values"
_SOURCE_STREAMS: Final = frozenset({"change", "activity"})

_TITLES: Final = {
    "json": "mapped JSON",
    "kv": "mapped key=value lines",
    "csv": "mapped CSV",
    "regex": "lines mapped by regular expressions",
    "grok": "lines mapped by grok expressions",
}


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _take(data: dict[str, Any], path: tuple[str, ...]) -> Any:
    """The member at `path`, removed; containers that this leaves empty go with it. A literal dotted key counts too."""
    if len(path) == 1:
        return data.pop(path[0], _MISSING)
    child = data.get(path[0])
    if isinstance(child, dict):
        value = _take(child, path[1:])
        if value is not _MISSING:
            if not child:
                del data[path[0]]
            return value
    return data.pop(".".join(path), _MISSING)


class _Plan:
    """All mapped paths, grouped by the object that holds them, so that a line is walked once.

    `take` removes every mapped member and returns {path: value} of those that are there.
    """

    __slots__ = ("_deep", "_dotted", "_groups", "_top")

    def __init__(self, paths: Iterable[str]) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        self._top: list[str] = []
        self._deep: list[tuple[str, tuple[str, ...]]] = []
        for path in dict.fromkeys(paths):
            parts = _split(path)
            if len(parts) == 1:
                self._top.append(path)
            elif len(parts) == 2:
                groups.setdefault(parts[0], []).append((parts[1], path))
            else:
                self._deep.append((path, parts))
        self._groups = list(groups.items())
        self._dotted = frozenset(path for members in groups.values() for _, path in members)

    def take(self, data: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for path, parts in self._deep:
            value = _take(data, parts)
            if value is not _MISSING:
                found[path] = value
        for name, members in self._groups:
            child = data.get(name)
            if type(child) is not dict:
                continue
            hits = 0
            for key, path in members:
                if key in child:
                    found[path] = child[key]
                    hits += 1
            if hits == len(child):
                if hits:
                    del data[name]
            elif hits:
                for key, _ in members:
                    child.pop(key, None)
        if not self._dotted.isdisjoint(data):  # keys that hold the dot themselves; a nested member comes first
            for path in self._dotted:
                if path in data and path not in found:
                    found[path] = data.pop(path)
        for path in self._top:
            if path in data:
                found[path] = data.pop(path)
        return found


class Layout(NamedTuple):
    """A mapping as plain tables: time (path, layout), (attribute, path), (field, path), constants, changes."""

    time: tuple[str, str] | None
    special: tuple[tuple[str, str], ...]
    further: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]
    constants: Mapping[str, Any]
    changes: str | None
    pairs: bool
    change_keys: tuple[str, str, str, str | None]
    take: Callable[[dict[str, Any]], dict[str, Any]]

    def paths(self) -> list[str]:
        """Every mapped path of the source."""
        first = [] if self.time is None else [self.time[0]]
        last = [] if self.changes is None else [self.changes]
        return [*first, *(path for _, path in (*self.special, *self.further, *self.values)), *last]


class MappedFormat:
    """A compiled mapping. `problems` of a mapping are raised together as `ConfigError` by `compile_format`."""

    __slots__ = (
        "_actions",
        "_change_keys",
        "_changes_path",
        "_constants",
        "_decode",
        "_default_action",
        "_edits",
        "_fixed",
        "_flat",
        "_further",
        "_kind",
        "_known",
        "_pairs",
        "_plan",
        "_special",
        "_time",
        "_values",
        "_without_changes",
        "format",
        "name",
        "spliced",
    )

    def __init__(self, name: str, section: FormatSection) -> None:
        self.name = name
        module = section.module or name
        self.format = Format(
            name=name,
            module=module,
            vendor=section.vendor or name,
            title=_TITLES[section.decode],
            auto=False,
            framing="csv" if section.decode == "csv" and not section.columns else "lines",
        )
        self._decode = decoder(section)
        self._kind = section.kind
        self._time = (section.time.field, section.time.layout) if section.time else None
        mapped = {**_told_by_name(section), **section.map}
        self._special = [(_SPECIAL[target], path) for target, path in mapped.items() if target in _SPECIAL]
        self._values = [
            (target.removeprefix(_VALUES).lstrip("."), path)
            for target, path in mapped.items()
            if target == _VALUES or target.startswith(f"{_VALUES}.")
        ]
        """Values of a whole record: (name, path), the name "" for an object of them."""
        taken = {path for _, path in (*self._special, *self._values)}
        self._further = [
            (target, path)
            for target, path in mapped.items()
            if target not in _SPECIAL and not (target.startswith(_VALUES) and path in taken)
        ]
        self._constants = {name: value for name, value in section.constants.items() if name not in _FIXED}
        self._fixed = [(_SPECIAL[name], value) for name, value in section.constants.items() if name in _FIXED]
        self._actions = dict(section.actions)
        changes = section.changes
        self._flat = bool(changes and not changes.list and not changes.pairs)
        self.spliced = section.decode == "json" and not self._flat and _FIXED.isdisjoint(section.constants)
        """Whether `spliced.py` can take its lines."""
        self._pairs = bool(changes and changes.pairs)
        self._changes_path = (changes.pairs or changes.list) if changes else None
        self._change_keys = (changes.field, changes.old, changes.new, changes.label) if changes else ("", "", "", None)
        paths = list(mapped.values())
        if self._time is not None:
            paths.append(self._time[0])
        if self._changes_path is not None:
            paths.append(self._changes_path)
        if self._flat:
            paths += [path for path in self._change_keys if path]
        self._plan = _Plan(paths)
        self._default_action = section.default_action or ("field.update" if changes else "log.message")
        self._without_changes = section.default_action or "log.message"
        """What a record without a verb of ours is that tells no change: nobody said that it was an edit."""
        self._known = frozenset(mappings.actions())
        self._edits = frozenset(
            name for name, spec in mappings.actions().items() if "trail.change.field" in spec.expects
        )

    def layout(self) -> Layout:
        """The mapping as plain tables, for `compiled.py`."""
        return Layout(
            self._time,
            tuple(self._special),
            tuple(self._further),
            tuple(self._values),
            self._constants,
            self._changes_path,
            self._pairs,
            self._change_keys,
            self._plan.take,
        )

    def parse(self, record: bytes, ctx: Context, /) -> list[Operation] | Rejected:
        """One operation per line; a line that is no JSON object is refused."""
        del ctx
        data = self._decode(record)
        if isinstance(data, Rejected):
            return data
        found = self._plan.take(data)
        operation = Operation("", self._kind)
        operation.raw = data
        for attribute, value in self._fixed:
            setattr(operation, attribute, value)
        get = found.get
        if self._time is not None:
            path, layout = self._time
            value = get(path)
            if type(value) is str or (
                isinstance(value, (str, int, float)) and value is not True and value is not False
            ):
                operation.time = Time(value, layout)
            elif value is not None:
                _put_back(data, path, value)
        for attribute, path in self._special:
            value = get(path)
            if type(value) is str:
                if value:
                    setattr(operation, attribute, value)
            elif value is not None:
                text = _text(value)
                if text is None:
                    _put_back(data, path, value)
                else:
                    setattr(operation, attribute, text)
        fields = operation.fields
        if self._constants:
            fields.update(self._constants)
        for target, path in self._further:
            value = get(path)
            if value is not None:
                fields[target] = value
        for name, path in self._values:
            value = get(path)
            if name:
                operation.values[name] = value
            elif type(value) is dict:
                operation.values.update(value)
            elif value is not None:
                _put_back(data, path, value)
        if self._changes_path is not None:
            changed = get(self._changes_path)
            if changed is not None:
                self._read_changes(changed, data, operation)
        elif self._flat:
            self._read_change(found, data, operation)
        self._settle(operation)
        return [operation]

    def _settle(self, operation: Operation) -> None:
        """Translate the verb, and say of the actor only what the source said."""
        verb = operation.action
        ours = self._actions.get(verb, verb)
        if not verb:
            told = operation.changes or operation.no_change
            operation.action = ours = self._default_action if told else self._without_changes
        elif ours not in self._known and not operation.changes:
            ours = self._without_changes
        if verb not in {"", ours}:
            if operation.code is None:
                operation.code = verb
            elif operation.code != verb:
                operation.raw["action"] = [operation.raw["action"], verb] if "action" in operation.raw else verb
            operation.action = ours
        outcome = operation.outcome
        if outcome is not None and outcome not in OUTCOMES and outcome.lower() in OUTCOMES:
            operation.outcome = outcome.lower()
        if operation.no_change and ours not in self._edits:
            operation.no_change = False  # a login or an export that happens to carry an empty list of changes
        elif operation.changes and ours in {"record.create", "record.delete"}:
            _as_values(operation, created=ours == "record.create")
        fields = operation.fields
        if operation.actor_type == "unknown" and (
            "user.id" in fields or "user.name" in fields or "user.email" in fields
        ):
            operation.actor_type = "user"
        if operation.actor_type != "unknown" and operation.actor_confidence == "unknown":
            operation.actor_confidence = "asserted"

    def _read_change(self, found: dict[str, Any], data: dict[str, Any], operation: Operation) -> None:
        """The one change that the record itself is."""
        field, old, new, label = self._change_keys
        name = found.get(field)
        if type(name) is not str or not name or not (old in found or new in found):
            for path in filter(None, self._change_keys):
                if path in found:
                    _put_back(data, path, found[path])
            return
        text = found.get(label) if label else None
        if text is not None and type(text) is not str:
            _put_back(data, label or "", text)
            text = None
        before, after = found.get(old, UNKNOWN), found.get(new, ABSENT)
        derivation = "native" if old in found else "new_only"
        operation.changes.append(Change(name, before, after, text, None, None, derivation))

    def _read_changes(self, found: Any, data: dict[str, Any], operation: Operation) -> None:
        assert self._changes_path is not None
        changes = operation.changes
        if self._pairs:
            if not isinstance(found, dict) or not all(
                name and isinstance(pair, list) and len(pair) == 2 for name, pair in found.items()
            ):
                _put_back(data, self._changes_path, found)
                return
            changes.extend(Change(name, pair[0], pair[1]) for name, pair in found.items())
        else:
            field, old, new, label = self._change_keys
            if isinstance(found, dict):
                found = [found]
            if not isinstance(found, list):
                _put_back(data, self._changes_path, found)
                return
            odd: list[Any] = []
            for item in found:
                name = item.get(field) if type(item) is dict else None
                if type(name) is not str or not name or not (old in item or new in item):
                    odd.append(item)
                    continue
                # An entry that gives only one of the two says that the other was, or is, not there.
                if old in item:
                    before, after, derivation, known = item[old], item.get(new, ABSENT), "native", 2 + (new in item)
                else:
                    before, after, derivation, known = UNKNOWN, item[new], "new_only", 2
                text = item.get(label) if label else None
                if type(text) is str:
                    known += 1
                else:
                    text = None
                changes.append(Change(name, before, after, text, None, None, derivation))
                if len(item) > known:
                    used = {old, new, label if text is not None else new}
                    odd.append({key: value for key, value in item.items() if key not in used})
            if odd:
                _put_back(data, self._changes_path, odd)
        operation.no_change = not changes and not found


def _unheard(section: FormatSection) -> list[tuple[str, str]]:
    """Names of the source that `map` and its like ask for, and that none of the patterns or columns gives."""
    names = names_of(section) if section.patterns else list(section.columns)
    if not names and not section.patterns:
        return []  # a file's header, or JSON, tells the names
    asked = [(f"map.{target}", name) for target, name in section.map.items()]
    if section.time is not None:
        asked.append(("time.field", section.time.field))
    if section.changes is not None and section.changes.list is None and section.changes.pairs is None:
        asked += [(f"changes.{side}", getattr(section.changes, side)) for side in ("field", "label")]
        asked += [
            (f"changes.{side}", getattr(section.changes, side))
            for side in ("old", "new")
            if side in section.changes.model_fields_set
        ]
    problems = []
    for where, name in asked:
        if name is not None and name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            told = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20]) or 'none'}"
            problems.append((where, f"no {'group' if section.patterns else 'column'} is called {name!r}; {told}"))
    return problems


def _told_by_name(section: FormatSection) -> dict[str, str]:
    """Names in a pattern that are fields of an event: `%{IP:source.ip}` needs no entry in `map`."""
    told = {name: name for name in names_of(section) if "." in name and _target_problem(name, constant=False) is None}
    used = set(section.map.values()) | ({section.time.field} if section.time else set())
    return {target: name for target, name in told.items() if name not in used and target not in section.map}


def _as_values(operation: Operation, *, created: bool) -> None:
    """The changes of a created or deleted record are its values; one that has both sides stays a change."""
    both: list[Change] = []
    for change in operation.changes:
        value, other = (change.new, change.old) if created else (change.old, change.new)
        if (other is None or other is ABSENT or other is UNKNOWN) and change.field not in operation.values:
            if value is not None and value is not ABSENT and value is not UNKNOWN:
                operation.values[change.field] = value
        else:
            both.append(change)
    operation.changes = both


def _put_back(data: dict[str, Any], path: str, value: Any) -> None:
    """What could not be used stays in the leftovers, at its own path."""
    parts = _split(path)
    here = data
    for part in parts[:-1]:
        child = here.setdefault(part, {})
        if not isinstance(child, dict):
            data[path] = value
            return
        here = child
    here[parts[-1]] = value


def _text(value: Any) -> str | None:
    """A scalar as text, or None."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return None


def compile_formats(
    sections: Mapping[str, FormatSection], actions: Mapping[str, Any], taken: frozenset[str], place: str
) -> dict[str, MappedFormat]:
    """All user formats, compiled; every unknown field or verb at once as `ConfigError` with its path."""
    problems: list[tuple[str, str]] = []
    for name, section in sections.items():
        path = f"formats.{name}"
        if name in taken or name == "auto":
            problems.append((path, f"{name} is a built-in format; choose another name"))
        twice = [target for target in ("event.id", "trail.operation.id") if target in section.map]
        if len(twice) > 1:
            problems.append((f"{path}.map.{twice[1]}", "is the same fact as event.id here; map one of them"))
        try:
            problems += [(f"{path}.{where}", problem) for where, problem in _unheard(section)]
        except PatternError as error:
            problems.append((f"{path}.patterns", str(error)))
        for where, names in (("map", list(section.map)), ("constants", list(section.constants))):
            for target in names:
                problem = _target_problem(target, constant=where == "constants")
                if where == "constants" and problem is None:
                    problem = _constant_problem(target, section, actions)
                if problem:
                    problems.append((f"{path}.{where}.{target}", problem))
        for verb, ours in (*section.actions.items(), ("default_action", section.default_action)):
            if ours is None:
                continue
            where = f"{path}.default_action" if verb == "default_action" else f"{path}.actions.{verb}"
            problem = _action_problem(ours, actions)
            if problem:
                problems.append((where, problem))
    if problems:
        raise ConfigError("read configuration", place, f"{len(problems)} problem(s) in formats", "", tuple(problems))
    return {name: MappedFormat(name, section) for name, section in sections.items()}


def _target_problem(target: str, *, constant: bool) -> str | None:
    if constant and target in {"event.category", "event.type", "event.kind"}:
        return None
    if (target in _SPECIAL or target == _VALUES) and not constant:
        return None
    if reserved(target) or target.startswith("seal."):
        return "is filled by Fieldtrail itself"
    try:
        converter(target)
    except KeyError:
        near = suggest(target)
        return "no such field" + (f"; did you mean {near[0]}?" if near else "")
    return None


def _constant_problem(target: str, section: FormatSection, actions: Mapping[str, Any]) -> str | None:
    """What is wrong with a constant that would set an attribute of each operation."""
    value = section.constants[target]
    if target in {"event.id", "trail.operation.id"}:
        return "would give every event the same id; map it, or leave it out"
    if target in _FIXED and (not isinstance(value, str) or not value):
        return "a text is needed"
    return _action_problem(section.actions.get(value, value), actions) if target == "event.action" else None


def _action_problem(ours: str, actions: Mapping[str, Any]) -> str | None:
    """Why no source may say this action."""
    if ours not in actions:
        near = difflib.get_close_matches(ours, actions, n=1)
        hint = f"did you mean {near[0]}?" if near else "such as field.update, record.view or auth.login"
        return f"{ours!r} is not an action of ours; {hint} (docs/reference/event.md has them all)"
    if actions[ours].stream not in _SOURCE_STREAMS or ours == "log.unparsed":
        return f"{ours!r} is said by Fieldtrail itself, never by a source"
    return None
