"""Torture matrix, what surrounds the agent: rows 28 to 30, 38 and 39. Watches, clocks, a second agent, its own state."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from tests.components import absent
from tests.e2e.agent_process import checkpoints, controls, eventually, line, lines, numbers
from tests.e2e.torture import frozen
from tests.integration.faulty_opensearch import FaultyOpenSearch

DAY = 86_400
NOT_WATCHED = "directory not watched, it is scanned instead"


# -- watches -----------------------------------------------------------------------------------------------------------


def test_row_28_when_the_kernels_queue_overflows_nothing_is_lost_and_it_is_told(trial):
    t = trial()
    agent = t.reading(10)
    t.looked()  # the folder is watched by now
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with frozen(agent):
        for number in range(queue):  # more events than that: each file is made and deleted
            os.close(os.open(t.logs / "noise.tmp", os.O_CREAT))
            os.unlink(t.logs / "noise.tmp")
            if number % 2000 == 0:
                t.append(lines(100 + number, 2), f"{number}.log")
                t.append(lines(10 + number // 2000, 1))
    new = range(0, queue, 2000)
    t.arrived(10 + 3 * len(new))
    told = agent.wait_told("inotify queue overflowed, hints were lost, scanning instead")
    assert {one["level"] for one in told} == {"warning"}
    t.whole(range(10 + len(new)), *(range(100 + number, 102 + number) for number in new))


@pytest.mark.parametrize(
    ("limit", "number"), [("max_inotify_watches", 1), ("max_inotify_instances", 0)], ids=["watches", "instances"]
)
def test_row_28_when_the_limit_of_watches_is_reached_it_is_told_and_looking_goes_on(trial, limit, number):
    # The limits of a user namespace of its own: those of the machine stay as they are.
    inside = f'echo {number} > /proc/sys/user/{limit} && exec "$0" "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", inside)
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        absent("no user namespaces here: sysctl kernel.unprivileged_userns_clone=1")
    t = trial("*.log", "*/*.log")
    for name in ("a", "b", "c"):
        (t.logs / name).mkdir()
    t.append(lines(0, 10), "a/x.log")
    agent = t.start(prefix)
    t.arrived(10)
    told = agent.wait_told(NOT_WATCHED)
    assert {one["level"] for one in told} == {"warning"}
    for turn, name in enumerate(("a/x.log", "b/x.log", "c/x.log", "x.log")):
        t.append(lines(100 * turn + 10, 10), name)
        t.arrived(20 + 10 * turn)
    t.looked()
    assert len(agent.told(NOT_WATCHED)) == 1
    t.whole(range(20), *(range(100 * turn + 10, 100 * turn + 20) for turn in (1, 2, 3)))


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-3, pytest.param(3, marks=pytest.mark.slow)], ids=["back", "ahead"])
def test_row_29_a_clock_that_jumps_by_days_under_the_agent_changes_nothing(trial, days):
    t = trial(sections={"seal": {"interval": "200ms"}})
    offsets = t.place.root / "offsets"
    offsets.write_text("0")
    t.append(lines(0, 20))
    agent = t.start([sys.executable, str(Path(__file__).with_name("jumping_clock.py")), str(offsets)])
    t.arrived(20)
    (t.place.root / "next").write_text(str(days * DAY))
    (t.place.root / "next").rename(offsets)
    t.append(lines(20, 20))
    t.append(lines(100, 20), "b.log")
    t.arrived(60)
    t.looked()
    t.append(lines(40, 5) + lines(45, 1)[:40])
    t.arrived(65)
    eventually(lambda: t.place.status()["log"]["checkpoint"] > 60, "checkpoints go on")
    (t.place.root / "next").write_text("0")
    (t.place.root / "next").rename(offsets)
    t.append(lines(45, 5)[40:])
    t.arrived(70)
    assert agent.process.poll() is None
    documents = t.whole(range(50), range(100, 120))
    received = [
        datetime.fromisoformat(one["trail"]["origin"]["received"]).timestamp() for one in documents if numbers([one])
    ]
    assert max(received) - min(received) > 2 * DAY  # the clock did jump


def test_row_29_files_from_the_future_and_from_long_ago_are_read_like_all_others(trial):
    t = trial()
    now = time.time()
    for number, days in enumerate((3, -3, 3650, -10_000)):
        name = f"{number}.log"
        t.append(lines(100 * number, 10), name)
        os.utime(t.logs / name, (now + days * DAY,) * 2)
    agent = t.start()
    t.arrived(40)
    for number, days in enumerate((-3, 3, -10_000, 3650)):
        name = f"{number}.log"
        t.append(lines(100 * number + 10, 10), name)
        os.utime(t.logs / name, (now + days * DAY,) * 2)
    t.arrived(80)
    agent.kill()
    for number in range(4):
        t.append(lines(100 * number + 20, 10), f"{number}.log")
        os.utime(t.logs / f"{number}.log", (now + 3 * DAY,) * 2)
    t.start()
    t.arrived(120)
    t.whole(*(range(100 * number, 100 * number + 30) for number in range(4)))


def test_row_30_a_file_that_is_too_old_is_read_from_its_beginning_when_it_becomes_active(trial):
    t = trial(ignore_older="1d")
    now = time.time()
    for name, days in (("old.log", -3), ("young.log", -0.5), ("future.log", 3)):
        t.append(lines({"old.log": 0, "young.log": 100, "future.log": 200}[name], 10), name)
        os.utime(t.logs / name, (now + days * DAY,) * 2)
    agent = t.start()
    t.arrived(20)
    t.looked()
    assert sorted(numbers(t.place.stored())) == [*range(100, 110), *range(200, 210)]
    streams = t.place.status()["inputs"][0]["streams"]
    assert [os.path.basename(one["path"]) for one in streams if one["state"] == "ignored"] == ["old.log"]
    t.append(lines(10, 10), "old.log")
    t.arrived(40)
    # Known by now: it goes on at its position, however old it becomes.
    agent.kill()
    t.append(lines(20, 10), "old.log")
    t.append(lines(110, 10), "young.log")
    for name in ("old.log", "young.log"):
        os.utime(t.logs / name, (now - 3 * DAY,) * 2)
    t.start()
    t.arrived(60)
    t.whole(range(30), range(100, 120), range(200, 210))


# -- one state, one agent ----------------------------------------------------------------------------------------------


def test_row_38_a_second_agent_on_one_state_folder_is_refused_and_does_no_harm(trial):
    t = trial()
    agent = t.reading(10)
    done = t.place.once()
    assert done.code == 69
    assert f"in use by another agent (pid {agent.pid})" in done.err
    assert "hint: fieldtrail status" in done.err
    t.append(lines(10, 10))
    t.arrived(20)
    assert len(controls(t.whole(range(20)), "start")) == 1


@pytest.mark.parametrize(
    ("state", "pause"), [("deleted", 0), ("restored", 0), ("restored", 0.3)], ids=["deleted", "restored", "slow"]
)
def test_row_39_a_state_that_was_deleted_or_restored_repeats_lines_under_new_ids_of_the_same_origin(
    trial, state, pause
):
    t = trial()
    with FaultyOpenSearch() as search:
        t.place.write(outputs=[{"id": "siem", "type": "opensearch", "hosts": [search.url]}])
        older = t.place.root / "older"
        t.append(lines(0, 10))
        assert t.place.once().code == 0
        if state == "restored":
            shutil.copytree(t.place.state, older)
        t.append(lines(10, 10))
        assert t.place.once().code == 0
        first = {identity: data for (_, identity), data in search.documents.items()}
        shutil.rmtree(t.place.state)
        if state == "restored":
            shutil.copytree(older, t.place.state)
        t.append(lines(20, 10))
        # A destination that takes its time over each answer is waited for before anything gets a number.
        search.guard = (lambda _: time.sleep(pause)) if pause else None
        done = t.place.once()
        assert done.code == 0, done
        arrived = {identity: data for (_, identity), data in search.documents.items()}
    assert len(arrived) == len(search.documents), "an id stands in one index only"
    # Nothing that was delivered before was written over, and nothing of the new log passed for something delivered.
    assert first.items() <= arrived.items()
    assert len({identity.rpartition("-")[0] for identity in arrived}) == 2
    documents = [json.loads(data) for data in arrived.values()]
    checkpoints(documents)
    again = 20 if state == "deleted" else 10
    counts = Counter(numbers(documents))
    assert set(counts) == set(range(30))
    assert sum(counts.values()) == 30 + again
    # By the origin (file and offset) the repeated ones are told from lines that only look alike.
    origins = {}
    for one in documents:
        if numbers([one]):
            origins.setdefault(one["event"]["id"], []).append(numbers([one])[0])
    assert len(origins) == 30
    assert all(len(set(found)) == 1 for found in origins.values())
    assert sorted(map(len, origins.values())) == [1] * (30 - again) + [2] * again
    if state == "restored":
        (leaf,) = controls(documents, "succession")
        assert leaf["reason"] == "ahead at output siem"


def test_row_39_equal_lines_of_one_file_have_origins_of_their_own(trial):
    t = trial()
    t.append((line(0) + "\n").encode() * 5)
    t.start()
    t.arrived(5)
    documents = t.whole([0] * 5)
    assert len({one["event"]["id"] for one in documents if numbers([one])}) == 5
