import os
import sqlite3
import stat
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError, CorruptError, UnavailableError, UsageError
from shipper.model import Receipt
from shipper.outputs._query import compile_query
from shipper.outputs.store import StoreOutput, search, stored
from tests.shipped import LOG, OTHER_LOG, batch, change, checkpoint, control, document, frames

NOW = 1_770_800_000.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    output = StoreOutput("local", path)
    output.open({})
    yield output
    output.close()


def ids(events):
    return [event["event"]["id"] for event in events]


def fill(store, *events):
    store.deliver(batch(0, *(document(k, event) for k, event in enumerate(events))))


def test_documents_come_back_byte_for_byte_in_order_of_arrival(store, path):
    sent = [doc for frame in frames(2) for doc in frame.documents]
    for frame in frames(2):
        assert store.deliver(frame) == Receipt(5)
    rows = list(stored(path))
    assert [row.data for row in rows] == [doc.data for doc in sent]
    assert [(row.id, row.i, row.dataset) for row in rows] == [(doc.id, doc.index, doc.dataset) for doc in sent]


def test_cursor_and_documents_are_one_transaction(store, path):
    store.deliver(batch(6, document(0)))
    assert store.cursor() == 7
    store._db.execute("CREATE TRIGGER no BEFORE UPDATE ON cursor BEGIN SELECT RAISE(ABORT, 'no room'); END")
    receipt = store.deliver(batch(7, document(1)))
    assert receipt.delivered == 0 and "no room" in receipt.error and len(receipt.retry) == 1
    assert store.cursor() == 7
    assert len(list(stored(path))) == 1
    store._db.execute("DROP TRIGGER no")
    assert store.deliver(batch(7, *receipt.retry)).delivered == 1


def test_a_new_store_has_no_cursor(store):
    assert store.cursor() is None
    assert store.highest(LOG) == -1


def test_a_repeated_document_counts_as_delivered_and_stands_once(store, path):
    frame = batch(0, document(0), document(1))
    store.deliver(frame)
    assert store.deliver(frame) == Receipt(2)
    assert len(list(stored(path))) == 2


def test_other_bytes_under_a_known_id_are_a_fork_and_change_nothing(store, path):
    first = document(0)
    store.deliver(batch(0, first))
    other = document(0, change(message="rewritten"))
    receipt = store.deliver(batch(1, other, document(1)))
    assert receipt.fork == (other,) and receipt.delivered == 1 and not receipt.retry
    assert next(stored(path)).data == first.data


def test_the_highest_index_is_per_log_and_not_fooled_by_checkpoints(store):
    store.deliver(batch(0, document(0), document(0x1FFFFFFFFFFFFF), checkpoint(0x1FFFFFFFFFFFFF)))
    store.deliver(batch(1, document(3, log=OTHER_LOG), log=OTHER_LOG))
    assert store.highest(LOG) == 0x1FFFFFFFFFFFFF
    assert store.highest(OTHER_LOG) == 3
    assert store.highest("f" * 16) == -1


