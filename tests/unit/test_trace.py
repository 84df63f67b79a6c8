import io

import orjson
import pytest

from shipper import show
from shipper.errors import UsageError
from shipper.outputs._when import instant
from shipper.outputs.store import StoreOutput, search
from shipper.trace import Target, parse_target, state_at, versions
from tests.shipped import batch, change, document

OFFER = Target("greenhouse", "offer", "55")


def salary(at, old, new, **more):
    paths = {"trail__change__old": old, "trail__change__new": new, "event__id": f"{old}-{new}", **more}
    return change(timestamp=at, **paths)


CREATE = change(
    timestamp="2026-01-01T08:00:00Z",
    event__action="record.create",
    event__id="made",
    trail__change=None,
    trail__values={"salary": "80000", "stage": "draft"},
)
RAISE = salary("2026-01-10T08:00:00Z", "80000", "90000")
AGAIN = salary("2026-02-01T08:00:00Z", "90000", "120000")
STAGE = change(
    timestamp="2026-02-05T08:00:00Z",
    trail__change__field="stage",
    trail__change__old="draft",
    trail__change__new="sent",
)
DELETE = change(
    timestamp="2026-03-01T08:00:00Z", event__action="record.delete", event__id="gone", trail__change=None, user=None
)
HISTORY = [DELETE, AGAIN, CREATE, STAGE, RAISE]


def at(history, day):
    return state_at(versions(history, OFFER), instant(f"{day}T12:00:00Z"))


def fields(state):
    return {field.field: (field.value, field.certainty) for field in state.fields}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("keap:contact/991", Target("keap", "contact", "991")),
        ("offer/55", Target(None, "offer", "55")),
        ("app:auth.user/a/b:c", Target("app", "auth.user", "a/b:c")),
    ],
)
def test_a_target_is_module_type_and_id(text, target):
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize("text", ["", "contact", "/55", "contact/", ":contact/1", "keap:/1"])
def test_what_names_no_record_is_a_usage_error_with_an_example(text):
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert "keap:contact/991" in caught.value.hint


def test_versions_are_oldest_first_and_say_who_when_from_where():
    found = versions(HISTORY, OFFER)
    assert [version.action for version in found] == [
        "record.create",
        "field.update",
        "field.update",
        "field.update",
        "record.delete",
    ]
    raised = found[1]
    assert (raised.who, raised.ip, raised.interface, raised.field, raised.old, raised.new, raised.derivation) == (
        "Kim Q",
        "198.51.100.9",
        "ui",
        "salary",
        "80000",
        "90000",
        "native",
    )
    assert found[4].who is None
    assert not any(version.gap for version in found)


def test_events_of_one_moment_stand_in_the_order_of_the_log():
    events = [
        {**salary("2026-01-10T08:00:00Z", str(k), str(k + 1)), "seal": {"i": k, "log": "a" * 16}} for k in (2, 0, 1)
    ]
    assert [version.old for version in versions(events, OFFER)] == ["0", "1", "2"]
    assert versions(events, OFFER)[2].seal == "a" * 16 + "-" + "0" * 13 + "2"


def test_other_records_views_and_logins_are_no_versions():
    noise = [
        change(trail__object__id="56", trail__object__key="greenhouse:offer/56"),
        change(event__module="keap", trail__object__key="keap:offer/55"),
        change(event__action="record.view", trail__change=None, data_stream__dataset="fieldtrail.activity"),
        change(trail=None),
        change(trail__object="offer/55"),
    ]
    assert versions(noise, OFFER) == []
    assert len(versions(noise, Target(None, "offer", "55"))) == 1


def test_one_field_keeps_creation_and_deletion():
    found = versions(HISTORY, OFFER, "salary")
    assert [version.action for version in found] == ["record.create", "field.update", "field.update", "record.delete"]
    assert found[0].values == {"salary": "80000"}
    labelled = [salary("2026-01-10T08:00:00Z", "1", "2", trail__change__label="Base pay")]
    assert len(versions(labelled, OFFER, "Base pay")) == 1


def test_a_change_that_nobody_recorded_shows_as_a_gap():
    found = versions([RAISE, salary("2026-02-01T08:00:00Z", "95000", "120000")], OFFER)
    assert [version.gap for version in found] == [False, True]


@pytest.mark.parametrize(
    "paths",
    [
        {"trail__change__redaction": "token"},
        {"trail__change__old_state": "unknown", "trail__change__old": None},
        {"event__outcome": "failure"},
    ],
)
def test_no_gap_is_claimed_where_values_cannot_be_compared(paths):
    found = versions([RAISE, salary("2026-02-01T08:00:00Z", "95000", "120000", **paths)], OFFER)
    assert not any(version.gap for version in found)


