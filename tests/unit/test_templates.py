"""The OpenSearch templates, structurally; tests/integration puts them into a real server."""

from __future__ import annotations

import json

import pytest

import mappings
from shipper import schema
from shipper.templates import NORMALIZER, templates

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


def test_the_root_is_not_dynamic_and_both_pipelines_are_off():
    body = components()["fieldtrail-settings"]["template"]
    assert body["mappings"]["dynamic"] is False
    assert body["settings"]["index.default_pipeline"] == "_none"
    assert body["settings"]["index.final_pipeline"] == "_none"


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
