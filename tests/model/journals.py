"""Small journals on a simulated disk, for the unit tests of the journal."""

from __future__ import annotations

from pathlib import Path

from shipper.journal import Damage, Frame, Journal, Recovery, iterate
from tests.model.simfs import SetClock, SimFs

FOLDER = Path("/state/journal")
SALT = b"12345678"


def disk() -> SimFs:
    """An empty disk with a state folder."""
    fs = SimFs()
    fs.mkdir(Path("/state"))
    return fs


def opened(fs: SimFs, clock: SetClock | None = None, **options: object) -> tuple[Journal, Recovery]:
    """The journal with small segments and no ageing, unless told otherwise."""
    settings = {"segment_bytes": 300, "max_bytes": 10_000, "keep_seconds": 0.0, "entropy": lambda n: SALT[:n]}
    return Journal.open(FOLDER, fs, clock or SetClock(), **(settings | options))


def put(journal: Journal, *numbers: int) -> None:
    """Append frames with these numbers in meta and document; the state is the number it was taken at."""
    for number in numbers:
        journal.append({"n": number}, [b"document %d" % number], snapshot=lambda number=number: {"before": number})


def filled(frames: int, **options: object) -> SimFs:
    """A disk with a closed journal of frames 0.., about three to a segment."""
    fs = disk()
    journal, _ = opened(fs, **options)
    put(journal, *range(frames))
    journal.close()
    return fs


def segments(fs: SimFs) -> list[Path]:
    """The segment files in order."""
    return sorted(path for path in fs.names if path.name.endswith(".seg"))


def contents(fs: SimFs, from_seq: int = 0) -> tuple[list[int], list[Damage]]:
    """The numbers of the frames that can be read, each checked against its content, and the damage."""
    numbers, damage = [], []
    for item in iterate(FOLDER, fs, from_seq):
        if isinstance(item, Frame):
            assert item.meta["n"] == item.seq and item.documents == (b"document %d" % item.seq,)
            numbers.append(item.seq)
        else:
            damage.append(item)
    return numbers, damage


def flip(fs: SimFs, path: Path, at: int, mask: int = 0x10) -> None:
    """Change one bit of a file, on the disk too."""
    data = bytearray(fs.content(path))
    data[at] ^= mask
    fs.set_content(path, bytes(data))


def frame_offsets(fs: SimFs, path: Path) -> list[int]:
    """Where the frames of an intact segment begin."""
    data, found, at = fs.content(path), [], 44
    while at < len(data):
        found.append(at)
        at += 40 + int.from_bytes(data[at + 24 : at + 28], "little")
    return found
