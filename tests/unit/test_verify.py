import json

import pytest

from shipper.seal.canonical import canonical
from shipper.seal.note import checkpoint_text, sign
from shipper.seal.tree import Tree
from shipper.seal.verify import verify
from tests.sealed import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    PREFIX,
    START,
    Book,
    Memory,
    edited,
    replaced,
    reseal,
    small_log,
    trust,
    without,
)


def check(documents, trusted, *, ids=True, partial=False, **options):
    return verify(Memory(documents, ids=ids, partial=partial), trusted, **options)


def found(report):
    return [finding.line() for finding in report.findings]


@pytest.fixture
def book():
    return small_log()


@pytest.fixture
def trusted(book):
    return trust(book)


def test_an_untouched_log_verifies(book, trusted):
    report = check(book.documents, trusted)
    assert found(report) == []
    assert report.warnings == ()
    assert (report.exit_code, report.sealed, report.found, report.pending) == (0, 14, 14, 0)
    assert report.lines() == [
        "2026-02-03..2026-02-03: 14 sealed, 14 found, 0 modified, 0 missing; key "
        + trusted.fingerprint
        + "; complete since received: it does not show what a source never sent."
    ]


def test_the_order_of_documents_does_not_matter(book, trusted):
    report = check(book.documents[::-1], trusted, ids=False)
    assert (found(report), report.found) == ([], 14)


def test_an_edited_value_is_named(book, trusted):
    documents = replaced(book.documents, book.at(3), edited(b"to 3000", b"to 9000"))
    report = check(documents, trusted)
    assert found(report) == ["MODIFIED 3"]
    assert (report.exit_code, report.found) == (1, 13)
    assert "13 found, 1 modified, 0 missing" in report.summary()


def test_a_deleted_document_is_named(book, trusted):
    report = check(without(book.documents, book.at(3)), trusted)
    assert found(report) == ["MISSING 3 unexplained"]
    assert report.exit_code == 1


def test_deleted_neighbours_are_one_range(book, trusted):
    documents = without(book.documents, book.at(7), book.at(8), book.at(9))
    assert found(check(documents, trusted)) == ["MISSING 7-9 unexplained"]


def test_a_deleted_control_leaf_is_named(book, trusted):
    assert found(check(without(book.documents, book.at(5)), trusted)) == ["MISSING 5 unexplained"]


def test_a_document_without_seal_is_an_insertion(book, trusted):
    documents = [*book.documents, ("planted", b'{"@timestamp":"2026-02-03T10:31:00.000Z","message":"x"}')]
    assert found(check(documents, trusted)) == ["INSERTED planted (no seal)"]
    assert found(check(documents, trusted, ids=False)) == [f"INSERTED memory:{len(book.documents)} (no seal)"]


def test_a_document_of_an_unknown_log_is_an_insertion(book, trusted):
    stranger = Book(origin="evil.example/x/1").begin().batch(1)
    documents = [*book.documents, stranger.documents[2]]
    assert [line.split(" (")[0] for line in found(check(documents, trusted))] == [
        f"INSERTED {stranger.documents[2][0]}"
    ]
    report = check([*book.documents, *stranger.documents], trusted)
    assert [line.split(" (")[0] for line in found(report)] == [f"INSERTED log {stranger.log}"]
    assert report.counts["INSERTED"] == 1


def test_a_second_document_for_a_leaf_is_an_insertion(book, trusted):
    other = edited(b"to 3000", b"to 9000")(book.documents[book.at(3)][1])
    report = check([*book.documents, ("x", other)], trusted)
    assert found(report) == ["INSERTED x (a second document for leaf 3)"]
    report = check([("x", other), *book.documents], trusted)
    assert found(report) == ["INSERTED x (a second document for leaf 3)"]


def test_a_copy_of_a_document_is_a_duplicate(book, trusted):
    copy = book.documents[book.at(9)]
    assert found(check([*book.documents, copy], trusted)) == ["DUPLICATE 9"]
    assert found(check([("copy", copy[1]), *book.documents], trusted)) == ["DUPLICATE 9"]
    assert found(check([*book.documents, book.documents[book.at(5)]], trusted)) == ["DUPLICATE 5"]


