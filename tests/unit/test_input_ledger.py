"""The ledger of an input: exactly as far as the journal, whatever happens in between."""

import contextlib
import os
import sqlite3
import stat
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError, CorruptError, DiskError
from shipper.inputs._ledger import MOST_PRUNED, Ledger


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(tmp_path / "inputs" / "make.db", 0)
    yield opened
    opened.close()


def again(ledger, restored):
    """The ledger as a start finds it, after a crash at this moment."""
    ledger.close()
    return Ledger.open(ledger.path, restored)


def test_the_file_is_the_owners_alone(ledger):
    with ledger.begin(1) as one:
        one.put("snapshot", "contact/1", b"{}")
    for path in ledger.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_what_belongs_to_a_chunk_that_was_kept_is_there_after_a_crash(ledger):
    with ledger.begin(1) as one:
        one.note_delivery("evt-1", 100.0)
        one.put("snapshot", "contact/1", b"first")
    after = again(ledger, 1)
    assert after.delivery("evt-1") == 1
    assert after.get("snapshot", "contact/1") == b"first"
    after.close()


def test_what_belongs_to_a_chunk_that_was_not_kept_is_gone_and_the_former_version_is_back(ledger):
    with ledger.begin(1) as one:
        one.put("snapshot", "a", b"1")
        one.put("snapshot", "b", b"1")
    with ledger.begin(2) as two:
        two.note_delivery("evt-2", 100.0)
        two.put("snapshot", "a", b"2")
        two.delete("snapshot", "b")
        two.put("snapshot", "c", b"2")
    after = again(ledger, 1)
    assert not after.has_delivery("evt-2")
    assert list(after.scan("snapshot")) == [("a", b"1"), ("b", b"1")]
    after.close()


def test_a_block_that_raises_leaves_nothing(ledger):
    broken(ledger, 1, [("note", "evt"), ("put", "a", b"1")])
    assert not ledger.has_delivery("evt")
    assert ledger.get("k", "a") is None
    with ledger.begin(1) as one:
        one.put("k", "a", b"2")
    assert ledger.get("k", "a") == b"2"


def test_a_transaction_sees_what_it_wrote_itself(ledger):
    with ledger.begin(3) as one:
        assert not one.has_delivery("evt")
        one.note_delivery("evt", 1.0)
        one.put("hint", "a", b"x")
        assert one.delivery("evt") == 3
        assert one.get("hint", "a") == b"x"
        one.delete("hint", "a")
        assert list(one.scan("hint")) == []


def test_a_delivery_that_comes_again_stays_with_the_chunk_that_it_came_with_first(ledger):
    with ledger.begin(1) as one:
        one.note_delivery("evt", 1.0)
    with ledger.begin(2) as two:
        two.note_delivery("evt", 2.0)
    after = again(ledger, 1)
    assert after.delivery("evt") == 1
    after.close()


def test_an_id_is_claimed_once_and_then_tells_whose_it_is(ledger):
    with ledger.begin(1) as one:
        assert one.claim("evt", 1.0) is None
        assert one.claim("evt", 2.0) == 1
    with ledger.begin(2) as two:
        assert two.claim("evt", 3.0) == 1
        assert two.claim("other", 3.0) is None
    after = again(ledger, 1)
    assert (after.delivery("evt"), after.delivery("other")) == (1, None)
    after.close()


def test_what_is_discarded_leaves_nothing(ledger):
    with ledger.begin(1) as one:
        one.note_delivery("evt", 1.0)
        one.discard()
    assert not ledger.has_delivery("evt")


def test_what_is_of_no_chunk_is_never_taken_back(ledger):
    with ledger.begin(5) as five:
        five.put("hint", "contact/7", b"old")
    with ledger.outside() as one:
        one.put("hint", "contact/7", b"new")
        one.put("token", "", b"secret")
        one.note_delivery("evt", 9.0)
    after = again(ledger, 0)
    assert after.get("hint", "contact/7") == b"new"
    assert after.get("token", "") == b"secret"
    assert after.delivery("evt") == 0
    after.close()


def test_a_hint_that_a_lost_chunk_had_served_is_there_to_be_served_again(ledger):
    with ledger.outside() as one:
        one.put("hint", "contact/7", b"look")
    with ledger.begin(1) as chunk:
        chunk.delete("hint", "contact/7")
    assert ledger.get("hint", "contact/7") is None
    after = again(ledger, 0)
    assert after.get("hint", "contact/7") == b"look"
    with after.begin(1) as chunk:
        chunk.delete("hint", "contact/7")
    after = again(after, 1)
    assert after.get("hint", "contact/7") is None
    after.close()


