"""Where documents are read from, and that no stored byte makes the verifier crash."""

import gzip
import io
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import CorruptError, UnavailableError
from shipper.seal._ledger import Bits
from shipper.seal._reading import read
from shipper.seal.sources import JournalSource, NdjsonSource, StoreSource, looks_like_control
from shipper.seal.verify import verify
from tests.sealed import Memory, edited, replaced, small_log, trust, without

BOOK = small_log()
TRUST = trust(BOOK)


def ndjson(documents):
    return b"".join(data + b"\n" for _, data in documents)


def found(source, trusted=TRUST, **options):
    try:
        return [finding.line().split(" (")[0] for finding in verify(source, trusted, **options).findings]
    finally:
        source.close()


def test_ndjson_files_are_read_in_order_plain_and_compressed(tmp_path):
    half = len(BOOK.documents) // 2
    (tmp_path / "a.ndjson").write_bytes(ndjson(BOOK.documents[:half]))
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(ndjson(BOOK.documents[half:])))
    paths = [tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"]
    assert found(NdjsonSource(paths)) == []
    (tmp_path / "a.ndjson").write_bytes(ndjson(without(BOOK.documents, 3)[: half - 1]))
    assert found(NdjsonSource(paths)) == ["MISSING 3 unexplained"]


def test_standard_input_is_copied_for_the_second_pass():
    assert found(NdjsonSource(["-"], io.BytesIO(ndjson(BOOK.documents)))) == []


def test_a_line_that_was_cut_off_is_told_and_its_document_is_missed(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(BOOK.documents[:-1])[:-20])
    source = NdjsonSource([path])
    report = verify(source, trust(BOOK, note=False))
    assert "the last line is incomplete" in report.warnings[-1]
    path.write_bytes(ndjson(BOOK.documents)[:-1])
    assert found(NdjsonSource([path])) == []


def test_a_file_that_grows_between_the_passes_is_read_to_its_first_size(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(BOOK.documents))
    source = NdjsonSource([path])
    longer = small_log().batch(3)
    list(source.control())
    path.write_bytes(ndjson(longer.documents))
    assert len(list(source.control())) + len(list(source.events())) == len(BOOK.documents)


def test_an_edit_in_a_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(BOOK.documents) + b"\n\nplanted\n")
    assert found(NdjsonSource([path])) == [f"INSERTED {path}:{len(BOOK.documents) + 3}"]


def test_a_line_without_end_is_refused_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("shipper.seal.sources.MAX_LINE", 5000)
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x" * 23_000 + b"\n" + ndjson(BOOK.documents))
    assert found(NdjsonSource([path])) == [f"INSERTED {path}:1"]


def test_files_that_cannot_be_read_say_so(tmp_path):
    with pytest.raises(UnavailableError, match="No such file"):
        found(NdjsonSource([tmp_path / "none.ndjson"]))
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    with pytest.raises(CorruptError, match="damaged gzip"):
        found(NdjsonSource([tmp_path / "bad.gz"]))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(ndjson(BOOK.documents))[:-30])
    with pytest.raises(CorruptError):
        found(NdjsonSource([tmp_path / "cut.gz"]))


def test_the_guess_at_control_documents_holds_for_ours_and_for_other_spacing():
    control = [data for ident, data in BOOK.documents if looks_like_control(data)]
    assert len(control) == 3 + 3 + 2
    assert looks_like_control(b'{"data_stream": {"dataset" : "fieldtrail.log"}}')
    assert not looks_like_control(b'{"message":"\\"dataset\\":\\"fieldtrail.log\\""}')
    assert not looks_like_control(b'{"data_stream":{"dataset":"fieldtrail.change"}}')


# -- the store --------------------------------------------------------------------------------------------------------


def store(path, documents):
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE documents(n INTEGER PRIMARY KEY, id TEXT UNIQUE, log TEXT, i INTEGER, dataset TEXT, data BLOB)"
    )
    for ident, data in documents:
        dataset = next(
            name
            for name in ("fieldtrail.checkpoint", "fieldtrail.log", "fieldtrail.change")
            if f'"dataset":"{name}"'.encode() in data
        )
        index = -1 if "-c" in ident else int(ident.rpartition("-")[2], 16)
        db.execute(
            "INSERT INTO documents(id, log, i, dataset, data) VALUES (?, ?, ?, ?, ?)",
            (ident, ident.partition("-")[0], index, dataset, data),
        )
    db.commit()
    return db


def test_the_store_verifies_and_shows_what_was_done_to_it(tmp_path):
    path = tmp_path / "store.db"
    db = store(path, BOOK.documents)
    assert found(StoreSource(path)) == []
    ident, data = BOOK.documents[3]
    db.execute("UPDATE documents SET data = ? WHERE id = ?", (edited(b"to 3000", b"to 9000")(data), ident))
    db.execute("DELETE FROM documents WHERE i = 8")
    db.execute("INSERT INTO documents(id, data) VALUES ('planted', ?)", (b"{}",))
    db.commit()
    assert found(StoreSource(path)) == ["INSERTED planted", "MODIFIED 3", "MISSING 8 unexplained"]
    db.execute("DELETE FROM documents WHERE id = 'planted'")
    db.execute("UPDATE documents SET dataset = NULL, data = CAST(data AS TEXT) WHERE i = 4")
    db.commit()
    assert found(StoreSource(path)) == ["MODIFIED 3", "MISSING 8 unexplained"]
    db.close()


