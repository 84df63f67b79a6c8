"""The differ of one source: what is seen of its records goes in, records of what changed come out.

All channels of a source (polls, listings, what its hooks carry) come together here, in one snapshot of each record; so
a change is told once, however it was learned. Nothing is decided by a clock: times are handed in, by the source's clock
where it tells its own (its `Date` header), s since the epoch.

Every call is within the transaction of the chunk that will carry the records, so that snapshots, journal and cursor go
forward and back together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from parsers._contract import Change, Operation, Time
from shipper.differ.attribute import Piece, loose, match, native_of, untold, untold_element
from shipper.differ.diff import Difference, ObjectPolicy, beside, diff
from shipper.differ.records import Found, Named, changes, members_of, moment, native_changes, record, time_of
from shipper.differ.snapshots import Book, Entry, Listing, Native, Reading, Snapshots, Told, View, dumps
from shipper.differ.views import LIST, bound_of, remember, sides
from shipper.timestamps import resolve

SLACK: Final = 5.0
"""Seconds by which a source's answers may lag behind its own records of changes."""
REMEMBERED: Final = 7 * 86_400.0
"""Seconds for which the source may still name the author of a change that was told."""
DEEPEST: Final = 56
"""Levels of a record that is compared; the format of the records allows 64, theirs included."""
BELIEVED: Final = 3600.0
"""Seconds after which an answer is believed even if the source's time of update went back: it was restored.

As long a listing may still show what was deleted: many are made of an index that lags behind.
"""
CREATE, DELETE, RESTORE, UPDATE, ATTRIBUTED = (
    "record.create",
    "record.delete",
    "record.restore",
    "field.update",
    "change.attributed",
)
_WHOLE: Final = {CREATE: "create", DELETE: "delete", "user.create": "create", "user.delete": "delete"}
_UTC: Final = ZoneInfo("UTC")
_NOBODY: Final = Named()


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was seen at `read`; `body` None: it is gone (its reading said so, or a whole listing had it not).

    `updated`, `created`: the source's own times; `editor`: whom it names as last editor, `creator`: as who made it.
    `pushed`: the source sent it by itself (a hook), so that it may come late and be old. `listing`: the number of the
    listing that it stood in. `asked`: the moment before which the state is not, None for `read`. `view`: the way that
    it was seen in, of those in shipper/differ/views.py.
    """

    type: str
    id: str
    body: dict[str, Any] | None
    read: float
    updated: Time | None = None
    created: Time | None = None
    editor: Named = _NOBODY
    creator: Named = _NOBODY
    name: str | None = None
    url: str | None = None
    owner_id: str | None = None
    label: str | None = None
    """The source's word for the type, for messages (`Contact`)."""
    pushed: bool = False
    listing: int | None = None
    asked: float | None = None
    view: str = ""


class Outcome(NamedTuple):
    """What became of one `Seen`.

    `what`: `baseline` (seen for the first time), `same`, `changed`, `created`, `restored`, `deleted`, `stale` (older
    than what is known), `unknown` (gone, and never seen), `too_deep`. `records`: for the format `snapshot_diff`, in
    order. `ignored`: fields that differ and are ignored; `met`: changes that the source had told itself.
    """

    what: str
    records: tuple[bytes, ...] = ()
    ignored: int = 0
    met: int = 0


