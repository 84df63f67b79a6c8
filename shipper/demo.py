"""`fieldtrail demo`: the whole story on bundled sample logs and the embedded store, told on standard output.

Nothing here is special: it runs the agent, the search and the verifier that everybody runs, on a state folder of its
own.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click
import orjson

from shipper.agent import Agent
from shipper.commands.agent import progress_line
from shipper.config import AgentSection, Config, PrivacySection
from shipper.errors import UsageError
from shipper.input_sections import FileInputSection
from shipper.model import Event


def tell(folder: Path | None) -> int:
    """Tell the story; the exit code is 0 if everything went as it must, 1 otherwise."""
    from shipper.cli import configure_logging

    configure_logging(quiet=True)
    began = time.monotonic()
    with _place(folder) as place:
        ok = _story(place)
        click.echo(f"\nThat took {time.monotonic() - began:.1f} s.", nl=False)
        if folder is not None:
            click.echo(f" Everything is in {place}; look around with:\n")
            click.echo(f"  fieldtrail search -c {place}/fieldtrail.yaml 'trail.change.field:salary'")
            click.echo(f"  fieldtrail verify -c {place}/fieldtrail.yaml --store")
        else:
            click.echo(" Next: fieldtrail init, then fieldtrail run.")
    return 0 if ok else 1


@contextlib.contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="fieldtrail-demo-") as name:
            yield Path(name)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UsageError("demo", str(folder), error.strerror or str(error), f"ls -ld {folder}") from None
    if not empty:
        raise UsageError("demo", str(folder), "is not empty", "name a folder that does not exist yet")
    yield folder.resolve()


def _heading(number: int, text: str) -> None:
    click.echo(f"\n{number}. {text}")


def _story(place: Path) -> bool:
    from shipper.seal.sources import StoreSource
    from shipper.seal.verify import verify
    from shipper.trusting import trust_of

    logs, state = place / "logs", place / "state"
    logs.mkdir()
    count = lines = 0
    for item in sorted(resources.files("mappings").joinpath("demo").iterdir(), key=lambda entry: entry.name):
        if item.name.endswith(".jsonl"):
            data = item.read_bytes()
            (logs / item.name).write_bytes(data)
            count, lines = count + 1, lines + data.count(b"\n")
    config = Config(
        agent=AgentSection(name="demo", origin="demo.example/audit", state_dir=state),
        privacy=PrivacySection(),
        inputs=(FileInputSection(id="logs", type="file", paths=(f"{logs}/*.jsonl",)),),
    )
    (place / "fieldtrail.yaml").write_text(
        f'agent: {{name: demo, origin: demo.example/audit, state_dir: "{state}"}}\n'
        f'privacy: {{rules: []}}\ninputs:\n  - {{id: logs, type: file, paths: ["{logs}/*.jsonl"]}}\n',
        encoding="utf-8",
    )

    _heading(1, f"Ship: {lines} lines of {count} sample logs, formats found by themselves")
    with progress_line(once=True) as progress:
        code = Agent(config, "demo", once=True, progress=progress).run()
    store = state / "store.db"
    events = _events(store)
    for event in events:
        if event["event"]["module"] != "fieldtrail":
            click.echo(f"   {event['@timestamp'][:19]}Z  {event['message']}")
    if code != 0:
        click.echo(f"   the agent ended with {code}")
        return False

    _heading(2, "Ask: who changed the salary of employee 7711, from what to what, when, from where?")
    click.echo("   $ fieldtrail search 'trail.object.id:7711 AND trail.change.field:salary'")
    for event in events:
        change = event["trail"].get("change", {})
        if event["trail"].get("object", {}).get("id") == "7711" and change.get("field") == "salary":
            who = event["user"].get("name")
            click.echo(
                f"   {who} at {event['@timestamp']} from {event['source']['ip']}: {change['old']} -> {change['new']}"
                f" (not given by the source: {', '.join(event['trail']['missing'])})"
            )

    _heading(3, "Verify: every document against the signed log")
    click.echo("   $ fieldtrail verify --store")
    trust = trust_of(config)
    report = verify(StoreSource(store), trust)
    click.echo(_indented(report.lines()))
    if not report.ok:
        return False

    _heading(4, "Tamper with a copy: a salary edited, one document deleted, one inserted")
    copy = place / "tampered.db"
    expected = _tamper(store, copy)
    report = verify(StoreSource(copy), trust)
    click.echo(_indented(report.lines()))
    found = sorted(finding.line().partition(" (")[0] for finding in report.findings)
    caught = not report.ok and sorted(expected) == found
    click.echo(f"   {'caught, exactly these three' if caught else f'EXPECTED {expected}'}")
    return caught


def _indented(lines: list[str]) -> str:
    return "\n".join(f"   {line}" for line in lines)


def _events(store: Path) -> list[Event]:
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = db.execute(
            "SELECT data FROM documents WHERE dataset IN ('fieldtrail.change', 'fieldtrail.activity') ORDER BY i"
        ).fetchall()
    return [orjson.loads(row[0]) for row in rows]


def _tamper(store: Path, copy: Path) -> list[str]:
    """Change a copy by hand; returns the findings that the verifier owes."""
    with contextlib.closing(sqlite3.connect(store)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    with contextlib.closing(sqlite3.connect(copy)) as db, db:
        rows = db.execute("SELECT id, i, data FROM documents WHERE i >= 0 ORDER BY i").fetchall()
        edited = next(row for row in rows if b'"field":"salary"' in row[2] and b"120000" in row[2])
        db.execute("UPDATE documents SET data = ? WHERE id = ?", (edited[2].replace(b"120000", b"920000"), edited[0]))
        deleted = next(row for row in rows if b'"overall_recommendation"' in row[2])
        db.execute("DELETE FROM documents WHERE id = ?", (deleted[0],))
        forged = orjson.loads(edited[2])
        forged.pop("seal")
        forged["message"] = "nobody changed anything"
        db.execute(
            "INSERT INTO documents (id, log, i, dataset, data) VALUES ('forged', '', 999999, ?, ?)",
            ("fieldtrail.change", orjson.dumps(forged)),
        )
    shutil.copymode(store, copy)
    return [f"MODIFIED {edited[1]}", f"MISSING {deleted[1]} unexplained", "INSERTED forged"]
