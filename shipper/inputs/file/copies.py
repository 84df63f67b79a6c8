"""Files that may be copies, and streams whose file was truncated: which goes on where.

Rotation by copy and truncation (`copytruncate`) makes a file that holds everything that was read already, and takes it
out of the file that is being followed. In between, and while the copy is being made, nothing tells it from a file that
only begins alike. So a new file is `fresh` at first: it is opened, but not read before its content shows that it is
new, or the rules of `follow` say what it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from shipper.inputs.file.discovery import family
from shipper.inputs.file.handles import copied_beside
from shipper.inputs.file.identity import HEAD, Position, fingerprint

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from shipper.inputs.file.follow import Follower
    from shipper.inputs.file.reader import Stream

HOLD: Final = 10.0
"""Seconds without growth after which a file that equals the beginning of another is no copy in the making."""
_KEY: Final = 16  # bytes of beginning by which possible originals are indexed


class _Orphan(NamedTuple):
    """A truncated stream, the next generation of its file, and the number of complete scans until then."""

    stream: Stream
    heir: Stream
    scans: int


class Copies:
    """The part of a `Follower` that decides by content. Every `now` is monotonic."""

    def __init__(self, follower: Follower, *, once: bool) -> None:
        self._follower = follower
        self._once = once
        self._scans = 0
        self._orphans: list[_Orphan] = []
        self.fresh: dict[str, Stream] = {}

    @property
    def pending(self) -> bool:
        """Whether a truncated stream waits for a scan to show where its content went."""
        return bool(self._orphans)

    def truncated(self) -> list[Stream]:
        """Streams that were truncated and have not been found elsewhere yet."""
        return [orphan.stream for orphan in self._orphans]

    def go_on(self, stream: Stream, moved: Stream | None) -> None:
        """A truncated stream goes on as `moved`, in another file; None: all of it was read."""
        orphan = next(orphan for orphan in self._orphans if orphan.stream is stream)
        self._orphans.remove(orphan)
        if moved is None:
            self._follower.finish(stream)
        else:
            self._hand_over(orphan, moved)

    def scanned(self, *, complete: bool) -> None:
        """The directories were scanned; `complete` when no name changed meanwhile."""
        self._scans += complete

    def changed(self, stream: Stream, now: float) -> None:
        """The open file of `stream` no longer holds what was read of it: it was truncated or written anew.

        The file starts over as its next generation; where the old content went is settled after the next scans.
        Raises OSError; then nothing has changed.
        """
        follower = self._follower
        size = os.fstat(stream.fd).st_size
        fd, stream.fd = stream.fd, -1
        follower.drop(stream)
        heir = follower.create(stream.file, stream.generation + 1, stream.path, now)
        heir.fd, heir.size = fd, size
        heir.linked = stream.linked
        follower.register(heir)
        stream.linked = stream.ready = False
        self._orphans.append(_Orphan(stream, heir, self._scans))

    def settle(self, now: float) -> None:
        """Decide about truncated streams, and about files that may be copies."""
        follower = self._follower
        self._rehouse_all(now)
        waiting = [
            item
            for item in self.fresh.values()
            if (item.size or self._size(item, now))
            and not any(self._covered(item, orphan.stream, now) for orphan in self._orphans)
        ]
        if not waiting:
            return
        kin = {family(item.path) for item in waiting}
        if self._truncated_among(kin, now):
            self._rehouse_all(now)
            waiting = [item for item in waiting if item.fresh]
        index: dict[tuple[str, bytes], list[Stream]] = {}
        for stream in follower.streams.values():
            if not stream.fresh and stream.pack is None and (stream.fd >= 0 or not stream.over):
                if stream.read_to >= _KEY:
                    index.setdefault(("", stream.head[:_KEY]), []).append(stream)
                elif stream.fd >= 0 and (name := family(stream.path)) in kin:
                    # What nobody has read yet can be copied as well; that is looked into for rotated logs only.
                    index.setdefault((name, self._beginning(stream, now)), []).append(stream)
        truncated = len(self._orphans)
        for stream in waiting:
            try:
                self._classify(stream, index, now)
            except OSError as error:
                follower.fail(stream, error, now)
            if not stream.fresh and stream.fd >= 0 and not stream.read_to:
                index.setdefault((family(stream.path), self._beginning(stream, now)), []).append(stream)
        if len(self._orphans) != truncated:
            self.settle(now)

    def take_up(self, name: str, position: Position, heads: dict[int, dict[str, list[Stream]]], now: float) -> bool:
        """Let a kept stream, whose file is not there, go on in a fresh file that is its copy.

        `heads` indexes the fresh files by the hash of their head, per length; filled here. Raises OSError.
        """
        index = heads.get(position.head_len)
        if index is None:
            index = heads[position.head_len] = {}
            for stream in self.fresh.values():
                if stream.fd >= 0 and stream.size >= position.head_len:
                    head = os.pread(stream.fd, min(HEAD, position.head_len), 0)
                    index.setdefault(fingerprint(head), []).append(stream)
        for stream in index.get(position.head, ()):
            if stream.fd >= 0 and stream.fresh and position.verifies(stream.fd, stream.size):
                over = stream.over
                heir = self._take_over(name, position, stream, now)
                heir.over = over
                self._follower.tell(heir)
                return True
        return False

    # -- fresh files -----------------------------------------------------------------------------------------------

    def _size(self, stream: Stream, now: float) -> int:
        """As it is now; 0 if it cannot be opened now."""
        follower = self._follower
        return stream.size if follower.handles.ensure(stream, now) and follower.look(stream, now) is not None else 0

    def _beginning(self, stream: Stream, now: float) -> bytes:
        try:
            return os.pread(stream.fd, _KEY, 0)
        except OSError as error:
            self._follower.fail(stream, error, now)
            return b""

    def _truncated_among(self, kin: Container[str], now: float) -> bool:
        """Notice truncations in the logs to which new files belong before these are taken for new."""
        before = len(self._orphans)
        streams = list(self._follower.streams.values())
        for stream in [item for item in streams if item.ready and item.fd >= 0 and not item.fresh and not item.over]:
            if family(stream.path) in kin:
                try:
                    if not stream.intact():
                        self.changed(stream, now)
                except OSError as error:
                    self._follower.fail(stream, error, now)
        return len(self._orphans) != before

    def _classify(self, stream: Stream, index: Mapping[tuple[str, bytes], Sequence[Stream]], now: float) -> None:
        """Whether a fresh file is new (it becomes readable), a copy, or may become one (it stays fresh)."""
        if not self._follower.handles.ensure(stream, now):
            return
        size, stream.size = stream.size, os.fstat(stream.fd).st_size
        if stream.held is not None and stream.size != size:
            stream.held = now
        head = os.pread(stream.fd, HEAD, 0)
        key = head[:_KEY]
        others = [*index.get(("", key), ()), *index.get((family(stream.path), key), ())]
        for other in others if len(key) == _KEY else ():
            if not head.startswith(other.head[: len(head)]):
                continue
            # A copy never takes the name of its original, but the file after a rotation by rename does.
            if stream.path in {other.former, "" if other.linked else other.path}:
                continue
            relation = "unknown"
            if self._both_open(stream, other, now):
                relation = stream.relation(other) if other.intact() else ""
                # Looked at afterwards too: a rotation may have come between, and then they only seem to differ.
                if not relation and not other.intact():
                    self.changed(other, now)  # settled before anything is decided here
                    return
            if not relation:
                continue
            if stream.held is None:
                stream.held = now
            if not self._once and now - stream.held < HOLD:
                return
            if relation == "continues":
                # Lines that the original holds are the original's to give out.
                self._start_at(stream, other.framer.line if stream.extends(other) else other.offset, other)
                return
            break
        stream.fresh, stream.held = False, None
        self.fresh.pop(stream.id, None)
        if stream.old:
            self._follower.ignore(stream)

    def _start_at(self, stream: Stream, offset: int, original: Stream) -> None:
        """Let a copy start where its content is no longer known."""
        state = original.framer.state if offset == original.offset else None
        stream.resume(self._follower.framing(original.format), offset, original.framer.encoding, state)
        stream.format = original.format
        stream.fresh, stream.held = False, None
        self.fresh.pop(stream.id, None)
        stream.ready = stream.size != offset
        self._follower.tell(stream)

    # -- truncated streams -----------------------------------------------------------------------------------------

    def _rehouse_all(self, now: float) -> None:
        orphans, self._orphans = self._orphans, []
        # While names change a copy can be missed; taken for new later on it would be shipped again.
        patience = 1 if self._once else 2
        for orphan in orphans:
            last = self._scans - orphan.scans >= patience
            if self._rehoused(orphan, now, last=last):
                continue
            if not last or self._follower.packs.look_beside(orphan.stream.position()):
                self._orphans.append(orphan)
                continue
            stream = orphan.stream
            if stream.seen > stream.read_to:
                self._follower.lose(stream, stream.seen)
            self._follower.finish(stream)

    def _rehoused(self, orphan: _Orphan, now: float, *, last: bool) -> bool:
        """Find the copy in which a truncated stream goes on; as a `last` resort one that holds nothing new.

        Of files that begin alike (with the same header, for one) an empty one holds nothing new either.
        """
        stream, follower = orphan.stream, self._follower
        position = stream.position()
        copies = list(self.fresh.values())
        for copy in copies:
            if not self._size(copy, now):
                continue
            try:
                # A file that was rotated from this one just now needs no 64 bytes of equal beginning.
                related = family(copy.path) == family(stream.path) and copy.extends(stream)
                if related or position.continues_in(copy.fd, copy.size):
                    self._hand_over(orphan, self._take_over(stream.id, position, copy, now))
                    return True
            except OSError as error:
                follower.fail(copy, error, now)
        for copy in copies if last else ():
            try:
                if self._size(copy, now) and copy.covered_by(stream):
                    self._start_at(copy, copy.size, stream)
                    follower.finish(stream)
                    return True
            except OSError as error:
                follower.fail(copy, error, now)
        path = copied_beside(stream.path, position, follower.inodes)
        moved = None if path is None else follower.resume_outside(stream.id, position, path, now)
        if moved is None:
            return False
        self._hand_over(orphan, moved)
        return True

    def _both_open(self, stream: Stream, other: Stream, now: float) -> bool:
        """Open both files, however many others are closed for it. False: that does not work now."""
        ensure = self._follower.handles.ensure
        return ensure(other, now) and ensure(stream, now) and other.fd >= 0

    def _covered(self, copy: Stream, stream: Stream, now: float) -> bool:
        try:
            return self._follower.handles.ensure(copy, now) and copy.covered_by(stream)
        except OSError as error:
            self._follower.fail(copy, error, now)
            return False

    def _take_over(self, name: str, position: Position, copy: Stream, now: float) -> Stream:
        """Resume a stream in the open file of a fresh one, which is no more. Raises OSError."""
        follower = self._follower
        kin = family(copy.path)
        newest = follower.families.get(kin)
        follower.drop(copy)
        fd, copy.fd, copy.fresh, copy.over = copy.fd, -1, False, True
        try:
            stream = follower.resume(name, position, fd, copy.file, copy.path, now)
        except OSError:
            os.close(fd)
            raise
        stream.linked, stream.wait = copy.linked, copy.wait
        if newest is not None and newest is not copy:
            follower.families[kin] = newest
        for other in follower.streams.values():
            if other.wait is not None and other.wait[0] is copy:
                other.wait = None if other is stream else (stream, stream.read_to + stream.unread)
        return stream

    def _hand_over(self, orphan: _Orphan, moved: Stream) -> None:
        """`moved` is the truncated stream in its new file; the next generation follows after it."""
        stream = orphan.stream
        stream.over = True
        moved.limit, moved.over, moved.wait = stream.limit, False, None
        moved.former, moved.renamed = stream.path, True
        self._follower.follow_after(orphan.heir, moved)
        self._follower.tell(moved)
