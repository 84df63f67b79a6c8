"""What a format is: nouns that every parser returns and nothing else.

A format is one file in this package. It has a docstring (its documentation), a `FORMAT` (what it is called, what its
source cannot tell) and a pure function::

    def parse(record: bytes, ctx: Context) -> list[Parsed] | Rejected

`record` is one framed record without its line end. A parser may not open, log, read a clock, draw a random number,
guess a time zone, drop a field of the source or import a sibling format. It never raises: a record that it does not
understand is `Rejected` with a reason that names no value from the record.

Times stay text here; `shipper/timestamps.py` reads them, because only it knows the zone and the moment of receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class _Mark:
    """A value that is no JSON value; compare with `is`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = _Mark("ABSENT")
"""The source says that there was, or is, no such field (`trail.change.*_state: absent`)."""

UNKNOWN: Final = _Mark("UNKNOWN")
"""The source cannot tell this value (`trail.change.*_state: unknown`)."""


SECRET: Final = _Mark("SECRET")
"""A value that a parser dropped because it is a secret: the state is `value`, the redaction `drop`."""

CHANGE_NOT_TOLD: Final = ("trail.change.field", "trail.change.old", "trail.change.new")
"""`Operation.missing` of an edit of which the source says only that it happened."""


class Rejected(NamedTuple):
    """A record that the format does not understand: it becomes an event of kind `pipeline_error`.

    `reason` is fixed text or names keys and positions, never values: it is shipped beside data that a privacy
    policy may have to withhold.
    """

    reason: str


class Time(NamedTuple):
    """A time as the source wrote it.

    `layout`: `iso8601` `epoch_s` `epoch_ms` `epoch_us` `rfc3164` `clf`, or a strptime pattern. A naive time is read in
    the input's zone.
    """

    text: str | int | float
    layout: str = "iso8601"


class Change(NamedTuple):
    """One field that changed from `old` to `new` (any JSON value, `None` = null, or `ABSENT`, `UNKNOWN`, `SECRET`).

    `derivation`: `native` (the source said both), `snapshot_diff`, `new_only`, `reconstructed`.
    """

    field: str
    old: Any = UNKNOWN
    new: Any = UNKNOWN
    label: str | None = None
    old_label: str | None = None
    new_label: str | None = None
    derivation: str = "native"
    changed_after: str | None = None
    changed_before: str | None = None


OUTCOMES: Final = frozenset({"success", "failure", "unknown"})
INTERFACES: Final = frozenset({"ui", "api", "import", "automation", "mobile", "sync", "system", "unknown"})
ACTORS: Final = frozenset({"user", "automation", "api_key", "system", "unknown"})
CONFIDENCES: Final = frozenset({"asserted", "inferred", "unknown"})
"""The words for `outcome`, `interface`, `actor_type`, `actor_confidence`; any other text stays in `raw`."""


@dataclass(slots=True)
class Operation:
    """What was done in one go: one record of the source, n changes, n documents (one where there is no change).

    `action` is one of ours (`mappings/fields.yaml`, `actions`); `code` the source's own verb. `fields` holds further
    ECS or trail fields by dotted name (`{"user.id": "7", "source.ip": "198.51.100.9"}`): they are checked against the
    field table, and one that does not fit goes to `trail.raw`. `values` are the values of a record that was created,
    deleted or seen whole. `raw` is every member of the source that nothing else here carries. `missing` names fields
    that this source cannot give, beyond the format's own list.
    """

    action: str
    kind: str
    """Second half of `event.dataset`, e.g. `audit`."""
    time: Time | None = None
    id: str | None = None
    code: str | None = None
    outcome: str | None = None
    category: tuple[str, ...] = ()
    """Empty: what `action` says in the table of actions."""
    type: tuple[str, ...] = ()
    object_type: str | None = None
    object_id: str | None = None
    object_name: str | None = None
    object_label: str | None = None
    """The source's own word for the object's type, for messages (`Offer`)."""
    actor_type: str = "unknown"
    actor_confidence: str = "unknown"
    interface: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    message: str | None = None
    """The source's own sentence, for activities that carry one; else a sentence is built."""
    no_change: bool = False
    """An edit that changed nothing: it is counted, and yields no document."""
    sets: frozenset[str] = frozenset()
    """Fields of `changes` in which one value of a set came (`old` absent) or went (`new` absent); the others stayed."""
    bounds: tuple[str | None, str | None] | None = None
    """Of a record that was created, deleted or restored by comparison of two looks: it happened between these."""


NATIVE: Final = "native"
INFERRED: Final = "inferred"
NONE: Final = "none"


class Gives(NamedTuple):
    """What a source tells at best: `native` (it says so), `inferred` (it follows from something else), or `none`.

    A test holds each entry against the format's golden events; `fieldtrail coverage` prints it beside what really came.
    """

    who: str = NONE
    """`user.id`, `.name`, `.email` or `.full_name`."""
    when: str = NONE
    ip: str = NONE
    """`source.ip` or `client.ip`."""
    session: str = NONE
    """`trail.session.id`."""
    field: str = NONE
    old: str = NONE
    new: str = NONE
    logins: str = NONE
    """Some of its events are `auth.login`, `session.start`, or their like."""
    exports: str = NONE
    """Some of its events are `data.export`, `data.read`, `report.run` or `file.download`."""

    @classmethod
    def of(cls, native: str, inferred: str = "") -> Gives:
        """From the names of what the source says and of what follows from something else: `Gives.of("who when ip")`."""
        told = {**dict.fromkeys(native.split(), NATIVE), **dict.fromkeys(inferred.split(), INFERRED)}
        return cls(**told)


@dataclass(frozen=True, slots=True)
class Format:
    """A format's card. `name` is the file's name; `module` becomes `event.module`; `vendor` the name in messages.

    `missing` lists what this source can never give (shipped as `trail.missing` where the event lacks it). `generic`
    formats take part in `auto` last, since they accept others' lines.

    `framing` says how its streams are cut into records:

    - `lines`: a record is a line (a file whose first line is `{`, `[` or `[{` alone is one pretty-printed document, and
      a record is the document, or one element of the outermost array).
    - `csv`: a stream that does not begin with `{` or `[` is CSV with a header; a record is the header line, LF, and one
      row, which may hold line ends in quotes. Read it with `parsers._csv.row`.
    - `multiline`: a record begins at a line that `start` (a pattern, searched from the line's beginning) finds, and
      goes on until the next such line; streams of JSON are `lines`.
    - `auditd`: lines of one serial, joined by LF.
    - `postgresql`: JSON lines, or rows of csvlog (no header), or text whose further lines begin with a tab.
    """

    name: str
    module: str
    vendor: str
    title: str
    missing: tuple[str, ...] = ()
    generic: bool = False
    auto: bool = True
    """False: never chosen by `auto` (needs options)."""
    options: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Option name -> what it does; unknown options are configuration errors."""
    dataset: str = ""
    """First half of `event.dataset` where it is not `name`."""
    framing: str = "lines"
    start: bytes = b""
    gives: Gives = field(default_factory=Gives)


@dataclass(frozen=True, slots=True)
class Context:
    """What a parser may know beside the bytes; frozen for a whole stream.

    `received`: RFC 3339, UTC, the moment of receipt. `zone`: the input's zone name. `options`: the input's `options:`
    for this format.
    """

    received: str = ""
    zone: str = "UTC"
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


Parse = Callable[[bytes, Context], "list[Operation] | Rejected"]
