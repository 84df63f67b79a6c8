"""Following files over rotation, truncation, deletion and restart: each line once, in order, per file."""

from __future__ import annotations

import os

import pytest

from shipper.inputs.file.reader import Stream
from tests.tailing import Tailing, named, numbered


@pytest.fixture
def make(tmp_path):
    made = []

    def build(*patterns, **options):
        tailing = Tailing(tmp_path, *patterns, **options)
        made.append(tailing)
        return tailing

    yield build
    for tailing in made:
        tailing.crash()


def test_a_new_file_is_read_from_its_first_byte_and_then_what_is_appended(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 5))
    assert t.read() == named(0, 5)
    t.write("app.log", numbered(5, 6))
    assert t.read(wait=0) == named(5, 6)
    assert t.read() == []


def test_a_chunk_says_where_its_records_stood_and_where_the_stream_stands_after_them(make):
    t = make("*.log")
    t.write("app.log", "one\r\ntwo\nthr")
    t.read()
    (chunk,) = t.chunks
    assert (chunk.input, chunk.path, chunk.format) == ("crm", str(t.root / "app.log"), "plain")
    assert [(record.data, record.offset, record.length) for record in chunk.records] == [(b"one", 0, 5), (b"two", 5, 4)]
    assert chunk.received == t.clock.wall
    assert chunk.mtime == pytest.approx(os.stat(t.root / "app.log").st_mtime)
    position = dict(chunk.position)
    assert position["offset"] == position["anchor_len"] == position["head_len"] == 9
    assert position["v"] == 1
    assert t.describe() == [
        {
            "stream": chunk.stream,
            "path": chunk.path,
            "offset": 9,
            "size": 12,
            "lag": 3,
            "format": "plain",
            "cut": 0,
            "state": "following",
        }
    ]


def test_a_partial_line_waits_for_its_end_however_long_the_writer_pauses(make):
    t = make("*.log")
    t.write("app.log", "one\ntw")
    assert t.read() == ["one"]
    assert t.read(wait=500) == []
    t.write("app.log", "o\n")
    assert t.read(wait=0) == ["two"]


def test_a_kill_in_the_middle_of_a_line_repeats_nothing_and_loses_nothing(make):
    t = make("*.log")
    t.write("app.log", "one\ntw")
    t.read()
    t.crash()
    t.write("app.log", "o\nthree\n")
    t.read()
    assert t.lines == ["one", "two", "three"]
    assert [chunk.records[0].offset for chunk in t.chunks] == [0, 4]


def test_each_loss_is_told_however_many_there_are_at_one_look(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 1))
    t.read()
    t.crash()
    (position,) = t.positions.values()
    t.positions = {
        f"{number:032x}": {**position, "path": str(t.root / f"{number}.log"), "ino": 10**9 + number, "size": 1 << 20}
        for number in range(1500)
    }
    os.unlink(t.root / "app.log")
    t.options["once"] = True
    t.read()
    assert len(t.losses) == 1500
    assert {loss.stream for loss in t.losses} == set(t.ended)


def test_what_was_read_and_not_kept_is_read_again_after_a_kill(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.write("app.log", numbered(3, 6))
    assert t.read(keep=False) == named(3, 6)
    t.crash()
    t.read()
    assert t.lines == named(0, 6)
    assert len({chunk.stream for chunk in t.chunks}) == 1


# -- rotation by rename --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
def test_a_renamed_file_is_finished_before_the_new_one(make, pattern):
    t = make(pattern)
    t.write("app.log", numbered(0, 10))
    t.read()
    t.write("app.log", numbered(10, 20))
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(20, 30))
    t.read()
    assert t.lines == named(0, 30)
    assert t.losses == []


def test_a_backlog_of_the_old_file_is_read_before_the_new_file_even_in_small_turns(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 5))
    t.read()
    t.write("app.log", numbered(5, 400))
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(400, 500))
    t.read(budget=1000)
    assert t.lines == named(0, 500)


