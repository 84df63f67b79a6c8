"""The requests that Dashboards sends for our saved objects, built as it builds them: see tests/saved_objects.py."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.saved_fields import date_fields, mapped
from tests.saved_objects import METRICS, SEARCH_REF


@dataclass(frozen=True)
class Request:
    """One `_search` that Dashboards sends: for which object, where to, and what."""

    object: str
    index: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Context:
    """What a dashboard adds: its time range (RFC 3339 with milliseconds) and its own query."""

    since: str
    until: str
    query: str = ""

    @property
    def milliseconds(self) -> float:
        """Length of the range."""
        since, until = (datetime.fromisoformat(text).astimezone(UTC) for text in (self.since, self.until))
        return (until - since).total_seconds() * 1000


class Objects:
    """The objects of one file, and their requests."""

    def __init__(self, data: bytes) -> None:
        self.all = [json.loads(line) for line in data.splitlines()]
        self.by_key = {(one["type"], one["id"]): one for one in self.all}

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Those of one type."""
        return [one for one in self.all if one["type"] == kind]

    def index_of(self, one: dict[str, Any]) -> str:
        """Title of the index pattern that an object refers to, through a saved search too."""
        for ref in one["references"]:
            found = self.by_key[ref["type"], ref["id"]]
            if ref["type"] == "index-pattern":
                return str(found["attributes"]["title"])
            if ref["name"] == SEARCH_REF:
                return self.index_of(found)
        raise KeyError(one["id"])

    def requests(self, one: dict[str, Any], context: Context) -> list[Request]:
        """The requests of a visualization or a saved search; a markdown panel has none."""
        if one["type"] == "search":
            return [
                Request(one["id"], self.index_of(one), _search_body(one["attributes"], self._queries(one), context))
            ]
        state = json.loads(one["attributes"]["visState"])
        if state["type"] == "markdown":
            return []
        if state["type"] == "vega":
            return vega_requests(one["id"], json.loads(state["params"]["spec"]), context)
        body = {
            "size": 0,
            "aggs": _aggs(state, context),
            "stored_fields": ["*"],
            "script_fields": {},
            "docvalue_fields": [{"field": name, "format": "date_time"} for name in date_fields()],
            "_source": {"excludes": []},
            "query": _query(self._queries(one), context),
        }
        return [Request(one["id"], self.index_of(one), body)]

    def _queries(self, one: dict[str, Any]) -> list[str]:
        own = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
        above = [self._queries(self.by_key[r["type"], r["id"]]) for r in one["references"] if r["name"] == SEARCH_REF]
        return [*(text for texts in above for text in texts), own]


def _decorated(text: str) -> dict[str, Any]:
    if not text.strip():
        return {"match_all": {}}
    return {"query_string": {"query": text, "analyze_wildcard": True}}


def _range(context: Context) -> dict[str, Any]:
    return {
        "range": {"@timestamp": {"gte": context.since, "lte": context.until, "format": "strict_date_optional_time"}}
    }


def _query(texts: list[str], context: Context) -> dict[str, Any]:
    must = [_decorated(text) for text in (*texts, context.query)]
    return {"bool": {"must": must, "filter": [_range(context)], "should": [], "must_not": []}}


def _search_body(attributes: dict[str, Any], queries: list[str], context: Context) -> dict[str, Any]:
    """Of a saved search as Discover and a dashboard's panel ask it."""
    return {
        "version": True,
        "size": 500,
        "sort": [{name: {"order": order, "unmapped_type": "boolean"}} for name, order in attributes["sort"]],
        "stored_fields": ["*"],
        "script_fields": {},
        "docvalue_fields": [{"field": name, "format": "date_time"} for name in date_fields()],
        "_source": {"excludes": []},
        "query": _query(queries, context),
        "highlight": {
            "pre_tags": ["@opensearch-dashboards-highlighted-field@"],
            "post_tags": ["@/opensearch-dashboards-highlighted-field@"],
            "fields": {"*": {}},
            "fragment_size": 2_147_483_647,
        },
    }


# Lengths of intervals in milliseconds, longest first, with OpenSearch's names for them.
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_INTERVALS = (
    (365 * _DAY, "1y"),
    (30 * _DAY, "1M"),
    (7 * _DAY, "1w"),
    (_DAY, "1d"),
    (12 * _HOUR, "12h"),
    (3 * _HOUR, "3h"),
    (_HOUR, "1h"),
    (30 * _MINUTE, "30m"),
    (10 * _MINUTE, "10m"),
    (5 * _MINUTE, "5m"),
    (_MINUTE, "1m"),
    (30 * _SECOND, "30s"),
    (10 * _SECOND, "10s"),
    (5 * _SECOND, "5s"),
    (_SECOND, "1s"),
    (100, "100ms"),
)
_MAX_BARS = 100


