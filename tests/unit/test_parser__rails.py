"""Columns of Rails' audit tables: JSON, and the little YAML that is read without a YAML library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers._json import Number
from parsers._rails import columns


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Steve", "Steve"),
        ("90000", 90000),
        ("-1.5", -1.5),
        ("90000.50", Number("90000.50")),
        ("12345678901234567890", Number("12345678901234567890")),
        ("007", "007"),
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("[]", []),
        ("{}", {}),
        ("''", ""),
        ("'it''s: #1'", "it's: #1"),
        ('"two\\nlines \\u00e9"', "two\nlines é"),
        ("2026-02-03 10:30:00.000000000 Z", "2026-02-03 10:30:00.000000000 Z"),
        (":symbol", ":symbol"),
    ],
)
def test_scalars_are_read(text, value):
    assert columns(f"---\na: {text}\nb:\n- {text}\n- x\n") == ({"a": value, "b": [value, "x"]}, None)


@pytest.mark.parametrize(
    "text",
    [
        "&a x",
        "*a",
        "!ruby/object:X y",
        "|-",
        "> x",
        "[1, 2]",
        "{a: 1}",
        "a: b",
        "a #b",
        "@x",
        "'open",
        '"\\x41"',
        "- - x",
        "%x",
    ],
)
def test_what_is_more_than_a_scalar_is_kept_as_text(text):
    found, left = columns(f"---\na: {text}\nb: 1\n")
    assert (found, left) == ({"b": 1}, {"a": text})


@pytest.mark.parametrize(
    "text",
    [
        "--- x",
        "---\n- a\n- b\n",
        "---\na: 1\na: 2\n",
        "---\na: 1\n...\n",
        "---\n? a\n: b\n",
        "--- !ruby/object:X\na: 1\n",
        "---\n<<: *x\n",
    ],
)
def test_a_document_of_another_shape_is_kept_whole(text):
    assert columns(text) == ({}, text)


@pytest.mark.parametrize("text", ["---", "--- {}\n", "--- []\n"])
def test_an_empty_document_has_no_members(text):
    assert columns(text) == ({}, None)


def test_a_hash_with_indifferent_access_is_a_hash():
    assert columns("--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\na: 1\n") == ({"a": 1}, None)


def test_a_text_that_names_a_secret_is_dropped_whole():
    assert columns("--- !ruby/object:X\napi_key: k\n") == ({}, "(secret dropped)")
    assert columns("---\nc: !x\n  password: p\n") == ({}, {"c": "(secret dropped)"})
    assert columns('{"password": "p", cut') == ({}, "(secret dropped)")


@pytest.mark.parametrize("value", [None, 5, [1], "plain", "5"])
def test_what_is_no_column_of_attributes_is_kept(value):
    assert columns(value) == ({}, value)


@given(st.text(alphabet="abc:- \n'\"\\!&*|[]{}#~0.", max_size=60))
def test_any_text_is_a_value(text):
    found, left = columns("---\n" + text)
    assert isinstance(found, dict) and (left is None or isinstance(left, dict | str))
