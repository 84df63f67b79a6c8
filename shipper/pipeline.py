"""THE HOT PATH: lines in, canonical documents out; sealing and the journal follow in `agent.py`.

One loop on one screen. No logging, no configuration look-ups, no clock: everything is bound before it. A parser's bug
becomes an unparsed line and a counter, never the end of the agent.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from parsers._contract import Context, Operation, Rejected
from shipper.clock import rfc3339
from shipper.compiled import Fast
from shipper.model import Chunk, Counts, Event
from shipper.normalize import Normalizer, Origin
from shipper.schema import check
from shipper.seal.canonical import canonical
from shipper.spliced import Splice

SAMPLE = 1000
"""One event in so many is checked against the field table."""


@dataclass(slots=True)
class Lane:
    """One format of one input, with all that its lines need."""

    parse: Callable[[bytes, Context], list[Operation] | Rejected]
    normalizer: Normalizer
    context: Context
    counts: Counts
    fast: Fast | None = None
    """The quick way for usual lines, where the format has one (`compiled.py`)."""
    splice: Splice | None = None
    """The quickest, for lines that differ from the one before in their texts alone (`spliced.py`)."""


@dataclass(slots=True)
class Lines:
    """What one chunk became: canonical documents with their data stream's dataset, and its part of the batch leaf."""

    bodies: list[bytes] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    """Bytes of all bodies."""
    problems: list[str] = field(default_factory=list)
    """Names of fields that the sampled check found at fault."""


def process(
    chunk: Chunk, lane: Lane, times: dict[str, float], mac_key: bytes, tap: Callable[[Event], None] | None
) -> Lines:
    """Parse, normalize and serialize the records of one chunk, in order.

    `times` holds the last time read of each stream (the year rule of RFC 3164 needs it).
    """
    out = Lines()
    bodies, datasets = out.bodies, out.datasets
    parse, normalizer, ctx, counts = lane.parse, lane.normalizer, lane.context, lane.counts
    stream, path, received, mtime = chunk.stream, chunk.path, chunk.received, chunk.mtime
    received_text = rfc3339(received)
    previous = times.get(stream)
    # The lines without their line ends, each followed by a newline, whatever ended it in the file.
    mac = hmac.new(mac_key, b"\n".join([record.data for record in chunk.records] + [b""]), sha256)
    sampled = counts.events
    rejected = no_change = with_events = size = 0
    fast = lane.fast
    splice = lane.splice if tap is None else None
    for data, offset, length in chunk.records:
        size += length
        if splice is not None and sampled % SAMPLE:
            try:
                spliced = splice(data, offset, length, stream, path, received, received_text, mtime, previous)
            except Exception:  # noqa: BLE001 - a bug of the quick way costs time, not the line: the next way takes it
                spliced = None
                counts.extra["internal_errors"] = counts.extra.get("internal_errors", 0) + 1
            if spliced is not None:
                body, previous = spliced
                with_events += 1
                sampled += 1
                bodies.append(body)
                datasets.append("fieldtrail.change")
                continue
        if fast is not None:
            try:
                made = fast(data, offset, length, stream, path, received, received_text, mtime, previous)
            except Exception:  # noqa: BLE001 - a bug of the quick way costs time, not the line: the reference takes it
                made = None
                counts.extra["internal_errors"] = counts.extra.get("internal_errors", 0) + 1
            if made is not None:
                event, previous = made
                with_events += 1
                if sampled % SAMPLE == 0:
                    out.problems += [problem.path for problem in check(event)]
                sampled += 1
                if tap is not None:
                    tap(event)
                bodies.append(canonical(event))
                datasets.append("fieldtrail.change")
                continue
        origin = Origin(stream, path, offset, length, received, received_text, mtime, previous, 0, data)
        try:
            parsed = parse(data, ctx)
            if isinstance(parsed, Rejected):
                events = None
                reason = parsed.reason
            else:
                events = []
                for number, operation in enumerate(parsed):
                    if operation.no_change:
                        continue
                    origin.number = number
                    documents, seconds = normalizer.events(operation, origin)
                    events += documents
                    if seconds is not None:
                        previous = origin.previous = seconds
        except Exception as error:  # noqa: BLE001 - a parser's bug must not stop the agent: the line is kept as it is
            events, reason = None, f"internal error: {type(error).__name__}"
            counts.extra["internal_errors"] = counts.extra.get("internal_errors", 0) + 1
        if events is None:
            rejected += 1
            events = [normalizer.unparsed(reason, origin)]
        elif events:
            with_events += 1
        else:
            no_change += 1
        for event in events:
            if sampled % SAMPLE == 0:
                out.problems += [problem.path for problem in check(event)]
            sampled += 1
            if tap is not None:
                tap(event)
            bodies.append(canonical(event))
            datasets.append(event["data_stream"]["dataset"])
    if previous is not None:
        times[stream] = previous
    read = len(chunk.records)
    counts.read += read
    counts.rejected += rejected
    counts.no_change += no_change
    counts.with_events += with_events
    counts.bytes += size
    counts.events = sampled
    out.size = sum(map(len, bodies))
    first = chunk.records[0].offset if read else 0
    out.source = {
        "input": chunk.input,
        "path": path,
        "stream": stream,
        "from": first,
        "to": chunk.records[-1].offset + chunk.records[-1].length if read else first,
        "lines": read,
        "events": len(bodies),
        "rejected": rejected,
        "no_change": no_change,
        "mac": mac.hexdigest(),
    }
    return out


def fold(sources: Sequence[Mapping[str, Any]], mac_key: bytes) -> list[dict[str, Any]]:
    """The sources of several frames as one list for the batch leaf: ranges joined, counts added, MACs over MACs."""
    joined: dict[tuple[str, str], dict[str, Any]] = {}
    macs: dict[tuple[str, str], list[str]] = {}
    for source in sources:
        key = (source["input"], source["stream"])
        macs.setdefault(key, []).append(source["mac"])
        entry = joined.get(key)
        if entry is None:
            joined[key] = dict(source)
            continue
        entry["to"] = source["to"]
        entry["path"] = source["path"]
        for name in ("lines", "events", "rejected", "no_change"):
            entry[name] += source[name]
    for key, entry in joined.items():
        entry["mac"] = hmac.new(mac_key, "".join(macs[key]).encode(), sha256).hexdigest()
    return list(joined.values())