def test_files_are_for_the_owner_only(store, path):
    store.deliver(batch(0, document(0)))
    files = list(path.parent.glob("store.db*"))
    assert path.with_name("store.db-wal") in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_flush_syncs_the_wal_and_needs_no_state(store, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    store.deliver(batch(0, document(0)))
    assert store.flush() == {}
    assert synced == [str(store.path) + "-wal"]


def test_a_full_disk_is_a_retry_and_later_works(store, path):
    store._db.execute("PRAGMA max_page_count = 20")
    many = batch(0, *(document(k) for k in range(200)))
    receipt = store.deliver(many)
    assert receipt.delivered == 0 and receipt.retry == many.documents and "full" in receipt.error
    store._db.execute("PRAGMA max_page_count = 100000")
    assert store.deliver(many).delivered == 200


def test_a_file_that_is_no_database_is_named_and_left_alone(path):
    path.write_bytes(b"this is not a database, it is text" * 100)
    with pytest.raises(CorruptError) as caught:
        StoreOutput("local", path).open({})
    assert str(path) in caught.value.render() and caught.value.hint
    assert path.read_bytes().startswith(b"this is not")


def test_another_programs_database_is_refused(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t(x)")
    db.close()
    with pytest.raises(ConfigError, match="another program"):
        StoreOutput("local", path).open({})
    with pytest.raises(ConfigError, match="another program"):
        list(search(path, "", now=NOW))


def test_a_newer_store_is_refused(store, path):
    store._db.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="version 9"):
        list(stored(path))


def test_a_missing_folder_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        StoreOutput("local", tmp_path / "nowhere" / "store.db").open({})


def test_searching_where_nothing_was_stored_says_so(path):
    with pytest.raises(UnavailableError) as caught:
        list(search(path, "", now=NOW))
    assert caught.value.hint


def test_search_is_newest_first_and_hides_control_documents(store, path):
    fill(
        store,
        change(event__id="b", timestamp="2026-02-03T10:30:00.5Z"),
        change(event__id="c", timestamp="2026-02-03T10:31:00Z"),
        change(event__id="a", timestamp="2026-02-03T10:30:00Z"),
    )
    store.deliver(batch(1, control(3), checkpoint(4)))
    assert ids(search(path, "", now=NOW)) == ["c", "b", "a"]
    assert ids(search(path, "*", now=NOW, limit=2)) == ["c", "b"]
    assert list(search(path, "*", now=NOW, limit=0)) == []
    assert len(list(search(path, "*", now=NOW, control=True))) == 5
    assert next(iter(search(path, "*", now=NOW)))["seal"]["i"] == 1


def test_since_is_inclusive_and_until_includes_the_whole_day(store, path):
    fill(store, *(change(event__id=f"d{day}", timestamp=f"2026-02-0{day}T23:59:59Z") for day in (1, 2, 3)))
    assert ids(search(path, "", now=NOW, since="2026-02-02", until="2026-02-02")) == ["d2"]
    assert ids(search(path, "", now=NOW, since="2026-02-02T23:59:59Z")) == ["d3", "d2"]
    with pytest.raises(UsageError, match="--since"):
        search(path, "", now=NOW, since="soon")
    with pytest.raises(UsageError):
        search(path, "", now=NOW, limit=-1)


def test_a_wrong_query_is_told_before_the_store_is_touched(path):
    with pytest.raises(UsageError):
        search(path, "a:(", now=NOW)


def test_the_store_can_be_searched_while_it_is_written(store, path):
    fill(store, *(change(event__id=f"e{k}") for k in range(600)))
    running = search(path, "", now=NOW)
    first = next(running)
    store.deliver(batch(1, document(9000, change(event__id="late", timestamp="2030-01-01T00:00:00Z"))))
    rest = list(running)
    assert len([first, *rest]) == 600
    assert ids(search(path, "", now=NOW, limit=1)) == ["late"]


def test_a_value_that_is_no_text_is_found_by_looking_inside(store, path):
    fill(
        store,
        change(event__id="list", user__name=["kim", "q"]),
        change(event__id="number", user__id=7),
        change(event__id="object", user=[{"name": "kim"}, {"name": "z"}]),
        change(event__id="none", user=None),
    )
    assert ids(search(path, "user.name:kim", now=NOW)) == ["object", "list"]
    assert ids(search(path, "user.id:7 AND event.id:number", now=NOW)) == ["number"]
    assert "none" not in ids(search(path, "_exists_:user.name", now=NOW))
    assert ids(search(path, "NOT _exists_:user.name", now=NOW)) == ["none"]


def test_a_search_by_record_uses_the_index(store, path):
    where = compile_query('trail.object.key:"greenhouse:offer/55"', NOW)
    rows = store._db.execute(f"EXPLAIN QUERY PLAN SELECT n FROM documents WHERE {where.where}", where.params).fetchall()
    assert "documents_object" in str(rows)


NAMES = st.sampled_from(["kim", "Kim", "kim*", "k", "sal ary", "é", "\U0010ffff", "7", "2026"])
EVENTS = st.fixed_dictionaries(
    {
        "user__name": st.none() | NAMES | st.lists(NAMES, max_size=2),
        "trail__object__key": st.none() | NAMES,
        "event__action": NAMES,
        "trail__change__new": st.none() | NAMES,
        "trail__change__delta": st.sampled_from([7, 7.0, True, "7", "7.0", -7, 17]),
        "source__ip": st.sampled_from(["192.0.2.1", "2001:db8::1", "2001:db8:0:0::1", "x"]),
        "timestamp": st.sampled_from(["2026-02-03T10:30:00Z", "2026-02-04T00:00:00.123456Z", "nonsense"]),
    }
)
TERMS = st.sampled_from(
    [
        "user.name:kim",
        "user.name:k*",
        "user.name:*",
        'user.name:"kim*"',
        "_exists_:trail.object.key",
        "trail.object.key:(k OR é)",
        "trail.object.key:?",
        "event.action:[a TO l]",
        "event.action:>=2026",
        "trail.change.new:7",
        "trail.change.new:07",
        'trail.change.new:"sal ary"',
        "trail.change.new:kim",
        "trail.change.delta:7",
        "trail.change.delta:7.0",
        "trail.change.delta:true",
        "source.ip:192.0.2.1",
        'source.ip:"2001:db8:0::1"',
        "source.ip:192.0.2.0/24",
        "@timestamp:2026-02-03",
        "@timestamp:>2026-02-03T10:30:00Z",
        "@timestamp:*",
        "kim",
    ]
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR ", " "]), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        inner.map(lambda q: f"(NOT {q})"),
    ),
    max_leaves=4,
)


@given(st.lists(EVENTS, min_size=1, max_size=6), QUERIES)
@settings(max_examples=60, deadline=None)
def test_the_store_finds_exactly_what_the_predicate_finds(tmp_path_factory, events, query):
    path = tmp_path_factory.mktemp("store") / "store.db"
    output = StoreOutput("local", path)
    output.open({})
    documents = [document(k, change(event__id=f"e{k}", **event)) for k, event in enumerate(events)]
    output.deliver(batch(0, *documents))
    output.close()
    matches = compile_query(query, NOW).matches
    expected = {doc.index for doc in documents if matches(orjson.loads(doc.data))}
    assert {event["seal"]["i"] for event in search(path, query, now=NOW)} == expected


def test_a_number_is_found_however_it_is_written(tmp_path):
    path = tmp_path / "store.db"
    output = StoreOutput("local", path)
    output.open({})
    output.deliver(batch(0, document(0, change(event__id="e", trail__change__delta=7))))
    output.close()
    for query in ("trail.change.delta:7", "trail.change.delta:7.0", "trail.change.delta:07"):
        assert [event["seal"]["i"] for event in search(path, query, now=NOW)] == [0], query
