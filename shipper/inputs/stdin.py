"""Standard input, or another descriptor, as an input: what is piped in is read once and cannot be read again.

The position says how far it was read, for the chain of custody only; a restart does not go back. At the end of the
stream the last line is given out even without a line end.
"""

from __future__ import annotations

import os
import select
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from shipper.errors import ConfigError
from shipper.formats import TEXT
from shipper.framing import MAX_LINE, LineFramer
from shipper.grouping import MAX_JSON_LINE, Framing, GroupFramer, lines_only
from shipper.model import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shipper.clock import Clock
    from shipper.model import Record

SAMPLE: Final = 64 * 1024
"""Bytes on which the format is decided, or what there is after `SAMPLE_WAIT` seconds with at least one line."""
SAMPLE_WAIT: Final = 1.0
_TURN: Final = 256 * 1024
PIPE: Final = 1024 * 1024
"""Bytes that a pipe holds at the most for a program without privileges (pipe(7)): a writer that never rests must not
keep an agent from ending."""


class StdinInput:
    """Implements `shipper.model.Input` for an open descriptor, which stays its caller's.

    `format`, `decide`, `framing` and `max_line` are those of `FileInput`. `path` is what people call the stream.
    `stream` is its id; the default differs from start to start (it is made of `id` and the clock), so that two runs do
    not share one.

    Raises `ConfigError` for `auto` without `decide`.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (the protocol's name)
        *,
        clock: Clock,
        format: str,  # noqa: A002 (the configuration's name)
        decide: Callable[[bytes], str] | None = None,
        framing: Callable[[str], Framing] = lines_only,
        fd: int = 0,
        path: str = "-",
        stream: str | None = None,
        max_line: int = MAX_LINE,
    ) -> None:
        if format == "auto" and decide is None:
            raise ConfigError("read standard input", id, "format auto needs a way to decide", "name a format")
        self.id = id
        self.path = path
        self.stream = stream or blake2b(f"fieldtrail/stdin/1 {id} {clock.now()!r}".encode(), digest_size=16).hexdigest()
        self._clock = clock
        self._format = "" if format == "auto" else format
        self._decide = decide
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._framing, self._max_line = framing, max_line
        self._framer = self._framer_of(self._format)
        self._begin = bytearray()  # what was read, until the format is chosen
        self._pending: list[Record] = []
        self._since: float | None = None
        self._grown = 0.0
        self._open = True
        self._problem = ""
        self._cuts: deque[tuple[int, int, str]] = deque(maxlen=10_000)

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing to restore: what was piped into an earlier run is gone."""

    def read(self, budget: int) -> Iterator[Chunk]:
        """What can be read now, about `budget` bytes at the most; never blocks, never raises for what a read says."""
        used = 0
        now = self._clock.monotonic()
        while self._open and used < budget:
            data = self._read(min(_TURN, budget - used))
            if data is None:
                break
            used += len(data)
            self._grown = now
            if data:
                self._take(data)
            else:
                self._open = False
            if self._decided(now):
                if not self._open:
                    self._end()
                if self._pending:
                    yield self._chunk()
        wait = self._framer.overdue
        if self._open and wait is not None and now - self._grown >= wait:
            self._pending += self._framer.release()
        if self._decided(now) and self._pending:
            yield self._chunk()

    def finish(self) -> Iterator[Chunk]:
        """Give out everything that is here, as at the end of the stream: nobody can ever read it again.

        That is what is held, and what waits in the pipe. May be called twice.
        """
        left = PIPE
        while self._open and left > 0 and (data := self._read(min(_TURN, left))):
            left -= len(data)
            self._take(data)
        if self._open:
            self._open = False
            if self._decided(self._clock.monotonic()):
                self._end()
        if self._pending:
            yield self._chunk()

    def done(self) -> bool:
        """True when the stream has ended and all of it was given out."""
        return not self._open and not self._pending and not self._begin

    def close(self) -> None:
        """Read no more. The descriptor stays open: it is not this input's. May be called twice."""
        self._open = False
        self._pending, self._begin = [], bytearray()

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._fd

    def problems(self) -> list[tuple[str, str]]:
        """Why the stream ended early, as (path, cause); empty when it did not."""
        return [(self.path, self._problem)] if self._problem else []

    def cuts(self) -> list[tuple[int, int, str]]:
        """Records given out since the last call that are not whole lines, as (offset, true length, why).

        `why`: `long` (its first bytes only) or `unterminated` (the last line had no line end).
        """
        taken = list(self._cuts)
        self._cuts.clear()
        return taken

    def statistics(self) -> list[dict[str, Any]]:
        """One entry: `stream`, `path`, `offset`, `size` (bytes read), `lag` (not given out), `format`, `state`."""
        first = self._pending[0].offset if self._pending else self._framer.offset
        return [
            {
                "stream": self.stream,
                "path": self.path,
                "offset": first,
                "size": self._framer.end + len(self._begin),
                "lag": self._framer.end + len(self._begin) - first,
                "format": self._format,
                "state": "following" if self._open else "ended",
            }
        ]

    def _read(self, count: int) -> bytes | None:
        """Bytes, b"" at the end, None when there is nothing now."""
        try:
            # A hang-up is reported without POLLIN; the read then gives what is left, and b"" after it.
            if not self._poll.poll(0):
                return None
            return os.read(self._fd, count)
        except BlockingIOError:
            return None
        except OSError as error:  # a terminal that hung up answers EIO
            self._problem = error.strerror or str(error)
            return b""

    def _framer_of(self, form: str) -> GroupFramer:
        return GroupFramer(self._framing(form) if form else Framing(), max_line=self._max_line)

    def _take(self, data: bytes) -> None:
        if self._format:
            self._pending += self._framer.feed(data)
        else:
            self._begin += data

    def _end(self) -> None:
        unfinished = self._framer.end > self._framer.line
        records = self._framer.flush()
        self._pending += records
        if unfinished and records:
            self._cuts.append((records[-1].offset, records[-1].length, "unterminated"))

    def _decided(self, now: float) -> bool:
        """Whether the format is known; chooses it when there is enough to choose on."""
        if self._format:
            return True
        # One line however long is waited for, but not for ever: nobody says that there is a line end at all.
        patient = self._open and len(self._begin) <= MAX_JSON_LINE
        if not self._begin or (patient and b"\n" not in self._begin):
            return False
        framer = LineFramer(max_line=MAX_JSON_LINE)
        lines = framer.feed(bytes(self._begin))
        if not lines and patient:
            return False
        sample = _sample(lines) if lines else framer.partial
        if self._since is None:
            self._since = now
        if self._open and len(self._begin) < SAMPLE and now - self._since < SAMPLE_WAIT:
            return False
        assert self._decide is not None
        form = self._decide(sample) or ("" if self._open else TEXT)
        if form:
            self._format, self._framer = form, self._framer_of(form)
            begin, self._begin = bytes(self._begin), bytearray()
            self._take(begin)
        return bool(form)

    def _chunk(self) -> Chunk:
        records, self._pending = self._pending, []
        for offset, length in self._framer.truncated.items():
            self._cuts.append((offset, length, "long"))
        self._framer.truncated.clear()
        position = {"v": 1, "offset": self._framer.offset, "format": self._format}
        return Chunk(self.id, self.stream, self.path, self._format, records, position, self._clock.now())


def _sample(records: Sequence[Record]) -> bytes:
    """The first lines, as many as fit, and at least one; LF between them."""
    lines = [records[0].data]
    size = len(lines[0])
    for record in records[1:]:
        size += len(record.data) + 1
        if size > SAMPLE:
            break
        lines.append(record.data)
    return b"\n".join(lines)
