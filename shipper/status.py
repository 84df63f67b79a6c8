"""What the agent's parts have counted, as one JSON-able object: the figures of `fieldtrail status`.

Called by the control socket's threads while the others work: figures may be a moment apart, and they agree when the
agent rests. Conservation: per input read = with_events + rejected + no_change + filtered + deduplicated; per output
kept = delivered + dead_lettered + filtered + dropped + pending, all since the agent's start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shipper.delivery import Delivery
from shipper.journal import Journal
from shipper.model import Input
from shipper.pipeline import Lane

_TOTALS = ("read", "with_events", "rejected", "no_change", "filtered", "deduplicated", "events", "bytes")
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """What `--once` shows on a terminal."""

    read: int
    events: int
    delivered: dict[str, int]


def progress(lanes: Mapping[tuple[str, str], Lane], deliveries: Sequence[Delivery]) -> Progress:
    """How far it is."""
    counts = [lane.counts for lane in lanes.values()]
    return Progress(
        sum(count.read for count in counts),
        sum(count.events for count in counts),
        {delivery.output.id: delivery.counts.delivered for delivery in deliveries},
    )


def report(
    inputs: Sequence[Input],
    lanes: Mapping[tuple[str, str], Lane],
    deliveries: Sequence[Delivery],
    journal: Journal,
    *,
    total: int,
    limit: int,
) -> dict[str, Any]:
    """`inputs`, `outputs` and `journal`. `total`: documents kept in this state folder; `limit`: `journal.max_size`."""
    return {
        "inputs": [_steady(partial(_input, source, lanes)) for source in inputs],
        "outputs": [_output(delivery, total) for delivery in deliveries],
        "journal": {
            "bytes": journal.bytes_used,
            "limit": limit,
            "first_seq": journal.first_seq,
            "next_seq": journal.next_seq,
            "full": journal.full,
        },
    }


def _steady(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Look again if the pipeline changed a table while it was read."""
    for _ in range(_TRIES):
        try:
            return look()
        except RuntimeError:
            continue
    return look()


def _input(source: Input, lanes: Mapping[tuple[str, str], Lane]) -> dict[str, Any]:
    counts = [lane.counts for (name, _), lane in list(lanes.items()) if name == source.id]
    totals = {name: sum(getattr(count, name) for count in counts) for name in _TOTALS}
    return {"id": source.id, **totals, "streams": getattr(source, "statistics", list)()}


def _output(delivery: Delivery, total: int) -> dict[str, Any]:
    counts = delivery.counts
    return {
        "id": delivery.output.id,
        "kept": delivery.kept(total),
        "delivered": counts.delivered,
        "dead_lettered": counts.dead_lettered,
        "filtered": counts.filtered,
        "dropped": counts.dropped,
        "pending": delivery.pending(total),
        "retries": counts.retries,
        "connected": counts.connected,
        "last_error": counts.last_error,
    }
