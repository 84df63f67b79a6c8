"""The validator of saved objects: it takes what we generate, and nothing that is damaged."""

import json
import re
from pathlib import Path

import pytest

from shipper.siem.dashboards import ndjson, saved_objects
from tests import saved_objects as rules
from tests import saved_requests as requests

DOCS = Path(__file__).parents[2] / "docs"
TABLE = "fieldtrail-who-changed-what-who"
BARS = "fieldtrail-who-changed-what-timeline"
PIE = "fieldtrail-who-changed-what-interfaces"
METRIC = "fieldtrail-who-changed-what-operations"
CHART = "fieldtrail-access-and-exports-timeline"
NOTE = "fieldtrail-who-changed-what-note-1"
SEARCH = "fieldtrail-all-changes"
BOARD = "fieldtrail-who-changed-what"
PATTERN = "fieldtrail"


@pytest.fixture
def objects():
    """The objects by id, to be damaged; two types never share an id here but for dashboards and patterns."""
    return {(one["type"], one["id"]): json.loads(json.dumps(one)) for one in saved_objects()}


def file_of(objects):
    return "".join(json.dumps(one) + "\n" for one in objects.values()).encode()


class Inside:
    """JSON within JSON, opened and closed again: `with Inside(attributes, "visState") as state`."""

    def __init__(self, holder, name):
        self.holder, self.name = holder, name

    def __enter__(self):
        self.value = json.loads(self.holder[self.name])
        return self.value

    def __exit__(self, *error):
        self.holder[self.name] = json.dumps(self.value)


def state(objects, name):
    return Inside(objects["visualization", name]["attributes"], "visState")


def source(objects, kind, name):
    return Inside(objects[kind, name]["attributes"]["kibanaSavedObjectMeta"], "searchSourceJSON")


def panels(objects):
    return Inside(objects["dashboard", BOARD]["attributes"], "panelsJSON")


class Spec:
    """A Vega-Lite spec, two texts deep."""

    def __init__(self, objects):
        self.state = state(objects, CHART)

    def __enter__(self):
        self.value = json.loads(self.state.__enter__()["params"]["spec"])
        return self.value

    def __exit__(self, *error):
        self.state.value["params"]["spec"] = json.dumps(self.value)
        self.state.__exit__()


# -- damage: each function does one thing, the text is what the validator must say ---------------------------------------


def an_unknown_type(o):
    o["search", SEARCH]["type"] = "lens"


def a_member_too_many(o):
    o["search", SEARCH]["updated_at"] = "2026-02-03T10:00:00Z"


def an_old_migration(o):
    o["visualization", TABLE]["migrationVersion"] = {"visualization": "7.8.0"}


def no_migration(o):
    o["dashboard", BOARD]["migrationVersion"] = {}


def a_reference_to_nothing(o):
    o["visualization", TABLE]["references"][0]["id"] = "fieldtrail-gone"


def a_reference_with_a_name_of_its_own(o):
    o["visualization", TABLE]["references"][0]["name"] = "index"


def an_index_that_is_named_otherwise(o):
    with source(o, "search", SEARCH) as value:
        value["indexRefName"] = "index"


def nested_text_that_is_no_json(o):
    o["visualization", TABLE]["attributes"]["visState"] += "}"


def nested_json_that_is_no_text(o):
    attributes = o["dashboard", BOARD]["attributes"]
    attributes["panelsJSON"] = json.loads(attributes["panelsJSON"])


def panels_over_each_other(o):
    with panels(o) as value:
        value[1]["gridData"]["x"] = value[0]["gridData"]["x"]


def a_panel_beyond_the_edge(o):
    with panels(o) as value:
        value[0]["gridData"]["w"] = 49


def two_panels_of_one_index(o):
    with panels(o) as value:
        value[1]["panelIndex"] = value[1]["gridData"]["i"] = value[0]["panelIndex"]


def a_panel_of_no_reference(o):
    with panels(o) as value:
        value[0]["panelRefName"] = "panel_999"


def a_table_without_paging(o):
    with state(o, TABLE) as value:
        del value["params"]["perPage"]


def bars_without_axes(o):
    with state(o, BARS) as value:
        del value["params"]["valueAxes"]


