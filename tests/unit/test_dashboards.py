"""The saved objects: what the sources become. Their structure as a whole is held by test_saved_objects.py."""

import json

import pytest

import mappings
from shipper.siem import _panels
from shipper.siem.dashboards import ndjson, saved_objects

DASHBOARDS = {
    "who-changed-what": "Who changed what",
    "sensitive-data": "Sensitive data",
    "automations": "Automations",
    "access-and-exports": "Access and exports",
    "health-and-integrity": "Health and integrity",
}
SEARCHES = ["all-changes", "record-history", "sensitive-changes", "exports", "failed-logins", "unparsed-lines"]


def by_id(kind, namespace=None):
    return {one["id"]: one["attributes"] for one in saved_objects(namespace) if one["type"] == kind}


def state(name):
    return json.loads(by_id("visualization")[name]["visState"])


def spec(name):
    return json.loads(state(name)["params"]["spec"])


def test_there_are_the_five_dashboards_the_six_searches_and_the_five_index_patterns():
    assert {name: one["title"] for name, one in by_id("dashboard").items()} == {
        f"fieldtrail-{name}": title for name, title in DASHBOARDS.items()
    }
    assert list(by_id("search")) == [f"fieldtrail-{name}" for name in SEARCHES]
    assert {name: one["title"] for name, one in by_id("index-pattern").items()} == {
        "fieldtrail": "logs-fieldtrail.change-*,logs-fieldtrail.activity-*",
        "fieldtrail-health": "logs-fieldtrail.health-*",
        "fieldtrail-log": "logs-fieldtrail.log-*,logs-fieldtrail.checkpoint-*",
        "fieldtrail-alert": "logs-fieldtrail.alert-*",
        "fieldtrail-all": "logs-fieldtrail.*",
    }


def test_the_bytes_are_the_same_every_time_and_one_object_a_line():
    first = ndjson()
    assert first == ndjson()
    assert [json.loads(line) for line in first.splitlines()] == saved_objects()
    assert first.endswith(b"}\n")


def test_what_is_referred_to_comes_before_what_refers_to_it():
    seen = set()
    for one in saved_objects():
        assert {(to["type"], to["id"]) for to in one["references"]} <= seen
        seen.add((one["type"], one["id"]))


def test_one_namespace_has_objects_of_its_own_over_its_own_streams():
    everything, acme = saved_objects(), saved_objects("acme")
    assert {one["id"] for one in everything} & {one["id"] for one in acme} == set()
    assert len(everything) == len(acme)
    assert by_id("index-pattern", "acme")["fieldtrail.acme"]["title"] == (
        "logs-fieldtrail.change-acme,logs-fieldtrail.activity-acme"
    )
    assert "-*" not in ndjson("acme").decode()
    assert by_id("dashboard", "acme")["fieldtrail.acme-automations"]["title"] == "Automations (acme)"


def test_an_index_pattern_holds_no_fields_and_shows_the_address_of_a_record_as_a_link():
    pattern = by_id("index-pattern")["fieldtrail"]
    assert pattern["timeFieldName"] == "@timestamp"
    assert "fields" not in pattern
    assert json.loads(pattern["fieldFormatMap"])["trail.object.url"]["id"] == "url"


def test_no_index_behind_a_data_stream_is_named():
    assert b".ds-" not in ndjson()


def test_a_search_of_changes_shows_who_which_field_old_new_and_how_they_are_known():
    columns = by_id("search")["fieldtrail-all-changes"]["columns"]
    start = "event.module event.action trail.object.key user.name user.email user.id trail.actor.type"
    end = "trail.change.field trail.change.old trail.change.new trail.interface trail.change.derivation"
    assert " ".join(columns) == f"{start} {end} trail.object.url"


def test_nobody_is_named_as_author_who_is_only_related():
    """`related.user` also holds the account that was changed, the owner, and who edited the record last."""
    text = ndjson().decode()
    assert "related.user" not in text
    assert "last_editor" not in text


def test_every_panel_says_why_it_may_be_empty():
    """A chart in itself, the others in the text under their row."""
    for name, dashboard in mappings.dashboards().dashboards.items():
        for number, row in enumerate(dashboard["rows"], 1):
            for panel in row["panels"]:
                assert panel["empty"], (name, panel["id"])
                if panel["type"] == "vega-lite":
                    assert panel["empty"].split()[0] in json.dumps(
                        spec(f"fieldtrail-{name}-{panel['id']}")["layer"][-1]
                    )
                    continue
                note = state(f"fieldtrail-{name}-note-{number}")["params"]["markdown"]
                assert panel["empty"].rstrip(".") in note


