"""Greenhouse Audit Log API, recruiting and onboarding webhooks: rows and bodies to operations."""

import json

import pytest

from parsers import greenhouse
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
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
        {"results": [row("action", None, request="exports#create")], "paging": {"next_search_after": [1]}}
    ).encode(),
    FOREIGN["greenhouse webhook"],
    FOREIGN["greenhouse onboarding"],
    json.dumps(
        {"action": "hire_candidate", "payload": {"application": {"id": 1, "custom_fields": {"a": {"value": 1}}}}}
    ).encode(),
]
NOT_TOLD = ("trail.change.field", "trail.change.old", "trail.change.new")


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


def test_a_role_that_was_given_says_to_whom():
    op = op_of("data_change_create", {"role_id": [None, 4], "user_id": [None, 9]}, ("UserRole", 5))
    assert (op.fields["user.target.id"], op.values) == ("9", {"role_id": 4})


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


@pytest.mark.parametrize("wrapper", ["results", "events"])
def test_an_answer_of_the_api_may_call_its_rows_results(wrapper):
    page = {wrapper: [row(meta={"a": [1, 2]})], "hits": 1, "paging": {}}
    assert one(greenhouse.parse, page).raw == {"@envelope": {"hits": 1, "paging": {}}}


def agent(kind, meta, request="update_candidate"):
    performer = {
        "type": "oauth",
        "id": "AbC",
        "meta": {"client_name": "Example Agent", "on_behalf_of": {"id": 7}, "scopes": ["s"]},
    }
    return op_of(kind, meta, request=request, performer=performer)


@pytest.mark.parametrize(
    ("operation", "action", "missing"),
    [
        ("create", "record.create", ()),
        ("update", "field.update", NOT_TOLD),
        ("delete", "record.delete", ()),
        ("read", "record.view", ()),
        ("action", "log.message", ()),
    ],
)
def test_a_tool_call_is_what_its_operation_says_on_behalf_of_a_user(operation, action, missing):
    op = agent("mcp_tool_call", {"operation": operation, "status": "ok"})
    assert (op.action, op.missing, op.outcome) == (action, missing, "success")
    assert (op.actor_type, op.interface) == ("api_key", "api")
    assert op.fields["user.id"] == "AbC"
    assert op.fields["user.name"] == "Example Agent"
    assert op.fields["user.effective.id"] == "7"


@pytest.mark.parametrize(("status", "outcome"), [("error", "failure"), ("partial", "unknown"), (None, None)])
def test_the_outcome_of_a_tool_call_is_its_status(status, outcome):
    assert agent("mcp_tool_call", {"operation": "read", "status": status}).outcome == outcome


def test_an_access_of_an_agent_is_a_view_through_the_api():
    assert agent("mcp_access", None).action == "record.view"


def hook(action, **payload):
    return one(greenhouse.parse, {"action": action, "payload": payload})


def test_a_recruiting_webhook_is_the_record_as_it_is_now():
    assert one(greenhouse.parse, FOREIGN["greenhouse webhook"]) == Operation(
        action="field.update",
        kind="webhook",
        code="offer_updated",
        object_type="offer",
        object_id="5120",
        values={"application_id": 71980, "version": 2, "offer_status": "Created"},
        missing=NOT_TOLD,
    )


@pytest.mark.parametrize(
    ("code", "holder", "action", "kind"),
    [
        ("new_candidate_application", "application", "record.create", "application"),
        ("application_updated", "application", "field.update", "application"),
        ("delete_application", "application", "record.delete", "application"),
        ("update_candidate", "candidate", "field.update", "candidate"),
        ("delete_candidate", "person", "record.delete", "candidate"),
        ("merge_candidate", "person", "record.merge", "candidate"),
        ("offer_created", None, "record.create", "offer"),
        ("offer_approved", None, "approval.grant", "offer"),
        ("offer_deleted", "offer", "record.delete", "offer"),
        ("job_approved", "job", "approval.grant", "job"),
        ("job_post_created", None, "record.create", "job_post"),
        ("job_post_deleted", "job_post", "record.delete", "job_post"),
        ("department_deleted", "department", "record.delete", "department"),
        ("scorecard_deleted", "scorecard", "record.delete", "scorecard"),
        ("widget_updated", "widget", "field.update", "widget"),
    ],
)
def test_actions_of_webhooks_become_ours_and_the_record_is_found(code, holder, action, kind):
    record = {"id": 5, "n": 1}
    op = hook(code, **({holder: record} if holder else record))
    assert (op.action, op.object_type, op.object_id, op.values, op.raw) == (action, kind, "5", {"n": 1}, {})


