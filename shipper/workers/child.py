"""A parsing process: takes chunks from one pipe, parses, serializes and hashes them, and gives results to another.

It ends when its pipe ends, which it does with the agent, however that ends. Signals are the agent's business: what is
sent to the whole process group must not lose what is being parsed.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

from shipper import __version__
from shipper.build import Lanes
from shipper.memory import settle_in
from shipper.processor import Processor
from shipper.timestamps import Provisional
from shipper.workers.wire import LENGTH, Job, Parsed, Tally, job_of, message, parsed_message

if TYPE_CHECKING:
    from io import BufferedReader

    from shipper.config import Config

FAILED = 70
"""Exit code after an exception: a bug, which the agent meets by looking for the line that brought it up."""


class Charge(NamedTuple):
    """What a process is told first. It answers with its version."""

    config: Config
    """Without the outputs, whose secrets are none of its business."""
    place: str
    mac_key: bytes


def parse(processor: Processor, job: Job) -> Parsed:
    """Do one job."""
    chunk, previous, exact = job
    counts = processor.lane(chunk).counts
    before = Tally.of(counts)
    times = processor.times
    times.pop(chunk.stream, None)
    provisional = None
    if not exact:
        provisional = times[chunk.stream] = Provisional(math.nan if previous is None else previous)
    elif previous is not None:
        times[chunk.stream] = previous
    lines = processor.process(chunk, None)
    last = times.pop(chunk.stream, None)
    tally = Tally.of(counts).since(before)
    return Parsed(
        lines, tally, None if last is provisional else last, math.inf if provisional is None else provisional.holds
    )


def main(given: int, taken: int) -> None:
    """Work until the pipe `given` ends; results go into the pipe `taken`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    code = 0
    try:
        with os.fdopen(given, "rb") as source:
            _work(source, taken)
    except (EOFError, BrokenPipeError):
        pass
    except BaseException as error:  # noqa: BLE001 - told without its text, which may quote a line
        code = FAILED
        sys.stderr.write("".join([*traceback.format_tb(error.__traceback__), type(error).__name__, "\n"]))
        sys.stderr.flush()
    os._exit(code)  # nothing here needs the interpreter's farewell


def _work(source: BufferedReader, taken: int) -> None:
    charge = Charge(*pickle.loads(_read(source)))  # noqa: S301 - from our own process
    processor = Processor(Lanes(charge.config, charge.place, os.urandom), charge.mac_key, os.urandom)
    settle_in()
    _write(taken, message(__version__.encode()))
    while True:
        _write(taken, parsed_message(parse(processor, job_of(_read(source)))))


def _read(source: BufferedReader) -> bytes:
    """The next message; `EOFError` where there is none."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    payload = source.read(length)
    if len(payload) < length:
        raise EOFError
    return payload


def _write(taken: int, parts: list[bytes]) -> None:
    done = os.writev(taken, parts)
    whole = sum(map(len, parts))
    if done < whole:
        rest = memoryview(b"".join(parts))[done:]
        while rest:
            rest = rest[os.write(taken, rest) :]
