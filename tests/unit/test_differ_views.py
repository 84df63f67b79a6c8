"""One record seen in several ways that show different members; a listing that lags; bounds that hold."""

import pytest

from parsers import Context, Time, snapshot_diff
from parsers._contract import ABSENT
from shipper.clock import rfc3339
from shipper.differ import Differ, ObjectPolicy, Seen, Snapshots
from shipper.differ.crypto import Cipher
from shipper.differ.engine import BELIEVED
from shipper.differ.views import HOOK, LIST, READ
from tests.book import Book, random_bytes

T0 = 1_772_373_600.0


class Record:
    """One record of a source, and what the differ tells of it."""

    def __init__(self):
        self.book = Book()
        self.snapshots = Snapshots("crm", Cipher(b"k" * 32, random_bytes()))
        self.differ = Differ("crm", self.snapshots, {"contact": ObjectPolicy(ignore=("seen",))})

    def see(self, view, read, body, **more):
        """The changes told: (field, old, new), or the action of a whole record."""
        if "updated" in more:
            more["updated"] = Time(rfc3339(T0 + more["updated"]))
        if "asked" in more:
            more["asked"] += T0
        outcome = self.differ.see(self.book, Seen("contact", "1", body, T0 + read, view=view, **more))
        self.operations = [
            op for data in outcome.records for op in snapshot_diff.parse(data, Context(options={"source": "crm"}))
        ]
        self.what = outcome.what
        return [
            told
            for op in self.operations
            for told in ([(one.field, one.old, one.new) for one in op.changes] or [op.action])
        ]

    def bounds(self):
        """(after, before) of each change told last, in s from T0."""
        return [
            tuple(None if one is None else Time(one) and seconds(one) for one in (change.changed_after, change.changed_before))
            for op in self.operations
            for change in op.changes
        ]  # fmt: skip


def seconds(text):
    return next(n for n in range(100_000) if rfc3339(T0 + n) == text)


@pytest.fixture
def one():
    return Record()


LISTED = {"id": "1", "email": "a@co.example", "address": "1 Main St", "followers": []}
ALONE = {"id": "1", "email": "a@co.example", "address1": "1 Main St", "timezone": "UTC"}


def test_members_that_only_one_way_shows_are_no_changes(one):
    assert one.see(LIST, 0, LISTED) == []
    for read in range(60, 600, 60):
        assert one.see(READ, read, ALONE) == []
        assert one.see(LIST, read + 30, LISTED) == []
    assert one.what == "same"


def test_a_change_of_what_both_ways_show_is_told_once_by_the_first_that_shows_it(one):
    one.see(LIST, 0, LISTED)
    one.see(READ, 60, ALONE)
    assert one.see(READ, 120, {**ALONE, "email": "b@co.example"}) == [("email", "a@co.example", "b@co.example")]
    assert one.see(LIST, 180, {**LISTED, "email": "b@co.example"}) == []
    assert one.see(LIST, 240, {**LISTED, "email": "c@co.example"}) == [("email", "b@co.example", "c@co.example")]
    assert one.see(READ, 300, {**ALONE, "email": "c@co.example"}) == []


def test_a_change_of_what_one_way_shows_is_told_by_it(one):
    one.see(LIST, 0, LISTED)
    one.see(READ, 60, ALONE)
    assert one.see(LIST, 120, {**LISTED, "address": "2 Main St"}) == [("address", "1 Main St", "2 Main St")]
    assert one.see(READ, 180, {**ALONE, "timezone": "CET"}) == [("timezone", "UTC", "CET")]
    assert one.bounds() == [(60, 180)]
    assert one.see(LIST, 240, {**LISTED, "address": "2 Main St"}) == []


def test_a_member_that_comes_or_goes_is_told_by_the_way_that_had_it_otherwise(one):
    one.see(LIST, 0, LISTED)
    one.see(READ, 60, ALONE)
    assert one.see(READ, 120, {**ALONE, "phone": "5"}) == [("phone", ABSENT, "5")]
    assert one.see(LIST, 150, {**LISTED, "phone": "5"}) == []
    assert one.see(LIST, 180, LISTED) == [("phone", "5", ABSENT)]
    assert one.see(READ, 210, ALONE) == []
    assert one.see(LIST, 240, {**LISTED, "phone": "6"}) == [("phone", ABSENT, "6")]
    assert one.see(READ, 270, {**ALONE, "phone": "6"}) == []


