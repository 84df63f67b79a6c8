"""The quick way for hand-written parsers: from their operations to canonical bytes, without the events in between.

A parser keeps returning values. What kind of event an operation becomes depends on its words (action, outcome, actor
and so on) and on which fields, leftovers and changes it has: its shape. The rest are texts and numbers. So for each
shape one function is made that takes the values out of an operation and puts them into the templates that `learned.py`
got from the reference. It returns None for what needs more: whole records, withheld values, lists, labels.

A property test holds that both ways give the same bytes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from parsers._contract import SECRET, Change, Context, Operation, Rejected, Time
from parsers._json import SAFE_INTEGER, clean_ip
from shipper import changes, protect, sentences
from shipper._convert import INTEGERS, MISFIT
from shipper._shaping import has_further_digits, is_interpreted
from shipper.learned import (
    CALM,
    LARGEST,
    LONGEST_WORD,
    ROLES,
    SUBJECTS,
    Decisions,
    Learner,
    Template,
    escape,
    escape_all,
    facts_of,
    is_plain,
)
from shipper.normalize import SHORT, Normalizer, Origin
from shipper.schema import fields
from shipper.spliced import Line, Made, Times, refuse
from shipper.timestamps import is_common, resolve

_MOST: Final = 512
"""Shapes, and templates of all shapes, that are remembered; a hostile source must not fill memory."""
_VARYING: Final = ("object_id", "object_name")
_words = attrgetter(
    "action", "kind", "code", "outcome", "category", "type", "actor_type", "actor_confidence", "interface",
    "object_type", "object_label", "missing",
)  # fmt: skip
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_FIXED: Final = frozenset({bool, type(None)})
_DAY: Final = 86_400.0
_surrogate = re.compile("[\ud800-\udfff]").search


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
            return refuse
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
            if op.values or op.no_change or op.time is None or op.bounds is not None:
                return None
            held = op.fields
            key: tuple[Any, ...] = (_words(op), op.message and 1, tuple(held))
            # What most formats do not have; a text may be there and empty.
            if op.raw or op.id is not None or op.object_id is not None or op.object_name is not None or op.changes:
                key += _presence(op)
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
        if len(self._shapes) >= _MOST or _too_long(key):
            return None
        found = self._shapes[key] = _Source(self._normalizer, self._shared, op).compiled()
        return found


def _presence(op: Operation) -> tuple[Any, ...]:
    """Which ids, names and changes there are, and the kinds of leftovers.

    A leftover that is true, false or null stands for itself.
    """
    raw = op.raw
    kinds = tuple(map(type, raw.values()))
    fixed = () if _FIXED.isdisjoint(kinds) else tuple(value for value in raw.values() if type(value) in _FIXED)
    of_user = op.object_id == op.fields.get("user.id")
    return (
        op.id and 1, op.object_id and 1, op.object_name and 1, bool(op.changes), of_user, tuple(raw), kinds, fixed,
    )  # fmt: skip


def _too_long(key: Iterable[Any]) -> bool:
    """Whether a word in a key is too long to be remembered."""
    return any(
        len(part) > LONGEST_WORD if type(part) is str else type(part) is tuple and _too_long(part) for part in key
    )


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
        if is_interpreted(time, used) and not (used and is_plain(str(text))):
            return None
        found = stamp, used, seconds
        # What is read may depend on the time before. Of one that is the same moment it gives the same, unless this is a
        # January of UTC that the source calls December, or the time before is far ahead.
        if type(text) is str and stamp[5:7] != "01" and (previous is None or previous < seconds + _DAY):
            last, known, moment = time, found, seconds
        return found

    return read


def state_of(change: Change, decisions: Mapping[tuple[str, str], int], object_type: str) -> Any:
    """(key, field, text of old, text of new, numbers) of a change; False for none, None for the reference."""
    name, old, new = change[:3]
    if (
        change[3:6] != (None, None, None)
        or change[7:] != (None, None)
        or change.derivation == "snapshot_diff"
        or not name
    ):
        return None
    if changes.same(old, new):
        return False
    for side in (old, new):
        if side is SECRET or type(side) in {list, dict} or (isinstance(side, str) and side[:1] in {"{", "["}):
            return None
    decision = decisions[name, object_type]
    if decision < 0:
        return None
    facts, before, after, numbers = facts_of(change)
    return (change.derivation, *facts, decision), name, before, after, numbers


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
texts = {texts}
plain = {plain}
if not plain and _surrogate(texts): return None
key = ({key})
t = _templates.get(key, 0)
if t == 0: t = _learn(key, index, op, (path, received, received_text, mtime, data, offset, length, stream), ({clean},))
if t is None: return None
if plain: body = t.plain({clean})
else:
{sentence}
    e = _escape_all(({shown}))
    body = t.body({escaped})
if len(body) > _LARGEST: return None
"""
_NONE: Final = """
name = old = new = ""
n = ()
index, count, eid = 0, 0, opid
{render}
{told}
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
{told}
return t.dataset, bodies
"""


