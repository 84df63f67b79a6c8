"""The differ: what is seen of a source's records, and what it tells of it, each change once."""

import json
import stat

import pytest

from parsers import Change, Context, Operation, Time, snapshot_diff
from parsers._contract import ABSENT, UNKNOWN
from parsers._json import decode
from shipper.differ import Differ, Named, ObjectPolicy, Seen, Snapshots
from shipper.differ.crypto import KEY_FILE, Cipher, cipher_of
from shipper.differ.engine import BELIEVED, DEEPEST, REMEMBERED
from shipper.errors import ConfigError, CorruptError
from shipper.inputs._ledger import Ledger
from tests.book import Book, random_bytes

T0 = 1_772_373_600.0
"""2026-03-01T14:00:00Z."""
POLICY = ObjectPolicy(ignore=("stats",), aliases={"stage": "stage.id"})


class Source:
    """A differ of one source with what a poll input has around it."""

    def __init__(self, **policies):
        self.book = Book()
        self.snapshots = Snapshots("keap", Cipher(b"k" * 32, random_bytes()))
        self.differ = Differ("keap", self.snapshots, policies or {"contact": POLICY, "opportunity": POLICY})

    def see(self, body, read, *, key="1", kind="contact", **more):
        for name in ("updated", "created"):
            if name in more:
                more[name] = Time(at(more[name]))
        if body is not None:
            body = decode(json.dumps(body).encode())
        return self.differ.see(self.book, Seen(kind, key, body, T0 + read, **more))

    def native(self, *changes, time, key="1", kind="contact", action="field.update", **more):
        op = Operation(
            action=action,
            kind="history",
            object_type=kind,
            object_id=key,
            changes=list(changes),
            time=Time(at(time)),
            **more,
        )
        return self.differ.native(self.book, op)


def at(seconds):
    """A moment by its seconds from T0, as sources write it."""
    return f"2026-03-01T14:{int(seconds) // 60:02}:{seconds % 60:09.6f}Z"


def told(outcome):
    """The operations that the format makes of the records of an outcome."""
    made = []
    for data in getattr(outcome, "records", outcome):
        made += snapshot_diff.parse(data, Context(options={"source": "keap"}))
    return made


def changed(outcome):
    return [(one.field, one.old, one.new) for op in told(outcome) for one in op.changes]


@pytest.fixture
def source():
    return Source()


# -- one record --------------------------------------------------------------------------------------------------------


def test_the_first_sight_is_a_baseline_and_no_change(source):
    assert source.see({"a": 1}, 0).what == "baseline"
    assert source.see({"a": 1}, 60) == ("same", (), 0, 0)


def test_a_difference_is_told_once_with_its_bounds_and_all_that_is_known(source):
    source.see({"owner_id": "60001", "tag_ids": ["1"]}, 300)
    editor = Named("40077", None)
    outcome = source.see(
        {"owner_id": "60017", "tag_ids": ["1", "2"]}, 600, updated=492, editor=editor, name="Jo Q", label="Contact"
    )
    (op,) = told(outcome)
    assert outcome.what == "changed"
    assert op.action == "field.update"
    assert op.id == "contact/1@2026-03-01T14:10:00.000Z.1"
    assert (op.object_type, op.object_id, op.object_name, op.object_label) == ("contact", "1", "Jo Q", "Contact")
    assert op.fields == {"trail.object.last_editor.id": "40077"}
    assert (op.actor_type, op.actor_confidence) == ("unknown", "unknown")
    assert op.time == Time("2026-03-01T14:08:12.000000Z")
    bounds = ("2026-03-01T14:05:00.000Z", "2026-03-01T14:10:00.000Z")
    assert op.changes == [
        Change("owner_id", "60001", "60017", None, None, None, "snapshot_diff", *bounds),
        Change("tag_ids", ABSENT, "2", None, None, None, "snapshot_diff", *bounds),
    ]
    assert op.raw == {}
    assert source.see({"owner_id": "60017", "tag_ids": ["2", "1"]}, 900, updated=492).what == "same"


def test_bounds_hold_although_they_are_cut_to_milliseconds(source):
    source.see({"a": 1}, 0.0004)
    (op,) = told(source.see({"a": 2}, 1.0004))
    (one,) = op.changes
    assert (one.changed_after, one.changed_before) == ("2026-03-01T14:00:00.000Z", "2026-03-01T14:00:01.001Z")


