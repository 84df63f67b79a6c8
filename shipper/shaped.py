"""The quick way for hand-written parsers: from their operations to canonical bytes, without the events in between.

A parser keeps returning values. What kind of event an operation becomes depends on its words (action, outcome, actor
and so on) and on which fields, leftovers and changes it has: its shape. The rest are texts and numbers. So for each
shape one function is made that takes the values out of an operation and puts them into the templates that `learned.py`
got from the reference. It returns None for what needs more: whole records, withheld values, lists, labels.

A property test holds that both ways give the same bytes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from parsers._contract import Change, Context, Operation, Rejected, Time
from parsers._json import SAFE_INTEGER
from shipper import changes, sentences
from shipper._convert import INTEGERS, MISFIT
from shipper._shaping import has_further_digits
from shipper.learned import LONGEST_WORD, NUMBERS, Decisions, Learner, Template, escape
from shipper.normalize import SHORT, Normalizer, Origin
from shipper.schema import fields
from shipper.spliced import Line, Made, Times
from shipper.timestamps import is_common, resolve

_MOST: Final = 512
"""Shapes, and templates of a shape, that are remembered; a hostile source must not fill memory."""
_LARGEST: Final = 60_000
_VARYING: Final = ("object_id", "object_name")
_words = attrgetter(
    "action", "kind", "code", "outcome", "category", "type", "actor_type", "actor_confidence", "interface",
    "object_type", "object_label", "missing",
)  # fmt: skip
_SUBJECTS: Final = ("user.full_name", "user.name", "user.email", "user.id")
_CALM: Final = frozenset({None, "ui", "api", "import", "mobile", "sync"})
_ROLES: Final = ("automation ", "an automation", "the system")
_is_v4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}").fullmatch
"""An address that is written as everybody writes it."""
_SIMPLE: Final = (None, None, None, "native", None, None)


class Shaper:
    """The quick way of one format for one input. `parse` is the format's."""

    def __init__(
        self,
        parse: Callable[[bytes, Context], list[Operation] | Rejected],
        context: Context,
        normalizer: Normalizer,
    ) -> None:
        self._parse, self._context, self._normalizer = parse, context, normalizer
        settings = normalizer.settings
        self._usable = not settings.keep_original and settings.keep_unmapped
        self._shapes: dict[tuple[Any, ...], Callable[..., Any] | None] = {}
        self._shared = Shared(normalizer)

    def begin(
        self, stream: str, path: str, received: float, received_text: str, mtime: float | None, times: Times
    ) -> Line:
        """The function for the lines of one chunk."""
        if not self._usable:
            return _refuse
        parse, context, shapes = self._parse, self._context, self._shapes
        here: dict[tuple[Any, ...], Any] = {}
        read = _reader(times, received, mtime, self._normalizer.settings.zone)
        place = (stream, path, escape(path), received, received_text, mtime, times, read)

        def line(data: bytes, offset: int, length: int) -> Made:
            if length > SHORT or len(data) > SHORT:
                return None
            parsed = parse(data, context)
            if type(parsed) is not list or len(parsed) != 1:
                return None
            op = parsed[0]
            if op.values or op.no_change or op.time is None:
                return None
            held = op.fields
            key = (*_words(op), not op.message, *held)
            # What most formats do not have stands in tuples, so that no name of a field can be taken for it.
            if op.raw:
                key = (_states(op.raw), *key)
            if op.id is not None or op.object_id is not None or op.object_name or op.changes:
                key = (_presence(op), *key)
            render = here.get(key)
            if render is None:
                shape = shapes[key] if key in shapes else self._shape(key, op)
                if shape is None:
                    return None
                render = here[key] = shape(*place)
            made: Made = render(op, held, data, offset, length)
            return made

        return line

    def _shape(self, key: tuple[Any, ...], op: Operation) -> Callable[..., Any] | None:
        """The function of a new shape, None for one that only the reference handles."""
        if len(self._shapes) >= _MOST or any(len(word) > LONGEST_WORD for word in key if type(word) is str):
            return None
        found = self._shapes[key] = _Source(self._normalizer, self._shared, op).compiled()
        return found


