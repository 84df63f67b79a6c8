"""AWS CloudTrail events to operations."""

import json

import pytest

from parsers import aws_cloudtrail
from parsers._cloudtrail import action_of
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)

ACCOUNT = "111122223333"
KIM = {"type": "IAMUser", "principalId": "AIDAKIM", "accountId": ACCOUNT, "accessKeyId": "AKIAKIM", "userName": "kim"}


def assumed(session, role="dev", **more):
    return {
        "type": "AssumedRole",
        "principalId": f"AROA:{session}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}",
        "accessKeyId": "ASIA7",
        "sessionContext": {"sessionIssuer": {"principalId": "AROA", "userName": role}, **more},
    }


def event(name, who=KIM, service="iam", parameters=None, **more):
    return {
        "eventVersion": "1.11",
        "eventID": "ev-1",
        "eventTime": "2026-02-03T10:30:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "eventType": "AwsApiCall",
        "awsRegion": "us-east-1",
        "recipientAccountId": ACCOUNT,
        "sourceIPAddress": "198.51.100.9",
        "userIdentity": who,
        "requestParameters": parameters,
        **more,
    }


LINES = [
    json.dumps(event("AttachUserPolicy", parameters={"userName": "lee", "policyArn": "arn:p"})).encode(),
    json.dumps({"Records": [event("GetObject", assumed("kim@co.example"), "s3", {"bucketName": "b", "key": "k/x"}, readOnly=True)]}).encode(),
    json.dumps(event("ConsoleLogin", {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"}, "signin",
                     responseElements={"ConsoleLogin": "Failure"}, errorMessage="no")).encode(),
]  # fmt: skip


def test_a_call_has_who_what_on_whom_and_where_from():
    op = one(aws_cloudtrail.parse, LINES[0])
    assert (op.action, op.code, op.object_type, op.object_id) == ("role.grant", "AttachUserPolicy", "user", "lee")
    assert op.changes == [Change("policyArn", UNKNOWN, "arn:p", derivation="new_only")]
    assert (op.id, op.time, op.outcome) == ("ev-1", Time("2026-02-03T10:30:00Z"), "success")
    assert op.fields == {
        "cloud.provider": "aws",
        "event.provider": "iam.amazonaws.com",
        "cloud.region": "us-east-1",
        "cloud.account.id": ACCOUNT,
        "user.id": "AIDAKIM",
        "user.name": "kim",
        "source.ip": "198.51.100.9",
        "user.target.name": "lee",
    }
    assert (op.actor_type, op.interface) == ("api_key", "api")


def test_what_a_call_takes_away_is_its_old_value():
    op = one(aws_cloudtrail.parse, event("DetachUserPolicy", parameters={"userName": "lee", "policyArn": "arn:p"}))
    assert (op.action, op.changes) == ("role.revoke", [Change("policyArn", "arn:p", ABSENT)])


@pytest.mark.parametrize(
    ("name", "read_only", "action"),
    [
        ("CreateUser", False, "user.create"),
        ("DeleteRole", False, "role.delete"),
        ("CreateAccessKey", False, "token.create"),
        ("StopLogging", False, "audit.disable"),
        ("AddUserToGroup", False, "group.add"),
        ("RunInstances", False, "config.create"),
        ("PutBucketPolicy", False, "config.update"),
        ("DeleteBucketPolicy", False, "config.delete"),
        ("AttachVolume", False, "config.update"),
        ("DescribeInstances", True, "api.request"),
        ("Frobnicate", False, "api.request"),
        ("CreateThing", True, "api.request"),
        ("GetSecretValue", True, "record.view"),
        ("AssumeRole", True, "auth.elevate"),
    ],
)
def test_calls_become_our_actions(name, read_only, action):
    assert action_of(name, read_only=read_only) == action


@pytest.mark.parametrize(
    ("who", "actor", "confidence", "basis"),
    [
        (KIM, "api_key", "asserted", None),
        ({**KIM, "accessKeyId": "ASIA1"}, "user", "asserted", None),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "system", "asserted", None),
        (assumed("kim@co.example"), "user", "inferred", "role_session_name"),
        (assumed("x", "AWSReservedSSO_Admin_1"), "user", "inferred", "role_session_name"),
        (assumed("x", sourceIdentity="lee"), "user", "inferred", "source_identity"),
        (assumed("i-0abcdef12"), "system", "inferred", "role_session"),
        (assumed("deploy"), "unknown", "unknown", None),
        ({"type": "AWSAccount", "accountId": "9"}, "unknown", "unknown", None),
    ],
)
def test_kinds_of_identities_are_told_apart(who, actor, confidence, basis):
    op = one(aws_cloudtrail.parse, event("CreateThing", who))
    assert (op.actor_type, op.actor_confidence, op.fields.get("trail.actor.basis")) == (actor, confidence, basis)


def test_a_role_is_whose_rights_were_used_and_its_key_is_the_session():
    op = one(aws_cloudtrail.parse, event("CreateThing", assumed("kim@co.example")))
    assert (op.fields["user.email"], op.fields["user.effective.name"]) == ("kim@co.example", "dev")
    assert op.fields["trail.session.id"] == "ASIA7"