def test_ignored_fields_are_counted_and_are_no_change(source):
    source.see({"a": 1, "stats": {"opens": 1}}, 0)
    assert source.see({"a": 1, "stats": {"opens": 2}}, 60) == ("same", (), 1, 0)
    assert source.see({"a": 2, "stats": {"opens": 3}}, 120).ignored == 1


def test_a_state_that_is_older_than_what_is_known_takes_nothing_back(source):
    source.see({"a": 1}, 0, updated=0)
    assert source.see({"a": 3}, 120, updated=100).what == "changed"
    assert source.see({"a": 2}, 130, updated=50, pushed=True).what == "stale"
    assert source.see({"a": 2}, 130, updated=50).what == "stale"
    assert source.see({"a": 2}, 110).what == "stale"
    assert source.see({"a": 2}, 119, updated=100).what == "stale"
    assert source.see({"a": 3}, 180, updated=100).what == "same"


def test_a_source_that_goes_back_for_good_is_believed_after_a_while(source):
    source.see({"a": 1}, 0, updated=0)
    source.see({"a": 2}, 60, updated=50)
    assert source.see({"a": 1}, 120, updated=0).what == "stale"
    assert source.see({"a": 1}, 60 + BELIEVED, updated=0, pushed=True).what == "stale"
    assert changed(source.see({"a": 1}, 60 + BELIEVED, updated=0)) == [("a", 2, 1)]


def test_a_late_push_that_is_newer_is_taken(source):
    source.see({"a": 1}, 0, updated=0)
    source.see({"a": 2}, 100, updated=40)
    (op,) = told(source.see({"a": 3}, 95, updated=90, pushed=True))
    (one,) = op.changes
    # The answer at 100 s did not show what happened at 90 s: that it did not happen before is not known.
    assert (one.changed_after, one.changed_before) == ("2026-03-01T14:00:40.000Z", "2026-03-01T14:01:40.000Z")


def test_a_record_made_since_we_look_is_a_creation_by_whom_the_source_names(source):
    source.see({"a": 1}, 0, created=-0.0)
    outcome = source.see({"a": 1, "b": {"c": 2}}, 120, key="2", created=60, updated=60, creator=Named("7", "Kim Q"))
    (op,) = told(outcome)
    assert (outcome.what, op.action, op.time) == ("created", "record.create", Time(at(60)))
    assert op.values == {"a": 1, "b.c": 2}
    assert op.fields == {"user.id": "7", "user.full_name": "Kim Q"}
    assert (op.actor_type, op.actor_confidence) == ("user", "asserted")
    assert op.bounds == ("2026-03-01T14:00:00.000Z", "2026-03-01T14:02:00.000Z")


def test_who_made_a_record_is_only_likely_to_have_set_what_is_there_after_an_update(source):
    source.see({"a": 1}, 0)
    (op,) = told(source.see({"a": 2}, 120, key="2", created=60, updated=90, creator=Named("7")))
    assert (op.actor_type, op.actor_confidence) == ("user", "inferred")
    assert op.fields["trail.actor.basis"] == "created_by"


@pytest.mark.parametrize("created", [None, -3600, 3600])
def test_a_record_that_is_seen_first_and_not_known_to_be_new_is_a_baseline(source, created):
    source.see({"a": 1}, 0)
    more = {} if created is None else {"created": Time(f"2026-03-01T{14 + created // 3600}:00:00Z")}
    seen = Seen("contact", "2", {"a": 1}, T0 + 60, **more)
    assert source.differ.see(source.book, seen).what == "baseline"


def test_what_is_there_at_the_very_first_look_at_a_type_is_a_baseline(source):
    assert source.see({"a": 1}, 60, created=30).what == "baseline"


def test_a_record_that_is_gone_is_one_deletion_with_its_last_values(source):
    source.see({"a": 1}, 0)
    outcome = source.see(None, 60)
    (op,) = told(outcome)
    assert (outcome.what, op.action, op.time, op.values) == ("deleted", "record.delete", None, {"a": 1})
    assert op.bounds == ("2026-03-01T14:00:00.000Z", "2026-03-01T14:01:00.000Z")
    assert source.see(None, 120).what == "unknown"
    assert source.see(None, 120, key="never seen").what == "unknown"
    assert source.snapshots.get(source.book, "contact", "1").body is None


