"""What a verification found: findings in one line each, a summary that can be quoted, and the whole as JSON.

Pure. The words are fixed (docs/explanation/sealing.md): scripts and auditors rely on them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final

KINDS: Final = (
    *("FORK", "ROLLBACK", "EPOCH-BREAK", "TRUNCATED", "STALE"),
    *("MODIFIED", "MISSING", "INSERTED", "DUPLICATE", "REORDERED"),
)
"""Every word a finding can begin with, whole logs before single documents."""

EXPLAINED: Final = frozenset({"expired", "erased", "filtered", "rejected", "before-output"})
"""Reasons for a missing document that a sealed statement of the agent gives; they are no failure."""

UNEXPLAINED: Final = "unexplained"
_MOST_LISTED: Final = 1_000
"""Findings of one kind that are kept one by one; the rest is only counted, so that memory stays bounded."""
_UNPRINTABLE: Final = re.compile(
    r"[^\x20-\x7e\xa0-\uffff]|[\u2028\u2029\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str, limit: int = 200) -> str:
    """Foreign text for a terminal or report: one line, no control or direction characters, at most `limit` long."""
    return _UNPRINTABLE.sub("?", text[:limit])


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `first`..`last`: leaf indexes, both included (-1: none); `log`: the short id, "" for none.

    `cause`: the class of a MISSING. `what`: what is named instead of an index: an `_id`, a place, `checkpoint <size>`.
    """

    kind: str
    log: str = ""
    first: int = -1
    last: int = -1
    cause: str = ""
    what: str = ""
    detail: str = ""
    among: int = 0
    """Documents that it speaks of, where that is not all of `first`..`last`; 0: it is."""

    @property
    def count(self) -> int:
        """Documents it speaks of."""
        return self.among or (self.last - self.first + 1 if self.first >= 0 else 1)

    def joined(self, after: Finding) -> Finding:
        """This and one that follows it in one line, where single documents stand between them (control leaves)."""
        count = self.count + after.count
        if count == after.last - self.first + 1:
            return replace(self, last=after.last)
        detail = f"{count:,} documents; what lies between them is here or named apart"
        return replace(self, last=after.last, among=count, detail=detail)

    @property
    def fails(self) -> bool:
        """Whether it makes the exit code 1."""
        return self.cause not in EXPLAINED

    def line(self, *, name_log: bool = False) -> str:
        """`MODIFIED 12`, `MISSING 5-7 unexplained`, `INSERTED <id>`; `name_log` where a report speaks of several."""
        words = [self.kind]
        if self.what:
            words.append(printable(self.what))
        elif self.first >= 0:
            words.append(str(self.first) if self.first == self.last else f"{self.first}-{self.last}")
        if self.cause:
            words.append(self.cause)
        if name_log and self.log:
            words.append(f"log={self.log}")
        if self.detail:
            words.append(f"({printable(self.detail, 400)})")
        return " ".join(words)

    def as_json(self) -> dict[str, Any]:
        """Its members that say something."""
        members: dict[str, Any] = {"kind": self.kind, "fails": self.fails}
        if self.first >= 0:
            members |= {"first": self.first, "last": self.last}
        if self.among:
            members["documents"] = self.among
        for name in ("log", "cause", "what", "detail"):
            if getattr(self, name):
                members[name] = printable(getattr(self, name), 400)
        return members


