"""The soak's own parts: a plan that replays, an oracle that sees, a receiver that keeps what it acknowledges."""

import hashlib
import random
import socket
import threading
from array import array
from itertools import pairwise

import pytest

from tests.integration.fault_proxy import FaultProxy
from tests.integration.opensearch.server import free_port
from tests.soak.faults import ACTS
from tests.soak.oracle import Arrived, Written, compare, complete, of_files, overtaken
from tests.soak.plan import GAP, KINDS, LAST, plan
from tests.soak.receiver import Receiver, frames
from tests.soak.stage import MESSAGE_BYTES
from tests.soak.watch import ENOUGH, Sample, not_flat
from tests.soak.writer import LONG_EVERY, Log, line

LOG = "0123456789abcdef"
WROTE = Written(3, [0])


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_plan_again_and_another_seed_another():
    assert plan(7, 600) == plan(7, 600)
    assert plan(7, 600) != plan(8, 600)


@pytest.mark.parametrize("seed", range(20))
def test_ten_minutes_hold_every_kind_of_fault_and_all_are_over_before_the_end(seed):
    faults = plan(seed, 600)
    assert {fault.kind for fault in faults} == set(KINDS)
    assert all(fault.at + fault.seconds <= 600 - LAST + 0.1 for fault in faults)
    gaps = [after.at - before.at for before, after in pairwise(faults)]
    assert min(gaps) >= GAP[0] - 0.1


@pytest.mark.parametrize("seed", range(20))
def test_no_two_faults_want_the_same_thing_at_the_same_time(seed):
    busy = {}
    for fault in plan(seed, 3600):
        for thing in KINDS[fault.kind][0]:
            assert busy.get(thing, 0.0) <= fault.at, fault
            busy[thing] = fault.at + fault.seconds


def test_every_kind_of_fault_can_be_made():
    assert set(ACTS) == set(KINDS)


# -- the oracle --------------------------------------------------------------------------------------------------------


def arrived(lines, name="siem"):
    """A destination that holds lines of w1, given as (number, leaf index)."""
    made = Arrived(name)
    for number, index in lines:
        made.take((LOG, index), 1, ("w1", number))
    return made


def nothing():
    return Arrived("dead letters")


def test_a_destination_that_has_every_line_once_and_in_order_is_well():
    made = arrived([(0, 3), (1, 4), (2, 9)])
    assert compare(made, nothing(), {"w1": WROTE}) == []


def test_a_line_that_is_a_dead_letter_is_not_missing():
    assert compare(arrived([(0, 3), (2, 9)]), arrived([(1, 4)], "dead letters"), {"w1": WROTE}) == []


@pytest.mark.parametrize(
    ("lines", "dead", "finding"),
    [
        ([(0, 3), (2, 9)], [], "neither delivered nor a dead letter: [1]"),
        ([(0, 3), (1, 4)], [], "neither delivered nor a dead letter: [2]"),
        ([(0, 3), (1, 4), (2, 9), (1, 7)], [], "line 1 of w1 sealed as 4 and 7"),
        ([(0, 3), (1, 9), (2, 4)], [], "sealed before a line that stands before it in its file: [2]"),
        ([(0, 3), (1, 4), (2, 9)], [(1, 4)], "delivered and a dead letter as well: [1]"),
        ([(0, 3), (1, 4), (2, 9), (3, 10)], [], "wrote 3 lines, and there is line 3"),
    ],
)
def test_what_is_lost_doubled_or_out_of_order_is_found(lines, dead, finding):
    problems = compare(arrived(lines), arrived(dead, "dead letters"), {"w1": WROTE})
    assert any(finding in problem for problem in problems), problems


def test_order_is_asked_for_within_a_file_and_told_between_two():
    made = arrived([(0, 3), (1, 9), (2, 4)])
    two_files = {"w1": Written(3, [0, 2])}
    assert compare(made, nothing(), two_files) == []
    assert overtaken(made, two_files) == 1
    assert overtaken(arrived([(0, 3), (1, 4), (2, 9)]), two_files) == 0


def test_a_leaf_that_is_missing_and_a_second_log_are_found():
    made = arrived([(0, 0), (1, 2)])
    assert complete(made, nothing(), 2) == ["siem: 1 leaves of 2 are missing: [1]", "siem: a leaf 2 of a log of 2"]
    made.take(("f" * 16, 0), 1)
    assert any("2 generations" in problem for problem in complete(made, nothing(), 3))


def test_a_repeat_is_counted_and_other_content_under_a_leaf_is_found():
    made = Arrived("soc")
    assert made.take((LOG, 0), 1, ("w1", 0)) is True
    assert made.take((LOG, 0), 1, ("w1", 0)) is False
    assert (made.repeats, made.problems) == (1, [])
    made.take((LOG, 0), 2, ("w1", 0))
    assert made.problems == [f"soc: two contents of {(LOG, 0)}"]


def shipped(number, index, data=b""):
    return (
        b'{"data_stream":{"dataset":"fieldtrail.change"},"note":"%b","trail":{"object":{"id":"%d","key":"app:w2/%d",'
        b'"type":"w2"}},"seal":{"i":%d,"log":"%b","n":"AAAA"}}' % (data, number, number, index, LOG.encode())
    )


def test_a_file_is_read_with_and_without_syslog_headers_and_copied_without_repeats(tmp_path):
    rows = [shipped(0, 5), shipped(1, 6), shipped(0, 5)]
    plain, messages, unique = tmp_path / "plain", tmp_path / "messages", tmp_path / "unique"
    plain.write_bytes(b"".join(row + b"\n" for row in rows))
    messages.write_bytes(b"".join(b'<110>1 - h fieldtrail - x [seal@32473 i="5"] ' + row + b"\n" for row in rows))
    one, two = of_files("a", [plain]), of_files("b", [messages], messages=True, unique=unique)
    assert one.lines == two.lines == {"w2": array("q", [5, 6])}
    assert (one.repeats, one.problems, two.repeats, two.problems) == (1, [], 1, [])
    assert unique.read_bytes().splitlines() == rows[:2]