def test_an_old_push_does_not_bring_a_deleted_record_back_and_a_new_answer_does(source):
    source.see({"a": 1}, 0, updated=0)
    source.see(None, 60)
    assert source.see({"a": 2}, 90, updated=30, pushed=True).what == "stale"
    assert source.see({"a": 1}, 50, updated=0).what == "stale"
    outcome = source.see({"a": 1}, 90, updated=0)
    (op,) = told(outcome)
    assert (outcome.what, op.action, op.values) == ("restored", "record.restore", {"a": 1})
    assert source.see({"a": 1}, 100, updated=0).what == "same"


def test_news_of_a_deletion_older_than_the_record_is_stale(source):
    source.see({"a": 1}, 60)
    assert source.see(None, 30).what == "stale"


def test_a_record_too_deep_to_be_told_is_refused_and_not_taken_for_absent(source):
    deep = {"a": 1}
    for _ in range(DEEPEST):
        deep = {"a": deep}
    source.see({"a": 1}, 0)
    number = source.differ.begin_listing(source.book, "contact", T0 + 10)
    assert source.see(deep, 20, listing=number).what == "too_deep"
    assert list(source.differ.absent(source.book, "contact")) == []


def test_numbers_keep_their_characters_through_snapshots_and_records(source):
    contact = ("contact", "1")
    for read, text in ((0, b'{"pay":90000.10,"big":9007199254740993}'), (60, b'{"pay":1e5,"big":9007199254740993}')):
        outcome = source.differ.see(source.book, Seen(*contact, decode(text), T0 + read))
    assert b'"old":90000.10,"new":1e5' in outcome.records[0]
    assert len(told(outcome)[0].changes) == 1


# -- listings ----------------------------------------------------------------------------------------------------------


def test_what_a_whole_listing_has_not_is_absent_and_what_came_meanwhile_is_not(source):
    for number in ("1", "2", "3"):
        source.see({"n": number}, 0, key=number)
    source.see({"n": 1}, 0, kind="opportunity")
    listing = source.differ.begin_listing(source.book, "contact", T0 + 100)
    source.see({"n": "1"}, 110, key="1", listing=listing)
    source.see({"n": "3"}, 120, key="3", pushed=True)
    source.see({"n": "9"}, 120, key="9", pushed=True)
    assert list(source.differ.absent(source.book, "contact")) == ["2"]
    source.see(None, 130, key="2")
    assert list(source.differ.absent(source.book, "contact")) == []
    source.differ.end_listing(source.book, "contact")
    assert list(source.differ.absent(source.book, "contact")) == []


def test_nothing_is_absent_from_a_listing_that_has_not_begun(source):
    source.see({"a": 1}, 0)
    assert list(source.differ.absent(source.book, "contact")) == []
    assert source.differ.begin_listing(source.book, "contact", T0 + 10) == 1
    source.differ.end_listing(source.book, "contact")
    assert source.differ.begin_listing(source.book, "contact", T0 + 20) == 2


def test_a_stale_answer_in_a_listing_shows_that_the_record_is_there(source):
    source.see({"a": 2}, 0, updated=0)
    listing = source.differ.begin_listing(source.book, "contact", T0 + 100)
    seen = Seen("contact", "1", {"a": 1}, T0 + 110, updated=Time("2026-03-01T13:00:00Z"), listing=listing)
    assert source.differ.see(source.book, seen).what == "stale"
    assert list(source.differ.absent(source.book, "contact")) == []


def test_after_a_whole_listing_its_begin_is_the_bound_of_creations(source):
    source.see({"a": 1}, 0)
    source.differ.begin_listing(source.book, "contact", T0 + 100)
    source.differ.end_listing(source.book, "contact")
    assert source.see({"a": 1}, 200, key="2", created=50).what == "baseline"
    (op,) = told(source.see({"a": 1}, 200, key="3", created=150))
    assert op.bounds[0] == "2026-03-01T14:01:40.000Z"


def test_what_is_gone_for_long_is_forgotten(source):
    source.see({"a": 1}, 0)
    source.see(None, 10)
    for day in range(1, 10):
        source.differ.begin_listing(source.book, "contact", T0 + day * 86_400)
        source.differ.end_listing(source.book, "contact")
    assert source.snapshots.get(source.book, "contact", "1") is None


