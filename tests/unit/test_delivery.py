"""How an output's thread puts frames together into batches, and what the batches look like."""

import pytest

from shipper.delivery import Cursor, Delivery, documents_of
from shipper.dlq import DeadLetters
from shipper.journal import Frame, Gap
from shipper.model import Documents, Receipt
from shipper.output_sections import FileOutputSection
from shipper.outputs.file import FileOutput
from tests.shipped import LOG, ORIGIN, OTHER_LOG
from tests.tailing import StandingClock


class Shelf:
    """A journal that holds these frames, and its reader."""

    def __init__(self, *items):
        self.items, self.next_seq, self.asked = list(items), len(items), []

    def reader(self, seq):
        assert seq == 0
        return self

    def read(self, timeout):
        self.asked.append(timeout)
        return self.items.pop(0) if self.items else None

    def close(self):
        pass


class Taker:
    """An output that takes everything; `stop` is called when it has seen the frame `last`."""

    id = "siem"

    def __init__(self, last):
        self.batches, self.last = [], last
        self.stop = lambda: None

    def open(self, stored):
        pass

    def highest(self, log):
        return None

    def deliver(self, batch):
        self.batches.append(batch)
        if batch.seq == self.last:
            self.stop()
        return Receipt(len(batch.documents))

    def flush(self):
        return {}

    def close(self):
        pass


class Shelved:
    """Frames of documents of `length` bytes, numbered and counted as the agent does."""

    def __init__(self):
        self.frames, self.index, self.total = [], 0, 0

    def add(self, count, length, log=LOG, routes=None, checkpoint=None):
        documents = tuple(b"%07d" % n + b"x" * (length - 7) for n in range(self.total, self.total + count))
        self.total += count
        meta = {"log": log, "origin": ORIGIN, "first": self.index, "total": self.total}
        meta["routes"] = routes or [["fieldtrail.change", count]]
        if checkpoint is not None:
            meta["checkpoint"] = checkpoint
        self.index += count - (checkpoint is not None)
        self.frames.append(Frame(len(self.frames), meta, documents))
        return self


def batches(shelved, tmp_path, when=None, items=None):
    """What the output was given, batch by batch; the delivery."""
    shelf = Shelf(*(items or shelved.frames))
    output = Taker(shelved.frames[-1].seq)
    (tmp_path / "cursors").mkdir()
    made = Delivery(
        output,
        shelf,
        Cursor(tmp_path / "cursors", "siem"),
        0,
        {},
        letters=DeadLetters(tmp_path / "dlq"),
        clock=StandingClock(),
        ask=lambda request: None,
        local_size=lambda: (LOG, 0),
        when=when,
    )
    output.stop = made.halt
    made.run()
    assert made.failure is None
    return output.batches, made


def test_frames_that_wait_go_together_up_to_the_bound_and_all_arrive_in_order(tmp_path):
    shelved = Shelved()
    for _ in range(7):
        shelved.add(15, 100_000)
    got, made = batches(shelved, tmp_path)
    assert [len(batch.documents) for batch in got] == [30, 30, 30, 15]
    assert [batch.seq for batch in got] == [1, 3, 5, 6]
    assert [one.data for batch in got for one in batch.documents] == [
        one for f in shelved.frames for one in f.documents
    ]
    assert [one.index for batch in got for one in batch.documents] == list(range(105))
    assert made.counts.delivered == made.kept(shelved.total) == 105
    assert made.counts.dropped == made.pending(shelved.total) == 0


def test_a_frame_above_the_bound_goes_alone_and_takes_no_other_along(tmp_path):
    shelved = Shelved().add(1, 100).add(50, 100_000).add(1, 100).add(1, 100)
    got, _ = batches(shelved, tmp_path)
    assert [len(batch.documents) for batch in got] == [1, 50, 2]


def test_no_batch_of_frames_holds_more_documents_than_a_request_may(tmp_path):
    shelved = Shelved().add(2_000, 10).add(2_000, 10).add(2_000, 10)
    got, _ = batches(shelved, tmp_path)
    assert [len(batch.documents) for batch in got] == [4_000, 2_000]


