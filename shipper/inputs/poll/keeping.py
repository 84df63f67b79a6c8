"""What was read, on its way to the pipeline: written to the ledger under the number of its chunk, then given out.

kind `cursor`, key resource or resource/parent      a `Cursor`
kind `hint`, key a number of 20 digits              what a hook told, until it was looked at
kind `auth`, key `refresh`                          a refresh token that the server exchanged
deliveries: `<resource> NUL <id>` of items          by which one that comes again is known; `<resource>/<parent>` where
                                                   each parent has a listing of its own; of objects that are only
                                                   named with `NUL <time>`

Nothing else of what is read stays here, but for the snapshots of the differ.
"""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson

from shipper._poll_spec import SinceSection
from shipper.clock import Clock
from shipper.differ import Snapshots
from shipper.differ.views import HOOK, LIST, READ
from shipper.inputs._hint import Hint
from shipper.inputs._ledger import Ledger, Transaction
from shipper.inputs.poll.engine import CHECKED_EVERY, Batch, Cursor, whole_key
from shipper.inputs.poll.objects import FORMAT, Objects, Sight
from shipper.inputs.poll.pages import Item, UnusableError, at, decode, moment
from shipper.inputs.poll.preset import Source
from shipper.inputs.poll.single import Wanted
from shipper.model import Chunk, Record

MOST_QUEUED: Final = 4 * 1024 * 1024
"""Bytes of records that wait for the pipeline; one page more is asked for as long as there are fewer."""
MOST_DELIVERIES: Final = 5_000_000
"""Ids of items that are remembered at the most."""
_SPARE: Final = 86400.0
"""Seconds before the beginning of the next listing for which ids are remembered all the same."""
_CURSOR: Final = "cursor"
_HINT: Final = "hint"
_SETTLED: Final = 5.0
"""Seconds after which no other change can have the time of one: some vendors' times are cut to the second."""
_UNTOLD: Final = {"snapshot": None, "delivery": None, "time": None}


class _UndoneError(Exception):
    """Takes back what a transaction wrote."""


class Progress(NamedTuple):
    """How far a resource was read. `end`: bytes given out and `waiting`; `checked`: as of `Cursor`."""

    stream: str
    end: int
    waiting: int
    format: str
    checked: float | None


