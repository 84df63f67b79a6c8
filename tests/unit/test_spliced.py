"""The quick way gives the bytes that the reference gives, or steps aside: for usual lines, odd ones and hostile ones."""

import json

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.build import Lanes
from shipper.config import parse
from shipper.normalize import Origin
from shipper.seal.canonical import canonical
from shipper.spliced import Times

RECEIVED, RECEIVED_TEXT = 1_780_000_000.0, "2026-05-28T20:26:40.000Z"

FORMAT = """
inputs: [{id: crm, type: file, paths: ["/x"], format: crm, timezone: UTC}]
formats:
  crm:
    decode: json
    vendor: Example CRM
    time: {field: ts}
    map: {event.action: action, event.id: request.id, event.sequence: seq, http.request.id: request.id,
          source.ip: actor.ip, user.email: actor.email, user.id: actor.id, trail.interface: request.interface,
          trail.session.id: actor.session, trail.object.type: object.type, trail.object.id: object.id,
          trail.object.name: object.name, user_agent.original: request.agent, trail.automation.scenario.id: run.scenario.id,
          source.port: actor.port, event.outcome: result}
    changes: {list: changes, field: field, old: old, new: new, label: label}
    actions: {edit: field.update, made: record.create, grant: role.grant}
    constants: {observer.vendor: Example, event.category: [database], event.type: [change]}
"""

USUAL = {
    "ts": "2026-02-03T10:30:00.123Z",
    "seq": 17,
    "action": "edit",
    "result": "success",
    "actor": {"id": "7", "email": "kim@co.example", "ip": "198.51.100.9", "session": "s-1", "port": 443},
    "request": {"id": "r-9", "interface": "ui", "agent": "ExampleBrowser/1.0"},
    "object": {"type": "employee", "id": "7711", "name": "Zoë 1"},
    "run": {"scenario": {"id": "s"}},
    "changes": [{"field": "salary", "old": "90000", "new": "120000"}],
}


PAIRS = FORMAT.replace(
    "changes: {list: changes, field: field, old: old, new: new, label: label}", "changes: {pairs: changes}"
).replace("time: {field: ts}", "time: {field: ts, layout: epoch_ms}")
"""Another form of changes, and of times, with nothing in it that could be copied as it stands."""
PAIRS_USUAL = {**USUAL, "ts": 1770114600123, "changes": {"salary": ["90000", "120000"], "status": ["open", "closed"]}}


def lane(text=FORMAT):
    made = Lanes(parse(text, "test"), "test", bytes).lane("crm", "crm")
    assert made.quick is not None
    return made


def encoded(value):
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def quick(made, line, path="a.log"):
    """(bytes of the documents that the quick way makes, the time after it), or None."""
    data, times = encoded(line), Times(1.5)
    found = made.quick.begin("stream", path, RECEIVED, RECEIVED_TEXT, None, times)(data, 40, len(data) + 1)
    if found is None:
        return None
    dataset, bodies = ("fieldtrail.change", [found]) if isinstance(found, bytes) else found
    assert {orjson.loads(body)["data_stream"]["dataset"] for body in bodies} == {dataset}
    return bodies, times.previous


def reference(made, line, path="a.log"):
    data = encoded(line)
    parsed = made.parse(data, made.context)
    if not isinstance(parsed, list):
        return None
    (operation,) = parsed
    if operation.no_change:
        return [], 1.5
    origin = Origin("stream", path, 40, len(data) + 1, RECEIVED, RECEIVED_TEXT, None, 1.5, 0, data)
    documents, seconds = made.normalizer.events(operation, origin)
    return [canonical(document) for document in documents], seconds


def agree(made, line):
    """Whether the quick way took the line; if it did, it gave what the reference gives."""
    found = quick(made, line)
    if found is not None:
        assert found == reference(made, line)
    return found is not None


def learned(line, text=FORMAT):
    """A lane that has seen such a line: once to make the decoder, once more, if need be, to make the template."""
    made = lane(text)
    assert quick(made, line) is None
    agree(made, line)
    return made


def test_the_usual_line_goes_the_quick_way_and_is_what_the_reference_makes_of_it():
    made = learned(USUAL)
    assert agree(made, USUAL)
    (body,), seconds = quick(made, USUAL)
    assert body == rfc8785.dumps(orjson.loads(body))
    assert seconds == 1770114600.123
    assert orjson.loads(body)["message"] == (
        "kim@co.example changed salary of employee 7711 from 90000 to 120000 via ui (Example CRM)"
    )


