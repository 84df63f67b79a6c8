"""`search` and `trace`: questions to the embedded store or to OpenSearch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from shipper.commands._common import config_option, configuration, json_option
from shipper.commands._opensearch import Connection, opensearch_options
from shipper.model import Event


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
