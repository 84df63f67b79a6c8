"""A full journal: who waits for whom, what is said, and what may be dropped."""

import contextlib
import json
import random
import signal
import socket
import threading

import pytest

from tests.e2e.agent_process import conserved, controls, eventually, line, numbers

SMALL = {"max_size": "512KiB", "segment_size": "64KiB"}


def noise(first, count):
    """Lines that no compression makes small."""
    rng = random.Random(first)
    return "".join(line(n, note=rng.randbytes(400).hex()) + "\n" for n in range(first, first + count)).encode()


class Receiver:
    """Takes newline-ended messages over TCP once it is opened; before that nobody answers at its address."""

    def __init__(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
            self.port = found.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.documents = []
        self._thread = threading.Thread(target=self._take)

    def open(self):
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._server.settimeout(30)
        self._thread.start()

    def _take(self):
        rest = b""
        with contextlib.closing(self._server), self._server.accept()[0] as connection:
            while data := connection.recv(1 << 20):
                *whole, rest = (rest + data).split(b"\n")
                self.documents += [json.loads(one[one.index(b"] {") + 2 :]) for one in whole]

    def end(self):
        """Everything that arrived, once the sender has ended."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.documents


@pytest.fixture
def receiver():
    return Receiver()


def outputs(place, receiver):
    return [
        {"id": "archive", "type": "file", "path": str(place.archive)},
        {"id": "soc", "type": "syslog", "address": receiver.address, "framing": "newline", "control": "full"},
    ]


def full(place):
    """The status, once the journal is full."""
    return eventually(lambda: (status := place.status()) and status["journal"]["full"] and status, "full")


def test_a_stalled_output_holds_nobody_up_until_the_journal_is_full_and_then_is_named(place, receiver):
    place.write(outputs=outputs(place, receiver), journal=SMALL, seal={"interval": "100ms"})
    agent = place.start().ready()
    place.append(noise(0, 200))
    eventually(lambda: numbers(place.archived()) == list(range(200)), "the archive has all while the receiver is away")
    assert not place.status()["journal"]["full"]
    place.append(noise(200, 1500))
    full(place)
    told = agent.wait_told("journal full: reading is paused until an output catches up")[0]
    assert told["waiting_for"] == ["soc"]
    held = numbers(place.archived())
    assert held == list(range(len(held)))
    assert len(held) < 1700
    conserved(place.status())
    receiver.open()
    eventually(lambda: numbers(place.archived()) == list(range(1700)), "the archive has all", patience=60)
    assert agent.terminate() == 0
    assert numbers(receiver.end()) == list(range(1700))
    assert not agent.told("journal full: documents dropped before they were delivered")


def test_drop_oldest_reads_on_and_seals_what_an_output_never_got(place, receiver):
    place.write(
        outputs=outputs(place, receiver),
        journal={**SMALL, "when_full": "drop_oldest"},
        seal={"interval": "100ms"},
    )
    agent = place.start().ready()
    place.append(noise(0, 3000))
    eventually(lambda: numbers(place.archived()) == list(range(3000)), "the archive waits for nobody", patience=60)
    dropped = agent.wait_told("journal full: documents dropped before they were delivered")
    assert {one["output"] for one in dropped} == {"soc"}
    status = place.status()
    conserved(status)
    assert status["journal"]["bytes"] < 2 * status["journal"]["limit"]
    receiver.open()
    assert agent.terminate() == 0
    got = receiver.end()
    mine = numbers(got)
    assert mine == sorted(set(mine))
    assert len(mine) < 3000
    leaves = [one for one in controls(place.archived(), "drop") if one["output"] == "soc"]
    assert leaves
    assert all(one["reason"] == "journal full" for one in leaves)
    # What is not there is what the leaves declare, to the leaf; but for the frame that waited in memory all the time.
    there = {one["seal"]["i"] for one in got if "seal" in one}
    declared = {i for one in leaves for i in range(one["from"], one["to"] + 1)}
    last = max(there)
    assert set(range(last + 1)) - there <= declared
    whole = place.verify("--ndjson", place.archive)
    assert whole.code == 0, whole
    copy = place.root / "soc.ndjson"
    copy.write_text("".join(json.dumps(one) + "\n" for one in got))
    done = place.verify("--ndjson", copy)
    assert done.code == 1
    missing = [one.split() for one in done.out.splitlines() if one.startswith("MISSING")]
    assert missing
    assert all(one[-1] == "dropped" for one in missing), done


@pytest.mark.slow
def test_without_a_stalled_output_drop_oldest_drops_nothing(place):
    place.write(
        outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}],
        journal={**SMALL, "when_full": "drop_oldest"},
    )
    agent = place.start().ready()
    place.append(noise(0, 4000))
    place.settled(4000)
    assert numbers(place.archived()) == list(range(4000))
    assert not agent.told("journal full: documents dropped before they were delivered")
    assert not controls(place.archived(), "drop")


def test_a_new_configuration_counts_at_once_also_while_an_output_does_not_answer(place, receiver):
    place.write(outputs=outputs(place, receiver))
    agent = place.start().ready()
    place.append(noise(0, 10))
    eventually(lambda: numbers(place.archived()) == list(range(10)))
    agent.wait_told("output not reachable, will try again")
    place.write(outputs=outputs(place, receiver)[:1])
    agent.signal(signal.SIGHUP)
    agent.wait_told("agent started", 2)
    place.append(noise(10, 10))
    eventually(lambda: numbers(place.archived()) == list(range(20)))
    assert agent.terminate() == 0


def test_one_pass_ends_with_75_where_a_receiver_has_not_shown_that_it_read_anything(place):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as mute:  # accepts by its kernel, and never reads
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        place.write(outputs=[{"id": "soc", "type": "syslog", "address": address, "timeout": "500ms"}])
        place.append(noise(0, 3))
        done = place.once()
    assert done.code == 75
    told = next(one for one in done.logs if one["event"] == "not known to have arrived: sent again at the next start")
    assert told["outputs"] == ["soc"]


def test_two_new_configurations_in_a_row_are_no_order_to_end_at_once(place, receiver):
    place.write(outputs=outputs(place, receiver)[:1])
    agent = place.start().ready()
    agent.signal(signal.SIGSTOP)
    place.append(noise(0, 2000))
    for _ in range(2):
        agent.signal(signal.SIGHUP)
    agent.signal(signal.SIGCONT)
    agent.wait_told("agent started", 2)
    eventually(lambda: numbers(place.archived()) == list(range(2000)))
    assert agent.terminate() == 0
    assert place.verify("--ndjson", place.archive).code == 0
