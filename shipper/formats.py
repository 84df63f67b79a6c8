"""All formats by name: those of the package `parsers`, those that the configuration maps, `text`, and `auto`.

`auto` is no parser: it is a decision, made once per stream on its first bytes (`Formats.judge`), and the format it
chose is saved with the stream's position. `syslog` with the option `inner` is made here too, since formats do not know
one another. Pure: bytes and names in, values out.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import parsers
from parsers import Context, Format, Operation, Parse, Parser, Rejected, names, syslog
from parsers._csv import Header, header
from parsers._json import decode
from shipper.errors import ConfigError
from shipper.grouping import LINES, Framing, GroupFramer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AUTO: Final = "auto"
JSON: Final = "json"
TEXT: Final = "text"
SYSLOG: Final = "syslog"
DIFF: Final = "snapshot_diff"

_SAMPLE_RECORDS: Final = 64
"""Records that `auto` parses with each format that its literals do not rule out."""
_NO_INNER: Final = frozenset((AUTO, TEXT, SYSLOG))
_CEE_COOKIE: Final = b"@cee:"

_TEXT_DOC: Final = """Lines that no format understands: each is kept whole, as an event of kind `pipeline_error`.

`auto` takes it for streams that are neither of a known format nor JSON, so that nothing disappears."""


def _refuse(record: bytes, ctx: Context, /) -> list[Operation] | Rejected:
    del record, ctx
    return Rejected("no format understands this line")


_TEXT: Final = Parser(
    Format(name=TEXT, module=TEXT, vendor="text", title="Lines that no format understands", generic=True, auto=False),
    _refuse,
    _TEXT_DOC,
)


class Decision(NamedTuple):
    """What `auto` has decided: `accepted` of the `records` looked at are of the format. `generic`: of no particular."""

    format: str
    accepted: int
    records: int
    generic: bool

    @property
    def share(self) -> float:
        """How sure it is: the share of the records that the format accepts."""
        return self.accepted / self.records if self.records else 0.0


_GENERIC: Final = ("csv", "kv", "json", "python_logging", SYSLOG, "apache")
"""Of two generic formats that accept as much, the one that comes later here says more of it."""


def _merit(one: Decision) -> tuple[float, bool, int]:
    return one.share, not one.generic, _GENERIC.index(one.format) if one.format in _GENERIC else -1


class Formats:
    """The formats that one configuration has.

    `user` holds the configuration's own (`formats:`) by name; a name that the package has is a `ConfigError`.
    """

    __slots__ = ("_own",)

    def __init__(self, user: Mapping[str, Parser] | None = None) -> None:
        self._own: dict[str, Parser] = {TEXT: _TEXT}
        for name, parser in (user or {}).items():
            if name in self or name == AUTO:
                raise ConfigError(
                    "configuration", f"formats.{name}", "a format of this name is built in", f"call it my_{name}"
                )
            self._own[name] = parser

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in names()

    def _parser(self, name: str) -> Parser:
        """A parser that is there; only those that are asked for are imported."""
        return self._own[name] if name in self._own else parsers.get(name)

    def names(self) -> list[str]:
        """Every format that has a parser, in alphabetical order (`auto` has none)."""
        return sorted({*self._own, *names()})

    def get(self, name: str, options: Mapping[str, Any] | None = None) -> Parser:
        """The parser called `name`; `ConfigError` for an unknown one, and for `auto`, which has to be decided first.

        With the option `inner`, `syslog` is the inner format inside syslog lines: its card, its events, and what the
        envelope adds.
        """
        if name == AUTO:
            raise ConfigError(
                "formats", name, "auto is decided on a stream's first lines", "name a format, or use it for an input"
            )
        if name not in self:
            raise ConfigError("formats", name, "no such format", self.suggestion(name))
        parser = self._parser(name)
        inner = (options or {}).get("inner")
        if name == SYSLOG and inner is not None:
            problem = self._inner_problem(inner)
            if problem:
                raise ConfigError("formats", "options.inner", problem, "name the format of the message")
            return _inside_syslog(self._parser(inner))
        source = (options or {}).get("source")
        if name == DIFF and isinstance(source, str):
            return _of_source(parser, self._parser(source).format if source in self else None, source)
        return parser

    def enveloped(self, name: str, options: Mapping[str, Any] | None = None, *, lenient: bool = False) -> Parser:
        """The parser called `name` for messages that come in a syslog envelope, which may be missing.

        Formats that read the envelope themselves (`sshd`, `cef`) get the whole; others the message alone, and the
        envelope adds what they do not say. `lenient`: what the format refuses is read as `syslog`.
        """
        parser = self.get(name, options)
        if name == SYSLOG:
            return parser
        return _enveloped(parser, own=name in self._own or parser.format.generic, lenient=lenient)

    def judge_messages(self, sample: bytes, ctx: Context) -> Decision:
        """As `judge`, for lines that are syslog messages, of a format that they have with their envelope or inside it.

        Where neither is of a particular format, it is `json` for JSON objects, else `syslog`.
        """
        whole = self.judge(sample, ctx, lambda card: Framing(LINES))  # noqa: ARG005 - each line is a message
        if not whole.generic:
            return whole
        inside = [_message(line, ctx) for line in sample.split(b"\n") if line]
        messages = b"".join(one + b"\n" for one in inside if one)
        if messages:
            found = self.judge(messages, ctx, lambda card: Framing(LINES))  # noqa: ARG005 - as above
            if found.format == JSON or not found.generic:
                return found
        return whole._replace(format=JSON if whole.format == JSON else SYSLOG)

    def suggestion(self, name: str) -> str:
        """A hint for an unknown name: the nearest one, else where the list is."""
        near = get_close_matches(name, [*self.names(), AUTO], n=1)
        return f"did you mean {near[0]}?" if near else "run fieldtrail formats for the list"

    def check(self, name: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with an input's `format` and `options`, as (key, sentence) pairs; empty where all is well."""
        if name != AUTO and name not in self:
            return [("format", f"no format is called {name!r}; {self.suggestion(name)}")]
        known = dict(self._parser(name).format.options) if name != AUTO else {}
        problems = []
        if name == SYSLOG and "inner" in options:
            problem = self._inner_problem(options["inner"])
            if problem:
                problems.append(("options.inner", problem))
            else:
                known.update(self._parser(options["inner"]).format.options)
        source = options.get("source", DIFF)
        if name == DIFF and (not isinstance(source, str) or source not in self):
            problems.append(("options.source", f"no format is called {source!r}; {self.suggestion(str(source))}"))
        for key in options:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known)) or 'no options'}"
                problems.append((f"options.{key}", f"the format {name} has no such option; {hint}"))
        return problems

    def judge(self, sample: bytes, ctx: Context, framing: Callable[[Format], Framing] = Framing.of) -> Decision:
        """The format of a stream that begins with `sample`: at least one whole line; a cut last one is not looked at.

        A format is ruled out by its literals, else it parses the first records, cut as `framing` says. A format that is
        not generic wins if it accepts at least half of them, and of several the one that accepts most; else the one
        that accepts most at all, where `json` takes objects that nobody knows. Lines that are none of this are `text`.
        """
        cut: dict[Framing, list[bytes]] = {}
        found: list[Decision] = []
        for name in self.names():
            parser = self._parser(name)
            if not parser.format.auto:
                continue
            if parser.literals and not any(literal in sample for literal in parser.literals):
                continue
            how = framing(parser.format)
            records = cut.get(how)
            if records is None:
                records = cut[how] = _records(sample, how)
            count = sum(not isinstance(parser.parse(record, ctx), Rejected) for record in records)
            if count:
                found.append(Decision(name, count, len(records), parser.format.generic))
        specific = [one for one in found if not one.generic]
        if specific and max(one.share for one in specific) >= 0.5:
            return max(specific, key=_merit)
        return max(found, key=_merit) if found else Decision(TEXT, 0, len(_records(sample, Framing())), generic=True)

    def undecided(self, sample: bytes) -> bool:
        """Whether `sample` is nothing but what may be the header of a CSV file: the first row shows the format."""
        lines = [line for line in sample.split(b"\n") if line.strip()]
        if len(lines) != 1 or lines[0].lstrip()[:1] in {b"{", b"["}:
            return False
        found = header(lines[0])
        return isinstance(found, Header) and len(found.names) >= 3 and all(len(name) <= 64 for name in found.names)

    def complete(self, name: str, line: bytes) -> bool:
        """Whether an unterminated last line is a whole record, so that `--once` may take it.

        JSON says where it ends; a line of text may always go on.
        """
        if name in (TEXT, SYSLOG) or not line.lstrip().startswith((b"{", b"[")):
            return False
        return not isinstance(decode(line), Rejected)

    def _inner_problem(self, inner: Any) -> str | None:
        if not isinstance(inner, str):
            return "must be the name of a format"
        if inner in _NO_INNER:
            return f"{inner} cannot stand inside syslog"
        if inner not in self:
            return f"no format is called {inner!r}; {self.suggestion(inner)}"
        return None


