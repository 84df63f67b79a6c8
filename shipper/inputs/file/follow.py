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
5. It is new and starts at byte 0. (Of compressed files `packs` decides, by the same marks.)

A stream whose file the scan no longer finds is read to its end through the open descriptor and ends `grace` seconds
after its last growth. If it was not open (an earlier run), its inode and then its content are looked for among the
files beside it. What cannot be found is a `Loss`.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.grouping import Framing, GroupFramer
from shipper.inputs.file.copies import Copies
from shipper.inputs.file.discovery import Found, family
from shipper.inputs.file.handles import Handles, copied_beside, perhaps_unmounted, renamed_beside
from shipper.inputs.file.identity import MIN_HEAD, FileId, Position, identify, stream_id
from shipper.inputs.file.packed import Pack
from shipper.inputs.file.packs import Packs
from shipper.inputs.file.reader import Stream, open_file
from shipper.inputs.file.unpack import PEEK, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from shipper.inputs.file.discovery import Discovery
    from shipper.model import Record

REMOUNT: Final = 3600.0
"""Seconds for which a file is waited for whose file system seems not to be mounted."""
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

    `position` is the one after `records`. `cut`: the last record has a line without an end.
    """

    stream: Stream
    records: Sequence[Record]
    position: Mapping[str, object]
    last: bool
    cut: bool


class Follower:
    """The streams of one input. All methods are for one thread; every `now` is monotonic."""

    def __init__(
        self,
        discovery: Discovery,
        *,
        form: str,
        once: bool,
        max_open: int,
        grace: float,
        max_line: int,
        framing: Callable[[str], Framing],
    ) -> None:
        self._discovery = discovery
        self._form = form
        self._framing = framing
        self._once = once
        self._grace = grace
        self.max_line = max_line
        self.handles = Handles(max_open)
        self.streams: dict[str, Stream] = {}
        self.outbox: deque[Outgoing] = deque()
        self.losses: deque[Loss] = deque()  # taken after each read; at most one for each end of a stream
        self.directories: set[str] = set()
        self.looking: list[tuple[str, str]] = []  # problems of the last scan
        self.ignored: dict[tuple[int, int], Found] = {}  # older than what is to be read
        self.now = 0.0
        """The monotonic time of the current turn."""
        self.inodes: dict[tuple[int, int], Stream] = {}
        self.stored: dict[str, Position] = {}  # kept positions whose file was not found yet
        self.parked: dict[str, Position] = {}  # read to the end, renamed out of the patterns
        self.families: dict[str, Stream] = {}  # the newest of each rotated log
        self._kept_by_inode: dict[int, list[tuple[str, Position]]] = {}
        self._misses: dict[str, int] = {}
        self._first_scan: float | None = None
        self.copies = Copies(self, once=once)
        self.packs = Packs(self, once=once, grace=grace)

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Take over the kept positions; their files are looked for at the next scan."""
        self.stored.update(positions)

    # -- looking ---------------------------------------------------------------------------------------------------

    def scan(self, now: float, horizon: float | None = None) -> None:
        """Look at the directories and match what is there with what is known.

        A file that is new and was last written before `horizon` (wall clock) is ignored as long as it stays so.
        """
        scan = self._discovery.scan()
        self.directories, self.looking = scan.directories, scan.problems
        seen: set[tuple[int, int]] = set()
        newcomers: list[Found] = []
        for found in scan.files:
            key = (found.dev, found.ino)
            seen.add(key)
            ignored = self.ignored.get(key)
            if ignored is not None and (ignored.size, ignored.mtime_ns) == (found.size, found.mtime_ns):
                self.ignored[key] = found
                continue
            stream = self.inodes.get(key)
            if stream is None or not self._still(stream, found, now):
                newcomers.append(found)
            else:
                self._sighted(stream, found, now)
        for key in [key for key in self.ignored if key not in seen]:
            del self.ignored[key]
        names = {name for found in scan.files for name in found.names} | {item.path for item in self.streams.values()}
        for path in [path for path in self.handles.failing if path not in names]:
            del self.handles.failing[path]
        for stream in list(self.streams.values()):
            if (stream.file.dev, stream.file.ino) not in seen:
                self._away(stream, now)
        self._kept_by_inode = {}
        for kept in (self.stored, self.parked):
            for name, position in kept.items():
                self._kept_by_inode.setdefault(position.file.ino, []).append((name, position))
        unopened = {(found.dev, found.ino): found.path for found in newcomers if not self._adopt(found, now, horizon)}
        # Names that changed under the scan: what was not found may be there all the same.
        complete = all(path in self.handles.failing for path in unopened.values())
        if self.stored:
            self._find_stored(unopened, now, complete=complete)
        if self._first_scan is None:
            self._first_scan = now
        self.copies.scanned(complete=complete)
        self.copies.settle(now)

    def glance(self, now: float) -> None:
        """Look at the open files only."""
        for stream in list(self.handles.open.values()):
            self.look(stream, now)

    def written(self, path: str, now: float) -> None:
        """Look at the one file that `path` leads to, if it is followed; open or not."""
        try:
            status = os.stat(path)  # noqa: PTH116 - a plain string, as everywhere on this path
        except OSError:
            return  # gone or out of reach: the next scan finds out
        stream = self.inodes.get((status.st_dev, status.st_ino))
        if stream is None or stream.over:
            return
        if stream.fd >= 0:
            self.look(stream, now)
        elif stream.linked:
            stream.notice(status.st_size, status.st_mtime_ns)

    @property
    def settled(self) -> bool:
        """Whether everything that the last scan found has its place, so that nothing waits for the next one."""
        return not (
            self.copies.pending
            or self.stored
            or self.looking
            or self.handles.failing
            or self.packs.busy
            or any(stream.size for stream in self.copies.fresh.values())
            or any(
                (stream.check and stream.fd >= 0) or not (stream.linked or stream.over)
                for stream in self.streams.values()
            )
        )

    def look(self, stream: Stream, now: float) -> os.stat_result | None:
        try:
            status = os.fstat(stream.fd)
        except OSError as error:
            self.fail(stream, error, now)
            return None
        stream.notice(status.st_size, status.st_mtime_ns)
        return status

    def _still(self, stream: Stream, found: Found, now: float) -> bool:
        """Whether the file found is the one of `stream`, whose inode number it has."""
        known = (stream.size, stream.mtime_ns) if stream.pack is None else stream.pack.raw
        unchanged = (found.size, found.mtime_ns) == known
        if stream.fd >= 0 or unchanged or stream.over:
            return True
        if stream.retry is not None and now < stream.retry:
            return True
        if self.handles.reopen(stream, found.path, now) is not False:
            return True
        self.vanish(stream)
        return False

    def _sighted(self, stream: Stream, found: Found, now: float) -> None:
        if not stream.linked:
            stream.linked = True
            if stream.path in found.names:  # missed by a scan that names changed under
                stream.renamed = bool(stream.former)
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
                    self.copies.changed(stream, now)
            except OSError as error:
                self.fail(stream, error, now)

    def _away(self, stream: Stream, now: float) -> None:
        missed = not stream.linked
        if not missed:
            stream.linked, stream.renamed, stream.grown = False, True, now
        if stream.over:
            return
        if stream.fd >= 0:
            self.look(stream, now)
        elif stream.retry is None or now >= stream.retry:
            position = stream.position()
            path = renamed_beside(stream.path, position, ())
            if path is not None and self.handles.reopen(stream, path, now) is not False:
                if stream.fd >= 0:
                    self.look(stream, now)
                return
            packs = self.packs
            if not stream.fresh and (packs.may_hold if position.closed else packs.look_beside)(position):
                self.drop(stream)
                stream.over = True
                self.stored[stream.id] = position  # looked for like one of an earlier run
            elif missed and (now - stream.grown >= REMOUNT or not perhaps_unmounted(position)):
                self.vanish(stream)

    # -- files that nobody follows yet -----------------------------------------------------------------------------

    def _adopt(self, found: Found, now: float, horizon: float | None) -> bool:
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
            stream = self._place(fd, file, found.path, now)
            taken = True
            changed = self.ignored.pop((file.dev, file.ino), None) is not None
            if stream.fresh and not changed and horizon is not None and found.mtime_ns < horizon * 1e9:
                stream.old = found.mtime_ns
        except OSError as error:
            self.handles.note(found.path, error, now)
        finally:
            if not taken:
                os.close(fd)
        return taken

    def _place(self, fd: int, file: FileId, path: str, now: float) -> Stream:
        """Make a stream of an open file: a kept one where inode, birth time and content agree, else a fresh one.

        Raises OSError.
        """
        status = os.fstat(fd)
        known = [
            (position.generation, name, position)
            for name, position in self._kept_by_inode.get(file.ino, ())
            if position.same_inode(file) and (name in self.stored or name in self.parked)
        ]
        known.sort(key=lambda item: item[0], reverse=True)
        kind = kind_of(os.pread(fd, PEEK, 0))
        if kind:
            return self.packs.place(fd, kind, file, path, known)
        for _, name, position in known:
            if position.verifies(fd, status.st_size):
                return self.resume(name, position, fd, file, path, now)
        return self._begin_plain(fd, file, path, known[0][0] + 1 if known else 0)

    def begin(self, fd: int, file: FileId, path: str, generation: int) -> Stream:
        """Make a fresh stream, `generation` of its file, of an open file. Raises OSError."""
        kind = kind_of(os.pread(fd, PEEK, 0))
        if kind:
            return self.packs.take_in(fd, file, path, generation, Pack(kind))
        return self._begin_plain(fd, file, path, generation)

    def _begin_plain(self, fd: int, file: FileId, path: str, generation: int) -> Stream:
        size = os.fstat(fd).st_size
        stream = self.create(file, generation, path, self.now)
        stream.fd, stream.size, stream.fresh = fd, size, True
        self.copies.fresh[stream.id] = stream
        self.register(stream)
        return stream

    def repack(self, stream: Stream) -> None:
        """A file of which nothing was taken yet proved to be compressed. Raises OSError."""
        fd, stream.fd = stream.fd, -1
        self.drop(stream)
        stream.over = True
        try:
            heir = self.begin(fd, stream.file, stream.path, stream.generation)
        except OSError:
            os.close(fd)
            raise
        heir.linked, heir.old = stream.linked, stream.old
        if self._once:
            heir.over = False

    def create(self, file: FileId, generation: int, path: str, now: float) -> Stream:
        while (name := stream_id(file, generation)) in self.streams or name in self.stored or name in self.parked:
            generation += 1
        stream = Stream(name, file, generation, path, self.framer(self._form), self._form)
        stream.grown = now
        return stream

    def framer(self, form: str) -> GroupFramer:
        """What cuts a stream from its beginning; `form` "": its format is not known yet."""
        return GroupFramer(self.framing(form), max_line=self.max_line)

    def framing(self, form: str) -> Framing:
        return self._framing(form) if form else Framing()

    def register(self, stream: Stream) -> None:
        """Enter an open stream in all indexes."""
        self.streams[stream.id] = stream
        self.inodes[stream.file.dev, stream.file.ino] = stream
        self.handles.enter(stream)
        if self._once:
            stream.limit = stream.size
            stream.over = self._first_scan is not None  # a file that came later
        stream.ready = stream.size != stream.read_to
        kin = family(stream.path)
        older = self.families.get(kin)
        if older is not None and older is not stream and older.unread and not older.over:
            stream.wait = (older, older.read_to + older.unread)
        if stream.pack is not None:
            return  # the newest of a rotated log is the one that is written to
        packed = None if stream.read_to else self.packs.first_of(kin)
        if packed is not None:
            stream.wait = (packed, sys.maxsize)
        self.families[kin] = stream

    def resume(
        self, name: str, position: Position, fd: int, file: FileId, path: str, now: float, pack: Pack | None = None
    ) -> Stream:
        """Go on with a kept stream in an open file; its position is no longer looked for. Raises OSError."""
        form = self._form or position.format
        stream = Stream(name, file, position.generation, path, self.framer(form), form)
        stream.fd, stream.size, stream.seen = fd, os.fstat(fd).st_size, position.size
        if pack is not None:
            stream.pack, stream.size = pack, pack.length
        stream.resume(self.framing(form), position.offset, position.encoding, position.framing)
        stream.closed, stream.grown = position.closed, now
        stream.renamed = position.path != path
        stream.former = position.path if stream.renamed else ""
        self.stored.pop(name, None)
        self.parked.pop(name, None)
        self._misses.pop(name, None)
        self.register(stream)
        return stream

    def resume_outside(self, name: str, position: Position, path: str, now: float) -> Stream | None:
        """Resume a kept stream in a file outside the patterns, if it verifies there."""
        try:
            fd = open_file(path)
        except OSError:
            return None
        stream = None
        newest = self.families.get(family(path))
        try:
            if position.verifies(fd, os.fstat(fd).st_size):
                stream = self.resume(name, position, fd, identify(fd), path, now)
                stream.linked, stream.renamed = False, True
                stream.over = False  # not new, whenever it is found
                stream.wait = None
                if newest is not None:
                    self.follow_after(newest, stream)
        except OSError as error:
            self.handles.note(path, error, now)
        finally:
            if stream is None:
                os.close(fd)
        return stream

    def follow_after(self, newest: Stream, older: Stream) -> None:
        """`newest`, of the same rotated log, is read after what there is of `older`."""
        self.families[family(newest.path)] = newest
        if newest.wait is None and older.unread and not newest.read_to:
            newest.wait = (older, older.read_to + older.unread)

    def _find_stored(self, unopened: Container[tuple[int, int]], now: float, *, complete: bool) -> None:
        """Look for the files of kept positions that the scan did not bring.

        A position is given up when its file was missing in two complete scans: a directory that is listed while names
        in it change may be listed without a file that never was away.
        """
        heads: dict[int, dict[str, list[Stream]]] = {}
        for name, position in list(self.stored.items()):
            if (position.file.dev, position.file.ino) in unopened:
                continue  # it is there and cannot be opened now
            path = renamed_beside(position.path, position, self.inodes)
            if path is not None and self.resume_outside(name, position, path, now) is not None:
                continue
            if position.head_len >= MIN_HEAD:
                try:
                    if self.copies.take_up(name, position, heads, now):
                        continue
                except OSError as error:
                    self.handles.note(position.path, error, now)
                    continue
            path = None if position.closed else copied_beside(position.path, position, self.inodes)
            if path is not None and self.resume_outside(name, position, path, now) is not None:
                continue
            if (self.packs.may_hold if position.closed else self.packs.look_beside)(position):
                continue
            if perhaps_unmounted(position) and (self._once or now - (self._first_scan or now) < REMOUNT):
                continue
            self._misses[name] = self._misses.get(name, 0) + complete
            if not complete or (self._misses[name] < 2 and not self._once):
                continue
            del self.stored[name], self._misses[name]
            if not position.closed:
                seen = position.size if position.size > position.offset else None
                self.losses.append(Loss(position.path, name, position.offset, seen))
            self._tell_over(name, position)

    # -- ends ------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """End or close the streams whose file is rotated away, read, and has been quiet for the grace period."""
        for stream in list(self.streams.values()):
            if stream.over or stream.unread or now - stream.grown < self._grace:
                continue
            if not stream.linked:
                if stream.fd < 0:
                    continue
                status = self.look(stream, now)
                if status is None or stream.ready or self.packs.may_end(stream):
                    continue
                if stream.fresh or status.st_nlink == 0:
                    self.finish(stream)
                else:
                    self._park(stream)
            elif stream.closed or stream.fresh or stream.ready:
                continue
            elif stream.renamed or self.families.get(family(stream.path)) is not stream:
                records, cut = stream.flush() if stream.renamed else ([], False)
                stream.closed = True
                self.tell(stream, records, cut=cut)

    def _park(self, stream: Stream) -> None:
        """Read to the end and renamed out of the patterns: remembered, in case that it comes back."""
        records, cut = stream.flush()
        stream.closed = True
        self.drop(stream)
        stream.close()
        stream.over = True
        self.tell(stream, records, cut=cut)
        self.parked[stream.id] = stream.position()
        if len(self.parked) > _MAX_KEPT:
            name = next(iter(self.parked))
            self._tell_over(name, self.parked.pop(name))

    def vanish(self, stream: Stream) -> None:
        """The file of a stream that is not open is gone."""
        unread = stream.seen > stream.read_to
        unheard = stream.pack is not None and stream.fresh and stream.pack.original is None
        if unread or unheard or not (stream.closed or stream.fresh):
            self.lose(stream, stream.seen if unread else None)
        self.finish(stream)

    def lose(self, stream: Stream, seen_size: int | None) -> None:
        """Note that what follows the read position cannot be read any more."""
        self.losses.append(Loss(stream.path, stream.id, stream.read_to, seen_size))

    def finish(self, stream: Stream) -> None:
        """No more can come of this stream: give out what is held and the unfinished line, forget it."""
        records, cut = stream.flush()
        self.drop(stream)
        stream.close()
        stream.over = True
        self.tell(stream, records, last=True, cut=cut)

    def ignore(self, stream: Stream) -> None:
        """The file is older than what is to be read: do not follow it until it changes."""
        file, size = stream.file, os.fstat(stream.fd).st_size
        self.ignored[file.dev, file.ino] = Found(stream.path, (stream.path,), file.dev, file.ino, size, stream.old)
        self.drop(stream)
        stream.close()
        stream.over = True

    def fail(self, stream: Stream, error: OSError, now: float) -> None:
        """Reading failed: close the file, try again later (`--once`: give it up)."""
        self.handles.fail(stream, error, now)
        if self._once:
            stream.over = True

    def drop(self, stream: Stream) -> None:
        """Take a stream out of all indexes."""
        self.streams.pop(stream.id, None)
        self.copies.fresh.pop(stream.id, None)
        self.packs.busy.pop(stream.id, None)
        self.handles.leave(stream)
        key = (stream.file.dev, stream.file.ino)
        if self.inodes.get(key) is stream:
            del self.inodes[key]
        kin = family(stream.path)
        if self.families.get(kin) is stream:
            del self.families[kin]

    def tell(self, stream: Stream, records: Sequence[Record] = (), *, last: bool = False, cut: bool = False) -> None:
        self.outbox.append(Outgoing(stream, records, stream.position().to_json(), last, cut))

    def _tell_over(self, name: str, position: Position) -> None:
        """A kept stream that never came to life again is over."""
        stream = Stream(name, position.file, position.generation, position.path, GroupFramer(), position.format)
        stream.over = True
        self.outbox.append(Outgoing(stream, (), position.to_json(), last=True, cut=False))

    def close(self) -> None:
        """Close all files."""
        for stream in self.streams.values():
            stream.close()
        self.handles.open.clear()
