"""The agent's parts one by one: delivery, cursors, recovery of the log, the logbook, `when:`, replay of dead letters."""

import random
import shutil
from types import SimpleNamespace

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shipper.build import when_filter
from shipper.config import Config
from shipper.delivery import Cursor, Delivery, Request, documents_of, ranges
from shipper.dlq import DeadLetters
from shipper.errors import ConfigError, CorruptError, DiskError, UnavailableError, UsageError
from shipper.fs import RealFs
from shipper.generations import Generations
from shipper.journal import Frame, Journal
from shipper.logbook import Identity, Logbook, leaves_of
from shipper.model import Batch, Document, Receipt, Refusal
from shipper.output_sections import StoreSection, WhenSection
from shipper.pipeline import Lines
from shipper.recover import State, Watermark, continue_log, state_of
from shipper.replay import replay
from shipper.seal.sealer import hash_leaves
from shipper.seal.tree import Tree
from tests.tailing import StandingClock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def identity(key=KEY, prefix="test.example/audit/t1"):
    return Identity("t1", "0.1.0", "default", prefix, key, b"m" * 32)


def nonces():
    return random.Random(7).randbytes


def part(*numbers):
    """What the pipeline made of some lines: one change each."""
    bodies = [
        orjson.dumps(
            {"data_stream": {"dataset": "fieldtrail.change", "namespace": "default", "type": "logs"}, "n": number},
            option=orjson.OPT_SORT_KEYS,
        )
        for number in numbers
    ]
    source = {"input": "app", "path": "/a", "stream": "s", "from": 0, "to": 1, "lines": len(bodies)}
    counts = {"events": len(bodies), "rejected": 0, "no_change": 0, "mac": "00"}
    routes = [["fieldtrail.change", len(bodies)]] if bodies else []
    return Lines(bodies, routes, *hash_leaves(bodies, bytes), {**source, **counts})


class Log:
    """A journal on disk with a logbook writing into it, as the agent does."""

    def __init__(self, root, **options):
        self.folder = root / "journal"
        self.clock = StandingClock()
        self.state = State()
        self.options = {"max_bytes": 1 << 30, "keep_seconds": 0.0, **options}
        self.journal, _ = Journal.open(self.folder, RealFs(), self.clock, **self.options)
        self.begin(None)

    def begin(self, succession):
        self.book = Logbook.begin(
            identity(), self.clock.now(), nonces(), host="h", config_hash="c", succession=succession
        )

    def keep(self, *numbers, close=False):
        """One frame; returns what was built."""
        lines = [part(*numbers)] if numbers else []
        built = self.book.build(lines, {"s": {"input": "app", "at": numbers}}, 1.0, close=close, interval=60.0)
        seq = self.journal.next_seq
        self.state.total += len(built.documents)
        meta = {**built.meta, "total": self.state.total}
        meta["checked_seq"] = seq if close else self.state.log.get("checked_seq", -1)
        meta["outputs"], meta["config_hash"] = {"out": {}}, "c"
        if seq == 0:
            meta["genesis"] = self.book.genesis.hex()
        self.journal.append(meta, built.documents, snapshot=self.state.as_json)
        self.state.fold(meta)
        return built

    def again(self):
        """Close the journal and take it up; the recovered state and the journal."""
        self.journal.close()
        self.journal, recovery = Journal.open(self.folder, RealFs(), self.clock, **self.options)
        return state_of(recovery)

    def goes_on(self, state, *, furthest=0, mark=None, who=None):
        return continue_log(state, who or identity(), self.folder, self.journal.next_seq, furthest, mark, nonces())


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path)
    yield made
    made.journal.close()


# -- the logbook -------------------------------------------------------------------------------------------------------


def test_genesis_is_leaf_zero_and_a_checkpoint_ends_a_closed_frame(log):
    built = log.keep(1, 2, close=True)
    first, last = orjson.loads(built.documents[0]), orjson.loads(built.documents[-1])
    assert first["trail"]["control"] == "genesis" and first["seal"]["i"] == 0
    assert last["trail"]["checkpoint"]["size"] == built.checkpoint == 4
    assert built.meta["routes"] == [
        ["fieldtrail.log", 1], ["fieldtrail.change", 2], ["fieldtrail.log", 1], ["fieldtrail.checkpoint", 1],
    ]  # fmt: skip
    assert leaves_of(built.documents[:1]) == [log.book.genesis]


