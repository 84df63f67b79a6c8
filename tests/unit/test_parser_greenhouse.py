"""Greenhouse Audit Log API: rows to operations."""

import json

import pytest
from hypothesis import given, settings

from parsers import greenhouse
from parsers._contract import Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_never_raises_when_cut,
    assert_nothing_is_lost_or_doubled,
    assert_refuses_all_but,
    assert_sound,
    mutated,
    one,
)

PERFORMER = {
    "id": 7,
    "type": "user",
    "ip_address": "198.51.100.9",
    "meta": {"name": "Kim Q", "username": "kim@co.example"},
}


def row(kind="data_change_update", meta=None, target=("Offer", 55), request="offers#update", performer=None):
    return {
        "request": {"id": "r9", "type": request},
        "performer": json.loads(json.dumps({**PERFORMER, **(performer or {})})),
        "organization_id": 123,
        "event": {"type": kind, "target_type": target[0], "target_id": target[1], "meta": meta},
        "event_time": "2026-02-03T10:30:00.000Z",
    }


def op_of(*args, **kwargs):
    return one(greenhouse.parse, row(*args, **kwargs))


LINES = [
    json.dumps(row(meta={"salary": [90000, 120000], "notes": [None, "x"]})).encode(),
    json.dumps(row("data_change_create", {"title": [None, "Engineer"]}, ("JobPost", 3))).encode(),
    json.dumps(
        {"events": [row("action", None, request="exports#create")], "paging": {"next_search_after": [1]}}
    ).encode(),
]


def test_an_update_of_one_field_is_one_change_with_all_that_the_row_says():
    assert one(greenhouse.parse, FOREIGN["greenhouse"]) == Operation(
        action="field.update",
        kind="audit",
        time=Time("2026-02-03T10:30:00.000Z"),
        id="r9",
        code="offers#update",
        outcome="success",
        object_type="offer",
        object_id="55",
        object_label="Offer",
        actor_type="user",
        actor_confidence="asserted",
        interface="ui",
        fields={
            "http.request.id": "r9",
            "user.id": "7",
            "user.name": "kim@co.example",
            "user.full_name": "Kim Q",
            "source.ip": "198.51.100.9",
            "organization.id": "123",
        },
        changes=[Change("salary", 90000, 120000)],
    )


def test_the_direction_of_nulls_is_kept():
    op = op_of(meta={"a": [None, "x"], "b": ["x", None], "c": [None, None], "d": ["", "x"]})
    assert [(c.field, c.old, c.new, c.derivation) for c in op.changes] == [
        ("a", None, "x", "native"),
        ("b", "x", None, "native"),
        ("c", None, None, "native"),
        ("d", "", "x", "native"),
    ]


def test_numbers_keep_the_characters_of_the_source():
    line = FOREIGN["greenhouse"].replace(b"[90000,120000]", b"[90000.10,12345678901234567890]")
    change = one(greenhouse.parse, line).changes[0]
    assert (str(change.old), str(change.new)) == ("90000.10", "12345678901234567890")


def test_members_of_meta_that_are_no_pair_stay_in_raw():
    op = op_of(meta={"salary": [1, 2], "odd": [1, 2, 3], "flat": "x"})
    assert [c.field for c in op.changes] == ["salary"]
    assert op.raw == {"event": {"meta": {"odd": [1, 2, 3], "flat": "x"}}}


def test_an_update_with_an_empty_meta_changed_nothing():
    assert op_of(meta={}).no_change is True


def test_an_update_from_values_to_themselves_changed_nothing():
    assert op_of(meta={"a": [1, 1.0], "b": [None, None], "c": [{"k": [1]}, {"k": [1]}]}).no_change is True
    assert op_of(meta={"a": [1, 1], "b": [1, True]}).no_change is False


@pytest.mark.parametrize("meta", [None, {"flat": "x"}])
def test_an_update_that_names_no_change_says_what_is_missing(meta):
    op = op_of(meta=meta)
    assert op.no_change is False and op.changes == []
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")


