"""No cursor passes a document that is not delivered before the leaf that explains it is kept."""

import contextlib
import random
import sqlite3
from types import SimpleNamespace

import pytest

from shipper.cursors import Cursor
from shipper.delivery import Delivery
from shipper.dlq import DeadLetters
from shipper.model import Receipt, Refusal
from shipper.outputs.store import StoreOutput
from tests.unit.test_agent_parts import Fake, Impatient, Log, Waits, everything


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path)
    yield made
    made.journal.close()


def delivered(log, tmp_path, output, *, seq=0, until=everything, asked=None):
    """Run a delivery in this thread until `until(delivery)`; its requests go into `asked`."""
    (tmp_path / "cursors").mkdir(exist_ok=True)
    delivery = Delivery(
        output,
        log.journal,
        Cursor(tmp_path / "cursors", output.id),
        seq,
        {},
        letters=DeadLetters(tmp_path / "dlq"),
        clock=Impatient(),
        ask=(asked if asked is not None else []).append,
        local_size=lambda: (log.book.sealer.log.id, log.book.sealer.tree.size),
        rng=SimpleNamespace(random=random.Random(1).random),
    )
    delivery._stop_now = delivery._hurried = Waits(lambda: until(delivery))
    delivery.run()
    assert delivery.failure is None
    return delivery


def refuses(index):
    return lambda batch: Receipt(
        len(batch.documents) - 1, refused=[Refusal(batch.documents[index], "mapper_parsing_exception", "why")]
    )


def kept(tmp_path, name="siem"):
    return Cursor(tmp_path / "cursors", name).load()


def test_a_cursor_stays_before_a_refused_document_until_its_leaf_is_kept(log, tmp_path):
    for number in range(3):
        log.keep(number)
    output, asked = Fake([refuses(1)]), []
    output.confirmed_seq = lambda: None  # so that each frame goes alone
    delivery = delivered(log, tmp_path, output, asked=asked)
    assert (delivery.seq, delivery.saved, kept(tmp_path)[0]) == (3, 0, 0)
    (request,) = asked
    request.frame = 3  # the leaf goes into the next frame, which is not kept yet
    assert delivery.confirmed() == 0
    log.keep()
    assert delivery.confirmed() == 3


def test_of_several_refusals_the_oldest_that_is_not_told_holds_the_cursor(log, tmp_path):
    for number in range(3):
        log.keep(number)
    output, asked = Fake([refuses(1), lambda batch: Receipt(len(batch.documents)), refuses(0)]), []
    output.confirmed_seq = lambda: None
    delivery = delivered(log, tmp_path, output, asked=asked)
    assert [request.kind for request in asked] == ["reject", "reject"]
    asked[0].frame = 2
    assert delivery.confirmed() == 2
    asked[1].frame = 2
    assert delivery.confirmed() == 3


def test_a_refused_document_that_is_sent_again_after_a_kill_stands_once_in_the_dead_letters(log, tmp_path):
    log.keep(1, 2, 3)
    delivered(log, tmp_path, Fake([refuses(1)]))
    seq, _ = kept(tmp_path)
    asked = []
    delivered(log, tmp_path, Fake([refuses(1)]), seq=seq, asked=asked)
    assert [request.kind for request in asked] == ["reject"]
    assert len(list(DeadLetters(tmp_path / "dlq").list())) == 1


def test_a_store_that_has_passed_a_fork_in_its_own_transaction_is_given_it_again(log, tmp_path):
    """The document and the store's cursor are in one transaction; the letter and the new generation come after."""
    for number in range(3):
        log.keep(number)
    store = StoreOutput("siem", tmp_path / "store.db")
    store.open({})
    forged = f"{log.book.sealer.log.id}-{2:014x}"
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as db:
        row = (forged, log.book.sealer.log.id, 2, "fieldtrail.change", b"{}")
        db.execute("INSERT INTO documents(id, log, i, dataset, data) VALUES (?, ?, ?, ?, ?)", row)
        db.commit()
    asked = []
    delivered(log, tmp_path, store, asked=asked)
    assert [request.payload["reason"] for request in asked] == ["fork"]
    store.open({})
    own = store.cursor()
    store.close()
    assert own == 3
    seq, _ = Cursor.behind(own, kept(tmp_path), log.journal.first_seq)
    assert seq == 0
    again = []
    done = delivered(log, tmp_path, store, seq=seq, asked=again)
    assert [request.payload["reason"] for request in again] == ["fork"]
    assert (done.counts.delivered, done.counts.dead_lettered) == (3, 1)
    assert len(list(DeadLetters(tmp_path / "dlq").list())) == 1


@pytest.mark.parametrize(
    ("own", "file", "first_seq", "seq"),
    [
        (9, None, 0, 9),
        (9, (9, {}), 0, 9),
        (9, (4, {}), 0, 4),
        (4, (9, {}), 0, 4),
        (9, (0, {}), 5, 5),
        (3, (0, {}), 5, 3),
    ],
    ids=["no file", "both", "the file is behind", "the store is behind", "given back", "a gap that is real"],
)
def test_a_store_goes_on_where_both_say_it_may(own, file, first_seq, seq):
    assert Cursor.behind(own, file, first_seq)[0] == seq