def test_a_renumbered_document_is_out_of_order(book, trusted):
    documents = replaced(book.documents, book.at(3), lambda data: reseal(data, i=7))
    assert found(check(documents, trusted, ids=False)) == ["REORDERED 3 (it stands at 7)"]
    assert found(check(documents, trusted)) == ["REORDERED 3 (it stands at 7)"]


def test_two_swapped_documents_are_both_named(book, trusted):
    documents = replaced(book.documents, book.at(3), lambda data: reseal(data, i=7))
    documents = replaced(documents, book.at(7), lambda data: reseal(data, i=3))
    assert found(check(documents, trusted, ids=False)) == [
        "REORDERED 3 (it stands at 7)",
        "REORDERED 7 (it stands at 3)",
    ]


def test_the_order_of_lines_is_no_order_of_the_log(book, trusted):
    documents = list(book.documents)
    documents[2], documents[4] = documents[4], documents[2]
    assert found(check(documents, trusted, ids=False)) == []


def test_a_document_under_another_id_is_out_of_order(book, trusted):
    documents = list(book.documents)
    documents[book.at(3)] = (f"{book.log}-{99:014x}", documents[book.at(3)][1])
    assert found(check(documents, trusted)) == [f"REORDERED 3 (stored under the id {book.log}-{99:014x})"]


def test_a_document_moved_to_another_log_is_missing_here_and_foreign_there(book, trusted):
    documents = replaced(book.documents, book.at(3), lambda data: reseal(data, log="00112233445566ff"))
    lines = found(check(documents, trusted, ids=False))
    assert lines[0].startswith("INSERTED memory:3") and lines[1:] == ["MISSING 3 unexplained"]


def test_a_document_transplanted_between_two_trusted_logs_is_named(book):
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=START + 1000).begin().batch(3)
    documents = [*book.documents, *second.documents, ("t", reseal(second.documents[3][1], log=book.log, i=3))]
    report = check(documents, trust(book, second))
    assert found(report) == ["INSERTED t (a second document for leaf 3)"]


@pytest.mark.parametrize(
    "change",
    [
        edited(b'"n":"', b'"m":1,"n":"'),
        edited(b'"seal":{', b'"seal":{"x":0,'),
        edited(b'"message":"Kim', b'"message":"Lee","message":"Kim'),
        edited(b'"delta":33.33', b'"delta":1e400'),
        edited(b'"delta":33.33', b'"delta":99999999999999999999'),
        edited(b'"delta":33.33', b'"delta":NaN'),
        edited(b'"delta":33.33', b'"delta":"33.33"'),
        edited(b'"delta":33.33', b'"delta":' + b"[" * 5000 + b"]" * 5000),
        edited(b'"delta":33.33,', b""),
        edited(b'"delta":33.33', b'"delta":33.33,"extra":1'),
        edited(b"Kim Q", b"\xff\xfe"),
        edited(b"Kim Q", b"Kim \\ud800"),
        edited(b"}}", b"}} "[:-1] + b"trailing"),
    ],
)
def test_a_document_that_two_readers_could_read_differently_is_modified(book, trusted, change):
    documents = replaced(book.documents, book.at(3), change)
    assert found(check(documents, trusted)) == ["MODIFIED 3"]


def test_a_stripped_seal_is_a_modification_where_ids_tell_the_place(book, trusted):
    def strip(data):
        doc = json.loads(data)
        del doc["seal"]
        return canonical(doc)

    documents = replaced(book.documents, book.at(3), strip)
    assert found(check(documents, trusted)) == ["MODIFIED 3"]
    assert found(check(documents, trusted, ids=False)) == ["INSERTED memory:3 (no seal)", "MISSING 3 unexplained"]


def test_other_spelling_of_the_same_values_is_only_a_warning(book, trusted):
    def respell(data):
        doc = json.loads(data)
        doc = {key: doc[key] for key in reversed(doc)}
        return json.dumps(doc, indent=1).replace("33.33", "3.333e1").encode()

    documents = [(ident, respell(data)) for ident, data in book.documents]
    report = check(documents, trusted)
    assert (found(report), report.found, report.exit_code) == ([], 14, 0)
    assert "re-serialized" in report.warnings[0]


