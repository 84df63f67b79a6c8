"""Absences that the agent's own sealed statements explain, periods, short checkpoints, reports."""

import json
from html.parser import HTMLParser

import pytest

from shipper.seal.findings import Finding, Findings, printable
from shipper.seal.report import render_html
from shipper.seal.verify import verify
from tests.sealed import PREFIX, START, Book, Memory, edited, replaced, small_log, trust, without

DAY = 86400.0
TWO = [{"id": "siem", "type": "opensearch"}, {"id": "soc", "type": "file"}]


def check(documents, trusted, **options):
    partial = options.pop("partial", False)
    return verify(Memory(documents, partial=partial), trusted, **options)


def found(report):
    return [finding.line() for finding in report.findings]


def test_documents_that_a_destination_refused_are_rejected():
    book = Book().begin().batch(4)
    book.control("reject", {"output": "siem", "from": 3, "to": 4, "type": "mapper_parsing_exception"})
    book.batch(1)
    report = check(without(book.documents, book.at(3), book.at(4)), trust(book))
    assert (found(report), report.exit_code) == (["MISSING 3-4 rejected"], 0)
    assert ", 0 missing, 2 rejected;" in report.summary()
    report = check(without(book.documents, book.at(2), book.at(3), book.at(4)), trust(book))
    assert (found(report), report.exit_code) == (["MISSING 2 unexplained", "MISSING 3-4 rejected"], 1)


def test_a_refusal_that_a_later_generation_tells_of_explains_the_earlier_one():
    first = small_log()
    second = Book(origin=PREFIX + "/20260203T110000Z-0a1b2c3e", start=first.now + 10).begin()
    second.control("reject", {"output": "siem", "log": first.log, "from": 3, "to": 3, "type": "fork"})
    second.checkpoint()
    documents = without(first.documents, first.at(3)) + second.documents
    report = check(documents, trust(first, second))
    assert [(finding.kind, finding.first, finding.cause) for finding in report.findings] == [("MISSING", 3, "rejected")]
    assert report.ok


def test_a_period_before_the_log_began_holds_nothing():
    book = small_log()
    report = check(book.documents, trust(book), until=START - 3600)
    assert (report.sealed, report.ok) == (0, True)


def test_a_planted_statement_explains_nothing():
    book = small_log()
    other = Book()
    other.salt = "other"
    other.begin()
    other.control("retention", {"below": 12})
    planted = ("planted", other.documents[-1][1])
    report = check(without([*book.documents, planted], book.at(3)), trust(book))
    lines = [line.split(" (")[0] for line in found(report)]
    assert sorted(lines) == ["INSERTED planted", "MISSING 3 unexplained"]


def test_documents_below_a_retention_statement_are_expired_and_may_still_be_there():
    book = Book().begin().batch(4)
    book.now += 550 * DAY
    book.control("retention", {"days": 550, "below": 5})
    book.batch(1)
    assert found(check(book.documents, trust(book))) == []
    report = check(book.documents[4:], trust(book))
    assert (found(report), report.exit_code) == (["MISSING 0-3 expired"], 0)
    report = check(without(book.documents, book.at(5)), trust(book))
    assert found(report) == ["MISSING 5 unexplained"]


def test_expired_checkpoints_are_no_finding_where_all_their_documents_are_expired():
    # With the control leaves below it gone as well, only a later one can tell how old they were.
    book = Book().begin().batch(4).batch(1)
    book.now += 550 * DAY
    book.control("retention", {"days": 550, "below": 7})
    book.batch(1)
    report = check(book.documents[book.at_checkpoint(7) + 1 :], trust(book))
    assert (found(report), report.exit_code) == (["MISSING 0-6 expired"], 0)
    report = check(book.documents[book.at_checkpoint(9) + 1 :], trust(book))
    assert (found(report), report.exit_code) == (["MISSING checkpoint 9 unexplained", "MISSING 0-8 unexplained"], 1)


