"""What the syslog output does when receivers close, reset, stall or come back; receivers on loopback, no waiting."""

import socket
import ssl
import time

import pytest
import trustme

from shipper.output_sections import SyslogSection
from shipper.outputs.syslog import SyslogOutput
from tests.receivers import TcpReceiver, msg
from tests.shipped import CHANGE, batch, document, frames


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver():
    made = TcpReceiver()
    yield made
    made.close()


@pytest.fixture
def connect(clock):
    outputs = []

    def build(port, transport="tcp", **values):
        section = SyslogSection(
            id="soc", type="syslog", address=f"{transport}://127.0.0.1:{port}", control="full", **values
        )
        output = SyslogOutput(section, hostname="hr-app-03", monotonic=clock)
        output.open({})
        outputs.append(output)
        return output

    yield build
    for output in outputs:
        output.close()


def confirmed(output, seq):
    """Until `confirmed_seq()` is `seq`: the kernel may take some milliseconds to acknowledge."""
    deadline = time.monotonic() + 10
    while output.confirmed_seq() != seq:
        assert time.monotonic() < deadline, output.confirmed_seq()
        time.sleep(0.005)


def data(*batches):
    return [doc.data for frame in batches for doc in frame.documents]


def test_a_reset_sends_the_window_again_byte_for_byte_before_what_is_new(receiver, connect, clock):
    output = connect(receiver.port)
    sent = frames(3)
    output.deliver(sent[0])
    output.deliver(sent[1])
    first = list(receiver.messages(10))
    receiver.drop()
    clock.now += 2
    assert output.deliver(sent[2]).delivered == 5
    again = receiver.messages(25)[10:]
    assert again[:10] == first
    assert [msg(text) for text in again] == data(*sent)


def test_a_loss_is_noticed_and_made_good_while_nothing_is_sent(receiver, connect, clock):
    output = connect(receiver.port)
    output.deliver(frames()[0])
    receiver.messages(5)
    receiver.drop()
    clock.now += 2
    assert output.confirmed_seq() == 0
    assert [msg(text) for text in receiver.messages(10)] == data(frames()[0]) * 2


def test_what_was_acknowledged_for_five_seconds_is_confirmed_and_not_sent_again(receiver, connect, clock):
    output = connect(receiver.port)
    output.deliver(frames()[0])
    receiver.messages(5)
    clock.now += 3
    output.deliver(frames()[1])
    receiver.messages(10)
    assert output.confirmed_seq() == 0
    assert output.flush() == {"unconfirmed": 0}
    clock.now += 2
    confirmed(output, 1)
    clock.now += 3
    confirmed(output, None)
    assert output.flush() == {}
    receiver.drop()
    output.deliver(frames()[2])
    assert [msg(text) for text in receiver.messages(15)] == data(*frames()[:3])


def test_a_receiver_that_closes_at_once_is_not_flooded(receiver, connect, clock):
    output = connect(receiver.port)
    output.deliver(frames()[0])
    receiver.messages(5)
    receiver.drop()
    receipt = output.deliver(frames()[1])
    assert receipt.retry == frames()[1].documents and "closed" in receipt.error
    assert len(receiver.connections) == 1
    clock.now += 1
    assert output.deliver(frames()[1]).delivered == 5
    receiver.wait(lambda r: len(r.connections) == 2 and len(r.connections[1]) == 10)


def test_a_receiver_that_always_closes_after_the_same_messages_gets_them_ever_less_often(receiver, connect, clock):
    output = connect(receiver.port)
    output.deliver(frames()[0])
    said = ""
    while clock.now < 1400:
        if output._stream is not None:
            receiver.wait(lambda r: r.connections and len(r.connections[-1]) >= 5)
            receiver.drop()
            deadline = time.monotonic() + 10
            while output._stream.trouble() is None:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        connections = len(receiver.connections)
        clock.now += 1
        assert output.confirmed_seq() == 0
        if output._stream is None:
            said = output.deliver(frames()[1]).error or said
        if output._stream is not None:
            receiver.wait(lambda r, before=connections: len(r.connections) > before)
    assert 8 <= len(receiver.connections) <= 16  # 400 seconds: 1 s, 1 s, 1 s, 2 s, 4 s … 60 s
    assert "times after the same messages" in said and "max_bytes: does it take messages of " in said