# -- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda data: _changed(data, size=12),
        lambda data: _changed(data, root="A" * 43 + "="),
        lambda data: _changed(data, note="x"),
        lambda data: _changed(data, note=None),
        lambda data: _changed(data, prev_size=5),
        lambda data: _changed(data, prev_size=-1),
        lambda data: _changed(data, prev_size=1.5),
        lambda data: _changed(data, frontier=[]),
        lambda data: _changed(data, frontier="x"),
        lambda data: _changed(data, leaves="AAAA"),
        lambda data: _changed(data, leaves=7),
        lambda data: _changed(data, extra=1),
        lambda data: _changed(data, origin="acme.example/other/x"),
        lambda data: _changed(data, log="00112233445566ff"),
        lambda data: data[:-1],
        lambda data: data.replace(b'"size":11', b'"size":11,"size":11'),
        lambda data: b"{}",
        lambda data: b'{"data_stream":{"dataset":"fieldtrail.checkpoint"},"trail":7}',
    ],
)
def test_an_edited_checkpoint_is_named(book, trusted, change):
    documents = replaced(book.documents, book.at_checkpoint(11), change)
    report = check(documents, trusted)
    assert [line.split(" (")[0] for line in found(report)] == ["MODIFIED checkpoint 11"]
    assert report.found == 14


def _changed(data, **changes):
    doc = json.loads(data)
    doc["trail"]["checkpoint"].update(changes)
    return canonical(doc)


def test_an_edited_newest_checkpoint_is_the_one_finding(book, trusted):
    documents = replaced(book.documents, book.at_checkpoint(14), lambda data: _changed(data, note="x"))
    report = check(documents, trusted, now=book.now + 3600, max_age=86400)
    assert [line.split(" (")[0] for line in found(report)] == ["MODIFIED checkpoint 14"]
    assert "cannot be checked" in report.warnings[0]


def test_a_checkpoint_whose_leaf_hashes_were_replaced_still_judges_its_documents(book, trusted):
    documents = replaced(book.documents, book.at_checkpoint(11), lambda data: _changed(data, leaves="A" * 214 + "=="))
    lines = [line.split(" (")[0] for line in found(check(documents, trusted))]
    assert lines == ["MODIFIED checkpoint 11"]
    documents = replaced(documents, book.at(8), edited(b"to 8000", b"to 9000"))
    lines = [line.split(" (")[0] for line in found(check(documents, trusted))]
    assert lines == ["MODIFIED checkpoint 11", "MODIFIED 6-10"]


def test_a_note_signed_by_another_key_is_named(book, trusted):
    def resign(data):
        doc = json.loads(data)
        text = doc["trail"]["checkpoint"]["note"].split("\n\n")[0] + "\n"
        return _changed(data, note=sign(text, ORIGIN, OTHER_KEY))

    report = check(replaced(book.documents, book.at_checkpoint(11), resign), trusted)
    assert found(report) == ["MODIFIED checkpoint 11 (no trusted key signed the note)"]


def test_a_note_of_another_checkpoint_is_named(book, trusted):
    other = json.loads(book.documents[book.at_checkpoint(6)][1])["trail"]["checkpoint"]["note"]
    report = check(replaced(book.documents, book.at_checkpoint(11), lambda data: _changed(data, note=other)), trusted)
    assert found(report) == ["MODIFIED checkpoint 11 (the document says something else than its note)"]


def test_a_deleted_checkpoint_is_named_and_its_documents_are_still_checked(book, trusted):
    documents = without(book.documents, book.at_checkpoint(11))
    report = check(documents, trusted)
    assert found(report) == ["MISSING checkpoint 11 unexplained"]
    assert report.found == 14
    first = without(book.documents, book.at_checkpoint(6))
    assert found(check(first, trusted)) == ["MISSING checkpoint 6 unexplained"]


