"""The verifier's fourth concern: whether the logs are the ones that were known, and reach as far as they did.

The truth does not lie in the source alone: the trust file pins genesis hashes and the newest note that somebody kept,
and a `succession` leaf of a later generation does the same for the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipper.seal._chain import is_damaged
from shipper.seal._excuses import Writers, explains_absence
from shipper.seal._reading import loads
from shipper.seal.findings import Finding
from shipper.seal.note import Checkpoint, NoteError, log_id, open_checkpoint
from shipper.seal.tree import Tree

if TYPE_CHECKING:
    from shipper.seal._ledger import Ledger, Log
    from shipper.seal.findings import Findings
    from shipper.seal.trust import Trust


def compare(
    ledger: Ledger, trust: Trust, writers: Writers, findings: Findings, warnings: list[str], *, partial: bool
) -> set[str]:
    """Compare every generation with what was known of it; the logs that were rolled back or forked."""
    bad: set[str] = set()
    ours = [log for log in ledger.logs.values() if log.trust is trust]
    absent_is_fine = partial or any(explains_absence(ledger, log, writers) for log in ours)
    for generation in trust.generations:
        log = ledger.logs[generation.log]
        if generation.genesis is not None and log.size and log.known[0] and log.leaf(0) != generation.genesis:
            detail = "the genesis leaf is not the one in the trust file"
            findings.add(Finding("FORK", log.id, detail=detail))
            bad.add(log.id)
            continue
        known = trust.checkpoint(generation)
        if known is not None:
            _reaches(ledger, log, known, "the trust file", findings, warnings, bad, absent_is_fine=absent_is_fine)
    linked = {generation.log for generation in trust.generations}
    for log in ours:
        for statement in ledger.statements(log, "succession"):
            linked.add(log.id)
            payload = loads(statement.payload)
            origin, note = payload.get("origin"), payload.get("note")
            if not isinstance(origin, str) or not trust.covers(origin) or not isinstance(note, str) or not note:
                continue
            try:
                known = open_checkpoint(note, trust.verifiers(origin))
            except NoteError:
                warnings.append(f"log {log.id}: its succession leaf quotes a note that no trusted key signed")
                continue
            if known.origin == origin and log_id(origin) not in bad:
                before = ledger.open_log(log_id(origin), origin, trust)
                _reaches(ledger, before, known, "its successor", findings, warnings, bad, absent_is_fine=absent_is_fine)
    if trust.generations:
        warnings += [
            f"log {log.id}: a generation that neither the trust file nor another generation names ({log.origin})"
            for log in ours
            if log.size and log.id not in linked
        ]
    return bad


def _reaches(
    ledger: Ledger,
    log: Log,
    known: Checkpoint,
    whose: str,
    findings: Findings,
    warnings: list[str],
    bad: set[str],
    *,
    absent_is_fine: bool,
) -> None:
    """Whether a log still holds a checkpoint that was once seen, with that root."""
    if known.size == 0 or log.id in bad:
        return
    if log.size < known.size:
        if is_damaged(ledger, log.id, known.size):
            return  # a finding of its own already
        if log.size == 0 and absent_is_fine:
            warnings.append(f"log {log.id}: not in this source, which did not exist or keep so much at its time")
            return
        detail = f"{log.size} leaves are left, {whose} knows {known.size}"
        findings.add(Finding("ROLLBACK", log.id, detail=detail))
        bad.add(log.id)
        return
    root = _root_at(ledger, log, known.size)
    if root is None:
        warnings.append(f"log {log.id}: the checkpoint of {whose} at {known.size} leaves cannot be compared")
    elif root != known.root:
        findings.add(Finding("FORK", log.id, detail=f"another root at {known.size} leaves than {whose} knows"))
        bad.add(log.id)


def _root_at(ledger: Ledger, log: Log, size: int) -> bytes | None:
    record = ledger.record_over(log.id, size)
    if record is None:
        return None
    if record.size == size:
        return record.root
    if record.prev > size or record.before is None or log.known.count(record.prev, size) != size - record.prev:
        return record.before if record.prev == size and record.listed else None
    tree = Tree(record.prev, record.frontier)
    tree.extend(log.leaves(record.prev, size))
    return tree.root()
