"""Panels of dashboards: from a source in words to what OpenSearch Dashboards stores for a visualization. Pure.

The words are said at the top of `mappings/opensearch/dashboards/who-changed-what.yaml`. Stored forms are those of
OpenSearch Dashboards 2.x and 3.x (exported saved objects, visualization format 7.10.0). A word that is not known
raises `ValueError` or `KeyError`: the sources are part of the program.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

TIME: Final = "@timestamp"

_WHO: Final[tuple[Mapping[str, Any], ...]] = (
    {"by": "user.name", "as": "Name", "size": 20, "none": "(none)"},
    {"by": "user.email", "as": "E-mail", "size": 10, "none": "(none)"},
    {"by": "user.id", "as": "Id", "size": 10, "none": "(none)"},
)
"""A source gives one of them or two: only all three together tell accounts apart and count each document once."""

_VEGA_LITE: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_LINE: Final = 64
"""Characters in a line of the text that an empty chart shows."""


def dumps(value: Any) -> str:
    """JSON within JSON, the same bytes every time."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def search_source(query: str, *, index: bool = True, **more: Any) -> str:
    """`searchSourceJSON`: the query, and where the index pattern stands among the references."""
    body: dict[str, Any] = {"query": {"query": query, "language": "lucene"}, "filter": [], **more}
    if index:
        body["indexRefName"] = "kibanaSavedObjectMeta.searchSourceJSON.index"
    return dumps(body)


def vis_state(panel: Mapping[str, Any], title: str, streams: str) -> dict[str, Any]:
    """`visState` of a panel. `streams`: the title of its index pattern, which Vega-Lite names itself."""
    kind = panel["type"]
    if kind == "markdown":
        return markdown(title, panel["text"])
    if kind == "vega-lite":
        spec = json.dumps(_vega_lite(panel, streams), ensure_ascii=False, indent=2)
        return {"title": title, "type": "vega", "aggs": [], "params": {"spec": spec}}
    stored, params = _KINDS[kind]
    aggs = _aggregations(panel)
    return {"title": title, "type": stored, "aggs": aggs, "params": params(aggs)}


def markdown(title: str, text: str) -> dict[str, Any]:
    """`visState` of a text."""
    params = {"fontSize": 12, "openLinksInNewTab": False, "markdown": text}
    return {"title": title, "type": "markdown", "aggs": [], "params": params}


# -- aggregations ------------------------------------------------------------------------------------------------------


