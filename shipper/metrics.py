"""The agent's figures as metrics for Prometheus: one table of what there is, and their values from a status object.

Labels are ids of inputs and outputs, outcomes and states, never paths, hosts or values: there are as many series as the
configuration has inputs and outputs. Counters count since the agent last began: at its start, at a reload, or when its
confinement was renewed.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from shipper.model import KEPT_PARTS, READ_PARTS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client import Metric as Family

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's labels, and its own."""


class Metric(NamedTuple):
    """One metric. `samples`: its values from `Observer.status()`; what is not known has none."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Mapping[str, Any]], Iterator[Sample]]


def _one(*path: str) -> Callable[[Mapping[str, Any]], Iterator[Sample]]:
    """A single figure at a path of the status."""

    def samples(status: Mapping[str, Any]) -> Iterator[Sample]:
        value = _at(status, path)
        if value is not None:
            yield (), float(value)

    return samples


def _each(table: str, *path: str) -> Callable[[Mapping[str, Any]], Iterator[Sample]]:
    """A figure at a path of each input or output."""

    def samples(status: Mapping[str, Any]) -> Iterator[Sample]:
        for item in status[table]:
            value = _at(item, path)
            if value is not None:
                yield (item["id"],), float(value)

    return samples


def _parts(table: str, names: Sequence[str]) -> Callable[[Mapping[str, Any]], Iterator[Sample]]:
    """The figures of these names of each input or output, with the name as outcome."""

    def samples(status: Mapping[str, Any]) -> Iterator[Sample]:
        for item in status[table]:
            for name in names:
                yield (item["id"], name), float(item[name])

    return samples


def _at(item: Any, path: Sequence[str]) -> Any:
    for name in path:
        item = item[name]
    return item


def _build(status: Mapping[str, Any]) -> Iterator[Sample]:
    yield (status["version"], platform.python_version()), 1.0


def _lost(status: Mapping[str, Any]) -> Iterator[Sample]:
    for part, table in (("input", "inputs"), ("output", "outputs")):
        for item in status[table]:
            yield (part, item["id"]), float(item["lost"]["events"])


def _states(status: Mapping[str, Any]) -> Iterator[Sample]:
    for item in status["inputs"]:
        for state, count in Counter(stream["state"] for stream in item["streams"]).items():
            yield (item["id"], state), float(count)


def _letters(status: Mapping[str, Any]) -> Iterator[Sample]:
    letters = status["dead_letters"]
    if letters is not None:  # also of outputs that are not configured any more
        for name in {**{item["id"]: 0 for item in status["outputs"]}, **letters}:
            yield (name,), float(letters.get(name, 0))


CATALOGUE: Final = (
    Metric(
        "fieldtrail_lost_events_total",
        "counter",
        ("part", "id"),
        "Events lost for good, at least: one for each loss at an input (bytes gone before they could be read), and the"
        " documents that an output cannot get any more. Alert when it is above 0.",
        _lost,
    ),
    Metric(
        "fieldtrail_lost_bytes_total",
        "counter",
        ("input",),
        "Bytes that were seen and gone before they could be read, of losses whose size is known.",
        _each("inputs", "lost", "bytes"),
    ),
    Metric(
        "fieldtrail_conserved",
        "gauge",
        (),
        "1 while the equations of all inputs and outputs hold, else 0. Alert when it is 0.",
        _one("conserved"),
    ),
    Metric(
        "fieldtrail_input_read_records_total",
        "counter",
        ("input",),
        "Records read. Equals the sum of fieldtrail_input_records_total over its outcomes.",
        _each("inputs", "read"),
    ),
    Metric(
        "fieldtrail_input_records_total",
        "counter",
        ("input", "outcome"),
        f"What became of the records: {', '.join(READ_PARTS)}.",
        _parts("inputs", READ_PARTS),
    ),
    Metric(
        "fieldtrail_input_conserved",
        "gauge",
        ("input",),
        "1 while the equation of this input holds, else 0.",
        _each("inputs", "conserved"),
    ),
    Metric(
        "fieldtrail_input_events_total",
        "counter",
        ("input",),
        "Events that were made of the records.",
        _each("inputs", "events"),
    ),
    Metric(
        "fieldtrail_input_read_bytes_total",
        "counter",
        ("input",),
        "Bytes of the records read.",
        _each("inputs", "bytes"),
    ),
    Metric(
        "fieldtrail_input_internal_errors_total",
        "counter",
        ("input",),
        "Bugs met in parsers and in the quick ways; the records were kept all the same.",
        _each("inputs", "internal_errors"),
    ),
    Metric(
        "fieldtrail_input_streams",
        "gauge",
        ("input", "state"),
        "Streams that are followed, by state.",
        _states,
    ),
    Metric(
        "fieldtrail_input_lag_bytes",
        "gauge",
        ("input",),
        "Bytes that are there and not read.",
        _each("inputs", "lag", "bytes"),
    ),
    Metric(
        "fieldtrail_input_lag_seconds",
        "gauge",
        ("input",),
        "How long the oldest unread byte has waited since the agent saw it.",
        _each("inputs", "lag", "seconds"),
    ),
    Metric(
        "fieldtrail_input_lag_events_estimated",
        "gauge",
        ("input",),
        "Unread bytes as events, at the events per byte so far.",
        _each("inputs", "lag", "events_estimated"),
    ),
    Metric(
        "fieldtrail_output_kept_documents_total",
        "counter",
        ("output",),
        "Documents kept for this output. Equals the sum of fieldtrail_output_documents_total over its outcomes and"
        " fieldtrail_output_pending_documents.",
        _each("outputs", "kept"),
    ),
    Metric(
        "fieldtrail_output_documents_total",
        "counter",
        ("output", "outcome"),
        f"What became of the documents: {', '.join(KEPT_PARTS[:-1])}.",
        _parts("outputs", KEPT_PARTS[:-1]),
    ),
    Metric(
        "fieldtrail_output_pending_documents",
        "gauge",
        ("output",),
        "Documents kept and not settled yet.",
        _each("outputs", "pending"),
    ),
    Metric(
        "fieldtrail_output_conserved",
        "gauge",
        ("output",),
        "1 while the equation of this output holds, else 0.",
        _each("outputs", "conserved"),
    ),
    Metric(
        "fieldtrail_output_lag_bytes",
        "gauge",
        ("output",),
        "Bytes of the journal behind the output, compressed; inside of a segment in proportion to its frames.",
        _each("outputs", "lag", "bytes"),
    ),
    Metric(
        "fieldtrail_output_lag_seconds",
        "gauge",
        ("output",),
        "Age of the oldest frame that is kept and not settled.",
        _each("outputs", "lag", "seconds"),
    ),
    Metric(
        "fieldtrail_output_retries_total",
        "counter",
        ("output",),
        "Requests that were sent again, whole or in part.",
        _each("outputs", "retries"),
    ),
    Metric(
        "fieldtrail_output_connected",
        "gauge",
        ("output",),
        "1 if the last try went well, 0 if it failed; absent before the first.",
        _each("outputs", "connected"),
    ),
    Metric(
        "fieldtrail_output_failing_seconds",
        "gauge",
        ("output",),
        "How long the output has been failing; 0 while it is well.",
        _each("outputs", "failing_seconds"),
    ),
    Metric(
        "fieldtrail_dead_letters",
        "gauge",
        ("output",),
        "Documents that wait in the dead letters.",
        _letters,
    ),
    Metric("fieldtrail_journal_bytes", "gauge", (), "Bytes of the journal on disk.", _one("journal", "bytes")),
    Metric("fieldtrail_journal_limit_bytes", "gauge", (), "`journal.max_size`.", _one("journal", "limit")),
    Metric(
        "fieldtrail_journal_paused",
        "gauge",
        (),
        "1 while the journal is full and reading waits for an output.",
        _one("journal", "paused"),
    ),
    Metric(
        "fieldtrail_journal_failing",
        "gauge",
        (),
        "1 while the disk does not keep frames.",
        lambda status: iter([((), float(bool(status["journal"]["failing"])))]),
    ),
    Metric("fieldtrail_log_leaves", "gauge", (), "Leaves in the log.", _one("log", "size")),
    Metric(
        "fieldtrail_checkpoint_leaves",
        "gauge",
        (),
        "Leaves under the newest signed checkpoint.",
        _one("log", "checkpoint"),
    ),
    Metric(
        "fieldtrail_checkpoint_age_seconds",
        "gauge",
        (),
        "Since the newest signed checkpoint was kept; absent before the first of this run.",
        _one("log", "checkpoint_age"),
    ),
    Metric(
        "fieldtrail_pipeline_turn_age_seconds",
        "gauge",
        (),
        "Since the pipeline last came round.",
        _one("journal", "turn_age"),
    ),
    Metric("fieldtrail_ready", "gauge", (), "What /readyz says: 1 or 0.", _one("ready")),
    Metric(
        "fieldtrail_uptime_seconds",
        "gauge",
        (),
        "Since the agent's start, its last reload or the last renewal of its confinement.",
        _one("uptime"),
    ),
    Metric("fieldtrail_build_info", "gauge", ("version", "python"), "Always 1.", _build),
)
"""Every metric, in the order of the page docs/reference/metrics.md. Beside them stand `process_*`."""


class _Figures:
    """A collector of prometheus-client: asks for a status at each scrape."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def describe(self) -> list[Family]:
        """Nothing, so that registering asks for no status."""
        return []

    def collect(self) -> Iterator[Family]:
        """All families, with the figures of one status."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - only where wanted

        status = self._status()
        for metric in CATALOGUE:
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.samples(status):
                family.add_metric(labels, value)
            yield family


def exposition(status: Callable[[], Mapping[str, Any]]) -> Callable[[], bytes]:
    """A function that gives all metrics in Prometheus' text format 0.0.4."""
    from prometheus_client import (  # noqa: PLC0415 - 50 ms at import, only where metrics are wanted
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
    )

    registry: CollectorRegistry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Figures(status))
    return lambda: generate_latest(registry)


def reference() -> str:
    """The table of docs/reference/metrics.md."""
    rows = ["| metric | kind | labels | is |", "|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)