def test_a_console_sign_in_says_how_it_went():
    op = one(aws_cloudtrail.parse, LINES[2])
    assert (op.action, op.outcome, op.fields["event.reason"], op.fields["user.name"]) == (
        "auth.login",
        "failure",
        "no",
        "root",
    )
    good = event(
        "ConsoleLogin", service="signin", responseElements={"ConsoleLogin": "Success"}, eventType="AwsConsoleSignIn"
    )
    op = one(aws_cloudtrail.parse, good)
    assert (op.outcome, op.interface) == ("success", "ui")


def test_an_error_makes_the_outcome_a_failure():
    op = one(
        aws_cloudtrail.parse,
        event("DeleteRole", parameters={"roleName": "r"}, errorCode="AccessDenied", errorMessage="m"),
    )
    assert (op.outcome, op.fields["error.code"], op.fields["error.message"]) == ("failure", "AccessDenied", "m")


def test_what_is_made_has_values_and_what_is_read_keeps_its_parameters():
    made = one(
        aws_cloudtrail.parse, event("CreateBucket", service="s3", parameters={"bucketName": "b", "acl": "private"})
    )
    assert (made.object_id, made.values) == ("b", {"acl": "private"})
    read = one(aws_cloudtrail.parse, event("ListThings", parameters={"max": 5}, readOnly=True))
    assert (read.action, read.object_name, read.raw["requestParameters"]) == ("api.request", "ListThings", {"max": 5})


def test_an_object_of_a_bucket_is_a_file():
    op = one(aws_cloudtrail.parse, LINES[1])
    assert (op.action, op.object_type, op.object_id, op.fields["file.name"]) == (
        "file.download",
        "s3_object",
        "b/k/x",
        "x",
    )


def test_a_new_key_is_the_object_and_its_secret_is_gone():
    answer = {"accessKey": {"userName": "lee", "accessKeyId": "AKIALEE", "secretAccessKey": "hunter2"}}
    op = one(aws_cloudtrail.parse, event("CreateAccessKey", parameters={"userName": "lee"}, responseElements=answer))
    assert (op.object_type, op.object_id, op.fields["user.target.name"]) == ("access_key_id", "AKIALEE", "lee")
    assert "hunter2" not in repr(op)


def test_secrets_are_dropped_from_changes_values_and_answers():
    put = one(aws_cloudtrail.parse, event("PutSecretValue", parameters={"secretId": "s", "secretString": "hunter2"}))
    assert put.changes == [Change("secretString", UNKNOWN, SECRET, derivation="new_only")]
    parameters = {
        "dBInstanceIdentifier": "d",
        "masterUserPassword": "p-1",
        "tags": [{"key": "api_key", "value": "k-1"}],
    }
    answer = {"credentials": {"sessionToken": "tok-1", "accessKeyId": "ASIA"}}
    op = one(aws_cloudtrail.parse, event("CreateDBInstance", parameters=parameters, responseElements=answer))
    assert not any(secret in repr(op) for secret in ("p-1", "k-1", "tok-1"))


def test_a_host_name_is_no_address():
    op = one(aws_cloudtrail.parse, event("X", sourceIPAddress="ec2.amazonaws.com"))
    assert op.fields["source.domain"] == "ec2.amazonaws.com" and "source.ip" not in op.fields
    assert (
        one(aws_cloudtrail.parse, event("X", sourceIPAddress="AWS Internal")).raw["sourceIPAddress"] == "AWS Internal"
    )


def test_eventbridge_and_lookups_are_unwrapped():
    inner = event("DeleteUser", parameters={"userName": "lee"})
    (bridged,) = aws_cloudtrail.parse(json.dumps({"detail-type": "x", "id": "b", "detail": inner}).encode(), CONTEXT)
    assert bridged.action == "user.delete" and bridged.raw["@envelope"] == {"detail-type": "x", "id": "b"}
    looked = {"Events": [{"EventId": "e", "CloudTrailEvent": json.dumps(inner)}], "NextToken": "n"}
    (found,) = aws_cloudtrail.parse(json.dumps(looked).encode(), CONTEXT)
    assert (found.object_id, found.raw["@envelope"]) == ("lee", {"NextToken": "n"})


@pytest.mark.parametrize(
    "document",
    [
        {"Records": []},
        {"Records": [7]},
        {"Events": [{}]},
        {"Events": []},
        {"eventVersion": "1", "eventName": "x"},
        {"digestStartTime": "t"},
    ],
)
def test_what_is_no_event_is_refused(document):
    assert isinstance(aws_cloudtrail.parse(json.dumps(document).encode(), CONTEXT), Rejected)


def test_every_scalar_of_an_event_is_carried_exactly_once():
    document = event(
        "UpdateRole",
        {name: value for name, value in KIM.items() if name != "accountId"},
        parameters={"roleName": "r", "description": "d", "maxSessionDuration": 3600},
        userAgent="ua",
        requestID="rq",
        responseElements={"x": "y"},
        readOnly=False,
    )
    assert_nothing_is_lost_or_doubled(aws_cloudtrail.parse, json.dumps(document).encode())
