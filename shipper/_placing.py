"""The fields that a format names (`Operation.fields`), set at their places in an event. Pure.

Each value is converted to its field's type; what fits no field joins the leftovers for `trail.raw`. The privacy policy
is asked once per field name; a name costs some microseconds the first time and one look-up afterwards. On the way the
values for `related.*` are collected, so that nobody has to walk the event for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shipper import changes, protect, schema
from shipper._convert import DECIMALS, OBJECTS, to_text
from shipper.model import Event
from shipper.seal.canonical import conform_number, conform_value

_KNOWN_NAMES: Final = 5_000
"""Field names that are remembered; a hostile source must not fill memory with names."""
_FREE_TEXT: Final = frozenset(
    {"error.message", "error.stack_trace", "event.reason", "http.request.body.content", "http.response.body.content"}
    | {"http.request.referrer", "process.command_line", "process.parent.command_line"}
    | {"url.full", "url.original", "url.path", "url.query"}
)
"""Fields of sentences and addresses, in which secrets stand as `key=value`."""
_USERS: Final = frozenset(
    {"trail.approval.approver_id", "trail.automation.last_editor", "trail.object.owner_id"}
    | {"trail.object.last_editor.id", "trail.object.last_editor.name"}
)
_HOSTS: Final = frozenset(
    {"host.hostname", "host.name", "observer.hostname", "observer.name", "url.domain"}
    | {f"{side}.domain" for side in ("client", "destination", "server", "source")}
)
_SAID_ELSEWHERE: Final = frozenset({"message", "event.action", "event.id", "trail.operation.id"})
"""Fields that the normalizer fills from other members of an operation."""
_GONE: Final = object()


Placed = tuple[Mapping[str, Any], dict[str, list[Any]], list[str], list[protect.Withheld]]
"""What placing left over, a plain tuple because it is made for every event.

Leftovers for `trail.raw`, values for `related.*` by list, names that did not fit, entries for `trail.sealed_fields`.
"""


_Entry = tuple[str | tuple[str, ...] | None, str, bool, Callable[[Any], Any], str, str]
"""One field: (holder, leaf, text, convert, care, related). A plain tuple, since it is taken apart for each value.

