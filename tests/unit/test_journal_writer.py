"""Appending: one write, one sync, and what happens when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import itertools

import pytest

from shipper.errors import CorruptError, DiskError
from shipper.fs import RealFs
from shipper.journal import Frame, Journal, JournalError
from tests.model.journals import contents, disk, filled, flip, frame_offsets, opened, put, segments
from tests.model.simfs import Fault, ProcessDied, SetClock


def test_a_frame_costs_one_write_and_one_sync():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=10_000)
    put(journal, 0)
    fs.calls.clear()
    put(journal, 1)
    assert fs.calls == ["pwrite", "fdatasync"]


def test_a_new_segment_is_synced_named_and_its_folder_synced_before_the_first_frame():
    fs = disk()
    journal, _ = opened(fs)
    fs.calls.clear()
    put(journal, 0)
    assert fs.calls == ["open_new", "pwrite", "fsync", "replace", "fsync_dir", "pwrite", "fdatasync"]


def test_numbers_rise_from_zero_and_segments_are_named_after_their_first_frame():
    fs = filled(9)
    assert contents(fs) == (list(range(9)), [])
    firsts = [int(path.stem, 16) for path in segments(fs)]
    assert len(firsts) > 2 and firsts[0] == 0 and firsts == sorted(firsts)


def test_only_the_first_frame_of_a_segment_carries_the_state():
    fs = disk()
    journal, _ = opened(fs)
    calls = []
    for n in range(9):
        journal.append({"n": n}, [b"document %d" % n], snapshot=lambda n=n: calls.append(n) or {"before": n})
    firsts = [int(path.stem, 16) for path in segments(fs)]
    assert calls == firsts
    with journal.reader(0) as reader:
        for n in range(9):
            frame = reader.read(0)
            assert isinstance(frame, Frame)
            assert frame.meta == ({"n": n, "state": {"before": n}} if n in firsts else {"n": n})


def test_the_meta_must_not_use_the_name_of_the_state():
    journal, _ = opened(disk())
    with pytest.raises(ValueError, match="state"):
        journal.append({"state": 1}, [], snapshot=dict)


def test_a_frame_that_cannot_be_encoded_leaves_the_journal_usable():
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0)
    with pytest.raises(ValueError, match="line feed"):
        journal.append({}, [b"a\nb"], snapshot=dict)
    with pytest.raises(TypeError):
        journal.append({"x": object()}, [], snapshot=dict)
    put(journal, 1)
    assert contents(fs) == ([0, 1], [])


def test_short_writes_are_continued():
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0)
    fs.short = [1, 7, 20]
    put(journal, 1)
    assert contents(fs) == ([0, 1], [])


@pytest.mark.parametrize("space", [0, 1, 30, 60])
def test_a_full_disk_keeps_nothing_of_the_frame_and_the_number_is_used_again(space):
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0)
    before = fs.content(segments(fs)[0])
    fs.space = space
    with pytest.raises(JournalError) as caught:
        put(journal, 1)
    assert not caught.value.fatal
    assert "No space left" in caught.value.cause and "df" in caught.value.hint
    assert fs.content(segments(fs)[0]) == before
    assert journal.next_seq == 1
    with journal.reader(1) as reader:
        assert reader.read(0) is None
        fs.space = None
        put(journal, 1)
        assert reader.read(0).seq == 1
    assert contents(fs) == ([0, 1], [])


def test_a_full_disk_at_the_birth_of_a_segment_leaves_no_trace():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=1)
    put(journal, 0)
    fs.space = 10
    with pytest.raises(JournalError):
        put(journal, 1)
    assert len(fs.names) == 1
    fs.space = None
    put(journal, 1)
    assert contents(fs) == ([0, 1], [])


def test_when_cutting_back_fails_too_it_is_done_before_the_next_write():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=10_000)
    put(journal, 0)
    length = len(fs.content(segments(fs)[0]))
    fs.short = [30]
    fs.faults = [Fault("pwrite", 1, errno.EIO), Fault("truncate", 0, errno.EIO, 3)]
    with pytest.raises(JournalError):
        put(journal, 1)
    assert len(fs.content(segments(fs)[0])) == length + 30
    with pytest.raises(JournalError):
        put(journal, 1)  # the second truncation fails: nothing is written over the rest
    fs.calls.clear()
    put(journal, 1)
    assert fs.calls == ["truncate", "pwrite", "fdatasync"]
    assert contents(fs) == ([0, 1], [])


def test_after_a_failed_sync_the_file_is_closed_and_the_frame_goes_into_a_new_segment():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=10_000)
    put(journal, 0, 1)
    fs.faults.append(Fault("fdatasync", 0, errno.EIO))
    with pytest.raises(JournalError) as caught:
        put(journal, 2)
    assert not caught.value.fatal
    assert fs.handles == {}
    assert journal.next_seq == 2
    put(journal, 2, 3)
    assert [path.name for path in segments(fs)] == ["0000000000000000.seg", "0000000000000002.seg"]
    assert contents(fs) == ([0, 1, 2, 3], [])
    with journal.reader(0) as reader:
        assert [reader.read(0).seq for _ in range(4)] == [0, 1, 2, 3]


def test_when_the_same_number_stands_in_two_segments_the_later_one_counts():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=10_000)
    put(journal, 0)
    # The sync and the cutting back fail, so the first attempt stays, whole, in the old segment.
    fs.faults = [Fault("fdatasync", 0, errno.EIO), Fault("truncate", 0, errno.EIO)]
    with pytest.raises(JournalError):
        journal.append({"n": "first attempt"}, [b"other"], snapshot=dict)
    old = segments(fs)[0]
    first_attempt = fs.content(old)
    put(journal, 1, 2)
    journal.close()
    assert len(frame_offsets(fs, old)) == 2 and fs.content(old) == first_attempt
    assert contents(fs) == ([0, 1, 2], [])
    journal, recovery = opened(fs, segment_bytes=10_000)
    assert (recovery.damage, recovery.next_seq, recovery.state) == ([], 3, {"before": 1})
    assert list(recovery.metas) == [{"n": 1}, {"n": 2}]
    with journal.reader(0) as reader:
        assert [reader.read(0).meta["n"] for _ in range(3)] == [0, 1, 2]


def test_a_failed_sync_of_the_first_frame_of_a_segment_replaces_that_segment():
    fs = disk()
    journal, _ = opened(fs)
    fs.faults.append(Fault("fdatasync", 0, errno.EIO))
    with pytest.raises(JournalError):
        put(journal, 0)
    put(journal, 0)
    assert len(fs.names) == 1
    assert contents(fs) == ([0], [])


@pytest.mark.parametrize("op", ["fdatasync", "fsync", "fsync_dir"])
def test_three_failed_syncs_in_a_row_are_the_end(op):
    fs = disk()
    journal, _ = opened(fs)
    fs.faults.append(Fault(op, 0, errno.EIO, times=3))
    fatal = []
    for _ in range(3):
        with pytest.raises(JournalError) as caught:
            put(journal, 0)
        fatal.append(caught.value.fatal)
    assert fatal == [False, False, True]
    assert caught.value.exit_code == 74 and caught.value.hint
    fs.calls.clear()
    with pytest.raises(JournalError) as caught:  # also when the disk would work again
        put(journal, 0)
    assert caught.value.fatal and fs.calls == []


def test_a_sync_that_succeeds_in_between_starts_the_count_again():
    fs = disk()
    journal, _ = opened(fs)
    for n in range(4):
        fs.faults.append(Fault("fdatasync", 0, errno.EIO, times=2))
        for _ in range(2):
            with pytest.raises(JournalError) as caught:
                put(journal, n)
            assert not caught.value.fatal
        put(journal, n)
    assert contents(fs) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize("seed", range(10))
def test_a_frame_that_only_the_page_cache_has_is_made_durable_before_it_is_shown(seed):
    """The process dies between the failed sync and the cutting back: the pages are clean, the disk may have nothing."""
    fs = disk()
    journal, _ = opened(fs, segment_bytes=10_000)
    put(journal, 0)
    fs.rng.seed(seed)
    fs.faults = [Fault("fdatasync", 0, errno.EIO), Fault("truncate", 0, 0)]
    with pytest.raises(ProcessDied):
        put(journal, 1)
    fs.kill()
    journal, recovery = opened(fs, segment_bytes=10_000)
    assert recovery.next_seq == 2
    fs.power_cut(seed)
    assert opened(fs, segment_bytes=10_000)[1].next_seq == 2
    assert contents(fs) == ([0, 1], [])


def test_release_deletes_only_what_is_passed_checkpointed_old_and_not_the_newest_state():
    clock = SetClock()
    fs = disk()
    journal, _ = opened(fs, clock, segment_bytes=1, keep_seconds=100.0)
    for n in range(5):
        put(journal, n)
        clock.time += 10
    names = [path.name for path in segments(fs)]
    assert journal.release(5, checkpoint_seq=5) == 0  # too young
    clock.time += 60  # segment 1 was begun 100 s ago, so segment 0 is old enough
    assert journal.release(0, checkpoint_seq=5) == 0
    assert journal.release(5, checkpoint_seq=0) == 0
    used = journal.bytes_used
    assert journal.release(5, checkpoint_seq=5) > 0
    assert [path.name for path in segments(fs)] == names[1:]
    assert journal.bytes_used < used and journal.first_seq == 1
    clock.time += 1000
    journal.release(3, checkpoint_seq=5)
    assert [path.name for path in segments(fs)] == names[3:]
    journal.release(99, checkpoint_seq=4)
    assert [path.name for path in segments(fs)] == names[4:]
    journal.release(99, checkpoint_seq=99)
    assert [path.name for path in segments(fs)] == names[4:]
    assert contents(fs) == ([4], [])


def test_urgent_release_does_not_wait_for_age():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=1, keep_seconds=1e9)
    put(journal, 0, 1, 2)
    assert journal.release(2, checkpoint_seq=2) == 0
    assert journal.release(2, checkpoint_seq=2, urgent=True) > 0
    assert journal.first_seq == 2


def test_release_keeps_the_segment_with_the_newest_state_though_a_later_one_has_lost_its_own():
    fs = filled(2, segment_bytes=1)
    flip(fs, segments(fs)[1], 60)  # the only frame of the newest segment; it had been delivered
    journal, recovery = opened(fs, floor=5)
    assert recovery.next_seq == 5 and recovery.state == {"before": 0}
    assert journal.release(5, checkpoint_seq=5, urgent=True) == 0
    assert len(segments(fs)) == 2


@pytest.mark.parametrize("seed", range(8))
def test_a_power_cut_during_release_never_leaves_a_hole(seed):
    fs = disk()
    journal, _ = opened(fs, segment_bytes=1)
    put(journal, *range(6))
    fs.faults.append(Fault("fsync_dir", seed % 3, 0))
    with pytest.raises(ProcessDied):
        journal.release(5, checkpoint_seq=5)
    fs.power_cut(seed)
    _, recovery = opened(fs)
    assert recovery.damage == [] and recovery.first_seq <= 5


def test_a_deletion_that_fails_is_told_and_can_be_tried_again():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=1)
    put(journal, 0, 1, 2)
    fs.faults.append(Fault("unlink", 0, errno.EACCES))
    with pytest.raises(JournalError):
        journal.release(2, checkpoint_seq=2)
    assert journal.first_seq == 0
    assert journal.release(2, checkpoint_seq=2) > 0
    assert journal.first_seq == 2


def test_full_is_a_matter_of_bytes_and_append_still_works():
    fs = disk()
    journal, _ = opened(fs, max_bytes=200)
    assert not journal.full and journal.bytes_used == 0
    put(journal, 0, 1, 2)
    assert journal.full
    assert journal.bytes_used == sum(len(fs.content(path)) for path in segments(fs))
    put(journal, 3)


def test_the_frame_that_readers_share_equals_the_one_on_disk():
    fs = disk()
    journal, _ = opened(fs)
    meta = {"n": (1, 2), "when": {"a": [1]}}
    documents = [b"a"]
    journal.append(meta, documents, snapshot=lambda: {"s": (1,)})
    documents.append(b"later")
    meta["when"]["a"].append(2)
    with journal.reader(0) as one, journal.reader(0) as two:
        shared = one.read(0)
        assert two.read(0) is shared
    assert shared.meta == {"n": [1, 2], "when": {"a": [1]}, "state": {"s": [1]}}
    journal.close()
    again, _ = opened(fs)
    with again.reader(0) as reader:
        assert reader.read(0) == shared


def test_a_closed_journal_takes_nothing_and_may_be_closed_again():
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0)
    journal.close()
    journal.close()
    assert journal.closed and fs.handles == {}
    with pytest.raises(ValueError, match="closed"):
        put(journal, 1)


def test_a_reader_beyond_the_end_is_refused_instead_of_skipping_frames():
    journal, _ = opened(disk())
    put(journal, 0)
    journal.reader(1).close()
    with pytest.raises(CorruptError, match="stands at frame 2"):
        journal.reader(2)


def test_an_error_while_opening_names_the_folder_and_what_to_type():
    fs = filled(2)
    fs.faults.append(Fault("fsync", 0, errno.EIO))
    with pytest.raises(DiskError) as caught:
        opened(fs)
    assert caught.value.exit_code == 74 and caught.value.hint and "journal" in caught.value.place


def test_any_error_while_opening_leaves_no_handle_and_nothing_lost():
    for op, skip in itertools.product(["listdir", "open_read", "open_write", "pread", "fsync", "pwrite"], range(3)):
        fs = filled(4)
        fs.faults.append(Fault(op, skip, errno.EIO))
        with contextlib.suppress(DiskError):
            opened(fs)[0].close()
        assert fs.handles == {}
        fs.calm()
        assert opened(fs)[1].next_seq == 4


def test_on_a_real_disk_files_are_private_and_frames_survive_a_reopening(tmp_path):
    folder = tmp_path / "journal"
    journal, recovery = Journal.open(folder, RealFs(), SetClock(), max_bytes=1000, keep_seconds=0)
    assert recovery.next_seq == 0 and recovery.state is None and recovery.last_meta is None
    put(journal, 0, 1)
    journal.close()
    assert folder.stat().st_mode & 0o777 == 0o700
    (segment,) = folder.iterdir()
    assert segment.stat().st_mode & 0o777 == 0o600
    journal, recovery = Journal.open(folder, RealFs(), SetClock(), max_bytes=1000, keep_seconds=0)
    assert recovery.next_seq == 2 and recovery.last_meta == {"n": 1}
    put(journal, 2)
    with journal.reader(0) as reader:
        assert [reader.read(0).seq for _ in range(3)] == [0, 1, 2]
    journal.close()
    assert list(folder.iterdir()) == [segment]
