"""What each input gives of who, when, from where and what: its format's card beside what really came.

The documents are counted as the journal keeps them, so the answer is exact for the time that the journal holds
(`journal.keep`), whatever the outputs are, and costs the running agent nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

import mappings
from parsers._contract import Format, Gives
from shipper._privacy import Policy, named_by_a_rule

FACETS: Final = Gives._fields
KINDS: Final = ("native", "diff", "inferred", "none")
"""How a fact is known: the source says it, two snapshots say it, it follows from something else, or not at all."""

_DERIVED: Final = {"native": "native", "snapshot_diff": "diff", "reconstructed": "inferred", "new_only": "native"}
_PRECISION: Final = {"exact": "native", "bounded": "diff"}
_LOGINS: Final = ("auth.", "session.")
_EXPORTS: Final = frozenset({"data.export", "data.read", "report.run", "file.download"})
_CHANGED: Final = frozenset(
    name
    for name, spec in mappings.actions().items()
    if "trail.change.field" in spec.expects or name.startswith("user.")
)


class _Event(msgspec.Struct, frozen=True):
    dataset: str = ""
    action: str = ""
    kind: str = ""


class _User(msgspec.Struct, frozen=True):
    id: str | None = None
    name: str | None = None
    email: str | None = None
    full_name: str | None = None


class _Side(msgspec.Struct, frozen=True):
    ip: str | None = None


class _Change(msgspec.Struct, frozen=True):
    field: str
    old_state: str
    new_state: str
    derivation: str


class _Actor(msgspec.Struct, frozen=True):
    confidence: str = "unknown"


class _Session(msgspec.Struct, frozen=True):
    id: str | None = None


class _Precision(msgspec.Struct, frozen=True):
    precision: str = "received"


class _Origin(msgspec.Struct, frozen=True):
    input: str = ""


class _Object(msgspec.Struct, frozen=True):
    type: str = ""


class _Trail(msgspec.Struct, frozen=True):
    origin: _Origin = _Origin()
    actor: _Actor = _Actor()
    change: _Change | None = None
    object: _Object = _Object()
    session: _Session | None = None
    time: _Precision = _Precision()


class _Document(msgspec.Struct, frozen=True):
    event: _Event
    timestamp: str = msgspec.field(name="@timestamp", default="")
    user: _User | None = None
    source: _Side | None = None
    client: _Side | None = None
    trail: _Trail = _Trail()


_decode = msgspec.json.Decoder(_Document, strict=False).decode


@dataclass(slots=True)
class Row:
    """One input and format. `came`: facet -> how it was known -> in how many documents of those that could say it."""

    input: str
    format: str
    declared: Gives
    documents: int = 0
    unparsed: int = 0
    last: str = ""
    came: dict[str, Counter[str]] = field(default_factory=lambda: {facet: Counter() for facet in FACETS})

    def cell(self, facet: str) -> str:
        """`native 98%`, `none`, or `native, none came` where the card promises what never came."""
        counts, declared = self.came[facet], getattr(self.declared, facet)
        given = {kind: counts[kind] for kind in KINDS[:-1] if counts[kind]}
        if facet in {"logins", "exports"}:
            return f"{sum(given.values()):,}" if given else "none" if declared == "none" else f"{declared}, none came"
        if not given:
            asked = sum(counts.values())
            return "none" if declared == "none" else declared if not asked else f"{declared}, none came"
        share = 100 * sum(given.values()) / sum(counts.values())
        kinds = "+".join(given)
        return f"{kinds} {_percent(share)}"


def _percent(share: float) -> str:
    """Never 100 % for less than all, never 0 % for more than nothing."""
    return f"{min(99, max(1, round(share)))}%" if share < 100 else "100%"


class Uncovered(NamedTuple):
    """A field that no rule of the field policy names."""

    module: str
    field: str
    documents: int


class Tally:
    """Counts documents as shipped; control documents and the agent's own health are passed over."""

    def __init__(self, policy: Policy, cards: Mapping[str, Format]) -> None:
        self._policy = policy
        self._cards = cards
        self._names = {card.dataset: name for name, card in cards.items() if card.dataset}
        self._rows: dict[tuple[str, str], Row] = {}
        self._fields: Counter[tuple[str, str, str]] = Counter()

    def expect(self, input_id: str, name: str) -> None:
        """A configured input, which gets a row even if nothing came."""
        if not any(known == input_id for known, _ in self._rows):
            self._row(input_id, name)

    def add(self, data: bytes, since: str = "") -> None:
        """One document; with `since` (RFC 3339, UTC) only if it happened then or later."""
        try:
            document = _decode(data)
        except msgspec.DecodeError:
            return
        event, trail = document.event, document.trail
        if event.dataset.startswith("fieldtrail.") or not event.dataset or document.timestamp < since:
            return
        dataset, _, kind = event.dataset.partition(".")
        name = self._names.get(dataset, dataset)
        row = self._row(trail.origin.input, name)
        row.last = max(row.last, document.timestamp)
        if event.kind == "pipeline_error" or kind == "unparsed":
            row.unparsed += 1
            return
        row.documents += 1
        came = row.came
        user = document.user
        known = user is not None and (user.id or user.name or user.email or user.full_name)
        sure = "inferred" if trail.actor.confidence == "inferred" else "native"
        came["who"][sure if known else "none"] += 1
        came["when"][_PRECISION.get(trail.time.precision, "none")] += 1
        address = (document.source and document.source.ip) or (document.client and document.client.ip)
        came["ip"]["native" if address else "none"] += 1
        came["session"]["native" if trail.session and trail.session.id else "none"] += 1
        change = trail.change
        if change is not None:
            how = _DERIVED.get(change.derivation, "native")
            came["field"][how] += 1
            # That a created record had no value before, and a deleted one has none after, nobody had to tell.
            if change.old_state != "absent":
                came["old"]["none" if change.old_state == "unknown" else how] += 1
            if change.new_state != "absent":
                came["new"]["none" if change.new_state == "unknown" else how] += 1
            self._fields[name, change.field, trail.object.type] += 1
        elif event.action in _CHANGED:
            for facet in ("field", "old", "new"):
                came[facet]["none"] += 1
        came["logins"]["native" if event.action.startswith(_LOGINS) else "none"] += 1
        came["exports"]["native" if event.action in _EXPORTS else "none"] += 1

    def rows(self) -> list[Row]:
        """By input and format."""
        return [row for _, row in sorted(self._rows.items())]

    def uncovered(self) -> list[Uncovered]:
        """Fields that came and that no rule names, the most frequent first."""
        found: Counter[tuple[str, str]] = Counter()
        for (name, changed, kind), count in self._fields.items():
            card = self._cards.get(name)
            module = card.module if card else name
            if not named_by_a_rule(self._policy, module, changed, kind):
                found[module, changed] += count
        return [Uncovered(*key, count) for key, count in sorted(found.items(), key=lambda one: (-one[1], one[0]))]

    def _row(self, input_id: str, name: str) -> Row:
        row = self._rows.get((input_id, name))
        if row is None:
            card = self._cards.get(name)
            row = self._rows[input_id, name] = Row(input_id, name, card.gives if card else Gives())
        return row


def told(rows: Iterable[Row], lag: Mapping[str, int]) -> list[dict[str, object]]:
    """As plain values: `input`, `format`, `documents`, `unparsed`, a member per facet, `last_event`, `lag_bytes`."""
    return [
        {
            "input": row.input,
            "format": row.format,
            "documents": row.documents,
            "unparsed": row.unparsed,
            **{
                facet: {"declared": getattr(row.declared, facet), **{kind: row.came[facet][kind] for kind in KINDS}}
                for facet in FACETS
            },
            "last_event": row.last or None,
            "lag_bytes": lag.get(row.input),
        }
        for row in rows
    ]
