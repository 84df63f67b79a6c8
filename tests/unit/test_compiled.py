"""The quick way gives the event that the reference gives, or steps aside: for usual lines, odd ones and hostile ones."""

import json

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.build import Lanes
from shipper.compiled import compile_fast
from shipper.config import parse
from shipper.normalize import Origin
from shipper.schema import check
from shipper.seal.canonical import canonical

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


PLAIN = FORMAT.replace(", trail.automation.scenario.id: run.scenario.id", "")
"""The same without a path of three parts, which the quickest way leaves to the others."""
PLAIN_USUAL = {name: value for name, value in USUAL.items() if name != "run"}
PLAIN_USUAL["changes"] = [{"field": "status", "old": "open", "new": "closed"}]


def lane(text=FORMAT):
    return Lanes(parse(text, "test"), "test", bytes).lane("crm", "crm")


@pytest.fixture(scope="module", params=["spliced", "compiled"])
def crm(request):
    made = lane(PLAIN if request.param == "spliced" else FORMAT)
    assert made.fast is not None
    if request.param == "compiled":
        assert made.splice is None
        made.splice = lambda *_: None
    return made


def both(crm, data, previous=None):
    """(what the quick way says, what the reference says)."""
    quick = crm.fast(data, 40, len(data) + 1, "stream", "a.log", RECEIVED, RECEIVED_TEXT, None, previous)
    parsed = crm.parse(data, crm.context)
    if not isinstance(parsed, list):
        return quick, None
    origin = Origin("stream", "a.log", 40, len(data) + 1, RECEIVED, RECEIVED_TEXT, None, previous, 0, data)
    (operation,) = parsed
    return quick, ([], None) if operation.no_change else crm.normalizer.events(operation, origin)


def splice(crm, data):
    return crm.splice(data, 40, len(data) + 1, "stream", "a.log", RECEIVED, RECEIVED_TEXT, None, None)


def agree(crm, data):
    quick, reference = both(crm, data)
    spliced = splice(crm, data)
    if spliced is not None:
        assert reference is not None
        assert reference == ([json.loads(spliced[0])], spliced[1])
        assert spliced[0] == canonical(reference[0][0]) == rfc8785.dumps(reference[0][0])
    if quick is None:
        assert spliced is None
        return False
    event, seconds = quick
    assert reference is not None
    assert reference == ([event], seconds)
    return True


def test_the_usual_line_goes_the_quick_way_and_is_what_the_reference_makes_of_it(crm):
    assert agree(crm, orjson.dumps(USUAL))
    quick, _ = both(crm, orjson.dumps(USUAL))
    assert check(quick[0]) == []
    assert quick[0]["message"] == (
        "kim@co.example changed salary of employee 7711 from 90000 to 120000 via ui (Example CRM)"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"ts": "2026-02-03T10:30:00+01:00"},
        {"ts": "2026-02-03 10:30:00"},
        {"extra": "kept", "more": {"deep": [1, 2.5, None]}},
        {"actor": {"id": 7, "email": None, "ip": "[2001:db8::1]:443"}},
        {"request": {}},
        {"result": "failure"},
        {"changes": [{"field": "salary", "old": None, "new": 5}]},
        {"changes": [{"field": "salary", "old": True, "new": None}]},
        {"changes": [{"field": "active", "old": False, "new": True}]},
        {"object": {"type": "employee", "id": 7711}},
        {"changes": [{"field": "x", "old": "a", "new": "line\nend"}]},
    ],
)
def test_lines_near_the_usual_one_go_the_quick_way_too(crm, change):
    assert agree(crm, orjson.dumps({**USUAL, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"changes": []},
        {"changes": [USUAL["changes"][0], USUAL["changes"][0]]},
        {"changes": [{"field": "iban", "old": "DE89", "new": "DE90"}]},
        {"changes": [{"field": "x", "old": "same", "new": "same"}]},
        {"changes": [{"field": "x", "new": "1"}]},
        {"changes": [{"field": "x", "old": 1.5, "new": 2}]},
        {"action": "made"},
        {"action": "grant"},
        {"request": {"interface": "rest"}},
        {"actor": {"ip": "not an address"}},
        {"ts": "yesterday"},
        {"ssn": "078-05-1120"},
        {"object": {"type": "employee"}},
    ],
)
def test_what_is_not_usual_is_left_to_the_reference(crm, change):
    quick, reference = both(crm, orjson.dumps({**USUAL, **change}))
    assert quick is None
    assert reference is not None


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"nope", b'{"ts":', b"\xff{}", b"[" * 2000, b'{"a":' * 300 + b"1" + b"}" * 300]
)
def test_what_is_no_line_of_this_format_is_left_to_the_reference(crm, line):
    assert crm.fast(line, 0, len(line), "s", "p", RECEIVED, RECEIVED_TEXT, None, None) is None