# -- one change, two channels ------------------------------------------------------------------------------------------


def test_a_change_that_the_source_tells_later_names_its_author_and_is_not_told_twice(source):
    source.see({"stage": {"id": 3}}, 0, kind="opportunity")
    (diffed,) = told(source.see({"stage": {"id": 14}}, 600, kind="opportunity"))
    records = source.native(
        Change("stage", "3", "14"),
        time=300,
        kind="opportunity",
        key="1",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "40077"},
        raw={"create_time": "later"},
    )
    (op,) = told(records)
    assert (op.action, op.kind, op.changes) == ("change.attributed", "history", [])
    assert op.fields == {
        "user.id": "40077",
        "trail.attribution.event_id": [diffed.id],
        "trail.attribution.operation_id": [diffed.id],
        "trail.attribution.field": ["stage.id"],
    }
    assert (op.actor_type, op.actor_confidence, op.time) == ("user", "asserted", Time(at(300)))
    assert op.raw == {"create_time": "later"}
    # The next record of the same is a change of its own: the one that was told has its author.
    assert source.native(Change("stage", "3", "14"), time=301, kind="opportunity") is None


def test_of_several_changes_the_event_is_named(source):
    source.see({"a": 1, "b": 1}, 0)
    (diffed,) = told(source.see({"a": 2, "b": 2}, 600))
    (op,) = told(source.native(Change("b", UNKNOWN, 2), time=300))
    assert op.fields["trail.attribution.event_id"] == [f"{diffed.id}#1"]
    assert op.fields["trail.attribution.operation_id"] == [diffed.id]


def test_what_of_a_record_of_the_source_is_new_is_told_beside_the_attribution(source):
    source.see({"a": 1}, 0)
    source.see({"a": 2}, 600)
    rest, op = told(
        source.native(Change("a", 1, 2), Change("z", 5, ABSENT, label="Zone"), time=300, key="1", raw={"r": 1})
    )
    assert (rest.action, rest.changes, rest.raw) == ("field.update", [Change("z", 5, ABSENT, label="Zone")], {"r": 1})
    assert (op.action, op.fields["trail.attribution.field"], op.raw) == ("change.attributed", ["a"], {})


@pytest.mark.parametrize(
    ("change", "time"),
    [
        (Change("a", 1, 3), 300),
        (Change("b", 1, 2), 300),
        (Change("a", 1, 2), -10 + 0.0),
        (Change("a", 1, 2), 700),
    ],
)
def test_another_field_value_or_time_is_another_change(source, change, time):
    source.see({"a": 1}, 60)
    source.see({"a": 2}, 600)
    seen = Time("2026-03-01T13:59:00Z") if time < 0 else Time(at(time))
    op = Operation(action="field.update", kind="h", object_type="contact", object_id="1", changes=[change], time=seen)
    assert source.differ.native(source.book, op) is None


def test_a_change_that_the_source_told_first_is_not_found_again(source):
    source.see({"stage": {"id": 3}, "b": 1}, 0, kind="opportunity")
    assert source.native(Change("stage", "3", "14"), time=300, kind="opportunity") is None
    outcome = source.see({"stage": {"id": 14}, "b": 2}, 600, kind="opportunity")
    assert (changed(outcome), outcome.met) == ([("b", 1, 2)], 1)
    outcome = source.see({"stage": {"id": 3}, "b": 2}, 900, kind="opportunity")
    assert changed(outcome) == [("stage.id", 14, 3)]


def test_only_what_the_source_did_not_tell_is_found(source):
    source.see({"a": 1}, 0)
    source.native(Change("a", 2, 3), time=100)
    source.native(Change("a", 3, 4), time=200)
    (op,) = told(source.see({"a": 5}, 600))
    first, last = op.changes
    assert first[:3] == ("a", 1, 2)
    assert (first.changed_after, first.changed_before) == ("2026-03-01T14:00:00.000Z", "2026-03-01T14:01:40.000Z")
    assert last[:3] == ("a", 4, 5)
    assert (last.changed_after, last.changed_before) == ("2026-03-01T14:03:20.000Z", "2026-03-01T14:10:00.000Z")


