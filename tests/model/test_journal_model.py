"""The journal on a disk that lies, against a plain list.

Whatever fails and wherever the machine stops: every acknowledged frame is there exactly once and in order, and of the
others at most the very last is, whole; what a recovery has shown is never lost again. `FIELDTRAIL_MODEL_EXAMPLES=6000`
makes the run longer (default 200 runs of up to 30 steps, about ten seconds).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from shipper.errors import DiskError
from shipper.journal import Frame, Gap, Journal, JournalError, check, iterate
from tests.model import journals
from tests.model.simfs import Fault, ProcessDied, SetClock, SimFs

FOLDER = Path("/state/journal")
SEGMENT_BYTES = 500
KEEP = 100.0

seeds = st.integers(0, 2**32 - 1)
codes = st.sampled_from([errno.EIO, errno.ENOSPC])
steps = st.sampled_from(["pwrite", "fdatasync", "fsync", "fsync_dir", "replace", "open_new", "truncate", "close"])
operations = st.sampled_from(
    ["pwrite", "fdatasync", "fdatasync", "fsync", "fsync_dir", "replace", "open_new", "truncate", "unlink", "pread"]
)


class JournalOnALyingDisk(RuleBasedStateMachine):
    """`kept` is the truth: (id, documents) per frame; `tried` what was attempted for the next number since."""

    def __init__(self) -> None:
        super().__init__()
        self.fs = SimFs()
        self.fs.mkdir(Path("/state"))
        self.clock = SetClock()
        self.kept: list[tuple[int, tuple[bytes, ...]]] = []
        self.tried: list[tuple[int, tuple[bytes, ...]]] = []
        self.needed = 0
        self.attempts = 0
        self.fatal = False
        self.start()

    def start(self) -> None:
        self.journal, recovery = self.open()
        self.fatal = False
        assert recovery.damage == []
        assert recovery.complete
        assert recovery.foreign == []
        if recovery.next_seq == len(self.kept) + 1:
            (last,) = [item for item in iterate(FOLDER, self.fs, len(self.kept)) if isinstance(item, Frame)]
            found = (last.meta["id"], tuple(last.documents))
            assert found in self.tried, "a frame that nobody wrote"
            self.kept.append(found)
        self.tried = []
        assert recovery.next_seq == len(self.kept) == self.journal.next_seq
        assert recovery.first_seq <= self.needed
        ids = (recovery.state["ids"] if recovery.state else []) + [meta["id"] for meta in recovery.metas]
        assert ids == [number for number, _ in self.kept], "the state does not fold"
        self.reader = self.journal.reader(recovery.first_seq)
        self.read_all(recovery.first_seq)
        report = check(FOLDER, self.fs)
        assert report.ok
        assert report.torn == 0 or not report.segments[-1].frames

    def open(self) -> tuple[Journal, object]:
        return Journal.open(
            FOLDER,
            self.fs,
            self.clock,
            segment_bytes=SEGMENT_BYTES,
            max_bytes=10_000,
            keep_seconds=KEEP,
            entropy=lambda n: self.attempts.to_bytes(n, "big"),
        )

    def read_all(self, first: int) -> None:
        """From the files, and by a reader that was not there before (so from memory too where it can)."""
        on_disk = list(iterate(FOLDER, self.fs, first))
        assert [(frame.meta["id"], tuple(frame.documents)) for frame in on_disk] == self.kept[first:]
        with self.journal.reader(first) as reader:
            for seq in range(first, len(self.kept)):
                frame = reader.read(0)
                assert frame is not None and frame.seq == seq
                assert (frame.meta["id"], tuple(frame.documents)) == self.kept[seq]
            assert reader.read(0) is None

    def append_one(self, size: int, count: int) -> bool:
        if self.fatal:  # the agent ends, and is started again
            self.fs.kill()
            self.start()
        self.attempts += 1
        content = Random(self.attempts)
        one = (self.attempts, tuple(content.randbytes(size).replace(b"\n", b"") for _ in range(count)))
        state = {"ids": [number for number, _ in self.kept]}
        try:
            seq = self.journal.append({"id": one[0]}, one[1], snapshot=lambda: state)
        except ProcessDied:
            self.tried.append(one)
            return False
        except JournalError as error:
            self.tried.append(one)
            self.fatal = error.fatal
            return False
        assert seq == len(self.kept)
        self.kept.append(one)
        self.tried = []
        return True

    @rule(frames=st.integers(1, 6), size=st.integers(0, 150), count=st.integers(0, 3))
    def append(self, frames, size, count):
        for _ in range(frames):
            self.append_one(size, count)

    @rule(
        op=operations,
        skip=st.integers(0, 2),
        code=codes,
        times=st.integers(1, 3),
        size=st.integers(0, 200),
        calm=st.booleans(),
    )
    def append_while_the_disk_fails(self, op, skip, code, times, size, calm):
        self.fs.faults.append(Fault(op, skip, code, times))
        for _ in range(times):
            self.append_one(size, 2)
        if calm:
            self.fs.calm()

    @rule(takes=st.lists(st.integers(1, 60), min_size=1, max_size=3), size=st.integers(0, 150))
    def append_with_short_writes(self, takes, size):
        healthy = not self.fs.faults and self.fs.space is None
        self.fs.short = list(takes)
        assert self.append_one(size, 1) or not healthy

    @rule(space=st.integers(0, 300), size=st.integers(0, 150))
    def append_until_the_disk_is_full(self, space, size):
        self.fs.space = space
        for _ in range(10):
            if not self.append_one(size, 1):
                break
        self.fs.calm()
        assert self.append_one(size, 1), "the disk has room again"

    @rule()
    def the_disk_recovers(self):
        self.fs.calm()

    @rule(seconds=st.integers(0, 80))
    def wait(self, seconds):
        self.clock.time += seconds

    @rule(
        op=st.sampled_from(["unlink", "fsync_dir"]),
        skip=st.integers(0, 2),
        needed=st.integers(0, 30),
        power=st.booleans(),
        seed=seeds,
    )
    def the_process_dies_while_it_deletes(self, op, skip, needed, power, seed):
        self.fs.calm()
        self.fs.faults.append(Fault(op, skip, 0))
        with contextlib.suppress(ProcessDied):
            self.release(needed, needed, urgent=True)
        if power:
            self.fs.power_cut(seed)
        else:
            self.fs.kill()
        self.start()

    @rule(needed=st.integers(0, 30), checkpoint=st.integers(0, 30), urgent=st.booleans())
    def release(self, needed, checkpoint, urgent):
        needed, checkpoint = min(needed, len(self.kept)), min(checkpoint, len(self.kept))
        self.needed = max(self.needed, min(needed, checkpoint))
        with contextlib.suppress(JournalError):
            self.journal.release(needed, checkpoint_seq=checkpoint, urgent=urgent)
        assert self.journal.first_seq <= min(self.needed, max(len(self.kept) - 1, 0))

    @rule(count=st.integers(1, 5))
    def read(self, count):
        for _ in range(count):
            seq = self.reader.seq
            try:
                item = self.reader.read(0)
            except DiskError:
                assert self.reader.seq == seq
                return
            if item is None:
                assert seq == len(self.kept)
                return
            if isinstance(item, Gap):
                assert item.first_seq == seq and item.last_seq < self.journal.first_seq == self.reader.seq
            else:
                assert (item.meta["id"], tuple(item.documents)) == self.kept[seq]

    @rule(
        ops=st.lists(st.tuples(steps, st.integers(0, 1)), min_size=1, max_size=3),
        size=st.integers(0, 150),
        power=st.booleans(),
        seed=seeds,
    )
    def the_process_dies_while_it_writes(self, ops, size, power, seed):
        """Up to two steps fail before the last is the end."""
        self.fs.calm()
        for op, skip in ops[:-1]:
            self.fs.faults.append(Fault(op, skip, errno.EIO))
        self.fs.faults.append(Fault(*ops[-1], 0))
        for _ in range(4):
            if self.fs.dead or self.fatal:
                break
            self.append_one(size, 1)
        if power:
            self.fs.power_cut(seed)
        else:
            self.fs.kill()
        self.start()

    @rule()
    def the_process_dies(self):
        self.fs.kill()
        self.start()

    @rule(seed=seeds)
    def the_power_fails(self, seed):
        self.fs.power_cut(seed)
        self.start()

    @rule(
        op=st.one_of(steps, st.sampled_from(["open_write", "listdir", "size"])),
        skip=st.integers(0, 4),
        code=st.sampled_from([0, errno.EIO]),
        power=st.booleans(),
        seed=seeds,
    )
    def the_restart_fails(self, op, skip, code, power, seed):
        self.fs.kill()
        self.fs.faults.append(Fault(op, skip, code))
        with contextlib.suppress(DiskError, ProcessDied):
            self.open()
        # Nothing was shown yet, so a power cut may still take the last frame.
        if power:
            self.fs.power_cut(seed)
        else:
            self.fs.kill()
        self.start()

    @rule()
    def stop_and_start(self):
        self.reader.close()
        self.journal.close()
        self.fs.calm()
        assert self.fs.handles == {}
        self.start()

    def teardown(self):
        self.fs.power_cut(1)
        self.start()


JournalOnALyingDisk.TestCase.settings = settings(
    max_examples=int(os.environ.get("FIELDTRAIL_MODEL_EXAMPLES", "200")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestJournalOnALyingDisk = JournalOnALyingDisk.TestCase


def test_a_deletion_that_could_not_be_synced_is_synced_before_the_next_one():
    """Or a power cut could take the second and leave the first: a hole, which the next start would call damage."""
    fs = journals.disk()
    journal, _ = journals.opened(fs)
    journals.put(journal, *range(12))
    fs.faults.append(Fault("fsync_dir", 0, errno.EIO))
    with pytest.raises(JournalError):
        journal.release(12, checkpoint_seq=12)
    fs.calls.clear()
    journal.release(12, checkpoint_seq=12)
    assert fs.calls[:3] == ["fsync_dir", "unlink", "fsync_dir"]
    journal.close()
