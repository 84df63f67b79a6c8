"""Ashby webhooks: bodies to operations."""

import json

import pytest

from parsers import ashby
from parsers._contract import UNKNOWN, Change, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    FOREIGN,
    assert_nothing_is_lost_or_doubled,
    one,
)

HOOK = json.loads(FOREIGN["ashby"])
APPLICATION = HOOK["data"]["application"]
OFFER = {"id": "of-1", "latestVersion": {"createdAt": "2026-03-02T09:30:00Z", "salary": {"value": 120000}}}


def hook(action="candidateStageChange", **data):
    return one(ashby.parse, {**HOOK, "action": action, "data": data})


def test_a_stage_change_has_the_new_stage_with_its_name():
    assert one(ashby.parse, FOREIGN["ashby"]) == Operation(
        action="field.update",
        kind="webhook",
        id="0d9a61b2",
        code="candidateStageChange",
        object_type="application",
        object_id="a-1",
        changes=[
            Change("currentInterviewStage", UNKNOWN, "s-2", new_label="Phone Screen", derivation="new_only"),
        ],
        values={"status": "Active"},
    )


@pytest.mark.parametrize(
    ("action", "holder", "ours", "kind"),
    [
        ("applicationSubmit", "application", "record.create", "application"),
        ("applicationUpdate", "application", "field.update", "application"),
        ("candidateDelete", "candidate", "record.delete", "candidate"),
        ("jobCreate", "job", "record.create", "job"),
        ("jobUpdate", "job", "field.update", "job"),
        ("jobPostingUpdate", "jobPosting", "field.update", "job_posting"),
        ("jobPostingDelete", "jobPosting", "record.delete", "job_posting"),
        ("offerCreate", "offer", "record.create", "offer"),
        ("offerDelete", "offer", "record.delete", "offer"),
        ("openingCreate", "opening", "record.create", "opening"),
        ("interviewScheduleUpdate", "interviewSchedule", "field.update", "interview_schedule"),
        ("interviewPlanTransition", "application", "field.update", "application"),
        ("surveySubmit", "surveySubmission", "record.create", "survey_submission"),
        ("pushToHRIS", "application", "data.export", "application"),
    ],
)
def test_actions_become_ours_and_the_record_is_found(action, holder, ours, kind):
    op = hook(action, **{holder: {"id": "x-1", "n": 1}})
    assert (op.action, op.object_type, op.object_id, op.values, op.raw) == (ours, kind, "x-1", {"n": 1}, {})


def test_a_hire_has_the_new_status_and_the_offer_beside_it():
    op = hook("candidateHire", application={"id": "a-1", "status": "Hired"}, offer=OFFER)
    assert op.changes == [Change("status", UNKNOWN, "Hired", derivation="new_only")]
    assert op.values["offer.latestVersion.salary.value"] == 120000


def test_a_publication_is_a_change_of_one_field():
    op = hook("jobPostingPublish", jobPosting={"id": "jp-1", "isListed": True})
    assert op.changes == [Change("isListed", UNKNOWN, True, derivation="new_only")]


def test_a_merge_is_of_the_candidate_that_is_gone():
    op = hook("candidateMerge", deletedCandidate={"id": "c-2"}, mergedCandidate={"id": "c-1"})
    assert (op.action, op.object_type, op.object_id) == ("record.merge", "candidate", "c-2")
    assert op.values == {"mergedCandidate.id": "c-1"}


def test_who_scheduled_an_interview_is_an_inference():
    by = {"id": "u-7", "firstName": "Kim", "lastName": "Quill", "email": "kim@co.example", "role": "x"}
    op = hook("interviewScheduleCreate", interviewSchedule={"id": "is-1", "scheduledBy": dict(by)})
    assert op.fields == {
        "user.id": "u-7",
        "user.full_name": "Kim Quill",
        "user.email": "kim@co.example",
        "trail.actor.basis": "scheduledBy",
    }
    assert (op.actor_type, op.actor_confidence, op.values) == ("user", "inferred", {"scheduledBy.role": "x"})
    later = hook("interviewScheduleUpdate", interviewSchedule={"id": "is-1", "scheduledBy": dict(by)})
    assert (later.fields, later.actor_type) == ({}, "unknown")


def test_the_time_is_the_record_s_own_where_it_means_the_event():
    times = {"createdAt": "2026-03-01T09:00:00Z", "updatedAt": "2026-03-02T09:00:00Z"}
    assert hook("applicationSubmit", application=dict(times)).time == Time("2026-03-01T09:00:00Z")
    assert hook("applicationUpdate", application=dict(times)).time == Time("2026-03-02T09:00:00Z")
    assert hook("offerCreate", offer=json.loads(json.dumps(OFFER))).time == Time("2026-03-02T09:30:00Z")
    assert hook("candidateDelete", candidate={"id": "c-1"}).time is None


def test_custom_fields_are_values_by_their_titles():
    fields = [{"id": "1", "title": "Salary", "value": 7}, {"id": "2", "title": "Salary", "value": 8}]
    op = hook("applicationUpdate", application={"id": "a-1", "customFields": fields})
    assert op.values == {"customFields.Salary": 7, "customFields.Salary#2": 8}
    assert op.raw == {"data": {"application": {"customFields": [{"id": "1"}, {"id": "2"}]}}}


@pytest.mark.parametrize("fields", [[{"title": "x"}], [1], {}, [{"title": "", "value": 1}], [{"title": 1, "value": 1}]])
def test_custom_fields_of_another_shape_stay_as_they_are(fields):
    assert hook("applicationUpdate", application={"customFields": fields}).values == {"customFields": fields}


def test_a_ping_needs_the_mark_of_ashby():
    assert one(ashby.parse, {"action": "ping", "webhookActionId": "p-1"}).action == "log.message"
    assert isinstance(ashby.parse(b'{"action":"ping"}', CONTEXT), Rejected)


@pytest.mark.parametrize(
    "document",
    [
        {"action": "jobUpdate"},
        {"action": "jobUpdate", "data": [1]},
        {"action": "ModifyColumn", "data": {}},
        {"data": {}},
    ],
)
def test_what_ashby_does_not_send_is_refused(document):
    assert isinstance(ashby.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_the_values_of_secrets_are_dropped():
    op = one(ashby.parse, {**HOOK, "webhookToken": "s3cr3t", "token": "", "data": {"application": {"apiKey": "k-1"}}})
    assert "s3cr3t" not in repr(op) and "k-1" not in repr(op)
    assert op.raw == {"webhookToken": "(secret dropped)", "token": ""}


def test_every_scalar_is_carried_exactly_once():
    fields = [{"id": "cf", "title": "Salary", "value": 7}]
    record = {**APPLICATION, "customFields": fields, "x": [1.5, None], "": "nameless", "a.b": "p", "a": {"b": "q"}}
    body = {**HOOK, "data": {"application": record, "offer": {"id": "of"}, "note": "n"}, "extra": True}
    assert_nothing_is_lost_or_doubled(ashby.parse, json.dumps(body).encode(), translated={"Salary", "Phone Screen"})
