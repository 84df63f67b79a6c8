"""From configuration to parts: which class an input or output is, and what its sections mean to it.

Inputs and outputs are few and dangerous, so they are listed here, each in one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

import mappings
import parsers
from parsers._contract import Context, Format
from shipper import __version__, telemetry
from shipper.clock import Clock, host_zone, rfc3339
from shipper.config import Config, FormatSection, cross_check
from shipper.enrich import ACCOUNTS, FILLED, Lookup, enriched
from shipper.errors import ConfigError
from shipper.formats import AUTO, DIFF, TEXT, Decision, Formats
from shipper.grouping import LINES, MULTILINE, Framing
from shipper.input_sections import (
    FileInputSection,
    InputSection,
    LiveInput,
    PollInputSection,
    StdinInputSection,
    SyslogInputSection,
    WebhookInputSection,
)
from shipper.logbook import Identity
from shipper.mapped import MappedFormat, compile_formats
from shipper.model import Counts, Document, Event, Health, Input, Output
from shipper.normalize import Normalizer, Settings
from shipper.output_sections import (
    FileOutputSection,
    HttpSection,
    OpenSearchSection,
    OutputSection,
    StdoutSection,
    StoreSection,
    SyslogSection,
    WhenSection,
)
from shipper.pipeline import Lane
from shipper.protect import Policy
from shipper.shaped import Shaper
from shipper.spliced import Splicer

if TYPE_CHECKING:
    from shipper.directory.keeper import View


def formats_of(config: Config, place: str) -> Formats:
    """Built-in formats and the configuration's own, or `ConfigError` with every problem of theirs."""
    return _with_own(_mapped_of(config, place), place)


def _mapped_of(config: Config, place: str) -> dict[str, MappedFormat]:
    return compile_formats(config.formats, mappings.actions(), frozenset(parsers.names()), place)


def _with_own(mapped: Mapping[str, MappedFormat], place: str) -> Formats:
    about = f"Mapped by the configuration ({place})."
    return Formats({name: parsers.Parser(own.format, own.parse, about) for name, own in mapped.items()})


def _directory_of(config: Config) -> View | None:
    if not config.directory:
        return None
    from shipper.directory import keeper  # noqa: PLC0415 - loaded where there is one

    return keeper.View(keeper.cache_path(config.agent.state_dir))


def policy_of(config: Config) -> Policy:
    """The privacy policy: the configured one, or the default."""
    if config.privacy is None:
        return Policy()
    return Policy.build(
        [rule.model_dump(exclude_none=True) for rule in config.privacy.rules],
        fields=[rule.model_dump(exclude_none=True) for rule in config.privacy.fields],
    )


