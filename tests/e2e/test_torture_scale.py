"""Torture matrix, how much: rows 1, 35 and 40; and that every row has a test. Bursts, a backlog, thousands of files."""

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from datetime import datetime
from pathlib import Path

import pytest

from shipper.inputs.file import hints
from tests.e2e.agent_process import conserved, eventually, line, lines, numbers
from tests.receivers import TcpReceiver, msg

TESTS = Path(__file__).resolve().parents[1]

# Writes so many bytes a second, whatever becomes of them; lines of a kilobyte, most of which the privacy policy drops.
BURST = textwrap.dedent("""
    import sys, time
    path, count, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    pad = "x" * 860
    step = 2000
    began = time.monotonic()
    written = 0
    with open(path, "ab", buffering=0) as file:
        for first in range(0, count, step):
            data = "".join(
                '{"ts":"2026-02-03T10:30:00Z","who":"kim","kind":"offer","n":"%d","secret":"%s",'
                '"changes":[{"field":"stage","old":"a","new":"b"}]}\\n' % (number, pad)
                for number in range(first, min(first + step, count))
            ).encode()
            file.write(data)
            written += len(data)
            time.sleep(max(0.0, began + written / rate - time.monotonic()))
    print(written / (time.monotonic() - began) / 1e6)
""")


def test_every_row_of_the_matrix_has_a_test():
    named = re.compile(r"^def test_row_(\d\d)_\w", re.MULTILINE)
    rows = {int(row) for path in TESTS.rglob("test_*.py") for row in named.findall(path.read_text(encoding="utf-8"))}
    assert rows == set(range(1, 41))


# -- row 1 -------------------------------------------------------------------------------------------------------------


def test_row_01_lines_appended_one_by_one_arrive_at_once_and_in_order(trial):
    t = trial()
    t.start()
    t.looked()
    took = []
    for number in range(30):
        began = time.monotonic()
        t.append(lines(number, 1))
        t.arrived(number + 1)
        took.append(time.monotonic() - began)
    print(f"median {statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")
    assert statistics.median(took) < 1.0
    t.append(lines(30, 500))
    t.arrived(530)
    t.whole(range(530))


@pytest.mark.slow
def test_row_01_a_burst_of_50_megabytes_a_second_arrives_whole_and_in_order(trial):
    t = trial()
    count = 100_000
    agent = t.start()
    t.looked()
    began = time.monotonic()
    writer = subprocess.run(
        [sys.executable, "-c", BURST, str(t.logs / "a.log"), str(count), "5e7"], capture_output=True, check=True
    )
    written = time.monotonic() - began
    t.arrived(count, patience=300)
    took = time.monotonic() - began
    size = (t.logs / "a.log").stat().st_size
    print(
        f"written at {float(writer.stdout):.0f} MB/s in {written:.1f} s; all {size / 1e6:.0f} MB there after {took:.1f} s"
    )
    print(f"peak {agent.peak() / 1e6:.0f} MB")
    assert agent.peak() < 400_000_000
    t.whole(range(count))


# -- row 35 ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("count", "room"), [(12_000, "512KiB"), (200_000, "4MiB")], ids=["12000", "200000"])
def test_row_35_a_backlog_behind_an_output_that_is_down_is_bounded_named_and_drained_in_order(trial, count, room):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    t = trial()
    sections = {
        "journal": {"max_size": room, "segment_size": "64KiB"},
        "seal": {"interval": "200ms"},
        "outputs": [*t.outputs, {"id": "soc", "type": "syslog", "address": f"tcp://127.0.0.1:{port}"}],
    }
    t.configure("*.log", sections=sections)
    t.append(lines(0, count))
    agent = t.start()
    full = eventually(lambda: (status := t.place.status()) and status["journal"]["full"] and status, "full", 60)
    conserved(full)
    told = agent.wait_told("journal full: reading is paused until an output catches up")[0]
    assert "soc" in told["waiting_for"]
    assert full["inputs"][0]["read"] < count
    assert full["inputs"][0]["streams"][0]["lag"] > 0
    behind = [one for one in full["outputs"] if not one["connected"]]
    assert [one["id"] for one in behind] == ["soc"]
    assert behind[0]["pending"] > 0 and behind[0]["last_error"]
    paused = agent.peak()
    t.append(lines(count, 1000))  # the source goes on
    used = [full["journal"]["bytes"]]
    receiver = TcpReceiver(port=port)
    try:
        began = time.monotonic()

        def drained():
            status = t.place.status()
            used.append(status["journal"]["bytes"])
            return status["inputs"][0]["read"] >= count + 1000 and not any(one["pending"] for one in status["outputs"])

        eventually(drained, "drained", 240)
        took = time.monotonic() - began
        peak = agent.peak()
        t.whole(range(count + 1000))
    finally:
        receiver.close()
    print(f"drained {(count + 1000) / took:.0f} events/s; peak {paused / 1e6:.0f} MB paused, {peak / 1e6:.0f} MB after")
    print(f"journal at most {max(used)} of {full['journal']['limit']} bytes")
    assert peak < paused + 64_000_000
    limit = full["journal"]["limit"]
    assert max(used) < limit + limit // 4 + 512 * 1024  # with the frames that were under way
    arrived = [json.loads(msg(text)) for connection in receiver.connections for text in connection]
    assert numbers(arrived) == list(range(count + 1000))