def test_what_a_second_way_shows_first_is_told_once_the_first_way_shows_it_too(one):
    one.see(LIST, 0, LISTED)
    one.see(LIST, 300, LISTED)
    assert one.see(READ, 400, {**ALONE, "phone": "5"}) == []
    assert one.see(LIST, 600, {**LISTED, "phone": "5"}) == [("phone", ABSENT, "5")]
    assert one.bounds() == [(300, 600)]
    assert one.see(READ, 700, {**ALONE, "phone": "5"}) == []
    assert one.see(LIST, 900, {**LISTED, "phone": "5"}) == []


def test_it_is_told_though_nothing_else_differs(one):
    one.see(LIST, 0, {"id": "1"})
    assert one.see(READ, 60, {"id": "1", "phone": "5"}) == []
    assert one.see(LIST, 120, {"id": "1", "phone": "5"}) == [("phone", ABSENT, "5")]


def test_what_went_and_only_the_first_way_can_tell_has_the_bounds_of_its_looks(one):
    one.see(LIST, 0, {**LISTED, "phone": "5"})
    one.see(LIST, 300, {**LISTED, "phone": "5"})
    assert one.see(READ, 400, ALONE) == []
    assert one.see(LIST, 600, LISTED) == [("phone", "5", ABSENT)]
    assert one.bounds() == [(300, 600)]


def test_three_ways_of_one_record_tell_each_change_once(one):
    one.see(LIST, 0, LISTED)
    one.see(READ, 10, ALONE)
    one.see(HOOK, 20, {"id": "1", "email": "a@co.example"}, pushed=True)
    assert one.see(HOOK, 30, {"id": "1", "email": "b@co.example"}, pushed=True) != []
    assert one.see(READ, 40, {**ALONE, "email": "b@co.example"}) == []
    assert one.see(LIST, 50, {**LISTED, "email": "b@co.example"}) == []


def test_the_ways_and_what_they_showed_are_remembered_sealed(one):
    one.see(LIST, 0, LISTED)
    one.see(READ, 60, ALONE)
    entry = one.snapshots.get(one.book, "contact", "1")
    assert entry.body == {**LISTED, **ALONE}
    assert entry.views[LIST] == (frozenset(LISTED), T0)
    assert entry.views[READ] == (frozenset(ALONE), T0 + 60)
    assert entry.quiet == {"address1", "timezone"}
    assert not any(b"timezone" in blob for blob in one.book.values())


def test_a_deleted_record_is_not_restored_by_a_listing_that_lags(one):
    one.see(LIST, 0, {"a": 1}, updated=-100)
    assert one.see(READ, 60, None) == ["record.delete"]
    for read in (90, 300, 60 + BELIEVED - 1):
        assert one.see(LIST, read, {"a": 1}, updated=-100) == []
        assert one.what == "stale"
    assert one.see(LIST, 60 + BELIEVED, {"a": 1}, updated=-100) == ["record.restore"]


def test_a_deleted_record_is_restored_at_once_by_news_of_later_or_by_its_own_reading(one):
    one.see(LIST, 0, {"a": 1}, updated=-100)
    one.see(READ, 60, None)
    assert one.see(LIST, 120, {"a": 1}, updated=90) == ["record.restore"]
    one.see(READ, 180, None)
    assert one.see(READ, 240, {"a": 1}, updated=90) == ["record.restore"]


def test_a_change_on_the_way_of_an_answer_lies_within_the_bounds_of_the_next_difference(one):
    one.see(LIST, 20, {"a": 1}, asked=0)
    assert one.see(LIST, 80, {"a": 2}, asked=75) == [("a", 1, 2)]
    assert one.bounds() == [(0, 80)]
    one.see(LIST, 140, {"a": 3}, asked=139)
    assert one.bounds() == [(75, 140)]


def test_what_was_pushed_is_as_old_as_the_source_says(one):
    one.see(LIST, 0, {"a": 1}, updated=0)
    one.see(HOOK, 100, {"a": 2}, updated=40, pushed=True)
    one.see(LIST, 160, {"a": 3}, updated=120)
    assert one.bounds() == [(40, 160)]
