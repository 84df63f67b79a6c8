"""The open files of one input: a cap on descriptors, failures with their next attempt, and looks at neighbours."""

# ruff: noqa: PTH116, PTH119, PTH120 (thousands of names are looked at each second: plain strings)

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.inputs.file.discovery import family
from shipper.inputs.file.identity import Position, identify
from shipper.inputs.file.reader import Stream, open_file

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_FIRST_DELAY: Final = 1.0
_LAST_DELAY: Final = 60.0
_MAX_REPORTED: Final = 1000


class Problem(NamedTuple):
    """A file or directory that cannot be read now; it is tried again."""

    path: str
    cause: str


class Failure(NamedTuple):
    """Why a path cannot be read, the monotonic time of the next attempt, and the delay before it."""

    cause: str
    again: float
    delay: float


class Handles:
    """Descriptors by stream, least recently used first; at most `most` of files that can be opened again."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Not a dict: that is slow to take its first item out of again and again.
        self.open: OrderedDict[str, Stream] = OrderedDict()
        self.failing: dict[str, Failure] = {}

    def enter(self, stream: Stream) -> None:
        """`stream` has an open descriptor and was used just now."""
        self.open.pop(stream.id, None)
        self.open[stream.id] = stream

    def leave(self, stream: Stream) -> None:
        """`stream` is no longer to be counted; its descriptor stays as it is."""
        if self.open.get(stream.id) is stream:
            del self.open[stream.id]

    def make_room(self) -> None:
        """Close files that can be opened again by their name until one more fits."""
        while len(self.open) >= self._most:
            stream = next((stream for stream in self.open.values() if stream.linked), None)
            if stream is None:
                return  # deleted files can only be read as long as they are open
            del self.open[stream.id]
            stream.forget_window()
            stream.close()

    def ensure(self, stream: Stream, now: float) -> bool:
        """Open the file of `stream` if it is not open; False when that does not work now."""
        if stream.fd >= 0:
            self.enter(stream)
            return True
        if stream.retry is not None and now < stream.retry:
            return False
        return self.reopen(stream, stream.path, now) is True

    def reopen(self, stream: Stream, path: str, now: float) -> bool | None:
        """Open `path` for `stream`: True, or False if its inode is another file by now, or None: not to be told now."""
        self.make_room()
        try:
            fd = open_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.fail(stream, error, now)
            return None
        same = False
        try:
            file = identify(fd)
            if (file.dev, file.ino) != (stream.file.dev, stream.file.ino):
                return None  # renamed since: the next scan finds out
            same = file.btime == stream.file.btime
        except OSError as error:
            self.fail(stream, error, now)
            return None
        finally:
            if not same:
                os.close(fd)
        if same:
            stream.fd = fd
            self.enter(stream)
        return same

    def fail(self, stream: Stream, error: OSError, now: float) -> None:
        """Reading failed: close the file, try again later."""
        stream.close()
        self.leave(stream)
        stream.retry = self.note(stream.path, error, now)

    def note(self, path: str, error: OSError, now: float) -> float:
        """Remember that `path` cannot be read; returns the time of the next attempt."""
        before = self.failing.get(path)
        delay = _FIRST_DELAY if before is None else min(_LAST_DELAY, before.delay * 2)
        self.failing[path] = Failure(error.strerror or str(error), now + delay, delay)
        return now + delay

    def works(self, stream: Stream) -> None:
        """Reading worked (again)."""
        if stream.retry is not None:
            stream.retry = None
            self.failing.pop(stream.path, None)

    def waits(self, path: str, now: float) -> bool:
        """Whether `path` failed and its next attempt has not come."""
        failure = self.failing.get(path)
        return failure is not None and now < failure.again

    def problems(self, more: list[tuple[str, str]]) -> list[Problem]:
        """What cannot be read now, by path, at most 1,000 entries."""
        found = dict(more)
        found.update((path, failure.cause) for path, failure in self.failing.items())
        return [Problem(path, cause) for path, cause in sorted(found.items())[:_MAX_REPORTED]]


def neighbours(path: str, known: Container[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files in the directory of `path` whose (device, inode) is not `known`.

    Where `path` is a link, also those beside the file that it leads to now: containers' logs are named by links, and a
    restarted container's file stands beside the one before it.
    """
    for folder in dict.fromkeys((os.path.dirname(path), os.path.dirname(os.path.realpath(path)))):
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        if (status.st_dev, status.st_ino) not in known:
                            yield entry.path, status
        except OSError:
            continue


def renamed_beside(path: str, position: Position, known: Container[tuple[int, int]]) -> str | None:
    """Where the file of `position`, last at `path`, may be if it was only renamed within its directory."""
    for name, status in neighbours(path, known):
        if status.st_ino == position.file.ino and status.st_size >= position.offset:
            return name
    return None


def copied_beside(path: str, position: Position, known: Container[tuple[int, int]]) -> str | None:
    """A file in the directory of `path`, named after it, in which the stream of `position` goes on."""
    stem = os.path.basename(family(path))
    for name, status in neighbours(path, known):
        if os.path.basename(name).startswith(stem) and status.st_size >= position.offset:
            try:
                fd = open_file(name)
            except OSError:
                continue
            try:
                if position.continues_in(fd, status.st_size):
                    return name
            except OSError:
                continue
            finally:
                os.close(fd)
    return None


def perhaps_unmounted(position: Position) -> bool:
    """Whether the place of a file is now on another file system, or cannot be looked at: it may come back."""
    directory = os.path.dirname(position.path)
    while True:
        try:
            os.scandir(directory).close()
            return os.stat(directory).st_dev != position.file.dev
        except (FileNotFoundError, NotADirectoryError):
            if directory in {"/", ""}:
                return False
            directory = os.path.dirname(directory)
        except OSError:
            return True
