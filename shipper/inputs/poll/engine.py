"""The readings of an API: what to ask next, and what an answer means. No network, no clock, no file: all is handed in.

A reading (`Reading`) gives one request at a time (`ask`) and takes its answer (`take`), which gives a `Batch`: what is
to be kept together. The cursors in a batch are true once the batch is kept, and not before.

**Cursors.** `since` is the time of the newest item that was seen, by the source's own clock; the next listing begins an
`overlap` before it, and what was seen is known by its id. `checked` is the server's time up to which everything was
read: where that is older than what the vendor keeps, there is a gap. A listing that is ordered by time moves its cursor
page by page; any other only at its end, since whatever comes on a later page may be older.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

import orjson

from shipper._poll_spec import PLACES, ResourceSection
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.pages import Item, UnusableError, text_at
from shipper.inputs.poll.paging import Ask, Listing
from shipper.inputs.poll.preset import Source, fill, told

MOST_PARENTS: Final = 50_000
CHECKED_EVERY: Final = 3600.0
"""Seconds after which it is written down that a listing was complete, though it brought nothing new."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a listing was read. s since the epoch, by the server's clock; `since` None: no item was seen yet."""

    since: float | None
    checked: float

    @property
    def reached(self) -> float:
        """Where the next listing goes on, before any overlap."""
        return self.checked if self.since is None else self.since

    def as_json(self) -> bytes:
        """For the ledger."""
        return orjson.dumps({"since": self.since, "checked": self.checked})

    @classmethod
    def of(cls, blob: bytes | None) -> Cursor | None:
        """What `as_json` wrote."""
        if blob is None:
            return None
        value = orjson.loads(blob)
        return cls(value["since"], value["checked"])


class Gap(NamedTuple):
    """What the vendor no longer keeps and nobody has read: (key of the cursor, from, until)."""

    key: str
    since: float
    until: float


@dataclass(slots=True)
class Batch:
    """What one answer means, to be kept together.

    `key`: of the listing that the items stood in, where a resource has many: ids are its own.
    `cursors`: key -> cursor. `served`: keys of hints that are done with. `gone`: ids of objects that are no more.
    `listing`: the number of the full listing that the items were seen in; `complete`: it has come to its end.
    `delivery`: of the hook that made us look; `pushed`: it carried the items itself; `single`: they were read one by
    one. `named`: the items only name
    objects, which are to be read; `whole`: all of them, not only those that changed.
    """

    resource: str
    place: str
    items: list[Item] = field(default_factory=list)
    key: str = ""
    cursors: dict[str, Cursor] = field(default_factory=dict)
    served: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    listing: int | None = None
    complete: bool = False
    delivery: str | None = None
    pushed: bool = False
    single: bool = False
    named: bool = False
    whole: bool = False
    looked: Item | None = None
    """That for which everything was read by now: as long as it does not change that need not be done again."""


class Reading(Protocol):
    """One thing that is read from its beginning to its end."""

    resource: str

    def ask(self) -> Ask | None:
        """The next request, None at the end. The same one again until its answer was taken."""

    def take(self, answer: Answer, now: float) -> Batch:
        """What a good answer means; `now`: the server's time. Raises `UnusableError`."""

    def absent(self) -> Batch | None:
        """What it means that the thing asked for is not there (404, 410); None: that it cannot be."""


class State(Protocol):
    """What earlier readings left."""

    def cursor(self, key: str) -> Cursor | None:
        """How far a listing was read."""

    def parents(self, name: str) -> list[dict[str, str]] | None:
        """What a resource listed lately, None where that is too long ago."""

    def set_parents(self, name: str, parents: list[dict[str, str]]) -> None:
        """What it lists now."""

    def looked(self, resource: str, parent: Item) -> bool:
        """Whether a resource was read for this item of another one, which did not change since."""


