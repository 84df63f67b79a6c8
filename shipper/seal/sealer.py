"""The writer's side of the log: leaf indexes, nonces, the running tree, and signed checkpoints.

Nothing here touches a disk: a `Sealer` is advanced in memory, and what it returned goes into one journal frame. If that
frame cannot be kept, the caller keeps the same bytes and tries again; a sealer is never turned back, and a signed note
is never signed again (sealing.md 9).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shipper.seal.note import log_id
from shipper.seal.tree import Tree

NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class LogName:
    """One append-only log: its full origin, and the short id used in documents (first 16 hex of SHA-256(origin))."""

    origin: str
    id: str

    @classmethod
    def of(cls, origin: str) -> LogName:
        """The name for a full origin `<agent.origin>/<agent.name>/<generation>`."""
        return cls(origin, log_id(origin))


def hash_leaves(bodies: Sequence[bytes], random_bytes: Callable[[int], bytes]) -> tuple[list[bytes], list[bytes]]:
    """Nonces (22 base64url characters each) and leaf hashes of canonical documents, in order.

    A leaf does not depend on the documents before it, so any process may hash it; `random_bytes`: n -> n random bytes.
    """
    pool = random_bytes(len(bodies) * NONCE_BYTES)
    nonces = [pool[at : at + NONCE_BYTES] for at in range(0, len(pool), NONCE_BYTES)]
    # Filled up to 18 bytes, each nonce has its own 24 characters, of which the first 22 are its base64url.
    texts = urlsafe_b64encode(b"\0\0".join([*nonces, b""]))
    leaves = [sha256(b"\0%b%b" % (nonce, body)).digest() for nonce, body in zip(nonces, bodies, strict=True)]
    return [texts[at : at + 22] for at in range(0, len(texts), 24)], leaves


@dataclass(slots=True)
class Sealer:
    """Position at the end of one log.

    `tree` is the compact range over all leaves so far; `open_leaves` the leaf hashes since the last checkpoint, whose
    size and frontier are `checked_size` and `checked_frontier`.
    """

    log: LogName
    tree: Tree
    checked_size: int = 0
    checked_frontier: list[bytes] = field(default_factory=list)
    open_leaves: list[bytes] = field(default_factory=list)

    def seal(self, bodies: Sequence[bytes], nonces: Sequence[bytes], leaves: Sequence[bytes]) -> list[bytes]:
        """The shipped bytes of canonical documents, in order; the tree grows by as many leaves.

        `nonces` and `leaves`: what `hash_leaves` gave for these documents.
        """
        middle = f'"log":"{self.log.id}","n":"'.encode()
        size = self.tree.size
        shipped = [
            b'%b,"seal":{"i":%d,%b%b"}}' % (body[:-1], index, middle, nonce)
            for index, body, nonce in zip(range(size, size + len(bodies)), bodies, nonces, strict=True)
        ]
        self.tree.extend(leaves)
        self.open_leaves.extend(leaves)
        return shipped

    def close_batch(self) -> tuple[int, list[bytes], list[bytes]]:
        """Move the checkpoint to the present size; returns the previous size, its frontier, and the leaves between."""
        before = (self.checked_size, self.checked_frontier, self.open_leaves)
        self.checked_size = self.tree.size
        self.checked_frontier = self.tree.frontier()
        self.open_leaves = []
        return before

    def state(self) -> dict[str, Any]:
        """What a journal frame keeps: size and frontier of the tree, and of the last checkpoint (hex)."""
        return {
            "size": self.tree.size,
            "frontier": [node.hex() for node in self.tree.frontier()],
            "checked_size": self.checked_size,
            "checked_frontier": [node.hex() for node in self.checked_frontier],
        }
