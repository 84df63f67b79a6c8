"""The file system as a part that is handed in; the only place that syncs and renames.

Everything durable that Fieldtrail writes itself (journal segments, cursors, keys) goes through an `Fs`, so that the
journal can be tested on a simulated disk that loses what was not synced. All methods raise `OSError` with its errno,
as the operating system gives it; the callers translate it where they know what was being done. Files are made with
mode 0600, folders with 0700.

Rules that hold for every user of this module: a failed `fsync` or `fdatasync` is never repeated on the same handle
(Linux marks the pages clean, so that a second call would report success for bytes that are gone); a new or renamed
file is durable only after `fsync_dir` on its folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Protocol

from shipper.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "darwin":
    import fcntl


class Fs(Protocol):
    """The operations that durable state needs. Handles are small integers; offsets and lengths are bytes."""

    def open_new(self, path: Path) -> int:
        """Create for reading and writing; `FileExistsError` if the name is taken."""

    def open_read(self, path: Path) -> int:
        """Open an existing file for reading."""

    def open_write(self, path: Path) -> int:
        """Open an existing file for reading and writing."""

    def close(self, handle: int) -> None:
        """Give the handle back."""

    def pread(self, handle: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""

    def pwrite(self, handle: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; returns how many bytes were taken, which may be fewer than given."""

    def truncate(self, handle: int, length: int) -> None:
        """Set the file's length."""

    def fdatasync(self, handle: int) -> None:
        """Make the file's bytes and its length durable."""

    def fsync(self, handle: int) -> None:
        """Make the file durable with all its metadata."""

    def fsync_dir(self, path: Path) -> None:
        """Make the folder's names durable."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename atomically over `target`; durable only after `fsync_dir`."""

    def unlink(self, path: Path) -> None:
        """Remove a name; `FileNotFoundError` if there is none."""

    def mkdir(self, path: Path) -> None:
        """Make one folder; `FileExistsError` if the name is taken."""

    def listdir(self, path: Path) -> list[str]:
        """The names of the regular files in a folder, in no order; folders and links in it are not listed."""

    def size(self, path: Path) -> int:
        """The file's length."""


class RealFs:
    """The operating system's files. Holds no state, so one instance may serve all threads."""

    def open_new(self, path: Path) -> int:
        """Create for reading and writing; `FileExistsError` if the name is taken."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open_read(self, path: Path) -> int:
        """Open an existing file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_write(self, path: Path) -> int:
        """Open an existing file for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, handle: int) -> None:
        """Give the handle back."""
        os.close(handle)

    def pread(self, handle: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        data = os.pread(handle, length, offset)
        if len(data) == length or not data:
            return data
        parts, have = [data], len(data)
        while have < length and (more := os.pread(handle, length - have, offset + have)):
            parts.append(more)
            have += len(more)
        return b"".join(parts)

    def pwrite(self, handle: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; returns how many bytes were taken, which may be fewer than given."""
        return os.pwrite(handle, data, offset)

    def truncate(self, handle: int, length: int) -> None:
        """Set the file's length."""
        os.ftruncate(handle, length)

    def fdatasync(self, handle: int) -> None:
        """Make the file's bytes and its length durable."""
        if sys.platform == "darwin":
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)  # fsync there does not reach the platter
        else:
            os.fdatasync(handle)

    def fsync(self, handle: int) -> None:
        """Make the file durable with all its metadata."""
        if sys.platform == "darwin":
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle)

    def fsync_dir(self, path: Path) -> None:
        """Make the folder's names durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename atomically over `target`; durable only after `fsync_dir`."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a name; `FileNotFoundError` if there is none."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Make one folder; `FileExistsError` if the name is taken."""
        path.mkdir(mode=0o700)

    def listdir(self, path: Path) -> list[str]:
        """The names of the regular files in a folder, in no order; folders and links in it are not listed."""
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    def size(self, path: Path) -> int:
        """The file's length."""
        info = path.stat()
        return info.st_size if stat.S_ISREG(info.st_mode) else 0


def write_all(fs: Fs, handle: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, looping over short writes; `OSError` as soon as the disk takes no more."""
    done = fs.pwrite(handle, data, offset)
    if done == len(data):
        return
    rest = memoryview(data)
    while done < len(data):
        taken = fs.pwrite(handle, rest[done:], offset + done)
        if taken <= 0:
            raise OSError(5, "the disk took no bytes and gave no reason")
        done += taken


def ensure_dir(path: Path, fs: Fs | None = None) -> None:
    """Make a folder and the missing ones above it (mode 0700), each durable before it is used.

    Raises `DiskError`.
    """
    fs = fs or RealFs()
    missing = [path]
    while True:
        try:
            fs.mkdir(missing[-1])
        except FileExistsError:
            pass
        except FileNotFoundError:
            missing.append(missing[-1].parent)
            continue
        except OSError as error:
            raise _disk_error("make folder", missing[-1], error) from error
        else:
            try:
                fs.fsync_dir(missing[-1].parent)
            except OSError as error:
                raise _disk_error("make folder", missing[-1], error) from error
        missing.pop()
        if not missing:
            return


def replace_sync(path: Path, data: bytes, fs: Fs | None = None) -> None:
    """Replace a small file's content so that after any crash it is the old or the new one, whole.

    Writes `<name>.tmp` beside it, syncs it, renames it over the file and syncs the folder. One writer per path.
    Raises `DiskError`; the old content is then still there, unless only the last step (syncing the folder) failed:
    then either may be found after a power cut.
    """
    fs = fs or RealFs()
    temporary = path.with_name(path.name + ".tmp")
    try:
        try:
            handle = fs.open_new(temporary)
        except FileExistsError:  # left by a crash between creation and rename
            fs.unlink(temporary)
            handle = fs.open_new(temporary)
        try:
            write_all(fs, handle, data, 0)
            fs.fsync(handle)
        finally:
            fs.close(handle)
        fs.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fs.unlink(temporary)
        raise _disk_error("replace file", path, error) from error
    try:
        fs.fsync_dir(path.parent)
    except OSError as error:
        raise _disk_error("replace file", path, error) from error


def _disk_error(op: str, path: Path, error: OSError) -> DiskError:
    return DiskError(op, str(path), error.strerror or str(error), f"df -h {path.parent}; ls -ld {path.parent}")