def test_rotated_files_found_at_the_first_start_are_read_oldest_first(make):
    t = make("app.log*")
    for age, name in enumerate(["app.log", "app.log.1", "app.log.2"]):
        t.write(name, numbered(200 - age * 100, 300 - age * 100))
        os.utime(t.root / name, (1_700_000_000 - age, 1_700_000_000 - age))
    t.read(budget=2000)
    assert t.lines == named(0, 300)


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
def test_a_rotation_while_the_agent_is_down_is_found_by_identity(make, pattern):
    t = make(pattern)
    t.write("app.log", numbered(0, 10))
    t.read()
    t.crash()
    t.write("app.log", numbered(10, 20))
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(20, 30))
    t.read()
    assert sorted(t.lines) == named(0, 30)
    assert t.lines == named(0, 30)
    assert t.losses == []


@pytest.mark.parametrize("down", [False, True])
def test_several_rotations_between_two_looks_lose_no_generation(make, down):
    t = make("app.log*")
    t.write("app.log", numbered(0, 10))
    t.read()
    if down:
        t.crash()
    for turn in range(1, 5):
        for number in range(turn, 1, -1):
            t.rename(f"app.log.{number - 1}", f"app.log.{number}")
        t.rename("app.log", "app.log.1")
        t.write("app.log", numbered(turn * 10, turn * 10 + 10))
    t.read()
    assert sorted(t.lines) == named(0, 50)
    assert t.losses == []


def test_late_lines_of_a_writer_that_keeps_the_old_file_are_read_until_the_grace_is_over(make):
    t = make("app.log", grace=60.0)
    t.write("app.log", numbered(0, 3))
    with (t.root / "app.log").open("ab", buffering=0) as writer:
        t.read()
        t.rename("app.log", "app.log.1")
        t.write("app.log", numbered(100, 101))
        t.read()
        for second in range(3):
            writer.write(numbered(3 + second, 4 + second).encode())
            assert t.read(wait=30) == named(3 + second, 4 + second)
    assert t.read(wait=70) == []
    assert [entry["path"] for entry in t.describe()] == [str(t.root / "app.log")]


