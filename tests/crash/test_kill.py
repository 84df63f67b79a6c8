"""SIGKILL at any moment, again and again: nothing is lost, nothing stands twice, and everything verifies."""

import contextlib
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.crash.writer import plan
from tests.e2e.agent_process import Place, checkpoints, controls, inside, numbers
from tests.integration.opensearch import server

WRITER = Path(__file__).with_name("writer.py")
_PAIR = re.compile(rb'"seal":\{"i":(\d+),"log":"([0-9a-f]{16})"')
_NUMBER = re.compile(rb'"object":\{"id":"(\d+)"')


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


class Receiver:
    """Takes octet-counted messages over TCP. `digests`: what arrived under each leaf, `lines`: which numbers arrived."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.digests = {}
        self.numbers = set()
        self.repeated = 0
        self.different = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._read, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _read(self, connection):
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            while True:
                length = b""
                while (digit := stream.read(1)) not in {b" ", b""}:
                    length += digit
                if not digit:
                    return
                message = stream.read(int(length))
                if len(message) < int(length):
                    return  # the agent was killed in the middle of it
                self._take(message)

    def _take(self, message):
        sealed, number = _PAIR.search(message), _NUMBER.search(message)
        digest = hashlib.sha256(message).digest()
        key = (sealed[2], int(sealed[1])) if sealed else digest
        with self._lock:
            if number and b'"type":"offer"' in message:
                self.numbers.add(int(number[1]))
            if key in self.digests:
                self.repeated += 1
            if self.digests.setdefault(key, digest) != digest:
                self.different.append(key)

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def opensearch(tmp_path_factory):
    """A real OpenSearch, or None where none can be had."""
    if url := server.url_from_environment():
        yield SimpleNamespace(url=url)
    elif server.missing():
        yield None
    else:
        with server.Server(tmp_path_factory.mktemp("opensearch")) as running:
            yield running


def tormented(place, *, count, kills, seed, seconds, longest):
    """Write, kill and restart; then one pass to the end. Returns how often the agent was killed."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    writer = subprocess.Popen([sys.executable, WRITER, place.logs, str(count), str(seed), str(seconds)])
    killed = 0
    try:
        while killed < kills or writer.poll() is None:
            agent = place.start()
            if rng.random() < 0.25:
                time.sleep(rng.uniform(0.1, 1.0))  # while it starts
            else:
                agent.ready()
                time.sleep(rng.uniform(0.0, longest))
            assert agent.process.poll() is None, agent.logs
            agent.kill()
            killed += 1
        assert writer.wait() == 0
    finally:
        writer.kill()
        writer.wait()
    done = place.once(timeout=600)
    assert done.code == 0, done
    return killed


def all_there(documents, count, seed, what):
    """Each line exactly once, and those of one file in the order in which they stood."""
    got = numbers(documents)
    twice = [number for number, times in Counter(got).items() if times > 1]
    assert not twice, f"{what}: {len(twice)} twice, {sorted(twice)[:5]}"
    missing = set(range(count)) - set(got)
    assert not missing, f"{what}: {len(missing)} missing, {sorted(missing)[:5]}"
    at = {number: place for place, number in enumerate(got)}
    for first, end in plan(count, seed):
        places = [at[number] for number in range(first, end)]
        assert places == sorted(places), f"{what}: lines {first}-{end} are not in order"
    checkpoints(documents)


def test_an_agent_that_is_killed_and_started_again_loses_and_repeats_nothing(place):
    count, seed = 2_000, 20_260_203
    place.write(inputs=[place.input(pattern="app.log*")], seal={"max_events": 300, "interval": "200ms"})
    assert tormented(place, count=count, kills=4, seed=seed, seconds=3, longest=0.8) >= 4
    assert len(controls(place.stored(), "start")) > 2
    all_there(place.stored(), count, seed, "store")
    all_there(place.archived(), count, seed, "archive")
    assert {document["seal"]["log"] for document in place.archived() if "seal" in document} == {
        place.archived()[-1]["trail"]["checkpoint"]["log"]
    }
    place.verified()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_lines_survive_twenty_kills_on_every_output(place, receiver, opensearch, tmp_path):
    count = 100_000
    seed = int(os.environ.get("FIELDTRAIL_TEST_SEED") or random.randrange(1 << 30))
    outputs = [
        {"id": "local", "type": "store"},
        {"id": "archive", "type": "file", "path": str(place.archive), "rotate": {"max_bytes": "30MB"}},
        {"id": "soc", "type": "syslog", "address": receiver.address},
    ]
    namespace = f"kill{seed}"
    if opensearch is not None:
        from shipper.outputs._opensearch_client import Client
        from shipper.siem.install import install
        from shipper.siem.templates import template_parts

        with contextlib.closing(Client([opensearch.url])) as client:
            list(install(client, template_parts()))
        outputs.append({"id": "siem", "type": "opensearch", "hosts": [opensearch.url]})
    place.write(
        agent={"namespace": namespace},
        journal={"segment_size": "2MiB"},
        inputs=[place.input(pattern="app.log*")],
        outputs=outputs,
    )
    killed = tormented(place, count=count, kills=20, seed=seed, seconds=60, longest=4.0)
    starts = len(controls(place.stored(), "start"))
    print(f"{killed} kills, {starts} starts, {receiver.repeated} messages repeated")
    assert starts > 10

    all_there(place.stored(), count, seed, "store")
    files = [*sorted(place.root.glob("archive.ndjson.0*")), place.archive]
    all_there([one for path in files for one in place.archived(path)], count, seed, "archive")
    assert receiver.numbers == set(range(count))
    assert receiver.different == []
    for words in (["--store"], ["--journal"], [word for path in files for word in ("--ndjson", path)]):
        done = place.verify(*words)
        assert done.code == 0, (words, done)
    if opensearch is not None:
        index = f"logs-fieldtrail.*-{namespace}"
        pulled = tmp_path / "pulled.ndjson"
        done = inside("pull", "--opensearch", opensearch.url, "--index", index, "--output", pulled)
        assert done.code == 0, done
        documents = sorted(map(json.loads, pulled.read_bytes().splitlines()), key=_position)
        all_there(documents, count, seed, "OpenSearch")
        done = place.verify("--opensearch", opensearch.url, "--index", index)
        assert done.code == 0, done


def _position(document):
    return document.get("seal", {}).get("i", -1)
