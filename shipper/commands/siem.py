"""`setup`, `export` and `pull`: what Fieldtrail puts into OpenSearch, and how its documents come out again."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson

from shipper.clock import SystemClock
from shipper.commands._common import config_option, configuration, json_option, print_json, safe
from shipper.commands._opensearch import Connection, opensearch_options
from shipper.errors import DiskError, UnavailableError, UsageError
from shipper.output_sections import OpenSearchSection
from shipper.siem.install import INSTALLED, LEFT_OUT, NEWER, UPDATED, Step
from shipper.siem.policies import ASKED, ATTACHED, check_days
from shipper.siem.streams import ROLLED_OVER

if TYPE_CHECKING:
    from shipper.config import Config
    from shipper.outputs._opensearch_client import Client
    from shipper.siem.install import Part
    from shipper.siem.setup import Wanted

_FILE_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
_IMPORTED = "imported"
_DONE = {INSTALLED, UPDATED, ATTACHED, ASKED, ROLLED_OVER, _IMPORTED}
"""Results that a dry run only announces."""
_NAMESPACE = re.compile(r"[a-z0-9_.]{1,100}")


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


def _namespace(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """What the configuration takes as `agent.namespace`, before anything is asked of a cluster."""
    del context, option
    if value is not None and not _NAMESPACE.fullmatch(value):
        hint = "1 to 100 characters of a-z 0-9 _ . as in agent.namespace"
        raise UsageError("read options", f"--namespace {safe(value[:100])}", "not a namespace", hint)
    return value


def _days(context: click.Context, option: click.Parameter, value: int | None) -> int | None:
    del context, option
    if value is not None:
        check_days(value)
    return value


_namespace_option = click.option(
    "--namespace", callback=_namespace, metavar="NAME", help="For this namespace alone instead of all."
)
_days_option = click.option(
    "--retention-days",
    "days",
    type=int,
    callback=_days,
    metavar="N",
    help="Delete events N days after their rollover; 0: never.",
)
_folder_option = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write files instead."
)


def _client(url: str, options: Mapping[str, Any]) -> Client:
    from shipper.outputs._opensearch_client import client_for

    return client_for(url, **options)


# -- setup -------------------------------------------------------------------------------------------------------------


@click.command(
    epilog="Example: fieldtrail setup --opensearch https://search.example:9200 --user admin --password-file pw"
)
@config_option
@_target_options
@_namespace_option
@click.option("--rollover", is_flag=True, help="Data streams take new templates now, not at their next rollover.")
@_days_option
@click.option("--no-retention", is_flag=True, help="Leave the retention policies out.")
@click.option("--monitors", is_flag=True, help="Alerting monitors too, for the trail itself and for alerts.")
@click.option("--notify", metavar="KIND=WHERE", help="Monitors send: webhook=@FILE, slack=@FILE, email=SENDER:ADDRESS.")
@click.option("--security", is_flag=True, help="Roles too, for who writes, reads, verifies and sets up.")
@click.option("--grant", "grants", multiple=True, metavar="ROLE=USER", help="Give a role, e.g. writer=fieldtrail.")
@click.option("--dashboards", metavar="URL", help="Import dashboards, e.g. into https://dashboards.example:5601.")
@click.option("--tenant", metavar="NAME", help="Tenant of the security plugin to import into.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and what would differ.")
@json_option
def setup(
    *,
    config_path: Path | None,
    url: str | None,
    namespace: str | None,
    rollover: bool,
    days: int | None,
    no_retention: bool,
    monitors: bool,
    notify: str | None,
    security: bool,
    grants: tuple[str, ...],
    dashboards: str | None,
    tenant: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Install templates, retention policies and what else is asked for; done twice, it changes nothing.

    Retention: --retention-days, else what the configuration says, else as it is there, else 550 days. --dashboards
    without -c, --opensearch and anything else to install imports dashboards alone.
    """
    from shipper.siem.channels import channel_of
    from shipper.siem.setup import Wanted

    _together("--notify", notify is not None, "--monitors", present=monitors)
    _together("--grant", bool(grants), "--security", present=security)
    _together("--tenant", tenant is not None, "--dashboards", present=dashboards is not None)
    if days is not None and no_retention:
        raise UsageError("read options", "", "--retention-days and --no-retention exclude each other", "give one")
    wanted = Wanted(
        namespace=namespace,
        days=days,
        hand_over=days is not None,
        retention=not no_retention,
        rollover=rollover,
        monitors=monitors,
        channel=None if notify is None else channel_of(notify),
        security=security,
        grants=grants,
    )
    run = _Setup(dict(_asked(wanted)), dry_run=dry_run, as_json=as_json)
    try:
        if dashboards is None or url or config_path or days is not None or rollover or monitors or security:
            apart = dashboards is not None and url is None  # then the account is that of Dashboards
            for client, wish in _targets(config_path, url, {} if apart else options, wanted):
                with contextlib.closing(client):
                    run.install(client, wish)
        if dashboards is not None:
            run.import_into(dashboards, namespace, tenant, options)
    finally:
        run.tell()  # also what was done before it failed
    run.end()


