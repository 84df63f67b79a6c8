"""Compressed files: what each of them is, and when it is read.

A compressed file is mostly a rotated one that was read, at least in part, before it was packed. So each is looked into
before anything of it is given out (see `packed`), one at a time, and then one of these holds:

1. It is the file of a kept position, or of a stream whose file is gone: that stream goes on in it, at its place.
2. All that it holds is in a file that is being followed: its lines come from there. It stands by until they have come,
   then it counts as read.
3. It is new, and is read from its beginning.

A file that is not whole is still being written, or was cut off, or is damaged. It is looked into again when it changes;
if it does not for the grace period, what can be had of it is given out, and that something is missing is a loss.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from shipper.inputs.file.discovery import family
from shipper.inputs.file.handles import neighbours
from shipper.inputs.file.identity import ANCHOR, HEAD, MIN_HEAD, FileId, Position, identify
from shipper.inputs.file.packed import Pack
from shipper.inputs.file.reader import Stream, open_file
from shipper.inputs.file.unpack import PEEK, kind_of

if TYPE_CHECKING:
    from shipper.inputs.file.follow import Follower

STUCK: Final = 10.0
"""Seconds without growth after which a file that is not whole is named as a problem."""
_KEY: Final = 16
_MOST_SEEN: Final = 10_000


class Packs:
    """The part of a `Follower` that deals with compressed files. Every `now` is monotonic."""

    def __init__(self, follower: Follower, *, once: bool, grace: float) -> None:
        self._follower = follower
        self._once = once
        self._grace = 0.0 if once else grace
        self._active: Stream | None = None
        self._seen: dict[tuple[int, int], tuple[tuple[int, int], Pack | None]] = {}
        self._outside: set[str] = set()
        self.busy: dict[str, Stream] = {}
        """Compressed files that are not decided on, or not read to their end."""

    # -- files that nobody follows yet -----------------------------------------------------------------------------

    def place(self, fd: int, kind: str, file: FileId, path: str, known: list[tuple[int, str, Position]]) -> Stream:
        """Make a stream of an open compressed file; `known` are the kept positions of its inode, newest first.

        Raises OSError.
        """
        follower = self._follower
        pack = Pack(kind)
        pack.head = pack.beginning(fd, HEAD)
        status = os.fstat(fd)
        raw = (status.st_size, status.st_mtime_ns)
        for _, name, position in known:
            if position.packed == raw and position.closed:
                pack.raw, pack.length, pack.kept = raw, position.offset, position
                pack.known = pack.whole = True
                return follower.resume(name, position, fd, file, path, follower.now, pack)
        return self.take_in(fd, file, path, known[0][0] + 1 if known else 0, pack)

    def take_in(self, fd: int, file: FileId, path: str, generation: int, pack: Pack) -> Stream:
        """Enter an open compressed file of which it is not known yet what it is."""
        follower = self._follower
        stream = follower.create(file, generation, path, follower.now)
        stream.fd, stream.pack, stream.fresh = fd, pack, True
        pack.quiet = follower.now
        follower.register(stream)
        stream.ready = True
        self.busy[stream.id] = stream
        return stream

    def look_beside(self, position: Position) -> bool:
        """Whether a compressed file may hold the stream of `position`: one that is known, or one in its directory."""
        if self.may_hold(position):
            return True
        stem = os.path.basename(family(position.path))  # noqa: PTH119 - a plain string, as in all of this
        for path, status in neighbours(position.path, self._follower.inodes):
            key, raw = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
            if key[1] != position.file.ino and not os.path.basename(path).startswith(stem):  # noqa: PTH119
                continue
            known = self._seen.get(key)
            if known is not None and known[0] == raw and (known[1] is None or not _alike(known[1], position, path)):
                continue
            if self._looked_into(path, key, raw, position):
                return True
        return False

    def _looked_into(self, path: str, key: tuple[int, int], raw: tuple[int, int], position: Position) -> bool:
        """Take in the file at `path`, which matches no pattern, if it may hold the stream of `position`."""
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        taken = False
        try:
            fd = open_file(path)
        except OSError:
            return False
        try:
            kind = kind_of(os.pread(fd, PEEK, 0))
            pack = Pack(kind) if kind else None
            if pack is not None:
                pack.head = pack.beginning(fd, HEAD)
            self._seen[key] = (raw, pack)
            if pack is not None and _alike(pack, position, path):
                stream = self.take_in(fd, identify(fd), path, 0, pack)
                stream.linked = stream.over = False
                stream.wait = None
                newest = self._follower.families.get(family(path))
                if newest is not None and newest.wait is None and not newest.read_to:
                    newest.wait = (stream, sys.maxsize)
                self._outside.add(stream.id)
                self._seen[key] = (raw, None)  # whatever comes out: that is decided once
                taken = True
        except OSError:
            return False
        finally:
            if not taken:
                os.close(fd)
        return taken

    # -- what others ask -------------------------------------------------------------------------------------------

    def may_hold(self, position: Position) -> bool:
        """Whether it may turn out that the stream of `position` goes on in a compressed file that is not decided on."""
        return any(_alike(pack, position, stream.path) for stream, pack in self._undecided())

    def may_end(self, stream: Stream) -> bool:
        """Whether it may turn out that a compressed file that is not decided on holds what `stream` gave out."""
        return any(_same_head(pack, stream, other.path) for other, pack in self._undecided())

    def first_of(self, kin: str) -> Stream | None:
        """A compressed file of the rotated log `kin`: its lines, if it has new ones, come before those of others."""
        return next((stream for stream, _ in self._undecided() if family(stream.path) == kin), None)

    def _undecided(self) -> list[tuple[Stream, Pack]]:
        return [
            (stream, stream.pack)
            for stream in self.busy.values()
            if stream.pack is not None and not stream.pack.known and stream.pack.original is None and not stream.over
        ]

    def unfinished(self, stream: Stream) -> bool:
        """Whether more can come of a compressed file although everything known of it was read."""
        pack = stream.pack
        return pack is not None and not (pack.known and (pack.whole or pack.told))

    def problems(self) -> list[tuple[str, str]]:
        """Files that are not whole, with the cause."""
        found = []
        for stream in self.busy.values():
            pack = stream.pack
            if pack is not None and pack.fault and (pack.known or self._follower.now - pack.quiet >= STUCK):
                rest = "" if pack.known else f"; what can be had of it is read after {self._grace:g} s without growth"
                found.append((stream.path, pack.fault + rest))
        return found

    def acquire(self, stream: Stream) -> bool:
        """Whether it is the turn of `stream` to unpack: only one does, so that memory holds what one takes.

        One that may not be read yet, as it waits for another stream, does not keep the turn: what it waits for may, by
        way of others, need it. Looking into a file waits for nothing.
        """
        active = self._active
        if active is not None and active is not stream:
            waits = active.wait is not None and active.pack is not None and active.pack.known
            goes_on = active.ready and active.retry is None and not (waits or active.over)
            if goes_on and self._follower.streams.get(active.id) is active:
                return False
            if active.pack is not None:
                active.pack.release()
        self._active = stream
        return True

    # -- looking into files ----------------------------------------------------------------------------------------

    def survey(self, stream: Stream, count: int) -> bool:
        """Look into a file, about `count` bytes of it; False if it is not its turn or it cannot be read now.

        `stream.ready` says afterwards whether there is more to do.
        """
        pack, follower = stream.pack, self._follower
        assert pack is not None
        if not self.acquire(stream) or not follower.handles.ensure(stream, follower.now):
            return False
        try:
            self._survey(stream, pack, count)
        except OSError as error:
            follower.fail(stream, error, follower.now)
            return False
        if stream.fd >= 0:
            follower.handles.works(stream)
        return True

    def _survey(self, stream: Stream, pack: Pack, count: int) -> None:
        self.busy[stream.id] = stream
        status = os.fstat(stream.fd)
        raw = (status.st_size, status.st_mtime_ns)
        if not pack.goes_on(raw):
            if kind_of(os.pread(stream.fd, PEEK, 0)) != pack.kind:
                self._renew(stream)
                return
            pack.original, pack.told = None, False
            wanted = {position.offset for _, position in self._candidates(stream, pack)}
            for other in self._follower.copies.truncated():
                wanted |= {other.offset, other.read_to} if _same_head(pack, other, stream.path) else set()
            if stream.fresh and stream.old and not wanted and self._original(stream, pack) is None:
                self._follower.ignore(stream)
                return
            pack.begin({*wanted, stream.read_to})
        if raw != pack.raw:
            pack.raw, pack.quiet = raw, self._follower.now
        if not pack.survey(stream.fd, count):
            return
        status = os.fstat(stream.fd)
        if (status.st_size, status.st_mtime_ns) != raw:
            return
        if not pack.whole and self._follower.now - pack.quiet < self._grace:
            stream.ready = False
            return
        self._decide(stream, pack)

    def _candidates(self, stream: Stream, pack: Pack) -> list[tuple[str, Position]]:
        """Streams without a file of their own that may go on in this one."""
        follower = self._follower
        found = [(other.id, other.position()) for other in follower.copies.truncated()]
        found += follower.stored.items()
        found += follower.parked.items()
        return [(name, position) for name, position in found if _alike(pack, position, stream.path, stream.file)]

    def _decide(self, stream: Stream, pack: Pack) -> None:
        """The file was looked into: what is it?"""
        if not stream.fresh and not self._same(stream, pack):
            self._renew(stream)
            return
        pack.original = self._original(stream, pack)
        if pack.original is not None:
            stream.ready = False
            self._settle_one(stream, pack)
            return
        candidates = [item for item in self._candidates(stream, pack) if item[1].offset >= stream.read_to]
        if any(position.offset not in pack.marks for _, position in candidates if position.offset <= pack.length):
            pack.release()  # there is one that was not known when this began: once more
            return
        kin = family(stream.path)
        found = [
            (position.offset, family(position.path) == kin, name, position)
            for name, position in candidates
            if pack.verifies(position)
        ]
        if found:
            _, _, name, position = max(found, key=lambda item: item[:2])
            self._go_on(stream, pack, name, position)
            return
        for other in self._follower.copies.truncated() if stream.fresh else ():
            if (
                other.read_to
                and pack.marks.get(other.read_to) == other.last[-ANCHOR:]
                and _same_head(pack, other, stream.path)
            ):
                self._go_on(stream, pack, other.id, other.position())
                return
            if _ends_before(pack, other):  # a copy that lacks the last lines, which were read from the original
                self._follower.copies.go_on(other, None)
                self._start(stream, pack, pack.length, other)
                return
        if stream.fresh and stream.id in self._outside:
            self._forget(stream)  # not what was looked for beside the patterns
        elif stream.fresh and stream.old:
            self._follower.ignore(stream)
        else:
            self._known(stream, pack)

    def _same(self, stream: Stream, pack: Pack) -> bool:
        """Whether a file that changed still holds what was read of it."""
        kept = pack.kept
        if kept is None:
            mark = pack.marks.get(stream.read_to)
            return pack.head.startswith(stream.head) and mark is not None and mark == stream.last[-ANCHOR:]
        pack.kept = None
        if not pack.verifies(kept):
            return False
        stream.resume(self._follower.framing(kept.format), kept.offset, kept.encoding, kept.framing)
        return True

    def _original(self, stream: Stream, pack: Pack) -> Stream | None:
        """A stream with a file of its own in which everything stands that this file holds."""
        follower, kin = self._follower, family(stream.path)
        for other in list(follower.streams.values()):
            if other is stream or other.over or (other.fresh and other.pack is not None):
                continue
            related = family(other.path) == kin
            if not related and (pack.length < MIN_HEAD or other.head[:_KEY] != pack.head[:_KEY]):
                continue
            if other.read_to and not _same_head(pack, other, stream.path):
                continue
            try:
                if self._covers(other, pack) or (related and other.pack is None and not (pack.length or pack.whole)):
                    return other
            except OSError as error:
                follower.fail(other, error, follower.now)
        return None

    def _covers(self, other: Stream, pack: Pack) -> bool:
        if other.pack is not None:
            if other.pack.kept is not None:
                return other.offset == pack.length and pack.verifies(other.pack.kept)
            return other.pack.known and other.pack.length == pack.length and other.pack.digest == pack.digest
        if not pack.length or not self._follower.handles.ensure(other, self._follower.now):
            return False
        place = pack.length - len(pack.tail)
        return (
            os.fstat(other.fd).st_size >= pack.length
            and os.pread(other.fd, len(pack.head), 0) == pack.head
            and os.pread(other.fd, len(pack.tail), place) == pack.tail
        )

    # -- what comes of it ------------------------------------------------------------------------------------------

    def _go_on(self, stream: Stream, pack: Pack, name: str, position: Position) -> None:
        """The stream `name` goes on in this file."""
        follower = self._follower
        lost = next((other for other in follower.copies.truncated() if other.id == name), None)
        follower.drop(stream)
        fd, stream.fd, stream.over = stream.fd, -1, True
        if not stream.fresh:
            follower.tell(stream, last=True)
        try:
            moved = follower.resume(name, position, fd, stream.file, stream.path, follower.now, pack)
        except OSError:
            os.close(fd)
            raise
        moved.linked, moved.over, moved.wait = stream.linked, False, None
        for other in follower.streams.values():
            if other.wait is not None and other.wait[0] is stream:
                other.wait = (moved, sys.maxsize)
        self.busy[moved.id] = self._active = moved
        self._known(moved, pack)
        if lost is not None:
            follower.copies.go_on(lost, moved)
        else:
            follower.tell(moved)

    def _start(self, stream: Stream, pack: Pack, offset: int, original: Stream) -> None:
        """What stands before `offset` came from another file."""
        follower = self._follower
        state = original.framer.state if offset == original.offset else None
        stream.resume(follower.framing(original.format), offset, original.framer.encoding, state)
        stream.format = original.format
        self._known(stream, pack)
        follower.tell(stream)

    def _known(self, stream: Stream, pack: Pack) -> None:
        """It is decided; what is not known yet can be read."""
        pack.known, stream.fresh = True, False
        pack.release()
        stream.size, stream.renamed = pack.length, True
        stream.seen = max(stream.seen, pack.length)
        stream.grown = self._follower.now
        if self._once:
            stream.limit = pack.length
        stream.ready = stream.unread > 0
        for other in self._follower.streams.values():
            if other.wait is not None and other.wait[0] is stream:
                other.wait = (stream, pack.length)

    def _renew(self, stream: Stream) -> None:
        """The file holds something else by now: what was known of it ends, and it begins anew."""
        follower = self._follower
        fd, stream.fd = stream.fd, -1
        if stream.unread and not stream.fresh:
            follower.lose(stream, stream.seen)
        follower.finish(stream)
        try:
            follower.begin(fd, stream.file, stream.path, stream.generation + 1).linked = stream.linked
        except OSError:
            os.close(fd)
            raise

    def _forget(self, stream: Stream) -> None:
        self._follower.drop(stream)
        stream.close()
        stream.over = True
        self._outside.discard(stream.id)

    def settle(self) -> None:
        """Go on with what waits for another stream, or for time to pass."""
        for stream in list(self.busy.values()):
            pack = stream.pack
            if pack is None or self._follower.streams.get(stream.id) is not stream:
                self.busy.pop(stream.id, None)
            elif stream.over:  # `--once`; what is damaged stays a problem
                if not pack.fault:
                    del self.busy[stream.id]
            elif not pack.known:
                self._settle_one(stream, pack)
            elif not stream.unread:
                pack.release()
                if pack.whole:
                    del self.busy[stream.id]
                elif not pack.told:
                    self._tell_missing(stream, pack)

    def _settle_one(self, stream: Stream, pack: Pack) -> None:
        original = pack.original
        if original is None:
            if not stream.ready and not pack.whole and self._follower.now - pack.quiet >= self._grace:
                stream.ready = True
        elif original.offset >= pack.length or (self._once and original.over):
            pack.told = stream.closed = not pack.whole  # what this file lacks stands in the other
            self._start(stream, pack, pack.length, original)
            if pack.whole and original.offset == pack.length and not (original.over or original.unread):
                original.closed = True  # that it goes is no loss from now on
                self._follower.tell(original)
        elif original.over or self._follower.streams.get(original.id) is not original:
            pack.release()
            pack.original, stream.ready = None, True

    def _tell_missing(self, stream: Stream, pack: Pack) -> None:
        """All that can be had of a file that is not whole was given out."""
        follower = self._follower
        records, cut = stream.flush()
        stream.closed = pack.told = True
        follower.lose(stream, None)
        follower.tell(stream, records, cut=cut)


def _alike(pack: Pack, position: Position, path: str, file: FileId | None = None) -> bool:
    """Whether a file that begins as `pack` does may, by its beginning, be the one of `position`."""
    if not position.head_len or position.offset == 0:
        return False
    related = family(position.path) == family(path) or (file is not None and position.same_inode(file))
    if not pack.head:
        return related  # nothing of it has been written out yet
    return (related or position.head_len >= MIN_HEAD) and pack.begins(position.head_len, position.head)


def _same_head(pack: Pack, stream: Stream, path: str) -> bool:
    """Whether what was read of `stream` begins as `pack` does."""
    count = min(len(stream.head), len(pack.head))
    related = family(stream.path) == family(path)
    if not pack.head:
        return related
    return (count >= MIN_HEAD or (related and count > 0)) and stream.head[:count] == pack.head[:count]


def _ends_before(pack: Pack, stream: Stream) -> bool:
    """Whether the last bytes of `pack` were read from `stream` a little before it was truncated."""
    missing, last = stream.read_to - pack.length, stream.last
    if pack.length < _KEY or not 0 <= missing <= len(last) - _KEY:
        return False
    known, head = last[: len(last) - missing][-ANCHOR:], min(len(stream.head), len(pack.head))
    return known.endswith(pack.tail[-len(known) :]) and stream.head[:head] == pack.head[:head]
