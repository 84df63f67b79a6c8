"""The real file system behind the journal and the cursors."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shipper.errors import DiskError
from shipper.fs import RealFs, ensure_dir, replace_sync, write_all
from tests.model.simfs import Fault, SimFs

TARGET = Path("/state/cursor")


def disk() -> SimFs:
    fs = SimFs()
    fs.mkdir(Path("/state"))
    return fs


def test_files_and_folders_are_private(tmp_path):
    ensure_dir(tmp_path / "a" / "b")
    replace_sync(tmp_path / "a" / "b" / "cursor", b"7")
    assert (tmp_path / "a" / "b" / "cursor").read_bytes() == b"7"
    assert (tmp_path / "a" / "b" / "cursor").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert RealFs().listdir(tmp_path / "a" / "b") == ["cursor"]


def test_folders_that_are_there_are_left_alone(tmp_path):
    ensure_dir(tmp_path)
    ensure_dir(tmp_path / "x")
    ensure_dir(tmp_path / "x")
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        ensure_dir(tmp_path / "file" / "below")


def test_a_leftover_temporary_file_does_not_stop_a_replacement(tmp_path):
    (tmp_path / "cursor.tmp").write_bytes(b"torn")
    replace_sync(tmp_path / "cursor", b"8")
    assert (tmp_path / "cursor").read_bytes() == b"8"


def test_a_replacement_in_a_missing_folder_names_the_place(tmp_path):
    with pytest.raises(DiskError) as caught:
        replace_sync(tmp_path / "gone" / "cursor", b"8")
    assert caught.value.place == str(tmp_path / "gone" / "cursor")
    assert caught.value.hint


@pytest.mark.parametrize("op", ["open_new", "pwrite", "fsync", "replace"])
@pytest.mark.parametrize("seed", range(5))
def test_a_failed_replacement_leaves_the_old_content_through_a_power_cut(op, seed):
    fs = disk()
    replace_sync(TARGET, b"old", fs)
    fs.faults.append(Fault(op, 0, errno.EIO))
    with pytest.raises(DiskError):
        replace_sync(TARGET, b"new", fs)
    fs.power_cut(seed)
    assert fs.content(TARGET) == b"old"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("op", ["pwrite", "fsync", "replace", "fsync_dir"])
def test_a_power_cut_during_a_replacement_leaves_the_old_or_the_new_content(op, seed):
    fs = disk()
    replace_sync(TARGET, b"old", fs)
    fs.faults.append(Fault(op, 0, errno.EIO))
    with pytest.raises(DiskError):
        replace_sync(TARGET, b"n" * 200, fs)
    fs.power_cut(seed)
    assert fs.content(TARGET) in {b"old", b"n" * 200}


@pytest.mark.parametrize("seed", range(5))
def test_a_finished_replacement_survives_a_power_cut(seed):
    fs = disk()
    replace_sync(TARGET, b"old", fs)
    replace_sync(TARGET, b"new", fs)
    fs.power_cut(seed)
    assert fs.content(TARGET) == b"new"
    assert fs.handles == {}


def test_short_writes_are_continued_and_a_disk_that_takes_nothing_is_an_error():
    fs = disk()
    handle = fs.open_new(TARGET)
    fs.short = [1, 3]
    write_all(fs, handle, b"0123456789", 0)
    assert fs.content(TARGET) == b"0123456789"
    fs.short = [2, 0]
    with pytest.raises(OSError, match="took no bytes"):
        write_all(fs, handle, b"0123456789", 10)


def test_the_real_operations_do_what_their_names_say(tmp_path):
    fs, path = RealFs(), tmp_path / "f"
    handle = fs.open_new(path)
    with pytest.raises(FileExistsError):
        fs.open_new(path)
    assert fs.pwrite(handle, b"abcdef", 2) == 6
    fs.fdatasync(handle)
    fs.fsync(handle)
    assert fs.pread(handle, 100, 0) == b"\0\0abcdef"
    fs.truncate(handle, 4)
    assert fs.size(path) == 4
    fs.close(handle)
    handle = fs.open_write(path)
    fs.pwrite(handle, b"X", 0)
    fs.close(handle)
    handle = fs.open_read(path)
    assert fs.pread(handle, 4, 0) == b"X\0ab"
    with pytest.raises(OSError, match="Bad file descriptor"):
        fs.pwrite(handle, b"no", 0)
    fs.close(handle)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(path)
    assert fs.listdir(tmp_path) == ["f"]
    fs.replace(path, tmp_path / "g")
    fs.fsync_dir(tmp_path)
    fs.unlink(tmp_path / "g")
    assert fs.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        fs.unlink(tmp_path / "g")
