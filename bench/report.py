"""The tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.gates import Gate

UNSEALED = (
    "Fieldtrail seals every document (leaf hash, tree, signed checkpoints) and keeps it in a synced journal before it\n"
    "is sent; the peers, as configured, do neither: their queues are in memory. Sealing cannot be turned off, so its\n"
    "cost is given as its share of the stages."
)
MEASURES = {
    "cpu": "times less CPU per event",
    "cpu_without_start_and_end": "the same without start and end",
    "rate": "times the events/s",
}


def head(conditions: Mapping[str, Any]) -> str:
    """The conditions, before anything runs."""
    lines = ["Conditions"]
    for name, value in conditions.items():
        lines.append(f"  {name:24}{value:,}" if isinstance(value, int) else f"  {name:24}{value}")
    lines.append("  Other load on the machine distorts: quote ratios, and CPU rather than wall time.")
    return "\n".join(lines)


def show(result: Mapping[str, Any]) -> None:
    """Everything but the conditions, which were told at the start."""
    for key, work in result["works"].items():
        print(f"\n== {key}: {work['title']}")
        if "refused" in work:
            print(f"not run, Fieldtrail refuses the configuration: {work['refused']}")
        elif "failed" in work:
            print(f"failed: {work['failed']}")
        elif "table" in work:
            _comparison(work)
        else:
            SHOWN[key](work)
        if work.get("note"):
            print(work["note"])
        if work.get("stages"):
            _stages(work["stages"])
    print(f"\n{UNSEALED}")
    gates(result["gates"])


def gates(found: list[Gate]) -> None:
    """All gates, the met ones too."""
    print("\nGates")
    for gate in found:
        print(f"  {gate.line()}")
    missed = sum(not gate.met for gate in found)
    print(f"  {len(found) - missed} of {len(found)} met")


def _range(spread: Mapping[str, Any], scale: float = 1.0, form: str = ",.0f") -> str:
    low, middle, high = (spread[name] * scale for name in ("min", "median", "max"))
    return f"{middle:{form}} ({low:{form}}-{high:{form}})"


def _comparison(work: Mapping[str, Any]) -> None:
    print(
        f"{'median (min-max)':24}{'ev/s':>26}{'CPU-s/M':>22}{'RSS MB':>16}{'body B/ev':>11}{'sent B/ev':>11}"
        f"{'line B':>8}{'fields':>8}"
    )
    for name, row in work["table"].items():
        print(
            f"{name:24}{_range(row['events_per_second']):>26}"
            f"{_range(row['cpu_seconds_per_million'], form='.1f'):>22}{_range(row['peak_rss_bytes'], 1e-6):>16}"
            f"{row['body_bytes_per_event']:>11,.0f}{row['sent_bytes_per_event']:>11,.0f}"
            f"{work['bytes_per_line'][name]:>8,.0f}{work['fields'].get(name, 0):>8}"
        )
    sink = work["table"][work["ours"]]["sink_cpu_seconds_per_million"]
    print(f"the sink itself, in none of the figures: {sink:.1f} CPU-s/M in the runs of {work['ours']}")
    if work["start_and_end_cpu_seconds"]:
        floors = ", ".join(f"{name} {cpu:.2f}" for name, cpu in work["start_and_end_cpu_seconds"].items())
        print(f"start and end are in the figures; CPU-s a run, measured with one line: {floors}")
    for other, ratios in work["ratios"].items():
        print(f"{work['ours']} beside {other}, round by round")
        for key, words in MEASURES.items():
            if key in ratios:
                rounds = "  ".join(f"{value:.2f}" for value in ratios[key]["rounds"])
                print(f"  {words:34}{rounds}   median {_range(ratios[key], form='.2f')}")


def _stages(stages: Mapping[str, Any]) -> None:
    print(f"\nstage by stage, in isolation ({stages['lines']:,} lines, CPU us per line)")
    total = stages["sum"]
    for name, value in stages["stages"].items():
        share = "  not in the sum" if name in stages["extra"] else f"{value / total:>6.0%}"
        print(f"  {name:44}{value / 1000:>7.2f}{share}")
    print(f"  {'sum':44}{total / 1000:>7.2f}")
    print(f"  sealing {stages['sealing']:.0%} of it, journal {stages['journal']:.0%}")


def _backlog(work: Mapping[str, Any]) -> None:
    print(
        f"{work['events_per_second']:,.0f} ev/s  {work['cpu_seconds_per_million']:.1f} CPU-s/M"
        f"  peak RSS {work['peak_rss_bytes'] / 1e6:.0f} MB"
    )
    for number, part in enumerate(work["fifths"], start=1):
        print(
            f"  fifth {number}  to event {part['events']:>10,}  {part['cpu_seconds_per_million']:>7.1f} CPU-s/M"
            f"  RSS {part['rss_bytes'] / 1e6:>6.1f} MB (median)"
        )


def _idle(work: Mapping[str, Any]) -> None:
    print(
        f"{work['cpu_seconds']:.2f} CPU-s in {work['seconds']:.0f} s ({work['cpu_seconds'] / work['seconds']:.2%} of a"
        f" core), RSS {work['rss_bytes'] / 1e6:.0f} MB, peak {work['peak_rss_bytes'] / 1e6:.0f} MB"
    )


def _latency(work: Mapping[str, Any]) -> None:
    print("  ".join(f"{name} {value:.0f} ms" for name, value in work["milliseconds"].items()))


def _start(work: Mapping[str, Any]) -> None:
    print(f"first event kept       {_range(work['first_event_kept_ms'])} ms")
    print(f"first event delivered  {_range(work['first_event_delivered_ms'])} ms")
    print(f"fieldtrail --help      {_range(work['help_ms'])} ms, CPU {_range(work['help_cpu_ms'])} ms")


SHOWN = {"backlog": _backlog, "idle": _idle, "latency": _latency, "start": _start}
