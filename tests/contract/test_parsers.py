"""What every format must keep, whatever it reads: its card, its samples, and that no bytes make it raise or stall."""

from __future__ import annotations

import random
import time
from functools import cache
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parsers
from parsers import Context, Operation, Rejected
from shipper.grouping import Framing
from shipper.offline import records_in
from tests.framed import records_of
from tests.parser_checks import FOREIGN, assert_never_raises_when_cut, assert_sound, mutated

GOLDEN = Path(__file__).parents[1] / "golden"
CTX = Context(received="2026-02-03T12:00:00.000Z")
SLOWEST = 0.05
"""Seconds that one record may take. The best of three, since the machine has other work."""
DAMAGES = 40


@cache
def samples(name):
    """The golden records of a format as (file, record), whole files in order."""
    found = []
    for file in sorted((GOLDEN / name).glob("*.log")):
        found += [(file.stem, record.data) for record in records_of(name, file.read_bytes())]
    return tuple(found)


def check(name, line):
    """Parse as the agent would; a value of the right shape, in time. Returns it."""
    parse = parsers.get(name).parse
    took = SLOWEST
    for _ in range(3):
        start = time.perf_counter()
        found = parse(line, CTX)
        took = time.perf_counter() - start
        if took < SLOWEST:
            break
    assert took < SLOWEST, f"{name} took {took:.3f} s for {len(line)} bytes"
    if isinstance(found, Rejected):
        assert isinstance(found.reason, str) and found.reason
        return found
    assert isinstance(found, list)
    for operation in found:
        assert isinstance(operation, Operation)
        assert operation.action and operation.kind
        assert all(isinstance(field, str) for field in operation.fields)
        assert all(change.field for change in operation.changes)
    return found


def test_there_are_formats():
    assert {"structlog", "ecs", "django_auditlog", "syslog", "json"} <= set(parsers.names())


@pytest.mark.parametrize("name", parsers.names())
def test_a_format_has_a_card_and_a_documentation(name):
    parser = parsers.get(name)
    card = parser.format
    assert card.name == name
    assert card.module and card.vendor and card.title
    assert len(parser.doc) > 200, f"the docstring of parsers/{name}.py is its documentation"
    for word in ("Missing", "One line in"):
        assert word.lower() in parser.doc.lower(), f"parsers/{name}.py does not say: {word}"
    for option in card.options:
        assert option in parser.doc, f"parsers/{name}.py does not document its option {option}"


@pytest.mark.parametrize("name", parsers.names())
def test_the_documentation_of_a_format_shows_a_line_that_it_accepts(name):
    records = [record.data for record in records_in(parsers.get(name).doc, Framing.of(parsers.get(name).format))]
    accepted = [data for data in records if len(data) >= 20 and not isinstance(check(name, data), Rejected)]
    assert accepted, f"the docstring of parsers/{name}.py shows no whole line of its format"


@pytest.mark.parametrize("name", parsers.names())
def test_a_format_accepts_its_normal_sample(name):
    normal = [line for case, line in samples(name) if case == "normal"]
    assert normal, f"tests/golden/{name}/normal.log is missing"
    for line in normal:
        found = check(name, line)
        assert not isinstance(found, Rejected), f"{name}/normal: {found} for {line[:120]!r}"


@pytest.mark.parametrize("name", [name for name in parsers.names() if (GOLDEN / name / "hostile.log").exists()])
def test_a_format_that_comes_with_fieldtrail_has_samples_of_every_sort(name):
    """A new one may begin with its normal sample; its `hostile.log` says that it is meant to stay."""
    found = [(case, check(name, line)) for case, line in samples(name)]
    operations = sum(len(one) for _, one in found if not isinstance(one, Rejected))
    refused = sum(isinstance(one, Rejected) for case, one in found if "refused" in case)
    hostile = sum("hostile" in case for case, _ in found)
    assert operations >= 5 and refused >= 3 and hostile >= 2, (operations, refused, hostile)


@pytest.mark.parametrize("name", parsers.names())
def test_the_literals_of_a_format_are_in_every_line_that_it_accepts(name):
    literals = parsers.get(name).literals
    for case, line in samples(name):
        if literals and not isinstance(check(name, line), Rejected):
            assert any(literal in line for literal in literals), f"{name}/{case}: {line[:120]!r}"


@pytest.mark.parametrize("name", parsers.names())
def test_a_line_cut_anywhere_is_a_value(name):
    for _, line in samples(name):
        # Beyond a thousand bytes every seventh cut: the rest would only repeat the same text.
        for end in (*range(min(len(line), 1000)), *range(1000, len(line), 7)):
            check(name, line[:end])


@pytest.mark.parametrize("name", parsers.names())
def test_a_damaged_line_is_a_value(name):
    dice = random.Random(f"damage {name}")
    for _, line in samples(name):
        for _ in range(DAMAGES):
            check(name, damaged(line, dice))


