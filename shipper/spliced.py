"""The quickest way for a mapped JSON format: a line's texts are put into a ready template of canonical bytes.

Where a line has every mapped member, and no other, its event's canonical bytes are the same as those of the line before
but for these members' texts. So a template is cut out of an event that `compiled.py` made, once for each combination of
action, interface, outcome and kind of field and value; and it is used only if it gave that event's very bytes back. In
a line without a backslash texts are JSON as they stand; in others they are escaped. For every other line the function
returns None, and `compiled.py` is asked. There are two such functions: for a value that was changed, and for one that
was set where there was none.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

import orjson

from parsers._json import SAFE_INTEGER
from shipper import changes, protect, sentences
from shipper._convert import INTEGERS, MISFIT, TEXTS
from shipper.compiled import Fast
from shipper.normalize import SHORT, Normalizer
from shipper.schema import fields
from shipper.seal.canonical import canonical
from shipper.timestamps import utc_seconds

if TYPE_CHECKING:
    from shipper.mapped import Layout, MappedFormat

Splice = Callable[..., "tuple[bytes, float] | None"]
"""(data, offset, length, stream, path, received, received_text, mtime, previous) -> (canonical bytes, time in s)."""

_MOST: Final = 512
"""Templates, and kinds of fields, that are remembered; a hostile source must not fill memory."""
_UPDATE: Final = """
if type(old) is not str or old == new or old[0] in "{[" or new[0] in "-0123456789{[": return None
value_type = "string"
"""
_ADD: Final = """
if old is not None or new[0] in "{[": return None
old = ""
value_type = _type_of(name, new)
"""
_MARK: Final = "\ue000"
"""Stands around the number of a variable part; a private-use character, which a text of the source may hold as well:
a line that does is left alone."""
_MARKED: Final = re.compile(f'"{_MARK}(i)(\\d+){_MARK}"|{_MARK}(s)(\\d+){_MARK}')
_SUBJECTS: Final = ("user.full_name", "user.name", "user.email", "user.id")

_BODY: Final = """
if length > _SHORT or len(data) > _SHORT: return None
try:
    d = _loads(data)
{extract}
    listed = {changes}
    item = listed[0]
    name, old, new = item[{field!r}], item[{old!r}], item[{new!r}]
    if not ({sizes} and len(listed) == 1 and len(item) == 3): return None
except (ValueError, KeyError, TypeError, IndexError): return None
if not ({texts} and type(name) is type(new) is str): return None
if "" in ({names}, name, new) or old == "": return None
if {object_name}[0] in "{{[": return None
{values}
{numbers}
stamp = {time}
seconds = _utc_seconds(stamp)
if seconds is None: return None
{convert}
{distinct}
kind = (name, {object_type})
decision = _decisions[kind] if kind in _decisions else _decide(kind)
key = ({action}, {interface}, {outcome}, decision, value_type)
made = _templates.get(key)
if made is None:
    made = _make(key, _fast(data, offset, length, stream, path, received, received_text, mtime, previous))
template, via = made
if template is None: return None
of = f"{{_cut(name)}} of {{_cut({object_type})}} {{_cut({object_id})}}"
message = f"{{_cut({subject})}} {sentence}{{via}} ({{_vendor}})"
if b"\\\\" in data or not message.isprintable():
    message = _printable(message)
    message, name, old, new, {names} = map(_escape, (message, name, old, new, {names}))