# -- memory ------------------------------------------------------------------------------------------------------------


def test_memory_that_grows_is_told_and_memory_that_does_not_is_not():
    flat = [Sample(at, 100_000_000 + at % 7 * 1_000_000, 12, 30 + at % 5) for at in range(ENOUGH)]
    assert not_flat(flat) == []
    grown = not_flat([sample._replace(rss=sample.rss + int(sample.at) * 3_000_000) for sample in flat])
    assert len(grown) == 1 and grown[0].startswith("rss")
    assert not_flat(flat[1:]) is None


# -- the writer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["rename", "copytruncate"])
def test_a_rotation_keeps_every_byte_and_late_lines_go_to_the_old_file(tmp_path, way):
    log = Log(tmp_path, "w1", random.Random(1))
    late = b"late\n" if way == "rename" else b""
    log.write(b"first\n")
    log.rotate(way, late)
    log.write(b"second\n")
    log.rotate(way, b"")
    log.write(b"third\n")
    log.close()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"w1.log": b"third\n", "w1.log.1": b"second\n", "w1.log.2": b"first\n" + late}


def test_some_lines_are_longer_than_the_syslog_output_may_send():
    assert len(line("w1", LONG_EVERY - 1, random.Random(1))) > MESSAGE_BYTES
    assert len(line("w1", LONG_EVERY, random.Random(1))) < MESSAGE_BYTES


# -- the receiver ------------------------------------------------------------------------------------------------------


def test_relp_frames_are_cut_whole_wherever_the_bytes_are_torn():
    data = b"1 open 3 abc\n2 syslog 5 a b\nc\n3 close 0\n"
    whole = [(b"1", b"open", b"abc"), (b"2", b"syslog", b"a b\nc"), (b"3", b"close", b"")]
    assert frames(data) == (whole, len(data))
    for cut in range(len(data)):
        first, used = frames(data[:cut])
        rest, _ = frames(data[used:])
        assert first + rest == whole
    with pytest.raises(ValueError, match="does not end"):
        frames(b"2 syslog 2 abc\n")


def test_what_the_receiver_acknowledged_is_there_after_a_kill_and_half_a_message_is_not(tmp_path):
    receiver = Receiver(free_port(), tmp_path / "messages")
    receiver.start()
    try:
        with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
            connection.sendall(b"1 open 0\n2 syslog 3 one\n3 syslog 3 t")
            answers = b""
            while answers.count(b" rsp ") < 2:
                answers += connection.recv(4096)
            receiver.kill()
        assert answers.endswith(b"2 rsp 6 200 OK\n")
        with (tmp_path / "messages").open("ab") as file:
            file.write(b"half a li")  # as a kill in the middle of a write leaves it
        receiver.start()
        with socket.create_connection(("127.0.0.1", receiver.port), 10) as connection:
            connection.sendall(b"1 syslog 3 two\n")
            assert connection.recv(4096) == b"1 rsp 6 200 OK\n"
        assert (tmp_path / "messages").read_bytes() == b"one\ntwo\n"
    finally:
        receiver.kill()


# -- the proxy ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def echo():
    """The port of a server that says everything back."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads = []

    def talk(connection):
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                pass  # a reset is what some tests are about

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=talk, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    accepting.join()
    for thread in threads:
        thread.join()


@pytest.fixture
def proxy(echo):
    with FaultProxy(("127.0.0.1", echo)) as made:
        yield made


@pytest.fixture
def client(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as made:
        made.sendall(b"hello")
        assert made.recv(100) == b"hello"
        yield made


def silent(client):
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    client.settimeout(10)
    return True


def test_a_stall_holds_bytes_and_loses_none(proxy, client):
    proxy.stall()
    client.sendall(b"held")
    assert silent(client)
    proxy.resume()
    assert client.recv(100) == b"held"


def test_a_large_transfer_goes_through_whole_and_its_end_is_passed_on(proxy, client):
    data = random.Random(1).randbytes(3_000_000)
    sending = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    sending.start()
    digest, count = hashlib.sha256(), 0
    while piece := client.recv(65536):
        digest.update(piece)
        count += len(piece)
    sending.join()
    assert (count, digest.digest()) == (len(data), hashlib.sha256(data).digest())


def test_a_reset_ends_connections_with_an_error_and_new_ones_work(proxy, client):
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as again:
        again.sendall(b"again")
        assert again.recv(100) == b"again"


def test_half_open_and_black_hole_say_nothing_until_they_are_over(proxy, client):
    for begin in (proxy.orphan, proxy.swallow):
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as other:
            other.sendall(b"x")
            assert other.recv(1) == b"x"
            begin()
            other.sendall(b"into nowhere")
            assert silent(other)
            proxy.resume()
            with pytest.raises(ConnectionResetError):
                other.recv(100)


def test_an_answer_is_lost_after_the_request_got_through(proxy, client):
    proxy.lose_answers(1)
    client.sendall(b"stored")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    assert proxy.ended == 1


def test_a_slow_line_loses_nothing(proxy, client):
    proxy.pace = 200
    client.sendall(b"0123456789" * 3)
    got = b""
    while len(got) < 30:
        got += client.recv(100)
    assert got == b"0123456789" * 3


def test_who_has_no_target_is_told_by_a_reset():
    with FaultProxy(("127.0.0.1", free_port())) as proxy:
        # It may come before the connection is handed out.
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", proxy.port), 10) as one:
            one.recv(100)
        assert proxy.taken == 1
