"""The configuration: YAML, checked as a whole before anything starts; all problems at once, each with its path.

Order of work (architecture.md section 5): YAML is parsed with duplicate keys refused; then `${env:NAME}` and
`${file:/path}` are expanded in scalar values and never re-parsed; then pydantic models check the result. Values that
came out of an expansion are secrets: they never appear in dumps, errors or logs.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from shipper import _yaml
from shipper._auth import auth_problems, http_problems
from shipper._listening import MetricsSection
from shipper._settings import Bytes, Model, Seconds
from shipper._webhook_auth import webhook_auth_problems
from shipper.directory import sections as directory_sections
from shipper.directory.sections import DirectorySection
from shipper.errors import ConfigError
from shipper.input_sections import (
    FileInputSection,
    InputSection,
    PollInputSection,
    StdinInputSection,
    SyslogInputSection,
    WebhookInputSection,
)
from shipper.output_sections import (
    FileOutputSection,
    HttpSection,
    OpenSearchSection,
    OutputSection,
    StdoutSection,
    StoreSection,
    SyslogSection,
)
from shipper.timestamps import layout_problem

DEFAULT_PATH = Path("/etc/fieldtrail/fieldtrail.yaml")


def _state_home() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "fieldtrail"


def _no_space(value: str) -> str:
    if re.search(r"[\s+]", value):
        raise ValueError("must not contain spaces or '+': it names the signing key")
    return value.strip("/")


class AgentSection(Model):
    """Who this agent is and where its state lies."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(default_factory=socket.gethostname)
    origin: Annotated[str, Field(min_length=1, max_length=400)] = Field(
        default_factory=lambda: f"local/{socket.gethostname()}"
    )
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,100}$")] = "default"
    state_dir: Path = Field(default_factory=_state_home)
    workers: Annotated[int, Field(ge=1, le=32)] = 1
    shutdown_grace: Seconds = 30.0
    report: Seconds = 300.0
    # YAML 1.1 takes a bare `off` for false.
    confine: Annotated[
        Literal["auto", "off", "require"], BeforeValidator(lambda value: "off" if value is False else value)
    ] = "auto"

    _names = field_validator("name", "origin")(_no_space)

    @field_validator("report")
    @classmethod
    def _now_and_then(cls, report: float) -> float:
        if 0 < report < 1:
            raise ValueError("at least 1s, or 0 for no reports")
        return report


class SealSection(Model):
    """Cadence of the signed checkpoints (sealing.md 6)."""

    interval: Seconds = 60.0
    max_events: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    heartbeat: Annotated[Seconds, Field(ge=0.1)] = 300.0


class JournalSection(Model):
    """The spool: how long and how much is kept after everything is delivered."""

    keep: Seconds = 7 * 86400.0
    max_size: Bytes = 10 * 1024**3
    segment_size: Annotated[Bytes, Field(ge=65536, le=1024**3)] = 64 * 1024**2
    when_full: Literal["wait", "drop_oldest"] = "wait"


class RetentionSection(Model):
    """For how many days destinations keep events: the log announces what may be gone. `retention: null`: for ever.

    Announced with an output of type `opensearch`, or where this section is written.
    """

    days: Annotated[int, Field(ge=1, le=36_500)] = 550


class PrivacyRule(Model):
    """What becomes of the values of the fields it names; the first rule that matches decides."""

    field: str | None = None
    category: str | None = None
    sensitivity: Literal["public", "internal", "confidential", "restricted"] | None = None
    module: str | None = None
    action: Literal["keep", "mask", "drop"]

    @model_validator(mode="after")
    def _names_something(self) -> PrivacyRule:
        if self.field is None and self.category is None and self.sensitivity is None:
            raise ValueError("a rule needs at least one of field, category, sensitivity")
        return self


class FieldRule(Model):
    """What a field means, where the built-in rules do not know it or know it otherwise; the first that fits decides."""

    field: str
    category: str | None = None
    sensitivity: Literal["public", "internal", "confidential", "restricted"] | None = None
    module: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> FieldRule:
        if self.category is None and self.sensitivity is None:
            raise ValueError("give category, sensitivity, or both")
        return self