identity = {identity}
place = _paths[path] if path in _paths else _escaped(path)
return (template % ({order},)).encode(), seconds
"""


def compile_splice(mapped: MappedFormat, normalizer: Normalizer, fast: Fast) -> Splice | None:
    """The function of a format for one input, or None where the mapping has parts that it does not know."""
    plan = mapped.layout()
    kinds = {target: fields()[target].type for target, _ in plan.further if target in fields()}
    special = dict(plan.special)
    subject = next((target for target in _SUBJECTS if target in dict(plan.further)), None)
    vendor, module = normalizer.settings.format.vendor, normalizer.settings.format.module
    if (
        subject is None
        or plan.changes is None
        or plan.time is None
        or plan.time[1] != "iso8601"
        or len(kinds) != len(plan.further)
        or not {"object_type", "object_id", "object_name", "action"} <= set(special)
        or any(kind not in TEXTS and kind not in INTEGERS and kind != "ip" for kind in kinds.values())
        or any(fields()[target].array or fields()[target].allowed for target in kinds)
        or any(len(path.split(".")) > 2 for path in plan.paths())
        or any(target.startswith("trail.automation.") for target in kinds)
        or not _is_plain(vendor + module)
    ):
        return None
    head = "def splice(data, offset, length, stream, path, received, received_text, mtime, previous):"
    made: list[Splice] = []
    for verb in ("update", "add"):
        parts = _Parts(plan, normalizer, kinds, subject, verb)
        text = _BODY.format(**parts.names())
        source = "\n".join([head, *(f"    {line}" for line in text.strip().splitlines())])
        scope = parts.scope(fast)
        exec(compile(source, f"<spliced {mapped.name}>", "exec"), scope)  # noqa: S102 - our own text, made of repr()
        made.append(scope["splice"])
    update, add = made

    def splice(data: bytes, *rest: Any) -> tuple[bytes, float] | None:
        return add(data, *rest) if b"null" in data else update(data, *rest)

    return splice


def _escape(text: str) -> str:
    """A text as it stands between the quotes of canonical JSON (RFC 8785 section 3.2.2.2)."""
    return encode_basestring(text)[1:-1]


def _is_plain(text: str) -> bool:
    return orjson.dumps(text) == f'"{text}"'.encode() and "%" not in text


class _Parts:
    """The pieces of the text, and what it looks up at run time."""

    def __init__(self, plan: Layout, normalizer: Normalizer, kinds: dict[str, str], subject: str, verb: str) -> None:
        self._plan, self._normalizer, self._kinds, self._subject = plan, normalizer, kinds, subject
        self._verb = verb
        self._variable = {path: f"v{number}" for number, path in enumerate(dict.fromkeys(plan.paths()))}
        self._special = dict(plan.special)
        self._value = {target: self._name_of(number, target) for number, (target, _) in enumerate(plan.further)}
        self._leaves = sorted(self._all_leaves())

    def _name_of(self, number: int, target: str) -> str:
        path = dict(self._plan.further)[target]
        return f"c{number}" if self._kinds[target] == "ip" else self._variable[path]

    def _related(self) -> dict[str, list[str]]:
        """`related.*` -> the variables in it, in the order of the mapping."""
        found: dict[str, list[str]] = {}
        for target, _ in self._plan.further:
            kind = self._normalizer.converter_of(target)[1]
            if kind:
                found.setdefault(kind, []).append(self._value[target])
        return found

    def _all_leaves(self) -> list[tuple[tuple[str, ...], str, bool]]:
        """(path in the event, expression, whether it is a number) of all that differs from line to line."""
        attribute = {name: self._variable[path] for name, path in self._special.items()}
        key = (
            f'f"{self._normalizer.settings.format.module}:{{{attribute["object_type"]}}}/{{{attribute["object_id"]}}}"'
        )
        leaves = [
            (("@timestamp",), "stamp", False),
            (("event", "created"), "received_text", False),
            (("event", "id"), "identity", False),
            (("message",), "message", False),
            (("trail", "change", "field"), "name", False),
            (("trail", "change", "new"), "new", False),
            *([(("trail", "change", "old"), "old", False)] if self._verb == "update" else []),
            (("trail", "object", "id"), attribute["object_id"], False),
            (("trail", "object", "key"), key, False),
            (("trail", "object", "name"), attribute["object_name"], False),
            (("trail", "object", "type"), attribute["object_type"], False),
            (("trail", "operation", "id"), "identity", False),
            (("trail", "origin", "length"), "length", True),
            (("trail", "origin", "offset"), "offset", True),
            (("trail", "origin", "path"), "place", False),
            (("trail", "origin", "received"), "received_text", False),
        ]
        for target, value in self._value.items():
            leaves.append((tuple(target.split(".")), value, self._kinds[target] in INTEGERS))
        for kind, values in self._related().items():
            leaves += [(("related", kind, f"{at:03d}"), value, False) for at, value in enumerate(values)]
        return leaves

    def names(self) -> dict[str, Any]:
        """What stands in the text's places."""
        plan, variable = self._plan, self._variable
        assert plan.time is not None
        assert plan.changes is not None
        groups: dict[str, list[str]] = {}
        top = [path for path in variable if "." not in path]
        for path in variable:
            if "." in path:
                groups.setdefault(path.split(".")[0], []).append(path)
        extract, sizes = [], [f"len(d) == {len(groups) + len(top)}"]
        for number, (name, members) in enumerate(groups.items()):
            extract.append(f"    g{number} = d[{name!r}]")
            extract += [f"    {variable[path]} = g{number}[{path.split('.')[1]!r}]" for path in members]
            sizes.append(f"type(g{number}) is dict and len(g{number}) == {len(members)}")
        extract += [f"    {variable[path]} = d[{path!r}]" for path in top]
        numbers = [value for target, value in self._value.items() if self._kinds[target] in INTEGERS]
        plain = [name for path, name in variable.items() if name not in numbers and path != plan.changes]
        convert, distinct = [], []
        for number, (target, path) in enumerate(plan.further):
            if self._kinds[target] == "ip":
                convert += [f"c{number} = k{number}({variable[path]})", f"if c{number} is _MISFIT: return None"]
        distinct += [
            f"if len({{{', '.join(values)}}}) != {len(values)}: return None"
            for values in self._related().values()
            if len(values) > 1
        ]
        bounds = []
        for target, value in self._value.items():
            if self._kinds[target] in INTEGERS:
                limit = min(INTEGERS[self._kinds[target]], SAFE_INTEGER)
                bounds.append(f"if type({value}) is not int or not 0 < {value} <= {limit}: return None")
        own = self._special.get("id")
        return {
            "extract": "\n".join(extract),
            "changes": variable[plan.changes],
            "field": plan.change_keys[0],
            "old": plan.change_keys[1],
            "new": plan.change_keys[2],
            "sizes": " and ".join(sizes),
            "values": (_UPDATE if self._verb == "update" else _ADD).strip(),
            "sentence": "changed {of} from {_cut(old)} to {_cut(new)}"
            if self._verb == "update"
            else "set {of} to {_cut(new)}",
            "texts": " and ".join(f"type({name}) is str" for name in plain),
            "names": ", ".join(plain),
            "numbers": "\n".join(bounds),
            "time": variable[plan.time[0]],
            "convert": "\n".join(convert),
            "distinct": "\n".join(distinct),
            "object_type": variable[self._special["object_type"]],
            "object_id": variable[self._special["object_id"]],
            "object_name": variable[self._special["object_name"]],
            "action": variable[self._special["action"]],
            "interface": variable[self._special["interface"]] if "interface" in self._special else "None",
            "outcome": variable[self._special["outcome"]] if "outcome" in self._special else "None",
            "subject": self._value[self._subject],
            "identity": variable[own] if own is not None else 'f"{stream}:{offset}"',
            "order": ", ".join(expression for _, expression, _ in self._leaves),
        }

    def scope(self, fast: Fast) -> dict[str, Any]:
        """What the text looks up by name."""
        settings = self._normalizer.settings
        decisions: dict[tuple[str, str], Any] = {}
        templates: dict[Any, tuple[str | None, str]] = {}
        paths: dict[str, str] = {}

        def decide(kind: tuple[str, str]) -> Any:
            found = protect.decide(settings.policy, settings.format.module, *kind)
            if not self._normalizer.name_is_kept(kind[1]):
                found = found._replace(action="ask")  # the name of such a record is not simply kept
            if len(decisions) < _MOST and len(kind[0]) < 256 and len(kind[1]) < 256:
                decisions[kind] = found
            return found

        def make(key: Any, made: tuple[Any, float] | None) -> tuple[str | None, str]:
            found: tuple[str | None, str] = (None, "")
            if key[3].action != "keep":
                templates[key] = found
            elif made is not None:
                found = self._template(made[0])
                if len(templates) < _MOST:
                    templates[key] = found
            return found

        def escaped(path: str) -> str:
            text = orjson.dumps(path).decode()[1:-1]
            if len(paths) < _MOST:
                paths[path] = text
            return text

        converters = {
            f"k{number}": self._normalizer.converter_of(target)[0]
            for number, (target, _) in enumerate(self._plan.further)
        }
        return {
            "_SHORT": SHORT,
            "_MISFIT": MISFIT,
            "_loads": orjson.loads,
            "_utc_seconds": utc_seconds,
            "_vendor": settings.format.vendor,
            "_cut": sentences.cut,
            "_printable": sentences.printable,
            "_escape": _escape,
            "_type_of": changes.type_of,
            "_fast": fast,
            "_decisions": decisions,
            "_decide": decide,
            "_templates": templates,
            "_make": make,
            "_paths": paths,
            "_escaped": escaped,
            **converters,
        }

    def _template(self, event: Any) -> tuple[str | None, str]:
        """(format string for the variable parts in their order, words for the way by which it was done)."""
        body = canonical(event).decode()
        if _MARK in body or event["trail"]["change"]["op"] != self._verb:
            return None, ""
        marked = orjson.loads(body)
        actual = []
        for number, (path, _, is_number) in enumerate(self._leaves):
            here = marked
            for part in path[:-1]:
                here = here.get(part) if isinstance(here, dict) else None
                if here is None:
                    return None, ""
            place: Any = int(path[-1]) if isinstance(here, list) else path[-1]
            try:
                actual.append(here[place])
            except (KeyError, IndexError):
                return None, ""
            here[place] = f"{_MARK}{'i' if is_number else 's'}{number}{_MARK}"
        order = []

        def put(match: re.Match[str]) -> str:
            order.append(int(match[2] or match[4]))
            return "\0d" if match[1] else "\0s"

        text = _MARKED.sub(put, canonical(marked).decode()).replace("%", "%%").replace("\0", "%")
        if order != list(range(len(self._leaves))):
            return None, ""
        shown = tuple(value if isinstance(value, int) else orjson.dumps(value).decode()[1:-1] for value in actual)
        if text % shown != body:
            return None, ""
        via = sentences.by_way_of(event["trail"].get("interface"))
        return text, f" (failed){via}" if event["event"].get("outcome") == "failure" else via
