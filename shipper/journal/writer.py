"""Writing the journal: one frame, one write, one sync; then, and only then, readers see it and sources may advance.

The writer keeps these promises on every path:

- A frame is acknowledged (`append` returns) only after its sync has succeeded. After any error nothing is published and
  the same number goes to the next attempt; the caller keeps the data.
- A file whose sync failed is never written or synced again; the next attempt begins a new segment.
- A segment appears under its name only when its header is durable (`<name>.tmp`, sync, rename, sync of the folder).
- Each segment's first frame carries the full state, so any newest segment is enough for a restart.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from shipper.errors import CorruptError, DiskError
from shipper.fs import Fs, ensure_dir, write_all
from shipper.journal import format as codec
from shipper.journal.reader import Published, Reader, Segment
from shipper.journal.start import STATE, Recovery, recover

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from shipper.clock import Clock

SEGMENT_BYTES = 64 * 1024 * 1024
MAX_SYNC_FAILURES = 3
"""So many failed syncs in a row end the agent: the disk does not keep what it is given."""


class JournalError(DiskError):
    """The frame was not kept. `fatal`: stop the agent (exit 74); otherwise keep the data and call `append` again."""

    def __init__(self, op: str, place: str, cause: str, hint: str = "", *, fatal: bool = False) -> None:
        super().__init__(op, place, cause, hint)
        self.fatal = fatal


@dataclass(slots=True)
class _Active:
    """The segment being written. `length`: end of its last kept frame. `dirty`: there may be bytes after that."""

    segment: Segment
    handle: int
    salt: bytes
    length: int
    fresh: bool
    dirty: bool = False


class Journal:
    """The journal of one state folder, for one writing thread and any number of reading ones.

    `append` is called by one thread; `reader`, `release` and the properties by any. Two processes must not open the
    same folder (the agent holds the lock of the state folder).
    """

    def __init__(
        self,
        folder: Path,
        fs: Fs,
        clock: Clock,
        published: Published,
        *,
        segment_bytes: int,
        max_bytes: int,
        keep_seconds: float,
        state_seq: int,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._fs = fs
        self._clock = clock
        self._published = published
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._state_seq = state_seq
        self._entropy = entropy
        self._writing = threading.Lock()
        self._releasing = threading.Lock()
        self._active: _Active | None = None
        self._sync_failures = 0
        self._deleted = False
        """A segment's name is gone and may come back: the folder was not synced since."""

    @classmethod
    def open(
        cls,
        folder: Path,
        fs: Fs,
        clock: Clock,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int,
        keep_seconds: float,
        floor: int = 0,
        scan_from: int = 0,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> tuple[Journal, Recovery]:
        """Take the journal up, making the folder if there is none.

        `floor`: the furthest cursor of all outputs; numbering never goes on below it (see `Recovery.damage`).
        `scan_from`: the nearest cursor; segments wholly below are not verified, which saves reading gigabytes.
        `keep_seconds`: how long a segment that everybody has passed stays. Raises `DiskError`, and `CorruptError` for a
        journal of another format version.
        """
        ensure_dir(folder, fs)
        try:
            for name in fs.listdir(folder):
                if name.endswith(".seg.tmp"):
                    fs.unlink(folder / name)  # a segment that was never born
            taken = recover(folder, fs, clock, floor=floor, scan_from=scan_from)
            published = Published(fs, taken.segments, taken.recovery.next_seq)
            journal = cls(
                folder,
                fs,
                clock,
                published,
                segment_bytes=segment_bytes,
                max_bytes=max_bytes,
                keep_seconds=keep_seconds,
                state_seq=taken.state_seq,
                entropy=entropy,
            )
            if taken.active:
                segment, salt = taken.active
                handle = fs.open_write(segment.path)
                journal._active = _Active(segment, handle, salt, segment.length, fresh=False)
        except OSError as error:
            raise _translated("open journal", folder, error) from error
        return journal, taken.recovery

    def append(
        self, meta: Mapping[str, Any], documents: Sequence[bytes], *, snapshot: Callable[[], Mapping[str, Any]]
    ) -> int:
        """Keep one frame: one write, one sync; returns its number once it is durable.

        `documents` are the shipped bytes, without line feeds. `snapshot` is called when a new segment begins and gives
        the full state as it is *before* this frame; it goes into the frame's meta as `state`, a name that `meta` must
        not use. Raises `JournalError` when the disk does not keep the frame: nothing was published and the next
        call gets the same number. `ValueError` and `TypeError` are for a frame that cannot be encoded.
        """
        if STATE in meta:
            raise ValueError(f"the meta of a frame must not use {STATE!r}")
        with self._writing:
            if self._published.closed:
                raise ValueError("the journal is closed")
            if self._sync_failures >= MAX_SYNC_FAILURES:
                raise self._sync_error(None)
            seq = self._published.next_seq
            active = self._active
            if active is None or (active.length >= self._segment_bytes and not active.fresh):
                active = self._begin_segment(seq)
            content = {**meta, STATE: dict(snapshot())} if active.fresh else dict(meta)
            # Through JSON once, so that a frame from memory equals the same frame from disk.
            frame = codec.Frame(seq, orjson.loads(orjson.dumps(content)), tuple(documents))
            data = codec.encode(frame, active.salt)
            self._write(active, data)
            try:
                self._fs.fdatasync(active.handle)
            except OSError as error:
                raise self._abandon(active, error) from error
            active.length += len(data)
            active.dirty = False
            self._sync_failures = 0
            if active.fresh:
                active.fresh, self._state_seq = False, seq
            self._published.publish(active.segment, active.length, frame, codec.decode_frame_header(data).raw_length)
            return seq

    def reader(self, seq: int) -> Reader:
        """A reader whose first frame is `seq`, which may be `next_seq`. Raises `CorruptError` for one beyond it."""
        with self._published.changed:
            if not 0 <= seq <= self._published.next_seq:
                raise CorruptError(
                    "read journal",
                    str(self._folder),
                    f"a cursor stands at frame {seq}, the journal ends before {self._published.next_seq}",
                    "open the journal with the furthest cursor as its floor",
                )
        return Reader(self._published, seq)

    def release(self, seq_needed: int, *, checkpoint_seq: int, urgent: bool = False) -> int:
        """Delete the segments that nobody needs, oldest first; returns the bytes freed.

        A segment goes when all its frames are below `seq_needed` (the nearest cursor, itself durable) and below
        `checkpoint_seq` (the frame of the newest durable checkpoint), when the next segment was begun `keep_seconds`
        ago (`urgent` waives this, for a full journal), and never if it holds the newest state or comes after it.
        Raises `JournalError`; what was deleted until then stays deleted.
        """
        bound = min(seq_needed, checkpoint_seq, self._state_seq)
        freed = 0
        with self._releasing:
            while True:
                with self._published.changed:
                    if len(self._published.segments) < 2:
                        return freed
                    oldest, following = self._published.segments[:2]
                    if following.first_seq > bound:
                        return freed
                    age = self._clock.now() - following.created_ms / 1000
                    if age < self._keep_seconds and not urgent:
                        return freed
                try:
                    # Each deletion is made durable before the next, so that a power cut cannot leave a hole.
                    if self._deleted:
                        self._fs.fsync_dir(self._folder)
                        self._deleted = False
                    with contextlib.suppress(FileNotFoundError):
                        self._fs.unlink(oldest.path)
                    self._deleted = True
                    with self._published.changed:
                        self._published.segments.remove(oldest)
                        self._published.forget(following.first_seq)
                        freed += oldest.length
                    self._fs.fsync_dir(self._folder)
                    self._deleted = False
                except OSError as error:
                    raise _translated("delete journal segment", oldest.path, error) from error

    @property
    def next_seq(self) -> int:
        """The number that the next frame gets."""
        with self._published.changed:
            return self._published.next_seq

    @property
    def first_seq(self) -> int:
        """The lowest number that is still on disk; `next_seq` when there is none."""
        with self._published.changed:
            return self._published.first_seq

    def oldest(self) -> tuple[int, int] | None:
        """The oldest segment that may be given back: its first frame, and that of the next one; None for none."""
        with self._published.changed:
            segments = self._published.segments
            if len(segments) < 2 or segments[1].first_seq > self._state_seq:
                return None
            return segments[0].first_seq, segments[1].first_seq

    @property
    def bytes_used(self) -> int:
        """Bytes of all segments."""
        with self._published.changed:
            return sum(segment.length for segment in self._published.segments)

    def bytes_from(self, seq: int) -> int:
        """Bytes of the frames from `seq` on: exact to the segment, and inside of one in proportion to its frames."""
        with self._published.changed:
            total, limit = 0, self._published.next_seq
            for segment in reversed(self._published.segments):
                if segment.first_seq <= seq:
                    frames = limit - segment.first_seq
                    return total + (segment.length * max(0, limit - seq) // frames if frames else 0)
                total, limit = total + segment.length, segment.first_seq
            return total

    @property
    def full(self) -> bool:
        """At or above `max_bytes`: stop reading sources until outputs have caught up. `append` still works."""
        return self.bytes_used >= self._max_bytes

    @property
    def closed(self) -> bool:
        """`close` was called: readers give None."""
        return self._published.closed

    def close(self) -> None:
        """Close the file and wake the readers, which return None from now on; may be called twice.

        Readers are closed by whoever has them.
        """
        with self._writing:
            active, self._active = self._active, None
            self._published.close()
            if active:
                with contextlib.suppress(OSError):  # all that counts was synced
                    self._fs.close(active.handle)

    def _begin_segment(self, seq: int) -> _Active:
        """A new segment with a durable header and a durable name. The one before is not written any more."""
        fs = self._fs
        path = self._folder / codec.segment_name(seq)
        temporary = self._folder / f"{path.name}.tmp"
        header = codec.SegmentHeader(seq, int(self._clock.now() * 1000), self._entropy(8))
        try:
            try:
                handle = fs.open_new(temporary)
            except FileExistsError:  # from an attempt that failed
                fs.unlink(temporary)
                handle = fs.open_new(temporary)
        except OSError as error:
            raise _translated("begin journal segment", path, error) from error
        try:
            write_all(fs, handle, codec.encode_segment_header(header), 0)
            try:
                fs.fsync(handle)
                # A file of this name can only be one that never got a frame: its number would be taken otherwise.
                fs.replace(temporary, path)
                fs.fsync_dir(self._folder)
            except OSError as error:
                self._sync_failures += 1
                raise self._sync_error(error) from error
        except BaseException as error:
            with contextlib.suppress(OSError):
                fs.close(handle)
            with contextlib.suppress(OSError):
                fs.unlink(temporary)
            if isinstance(error, OSError):
                raise _translated("begin journal segment", path, error) from error
            raise
        if self._active:
            with contextlib.suppress(OSError):
                fs.close(self._active.handle)
        segment = Segment(path, seq, header.created_ms, header.length)
        self._active = _Active(segment, handle, header.salt, header.length, fresh=True)
        return self._active

    def _write(self, active: _Active, data: bytes) -> None:
        """All bytes after the last kept frame; if that fails, cut back to where it ends."""
        try:
            if active.dirty:
                self._fs.truncate(active.handle, active.length)
            active.dirty = True
            write_all(self._fs, active.handle, data, active.length)
        except OSError as error:
            self._cut_back(active)
            raise _translated("write journal frame", active.segment.path, error) from error

    def _cut_back(self, active: _Active) -> None:
        """Take away what stands after the last kept frame; if that fails too, it is done before the next write."""
        try:
            self._fs.truncate(active.handle, active.length)
            active.dirty = False
        except OSError:
            active.dirty = True

    def _abandon(self, active: _Active, error: OSError) -> JournalError:
        """After a failed sync: nobody knows what is on the disk, so this file is done with.

        Cutting the frame off is not needed for a restart, which would take the later segment's copy; it only keeps a
        frame that was never acknowledged out of sight if the process ends before that segment exists.
        """
        self._sync_failures += 1
        self._cut_back(active)
        with contextlib.suppress(OSError):
            self._fs.close(active.handle)
        self._active = None
        return self._sync_error(error)

    def _sync_error(self, error: OSError | None) -> JournalError:
        fatal = self._sync_failures >= MAX_SYNC_FAILURES
        cause = (error.strerror or str(error)) if error else "the disk did not keep what it was given"
        hint = "look at the disk: dmesg | tail; then start the agent again: what it keeps is intact" if fatal else ""
        return JournalError("sync journal", str(self._folder), cause, hint, fatal=fatal)


def _translated(op: str, path: Path, error: OSError) -> JournalError:
    hint = f"df -h {path.parent}; df -i {path.parent}; ls -ld {path.parent}"
    return JournalError(op, str(path), error.strerror or str(error), hint)
