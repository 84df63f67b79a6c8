"""The text of the function behind `spliced.py`: a decoder for what lines look like, and what is done with its members.

Every name and word of a mapping or of a source that stands in the text comes out of `repr()`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from parsers._contract import Change, Time
from parsers._json import SAFE_INTEGER, may_be_inexact
from shipper import changes, sentences
from shipper._convert import INTEGERS, MISFIT
from shipper._shaping import has_further_digits, is_interpreted
from shipper.enrich import ACCOUNTS, FILLED
from shipper.learned import (
    ATTRIBUTES,
    CALM,
    LARGEST,
    NUMBERS,
    ROLES,
    SUBJECTS,
    Learner,
    escape,
    escape_all,
    facts_of,
    is_plain,
)
from shipper.schema import fields
from shipper.timestamps import is_common, is_usual, resolve

if TYPE_CHECKING:
    from shipper.spliced import Node, Splicer

WORDS: Final = ("action", "code", "outcome", "actor_type", "actor_confidence", "interface")
"""Attributes of which there are few values: each has templates of its own."""
_SHORT: Final = 5_000
"""Bytes of a record in its source: in UTF-8 it is at most half as long again, and below `normalize.SHORT`."""
_WORDED: Final = frozenset({"text", "scrubbed"})
_TYPES: Final[Mapping[str, Any]] = {"str": str, "int": int, "bool": bool, "NoneType": type(None)}
_VALUE: Final[Any] = str | int | bool | None
_NOTHING: Final[Any] = type(None)
_FEW_DIGITS: Final = 10**15
"""Beyond this `changes.document` gives no numbers."""
_TEXT_CHANGE: Final = ("update", "value", "value", "string", ())
"""The state of a change from one text to another; it has the number 0."""

_BEGIN: Final = """
def begin(stream, path, shown_path, received, received_text, mtime, times):
    def line(data, offset, length):
"""
_HEAD: Final = """
if length > _SHORT: return None
try: d = _decode(data)
except _REFUSED: return _refused(data)
"""
_TIME: Final = """
if {usual}: stamp, zone, seconds = {time}, False, None
else:
    w = _Time({time}, {layout!r})
    stamp, seconds, precision, zone = _resolve(w, received=received, mtime=mtime, zone=_zone, previous=times.previous)
    if precision != "exact" or (stamp is not {time} and _further_digits(w)): return None
    if _is_interpreted(w, zone) and not (zone and _is_plain({time})): return None
    zone = zone is not None
"""
_PERSON: Final = """
{filled}, known_plain = _person({accounts})
plain = plain and known_plain
"""
_LABELLED: Final = """
if _labelled(name, old, new): return None
"""
_STATE: Final = """
if type(old) is str and type(new) is str and old and new and new[0] not in _DIGITS:
    if old == new: {same}
    if old[0] in "{{[" or new[0] in "{{[": return None
    state, n = 0, ()
else:
    c = _unusual(data, name, old, new)
    if c is None: return None
    if c is False: {same}
    state, old, new, n = c
decision = _decisions[name, {object_type}]
if decision < 0: return None
"""
_RENDER: Final = """
key = ({words}zone, state, decision{position}{more})
t = _templates.get(key, 0)
if t == 0:
    place = (stream, path, received, received_text, mtime, times.previous, offset, length)
    t = _learn(key, index, data, place, ({learning},))
if t is None: return None
if plain: body = t.plain({spoken})
else:
    m = t.message({spoken})
    shown = _printable(m)
    if b"\\\\" in data{odd}:
        e = _escape_all(({texts}))
        body = t.body({escaped})
    else:
        if shown is not m: m = _escape(shown)
        body = t.body({clean})
if len(body) > _LARGEST: return None
"""
_ONE: Final = """
if not name: return None
{state}
index, count, eid = 0, 1, opid
{render}
{seen}
return body
"""
_MANY: Final = """
found = []
for {item} in {listed}:
    if not name: return None
{state}
    found.append((name, old, new, n, state, decision))
