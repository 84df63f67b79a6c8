"""What Dashboards would make of our saved objects, without a Dashboards: a validator. Requests: tests/saved_requests.py.

Decided, so that requests here are exactly those of Dashboards:

- **Every query in a saved object is in the language `lucene`** (never `kuery`, whose translation would have to be
  rebuilt here). Dashboards puts it into `query_string` with `analyze_wildcard: true` as it stands; an empty one is
  `match_all`. The same holds for the `input` of a filters aggregation.
- Vega bodies: a body without `query` says `%context%: true` and `%timefield%: "@timestamp"`; one with a `query` of its
  own must say neither (the plugin refuses it) and takes `"%dashboard_context-must_clause%"`, `-filter_clause%` and
  `-must_not_clause%` in the lists of its bool query, and `{"%timefilter%": true}` in its range.
- An automatic interval is `"interval": {"%autointerval%": true}`: under any other key (`fixed_interval`,
  `calendar_interval`) the plugin replaces nothing and the request fails. `interval` is taken by OpenSearch 3.8 with all
  values that can come of it (`100ms` … `12h`, `24h`, `1w`, `30d`, `1y`; tried).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.saved_charts import vega_problems
from tests.saved_fields import AGGREGATIONS, SORTABLE, lucene_problems, mapped, members

MIGRATION = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
INDEX_REF = "kibanaSavedObjectMeta.searchSourceJSON.index"
SEARCH_REF = "search_0"
COLUMNS = 48
"""Width of a dashboard's grid."""

# type of visualization -> members of its params, as Dashboards itself saves them
_AXES = {
    "type",
    "grid",
    "categoryAxes",
    "valueAxes",
    "seriesParams",
    "addTooltip",
    "addLegend",
    "legendPosition",
    "times",
    "addTimeMarker",
    "labels",
    "thresholdLine",
}
PARAMS = {
    "table": {"perPage", "showPartialRows", "showMetricsAtAllLevels", "showTotal", "totalFunc", "percentageCol"},
    "metric": {"type", "addTooltip", "addLegend", "metric"},
    "pie": {"type", "addTooltip", "addLegend", "legendPosition", "isDonut", "labels"},
    "histogram": _AXES,
    "line": _AXES,
    "markdown": {"fontSize", "openLinksInNewTab", "markdown"},
    "vega": {"spec"},
}
METRIC_PARAMS = {
    "percentageMode",
    "useRanges",
    "colorSchema",
    "metricColorMode",
    "colorsRange",
    "labels",
    "invertColors",
    "style",
}
# type -> schema of its aggregations -> (at least, at most)
_MANY = 99
SCHEMAS = {
    "table": {"metric": (1, _MANY), "bucket": (0, _MANY), "split": (0, 1)},
    "metric": {"metric": (1, _MANY), "group": (0, 1)},
    "pie": {"metric": (1, 1), "segment": (0, _MANY), "split": (0, 1)},
    "histogram": {"metric": (1, _MANY), "segment": (0, 1), "group": (0, 3), "split": (0, 1), "radius": (0, 1)},
    "line": {"metric": (1, _MANY), "segment": (0, 1), "group": (0, 3), "split": (0, 1), "radius": (0, 1)},
    "markdown": {},
    "vega": {},
}
METRICS = {"count", "cardinality", "max", "min", "sum", "avg", "percentiles", "top_hits"}
PIE_METRICS = {"count", "cardinality", "sum", "top_hits"}
NO_ORDER = {"top_hits", "percentiles"}
"""Metrics by which Dashboards does not order terms (percentiles only as `<id>.<percent>`, which we do not use)."""

_FORMATTED = {"id", "params"}


# -- the validator -----------------------------------------------------------------------------------------------------


