"""The format python_logging: the usual forms, access lines, and tracebacks with the error that counts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import Context, Rejected, Time
from parsers.python_logging import FORMAT, LITERALS, parse
from tests.parser_checks import assert_sound

CTX = Context()
CLOCK = "2026-02-03 10:30:00,123"
FORMS = [
    (f"{CLOCK} - hr.api - ERROR - no", "ERROR", "hr.api"),
    (f"{CLOCK} | ERROR | hr.api | no", "ERROR", "hr.api"),
    (f"{CLOCK} ERROR hr.api: no", "ERROR", "hr.api"),
    (f"{CLOCK} ERROR [hr.api] no", "ERROR", "hr.api"),
    (f"{CLOCK} [ERROR] hr.api: no", "ERROR", "hr.api"),
    (f"{CLOCK} hr.api ERROR no", "ERROR", "hr.api"),
    (f"[{CLOCK}] [hr.api] ERROR: no", "ERROR", "hr.api"),
    (f"{CLOCK} ERROR no", "ERROR", None),
    (f"ERROR {CLOCK} hr.api 4711 1401 no", "ERROR", "hr.api"),
    (f"[{CLOCK}: ERROR/MainProcess] no", "ERROR", None),
    ("[2026-02-03 10:30:00 +0000] [4711] [ERROR] no", "ERROR", None),
    ("ERROR:hr.api:no", "ERROR", "hr.api"),
    ("ERROR:    no", "ERROR", None),
    ("[ERROR] no", "ERROR", None),
]
TRACE = (
    f"{CLOCK} - hr - ERROR - could not save\n"
    "Traceback (most recent call last):\n"
    '  File "a.py", line 1, in f\n'
    "    g()\n"
    "ValueError: first\n"
    "\n"
    "During handling of the above exception, another exception occurred:\n"
    "\n"
    "Traceback (most recent call last):\n"
    '  File "b.py", line 2, in h\n'
    "hr.errors.SaveError: second\n"
    "and more"
)


def one(record):
    found = parse(record.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


@pytest.mark.parametrize(("line", "level", "logger"), FORMS)
def test_the_usual_forms_are_read(line, level, logger):
    operation = one(line)
    assert (operation.action, operation.kind, operation.message) == ("log.message", "log", "no")
    assert operation.fields["log.level"] == level
    assert operation.fields.get("log.logger") == logger
    assert (operation.time is None) is not any(char.isdigit() for char in line)


def test_a_process_id_in_brackets_is_one():
    assert one(FORMS[10][0]).fields["process.pid"] == 4711
    assert one(FORMS[8][0]).fields["process.thread.id"] == 1401


def test_an_access_line_of_uvicorn_is_a_request():
    operation = one('INFO:     192.0.2.10:50112 - "GET /a?b=1 HTTP/1.1" 404 Not Found')
    assert (operation.action, operation.kind, operation.outcome) == ("http.request", "access", "failure")
    assert operation.fields == {
        "log.level": "INFO",
        "http.request.method": "GET",
        "url.original": "/a?b=1",
        "url.path": "/a",
        "url.query": "b=1",
        "http.version": "1.1",
        "http.response.status_code": 404,
        "source.ip": "192.0.2.10",
        "source.port": 50112,
    }


def test_the_client_of_uvicorn_may_be_ipv6():
    fields = one('INFO:     2001:db8::1:50112 - "GET / HTTP/1.1" 200').fields
    assert (fields["source.ip"], fields["source.port"]) == ("2001:db8::1", 50112)


def test_a_line_of_djangos_server_is_a_request():
    operation = one('[03/Feb/2026 10:30:04] "POST /login/ HTTP/1.1" 200 2519')
    assert (operation.action, operation.outcome) == ("http.request", "success")
    assert operation.time == Time("03/Feb/2026 10:30:04", "%d/%b/%Y %H:%M:%S")
    assert operation.fields["http.response.body.bytes"] == 2519


def test_a_traceback_has_the_error_that_came_last():
    operation = one(TRACE)
    assert operation.message == "could not save"
    assert operation.fields["error.type"] == "hr.errors.SaveError"
    assert operation.fields["error.message"] == "second\nand more"
    assert operation.fields["error.stack_trace"] == TRACE.partition("\n")[2]


def test_further_lines_without_a_traceback_belong_to_the_message():
    assert one("ERROR:hr:a\nb\nc").message == "a\nb\nc"


def test_pairs_in_the_message_are_kept_by_name_too():
    operation = one("INFO:hr:saved employee=55 by=kim")
    assert operation.raw == {"employee": "55", "by": "kim"}
    assert operation.message == "saved employee=55 by=kim"


GROUP = "\n".join(
    (
        f"{CLOCK} ERROR hr.api: a group",
        "  + Exception Group Traceback (most recent call last):",
        '  |   File "x.py", line 1, in <module>',
        "  | ExceptionGroup: two at once (2 sub-exceptions)",
        "  +-+---------------- 1 ----------------",
        "    | ValueError: a",
        "    +------------------------------------",
    )
)
STACK = 'Stack (most recent call last):\n  File "x.py", line 2, in <module>'


def test_of_a_group_of_exceptions_the_groups_own_line_is_the_error():
    fields = one(GROUP).fields
    assert (fields["error.type"], fields["error.message"]) == ("ExceptionGroup", "two at once (2 sub-exceptions)")
    assert fields["error.stack_trace"] == GROUP.partition("\n")[2]


def test_an_exception_that_a_group_caused_is_the_error():
    last = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: 1'
    text = f"{GROUP}\n\nThe above exception was the direct cause of the following exception:\n\n{last}"
    assert one(text).fields["error.type"] == "KeyError"


def test_a_stack_that_was_asked_for_is_no_error():
    operation = one(f"{CLOCK} INFO hr.api: here\n{STACK}")
    assert (operation.message, operation.fields["error.stack_trace"]) == ("here", STACK)
    assert "error.type" not in operation.fields


def test_a_stack_behind_a_traceback_is_no_part_of_the_errors_text():
    text = f'{CLOCK} ERROR hr.api: x\nTraceback (most recent call last):\n  File "x.py", line 1\nKeyError: 1\n{STACK}'
    assert (one(text).fields["error.type"], one(text).fields["error.message"]) == ("KeyError", "1")


def test_flasks_module_is_the_logger():
    operation = one(f"[{CLOCK}] INFO in views: saved")
    assert (operation.message, operation.fields["log.logger"]) == ("saved", "views")


def test_secrets_are_dropped():
    record = TRACE.replace("could not save", "password=hunter2 token=hunter2").replace("second", "password=hunter2")
    assert "hunter2" not in repr(one(record))


def test_every_form_begins_a_record_and_no_further_line_does():
    begins = re.compile(FORMAT.start).match
    assert all(begins(line.encode()) for line, _, _ in FORMS)
    assert begins(b'[03/Feb/2026 10:30:04] "GET / HTTP/1.1" 200 1')
    assert not any(begins(line.encode()) for line in TRACE.splitlines()[1:])


@pytest.mark.parametrize(
    "line", [f"{CLOCK} hello world", "[03/Feb/2026 10:30:04] x", "ERROR", "[ERROR]x", '{"level":"INFO"}', ""]
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line, _, _ in FORMS:
        assert any(literal in line.encode() for literal in LITERALS)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([line for line, _, _ in FORMS] + [TRACE]), st.integers(0, 120), st.binary(max_size=6))
def test_a_damaged_record_yields_a_sound_result(record, at, piece):
    data = record.encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
