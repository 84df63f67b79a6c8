"""Results of verifications: what is handed over, what is refused, and what is sealed of them."""

import threading
from types import SimpleNamespace

import pytest

from shipper import recorded
from shipper.config import Config
from shipper.control import ControlServer, ask
from shipper.delivery import Request
from shipper.errors import UnavailableError
from shipper.generations import Generations
from shipper.recorded import Recorder, event_of, problem_of, record, result_of
from shipper.recover import State
from shipper.schema import check
from shipper.seal.verify import verify
from tests.sealed import START, Memory, edited, replaced, small_log, trust, without
from tests.tailing import StandingClock
from tests.unit.test_agent_parts import identity, nonces


def result(documents=None, **more):
    book = small_log()
    report = verify(Memory(documents(book) if documents else book.documents), trust(book))
    return {**result_of(report, "ndjson", None, None), **more}


def tampered(book):
    changed = replaced(book.documents, book.at(3), edited(b"changed", b"chanted"))
    return [*without(changed, book.at(8)), ("planted", b"{}")]


# -- what is handed over -----------------------------------------------------------------------------------------------


def test_a_clean_verification_is_a_success():
    found = result()
    assert problem_of(found) == ""
    assert (found["ok"], found["sealed"], found["found"], found["findings"]) == (True, 14, 14, 0)
    assert found["source"] == "ndjson memory"
    event = event_of(found, identity(), START)
    assert (event["event"]["action"], event["event"]["outcome"]) == ("seal.verify", "success")
    assert event["message"] == f"verified ndjson memory: {found['summary']}"
    assert event["trail"]["verify"].keys() == {*recorded.COUNTS, "source", "summary"}
    assert list(check(event)) == []


def test_what_was_found_is_counted():
    found = result(tampered)
    assert [found[name] for name in recorded.COUNTS] == [14, 12, 1, 1, 1, 3]
    assert problem_of(found) == ""
    assert event_of(found, identity(), START)["event"]["outcome"] == "failure"


def test_what_is_explained_is_no_finding():
    book = small_log()
    book.now += 86400
    book.control("retention", {"days": 1, "below": 11})
    book.checkpoint()
    report = verify(Memory(without(book.documents, book.at(3))), trust(book))
    found = result_of(report, "store", None, None)
    assert (found["ok"], found["missing"], found["findings"]) == (True, 0, 0)


def test_a_period_is_told_as_dates():
    event = event_of(result(since=START, until=START + 0.5), identity(), START)
    part = event["trail"]["verify"]
    assert (part["since"], part["until"]) == ("2026-02-03T10:30:00.000Z", "2026-02-03T10:30:00.500Z")
    assert list(check(event)) == []


# -- what comes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"ok": 1}, {"ok": False}, {"sealed": -1}, {"sealed": True}, {"sealed": 1.0}, {"sealed": "1"},
        {"found": 2**53}, {"findings": 3}, {"summary": ""}, {"summary": "x" * 1001}, {"summary": "a\nb"},
        {"summary": "\x1b[2J"}, {"summary": None}, {"source": ["x"]}, {"source": "\u202e"}, {"since": "2026-01-01"},
        {"since": -1}, {"until": 1e300}, {"until": True}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_result_that_is_none_is_refused_with_the_reason(change):
    value = {**result(), **change}
    problem = problem_of(value)
    assert problem and len(problem) < 60
    taken = []
    assert Recorder(taken.append, None, threading.Event()).record(value) == {"error": problem}
    assert taken == []


@pytest.mark.parametrize("value", [None, [], "x", 7, {}, {"ok": True}])
def test_what_is_not_even_a_result_is_refused(value):
    assert problem_of(value) == "not the result of a verification"


# -- the agent's side --------------------------------------------------------------------------------------------------


class Pipeline:
    """Serves requests at once; what they ask for is kept with frame 7."""

    def __init__(self, next_seq=8):
        self.journal, self.taken = SimpleNamespace(next_seq=next_seq), []

    def take(self, request):
        self.taken.append(request)
        request.frame = 7


