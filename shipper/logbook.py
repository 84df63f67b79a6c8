"""The agent's log as it grows: control leaves, batches, checkpoints, generations, and what a frame's meta holds.

No disk, no clock of its own: the agent hands both in. Frame meta (docs/reference/journal-format.md): `log`, `origin`,
`namespace`, `first` (leaf index of the first leaf), `routes` [[dataset, count], ...] in document order, `tree` (see
`Sealer.state`), `positions` {stream: position} of the streams in this frame, `sources` (see `pipeline.fold`), `total`
(documents kept so far), `checked_seq` (frame of the last checkpoint), and `checkpoint` (size) where the frame ends
with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shipper.clock import rfc3339
from shipper.model import Event
from shipper.pipeline import Lines, fold
from shipper.seal.canonical import canonical, conform, unsplice
from shipper.seal.checkpoint import batch_payloads, build_checkpoint_document, control_event
from shipper.seal.note import checkpoint_text, public_bytes, sign, vkey
from shipper.seal.sealer import LogName, Sealer, hash_leaves
from shipper.seal.tree import Tree, leaf_hash

LOG_DATASET, CHECKPOINT_DATASET = "fieldtrail.log", "fieldtrail.checkpoint"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who seals: names, namespace and the identity key."""

    name: str
    version: str
    namespace: str
    prefix: str
    """`<agent.origin>/<agent.name>`."""
    key: Ed25519PrivateKey
    mac_key: bytes
    """32 bytes, local: keys the custody MACs of the batch leaves."""


@dataclass(frozen=True, slots=True)
class Built:
    """One frame, ready to be kept."""

    meta: dict[str, Any]
    documents: list[bytes]
    size: int
    """Tree size after it."""
    checkpoint: int | None
    """Tree size of the checkpoint it ends with."""


def new_origin(prefix: str, now: float, random_bytes: Callable[[int], bytes]) -> str:
    """The origin of a new generation: the UTC second of its genesis and 8 random hex digits."""
    second = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{prefix}/{second}-{random_bytes(4).hex()}"