# -- row 40 ------------------------------------------------------------------------------------------------------------


def descriptors(agent, folder):
    """How many files of a folder a process holds open."""
    found = 0
    for name in os.listdir(f"/proc/{agent.pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{agent.pid}/fd/{name}").startswith(str(folder))
    return found


def processor_seconds(agent):
    fields = Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("files", "hot", "most"),
    [(400, 20, 32), pytest.param(10_000, 100, 256, marks=pytest.mark.slow)],
    ids=["400", "10000"],
)
def test_row_40_few_hot_files_among_many_are_read_soon_under_the_cap_and_share_with_a_busy_one(trial, files, hot, most):
    t = trial(max_open_files=most, scan_interval="1s")
    held = {number: [number] for number in range(files)}
    for number in held:
        t.append(lines(number, 1), f"{number}.log")
    agent = t.start()
    began = time.monotonic()
    t.arrived(files, patience=300)
    first = time.monotonic() - began
    assert descriptors(agent, t.logs) <= most
    # Hot files scattered over all; each line says when it was written.
    chosen = list(held)[:: files // hot][:hot]
    total, written = files, {}

    def round_of_lines():
        nonlocal total
        for number in chosen:
            held[number].append(total)
            written[total] = time.time()
            t.append(lines(total, 1), f"{number}.log")
            total += 1

    for _ in range(5):
        round_of_lines()
        t.arrived(total, patience=60)
        assert descriptors(agent, t.logs) <= most
    quiet = len(written)
    # A busy file beside them: what it holds takes long, and the others have their turns all the same.
    busy = [line(total + number, secret="x" * 2000) + "\n" for number in range(10_000 if files > 1000 else 3000)]
    held[files] = list(range(total, total + len(busy)))
    total += len(busy)
    t.append("".join(busy).encode(), "busy.log")
    for _ in range(5):
        round_of_lines()
    t.arrived(total, patience=120)
    assert descriptors(agent, t.logs) <= most
    if files > 1000:  # so many writes at once end the watch for a while, in which every file is looked at instead
        calm = time.monotonic() + hints.PAUSE + 3
        eventually(lambda: time.monotonic() > calm, "the watch of the folder is back", hints.PAUSE + 10)
    used, since = processor_seconds(agent), time.monotonic()
    eventually(lambda: time.monotonic() - since >= (5.0 if files > 1000 else 1.0), "some quiet seconds")
    idle = (processor_seconds(agent) - used) / (time.monotonic() - since)
    documents = t.whole(*held.values())
    late = {}
    for one in documents:
        for number in numbers([one]):
            if number in written:
                seen = datetime.fromisoformat(one["trail"]["origin"]["received"]).timestamp()
                late[number] = seen - written[number]
    alone, beside = sorted(late[number] for number in list(written)[:quiet]), sorted(late.values())
    p99 = [values[int(len(values) * 0.99)] for values in (alone, beside)]
    print(f"{files} files in {first:.1f} s; read after (p99) {p99[0]:.2f} s, beside a busy file {p99[1]:.2f} s")
    print(f"idle: {idle * 100:.1f} % of a core")
    assert p99[0] < 3.0
    assert p99[1] < 6.0
    assert idle < 0.25
