"""What the output of type `http` makes of answers; the wire is handed in."""

import hashlib
import hmac
import html
import json

import pytest

from shipper.config import parse
from shipper.errors import ConfigError, UnavailableError
from shipper.outputs import _http_wire
from shipper.outputs._bulk import Answer
from shipper.outputs.http import MOST_IN_A_ROW, TRIES, TURN, HttpOutput, signature, slack_message
from tests.shipped import batch, change, control, document, frames


class Wire:
    """`answer(body, headers)` -> a status, an `Answer`, or an exception to raise."""

    place = "https://hooks.example"

    def __init__(self, answer):
        self.answer, self.sent, self.closed = answer, [], False

    def post(self, body, headers):
        self.sent.append((body, headers))
        told = self.answer(body, headers)
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Answer) else Answer(told, {}, b"because")

    def close(self):
        self.closed = True


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def section(**keys):
    keys = {"id": "pager", "type": "http", "url": "https://hooks.example/in/s3cret", **keys}
    return parse(json.dumps({"outputs": [keys]}), "test", {}).outputs[0]


@pytest.fixture
def opened(monkeypatch):
    def build(answer=lambda body, headers: 204, stored=None, **keys):
        wire = Wire(answer)
        monkeypatch.setattr(_http_wire, "Wire", lambda section: wire)
        clock = Clock()
        output = HttpOutput(section(**keys), now=lambda: 1770114600.9, monotonic=clock)
        output.open(stored or {})
        output.wire, output.clock = wire, clock
        return output

    return build


def test_each_event_is_a_request_of_its_shipped_bytes_with_its_id(opened):
    output = opened(headers={"X-Team": "soc"})
    sent = batch(0, document(7, change()), document(8, change()))
    receipt = output.deliver(sent)
    assert (receipt.delivered, receipt.retry, receipt.error) == (2, [], "")
    assert [body for body, _ in output.wire.sent] == [one.data for one in sent.documents]
    assert [headers["X-Fieldtrail-Id"] for _, headers in output.wire.sent] == [one.id for one in sent.documents]
    assert output.wire.sent[0][1]["Content-Type"] == "application/json"
    assert output.wire.sent[0][1]["X-Team"] == "soc"


def test_control_documents_go_only_where_they_are_wanted(opened):
    sent = batch(0, control(0, "genesis"), document(1, change()))
    without, full = opened(), opened(control="full")
    assert (without.deliver(sent).delivered, len(without.wire.sent)) == (2, 1)
    assert (full.deliver(sent).delivered, len(full.wire.sent)) == (2, 2)


def test_ndjson_puts_as_many_events_into_a_request_as_it_may(opened):
    output = opened(body="ndjson", batch=3)
    sent = batch(0, *(document(k, change()) for k in range(7)))
    assert output.deliver(sent).delivered == 7
    assert [body.count(b"\n") for body, _ in output.wire.sent] == [3, 3, 1]
    assert b"".join(body for body, _ in output.wire.sent).splitlines() == [one.data for one in sent.documents]
    size = len(sent.documents[0].data) + 1
    small = opened(body="ndjson", batch_bytes=2 * size + 10)
    small.deliver(sent)
    assert max(len(body) for body, _ in small.wire.sent) <= 2 * size + 10
    assert len(small.wire.sent) == 4


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 401, 403, 302, 308, 404, 405, 410, 415, 100])
def test_an_answer_that_is_not_about_the_event_holds_everything_in_order(opened, status):
    answers = iter([204, status])
    output = opened(lambda body, headers: next(answers))
    sent = batch(0, *(document(k, change()) for k in range(4)))
    receipt = output.deliver(sent)
    assert receipt.delivered == 1
    assert list(receipt.retry) == list(sent.documents[1:])
    assert not receipt.refused
    assert str(status) in receipt.error
    assert "s3cret" not in receipt.error


