"""The quick way for mapped JSON: from a line's bytes to canonical bytes, without the dicts in between.

A mapping says which members a line has; lines say of which types they are. From both a decoder is made that takes
exactly those members, and a function that puts their values into the templates that `learned.py` got from the
reference. A member that was never seen, a type that does not fit, a value that the privacy policy withholds, a text
that is JSON itself: for every such line the function returns None, and the reference is asked. When such lines keep
coming, what they brought joins the decoder (at most `_MOST_DECODERS` times, so that a hostile source cannot keep us
learning).

What the ways through the reference depend on stands in the templates' keys: the members that are there, action,
interface and outcome, what the policy says of the field, states and type of the two values. A property test holds that
both ways give the same bytes. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from parsers._contract import Context, Rejected
from shipper._splicing import Source
from shipper.enrich import Lookup, enriched
from shipper.learned import LONGEST_WORD, Decisions, Learner, Template, escape
from shipper.normalize import Normalizer, Origin
from shipper.timestamps import utc_seconds

if TYPE_CHECKING:
    from shipper.mapped import MappedFormat

Made = bytes | tuple[str, list[bytes]] | None
"""One document of the change stream, or (dataset, documents), or None: ask the reference."""
Line = Callable[[bytes, int, int], Made]
"""(record without its line end, offset, length) -> what became of it."""

_MOST: Final = 512
"""Templates that are remembered; a hostile source must not fill memory."""
_MOST_DECODERS: Final = 12
_MOST_EXTRA: Final = 32
"""Members that no mapping names, and that a decoder takes all the same."""
_DEEPEST: Final = 4
_PATIENCE: Final = 16
"""Lines with something new in them after which the next decoder is made; doubled each time."""
_ODD: Final = frozenset('."\\')
_SCALARS: Final = frozenset({"str", "int", "bool", "NoneType"})


def refuse(data: bytes, offset: int, length: int) -> Made:
    """The quick way where there is none."""
    del data, offset, length
    return None


class Times:
    """The time of the stream's last event, whichever way it went."""

    __slots__ = ("_seconds", "text")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.text = ""
        """A time that `timestamps.is_usual`, later than all before; its seconds are counted when somebody asks."""

    def read(self, seconds: float) -> None:
        """A time that was read already."""
        self._seconds, self.text = seconds, ""

    @property
    def previous(self) -> float | None:
        """Seconds since the epoch, None where no event had a time yet."""
        if self.text:
            self._seconds, self.text = utc_seconds(self.text), ""
        return self._seconds


class Node:
    """A member of the source: an object with members, or a value with the types that were seen of it."""

    __slots__ = ("absent", "kinds", "members", "name", "path", "variable")

    def __init__(self, name: str, path: str, variable: str = "") -> None:
        self.name, self.path, self.variable = name, path, variable
        self.members: dict[str, Node] = {}
        self.kinds: set[str] = set()
        self.absent = False
        """Whether there was a line without it."""


