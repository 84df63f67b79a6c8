"""The history of one record: its versions oldest first, and its state at a date. Pure: events in, values out.

A version is one document that says something about the record's content: a field change, a creation, deletion or
merge, or a record that was seen whole (`trail.values`). Views, exports and logins are no versions. The events may come
from any output; they are ordered here by `@timestamp`, then by `seal.i`.

What is not known is said: an old value that the source did not give is `unknown`, a change between two snapshots has
bounds instead of a moment, and a change whose old value is not the new value before it has a `gap`: something was
changed in between that no document tells.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from shipper.errors import UsageError
from shipper.model import Event
from shipper.outputs._match import leaves
from shipper.outputs._query import quote
from shipper.outputs._when import instant

_GONE = frozenset({"delete", "purge"})
_WHOLE = frozenset({"create", "delete", "merge", "purge", "restore"})
_AUTHOR = ("who", "user_id", "actor_type", "actor_confidence", "ip", "session", "interface")
"""What a source that names an author later says of a change."""
_WITHHELD = frozenset({"mask", "token", "commit", "vault", "drop"})


class Target(NamedTuple):
    """A record as people name it; `module` None = of every module."""

    module: str | None
    type: str
    id: str

    @property
    def query(self) -> str:
        """The Lucene query that finds the record's events, in the embedded store and in OpenSearch."""
        if self.module is not None:
            return f"trail.object.key:{quote(f'{self.module}:{self.type}/{self.id}')}"
        return f"trail.object.type:{quote(self.type)} AND trail.object.id:{quote(self.id)}"

    def __str__(self) -> str:
        return f"{self.module}:{self.type}/{self.id}" if self.module is not None else f"{self.type}/{self.id}"


def parse_target(text: str) -> Target:
    """`[MODULE:]TYPE/ID`, e.g. `keap:contact/991` or `offer/55`; the id may hold colons and slashes."""
    head, slash, record = text.strip().partition("/")
    module, colon, kind = head.rpartition(":")
    if not slash or not record or not kind or (colon and not module):
        raise UsageError("trace", text, "not a record", "fieldtrail trace keap:contact/991, or contact/991")
    return Target(module if colon else None, kind, record)


@dataclass(frozen=True, slots=True)
class Version:
    """One thing that happened to the record. Texts are the document's own; None = the document does not say."""

    time: str
    """`@timestamp`, RFC 3339 UTC."""
    precision: str
    """`exact`, `bounded` (then `changed_after` and `changed_before` hold the bounds) or `received`."""
    action: str
    module: str | None
    who: str | None
    """The readable name of who did it: full name, account name, id, or the automation; None = not given."""
    user_id: str | None
    actor_type: str | None
    actor_confidence: str | None
    last_editor: str | None
    """Whom the source names as last editor of the record: not the author of this change."""
    ip: str | None
    session: str | None
    interface: str | None
    field: str | None
    label: str | None
    old: str | None
    new: str | None
    old_state: str | None
    new_state: str | None
    redaction: str | None
    derivation: str | None
    outcome: str | None
    event_id: str | None
    seal: str | None
    """`<log>-<leaf index, 14 hex digits>`: what `verify event` takes."""
    changed_after: str | None = None
    changed_before: str | None = None
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The values of a record that was created, deleted or seen whole."""
    gap: bool = False
    element: bool = False
    """`old` went from the set that the field is, or `new` came into it; the set's other values stayed."""

    @property
    def lower(self) -> int | None:
        """The earliest moment at which it can have happened, microseconds since the epoch."""
        bound = instant(self.changed_after) if self.changed_after and self.precision == "bounded" else None
        return instant(self.time) if bound is None else bound

    @property
    def upper(self) -> int | None:
        """The latest such moment."""
        bound = instant(self.changed_before) if self.changed_before and self.precision == "bounded" else None
        return instant(self.time) if bound is None else bound

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: without what is not known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {}, False)}


def versions(events: Iterable[Event], target: Target, field: str | None = None) -> list[Version]:
    """The versions of `target` among `events`, oldest first.

    `field`: only that field (its technical name or its label), with creations and deletions of the record.
    """
    about = [event for event in events if _is_about(event, target)]
    found = sorted(filter(_is_version, about), key=_order)
    all_versions = list(_with_gaps(_attributed(map(_version, found), about)))
    if field is None:
        return all_versions
    return [narrowed for version in all_versions if (narrowed := _narrowed(version, field)) is not None]


def _is_about(event: Event, target: Target) -> bool:
    record = _at(event, "trail", "object")
    if not isinstance(record, dict) or record.get("type") != target.type or record.get("id") != target.id:
        return False
    if target.module is None:
        return True
    return record.get("key") == str(target) or _at(event, "event", "module") == target.module


