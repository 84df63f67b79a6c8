"""Lists of names and values, and the secrets in them, in nested values and in URLs."""

import pytest

from parsers._contract import SECRET, Change, Operation, Rejected
from parsers._pairs import ODD, clean_url, drop_equal, inner_json, named, take_point, tidy


def test_a_list_of_pairs_becomes_an_object_and_keeps_what_is_no_pair():
    entries = [{"Name": "A", "Value": 1}, {"Name": "B"}, {"Name": "A", "Value": 2}, {"Name": "C", "X": 1}, "odd", {}]
    assert named(entries) == {"A": 1, "B": None, ODD: [{"Name": "A", "Value": 2}, {"Name": "C", "X": 1}, "odd", {}]}


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("/a?token=abc&x=1", "/a?token=(secret dropped)&x=1"),
        ("/cb?code=1#id_token=2", "/cb?code=(secret dropped)#id_token=(secret dropped)"),
        ("https://kim:pw@co.example/a", "https://kim:(secret dropped)@co.example/a"),
        ("/sso?SAMLRequest=fZJ&RelayState=home", "/sso?SAMLRequest=(secret dropped)&RelayState=home"),
        ("/a?page=2&sort=name", "/a?page=2&sort=name"),
        ("", ""),
    ],
)
def test_urls_lose_the_values_of_telling_parameters(url, clean):
    assert clean_url(url) == clean


def test_secrets_in_pairs_and_deep_in_values_are_dropped():
    op = Operation(
        action="config.update",
        kind="x",
        raw={"list": [{"Name": "Password", "Value": "p"}, {"key": "size", "value": "5"}], "deep": {"apiKey": "k"}},
        values={"options": {"a": [{"clientSecret": "s", "n": 1}]}, "SecretString": "t"},
        changes=[Change("conf", {"password": "a"}, {"password": None, "size": 1}), Change("SecretString", None, "x")],
    )
    tidy(op, frozenset({"secretstring"}))
    assert op.raw == {
        "list": [{"Name": "Password", "Value": "(secret dropped)"}, {"key": "size", "value": "5"}],
        "deep": {"apiKey": "(secret dropped)"},
    }
    assert op.values == {
        "options": {"a": [{"clientSecret": "(secret dropped)", "n": 1}]},
        "SecretString": "(secret dropped)",
    }
    assert op.changes[0].old == {"password": "(secret dropped)"} and op.changes[0].new == {"password": None, "size": 1}
    assert op.changes[1] == Change("SecretString", None, SECRET)


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