class Lanes:
    """Everything a line needs, by input and format; `ConfigError` when an input names a format that is not there."""

    def __init__(self, config: Config, place: str, random_bytes: Callable[[int], bytes]) -> None:
        self._config = config
        self.formats, self._policy = Formats(), Policy()
        self._mapped: dict[str, MappedFormat] = {}
        problems = cross_check(config)
        try:
            self._mapped = _mapped_of(config, place)
            self.formats = _with_own(self._mapped, place)
        except ConfigError as error:
            problems += error.problems
        try:
            self._policy = policy_of(config)
        except ConfigError as error:
            problems += error.problems
        self._salt = lambda: random_bytes(16)
        self.directory = _directory_of(config)
        """What the directory says now; None where there is none."""
        self._sections: dict[str, InputSection] = {section.id: section for section in config.inputs}
        for index, section in enumerate(config.inputs):
            if section.format in config.formats and section.format not in self.formats:
                continue  # its own problems are listed already
            found = self.formats.check(section.format, section.options)
            if not found and not isinstance(section, LiveInput):
                card = None if section.format == AUTO else self.formats.get(section.format, section.options).format
                found = _framing_problems(section, card)
            if isinstance(section, PollInputSection):
                found = found + _poll_problems(section, self.formats)
            problems += [(f"inputs[{index}].{where}", text) for where, text in found]
        if problems:
            count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
            raise ConfigError("read configuration", place, count, "fieldtrail formats", tuple(problems))

    def context(self, input_id: str) -> Context:
        """What parsers may know of an input's lines."""
        section = self._sections[input_id]
        return Context(zone=section.timezone or str(host_zone()), options=section.options)

    def framing(self, input_id: str, name: str) -> Framing:
        """How the streams of one input are cut into records that the format `name` reads."""
        section = self._sections[input_id]
        return _framing(section, self.formats.get(name, section.options).format)

    def judge(self, input_id: str, sample: bytes) -> Decision:
        """The format of a stream of an input that begins with `sample`, and how sure that is."""
        section = self._sections[input_id]
        return self.formats.judge(sample, self.context(input_id), lambda card: _framing(section, card))

    def lane(self, input_id: str, name: str) -> Lane:
        """A fresh lane of one input for one format."""
        section = self._sections[input_id]
        live = isinstance(section, SyslogInputSection)
        if live:
            parser = self.formats.enveloped(name, section.options, lenient=section.format == AUTO)
        else:
            parser = self.formats.get(name, _options(section, name))
        own = self._config.formats.get(name)
        switches: FormatSection | InputSection = own or section
        zone = host_zone() if section.timezone is None else ZoneInfo(section.timezone)
        settings = Settings(
            agent_name=self._config.agent.name,
            agent_version=__version__,
            namespace=self._config.agent.namespace,
            input=input_id,
            format=parser.format,
            policy=self._policy,
            salt=self._salt,
            zone=zone,
            default_action=_default_action(own),
            keep_unmapped=switches.keep_unmapped and section.keep_unmapped,
            keep_original=switches.keep_original or section.keep_original,
            expand=switches.expand,
        )
        normalizer = Normalizer(settings)
        mapped = self._mapped.get(name)
        context = replace(self.context(input_id), options=_options(section, name))
        parse, lookup = parser.parse, None
        if self.directory is not None:
            parse = enriched(parse, parser.format.module, self.directory.tables)
            lookup = Lookup(parser.format.module, self.directory.tables)
        quick: Splicer | Shaper = Shaper(parse, context, normalizer)
        spliced = mapped is not None and mapped.spliced and not live
        if lookup is not None and own is not None:
            # What the mapping itself says of a person, the reference tells apart from what the directory knows.
            said = {*own.map, *own.constants}
            spliced = spliced and said.isdisjoint(FILLED) and set(own.constants).isdisjoint(ACCOUNTS)
        if mapped is not None and spliced:
            quick = Splicer(mapped, normalizer, lookup)
        return Lane(parse, normalizer, context, Counts(), quick)

    def input(self, section: InputSection, *, clock: Clock, once: bool, wake: Flag) -> Input:
        """The input of a section."""

        def framing(name: str) -> Framing:
            return self.framing(section.id, name)

        def decided(sample: bytes) -> str:
            found = self.judge(section.id, sample)
            if found.format == TEXT and self.formats.undecided(sample):
                return ""
            telemetry.format_decided(
                input_id=section.id, name=found.format, accepted=found.accepted, records=found.records
            )
            return found.format

        decide = decided if section.format == "auto" else None
        if isinstance(section, StdinInputSection):
            from shipper.inputs.stdin import StdinInput  # noqa: PLC0415 - inputs are loaded where they are used

            return StdinInput(section.id, clock=clock, format=section.format, decide=decide, framing=framing)
        if isinstance(section, WebhookInputSection):
            return _webhook(section, self._config.agent.state_dir, clock=clock, once=once, wake=wake)
        if isinstance(section, PollInputSection):
            return _poll(section, self._config.agent.state_dir, clock=clock, once=once, wake=wake)
        if isinstance(section, SyslogInputSection):
            return _syslog_input(section, self, clock=clock, once=once, wake=wake)
        from shipper.inputs.file import FileInput  # noqa: PLC0415 - watchdog costs 60 ms at import

        return FileInput(
            section.id,
            section.paths,
            clock=clock,
            format=section.format,
            decide=decide,
            framing=framing,
            once=once,
            complete=self.formats.complete,
            exclude=section.exclude,
            wake=wake,
            scan_interval=section.scan_interval,
            max_open_files=section.max_open_files,
            grace=section.grace,
            use_watchdog=not once,
            ignore_older=section.ignore_older,
        )


