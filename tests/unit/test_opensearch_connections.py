"""What an answer that did not come means, and work that must not take longer than the time of a request."""

import threading

import pytest
import trustme
from opensearchpy.exceptions import ConnectionError as LibraryError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError, ReadTimeoutError

from shipper.http_client.errors import no_answer
from shipper.http_client.watch import in_time
from shipper.output_sections import TlsSection
from shipper.outputs._bulk import Answer, clock_is_off, read_reply
from shipper.outputs._opensearch_client import Client
from shipper.outputs._opensearch_errors import is_denied
from shipper.outputs._opensearch_lanes import Lanes

HOST = "https://search.example"


def meaning(error, *, expired=False, connected=True):
    """(may it have been carried out, was its time up)."""
    inner = None if error is None else LibraryError("N/A", str(error), error)
    told = no_answer("POST", HOST, inner, 3.0, expired=expired, connected=connected)
    return told.sent, told.late


@pytest.mark.parametrize(
    ("error", "expired", "connected", "sent", "late"),
    [
        (NewConnectionError(None, "x"), False, True, False, False),
        (ConnectTimeoutError(), False, True, False, False),
        (ConnectTimeoutError(), True, False, False, False),
        (None, True, False, False, False),
        (None, True, True, True, True),
        (ReadTimeoutError(None, None, "x"), False, True, True, True),
        (ProtocolError("aborted", ConnectionResetError(104, "reset")), False, True, True, False),
        (ValueError("no HTTP"), False, True, True, False),
    ],
)
def test_only_where_nothing_was_sent_is_there_no_doubt(error, expired, connected, sent, late):
    assert meaning(error, expired=expired, connected=connected) == (sent, late)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"", True),
        (403, b'{"error":{"type":"security_exception"}}', True),
        (403, b'{"message":"no"}', True),
        (403, b'{"error":{"type":"cluster_block_exception"}}', False),
        (200, b"", False),
        (429, b"", False),
    ],
)
def test_a_write_block_is_no_matter_of_credentials(status, body, expected):
    assert is_denied(Answer(status, {}, body)) is expected
    assert read_reply(Answer(status, {}, body), 1).denied is expected


def test_a_clock_is_only_off_where_aws_says_so():
    assert clock_is_off(Answer(403, {}, b'{"message":"Signature expired: 2026"}'))
    assert not clock_is_off(Answer(403, {}, b'{"message":"forbidden"}'))


def test_work_that_ends_in_time_gives_its_result_or_its_error():
    assert in_time(lambda: 7, 60, print) == 7
    with pytest.raises(KeyError):
        in_time(lambda: {}["x"], 60, print)


def test_work_that_ends_too_late_is_undone():
    over, undone, done = threading.Event(), [], threading.Event()

    def undo(result):
        undone.append(result)
        done.set()

    with pytest.raises(TimeoutError):
        in_time(lambda: over.wait(60) and "socket", 0.01, undo)
    assert undone == []
    over.set()
    assert done.wait(60)
    assert undone == ["socket"]


class Closing:
    def __init__(self, closed):
        self._closed = closed

    def close(self):
        self._closed.append(self)


def test_a_thread_is_begun_only_when_no_other_is_free_and_all_end_with_their_clients_closed():
    made, closed = [], []

    def make(number):
        made.append(number)
        return Closing(closed)

    lanes = Lanes(make)
    for n in range(5):
        lanes.start(n, lambda _, n=n: n * n)
        assert lanes.ended() == (n, n * n)
    assert made == [0]
    gate = threading.Event()
    for n in range(3):
        lanes.start(n, lambda _: gate.wait(60))
    gate.set()
    assert sorted(lanes.ended()[0] for _ in range(3)) == [0, 1, 2]
    assert made == [0, 1, 2]
    lanes.close()
    lanes.close()
    assert len(closed) == 3


def test_a_bug_in_a_thread_comes_to_light_in_the_one_that_waits():
    lanes = Lanes(lambda _: Closing([]))
    lanes.start("a", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        lanes.ended()
    lanes.start("b", lambda _: 2)
    assert lanes.ended() == ("b", 2)
    lanes.close()


def test_a_lane_that_begins_while_a_certificate_is_being_replaced_begins(tmp_path):
    old, new = (trustme.CA().issue_cert("agent@acme.example") for _ in range(2))
    cert, key = tmp_path / "own.pem", tmp_path / "own.key"
    old.cert_chain_pems[0].write_to_path(cert)
    old.private_key_pem.write_to_path(key)
    client = Client(["https://127.0.0.1:9"], tls=TlsSection(cert=cert, key=key))
    new.cert_chain_pems[0].write_to_path(cert)  # the key comes a moment later
    beside = client.beside(1)
    beside.close()
    client.close()
