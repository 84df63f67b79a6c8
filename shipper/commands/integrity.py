"""`verify`, `keys`, `journal`, `dlq`: what proves, signs, keeps and sets aside."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from shipper.commands._common import config_option, configuration, json_option, print_json, safe, table
from shipper.commands._opensearch import Connection, opensearch_options
from shipper.config import Config
from shipper.errors import ConfigError, UnavailableError, UsageError

# -- verify ------------------------------------------------------------------------------------------------------------


@click.command(
    epilog="Examples: fieldtrail verify --store   fieldtrail verify --ndjson events.ndjson --trust trust.json"
)
@click.option("--store", is_flag=True, help="The embedded store.")
@click.option(
    "--ndjson", multiple=True, metavar="FILE", help="Files of a `file` output or of `pull`, in order; .gz too."
)
@click.option("--journal", is_flag=True, help="The agent's own journal.")
@click.option("--trust", "trust_path", type=click.Path(path_type=Path), metavar="FILE", help="Trust file.")
@click.option("--since", metavar="DATE", help="Begin of the period.")
@click.option("--until", metavar="DATE", help="End of the period.")
@click.option("--max-age", metavar="DURATION", help="STALE if the newest checkpoint is older (60s, 2h).")
@click.option("--output", metavar="ID", help="The output that wrote it: no other one's statements explain a gap.")
@click.option("--report", "report_path", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a report.")
@click.option("--record", is_flag=True, help="Have the running agent seal the result.")
@config_option
@opensearch_options
@json_option
@click.argument("words", nargs=-1, metavar="[event ID | consistency A B | FILE...]")
def verify(
    store: bool,  # noqa: FBT001 - click passes flags so
    ndjson: tuple[str, ...],
    journal: bool,  # noqa: FBT001 - click passes flags so
    trust_path: Path | None,
    since: str | None,
    until: str | None,
    max_age: str | None,
    output: str | None,
    report_path: Path | None,
    record: bool,  # noqa: FBT001 - click passes flags so
    config_path: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags so
    words: tuple[str, ...],
    **connection: Any,
) -> None:
    """Check what is stored against what was sealed; exit 0 if it holds, 1 if not.

    One finding a line. `verify event ID` checks one document and prints its inclusion proof; `verify consistency A B`
    checks that the log of A leaves is the beginning of the log of B leaves. With `--record` the running agent writes
    the result into its log: who verifies shows that it was done.
    """
    config, _ = configuration(config_path)
    if record and words[:1] in {("event",), ("consistency",)}:
        raise UsageError("verify", words[0], "only the whole is recorded", "fieldtrail verify --record")
    files = ndjson + (words if ndjson and words[:1] not in {("event",), ("consistency",)} else ())
    with _source(config, connection, store=store, files=files, journal=journal) as source:
        if words and words[0] == "event":
            _verify_event(config, trust_path, source, words[1:])
        elif words and words[0] == "consistency":
            _verify_consistency(config, trust_path, source, words[1:])
        elif words and not ndjson:
            raise UsageError("verify", words[0], "no such thing to verify", "fieldtrail verify --help")
        else:
            _verify_all(
                config,
                trust_path,
                source,
                period=(since, until),
                max_age=max_age,
                output=output,
                report_path=report_path,
                kind=_kind(connection, files, journal=journal) if record else None,
                as_json=as_json,
            )


@contextlib.contextmanager
def _source(
    config: Config, options: dict[str, Any], *, store: bool, files: tuple[str, ...], journal: bool
) -> Iterator[Any]:
    """The one thing to verify; without a choice, the embedded store."""
    from shipper.seal.sources import JournalSource, NdjsonSource, StoreSource

    connection = Connection.of(options)
    if sum((store, bool(files), journal, connection is not None)) > 1:
        raise UsageError(
            "verify", "", "more than one source named", "name one of --store --ndjson --journal --opensearch"
        )
    folder = config.agent.state_dir
    if connection is not None:
        source = connection.source()
    elif files:
        source = NdjsonSource([Path(name) for name in files])
    elif journal:
        source = JournalSource(folder / "journal")
    else:
        source = StoreSource(folder / "store.db")
    with contextlib.closing(source):
        yield source


def _verify_all(
    config: Config,
    trust_path: Path | None,
    source: Any,
    *,
    period: tuple[str | None, str | None],
    max_age: str | None,
    output: str | None,
    report_path: Path | None,
    kind: str | None,
    as_json: bool,
) -> None:
    """`kind`: of the source, for the agent's log; None: the result is not recorded."""
    import time

    from shipper._settings import seconds
    from shipper.outputs._when import parse_when
    from shipper.seal.verify import verify as check
    from shipper.trusting import trust_for

    now = time.time()
    since = None if period[0] is None else parse_when(period[0], now, "--since").lo / 1e6
    until = None if period[1] is None else parse_when(period[1], now, "--until").hi / 1e6

    age = None
    if max_age is not None:
        try:
            age = seconds(max_age)
        except ValueError as error:
            raise UsageError("read --max-age", max_age, str(error), "--max-age 2h") from None
    with _spinner():
        report = check(
            source,
            trust_for(config, trust_path),
            since=since,
            until=until,
            max_age=age,
            now=now,
            live=getattr(source, "live", False),
            output=output,
        )
    if report_path is not None:
        from shipper.seal.report import render_html

        try:
            report_path.write_text(render_html(report), encoding="utf-8")
        except OSError as error:
            raise UsageError("write the report", str(report_path), error.strerror or str(error), "ls -ld .") from None
    if as_json:
        print_json(report.as_json())
    else:
        for line in report.lines():
            click.echo(line)
    if kind is not None:
        from shipper.recorded import record, result_of

        try:
            record(config.agent.state_dir, result_of(report, kind, since, until))
        except UnavailableError as error:
            if not report.exit_code:
                raise
            click.echo(error.render(), err=True)  # what was found says more than that nobody could be told
        else:
            click.echo(f"recorded in the log of {safe(config.agent.name)}", err=True)
    sys.exit(report.exit_code)