def _refuse(data: bytes, offset: int, length: int) -> Made:
    del data, offset, length
    return None


def _presence(op: Operation) -> tuple[bool, ...]:
    """Which of the ids, names and changes are there; an id may be there and empty."""
    of_user = op.object_id == op.fields.get("user.id")
    return op.id is None, op.object_id is None, not op.object_id, not op.object_name, not op.changes, of_user


def _states(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """Names and types of leftovers; what is true, false or null stands for itself."""
    out: list[Any] = ["raw"]
    for name, value in raw.items():
        kind = type(value)
        out += (name, value if kind is bool or value is None else kind.__name__)
    return tuple(out)


def _reader(
    times: Times, received: float, mtime: float | None, zone: ZoneInfo
) -> Callable[[Time], tuple[str, str | None, float | None] | None]:
    """A function that reads the times of one chunk: (text in UTC, name of the zone used, seconds), or None.

    Seconds are None for a text that is its own reading. Nothing is told to `times`: the reference may still be asked.
    """
    last: Time | None = None
    known: tuple[str, str | None, float | None] | None = None
    moment = 0.0

    def read(time: Time) -> tuple[str, str | None, float | None] | None:
        nonlocal last, known, moment
        text, layout = time
        if type(text) is str and layout == "iso8601" and is_common(text):
            return text, None, None
        previous = times.previous
        if time == last and previous == moment:
            return known
        stamp, seconds, precision, used = resolve(time, received=received, mtime=mtime, zone=zone, previous=previous)
        if precision != "exact" or (stamp is not text and has_further_digits(time)):
            return None
        found = stamp, used, seconds
        # What is read may depend on the time before. Once that is the same moment, it stays the same.
        if type(text) is str and previous == seconds:
            last, known, moment = time, found, seconds
        return found

    return read


def state_of(change: Change, decisions: Mapping[tuple[str, str], int], object_type: str) -> Any:
    """(key, field, text of old, text of new, numbers) of a change; False for none, None for the reference."""
    name, old, new = change[:3]
    if change[3:6] != _SIMPLE[:3] or change[7:] != (None, None) or change.derivation == "snapshot_diff" or not name:
        return None
    if changes.same(old, new):
        return False
    for side in (old, new):
        if type(side) in {list, dict} or (isinstance(side, str) and side[:1] in {"{", "["}):
            return None
    decision = decisions[name, object_type]
    if decision < 0:
        return None
    out = changes.document(change, 0)
    there = tuple(number for number in NUMBERS if number in out)
    key = (change.derivation, out["op"], out["old_state"], out["new_state"], out.get("value_type"), there, decision)
    return key, name, out.get("old", ""), out.get("new", ""), tuple(out.get(number, "") for number in NUMBERS)


_TIME: Final = """
when = read(op.time)
if when is None: return None
stamp, zone, seconds = when
"""
_TOLD: Final = """
if seconds is None: times.text = stamp
else: times.read(seconds)
"""
_RENDER: Final = """
key = ({key})
t = _templates.get(key, 0)
if t == 0: t = _learn(key, index, op, (path, received, received_text, mtime, data, offset, length, stream), ({clean},))
if t is None: return None
texts = {texts}
if {plain}: body = t.plain({clean})
else:
    if _surrogate(texts): return None
{sentence}
    e = _escape("\\x1e".join((m, *texts))).split("\\\\u001e")
    if len(e) != {count}: return None
    body = t.body({escaped})
if len(body) > _LARGEST: return None
"""
_NONE: Final = """
name = old = new = ""
n = ()
index, count, eid = 0, 0, opid
{render}
return t.dataset, [body]
"""
_MANY: Final = """
found = []
for change in op.changes:
    state = _state_of(change, _decisions, {object_type!r})
    if state is None: return None
    if state: found.append(state)
if not found: return None
count, bodies = len(found), []
for index, (state, name, old, new, n) in enumerate(found):
    position = "" if count == 1 else "later" if index else "head"
    eid = opid if count == 1 else f"{{opid}}#{{index}}"
{render}
    bodies.append(body)
return t.dataset, bodies
"""


class _Source:
    """The function for operations of one shape, of which `op` is the first."""

    def __init__(self, normalizer: Normalizer, decisions: Decisions, op: Operation) -> None:
        self._normalizer, self._decisions, self._op = normalizer, decisions, op
        self._kinds = {target: Learner.kind_of(normalizer, target) for target in op.fields}
        self._slot = {target: f"f{at}" for at, target in enumerate(op.fields)}
        self._left = {f"r{at}": name for at, (name, value) in enumerate(op.raw.items()) if type(value) in {str, int}}
        named = {slot: target for target, slot in self._slot.items()}
        self._learner = Learner(
            normalizer, {**named, **{slot: f"raw.{name}" for slot, name in self._left.items()}}, _VARYING
        )
        self._scope: dict[str, Any] = {}

    def compiled(self) -> Callable[..., Any] | None:
        """`begin`, which makes the function of a chunk; None where the shape needs the reference."""
        op = self._op
        if not all(self._kinds.values()) or any(type(value) in {dict, list} for value in op.raw.values()):
            return None
        if any("." in name for name in op.raw) or not {type(value) for value in op.raw.values()} <= _SCALARS:
            return None
        lines = [*self._values(), *self._distinct()]
        if op.interface not in _CALM:
            subject = next((self._slot[target] for target in _SUBJECTS if target in self._slot), None)
            lines += [f"if {subject}.startswith(_ROLES): return None"] if subject else []
        if op.time is None:
            return None
        lines += _TIME.strip().splitlines()
        lines.append('opid = op.id or f"{stream}:{offset}"')
        lines += [f"{name} = op.{name} or ''" for name in _VARYING]
        lines.append("if object_name and object_name[0] in '{[': return None")
        lines.append("m = _scrub(op.message)" if op.message else "m = ''")
        if op.changes:
            render = _indented(self._render("state, position, zone"))
            lines += _MANY.format(object_type=op.object_type or "", render=render).strip().splitlines()
        else:
            lines += _NONE.format(render=self._render("zone,")).strip().splitlines()
        body = "\n".join(f"        {line}" for line in lines)
        text = (
            "def begin(stream, path, shown_path, received, received_text, mtime, times):\n"
            f"    memory = [None, None]\n    def render(op, fields, data, offset, length):\n{body}\n    return render\n"
        )
        templates: dict[Any, Template | None] = {}
        scope = {
            **self._scope,
            "_SAFE": SAFE_INTEGER, "_MISFIT": MISFIT, "_LARGEST": _LARGEST, "_BAD": _BAD, "_ROLES": _ROLES,
            "_Time": Time, "_resolve": resolve, "_zone": self._normalizer.settings.zone, "_is_common": is_common,
            "_further_digits": has_further_digits, "_state_of": state_of, "_escape": escape, "_is_v4": _is_v4,
            "_printable": sentences.printable, "_scrub": self._normalizer.scrubbed, "_decisions": self._decisions,
            "_templates": templates, "_learn": self._learning(templates),
        }  # fmt: skip
        exec(compile(text, f"<shaped {self._normalizer.settings.format.name}>", "exec"), scope)  # noqa: S102 - our own text, made of repr()
        begin: Callable[..., Any] = scope["begin"]
        return begin

    def _values(self) -> list[str]:
        """The values out of the operation, of the right types and converted."""
        lines = []
        if self._slot:
            lines.append(f"{', '.join(self._slot.values())}, = fields.values()")
        for target, slot in self._slot.items():
            kind = self._kinds[target]
            if kind == "integer":
                self._scope[f"_convert_{slot}"] = self._normalizer.converter_of(target)[0]
                limit = INTEGERS[fields()[target].type]
                lines.append(f"if type({slot}) is not int: {slot} = _convert_{slot}({slot})")
                lines.append(f"if type({slot}) is not int or not -{limit} <= {slot} <= {limit}: return None")
                continue
            lines.append(f"if type({slot}) is not str or not {slot}: return None")
            if kind == "ip":
                self._scope[f"_convert_{slot}"] = self._normalizer.converter_of(target)[0]
                lines.append(f"if not _is_v4({slot}):")
                lines += [f"    {slot} = _convert_{slot}({slot})", f"    if {slot} is _MISFIT: return None"]
            elif kind == "scrubbed":
                lines.append(f"{slot} = _scrub({slot})")
        if self._left:
            lines.append("raw = op.raw")
        for slot, name in self._left.items():
            lines.append(f"{slot} = raw[{name!r}]")
            if type(self._op.raw[name]) is str:
                lines.append(f"if {slot}[:1] in {{'{{', '['}}: return None")
            else:
                lines.append(f"if not -_SAFE <= {slot} <= _SAFE: return None")
        return lines

    def _distinct(self) -> list[str]:
        """Two equal values in one list of `related.*` would stand there once."""
        groups: dict[str, list[str]] = {}
        for target, slot in self._slot.items():
            kind = self._normalizer.converter_of(target)[1]
            if kind:
                groups.setdefault(kind, []).append(slot)
        if self._op.object_type in sentences.ACCOUNTS:
            groups.setdefault("user", []).extend(f"op.{name}" for name in _VARYING)
        return [
            f"if {one} == {other}: return None"
            for values in groups.values()
            for at, one in enumerate(values)
            for other in values[at + 1 :]
        ]

    def _render(self, key: str) -> str:
        own = {"ts": "stamp", "path": "shown_path", "received": "received_text", "field": "name"}
        clean = {slot: own.get(slot, slot) for slot in self._learner.slots}
        texts = ["eid", "opid", "field", "old", "new"] if self._op.changes else ["eid"]
        texts += [name for name in _VARYING if getattr(self._op, name)]
        texts += [slot for target, slot in self._slot.items() if self._kinds[target] in {"text", "scrubbed"}]
        texts += [slot for slot, name in self._left.items() if type(self._op.raw[name]) is str]
        texts += ["m"] if self._op.message else []
        shown = ["m", *texts]
        escaped = [f"e[{shown.index(slot)}]" if slot in shown else value for slot, value in clean.items()]
        if "opid" not in texts:
            escaped[list(clean).index("opid")] = f"e[{shown.index('eid')}]"  # the same where nothing was changed
        sentence = "m = m" if self._op.message else f"m = _printable(t.message({', '.join(clean.values())}))"
        return _RENDER.format(
            key=key,
            clean=", ".join(clean.values()),
            texts=f"({', '.join(clean[slot] for slot in texts)},)",
            sentence=f"    {sentence}",
            count=len(shown),
            escaped=", ".join(escaped),
        ).strip()

    def _learning(self, templates: dict[Any, Template | None]) -> Callable[..., Template | None]:
        learner = self._learner

        def learn(
            key: Any, number: int, op: Operation, place: tuple[Any, ...], values: tuple[Any, ...]
        ) -> Template | None:
            if len(templates) >= _MOST:
                return None
            path, received, received_text, mtime, data, offset, length, stream = place
            origin = Origin(stream, path, offset, length, received, received_text, mtime, None, 0, data)
            given = {**dict(zip(learner.slots, values, strict=True)), "path": path}
            found = templates[key] = learner.learn(op, origin, number, given)
            return found

        return learn


_SCALARS: Final = {str, int, bool, type(None)}


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
