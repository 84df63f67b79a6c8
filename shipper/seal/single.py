"""One document, or two tree sizes, checked with a proof that can be given away: `verify event`, `verify consistency`.

A checkpoint document alone is enough for an inclusion proof: the siblings left of its batch are the compact range that
it carries. The proof is printed as a C2SP tlog-proof file, which other people's tools read.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from shipper.errors import UsageError
from shipper.seal._reading import parse_id, read
from shipper.seal.checkpoint import CheckpointDocument, parse_checkpoint_document
from shipper.seal.findings import printable
from shipper.seal.note import NoteError, open_checkpoint
from shipper.seal.proofs import (
    Range,
    consistency_proof,
    inclusion_proof,
    proof_text,
    verify_consistency,
    verify_inclusion,
)
from shipper.seal.sources import Source
from shipper.seal.trust import Trust


class Answer(NamedTuple):
    """Whether it holds, and what to print."""

    ok: bool
    text: str


def _checkpoints(source: Source, trust: Trust, log: str | None) -> Iterator[CheckpointDocument]:
    """The signed checkpoints of a source that the trust covers and that carry their leaf hashes, smallest first."""
    found = []
    for raw in source.control():
        try:
            document = orjson.loads(raw.data)
            checkpoint = parse_checkpoint_document(document)
            if trust.covers(checkpoint.origin) and log in {None, checkpoint.log} and checkpoint.leaves is not None:
                open_checkpoint(checkpoint.note, trust.verifiers(checkpoint.origin))
                found.append(checkpoint)
        except (ValueError, NoteError, AttributeError):
            continue
    yield from sorted(found, key=lambda item: (item.log, item.size))


def check_event(source: Source, trust: Trust, document_id: str) -> Answer:
    """Find the document, check it against the first checkpoint that covers it, and give its inclusion proof."""
    parsed = parse_id(document_id)
    if parsed is None or parsed[1]:
        raise UsageError(
            "verify event", document_id, "not a document id", "take `_id`, or <seal.log>-<seal.i as 14 hex digits>"
        )
    log, _, index = parsed
    shown = printable(document_id)
    reading = None
    for stored in (source.events(), source.control()):
        for raw in stored:
            found = read(raw.data)
            if found.log == log and found.i == index:
                reading = found
                break
        if reading is not None:
            break
    covering = next((item for item in _checkpoints(source, trust, log) if item.prev_size <= index < item.size), None)
    if covering is None or covering.leaves is None:
        if reading is None:
            return Answer(False, f"MISSING {shown}: neither the document nor a trusted checkpoint over it is here")
        return Answer(False, f"{shown}: no trusted checkpoint covers it here (yet)")
    expected = covering.leaves[index - covering.prev_size]
    proof = inclusion_proof(Range(covering.prev_size, covering.frontier, covering.leaves), index)
    if not verify_inclusion(expected, index, covering.size, covering.root, proof):
        return Answer(False, f"{shown}: the checkpoint document contradicts its own signed root")
    if reading is None:
        return Answer(False, f"MISSING {shown}: the log holds leaf {index}, the document is not here")
    if reading.leaf != expected:
        return Answer(False, f"MODIFIED {index}: the document is not what was sealed as leaf {index}")
    again = "" if reading.verbatim else "warning: written again by the destination with the same values\n"
    return Answer(
        True,
        f"{again}leaf {index} of {printable(covering.origin)} is in the tree of {covering.size} leaves signed by "
        f"{trust.fingerprint}\n\n{proof_text(index, proof, covering.note)}".rstrip("\n"),
    )


def check_consistency(source: Source, trust: Trust, old: int, new: int) -> Answer:
    """Check that the tree of `old` leaves is the beginning of the tree of `new` leaves; both need a checkpoint here."""
    if not 0 < old <= new:
        raise UsageError("verify consistency", f"{old} {new}", "the sizes must rise from above 0", "smaller one first")
    by_log: dict[str, list[CheckpointDocument]] = {}
    for item in _checkpoints(source, trust, None):
        by_log.setdefault(item.log, []).append(item)
    for items in by_log.values():
        sizes = {item.size: item for item in items}
        if old not in sizes or new not in sizes:
            continue
        first, last = sizes[old], sizes[new]
        if old == new:
            return Answer(first.root == last.root, f"consistent: {old} is {new}")
        following = [item for item in items if old < item.size <= new]
        at, leaves = old, []
        for item in following:
            if item.prev_size != at or item.leaves is None:
                return Answer(
                    False, f"cannot tell: no checkpoint with leaf hashes between {at} and {item.size} is here"
                )
            leaves += item.leaves
            at = item.size
        frontier = following[0].frontier
        proof = consistency_proof(Range(old, frontier, leaves), old, new)
        if not verify_consistency(old, new, first.root, last.root, proof):
            return Answer(False, f"FORK: the log of {old} leaves is not the beginning of the log of {new} leaves")
        lines = "\n".join(b64encode(node).decode() for node in proof)
        return Answer(
            True, f"consistent: {printable(first.origin)}: the first {old} of {new} leaves are the same\n\n{lines}"
        )
    return Answer(False, f"no log here has trusted checkpoints of {old} and of {new} leaves")
