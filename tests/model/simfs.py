"""A disk in memory that loses what was not synced, for testing durable state.

Two worlds: what programs see (the page cache and the folder's names as the running system has them) and what is on the
disk. `kill` ends the process and keeps the first; `power_cut` goes back to the second, after some of what was pending
has reached it: any subset of the sectors of any write, in pieces of `SECTOR` bytes, and any subset of the renames,
creations and deletions.

A failed sync behaves as on Linux: the pages stay readable and are clean from then on, so a second sync reports success
for bytes that never reach the disk. Bytes that are written again are dirty again.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR = 32
"""Small, so that small test frames are torn too."""


@dataclass
class Inode:
    """A file: what programs see, what is on disk, and the operations between the two."""

    view: bytearray = field(default_factory=bytearray)
    disk: bytearray = field(default_factory=bytearray)
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)

    def settle(self, rng: Random) -> None:
        """Some of what is pending reaches the disk."""
        keep = rng.choice((0.0, 0.5, 0.9, 1.0))
        for kind, at, data in self.pending:
            if kind == "truncate":
                if rng.random() < keep:
                    self.disk = resized(self.disk, at)
                continue
            for start in range(0, len(data), SECTOR):
                if rng.random() < keep:
                    put(self.disk, at + start, data[start : start + SECTOR])
        self.pending.clear()


class ProcessDied(BaseException):
    """The program ends here: no clean-up of its own reaches the disk."""


@dataclass
class Fault:
    """After `skip` calls of `op` the next ones fail with this errno, `times` times in a row; code 0: the process dies."""

    op: str
    skip: int
    code: int
    times: int = 1


class SimFs:
    """Implements `shipper.fs.Fs` for one flat set of folders."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = Random(seed)
        self.names: dict[Path, Inode] = {}
        self.disk_names: dict[Path, Inode] = {}
        self.pending_names: list[tuple[Path, tuple[tuple[Path, Inode | None], ...]]] = []
        self.folders: set[Path] = {Path("/")}
        self.handles: dict[int, Inode] = {}
        self.faults: list[Fault] = []
        self.short: list[int] = []
        self.space: int | None = None
        self.dead = False
        self.calls: list[str] = []
        self._next = 100

    # -- what tests do to it

    def kill(self) -> None:
        """The process dies: handles go, the page cache stays."""
        self.dead = False
        self.handles.clear()
        self.calm()

    def power_cut(self, seed: int) -> None:
        """The machine dies: only what reached the disk is left."""
        self.rng.seed(seed)
        self.kill()
        self._settle_names(None)
        for inode in {id(inode): inode for inode in (*self.names.values(), *self.disk_names.values())}.values():
            inode.settle(self.rng)
            inode.view = bytearray(inode.disk)
        self.names = dict(self.disk_names)

    def calm(self) -> None:
        """No more faults."""
        self.faults.clear()
        self.short.clear()
        self.space = None

    def clone(self) -> SimFs:
        """The same disk once more, without open handles."""
        copies: dict[int, Inode] = {}

        def copy(inode: Inode) -> Inode:
            if id(inode) not in copies:
                copies[id(inode)] = Inode(bytearray(inode.view), bytearray(inode.disk), list(inode.pending))
            return copies[id(inode)]

        other = SimFs()
        other.folders = set(self.folders)
        other.names = {path: copy(inode) for path, inode in self.names.items()}
        other.disk_names = {path: copy(inode) for path, inode in self.disk_names.items()}
        other.pending_names = [
            (folder, tuple((path, inode and copy(inode)) for path, inode in changes))
            for folder, changes in self.pending_names
        ]
        return other

    def content(self, path: Path) -> bytes:
        """What programs see."""
        return bytes(self.names[path].view)

    def set_content(self, path: Path, data: bytes) -> None:
        """Put bytes there, on the disk too."""
        self.names[path] = self.disk_names[path] = Inode(bytearray(data), bytearray(data))

    # -- the operations

    def open_new(self, path: Path) -> int:
        self._enter("open_new", path)
        if path in self.names:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._rename(path.parent, (path, Inode()))
        return self._handle(path)

    def open_read(self, path: Path) -> int:
        self._enter("open_read", path)
        return self._handle(path)

    def open_write(self, path: Path) -> int:
        self._enter("open_write", path)
        return self._handle(path)

    def close(self, handle: int) -> None:
        self._enter("close")
        del self.handles[handle]

    def pread(self, handle: int, length: int, offset: int) -> bytes:
        self._enter("pread")
        return bytes(self.handles[handle].view[offset : offset + length])

    def pwrite(self, handle: int, data: bytes | memoryview, offset: int) -> int:
        self._enter("pwrite")
        inode = self.handles[handle]
        taken = bytes(data)
        if self.short:
            taken = taken[: self.short.pop(0)]
        if self.space is not None:
            growth = offset + len(taken) - len(inode.view)
            if growth > self.space:
                taken = taken[: max(0, len(taken) - (growth - self.space))]
                if not taken:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.space -= max(0, offset + len(taken) - len(inode.view))
        put(inode.view, offset, taken)
        inode.pending.append(("write", offset, taken))
        return len(taken)

    def truncate(self, handle: int, length: int) -> None:
        self._enter("truncate")
        inode = self.handles[handle]
        if self.space is not None:
            self.space += max(0, len(inode.view) - length)
        inode.view = resized(inode.view, length)
        inode.pending.append(("truncate", length, b""))

    def fdatasync(self, handle: int) -> None:
        self._sync("fdatasync", handle)

    def fsync(self, handle: int) -> None:
        self._sync("fsync", handle)

    def fsync_dir(self, path: Path) -> None:
        try:
            self._enter("fsync_dir", path)
        except OSError:
            self._settle_names(path)
            raise
        if any(folder == path for folder, _ in self.pending_names):
            # A dirty folder is written whole, with what an earlier failed sync had left out.
            self.pending_names = [change for change in self.pending_names if change[0] != path]
            self.disk_names = {name: inode for name, inode in self.disk_names.items() if name.parent != path}
            self.disk_names |= {name: inode for name, inode in self.names.items() if name.parent == path}

    def replace(self, source: Path, target: Path) -> None:
        self._enter("replace", source)
        if source not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(source))
        self._rename(target.parent, (target, self.names[source]), (source, None))

    def unlink(self, path: Path) -> None:
        self._enter("unlink", path)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        self._rename(path.parent, (path, None))

    def mkdir(self, path: Path) -> None:
        self._enter("mkdir", path)
        if path in self.folders:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        if path.parent not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))
        self.folders.add(path)

    def listdir(self, path: Path) -> list[str]:
        self._enter("listdir", path)
        if path not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such folder", str(path))
        return [name.name for name in self.names if name.parent == path]

    def size(self, path: Path) -> int:
        self._enter("size", path)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return len(self.names[path].view)

    # -- inside

    def _enter(self, op: str, path: Path | None = None) -> None:
        if self.dead:
            raise ProcessDied
        self.calls.append(op)
        for fault in self.faults:
            if fault.op == op:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                if fault.code == 0:
                    self.dead = True
                    raise ProcessDied
                raise OSError(fault.code, os.strerror(fault.code), str(path or ""))

    def _handle(self, path: Path) -> int:
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        self._next += 1
        self.handles[self._next] = self.names[path]
        return self._next

    def _sync(self, op: str, handle: int) -> None:
        inode = self.handles[handle]
        try:
            self._enter(op)
        except OSError:
            inode.settle(self.rng)
            raise
        for kind, at, data in inode.pending:
            if kind == "truncate":
                inode.disk = resized(inode.disk, at)
            else:
                put(inode.disk, at, data)
        inode.pending.clear()

    def _rename(self, folder: Path, *changes: tuple[Path, Inode | None]) -> None:
        self.pending_names.append((folder, changes))
        for path, inode in changes:
            set_name(self.names, path, inode)

    def _settle_names(self, folder: Path | None) -> None:
        """Some of the pending name changes (each whole) reach the disk."""
        keep = self.rng.choice((0.0, 0.5, 1.0))
        left = []
        for change in self.pending_names:
            if folder is not None and change[0] != folder:
                left.append(change)
            elif self.rng.random() < keep:
                for path, inode in change[1]:
                    set_name(self.disk_names, path, inode)
        self.pending_names = left


def put(target: bytearray, offset: int, data: bytes) -> None:
    """Write into a byte array, with zeros in the hole before."""
    if offset > len(target):
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


def resized(target: bytearray, length: int) -> bytearray:
    """The same bytes, cut or filled with zeros."""
    return target[:length] + bytes(max(0, length - len(target)))


def set_name(names: dict[Path, Inode], path: Path, inode: Inode | None) -> None:
    """Set or take away."""
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode


class SetClock:
    """A clock that tests set."""

    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