def damaged(line, dice):
    """One to four accidents: a byte changed, a stretch lost, doubled, moved, or replaced by something nasty."""
    data = bytearray(line)
    for _ in range(dice.randint(1, 4)):
        if not data:
            break
        start = dice.randrange(len(data))
        end = min(len(data), start + dice.randint(1, 20))
        match dice.randrange(5):
            case 0:
                data[start] = dice.randrange(256)
            case 1:
                del data[start:end]
            case 2:
                data[end:end] = data[start:end]
            case 3:
                piece = bytes(data[start:end])
                del data[start:end]
                place = dice.randint(0, len(data))
                data[place:place] = piece
            case _:
                nasty = (
                    b"null",
                    b"{}",
                    b"[]",
                    b'""',
                    b"-1",
                    b"1e99",
                    b"true",
                    b"\\u0000",
                    b"\xff",
                    b"\\",
                    b'"',
                    b"[[[[",
                )
                data[start:end] = dice.choice(nasty)
    return bytes(data)


@pytest.mark.parametrize("name", parsers.names())
def test_every_json_member_replaced_by_something_else_is_a_value(name):
    """Damage that stays JSON reaches further into a parser than damaged bytes."""
    others = (None, True, 0, -1.5, "", "x", [], {}, [None], {"a": {"b": [1]}}, [[1, 2]])
    for _, line in samples(name):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        for holder, key in list(places(value))[:60]:
            kept = holder[key]
            for other in others:
                holder[key] = other
                check(name, orjson.dumps(value))
            holder[key] = kept


def places(value):
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(items):
        yield value, key
        yield from places(child)


@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize("name", parsers.names())
def test_long_nonsense_does_not_stall(name, size):
    for unit in (
        b"a",
        b" ",
        b"[",
        b'{"a":',
        b"\\",
        b'"',
        b"a=",
        b"<13>",
        b"a.",
        b"\x00",
        b'[a@1 x="',
        b"1 - - - - - ",
        b",",
    ):
        check(name, unit * (size // len(unit)))


@pytest.mark.parametrize("name", parsers.names())
def test_a_parser_keeps_no_state(name):
    first = [repr(check(name, line)) for _, line in samples(name)]
    again = [repr(check(name, line)) for _, line in reversed(samples(name))]
    assert first == again[::-1]


OVERLAPS = {
    ("apache", "nginx"),  # both servers write the combined format, letter for letter; `auto` takes nginx for it
    ("syslog", "linux_auth"),  # a line of sudo is a syslog line too; `auto` takes the format that reads it
}
"""(generic format, specific one that accepts some of its lines too)."""


@pytest.mark.parametrize("name", parsers.names())
def test_no_other_specific_format_accepts_the_lines_of_a_format(name):
    others = [
        other
        for other in parsers.names()
        if other != name and not parsers.get(other).format.generic and (name, other) not in OVERLAPS
    ]
    for case, line in samples(name):
        if isinstance(check(name, line), Rejected):
            continue
        for other in others:
            assert isinstance(check(other, line), Rejected), f"{other} accepts {name}/{case}: {line[:120]!r}"


OWNERS = {"null": {"debezium"}}
"""Lines of `FOREIGN` that are of a format which their key does not begin with: a bare null is a tombstone."""


@pytest.mark.parametrize("key", sorted(FOREIGN))
def test_a_line_of_one_format_or_of_none_is_refused_by_all_others(key):
    own = OWNERS.get(key) or {key.split()[0].replace("-", "_")} & set(parsers.names())
    accepted = {name for name in parsers.names() if not isinstance(check(name, FOREIGN[key]), Rejected)}
    generic = {name for name in parsers.names() if parsers.get(name).format.generic}
    assert accepted - generic == own - generic


def _is_json(line):
    try:
        return isinstance(orjson.loads(line), dict | list)
    except orjson.JSONDecodeError:
        return False


PASSING = {"ecs", "structlog"}
"""Formats that hand on what a line says in our own words, to be judged by the normalizer."""


def documents(name):
    """The golden records of a format that are JSON, and that it accepts."""
    parse = parsers.get(name).parse
    return [
        line
        for case, line in samples(name)
        if case in {"normal", "edge"} and _is_json(line) and not isinstance(parse(line, CTX), Rejected)
    ]


OF_JSON = [
    name for name in parsers.names() if name not in PASSING and not parsers.get(name).format.generic and documents(name)
]


@pytest.mark.parametrize("name", OF_JSON)
def test_a_json_record_cut_anywhere_is_refused(name):
    """JSON has no complete prefix of an object."""
    for line in documents(name):
        if len(line) <= 2000:
            assert_never_raises_when_cut(parsers.get(name).parse, line)


@pytest.mark.parametrize("name", OF_JSON)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_members_replaced_dropped_or_damaged_at_random_raise_nothing(name, data):
    assert_sound(parsers.get(name).parse(data.draw(mutated(documents(name))), CTX))
