"""What the formats of webhooks that send whole records share."""

import pytest

from parsers._contract import UNKNOWN, Change
from parsers._snapshots import flat, full_name, named_only, split_custom_fields


def test_objects_become_dotted_names_and_arrays_stay():
    assert flat({"a": {"b": {"c": 1}}, "d": [{"e": 2}], "f": {}, "g": None}) == {
        "a.b.c": 1,
        "d": [{"e": 2}],
        "f": {},
        "g": None,
    }


def test_a_dotted_name_that_comes_again_loses_nothing():
    assert flat({"a.b": 1, "a": {"b": 2}}) == {"a.b": 1, "a.b#2": 2}


def test_very_deep_objects_stay_objects():
    deep = {"x": 1}
    for _ in range(60):
        deep = {"a": deep}
    (name,) = flat(deep)
    assert name == ".".join("a" * 7)


def test_custom_fields_of_both_shapes_become_bare_values():
    body = {
        "custom_fields": {"salary": {"name": "Salary", "value": 7}, "flat": 1},
        "offer": {"customFields": [{"id": "1", "title": "Bonus", "value": 8}]},
    }
    rest = split_custom_fields(body)
    assert body == {"custom_fields": {"salary": 7, "flat": 1}, "offer": {"customFields": {"Bonus": 8}}}
    assert rest == {"custom_fields": {"salary": {"name": "Salary"}}, "offer": {"customFields": [{"id": "1"}]}}


def test_names_alone_are_changes_without_values():
    changes, rest = named_only(["a", "b", "a"])
    assert changes == [Change(name, UNKNOWN, UNKNOWN, derivation="new_only") for name in ("a", "b")]
    assert rest == []


@pytest.mark.parametrize(("names", "rest"), [(["a", 1], ["a", 1]), ("a", ["a"]), ([""], [""]), (None, [None])])
def test_a_list_that_holds_anything_but_names_is_given_back(names, rest):
    assert named_only(names) == ([], rest)


@pytest.mark.parametrize(
    ("first", "last", "name"), [("Kim", "Quill", "Kim Quill"), ("Kim", None, "Kim"), (1, " ", None), (None, None, None)]
)
def test_first_and_last_name_make_a_full_name(first, last, name):
    assert full_name(first, last) == name
