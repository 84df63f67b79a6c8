"""What a user's own format decodes: pairs, rows, patterns, and patterns that run away."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import Rejected
from shipper.config import FormatSection
from shipper.decoders import MATCH_SECONDS, decoder, names_of


def decode(text, **section):
    return decoder(FormatSection(**section))(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("text", "more", "found"),
    [
        ('user=kim ip=192.0.2.7 note="was \\"open\\""', {}, {"user": "kim", "ip": "192.0.2.7", "note": 'was "open"'}),
        ("hello user=kim", {}, {"user": "kim", "message": "hello"}),
        ("a=1 a=2 a=3", {}, {"a": ["1", "2", "3"]}),
        ("a:1|b: x y |c", {"separator": "|", "assign": ":"}, {"a": "1", "b": "x y", "message": "c"}),
        ('a="1|2"|b=3', {"separator": "|"}, {"a": "1|2", "b": "3"}),
        ('a="1|b=2', {"separator": "|"}, {"a": '"1', "b": "2"}),
        ('a="x \\"q\\" y";b=2', {"separator": ";"}, {"a": 'x "q" y', "b": "2"}),
        ("a:=1, b:=2", {"separator": ", ", "assign": ":="}, {"a": "1", "b": "2"}),
        ("a=1;a=2;a=3", {"separator": ";"}, {"a": ["1", "2", "3"]}),
    ],
)
def test_pairs_are_read(text, more, found):
    assert decode(text, decode="kv", **more) == found


def test_a_line_without_a_pair_is_refused():
    assert decode("hello", decode="kv") == Rejected("no pair such as name=value")


def test_csv_takes_the_header_or_the_columns_of_the_configuration():
    assert decode('a;b\n1;"2;\n3"', decode="csv") == {"a": "1", "b": "2;\n3"}
    assert decode("1\t2", decode="csv", columns=("a", "b"), separator="\t") == {"a": "1", "b": "2"}
    assert decode("1,2,3", decode="csv", columns=("a", "b")) == Rejected("a CSV row of 3 fields, not 2")


def test_patterns_are_tried_in_order_and_groups_that_took_no_part_are_left_out():
    section = {"decode": "regex", "patterns": (r"login (?P<user>\w+)(?: from (?P<ip>\S+))?$", r"(?P<rest>.+)")}
    assert decode("login kim", **section) == {"user": "kim"}
    assert decode("login kim from 192.0.2.7", **section) == {"user": "kim", "ip": "192.0.2.7"}
    assert decode("else", **section) == {"rest": "else"}
    assert decode("", **section) == Rejected("no pattern matches")


def test_grok_gives_numbers_where_they_were_asked_for():
    section = {"decode": "grok", "patterns": ("%{INT:a:int} %{NUMBER:b:float} %{INT:c}",)}
    assert decode("7 1.5 9", **section) == {"a": 7, "b": 1.5, "c": "9"}
    # The characters of the source stay where a number would change them.
    assert decode("007 1.50 9", **section) == {"a": "007", "b": "1.50", "c": "9"}


def test_the_names_of_a_format_are_those_of_all_its_patterns():
    section = FormatSection(decode="grok", patterns=("%{WORD:a} (?P<b>x)", "%{WORD:a} %{WORD:c.d}"))
    assert names_of(section) == ["a", "b", "a", "c.d"]


@pytest.mark.parametrize("pattern", [r"^(a|aa|a*)*$", r"^(a+)+$", r"^(\w+\s?)*$"])
def test_a_pattern_that_runs_away_is_stopped_and_the_line_says_so(pattern):
    read = decoder(FormatSection(decode="regex", patterns=(pattern,)))
    start = time.perf_counter()
    found = read(b"a" * 5000 + b"!" * 3 + b"a" * 30 + b"\x01")
    assert time.perf_counter() - start < 20 * MATCH_SECONDS
    assert isinstance(found, Rejected)


def test_a_pattern_is_not_tried_on_a_monstrous_record():
    found = decode(b"a" * 300_000, decode="regex", patterns=("(?P<x>a)",))
    assert isinstance(found, Rejected) and "longer than" in found.reason


@given(st.binary(max_size=200), st.sampled_from([{}, {"separator": "|"}, {"separator": ";", "assign": ":"}]))
def test_no_bytes_make_pairs_raise(data, more):
    found = decode(data, decode="kv", **more)
    assert isinstance(found, dict | Rejected)
