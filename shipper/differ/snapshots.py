"""What was last seen of each record of one source, and what was told of it, kept encrypted in the input's ledger.

    kind `snapshot`, key JSON [type, id]   an `Entry`, sealed for (source, type, id)
    kind `type`, key type                  a `Listing`, plain: it says nothing of a person
    kind `mark`, key `snapshots`           which key sealed them

Everything is written in the transaction of the chunk that carries the records made of it: after a crash the snapshots
are exactly as far as the journal is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import orjson

from parsers._json import Number, decode
from shipper.differ.crypto import Cipher, cipher_of
from shipper.errors import CorruptError

SNAPSHOT: Final = "snapshot"
TYPE: Final = "type"
_MARK: Final = ("mark", "snapshots")
_PACKED, _PLAIN = b"z", b"j"
_SHORT: Final = 300
"""Bytes below which packing is not worth its time."""
_MOST: Final = 64
"""Told changes, and native ones not met yet, that are remembered of one record."""


class Reading(Protocol):
    """What is asked of a ledger, or of a transaction."""

    def get(self, kind: str, key: str) -> bytes | None:
        """The newest version of an item."""

    def scan(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """Key and newest version of every item of a kind."""


class Book(Reading, Protocol):
    """A transaction of the input's ledger: what it writes comes and goes with its chunk."""

    def put(self, kind: str, key: str, blob: bytes) -> None:
        """Write an item."""

    def delete(self, kind: str, key: str) -> None:
        """Write that an item is no more."""


class Shelf(Reading, Protocol):
    """The input's ledger."""

    def outside(self) -> AbstractContextManager[Book]:
        """A transaction of no chunk."""


class Told(NamedTuple):
    """A change that was shipped as found by comparison: a source may name its author later.

    `field`: its path, "" for a whole record. `old`, `new`: `attribute.loose` texts; of a whole record `new` is
    `create` or `delete`. `after`, `before`: the bounds, s since the epoch. `event`, `operation`: ids; `event` is ""
    where it is not known.
    """

    field: str
    old: str
    new: str
    after: float | None
    before: float
    event: str
    operation: str


class Native(NamedTuple):
    """A change that the source itself told, which no comparison has met yet.

    `old`, `new`: `attribute.loose` texts, `old` None where it was not told; the values beside them as they were told
    (`{"v": value}`, or {} for none). `time`: s since the epoch.
    """

    field: str
    old: str | None
    new: str
    old_value: dict[str, Any]
    new_value: dict[str, Any]
    time: float


class View(NamedTuple):
    """What one way to see a record (a listing, its own reading, a hook) showed last.

    `members`: their names, None for all that the snapshot has. `after`: the moment, s since the epoch, from which on
    anything that differs must have happened.
    """

    members: frozenset[str] | None
    after: float


@dataclass(slots=True)
class Entry:
    """What is known of one record. Times in s since the epoch, by the source's clock."""

    type: str
    id: str
    body: dict[str, Any] | None = None
    """The record as it was read last; None before that, and after it is gone."""
    gone: bool = False
    read: float = 0.0
    updated: float | None = None
    """The source's own time of the last update in `body`."""
    listing: int = 0
    """The number of the last listing that it stood in."""
    revision: int = 0
    """Operations that were made of it."""
    told: list[Told] = field(default_factory=list)
    natives: list[Native] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    """The ways by which it was seen."""
    quiet: frozenset[str] = frozenset()
    """Members that a second way showed, of which nobody can say whether they are new or only not shown by the first."""

    @property
    def after(self) -> float:
        """The moment from which on anything that differs, or its end, must have happened."""
        return max((one.after for one in self.views.values()), default=self.read)


@dataclass(slots=True)
class Listing:
    """What is known of one type of records. Times in s since the epoch, by the source's clock.

    `since`: first look at it. `number`, `start`: of the listing that was begun last. `whole`: when the last listing
    began that came to its end, `former`: its number.
    """

    since: float
    number: int = 0
    start: float | None = None
    whole: float | None = None
    former: int | None = None


def dumps(value: Any) -> bytes:
    """A decoded JSON value as JSON: numbers keep their characters."""
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=_exact)


def _exact(value: Any) -> Any:
    return orjson.Fragment(str(value)) if isinstance(value, Number) else str(value)