def test_the_answer_comes_when_the_result_is_kept():
    pipeline = Pipeline()
    assert Recorder(pipeline.take, pipeline.journal, threading.Event()).record(result()) == {"recorded": True}
    assert [request.kind for request in pipeline.taken] == ["verify"]


def test_a_result_that_is_not_kept_in_time_is_no_success(monkeypatch):
    monkeypatch.setattr(recorded, "_PATIENCE", 0.0)
    pipeline = Pipeline(next_seq=7)
    answer = Recorder(pipeline.take, pipeline.journal, threading.Event()).record(result())
    assert "not kept yet" in answer["error"]
    assert [request.cancelled for request in pipeline.taken] == [True]


def test_an_agent_that_ends_takes_no_results():
    ending = threading.Event()
    ending.set()
    pipeline = Pipeline()
    assert Recorder(pipeline.take, pipeline.journal, ending).record(result()) == {"error": "the agent is stopping"}
    assert pipeline.taken == []


def test_more_callers_than_there_are_places_are_sent_away(monkeypatch):
    monkeypatch.setattr(recorded, "_PATIENCE", 0.0)
    pipeline = Pipeline()
    recorder = Recorder(pipeline.take, pipeline.journal, threading.Event())
    for _ in range(recorded._MOST):
        recorder._places.acquire()
    assert "busy" in recorder.record(result())["error"]
    recorder._places.release()
    assert recorder.record(result()) == {"recorded": True}
    assert recorder.record(result()) == {"recorded": True}, "its place is free again"


def test_the_pipeline_seals_it_in_the_health_stream(tmp_path):
    config = Config(agent={"state_dir": tmp_path, "name": "t1", "origin": "test.example/audit"})
    clock = StandingClock()
    made = Generations(config, identity(), None, State(), clock=clock, random_bytes=nonces(), once=False)
    made._begin("first", None)
    before = len(made.book.pending)
    made.serve(Request("verify", result(), cancelled=True), [])
    assert len(made.book.pending) == before, "its caller was told that it is not kept"
    made.serve(Request("verify", result()), [])
    event = made.book.pending[-1]
    assert event["event"]["action"] == "seal.verify"
    assert event["data_stream"]["dataset"] == "fieldtrail.health"


# -- over the socket ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    pipeline = Pipeline()
    recorder = Recorder(pipeline.take, pipeline.journal, threading.Event())
    made = ControlServer(tmp_path / "control.sock", lambda: {"ok": 1}, {"record": recorder.record})
    made.begin()
    yield made
    made.close()
    made.join(10)


def test_a_result_goes_over_the_socket(server, tmp_path):
    record(tmp_path, result())


@pytest.mark.parametrize("value", [None, {"ok": "\x1b"}, [1] * 1000, {"summary": "x" * 50_000}])
def test_a_hostile_value_is_answered_and_the_server_goes_on(server, tmp_path, value):
    (answer,) = ask(tmp_path, {"cmd": "record", "value": value}, timeout=5)
    assert answer == {"error": "not the result of a verification"}
    assert list(ask(tmp_path, {"cmd": "status"}, timeout=5)) == [{"ok": 1}]


@pytest.mark.parametrize("command", [["record"], {"record": 1}, 7, None, "recorder"])
def test_a_command_that_is_none_is_not_answered(server, tmp_path, command):
    assert list(ask(tmp_path, {"cmd": command, "value": {}}, timeout=5)) == []


def test_a_refusal_and_a_missing_agent_are_errors_with_a_hint(server, tmp_path):
    with pytest.raises(UnavailableError, match="ok: not true or false") as caught:
        record(tmp_path, result(ok=2))
    assert (caught.value.exit_code, caught.value.hint) == (69, "fieldtrail status")
    with pytest.raises(UnavailableError) as caught:
        record(tmp_path / "nowhere", result())
    assert caught.value.hint == "fieldtrail run"
