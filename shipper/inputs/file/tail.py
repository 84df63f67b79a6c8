"""The file input: follows files that match some paths and gives out their lines.

`read` never blocks and never raises for what the file system does: what cannot be read is a `Problem` and is tried
again, what cannot be read any more is a `Loss`. Every `Chunk` carries the position after exactly its records; a chunk
without records only moves the position (the file was renamed, or proved to be a copy of one that is known).

Reading runs ahead of the journal: after a restart the input goes on where the last kept position of each stream says.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shipper.errors import ConfigError
from shipper.formats import TEXT
from shipper.framing import MAX_LINE
from shipper.grouping import Framing, lines_only
from shipper.inputs.file.discovery import Discovery
from shipper.inputs.file.follow import Follower, Loss
from shipper.inputs.file.identity import Position
from shipper.inputs.file.reader import Stream, Turn
from shipper.inputs.file.unpack import PEEK
from shipper.model import Chunk

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shipper.clock import Clock
    from shipper.inputs.file.handles import Problem
    from shipper.inputs.file.hints import Hints
    from shipper.model import Record

TURN: Final = 512 * 1024
"""Bytes read of one file before the next has its turn."""
SAMPLE: Final = 64 * 1024
"""Bytes on which the format is decided, or what there is after `SAMPLE_WAIT` seconds with at least one line."""
SAMPLE_WAIT: Final = 1.0
QUIET: Final = 5.0
"""Scan intervals between two scans while every directory is watched and nothing waits for a scan. The open files are
looked at once in each interval all the same: that costs a tenth, and finds what was written over a network."""
UNENDED: Final = 10.0
"""Seconds of quiet after which a last line without a line end is given out, if it is whole in its format (JSON says
where it ends): exports that are dropped into a folder often have none."""
_MIN_SCAN: Final = 0.05  # between scans that hints ask for
_RELEASE_EVERY: Final = 0.25  # a look at each stream, of which there may be thousands
_MAX_CUTS: Final = 10_000
_PATIENCE: Final = 64
"""Budgets that one `read` may spend as long as no line is complete."""


class Cut(NamedTuple):
    """A record that is not a whole line. `why`: `long` (its first bytes only) or `unterminated` (it had no line end).

    `length`: the true length of the line in bytes.
    """

    path: str
    stream: str
    offset: int
    length: int
    why: str


class FileInput:
    """Implements `shipper.model.Input` for files; for one thread.

    `paths` are file names and globs (see `discovery`), `format` a format's name or `auto`. With `auto`, `decide` is
    called once per stream with its first complete lines (LF between them, UTF-8) and returns the format's name, which
    is kept in the position; or "" if it takes more to tell. `framing` says how streams of a format are cut. `once`: the
    files that match at the first `read`, to their size then; the last line, if it has no end, only if it ends a JSON
    document, or `complete(format, line)` says that it is whole. `wake` is set when there may be something to read.
    `scan_interval` and `grace` in seconds; `max_open_files` caps descriptors; `max_line` in bytes. A file that is new
    and was last written more than `ignore_older` seconds ago is not read before it changes; None: every file is read.

    Raises `ConfigError` for paths that can never name files and for `auto` without `decide`.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 (the protocol's name)
        paths: Sequence[str],
        *,
        clock: Clock,
        format: str,  # noqa: A002 (the configuration's name)
        decide: Callable[[bytes], str] | None = None,
        framing: Callable[[str], Framing] = lines_only,
        once: bool = False,
        complete: Callable[[str, bytes], bool] | None = None,
        exclude: Sequence[str] = (),
        wake: threading.Event | None = None,
        scan_interval: float = 1.0,
        max_open_files: int = 512,
        grace: float = 60.0,
        use_watchdog: bool = True,
        max_line: int = MAX_LINE,
        ignore_older: float | None = None,
    ) -> None:
        if format == "auto" and decide is None:
            raise ConfigError("read files", id, "format auto needs a way to decide", "name a format")
        self.id = id
        self._clock = clock
        self._format = format
        self._decide = decide
        self._once = once
        self._complete = complete
        self._interval = scan_interval
        self._ignore_older = ignore_older
        self._discovery = Discovery(paths, exclude)
        self._follower = Follower(
            self._discovery,
            form="" if format == "auto" else format,
            once=once,
            max_open=max(1, max_open_files),
            grace=grace,
            max_line=max_line,
            framing=framing,
        )
        self._hints: Hints | None = None
        self._watches, self._wake = use_watchdog and not once, wake
        self._queue: deque[Stream] = deque()
        self._queued: set[str] = set()
        self._last_scan: float | None = None
        self._last_look = self._last_release = 0.0
        self._due = scan_interval
        self._left: list[tuple[str, int, int]] = []
        self._cuts: deque[Cut] = deque(maxlen=_MAX_CUTS)
        self._ended: list[str] = []
        self._missing: list[str] = []

    # -- the protocol ----------------------------------------------------------------------------------------------

    def restore(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over kept positions by stream id, before the first `read`.

        Raises `ConfigError` for a position that a newer release wrote, `CorruptError` for one that is none.
        """
        self._follower.restore({name: Position.from_json(name, value) for name, value in positions.items()})

    def read(self, budget: int) -> Iterator[Chunk]:
        """Look, and give out what can be read now, about `budget` bytes at the most.

        The caller may stop at any chunk; what was given out by then counts, the rest comes with the next `read`.
        """
        now = self._follower.now = self._clock.monotonic()
        self._refresh(now)
        yield from self._outgoing()
        used = waiting = 0
        # A line that is longer than the budget is read in one go: an empty answer means that there is nothing to read.
        given = False
        while (used < budget or (not given and used < _PATIENCE * budget)) and waiting < len(self._queue):
            stream = self._queue.popleft()
            self._queued.discard(stream.id)
            if stream.over or not stream.ready or self._follower.streams.get(stream.id) is not stream:
                continue
            count = min(TURN, budget - used) if used < budget else TURN
            looked = stream.pack is not None and not stream.pack.known
            if not (self._follower.packs.survey(stream, count) if looked else self._may_read(stream, now)):
                self._enqueue(stream)
                waiting += 1
                continue
            waiting = 0
            if looked:
                used += self._spent(stream)
                self._enqueue_ready()
                yield from self._outgoing()
                continue
            before = stream.read_to
            turn = self._turn(stream, count, now)
            used += max(0, stream.read_to - before) if stream.pack is None else self._spent(stream)
            if turn is not None and turn.records:
                given = True
                if not stream.format:  # the sample of a compressed file was too far in to be looked for
                    self._chosen(stream, b"\n".join(record.data for record in turn.records), final=True)
                yield self._chunk(stream, turn.records, stream.position().to_json(), turn.mtime)
            if turn is not None:
                stream.ready = turn.more
            if stream.ready:
                self._enqueue(stream)
            yield from self._outgoing()
        if used and not given and self._wake is not None:
            self._wake.set()  # compressed files were unpacked, and nothing was given out yet
        if self._once:
            yield from self._conclude()

    def done(self) -> bool:
        """With `once`: True when every file was read to the size it had, or given up. Else False."""
        follower = self._follower
        if not self._once or self._last_scan is None or follower.outbox or follower.copies.pending:
            return False
        return all(stream.over for stream in follower.streams.values())

    def close(self) -> None:
        """Close all files and end all threads. May be called twice."""
        if self._hints is not None:
            self._hints.close()
        self._follower.close()
        self._queue.clear()
        self._queued.clear()

    # -- what there is to tell -------------------------------------------------------------------------------------

    def left(self) -> list[tuple[str, int, int]]:
        """With `once`: the unterminated last lines that were not given out, as (path, offset, bytes)."""
        return list(self._left)

    def losses(self) -> list[Loss]:
        """What was lost since the last call."""
        taken = list(self._follower.losses)
        self._follower.losses.clear()
        return taken

    def cuts(self) -> list[Cut]:
        """Records given out since the last call that are not whole lines; ask after each chunk to match them."""
        taken = list(self._cuts)
        self._cuts.clear()
        return taken

    def ended(self) -> list[str]:
        """Stream ids since the last call of which no more can come and whose last chunk was given out.

        Their positions need not be kept any longer once those chunks are kept; a position that is still there at the
        next start is looked for, and reported as lost if its file is gone.
        """
        taken, self._ended = self._ended, []
        return taken

    def problems(self) -> list[Problem]:
        """What cannot be read now, at most 1,000 entries; they go away by themselves."""
        return self._follower.handles.problems(
            [
                *self._follower.looking,
                *self._follower.packs.problems(),
                *((path, "no such file") for path in self._missing),
            ]
        )

    def statistics(self) -> list[dict[str, Any]]:
        """Per stream: `stream`, `path`, `offset`, `size`, `lag` (bytes not given out), `format`, `cut`, `state`.

        `cut` counts records that were not whole lines. Of a compressed file, places and sizes are of its content; they
        are 0 before it was looked into. A file older than `ignore_older` has no `stream`, and the state `ignored`.
        """
        nothing = {"offset": 0, "lag": 0, "format": "", "cut": 0, "state": "ignored"}
        ignored = [
            {"stream": "", "path": found.path, "size": found.size, **nothing}
            for found in list(self._follower.ignored.values())
        ]
        return ignored + [
            {
                "stream": stream.id,
                "path": stream.path,
                "offset": stream.offset,
                "size": stream.size,
                "lag": max(0, stream.size - stream.offset),
                "format": stream.format,
                "cut": stream.cut,
                "state": _state(stream),
            }
            for stream in list(self._follower.streams.values())
        ]

    # -- looking ---------------------------------------------------------------------------------------------------

    def _spent(self, stream: Stream) -> int:
        """Bytes of a compressed file that were unpacked since this was asked last."""
        assert stream.pack is not None
        spent, stream.pack.spent = stream.pack.spent, 0
        return spent

    def _refresh(self, now: float) -> None:
        follower, hints = self._follower, self._hints
        if self._last_scan is None:
            if self._once:
                self._missing = self._discovery.missing()
            self._scan(now)
        elif self._once:
            if follower.copies.pending:
                self._scan(now)
            follower.copies.settle(now)
        else:
            since = now - self._last_scan
            if since >= self._due or (hints is not None and hints.moved and since >= _MIN_SCAN):
                self._scan(now)
            elif self._watches and hints is None:
                self._watch(now)
            else:
                changed = [] if hints is None else hints.changed()
                for path in changed:
                    follower.written(path, now)
                if hints is None or not hints.whole or now - self._last_look >= self._interval:
                    follower.glance(now)
                    self._last_look = now
                follower.copies.settle(now)
        self._enqueue_ready()
        if not self._once and now - self._last_release >= _RELEASE_EVERY:
            self._last_release = now
            self._release(now)

    def _release(self, now: float) -> None:
        """Give out groups and whole lines of which nobody can tell the end, where nothing came for a while."""
        for stream in self._follower.streams.values():
            if stream.ready or stream.unread or stream.over:
                continue
            framer = stream.framer
            wait = framer.overdue
            if wait is not None and now - stream.grown >= wait:
                self._follower.tell(stream, stream.release())
            elif framer.end != framer.offset and now - stream.grown >= UNENDED and self._ends(stream):
                self._follower.tell(stream, stream.flush()[0])

    def _ends(self, stream: Stream) -> bool:
        """Whether a stream's last line, which has no line end, is whole; looked at once, however long it stays so."""
        end = stream.read_to
        if stream.looked == end or stream.framer.hollow or not stream.format:
            return False
        stream.looked = end
        return self._is_whole(stream)

    def _is_whole(self, stream: Stream) -> bool:
        """Whether the last line, which has no line end, ends a document or is complete in the stream's format."""
        framer = stream.framer
        if framer.ends or self._complete is None or framer.line != framer.offset:
            return framer.ends
        return self._complete(stream.format, framer.partial)

    def _scan(self, now: float) -> None:
        if self._hints is not None:
            self._hints.clear()
        self._follower.scan(now, None if self._ignore_older is None else self._clock.now() - self._ignore_older)
        if not self._once:
            self._follower.tick(now)
        if self._hints is not None:
            self._watch(now)
        self._last_scan = self._last_look = now
        quiet = self._hints is not None and self._hints.whole and self._follower.settled
        self._due = self._interval * (QUIET if quiet else 1)

    def _watch(self, now: float) -> None:
        """Let the directories be watched; from the second read on, so that what is there already is read first."""
        if self._hints is None:
            from shipper.inputs.file.hints import Hints  # noqa: PLC0415 - watchdog takes longer to import than a line

            self._hints = Hints(self._wake)
        before = self._hints.whole
        self._hints.update(self._follower.directories, now)
        if self._hints.whole and not before:
            self._follower.glance(now)  # what happened before the watches stood
            self._follower.copies.settle(now)

    def _enqueue(self, stream: Stream) -> None:
        if stream.id not in self._queued:
            self._queued.add(stream.id)
            self._queue.append(stream)

    def _enqueue_ready(self) -> None:
        for stream in self._follower.streams.values():
            if stream.ready and not stream.over:
                self._enqueue(stream)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _may_read(self, stream: Stream, now: float) -> bool:
        """Whether it is this stream's turn: known for new, after its predecessor, readable, with a format."""
        if stream.fresh:
            return False
        if stream.wait is not None:
            other, target = stream.wait
            gone = other.over or self._follower.streams.get(other.id) is not other
            idle = other.pack is not None and not other.ready
            if not (gone or idle or other.retry is not None or other.read_to >= target):
                return False
            stream.wait = None
        if not self._follower.handles.ensure(stream, now):
            return False
        try:
            if stream.pack is not None:
                if not self._follower.packs.acquire(stream):
                    return False
            elif stream.read_to < PEEK and not stream.offset and stream.packed():
                self._follower.repack(stream)
                return False
            return bool(stream.format) or self._decided(stream, now)
        except OSError as error:
            self._follower.fail(stream, error, now)
            return False

    def _decided(self, stream: Stream, now: float) -> bool:
        """Choose the format of a stream, if enough of it is there. Raises OSError."""
        final = self._once or not stream.linked or stream.pack is not None
        if stream.undecided == stream.size and not final:
            return False
        lines, rest, full = stream.sample(SAMPLE)
        if not (lines or full or final) and rest and now - stream.grown >= UNENDED:
            stream.undecided = stream.size  # looked at once, however long it stays so
            final = self._complete is not None and self._complete("", rest)
        if not lines and not full and not (final and rest):
            return final  # nothing but empty lines, or nothing at all: there is nothing to give out
        if stream.sampled is None:
            stream.sampled = now
        if not (full or final or now - stream.sampled >= SAMPLE_WAIT):
            return False
        stream.undecided = stream.size
        return self._chosen(stream, lines or rest, final=final)

    def _chosen(self, stream: Stream, sample: bytes, *, final: bool) -> bool:
        """Whether `sample` shows the format; if it is `final`, there is no more."""
        assert self._decide is not None
        stream.format = self._decide(sample) or (TEXT if final else "")
        if stream.format and not stream.read_to:
            stream.framer = self._follower.framer(stream.format)
        return bool(stream.format)

    def _turn(self, stream: Stream, count: int, now: float) -> Turn | None:
        """Read once; None when it did not work."""
        start = stream.read_to
        try:
            turn = stream.read(count)
            if turn.changed:
                self._follower.copies.changed(stream, now)
        except OSError as error:
            self._follower.fail(stream, error, now)
            return None
        self._follower.handles.works(stream)
        if turn.changed:
            self._scan(now)  # the copy, if it was copied before it was truncated, is there by now
            self._enqueue_ready()
            return None
        if stream.read_to != start:
            stream.grown = now
        return turn

    def _chunk(
        self, stream: Stream, records: Sequence[Record], position: Mapping[str, Any], mtime: float | None
    ) -> Chunk:
        if stream.framer.truncated:
            for offset, length in stream.framer.truncated.items():
                self._cuts.append(Cut(stream.path, stream.id, offset, length, "long"))
            stream.cut += len(stream.framer.truncated)
            stream.framer.truncated.clear()
        return Chunk(self.id, stream.id, stream.path, stream.format, records, position, self._clock.now(), mtime)

    def _outgoing(self) -> Iterator[Chunk]:
        """What the follower has to tell beside what is read."""
        outbox = self._follower.outbox
        if self._follower.packs.busy:
            self._follower.packs.settle()  # what waits for a stream that is over goes out together with its end
            self._enqueue_ready()
        while outbox:
            stream, records, position, last, cut = outbox.popleft()
            if records and not stream.format:
                self._chosen(stream, b"\n".join(record.data for record in records), final=True)
                position = {**position, "format": stream.format}
            if cut and records:
                stream.cut += 1
                self._cuts.append(Cut(stream.path, stream.id, records[-1].offset, records[-1].length, "unterminated"))
            if last:  # before the chunk is given out: the caller may stop reading at any chunk
                self._ended.append(stream.id)
            if records or not last:
                mtime = stream.mtime_ns / 1e9 if stream.mtime_ns else None
                yield self._chunk(stream, records, position, mtime)

    # -- once ------------------------------------------------------------------------------------------------------

    def _conclude(self) -> Iterator[Chunk]:
        """Close the account of each file that was read to the size it had at the start."""
        unfinished = self._follower.packs.unfinished
        for stream in list(self._follower.streams.values()):
            if stream.over or stream.unread or (stream.fresh and stream.limit) or unfinished(stream):
                continue
            stream.over = True
            framer = stream.framer
            length = 0 if framer.hollow else framer.end - framer.line
            whole = not length or self._is_whole(stream)
            if stream.pack is not None and not whole:
                whole = True  # nothing can follow in a file that is whole
                stream.cut += 1
                self._cuts.append(Cut(stream.path, stream.id, framer.line, length, "unterminated"))
            if not whole:
                self._left.append((stream.path, framer.line, length))
            records = stream.flush()[0] if whole else stream.release()
            if records:
                position = stream.position().to_json()
                yield self._chunk(stream, records, position, stream.mtime_ns / 1e9)


def _state(stream: Stream) -> str:
    if stream.retry is not None:
        return "failing"
    if stream.fresh:
        return "held"
    if stream.pack is not None and stream.pack.fault:
        return "damaged"
    if not stream.linked:
        return "away"
    return "closed" if stream.closed else "following"