def _records(sample: bytes, framing: Framing) -> list[bytes]:
    """The first records; one that may be cut counts only if it is alone."""
    framer = GroupFramer(framing)
    whole, end, tail = sample.rpartition(b"\n")
    records = framer.feed(whole + end)
    if not records:
        records = [*framer.feed(tail), *framer.flush()]
    return [record.data for record in records[:_SAMPLE_RECORDS]]


def _message(record: bytes, ctx: Context) -> bytes:
    """What stands in the envelope, b"" where there is none."""
    envelope = syslog.unwrap(record, ctx)
    if isinstance(envelope, Rejected):
        return b""
    return envelope.message.lstrip().removeprefix(_CEE_COOKIE).lstrip()


def _enveloped(parser: Parser, *, own: bool, lenient: bool) -> Parser:
    """`parser` for messages with or without an envelope. `own`: it might take the envelope for part of the message."""
    plain, inside = parser.parse, _inside_syslog(parser)
    unwrapped = inside.parse

    def parse(record: bytes, ctx: Context, /) -> list[Operation] | Rejected:
        wrapped = record[:1] == b"<"
        first, second = (unwrapped, plain) if own and wrapped else (plain, unwrapped)
        found = first(record, ctx)
        if not isinstance(found, Rejected):
            return found
        again = second(record, ctx)
        if not isinstance(again, Rejected):
            return again
        if lenient:
            return syslog.parse(record, ctx)
        return found if (first is unwrapped) == wrapped else again

    return inside._replace(parse=parse)