def _webhook(section: WebhookInputSection, folder: Path, *, clock: Clock, once: bool, wake: Flag) -> Input:
    from shipper.inputs.webhook.input import Place, WebhookInput  # noqa: PLC0415 - loaded where it is used
    from shipper.inputs.webhook.settings import settings_of  # noqa: PLC0415 - as above

    return WebhookInput(
        section.id,
        settings_of(section),
        Place(section.path, section.max_body, frozenset(section.content_types)),
        section.auth,
        clock=clock,
        format=section.format,
        ledger=ledger_path(folder, section.id),
        wake=wake,
        once=once,
    )


def _syslog_input(section: SyslogInputSection, lanes: Lanes, *, clock: Clock, once: bool, wake: Flag) -> Input:
    from shipper.inputs.syslog.input import SyslogInput  # noqa: PLC0415 - loaded where it is used
    from shipper.inputs.syslog.settings import settings_of  # noqa: PLC0415 - as above

    context = lanes.context(section.id)

    def judge(sample: bytes) -> tuple[str, bool]:
        found = lanes.formats.judge_messages(sample, context)
        return found.format, not found.generic

    return SyslogInput(
        section.id,
        settings_of(section),
        clock=clock,
        format=section.format,
        wake=wake,
        judge=judge if section.format == AUTO else None,
        once=once,
    )


def _poll(section: PollInputSection, folder: Path, *, clock: Clock, once: bool, wake: Flag) -> Input:
    from shipper.inputs.poll.http import Client  # noqa: PLC0415 - loaded where it is used
    from shipper.inputs.poll.input import PollInput  # noqa: PLC0415 - as above
    from shipper.inputs.poll.objects import Objects  # noqa: PLC0415 - as above
    from shipper.inputs.poll.preset import compile_source  # noqa: PLC0415 - as above

    source, problems = compile_source(section)
    assert source is not None, f"{problems} were found when the lanes were made"
    return PollInput(
        section.id,
        source,
        clock=clock,
        ledger=ledger_path(folder, section.id),
        sender=Client(section.timeout, section.max_response, section.tls),
        wake=wake,
        objects=lambda ledger, source: Objects(ledger, source, folder / "keys", os.urandom),
        once=once,
    )


def _options(section: InputSection, name: str) -> Mapping[str, Any]:
    """What the format `name` is told of an input: the differ's records are of the source that is polled."""
    if name != DIFF or not isinstance(section, PollInputSection):
        return section.options
    from shipper.inputs.poll.preset import compile_source  # noqa: PLC0415 - loaded where it is used

    source, _ = compile_source(section)
    return section.options if source is None else {"source": source.module, **section.options}


def _poll_problems(section: PollInputSection, formats: Formats) -> list[tuple[str, str]]:
    """What is wrong with what an input of type `poll` reads."""
    from shipper.inputs.poll.preset import compile_source, files_missing  # noqa: PLC0415 - loaded where it is used

    source, problems = compile_source(section)
    for name, one in source.resources.items() if source is not None else ():
        if one.format is not None:
            problems += [(f"resources.{name}.{where}", text) for where, text in formats.check(one.format, {})]
    return problems + files_missing(section)


def ledger_path(folder: Path, input_id: str) -> Path:
    """Where the ledger of an input lies; `folder` is the state folder."""
    return folder / "inputs" / f"{input_id}.db"


def connect_inputs(config: Config, inputs: Sequence[Input], wake: Flag) -> None:
    """Tell inputs whom to wake, those of an agent before included, and which other one they feed.

    Before they are restored.
    """
    for source in inputs:
        if hasattr(source, "rewire"):
            source.rewire(wake)
    known = {source.id: source for source in inputs}
    for section in config.inputs:
        if isinstance(section, WebhookInputSection) and section.feeds is not None:
            known[section.id].connect(known[section.feeds])  # type: ignore[attr-defined]  # what its section makes has it