def _is_version(event: Event) -> bool:
    trail = event.get("trail")
    if not isinstance(trail, dict):
        return False
    return "change" in trail or "values" in trail or _at(event, "data_stream", "dataset") == "fieldtrail.change"


def _order(event: Event) -> tuple[int, int, str]:
    moment, index = instant(str(event.get("@timestamp"))), _at(event, "seal", "i")
    return moment or 0, index if isinstance(index, int) else 0, str(_at(event, "event", "id"))


def _at(event: Any, *path: str) -> Any:
    for name in path:
        event = event.get(name) if isinstance(event, dict) else None
    return event


def _text(event: Any, *path: str) -> str | None:
    value = _at(event, *path)
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) or value is None else str(value)


def _version(event: Event) -> Version:
    who = next(
        (
            name
            for path in (("full_name",), ("name",), ("email",), ("id",))
            if (name := _text(event, "user", *path)) is not None
        ),
        None,
    ) or _text(event, "trail", "automation", "scenario", "name")
    editor = _text(event, "trail", "object", "last_editor", "name") or _text(
        event, "trail", "object", "last_editor", "id"
    )
    log, index = _at(event, "seal", "log"), _at(event, "seal", "i")
    values = _at(event, "trail", "values")
    return Version(
        time=_text(event, "@timestamp") or "",
        precision=_text(event, "trail", "time", "precision") or "exact",
        action=_text(event, "event", "action") or "",
        module=_text(event, "event", "module"),
        who=who,
        user_id=_text(event, "user", "id"),
        actor_type=_text(event, "trail", "actor", "type"),
        actor_confidence=_text(event, "trail", "actor", "confidence"),
        last_editor=editor,
        ip=_text(event, "source", "ip"),
        session=_text(event, "trail", "session", "id"),
        interface=_text(event, "trail", "interface"),
        field=_text(event, "trail", "change", "field"),
        label=_text(event, "trail", "change", "label"),
        old=_text(event, "trail", "change", "old"),
        new=_text(event, "trail", "change", "new"),
        old_state=_text(event, "trail", "change", "old_state"),
        new_state=_text(event, "trail", "change", "new_state"),
        redaction=_text(event, "trail", "change", "redaction"),
        derivation=_text(event, "trail", "change", "derivation"),
        outcome=_text(event, "event", "outcome"),
        event_id=_text(event, "event", "id"),
        seal=f"{log}-{index:014x}" if isinstance(log, str) and isinstance(index, int) else None,
        changed_after=_text(event, "trail", "change", "changed_after"),
        changed_before=_text(event, "trail", "change", "changed_before"),
        values={name: str(value) for name, value in leaves(values)} if isinstance(values, dict) else {},
        element=_at(event, "trail", "change", "element") is True,
    )


def _attributed(found: Iterable[Version], events: Iterable[Event]) -> Iterator[Version]:
    """The versions, with the authors that the source named later, in events of their own (`change.attributed`)."""
    named: dict[str, Version] = {}
    for event in events:
        told = _at(event, "trail", "attribution")
        if isinstance(told, dict):
            # Of a whole record only the operation is named: its head document is the first.
            ids = told.get("event_id") or [f"{one}{end}" for one in told.get("operation_id", ()) for end in ("", "#0")]
            named.update(dict.fromkeys(ids, _version(event)))
    for version in found:
        author = named.get(version.event_id or "")
        yield version if author is None else replace(version, **{name: getattr(author, name) for name in _AUTHOR})


def _with_gaps(found: Iterable[Version]) -> Iterator[Version]:
    last: dict[tuple[str | None, str], Version] = {}
    for version in found:
        if version.field is None or version.element or version.outcome == "failure":
            yield version
            continue
        before = last.get((version.module, version.field))
        last[version.module, version.field] = version
        if before is not None and _contradicts(before, version):
            yield replace(version, gap=True)
        else:
            yield version


def _contradicts(before: Version, version: Version) -> bool:
    """True if the value that `before` left is not the one that `version` found, as far as both are given."""
    known = ("value", "null", "empty", "absent")
    if before.new_state not in known or version.old_state not in known:
        return False
    if {before.redaction, version.redaction} & _WITHHELD:
        return False
    empty = ("null", "absent")  # a source that calls the same nothing null here and leaves it out there
    if before.new_state in empty and version.old_state in empty:
        return False
    return (before.new_state, before.new) != (version.old_state, version.old)


def _narrowed(version: Version, name: str) -> Version | None:
    if version.field is not None:
        return version if name in (version.field, version.label) else None
    if name in version.values:
        return replace(version, values={name: version.values[name]})
    return version if _verb(version) in _WHOLE else None


