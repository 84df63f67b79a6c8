"""What an agent's statements explain must not hide what somebody else did: each of these once ended with exit 0."""

import json

import orjson
import pytest

from shipper.seal.canonical import canonical, splice
from shipper.seal.note import public_bytes
from shipper.seal.trust import Trust
from shipper.seal.verify import verify
from tests.sealed import OTHER_KEY, PREFIX, Book, Memory, replaced, small_log, trust, without

DAY = 86400.0
SIEM = {"id": "siem", "type": "opensearch"}
PAGER = {"id": "pager", "type": "http", "when": {"fields": {"event.kind": "alert"}}, "control": "none"}


def check(documents, trusted, *, writers=("opensearch",), **options):
    return verify(Memory(documents, writers=writers), trusted, **options)


def found(report):
    return [finding.line().split(" (")[0] for finding in report.findings]


def forged(book, i):
    """The documents with the event at leaf `i` replaced by another one with the same seal."""

    def change(data):
        event = orjson.loads(data)
        seal = event.pop("seal")
        return splice(canonical({**event, "message": "forged"}), i, book.log, seal["n"])

    return replaced(book.documents, book.at(i), change)


def aged(book, days=550, **payload):
    """Time goes by, and the retention leaf is sealed that it gives rise to."""
    book.now += days * DAY
    book.control("retention", {"days": 550, "below": 11, **payload})
    book.checkpoint()
    return book


def stripped(data):
    document = json.loads(data)
    del document["trail"]["checkpoint"]["leaves"]
    return json.dumps(document).encode()


# -- checkpoints that are gone -----------------------------------------------------------------------------------------


def test_a_checkpoint_that_is_gone_below_a_retention_leaf_is_missing_while_an_event_of_it_is_there():
    book = aged(small_log())
    positions = book.at_checkpoint(6), book.at_checkpoint(11), book.at(7)
    report = check(without(forged(book, 3), *positions), trust(book))
    assert "MISSING checkpoint 11 unexplained" in found(report)
    assert report.exit_code == 1
    assert ", 10 not checked;" in report.summary()
    assert report.as_json()["unchecked"] == 10


def test_a_checkpoint_that_is_gone_is_never_filtered():
    book = Book().begin(outputs=[{**SIEM, "when": {"dataset": ["x"]}}]).batch(3).batch(4).batch(2)
    report = check(without(forged(book, 6), book.at_checkpoint(11), book.at(9)), trust(book))
    assert "MISSING checkpoint 11 unexplained" in found(report)
    assert report.exit_code == 1


def test_a_control_leaf_that_is_gone_is_never_filtered():
    book = Book().begin(outputs=[{**SIEM, "when": {"dataset": ["x"]}}]).batch(3).batch(4)
    report = check(without(book.documents, book.at(9), book.at(10)), trust(book))
    assert found(report) == ["MISSING 9 filtered", "MISSING 10 unexplained"]
    report = check(without(book.documents, book.at(4), book.at(5), book.at(6)), trust(book))
    assert found(report) == ["MISSING 4 filtered", "MISSING 5 unexplained", "MISSING 6 filtered"]


def test_leaf_hashes_that_were_taken_out_are_missing_where_the_output_ships_them():
    book = Book().begin().batch(3).batch(4)
    book.control("reject", {"output": "siem", "from": 7, "to": 7, "type": "x"})
    book.checkpoint()
    documents = replaced(forged(book, 8), book.at_checkpoint(11), stripped)
    documents = without(documents, book.at(7))
    report = check(documents, trust(book))
    assert found(report) == ["MISSING leaf hashes of checkpoint 11 unexplained", "MISSING 7 rejected"]
    assert report.exit_code == 1


def test_an_output_that_ships_notes_alone_has_no_leaf_hashes_to_miss():
    book = Book(control="notes").begin().batch(3).batch(4)
    book.control("reject", {"output": "siem", "from": 7, "to": 7, "type": "x"})
    book.checkpoint()
    report = check(without(book.documents, book.at(7)), trust(book), writers=("syslog",))
    assert (found(report), report.exit_code) == (["MISSING 7 rejected"], 0)
    assert ", 4 not checked;" in report.summary()


# -- whose excuse it is ------------------------------------------------------------------------------------------------


def test_the_filter_of_one_output_explains_nothing_in_another():
    book = Book().begin(outputs=[SIEM, PAGER]).batch(3)
    documents = without(book.documents, book.at(3))
    assert found(check(documents, trust(book))) == ["MISSING 3 unexplained"]
    both = ("file", "http", "opensearch")
    assert found(check(documents, trust(book), writers=both)) == ["MISSING 3 unexplained"]
    assert found(check(documents, trust(book), writers=both, output="pager")) == ["MISSING 3 filtered"]
    assert found(check(documents, trust(book), writers=both, output="siem")) == ["MISSING 3 unexplained"]
    assert found(check(documents, trust(book), writers=())) == ["MISSING 3 unexplained"]


def test_the_name_of_an_output_that_can_have_written_none_of_it_is_told():
    book = Book().begin(outputs=[SIEM, PAGER]).batch(3)
    documents = without(book.documents, book.at(3))

    def warnings(**of):
        report = check(documents, trust(book), **of)
        assert found(report) == ["MISSING 3 unexplained"]
        return report.warnings

    assert warnings(writers=("opensearch",)) == warnings(writers=("opensearch",), output="siem") == ()
    for output in ("sime", "pager"):  # nobody's name, and that of an output to somewhere else
        (text,) = warnings(writers=("opensearch",), output=output)
        assert f"names an output {output} that" in text


