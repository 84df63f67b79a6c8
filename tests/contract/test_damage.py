"""A million damaged lines over all formats: nothing raises, nothing is lost, nothing takes long.

Seeded, so that a failure comes again; the slow tier's answer to "what if my log is broken".
"""

import os
import random
import time

import orjson
import pytest

import parsers
from parsers import Rejected
from shipper.build import Lanes
from shipper.config import Config
from shipper.input_sections import StdinInputSection
from shipper.model import Chunk, Record
from shipper.pipeline import process
from tests.contract.test_parsers import places, samples

LINES = 1_000_000
CHUNK = 500
SLOWEST = 0.05
"""Seconds for one line; the best of three, since the machine has other work."""
SCRAPS = (
    b"null", b"{}", b"[]", b'""', b"-1", b"1e999", b"true", b"\\u0000", b"\\ud800", b"\xff", b"\xc3", b"\\", b'"', b"'", b"[[[[",
    b'{"a":', b"\x00", b"\x1b[2J", b"=", b"|", b",,,,", b"%", b"\t", b"\r", b"0" * 400, b"9" * 25, b"-" * 50, b"<13>1 - - - - - ",
    "\u202e\u2028😀".encode(), b"' OR 1=1 --", b"${env:HOME}", b"a" * 3000,
)  # fmt: skip
QUOTED = (b'{"message":%s}', b"[%s,%s]", b'{"events":[%s]}', b"<13>1 2026-02-03T10:30:00Z h a - - - %s", b'"%s"')


VALUES = (
    None,
    True,
    0,
    -1.5,
    2**62,
    "",
    "x",
    " ",
    [],
    {},
    [None],
    {"a": {"b": [1]}},
    [[1, 2]],
    "2026-02-30",
    "192.0.2.7:99",
)


def rearranged(line, dice):
    """JSON with members replaced, dropped, doubled or nested: damage that stays JSON reaches further into a parser."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    for _ in range(dice.randint(1, 3)):
        spots = list(places(value))
        if not spots:
            break
        holder, key = dice.choice(spots)
        match dice.randrange(4):
            case 0:
                holder[key] = dice.choice(VALUES)
            case 1:
                del holder[key]
            case 2:
                holder[key] = [holder[key]] * dice.randint(1, 3)
            case _:
                other, name = dice.choice(spots)
                if not isinstance(holder[key], dict | list):
                    other[name] = holder[key]
    return orjson.dumps(value)


def damaged(line, dice, other):
    """`line` after one to four accidents."""
    if dice.random() < 0.4:
        again = rearranged(line, dice)
        if again is not None:
            return again
    data = bytearray(line)
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.randint(1, 40))
        match dice.randrange(9):
            case 0 if start < len(data):
                data[start] = dice.randrange(256)
            case 1 if start < len(data):
                data[start] ^= 1 << dice.randrange(8)
            case 2:
                del data[start:end]
            case 3:
                data[end:end] = data[start:end]
            case 4:
                data[start:end] = dice.choice(SCRAPS)
            case 5:
                del data[start:]
            case 6:
                data[start:start] = other[: dice.randint(0, 200)]
            case 7 if len(data) < 20_000:
                data += bytes(data)
            case _ if len(data) < 20_000:
                form = dice.choice(QUOTED)
                data = bytearray(form.replace(b"%s", bytes(data)))
    if b"\n" not in line:  # else it is a record of several lines, such as a row of CSV below its header
        data = data.replace(b"\n", b" ")
    return bytes(data) or b" "


def lane_of(name):
    section = StdinInputSection(id="parse", type="stdin", format=name, timezone="Europe/Berlin")
    config = Config.model_validate({"agent": {"name": "t", "origin": "t.example/a"}})
    return Lanes(config.model_copy(update={"inputs": (section,)}), "t", os.urandom).lane("parse", name)


@pytest.mark.slow
@pytest.mark.parametrize("name", parsers.names())
def test_damaged_lines_are_events_or_refusals_and_never_slow(name):
    lines = [line for _, line in samples(name) if len(line) < 20_000]
    others = [line for other in parsers.names()[::5] for _, line in samples(other)[:5]]
    dice = random.Random(f"a million {name}")
    lane = lane_of(name)
    count = -(-LINES // len(parsers.names()))
    times, slowest = {}, 0.0
    for first in range(0, count, CHUNK):
        batch = [damaged(dice.choice(lines), dice, dice.choice(others)) for _ in range(min(CHUNK, count - first))]
        for line in batch:
            took = _seconds(lane, line)
            slowest = max(slowest, took)
            assert took < SLOWEST, f"{took:.3f} s for {line[:500]!r}"
        records, offset = [], 0
        for line in batch:
            records.append(Record(line, offset, len(line) + 1))
            offset += len(line) + 1
        chunk = Chunk("parse", "s", "p", name, records, {}, 1_775_001_600.0, None)
        out = process(chunk, lane, times, b"k" * 32, None, os.urandom)
        assert out.problems == []
    counts = lane.counts
    assert counts.extra.get("internal_errors", 0) == 0
    assert counts.read == count == counts.with_events + counts.rejected + counts.no_change
    assert counts.with_events and counts.rejected
    print(f"{name}: {count:,} lines, {counts.rejected:,} refused, slowest {slowest * 1000:.1f} ms")


def _seconds(lane, line):
    best = 1.0
    for _ in range(3):
        start = time.perf_counter()
        found = lane.parse(line, lane.context)
        best = min(best, time.perf_counter() - start)
        assert isinstance(found, list | Rejected)
        if best < SLOWEST:
            break
    return best
