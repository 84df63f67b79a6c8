"""Kept, delivered, cursor, given back: one output on a disk that lies, against two plain lists.

`kept` is what the journal acknowledged; `arrived` is what the destination holds: it is another machine, which no power
cut of ours takes anything from. The cursor is a small file, replaced by `shipper.fs.replace_sync`, and the journal gives
back what lies below the cursor that is *saved*. So, wherever the machine stops:

- the cursor is whole, and never beyond what arrived;
- no frame at or above the cursor has been given back;
- in the end everything that was kept has arrived, and what arrived twice arrived with the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from shipper.errors import DiskError
from shipper.fs import replace_sync
from shipper.journal import Frame, Journal, JournalError
from tests.model.simfs import Fault, ProcessDied, SetClock, SimFs

FOLDER = Path("/state/journal")
CURSORS = Path("/state/cursors")
CURSOR = CURSORS / "siem"

seeds = st.integers(0, 2**32 - 1)
codes = st.sampled_from([errno.EIO, errno.ENOSPC])
steps = st.sampled_from(
    ["open_new", "pwrite", "fsync", "fdatasync", "fsync_dir", "replace", "close", "unlink", "truncate"]
)


class OneOutput(RuleBasedStateMachine):
    """The pipeline and one output's thread, a step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.fs = SimFs()
        for folder in (Path("/state"), CURSORS):
            self.fs.mkdir(folder)
        self.clock = SetClock()
        self.kept: list[bytes] = []
        self.tried: list[bytes] = []
        self.arrived: dict[int, bytes] = {}
        self.attempts = 0
        self.fatal = False
        self.start()

    # -- what the agent does -------------------------------------------------------------------------------------------

    def load(self) -> int:
        if CURSOR not in self.fs.names:
            return 0
        content = self.fs.content(CURSOR)
        assert content.endswith(b"}}"), "the cursor is torn"
        return int(json.loads(content)["seq"])

    def save(self) -> None:
        replace_sync(CURSOR, json.dumps({"v": 1, "seq": self.seq, "state": {"is": "x" * 40}}).encode(), self.fs)
        self.saved = self.seq

    def start(self) -> None:
        self.fatal = False
        self.journal, recovery = Journal.open(
            FOLDER,
            self.fs,
            self.clock,
            segment_bytes=400,
            max_bytes=10_000,
            keep_seconds=0,
            entropy=lambda n: self.attempts.to_bytes(n, "big"),
        )
        assert recovery.damage == []
        assert len(self.kept) <= recovery.next_seq <= len(self.kept) + 1
        if recovery.next_seq > len(self.kept):  # an attempt whose acknowledgement nobody lived to hear
            with self.journal.reader(len(self.kept)) as reader:
                (content,) = reader.read(0).documents
            assert content in self.tried
            self.kept.append(content)
        self.tried = []
        self.seq = self.saved = self.load()
        assert all(seq in self.arrived for seq in range(self.seq)), "the cursor is beyond what arrived"
        assert recovery.first_seq <= self.seq, "frames were given back that are still needed"
        self.reader = self.journal.reader(self.seq)

    def needed(self) -> int:
        """The cursor below which frames may go: the one on the disk."""
        return self.saved

    def again(self) -> None:
        self.fs.kill()
        self.start()

    # -- steps ---------------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 5), size=st.integers(0, 150))
    def keep(self, count, size):
        for _ in range(count):
            if self.fatal:
                self.again()
            self.attempts += 1
            content = Random(self.attempts).randbytes(size).replace(b"\n", b"")
            try:
                self.journal.append({"v": 1}, [content], snapshot=dict)
            except JournalError as error:
                self.tried.append(content)
                self.fatal = error.fatal
            else:
                self.kept.append(content)
                self.tried = []

    @rule(count=st.integers(1, 6))
    def deliver(self, count):
        for _ in range(count):
            try:
                item = self.reader.read(0)
            except DiskError:
                return
            if item is None:
                return
            assert isinstance(item, Frame), f"frames are gone that did not arrive: {item}"
            (content,) = item.documents
            assert content == self.kept[item.seq] == self.arrived.setdefault(item.seq, content)
            self.seq = item.seq + 1

    @rule()
    def save_the_cursor(self):
        with contextlib.suppress(DiskError):
            self.save()

    @rule(urgent=st.booleans())
    def give_back(self, urgent):
        with contextlib.suppress(DiskError):
            self.journal.release(self.needed(), checkpoint_seq=len(self.kept), urgent=urgent)

    @rule(op=steps, skip=st.integers(0, 2), code=codes, times=st.integers(1, 2))
    def the_disk_will_fail(self, op, skip, code, times):
        self.fs.faults.append(Fault(op, skip, code, times))

    @rule()
    def the_disk_recovers(self):
        self.fs.calm()

    @rule(
        op=steps,
        skip=st.integers(0, 3),
        what=st.sampled_from(["keep", "save", "give back"]),
        power=st.booleans(),
        seed=seeds,
    )
    def it_dies_in_the_middle(self, op, skip, what, power, seed):
        self.fs.calm()
        self.fs.faults.append(Fault(op, skip, 0))
        content = b"the last words %d" % self.attempts
        with contextlib.suppress(ProcessDied, DiskError):
            if what == "keep":
                self.tried.append(content)
                self.journal.append({"v": 1}, [content], snapshot=dict)
                self.kept.append(content)
                self.tried = []
            elif what == "save":
                self.save()
            else:
                self.journal.release(self.needed(), checkpoint_seq=len(self.kept), urgent=True)
        self.stop(power, seed)

    @rule(power=st.booleans(), seed=seeds)
    def it_dies(self, power, seed):
        self.stop(power, seed)

    def stop(self, power, seed):
        if power:
            self.fs.power_cut(seed)
        else:
            self.fs.kill()
        self.start()

    def teardown(self):
        self.fs.power_cut(1)
        self.start()
        self.deliver(len(self.kept) + 1)
        assert [self.arrived[seq] for seq in range(len(self.arrived))] == self.kept


OneOutput.TestCase.settings = settings(
    max_examples=int(os.environ.get("FIELDTRAIL_MODEL_EXAMPLES", "150")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestOneOutput = OneOutput.TestCase
