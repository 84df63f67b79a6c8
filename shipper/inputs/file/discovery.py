"""Which files are there? A scan of the directories is the truth; what inotify says is only a hint to scan.

`paths` are file names and globs: `*`, `?`, `[...]` within a name, `**` for any number of directories. As in a shell, a
wildcard does not match a leading dot. Symbolic links are followed, but `**` does not descend through one. `exclude`
patterns without a slash are matched against the name, others against the whole path.

A file that several names, globs, symbolic or hard links lead to is found once. Directories, pipes, sockets and devices
that a glob matches are passed over; a directory given literally is a configuration error.
"""

# ruff: noqa: PTH100, PTH110, PTH112, PTH114, PTH116, PTH118, PTH119, PTH120 (thousands of names are looked at each second: plain strings)

from __future__ import annotations

import fnmatch
import os
import re
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC: Final = re.compile(r"[*?[]")
_MAX_DEPTH: Final = 64
_QUIET: Final = (FileNotFoundError, NotADirectoryError)


class Found(NamedTuple):
    """One regular file. `path` is the first name that led to it, `names` all of them."""

    path: str
    names: tuple[str, ...]
    dev: int
    ino: int
    size: int
    mtime_ns: int


class Scan(NamedTuple):
    """The result of one scan.

    `files` oldest first (modification time, then name). `directories` are those where files were looked for or found.
    `problems` are (path, cause) of what could not be looked at.
    """

    files: list[Found]
    directories: set[str]
    problems: list[tuple[str, str]]


class Discovery:
    """The files of some paths. Raises `ConfigError` at once for paths that can never name files."""

    def __init__(self, paths: Sequence[str], exclude: Sequence[str] = ()) -> None:
        if not paths:
            raise ConfigError("read files", "paths", "no path is given", "name at least one file or glob")
        self.paths = tuple(os.path.abspath(path) for path in paths)
        for path in self.paths:
            if os.path.isdir(path):
                raise ConfigError("read files", path, "is a directory", f"name the files in it: {path}/*.log")
        self._exclude_names = [item for item in exclude if "/" not in item]
        self._exclude_paths = [os.path.abspath(item).split("/") for item in exclude if "/" in item]

    def missing(self) -> list[str]:
        """The paths without wildcards at which there is nothing now."""
        return [path for path in self.paths if not _MAGIC.search(path) and not os.path.exists(path)]

    def scan(self) -> Scan:
        """Look now. Never raises for what the file system answers."""
        walk = _Walk()
        found: dict[tuple[int, int], tuple[os.stat_result, list[str]]] = {}
        excludes = bool(self._exclude_names or self._exclude_paths)
        for path in self.paths:
            # A name with a bracket in it may be meant literally.
            literal = not _MAGIC.search(path) or os.path.lexists(path)
            for name in walk.literally(path) if literal else walk.expand(path):
                if excludes and self._excluded(name):
                    continue
                status = walk.look(name)
                if status is not None:
                    _, names = found.setdefault((status.st_dev, status.st_ino), (status, []))
                    if name not in names:
                        names.append(name)
            walk.directories.add(os.path.dirname(path) if literal else _literal_prefix(path))
        files = [
            Found(names[0], tuple(names), dev, ino, status.st_size, status.st_mtime_ns)
            for (dev, ino), (status, names) in found.items()
        ]
        files.sort(key=lambda file: (file.mtime_ns, file.path))
        for directory in {file.path.rpartition("/")[0] for file in files}:
            walk.directories.add(os.path.realpath(directory or "/"))
        for file in files:
            if file.path in walk.links:
                # inotify on the directory of a link says nothing about the file that the link leads to.
                walk.directories.add(os.path.dirname(os.path.realpath(file.path)))
        return Scan(files, walk.directories, walk.problems)

    def _excluded(self, path: str) -> bool:
        if self._exclude_names:
            name = os.path.basename(path)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._exclude_names):
                return True
        return any(_path_matches(path.split("/"), parts) for parts in self._exclude_paths)


class _Walk:
    """One pass over the directories; each is listed once. `links` are the names given out that are symbolic links."""

    def __init__(self) -> None:
        self.directories: set[str] = set()
        self.links: set[str] = set()
        self.problems: list[tuple[str, str]] = []
        self._listed: dict[str, list[os.DirEntry[str]]] = {}

    def literally(self, path: str) -> tuple[str]:
        """A path that is no pattern."""
        if os.path.islink(path):
            self.links.add(path)
        return (path,)

    def expand(self, pattern: str) -> Iterator[str]:
        """The names that match, whatever they lead to."""
        start = _literal_prefix(pattern)
        parts = tuple(part for part in pattern[len(start) :].split("/") if part)
        return self._match(start, parts, start.count("/"))

    def look(self, path: str) -> os.stat_result | None:
        """The status of a regular file, else None."""
        try:
            status = os.stat(path)
        except _QUIET:
            return None
        except OSError as error:
            self.problems.append((path, error.strerror or str(error)))
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _match(self, base: str, parts: tuple[str, ...], depth: int) -> Iterator[str]:
        part, rest = parts[0], parts[1:]
        if depth > _MAX_DEPTH:
            return
        if part == "**":
            yield from self._match(base, rest or ("*",), depth)
            for entry in self._list(base):
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield from self._match(entry.path, parts, depth + 1)
        elif not _MAGIC.search(part):
            path = os.path.join(base, part)
            if rest:
                yield from self._match(path, rest, depth)
            elif os.path.lexists(path):
                yield from self.literally(path)
        else:
            hidden, matches = part.startswith("."), re.compile(fnmatch.translate(part)).match
            for entry in self._list(base):
                if matches(entry.name) and (hidden or not entry.name.startswith(".")):
                    if not rest:
                        if entry.is_symlink():
                            self.links.add(entry.path)
                        yield entry.path
                    elif _is_dir(entry):
                        yield from self._match(entry.path, rest, depth + 1)

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        entries = self._listed.get(directory)
        if entries is None:
            entries = []
            try:
                with os.scandir(directory) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
                self.directories.add(directory)
            except _QUIET:
                pass
            except OSError as error:
                self.problems.append((directory, error.strerror or str(error)))
            self._listed[directory] = entries
        return entries


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _literal_prefix(pattern: str) -> str:
    """The deepest directory of `pattern` that has no wildcard in it."""
    directory = pattern
    while _MAGIC.search(directory):
        directory = os.path.dirname(directory)
    return directory


def _path_matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the names of a path match the parts of a glob; here `*` stays within one name."""
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_path_matches(names[start:], parts[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], parts[0]) and _path_matches(names[1:], parts[1:])


ROTATED: Final = re.compile(r"(?:(?:[._-]\d[\dTZ_:-]*|\.old|\.bak|~)+(?:\.(?:gz|zst|xz|bz2))?|\.(?:gz|zst|xz|bz2))$")


def family(path: str) -> str:
    """What the names of one rotated log have in common: `app.log`, `app.log.1` and `app.log-20260203.gz` give one."""
    return ROTATED.sub("", path)
