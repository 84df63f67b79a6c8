"""The Vega-Lite specs in our saved objects, and the words of Dashboards' Vega plugin: see tests/saved_objects.py."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.saved_fields import body_problems, members

_VEGA_LITE = "https://vega.github.io/schema/vega-lite/v5.json"
_CLAUSES = {"must": "%dashboard_context-must_clause%", "filter": "%dashboard_context-filter_clause%"}
_NOT_CLAUSE = "%dashboard_context-must_not_clause%"


def vega_problems(text: str) -> Iterator[str]:
    """What is wrong with a spec: its schema, what it asks OpenSearch for, the words of Dashboards' plugin in it."""
    try:
        spec = json.loads(text)
    except ValueError:
        yield "spec is not JSON"
        return
    if spec.get("$schema") != _VEGA_LITE:
        yield f"$schema is {spec.get('$schema')!r}, not Vega-Lite 5"
    urls = list(_urls(spec))
    if not urls:
        yield "spec asks for no data"
    if '"property"' in text:
        yield "names a member of the answer as its data: an error while there is no data stream"
    for url in urls:
        if not isinstance(url, dict):
            yield f"data from {url!r}: not OpenSearch"
            continue
        yield from members(url, {"index", "body"}, {"%context%", "%timefield%"}, "data.url")
        body = url.get("body", {})
        context = {name for name in ("%context%", "%timefield%") if name in url}
        text = json.dumps(body)
        if "query" in body and context:
            yield "has a query and %context%: the plugin refuses both"
        elif "query" in body:
            for clause in (*_CLAUSES.values(), _NOT_CLAUSE):
                if clause not in text:
                    yield f"its query leaves out {clause}"
            if "%timefilter%" not in text:
                yield "its query leaves out the time range"
        elif context != {"%context%", "%timefield%"} or url["%timefield%"] != "@timestamp":
            yield "does not follow the dashboard's time and filters"
        for part in str(url.get("index")).split(","):
            if not re.fullmatch(r"logs-fieldtrail\.(?:[a-z]+-)?(?:\*|[a-z0-9_.]+)", part):
                yield f"index {part!r} is none of our data streams"
        yield from body_problems(body, "body")


def _urls(spec: Any) -> Iterator[Any]:
    """Every `data.url` of a Vega-Lite spec."""
    if isinstance(spec, dict):
        data = spec.get("data")
        if isinstance(data, dict) and "url" in data:
            yield data["url"]
        for value in spec.values():
            yield from _urls(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _urls(value)
