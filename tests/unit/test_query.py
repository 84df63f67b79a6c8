import fnmatch
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mappings
from shipper.errors import UsageError
from shipper.outputs._match import FLAT_OBJECTS, Glob, split_wildcards
from shipper.outputs._query import COLUMNS, DATE_FIELDS, compile_query, quote
from shipper.outputs._query_string import query_string
from shipper.outputs._when import Span, instant, parse_span
from shipper.schema import fields
from shipper.templates import mapping
from tests.shipped import change

NOW = instant("2026-02-10T12:00:00Z") / 1_000_000  # type: ignore[operator]


def found(query, **paths):
    return compile_query(query, NOW).matches(change(**paths))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "*",
        "*:*",
        "user.name:kim@co.example",
        'user.name:"kim@co.example"',
        "event.category:database",
        "trail.object.key:greenhouse*",
        'trail.object.key:"greenhouse:offer/55"',
        r"trail.object.key:greenhouse\:offer/55",
        "trail.object.key:*offer?55",
        "user.name:(nobody OR kim*)",
        "event.action:field.update AND NOT user.name:root",
        "event.action:field.update -user.name:root +event.module:greenhouse",
        "(user.name:root OR user.id:7) AND trail.interface:ui",
        "user.id:7 trail.interface:ui",
        "trail.change.delta:30000",
        "trail.change.delta:30000.0",
        "trail.change.delta:>29999",
        "trail.change.delta:>=30000",
        "trail.change.delta:[-5 TO 30000]",
        'trail.change.delta:>"-5"',
        "trail.change.delta:{29999 TO *}",
        "trail.change.new:>100000",
        "trail.change.new.lc:12000?",
        r"trail.change.\*:salary",
        "_exists_:trail.change.old",
        "_exists_:trail.change",
        "trail.change.old:*",
        "source.ip:198.51.100.0/24",
        "source.ip:198.51.100.9",
        "source.ip:[198.51.100.1 TO 198.51.100.20]",
        "@timestamp:2026",
        "@timestamp:2026-02-03",
        "@timestamp:>=2026-02-03",
        "@timestamp:<=2026-02-03",
        "@timestamp:[2026-02-01 TO now]",
        "@timestamp:>now-8d",
        "@timestamp:[now-7d/d TO now-7d/d]",
        "@timestamp:2026-02-03T10:30:00Z",
        '@timestamp:"2026-02-03T11:30:00+01:00"',
        "@timestamp:>=2026-01-03||+1M",
        "salary",
        "SALARY",
        "kim",
        '"offer 55 FROM"',
        "sal*y",
        "message:salary",
        'message:"salary of offer"',
        "message:sal*",
        "user.full_name:Kim\\ Q",
        "user.full_name.text:q",
    ],
)
def test_a_query_finds_the_event(query):
    assert found(query)


@pytest.mark.parametrize(
    "query",
    [
        "user.name:Kim@co.example",
        "user.name:kim",
        "NOT user.id:7",
        "user.id:7 AND user.id:8",
        "user.id:7 user.id:8",
        "trail.change.delta:3000",
        "trail.change.delta:{30000 TO *}",
        "trail.change.delta:<30000",
        "trail.change:x",
        "_exists_:trail.change.label",
        "trail.change.label:*",
        "source.ip:198.51.101.0/24",
        "@timestamp:2026-02-04",
        "@timestamp:>2026-02-03",
        "@timestamp:<2026-02-03",
        "@timestamp:>now-7d/d",
        "message:sal",
        'message:"offer salary"',
        "message:*",
        "payroll",
        '"user.name:*"',
    ],
)
def test_a_query_does_not_find_the_event(query):
    event = change()
    if query == "message:*":
        del event["message"]
    assert not compile_query(query, NOW).matches(event)


@pytest.mark.parametrize(
    ("query", "place", "hint"),
    [
        ("user.name:(kim", "position 15", "parentheses"),
        ('user.name:"kim', "position 11", "not closed"),
        ("a:b:c", "position 3", 'a:"b:c"'),
        ("delta:-5", "position 7", 'delta:"-5"'),
        ("delta:>=-5", "position 9", "quotes"),
        ("name:/k.*/", "position 6", "use * and ?"),
        ("name:kim~", "position 6", "fuzziness"),
        ("name:kim^2", "position 6", "boost"),
        ("a && b", "position 3", "AND"),
        ("!a:b", "position 1", "NOT a:b"),
        ("[1 TO 2]", "position 1", "field"),
        ("@timestamp:yesterday", "position 12", "now-1d"),
        ("@timestamp:>2026-02-31", "position 13", "2026-01-01"),
        ("a:[b* TO c]", "position 3", "wildcards"),
        ("OR", "position 1", "quotes"),
        ("a AND", "position 6", "ends too early"),
    ],
)
def test_an_error_names_the_position_and_what_to_type(query, place, hint):
    with pytest.raises(UsageError) as caught:
        compile_query(query, NOW)
    assert caught.value.place == place
    assert hint in caught.value.render()
    assert caught.value.hint


