"""Compressed files: known ones are recognised by their content, others are read once; damage is a loss and is said."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import tracemalloc

import pytest

from shipper.inputs.file.packed import Pack
from shipper.inputs.file.unpack import PIECE, TAKE, Unpacker, kind_of
from tests.tailing import Tailing, named, numbered

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS = [("gz", gzip.compress), ("zst", zstd.compress), ("xz", lzma.compress), ("bz2", bz2.compress)]
LENGTH = len(numbered(0, 1))


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


def pack(t, old, new, compress=gzip.compress, *, keep=False):
    """Compress a file as gzip does: the time of the original, which then goes."""
    status = os.stat(t.root / old)
    (t.root / new).write_bytes(compress((t.root / old).read_bytes()))
    os.utime(t.root / new, ns=(status.st_atime_ns, status.st_mtime_ns))
    if not keep:
        os.unlink(t.root / old)


def settle(t):
    for _ in range(4):
        t.read()
    t.read(wait=70)
    t.read(wait=70)


# -- unpacking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress),
                                                ("xz", lzma.compress), ("bzip2", bz2.compress)])  # fmt: skip
@pytest.mark.parametrize("members", [1, 3])
def test_all_members_of_a_file_are_unpacked_in_small_pieces_and_padding_is_none(tmp_path, kind, compress, members):
    body = os.urandom(50_000) + b"x" * 300_000
    path = tmp_path / "f"
    for padding in (b"", bytes(512)):
        path.write_bytes(compress(body) * members + padding)
        assert kind_of(path.read_bytes()[:10]) == kind
        with path.open("rb") as file:
            unpacker, out = Unpacker(kind), b""
            while piece := unpacker.piece(file.fileno()):
                assert len(piece) <= PIECE
                out += piece
            assert out == body * members
            assert unpacker.whole and unpacker.at == len(out)


@pytest.mark.parametrize("head", [b"", b"\x1f\x8b", b"(\xb5/", b"BZh0", b"BZh9 is a word", b"plain text"])
def test_what_is_not_compressed_is_not_taken_for_it(head):
    assert kind_of(head) == ""


def counted(monkeypatch):
    """The bytes that `os.pread` gave, in a list."""
    taken, real = [0], os.pread

    def pread(fd, count, offset):
        data = real(fd, count, offset)
        taken[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", pread)
    return taken


@pytest.mark.parametrize("between", [bytes(6 << 20), gzip.compress(b"", mtime=0) * 20_000], ids=["padding", "empty"])
def test_a_call_ends_although_nothing_was_found_and_the_next_goes_on(tmp_path, monkeypatch, between):
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(b"one") + between + gzip.compress(b"two"))
    taken, out, calls = counted(monkeypatch), b"", 0
    with path.open("rb") as file:
        unpacker = Unpacker("gzip")
        while True:
            before, calls = taken[0], calls + 1
            piece = unpacker.piece(file.fileno())
            assert taken[0] - before <= TAKE + PIECE
            assert not (unpacker.busy and (piece or unpacker.whole))
            if not (piece or unpacker.busy):
                break
            out += piece
    assert out == b"onetwo" and unpacker.whole
    assert 4 <= calls < 30


def test_a_file_that_was_grown_by_a_terabyte_of_hole_is_read_without_reading_the_hole(make, monkeypatch):
    t = make("*.gz")
    t.write("a.gz", gzip.compress(numbered(0, 5).encode()))
    os.truncate(t.root / "a.gz", 1 << 40)
    t.write("calm.gz", gzip.compress(numbered(5, 6).encode()))
    taken = counted(monkeypatch)
    settle(t)
    assert sorted(t.lines) == named(0, 6)
    assert taken[0] < 8 << 20
    assert t.losses == [] and t.start().problems() == []
    assert {entry["state"] for entry in t.describe()} == {"closed"}


def test_a_member_after_a_hole_is_found(make):
    t = make("*.gz")
    t.write("a.gz", gzip.compress(numbered(0, 5).encode()))
    os.truncate(t.root / "a.gz", 1 << 36)
    t.write("a.gz", gzip.compress(numbered(5, 9).encode()))
    settle(t)
    assert t.lines == named(0, 9)
    assert t.losses == []


def test_a_member_that_never_gives_anything_is_damage(tmp_path, monkeypatch):
    monkeypatch.setattr("shipper.inputs.file.unpack._SILENT", 1 << 20)
    path = tmp_path / "f"
    path.write_bytes(zstd.compress(b"one") + b"\x28\xb5\x2f\xfd\x00\x58")  # then blocks of no bytes, and no end
    os.truncate(path, 1 << 40)
    with path.open("rb") as file:
        unpacker = Unpacker("zstd")
        assert unpacker.piece(file.fileno()) == b"one"
        assert unpacker.piece(file.fileno()) == b""
    assert unpacker.damage.startswith("zstd data damaged: nothing in ")
    assert not (unpacker.busy or unpacker.whole)


@pytest.mark.parametrize("form", ["plain", "auto"])
def test_a_file_with_megabytes_of_padding_in_it_is_read_in_turns(make, form, monkeypatch):
    t = make("*.gz", format=form, decide=lambda sample: "seen" if sample.startswith(b"000") else "")
    t.write("a.gz", gzip.compress(b"") + bytes(5 << 20) + gzip.compress(numbered(0, 5).encode()) + bytes(5 << 20))
    t.write("a.gz", gzip.compress(numbered(5, 9).encode()))
    source, taken, turns = t.start(), counted(monkeypatch), 0
    t.clock.mono += 1
    while len(t.lines) < 9:
        before, turns = taken[0], turns + 1
        t.chunks += source.read(16 * 1024)
        assert taken[0] - before <= 4 * TAKE
        assert turns < 100
    assert t.lines == named(0, 9)
    assert {chunk.format for chunk in t.chunks} == {"plain" if form == "plain" else "seen"}
    assert turns > 4
    assert source.losses() == [] and source.problems() == []


def test_bytes_that_lie_far_apart_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes((gzip.compress(b"x") + bytes(1 << 19)) * 40)
    content, out, taken = Pack("gzip"), b"", counted(monkeypatch)
    with path.open("rb") as file:
        while not content.survey(file.fileno(), PIECE):
            pass
        assert content.whole and content.length == 40
        content.release()
        for _ in range(100):
            before = taken[0]
            out += content.read(file.fileno(), len(out), 40 - len(out)) or b""
            assert taken[0] - before <= TAKE
    assert out == b"x" * 40 and content.whole


# -- files that nobody knew ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "compress"), PACKERS)
def test_a_compressed_file_that_nobody_knew_is_read_once_and_goes_on_in_the_middle_after_a_restart(
    make, suffix, compress
):
    t = make("*.csv.*")
    raw = numbered(0, 3000).encode()
    half = raw.index(b"\n", len(raw) // 2) + 9  # in the middle of a line
    (t.root / f"export.csv.{suffix}").write_bytes(compress(raw[:half]) + compress(raw[half:]))
    source = t.start()
    t.clock.mono += 1
    while not t.chunks:
        for chunk in source.read(20_000):
            t.chunks.append(chunk)
            t.positions[chunk.stream] = chunk.position
            break
    t.crash()
    t.read()
    settle(t)
    assert t.lines == named(0, 3000)
    assert len({chunk.stream for chunk in t.chunks}) == 1
    assert t.chunks[-1].position["closed"] is True
    t.crash()
    settle(t)
    assert t.lines == named(0, 3000)
    assert t.losses == [] and t.start().problems() == []
    t.crash()
    os.unlink(t.root / f"export.csv.{suffix}")
    settle(t)
    assert t.losses == []


def test_a_file_read_to_its_end_is_not_unpacked_again_at_a_restart_and_not_either_under_another_name(make, monkeypatch):
    t = make("app.log*")
    t.write("app.log.1.gz", gzip.compress(numbered(0, 20_000).encode()))
    settle(t)
    t.crash()
    t.rename("app.log.1.gz", "app.log.2.gz")
    pieces = []
    real = Unpacker.piece
    monkeypatch.setattr(Unpacker, "piece", lambda self, fd: pieces.append(1) or real(self, fd))
    settle(t)
    assert t.lines == named(0, 20_000)
    assert len(pieces) < 8


def test_a_member_that_is_appended_to_a_compressed_file_is_read_from_where_the_others_end(make):
    t = make("*.gz")
    t.write("a.gz", gzip.compress(numbered(0, 10).encode() + b"000010 user"))
    t.read()
    rest = numbered(10, 20)[len("000010 user") :].encode()
    t.write("a.gz", gzip.compress(rest))
    t.read()
    t.crash()
    t.write("a.gz", gzip.compress(numbered(20, 25).encode()))
    settle(t)
    assert t.lines == named(0, 25)
    t.write("a.gz", gzip.compress(numbered(25, 26).encode()))
    settle(t)
    t.crash()
    settle(t)
    t.write("a.gz", gzip.compress(numbered(26, 27).encode()))
    settle(t)
    assert t.lines == named(0, 27)
    assert t.losses == []


def test_a_compressed_file_that_is_written_anew_is_a_new_stream_packed_or_plain(make):
    t = make("export.*")
    (t.root / "export.log").write_bytes(gzip.compress(numbered(0, 10).encode()))
    settle(t)
    (t.root / "export.log").write_bytes(gzip.compress(numbered(50, 55).encode()))
    settle(t)
    (t.root / "export.log").write_bytes(numbered(60, 65).encode())
    settle(t)
    (t.root / "export.log").write_bytes(zstd.compress(numbered(70, 75).encode()))
    settle(t)
    assert t.lines == named(0, 10) + named(50, 55) + named(60, 65) + named(70, 75)
    assert len({chunk.stream for chunk in t.chunks if chunk.records}) == 4
    assert t.losses == []


def test_a_compressed_file_that_is_seen_before_its_first_byte_is_not_taken_for_text(make):
    t = make("*.gz")
    t.write("a.gz", b"")
    t.read()
    raw = gzip.compress(numbered(0, 100).encode())
    t.write("a.gz", raw[:2])
    t.read()
    t.write("a.gz", raw[2:])
    settle(t)
    assert t.lines == named(0, 100)


def test_the_last_line_of_a_compressed_file_needs_no_line_end(make):
    t = make("*.gz")
    t.write("a.gz", gzip.compress(b"one\ntwo"))
    assert t.read() == ["one"]
    settle(t)
    assert t.lines == ["one", "two"]
    assert [(cut.offset, cut.length, cut.why) for cut in t.cuts] == [(4, 3, "unterminated")]
    assert [entry["cut"] for entry in t.describe()] == [1]


def test_the_format_of_a_compressed_file_is_decided_on_its_content(make):
    seen = []
    t = make("*.gz", format="auto", decide=lambda sample: seen.append(sample) or "json_lines")
    t.write("a.gz", gzip.compress(b'{"a":1}\n{"b":2}\n'))
    t.read()
    t.read(wait=2)
    assert t.lines == ['{"a":1}', '{"b":2}']
    assert seen == [b'{"a":1}\n{"b":2}']


def test_once_reads_compressed_files_too_and_is_done(make):
    t = make("*", once=True)
    t.write("a.gz", gzip.compress(numbered(0, 2000).encode() + b"rest"))
    t.write("b.zst", zstd.compress(numbered(2000, 2010).encode()))
    t.write("c.log", numbered(2010, 2011))
    t.read(budget=5000)
    assert sorted(t.lines) == [*named(0, 2011), "rest"]
    assert t.start().done() and t.start().left() == []
    t.crash()
    assert t.read() == []
    assert t.start().done()


# -- rotated files that are known ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "compress"), PACKERS)
@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
@pytest.mark.parametrize("count", [20, 200_000 // LENGTH])
def test_a_file_that_was_read_and_then_rotated_and_compressed_is_not_read_again(make, suffix, compress, pattern, count):
    t = make(pattern)
    t.write("app.log", numbered(0, count))
    t.read()
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(count, count + 2))
    t.read()
    pack(t, "app.log.1", f"app.log.1.{suffix}", compress)
    settle(t)
    t.rename(f"app.log.1.{suffix}", f"app.log.2.{suffix}")
    settle(t)
    t.crash()
    t.write("app.log", numbered(count + 2, count + 3))
    settle(t)
    assert t.lines == named(0, count + 3)
    assert t.losses == []


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
@pytest.mark.parametrize("name", ["app.log.1.gz", "app.log-20260203.gz", "app.log.20260203-101500.gz"])
def test_the_rest_of_a_file_that_was_rotated_and_compressed_while_the_agent_was_down_is_read(make, pattern, name):
    t = make(pattern)
    t.write("app.log", numbered(0, 3000) + "003000 user")
    t.read()
    t.crash()
    t.write("app.log", numbered(3000, 6000)[len("003000 user") :])
    pack(t, "app.log", name)
    t.write("app.log", numbered(6000, 6010))
    settle(t)
    assert t.lines == named(0, 6010)
    first = t.chunks[0].stream
    assert {chunk.stream for chunk in t.chunks if chunk.records and chunk.records[0].data < b"006000"} == {first}
    assert t.losses == []
    t.crash()
    settle(t)
    assert t.lines == named(0, 6010)


def test_a_kubernetes_log_that_the_kubelet_rotated_and_compressed_is_the_same_stream(make):
    t = make("pods/web/*")
    (t.root / "pods/web").mkdir(parents=True)
    t.write("pods/web/0.log", numbered(0, 500))
    t.read()
    t.rename("pods/web/0.log", "pods/web/0.log.20260203-101500")
    t.write("pods/web/0.log", numbered(500, 600))
    t.read()
    pack(t, "pods/web/0.log.20260203-101500", "pods/web/0.log.20260203-101500.gz")
    t.read()
    t.crash()
    t.write("pods/web/0.log", numbered(600, 700))
    pack(t, "pods/web/0.log", "pods/web/0.log.20260203-101600.gz")
    t.write("pods/web/0.log", numbered(700, 710))
    settle(t)
    assert t.lines == named(0, 710)
    assert t.losses == []


@pytest.mark.parametrize("pattern", ["app.log*", "app.log"])
def test_a_file_that_was_unlinked_by_the_compressor_is_read_to_its_end_through_the_open_file(make, pattern):
    t = make(pattern)
    t.write("app.log", numbered(0, 5))
    t.read()
    t.write("app.log", numbered(5, 4000) + "the last line")
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(4000, 4001))
    pack(t, "app.log.1", "app.log.1.gz")
    t.read(budget=3000)
    settle(t)
    t.crash()
    settle(t)
    assert sorted(t.lines) == sorted([*named(0, 4001), "the last line"])
    assert t.losses == []


def test_a_compressed_file_that_grows_beside_its_original_is_waited_for(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 4000))
    t.read()
    t.rename("app.log", "app.log.1")
    t.write("app.log", numbered(4000, 4001))
    raw = gzip.compress((t.root / "app.log.1").read_bytes())
    for at in range(0, len(raw), len(raw) // 7):
        t.write("app.log.1.gz", raw[at : at + len(raw) // 7])
        t.read()
    os.unlink(t.root / "app.log.1")
    t.read()
    settle(t)
    assert t.lines == named(0, 4001)
    assert t.losses == [] and t.start().problems() == []


def test_a_compressed_copy_of_a_file_that_stays_is_not_read_and_what_the_file_gets_later_is(make):
    t = make("*")
    t.write("app.log", numbered(0, 30))
    t.read()
    pack(t, "app.log", "app.log.gz", keep=True)
    settle(t)
    t.write("app.log", numbered(30, 31))
    settle(t)
    assert t.lines == named(0, 31)
    (t.root / "app.log.zst").write_bytes(zstd.compress(gzip.decompress((t.root / "app.log.gz").read_bytes())))
    settle(t)
    assert t.lines == named(0, 31)


@pytest.mark.parametrize("down", [False, True])
def test_lines_that_were_compressed_before_the_file_was_truncated_are_read_from_there_and_nothing_twice(make, down):
    t = make("app.log*")
    t.write("app.log", numbered(0, 100))
    t.read()
    if down:
        t.crash()
    t.write("app.log", numbered(100, 150))
    (t.root / "app.log.1.gz").write_bytes(gzip.compress((t.root / "app.log").read_bytes()))
    os.truncate(t.root / "app.log", 0)
    t.write("app.log", numbered(150, 160))
    settle(t)
    assert sorted(t.lines) == named(0, 160)
    assert t.losses == []


def test_a_file_closed_for_the_cap_and_then_rotated_and_compressed_is_finished(make):
    t = make("*.log", max_open_files=1)
    for name in "abc":
        t.write(f"{name}.log", numbered(0, 5).replace("user", name))
    t.read()
    t.write("a.log", numbered(5, 9).replace("user", "a"))
    pack(t, "a.log", "a.log.1.gz")
    settle(t)
    assert sorted(line for line in t.lines if " a " in line) == numbered(0, 9).replace("user", "a").splitlines()
    assert t.losses == []


def test_generations_that_begin_alike_are_told_apart_by_what_stands_before_the_position(make):
    banner = "# a banner that every file of this program begins with\n" * 30
    t = make("app.log*")
    for turn in range(4):
        t.write("app.log", banner + numbered(turn * 10, turn * 10 + 10))
        if turn % 2:
            t.read()
        t.crash()
        t.write("app.log", numbered(turn * 10 + 1000, turn * 10 + 1005))
        for number in range(turn, 0, -1):
            t.rename(f"app.log.{number}.gz", f"app.log.{number + 1}.gz")
        pack(t, "app.log", "app.log.1.gz")
    settle(t)
    settle(t)
    expected = [line for turn in range(4) for line in [*named(turn * 10, turn * 10 + 10)]]
    expected += [line for turn in range(4) for line in named(turn * 10 + 1000, turn * 10 + 1005)]
    assert sorted(line for line in t.lines if line[0] != "#") == sorted(expected)
    assert t.losses == []


def test_a_tiny_file_is_known_by_the_name_of_its_log(make):
    t = make("app.log*")
    t.write("app.log", "one\n")
    t.read()
    t.crash()
    pack(t, "app.log", "app.log.1.gz")
    t.write("app.log", "two\n")
    settle(t)
    assert t.lines == ["one", "two"]


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("zst", zstd.compress)])
def test_a_file_that_is_cut_off_is_waited_for_then_named_then_read_as_far_as_it_goes_and_the_rest_is_a_loss(
    make, suffix, compress
):
    t = make("*", grace=60.0)
    name = f"a.{suffix}"
    raw = compress(b"".join(os.urandom(40).hex().encode() + b"\n" for _ in range(6000)))
    t.write(name, raw[: len(raw) // 2])
    assert t.read() == [] and t.start().problems() == []
    t.read(wait=15)
    ((path, cause),) = t.start().problems()
    assert path.endswith(name) and "ends in the middle" in cause and "60 s" in cause
    assert t.lines == []
    t.read(wait=60)
    t.read()
    assert len(t.lines) > 1000
    (loss,) = t.losses
    assert loss.offset == sum(len(line) + 1 for line in t.lines) - 1 and loss.seen_size is None
    assert [cut.why for cut in t.cuts] == ["unterminated"]
    assert t.describe()[0]["state"] == "damaged"
    settle(t)
    t.crash()
    settle(t)
    assert len(t.losses) == 1


def test_a_file_that_was_cut_off_and_is_completed_later_goes_on_where_it_was_given_up(make):
    t = make("*.gz", grace=60.0)
    raw = gzip.compress(numbered(0, 30_000).encode())
    t.write("a.gz", raw[: len(raw) // 2])
    t.read()
    t.read(wait=61)
    before = len(t.lines)
    assert 0 < before < 30_000 and len(t.losses) == 1
    t.write("a.gz", raw[len(raw) // 2 :])
    settle(t)
    assert t.lines[: before - 1] == named(0, before - 1)
    assert t.lines[before - 1] + t.lines[before] == named(before - 1, before)[0]
    assert t.lines[before + 1 :] == named(before, 30_000)


@pytest.mark.parametrize("once", [False, True])
def test_damage_is_a_loss_from_its_place_on_and_other_files_go_on(make, once):
    t = make("*", once=once, grace=60.0)
    raw = bytearray(gzip.compress(numbered(20_000, 40_000).encode()))
    raw[2] = 9  # a method that there is not
    t.write("a.gz", gzip.compress(numbered(0, 20_000).encode()) + raw)
    t.write("b.log", "other\n")
    t.read()
    settle(t)
    assert "other" in t.lines
    (loss,) = t.losses
    assert loss.path.endswith("a.gz") and loss.offset == len(numbered(0, 20_000))
    assert "gzip data damaged" in t.start().problems()[0].cause
    assert [line for line in t.lines if line != "other"] == named(0, 20_000)
    if once:
        assert t.start().done()


def test_a_compressed_file_that_goes_before_anything_of_it_was_read_is_a_loss(make):
    t = make("*.gz", max_open_files=1)
    for name in "abc":
        t.write(f"{name}.gz", gzip.compress(numbered(0, 9000).replace("user", name).encode()))
    list(t.start().read(1000))
    gone = [entry["path"] for entry in t.describe() if entry["offset"] == 0][-1]
    os.unlink(gone)
    settle(t)
    paths = {loss.path for loss in t.losses}
    missing = {name for name in "abc" if f" {name} " not in "".join(t.lines)}
    assert {os.path.basename(path)[0] for path in paths} == missing


def test_a_bomb_takes_no_more_memory_than_a_line(make):
    t = make("*.gz", max_line=1000)
    bomb = gzip.compress(b"\x01" * (1 << 26))
    t.write("a.gz", bomb + gzip.compress(b"\nnext\n"))
    tracemalloc.start()
    try:
        t.read(budget=1 << 16)
        for _ in range(100):
            t.read(budget=1 << 16)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert t.lines == ["\x01" * 1000, "next"]
    assert most < 8 << 20
    assert [(cut.length, cut.why) for cut in t.cuts] == [(1 << 26, "long")]


def test_only_one_file_is_unpacked_at_a_time_and_plain_files_have_their_turn(make):
    t = make("*")
    for number in range(5):
        t.write(f"e{number}.gz", gzip.compress(numbered(number * 9000, number * 9000 + 9000).encode()))
    t.write("calm.log", "calm\n")
    source, got = t.start(), []
    t.clock.mono += 1
    for _ in range(400):
        got += source.read(64 * 1024)
        unpacking = [s for s in source._follower.streams.values() if s.pack and s.pack._unpacker is not None]
        assert len(unpacking) <= 1
    lines = [record.data.decode() for chunk in got for record in chunk.records]
    assert lines.index("calm") < 2000
    assert sorted(lines[: lines.index("calm")] + lines[lines.index("calm") + 1 :]) == named(0, 45_000)


@pytest.mark.parametrize("once", [False, True])
def test_files_that_wait_for_each_other_by_way_of_the_turn_to_unpack_all_come(make, once):
    t = make("app.log", "app.log-2026*")
    t.write("app.log", numbered(0, 100))
    age(t, "app.log", 500)
    t.read()
    t.crash()
    t.write("app.log", numbered(100, 101))  # while the agent is down; then rotated and packed, out of the patterns
    pack(t, "app.log", "app.log.1.gz")
    t.write("app.log", numbered(101, 106))
    age(t, "app.log", 300)
    t.write("app.log-20260203.gz", gzip.compress(numbered(200, 250).encode()))
    age(t, "app.log-20260203.gz", 100)
    t.options["once"] = once
    for _ in range(5):
        t.read()
    assert sorted(t.lines) == named(0, 106) + named(200, 250)
    assert t.losses == []
    assert t.start().done() is once


def test_files_that_are_looked_into_do_not_take_the_turn_from_each_other_while_they_wait(make):
    t = make("app.log*")
    t.write("app.log", numbered(0, 100))
    age(t, "app.log", 500)
    for number in (1, 2):
        t.write(f"app.log.{number}.gz", gzip.compress(numbered(number * 9000, number * 9000 + 9000).encode()))
        age(t, f"app.log.{number}.gz", 400 - number)
    source, got = t.start(), []
    t.clock.mono += 1
    for _ in range(100):
        got += source.read(16 * 1024)
    assert {stream.wait for stream in source._follower.streams.values()} == {None}
    lines = [record.data.decode() for chunk in got for record in chunk.records]
    assert sorted(lines) == named(0, 100) + named(9000, 27_000)  # more than a turn each


# -- old files -----------------------------------------------------------------------------------------------------


def age(t, name, seconds):
    """The file was last written so long before the clock's now."""
    os.utime(t.root / name, (t.clock.wall - seconds, t.clock.wall - seconds))


