"""A real program logs by the standard library, structlog, ecs-logging and Django; its events say what it logged."""

import importlib.util
import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.components import absent
from tests.e2e.agent_process import environment, run

PROGRAM = Path(__file__).with_name("logging_program.py")
ZONE, TZ = "Asia/Kolkata", "IST-5:30"
"""The program's zone, by name and as a rule that needs no table of zones."""
TIMELESS = ("basic",)
WHOLE_SECONDS = ("short", "offset", "gunicorn")
WITHOUT_LOGGER = ("short", "gunicorn", "celery")
BY_MODULE = ("flask", "django")
WITH_PROCESS = ("gunicorn", "django")
LAYOUTS = (
    *("basic", "dashes", "colon", "colons", "level_in_brackets", "name_in_brackets", "all_in_brackets", "padded"),
    *("cookbook", "short", "offset", "flask", "gunicorn", "celery", "django", "place"),
)
FILES = {
    **dict.fromkeys((*LAYOUTS, "django_server"), "python_logging"),
    **dict.fromkeys(("structlog", "structlog_dicts", "structlog_stdlib"), "structlog"),
    **dict.fromkeys(("ecs", "ecs_structlog"), "ecs"),
}
"""Log -> the format that reads it."""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder that the program filled, and when."""
    for name in ("ecs_logging", "structlog", "django"):
        if importlib.util.find_spec(name) is None:
            absent(f"there is no {name}: pip install ecs-logging structlog django")
    folder = tmp_path_factory.mktemp("logs")
    begin = time.time()
    subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], check=True, timeout=60, env=environment(folder, TZ=TZ), cwd=folder
    )
    return folder, begin, time.time()


@pytest.fixture(scope="module")
def parse(logs):
    """`parse(name, format)`: the events that the command line makes of a log; of all logs of a format in one go."""
    made = {}

    def call(name, kind):
        if kind not in made:
            names = [one for one, of in FILES.items() if kind in (of, "auto")]
            paths = [logs[0] / f"{one}.log" for one in names]
            done = run("parse", "--format", kind, "--timezone", ZONE, *paths, home=logs[0])
            made[kind] = {str(path): [] for path in paths}
            for line in filter(None, done.out.split("\n")):
                event = json.loads(line)
                made[kind][event["trail"]["origin"]["path"]].append(event)
        return made[kind][str(logs[0] / f"{name}.log")]

    return call


def truth(logs, name):
    return [json.loads(line) for line in (logs[0] / f"{name}.truth").read_text().splitlines()]


def at(event, path):
    """The value at a dotted path, None where there is none."""
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def moment(event):
    return datetime.fromisoformat(event["@timestamp"]).timestamp()


def hidden(text):
    return text.replace("hunter2", "(withheld)")


@pytest.mark.parametrize("kind", ["python_logging", "auto"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_gives_what_the_program_logged(logs, parse, name, kind):
    events, known = parse(name, kind), truth(logs, name)
    assert [event["event"]["module"] for event in events] == ["python_logging"] * len(known)
    for event, one in zip(events, known, strict=True):
        message = hidden(one["message"])
        if name == "place":
            message = f"{PROGRAM.name}:{one['line']} - {message}"
        assert event["message"] == message
        assert at(event, "log.level") == one["level"]
        logger = None if name in WITHOUT_LOGGER else one["module"] if name in BY_MODULE else one["logger"]
        assert at(event, "log.logger") == logger
        assert at(event, "process.pid") == (one["process"] if name in WITH_PROCESS else None)
        if name not in TIMELESS:
            assert 0 <= one["time"] - moment(event) < (1 if name in WHOLE_SECONDS else 0.002)
        if "stack" in one:
            assert at(event, "error.stack_trace") == one["stack"]
            assert at(event, "error.type") == one["error"]
            # A note stands behind the text, and nothing says where the text ends.
            assert (at(event, "error.message") or "").startswith(one["error_text"])
        else:
            assert at(event, "error.type") is None
    assert at(events[0], "trail.raw.version") == "4.2.0"
    assert "hunter2" not in json.dumps(events)


def test_a_stack_that_was_asked_for_is_no_part_of_the_message(parse):
    (event,) = [event for event in parse("colon", "python_logging") if event["message"] == "stack asked for"]
    assert at(event, "error.stack_trace").startswith("Stack (most recent call last):\n")


@pytest.mark.parametrize("kind", ["structlog", "auto"])
@pytest.mark.parametrize("name", ["structlog", "structlog_dicts", "structlog_stdlib"])
def test_structlog_gives_who_what_old_new_and_the_failure(logs, parse, name, kind):
    events = parse(name, kind)
    assert {event["event"]["module"] for event in events} == {"structlog"}
    mine = events[:7]
    assert [event["event"]["action"] for event in mine] == [
        *("log.message", "field.update", "field.update", "auth.login", "record.create", "log.message", "log.message")
    ]
    for event in mine:
        assert (at(event, "user.id"), at(event, "user.name"), at(event, "source.ip")) == ("7", "kim", "192.0.2.10")
        assert (at(event, "trail.session.id"), at(event, "http.request.id")) == ("s-81", "r-1")
        assert logs[1] - 1e-6 <= moment(event) <= logs[2]
    salary, size, login, created, failed, stack = mine[1:]
    change = salary["trail"]["change"]
    assert (change["field"], change["old"], change["new"]) == ("salary", "90000", "1.5")
    change = size["trail"]["change"]
    assert (change["field"], change.get("old"), change["new"]) == ("größe", None, "x\n")
    assert change["old_state"] == "null"
    assert (at(salary, "trail.object.type"), at(salary, "trail.object.id")) == ("employee", "55")
    assert (at(login, "event.outcome"), at(login, "log.level")) == ("failure", "warning")
    assert (at(created, "trail.object.id"), at(created, "event.outcome")) == ("56", "success")
    assert "SaveError" in (at(failed, "error.type") or at(failed, "error.stack_trace"))
    assert "was not saved" in json.dumps(failed["error"])
    assert at(stack, "error.stack_trace").startswith("Stack (most recent call last):\n")
    assert "hunter2" not in json.dumps(events)
    if name == "structlog_dicts":
        assert at(failed, "error.type") == "SaveError"
        assert at(failed, "log.origin.file.name") == PROGRAM.name
        assert at(failed, "log.origin.function") == "facts"
    if name == "structlog_stdlib":
        assert {at(event, "log.logger") for event in events} == {"hr.structlog"}
        assert [event["message"] for event in events[7:]] == ["from the standard library"]


@pytest.mark.parametrize("kind", ["ecs", "auto"])
def test_ecs_logging_gives_what_the_program_logged(logs, parse, kind):
    events, known = parse("ecs", kind), truth(logs, "ecs")
    assert [event["event"]["module"] for event in events] == ["ecs"] * len(known)
    for event, one in zip(events, known, strict=True):
        assert event["message"] == hidden(one["message"])
        assert (at(event, "log.level"), at(event, "log.logger")) == (one["level"].lower(), one["logger"])
        assert (at(event, "log.origin.file.line"), at(event, "log.origin.function")) == (one["line"], one["function"])
        assert (at(event, "process.pid"), at(event, "process.thread.id")) == (one["process"], one["thread"])
        assert at(event, "service.name") == "hr"
        assert 0 <= one["time"] - moment(event) < 0.002
        assert at(event, "error.type") == one.get("error")
        assert (at(event, "error.message") or "") == one.get("error_text", "")
    assert "hunter2" not in json.dumps(events)
    login = events[-1]
    assert (login["event"]["action"], login["event"]["outcome"]) == ("auth.login", "failure")
    assert (at(login, "user.id"), at(login, "user.name"), at(login, "source.ip")) == ("7", "kim", "192.0.2.10")
    assert (at(login, "trail.session.id"), at(login, "trail.raw.order")) == ("s-81", 5)


def test_the_structlog_formatter_of_ecs_logging_is_read_as_ecs(parse):
    for kind in ("ecs", "auto"):
        login, warning = parse("ecs_structlog", kind)
        assert (login["event"]["module"], login["event"]["action"]) == ("ecs", "auth.login")
        assert (at(login, "user.id"), at(login, "source.ip")) == ("7", "192.0.2.10")
        assert (warning["message"], at(warning, "user.name"), at(warning, "log.level")) == ("größe", "kim", "warning")


@pytest.mark.parametrize("kind", ["python_logging", "auto"])
def test_djangos_development_server_gives_each_request(logs, parse, kind):
    events, known = parse("django_server", kind), truth(logs, "django_server")
    assert [event["event"]["action"] for event in events] == ["http.request"] * len(known)
    for event, one in zip(events, known, strict=True):
        assert at(event, "http.request.method") == one["method"]
        assert at(event, "url.original") == hidden(one["target"])
        assert at(event, "http.response.status_code") == one["status"]
        assert at(event, "http.response.body.bytes") == one["size"]
        assert event["event"]["outcome"] == ("success" if one["status"] < 400 else "failure")
        assert int(logs[1]) <= moment(event) <= logs[2]
    assert "hunter2" not in json.dumps(events)
