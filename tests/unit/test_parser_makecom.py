"""Make.com: audit logs, runs, webhooks, and edits of functions, variables and scenarios: entries to operations."""

import json

import pytest

from parsers import makecom
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Operation, Rejected, Time
from parsers._secrets import DROPPED
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    assert_sound,
    one,
)

AUDIT = json.loads(FOREIGN["makecom"])
RUN = json.loads(FOREIGN["makecom run"])
HISTORY = {"id": 2, "previousCode": "b", "updatedAt": "2026-03-14T12:00:00Z", "updatedBy": "Ann"}
INCOMPLETE = {"id": "d", "reason": "bad", "created": "t", "size": 5, "resolved": False, "retry": True, "attempts": 1}
CALL = {
    "statusId": 1,
    "loggedAt": "2026-03-14T12:41:00Z",
    "id": "c",
    "hookId": 6,
    "data": {
        "method": "POST",
        "headers": {"user-agent": "curl", "cookie": "sid=1"},
        "url": "https://h.example/?token=x",
    },
}


def module(identity, **mapper):
    return {"id": identity, "module": "http:Send", "version": 3, "mapper": mapper}


ROUTER = {"id": 3, "module": "builtin:Router", "routes": [{"flow": [module(4, a=1)]}, {"flow": [module(5, a=1)]}]}
BEFORE = {"name": "Sync", "flow": [module(1, url="a"), module(2, url="b"), ROUTER], "metadata": {"dlq": False}}
AFTER = {**BEFORE, "flow": [module(1, url="c"), module(2, url="b"), ROUTER], "metadata": {"dlq": True}}
LINES = [
    json.dumps(
        {"auditLogs": [{**AUDIT, "details": {"name": {"old": "a", "new": "b"}}}], "pg": {"limit": 100}}
    ).encode(),
    json.dumps({**AUDIT, "details": {"before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}}}).encode(),
    json.dumps({**AUDIT, "details": {"changes": [{"field": "url", "old": "x", "new": "y", "why": "z"}]}}).encode(),
    json.dumps({"scenarioLogs": [RUN]}).encode(),
    json.dumps({"functionHistory": [HISTORY, {**HISTORY, "id": 1}], "function": {"id": 8, "code": "c"}}).encode(),
    json.dumps({"history": [{"id": 1, "diffObject": {"old": 1, "new": 2, "author": {"id": 7}}}]}).encode(),
    json.dumps(
        {"scenarioId": 9, "before": BEFORE, "after": {"response": {"blueprint": AFTER}}, "actor": {"id": 7}}
    ).encode(),
    json.dumps(
        {
            "scenariosBlueprints": [
                {"scenarioId": 9, "version": 2, "created": "t2", "draft": False, "blueprint": AFTER},
                {"scenarioId": 9, "version": 1, "created": "t1", "draft": False, "blueprint": BEFORE},
            ]
        }
    ).encode(),
    json.dumps({"dlqs": [INCOMPLETE], "scenarioId": 9}).encode(),
    json.dumps([CALL]).encode(),
    json.dumps({"incomings": [{"id": "q", "scope": "hook", "size": 1, "created": "t"}], "hookId": 6}).encode(),
    json.dumps({"scenarioId": 9, "executionId": "e", "status": "ERROR", "error": {"name": "x"}}).encode(),
]


def audit(**members):
    return one(makecom.parse, {**AUDIT, **members})


def run(**members):
    return one(makecom.parse, {**RUN, **members})


def test_an_audit_entry_says_who_did_what_to_which_thing():
    assert one(makecom.parse, FOREIGN["makecom"]) == Operation(
        action="webhook.update",
        kind="audit",
        time=Time("2026-03-14T12:34:56Z"),
        id="c37c7292-35cd",
        code="webhook_updated",
        object_type="webhook",
        object_id="654",
        actor_type="user",
        actor_confidence="asserted",
        fields={
            "user.id": "7",
            "user.full_name": "Ann",
            "user.email": "ann@acme.example",
            "organization.id": "11",
            "organization.name": "Acme",
        },
        missing=("trail.change.field", "trail.change.old", "trail.change.new"),
    )


@pytest.mark.parametrize(
    ("event_name", "action", "object_type"),
    [
        ("key_created", "token.create", "key"),
        ("api_token_deleted", "token.revoke", "api_token"),
        ("connection_created", "app.connect", "connection"),
        ("connection_deleted", "app.disconnect", "connection"),
        ("webhook_created", "webhook.create", "webhook"),
        ("webhook_disabled", "webhook.disable", "webhook"),
        ("webhook_deleted", "webhook.delete", "webhook"),
        ("scenario_created", "automation.create", "scenario"),
        ("scenario_updated", "automation.edit", "scenario"),
        ("scenario_deactivated", "automation.disable", "scenario"),
        ("scenario_started", "automation.enable", "scenario"),
        ("scenario_run", "automation.start", "scenario"),
        ("user_created", "user.create", "user"),
        ("user_invited", "user.invite", "user"),
        ("organization_user_removed", "user.delete", "user"),
        ("user_deactivated", "user.disable", "user"),
        ("team_user_added", "group.add", "team_user"),
        ("team_created", "group.create", "team"),
        ("user_role_changed", "user.update", "user"),
        ("user_role_granted", "role.grant", "user"),
        ("permission_updated", "role.update", "permission"),
        ("role_revoked", "role.revoke", "role"),
        ("role_updated", "role.update", "role"),
        ("user_logged_in", "auth.login", "user"),
        ("user_login", "auth.login", "user"),
        ("user_logged_out", "auth.logout", "user"),
        ("blueprint_exported", "data.export", "blueprint"),
        ("audit_log_disabled", "audit.disable", "audit_log"),
        ("data_store_deleted", "config.delete", "data_store"),
        ("TeamVariableUpdated", "config.update", "team_variable"),
        ("frobnicated", "config.update", None),
        ("_", "config.update", None),
    ],
)
def test_event_names_become_our_actions_and_stay_as_code(event_name, action, object_type):
    op = audit(eventName=event_name)
    assert (op.action, op.object_type, op.code) == (action, object_type, event_name)


def test_a_change_of_a_role_grants_one_only_where_it_says_which():
    told = audit(eventName="user_role_changed", details={"before": {"role": "member"}, "after": {"role": "admin"}})
    assert (told.action, told.missing) == ("role.grant", ())
    assert audit(eventName="user_role_changed").missing != ()


def test_only_changes_without_values_say_that_the_change_is_missing():
    assert audit(eventName="scenario_updated").missing != ()
    assert audit(eventName="key_created").missing == ()


def changes(details):
    op = audit(details=details)
    return op.changes, op.raw.get("details", "gone")


def test_details_by_field_become_changes_and_the_rest_stays():
    assert changes({"name": {"old": "a", "new": None}, "url": {"from": 1, "to": 2}, "note": "x"}) == (
        [Change("name", "a", None), Change("url", 1, 2)],
        {"note": "x"},
    )


def test_two_states_become_changes_of_what_differs():
    assert changes({"before": {"a": 1, "b": 2, "d": True}, "after": {"a": 1.0, "c": 3, "d": 1}, "by": "x"}) == (
        [Change("b", 2, ABSENT), Change("d", True, 1), Change("c", ABSENT, 3)],
        {"after": {"a": 1.0}, "by": "x"},
    )


def test_two_equal_states_are_kept_whole():
    details = {"before": {"a": 1}, "after": {"a": 1}}
    assert changes(json.loads(json.dumps(details))) == ([], details)


def test_a_list_of_changes_becomes_changes_and_leftovers_keep_their_field():
    listed = [
        {"field": "a", "old": 1, "new": 2},
        {"key": "b", "oldValue": None, "newValue": "x", "type": "text"},
        {"name": "c", "to": "y"},
        {"what": "ever"},
        "text",
    ]
    assert changes({"changes": listed}) == (
        [Change("a", 1, 2), Change("b", None, "x"), Change("c", UNKNOWN, "y", derivation="new_only")],
        {"changes": [{"key": "b", "type": "text"}, {"what": "ever"}, "text"]},
    )


def test_changes_may_be_an_object_and_a_single_change():
    assert changes({"changes": {"a": {"before": 1, "after": 2}}}) == ([Change("a", 1, 2)], "gone")
    assert changes({"changes": {"old": {"a": 1}, "new": {"a": 2}}}) == ([Change("a", 1, 2)], "gone")
    assert changes({"field": "a", "old": 1, "new": 2}) == ([Change("a", 1, 2)], "gone")


@pytest.mark.parametrize(
    "details",
    [
        {},
        None,
        "x",
        [1],
        {"changes": []},
        {"changes": [1]},
        {"name": "Hook", "old": 1, "new": 2},
        {"key": "k", "to": "y"},
    ],
)
def test_details_of_no_known_shape_are_kept_whole(details):
    op = audit(details=details)
    assert op.changes == []
    assert op.raw == {"details": details}
    assert op.missing == ("trail.change.field", "trail.change.old", "trail.change.new")


@pytest.mark.parametrize(
    ("actor", "fields"),
    [
        (7, {"user.id": "7"}),
        ("7", {"user.id": "7"}),
        ("ann@acme.example", {"user.email": "ann@acme.example"}),
        ({"username": "ann"}, {"user.name": "ann"}),
    ],
)
def test_an_actor_may_be_an_object_an_id_or_an_address(actor, fields):
    op = audit(actor=actor)
    assert {name: value for name, value in op.fields.items() if name.startswith("user.")} == fields
    assert (op.actor_type, op.actor_confidence, op.raw) == ("user", "asserted", {})


@pytest.mark.parametrize("actor", [None, "Ann", [], {}, True, {"kind": "x"}])
def test_an_actor_that_says_nothing_readable_is_unknown_and_kept(actor):
    op = audit(actor=actor)
    assert (op.actor_type, op.raw) == ("unknown", {"actor": actor})


def test_an_address_of_the_actor_is_taken_where_there_is_one():
    assert audit(actor={"id": 7, "ip": "198.51.100.9"}).fields["source.ip"] == "198.51.100.9"
    assert "source.ip" not in audit(actor={"id": 7, "ip": "office"}).fields


def test_two_different_organization_ids_are_both_kept():
    assert audit(organizationId=11).raw == {}
    assert audit(organizationId=12).raw == {"organizationId": 12}
    assert audit(organization=None, organizationId=12).fields["organization.id"] == "12"


def test_times_may_be_text_or_epochs():
    assert audit(triggeredAt=1773491696).time == Time(1773491696, "epoch_s")
    assert audit(triggeredAt=1773491696497).time == Time(1773491696497, "epoch_ms")
    assert audit(triggeredAt=None).time is None


def test_a_scenario_log_entry_is_a_run_of_an_automation():
    assert one(makecom.parse, FOREIGN["makecom run"]) == Operation(
        action="automation.run",
        kind="scenario",
        time=Time("2026-03-14T12:34:56.497Z"),
        id="da518adc",
        outcome="success",
        object_type="scenario",
        object_id="1229",
        actor_type="automation",
        actor_confidence="asserted",
        interface="automation",
        fields={
            "trail.automation.platform": "make",
            "trail.automation.execution.id": "da518adc",
            "trail.automation.scenario.id": "1229",
            "event.duration": 19_979_000_000,
        },
        raw={"imtId": RUN["imtId"], "operations": 10, "type": "auto", "authorId": None},
    )


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (0, "unknown", None),
        (1, "success", None),
        (2, "success", "warning"),
        (3, "failure", None),
        ("WARNING", "success", "warning"),
        ("ERROR", "failure", None),
    ],
)
def test_the_status_of_a_run_becomes_its_outcome(status, outcome, reason):
    op = run(status=status)
    assert (op.outcome, op.fields.get("event.reason")) == (outcome, reason)
    assert "status" not in op.raw


def test_a_status_that_nobody_knows_is_kept_and_claims_no_success():
    op = run(status=9)
    assert (op.outcome, op.raw["status"]) == ("unknown", 9)


def test_a_run_by_hand_is_taken_for_its_authors():
    op = run(type="manual", authorId=7)
    assert (op.actor_type, op.actor_confidence, op.fields["user.id"]) == ("user", "inferred", "7")
    assert op.fields["trail.actor.basis"] == "authorId"
    assert run(type="manual").actor_type == "unknown"


def test_a_run_by_schedule_is_nobodys():
    op = run(type="auto", authorId=7)
    assert (op.actor_type, "user.id" in op.fields, op.raw["authorId"]) == ("automation", False, 7)


def test_a_run_that_waits_has_not_ended():
    assert (run(status=0).action, run(status=0).outcome) == ("automation.start", "unknown")


@pytest.mark.parametrize("duration", [None, "1", -1, True, 10**18, 1e300])
def test_a_duration_that_is_none_stays_in_raw(duration):
    op = run(duration=duration)
    assert "event.duration" not in op.fields
    assert "duration" in op.raw


def test_a_run_without_a_timestamp_has_the_time_of_its_imt_id():
    op = run(timestamp=None)
    assert op.time == Time(1773491696497, "epoch_ms")


def test_the_error_of_a_run_is_told():
    op = run(
        status=3, error={"name": "DataError", "message": "bad", "causeModule": {"name": "HTTP", "appName": "http"}}
    )
    assert {name: op.fields[name] for name in ("error.message", "error.type", "trail.automation.module")} == {
        "error.message": "bad",
        "error.type": "DataError",
        "trail.automation.module": "HTTP",
    }
    assert op.raw["error"] == {"causeModule": {"appName": "http"}}


def test_an_answer_of_the_api_yields_its_entries_and_keeps_its_paging():
    line = json.dumps({"auditLogs": [{**AUDIT, "uuid": "u1"}, {**AUDIT, "uuid": "u2"}], "pg": {"limit": 2}}).encode()
    operations = makecom.parse(line, CONTEXT)
    assert [(op.id, op.raw) for op in operations] == [("u1", {"@envelope": {"pg": {"limit": 2}}}), ("u2", {})]
    (detail,) = makecom.parse(json.dumps({"auditLog": AUDIT}).encode(), CONTEXT)
    assert detail.id == AUDIT["uuid"]


def test_an_empty_answer_is_no_change():
    for line in (b'{"auditLogs":[],"pg":{}}', b'{"scenarioLogs":[]}'):
        (op,) = makecom.parse(line, CONTEXT)
        assert op.no_change is True


@pytest.mark.parametrize(
    "document", [{"eventName": "key_created"}, {"imtId": "x"}, {"eventName": 1, "uuid": "u", "actor": 1}]
)
def test_half_an_entry_is_refused(document):
    assert isinstance(makecom.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_every_scalar_of_an_audit_entry_is_carried_exactly_once():
    document = {
        **AUDIT,
        "createdAt": "2026-03-14T12:34:57Z",
        "team": {"id": 22, "name": "Ops"},
        "actor": {"id": 7, "name": "Ann", "email": "ann@acme.example", "role": "owner"},
        "details": {"url": {"old": "o", "new": "n"}, "note": [1, 2.5, "t"], "x": {"y": None}},
        "version": {"v": 3},
    }
    assert_nothing_is_lost_or_doubled(makecom.parse, json.dumps(document).encode())


def test_every_scalar_of_a_run_is_carried_exactly_once():
    line = json.dumps({**RUN, "transfer": 3942, "teamId": 27, "instant": False, "organizationId": 21}).encode()
    assert_nothing_is_lost_or_doubled(makecom.parse, line, translated={"1", "19979"})


# -- what lists of entries leave out ----------------------------------------------------------------------------------


def test_the_step_between_two_versions_is_a_change_of_an_edit_alone():
    op = audit(eventName="scenario_updated", version={"from": "16", "to": "17"})
    assert (op.changes, op.raw, op.missing) == ([Change("version", "16", "17")], {}, ())
    assert op.fields["trail.automation.scenario.id"] == "654"
    op = audit(eventName="webhook_created", version={"from": "16", "to": "17"})
    assert (op.changes, op.raw) == ([], {"version": {"from": "16", "to": "17"}})
    op = audit(eventName="webhook_updated", version={"to": "1"})
    assert (op.changes, op.raw) == ([], {"version": {"to": "1"}})


def test_the_detail_of_an_entry_may_name_its_thing():
    op = audit(detail={"webhookName": "Orders", "webhookType": "web"})
    assert (op.object_name, op.raw) == ("Orders", {"detail": {"webhookType": "web"}})


def test_an_anonymous_actor_is_its_id():
    op = audit(actor={"id": 213, "anonymized": True})
    assert (op.fields["user.id"], op.raw) == ("213", {"actor": {"anonymized": True}})


def test_a_member_is_added_to_the_team():
    op = audit(eventName="team_user_added", team={"id": 22, "name": "Ops"})
    assert (op.fields["group.id"], op.fields["group.name"], op.raw) == ("22", "Ops", {})


def test_secrets_in_a_detail_are_dropped_however_deep():
    op = audit(details={"headers": [{"name": "Authorization", "value": "x"}], "a": {"apiKey": "k"}})
    assert op.raw["details"] == {"headers": [{"name": "Authorization", "value": DROPPED}], "a": {"apiKey": DROPPED}}


def test_the_detail_of_an_execution_has_the_ids_that_stand_beside_it():
    op = one(makecom.parse, LINES[-1])
    assert (op.action, op.outcome, op.id, op.object_id) == ("automation.run", "failure", "e", "9")
    assert (op.fields["error.type"], op.actor_type) == ("x", "unknown")
    running = {"scenarioId": 9, "executionId": "e", "status": "RUNNING"}
    assert one(makecom.parse, running).action == "automation.start"
    assert isinstance(makecom.parse(b'{"status":"SUCCESS","outputs":{}}', CONTEXT), Rejected)


def test_an_incomplete_execution_is_a_run_that_failed():
    op = one(makecom.parse, {"dlqs": [dict(INCOMPLETE)], "scenarioId": 9})
    assert (op.action, op.outcome, op.kind, op.object_id) == ("automation.run", "failure", "incomplete", "9")
    assert (op.actor_type, op.actor_confidence) == ("unknown", "unknown")
    assert op.fields["error.message"] == "bad"
    assert op.raw == {"size": 5, "resolved": False, "retry": True, "attempts": 1}
    detail = one(makecom.parse, {"dlq": {**INCOMPLETE, "companyId": 1, "companyName": "A", "executionId": "e"}})
    assert detail.fields["organization.name"] == "A"
    assert detail.fields["trail.automation.execution.id"] == "e"


def test_a_call_of_a_webhook_has_its_outcome_and_no_secrets():
    op = one(makecom.parse, CALL)
    assert (op.action, op.outcome, op.object_type, op.object_id) == ("api.request", "success", "webhook", "6")
    assert op.fields == {"http.request.method": "POST", "user_agent.original": "curl"}
    assert op.raw == {"data": {"headers": {"cookie": DROPPED}, "url": f"https://h.example/?token={DROPPED}"}}
    assert one(makecom.parse, {**CALL, "statusId": 3}).outcome == "failure"
    odd = one(makecom.parse, {**CALL, "statusId": 9})
    assert (odd.outcome, odd.raw["statusId"]) == ("unknown", 9)


def test_a_waiting_call_is_accepted_where_its_list_says_what_it_is():
    waiting = {"id": "q", "scope": "hook", "size": 1, "created": "t"}
    op = one(makecom.parse, {"incomings": [dict(waiting)], "hookId": 6})
    assert (op.kind, op.outcome, op.object_id, op.raw) == ("queue", "unknown", "6", {"scope": "hook", "size": 1})
    assert one(makecom.parse, {"incoming": {**waiting, "data": {"password": "x"}}}).raw["data"] == {"password": DROPPED}
    assert isinstance(makecom.parse(json.dumps(waiting).encode(), CONTEXT), Rejected)


# -- functions and variables ------------------------------------------------------------------------------------------


def codes(*rows, **beside):
    found = makecom.parse(json.dumps({"functionHistory": rows, **beside}).encode(), CONTEXT)
    assert_sound(found)
    return [(op.id, op.changes[0].old, op.changes[0].new) for op in found]


def test_what_an_edit_made_of_a_function_is_the_previous_code_of_the_next_newer_edit():
    newer = {**HISTORY, "id": 3, "previousCode": "c", "updatedAt": "2026-03-15T12:00:00Z"}
    assert codes(newer, HISTORY) == [("3", "c", UNKNOWN), ("2", "b", "c")]
    assert codes(HISTORY, newer) == [("2", "b", "c"), ("3", "c", UNKNOWN)]
    assert codes(newer, HISTORY, function={"id": 8, "code": "d"}) == [("3", "c", "d"), ("2", "b", "c")]
    assert codes({**HISTORY, "previousCode": None}) == [("2", None, UNKNOWN)]


def test_the_edit_of_a_function_says_who_and_of_which():
    found = makecom.parse(json.dumps({"functionId": 8, "functionHistory": [HISTORY]}).encode(), CONTEXT)
    assert found == [
        Operation(
            action="config.update",
            kind="function",
            time=Time("2026-03-14T12:00:00Z"),
            id="2",
            object_type="function",
            object_id="8",
            actor_type="user",
            actor_confidence="asserted",
            fields={"user.full_name": "Ann"},
            changes=[Change("code", "b", UNKNOWN, derivation="reconstructed")],
        )
    ]


def variable(told, **beside):
    return one(makecom.parse, {"teamVariableHistory": [{"id": 1, "diffObject": told}], **beside})


def test_the_edit_of_a_variable_has_both_values():
    op = variable({"old": "1", "new": None, "updatedAt": "t", "author": "ann@acme.example"}, variableName="rate")
    assert (op.changes, op.object_id, op.time) == ([Change("value", "1", None)], "rate", Time("t"))
    assert (op.fields, op.raw) == ({"user.email": "ann@acme.example"}, {})
    assert variable({"value": {"old": 1, "new": 2}}).changes == [Change("value", 1, 2)]


def test_a_row_that_says_that_it_is_an_edit_has_a_new_value_alone():
    row = {"id": 1, "changed": "t", "action": "team_variable_edited", "author": {"id": 7}}
    told = {"name": "rate", "value": "2"}
    op = one(makecom.parse, {"teamVariableHistory": [{**row, "diffObject": told}]})
    assert (op.action, op.code, op.object_id, op.time) == ("config.update", "team_variable_edited", "rate", Time("t"))
    assert op.changes == [Change("value", UNKNOWN, "2", derivation="new_only")]
    secret = one(makecom.parse, {"teamVariableHistory": [{**row, "diffObject": {**told, "name": "api_key"}}]})
    assert "2" not in repr(secret.changes)


def test_a_variable_that_nobody_edited_has_the_value_it_was_made_with():
    op = variable({"value": "1"})
    assert (op.action, op.values, op.changes) == ("config.create", {"value": "1"}, [])
    odd = variable({"odd": 1})
    assert (odd.action, odd.raw) == ("config.update", {"diffObject": {"odd": 1}})
    assert odd.missing == ("trail.change.field", "trail.change.old", "trail.change.new")


def test_a_secret_variable_has_changed_and_its_values_are_dropped():
    op = variable({"old": "k-1", "new": "k-2"}, variableName="api_key")
    assert (op.changes, op.no_change) == ([Change("value", SECRET, SECRET)], False)
    assert variable({"value": "k-1"}, variableName="api_key").values == {"value": DROPPED}


# -- blueprints -------------------------------------------------------------------------------------------------------


def edited(after, before=BEFORE, **beside):
    op = one(makecom.parse, {"scenarioId": 9, "before": before, "after": after, **beside})
    assert_sound([op])
    return op


def what(op):
    assert all(change.derivation == "snapshot_diff" for change in op.changes)
    return [(change.field, change.old, change.new) for change in op.changes]


def test_two_blueprints_tell_which_setting_of_which_module_changed():
    op = edited(AFTER, beforeAt="t1", afterAt="t2", actor={"id": 7, "name": "Ann"})
    assert what(op) == [("metadata.dlq", False, True), ("modules[1].mapper.url", "a", "c")]
    assert (op.action, op.object_type, op.object_id, op.time) == ("automation.edit", "scenario", "9", Time("t2"))
    assert (op.changes[0].changed_after, op.changes[0].changed_before) == ("t1", "t2")
    assert (op.fields["user.id"], op.actor_type) == ("7", "user")
    assert op.raw["after"]["modules"]["1"] == {"module": "http:Send", "version": 3}
    assert op.raw["after"]["modules"]["2"] == {"module": "http:Send", "version": 3, "mapper": {"url": "b"}}


def test_the_last_editor_is_not_the_actor():
    op = edited(AFTER, updatedByUser={"id": 7, "name": "Ann"})
    assert (op.fields["trail.automation.last_editor"], op.fields["trail.object.last_editor.name"]) == ("7", "Ann")
    assert (op.actor_type, "user.id" in op.fields) == ("unknown", False)


def test_a_module_that_moved_within_its_flow_is_a_change_of_the_order_alone():
    moved = {**BEFORE, "flow": [module(2, url="b"), module(1, url="a"), ROUTER]}
    assert what(edited(moved)) == [("flow.order", ["1", "2", "3"], ["2", "1", "3"])]


def test_a_module_that_moved_to_another_route_is_a_change_of_its_place_alone():
    router = {**ROUTER, "routes": [{"flow": [module(4, a=1), module(5, a=1)]}, {"flow": []}]}
    moved = {**BEFORE, "flow": [module(1, url="a"), module(2, url="b"), router]}
    assert what(edited(moved)) == [("modules[5].place", "modules[3].routes[1]", "modules[3].routes[0]")]


def test_modules_that_came_or_went_are_one_change_each():
    after = {**BEFORE, "flow": [module(1, url="a"), ROUTER, module(6, to="x")]}
    assert what(edited(after)) == [
        ("modules[6]", ABSENT, {"module": "http:Send", "version": 3, "mapper": {"to": "x"}}),
        ("modules[2]", {"module": "http:Send", "version": 3, "mapper": {"url": "b"}}, ABSENT),
    ]


def test_handlers_of_errors_are_modules_too():
    before = {"flow": [{**module(1), "onerror": [module(2, a=1)]}]}
    after = {"flow": [{**module(1), "onerror": [module(2, a=2)]}]}
    assert what(edited(after, before)) == [("modules[2].mapper.a", 1, 2)]


def test_headers_are_compared_by_their_name_and_secrets_dropped():
    def sends(accept, token, url):
        headers = [{"name": "Accept", "value": accept}, {"name": "Authorization", "value": token}]
        return {"flow": [module(1, headers=headers, url=url, params={"api_key": token})]}

    op = edited(sends("b", "t-2", "https://h.example/?token=2"), sends("a", "t-1", "https://h.example/?token=1"))
    assert what(op) == [
        ("modules[1].mapper.headers.Accept", "a", "b"),
        ("modules[1].mapper.headers.Authorization", SECRET, SECRET),
        ("modules[1].mapper.url", SECRET, SECRET),
        ("modules[1].mapper.params.api_key", SECRET, SECRET),
    ]
    assert "t-2" not in repr(op)


def test_only_secrets_that_changed_are_a_change():
    op = edited(
        {"flow": [module(1, url="https://h.example/?token=2")]}, {"flow": [module(1, url="https://h.example/?token=1")]}
    )
    assert (what(op), op.no_change) == ([("modules[1].mapper.url", SECRET, SECRET)], False)


def test_two_equal_blueprints_are_no_change():
    assert edited(BEFORE).no_change is True


def test_answers_of_the_api_are_compared_with_their_scheduling_and_bounds():
    def answer(interval, edit):
        inside = {"blueprint": BEFORE, "scheduling": {"interval": interval}, "last_edit": edit}
        return {"code": "OK", "response": inside}

    op = edited(answer(300, "2026-03-02T00:00:00Z"), answer(900, "2026-03-01T00:00:00Z"))
    assert what(op) == [("scheduling.interval", 900, 300)]
    assert op.time == Time("2026-03-02T00:00:00Z")
    assert op.changes[0].changed_after == "2026-03-01T00:00:00Z"


def test_versions_are_compared_with_the_one_before_whatever_their_order():
    newer, older = makecom.parse(LINES[7], CONTEXT)
    assert what(newer) == [("metadata.dlq", False, True), ("modules[1].mapper.url", "a", "c")]
    assert (newer.time, newer.changes[0].changed_after, newer.raw["version"]) == (Time("t2"), "t1", 2)
    assert (older.changes, older.raw["version"]) == ([], 1)
    assert set(older.raw["after"]["modules"]) == {"1", "2", "3", "4", "5"}
    assert older.missing == ("trail.change.field", "trail.change.old", "trail.change.new")


def test_a_version_without_its_blueprint_says_only_that_there_was_an_edit():
    op = one(makecom.parse, {"scenarioId": 9, "version": 3, "created": "t", "draft": True})
    assert (op.action, op.changes, op.time, op.raw) == ("automation.edit", [], Time("t"), {"version": 3, "draft": True})


@pytest.mark.parametrize(
    "line",
    [
        b'{"functionHistory":[{"previousCode":"a"}]}',
        b'{"functionHistory":[1]}',
        b'{"scenariosBlueprints":[{"version":1}]}',
        b'{"scenarioId":1,"before":{"name":"a"},"after":{"flow":[]}}',
        b'{"code":"OK","response":{"blueprint":{"name":"a","flow":[]}}}',
        b'{"hookLogs":[{"statusId":1}]}',
        b'{"versions":[]}',
    ],
)
def test_half_an_answer_is_refused(line):
    assert isinstance(makecom.parse(line, CONTEXT), Rejected)


def test_every_scalar_of_two_blueprints_is_carried_exactly_once():
    before = {"name": "n", "flow": [{"id": 1, "module": "m", "mapper": {"url": "a", "x": ["k", "l"]}}, {"odd": 5}]}
    after = {"name": "n2", "flow": [{"id": 1, "module": "m2", "mapper": {"url": "b", "x": ["o", "p"]}}, {"odd": 6}]}
    line = json.dumps({"scenarioId": 90, "before": before, "after": after, "note": "by hand"}).encode()
    (op,) = makecom.parse(line, CONTEXT)
    carried = json.dumps([[[change.old, change.new] for change in op.changes], op.raw])
    for text in ("n", "n2", "m", "m2", "a", "b", "k", "l", "o", "p", "by hand"):
        assert carried.count(f'"{text}"') == 1, text


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"auditLogs":[]}', b'{"scenarioLogs":[]}']:
        assert isinstance(makecom.parse(line, CONTEXT), list)
        assert any(literal in line for literal in makecom.LITERALS)