def test_a_succession_follows_genesis(log):
    log.begin({"origin": "o", "size": 3, "note": "n", "reason": "fork"})
    built = log.keep()
    kinds = [orjson.loads(one)["trail"]["control"] for one in built.documents]
    assert kinds == ["genesis", "succession"]


def test_control_leaves_come_before_the_lines_of_their_frame(log):
    log.keep()
    log.book.control("start", {}, 1.0)
    built = log.keep(1)
    assert [orjson.loads(one)["seal"]["i"] for one in built.documents] == [1, 2]
    assert orjson.loads(built.documents[0])["trail"]["control"] == "start"


def test_a_batch_leaf_joins_the_sources_of_its_frames(log):
    log.keep(1, 2)
    log.keep(3)
    built = log.keep(close=True)
    batch = orjson.loads(built.documents[-2])["trail"]["log"]
    assert [(source["lines"], source["events"]) for source in batch["sources"]] == [(3, 3)]
    assert log.book.sources == [] and log.book.open_leaves == 0


def test_the_tree_is_that_of_the_shipped_documents(log):
    documents = [one for numbers in ((1,), (2, 3), (4,)) for one in log.keep(*numbers).documents]
    tree = Tree()
    tree.extend(leaves_of(documents))
    assert tree.root() == log.book.sealer.tree.root()


def test_documents_get_their_ids_and_datasets_from_the_frame(log):
    built = log.keep(1, 2, close=True)
    documents = documents_of(Frame(0, {**built.meta}, built.documents))
    name = log.book.sealer.log.id
    assert [one.index for one in documents] == [0, 1, 2, 3, -1]
    assert documents[1].id == f"{name}-{1:014x}"
    assert documents[4].id == f"{name}-c{4:014x}"
    assert documents[1].dataset == "fieldtrail.change"


# -- taking the log up -------------------------------------------------------------------------------------------------


def test_a_log_goes_on_where_it_was(log):
    log.keep(1, close=True)
    log.keep(2)
    log.keep(3)
    before = log.book.sealer
    found = log.goes_on(log.again())
    assert isinstance(found, Logbook)
    assert found.sealer.state() == before.state()
    assert found.sealer.open_leaves == before.open_leaves
    assert found.genesis == log.book.genesis and found.note == log.book.note
    assert len(found.sources) == 2


def test_the_state_is_the_same_from_a_snapshot_and_from_the_metas(tmp_path):
    log = Log(tmp_path, segment_bytes=200)
    for number in range(6):
        log.keep(number, close=number % 2 == 1)
    expected = log.state
    assert len(list(log.folder.glob("*.seg"))) > 2
    state = log.again()
    assert orjson.loads(orjson.dumps(state.as_json())) == orjson.loads(orjson.dumps(expected.as_json()))
    log.journal.close()


def test_a_stream_that_is_over_leaves_no_position():
    log = {"log": "l", "origin": "o", "tree": {}, "checked_seq": 0}
    state = State()
    state.fold({"positions": {"a": {"input": "x"}, "b": {"input": "x"}}, "total": 1, **log})
    state.fold({"positions": {"a": {"input": "x"}}, "ended": ["a", "none"], "total": 1, **log})
    assert state.positions == {"b": {"input": "x"}}


def test_lines_without_events_keep_their_custody_over_a_restart(log):
    log.keep(1, close=True)
    unchanged = part()
    unchanged.source.update(lines=2, no_change=2)
    built = log.book.build([unchanged], {}, 1.0, close=False, interval=60.0)
    meta = {**built.meta, "total": log.state.total, "checked_seq": log.state.log["checked_seq"]}
    log.journal.append(meta, built.documents, snapshot=log.state.as_json)
    log.state.fold(meta)
    found = log.goes_on(log.again())
    assert isinstance(found, Logbook)
    assert len(found.sources) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"furthest": 9}, "the journal ends before what was delivered"),
        ({"mark": Watermark("o", 9, 9, "n", "00")}, "the journal ends before what was delivered"),
        ({"who": identity(prefix="test.example/audit/t2")}, "the agent's name or origin changed"),
    ],
    ids=["cursor", "checkpoint", "name"],
)
def test_a_log_that_must_not_go_on_says_why(log, options, reason):
    log.keep(1, close=True)
    assert log.goes_on(log.again(), **options) == reason


