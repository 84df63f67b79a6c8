"""The command line: data to standard output, logs and errors to standard error, exit codes as sysexits.

Each command lives in `shipper/commands/` and is imported only when it is called, so that `--help` is quick. structlog
is configured here and nowhere else.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO, cast

import click

from shipper import __version__
from shipper.errors import FieldtrailError

_COMMANDS = {
    "coverage": ("query", "What each input gives: who, when, from where, old and new value."),
    "demo": ("agent", "The whole story in a minute, on bundled sample logs."),
    "dlq": ("integrity", "Dead letters: documents that a destination refused."),
    "explain": ("inspect", "Why an event looks as it does: each field and where it came from."),
    "export": ("siem", "Print or write what `setup` would install."),
    "formats": ("inspect", "The formats; with a name, its documentation."),
    "init": ("init", "Connect a source: ask what it needs, write the configuration, try it."),
    "journal": ("integrity", "Check or repair the journal."),
    "keys": ("integrity", "Signing keys, and the trust file for an auditor."),
    "parse": ("inspect", "Lines in, events out, unsealed."),
    "pull": ("siem", "Copy documents with their seals out of OpenSearch for offline verification."),
    "run": ("agent", "The agent: tail, normalize, seal, deliver."),
    "search": ("query", "Query the embedded store or OpenSearch."),
    "setup": ("siem", "Install templates, retention, monitors, roles and dashboards."),
    "status": ("agent", "What the running agent is doing."),
    "tap": ("agent", "Watch events go by."),
    "trace": ("query", "The history of one record: who changed what, when, from where."),
    "validate": ("inspect", "Check the configuration; with --connect, try each input and output."),
    "verify": ("integrity", "Check what is stored against what was sealed."),
    "version": ("inspect", "The version."),
}


class _Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # nothing that an import makes is garbage: looking for it took a tenth of the time
        try:
            module = importlib.import_module(f"shipper.commands.{_COMMANDS[cmd_name][0]}")
        finally:
            gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; when the reader of our output went away (`| head`), end in silence."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list from the table above, so that help imports nothing."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: fieldtrail run /var/log/crm/*.json",
)
@click.version_option(__version__, prog_name="fieldtrail", message="%(prog)s %(version)s")
def cli() -> None:
    """Fieldtrail ships audit trails: who changed which field, from what to what; sealed, verifiable offline."""


class _Unfailing:
    """A file for log lines. One that cannot be written is dropped: it must not end an agent that keeps events.

    The disk under it may be full, and whoever reads it at the other end of a pipe may have gone.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, or do not."""
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Flush, or do not."""
        with contextlib.suppress(OSError):
            self._file.flush()


def configure_logging(*, quiet: bool = False) -> None:
    """Logs to standard error: for people on a terminal, JSON otherwise; `quiet`: from warnings on."""
    import logging

    import structlog

    terminal = sys.stderr.isatty()
    colors = terminal and not os.environ.get("NO_COLOR")
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=colors) if terminal else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    # The client library logs bodies at DEBUG and addresses with credentials at INFO.
    for name in ("opensearch", "urllib3", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main(args: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    words = sys.argv[1:] if args is None else args
    held = _hangups_held() if words[:1] == ["run"] else contextlib.nullcontext()
    with held:
        code = _run(args)
    sys.exit(code)


@contextlib.contextmanager
def _hangups_held() -> Iterator[None]:
    """Hold SIGHUP back: an agent that is still being loaded would end by it. It takes it up once it is there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        if signal.SIGHUP not in before:
            while signal.SIGHUP in signal.sigpending():
                signal.sigwait({signal.SIGHUP})  # it came when all was over
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(args: list[str] | None) -> int:
    try:
        code = cli.main(args=args, prog_name="fieldtrail", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = 64
    except click.Abort:
        code = 130
    except FieldtrailError as error:
        click.echo(error.render(), err=True)
        code = error.exit_code
    except Exception:  # noqa: BLE001 - a bug of ours must not end with 1, which says "the answer is no"
        traceback.print_exc()
        click.echo("error: internal error; please report it with the lines above", err=True)
        code = 70
    return code if isinstance(code, int) else 0
