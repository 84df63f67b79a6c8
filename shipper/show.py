r"""What `search` and `trace` print: tables for people, JSON lines for programs. The events may come from any output.

Values come from logs that anybody may have written into. So control characters, escape sequences and characters that
reverse or hide text are shown as `\x1b` or `\u202e` in tables, and as JSON escapes (the same value) in JSON: neither
can steer the terminal or make one name look like another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from shipper.model import Event
from shipper.trace import FieldState, RecordState, Target, Version

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# C0, DEL and C1; soft hyphen; zero width characters; line and paragraph separators; bidirectional controls; invisible
# operators; byte order mark; interlinear annotations; tags; lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_WIDE = 200
"""Columns where the output is no terminal: enough that most rows stay on one line; longer values are folded."""
_NOT_GIVEN = "–"


def safe(text: str) -> str:
    """`text` with everything that could steer a terminal or hide in it made visible."""
    return _UNSAFE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_line(value: Any) -> str:
    """`value` as one line of JSON without raw control or hidden characters."""
    return _UNSAFE.sub(_json_escaped, orjson.dumps(value).decode())


def _json_escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


def print_events(events: Iterable[Event], out: TextIO, *, as_json: bool) -> int:
    """The events as a table, or one JSON object a line as they come; returns how many there were."""
    count = 0
    if as_json:
        for count, event in enumerate(events, 1):  # noqa: B007 - the last number is the answer
            out.write(json_line(event) + "\n")
        return count
    table = _table("When", "Who", "From", "Action", "Record", "What")
    for count, event in enumerate(events, 1):  # noqa: B007 - same
        _add(
            table,
            _first(event, "@timestamp"),
            _first(event, "user.full_name", "user.name", "user.email", "user.id", "trail.automation.scenario.name"),
            _joined(_first(event, "source.ip"), _first(event, "trail.interface")),
            _first(event, "event.action"),
            _first(event, "trail.object.key"),
            _said(event),
        )
    if count:
        _console(out).print(table)
    return count


def _said(event: Event) -> str | None:
    """The event's sentence, and how much left by an export, which no sentence says."""
    rows = _first(event, "trail.export.rows")
    return _joined(_first(event, "message", "event.original"), None if rows is None else f"[{rows} rows]")


def print_versions(versions: Sequence[Version], target: Target, out: TextIO, *, as_json: bool) -> None:
    """The versions of a record, oldest first; in JSON one object a line."""
    if as_json:
        out.writelines(json_line(version.as_dict()) + "\n" for version in versions)
        return
    if not versions:
        return
    table = _table("When", "Who", "From", "Action", "Field", "Old", "New", "How", "Event", title=f"{target}")
    for version in versions:
        _add(
            table,
            _when(version),
            _who(version),
            _joined(version.ip, version.session, version.interface),
            version.action + (" (failed)" if version.outcome == "failure" else ""),
            version.label or version.field,
            *(_values(version) if version.field is None else (_old(version), _new(version))),
            version.derivation,
            version.event_id,
        )
    console = _console(out)
    console.print(table)
    if any(version.gap for version in versions):
        _say(console, "(!) the old value is not the new value before it: a change in between was not recorded")


def print_state(state: RecordState, target: Target, at: str, out: TextIO, *, as_json: bool) -> None:
    """A record at a date; in JSON one object."""
    if as_json:
        out.write(json_line({"record": str(target), "at": at, **state.as_dict()}) + "\n")
        return
    since = f" ({state.since})" if state.since else ""
    table = _table(
        "Field", "Value", "Certainty", "Since", "Who", "Event", title=f"{target} at {at}: {state.existence}{since}"
    )
    for field in state.fields:
        certainty = f"{field.certainty}: {field.why}" if field.why else field.certainty
        _add(table, field.field, _stated(field), certainty, field.since, field.who, field.event_id)
    _console(out).print(table)


def _when(version: Version) -> str:
    if version.precision == "bounded" and version.changed_after and version.changed_before:
        return f"{version.changed_after} .. {version.changed_before}"
    return f"{version.time} (received)" if version.precision == "received" else version.time


def _who(version: Version) -> str | None:
    if version.who is not None:
        inferred = " (inferred)" if version.actor_confidence == "inferred" else ""
        return f"{version.who}{inferred}"
    return f"not given (last editor {version.last_editor})" if version.last_editor else None


def _values(version: Version) -> tuple[list[str], list[str]]:
    lines = [f"{name}: {value}" for name, value in version.values.items()]
    return (lines, []) if version.action.endswith((".delete", ".purge")) else ([], lines)


def _old(version: Version) -> str:
    return _value(version.old, version.old_state, version.redaction) + (" (!)" if version.gap else "")


def _new(version: Version) -> str:
    return _value(version.new, version.new_state, version.redaction)


def _stated(field: FieldState) -> str:
    text = _value(field.value, field.state, "drop" if field.certainty == "withheld" else None)
    return f"{text} or {field.other}" if field.certainty == "uncertain" and field.other is not None else text


def _value(value: str | None, state: str | None, redaction: str | None) -> str:
    if value is not None:
        return '""' if value == "" else value
    if redaction not in (None, "none"):
        return "(withheld)"
    return {"null": "(null)", "empty": '""', "absent": "(absent)"}.get(state or "", "(unknown)")


def _first(event: Any, *paths: str) -> str | None:
    for path in paths:
        value = event
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, list):
            value = value[0] if value else None
        if value is not None:
            return value if isinstance(value, str) else orjson.dumps(value).decode()
    return None


def _joined(*parts: str | None) -> str | None:
    return " ".join(part for part in parts if part) or None


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table  # noqa: PLC0415 - rich costs more at import than most commands need to run
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(title=None if title is None else Text(safe(title)), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str | list[str] | None) -> None:
    """A row; a list is a cell of several lines, and only a list can break a line."""
    from rich.text import Text  # noqa: PLC0415 - same

    # Text, never str: in a str rich would read [red] and :smile: of a logged value as its own markup.
    for_rich = [
        "\n".join(safe(line) for line in cell) if isinstance(cell, list) else safe(cell or "") for cell in cells
    ]
    table.add_row(*(Text(text or _NOT_GIVEN) for text in for_rich))


def _console(out: TextIO) -> Console:
    from rich.console import Console  # noqa: PLC0415 - same

    width = None if out.isatty() else _WIDE
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)
