"""Readers: across rolls and deletions, from memory and from disk, and what they say when a frame is lost."""

from __future__ import annotations

import errno
import threading

import pytest

from shipper.errors import DiskError
from shipper.fs import RealFs
from shipper.journal import Frame, Gap, Journal
from tests.model.journals import disk, filled, flip, frame_offsets, opened, put, segments
from tests.model.simfs import Fault, SetClock


def drain(reader):
    items = []
    while (item := reader.read(0)) is not None:
        items.append((item.first_seq, item.last_seq) if isinstance(item, Gap) else item.seq)
    return items


def test_a_reader_crosses_segments_from_disk_and_goes_on_from_memory():
    fs = filled(7)
    journal, _ = opened(fs)
    with journal.reader(0) as reader:
        put(journal, 7)
        assert drain(reader) == list(range(8))
        put(journal, *range(8, 15))
        assert drain(reader) == list(range(8, 15))


def test_a_reader_may_start_anywhere():
    fs = filled(9)
    journal, _ = opened(fs)
    for start in range(10):
        with journal.reader(start) as reader:
            assert reader.seq == start
            assert drain(reader) == list(range(start, 9))


def test_an_up_to_date_reader_never_touches_the_disk():
    fs = disk()
    journal, _ = opened(fs)
    with journal.reader(0) as reader:
        for n in range(10):
            put(journal, n)
            fs.calls.clear()
            assert reader.read(0).seq == n
            assert fs.calls == []


def test_memory_is_bounded_and_what_left_it_comes_from_disk():
    fs = disk()
    journal, _ = opened(fs)
    journal._published._memory_bytes = 200
    put(journal, *range(20))
    recent = journal._published._recent
    assert 0 < len(recent) < 20 and sum(size for _, size in recent.values()) <= 200
    with journal.reader(0) as reader:
        assert drain(reader) == list(range(20))
    journal.append({"n": 20}, [b"x" * 500], snapshot=dict)
    assert not journal._published._recent
    with journal.reader(20) as reader:
        assert reader.read(0).documents == (b"x" * 500,)


def test_frames_leave_memory_once_every_reader_has_passed_them():
    journal, _ = opened(disk())
    recent = journal._published._recent
    with journal.reader(0) as quick, journal.reader(0) as slow:
        put(journal, 0, 1, 2)
        assert drain(quick) == [0, 1, 2]
        assert list(recent) == [0, 1, 2]
        assert slow.read(0).seq == 0
        assert list(recent) == [1, 2]
        slow.close()
        assert not recent and journal._published._recent_bytes == 0
        put(journal, 3)
        assert drain(quick) == [3]
    assert not recent


def test_a_reader_whose_frames_were_deleted_says_which():
    fs = disk()
    journal, _ = opened(fs, segment_bytes=1)
    put(journal, 0, 1, 2, 3)
    journal._published._recent.clear()
    with journal.reader(0) as behind, journal.reader(1) as inside:
        assert inside.read(0).seq == 1
        journal.release(3, checkpoint_seq=3)
        gap = behind.read(0)
        assert gap == Gap(0, 2, "deleted before it was read")
        assert drain(behind) == [3]
        assert drain(inside) == [(2, 2), 3]
        assert len(fs.handles) == 3  # the two readers and the writer: nothing deleted is held open
    assert len(fs.handles) == 1


def test_a_reader_lets_go_of_a_segment_once_it_reads_from_memory():
    fs = filled(2)
    journal, _ = opened(fs, segment_bytes=10_000)
    with journal.reader(0) as reader:
        assert drain(reader) == [0, 1]
        assert len(fs.handles) == 2
        put(journal, 2)
        assert drain(reader) == [2]
        assert len(fs.handles) == 1


@pytest.mark.parametrize("bad", range(9))
def test_a_damaged_frame_is_a_gap_and_the_rest_is_delivered(bad):
    fs = filled(10)
    firsts = [int(path.stem, 16) for path in segments(fs)]
    path = segments(fs)[max(i for i, first in enumerate(firsts) if first <= bad)]
    offset = frame_offsets(fs, path)[bad - int(path.stem, 16)]
    flip(fs, path, offset + 45)
    journal, recovery = opened(fs)
    assert [(item.first_seq, item.last_seq) for item in recovery.damage] == [(bad, bad)]
    for start in range(10):
        with journal.reader(start) as reader:
            rest = list(range(start, 10))
            assert drain(reader) == [(n, n) if n == bad else n for n in rest]


def test_a_segment_that_somebody_deleted_is_a_gap():
    fs = filled(9)
    victim, after = segments(fs)[1], segments(fs)[2]
    lost = (int(victim.stem, 16), int(after.stem, 16) - 1)
    journal, _ = opened(fs)
    fs.unlink(victim)  # while the agent runs
    with journal.reader(0) as reader:
        assert drain(reader) == [*range(lost[0]), lost, *range(lost[1] + 1, 9)]
    journal.close()
    journal, recovery = opened(fs)  # and found at the next start
    assert [(item.first_seq, item.last_seq, item.length) for item in recovery.damage] == [(*lost, 0)]
    with journal.reader(0) as reader:
        assert drain(reader) == [*range(lost[0]), lost, *range(lost[1] + 1, 9)]


def test_a_disk_that_fails_to_read_is_an_error_and_the_reader_stays():
    fs = filled(3)
    journal, _ = opened(fs)
    with journal.reader(0) as reader:
        for op in ("open_read", "pread"):
            fs.faults.append(Fault(op, 0, errno.EIO))
            with pytest.raises(DiskError):
                reader.read(0)
            assert reader.seq == 0
        assert drain(reader) == [0, 1, 2]
    journal.close()
    assert fs.handles == {}


def test_bytes_after_the_last_published_frame_are_not_seen():
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0)
    journal._published._recent.clear()
    fs.set_content(segments(fs)[0], fs.content(segments(fs)[0]) * 2)
    with journal.reader(0) as reader:
        assert drain(reader) == [0]


def test_a_closed_journal_gives_none_at_once_and_a_closed_reader_may_be_closed_again():
    fs = filled(3)
    journal, _ = opened(fs)
    reader = journal.reader(0)
    assert reader.read(0).seq == 0
    journal.close()
    assert reader.read(None) is None
    reader.close()
    reader.close()
    assert fs.handles == {}


def test_readers_in_other_threads_are_woken_by_frames_and_by_the_end(tmp_path):
    journal, _ = Journal.open(
        tmp_path / "journal", RealFs(), SetClock(), segment_bytes=2000, max_bytes=10**9, keep_seconds=0
    )
    seen: list[list[int]] = [[], []]

    def follow(into: list[int]) -> None:
        with journal.reader(0) as reader:
            while isinstance(item := reader.read(30), Frame):
                into.append(item.seq)
                if item.seq == 199:
                    break
            assert reader.read(30) is None  # ends by close, long before the time is over

    threads = [threading.Thread(target=follow, args=(into,)) for into in seen]
    for thread in threads:
        thread.start()
    put(journal, *range(200))
    for _ in range(1000):
        if all(len(into) == 200 for into in seen):
            break
        threads[0].join(0.01)
    journal.close()
    for thread in threads:
        thread.join(10)
    assert seen == [list(range(200))] * 2
