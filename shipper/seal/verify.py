"""The offline verifier: what a destination holds, checked against what was sealed.

`verify` reads a source twice in bounded memory: first control leaves and checkpoints, which say what every position of
every log must hold; then all other documents, one hash each. It believes the trust file and signatures, nothing else,
and every stored byte may be hostile: a deviation is a finding, never an exception.

It shares with the writer only the formats (`canonical`, `tree`, `note`, `checkpoint`), never its state or its code.
What the words of the report mean, and what cannot be detected: docs/explanation/sealing.md.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import orjson

from shipper.seal import _chain, _trusted
from shipper.seal._excuses import DEFAULT_INTERVAL, Excuses, Writers
from shipper.seal._ledger import Ledger, Log
from shipper.seal._reading import Reading, instant, parse_id, read
from shipper.seal._tail import Period, judge_suspects, judge_tail
from shipper.seal.canonical import unsplice
from shipper.seal.checkpoint import CHECKPOINT_DATASET, LOG_DATASET, document_id
from shipper.seal.findings import UNEXPLAINED, Finding, Findings, LogSummary, Report
from shipper.seal.note import log_id
from shipper.seal.sources import RawDocument
from shipper.seal.trust import Trust, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from shipper.seal.sources import Source

LIVE_MAX_AGE: Final = 600.0
"""Seconds after which a live source without a newer checkpoint is stale: a heartbeat comes after 300 idle seconds."""
_MOST_STRANGERS: Final = 1_000


def verify(
    source: Source,
    trust: Trust | Sequence[Trust],
    *,
    since: float | None = None,
    until: float | None = None,
    max_age: float | None = None,
    now: float | None = None,
    live: bool = False,
    scratch: Path | None = None,
    output: str | None = None,
) -> Report:
    """Verify everything in `source` that belongs to the agents in `trust`.

    `since`, `until`: judge only what was sealed in this period (seconds since the epoch, UTC; whole batches). `live`:
    the source is still being written, so that a newest checkpoint older than `max_age` (default `LIVE_MAX_AGE`) is
    STALE; `max_age` asks for the same of any source. Both need `now`. `scratch`: folder for temporary files, 32 bytes
    per leaf. `output`: the id of the output that wrote the source, so that no other one's filter, refusals or beginning
    explain an absence. Raises only what the source raises, and `ValueError` for a missing `now` or an empty `trust`.
    """
    trusts = (trust,) if isinstance(trust, Trust) else tuple(trust)
    if not trusts:
        raise ValueError("nobody is trusted")
    if now is None and (live or max_age is not None):
        raise ValueError("judging the age needs the present time")
    stopped_is_fine = max_age is None
    if live and max_age is None:
        max_age = LIVE_MAX_AGE
    ledger = Ledger(scratch)
    try:
        run = _Run(source, trusts, ledger, since, until, Writers(source.writers, output))
        run.first_pass()
        run.second_pass()
        return run.judge(max_age, now, stopped_is_fine=stopped_is_fine)
    finally:
        ledger.close()


class _Run:
    """One verification."""

    def __init__(
        self,
        source: Source,
        trusts: tuple[Trust, ...],
        ledger: Ledger,
        since: float | None,
        until: float | None,
        writers: Writers,
    ) -> None:
        self.source, self.trusts, self.ledger = source, trusts, ledger
        self.since, self.until, self.writers = since, until, writers
        self.unchecked: list[tuple[Log, _chain.Segment, int]] = []
        """Documents that neither a leaf hash nor the root of a whole batch vouches for."""
        self.findings = Findings()
        self.warnings: list[str] = []
        self.reserialized = 0
        self.documents = 0
        self.strangers: dict[str, tuple[int, str]] = {}
        """Log id -> documents, and the first one's name, of logs that no trust file covers."""
        for one in trusts:
            for generation in one.generations:
                ledger.open_log(generation.log, generation.origin, one)

    # -- the passes ---------------------------------------------------------------------------------------------------

    def first_pass(self) -> None:
        """Checkpoints are taken in; control leaves wait until every checkpoint is known."""
        early = self.ledger.db
        for raw in self.source.control():
            reading = read(raw.data)
            if self._is_checkpoint(raw, reading):
                self.documents += 1
                stranger = _chain.accept(self.ledger, self.trusts, raw, reading.doc, self.findings)
                if stranger is not None:
                    self._stranger(*stranger)
                continue
            if reading.dataset == LOG_DATASET and reading.leaf is not None:
                self._statement(reading)
            early.execute(
                "INSERT INTO early VALUES (?, ?, ?, ?, ?, ?)",
                (reading.log, reading.i, reading.leaf, raw.id, raw.place, reading.stamp),
            )
            self.reserialized += reading.leaf is not None and not reading.verbatim

    def _is_checkpoint(self, raw: RawDocument, reading: Reading) -> bool:
        if reading.i >= 0:
            return False
        named = parse_id(raw.id)
        if named is not None and named[1]:
            return True
        if reading.doc is None:
            return b'"fieldtrail.checkpoint"' in raw.data
        return reading.dataset == CHECKPOINT_DATASET

    def _statement(self, reading: Reading) -> None:
        """Keep what a control leaf says, and open the log of a genesis leaf that has no checkpoint yet."""
        trail = (reading.doc or {}).get("trail")
        kind = trail.get("control") if isinstance(trail, dict) else None
        payload = trail.get("log") if isinstance(trail, dict) else None
        if not isinstance(kind, str):
            return
        payload = payload if isinstance(payload, dict) else {}
        self.ledger.db.execute(
            "INSERT INTO statements VALUES (?, ?, ?, ?, ?, ?)",
            (reading.log, reading.i, reading.leaf, kind, reading.stamp, orjson.dumps(payload)),
        )
        origin = payload.get("origin")
        if kind == "genesis" and reading.i == 0 and isinstance(origin, str) and log_id(origin) == reading.log:
            for one in self.trusts:
                if one.covers(origin):
                    self.ledger.open_log(reading.log, origin, one)

    def second_pass(self) -> None:
        """One hash per document; what does not simply fit is judged later."""
        for log, i, leaf, raw_id, place, stamp in self.ledger.db.execute("SELECT * FROM early ORDER BY rowid"):
            self._place(log, i, leaf, raw_id, place, stamp)
        logs = self.ledger.logs
        for raw in self.source.events():
            parts = unsplice(raw.data)
            log = None if parts is None else logs.get(parts.log)
            if (
                parts is not None
                and log is not None
                and parts.i < log.size
                and log.known[parts.i]
                and not log.seen[parts.i]
                and sha256(b"\x00" + parts.nonce + parts.body).digest() == log.leaf(parts.i)
                and (raw.id is None or raw.id == document_id(parts.log, parts.i))
            ):
                log.seen.set(parts.i)
                self.documents += 1
                continue
            reading = read(raw.data)
            self.reserialized += reading.leaf is not None and not reading.verbatim
            self._place(reading.log, reading.i, reading.leaf, raw.id, raw.place, reading.stamp)

    def _place(self, log_name: str, i: int, leaf: bytes | None, raw_id: str | None, place: str, stamp: str) -> None:
        """Put a document where it claims to belong, or among the suspects."""
        self.documents += 1
        if i < 0:
            named = parse_id(raw_id)
            if named is not None and named[1]:
                _chain.damaged(self.ledger, RawDocument(b"", raw_id, place), None, "not of its dataset", self.findings)
                return
            if named is None or named[0] not in self.ledger.logs:
                if self._in_period(stamp):
                    self.findings.add(Finding("INSERTED", what=raw_id or place, detail="no seal"))
                return
            log_name, i = named[0], named[2]  # its seal was damaged, but not its id
        log = self.ledger.logs.get(log_name)
        if log is None:
            self._stranger(log_name, raw_id or place)
            return
        right_id = raw_id is None or raw_id == document_id(log_name, i)
        if i < log.size and leaf is not None and not log.seen[i]:
            if not log.known[i]:
                log.put(i, leaf)
                log.seen.set(i)
                if not right_id:
                    self.findings.add(Finding("REORDERED", log.id, i, i, detail=f"stored under the id {raw_id}"))
                return
            if right_id and log.leaf(i) == leaf:
                log.seen.set(i)
                return
        same = i < log.size and leaf is not None and log.leaf(i) == leaf
        self.ledger.suspect(log.id, i, leaf, raw_id, place, stamp, i if same else -1)

    def _stranger(self, log: str, name: str) -> None:
        count, first = self.strangers.get(log, (0, name))
        if count or len(self.strangers) < _MOST_STRANGERS:
            self.strangers[log] = (count + 1, first)
        else:
            self.strangers["…"] = (self.strangers.get("…", (0, name))[0] + 1, name)

    def _in_period(self, stamp: str) -> bool:
        """Whether a document without a place in a log belongs to the period, by its own claim; when in doubt, yes."""
        at = instant(stamp)
        return at is None or ((self.since is None or at >= self.since) and (self.until is None or at < self.until))

    # -- the judgement ------------------------------------------------------------------------------------------------

    def judge(self, max_age: float | None, now: float | None, *, stopped_is_fine: bool) -> Report:
        """All findings, in order: chain, trust, documents, tail, age."""
        gaps = {log.id: self._chain(log) for log in self.ledger.logs.values()}
        bad: set[str] = set()
        for one in self.trusts:
            bad |= _trusted.compare(
                self.ledger, one, self.writers, self.findings, self.warnings, partial=self.source.partial
            )
        logs = list(self.ledger.logs.values())
        newest = {log.id: self.ledger.newest(log) for log in logs}
        known: set[str] = set()
        summaries, days = [], []
        for log in logs:
            period = self._period(log)
            excuses = Excuses(self.ledger, log, self.writers, partial=self.source.partial, now=now)
            known |= excuses.known
            self._gaps(log, gaps.get(log.id, []), excuses, period)
            self._stripped(log, gaps.get(log.id, []), excuses, period)
            judge_suspects(self.ledger, log, period, self.findings)
            pending = 0
            if self.until is None:
                reference = self._newest_seen(log, newest[log.id]) if max_age is None else now
                suppressed = log.id in bad or _chain.is_damaged(self.ledger, log.id, log.size + 1)
                pending = judge_tail(
                    self.ledger, log, excuses.interval, reference, self.findings, self.warnings, suppressed=suppressed
                )
            for statement in self.ledger.statements(log, "epoch"):
                detail = "it hands over to an epoch key; this version checks identity keys only"
                self.findings.add(Finding("EPOCH-BREAK", log.id, statement.i, statement.i, detail=detail))
            if log.size or pending:
                summaries.append(self._summary(log, period, pending, newest[log.id]))
                days += self._days(log, period)
        self._strange()
        if not bad and self.documents:
            stopped = stopped_is_fine and all(self._stopped(log) for log in logs)
            self._age(max_age, now, [newest[log.id] for log in logs], stopped=stopped)
        if not self.documents and not bad:
            self.findings.add(Finding("TRUNCATED", detail="the source holds nothing of these logs"))
        if self.writers.only is not None and not known:
            self.warnings.append(
                f"no sealed configuration here names an output {self.writers.only} that can have written this: "
                "nothing that an output left out on purpose is explained"
            )
        if self.reserialized:
            self.warnings.append(
                f"{self.reserialized} documents were re-serialized (order of members or spacing); "
                "their values are as sealed"
            )
        self.warnings += self.source.notices()
        return self._report(summaries, days)

    def _chain(self, log: Log) -> list[tuple[int, int]]:
        """Judge the checkpoints; the gaps in front of checkpoints that are not there (start, end)."""
        gaps: list[tuple[int, int]] = []
        for segment in _chain.segments(
            self.ledger, log, self.findings.add, lambda start, end: gaps.append((start, end))
        ):
            count = _chain.judge_segment(log, segment, self.findings)
            if count:
                self.unchecked.append((log, segment, count))
                self.warnings.append(
                    f"log {log.id}: {count} documents between {segment.start} and {segment.end - 1} cannot be checked: "
                    "no leaf hashes and no whole batch"
                )
        if log.conflict >= 0:
            detail = f"two signed checkpoints list leaf {log.conflict} differently"
            self.findings.add(Finding("FORK", log.id, detail=detail))
        return gaps

    def _period(self, log: Log) -> Period:
        """The leaf indexes that were sealed between `since` and `until`."""
        low, high = 0, log.size
        if self.since is None and self.until is None:
            return Period(low, high)
        genesis = next(self.ledger.statements(log, "genesis"), None)
        begun = None if genesis is None else instant(genesis.time)
        if self.until is not None and begun is not None and begun >= self.until:
            return Period(0, 0)  # the log began after the period
        for record in self.ledger.records(log.id):
            at = instant(self.ledger.time_at(log, record.size) or record.time)
            if at is None:
                continue
            if self.since is not None and at < self.since:
                low = record.size
            if self.until is not None and at >= self.until:
                high = record.size
                break
        return Period(low, max(low, high))

    def _gaps(self, log: Log, gaps: list[tuple[int, int]], excuses: Excuses, period: Period) -> None:
        """What is missing: checkpoint documents, then documents."""
        for start, end in gaps:
            if end <= period.low or start >= period.high or end <= excuses.before:
                continue
            # Checkpoints pass every filter, and without its leaf hashes nothing that is still here can be checked.
            if excuses.covers(start, end, "expired") and not log.seen.count(start, end):
                continue
            if not _chain.is_damaged(self.ledger, log.id, end, end):
                # It stood with its batch's last leaf, or with the first one after it.
                dropped = excuses.covers(end - 1, end, "dropped") or excuses.covers(end, end + 1, "dropped")
                self.findings.add(_chain.missing_checkpoint(log, end, "dropped" if dropped else UNEXPLAINED))
        self.ledger.locate(log)
        for suspect in self.ledger.suspects(log.id, "position >= 0 AND position != i"):
            if not log.seen[suspect.position] and not log.claimed[suspect.position]:
                log.claimed.set(suspect.position)  # it is there, under another number: REORDERED, not MISSING
        for suspect in self.ledger.suspects(log.id, "position < 0 OR position = i"):
            if suspect.i < log.size:
                log.claimed.set(suspect.i)
        expired: Finding | None = None
        for start, end in log.seen.clear_runs(period.low, period.high):
            for low, high in log.claimed.clear_runs(start, end):
                for a, b, cause in excuses.split(low, high):
                    if cause == "filtered":
                        self._filtered(log, a, b)
                        continue
                    found = Finding("MISSING", log.id, a, b - 1, cause=cause or UNEXPLAINED)
                    if cause == "expired":
                        expired = found if expired is None else expired.joined(found)
                    else:
                        self.findings.add(found)
        if expired is not None:
            self.findings.add(expired)

    def _filtered(self, log: Log, low: int, high: int) -> None:
        """What a `when:` may have left out; never the control leaf that ends a batch, which passes every filter."""
        for at in [*self.ledger.batch_ends(log, low, high), high]:
            if low < at:
                self.findings.add(Finding("MISSING", log.id, low, at - 1, cause="filtered"))
            if at < high:
                self.findings.add(Finding("MISSING", log.id, at, at, cause=UNEXPLAINED))
            low = at + 1

    def _stripped(self, log: Log, gaps: list[tuple[int, int]], excuses: Excuses, period: Period) -> None:
        """Checkpoints that are here without the leaf hashes that every output that can have written them ships."""
        if excuses.notes_only:
            return
        for mine, segment, count in self.unchecked:
            start, end = segment.start, segment.end
            named = any(low < end and start < high for low, high in gaps) or _chain.is_damaged(
                self.ledger, log.id, start + 1, end
            )
            if mine is log and not named and start < period.high and end > period.low:
                detail = f"{count} documents of {start}-{end - 1} cannot be checked without them"
                what = f"leaf hashes of checkpoint {end}"
                self.findings.add(Finding("MISSING", log.id, cause=UNEXPLAINED, what=what, detail=detail))

    def _newest_seen(self, log: Log, newest: str) -> float | None:
        """The latest moment that the log's own documents speak of."""
        times = [instant(newest)]
        times += [instant(s.stamp) for s in self.ledger.suspects(log.id, "i >= ?", log.size)]
        return max((at for at in times if at is not None), default=None)

    def _strange(self) -> None:
        for log, (count, first) in self.strangers.items():
            what = first if count == 1 else f"log {log}"
            detail = "a log that no trust file covers"
            if count > 1:
                detail = f"{count} documents of {detail}, first {first}"
            self.findings.add(Finding("INSERTED", what=what, detail=detail))

    def _stopped(self, log: Log) -> bool:
        """Whether the log's own last word is that the agent was stopped, and not started again."""
        last = {statement.kind: statement.i for statement in self.ledger.statements(log, "start", "stop")}
        return last.get("stop", -1) > last.get("start", -1)

    def _age(self, max_age: float | None, now: float | None, newest: list[str], *, stopped: bool) -> None:
        """STALE: judged by sealed times only, since anybody can write a newer `@timestamp` beside a note.

        `stopped`: the log says so itself, and nobody asked for an age: then it is a warning, as it should be read.
        """
        if max_age is None or now is None:
            return
        latest = max((at for at in map(instant, newest) if at is not None), default=None)
        if latest is None:
            self.findings.add(Finding("STALE", detail="no sealed statement tells a time"))
        elif now - latest > max_age:
            text = f"the newest sealed statement is {int(now - latest)} s old, more than {int(max_age)} s"
            if stopped:
                self.warnings.append(f"the agent was stopped: {text}; what was cut off after that would not show")
            else:
                self.findings.add(Finding("STALE", detail=text))

    # -- the report ---------------------------------------------------------------------------------------------------

    def _summary(self, log: Log, period: Period, pending: int, newest: str) -> LogSummary:
        found = log.seen.count(period.low, period.high, log.known)
        return LogSummary(
            origin=log.origin,
            log=log.id,
            size=log.size,
            root=b64encode(log.root).decode(),
            checkpoints=log.checkpoints,
            sealed=period.high - period.low,
            found=found,
            pending=pending,
            fingerprint=log.trust.fingerprint,
            newest=newest,
        )

    def _days(self, log: Log, period: Period) -> list[str]:
        """First and last day that sealed statements of the period speak of."""
        row = self.ledger.db.execute(
            "SELECT min(time), max(time) FROM statements WHERE log = ? AND i >= ? AND i < ?",
            (log.id, period.low, max(period.high, 1)),
        ).fetchone()
        return [time[:10] for time in row if time and instant(time) is not None]

    def _report(self, summaries: list[LogSummary], days: list[str]) -> Report:
        begin = min(days, default="") if self.since is None else _day(self.since)
        end = max(days, default="") if self.until is None else _day(self.until)
        counts: dict[str, int] = {}
        for (kind, cause), count in sorted(self.findings.documents.items()):
            counts[kind] = counts.get(kind, 0) + count
            if cause:
                counts[f"{kind} {cause}"] = count
        return Report(
            source=self.source.name,
            begin=begin,
            end=end,
            logs=tuple(summaries),
            findings=tuple(self.findings.sorted()),
            counts=counts,
            unlisted=self.findings.unlisted(),
            warnings=tuple(self.warnings),
            fingerprints=tuple(fingerprint(public) for one in self.trusts for public in one.keys),
            failed=self.findings.failed,
            unchecked=sum(count for _, _, count in self.unchecked),
        )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


__all__ = ["DEFAULT_INTERVAL", "LIVE_MAX_AGE", "verify"]
