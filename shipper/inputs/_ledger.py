"""What an input must remember beyond a position, exactly as far as the journal is: one SQLite file per input.

A position stands in the journal's frame with its records. What is too large for it (ids of deliveries, snapshots, long
cursors) stands here. Each chunk that an input gives out has a number `n` (1, 2, 3 and so on, over all its streams),
which stands in its position too. What belongs to chunk n is written under n and is durable before the chunk is given
out. So after any crash the journal says how far it came, `open(path, n)` takes back everything of later chunks, and the
former versions are there again: nothing is forgotten of what was kept, and nothing remembered of what was not.

    deliveries(at, id, n)         16 bytes of BLAKE2b of each id; n = 0: of no chunk
    items(kind, key, n, blob)     every version that may still be needed; blob NULL: deleted; n = 0: of no chunk

Durability: WAL with `synchronous=FULL`: a transaction is synced when it returns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from shipper.errors import ConfigError, CorruptError, DiskError, FieldtrailError
from shipper.fs import RealFs, ensure_dir

APPLICATION_ID: Final = 0x46546C65
"""`FTle` in the file's header, so that no other program's database is taken for a ledger."""
VERSION: Final = 1
MOST_PRUNED: Final = 20_000
"""Deliveries that one call forgets at most, so that nobody waits for it for long."""
_CACHE: Final = 8192
"""KiB of pages that are held in memory."""
_WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which the WAL is cut back after it was written into the database."""
_ID: Final = 16

_SCHEMA = f"""
CREATE TABLE deliveries(number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE items(kind TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, blob BLOB,
  PRIMARY KEY(kind, key, n)) WITHOUT ROWID;
CREATE INDEX items_n ON items(n) WHERE n > 0;
CREATE INDEX items_deleted ON items(n) WHERE blob IS NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
# A delivery that comes again belongs to the chunk that it came with first, or to none if it was ever of none.
_NOTE = """
INSERT INTO deliveries(id, n, at) VALUES (?, ?, ?)
  ON CONFLICT(id) DO UPDATE SET n = min(n, excluded.n), at = max(at, excluded.at)
"""
# Numbers below 0 are of ids that are never forgotten: what prunes begins behind them.
_NOTE_FOR_EVER = """
INSERT INTO deliveries(number, id, n, at)
  VALUES (coalesce((SELECT min(number) FROM deliveries WHERE number < 0), 0) - 1, ?, ?, ?)
  ON CONFLICT(id) DO UPDATE SET n = min(n, excluded.n), at = max(at, excluded.at)
"""
_FOR_EVER: Final = 1e18
_CLAIM = "INSERT INTO deliveries(id, n, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_KNOWN = "SELECT n FROM deliveries WHERE id = ?"
_PUT = "INSERT INTO items(kind, key, n, blob) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET blob = excluded.blob"
_GET = "SELECT blob FROM items WHERE kind = ? AND key = ? ORDER BY n DESC LIMIT 1"
_SCAN = """
SELECT key, blob FROM items AS one WHERE kind = ? AND blob IS NOT NULL
  AND n = (SELECT max(n) FROM items WHERE kind = one.kind AND key = one.key) AND key > ? ORDER BY key LIMIT ?
"""
# Of the versions that are settled only the newest can still be asked for.
_FORMER = """
DELETE FROM items WHERE kind = ?1 AND key = ?2
  AND n < (SELECT max(n) FROM items WHERE kind = ?1 AND key = ?2 AND n <= ?3)
"""
_DELETED = """
SELECT kind, key, n FROM items AS one WHERE blob IS NULL AND n <= ?1
  AND n = (SELECT max(n) FROM items WHERE kind = one.kind AND key = one.key)
