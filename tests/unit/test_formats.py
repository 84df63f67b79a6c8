"""The table of formats: names, options, the decision of `auto`, whole last lines, and formats inside syslog."""

from __future__ import annotations

from pathlib import Path

import pytest

from parsers import Context, Format, Operation, Parser, Rejected, Time, names
from shipper.errors import ConfigError
from shipper.formats import Formats

GOLDEN = Path(__file__).parents[1] / "golden"
CTX = Context()
FORMATS = Formats()
PAYROLL = Parser(
    Format(name="payroll", module="payroll", vendor="Payroll", title="own", auto=False, options={"side": "which"}),
    lambda record, ctx: [Operation("log.message", "audit", message=record.decode())] if record else Rejected("empty"),
    "own",
)


def test_every_format_of_the_package_and_text_are_known():
    assert set(FORMATS.names()) == {*names(), "text"}
    assert FORMATS.names() == sorted(FORMATS.names())
    assert all(FORMATS.get(name).format.name == name for name in FORMATS.names())


def test_an_unknown_name_is_an_error_with_the_nearest_one():
    with pytest.raises(ConfigError) as caught:
        FORMATS.get("structlogg")
    assert caught.value.hint == "did you mean structlog?"
    with pytest.raises(ConfigError) as caught:
        FORMATS.get("zzzz")
    assert caught.value.hint == "run fieldtrail formats for the list"


def test_auto_has_to_be_decided_first():
    with pytest.raises(ConfigError):
        FORMATS.get("auto")


def test_own_formats_join_the_table_but_do_not_replace_a_built_in_one():
    assert Formats({"payroll": PAYROLL}).get("payroll") is PAYROLL
    for name in ("ecs", "auto", "text"):
        with pytest.raises(ConfigError):
            Formats({name: PAYROLL})


@pytest.mark.parametrize("name", names())
def test_auto_decides_right_on_the_normal_sample_of_each_format(name):
    samples = sorted((GOLDEN / name).glob("normal*.log"))
    assert samples, f"tests/golden/{name}/normal.log is missing"
    for sample in samples:
        assert FORMATS.judge(sample.read_bytes()[:65_536], CTX).format == name


ECS = b'{"@timestamp":"2026-03-01T17:04:05Z","ecs.version":"1.6.0"}\n'
OBJECT = b'{"who":"kim"}\n'


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"", "text"),
        (b"\n\r\n", "text"),
        (b"hello\nworld\n", "text"),
        (OBJECT, "json"),
        (OBJECT[:-1], "json"),
        (OBJECT * 3 + b'{"cut":', "json"),
        (ECS * 2 + OBJECT, "ecs"),
        (ECS + OBJECT, "ecs"),
        (ECS + OBJECT * 2, "json"),
        (ECS + b"noise\n" * 20, "ecs"),
        (b"\n\n" + ECS.replace(b"\n", b"\r\n"), "ecs"),
        (b"Feb  3 10:30:02 web1 app: x\nnoise\n", "syslog"),
        (b"[1,2]\n", "text"),
    ],
)
def test_auto_takes_the_format_that_understands_most(sample, expected):
    assert FORMATS.judge(sample, CTX).format == expected


def test_auto_never_takes_a_format_that_needs_configuration():
    assert Formats({"payroll": PAYROLL}).judge(b"anything\n", CTX).format == "text"


def test_text_refuses_every_line():
    assert FORMATS.get("text").parse(b"x", CTX) == Rejected("no format understands this line")


@pytest.mark.parametrize(
    ("name", "line", "whole"),
    [
        ("json", b'{"a":1}', True),
        ("ecs", b'{"a":1}', True),
        ("json", b' {"a":1}', True),
        ("django_auditlog", b'[{"a":1}]', True),
        ("json", b'{"a":1', False),
        ("json", b'{"a":1}x', False),
        ("json", b"12", False),
        ("json", b"", False),
        ("syslog", b"Feb  3 10:30:02 web1 app: x", False),
        ("text", b'{"a":1}', False),
    ],
)
def test_only_json_says_that_its_last_line_is_whole(name, line, whole):
    assert FORMATS.complete(name, line) is whole


# -- options ----------------------------------------------------------------------------------------------------------


