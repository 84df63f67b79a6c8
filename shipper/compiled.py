"""The quick way for a mapped JSON format: one specialized function per format, from a line to its event.

It is made once, at start, from the same mapping that `mapped.py` reads, and it handles the usual line alone: a JSON
object with exactly one change whose values are given and may be kept. For everything else it returns None, and the
line goes the way of `mapped.py` and `normalize.py`, which stays the reference: a property test holds that both ways
give the same event. What depends on the action, the interface and the outcome alone is taken from an event that the
reference made, and remembered.

Pure. Why it exists: docs/explanation/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from parsers._contract import Change, Context, Rejected, Time
from parsers._json import MAX_DEPTH, SAFE_INTEGER, may_be_inexact
from shipper import changes, protect, sentences
from shipper._convert import MISFIT
from shipper._shaping import has_further_digits
from shipper.model import Event
from shipper.normalize import SHORT, Normalizer, Origin
from shipper.seal.canonical import conform_value
from shipper.timestamps import resolve

if TYPE_CHECKING:
    from shipper.mapped import Layout, MappedFormat

Fast = Callable[..., "tuple[Event, float] | None"]
"""(data, offset, length, stream, path, received, received_text, mtime, previous) -> (event, its time in s), or None."""

_MOST_SHAPES: Final = 256
"""Combinations of action, interface and outcome that are remembered; a hostile source must not fill memory."""
_FINISH: Final = """
listed = {changes}
if type(listed) is not list or len(listed) != 1: return None
item = listed[0]
if type(item) is not dict or len(item) != 3: return None
try: name, old, new = item[{field!r}], item[{old!r}], item[{new!r}]
except KeyError: return None
if type(name) is not str or not name: return None
if type(old) is not str or type(new) is not str:
    for side in (old, new):
        if side is None or type(side) is str or side is True or side is False: continue
        if type(side) is not int or not -_SAFE <= side <= _SAFE: return None
        if not side and _inexact(data): return None
if _same(old, new): return None
trail["actor"] = _ASSERTED if {asserted} else _NOBODY
if a_object_id is None or a_object_type is None: return None
thing = trail["object"] = {{"id": a_object_id, "key": f"{{_module}}:{{a_object_type}}/{{a_object_id}}"}}
thing["type"] = a_object_type
if a_object_name is not None:
    if a_object_name[0] in "{{[" or not _name_kept(a_object_type): return None
    thing["name"] = a_object_name
origin = trail["origin"] = {{"input": _input, "length": length, "offset": offset, "path": path}}
origin["received"] = received_text
identity = a_id or f"{{stream}}:{{offset}}"
event["id"] = identity
trail["operation"] = {{"change_count": 1, "head": True, "id": identity}}
if raw:
    if _inexact(data) or data.count(b"{{") + data.count(b"[") > _DEPTH: return None
    left, gone = _protect_values(_policy, _module, raw, "trail.raw", _salt, object_type=a_object_type)
    if gone: return None
    if left: trail["raw"] = _conform(left, 2, "trail.raw")
missing = []
user = root.get("user")
if user is None or not ("id" in user or "name" in user or "email" in user or "full_name" in user):
    missing.append("user.id")
