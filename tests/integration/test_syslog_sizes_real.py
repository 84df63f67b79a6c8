"""What real receivers do with a message that is longer than they take: the table in docs/howto/syslog.md, measured.

None of them tells the sender of a cut, RELP included: it acknowledges what it has cut. So `max_bytes` must be right.
"""

import pytest

from tests.integration.receivers_real import Lab, until
from tests.shipped import batch, change, document

CUT, SPLIT, CLOSED = "cut", "cut, and the rest written as messages of their own", "closed"


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    made.close()


def around(size):
    """Five documents; the message of the third has `size` bytes, those of the others under 1,100."""
    head = 142  # what stands before the document in a message of the third
    long = change(message="x" * (size - head - len(document(2, change(message="")).data)))
    return [document(0), document(1), document(2, long), document(3), document(4)]


@pytest.mark.parametrize(
    ("name", "transport", "configured", "takes", "beyond"),
    [
        ("rsyslog", "tcp", None, 8096, SPLIT),
        ("rsyslog", "tls", "64k", 65_536, SPLIT),
        ("rsyslog", "tcp", "128k", 131_072, SPLIT),
        ("rsyslog", "udp", None, 8096, CUT),
        ("rsyslog", "relp", None, 8096, CUT),
        ("rsyslog", "relp", "128k", 131_072, CUT),
        ("rsyslog", "relps", "64k", 65_536, CUT),
        ("syslog-ng", "tcp", 65_536, 65_536, CLOSED),
        ("syslog-ng", "tls", 131_072, 131_072, CLOSED),
    ],
)
def test_how_long_a_message_is_taken_and_what_becomes_of_a_longer_one(lab, name, transport, configured, takes, beyond):
    receiver = lab.start(name, transport, size=configured)
    output = lab.output(receiver, "client", max_bytes=1_000_000)
    over = takes + 1000 if beyond == SPLIT else takes + 1  # a rest of one byte would be a message without text
    fits, longer = around(takes), around(over)
    assert [len(text) for _, text in output._messages.of([fits[2], longer[2]])[0]] == [takes, over]
    assert output.deliver(batch(0, *fits)).delivered == 5
    assert receiver.lines(5) == [doc.data for doc in fits]
    receipt = output.deliver(batch(1, *longer))
    wanted = [doc.data for doc in longer]
    if beyond == CLOSED:  # while we still send, or after that
        until(lambda: output._stream is None or output._stream.trouble(), lambda: "not closed")
        assert receiver.lines(7) == [*(doc.data for doc in fits), *wanted[:2]]
        return
    assert receipt.delivered == 5
    lines = receiver.lines(11 if beyond == SPLIT else 10)[5:]
    assert (lines[:2], lines[-2:]) == (wanted[:2], wanted[3:])
    assert wanted[2].startswith(lines[2]) and len(lines[2]) < len(wanted[2])
    assert len(lines) == (6 if beyond == SPLIT else 5)


def test_rsyslog_that_shall_abort_ends_a_relp_session_at_a_message_that_is_too_long(lab):
    receiver = lab.start("rsyslog", "relp", size="8k", oversize="abort")
    output = lab.output(receiver, max_bytes=1_000_000)
    receipt = output.deliver(batch(0, *around(20_000)))
    assert receipt.retry[-3:] == around(20_000)[2:] and receipt.error
    assert receiver.lines(2) == [document(0).data, document(1).data]
