"""Write the parts of the documentation that are made from the program: `make docs`. A test compares them."""

import importlib
import re
import sys
import textwrap
import typing
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mappings  # noqa: E402 - after the path
import parsers  # noqa: E402
from shipper import _settings, offline  # noqa: E402
from shipper import config as c  # noqa: E402
from shipper import input_sections as inputs  # noqa: E402
from shipper import output_sections as outputs  # noqa: E402
from shipper.build import formats_of  # noqa: E402
from shipper.cli import cli  # noqa: E402
from shipper.directory import sections as directory  # noqa: E402
from shipper.grok import PATTERNS  # noqa: E402
from shipper.onboarding import sources as onboarding  # noqa: E402

BEGIN, END = "<!-- formats: made by `make docs` -->", "<!-- /formats -->"


def formats_table() -> str:
    """The README's table of formats."""
    known = formats_of(c.Config(), "")
    rows = ["| format | reads | the source cannot give |", "|---|---|---|"]
    for name in known.names():
        card = known.get(name).format
        link = f"[`{name}`](docs/formats/{name}.md)" if name in parsers.names() else f"`{name}`"
        rows.append(f"| {link} | {card.title} | {', '.join(f'`{field}`' for field in card.missing) or '-'} |")
    rows.append(
        "| [a name of your own](docs/howto/own-format.md) | JSON, key=value, CSV, or text by regular expression or grok,"
        " mapped by `formats:` | what your log does not hold |"
    )
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


def _amount(metadata: Sequence[object]) -> str:
    """What a number is, where its validator says so."""
    readers = {getattr(item, "func", None) for item in metadata}
    found = [
        word for word, reader in (("Seconds", _settings._seconds), ("Bytes", _settings._bytes)) if reader in readers
    ]
    return _WORDS[found[0]] if found else ""


def _type(annotation: object) -> str:
    text = getattr(annotation, "__name__", None) or str(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *metadata = typing.get_args(annotation)
        return _amount(metadata) or _type(inner)
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
        kind = _amount(info.metadata) or _type(info.annotation)
        duration, size = kind == _WORDS["Seconds"], kind == _WORDS["Bytes"]
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
        ("retention", c.RetentionSection, "retention."),
        ("metrics", c.MetricsSection, "metrics."),
        ("privacy", c.PrivacyRule, "privacy.rules[]."),
        ("privacy: what fields mean", c.FieldRule, "privacy.fields[]."),
        ("An input of type file", inputs.FileInputSection, "inputs[]."),
        ("An input of type stdin", inputs.StdinInputSection, "inputs[]."),
        ("An input of type webhook", inputs.WebhookInputSection, "inputs[]."),
        ("An input of type poll", inputs.PollInputSection, "inputs[]."),
        ("An input of type syslog", inputs.SyslogInputSection, "inputs[]."),
        *((f"A directory of type {name}", model, "directory[].") for name, model in directory.BY_TYPE.items()),
        ("A format of your own", c.FormatSection, "formats.<name>."),
        ("An output of type opensearch", outputs.OpenSearchSection, "outputs[]."),
        ("An output of type syslog", outputs.SyslogSection, "outputs[]."),
        ("An output of type http", outputs.HttpSection, "outputs[]."),
        ("An output of type file", outputs.FileOutputSection, "outputs[]."),
        ("An output of type stdout", outputs.StdoutSection, "outputs[]."),
        ("An output of type store", outputs.StoreSection, "outputs[]."),
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


def own_format(text: str) -> str:
    """docs/howto/own-format.md with a fresh list of patterns."""
    names = ", ".join(f"`{name}`" for name in sorted(PATTERNS))
    listed = "\n".join(textwrap.wrap(names, 120, break_long_words=False, break_on_hyphens=False))
    made = f"<!-- patterns: made by `make docs` -->\n{listed}\n<!-- /patterns -->"
    return re.sub(r"<!-- patterns:.*?<!-- /patterns -->", lambda _: made, text, flags=re.DOTALL)


_FORMS = {
    "text": "",
    "milliseconds": "milliseconds since 1970",
    "seconds": "seconds",
    "number": "number",
    "address4": "if IPv4",
    "address6": "if IPv6",
}


def _severities(table: mappings.Dialect) -> str:
    graded = [
        f"`{field}` {value}: {grade}" for field, values in table.grades.items() for value, grade in values.items()
    ]
    return (
        f"Severity: the highest of {table.base_severity} and of what the event has of these: {', '.join(graded)}. An alert"
        " with a severity of its own, 0 to 100, has a tenth of it, rounded up, but at least 1."
    )


def siem_table(name: str) -> str:
    """The severities and keys of a SIEM dialect: `cef` or `leef`."""
    table = mappings.dialect(name)
    shown = "column in Sentinel" if name == "cef" else "property in QRadar"
    extra = ("label", "longest, bytes") if name == "cef" else ()
    rows = [f"| key | {' | '.join((*extra, 'field, the first that there is', 'as', shown))} |"]
    rows.append("|---|" + "---|" * (len(extra) + 3))
    for key in table.keys:
        cells = [key.label, f"{key.length:,}" if key.length else ""] if extra else []
        cells += [", ".join(f"`{field}`" for field in key.fields), _FORMS[key.form], key.shown]
        rows.append(f"| `{key.key}` | {' | '.join(cells)} |")
    wrapped = "\n".join(textwrap.wrap(_severities(table), 120, break_long_words=False, break_on_hyphens=False))
    return f"{wrapped}\n\n" + "\n".join(rows)


def siem_syslog(text: str) -> str:
    """docs/howto/siem-syslog.md with fresh tables."""
    for name in ("cef", "leef"):
        made = f"<!-- {name}: made by `make docs` -->\n{siem_table(name)}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name}:.*?<!-- /{name} -->", lambda _, made=made: made, text, flags=re.DOTALL)
    return text


