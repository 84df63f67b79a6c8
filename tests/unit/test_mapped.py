"""A user's own JSON log, mapped by configuration: what goes where, that nothing is lost, and what is refused."""

import itertools
import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from parsers._contract import ABSENT, UNKNOWN, Change, Context, Rejected, Time
from parsers._json import Number
from shipper.config import FormatSection
from shipper.errors import ConfigError
from shipper.mapped import MappedFormat, compile_formats
from shipper.normalize import Normalizer, Origin, Settings
from shipper.protect import Policy
from shipper.schema import check
from shipper.seal.canonical import canonical

FULL = {
    "time": {"field": "ts", "layout": "iso8601"},
    "map": {
        "user.id": "actor.id", "user.email": "actor.email", "source.ip": "actor.ip", "trail.session.id": "actor.session",
        "event.action": "action", "event.id": "request.id", "event.outcome": "result", "trail.interface": "via",
        "trail.object.type": "object.type", "trail.object.id": "object.id", "trail.object.name": "object.name",
        "process.pid": "deep.er.pid", "labels": "labels", "trail.values": "record", "message": "text", "event.code": "code",
    },
    "changes": {"list": "changes", "field": "field", "old": "old", "new": "new", "label": "label"},
    "actions": {"edit": "field.update", "add": "record.create", "remove": "record.delete", "login": "auth.login"},
}  # fmt: skip


def section(**more):
    return FormatSection.model_validate({"decode": "json", **FULL, **more})


def parsed(line, **more):
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    found = MappedFormat("crm", section(**more)).parse(data, Context())
    return found if isinstance(found, Rejected) else found[0]


def test_members_go_to_their_places_and_the_rest_to_raw():
    operation = parsed(
        {
            "ts": "2026-02-03T10:30:00Z", "action": "edit", "actor": {"id": 7, "email": "k@co.example", "team": "hr"}, "via": "ui",
            "request": {"id": 9}, "object": {"type": "offer", "id": 55}, "deep": {"er": {"pid": 1}}, "code": None, "more": [1],
            "changes": [{"field": "salary", "old": 1, "new": 2, "label": "Base"}],
        }
    )  # fmt: skip
    assert operation.time == Time("2026-02-03T10:30:00Z", "iso8601")
    assert (operation.action, operation.code, operation.id) == ("field.update", "edit", "9")
    assert (operation.object_type, operation.object_id, operation.interface) == ("offer", "55", "ui")
    assert operation.fields == {"user.id": 7, "user.email": "k@co.example", "process.pid": 1}
    assert operation.changes == [Change("salary", 1, 2, "Base")]
    assert operation.raw == {"actor": {"team": "hr"}, "more": [1]}
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")


def test_a_constant_says_what_the_record_is_about_and_the_record_itself_comes_first():
    constants = {"event.action": "record.view", "trail.object.type": "door", "trail.object.name": "North"}
    operation = parsed({"object": {"id": 5, "name": "South"}}, constants=constants)
    assert (operation.action, operation.object_type, operation.object_id) == ("record.view", "door", "5")
    assert operation.object_name == "South"
    assert not operation.fields and not operation.raw


@pytest.mark.parametrize("more", [{}, {"action": "peek"}])
def test_a_record_of_which_nobody_says_that_it_was_an_edit_is_none(more):
    operation = parsed({"actor": {"id": 5}, **more})
    assert (operation.action, operation.code) == ("log.message", more.get("action"))
    assert not operation.raw
    told = parsed({"actor": {"id": 5}, **more, "changes": [{"field": "a", "new": 1}]})
    assert told.action in {"field.update", "peek"}  # the latter becomes the default action
    asked = parsed({"actor": {"id": 5}, **more}, default_action="record.view")
    assert asked.action == "record.view"


def test_a_constant_verb_is_translated_as_one_of_the_source():
    operation = parsed({"actor": {"id": 5}}, constants={"event.action": "edit"})
    assert (operation.action, operation.code) == ("field.update", "edit")


