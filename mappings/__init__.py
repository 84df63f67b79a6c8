"""Data, loaded: the ECS field table, our own fields and actions, the field policy's facts, the parts of the templates.

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
    """What the OpenSearch templates are made of. `streams`: last word of the dataset -> what it holds."""

    version: int
    owner: str
    priority: int
    settings: Mapping[str, Any]
    streams: Mapping[str, str]
    ecs: tuple[str, ...]


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
        streams=MappingProxyType(data["streams"]),
        ecs=tuple(name for line in data["ecs"] for name in line.split()),
    )
