"""SIGKILL at every step between a webhook's arrival and its answer: what the sender sends again is one event."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.crash.hooked import STEPS
from tests.e2e.agent_process import Place, environment, eventually
from tests.webhook_sender import change, deliver, free_port, post, section, signed

AGENT = Path(__file__).with_name("hooked.py")


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def told(place):
    """The numbers of the changes that were told, in order."""
    return [one["trail"]["object"]["id"] for one in place.archived() if "object" in one.get("trail", {})]


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step in {"sealed", "told"} else pytest.mark.slow) for step in STEPS]
)
def test_what_is_sent_again_after_a_kill_is_one_event(place, step):
    port = free_port()
    place.write(inputs=[section(port)])
    agent = place.start().ready()
    assert deliver(port, change(1)) == [200]
    agent.terminate()
    body = change(2)
    headers = signed(body)
    hooked = subprocess.Popen([sys.executable, AGENT, place.config, step], env=environment(place.root))
    try:
        eventually(lambda: place.status() or hooked.poll() is not None)
        assert post(port, body, headers) is None
        assert hooked.wait(20) == -9
    finally:
        hooked.kill()
        hooked.wait()
    place.start().ready()
    assert post(port, body, headers) == 200
    assert deliver(port, change(3)) == [200]
    known = step in {"kept", "told"}
    status = place.settled(2, name="hook")
    (source,) = status["inputs"]
    assert source["deduplicated"] == known
    assert source["with_events"] == (1 if known else 2)
    assert told(place) == ["1", "2", "3"]
    deliveries = [one["trail"]["origin"].get("delivery") for one in place.archived() if "object" in one["trail"]]
    assert len(set(deliveries)) == 3
    place.verified()


@pytest.mark.slow
def test_under_kills_at_any_time_every_acknowledged_delivery_is_one_event(place):
    port, kills, senders = free_port(), 4, 3
    place.write(inputs=[section(port)])
    agent = place.start().ready()
    numbers, sent, ending, lock = iter(range(1, 10**6)), [], threading.Event(), threading.Lock()

    def send():
        while not ending.is_set():
            with lock:
                number = next(numbers)
            deliver(port, change(number))
            sent.append(number)

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    chance = random.Random(7)
    for _ in range(kills):
        before = len(sent)
        eventually(lambda: len(sent) > before + 20)  # noqa: B023 - asked at once
        time.sleep(chance.random() / 10)
        agent.kill()
        agent = place.start().ready()
    ending.set()
    for thread in threads:
        thread.join()
    eventually(lambda: len(told(place)) >= len(sent))
    assert sorted(map(int, told(place))) == sorted(sent)
    assert agent.terminate() == 0
    place.verified()
