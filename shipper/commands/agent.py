"""`run`, `demo`, `status`, `tap`: the agent and what can be seen of it."""

from __future__ import annotations

import contextlib
import gc
import glob
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from shipper import telemetry
from shipper.commands._common import config_option, configuration, installed, json_option, print_json
from shipper.config import DEFAULT_PATH, Config, load
from shipper.confine import LOOK_EVERY, Confinement, confinement_of
from shipper.errors import ConfigError, FieldtrailError, UnavailableError, UsageError
from shipper.input_sections import FileInputSection, StdinInputSection

if TYPE_CHECKING:
    from shipper.agent import Agent
    from shipper.model import Input
    from shipper.notify import Notifier

MOST_DESCRIPTORS: Final = 262_144


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

    gc.disable()  # until everything is imported and built: nothing of that is garbage; the agent turns it on again
    configure_logging()
    sys.exit(run_agent(lambda: _configuration_of_run(config_path, paths, once=once), once=once))


def _configuration_of_run(path: Path | None, paths: tuple[str, ...], *, once: bool) -> tuple[Config, str]:
    if path is None and not paths:
        place, found = str(DEFAULT_PATH), installed()
        if found is None:
            hint = "fieldtrail init, or: fieldtrail run PATH..."
            raise ConfigError("read configuration", place, "no such file", hint)
        config = found
    else:
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


def run_agent(read: Callable[[], tuple[Config, str]], *, once: bool) -> int:
    """Run until told to stop; `read` gives the configuration and its place, at start and at each SIGHUP.

    SIGTERM and SIGINT drain, a second one ends at once. SIGHUP swaps the configuration, and keeps the one that runs
    where the new one cannot be used.
    """
    from shipper import notify
    from shipper.agent import Agent

    first = read()
    _allow_descriptors()
    notifier = notify.from_environment()
    with progress_line(once=once) as progress:

        def make(
            config: Config, place: str, inherited: Mapping[str, Input], confine: Callable[[], None] | None
        ) -> Agent:
            return Agent(
                config,
                place,
                once=once,
                progress=progress,
                inherited=inherited,
                notifier=notifier,
                confine=confine,
            )

        runner = _Runner(first, read, make, notifier)
        with _signals(runner.signalled):
            return runner.run()


