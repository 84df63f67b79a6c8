"""The enrich stage: who is behind an account, and what an id is called, from tables that are handed in. Pure.

It works on what a parser returns, before normalize and protect, so that both ways through the pipeline see the same and
the privacy policy withholds a label with its value. What the source says itself is never replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from parsers._contract import Change, Context, Operation, Rejected

Parse = Callable[[bytes, Context], list[Operation] | Rejected]
Facts = tuple[tuple[str, str], ...]
"""Fields of an event and their values, by dotted name."""

ACCOUNTS: Final = ("user.email", "user.id", "user.name")
"""Where an event names the account."""
_VERSION: Final = "trail.origin.directory"
FILLED: Final = (
    "trail.actor.person", "user.full_name", "trail.actor.department", "trail.actor.status", "trail.actor.kind",
    "trail.actor.timezone", _VERSION,
)  # fmt: skip
"""All fields that the directory fills."""
_ID_TYPES: Final = frozenset({str, int})


class Tables(NamedTuple):
    """One state of the directory.

    `people`: account -> what is known of who is behind it. An account is an e-mail address or a user name, or one with
    the module before it (`keap:7`), which counts for events of that module alone; all in lower case. `labels`: module
    (`*` for all) -> (field in lower case, id) -> label. `version` names this state.
    """

    version: str = ""
    people: Mapping[str, Facts] = {}
    labels: Mapping[str, Mapping[tuple[str, str], str]] = {}


def enriched(parse: Parse, module: str, tables: Callable[[], Tables]) -> Parse:
    """`parse`, whose operations get what the directory knows. `tables` gives its present state."""
    scope = f"{module}:"

    def parse_and_enrich(record: bytes, ctx: Context, /) -> list[Operation] | Rejected:
        found = parse(record, ctx)
        if type(found) is list:
            now = tables()
            if now.version:
                for operation in found:
                    _enrich(operation, module, scope, now)
        return found

    return parse_and_enrich


def _enrich(op: Operation, module: str, scope: str, tables: Tables) -> None:
    fields = op.fields
    told = False
    facts = _person(fields.get("user.email"), fields.get("user.id"), fields.get("user.name"), scope, tables.people)
    if facts is not None:
        for name, value in facts:
            if name not in fields:
                fields[name] = value
                told = True
    labels = tables.labels
    if op.changes and labels:
        told = _label(op, (labels.get(module), labels.get("*"))) or told
    if told:
        fields[_VERSION] = tables.version
    else:
        fields.pop(_VERSION, None)  # only the directory says where something came from


def _person(email: Any, number: Any, name: Any, scope: str, people: Mapping[str, Facts]) -> Facts | None:
    """What is known of the account that an event names, the surest first; None where that is nothing."""
    for account, bare in ((email, True), (number, False), (name, True)):
        if account is None or type(account) not in _ID_TYPES:
            continue
        key = account.lower() if type(account) is str else str(account)
        facts = people.get(scope + key)
        if facts is None and ":" not in key and (bare or "@" in key):
            # A bare number is somebody else's in every system, and a name with a colon would choose its module itself.
            facts = people.get(key)
        if facts is not None:
            return facts
    return None


def _label(op: Operation, tables: tuple[Mapping[tuple[str, str], str] | None, ...]) -> bool:
    """Name the values of changes that are ids; whether there was any."""
    told = False
    for table in tables:
        if table is None:
            continue
        for at, change in enumerate(op.changes):
            old = change.old_label or _of(table, change, change.old)
            new = change.new_label or _of(table, change, change.new)
            if old != change.old_label or new != change.new_label:
                op.changes[at] = change._replace(old_label=old, new_label=new)
                told = True
    return told


def _of(table: Mapping[tuple[str, str], str], change: Change, value: Any) -> str | None:
    if type(value) not in _ID_TYPES:
        return None
    return table.get((change.field.lower(), str(value)))


Row = tuple[Any, ...]
"""The values of `FILLED`, None for what is not known, and whether none of them needs an escape in JSON."""
_NOBODY: Final[Row] = (*(None for _ in FILLED), True)
_plain = re.compile(r"[ !#-\[\]-~]*").fullmatch


class Lookup:
    """The same lookups for the quick way of mapped formats, which has no operations (`shipper/spliced.py`)."""

    def __init__(self, module: str, tables: Callable[[], Tables]) -> None:
        self._module, self._scope, self.tables = module, f"{module}:", tables
        self._now = Tables()
        self._rows: dict[int, Row] = {}
        """By the identity of a person's facts, which live as long as the tables."""

    def person(self, email: Any, number: Any, name: Any) -> Row:
        """What is known of the account that an event names."""
        now = self.tables()
        facts = _person(email, number, name, self._scope, now.people)
        if not facts:
            return _NOBODY
        if now is not self._now:
            self._now, self._rows = now, {}
        row = self._rows.get(id(facts))
        if row is None:
            known = {**dict(facts), _VERSION: now.version}
            values = [known.get(name) for name in FILLED]
            row = self._rows[id(facts)] = (*values, all(_plain(value) for value in values if value is not None))
        return row

    def labelled(self, name: Any, old: Any, new: Any) -> bool:
        """Whether a value of a change has a label."""
        labels = self.tables().labels
        if not labels or type(name) is not str:
            return False
        key = name.lower()
        return any(
            table is not None and any(type(side) in _ID_TYPES and (key, str(side)) in table for side in (old, new))
            for table in (labels.get(self._module), labels.get("*"))
        )