def test_another_key_is_refused(log):
    log.keep(1, close=True)
    with pytest.raises(ConfigError, match="not the key that signed this log"):
        log.goes_on(log.again(), who=identity(Ed25519PrivateKey.generate()))


def test_without_a_log_it_counts_what_was_delivered(log):
    assert log.goes_on(State()) == "no log yet"
    assert log.goes_on(State(), furthest=1) == "the journal is gone"
    assert log.goes_on(State(), mark=Watermark("o", 1, 0, "n", "00")) == "the journal is gone"


def test_frames_after_the_checkpoint_that_are_damaged_end_the_log(log):
    log.keep(1, close=True)
    log.keep(2)
    log.keep(3)
    segment = next(log.folder.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frames = [at for at in range(len(data)) if data[at : at + 4] == b"\xf7FT\xfe"]
    data[frames[1] + 50] ^= 1
    segment.write_bytes(data)
    assert log.goes_on(log.again()) == "frames after the last checkpoint are damaged"


def test_a_tree_that_does_not_fit_the_documents_ends_the_log(log):
    log.keep(1, close=True)
    log.keep(2)
    state = log.again()
    state.log["tree"] = {**state.log["tree"], "frontier": ["00" * 32] * len(state.log["tree"]["frontier"])}
    assert log.goes_on(state) == "kept documents do not give the kept tree"


# -- the watermark -----------------------------------------------------------------------------------------------------


def test_a_watermark_comes_back_and_remembers_the_logs_before(tmp_path):
    path = tmp_path / "checkpoint"
    assert Watermark.load(path) is None
    mark = Watermark("a", 5, 2, "note", "aa").next("a", 9, 3, "later", "aa").next("b", 1, 4, "other", "bb")
    mark.save(path)
    assert Watermark.load(path) == mark
    assert [entry["origin"] for entry in mark.earlier] == ["a"]
    assert mark.earlier[0]["note"] == "later"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"origin": 1}'])
def test_a_watermark_that_cannot_be_read_is_an_error_with_a_hint(tmp_path, data):
    path = tmp_path / "checkpoint"
    path.write_bytes(data)
    with pytest.raises(DiskError) as caught:
        Watermark.load(path)
    assert caught.value.hint.startswith(f"move {path} away")


# -- cursors -----------------------------------------------------------------------------------------------------------


def test_a_cursor_comes_back(tmp_path):
    cursor = Cursor(tmp_path, "siem")
    assert cursor.load() is None
    cursor.save(7, {"length": 3})
    assert Cursor(tmp_path, "siem").load() == (7, {"length": 3})


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[1]", b'{"seq": "x", "state": {}}'])
def test_a_torn_cursor_begins_anew(tmp_path, data):
    (tmp_path / "siem").write_bytes(data)
    assert Cursor(tmp_path, "siem").load() == (0, {})


def test_a_cursor_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "siem").mkdir()
    with pytest.raises(DiskError, match="read the cursor"):
        Cursor(tmp_path, "siem").load()


def test_indexes_become_ranges():
    assert ranges([]) == []
    assert ranges([4]) == [(4, 4)]
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


# -- delivery ----------------------------------------------------------------------------------------------------------