def a_series_on_no_axis(o):
    with state(o, BARS) as value:
        value["params"]["seriesParams"][0]["valueAxis"] = "ValueAxis-9"


def a_series_of_no_metric(o):
    with state(o, BARS) as value:
        value["params"]["seriesParams"][0]["data"]["id"] = "9"


def a_pie_without_labels(o):
    with state(o, PIE) as value:
        value["params"]["labels"] = {}


def a_metric_without_style(o):
    with state(o, METRIC) as value:
        del value["params"]["metric"]["style"]


def a_panel_type_that_nobody_knows(o):
    with state(o, TABLE) as value:
        value["type"] = "metrics"


def aggregations_of_one_id(o):
    with state(o, TABLE) as value:
        value["aggs"][1]["id"] = value["aggs"][0]["id"]


def an_order_by_nothing(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["params"]["orderBy"] = "42"


def an_aggregation_in_the_wrong_place(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["schema"] = "segment"


def an_unknown_aggregation(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["type"] = "rare_terms"


def terms_of_a_field_that_is_not_there(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["params"]["field"] = "user.nickname"


def terms_of_a_text(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["params"]["field"] = "message"


def terms_of_flat_members(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["params"]["field"] = "trail.raw"


def the_sum_of_a_word(o):
    with state(o, TABLE) as value:
        value["aggs"][0] |= {"type": "sum", "params": {"field": "user.id"}}


def a_missing_bucket_of_addresses(o):
    with state(o, TABLE) as value:
        value["aggs"][-1]["params"] |= {"field": "source.ip", "missingBucket": True}


def another_title_inside(o):
    with state(o, TABLE) as value:
        value["title"] = "Something else"


def a_query_on_an_unknown_field(o):
    with source(o, "visualization", TABLE) as value:
        value["query"]["query"] = "event.verb:update"


def a_query_that_cannot_be_read(o):
    with source(o, "visualization", TABLE) as value:
        value["query"]["query"] = 'event.action:("field.update" OR'


def a_query_in_another_language(o):
    with source(o, "visualization", TABLE) as value:
        value["query"]["language"] = "kuery"


def an_unknown_column(o):
    o["search", SEARCH]["attributes"]["columns"][0] = "who"


def a_sort_by_text(o):
    o["search", SEARCH]["attributes"]["sort"] = [["message", "desc"]]


def a_sort_that_is_one_pair(o):
    o["search", SEARCH]["attributes"]["sort"] = ["@timestamp", "desc"]


def a_format_of_no_field(o):
    o["index-pattern", PATTERN]["attributes"]["fieldFormatMap"] = '{"trail.url":{"id":"url"}}'


def a_backing_index(o):
    o["index-pattern", PATTERN]["attributes"]["title"] = ".ds-logs-fieldtrail.change-default-000001"


def another_time_field(o):
    o["index-pattern", PATTERN]["attributes"]["timeFieldName"] = "event.created"


def a_text_panel_that_says_nothing(o):
    with state(o, NOTE) as value:
        value["params"]["markdown"] = " "


def a_chart_of_another_schema(o):
    with Spec(o) as spec:
        spec["$schema"] = "https://vega.github.io/schema/vega/v5.json"


def a_chart_with_context_and_query(o):
    with Spec(o) as spec:
        spec["data"]["url"]["body"]["query"] = {"match_all": {}}


def a_chart_that_ignores_the_dashboard(o):
    with Spec(o) as spec:
        del spec["data"]["url"]["%timefield%"]


def a_chart_of_a_member_that_may_not_be_there(o):
    with Spec(o) as spec:
        spec["data"]["format"] = {"property": "aggregations.wanted.time.buckets"}


def a_chart_of_an_unknown_field(o):
    with Spec(o) as spec:
        spec["data"]["url"]["body"]["aggs"]["x"] = {"terms": {"field": "user.nickname"}}


def a_chart_with_an_interval_under_another_key(o):
    with Spec(o) as spec:
        interval = {"field": "@timestamp", "fixed_interval": {"%autointerval%": True}}
        spec["data"]["url"]["body"]["aggs"]["x"] = {"date_histogram": interval}


def a_chart_of_somebody_elses_index(o):
    with Spec(o) as spec:
        spec["data"]["url"]["index"] = "logs-*"


def a_panel_that_no_dashboard_shows(o):
    o["visualization", "left-over"] = {**json.loads(json.dumps(o["visualization", TABLE])), "id": "left-over"}
    with state(o, "left-over") as value:
        value["title"] = o["visualization", "left-over"]["attributes"]["title"] = "Left over"


DAMAGE = {
    an_unknown_type: "unknown type",
    a_member_too_many: "members are",
    an_old_migration: "migrationVersion is",
    no_migration: "migrationVersion is",
    a_reference_to_nothing: "which is not in the file",
    a_reference_with_a_name_of_its_own: "references are",
    an_index_that_is_named_otherwise: "indexRefName is",
    nested_text_that_is_no_json: "visState is not JSON",
    nested_json_that_is_no_text: "panelsJSON is not a text",
    panels_over_each_other: "lies over",
    a_panel_beyond_the_edge: "stands outside the 48 columns",
    two_panels_of_one_index: "is there twice",
    a_panel_of_no_reference: "panels name",
    a_table_without_paging: "params of a table lack perPage",
    bars_without_axes: "params of a histogram lack valueAxes",
    a_series_on_no_axis: "which is not there",
    a_series_of_no_metric: "seriesParams are of",
    a_pie_without_labels: "labels of a pie",
    a_metric_without_style: "params.metric lacks style",
    a_panel_type_that_nobody_knows: "not known for certain",
    aggregations_of_one_id: "is there twice",
    an_order_by_nothing: "which is no metric",
    an_aggregation_in_the_wrong_place: "no place for an aggregation 'segment'",
    an_unknown_aggregation: "unknown type 'rare_terms'",
    terms_of_a_field_that_is_not_there: "field user.nickname is not mapped",
    terms_of_a_text: "not for this",
    terms_of_flat_members: "not for this",
    the_sum_of_a_word: "not for this",
    a_missing_bucket_of_addresses: "missing values of texts only",
    another_title_inside: "has another title",
    a_query_on_an_unknown_field: "names event.verb",
    a_query_that_cannot_be_read: "query",
    a_query_in_another_language: "not Lucene",
    an_unknown_column: "column who is not mapped",
    a_sort_by_text: "cannot be sorted by message",
    a_sort_that_is_one_pair: "is not [[field, order]]",
    a_format_of_no_field: "formats field trail.url",
    a_backing_index: "backing index",
    another_time_field: "timeFieldName",
    a_text_panel_that_says_nothing: "says nothing",
    a_chart_of_another_schema: "not Vega-Lite 5",
    a_chart_with_context_and_query: "the plugin refuses both",
    a_chart_that_ignores_the_dashboard: "does not follow the dashboard",
    a_chart_of_a_member_that_may_not_be_there: "names a member of the answer",
    a_chart_of_an_unknown_field: "user.nickname is not mapped",
    a_chart_with_an_interval_under_another_key: "under `interval` alone",
    a_chart_of_somebody_elses_index: "none of our data streams",
    a_panel_that_no_dashboard_shows: "no dashboard shows it",
}


def test_every_saved_object_of_ours_is_as_dashboards_stores_it():
    assert rules.problems(ndjson()) == []


def test_the_saved_objects_of_one_namespace_are_so_too_and_look_into_it_alone():
    data = ndjson("hr")
    assert rules.problems(data) == []
    titles = [one["attributes"]["title"] for one in requests.Objects(data).of("index-pattern")]
    assert titles and all(part.endswith("-hr") for title in titles for part in title.split(","))


def test_two_namespaces_and_all_of_them_can_stand_beside_each_other():
    files = [requests.Objects(ndjson(namespace)) for namespace in (None, "hr", "crm")]
    keys = [key for one in files for key in one.by_key]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found(objects, damage):
    damage(objects)
    found = rules.problems(file_of(objects))
    assert any(DAMAGE[damage] in problem for problem in found), found


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data + data.splitlines(keepends=True)[0], "there twice"),
        (lambda data: data[:-1], "has no end"),
        (lambda data: data.replace(b"\n", b"\n\n", 1), "not JSON"),
        (lambda data: b"[]\n" + data, "not an object"),
        (lambda data: data + b'{"exportedCount":1,"missingRefCount":0,"missingReferences":[]}\n', "unknown type"),
    ],
    ids=["a line twice", "no last line end", "an empty line", "a list", "the summary of an export"],
)
def test_lines_that_are_no_saved_objects_are_found(damage, said):
    found = rules.problems(damage(ndjson()))
    assert any(said in problem for problem in found), found


def test_the_file_is_the_same_every_time():
    assert ndjson() == ndjson()
    assert ndjson("hr") == ndjson("hr")


# -- requests ----------------------------------------------------------------------------------------------------------

DAY = requests.Context("2026-02-03T00:00:00.000Z", "2026-02-04T00:00:00.000Z")


@pytest.mark.parametrize(
    ("until", "interval"),
    [
        ("2026-02-03T00:15:00.000Z", "5s"),
        ("2026-02-03T04:00:00.000Z", "1m"),
        ("2026-02-04T00:00:00.000Z", "10m"),
        ("2026-02-10T00:00:00.000Z", "1h"),
        ("2026-03-05T00:00:00.000Z", "3h"),
        ("2026-05-04T00:00:00.000Z", "12h"),
        ("2027-02-03T00:00:00.000Z", "1d"),
        ("2031-02-03T00:00:00.000Z", "1w"),
    ],
)
def test_an_automatic_interval_gives_at_most_a_hundred_bars(until, interval):
    assert requests.auto_interval(requests.Context("2026-02-03T00:00:00.000Z", until)) == interval


def test_aggregations_are_nested_in_their_order_and_metrics_stand_innermost():
    made = requests.Objects(ndjson())
    (request,) = made.requests(made.by_key["visualization", TABLE], DAY)
    outer = request.body["aggs"]
    depth = 0
    while outer:
        kinds = [next(kind for kind in body if kind != "aggs") for body in outer.values()]
        last = kinds != ["terms"] and "terms" not in kinds
        depth += not last
        outer = {} if last else next(body for body in outer.values() if "terms" in body).get("aggs", {})
    state = json.loads(made.by_key["visualization", TABLE]["attributes"]["visState"])
    assert depth == sum(agg["schema"] == "bucket" for agg in state["aggs"])


def test_the_words_of_the_vega_plugin_are_replaced():
    spec = {
        "data": {
            "url": {
                "index": "logs-fieldtrail.change-*",
                "body": {
                    "query": {
                        "bool": {
                            "must": ["%dashboard_context-must_clause%"],
                            "filter": [
                                "%dashboard_context-filter_clause%",
                                {"range": {"@timestamp": {"%timefilter%": True}}},
                            ],
                            "must_not": ["%dashboard_context-must_not_clause%"],
                        }
                    },
                    "aggs": {"t": {"date_histogram": {"field": "@timestamp", "interval": {"%autointerval%": True}}}},
                },
            }
        }
    }
    (request,) = requests.vega_requests("x", spec, DAY)
    assert "%" not in json.dumps(request.body)
    assert request.body["aggs"]["t"]["date_histogram"]["interval"] == "30m"
    assert request.body["query"]["bool"]["must"] == [{"match_all": {}}]


def test_context_and_time_become_a_query_of_the_dashboard():
    spec = {"data": {"url": {"%context%": True, "%timefield%": "@timestamp", "index": "i", "body": {"aggs": {}}}}}
    (request,) = requests.vega_requests("x", spec, requests.Context(DAY.since, DAY.until, "event.module:keap"))
    must = request.body["query"]["bool"]["must"]
    assert must[0] == {"query_string": {"query": "event.module:keap", "analyze_wildcard": True}}
    assert must[1]["range"]["@timestamp"]["gte"] == DAY.since


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_every_chart_has_its_picture_in_the_documentation_and_no_picture_is_left_over():
    charts = {
        one["id"].removeprefix("fieldtrail-")
        for one in saved_objects()
        if one["type"] == "visualization" and json.loads(one["attributes"]["visState"])["type"] == "vega"
    }
    kept = {path.stem for path in (DOCS / "images").glob("*.png")}
    page = (DOCS / "howto" / "dashboards.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[[^\]]+\]\(\.\./images/([a-z-]+)\.png\)", page))
    assert kept == charts and shown == charts, "python tools/pictures.py"
