"""`setup`, `export` and `pull`: what Fieldtrail puts into OpenSearch, and how its documents come out again."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click
import orjson

from shipper.clock import SystemClock
from shipper.commands._common import config_option, configuration, json_option, print_json, safe
from shipper.commands._opensearch import Connection, opensearch_options
from shipper.errors import DiskError, UsageError
from shipper.output_sections import OpenSearchSection

if TYPE_CHECKING:
    from shipper.outputs._opensearch_client import Client

_KINDS = {"component_templates": "_component_template", "index_templates": "_index_template"}


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--opensearch URL` and what goes with it, to write to."""
    file = click.Path(path_type=Path, dir_okay=False)
    options = (
        click.option("--opensearch", "url", metavar="URL", help="Address, e.g. https://search.example:9200."),
        click.option("--user", metavar="NAME", help="User name."),
        click.option("--password-file", type=file, metavar="FILE", help="File that holds the password."),
        click.option("--ca", type=file, metavar="FILE", help="Certificate authority (PEM); default: the system's."),
        click.option("--cert", type=file, metavar="FILE", help="Our certificate (PEM), where the server asks for one."),
        click.option("--key", type=file, metavar="FILE", help="The key of --cert."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _client(url: str, options: Mapping[str, Any]) -> Client:
    from shipper.outputs._opensearch_client import client_for

    return client_for(url, **options)


# -- setup -------------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What became of one template: `installed`, `updated`, `unchanged`, or `newer` (left as it is)."""

    kind: str
    name: str
    result: str


@click.command(
    epilog="Example: fieldtrail setup --opensearch https://search.example:9200 --user admin --password-file pw"
)
@config_option
@_target_options
@click.option("--namespace", metavar="NAME", help="Templates for this namespace alone instead of all.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def setup(
    *, config_path: Path | None, url: str | None, namespace: str | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Install the component and index templates in OpenSearch; done twice, it changes nothing."""
    steps: list[dict[str, Any]] = []
    for client in _targets(config_path, url, options):
        with contextlib.closing(client):
            for step in install(client, namespace, dry_run=dry_run):
                steps.append({"opensearch": client.place, **step._asdict()})
                if not as_json:
                    click.echo(f"{_words(step.result, dry_run=dry_run)}: {step.kind.replace('_', ' ')} {step.name}")
    if as_json:
        print_json(steps)
    if any(step["result"] == "updated" for step in steps) and not dry_run:
        click.echo("existing data streams take new templates at their next rollover", err=True)


def _words(result: str, *, dry_run: bool) -> str:
    if dry_run and result in {"installed", "updated"}:
        return f"would be {result}"
    return "newer, left as it is" if result == "newer" else result


def _targets(config_path: Path | None, url: str | None, options: Mapping[str, Any]) -> Iterator[Client]:
    """The client of `--opensearch`, else one for each such output of the configuration."""
    from shipper.outputs._opensearch_client import client_of

    if url is not None:
        if config_path is not None:
            raise UsageError("read options", "", "-c and --opensearch exclude each other", "give one of them")
        yield _client(url, options)
        return
    given = [name for name, value in options.items() if value is not None]
    if given:
        flag = "--" + given[0].replace("_", "-")
        raise UsageError(
            "read options", flag, "goes with --opensearch only", "--opensearch https://search.example:9200"
        )
    config, place = configuration(config_path)
    sections = [section for section in config.outputs if isinstance(section, OpenSearchSection)]
    if not sections:
        hint = "fieldtrail setup --opensearch https://search.example:9200"
        raise UsageError("setup", place, "no output of type opensearch", hint)
    for section in sections:
        yield client_of(section)


def install(client: Client, namespace: str | None = None, *, dry_run: bool = False) -> Iterator[Step]:
    """Put each template that is not there as it should be; a newer version is left alone. `UnavailableError`."""
    from shipper.templates import templates

    for group, bodies in templates(namespace).items():
        kind = group.removesuffix("s")
        for name, body in bodies.items():
            path = f"/{_KINDS[group]}/{name}"
            answer = client.ask(f"read {name}", "GET", path, absent=True)
            found = answer[group][0][kind] if answer and answer.get(group) else None
            if found is not None and _normal(found) == _normal(body):
                yield Step(kind, name, "unchanged")
                continue
            if found is not None and isinstance(found.get("version"), int) and found["version"] > body["version"]:
                yield Step(kind, name, "newer")
                continue
            if not dry_run:
                client.ask(f"install {name}", "PUT", path, body=body)
            yield Step(kind, name, "installed" if found is None else "updated")


def _normal(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template without the ways in which a server writes the same one: nested settings, numbers as text."""
    out = {name: value for name, value in template.items() if name not in {"template", "data_stream"}}
    inner = template.get("template", {})
    out["settings"] = dict(_flat(inner.get("settings", {}), ""))
    # An empty mapping and none are the same.
    out["mappings"] = inner.get("mappings") or {}
    out["data_stream"] = "data_stream" in template
    return out


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else str(name))
    else:
        name = path if path.startswith("index.") else f"index.{path}"
        yield name, [str(item) for item in value] if isinstance(value, list) else _setting(value)


def _setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- export ------------------------------------------------------------------------------------------------------------


@click.group(epilog="Example: fieldtrail export templates --dir templates/")
def export() -> None:
    """Print or write what `setup` would install."""


@export.command("templates", epilog="Example: fieldtrail export templates | head -1")
@click.option("--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write files instead.")
@click.option("--namespace", metavar="NAME", help="Templates for this namespace alone instead of all.")
def export_templates(folder: Path | None, namespace: str | None) -> None:
    """The component and index templates: one JSON object a line, or a file each, in the order to install them."""
    from shipper.templates import templates

    for group, bodies in templates(namespace).items():
        for name, body in bodies.items():
            if folder is None:
                line = {"path": f"/{_KINDS[group]}/{name}", "body": body}
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                continue
            path = folder / group / f"{name}.json"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            except OSError as error:
                raise DiskError("write template", str(path), error.strerror or str(error), f"ls -ld {folder}") from None
            click.echo(str(path))
    sys.stdout.flush()


# -- pull --------------------------------------------------------------------------------------------------------------


@click.command(
    epilog="Example: fieldtrail pull --opensearch https://search.example:9200 --since now-7d --output week.ndjson"
)
@opensearch_options
@click.option("--since", metavar="DATE", help="Events from this date on (2026-01-31, now-7d).")
@click.option("--until", metavar="DATE", help="Events to the end of this date.")
@click.option("--output", metavar="FILE", default="-", help="NDJSON file to write, - for standard output.")
def pull(since: str | None, until: str | None, output: str, **options: Any) -> None:
    """Copy documents with their seals and checkpoints to NDJSON, for `verify --ndjson` on another machine.

    Control and checkpoint documents always come whole: without them the part that was asked for cannot be verified.
    """
    connection = Connection.of(options)
    if connection is None:
        raise UsageError("pull", "", "--opensearch is missing", "--opensearch https://search.example:9200")
    from shipper.outputs._opensearch_reader import pull_documents

    now = SystemClock().now()
    with contextlib.closing(connection.client) as client, _writing(output) as out:
        count = 0
        lines = pull_documents(client, now=now, since=since, until=until, index=connection.index)
        for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the answer
            out.write(line)
            out.write(b"\n")
        out.flush()
    click.echo(f"{count} documents", err=True)


@contextlib.contextmanager
def _writing(output: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that appears under its name only when it is complete; readable by its owner only."""
    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(output)
    part = path.with_name(path.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            try:
                yield out
            except OSError as error:
                raise DiskError("write", str(part), error.strerror or str(error), f"df -h {path.parent}") from None
        part.replace(path)
    except OSError as error:
        raise DiskError("write", safe(output), error.strerror or str(error), f"ls -ld {path.parent}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