def _aggregations(panel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`aggs`: the measures, numbered from 1, then the splits."""
    measures = [_measure(one) for one in panel["measure"]]
    splits: list[Mapping[str, Any]] = []
    for one in panel.get("split", ()):
        splits += _WHO if one == "who" else (one,)
    aggs: list[dict[str, Any]] = [
        {"id": str(number), "enabled": True, "type": kind, "params": params, "schema": "metric"}
        for number, (kind, params) in enumerate(measures, 1)
    ]
    # Percentiles are several values: rows cannot be ordered by them as such.
    order = "_key" if aggs[0]["type"] == "percentiles" else "1"
    schemas = _schemas(panel["type"], len(splits))
    for number, (split, schema) in enumerate(zip(splits, schemas, strict=True), len(aggs) + 1):
        kind, params = _split(split, order)
        aggs.append({"id": str(number), "enabled": True, "type": kind, "params": params, "schema": schema})
    return aggs


def _measure(measure: Any) -> tuple[str, dict[str, Any]]:
    """Type and parameters of a number."""
    if measure == "documents":
        return "count", {"customLabel": "Documents"}
    if measure == "operations":
        return "cardinality", {"field": "trail.operation.id", "customLabel": "Operations"}
    rest = dict(measure)
    if "documents" in rest:
        return "count", {"customLabel": rest["documents"]}
    label = rest.pop("as")
    if "percentiles" in rest:
        return "percentiles", {"field": rest["of"], "percents": rest["percentiles"], "customLabel": label}
    if "any" in rest:
        # Sorted by the field itself: documents without it come last, so a value is found where any of them has one.
        field = rest["any"]
        hits = {"aggregate": "concat", "size": 1, "sortField": field, "sortOrder": "desc"}
        return "top_hits", {"field": field, **hits, "customLabel": label}
    word: str
    ((word, field),) = rest.items()
    return {"distinct": "cardinality"}.get(word, word), {"field": field, "customLabel": label}


def _split(split: Mapping[str, Any], order: str) -> tuple[str, dict[str, Any]]:
    """Type and parameters of what makes rows, bars or lines."""
    if "over" in split:
        return "date_histogram", {
            "field": TIME,
            "useNormalizedOpenSearchInterval": True,
            "scaleMetricValues": False,
            "interval": "auto",
            "drop_partials": False,
            "min_doc_count": 1,
            "extended_bounds": {},
            "customLabel": "Time",
        }
    return "terms", {
        "field": split["by"],
        "orderBy": order,
        "order": "desc",
        "size": split["size"],
        "otherBucket": False,
        "otherBucketLabel": "Other",
        "missingBucket": "none" in split,
        "missingBucketLabel": split.get("none", "Missing"),
        "customLabel": split["as"],
    }


def _schemas(kind: str, count: int) -> list[str]:
    if kind in {"bar", "line"}:
        return ["segment", *["group"] * (count - 1)]
    return [{"table": "bucket", "pie": "segment", "metric": "group"}[kind]] * count


# -- looks -------------------------------------------------------------------------------------------------------------


def _table(_aggs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
    }


def _metric(_aggs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "addTooltip": True,
        "addLegend": False,
        "type": "metric",
        "metric": {
            "percentageMode": False,
            "useRanges": False,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{"from": 0, "to": 10000}],
            "labels": {"show": True},
            "invertColors": False,
            "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 32},
        },
    }


def _pie(_aggs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "pie",
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "isDonut": True,
        "labels": {"show": True, "values": True, "last_level": True, "truncate": 100},
    }


def _axes(kind: str, mode: str) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """Bars (`histogram`) or lines over a category axis, one series for each measure."""

    def params(aggs: list[dict[str, Any]]) -> dict[str, Any]:
        measures = [agg for agg in aggs if agg["schema"] == "metric"]
        return {
            "type": kind,
            "grid": {"categoryLines": False},
            "categoryAxes": [
                {
                    "id": "CategoryAxis-1",
                    "type": "category",
                    "position": "bottom",
                    "show": True,
                    "style": {},
                    "scale": {"type": "linear"},
                    "labels": {"show": True, "filter": True, "truncate": 100},
                    "title": {},
                }
            ],
            "valueAxes": [
                {
                    "id": "ValueAxis-1",
                    "name": "LeftAxis-1",
                    "type": "value",
                    "position": "left",
                    "show": True,
                    "style": {},
                    "scale": {"type": "linear", "mode": "normal"},
                    "labels": {"show": True, "rotate": 0, "filter": False, "truncate": 100},
                    "title": {"text": measures[0]["params"]["customLabel"]},
                }
            ],
            "seriesParams": [
                {
                    "show": True,
                    "type": kind,
                    "mode": mode,
                    "data": {"label": agg["params"]["customLabel"], "id": agg["id"]},
                    "valueAxis": "ValueAxis-1",
                    "drawLinesBetweenPoints": True,
                    "lineWidth": 2,
                    "interpolate": "linear",
                    "showCircles": True,
                }
                for agg in measures
            ],
            "addTooltip": True,
            "addLegend": True,
            "legendPosition": "right",
            "times": [],
            "addTimeMarker": False,
            "labels": {"show": False},
            "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
        }

    return params


_KINDS: Final[Mapping[str, tuple[str, Callable[[list[dict[str, Any]]], dict[str, Any]]]]] = {
    "table": ("table", _table),
    "metric": ("metric", _metric),
    "pie": ("pie", _pie),
    "bar": ("histogram", _axes("histogram", "stacked")),
    "line": ("line", _axes("line", "normal")),
}
"""Type in the sources -> type in Dashboards, and its parameters."""


# -- Vega-Lite ---------------------------------------------------------------------------------------------------------


def _vega_lite(panel: Mapping[str, Any], streams: str) -> dict[str, Any]:
    """A chart of its own request, that says why it shows nothing.

    `%context%` takes over the dashboard's filters and goes with no query of one's own, so ours is an aggregation. The
    data is the whole answer, one row: while there is no data stream it holds no aggregations, and to name a member of
    them as the data (`format.property`) would be an error then.
    """
    wanted = {"query_string": {"query": panel["query"], "analyze_wildcard": True}}
    url = {
        "%context%": True,
        "%timefield%": TIME,
        "index": streams,
        "body": {"size": 0, "aggs": {"wanted": {"filter": wanted, "aggs": panel["aggs"]}}},
    }
    rows = {"calculate": f"datum.aggregations ? datum.aggregations.wanted.{panel['rows']} : []", "as": "rows"}
    each = [rows, {"flatten": ["rows"], "as": ["row"]}, *panel["transform"]]
    return {
        "$schema": _VEGA_LITE,
        "data": {"url": url},
        "layer": [
            *({"transform": each, **layer} for layer in panel["layer"]),
            {"transform": [rows, {"filter": "length(datum.rows) == 0"}], "mark": _sentence(panel["empty"])},
        ],
        "config": {"view": {"stroke": None}, "axis": {"grid": False}},
    }


def _sentence(sentence: str) -> dict[str, Any]:
    """A text in the middle of a chart."""
    return {
        "type": "text",
        "text": "\n".join(textwrap.wrap(sentence, _LINE)),
        "x": {"expr": "width / 2"},
        "y": {"expr": "height / 2"},
        "align": "center",
        "baseline": "middle",
        "lineBreak": "\n",
        "fontSize": 13,
        "color": "#69707d",
    }


# -- why a row of panels may be empty ----------------------------------------------------------------------------------


def why_empty(panels: Iterable[Mapping[str, Any]]) -> str:
    """Markdown under a row: each reason once, after the titles of its panels. "" where every panel says it itself."""
    reasons: dict[str, list[str]] = {}
    for panel in panels:
        if panel["type"] not in {"vega-lite", "markdown"} and "empty" in panel:
            reasons.setdefault(panel["empty"], []).append(panel["title"])
    return " · ".join(
        f"Nothing, or 0, in {_titles(titles)}: {reason.rstrip('.')}." for reason, titles in reasons.items()
    )


def _titles(titles: list[str]) -> str:
    return ", ".join(f"*{title.partition(' (')[0]}*" for title in titles)
