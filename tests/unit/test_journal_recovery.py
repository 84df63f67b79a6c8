"""Starting after a crash, checking, repairing, reading from outside."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from shipper.errors import CorruptError, DiskError
from shipper.fs import RealFs
from shipper.journal import Damage, Frame, check, iterate, repair
from shipper.journal import format as codec
from tests.model.journals import FOLDER, SALT, contents, disk, filled, flip, frame_offsets, opened, put, segments
from tests.model.simfs import SetClock


def test_an_empty_folder_is_an_empty_journal():
    fs = disk()
    _, recovery = opened(fs)
    assert (recovery.next_seq, recovery.first_seq, recovery.state, list(recovery.metas)) == (0, 0, None, [])
    assert (recovery.truncated, recovery.damage, recovery.complete, recovery.foreign) == (0, [], True, [])
    report = check(FOLDER, fs)
    assert report.ok and not report.needs_repair and report.frames == 0 and report.first_seq is None
    assert contents(fs) == ([], [])


def test_the_state_is_the_newest_one_with_all_metas_from_its_frame_on():
    for frames in range(1, 10):
        fs = filled(frames)
        first = int(segments(fs)[-1].stem, 16)
        _, recovery = opened(fs)
        assert recovery.state == {"before": first}
        assert list(recovery.metas) == [{"n": n} for n in range(first, frames)]
        assert recovery.last_meta == {"n": frames - 1}
        assert recovery.next_seq == frames and recovery.complete


def test_any_newest_segment_alone_is_enough_to_start():
    fs = filled(9)
    *older, newest = segments(fs)
    for path in older:
        fs.unlink(path)
    _, recovery = opened(fs)
    first = int(newest.stem, 16)
    assert recovery.first_seq == first and recovery.next_seq == 9
    assert recovery.state == {"before": first} and recovery.damage == []


def test_a_torn_tail_is_cut_back_to_the_last_good_frame_wherever_the_tear_is():
    whole = filled(3, segment_bytes=10_000)
    path = segments(whole)[0]
    data = whole.content(path)
    ends = [*frame_offsets(whole, path)[1:], len(data)]
    for length in range(len(data)):
        fs = disk()
        fs.mkdir(FOLDER)
        fs.set_content(path, data[:length])
        kept = sum(end <= length for end in ends)
        good = ends[kept - 1] if kept else (44 if length >= 44 else 0)
        assert check(FOLDER, fs).torn == length - good
        journal, recovery = opened(fs, segment_bytes=10_000)
        assert recovery.next_seq == kept and recovery.damage == []
        assert recovery.truncated == length - good
        assert len(fs.content(path)) == good
        put(journal, *range(kept, 4))
        journal.close()
        assert contents(fs) == ([0, 1, 2, 3], [])


def test_a_tail_of_zeros_is_a_torn_tail():
    fs = filled(2)
    path = segments(fs)[0]
    fs.set_content(path, fs.content(path) + bytes(5000))
    _, recovery = opened(fs)
    assert recovery.truncated == 5000 and recovery.next_seq == 2 and recovery.damage == []


def test_a_flipped_bit_anywhere_is_reported_and_never_yields_another_frame():
    base = filled(6)
    for path in segments(base):
        last = path == segments(base)[-1]
        offsets = frame_offsets(base, path)
        for at in range(len(base.content(path))):
            fs = base.clone()
            flip(fs, path, at)
            numbers, damage = contents(fs)
            lost = sorted(set(range(6)) - set(numbers))
            if at < offsets[0]:
                assert lost == []
            else:
                (lost_seq,) = lost
                assert lost_seq == int(path.stem, 16) + sum(offset <= at for offset in offsets) - 1
            report = check(FOLDER, fs)
            if last and at >= offsets[-1]:
                assert report.ok and report.torn > 0 and damage == []
            else:
                assert not report.ok and report.needs_repair
                assert [(item.path, item.first_seq, item.last_seq) for item in report.damage] == (
                    [(path, lost[0], lost[0])] if lost else [(path, int(path.stem, 16), int(path.stem, 16) - 1)]
                )
                assert report.damage[0].offset <= at < report.damage[0].offset + report.damage[0].length
            _, recovery = opened(fs)
            assert recovery.damage == list(report.damage)


def test_a_segment_without_its_header_is_read_but_not_written_on():
    fs = filled(2, segment_bytes=10_000)
    flip(fs, segments(fs)[0], 3)
    journal, recovery = opened(fs, segment_bytes=10_000)
    (damage,) = recovery.damage
    assert damage.frames == 0 and "magic" in damage.reason
    put(journal, 2)
    assert [path.name for path in segments(fs)] == ["0000000000000000.seg", "0000000000000002.seg"]
    assert contents(fs) == ([0, 1, 2], [])


def test_a_renamed_segment_is_reported():
    fs = filled(2, segment_bytes=10_000)
    fs.replace(segments(fs)[0], FOLDER / codec.segment_name(1))
    _, recovery = opened(fs)
    assert "disagree" in recovery.damage[0].reason


def test_frames_of_a_later_format_are_refused_and_left_alone():
    fs = filled(1)
    path = segments(fs)[0]
    data = bytearray(fs.content(path))
    data[8] = 2
    data[40:44] = struct.pack("<I", zlib.crc32(data[:40]))
    fs.set_content(path, bytes(data))
    for attempt in (lambda: opened(fs), lambda: check(FOLDER, fs), lambda: repair(FOLDER, fs), lambda: contents(fs)):
        with pytest.raises(CorruptError, match="version 2") as caught:
            attempt()
        assert caught.value.hint
    assert fs.content(path) == bytes(data) and fs.handles == {}


def test_foreign_files_are_left_alone_and_named():
    fs = filled(2)
    fs.set_content(FOLDER / "notes.txt", b"hello")
    fs.set_content(FOLDER / "0.seg", b"hello")
    fs.set_content(FOLDER / "0000000000000000.seg.2c.damaged", b"set aside")
    fs.set_content(FOLDER / "0000000000000007.seg.tmp", b"never born")
    expected = [FOLDER / "0.seg", FOLDER / "notes.txt"]
    assert list(check(FOLDER, fs).foreign) == expected
    _, recovery = opened(fs)
    assert recovery.foreign == expected
    assert fs.content(FOLDER / "notes.txt") == b"hello"
    assert FOLDER / "0000000000000007.seg.tmp" not in fs.names
    assert contents(fs) == ([0, 1], [])


def test_a_lost_state_falls_back_to_the_one_before_and_says_that_frames_are_missing():
    fs = filled(11)
    *_, before, newest = segments(fs)
    assert len(frame_offsets(fs, newest)) > 1
    flip(fs, newest, frame_offsets(fs, newest)[0] + 50)
    journal, recovery = opened(fs)
    lost, older = int(newest.stem, 16), int(before.stem, 16)
    assert recovery.state == {"before": older} and not recovery.complete
    assert [meta["n"] for meta in recovery.metas] == [n for n in range(older, 11) if n != lost]
    assert journal.release(11, checkpoint_seq=11) > 0
    assert journal.first_seq == older, "the segment with the newest state stays"


def test_damage_before_the_newest_state_does_not_make_it_incomplete():
    fs = filled(7)
    flip(fs, segments(fs)[0], 60)
    _, recovery = opened(fs)
    assert recovery.complete and recovery.damage


def test_a_segment_that_never_got_a_frame_is_replaced_and_its_number_used():
    fs = filled(3, segment_bytes=1)
    header = codec.encode_segment_header(codec.SegmentHeader(3, 0, SALT))
    for tail in (b"", b"torn" * 20):
        fs.set_content(FOLDER / codec.segment_name(3), header + tail)
        journal, recovery = opened(fs)
        assert (recovery.next_seq, recovery.state, recovery.damage) == (3, {"before": 2}, [])
        assert recovery.truncated == len(tail)
    put(journal, 3)
    assert contents(fs) == ([0, 1, 2, 3], [])


def test_frames_below_the_furthest_cursor_are_never_cut_and_their_numbers_never_used_again():
    fs = filled(3, segment_bytes=10_000)
    path = segments(fs)[0]
    flip(fs, path, frame_offsets(fs, path)[2] + 50)  # frame 2 was delivered, and looks like a torn tail
    before = fs.content(path)
    journal, recovery = opened(fs, segment_bytes=10_000, floor=3)
    assert fs.content(path) == before and recovery.truncated == 0
    assert [(item.path, item.first_seq, item.last_seq) for item in recovery.damage] == [(path, 2, 2)]
    assert recovery.next_seq == 3 and not recovery.complete
    put(journal, 3)
    with journal.reader(0) as reader:
        assert [getattr(reader.read(0), "seq", "gap") for _ in range(4)] == [0, 1, "gap", 3]
    journal.close()
    assert fs.content(path) == before
    assert [(item.first_seq, item.last_seq) for item in opened(fs, floor=3)[1].damage] == [(2, 2)]


def test_an_emptied_folder_goes_on_at_the_furthest_cursor():
    fs = disk()
    journal, recovery = opened(fs, floor=40)
    assert recovery.next_seq == 40 == recovery.first_seq and recovery.state is None and not recovery.complete
    assert recovery.damage == [Damage(FOLDER, 0, 0, 0, 39, "an output has already delivered these frames")]
    put(journal, 40)
    assert contents(fs) == ([40], [])


def test_segments_below_the_nearest_cursor_need_not_be_verified():
    fs = filled(9)
    flip(fs, segments(fs)[0], 60)
    first, second = (int(path.stem, 16) for path in segments(fs)[:2])
    assert opened(fs, scan_from=first)[1].damage
    journal, recovery = opened(fs, scan_from=second)
    assert recovery.damage == [] and recovery.next_seq == 9
    with journal.reader(0) as reader:  # whoever reads there is told
        assert reader.read(0).first_seq == 0


def test_check_counts_what_is_there():
    fs = filled(7)
    report = check(FOLDER, fs)
    assert (report.frames, report.documents, report.first_seq, report.last_seq) == (7, 7, 0, 6)
    assert [segment.path for segment in report.segments] == segments(fs)
    assert sum(segment.bytes for segment in report.segments) == sum(len(fs.content(p)) for p in segments(fs))
    assert all(segment.created == SetClock().time for segment in report.segments)
    assert report.ok and not report.needs_repair and fs.handles == {}


def test_check_changes_nothing():
    fs = filled(7)
    flip(fs, segments(fs)[1], 100)
    fs.set_content(segments(fs)[-1], fs.content(segments(fs)[-1]) + b"torn")
    before = {path: fs.content(path) for path in fs.names}
    fs.calls.clear()
    report = check(FOLDER, fs)
    assert report.torn == 4 and report.torn_path == segments(fs)[-1]
    assert {path: fs.content(path) for path in fs.names} == before
    assert set(fs.calls) <= {"listdir", "size", "open_read", "pread", "close"}


def test_a_frame_whose_checksum_holds_but_whose_content_does_not_is_damage():
    fs = disk()
    fs.mkdir(FOLDER)
    head = struct.pack("<4sBBH8sQIII", codec.FRAME_MAGIC, 1, 1, 0, SALT, 1, 3, 10, 0)
    odd = head + struct.pack("<I", zlib.crc32(b"abc", zlib.crc32(head))) + b"abc"
    good = [codec.encode(codec.Frame(n, {"n": n}, (b"document %d" % n,)), SALT) for n in (0, 2)]
    header = codec.encode_segment_header(codec.SegmentHeader(0, 0, SALT))
    fs.set_content(FOLDER / codec.segment_name(0), header + good[0] + odd + good[1])
    numbers, damage = contents(fs)
    assert numbers == [0, 2] and [(item.first_seq, item.last_seq) for item in damage] == [(1, 1)]
    journal, recovery = opened(fs)
    assert [item.first_seq for item in recovery.damage] == [1] and recovery.next_seq == 3
    with journal.reader(1) as reader:
        assert reader.read(0)[:2] == (1, 1)
        assert reader.read(0).seq == 2


def test_repair_cuts_a_torn_tail():
    fs = filled(3)
    path = segments(fs)[-1]
    whole = fs.content(path)
    fs.set_content(path, whole + b"torn")
    report = repair(FOLDER, fs)
    assert fs.content(path) == whole and report.torn == 0 and len(report.changed) == 1
    assert repair(FOLDER, fs).changed == ()


def test_repair_sets_unreadable_bytes_aside_and_keeps_every_good_frame():
    base = filled(6)
    for path in segments(base):
        for at in range(0, len(base.content(path)), 7):
            fs = base.clone()
            flip(fs, path, at)
            found = check(FOLDER, fs)
            bad = fs.content(path)
            before = contents(fs)[0]
            report = repair(FOLDER, fs, SetClock(5.0))
            assert contents(fs)[0] == before and not report.needs_repair and report.torn == 0
            assert fs.handles == {} and not [name for name in fs.names if name.name.endswith(".tmp")]
            for damage in found.damage:
                copy = FOLDER / f"{path.name}.{damage.offset:x}.damaged"
                assert fs.content(copy) == bad[damage.offset : damage.offset + damage.length]
                assert damage.frames == 0 or not report.ok, "a lost frame stays reported"
            assert [item[3:5] for item in report.damage] == [item[3:5] for item in found.damage if item.frames]
            again = fs.clone()
            assert repair(FOLDER, again).changed == ()
            journal, recovery = opened(fs)
            put(journal, *range(recovery.next_seq, 7))
            journal.close()
            assert contents(fs)[0] == [*before, *range(recovery.next_seq, 7)]


@pytest.mark.parametrize("seed", range(6))
def test_a_repair_survives_a_power_cut_after_it(seed):
    fs = filled(6)
    flip(fs, segments(fs)[0], 60)
    repair(FOLDER, fs)
    expected = {path: fs.content(path) for path in fs.names}
    fs.power_cut(seed)
    assert {path: fs.content(path) for path in fs.names} == expected


def test_a_second_repair_of_the_same_place_keeps_the_first_copy():
    fs = filled(2)
    path = segments(fs)[0]
    whole = fs.content(path)
    for _ in range(2):
        fs.set_content(path, whole)
        flip(fs, path, 60)
        repair(FOLDER, fs)
    assert sorted(name.name for name in fs.names if "damaged" in name.name) == [
        f"{path.name}.2c-2.damaged",
        f"{path.name}.2c.damaged",
    ]


def test_iterate_starts_where_it_is_told_and_reads_no_older_segment():
    fs = filled(9)
    flip(fs, segments(fs)[0], 60)
    for start in range(int(segments(fs)[1].stem, 16), 10):
        assert contents(fs, start) == (list(range(start, 9)), [])


def test_iterate_follows_a_running_agent_over_rolls_and_deletions():
    fs = disk()
    journal, _ = opened(fs)
    put(journal, 0, 1)
    items = iterate(FOLDER, fs)
    assert next(items).seq == 0
    put(journal, *range(2, 9))
    assert [next(items).seq for _ in range(3)] == [1, 2, 3]
    journal.release(9, checkpoint_seq=9)
    put(journal, 9)
    rest = list(items)
    assert isinstance(rest[-1], Frame) and rest[-1].seq == 9
    covered = []
    for item in rest:
        covered += [item.seq] if isinstance(item, Frame) else range(item.first_seq, item.last_seq + 1)
    assert covered == list(range(4, 10))
    assert any(isinstance(item, Damage) and "deleted" in item.reason for item in rest)


def test_iterate_takes_a_torn_tail_for_the_end():
    fs = filled(2)
    fs.set_content(segments(fs)[0], fs.content(segments(fs)[0]) + b"in flight")
    assert contents(fs) == ([0, 1], [])


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path):
    for attempt in (check, repair, lambda folder, fs: list(iterate(folder, fs))):
        with pytest.raises(DiskError) as caught:
            attempt(tmp_path / "none", RealFs())
        assert caught.value.hint and str(tmp_path) in caught.value.place
