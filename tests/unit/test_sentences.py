"""The sentence of an event, for each of its shapes."""

import pytest

import mappings
from parsers._contract import Operation
from shipper.sentences import sentence


def said(action="field.update", change=None, op=None, **members):
    trail = {"actor": {"type": "unknown", "confidence": "unknown"}, **members.pop("trail", {})}
    if change is not None:
        trail["change"] = {
            "field": "salary", "op": "update", "old_state": "value", "new_state": "value", "old": "1", "new": "2", "redaction": "none",
            "derivation": "native", **change,
        }  # fmt: skip
    document = {"event": members.pop("event", {}), "trail": trail, **members}
    return sentence(
        document,
        op or Operation(action, "audit", object_type="offer", object_id="55"),
        "CRM",
        mappings.actions()[action],
    )


def test_a_change_says_who_what_from_to_and_by_which_way():
    text = said(change={}, user={"full_name": "Kim Q", "id": "7"}, trail={"interface": "ui"})
    assert text == "Kim Q changed salary of offer 55 from 1 to 2 via ui (CRM)"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"op": "add", "old_state": "null"}, "somebody set salary of offer 55 to 2 (CRM)"),
        ({"op": "remove", "new_state": "absent"}, "somebody removed salary of offer 55, was 1 (CRM)"),
        ({"old_state": "unknown"}, "somebody set salary of offer 55 to 2 (CRM); old value: not given"),
        (
            {"old_state": "unknown", "op": "remove", "new_state": "null"},
            "somebody removed salary of offer 55 (CRM); old value: not given",
        ),
        (
            {"old_state": "unknown", "new_state": "unknown"},
            "somebody changed salary of offer 55 (CRM); old and new value: not given",
        ),
        ({"new_state": "unknown"}, "somebody changed salary of offer 55 from 1 to (unknown) (CRM)"),
        ({"old_state": "empty", "old": ""}, "somebody changed salary of offer 55 from (empty) to 2 (CRM)"),
        ({"old_label": "New", "new_label": "Won"}, "somebody changed salary of offer 55 from New to Won (CRM)"),
        ({"redaction": "mask"}, "somebody changed salary of offer 55 from (withheld) to (withheld) (CRM)"),
        (
            {"redaction": "drop", "old_state": "empty"},
            "somebody changed salary of offer 55 from (empty) to (withheld) (CRM)",
        ),
    ],
)
def test_a_sentence_says_what_is_known_of_the_values(change, text):
    assert said(change=change) == text


def test_a_change_that_failed_is_not_told_as_done():
    assert (
        said(change={}, event={"outcome": "failure"})
        == "somebody changed salary of offer 55 from 1 to 2 (failed) (CRM)"
    )


def test_a_diff_says_between_which_moments_and_that_nobody_said_who():
    change = {
        "field": "owner_id", "old": "60001", "new": "60017", "derivation": "snapshot_diff",
        "changed_after": "2026-03-01T14:05:00Z", "changed_before": "2026-03-01T14:10:00Z",
    }  # fmt: skip
    op = Operation("field.update", "diff", object_type="contact", object_id="991")
    text = said(change=change, op=op, trail={"object": {"last_editor": {"id": "40077"}}})
    assert text == (
        "owner_id of contact 991 changed from 60001 to 60017 between 14:05 and 14:10 UTC; who: not given by CRM (last editor 40077)"
    )
    over_night = said(change={**change, "changed_after": "2026-02-28T23:58:00Z"}, op=op)
    assert "between 2026-02-28 23:58 and 2026-03-01 14:10 UTC; who: not given by CRM" in over_night
    assert said(change=change, op=op, user={"name": "kim"}).endswith("; who: kim")


@pytest.mark.parametrize(
    ("members", "subject"),
    [
        ({"user": {"name": "kim", "email": "k@co.example", "id": "7"}}, "kim"),
        ({"user": {"email": "k@co.example", "id": "7"}}, "k@co.example"),
        ({"user": {"id": "7"}}, "7"),
        ({"user": {"target": {"id": "9"}}}, "somebody"),
        ({"user": {"id": "4"}, "trail": {"actor": {"type": "api_key"}}}, "API key 4"),
        ({"trail": {"actor": {"type": "api_key"}}}, "an API key"),
        ({"trail": {"actor": {"type": "system"}, "interface": "system"}}, "the system"),
        ({"trail": {"actor": {"type": "automation"}, "automation": {"scenario": {"id": "12"}}}}, "automation 12"),
        ({"trail": {"actor": {"type": "automation"}, "automation": {"platform": "make"}}}, "an automation"),
        ({}, "somebody"),
    ],
)
def test_the_actor_is_called_as_people_call_it(members, subject):
    assert said("record.view", **members) == f"{subject} viewed offer 55 (CRM)"


@pytest.mark.parametrize(
    ("action", "op", "text"),
    [
        ("auth.login", {"object_type": "user", "object_id": "7"}, "kim logged in (CRM)"),
        ("auth.login", {"object_type": "user", "object_id": "8"}, "kim logged in as user 8 (CRM)"),
        ("auth.login", {"object_type": "workspace", "object_id": "4"}, "kim logged in to workspace 4 (CRM)"),
        ("auth.login", {}, "kim logged in (CRM)"),
        ("config.update", {}, "kim changed something (CRM)"),
        ("config.update", {"object_id": "4"}, "kim changed record 4 (CRM)"),
        ("log.message", {}, "kim logged (CRM)"),
    ],
)
def test_an_activity_says_what_it_was_done_to(action, op, text):
    assert said(action, op=Operation(action, "audit", **op), user={"id": "7", "name": "kim"}) == text


def test_a_log_line_of_nobody_and_without_words_says_so():
    assert said("log.message", op=Operation("log.message", "log")) == "a record without a message (CRM)"
    assert (
        said("log.message", op=Operation("log.message", "log"), event={"code": "LCEmailStats"}) == "LCEmailStats (CRM)"
    )


def test_no_value_can_forge_a_line_or_turn_the_direction():
    text = said(change={"new": "2\nKim Q deleted it\x00\u202e"}, user={"name": "k\u2028im"})
    assert text == r"k\u2028im changed salary of offer 55 from 1 to 2\nKim Q deleted it\x00\u202e (CRM)"
    assert said(change={"new": "1\u202f000\u00a0€"}).endswith("to 1 000 € (CRM)")
    assert "\u200c" in said(change={"new": "می\u200cخواهم"})


def test_long_values_are_cut_to_a_readable_length():
    text = said(change={"old": "x" * 5000, "field": "f" * 500}, user={"name": "k" * 500})
    assert len(text) < 450 and "…" in text