class Differ:
    """Compares what is seen of one source's records. `source`: its `event.module`; `policies`: type -> how."""

    def __init__(
        self, source: str, snapshots: Snapshots, policies: Mapping[str, ObjectPolicy], *, slack: float = SLACK
    ) -> None:
        self.source = source
        self._snapshots, self._policies, self._slack = snapshots, policies, slack
        self._default = ObjectPolicy()

    # -- what is seen -------------------------------------------------------------------------------------------------

    def see(self, book: Book, seen: Seen) -> Outcome:
        """Compare what was seen with what is known, and remember it."""
        known = self._snapshots.listing(book, seen.type)
        first = known is None
        if known is None:
            known = Listing(since=seen.read)
            self._snapshots.put_listing(book, seen.type, known)
        entry = self._snapshots.get(book, seen.type, seen.id)
        if seen.body is None:
            return self._gone(book, entry, seen)
        if entry is None:
            entry = Entry(seen.type, seen.id)
        updated = _seconds(seen.updated)
        refused = ""
        data = dumps(seen.body)
        # Depth cannot exceed the number of opening brackets, which is far cheaper to count than depth is to walk.
        if data.count(b"{") + data.count(b"[") > DEEPEST and _is_deep(seen.body, DEEPEST):
            refused = "too_deep"
        elif (entry.body is not None or entry.gone) and _is_stale(entry, seen, updated):
            refused = "stale"
        if seen.listing is not None:
            entry.listing = seen.listing
        if refused:
            if seen.listing is not None and entry.body is not None:
                self._snapshots.put(book, entry)  # it is not absent, at least
            return Outcome(refused)
        told: frozenset[str] = frozenset()
        if entry.gone:
            outcome = self._restored(entry, seen)
        elif entry.body is None:
            outcome = self._first(entry, seen, known, first=first)
        elif data == dumps(entry.body) and not entry.quiet:
            outcome = Outcome("same")  # as it nearly always is
        else:
            outcome, told = self._compared(entry, seen, updated)
        remember(entry, seen.body, seen.view, _asked(seen, updated), told)
        entry.gone = False
        entry.read = max(entry.read, seen.read)
        entry.updated = entry.updated if updated is None else updated
        self._tidy(entry)
        self._snapshots.put(book, entry)
        return outcome

    def _first(self, entry: Entry, seen: Seen, known: Listing, *, first: bool) -> Outcome:
        """A record that was never seen: a baseline, unless the source says that it was made since we look."""
        since = known.since if known.whole is None else known.whole
        created = _seconds(seen.created)
        if first or created is None or not since < created <= seen.read + self._slack:
            return Outcome("baseline")
        for native in entry.natives:
            if (native.field, native.new) == ("", "create"):
                return Outcome("baseline", met=1)
        identity = _next(entry, seen)
        entry.told.append(Told("", "", "create", since, seen.read, "", identity))
        members = self._members(seen, CREATE, since, seen.read)
        members["time"] = time_of(seen.created)
        members["values"] = seen.body
        members["creator"] = seen.creator.told()
        updated = _seconds(seen.updated)
        if members["creator"] and updated is not None and updated > created:
            # Somebody else may have set what is there by now.
            members["actor"] = {"type": "user", "confidence": "inferred"}
            members["fields"] = {"trail.actor.basis": "created_by"}
        return Outcome("created", (record(self.source, identity, members),))

    def _restored(self, entry: Entry, seen: Seen) -> Outcome:
        identity = _next(entry, seen)
        members = self._members(seen, RESTORE, entry.after, seen.read)
        members["values"] = seen.body
        return Outcome("restored", (record(self.source, identity, members),))

    def _compared(self, entry: Entry, seen: Seen, updated: float | None) -> tuple[Outcome, frozenset[str]]:
        """What became of it, and the members that differ."""
        assert entry.body is not None
        assert seen.body is not None
        policy = self._policies.get(seen.type, self._default)
        differences, ignored = diff(*sides(entry, seen.body, seen.view), policy)
        names = frozenset(str(one.path[0]) for one in differences)
        bounds: dict[str, float | None] = {name: bound_of(entry, seen.view, name) for name in names}
        before = max(seen.read, entry.read)
        if updated is not None and (entry.updated is None or updated > entry.updated):
            # A former answer did not show it though it had happened, or its time is cut to the second before.
            bounds |= {name: entry.updated for name, bound in bounds.items() if bound is None or updated <= bound}
        known = list(bounds.values())
        earliest = None if None in known else min((one for one in known if one is not None), default=None)
        found: list[tuple[Difference, Piece]] = []
        met = 0
        for one in differences:
            mine = [native for native in entry.natives if native.field == one.field]
            whole = Piece(one.old, one.new, bounds[str(one.path[0])], before)
            rest = (untold_element if one.element else untold)(whole, mine, self._slack)
            met += len(rest.natives)
            for native in rest.natives:
                entry.natives.remove(native)
            found += [(one, piece) for piece in rest.pieces]
        if not found:
            return Outcome("same", ignored=ignored, met=met), names
        identity = _next(entry, seen)
        for k, (one, piece) in enumerate(found):
            event = identity if len(found) == 1 else f"{identity}#{k}"
            old, new = loose(piece.old) or "", loose(piece.new) or ""
            entry.told.append(Told(one.field, old, new, piece.after, piece.before, event, identity))
        members = self._members(seen, UPDATE, earliest, before)
        told = (Found(one.field, *piece, one.element) for one, piece in found)
        members["changes"] = changes(told, earliest, before)
        members["values"] = beside([one.path for one, _ in found], seen.body, policy)
        return Outcome("changed", (record(self.source, identity, members),), ignored, met), names

    def _gone(self, book: Book, entry: Entry | None, seen: Seen) -> Outcome:
        if entry is None or entry.body is None:
            return Outcome("unknown")
        if seen.read < entry.read:
            return Outcome("stale")
        body, entry.body, entry.gone = entry.body, None, True
        told = [one for one in entry.natives if (one.field, one.new) == ("", "delete")]
        records: tuple[bytes, ...] = ()
        if not told:
            identity = _next(entry, seen)
            entry.told.append(Told("", "", "delete", entry.after, seen.read, "", identity))
            members = self._members(seen, DELETE, entry.after, seen.read)
            members["values"] = body
            records = (record(self.source, identity, members),)
        entry.read, entry.natives = seen.read, []
        entry.views, entry.quiet = {seen.view: View(None, _asked(seen, None))}, frozenset()
        self._tidy(entry)
        self._snapshots.put(book, entry)
        return Outcome("deleted", records, met=len(told))

    def _members(self, seen: Seen, action: str, after: float | None, before: float) -> dict[str, Any]:
        thing = {
            name: value
            for name in ("type", "id", "name", "url", "owner_id", "label")
            if (value := getattr(seen, name)) is not None
        }
        return {
            "action": action,
            "time": time_of(seen.updated),
            "object": thing,
            "last_editor": seen.editor.told(),
            "changed_after": moment(after),
            "changed_before": moment(before, up=True),
        }

    def _tidy(self, entry: Entry) -> None:
        """Forget what the snapshot shows by now, and changes that nobody will name an author of any more."""
        entry.natives = [one for one in entry.natives if one.time > entry.read - self._slack]
        entry.told = [one for one in entry.told if one.before > entry.read - REMEMBERED]

    # -- whole listings -----------------------------------------------------------------------------------------------

    def begin_listing(self, book: Book, kind: str, start: float) -> int:
        """A listing of all records of a type begins: its number, which every record of it is seen with."""
        known = self._snapshots.listing(book, kind) or Listing(since=start)
        known.number, known.start = known.number + 1, start
        self._snapshots.put_listing(book, kind, known)
        return known.number

    def absent(self, book: Reading, kind: str) -> dict[str, bool]:
        """Ids of records that the listing, which must have come to its end, had not, nor anything since its begin.

        With each, whether it was the same with the whole listing before. Read each of them to be sure, where the source
        can be asked, and see it without a body where it is gone.
        """
        known = self._snapshots.listing(book, kind)
        if known is None or known.start is None:
            return {}
        former, before = known.former or 0, known.whole or 0.0
        return {
            entry.id: entry.listing < former and entry.read < before
            for entry in self._snapshots.scan(book, kind)
            if entry.body is not None and entry.listing != known.number and entry.read < known.start
        }

    def end_listing(self, book: Book, kind: str) -> None:
        """The listing came to its end and all that were absent were seen to: a record unknown from now on is new."""
        known = self._snapshots.listing(book, kind)
        if known is None or known.start is None:
            return
        for entry in list(self._outdated(book, kind, known.start - REMEMBERED)):
            self._snapshots.forget(book, entry)
        known.whole, known.former, known.start = known.start, known.number, None
        self._snapshots.put_listing(book, kind, known)

    def _outdated(self, book: Reading, kind: str, before: float) -> Iterator[Entry]:
        """Records of which there is no snapshot, and nothing recent either."""
        for entry in self._snapshots.scan(book, kind):
            latest = max((one.time for one in entry.natives), default=entry.read)
            if entry.body is None and max(entry.read, latest) < before:
                yield entry

    # -- what the source tells itself ---------------------------------------------------------------------------------

    def native(self, book: Book, op: Operation) -> tuple[bytes, ...] | None:
        """Meet one operation that the source itself recorded with what was found by comparison.

        None: nothing of it is told yet, so its record goes its own way. Else the records to give out in its place:
        who made the changes that were told (`change.attributed`), and what of it is new.
        """
        time, kind, identity = _seconds(op.time), op.object_type, op.object_id
        if time is None or identity is None or kind is None or kind not in self._policies:
            return None
        entry = self._snapshots.get(book, kind, identity) or Entry(kind, identity)
        found: list[Told] = []
        rest: list[Change] = []
        noted = False
        for native, change in _natives(op, time, self._policies[kind].aliases):
            one = match(entry.told, native, self._slack)
            if one is not None:
                entry.told.remove(one)
                found.append(one)
                continue
            if change is not None:
                rest.append(change)
            if time > entry.read - self._slack:
                entry.natives.append(native)
                noted = True
        if found or noted:
            self._snapshots.put(book, entry)
        return self._attributed(op, found, rest) if found else None

    def _attributed(self, op: Operation, found: list[Told], rest: list[Change]) -> tuple[bytes, ...]:
        members = members_of(op)
        records = []
        if rest:
            records.append(record(self.source, op.id or "", {**members, "changes": native_changes(rest)}))
            members["raw"] = members["values"] = None  # they stand with what is new
        identity = f"{op.id}.attributed" if op.id is not None and rest else op.id
        said = {
            "action": ATTRIBUTED,
            "code": op.code or op.action,
            "category": None,
            "type": None,
            "attribution": {
                "event_id": [one.event for one in found if one.event],
                "operation_id": list(dict.fromkeys(one.operation for one in found)),
                "field": [one.field for one in found if one.field],
            },
        }
        records.append(record(self.source, identity or "", {**members, **said}))
        return tuple(records)


