"""The power fails: what a real file system has not been made to write is gone, and nothing that was acknowledged.

The agent's state and one archive are on an ext4 file system in an image; the image lies on XFS, which copies it in one
step (a reflink). Such a copy, taken at a random moment, is what a disk would hold after a power cut at that moment: the
page cache is not in it. The copy is mounted, the agent is started on it, and so on, from cut to cut. The log files, and
in one of the tests a second archive, are outside: they are other machines.

What this does not show: blocks that a disk acknowledges and loses, and a folder entry that was not synced (ext4 writes
it with the file). The simulated disk of `tests/model` does both.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shipper.fs import RealFs
from shipper.journal import Frame, check, iterate
from tests.components import absent
from tests.crash.faults import Volume, loop_missing
from tests.crash.test_kill import WRITER, all_there
from tests.e2e.agent_process import Place, eventually

UNSYNCED = Path(__file__).with_name("unsynced.py")


@pytest.fixture
def machine(tmp_path):
    if reason := loop_missing():
        absent(f"{reason}; tests/model holds the same on a simulated disk")
    if shutil.which("mkfs.xfs") is None:
        absent("no mkfs.xfs (hint: apt-get install xfsprogs); tests/model holds the same on a simulated disk")
    made = Machine(tmp_path)
    yield made
    made.close()


class Machine:
    """A disk whose power can be cut, and a `place` with its state on it."""

    def __init__(self, root):
        self.root = root
        self.outer = Volume.image(root / "outer", root / "outer.img", "400M", kind="xfs", make=("-m", "reflink=1"))
        self.image = root / "outer" / "disk.img"
        self.disk = Volume.image(root / "disk", self.image, "64M", make=("-E", "lazy_itable_init=0"))
        self.place = Place(root)
        self.place.state = root / "disk" / "state"
        self.place.archive = root / "disk" / "archive.ndjson"
        self.outside = root / "outside.ndjson"
        self.cuts = 0

    def write(self, *names):
        """The configuration, with these outputs."""
        outputs = {
            "local": {"type": "store"},
            "archive": {"type": "file", "path": str(self.place.archive)},
            "outside": {"type": "file", "path": str(self.outside)},
        }
        self.place.write(
            inputs=[self.place.input(pattern="app.log*")],
            outputs=[{"id": name, **outputs[name]} for name in names],
            seal={"max_events": 300, "interval": "200ms"},
            journal={"segment_size": "64KiB"},
        )

    def cut(self, agent):
        """Take the copy and end the agent; from now on the disk holds what the copy does."""
        self.cuts += 1
        copy = self.image.with_name(f"cut{self.cuts}.img")
        subprocess.run(["cp", "--reflink=always", str(self.image), str(copy)], check=True)
        agent.kill()
        device = self.disk.device
        self.disk.close()
        self.image.unlink()
        self.image = copy
        # The same device, so that its files are the same files.
        self.disk = Volume.image(self.root / "disk", copy, device=device)

    def journal(self):
        return self.place.state / "journal"

    def close(self):
        self.place.close()
        self.disk.close()
        self.outer.close()


def stopped(agent):
    """Stop every thread of the agent where it is, so that nothing leaves the machine any more."""
    agent.signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{agent.pid}/task")
    eventually(lambda: all("State:\tT" in (one / "status").read_text() for one in tasks.iterdir()), "stopped")


def told(agent, place):
    """The next frame's number by the agent's own word: all below it are kept."""
    status = eventually(lambda: place.status() or agent.process.poll() is not None, "status")
    assert agent.process.poll() is None, agent.logs
    return status["journal"]["next_seq"]


def kept(machine):
    """Numbers of the frames on the disk, and the bytes of their documents."""
    frames = list(iterate(machine.journal(), RealFs()))
    assert all(isinstance(one, Frame) for one in frames), frames
    return {one.seq for one in frames}, {document for one in frames for document in one.documents}


def tormented(machine, *, cuts, count, seed, outside):
    """Write and cut, then one pass to the end."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    place = machine.place
    writer = subprocess.Popen([sys.executable, WRITER, place.logs, str(count), str(seed), str(cuts * 3)])
    began, frames = time.monotonic(), 0
    try:
        for _ in range(cuts):
            agent = place.start()
            if rng.random() < 0.8:
                agent.ready()
            time.sleep(rng.uniform(0.0, 2.0))
            before = place.status()
            if outside:
                stopped(agent)
            machine.cut(agent)
            assert not agent.told("new log generation opened"), agent.logs
            seqs, documents = kept(machine) if machine.journal().is_dir() else (set(), set())
            if before is not None:
                frames = max(frames, before["journal"]["next_seq"])
            assert seqs >= set(range(frames)), f"kept before the cut: {frames}, after it: {sorted(seqs)[-3:]}"
            if outside and machine.outside.exists():
                delivered = set(machine.outside.read_bytes().split(b"\n")[:-1])
                assert delivered <= documents, "delivered, and not in the journal"
            assert not machine.journal().is_dir() or check(machine.journal(), RealFs()).ok  # cut before it was made
            frames = max(seqs, default=-1) + 1 if frames else 0
        spent = (time.monotonic() - began) / cuts
        assert writer.wait(120) == 0
    finally:
        writer.kill()
        writer.wait()
    done = place.once(timeout=300)
    assert done.code == 0, done
    for what, path in (("archive", place.archive), ("outside", machine.outside)):
        if path.exists():
            files = [*sorted(path.parent.glob(f"{path.name}.0*")), path]
            all_there([one for file in files for one in place.archived(file)], count, seed, what)
            done = place.verify(*(word for file in files for word in ("--ndjson", file)))
            assert done.code == 0, done
    all_there(place.stored(), count, seed, "store")
    logs = {one["seal"]["log"] for one in place.stored() if "seal" in one}
    assert len(logs) == 1, "a second generation was begun"
    for words in (["--store"], ["--journal"]):
        done = place.verify(*words)
        assert done.code == 0, done
    print(f"{cuts} cuts, {spent:.1f} s each; {frames} frames, {count} lines")


