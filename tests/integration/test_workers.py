"""Parsing processes: what comes back is what one process gives, in order, whatever happens to them."""

import contextlib
import os
import random
import signal
from datetime import UTC, datetime

import orjson
import pytest

from shipper.build import Lanes
from shipper.config import Config, FormatSection
from shipper.framing import LineFramer
from shipper.input_sections import FileInputSection
from shipper.logbook import leaves_of
from shipper.model import Chunk
from shipper.processor import Processor
from shipper.seal.canonical import unsplice
from shipper.workers import crew as crews
from shipper.workers import process as processes
from shipper.workers.crew import Crew
from tests.e2e.agent_process import FORMAT, line
from tests.tailing import StandingClock

POISON = """
import os, signal, sys
sys.path[:] = sys.argv[3:]
from shipper import processor
from shipper.workers import child
harmless = processor.process
def process(chunk, *rest):
    if any(b"poison" in record.data for record in chunk.records):
        os.kill(os.getpid(), signal.SIGKILL)
    return harmless(chunk, *rest)
processor.process = process
child.main(int(sys.argv[1]), int(sys.argv[2]))
"""
ENDS = "import sys; sys.exit(3)"
MUTE = "import time; time.sleep(600)"


def config(form, **more):
    section = FileInputSection(id="app", type="file", paths=("/logs/*.log",), format=form, **more)
    return Config(inputs=(section,), formats={"app": FormatSection(**FORMAT)})


def chunks(data, *, stream="s", form="app", size=200, received=1_770_000_000.0, **more):
    """The lines in chunks of about `size` bytes, as a file input gives them."""
    framer = LineFramer()
    out = []
    for place in range(0, len(data), size):
        records = framer.feed(data[place : place + size])
        if records:
            out.append(Chunk("app", stream, f"/logs/{stream}.log", form, records, {}, received, **more))
    return out


class Told(list):
    """What telemetry was told."""

    def __init__(self, monkeypatch):
        super().__init__()
        for name in ("worker_died", "worker_missing", "line_unparsed"):
            monkeypatch.setattr(crews.telemetry, name, lambda name=name, **about: self.append((name, about)))

    def of(self, name):
        return [about for kind, about in self if kind == name]


@pytest.fixture
def told(monkeypatch):
    return Told(monkeypatch)


def processor(settings):
    return Processor(Lanes(settings, "test", os.urandom), b"m" * 32, os.urandom)


@contextlib.contextmanager
def crew(settings, count=2, clock=None):
    """A crew and its processor."""
    own = processor(settings)
    made = Crew(count, settings, "test", b"m" * 32, own, clock or StandingClock())
    try:
        yield made, own
    finally:
        pids = made.pids
        made.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def given_back(made, expected, tap=None):
    """What became of so many chunks."""
    out = []
    for _ in range(expected):
        parts = made.next(tap, 60.0)
        assert parts is not None
        out += parts
    assert made.next(tap, 0.0) is None
    return out


def bodies_of(part):
    """The canonical documents of a part, whoever parsed it; each is what its leaf was made of."""
    if part.form is None:
        return part.bodies
    assert leaves_of(part.form.filled(9, "0123456789abcdef")) == part.leaves
    return part.form.bodies()


def alone(settings, work):
    """The same in this process: (bodies, sources, counts, times)."""
    own = processor(settings)
    parts = [own.process(chunk, None) for chunk in work]
    return summary(parts, own)


def summary(parts, own):
    counts = {key: lane.counts for key, lane in own.lanes.items()}
    bodies = [body for part in parts for body in bodies_of(part)]
    return bodies, [part.source for part in parts], [part.routes for part in parts], counts, own.times


def together(settings, work, count=3):
    with crew(settings, count) as (made, own):
        for chunk in work:
            made.submit(chunk)
        return summary(given_back(made, len(work)), own)


def changes(first, count):
    return "".join(line(number) + "\n" for number in range(first, first + count)).encode()


