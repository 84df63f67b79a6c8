"""The Merkle tree of RFC 6962 section 2.1, kept as a compact range: the roots of its complete subtrees.

Pure. `leaf = SHA-256(0x00 || nonce || body)`, `node = SHA-256(0x01 || left || right)`; all hashes are 32 bytes. The
nonce is part of the leaf data, so that a published leaf hash of an erased event cannot be guessed back.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962 section 2.1)."""

MAX_SIZE: Final = 1 << 53
"""Largest tree that a JSON integer can number."""


def leaf_hash(nonce: bytes, body: bytes) -> bytes:
    """The leaf of one document: 16 random bytes and its canonical bytes without `seal`."""
    return sha256(b"\x00" + nonce + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The parent of two nodes."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """An append-only tree of which only the right edge is kept: at most 53 hashes, whatever the size.

    `Tree(size, frontier)` takes a kept range up again; `frontier` is what `frontier()` gave. A frontier of the wrong
    length or with a hash that is not 32 bytes is a `ValueError`.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, frontier: Sequence[bytes] = ()) -> None:
        if not 0 <= size < MAX_SIZE:
            raise ValueError("tree size out of range")
        if len(frontier) != size.bit_count() or any(len(node) != 32 for node in frontier):
            raise ValueError("frontier does not fit the tree size")
        self.size = size
        # By level: the root of a complete subtree of 2^level leaves, or None where the size has no such bit.
        self._peaks: list[bytes | None] = []
        left = list(frontier)
        for level in range(size.bit_length()):
            self._peaks.append(left.pop() if size >> level & 1 else None)

    def copy(self) -> Tree:
        """An independent tree of the same size."""
        other = Tree()
        other.size, other._peaks = self.size, self._peaks.copy()
        return other

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append leaf hashes (32 bytes each), level by level: two hashes per leaf in all."""
        peaks = self._peaks
        nodes: Sequence[bytes] = leaves
        count = self.size + len(leaves)
        level = 0
        while nodes:
            if level == len(peaks):
                peaks.append(None)
            left = peaks[level]
            if left is not None:
                nodes = [left, *nodes]
            peaks[level] = nodes[-1] if len(nodes) & 1 else None
            pairs = iter(nodes)
            nodes = [sha256(b"\x01" + first + second).digest() for first, second in zip(pairs, pairs, strict=False)]
            level += 1
        self.size = count

    def root(self) -> bytes:
        """The root hash at the present size."""
        root: bytes | None = None
        for peak in self._peaks:
            if peak is not None:
                root = peak if root is None else sha256(b"\x01" + peak + root).digest()
        return EMPTY_ROOT if root is None else root

    def frontier(self) -> list[bytes]:
        """The roots of the complete subtrees from left to right: one per set bit of the size, largest first."""
        return [peak for peak in reversed(self._peaks) if peak is not None]