class Keeping:
    """The memory and the queue of one input. `positions`: as they came back at the start.

    Threads: the input's own, the pipeline's (`give`, `set_aside`), the journal's (`kept`), others' (`hint`).
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the input's
        source: Source,
        ledger: Ledger,
        objects: Objects | None,
        clock: Clock,
        positions: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.stirred = threading.Event()
        """Set when there is room again, or something to do."""
        self._lock = threading.Lock()
        self._hinting = threading.Lock()
        self.given = numbers(positions)
        self._id, self._source, self._ledger, self._objects, self._clock = id, source, ledger, objects, clock
        self._n = self.given
        self._ends = {stream: int(position.get("offset", 0)) for stream, position in positions.items()}
        self._spare = {
            stream: Cursor(position.get("since"), position["checked"])
            for stream, position in positions.items()
            if "checked" in position
        }
        self._queue: deque[Chunk] = deque()
        self._queued = 0
        self._deduplicated = 0
        self._checked: dict[str, float] = {}
        """As of `Cursor`, where that was not worth writing down."""
        self._parents: dict[str, tuple[float, list[dict[str, str]]]] = {}
        self._last_hint = max((int(key) for key, _ in ledger.scan(_HINT)), default=0)
        self.hinted = self._last_hint > 0
        """Whether there are hints that nobody has looked at."""

    # -- what earlier readings left (engine.State) ---------------------------------------------------------------------

    def cursor(self, key: str) -> Cursor | None:
        """How far a listing was read. Where the ledger was lost, as the journal has it."""
        return Cursor.of(self._ledger.get(_CURSOR, key)) or self._spare.get(self._stream(key))

    def parents(self, name: str) -> list[dict[str, str]] | None:
        """What a resource listed less than its period ago."""
        at, found = self._parents.get(name, (0.0, []))
        fresh = name in self._parents and self._clock.monotonic() - at < self._source.period(name)
        return found if fresh else None

    def set_parents(self, name: str, parents: list[dict[str, str]]) -> None:
        """What it lists now."""
        self._parents[name] = (self._clock.monotonic(), parents)

    def looked(self, resource: str, parent: Item) -> bool:
        """Whether a resource was read for this item of another one, which did not change since."""
        return self._ledger.has_delivery(_change(resource, parent))

    # -- keeping -------------------------------------------------------------------------------------------------------

    @property
    def room(self) -> bool:
        """Whether another page may be asked for."""
        return self._queued < MOST_QUEUED

    @property
    def pending(self) -> bool:
        """Whether the pipeline has not taken everything, or hints wait."""
        return bool(self._queue) or self.hinted

    def begin_listing(self, resource: str, now: float) -> int:
        """A full listing of objects begins; its number."""
        assert self._objects is not None, "asked of objects only"
        with self._ledger.begin(self._n + 1) as book:
            number = self._objects.begin(book, resource, now)
        self._give(Batch(resource, ""), [], {}, self.cursor(resource))
        return number

    def keep(self, batch: Batch, asked: float, read: float) -> dict[str, bool]:
        """Keep what one answer means; `asked`, `read`: the server's time before and after it.

        Raises `DiskError`: nothing of it is kept then.
        Returns the ids of known objects that a full listing, which ends with this, did not have; with each, whether the
        one before had it not either.
        """
        spec = self._source.resources[batch.resource]
        fresh = self._fresh(batch) if spec.format is not None else []
        fresh = self._met(batch, fresh, read)
        moved = {key: cursor for key, cursor in batch.cursors.items() if self._is_worth(key, cursor)}
        self._checked.update((key, cursor.checked) for key, cursor in batch.cursors.items() if key not in moved)
        # Objects that a listing only names are read as if a hook had told of them.
        named = self._named(batch) if batch.named else []
        seen = spec.object is not None and not batch.named and bool(batch.items or batch.gone or batch.complete)
        looked = batch.looked if batch.looked is not None and _settled(batch.looked, read) else None
        if not (fresh or moved or seen or named or batch.served or looked):
            return {}
        records: list[bytes] = [item.data for item in fresh]
        ids = [item.id if item.named else None for item in fresh]
        with self._hinting:
            first, self._last_hint = self._last_hint + 1, self._last_hint + len(named)
        with self._ledger.begin(self._n + 1) as book:
            self._note(book, batch, fresh, read)
            if self._objects is not None and spec.format is not None:
                for item in fresh:
                    self._objects.meet(book, spec.format, item.data)
            if seen:
                records = self._compare(book, batch, asked, read)
                ids = [batch.delivery] * len(records)
            for key, cursor in moved.items():
                book.put(_CURSOR, key, cursor.as_json())
            for key in batch.served:
                book.delete(_HINT, key)
            for number, item in enumerate(named, first):
                hint = {"kind": "changed", "type": spec.object and spec.object.type, "id": item.id, **_UNTOLD}
                book.put(_HINT, f"{number:020d}", orjson.dumps(hint))
                if _settled(item, read):
                    book.note_delivery(_change(batch.resource, item), read)
            if looked is not None:
                book.note_delivery(_change(batch.resource, looked), read)
        self.hinted = self.hinted or bool(named)
        self._give(batch, records, dict(enumerate(ids)), moved.get(batch.resource) or self.cursor(batch.resource))
        return self._finish(batch) if batch.complete and batch.listing is not None else {}

    def _met(self, batch: Batch, fresh: list[Item], read: float) -> list[Item]:
        """Keep, in a chunk of its own, what names who made changes that were told already; the others are returned."""
        form = self._source.resources[batch.resource].format
        if self._objects is None or form is None or not fresh:
            return fresh
        met: dict[str, tuple[bytes, ...]] = {}
        with suppress(_UndoneError), self._ledger.begin(self._n + 1) as book:
            for item in fresh:
                found = self._objects.meet(book, form, item.data)
                if found is not None:
                    met[item.id] = found
            raise _UndoneError  # only to see which they are: each chunk writes what is its own
        if not met:
            return fresh
        mine = [item for item in fresh if item.id in met]
        with self._ledger.begin(self._n + 1) as book:
            self._note(book, batch, mine, read)
            records = [(one, item) for item in mine for one in self._objects.meet(book, form, item.data) or ()]
        ids = {place: item.id if item.named else None for place, (_, item) in enumerate(records)}
        self._give(batch, [one for one, _ in records], ids, self.cursor(batch.resource), FORMAT)
        return [item for item in fresh if item.id not in met]

    def _since(self, resource: str) -> SinceSection | None:
        """Where the listings of a resource begin: by its own words, or by those of that of which it reads what changed.

        None: at the beginning, each time.
        """
        spec = self._source.resources[resource]
        parent = self._source.resources.get(spec.for_each or "")
        return spec.since or (parent.since if parent is not None else None)

    def _note(self, book: Transaction, batch: Batch, found: list[Item], read: float) -> None:
        for item in found:
            # Never by the item's time alone: one that is listed by another time may come again for longer.
            when = None if self._since(batch.resource) is None else max(item.time or read, read)
            book.note_delivery(_delivery(batch, item), when)

    def _finish(self, batch: Batch) -> dict[str, bool]:
        """A full listing came to its end."""
        assert self._objects is not None, "it was a listing of objects"
        absent = self._objects.absent(batch.resource)
        with self._ledger.begin(self._n + 1) as book:
            self._objects.end(book, batch.resource)
        self._give(Batch(batch.resource, batch.place), [], {}, self.cursor(batch.resource))
        return absent

    def count(self, resource: str) -> int:
        """How many objects of a resource are known."""
        return 0 if self._objects is None else self._objects.count(resource)

    def known(self, resource: str) -> float | None:
        """When the last listing of all objects began that came to its end, s since the epoch; None for none."""
        own = self._source.resources[resource].object
        if own is not None and own.partial:
            cursor = self.cursor(whole_key(resource))
            return None if cursor is None else cursor.checked
        return None if self._objects is None else self._objects.known(resource)

    def looks(self, resource: str) -> dict[str, int]:
        """What became of the looks at them since the start."""
        return {} if self._objects is None else self._objects.looks(resource)

    def _fresh(self, batch: Batch) -> list[Item]:
        """Those items that were not there before."""
        fresh: dict[str, Item] = {}
        for item in batch.items:
            key = _delivery(batch, item)
            if key not in fresh and not self._ledger.has_delivery(key):
                fresh[key] = item
        with self._lock:
            self._deduplicated += len(batch.items) - len(fresh)
        return list(fresh.values())

    def _named(self, batch: Batch) -> list[Item]:
        """Those objects that changed since they were named: what overlaps is not read again and again."""
        named = [item for item in batch.items if item.named]  # what has no id is no object
        if batch.whole:
            return named
        return [item for item in named if not self._ledger.has_delivery(_change(batch.resource, item))]

    def _is_worth(self, key: str, cursor: Cursor) -> bool:
        """Whether a cursor says more than the one that is kept: that nothing came is written down now and then only."""
        before = self.cursor(key)
        return before is None or before.since != cursor.since or cursor.checked - before.checked >= CHECKED_EVERY

    def _compare(self, book: Transaction, batch: Batch, asked: float, read: float) -> list[bytes]:
        assert self._objects is not None, "a source with objects has a differ"
        records: list[bytes] = []
        view = HOOK if batch.pushed else READ if batch.single else LIST
        for item in batch.items:
            sight = Sight(batch.resource, item.id, item.data, asked, read, view, batch.listing)
            records += self._objects.see(book, sight)
        for identity in batch.gone:
            records += self._objects.gone(book, batch.resource, identity, asked, read)
        return records

    def _give(
        self,
        batch: Batch,
        data: list[bytes],
        ids: Mapping[int, str | None],
        cursor: Cursor | None,
        form: str | None = None,
    ) -> None:
        """What stands in the ledger under the next number goes to the pipeline."""
        self._n += 1
        stream = self._stream(batch.resource)
        end = self._ends.get(stream, 0)
        records: list[Record] = []
        deliveries: dict[int, str] = {}
        for place, one in enumerate(data):
            identity = ids.get(place)
            if identity is not None:
                deliveries[end] = identity
            records.append(Record(one, end, len(one)))
            end += len(one)
        self._ends[stream] = end
        position: dict[str, Any] = {"v": 1, "n": self._n, "offset": end}
        if cursor is not None:
            position |= {"since": cursor.since, "checked": cursor.checked}
        spec = self._source.resources[batch.resource]
        form = form or spec.format or FORMAT
        path = batch.place or f"{spec.method} {spec.path}"
        chunk = Chunk(
            self._id, stream, path, form, records, position, self._clock.now(), deliveries=deliveries
        )  # fmt: skip
        with self._lock:
            self._queue.append(chunk)
            self._queued += sum(map(len, data))

    def _stream(self, resource: str) -> str:
        return f"poll/{self._id}/{resource}"

    # -- the pipeline's and the journal's threads ----------------------------------------------------------------------

    def give(self, budget: int) -> Iterator[Chunk]:
        """What waits, about `budget` bytes at the most."""
        used = 0
        while used < budget:
            with self._lock:
                if not self._queue:
                    return
                chunk = self._queue.popleft()
                size = sum(record.length for record in chunk.records)
                self._queued -= size
            self.stirred.set()
            used += max(size, 1)
            self.given = chunk.position["n"]
            yield chunk

    def kept(self, n: int) -> None:
        """Everything up to chunk `n` is durable."""
        self._ledger.settle(n)

    def set_aside(self) -> dict[str, int]:
        """Items since the last call that had come before."""
        with self._lock:
            count, self._deduplicated = self._deduplicated, 0
        return {"deduplicated": count} if count else {}

    # -- hints ---------------------------------------------------------------------------------------------------------

    def hint(self, told: Sequence[tuple[Hint, str | None]]) -> None:
        """Remember what hooks told, with the ids of their deliveries, durably before it returns: one sync for all."""
        with self._hinting:  # not the lock of the queue: a sync takes its time
            first, self._last_hint = self._last_hint + 1, self._last_hint + len(told)
            with self._ledger.outside() as book:
                for number, (one, delivery) in enumerate(told, first):
                    key = f"{number:020d}"
                    carried = one.snapshot if self._carries(one.object_type) else None
                    words = {
                        "kind": one.kind,
                        "type": one.object_type,
                        "id": one.object_id,
                        "snapshot": None if carried is None else b64encode(self._sealed(carried, key)).decode(),
                        "delivery": delivery,
                        "time": one.time,
                    }
                    book.put(_HINT, key, orjson.dumps(words))
            self.hinted = True
        self.stirred.set()

    def wanted(self, resource_of: Callable[[str], str | None]) -> Iterator[Wanted]:
        """The objects that hints speak of, each once, in the order of their first; then none are left that are new.

        `resource_of`: the resource that has objects of a type.
        """
        with self._lock:
            self.hinted = False
        by_object: dict[tuple[str, str], list[_Told]] = {}
        for key, blob in self._ledger.scan(_HINT):
            told = orjson.loads(blob)
            one = _Told(key, told["kind"] == "deleted", told["snapshot"] is not None, told["delivery"])
            by_object.setdefault((told["type"], told["id"]), []).append(one)
        for (object_type, identity), found in by_object.items():
            resource = resource_of(object_type)
            spec = None if resource is None else self._source.resources[resource].object
            if resource is None or spec is None:
                self.forget(tuple(one.key for one in found))
                continue
            carried = [one.key for one in found if one.carried and not one.deleted and spec.hints == "snapshot"]
            yield from self._carried(resource, identity, carried)
            rest = [one for one in found if one.key not in carried]
            if rest:
                keys, gone = tuple(one.key for one in rest), any(one.deleted for one in rest)
                yield Wanted(resource, identity, keys, delivery=rest[-1].delivery, gone=gone)

    def _carried(self, resource: str, identity: str, keys: Sequence[str]) -> Iterator[Wanted]:
        """An object as hooks had it, by its own time where it has one: they need not come in order."""
        found: list[tuple[float, Wanted]] = []
        path = self._source.resources[resource].time
        for key in keys:
            blob = self._ledger.get(_HINT, key)
            if blob is None:
                continue
            told = orjson.loads(blob)
            assert self._objects is not None, "only then something is carried"
            snapshot = self._objects.snapshots.open_sealed(b64decode(told["snapshot"]), _HINT, key)
            with suppress(UnusableError):
                told["time"] = (None if path is None else moment(at(decode(snapshot), path))) or told["time"]
            found.append((told["time"] or 0.0, Wanted(resource, identity, (key,), snapshot, told["delivery"])))
        for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].hints)):
            yield one

    def _carries(self, object_type: str) -> bool:
        """Whether what a hook carries of such an object is used: else it is not kept."""
        objects = (spec.object for spec in self._source.resources.values())
        return any(one is not None and one.type == object_type and one.hints == "snapshot" for one in objects)

    def _sealed(self, snapshot: bytes, key: str) -> bytes:
        assert self._objects is not None, "there are some, or none would be carried"
        return self._objects.snapshots.seal(snapshot, _HINT, key)

    def forget(self, keys: tuple[str, ...]) -> None:
        """Hints that cannot lead to anything."""
        with self._ledger.outside() as book:
            for key in keys:
                book.delete(_HINT, key)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def prune(self) -> None:
        """Forget ids that no listing will bring again: all begin after them. Raises `DiskError`.

        The ids of listings that always begin at the beginning were noted for ever.
        """
        now = self._clock.now()
        oldest = now
        for name, spec in self._source.resources.items():
            since = self._since(name)
            if spec.format is None or since is None:
                continue
            cursors = [Cursor.of(blob) for key, blob in self._ledger.scan(_CURSOR) if key.split("/")[0] == name]
            times = [one.reached for one in cursors if one is not None]
            # What is read of something that changed goes back further than the listing of what changed.
            back = since.overlap if spec.since is not None else since.overlap + since.first
            oldest = min([oldest, *(one - back for one in (now - since.first, *times))])
        self._ledger.prune_deliveries(oldest - _SPARE, MOST_DELIVERIES)

    def progress(self, resource: str) -> Progress:
        """How far a resource was read; of many listings the one that is furthest behind."""
        stream, spec = self._stream(resource), self._source.resources[resource]
        with self._lock:
            waiting = sum(record.length for chunk in self._queue if chunk.stream == stream for record in chunk.records)
        kept = {key: Cursor.of(blob) for key, blob in self._ledger.scan(_CURSOR) if key.split("/")[0] == resource}
        times = [max(one.checked, self._checked.get(key, 0.0)) for key, one in kept.items() if one is not None]
        checked = min(times, default=None)
        return Progress(stream, self._ends.get(stream, 0), waiting, spec.format or FORMAT, checked)


class Tokens:
    """Where a refresh token stays (auth.Store)."""

    def __init__(self, ledger: Ledger, snapshots: Snapshots) -> None:
        self._ledger, self._snapshots = ledger, snapshots

    def get(self) -> bytes | None:
        """What was put. Raises `CorruptError`."""
        blob = self._ledger.get("auth", "refresh")
        return None if blob is None else self._snapshots.open_sealed(blob, "auth", "refresh")

    def put(self, blob: bytes) -> None:
        """Keep it, durably and sealed."""
        with self._ledger.outside() as book:
            book.put("auth", "refresh", self._snapshots.seal(blob, "auth", "refresh"))


class _Told(NamedTuple):
    """A hint, without the object that it may have carried."""

    key: str
    deleted: bool
    carried: bool
    delivery: str | None


def numbers(positions: Mapping[str, Mapping[str, Any]]) -> int:
    """The highest number of a chunk in positions, 0 without any."""
    return max((int(position["n"]) for position in positions.values()), default=0)


def _delivery(batch: Batch, item: Item) -> str:
    return f"{batch.key or batch.resource}\0{item.id}"


def _settled(item: Item, read: float) -> bool:
    """Whether no other change of it can have the same time."""
    return item.time is not None and item.time + _SETTLED < read


def _change(resource: str, item: Item) -> str:
    return f"{resource}\0{item.id}\0{item.time}"
