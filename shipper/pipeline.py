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

import orjson

from parsers._contract import Context, Operation, Rejected
from shipper.clock import rfc3339
from shipper.framing import columns_of
from shipper.learned import is_plain
from shipper.model import Chunk, Counts, Event
from shipper.normalize import Normalizer, Origin
from shipper.schema import check
from shipper.seal.canonical import canonical
from shipper.seal.sealer import Form, hash_leaves
from shipper.shaped import Shaper
from shipper.spliced import Line, Made, Splicer, Times, refuse

CHANGES = "fieldtrail.change"
SAMPLE = 1000
"""One event in so many is checked against the field table."""
LONGEST_DELIVERY = 512
"""Characters of a delivery's id up to which the quick way takes it."""


@dataclass(slots=True)
class Lane:
    """One format of one input, with all that its lines need."""

    parse: Callable[[bytes, Context], list[Operation] | Rejected]
    normalizer: Normalizer
    context: Context
    counts: Counts
    quick: Splicer | Shaper | None = None
    """The quick way for usual lines."""


@dataclass(slots=True)
class Lines:
    """What one chunk became: canonical documents, their leaf hashes, and the chunk's part of the batch leaf."""

    bodies: list[bytes] = field(default_factory=list)
    routes: list[list[Any]] = field(default_factory=list)
    """[[dataset of the data stream, how many], ...] in the order of `bodies`."""
    nonces: list[bytes] = field(default_factory=list)
    """As documents carry them: 22 base64url characters each."""
    leaves: list[bytes] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    size: int = 0
    """Bytes of all bodies."""
    problems: list[str] = field(default_factory=list)
    """Names of fields that the sampled check found at fault."""
    form: Form | None = None
    """The documents where another process parsed the chunk; `bodies` and `nonces` are empty then."""


def process(
    chunk: Chunk,
    lane: Lane,
    times: dict[str, float],
    mac_key: bytes,
    tap: Callable[[Event], None] | None,
    random_bytes: Callable[[int], bytes],
) -> Lines:
    """Parse, normalize, serialize and hash the records of one chunk, in order.

    `times` holds the last time read of each stream (the year rule of RFC 3164 needs it). `random_bytes`: for nonces.
    """
    out = Lines()
    bodies, routes = out.bodies, out.routes
    counts = lane.counts
    received_text = rfc3339(chunk.received)
    seen = Times(times.get(chunk.stream))
    rejected = no_change = routed = 0
    dataset, at = CHANGES, -1
    lines, offsets, lengths = columns_of(chunk.records)
    # Taken by `map`, line by line; after a line for the reference it goes on with the next one.
    left = iter(lines), iter(offsets), iter(lengths)
    while at + 1 < len(lines):
        quick: Line = refuse
        if lane.quick is not None:
            quick = lane.quick.begin(chunk.stream, chunk.path, chunk.received, received_text, chunk.mtime, seen)
            if chunk.deliveries:
                quick = with_deliveries(quick, chunk.deliveries, chunk.input)
        try:
            for made in map(quick, *left):
                at += 1
                if isinstance(made, bytes):
                    if dataset != CHANGES:
                        routed, dataset = _route(routes, dataset, len(bodies), routed), CHANGES
                    bodies.append(made)
                elif made is None:
                    break
                else:
                    if dataset != made[0]:
                        routed, dataset = _route(routes, dataset, len(bodies), routed), made[0]
                    bodies += made[1]
            else:
                break
        except Exception:  # noqa: BLE001 - a bug of the quick way costs time, not the line: the reference takes it
            at += 1
            counts.extra["internal_errors"] = counts.extra.get("internal_errors", 0) + 1
        origin = Origin(
            chunk.stream, chunk.path, offsets[at], lengths[at], chunk.received, received_text, chunk.mtime,
            seen.previous, 0, lines[at], chunk.deliveries.get(offsets[at]),
        )  # fmt: skip
        events = reference(lane, origin, seen)
        if isinstance(events, Rejected):
            rejected += 1
            events = [lane.normalizer.unparsed(events.reason, origin)]
        elif not events:
            no_change += 1
        for event in events:
            told = event["data_stream"]["dataset"]
            if told != dataset:
                routed, dataset = _route(routes, dataset, len(bodies), routed), told
            bodies.append(canonical(event))
    _route(routes, dataset, len(bodies), routed)
    out.nonces, out.leaves = hash_leaves(bodies, random_bytes)
    for number in range(-counts.events % SAMPLE, len(bodies), SAMPLE):
        out.problems += [problem.path for problem in check(orjson.loads(bodies[number]))]
    if tap is not None:
        for body in bodies:
            tap(orjson.loads(body))
    previous = seen.previous
    if previous is not None:
        times[chunk.stream] = previous
    read = len(lines)
    counts.read += read
    counts.rejected += rejected
    counts.no_change += no_change
    counts.with_events += read - rejected - no_change
    counts.bytes += sum(lengths)
    counts.events += len(bodies)
    out.size = sum(map(len, bodies))
    out.source = {
        "input": chunk.input,
        "path": chunk.path,
        "stream": chunk.stream,
        "from": offsets[0] if read else 0,
        "to": offsets[-1] + lengths[-1] if read else 0,
        "lines": read,
        "events": len(bodies),
        "rejected": rejected,
        "no_change": no_change,
        # The lines without their line ends, each followed by a newline, whatever ended it in the file.
        "mac": hmac.digest(mac_key, b"\n".join([*lines, b""]), "sha256").hex(),
    }
    return out


def reference(lane: Lane, origin: Origin, seen: Times) -> list[Event] | Rejected:
    """The events of one line, none where nothing changed; `seen` gets its time."""
    try:
        parsed = lane.parse(origin.data, lane.context)
        if isinstance(parsed, Rejected):
            return parsed
        events: list[Event] = []
        for number, operation in enumerate(parsed):
            if operation.no_change:
                continue
            origin.number = number
            documents, seconds = lane.normalizer.events(operation, origin)
            events += documents
            if seconds is not None:
                origin.previous = seconds
                seen.read(seconds)
    except Exception as error:  # noqa: BLE001 - a parser's bug must not stop the agent: the line is kept as it is
        lane.counts.extra["internal_errors"] = lane.counts.extra.get("internal_errors", 0) + 1
        return Rejected(f"internal error: {type(error).__name__}")
    return events


def with_deliveries(quick: Line, deliveries: Mapping[int, str], input_id: str) -> Line:
    """The quick way, with `trail.origin.delivery` put into what it makes: its templates know nothing of deliveries.

    It stands first in `trail.origin`. No text can look like the place, since quotes in texts are escaped, and nothing
    before `trail.origin` has members of the source's naming.
    """
    place = f'"origin":{{"input":"{input_id}",'.encode()

    def line(data: bytes, offset: int, length: int) -> Made:
        made = quick(data, offset, length)
        delivery = deliveries.get(offset)
        if made is None or delivery is None:
            return made
        if len(delivery) > LONGEST_DELIVERY or not is_plain(delivery):
            return None
        bodies = [made] if isinstance(made, bytes) else made[1]
        more = b'"origin":{"delivery":"' + delivery.encode() + b'",' + place[10:]
        told = [body.replace(place, more, 1) for body in bodies]
        if any(len(one) == len(body) for one, body in zip(told, bodies, strict=True)):
            return None
        return told[0] if isinstance(made, bytes) else (made[0], told)

    return line


def _route(routes: list[list[Any]], dataset: str, end: int, start: int) -> int:
    """Note a run of documents of one dataset, if there are any; returns where the next begins."""
    if end > start:
        routes.append([dataset, end - start])
    return end


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
