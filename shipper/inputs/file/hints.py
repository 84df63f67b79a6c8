"""Hints from the system that a file may have changed (watchdog, on Linux inotify). Never relied on.

inotify drops events when its queue is full, says nothing on network file systems, of writes through mmap or to the
target of a link, and its watches end with the directory. So a hint only lets the next look happen earlier, and names
the file to look at; what counts is the scan. A handler notes the name and returns.

On a file system that other machines write to as well, or that lives in another program, there are no watches at all:
what the kernel would tell is only the half of it. Nor where a limit of the system stands against it. Such directories
are scanned each interval.

A directory in which more than `BUSY` events a second arrive is not watched for `PAUSE` seconds: events would then cost
more than looking, and a busy file is read without being told.
"""

# ruff: noqa: PTH116 (thousands of names are looked at each second: plain strings)

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from shipper import telemetry

if TYPE_CHECKING:
    import threading
    from collections.abc import Container, Iterable

    from watchdog.observers.api import BaseObserver, ObservedWatch

BUSY: Final = 200.0
PAUSE: Final = 30.0
_MAX_WATCHES: Final = 1024
_EVENTS: Final[list[type[FileSystemEvent]]] = [FileModifiedEvent, FileCreatedEvent, FileMovedEvent, FileDeletedEvent]
_MOUNTS: Final = Path("/proc/self/mountinfo")
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "fuse"})
_OVERFLOW_LOGGER: Final = "watchdog.observers.inotify_c"
_STOP_LOGGER: Final = "watchdog.observers.inotify"


class _Handler(FileSystemEventHandler):
    """The events of one directory."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self.count = 0

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called in watchdog's thread; an exception here would end it."""
        self.count += 1
        if isinstance(event, FileModifiedEvent):
            self._hints.written(os.fsdecode(event.src_path))
        else:
            self._hints.poke()


