"""What `fieldtrail status` shows of the running agent: once, or again and again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson

from shipper.amounts import size, span
from shipper.commands._common import plain, safe
from shipper.model import KEPT_PARTS, READ_PARTS

if TYPE_CHECKING:
    from rich.console import RenderableType

Status = Mapping[str, Any]
Rates = Mapping[str, float]
"""By `inputs/<id>` and `outputs/<id>`: events made and documents delivered, per second."""


def rates(before: Status | None, now: Status) -> Rates:
    """How fast it went between two answers; none where they are not of one run."""
    if before is None or (before["pid"], before["started"]) != (now["pid"], now["started"]):
        return {}
    seconds = now["uptime"] - before["uptime"]
    if seconds <= 0:
        return {}
    found = {}
    for table, name in (("inputs", "events"), ("outputs", "delivered")):
        earlier = {item["id"]: item[name] for item in before[table]}
        for item in now[table]:
            found[f"{table}/{item['id']}"] = (item[name] - earlier.get(item["id"], 0)) / seconds
    return found


def headlines(status: Status) -> Iterator[tuple[str, bool]]:
    """The lines above the tables; True for one that somebody should act on."""
    log, journal = status["log"], status["journal"]
    yield f"{safe(status['name'])} {status['version']} (pid {status['pid']}), up {span(status['uptime'])}", False
    age = "" if log["checkpoint_age"] is None else f", {span(log['checkpoint_age'])} ago"
    yield f"log {safe(log['origin'])}", False
    yield f"  {log['size']:,} leaves, {log['checkpoint']:,} under a signed checkpoint{age}", False
    yield f"journal: {size(journal['bytes'])} of {size(journal['limit'])}", False
    if journal["paused"]:
        yield f"  FULL: reading is paused until {safe(', '.join(journal['held_by'])) or 'a cursor'} catches up", True
    if journal["failing"]:
        yield f"  DISK: {safe(journal['failing'])}", True
    lost = status["lost"]
    if lost["events"]:
        yield f"LOST: at least {lost['events']:,} events, {size(lost['bytes'])} of known size", True
        for one in (*status["inputs"], *status["outputs"]):
            if one["lost"]["events"]:
                yield f"  {safe(one['id'])}: {_lost(one['lost'])}", True
    if status["conserved"]:
        yield "accounts: balanced, nothing lost" if not lost["events"] else "accounts: balanced", False
    else:
        yield "accounts: NOT BALANCED: report it, with `fieldtrail status --json`", True
        for table, whole, parts in (("inputs", "read", READ_PARTS), ("outputs", "kept", KEPT_PARTS)):
            for one in status[table]:
                if not one["conserved"]:
                    yield f"  {safe(one['id'])}: {equation(one, whole, parts)}", True
    for reason in status["reasons"]:
        yield f"not ready: {safe(reason)}", True


def _lost(lost: Mapping[str, int]) -> str:
    if "frames" in lost:
        return f"{lost['events']:,} documents in {lost['frames']:,} journal frames that are gone"
    unknown = f", {lost['unknown']:,} of unknown size" if lost["unknown"] else ""
    return f"{lost['events']:,} losses, {size(lost['bytes'])}{unknown}"


def equation(item: Mapping[str, Any], whole: str, parts: tuple[str, ...]) -> str:
    """An equation that does not hold, with its difference."""
    total = sum(item[name] for name in parts)
    said = " + ".join(f"{name} {item[name]:,}" for name in parts if item[name])
    return f"{whole} {item[whole]:,} is not {total:,} = {said or '0'} (difference {item[whole] - total:+,})"


def tables(status: Status, speed: Rates) -> Iterator[tuple[tuple[str, ...], list[list[str]]]]:
    """Inputs and outputs as columns and rows; `speed` adds a column."""
    rows = []
    for item in status["inputs"]:
        lag = item["lag"]
        behind = size(lag["bytes"])
        if lag["bytes"]:
            events = lag["events_estimated"]
            behind += f", {span(lag['seconds'])}" + ("" if events is None else f", ~{events:,} events")
        row = [item["id"], f"{item['read']:,}", f"{item['events']:,}"]
        row += [_rate(speed, f"inputs/{item['id']}")] if speed else []
        rows.append([*row, f"{item['rejected']:,}", f"{item['no_change']:,}", f"{len(item['streams']):,}", behind])
    columns = ("input", "records", "events", *(("per s",) if speed else ()))
    yield (*columns, "rejected", "unchanged", "streams", "behind"), rows
    hooks = [[item["id"], *_hook(one)] for item in status["inputs"] for one in item["streams"] if "accepted" in one]
    if hooks:
        yield ("webhook", "accepted", "told to wait", "refused", "last accepted", "why refused"), hooks
    rows = [_listing(item["id"], stream) for item, stream in _polled(status)]
    if rows:
        yield ("poll", "listing", "state", "behind", "next in"), rows
    rows = []
    for item in status["outputs"]:
        lag = item["lag"]
        behind = f"{size(lag['bytes'])}, {span(lag['seconds'])}" if item["pending"] else "-"
        row = [item["id"], f"{item['delivered']:,}"]
        row += [_rate(speed, f"outputs/{item['id']}")] if speed else []
        state = {True: "ok", None: "not tried yet", False: "FAILING"}[item["connected"]]
        waiting = "?" if status["dead_letters"] is None else f"{status['dead_letters'].get(item['id'], 0):,}"
        rows.append([*row, f"{item['pending']:,}", behind, waiting, f"{item['filtered']:,}", state])
    columns = ("output", "delivered", *(("per s",) if speed else ()))
    yield (*columns, "pending", "behind", "dead letters", "filtered", "state"), rows


def _hook(stream: Mapping[str, Any]) -> list[str]:
    """What a webhook answered: how often 200, 429 and refusals, when 200 last, and why it refused."""
    refused: Mapping[str, int] = stream["refused"]
    why = "; ".join(f"{reason} ({count:,})" for reason, count in refused.items())
    last = "never" if stream["last_delivery"] is None else stream["last_delivery"][:19] + "Z"
    return [f"{stream['accepted']:,}", f"{stream['deferred']:,}", f"{sum(refused.values()):,}", last, why or "-"]


def _polled(status: Status) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The listings of inputs that ask an API, each with its input."""
    for item in status["inputs"]:
        for stream in item["streams"]:
            if "next" in stream:
                yield item, stream