def test_three_processes_give_what_one_gives_for_json():
    files = [(f"s{number}", changes(number * 1000, 300) + b"no json\n\n") for number in range(3)]
    work = [chunk for stream, data in files for chunk in chunks(data, stream=stream)]
    random.Random(5).shuffle(work)  # of each stream, too: order is what the chunks came in
    assert together(config("app"), work) == alone(config("app"), work)


def syslog(moments):
    shown = [f"{one:%b} {one.day:2d} {one:%H:%M:%S}" for one in moments]
    return "".join(f"{text} host app[7]: message {number}\n" for number, text in enumerate(shown)).encode()


@pytest.mark.parametrize("mtime", [None, datetime(2025, 3, 1, tzinfo=UTC).timestamp()], ids=["now", "old-mtime"])
def test_three_processes_read_the_year_as_one_does(mtime):
    moments = [datetime(2025, 12, 31, 23, 50, tzinfo=UTC).timestamp() + 7 * step for step in range(200)]
    back = [datetime(2025, 12, 30, 9, tzinfo=UTC).timestamp() + 60 * step for step in range(50)]
    data = syslog([datetime.fromtimestamp(one, UTC) for one in [*moments, *back, *moments]])
    received = datetime(2026, 1, 3, tzinfo=UTC).timestamp()
    work = chunks(data, form="syslog", received=received, mtime=mtime)
    bodies, *_ = expected = alone(config("syslog", timezone="UTC"), work)
    assert {orjson.loads(body)["@timestamp"][:4] for body in bodies} >= {"2025", "2026" if mtime is None else "2025"}
    assert together(config("syslog", timezone="UTC"), work) == expected


def test_three_processes_read_a_repeated_hour_as_one_does():
    walls = ["02:50:00", "02:10:00", "02:35:00", "03:10:00"]  # 02:10 is nearer to 02:50 in the second hour
    data = "".join(
        line(number).replace("2026-02-03T10:30:00Z", f"2026-10-25T{wall}") + "\n"
        for number, wall in enumerate(walls[:1] * 40 + walls[1:2] * 40 + walls[2:3] * 40 + walls[3:] * 4)
    ).encode()
    settings = config("app", timezone="Europe/Berlin")
    work = chunks(data)
    bodies, *_ = expected = alone(settings, work)
    seen = {orjson.loads(body)["@timestamp"] for body in bodies}
    assert {"2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:35:00Z"} <= seen
    assert together(settings, work) == expected


def test_no_nonce_is_drawn_twice():
    work = chunks(changes(0, 500))
    with crew(config("app")) as (made, _):
        for chunk in work:
            made.submit(chunk)
        documents = [data for part in given_back(made, len(work)) for data in part.form.filled(0, "0" * 16)]
    nonces = {unsplice(data).nonce for data in documents}
    assert len(nonces) == len(documents) == 500


def test_who_watches_sees_each_event_once_in_order():
    work, seen = chunks(changes(0, 60)), []
    with crew(config("app")) as (made, _):
        for chunk in work:
            made.submit(chunk)
        parts = given_back(made, len(work), seen.append)
    assert seen == [orjson.loads(body) for part in parts for body in bodies_of(part)]


def test_a_process_that_is_killed_loses_nothing_and_repeats_nothing(told):
    work = chunks(changes(0, 4000), size=2000)
    with crew(config("app")) as (made, own):
        parts, submitted, done = [], 0, 0
        while done < len(work):
            while submitted < len(work) and submitted < done + 20:
                made.submit(work[submitted])
                submitted += 1
            if len(told) < 4 and made.ready:
                os.kill(made.ready[len(told) % len(made.ready)], signal.SIGKILL)
            parts += made.next(None, 60.0)
            done += 1
        bodies, sources, _, counts, times = summary(parts, own)
        one_bodies, one_sources, _, one_counts, one_times = alone(config("app"), work)
        assert (bodies, counts, times) == (one_bodies, one_counts, one_times)
        # A chunk that was there at two deaths comes in halves.
        places = [source["from"] for source in sources]
        assert places[1:] == [source["to"] for source in sources[:-1]]
        assert {source["to"] for source in one_sources} <= {source["to"] for source in sources}
        assert len(made.pids) == 2
    assert len(told.of("worker_died")) >= 4
    assert all(one["cause"] == "SIGKILL" for one in told.of("worker_died"))
    assert not told.of("line_unparsed") + told.of("worker_missing")


