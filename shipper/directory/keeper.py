"""Keeps the directory fresh: a thread reads the lists, joins them and writes the cache, from which every process reads.

The cache is one file in the state folder, replaced as a whole; beside it lies what each list said last, and when. While
a list cannot be read, what it said before stays, over a restart too.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from shipper import telemetry
from shipper.directory import fetch, standing, table
from shipper.directory.people import Label, Person, UnreadableError, labels_of_csv, of_csv
from shipper.directory.sections import (
    CsvDirectorySection,
    DirectorySection,
    LabelListSection,
    LabelsDirectorySection,
    VendorDirectorySection,
)
from shipper.enrich import Tables
from shipper.errors import ConfigError, FieldtrailError
from shipper.fs import ensure_dir, replace_sync
from shipper.model import Health

_MOST_TOLD: Final = 300
"""Characters of a problem, which is logged and sealed."""
_LOOK: Final = 1.0
"""Seconds between two looks at the cache."""
_NOTED: Final = 60.0
"""Seconds between two notes of when a list was read."""
_FIRST_RETRY: Final = 30.0
"""Seconds after which a list that could not be had is asked for again, doubled up to its `refresh`."""


def cache_path(state_dir: Path) -> Path:
    """Where the cache lies."""
    return state_dir / "directory" / "table.json"


def standing_path(state_dir: Path) -> Path:
    """Where it lies how fresh each list is."""
    return state_dir / "directory" / "standing.json"


class View:
    """The tables of one process. `look` and `reports` are called now and then by the thread that uses them."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._monotonic = path, monotonic
        self._tables = Tables()
        self._seen: tuple[int, int] | None = None
        self._next = self._next_report = 0.0
        self._teller = standing.Teller()

    def tables(self) -> Tables:
        """Their present state."""
        return self._tables

    def look(self) -> None:
        """Take a new state if there is one; costs next to nothing if it is called often."""
        now = self._monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK
        try:
            found = self._path.stat()
            seen = found.st_mtime_ns, found.st_ino
            if seen != self._seen:
                self._tables = table.decode(self._path.read_bytes())
                self._seen = seen
        except (OSError, ValueError):
            return  # there is none yet, or it is no cache: what was read before stays

    def reports(self, now: float) -> list[tuple[str, Health]]:
        """(list, what is to be told of it) of those that cannot be read. `now`: seconds since the epoch."""
        monotonic = self._monotonic()
        if monotonic < self._next_report:
            return []
        self._next_report = monotonic + _LOOK
        try:
            standings = standing.decode(self._path.with_name("standing.json").read_bytes())
        except (OSError, ValueError):
            return []
        return self._teller.take(standings, now, monotonic)


class _Source:
    """One list: what it said last, and when it is read again."""

    def __init__(self, section: DirectorySection, state_dir: Path) -> None:
        self.section = section
        self.people: list[Person] = []
        self.labels: list[Label] = []
        self.due = 0.0
        self.retry = _FIRST_RETRY
        self.problem = ""
        self.read_at: float | None = None
        """Seconds since the epoch; None if never."""
        self.stamp: tuple[int, int] | None = None
        self._cache = cache_path(state_dir).with_name(f"list-{section.id}.json")
        self._asks = _asks(section)
        with contextlib.suppress(OSError, ValueError, TypeError):
            asked, people, labels = orjson.loads(self._cache.read_bytes())
            if asked == self._asks:
                self.people = [Person(*row)._replace(accounts=tuple(row[1])) for row in people]
                self.labels = [Label(*row) for row in labels]
                with contextlib.suppress(OSError, ValueError, KeyError):
                    self.read_at = standing.decode(standing_path(state_dir).read_bytes())[section.id].read

    @property
    def known(self) -> bool:
        """Whether there is anything of it, now or of an earlier run."""
        return bool(self.people or self.labels)

    def read(self) -> bool:
        """Read the list; whether it says something else than before. Raises `ValueError` and `OSError`."""
        section, stamp = self.section, None
        if section.path is not None:
            stat = section.path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp == self.stamp:
                return False
        before = self.people, self.labels
        found = listed(section)
        if self.known and not (found[0] or found[1]):
            raise UnreadableError(f"an empty list; before it named {len(self.people or self.labels)}")
        self.people, self.labels = found
        self.stamp = stamp
        if (self.people, self.labels) == before:
            return False
        with contextlib.suppress(FieldtrailError):  # a disk that refuses is told of by those who need it more
            # Kept, so that the directory is whole at the next start, whether the list can be read then or not.
            kept = [[list(one) for one in self.people], [list(one) for one in self.labels]]
            replace_sync(self._cache, orjson.dumps([self._asks, *kept]))
        return True