def test_a_stage_change_has_the_new_stage_with_its_name():
    stage = {"id": 7, "name": "Screen", "interviews": []}
    op = hook("candidate_stage_change", application={"id": 1, "current_stage": stage, "last_activity_at": "x"})
    assert op.changes == [Change("current_stage", UNKNOWN, "7", new_label="Screen", derivation="new_only")]
    assert op.values == {"current_stage.interviews": [], "last_activity_at": "x"}
    assert op.time == Time("x")


@pytest.mark.parametrize(
    ("code", "body", "new"),
    [
        ("reject_candidate", {"status": "rejected"}, "rejected"),
        ("hire_candidate", {}, "hired"),
        ("unhire_candidate", {"status": "active"}, "active"),
        ("unreject_candidate", {}, UNKNOWN),
    ],
)
def test_what_happened_to_a_candidate_is_a_change_of_the_status(code, body, new):
    assert hook(code, application=body).changes == [Change("status", UNKNOWN, new, derivation="new_only")]


def test_each_anonymized_field_is_a_change():
    op = hook("candidate_anonymized", candidate_id=603, anonymized_fields=["full_name", "tags"])
    assert [change.field for change in op.changes] == ["full_name", "tags"]
    assert (op.object_id, op.raw) == ("603", {})


def test_custom_fields_are_values_and_their_descriptions_stay_in_raw():
    fields = {"salary": {"name": "Salary", "type": "currency", "value": {"amount": 8, "unit": "USD"}}}
    op = hook("offer_created", offer={"id": 1, "custom_fields": fields})
    assert op.values == {"custom_fields.salary.amount": 8, "custom_fields.salary.unit": "USD"}
    assert op.raw == {"payload": {"offer": {"custom_fields": {"salary": {"name": "Salary", "type": "currency"}}}}}


def test_what_stands_beside_the_record_stays_in_raw():
    op = hook("job_approved", job={"id": 1}, approval_flow={"approval_flow_type": "open_job"})
    assert op.raw == {"payload": {"approval_flow": {"approval_flow_type": "open_job"}}}


def test_an_onboarding_webhook_names_the_actor_and_the_fields():
    assert one(greenhouse.parse, FOREIGN["greenhouse onboarding"]) == Operation(
        action="field.update",
        kind="onboarding",
        time=Time("2026-02-03T10:31:00-07:00"),
        id="0b7e5d1c",
        code="employee:updated",
        object_type="employee",
        object_id="31",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "7"},
        changes=[Change("phone", UNKNOWN, UNKNOWN, label="Phone", derivation="new_only")],
    )


@pytest.mark.parametrize(
    "document",
    [
        {"action": "ModifyColumn", "payload": {}},
        {"action": "widget_updated", "payload": {}, "companyId": 1},
        {"action": "job_updated", "payload": []},
        {"event_type": "employee.updated", "id": "1", "payload": {}},
        {"event_type": "employee:updated", "payload": {}},
    ],
)
def test_webhooks_of_other_sources_are_refused(document):
    assert "webhook" in greenhouse.parse(json.dumps(document).encode(), CONTEXT).reason


def test_the_values_of_secrets_are_dropped():
    assert "s3cr3t" not in repr(hook("ping", web_hook_id=1, secret_key="s3cr3t"))
    assert "hunter2" not in repr(op_of(meta={"password": ["hunter2", None]}))


def test_every_scalar_of_a_webhook_is_carried_exactly_once():
    record = {
        "id": 1,
        "url": "u",
        "": "nameless",
        "a.b": "p",
        "a": {"b": "q"},
        "custom_fields": {"c": {"value": 2, "n": 3}},
    }
    body = {"action": "application_updated", "payload": {"application": record, "x": 1.5}, "y": True}
    assert_nothing_is_lost_or_doubled(greenhouse.parse, json.dumps(body).encode())


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


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"events":[],"paging":{}}']:
        assert isinstance(greenhouse.parse(line, CONTEXT), list)
        assert any(literal in line for literal in greenhouse.LITERALS)