def test_a_name_that_holds_the_dot_itself_counts_and_the_nested_one_comes_first():
    assert parsed({"actor.id": 7}).fields == {"user.id": 7}
    operation = parsed({"actor.id": 7, "actor": {"id": 8}})
    assert operation.fields == {"user.id": 8}
    assert operation.raw == {"actor.id": 7}


def test_what_has_not_the_wanted_shape_is_put_back():
    line = {
        "ts": {"a": 1},
        "action": ["edit"],
        "request": {"id": {"b": 1}},
        "object": {"id": True},
        "record": [1],
        "changes": "none",
    }
    operation = parsed(line)
    assert operation.object_id == "true"
    assert operation.raw == {key: value for key, value in line.items() if key != "object"}
    assert operation.time is None and operation.changes == []


@pytest.mark.parametrize(
    ("given", "changes", "left"),
    [
        ([{"field": "a", "old": 1, "new": 2}], [Change("a", 1, 2)], None),
        ({"field": "a", "old": 1, "new": 2}, [Change("a", 1, 2)], None),
        ([{"field": "a", "old": 1}], [Change("a", 1, ABSENT)], None),
        ([{"field": "a", "new": None}], [Change("a", UNKNOWN, None, derivation="new_only")], None),
        (
            [{"field": "a", "new": 2, "why": "x"}],
            [Change("a", UNKNOWN, 2, derivation="new_only")],
            [{"field": "a", "why": "x"}],
        ),
        ([{"field": "a", "old": 1, "new": 2, "label": 5}], [Change("a", 1, 2)], [{"field": "a", "label": 5}]),
        ([{"field": "a"}, {"old": 1, "new": 2}, {"field": "", "old": 1}, {"field": 7, "old": 1}, 5], [], "all"),
        ([{"field": "a", "x": 1}], [], "all"),
    ],
)
def test_each_shape_of_a_list_of_changes_is_read_or_kept(given, changes, left):
    operation = parsed({"action": "edit", "changes": given})
    assert operation.changes == changes
    assert operation.raw == ({} if left is None else {"changes": given if left == "all" else left})
    assert not operation.no_change


def test_pairs_are_read_whole_or_not_at_all():
    pairs = {"changes": {"pairs": "diff"}}
    assert parsed({"diff": {"a": [1, 2], "b": [None, 3]}}, **pairs).changes == [Change("a", 1, 2), Change("b", None, 3)]
    for odd in ({"a": [1, 2], "b": 3}, {"a": [1, 2, 3]}, [["a", 1, 2]], {"": [1, 2]}):
        operation = parsed({"diff": odd}, **pairs)
        assert operation.changes == [] and operation.raw == {"diff": odd}


@pytest.mark.parametrize(("verb", "dropped"), [("edit", True), ("login", False), ("add", False), ("unheard", False)])
def test_an_empty_list_of_changes_makes_only_an_edit_no_event(verb, dropped):
    assert parsed({"action": verb, "changes": []}).no_change is dropped


def test_the_changes_of_a_created_record_are_its_values():
    operation = parsed(
        {
            "action": "add",
            "record": {"c": 1},
            "changes": [
                {"field": "a", "old": None, "new": 1},
                {"field": "b", "old": 5, "new": 6},
                {"field": "c", "new": 2},
                {"field": "d", "new": None},
            ],
        }
    )
    assert operation.values == {"c": 1, "a": 1}
    assert [change.field for change in operation.changes] == ["b", "c"]
    operation = parsed(
        {"action": "remove", "changes": [{"field": "a", "old": 1, "new": None}, {"field": "b", "old": 2}]}
    )
    assert operation.values == {"a": 1, "b": 2} and operation.changes == []


def test_numbers_keep_the_characters_of_the_source():
    operation = parsed(
        b'{"request":{"id":12345678901234567890},"object":{"id":1.10},"changes":[{"field":"a","old":1.10,"new":1e5}]}'
    )
    assert (operation.id, operation.object_id) == ("12345678901234567890", "1.10")
    assert type(operation.id) is str
    assert operation.changes == [Change("a", Number("1.10"), Number("1e5"))]


