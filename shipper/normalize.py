"""Parsed values to ECS events: one operation in, one document per field change out. Pure.

The shape is docs/reference/event.md. Rules that decide hard cases: a created or deleted record is one document with its
values, and only its sensitive fields get one each; what the source did not say is absent and listed in `trail.missing`;
what fits no field stays in `trail.raw`; the message is built after the privacy policy, so that it cannot say more than
the fields do.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import mappings
from parsers._contract import ABSENT, Change, Format, Operation
from shipper import changes, protect, schema, sentences, timestamps
from shipper.model import Event

ECS_VERSION: Final = "9.4.0"
SCHEMA: Final = 1

_USER_PATHS: Final = ("id", "name", "email")
_USER_CHANGES: Final = {"role": "roles", "roles": "roles", "email": "email", "name": "name", "full_name": "full_name"}
_INTERFACES: Final = frozenset({"ui", "api", "import", "automation", "mobile", "sync", "system", "unknown"})
_INTERFACE_WORDS: Final = {"web": "ui", "browser": "ui", "gui": "ui", "rest": "api", "graphql": "api", "cron": "system"}
_ACTORS: Final = frozenset({"user", "automation", "api_key", "system", "unknown"})
_SENSITIVE: Final = frozenset({"confidential", "restricted"})
_ORIGINAL_LIMIT: Final = 32_000
_KNOWN_NAMES: Final = 5_000
"""Field names whose converters are kept; a hostile source must not fill memory with names."""


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


class Normalizer:
    """Turns operations of one input and format into events. Holds tables only, no state between events."""

    __slots__ = ("_actions", "_agent", "_dataset", "_ecs", "_fields", "_module", "_s", "_streams")

    def __init__(self, settings: Settings) -> None:
        self._s = settings
        self._actions = mappings.actions()
        self._agent = {"name": settings.agent_name, "type": "fieldtrail", "version": settings.agent_version}
        self._ecs = {"version": ECS_VERSION}
        self._module = settings.format.module
        self._streams = {
            name: {"dataset": f"fieldtrail.{name}", "namespace": settings.namespace, "type": "logs"}
            for name in ("change", "activity")
        }
        self._fields: dict[str, tuple[tuple[str, ...], Callable[[Any], Any]] | None] = {}

    def events(self, operation: Operation, origin: Origin) -> tuple[list[Event], float | None]:
        """The documents of one operation, in order, and its time in seconds (None where the source gave none)."""
        s = self._s
        op = operation
        action = op.action
        code = op.code
        spec = self._actions.get(action)
        if spec is None:
            code = code or action
            action = s.default_action
            spec = self._actions[action]
        when = timestamps.resolve(
            op.time, received=origin.received, mtime=origin.mtime, zone=s.zone, previous=origin.previous
        )
        raw: Mapping[str, Any] = op.raw if s.keep_unmapped else {}
        root: Event = {"@timestamp": when.text, "agent": self._agent, "ecs": self._ecs}
        event: dict[str, Any] = {
            "action": action,
            "created": origin.received_text,
            "dataset": f"{self._module}.{op.kind}",
            "kind": "event",
            "module": self._module,
        }
        trail: dict[str, Any] = {"schema": SCHEMA}
        root["event"] = event
        root["trail"] = trail
        misfits: list[str] = []
        if op.fields:
            raw = self._place(root, op.fields, raw, misfits)
        if when.precision != "exact" and op.time is not None:
            raw = {**raw, "time": str(op.time.text)}
        if when.zone_used:
            event["timezone"] = when.zone_used
        category = event.get("category") or list(op.category or spec.category)
        if op.interface == "api" and category and "api" not in category and "database" in category:
            category = [*category, "api"]
        if category:
            event["category"] = category
            kinds = event.get("type") or list(op.type or spec.type)
            if kinds:
                event["type"] = kinds
        outcome = op.outcome or event.get("outcome") or spec.outcome
        if outcome in {"success", "failure", "unknown"}:
            event["outcome"] = outcome
        elif outcome:
            raw = {**raw, "outcome": outcome}
            event.pop("outcome", None)
        if code:
            event["code"] = code
        raw = self._describe(op, origin, trail, when.precision, raw)
        return self._documents(op, origin, root, raw, misfits), when.seconds if op.time is not None else None

    # -- parts of one document ----------------------------------------------------------------------------------------

    def _place(
        self, root: Event, fields: Mapping[str, Any], raw: Mapping[str, Any], misfits: list[str]
    ) -> dict[str, Any]:
        """Set each field at its place, converted to its type; what does not fit joins `raw` and `misfits`."""
        left = dict(raw)
        table = self._fields
        for name, value in fields.items():
            if name in table:
                entry = table[name]
            else:
                entry = _field(name)
                if len(table) < _KNOWN_NAMES:
                    table[name] = entry
            if entry is None:
                _nest(left, name, value)
                continue
            path, convert = entry
            fitted = convert(value)
            if fitted is schema.MISFIT:
                _nest(left, name, value)
                misfits.append(name)
                continue
            here = root
            for part in path[:-1]:
                child = here.get(part)
                if child is None:
                    child = here[part] = {}
                here = child
            here[path[-1]] = fitted
        return left

    def _describe(
        self, op: Operation, origin: Origin, trail: dict[str, Any], precision: str, raw: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Actor, object, interface, origin and time of the operation; words that are not ours stay in `raw`."""
        actor = trail.setdefault("actor", {})
        kind = op.actor_type
        if kind not in _ACTORS:
            raw, kind = {**raw, "actor_type": kind}, "unknown"
        actor.setdefault("type", kind)
        actor.setdefault("confidence", op.actor_confidence)
        interface = op.interface
        if interface:
            interface = _INTERFACE_WORDS.get(interface, interface)
            if interface not in _INTERFACES:
                raw, interface = {**raw, "interface": interface}, "unknown"
            trail["interface"] = interface
        if op.object_type or op.object_id:
            thing = trail.setdefault("object", {})
            kind = op.object_type or "record"
            thing["type"] = kind
            if op.object_id is not None:
                thing["id"] = op.object_id
                thing["key"] = f"{self._module}:{kind}/{op.object_id}"
            if op.object_name:
                thing["name"] = op.object_name
        place = trail.setdefault("origin", {})
        place["input"] = self._s.input
        place["length"] = origin.length
        place["offset"] = origin.offset
        place["path"] = origin.path
        place["received"] = origin.received_text
        trail.setdefault("time", {})["precision"] = precision
        return raw

    def _missing(self, root: Event, op: Operation, misfits: list[str]) -> list[str]:
        """What this event lacks that an audit asks for, in a fixed order."""
        trail = root["trail"]
        missing = []
        user = root.get("user")
        if not user or not any(name in user for name in ("id", "name", "email", "full_name")):
            missing.append("user.id")
        if not (root.get("source") and "ip" in root["source"]):
            missing.append("source.ip")
        if not (trail.get("session") and "id" in trail["session"]):
            missing.append("trail.session.id")
        if trail.get("interface", "unknown") == "unknown":
            missing.append("trail.interface")
        for name in (*self._s.format.missing, *op.missing, *misfits):
            if name not in missing and not _has(root, name):
                missing.append(name)
        return missing

    def _related(self, root: Event) -> None:
        """`related.*` from every such value in the document."""
        users: dict[str, None] = {}
        user = root.get("user")
        if user:
            _collect_users(user, users)
        ips: dict[str, None] = {}
        hosts: dict[str, None] = {}
        for side in ("source", "client", "destination", "server", "host", "observer"):
            part = root.get(side)
            if part:
                found = part.get("ip")
                if found:
                    for ip in found if isinstance(found, list) else (found,):
                        ips[ip] = None
                for name in ("domain", "hostname", "name") if side in {"host", "observer"} else ("domain",):
                    if name in part:
                        hosts[part[name]] = None
        related = dict(root.get("related") or {})
        for key, values in (("hosts", hosts), ("ip", ips), ("user", users)):
            if values:
                given = related.get(key)
                related[key] = list(dict.fromkeys([*given, *values])) if given else list(values)
        if related:
            root["related"] = related

    # -- fan-out ------------------------------------------------------------------------------------------------------

    def _documents(
        self, op: Operation, origin: Origin, root: Event, raw: Mapping[str, Any], misfits: list[str]
    ) -> list[Event]:
        s = self._s
        trail, event = root["trail"], root["event"]
        action = event["action"]
        withheld: list[dict[str, str]] = []
        if raw:
            cleaned, gone = protect.protect_values(
                s.policy, self._module, raw, "trail.raw", s.salt, object_type=op.object_type or ""
            )
            withheld += gone
            if cleaned:
                trail["raw"] = cleaned
        changed = [c for c in op.changes if not changes.same(c.old, c.new)]
        if op.values:
            cleaned, gone = protect.protect_values(
                s.policy, self._module, op.values, "trail.values", s.salt, object_type=op.object_type or ""
            )
            withheld += gone
            if cleaned:
                trail["values"] = {name: changes.text_of(value) for name, value in cleaned.items() if value is not None}
            if s.expand != "never" and action in {"record.create", "record.delete"} and not changed:
                changed = self._expanded(op, created=action == "record.create")
        if s.keep_original and origin.data:
            self._keep_original(event, trail, origin)
        identity = op.id or f"{origin.stream}:{origin.offset}" + (f".{origin.number}" if origin.number else "")
        own = op.values and action in {"record.create", "record.delete"}
        count = len(changed) + (1 if own or not changed else 0)
        operation = {"change_count": len(changed), "id": identity}
        if "iam" in event.get("category", ()):
            self._target(root, op)
        missing = self._missing(root, op, misfits)
        documents: list[Event] = []
        if own or not changed:
            document = root if count == 1 else _copy(root)
            self._finish(document, op, operation, missing, withheld, head=True, number=0, count=count)
            documents.append(document)
        first = len(documents)
        for index, change in enumerate(changed):
            document = root if count == 1 else _copy(root)
            if own:
                document["event"]["action"] = "field.update"
                document["trail"].pop("values", None)
                document["trail"].pop("raw", None)
            self._add_change(document, change, index, missing, [] if own else withheld, operation, op, count, first)
            documents.append(document)
        return documents

    def _add_change(
        self,
        document: Event,
        change: Change,
        index: int,
        missing: list[str],
        withheld: list[dict[str, str]],
        operation: dict[str, Any],
        op: Operation,
        count: int,
        first: int,
    ) -> None:
        """Complete one document of one changed field."""
        shape = changes.document(change, index)
        gone = protect.protect_change(
            self._s.policy, self._module, shape, self._s.salt, object_type=op.object_type or ""
        )
        if shape["old_state"] == "unknown":
            missing = [*missing, "trail.change.old"]
        if shape["new_state"] == "unknown":
            missing = [*missing, "trail.change.new"]
        document["trail"]["change"] = shape
        if "iam" in document["event"].get("category", ()):
            name = _USER_CHANGES.get(change.field)
            if name and "new" in shape:
                value: Any = [shape["new"]] if name == "roles" else shape["new"]
                if name == "roles" and isinstance(change.new, list) and shape["redaction"] == "none":
                    value = [changes.text_of(role) for role in change.new]
                user = document["user"] = dict(document.get("user") or {})
                user["changes"] = {name: value}
        if shape["derivation"] == "snapshot_diff":
            document["trail"]["time"] = {**document["trail"]["time"], "precision": "bounded"}
        self._finish(
            document,
            op,
            operation,
            missing,
            [*withheld, *gone],
            head=index + first == 0,
            number=index + first,
            count=count,
        )

    def _finish(
        self,
        document: Event,
        op: Operation,
        operation: dict[str, Any],
        missing: list[str],
        withheld: list[dict[str, str]],
        *,
        head: bool,
        number: int,
        count: int,
    ) -> None:
        """Ids, stream, related values and the sentence: the last steps of every document."""
        event, trail = document["event"], document["trail"]
        event["id"] = operation["id"] if count == 1 else f"{operation['id']}#{number}"
        trail["operation"] = {**operation, "head": True} if head else operation
        if missing:
            trail["missing"] = missing
        if withheld:
            trail["sealed_fields"] = withheld
        spec = self._actions[event["action"]]
        document["data_stream"] = self._streams["change" if "change" in trail else spec.stream]
        self._related(document)
        if op.message and "change" not in trail:
            document["message"] = protect.protect_text(self._s.policy, self._module, op.message)
        else:
            document["message"] = sentences.sentence(document, op, self._s.format.vendor, spec)

    def _expanded(self, op: Operation, *, created: bool) -> list[Change]:
        """The values of a created or deleted record as changes: the sensitive ones, or all with `expand: always`."""
        found = []
        for name, value in op.values.items():
            if value is None:
                continue
            if self._s.expand == "sensitive":
                _, sensitivity = protect.classify(self._module, name, op.object_type or "")
                if sensitivity not in _SENSITIVE:
                    continue
            found.append(Change(name, ABSENT, value) if created else Change(name, value, ABSENT))
        return found

    def _target(self, root: Event, op: Operation) -> None:
        """An account's change names the account as `user.target` (ECS user usage)."""
        if op.object_type in {"user", "account", "member"} and op.object_id is not None:
            user = root.setdefault("user", {})
            target = user.setdefault("target", {})
            target.setdefault("id", op.object_id)
            if op.object_name:
                target.setdefault("name", op.object_name)

    # -- lines that nobody understood ---------------------------------------------------------------------------------

    def unparsed(self, reason: str, origin: Origin) -> Event:
        """The document of a record that the format refused: its text and the reason; nothing disappears."""
        event: dict[str, Any] = {
            "action": "log.unparsed",
            "created": origin.received_text,
            "dataset": f"{self._module}.unparsed",
            "id": f"{origin.stream}:{origin.offset}",
            "kind": "pipeline_error",
            "module": self._module,
        }
        trail: dict[str, Any] = {
            "operation": {"change_count": 0, "head": True, "id": event["id"]},
            "origin": {
                "input": self._s.input,
                "length": origin.length,
                "offset": origin.offset,
                "path": origin.path,
                "received": origin.received_text,
            },
            "schema": SCHEMA,
            "time": {"precision": "received"},
        }
        self._keep_original(event, trail, origin)
        return {
            "@timestamp": origin.received_text,
            "agent": self._agent,
            "data_stream": self._streams["activity"],
            "ecs": self._ecs,
            "error": {"message": reason},
            "event": event,
            "message": f"a line of {origin.path} was not understood: {reason}",
            "trail": trail,
        }

    def _keep_original(self, event: dict[str, Any], trail: dict[str, Any], origin: Origin) -> None:
        """The record's own text in `event.original`; bytes that are no UTF-8 stay beside it in base64."""
        data = origin.data
        cut = data[:_ORIGINAL_LIMIT]
        try:
            text = cut.decode()
        except UnicodeDecodeError as error:
            if len(data) > _ORIGINAL_LIMIT and error.start >= len(cut) - 3:
                text = cut[: error.start].decode()  # only the last character was cut in two
            else:
                text = cut.decode(errors="replace")
                trail["raw"] = {**trail.get("raw", {}), "original_base64": base64.b64encode(cut[:16_000]).decode()}
        event["original"] = protect.protect_original(self._s.policy, self._module, text)
        if len(data) > _ORIGINAL_LIMIT:
            trail["truncated"] = [{"length": max(len(data), origin.length), "path": "event.original"}]


def _field(name: str) -> tuple[tuple[str, ...], Callable[[Any], Any]] | None:
    """Path and converter of a field, None where no such field exists."""
    try:
        return tuple(name.split(".")), schema.converter(name)
    except KeyError:
        return None


def _nest(target: dict[str, Any], name: str, value: Any) -> None:
    """Put a leftover under its dotted path; where a scalar is in the way, under its literal name."""
    parts = name.split(".")
    here = target
    for part in parts[:-1]:
        child = here.get(part)
        if child is None:
            child = here[part] = {}
        elif not isinstance(child, dict):
            target[name] = value
            return
        here = child
    here[parts[-1]] = value


def _has(root: Mapping[str, Any], name: str) -> bool:
    here: Any = root
    for part in name.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def _collect_users(user: Mapping[str, Any], into: dict[str, None]) -> None:
    for name in _USER_PATHS:
        value = user.get(name)
        if value:
            into[value] = None
    for part in ("target", "effective", "changes"):
        child = user.get(part)
        if child:
            _collect_users(child, into)


def _copy(root: Event) -> Event:
    """A copy whose members that later steps write to are its own."""
    document = dict(root)
    document["event"] = dict(root["event"])
    document["trail"] = dict(root["trail"])
    return document