def _framing(section: InputSection, card: Format) -> Framing:
    """How an input cuts streams of a format: as it says itself, else as the format does."""
    if isinstance(section, LiveInput):
        return Framing(card.framing, card.start)
    own, strict = section.multiline, section.framing != AUTO
    return Framing(
        section.framing if strict else card.framing,
        own.start.encode() if own.start is not None else card.start,
        strict,
        own.max_lines,
        own.max_bytes,
        own.timeout,
        limited=own.start is not None,
    )


def _framing_problems(section: FileInputSection | StdinInputSection, card: Format | None) -> list[tuple[str, str]]:
    """What is wrong with an input's `framing` and `multiline`; `card`: of its format, None for `auto`."""
    kind = (LINES if card is None else card.framing) if section.framing == AUTO else section.framing
    start = section.multiline.start
    if kind == MULTILINE and start is None and not (card is not None and card.start):
        return [("multiline.start", "is required for framing multiline; a pattern that the first line of a record has")]
    if kind != MULTILINE and start is not None:
        return [("multiline.start", f"framing {kind} has no start; did you mean framing: multiline?")]
    return []


def _default_action(own: FormatSection | None) -> str:
    if own is None:
        return "log.message"
    return own.default_action or ("field.update" if own.changes else "log.message")


# -- outputs -----------------------------------------------------------------------------------------------------------


def output_sections(config: Config) -> tuple[OutputSection, ...]:
    """The configured outputs; without any, the embedded store."""
    return config.outputs or (StoreSection(id="store", type="store"),)


def _opensearch(section: OpenSearchSection, config: Config, folder: Path) -> Output:
    from shipper.outputs.opensearch import OpenSearchOutput  # noqa: PLC0415 - loaded where it is used

    del folder
    return OpenSearchOutput(section, namespace=config.agent.namespace)


def _syslog(section: SyslogSection, config: Config, folder: Path) -> Output:
    del folder
    if section.transport.startswith("relp"):
        from shipper.outputs.relp import RelpOutput  # noqa: PLC0415 - loaded where it is used

        return RelpOutput(section, hostname=config.agent.name)
    from shipper.outputs.syslog import SyslogOutput  # noqa: PLC0415 - loaded where it is used

    return SyslogOutput(section, hostname=config.agent.name)


def _http(section: HttpSection, config: Config, folder: Path) -> Output:
    from shipper.outputs.http import HttpOutput  # noqa: PLC0415 - loaded where it is used

    del config, folder
    return HttpOutput(section)


def _file(section: FileOutputSection, config: Config, folder: Path) -> Output:
    from shipper.outputs.file import FileOutput  # noqa: PLC0415 - loaded where it is used

    del config, folder
    return FileOutput(section)


def _stdout(section: StdoutSection, config: Config, folder: Path) -> Output:
    from shipper.outputs.stdout import StdoutOutput  # noqa: PLC0415 - loaded where it is used

    del config, folder
    return StdoutOutput(section.id)


def _store(section: StoreSection, config: Config, folder: Path) -> Output:
    from shipper.outputs.store import StoreOutput  # noqa: PLC0415 - loaded where it is used

    del config
    return StoreOutput(section.id, folder / "store.db")


OUTPUTS: dict[str, Callable[[Any, Config, Path], Output]] = {
    "opensearch": _opensearch,
    "syslog": _syslog,
    "http": _http,
    "file": _file,
    "stdout": _stdout,
    "store": _store,
}


def output(section: OutputSection, config: Config, folder: Path) -> Output:
    """The output of a section; `folder` is the state folder."""
    return OUTPUTS[section.type](section, config, folder)


