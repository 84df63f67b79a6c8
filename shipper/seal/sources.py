"""Where the verifier reads documents from: NDJSON files, the embedded store, the journal.

A source gives raw bytes and believes nothing in them. It is read in two passes over the same snapshot: `control()`
gives every document that looks like a control leaf or a checkpoint, `events()` every other one, and each document
comes in exactly one of the two.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from shipper.errors import CorruptError, DiskError, UnavailableError

MAX_LINE: Final = 64_000_000
"""Bytes of one NDJSON line that are read; the largest document of ours is a checkpoint of one batch."""

_LOOKS_LIKE_CONTROL: Final = re.compile(rb'"dataset"\s*:\s*"fieldtrail\.(?:log|checkpoint)"')


class RawDocument(NamedTuple):
    """One stored document. `id`: its `_id` where the source knows one; `place`: where it stands, for people."""

    data: bytes
    id: str | None
    place: str


class Source(Protocol):
    """Documents to verify. `partial`: the source keeps only the newest part of a log by design (the journal).

    `writers`: the types of output that can have written it; what only others leave out or refuse explains nothing here.
    """

    @property
    def name(self) -> str:
        """What it is, for the report."""

    @property
    def partial(self) -> bool:
        """See the class."""

    @property
    def writers(self) -> frozenset[str]:
        """See the class."""

    def control(self) -> Iterator[RawDocument]:
        """First pass: what looks like a control leaf or a checkpoint document, in any order."""

    def events(self) -> Iterator[RawDocument]:
        """Second pass: everything else of the same snapshot, in any order; quickest in the order of `seal.i`."""

    def notices(self) -> Sequence[str]:
        """Warnings, complete after both passes: settings that change what a reader sees, lines that were cut off."""

    def close(self) -> None:
        """Release everything; may be called twice."""


def looks_like_control(data: bytes) -> bool:
    """Whether a document says that it is of dataset `fieldtrail.log` or `fieldtrail.checkpoint`.

    A guess by the bytes: one that is wrong costs time, never truth, since both passes check every leaf.
    """
    return _LOOKS_LIKE_CONTROL.search(data) is not None


class NdjsonSource:
    """Files with one document a line, as a `file` output or `pull` writes them; `.gz` too, and `-` for standard input.

    A file that grows meanwhile is read to the size that it had at the first pass.
    """

    partial = False
    # What a receiver of messages wrote down, and what `pull` copied out of OpenSearch, is NDJSON as well.
    writers = frozenset({"file", "stdout", "http", "syslog", "opensearch"})

    def __init__(self, paths: Sequence[str | Path], stdin: IO[bytes] | None = None) -> None:
        self.name = ", ".join(str(path) for path in paths)
        self._paths = [str(path) for path in paths]
        self._stdin = stdin
        self._spool: IO[bytes] | None = None
        self._limits: dict[str, int] = {}
        self._notices: dict[str, None] = {}

    def control(self) -> Iterator[RawDocument]:
        """First pass."""
        return self._read(wanted=True)

    def events(self) -> Iterator[RawDocument]:
        """Second pass."""
        return self._read(wanted=False)

    def notices(self) -> Sequence[str]:
        """Incomplete last lines."""
        return list(self._notices)

    def close(self) -> None:
        """Drop the copy of standard input."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _read(self, *, wanted: bool) -> Iterator[RawDocument]:
        for path in self._paths:
            try:
                with self._open(path) as file:
                    for number, line in enumerate(_lines(file, self._limits.get(path)), 1):
                        data = line.strip()
                        if not data:
                            continue
                        if not line.endswith(b"\n") and not data.endswith(b"}"):
                            self._notices[f"{path}: the last line is incomplete and was not read"] = None
                            continue
                        if looks_like_control(data) is wanted:
                            yield RawDocument(data, None, f"{path}:{number}")
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise CorruptError("read", path, f"damaged gzip file ({error})", f"gzip -t {path}") from None
            except OSError as error:
                cause = error.strerror or type(error).__name__
                raise UnavailableError("read", path, cause, f"ls -l {path}") from None

    def _open(self, path: str) -> IO[bytes]:
        if path == "-":
            if self._spool is None:
                # Two passes need a copy; NamedTemporaryFile, because each pass opens and closes its own handle.
                self._spool = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed by close()
                stdin = self._stdin or sys.stdin.buffer
                while block := stdin.read(1 << 20):
                    self._spool.write(block)
                self._spool.flush()
            return open(self._spool.name, "rb")  # noqa: PTH123 - the caller's `with` closes it
        if path.endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]
        file = open(path, "rb")  # noqa: PTH123, SIM115 - the caller's `with` closes it
        self._limits.setdefault(path, file.seek(0, 2))
        file.seek(0)
        return file