@pytest.mark.parametrize("query", ["(" * 60 + "a" + ")" * 60, "a " * 3000, "a:\udcff"])
def test_a_query_that_is_too_much_is_refused(query):
    with pytest.raises(UsageError):
        compile_query(query, NOW)


@pytest.mark.parametrize("query", ["NOT " * 1000 + "a", "+" * 3000 + "a", "-" * 3000 + "a", "NOT " * 200 + "a"])
def test_a_query_within_a_query_within_a_query_is_refused_in_words(query):
    for understood in (compile_query, query_string):
        with pytest.raises(UsageError, match="nested too deeply"):
            understood(query, NOW)


@pytest.mark.parametrize("query", ["NOT " * 140 + "a", "(NOT " * 50 + "a" + ")" * 50, "a OR b AND " * 300 + "c"])
def test_what_is_understood_can_also_be_held_against_events(query):
    assert compile_query(query, NOW).matches({"message": "a c"})
    assert query_string(query, NOW)


def test_every_indexed_date_is_searched_as_a_date():
    known = {**fields(), **mappings.trail_fields()}
    indexed = {*mappings.component_templates().ecs, *mappings.trail_fields()}
    dates = {name for name in indexed if known[name].type == "date" and known[name].index}
    assert dates | {"event.ingested"} == DATE_FIELDS, "event.ingested is what a pipeline of the server's owner adds"
    assert found("trail.verify.since:2026-03", trail__verify={"since": "2026-03-10T00:00:00Z"})


def test_every_flat_object_is_searched_as_one():
    known = {**fields(), **mappings.trail_fields()}
    indexed = {*mappings.component_templates().ecs, *mappings.trail_fields()}
    flat = {name for name in indexed if mapping(known[name])["type"] == "flat_object"}
    assert flat == FLAT_OBJECTS


def test_a_foreign_key_with_dots_is_found():
    assert found("trail.values.pay.base:5", trail__values={"pay.base": "5"})
    assert found("trail.raw:deep", trail__raw={"a": {"b": ["deep"]}})


def test_lists_of_objects_are_searched_through():
    assert found("trail.sealed_fields.path:user.id", trail__sealed_fields=[{"path": "x"}, {"path": "user.id"}])


def test_booleans_match_their_words():
    assert found("trail.operation.head:true", trail__operation={"head": True})
    assert not found("trail.operation.head:1", trail__operation={"head": True})


def test_an_ipv6_address_is_found_in_any_spelling():
    assert found('source.ip:"2001:db8:0:0::1"', source__ip="2001:db8::1")
    assert found('source.ip:"2001:db8::/32"', source__ip="2001:db8::1")


def test_a_name_that_looks_like_a_date_is_only_a_name():
    assert not found("trail.object.id:2026", trail__object__id="2026-02-03T10:30:00Z")
    assert found("trail.object.id:2026", trail__object__id="2026")


def test_an_escaped_star_is_a_star():
    assert found(r"trail.change.new:a\*", trail__change__new="a*")
    assert not found(r"trail.change.new:a\*", trail__change__new="ab")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
@settings(max_examples=150, deadline=None)
def test_a_quoted_value_finds_exactly_itself(value):
    query = compile_query(f"trail.change.new:{quote(value)}", NOW)
    assert query.matches(change(trail__change__new=value))
    assert not query.matches(change(trail__change__new=value + "x"))


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
@settings(max_examples=300, deadline=None)
def test_wildcards_match_like_fnmatch(pattern, text):
    assert Glob(split_wildcards(pattern)).matches(text) == bool(re.fullmatch(fnmatch.translate(pattern), text))


def test_many_stars_do_not_take_many_times_longer():
    assert not Glob(split_wildcards("*a" * 500 + "b")).matches("a" * 20000)


@given(st.text('ab:"()[]{}*?\\+-~^/<> ANDORT', max_size=15))
@example('a:"')
@settings(max_examples=300, deadline=None)
def test_any_text_compiles_or_is_a_usage_error(text):
    try:
        query = compile_query(text, NOW)
    except UsageError:
        return
    assert query.matches(change()) in (True, False)


