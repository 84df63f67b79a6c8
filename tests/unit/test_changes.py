"""One change as `trail.change`: states, texts, numbers, and when nothing changed at all."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers._contract import ABSENT, UNKNOWN, Change
from parsers._json import Number, decode
from shipper.changes import document, is_quantity, same, state_of, text_of

NUMBERS = {"old_number", "new_number", "delta", "delta_pct"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def shape(old, new, field="amount", **more):
    return document(Change(field, old, new, **more), 0)


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (None, "null"),
        ("", "empty"),
        (ABSENT, "absent"),
        (UNKNOWN, "unknown"),
        (0, "value"),
        (False, "value"),
        ([], "value"),
        ("x", "value"),
    ],
)
def test_a_value_has_one_of_five_states(value, state):
    assert state_of(value) == state
    assert shape(value, "y")["old_state"] == state
    assert shape("y", value)["new_state"] == state
    assert ("old" in shape(value, "y")) == (state in {"value", "empty"})


@pytest.mark.parametrize(
    ("old", "new", "op"),
    [
        (None, 1, "add"), (ABSENT, 1, "add"), (1, None, "remove"), (1, ABSENT, "remove"), (1, 2, "update"), ("", 1, "update"),
        (UNKNOWN, 1, "update"), (1, UNKNOWN, "update"), (UNKNOWN, None, "remove"), (None, "", "add"),
    ],
)  # fmt: skip
def test_add_and_remove_are_said_by_null_or_absent_sides(old, new, op):
    assert shape(old, new)["op"] == op


def test_values_become_text_as_the_source_wrote_them():
    numbers = decode(b'{"a":1.10,"b":12345678901234567890,"c":1e300,"d":[1.10,{"z":1,"a":2}],"e":true}')
    assert text_of(numbers["a"]) == "1.10"
    assert text_of(numbers["b"]) == "12345678901234567890"
    assert text_of(numbers["c"]) == "1e300"
    assert text_of(numbers["d"]) == '[1.10,{"a":2,"z":1}]'
    assert text_of(numbers["e"]) == "true"
    assert type(text_of(numbers["a"])) is str


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1.0),
        ([1], [1.0]),
        (Number("1.10"), 1.1),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (None, None),
        (Number("1e3"), 1000),
    ],
)
def test_equal_json_values_are_no_change(old, new):
    assert same(old, new) and same(new, old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, True), (0, False), ("1", 1), (Number("1"), "1"), ([1], [True]), ({"a": 1}, {"a": True}), ([1, 2], [2, 1]), (None, ""),
        (None, ABSENT), (UNKNOWN, UNKNOWN), (UNKNOWN, None), (Number("12345678901234567890"), Number("12345678901234567891")),
        ({"a": 1}, {"a": 1, "b": None}),
    ],
)  # fmt: skip
def test_different_json_values_are_a_change(old, new):
    assert not same(old, new) and not same(new, old)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_value_is_the_same_as_itself_read_again(value):
    assert same(value, json.loads(json.dumps(value)))


@settings(max_examples=100, deadline=None)
@given(JSON, JSON)
def test_any_two_values_make_a_shape_whose_texts_are_texts(old, new):
    made = shape(old, new)
    for name in ("old", "new"):
        assert type(made.get(name, "")) is str
    for name in NUMBERS & made.keys():
        assert math.isfinite(made[name]) and "e" not in repr(made[name])
    assert same(old, new) == same(new, old)


def test_a_difference_is_exact_and_its_share_is_rounded():
    made = shape(90000, 120000)
    assert (made["old_number"], made["new_number"], made["delta"], made["delta_pct"]) == (90000, 120000, 30000, 33.33)
    made = shape("0.1", "0.3")
    assert made["delta"] == 0.2
    assert made["delta_pct"] == 200
    assert shape(-50, 50)["delta_pct"] == 200


def test_there_is_no_share_of_zero():
    made = shape(0, 5)
    assert made["delta"] == 5 and "delta_pct" not in made
    assert shape("0.0", "1.5").keys().isdisjoint({"delta_pct"})


@pytest.mark.parametrize(
    "field",
    ["id", "owner_id", "ownerId", "stage", "pipelineStageId", "pipeline_stage", "status", "owner", "tag", "tags", "phone", "zipCode",
     "postal_code", "account_number", "assigned_to", "assignedTo", "reportsTo", "userIDs", "SSN", "lead_source", "Stage"],
)  # fmt: skip
def test_digits_that_name_something_are_no_quantity(field):
    made = shape("4", "6", field)
    assert not NUMBERS & made.keys()
    assert made["value_type"] == "string"
    assert not NUMBERS & shape(4, 6, field).keys()


@pytest.mark.parametrize(
    "field", ["salary", "monetaryValue", "children_count", "stages_total", "number_of_children", "interval", "", "x2"]
)
def test_digits_of_other_fields_are_quantities(field):
    assert is_quantity(field)
    assert shape("4", "6", field)["delta"] == 2


@pytest.mark.parametrize(
    ("old", "new"), [("1e3", "2"), ("12345678901234567890", "1"), ("01", "2"), ("1", "x"), ("٣", "4"), (True, False)]
)
def test_what_reads_as_no_plain_number_is_not_counted_with(old, new):
    assert not NUMBERS & shape(old, new).keys()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "string"), ("5", "number"), (5, "number"), (5.5, "number"), (Number("1e300"), "number"), (True, "boolean"), ([1], "list"),
        ({"a": 1}, "object"), ("2026-05-01", "date"), ("2026-05-01T10:00:00+02:00", "date"), ("2026", "number"), ("-", "string"),
    ],
)  # fmt: skip
def test_the_type_is_that_of_the_new_value(value, kind):
    assert shape("old", value)["value_type"] == kind
    assert shape(value, None)["value_type"] == kind
    assert shape(value, "")["value_type"] == kind


def test_where_no_value_is_known_there_is_no_type():
    assert "value_type" not in shape(UNKNOWN, UNKNOWN)
    assert "value_type" not in shape(None, ABSENT)


def test_labels_and_bounds_are_taken_over():
    made = shape(
        "1",
        "2",
        label="Stage",
        old_label="New",
        new_label="Won",
        derivation="snapshot_diff",
        changed_after="a",
        changed_before="b",
    )
    assert (made["label"], made["old_label"], made["new_label"]) == ("Stage", "New", "Won")
    assert (made["derivation"], made["changed_after"], made["changed_before"]) == ("snapshot_diff", "a", "b")
