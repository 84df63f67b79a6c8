"""`run`, `demo`, `status`, `tap`: the agent and what can be seen of it."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import orjson

from shipper import telemetry
from shipper.commands._common import config_option, configuration, json_option, print_json, safe, table
from shipper.config import DEFAULT_PATH, Config, FileInputSection, StdinInputSection, load
from shipper.errors import ConfigError, UsageError


@click.command(epilog="Example: fieldtrail run --once /var/log/crm/audit.json")
@config_option
@click.option("--once", is_flag=True, help="Read what is there now, deliver it, and end.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
def run(config_path: Path | None, once: bool, paths: tuple[str, ...]) -> None:  # noqa: FBT001 - click passes flags so
    """Run the agent: tail, normalize, seal, deliver.

    With PATHs (`-` is standard input) the given files are tailed instead of the configured inputs; without any
    configuration they go, with format auto, into the embedded store.
    """
    from shipper.cli import configure_logging

    configure_logging()
    config, place = _configuration_of_run(config_path, paths, once=once)
    sys.exit(run_agent(config, place, once=once, config_path=config_path))


def _configuration_of_run(path: Path | None, paths: tuple[str, ...], *, once: bool) -> tuple[Config, str]:
    if path is None and not paths:
        path = DEFAULT_PATH
        if not path.exists():
            raise ConfigError(
                "read configuration", str(path), "no such file", "fieldtrail init, or: fieldtrail run PATH..."
            )
    config, place = (Config(), "(command line)") if path is None else (load(path), str(path))
    if paths:
        files = tuple(name for name in paths if name != "-")
        for name in files:
            if os.path.isdir(name):
                raise UsageError("run", name, "is a directory", f"fieldtrail run '{name.rstrip('/')}/*'")
            if once and not glob.has_magic(name) and not os.path.exists(name):
                raise UsageError("run", name, "no such file", f"ls -l {name}")
        inputs: list[Any] = []
        if files:
            absolute = tuple(os.path.abspath(name) for name in files)
            inputs.append(FileInputSection(id="files", type="file", paths=absolute))
        if len(files) != len(paths):
            inputs.append(StdinInputSection(id="stdin", type="stdin"))
        config = config.model_copy(update={"inputs": tuple(inputs)})
    if not config.inputs:
        raise ConfigError("read configuration", place, "no inputs", "fieldtrail init --source json")
    return config, place


def run_agent(config: Config, place: str, *, once: bool, config_path: Path | None) -> int:
    """Run until told to stop; SIGHUP validates and swaps the configuration, SIGTERM and SIGINT drain."""
    from shipper.agent import Agent

    with _progress(once=once) as progress:
        agent = Agent(config, place, once=once, progress=progress)
        following: list[Config] = []

        def on_stop(_signal: int, _frame: object) -> None:
            agent.stop()

        def on_reload(_signal: int, _frame: object) -> None:
            if config_path is None:
                telemetry.configuration_kept(cause="no configuration file to read again")
                return
            try:
                following[:] = [load(config_path)]
                from shipper.build import Lanes

                Lanes(following[0], place, os.urandom)
            except ConfigError as error:
                following.clear()
                telemetry.configuration_kept(cause=error.render())
                return
            agent.reload()

        previous = {
            number: signal.signal(number, handler)
            for number, handler in (
                (signal.SIGTERM, on_stop),
                (signal.SIGINT, on_stop),
                (signal.SIGHUP, on_reload),
            )
        }
        try:
            while True:
                code = agent.run()
                if not (agent.reloading and following and code == 0):
                    return code
                telemetry.configuration_changed(place=place)
                agent = Agent(following.pop(), place, once=once, progress=progress)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _progress(*, once: bool) -> Iterator[Callable[[Any], None] | None]:
    """A progress line on a terminal for `--once`; nothing otherwise."""
    if not once or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("reading")

        def show(now: Any) -> None:
            delivered = ", ".join(f"{name} {count:,}" for name, count in now.delivered.items())
            bar.update(task, description=f"{now.read:,} lines, {now.events:,} events; delivered: {delivered}")

        yield show


@click.command(epilog="Example: fieldtrail status --json")
@config_option
@json_option
def status(config_path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """What the running agent is doing: inputs, outputs, lag, journal."""
    from shipper.control import ask

    config, _ = configuration(config_path)
    answer = next(ask(config.agent.state_dir, {"cmd": "status"}))
    if as_json:
        print_json(answer)
        return
    log, journal = answer["log"], answer["journal"]
    click.echo(f"{safe(answer['name'])} {answer['version']} (pid {answer['pid']}), since {answer['started']}")
    click.echo(f"log {safe(log['origin'])}: {log['size']:,} leaves, {log['checkpoint']:,} under a signed checkpoint")
    used = f"{journal['bytes'] / 1e6:,.1f} MB of {journal['limit'] / 1e6:,.0f} MB"
    click.echo(f"journal: {used}{', FULL: reading is paused' if journal['full'] else ''}\n")
    table(
        ("input", "lines", "events", "rejected", "no change", "streams", "lag bytes"),
        (
            (
                item["id"],
                f"{item['read']:,}",
                f"{item['events']:,}",
                f"{item['rejected']:,}",
                f"{item['no_change']:,}",
                len(item["streams"]),
                f"{sum(stream.get('lag') or 0 for stream in item['streams']):,}",
            )
            for item in answer["inputs"]
        ),
    )
    table(
        ("output", "delivered", "pending", "dead letters", "filtered", "state"),
        (
            (
                item["id"],
                f"{item['delivered']:,}",
                f"{item['pending']:,}",
                f"{item['dead_lettered']:,}",
                f"{item['filtered']:,}",
                {True: "ok", None: "not tried yet", False: f"failing: {item['last_error']}"}[item["connected"]],
            )
            for item in answer["outputs"]
        ),
    )


@click.command(epilog="Example: fieldtrail tap --input crm-app")
@config_option
@click.option("--input", "input_id", metavar="ID", help="Only events of this input.")
def tap(config_path: Path | None, input_id: str | None) -> None:
    """Watch events go by as NDJSON, before sealing, until interrupted."""
    from shipper.control import ask

    config, _ = configuration(config_path)
    with contextlib.suppress(KeyboardInterrupt):
        for event in ask(config.agent.state_dir, {"cmd": "tap", "input": input_id}):
            sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
            sys.stdout.buffer.flush()


@click.command(epilog="Example: fieldtrail demo --dir ./demo-state")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the state here instead of deleting it.",
)
def demo(folder: Path | None) -> None:
    """The whole story in a minute, on bundled sample logs and the embedded store."""
    from shipper.demo import tell

    sys.exit(tell(folder))
