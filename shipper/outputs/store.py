"""The embedded store: shipped documents in one SQLite file, `store.db` (0600), and the search over it.

Table `documents`, one row per document in order of arrival (`n`):

    id       TEXT UNIQUE   `_id`: `<log>-<leaf index, 14 hex digits>` or `<log>-c<size, 14 hex digits>`
    log, i   TEXT, INTEGER the log's short id and the leaf index (-1 for a checkpoint document)
    ts       INTEGER       `@timestamp` in microseconds since the epoch, NULL if it cannot be read
    data     BLOB          the shipped bytes, untouched: they alone are what `verify` looks at
    …                      the fields that people search for most, copied out of `data` (`_query.COLUMNS`)

An index over every (path, value) pair would be several times the documents' size, so only time, record and user name
are indexed. SQLite narrows by the extracted columns, by time and by the bytes of exact values; a predicate on the
parsed document decides, while the search streams from the newest document backwards.

Durability: WAL with `synchronous=NORMAL`. The cursor (`cursor.next`) is written in the transaction that writes the
documents, so a power cut that takes the last transactions takes the cursor back with them, and the journal, which is
durable, delivers again. `flush()` syncs the WAL, after which nothing can be taken back: only then may the journal
delete.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from shipper.errors import ConfigError, CorruptError, DiskError, UnavailableError, UsageError
from shipper.model import CONTROL_DATASETS, Batch, Document, Event, Receipt
from shipper.outputs._query import COLUMNS, LOOK_INSIDE, Param, Query, compile_query
from shipper.outputs._when import instant, parse_when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

APPLICATION_ID = 0x46546C73
"""`FTls` in the file's header, so that no other program's database is taken for a store."""
VERSION = 1

_EXTRACTED = tuple((column, tuple(path.split("."))) for path, column in COLUMNS.items() if column != "dataset")
_NAMES = ("id", "log", "i", "dataset", "ts", "data", *(column for column, _ in _EXTRACTED))
_SCHEMA = f"""
CREATE TABLE documents(
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, log TEXT NOT NULL, i INTEGER NOT NULL, dataset TEXT NOT NULL,
  ts INTEGER, data BLOB NOT NULL, {", ".join(f"{column} TEXT" for column, _ in _EXTRACTED)});