def auto_interval(context: Context) -> str:
    """What `auto` becomes: the longest round interval that gives at most 100 buckets."""
    each = context.milliseconds / _MAX_BARS
    return next((name for length, name in _INTERVALS if length <= each), "1ms")


def _aggs(state: dict[str, Any], context: Context) -> dict[str, Any]:
    """Aggregations nested in the order of their list, metrics innermost; in a pie metrics stand at every level."""
    enabled = [agg for agg in state["aggs"] if agg["enabled"]]
    by_id = {agg["id"]: agg for agg in enabled}
    buckets = [agg for agg in enabled if agg["type"] not in METRICS]
    metrics = [agg for agg in enabled if agg["type"] in METRICS and agg["type"] != "count"]
    everywhere = state["type"] == "pie" or (state["type"] == "table" and state["params"]["showMetricsAtAllLevels"])
    top: dict[str, Any] = {}
    here = top
    for place, agg in enumerate(buckets):
        inner = _bucket(agg, by_id, context)
        here[agg["id"]] = inner
        last = place == len(buckets) - 1
        if not last or metrics:
            here = inner.setdefault("aggs", {})
        if everywhere and not last:
            here.update({one["id"]: _metric(one) for one in metrics})
    here.update({one["id"]: _metric(one) for one in metrics})
    return top


def _bucket(agg: dict[str, Any], by_id: dict[str, Any], context: Context) -> dict[str, Any]:
    params = agg["params"]
    if agg["type"] == "date_histogram":
        interval = params.get("interval", "auto")
        name = auto_interval(context) if interval == "auto" else interval
        calendar = name.startswith("1") and not name[1].isdigit() and name not in {"1ms", "100ms", "1s"}
        calendar = calendar or name == "1s"
        body = {
            "field": params["field"],
            "calendar_interval" if calendar else "fixed_interval": name,
            "time_zone": "UTC",
            "min_doc_count": params.get("min_doc_count", 1),
        }
        return {"date_histogram": body}
    if agg["type"] == "filters":
        named = {
            one.get("label") or one["input"]["query"] or "*": _decorated(one["input"]["query"])
            for one in params["filters"]
        }
        return {"filters": {"filters": named}}
    order, direction = params["orderBy"], params["order"]
    body = {"field": params["field"], "size": params["size"]}
    out: dict[str, Any] = {"terms": body}
    metric = by_id.get(order)
    if metric is None:
        body["order"] = {order: direction}
    elif metric["type"] == "count":
        body["order"] = {"_count": direction}
    else:
        body["order"] = {order: direction}
        out["aggs"] = {order: _metric(metric)}
    if params.get("missingBucket") and mapped()[params["field"]].type == "keyword":
        body["missing"] = "__missing__"
    for name in ("include", "exclude"):
        if params.get(name):
            body[name] = params[name]
    return out


def _metric(agg: dict[str, Any]) -> dict[str, Any]:
    params = agg["params"]
    if agg["type"] == "top_hits":
        return {
            "top_hits": {
                "docvalue_fields": [{"field": params["field"]}] if mapped()[params["field"]].aggregatable else [],
                "_source": params["field"],
                "size": params.get("size", 1),
                "sort": [{params["sortField"]: {"order": params.get("sortOrder", "desc")}}],
            }
        }
    body = {"field": params["field"]}
    if agg["type"] == "percentiles":
        body |= {"percents": params["percents"], "keyed": False}
    return {agg["type"]: body}


# -- Vega --------------------------------------------------------------------------------------------------------------

_ROUND = (
    (500, "100ms"),
    (5_000, "1s"),
    (7_500, "5s"),
    (15_000, "10s"),
    (45_000, "30s"),
    (180_000, "1m"),
    (450_000, "5m"),
    (1_200_000, "10m"),
    (2_700_000, "30m"),
    (7_200_000, "1h"),
    (21_600_000, "3h"),
    (86_400_000, "12h"),
    (604_800_000, "24h"),
    (1_814_400_000, "1w"),
    (3_628_799_999, "30d"),
)