class _Overflow(logging.Handler):
    """watchdog tells of an overflow of the kernel's queue in its log only."""

    def __init__(self, hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in str(record.msg):
            self._hints.overflows += 1
            self._hints.poke()


def _no_stop_noise(record: logging.LogRecord) -> bool:
    """Drop what watchdog logs as an error when its own stop overtakes its own reader."""
    return "thread is inactive" not in str(record.msg)


class _Watch:
    __slots__ = ("handler", "inode", "watch")

    def __init__(self, inode: tuple[int, int], handler: _Handler, watch: ObservedWatch) -> None:
        self.inode = inode
        self.handler = handler
        self.watch = watch


class Hints:
    """Watches on some directories. `wake` is set at each event, so that the reader need not wait for its turn.

    `whole` is True while every directory is watched: only then the absence of a hint says that looking can wait for the
    next scan. `overflows` counts how often events were lost; `failures` holds the directories that cannot be watched,
    with the cause; `remote` those that are not watched because of their file system. `mounts` is the system's table of
    mounts (proc_pid_mountinfo(5)).
    """

    def __init__(self, wake: threading.Event | None, mounts: Path = _MOUNTS) -> None:
        self._wake = wake
        self._mounts = mounts
        self._told: set[str] = set()
        self._written: dict[str, None] = {}
        self._moved = False
        self._observer: BaseObserver | None = None
        self._watches: dict[str, _Watch] = {}
        self._paused: dict[str, float] = {}
        self._last = 0.0
        self._overflow = _Overflow(self)
        self.whole = False
        self.overflows = 0
        self.failures: dict[str, str] = {}
        self.remote: dict[str, tuple[int, int]] = {}

    def written(self, path: str) -> None:
        """The file at `path` was written to."""
        self._written[path] = None
        if self._wake is not None:
            self._wake.set()

    def poke(self) -> None:
        """Files came, went or were renamed, or nobody knows what happened: a scan tells."""
        self._moved = True
        if self._wake is not None:
            self._wake.set()

    def changed(self) -> list[str]:
        """The files that were written to since this was asked last, each once."""
        paths = []
        while self._written:  # taken one by one: watchdog's thread adds meanwhile
            paths.append(self._written.popitem()[0])
        return paths

    @property
    def moved(self) -> bool:
        """Whether files came, went or were renamed since the last scan began."""
        return self._moved

    def clear(self) -> None:
        """A scan begins: what happened before it is seen by it."""
        self._moved = False
        self._written.clear()

    def update(self, directories: Iterable[str], now: float) -> None:
        """Watch these directories from now on (`now` is monotonic). Never raises: what cannot be watched is scanned."""
        wanted = {path: inode for path in sorted(directories) if (inode := _inode(path)) is not None}
        if self._observer is not None and not self._observer.is_alive():
            self._stop()
        elapsed, self._last = now - self._last, now
        for path, watch in list(self._watches.items()):
            rate = watch.handler.count / elapsed if elapsed > 0 else 0.0
            watch.handler.count = 0
            if wanted.get(path) != watch.inode:  # gone, or another directory by now: its watch is dead
                self._unwatch(path)
            elif rate > BUSY:
                self._unwatch(path)
                self._paused[path] = now + PAUSE
        self._paused = {path: until for path, until in self._paused.items() if until > now}
        self.failures = {}
        self.remote = {path: inode for path, inode in self.remote.items() if wanted.get(path) == inode}
        new = [path for path in wanted if not (path in self._watches or path in self._paused or path in self.remote)]
        devices = remote_devices(_text_of(self._mounts)) if new else frozenset()
        for path in new:
            inode = wanted[path]
            if inode[0] in devices:
                self.remote[path] = inode
            elif len(self._watches) >= _MAX_WATCHES:
                self.failures[path] = f"more than {_MAX_WATCHES} directories"
            else:
                self._watch(path, inode)
        self.whole = bool(wanted) and all(path in self._watches for path in wanted)
        self._tell()

    def _tell(self) -> None:
        """Say once for each cause what is looked at instead of being told."""
        for path, cause in self.failures.items():
            if cause not in self._told:
                self._told.add(cause)
                telemetry.watch_refused(directory=path, cause=cause)
        if self.overflows and _OVERFLOW_LOGGER not in self._told:
            self._told.add(_OVERFLOW_LOGGER)
            telemetry.watch_overflowed()

    def _watch(self, path: str, inode: tuple[int, int]) -> None:
        handler = _Handler(self)
        try:
            if self._observer is None:
                self._start()
            assert self._observer is not None
            watch = self._observer.schedule(handler, path, recursive=False, event_filter=_EVENTS)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone since: the next scan finds out
        except OSError as error:  # a limit of inotify, or no right to read the directory
            self.failures[path] = error.strerror or str(error)
            return
        self._watches[path] = _Watch(inode, handler, watch)

    def _unwatch(self, path: str) -> None:
        watch = self._watches.pop(path)
        if self._observer is not None:
            with contextlib.suppress(KeyError, OSError):  # the watch ended with its directory
                self._observer.unschedule(watch.watch)

    def _start(self) -> None:
        logging.getLogger(_OVERFLOW_LOGGER).addHandler(self._overflow)
        logging.getLogger(_STOP_LOGGER).addFilter(_no_stop_noise)
        observer = Observer()
        observer.start()
        self._observer = observer

    def _stop(self) -> None:
        logging.getLogger(_OVERFLOW_LOGGER).removeHandler(self._overflow)
        self._watches.clear()
        self.whole = False
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(5.0)

    def close(self) -> None:
        """End the threads. May be called twice."""
        self._stop()


def remote_devices(mounts: str) -> Container[int]:
    """The device numbers of file systems of which the kernel cannot tell everything, out of a table of mounts."""
    found = set()
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        fields, kind = mount.split(), source.partition(" ")[0]
        if len(fields) > 2 and (kind in _REMOTE or kind.startswith("fuse.")):
            major, _, minor = fields[2].partition(":")
            if major.isdecimal() and minor.isdecimal():
                found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not Linux, or no /proc: nothing is known to be remote


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
