"""The one catalogue of the agent's own events.

Level by consequence: WARN = nothing was lost, ERROR = something was, or a person is needed. Each call is per batch or
per incident, never per event, and none takes a value from a log line.
"""

from __future__ import annotations

import structlog

_log = structlog.get_logger("fieldtrail")


def agent_started(*, log: str, size: int, inputs: int, outputs: int, version: str) -> None:
    """The agent has recovered its state and reads."""
    _log.info("agent started", log=log, size=size, inputs=inputs, outputs=outputs, version=version)


def agent_stopped(
    *,
    log: str,
    size: int,
    pending: dict[str, int],
    inputs: dict[str, dict[str, int]],
    outputs: dict[str, dict[str, int]],
) -> None:
    """The agent has closed its log with a checkpoint. `pending`: documents not delivered yet, by output.

    `inputs`, `outputs`: the sides of the equation of each, by id.
    """
    _log.info("agent stopped", log=log, size=size, pending=pending, inputs=inputs, outputs=outputs)


def outputs_unconfirmed(*, outputs: list[str]) -> None:
    """At the end a receiver without answers has not shown that it read everything; the next run sends it again."""
    _log.warning("not known to have arrived: sent again at the next start", outputs=outputs)


def default_policy() -> None:
    """No privacy policy is configured; what is sealed cannot be unsaid."""
    _log.warning(
        "no privacy policy configured: values of bank, tax and government-id fields are masked, credentials dropped,"
        " all others are sealed as they are, and what is sealed cannot be unsaid",
        hint="add `privacy: {rules: [...]}` to the configuration",
    )


def generation_opened(*, origin: str, reason: str, previous: str | None) -> None:
    """A new log begins: the first one, or after a state that must not be continued."""
    if previous is None:
        _log.info("log opened", origin=origin)
    else:
        _log.error("new log generation opened", origin=origin, previous=previous, reason=reason)


def tail_truncated(*, place: str, bytes_cut: int) -> None:
    """A frame that a crash cut short was removed; it had been acknowledged to nobody."""
    _log.warning("journal: unfinished frame removed", place=place, bytes=bytes_cut)


def journal_damaged(*, place: str, offset: int, length: int, first: int | None, last: int | None) -> None:
    """Stored bytes are not what was written: the frames named cannot be delivered."""
    _log.error(
        "journal: damaged bytes skipped",
        place=place,
        offset=offset,
        length=length,
        first_seq=first,
        last_seq=last,
        hint="fieldtrail journal check",
    )


def journal_full(*, used: int, limit: int, waiting_for: list[str]) -> None:
    """Reading pauses until outputs have caught up."""
    _log.warning(
        "journal full: reading is paused until an output catches up", used=used, limit=limit, waiting_for=waiting_for
    )


def documents_dropped(*, output: str, log: str, first: int, last: int) -> None:
    """`journal.when_full: drop_oldest` took documents that an output still needed; sealed as a `drop` leaf."""
    _log.error(
        "journal full: documents dropped before they were delivered",
        output=output,
        log=log,
        first=first,
        last=last,
        hint="raise journal.max_size, or see why the output is behind: fieldtrail status",
    )


def journal_failed(*, cause: str, retry_in: float) -> None:
    """A frame could not be kept; nothing was acknowledged, reading pauses."""
    _log.warning("journal: frame not kept, will try again", cause=cause, retry_in=round(retry_in, 1))


def journal_resumed() -> None:
    """Frames are kept again."""
    _log.info("journal: frames are kept again")


def output_failing(*, output: str, cause: str, retry_in: float) -> None:
    """A destination does not take documents now; the journal holds them."""
    _log.warning("output not reachable, will try again", output=output, cause=cause, retry_in=round(retry_in, 1))


def output_recovered(*, output: str, tries: int) -> None:
    """A destination takes documents again."""
    _log.info("output reachable again", output=output, tries=tries)