NEAR = [
    {"ts": "2026-02-03T10:30:00+01:00"},
    {"ts": "2026-02-03 10:30:00"},
    {"ts": "2026-02-28T23:59:59.999999Z", "seq": 2**53 - 1},
    {"extra": "kept", "more": {"deep": None}},
    {"extra": 7, "other": True, "none": None, "empty": ""},
    {"actor": {"id": 7, "email": None, "ip": "[2001:db8::1]:443"}},
    {"actor": {**USUAL["actor"], "department": "sales"}},
    {"actor": {**USUAL["actor"], "id": "Zoë 100 %s %", "ip": "2001:db8::1"}},
    {"actor": {**USUAL["actor"], "id": 'a "quoted" name\\ \t\x1f\x7f'}},
    {"result": "failure"},
    {"action": "unheard of"},
    {"request": {**USUAL["request"], "interface": "api"}},
    {"request": {**USUAL["request"], "interface": "rest"}},
    {"request": {**USUAL["request"], "interface": "automation"}},
    {"object": {"type": "employee", "id": 7711}},
    {"object": {"type": "employee"}},
    {"object": {**USUAL["object"], "name": "two\nlines {of} 'text'"}},
    {"changes": [{"field": "salary", "old": None, "new": 5}]},
    {"changes": [{"field": "salary", "old": 90000, "new": 120000}]},
    {"changes": [{"field": "salary", "old": 7, "new": None}]},
    {"changes": [{"field": "owner_id", "old": "17", "new": "18"}]},
    {"changes": [{"field": "active", "old": False, "new": True}]},
    {"changes": [{"field": "x", "old": "a", "new": "line\nend \u202e"}]},
    {"changes": [{"field": "x", "old": "", "new": "b"}]},
    {"changes": [{"field": "x", "old": "a", "new": ""}]},
    {"changes": [{"field": "due_date", "old": None, "new": "2026-03-01"}]},
    {"changes": [{"field": "100 %d {x}", "old": "東京 😀", "new": "a" * 500}]},
    {"changes": [USUAL["changes"][0], {"field": "status", "old": "open", "new": "closed"}]},
    {"changes": [{"field": "same", "old": "x", "new": "x"}, *USUAL["changes"]]},
    {"changes": [{"field": name, "old": 1, "new": 2} for name in ("amount", "rate", "days", "owner_id")]},
    {"changes": None, "action": "auth.login"},
    {"changes": None, "action": "record.read"},
]


@pytest.mark.parametrize("change", NEAR)
def test_lines_near_the_usual_one_go_the_quick_way_once_they_were_seen(change):
    line = {**USUAL, **change}
    made = learned(line)
    assert agree(made, line)
    agree(made, USUAL)
    assert agree(made, line)


def test_a_decoder_learns_from_lines_that_keep_coming():
    made = learned(USUAL)
    other = {**USUAL, "extra": "kept"}
    taken = [agree(made, {**other, "seq": 1 + number}) for number in range(40)]
    assert not any(taken[:16])
    assert all(taken[20:])
    assert agree(made, USUAL)


FAR = [
    {"changes": []},
    {"changes": [{"field": "iban", "old": "DE89", "new": "DE90"}]},
    {"changes": [{"field": "x", "old": "same", "new": "same"}]},
    {"changes": [{"field": "x", "new": "1"}]},
    {"changes": [{"field": "x", "old": 1.5, "new": 2}]},
    {"changes": [{"field": "x", "old": '{"a":1}', "new": "b"}]},
    {"changes": [{"field": "x", "old": None, "new": '{"a":1}'}]},
    {"changes": [{"field": "x", "old": ["a"], "new": ["b"]}]},
    {"action": "made"},
    {"action": "grant"},
    {"actor": {"ip": "not an address"}},
    {"actor": {**USUAL["actor"], "id": "kim@co.example", "email": "kim@co.example"}},
    {"actor": {**USUAL["actor"], "email": ""}},
    {"actor": {}},
    {"request": {**USUAL["request"], "interface": "automation"}, "actor": {**USUAL["actor"], "email": "automation x"}},
    {"ts": "yesterday"},
    {"ssn": "078-05-1120"},
    {"name": "iban", "value": "DE89"},
    {"seq": 0},
    {"object": {**USUAL["object"], "name": "ꙮ"}},
    {"object": {**USUAL["object"], "name": '{"a":1}'}},
    {"request": {**USUAL["request"], "agent": "x" * 9000}},
]


@pytest.mark.parametrize("change", FAR)
def test_what_needs_more_than_texts_in_a_template_is_left_to_the_reference(change):
    line = {**USUAL, **change}
    made = learned(line)
    assert not agree(made, line)
    for _ in range(20):
        agree(made, USUAL)
        assert not agree(made, line)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"nope", b'{"ts":', b"\xff{}", b"[" * 2000, b'{"a":' * 300 + b"1" + b"}" * 300]
)
def test_what_is_no_line_of_this_format_is_left_to_the_reference(line):
    made = learned(USUAL)
    for _ in range(20):
        assert quick(made, line) is None
    assert agree(made, USUAL)


