import pytest
import trustme

from shipper.errors import ConfigError
from shipper.output_sections import SyslogSection
from shipper.outputs._relp_session import Session, SessionEndedError
from shipper.outputs.relp import TRIES, RelpOutput
from tests.receivers import msg
from tests.relp_receiver import Clock, EndedError, Relp, Wire
from tests.shipped import batch, change, checkpoint, control, document, frames


class Bench:
    """An output whose connections lead to receivers without a socket; `relps[k]` is the k-th session's."""

    def __init__(self, monkeypatch, answer, **section):
        self.clock, self.relps, self.wires, self.down = Clock(), [], [], None
        values = {"id": "soc", "type": "syslog", "address": "relp://192.0.2.1:2514", "control": "full", **section}
        self.output = RelpOutput(SyslogSection(**values), hostname="hr-app-03", monotonic=self.clock)
        self.answer = answer
        monkeypatch.setattr(self.output._target, "connect", self.connect)
        self.output.open({})

    def connect(self):
        if self.down is not None:
            raise self.down
        self.relps.append(Relp(self.answers))
        self.wires.append(Wire(self.relps[-1], self.clock))
        return self.wires[-1]

    def answers(self, text):
        return self.answer(text)  # as the test has set it by now

    def arrived(self):
        return [msg(text) for relp in self.relps for text in relp.messages]


@pytest.fixture
def bench(monkeypatch):
    def build(answer=lambda text: b"200 OK", **section):
        return Bench(monkeypatch, answer, **section)

    return build


def data(*batches):
    return [doc.data for frame in batches for doc in frame.documents]


def number(text):
    """The leaf index of a message of ours, -1 for a checkpoint."""
    return int(text.split(b' i="')[1].split(b'"')[0]) if b' i="' in text else -1


def test_one_session_carries_batch_after_batch(bench):
    made = bench()
    for frame in frames(4):
        receipt = made.output.deliver(frame)
        assert (receipt.delivered, list(receipt.refused), list(receipt.retry), receipt.error) == (5, [], [], "")
    assert made.arrived() == data(*frames(4))
    assert len(made.relps) == 1


def test_it_does_not_confirm_by_frame_number_so_frames_may_be_merged(bench):
    assert not hasattr(bench().output, "confirmed_seq")


def test_what_was_not_acknowledged_is_sent_again_byte_for_byte_in_order(bench):
    gone = []

    def answer(text):
        if number(text) == 150 and not gone:
            gone.append(text)
            raise EndedError
        return b"200 OK"

    made = bench(answer, window=32)
    sent = batch(0, *(document(k) for k in range(300)))
    receipt = made.output.deliver(sent)
    assert receipt.delivered + len(receipt.retry) == 300
    assert receipt.retry == list(sent.documents)[receipt.delivered :]
    assert 118 <= receipt.delivered <= 150
    assert "relp://192.0.2.1:2514" in receipt.error and "closed" in receipt.error
    again = made.output.deliver(batch(0, *receipt.retry))
    assert again.delivered == len(receipt.retry)
    first, second = (relp.messages for relp in made.relps)
    assert [number(text) for text in first] == list(range(150))
    assert [number(text) for text in second] == list(range(receipt.delivered, 300))
    repeated = set(first) & set(second)
    assert {number(text) for text in repeated} == set(range(receipt.delivered, 150))


def test_a_receiver_that_went_away_while_nothing_was_sent_costs_no_retry(bench):
    made = bench()
    made.output.deliver(frames()[0])
    made.wires[0].answers, made.wires[0].over = b"0 serverclose 0\n", True
    assert made.output.deliver(frames()[1]).delivered == 5
    assert len(made.relps) == 2 and made.wires[0].closed
    assert made.arrived() == data(*frames(2))


def test_a_receiver_that_is_down_is_a_retry_of_everything(bench):
    made = bench()
    made.down = ConnectionRefusedError(111, "Connection refused")
    receipt = made.output.deliver(frames()[0])
    assert (receipt.delivered, receipt.retry) == (0, list(frames()[0].documents))
    assert receipt.error == "syslog relp://192.0.2.1:2514: Connection refused"
    made.down = None
    assert made.output.deliver(frames()[0]).delivered == 5


def test_a_receiver_that_does_not_answer_is_a_retry_within_the_timeout(bench):
    made = bench(lambda text: None, timeout=7)
    receipt = made.output.deliver(frames()[0])
    assert receipt.delivered == 0 and "no answer in time" in receipt.error
    assert made.clock.now <= 1007 and made.wires[0].closed


