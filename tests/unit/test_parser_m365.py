"""Microsoft 365 unified audit log: records and rows of exports to operations."""

import csv
import io
import json

import pytest

from parsers import m365
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Rejected, Time
from parsers._m365 import action_of
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    one,
)


def record(operation, workload="AzureActiveDirectory", **more):
    return {
        "CreationTime": "2026-02-03T10:30:00",
        "Id": "m-1",
        "Operation": operation,
        "OrganizationId": "t-1",
        "RecordType": 8,
        "UserType": 0,
        "Workload": workload,
        "UserId": "kim@co.example",
        **more,
    }


def pairs(**values):
    return [{"Name": name, "Value": value} for name, value in values.items()]


def as_csv(header, *rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().rstrip("\n").encode()


LINES = [
    json.dumps(record("Update user.", ObjectId="lee@co.example",
                      ModifiedProperties=[{"Name": "Department", "OldValue": '["A"]', "NewValue": '["B"]'}])).encode(),
    json.dumps([record("Set-Mailbox", "Exchange", ClientIP="[2001:db8::1]:99", Parameters=pairs(Identity="lee", A="1"))]).encode(),
    json.dumps(record("FileDownloaded", "SharePoint", SourceFileName="a.xlsx", AppAccessContext={"AADSessionId": "s"})).encode(),
]  # fmt: skip


def test_a_directory_record_has_who_whom_from_and_to():
    op = one(m365.parse, LINES[0])
    assert (op.action, op.code, op.object_type, op.object_id) == (
        "user.update",
        "Update user.",
        "user",
        "lee@co.example",
    )
    assert op.changes == [Change("Department", "A", "B")]
    assert (op.fields["user.email"], op.fields["user.target.email"]) == ("kim@co.example", "lee@co.example")
    assert op.fields["event.provider"] == "AzureActiveDirectory" and op.actor_type == "user"


def test_a_time_without_a_zone_is_utc():
    assert one(m365.parse, LINES[0]).time == Time("2026-02-03T10:30:00Z")
    assert one(m365.parse, record("x", CreationTime="2026-02-03T10:30:00+02:00")).time == Time(
        "2026-02-03T10:30:00+02:00"
    )


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("UserLoggedIn", "auth.login"),
        ("FileDownloaded", "file.download"),
        ("FileSyncDownloadedFull", "file.download"),
        ("FileUploaded", "file.upload"),
        ("FileAccessedExtended", "file.access"),
        ("FileRecycled", "file.delete"),
        ("FileRenamed", "file.update"),
        ("AnonymousLinkCreated", "record.share"),
        ("CompanyLinkRemoved", "record.unshare"),
        ("New-InboxRule", "config.create"),
        ("Set-Mailbox", "config.update"),
        ("Remove-InboxRule", "config.delete"),
        ("Get-Mailbox", "record.view"),
        ("Add-MailboxPermission", "role.grant"),
        ("New-MailboxExportRequest", "data.export"),
        ("Add member to role.", "role.grant"),
        ("MemberAdded", "group.add"),
        ("ViewReport", "report.run"),
        ("Frobnicated", "log.message"),
    ],
)
def test_operations_become_our_actions(operation, action):
    assert action_of(operation) == action


@pytest.mark.parametrize(
    ("kind", "actor", "interface"),
    [(0, "user", None), ("Admin", "user", None), (4, "system", "system"), (5, "api_key", "api"), (77, "unknown", None)],
)
def test_kinds_of_users_are_told_apart(kind, actor, interface):
    op = one(m365.parse, record("x", UserType=kind))
    assert (op.actor_type, op.interface) == (actor, interface)


def test_nobody_is_nobody():
    op = one(m365.parse, record("x", UserId="Not Available"))
    assert not any(name.startswith("user.") for name in op.fields) and op.raw["UserId"] == "Not Available"


def test_addresses_lose_port_and_brackets_and_stay_as_written():
    op = one(m365.parse, LINES[1])
    assert op.fields["source.ip"] == "2001:db8::1" and op.raw["ClientIP"] == "[2001:db8::1]:99"


def test_a_cmdlet_that_sets_tells_new_values_only():
    op = one(m365.parse, LINES[1])
    assert (op.action, op.object_type, op.object_id) == ("config.update", "mailbox", "lee")
    assert op.changes == [Change("A", UNKNOWN, "1", derivation="new_only")]
    assert "Parameters" not in op.raw


def test_a_cmdlet_that_makes_has_values_without_secrets():
    op = one(m365.parse, record("New-Mailbox", "Exchange", Parameters=pairs(Name="n", Password="hunter2")))
    assert op.action == "config.create" and op.values == {"Name": "n", "Password": "(secret dropped)"}
    changed = one(m365.parse, record("Set-Mailbox", "Exchange", Parameters=pairs(Password="hunter2")))
    assert changed.changes == [Change("Password", UNKNOWN, SECRET, derivation="new_only")]


def test_switching_the_audit_log_off_and_on():
    for value, action in (("False", "audit.disable"), ("True", "audit.enable")):
        parameters = pairs(UnifiedAuditLogIngestionEnabled=value)
        assert one(m365.parse, record("Set-AdminAuditLogConfig", "Exchange", Parameters=parameters)).action == action