@pytest.mark.parametrize("line", [b"[1]", b'"x"', b"5", b"null", b"", b"{", b'{"a":NaN}', b"\xff", b'{"a":"\\ud800"}'])
def test_what_is_no_json_object_is_refused(line):
    assert isinstance(parsed(line), Rejected)


# -- configurations ---------------------------------------------------------------------------------------------------


def problems(**more):
    sections = {"crm": section(**more)}
    with pytest.raises(ConfigError) as caught:
        compile_formats(sections, mappings.actions(), frozenset({"syslog"}), "x.yaml")
    return dict(caught.value.problems)


@pytest.mark.parametrize(
    "target",
    ["trail.raw", "trail.schema", "trail.missing", "trail.change.old", "trail.operation.head", "trail.sealed_fields", "agent.name",
     "data_stream.dataset", "event.kind", "event.module", "@timestamp", "seal.i", "ecs.version", "trail.object.key", "trail.origin.path"],
)  # fmt: skip
def test_what_fieldtrail_writes_itself_cannot_be_mapped(target):
    assert problems(map={target: "a"}) == {f"formats.crm.map.{target}": "is filled by Fieldtrail itself"}


def test_an_unknown_field_or_verb_is_refused_with_the_nearest():
    assert problems(map={"user.idd": "a"})["formats.crm.map.user.idd"].startswith("no such field; did you mean user.id")
    assert "formats.crm.actions.edit" in problems(actions={"edit": "field.edit"})
    assert "formats.crm.default_action" in problems(default_action="nothing")


@pytest.mark.parametrize("action", ["rule.match", "agent.stop", "seal.control", "log.unparsed"])
def test_no_verb_of_a_source_is_translated_to_what_fieldtrail_says(action):
    assert "never by a source" in problems(actions={"x": action})["formats.crm.actions.x"]


def test_a_verb_that_is_nearly_ours_is_named():
    assert "did you mean record.delete?" in problems(actions={"x": "record.deleted"})["formats.crm.actions.x"]
    assert "docs/reference/event.md" in problems(default_action="zzz")["formats.crm.default_action"]


@pytest.mark.parametrize(
    ("constant", "words"),
    [
        ({"event.id": "x"}, "the same id"),
        ({"trail.operation.id": "x"}, "the same id"),
        ({"trail.object.type": ["door"]}, "a text is needed"),
        ({"message": ""}, "a text is needed"),
        ({"event.action": "field.edit"}, "not an action of ours"),
        ({"event.action": "seal.control"}, "never by a source"),
    ],
)
def test_a_constant_that_cannot_be_is_refused(constant, words):
    assert words in problems(constants=constant)[f"formats.crm.constants.{next(iter(constant))}"]


def test_a_name_that_no_pattern_or_column_gives_is_refused_with_the_nearest():
    rows = {"decode": "csv", "columns": ["when", "who", "field"], "time": {"field": "wen"}, "map": {"user.name": "zz"}}
    found = problems(**rows, changes={"field": "field"}, actions={})
    assert found == {
        "formats.crm.map.user.name": "no column is called 'zz'; there are when, who, field",
        "formats.crm.time.field": "no column is called 'wen'; did you mean when?",
    }
    lines = {"decode": "regex", "time": None, "map": {"user.name": "usr"}, "changes": {"field": "f"}, "actions": {}}
    found = problems(**lines, patterns=[r"(?P<user>\w+)"])
    assert found["formats.crm.map.user.name"] == "no group is called 'usr'; did you mean user?"
    assert "formats.crm.changes.field" in found
    found = problems(**lines, patterns=[r"\w+"])
    assert found["formats.crm.map.user.name"] == "no group is called 'usr'; there are none"


