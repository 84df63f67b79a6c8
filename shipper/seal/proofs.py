"""Inclusion and consistency proofs of RFC 6962, and the C2SP tlog-proof file that carries one to other people's tools.

Pure. One checkpoint document is enough to prove any leaf of its batch: the siblings to the left are complete subtrees
of the tree before it, which its frontier holds. Checking follows RFC 9162 sections 2.1.3.2 and 2.1.4.2, with the two
rules without which malformed proofs pass: every hash is exactly 32 bytes, and the old size is greater than 0.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shipper.seal.note import NoteError, SignedNote, decode_base64, parse_note
from shipper.seal.tree import MAX_SIZE, Tree, node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER: Final = "c2sp.org/tlog-proof@v1"


class Range:
    """The part of a tree that can be computed from its compact range at `start` and the leaf hashes after it."""

    __slots__ = ("_leaves", "_peaks", "size", "start")

    def __init__(self, start: int, frontier: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        Tree(start, frontier)  # checks the number and length of the hashes
        if any(len(leaf) != 32 for leaf in leaves):
            raise ValueError("a leaf hash is 32 bytes")
        self.start, self.size = start, start + len(leaves)
        self._leaves = leaves
        self._peaks: dict[tuple[int, int], bytes] = {}
        at = 0
        for level, peak in zip(
            (level for level in reversed(range(start.bit_length())) if start >> level & 1), frontier, strict=True
        ):
            self._peaks[at, at + (1 << level)] = peak
            at += 1 << level

    def hash(self, low: int, high: int) -> bytes:
        """The root of the leaves `low` to `high`-1; `ValueError` where it lies inside a subtree that is not known."""
        if low >= self.start:
            tree = Tree()
            tree.extend(self._leaves[low - self.start : high - self.start])
            return tree.root()
        known = self._peaks.get((low, high))
        if known is not None:
            return known
        if high - low <= 1 or high <= self.start:
            raise ValueError(f"the hashes of the leaves {low} to {high - 1} are not known")
        middle = low + _split(high - low)
        return node_hash(self.hash(low, middle), self.hash(middle, high))


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (RFC 6962 section 2.1)."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_proof(part: Range, index: int, size: int | None = None) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves (default: all of `part`), leaf's sibling first.

    `index` must lie at or after `part.start`; `ValueError` otherwise.
    """
    size = part.size if size is None else size
    if not part.start <= index < size <= part.size:
        raise ValueError("the leaf does not lie in this range")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(part.hash(middle, high))
            high = middle
        else:
            proof.append(part.hash(low, middle))
            low = middle
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that `leaf` stands at `index` in the tree of `size` leaves with this root."""
    if not _are_hashes((leaf, root, *proof)) or not 0 <= index < size < MAX_SIZE:
        return False
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def consistency_proof(part: Range, old: int, new: int | None = None) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves (default: all of `part`).

    Works from a range that begins at or before `old`: at 0 (all leaf hashes), or exactly at `old` (its frontier).
    """
    new = part.size if new is None else new
    if not 0 < old <= new <= part.size:
        raise ValueError("a consistency proof goes from a size above 0 to one that is not smaller")
    proof: list[bytes] = []
    low, high, complete = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(part.hash(middle, high))
            high = middle
        else:
            proof.append(part.hash(low, middle))
            low, complete = middle, False
    if not complete:
        proof.append(part.hash(low, high))
    return proof[::-1]


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree (`old`, `old_root`) is the beginning of the tree (`new`, `new_root`)."""
    if not _are_hashes((old_root, new_root, *proof)) or not 0 < old <= new < MAX_SIZE:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(node, first), node_hash(node, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


def _are_hashes(nodes: Sequence[bytes]) -> bool:
    return all(len(node) == 32 for node in nodes)


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A tlog-proof file: a leaf's index, its inclusion proof, the signed checkpoint, and unauthenticated extra data."""

    index: int
    proof: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    def parsed_note(self) -> SignedNote:
        """The checkpoint's note, parsed and not believed."""
        return parse_note(self.note)


def proof_text(index: int, proof: Sequence[bytes], note: str, extra: bytes = b"") -> str:
    """The text of a `.tlog-proof` file (c2sp.org/tlog-proof)."""
    lines = [_HEADER]
    if extra:
        lines.append(f"extra {b64encode(extra).decode()}")
    lines.append(f"index {index}")
    lines.extend(b64encode(node).decode() for node in proof)
    return "\n".join(lines) + f"\n\n{note}"


def parse_proof(text: str) -> ProofFile:
    """Read a `.tlog-proof` file strictly; `NoteError` when it is malformed. Nothing in it is checked yet."""
    head, gap, note = text.partition("\n\n")
    if not gap or len(text) > 200_000:
        raise NoteError("a proof file has its checkpoint after an empty line")
    parse_note(note)
    lines = head.split("\n")
    if lines.pop(0) != _HEADER:
        raise NoteError(f"a proof file begins with {_HEADER}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0)[6:])
    word, _, digits = lines.pop(0).partition(" ") if lines else ("", "", "")
    if word != "index" or not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or str(int(digits)) != digits:
        raise NoteError("a proof file names the leaf in a line `index <number>`")
    if len(lines) > 64:
        raise NoteError("the proof is too long")
    return ProofFile(int(digits), tuple(decode_base64(line, 32) for line in lines), note, extra)