class Directory:
    """All lists. `start` reads the files at once and the rest in a thread; `close` ends it. `key`: of the version."""

    def __init__(
        self,
        sections: Sequence[DirectorySection],
        state_dir: Path,
        key: bytes,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sources = [_Source(section, state_dir) for section in sections]
        self._path, self._key, self._monotonic, self._now = cache_path(state_dir), key, monotonic, now
        self._standing = standing_path(state_dir)
        self._noted: dict[str, standing.Standing] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._disputed: tuple[str, ...] = ()
        self._written = b""
        self._changed = True
        """Whether a list says something else than the cache does."""

    def start(self) -> None:
        """Read what lies on this machine, so that the first event knows it; then refresh in a thread.

        Raises `ConfigError` for a file that cannot be used and never could: then it is the configuration that is wrong.
        """
        ensure_dir(self._path.parent)
        local = [source for source in self._sources if source.section.path is not None]
        self._read(local)
        bad = [(source.section.id, source.problem) for source in local if source.problem and not source.known]
        if bad:
            raise ConfigError(
                "read directory", bad[0][0], bad[0][1], "fieldtrail validate",
                tuple((f"directory {name}", problem) for name, problem in bad),
            )  # fmt: skip
        self._note()
        self._write()
        self._thread = threading.Thread(target=self._run, name="directory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; may be called twice. One that waits for a vendor is left to its deadline."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def refresh(self) -> bool:
        """Read what is due; whether the table is another one now."""
        now = self._monotonic()
        self._changed |= self._read([source for source in self._sources if now >= source.due])
        if self._ending.is_set():  # by now another configuration's directory may be at work
            return False
        self._note()
        return self._changed and self._write()

    def problems(self) -> Mapping[str, str]:
        """Lists that could not be read, and why."""
        return {source.section.id: source.problem for source in self._sources if source.problem}

    def _run(self) -> None:
        while not self._ending.is_set():
            self.refresh()
            now = self._monotonic()
            self._ending.wait(max(0.2, min((source.due for source in self._sources), default=now + 60) - now))

    def _read(self, sources: Sequence[_Source]) -> bool:
        changed = False
        for source in sources:
            if self._ending.is_set():
                return False
            section = source.section
            try:
                changed = source.read() or changed
            except Exception as error:  # noqa: BLE001 - an odd list must not keep the others from being read
                problem = _told(error)
                if problem != source.problem:
                    telemetry.directory_unread(source=section.id, cause=problem)
                source.problem = problem
                source.due = self._monotonic() + min(source.retry, section.refresh)
                source.retry = min(source.retry * 2, section.refresh)
            else:
                source.problem, source.retry, source.read_at = "", _FIRST_RETRY, self._now()
                source.due = self._monotonic() + section.refresh
        return changed

    def _note(self) -> None:
        """How fresh each list is, where that is worth a note."""
        now = {
            one.section.id: standing.Standing(one.read_at, one.section.refresh, one.problem) for one in self._sources
        }
        if self._noted.keys() == now.keys() and not any(
            one.problem != self._noted[name].problem or (one.read or 0.0) - (self._noted[name].read or 0.0) >= _NOTED
            for name, one in now.items()
        ):
            return
        with contextlib.suppress(FieldtrailError):  # as above
            replace_sync(self._standing, standing.encode(now))
            self._noted = now

    def _write(self) -> bool:
        joined = table.join([one.people for one in self._sources], [one.labels for one in self._sources])
        if joined.disputed and joined.disputed != self._disputed:
            telemetry.directory_disputed(count=len(joined.disputed), example=joined.disputed[0])
        self._disputed = joined.disputed
        data = table.encode(joined, self._key)
        if data == self._written:
            self._changed = False
            return False
        try:
            replace_sync(self._path, data)
        except FieldtrailError as error:
            telemetry.directory_unread(source=str(self._path), cause=error.cause)
            return False
        self._written, self._changed = data, False
        telemetry.directory_read(
            version=table.decode(data).version, people=len(joined.people), labels=len(joined.labels)
        )
        return True


def listed(section: DirectorySection) -> tuple[list[Person], list[Label]]:
    """What a list says now. Raises `ValueError`, `OSError` and `FieldtrailError`."""
    if section.path is None:
        assert isinstance(section, VendorDirectorySection)
        return _asked(section)
    size = section.path.stat().st_size
    if size > fetch.MOST_BYTES:
        raise UnreadableError(f"{size} bytes; {fetch.MOST_BYTES} are the most")
    data = section.path.read_bytes()
    if isinstance(section, CsvDirectorySection):
        return of_csv(data, section.columns, separator=section.separator, module=section.module), []
    if isinstance(section, LabelsDirectorySection):
        return [], labels_of_csv(data, separator=section.separator)
    if isinstance(section, LabelListSection):
        return [], fetch.labels_in_file(section, data)
    return fetch.OF_VENDOR[section.type](fetch.objects(data)), []


def unreadable(sections: Sequence[DirectorySection]) -> list[tuple[str, str]]:
    """(place in the configuration, cause) of files that cannot be read or are no such list: for `validate`."""
    found = []
    for index, section in enumerate(sections):
        name = "path" if section.path is not None else "token_file"
        try:
            if section.path is not None:
                listed(section)
            elif (token := getattr(section, "token_file", None)) is not None:
                token.read_bytes()
        except (ValueError, OSError, FieldtrailError) as error:
            found.append((f"directory[{index}].{name}", f"{getattr(section, name)}: {_told(error)}"))
    return found


def _asks(section: DirectorySection) -> str:
    """Names what a section asks for: what was kept for another one is of no use to it."""
    how = section.model_dump_json(exclude={"refresh", "token", "token_file", "timeout", "tls"})
    return blake2b(how.encode(), digest_size=16).hexdigest()


def _told(error: Exception) -> str:
    if isinstance(error, ValueError | OSError | FieldtrailError):
        return str(getattr(error, "strerror", None) or error)[:_MOST_TOLD]
    return f"internal error: {type(error).__name__}"  # not its text, which may be a person's


def _asked(section: VendorDirectorySection) -> tuple[list[Person], list[Label]]:
    """What a vendor's API says now."""
    kind = str(getattr(section, "type"))  # noqa: B009 - each of the kinds has one, their base has none
    if section.token is not None:
        token = section.token.get_secret_value()
    else:
        assert section.token_file is not None
        token = section.token_file.read_text(encoding="utf-8").strip()
    ask, close = fetch.asking(section)
    try:
        if isinstance(section, LabelListSection):
            return [], fetch.fetched_labels(section, token, ask)
        return fetch.fetched(kind, section.url or "", token, ask), []
    finally:
        close()


def probe(section: DirectorySection) -> tuple[bool, str]:
    """Whether a list can be read now, and how many it names, or why not: for `validate --connect`."""
    try:
        people, labels = listed(section)
    except (ValueError, OSError, FieldtrailError) as error:
        return False, _told(error)
    what = "labels" if isinstance(section, LabelsDirectorySection | LabelListSection) else "people"
    return True, f"{len(labels or people)} {what}"


@contextlib.contextmanager
def directory_kept(sections: Sequence[DirectorySection], state_dir: Path, key: bytes) -> Iterator[None]:
    """Keep the directory fresh meanwhile. Raises as `Directory.start`."""
    with contextlib.closing(Directory(sections, state_dir, key)) as kept:
        kept.start()
        yield