def test_a_chunk_that_is_kept_cannot_be_written_any_more(ledger):
    with ledger.begin(1):
        pass
    ledger.settle(1)
    with pytest.raises(ValueError, match="kept already"), ledger.begin(1):
        pass


def rows(ledger, table):
    db = sqlite3.connect(ledger.path)
    try:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        db.close()


def test_former_versions_do_not_pile_up(ledger):
    for n in range(1, 50):
        with ledger.begin(n) as one:
            one.put("snapshot", "a", b"%d" % n)
        ledger.settle(n)
    assert rows(ledger, "items") <= 2
    with ledger.begin(50) as one:
        one.delete("snapshot", "a")
    ledger.settle(50)
    with ledger.begin(51):
        pass
    assert rows(ledger, "items") == 0


def test_a_deleted_item_that_is_not_settled_comes_back_after_any_number_of_transactions(ledger):
    with ledger.begin(1) as one:
        one.put("snapshot", "a", b"1")
    ledger.settle(1)
    with ledger.begin(2) as one:
        one.delete("snapshot", "a")
    with ledger.begin(3):
        pass
    with ledger.outside():
        pass
    after = again(ledger, 1)
    assert after.get("snapshot", "a") == b"1"
    after.close()


def test_deliveries_are_forgotten_by_age_and_by_number_but_not_before_they_are_settled(ledger):
    with ledger.begin(1) as one:
        for number in range(10):
            one.note_delivery(f"evt-{number}", 100.0 + number)
    assert ledger.prune_deliveries(105.0, 1000) == 0
    ledger.settle(1)
    assert ledger.prune_deliveries(105.0, 1000) == 5
    assert [ledger.has_delivery(f"evt-{number}") for number in range(10)] == [False] * 5 + [True] * 5
    assert ledger.prune_deliveries(0.0, 2) == 3
    assert [number for number in range(10) if ledger.has_delivery(f"evt-{number}")] == [8, 9]


def test_what_is_noted_for_ever_is_never_forgotten_and_keeps_nothing_else_from_it(ledger):
    with ledger.begin(1) as one:
        for number in range(MOST_PRUNED + 5):
            one.note_delivery(f"kept-{number}", None)
        one.note_delivery("old", 1.0)
        one.note_delivery("young", 9.0)
    with ledger.begin(2) as two:
        two.note_delivery("lost", None)
        two.note_delivery("old", None)
    ledger.rollback(1)
    ledger.settle(1)
    assert ledger.prune_deliveries(5.0, 10) == 0  # what was noted for ever meanwhile is not forgotten any more
    assert ledger.prune_deliveries(10.0, 10) == 1
    assert not ledger.has_delivery("young") and not ledger.has_delivery("lost")
    assert all(ledger.has_delivery(f"kept-{number}") for number in range(MOST_PRUNED + 5))


def test_forgetting_is_done_in_parts(ledger):
    with ledger.begin(1) as one:
        for number in range(MOST_PRUNED + 1):
            one.note_delivery(str(number), 1.0)
    ledger.settle(1)
    assert ledger.prune_deliveries(2.0, 10**9) == MOST_PRUNED
    assert ledger.prune_deliveries(2.0, 10**9) == 1
    assert ledger.prune_deliveries(2.0, 10**9) == 0


def test_a_scan_goes_through_more_items_than_are_taken_at_once_in_the_order_of_their_keys(ledger):
    with ledger.begin(1) as one:
        for number in range(1203):
            one.put("snapshot", f"{number:05}", b"x")
        one.put("other", "y", b"")
    assert [key for key, _ in ledger.scan("snapshot")] == [f"{number:05}" for number in range(1203)]


def test_threads_may_share_it(ledger):
    def work(number):
        for count in range(20):
            with ledger.outside() as one:
                one.put("hint", f"{number}/{count}", b"")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.scan("hint"))) == 80


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine(x)")
    db.close()
    with pytest.raises(ConfigError, match="another program"):
        Ledger.open(path, 0)