@dataclass(slots=True)
class Logbook:
    """The end of the log that is being written."""

    identity: Identity
    sealer: Sealer
    random_bytes: Callable[[int], bytes]
    """n -> n random bytes, for the nonces of our own documents."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """Custody entries of the frames since the last checkpoint."""
    opened_at: float | None = None
    """Monotonic seconds when the first leaf after the last checkpoint was sealed."""
    note: str = ""
    """The newest signed checkpoint of this log."""
    genesis: bytes = b""
    """Leaf hash of leaf 0."""
    pending: list[Event] = field(default_factory=list)
    """Control and health events that go into the next frame."""
    reports: int = 0
    """Leaves since the last checkpoint that are the agent's reports of itself."""

    @classmethod
    def begin(
        cls,
        identity: Identity,
        now: float,
        random_bytes: Callable[[int], bytes],
        *,
        host: str,
        config_hash: str,
        succession: Mapping[str, Any] | None,
    ) -> Logbook:
        """A new generation, with its genesis (and succession) leaves waiting for the first frame."""
        log = LogName.of(new_origin(identity.prefix, now, random_bytes))
        book = cls(identity, Sealer(log, Tree()), random_bytes)
        key = vkey(log.origin, public_bytes(identity.key))
        book.control("genesis", {"origin": log.origin, "vkey": key, "host": host, "config_hash": config_hash}, now)
        if succession is not None:
            book.control("succession", succession, now)
        return book

    def control(self, kind: str, payload: Mapping[str, Any], now: float) -> None:
        """Queue a control leaf for the next frame."""
        self.pending.append(
            control_event(
                kind,
                payload,
                time=rfc3339(now),
                log=self.sealer.log.id,
                agent_name=self.identity.name,
                agent_version=self.identity.version,
                namespace=self.identity.namespace,
            )
        )

    @property
    def quiet(self) -> bool:
        """Whether nothing was sealed since the last checkpoint, nor waits, but reports, which are no work."""
        return self.open_leaves == self.reports and all(map(_is_report, self.pending))

    @property
    def open_leaves(self) -> int:
        """Leaves since the last checkpoint."""
        return len(self.sealer.open_leaves)

    def build(
        self, lines: Sequence[Lines], positions: Mapping[str, Any], now: float, *, close: bool, interval: float
    ) -> Built:
        """Seal lines and waiting control events into one frame; with `close`, end it with batch leaf and checkpoint."""
        sealer = self.sealer
        first = sealer.tree.size
        own: list[bytes] = []
        routes: list[list[Any]] = []
        sources = []
        # Control leaves come first, so that genesis is leaf 0 and a start stands before what was read after it.
        for event in self.pending:
            self.reports += _is_report(event)
            own.append(_body(event))
            _route(routes, event["data_stream"]["dataset"], 1)
        self.pending = []
        shipped = self._sealed(own)
        for part in lines:
            if part.form is not None:
                shipped += sealer.fill(part.form, part.leaves)
            else:
                shipped += sealer.seal(part.bodies, part.nonces, part.leaves)
            for dataset, count in part.routes:
                _route(routes, dataset, count)
            if part.source["lines"]:  # a chunk without records only moves a position
                sources.append(part.source)
        self.sources += sources
        if close:
            at = sealer.checked_size
            custody = fold(self.sources, self.identity.mac_key)
            for payload in batch_payloads(at, sealer.tree.size - 1, interval, custody):
                self.control("batch", payload, now)
                shipped += self._sealed([_body(self.pending.pop())])
                _route(routes, LOG_DATASET, 1)
            self.sources = []
        if first == 0 and shipped:
            self.genesis = sealer.open_leaves[0] if sealer.checked_size == 0 else self.genesis
        meta: dict[str, Any] = {
            "v": 1,
            "log": sealer.log.id,
            "origin": sealer.log.origin,
            "namespace": self.identity.namespace,
            "first": first,
            "routes": routes,
            "positions": dict(positions),
            "sources": sources,
            "time": now,
        }
        checkpoint = None
        if close:
            shipped.append(self._checkpoint(now))
            routes.append([CHECKPOINT_DATASET, 1])
            checkpoint = meta["checkpoint"] = sealer.checked_size
            meta["note"] = self.note
        meta["tree"] = sealer.state()
        return Built(meta, shipped, sealer.tree.size, checkpoint)

    def _sealed(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Documents of our own, sealed."""
        return self.sealer.seal(bodies, *hash_leaves(bodies, self.random_bytes))

    def _checkpoint(self, now: float) -> bytes:
        sealer = self.sealer
        size, root = sealer.tree.size, sealer.tree.root()
        origin = sealer.log.origin
        self.note = sign(checkpoint_text(origin, size, root), origin, self.identity.key)
        prev_size, frontier, leaves = sealer.close_batch()
        document = build_checkpoint_document(
            log=sealer.log.id,
            origin=origin,
            size=size,
            prev_size=prev_size,
            root=root,
            note=self.note,
            leaves=leaves,
            frontier=frontier,
            time=rfc3339(now),
            agent_name=self.identity.name,
            agent_version=self.identity.version,
            namespace=self.identity.namespace,
        )
        self.opened_at, self.reports = None, 0
        return canonical_checkpoint(document)

    def state(self) -> dict[str, Any]:
        """What a new segment's first frame carries of the log, beside the positions."""
        return {
            "log": self.sealer.log.id,
            "origin": self.sealer.log.origin,
            "tree": self.sealer.state(),
            "note": self.note,
            "genesis": self.genesis.hex(),
        }


def _body(event: Event) -> bytes:
    """The canonical bytes of an event of our own, whose figures (a duration of 60.0) nobody has brought into form."""
    return canonical(conform(event)[0])


def _is_report(event: Event) -> bool:
    return bool(event["event"]["action"] == "agent.report")


def canonical_checkpoint(document: Event) -> bytes:
    """A checkpoint document's bytes: canonical, without the event's size limits (its `leaves` are long)."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def leaves_of(documents: Sequence[bytes]) -> list[bytes]:
    """The leaf hashes of shipped documents, recomputed from their bytes; a `ValueError` where one has no seal."""
    leaves = []
    for data in documents:
        parts = unsplice(data)
        if parts is None:
            raise ValueError("a kept document has no seal")
        leaves.append(leaf_hash(parts.nonce, parts.body))
    return leaves


def _route(routes: list[list[Any]], dataset: str, count: int) -> None:
    """Add documents of a dataset to run-length form: [[a, 2], [b, 1]]."""
    if routes and routes[-1][0] == dataset:
        routes[-1][1] += count
    else:
        routes.append([dataset, count])