class Snapshots:
    """The snapshots of one source."""

    __slots__ = ("_cipher", "source")

    def __init__(self, source: str, cipher: Cipher) -> None:
        self.source, self._cipher = source, cipher

    @classmethod
    def open(
        cls, source: str, shelf: Shelf, *, keys: Path, place: str, random_bytes: Callable[[int], bytes]
    ) -> Snapshots:
        """Those of a ledger. `keys`: the folder of keys; `place`: the ledger's path, for people.

        Raises `ConfigError` where the key is not the one that they were sealed with.
        """
        mark = shelf.get(*_MARK)
        cipher = cipher_of(keys, mark, place, random_bytes)
        if mark is None:
            with shelf.outside() as book:
                book.put(*_MARK, cipher.mark)
        return cls(source, cipher)

    def seal(self, plain: bytes, kind: str, identity: str) -> bytes:
        """Something else of this source that must not lie in clear, bound to its place."""
        return self._cipher.seal(plain, self.source, f"{kind} (no snapshot)", identity)

    def open_sealed(self, blob: bytes, kind: str, identity: str) -> bytes:
        """What was sealed; `CorruptError` for anything else."""
        return self._cipher.open(blob, self.source, f"{kind} (no snapshot)", identity)

    def get(self, book: Reading, kind: str, identity: str) -> Entry | None:
        """What is known of a record."""
        blob = book.get(SNAPSHOT, _key(kind, identity))
        return None if blob is None else self._opened(blob, kind, identity)

    def put(self, book: Book, entry: Entry) -> None:
        """Remember it."""
        entry.told, entry.natives = entry.told[-_MOST:], entry.natives[-_MOST:]
        plain = dumps(
            [
                entry.body,
                entry.gone,
                _text(entry.read),
                _text(entry.updated),
                entry.listing,
                entry.revision,
                [[*one[:3], _text(one.after), _text(one.before), *one[5:]] for one in entry.told],
                [[*one[:5], _text(one.time)] for one in entry.natives],
                [
                    [name, None if one.members is None else sorted(one.members), _text(one.after)]
                    for name, one in entry.views.items()
                ],
                sorted(entry.quiet),
            ]
        )
        packed = _PACKED + zlib.compress(plain, 1) if len(plain) > _SHORT else _PLAIN + plain
        blob = self._cipher.seal(packed, self.source, entry.type, entry.id)
        book.put(SNAPSHOT, _key(entry.type, entry.id), blob)

    def forget(self, book: Book, entry: Entry) -> None:
        """Remember nothing of it."""
        book.delete(SNAPSHOT, _key(entry.type, entry.id))

    def scan(self, book: Reading, kind: str) -> Iterator[Entry]:
        """All of one type."""
        begin = _key(kind, "")[:-2]
        for key, blob in book.scan(SNAPSHOT):
            if key.startswith(begin):
                yield self._opened(blob, kind, orjson.loads(key)[1])

    def listing(self, book: Reading, kind: str) -> Listing | None:
        """What is known of a type; None before the first look."""
        blob = book.get(TYPE, kind)
        return None if blob is None else Listing(*orjson.loads(blob))

    def put_listing(self, book: Book, kind: str, known: Listing) -> None:
        """Remember it."""
        book.put(TYPE, kind, orjson.dumps([known.since, known.number, known.start, known.whole, known.former]))

    def _opened(self, blob: bytes, kind: str, identity: str) -> Entry:
        packed = self._cipher.open(blob, self.source, kind, identity)
        plain = zlib.decompress(packed[1:]) if packed[:1] == _PACKED else packed[1:]
        value = decode(plain)
        if not isinstance(value, list):  # cannot be: the cipher has shown that these are the bytes that were sealed
            raise CorruptError("open snapshot", f"{self.source}:{kind}/{identity}", "not JSON")
        body, gone, read, updated, listing, revision, told, natives, views, quiet = value
        return Entry(
            kind,
            identity,
            body,
            gone,
            float(read),
            None if updated is None else float(updated),
            listing,
            revision,
            [
                Told(name, old, new, None if after is None else float(after), float(before), event, operation)
                for name, old, new, after, before, event, operation in told
            ],
            [Native(name, old, new, first, then, float(time)) for name, old, new, first, then, time in natives],
            {
                name: View(None if members is None else frozenset(members), float(after))
                for name, members, after in views
            },
            frozenset(quiet),
        )


def _text(time: float | None) -> str | None:
    """A time as it is stored: a number of so many digits would send the whole entry the exact, slow way of `decode`."""
    return None if time is None else repr(time)


def _key(kind: str, identity: str) -> str:
    return orjson.dumps([kind, identity]).decode()
