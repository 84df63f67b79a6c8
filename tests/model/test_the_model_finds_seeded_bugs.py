"""The models are worth something only if they fail: each bug seeded here must be found, within a bounded number of runs.

The bugs are those that spools have had: no sync, no sync of the folder, a sync tried again after it failed, going on
behind what a failed write left, deleting before the cursor is on the disk, a cursor written in place, and some that
this journal's own rules forbid. The runs are the same each time.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from shipper import fs as shipper_fs
from shipper.fs import write_all
from shipper.journal import format as codec
from shipper.journal import start, writer
from shipper.journal.reader import Segment
from tests.model import test_delivery_model, test_journal_model
from tests.model.simfs import SimFs
from tests.model.test_delivery_model import OneOutput
from tests.model.test_journal_model import JournalOnALyingDisk

RUNS = int(os.environ.get("FIELDTRAIL_SEEDED_RUNS", "1500"))
"""At most: most of the seeds are found within ten."""


def finds(machine: type[RuleBasedStateMachine], runs: int = RUNS) -> bool:
    """Whether some run of the machine fails."""
    fixed = settings(
        max_examples=runs,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=fixed)
    except AssertionError:
        return True
    return False


def disk(monkeypatch, **broken) -> None:
    """Both models work on a disk with these operations instead."""
    kind = type("BrokenFs", (SimFs,), broken)
    for module in (test_journal_model, test_delivery_model):
        monkeypatch.setattr(module, "SimFs", kind)


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is_seeded():
    assert not finds(JournalOnALyingDisk, 400)
    assert not finds(OneOutput, 400)


def test_a_frame_that_is_not_synced_is_found(monkeypatch):
    disk(monkeypatch, fdatasync=lambda self, handle: None)
    assert finds(JournalOnALyingDisk)


@pytest.mark.slow
def test_a_header_that_is_not_synced_is_found(monkeypatch):
    disk(monkeypatch, fsync=lambda self, handle: None)
    assert finds(JournalOnALyingDisk)


def test_a_folder_that_is_not_synced_is_found(monkeypatch):
    disk(monkeypatch, fsync_dir=lambda self, path: None)
    assert finds(JournalOnALyingDisk)


def test_a_sync_that_is_tried_again_is_found(monkeypatch):
    def insist(self, handle):
        try:
            SimFs.fdatasync(self, handle)
        except OSError:
            SimFs.fdatasync(self, handle)

    disk(monkeypatch, fdatasync=insist)
    assert finds(JournalOnALyingDisk)


def test_going_on_behind_what_a_failed_write_left_is_found(monkeypatch):
    def append(self, active, data):
        try:
            write_all(self._fs, active.handle, data, active.length)
        except OSError as error:
            active.length = len(self._fs.handles[active.handle].view)
            raise writer._translated("write journal frame", active.segment.path, error) from error

    monkeypatch.setattr(writer.Journal, "_write", append)
    assert finds(JournalOnALyingDisk)


def test_taking_a_short_write_for_a_whole_one_is_found(monkeypatch):
    monkeypatch.setattr(writer, "write_all", lambda fs, handle, data, offset: fs.pwrite(handle, data, offset))
    assert finds(JournalOnALyingDisk)


def test_acknowledging_before_the_sync_is_found(monkeypatch):
    def early(self, handle):
        with contextlib.suppress(OSError):
            SimFs.fdatasync(self, handle)

    disk(monkeypatch, fdatasync=early)
    assert finds(JournalOnALyingDisk)


def test_a_segment_that_takes_its_name_before_its_header_is_durable_is_found(monkeypatch):
    def begin(self, seq):
        path = self._folder / codec.segment_name(seq)
        header = codec.SegmentHeader(seq, int(self._clock.now() * 1000), self._entropy(8))
        with contextlib.suppress(FileNotFoundError):
            self._fs.unlink(path)
        handle = self._fs.open_new(path)
        self._fs.fsync_dir(self._folder)
        write_all(self._fs, handle, codec.encode_segment_header(header), 0)
        segment = Segment(path, seq, header.created_ms, header.length)
        self._active = writer._Active(segment, handle, header.salt, header.length, fresh=True)
        return self._active

    def translating(self, seq):
        try:
            return begin(self, seq)
        except OSError as error:
            raise writer._translated("begin journal segment", self._folder, error) from error

    monkeypatch.setattr(writer.Journal, "_begin_segment", translating)
    assert finds(JournalOnALyingDisk)


@pytest.mark.slow
def test_showing_a_last_frame_that_may_only_be_in_memory_is_found(monkeypatch):
    monkeypatch.setattr(start, "_settle", lambda newest, fs, *, cut: None)
    assert finds(JournalOnALyingDisk)


def test_deleting_without_making_each_deletion_durable_is_found(monkeypatch):
    def unlink(self, path):
        SimFs.unlink(self, path)
        self.hurried = True

    def fsync_dir(self, path):
        if not getattr(self, "hurried", False):
            SimFs.fsync_dir(self, path)
        self.hurried = False

    disk(monkeypatch, unlink=unlink, fsync_dir=fsync_dir)
    assert finds(JournalOnALyingDisk)


def test_a_segment_without_the_state_is_found(monkeypatch):
    monkeypatch.setattr(writer, "STATE", "snapshot")
    assert finds(JournalOnALyingDisk)


def test_deleting_before_the_cursor_is_on_the_disk_is_found(monkeypatch):
    monkeypatch.setattr(OneOutput, "needed", lambda self: self.seq)
    assert finds(OneOutput)


def test_a_cursor_that_is_not_synced_is_found(monkeypatch):
    def unsynced(path: Path, data: bytes, fs: SimFs) -> None:
        temporary = path.with_name(path.name + ".tmp")
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(temporary)
        handle = fs.open_new(temporary)
        write_all(fs, handle, data, 0)
        fs.close(handle)
        fs.replace(temporary, path)
        fs.fsync_dir(path.parent)

    monkeypatch.setattr(test_delivery_model, "replace_sync", _translating(unsynced))
    assert finds(OneOutput)


def test_a_cursor_that_is_written_in_place_is_found(monkeypatch):
    def in_place(path: Path, data: bytes, fs: SimFs) -> None:
        handle = fs.open_write(path) if path in fs.names else fs.open_new(path)
        fs.truncate(handle, 0)
        write_all(fs, handle, data, 0)
        fs.fsync(handle)
        fs.close(handle)
        fs.fsync_dir(path.parent)

    monkeypatch.setattr(test_delivery_model, "replace_sync", _translating(in_place))
    assert finds(OneOutput)


def test_a_cursor_whose_folder_is_not_synced_is_found(monkeypatch):
    def no_folder(path: Path, data: bytes, fs: SimFs) -> None:
        plain, fs.fsync_dir = fs.fsync_dir, lambda path: None
        try:
            shipper_fs.replace_sync(path, data, fs)
        finally:
            fs.fsync_dir = plain

    monkeypatch.setattr(test_delivery_model, "replace_sync", no_folder)
    assert finds(OneOutput)


def test_a_cursor_that_runs_ahead_of_the_destination_is_found(monkeypatch):
    def ahead(self):
        self.seq += 1
        OneOutput.save(self)
        self.seq -= 1

    class Ahead(OneOutput):
        save = ahead

    assert finds(Ahead)


def _translating(save):
    def wrapped(path, data, fs):
        try:
            save(path, data, fs)
        except OSError as error:
            raise shipper_fs._disk_error("replace file", path, error) from error

    return wrapped