def _lines(file: IO[bytes], limit: int | None) -> Iterator[bytes]:
    """Lines up to byte `limit`; of one that is longer than `MAX_LINE` only the beginning, which nothing will accept."""
    left = limit if limit is not None else 1 << 62
    while left > 0:
        line = file.readline(min(MAX_LINE, left))
        if not line:
            return
        left -= len(line)
        whole = line
        while len(line) == MAX_LINE and not line.endswith(b"\n") and left > 0:
            line = file.readline(min(MAX_LINE, left))
            left -= len(line)
            whole = whole[:1000] + b"\n"
        yield whole


class StoreSource:
    """The embedded store: one SQLite file, read in one transaction."""

    partial = False
    writers = frozenset({"store"})

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._db: sqlite3.Connection | None = None

    def control(self) -> Iterator[RawDocument]:
        """First pass."""
        return self._select("dataset IN ('fieldtrail.log', 'fieldtrail.checkpoint')")

    def events(self) -> Iterator[RawDocument]:
        """Second pass: `IS NOT TRUE`, so that a row whose dataset somebody set to NULL is not passed over."""
        return self._select("(dataset IN ('fieldtrail.log', 'fieldtrail.checkpoint')) IS NOT TRUE")

    def notices(self) -> Sequence[str]:
        """None: what is searched is copied out of what is checked."""
        return ()

    def close(self) -> None:
        """End the transaction."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _select(self, where: str) -> Iterator[RawDocument]:
        try:
            if self._db is None:
                self._db = self._connect()
            with closing(self._db.execute(f"SELECT id, data FROM documents WHERE {where} ORDER BY rowid")) as rows:  # noqa: S608 - constants
                for ident, data in rows:
                    raw = data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
                    yield RawDocument(raw, str(ident), str(ident))
        except sqlite3.Error as error:
            raise CorruptError("read the store", self.name, str(error), "fieldtrail verify --journal") from None

    def _connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            hint = "fieldtrail run, with an output of type store"
            raise UnavailableError("read the store", self.name, "no such file", hint)
        # Not mode=ro: the first reader after a crash must be allowed to recover the WAL.
        db = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            db.execute("PRAGMA query_only = ON")
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with the first read
        except BaseException:
            db.close()
            raise
        return db


class JournalSource:
    """The agent's own journal folder; it holds the newest part of the log only, beside a running agent too."""

    partial = True
    writers: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder
        self._last: int | None = None
        self._notices: dict[str, None] = {}

    def control(self) -> Iterator[RawDocument]:
        """First pass; it fixes the last frame that counts."""
        last = -1
        for seq, raw in self._frames():
            last = max(last, seq)
            if raw is not None and looks_like_control(raw.data):
                yield raw
        self._last = last

    def events(self) -> Iterator[RawDocument]:
        """Second pass, to the frame where the first one ended."""
        for seq, raw in self._frames():
            if self._last is not None and seq > self._last:
                return
            if raw is not None and not looks_like_control(raw.data):
                yield raw

    def notices(self) -> Sequence[str]:
        """Damaged parts of the journal."""
        return list(self._notices)

    def close(self) -> None:
        """Nothing is held open."""

    def _frames(self) -> Iterator[tuple[int, RawDocument | None]]:
        # Imported here: an auditor's machine has no journal, and this is the one part of the writer that is needed.
        from shipper.fs import RealFs  # noqa: PLC0415
        from shipper.journal.format import Frame  # noqa: PLC0415
        from shipper.journal.recovery import iterate  # noqa: PLC0415

        if not self._folder.is_dir():
            raise UnavailableError("read the journal", self.name, "no such folder", "fieldtrail verify --store")
        try:
            for item in iterate(self._folder, RealFs(), 0):
                if not isinstance(item, Frame):
                    self._notices[f"{item.path}: {item.frames} frames at offset {item.offset} cannot be read"] = None
                    continue
                yield item.seq, None
                for n, data in enumerate(item.documents):
                    yield item.seq, RawDocument(data, None, f"frame {item.seq}, document {n}")
        except OSError as error:
            raise DiskError(
                "read the journal", self.name, error.strerror or str(error), "fieldtrail journal check"
            ) from None
