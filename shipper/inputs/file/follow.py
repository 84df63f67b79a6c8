"""Which stream stands where: the scan matched with what is known, rotations, copies, truncations, disappearances.

One `Follower` holds the streams of one input. The rules, in the order in which they are tried for a file that the scan
found:

1. Its inode is that of a stream: the same stream, perhaps under a new name. While the stream's file is open the inode
   cannot be given to another; else the birth time is compared.
2. Inode and birth time are those of a kept position, and head and anchor verify: the stream is resumed. They do not
   verify: the file was truncated or written anew; it starts at 0 as the next generation.
3. Head (at least 64 bytes) and anchor of a stream that lost its file verify in it: it is a copy, made before the
   original was truncated; the stream goes on in the copy. If it ends a little before the place to which the original
   was read, all of it is known already.
4. So far it equals the beginning of a file that is being followed: it may become such a copy, and is held back until
   it differs, the original is truncated, or it has not grown for `HOLD` seconds.
5. It is new and starts at byte 0.

A stream whose file the scan no longer finds is read to its end through the open descriptor and ends `grace` seconds
after its last growth. If it was not open (an earlier run), its inode and then its content are looked for among the
files beside it. What cannot be found is a `Loss`.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.framing import LineFramer
from shipper.inputs.file.discovery import family
from shipper.inputs.file.handles import Handles, copied_beside, perhaps_unmounted, renamed_beside
from shipper.inputs.file.identity import HEAD, MIN_HEAD, FileId, Position, fingerprint, identify, stream_id
from shipper.inputs.file.reader import Stream, open_file

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from shipper.inputs.file.discovery import Discovery, Found
    from shipper.model import Record

HOLD: Final = 10.0
"""Seconds without growth after which a file that equals the beginning of another is no copy in the making."""
REMOUNT: Final = 3600.0
"""Seconds for which a file is waited for whose file system seems not to be mounted."""
_KEY: Final = 16  # bytes of beginning by which possible originals are indexed
_MAX_KEPT: Final = 1000


class Loss(NamedTuple):
    """Bytes that were there, or may have been, and cannot be read any more.

    `offset`: up to here the stream was read. `seen_size`: the largest size seen, where it was larger; None: unknown.
    """

    path: str
    stream: str
    offset: int
    seen_size: int | None


class Outgoing(NamedTuple):
    """Something to tell of a stream beside what is read: records (or none: only the position) and whether it is over.

    `position` is the one after `records`.
    """

    stream: Stream
    records: Sequence[Record]
    position: Mapping[str, object]
    last: bool


class Follower:
    """The streams of one input. All methods are for one thread; every `now` is monotonic."""

    def __init__(
        self, discovery: Discovery, *, form: str, once: bool, max_open: int, grace: float, max_line: int
    ) -> None:
        self._discovery = discovery
        self._form = form
        self._once = once
        self._grace = grace
        self._max_line = max_line
        self.handles = Handles(max_open)
        self.streams: dict[str, Stream] = {}
        self.outbox: deque[Outgoing] = deque()
        self.losses: deque[Loss] = deque(maxlen=_MAX_KEPT)
        self.directories: set[str] = set()
        self.looking: list[tuple[str, str]] = []  # problems of the last scan
        self.skipped: dict[tuple[int, int], tuple[str, int]] = {}
        self._inodes: dict[tuple[int, int], Stream] = {}
        self._stored: dict[str, Position] = {}  # kept positions whose file was not found yet
        self._parked: dict[str, Position] = {}  # read to the end, renamed out of the patterns
        self._families: dict[str, Stream] = {}  # the newest of each rotated log
        self._fresh: dict[str, Stream] = {}
        self._orphans: list[tuple[Stream, Stream]] = []  # truncated, and its next generation
        self._kept_by_inode: dict[int, list[tuple[str, Position]]] = {}
        self._first_scan: float | None = None

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Take over the kept positions; their files are looked for at the next scan."""
        self._stored.update(positions)

    # -- looking ---------------------------------------------------------------------------------------------------

    def scan(self, now: float) -> None:
        """Look at the directories and match what is there with what is known."""
        scan = self._discovery.scan()
        self.directories, self.looking = scan.directories, scan.problems
        seen: set[tuple[int, int]] = set()
        newcomers: list[Found] = []
        for found in scan.files:
            key = (found.dev, found.ino)
            seen.add(key)
            if key in self.skipped and found.size >= self.skipped[key][1]:
                continue
            stream = self._inodes.get(key)
            if stream is None or not self._still(stream, found, now):
                newcomers.append(found)
            else:
                self._sighted(stream, found, now)
        for key in [key for key in self.skipped if key not in seen]:
            del self.skipped[key]
        names = {name for found in scan.files for name in found.names} | {item.path for item in self.streams.values()}
        for path in [path for path in self.handles.failing if path not in names]:
            del self.handles.failing[path]
        for stream in list(self.streams.values()):
            if (stream.file.dev, stream.file.ino) not in seen:
                self._away(stream, now)
        self._kept_by_inode = {}
        for kept in (self._stored, self._parked):
            for name, position in kept.items():
                self._kept_by_inode.setdefault(position.file.ino, []).append((name, position))
        unopened = {(found.dev, found.ino) for found in newcomers if not self._adopt(found, now)}
        if self._stored:
            self._find_stored(unopened, now)
        if self._first_scan is None:
            self._first_scan = now
        self.settle(now)

    def glance(self, now: float) -> None:
        """Look at the open files only."""
        for stream in list(self.handles.open.values()):
            self._look(stream, now)

    def _look(self, stream: Stream, now: float) -> os.stat_result | None:
        try:
            status = os.fstat(stream.fd)
        except OSError as error:
            self.fail(stream, error, now)
            return None
        stream.notice(status.st_size, status.st_mtime_ns)
        return status

    def _still(self, stream: Stream, found: Found, now: float) -> bool:
        """Whether the file found is the one of `stream`, whose inode number it has."""
        unchanged = (found.size, found.mtime_ns) == (stream.size, stream.mtime_ns)
        if stream.fd >= 0 or unchanged or stream.over:
            return True
        if stream.retry is not None and now < stream.retry:
            return True
        if self.handles.reopen(stream, found.path, now) is not False:
            return True
        self._vanish(stream)
        return False

    def _sighted(self, stream: Stream, found: Found, now: float) -> None:
        stream.linked = True
        if stream.path not in found.names:
            stream.former, stream.path, stream.renamed = stream.path, found.path, True
            stream.grown = now
        if stream.over:
            return
        stream.notice(found.size, found.mtime_ns)
        if stream.check and stream.fd >= 0:
            stream.check -= 1
            try:
                if not stream.intact():
                    self.changed(stream, now)
            except OSError as error:
                self.fail(stream, error, now)

    def _away(self, stream: Stream, now: float) -> None:
        if stream.linked:
            stream.linked, stream.renamed, stream.grown = False, True, now
        if stream.over:
            return
        if stream.fd >= 0:
            self._look(stream, now)
        elif stream.retry is None or now >= stream.retry:
            position = stream.position()
            path = renamed_beside(stream.path, position, ())
            if path is not None and self.handles.reopen(stream, path, now) is not False:
                if stream.fd >= 0:
                    self._look(stream, now)
                return
            if now - stream.grown >= REMOUNT or not perhaps_unmounted(position):
                self._vanish(stream)

    # -- files that nobody follows yet -----------------------------------------------------------------------------

    def _adopt(self, found: Found, now: float) -> bool:
        """Open a file that no stream stands for. False: it cannot be opened now."""
        if self.handles.waits(found.path, now):
            return False
        self.handles.make_room()
        try:
            fd = open_file(found.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            self.handles.note(found.path, error, now)
            return False
        self.handles.failing.pop(found.path, None)
        taken = False
        try:
            file = identify(fd)
            if (file.dev, file.ino) != (found.dev, found.ino):  # another file by now: the next scan sees it
                return False
            self._place(fd, file, found.path, now)
            taken = True
        except OSError as error:
            self.handles.note(found.path, error, now)
        finally:
            if not taken:
                os.close(fd)
        return taken

    def _place(self, fd: int, file: FileId, path: str, now: float) -> None:
        """Make a stream of an open file: a kept one where inode, birth time and content agree, else a fresh one."""
        status = os.fstat(fd)
        known = [
            (position.generation, name, position)
            for name, position in self._kept_by_inode.get(file.ino, ())
            if position.same_inode(file) and (name in self._stored or name in self._parked)
        ]
        known.sort(key=lambda item: item[0], reverse=True)
        for _, name, position in known:
            if position.verifies(fd, status.st_size):
                self._resume(name, position, fd, file, path, now)
                return
        stream = self._create(file, known[0][0] + 1 if known else 0, path, now)
        stream.fd, stream.size = fd, status.st_size
        stream.fresh = True
        self._fresh[stream.id] = stream
        self._register(stream)

    def _create(self, file: FileId, generation: int, path: str, now: float) -> Stream:
        while (name := stream_id(file, generation)) in self.streams or name in self._stored or name in self._parked:
            generation += 1
        stream = Stream(name, file, generation, path, LineFramer(max_line=self._max_line), self._form)
        stream.grown = now
        return stream

    def _register(self, stream: Stream) -> None:
        """Enter an open stream in all indexes."""
        self.streams[stream.id] = stream
        self._inodes[stream.file.dev, stream.file.ino] = stream
        self.handles.enter(stream)
        if self._once:
            stream.limit = stream.size
            stream.over = self._first_scan is not None  # a file that came later
        stream.ready = stream.size != stream.read_to
        kin = family(stream.path)
        older = self._families.get(kin)
        if older is not None and older is not stream and older.unread and not older.over:
            stream.wait = (older, older.read_to + older.unread)
        self._families[kin] = stream

    def _resume(self, name: str, position: Position, fd: int, file: FileId, path: str, now: float) -> Stream:
        """Go on with a kept stream in an open file; its position is no longer looked for. Raises OSError."""
        framer = LineFramer(position.offset, position.encoding, self._max_line)
        form = self._form or position.format
        stream = Stream(name, file, position.generation, path, framer, form)
        stream.fd, stream.size, stream.seen = fd, os.fstat(fd).st_size, position.size
        stream.resume(position.offset)
        stream.closed, stream.grown = position.closed, now
        stream.renamed = position.path != path
        stream.former = position.path if stream.renamed else ""
        self._stored.pop(name, None)
        self._parked.pop(name, None)
        self._register(stream)
        return stream

    def _resume_outside(self, name: str, position: Position, path: str, now: float) -> Stream | None:
        """Resume a kept stream in a file outside the patterns, if it verifies there."""
        try:
            fd = open_file(path)
        except OSError:
            return None
        stream = None
        newest = self._families.get(family(path))
        try:
            if position.verifies(fd, os.fstat(fd).st_size):
                stream = self._resume(name, position, fd, identify(fd), path, now)
                stream.linked, stream.renamed = False, True
                stream.over = False  # not new, whenever it is found
                stream.wait = None
                if newest is not None:
                    self._follow_after(newest, stream)
        except OSError as error:
            self.handles.note(path, error, now)
        finally:
            if stream is None:
                os.close(fd)
        return stream

    def _find_stored(self, unopened: set[tuple[int, int]], now: float) -> None:
        """Look for the files of kept positions that the scan did not bring."""
        heads: dict[int, dict[str, list[Stream]]] = {}
        for name, position in list(self._stored.items()):
            if (position.file.dev, position.file.ino) in unopened:
                continue  # it is there and cannot be opened now
            path = renamed_beside(position.path, position, self._inodes)
            if path is not None and self._resume_outside(name, position, path, now) is not None:
                continue
            if position.head_len >= MIN_HEAD and self._into_fresh(name, position, heads, now):
                continue
            path = None if position.closed else copied_beside(position.path, position, self._inodes)
            if path is not None and self._resume_outside(name, position, path, now) is not None:
                continue
            if perhaps_unmounted(position) and (self._once or now - (self._first_scan or now) < REMOUNT):
                continue
            del self._stored[name]
            if not position.closed:
                seen = position.size if position.size > position.offset else None
                self.losses.append(Loss(position.path, name, position.offset, seen))
            self._tell_over(name, position)

    def _into_fresh(self, name: str, position: Position, heads: dict[int, dict[str, list[Stream]]], now: float) -> bool:
        """Let a kept stream go on in a file that is its copy. `heads` indexes the fresh files by head, per length."""
        index = heads.get(position.head_len)
        if index is None:
            index = heads[position.head_len] = {}
            for stream in self._fresh.values():
                if stream.fd >= 0 and stream.size >= position.head_len:
                    head = os.pread(stream.fd, min(HEAD, position.head_len), 0)
                    index.setdefault(fingerprint(head), []).append(stream)
        for stream in index.get(position.head, ()):
            if stream.fd >= 0 and stream.fresh and position.verifies(stream.fd, stream.size):
                over = stream.over
                heir = self._take_over(name, position, stream, now)
                heir.over = over
                self._tell(heir)
                return True
        return False

    # -- copies and truncations ------------------------------------------------------------------------------------

    def changed(self, stream: Stream, now: float) -> None:
        """The open file of `stream` no longer holds what was read of it: it was truncated or written anew.

        The file starts over as its next generation; where the old content went is settled at the next `settle`.
        """
        fd, stream.fd = stream.fd, -1
        self._drop(stream)
        heir = self._create(stream.file, stream.generation + 1, stream.path, now)
        heir.fd, heir.size = fd, os.fstat(fd).st_size
        heir.linked = stream.linked
        self._register(heir)
        stream.linked = False
        self._orphans.append((stream, heir))

    def settle(self, now: float) -> None:
        """Decide about truncated streams, and about files that may be copies."""
        self._rehouse_all(now)
        waiting = [item for item in self._fresh.values() if item.size or self._size(item, now)]
        if not waiting:
            return
        if self._truncated_among({family(item.path) for item in waiting}, now):
            self._rehouse_all(now)
            waiting = [item for item in waiting if item.fresh]
        index: dict[bytes, list[Stream]] = {}
        for stream in self.streams.values():
            if not stream.fresh and len(stream.head) >= _KEY and stream.fd >= 0:
                index.setdefault(stream.head[:_KEY], []).append(stream)
        for stream in waiting:
            try:
                self._classify(stream, index, now)
            except OSError as error:
                self.fail(stream, error, now)
        if self._orphans:
            self.settle(now)

    def _rehouse_all(self, now: float) -> None:
        orphans, self._orphans = self._orphans, []
        for stream, heir in orphans:
            self._rehouse(stream, heir, now)

    def _truncated_among(self, kin: Container[str], now: float) -> bool:
        """Notice truncations in the logs to which new files belong before these are taken for new."""
        suspects = [item for item in self.streams.values() if item.ready and item.fd >= 0 and not item.fresh]
        for stream in suspects:
            if family(stream.path) in kin and not stream.over:
                try:
                    if not stream.intact():
                        self.changed(stream, now)
                except OSError as error:
                    self.fail(stream, error, now)
        return bool(self._orphans)

    def _size(self, stream: Stream, now: float) -> int:
        return stream.size if stream.fd >= 0 and self._look(stream, now) is not None else 0

    def _classify(self, stream: Stream, index: Mapping[bytes, Sequence[Stream]], now: float) -> None:
        """Whether a fresh file is new (it becomes readable), a copy, or may become one (it stays fresh)."""
        if not self.handles.ensure(stream, now):
            return
        size, stream.size = stream.size, os.fstat(stream.fd).st_size
        if stream.held is not None and stream.size != size:
            stream.held = now
        head = os.pread(stream.fd, _KEY, 0)
        for other in index.get(head, ()) if stream.size >= _KEY else ():
            # A copy never takes the name of its original, but the file after a rotation by rename does.
            if other.fd < 0 or stream.path in {other.former, "" if other.linked else other.path}:
                continue
            if not other.intact():
                self.changed(other, now)  # settled before anything is decided here
                return
            relation = stream.relation(other)
            if not relation:
                continue
            if stream.held is None:
                stream.held = now
            if not self._once and now - stream.held < HOLD:
                return
            if relation == "continues":
                self._start_at(stream, other.offset, other)
            break
        stream.fresh, stream.held = False, None
        self._fresh.pop(stream.id, None)

    def _start_at(self, stream: Stream, offset: int, original: Stream) -> None:
        """Let a copy start where its content is no longer known."""
        stream.framer = LineFramer(offset, original.framer.encoding, self._max_line)
        stream.resume(offset)
        stream.format = original.format
        stream.fresh, stream.held = False, None
        self._fresh.pop(stream.id, None)
        stream.ready = stream.size != offset
        self._tell(stream)

    def _rehouse(self, stream: Stream, heir: Stream, now: float) -> None:
        """Find the copy in which a truncated stream goes on, or end it."""
        position = stream.position()
        for copy in list(self._fresh.values()):
            if not self._size(copy, now):
                continue
            try:
                # A file that was rotated from this one just now needs no 64 bytes of equal beginning.
                related = family(copy.path) == family(stream.path) and copy.extends(stream)
                if related or position.continues_in(copy.fd, copy.size):
                    self._hand_over(stream, self._take_over(stream.id, position, copy, now), heir)
                    return
                if copy.covered_by(stream):
                    self._start_at(copy, copy.size, stream)
                    self.finish(stream)
                    return
            except OSError as error:
                self.fail(copy, error, now)
        path = copied_beside(stream.path, position, self._inodes)
        if path is not None:
            moved = self._resume_outside(stream.id, position, path, now)
            if moved is not None:
                self._hand_over(stream, moved, heir)
                return
        if stream.seen > stream.read_to:
            self.losses.append(Loss(stream.path, stream.id, stream.read_to, stream.seen))
        self.finish(stream)

    def _take_over(self, name: str, position: Position, copy: Stream, now: float) -> Stream:
        """Resume a stream in the open file of a fresh one, which is no more. Raises OSError."""
        kin = family(copy.path)
        newest = self._families.get(kin)
        self._drop(copy)
        fd, copy.fd, copy.fresh, copy.over = copy.fd, -1, False, True
        try:
            stream = self._resume(name, position, fd, copy.file, copy.path, now)
        except OSError:
            os.close(fd)
            raise
        stream.linked, stream.wait = copy.linked, copy.wait
        if newest is not None and newest is not copy:
            self._families[kin] = newest
        for other in self.streams.values():
            if other.wait is not None and other.wait[0] is copy:
                other.wait = None if other is stream else (stream, stream.read_to + stream.unread)
        return stream

    def _hand_over(self, stream: Stream, moved: Stream, heir: Stream) -> None:
        """`moved` is `stream` in its new file; `heir` follows after it."""
        stream.over = True
        moved.limit, moved.over, moved.wait = stream.limit, False, None
        moved.former, moved.renamed = stream.path, True
        self._follow_after(heir, moved)
        self._tell(moved)

    def _follow_after(self, newest: Stream, older: Stream) -> None:
        """`newest`, of the same rotated log, is read after what there is of `older`."""
        self._families[family(newest.path)] = newest
        if newest.wait is None and older.unread and not newest.read_to:
            newest.wait = (older, older.read_to + older.unread)

    # -- ends ------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """End or close the streams whose file is rotated away, read, and has been quiet for the grace period."""
        for stream in list(self.streams.values()):
            if stream.over or stream.unread or now - stream.grown < self._grace:
                continue
            if not stream.linked:
                if stream.fd < 0:
                    continue
                status = self._look(stream, now)
                if status is None or stream.ready:
                    continue
                if stream.fresh or status.st_nlink == 0:
                    self.finish(stream)
                else:
                    self._park(stream)
            elif stream.closed or stream.fresh or stream.ready:
                continue
            elif stream.renamed or self._families.get(family(stream.path)) is not stream:
                record = stream.flush() if stream.renamed else None
                stream.closed = True
                self._tell(stream, [] if record is None else [record])

    def _park(self, stream: Stream) -> None:
        """Read to the end and renamed out of the patterns: remembered, in case that it comes back."""
        record = stream.flush()
        stream.closed = True
        self._drop(stream)
        stream.close()
        stream.over = True
        self._tell(stream, [] if record is None else [record])
        self._parked[stream.id] = stream.position()
        if len(self._parked) > _MAX_KEPT:
            name = next(iter(self._parked))
            self._tell_over(name, self._parked.pop(name))

    def _vanish(self, stream: Stream) -> None:
        """The file of a stream that is not open is gone."""
        unread = stream.seen > stream.read_to
        if unread or not (stream.closed or stream.fresh):
            self.losses.append(Loss(stream.path, stream.id, stream.read_to, stream.seen if unread else None))
        self.finish(stream)

    def finish(self, stream: Stream) -> None:
        """No more can come of this stream: give out the unfinished line, forget it."""
        record = stream.flush()
        self._drop(stream)
        stream.close()
        stream.over = True
        self._tell(stream, [] if record is None else [record], last=True)

    def skip(self, stream: Stream) -> None:
        """The file is compressed: do not follow it."""
        self.skipped[stream.file.dev, stream.file.ino] = (stream.path, stream.size)
        self._drop(stream)
        stream.close()
        stream.over = True

    def fail(self, stream: Stream, error: OSError, now: float) -> None:
        """Reading failed: close the file, try again later (`--once`: give it up)."""
        self.handles.fail(stream, error, now)
        if self._once:
            stream.over = True

    def _drop(self, stream: Stream) -> None:
        """Take a stream out of all indexes."""
        self.streams.pop(stream.id, None)
        self._fresh.pop(stream.id, None)
        self.handles.leave(stream)
        key = (stream.file.dev, stream.file.ino)
        if self._inodes.get(key) is stream:
            del self._inodes[key]
        kin = family(stream.path)
        if self._families.get(kin) is stream:
            del self._families[kin]

    def _tell(self, stream: Stream, records: Sequence[Record] = (), *, last: bool = False) -> None:
        self.outbox.append(Outgoing(stream, records, stream.position().to_json(), last))

    def _tell_over(self, name: str, position: Position) -> None:
        """A kept stream that never came to life again is over."""
        stream = Stream(name, position.file, position.generation, position.path, LineFramer(), position.format)
        stream.over = True
        self.outbox.append(Outgoing(stream, (), position.to_json(), last=True))

    def close(self) -> None:
        """Close all files."""
        for stream in self.streams.values():
            stream.close()
        self.handles.open.clear()