def _connected(name: str) -> list[str]:
    """One source: what it needs, what is asked, where the answers are, and what is left to do."""
    (one,) = onboarding.wanted([name])
    lines = [f"### {one.title[0].upper()}{one.title[1:]}", "", f"`fieldtrail init --source {name}`", ""]
    if one.needs:
        lines += [f"Note: {one.needs}.", ""]
    lines += ["| asked | where |", "|---|---|"]
    for key, question in one.asked.items():
        usual = "" if question.default is None or question.make is not None else f" (`{question.default}`)"
        only = {None: "", "exposed": ", if other hosts can reach the address", "secure": ", with TLS"}[question.when]
        lines.append(f"| `{key}`: {question.ask}{usual}{only} | {question.where} |")
    if one.after:
        lines += ["", "Then:", "", *(f"- {text.strip()}" for text in one.after)]
    return [*lines, ""]


def connect(text: str) -> str:
    """The guide to connecting sources with what each of them is asked."""
    hooks = [f"webhook:{name}" for name in onboarding.setups().webhooks if name != "own"]
    groups = {"APIs": mappings.sources(), "Webhooks": ["webhook", *hooks], "Syslog and files": ["syslog", "file:sshd"]}
    lines = ["<!-- sources: made by `make docs` -->", ""]
    for title, names in groups.items():
        lines += [f"## {title}", "", *(line for name in names for line in _connected(name))]
    made = "\n".join([*lines, "<!-- /sources -->"])
    return re.sub(r"<!-- sources:.*?<!-- /sources -->", lambda _: made, text, flags=re.DOTALL)


RECEIVED = 1_775_001_600.0
"""2026-04-01T00:00:00Z, when the examples were received."""
_SHOWN = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


def _example(name: str) -> c.Config:
    agent = c.Config.model_validate({"agent": {"name": "hr-app-03", "origin": "acme.example/audit"}})
    section = inputs.StdinInputSection(id="parse", type="stdin", format=name, timezone="UTC")
    return agent.model_copy(update={"inputs": (section,)})


FACETS = {
    "who": "who",
    "when": "when",
    "ip": "from which address",
    "session": "in which session",
    "field": "which field",
    "old": "old value",
    "new": "new value",
    "logins": "logins",
    "exports": "exports",
}


def format_page(name: str) -> str:
    """docs/formats/<name>.md: the parser's docstring, what it gives, and one line in, events out."""
    parser = parsers.get(name)
    card = parser.format
    lines = [f"# {name}: {card.title}", "", "Made from `parsers/" + name + ".py` by `make docs`.", "", parser.doc, ""]
    if not card.generic:
        gives = card.gives._asdict()
        lines += ["## What it gives at best", "", f"| {' | '.join(FACETS.values())} |", "|" + "---|" * len(FACETS)]
        lines += [f"| {' | '.join(gives[facet] for facet in FACETS)} |", ""]
    if card.missing:
        listed = ", ".join(f"`{field}`" for field in card.missing)
        lines += [f"Each event says in `trail.missing` what the source did not give, always of these: {listed}.", ""]
    found = offline.example(_example(name), "docs", name, parser.doc, received=RECEIVED)
    if found is not None:
        record, events = found
        lines += ["## One record in, events out", "", "```text", record, "```", ""]
        for event in events[:3]:
            lines += ["```json", orjson.dumps(event, option=_SHOWN).decode(), "```", ""]
        if len(events) > 3:
            lines += [f"And {len(events) - 3} more.", ""]
    return "\n".join(lines).rstrip() + "\n"


def formats_index() -> str:
    """docs/formats/README.md: all formats, and what each gives."""
    head = [
        "# Formats",
        "",
        "Made by `make docs`. `fieldtrail formats NAME` prints the page of one; `fieldtrail coverage` says what your own",
        "inputs really give. *native*: the source says so; *inferred*: it follows from something else; *none*: it cannot tell.",
        "",
        f"| format | reads | {' | '.join(FACETS.values())} |",
        "|---|---|" + "---|" * len(FACETS),
    ]
    for name in parsers.names():
        card = parsers.get(name).format
        cells = ["as the line has it"] * len(FACETS) if card.generic else [getattr(card.gives, one) for one in FACETS]
        head.append(f"| [{name}]({name}.md) | {card.title} | {' | '.join(cells)} |")
    return "\n".join(head) + "\n"


def pages() -> dict[str, str]:
    """Every page that is made as a whole, by its path."""
    return {
        "docs/reference/cli.md": cli_reference(),
        "docs/reference/configuration.md": configuration_reference(),
        "docs/formats/README.md": formats_index(),
        **{f"docs/formats/{name}.md": format_page(name) for name in parsers.names()},
    }


def main() -> None:
    """Write everything."""
    importlib.invalidate_caches()
    target = ROOT / "README.md"
    target.write_text(readme(target.read_text(encoding="utf-8")), encoding="utf-8")
    guide = ROOT / "docs/howto/own-format.md"
    guide.write_text(own_format(guide.read_text(encoding="utf-8")), encoding="utf-8")
    siem = ROOT / "docs/howto/siem-syslog.md"
    siem.write_text(siem_syslog(siem.read_text(encoding="utf-8")), encoding="utf-8")
    sources = ROOT / "docs/howto/connect.md"
    sources.write_text(connect(sources.read_text(encoding="utf-8")), encoding="utf-8")
    folder = ROOT / "docs/formats"
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if f"docs/formats/{old.name}" not in made:
            old.unlink()
    for path, text in made.items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