def vega_requests(ident: str, spec: dict[str, Any], context: Context) -> list[Request]:
    """The requests of a Vega-Lite spec, with the plugin's words replaced."""
    made = []
    for holder in _holders(spec):
        url = json.loads(json.dumps(holder["url"]))
        body = url["body"]
        dashboard = {"bool": {"must": [_decorated(context.query)], "filter": [], "should": [], "must_not": []}}
        if "query" in body:
            body["query"] = _injected(body["query"], dashboard, context)
        else:
            dashboard["bool"]["must"].append(_range(context))
            body["query"] = dashboard
        body["aggs"] = _injected(body.get("aggs", {}), None, context)
        made.append(Request(ident, url["index"], body))
    return made


def _holders(spec: Any) -> Iterator[dict[str, Any]]:
    """Every `data` object of a spec that asks OpenSearch."""
    if isinstance(spec, dict):
        data = spec.get("data")
        if isinstance(data, dict) and isinstance(data.get("url"), dict):
            yield data
        for value in spec.values():
            yield from _holders(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _holders(value)


def _injected(value: Any, dashboard: dict[str, Any] | None, context: Context) -> Any:
    if isinstance(value, list):
        out: list[Any] = []
        for one in value:
            part = re.fullmatch(r"%dashboard_context-(\w+)_clause%", one) if isinstance(one, str) else None
            if part and dashboard is not None:
                out += dashboard["bool"][part[1]]
            else:
                out.append(_injected(one, dashboard, context))
        return out
    if not isinstance(value, dict):
        return value
    if value.get("%timefilter%") is True:
        return {"gte": context.since, "lte": context.until, "format": "strict_date_optional_time"}
    out_dict = {}
    for key, inner in value.items():
        if key == "interval" and isinstance(inner, dict) and "%autointerval%" in inner:
            size = 50 if inner["%autointerval%"] is True else inner["%autointerval%"]
            each = context.milliseconds / size
            out_dict[key] = next((name for bound, name in _ROUND if each <= bound), "1y")
        elif isinstance(inner, dict) and inner.get("%timefilter%") in {"min", "max"}:
            out_dict[key] = context.since if inner["%timefilter%"] == "min" else context.until
        else:
            out_dict[key] = _injected(inner, dashboard, context)
    return out_dict


def filled(spec: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    """A spec with the answers of its requests (in the order of `vega_requests`) as inline values, to be drawn."""
    spec = json.loads(json.dumps(spec))
    for holder, answer in zip(list(_holders(spec)), answers, strict=True):
        del holder["url"]
        holder["values"] = answer
    return spec


# -- answers -----------------------------------------------------------------------------------------------------------


def rows(one: dict[str, Any], answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What an aggregation-based panel shows: one tuple a row, the keys of its buckets and then its numbers.

    Dates as RFC 3339, documents without a value under the panel's word for them, a number that there is none as None.
    """
    state = json.loads(one["attributes"]["visState"])
    aggs = [agg for agg in state["aggs"] if agg["enabled"]]
    buckets = [agg for agg in aggs if agg["type"] not in METRICS]
    metrics = [agg for agg in aggs if agg["type"] in METRICS]
    count = answer["hits"]["total"]["value"]
    return list(_rows(buckets, metrics, {**answer.get("aggregations", {}), "doc_count": count}))


def _rows(
    buckets: list[dict[str, Any]], metrics: list[dict[str, Any]], node: dict[str, Any]
) -> Iterator[tuple[Any, ...]]:
    if not buckets:
        yield tuple(value for metric in metrics for value in _values(metric, node))
        return
    first, *rest = buckets
    inner = node.get(first["id"], {"buckets": []})["buckets"]
    named = inner.items() if isinstance(inner, dict) else ((_key(first, bucket), bucket) for bucket in inner)
    for key, bucket in named:
        for row in _rows(rest, metrics, bucket):
            yield (key, *row)


def _key(agg: dict[str, Any], bucket: dict[str, Any]) -> Any:
    key = bucket.get("key_as_string", bucket["key"])
    return agg["params"]["missingBucketLabel"] if key == "__missing__" else key


def _values(metric: dict[str, Any], node: dict[str, Any]) -> list[Any]:
    if metric["type"] == "count":
        return [node["doc_count"]]
    found = node.get(metric["id"], {})
    if metric["type"] == "percentiles":
        return [one["value"] for one in found["values"]]
    if metric["type"] == "top_hits":
        return [hit.get("fields", {}).get(metric["params"]["field"], [None])[0] for hit in found["hits"]["hits"]]
    return [found.get("value_as_string", found.get("value"))]
