"""The documents that the log itself writes: control leaves, and the checkpoint documents that are no leaves.

Pure. Names and shapes: docs/reference/checkpoint.md. What a control leaf states stands in `trail.log`, its kind in
`trail.control`; a checkpoint document holds the signed note, the leaf hashes of its batch and the compact range before
it, so that a reader can begin at any one of them and needs nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from shipper.seal.canonical import conform_value
from shipper.seal.note import Checkpoint, NoteError, decode_base64, log_id, parse_checkpoint, parse_note
from shipper.seal.tree import MAX_SIZE, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipper.model import Event

ECS_VERSION: Final = "9.4.0"
LOG_DATASET: Final = "fieldtrail.log"
CHECKPOINT_DATASET: Final = "fieldtrail.checkpoint"
KINDS: Final = frozenset(
    {
        *("genesis", "batch", "heartbeat", "start", "stop", "epoch", "reject", "drop"),
        *("retention", "erasure", "config", "succession"),
    }
)
MAX_LEAVES: Final = 1_000_000
"""Leaf hashes that are read from one checkpoint document; ours hold at most one batch."""


class CheckpointDocument(NamedTuple):
    """A checkpoint document, well-formed but not yet believed: the signature is not checked.

    `leaves` is None where the document was shipped without them (`control: notes`); `frontier` is the compact range at
    `prev_size`. `time` is `@timestamp` as text.
    """

    log: str
    origin: str
    size: int
    prev_size: int
    root: bytes
    note: str
    leaves: list[bytes] | None
    frontier: list[bytes]
    time: str

    def tree(self) -> Tree:
        """The tree at `prev_size`."""
        return Tree(self.prev_size, self.frontier)


def document_id(log: str, index: int) -> str:
    """`_id` of the document at a leaf index: `<log>-<14 hex digits>`."""
    return f"{log}-{index:014x}"


def checkpoint_id(log: str, size: int) -> str:
    """`_id` of a checkpoint document: `<log>-c<size, 14 hex digits>`."""
    return f"{log}-c{size:014x}"


def _base(
    dataset: str,
    action: str,
    event_id: str,
    message: str,
    *,
    time: str,
    agent_name: str,
    agent_version: str,
    namespace: str,
) -> Event:
    return {
        "@timestamp": time,
        "agent": {"name": agent_name, "type": "fieldtrail", "version": agent_version},
        "data_stream": {"dataset": dataset, "namespace": namespace, "type": "logs"},
        "ecs": {"version": ECS_VERSION},
        "event": {
            "action": action,
            "created": time,
            "dataset": dataset,
            "id": event_id,
            "kind": "event" if dataset == LOG_DATASET else "state",
            "module": "fieldtrail",
        },
        "message": message,
        "trail": {"operation": {"change_count": 0, "head": True, "id": event_id}, "schema": 1},
    }


def control_event(
    kind: str,
    payload: Mapping[str, Any],
    *,
    time: str,
    log: str,
    agent_name: str,
    agent_version: str,
    namespace: str = "default",
) -> Event:
    """A control leaf before sealing: an ordinary event of dataset `fieldtrail.log`.

    `kind`: one of `KINDS`; `payload`: what it states, stored as `trail.log` (shapes: docs/reference/checkpoint.md);
    `time`: RFC 3339, UTC. `event.id` is made of the content, since the leaf index is not known yet.
    """
    if kind not in KINDS:
        raise ValueError(f"no such control leaf: {kind}")
    stated = conform_value(dict(payload))
    content = orjson.dumps([log, kind, time, stated], option=orjson.OPT_SORT_KEYS)
    event_id = f"{log}-{kind}-{sha256(content).hexdigest()[:16]}"
    event = _base(
        LOG_DATASET,
        "seal.control",
        event_id,
        f"log {log}: {kind}",
        time=time,
        agent_name=agent_name,
        agent_version=agent_version,
        namespace=namespace,
    )
    event["trail"]["control"] = kind
    event["trail"]["log"] = stated
    return event


def batch_payloads(
    first: int, last: int, interval: float, sources: Sequence[Mapping[str, Any]], *, most_bytes: int = 30_000
) -> list[dict[str, Any]]:
    """The payloads of the `batch` leaves that close one batch: one, or several where the sources do not fit into one.

    An event may have 1,000 members and 64,000 bytes; a host with hundreds of growing files needs more. Each part
    repeats `first`, `last` and `interval`.
    """
    parts: list[list[Mapping[str, Any]]] = [[]]
    octets = members = 0
    for source in sources:
        weight, width = len(orjson.dumps(source)), len(source)
        if parts[-1] and (octets + weight > most_bytes or members + width > 800):
            parts.append([])
            octets = members = 0
        parts[-1].append(source)
        octets, members = octets + weight, members + width
    return [
        {"first": first, "last": last, "interval": interval, "sources": [dict(source) for source in part]}
        for part in parts
    ]


def build_checkpoint_document(
    *,
    log: str,
    origin: str,
    size: int,
    prev_size: int,
    root: bytes,
    note: str,
    leaves: Sequence[bytes] | None,
    frontier: Sequence[bytes],
    time: str,
    agent_name: str,
    agent_version: str,
    namespace: str = "default",
) -> Event:
    """The document of one checkpoint; it carries no `seal`.

    `leaves`: the hashes of the leaves from `prev_size` to `size`, or None for the short form (`control: notes`);
    `frontier`: the compact range at `prev_size`. Its `_id` is `checkpoint_id(log, size)`.
    """
    event = _base(
        CHECKPOINT_DATASET,
        "seal.checkpoint",
        checkpoint_id(log, size),
        f"log {log}: signed checkpoint at {size} leaves",
        time=time,
        agent_name=agent_name,
        agent_version=agent_version,
        namespace=namespace,
    )
    part: dict[str, Any] = {
        "frontier": [b64encode(node).decode() for node in frontier],
        "log": log,
        "note": note,
        "origin": origin,
        "prev_size": prev_size,
        "root": b64encode(root).decode(),
        "size": size,
    }
    if leaves is not None:
        part["leaves"] = b64encode(b"".join(leaves)).decode()
    event["trail"]["checkpoint"] = part
    return event


def without_leaves(document: Event) -> Event:
    """The `control: notes` form of a checkpoint document, for destinations with small messages."""
    trail = document["trail"]
    part = {key: value for key, value in trail["checkpoint"].items() if key != "leaves"}
    return {**document, "trail": {**trail, "checkpoint": part}}


_MEMBERS: Final = {"size", "prev_size", "root", "note", "origin", "log", "frontier"}


def parse_checkpoint_document(document: Mapping[str, Any]) -> CheckpointDocument:
    """Read a checkpoint document strictly; `NoteError` where anything is missing, malformed or contradicts itself.

    The note's three lines must repeat origin, size and root, the log id must belong to the origin, and leaves and
    frontier must have the lengths that the sizes ask for. The signature is the caller's business.
    """
    trail = document.get("trail")
    part = trail.get("checkpoint") if isinstance(trail, dict) else None
    if not isinstance(part, dict) or not _MEMBERS <= part.keys() <= _MEMBERS | {"leaves"}:
        raise NoteError("not a checkpoint document")
    size, prev_size = _size(part["size"]), _size(part["prev_size"])
    note, origin, log = (_string(part[name]) for name in ("note", "origin", "log"))
    root = decode_base64(_string(part["root"]), 32)
    stated = parse_checkpoint(parse_note(note).text)
    if stated != Checkpoint(origin, size, root) or log != log_id(origin):
        raise NoteError("the document says something else than its note")
    if prev_size >= size:
        raise NoteError("the checkpoint covers no leaves")
    listed = part["frontier"]
    if not isinstance(listed, list) or len(listed) != prev_size.bit_count():
        raise NoteError("the frontier does not fit prev_size")
    frontier = [decode_base64(_string(node), 32) for node in listed]
    leaves = None
    if "leaves" in part:
        if size - prev_size > MAX_LEAVES:
            raise NoteError("too many leaves")
        joined = decode_base64(_string(part["leaves"]), 32 * (size - prev_size))
        leaves = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    time = document.get("@timestamp")
    return CheckpointDocument(
        log, origin, size, prev_size, root, note, leaves, frontier, time if isinstance(time, str) else ""
    )


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise NoteError("a tree size is malformed")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise NoteError("a member is not text")
    return value
