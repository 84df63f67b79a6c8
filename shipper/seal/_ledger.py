"""The verifier's book-keeping: what every position of a log should hold, and what was seen, in bounded memory.

Leaf hashes lie in a temporary file of 32 bytes per leaf, mapped; one bit per leaf says whether the hash there is
vouched for by a signed root (`known`), one whether a document with it was seen (`seen`), one whether a document stood
in its place that is something else (`claimed`). Everything whose number an attacker chooses goes into a temporary
SQLite file.
"""

from __future__ import annotations

import mmap
import sqlite3
import tempfile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipper.seal.checkpoint import CheckpointDocument
    from shipper.seal.trust import Trust

_SCHEMA: Final = """
CREATE TABLE checkpoints(log TEXT, size INTEGER, prev INTEGER, time TEXT, root BLOB, before BLOB, frontier BLOB,
  listed INTEGER, PRIMARY KEY(log, size)) WITHOUT ROWID;
CREATE TABLE early(log TEXT, i INTEGER, leaf BLOB, id TEXT, place TEXT, stamp TEXT);
CREATE TABLE statements(log TEXT, i INTEGER, leaf BLOB, kind TEXT, time TEXT, payload BLOB);
CREATE INDEX statements_order ON statements(log, i);
CREATE TABLE suspects(log TEXT, i INTEGER, leaf BLOB, id TEXT, place TEXT, stamp TEXT, position INTEGER);
CREATE INDEX suspects_log ON suspects(log, i);
CREATE TABLE damaged(log TEXT, size INTEGER);
"""