class Walk:
    """A listing of one resource, or one for each item of another. `number`: of a full listing, None for what is new.

    `gaps` gathers what cannot be read any more.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        state: State,
        now: float,
        *,
        number: int | None = None,
        limit: int = 0,
        whole: bool = False,
    ) -> None:
        """`now`: the server's time. `limit`: items a page, where those are to be fewer. `whole`: from the beginning."""
        self.resource = name
        self.gaps: list[Gap] = []
        self._source, self._state, self._number, self._limit = source, state, number, limit
        self.began = now
        """The server's time before which everything that there was is read."""
        self._whole = whole
        self._passed = self._answered = False
        self._spec = source.resources[name]
        self._named = self._spec.object is not None and self._spec.object.partial
        self._listing: Listing | None = None
        self._key = name
        self._newest: float | None = None
        self._ordered = False
        self._parents: deque[dict[str, str]] | None = None
        self._found: list[dict[str, str]] = []
        if self._spec.for_each is None:
            self._begin({})
            return
        known = state.parents(self._spec.for_each)
        if known is not None:
            self._parents = deque(known)
            self._next_parent()
        else:
            self._listing = Listing(source, source.resources[self._spec.for_each], {})

    @property
    def _listing_parents(self) -> bool:
        return self._spec.for_each is not None and self._parents is None

    @property
    def _ended(self) -> bool:
        return self._listing is None and not self._passed

    def ask(self) -> Ask | None:
        """The next request."""
        return None if self._listing is None else self._listing.ask()

    def take(self, answer: Answer, now: float) -> Batch:
        """What a page means."""
        if not self._answered:
            # The server's clock may not have been known before its first answer.
            self._answered, self.began = True, min(self.began, now)
        assert self._listing is not None, "there was a request"
        page = self._listing.take(answer.body, answer.headers)
        batch = Batch(self.resource, self._listing.place, listing=self._number)
        if self._listing_parents:
            self._take_parents(page.items, last=page.last)
            batch.complete = self._listing is None
            return batch
        if self.resource in self._source.parents:
            self._found += [values_of(item.value) for item in page.items]
        batch.items, batch.named, batch.whole = page.items, self._named, self._whole
        batch.key = self._key
        self._move(page.items, batch, last=page.last)
        if page.last:
            self._next_parent()
        batch.complete = self._ended
        if batch.complete and self.resource in self._source.parents:
            self._state.set_parents(self.resource, self._found)
        return batch

    def absent(self) -> Batch | None:
        """One of many that went away meanwhile is passed over."""
        if self._spec.for_each is None or self._listing_parents or self._listing is None:
            return None
        batch = Batch(self.resource, self._listing.place, listing=self._number)
        self._next_parent()
        batch.complete = self._ended
        return batch

    def pass_over(self) -> Batch | None:
        """One of many cannot be read, which says nothing of what it has: a full listing is not complete then."""
        self._passed = True
        return self.absent()

    def _take_parents(self, found: Iterable[Item], *, last: bool) -> None:
        self._found += [values_of(item.value) for item in found]
        if len(self._found) > MOST_PARENTS:
            raise UnusableError(f"more than {MOST_PARENTS} of {self._spec.for_each}")
        if last:
            self._state.set_parents(self._spec.for_each or "", self._found)
            self._parents = deque(self._found)
            self._next_parent()

    def _next_parent(self) -> None:
        self._listing = None
        if not self._parents:
            return
        values = {f"parent.{name}": value for name, value in self._parents.popleft().items()}
        self._key = f"{self.resource}/{fill(_parent_key(self._spec), values) or ''}"
        self._begin(values)

    def _begin(self, values: Mapping[str, str]) -> None:
        """Start a listing where the one before ended."""
        since = self._spec.since
        self._newest, self._ordered = None, self._spec.order == "ascending"
        if since is not None:
            layout = since.layout
            values = {**values, "now": told(self.began, layout)}
            if self._number is None:
                begin = 0.0 if self._whole else self._start(since.first, since.overlap)
                values["since"] = told(begin, layout)
        self._listing = Listing(self._source, self._spec, values, limit=self._limit)

    def _start(self, first: float, overlap: float) -> float:
        cursor = self._state.cursor(self._key)
        oldest = self.began - self._spec.horizon if self._spec.horizon else 0.0
        if cursor is None:
            return max(self.began - first, oldest)
        if cursor.checked < oldest:
            self.gaps.append(Gap(self._key, cursor.checked, oldest))
        self._newest = cursor.since
        return max(cursor.reached - overlap, oldest)

    def _move(self, found: Iterable[Item], batch: Batch, *, last: bool) -> None:
        """Move the cursor as far as is certain."""
        self._newest, ordered = newest_of(found, self._newest, self.began)
        # An API that does not keep to the order that it was asked for must not move the cursor past what is to come.
        self._ordered = self._ordered and ordered
        before = self._state.cursor(self._key)
        if last:
            # What changed while everything was read is read again, however it is ordered.
            everything = self._whole or self._number is not None
            since = before.since if everything and before is not None else self._newest
            batch.cursors[self._key] = Cursor(since, self.began)
            if self._whole:
                batch.cursors[whole_key(self._key)] = Cursor(None, self.began)
        elif self._whole:
            return
        elif self._ordered and self._number is None and self._newest is not None:
            batch.cursors[self._key] = Cursor(self._newest, before.checked if before else self._newest)


def newest_of(found: Iterable[Item], before: float | None, now: float) -> tuple[float | None, bool]:
    """The newest time of these items and `before` (s since the epoch), and whether they stand in the order of time."""
    times = [item.time for item in found if item.time is not None]
    # A time to come would let the next listing begin after everything that comes until then.
    known = [min(one, now) for one in times] + ([] if before is None else [before])
    return max(known, default=None), all(one <= other for one, other in pairwise(times))


def whole_key(name: str) -> str:
    """The key of the cursor that says when all objects of a resource were named last."""
    return f"{name}/*"


def _parent_key(spec: ResourceSection) -> str:
    """The places of what tells the items of `for_each` apart: all of a parent that are asked for, or else added."""
    asked = (spec.path, *spec.query.values(), orjson.dumps(spec.body).decode())
    for texts in (asked, tuple(spec.add.values())):
        found = [f"{{{name}}}" for text in texts for name in PLACES.findall(text) if name.startswith("parent.")]
        if found:
            return "/".join(dict.fromkeys(found))
    return ""


def values_of(value: Any, prefix: str = "") -> dict[str, str]:
    """The members of an item that can be filled in somewhere, those of its objects by dotted names."""
    found = {}
    for name, one in value.items() if isinstance(value, dict) else ():
        text = text_at(one, "")
        if text is not None:
            found[prefix + name] = text
        elif isinstance(one, dict) and not prefix:
            found.update(values_of(one, f"{name}."))
    return found