def test_a_receiver_that_speaks_something_else_is_a_retry_that_says_so(bench):
    made = bench(lambda text: b"maybe")
    receipt = made.output.deliver(frames()[0])
    assert receipt.delivered == 0 and "without a code: maybe" in receipt.error


def test_a_message_over_the_limit_is_refused_and_the_others_go(bench):
    made = bench(max_bytes=2000)
    huge = document(1, change(message="x" * 3000))
    receipt = made.output.deliver(batch(0, document(0), huge, document(2)))
    assert [(refusal.document, refusal.type) for refusal in receipt.refused] == [(huge, "message_too_long")]
    assert (receipt.delivered, list(receipt.retry)) == (2, [])


def test_control_documents_that_are_not_wanted_count_as_delivered_without_being_sent(bench):
    made = bench(control="none")
    receipt = made.output.deliver(batch(0, document(0), control(1), checkpoint(2)))
    assert receipt.delivered == 3 and made.arrived() == [document(0).data]
    assert made.output.deliver(batch(1, control(3))).delivered == 1


# -- what is refused for good, and what is not -------------------------------------------------------------------------


def tries(made, pending, most=100):
    """Deliver until nothing is left; the receipts."""
    receipts = []
    while pending:
        receipts.append(made.output.deliver(batch(0, *pending)))
        pending = receipts[-1].retry
        assert len(receipts) <= most
    return receipts


def test_a_message_that_is_refused_while_others_are_taken_becomes_a_dead_letter(bench):
    made = bench(lambda text: b"500 cannot parse" if number(text) == 3 else b"200 OK")
    receipts = tries(made, [document(k) for k in range(10)])
    assert len(receipts) == TRIES
    assert receipts[0].delivered == 9 and "code 500" in receipts[0].error
    assert "cannot parse" not in receipts[0].error
    (refusal,) = receipts[-1].refused
    assert (refusal.document, refusal.type) == (document(3), "relp_refused") and "cannot parse" in refusal.reason
    assert sum(receipt.delivered for receipt in receipts) == 9


def test_the_last_message_of_a_batch_can_be_the_refused_one(bench):
    made = bench(lambda text: b"500 cannot parse" if number(text) == 9 else b"200 OK")
    receipts = tries(made, [document(k) for k in range(10)])
    assert [refusal.document for refusal in receipts[-1].refused] == [document(9)]


def test_a_receiver_that_refuses_everything_makes_no_dead_letters(bench):
    made = bench(lambda text: b"500 command disabled")
    pending = list(frames()[0].documents)
    for _ in range(TRIES * 4):
        receipt = made.output.deliver(batch(0, *pending))
        assert (receipt.delivered, list(receipt.refused), receipt.retry) == (0, [], pending)
    made.answer = lambda text: b"200 OK"
    assert made.output.deliver(batch(0, *pending)).delivered == 5


def test_a_receiver_whose_disk_fills_up_in_the_middle_makes_no_dead_letters(bench):
    made = bench(lambda text: b"200 OK" if number(text) < 50 else b"500 disk full")
    receipt = made.output.deliver(batch(0, *(document(k) for k in range(100))))
    assert receipt.delivered == 50
    for _ in range(TRIES * 4):
        receipt = made.output.deliver(batch(0, *receipt.retry))
        assert not receipt.refused and len(receipt.retry) == 50
    made.answer = lambda text: b"200 OK"
    assert made.output.deliver(batch(0, *receipt.retry)).delivered == 50


def ends_at(*bad):
    def answer(text):
        if number(text) in bad:
            raise EndedError
        return b"200 OK"

    return answer


def test_a_message_longer_than_any_at_which_the_session_always_ends_becomes_a_dead_letter(bench):
    made = bench(ends_at(40))
    documents = [document(k) for k in range(40)] + [document(40, change(message="x" * 9000))]
    documents += [document(k) for k in range(41, 200)]
    receipts = tries(made, documents)
    refused = [refusal for receipt in receipts for refusal in receipt.refused]
    assert [(refusal.document, refusal.type) for refusal in refused] == [(documents[40], "relp_session_ended")]
    assert "times at this message of 9" in refused[0].reason
    assert sum(receipt.delivered for receipt in receipts) == 199
    firsts = list(dict.fromkeys(number(text) for relp in made.relps for text in relp.messages))
    assert firsts == [k for k in range(200) if k != 40]


