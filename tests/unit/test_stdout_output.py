import errno
import os

import pytest

from shipper.errors import DiskError
from shipper.outputs.stdout import StdoutOutput
from tests.shipped import batch, document, frames


class Pipe:
    """Takes `room` bytes of what is written to it, then fails."""

    def __init__(self, monkeypatch):
        self.taken, self.room, self.error = b"", None, errno.ENOSPC
        monkeypatch.setattr("shipper.outputs.stdout.os.write", self.write)
        monkeypatch.setattr("shipper.outputs.stdout.select.select", lambda r, w, x, t: (r, w, x))

    def write(self, fd, data):
        if self.room is not None:
            if self.room <= 0:
                raise OSError(self.error, os.strerror(self.error))
            data = bytes(data)[: self.room]
            self.room -= len(data)
        self.taken += bytes(data)
        return len(data)


@pytest.fixture
def pipe(monkeypatch):
    return Pipe(monkeypatch)


def text(*documents):
    return b"".join(doc.data + b"\n" for doc in documents)


@pytest.mark.parametrize("extra", [0, 1, 300])
def test_a_line_that_was_cut_short_is_completed_first(pipe, extra):
    output = StdoutOutput("out")
    sent = frames()[0]
    pipe.room = len(text(*sent.documents[:2])) + extra
    receipt = output.deliver(sent)
    assert receipt.delivered == 2 and receipt.retry == sent.documents[2:] and "No space" in receipt.error
    pipe.room = 10 if extra else 0
    receipt = output.deliver(batch(0, *receipt.retry))
    assert receipt.delivered == 0
    pipe.room = None
    assert output.deliver(batch(0, *receipt.retry)).delivered == 3
    assert pipe.taken == text(*sent.documents)


def test_a_cut_line_is_completed_even_when_another_frame_comes_next(pipe):
    output = StdoutOutput("out")
    pipe.room = 10
    output.deliver(batch(0, document(0)))
    pipe.room = None
    output.deliver(batch(1, document(1)))
    assert pipe.taken == text(document(0), document(1))


def test_a_reader_that_is_gone_is_a_retry():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        receipt = StdoutOutput("out", writing).deliver(frames()[0])
    finally:
        os.close(writing)
    assert receipt.retry == frames()[0].documents and "broken pipe" in receipt.error


def test_a_reader_that_does_not_read_is_a_retry_after_the_timeout():
    reading, writing = os.pipe()
    sent = batch(0, *(document(k) for k in range(200)))
    try:
        receipt = StdoutOutput("out", writing, timeout=0.01).deliver(sent)
        assert receipt.delivered + len(receipt.retry) == 200 and receipt.retry
        assert "nobody has read" in receipt.error
    finally:
        os.close(reading)
        os.close(writing)


def test_flush_syncs_a_file_and_bears_a_pipe(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    try:
        assert StdoutOutput("out", writing).flush() == {}
    finally:
        os.close(reading)
        os.close(writing)

    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("shipper.outputs.stdout.os.fdatasync", fail)
    with pytest.raises(DiskError, match="standard output"):
        StdoutOutput("out").flush()
