"""An output that could not sync goes back to its last flush and is given what it may have lost once more."""

import errno
from dataclasses import replace

import pytest

from shipper.delivery import Cursor, Delivery
from shipper.dlq import DeadLetters
from shipper.fs import RealFs
from shipper.journal import Frame, Gap
from shipper.output_sections import FileOutputSection
from shipper.outputs.file import FileOutput
from tests.shipped import LOG, ORIGIN
from tests.tailing import StandingClock


class Book:
    """A journal that holds these frames; each reader begins where it is told."""

    def __init__(self, *items):
        self.items, self.next_seq, self.begun = items, len(items), []

    def reader(self, seq):
        self.begun.append(seq)
        return Reader(self.items[seq:])


class Reader:
    def __init__(self, items):
        self._items = list(items)

    def read(self, timeout):
        return self._items.pop(0) if self._items else None

    def close(self):
        pass


class Disk(RealFs):
    """Fails at the syncs named, counted from 1."""

    def __init__(self, *failing):
        self.failing, self.syncs = set(failing), 0

    def fdatasync(self, handle):
        self.syncs += 1
        if self.syncs in self.failing:
            raise OSError(errno.EIO, "Input/output error")
        super().fdatasync(handle)


def frame(seq, total, count=2):
    documents = tuple(b'{"n":%d}' % number for number in range(total - count, total))
    meta = {"log": LOG, "origin": ORIGIN, "first": total - count, "total": total}
    return Frame(seq, {**meta, "routes": [["fieldtrail.change", count]]}, documents)


FRAMES = [frame(0, 2), frame(1, 4), frame(2, 6), frame(3, 8)]
TEXT = b"".join(data + b"\n" for one in FRAMES for data in one.documents)


class Clock(StandingClock):
    """A second and more passes with every look, so that every frame is saved by itself."""

    def monotonic(self):
        self.seconds = getattr(self, "seconds", 0.0) + 2.0
        return self.seconds


@pytest.fixture
def deliver(tmp_path, monkeypatch):
    """`deliver(disk, *items)`: the delivery of all frames into a file on this disk, at its end."""
    monkeypatch.setattr("shipper.delivery.FIRST_WAIT", 0.001)
    monkeypatch.setattr("shipper.delivery.MERGE_DOCUMENTS", 2)
    (tmp_path / "cursors").mkdir()

    def run(disk, *items, opens_fail=0):
        class Output(FileOutput):
            opened = 0

            def open(self, stored):
                self.opened += 1
                if 1 < self.opened <= 1 + opens_fail:
                    raise self._disk_error("open archive", OSError(errno.EIO, "Input/output error"))
                super().open(stored)

        class Until(Delivery):
            def _maybe_save(self, *, idle):
                super()._maybe_save(idle=idle)
                if idle and self.saved == len(items):
                    self.halt()

        output = Output(FileOutputSection(id="archive", type="file", path=tmp_path / "events.ndjson"), disk)
        made = Until(
            output,
            Book(*items),
            Cursor(tmp_path / "cursors", "archive"),
            0,
            {},
            letters=DeadLetters(tmp_path / "dlq"),
            clock=Clock(),
            ask=lambda request: None,
            local_size=lambda: (LOG, 0),
        )
        made.run()
        assert made.failure is None
        return made

    return run


def files(folder):
    return [path.read_bytes() for path in [*sorted(folder.glob("events.ndjson.0*")), folder / "events.ndjson"]]


# The first sync is that of the empty file, before anything was delivered.
@pytest.mark.parametrize("failing", [(2,), (3,), (5,), (2, 3), (2, 4), (3, 6)])
def test_whichever_sync_fails_every_document_stands_once_in_order_and_the_account_balances(deliver, tmp_path, failing):
    made = deliver(Disk(*failing), *FRAMES)
    assert b"".join(files(tmp_path)) == TEXT
    assert len(files(tmp_path)) == 1 + len(failing)
    assert made.counts.delivered == made.kept(8) == 8
    assert made.pending(8) == 0
    assert Cursor(tmp_path / "cursors", "archive").load()[0] == 4


def test_what_is_read_again_begins_at_the_last_flush_and_not_at_the_beginning(deliver):
    made = deliver(Disk(4), *FRAMES)
    assert made._journal.begun == [0, 2]


def test_an_output_that_cannot_be_opened_again_is_tried_until_it_can(deliver, tmp_path):
    made = deliver(Disk(3), *FRAMES, opens_fail=3)
    assert made.output.opened == 5
    assert b"".join(files(tmp_path)) == TEXT


def test_frames_that_were_lost_before_the_sync_failed_are_counted_once(deliver):
    made = deliver(Disk(3), FRAMES[0], Gap(1, 1, "damaged"), FRAMES[2], FRAMES[3])
    assert (made.counts.dropped, made.counts.lost_frames, made.counts.delivered) == (2, 1, 6)
    assert made.kept(8) == 8 and made.pending(8) == 0


def test_a_run_that_begins_in_the_middle_of_the_log_counts_nothing_as_dropped(deliver):
    later = [replace(one, meta={**one.meta, "total": one.meta["total"] + 100}) for one in FRAMES]
    made = deliver(Disk(2), *later)
    assert (made.counts.dropped, made.counts.delivered, made.kept(108)) == (0, 8, 8)
