"""What a poll input asks of the differ: the seam between what is read and what that says has changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import parsers
from parsers._contract import Context, Rejected, Time
from parsers._json import decode, peek, take_time
from shipper._poll_spec import ObjectSection
from shipper.differ import Differ, Named, ObjectPolicy, Outcome, Seen, Snapshots
from shipper.differ.views import HOOK
from shipper.inputs._ledger import Ledger, Transaction
from shipper.inputs.poll.pages import UnusableError, text_at
from shipper.inputs.poll.preset import Source

FORMAT: Final = "snapshot_diff"
"""The format of the records that the differ makes."""


class Sight(NamedTuple):
    """An object as it was read, between `asked` and `read` by the server's clock (s since the epoch). `data`: JSON.

    `view`: the way that it was seen in, of those in shipper/differ/views.py. `listing`: the number of the full listing
    that it stood in, None for none.
    """

    resource: str
    id: str
    data: bytes
    asked: float
    read: float
    view: str
    listing: int | None = None


class Objects:
    """The objects of one source. What is written goes into the transaction of the chunk that carries the records."""

    def __init__(self, ledger: Ledger, source: Source, keys: Path, random_bytes: Callable[[int], bytes]) -> None:
        """`keys`: the state folder's keys. Raises `ConfigError` where the key of the snapshots is not there."""
        place = str(ledger.path)
        self._ledger = ledger
        self._snapshots = Snapshots.open(source.module, ledger, keys=keys, place=place, random_bytes=random_bytes)
        self._specs: dict[str, ObjectSection] = {
            name: spec.object for name, spec in source.resources.items() if spec.object is not None
        }
        self._updated = {name: source.resources[name].time for name in self._specs}
        policies = {
            spec.type: ObjectPolicy(spec.ignore, spec.sets, spec.keyed, spec.aliases, spec.beside)
            for spec in self._specs.values()
        }
        self._differ = Differ(source.module, self._snapshots, policies)
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._specs}

    @property
    def snapshots(self) -> Snapshots:
        """Where they are kept, and what else is sealed with their key."""
        return self._snapshots

    def begin(self, book: Transaction, resource: str, now: float) -> int:
        """A full listing begins; its number."""
        return self._differ.begin_listing(book, self._specs[resource].type, now)

    def see(self, book: Transaction, sight: Sight) -> tuple[bytes, ...]:
        """The records of what an object's state says has changed; of an item that is no object none, it is counted."""
        spec = self._specs[sight.resource]
        try:
            body = _decoded(sight.data)
        except UnusableError:
            self._counts[sight.resource]["unusable"] += 1
            return ()
        compared = peek(body, *spec.within.split(".")) if spec.within else body
        if not isinstance(compared, dict):
            return ()
        seen = Seen(
            spec.type,
            sight.id,
            compared,
            sight.read,
            updated=_time(body, self._updated[sight.resource]),
            created=_time(body, spec.created),
            editor=Named(_text(body, spec.editor.id), _text(body, spec.editor.name)),
            creator=Named(_text(body, spec.creator)),
            name=_text(body, spec.label),
            owner_id=_text(body, spec.owner),
            label=spec.title,
            pushed=sight.view == HOOK,
            listing=sight.listing,
            asked=sight.asked,
            view=sight.view,
        )
        return self._counted(sight.resource, self._differ.see(book, seen))

    def meet(self, book: Transaction, form: str, data: bytes) -> tuple[bytes, ...] | None:
        """Meet a record of format `form`, which the source made itself, with what was found by comparison.

        None: the record goes its own way. Else the records to give out in its place: who made changes that were told.
        """
        if form not in parsers.names():
            return None
        operations = parsers.get(form).parse(data, Context())
        if isinstance(operations, Rejected) or len(operations) != 1:
            return None
        return self._differ.native(book, operations[0])

    def gone(
        self,
        book: Transaction,
        resource: str,
        id: str,  # noqa: A002 - the object's
        asked: float,
        read: float,
    ) -> tuple[bytes, ...]:
        """The records of an object that is no more, as was found between `asked` and `read`."""
        spec = self._specs[resource]
        seen = Seen(spec.type, id, None, read, label=spec.title, asked=asked)
        return self._counted(resource, self._differ.see(book, seen))

    def _counted(self, resource: str, outcome: Outcome) -> tuple[bytes, ...]:
        counts = self._counts[resource]
        counts[outcome.what] += 1
        counts["ignored"] += outcome.ignored
        counts["met"] += outcome.met
        return outcome.records

    def looks(self, resource: str) -> dict[str, int]:
        """What became of the looks at the objects of a resource since the start, as `Outcome` says it.

        `unusable`: items that are no objects.
        """
        return {name: count for name, count in self._counts.get(resource, Counter()).items() if count}

    def absent(self, resource: str) -> dict[str, bool]:
        """Ids of objects that were known before the full listing began, and did not stand in it; before `end`.

        With each, whether it did not stand in the one before either.
        """
        return self._differ.absent(self._ledger, self._specs[resource].type)

    def end(self, book: Transaction, resource: str) -> None:
        """The full listing has come to its end."""
        self._differ.end_listing(book, self._specs[resource].type)

    def known(self, resource: str) -> float | None:
        """When the last full listing began that came to its end, s since the epoch; None for none."""
        listing = self._snapshots.listing(self._ledger, self._specs[resource].type)
        return None if listing is None else listing.whole

    def count(self, resource: str) -> int:
        """How many there are, as far as is known."""
        entries = self._snapshots.scan(self._ledger, self._specs[resource].type)
        return sum(entry.body is not None for entry in entries)


def _text(body: dict[str, Any], path: str | None) -> str | None:
    return None if path is None else text_at(body, path)


def _time(body: dict[str, Any], path: str | None) -> Time | None:
    """A time of an object, which keeps it."""
    return None if path is None else take_time({"time": peek(body, *path.split("."))}, "time")


def _decoded(data: bytes) -> dict[str, Any]:
    """An object; halves of surrogate pairs in it become question marks. Raises `UnusableError` for what is none."""
    body = decode(data)
    if not isinstance(body, dict):
        try:
            body = decode(json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            body = None
    if not isinstance(body, dict):
        raise UnusableError("an item is no object")
    return body