@pytest.mark.parametrize(("writers", "output"), [(("opensearch",), None), (("opensearch", "http"), "siem")])
def test_an_output_that_began_later_explains_nothing_in_another(writers, output):
    book = Book().begin().batch(3)
    at = book.tree.size
    book.control("config", {"outputs": [SIEM, {"id": "hook", "type": "http"}], "added": [{"id": "hook", "from": at}]})
    book.batch(2)
    documents = book.documents[book.at(at) :]
    report = check(documents, trust(book), writers=writers, output=output)
    assert found(report) == ["MISSING checkpoint 6 unexplained", "MISSING 0-5 unexplained"]
    assert check(documents, trust(book), writers=("http",)).ok


def test_an_output_that_began_in_a_later_generation_explains_no_absent_log_in_another():
    first = small_log()
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=first.now + 60)
    second.begin(outputs=[SIEM, {"id": "hook", "type": "http"}], added=[{"id": "hook", "from": 0}])
    second.control("succession", {"origin": first.origin, "size": 14, "note": first.note, "reason": "x"})
    second.batch(2)
    assert found(check(second.documents, trust(first))) == ["ROLLBACK"]
    assert check(second.documents, trust(first), writers=("http",)).ok


def test_what_one_destination_refused_is_missing_in_another():
    book = Book().begin(outputs=[SIEM, {"id": "hook", "type": "http"}]).batch(3)
    book.control("reject", {"output": "hook", "from": 3, "to": 3, "type": "413"})
    book.checkpoint()
    documents = without(book.documents, book.at(3))
    assert found(check(documents, trust(book))) == ["MISSING 3 unexplained"]
    assert found(check(documents, trust(book), writers=("http",))) == ["MISSING 3 rejected"]


def test_an_output_that_is_gone_from_the_configuration_still_explains_what_it_refused():
    book = Book().begin().batch(3)
    book.control("reject", {"output": "siem", "from": 3, "to": 3, "type": "x"})
    book.control("config", {"outputs": [{"id": "new", "type": "opensearch"}], "added": []})
    book.checkpoint()
    assert found(check(without(book.documents, book.at(3)), trust(book))) == ["MISSING 3 rejected"]


def test_the_statements_of_one_agent_explain_nothing_of_another():
    mine = small_log()
    prefix = "evil.example/audit/b"
    other = Book(origin=f"{prefix}/20260203T110000Z-0a1b2c3e", key=OTHER_KEY, agent="b").begin()
    other.now += 550 * DAY
    other.control("retention", {"days": 550, "log": mine.log, "below": 11})
    other.control("reject", {"output": "siem", "log": mine.log, "from": 3, "to": 4, "type": "t"})
    other.checkpoint()
    documents = without(mine.documents, mine.at(3), mine.at(7)) + other.documents
    report = check(documents, [trust(mine), Trust(prefix, (public_bytes(OTHER_KEY),), ())])
    assert found(report) == ["MISSING 3 unexplained", "MISSING 7 unexplained"]


# -- what the sealed times do not bear out -----------------------------------------------------------------------------


def without_event(book):
    return without(book.documents, book.at(3))


def test_a_leaf_that_is_announced_too_early_by_more_than_four_days_has_not_expired():
    assert found(check(without_event(book := aged(small_log(), 547)), trust(book))) == ["MISSING 3 expired"]
    assert found(check(without_event(book := aged(small_log(), 545)), trust(book))) == ["MISSING 3 unexplained"]


def test_only_what_is_as_old_as_announced_has_expired():
    book = Book().begin().batch(3)
    book.now += 30 * DAY
    book.batch(4)
    aged(book, 525)
    report = check(without(book.documents, book.at(3), book.at(7)), trust(book))
    assert found(report) == ["MISSING 3 expired", "MISSING 7 unexplained"]


def test_a_clock_that_was_ahead_when_it_was_announced_explains_nothing():
    book = small_log()
    before = book.now
    aged(book)
    book.now = before + 3600
    book.batch(1)
    assert found(check(without_event(book), trust(book))) == ["MISSING 3 unexplained"]


def test_a_clock_that_is_still_ahead_explains_nothing_to_a_verifier_that_knows_the_time():
    book = small_log()
    now = book.now + 3600
    aged(book)
    assert found(check(without_event(book), trust(book), now=now)) == ["MISSING 3 unexplained"]
    assert found(check(without_event(book), trust(book), now=book.now)) == ["MISSING 3 expired"]


def test_times_before_the_clock_was_set_tell_no_age():
    book = Book(start=1000.0).begin().batch(3).batch(4).batch(2)
    book.now = 1_770_114_600.0 - 550 * DAY
    aged(book)
    assert found(check(without_event(book), trust(book))) == ["MISSING 3 unexplained"]


@pytest.mark.parametrize("days", [None, 0, -1, "550", True, 40_000, 1.5])
def test_a_statement_that_tells_no_number_of_days_explains_nothing(days):
    book = small_log()
    book.now += 550 * DAY
    book.control("retention", {"days": days, "below": 11} if days is not None else {"below": 11})
    book.checkpoint()
    assert found(check(without_event(book), trust(book))) == ["MISSING 3 unexplained"]