def _listing(input_id: str, stream: Mapping[str, Any]) -> list[str]:
    """A row: how long ago everything was read, and when it is asked for again."""
    behind = "not read yet" if stream["behind"] is None else span(stream["behind"])
    return [
        input_id,
        _listing_name(stream),
        "FAILING" if stream["error"] else stream["state"],
        f"{behind}: the vendor will forget it soon" if stream["late"] else behind,
        span(stream["next"]),
    ]


def _listing_name(stream: Mapping[str, Any]) -> str:
    name: str = stream["stream"]
    return name.rpartition("/")[2]


def _rate(speed: Rates, name: str) -> str:
    return f"{speed[name]:,.0f}" if name in speed else "-"


def troubles(status: Status) -> Iterator[str]:
    """Below the tables: why listings and outputs fail, in full."""
    for item, stream in _polled(status):
        if stream["error"]:
            yield f"{safe(item['id'])}: {safe(_listing_name(stream))}: {safe(stream['error'])}"
    for item in status["outputs"]:
        if item["connected"] is False:
            yield (
                f"{safe(item['id'])}: failing: {safe(item['last_error'])}"
                f" (for {span(item['failing_seconds'])}, {item['retries']:,} retries)"
            )


def view(status: Status, speed: Rates) -> RenderableType:
    """All of it for a terminal of 80 columns or more."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(line, style="bold red" if urgent else "", overflow="fold") for line, urgent in headlines(status)
    ]
    for columns, rows in tables(status, speed):
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for number, name in enumerate(columns):
            right = number > 0 and name not in {"behind", "listing", "state", "last accepted", "why refused"}
            shown.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
        for row in rows:
            shown.add_row(*(Text(safe(cell), style="bold red" if cell == "FAILING" else "") for cell in row))
        parts += [Text(""), shown]
    return Group(*parts, *(Text(line, style="bold red", overflow="fold") for line in troubles(status)))


def line(status: Status, speed: Rates) -> str:
    """All of it on one line, for what is no terminal: a log file, a pipe."""
    found = [
        f"{item['id']}: {item['events']:,} events, {_rate(speed, 'inputs/' + item['id'])}/s,"
        f" behind {size(item['lag']['bytes'])}"
        for item in status["inputs"]
    ]
    for item in status["outputs"]:
        state = "" if item["connected"] is not False else f" FAILING for {span(item['failing_seconds'])}"
        delivered, rate = f"{item['delivered']:,}", _rate(speed, "outputs/" + item["id"])
        found.append(f"{item['id']}: {delivered} delivered, {rate}/s, {item['pending']:,} pending{state}")
    failing = [f"{item['id']}: {_listing_name(stream)}" for item, stream in _polled(status) if stream["error"]]
    if failing:
        found.append(f"NOT READ {', '.join(failing)}")
    journal = status["journal"]
    if journal["paused"]:
        found.append(f"journal FULL, held by {', '.join(journal['held_by'])}")
    if journal["failing"]:
        found.append("DISK refuses frames")
    if status["lost"]["events"]:
        found.append(f"LOST {status['lost']['events']:,}")
    return safe(" | ".join([*found, "balanced" if status["conserved"] else "NOT BALANCED"]))


def show(status: Status) -> None:
    """Print it once. Nothing is cut when it is not a terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 10_000
    console = Console(color_system=None if plain() else "auto", width=width, highlight=False)
    with console.capture() as said:
        console.print(view(status, {}))
    click.echo("\n".join(text.rstrip() for text in said.get().splitlines()))


def watch(answers: Iterator[dict[str, Any] | str], every: float, *, as_json: bool) -> None:
    """Show each answer, or why there is none, every so many seconds; until interrupted."""
    if as_json or not sys.stdout.isatty():
        _lines(answers, every, as_json=as_json)
    else:
        _screen(answers, every)


def _lines(answers: Iterator[dict[str, Any] | str], every: float, *, as_json: bool) -> None:
    """A line for each; as JSON only the answers."""
    before = None
    for answer in answers:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if isinstance(answer, str):
            click.echo(f"{now} {safe(answer)}", err=as_json)
        elif as_json:
            click.echo(orjson.dumps(answer))
        else:
            click.echo(f"{now} {line(answer, rates(before, answer))}")
            before = answer
        time.sleep(every)


def _screen(answers: Iterator[dict[str, Any] | str], every: float) -> None:
    """A terminal's screen, drawn anew for each."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False)
    before: Status | None = None
    shown = Group()
    with Live(shown, console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        for answer in answers:
            if isinstance(answer, str):
                live.update(Group(Text(f"NO ANSWER: {safe(answer)}", style="bold red"), shown), refresh=True)
            else:
                shown = Group(view(answer, rates(before, answer)), Text(f"every {every:g} s; Ctrl-C ends"))
                before = answer
                live.update(shown, refresh=True)
            time.sleep(every)