def test_a_checkpoint_that_a_full_journal_dropped_with_its_documents_is_a_declared_loss():
    book = Book().begin().batch(3).batch(4).batch(1)
    at, end = book.at_checkpoint(6), book.at_checkpoint(11)  # of a gap the last checkpoint is named
    book.control("drop", {"output": "siem", "from": 4, "to": 12, "reason": "journal full"})
    book.batch(1)
    gone = [at, end, *(book.at(i) for i in range(4, 13))]
    report = check(without(book.documents, *gone), trust(book))
    assert found(report) == ["MISSING checkpoint 11 dropped", "MISSING 4-12 dropped"]
    assert report.exit_code == 1
    last = book.at_checkpoint(13)
    assert "MISSING checkpoint 13 dropped" in found(check(without(book.documents, *gone, last), trust(book)))
    first = Book().begin().batch(3).batch(4).batch(1)
    assert found(check(without(first.documents, first.at_checkpoint(6)), trust(first))) == [
        "MISSING checkpoint 6 unexplained"
    ]


def test_erased_documents_are_named_as_such():
    book = Book().begin().batch(4)
    book.control("erasure", {"from": 3, "to": 3, "basis": "request", "approver": "dpo"})
    book.batch(1)
    assert found(check(without(book.documents, book.at(3)), trust(book))) == ["MISSING 3 erased"]


def test_what_an_output_filters_is_known_from_the_config_leaf():
    book = Book()
    book.begin(outputs=[{"id": "soc", "type": "syslog", "when": {"event.action": ["auth.login"]}}])
    book.batch(4).batch(2)
    report = check(without(book.documents, book.at(2), book.at(4)), trust(book))
    assert (found(report), report.exit_code) == (["MISSING 2 filtered", "MISSING 4 filtered"], 0)
    book.control("config", {"outputs": [{"id": "soc", "type": "syslog"}], "added": []})
    book.batch(2)
    report = check(without(book.documents, book.at(2), book.at(12)), trust(book))
    assert found(report) == ["MISSING 2 filtered", "MISSING 12 unexplained"]


def test_an_output_that_was_added_later_begins_there():
    book = Book().begin().batch(3).batch(3)
    at = book.tree.size
    book.control("config", {"outputs": TWO, "added": [{"id": "soc", "from": at}]})
    book.batch(2)
    documents = book.documents[book.at(at) :]
    report = check(documents, trust(book))
    assert (found(report), report.exit_code) == ([f"MISSING 0-{at - 1} before-output"], 0)
    report = check(without(documents, 1), trust(book))
    assert found(report) == [f"MISSING 0-{at - 1} before-output", f"MISSING {at + 1} unexplained"]
    report = check(documents[1:], trust(book))
    assert found(report) == [f"MISSING checkpoint {at} unexplained", f"MISSING 0-{at} unexplained"]


def test_a_log_cut_at_its_start_without_such_a_statement_is_missing():
    book = small_log()
    report = check(book.documents[book.at_checkpoint(6) + 1 :], trust(book))
    assert found(report) == ["MISSING checkpoint 6 unexplained", "MISSING 0-5 unexplained"]


def test_a_source_that_keeps_only_the_newest_part_begins_where_it_begins():
    book = small_log()
    report = check(book.documents[book.at(4) :], trust(book), partial=True)
    assert (found(report), report.exit_code) == (["MISSING 0-3 expired"], 0)


def test_an_earlier_generation_that_a_new_output_never_held_is_only_a_warning():
    book = small_log()
    second = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=book.now + 60)
    second.begin(outputs=TWO, added=[{"id": "soc", "from": 0}])
    second.control("succession", {"origin": book.origin, "size": 14, "note": book.note, "reason": "x"})
    second.batch(2)
    report = check(second.documents, trust(book))
    assert (found(report), report.exit_code) == ([], 0)
    assert "not in this source" in report.warnings[0]
    lost = Book(origin=PREFIX + "/20260301T000000Z-00000001", start=book.now + 60).begin()
    lost.control("succession", {"origin": book.origin, "size": 14, "note": book.note, "reason": "x"})
    lost.batch(2)
    assert [line.split(" (")[0] for line in found(check(lost.documents, trust(book)))] == ["ROLLBACK"]


# -- checkpoints without leaf hashes ----------------------------------------------------------------------------------


def test_a_log_of_notes_only_verifies():
    book = small_log(control="notes")
    report = check(book.documents, trust(book))
    assert (found(report), report.warnings, report.found) == ([], (), 14)


def test_without_leaf_hashes_an_edit_is_narrowed_to_its_batch():
    book = small_log(control="notes")
    documents = replaced(book.documents, book.at(8), edited(b"to 8000", b"to 9000"))
    report = check(documents, trust(book))
    assert [line.split(" (")[0] for line in found(report)] == ["MODIFIED 6-10"]
    assert report.found == 9