def _natives(op: Operation, time: float, aliases: Mapping[str, str]) -> Iterator[tuple[Native, Change | None]]:
    """The changes of an operation as they are met, each beside what it was told as; None for a whole record."""
    whole = _WHOLE.get(op.action)
    if whole is not None:
        yield Native("", None, whole, {}, {}, time), None
        return
    for change in op.changes:
        yield native_of(aliases.get(change.field, change.field), change.old, change.new, time), change


def _next(entry: Entry, seen: Seen) -> str:
    """The id of the next operation on a record: no other has it."""
    entry.revision += 1
    return f"{seen.type}/{seen.id}@{moment(seen.read)}.{entry.revision}"


def _asked(seen: Seen, updated: float | None) -> float:
    """The moment before which the state that is seen is not: of what was pushed, when the source made it."""
    asked = seen.read if seen.asked is None else min(seen.asked, seen.read)
    return min(asked, updated) if seen.pushed and updated is not None else asked


def _is_stale(entry: Entry, seen: Seen, updated: float | None) -> bool:
    """Whether what was seen is older than what is known."""
    if entry.gone:
        lags = seen.pushed or (seen.view == LIST and seen.read < entry.read + BELIEVED)
        return (lags and updated is not None and updated <= entry.read) or seen.read <= entry.read
    if updated is not None and entry.updated is not None and updated != entry.updated:
        return updated < entry.updated and (seen.pushed or seen.read < entry.read + BELIEVED)
    return seen.read < entry.read


def _is_deep(value: Any, levels: int) -> bool:
    """Whether containers stand in one another deeper than `levels`."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deep(one, levels - 1) for one in inner)


def _seconds(time: Time | None) -> float | None:
    """A time of the source in s since the epoch; None where there is none, or it cannot be read."""
    if time is None:
        return None
    found = resolve(time, received=0.0, mtime=None, zone=_UTC, previous=None)
    return found.seconds if found.precision == "exact" else None
