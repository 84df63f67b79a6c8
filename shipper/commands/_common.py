"""What several commands share: finding the configuration, printing tables and JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from shipper.config import DEFAULT_PATH, Config, load
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.connect import Step

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    help="Configuration file.",
    metavar="FILE",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def configuration(path: Path | None) -> tuple[Config, str]:
    """The configuration of `-c FILE`, else the installed one, else the built-in defaults; and its place."""
    if path is not None:
        return load(path), str(path)
    found = installed()
    return (Config(), "(no configuration)") if found is None else (found, str(DEFAULT_PATH))


def installed() -> Config | None:
    """The installed configuration; None where there is no such file. `ConfigError` where it cannot be used.

    It is opened, not asked for: whoever may not look into its folder must not be told that there is none.
    """
    try:
        os.close(os.open(DEFAULT_PATH, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None
    except PermissionError:
        hint = "sudo -u fieldtrail fieldtrail ..., or name one with -c FILE"
        raise ConfigError("read configuration", str(DEFAULT_PATH), "permission denied", hint) from None
    except OSError:
        pass  # which `load` puts into words
    return load(DEFAULT_PATH)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def write_lines(lines: Iterable[bytes]) -> None:
    """Lines of bytes on standard output."""
    out = sys.stdout.buffer
    for line in lines:
        out.write(line)
        out.write(b"\n")
    out.flush()


def plain() -> bool:
    """Whether colours are not wanted."""
    return bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()


def safe(text: object) -> str:
    """Anything as text for a terminal: what could steer it, or hide in it, is made visible."""
    from shipper.show import safe as shown

    return shown(str(text))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; nothing is cut when it is not a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 10_000
    Console(color_system=None if plain() else "auto", width=width, highlight=False, soft_wrap=width is not None).print(
        shown
    )


def tell_steps(steps: Iterable[Step]) -> bool:
    """One line for each thing that is tried, as soon as it was; whether one of them failed."""
    failed = False
    for step in steps:
        failed = failed or not step.ok
        word = "warn" if step.degraded else "ok  " if step.ok else "FAIL"
        click.echo(safe(f"{word} {step.part}: {step.name}{': ' if step.detail else ''}{step.detail}"))
        if step.hint and (step.degraded or not step.ok):
            click.echo(safe(f"     hint: {step.hint}"))
    return failed