def documents_refused(*, output: str, count: int, kind: str) -> None:
    """Documents went to the dead letters."""
    _log.error(
        "documents refused, moved to the dead letters",
        output=output,
        count=count,
        type=kind,
        hint=f"fieldtrail dlq list --output {output}",
    )


def fork_found(*, output: str, count: int, first: str) -> None:
    """The destination holds other content under ids of this log."""
    _log.error(
        "FORK: the destination holds another document under an id of this log",
        output=output,
        count=count,
        first=first,
        hint="fieldtrail verify --help",
    )


def frames_missing(*, output: str, first: int, last: int, reason: str) -> None:
    """Frames that an output still needed are gone or damaged."""
    _log.error("journal frames missing for output", output=output, first_seq=first, last_seq=last, reason=reason)


def output_failed(*, output: str, cause: str) -> None:
    """An output's thread ended by a bug of ours."""
    _log.error("output stopped by an internal error", output=output, cause=cause)


def input_problem(*, input_id: str, path: str, cause: str) -> None:
    """A file cannot be read now; it is tried again."""
    _log.warning("input: cannot read, will try again", input=input_id, path=path, cause=cause)


def input_loss(*, input_id: str, path: str, offset: int, seen: int | None) -> None:
    """Bytes that had been seen were gone before they could be read."""
    _log.error("input: bytes lost before they could be read", input=input_id, path=path, offset=offset, seen_size=seen)


def format_decided(*, input_id: str, name: str, accepted: int, records: int) -> None:
    """`auto` has chosen for one stream, for good; `accepted` of the first `records` are of that format."""
    tell = _log.info if accepted * 10 >= records * 9 else _log.warning
    tell("format decided", input=input_id, format=name, accepted=accepted, of=records)


def line_left(*, input_id: str, path: str, offset: int, length: int) -> None:
    """`--once` left an unfinished last line."""
    _log.warning("unfinished last line left unread", input=input_id, path=path, offset=offset, length=length)


def worker_died(*, pid: int, cause: str, chunks: int) -> None:
    """A parsing process ended; what it had is parsed again by another."""
    _log.warning("parsing process died, its lines are parsed again", pid=pid, cause=cause, chunks=chunks)


def worker_missing(*, cause: str, retry_in: float | None) -> None:
    """A parsing process could not be started; the others, or the agent itself, do its work. None: not tried again."""
    if retry_in is None:
        _log.error("parsing process not started, parsing goes on without it", cause=cause, hint="restart the agent")
    else:
        _log.warning("parsing process not started, will try again", cause=cause, retry_in=round(retry_in, 1))


def line_unparsed(*, input_id: str, path: str, offset: int) -> None:
    """Processes died of a line each time: it was kept as an unparsed event."""
    _log.error(
        "line kept unparsed: parsing processes died of it", input=input_id, path=path, offset=offset, hint="report it"
    )


def schema_problem(*, field: str) -> None:
    """The sampled check found a field at fault (once per field)."""
    _log.warning("event does not fit the field table", field=field)


def configuration_kept(*, cause: str) -> None:
    """SIGHUP brought a configuration that cannot be used."""
    _log.error("configuration not changed: the new one has problems", cause=cause, hint="fieldtrail validate")


def configuration_changed(*, place: str) -> None:
    """SIGHUP brought a new configuration."""
    _log.info("configuration changed", place=place)


def control_failed(*, cause: str) -> None:
    """The control socket cannot serve."""
    _log.warning("control socket not available", cause=cause)


def output_denied(*, output: str, cause: str) -> None:
    """A destination does not accept the agent's credential or its rights; told once, nothing is lost meanwhile."""
    _log.error("output waits for a person: credential or rights not accepted", output=output, cause=cause)


def metrics_failed(*, cause: str) -> None:
    """A page of the metrics endpoint could not be made; the agent goes on. Told once."""
    _log.warning("metrics not available", cause=cause, hint="report it")


def agent_confined(*, read: list[str], write: list[str]) -> None:
    """The kernel holds the agent to these paths, and to what Python and the system's libraries read."""
    _log.info("confined to its files (Landlock)", read=read, write=write)


