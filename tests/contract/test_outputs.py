"""What every output must do, held against each of them. A new output is one line in `OUTPUTS` and its bench."""

import os
import threading

import orjson
import pytest

from shipper.output_sections import FileOutputSection, HttpSection, SyslogSection
from shipper.outputs._syslog_frame import LARGEST, Messages
from shipper.outputs.file import FileOutput
from shipper.outputs.http import HttpOutput
from shipper.outputs.relp import RelpOutput
from shipper.outputs.stdout import StdoutOutput
from shipper.outputs.store import StoreOutput, stored
from shipper.outputs.syslog import SyslogOutput
from tests.http_receiver import HttpReceiver
from tests.receivers import TcpReceiver, msg
from tests.relp_receiver import RelpReceiver
from tests.shipped import LOG, OTHER_LOG, batch, change, checkpoint, document, frames


class Bench:
    """A destination that outlives the outputs that write to it.

    `make()` gives a new output; `held(count)` the documents that arrived, in order, as soon as there are that many.
    `asked`: the destination can be asked for its highest index. `once`: what is delivered again stands once.
    """

    asked = False
    once = False

    def wanted(self, *batches):
        """What arrives of these batches, in order."""
        return [doc.data for frame in batches for doc in frame.documents]

    def close(self):
        """Nothing to release, for most."""


class StoreBench(Bench):
    asked = once = True

    def __init__(self, folder):
        self.path = folder / "store.db"

    def make(self):
        return StoreOutput("out", self.path)

    def held(self, count):
        return [row.data for row in stored(self.path)]


class FileBench(Bench):
    asked = once = True

    def __init__(self, folder):
        self.path = folder / "events.ndjson"

    def make(self):
        return FileOutput(FileOutputSection(id="out", type="file", path=self.path))

    def held(self, count):
        return self.path.read_bytes().splitlines()


class StdoutBench(Bench):
    def __init__(self, folder):
        self.reading, self.writing = os.pipe()
        self.changed = threading.Condition()
        self.data = b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while data := os.read(self.reading, 65536):
            with self.changed:
                self.data += data
                self.changed.notify_all()

    def make(self):
        return StdoutOutput("out", self.writing)

    def held(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: self.data.count(b"\n") >= count, 20)
            return self.data.splitlines()

    def close(self):
        os.close(self.writing)
        self.thread.join(20)
        os.close(self.reading)


class SyslogBench(Bench):
    def __init__(self, folder):
        self.receiver = TcpReceiver()

    def make(self):
        address = f"tcp://127.0.0.1:{self.receiver.port}"
        section = SyslogSection(id="out", type="syslog", address=address, control="full")
        return SyslogOutput(section, hostname="hr-app-03")

    def held(self, count):
        return [msg(text) for text in self.receiver.messages(count)]

    def close(self):
        self.receiver.close()


class RelpBench(Bench):
    def __init__(self, folder):
        self.receiver = RelpReceiver()

    def make(self):
        address = f"relp://127.0.0.1:{self.receiver.port}"
        section = SyslogSection(id="out", type="syslog", address=address, control="full")
        return RelpOutput(section, hostname="hr-app-03")

    def held(self, count):
        return [msg(text) for text in self.receiver.messages(count)]

    def close(self):
        self.receiver.close()


class CefBench(Bench):
    """A translation of the events: control documents do not go, and what arrives is the message."""

    format = "cef"

    def __init__(self, folder):
        self.receiver = TcpReceiver()
        address = f"tcp://127.0.0.1:{self.receiver.port}"
        self.section = SyslogSection(
            id="out", type="syslog", address=address, format=self.format, framing="octet-counting"
        )

    def make(self):
        return SyslogOutput(self.section, hostname="hr-app-03")

    def held(self, count):
        return self.receiver.messages(count)

    def wanted(self, *batches):
        messages = Messages(self.section, hostname="hr-app-03", limit=LARGEST)
        return [text for frame in batches for _, text in messages.of(frame.documents)[0]]

    def close(self):
        self.receiver.close()


class LeefBench(CefBench):
    format = "leef"