def test_a_create_is_one_operation_with_values_and_no_changes():
    op = op_of(
        "data_change_create", {"title": [None, "Engineer"], "level": [None, None], "odd": ["a", "b"]}, ("JobPost", 3)
    )
    assert (op.action, op.object_type, op.object_label) == ("record.create", "job_post", "JobPost")
    assert op.values == {"title": "Engineer", "level": None}
    assert op.changes == []
    assert op.raw == {"event": {"meta": {"odd": ["a", "b"]}}}


def test_a_destroy_carries_the_old_values():
    op = op_of("data_change_destroy", {"name": ["Software Engineer", None]}, ("Job", 3))
    assert (op.action, op.values, op.changes) == ("record.delete", {"name": "Software Engineer"}, [])


@pytest.mark.parametrize(
    ("kind", "target", "meta", "action"),
    [
        ("data_change_update", "User", {"role": ["Basic", "Site Admin"]}, "role.grant"),
        ("data_change_update", "User", {"site_admin": [True, False]}, "role.revoke"),
        (
            "data_change_update",
            "User",
            {"permissions": [["a"], []], "email": ["a@x.example", "b@x.example"]},
            "role.revoke",
        ),
        ("data_change_update", "User", {"first_name": ["A", "B"]}, "user.update"),
        ("data_change_update", "User", {"disabled": [False, True]}, "user.disable"),
        ("data_change_update", "User", {"disabled": [True, False]}, "user.enable"),
        ("data_change_update", "User", {"active": [True, False]}, "user.disable"),
        ("data_change_update", "User", {"active": [False, True]}, "user.enable"),
        ("data_change_create", "User", {"name": [None, "Ann"]}, "user.create"),
        ("data_change_destroy", "User", {"name": ["Ann", None]}, "user.delete"),
        ("data_change_create", "UserRole", {"role_id": [None, 4]}, "role.grant"),
        ("data_change_destroy", "UserRole", {"role_id": [4, None]}, "role.revoke"),
        ("data_change_update", "Candidate", {"role": ["a", "b"]}, "field.update"),
    ],
)
def test_what_is_done_to_a_user_is_told_apart(kind, target, meta, action):
    assert op_of(kind, meta, (target, 9)).action == action


@pytest.mark.parametrize(
    ("request_type", "action"),
    [
        ("exports#create", "data.export"),
        ("candidates#download_csv", "data.export"),
        ("reports#run", "report.run"),
        ("imports#create", "data.import"),
        ("sessions#create", "auth.login"),
        ("users#sign_out", "auth.logout"),
        ("candidates#merge", "record.merge"),
        ("candidate_emails#send", "message.send"),
        ("candidates#show", "record.view"),
        ("widgets#frobnicate", "log.message"),
    ],
)
def test_actions_are_read_from_the_type_of_the_request(request_type, action):
    op = op_of("action", None, request=request_type)
    assert (op.action, op.code, op.outcome) == (action, request_type, None)
    assert op.raw == {"event": {"meta": None}}


def test_an_access_through_harvest_is_a_view_through_the_api():
    op = op_of(
        "harvest_access", {"fields": ["a"]}, performer={"type": "api_key", "id": 4, "meta": {"api_key_type": "harvest"}}
    )
    assert (op.action, op.interface, op.actor_type, op.actor_confidence) == (
        "record.view",
        "api",
        "api_key",
        "asserted",
    )
    assert op.fields["user.id"] == "4"
    assert op.raw == {"performer": {"meta": {"api_key_type": "harvest"}}, "event": {"meta": {"fields": ["a"]}}}


def test_greenhouse_itself_is_the_system_and_strangers_are_unknown():
    op = op_of(meta={"a": [1, 2]}, performer={"type": "greenhouse_internal", "id": None, "ip_address": None})
    assert (op.actor_type, op.interface) == ("system", "system")
    assert "user.id" not in op.fields and "source.ip" not in op.fields
    stranger = op_of(meta={"a": [1, 2]}, performer={"type": "robot"})
    assert (stranger.actor_type, stranger.actor_confidence, stranger.interface) == ("unknown", "unknown", None)
    assert stranger.raw["performer"] == {"type": "robot"}


