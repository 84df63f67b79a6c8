"""Parsed values to ECS events: one operation in, one document per field change out. Pure.

The shape is docs/reference/event.md. Rules that decide hard cases: a created or deleted record is one document with its
values, and only its sensitive fields get one each; what the source did not say is absent and listed in `trail.missing`;
what fits no field stays in `trail.raw`; what belongs to the operation as a whole (`trail.raw`, `trail.values`,
`event.original`) stands once, on its head document; the message is built after the privacy policy, so that it cannot
say more than the fields do.

Dicts and lists that are the same for all events of an action are shared between events: later stages replace members
of an event, they do not change them in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from parsers._contract import ABSENT, ACTORS, CONFIDENCES, INTERFACES, OUTCOMES, Change, Format, Operation
from shipper import changes, protect, sentences, timestamps
from shipper._placing import Placer, stray
from shipper._shaping import (
    CHANGE_FACTS,
    Plan,
    has,
    has_further_digits,
    is_interpreted,
    plans,
    set_bounds,
    set_bounds_of_whole,
    set_categories,
    set_original,
    set_related,
    set_target,
)
from shipper.model import Event
from shipper.seal.canonical import conform, conform_value

ECS_VERSION: Final = "9.4.0"
SCHEMA: Final = 1

_USER_CHANGES: Final = {
    **dict.fromkeys(("role", "roles"), "roles"),
    **dict.fromkeys(("email", "email_address"), "email"),
    **dict.fromkeys(("name", "username", "user_name", "login"), "name"),
    **dict.fromkeys(("full_name", "fullName", "display_name"), "full_name"),
}
"""Fields of an account -> members of `user.changes`."""
_INTERFACE_WORDS: Final = {"web": "ui", "browser": "ui", "gui": "ui", "rest": "api", "graphql": "api", "cron": "system"}
_SENSITIVE: Final = frozenset({"confidential", "restricted"})
_STREAMS: Final = ("change", "activity")
SHORT: Final = 8_000
"""Bytes of a record in which no value can exceed what an event may hold, even if every byte becomes an escape."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all events of one input and format."""

    agent_name: str
    agent_version: str
    namespace: str
    input: str
    format: Format
    policy: protect.Policy
    salt: Callable[[], bytes]
    """16 random bytes at each call, for the digests of withheld values."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    default_action: str = "log.message"
    keep_unmapped: bool = True
    keep_original: bool = False
    expand: str = "sensitive"


@dataclass(slots=True)
class Origin:
    """Where one record came from; `number` tells apart several operations of one record; `received` in s (epoch).

    Made once per record, and not frozen: construction would cost four times as much.
    """

    stream: str
    path: str
    offset: int
    length: int
    received: float
    received_text: str
    mtime: float | None = None
    previous: float | None = None
    number: int = 0
    data: bytes = b""
    delivery: str | None = None

    def document(self, input_id: str) -> dict[str, Any]:
        """`trail.origin`."""
        told = {
            "input": input_id,
            "length": self.length,
            "offset": self.offset,
            "path": self.path,
            "received": self.received_text,
        }
        if self.delivery is None:
            return told
        return {"delivery": self.delivery.encode("utf-8", "replace").decode(), **told}


class Normalizer:
    """Turns operations of one input and format into events. Holds tables only, no state between events."""

    __slots__ = (
        "_agent",
        "_dataset",
        "_default",
        "_ecs",
        "_missing_always",
        "_module",
        "_placer",
        "_plans",
        "_s",
        "_streams",
    )

    def __init__(self, settings: Settings) -> None:
        self._s = settings
        self._agent = {"name": settings.agent_name, "type": "fieldtrail", "version": settings.agent_version}
        self._ecs = {"version": ECS_VERSION}
        self._module = settings.format.module
        self._dataset = settings.format.dataset or settings.format.name
        self._missing_always = settings.format.missing
        self._streams = {
            name: {"dataset": f"fieldtrail.{name}", "namespace": settings.namespace, "type": "logs"}
            for name in _STREAMS
        }
        self._plans = plans(self._streams)
        self._default = self._plans[settings.default_action]
        self._placer = Placer(settings.policy, self._module, settings.salt)

    # -- what the quick ways ask, to do the same sooner --------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """What it was made with."""
        return self._s

    @property
    def change_stream(self) -> dict[str, str]:
        """`data_stream` of a changed field."""
        return self._streams["change"]

    def is_iam(self, action: str) -> bool:
        """Whether events of an action are about accounts, which fill `user.target` and `user.changes`."""
        return self._plans.get(action, self._default).iam

    def is_plain(self, target: str) -> bool:
        """Whether a field takes its converted value as it is, whatever the value."""
        return self._placer.is_plain(target)

    def is_scrubbed(self, target: str) -> bool:
        """Whether a field is a text of which `scrubbed` says what may stay."""
        return self._placer.is_scrubbed(target)

    def scrubbed(self, text: str) -> str:
        """A text without the secrets that the privacy policy withholds from texts."""
        return protect.protect_text(self._s.policy, self._module, text)

    def converter_of(self, target: str) -> tuple[Callable[[Any], Any], str, bool]:
        """Converter, list of `related.*` or "", and whether a text is itself."""
        return self._placer.converter_of(target)

    def name_is_kept(self, object_type: str) -> bool:
        """Whether the privacy policy keeps the name of such an object."""
        return protect.decide(self._s.policy, self._module, "name", object_type).action == "keep"

    # -- the reference ------------------------------------------------------------------------------------------------

    def events(self, operation: Operation, origin: Origin) -> tuple[list[Event], float | None]:
        """The documents of one operation, in order, and its time in seconds (None where none could be read).

        No document comes of an edit all of whose changes are from a value to itself.
        """
        op, s = operation, self._s
        raw: Mapping[str, Any] = op.raw if s.keep_unmapped else {}
        code = op.code
        plan = self._plans.get(op.action)
        if plan is None:
            plan = self._default
            if code is None:
                code = op.action
            elif code != op.action:
                raw = stray(raw, "action", op.action)
        time = op.time
        when = timestamps.resolve(
            time, received=origin.received, mtime=origin.mtime, zone=s.zone, previous=origin.previous
        )
        stamp, seconds, precision, zone_used = when
        read: float | None = seconds
        if precision != "exact":
            stamp, read = origin.received_text, None
            if time is not None:
                raw = stray(raw, "time", str(time.text))
        elif (
            time is not None
            and stamp is not time.text
            and (is_interpreted(time, zone_used) or has_further_digits(time))
        ):
            raw = stray(raw, "time", str(time.text))
        changed = op.changes
        if changed:
            changed = [change for change in changed if not changes.same(change.old, change.new)]
            if not changed and plan.edit and not op.values:
                return [], read
        event: dict[str, Any] = {
            "action": plan.action,
            "created": origin.received_text,
            "dataset": f"{self._dataset}.{op.kind}",
            "kind": "event",
            "module": self._module,
        }
        trail: dict[str, Any] = {"schema": SCHEMA, "time": {"precision": precision}}
        root: Event = {"@timestamp": stamp, "agent": self._agent, "ecs": self._ecs, "event": event, "trail": trail}
        raw, related, misfits, withheld = self._placer.place(root, op.fields, raw)
        if zone_used:
            event["timezone"] = zone_used
        if code:
            event["code"] = code
        raw = self._describe(op, origin, trail, raw, withheld)
        if "category" in event or "type" in event or op.category or op.type:
            raw = set_categories(event, op, plan, raw)
        elif plan.category:
            event["category"] = plan.api if trail.get("interface") == "api" else plan.category
            event["type"] = plan.kinds
        outcome = op.outcome or event.get("outcome") or plan.outcome
        if outcome in OUTCOMES:
            event["outcome"] = outcome
        elif outcome:
            event.pop("outcome", None)
            raw = stray(raw, "outcome", outcome)
        documents = self._documents(op, origin, plan, root, changed, (raw, related, misfits, withheld))
        if origin.length > SHORT or len(origin.data) > SHORT:
            documents = [conform(document)[0] for document in documents]
        return documents, read

    def _describe(
        self,
        op: Operation,
        origin: Origin,
        trail: dict[str, Any],
        raw: Mapping[str, Any],
        withheld: list[protect.Withheld],
    ) -> Mapping[str, Any]:
        """Actor, interface, object and origin of the operation; words that are not ours stay in `raw`."""
        kind, confidence = op.actor_type, op.actor_confidence
        if confidence not in CONFIDENCES:
            raw, confidence = stray(raw, "actor_confidence", confidence), "unknown"
        if kind not in ACTORS:
            raw, kind, confidence = stray(raw, "actor_type", kind), "unknown", "unknown"
        actor = {"confidence": confidence, "type": kind}
        trail["actor"] = {**actor, **trail["actor"]} if "actor" in trail else actor
        interface = op.interface
        if interface:
            if interface not in INTERFACES:
                word = interface.lower()
                word = _INTERFACE_WORDS.get(word, word)
                if word not in INTERFACES:
                    word = "unknown"
                if word != interface.lower():
                    raw = stray(raw, "interface", interface)
                interface = word
            trail["interface"] = interface
        if op.object_type or op.object_id is not None or op.object_name:
            thing = trail.setdefault("object", {})
            thing["type"] = kind = op.object_type or "record"
            if op.object_id is not None:
                thing["id"] = op.object_id
                thing["key"] = f"{self._module}:{kind}/{op.object_id}"
            if op.object_name:
                name = self._object_name(op.object_name, op.object_type or "", withheld)
                if name:
                    thing["name"] = name
        held = trail.get("origin")
        trail["origin"] = origin.document(self._s.input) if held is None else {**held, **origin.document(self._s.input)}
        return raw

    def _object_name(self, name: str, object_type: str, withheld: list[protect.Withheld]) -> str:
        """What the privacy policy leaves of an object's name; "" for nothing."""
        policy = self._s.policy
        if name[0] not in "{[" and protect.decide(policy, self._module, "name", object_type).action == "keep":
            return name
        kept, gone = protect.protect_values(
            policy, self._module, {"name": name}, "trail.object", self._s.salt, object_type=object_type
        )
        withheld += gone
        return str(kept.get("name", ""))

    # -- fan-out ------------------------------------------------------------------------------------------------------

    def _documents(
        self,
        op: Operation,
        origin: Origin,
        plan: Plan,
        root: Event,
        changed: list[Change],
        placed: tuple[Mapping[str, Any], dict[str, list[Any]], list[str], list[protect.Withheld]],
    ) -> list[Event]:
        s = self._s
        raw, related, misfits, withheld = placed
        trail, event = root["trail"], root["event"]
        whole: dict[str, Any] = {}
        """Members of `trail` on the head document only."""
        own = False
        if op.values:
            own = plan.action in {"record.create", "record.delete"}
            values, gone = protect.protect_values(
                s.policy, self._module, op.values, "trail.values", s.salt, object_type=op.object_type or ""
            )
            withheld += gone
            kept = {name: changes.text_of(value) for name, value in values.items() if value is not None}
            if kept:
                whole["values"] = kept
            if own and not changed and s.expand != "never":
                changed = self._expanded(op, created=plan.action == "record.create")
        if op.message and changed and not own:
            raw = stray(raw, "message", op.message)  # the sentences tell the changes
        if raw:
            left, gone = protect.protect_values(
                s.policy, self._module, raw, "trail.raw", s.salt, object_type=op.object_type or ""
            )
            withheld += gone
            if left:
                whole["raw"] = conform_value(left, 2, "trail.raw")
        iam = plan.iam or "iam" in event.get("category", ())
        if iam:
            set_target(root, op, related)
        if related:
            set_related(root, related)
        missing = self._missing(root, op, misfits, withheld)
        identity = op.id or f"{origin.stream}:{origin.offset}" + (f".{origin.number}" if origin.number else "")
        total = len(changed)
        count = total + 1 if own or not changed else total
        documents: list[Event] = []
        for number in range(count):
            document, index = root, number + total - count
            if number + 1 < count:
                # The last document takes the dicts themselves, so that the usual single one costs no copy.
                document = {**root, "event": {**event}, "trail": {**trail}}
            event_here, trail_here = document["event"], document["trail"]
            event_here["id"] = identity if count == 1 else f"{identity}#{number}"
            gone, lacking = withheld, missing
            if number:
                gone = []
                trail_here["operation"] = {"change_count": total, "id": identity}
            else:
                trail_here["operation"] = {"change_count": total, "head": True, "id": identity}
                if whole:
                    trail_here.update(whole)
                if s.keep_original and origin.data:
                    set_original(event_here, trail_here, origin.data, origin.length, s.policy, self._module)
            if index >= 0:
                if own:
                    event_here["action"] = "field.update"
                gone, lacking = self._add_change(document, changed[index], index, op, iam, gone, missing)
            else:
                document["data_stream"] = plan.stream
                if op.bounds is not None:
                    set_bounds_of_whole(document, op, s.zone)
                if plan.edit:
                    lacking = [*missing, *(name for name in CHANGE_FACTS if name not in missing)]
            if lacking:
                trail_here["missing"] = lacking
            if gone:
                trail_here["sealed_fields"] = gone
            if op.message and index < 0:
                document["message"] = self.scrubbed(op.message)
            else:
                document["message"] = sentences.sentence(document, op, s.format.vendor, plan.spec)
            documents.append(document)
        return documents

    def _add_change(
        self,
        document: Event,
        change: Change,
        index: int,
        op: Operation,
        iam: bool,  # noqa: FBT001 - called once per change from one place
        gone: list[protect.Withheld],
        missing: list[str],
    ) -> tuple[list[protect.Withheld], list[str]]:
        """Set one changed field; returns what else was withheld and is missing, with what was before."""
        document["data_stream"] = self._streams["change"]
        shape = changes.document(change, index)
        more = protect.protect_change(
            self._s.policy, self._module, shape, self._s.salt, object_type=op.object_type or ""
        )
        if more:
            gone = [*gone, *more]
        if shape["old_state"] == "unknown":
            missing = [*missing, "trail.change.old"]
        if shape["new_state"] == "unknown":
            missing = [*missing, "trail.change.new"]
        trail = document["trail"]
        trail["change"] = shape
        if change.field in op.sets and (change.old is ABSENT) != (change.new is ABSENT):
            shape["element"] = True
        if shape["derivation"] == "snapshot_diff":
            set_bounds(document, shape, op, self._s.zone)
        name = _USER_CHANGES.get(change.field) if iam else None
        if name is not None and shape.get("new"):
            value: Any = shape["new"]
            if name == "roles":
                listed = isinstance(change.new, list) and change.new and shape["redaction"] == "none"
                value = [changes.text_of(role) for role in change.new] if listed else [value]
            document["user"] = {**document.get("user", {}), "changes": {name: value}}
            if name in {"name", "email"}:
                given = document.get("related", {})
                users = given.get("user", [])
                if value not in users:
                    document["related"] = {**given, "user": [*users, value]}
        return gone, missing

    def _missing(
        self,
        root: Event,
        op: Operation,
        misfits: list[str],
        withheld: list[protect.Withheld],
    ) -> list[str]:
        """What this event lacks that an audit asks for, in a fixed order. What is withheld is not missing."""
        trail = root["trail"]
        missing = []
        user = root.get("user")
        if user is None or not ("id" in user or "name" in user or "email" in user or "full_name" in user):
            missing.append("user.id")
        if "source" not in root or "ip" not in root["source"]:
            missing.append("source.ip")
        if "session" not in trail or "id" not in trail["session"]:
            missing.append("trail.session.id")
        if "interface" not in trail or trail["interface"] == "unknown":
            missing.append("trail.interface")
        if self._missing_always or op.missing or misfits:
            for name in (*self._missing_always, *op.missing, *misfits):
                if name not in missing and not has(root, name):
                    missing.append(name)
        if withheld:
            paths = {entry["path"] for entry in withheld}
            return [name for name in missing if name not in paths]
        return missing

    def _expanded(self, op: Operation, *, created: bool) -> list[Change]:
        """The values of a created or deleted record as changes: the sensitive ones, or all with `expand: always`."""
        found = []
        for name, value in op.values.items():
            if value is None or value == "":
                continue
            if self._s.expand == "sensitive":
                decision = protect.decide(self._s.policy, self._module, name, op.object_type or "")
                if decision.sensitivity not in _SENSITIVE:
                    continue
            found.append(Change(name, ABSENT, value) if created else Change(name, value, ABSENT))
        if op.bounds is not None:
            after, before = op.bounds
            found = [
                one._replace(derivation="snapshot_diff", changed_after=after, changed_before=before) for one in found
            ]
        return found

    # -- lines that nobody understood ---------------------------------------------------------------------------------

    def unparsed(self, reason: str, origin: Origin) -> Event:
        """The document of a record that the format refused: its text and the reason; nothing disappears."""
        identity = f"{origin.stream}:{origin.offset}"
        event: dict[str, Any] = {
            "action": "log.unparsed",
            "created": origin.received_text,
            "dataset": f"{self._dataset}.unparsed",
            "id": identity,
            "kind": "pipeline_error",
            "module": self._module,
        }
        trail: dict[str, Any] = {
            "operation": {"change_count": 0, "head": True, "id": identity},
            "origin": origin.document(self._s.input),
            "schema": SCHEMA,
            "time": {"precision": "received"},
        }
        set_original(event, trail, origin.data, origin.length, self._s.policy, self._module)
        document: Event = {
            "@timestamp": origin.received_text,
            "agent": self._agent,
            "data_stream": self._streams["activity"],
            "ecs": self._ecs,
            "error": {"message": reason},
            "event": event,
            "message": f"a line of {origin.path} was not understood: {reason}",
            "trail": trail,
        }
        return conform(document)[0] if len(origin.data) > SHORT else document