@pytest.mark.parametrize("number", ["-0", "0", "1e5", "1.0", "1.10", "12345678901234567890", "9007199254740993", "-7"])
@pytest.mark.parametrize("place", ["seq", "old", "port", "raw"])
def test_numbers_keep_the_sources_characters_whichever_way_a_line_goes(crm, number, place):
    line = json.dumps({**USUAL, "raw": "@raw", "seq": "@seq", "actor": {**USUAL["actor"], "port": "@port"}})
    line = line.replace('"old": "90000"', '"old": "@old"')
    for name in ("seq", "old", "port", "raw"):
        line = line.replace(f'"@{name}"', number if name == place else "1")
    agree(crm, line.encode())


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
    texts=st.booleans(),
    edits=st.lists(st.tuples(PATHS, VALUES, st.booleans()), max_size=4),
    action=ACTIONS | st.none(),
    spaced=st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_both_ways_agree_on_any_line(crm, texts, edits, action, spaced):
    line = json.loads(json.dumps(PLAIN_USUAL if texts else USUAL))
    if action is not None:
        line["action"] = action
    for path, value, drop in edits:
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
            here[path[-1]] = value
    text = json.dumps(line, ensure_ascii=False, indent=1 if spaced else None).replace("\n", " ")
    agree(crm, text.encode("utf-8", "surrogatepass"))


def test_the_shapes_that_are_remembered_are_bounded(crm):
    for number in range(400):
        assert agree(crm, orjson.dumps({**USUAL, "action": f"verb {number}"}))
    assert len(crm.fast.__globals__["_shapes"]) <= 256


def test_an_event_of_the_quick_way_shares_nothing_that_a_later_line_writes_to(crm):
    first, _ = both(crm, orjson.dumps(USUAL))
    kept = json.dumps(first[0], sort_keys=True)
    both(crm, orjson.dumps({**USUAL, "actor": {"id": "other"}, "run": {"scenario": {"id": "t"}}}))
    assert json.dumps(first[0], sort_keys=True) == kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("changes: {list: changes, field: field, old: old, new: new, label: label}", "changes: {pairs: changes}"),
        ("user.id: actor.id", "trail.values.x: actor.id"),
        ("user.id: actor.id", "trail.actor.type: actor.id"),
        ("time: {field: ts}", ""),
    ],
)
def test_a_mapping_with_parts_that_it_does_not_know_has_no_quick_way(old, new):
    assert old in FORMAT
    assert lane(FORMAT.replace(old, new)).fast is None


def test_the_quick_way_needs_nothing_of_a_format_that_keeps_originals():
    made = lane(FORMAT.replace("decode: json", "decode: json\n    keep_original: true"))
    assert made.fast is None
    assert compile_fast.__doc__


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ts": "2026-02-28T23:59:59.999999Z", "seq": 2**53 - 1},
        {"actor": {**USUAL["actor"], "id": "Zoë 100 %s %", "ip": "2001:db8::1"}},
        {"changes": [{"field": "100 %d", "old": "東京 😀", "new": "a" * 500}]},
        {"request": {**USUAL["request"], "interface": "api"}},
        {"result": "failure"},
        {"action": "unheard of"},
        {"actor": {**USUAL["actor"], "id": 'a "quoted" name\\ \t\x1f\x7f'}},
        {"object": {**USUAL["object"], "name": "two\nlines"}},
        {"changes": [{"field": "due_date", "old": None, "new": "2026-03-01"}]},
        {"changes": [{"field": "owner_id", "old": None, "new": "17"}]},
        {"changes": [{"field": "amount", "old": None, "new": "17"}]},
    ],
)
def test_lines_that_differ_in_their_texts_alone_are_spliced(change):
    made = lane(PLAIN)
    for _ in range(2):  # the first one makes the template
        data = json.dumps({**PLAIN_USUAL, **change}, ensure_ascii=False).encode()
        assert splice(made, data) is not None
        assert agree(made, data)


@pytest.mark.parametrize(
    "change",
    [
        {"actor": {**USUAL["actor"], "id": "kim@co.example", "email": "kim@co.example"}},
        {"actor": {**USUAL["actor"], "email": ""}},
        {"changes": [{"field": "iban", "old": "DE89", "new": "XX90"}]},
        {"changes": [{"field": "x", "old": "1", "new": "2"}]},
        {"changes": [{"field": "x", "old": '{"a":1}', "new": "b"}]},
        {"changes": [{"field": "x", "old": None, "new": '{"a":1}'}]},
        {"changes": [{"field": "x", "old": "a", "new": None}]},
        {"seq": 0},
        {"extra": 1},
        {"ts": "2026-02-03T10:30:00+01:00"},
        {"object": {**USUAL["object"], "name": "\ue0001\ue000"}},
    ],
)
def test_what_needs_more_than_texts_is_not_spliced(change):
    made = lane(PLAIN)
    for line in (PLAIN_USUAL, {**PLAIN_USUAL, **change}):
        data = json.dumps(line, ensure_ascii=False).encode()
        spliced = splice(made, data)
        agree(made, data)
    if "object" not in change:
        assert spliced is None


def test_a_path_with_quotes_is_escaped_in_a_spliced_event():
    made = lane(PLAIN)
    data = orjson.dumps(PLAIN_USUAL)
    place = 'odd "name"\\ 50 %.log'
    body, _ = made.splice(data, 0, len(data), "s", place, RECEIVED, RECEIVED_TEXT, None, None)
    assert json.loads(body)["trail"]["origin"]["path"] == place
    origin = Origin("s", place, 0, len(data), RECEIVED, RECEIVED_TEXT, None, None, 0, data)
    assert body == canonical(made.normalizer.events(made.parse(data, made.context)[0], origin)[0][0])
