"""Make.com audit logs and scenario logs: entries to operations."""

import json

import pytest
from hypothesis import given, settings

from parsers import makecom
from parsers._contract import ABSENT, UNKNOWN, Change, Operation, Rejected, Time
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

AUDIT = json.loads(FOREIGN["makecom"])
RUN = json.loads(FOREIGN["makecom run"])
LINES = [
    json.dumps(
        {"auditLogs": [{**AUDIT, "details": {"name": {"old": "a", "new": "b"}}}], "pg": {"limit": 100}}
    ).encode(),
    json.dumps({**AUDIT, "details": {"before": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}}}).encode(),
    json.dumps({**AUDIT, "details": {"changes": [{"field": "url", "old": "x", "new": "y", "why": "z"}]}}).encode(),
    json.dumps({"scenarioLogs": [RUN]}).encode(),
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
        ("user_role_changed", "role.grant", "user"),
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


def test_a_run_by_hand_is_its_authors():
    op = run(type="manual", authorId=7)
    assert (op.actor_type, op.actor_confidence, op.fields["user.id"]) == ("user", "asserted", "7")
    assert run(type="manual").actor_type == "unknown"
    assert run(type="auto", authorId=7).actor_type == "automation"


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


def test_lines_of_other_formats_are_refused():
    assert_refuses_all_but(makecom.parse, "makecom", "makecom run")


@pytest.mark.parametrize("line", LINES)
def test_a_line_cut_at_any_byte_is_refused(line):
    assert_never_raises_when_cut(makecom.parse, line)


@settings(max_examples=200, deadline=None)
@given(mutated(LINES))
def test_a_damaged_line_raises_nothing_and_yields_a_sound_result(line):
    assert_sound(makecom.parse(line, CONTEXT))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in [*LINES, b'{"auditLogs":[]}', b'{"scenarioLogs":[]}']:
        assert isinstance(makecom.parse(line, CONTEXT), list)
        assert any(literal in line for literal in makecom.LITERALS)