"""
_SCANNED: Final = 500


class Transaction:
    """What is written together, under one number. Between `begin` (or `outside`) and its end only."""

    __slots__ = ("_db", "_ledger", "discarded", "n")

    def __init__(self, ledger: Ledger, db: sqlite3.Connection, n: int) -> None:
        self._ledger, self._db = ledger, db
        self.n = n
        """The chunk's number, 0 for none."""
        self.discarded = False

    def discard(self) -> None:
        """At its end nothing of it is to stay."""
        self.discarded = True

    def note_delivery(self, delivery: str, when: float | None) -> None:
        """Remember a delivery's id. `when`: s since the epoch, by which it is forgotten again; None: it never is."""
        note, at = (_NOTE_FOR_EVER, _FOR_EVER) if when is None else (_NOTE, when)
        self._db.execute(note, (_digest(delivery), self.n, at))

    def claim(self, delivery: str, when: float) -> int | None:
        """Remember a delivery's id unless it is known; then the number of its chunk, as `delivery` gives it."""
        digest = _digest(delivery)
        if self._db.execute(_CLAIM, (digest, self.n, when)).rowcount:
            return None
        return int(self._db.execute(_KNOWN, (digest,)).fetchone()[0])

    def put(self, kind: str, key: str, blob: bytes) -> None:
        """Write a version of an item."""
        self._write(kind, key, blob)

    def delete(self, kind: str, key: str) -> None:
        """Write that an item is no more."""
        self._write(kind, key, None)

    def has_delivery(self, delivery: str) -> bool:
        """As `Ledger.has_delivery`, what this transaction noted included."""
        return self._ledger.has_delivery(delivery)

    def delivery(self, delivery: str) -> int | None:
        """As `Ledger.delivery`."""
        return self._ledger.delivery(delivery)

    def get(self, kind: str, key: str) -> bytes | None:
        """As `Ledger.get`, what this transaction wrote included."""
        return self._ledger.get(kind, key)

    def scan(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """As `Ledger.scan`."""
        return self._ledger.scan(kind)

    def _write(self, kind: str, key: str, blob: bytes | None) -> None:
        db = self._db
        if self.n:
            db.execute(_PUT, (kind, key, self.n, blob))
            db.execute(_FORMER, (kind, key, self._ledger.settled))
            return
        # Of no chunk: it stands from now on, whatever is taken back.
        db.execute("DELETE FROM items WHERE kind = ? AND key = ?", (kind, key))
        if blob is not None:
            db.execute(_PUT, (kind, key, 0, blob))


class Ledger:
    """The memory of one input. Threads may share it: one transaction at a time, readers wait for its end."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path = path
        self.settled = 0
        """The highest number that is known to be kept."""
        self._db: sqlite3.Connection | None = db
        self._lock = threading.RLock()
        self._swept = 0

    @classmethod
    def open(cls, path: Path, restored_n: int) -> Ledger:
        """The ledger at `path`, made if it is not there, without what belongs to chunks after `restored_n`.

        `restored_n`: the highest number in the positions that came back at the start, 0 for none. Raises `ConfigError`
        for another program's file or one of a later version, `CorruptError`, `DiskError`.
        """
        ensure_dir(path.parent)
        try:
            # SQLite gives its -wal and -shm files the permissions of the database file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            RealFs().fsync_dir(path.parent)
        except OSError as error:
            raise DiskError("open ledger", str(path), error.strerror or str(error), f"ls -l {path}") from None
        db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        ledger = cls(path, db)
        try:
            with ledger._said("open ledger"):
                _check(db, path)
                db.execute(f"PRAGMA cache_size = -{_CACHE}")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA secure_delete = ON")  # what is deleted was read for good, or must not be any more
                if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            ledger.rollback(restored_n)
        except BaseException:
            db.close()
            raise
        return ledger

    def rollback(self, restored_n: int) -> None:
        """Take back what belongs to chunks after `restored_n`: they never became part of a durable frame."""
        with self._transaction(0) as transaction:
            db = transaction._db  # noqa: SLF001 - of this module
            db.execute("DELETE FROM deliveries WHERE n > ?", (restored_n,))
            db.execute("DELETE FROM items WHERE n > ? AND n > 0", (restored_n,))
        self.settled = self._swept = restored_n

    @contextmanager
    def begin(self, n: int) -> Iterator[Transaction]:
        """A transaction of chunk `n`: durable once the block is left, nothing of it where the block raises.

        Raises `DiskError` where the disk refuses; the ledger can be used on.
        """
        if n <= self.settled:
            raise ValueError(f"chunk {n} is kept already")
        with self._transaction(n) as transaction:
            self._sweep(transaction._db)  # noqa: SLF001 - of this module
            yield transaction

    @contextmanager
    def outside(self) -> Iterator[Transaction]:
        """A transaction of no chunk: never taken back. What it puts replaces all versions of the item."""
        with self._transaction(0) as transaction:
            yield transaction

    def has_delivery(self, delivery: str) -> bool:
        """Whether the id was noted."""
        return self.delivery(delivery) is not None

    def delivery(self, delivery: str) -> int | None:
        """The number of the chunk that a delivery belongs to, 0 for none; None where the id was not noted."""
        with self._lock, self._said("read ledger"):
            row = self._opened().execute(_KNOWN, (_digest(delivery),)).fetchone()
        return None if row is None else int(row[0])

    def get(self, kind: str, key: str) -> bytes | None:
        """The newest version of an item, None where there is none."""
        with self._lock, self._said("read ledger"):
            row = self._opened().execute(_GET, (kind, key)).fetchone()
        return None if row is None else row[0]

    def scan(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """(key, newest version) of every item of a kind, in the order of the keys.

        Taken in parts: items may be written meanwhile, and are met as they are when their turn comes.
        """
        last = ""
        while True:
            with self._lock, self._said("read ledger"):
                rows = self._opened().execute(_SCAN, (kind, last, _SCANNED)).fetchall()
            yield from rows
            if len(rows) < _SCANNED:
                return
            last = rows[-1][0]

    def settle(self, n: int) -> None:
        """Chunk `n` is kept, and all before it: former versions are dropped as transactions come by. Costs nothing."""
        self.settled = max(self.settled, n)

    def prune_deliveries(self, before: float, most: int) -> int:
        """Forget ids noted with a time before `before` (s since the epoch), and the oldest of more than `most`.

        Ids of chunks that are not settled stay, and so do those that are never forgotten, which do not count.
        Returns how many were forgotten, at most `MOST_PRUNED`.
        """
        with self._transaction(0) as transaction:
            db = transaction._db  # noqa: SLF001 - of this module
            high = db.execute("SELECT max(number) FROM deliveries").fetchone()[0]
            if high is None:
                return 0
            # Numbers rise with the time of noting. What was noted again has the number of the first time.
            query = """
                DELETE FROM deliveries
                  WHERE number IN (SELECT number FROM deliveries WHERE number >= 0 ORDER BY number LIMIT ?)
                  AND (at < ? OR number <= ?) AND n <= ?
            """
            return db.execute(query, (MOST_PRUNED, before, high - most, self.settled)).rowcount

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @contextmanager
    def _transaction(self, n: int) -> Iterator[Transaction]:
        with self._lock:
            db = self._opened()
            with self._said("write ledger"):
                db.execute("BEGIN IMMEDIATE")
                try:
                    transaction = Transaction(self, db, n)
                    yield transaction
                    db.execute("ROLLBACK" if transaction.discarded else "COMMIT")
                except BaseException:
                    # A full disk may have ended the transaction already.
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                    raise

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Drop what stands for deleted items once that is settled."""
        settled = self.settled
        if settled == self._swept:
            return
        for kind, key, number in db.execute(_DELETED, (settled,)).fetchall():
            db.execute("DELETE FROM items WHERE kind = ? AND key = ? AND n <= ?", (kind, key, number))
        self._swept = settled

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise DiskError("use ledger", str(self.path), "it is closed")
        return self._db

    @contextmanager
    def _said(self, op: str) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise _broken(op, self.path, error) from None


def _digest(delivery: str) -> bytes:
    return blake2b(delivery.encode("utf-8", "surrogatepass"), digest_size=_ID).digest()


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Whether the file is empty or a ledger of ours."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise ConfigError("open ledger", str(path), "a database of another program", f"ls -l {path}")
    if version > VERSION:
        text = f"version {version}, written by a later fieldtrail"
        raise ConfigError("open ledger", str(path), text, "start the fieldtrail that wrote it, or a later one")


def _broken(op: str, path: Path, error: sqlite3.Error) -> FieldtrailError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        hint = f"move {path} away: deliveries that are repeated are then taken again, snapshots begin anew"
        return CorruptError(op, str(path), str(error), hint)
    return DiskError(op, str(path), str(error), f"df -h {path.parent}")