def test_a_text_under_a_row_says_each_reason_once():
    panels = [
        {"type": "metric", "title": "Logins (documents)", "empty": "no source tells"},
        {"type": "table", "title": "Who", "empty": "no source tells"},
        {"type": "pie", "title": "How", "empty": "all is well."},
        {"type": "vega-lite", "title": "Says it itself", "empty": "x"},
    ]
    assert _panels.why_empty(panels) == (
        "Nothing, or 0, in *Logins*, *Who*: no source tells. · Nothing, or 0, in *How*: all is well."
    )
    assert _panels.why_empty(panels[3:]) == ""


def test_titles_of_counts_say_whether_operations_or_documents_are_counted():
    for dashboard in mappings.dashboards().dashboards.values():
        for panel in (panel for row in dashboard["rows"] for panel in row["panels"] if "measure" in panel):
            measures = ["documents" if "documents" in one else one for one in panel["measure"]]
            for word in ("operations", "documents"):
                assert (word in measures) <= (word in panel["title"].lower()), panel["title"]


def test_who_is_three_columns_so_that_each_document_is_counted_once():
    aggs = state("fieldtrail-who-changed-what-who")["aggs"]
    rows = [agg["params"] for agg in aggs if agg["schema"] == "bucket"]
    assert [row["field"] for row in rows] == ["event.module", "user.name", "user.email", "user.id"]
    assert [row["missingBucket"] for row in rows] == [False, True, True, True]
    assert {row["orderBy"] for row in rows} == {"1"}
    assert [agg["type"] for agg in aggs[:3]] == ["cardinality", "count", "max"]


def test_bars_lie_over_time_and_are_split_by_the_rest():
    bar = state("fieldtrail-who-changed-what-timeline")
    assert bar["type"] == bar["params"]["type"] == "histogram"
    assert [(agg["type"], agg["schema"]) for agg in bar["aggs"]] == [
        ("count", "metric"),
        ("date_histogram", "segment"),
        ("terms", "group"),
    ]
    assert [one["data"] for one in bar["params"]["seriesParams"]] == [{"label": "Changes", "id": "1"}]
    assert bar["params"]["valueAxes"][0]["title"] == {"text": "Changes"}


def test_rows_are_not_ordered_by_percentiles():
    aggs = state("fieldtrail-automations-durations")["aggs"]
    assert aggs[0]["params"] == {"field": "event.duration", "percents": [95], "customLabel": "Duration"}
    assert aggs[2]["params"]["orderBy"] == "_key"


def test_a_name_beside_a_row_does_not_split_it():
    """As rows of their own, documents with and without the name would be counted apart."""
    aggs = state("fieldtrail-who-changed-what-objects")["aggs"]
    assert [agg["params"]["field"] for agg in aggs if agg["type"] == "terms"] == ["trail.object.key"]
    hits = [agg["params"] for agg in aggs if agg["type"] == "top_hits"]
    assert [(one["field"], one["aggregate"], one["size"]) for one in hits] == [
        ("trail.object.name", "concat", 1),
        ("trail.object.url", "concat", 1),
    ]


def test_a_chart_follows_the_dashboard_and_asks_with_an_aggregation_of_its_own():
    """The plugin refuses a query beside %context%, and replaces %autointerval% under `interval` alone."""
    url = spec("fieldtrail-automations-timeline")["data"]["url"]
    assert (url["%context%"], url["%timefield%"]) == (True, "@timestamp")
    assert url["index"] == "logs-fieldtrail.change-*,logs-fieldtrail.activity-*"
    assert set(url["body"]) == {"size", "aggs"}
    wanted = url["body"]["aggs"]["wanted"]
    assert wanted["filter"]["query_string"]["query"] == "event.action:automation.run"
    assert "auto_date_histogram" in wanted["aggs"]["time"]
    assert "%autointerval%" not in json.dumps(url)


def test_an_empty_chart_shows_its_sentence_in_lines_also_where_the_answer_has_no_aggregations():
    layer = spec("fieldtrail-automations-timeline")["layer"][-1]
    assert layer["transform"] == [
        {"calculate": "datum.aggregations ? datum.aggregations.wanted.time.buckets : []", "as": "rows"},
        {"filter": "length(datum.rows) == 0"},
    ]
    assert layer["mark"]["text"] == "No connected source reports runs of automations. Make.com's\nscenario logs do."
    assert layer["mark"]["lineBreak"] == "\n"


@pytest.mark.parametrize("panel", [{"type": "gauge", "measure": ["documents"]}, {"type": "table", "measure": ["rows"]}])
def test_a_word_that_is_not_known_is_refused(panel):
    with pytest.raises((KeyError, ValueError)):
        _panels.vis_state(panel, "t", "logs-*")