def test_an_edit_under_a_deleted_checkpoint_is_found_by_the_next_one(book, trusted):
    documents = replaced(book.documents, book.at(8), edited(b"to 8000", b"to 9000"))
    documents = without(documents, book.at_checkpoint(11))
    lines = [line.split(" (")[0] for line in found(check(documents, trusted))]
    assert lines == ["MISSING checkpoint 11 unexplained", "MODIFIED 6-10"]


def test_a_copied_checkpoint_is_a_duplicate(book, trusted):
    assert found(check([*book.documents, book.documents[book.at_checkpoint(6)]], trusted)) == ["DUPLICATE checkpoint 6"]


def test_a_checkpoint_under_another_id_is_out_of_order(book, trusted):
    documents = list(book.documents)
    at = book.at_checkpoint(6)
    documents[at] = ("other", documents[at][1])
    assert found(check(documents, trusted)) == ["REORDERED checkpoint 6 (stored under the id other)"]


def test_a_checkpoint_that_hides_in_another_dataset_is_named(book, trusted):
    documents = replaced(
        book.documents,
        book.at_checkpoint(11),
        lambda data: data.replace(b"fieldtrail.checkpoint", b"fieldtrail.change"),
    )
    assert [line.split(" (")[0] for line in found(check(documents, trusted))] == ["MODIFIED checkpoint 11"]


def test_the_whole_history_under_another_key_is_refused(trusted):
    fake = small_log(key=OTHER_KEY)
    lines = [line.split(" (")[0] for line in found(check(fake.documents, trusted))]
    assert lines == ["MODIFIED checkpoint 11", "MODIFIED checkpoint 14", "MODIFIED checkpoint 6"]


# -- the end of the log -----------------------------------------------------------------------------------------------


def test_a_deleted_newest_checkpoint_is_a_truncation(book):
    trusted = trust(book, note=False)
    documents = without(book.documents, book.at_checkpoint(14))
    report = check(documents, trusted, now=book.now + 3600, max_age=86400)
    assert [line.split(" (")[0] for line in found(report)] == ["TRUNCATED"]


def test_young_documents_past_the_newest_checkpoint_are_pending(book, trusted):
    book.event()
    book.event()
    report = check(book.documents, trusted, now=book.now + 30, live=True)
    assert (found(report), report.pending, report.exit_code) == ([], 2, 0)
    assert "2 pending" in report.summary()
    report = check(book.documents, trusted, now=book.now + 300, live=True)
    assert [line.split(" (")[0] for line in found(report)] == ["TRUNCATED"]


def test_in_an_archive_the_age_counts_from_the_newest_document(book, trusted):
    book.event()
    assert check(book.documents, trusted).pending == 1


def test_a_gap_past_the_newest_checkpoint_is_missing(book, trusted):
    for _ in range(4):
        book.event()
    report = check(without(book.documents, book.at(15)), trusted, now=book.now, live=True)
    assert (found(report), report.pending) == (["MISSING 15 unexplained"], 3)


def test_a_document_far_past_the_end_is_an_insertion(book, trusted):
    planted = reseal(book.documents[3][1].replace(b"Kim", b"Lee"), i=10**12)
    report = check([*book.documents, ("planted", planted)], trusted, ids=False)
    assert [line.split(" (")[0] for line in found(report)] == [f"INSERTED memory:{len(book.documents)}"]


def test_two_documents_for_one_pending_leaf_are_named(book, trusted):
    book.event()
    last = book.documents[-1]
    assert found(check([*book.documents, last], trusted)) == ["DUPLICATE 14"]
    other = ("x", edited(b"to 14000", b"to 15000")(last[1]))
    assert found(check([*book.documents, other], trusted)) == ["INSERTED x (a second document for leaf 14)"]


def test_a_damaged_pending_document_is_modified(book, trusted):
    book.event()
    documents = replaced(book.documents, -1, edited(b"Kim", b"\xff"))
    assert found(check(documents, trusted, now=book.now, live=True)) == ["MODIFIED 14"]


def test_a_log_without_any_checkpoint_yet_is_pending(trusted):
    young = Book().begin()
    young.event()
    report = check(young.documents, trust(young, generations=False), now=young.now, live=True)
    assert ([line.split(" (")[0] for line in found(report)], report.pending) == (["STALE"], 3)
    assert check(young.documents, trust(young, generations=False)).pending == 3