def test_a_bare_list_of_properties_has_unknown_values():
    op = one(
        m365.parse, record("Update", "Exchange", ModifiedProperties=["HtmlBody"], MailboxOwnerUPN="lee@co.example")
    )
    assert op.changes == [Change("HtmlBody", UNKNOWN, UNKNOWN, derivation="new_only")]
    assert (op.action, op.object_type) == ("field.update", "mailbox")


@pytest.mark.parametrize(
    ("old", "new", "change"), [("[]", '["x"]', Change("A", ABSENT, "x")), ('["x"]', "[]", Change("A", "x", ABSENT))]
)
def test_empty_arrays_give_the_direction(old, new, change):
    entry = {"Name": "A", "OldValue": old, "NewValue": new}
    assert one(m365.parse, record("Update user.", ModifiedProperties=[entry])).changes == [change]


def test_synchronising_a_mailbox_is_reading_in_bulk():
    for kind, action in (("Sync", "data.read"), ("Bind", "record.view")):
        document = record(
            "MailItemsAccessed",
            "Exchange",
            MailboxOwnerUPN="l@co.example",
            OperationProperties=pairs(MailAccessType=kind),
        )
        assert one(m365.parse, document).action == action


def test_a_sign_in_has_session_agent_and_reason():
    document = record(
        "UserLoginFailed",
        ApplicationId="a-1",
        ObjectId="a-1",
        ErrorNumber="50126",
        LogonError="Invalid",
        DeviceProperties=pairs(SessionId="s-1", OS="W"),
        ExtendedProperties=pairs(UserAgent="UA", Other="o"),
    )
    op = one(m365.parse, document)
    assert (op.outcome, op.object_id, op.fields["error.code"], op.fields["event.reason"]) == (
        "failure",
        "a-1",
        "50126",
        "Invalid",
    )
    assert (op.fields["trail.session.id"], op.fields["user_agent.original"]) == ("s-1", "UA")
    assert op.raw == {"RecordType": 8, "UserType": 0, "ExtendedProperties": {"Other": "o"}}


def test_a_message_sent_for_somebody_names_both():
    document = record(
        "SendOnBehalf", "Exchange", MailboxOwnerUPN="kim@co.example", SendOnBehalfOfUserSmtp="boss@co.example"
    )
    op = one(m365.parse, document)
    assert (op.fields["email.from.address"], op.fields["user.effective.email"]) == ("kim@co.example", "boss@co.example")


def test_a_row_of_an_export_is_its_record():
    header = ["RecordId", "CreationDate", "RecordType", "Operation", "UserId", "AuditData", "AssociatedAdminUnits"]
    data = record("FileDeleted", "OneDrive", ObjectId="https://co.example/a")
    line = as_csv(
        header, ["m-1", "2026-02-03T10:30:00.0000000Z", "8", "FileDeleted", "kim@co.example", json.dumps(data), "au"]
    )
    op = one(m365.parse, line)
    assert (op.action, op.id, op.object_id) == ("file.delete", "m-1", "https://co.example/a")
    assert op.raw == {"RecordType": 8, "UserType": 0, "@envelope": {"AssociatedAdminUnits": "au"}}


@pytest.mark.parametrize(
    "line",
    [
        as_csv(["Id", "Operation"], ["1", "x"]),
        as_csv(["Id", "AuditData"], ["1", "{cut"]),
        as_csv(["Id", "AuditData"], ["1", "[]"]),
        b"just text",
        b'{"AuditData":"{cut"}',
        b'{"Operation":"x","CreationTime":"y"}',
        b'{"value":[]}',
    ],
)
def test_what_is_no_record_is_refused_without_its_values(line):
    result = m365.parse(line, CONTEXT)
    assert isinstance(result, Rejected) and "cut" not in result.reason


def test_a_record_of_graph_is_unwrapped():
    outer = {
        "id": "m-1",
        "auditLogRecordType": "x",
        "operation": "FileDeleted",
        "auditData": record("FileDeleted", "OneDrive"),
    }
    op = one(m365.parse, {"value": [outer]})
    assert (op.action, op.raw["@row"]) == ("file.delete", {"auditLogRecordType": "x"})


def test_an_edit_that_changed_nothing_is_no_change():
    entry = {"Name": "A", "OldValue": '["x"]', "NewValue": '["x"]'}
    assert one(m365.parse, record("Update user.", ModifiedProperties=[entry])).no_change is True


def test_every_scalar_of_a_record_is_carried_exactly_once():
    document = record(
        "FileAccessed",
        "SharePoint",
        ClientIP="198.51.100.9",
        ObjectId="https://co.example/f",
        SourceFileExtension="xls",
        Site="s-1",
        EventData="<a/>",
        AppAccessContext={"AADSessionId": "x-1", "CorrelationId": "c-1"},
    )
    line = json.dumps({**document, "UserType": 10}).encode()
    assert_nothing_is_lost_or_doubled(m365.parse, line, translated={"2026-02-03T10:30:00"})
