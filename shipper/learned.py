"""Templates of canonical bytes, learned from the reference: how an event looks, whatever its texts say.

Events of one kind differ in their texts and in some numbers alone. So the reference (`normalize.py`) is asked once per
kind, with a mark in the place of every text that may vary; where the marks come out is where the texts of other lines
belong. From that a function is compiled that writes such an event's canonical bytes at once. It is kept only if it
gives back, byte for byte, what the reference made of the line that it was learned from.

What may vary is named by slots (those below, fields, leftovers). Whoever fills them promises that two
operations of one kind take the same ways through the reference: `spliced.py` and `shaped.py` say in their keys what the
ways depend on, and property tests hold them to it.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

import orjson

import mappings
from parsers._contract import Change, Operation
from shipper import changes, protect, sentences
from shipper._convert import INTEGERS, TEXTS
from shipper.model import Event
from shipper.normalize import Normalizer, Origin
from shipper.schema import fields
from shipper.seal.canonical import canonical

MARK: Final = "ꙮ"
"""Stands around the name of a slot: a letter, so that nothing escapes it, and one that hardly any text holds."""

BESIDES: Final = ("ts", "eid", "opid", "offset", "length", "path", "received", "when", "count", "index", "m")
"""Slots of every event: time, ids of event and operation, place, the time as the source wrote it, the number of its
changes, the position of this one, the sentence."""
OF_CHANGE: Final = ("field", "old", "new", "n")
"""Slots of a change; `n` is a tuple of the texts of its numbers in the order of `NUMBERS`."""
ATTRIBUTES: Final = ("object_type", "object_id", "object_name")
"""Slots that are attributes of the operation."""
NUMBERS: Final = ("old_number", "new_number", "delta", "delta_pct")

LONGEST_WORD: Final = 128
"""Characters of a word by which templates are remembered."""
_MOST_FIELDS: Final = 4_096
LARGEST: Final = 60_000
"""Bytes of a document up to which nothing can have been cut (`canonical.MAX_BYTES`, with some room)."""
CALM: Final = frozenset({None, "ui", "api", "import", "mobile", "sync"})
"""Interfaces that a sentence names whatever its subject is called; with another one not beside these:"""
ROLES: Final = ("automation ", "an automation", "the system")
SUBJECTS: Final = ("user.full_name", "user.name", "user.email", "user.id")
"""Fields that a sentence takes its subject from, in this order."""
_WHOLE_RECORDS: Final = frozenset({"record.create", "record.delete"})
_ENDS: Final = 120
"""Texts up to this length stand uncut in a sentence."""
_PLACE: Final = re.compile(f'"{MARK}#(\\w+){MARK}"|{MARK}(\\w+){MARK}')
_OFFSET, _LENGTH = 710_000_000_001, 710_000_000_002
_FIRST_INTEGER: Final = {"long": 720_000_000_000_000, "integer": 1_977_000_000, "short": 31_000}


class Template(NamedTuple):
    """One kind of event. All functions take the slots of `Learner.slots`, in that order.

    `body` takes its texts escaped as JSON, and the sentence as the slot `m`; `message` makes the sentence of texts as
    they are; `plain` is both in one for texts that need no escapes.
    """

    dataset: str
    body: Callable[..., bytes]
    message: Callable[..., str]
    plain: Callable[..., bytes]


class Learner:
    """Learns templates of one format.

    `named`: further slots, name -> field (`user.id`) or `raw.` and a path. `attributes`: those of `ATTRIBUTES` that
    vary; the others belong to the kind.
    """

    def __init__(
        self, normalizer: Normalizer, named: Mapping[str, str], attributes: tuple[str, ...] = ATTRIBUTES
    ) -> None:
        self._normalizer, self._attributes = normalizer, attributes
        self._named = dict(named)
        self.slots = (*BESIDES, *OF_CHANGE, *attributes, *named)
        self._of_raw = {target[4:]: name for name, target in named.items() if target.startswith("raw.")}

    @staticmethod
    def kind_of(normalizer: Normalizer, target: str) -> str:
        """How a field is marked: `text`, `scrubbed` (a text of which secrets are taken), `ip`, `integer`; "" = not."""
        field = fields().get(target)
        if field is None or field.array or field.allowed:
            return ""
        if not normalizer.is_plain(target):
            return "scrubbed" if normalizer.is_scrubbed(target) else ""
        if field.type in TEXTS:
            return "text"
        return "ip" if field.type == "ip" else "integer" if field.type in INTEGERS else ""

    def _kind(self, target: str) -> str:
        return self.kind_of(self._normalizer, target)

    def learn(self, op: Operation, origin: Origin, number: int, values: Mapping[str, Any]) -> Template | None:
        """The template of document `number` of an operation, for which the slots hold `values`.

        None where more depends on the values than the texts in their places, or the reference's bytes do not come back.
        """
        if op.no_change or op.values or any(map(names_fields, _objects(op.raw))) or (op.message and op.changes):
            return None
        documents, _ = self._normalizer.events(op, origin)
        if number >= len(documents):
            return None
        document = documents[number]
        if "timezone" in document["event"] and "time" in op.raw:
            return None  # two leftovers of one name: the text of the time is not where `_put_marks` looks for it
        # Of accounts, and of whole records, more than the sentence depends on what the values are.
        if "change" in document["trail"] and (
            op.action in _WHOLE_RECORDS
            or self._normalizer.is_iam(op.action)
            or "iam" in document["event"].get("category", ())
            or any(one.derivation == "snapshot_diff" for one in op.changes)
        ):
            return None
        return self._learned(op, origin, number, canonical(document), values)

    def _learned(
        self, op: Operation, origin: Origin, number: int, made: bytes, values: Mapping[str, Any]
    ) -> Template | None:
        if MARK in made.decode():
            return None
        marked = self._marked(op)
        path, received_text = f"{MARK}path{MARK}", f"{MARK}received{MARK}"
        where = Origin("s", path, _OFFSET, _LENGTH, origin.received, received_text)
        documents, _ = self._normalizer.events(marked, where)
        if number >= len(documents):
            return None
        event = documents[number]
        self._put_marks(event, op, marked)
        message = event["message"]
        event["message"] = f"{MARK}m{MARK}"
        for integer, name in self._integers().items():
            _swap(event, integer, f"{MARK}#{name}{MARK}")
        said = self._expression(message, spoken=True)
        shown_as = self._expression(escape(message), spoken=True)
        whole = self._expression(canonical(event).decode(), spoken=False)
        if said is None or shown_as is None or whole is None:
            return None
        spoken = whole if op.message else whole.replace("f'{m}'", shown_as)
        body, plain = (self._function(f"({expression}).encode()") for expression in (whole, spoken))
        template = Template(event["data_stream"]["dataset"], body, self._function(f"({said})"), plain)
        given = [values[name] for name in self.slots]
        place = self.slots.index("m")
        if not op.message:
            given[place] = sentences.printable(template.message(*given))
        shown = [_escaped(value) for value in given]
        if body(*shown) != made or (shown == given and plain(*given) != made):
            return None
        return template

    def _integers(self) -> dict[int, str]:
        """Numbers that stand for slots."""
        found = {_OFFSET: "offset", _LENGTH: "length"}
        for at, (name, target) in enumerate(self._named.items()):
            if target.startswith("raw."):
                found[_FIRST_INTEGER["long"] + at] = name
            elif self._kind(target) == "integer":
                found[_FIRST_INTEGER[fields()[target].type] + at] = name
        return found

    def _mark(self, name: str, at: int, target: str) -> Any:
        kind = self._kind(target)
        if kind == "integer":
            return _FIRST_INTEGER[fields()[target].type] + at
        return f"2001:db8:a66e::{at + 1:x}" if kind == "ip" else f"{MARK}{name}{MARK}"

    def _marked(self, op: Operation) -> Operation:
        """The operation with a mark in each slot that it fills."""
        marks: dict[str, Any] = {name: f"{MARK}{name}{MARK}" for name in self._attributes if getattr(op, name)}
        held = dict(op.fields)
        for at, (name, target) in enumerate(self._named.items()):
            if target in held:
                held[target] = self._mark(name, at, target)
        raw = self._marked_raw(op.raw, "")
        shown = [
            Change(f"{MARK}field{MARK}", f"{MARK}old{MARK}", f"{MARK}new{MARK}", derivation=one.derivation)
            for one in op.changes
            if not changes.same(one.old, one.new)
        ]
        return replace(op, **marks, id=f"{MARK}opid{MARK}", fields=held, raw=raw, changes=shown)

    def _marked_raw(self, raw: Mapping[str, Any], above: str) -> dict[str, Any]:
        out = dict(raw)
        for key, value in raw.items():
            if isinstance(value, dict):
                out[key] = self._marked_raw(value, f"{above}{key}.")
            elif (name := self._of_raw.get(f"{above}{key}")) is not None:
                if type(value) is str:
                    out[key] = f"{MARK}{name}{MARK}"
                elif type(value) is int:
                    out[key] = _FIRST_INTEGER["long"] + list(self._named).index(name)
        return out

    def _put_marks(self, event: Event, op: Operation, marked: Operation) -> None:
        """The marks that the reference could not carry: times, ids, numbers, addresses, the change."""
        settings = self._normalizer.settings
        for at, (name, target) in enumerate(self._named.items()):
            if not target.startswith("raw.") and self._kind(target) == "ip":
                _swap(event, self._mark(name, at, target), f"{MARK}{name}{MARK}")
        event["@timestamp"] = f"{MARK}ts{MARK}"
        if "timezone" in event["event"] and "time" in event["trail"].get("raw", ()):  # the text itself, in the head
            event["trail"]["raw"] = {**event["trail"]["raw"], "time": f"{MARK}when{MARK}"}
        event["event"]["id"] = f"{MARK}eid{MARK}"
        operation = event["trail"]["operation"] = {**event["trail"]["operation"], "id": f"{MARK}opid{MARK}"}
        if len(op.changes) > 1:  # else it is 1, or 0
            operation["change_count"] = f"{MARK}#count{MARK}"
        change = event["trail"].get("change")
        if change is None:
            return
        changed = [one for one in op.changes if not changes.same(one.old, one.new)]
        actual = changes.document(changed[change["index"]], 0)
        actual["redaction"] = change["redaction"]
        decision = protect.decide(settings.policy, settings.format.module, actual["field"], op.object_type or "")
        actual["sensitivity"] = decision.sensitivity
        if decision.category is not None:
            actual["category"] = decision.category
        if len(op.changes) > 1:
            actual["index"] = f"{MARK}#index{MARK}"
        for name in ("field", "old", "new"):
            if actual.get(name):  # an empty text belongs to the kind
                actual[name] = f"{MARK}{name}{MARK}"
        for name in NUMBERS:
            if name in actual:
                actual[name] = f"{MARK}#{name}{MARK}"
        event["trail"]["change"] = actual
        spec = mappings.actions()[event["event"]["action"]]
        event["message"] = sentences.sentence(event, marked, settings.format.vendor, spec)

    def _expression(self, text: str, *, spoken: bool) -> str | None:
        """An f-string that writes `text` with the values of slots in the marks' places; None for marks of nobody."""
        pieces, end = [], 0
        for found in _PLACE.finditer(text):
            name = found[1] or found[2]
            if name in NUMBERS:
                name = f"n[{NUMBERS.index(name)}]"
            elif name not in self.slots:
                return None
            pieces.append(_literal(text[end : found.start()]))
            # A sentence shows the beginning of a long text alone.
            value = f"{name} if len({name}) <= {_ENDS} else _cut({name})" if spoken else name
            pieces.append(f"f'{{{value}}}'")
            end = found.end()
        pieces.append(_literal(text[end:]))
        return None if any(MARK in piece for piece in pieces) else " ".join(pieces)

    def _function(self, expression: str) -> Callable[..., Any]:
        source = f"lambda {', '.join(self.slots)}: {expression}"
        function: Callable[..., Any] = eval(compile(source, "<learned>", "eval"), {"_cut": sentences.cut})  # noqa: S307 - our own text, made of repr()
        return function


