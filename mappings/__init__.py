"""Data, loaded: the ECS fields, our own fields and actions, the field policy's facts, templates, SIEM dialects.

Each loader reads its file once and returns frozen values that callers share; nothing here decides anything. The files
say what their keys mean. A file that does not have the shape that it describes raises `ValueError` or `KeyError` with
its name: they are part of the program, not input.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ECS_VERSION: Final = "9.4.0"

# libyaml where PyYAML was built with it: ten times as quick, the same documents.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event.

    `type` is the ECS or OpenSearch type name. `array`: the value is always a list. `text`: has a `.text` sub-field.
    `lower`: has a `.lc` sub-field in lower case. `index`: can be searched. `level`: `core`, `extended`, or `own` for
    `trail.*` and `seal.*`. `allowed`: the only values there are, or empty. `reserved`: written by Fieldtrail alone.
    """

    name: str
    type: str
    level: str
    array: bool = False
    ignore_above: int | None = None
    text: bool = False
    lower: bool = False
    index: bool = True
    scaling_factor: int | None = None
    allowed: tuple[str, ...] = ()
    reserved: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One word of the vocabulary of `event.action`; `mappings/fields.yaml` says what the members mean.

    `outcome` is None where only the source can say. The sentence is `<actor> <words> [<link> <object>]`, without
    `link` `<actor> <words> <object>`.
    """

    name: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    outcome: str | None
    stream: str
    words: str
    link: str
    expects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """Name patterns and the category that they mean; `category` None: the name means nothing."""

    category: str | None
    sensitivity: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """The field policy's facts. `categories`: category -> sensitivity. `modules`: `event.module` -> its own rules."""

    categories: Mapping[str, str]
    default_sensitivity: str
    rules: tuple[PrivacyRule, ...]
    modules: Mapping[str, tuple[PrivacyRule, ...]]


@dataclass(frozen=True, slots=True)
class TemplateParts:
    """What the OpenSearch templates are made of. `streams`: last word of the dataset -> what it holds.

    `sort`: by what documents are ordered on disk. `ecs`: the ECS fields that are indexed; `lower`: those of them that
    have a `.lc` sub-field in lower case.
    """

    version: int
    owner: str
    priority: int
    settings: Mapping[str, Any]
    sort: tuple[str, ...]
    streams: Mapping[str, str]
    ecs: tuple[str, ...]
    lower: frozenset[str]


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """One retention policy. `streams`: last words of the datasets. `delete`: goes at the end of the retention time."""

    name: str
    about: str
    streams: tuple[str, ...]
    rollover: Mapping[str, str]
    warm_after: str
    delete: bool


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """What the retention policies are made of. `warm`: actions of the warm state. `default_days`: of retention."""

    version: int
    priority: int
    default_days: int
    policies: tuple[PolicyFacts, ...]
    warm: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DialectKey:
    """One key of a CEF or LEEF message; `mappings/siem/cef.yaml` says what the members mean."""

    key: str
    fields: tuple[str, ...]
    form: str
    label: str
    length: int | None
    shown: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """What goes into a CEF or LEEF message. `grades`: field -> value -> severity."""

    vendor: str
    product: str
    base_severity: int
    grades: Mapping[str, Mapping[str, int]]
    keys: tuple[DialectKey, ...]


def _text(*path: str) -> str:
    return resources.files(__name__).joinpath(*path).read_text(encoding="utf-8")


@cache
def _yaml(*path: str) -> Any:
    return yaml.load(_text(*path), Loader=_LOADER)  # noqa: S506 -- both loaders are safe ones


@cache
def _ecs() -> Any:
    return json.loads(_text("ecs", f"ecs-{ECS_VERSION}.json"))


@cache
def ecs_fields() -> Mapping[str, Field]:
    """Every field of ECS by its dotted name."""
    data = _ecs()
    allowed = {name: tuple(values) for name, values in data["allowed_values"].items()}
    return MappingProxyType(
        {
            name: Field(name=name, **facts, allowed=allowed.get(name, ()))
            for facts, names in data["shapes"]
            for name in names.split()
        }
    )