def test_known_options_have_no_problem():
    assert FORMATS.check("auto", {}) == []
    assert FORMATS.check("django_auditlog", {"none_is_text": True}) == []
    assert FORMATS.check("syslog", {"inner": "structlog"}) == []
    assert FORMATS.check("syslog", {"inner": "django_auditlog", "none_is_text": True}) == []


@pytest.mark.parametrize(
    ("name", "options", "key", "words"),
    [
        ("ecss", {}, "format", "did you mean ecs?"),
        ("ecs", {"x": 1}, "options.x", "no options"),
        ("auto", {"x": 1}, "options.x", "no options"),
        ("django_auditlog", {"none_as_text": True}, "options.none_as_text", "did you mean none_is_text?"),
        ("syslog", {"inner": "ecss"}, "options.inner", "did you mean ecs?"),
        ("syslog", {"inner": "syslog"}, "options.inner", "cannot stand inside syslog"),
        ("syslog", {"inner": 5}, "options.inner", "name of a format"),
        ("syslog", {"none_is_text": True}, "options.none_is_text", "it has inner"),
    ],
)
def test_each_wrong_option_is_named(name, options, key, words):
    ((where, text),) = FORMATS.check(name, options)
    assert where == key
    assert words in text


# -- inside syslog ----------------------------------------------------------------------------------------------------


def inside(inner, line, formats=FORMATS):
    parser = formats.get("syslog", {"inner": inner})
    return parser, parser.parse(line, Context(options={"inner": inner}))


def test_an_inner_format_gives_the_events_and_the_envelope_adds_to_them():
    line = (
        b"<165>1 2026-02-03T10:30:00Z web1 hr-app 4711 - - "
        b'{"event":"saved","level":"error","timestamp":"2026-02-03T10:29:59.5Z","user_id":7}'
    )
    parser, (operation,) = inside("structlog", line)
    assert parser.format.name == "structlog" and parser.format.module == "structlog"
    assert operation.time == Time("2026-02-03T10:29:59.5Z")
    assert operation.message == "saved"
    assert operation.fields["log.level"] == "error"
    assert operation.fields["user.id"] == "7"
    assert (operation.fields["host.hostname"], operation.fields["process.pid"]) == ("web1", 4711)


def test_the_time_of_the_envelope_serves_where_the_message_has_none():
    _, (operation,) = inside("json", b'Feb  3 10:30:02 web1 app: @cee: {"who":"kim"}')
    assert operation.time == Time("Feb  3 10:30:02", "rfc3164")
    assert operation.raw == {"who": "kim"}


def test_a_message_that_the_inner_format_refuses_is_refused():
    _, found = inside("structlog", b"Feb  3 10:30:02 web1 app: hello")
    assert found == Rejected("inside syslog: not JSON")
    _, found = inside("structlog", b'{"event":"x","level":"info"}')
    assert isinstance(found, Rejected)


def test_an_own_format_can_stand_inside_syslog():
    _, (operation,) = inside("payroll", b"Feb  3 10:30:02 web1 app: hello", Formats({"payroll": PAYROLL}))
    assert (operation.message, operation.fields["process.name"]) == ("hello", "app")


@pytest.mark.parametrize("inner", ["auto", "text", "syslog", "nothing", 5])
def test_a_wrong_inner_format_is_a_configuration_error(inner):
    with pytest.raises(ConfigError):
        FORMATS.get("syslog", {"inner": inner})


def test_a_decision_says_how_sure_it_is():
    found = FORMATS.judge(ECS * 3 + b"noise\n", CTX)
    assert (found.format, found.accepted, found.records, found.share) == ("ecs", 3, 4, 0.75)
    assert FORMATS.judge(b"", CTX) == ("text", 0, 0, True) and FORMATS.judge(b"", CTX).share == 0.0


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"Feb  3 10:30:02 web1 app: user=kim ip=192.0.2.7\n", "syslog"),
        (b"user=kim ip=192.0.2.7 msg=hello\n", "kv"),
        (b"2026-02-03 10:30:00,123 INFO hr.pay: saved id=7 by=kim\n", "python_logging"),
        (b"when,who,what\n2026-02-03,kim,login\n", "csv"),
    ],
)
def test_of_several_formats_that_take_anything_the_one_that_says_most_is_taken(sample, expected):
    assert FORMATS.judge(sample, CTX).format == expected
