"""The shared JSON helpers of the parsers: exact decoding, and taking members out without losing any."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import _json
from parsers._contract import ABSENT, UNKNOWN, Change, Operation, Rejected, Time
from parsers._json import Number
from tests.parser_checks import JSON_VALUES


def reason(record):
    result = _json.decode(record)
    assert isinstance(result, Rejected)
    return result.reason


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993",
        "-9007199254740993",
        "12345678901234567890",
        "123456789012345678901234567890",
        "1.10",
        "90000.00",
        "1e5",
        "0.00001",
        "0.1234567890123456789",
        "-0",
        "9" * 300,
    ],
)
@pytest.mark.parametrize("frame", ["{}", '{{"a":{}}}', '{{"a": {} }}', "[1,\n{}]"])
def test_a_number_that_python_would_print_otherwise_keeps_its_characters(text, frame):
    value = _json.decode(frame.format(text).encode())
    while not isinstance(value, str):
        value = value[-1] if isinstance(value, list) else value["a"]
    assert isinstance(value, Number)
    assert value == text


@pytest.mark.parametrize("text", ["0", "-1", "9007199254740991", "1.5", "90000.0", "-0.25", "0.0001", "1234567890.125"])
def test_a_number_that_python_prints_alike_stays_a_number(text):
    value = _json.decode(b'{"a":' + text.encode() + b',"b":1e1}')["a"]
    assert type(value) in {int, float}
    assert str(value) == text


def test_digits_inside_strings_stay_strings():
    value = _json.decode(b'{"a":"1.10","b":",12345678901234567890","c":"x:1e5"}')
    assert value == {"a": "1.10", "b": ",12345678901234567890", "c": "x:1e5"}
    assert all(type(text) is str for text in value.values())


def test_of_members_with_one_name_the_last_wins_on_both_paths():
    assert _json.decode(b'{"a":1,"a":2}') == {"a": 2}
    assert _json.decode(b'{"a":1.10,"a":2.20}') == {"a": "2.20"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"", "empty record"),
        (b"  \r", "empty record"),
        (b'\xef\xbb\xbf{"a":1}', "begins with a byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\\ud800"}', "a lone surrogate, or a number beyond the range of a double"),
        (b'{"a":1E400}', "a lone surrogate, or a number beyond the range of a double"),
        (b'{"a":' + b"9" * 5000 + b"}", "a lone surrogate, or a number beyond the range of a double"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":Infinity}', "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":"secret\x01"}', "not JSON"),
    ],
)
def test_what_is_no_json_is_rejected_without_its_values(record, expected):
    assert reason(record) == expected


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_accepted_to_64_levels_and_not_beyond(opening, closing):
    assert not isinstance(_json.decode(opening * 64 + b"1" + closing * 64), Rejected)
    assert reason(opening * 65 + b"1" + closing * 65) == "nested deeper than 64 levels"
    assert reason(opening * 3000 + b'"secret"' + closing * 3000) == "nested deeper than 64 levels"


def test_many_brackets_side_by_side_are_not_deep():
    assert len(_json.decode(b"[" + b",".join([b"{}"] * 500) + b"]")) == 500


def test_a_record_beyond_the_size_limit_is_rejected(monkeypatch):
    monkeypatch.setattr(_json, "MAX_BYTES", 10)
    assert reason(b'{"abcdefgh":1}') == "longer than 10 bytes"


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES)
def test_every_json_value_is_decoded_to_what_it_was(value):
    text = json.dumps(value)
    decoded = _json.decode(text.encode())

    def printed(item):
        if isinstance(item, Number):
            return str(item)
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(name)}: {printed(member)}" for name, member in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(map(printed, item)) + "]"
        return json.dumps(item)

    if not isinstance(decoded, Rejected):
        assert printed(decoded) == text
    else:
        # Only lone surrogates are JSON that is refused here.
        assert any(0xD800 <= ord(character) < 0xE000 for character in json.dumps(value, ensure_ascii=False))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_decoding_any_bytes_raises_nothing(record):
    _json.decode(record)


def test_unwrap_finds_records_in_objects_arrays_and_wrappers():
    assert _json.unwrap({"a": 1}, "rows").items == [{"a": 1}]
    assert _json.unwrap([{"a": 1}, {"b": 2}], "rows").items == [{"a": 1}, {"b": 2}]
    found = _json.unwrap({"rows": [{"a": 1}], "next": 7}, "rows")
    assert found == ([{"a": 1}], {"next": 7})
    assert _json.unwrap({"row": {"a": 1}}, "rows", "row").items == [{"a": 1}]
    assert _json.unwrap({"rows": [], "next": None}, "rows") == ([], {"next": None})


@pytest.mark.parametrize("value", [None, 1, "x", [], [{"a": 1}, 2], {"rows": [[]]}])
def test_unwrap_rejects_what_holds_no_objects(value):
    assert isinstance(_json.unwrap(value, "rows"), Rejected)


def test_one_record_that_is_not_understood_refuses_the_line_and_is_named():
    def refuse_b(item):
        return Rejected("no a") if "a" not in item else [Operation("log.message", "x", raw=item)]

    assert _json.each(_json.unwrap([{"a": 1}, {"b": 2}]), refuse_b) == Rejected("item 1: no a")
    assert _json.each(_json.unwrap({"b": 2}), refuse_b) == Rejected("no a")
    assert _json.each(Rejected("not JSON"), refuse_b) == Rejected("not JSON")
    operations = _json.each(_json.unwrap({"rows": [{"a": 1}, {"a": 2}], "next": 7}, "rows"), refuse_b)
    assert [op.raw for op in operations] == [{"a": 1, "@envelope": {"next": 7}}, {"a": 2}]


def test_take_pops_the_member_and_the_parents_that_it_empties():
    source = {"a": {"b": {"c": 1}}, "d": {"e": 1, "f": 2}, "g": {}}
    assert _json.take(source, "a", "b", "c") == 1
    assert _json.take(source, "d", "e") == 1
    assert _json.take(source, "g", "h") is ABSENT
    assert _json.take(source, "d", "f", "x") is ABSENT
    assert source == {"d": {"f": 2}, "g": {}}


def test_take_text_takes_names_and_ids_and_leaves_the_rest():
    source = {"a": 7, "b": "x", "c": True, "d": None, "e": " ", "f": [1], "g": Number("1.10"), "h": 1.5}
    taken = {name: _json.take_text(source, name) for name in list(source)}
    assert taken == {"a": "7", "b": "x", "c": None, "d": None, "e": None, "f": None, "g": "1.10", "h": "1.5"}
    assert type(taken["g"]) is str
    assert source == {"c": True, "d": None, "e": " ", "f": [1]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T17:04:05Z", Time("2026-03-01T17:04:05Z", "iso8601")),
        (1700000000, Time(1700000000, "epoch_s")),
        (1700000000.5, Time(1700000000.5, "epoch_s")),
        (1700000000000, Time(1700000000000, "epoch_ms")),
        ("1700000000000", Time(1700000000000, "epoch_ms")),
        (1700000000000000, Time(1700000000000000, "epoch_us")),
        (Number("1700000000.50"), Time(1700000000.5, "epoch_s")),
        (Number("1e999"), Time("1e999")),
        ("yesterday", Time("yesterday")),
        ("9" * 30, Time("9" * 30)),
    ],
)
def test_take_time_reads_text_and_epochs_by_their_size(value, expected):
    source = {"t": value}
    time = _json.take_time(source, "t")
    assert time == expected
    assert isinstance(time.text, str) or math.isfinite(time.text)
    assert source == {}


@pytest.mark.parametrize("value", [None, True, "", [], {}])
def test_take_time_leaves_what_is_no_time(value):
    source = {"t": value}
    assert _json.take_time(source, "t") is None
    assert source == {"t": value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.9", "198.51.100.9"),
        (" 198.51.100.9 ", "198.51.100.9"),
        ("198.51.100.9:443", "198.51.100.9"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1", None),
        ("198.51.100.9:port", None),
        ("[2001:db8::1]443", None),
        ("[2001:db8::1", None),
        ("host.example", None),
        ("host.example:80", None),
        ("999.1.1.1", None),
        (":", None),
        ("", None),
        ("1" * 1000, None),
    ],
)
def test_clean_ip_finds_the_address_or_none(text, expected):
    assert _json.clean_ip(text) == expected


def test_take_ip_keeps_the_text_where_it_says_more_than_the_address():
    source = {"a": "198.51.100.9", "b": "198.51.100.9:443", "c": "nowhere", "d": 7}
    assert [_json.take_ip(source, name) for name in "abcd"] == ["198.51.100.9", "198.51.100.9", None, None]
    assert source == {"b": "198.51.100.9:443", "c": "nowhere", "d": 7}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1, True], [1, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ([1, 2], [2, 1], False),
        (None, ABSENT, False),
        (Number("1.10"), Number("1.10"), True),
        (Number("1.10"), "1.10", False),
        ("", None, False),
        (UNKNOWN, UNKNOWN, False),
        (ABSENT, ABSENT, True),
    ],
)
def test_values_are_compared_as_json(left, right, expected):
    assert _json.same(left, right) is expected
    assert _json.same(right, left) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("JobPost", "job_post"),
        ("jobPost", "job_post"),
        ("Offer", "offer"),
        ("Offer::Draft", "offer_draft"),
        ("APIKey", "api_key"),
        ("contact_group", "contact_group"),
        ("日本", "日本"),
        ("", ""),
        ("A" * 300, "a" * 300),
    ],
)
def test_type_names_become_lower_snake_case(name, expected):
    assert _json.snake(name) == expected


def test_a_login_that_tells_of_equal_values_is_still_a_login():
    def one(item):
        return [Operation(item["do"], "audit", changes=[Change("state", "a", "a")])]

    marks = [
        op.no_change
        for op in _json.each(_json.read(b'[{"do":"field.update"},{"do":"auth.login"},{"do":"data.export"}]'), one)
    ]
    assert marks == [True, False, False]