class HttpBench(Bench):
    def __init__(self, folder):
        self.receiver = HttpReceiver()

    def make(self):
        return HttpOutput(HttpSection(id="out", type="http", url=self.receiver.url, control="full"))

    def held(self, count):
        return self.receiver.bodies(count)

    def close(self):
        self.receiver.close()


OUTPUTS = {
    "store": StoreBench,
    "file": FileBench,
    "stdout": StdoutBench,
    "syslog": SyslogBench,
    "relp": RelpBench,
    "cef": CefBench,
    "leef": LeefBench,
    "http": HttpBench,
}


@pytest.fixture(params=OUTPUTS)
def bench(request, tmp_path):
    made = OUTPUTS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def output(bench):
    made = bench.make()
    made.open({})
    yield made
    made.close()


def arrived(bench, *batches):
    """Whether exactly these arrived, in this order."""
    wanted = bench.wanted(*batches)
    return bench.held(len(wanted)) == wanted


def test_documents_arrive_byte_for_byte_in_journal_order_with_control_documents(bench, output):
    sent = frames(3)
    for frame in sent:
        receipt = output.deliver(frame)
        assert (receipt.delivered, receipt.error) == (5, "")
        assert not receipt.refused and not receipt.retry and not receipt.fork
    output.flush()
    assert arrived(bench, *sent)


def test_values_that_are_hard_to_carry_arrive_unchanged(bench, output):
    texts = ["Zoë 变更 😀", 'quotes " and \\ and ]', "line\nbreak\r\ttab\x00\x1b", "\u2028\u202e", "x" * 40_000]
    sent = batch(0, *(document(k, change(message=text)) for k, text in enumerate(texts)))
    assert output.deliver(sent).delivered == len(texts)
    output.flush()
    assert arrived(bench, sent)


def test_every_document_is_delivered_refused_or_to_be_retried(output):
    for frame in frames(2):
        receipt = output.deliver(frame)
        total = receipt.delivered + len(receipt.refused) + len(receipt.retry) + len(receipt.fork)
        assert total == len(frame.documents)


def test_the_state_survives_as_json(bench, output):
    output.deliver(frames()[0])
    state = output.flush()
    assert orjson.loads(orjson.dumps(dict(state))) == dict(state)


def test_a_second_run_continues_where_the_first_ended(bench, output):
    sent = frames(4)
    for frame in sent[:2]:
        output.deliver(frame)
    state = output.flush()
    assert arrived(bench, *sent[:2])
    output.close()
    again = bench.make()
    again.open(state)
    for frame in sent[2:]:
        again.deliver(frame)
    again.flush()
    again.close()
    assert arrived(bench, *sent)


def test_after_a_crash_nothing_is_missing_and_repeats_are_byte_for_byte_the_same(bench, output):
    sent = frames(4)
    output.deliver(sent[0])
    state = output.flush()
    output.deliver(sent[1])
    output.deliver(sent[2])
    assert arrived(bench, *sent[:3])
    output.close()
    again = bench.make()
    again.open(state)
    for frame in sent[1:]:
        assert again.deliver(frame).delivered == 5
    again.flush()
    again.close()
    if bench.once:
        assert arrived(bench, *sent)
    else:
        assert arrived(bench, *sent[:3], *sent[1:])


def test_the_highest_index_is_the_destinations_own_account(bench, output):
    if not bench.asked:
        assert output.highest(LOG) is None
        return
    assert output.highest(LOG) == -1
    for frame in frames(3):
        output.deliver(frame)
    output.flush()
    assert output.highest(LOG) == 11
    assert output.highest(OTHER_LOG) == -1
    output.deliver(batch(3, checkpoint(12)))
    assert output.highest(LOG) == 11


def test_a_destination_with_a_cursor_of_its_own_counts_frames(output):
    before = output.cursor()
    assert before is None
    output.deliver(frames()[0])
    assert output.cursor() in (None, 1)


def test_an_output_can_be_closed_twice_and_before_it_was_opened(bench):
    output = bench.make()
    output.close()
    output.open({})
    output.close()
    output.close()
