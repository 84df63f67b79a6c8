"""Lists of names and values, and what else the JSON of APIs asks for."""

import pytest

from parsers._contract import Rejected
from parsers._pairs import ODD, drop_equal, inner_json, named, named_properties, take_point


def test_a_list_of_pairs_becomes_an_object_and_keeps_what_is_no_pair():
    entries = [{"Name": "A", "Value": 1}, {"Name": "B"}, {"Name": "A", "Value": 2}, {"Name": "C", "X": 1}, "odd", {}]
    assert named(entries) == {"A": 1, "B": None, ODD: [{"Name": "A", "Value": 2}, {"Name": "C", "X": 1}, "odd", {}]}


def test_custom_fields_are_found_by_their_names():
    fields = [{"id": 7, "content": "x"}, {"key": "pay", "value": None}]
    assert named_properties({"custom_fields": fields}, ("custom_fields",)) == {
        "custom_fields.7": "x",
        "custom_fields.pay": None,
    }
    twice = {"custom_fields": [*fields, fields[0]]}
    assert named_properties(dict(twice), ("custom_fields",)) == twice


def test_a_place_needs_two_numbers_in_range():
    source = {"geo": {"lat": 45.5, "lon": 4}}
    assert take_point(source, ("geo",), "lat", "lon") == {"lat": 45.5, "lon": 4} and source == {}
    for lat, lon in ((91, 0), ("45", 4), (True, 4), (None, None)):
        source = {"geo": {"lat": lat, "lon": lon}}
        assert take_point(source, ("geo",), "lat", "lon") is None and source["geo"] == {"lat": lat, "lon": lon}


def test_what_is_known_already_is_dropped_and_nothing_else():
    holder = {"a": "x", "b": 7, "c": None, "d": "y"}
    for name in ("a", "b", "c", "d", "e"):
        drop_equal(holder, name, "x", "7", None)
    assert holder == {"c": None, "d": "y"}


@pytest.mark.parametrize("text", ["", "[1]", "{broken", None, 7, "\ud800"])
def test_json_in_a_text_must_be_an_object(text):
    assert isinstance(inner_json(text), Rejected)