@cache
def expected_types() -> Mapping[str, frozenset[str]]:
    """`event.category` -> the `event.type` values that ECS expects with it."""
    return MappingProxyType({name: frozenset(kinds) for name, kinds in _ecs()["expected_event_types"].items()})


@cache
def trail_fields() -> Mapping[str, Field]:
    """Every `trail.*` and `seal.*` field by its dotted name."""
    return MappingProxyType(
        {
            name: Field(
                name=name,
                type=facts["type"],
                level="own",
                array=facts.get("array", False),
                ignore_above=1024 if facts["type"] == "keyword" and facts.get("index", True) else None,
                lower=facts.get("lower", False),
                index=facts.get("index", True),
                allowed=tuple(facts.get("allowed", ())),
                reserved=facts.get("own", False),
                about=facts["about"],
            )
            for name, facts in _yaml("fields.yaml")["fields"].items()
        }
    )


@cache
def actions() -> Mapping[str, Action]:
    """The vocabulary of `event.action`, in the file's order."""
    return MappingProxyType(
        {
            name: Action(
                name=name,
                category=tuple(facts.get("category", ())),
                type=tuple(facts.get("type", ())),
                outcome=facts.get("outcome"),
                stream=facts["stream"],
                words=facts["words"],
                link=facts.get("link", ""),
                expects=tuple(facts["expects"]),
            )
            for name, facts in _yaml("fields.yaml")["actions"].items()
        }
    )


@cache
def privacy_rules() -> PrivacyRules:
    """What field names mean for privacy."""
    data = _yaml("privacy", "fields.yaml")
    levels = {name: facts["sensitivity"] for name, facts in data["categories"].items()}
    default = data["default_sensitivity"]

    def read(rules: Sequence[Mapping[str, Any]]) -> tuple[PrivacyRule, ...]:
        return tuple(
            PrivacyRule(None, default, tuple(rule["names"]))
            if rule["category"] == "none"
            else PrivacyRule(rule["category"], levels[rule["category"]], tuple(rule["names"]))
            for rule in rules
        )

    return PrivacyRules(
        categories=MappingProxyType(levels),
        default_sensitivity=default,
        rules=read(data["rules"]),
        modules=MappingProxyType({name: read(rules) for name, rules in data["modules"].items()}),
    )


@cache
def component_templates() -> TemplateParts:
    """The parts from which `shipper/templates.py` builds component and index templates."""
    data = _yaml("opensearch", "templates.yaml")
    return TemplateParts(
        version=data["version"],
        owner=data["owner"],
        priority=data["priority"],
        settings=MappingProxyType(data["settings"]),
        sort=tuple(data["sort"]),
        streams=MappingProxyType(data["streams"]),
        ecs=tuple(name for line in data["ecs"] for name in line.split()),
        lower=frozenset(data["lower"]),
    )


@cache
def retention_policies() -> PolicyParts:
    """The parts from which `shipper/siem/policies.py` builds the retention policies."""
    data = _yaml("opensearch", "policies.yaml")
    return PolicyParts(
        version=data["version"],
        priority=data["priority"],
        default_days=data["default_days"],
        policies=tuple(
            PolicyFacts(
                name=name,
                about=facts["about"],
                streams=tuple(facts["streams"]),
                rollover=MappingProxyType(facts["rollover"]),
                warm_after=facts["warm_after"],
                delete=facts["delete"],
            )
            for name, facts in data["policies"].items()
        ),
        warm=tuple(MappingProxyType(action) for action in data["warm"]),
    )


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """One trigger of a monitor; `opensearch/monitors.yaml` says what the members mean. `repeat` None: told once."""

    id: str
    severity: int
    when: str
    limits: Mapping[str, int]
    what: str
    next: tuple[str, ...]
    repeat: str | None


