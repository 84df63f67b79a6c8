"""The differ's records: members to operations, and the events that they become."""

import json

import pytest

from parsers import snapshot_diff
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Context, Operation, Rejected, Time
from shipper.build import Lanes
from shipper.config import Config
from shipper.differ import Differ, Named, ObjectPolicy, Seen, Snapshots
from shipper.differ.crypto import Cipher
from shipper.formats import Formats
from shipper.input_sections import StdinInputSection
from shipper.model import Record
from shipper.offline import events_of
from tests.parser_checks import assert_nothing_is_lost_or_doubled

BOUNDS = {"changed_after": "2026-03-01T14:05:00Z", "changed_before": "2026-03-01T14:10:00Z"}
EDIT = {
    "snapshot_diff": 1,
    "id": "contact/991@7",
    "action": "field.update",
    "object": {"type": "contact", "id": "991", "name": "Jo Q", "label": "Contact", "url": "https://k.example/991"},
    "time": {"text": "2026-03-01T14:08:12Z", "layout": "iso8601"},
    "last_editor": {"id": "40077", "name": "Kim Q"},
    **BOUNDS,
    "changes": [{"field": "owner_id", "old": "60001", "new": "60017"}],
}


TRANSLATED = ("1", "field.update", "contact", "Jo Q", "iso8601", "owner_id", *BOUNDS.values())
"""What becomes words, types, names and bounds of an operation, which the check does not look at."""


def parsed(value, **options):
    return snapshot_diff.parse(json.dumps(value).encode(), Context(options=options))


def one(result):
    assert isinstance(result, list), result
    (op,) = result
    return op


def lane_of(source="keap"):
    agent = {"agent": {"name": "t", "origin": "t.example/audit"}}
    section = StdinInputSection(
        id="p", type="stdin", format="snapshot_diff", timezone="UTC", options={"source": source} if source else {}
    )
    config = Config.model_validate(agent).model_copy(update={"inputs": (section,)})
    return Lanes(config, "test", lambda count: b"\0" * count).lane("p", "snapshot_diff")


def events(value, source="keap"):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    made, _ = events_of(lane_of(source), Record(data, 0, len(data) + 1), "GET contacts", 1_775_001_600.0, None)
    return made


def test_an_edit_is_all_that_is_known_of_it():
    assert one(parsed({**EDIT, "module": "keap", "more": 7}, source="keap")) == Operation(
        action="field.update",
        kind="diff",
        id="contact/991@7",
        time=Time("2026-03-01T14:08:12Z"),
        object_type="contact",
        object_id="991",
        object_name="Jo Q",
        object_label="Contact",
        fields={
            "trail.object.url": "https://k.example/991",
            "trail.object.last_editor.id": "40077",
            "trail.object.last_editor.name": "Kim Q",
        },
        changes=[
            Change("owner_id", "60001", "60017", None, None, None, "snapshot_diff", *BOUNDS.values()),
        ],
        raw={"more": 7},
    )


def test_the_module_of_another_source_is_kept():
    assert one(parsed({**EDIT, "module": "hubspot"}, source="keap")).raw == {"module": "hubspot"}


def test_absent_null_and_empty_come_through():
    changes = [{"field": "a", "new": None}, {"field": "b", "old": ""}, {"field": "c", "old": [], "new": {}}]
    found = one(parsed({**EDIT, "changes": changes})).changes
    assert [(change.old, change.new) for change in found] == [(ABSENT, None), ("", ABSENT), ([], {})]


def test_a_change_may_have_bounds_of_its_own():
    own = {"field": "a", "old": 1, "new": 2, "changed_before": "2026-03-01T14:06:00Z"}
    (change,) = one(parsed({**EDIT, "changes": [own]})).changes
    assert (change.changed_after, change.changed_before) == (None, "2026-03-01T14:06:00Z")


