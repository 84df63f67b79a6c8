"""The syslog output against real rsyslog and syslog-ng, each an own process with its own configuration on loopback.

Install them beside each other with tests/integration/install_receivers.sh; without them these tests are skipped, or
fail where FIELDTRAIL_REQUIRE_COMPONENTS=1.
"""

import time

import pytest

from shipper.output_sections import SyslogSection
from shipper.outputs._stream import Stream
from shipper.outputs.syslog import SyslogOutput
from tests.integration.receivers_real import RECEIVERS, issue, until
from tests.shipped import batch, change, checkpoint, control, document


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """The folder that `issue` filled."""
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def start(tmp_path, pki):
    started = []

    def begin(name, transport, **options):
        receiver = RECEIVERS[name](tmp_path, transport, pki, **options)
        started.append(receiver)
        return receiver.start()

    yield begin
    for receiver in started:
        receiver.stop()


@pytest.fixture
def output_to(pki):
    outputs = []

    def build(receiver, tls=None, **values):
        if receiver.transport == "tls":
            values["tls"] = {"ca": pki / "ca.pem", **(tls or {})}
        address = f"{receiver.transport}://127.0.0.1:{receiver.port}"
        section = SyslogSection(id="soc", type="syslog", address=address, **values)
        output = SyslogOutput(section, hostname="hr-app-03")
        output.open({})
        outputs.append(output)
        return output

    yield build
    for output in outputs:
        output.close()


HARD = [
    change(message="Zoë 变更 😀 \u202e\u2028"),
    change(message='quotes " and \\ and ] and line\nbreak \t \x00\x1b\x7f'),
    change(message="x" * 60_000),
    change(message="ü" * 30_000),
    change(message=""),
]
DOCUMENTS = [document(k, event) for k, event in enumerate(HARD)] + [document(k) for k in range(5, 200)]


@pytest.mark.parametrize("name", RECEIVERS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_every_message_arrives_byte_for_byte(start, output_to, name, transport):
    receiver = start(name, transport)
    output = output_to(receiver, control="full")
    sent = [*DOCUMENTS, control(200), checkpoint(201)]
    receipt = output.deliver(batch(0, *sent))
    assert (receipt.delivered, receipt.error) == (len(sent), "")
    assert receiver.lines(len(sent)) == [doc.data for doc in sent]


def test_newline_framing_arrives_at_syslog_ng(start, output_to):
    receiver = start("syslog-ng", "tcp", framing="newline")
    output = output_to(receiver, framing="newline")
    assert output.deliver(batch(0, *DOCUMENTS)).delivered == len(DOCUMENTS)
    assert receiver.lines(len(DOCUMENTS)) == [doc.data for doc in DOCUMENTS]


def test_datagrams_arrive_at_rsyslog(start, output_to):
    receiver = start("rsyslog", "udp")
    output = output_to(receiver)
    documents = DOCUMENTS[5:25]
    receipt = output.deliver(batch(0, DOCUMENTS[2], *documents))
    assert [refusal.document for refusal in receipt.refused] == [DOCUMENTS[2]]
    assert sorted(receiver.lines(len(documents))) == sorted(doc.data for doc in documents)


@pytest.mark.parametrize("name", RECEIVERS)
def test_an_unknown_authority_is_refused_with_what_to_set(start, output_to, pki, name):
    receiver = start(name, "tls")
    receipt = output_to(receiver, tls={"ca": pki / "other-ca.pem"}).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and len(receipt.retry) == 1
    assert "certificate is not trusted" in receipt.error and "tls.ca" in receipt.error


def test_another_servers_name_is_refused_with_what_to_set(start, output_to):
    receiver = start("syslog-ng", "tls")
    receipt = output_to(receiver, tls={"server_name": "other.example.test"}).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and "tls.server_name" in receipt.error
    good = output_to(receiver, tls={"server_name": "soc.example.test"}).deliver(batch(0, DOCUMENTS[5]))
    assert good.delivered == 1
    assert receiver.lines(1) == [DOCUMENTS[5].data]


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_that_wants_a_client_certificate_gets_it_or_is_told_of(start, output_to, pki, name):
    receiver = start(name, "tls", mutual=True)
    refused = output_to(receiver).deliver(batch(0, DOCUMENTS[5]))
    assert refused.delivered == 0 and refused.error
    own = {"cert": pki / "client.pem", "key": pki / "client.key"}
    assert output_to(receiver, tls=own).deliver(batch(0, DOCUMENTS[5])).delivered == 1
    assert receiver.lines(1) == [DOCUMENTS[5].data]


def test_plain_tcp_on_a_tls_port_is_told(start, output_to):
    receiver = start("syslog-ng", "tcp")
    receiver.transport = "tls"
    receipt = output_to(receiver, timeout=2).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and receipt.error


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_killed_in_the_middle_has_everything_in_the_end(start, output_to, name):
    receiver = start(name, "tcp")
    output = output_to(receiver)
    frames = [batch(seq, *(document(seq * 50 + k) for k in range(50))) for seq in range(40)]
    pending = list(frames)
    for _ in range(20):
        assert output.deliver(pending.pop(0)).delivered == 50
    receiver.kill()
    assert output.confirmed_seq() == 0
    failed = until(lambda: output.deliver(pending[0]).error, lambda: "the loss of the receiver was never noticed")
    assert "refused" in failed or "closed" in failed or "reset" in failed.lower()
    receiver.start()
    while pending:
        until(lambda: output.deliver(pending[0]).delivered, lambda: "never delivered again")
        pending.pop(0)
    wanted = {doc.data for frame in frames for doc in frame.documents}
    until(lambda: set(receiver.lines(1)) >= wanted, lambda: "messages are missing")
    assert {line for line in receiver.lines(1) if line not in wanted} == set()


@pytest.mark.parametrize("name", RECEIVERS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_what_the_receiver_read_to_the_end_is_confirmed_at_once(start, output_to, name, transport):
    receiver = start(name, transport)
    output = output_to(receiver)
    output.deliver(batch(3, *DOCUMENTS))
    assert output.confirmed_seq() == 3
    assert output.drain()
    assert output.confirmed_seq() is None
    assert receiver.lines(len(DOCUMENTS)) == [doc.data for doc in DOCUMENTS]


def test_a_drain_without_an_answer_is_not_followed_by_sending_everything_again(start, output_to, monkeypatch):
    receiver = start("rsyslog", "tls")
    output = output_to(receiver)
    output.deliver(batch(3, *DOCUMENTS))
    now = time.monotonic() + 60
    monkeypatch.setattr(output, "_monotonic", lambda: now)
    monkeypatch.setattr(Stream, "finish", lambda stream, timeout: stream.close())
    assert not output.drain()
    assert output.confirmed_seq() == 3
    assert output._stream is None