def test_a_line_that_kills_processes_is_kept_unparsed_and_costs_no_other_line(told, monkeypatch):
    monkeypatch.setattr(processes, "_START", POISON)
    lines = changes(0, 30).splitlines(keepends=True)
    lines[17] = lines[17].replace(b"kim", b"poison")
    work = chunks(b"".join(lines), size=1200)
    with crew(config("app")) as (made, own):
        for chunk in work:
            made.submit(chunk)
        parts = given_back(made, len(work))
        counts = own.lanes["app", "app"].counts
    events = [orjson.loads(body) for part in parts for body in bodies_of(part)]
    assert [event.get("trail", {}).get("object", {}).get("id") for event in events] == [
        None if number == 17 else str(number) for number in range(30)
    ]
    assert events[17]["event"]["kind"] == "pipeline_error"
    assert events[17]["event"]["original"].encode() == lines[17].rstrip(b"\n")
    assert (counts.read, counts.rejected, counts.extra) == (30, 1, {"internal_errors": 1})
    assert [one["offset"] for one in told.of("line_unparsed")] == [sum(map(len, lines[:17]))]


def test_what_killed_two_processes_waits_for_a_third_and_is_not_parsed_by_the_agent(told, monkeypatch):
    monkeypatch.setattr(processes, "_START", POISON)
    clock = StandingClock()
    with crew(config("app"), 1, clock) as (made, _):
        made.submit(chunks(changes(0, 1).replace(b"kim", b"poison"))[0])
        while not told.of("worker_died"):
            assert made.next(None, 0.01) is None
        monkeypatch.setattr(processes, "_START", ENDS)  # the second runs already, this is for the third
        while not told.of("worker_missing"):
            assert made.next(None, 0.01) is None
        assert len(told.of("worker_died")) == 2
        assert made.next(None, 0.01) is None
        monkeypatch.setattr(processes, "_START", POISON)
        clock.mono += crews.FIRST_RETRY
        (part,) = given_back(made, 1)
    assert orjson.loads(bodies_of(part)[0])["event"]["kind"] == "pipeline_error"


def test_without_any_process_the_agent_parses_for_itself(told, monkeypatch):
    monkeypatch.setattr(processes.sys, "executable", "/nonexistent/python")
    work = chunks(changes(0, 50))
    assert together(config("app"), work, 2) == alone(config("app"), work)
    assert len(told.of("worker_missing")) == 1


def test_a_process_that_never_answers_is_given_up(told, monkeypatch):
    monkeypatch.setattr(processes, "_START", MUTE)
    monkeypatch.setattr(crews, "SILENCE", -1.0)
    work = chunks(changes(0, 20))
    with crew(config("app"), 1) as (made, own):
        for chunk in work:
            made.submit(chunk)
        while not (parts := made.next(None, 0.01)):
            pass
        assert summary(parts, own)[0] == alone(config("app"), work[:1])[0]
    assert told.of("worker_missing")


def test_what_is_on_its_way_is_bounded():
    work = chunks(b"x\n" * 100_000, size=8192)
    whole = chunks(b"y\n" * 20_000, size=40_000)
    with crew(config("app")) as (made, _):
        taken = 0
        while made.room:
            made.submit(work[taken])
            taken += 1
        assert 0 < taken < len(work) // 3
        given_back(made, taken)
        assert made.room
        for chunk in whole:
            made.submit(chunk)
        parts = given_back(made, len(whole))
    assert max(part.size for part in parts) < 2_000_000  # not forty times what was read
    assert sum(len(part.leaves) for part in parts) == 20_000