def test_what_is_written_to_the_store_between_the_passes_is_not_seen(tmp_path):
    path = tmp_path / "store.db"
    db = store(path, BOOK.documents)
    db.execute("PRAGMA journal_mode = WAL")
    source = StoreSource(path)
    count = len(list(source.control()))
    db.execute("INSERT INTO documents(id, data) VALUES ('planted', ?)", (b"{}",))
    db.commit()
    assert count + len(list(source.events())) == len(BOOK.documents)
    source.close()
    source.close()
    db.close()


def test_a_store_that_is_none_says_so(tmp_path):
    with pytest.raises(UnavailableError, match="no such file"):
        found(StoreSource(tmp_path / "none.db"))
    (tmp_path / "bad.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(CorruptError):
        found(StoreSource(tmp_path / "bad.db"))
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises((CorruptError, UnavailableError)):
        found(StoreSource(tmp_path / "empty.db"))


# -- the journal ------------------------------------------------------------------------------------------------------


def test_the_journal_is_read_frame_by_frame(tmp_path):
    from shipper.clock import SystemClock
    from shipper.fs import RealFs
    from shipper.journal import Journal

    folder = tmp_path / "journal"
    journal, _ = Journal.open(folder, RealFs(), SystemClock(), max_bytes=1 << 30, keep_seconds=3600)
    documents = [data for _, data in BOOK.documents]
    for at in range(0, len(documents), 5):
        journal.append({"n": at}, documents[at : at + 5], snapshot=dict)
    source = JournalSource(folder)
    assert found(source) == []
    assert source.partial
    listed = list(source.control())
    journal.append({"n": 99}, [b'{"x":1}'], snapshot=dict)
    assert len(listed) + len(list(source.events())) == len(documents)
    journal.close()
    with pytest.raises(UnavailableError, match="no such folder"):
        found(JournalSource(tmp_path / "none"))


# -- hostile bytes ----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutation_of_a_document_crashes_the_verifier_or_passes_unnoticed(data):
    at = data.draw(st.integers(0, len(BOOK.documents) - 1))
    old = BOOK.documents[at][1]
    start = data.draw(st.integers(0, len(old)))
    length = data.draw(st.integers(0, 12))
    new = old[:start] + data.draw(st.binary(max_size=8)) + old[start + length :]
    documents = replaced(BOOK.documents, at, new)
    for ids in (True, False):
        report = verify(Memory(documents, ids=ids), TRUST)
        assert report.lines()
        if new != old and report.ok:
            # Only two things may change unseen: spelling, and what a checkpoint document says beside its note.
            assert report.found == 14
            assert report.warnings or "-c" in BOOK.documents[at][0]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "seal",
                            "i",
                            "log",
                            "n",
                            "trail",
                            "checkpoint",
                            "control",
                            "size",
                            "note",
                            "data_stream",
                            "dataset",
                        ]
                    )
                    | st.text(max_size=3),
                    inner | st.sampled_from(["fieldtrail.log", "fieldtrail.checkpoint", BOOK.log, BOOK.note, 3, 11]),
                    max_size=5,
                )
            ),
            max_leaves=15,
        ),
        max_size=4,
    )
)
def test_no_planted_json_crashes_the_verifier(values):
    import json

    planted = [(f"planted{n}", json.dumps(value).encode()) for n, value in enumerate(values)]
    report = verify(Memory([*BOOK.documents, *planted]), TRUST)
    assert report.found == 14
    assert report.ok is not bool(planted)


@pytest.mark.parametrize(
    "payload",
    [
        {"from": -1, "to": 5},
        {"from": "0", "to": 10**30},
        {"below": 1e308},
        {"outputs": 7, "added": {"from": 3}},
        {"outputs": [7, {"when": None}], "added": [{"from": []}]},
        {"origin": 7, "note": [], "size": None},
        {"interval": -1},
        {"interval": "x"},
    ],
)
@pytest.mark.parametrize("kind", ["reject", "erasure", "retention", "config", "succession", "batch", "genesis", "stop"])
def test_no_sealed_statement_crashes_the_verifier(kind, payload):
    from tests.sealed import Book

    book = Book().begin()
    book.control(kind, payload)
    book.batch(2)
    assert verify(Memory(book.documents), trust(book)).found == book.tree.size


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.sampled_from([data for _, data in BOOK.documents]).map(lambda data: data[:-3]))
def test_no_bytes_crash_the_reader(data):
    reading = read(data)
    assert reading.leaf is None or reading.i >= 0


def test_bytes_that_cannot_be_parsed_are_still_named_by_the_leaf_they_claim():
    data = BOOK.documents[3][1]
    reading = read(data.replace(b'{"@timestamp"', b'{"@timestamp",'))
    assert (reading.i, reading.log, reading.leaf) == (3, BOOK.log, None)
    assert read(b'{"seal":{"i":1e3,"log":"x"}').i == -1


@settings(max_examples=150, deadline=None)
@given(st.sets(st.integers(0, 99)), st.integers(0, 100), st.integers(0, 100), st.sets(st.integers(0, 99)))
def test_bits_agree_with_sets(bits, low, high, others):
    one, two = Bits(100), Bits(40)
    two.grow(100)
    for at in bits:
        one.set(at)
    for at in others:
        two.set(at)
    low, high = min(low, high), max(low, high)
    clear = {at for a, b in one.clear_runs(low, high) for at in range(a, b)}
    assert clear == set(range(low, high)) - bits
    assert one.count(low, high) == len(bits & set(range(low, high)))
    assert one.count(low, high, two) == len(bits & others & set(range(low, high)))
    assert one.first() == min(bits, default=100)
    one.set_range(low, high)
    assert one.count(0, 100) == len(bits | set(range(low, high)))