class Bits:
    """One bit per leaf."""

    __slots__ = ("_data", "size")

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._data = bytearray(size + 7 >> 3)

    def grow(self, size: int) -> None:
        """At least `size` bits; new ones are 0."""
        if size > self.size:
            self._data.extend(bytes((size + 7 >> 3) - len(self._data)))
            self.size = size

    def __getitem__(self, at: int) -> bool:
        return bool(self._data[at >> 3] >> (at & 7) & 1)

    def set(self, at: int) -> None:
        """Set one bit."""
        self._data[at >> 3] |= 1 << (at & 7)

    def set_range(self, low: int, high: int) -> None:
        """Set the bits `low` to `high`-1."""
        while low < high and low & 7:
            self.set(low)
            low += 1
        whole = high - low >> 3
        if whole > 0:
            self._data[low >> 3 : (low >> 3) + whole] = b"\xff" * whole
            low += whole << 3
        for at in range(low, high):
            self.set(at)

    def clear_runs(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The maximal runs [a, b) of zeros within [low, high)."""
        start = -1
        at = low
        while at < high:
            if not at & 7 and high - at >= 8:
                byte = self._data[at >> 3]
                if (byte == 0xFF and start < 0) or (byte == 0 and start >= 0):
                    at += 8
                    continue
            if self[at]:
                if start >= 0:
                    yield start, at
                    start = -1
            elif start < 0:
                start = at
            at += 1
        if start >= 0:
            yield start, high

    def number(self, low: int, high: int) -> int:
        """The bits of [low, high) as one integer, lowest first."""
        block = int.from_bytes(self._data[low >> 3 : high + 7 >> 3], "little")
        return block >> (low & 7) & ((1 << (high - low)) - 1)

    def count(self, low: int, high: int, other: Bits | None = None) -> int:
        """How many bits of [low, high) are set, here and in `other` too where it is given."""
        if high <= low:
            return 0
        mine = self.number(low, high)
        return (mine if other is None else mine & other.number(low, high)).bit_count()

    def first(self) -> int:
        """The lowest set bit, `size` where none is."""
        run = next(self.clear_runs(0, self.size), (1, 0))
        return run[1] if run[0] == 0 else 0


class Record(NamedTuple):
    """A checkpoint whose signature holds.

    `before`: root at `prev`, None where its frontier is not usable; `listed`: its leaf hashes reproduce its root.
    """

    size: int
    prev: int
    time: str
    root: bytes
    before: bytes | None
    frontier: tuple[bytes, ...]
    listed: bool


class Suspect(NamedTuple):
    """A document that is not simply what its place should hold. `leaf`: its hash, None where it has none.

    `position`: where that hash belongs, -1 where nowhere; `stamp`: its own claim of when it was made.
    """

    rowid: int
    i: int
    leaf: bytes | None
    id: str | None
    place: str
    stamp: str
    position: int

    @property
    def name(self) -> str:
        """`_id` where there is one, else the place."""
        return self.id or self.place


class Statement(NamedTuple):
    """What a control leaf says; to be believed only if its leaf is `known`."""

    i: int
    leaf: bytes
    kind: str
    time: str
    payload: bytes


class Log:
    """One generation: its hashes and bits."""

    def __init__(self, log: str, origin: str, trust: Trust, scratch: Path | None) -> None:
        self.id, self.origin, self.trust = log, origin, trust
        self.size = 0
        """Leaves under the newest signed checkpoint."""
        self.root = b""
        self.checkpoints = 0
        self.conflict = -1
        """Lowest leaf that two signed checkpoints list differently, -1 for none."""
        self.found = 0
        self.known, self.seen, self.claimed = Bits(), Bits(), Bits()
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed by close()
        self._map: mmap.mmap | None = None

    def close(self) -> None:
        """Drop the temporary file."""
        if self._map is not None:
            self._map.close()
            self._map = None
        self._file.close()

    def grow(self, size: int) -> None:
        """Room for `size` leaves."""
        if size <= self.size:
            return
        if self._map is not None:
            self._map.close()
            self._map = None
        self._file.truncate(size * 32)
        self.size = size
        for bits in (self.known, self.seen, self.claimed):
            bits.grow(size)

    @property
    def hashes(self) -> mmap.mmap:
        """The file of leaf hashes; only while the log is not empty."""
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), self.size * 32)
        return self._map

    def leaf(self, at: int) -> bytes:
        """The hash that is kept for a position."""
        return self.hashes[at * 32 : at * 32 + 32]

    def leaves(self, low: int, high: int) -> list[bytes]:
        """The hashes of [low, high)."""
        block = self.hashes[low * 32 : high * 32]
        return [block[at : at + 32] for at in range(0, len(block), 32)]

    def put(self, at: int, leaf: bytes) -> None:
        """Keep what was seen at a position whose hash is not known."""
        self.hashes[at * 32 : at * 32 + 32] = leaf

    def list_leaves(self, start: int, leaves: Sequence[bytes]) -> None:
        """Take over the hashes of a checkpoint whose root they reproduce; remembers a contradiction."""
        end = start + len(leaves)
        self.grow(end)
        for at in range(start, end):
            if self.known[at] and self.leaf(at) != leaves[at - start]:
                self.conflict = at if self.conflict < 0 else min(at, self.conflict)
                return
        self.hashes[start * 32 : end * 32] = b"".join(leaves)
        self.known.set_range(start, end)


class Ledger:
    """Everything that is remembered between the passes."""

    def __init__(self, scratch: Path | None = None) -> None:
        self.scratch = scratch
        self.logs: dict[str, Log] = {}
        self.db = sqlite3.connect("", isolation_level=None)  # a private file that SQLite deletes by itself
        self.db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {_SCHEMA}")

    def close(self) -> None:
        """Drop all temporary files."""
        for log in self.logs.values():
            log.close()
        self.db.close()

    def open_log(self, log: str, origin: str, trust: Trust) -> Log:
        """The generation of that id, made when it is new."""
        found = self.logs.get(log)
        if found is None:
            found = self.logs[log] = Log(log, origin, trust, self.scratch)
        return found

    def add_checkpoint(self, doc: CheckpointDocument, before: bytes | None, *, listed: bool) -> bytes | None:
        """Keep a checkpoint whose signature holds; the root that was kept for that size before, if any."""
        row = self.db.execute("SELECT root FROM checkpoints WHERE log = ? AND size = ?", (doc.log, doc.size)).fetchone()
        if row is not None:
            return bytes(row[0])
        self.db.execute(
            "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (doc.log, doc.size, doc.prev_size, doc.time, doc.root, before, b"".join(doc.frontier), int(listed)),
        )
        return None

    def records(self, log: str) -> Iterator[Record]:
        """The checkpoints of a log by size."""
        query = "SELECT size, prev, time, root, before, frontier, listed FROM checkpoints WHERE log = ? ORDER BY size"
        for row in self.db.execute(query, (log,)):
            yield _record(row)

    def record_over(self, log: str, at: int) -> Record | None:
        """The first checkpoint of at least `at` leaves."""
        query = (
            "SELECT size, prev, time, root, before, frontier, listed FROM checkpoints "
            "WHERE log = ? AND size >= ? ORDER BY size LIMIT 1"
        )
        row = self.db.execute(query, (log, at)).fetchone()
        return None if row is None else _record(row)

    def suspect(
        self, log: str, i: int, leaf: bytes | None, raw_id: str | None, place: str, stamp: str, position: int = -1
    ) -> None:
        """Keep a document for judgement after the second pass."""
        self.db.execute(
            "INSERT INTO suspects VALUES (?, ?, ?, ?, ?, ?, ?)", (log, i, leaf, raw_id, place, stamp, position)
        )

    def suspects(self, log: str, where: str = "1", *values: Any) -> Iterator[Suspect]:
        """Suspects of a log by the index that they claim."""
        query = (
            f"SELECT rowid, i, leaf, id, place, stamp, position FROM suspects WHERE log = ? AND {where} "  # noqa: S608 - our words
            "ORDER BY i, rowid"
        )
        return (Suspect(*row) for row in self.db.execute(query, (log, *values)))

    def locate(self, log: Log) -> None:
        """Find where the hashes of suspects belong: one look at every known hash of the log per 200,000 suspects."""
        after = 0
        while True:
            rows = self.db.execute(
                "SELECT rowid, leaf FROM suspects WHERE log = ? AND leaf IS NOT NULL AND rowid > ? "
                "ORDER BY rowid LIMIT 200000",
                (log.id, after),
            ).fetchall()
            if not rows or not log.size:
                return
            after = rows[-1][0]
            wanted: dict[bytes, list[int]] = {}
            for rowid, leaf in rows:
                wanted.setdefault(leaf, []).append(rowid)
            for base in range(0, log.size, 65536):
                for n, leaf in enumerate(log.leaves(base, min(base + 65536, log.size))):
                    if leaf in wanted and log.known[base + n]:
                        self.db.executemany(
                            "UPDATE suspects SET position = ? WHERE rowid = ?",
                            [(base + n, rowid) for rowid in wanted[leaf]],
                        )

    def statements(self, log: Log, *kinds: str) -> Iterator[Statement]:
        """What control leaves of the log say whose hash is vouched for, by index."""
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT i, leaf, kind, time, payload FROM statements WHERE log = ? AND kind IN ({marks}) ORDER BY i"  # noqa: S608
        for row in self.db.execute(query, (log.id, *kinds)):
            statement = Statement(*row)
            if statement.i < log.size and log.known[statement.i] and log.leaf(statement.i) == statement.leaf:
                yield statement

    def time_at(self, log: Log, size: int) -> str:
        """The sealed time of the control leaf that ends a checkpoint of `size` leaves, "" where it is not there."""
        if log.known[size - 1]:
            kept = log.leaf(size - 1)
            for leaf, time in self.db.execute(
                "SELECT leaf, time FROM statements WHERE log = ? AND i = ?", (log.id, size - 1)
            ):
                if leaf == kept:
                    return str(time)
        return ""

    def times(self, log: Log) -> Iterator[tuple[int, str]]:
        """(index, sealed time) of the control leaves that are vouched for, the last one first."""
        query = "SELECT i, leaf, time FROM statements WHERE log = ? AND i < ? ORDER BY i DESC"
        for i, leaf, time in self.db.execute(query, (log.id, log.size)):
            if log.known[i] and log.leaf(i) == leaf:
                yield i, str(time)

    def batch_ends(self, log: Log, low: int, high: int) -> list[int]:
        """The leaves of [low, high) that end a batch: control leaves, whatever they say."""
        query = "SELECT size - 1 FROM checkpoints WHERE log = ? AND size > ? AND size <= ? ORDER BY size"
        return [at for (at,) in self.db.execute(query, (log.id, low, high))]

    def newest(self, log: Log, below: int | None = None) -> str:
        """The time of the last control leaf that is vouched for (below an index), "" for none."""
        query = "SELECT i, leaf, time FROM statements WHERE log = ? AND i < ? ORDER BY i DESC"
        for i, leaf, time in self.db.execute(query, (log.id, log.size if below is None else below)):
            if log.known[i] and log.leaf(i) == leaf:
                return str(time)
        return ""


def _record(row: tuple[Any, ...]) -> Record:
    size, prev, time, root, before, frontier, listed = row
    nodes = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
    return Record(size, prev, time, root, before, nodes, bool(listed))