def test_one_fact_cannot_be_mapped_twice():
    assert "formats.crm.map.trail.operation.id" in problems(map={"event.id": "a", "trail.operation.id": "b"})


# -- nothing is lost --------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# No text here is one of ours in another spelling, since those are translated.
LEAF = (
    st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT.map(lambda text: f"~{text}")
)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ITEM = st.dictionaries(
    st.sampled_from(["field", "old", "new", "label", "why"]), VALUE | st.sampled_from(["salary", "title"]), max_size=5
)
LINE = st.fixed_dictionaries(
    {},
    optional={
        "ts": VALUE | st.just("2026-02-03T10:30:00Z"), "action": VALUE | st.sampled_from(["edit", "add", "remove", "login", "role.grant"]),
        "actor": VALUE | st.fixed_dictionaries({}, optional={"id": VALUE, "email": VALUE, "ip": VALUE | st.just("192.0.2.1"), "x": VALUE}),
        "object": VALUE | st.fixed_dictionaries({}, optional={"id": VALUE, "type": VALUE, "name": VALUE}),
        "request": VALUE | st.fixed_dictionaries({}, optional={"id": VALUE}), "request.id": VALUE, "actor.id": VALUE,
        "deep": VALUE | st.fixed_dictionaries({"er": VALUE | st.fixed_dictionaries({}, optional={"pid": VALUE})}), "result": VALUE, "via": VALUE,
        "labels": VALUE, "record": VALUE, "text": VALUE, "code": VALUE, "changes": VALUE | st.lists(ITEM, max_size=3), "seal": VALUE, "trail": VALUE,
    },
)  # fmt: skip


def scalars(value):
    """What a value says, as texts that must be found again; numbers as their digits, since 5.0 is written 5."""
    if isinstance(value, dict):
        for item in value.values():
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (int, float)):
        yield number_text(value)
    elif value and value != "~":
        yield value


def number_text(value):
    return str(int(value)) if float(value).is_integer() else repr(value)


def found_in(event):
    """Every text in an event, and what stands in texts that are JSON themselves."""
    if isinstance(event, dict):
        for item in event.values():
            yield from found_in(item)
    elif isinstance(event, list):
        for item in event:
            yield from found_in(item)
    elif isinstance(event, str):
        yield event
        try:
            inner = json.loads(event)
        except (ValueError, RecursionError):
            return
        if not isinstance(inner, str):
            yield from found_in(inner)
    elif event is not None:
        yield from scalars(event)


CRM = MappedFormat("crm", section())


@settings(max_examples=80, deadline=None)
@given(LINE)
def test_any_line_becomes_valid_events_that_say_all_that_it_said(line):
    data = json.dumps(line).encode()
    found = CRM.parse(data, Context())
    assert not isinstance(found, Rejected)
    counter = itertools.count()
    normalizer = Normalizer(
        Settings("a", "1", "default", "crm", CRM.format, Policy(), salt=lambda: next(counter).to_bytes(16, "big"))
    )
    events = []
    for operation in found:
        if not operation.no_change:
            made, _ = normalizer.events(
                operation, Origin("s", "p", 0, len(data), 1e9, "2001-09-09T01:46:40.000Z", data=data)
            )
            events += made
    for event in events:
        assert check(event) == []
        assert canonical(event) == rfc8785.dumps(event)
    if not events or any("sealed_fields" in event["trail"] or "*" in event["message"] for event in events):
        return  # something was withheld, or starred in the source's own sentence
    there = set()
    for text in itertools.chain.from_iterable(map(found_in, events)):
        there |= {text, text.lower()}
        try:
            there.add(number_text(float(text)))
        except (ValueError, OverflowError):
            continue
    unchanged = set(scalars(line["changes"])) if isinstance(line.get("changes"), list) else set()
    for text in scalars(line):
        numeric = text.lstrip("-")[:1].isdigit()
        known = text in there or text.lower() in there or (numeric and number_text(float(text)) in there)
        # A change from a value to itself is no change, and is not told.
        assert known or text in unchanged, text
