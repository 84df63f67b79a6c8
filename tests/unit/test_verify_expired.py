"""What expired by age is told as that, in one line; nothing else is."""

import json

from shipper.seal.verify import verify
from tests.sealed import PREFIX, Book, Memory, small_log, trust, without

AGE = 550 * 86400.0


def check(documents, *books):
    return verify(Memory(documents), trust(*books))


def lines(report):
    return [finding.line() for finding in report.findings]


def expired(book, below):
    """The documents without the events below a leaf; control leaves and checkpoints stay."""
    events = {book.at(i) for i in range(below) if b'"fieldtrail.change"' in book.documents[book.at(i)][1]}
    return without(book.documents, *events)


def test_events_below_the_announced_leaf_are_one_line_though_control_leaves_stand_between_them():
    book = Book().begin().batch(3).batch(4).batch(2)
    book.now += AGE
    book.control("retention", {"days": 550, "below": 11})
    book.checkpoint()
    report = check(expired(book, 11), book)
    assert lines(report) == ["MISSING 2-9 expired (7 documents; what lies between them is here or named apart)"]
    assert report.exit_code == 0
    assert ", 0 missing, 7 expired;" in report.summary()
    (finding,) = json.loads(json.dumps(report.as_json()))["findings"]
    assert (finding["first"], finding["last"], finding["documents"], finding["fails"]) == (2, 9, 7, False)


def test_one_event_above_the_announced_leaf_is_unexplained():
    book = Book().begin().batch(3).batch(4).batch(2)
    book.now += AGE
    book.control("retention", {"days": 550, "below": 11})
    book.checkpoint()
    report = check(expired(book, 12), book)
    assert lines(report)[1:] == ["MISSING 11 unexplained"]
    assert report.exit_code == 1


def test_events_of_an_earlier_generation_expire_by_what_a_later_one_says():
    first = small_log()
    second = Book(origin=PREFIX + "/20260203T110000Z-0a1b2c3e", start=first.now + AGE).begin()
    second.control("retention", {"days": 550, "log": first.log, "below": 11})
    second.checkpoint()
    report = check(expired(first, 11) + second.documents, first, second)
    assert [(finding.first, finding.last, finding.cause) for finding in report.findings] == [(2, 9, "expired")]
    assert report.ok
    report = check(expired(first, 13) + second.documents, first, second)
    assert [(finding.first, finding.cause) for finding in report.findings] == [(2, "expired"), (11, "unexplained")]


def test_what_is_said_of_another_log_explains_nothing_in_this_one():
    book = Book().begin().batch(3)
    book.now += AGE
    book.control("retention", {"days": 550, "log": "0" * 16, "below": 4})
    book.checkpoint()
    assert lines(check(without(book.documents, book.at(3)), book)) == ["MISSING 3 unexplained"]


def test_what_nobody_can_read_as_an_index_explains_nothing():
    for below in (-1, "5", None, True, 2.5, 2**60, [5]):
        book = Book().begin().batch(3)
        book.now += AGE
        book.control("retention", {"days": 550, "below": below})
        book.checkpoint()
        assert lines(check(without(book.documents, book.at(3)), book)) == ["MISSING 3 unexplained"]


def test_an_erasure_that_a_later_generation_tells_of_explains_the_earlier_one():
    first = small_log()
    second = Book(origin=PREFIX + "/20260203T110000Z-0a1b2c3e", start=first.now + 10).begin()
    second.control("erasure", {"log": first.log, "from": 3, "to": 3, "basis": "request", "approver": "dpo"})
    second.checkpoint()
    report = check(without(first.documents, first.at(3)) + second.documents, first, second)
    assert [(finding.first, finding.cause) for finding in report.findings] == [(3, "erased")]