def test_a_live_source_without_new_checkpoints_is_stale(book, trusted):
    report = check(book.documents, trusted, now=book.now + 3600, live=True)
    assert [line.split(" (")[0] for line in found(report)] == ["STALE"]
    assert found(check(book.documents, trusted, now=book.now + 500, live=True)) == []
    report = check(book.documents, trusted, now=book.now + 500, max_age=60)
    assert [line.split(" (")[0] for line in found(report)] == ["STALE"]


def test_a_log_that_ends_with_a_stop_is_told_and_is_stale_only_where_an_age_is_asked_for():
    book = Book().begin()
    book.control("stop", {"pid": 1})
    book.checkpoint()
    report = check(book.documents, trust(book), now=book.now + 3600, live=True)
    assert report.ok and any("the agent was stopped" in line for line in report.warnings)
    report = check(book.documents, trust(book), now=book.now + 3600, live=True, max_age=600)
    assert [line.split(" (")[0] for line in found(report)] == ["STALE"]
    book.control("start", {"pid": 2})
    book.checkpoint()
    report = check(book.documents, trust(book), now=book.now + 3600, live=True)
    assert [line.split(" (")[0] for line in found(report)] == ["STALE"]


def test_a_newer_time_written_beside_a_note_does_not_make_it_fresh(book, trusted):
    now = book.now + 3600
    documents = replaced(
        book.documents,
        book.at_checkpoint(14),
        lambda data: canonical({**json.loads(data), "@timestamp": "2026-02-03T11:30:00.000Z"}),
    )
    assert [line.split(" (")[0] for line in found(check(documents, trusted, now=now, live=True))] == ["STALE"]


def test_a_log_that_ends_before_the_newest_known_note_was_rolled_back(book, trusted):
    cut = book.documents[: book.at_checkpoint(11) + 1]
    report = check(cut, trusted)
    assert found(report) == ["ROLLBACK (11 leaves are left, the trust file knows 14)"]
    report = check(book.documents[:-1], trusted)
    assert [line.split(" (")[0] for line in found(report)] == ["ROLLBACK"]


def test_without_a_note_in_the_trust_file_a_cut_at_a_checkpoint_cannot_be_seen(book):
    cut = book.documents[: book.at_checkpoint(11) + 1]
    assert found(check(cut, trust(book, note=False))) == []
    assert [
        line.split(" (")[0] for line in found(check(cut, trust(book, note=False), now=book.now + 3600, live=True))
    ] == ["STALE"]


def test_an_empty_source_is_no_success(book, trusted):
    assert [line.split(" (")[0] for line in found(check([], trusted))] == ["ROLLBACK"]
    assert [line.split(" (")[0] for line in found(check([], trust(book, generations=False)))] == ["TRUNCATED"]


# -- other histories --------------------------------------------------------------------------------------------------


def test_another_history_of_the_same_log_is_a_fork(book, trusted):
    other = Book()
    other.salt = "other"
    other.begin().batch(3).batch(4).batch(2)
    report = check(other.documents, trusted)
    assert found(report) == ["FORK (the genesis leaf is not the one in the trust file)"]


def test_a_history_that_parts_after_a_checkpoint_is_a_fork(book, trusted):
    other = Book().begin().batch(3)
    other.salt = "other"
    other.batch(4).batch(2)
    report = check(other.documents, trusted)
    assert found(report) == ["FORK (another root at 14 leaves than the trust file knows)"]


def test_a_fork_between_two_checkpoints_of_the_source_is_found(book, trusted):
    other = Book().begin().batch(3)
    other.salt = "other"
    other.batch(4)
    extra = other.documents[other.at_checkpoint(11)]
    lines = [line.split(" (")[0] for line in found(check([*book.documents, extra], trusted))]
    assert lines == ["FORK checkpoint 11"]
    other = Book().begin().batch(3)
    other.salt = "other"
    other.batch(3)
    extra = other.documents[other.at_checkpoint(10)]
    assert found(check([*book.documents, extra], trusted)) == ["FORK (two signed checkpoints list leaf 6 differently)"]


