"""Looking at a journal folder from outside: check it, repair it, read it.

`check` and `iterate` only read, and may run beside the agent. `repair` needs the agent stopped. What counts as a frame,
a torn tail and damage is decided in `reader.walk`; the start after a crash is in `start`.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from shipper.clock import Clock, SystemClock
from shipper.errors import DiskError
from shipper.fs import write_all
from shipper.journal import format as codec
from shipper.journal.reader import Damage, Rest, SegmentFile, list_segments, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from shipper.fs import Fs
    from shipper.journal.format import Frame, SegmentHeader


class SegmentReport(NamedTuple):
    """One segment in a report. `last_seq` is `first_seq` - 1 if it holds no frame.

    `created`: seconds since the epoch, None if the header is unreadable. `superseded`: bytes at the end that a later
    segment has taken over.
    """

    path: Path
    first_seq: int
    last_seq: int
    frames: int
    documents: int
    bytes: int
    created: float | None
    superseded: int


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found, or what `repair` found and did.

    `torn` bytes at the end of `torn_path` are an unfinished write. `damage` is what cannot be read or is missing.
    `foreign`: files that do not belong there. `changed`: what `repair` did, one line each.
    """

    folder: Path
    segments: tuple[SegmentReport, ...]
    damage: tuple[Damage, ...]
    torn: int
    torn_path: Path | None
    foreign: tuple[Path, ...]
    changed: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Readable frames."""
        return sum(segment.frames for segment in self.segments)

    @property
    def documents(self) -> int:
        """Documents in readable frames."""
        return sum(segment.documents for segment in self.segments)

    @property
    def first_seq(self) -> int | None:
        """The lowest readable frame."""
        return next((segment.first_seq for segment in self.segments if segment.frames), None)

    @property
    def last_seq(self) -> int | None:
        """The highest readable frame."""
        return next((segment.last_seq for segment in reversed(self.segments) if segment.frames), None)

    @property
    def ok(self) -> bool:
        """No damage and no frame lost. A torn tail is no fault: nothing in it was acknowledged."""
        return not self.damage

    @property
    def needs_repair(self) -> bool:
        """There are bytes that `repair` would cut or set aside. Lost frames stay lost, and stay reported."""
        return self.torn > 0 or any(item.length for item in self.damage)


def check(folder: Path, fs: Fs) -> Report:
    """Verify every frame down to its documents; changes nothing, and may run beside the agent.

    Beside a running agent a frame that is just being written shows as a torn tail, and a segment that is deleted
    meanwhile is left out. Raises `DiskError`, `CorruptError`.
    """
    with _translated("check journal", folder):
        files, foreign = list_segments(folder, fs)
        segments: list[SegmentReport] = []
        damage: list[Damage] = []
        torn, torn_path = 0, None
        for file in files:
            created: float | None = None
            frames = documents = superseded = 0
            first, last = file.first_seq, file.first_seq - 1
            try:
                size = fs.size(file.path)
                for piece in _contents(fs, file, size):
                    if isinstance(piece, codec.SegmentHeader):
                        created = piece.created_ms / 1000
                    elif isinstance(piece, Damage):
                        damage.append(piece)
                    elif isinstance(piece, Rest):
                        if file.limit is not None:
                            superseded = piece.length
                        elif piece.length:
                            torn, torn_path = piece.length, file.path
                    else:
                        last = piece.frame.seq
                        first = first if frames else last
                        frames += 1
                        documents += len(piece.frame.documents)
            except FileNotFoundError:
                continue
            segments.append(SegmentReport(file.path, first, last, frames, documents, size, created, superseded))
    return Report(folder, tuple(segments), tuple(damage), torn, torn_path, tuple(foreign))


def iterate(folder: Path, fs: Fs, from_seq: int = 0) -> Iterator[Frame | Damage]:
    """Every frame from number `from_seq` on, and the damage between them, in order; changes nothing.

    Works beside a running agent: frames and segments that appear meanwhile are read too, and a torn tail is then simply
    the end. Segments that are deleted after frames before them were given are a `Damage` of length 0. Raises
    `DiskError`, `CorruptError`.
    """
    wanted, given = from_seq, False
    while True:
        with _translated("read journal", folder):
            files, _ = list_segments(folder, fs)
            if not files:
                return
            file = next((one for one in reversed(files) if one.first_seq <= wanted), files[0])
            if file.first_seq > wanted:
                if given:
                    yield Damage(file.path, 0, 0, wanted, file.first_seq - 1, "deleted while the journal was read")
                wanted = file.first_seq
            try:
                for piece in _contents(fs, file, fs.size(file.path)):
                    if isinstance(piece, _Kept):
                        if piece.frame.seq >= wanted:
                            yield piece.frame
                            wanted, given = piece.frame.seq + 1, True
                    elif isinstance(piece, Damage) and piece.last_seq >= wanted:
                        yield piece
                        wanted, given = piece.last_seq + 1, True
            except FileNotFoundError:  # deleted between the listing and the opening
                continue
            if file.limit is None and list_segments(folder, fs)[0][-1:] == [file]:
                return


def repair(folder: Path, fs: Fs, clock: Clock | None = None) -> Report:
    """Cut a torn tail, and set unreadable ranges aside as `<segment>.<offset>.damaged`; good frames keep their bytes.

    A segment with such ranges is written anew without them and renamed over the old one, so a crash leaves the one or
    the other. The report is of the state afterwards; `changed` says what was done. Only with the agent stopped: the
    caller holds the lock of the state folder. `clock` gives the creation time where a header is unreadable. Raises
    `DiskError`, `CorruptError`.
    """
    now_ms = int((clock or SystemClock()).now() * 1000)
    changed: list[str] = []
    with _translated("repair journal", folder):
        for file in list_segments(folder, fs)[0]:
            changed += _repair_segment(folder, fs, file, now_ms)
    return replace(check(folder, fs), changed=tuple(changed))


class _Kept(NamedTuple):
    """A readable frame and its place in the segment."""

    start: int
    end: int
    frame: Frame
    salt: bytes


def _contents(fs: Fs, file: SegmentFile, size: int) -> Iterator[SegmentHeader | _Kept | Damage | Rest]:
    """A segment with every frame decoded; one that cannot be is damage, although its checksum holds."""
    handle = fs.open_read(file.path)
    try:
        for piece in pieces(fs, handle, file, size):
            if not isinstance(piece, codec.Good):
                yield piece
                continue
            seq = piece.header.seq
            try:
                frame = codec.decode(piece.header, piece.payload)
            except codec.FormatError as error:
                yield Damage(file.path, piece.offset, piece.end - piece.offset, seq, seq, str(error))
            else:
                yield _Kept(piece.offset, piece.end, frame, piece.header.salt)
    finally:
        fs.close(handle)


def _repair_segment(folder: Path, fs: Fs, file: SegmentFile, now_ms: int) -> list[str]:
    size = fs.size(file.path)
    header: SegmentHeader | None = None
    aside: list[Damage] = []
    keep: list[tuple[int, int]] = []
    salt, rest = codec.NO_SALT, Rest(size, 0, file.first_seq)
    for piece in _contents(fs, file, size):
        if isinstance(piece, codec.SegmentHeader):
            header, salt = piece, piece.salt
        elif isinstance(piece, Damage):
            if piece.length:
                aside.append(piece)
        elif isinstance(piece, Rest):
            rest = piece
        else:
            keep.append((piece.start, piece.end))
            salt = piece.salt
    torn = rest.length if file.limit is None else 0
    if not aside and (header is not None or not torn):
        if not torn:
            return []
        handle = fs.open_write(file.path)
        try:
            fs.truncate(handle, rest.offset)
            fs.fsync(handle)
        finally:
            fs.close(handle)
        return [f"{file.path.name}: cut {torn} bytes of an unfinished write at offset {rest.offset}"]

    changed: list[str] = []
    header = header or codec.SegmentHeader(file.first_seq, now_ms, salt)
    source = fs.open_read(file.path)
    try:
        for one in aside:
            target = _free_name(folder, fs, f"{file.path.name}.{one.offset:x}")
            _write_new(fs, target, (fs.pread(source, one.length, one.offset),))
            changed.append(f"{file.path.name}: set {one.length} bytes at offset {one.offset} aside as {target.name}")
        fs.fsync_dir(folder)  # the copies stand before the original goes
        if torn:
            changed.append(f"{file.path.name}: cut {torn} bytes of an unfinished write at offset {rest.offset}")
        fresh = folder / f"{file.path.name}.tmp"
        with contextlib.suppress(FileNotFoundError):
            fs.unlink(fresh)
        frames = (fs.pread(source, end - start, start) for start, end in keep)
        _write_new(fs, fresh, itertools.chain((codec.encode_segment_header(header),), frames))
    finally:
        fs.close(source)
    fs.replace(fresh, file.path)
    fs.fsync_dir(folder)
    return changed


def _free_name(folder: Path, fs: Fs, stem: str) -> Path:
    taken = set(fs.listdir(folder))
    names = itertools.chain((f"{stem}.damaged",), (f"{stem}-{n}.damaged" for n in itertools.count(2)))
    return folder / next(name for name in names if name not in taken)


def _write_new(fs: Fs, path: Path, parts: Iterable[bytes]) -> None:
    handle = fs.open_new(path)
    try:
        offset = 0
        for part in parts:
            write_all(fs, handle, part, offset)
            offset += len(part)
        fs.fsync(handle)
    finally:
        fs.close(handle)


@contextlib.contextmanager
def _translated(op: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        hint = f"is this the journal folder, and may you read it? ls -l {folder}"
        raise DiskError(op, str(place), error.strerror or str(error), hint) from error