def test_what_the_source_told_itself_comes_through():
    changes = [
        {"field": "a", "derivation": "new_only", "old_state": "unknown", "new": 2, "label": "A", "new_label": "Two"},
        {"field": "b", "derivation": "native", "old_state": "secret", "new_state": "secret"},
    ]
    found = one(parsed({**EDIT, "changes": changes})).changes
    assert found == [Change("a", UNKNOWN, 2, "A", None, "Two", "new_only"), Change("b", SECRET, SECRET)]


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("snapshot_diff", 2, "snapshot_diff: only version 1 is known"),
        ("action", None, "action: missing"),
        ("object", "contact", "object: no object"),
        ("fields", [], "fields: no object"),
        ("time", {"text": True, "layout": "iso8601"}, "time: neither text nor number with a layout"),
        ("time", {"text": "x"}, "time: neither text nor number with a layout"),
        ("changes", {}, "changes: no list"),
        ("changes", [7], "changes[0]: no object"),
        ("changes", [{"field": "a"}, {"new": 1}], "changes[1].field: missing"),
        ("changes", [{"field": "a", "derivation": "guessed"}], "changes[0].derivation: no word of ours"),
        ("changes", [{"field": "a", "new_state": 7}], "changes[0].new_state: no text"),
        ("missing", "user.id", "missing: no list of texts"),
        ("attribution", {"event_id": "x"}, "attribution.event_id: no list of texts"),
        ("changed_before", 7, "changed_before: no text"),
    ],
)
def test_a_member_of_a_wrong_type_is_named(member, value, reason):
    assert parsed({**EDIT, member: value}) == Rejected(reason)


def test_a_word_that_is_none_of_ours_stays_as_it_was_given():
    strange = {"outcome": "0", "interface": "fax", "actor": {"type": "robot", "confidence": "sure"}}
    op = one(parsed({**EDIT, **strange}))
    assert (op.outcome, op.interface, op.actor_type, op.actor_confidence) == (None, None, "unknown", "unknown")
    assert {name: op.raw[name] for name in strange} == strange


@pytest.mark.parametrize("value", [[], "x", 7, {"a": 1}, [EDIT]])
def test_anything_else_is_refused(value):
    assert isinstance(parsed(value), Rejected)


def test_nothing_is_lost_or_doubled():
    line = json.dumps({**EDIT, "module": "keap", "extra": {"deep": [5, {"x": "y"}]}}).encode()
    assert_nothing_is_lost_or_doubled(snapshot_diff.parse, line, TRANSLATED)
    op = one(parsed({**EDIT, "extra": {"deep": [1, {"x": "y"}]}, "last_editor": {"id": "1", "odd": 2}}))
    assert op.raw == {"extra": {"deep": [1, {"x": "y"}]}, "last_editor": {"odd": 2}}


def test_a_secret_among_further_fields_is_dropped():
    op = one(parsed({**EDIT, "fields": {"user.id": "7", "x.api_key": "geheim"}}))
    assert op.fields["user.id"] == "7"
    assert "geheim" not in repr(op)


# -- events ------------------------------------------------------------------------------------------------------------


def test_events_are_those_of_the_source_that_was_looked_at():
    (event,) = events({**EDIT, "module": "keap"})
    assert (event["event"]["module"], event["event"]["dataset"]) == ("keap", "keap.diff")
    assert event["trail"]["object"]["key"] == "keap:contact/991"
    assert event["@timestamp"] == "2026-03-01T14:08:12Z"
    assert event["trail"]["time"] == {"precision": "bounded"}
    assert event["message"] == (
        "owner_id of Contact 991 changed from 60001 to 60017 between 14:05 and 14:10 UTC;"
        " who: not given by Keap (last editor Kim Q)"
    )
    assert "user" not in event
    assert event["trail"]["missing"] == ["user.id", "source.ip", "trail.session.id", "trail.interface"]


def test_a_value_that_came_into_a_set_or_went_says_so():
    changes = [{"field": "tags", "element": True, "new": "88"}, {"field": "tags", "element": True, "old": "12"}]
    come, gone = events({**EDIT, "changes": changes, "last_editor": {}})
    assert come["trail"]["change"]["element"] is True
    assert come["trail"]["change"]["op"] == "add"
    assert come["message"] == (
        "88 was added to tags of Contact 991 between 14:05 and 14:10 UTC; who: not given by Keap"
    )
    assert gone["message"].startswith("12 was removed from tags of Contact 991 between")
    (other,) = events({**EDIT, "changes": [{"field": "tags", "old": 1, "new": 2}]})
    assert "element" not in other["trail"]["change"]


def test_a_time_of_update_outside_the_bounds_is_not_taken():
    (event,) = events({**EDIT, "time": {"text": "2026-03-01T14:00:00Z", "layout": "iso8601"}})
    assert event["@timestamp"] == "2026-03-01T14:10:00Z"


def test_without_a_source_events_are_of_the_format():
    (event,) = events(EDIT, source=None)
    assert event["event"]["module"] == "snapshot_diff"