class Findings:
    """A bounded list of findings, with the counts of all of them."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._listed: Counter[tuple[str, str]] = Counter()
        self.documents: Counter[tuple[str, str]] = Counter()
        """(kind, cause) -> documents."""
        self.failed = False

    def add(self, finding: Finding) -> None:
        """Keep a finding, or only count it where there are very many of its kind already."""
        key = (finding.kind, finding.cause)
        self.documents[key] += finding.count
        self.failed |= finding.fails
        self._listed[key] += 1
        if self._listed[key] <= _MOST_LISTED:
            self._kept.append(finding)

    def sorted(self) -> list[Finding]:
        """By log, whole-log findings first, then by index."""
        order = {kind: n for n, kind in enumerate(KINDS)}
        whole = 5
        return sorted(
            self._kept,
            key=lambda f: (f.log, order[f.kind] >= whole, f.first if order[f.kind] >= whole else order[f.kind], f.what),
        )

    def unlisted(self) -> dict[str, int]:
        """How many findings of a kind were counted and not kept, e.g. {"MISSING filtered": 41}."""
        return {
            " ".join(filter(None, key)): count - _MOST_LISTED
            for key, count in self._listed.items()
            if count > _MOST_LISTED
        }

    def count(self, kind: str, cause: str | None = None) -> int:
        """Documents that findings of this kind (and cause) speak of."""
        return sum(n for key, n in self.documents.items() if key[0] == kind and (cause is None or key[1] == cause))


@dataclass(frozen=True, slots=True)
class LogSummary:
    """One generation as it was checked: leaves `first`..`size`-1 are under a signed checkpoint and in the period."""

    origin: str
    log: str
    size: int
    """Leaves under the newest signed checkpoint."""
    root: str
    """Its root hash, base64."""
    checkpoints: int
    sealed: int
    """Leaves in the period."""
    found: int
    """Documents of the period that are what was sealed."""
    pending: int
    fingerprint: str
    newest: str
    """Time of the newest sealed statement, RFC 3339, "" for none."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one verification."""

    source: str
    begin: str
    """First and last day of the period, `YYYY-MM-DD`, "" where nothing tells."""
    end: str
    logs: tuple[LogSummary, ...]
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    """Documents per kind; MISSING per cause as `MISSING expired`."""
    unlisted: dict[str, int]
    warnings: tuple[str, ...]
    fingerprints: tuple[str, ...]
    failed: bool
    unchecked: int = 0
    """Documents that are here, and that nothing vouches for: no leaf hash, and not all of their batch."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Nothing found that a sealed statement does not explain."""
        return not self.failed

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return 1 if self.failed else 0

    @property
    def sealed(self) -> int:
        """Leaves in the period, over all logs."""
        return sum(log.sealed for log in self.logs)

    @property
    def found(self) -> int:
        """Documents found as sealed, over all logs."""
        return sum(log.found for log in self.logs)

    @property
    def pending(self) -> int:
        """Documents past the newest checkpoint, too young to be missed by one."""
        return sum(log.pending for log in self.logs)

    def lines(self) -> list[str]:
        """Findings, warnings and the summary, one line each."""
        several = len(self.logs) > 1
        lines = [finding.line(name_log=several) for finding in self.findings]
        lines += [f"{kind}: {count} more findings, not listed" for kind, count in sorted(self.unlisted.items())]
        lines += [f"warning: {printable(text, 500)}" for text in self.warnings]
        lines.append(self.summary())
        return lines

    def summary(self) -> str:
        """The line that an auditor can quote."""
        period = f"{self.begin or '?'}..{self.end or '?'}"
        parts = [f"{self.sealed:,} sealed", f"{self.found:,} found"]
        parts.append(f"{self.counts.get('MODIFIED', 0):,} modified")
        parts.append(f"{self.counts.get(f'MISSING {UNEXPLAINED}', 0):,} missing")
        parts += [
            f"{self.counts[f'MISSING {cause}']:,} {cause}"
            for cause in sorted(EXPLAINED)
            if self.counts.get(f"MISSING {cause}")
        ]
        other = sum(count for kind, count in self.counts.items() if kind.split()[0] not in ("MODIFIED", "MISSING"))
        if other:
            parts.append(f"{other:,} other findings")
        if self.unchecked:
            parts.append(f"{self.unchecked:,} not checked")
        if self.pending:
            parts.append(f"{self.pending:,} pending")
        keys = "key " + ", ".join(self.fingerprints)
        return (
            f"{period}: {', '.join(parts)}; {keys}; complete since received: it does not show what a source never sent."
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "source": printable(self.source),
            "ok": self.ok,
            "period": [self.begin, self.end],
            "sealed": self.sealed,
            "found": self.found,
            "pending": self.pending,
            "unchecked": self.unchecked,
            "counts": self.counts,
            "findings": [finding.as_json() for finding in self.findings],
            "unlisted": self.unlisted,
            "warnings": [printable(text, 500) for text in self.warnings],
            "logs": [
                {name: getattr(log, name) for name in LogSummary.__dataclass_fields__}  # values only, no nesting
                for log in self.logs
            ],
            "keys": list(self.fingerprints),
            "summary": self.summary(),
        }