def test_a_wait_that_the_receiver_asks_for_is_passed_on(opened):
    output = opened(lambda body, headers: Answer(429, {"retry-after": "17"}, b""))
    assert output.deliver(batch(0, document(0, change()))).retry_after == 17.0


def test_no_answer_holds_everything(opened):
    output = opened(lambda body, headers: UnavailableError("send over HTTP", "https://hooks.example", "reset", "curl"))
    receipt = output.deliver(batch(0, document(0, change())))
    assert len(receipt.retry) == 1
    assert "reset" in receipt.error


def test_an_event_that_is_refused_while_others_are_taken_becomes_a_dead_letter_after_some_tries(opened):
    output = opened(lambda body, headers: 422 if b"bad" in body else 204)
    sent = batch(0, *(document(k, change(message="bad" if k == 1 else "good")) for k in range(3)))
    receipt = output.deliver(sent)
    assert receipt.delivered == 2
    assert [one.index for one in receipt.retry] == [1]
    for _ in range(TRIES - 2):
        receipt = output.deliver(batch(0, *receipt.retry))
        assert len(receipt.retry) == 1
    receipt = output.deliver(batch(0, *receipt.retry))
    assert [(one.document.index, one.type, one.reason) for one in receipt.refused] == [(1, "http_422", "because")]
    assert receipt.error == ""


def test_a_receiver_that_has_never_taken_anything_is_waited_for(opened):
    output = opened(lambda body, headers: 400)
    receipt = output.deliver(batch(0, document(0, change())))
    for _ in range(3 * TRIES):
        receipt = output.deliver(batch(0, *receipt.retry))
        assert not receipt.refused
    assert "refuses an event with status 400" in receipt.error


def test_a_receiver_that_begins_to_refuse_everything_costs_few_dead_letters(opened):
    output = opened(lambda body, headers: 400, stored={"takes": True})
    sent = batch(0, *(document(k, change()) for k in range(10)))
    dead, pending = 0, sent.documents
    for _ in range(5 * TRIES):
        receipt = output.deliver(batch(0, *pending))
        dead, pending = dead + len(receipt.refused), receipt.retry
    assert dead == MOST_IN_A_ROW
    assert len(pending) == 10 - MOST_IN_A_ROW
    output.wire.answer = lambda body, headers: 204
    assert output.deliver(batch(0, *pending)).delivered == len(pending)
    assert output.flush() == {"takes": True}


def test_many_refused_events_stop_nothing_where_others_are_taken_beside_them(opened):
    output = opened(lambda body, headers: 413 if b"bad" in body else 204)
    sent = batch(0, *(document(k, change(message="bad" if k % 9 == 0 else "good")) for k in range(90)))
    receipt = output.deliver(sent)
    dead = len(receipt.refused)
    for _ in range(TRIES - 1):
        receipt = output.deliver(batch(0, *receipt.retry))
        dead += len(receipt.refused)
    assert (dead, receipt.retry, receipt.error) == (10, [], "")


@pytest.mark.parametrize("status", [400, 413])
def test_a_request_of_several_events_is_halved_until_the_one_is_found(opened, status):
    output = opened(lambda body, headers: status if b"bad" in body else 204, body="ndjson", batch=64)
    sent = batch(0, *(document(k, change(message="bad" if k == 41 else "good")) for k in range(64)))
    receipt = output.deliver(sent)
    assert receipt.delivered == 63
    assert [one.index for one in receipt.retry] == [41]


def test_a_turn_ends_after_some_seconds_and_nothing_is_called_failing(opened):
    output = opened()

    def slow(body, headers):
        output.clock.now += TURN / 2
        return 204

    output.wire.answer = slow
    sent = batch(0, *(document(k, change()) for k in range(9)))
    receipt = output.deliver(sent)
    assert receipt.delivered == 2
    assert list(receipt.retry) == list(sent.documents[2:])
    assert receipt.error == ""