class PrivacySection(Model):
    """The field policy (protect stage). Absent: bank, tax and government ids are masked, credentials dropped."""

    fields: tuple[FieldRule, ...] = ()
    rules: tuple[PrivacyRule, ...] = ()


class TimeSection(Model):
    """Where a user's format has its time, and how it is written."""

    field: str
    layout: str = "iso8601"

    @field_validator("layout")
    @classmethod
    def _known(cls, layout: str) -> str:
        problem = layout_problem(layout)
        if problem:
            raise ValueError(problem)
        return layout


class ChangesSection(Model):
    """Where a user's format has its changes.

    A `list` of objects, or an object of `pairs` {field: [old, new]}, or neither: the record itself is one change, and
    `field`, `old`, `new` and `label` are paths in it.
    """

    list: str | None = None
    pairs: str | None = None
    field: str = "field"
    old: str = "old"
    new: str = "new"
    label: str | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> ChangesSection:
        if self.list is not None and self.pairs is not None:
            raise ValueError("give list or pairs, or neither where a record is one change")
        return self


class FormatSection(Model):
    """A user's own format, mapped without Python."""

    decode: Literal["json", "kv", "csv", "regex", "grok"]
    patterns: tuple[str, ...] = ()
    definitions: dict[str, str] = Field(default_factory=dict)
    columns: tuple[str, ...] = ()
    separator: Annotated[str, Field(min_length=1, max_length=8)] | None = None
    assign: Annotated[str, Field(min_length=1, max_length=8)] = "="
    module: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None
    vendor: str | None = None
    kind: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")] = "audit"
    time: TimeSection | None = None
    map: dict[str, str] = Field(default_factory=dict)
    changes: ChangesSection | None = None
    actions: dict[str, str] = Field(default_factory=dict)
    default_action: str | None = None
    constants: dict[str, Any] = Field(default_factory=dict)
    keep_unmapped: bool = True
    keep_original: bool = False
    expand: Literal["always", "sensitive", "never"] = "sensitive"

    @model_validator(mode="after")
    def _of_its_kind(self) -> FormatSection:
        with_patterns = self.decode in {"regex", "grok"}
        if with_patterns and not self.patterns:
            raise ValueError(f"patterns: decode {self.decode} needs at least one")
        for name, given, kinds in (
            ("patterns", self.patterns, ("regex", "grok")),
            ("definitions", self.definitions, ("grok",)),
            ("columns", self.columns, ("csv",)),
            ("separator", self.separator, ("csv", "kv")),
            ("assign", "assign" in self.model_fields_set, ("kv",)),
        ):
            if given and self.decode not in kinds:
                raise ValueError(f"{name}: only for decode {' and '.join(kinds)}")
        if self.decode == "csv" and self.separator is not None and not (self.columns and len(self.separator) == 1):
            raise ValueError("separator: one character, and with columns; a header tells it by itself")
        return self