def test_without_leaf_hashes_a_missing_document_leaves_its_batch_unchecked():
    book = small_log(control="notes")
    report = check(without(book.documents, book.at(8)), trust(book))
    assert found(report) == ["MISSING 8 unexplained"]
    assert "4 documents between 6 and 10 cannot be checked" in report.warnings[0]
    assert report.found == 9


def test_without_leaf_hashes_a_copy_is_a_duplicate_and_a_wrong_frontier_is_named():
    book = small_log(control="notes")
    assert found(check([*book.documents, book.documents[3]], trust(book))) == ["DUPLICATE 3"]

    def change(data):
        doc = json.loads(data)
        doc["trail"]["checkpoint"]["frontier"] = ["A" * 43 + "="] * len(doc["trail"]["checkpoint"]["frontier"])
        return json.dumps(doc).encode()

    report = check(replaced(book.documents, book.at_checkpoint(11), change), trust(book))
    assert [line.split(" (")[0] for line in found(report)] == ["MODIFIED checkpoint 11"]
    assert report.found == 14


# -- periods ----------------------------------------------------------------------------------------------------------


def test_only_what_was_sealed_in_the_period_is_judged():
    book = small_log()
    documents = without(book.documents, book.at(3), book.at(8), book.at(12))
    # Leaf n was made at START + 10 n; the checkpoints end with the leaves 5, 10 and 13.
    whole = check(documents, trust(book))
    assert whole.counts["MISSING"] == 3
    middle = check(documents, trust(book), since=START + 60, until=START + 105)
    assert (found(middle), middle.sealed, middle.found) == (["MISSING 8 unexplained", "MISSING 12 unexplained"], 8, 6)
    late = check(documents, trust(book), since=START + 105)
    assert (found(late), late.sealed) == (["MISSING 12 unexplained"], 3)
    early = check(documents, trust(book), until=START + 45)
    assert (found(early), early.sealed) == (["MISSING 3 unexplained"], 6)
    assert early.summary().startswith("2026-02-03..2026-02-03: 6 sealed, 5 found")


def test_a_planted_document_counts_in_the_period_that_it_claims():
    book = small_log()
    documents = [*book.documents, ("x", b'{"@timestamp":"2025-01-01T00:00:00Z"}'), ("y", b'{"@timestamp":"no time"}')]
    report = check(documents, trust(book), since=START)
    assert found(report) == ["INSERTED y (no seal)"]


# -- the report -------------------------------------------------------------------------------------------------------


def test_the_report_as_json_says_what_the_lines_say():
    book = small_log()
    report = check(without(book.documents, book.at(3)), trust(book))
    document = json.loads(json.dumps(report.as_json()))
    assert document["ok"] is False
    assert document["findings"] == [
        {"kind": "MISSING", "fails": True, "first": 3, "last": 3, "log": book.log, "cause": "unexplained"}
    ]
    assert document["logs"][0]["origin"] == book.origin
    assert document["summary"] == report.lines()[-1]
    assert (document["sealed"], document["found"]) == (14, 13)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)


def test_the_report_page_is_self_contained_and_escapes_what_is_foreign():
    book = small_log()
    documents = [*book.documents, ("<script>alert(1)</script>", b"{}"), ("\x1b[31m", b"{}")]
    page = render_html(check(documents, trust(book)), "2026-03-01T00:00:00Z")
    parser = _Tags()
    parser.feed(page)
    assert not parser.tags & {"script", "link", "img", "iframe"}
    assert "&lt;script&gt;" in page and "\x1b" not in page
    assert "does not show what a source never sent" in page
    assert render_html(check(small_log().documents, trust(book))).count("<p>None.</p>") == 1


def test_very_many_findings_are_counted_and_not_all_kept():
    findings = Findings()
    for n in range(5000):
        findings.add(Finding("MODIFIED", "log", n, n))
    assert len(findings.sorted()) == 1000
    assert findings.unlisted() == {"MODIFIED": 4000}
    assert findings.count("MODIFIED") == 5000


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202etxt", "\ud800", "\x9b1m"])
def test_foreign_text_cannot_steer_a_terminal(text):
    assert printable(text).isprintable()
    assert "?" in printable(text)