if not found: return None
count, bodies = len(found), []
for index, (name, old, new, n, state, decision) in enumerate(found):
    position = "" if count == 1 else "later" if index else "head"
    eid = opid if count == 1 else f"{{opid}}#{{index}}"
{render}
    bodies.append(body)
{seen}
return "fieldtrail.change", bodies
"""
_NONE: Final = """
name = old = new = ""
n = ()
state, decision = ({object_type}, {same_id}), 0
index, count, eid = 0, 0, opid
{render}
{seen}
return t.dataset, [body]
"""


_states: dict[tuple[Any, ...], int] = {_TEXT_CHANGE: 0}
"""Numbers for the states of changes, of which there are some dozens."""


def _state(*facts: Any) -> int:
    return _states.setdefault(facts, len(_states))


def unusual(data: bytes, name: str, old: Any, new: Any) -> tuple[int, str, str, tuple[Any, ...]] | bool | None:
    """(state, text of old, text of new, the numbers) of a change; False for none, None for the reference."""
    # The two most frequent ones first.
    if old is None and type(new) is str and new and new[0] not in "{[":
        return _state("add", "null", "value", changes.type_of(name, new), ()), "", new, ()
    if type(old) is int and type(new) is int and old and new and abs(old) < _FEW_DIGITS and abs(new) < _FEW_DIGITS:
        if old == new:
            return False
        if not changes.is_quantity(name):
            return _state("update", "value", "value", "number", ()), str(old), str(new), ()
        percent = changes.percent_change(old, new)
        if percent is None:
            return _state("update", "value", "value", "number", NUMBERS[:3]), str(old), str(new), (old, new, new - old)
        return _state("update", "value", "value", "number", NUMBERS), str(old), str(new), (old, new, new - old, percent)
    if changes.same(old, new):
        return False
    for side in (old, new):
        if type(side) is str:
            if side[:1] in {"{", "["}:
                return None
        elif type(side) is int and (not -SAFE_INTEGER <= side <= SAFE_INTEGER or (not side and may_be_inexact(data))):
            return None
    facts, before, after, numbers = facts_of(Change(name, old, new))
    return _state(*facts), before, after, numbers


class Source:
    """One function for one set of members."""

    def __init__(self, splicer: Splicer) -> None:
        self._splicer, self._plan, self._normalizer = splicer, splicer.plan, splicer.normalizer
        self._special = {attribute: splicer.variable[path] for attribute, path in self._plan.special}
        self._field = {target: splicer.variable[path] for target, path in self._plan.further}
        lookup = splicer.lookup
        self._filled = {target: f"g{at}" for at, target in enumerate(FILLED if lookup is not None else ())}
        self._field |= self._filled
        self._converted: dict[str, str] = {}
        self._scope: dict[str, Any] = {}
        self._bits = 0
        named = {self._slot(target): target for target in self._field if self._kind(target)}
        named |= {variable: f"raw.{path}" for path, variable in splicer.extra.items()}
        self.learner = Learner(self._normalizer, named)

    def _slot(self, target: str) -> str:
        return f"f{list(self._field).index(target)}"

    def _kind(self, target: str) -> str:
        return Learner.kind_of(self._normalizer, target)

    # -- the decoder --------------------------------------------------------------------------------------------------

    def _type(self, node: Node) -> Any:
        """The type of one member, from what was seen of it; that of null for one of which nothing can be taken."""
        if node.members:
            return self._struct(node)
        if node.variable == self._changes():
            return self._type_of_changes(node)
        found = None
        for kind in sorted(node.kinds & self._usable(node)):
            kind_type = _TYPES[kind]
            found = kind_type if found is None else found | kind_type
        return found or _NOTHING

    def _usable(self, node: Node) -> set[str]:
        if node.path in self._splicer.extra:
            return {"str", "int", "bool", "NoneType"}
        if self._plan.time is not None and node.path == self._plan.time[0]:
            return {"str", "int"}
        used = {"str", "int", "NoneType"}
        for target, variable in self._field.items():
            if variable == node.variable:
                used &= {"": {"NoneType"}, "ip": {"str", "NoneType"}}.get(self._kind(target), used)
        return used

    def _changes(self) -> str | None:
        return None if self._plan.changes is None else self._splicer.variable[self._plan.changes]

    def _type_of_changes(self, node: Node) -> Any:
        if self._plan.pairs:
            found: Any = dict[str, tuple[_VALUE, _VALUE]]
        else:
            names = dict(zip("fab", self._plan.change_keys[:3], strict=True))
            members = [
                (short, str if short == "f" else _VALUE, msgspec.field(name=name)) for short, name in names.items()
            ]
            found = list[msgspec.defstruct("Change", members, forbid_unknown_fields=True, gc=False, kw_only=True)]  # type: ignore[misc]  # made at run time
        return found | None if "NoneType" in node.kinds or node.absent else found

    def _struct(self, node: Node) -> Any:
        members = []
        for at, member in enumerate(node.members.values()):
            kind = self._type(member)
            if member.absent:
                # Null is as good as missing for a mapped value alone: everything else stays in `trail.raw` as null.
                mapped = not member.members and member.path not in self._splicer.extra
                kind = kind | (_NOTHING if mapped else msgspec.UnsetType)
                given = msgspec.field(name=member.name, default=None if mapped else msgspec.UNSET)
            else:
                given = msgspec.field(name=member.name)
            members.append((f"m{at}", kind, given))
        return msgspec.defstruct("Line", members, forbid_unknown_fields=True, gc=False, kw_only=True)

    # -- the members --------------------------------------------------------------------------------------------------

    def _extract(self, node: Node, holder: str) -> list[str]:
        """Members into variables: None for one that is missing or null, `_UNSET` for one missing without a mapping."""
        lines = []
        for at, member in enumerate(node.members.values()):
            if not member.members:
                lines.append(f"{member.variable} = {holder}.m{at}")
                continue
            below = f"{holder}_{at}"
            lines.append(f"{below} = {holder}.m{at}")
            inner = self._extract(member, below)
            if all(one.absent for one in member.members.values()):
                # An object that holds nothing stays in `trail.raw`.
                nothing = [
                    f"{below}_{number} is _UNSET" if one.members
                    else f"{one.variable} is {'_UNSET' if one.path in self._splicer.extra else 'None'}"
                    for number, one in enumerate(member.members.values())
                ]  # fmt: skip
                inner.append(f"if {' and '.join(nothing)}: return None")
            if member.absent:
                lines += [f"if {below} is _UNSET:", *(f"    {line}" for line in self._missing(member, below))]
                lines += ["else:", *(f"    {line}" for line in inner)]
            else:
                lines += inner
        return lines

    def _missing(self, node: Node, holder: str) -> list[str]:
        """What `_extract` gives where the object itself is missing."""
        lines = []
        for at, member in enumerate(node.members.values()):
            if member.members:
                lines += [f"{holder}_{at} = _UNSET", *self._missing(member, f"{holder}_{at}")]
            else:
                lines.append(f"{member.variable} = {'_UNSET' if member.path in self._splicer.extra else 'None'}")
        return lines

    def _checks(self) -> list[str]:
        """Types, presence and conversions of the mapped members; their bits in `s` say which of them are there."""
        splicer = self._splicer
        time = None if self._plan.time is None else self._plan.time[0]
        required, lines = [], []
        number = {variable for target, variable in self._field.items() if self._kind(target) == "integer"}
        worded = {
            *self._special.values(),
            *(name for target, name in self._field.items() if self._kind(target) in _WORDED),
        }
        if number & worded:
            return ["return None"]  # one member as a number and as a word: nobody maps like that
        for path, variable in splicer.variable.items():
            node = splicer.node(path)
            if path in {time, self._plan.changes}:
                continue
            kinds = node.kinds & self._usable(node)
            optional = node.absent or "NoneType" in kinds or not kinds or splicer.inside_optional(path)
            # A 0 could have been -0: what is empty or nothing is not taken.
            if "int" in kinds and variable not in number:
                lines.append(f"if type({variable}) is int:")
                lines.append(f"    if not {variable} or not -_SAFE <= {variable} <= _SAFE: return None")
                lines.append(f"    {variable} = str({variable})")
            if optional:
                lines += [f"if {variable}: s += {1 << self._bits}", f"elif {variable} is not None: return None"]
                self._bits += 1
            else:
                required.append(variable)
        lines += self._looks_up()
        for target, variable in self._field.items():
            lines += self._converts(target, variable)
        name = self._special.get("object_name")
        if name is not None:
            lines.append(f"if {name} and {name}[0] in '{{[': return None")
        head = [f"if not ({' and '.join(required)}): return None"] if required else []
        return ["s = 0", *head, *lines, *self._distinct()]

    def _looks_up(self) -> list[str]:
        """What the directory knows of the account, as if the source had said it."""
        lookup = self._splicer.lookup
        if lookup is None:
            return []
        self._scope |= {"_person": lookup.person, "_labelled": lookup.labelled}
        accounts = ", ".join(self._field.get(name, "None") for name in ACCOUNTS)
        lines = _PERSON.format(filled=", ".join(self._filled.values()), accounts=accounts).strip().splitlines()
        # They are there together or not at all, but for what a list leaves open.
        for variable in self._filled.values():
            lines.append(f"if {variable} is not None: s += {1 << self._bits}")
            self._bits += 1
        return lines

    def _converts(self, target: str, variable: str) -> list[str]:
        kind, slot = self._kind(target), self._slot(target)
        if not kind:
            return [f"if {variable} is not None: return None"]
        if kind == "text":
            self._converted[target] = variable
            return []
        self._converted[target] = slot
        if kind == "scrubbed":
            return [f"{slot} = {variable}", f"if {slot} is not None: {slot} = _scrub({slot})"]
        self._scope[f"_convert_{slot}"] = self._normalizer.converter_of(target)[0]
        node = self._splicer.node(dict(self._plan.further)[target])
        kinds = node.kinds & self._usable(node)
        convert = f"{slot} = _convert_{slot}({variable})"
        if kind == "integer":
            limit = INTEGERS[fields()[target].type]
            lines = (
                [f"if type({variable}) is str: {convert}", f"else: {slot} = {variable}"]
                if "str" in kinds
                else [f"{slot} = {variable}"]
            )
            there = "" if kinds == {"int"} and not node.absent else f"{slot} is not None and "
            return [*lines, f"if {there}({slot} is _MISFIT or not -{limit} <= {slot} <= {limit}): return None"]
        return [
            f"{slot} = {variable}",
            f"if {slot} is not None:",
            f"    {convert}",
            f"    if {slot} is _MISFIT: return None",
        ]

    def _distinct(self) -> list[str]:
        """Two equal values in one list of `related.*` would stand there once."""
        groups: dict[str, list[str]] = {}
        for target, value in self._converted.items():
            kind = self._normalizer.converter_of(target)[1]
            if kind:
                groups.setdefault(kind, []).append(value)
        return [
            f"if {one} == {other} and {one} is not None: return None"
            for values in groups.values()
            for at, one in enumerate(values)
            for other in values[at + 1 :]
        ]

    def _leftovers(self) -> tuple[list[str], str]:
        """Checks of members that no mapping names, and what of them belongs into the key."""
        lines, states = [], []
        for variable in self._splicer.extra.values():
            lines += [
                f"q{variable} = type({variable})",
                f"if q{variable} is str:",
                f"    if {variable}[:1] in {{'{{', '['}}: return None",
                f"elif q{variable} is int:",
                f"    if not {variable} or not -_SAFE <= {variable} <= _SAFE: return None",
                f"elif q{variable} is bool: q{variable} = {variable}",
            ]
            states.append(f"q{variable}")
        if not states:
            return [], ""
        return lines, f", {self._special.get('object_type')}, {', '.join(states)}"

    # -- the whole ----------------------------------------------------------------------------------------------------

    def compiled(self) -> Callable[..., Any] | None:
        """`begin`, or None where the mapping has parts that this way does not know."""
        plan, splicer = self._plan, self._splicer
        if plan.values or plan.time is None or not set(self._special) <= {*WORDS, "id", "message", *ATTRIBUTES}:
            return None
        if self._normalizer.settings.keep_original or not self._normalizer.settings.keep_unmapped:
            return None
        struct = self._struct(splicer.root)
        plain = r'plain = data.isascii() and b"\\" not in data and b"\x7f" not in data'
        lines = [*_HEAD.strip().splitlines(), *self._extract(splicer.root, "d"), plain, *self._checks()]
        said = self._special.get("message")
        lines += [f"if {said} is not None: return None"] if said is not None else []
        leftovers, more = self._leftovers()
        subject = " or ".join(self._field[target] for target in SUBJECTS if target in self._field)
        interface = self._special.get("interface")
        if subject and interface:
            lines.append(f"if {interface} not in _CALM and ({subject} or '').startswith(_ROLES): return None")
        time = splicer.variable[plan.time[0]]
        usual = f"type({time}) is str and (_is_common({time}) or _is_usual({time}))"
        usual = usual if plan.time[1] == "iso8601" else "False"
        lines += [*leftovers, *_TIME.format(usual=usual, time=time, layout=plan.time[1]).strip().splitlines()]
        own = self._special.get("id")
        place = 'f"{stream}:{offset}"'
        lines.append(f"opid = {own} or {place}" if own else f"opid = {place}")
        lines += self._endings(more)
        body = "\n".join(f"        {line}" for line in lines)
        text = f"{_BEGIN}{body}\n    return line\n"
        templates: dict[Any, Any] = {}
        scope = {
            **self._scope,
            "_SHORT": _SHORT, "_SAFE": SAFE_INTEGER, "_MISFIT": MISFIT, "_LARGEST": LARGEST, "_UNSET": msgspec.UNSET,
            "_CALM": CALM, "_ROLES": ROLES, "_DIGITS": frozenset("-0123456789"),
            "_REFUSED": (msgspec.DecodeError, UnicodeDecodeError),
            "_decode": msgspec.json.Decoder(struct).decode, "_refused": splicer.refused,
            "_Time": Time, "_resolve": resolve, "_zone": self._normalizer.settings.zone, "_is_usual": is_usual,
            "_is_common": is_common,
            "_further_digits": has_further_digits, "_is_interpreted": is_interpreted, "_is_plain": is_plain,
            "_unusual": unusual, "_escape": escape,
            "_escape_all": escape_all,
            "_printable": sentences.printable, "_scrub": self._normalizer.scrubbed, "_decisions": splicer.decisions,
            "_templates": templates, "_learn": splicer.learning(self.learner, templates),
        }  # fmt: skip
        exec(compile(text, f"<spliced {self._normalizer.settings.format.name}>", "exec"), scope)  # noqa: S102 - our own text, made of repr()
        begin: Callable[..., Any] = scope["begin"]
        return begin

    def _endings(self, more: str) -> list[str]:
        """From the changes on: none, one, or several."""
        object_type = self._special.get("object_type")
        seen = "if seconds is None: times.text = stamp\nelse: times.read(seconds)"
        render = self._render(more, "")
        kind = f"{object_type} or ''" if object_type else "''"
        identity, user = self._special.get("object_id"), self._field.get("user.id")
        same_id = f"{identity} == {user}" if identity and user else "False"
        none = _NONE.format(object_type=object_type, same_id=same_id, render=render, seen=seen).strip().splitlines()
        listed = self._changes()
        if listed is None:
            return none
        labelled = "" if self._splicer.lookup is None else _LABELLED
        state = (labelled + _STATE.format(same="return None", object_type=kind)).strip()
        several = _indented((labelled + _STATE.format(same="continue", object_type=kind)).strip())
        if self._plan.pairs:
            take, item = f"(name, (old, new)), = {listed}.items()", "name, (old, new)"
            walk = f"{listed}.items()"
        else:
            take, item = f"item, = {listed}; name, old, new = item.f, item.a, item.b", "name, old, new"
            walk = f"[(item.f, item.a, item.b) for item in {listed}]"
        one = _ONE.format(state=state, render=render, seen=seen).strip().splitlines()
        many = (
            _MANY.format(
                item=item, listed=walk, state=several, render=_indented(self._render(more, ", position")), seen=seen
            )
            .strip()
            .splitlines()
        )
        return [
            f"if {listed} is None:",
            *(f"    {line}" for line in none),
            f"if len({listed}) == 1:",
            f"    {take}",
            *(f"    {line}" for line in one),
            *many,
        ]

    def _render(self, more: str, position: str) -> str:
        values = {
            "ts": "stamp",
            "path": "shown_path",
            "received": "received_text",
            "when": self._splicer.variable[self._plan.time[0]] if self._plan.time else "''",
            "field": "name",
            **{attribute: self._special.get(attribute, "''") for attribute in ATTRIBUTES},
            **{self._slot(target): value for target, value in self._converted.items()},
        }
        slots = self.learner.slots
        clean = [values.get(slot, slot) for slot in slots]
        texts = {"eid", "opid", "field", "old", "new", *ATTRIBUTES}
        texts |= {self._slot(target) for target in self._converted if self._kind(target) in _WORDED}
        extra = set(self._splicer.extra.values())
        shown = ["m", *(slot for slot, value in zip(slots, clean, strict=True) if slot in texts and value != "''")]
        given = dict(zip(slots, clean, strict=True))
        joined = ["shown", *(f"{given[slot]} or ''" for slot in shown[1:])]
        escaped = [
            f"e[{shown.index(slot)}]" if slot in shown
            else f"(_escape({value}) if type({value}) is str else {value})" if slot in extra
            else value
            for slot, value in given.items()
        ]  # fmt: skip
        learning = [
            "path" if slot == "path" else "''" if slot == "m" else value
            for slot, value in zip(slots, clean, strict=True)
        ]
        words = ", ".join(["s"] * bool(self._bits) + [self._special[word] for word in WORDS if word in self._special])
        return _RENDER.format(
            words=words and f"{words}, ",
            more=more,
            odd="" if self._splicer.lookup is None else " or not known_plain",
            position=position,
            learning=", ".join(learning),
            spoken=", ".join("''" if one == "m" else one for one in clean),
            clean=", ".join(clean),
            escaped=", ".join(escaped),
            texts=", ".join(joined),
        ).strip()


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