class Decisions(dict[tuple[str, str], int]):
    """(field, type of record) -> a number for what the policy says, -1 where the reference has to see to it."""

    def __init__(self, normalizer: Normalizer) -> None:
        super().__init__()
        self._normalizer = normalizer
        self._numbers: dict[protect.Decision, int] = {}

    def __missing__(self, kind: tuple[str, str]) -> int:
        settings = self._normalizer.settings
        found = protect.decide(settings.policy, settings.format.module, *kind)
        number = -1
        if found.action == "keep" and self._normalizer.name_is_kept(kind[1]):
            number = self._numbers.setdefault(found, len(self._numbers))
        if len(self) < _MOST_FIELDS and len(kind[0]) < LONGEST_WORD and len(kind[1]) < LONGEST_WORD:
            self[kind] = number
        return number


def facts_of(change: Change) -> tuple[tuple[Any, ...], str, str, tuple[Any, ...]]:
    """What of a change belongs to the kind of its event; then the texts of both values, and its `NUMBERS` or ""."""
    out = changes.document(change, 0)
    there = tuple(number for number in NUMBERS if number in out)
    facts = (out["op"], out["old_state"], out["new_state"], out.get("value_type"), there)
    return facts, out.get("old", ""), out.get("new", ""), tuple(out.get(number, "") for number in NUMBERS)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, dict):
        return [value, *(inner for item in value.values() for inner in _objects(item))]
    return []


