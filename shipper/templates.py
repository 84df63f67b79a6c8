"""The component and index templates for OpenSearch, built from the field tables. Pure and deterministic.

What is indexed is listed in `mappings/opensearch/templates.yaml`; its type comes from ECS or `mappings/fields.yaml` and
is translated here. The mapping is `dynamic: false`: members without a mapping stay in `_source`, so no source can grow
the index. Facts about the types: OpenSearch documentation, "Supported field types".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import mappings
from shipper import schema

if TYPE_CHECKING:
    from mappings import Field, TemplateParts

NORMALIZER: Final = "fieldtrail_lowercase"
"""Defined in the settings of templates.yaml."""

_IGNORE_ABOVE: Final = 1024
_LONGEST_TERM: Final = 8191
"""Characters that fit Lucene's limit of 32,766 bytes for a term whatever they are; a longer term refuses a document."""

_SAME: Final = frozenset({"boolean", "short", "integer", "long", "float", "double", "date", "ip", "geo_point"})
_CAN_BE_MALFORMED: Final = _SAME - {"boolean"}
_ANALYSIS: Final = "index.analysis."
_SETTINGS, _ECS, _OWN = "settings", "ecs", "own"


def templates(namespace: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """`{"component_templates": {name: body}, "index_templates": {name: body}}`, the bodies ready to PUT.

    Put the component templates first: the index templates are composed of them. There is one index template for each
    data stream, for all namespaces, or for `namespace` alone; the latter has a higher priority, because OpenSearch
    refuses two templates of one priority whose patterns overlap.
    """
    parts = mappings.component_templates()
    meta = {"owner": parts.owner, "version": parts.version}
    names = {part: f"{parts.owner}-{part}" for part in (_SETTINGS, _ECS, _OWN)}
    fields = schema.fields()
    ecs = [replace(fields[name], lower=name in parts.lower) for name in parts.ecs]
    # OpenSearch checks each component alone: those that name the normalizer must define it too, and what the index is
    # sorted by stands beside its fields.
    analysis = {key: value for key, value in sorted(parts.settings.items()) if key.startswith(_ANALYSIS)}
    bodies: dict[str, dict[str, Any]] = {
        # The version stands in the mapping too, so that an index tells which templates it was made from.
        _SETTINGS: {"settings": dict(sorted(parts.settings.items())), "mappings": {"dynamic": False, "_meta": meta}},
        _ECS: {"settings": analysis, "mappings": {"properties": _properties(ecs)}},
        _OWN: {
            "settings": {
                **analysis,
                "index.sort.field": list(parts.sort),
                "index.sort.order": ["asc"] * len(parts.sort),
            },
            "mappings": {"properties": _properties(list(mappings.trail_fields().values()))},
        },
    }
    return {
        "component_templates": {
            names[part]: {"template": bodies[part], "version": parts.version, "_meta": meta}
            for part in (_SETTINGS, _ECS, _OWN)
        },
        "index_templates": {
            f"{parts.owner}-{stream}" + (f"-{namespace}" if namespace else ""): _index_template(
                parts, stream, namespace, list(names.values()), meta
            )
            for stream in parts.streams
        },
    }


def _index_template(
    parts: TemplateParts, stream: str, namespace: str | None, composed_of: list[str], meta: dict[str, Any]
) -> dict[str, Any]:
    return {
        "index_patterns": [f"logs-{parts.owner}.{stream}-{namespace or '*'}"],
        "data_stream": {},
        "priority": parts.priority + (10 if namespace else 0),
        "composed_of": composed_of,
        "version": parts.version,
        "_meta": {**meta, "description": parts.streams[stream]},
    }


def _properties(fields: list[Field]) -> dict[str, Any]:
    """Fields as nested `properties`, sorted by name at every level."""
    root: dict[str, Any] = {}
    for field in sorted(fields, key=lambda one: one.name):
        here = root
        *groups, last = field.name.split(".")
        for group in groups:
            here = here.setdefault(group, {"properties": {}})["properties"]
        here[last] = mapping(field)
    return root


def mapping(field: Field) -> dict[str, Any]:
    """The mapping of one field."""
    if field.name == "labels" or field.type in {"flattened", "flat_object"}:
        return {"type": "flat_object"}  # takes no parameters, not even ignore_above
    if field.type in {"object", "nested"}:
        return {"type": "object", "enabled": False}
    if field.type in {"match_only_text", "text"}:
        return {"type": "match_only_text"}
    if field.type in {"keyword", "constant_keyword", "wildcard"}:
        return _keyword(field)
    kind = "double" if field.type == "scaled_float" else field.type
    assert kind in _SAME, field.name
    body: dict[str, Any] = {"type": kind}
    if kind in _CAN_BE_MALFORMED and field.name != "@timestamp":
        # One odd value must not cost the document; a data stream without a proper time is refused in any case.
        body["ignore_malformed"] = True
    return body


def _keyword(field: Field) -> dict[str, Any]:
    if not field.index:
        return {"type": "keyword", "index": False, "doc_values": False}
    # ECS has wildcard where values are long (addresses, command lines); not every OpenSearch has that type.
    limit = _LONGEST_TERM if field.type == "wildcard" else _IGNORE_ABOVE
    body: dict[str, Any] = {"type": "keyword", "ignore_above": limit}
    subs: dict[str, Any] = {}
    if field.lower:
        subs["lc"] = {"type": "keyword", "ignore_above": _IGNORE_ABOVE, "normalizer": NORMALIZER}
    if field.text:
        subs["text"] = {"type": "match_only_text"}
    if subs:
        body["fields"] = subs
    return body