def test_nobody_listening_is_a_retry_and_the_window_is_kept(connect, clock):
    receiver = TcpReceiver()
    output = connect(receiver.port)
    output.deliver(frames()[0])
    receiver.messages(5)
    receiver.close()
    clock.now += 2
    receipt = output.deliver(frames()[1])
    assert receipt.retry == frames()[1].documents
    assert "refused" in receipt.error and str(receiver.port) in receipt.error
    assert output.confirmed_seq() == 0
    again = TcpReceiver(port=receiver.port)
    try:
        clock.now += 2
        assert output.deliver(frames()[1]).delivered == 5
        assert [msg(text) for text in again.messages(10)] == data(*frames()[:2])
    finally:
        again.close()


def test_a_receiver_that_does_not_read_ends_in_a_retry_within_the_timeout(connect):
    receiver = TcpReceiver(reading=False)
    output = connect(receiver.port, timeout=0.2, max_bytes=100_000)
    big = batch(0, *(document(k) for k in range(20_000)))
    try:
        receipt = output.deliver(big)
        assert receipt.delivered == 0 and receipt.retry == big.documents
        assert "in time" in receipt.error
    finally:
        receiver.drop()
        receiver.close()


def test_a_host_that_has_no_address_is_told(connect):
    output = connect(9)
    output._target.host = "no-such-host.invalid"
    assert "resolve" in output.deliver(frames()[0]).error


def test_a_drain_that_ends_in_a_reset_confirms_nothing(connect):
    receiver = TcpReceiver(reading=False)
    output = connect(receiver.port)
    output.deliver(frames()[0])
    receiver.wait(lambda r: r.connections)
    receiver.drop()
    assert not output.drain()
    assert output.confirmed_seq() == 0
    receiver.close()


def test_there_is_nothing_to_drain_before_anything_was_sent(receiver, connect):
    assert connect(receiver.port).drain()
    assert receiver.connections == []


def test_closing_leaves_nothing_behind_in_the_kernel(receiver, connect):
    output = connect(receiver.port)
    output.deliver(batch(0, *(document(k) for k in range(500))))
    output.close()
    assert len(receiver.messages(500)) == 500


def test_tls_messages_survive_a_reset_too(connect, clock, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    receiver = TcpReceiver(context)
    try:
        output = connect(receiver.port, "tls", tls={"ca": tmp_path / "ca.pem"})
        output.deliver(frames()[0])
        receiver.messages(5)
        receiver.drop()
        clock.now += 2
        output.deliver(frames()[1])
        assert [msg(text) for text in receiver.messages(15)] == data(frames()[0], *frames()[:2])
        clock.now += 5
        confirmed(output, None)
    finally:
        receiver.close()


def test_an_old_tls_version_is_refused(connect, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    receiver = TcpReceiver(context)
    try:
        receipt = connect(receiver.port, "tls", tls={"ca": tmp_path / "ca.pem"}).deliver(frames()[0])
        assert receipt.delivered == 0 and "TLS" in receipt.error
    finally:
        receiver.close()


@pytest.fixture
def datagrams():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(10)
    yield made
    made.close()


def test_datagrams_carry_one_message_each_and_nothing_waits_for_confirmation(datagrams, connect):
    output = connect(datagrams.getsockname()[1], "udp")
    assert output.deliver(frames()[0]).delivered == 5
    assert [msg(datagrams.recv(65536)) for _ in range(5)] == data(frames()[0])
    assert output.confirmed_seq() is None


def test_a_refused_datagram_is_sent_again_with_the_one_before_it(datagrams, connect):
    port = datagrams.getsockname()[1]
    datagrams.close()
    output = connect(port, "udp")
    receipt = output.deliver(frames()[0])
    total = receipt.delivered + len(receipt.retry)
    assert total == 5 and receipt.retry and "refused" in receipt.error
    assert receipt.retry[0] == frames()[0].documents[receipt.delivered]


def test_a_message_larger_than_a_datagram_is_refused_and_the_others_go(datagrams, connect):
    output = connect(datagrams.getsockname()[1], "udp", max_bytes=100_000)
    huge = document(1, {**CHANGE, "message": "x" * 70_000})
    receipt = output.deliver(batch(0, document(0), huge, document(2)))
    assert [refusal.type for refusal in receipt.refused] == ["message_too_long"]
    assert receipt.delivered == 2 and not receipt.retry
    assert [msg(datagrams.recv(65536)) for _ in range(2)] == [document(0).data, document(2).data]
