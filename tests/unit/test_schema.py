"""What an event may hold, and how values become what their fields take."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper import schema
from shipper.schema import MISFIT, Problem, check, converter, fits, reserved, suggest

EVENT = {
    "@timestamp": "2026-02-03T10:30:00.000Z",
    "agent": {"name": "hr-app-03", "type": "fieldtrail", "version": "0.1.0"},
    "data_stream": {"dataset": "fieldtrail.change", "namespace": "default", "type": "logs"},
    "ecs": {"version": "9.4.0"},
    "event": {
        "action": "field.update", "category": ["database"], "code": "offers#update", "created": "2026-02-03T10:31:02.118Z",
        "dataset": "greenhouse.audit", "id": "r9", "kind": "event", "module": "greenhouse", "outcome": "success",
        "type": ["change"],
    },
    "message": "Kim Q changed salary of Offer 55 from 90000 to 120000 via ui (Greenhouse)",
    "related": {"ip": ["198.51.100.9"], "user": ["7", "kim@co.example"]},
    "source": {"ip": "198.51.100.9"},
    "trail": {
        "actor": {"confidence": "asserted", "type": "user"},
        "change": {
            "category": "pay", "delta": 30000, "delta_pct": 33.33, "derivation": "native", "field": "salary", "index": 0,
            "new": "120000", "new_number": 120000, "new_state": "value", "old": "90000", "old_number": 90000,
            "old_state": "value", "op": "update", "redaction": "none", "sensitivity": "restricted", "value_type": "number",
        },
        "interface": "ui",
        "missing": ["trail.session.id", "user_agent.original"],
        "object": {"id": "55", "key": "greenhouse:offer/55", "type": "offer"},
        "operation": {"change_count": 1, "head": True, "id": "r9"},
        "origin": {"input": "gh", "length": 412, "offset": 88120, "path": "audit.jsonl", "received": "2026-02-03T10:31:02.118Z"},
        "schema": 1,
        "time": {"precision": "exact"},
    },
    "user": {"full_name": "Kim Q", "id": "7", "name": "kim@co.example"},
    "seal": {"i": 88121, "log": "9f2c61d0aa01b3e7", "n": "hQ3v0m4n1s9Tn0mZ8b2xRA"},
}  # fmt: skip


def changed(path, value=None, *, remove=False):
    event = copy.deepcopy(EVENT)
    *groups, last = path.split("/")
    here = event
    for group in groups:
        here = here.setdefault(group, {})
    if remove:
        del here[last]
    else:
        here[last] = value
    return event


def paths(event):
    return [problem.path for problem in check(event)]


def test_the_documented_event_is_well_formed():
    assert check(EVENT) == []


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("foo", "x", "foo"),
        ("session", {"id": "1"}, "session"),
        ("user/colour", "x", "user.colour"),
        ("user.name", "x", "user.name"),
        ("trail/extra", 1, "trail.extra"),
        ("trail/change/before", "x", "trail.change.before"),
        ("seal/x", 1, "seal.x"),
        ("user/id", 7, "user.id"),
        ("user/id", None, "user.id"),
        ("user/roles", "admin", "user.roles"),
        ("user/name", ["a"], "user.name"),
        ("related/ip", ["198.51.100.9", "x"], "related.ip"),
        ("related/ip", [], "related.ip"),
        ("source/ip", "198.51.100.9:80", "source.ip"),
        ("source/ip", "fe80::1%eth0", "source.ip"),
        ("source/port", "80", "source.port"),
        ("source/port", True, "source.port"),
        ("source/port", 2**53, "source.port"),
        ("trail/change/delta", math.nan, "trail.change.delta"),
        ("trail/change/delta", "1", "trail.change.delta"),
        ("trail/change/index", 40_000, "trail.change.index"),
        ("trail/operation/head", "true", "trail.operation.head"),
        ("trail/change/op", "set", "trail.change.op"),
        ("event/outcome", "ok", "event.outcome"),
        ("event/kind", "log", "event.kind"),
        ("event/created", "2026-02-03 10:31:02Z", "event.created"),
        ("event/created", "2026-02-30T10:31:02Z", "event.created"),
        ("@timestamp", "2026-02-03T10:30:00+01:00", "@timestamp"),
        ("@timestamp", "2026-02-03T10:30:00.1234567Z", "@timestamp"),
        ("event/action", "field.edit", "event.action"),
        ("event/dataset", "fieldtrail.x", "event.dataset"),
        ("data_stream/dataset", "fieldtrail.other", "data_stream.dataset"),
        ("trail/raw", ["x"], "trail.raw"),
        ("trail/raw", "x", "trail.raw"),
        ("trail/sealed_fields", ["x"], "trail.sealed_fields"),
        ("trail/change", "x", "trail.change"),
        ("source", {}, "source"),
        ("source/geo", {"location": {"lat": 91, "lon": 0}}, "source.geo.location"),
    ],
)
def test_a_wrong_member_is_named_by_its_path(path, value, where):
    assert where in paths(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("labels", {"department": "x"}),
        ("trail/raw", {"any.thing": [1, {"x": None}]}),
        ("trail/sealed_fields", [{"path": "trail.change.old"}]),
        ("trail/values", {}),
        ("source/geo", {"location": {"lat": 52.5, "lon": 13}}),
        ("log", {"syslog": {"appname": "sshd", "priority": 38}}),
        ("threat", {"technique": {"id": ["T1078"]}}),
        ("event/duration", 12),
    ],
)
def test_what_fits_is_no_problem(path, value):
    assert check(changed(path, value)) == []


@pytest.mark.parametrize(
    "path",
    [
        "@timestamp", "message", "ecs/version", "event/kind", "event/action", "event/module", "event/dataset",
        "event/created", "event/id", "data_stream/type", "data_stream/namespace", "agent/name", "agent/type",
        "agent/version", "trail/schema", "trail/operation/id", "trail/operation/change_count", "trail/origin/input",
        "trail/origin/received",
    ],
)  # fmt: skip
def test_a_required_field_that_is_missing_is_named(path):
    assert Problem(path.replace("/", "."), "is missing") in check(changed(path, remove=True))


def test_a_control_leaf_needs_no_origin_but_its_kind():
    event = changed("data_stream/dataset", "fieldtrail.log")
    event["event"]["dataset"] = "fieldtrail.log"
    del event["trail"]["origin"]
    assert paths(event) == ["trail.control"]
    event["trail"]["control"] = "genesis"
    event["trail"]["log"] = {"anything": [1, None]}
    assert check(event) == []


def test_a_checkpoint_may_have_an_empty_frontier():
    event = changed("data_stream/dataset", "fieldtrail.checkpoint")
    event["event"]["dataset"] = "fieldtrail.checkpoint"
    event["trail"]["checkpoint"] = {"size": 3, "prev_size": 0, "note": "n", "leaves": "AAAA", "frontier": []}
    assert check(event) == []


@pytest.mark.parametrize(
    ("category", "kinds", "where"),
    [
        (["database"], ["deletion"], ["event.type", "event.category"]),
        (["iam"], ["change", "start"], ["event.type"]),
        (["database", "web"], ["change"], ["event.category"]),
        (["database", "api"], ["change"], []),
        (["iam"], ["admin", "user"], []),
    ],
)
def test_category_and_type_go_together_as_ecs_expects(category, kinds, where):
    event = changed("event/category", category)
    event["event"]["type"] = kinds
    assert paths(event) == where


def test_a_type_without_a_category_is_a_problem():
    assert paths(changed("event/category", remove=True)) == ["event.type"]


def test_no_problem_quotes_a_value():
    event = changed("user/id", {"secret": "hunter2"})
    event["source"]["ip"] = "hunter2"
    assert "hunter2" not in str(check(event))


@settings(max_examples=150, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["event", "trail", "user", "id", "change", "x", "@timestamp", "type", "category"]), inner, max_size=4),
    max_leaves=15,
))  # fmt: skip
def test_check_answers_for_any_json_object(value):
    problems = check(value if isinstance(value, dict) else {"trail": value})
    assert problems and all(isinstance(problem, Problem) for problem in problems)


# -- conversion


@pytest.mark.parametrize(
    ("path", "value", "converted"),
    [
        ("user.id", "7", "7"),
        ("user.id", 7, "7"),
        ("user.id", True, "true"),
        ("user.id", False, "false"),
        ("user.id", 1.5, "1.5"),
        ("user.id", "", ""),
        ("user.roles", "admin", ["admin"]),
        ("user.roles", ["admin", 7], ["admin", "7"]),
        ("trail.interface", "UI", "ui"),
        ("event.outcome", "Success", "success"),
        ("source.port", 80, 80),
        ("source.port", "80", 80),
        ("source.port", 80.0, 80),
        ("event.risk_score", "73.5", 73.5),
        ("event.risk_score", "7e1", 70),
        ("event.risk_score", 70.0, 70),
        ("source.ip", " 192.0.2.1 ", "192.0.2.1"),
        ("source.ip", "192.0.2.1:443", "192.0.2.1"),
        ("source.ip", "[2001:DB8::1]:443", "2001:db8::1"),
        ("source.ip", "[2001:db8::1]", "2001:db8::1"),
        ("source.ip", "::ffff:192.0.2.1", "192.0.2.1"),
        ("source.ip", "fe80::1%eth0", "fe80::1"),
        ("related.ip", "192.0.2.1", ["192.0.2.1"]),
        ("event.start", "2026-02-03T10:30:00+01:00", "2026-02-03T10:30:00+01:00"),
        ("trail.operation.head", "True", True),
        ("source.geo.location", {"lat": 52.5, "lon": 13.0}, {"lat": 52.5, "lon": 13}),
        ("source.geo.location", "52.5,13.4", {"lat": 52.5, "lon": 13.4}),
        ("labels.department", 5, "5"),
        ("trail.values.phone", True, "true"),
        ("message", "x", "x"),
        ("labels", {"a": "b"}, {"a": "b"}),
    ],
)
def test_a_value_becomes_what_its_field_takes(path, value, converted):
    found = converter(path)(value)
    assert found == converted and type(found) is type(converted)
    assert fits(path, value) == (True, converted)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("user.id", None),
        ("user.id", ["7"]),
        ("user.id", {"x": 1}),
        ("user.id", math.inf),
        pytest.param("user.id", 10**5000, id="a-huge-integer"),
        ("user.roles", []),
        ("user.roles", ["a", None]),
        ("user.roles", [["a"]]),
        ("event.outcome", "ok"),
        ("event.outcome", True),
        ("source.port", "80 "),
        ("source.port", "8.0"),
        ("source.port", 8.5),
        ("source.port", True),
        ("source.port", 2**53),
        ("source.port", "٣"),
        ("event.risk_score", "nan"),
        ("event.risk_score", "1e999"),
        ("event.risk_score", False),
        ("source.ip", "192.0.2.1, 192.0.2.2"),
        ("source.ip", "host.example"),
        ("source.ip", 3221225985),
        ("source.ip", "1" * 500),
        ("event.start", "2026-02-03"),
        ("event.start", "2026-02-03T10:30:60Z"),
        ("event.start", 1770114600),
        ("trail.operation.head", 1),
        ("source.geo.location", {"lat": 91, "lon": 0}),
        ("trail.values", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_a_misfit(path, value):
    assert converter(path)(value) is MISFIT
    assert fits(path, value) == (False, value)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["user.id", "user.roles", "source.ip", "source.port", "event.risk_score", "event.start", "event.outcome",
                     "trail.operation.head", "source.geo.location", "labels.x", "trail.change.old", "event.duration"]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"[0-9.:\[\]%e+-]{0,20}"),
                 lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=4),
)  # fmt: skip
def test_what_a_converter_returns_passes_the_check(path, value):
    converted = converter(path)(value)
    if converted is not MISFIT:
        event = copy.deepcopy(EVENT)
        here = event
        *groups, last = path.split(".")
        for group in groups:
            here = here.setdefault(group, {})
        here[last] = converted
        assert path not in paths(event)


@pytest.mark.parametrize("path", ["user.nmae", "user", "trail", "trail.change", "nothing", "labels.", "log.syslog", ""])
def test_a_name_that_is_no_field_is_refused(path):
    with pytest.raises(KeyError):
        converter(path)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("user.emial", "user.email"),
        ("sourceip", "source.ip"),
        ("trail.session", "trail.session.id"),
        ("trail.chnage.old", "trail.change.old"),
        ("session.id", "trail.session.id"),
        ("user", "user.id"),
    ],
)
def test_near_names_are_suggested(wrong, right):
    assert right in suggest(wrong)


def test_a_name_like_nothing_gets_no_suggestion():
    assert suggest("qqqqqqqqqqq.zzzzzzzz") == []


def test_what_the_agent_writes_itself_is_reserved():
    for path in (
        "@timestamp",
        "ecs.version",
        "agent.name",
        "data_stream.type",
        "trail.origin.path",
        "trail.raw",
        "seal.n",
        "trail.change.old",
    ):
        assert reserved(path), path
    for path in (
        "user.id",
        "source.ip",
        "trail.session.id",
        "trail.object.id",
        "event.action",
        "event.category",
        "labels.x",
    ):
        assert not reserved(path), path


def test_every_field_that_is_no_group_has_a_converter():
    groups = schema._groups()
    for name in schema.fields():
        if name not in groups:
            assert converter(name)(None) is MISFIT