class Splicer:
    """The quick way of one format for one input."""

    def __init__(self, mapped: MappedFormat, normalizer: Normalizer, lookup: Lookup | None = None) -> None:
        """`lookup`: of the directory; the mapping sets none of the fields that it fills."""
        self._mapped, self.normalizer, self.lookup = mapped, normalizer, lookup
        self._parse = mapped.parse if lookup is None else enriched(mapped.parse, mapped.format.module, lookup.tables)
        self.plan = mapped.layout()
        self.root = Node("", "")
        self.variable: dict[str, str] = {}
        """Mapped members, path -> variable."""
        self.extra: dict[str, str] = {}
        """Members that no mapping names, path -> variable."""
        self.decisions = Decisions(normalizer)
        self._decoders = self._refused = 0
        self._patience = 1
        self._news = False
        """Whether lines were refused for something that the decoder could know."""
        self._begin: Callable[..., Line] | None = None
        if not all(is_name(part) for path in self.plan.paths() for part in path.split(".")):
            self._decoders = _MOST_DECODERS
            return
        for path in self.plan.paths():
            if path not in self.variable:
                self.variable[path] = f"v{len(self.variable)}"
                self._add(path, self.variable[path])

    def begin(
        self, stream: str, path: str, received: float, received_text: str, mtime: float | None, times: Times
    ) -> Line:
        """The function for the lines of one chunk."""
        if self._begin is None:
            return self._unknown
        return self._begin(stream, path, escape(path), received, received_text, mtime, times)

    def _unknown(self, data: bytes, offset: int, length: int) -> None:
        del offset, length
        if self._decoders < _MOST_DECODERS:
            self.refused(data)

    # -- what lines look like -----------------------------------------------------------------------------------------

    def _add(self, path: str, variable: str) -> None:
        node, parts = self.root, path.split(".")
        for at, part in enumerate(parts):
            below = node.members.get(part)
            if below is None:
                below = node.members[part] = Node(part, ".".join(parts[: at + 1]))
            node = below
        node.variable = variable

    def node(self, path: str) -> Node:
        """The member at a path."""
        node = self.root
        for part in path.split("."):
            node = node.members[part]
        return node

    def inside_optional(self, path: str) -> bool:
        """Whether an object around the member may be missing."""
        parts = path.split(".")
        return any(self.node(".".join(parts[:at])).absent for at in range(1, len(parts)))

    def refused(self, data: bytes) -> None:
        """A line that the decoder does not take: what is new in it may join the next one."""
        if self._decoders >= _MOST_DECODERS:
            return
        try:
            value = orjson.loads(data)
        except ValueError:
            return
        if type(value) is not dict:
            return
        self._observe(self.root, value)
        self._refused += 1
        if self._news and self._refused >= self._patience:
            self._refused, self._patience, self._news = 0, max(_PATIENCE, self._patience * 2), False
            self._decoders += 1
            self._begin = Source(self).compiled()
            if self._begin is None:
                self._decoders = _MOST_DECODERS  # it is the mapping, not the lines

    def _observe(self, node: Node, value: Mapping[str, Any]) -> None:
        for name, member in node.members.items():
            if name not in value:
                self._news = self._news or not member.absent
                member.absent = True
                continue
            inner = value[name]
            kind = type(inner).__name__
            if kind == "dict" and member.members:
                self._observe(member, inner)
            if kind not in member.kinds:
                self._news = True
                member.kinds.add(kind)
        for name, inner in value.items():
            if name not in node.members and is_name(name):
                self._add_extra(node, name, inner, node.path.count(".") + 2)

    def _add_extra(self, node: Node, name: str, value: Any, depth: int) -> None:
        """A member that no mapping names, if it is a scalar or an object of such."""
        path = f"{node.path}.{name}" if node.path else name
        kind = type(value).__name__
        if len(self.extra) >= _MOST_EXTRA or depth > _DEEPEST:
            return
        member = Node(name, path)
        if kind in _SCALARS:
            member.variable = self.extra[path] = f"r{len(self.extra)}"
        elif kind == "dict":
            for key, inner in value.items():
                if is_name(key):
                    self._add_extra(member, key, inner, depth + 1)
            if not member.members:
                return
        else:
            return
        member.kinds.add(kind)
        member.absent = self._news = True
        node.members[name] = member

    # -- what the function asks ---------------------------------------------------------------------------------------

    def learning(
        self, learner: Learner, templates: dict[tuple[Any, ...], Template | None]
    ) -> Callable[..., Template | None]:
        """The function that learns a template from a line, and remembers it."""

        def learn(
            key: tuple[Any, ...], number: int, data: bytes, place: tuple[Any, ...], values: tuple[Any, ...]
        ) -> Template | None:
            if len(templates) >= _MOST:
                return None
            found = self._learned(learner, number, data, place, dict(zip(learner.slots, values, strict=True)))
            if all(len(word) < LONGEST_WORD for word in key if type(word) is str):
                templates[key] = found
            return found

        return learn

    def _learned(
        self, learner: Learner, number: int, data: bytes, place: tuple[Any, ...], values: Mapping[str, Any]
    ) -> Template | None:
        stream, path, received, received_text, mtime, previous, offset, length = place
        parsed = self._parse(data, Context())
        if isinstance(parsed, Rejected):
            return None
        origin = Origin(stream, path, offset, length, received, received_text, mtime, previous, 0, data)
        return learner.learn(parsed[0], origin, number, values)


def is_name(name: str) -> bool:
    """Whether a decoder can be made that takes a member of this name; a dot in it would make two members one path."""
    return 0 < len(name) <= LONGEST_WORD and name.isprintable() and _ODD.isdisjoint(name)