def test_a_source_whose_history_names_values_otherwise_is_told_beside_nothing_invented(source):
    source.see({"stage": {"id": 3}}, 0, kind="opportunity")
    source.native(Change("stage", "New", "Won"), time=300, kind="opportunity")
    assert changed(source.see({"stage": {"id": 5}}, 600, kind="opportunity")) == [("stage.id", 3, 5)]


def test_a_native_record_of_what_the_older_snapshot_shows_already_changes_nothing(source):
    source.see({"a": 1}, 0)
    source.see({"a": 2}, 100)
    source.native(Change("a", 0, 2), time=98)  # told as a change of its own: its old value was never seen
    assert changed(source.see({"a": 3}, 200)) == [("a", 2, 3)]


def test_an_answer_that_lags_behind_the_history_invents_no_way_back(source):
    source.see({"a": 1}, 0)
    source.native(Change("a", 2, 3), time=99)
    assert changed(source.see({"a": 2}, 100)) == [("a", 1, 2)]
    assert source.see({"a": 3}, 200).what == "same"


@pytest.mark.parametrize(
    ("natives", "seen", "found"),
    [
        # Two were told a moment ago, and what led from there to the value that is seen was not.
        ([(1, 2), (2, 3)], 4, [(3, 4)]),
        ([(1, 2)], 4, [(2, 4)]),
        # The answer shows the first, and not yet the second.
        ([(1, 2), (2, 3)], 2, []),
        # It was changed to what is seen, which nobody told, and then to what the answer does not show yet.
        ([(4, 3)], 4, [(1, 4)]),
        ([(UNKNOWN, 3)], 4, [(1, 4)]),
    ],
)
def test_what_was_told_a_moment_before_the_answer_is_not_told_again(source, natives, seen, found):
    source.see({"a": 1}, 0)
    for second, (old, new) in enumerate(natives, 97):
        source.native(Change("a", old, new), time=second)
    assert changed(source.see({"a": seen}, 100)) == [("a", *pair) for pair in found]


@pytest.mark.parametrize(
    ("natives", "found"),
    [
        # The older answer shows the first of them, whose old value nobody knows, and another one after it.
        ([(97, UNKNOWN, 1), (101, 2, 3)], []),
        ([(96, UNKNOWN, 0), (97, 0, 1), (98, 1, 5), (101, 2, 3)], []),
        ([(97, UNKNOWN, 1)], [(2, 3)]),
        # It lags behind what was told.
        ([(99, UNKNOWN, 3)], []),
        ([(98, 1, 2), (99, 2, 3)], []),
        # There and back, and there again after it.
        ([(97, 2, 3), (98, 3, 2), (101, 2, 3)], []),
    ],
)
def test_what_the_older_answer_shows_already_is_no_part_of_the_difference(source, natives, found):
    source.see({"a": 2}, 100)
    for second, old, new in natives:
        source.native(Change("a", old, new), time=second)
    assert changed(source.see({"a": 3}, 200)) == [("a", *pair) for pair in found]


def test_tags_that_the_source_told_are_met_one_by_one(source):
    source.see({"tags": ["a", "b"]}, 0)
    source.native(Change("tags", ABSENT, "c"), time=50)
    source.native(Change("tags", "a", ABSENT), time=60)
    outcome = source.see({"tags": ["c", "d"]}, 100)
    assert (changed(outcome), outcome.met) == ([("tags", "b", ABSENT), ("tags", ABSENT, "d")], 2)
    (op,) = told(source.native(Change("tags", "b", ABSENT), time=70))
    assert op.action == "change.attributed"
    assert source.native(Change("tags", "zz", ABSENT), time=70) is None


def test_creations_and_deletions_are_met_too(source):
    source.see({"a": 1}, 0)
    source.see({"a": 1}, 100, key="2", created=50)
    (op,) = told(source.native(time=50, key="2", action="record.create", fields={"user.id": "7"}))
    assert op.code == "record.create"
    assert op.fields["trail.attribution.operation_id"] == ["contact/2@2026-03-01T14:01:40.000Z.1"]
    assert source.native(time=150, key="3", action="record.create") is None
    assert source.see({"a": 1}, 200, key="3", created=150) == ("baseline", (), 0, 1)
    assert source.native(time=250, key="3", action="record.delete") is None
    assert source.see(None, 300, key="3") == ("deleted", (), 0, 1)
    source.see(None, 300, key="2")
    (op,) = told(source.native(time=290, key="2", action="record.delete"))
    assert (op.action, op.code) == ("change.attributed", "record.delete")