def problems(data: bytes) -> list[str]:
    """What is wrong with a file of saved objects; an empty list: Dashboards would take it and every panel would work.

    After reference/opensearch.md, section 2, and the sources of Dashboards named there.
    """
    found: list[str] = []
    objects: list[dict[str, Any]] = []
    if not data.endswith(b"\n"):
        found.append("the last line has no end")
    for number, line in enumerate(data.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            found.append(f"line {number}: not JSON: {error}")
            continue
        if isinstance(value, dict):
            objects.append(value)
        else:
            found.append(f"line {number}: not an object")
    there = Counter((one.get("type"), one.get("id")) for one in objects)
    found += [f"{kind}:{ident}: there twice" for (kind, ident), count in there.items() if count > 1]
    for one in objects:
        name = f"{one.get('type')}:{one.get('id')}"
        found += [f"{name}: {problem}" for problem in _object(one, set(there))]
    if not found:
        titles = Counter((one["type"], one["attributes"]["title"]) for one in objects)
        found += [f"{kind}: title {title!r} there twice" for (kind, title), count in titles.items() if count > 1]
    if not found:
        found += _unused(objects)
    return found


def _unused(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Visualizations that no dashboard shows: left over."""
    shown = {(ref["type"], ref["id"]) for one in objects for ref in one["references"] if one["type"] == "dashboard"}
    for one in objects:
        if one["type"] == "visualization" and ("visualization", one["id"]) not in shown:
            yield f"visualization:{one['id']}: no dashboard shows it"


def _object(one: dict[str, Any], there: set[tuple[Any, Any]]) -> Iterator[str]:
    kind, ident = one.get("type"), one.get("id")
    if kind not in MIGRATION:
        yield "unknown type"
        return
    if set(one) != {"type", "id", "attributes", "references", "migrationVersion"}:
        yield f"members are {sorted(one)}"
        return
    if not isinstance(ident, str) or not re.fullmatch(r"[a-z0-9_.-]+", ident):
        yield "odd id"
    if one["migrationVersion"] != {kind: MIGRATION[kind]}:
        yield f"migrationVersion is {one['migrationVersion']}, not {MIGRATION[kind]}"
    references = {}
    for ref in one["references"]:
        if set(ref) != {"name", "type", "id"}:
            yield f"reference has members {sorted(ref)}"
            return
        if (ref["type"], ref["id"]) not in there:
            yield f"reference {ref['name']} leads to {ref['type']}:{ref['id']}, which is not in the file"
        if ref["name"] in references:
            yield f"reference {ref['name']} is there twice"
        references[ref["name"]] = ref
    attributes = one["attributes"]
    if not attributes.get("title"):
        yield "has no title"
    if ".ds-" in json.dumps(one):
        yield "names a backing index"
    if '"language":"kuery"' in json.dumps(one).replace("\\", "").replace(" ", ""):
        yield "has a query that is not Lucene"
    yield from _CHECKS[kind](attributes, references)


def _json(attributes: dict[str, Any], name: str, kind: type) -> tuple[Any, list[str]]:
    """The value of a member that holds JSON as text."""
    text = attributes.get(name)
    if not isinstance(text, str):
        return kind(), [f"{name} is not a text"]
    try:
        value = json.loads(text)
    except ValueError:
        return kind(), [f"{name} is not JSON"]
    return (value, []) if isinstance(value, kind) else (kind(), [f"{name} is no {kind.__name__}"])


def _pattern(attributes: dict[str, Any], references: dict[str, Any]) -> Iterator[str]:
    yield from members(attributes, {"title", "timeFieldName"}, {"fieldFormatMap", "sourceFilters"}, "index pattern")
    if references:
        yield "an index pattern has references"
    if attributes.get("timeFieldName") != "@timestamp":
        yield "timeFieldName is not @timestamp"
    for part in str(attributes.get("title")).split(","):
        if not re.fullmatch(r"logs-fieldtrail\.(?:[a-z]+-)?(?:\*|[a-z0-9_.]+)", part):
            yield f"pattern {part!r} is none of our data streams"
    if "fieldFormatMap" in attributes:
        formats, wrong = _json(attributes, "fieldFormatMap", dict)
        yield from wrong
        for name, body in formats.items():
            if name not in mapped():
                yield f"formats field {name}, which is not mapped"
            if not isinstance(body, dict) or not {"id"} <= set(body) <= _FORMATTED:
                yield f"format of {name} has no id, or more than that and params"
            elif body["id"] not in {
                "url",
                "duration",
                "bytes",
                "number",
                "string",
                "date",
                "boolean",
                "percent",
                "color",
            }:
                yield f"format of {name} is {body['id']!r}"


def _source(attributes: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The search source and what is wrong with it."""
    meta = attributes.get("kibanaSavedObjectMeta")
    if not isinstance(meta, dict) or set(meta) != {"searchSourceJSON"}:
        return {}, ["kibanaSavedObjectMeta does not hold searchSourceJSON alone"]
    source, wrong = _json(meta, "searchSourceJSON", dict)
    if wrong:
        return {}, wrong
    query = source.get("query")
    if not isinstance(query, dict) or set(query) != {"query", "language"} or query["language"] != "lucene":
        wrong.append("searchSourceJSON has no Lucene query")
    else:
        wrong += lucene_problems(query["query"])
    if source.get("filter") != []:
        wrong.append("searchSourceJSON has filters: put them into the query")
    return source, wrong


def _indexed(source: dict[str, Any], references: dict[str, Any]) -> Iterator[str]:
    if source.get("indexRefName") != INDEX_REF:
        yield f"indexRefName is {source.get('indexRefName')!r}"
    if set(references) != {INDEX_REF} or references[INDEX_REF]["type"] != "index-pattern":
        yield f"references are {sorted(references)}, not {INDEX_REF}"


def _search(attributes: dict[str, Any], references: dict[str, Any]) -> Iterator[str]:
    needed = {"title", "description", "hits", "columns", "sort", "version", "kibanaSavedObjectMeta"}
    yield from members(attributes, needed, set(), "search")
    source, wrong = _source(attributes)
    yield from wrong
    yield from _indexed(source, references)
    columns = attributes.get("columns", [])
    if not columns or len(set(columns)) != len(columns):
        yield "columns are none, or one is there twice"
    yield from (f"column {name} is not mapped" for name in columns if name not in mapped())
    sort = attributes.get("sort", [])
    if not sort:
        yield "sort is empty"
    for entry in sort:
        if not isinstance(entry, list) or len(entry) != 2 or entry[1] not in {"asc", "desc"}:
            yield f"sort {entry!r} is not [[field, order]]"
        elif entry[0] not in mapped() or not mapped()[entry[0]].aggregatable:
            yield f"cannot be sorted by {entry[0]}"


def _visualization(attributes: dict[str, Any], references: dict[str, Any]) -> Iterator[str]:
    needed = {"title", "description", "uiStateJSON", "version", "visState", "kibanaSavedObjectMeta"}
    yield from members(attributes, needed, {"savedSearchRefName"}, "visualization")
    _, wrong = _json(attributes, "uiStateJSON", dict)
    yield from wrong
    source, wrong = _source(attributes)
    yield from wrong
    state, wrong = _json(attributes, "visState", dict)
    yield from wrong
    if wrong:
        return
    yield from members(state, {"title", "type", "aggs", "params"}, set(), "visState")
    if state.get("title") != attributes.get("title"):
        yield "visState has another title"
    kind = state.get("type")
    if kind not in PARAMS:
        yield f"visualization type {kind!r}: its stored form is not known for certain"
        return
    params, aggs = state.get("params", {}), state.get("aggs", [])
    if missing := PARAMS[kind] - set(params):
        yield f"params of a {kind} lack {', '.join(sorted(missing))}"
        return
    if kind in {"vega", "markdown"}:
        if references or "indexRefName" in source or aggs:
            yield f"a {kind} has references, an index pattern or aggregations"
        yield from vega_problems(params["spec"]) if kind == "vega" else ()
        if kind == "markdown" and not str(params["markdown"]).strip():
            yield "says nothing"
        return
    if "savedSearchRefName" in attributes:
        if (
            attributes["savedSearchRefName"] != SEARCH_REF
            or set(references) != {SEARCH_REF}
            or "indexRefName" in source
        ):
            yield f"on a saved search: references are {sorted(references)}, not {SEARCH_REF}"
    else:
        yield from _indexed(source, references)
    yield from _aggregations(kind, aggs)
    yield from _shape(kind, params, aggs)


def _shape(kind: str, params: dict[str, Any], aggs: list[dict[str, Any]]) -> Iterator[str]:
    """Blocks within params, and what they say of one another."""
    if "type" in PARAMS[kind] and params["type"] != kind:
        yield f"params.type is {params['type']!r}"
    if kind == "metric" and (missing := METRIC_PARAMS - set(params["metric"])):
        yield f"params.metric lacks {', '.join(sorted(missing))}"
    if kind == "pie" and not {"show", "values", "last_level", "truncate"} <= set(params["labels"]):
        yield "params.labels of a pie is not whole"
    if PARAMS[kind] is not _AXES:
        return
    axes = {axis.get("id") for axis in params["valueAxes"]}
    if not params["categoryAxes"] or not axes:
        yield "has no axes"
    metrics = {agg["id"] for agg in aggs if agg.get("schema") == "metric"}
    series = {one.get("data", {}).get("id") for one in params["seriesParams"]}
    if series != metrics:
        yield f"seriesParams are of {sorted(map(str, series))}, metrics are {sorted(metrics)}"
    for one in params["seriesParams"]:
        if one.get("valueAxis") not in axes:
            yield f"series on axis {one.get('valueAxis')!r}, which is not there"
        if one.get("type") != kind:
            yield f"series of type {one.get('type')!r}"


def _aggregations(kind: str, aggs: list[dict[str, Any]]) -> Iterator[str]:
    ids = Counter(agg.get("id") for agg in aggs)
    yield from (f"aggregation {ident} is there twice" for ident, count in ids.items() if count > 1)
    schemas = Counter(agg.get("schema") for agg in aggs)
    for schema in set(schemas) - set(SCHEMAS[kind]):
        yield f"a {kind} has no place for an aggregation {schema!r}"
    for schema, (least, most) in SCHEMAS[kind].items():
        if not least <= schemas[schema] <= most:
            yield f"{schemas[schema]} aggregations {schema!r} in a {kind}"
    metrics = {agg["id"]: agg["type"] for agg in aggs if agg.get("type") in METRICS}
    for agg in aggs:
        if missing := {"id", "enabled", "type", "params", "schema"} - set(agg):
            yield f"aggregation {agg.get('id')} lacks {', '.join(sorted(missing))}"
            continue
        if (agg["type"] in METRICS) != (agg["schema"] in {"metric", "radius"}):
            yield f"aggregation {agg['id']}: a {agg['type']} as {agg['schema']}"
        if kind == "pie" and agg["schema"] == "metric" and agg["type"] not in PIE_METRICS:
            yield f"aggregation {agg['id']}: a pie cannot show {agg['type']}"
        yield from (f"aggregation {agg['id']}: {problem}" for problem in _aggregation(agg, metrics))


def _aggregation(agg: dict[str, Any], metrics: dict[str, str]) -> Iterator[str]:
    kind, params = agg["type"], agg["params"]
    if kind not in AGGREGATIONS:
        yield f"unknown type {kind!r}"
        return
    types = AGGREGATIONS[kind]
    if types is not None:
        yield from _aggregatable(params.get("field"), types)
    if kind == "terms":
        order = params.get("orderBy")
        if order not in {"_key", *metrics} or params.get("order") not in {"asc", "desc"}:
            yield f"ordered by {order!r}, which is no metric"
        elif metrics.get(order) in NO_ORDER:
            yield f"ordered by a {metrics[order]}"
        if not isinstance(params.get("size"), int) or params["size"] < 1:
            yield "has no size"
        field = mapped().get(params.get("field", ""))
        if params.get("missingBucket") and field and field.type != "keyword":
            yield f"Dashboards shows missing values of texts only, not of a {field.type}"
    if kind == "top_hits":
        if params.get("field") not in mapped():
            yield f"field {params.get('field')} is not mapped"
        if params.get("aggregate") not in {"concat", "min", "max", "sum", "average"}:
            yield f"aggregate is {params.get('aggregate')!r}"
        yield from _aggregatable(params.get("sortField"), SORTABLE)
    if kind == "percentiles" and not params.get("percents"):
        yield "has no percents"
    if kind == "filters":
        if not params.get("filters"):
            yield "has no filters"
        for one in params.get("filters", []):
            if one["input"].get("language") != "lucene":
                yield "a filter is not Lucene"
            yield from lucene_problems(one["input"]["query"])


def _aggregatable(name: Any, types: set[str]) -> Iterator[str]:
    field = mapped().get(name) if isinstance(name, str) else None
    if field is None:
        yield f"field {name} is not mapped"
    elif field.type not in types or not field.aggregatable:
        yield f"field {name} is a {field.type}: not for this"


def _dashboard(attributes: dict[str, Any], references: dict[str, Any]) -> Iterator[str]:
    needed = {
        "title",
        "description",
        "hits",
        "version",
        "timeRestore",
        "optionsJSON",
        "panelsJSON",
        "kibanaSavedObjectMeta",
    }
    timed = {"timeFrom", "timeTo", "refreshInterval"}
    yield from members(attributes, needed, timed, "dashboard")
    if attributes.get("timeRestore") and not timed <= set(attributes):
        yield "restores a time that it does not have"
    _, wrong = _json(attributes, "optionsJSON", dict)
    yield from wrong
    source, wrong = _source(attributes)
    yield from wrong
    if "indexRefName" in source:
        yield "a dashboard has an index pattern"
    panels, wrong = _json(attributes, "panelsJSON", list)
    yield from wrong
    if not panels:
        yield "has no panels"
    for panel in panels:
        yield from members(
            panel, {"version", "gridData", "panelIndex", "embeddableConfig", "panelRefName"}, {"title"}, "panel"
        )
    named = [panel.get("panelRefName") for panel in panels]
    if sorted(map(str, named)) != sorted(references):
        yield f"panels name {sorted(map(str, named))}, references are {sorted(references)}"
    for name, ref in references.items():
        if not re.fullmatch(r"panel_\d+", name) or ref["type"] not in {"visualization", "search"}:
            yield f"reference {name} to a {ref['type']}"
    yield from _grid(panels)


def _grid(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        grid, index = panel.get("gridData", {}), str(panel.get("panelIndex"))
        if set(grid) != {"x", "y", "w", "h", "i"} or grid["i"] != index:
            yield f"panel {index}: gridData is {grid}"
            continue
        if grid["x"] < 0 or grid["y"] < 0 or grid["w"] < 1 or grid["h"] < 1 or grid["x"] + grid["w"] > COLUMNS:
            yield f"panel {index}: stands outside the {COLUMNS} columns"
            continue
        cells = [
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        if over := {taken[cell] for cell in cells if cell in taken}:
            yield f"panel {index}: lies over {', '.join(sorted(over))}"
        taken.update(dict.fromkeys(cells, index))
    indexes = Counter(str(panel.get("panelIndex")) for panel in panels)
    yield from (f"panel {index} is there twice" for index, count in indexes.items() if count > 1)


_CHECKS = {"index-pattern": _pattern, "search": _search, "visualization": _visualization, "dashboard": _dashboard}