class Shared:
    """What the functions of all shapes share."""

    def __init__(self, normalizer: Normalizer) -> None:
        settings = normalizer.settings
        self.decisions = Decisions(normalizer)
        self.passes = protect.sieve(settings.policy, settings.format.module)
        self.learned = 0
        """Templates of all shapes."""


class _Source:
    """The function for operations of one shape, of which `op` is the first."""

    def __init__(self, normalizer: Normalizer, shared: Shared, op: Operation) -> None:
        self._normalizer, self._shared, self._op = normalizer, shared, op
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
        if not all(self._kinds.values()) or any("." in name for name in op.raw):
            return None
        if not {type(value) for value in op.raw.values()} <= _SCALARS:
            return None
        settings, module = self._normalizer.settings, self._normalizer.settings.format.module
        if any(protect.decide(settings.policy, module, name, op.object_type or "").action != "keep" for name in op.raw):
            return None
        lines = [*self._values(), *self._distinct()]
        if op.interface not in CALM:
            subject = next((self._slot[target] for target in SUBJECTS if target in self._slot), None)
            lines += [f"if {subject}.startswith(_ROLES): return None"] if subject else []
        lines += _TIME.strip().splitlines()
        lines.append('opid = op.id or f"{stream}:{offset}"')
        for name in _VARYING:
            lines.append(f"{name} = op.{name} or ''")
            lines += [f"if type({name}) is not str: return None"] if getattr(op, name) else []
        lines += ["if object_name[0] in '{[': return None"] if op.object_name else []
        lines += [*self._scrubbing(), ""]
        if op.changes:
            render = _indented(self._render("state, position, zone"))
            lines += _MANY.format(object_type=op.object_type or "", render=render, told=_TOLD).splitlines()
        else:
            lines += _NONE.format(render=self._render("zone"), told=_TOLD).splitlines()
        body = "\n".join(f"        {line}" for line in lines)
        text = (
            "def begin(stream, path, shown_path, received, received_text, mtime, times, read):\n"
            f"    def render(op, fields, data, offset, length):\n{body}\n    return render\n"
        )
        templates: dict[Any, Template | None] = {}
        scope = {
            **self._scope,
            "_SAFE": SAFE_INTEGER, "_MISFIT": MISFIT, "_LARGEST": LARGEST, "_ROLES": ROLES, "_dumps": orjson.dumps,
            "_state_of": state_of, "_escape_all": escape_all, "_clean_ip": clean_ip, "_surrogate": _surrogate,
            "_printable": sentences.printable, "_scrub": self._normalizer.scrubbed, "_passes": self._shared.passes,
            "_decisions": self._shared.decisions, "_templates": templates, "_learn": self._learning(templates),
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
                # Parsers wrote it so already, as a rule, and it is remembered there.
                lines.append(f"if _clean_ip({slot}) != {slot}:")
                lines += [f"    {slot} = _convert_{slot}({slot})", f"    if {slot} is _MISFIT: return None"]
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

    def _scrubbing(self) -> list[str]:
        """`m`, the source's sentence or "", and the free texts without what the policy withholds from texts.

        `seen` is these texts, without those that stand in another one between two blanks or before a question mark.
        """
        free = {target: slot for target, slot in self._slot.items() if self._kinds[target] == "scrubbed"}
        every = (["m"] if self._op.message else []) + list(free.values())
        lines = ["m = op.message" if self._op.message else "m = ''"]
        if not free:
            lines.append("seen = m")
        elif self._op.message and (url := free.pop("url.original", "")):
            lines.append(f'seen = m if f" {{{url}}} " in m else f"{{m}}|{{{url}}}"')
            parts = [free.pop(part) for part in ("url.path", "url.query") if part in free]
            if parts:
                lines.append(f"if {url} != {_joined(parts, '?')}: seen = {_joined(['seen', *parts])}")
            if free:
                lines.append(f"seen = {_joined(['seen', *free.values()])}")
        else:
            lines.append(f"seen = {_joined(every)}")
        if every:
            lines.append("if not _passes(seen):")
            lines += [f"    {slot} = _scrub({slot})" for slot in every]
            lines.append(f"    seen = {_joined(every)}")
        return lines

    def _render(self, key: str) -> str:
        own = {
            "ts": "stamp",
            "path": "shown_path",
            "received": "received_text",
            "when": "op.time.text",
            "field": "name",
        }
        clean = {slot: own.get(slot, slot) for slot in self._learner.slots}
        texts = ["eid", "opid", "field", "old", "new"] if self._op.changes else ["eid"]
        texts += [name for name in _VARYING if getattr(self._op, name)]
        texts += [slot for target, slot in self._slot.items() if self._kinds[target] == "text"]
        texts += [slot for slot, name in self._left.items() if type(self._op.raw[name]) is str]
        free = [slot for target, slot in self._slot.items() if self._kinds[target] == "scrubbed"]
        shown = ["m", *texts, *free]
        escaped = [f"e[{shown.index(slot)}]" if slot in shown else value for slot, value in clean.items()]
        if "opid" not in texts:
            escaped[list(clean).index("opid")] = f"e[{shown.index('eid')}]"  # the same where nothing was changed
        plain = "texts.isascii() and len(_dumps(texts)) == len(texts) + 2"
        sentence = ""
        if not self._op.message:
            plain += ' and "\\x7f" not in texts'  # which a sentence does not show as it is
            sentence = f"m = _printable(t.message({', '.join(clean.values())}))"
        return _RENDER.format(
            key=key,
            clean=", ".join(clean.values()),
            texts=_joined([*(clean[slot] for slot in texts), "seen"]),
            plain=plain,
            sentence=f"    {sentence}",
            shown="".join(f"{clean[slot]}, " for slot in shown),
            escaped=", ".join(escaped),
        ).strip()

    def _learning(self, templates: dict[Any, Template | None]) -> Callable[..., Template | None]:
        learner, shared = self._learner, self._shared

        def learn(
            key: Any, number: int, op: Operation, place: tuple[Any, ...], values: tuple[Any, ...]
        ) -> Template | None:
            if shared.learned >= _MOST:
                return None
            shared.learned += 1
            path, received, received_text, mtime, data, offset, length, stream = place
            origin = Origin(stream, path, offset, length, received, received_text, mtime, None, 0, data)
            given = {**dict(zip(learner.slots, values, strict=True)), "path": path}
            found = templates[key] = learner.learn(op, origin, number, given)
            return found

        return learn


def _joined(names: Iterable[str], sign: str = "|") -> str:
    """An expression for the texts of these names with a sign between them."""
    return f'f"{sign.join(f"{{{name}}}" for name in names)}"'


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
