"""The verifier's first concern: which checkpoints count, and whether they form one chain.

A checkpoint counts when a trusted key signed its note under its own origin. Its leaf hashes count when they, appended
to its frontier, give the signed root; then they say what every position of the batch must hold. Positions that no
checkpoint lists (a checkpoint is gone, or was shipped as a note only) form a *segment*, which is judged as a whole by
the next signed root once all its documents were seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shipper.seal._reading import parse_id
from shipper.seal.checkpoint import checkpoint_id, parse_checkpoint_document
from shipper.seal.findings import Finding
from shipper.seal.note import NoteError, verify_note
from shipper.seal.tree import EMPTY_ROOT, MAX_SIZE, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipper.seal._ledger import Ledger, Log, Record
    from shipper.seal.findings import Findings
    from shipper.seal.sources import RawDocument
    from shipper.seal.trust import Trust


class Segment(NamedTuple):
    """Leaves [start, end) that no checkpoint lists, and the signed root at `end`.

    `tree`: the tree at `start`, where it is known; `label`: the checkpoint whose root it is.
    """

    start: int
    end: int
    root: bytes
    tree: Tree | None


def accept(
    ledger: Ledger, trusts: tuple[Trust, ...], raw: RawDocument, doc: dict[str, Any] | None, findings: Findings
) -> tuple[str, str] | None:
    """Take a checkpoint document in, or say what is wrong with it; (log, name) where it belongs to nobody we trust."""
    if doc is None:
        damaged(ledger, raw, doc, "no JSON that every reader reads alike", findings)
        return None
    try:
        parsed = parse_checkpoint_document(doc)
    except NoteError as error:
        damaged(ledger, raw, doc, str(error), findings)
        return None
    trust = next((one for one in trusts if one.covers(parsed.origin)), None)
    if trust is None:
        return parsed.log, raw.id or raw.place
    log = ledger.open_log(parsed.log, parsed.origin, trust)
    try:
        verify_note(parsed.note, trust.verifiers(parsed.origin))
    except NoteError as error:
        damaged(ledger, raw, doc, str(error), findings)
        return None
    label = f"checkpoint {parsed.size}"
    tree = Tree(parsed.prev_size, parsed.frontier)
    before: bytes | None = tree.root()
    listed = parsed.leaves is not None
    if parsed.leaves is not None:
        tree.extend(parsed.leaves)
        if tree.root() != parsed.root:
            # The note is good, so the documents can still be judged by its root; only what stands beside it is not.
            detail = "its leaf hashes do not give the signed root"
            findings.add(Finding("MODIFIED", log.id, what=label, detail=detail))
            listed, before = False, None
    kept = ledger.add_checkpoint(parsed, before, listed=listed)
    if kept is not None:
        if kept == parsed.root:
            findings.add(Finding("DUPLICATE", log.id, what=label))
        else:
            detail = f"two signed roots for {parsed.size} leaves"
            findings.add(Finding("FORK", log.id, what=label, detail=detail))
        return None
    if raw.id is not None and raw.id != checkpoint_id(parsed.log, parsed.size):
        findings.add(Finding("REORDERED", log.id, what=label, detail=f"stored under the id {raw.id}"))
    log.checkpoints += 1
    if parsed.size > log.size:
        log.root = parsed.root
        log.grow(parsed.size)
    if listed and parsed.leaves is not None:
        log.list_leaves(parsed.prev_size, parsed.leaves)
    return None


def damaged(ledger: Ledger, raw: RawDocument, doc: dict[str, Any] | None, why: str, findings: Findings) -> None:
    """Name a checkpoint document that cannot be believed, by what it claims to be."""
    trail = (doc or {}).get("trail")
    part = trail.get("checkpoint") if isinstance(trail, dict) else None
    part = part if isinstance(part, dict) else {}
    size, log = part.get("size"), part.get("log")
    named = parse_id(raw.id)
    if named is not None and named[1]:
        log, size = named[0], named[2]  # the id is what the destination keyed it by, so it is the better claim
    if type(size) is not int or not 0 <= size < MAX_SIZE:
        size = -1
    log = log if isinstance(log, str) and len(log) == 16 else ""
    ledger.db.execute("INSERT INTO damaged VALUES (?, ?)", (log, size))
    what = f"checkpoint {size}" if size >= 0 else raw.id or raw.place
    findings.add(Finding("MODIFIED", log, what=what, detail=why))


def is_damaged(ledger: Ledger, log: str, low: int, high: int = MAX_SIZE) -> bool:
    """Whether a damaged checkpoint document claims a size in [low, high], or cannot be told."""
    query = "SELECT 1 FROM damaged WHERE (log = ? OR log = '') AND (size = -1 OR size BETWEEN ? AND ?) LIMIT 1"
    return ledger.db.execute(query, (log, low, high)).fetchone() is not None


def segments(
    ledger: Ledger, log: Log, fault: Callable[[Finding], None], missing: Callable[[int, int], None]
) -> Iterator[Segment]:
    """Walk the chain and yield what is unlisted.

    Contradictions go to `fault`, missing checkpoints to `missing` (where the gap starts, the size it should have).
    """
    size, root = 0, EMPTY_ROOT
    last: Record | None = None
    for record in ledger.records(log.id):
        label = f"checkpoint {record.size}"
        before = record.before
        if record.prev == size and before is not None and before != root:
            if record.listed:
                fault(Finding("FORK", log.id, what=label, detail=f"it does not go on from the signed root at {size}"))
            else:
                fault(Finding("MODIFIED", log.id, what=label, detail="its frontier is not that of the tree before"))
                before = None
        if record.prev > size:
            missing(size, record.prev)
            if record.listed and before is not None:
                yield Segment(size, record.prev, before, _tree_at(log, last, size))
        if not record.listed:
            if record.prev <= size and before is not None:
                yield Segment(record.prev, record.size, record.root, Tree(record.prev, record.frontier))
            else:
                yield Segment(min(size, record.prev), record.size, record.root, _tree_at(log, last, size))
        size, root, last = record.size, record.root, record


def _tree_at(log: Log, last: Record | None, size: int) -> Tree | None:
    """The tree of `size` leaves, made of the checkpoint that ends there."""
    if size == 0:
        return Tree()
    if last is None or last.size != size or last.before is None:
        return None
    if log.known.count(last.prev, size) != size - last.prev:
        return None
    tree = Tree(last.prev, last.frontier)
    tree.extend(log.leaves(last.prev, size))
    return tree if tree.root() == last.root else None


def judge_segment(log: Log, segment: Segment, findings: Findings) -> int:
    """Check an unlisted segment by its root; how many documents cannot be checked.

    When the root agrees, the hashes that were seen become known.
    """
    start, end = segment.start, segment.end
    if log.known.count(start, end) == end - start:
        return 0
    here = log.seen.count(start, end)
    gaps = next(log.seen.clear_runs(start, end), None)
    if gaps is not None or segment.tree is None:
        return here - log.seen.count(start, end, log.known)
    tree = segment.tree
    for low in range(start, end, 65536):
        tree.extend(log.leaves(low, min(low + 65536, end)))
    if tree.root() == segment.root:
        log.known.set_range(start, end)
        return 0
    log.claimed.set_range(start, end)
    findings.add(
        Finding("MODIFIED", log.id, start, end - 1, detail="one or more of them; without leaf hashes it cannot be told")
    )
    return 0


def missing_checkpoint(log: Log, size: int, cause: str) -> Finding:
    """The finding for a checkpoint document that is gone."""
    return Finding("MISSING", log.id, cause=cause, what=f"checkpoint {size}")
