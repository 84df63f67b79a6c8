"""Two states of a record compared, and JSON that hides in texts."""

import pytest
from hypothesis import given

from parsers._contract import ABSENT, Change
from parsers._json import Number, same
from parsers._values import diff, unwrap_json
from tests.parser_checks import JSON_VALUES


def pairs(*arguments, **options):
    return [(one.field, one.old, one.new) for one in diff(*arguments, **options)]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": None}, {"a": 1}, [("a", None, 1)]),
        ({}, {"a": None}, [("a", ABSENT, None)]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 2, "d": 2}}}, [("a.b.c", 1, 2)]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [("a.c", ABSENT, 1), ("a.b", 1, ABSENT)]),
        ({"a": [{"v": 1}, {"v": 2}]}, {"a": [{"v": 1}, {"v": 3}]}, [("a[1].v", 2, 3)]),
        ({"a": [1, 2]}, {"a": [1]}, [("a[1]", 2, ABSENT)]),
        ({"a": [1]}, {"a": {"b": 1}}, [("a", [1], {"b": 1})]),
        ({"b": 1, "a": 2}, {"a": 3, "c": 4}, [("a", 2, 3), ("c", ABSENT, 4), ("b", 1, ABSENT)]),
    ],
)
def test_only_what_differs_is_told_by_its_path(old, new, found):
    assert pairs(old, new) == found


def test_tags_are_compared_as_sets_and_change_as_a_whole():
    assert pairs({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, sets=("tags",)) == []
    assert pairs({"x": {"tags": ["a"]}}, {"x": {"tags": ["b", "a"]}}, sets=("tags",)) == [("x.tags", ["a"], ["b", "a"])]


def test_members_can_be_left_out_and_an_old_state_may_be_partial():
    assert pairs({"a": 1, "updated": 1}, {"a": 2, "updated": 2}, skip=("updated",)) == [("a", 1, 2)]
    assert pairs({"a": 1}, {"a": 2, "b": 3}, old_is_whole=False) == [("a", 1, 2)]
    assert diff({"a": 1}, {"a": 2}, derivation="reconstructed") == [Change("a", 1, 2, derivation="reconstructed")]


@given(JSON_VALUES, JSON_VALUES)
def test_nothing_differs_in_equal_states_and_something_in_others(left, right):
    assert diff({"x": left}, {"x": left}) == []
    assert bool(diff({"x": left}, {"x": right})) == (not same(left, right))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"KeyDescription"', "KeyDescription"),
        ('["a","b"]', ["a", "b"]),
        ("true", True),
        ("null", None),
        ("1.10", Number("1.10")),
        ("plain", "plain"),
        ("", ""),
        ('"unclosed', '"unclosed'),
        (7, 7),
        ("\ud800", "\ud800"),
    ],
)
def test_json_in_a_text_is_read_and_other_texts_stay(text, value):
    found = unwrap_json(text)
    assert found == value and type(found) is type(value)
