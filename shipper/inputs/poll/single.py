"""Objects that are read one by one, since a hook spoke of them or a full listing lacked them. Pure: time is handed in.

**Not found** (404, 410) means that an object is gone, if the way to it is right: an address that moved, a right that
was taken away and a gateway on the way answer the same. So it is believed at once only where a hook says the same; else
it is held back until another object of its kind was read well after it, or the reading is at its end with few of them.
Many in a row, or an answer that is no API's, are doubted: their hints stay, and only when it is the same an hour later
it is believed.

**Spoiled** answers (maintenance, a right that is missing) say nothing. The hint stays, and the object is asked for
again, later each time; after `PATIENCE` times it is given up, and that is told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from shipper.inputs.poll.engine import Batch
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.pages import UnusableError, decode, gathered, item_of, items
from shipper.inputs.poll.paging import Ask
from shipper.inputs.poll.preset import Source, fill_all, fill_path
from shipper.inputs.poll.session import Absent
from shipper.inputs.poll.tasks import PATIENCE

CROWD: Final = 10
"""So many objects that are not found in a row are doubted."""
_ROW: Final = 3600.0
"""Seconds after which one more that is not found is no part of a row."""
_DOUBTED: Final = 3000.0
"""Seconds for which a doubt holds; what is held back is asked for again every hour."""
_SHORTEST: Final = 60.0
_LONGEST: Final = 3600.0


class Wanted(NamedTuple):
    """An object to be read. `hints`: keys of those that ask for it. `snapshot`: the object as a hook had it."""

    resource: str
    id: str
    hints: tuple[str, ...] = ()
    snapshot: bytes | None = None
    delivery: str | None = None
    gone: bool = False
    """Said to be deleted, which is looked at all the same."""


class Held(NamedTuple):
    """What an answer means, and the server's time before and after it."""

    batch: Batch
    asked: float
    read: float