def test_fields_with_a_column_and_times_narrow_the_search_in_sql():
    query = compile_query("user.name:kim AND @timestamp:2026-02-03 AND trail.change.new:5", NOW)
    assert "user_name" in query.where
    assert "ts >=" in query.where
    assert "kim" in query.params
    assert compile_query("NOT user.name:kim", NOW).where == ""
    assert compile_query("user.name:kim OR message:x", NOW).where == ""
    assert compile_query("user.email:kim@co.example", NOW).params == (b"kim@co.example",)
    for several in ("a:2026-02-03", "a:007", "a:1.50", 'a:"2001:db8::1"', "a:é", r"a:\"", "a:x*"):
        assert compile_query(several, NOW).params == ()
    assert set(COLUMNS.values()) >= {"object_key", "user_id", "module"}


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2026-02-03T10", "2026-02-03T10:00:00Z", "2026-02-03T11:00:00Z"),
        ("2026-02-03T10:30:05.1", "2026-02-03T10:30:05.100Z", "2026-02-03T10:30:05.101Z"),
        ("2026-02-03T10:30:05.123956Z", "2026-02-03T10:30:05.123Z", "2026-02-03T10:30:05.124Z"),
        ("2026-02-03T10:30-05:00", "2026-02-03T15:30:00Z", "2026-02-03T15:31:00Z"),
        ("now/d", "2026-02-10T00:00:00Z", "2026-02-11T00:00:00Z"),
        ("now-1M/M", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("now/w", "2026-02-09T00:00:00Z", "2026-02-16T00:00:00Z"),
        ("now/y", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-01-31||+1M", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("now-1d+12h", "2026-02-10T00:00:00Z", "2026-02-10T00:00:00.001Z"),
    ],
)
def test_a_date_literal_names_a_span(text, lo, hi):
    assert parse_span(text, NOW) == Span(instant(lo), instant(hi))


def test_now_is_a_whole_millisecond_as_every_date_is():
    assert parse_span("now", 1_770_000_000.123956) == Span(1_770_000_000_123_000, 1_770_000_000_124_000)


@pytest.mark.parametrize(
    "text", ["", "26", "2026-2-3", "2026-02-30", "now-1", "now-1x", "2026||", "now+999999y", "later"]
)
def test_what_is_no_date_is_none(text):
    assert parse_span(text, NOW) is None


@pytest.mark.parametrize(
    ("query", "paths", "expected"),
    [
        ("message:employee", {"message": "read public.employee"}, False),
        ("message:public.employee", {"message": "read public.employee"}, True),
        ("message:61000", {"message": "set salary to 61000.00"}, False),
        ('message:"to 61000.00"', {"message": "set salary to 61000.00"}, True),
        ("message:55", {"message": "offer-55 was sent"}, True),
        ('message:"給"', {"message": "給与を変更"}, True),
        ("sal", {}, False),
        ("sal*", {}, True),
        ("trail.object.key:greenhouse", {}, False),
        ('"greenhouse:offer/55"', {}, True),
        ('"GREENHOUSE:OFFER/55"', {}, False),
        ('source.ip:>"198.51.100.9"', {"source__ip": "2001:db8::1"}, True),
        ('source.ip:"::ffff:198.51.100.9"', {}, True),
        ('trail.raw:"2.0"', {"trail__raw": {"n": 2}}, False),
        ("trail.raw.n:2", {"trail__raw": {"n": 2}}, True),
        ("trail.raw.n:>200", {"trail__raw": {"n": 1000}}, False),
        ("trail.raw.n:<200", {"trail__raw": {"n": 1000}}, True),
        ("trail.values.n:[1000 TO 1000]", {"trail__values": {"n": 1000}}, True),
        ("trail.raw.text:x", {"trail__raw": {"text": "x"}}, True),
        ("trail.raw.text:x", {"trail__raw": "x"}, False),
        ("labels:x", {"labels": {"team": "x"}}, True),
        ("labels.floor:>10", {"labels": {"floor": "9"}}, True),
        ("labels:y", {"labels": {"team": "x"}}, False),
        ("trail.change.new.lc:[a TO z]", {"trail__change__new": "Kim"}, True),
        ("trail.change.new.lc:>=KIM", {"trail__change__new": "kim"}, True),
        ("trail.change.new.lc:<KIM", {"trail__change__new": "kim"}, False),
        ("trail.change.new:[a TO z]", {"trail__change__new": "Kim"}, False),
        ("user.name.lc:{a TO *]", {"user__name": "Kim"}, True),
        ("_exists_:user.name.lc", {}, True),
        ("_exists_:user.full_name.text", {}, True),
        ("user.name.lc:*", {}, True),
        ("_exists_:trail.raw.lc", {"trail__raw": {"b": "x"}}, False),
    ],
)
def test_words_addresses_and_objects_are_compared_as_opensearch_compares_them(query, paths, expected):
    assert found(query, **paths) == expected