def names_fields(raw: Mapping[str, Any]) -> bool:
    """Whether one member may name the field that another is the value of: then the policy looks at values."""
    return len(raw) > 1 and not protect.NAMING.isdisjoint(raw)


is_plain: Final = re.compile(r"[ !#-\[\]-~]*").fullmatch
"""A match for a text that JSON needs no escapes for."""


def escape(text: str) -> str:
    """A text as it stands between the quotes of canonical JSON (RFC 8785 section 3.2.2.2)."""
    return encode_basestring(text)[1:-1]


def escape_all(texts: tuple[str, ...]) -> list[str]:
    """Each text as `escape` gives it, in one go; at least one text, none with a lone surrogate."""
    # An unescaped quote cannot stand inside a text, so this is found between two of them alone.
    return orjson.dumps(texts).decode()[2:-2].split('","')


def _literal(text: str) -> str:
    return "f" + repr(text.replace("{", "{{").replace("}", "}}"))


def _escaped(value: Any) -> Any:
    return escape(value) if isinstance(value, str) else value


def _swap(value: Any, old: Any, new: Any) -> None:
    """Replace each text `old` in the containers of an event, which are this event's own or made anew."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, (dict, list)):
            value[key] = item.copy()
            _swap(value[key], old, new)
        elif type(item) is type(old) and item == old:
            value[key] = new