def agent_not_confined(*, cause: str) -> None:
    """The kernel cannot confine the agent, and `agent.confine: auto` does not ask for it."""
    _log.debug("not confined to its files", cause=cause)


def confinement_outgrown(*, path: str) -> None:
    """A path that the agent needs came, or was replaced, after it was confined: it starts anew in the same process."""
    _log.info("confinement: starting anew to reach a path that is new", path=path)


def release_failed(*, cause: str) -> None:
    """The disk does not let go of a segment that nobody needs any more; it is tried again. Told once per cause."""
    _log.warning("journal: segment not deleted, will try again", cause=cause)


def journal_given_up(*, cause: str, hint: str) -> None:
    """The agent ends because the disk does not keep a frame; nothing of it was acknowledged, the next start goes on."""
    _log.error("journal: frame not kept, the agent ends", cause=cause, hint=hint)


def watch_refused(*, directory: str, cause: str) -> None:
    """The system does not tell of changes in a directory; it is looked at instead. Told once per cause."""
    _log.warning(
        "directory not watched, it is scanned instead",
        directory=directory,
        cause=cause,
        hint="sysctl fs.inotify" if "inotify" in cause else "ls -ld " + directory,
    )


def watch_overflowed() -> None:
    """The kernel dropped hints of changes; a scan finds what they were about. Told once."""
    _log.warning(
        "inotify queue overflowed, hints were lost, scanning instead", hint="sysctl fs.inotify.max_queued_events"
    )


def line_cut(*, input_id: str, path: str, offset: int, length: int, why: str) -> None:
    """A record is no whole line: `long`, its first bytes only, or `unterminated`. Told once per file and reason."""
    if why == "long":
        _log.error(
            "line longer than the limit, its first part is given out",
            input=input_id,
            path=path,
            offset=offset,
            length=length,
        )
    else:
        _log.warning(
            "last line has no line end, given out as it is", input=input_id, path=path, offset=offset, length=length
        )


def output_begun_again(*, output: str) -> None:
    """A destination on this machine could not sync what it was given, and gets it once more in a new file."""
    _log.warning(
        "output begun again after a sync that failed: it is given once more what was not synced", output=output
    )


def retention_not_kept(*, cause: str) -> None:
    """How long the log was cannot be kept or read: what is deleted by age from that time is not announced."""
    _log.warning("length of the log not remembered, what expires from this time is not announced", cause=cause)


def input_told(*, input_id: str, action: str, message: str) -> None:
    """An input tells of itself: refused requests, a gap, a silence. It is sealed as a health event, and rare."""
    _log.warning("input: something that a person may want to know", input=input_id, action=action, message=message)


def directory_read(*, version: str, people: int, labels: int) -> None:
    """The directory says something else than before."""
    _log.info("directory read", version=version, people=people, labels=labels)


def directory_unread(*, source: str, cause: str) -> None:
    """A list of the directory cannot be read; what it said before stays in use. Once for each cause."""
    _log.warning("directory: a list cannot be read, what it said before stays in use", source=source, cause=cause)


def directory_disputed(*, count: int, example: str) -> None:
    """Accounts that more than one person claims in the directory: events of theirs name no person."""
    _log.warning("directory: accounts claimed by more than one person, they name nobody", count=count, example=example)


def webhook_fault(*, place: str, cause: str, requests: int) -> None:
    """An error of ours while requests were taken or answered: they got 429, if anything. Once a minute for a cause."""
    _log.error(
        "webhook: internal error, who sent was not acknowledged and sends again; please report it",
        place=place,
        cause=cause,
        requests=requests,
    )


def listener_ended(*, place: str, cause: str) -> None:
    """A bug ended the thread of a listener: its addresses are closed, and senders find nobody."""
    _log.error(
        "listener ended by a bug, senders are turned away; please report it",
        place=place,
        cause=cause,
        hint="restart the agent",
    )