def test_a_file_renamed_out_of_the_patterns_is_closed_in_its_position_and_its_later_deletion_is_no_loss(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.rename("app.log", "app.log.1")
    t.read()
    t.read(wait=70)
    assert t.chunks[-1].records == []
    assert t.chunks[-1].position["closed"] is True
    t.crash()
    os.unlink(t.root / "app.log.1")
    t.read()
    t.read()
    assert t.losses == []
    assert t.ended == [t.chunks[0].stream]


def test_a_rotated_file_in_the_patterns_is_closed_and_wakes_up_when_it_grows(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(3, 4))
    t.read()
    t.read(wait=70)
    assert t.chunks[-1].position.get("closed") is True
    t.write("app.log.1", numbered(90, 91))
    assert t.read() == named(90, 91)
    assert "closed" not in t.chunks[-1].position


def test_a_file_that_comes_back_into_the_patterns_is_not_read_again(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.rename("app.log", "old")
    t.read()
    t.read(wait=70)
    t.rename("old", "app.log")
    t.write("app.log", numbered(3, 4))
    t.read()
    assert t.lines == named(0, 4)


def test_the_unterminated_last_line_of_a_rotated_file_is_given_out_after_the_grace_and_named(make):
    t = make("app.log")
    t.write("app.log", "one\ntw")
    t.read()
    t.rename("app.log", "app.log.1")
    assert t.read() == []
    assert t.read(wait=59) == ["tw"] or t.read(wait=5) == ["tw"]
    assert [(cut.offset, cut.length, cut.why) for cut in t.cuts] == [(4, 2, "unterminated")]
    assert t.chunks[-1].position["offset"] == 6


# -- copytruncate and truncation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
def test_a_copy_made_before_truncation_is_not_shipped_again(make, pattern):
    t = make(pattern)
    t.write("app.log", numbered(0, 20))
    t.read()
    t.copy_truncate("app.log", "app.log.1")
    t.write("app.log", numbered(20, 25))
    t.read()
    t.read(wait=20)
    t.read(wait=90)
    t.write("app.log", numbered(25, 26))
    t.read()
    assert t.lines == named(0, 26)
    assert t.losses == []


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
@pytest.mark.parametrize("down", [False, True])
def test_lines_not_yet_read_when_the_file_was_copied_and_truncated_are_read_from_the_copy(make, pattern, down):
    t = make(pattern)
    t.write("app.log", numbered(0, 20))
    t.read()
    if down:
        t.crash()
    t.write("app.log", numbered(20, 40))
    t.copy_truncate("app.log", "app.log.1")
    t.write("app.log", numbered(40, 45))
    t.read()
    t.read(wait=90)
    assert sorted(t.lines) == named(0, 45)
    assert t.losses == []


@pytest.mark.parametrize("down", [False, True])
def test_a_copy_seen_before_the_truncation_is_held_back_until_that_is_clear(make, down):
    t = make("app.log*")
    t.write("app.log", numbered(0, 20))
    t.read()
    raw = (t.root / "app.log").read_bytes()
    t.write("app.log.1", raw[: len(raw) // 2])
    assert t.read() == []
    t.write("app.log.1", raw[len(raw) // 2 :])
    assert t.read() == []
    os.truncate(t.root / "app.log", 0)
    if down:
        t.crash()
    assert t.read() == []
    t.write("app.log", numbered(20, 30))
    t.read()
    t.read(wait=90)
    assert t.lines == named(0, 30)
    assert t.losses == []


def test_a_truncation_while_copy_and_original_are_compared_makes_no_new_file_of_the_copy(make, monkeypatch):
    t = make("app.log*")
    t.write("app.log", numbered(0, 20))
    t.read()
    raw = (t.root / "app.log").read_bytes()
    t.write("app.log.1", raw[: len(raw) // 2])
    compare = Stream.relation

    def rotate(stream, other):
        monkeypatch.setattr(Stream, "relation", compare)
        t.write("app.log.1", raw[len(raw) // 2 :])
        os.truncate(t.root / "app.log", 0)
        return compare(stream, other)

    monkeypatch.setattr(Stream, "relation", rotate)
    assert t.read() == []
    assert Stream.relation is compare
    t.write("app.log", numbered(20, 30))
    t.read()
    t.read(wait=90)
    assert t.lines == named(0, 30)
    assert t.losses == []


def test_a_copy_of_a_file_that_was_closed_to_open_another_is_not_shipped_again(make):
    t = make("*.log*", max_open_files=4)
    for name in "abcdefgh":
        t.write(f"{name}.log", f"{name} {numbered(0, 20)}")
    t.read()
    before = len(t.lines)
    for name in "abcdefgh":
        t.write(f"{name}.log.1", (t.root / f"{name}.log").read_text())
    assert t.read() == []
    for name in "abcdefgh":
        os.truncate(t.root / f"{name}.log", 0)
    assert t.read() == []
    assert t.read(wait=90) == []
    assert len(t.lines) == before
    assert t.losses == []


def test_a_copy_of_what_nobody_has_read_yet_is_shipped_once(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 5))
    t.read()
    t.copy_truncate("app.log", "app.log.1")
    t.rename("app.log.1", "app.log.2")
    t.write("app.log", numbered(5, 40))  # a next generation, longer than the last: found together with its copy
    (t.root / "app.log.1").write_bytes((t.root / "app.log").read_bytes())
    t.read()
    t.read()
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", numbered(40, 41))
    t.read()
    t.read(wait=20)
    assert sorted(t.lines) == named(0, 41)
    assert t.losses == []


def test_two_files_of_equal_content_at_the_first_start_are_two_files(make):
    t = make("*.log")
    t.write("a.log", numbered(0, 5))
    t.write("b.log", numbered(0, 5))
    t.read()
    assert sorted(t.lines) == sorted(named(0, 5) * 2)


def test_lines_written_between_copy_and_truncation_are_kept_and_the_copy_is_known(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 20))
    t.read()
    raw = (t.root / "app.log").read_bytes()
    t.write("app.log", numbered(20, 23))
    t.read(wait=0)
    t.write("app.log.1", raw)
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", numbered(23, 24))
    t.read()
    t.read(wait=90)
    assert t.lines == named(0, 24)
    t.crash()
    assert t.read() == []
    assert t.lines == named(0, 24)


def test_a_plain_copy_of_a_file_that_stays_is_not_shipped_twice_but_what_is_added_to_it_is(make):
    t = make("*.log")
    t.write("a.log", numbered(0, 20))
    t.read()
    t.write("b.log", numbered(0, 20))
    assert t.read() == []
    t.read(wait=15)
    t.write("b.log", numbered(70, 71))
    t.write("a.log", numbered(80, 81))
    t.read()
    t.read(wait=15)
    assert sorted(t.lines) == sorted([*named(0, 20), *named(70, 71), *named(80, 81)])


def test_two_files_with_the_same_first_kibibyte_are_both_shipped(make):
    t = make("*.log")
    same = "# a banner that every file of this program begins with\n" * 20
    t.write("a.log", same + numbered(0, 10))
    t.read()
    t.write("b.log", same + numbered(10, 20))
    t.read()
    assert [line for line in t.lines if not line.startswith("#")] == named(0, 20)
    t.crash()
    t.write("a.log", numbered(20, 21))
    t.write("b.log", numbered(21, 22))
    assert sorted(t.read()) == named(20, 22)


def test_a_writer_that_goes_on_at_its_old_offset_after_truncation_leaves_a_hole_that_is_no_line(make):
    t = make("app.log*")
    with (t.root / "app.log").open("wb", buffering=0) as writer:  # not opened for append
        writer.write(numbered(0, 200).encode())
        t.read()
        t.copy_truncate("app.log", "app.log.1")
        writer.write(numbered(200, 202).encode())
        t.read()
        writer.write(numbered(202, 203).encode())
        t.read()
    assert t.lines == named(0, 203)
    hole = len(numbered(0, 200))
    record = next(
        chunk for chunk in t.chunks if chunk.records[:1] and chunk.records[0].data.startswith(b"000200")
    ).records[0]
    assert (record.offset, record.length) == (0, hole + len(numbered(200, 201)))


def test_a_sparse_terabyte_is_not_scanned(make):
    t = make("*.log")
    t.write("app.log", "one\n")
    t.read()
    os.truncate(t.root / "app.log", 1 << 40)
    t.read(budget=1 << 30)
    t.write("app.log", "two\n")
    assert t.read(budget=1 << 30) == ["two"]
    assert t.chunks[-1].records[0].length == (1 << 40) - 4 + 4


@pytest.mark.parametrize("down", [False, True])
def test_a_file_truncated_and_grown_past_the_old_offset_starts_over(make, down):
    t = make("app.log")
    t.write("app.log", numbered(0, 5))
    t.read()
    if down:
        t.crash()
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", numbered(100, 150))
    t.read()
    assert t.lines == named(0, 5) + named(100, 150)
    assert len({chunk.stream for chunk in t.chunks if chunk.records}) == 2


@pytest.mark.parametrize("down", [False, True])
def test_a_file_rewritten_at_the_same_size_with_the_same_time_starts_over(make, down):
    t = make("app.log")
    t.write("app.log", numbered(0, 5))
    status = os.stat(t.root / "app.log")
    t.read()
    if down:
        t.crash()
    with (t.root / "app.log").open("r+b") as file:
        file.truncate(0)
        file.write(numbered(500, 505).encode())
    os.utime(t.root / "app.log", ns=(status.st_atime_ns, status.st_mtime_ns))
    t.read()
    assert t.lines == named(0, 5) + named(500, 505)


def test_each_generation_of_one_inode_has_a_stream_id_of_its_own_and_the_same_one_after_a_kill(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 5))
    t.read()
    for turn in range(1, 4):
        os.truncate(t.root / "app.log", 0)
        t.write("app.log", numbered(turn * 100, turn * 100 + 2))
        t.read(keep=False)
        t.crash()
        t.read()
    assert len({chunk.stream for chunk in t.chunks if chunk.records}) == 4
    assert t.lines == [*named(0, 5), *named(100, 102), *named(200, 202), *named(300, 302)]


def test_a_truncation_that_destroys_lines_seen_and_not_read_is_a_loss_with_its_range(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 10))
    source = t.start()
    list(source.read(100))
    size = os.stat(t.root / "app.log").st_size
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", "fresh\n")
    t.read()
    t.read()
    (loss,) = t.losses
    assert (loss.path, loss.offset, loss.seen_size) == (str(t.root / "app.log"), 100, size)
    assert loss.stream in t.ended


def test_a_truncation_after_everything_was_read_is_no_loss(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 10))
    t.read()
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", "fresh\n")
    t.read()
    assert t.losses == []


# -- deletion ------------------------------------------------------------------------------------------------------


def test_a_file_deleted_while_open_is_read_to_its_end_and_then_forgotten(make):
    t = make("app.log")
    with (t.root / "app.log").open("ab", buffering=0) as writer:
        writer.write(numbered(0, 5).encode())
        t.read()
        writer.write(numbered(5, 8).encode())
        os.unlink(t.root / "app.log")
        t.read()
        writer.write(numbered(8, 9).encode() + b"rest")
        t.read()
    t.read(wait=70)
    assert t.lines == [*named(0, 9), "rest"]
    assert t.losses == []
    assert t.describe() == []
    assert t.ended == [t.chunks[0].stream]


def test_a_file_deleted_and_made_again_is_a_new_stream_though_the_inode_is_the_same(make):
    t = make("app.log")
    reused = 0
    for turn in range(5):
        t.write("app.log", numbered(turn * 10, turn * 10 + 3))
        inode = os.stat(t.root / "app.log").st_ino
        t.read()
        t.crash()
        os.unlink(t.root / "app.log")
        t.write("app.log", numbered(turn * 10 + 3, turn * 10 + 8))
        reused += os.stat(t.root / "app.log").st_ino == inode
        t.read()
        t.crash()
        os.unlink(t.root / "app.log")
    assert t.lines == [line for turn in range(5) for line in named(turn * 10, turn * 10 + 8)]


def test_a_file_deleted_while_the_agent_is_down_is_a_loss_of_unknown_size(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 5))
    t.write("other.log", "x\n")
    t.read()
    stream = next(chunk.stream for chunk in t.chunks if chunk.path.endswith("app.log"))
    t.crash()
    os.unlink(t.root / "app.log")
    t.read()
    assert t.losses == []  # a listing that is made while names change may miss a file: one look is not enough
    t.read()
    assert [(loss.stream, loss.offset, loss.seen_size) for loss in t.losses] == [(stream, len(numbered(0, 5)), None)]
    assert t.ended == [stream]
    t.crash()
    t.read()
    t.read()
    assert len(t.losses) == 1


def test_a_loss_says_how_much_was_there_where_that_is_known(make):
    t = make("*.log")
    t.write("app.log", numbered(0, 100))
    source = t.start()
    for chunk in source.read(1000):
        t.positions[chunk.stream] = chunk.position
        offset = chunk.position["offset"]
        break
    t.crash()
    os.unlink(t.root / "app.log")
    t.read()
    t.read()
    assert [(loss.offset, loss.seen_size) for loss in t.losses] == [(offset, len(numbered(0, 100)))]


def test_a_kept_stream_on_a_file_system_that_is_not_mounted_is_waited_for(make, monkeypatch):
    t = make("mnt/*.log")
    (t.root / "mnt").mkdir()
    t.write("mnt/app.log", numbered(0, 5))
    t.read()
    t.crash()
    (t.root / "mnt").rename(t.root / "elsewhere")
    (stream,) = t.positions
    t.positions[stream] = {**t.positions[stream], "dev": t.positions[stream]["dev"] + 1}
    for _ in range(5):
        t.read()
    assert t.losses == []
    (t.root / "elsewhere").rename(t.root / "mnt")
    t.write("mnt/app.log", numbered(5, 6))
    assert t.read() == named(5, 6)


def test_a_directory_that_appears_later_is_found(make):
    t = make("pods/*/*.log")
    assert t.read() == []
    (t.root / "pods/web").mkdir(parents=True)
    t.write("pods/web/0.log", numbered(0, 2))
    assert t.read() == named(0, 2)


# -- names ---------------------------------------------------------------------------------------------------------


def test_one_file_under_several_names_is_read_once(make):
    t = make("*.log", "app.log", "sub/**/*.txt")
    (t.root / "sub/deep").mkdir(parents=True)
    t.write("app.log", numbered(0, 3))
    os.link(t.root / "app.log", t.root / "hard.log")
    os.symlink(t.root / "app.log", t.root / "soft.log")
    os.symlink(t.root / "app.log", t.root / "sub/deep/x.txt")
    t.read()
    assert t.lines == named(0, 3)
    os.unlink(t.root / "app.log")
    t.write("hard.log", numbered(3, 4))
    t.read()
    assert t.lines == named(0, 4)


def test_a_link_that_is_swapped_to_another_file_finishes_the_old_one_and_starts_the_new(make):
    t = make("current.log")
    (t.root / "pod").mkdir()
    t.write("pod/0.log", numbered(0, 3))
    os.symlink(t.root / "pod/0.log", t.root / "current.log")
    t.read()
    t.write("pod/0.log", numbered(3, 6))
    t.write("pod/1.log", numbered(6, 9))
    os.unlink(t.root / "current.log")
    os.symlink(t.root / "pod/1.log", t.root / "current.log")
    t.read()
    assert t.lines == named(0, 9)


def test_a_changed_configuration_that_finds_the_same_files_repeats_nothing(make):
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.crash()
    t.patterns = [str(t.root / "**" / "*.log")]
    t.write("app.log", numbered(3, 4))
    t.read()
    assert t.lines == named(0, 4)


def test_a_new_device_number_after_a_reboot_does_not_make_a_new_stream(make):
    t = make("app.log")
    t.write("app.log", "tiny\n")
    t.read()
    t.crash()
    (stream,) = t.positions
    t.positions[stream] = {**t.positions[stream], "dev": t.positions[stream]["dev"] + 5}
    t.write("app.log", "more\n")
    t.read()
    assert t.lines == ["tiny", "more"]


def test_without_birth_times_the_content_decides(make, monkeypatch):
    monkeypatch.setattr("shipper.inputs.file.identity._STATX", lambda *_: -1)
    t = make("app.log")
    t.write("app.log", numbered(0, 3))
    t.read()
    t.crash()
    t.write("app.log", numbered(3, 5))
    t.read()
    assert t.lines == named(0, 5)
    t.crash()
    (t.root / "app.log").write_text(numbered(50, 70))
    t.read()
    assert t.lines == named(0, 5) + named(50, 70)


# -- all together --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["rename", "copytruncate"])
@pytest.mark.parametrize("stop", range(10))
def test_a_restart_at_any_step_of_two_rotations_gives_each_line_once(make, scheme, stop):
    t = make("app.log*")

    def rotate(old, new):
        if scheme == "rename":
            t.rename(old, new)
        else:
            t.copy_truncate(old, new)

    steps = [
        lambda: t.write("app.log", numbered(0, 10)),
        lambda: t.write("app.log", numbered(10, 12) + "000012 half"),
        lambda: t.write("app.log", " a line\n"),
        lambda: rotate("app.log", "app.log.1"),
        lambda: t.write("app.log", numbered(20, 30)),
        lambda: t.rename("app.log.1", "app.log.2"),
        lambda: rotate("app.log", "app.log.1"),
        lambda: t.write("app.log", numbered(30, 33)),
        lambda: t.write("app.log", numbered(33, 36)),
        lambda: None,
    ]
    for number, step in enumerate(steps):
        step()
        if number == stop:
            t.crash()
        elif number != (stop + 3) % 10:  # one step goes by unseen
            t.read()
    t.read()
    t.read(wait=90)
    assert sorted(t.lines) == sorted([*named(0, 12), "000012 half a line", *named(20, 36)])
    assert t.losses == []