@dataclass(frozen=True, slots=True)
class MonitorFacts:
    """One monitor, in the words of `opensearch/monitors.yaml`. `id`: its key there."""

    id: str
    name: str
    about: str
    indices: tuple[str, ...]
    every: str
    window: str
    where: Mapping[str, Any]
    by: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Any]]
    triggers: tuple[TriggerFacts, ...]


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """One role. `cluster`: actions; `indices`: (patterns, actions on what they match)."""

    name: str
    about: str
    cluster: tuple[str, ...]
    indices: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@cache
def monitors() -> tuple[int, tuple[MonitorFacts, ...]]:
    """The version of the monitors, and the monitors in the file's order."""
    data = _yaml("opensearch", "monitors.yaml")
    return data["version"], tuple(
        MonitorFacts(
            id=key,
            name=facts["name"],
            about=facts["about"],
            indices=tuple(facts["indices"]),
            every=facts["every"],
            window=facts["window"],
            where=MappingProxyType(facts["where"]),
            by=MappingProxyType(facts["by"]),
            figures=MappingProxyType(facts["figures"]),
            triggers=tuple(
                TriggerFacts(
                    id=trigger.get("id", ""),
                    severity=trigger["severity"],
                    when=trigger["when"],
                    limits=MappingProxyType(trigger.get("limits", {})),
                    what=trigger["what"],
                    next=tuple(trigger["next"]),
                    repeat=trigger.get("repeat"),
                )
                for trigger in facts["triggers"]
            ),
        )
        for key, facts in data["monitors"].items()
    )


@cache
def roles() -> tuple[int, tuple[RoleFacts, ...]]:
    """The version of the roles, and the roles in the file's order."""
    data = _yaml("opensearch", "roles.yaml")
    return data["version"], tuple(
        RoleFacts(
            name=name,
            about=facts["about"],
            cluster=tuple(facts["cluster"]),
            indices=tuple((tuple(entry["patterns"]), tuple(entry["actions"])) for entry in facts["indices"]),
        )
        for name, facts in data["roles"].items()
    )


@cache
def dialect(name: str) -> Dialect:
    """The field table of `cef` or `leef`."""
    data = _yaml("siem", f"{name}.yaml")
    severity = data["severity"]
    return Dialect(
        vendor=data["vendor"],
        product=data["product"],
        base_severity=severity["base"],
        grades=MappingProxyType({field: MappingProxyType(values) for field, values in severity["fields"].items()}),
        keys=tuple(
            DialectKey(
                key=row["key"],
                fields=tuple(row["fields"]),
                form=row.get("form", "text"),
                label=row.get("label", ""),
                length=row.get("length"),
                shown=row.get("shown", ""),
            )
            for row in data["keys"]
        ),
    )


@dataclass(frozen=True, slots=True)
class Dashboards:
    """What saved objects of OpenSearch Dashboards are made of: name -> facts, whose keys the files explain."""

    patterns: Mapping[str, Any]
    searches: Mapping[str, Any]
    dashboards: Mapping[str, Any]


@cache
def dashboards() -> Dashboards:
    """Index patterns, saved searches, and one dashboard for each other file of `opensearch/dashboards/`."""
    folder = resources.files(__name__).joinpath("opensearch", "dashboards")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    read = {name.removesuffix(".yaml"): _yaml("opensearch", "dashboards", name) for name in names}
    patterns, searches = read.pop("patterns"), read.pop("searches")
    return Dashboards(MappingProxyType(patterns), MappingProxyType(searches), MappingProxyType(read))


@cache
def sources() -> tuple[str, ...]:
    """The names of the APIs that can be read without describing them: the files of `sources/`, in order."""
    folder = resources.files(__name__).joinpath("sources")
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


@cache
def source(name: str) -> Mapping[str, Any]:
    """How one API is read, in the words of `shipper._poll_spec.SourceSection`; `KeyError` for one that is not there."""
    if name not in sources():
        raise KeyError(name)
    return MappingProxyType(_yaml("sources", f"{name}.yaml"))


@cache
def setups() -> Mapping[str, Any]:
    """What `fieldtrail init` asks for channels without a preset, in the words of `shipper._setup_spec`."""
    return MappingProxyType(_yaml("setup.yaml"))
