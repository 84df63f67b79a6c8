import json
import math

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.seal.canonical import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INT,
    MAX_MEMBERS,
    canonical,
    conform,
    conform_number,
    conform_value,
    exact,
    self_check,
    splice,
    unsplice,
)

LOG = "9f2c61d0aa01b3e7"
NONCE = "hQ3v0m4n1s9Tn0mZ8b2xRA"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer() and 1e-4 <= abs(x) < 1e16)
scalars = st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | floats | texts
conforming = st.dictionaries(
    texts.filter(lambda key: key != "seal"),
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
    ),
    max_size=5,
)
wild_text = st.text(st.characters(), max_size=12)
wild_scalars = st.none() | st.booleans() | st.integers() | st.floats() | wild_text | st.binary(max_size=4)
wild = st.dictionaries(
    wild_text,
    st.recursive(
        wild_scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(wild_text | st.integers(), inner, max_size=4)
            | st.tuples(inner)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(conforming)
def test_canonical_bytes_of_a_conforming_event_are_those_of_rfc8785(event):
    assert canonical(event) == rfc8785.dumps(event)
    assert exact(event) == rfc8785.dumps(event)
    assert conform(event) == (event, [])


@settings(max_examples=300, deadline=None)
@given(wild)
def test_any_dict_is_brought_into_the_profile(event):
    conformed, _ = conform(event)
    data = canonical(conformed)
    assert data == rfc8785.dumps(conformed) == exact(conformed)
    assert canonical(json.loads(data)) == data
    assert len(data) <= MAX_BYTES


@settings(max_examples=300, deadline=None)
@given(st.floats() | st.integers())
def test_a_number_becomes_one_that_every_printer_writes_alike(number):
    kept = conform_number(number)
    if isinstance(kept, str):
        assert not math.isfinite(number) or abs(number) > MAX_INT or abs(number) < 1e-4
    else:
        assert kept == number
        assert orjson.dumps(kept) == rfc8785.dumps(kept)


def test_the_self_check_passes_with_the_installed_orjson():
    assert self_check() == ""


def test_the_vectors_of_the_self_check_agree_with_another_library():
    from shipper.seal.canonical import _VECTORS

    for value, expected in _VECTORS:
        assert rfc8785.dumps(conform(value)[0]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, 1),
        (-0.0, 0),
        (2.0**53, "9007199254740992"),
        (MAX_INT, MAX_INT),
        (MAX_INT + 1, "9007199254740992"),
        (1e16, "1e+16"),
        (1e-6, "1e-06"),
        (0.00012, 0.00012),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_outside_the_profile_become_integers_or_text(value, expected):
    got = conform_value({"x": value})["x"]
    assert got == expected and type(got) is type(expected)


def test_an_integer_that_python_will_not_print_still_becomes_text():
    assert conform_value([10**5000])[0].startswith("0x")


def test_a_lone_surrogate_becomes_the_replacement_character_and_is_noted():
    event, notes = conform({"message": "a\ud800b", "trail": {"raw": {"k\udfff": 1}}})
    assert event["message"] == "a�b"
    assert event["trail"]["raw"] == {"k�": 1}
    assert {"path": "message", "length": 3, "why": "surrogate"} in event["trail"]["truncated"]
    assert len(notes) == 2


def test_two_foreign_keys_that_become_one_are_both_kept():
    event, _ = conform({"trail": {"raw": {"a" + half: half == "\ud800" for half in ("\ud800", "\udc00")}}})
    assert sorted(event["trail"]["raw"].values()) == [False, True]


def test_a_long_string_is_cut_on_a_character_boundary_and_the_cut_is_listed():
    event, _ = conform({"message": "é" * 20_000})
    assert len(event["message"].encode()) == 32_000
    assert event["trail"]["truncated"] == [{"path": "message", "length": 40_000}]
    event, _ = conform({"message": "€" * 20_000})
    assert len(event["message"].encode()) == 31_998


def test_a_container_that_stands_too_deep_becomes_text():
    deep = value = {}
    for _ in range(200):
        value["a"] = {}
        value = value["a"]
    data = canonical(conform(deep)[0])
    assert data.count(b'{"a":') == MAX_DEPTH
    assert json.loads(data)


def test_nesting_that_no_library_can_write_is_no_crash():
    value = []
    for _ in range(100_000):
        value = [value]
    data = canonical({"trail": {"raw": {"x": value}}})
    assert b"(nested too deep)" in data


def test_a_large_event_loses_foreign_values_first():
    event = {
        "message": "m" * 1000,
        "user": {"id": "7"},
        "trail": {"schema": 1, "raw": {f"k{i}": "v" * 100 for i in range(900)}},
    }
    event["@timestamp"] = "2026-02-03T10:30:00.000Z"
    data = canonical(event)
    assert len(data) <= MAX_BYTES
    got = json.loads(data)
    assert got["message"] == event["message"] and got["user"] == {"id": "7"}
    assert 300 < len(got["trail"]["raw"]) < 900
    assert got["trail"]["truncated"]


def test_an_event_with_too_many_members_keeps_as_many_as_fit():
    got = json.loads(canonical({"a": 1, "trail": {"values": {f"k{i}": i for i in range(5000)}}}))
    assert got["a"] == 1
    assert 500 < len(got["trail"]["values"]) <= MAX_MEMBERS


@pytest.mark.parametrize(
    "event",
    [
        {"trail": {"change": {"old": "\x00" * 32_000, "new": "\x01" * 32_000}}, "message": "x" * 32_000},
        {f"k{i}": {f"j{j}": [i] * 5 for j in range(40)} for i in range(60)},
        {"related": {"user": [f"u{i}" for i in range(30_000)]}},
        {"k" * 5000 + str(i): "v" * 900 for i in range(80)},
        {"trail": "no object", "x": "y" * 70_000},
        {"trail": {"truncated": [{"path": "p" * 9_000}] * 30}, "x": "\x00" * 30_000, "y": ["z" * 30_000]},
        {"l": [[[["x" * 100] * 40] * 40]]},
    ],
)
def test_an_event_that_is_too_large_anywhere_still_becomes_an_event(event):
    event = {"@timestamp": "2026-02-03T10:30:00.000Z", **event}
    data = canonical(event)
    assert len(data) <= MAX_BYTES
    got = json.loads(data)
    assert got["@timestamp"] == event["@timestamp"]
    assert data == rfc8785.dumps(got)
    assert got["trail"]["truncated"]


def test_a_member_named_seal_at_the_root_is_dropped_and_noted():
    got = json.loads(canonical({"seal": {"i": 1}, "a": 1}))
    assert "seal" not in got
    assert got["trail"]["truncated"] == [{"path": "seal", "length": 0, "why": "dropped"}]


def test_astral_keys_are_sorted_by_utf16_units():
    event = {"\U0001f600": 1, "\uffee": 2}
    assert canonical(event) == rfc8785.dumps(event)
    assert canonical(event) != orjson.dumps(event, option=orjson.OPT_SORT_KEYS)


def test_a_value_that_is_clean_is_not_copied():
    value = {"a": ["b", 1, None, True, 0.5, {"c": "é"}]}
    assert conform_value(value) is value


@pytest.mark.parametrize("value", [{"a": 2**53}, {"a": "\ud800"}, {"a": 1e300}, {"a": object()}, {"a": math.nan}])
def test_the_exact_serializer_refuses_what_we_would_never_have_written(value):
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        exact(value)


def test_the_exact_serializer_writes_an_integral_float_as_an_integer():
    assert exact({"a": 5.0}) == b'{"a":5}'


@settings(max_examples=100, deadline=None)
@given(conforming, st.integers(0, MAX_INT), st.binary(min_size=16, max_size=16))
def test_unsplice_takes_off_exactly_what_splice_put_on(event, i, nonce):
    from base64 import urlsafe_b64encode

    body = canonical(event)
    data = splice(body, i, LOG, urlsafe_b64encode(nonce).decode().rstrip("="))
    assert unsplice(data) == (body, i, LOG, nonce)
    assert list(json.loads(data))[-1] == "seal"


GOOD = splice(b'{"a":1}', 5, LOG, NONCE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        GOOD[:-1],
        GOOD + b" ",
        GOOD + b"\n",
        GOOD.replace(b'"i":5', b'"i":05'),
        GOOD.replace(b'"i":5', b'"i":-5'),
        GOOD.replace(b'"i":5', b'"i":5.0'),
        GOOD.replace(b'"i":5', b'"i":"5"'),
        GOOD.replace(b'"i":5', b'"i":99999999999999999'),
        GOOD.replace(b'"i":5,', b'"i":5,"x":1,'),
        GOOD.replace(LOG.encode(), LOG.upper().encode()),
        GOOD.replace(LOG.encode(), LOG[:-1].encode()),
        GOOD.replace(b"xRA", b"xRB"),
        GOOD.replace(b"xRA", b"xR="),
        GOOD.replace(b"xRA", b"xRAA"),
        GOOD.replace(b"xRA", b"xR+"),
        GOOD.replace(b',"seal"', b', "seal"'),
        GOOD.replace(b',"seal"', b'"seal"'),
        b'{"seal":{"i":5}}',
        b'x"seal":{"i":5,"log":"9f2c61d0aa01b3e7","n":"hQ3v0m4n1s9Tn0mZ8b2xRA"}}',
    ],
)
def test_unsplice_accepts_no_other_spelling(data):
    assert unsplice(data) is None
