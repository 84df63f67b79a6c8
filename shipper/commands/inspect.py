"""`parse`, `explain`, `formats`, `validate`, `version`: what can be known without running the agent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from shipper import __version__
from shipper.commands._common import (
    config_option,
    configuration,
    json_option,
    print_json,
    safe,
    table,
    tell_steps,
    write_lines,
)
from shipper.config import Config
from shipper.errors import UsageError
from shipper.input_sections import StdinInputSection

if TYPE_CHECKING:
    from shipper.formats import Decision


def _reader(config: Config, place: str, name: str, timezone: str | None) -> tuple[Config, str]:
    """The configuration with one input called `parse` in the wanted format."""
    section = StdinInputSection(id="parse", type="stdin", format=name, timezone=timezone)
    return config.model_copy(update={"inputs": (section,)}), place


@click.command(epilog="Example: fieldtrail parse --format greenhouse audit.jsonl")
@click.option("--format", "name", default="auto", show_default=True, help="Format of the lines.")
@click.option("--timezone", help="Zone of times that name none (default: the host's).")
@config_option
@click.argument("files", nargs=-1, metavar="[FILE]...")
def parse(name: str, timezone: str | None, config_path: Path | None, files: tuple[str, ...]) -> None:
    """Lines in (`-` is standard input), events out as NDJSON, unsealed."""
    from shipper.offline import read_events

    config, place = _reader(*configuration(config_path), name, timezone)
    for file in files or ("-",):
        with _blocks(file) as source:
            write_lines(
                orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
                for event in read_events(config, place, name, source, decided=partial(_tell, source[0]))
            )


def _tell(file: str, found: Decision) -> None:
    """What `auto` chose, and how sure that is."""
    click.echo(f"{safe(file)}: {found.format} ({found.accepted} of the first {found.records} records)", err=True)


@contextlib.contextmanager
def _blocks(file: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A file's name and its bytes in blocks."""
    if file == "-":
        yield "stdin", iter(lambda: sys.stdin.buffer.read(1 << 16), b"")
        return
    try:
        handle = Path(file).open("rb")  # noqa: SIM115 - what cannot be opened is told apart from what cannot be read
    except OSError as error:
        raise UsageError("parse", file, error.strerror or str(error), f"ls -ld {file}") from None
    with handle:
        yield file, iter(lambda: handle.read(1 << 20), b"")


@click.command(epilog="""Example: fieldtrail explain --format greenhouse '{"request": ...}'""")
@click.option("--format", "name", default="auto", show_default=True, help="Format of the line.")
@config_option
@json_option
@click.argument("line")
def explain(name: str, config_path: Path | None, as_json: bool, line: str) -> None:  # noqa: FBT001 - click passes flags so
    """Why an event looks as it does: each field and where it came from."""
    from shipper.explain import explain as why

    config, place = _reader(*configuration(config_path), name, None)
    data = sys.stdin.buffer.read() if line == "-" else line.encode(errors="surrogateescape")
    rows = why(config, place, name, data)
    if as_json:
        print_json(
            [{"document": row.document, "field": row.field, "value": row.value, "from": row.source} for row in rows]
        )
        return
    for number in sorted({row.document for row in rows}):
        if number:
            click.echo()
        table(("field", "value", "from"), ((r.field, _short(r.value), r.source) for r in rows if r.document == number))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 100 else text[:99] + "…"


@click.command(epilog="Example: fieldtrail formats greenhouse")
@config_option
@json_option
@click.argument("name", required=False)
def formats(config_path: Path | None, as_json: bool, name: str | None) -> None:  # noqa: FBT001 - click passes flags so
    """The formats; with a NAME its documentation, one line in, events out."""
    from shipper.build import formats_of
    from shipper.offline import example

    config, place = configuration(config_path)
    known = formats_of(config, place)
    if name is not None:
        parser = known.get(name)
        config, place = _reader(config, place, name, "UTC")
        found = example(config, place, name, parser.doc)
        if as_json:
            print_json(
                {
                    "name": name,
                    "title": parser.format.title,
                    "module": parser.format.module,
                    "missing": list(parser.format.missing),
                    "options": dict(parser.format.options),
                    "documentation": parser.doc,
                    "line": found[0] if found else None,
                    "events": found[1] if found else [],
                }
            )
            return
        click.echo(f"{name}: {parser.format.title}\n\n{parser.doc}\n")
        if parser.format.options:
            click.echo("Options:")
            for option, text in parser.format.options.items():
                click.echo(f"  {option}: {text}")
            click.echo()
        if found:
            click.echo(f"One line in:\n\n{found[0]}\n\nEvents out:\n")
            write_lines(orjson.dumps(event, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) for event in found[1])
        return
    rows = [known.get(each).format for each in known.names()]
    if as_json:
        print_json(
            [
                {"name": c.name, "title": c.title, "module": c.module, "missing": list(c.missing), "auto": c.auto}
                for c in rows
            ]
        )
        return
    table(("format", "reads", "cannot give"), ((c.name, c.title, ", ".join(c.missing) or "-") for c in rows))


@click.command(epilog="Example: fieldtrail validate -c fieldtrail.yaml --connect")
@config_option
@click.option("--connect", is_flag=True, help="Also try each input, and talk to each output step by step.")
@json_option
def validate(config_path: Path | None, connect: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Check the configuration; every problem at once, exit 78."""
    from shipper.build import Lanes
    from shipper.connect import remarks, steps
    from shipper.directory.keeper import unreadable
    from shipper.errors import ConfigError

    config, place = configuration(config_path)
    Lanes(config, place, os.urandom)
    problems = unreadable(config.directory)
    if problems:
        cause = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        raise ConfigError("read configuration", place, cause, f"edit {place}", tuple(problems))
    notes = list(remarks(config))
    results = list(steps(config)) if connect else []
    failed = any(not step.ok for step in results)
    if as_json:
        print_json(
            {
                "configuration": place,
                "ok": not failed,
                "remarks": notes,
                "steps": [
                    {
                        "part": s.part,
                        "step": s.name,
                        "ok": s.ok,
                        "degraded": s.degraded,
                        "detail": s.detail,
                        "hint": s.hint,
                    }
                    for s in results
                ],
            }
        )
    else:
        click.echo(f"{place}: the configuration is valid")
        for note in notes:
            click.echo(f"note: {note}")
        tell_steps(results)
    sys.exit(69 if failed else 0)


@click.command(epilog="Example: fieldtrail version")
@json_option
def version(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """The version, and what it runs on."""
    import platform

    if as_json:
        print_json({"fieldtrail": __version__, "python": platform.python_version(), "system": platform.platform()})
    else:
        click.echo(f"fieldtrail {__version__} (Python {platform.python_version()})")