def test_a_signed_checkpoint_that_does_not_go_on_from_the_one_before_is_a_fork(book):
    documents = list(book.documents)
    tree = Tree()
    tree.extend([b"x" * 32] * 14)
    before = Tree()
    before.extend([b"x" * 32] * 11)
    foreign = Book()
    foreign.tree, foreign.checked, foreign.frontier, foreign.leaves = tree, 11, before.frontier(), [b"x" * 32] * 3
    documents[book.at_checkpoint(14)] = foreign.checkpoint_document()
    report = check(documents, trust(book, note=False))
    assert found(report)[0] == "FORK checkpoint 14 (it does not go on from the signed root at 11)"


def test_a_later_generation_is_linked_by_its_succession_leaf(book, trusted):
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=book.now + 60)
    second.begin()
    second.control(
        "succession", {"origin": book.origin, "size": 14, "note": book.note, "reason": "the journal is gone"}
    )
    second.batch(2)
    report = check([*book.documents, *second.documents], trusted)
    assert (found(report), report.warnings, report.found) == ([], (), 20)
    assert len(report.logs) == 2
    report = check([*book.documents[: book.at_checkpoint(11) + 1], *second.documents], trust(book, note=False))
    assert [line.split(" (")[0] for line in found(report)] == ["ROLLBACK"]
    assert "its successor knows 14" in found(report)[0]


def test_a_generation_that_nothing_announces_is_a_warning(book, trusted):
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=book.now + 60).begin().batch(2)
    report = check([*book.documents, *second.documents], trusted)
    assert found(report) == []
    assert "neither the trust file nor another generation names" in report.warnings[0]


def test_findings_name_their_log_where_there_are_several(book, trusted):
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=book.now + 60).begin().batch(2)
    documents = without([*book.documents, *second.documents], 3)
    assert check(documents, trusted).lines()[0] == f"MISSING 3 unexplained log={book.log}"


def test_two_agents_in_one_source_are_both_checked(book):
    import dataclasses

    other = Book(origin="acme.example/audit/crm-01/20260203T103000Z-ffffffff", key=OTHER_KEY).begin().batch(2)
    both = (
        trust(book),
        dataclasses.replace(trust(other, keys=(OTHER_KEY,)), prefix="acme.example/audit/crm-01"),
    )
    report = check([*book.documents, *other.documents], both)
    assert (found(report), report.found) == ([], 19)


def test_an_epoch_leaf_is_more_than_this_version_can_check(trusted):
    book = Book().begin()
    book.control("epoch", {"e": 1})
    book.batch(1)
    assert [line.split(" (")[0] for line in found(check(book.documents, trust(book)))] == ["EPOCH-BREAK 2"]


def test_a_root_that_only_the_note_knows_is_compared_in_the_middle_of_a_batch(book):
    import dataclasses

    trusted = trust(book)
    tree = Tree()
    known = trusted.generations[0]
    # A note at 8 leaves that no checkpoint document holds: an operator's own copy.
    from shipper.seal.canonical import unsplice
    from shipper.seal.tree import leaf_hash

    parts = [unsplice(data) for ident, data in book.documents if "-c" not in ident]
    tree.extend([leaf_hash(part.nonce, part.body) for part in parts[:8]])
    note = sign(checkpoint_text(ORIGIN, 8, tree.root()), ORIGIN, KEY)
    trusted = dataclasses.replace(trusted, generations=(dataclasses.replace(known, note=note),))
    assert found(check(book.documents, trusted)) == []
    note = sign(checkpoint_text(ORIGIN, 8, b"x" * 32), ORIGIN, KEY)
    trusted = dataclasses.replace(trusted, generations=(dataclasses.replace(known, note=note),))
    assert [line.split(" (")[0] for line in found(check(book.documents, trusted))] == ["FORK"]


def test_the_present_time_is_asked_for_where_it_is_needed(book, trusted):
    with pytest.raises(ValueError, match="present time"):
        check(book.documents, trusted, live=True)
    with pytest.raises(ValueError, match="nobody"):
        check(book.documents, ())
