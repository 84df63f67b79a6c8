"""The OpenSearch templates, structurally; tests/integration puts them into a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mappings
from shipper import schema
from shipper.templates import NORMALIZER, templates

GOLDEN = Path(__file__).parents[1] / "golden"
MEANT = {"event.start", "trace.id", "user.roles"}
"""Mapped though no golden event has them: runs and traces of a program's own log, roles that rules compare."""

SAME_TYPES = {"short", "long", "double", "boolean", "date", "flat_object"}


def components():
    return templates()["component_templates"]


def leaves(properties, prefix=""):
    for name, body in properties.items():
        if "properties" in body:
            yield from leaves(body["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name, body


def count(properties):
    return sum(1 + len(body.get("fields", {})) + count(body.get("properties", {})) for body in properties.values())


def own():
    return dict(leaves(components()["fieldtrail-own"]["template"]["mappings"]["properties"]))


def ecs():
    return dict(leaves(components()["fieldtrail-ecs"]["template"]["mappings"]["properties"]))


def test_there_is_one_index_template_for_each_data_stream():
    made = templates()["index_templates"]
    assert {body["index_patterns"][0] for body in made.values()} == {
        f"logs-fieldtrail.{stream}-*" for stream in ("change", "activity", "alert", "health", "log", "checkpoint")
    }
    for body in made.values():
        assert body["data_stream"] == {} and body["priority"] == 500
        assert body["composed_of"] == list(components())
        assert body["_meta"]["owner"] == "fieldtrail" and body["version"] == body["_meta"]["version"]


def test_a_namespace_gets_templates_of_its_own_that_win_over_the_general_ones():
    made = templates("prod")["index_templates"]
    assert made["fieldtrail-change-prod"]["index_patterns"] == ["logs-fieldtrail.change-prod"]
    assert made["fieldtrail-change-prod"]["priority"] > templates()["index_templates"]["fieldtrail-change"]["priority"]


def test_every_field_of_ours_is_mapped_with_the_type_it_is_declared_with():
    mapped = own()
    assert set(mapped) == set(mappings.trail_fields())
    for name, field in mappings.trail_fields().items():
        body = mapped[name]
        if field.type in SAME_TYPES:
            assert body["type"] == field.type, name
        elif field.type == "object":
            assert body == {"type": "object", "enabled": False}, name
        elif field.index:
            assert body["type"] == "keyword" and body["ignore_above"] == 1024, name
        else:
            assert body == {"type": "keyword", "index": False, "doc_values": False}, name


def test_every_listed_ecs_field_is_mapped_with_a_type_that_opensearch_has():
    known = {
        "keyword",
        "match_only_text",
        "date",
        "long",
        "float",
        "double",
        "ip",
        "boolean",
        "geo_point",
        "flat_object",
    }
    mapped = ecs()
    assert set(mapped) == set(mappings.component_templates().ecs)
    assert {body["type"] for body in mapped.values()} <= known
    for name, body in mapped.items():
        field = schema.fields()[name]
        if field.type in {"date", "long", "ip", "boolean"}:
            assert body["type"] == field.type, name


def test_there_are_fewer_than_400_fields_with_groups_and_sub_fields():
    total = sum(count(body["template"]["mappings"].get("properties", {})) for body in components().values())
    assert 250 < total < 400


def carried(value, path=""):
    """The fields of an event, by the field tables: what they call one value is one, whatever is inside."""
    field = schema.fields().get(path)
    if not isinstance(value, dict) or (field is not None and (field.type != "object" or path == "labels")):
        yield path
        return
    for name, item in value.items():
        yield from carried(item, f"{path}.{name}" if path else name)


def golden_fields():
    return {
        name
        for path in GOLDEN.glob("*/*.json")
        for line in path.read_bytes().splitlines()
        if b'"data_stream"' in line
        for name in carried(json.loads(line))
    }


def test_every_field_of_a_golden_event_is_mapped_if_it_is_ours_or_core_of_ecs():
    mapped = {**own(), **ecs()}
    seen = golden_fields()
    wanted = {name for name in seen if name in schema.fields() and schema.fields()[name].level in {"core", "own"}}
    assert len(wanted) > 60
    assert {name for name in wanted - set(mapped) if not any(one.startswith(f"{name}.") for one in mapped)} == set()


def test_what_no_golden_event_carries_is_mapped_only_for_alerts_signals_and_what_a_program_may_map():
    spare = set(ecs()) - golden_fields()
    kept = {"agent.", "data_stream.", "rule.", "threat.", "source.as.", "log.syslog."}
    assert {name for name in spare if not name.startswith(tuple(kept))} == MEANT


def test_names_that_rules_compare_have_a_sub_field_in_lower_case():
    mapped = {**own(), **ecs()}
    with_lower = {name for name, body in mapped.items() if "lc" in body.get("fields", {})}
    assert with_lower == {
        "trail.change.field",
        "trail.change.new",
        "trail.change.old",
        "trail.object.name",
        "trail.object.type",
        "user.email",
        "user.name",
        "user.target.email",
        "user.target.name",
    }
    for name in with_lower:
        assert mapped[name]["fields"]["lc"]["normalizer"] == NORMALIZER


def test_our_own_vocabulary_is_in_lower_case_already():
    for name in mappings.actions():
        assert name == name.lower()


def test_the_root_is_not_dynamic_and_both_pipelines_are_off():
    body = components()["fieldtrail-settings"]["template"]
    assert body["mappings"]["dynamic"] is False
    assert body["mappings"]["_meta"] == {"owner": "fieldtrail", "version": mappings.component_templates().version}
    assert body["settings"]["index.default_pipeline"] == "_none"
    assert body["settings"]["index.final_pipeline"] == "_none"


def test_documents_are_sorted_by_single_values_of_fields_that_the_same_component_maps():
    settings = components()["fieldtrail-own"]["template"]["settings"]
    assert settings["index.sort.field"] == ["seal.log", "seal.i"] and settings["index.sort.order"] == ["asc", "asc"]
    for name in settings["index.sort.field"]:
        assert not mappings.trail_fields()[name].array and own()[name].get("doc_values", True)
    assert not any(body["type"] == "nested" for body in {**own(), **ecs()}.values())


def test_old_and_new_can_be_searched_in_lower_case_with_a_normalizer_that_exists():
    for name in ("trail.change.old", "trail.change.new"):
        assert own()[name]["fields"]["lc"] == {"type": "keyword", "ignore_above": 1024, "normalizer": NORMALIZER}
    settings = components()["fieldtrail-settings"]["template"]["settings"]
    assert settings[f"index.analysis.normalizer.{NORMALIZER}.filter"] == ["lowercase"]


def test_no_indexed_term_can_exceed_lucenes_limit():
    for name, body in {**own(), **ecs()}.items():
        if body["type"] == "keyword" and body.get("doc_values", True):
            assert body["ignore_above"] * 4 <= 32766, name


def test_odd_numbers_dates_and_addresses_cost_no_document_but_the_timestamp_is_strict():
    mapped = {**own(), **ecs()}
    assert "ignore_malformed" not in mapped["@timestamp"]
    for name, body in mapped.items():
        if body["type"] in {"long", "short", "double", "float", "date", "ip"} and name != "@timestamp":
            assert body["ignore_malformed"] is True, name


@pytest.mark.parametrize("name", ["trail.raw", "trail.values"])
def test_flat_objects_carry_no_parameter_because_opensearch_takes_none(name):
    assert own()[name] == {"type": "flat_object"}


def test_the_templates_are_the_same_json_every_time():
    assert json.dumps(templates()) == json.dumps(templates())
    names = list(own())
    assert names == sorted(names, key=lambda name: name.split("."))


def test_changing_a_returned_body_changes_nobody_elses():
    templates()["component_templates"]["fieldtrail-settings"]["template"]["settings"].clear()
    assert components()["fieldtrail-settings"]["template"]["settings"]