def _kind(connection: dict[str, Any], files: tuple[str, ...], *, journal: bool) -> str:
    """The source that `_source` takes."""
    if Connection.of(connection) is not None:
        return "opensearch"
    return "ndjson" if files else "journal" if journal else "store"


@contextlib.contextmanager
def _spinner() -> Iterator[None]:
    """A sign of life on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("verifying"):
        yield


def _verify_event(config: Config, trust_path: Path | None, source: Any, words: tuple[str, ...]) -> None:
    from shipper.seal.single import check_event
    from shipper.trusting import trust_for

    if len(words) != 1:
        raise UsageError(
            "verify event", " ".join(words), "needs one document id", "fieldtrail verify event <log>-<index>"
        )
    answer = check_event(source, trust_for(config, trust_path), words[0])
    click.echo(answer.text)
    sys.exit(0 if answer.ok else 1)


def _verify_consistency(config: Config, trust_path: Path | None, source: Any, words: tuple[str, ...]) -> None:
    from shipper.seal.single import check_consistency
    from shipper.trusting import trust_for

    if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            "verify consistency", " ".join(words), "needs two tree sizes", "fieldtrail verify consistency 24 48"
        )
    answer = check_consistency(source, trust_for(config, trust_path), int(words[0]), int(words[1]))
    click.echo(answer.text)
    sys.exit(0 if answer.ok else 1)


# -- keys --------------------------------------------------------------------------------------------------------------


@click.group(epilog="Example: fieldtrail keys trust > trust.json")
def keys() -> None:
    """Signing keys, and the trust file for an auditor."""


@keys.command("init")
@config_option
def keys_init(config_path: Path | None) -> None:
    """Create the identity key of an empty state folder."""
    from shipper.seal.keys import IDENTITY, create_identity
    from shipper.seal.note import public_bytes
    from shipper.seal.trust import fingerprint
    from shipper.state_folder import prepare_folder

    config, _ = configuration(config_path)
    folder = config.agent.state_dir
    if not prepare_folder(folder) and not (folder / "keys" / IDENTITY).exists() and any(folder.glob("journal/*")):
        raise ConfigError(
            "create the identity key",
            str(folder),
            "the folder holds a journal but no key: a new key could not continue its log",
            f"restore {folder}/keys, or move {folder} away to begin anew",
        )
    key = create_identity(folder / "keys")
    click.echo(f"created {folder / 'keys'}\nfingerprint {fingerprint(public_bytes(key))}")


@keys.command("show")
@config_option
@json_option
def keys_show(config_path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """The public key, its fingerprint, and the log it signs."""
    from shipper.seal.note import vkey
    from shipper.trusting import trust_of

    config, _ = configuration(config_path)
    trust = trust_of(config)
    logs = [generation.origin for generation in trust.generations]
    if as_json:
        print_json(
            {
                "origin": trust.prefix,
                "fingerprint": trust.fingerprint,
                "verifier": vkey(trust.prefix, trust.keys[0]),
                "logs": logs,
            }
        )
        return
    click.echo(f"origin      {safe(trust.prefix)}\nfingerprint {trust.fingerprint}")
    click.echo(f"verifier    {safe(vkey(trust.prefix, trust.keys[0]))}")
    for log in logs:
        click.echo(f"log         {safe(log)}")


@keys.command("trust")
@config_option
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it here.")
def keys_trust(config_path: Path | None, output: Path | None) -> None:
    """The trust file: give this to your auditor at the start of the period."""
    from shipper.seal.trust import trust_json, write_trust
    from shipper.trusting import trust_of

    config, _ = configuration(config_path)
    trust = trust_of(config)
    if output is None:
        click.echo(trust_json(trust), nl=False)
    else:
        write_trust(output, trust)
    click.echo(f"fingerprint to read over the phone: {trust.fingerprint}", err=True)


# -- journal -----------------------------------------------------------------------------------------------------------


@click.group(epilog="Example: fieldtrail journal check")
def journal() -> None:
    """Check or repair the journal."""


@journal.command("check")
@config_option
@json_option
def journal_check(config_path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Read every frame; exit 1 if anything is damaged. Changes nothing, may run beside the agent."""
    from shipper.fs import RealFs
    from shipper.journal import check
    from shipper.recover import Watermark

    config, _ = configuration(config_path)
    folder = config.agent.state_dir
    mark = Watermark.load(folder / "checkpoint")
    sys.exit(_print_journal(check(folder / "journal", RealFs()), mark, as_json=as_json))


