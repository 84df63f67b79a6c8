"""`search` and `trace`: questions to the embedded store or to OpenSearch."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipper.clock import rfc3339
from shipper.commands._common import config_option, configuration, json_option, print_json, safe, table
from shipper.commands._opensearch import Connection, opensearch_options
from shipper.config import Config
from shipper.errors import UnavailableError, UsageError
from shipper.model import Event

if TYPE_CHECKING:
    from shipper.coverage import Tally


@click.command(epilog="Example: fieldtrail search 'trail.change.field:salary AND user.name:dana' --since now-7d")
@click.argument("query", default="*:*")
@click.option("--since", metavar="DATE", help="Earliest time: a date, a time, or date math (now-7d).")
@click.option("--until", metavar="DATE", help="Latest time.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many events.")
@click.option("--control", is_flag=True, help="Show control documents too.")
@config_option
@opensearch_options
@json_option
def search(
    query: str,
    since: str | None,
    until: str | None,
    limit: int,
    control: bool,  # noqa: FBT001 - click passes flags so
    config_path: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags so
    **connection: Any,
) -> None:
    """Find events, newest first (Lucene query string: field:value, ranges, wildcards, AND/OR/NOT)."""
    from shipper.show import print_events

    events = _events(query, config_path, connection, since=since, until=until, limit=limit, control=control)
    found = print_events(events, sys.stdout, as_json=as_json)
    if not found and not as_json:
        click.echo("no event matches", err=True)
        for hint in _unheard_of(query):
            click.echo(f"hint: {safe(hint)}", err=True)


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_NAMED = re.compile(r"(?<![\w.@\\:/-])([A-Za-z@][\w.@-]{0,200}):(?!/)")
_OPEN = ("trail.raw", "trail.values", "labels")
"""Objects whose members the source names."""


def _unheard_of(query: str) -> list[str]:
    """What to say of names in a query that no event has as a field: a misspelled one finds nothing at all."""
    from shipper.schema import fields, suggest

    hints = []
    for name in dict.fromkeys(_NAMED.findall(_QUOTED.sub('""', query))):
        if name not in fields() and not name.startswith(tuple(f"{one}." for one in _OPEN)):
            near = suggest(name)
            hints.append(f"no field is called {name}" + (f"; did you mean {near[0]}?" if near else ""))
    return hints


@click.command(epilog="Example: fieldtrail coverage --since now-30d --csv > coverage.csv")
@click.option(
    "--since", metavar="DATE", help="Earliest time: a date, a time, or date math (default: all that is kept)."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@config_option
@json_option
def coverage(since: str | None, as_csv: bool, config_path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """What each input gives of who, when, IP, session, field, old, new, logins and exports.

    Each cell has what the format can give (native, inferred, none) or, where events came, how it was given and in how
    many of them. Counted from the journal, so for the time that it keeps (`journal.keep`).
    """
    from shipper import coverage as c

    if as_csv and as_json:
        raise UsageError("coverage", "", "--json and --csv together", "choose one")
    config, place = configuration(config_path)
    tally, lag = _tally(config, place, since)
    rows = tally.rows()
    if as_json:
        print_json({"inputs": c.told(rows, lag), "uncovered_fields": [one._asdict() for one in tally.uncovered()]})
        return
    columns = ("input", "format", "events", "unparsed", *c.FACETS, "last event", "lag")
    cells = [
        (row.input, row.format, row.documents, row.unparsed, *(row.cell(facet) for facet in c.FACETS), row.last or "-",
         f"{lag[row.input]} bytes" if row.input in lag else "not running")
        for row in rows
    ]  # fmt: skip
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(cells)
        return
    table(columns, cells)
    uncovered = tally.uncovered()
    if uncovered:
        names = ", ".join(f"{one.field} ({one.module}, {one.documents:,})" for one in uncovered[:20])
        more = f" and {len(uncovered) - 20:,} more" if len(uncovered) > 20 else ""
        click.echo(
            f"doctor: {len(uncovered):,} fields came that no rule of the field policy names: {safe(names)}{more}"
        )
        click.echo("hint: say what they mean under privacy.fields in the configuration; until then they are internal")


def _tally(config: Config, place: str, since: str | None) -> tuple[Tally, dict[str, int]]:
    """What the journal holds, counted; and by input the bytes that a running agent has not read yet."""
    from shipper.build import formats_of, policy_of
    from shipper.control import ask
    from shipper.coverage import Tally
    from shipper.outputs._when import parse_when
    from shipper.seal.sources import JournalSource

    formats = formats_of(config, place)
    tally = Tally(policy_of(config), {name: formats.get(name).format for name in formats.names()})
    bound = rfc3339(parse_when(since, time.time(), "--since").lo / 1e6) if since else ""
    source = JournalSource(config.agent.state_dir / "journal")
    for raw in source.events():
        tally.add(raw.data, bound)
    for notice in source.notices():
        click.echo(f"warning: {safe(notice)}", err=True)
    for section in config.inputs:
        tally.expect(section.id, section.format)
    try:
        answer = next(ask(config.agent.state_dir, {"cmd": "status"}), None) or {"inputs": []}
    except UnavailableError:
        answer = {"inputs": []}
    return tally, {item["id"]: sum(stream.get("lag") or 0 for stream in item["streams"]) for item in answer["inputs"]}


def _events(
    query: str,
    config_path: Path | None,
    options: dict[str, Any],
    *,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    control: bool = False,
) -> Iterable[Event]:
    """The events that a query finds, newest first, wherever the user keeps them."""
    now = time.time()
    connection = Connection.of(options)
    if connection is not None:
        return connection.search(query, now=now, since=since, until=until, limit=limit, control=control)
    from shipper.outputs.store import search as in_store

    config, _ = configuration(config_path)
    path = config.agent.state_dir / "store.db"
    return in_store(path, query, now=now, since=since, until=until, limit=limit, control=control)


@click.command(epilog="Example: fieldtrail trace greenhouse:offer/55 --field salary")
@click.argument("target", metavar="[MODULE:]TYPE/ID")
@click.option("--field", metavar="NAME", help="Only this field.")
@click.option("--at", metavar="DATE", help="The record as it was at this moment.")
@config_option
@opensearch_options
@json_option
def trace(
    target: str,
    field: str | None,
    at: str | None,
    config_path: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags so
    **connection: Any,
) -> None:
    """The history of one record: each version, who, when, from where, old -> new."""
    from shipper.outputs._when import parse_when
    from shipper.show import print_state, print_versions
    from shipper.trace import parse_target, state_at, versions

    wanted = parse_target(target)
    moment = None if at is None else parse_when(at, time.time(), "--at").hi - 1
    found = versions(_events(wanted.query, config_path, connection), wanted, field)
    if at is not None and moment is not None:
        print_state(state_at(found, moment), wanted, at, sys.stdout, as_json=as_json)
        return
    print_versions(found, wanted, sys.stdout, as_json=as_json)
    if not found and not as_json:
        click.echo(f"nothing is known of {wanted}", err=True)
