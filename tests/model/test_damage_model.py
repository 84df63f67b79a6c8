"""Bits that rot, bytes that go, files that go: against a plain list of what was kept and of what was hit.

Whatever is damaged and wherever: every frame that was not hit is given, in order and as it was written; the numbers of
the others are reported, all of them and no more, the same by the start, by the readers, by `check`, by `iterate` and
after `repair`; and the journal goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.journal import Damage, Frame, Gap, Journal, check, iterate, repair
from tests.model.simfs import SetClock, SimFs

FOLDER = Path("/state/journal")
HEADER = 44

hits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "zeros", "noise", "cut", "gone"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 300),
    ),
    min_size=1,
    max_size=5,
)


@dataclass(frozen=True)
class Place:
    """Where a frame stands."""

    path: Path
    start: int
    end: int


class Written:
    """A journal on a disk, with a list of what was kept, and where: documents, places and bytes of each frame."""

    def __init__(self, sizes: list[int], segment_bytes: int) -> None:
        self.fs = SimFs()
        self.fs.mkdir(Path("/state"))
        self.segment_bytes = segment_bytes
        self.kept: list[tuple[bytes, ...]] = []
        self.places: list[Place] = []
        self.bytes: list[bytes] = []
        self.lost: set[int] = set()
        journal = self.open()[0]
        for size in sizes:
            self.append(journal, size)
        journal.close()

    def open(self, floor: int = 0):
        return Journal.open(
            FOLDER,
            self.fs,
            SetClock(),
            segment_bytes=self.segment_bytes,
            max_bytes=10_000,
            keep_seconds=0,
            floor=floor,
            entropy=lambda n: len(self.kept).to_bytes(n, "big"),
        )

    def append(self, journal: Journal, size: int) -> None:
        number = len(self.kept)
        documents = (Random(number).randbytes(size).replace(b"\n", b""), b"document %d" % number)
        assert journal.append({"n": number}, documents, snapshot=lambda: {"before": number}) == number
        path = self.segments()[-1]
        start = max((place.end for place in self.places if place.path == path), default=HEADER)
        self.kept.append(documents)
        self.places.append(Place(path, start, len(self.fs.content(path))))
        self.bytes.append(self.fs.content(path)[start:])

    def segments(self) -> list[Path]:
        return sorted(path for path in self.fs.names if path.name.endswith(".seg"))

    def hit(self, kind: str, which: float, where: float, length: int) -> None:
        """Damage one segment."""
        paths = self.segments()
        path = paths[int(which * len(paths))]
        data = bytearray(self.fs.content(path))
        at = int(where * len(data))
        if kind == "gone":
            # The first may have been given back, and of the newest nobody knows.
            if path not in {paths[0], paths[-1]}:
                del self.fs.names[path], self.fs.disk_names[path]
            return
        if kind == "cut":
            del data[at:]
        elif kind == "zeros":
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif kind == "noise":
            data[at : at + length] = Random(length).randbytes(len(data[at : at + length]))
        elif data:
            data[at] ^= 1 << length % 8
        self.fs.set_content(path, bytes(data))

    def compare(self) -> None:
        """Note which frames are not what was written any more."""
        for seq, (place, before) in enumerate(zip(self.places, self.bytes, strict=True)):
            now = self.fs.content(place.path) if place.path in self.fs.names else b""
            if now[place.start : place.end] != before:
                self.lost.add(seq)

    def expect(self, items, below: int) -> None:
        """`items` give every frame below a number, and where there are lost ones say so."""
        seen: list[int] = []
        missing: set[int] = set()
        for item in items:
            if isinstance(item, Frame):
                assert item.meta["n"] == item.seq and tuple(item.documents) == self.kept[item.seq]
                seen.append(item.seq)
            elif item.last_seq >= item.first_seq:
                told = set(range(item.first_seq, item.last_seq + 1))
                assert not told & missing, "told twice"
                missing |= told
        assert seen == [seq for seq in range(below) if seq not in self.lost]
        assert missing == {seq for seq in self.lost if seq < below}


def lost_by(damage: list[Damage] | tuple[Damage, ...]) -> set[int]:
    return {seq for one in damage for seq in range(one.first_seq, one.last_seq + 1)}


def read_all(journal: Journal, last: int) -> list[Frame | Gap]:
    items = []
    with journal.reader(0) as reader:
        while reader.seq < last:
            items.append(reader.read(0))
            assert items[-1] is not None
    return items


def torn(written: Written) -> int:
    """The number at which the journal ends for one who knows nothing else: after the last good frame of the newest."""
    newest = written.segments()[-1]
    first = min(seq for seq, place in enumerate(written.places) if place.path == newest)
    return max(
        (s + 1 for s, p in enumerate(written.places) if p.path == newest and s not in written.lost), default=first
    )


def damaged(sizes, segment_bytes, blows) -> Written:
    written = Written(sizes, segment_bytes)
    for blow in blows:
        written.hit(*blow)
    written.compare()
    return written


examples = given(
    sizes=st.lists(st.integers(0, 200), min_size=1, max_size=14), segment_bytes=st.integers(50, 900), blows=hits
)
often = settings(max_examples=int(os.environ.get("FIELDTRAIL_MODEL_EXAMPLES", "200")), deadline=None)


@examples
@often
def test_whatever_is_hit_is_reported_by_number_and_the_rest_is_given(sizes, segment_bytes, blows):
    """An output has delivered everything, so the end of the journal is known."""
    written = damaged(sizes, segment_bytes, blows)
    end = len(written.kept)
    journal, recovery = written.open(floor=end)
    assert recovery.next_seq == end
    assert lost_by(recovery.damage) == written.lost
    assert recovery.truncated == 0 or not written.lost, "bytes of frames that were delivered are never cut"
    written.expect(read_all(journal, end), end)
    for _ in range(3):
        written.append(journal, 40)
    written.expect(read_all(journal, end + 3), end + 3)
    journal.close()


@examples
@often
def test_without_anybody_who_knows_better_only_the_tail_counts_as_never_written(sizes, segment_bytes, blows):
    written = damaged(sizes, segment_bytes, blows)
    end = torn(written)
    assert lost_by(check(FOLDER, written.fs).damage) == {seq for seq in written.lost if seq < end}
    journal, recovery = written.open()
    assert recovery.next_seq == end
    assert lost_by(recovery.damage) == {seq for seq in written.lost if seq < end}
    written.expect(read_all(journal, end), end)
    written.expect(iterate(FOLDER, written.fs), end)
    journal.close()


@examples
@often
def test_a_repair_loses_no_frame_and_forgets_no_loss(sizes, segment_bytes, blows):
    written = damaged(sizes, segment_bytes, blows)
    end = torn(written)
    gone = {seq for seq in written.lost if seq < end}
    report = repair(FOLDER, written.fs, SetClock())
    assert not report.needs_repair
    assert lost_by(report.damage) == gone
    assert report.frames == end - len(gone)
    written.expect(iterate(FOLDER, written.fs), end)
    written.fs.power_cut(1)
    assert lost_by(check(FOLDER, written.fs).damage) == gone
    journal, recovery = written.open()
    assert lost_by(recovery.damage) == gone
    assert recovery.next_seq == end
    journal.close()
    assert repair(FOLDER, written.fs, SetClock()).changed == (), "a second repair finds nothing to do"


@pytest.mark.parametrize("seed", range(5))
def test_a_range_is_one_report_however_many_frames_it_holds(seed):
    written = Written([60] * 12, 10_000)
    first, last = sorted(Random(seed).sample(range(1, 11), 2))
    data = bytearray(written.fs.content(written.segments()[0]))
    begin, end = written.places[first].start, written.places[last].end
    data[begin:end] = bytes(end - begin)
    written.fs.set_content(written.segments()[0], bytes(data))
    (told,) = check(FOLDER, written.fs).damage
    assert (told.offset, told.length, told.first_seq, told.last_seq) == (begin, end - begin, first, last)
