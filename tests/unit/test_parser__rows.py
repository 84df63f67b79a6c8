"""What formats of audit tables and change data capture share."""

import pytest

from parsers._contract import ABSENT, Change, Operation, Rejected
from parsers._json import Items, Number
from parsers._rows import (
    compare,
    each_row,
    from_text,
    kept_text,
    key_text,
    number_of,
    row_action,
    short_name,
)


def test_what_did_not_change_is_what_is_left():
    old = {"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2], "d": 5, "gone": 1}
    new = {"a": 1, "b": {"x": 1, "y": 3}, "c": [1, 3], "d": 6, "came": 2}
    changes, rest = compare(old, new)
    assert changes == [
        Change("b.y", 2, 3),
        Change("c[1]", 2, 3),
        Change("d", 5, 6),
        Change("came", ABSENT, 2),
        Change("gone", 1, ABSENT),
    ]
    assert rest == {"a": 1, "b": {"x": 1}, "c": {"[0]": 1}}


def test_of_a_partial_old_state_only_its_members_are_compared():
    assert compare({"id": 1}, {"id": 2, "n": 3}, old_is_whole=False) == ([Change("id", 1, 2)], {"n": 3})


def test_a_column_without_a_name_is_no_change_and_not_lost():
    assert compare({"": 1}, {"": 2}) == ([], {"": [1, 2]})


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("hr.Employee", "Employee"),
        ("Hr::Employee", "Employee"),
        ("App\\Models\\Employee", "Employee"),
        ("com.acme.Outer$Inner", "Inner"),
        ("Employee", "Employee"),
        ("...", "..."),
    ],
)
def test_the_last_name_of_a_class(label, name):
    assert short_name(label) == name


def test_only_accounts_have_actions_of_accounts():
    role = [Change("role", "a", "b")]
    assert row_action("update", "user", role) == "role.grant"
    assert row_action("update", "employee", role) == "field.update"
    assert row_action("update", None, role) == "field.update"
    assert row_action("restore", "user") == "record.restore"
    assert row_action("create", "user") == "user.create"


@pytest.mark.parametrize("nothing", [None, ABSENT, False, 0, "", [], "False", "0", "None"])
def test_a_role_that_is_nothing_now_was_revoked(nothing):
    assert row_action("update", "user", [Change("is_superuser", True, nothing)]) == "role.revoke"
    assert row_action("update", "user", [Change("is_active", True, nothing)]) == "user.disable"


def test_texts_that_name_a_secret_are_dropped_whole():
    assert kept_text("password changed by kim") == "password changed by kim"
    assert kept_text("api_key: k-1") == kept_text('"api_key" : "k"') == "(secret dropped)"
    assert from_text('{"a": 1}') == {"a": 1} and from_text("text") == "text" and from_text(5) == 5


def test_keys_of_several_columns_are_one_text():
    assert key_text({"a": 1, "b": "x"}, ["a", "b"]) == "1,x"
    assert key_text({"a": 1}, ["a", "b"]) is None and key_text({}, []) is None


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), (True, None), (Number("5"), None), ("x", None), (1.0, None)]
)
def test_whole_numbers(value, number):
    assert number_of(value) == number


def test_an_empty_list_is_refused():
    assert isinstance(each_row(Items([], {}), lambda item: [Operation(action="x", kind="y")]), Rejected)