if "source" not in root or "ip" not in root["source"]: missing.append("source.ip")
if "session" not in trail or "id" not in trail["session"]: missing.append("trail.session.id")
if "interface" not in trail or trail["interface"] == "unknown": missing.append("trail.interface")
if missing: trail["missing"] = missing
change = trail["change"] = _shape_of(_Change(name, old, new), 0)
if _protect_change(_policy, _module, change, _salt, object_type=a_object_type): return None
subject = _who(root)
if subject.startswith(("automation ", "an automation", "the system")): return None
of = f"{{_cut(name)}} of {{_cut(a_object_type)}} {{_cut(a_object_id)}}"
verb = change["op"]
if verb == "update": what = f"changed {{of}} from {{_value(change, 'old')}} to {{_value(change, 'new')}}"
elif verb == "add": what = f"set {{of}} to {{_value(change, 'new')}}"
else: what = f"removed {{of}}, was {{_value(change, 'old')}}"
text = f"{{subject}} {{what}}{{shape.via}} ({{_vendor}})"
root["message"] = _printable(text)
return root, seconds
"""
"""The end of every such function: the change, the parts around it, and the sentence."""
_WHOLE_RECORDS: Final = frozenset({"record.create", "record.delete"})
ATTRIBUTES: Final = frozenset({"action", "id", "object_type", "object_id", "object_name", "interface", "outcome"})


class _Shape:
    """What an event has by its action, interface and outcome, whatever else the line says."""

    __slots__ = ("event", "root", "trail", "via")

    def __init__(self, document: Event) -> None:
        event, trail = document["event"], document["trail"]
        self.event = {name: value for name, value in event.items() if name not in {"created", "id"}}
        own = {"change", "missing", "operation", "origin", "actor", "object", "time", "schema"}
        self.trail = {name: value for name, value in trail.items() if name not in own}
        gone = {"@timestamp", "event", "trail", "message", "related", "user"}
        self.root = {name: value for name, value in document.items() if name not in gone}
        via = sentences.by_way_of(trail.get("interface"))
        self.via = f" (failed){via}" if event.get("outcome") == "failure" else via


def compile_fast(mapped: MappedFormat, normalizer: Normalizer) -> Fast | None:
    """The quick function of a format for one input, or None where the mapping has parts that it does not know."""
    settings = normalizer.settings
    plan = mapped.layout()
    attributes = [name for name, _ in plan.special]
    targets = [target for target, _ in plan.further]
    known = set(attributes) <= ATTRIBUTES and len(set(attributes)) == len(attributes)
    if (
        not known
        or plan.values
        or plan.pairs
        or plan.changes is None
        or plan.time is None
        or settings.keep_original
        or not settings.keep_unmapped
        or any(target.startswith(("related.", "trail.actor.", "trail.object.", "user.target.")) for target in targets)
        or any(name.startswith(("user.", "related.", "trail.")) for name in plan.constants)
        or any(not normalizer.is_plain(target) for target in targets)
        or not {"object_id", "object_type"} <= set(attributes)
    ):
        return None
    source = _Source(plan, normalizer)
    text = source.text()
    scope: dict[str, Any] = {
        "_Change": Change,
        "_Time": Time,
        "_MISFIT": MISFIT,
        "_SHORT": SHORT,
        "_SAFE": SAFE_INTEGER,
        "_DEPTH": MAX_DEPTH,
        "_loads": orjson.loads,
        "_inexact": may_be_inexact,
        "_take": plan.take,
        "_resolve": resolve,
        "_further_digits": has_further_digits,
        "_same": changes.same,
        "_shape_of": changes.document,
        "_protect_change": protect.protect_change,
        "_protect_values": protect.protect_values,
        "_conform": conform_value,
        "_who": sentences.who,
        "_cut": sentences.cut,
        "_printable": sentences.printable,
        "_value": sentences.value,
        "_policy": settings.policy,
        "_salt": settings.salt,
        "_module": settings.format.module,
        "_vendor": settings.format.vendor,
        "_zone": settings.zone,
        "_input": settings.input,
        "_change_stream": normalizer.change_stream,
        "_name_kept": normalizer.name_is_kept,
        "_shapes": {},
        "_EMPTY": {},
        "_ASSERTED": {"confidence": "asserted", "type": "user"},
        "_NOBODY": {"confidence": "unknown", "type": "unknown"},
        "_new_shape": _shapes(mapped, normalizer, plan),
        **source.converters,
    }
    exec(compile(text, f"<compiled {mapped.name}>", "exec"), scope)  # noqa: S102 - our own text, made of repr()
    function: Fast = scope["fast"]
    return function


def _shapes(mapped: MappedFormat, normalizer: Normalizer, plan: Layout) -> Callable[..., _Shape | None]:
    """Makes the shape of one combination by asking the reference; None where it has parts that vary."""
    paths = dict(plan.special)

    def new(shapes: dict[Any, _Shape | None], key: tuple[Any, ...]) -> _Shape | None:
        assert plan.changes is not None
        assert plan.time is not None
        line: dict[str, Any] = {}
        for name, value in zip(("action", "interface", "outcome"), key, strict=True):
            if value is not None:
                _put(line, paths[name], value)
        _put(line, plan.changes, [{plan.change_keys[0]: "f", plan.change_keys[1]: "a", plan.change_keys[2]: "b"}])
        _put(line, plan.time[0], "2026-01-01T00:00:00Z" if plan.time[1] == "iso8601" else 0)
        shape = None
        parsed = mapped.parse(orjson.dumps(line), Context())
        if not isinstance(parsed, Rejected):
            operation = parsed[0]
            documents, _ = normalizer.events(operation, Origin("s", "p", 0, 1, 0.0, "1970-01-01T00:00:00.000Z"))
            fits = len(documents) == 1 and operation.action not in _WHOLE_RECORDS
            fits = fits and not normalizer.is_iam(operation.action)
            if fits and "raw" not in documents[0]["trail"] and "iam" not in documents[0]["event"].get("category", ()):
                shape = _Shape(documents[0])
        if len(shapes) < _MOST_SHAPES:
            shapes[key] = shape
        return shape

    return new


def _put(line: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    here = line
    for part in parents:
        here = here.setdefault(part, {})
    here[leaf] = value


class _Source:
    """The text of the function. Every name and key of the mapping in it comes out of `repr`."""

    def __init__(self, plan: Layout, normalizer: Normalizer) -> None:
        self._plan, self._normalizer = plan, normalizer
        self.converters: dict[str, Any] = {}
        self._variable = {path: f"v{number}" for number, path in enumerate(dict.fromkeys(plan.paths()))}

    def text(self) -> str:
        """The whole function."""
        head = "def fast(data, offset, length, stream, path, received, received_text, mtime, previous):"
        lines = (*self._extract(), *self._attributes(), *self._fields(), *self._finish())
        return "\n".join([head, *(f"    {line}" for line in lines)])

    def _extract(self) -> list[str]:
        """Members into variables: by name where the line has just the mapped ones, else through the mapping's plan."""
        groups: dict[str, list[str]] = {}
        top, deep = [], False
        for path in self._variable:
            parts = path.split(".")
            if len(parts) == 1:
                top.append(path)
            elif len(parts) == 2:
                groups.setdefault(parts[0], []).append(path)
            else:
                deep = True
        exact = ["try:"]
        for number, (name, members) in enumerate(groups.items()):
            exact.append(f"    g{number} = d[{name!r}]")
            exact += [f"    {self._variable[path]} = g{number}[{path.split('.')[1]!r}]" for path in members]
        exact += [f"    {self._variable[path]} = d[{path!r}]" for path in top]
        sizes = [f"len(d) == {len(groups) + len(top)}"]
        sizes += [f"len(g{number}) == {len(members)}" for number, members in enumerate(groups.values())]
        exact.append(f"    whole = {' and '.join(sizes)}")
        exact.append("except (KeyError, TypeError, IndexError): whole = False")
        return [
            "if length > _SHORT or len(data) > _SHORT: return None",
            "try: d = _loads(data)",
            "except ValueError: return None",
            "if type(d) is not dict: return None",
            "raw = None",
            *(["whole = False"] if deep else exact),
            "if not whole:",
            "    found = _take(d)",
            "    get = found.get",
            *(f"    {variable} = get({path!r})" for path, variable in self._variable.items()),
            "    raw = d",
        ]

    def _attributes(self) -> list[str]:
        """Time, and the operation's own attributes as text or None; then what the shape of the event says."""
        assert self._plan.time is not None
        path, layout = self._plan.time
        lines = [
            f"t = {self._variable[path]}",
            "if type(t) is not str and (type(t) is not int or not t): return None",
            f"time = _Time(t, {layout!r})",
            "when = _resolve(time, received=received, mtime=mtime, zone=_zone, previous=previous)",
            "stamp, seconds, precision, zone = when",
            "if precision != 'exact' or (stamp is not t and _further_digits(time)): return None",
        ]
        special = dict(self._plan.special)
        for name in sorted(ATTRIBUTES):
            if name not in special:
                lines.append(f"a_{name} = None")
                continue
            lines += [
                f"a_{name} = {self._variable[special[name]]}",
                f"if type(a_{name}) is not str and a_{name} is not None:",
                f"    if type(a_{name}) is not int or not a_{name} or not -_SAFE <= a_{name} <= _SAFE: return None",
                f"    a_{name} = str(a_{name})",
                f"if not a_{name}: a_{name} = None",
            ]
        return [
            *lines,
            "key = (a_action, a_interface, a_outcome)",
            "shape = _shapes[key] if key in _shapes else _new_shape(_shapes, key)",
            "if shape is None: return None",
            "root = {**shape.root, '@timestamp': stamp, 'data_stream': _change_stream}",
            "event = root['event'] = {**shape.event, 'created': received_text}",
            "if zone: event['timezone'] = zone",
            "trail = root['trail'] = {**shape.trail, 'schema': 1, 'time': {'precision': 'exact'}}",
        ]

    def _fields(self) -> list[str]:
        """Each further field, converted and set at its place; the values for `related.*` on the way."""
        lines, kinds = [], []
        for number, (target, path) in enumerate(self._plan.further):
            convert, related, is_text = self._normalizer.converter_of(target)
            self.converters[f"c{number}"] = convert
            value = f"f{number}"
            lines += [
                f"{value} = {self._variable[path]}",
                f"if {value} is not None:",
                f"    if type({value}) is str: {'pass' if is_text else f'{value} = c{number}({value})'}",
                f"    elif type({value}) is int and -_SAFE <= {value} <= _SAFE and ({value} or not _inexact(data)):",
                f"        {value} = c{number}({value})",
                "    else: return None",
                f"    if {value} is _MISFIT or type({value}) is list: return None",
                *(f"    {line}" for line in self._set(target, value)),
            ]
            if related:
                kinds.append((related, value))
        lines.append("related = {}")
        for related, value in kinds:
            lines += [
                f"if {value} is not None:",
                f"    if {related!r} not in related: related[{related!r}] = [{value}]",
                f"    elif {value} not in related[{related!r}]: related[{related!r}].append({value})",
            ]
        return [*lines, "if related: root['related'] = related"]

    def _set(self, target: str, value: str) -> list[str]:
        """Set a leaf; objects that the shape shares with other events are copied, never written to."""
        parts = target.split(".")
        here, lines = "root", []
        if parts[0] in {"event", "trail"}:
            here = parts.pop(0)
        for depth, part in enumerate(parts[:-1]):
            lines.append(f"h{depth} = {here}[{part!r}] = {{**{here}.get({part!r}, _EMPTY)}}")
            here = f"h{depth}"
        return [*lines, f"{here}[{parts[-1]!r}] = {value}"]

    def _finish(self) -> list[str]:
        field, old, new, label = self._plan.change_keys
        assert self._plan.changes is not None
        named = {"user.id", "user.name", "user.email"}
        asserted = [f"f{number} is not None" for number, (name, _) in enumerate(self._plan.further) if name in named]
        text = _FINISH.format(
            changes=self._variable[self._plan.changes],
            field=field,
            old=old,
            new=new,
            asserted=" or ".join(asserted) or "False",
        )
        del label  # an entry with a label has a fourth member, and goes the other way
        return text.strip().splitlines()