def test_a_deletion_has_its_bounds_and_its_sensitive_values_theirs():
    gone = {**EDIT, "action": "record.delete", "time": None, "changes": None, "values": {"salary": 5, "name": "Jo"}}
    head, salary = events(gone)
    assert head["event"]["action"] == "record.delete"
    assert head["@timestamp"] == "2026-03-01T14:10:00Z"
    assert head["trail"]["time"] == {
        "precision": "bounded",
        "after": "2026-03-01T14:05:00Z",
        "before": "2026-03-01T14:10:00Z",
    }
    assert head["message"].startswith("Contact 991 deleted between 14:05 and 14:10 UTC; who: not given by Keap")
    assert salary["trail"]["change"]["derivation"] == "snapshot_diff"
    assert salary["trail"]["change"]["changed_before"] == "2026-03-01T14:10:00Z"
    assert salary["trail"]["time"] == {"precision": "bounded"}


def test_a_creation_has_the_time_that_the_source_says():
    made = {**EDIT, "action": "record.create", "changes": None, "values": {"name": "Jo"}, "creator": {"id": "7"}}
    (event,) = events(made)
    assert event["@timestamp"] == "2026-03-01T14:08:12Z"
    assert event["trail"]["time"] == {"precision": "exact"}
    assert event["user"] == {"id": "7"}
    assert event["trail"]["actor"] == {"type": "user", "confidence": "asserted"}


def test_a_deletion_without_values_keeps_its_bounds():
    (event,) = events({**EDIT, "action": "record.delete", "changes": None})
    assert event["trail"]["time"]["after"] == "2026-03-01T14:05:00Z"


def test_an_attribution_names_the_events_that_were_shipped():
    class Book(dict):
        def put(self, kind, key, blob):
            self[kind, key] = blob

        def get(self, kind, key):
            return super().get((kind, key))

    book, numbers = Book(), iter(range(100))
    cipher = Cipher(b"k" * 32, lambda count: next(numbers).to_bytes(count, "big"))
    differ = Differ("keap", Snapshots("keap", cipher), {"contact": ObjectPolicy()})
    differ.see(book, Seen("contact", "1", {"a": 1, "b": 1, "salary": 5}, 1000.0))
    (record,) = differ.see(book, Seen("contact", "1", {"a": 2, "b": 2, "salary": 6}, 2000.0, editor=Named("9"))).records
    shipped = {event["trail"]["change"]["field"]: event["event"]["id"] for event in events(record)}
    native = Operation(
        action="field.update",
        kind="history",
        id="h-7",
        object_type="contact",
        object_id="1",
        changes=[Change("b", 1, 2), Change("salary", "5", "6")],
        time=Time(1500, "epoch_s"),
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "7"},
    )
    (attributed,) = differ.native(book, native)
    (event,) = events(attributed)
    assert event["trail"]["attribution"]["event_id"] == [shipped["b"], shipped["salary"]]
    assert event["event"]["action"] == "change.attributed"
    assert event["event"]["id"] == "h-7"
    assert event["data_stream"]["dataset"] == "fieldtrail.activity"
    assert event["trail"]["operation"] == {"id": "h-7", "head": True, "change_count": 0}
    assert "change" not in event["trail"]
    assert event["user"] == {"id": "7"}
    assert event["message"] == "7 was named as who made a change of contact 1 (Keap)"


# -- the option --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["kepa", 7, ["keap"]])
def test_a_source_that_is_no_format_is_a_problem(source):
    (problem,) = Formats().check("snapshot_diff", {"source": source})
    assert problem[0] == "options.source"


def test_a_source_of_the_users_own_is_called_by_its_name_alone():
    card = Formats().get("snapshot_diff", {"source": "custom"}).format
    assert (card.module, card.vendor, card.dataset) == ("custom", "custom", "custom")


def test_a_poll_inputs_diffs_are_of_the_source_that_it_polls():
    polled = {"id": "p", "type": "poll", "preset": "keap", "auth": {"bearer": {"token": "t"}}}
    config = Config.model_validate({"agent": {"name": "t", "origin": "t.example/audit"}, "inputs": [polled]})
    lane = Lanes(config, "test", lambda count: b"\0" * count).lane("p", "snapshot_diff")
    data = json.dumps({**EDIT, "module": "keap"}).encode()
    (event,), _ = events_of(lane, Record(data, 0, len(data) + 1), "GET contacts", 1_775_001_600.0, None)
    assert event["trail"]["object"]["key"] == "keap:contact/991"
    assert "raw" not in event["trail"]


def test_a_source_that_is_a_format_is_none():
    assert Formats().check("snapshot_diff", {"source": "keap"}) == []
    card = Formats().get("snapshot_diff", {"source": "keap"}).format
    assert (card.name, card.module, card.vendor, card.dataset) == ("snapshot_diff", "keap", "Keap", "keap")