def test_a_ledger_of_a_later_version_is_refused(ledger):
    ledger.close()
    with sqlite3.connect(ledger.path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(ConfigError, match="later fieldtrail"):
        Ledger.open(ledger.path, 0)


def test_a_damaged_file_is_told_with_what_can_be_done(tmp_path):
    path = tmp_path / "make.db"
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    with pytest.raises(CorruptError) as caught:
        Ledger.open(path, 0)
    assert f"move {path} away" in caught.value.hint


def test_a_link_in_the_files_place_is_not_followed(tmp_path):
    (tmp_path / "make.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError):
        Ledger.open(tmp_path / "make.db", 0)
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_refuses_is_told_and_the_ledger_works_on_afterwards(ledger):
    db = ledger._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(DiskError, match="full"), ledger.begin(1) as one:
        one.put("snapshot", "a", os.urandom(100_000))
    assert ledger.get("snapshot", "a") is None
    db.execute("PRAGMA max_page_count = 1000000")
    with ledger.begin(1) as one:
        one.put("snapshot", "a", b"now")
    assert ledger.get("snapshot", "a") == b"now"


def test_closed_is_told_and_closing_twice_is_fine(ledger):
    ledger.close()
    ledger.close()
    with pytest.raises(DiskError, match="closed"):
        ledger.get("a", "b")


# -- against a model ---------------------------------------------------------------------------------------------------

KEYS = st.sampled_from("abc")
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("note"), KEYS),
)
CHUNK = st.tuples(st.just("chunk"), st.lists(STEP, max_size=4))
EVENT = st.one_of(
    CHUNK,
    CHUNK,
    st.tuples(st.just("broken"), st.lists(STEP, max_size=3)),
    st.tuples(st.just("outside"), st.lists(STEP, min_size=1, max_size=2)),
    st.tuples(st.just("kept"), st.integers(0, 3)),
    st.tuples(st.just("crash"), st.integers(0, 3)),
)


class Model:
    """What the ledger should say: a list of (number, step), of which a crash takes the tail away."""

    def __init__(self):
        self.done, self.n, self.kept = [], 0, 0

    def told(self):
        items, deliveries = {}, {}
        for n, (what, key, *value) in self.done:
            if what == "put":
                items[key] = value[0]
            elif what == "delete":
                items.pop(key, None)
            else:
                deliveries[key] = min(n, deliveries.get(key, n))
        return items, deliveries

    def crash(self, restored):
        self.done = [(n, step) for n, step in self.done if n <= restored]
        self.n = restored


def broken(ledger, n, steps):
    """A transaction whose block raises."""
    with contextlib.suppress(KeyError), ledger.begin(n) as transaction:
        apply(transaction, steps)
        raise KeyError


def apply(transaction, steps):
    for what, key, *value in steps:
        if what == "put":
            transaction.put("k", key, value[0])
        elif what == "delete":
            transaction.delete("k", key)
        else:
            transaction.note_delivery(key, 1.0)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENT, max_size=25))
def test_after_any_crashes_it_holds_exactly_what_the_kept_chunks_brought(tmp_path_factory, events):
    path = tmp_path_factory.mktemp("ledger") / "one.db"
    ledger, model = Ledger.open(path, 0), Model()
    try:
        for what, value in events:
            if what == "chunk":
                model.n += 1
                with ledger.begin(model.n) as transaction:
                    apply(transaction, value)
                model.done += [(model.n, step) for step in value]
            elif what == "broken":
                broken(ledger, model.n + 1, value)
            elif what == "outside":
                with ledger.outside() as transaction:
                    apply(transaction, value)
                # It replaces all versions, those that a crash would bring back included.
                gone = {step[1] for step in value if step[0] != "note"}
                model.done = [(n, step) for n, step in model.done if step[0] == "note" or step[1] not in gone]
                model.done += [(0, step) for step in value]
            elif what == "kept":
                model.kept = min(model.n, model.kept + value)
                ledger.settle(model.kept)
            else:
                # The journal holds at least what it said was kept, at most what was given out.
                restored = min(model.n, model.kept + value)
                ledger.close()
                ledger = Ledger.open(path, restored)
                model.crash(restored)
                model.kept = restored
            items, deliveries = model.told()
            assert dict(ledger.scan("k")) == items
            assert {key: ledger.get("k", key) for key in "abc"} == {key: items.get(key) for key in "abc"}
            assert {key: ledger.delivery(key) for key in "abc"} == {key: deliveries.get(key) for key in "abc"}
    finally:
        ledger.close()
