"""A webhook listener under everything that a stranger can do to it, beside a sender that must not notice."""

import contextlib
import gzip
import http.client
import os
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.components import open_files
from tests.e2e.agent_process import eventually
from tests.webhook_sender import change, deliver, free_port, post, section, signed

MORE = 32 * 2**20
"""Bytes that an attack may cost the agent at the most."""


def resident(agent):
    told = Path(f"/proc/{agent.pid}/status").read_text()
    return next(int(one.split()[1]) * 1024 for one in told.splitlines() if one.startswith("VmRSS"))


class Sender:
    """Delivers one change after the other, and notes how long each took."""

    def __init__(self, port):
        self.port, self.took, self.answers = port, [], []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ending.is_set():
            began = time.monotonic()
            self.answers += deliver(self.port, change(len(self.took)))
            self.took.append(time.monotonic() - began)
            self.ending.wait(0.02)

    def __enter__(self):
        self.thread.start()
        eventually(lambda: len(self.took) > 10)
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


@pytest.fixture
def hooked(place):
    """(port, agent) of an agent that listens."""
    port = free_port()
    place.write(inputs=[section(port, max_body="64KiB")])
    agent = place.start().ready()
    deliver(port, change(10**6))
    return port, agent


def told(place):
    return [one["trail"]["object"]["id"] for one in place.archived() if "object" in one.get("trail", {})]


def survived(place, hooked, attack):
    """Make an attack beside a sender; the agent keeps its memory and its books, and answers 2xx or 429 alone."""
    port, agent = hooked
    with Sender(port) as sender:
        before = resident(agent)
        attack(port, sender)
        grown = resident(agent) - before
        count = len(sender.took)
        eventually(lambda: len(sender.took) > count + 10)
    assert grown < MORE, f"{grown / 2**20:.0f} MiB more"
    assert set(sender.answers) <= {200, 429}
    assert sorted(sender.took)[len(sender.took) // 2] < 1
    eventually(lambda: len(told(place)) == len(sender.took) + 1)
    assert len(set(told(place))) == len(told(place))
    assert agent.terminate() == 0
    assert [one for one in agent.logs if one["level"] == "error"] == []


def connected(port, held, timeout=5):
    made = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout))
    made.settimeout(timeout)
    return made


@pytest.fixture
def many_files():
    """As many descriptors as 10,000 connections need on our side."""
    with open_files(11_000):
        yield


@pytest.mark.slow
def test_ten_thousand_idle_connections(place, hooked, many_files):
    def attack(port, sender):
        with contextlib.ExitStack() as held:
            for number in range(10_000):
                one = connected(port, held)
                if number % 3 == 0:
                    with contextlib.suppress(OSError):
                        one.sendall(b"POST /in/hook HTTP/1.1\r\nHost: a")
            done = len(sender.took)
            eventually(lambda: len(sender.took) > done + 10)

    survived(place, hooked, attack)


@pytest.mark.slow
def test_ten_thousand_idle_connections_that_all_have_seats(place, many_files):
    port = free_port()
    place.write(inputs=[section(port, max_body="64KiB", connections=10_500)])
    agent = place.start().ready()
    deliver(port, change(10**6))

    def attack(port, sender):
        with contextlib.ExitStack() as held:
            silent = [connected(port, held) for _ in range(10_000)]
            done = len(sender.took)
            eventually(lambda: len(sender.took) > done + 10)
            for one in silent:
                one.settimeout(0)
                with pytest.raises(BlockingIOError):  # neither an end nor a word
                    one.recv(1)

    survived(place, (port, agent), attack)


@pytest.mark.slow
def test_heads_and_bodies_that_drip(place, hooked):
    def attack(port, sender):
        head = b"POST /in/hook HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\n"
        with contextlib.ExitStack() as held:
            dripping = []
            for number in range(700):
                one = connected(port, held)
                one.sendall(head if number % 2 else head + b"Content-Length: 60000\r\n\r\n")
                dripping.append(one)
            cut = 0
            end = time.monotonic() + 40
            while dripping and time.monotonic() < end:
                for one in list(dripping):
                    try:
                        one.send(b"x")
                        one.settimeout(0)
                        with contextlib.suppress(BlockingIOError):
                            if not one.recv(1000) or True:
                                dripping.remove(one)
                                cut += 1
                    except OSError:
                        dripping.remove(one)
                        cut += 1
                time.sleep(0.5)
            assert cut == 700

    survived(place, hooked, attack)


def test_bodies_that_are_too_large_and_bombs(place, hooked):
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 60_000

    def attack(port, sender):
        large = b"x" * 70_000
        statuses = []

        def work():
            for _ in range(30):
                statuses.append(post(port, large, signed(large)))
                statuses.append(post(port, bomb, {**signed(bomb), "Content-Encoding": "gzip"}))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Who is told while he still sends may find the connection closed instead.
        assert set(statuses) <= {413, 429, None}
        assert statuses.count(413) > 100

    survived(place, hooked, attack)


def test_floods_of_headers_and_of_things_that_are_no_requests(place, hooked):
    floods = [
        b"POST /in/hook HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)),
        b"POST /in/hook HTTP/1.1\r\nX-Long: " + b"y" * 1_000_000,
        b"POST /" + b"a" * 1_000_000,
        bytes(range(256)) * 4000,
        b"\x16\x03\x01\x02\x00" + b"\0" * 100_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 500_000,
    ]

    def attack(port, sender):
        for _ in range(5):
            for flood in floods:
                with contextlib.ExitStack() as held, contextlib.suppress(OSError):
                    one = connected(port, held, timeout=0.5)
                    one.sendall(flood)
                    assert one.recv(65536)[:12] in {b"HTTP/1.0 400", b"HTTP/1.1 400", b""}

    survived(place, hooked, attack)