def test_an_author_is_looked_for_as_long_as_is_said_and_no_longer(source):
    source.see({"a": 1, "b": 1}, 0)
    source.see({"a": 2, "b": 1}, 60)
    source.see({"a": 2, "b": 2}, 61 + REMEMBERED)
    assert source.native(Change("a", 1, 2), time=30) is None


def test_what_is_of_no_record_of_ours_goes_its_own_way(source):
    source.see({"a": 1}, 0)
    source.see({"a": 2}, 60)
    assert source.native(Change("a", 1, 2), time=30, kind="company") is None
    assert source.differ.native(source.book, Operation(action="auth.login", kind="audit")) is None
    unreadable = Operation(
        action="field.update",
        kind="h",
        object_type="contact",
        object_id="1",
        changes=[Change("a", 1, 2)],
        time=Time("soon"),
    )
    assert source.differ.native(source.book, unreadable) is None


# -- at rest -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_at_rest_shows_nothing_and_opens_only_in_its_place(source):
    source.see({"name": "Jo Quarterman" * 50}, 0)
    source.see({"name": "Sam"}, 0, key="2")
    (one,) = [key for key in source.book if key[1] == '["contact","1"]']
    (two,) = [key for key in source.book if key[1] == '["contact","2"]']
    assert not any(b"Jo" in blob or b"Sam" in blob for blob in source.book.values())
    source.book[one], source.book[two] = source.book[two], source.book[one]
    with pytest.raises(CorruptError, match="not what was sealed"):
        source.see({"name": "Jo"}, 60)


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02" + b"x" * 60, b"\x01" + b"x" * 60])
def test_a_damaged_blob_is_an_error_with_a_hint(source, damage):
    source.see({"name": "Jo"}, 0)
    source.book["snapshot", '["contact","1"]'] = damage
    with pytest.raises(CorruptError) as caught:
        source.see({"name": "Jo"}, 60)
    assert "snapshots begin anew" in caught.value.hint


def opened(tmp_path, book, first=1):
    return Snapshots.open(
        "keap", book, keys=tmp_path / "keys", place="inputs/keap.db", random_bytes=random_bytes(first)
    )


def test_the_key_is_made_once_for_the_owner_alone(tmp_path):
    book, other = Book(), Book()
    opened(tmp_path, book)
    key = tmp_path / "keys" / KEY_FILE
    made = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    opened(tmp_path, other)
    opened(tmp_path, book)
    assert key.read_bytes() == made
    assert made not in b"".join(book.values())


def test_without_their_key_snapshots_stop_the_start(tmp_path):
    book = Book()
    opened(tmp_path, book)
    key = tmp_path / "keys" / KEY_FILE
    key.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="no such file, and the snapshots") as caught:
        opened(tmp_path, book)
    assert "backup" in caught.value.hint
    assert not key.exists()
    opened(tmp_path, Book(), first=100)
    with pytest.raises(ConfigError, match="not the key of the snapshots"):
        opened(tmp_path, book)


def test_a_key_that_others_could_read_or_that_is_none_is_refused(tmp_path):
    opened(tmp_path, Book())
    key = tmp_path / "keys" / KEY_FILE
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="open to group or others"):
        cipher_of(key.parent, None, "x", random_bytes())
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(ConfigError, match="not 32 bytes"):
        cipher_of(key.parent, None, "x", random_bytes())


def test_the_inputs_ledger_is_a_shelf_and_its_transaction_a_book(tmp_path):
    ledger = Ledger.open(tmp_path / "inputs" / "keap.db", 0)
    snapshots = opened(tmp_path, ledger)
    differ = Differ("keap", snapshots, {})
    for n, value in ((1, 1), (2, 2)):
        with ledger.begin(n) as book:
            outcome = differ.see(book, Seen("contact", "1", {"a": value}, T0 + n))
    assert changed(outcome) == [("a", 1, 2)]
    ledger.close()
    ledger = Ledger.open(ledger.path, 1)
    with ledger.begin(2) as book:
        assert differ.see(book, Seen("contact", "1", {"a": 2}, T0 + 3)).what == "changed"
    ledger.close()