@pytest.mark.parametrize(("name", "compress"), [("a.log", bytes), ("a.gz", gzip.compress)])
def test_a_file_older_than_asked_for_is_listed_and_not_read_until_it_changes(make, name, compress):
    t = make("*", ignore_older=3600.0)
    t.write(name, compress(numbered(0, 5).encode()))
    t.write("young.log", "young\n")
    age(t, name, 4000)
    age(t, "young.log", 100)
    settle(t)
    assert t.lines == ["young"]
    assert [(entry["stream"], os.path.basename(entry["path"]), entry["offset"]) for entry in t.describe()
            if entry["state"] == "ignored"] == [("", name, 0)]  # fmt: skip
    t.write(name, compress(numbered(5, 6).encode()))
    age(t, name, 3900)  # changed, though still old
    settle(t)
    assert t.lines == ["young", *named(0, 6)]
    assert not [entry for entry in t.describe() if entry["state"] == "ignored"]


def test_a_known_stream_goes_on_at_its_place_however_old_its_file_is(make):
    t = make("app.log*", ignore_older=3600.0)
    t.write("app.log", numbered(0, 100))
    age(t, "app.log", 10)
    t.read()
    t.crash()
    t.write("app.log", numbered(100, 150))
    age(t, "app.log", 100_000)
    settle(t)
    assert t.lines == named(0, 150)
    t.crash()
    t.write("app.log", numbered(150, 200))
    age(t, "app.log", 90_000)
    pack(t, "app.log", "app.log.1.gz")
    settle(t)
    assert t.lines == named(0, 200)
    t.crash()
    settle(t)
    assert t.lines == named(0, 200) and t.losses == []


def test_a_time_in_the_future_counts_as_young_and_a_jump_of_the_clock_takes_nothing_away(make):
    t = make("*.log", ignore_older=3600.0)
    t.write("future.log", "one\n")
    age(t, "future.log", -300_000)
    t.read()
    t.clock.wall += 1e7
    t.write("future.log", "two\n")
    age(t, "future.log", 5e6)
    settle(t)
    assert t.lines == ["one", "two"]
    assert [entry["state"] for entry in t.describe()] == ["following"]
