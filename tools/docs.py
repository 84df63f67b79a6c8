"""Write the parts of the documentation that are made from the program: `make docs`. A test compares them."""

import importlib
import re
import sys
import typing
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from shipper import config as c  # noqa: E402 - after the path
from shipper.build import formats_of  # noqa: E402
from shipper.cli import cli  # noqa: E402

BEGIN, END = "<!-- formats: made by `make docs` -->", "<!-- /formats -->"


def formats_table() -> str:
    """The README's table of formats."""
    known = formats_of(c.Config(), "")
    rows = ["| format | reads | the source cannot give |", "|---|---|---|"]
    for name in known.names():
        card = known.get(name).format
        rows.append(f"| `{name}` | {card.title} | {', '.join(f'`{field}`' for field in card.missing) or '-'} |")
    rows.append("| a name of your own | JSON mapped by `formats:` in the configuration | what your log does not hold |")
    return "\n".join(rows)


def readme(text: str) -> str:
    """The README with a fresh table."""
    return re.sub(r"<!-- formats:.*?<!-- /formats -->", f"{BEGIN}\n{formats_table()}\n{END}", text, flags=re.DOTALL)


def _help(command: click.Command, names: list[str], parent: click.Context | None) -> list[str]:
    settings = {**command.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=names[-1], parent=parent, **settings)
    level = "#" * (len(names) + 1)
    lines = [f"{level} {' '.join(names)}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            lines += _help(child, [*names, name], context)
    return lines


def cli_reference() -> str:
    """docs/reference/cli.md."""
    head = [
        "# Command line",
        "",
        "Made from `--help` by `make docs`.",
        "",
        "Data goes to standard output, logs to standard error; `NO_COLOR` is obeyed; `--json` is there on every command",
        "that prints a table. `-c FILE` names the configuration, else `/etc/fieldtrail/fieldtrail.yaml` if it is there.",
        "",
        "| exit code | means |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | the answer is no: verification failed, a journal is damaged, a replay was refused |",
        "| 64 | usage |",
        "| 69 | unavailable: a service that was asked directly does not answer |",
        "| 70 | internal error |",
        "| 74 | disk |",
        "| 75 | not everything could be delivered yet; the journal holds it |",
        "| 78 | configuration, keys or state folder |",
        "",
        "Signals of `run`: TERM and INT stop reading, deliver for `agent.shutdown_grace` and end with a signed",
        "checkpoint; a second one ends at once; HUP validates the configuration and swaps it (a bad one changes nothing).",
        "",
    ]
    return "\n".join(head + _help(cli, ["fieldtrail"], None)).rstrip() + "\n"


_WORDS = {
    "Seconds": "duration (`60s`, `5m`, `7d`, or seconds)",
    "Bytes": "size (`64MiB`, `2GB`, or bytes)",
    "Path": "path",
    "SecretStr": "text, secret",
}


def _type(annotation: object) -> str:
    text = getattr(annotation, "__name__", None) or str(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if arguments and origin is not None:
        return " or ".join(_type(argument) for argument in arguments)
    if isinstance(annotation, type) and issubclass(annotation, c.Model):
        return "section"
    return {"str": "text", "int": "integer", "bool": "`true`, `false`", "float": "number"}.get(
        text, _WORDS.get(text, text)
    )


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def _size(octets: int) -> str:
    for unit, length in (("GiB", 1024**3), ("MiB", 1024**2)):
        if octets >= length and octets % length == 0:
            return f"{octets // length}{unit}"
    return str(octets)


def _rows(model: type[c.Model], path: str) -> list[str]:
    rows = []
    for name, info in model.model_fields.items():
        kind = _type(info.annotation)
        duration = any(getattr(item, "func", None) is c._seconds for item in info.metadata)
        size = any(getattr(item, "func", None) is c._bytes for item in info.metadata)
        kind = _WORDS["Seconds"] if duration else _WORDS["Bytes"] if size else kind
        if info.is_required():
            default = "required"
        elif info.default_factory is not None:
            default = {"name": "host name", "origin": "`local/<host name>`", "state_dir": "in the user's home"}.get(
                name, "-"
            )
        else:
            shown = info.default
            if isinstance(shown, c.Model) or not (shown or shown is False or shown == 0):
                default = "-"
            elif duration:
                default = f"`{_duration(shown)}`"
            elif size:
                default = f"`{_size(shown)}`"
            else:
                default = f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"
        rows.append(f"| `{path}{info.alias or name}` | {kind} | {default} |")
        inner = info.annotation
        for candidate in (inner, *typing.get_args(inner)):
            if isinstance(candidate, type) and issubclass(candidate, c.Model):
                rows += _rows(candidate, f"{path}{info.alias or name}.")
    return rows


def configuration_reference() -> str:
    """docs/reference/configuration.md."""
    sections = [
        ("agent", c.AgentSection, "agent."),
        ("seal", c.SealSection, "seal."),
        ("journal", c.JournalSection, "journal."),
        ("privacy", c.PrivacyRule, "privacy.rules[]."),
        ("privacy: what fields mean", c.FieldRule, "privacy.fields[]."),
        ("An input of type file", c.FileInputSection, "inputs[]."),
        ("An input of type stdin", c.StdinInputSection, "inputs[]."),
        ("A format of your own", c.FormatSection, "formats.<name>."),
        ("An output of type opensearch", c.OpenSearchSection, "outputs[]."),
        ("An output of type syslog", c.SyslogSection, "outputs[]."),
        ("An output of type file", c.FileOutputSection, "outputs[]."),
        ("An output of type stdout", c.StdoutSection, "outputs[]."),
        ("An output of type store", c.StoreSection, "outputs[]."),
    ]
    lines = [
        "# Configuration",
        "",
        "Made from the configuration's own models by `make docs`.",
        "",
        "YAML at `/etc/fieldtrail/fieldtrail.yaml` or `-c FILE`. Unknown and duplicate keys are errors; all problems are",
        "reported at once, each with its path, and nothing starts. `${env:NAME}` and `${file:/path}` are replaced in values",
        "after the YAML was read and are never read as YAML again. Without `outputs:` the embedded store is the output.",
        "",
    ]
    for title, model, path in sections:
        about = " ".join((model.__doc__ or "").split())
        lines += [f"## {title}", "", about, "", "| key | takes | default |", "|---|---|---|", *_rows(model, path), ""]
    lines += [
        "`map` of a format: event field -> path in your line (`actor.id`). The targets are ECS fields and `trail.*` fields",
        "that are not filled by Fieldtrail itself ([event.md](event.md)). A value is converted to its field's type; one that",
        "does not fit stays in `trail.raw` and its path goes to `trail.missing`. Time layouts: `iso8601`, `epoch_s`,",
        "`epoch_ms`, `epoch_us`, `rfc3164`, `clf`, or a strptime pattern.",
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write everything."""
    importlib.invalidate_caches()
    target = ROOT / "README.md"
    target.write_text(readme(target.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs/reference/cli.md").write_text(cli_reference(), encoding="utf-8")
    (ROOT / "docs/reference/configuration.md").write_text(configuration_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