class Trust:
    """What is remembered from one reading of single objects to the next. Times are monotonic, s.

    `told`: (resource, text) of what is to be reported.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.again = False
        """Whether there is something to be read that was left before."""
        self._put_off: dict[tuple[str, str], tuple[int, float]] = {}
        self._rows: dict[str, tuple[int, float]] = {}
        self._doubts: dict[str, float] = {}
        self._absent: dict[str, set[str]] = {}
        self._lost: Counter[str] = Counter()
        self._left: deque[Wanted] = deque()

    def left(self, now: float) -> Iterator[Wanted]:
        """Objects that no hint speaks of, and that may be asked for again."""
        for _ in range(len(self._left)):
            one = self._left.popleft()
            if self._waits(one, now):
                self._left.append(one)
            else:
                yield one

    def leave(self, one: Wanted) -> None:
        """It is not asked for now: a hint for it stays where it is."""
        if not one.hints:
            self._left.append(one)

    def _waits(self, one: Wanted, now: float) -> bool:
        since = self._doubts.get(one.resource)
        if since is not None and now - since < _DOUBTED and one.id in self._absent.get(one.resource, ()):
            return True
        return now < self._put_off.get((one.resource, one.id), (0, 0.0))[1]

    def waits(self, one: Wanted, now: float) -> bool:
        """Whether it is not to be asked for yet; it is left then."""
        if self._waits(one, now):
            self.leave(one)
            return True
        return False

    def due(self, now: float) -> float:
        """The moment at which something that was put off is to be asked for again, an hour from now at the latest."""
        return min((at for _, at in self._put_off.values()), default=now + _LONGEST)

    # -- what answers say ----------------------------------------------------------------------------------------------

    def found(self, one: Wanted) -> None:
        """It was read, so the way to objects of its kind is right."""
        self._put_off.pop((one.resource, one.id), None)
        self._rows.pop(one.resource, None)
        self._absent.pop(one.resource, None)
        if self._doubts.pop(one.resource, None) is not None:
            self.again = True

    def missed(self, one: Wanted, now: float) -> bool:
        """It was not found; whether that is one too many in a row."""
        self._put_off.pop((one.resource, one.id), None)
        count, at = self._rows.get(one.resource, (0, now))
        count = 1 if now - at > _ROW else count + 1
        self._rows[one.resource] = count, now
        return count >= CROWD

    def doubts(self, resource: str) -> bool:
        """Whether what is not found of it is not believed."""
        return resource in self._doubts

    def is_old(self, resource: str, now: float) -> bool:
        """Whether it was doubted long ago, and is the same now: then it is believed."""
        since = self._doubts.get(resource)
        return since is not None and now - since >= _DOUBTED

    def doubt(self, resource: str, found: list[Wanted], now: float) -> None:
        """Do not believe that these are gone."""
        if resource not in self._doubts:
            self._doubts[resource] = now
            text = (
                f"{len(found)} of {resource} were not found, one after another: taken for a fault of the API or a"
                " change of rights, nothing is said to be deleted unless it is the same in an hour"
            )
            self.told.append((resource, text))
        self._rows.pop(resource, None)
        self._absent.setdefault(resource, set()).update(one.id for one in found)
        for one in found:
            self.leave(one)

    def settled(self, resource: str) -> None:
        """What was doubted is believed."""
        self._doubts.pop(resource, None)
        self._absent.pop(resource, None)
        self._rows.pop(resource, None)

    def spoiled(self, one: Wanted, now: float) -> bool:
        """Its answer could not be used; whether that was once too often."""
        key = one.resource, one.id
        tries = self._put_off.get(key, (0, 0.0))[0] + 1
        if tries < PATIENCE:
            self._put_off[key] = tries, now + min(_SHORTEST * 2.0 ** (tries - 1), _LONGEST)
            return False
        self._put_off.pop(key, None)
        self._lost[one.resource] += 1
        return True

    def sum_up(self) -> None:
        """At the end of a reading: tell what was given up."""
        for resource, count in self._lost.items():
            text = f"{count} of {resource} could not be read {PATIENCE} times: what hooks said of them is not looked at"
            self.told.append((resource, text))
        self._lost.clear()


class Reads:
    """Objects that are read one by one, as `more` gives them (engine.Reading). `now`: a monotonic clock."""

    resource = "objects"

    def __init__(
        self, source: Source, more: Callable[[], Iterator[Wanted]], trust: Trust, now: Callable[[], float]
    ) -> None:  # fmt: skip
        self._source, self._trust, self._now = source, trust, now
        self._wanted = more()
        self._one: Wanted | None = None
        self._ask: Ask | None = None
        self._held: list[tuple[Wanted, Held, bool]] = []
        self._believed: list[Held] = []
        self._ended: set[str] = set()

    def ask(self) -> Ask | None:
        """The next object's request."""
        while self._ask is None:
            self._one = next(self._wanted, None)
            if self._one is None:
                return None
            if self._one.resource in self._ended:
                self._trust.leave(self._one)
            elif not self._trust.waits(self._one, self._now()):
                self._ask = self._request(self._one)
        return self._ask

    def _request(self, one: Wanted) -> Ask | None:
        spec = self._source.resources[one.resource]
        assert spec.object is not None, "hints are of objects"
        path = fill_path(spec.object.read or "", {**self._source.settings, "id": one.id})
        if not path:
            return None
        headers = fill_all({**self._source.headers, **spec.headers}, self._source.settings)
        return Ask("GET", self._source.api + path, headers, None, f"GET {spec.object.read}")

    def take(self, answer: Answer, now: float) -> Batch:
        """The object as it is now. What was held back of its kind is believed."""
        del now
        one, ask = self._current()
        spec = self._source.resources[one.resource]
        assert spec.object is not None, "hints are of objects"
        found = items(answer.body, decode(answer.body), spec.object.inside)
        if spec.object.rows is not None:
            found = [gathered(one.id, spec.id[0], spec.object.rows, found)]
        if len(found) != 1:
            raise UnusableError("the answer is not one object")
        item = item_of(*found[0], spec.id, spec.time, {})
        if item.id != one.id:
            raise UnusableError("the answer is another object than the one asked for")
        self._ask = None
        self._trust.found(one)
        self._believe(one.resource)
        return Batch(one.resource, ask.place, [item], served=one.hints, delivery=one.delivery, single=True)

    def absent(self) -> Batch:
        """It is no more, as far as this answer goes."""
        one, ask = self._current()
        self._ask = None
        return Batch(one.resource, ask.place, served=one.hints, gone=(one.id,), delivery=one.delivery, single=True)

    def hold(self, outcome: Absent) -> None:
        """It was not found; that is held back, unless a hook says the same, or it was doubted before."""
        one, _ = self._current()
        now = self._now()
        held = Held(self.absent(), outcome.asked, outcome.heard)
        if one.gone:
            self._believed.append(held)
            return
        crowd = self._trust.missed(one, now)
        self._held.append((one, held, outcome.plain))
        if self._trust.is_old(one.resource, now):
            self._believe(one.resource)
        elif crowd:
            self._ended.add(one.resource)

    def _believe(self, resource: str) -> None:
        self._believed += [held for one, held, _ in self._held if one.resource == resource]
        self._held = [entry for entry in self._held if entry[0].resource != resource]

    def believed(self) -> list[Held]:
        """What was held back and is to be kept now."""
        found, self._believed = self._believed, []
        return found

    def end(self) -> None:
        """All were asked for: what is held back is believed, or doubted."""
        now = self._now()
        for resource in dict.fromkeys(one.resource for one, _, _ in self._held):
            mine = [(one, plain) for one, _, plain in self._held if one.resource == resource]
            if resource in self._ended or self._trust.doubts(resource) or not all(plain for _, plain in mine):
                self._trust.doubt(resource, [one for one, _ in mine], now)
            else:
                self._believe(resource)
        self._held = []
        for resource in self._source.resources:
            if self._trust.is_old(resource, now):
                self._trust.settled(resource)
        self._trust.sum_up()

    def skip(self) -> Batch:
        """Its answer cannot be used. Whoever asked for it stays, unless that was once too often."""
        one, ask = self._current()
        self._ask = None
        given_up = not one.hints or self._trust.spoiled(one, self._now())
        return Batch(one.resource, ask.place, served=one.hints if given_up else ())

    def _current(self) -> tuple[Wanted, Ask]:
        assert self._one is not None, "there was a request"
        assert self._ask is not None, "there was a request"
        return self._one, self._ask