def test_an_email_is_taken_only_if_it_looks_like_one():
    document = row(meta={"a": [1, 2]})
    document["performer"]["meta"]["email"] = "kim@co.example"
    assert one(greenhouse.parse, document).fields["user.email"] == "kim@co.example"
    document["performer"]["meta"]["email"] = "none"
    op = one(greenhouse.parse, document)
    assert "user.email" not in op.fields and op.raw == {"performer": {"meta": {"email": "none"}}}


def test_an_address_with_a_port_is_cleaned_and_its_text_kept():
    op = op_of(meta={"a": [1, 2]}, performer={"ip_address": "198.51.100.9:443"})
    assert op.fields["source.ip"] == "198.51.100.9"
    assert op.raw == {"performer": {"ip_address": "198.51.100.9:443"}}


def test_a_page_of_the_api_and_an_array_are_read_in_order():
    rows = [row(meta={"a": [1, 2]}, target=("Offer", number)) for number in (1, 2)]
    page = greenhouse.parse(json.dumps({"events": rows, "paging": {"next_search_after": "z"}}).encode(), CONTEXT)
    assert [op.object_id for op in page] == ["1", "2"]
    assert [op.raw for op in page] == [{"@envelope": {"paging": {"next_search_after": "z"}}}, {}]
    assert [op.object_id for op in greenhouse.parse(json.dumps(rows).encode(), CONTEXT)] == ["1", "2"]


def test_an_empty_page_is_no_change_and_an_empty_list_of_events_is_not_ours():
    (op,) = greenhouse.parse(b'{"events":[],"paging":{"next_search_after":null}}', CONTEXT)
    assert op.no_change is True
    assert isinstance(greenhouse.parse(b'{"events":[]}', CONTEXT), Rejected)


def test_one_foreign_row_refuses_the_page_and_its_position_is_named():
    line = json.dumps([row(meta={}), {"a": 1}]).encode()
    assert greenhouse.parse(line, CONTEXT).reason.startswith("item 1: no event of the Greenhouse")


def test_a_recruiting_webhook_is_refused_by_name():
    result = greenhouse.parse(b'{"action":"job_updated","payload":{"id":1}}', CONTEXT)
    assert "webhook" in result.reason and "job_updated" not in result.reason


def test_a_type_of_a_later_version_is_kept_whole():
    op = op_of("data_change_archive", {"a": [1, 2]})
    assert op.action == "log.message"
    assert op.raw == {"event": {"type": "data_change_archive", "meta": {"a": [1, 2]}}}


def test_members_that_nobody_knows_keep_their_path_in_raw():
    document = row(meta={"a": [1, 2]})
    document["performer"]["location"] = {"city": "X"}
    document["extra"] = [1]
    assert one(greenhouse.parse, document).raw == {"performer": {"location": {"city": "X"}}, "extra": [1]}


def test_every_scalar_is_carried_exactly_once():
    document = row(meta={"salary": [90000, 120000], "odd": ["p", "q", "r"]})
    document["performer"] |= {
        "agent": "ua",
        "meta": {"name": "Kim", "username": "kim", "email": "k@co.example", "n": 1.5},
    }
    document["event"]["note"] = {"deep": [True, None]}
    line = json.dumps(document).encode()
    assert_nothing_is_lost_or_doubled(greenhouse.parse, line, translated={"user", "data_change_update"})


def test_lines_of_other_formats_are_refused():
    assert_refuses_all_but(greenhouse.parse, "greenhouse")


@pytest.mark.parametrize("line", LINES)
def test_a_line_cut_at_any_byte_is_refused(line):
    assert_never_raises_when_cut(greenhouse.parse, line)


@settings(max_examples=200, deadline=None)
@given(mutated(LINES))
def test_a_damaged_line_raises_nothing_and_yields_a_sound_result(line):
    assert_sound(greenhouse.parse(line, CONTEXT))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"events":[],"paging":{}}']:
        assert isinstance(greenhouse.parse(line, CONTEXT), list)
        assert any(literal in line for literal in greenhouse.LITERALS)
