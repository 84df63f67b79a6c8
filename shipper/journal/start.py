"""Taking the journal up at the start of the agent.

The rules, by the crash that leads to them:

- A crash during a write leaves a *torn tail*: bytes after the last good frame of the newest segment that no good frame
  follows. Nothing in it was acknowledged; it is cut off.
- Bad bytes anywhere else are *damage*: kept where they are, skipped, and reported with file, offset and the numbers of
  the frames that are lost. So are frames that are missing without a trace.
- A crash of the process alone may leave a last frame that is whole in the page cache and not on the disk, and after a
  failed sync the operating system calls such pages clean. So the last frame is written once more in its place and
  synced before anybody may see it.
- A segment that failed to sync is never written again; its frame went into a new segment of that number. `reader.walk`
  lets the later segment win.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from shipper.errors import DiskError
from shipper.fs import write_all
from shipper.journal import format as codec
from shipper.journal.reader import Damage, Rest, Segment, SegmentFile, list_segments, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipper.clock import Clock
    from shipper.fs import Fs
    from shipper.journal.format import Good, SegmentHeader

STATE = "state"
"""The member of a frame's meta that holds the full state; the writer adds it to the first frame of each segment."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found at the start.

    `next_seq` is the number that the next frame gets, `first_seq` the lowest still on disk. `state` is the newest full
    state, as it was *before* the frame that carries it; `metas` are the metas of that frame and of all after it, in
    order, without `state`: fold them in to get the present. `state` is None in a new journal, and when damage took
    every copy of it; then `metas` begins with the oldest readable frame. `complete` is False if a frame is lost between
    `state` and `next_seq`. `last_meta` is the meta of the newest readable frame. `truncated`: bytes of a torn tail that
    were cut off. `foreign`: files in the folder that are not the journal's; they are left alone.
    """

    next_seq: int
    first_seq: int
    state: Mapping[str, Any] | None = None
    metas: Sequence[Mapping[str, Any]] = ()
    last_meta: Mapping[str, Any] | None = None
    truncated: int = 0
    damage: list[Damage] = field(default_factory=list)
    complete: bool = True
    foreign: Sequence[Path] = ()


class Active(NamedTuple):
    """The segment that can be written on, and the salt of its frames."""

    segment: Segment
    salt: bytes


@dataclass(slots=True)
class _Found:
    """One segment as `recover` sees it."""

    file: SegmentFile
    size: int
    header: SegmentHeader | None = None
    salt: bytes = codec.NO_SALT
    damage: list[Damage] = field(default_factory=list)
    metas: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    last: Good | None = None
    rest: Rest = field(default_factory=lambda: Rest(0, 0, 0))


class Taken(NamedTuple):
    """What `recover` hands to the writer. `state_seq`: number of the frame with the newest state, or -1."""

    recovery: Recovery
    segments: list[Segment]
    active: Active | None
    state_seq: int


def recover(folder: Path, fs: Fs, clock: Clock, *, floor: int, scan_from: int) -> Taken:
    """Read the journal, cut a torn tail off and make its last frame durable.

    `floor` is the furthest cursor of any output: if the good frames end below it, frames that were already delivered
    are gone. Then nothing is cut, the loss is reported, and numbering goes on at `floor`. Segments wholly below
    `scan_from` are not verified (unless the state is looked for in them). Raises `OSError`, `DiskError` for
    a segment that cannot be read, and `CorruptError` for one of another format version.
    """
    files, foreign = list_segments(folder, fs)
    fs.fsync_dir(folder)  # what an earlier process named or deleted without living to sync it
    found: list[_Found] = []
    segments: list[Segment] = []
    state: tuple[int, Mapping[str, Any]] | None = None
    created_after = int(clock.now() * 1000)
    for file in reversed(files):
        one = _Found(file, fs.size(file.path))
        _look(one, fs, verify=state is None or file.limit is None or file.limit > scan_from, metas=state is None)
        if state is None:
            state = next(((seq, meta) for seq, meta in reversed(one.metas) if STATE in meta), None)
        # Without a readable header the segment counts as young as the next one: kept longer rather than shorter.
        created_after = one.header.created_ms if one.header else created_after
        segments.append(Segment(file.path, file.first_seq, created_after, one.size))
        found.append(one)
    found.reverse()
    segments.reverse()

    state_seq = state[0] if state else -1
    metas = [
        {name: value for name, value in meta.items() if name != STATE}
        for one in found
        for seq, meta in one.metas
        if seq >= state_seq
    ]
    damage = [item for one in found for item in one.damage]
    next_seq, truncated, active = 0, 0, None
    if found:
        newest = found[-1]
        next_seq = newest.rest.end_seq
        truncated = newest.rest.length if floor <= next_seq else 0
        _settle(newest, fs, cut=truncated > 0)
        if newest.last is None:
            # A crash between the birth of a segment and its first frame. Its name still says which numbers are taken;
            # the next segment will have the same name and be renamed over it.
            segments.pop()
        else:
            if truncated:
                segments[-1].length = newest.rest.offset
            if newest.header and floor <= next_seq:
                active = Active(segments[-1], newest.salt)
    if floor > next_seq:
        where = found[-1] if found else None
        damage.append(
            Damage(
                where.file.path if where else folder,
                where.rest.offset if where else 0,
                where.rest.length if where else 0,
                next_seq,
                floor - 1,
                "an output has already delivered these frames",
            )
        )
        next_seq = floor
    recovery = Recovery(
        next_seq=next_seq,
        first_seq=segments[0].first_seq if segments else next_seq,
        state=state[1][STATE] if state else None,
        metas=metas,
        last_meta=metas[-1] if metas else None,
        truncated=truncated,
        damage=damage,
        complete=not any(item.frames > 0 and item.last_seq > state_seq for item in damage),
        foreign=foreign,
    )
    return Taken(recovery, segments, active, state_seq)


def _look(one: _Found, fs: Fs, *, verify: bool, metas: bool) -> None:
    """Fill in what the segment holds; without `verify` only its header."""
    path = one.file.path
    handle = fs.open_read(path)
    try:
        for piece in pieces(fs, handle, one.file, one.size):
            if isinstance(piece, codec.SegmentHeader):
                one.header, one.salt = piece, piece.salt
                if not verify:
                    return
            elif isinstance(piece, Damage):
                one.damage.append(piece)
            elif isinstance(piece, Rest):
                one.rest = piece
            else:
                one.last = piece
                if metas:
                    seq = piece.header.seq
                    try:
                        one.metas.append((seq, codec.decode_meta(piece.header, piece.payload)))
                    except codec.FormatError as error:
                        length = piece.end - piece.offset
                        one.damage.append(Damage(path, piece.offset, length, seq, seq, str(error)))
    except OSError as error:
        hint = f"dmesg | tail; if the disk has lost it for good, and its frames with it: mv {path} {path}.unreadable"
        raise DiskError("read journal", str(path), error.strerror or str(error), hint) from error
    finally:
        fs.close(handle)


def _settle(newest: _Found, fs: Fs, *, cut: bool) -> None:
    """Cut the torn tail off and make the last frame durable, whatever an earlier process's sync has said."""
    handle = fs.open_write(newest.file.path)
    try:
        if cut:
            fs.truncate(handle, newest.rest.offset)
        if newest.last is not None:
            at, payload = newest.last.offset, newest.last.payload
            write_all(fs, handle, fs.pread(handle, codec.FRAME_HEADER_LENGTH, at) + payload, at)
        fs.fsync(handle)
    finally:
        fs.close(handle)