@pytest.mark.parametrize("line", [PAIRS_USUAL, {**PAIRS_USUAL, "changes": {"status": ["open", None]}}])
def test_a_mapping_with_nothing_to_copy_has_a_quick_way_too(line):
    made = learned(line, PAIRS)
    assert agree(made, line)
    assert agree(made, {**line, "ts": 1770114600999})


@pytest.mark.parametrize("number", ["-0", "0", "1e5", "1.0", "1.10", "12345678901234567890", "9007199254740993", "-7"])
@pytest.mark.parametrize("place", ["seq", "old", "port", "raw"])
def test_numbers_keep_the_sources_characters_whichever_way_a_line_goes(number, place):
    line = json.dumps({**USUAL, "raw": "@raw", "seq": "@seq", "actor": {**USUAL["actor"], "port": "@port"}})
    line = line.replace('"old": "90000"', '"old": "@old"')
    plain = line
    for name in ("seq", "old", "port", "raw"):
        line = line.replace(f'"@{name}"', number if name == place else "1")
        plain = plain.replace(f'"@{name}"', "1")
    made = learned(plain.encode())
    for _ in range(3):
        agree(made, line.encode())
        assert agree(made, plain.encode())


WORDS = st.sampled_from(
    ["", "x", "7", "ü", "\u202e", "a\tb", "{}", '{"a":1}', "None", "2026-01-01", "東", "😀", "null", "0"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["id", "ip", "iban"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        ("ts",),
        ("seq",),
        ("action",),
        ("result",),
        ("actor",),
        ("actor", "id"),
        ("actor", "email"),
        ("actor", "ip"),
        ("actor", "session"),
        ("actor", "more"),
        ("request",),
        ("request", "id"),
        ("request", "interface"),
        ("object",),
        ("object", "type"),
        ("object", "id"),
        ("object", "name"),
        ("run",),
        ("run", "scenario"),
        ("changes",),
        ("changes", "field"),
        ("changes", "old"),
        ("changes", "new"),
        ("changes", "label"),
        ("changes", "more"),
        ("extra",),
        ("password",),
        ("actor.id",),
        ("salary",),
    ]
)
ACTIONS = st.sampled_from(["edit", "made", "grant", "unheard of", "auth.login", "record.delete", "seal.control"])


@given(
    pairs=st.booleans(),
    edits=st.lists(st.tuples(PATHS, st.tuples(VALUES, VALUES), st.booleans()), max_size=4),
    action=ACTIONS | st.none(),
    spaced=st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_both_ways_agree_on_any_two_lines_of_one_kind(pairs, edits, action, spaced):
    """What was learned from one line is right for another that has the same members."""
    made = lane(PAIRS if pairs else FORMAT)
    usual = PAIRS_USUAL if pairs else USUAL
    lines = []
    for side in (0, 1):
        line = json.loads(json.dumps(usual))
        if action is not None:
            line["action"] = action
        for path, values, drop in edits:
            here = line
            for part in path[:-1]:
                here = here.get(part) if isinstance(here, dict) else None
                if part == "changes" and isinstance(here, list):
                    here = here[0] if here else None
            if not isinstance(here, dict):
                continue
            if drop:
                here.pop(path[-1], None)
            else:
                here[path[-1]] = values[side]
        text = json.dumps(line, ensure_ascii=False, indent=1 if spaced else None).replace("\n", " ")
        lines.append(text.encode("utf-8", "surrogatepass"))
    for line in (*lines, *lines, encoded(usual), *reversed(lines)):
        agree(made, line)


def test_what_is_remembered_is_bounded():
    made = learned(USUAL)
    for number in range(600):
        agree(made, {**USUAL, "action": f"verb {number}"})
        agree(made, {**USUAL, f"member {number}": "x", "changes": [{"field": f"f{number}", "old": "a", "new": "b"}]})
    begin = made.quick.begin("s", "p", RECEIVED, RECEIVED_TEXT, None, Times(None))
    assert len(begin.__globals__["_templates"]) <= 512
    assert len(made.quick.extra) <= 32
    assert len(made.quick.decisions) <= 4_096


@pytest.mark.parametrize(
    ("old", "new"), [("user.id: actor.id", "trail.values.x: actor.id"), ("time: {field: ts}", ""),
                     ("decode: json", "decode: json\n    keep_original: true")],
)  # fmt: skip
def test_a_mapping_with_parts_that_it_does_not_know_has_no_quick_way(old, new):
    assert old in FORMAT
    made = lane(FORMAT.replace(old, new))
    assert [quick(made, USUAL) for _ in range(5)] == [None] * 5


def test_a_path_with_quotes_is_escaped_in_a_spliced_event():
    made = learned(USUAL)
    place = 'odd "name"\\ 50 %.log'
    assert quick(made, USUAL, place) == reference(made, USUAL, place)
    assert orjson.loads(quick(made, USUAL, place)[0][0])["trail"]["origin"]["path"] == place