class Fake:
    """An output that answers what `answers` says, one after the other; after that everything is well."""

    id = "siem"

    def __init__(self, answers=(), highest=(-1,)):
        self.answers, self.highs = list(answers), list(highest)
        self.batches, self.got, self.opened, self.flushed = [], [], 0, 0
        self.after = lambda: None

    def open(self, stored):
        self.opened += 1

    def highest(self, log):
        answer = self.highs.pop(0) if len(self.highs) > 1 else self.highs[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def deliver(self, batch):
        self.batches.append(batch)
        receipt = self.answers.pop(0)(batch) if self.answers else Receipt(len(batch.documents))
        gone = {one.id for one in [*(refusal.document for refusal in receipt.refused), *receipt.retry, *receipt.fork]}
        self.got += [one for one in batch.documents if one.id not in gone]
        self.after()
        return receipt

    def flush(self):
        self.flushed += 1
        return {"flushed": self.flushed}

    def cursor(self):
        return None

    def close(self):
        pass


class Impatient(StandingClock):
    """Each look at the clock is a second later, so that cursors are saved at once."""

    def monotonic(self):
        self.mono += 1
        return self.mono


def delivered(log, tmp_path, output, *, until, seq=0, when=None, local=None):
    """Run a delivery in this thread until `until(delivery)`; the delivery, its requests and dead letters."""
    asked = []
    letters = DeadLetters(tmp_path / "dlq")
    (tmp_path / "cursors").mkdir(exist_ok=True)
    delivery = Delivery(
        output,
        log.journal,
        Cursor(tmp_path / "cursors", "siem"),
        seq,
        {},
        letters=letters,
        clock=Impatient(),
        ask=asked.append,
        local_size=local or (lambda: (log.book.sealer.log.id, log.book.sealer.tree.size)),
        when=when,
        rng=SimpleNamespace(random=lambda: 0.0),
    )
    delivery._stop_now = delivery._hurried = Waits(lambda: until(delivery))
    delivery.run()
    return delivery, asked, letters


class Waits:
    """A flag that is set as soon as a condition holds; nobody ever waits for it."""

    def __init__(self, condition):
        self.condition, self.waited, self.flag = condition, [], False

    def set(self):
        self.flag = True

    def clear(self):
        pass

    def is_set(self):
        return self.flag or self.condition()

    def wait(self, timeout=None):
        self.waited.append(timeout)
        return self.is_set()


def everything(delivery):
    return delivery.seq == delivery._journal.next_seq


def conserved(delivery, total):
    counts = delivery.counts
    parts = (counts.delivered, counts.dead_lettered, counts.filtered, counts.dropped, delivery.pending(total))
    assert delivery.kept(total) == sum(parts)


def test_frames_are_delivered_in_order_and_the_cursor_follows(log, tmp_path):
    for number in range(5):
        log.keep(number, close=number == 4)
    output = Fake()
    delivery, _, _ = delivered(log, tmp_path, output, until=everything)
    indexes = [one.index for one in output.got]
    assert indexes == [0, 1, 2, 3, 4, 5, 6, -1]
    assert delivery.saved == 5
    assert Cursor(tmp_path / "cursors", "siem").load()[0] == 5
    assert delivery.counts.delivered == len(output.got) == delivery.kept(log.state.total)
    conserved(delivery, log.state.total)


def test_a_delivery_goes_on_at_its_cursor_and_counts_from_there(log, tmp_path):
    for number in range(4):
        log.keep(number)
    output = Fake()
    delivery, _, _ = delivered(log, tmp_path, output, until=everything, seq=2)
    assert [orjson.loads(one.data)["n"] for one in output.got] == [2, 3]
    assert delivery.kept(log.state.total) == 2
    conserved(delivery, log.state.total)


def test_what_is_to_be_sent_again_is_sent_again_alone_and_in_order(log, tmp_path):
    log.keep(1, 2, 3)
    output = Fake([
        lambda batch: Receipt(2, retry=batch.documents[2:], error="busy"),
        lambda batch: Receipt(0, retry=batch.documents, error="busy", retry_after=7.0),
    ])  # fmt: skip
    delivery, _, _ = delivered(log, tmp_path, output, until=everything)
    assert [[one.index for one in batch.documents] for batch in output.batches] == [[0, 1, 2, 3], [2, 3], [2, 3]]
    assert delivery.counts.retries == 2
    assert delivery._stop_now.waited[-1] == 7.0
    assert delivery.counts.connected is True and delivery.counts.last_error == ""
    conserved(delivery, log.state.total)


def test_a_stop_in_the_middle_leaves_the_rest_pending(log, tmp_path):
    log.keep(1, 2, 3)
    busy = [lambda batch: Receipt(1, retry=batch.documents[1:], error="busy")] * 9
    delivery, _, _ = delivered(log, tmp_path, Fake(busy), until=lambda one: one.counts.retries == 1)
    assert delivery.seq == 0
    assert delivery.pending(log.state.total) == 3
    conserved(delivery, log.state.total)
    assert delivery.saved == 0
    assert delivery.failure is None


def test_refused_documents_are_kept_first_and_then_told_without_the_reason(log, tmp_path):
    log.keep(1, 2, 3)

    def answer(batch):
        bad = [batch.documents[k] for k in (1, 2)]
        return Receipt(2, refused=[Refusal(one, "mapper_parsing_exception", "quotes a value", "n") for one in bad])

    delivery, asked, letters = delivered(log, tmp_path, Fake([answer]), until=everything)
    assert [letter.document.index for letter in letters.list()] == [1, 2]
    (request,) = asked
    assert request.kind == "reject"
    assert {name: value for name, value in request.payload.items() if name != "log"} == {
        "output": "siem", "from": 1, "to": 2, "type": "mapper_parsing_exception", "field": "n",
    }  # fmt: skip
    assert "quotes" not in str(request)
    conserved(delivery, log.state.total)


def test_a_refused_control_document_raises_no_further_leaf(log, tmp_path):
    log.keep()
    answer = lambda batch: Receipt(0, refused=[Refusal(one, "x", "y") for one in batch.documents])  # noqa: E731
    _, asked, letters = delivered(log, tmp_path, Fake([answer]), until=everything)
    assert asked == []
    assert len(list(letters.list())) == 1


def test_a_fork_is_set_aside_and_asks_for_a_new_generation(log, tmp_path):
    log.keep(1, 2)
    answer = lambda batch: Receipt(2, fork=[batch.documents[2]])  # noqa: E731
    delivery, asked, letters = delivered(log, tmp_path, Fake([answer]), until=everything)
    assert [letter.type for letter in letters.list()] == ["fork"]
    assert [request.kind for request in asked] == ["generation"]
    assert asked[0].payload["reason"] == "fork"
    conserved(delivery, log.state.total)


@pytest.mark.parametrize(("highest", "ahead"), [(-1, False), (2, False), (3, True), (99, True), (None, False)])
def test_a_destination_that_is_ahead_asks_for_a_new_generation(log, tmp_path, highest, ahead):
    log.keep(1, 2)  # leaves 0 to 2
    _, asked, _ = delivered(log, tmp_path, Fake(highest=[highest]), until=everything)
    assert [request.payload["reason"] for request in asked] == (["ahead"] if ahead else [])


def test_an_unreachable_destination_is_asked_before_anything_is_sent(log, tmp_path):
    log.keep(1)
    down = UnavailableError("ask", "there", "refused")
    output = Fake(highest=[down, down, down, 50])
    seen = []
    output.after = lambda: seen.append("sent")
    delivery, asked, _ = delivered(log, tmp_path, output, until=everything)
    assert len(delivery._stop_now.waited) == 3
    assert asked[0].payload["highest"] == 50
    assert seen == ["sent"]
    assert delivery.asked.is_set()


def test_while_a_destination_does_not_answer_it_is_known_how_much_waits(log, tmp_path):
    log.keep(1, 2, 3)
    output = Fake(highest=[UnavailableError("ask", "there", "refused")])
    delivery, _, _ = delivered(log, tmp_path, output, until=lambda one: len(one._stop_now.waited) > 1)
    assert delivery.pending(log.state.total) == delivery.kept(log.state.total) == 4
    assert delivery.counts.connected is False


def test_a_bug_in_an_output_is_kept_for_the_agent(log, tmp_path):
    log.keep(1)
    delivery, _, _ = delivered(log, tmp_path, Fake([lambda _: 1 / 0]), until=everything)
    assert isinstance(delivery.failure, ZeroDivisionError)
    assert delivery.saved == 0


def test_frames_that_are_gone_are_dropped_and_counted(log, tmp_path):
    for number in range(4):
        log.keep(number)
    segment = next(log.folder.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frames = [at for at in range(len(data)) if data[at : at + 4] == b"\xf7FT\xfe"]
    data[frames[2] + 50] ^= 1
    segment.write_bytes(data)
    log.again()
    output = Fake()
    delivery, _, _ = delivered(log, tmp_path, output, until=everything)
    assert [orjson.loads(one.data).get("n") for one in output.got] == [None, 0, 1, 3]
    assert delivery.counts.dropped == 1
    conserved(delivery, log.state.total)


def test_a_filter_drops_events_and_never_control_documents(log, tmp_path):
    log.keep(1, 2, 3, close=True)
    output = Fake()
    wanted = lambda document: b'"n":2' in document.data  # noqa: E731
    delivery, _, _ = delivered(log, tmp_path, output, until=everything, when=wanted)
    assert [one.index for one in output.got] == [0, 2, 4, -1]
    assert delivery.counts.filtered == 2
    conserved(delivery, log.state.total)


def test_a_thread_that_was_given_up_does_not_touch_the_cursor_of_its_successor(log, tmp_path):
    for number in range(3):
        log.keep(number)
    output = Fake()

    def given_up(delivery):
        delivery.abandon()
        return everything(delivery)

    delivered(log, tmp_path, output, until=given_up)
    assert output.got
    assert Cursor(tmp_path / "cursors", "siem").load() is None


def test_a_damaged_dead_letter_makes_the_output_wait_and_say_so(log, tmp_path, monkeypatch):
    log.keep(1)
    monkeypatch.setattr(DeadLetters, "full", property(lambda _: (_ for _ in ()).throw(CorruptError("read", "x", "y"))))
    output = Fake([lambda batch: Receipt(0, refused=[Refusal(one, "x", "y") for one in batch.documents])])
    delivery, _, _ = delivered(log, tmp_path, output, until=lambda d: d.counts.connected is False)
    assert isinstance(delivery.failure, CorruptError)  # only because it was told to stop in the middle
    assert delivery.counts.last_error == "read: x: y"


def test_what_was_to_be_said_of_a_log_is_said_in_the_one_that_follows(log, tmp_path):
    config = Config(agent={"state_dir": tmp_path, "name": "t1", "origin": "test.example/audit"})
    made = Generations(config, identity(), log.journal, log.state, clock=log.clock, random_bytes=nonces(), once=False)
    made._begin("first", None)
    made.book.build([], {}, 1.0, close=True, interval=60.0)
    old = made.book.sealer.log.id
    made.serve(Request("reject", {"output": "siem", "log": old, "from": 3, "to": 3, "type": "x"}), [])
    made.serve(Request("generation", {"reason": "fork", "output": "siem", "log": old}), [])
    told = [one["trail"]["log"] for one in made.book.pending if one["trail"].get("control") == "reject"]
    assert told == [{"output": "siem", "log": old, "from": 3, "to": 3, "type": "x"}]


def test_a_destination_that_confirms_by_number_sees_each_frame_alone(log, tmp_path):
    for number in range(3):
        log.keep(number)
    output = Fake()
    output.confirmed_seq = lambda: 1
    delivery, _, _ = delivered(log, tmp_path, output, until=everything)
    assert [batch.seq for batch in output.batches] == [0, 1, 2]
    assert delivery.seq == 3 and delivery.saved == 1


def test_documents_of_two_generations_never_go_in_one_batch(log, tmp_path):
    log.keep(1)
    log.clock.wall += 1
    log.begin({"origin": "o", "size": 2, "note": "", "reason": "fork"})
    log.keep(2)
    output = Fake()
    delivered(log, tmp_path, output, until=everything)
    assert len(output.batches) == 2
    assert all(one.id.startswith(batch.log) for batch in output.batches for one in batch.documents)


# -- when --------------------------------------------------------------------------------------------------------------


def document(**event):
    return Document(0, event.pop("stream", "fieldtrail.change"), "x", orjson.dumps(event))


@pytest.mark.parametrize(
    ("when", "event", "passes"),
    [
        ({"dataset": ["fieldtrail.change"]}, {}, True),
        ({"dataset": ["fieldtrail.activity"]}, {}, False),
        ({"dataset": ["keap.audit"]}, {"event": {"dataset": "keap.audit"}}, True),
        ({"dataset": ["keap.audit"]}, {"event": {"dataset": "other"}}, False),
        ({"level": ["error"]}, {"log": {"level": "error"}}, True),
        ({"level": ["error"]}, {"log": {"level": "info"}}, False),
        ({"level": ["error"]}, {}, False),
        ({"fields": {"user.name": "kim"}}, {"user": {"name": "kim"}}, True),
        ({"fields": {"user.name": ["ann", "kim"]}}, {"user": {"name": "kim"}}, True),
        ({"fields": {"user.name": "kim"}}, {"user": "kim"}, False),
        ({"fields": {"event.type": "change"}}, {"event": {"type": ["info", "change"]}}, True),
        ({"fields": {"trail.schema": "1"}}, {"trail": {"schema": 1}}, True),
        ({"fields": {"a": "true"}}, {"a": True}, True),
        ({"fields": {"a": "x"}, "level": ["error"]}, {"a": "x", "log": {"level": "info"}}, False),
        ({"dataset": ["fieldtrail.change"], "fields": {"a": "x"}}, {"a": "y"}, False),
        ({}, {}, True),
    ],
)
def test_when_looks_at_dataset_level_and_fields(when, event, passes):
    assert when_filter(WhenSection(**when))(document(**event)) is passes


def test_without_when_there_is_no_filter():
    assert when_filter(None) is None


# -- replay ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A configuration with one output, which is a `Fake`, and three dead letters of it."""
    output = Fake()
    monkeypatch.setattr("shipper.replay.build_output", lambda *_: output)
    config = Config(agent={"state_dir": tmp_path}, outputs=(StoreSection(id="siem", type="store"),))
    documents = [Document(k, "fieldtrail.change", f"{'ab' * 8}-{k:014x}", b'{"n":%d}' % k) for k in range(3)]
    DeadLetters(tmp_path / "dlq").put("siem", [Refusal(one, "x", "y") for one in documents], 1.0)
    return SimpleNamespace(config=config, output=output, letters=lambda: list(DeadLetters(tmp_path / "dlq").list()))


def test_letters_that_are_accepted_go(stopped):
    assert replay(stopped.config, "c.yaml", None, []) == (3, 0, 0)
    assert stopped.letters() == []
    assert [one.index for one in stopped.output.got] == [0, 1, 2]
    assert stopped.output.flushed == 1


def test_letters_that_are_refused_again_stay_and_count_their_tries(stopped):
    stopped.output.answers = [lambda batch: Receipt(2, refused=[Refusal(batch.documents[1], "again", "z")])]
    assert replay(stopped.config, "c.yaml", None, []) == (2, 1, 0)
    (left,) = stopped.letters()
    assert (left.document.index, left.type, left.attempts) == (1, "again", 2)


def test_letters_that_get_no_answer_stay(stopped):
    stopped.output.answers = [lambda batch: Receipt(1, retry=batch.documents[1:], error="down")]
    assert replay(stopped.config, "c.yaml", None, []) == (1, 0, 2)
    assert [letter.document.index for letter in stopped.letters()] == [1, 2]


def test_letters_stay_while_a_receiver_without_answers_has_not_shown_that_it_read_them(stopped):
    stopped.output.drain = lambda: False
    assert replay(stopped.config, "c.yaml", None, []) == (0, 0, 3)
    assert len(stopped.letters()) == 3


def test_letters_go_into_the_namespace_of_the_agent(stopped):
    config = stopped.config.model_copy(update={"agent": stopped.config.agent.model_copy(update={"namespace": "prod"})})
    replay(config, "c.yaml", None, [])
    assert [batch.namespace for batch in stopped.output.batches] == ["prod"]


def test_only_the_letters_asked_for_are_sent(stopped):
    wanted = stopped.letters()[1].id
    assert replay(stopped.config, "c.yaml", None, [wanted]) == (1, 0, 0)
    assert [letter.document.index for letter in stopped.letters()] == [0, 2]
    with pytest.raises(UsageError, match="there is none of this id"):
        replay(stopped.config, "c.yaml", None, ["siem/none"])


def test_letters_of_an_output_that_is_not_configured_any_more_are_told(stopped):
    config = stopped.config.model_copy(update={"outputs": (StoreSection(id="other", type="store"),)})
    with pytest.raises(UsageError, match=r"no output of this id in c\.yaml"):
        replay(config, "c.yaml", None, [])


def test_the_cursor_of_a_store_stays_where_it_was(stopped, monkeypatch):
    stopped.output.cursor = lambda: 42
    replay(stopped.config, "c.yaml", None, [])
    assert [batch.seq + 1 for batch in stopped.output.batches] == [42]
    assert isinstance(stopped.output.batches[0], Batch)
    shutil.rmtree(stopped.config.agent.state_dir / "dlq")