`holder`: the object that it is a member of; None for the event itself, a tuple where it lies deeper than one level.
`text`: a text is itself, and needs no conversion. `care`: what is done beyond the conversion, "" for nothing.
`related`: which list of `related.*` it belongs to, or "".
"""


def _no_field(value: Any) -> Any:
    del value
    return schema.MISFIT


_NOWHERE: Final[_Entry] = (None, "", False, _no_field, "", "")
"""For names that are no field, and for fields that Fieldtrail alone writes."""


class Placer:
    """Sets the fields of one module's events; holds a table of names only."""

    __slots__ = ("_module", "_policy", "_salt", "_table")

    def __init__(self, policy: protect.Policy, module: str, salt: protect.Salt) -> None:
        self._policy, self._module, self._salt = policy, module, salt
        self._table: dict[str, _Entry] = {}

    def place(self, root: Event, fields: Mapping[str, Any], raw: Mapping[str, Any]) -> Placed:
        """Set each field of `fields` in `root`; `raw` comes back as it is, or as a copy with what fitted nowhere."""
        related: dict[str, list[Any]] = {}
        misfits: list[str] = []
        withheld: list[protect.Withheld] = []
        known = self._table.get
        for name, value in fields.items():
            entry = known(name) or self._learn(name)
            holder, leaf, text, convert, care, kind = entry
            fitted = value if text and type(value) is str else convert(value)
            if care and fitted is not schema.MISFIT:
                fitted = self._careful(name, care, fitted, withheld)
                if fitted is _GONE:
                    continue
            here: Any = root
            if fitted is schema.MISFIT:
                here = None
            elif isinstance(holder, str):
                here = root.get(holder)
                if here is None:
                    here = root[holder] = {}
            elif holder is not None:
                here = _descend(root, holder)
            if type(here) is not dict:
                raw = nested(raw, name, value)
                if entry is not _NOWHERE:
                    misfits.append(name)
                continue
            here[leaf] = fitted
            if kind:
                _relate(related, kind, fitted)
        return raw, related, misfits, withheld

    def is_plain(self, name: str) -> bool:
        """Whether nothing but conversion is done to values of this field."""
        entry = self._entry(name)
        return entry is not _NOWHERE and not entry[4]

    def is_scrubbed(self, name: str) -> bool:
        """Whether secrets are taken out of the texts of this field, and nothing else is done to them."""
        _, _, text, _, care, _ = self._entry(name)
        return text and care == "text"

    def converter_of(self, name: str) -> tuple[Callable[[Any], Any], str, bool]:
        """Converter, list of `related.*` or "", and whether a text is itself."""
        _, _, text, convert, _, kind = self._entry(name)
        return convert, kind, text

    def _learn(self, name: str) -> _Entry:
        entry = self._entry(name)
        if len(self._table) < _KNOWN_NAMES and len(name) <= 256:
            self._table[name] = entry
        return entry

    def _entry(self, name: str) -> _Entry:
        if name in _SAID_ELSEWHERE or (schema.reserved(name) and name != "event.kind"):
            return _NOWHERE
        try:
            convert = schema.converter(name)
        except KeyError:
            return _NOWHERE
        parts = tuple(name.split("."))
        context, _, leaf = name.rpartition(".")
        verdict = protect.decide(self._policy, self._module, leaf, context).action
        field = schema.fields().get(name)
        kind = field.type if field is not None else "keyword"
        care = ""
        if verdict != "keep":
            care = verdict
        elif kind in OBJECTS:
            care = "labels" if leaf == "labels" else "object"
        elif kind in DECIMALS or kind == "geo_point":
            care = "number"
        elif name in _FREE_TEXT:
            care = "text"
        elif name == "event.original":
            care = "original"
        holder = None if len(parts) == 1 else parts[0] if len(parts) == 2 else parts[:-1]
        return holder, leaf, convert is to_text, convert, care, _related(name, parts, kind)

    def _careful(self, name: str, care: str, value: Any, withheld: list[protect.Withheld]) -> Any:
        """What the policy and the canonical profile leave of a converted value; `_GONE`, or `MISFIT`, for none."""
        if care in {"mask", "drop"}:
            context, _, leaf = name.rpartition(".")
            kept, gone = protect.protect_values(
                self._policy, self._module, {leaf: value}, context, self._salt, object_type=context
            )
            withheld += gone
            return kept.get(leaf, _GONE)
        if care == "text":
            return protect.protect_text(self._policy, self._module, value)
        if care == "original":
            return protect.protect_original(self._policy, self._module, value)
        if care == "number":
            if type(value) is dict:  # a point
                return value if all(type(conform_number(part)) is not str for part in value.values()) else schema.MISFIT
            number = conform_number(value)
            return schema.MISFIT if type(number) is str else number
        cleaned, gone = protect.protect_values(self._policy, self._module, value, name, self._salt)
        withheld += gone
        if not cleaned:
            return _GONE if gone else schema.MISFIT
        if care == "labels":
            return {key: changes.text_of(item) for key, item in cleaned.items() if item is not None} or schema.MISFIT
        return conform_value(cleaned, len(name.split(".")), name)


def _related(name: str, parts: tuple[str, ...], kind: str) -> str:
    """The list of `related.*` that a field's values belong to, or ""."""
    if parts[0] == "related":
        return ""
    if kind == "ip":
        return "ip"
    above, leaf = parts[-2:] if len(parts) > 1 else ("", parts[0])
    if name in _USERS or (
        leaf in {"id", "name", "email"}
        and (above == "user" or (parts[0] == "user" and above in {"target", "effective", "changes"}))
    ):
        return "user"
    if name in _HOSTS:
        return "hosts"
    return "hash" if above == "hash" or (leaf == "hash" and parts[0] == "user") else ""


def _relate(related: dict[str, list[Any]], kind: str, value: Any) -> None:
    """Add a value, or those of a list, to one list of `related.*`, each once."""
    found = related.get(kind)
    if found is None:
        related[kind] = list(dict.fromkeys(value)) if type(value) is list else [value]
        return
    for one in value if type(value) is list else (value,):
        if one not in found:
            found.append(one)


def _descend(root: Event, parts: tuple[str, ...]) -> dict[str, Any] | None:
    """The object at a path, made where it is not there; None where a value that is no object is in the way."""
    here: Any = root
    for part in parts:
        if type(here) is not dict:
            return None
        if part in here:
            here = here[part]
        else:
            below: dict[str, Any] = {}
            here[part] = below
            here = below
    return here if type(here) is dict else None


def stray(raw: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of `raw` with one more member; a member of that name that is there already stays too."""
    out = dict(raw)
    free, number = name, 2
    while free in out:
        free, number = f"{name}~{number}", number + 1
    out[free] = value
    return out


def nested(raw: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of `raw` with a leftover under its dotted path; where something is in the way, under its literal name."""
    parts = name.split(".")
    out = here = dict(raw)
    for part in parts[:-1]:
        child = here.get(part)
        if child is None and part not in here:
            child = {}
        elif type(child) is not dict:
            return stray(raw, name, value)
        here[part] = child = dict(child)
        here = child
    if parts[-1] in here:
        return stray(raw, name, value)
    here[parts[-1]] = value
    return out
