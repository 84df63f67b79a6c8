"""The fields of our index, and those that queries and request bodies name: are they there, and good for that?"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from luqum import tree
from luqum.exceptions import ParseError
from luqum.thread import parse as parse_lucene

from shipper.templates import templates

NUMBERS = {"long", "integer", "short", "double", "float"}
SORTABLE = {"keyword", "boolean", "date", "ip", *NUMBERS}
# aggregation -> types of field that Dashboards offers it
AGGREGATIONS: dict[str, set[str] | None] = {
    "count": None,
    "cardinality": SORTABLE,
    "max": {"date", *NUMBERS},
    "min": {"date", *NUMBERS},
    "sum": NUMBERS,
    "avg": {*NUMBERS},
    "percentiles": {"date", *NUMBERS},
    "top_hits": None,
    "terms": SORTABLE,
    "date_histogram": {"date"},
    "filters": None,
}


# -- our mapping -------------------------------------------------------------------------------------------------------


class Mapped(NamedTuple):
    """A field of the index: its type, and whether it has doc values (can be sorted by and aggregated)."""

    type: str
    aggregatable: bool
    searchable: bool


@cache
def mapped() -> dict[str, Mapped]:
    """Every field that the index templates map, sub-fields too; what is stored only is not there."""
    found: dict[str, Mapped] = {}
    for body in templates()["component_templates"].values():
        _collect(body["template"].get("mappings", {}).get("properties", {}), "", found)
    return found


def _collect(properties: dict[str, Any], prefix: str, found: dict[str, Mapped]) -> None:
    for name, body in properties.items():
        path = prefix + name
        if "properties" in body:
            _collect(body["properties"], path + ".", found)
            continue
        kind = body["type"]
        if kind == "object":
            continue
        plain = kind in SORTABLE or kind == "geo_point"
        found[path] = Mapped(kind, plain and body.get("doc_values", True), body.get("index", True))
        for sub, sub_body in body.get("fields", {}).items():
            found[f"{path}.{sub}"] = Mapped(sub_body["type"], sub_body["type"] in SORTABLE, True)


@cache
def date_fields() -> tuple[str, ...]:
    """Fields whose values Dashboards asks for in a format of its own, with every request."""
    return tuple(sorted(name for name, one in mapped().items() if one.type == "date" and one.aggregatable))


# -- queries and request bodies -------------------------------------------------------------------------------------------


def lucene_problems(text: str) -> list[str]:
    """Fields of a Lucene query that are not mapped or cannot be searched, or why it cannot be read."""
    if not text.strip():
        return []
    try:
        parsed = parse_lucene(text)
    except ParseError as error:
        return [f"query {text!r}: {error}"]
    names = set()
    for node in _nodes(parsed):
        if isinstance(node, tree.SearchField):
            names.add(str(node.expr) if node.name == "_exists_" else node.name)
    if not names:
        return [f"query {text!r} names no field"]
    fields = mapped()
    return [
        f"query names {name}, which is not mapped or not searchable"
        for name in sorted(names)
        if name not in fields or not fields[name].searchable
    ]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _nodes(child)


_BY_FIELD = {"term", "terms", "range", "prefix", "wildcard", "match", "match_phrase"}


def body_problems(value: Any, place: str) -> Iterator[str]:
    """Fields named anywhere in a request body."""
    fields = mapped()
    if isinstance(value, list):
        for one in value:
            yield from body_problems(one, place)
        return
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        here = f"{place}.{key}"
        if (
            "%autointerval%" in json.dumps(inner)
            and isinstance(inner, dict)
            and "%autointerval%" in inner
            and key != "interval"
        ):
            yield f"{here}: the plugin replaces %autointerval% under `interval` alone"
        if key == "query_string":
            yield from (f"{here}: {problem}" for problem in lucene_problems(inner.get("query", "")))
        elif (
            key in _BY_FIELD and isinstance(inner, dict) and "field" not in inner and not place.endswith("multi_terms")
        ):
            for name in inner:
                if name not in fields or not fields[name].searchable:
                    yield f"{here}: {name} is not mapped or not searchable"
            continue
        elif key == "field" and isinstance(inner, str):
            kind = place.rpartition(".")[2]
            types = AGGREGATIONS.get(kind) or SORTABLE
            if kind == "exists":
                types = {one.type for one in fields.values()}
            if (
                inner not in fields
                or fields[inner].type not in types
                or not (fields[inner].aggregatable or kind == "exists")
            ):
                yield f"{here}: {inner} is not mapped or not for a {kind}"
        elif key == "sort" and isinstance(inner, list):
            for entry in inner:
                for name in entry if isinstance(entry, dict) else [entry]:
                    if name not in fields or not fields[name].aggregatable:
                        yield f"{here}: cannot be sorted by {name}"
        elif key == "_source" and isinstance(inner, list):
            for name in inner:
                if name not in fields and not any(known.startswith(name + ".") for known in fields):
                    yield f"{here}: {name} is not mapped"
        yield from body_problems(inner, here)


def members(value: dict[str, Any], needed: set[str], optional: set[str], what: str) -> Iterator[str]:
    """Members that are missing, and those that nobody knows."""
    if missing := needed - set(value):
        yield f"{what} lacks {', '.join(sorted(missing))}"
    if extra := set(value) - needed - optional:
        yield f"{what} has unknown members {', '.join(sorted(extra))}"