def _of_source(parser: Parser, source: Format | None, name: str) -> Parser:
    """The differ's records as events of the source that was looked at; one without a format has its name alone."""
    if source is None:
        return parser._replace(format=replace(parser.format, module=name, vendor=name, dataset=name))
    card = replace(parser.format, module=source.module, vendor=source.vendor, dataset=source.dataset or source.name)
    return parser._replace(format=card)


def _inside_syslog(inner: Parser) -> Parser:
    """`inner` for messages that stand in syslog lines."""
    parse_inner: Parse = inner.parse

    def parse(record: bytes, ctx: Context, /) -> list[Operation] | Rejected:
        envelope = syslog.unwrap(record, ctx)
        if isinstance(envelope, Rejected):
            return envelope
        message = envelope.message.lstrip()
        if message.startswith(_CEE_COOKIE):
            message = message[len(_CEE_COOKIE) :].lstrip()
        operations = parse_inner(message, ctx)
        if isinstance(operations, Rejected):
            return Rejected(f"inside syslog: {operations.reason}")
        around = syslog.fields_of(envelope)
        for operation in operations:
            if operation.time is None:
                operation.time = envelope.time
            fields = operation.fields
            for name, value in around.items():
                fields.setdefault(name, value)
        return operations

    card = replace(
        inner.format,
        title=f"{inner.format.title}, inside syslog",
        options=syslog.FORMAT.options,
        framing=syslog.FORMAT.framing,
        start=syslog.FORMAT.start,
    )
    return Parser(card, parse, inner.doc)