def test_a_message_that_is_not_the_longest_is_not_blamed_for_the_end_of_the_session(bench):
    made = bench(ends_at(5))
    made.output.deliver(batch(0, document(0, change(message="x" * 9000))))
    receipt = made.output.deliver(batch(1, *(document(k) for k in range(1, 10))))
    for _ in range(TRIES * 4):
        receipt = made.output.deliver(batch(1, *receipt.retry))
        assert not receipt.refused
    assert receipt.retry[0] == document(5)
    made.answer = lambda text: b"200 OK"
    assert made.output.deliver(batch(1, *receipt.retry)).delivered == len(receipt.retry)


def test_the_first_message_ever_is_not_blamed_for_the_end_of_the_session(bench):
    made = bench(ends_at(0))
    receipt = made.output.deliver(frames()[0])
    for _ in range(TRIES * 4):
        receipt = made.output.deliver(batch(0, *receipt.retry))
        assert not receipt.refused and len(receipt.retry) == 5


def test_how_long_a_message_the_receiver_took_is_remembered_over_a_restart(bench):
    made = bench()
    assert made.output.flush() == {}
    made.output.deliver(frames()[0])
    state = made.output.flush()
    assert state["longest"] == max(len(text) for relp in made.relps for text in relp.messages)
    again = bench(ends_at(7))
    again.output.open(state)
    receipts = tries(again, [document(7, change(message="x" * 9000)), document(8)])
    assert [refusal.document.index for receipt in receipts for refusal in receipt.refused] == [7]


def test_a_connection_that_fails_is_no_mark_against_a_message(bench):
    made = bench()
    made.output.deliver(frames()[0])
    long = batch(1, document(50, change(message="x" * 9000)))
    made.answer = lambda text: None
    for _ in range(TRIES * 3):
        assert not made.output.deliver(long).refused  # no answer in time
    made.down = ConnectionRefusedError(111, "Connection refused")
    for _ in range(TRIES * 3):
        assert not made.output.deliver(long).refused
    made.down, made.answer = None, lambda text: b"200 OK"
    assert made.output.deliver(long).delivered == 1


# -- configuration and certificates ------------------------------------------------------------------------------------


def section(**values):
    return SyslogSection(**{"id": "soc", "type": "syslog", **values})


@pytest.mark.parametrize("address", ["soc.example:6514", "192.0.2.1:6514", "[2001:db8::1]:6514"])
def test_an_address_without_a_scheme_is_tls(address):
    assert section(address=address).address == f"tls://{address}"
    assert section(address=address).transport == "tls"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"address": "relp://h.example:1", "framing": "newline"}, "framing"),
        ({"address": "tls://h.example:1", "window": 5}, "window"),
        ({"address": "tcp://h.example:1", "tls": {"verify": False}}, "tls"),
        ({"address": "relp://h.example:1", "tls": {"ca": "x.pem"}}, "tls"),
        ({"address": "relp://h.example:1", "window": 0}, "window"),
        ({"address": "relp://h.example:1", "window": 1001}, "window"),
        ({"address": "relpx://h.example:1"}, "address"),
        ({"address": "h.example"}, "address"),
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(values, name):
    with pytest.raises(ValueError, match=name):
        section(**values)


def test_certificates_are_read_again_for_each_connection(tmp_path):
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    output = RelpOutput(section(address="relps://127.0.0.1:9", tls={"ca": ca}), hostname="h")
    output.open({})
    ca.write_text("half a cert")
    receipt = output.deliver(frames()[0])
    assert receipt.delivered == 0 and "ca.pem" in receipt.error and "hint: openssl x509" in receipt.error
    with pytest.raises(ConfigError, match=r"tls\.ca"):
        output.open({})


def test_it_cannot_be_asked_and_has_no_cursor_of_its_own(bench):
    output = bench().output
    assert output.highest("9f2c61d0aa01b3e7") is None and output.cursor() is None


def test_a_receiver_that_ends_the_session_right_after_its_last_answer_has_taken_everything(bench, monkeypatch):
    made = bench()
    plain = Session.send

    def send(session, *args):
        answers = plain(session, *args)
        answers.error = SessionEndedError("the receiver ends the session")
        return answers

    monkeypatch.setattr(Session, "send", send)
    frame = frames(1)[0]
    receipt = made.output.deliver(frame)
    assert (receipt.delivered, list(receipt.refused), list(receipt.retry)) == (5, [], [])
    assert made.output._ends == 0


def test_refusals_of_messages_that_are_taken_later_are_forgotten(bench):
    made = bench(lambda text: b"500 busy")
    frame = frames(1)[0]
    assert made.output.deliver(frame).retry
    assert made.output._refused
    made.answer = lambda text: b"200 OK"
    assert not made.output.deliver(frame).retry
    assert not made.output._refused