def _allow_descriptors() -> None:
    """Take as many descriptors as the system lets us have: files and connections may need more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Runner:
    """The agents of one process, one after the other: a new one after each reload.

    A confined agent runs in a thread of its own (a thread cannot leave its confinement), so that this one can start
    another with other rights.
    """

    def __init__(
        self,
        first: tuple[Config, str],
        read: Callable[[], tuple[Config, str]],
        make: Callable[[Config, str, Mapping[str, Input], Callable[[], None] | None], Agent],
        notifier: Notifier,
    ) -> None:
        self._read, self._make, self._notifier = read, make, notifier
        self._lock = threading.Lock()
        self._next: tuple[Config, str] | None = None
        self._stopped = False
        self._begin(first, confinement_of(first[0]), {})

    def run(self) -> int:
        """Run until no reload follows; the exit code of the last agent."""
        before: tuple[Config, str] | None = None
        while True:
            try:
                code = self._run_agent()
            except FieldtrailError as error:
                if before is None or self._agent.begun:
                    raise
                # What only shows when it is tried (a folder that is missing) must not end an agent that was well.
                telemetry.configuration_kept(cause=error.render())
                self._notifier.busy()
                self._replace(before)
                before = None  # that one has to start, or nothing does
                continue
            following, self._next = self._next, None
            if following is None or code != 0:
                return code
            if following is not self._current:
                telemetry.configuration_changed(place=following[1])
            before = self._replace(following)

    def _run_agent(self) -> int:
        if self._confinement is None:
            return self._agent.run()
        with ThreadPoolExecutor(1, "pipeline") as apart:
            running = apart.submit(self._agent.run)
            while not wait((running,), LOOK_EVERY).done:
                path = self._confinement.outgrown()
                if path:
                    self._widen(path)
            return running.result()

    def _widen(self, path: str) -> None:
        """Run the same configuration anew, with the rights that it needs by now."""
        with self._lock:
            if not (self._stopped or self._next is not None or self._agent.once):
                telemetry.confinement_outgrown(path=path)
                self._next = self._current
                self._notifier.busy()
                self._agent.reload(self._current[0])

    def _replace(self, following: tuple[Config, str]) -> tuple[Config, str]:
        """Put the next agent in place; returns the configuration before."""
        with self._lock:
            before, last = self._current, self._confinement
            same = following is before and last is not None
            self._begin(following, last.wider() if same and last else confinement_of(following[0]), self._agent.handed)
            if self._stopped:
                self._agent.stop()
            elif self._next is not None:  # it came while this one was not there yet
                self._agent.reload(self._next[0])
        return before

    def _begin(
        self, current: tuple[Config, str], confinement: Confinement | None, inherited: Mapping[str, Input]
    ) -> None:
        self._current, self._confinement = current, confinement
        self._agent = self._make(*current, inherited, None if confinement is None else confinement.enter)

    def signalled(self, number: int) -> None:
        """Act on a signal; called by the signals' thread."""
        if number == signal.SIGHUP:
            self._reload()
            return
        with self._lock:
            self._stopped = True
            self._agent.stop()

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            following = self._read()
            check_reload(self._current[0], *following)
        except FieldtrailError as error:
            telemetry.configuration_kept(cause=error.render())
            self._notifier.ready("configuration not changed: the new one has problems")
            return
        with self._lock:
            if self._stopped or self._agent.once:
                once = "with --once the configuration stays"
                telemetry.configuration_kept(cause="the agent is about to end" if self._stopped else once)
                if not self._stopped:
                    self._notifier.ready(once)
                return
            self._next = following
            self._agent.reload(following[0])


def check_reload(current: Config, following: Config, place: str) -> None:
    """Raise `ConfigError` where a running agent cannot go over to a configuration."""
    from shipper.build import Lanes

    Lanes(following, place, os.urandom)
    confinement_of(following)
    if following.agent.state_dir != current.agent.state_dir:
        problem = ("agent.state_dir", f"is {current.agent.state_dir} as long as the agent runs")
        raise ConfigError("read configuration", place, "1 problem", "restart the agent", (problem,))


@contextlib.contextmanager
def _signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Give SIGTERM, SIGINT and SIGHUP to a thread: a handler would run in the middle of code that holds a lock."""
    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    ended = threading.Event()

    def take() -> None:
        while True:
            number = signal.sigwait(wanted)
            if ended.is_set():
                return
            handle(number)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    thread = threading.Thread(target=take, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        assert thread.ident is not None
        signal.pthread_kill(thread.ident, signal.SIGTERM)
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def progress_line(*, once: bool) -> Iterator[Callable[[Any], None] | None]:
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


@click.command(epilog="Example: fieldtrail status --watch 2")
@config_option
@click.option(
    "--watch",
    "every",
    type=click.FloatRange(0.1, 3600),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Show it again and again, with rates, until interrupted (every 2 s if not given).",
)
@json_option
def status(config_path: Path | None, every: float | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """What the running agent is doing: inputs, outputs, lag, journal, and whether its accounts are balanced."""
    from shipper.commands._status import show, watch
    from shipper.control import status_of

    config, _ = configuration(config_path)
    folder = config.agent.state_dir
    first = status_of(folder)  # without an agent there is nothing to watch; one that is restarted is waited for
    if every is None:
        (print_json if as_json else show)(first)
        return
    with contextlib.suppress(KeyboardInterrupt):
        watch(_answers(first, folder), every, as_json=as_json)


def _answers(first: dict[str, Any], folder: Path) -> Iterator[dict[str, Any] | str]:
    """The status, again and again, or why there is none."""
    from shipper.control import status_of

    yield first
    while True:
        try:
            yield status_of(folder)
        except UnavailableError as error:
            yield error.cause


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