def test_the_state_at_a_date_is_what_the_last_versions_left():
    state = at(HISTORY, "2026-02-02")
    assert state.existence == "exists"
    assert fields(state) == {"salary": ("120000", "known"), "stage": ("draft", "known")}
    assert state.fields[0].who == "Kim Q"


def test_before_its_creation_a_record_has_no_fields():
    assert at(HISTORY, "2025-12-31") == at([CREATE, RAISE], "2025-12-31")
    assert at(HISTORY, "2025-12-31").existence == "not created yet"
    assert at(HISTORY, "2025-12-31").fields == ()


def test_a_deleted_record_says_so_and_keeps_what_was_last_known():
    state = at(HISTORY, "2026-03-02")
    assert state.existence == "deleted"
    assert fields(state)["salary"] == ("120000", "known")


def test_before_the_first_recorded_change_the_old_value_is_inferred():
    state = at([RAISE, STAGE], "2026-01-05")
    assert fields(state) == {"salary": ("80000", "inferred"), "stage": ("draft", "inferred")}
    assert "2026-01-10" in state.fields[0].why


def test_with_nothing_recorded_existence_is_unknown():
    assert at([], "2026-01-05").existence == "unknown"


def test_within_the_bounds_of_a_diff_both_values_are_possible():
    diff = salary(
        "2026-02-01T08:00:00Z",
        "90000",
        "120000",
        trail__change__changed_after="2026-01-20T00:00:00Z",
        trail__change__changed_before="2026-02-01T08:00:00Z",
        trail__time__precision="bounded",
    )
    state = at([RAISE, diff], "2026-01-25")
    (found,) = state.fields
    assert (found.value, found.other, found.certainty) == ("90000", "120000", "uncertain")
    assert fields(at([RAISE, diff], "2026-01-15")) == {"salary": ("90000", "known")}
    assert fields(at([RAISE, diff], "2026-02-02")) == {"salary": ("120000", "known")}


def test_a_gap_after_the_date_makes_the_value_uncertain():
    state = at([RAISE, salary("2026-02-01T08:00:00Z", "95000", "120000")], "2026-01-20")
    (found,) = state.fields
    assert (found.value, found.other, found.certainty) == ("90000", "95000", "uncertain")


def test_a_failed_attempt_changes_no_state():
    failed = salary("2026-02-01T08:00:00Z", "90000", "1", event__outcome="failure")
    assert fields(at([RAISE, failed], "2026-02-02")) == {"salary": ("90000", "known")}


def test_a_withheld_value_is_withheld_not_unknown():
    secret = salary("2026-01-10T08:00:00Z", None, None, trail__change__redaction="vault")
    assert fields(at([secret], "2026-02-02")) == {"salary": (None, "withheld")}


def test_the_target_query_finds_the_record_in_the_store(tmp_path):
    path = tmp_path / "store.db"
    store = StoreOutput("local", path)
    store.open({})
    store.deliver(batch(0, *(document(k, event) for k, event in enumerate(HISTORY))))
    store.deliver(batch(1, document(9, change(trail__object__id="5", trail__object__key="greenhouse:offer/5"))))
    store.close()
    for target in (OFFER, Target(None, "offer", "55")):
        assert len(versions(search(path, target.query, now=0.0), target)) == 5


# -- printing ----------------------------------------------------------------------------------------------------------


def printed(function, *args, **kwargs):
    out = io.StringIO()
    function(*args, out, **kwargs)
    return out.getvalue()


def test_the_trace_table_shows_old_and_new():
    text = printed(show.print_versions, versions(HISTORY, OFFER), OFFER, as_json=False)
    line = next(line for line in text.splitlines() if "90000" in line and "120000" in line)
    assert "Kim Q" in line and "198.51.100.9" in line and "native" in line
    assert "record.delete" in text and "stage: draft" in text


def test_withheld_absent_and_empty_values_are_told_apart():
    events = [
        salary("2026-01-01T08:00:00Z", None, "", trail__change__old_state="absent", trail__change__new_state="empty"),
        salary("2026-01-02T08:00:00Z", None, None, trail__change__field="bank", trail__change__redaction="drop"),
        salary("2026-01-03T08:00:00Z", None, "x", trail__change__field="stage", trail__change__old_state="unknown"),
    ]
    text = printed(show.print_versions, versions(events, OFFER), OFFER, as_json=False)
    assert "(absent)" in text and '""' in text and "(withheld)" in text and "(unknown)" in text


def test_a_diff_without_an_author_says_not_given_and_names_the_last_editor():
    event = change(user=None, trail__object__last_editor={"id": "40077"})
    text = printed(show.print_versions, versions([event], OFFER), OFFER, as_json=False)
    assert "not given (last editor 40077)" in text