def test_forged_requests_cost_one_document_a_minute(place, hooked):
    port, agent = hooked
    for number in range(300):
        assert post(port, change(number), signed(change(number), secret="a guess of somebody")) == 401
    eventually(lambda: [one for one in place.archived() if one["event"]["action"] == "source.refused"])
    assert agent.terminate() == 0
    refused = [one for one in place.archived() if one["event"]["action"] == "source.refused"]
    assert len(refused) == 1
    assert refused[0]["event"]["outcome"] == "failure"
    assert refused[0]["trail"]["origin"]["input"] == "hook"
    assert len(told(place)) == 1
    place.verified()


def test_a_reload_loses_no_request_and_refuses_no_connection(place, hooked):
    port, agent = hooked
    with Sender(port) as sender:
        for number in range(3):
            place.write(inputs=[section(port, max_body="64KiB")], seal={"interval": f"{50 + number}s"})
            agent.signal(1)
            agent.wait_told("agent started", number + 2)
        # Another address of the same path: the endpoint itself is made anew.
        place.write(inputs=[section(port, max_body="65KiB")])
        agent.signal(1)
        agent.wait_told("agent started", 5)
        count = len(sender.took)
        eventually(lambda: len(sender.took) > count + 10)
    assert None not in sender.answers
    assert set(sender.answers) <= {200, 429}
    eventually(lambda: len(told(place)) == len(sender.took) + 1)
    assert len(set(told(place))) == len(told(place))
    assert agent.terminate() == 0
    place.verified()


def test_endpoints_come_go_and_change_at_a_reload_while_the_port_stays_open(place):
    port = free_port()
    hook, gone, fresh = (section(port, name, f"/in/{name}") for name in ("hook", "gone", "fresh"))
    place.write(inputs=[hook, gone])
    agent = place.start().ready()
    body = change(10**7)
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def on_one_connection(number, path="/in/hook"):
        kept.request("POST", path, change(number), signed(change(number)))
        answer = kept.getresponse()
        answer.read()
        return answer.status

    with contextlib.closing(kept), Sender(port) as sender:
        assert post(port, body, signed(body), "/in/gone") == 200
        assert post(port, body, signed(body), "/in/fresh") == 404
        assert on_one_connection(10**6) == 200
        first = kept.sock
        place.write(inputs=[hook, fresh])
        agent.signal(1)
        agent.wait_told("agent started", 2)
        assert on_one_connection(10**6 + 1) == 200
        assert on_one_connection(10**6 + 2, "/in/fresh") == 200
        assert kept.sock is first, "one connection over both configurations"
        # Its source may post until it is told: 429 says for a while that it should come again.
        assert post(port, body, signed(body), "/in/gone") == 429
        place.write(inputs=[hook, {**fresh, "path": "/in/moved"}])
        agent.signal(1)
        agent.wait_told("agent started", 3)
        assert on_one_connection(10**6 + 3, "/in/moved") == 200
        assert post(port, body, signed(body), "/in/fresh") == 429
        assert post(port, body, signed(body), "/in/never") == 404
    assert set(sender.answers) <= {200, 429}, "what stays as it is notices nothing"
    assert agent.terminate() == 0
    assert len(told(place)) == len(set(told(place))) == len(sender.took) + 5
    place.verified()


def test_a_reload_to_an_address_that_is_taken_leaves_the_agent_as_it_was(place, hooked):
    port, agent = hooked
    with socket.create_server(("127.0.0.1", 0)) as taken:
        elsewhere = taken.getsockname()[1]
        place.write(inputs=[section(elsewhere, max_body="64KiB")])
        agent.signal(1)
        eventually(lambda: f"'sport = :{elsewhere}'" in str(agent.logs))
        assert deliver(port, change(1))[-1] == 200
    assert agent.terminate() == 0
    assert len(told(place)) == 2


def test_after_a_reload_the_end_is_as_orderly_as_before_it(place, hooked):
    port, agent = hooked
    place.write(inputs=[section(port, max_body="64KiB")], seal={"interval": "50s"})
    agent.signal(1)
    agent.wait_told("agent started", 2)
    assert deliver(port, change(1)) == [200]
    assert agent.terminate() == 0
    with contextlib.closing(sqlite3.connect(place.state / "inputs" / "hook.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM deliveries").fetchone() == (2,)
    # Who closes a ledger leaves none of its side files.
    assert sorted(path.name for path in (place.state / "inputs").iterdir()) == ["hook.db"]


@pytest.mark.slow
def test_a_full_journal_is_answered_429_and_what_was_refused_comes_through_afterwards(place):
    """No output takes anything: the journal fills up, and senders are told to come again."""
    port, closed = free_port(), free_port()
    siem = {"id": "siem", "type": "http", "url": f"http://127.0.0.1:{closed}/", "from": "oldest"}
    place.write(inputs=[section(port)], journal={"max_size": "256KiB", "segment_size": "64KiB"}, outputs=[siem])
    agent = place.start().ready()
    answers = []
    while 429 not in answers and len(answers) < 1000:
        padded = change(len(answers))[:-1] + b', "pad": "' + os.urandom(10_000).hex().encode() + b'"}'
        answers.append(post(port, padded, signed(padded)))
    assert set(answers) == {200, 429}
    place.write(inputs=[section(port)], journal={"max_size": "64MiB", "segment_size": "64KiB"})
    agent.signal(1)
    agent.wait_told("agent started", 2)
    assert deliver(port, change(9999))[-1] == 200
    assert agent.terminate() == 0
