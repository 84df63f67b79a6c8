"""One parsing process: its pipes, and the chunks that it has.

It is a fresh interpreter with the paths of this one: the agent has threads, so it must not fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shipper.framing import Block
from shipper.workers.wire import LENGTH, Job, job_message, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipper.model import Chunk, Record

PIPE: Final = 1 << 20
"""Bytes of a pipe, where the system allows so much: processes go on with what lies in it while a frame is written."""
AT_ONCE: Final = 16
"""Results taken from one process before the others are looked at."""
PER_RECORD: Final = 512
"""Weight of a record beside its bytes: short lines make events as large as others."""
HEAVY: Final = 512 * 1024
"""Weight of a chunk from which on it is given out in parts."""
KILLS, LAST_KILLS = 2, 3
"""Processes that may die of a chunk before it is halved, and of a line before it is kept unparsed."""

_START: Final = (
    "import gc, sys; gc.disable(); sys.path[:] = sys.argv[3:]; "  # nothing of what is imported is garbage
    "from shipper.workers.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class Flight:
    """A chunk on its way. `last`: it ends what was submitted as one. `kills`: processes that died of it."""

    __slots__ = ("chunk", "empty", "exact", "kills", "last", "previous", "result", "waited", "weight", "worker")

    def __init__(self, chunk: Chunk, *, last: bool = True, kills: int = 0) -> None:
        self.chunk, self.last, self.kills = chunk, last, kills
        records = chunk.records
        if isinstance(records, Block):
            self.weight = len(records.data) + PER_RECORD * records.data.count(b"\n")
        else:
            self.weight = sum(len(record.data) for record in records) + PER_RECORD * len(records)
        self.empty = not records
        self.worker: Worker | None = None
        self.result: bytes | None = None
        self.previous: float | None = None
        self.exact = False
        self.waited = 0.0

    @property
    def doomed(self) -> bool:
        """Whether this is a line that ends processes."""
        return self.kills >= LAST_KILLS and len(self.chunk.records) == 1

    @property
    def own(self) -> bool:
        """Whether the agent's own process takes it: there is nothing to parse, or nothing that may be parsed."""
        return self.empty or self.doomed

    @property
    def away(self) -> bool:
        """Whether a process has it, or is waited for: what may have killed two does not get at the agent itself."""
        return self.worker is not None or (self.kills >= KILLS and not self.own)

    def halves(self, kills: int = 0) -> list[Flight]:
        """Two in its place; of what nobody has cut into lines yet, one of them may hold empty lines only."""
        records = self.chunk.records
        parts: list[Sequence[Record]]
        if isinstance(records, Block):
            data, middle = records.data, len(records.data) // 2
            at = data.rfind(b"\n", 0, middle) + 1 or data.index(b"\n", middle) + 1
            parts = [Block(data[:at], records.offset), Block(data[at:], records.offset + at)]
        else:
            middle = len(records) // 2
            parts = [records[:middle], records[middle:]]
        first, second = (replace(self.chunk, records=part) for part in parts)
        return [Flight(first, last=False, kills=kills), Flight(second, last=self.last, kills=kills)]

    def light(self) -> list[Flight]:
        """As many in its place as keep memory bounded: of very short lines a chunk holds very many."""
        records = self.chunk.records
        if self.weight <= HEAVY:
            return [self]
        if records.data.count(b"\n", 0, -1) == 0 if isinstance(records, Block) else len(records) < 2:
            return [self]
        return [light for half in self.halves() for light in half.light()]


class Worker:
    """One process and its two pipes. Raises OSError where it cannot be started."""

    __slots__ = (
        "flights",
        "greeted",
        "heading",
        "missing",
        "outgoing",
        "pieces",
        "process",
        "results",
        "to",
        "weight",
    )

    def __init__(self, charge: bytes) -> None:
        given, self.to = os.pipe()
        self.results, taken = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
                [sys.executable, "-I" if sys.flags.isolated else "-P", "-c", _START, str(given), str(taken), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it may be where the agent's events go
                pass_fds=(given, taken),
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(given)
            os.close(taken)
        for fd in (self.to, self.results):
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):  # a small pipe costs time, nothing else
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE)
        self.greeted = False
        self.flights: deque[Flight] = deque()
        self.weight = 0
        self.heading, self.missing = True, LENGTH.size
        self.pieces: list[bytes] = []
        self.outgoing = bytearray()
        self.send(message(charge))

    def take(self, flight: Flight) -> None:
        """Take a chunk."""
        flight.worker = self
        self.flights.append(flight)
        self.weight += flight.weight
        self.send(job_message(Job(flight.chunk, flight.previous, flight.exact)))

    def send(self, parts: list[bytes]) -> None:
        """Send as much as the pipe takes, the rest later."""
        if self.outgoing:
            self.outgoing += b"".join(parts)
            return
        try:
            done = os.writev(self.to, parts)
        except BlockingIOError:
            done = 0
        except BrokenPipeError:
            return  # it is dead, which the pipe of the results tells
        if done < sum(map(len, parts)):
            self.outgoing += b"".join(parts)[done:]

    def send_rest(self) -> None:
        """Go on sending."""
        try:
            done = os.write(self.to, self.outgoing)
        except BlockingIOError:
            return
        except BrokenPipeError:
            done = len(self.outgoing)
        del self.outgoing[:done]

    def receive(self) -> list[bytes] | None:
        """The messages that have come in whole; None at the end of the process."""
        found: list[bytes] = []
        while True:
            try:
                # The very bytes that are missing: what comes in one piece needs no second place in memory.
                piece = os.read(self.results, self.missing)
            except BlockingIOError:
                return found
            if not piece:
                return found or None  # the end is told again next time
            self.pieces.append(piece)
            self.missing -= len(piece)
            if self.missing:
                continue
            whole = piece if len(self.pieces) == 1 else b"".join(self.pieces)
            self.pieces.clear()
            if self.heading:
                (self.missing,) = LENGTH.unpack(whole)
            else:
                found.append(whole)
                self.missing = LENGTH.size
            self.heading = not self.heading
            if len(found) >= AT_ONCE:
                return found

    def close(self) -> None:
        """Close the pipes: a process whose pipe ends will end. May be called twice."""
        for fd in (self.to, self.results):
            if fd >= 0:
                os.close(fd)
        self.to = self.results = -1

    def end(self, patience: float) -> int:
        """Close, and wait; the exit code."""
        self.close()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