def _verb(version: Version) -> str:
    """The last word of the action: `delete` of `record.delete` and of `user.delete`."""
    return version.action.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class FieldState:
    """What is known of one field at a date.

    `certainty`: `known` (from the last version before) · `inferred` (nothing before; the next change names it as its
    old value) · `uncertain` (`value` and `other` are both possible, `why` says so) · `unknown` (a version before says
    that it changed, not to what) · `withheld` (by the privacy policy).
    """

    field: str
    value: str | None
    state: str
    certainty: str
    since: str | None = None
    who: str | None = None
    event_id: str | None = None
    other: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class RecordState:
    """A record at a date. `existence`: `exists`, `deleted`, `not created yet`, `unknown` (nothing was seen by then)."""

    existence: str
    since: str | None
    fields: tuple[FieldState, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: without what is not known."""
        return {
            "existence": self.existence,
            **({"since": self.since} if self.since else {}),
            "fields": [
                {name: value for name, value in asdict(state).items() if value not in (None, "")}
                for state in self.fields
            ],
        }


def state_at(history: Iterable[Version], when: int) -> RecordState:
    """The record at `when` (microseconds since the epoch), from its versions oldest first, those after `when` included.

    The later ones tell what a field was before its first recorded change. Attempts that failed changed nothing.
    """
    states: dict[str, FieldState] = {}
    existence, since = "unknown", None
    settled: set[str] = set()
    for version in history:
        lower, upper = version.lower, version.upper
        if version.outcome == "failure" or lower is None or upper is None:
            continue
        if upper <= when:
            verb = _verb(version) if version.field is None else ""
            if verb == "create":
                existence, since, states = "exists", version.time, {}
            elif verb in _GONE:
                existence, since = "deleted", version.time
            elif verb == "restore" or existence == "unknown":
                existence, since = "exists", version.time if verb == "restore" else None
            if version.element:
                _move(states, version)
            else:
                states.update(_after(version))
        elif version.element:
            continue
        elif version.field is None:
            if _verb(version) == "create" and lower > when and existence == "unknown":
                return RecordState("not created yet", version.time, ())
        elif version.field not in settled:
            settled.add(version.field)
            states[version.field] = _before(version, states.get(version.field), open_now=lower <= when)
            existence = "exists" if existence == "unknown" else existence
    return RecordState(existence, since, tuple(states[name] for name in sorted(states)))


def _after(version: Version) -> dict[str, FieldState]:
    """The fields as `version` left them."""
    time, who, event_id = version.time, version.who, version.event_id
    out = {
        name: FieldState(name, value, "value", "known", time, who, event_id) for name, value in version.values.items()
    }
    if version.field is not None:
        state = version.new_state or "unknown"
        certainty = "withheld" if version.redaction in _WITHHELD else "unknown" if state == "unknown" else "known"
        out[version.field] = FieldState(version.field, version.new, state, certainty, time, who, event_id)
    return out


def _move(states: dict[str, FieldState], version: Version) -> None:
    """One value came into a set or went from it. What was in the set before is known only if it was told as a whole."""
    name, text = version.field or "", version.new if version.new is not None else version.old
    time, who, event_id = version.time, version.who, version.event_id
    if version.redaction in _WITHHELD or text is None:
        certainty = "unknown" if text is None and version.redaction not in _WITHHELD else "withheld"
        states[name] = FieldState(name, None, "value", certainty, time, who, event_id)
        return
    known = states.get(name)
    listed: Any = None
    if known is not None and known.value:
        with suppress(ValueError):
            listed = json.loads(known.value)
    certainty, why = "known", ""
    if not isinstance(listed, list) or (known is not None and known.why):
        certainty, why = "uncertain", "what else the set holds was not told"
    values = [one for one in listed if str(one) != text] if isinstance(listed, list) else []
    if version.new is not None:
        values.append(text)
    value = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    states[name] = FieldState(name, value, "value", certainty, time, who, event_id, why=why)


def _before(version: Version, known: FieldState | None, *, open_now: bool) -> FieldState:
    """The field before the first change of it that is not certainly over; `known`: from the versions before."""
    name, state = version.field or "", version.old_state or "unknown"
    if open_now:
        why = f"changed between {version.changed_after} and {version.changed_before}"
        value = known.value if known is not None else version.old
        return FieldState(name, value, state, "uncertain", other=version.new, why=why)
    certainty = "withheld" if version.redaction in _WITHHELD else "unknown" if state == "unknown" else "inferred"
    if known is None:
        return FieldState(name, version.old, state, certainty, why=f"old value of the change at {version.time}")
    if version.gap and certainty == "inferred":
        why = f"the change at {version.time} found another value: a change in between was not recorded"
        return FieldState(
            name, known.value, known.state, "uncertain", known.since, known.who, known.event_id, version.old, why
        )
    return known
