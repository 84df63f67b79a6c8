"""What a resource has for each item of another that changed: the changed ones are listed, then each is read. Pure.

The cursor belongs to the resource, and counts by the times of the items that changed. It moves page by page of these,
once everything of a page was read, where their order allows that. What was read once since it changed is not read again
only because listings overlap.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from shipper._poll_spec import ResourceSection
from shipper.inputs.poll.engine import Batch, Cursor, State, Walk, newest_of, values_of
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.pages import Item, UnusableError, at, moment, raw_at, text_at
from shipper.inputs.poll.paging import Ask, Listing
from shipper.inputs.poll.preset import Source, told

BEFORE: Final = "before"
"""The member of a state's record that holds the state before it."""

_DOUBTED: Final = 2
"""So many may be refused before one was answered."""


def reading_of(source: Source, name: str, state: State, now: float, limit: int = 0) -> Walk | Changed:
    """A reading of what is new of a resource. `now`: the server's time; `limit`: items a page, 0: as is configured."""
    parent = source.resources[name].for_each
    if parent is not None and source.resources[parent].since is not None:
        return Changed(source, name, state, now, limit=limit)
    return Walk(source, name, state, now, limit=limit)


class Changed:
    """A reading (engine.Reading). `now`: the server's time. `limit`: changed items a page, where those are to be fewer.

    It knows no gaps: what changed is asked of what there is now, and histories are cut by count, not by time.
    """

    def __init__(self, source: Source, name: str, state: State, now: float, *, limit: int = 0) -> None:
        self.resource = name
        self._source, self._state, self._limit = source, state, limit
        self.began = now
        """As of `Walk`."""
        self._spec = source.resources[name]
        self._parents = source.resources[self._spec.for_each or ""]
        assert self._parents.since is not None, "reading_of looked"
        cursor = state.cursor(name)
        begun = now if cursor is None else cursor.reached
        self._reach = begun - self._parents.since.first
        """What was written before that is not told: it is older than the input, or was told."""
        self._newest = None if cursor is None else cursor.since
        self._begin(self._reach if cursor is None else begun - self._parents.since.overlap)
        self._waiting: deque[Item] = deque()
        self._last = False
        self._parent: Item | None = None
        self._child: Listing | None = None
        self._answered = False
        self._refused = 0

    def _begin(self, since: float) -> None:
        """Ask for what changed from then on."""
        assert self._parents.since is not None, "reading_of looked"
        layout = self._parents.since.layout
        values = {"since": told(since, layout), "now": told(self.began, layout)}
        self._listing: Listing | None = Listing(self._source, self._parents, values, limit=self._limit)
        self._from, self._pages = since, 0
        self._ordered = self._parents.order == "ascending"

    def ask(self) -> Ask | None:
        """The next request."""
        listing = self._child or self._listing
        return None if listing is None else listing.ask()

    def take(self, answer: Answer, now: float) -> Batch:
        """What a page means: of those that changed, or of one of them."""
        # The server's clock may not have been known before its first answer.
        self.began = min(self.began, now)
        if self._child is None:
            return self._take_parents(answer)
        page = self._child.take(answer.body, answer.headers)
        self._answered = True
        batch = Batch(self.resource, self._child.place)
        batch.items = [one for item in page.items for one in self._items(item)]
        if page.last:
            batch.looked = self._parent
            self._next(batch)
        return batch

    def _take_parents(self, answer: Answer) -> Batch:
        assert self._listing is not None, "there was a request"
        page = self._listing.take(answer.body, answer.headers)
        batch = Batch(self.resource, self._listing.place)
        self._pages += 1
        self._last = page.last
        self._newest, ordered = newest_of(page.items, self._newest, self.began)
        self._ordered = self._ordered and ordered
        self._waiting.extend(item for item in page.items if not self._state.looked(self.resource, item))
        self._next(batch)
        return batch

    def _next(self, batch: Batch) -> None:
        """Go on with the next of those that changed; after the last of a page its cursor is true."""
        self._child = self._parent = None
        if self._waiting:
            self._parent = self._waiting.popleft()
            values = {f"parent.{name}": value for name, value in values_of(self._parent.value).items()}
            self._child = Listing(self._source, self._spec, values)
            return
        before = self._state.cursor(self.resource)
        if self._last:
            self._listing = None
            batch.cursors[self.resource] = Cursor(self._newest, self.began)
            batch.complete = True
        elif self._ordered and self._newest is not None:
            batch.cursors[self.resource] = Cursor(self._newest, before.checked if before else self._newest)

    def absent(self) -> Batch | None:
        """One that changed is gone by now."""
        if self._child is None:
            return None
        batch = Batch(self.resource, self._child.place)
        self._next(batch)
        return batch

    def pass_over(self) -> Batch | None:
        """A request that will never be answered well.

        One of many is passed over, unless none is answered: then it is not because of this one. A page of those
        that changed may be refused because there are no more than so many of one search: another one begins with the
        newest that was seen.
        """
        if self._child is not None:
            self._refused += 1
            if not self._answered and (self._refused > _DOUBTED or not self._waiting):
                return None
            return self.absent()
        if self._listing is None or not self._pages or not self._ordered or self._newest is None:
            return None
        if self._newest <= self._from:
            return None
        place = self._listing.place
        self._begin(self._newest)
        return Batch(self.resource, place)

    def _items(self, item: Item) -> Iterable[Item]:
        if self._spec.history is None:
            return [item]
        return states(item, self._spec, self._reach)


def states(item: Item, spec: ResourceSection, reach: float) -> list[Item]:
    """The states of an object's fields since `reach` (s since the epoch), each an item of its own, oldest first.

    Each has the object's members that are its id, those that were added, the state as the only one of its field, and
    beside that, in `before`, the next older one.
    """
    path = spec.history or ""
    found = at(item.value, path)
    if not isinstance(found, dict):
        raise UnusableError(f"the answer has no {path}")
    try:
        raw = msgspec.json.decode(raw_at(item.data, path), type=dict[str, list[msgspec.Raw]])
        whole = msgspec.json.decode(item.data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        raise UnusableError(f"{path} does not hold a list for each field") from None
    kept = {name: whole[name] for name in (*spec.add, *spec.id) if name in whole}
    found_items: list[Item] = []
    for name, listed in found.items():
        if name in spec.ignore:
            continue
        # Newest first, as vendors have them; of equal times the later one in the list is the older one.
        pairs = list(zip(listed, raw[name], (moment(at(one, spec.time or "")) for one in listed), strict=True))[::-1]
        pairs.sort(key=lambda pair: pair[2] or 0.0)
        seen: Counter[str] = Counter()
        for place, (state, data, time) in enumerate(pairs):
            stamp = text_at(state, spec.time or "") or ""
            # Never of the value: the id stands in the open where the value may be hidden.
            key = "/".join((item.id, name, stamp, *([str(seen[stamp])] if seen[stamp] else [])))
            seen[stamp] += 1
            if time is not None and time < reach:
                continue
            members: dict[str, Any] = {**kept, path: {name: [data]}}
            if place:
                members[BEFORE] = {name: pairs[place - 1][1]}
            found_items.append(Item(msgspec.json.encode(members), state, key, item.named, time))
    return sorted(found_items, key=lambda one: one.time or 0.0)