def test_a_token_in_a_file_is_read_again_when_it_is_not_accepted(opened, tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")

    def answer(body, headers):
        return 204 if headers["authorization"] == "Bearer new" else 401

    output = opened(answer, auth={"bearer": {"token_file": str(file)}})
    sent = batch(0, document(0, change()))
    assert "not accepted (401)" in output.deliver(sent).error
    file.write_text("new\n")
    assert output.deliver(sent).delivered == 1


def test_a_secret_file_that_cannot_be_read_holds_everything_and_names_the_file(opened, tmp_path):
    file = tmp_path / "secret"
    file.write_text("one")
    output = opened(hmac={"secret_file": str(file)})
    file.unlink()
    receipt = output.deliver(batch(0, document(0, change())))
    assert len(receipt.retry) == 1
    assert str(file) in receipt.error


def test_every_request_is_signed_with_its_time_and_body(opened):
    output = opened(hmac={"secret": "k", "header": "X-Sig"})
    output.deliver(batch(0, document(0, change())))
    body, headers = output.wire.sent[0]
    expected = hmac.new(b"k", b"1770114600." + body, hashlib.sha256).hexdigest()
    assert headers["X-Sig"] == f"t=1770114600,v1={expected}" == signature("k", 1770114600, body)


def test_a_slack_message_says_what_happened_and_escapes_what_slack_would_read():
    event = change(message="<!channel> a & b\nchanged")
    text = json.loads(slack_message(document(3, event).data))["text"]
    lines = text.split("\n")
    assert lines[0] == "*field.update*"
    assert "<" not in text
    assert html.unescape(text).split("\n")[1:3] == ["<!channel> a & b", "changed"]
    assert "greenhouse:offer/55" in lines[-1]
    alert = change(**{"rule.name": "Salary changed at night", "message": "x" * 10_000})
    text = json.loads(slack_message(document(3, alert).data))["text"]
    assert text.startswith("*Salary changed at night*")
    assert len(text) == 3000


def test_every_document_is_accounted_for_whatever_is_answered(opened):
    answers = [204, 400, 429, 204, 413, 500, 404, 204]
    for turn in range(20):
        output = opened(lambda body, headers, turn=turn: answers[(len(body) + turn) % 8], body="ndjson", batch=4)
        for frame in frames(4):
            receipt = output.deliver(frame)
            assert receipt.delivered + len(receipt.refused) + len(receipt.retry) == len(frame.documents)
            indexes = [one.id for one in receipt.retry]
            assert indexes == [one.id for one in frame.documents if one.id in set(indexes)]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "hooks.example/x"}, "not a URL"),
        ({"url": "https://user:pw@hooks.example/x"}, "without user name"),
        ({"url": "https://hooks.example:99999/"}, "port"),
        ({"batch": 5}, "only for body: ndjson"),
        ({"body": "slack", "control": "full"}, "holds no sealed documents"),
        ({"headers": {"Authorization": "x"}}, "is set by the agent itself"),
        ({"headers": {"x-fieldtrail-id": "1"}}, "is set by the agent itself"),
        ({"headers": {"x-fieldtrail-SIGNATURE": "1"}, "hmac": {"secret": "k"}}, "is the signature's"),
        ({"headers": {"X-A": "a\nb"}}, "printable ASCII"),
        ({"auth": {"basic": {"username": "u", "password": "p"}, "bearer": {"token": "t"}}}, "one of basic and bearer"),
        ({"hmac": {"secret": "a", "secret_file": "b"}}, "exactly one"),
        ({"auth": {"bearer": {}}}, "exactly one"),
    ],
)
def test_a_section_that_cannot_work_is_refused(keys, said):
    with pytest.raises(ConfigError) as caught:
        section(**keys)
    assert said in caught.value.render()
    assert "pw" not in caught.value.render()


def test_the_address_and_own_headers_are_secrets():
    made = section(url="https://hooks.example/in/s3cret", headers={"X-Api-Key": "hunter2"})
    assert "s3cret" not in repr(made) + made.model_dump_json()
    assert "hunter2" not in repr(made) + made.model_dump_json()
