"""The output of type `file`: shipped documents, one a line (NDJSON), in journal order, control documents included.

Files: `<path>` is being written; `<path>.000001`, `<path>.000002` … are closed ones, the lowest number the oldest, so
`fieldtrail verify --ndjson <path>.0* <path>` reads them in order. A closed file may be compressed to `.gz`. A file is
closed when it reaches `rotate.max_bytes` (checked between cursors, so it may be larger by what arrives in a second),
when it is not ours, or when the disk could not sync it.

State for the cursor: `{"dev", "ino", "length", "path"}`. After a crash the file may be longer than its cursor. What
lies beyond is compared with what the journal delivers again: equal bytes are passed over, a torn end is cut off, so
nothing stands twice and nothing is missing. Only where the bytes beyond hold other sealed documents (a state folder
that was restored from a backup) the file is closed as it is and a new one begun: an archive destroys nothing. For the
same reason the cutting waits for the first delivery, after `highest()` was asked.

Somebody else's rename (logrotate) can come between the last cursor and a crash. Then what follows the cursor stands in
the renamed file, which is looked for by its inode beside the archive, and goes on in the file at `path`. Both are read
only: documents that the journal delivers again are passed over where they stand there already, and the file at `path`
is ours if it begins with a document that follows. Until that is settled the cursor's state stays what it was. A file
that was moved to another folder or compressed in that second is not found: what it held stands twice if there is no
new file yet.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipper.errors import ConfigError, DiskError
from shipper.fs import Fs, RealFs, write_all
from shipper.model import Batch, Document, Receipt, payloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shipper.output_sections import FileOutputSection

_SEAL = re.compile(rb'"seal":\{"i":(\d{1,16}),"log":"([0-9a-f]{16})","n":"[A-Za-z0-9_-]{22}"\}\}$')
_BLOCK = 1 << 16
_HEAD = 16 * 1024 * 1024
"""More than a document can have, bytes."""
_FARTHEST = 256 * 1024 * 1024
"""How far back `highest` looks, bytes."""


class FileOutput:
    """One archive file. `section.path`'s folder must exist. Used by one thread at a time."""

    def __init__(self, section: FileOutputSection, fs: Fs | None = None) -> None:
        self.id = section.id
        self.path = Path(section.path).absolute()
        self._rotate_at = section.rotate.max_bytes if section.rotate else None
        self._keep = section.rotate.keep if section.rotate else 0
        self._fs = fs or RealFs()
        self._handle: int | None = None
        self._who = (0, 0)
        self._length = 0
        """Where the next document goes; what lies beyond in the file was never acknowledged."""
        self._synced = -1
        self._durable = 0
        """How much of the file is on the disk for certain: what the cursor may claim."""
        self._broken = ""
        self._opened = False
        self._before: dict[str, Any] | None = None
        """The stored state while it is not settled whether what is at `path` follows it."""
        self._moved: int | None = None
        """The file of the stored state under its new name, open for reading."""

    def open(self, stored: Mapping[str, Any]) -> None:
        """Find the file that `stored` speaks of, or begin one. Raises ConfigError, DiskError."""
        self.close()
        self._broken = ""
        self._refuse_what_is_no_file()
        try:
            self._resume(stored)
        except OSError as error:
            raise self._disk_error("open archive", error) from None
        self._opened = True

    def _refuse_what_is_no_file(self) -> None:
        if self.path.is_dir():
            raise ConfigError(
                "open archive", str(self.path), "is a directory", f"outputs: path: {self.path}/events.ndjson"
            )
        if not self.path.parent.is_dir():
            raise ConfigError("open archive", str(self.path), "no such folder", f"mkdir -p {self.path.parent}")
        if self.path.exists() and not self.path.is_file():
            raise ConfigError("open archive", str(self.path), "not a regular file", "use an output of type stdout")

    def _resume(self, stored: Mapping[str, Any]) -> None:
        who, length = (stored.get("dev"), stored.get("ino")), stored.get("length")
        try:
            info = self.path.stat()
        except FileNotFoundError:
            self._begin()
            if isinstance(length, int):
                self._unsettled(stored, who, length)
            return
        if isinstance(length, int) and who == (info.st_dev, info.st_ino) and info.st_size >= length:
            self._adopt(length)
        elif isinstance(length, int) and self._was_just_closed(who, length):
            self._adopt(0)  # all of the new file came after the cursor
        elif isinstance(length, int) and who != (info.st_dev, info.st_ino):
            self._adopt(0)
            self._unsettled(stored, who, length)
        elif info.st_size == 0:
            self._adopt(0)
        else:
            self._set_aside()
            self._begin()

    def _was_just_closed(self, who: tuple[Any, Any], length: int) -> bool:
        closed = self._closed()
        if not closed:
            return False
        info = closed[-1].stat()
        return who == (info.st_dev, info.st_ino) and info.st_size == length

    def _unsettled(self, stored: Mapping[str, Any], who: tuple[Any, Any], length: int) -> None:
        """Somebody has put another file in the place of the cursor's: the next deliveries tell what it is."""
        self._before = dict(stored)
        closed = self._closed()  # one of ours is closed at a cursor, or put away since it could not be synced
        for name in self._fs.listdir(self.path.parent):
            path = self.path.parent / name
            with suppress(FileNotFoundError):
                info = path.lstat()
                is_it = who == (info.st_dev, info.st_ino) and stat.S_ISREG(info.st_mode) and path not in closed
                if is_it and info.st_size > length:
                    self._moved = self._fs.open_read(path)
                    return

    def _not_archived(self, documents: Sequence[Document]) -> Sequence[Document]:
        """Those of `documents` that do not stand in the renamed file, nor before the ones at `path`."""
        if self._before is not None and self._moved is not None:
            documents = self._after_the_moved(documents)
        if self._before is None or not documents:
            return documents
        head = self._fs.pread(self._open_handle(), _HEAD, 0)
        first, whole, _ = head.partition(b"\n")
        for place, document in enumerate(documents):
            # What begins with one of them was begun by us, after everything before it was written and synced.
            if document.data == first or (not whole and document.data.startswith(head)):
                self._settled()
                return documents[place:]
        if whole and self._all_come_before_the_file(documents):
            return ()
        self._settled()
        self._set_aside()
        self._begin()
        return documents

    def _after_the_moved(self, documents: Sequence[Document]) -> Sequence[Document]:
        before, moved = self._before, self._moved
        if before is None or moved is None:
            return documents
        data = _lines(documents)
        same = _same_lines(self._fs.pread(moved, len(data), before["length"]), data)
        try:
            self._fs.fdatasync(moved)
        except OSError:
            same = b""  # rather twice than not durable
        before["length"] += len(same)
        if len(same) == len(data):
            return ()
        self._fs.close(moved)
        self._moved = None
        return documents[same.count(b"\n") :]

    def _all_come_before_the_file(self, documents: Sequence[Document]) -> bool:
        """Whether the file at `path` begins with a later document of the log that these are of."""
        with self.path.open("rb") as file:
            for line in file:
                found = _SEAL.search(line.rstrip(b"\n"))
                if found is not None:
                    return all(
                        one.id.startswith(found[2].decode() + "-") and one.index < int(found[1]) for one in documents
                    )
        return False

    def _settled(self) -> None:
        self._before = None
        if self._moved is not None:
            moved, self._moved = self._moved, None
            self._fs.close(moved)

    def _adopt(self, length: int) -> None:
        self._handle = self._fs.open_write(self.path)
        info = os.fstat(self._handle)
        self._who, self._length, self._synced = (info.st_dev, info.st_ino), length, -1
        self._durable = length

    def _begin(self) -> None:
        self._fs.close(self._fs.open_new(self.path))
        self._fs.fsync_dir(self.path.parent)
        self._adopt(0)

    def _closed(self) -> list[Path]:
        """The closed files, oldest first."""
        pattern = re.compile(re.escape(self.path.name) + r"\.(\d{6,})(\.gz)?")
        found = [
            (int(match[1]), name)
            for name in self._fs.listdir(self.path.parent)
            if (match := pattern.fullmatch(name)) is not None
        ]
        return [self.path.parent / name for _, name in sorted(found)]

    def _set_aside(self) -> Path:
        """Close the file at `path` under the next number; the folder is synced by whoever begins the next file."""
        closed = self._closed()
        last = int(closed[-1].name[len(self.path.name) + 1 :].removesuffix(".gz")) if closed else 0
        target = self.path.with_name(f"{self.path.name}.{last + 1:06d}")
        self._release()
        self._fs.replace(self.path, target)
        return target

    def _rotate(self) -> None:
        self._set_aside()
        self._begin()
        for old in self._closed()[: -self._keep] if self._keep else ():
            self._fs.unlink(old)

    def _follow(self) -> None:
        """Begin a new file if somebody has renamed or removed ours; what was written is synced first."""
        try:
            info = self.path.stat()
            if (info.st_dev, info.st_ino) == self._who:
                return
        except FileNotFoundError:
            info = None
        self.flush()
        self._release()
        if info is not None and info.st_size == 0 and stat.S_ISREG(info.st_mode):
            self._adopt(0)
            return
        if info is not None:
            self._set_aside()
        self._begin()

    def highest(self, log: str) -> int | None:
        """The highest leaf index of `log` in the file, or else in the closed ones; -1 for none in the last 256 MiB."""
        left = _FARTHEST
        wanted = log.encode()
        try:
            for path in [self.path, *(p for p in reversed(self._closed()) if p.suffix != ".gz")]:
                with suppress(FileNotFoundError):
                    handle = self._fs.open_read(path)
                    try:
                        size = os.fstat(handle).st_size
                        for line in _lines_backwards(self._fs, handle, size, max(0, size - left)):
                            found = _SEAL.search(line)
                            if found is not None and found[2] == wanted:
                                return int(found[1])
                        left -= size
                    finally:
                        self._fs.close(handle)
                if left <= 0:
                    break
        except OSError as error:
            raise self._disk_error("read archive", error) from None
        return -1

    def deliver(self, batch: Batch) -> Receipt:
        """Append the batch; on any error of the disk nothing of it counts as written."""
        if self._broken or self._handle is None:
            return Receipt(0, retry=batch.documents, error=f"archive {self.path}: {self._broken or 'not open'}")
        try:
            documents = self._not_archived(batch.documents)
            if not documents:
                return Receipt(len(batch.documents))
            data = _lines(documents)
            self._follow()
            if self._rotate_at is not None and self._length >= self._rotate_at and self._synced == self._length:
                self._rotate()
            self._append(data)
        except (OSError, DiskError) as error:
            return Receipt(0, retry=batch.documents, error=f"archive {self.path}: {_said(error)}")
        return Receipt(len(batch.documents))

    def _append(self, data: bytes) -> None:
        handle = self._open_handle()
        if os.fstat(handle).st_size > self._length:
            same = _same_lines(self._fs.pread(handle, len(data), self._length), data)
            self._length += len(same)
            data = data[len(same) :]
            if not data:
                return
            have = self._fs.pread(handle, len(data), self._length)
            if not data.startswith(have) and self._holds_documents_beyond():
                self.flush()
                self._set_aside()
                self._begin()
                handle = self._open_handle()
            else:
                self._fs.truncate(handle, self._length)
        try:
            write_all(self._fs, handle, data, self._length)
        except OSError:
            with suppress(OSError):  # readers should not see half a line; if this fails too, the next try cuts it off
                self._fs.truncate(handle, self._length)
            raise
        self._length += len(data)

    def _holds_documents_beyond(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(self._length)
            return any(_SEAL.search(line.rstrip(b"\n")) for line in file)

    def _open_handle(self) -> int:
        if self._handle is None:
            raise OSError(9, "not open")
        return self._handle

    def flush(self) -> Mapping[str, Any]:
        """Sync the file and return its state. After a failed sync the file is closed for good: raises DiskError."""
        if self._broken:
            raise DiskError("sync archive", str(self.path), self._broken, "fieldtrail run, when the disk is well again")
        if self._handle is None:
            if self._opened:
                raise DiskError(
                    "sync archive", str(self.path), "the next file could not be begun", f"df -h {self.path.parent}"
                )
            return {}
        if self._before is not None:
            return dict(self._before)
        if self._synced != self._length:
            try:
                self._fs.fdatasync(self._handle)
            except OSError as error:
                # The kernel drops what it could not write and reports success the next time; so this file is never
                # synced again, and put away, so that a restart does not take cached pages for durable ones.
                self._broken = f"the disk could not sync: {_said(error)}"
                with suppress(OSError):
                    # What it may have lost is delivered again into the next file, so that nothing stands twice.
                    if os.fstat(self._handle).st_size == self._length:
                        self._fs.truncate(self._handle, self._durable)
                with suppress(OSError):
                    self._set_aside()
                    self._fs.fsync_dir(self.path.parent)
                raise self._disk_error("sync archive", error) from None
            self._synced = self._durable = self._length
        return {"dev": self._who[0], "ino": self._who[1], "length": self._length, "path": str(self.path)}

    @property
    def unsure(self) -> bool:
        """After a sync that failed: what came since the last `flush` may be lost, and only `open` goes on.

        The same where one file was closed and the next could not be begun (a full disk).
        """
        return bool(self._broken) or (self._opened and self._handle is None)

    def cursor(self) -> int | None:
        """None: the cursor file holds it."""
        return None

    def _release(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._fs.close(handle)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._opened = False
        self._release()
        self._settled()

    def _disk_error(self, op: str, error: OSError) -> DiskError:
        return DiskError(op, str(self.path), _said(error), f"df -h {self.path.parent}; ls -ld {self.path.parent}")


def _lines(documents: Sequence[Document]) -> bytes:
    return b"\n".join([*payloads(documents), b""])


def _same_lines(have: bytes, data: bytes) -> bytes:
    """The whole lines with which both begin."""
    if have == data:
        return data
    pairs = zip(have.splitlines(keepends=True), data.splitlines(keepends=True), strict=False)
    return b"".join(mine for mine, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _lines_backwards(fs: Fs, handle: int, end: int, begin: int) -> Iterator[bytes]:
    """The complete lines between two offsets, last first, without their newlines; a torn last line is left out."""
    rest: bytes | None = None  # the beginning of the line that starts in an earlier block; None before the last newline
    while end > begin:
        start = max(begin, end - _BLOCK)
        block = fs.pread(handle, end - start, start)
        end = start
        first, *lines = block.split(b"\n")
        if not lines:
            rest = None if rest is None else first + rest
            continue
        if rest is not None:
            yield lines[-1] + rest
        yield from reversed(lines[:-1])
        rest = first
    if rest is not None:
        yield rest
