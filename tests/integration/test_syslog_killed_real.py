"""What real receivers hold after three kill -9 in the middle of a stream: over RELP, TCP and TLS.

RELP: what was acknowledged is in rsyslog's file. TCP and TLS: the window is sent again, so nothing is missing as long
as it reaches back to the kill, which it does here by far (5 seconds, 16 MiB).
"""

import threading

import pytest

from tests.integration.receivers_real import Lab, until
from tests.shipped import batch, document

FRAMES, EACH = 60, 500


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    made.close()


class Killer(threading.Thread):
    """Kills the receiver each time that its file has grown by so many bytes, and starts it again unless told not to."""

    def __init__(self, receiver, times, after, *, again=True):
        super().__init__(daemon=True)
        self.receiver, self.times, self.after, self.again = receiver, times, after, again
        self.done = 0
        self.stopped = threading.Event()
        self.trouble = None

    def size(self):
        written = self.receiver.written
        return written.stat().st_size if written.exists() else 0

    def run(self):
        try:
            while self.done < self.times and not self.stopped.is_set():
                begin = self.size()
                while self.size() < begin + self.after and not self.stopped.is_set():
                    self.stopped.wait(0.002)
                self.receiver.kill()
                self.done += 1
                if self.again:
                    self.receiver.start()
        except BaseException as error:
            self.trouble = error
            raise


@pytest.mark.parametrize(
    ("name", "transport"),
    [("rsyslog", "relp"), ("rsyslog", "relps"), ("rsyslog", "tcp"), ("rsyslog", "tls"), ("syslog-ng", "tcp"),
     ("syslog-ng", "tls")],
)  # fmt: skip
def test_after_three_kills_nothing_is_missing_and_the_order_is_kept(lab, name, transport):
    receiver = lab.start(name, transport)
    output = lab.output(receiver, "client", timeout=5)
    frames = [batch(seq, *(document(seq * EACH + k) for k in range(EACH))) for seq in range(FRAMES)]
    acknowledged = 0
    killer = Killer(receiver, 3, 4_000_000)
    killer.start()
    failures = []
    for frame in frames:
        pending = frame.documents
        while pending:
            receipt = output.deliver(batch(frame.seq, *pending))
            acknowledged += receipt.delivered
            pending = receipt.retry
            if receipt.error:
                failures.append(receipt.error)
                killer.stopped.wait(0.05)
            assert not receipt.refused
    until(lambda: killer.done == 3 or killer.trouble, lambda: f"killed {killer.done} times only")
    killer.stopped.set()
    killer.join()
    assert killer.trouble is None
    until(receiver.is_listening, receiver.told)
    if transport in {"tcp", "tls"}:  # the last kill may have come after the last delivery
        until(lambda: output.confirmed_seq() is None or output.drain(), lambda: "never confirmed")
    wanted = [doc.data for frame in frames for doc in frame.documents]
    assert acknowledged == len(wanted)
    until(lambda: set(receiver.lines(1)) >= set(wanted), lambda: missing(wanted, receiver))
    lines = receiver.lines(1)
    assert set(lines) == set(wanted), "what is there twice is not byte for byte the same"
    assert list(dict.fromkeys(lines)) == wanted, "the order of first arrival"
    print(f"\n{name} {transport}: {len(wanted)} sent, {len(failures)} tries failed, 3 kills,"
          f" 0 missing, {len(lines) - len(wanted)} repeats")  # fmt: skip


def missing(wanted, receiver):
    there = set(receiver.lines(1))
    gone = [number for number, data in enumerate(wanted) if data not in there]
    return f"{len(gone)} missing, the first {gone[:5]}"


@pytest.mark.parametrize("queue", ["direct", "main"])
def test_what_rsyslog_acknowledged_over_relp_before_a_kill_is_in_its_file_without_a_queue_in_memory(lab, queue):
    lost = 0
    for turn in range(3):
        receiver = lab.start("rsyslog", "relp", queue=queue)
        output = lab.output(receiver)
        killer = Killer(receiver, 1, 2_000_000, again=False)
        killer.start()
        taken = []
        for seq in range(1000):
            frame = batch(seq, *(document(turn * 1_000_000 + seq * EACH + k) for k in range(EACH)))
            receipt = output.deliver(frame)
            unknown = {doc.id for doc in receipt.retry}
            taken += [doc.data for doc in frame.documents if doc.id not in unknown]
            if receipt.error:
                break
        killer.join()
        there = set(receiver.written.read_bytes().split(b"\n"))
        lost += sum(data not in there for data in taken)
        assert len(taken) > 1000
        output.close()
    print(f"\nqueue {queue}: {lost} acknowledged messages lost in 3 kills")
    if queue == "direct":
        assert lost == 0