@journal.command("repair")
@config_option
@json_option
def journal_repair(config_path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Cut an unfinished tail and set damaged bytes aside; good frames are not touched. The agent must be stopped."""
    from shipper.fs import RealFs
    from shipper.journal import repair
    from shipper.recover import Watermark
    from shipper.state_folder import lock

    config, _ = configuration(config_path)
    folder = config.agent.state_dir
    if not (folder / "journal").is_dir():
        raise UsageError("repair the journal", str(folder / "journal"), "no such folder", "fieldtrail status")
    with lock(folder):
        mark = Watermark.load(folder / "checkpoint")
        sys.exit(_print_journal(repair(folder / "journal", RealFs()), mark, as_json=as_json))


def _print_journal(report: Any, mark: Any, *, as_json: bool) -> int:
    """Print what was found; 1 if anything is damaged or missing.

    `mark`: the newest checkpoint by its own file, read before the journal. Frames that are missing at the end leave no
    trace in the journal itself.
    """
    last = report.last_seq
    cut_off = mark is not None and (last is None or mark.seq > last)
    if as_json:
        print_json(
            {
                "folder": str(report.folder),
                "ok": not report.damage and not report.torn and not cut_off,
                "segments": [
                    {"path": str(s.path), "first_seq": s.first_seq, "last_seq": s.last_seq} for s in report.segments
                ],
                "torn": report.torn,
                "damage": [
                    {
                        "path": str(d.path),
                        "offset": d.offset,
                        "length": d.length,
                        "first_seq": d.first_seq,
                        "last_seq": d.last_seq,
                        "reason": d.reason,
                    }
                    for d in report.damage
                ],
                "foreign": [str(path) for path in report.foreign],
                "checkpoint_seq": None if mark is None else mark.seq,
                "changed": list(report.changed),
            }
        )
        return 1 if report.damage or cut_off else 0
    for segment in report.segments:
        frames = f"frames {segment.first_seq}-{segment.last_seq}" if segment.frames else "no readable frame"
        click.echo(f"{segment.path}: {frames}")
    for path in report.foreign:
        click.echo(f"{safe(str(path))}: not a file of the journal, left alone")
    for line in report.changed:
        click.echo(f"changed: {line}")
    if report.torn:
        click.echo(
            f"{report.torn_path}: {report.torn} bytes of an unfinished frame at the end (acknowledged to nobody)"
        )
    for damage in report.damage:
        frames = f"frames {damage.first_seq}-{damage.last_seq} are lost" if damage.frames > 0 else "no frame is lost"
        click.echo(f"DAMAGED {damage.path}: {damage.length} bytes at {damage.offset}, {frames} ({damage.reason})")
    if cut_off:
        ends = "is empty" if last is None else f"ends at frame {last}"
        click.echo(f"DAMAGED {report.folder}: the journal {ends}, the newest checkpoint stood in frame {mark.seq}")
    if not report.damage and not cut_off:
        click.echo(f"ok: {len(report.segments)} segment(s)")
        return 0
    click.echo("damaged" if report.needs_repair else "damaged, and nothing is left to repair: what is lost stays lost")
    if report.needs_repair:
        click.echo("hint: stop the agent, then: fieldtrail journal repair", err=True)
    return 1


# -- dead letters ------------------------------------------------------------------------------------------------------


@click.group(epilog="Example: fieldtrail dlq list --output siem")
def dlq() -> None:
    """Dead letters: documents that a destination refused."""


def _letter(letter: Any) -> dict[str, Any]:
    """A dead letter as JSON; the document as it was shipped."""
    document = letter.document
    return {
        "id": letter.id,
        "output": letter.output,
        "dataset": document.dataset,
        "index": document.index,
        "type": letter.type,
        "field": letter.field,
        "reason": letter.reason,
        "time": letter.time,
        "attempts": letter.attempts,
        "document": document.data.decode(errors="replace"),
    }


_output_option = click.option("--output", metavar="ID", help="Only of this output.")


@dlq.command("list")
@config_option
@_output_option
@json_option
def dlq_list(config_path: Path | None, output: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """The letters, oldest first."""
    from shipper.dlq import DeadLetters

    config, _ = configuration(config_path)
    letters = list(DeadLetters(config.agent.state_dir / "dlq").list(output))
    if as_json:
        print_json([_letter(letter) for letter in letters])
        return
    table(
        ("id", "dataset", "type", "field", "since", "tries"),
        (
            (letter.id, letter.document.dataset, letter.type, letter.field or "-", letter.time, letter.attempts)
            for letter in letters
        ),
    )
    click.echo(f"{len(letters)} dead letter{'s' if len(letters) != 1 else ''}")


@dlq.command("show")
@config_option
@click.argument("letter_id", metavar="ID")
def dlq_show(config_path: Path | None, letter_id: str) -> None:
    """One letter with its reason and its document, as JSON."""
    from shipper.dlq import DeadLetters

    config, _ = configuration(config_path)
    letter = DeadLetters(config.agent.state_dir / "dlq").get(letter_id)
    if letter is None:
        raise UsageError("show a dead letter", letter_id, "there is none of this id", "fieldtrail dlq list")
    print_json(_letter(letter))


@dlq.command("replay")
@config_option
@_output_option
@click.argument("ids", nargs=-1, metavar="[ID]...")
def dlq_replay(config_path: Path | None, output: str | None, ids: tuple[str, ...]) -> None:
    """Send letters again to the output that refused them; those accepted are removed. Exit 1 if some are refused."""
    from shipper.replay import replay

    config, place = configuration(config_path)
    accepted, refused, waiting = replay(config, place, output, ids)
    click.echo(f"{accepted} accepted, {refused} refused again, {waiting} not answered")
    sys.exit(1 if refused else 75 if waiting else 0)


@dlq.command("purge")
@config_option
@_output_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
def dlq_purge(config_path: Path | None, output: str | None, yes: bool, ids: tuple[str, ...]) -> None:  # noqa: FBT001 - click passes flags so
    """Forget letters for good (their events stay sealed in the log, and verification says `rejected`)."""
    from shipper.dlq import DeadLetters

    config, _ = configuration(config_path)
    letters = DeadLetters(config.agent.state_dir / "dlq")
    chosen = [letter.id for letter in letters.list(output) if not ids or letter.id in ids]
    if chosen and not yes:
        click.confirm(f"Forget {len(chosen)} dead letter(s)?", abort=True)
    click.echo(f"{letters.remove(chosen)} removed")