def _together(flag: str, given: bool, other: str, *, present: bool) -> None:  # noqa: FBT001 -- read as a sentence
    if given and not present:
        raise UsageError("read options", flag, f"goes with {other} only", f"fieldtrail setup {other} {flag} ...")


class _Setup:
    """What one run of `setup` did, as it is told and as it ends."""

    def __init__(self, asked: Mapping[str, str], *, dry_run: bool, as_json: bool) -> None:
        """`asked`: kind -> the option that asks for it by name, so that leaving it out is an error."""
        self._asked, self._dry_run, self._as_json = asked, dry_run, as_json
        self._lines: list[dict[str, Any]] = []
        self._lacking: list[tuple[str, str, str]] = []
        self._rejected = False

    def install(self, client: Client, wanted: Wanted) -> None:
        """Everything but dashboards into one cluster."""
        from shipper.siem.setup import set_up

        for step in set_up(client, wanted, now=SystemClock().now(), dry_run=self._dry_run):
            self._tell("opensearch", client.place, step)
            if step.kind in self._asked and step.result.startswith(LEFT_OUT):
                flag = self._asked[step.kind]
                hint = f"install the plugin on every node, or leave {flag} out"
                if step.kind == "index":
                    hint = f"GET _plugins/_ism/explain/{step.name}"
                self._lacking.append((flag, client.place, hint))

    def import_into(self, url: str, namespace: str | None, tenant: str | None, options: Mapping[str, Any]) -> None:
        """The saved objects into Dashboards; each that it refuses is told, and makes the exit code 1."""
        from shipper.siem.dashboards import ndjson
        from shipper.siem.importing import import_saved_objects

        objects = ndjson(namespace)
        if self._dry_run:
            lines = objects.count(b"\n")
            self._tell("dashboards", url, Step("saved objects", f"{lines} of them", _IMPORTED))
            return
        made = import_saved_objects(url, objects, tenant=tenant, **options)
        self._tell("dashboards", url, Step("saved objects", f"{made.taken} of them", _IMPORTED))
        for one in made.rejected:
            self._rejected = True
            self._tell("dashboards", url, Step(one.type, one.id, f"rejected: {one.error}"))

    def _tell(self, what: str, place: str, step: Step) -> None:
        self._lines.append({what: place, **step._asdict()})
        if self._as_json:
            return
        result = step.result
        if result == NEWER:
            result = "newer, left as it is"
        elif self._dry_run and result in _DONE:
            result = f"would be {result}"
        click.echo(f"{safe(result)}: {step.kind} {safe(step.name)}")
        for line in step.difference:
            click.echo(f"    {safe(line)}")

    def tell(self) -> None:
        """The JSON where it is wanted."""
        if self._as_json:
            print_json(self._lines)

    def end(self) -> None:
        """How it went: an error for what was asked for and left out, exit code 1 for what Dashboards refused."""
        if self._lacking:
            flag, place, hint = self._lacking[0]
            raise UnavailableError("setup", place, f"what {flag} asks for was left out", hint)
        if self._rejected:
            sys.exit(1)