def describe_outputs(config: Config) -> dict[str, Any]:
    """What a `config` leaf says of the outputs: enough to explain what one of them does not hold, and no secret."""
    out: dict[str, Any] = {}
    for section in output_sections(config):
        entry: dict[str, Any] = {"id": section.id, "type": section.type}
        if section.when is not None:
            entry["when"] = section.when.model_dump(mode="json", exclude_defaults=True)
        control = getattr(section, "control", None)
        if control is not None:
            entry["control"] = control
        out[section.id] = entry
    return out


def when_filter(when: WhenSection | None) -> Callable[[Document], bool] | None:
    """A `when:` as a predicate on shipped documents, None where there is none."""
    if when is None:
        return None
    datasets, levels = set(when.dataset), set(when.level)
    wanted = [
        (name.split("."), {values} if isinstance(values, str) else set(values)) for name, values in when.fields.items()
    ]

    def matches(document: Document) -> bool:
        if datasets and document.dataset in datasets and not levels and not wanted:
            return True
        event = orjson.loads(document.data)
        if datasets and document.dataset not in datasets and _at(event, ["event", "dataset"]) not in datasets:
            return False
        if levels and _at(event, ["log", "level"]) not in levels:
            return False
        return all(_has(_at(event, path), values) for path, values in wanted)

    return matches


def _at(event: Any, path: list[str]) -> Any:
    for part in path:
        event = event.get(part) if isinstance(event, dict) else None
    return event


def _has(value: Any, wanted: set[str]) -> bool:
    values = value if isinstance(value, list) else [value]
    return any((item if isinstance(item, str) else orjson.dumps(item).decode()) in wanted for item in values)


# -- our own health ----------------------------------------------------------------------------------------------------


def health_event(
    identity: Identity,
    action: str,
    message: str,
    now: float,
    extra: Mapping[str, Any] | None = None,
    *,
    trail: Mapping[str, Any] | None = None,
    outcome: str | None = None,
    name: str = "",
) -> Event:
    """A document of stream `fieldtrail.health`: what happened to the agent itself.

    `extra`: members of `trail.origin`; `trail`: of `trail`. `name` tells documents of one action and moment apart.
    """
    text = rfc3339(now)
    spec = mappings.actions()[action]
    event: dict[str, Any] = {
        "action": action,
        "created": text,
        "dataset": "fieldtrail.health",
        "id": f"{identity.prefix}:{action}:{text}" + (f":{name}" if name else ""),
        "kind": "event",
        "module": "fieldtrail",
    }
    if spec.category:
        event["category"], event["type"] = list(spec.category), list(spec.type)
    if outcome is not None:
        event["outcome"] = outcome
    return {
        "@timestamp": text,
        "agent": {"name": identity.name, "type": "fieldtrail", "version": identity.version},
        "data_stream": {"dataset": "fieldtrail.health", "namespace": identity.namespace, "type": "logs"},
        "ecs": {"version": mappings.ECS_VERSION},
        "event": event,
        "message": message,
        "trail": {
            "actor": {"confidence": "asserted", "type": "system"},
            "operation": {"change_count": 0, "head": True, "id": event["id"]},
            "origin": {"input": "fieldtrail", "received": text, **(extra or {})},
            "schema": 1,
            "time": {"precision": "exact"},
            **(trail or {}),
        },
    }


def told_event(identity: Identity, input_id: str, told: Health, now: float, number: int) -> Event:
    """What an input tells of itself; `number` tells apart what it tells at one moment."""
    return health_event(
        identity,
        told.action,
        told.message,
        now,
        {"input": input_id, **told.origin},
        trail=told.trail,
        outcome=told.outcome,
        name=f"{input_id}:{number}",
    )


def loss_event(identity: Identity, input_id: str, loss: Any, now: float) -> Event:
    """Bytes that were seen and gone before they could be read: never silent."""
    seen = f", {loss.seen_size - loss.offset} bytes had been seen" if loss.seen_size is not None else ""
    message = f"lost unread bytes of {loss.path} from offset {loss.offset} on{seen}"
    return health_event(
        identity, "source.loss", message, now, {"input": input_id, "path": loss.path, "offset": loss.offset}
    )