CREATE INDEX documents_ts ON documents(ts);
CREATE INDEX documents_object ON documents(object_key, ts);
CREATE INDEX documents_object_id ON documents(object_id, ts);
CREATE INDEX documents_user ON documents(user_name, ts);
CREATE TABLE cursor(only INTEGER PRIMARY KEY CHECK (only = 1), next INTEGER NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
_PLACES = ", ".join("?" * len(_NAMES))
_INSERT = f"INSERT OR IGNORE INTO documents({', '.join(_NAMES)}) VALUES ({_PLACES})"  # noqa: S608 - our own names
_CURSOR = "INSERT INTO cursor(only, next) VALUES (1, ?) ON CONFLICT(only) DO UPDATE SET next = excluded.next"
_CHUNK = 256


class StoreOutput:
    """The output of type `store`. `path`: the database file; its folder must exist. Used by one thread at a time."""

    def __init__(self, id: str, path: Path) -> None:  # noqa: A002 - the name that the Output protocol gives it
        self.id = id
        self.path = path
        self._db: sqlite3.Connection | None = None

    def open(self, stored: Mapping[str, Any]) -> None:
        """Open or create the database; `stored` is not used. Raises ConfigError, CorruptError, DiskError."""
        del stored
        self.close()
        if not self.path.parent.is_dir():
            raise ConfigError("open store", str(self.path), "no such folder", f"mkdir -p -m 700 {self.path.parent}")
        try:
            # SQLite gives its -wal and -shm files the permissions of the database file.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DiskError("open store", str(self.path), error.strerror or str(error), f"ls -l {self.path}") from None
        db = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            _check(db, self.path, new_is_fine=True)
            # Larger pages and a cache that holds the indexes' inner pages take a third off the cost of an insert.
            db.execute("PRAGMA page_size = 8192")
            db.execute("PRAGMA cache_size = -16384")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA wal_autocheckpoint = 2000")
            db.execute("PRAGMA synchronous = NORMAL")
            if not _tables(db):
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            db.close()
            raise _broken("open store", self.path, error) from None
        except BaseException:
            db.close()
            raise
        self._db = db

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise UnavailableError("use store", str(self.path), "not open", "call open() first")
        return self._db

    def highest(self, log: str) -> int | None:
        """The highest leaf index held of `log`, -1 for none."""
        # A leaf index is below 2^53, so its 14 hex digits begin with 0, 1 or 2 and sort before a checkpoint's `c`.
        query = "SELECT max(id) FROM documents WHERE id >= ? AND id < ?"
        try:
            (found,) = self._opened().execute(query, (f"{log}-", f"{log}-c")).fetchone()
        except sqlite3.Error as error:
            raise _broken("read store", self.path, error) from None
        return -1 if found is None else int(found.rpartition("-")[2], 16)

    def deliver(self, batch: Batch) -> Receipt:
        """Write the batch and the cursor in one transaction. A repeated `_id` with other bytes is a fork."""
        documents = batch.documents
        try:
            db = self._opened()
            db.execute("BEGIN IMMEDIATE")
            try:
                before = db.total_changes
                db.executemany(_INSERT, (_row(batch.log, document) for document in documents))
                complete = db.total_changes - before == len(documents)
                fork = [] if complete else [document for document in documents if _differs(db, document)]
                db.execute(_CURSOR, (batch.seq + 1,))
                db.execute("COMMIT")
            except BaseException:
                # After some errors (a full disk) SQLite has rolled back by itself.
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            return Receipt(0, retry=documents, error=f"store {self.path}: {error}")
        return Receipt(len(documents) - len(fork), fork=tuple(fork))

    def flush(self) -> Mapping[str, Any]:
        """Sync the WAL: what was delivered can no longer be lost. The cursor is in the database, so the state is {}."""
        wal = Path(f"{self.path}-wal")
        try:
            # SQLite's locks lie on the database and -shm files; opening and closing the WAL releases none of them.
            handle = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DiskError("sync store", str(wal), error.strerror or str(error), "df -h") from None
        try:
            os.fdatasync(handle)
        except OSError as error:
            raise DiskError("sync store", str(wal), error.strerror or str(error), "dmesg | tail") from None
        finally:
            os.close(handle)
        return {}

    def cursor(self) -> int | None:
        """The next `seq` to deliver, by the store's own account; None before anything was delivered."""
        try:
            row = self._opened().execute("SELECT next FROM cursor").fetchone()
        except sqlite3.Error as error:
            raise _broken("read store", self.path, error) from None
        return None if row is None else int(row[0])

    def close(self) -> None:
        """Close the database; may be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None


class Stored(NamedTuple):
    """A stored document as `verify --store` reads it: the row's own words, and the bytes."""

    id: str
    log: str
    i: int
    dataset: str
    data: bytes


def stored(path: Path) -> Iterator[Stored]:
    """Every document in order of arrival, control and checkpoint documents included."""
    with closing(_reading(path)) as db:
        try:
            for row in db.execute("SELECT id, log, i, dataset, data FROM documents ORDER BY n"):
                yield Stored(*row)
        except sqlite3.Error as error:
            raise _broken("read store", path, error) from None


def search(
    path: Path,
    query: str,
    *,
    now: float,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    control: bool = False,
) -> Iterator[Event]:
    """The events that `query` finds, newest first, each with its `seal`; `limit` None = all.

    `now`: seconds since the epoch, for date math. `since` is inclusive; `until` includes all of what it names (a day
    to its end). Control documents are hidden unless `control`. Raises `UsageError` before anything is read.
    """
    if limit is not None and limit < 0:
        raise UsageError("search", str(limit), "the limit is negative", "--limit 100")
    compiled = compile_query(query, now)
    conditions: list[str] = []
    params: list[Param] = []
    if since is not None:
        conditions.append("ts >= ?")
        params.append(parse_when(since, now, "--since").lo)
    if until is not None:
        conditions.append("ts < ?")
        params.append(parse_when(until, now, "--until").hi)
    if not control:
        conditions.append(f"dataset NOT IN ({', '.join('?' * len(CONTROL_DATASETS))})")
        params += sorted(CONTROL_DATASETS)
    return _found(path, compiled, conditions, params, limit)


def _found(
    path: Path, query: Query, conditions: Sequence[str], params: Sequence[Param], limit: int | None
) -> Iterator[Event]:
    where = " AND ".join([*conditions, f"({query.where})"] if query.where else conditions) or "1"
    # Only row numbers go through SQLite's sorter; the documents are fetched one by one while the caller reads on.
    numbers = f"SELECT n FROM documents WHERE {where} ORDER BY ts DESC, n DESC"  # noqa: S608 - values are bound
    left = limit
    with closing(_reading(path)) as db:
        try:
            db.execute("BEGIN")  # one view of the store, whatever the agent writes meanwhile
            rows = db.execute(numbers, (*params, *query.params))
            while chunk := rows.fetchmany(_CHUNK):
                for number in chunk:
                    if left == 0:
                        return
                    (data,) = db.execute("SELECT data FROM documents WHERE n = ?", number).fetchone()
                    event = orjson.loads(data)
                    if query.matches(event):
                        yield event
                        left = None if left is None else left - 1
        except sqlite3.Error as error:
            raise _broken("search store", path, error) from None
        except orjson.JSONDecodeError as error:
            raise CorruptError(
                "search store", str(path), f"a document is not JSON: {error}", "fieldtrail verify --store"
            ) from None


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    if not path.is_file():
        raise UnavailableError("open store", str(path), "no such file", "fieldtrail run, with an output of type store")
    try:
        # Not mode=ro: the first reader after a crash must be allowed to recover the WAL.
        db = sqlite3.connect(path, timeout=5, isolation_level=None)
        try:
            db.execute("PRAGMA query_only = ON")
            _check(db, path, new_is_fine=False)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise _broken("open store", path, error) from None
    return db


def _tables(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _check(db: sqlite3.Connection, path: Path, *, new_is_fine: bool) -> None:
    if not _tables(db):
        if new_is_fine:
            return
        raise UnavailableError("open store", str(path), "nothing was ever stored here", "fieldtrail status")
    found = int(db.execute("PRAGMA application_id").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found != APPLICATION_ID:
        raise ConfigError("open store", str(path), "a database of another program", "choose another state_dir")
    if version != VERSION:
        cause = f"store version {version}, this program reads version {VERSION}"
        raise ConfigError("open store", str(path), cause, "fieldtrail version")


def _broken(op: str, path: Path, error: sqlite3.Error) -> CorruptError | DiskError:
    text = str(error)
    if "malformed" in text or "not a database" in text:
        return CorruptError(op, str(path), text, f"move {path} away: the journal refills a new one from its segments")
    return DiskError(op, str(path), text, f"df -h {path.parent}; ls -l {path}*")


def _row(log: str, document: Document) -> tuple[Any, ...]:
    event = orjson.loads(document.data)
    stamp = event.get("@timestamp")
    when = instant(stamp) if isinstance(stamp, str) else None
    extracted = [_text(event, path) for _, path in _EXTRACTED]
    return (document.id, log, document.index, document.dataset, when, document.data, *extracted)


def _text(event: Event, path: Sequence[str]) -> str | None:
    value: Any = event
    for name in path:
        if not isinstance(value, dict):
            return LOOK_INSIDE  # a list of objects on the way
        value = value.get(name)
        if value is None:
            return None
    return value if isinstance(value, str) else LOOK_INSIDE


def _differs(db: sqlite3.Connection, document: Document) -> bool:
    (data,) = db.execute("SELECT data FROM documents WHERE id = ?", (document.id,)).fetchone()
    return bool(data != document.data)