def _asked(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Kind and option of what the command line asks for by name."""
    if wanted.days is not None:
        yield "retention policy", "--retention-days"
        yield "index", "--retention-days"
    if wanted.monitors:
        yield "monitor", "--monitors"
    if wanted.channel is not None:
        yield "notification channel", "--notify"
    if wanted.security:
        yield "role", "--security"


def _targets(
    config_path: Path | None, url: str | None, options: Mapping[str, Any], wanted: Wanted
) -> Iterator[tuple[Client, Wanted]]:
    """The client of `--opensearch`, else one for each such output of the configuration, whose retention counts."""
    from shipper.outputs._opensearch_client import client_of

    if url is not None:
        if config_path is not None:
            raise UsageError("read options", "", "-c and --opensearch exclude each other", "give one of them")
        yield _client(url, options), wanted
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
    wanted = _of_configuration(config, place, wanted)
    for section in sections:
        yield client_of(section), wanted


def _of_configuration(config: Config, place: str, wanted: Wanted) -> Wanted:
    """With its namespace, and the retention that it has the agent announce; `UsageError` for a shorter one."""
    announced = config.retention.days if config.retention is not None else 0
    wanted = replace(wanted, home=config.agent.namespace)
    if wanted.days:
        if announced == 0 or wanted.days < announced:
            cause = f"shorter than retention.days of {place} ({announced or 'for ever'}), which the agent announces"
            raise UsageError(
                "read options", f"--retention-days {wanted.days}", cause, f"retention: {{days: {wanted.days}}}"
            )
        return wanted
    if wanted.days is None and "retention" in config.model_fields_set:
        return replace(wanted, days=announced)
    return replace(wanted, at_least=announced)


# -- export ------------------------------------------------------------------------------------------------------------


@click.group(epilog="Example: fieldtrail export templates --dir templates/")
def export() -> None:
    """Print or write what `setup` would install."""


@export.command("templates", epilog="Example: fieldtrail export templates | head -1")
@_folder_option
@_namespace_option
def export_templates(folder: Path | None, namespace: str | None) -> None:
    """The component and index templates: one JSON object a line, or a file each, in the order to install them."""
    from shipper.siem.templates import template_parts

    _print_parts(template_parts(namespace), folder)


@export.command("policies", epilog="Example: fieldtrail export policies --retention-days 400 --dir policies/")
@_folder_option
@_namespace_option
@_days_option
def export_policies(folder: Path | None, namespace: str | None, days: int | None) -> None:
    """The retention policies of Index State Management: one JSON object a line, or a file each."""
    import mappings
    from shipper.siem.policies import policy_parts

    _print_parts(policy_parts(mappings.retention_policies().default_days if days is None else days, namespace), folder)


@export.command("monitors", epilog="Example: fieldtrail export monitors --dir monitors/")
@_folder_option
@click.option("--no-actions", is_flag=True, help="Without the messages to the notification channel fieldtrail.")
def export_monitors(*, folder: Path | None, no_actions: bool) -> None:
    """The monitors of the Alerting plugin: one JSON object a line, or a file each."""
    from shipper.siem.monitors import monitor_parts

    _print_parts(monitor_parts(channel=not no_actions), folder)


@export.command("security", epilog="Example: fieldtrail export security --dir security/")
@_folder_option
def export_security(folder: Path | None) -> None:
    """The roles of the security plugin: one JSON object a line, or a file each."""
    from shipper.siem.roles import role_parts

    _print_parts(role_parts(), folder)


@export.command("dashboards", epilog="Example: fieldtrail export dashboards --file fieldtrail.ndjson")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write this file instead."
)
@_namespace_option
def export_dashboards(file: Path | None, namespace: str | None) -> None:
    """The saved objects of OpenSearch Dashboards as NDJSON, to import under Dashboards Management."""
    from shipper.siem.dashboards import ndjson

    if file is None:
        sys.stdout.buffer.write(ndjson(namespace))
        sys.stdout.flush()
    else:
        _write(file, ndjson(namespace))


def _print_parts(parts: Iterable[Part], folder: Path | None) -> None:
    """`{"path": …, "body": …}` a line, or with `folder` `<folder>/<kind>s/<name>.json` with the body alone."""
    for part in parts:
        for name, body in part.bodies.items():
            if folder is None:
                line = {"path": part.kind.path(name), "body": body}
                sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                continue
            group = "policies" if part.kind.label.endswith("policy") else part.kind.label.replace(" ", "_") + "s"
            _write(folder / group / f"{name}.json", orjson.dumps(body, option=_FILE_OPTIONS))
    sys.stdout.flush()


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise DiskError("write", str(path), error.strerror or str(error), f"ls -ld {path.parent}") from None
    click.echo(str(path))


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
