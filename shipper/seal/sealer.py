"""The writer's side of the log: leaf indexes, nonces, the running tree, and signed checkpoints.

Nothing here touches a disk: a `Sealer` is advanced in memory, and what it returned goes into one journal frame. If that
frame cannot be kept, the caller keeps the same bytes and tries again; a sealer is never turned back, and a signed note
is never signed again (sealing.md 9).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

from shipper.seal.note import log_id
from shipper.seal.tree import Tree

NONCE_BYTES = 16
_NONCE_LENGTH: Final = 22
"""Characters of a nonce in base64url."""
_AROUND: Final = len(',"seal":{"i":,"log":"","n":""}') + _NONCE_LENGTH
"""Bytes that a sealed document has beside its body, its index and the id of its log."""


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
    return [texts[at : at + _NONCE_LENGTH] for at in range(0, len(texts), 24)], leaves


class Form(NamedTuple):
    """Documents with all that needs no knowledge of the log: what is left open is the index of each, and the log's id.

    To fill it in is a fraction of the work of `Sealer.seal`, so that another process may do the larger part.
    """

    text: bytes
    """The documents, with nothing between them, as a format (`%`) of two values for each."""
    lengths: Sequence[int]
    """Bytes of each document without its seal."""

    @classmethod
    def of(cls, bodies: Sequence[bytes], nonces: Sequence[bytes]) -> Form:
        """The form of canonical documents; `nonces`: what `hash_leaves` gave for them."""
        parts = [b"", b',"seal":{"i":%d,"log":"%b","n":"', b"", b'"}}'] * len(bodies)
        parts[::4] = [body[:-1].replace(b"%", b"%%") for body in bodies]
        parts[2::4] = nonces
        return cls(b"".join(parts), list(map(len, bodies)))

    def filled(self, first: int, log: str) -> list[bytes]:
        """The shipped bytes of the documents; `first`: the index of the first of them."""
        indexes = range(first, first + len(self.lengths))
        values: list[int | bytes] = [log.encode()] * (2 * len(indexes))
        values[::2] = indexes
        around, digits = _AROUND + len(log), len(str(first))
        sizes: Iterable[int]
        if len(str(indexes.stop)) == digits:
            sizes = map((around + digits).__add__, self.lengths)
        else:
            sizes = [around + len(str(index)) + length for index, length in zip(indexes, self.lengths, strict=True)]
        text = self.text % tuple(values)
        return [text[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]

    def bodies(self) -> list[bytes]:
        """The canonical documents again."""
        return [data[: length - 1] + b"}" for data, length in zip(self.filled(0, ""), self.lengths, strict=True)]


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
        self._grow(leaves)
        return shipped

    def fill(self, form: Form, leaves: Sequence[bytes]) -> list[bytes]:
        """The same for documents that have come as a form."""
        shipped = form.filled(self.tree.size, self.log.id)
        self._grow(leaves)
        return shipped

    def _grow(self, leaves: Sequence[bytes]) -> None:
        self.tree.extend(leaves)
        self.open_leaves.extend(leaves)

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