def test_nothing_logged_can_steer_the_terminal():
    evil = "a\x1b[31m\u202eb\r\nc\x9b[red]:smile:\u200b"
    events = [change(trail__change__new=evil, message=evil, user__full_name=evil)]
    for text in (
        printed(show.print_events, events, as_json=False),
        printed(show.print_versions, versions(events, OFFER), OFFER, as_json=False),
        printed(show.print_events, events, as_json=True),
    ):
        assert not {"\x1b", "\u202e", "\r", "\x9b", "\u200b"} & set(text)
        assert ":smile:" in text.replace("\n", "").replace(" ", "")
    assert "\\x1b[31m\\u202eb\\x0d\\x0ac" in printed(show.print_events, events, as_json=False)


def test_json_lines_hold_the_same_values():
    evil = "a\x1b\u202e\U000e0041 é"
    (line,) = printed(show.print_events, [change(message=evil)], as_json=True).splitlines()
    assert orjson.loads(line) == change(message=evil)
    lines = printed(show.print_versions, versions(HISTORY, OFFER), OFFER, as_json=True).splitlines()
    assert orjson.loads(lines[0])["action"] == "record.create"
    assert "user_id" not in orjson.loads(lines[4])


def test_the_state_is_printed_with_its_certainty():
    state = at([RAISE], "2026-01-05")
    text = printed(show.print_state, state, OFFER, "2026-01-05", as_json=False)
    assert "80000" in text and "inferred" in text and "exists" in text
    told = orjson.loads(printed(show.print_state, state, OFFER, "2026-01-05", as_json=True))
    assert told["record"] == "greenhouse:offer/55" and told["fields"][0]["certainty"] == "inferred"


def test_no_events_print_no_table():
    assert printed(show.print_events, [], as_json=False) == ""
    assert printed(show.print_versions, [], OFFER, as_json=False) == ""


# -- changes by comparison ---------------------------------------------------------------------------------------------


def tag(at, old, new):
    states = {f"trail__change__{side}_state": "absent" for side, value in (("old", old), ("new", new)) if value is None}
    return salary(at, old, new, trail__change__field="tags", trail__change__element=True, **states)


TAGGED = [
    change(timestamp="2026-01-01T08:00:00Z", event__action="record.create", trail__change=None, trail__values={"tags": '["a"]'}),
    tag("2026-01-02T08:00:00Z", None, "b"),
    tag("2026-01-03T08:00:00Z", None, "c"),
    tag("2026-01-04T08:00:00Z", "a", None),
]  # fmt: skip


def test_values_that_come_into_a_set_contradict_nothing():
    assert not any(version.gap for version in versions(TAGGED, OFFER))


@pytest.mark.parametrize(
    ("day", "tags"), [("2026-01-01", '["a"]'), ("2026-01-02", '["a","b"]'), ("2026-01-04", '["b","c"]')]
)
def test_a_set_that_was_told_as_a_whole_is_known_at_every_date(day, tags):
    assert fields(at(TAGGED, day)) == {"tags": (tags, "known")}


def test_a_set_of_which_only_changes_were_told_is_uncertain():
    assert fields(at(TAGGED[1:], "2026-01-04")) == {"tags": ('["b","c"]', "uncertain")}


def test_the_author_that_a_source_names_later_is_the_changes_author():
    nobody = salary("2026-01-10T08:00:00Z", "80000", "90000", user=None, source=None)
    named = change(
        timestamp="2026-01-10T07:00:00Z",
        event__action="change.attributed",
        event__id="h-1",
        trail__change=None,
        trail__attribution={"event_id": ["80000-90000"], "operation_id": ["80000-90000"], "field": ["salary"]},
        data_stream__dataset="fieldtrail.activity",
    )
    (alone,) = versions([nobody], OFFER)
    (version,) = versions([nobody, named], OFFER)
    assert alone.who is None
    assert (version.who, version.user_id, version.ip) == ("Kim Q", "7", "198.51.100.9")
    assert (version.old, version.new, version.time) == ("80000", "90000", "2026-01-10T08:00:00Z")


@pytest.mark.parametrize("head", ["op-1", "op-1#0"])
def test_the_author_of_a_whole_records_deletion_is_found_by_its_operation(head):
    gone = change(
        timestamp="2026-03-01T08:00:00Z", event__action="record.delete", event__id=head, trail__change=None, user=None
    )
    named = change(
        event__action="change.attributed",
        trail__change=None,
        trail__attribution={"operation_id": ["op-1"]},
        data_stream__dataset="fieldtrail.activity",
    )
    (version,) = versions([gone, named], OFFER)
    assert (version.action, version.who) == ("record.delete", "Kim Q")