def a_seed():
    return int(os.environ.get("FIELDTRAIL_TEST_SEED") or random.randrange(1 << 30))


def test_row_33_a_power_cut_takes_nothing_that_was_kept(machine):
    machine.write("local", "archive", "outside")
    tormented(machine, cuts=2, count=2_000, seed=20_260_203, outside=True)


@pytest.mark.slow
def test_row_33_ten_power_cuts_take_nothing_that_was_kept_or_delivered(machine):
    """The agent is stopped first, so that the destination outside cannot have what came after the cut."""
    machine.write("local", "archive", "outside")
    tormented(machine, cuts=10, count=10_000, seed=a_seed(), outside=True)


@pytest.mark.slow
def test_row_33_ten_power_cuts_in_the_middle_of_a_write_take_nothing_that_was_kept(machine):
    machine.write("local", "archive")
    tormented(machine, cuts=10, count=10_000, seed=a_seed(), outside=False)


def test_row_33_the_cut_is_one_an_agent_that_does_not_sync_loses_what_it_kept(machine):
    """So the tests above could fail."""
    place = machine.place
    machine.write("archive")
    place.append(b'{"ts":"2026-02-03T10:30:00Z"}\n', "app.log")
    assert place.once().code == 0
    os.sync()
    agent = place.start(prefix=(sys.executable, UNSYNCED)).ready()
    began = told(agent, place)
    for number in range(5):
        place.append(b'{"ts":"2026-02-03T10:30:0%dZ"}\n' % number, "app.log")
        eventually(lambda number=number: told(agent, place) > began + number, "another frame is kept")
    promised = told(agent, place)
    machine.cut(agent)
    assert max(kept(machine)[0]) + 1 < promised