@pytest.mark.parametrize("asked_for", [None, 0.05])
def test_what_waits_for_its_next_try_is_tried_at_once_when_the_agent_stops(tmp_path, asked_for):
    """A delivery that would wait 40 s and more by then is made to wait by a word of its own only."""
    shelved = Shelved().add(1, 500)
    made, tries = None, []

    class Unreachable(Taker):
        def deliver(self, batch):
            tries.append(batch)
            if len(tries) == 30:
                return super().deliver(batch)
            made.hurry()
            return Receipt(0, retry=batch.documents, error="away", retry_after=asked_for if len(tries) == 1 else None)

    output = Unreachable(0)
    (tmp_path / "cursors").mkdir()
    made = Delivery(
        output,
        Shelf(*shelved.frames),
        Cursor(tmp_path / "cursors", "siem"),
        0,
        {},
        letters=DeadLetters(tmp_path / "dlq"),
        clock=StandingClock(),
        ask=lambda request: None,
        local_size=lambda: (LOG, 0),
    )
    output.stop = made.halt
    made.run()
    assert len(output.batches) == 1
    assert made.counts.retries == 29


def test_nobody_waits_for_a_second_frame(tmp_path):
    shelved = Shelved().add(1, 500)
    got, made = batches(shelved, tmp_path)
    assert len(got) == 1
    assert made._journal.asked[1:] == [0], "only the first frame of a batch is waited for"


def test_a_gap_after_a_frame_ends_the_batch_and_is_counted(tmp_path):
    shelved = Shelved().add(2, 20).add(3, 20).add(4, 20)
    first, _, last = shelved.frames
    got, made = batches(shelved, tmp_path, items=[first, Gap(1, 1, "damaged"), last])
    assert [len(batch.documents) for batch in got] == [2, 4]
    assert made.counts.dropped == 3


def test_a_batch_is_columns_of_the_frames_documents(tmp_path):
    shelved = Shelved().add(
        5, 30, routes=[["fieldtrail.change", 2], ["fieldtrail.log", 2], ["fieldtrail.checkpoint", 1]], checkpoint=4
    )
    shelved.add(1, 30)
    got, _ = batches(shelved, tmp_path)
    (batch,) = got
    assert isinstance(batch.documents, Documents)
    assert [(run.dataset, list(run.numbers)) for run in batch.documents.runs] == [
        ("fieldtrail.change", [0, 1]),
        ("fieldtrail.log", [2, 3]),
        ("fieldtrail.checkpoint", [4]),
        ("fieldtrail.change", [4]),
    ]
    assert [one.index for one in batch.documents] == [0, 1, 2, 3, -1, 4]
    assert [one.id for one in batch.documents][3:] == [f"{LOG}-{3:014x}", f"{LOG}-c{4:014x}", f"{LOG}-{4:014x}"]


def test_what_when_leaves_out_is_counted_and_the_rest_keeps_its_ids(tmp_path):
    shelved = Shelved().add(6, 30, routes=[["fieldtrail.change", 5], ["fieldtrail.log", 1]])
    got, made = batches(shelved, tmp_path, when=lambda document: document.index % 2 == 1)
    assert [one.index for one in got[0].documents] == [1, 3, 5]
    assert isinstance(got[0].documents, Documents)
    assert made.counts.filtered == 3 and made.counts.delivered == 3


@pytest.mark.parametrize("count", [1, 3])
def test_frames_of_two_logs_stay_apart(tmp_path, count):
    shelved = Shelved().add(count, 20)
    shelved.index = 0
    shelved.add(count, 20, log=OTHER_LOG)
    got, _ = batches(shelved, tmp_path)
    assert [(batch.log, len(batch.documents)) for batch in got] == [(LOG, count), (OTHER_LOG, count)]
    assert documents_of(shelved.frames[1])[0].id == f"{OTHER_LOG}-{0:014x}"


def test_an_agent_killed_after_its_first_delivery_finds_its_own_file_again_and_nothing_stands_there_twice(tmp_path):
    shelved = Shelved().add(3, 100)
    cursor = Cursor(tmp_path / "cursors", "archive")
    (tmp_path / "cursors").mkdir()
    section = FileOutputSection(id="archive", type="file", path=tmp_path / "events.ndjson")

    class Killed(FileOutput):
        """What the cursor says when the first batch was written, before anything was saved of it."""

        def deliver(self, batch):
            receipt = super().deliver(batch)
            self.left = cursor.load()
            self.stop()
            return receipt

    for _ in range(2):
        state = cursor.load()[1] if cursor.path.exists() else {}
        output = Killed(section)
        made = Delivery(
            output,
            Shelf(*shelved.frames),
            cursor,
            0,
            state,
            letters=DeadLetters(tmp_path / "dlq"),
            clock=StandingClock(),
            ask=lambda request: None,
            local_size=lambda: (LOG, 3),
        )
        output.stop = made.halt
        made.run()
        assert made.failure is None
        cursor.save(*output.left)
    assert (tmp_path / "events.ndjson").read_bytes() == b"".join(data + b"\n" for data in shelved.frames[0].documents)
    assert list(tmp_path.glob("events.ndjson.*")) == []