class Config(Model):
    """The whole file."""

    agent: AgentSection = Field(default_factory=AgentSection)
    seal: SealSection = SealSection()
    journal: JournalSection = JournalSection()
    retention: RetentionSection | None = RetentionSection()
    metrics: MetricsSection | None = None
    privacy: PrivacySection | None = None
    inputs: tuple[InputSection, ...] = ()
    formats: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")], FormatSection] = Field(
        default_factory=dict
    )
    outputs: tuple[OutputSection, ...] = ()
    directory: tuple[DirectorySection, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Config:
        for what, items in (("inputs", self.inputs), ("outputs", self.outputs), ("directory", self.directory)):
            ids = [item.id for item in items]
            for name in sorted({i for i in ids if ids.count(i) > 1}):
                raise ValueError(f"{what}: id {name!r} is used twice")
        if sum(item.type == "store" for item in self.outputs) > 1:
            raise ValueError("outputs: only one output of type store")
        return self


# -- reading -----------------------------------------------------------------------------------------------------------


def _path_of(location: tuple[int | str, ...], document: Any) -> str:
    """A pydantic location as people write it: `outputs[0].hosts[1]` (discriminator tags are left out)."""
    text = ""
    here = document
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            here = here[part] if isinstance(here, list) and part < len(here) else None
        elif isinstance(here, dict) and part not in here and here.get("type") == part:
            continue
        else:
            text += f".{part}" if text else part
            here = here.get(part) if isinstance(here, dict) else None
    return text or "(top)"


def _known_keys(location: tuple[int | str, ...], document: Any) -> list[str]:
    """The keys allowed where an unknown one stood, for a suggestion."""
    model: Any = Config
    by_type: dict[tuple[str, str], type[BaseModel]] = {
        ("inputs", "file"): FileInputSection,
        ("inputs", "stdin"): StdinInputSection,
        ("inputs", "webhook"): WebhookInputSection,
        ("inputs", "syslog"): SyslogInputSection,
        ("inputs", "poll"): PollInputSection,
        **{("directory", kind): section for kind, section in directory_sections.BY_TYPE.items()},
        ("outputs", "opensearch"): OpenSearchSection,
        ("outputs", "syslog"): SyslogSection,
        ("outputs", "http"): HttpSection,
        ("outputs", "file"): FileOutputSection,
        ("outputs", "stdout"): StdoutSection,
        ("outputs", "store"): StoreSection,
    }
    names = [part for part in location[:-1] if isinstance(part, str)]
    if len(names) >= 2 and (names[0], names[1]) in by_type:
        model = by_type[(names[0], names[1])]
    elif names and names[0] == "formats":
        model = FormatSection
    elif names and names[0] in Config.model_fields:
        kind = Config.model_fields[names[0]].annotation
        model = next(one for one in (*get_args(kind), kind, Config) if isinstance(one, type) and issubclass(one, Model))
    del document
    return [info.alias or name for name, info in model.model_fields.items()]


def _problem(error: Any, document: Any) -> tuple[str, str]:
    location = tuple(error["loc"])
    kind, text = error["type"], str(error["msg"])
    path = _path_of(location, document)
    if kind == "extra_forbidden":
        near = get_close_matches(str(location[-1]), _known_keys(location, document), 1)
        return path, "unknown key" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "missing":
        return path, "is required"
    if kind == "union_tag_invalid":
        context = error.get("ctx", {})
        return f"{path}.type", f"{context.get('tag')!r} is not one of {context.get('expected_tags')}"
    if kind == "union_tag_not_found":
        return f"{path}.type", "is required"
    if kind == "value_error":
        text = text.removeprefix("Value error, ")
        inner = re.match(r"^(\w+(?:\[\d+\])?): (.*)$", text, re.DOTALL)
        if inner and location and str(location[-1]) == inner[1].split("[")[0]:
            return path + inner[1][len(str(location[-1])) :], inner[2]
    return path, text


def _without(text: str, secret: str | None) -> str:
    """A problem's text without the value that it speaks of, where that is a secret."""
    return text.replace(secret, "***") if secret else text


def parse(text: str, place: str, env: Mapping[str, str] | None = None) -> Config:
    """The configuration in `text`; every problem at once as `ConfigError` (exit 78). `place` names the file."""
    try:
        document = _yaml.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(top)"
        raise ConfigError(
            "read configuration", place, "not valid YAML", "fix the line named above", ((where, str(error.problem)),)
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError("read configuration", place, "not valid YAML", "", (("(top)", str(error)),)) from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError("read configuration", place, "must be a mapping of sections", "see `fieldtrail init`")
    problems: list[tuple[str, str]] = []
    secrets: dict[str, str] = {}
    document = _yaml.expand(document, "", problems, os.environ if env is None else env, secrets)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        unresolved = {path for path, _ in problems}
        found = [_problem(item, document) for item in error.errors(include_url=False, include_input=False)]
        problems += [(path, text) for path, text in found if path not in unresolved]
        config = None
    if problems or config is None:
        problems = [(path, _without(text, secrets.get(path))) for path, text in problems]
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        raise ConfigError("read configuration", place, count, f"fieldtrail validate -c {place}", tuple(problems))
    return config


def cross_check(config: Config) -> list[tuple[str, str]]:
    """Facts that a model of one section cannot see: zones and certificates that must exist."""
    problems = []
    for i, source in enumerate(config.inputs):
        if source.timezone is not None:
            try:
                ZoneInfo(source.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                problems.append((f"inputs[{i}].timezone", f"unknown time zone {source.timezone!r}"))
        if source.type == "file":
            for k, name in enumerate(source.paths):
                if Path(name).is_dir():
                    problems.append((f"inputs[{i}].paths[{k}]", f"{name} is a directory; write {name.rstrip('/')}/*"))
    problems += webhook_problems(config)
    problems += syslog_problems(config)
    for i, output in enumerate(config.outputs):
        problems += _unreadable(f"outputs[{i}].tls", getattr(output, "tls", None), "ca", "cert", "key")
        if output.type == "opensearch":
            problems += auth_problems(f"outputs[{i}].auth", output.auth)
        if output.type == "http":
            problems += http_problems(f"outputs[{i}]", output.auth, output.hmac)
        if output.type == "file" and output.path.is_dir():
            problems.append((f"outputs[{i}].path", f"{output.path} is a directory; name a file in it"))
    return problems


def _unreadable(where: str, tls: Model | None, *keys: str) -> list[tuple[str, str]]:
    """(path in the configuration, text) for each file of a section `tls` that cannot be read."""
    files = [(key, getattr(tls, key)) for key in keys] if tls is not None else []
    return [
        (f"{where}.{key}", f"cannot read {file}")
        for key, file in files
        if file is not None and not os.access(file, os.R_OK)
    ]


def webhook_problems(config: Config) -> list[tuple[str, str]]:
    """What webhooks and the other inputs say of one another, and the files that they name."""
    problems: list[tuple[str, str]] = []
    known = {source.id: source for source in config.inputs}
    seen: dict[tuple[str, int], WebhookInputSection] = {}
    taken: set[tuple[tuple[str, int], str]] = set()
    for i, source in enumerate(config.inputs):
        if source.type != "webhook":
            continue
        where = f"inputs[{i}]"
        first = seen.setdefault(source.address, source)
        for name, value in first.shared.items():
            if value != source.shared[name]:
                problems.append((f"{where}.{name}", f"input {first.id} has the same listen and says otherwise"))
        if (source.address, source.path) in taken:
            problems.append((f"{where}.path", "another input has it, with the same listen"))
        taken.add((source.address, source.path))
        if source.feeds is not None:
            fed: str = known[source.feeds].type if source.feeds in known else ""
            if fed != "poll":
                problems.append((f"{where}.feeds", f"there is no input {source.feeds} of type poll"))
        problems += _unreadable(f"{where}.tls", source.tls, "cert", "key")
        problems += webhook_auth_problems(f"{where}.auth", source.auth, path=source.path, feeds=source.feeds)
    return problems


def syslog_problems(config: Config) -> list[tuple[str, str]]:
    """Addresses that two syslog inputs share, and files that cannot be read."""
    problems: list[tuple[str, str]] = []
    taken: dict[tuple[bool, str, int], str] = {}
    for i, source in enumerate(config.inputs):
        if source.type != "syslog":
            continue
        for k, (scheme, host, port) in enumerate(source.addresses):
            first = taken.setdefault((scheme == "udp", host, port), source.id)
            if first != source.id:
                problems.append((f"inputs[{i}].listen[{k}]", f"input {first} listens there"))
        problems += _unreadable(f"inputs[{i}].tls", source.tls, "cert", "key", "client_ca")
    return problems


def load(path: Path) -> Config:
    """The configuration at `path`, or `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("read configuration", str(path), "no such file", "fieldtrail init") from None
    except IsADirectoryError:
        raise ConfigError("read configuration", str(path), "is a directory", f"ls {path}") from None
    except PermissionError:
        raise ConfigError("read configuration", str(path), "permission denied", f"ls -l {path}") from None
    except UnicodeDecodeError:
        raise ConfigError("read configuration", str(path), "not UTF-8 text", f"file {path}") from None
    except OSError as error:
        raise ConfigError("read configuration", str(path), error.strerror or str(error), f"ls -l {path}") from None
    return parse(text, str(path))


def for_paths(paths: tuple[str, ...]) -> Config:
    """The configuration of `fieldtrail run PATH…` without a file: format `auto`, the embedded store."""
    return Config(inputs=(FileInputSection(id="files", type="file", paths=paths),))
