"""Salesforce: field history, change events, the setup audit trail, event log files and logins to operations."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mappings
from parsers import _salesforce_events, _salesforce_setup, salesforce
from parsers._contract import ABSENT, SECRET, UNKNOWN, Change, Context, Operation, Rejected, Time
from tests.parser_checks import (
    CONTEXT,
    assert_nothing_is_lost_or_doubled,
    assert_sound,
    one,
)

WHEN = "2026-03-01T17:04:05.000+0000"
HISTORY = {
    "attributes": {"type": "AccountHistory", "url": "/services/data/v63.0/sobjects/AccountHistory/017xx1"},
    "Id": "017xx1",
    "AccountId": "001xx1",
    "Field": "Rating",
    "OldValue": "Cold",
    "NewValue": "Hot",
    "DataType": "Text",
    "CreatedById": "005xx1",
    "CreatedBy": {
        "attributes": {"type": "User", "url": "/x/User/005xx1"},
        "Name": "Kim Q",
        "Username": "kim@co.example",
    },
    "CreatedDate": WHEN,
}
EVENT = {
    "ChangeEventHeader": {
        "entityName": "Contact",
        "recordIds": ["003xx1"],
        "changeType": "UPDATE",
        "changeOrigin": "com/salesforce/api/rest/63.0;client=Payroll",
        "transactionKey": "t-1",
        "sequenceNumber": 3,
        "commitTimestamp": 1772384645000,
        "commitUser": "005xx1",
        "commitNumber": 10585,
        "changedFields": ["Title", "MailingAddress.City", "LastModifiedDate"],
        "nulledFields": ["Phone"],
        "diffFields": [],
    },
    "Title": "Boss",
    "MailingAddress": {"City": "Bern", "Street": None},
    "Phone": None,
    "LastModifiedDate": "2026-03-01T17:04:05Z",
}
SETUP = {
    "attributes": {"type": "SetupAuditTrail"},
    "Id": "0Ymxx1",
    "Action": "changedroleforuser",
    "Section": "Manage Users",
    "Display": "Changed role for user Lee Ode from Sales to Support",
    "DelegateUser": None,
    "CreatedById": "005xx1",
    "CreatedDate": WHEN,
}
LOGIN = {
    "Id": "0Yaxx1",
    "UserId": "005xx1",
    "LoginTime": WHEN,
    "LoginType": "Application",
    "SourceIp": "198.51.100.9",
    "Status": "Success",
    "Browser": "Chrome 145",
    "Platform": "Windows 11",
}
LOG = {
    "EVENT_TYPE": "Login",
    "TIMESTAMP": "20260301170405.507",
    "TIMESTAMP_DERIVED": "2026-03-01T17:04:05.507Z",
    "REQUEST_ID": "r-1",
    "ORGANIZATION_ID": "00Dxx1",
    "USER_ID": "005xx000001SwiU",
    "USER_ID_DERIVED": "005xx000001SwiUAAS",
    "USER_NAME": "kim@co.example",
    "SESSION_KEY": "qwbm",
    "SOURCE_IP": "198.51.100.9",
    "LOGIN_STATUS": "LOGIN_NO_ERROR",
    "RUN_TIME": "67",
}
LINES = [
    json.dumps({"totalSize": 2, "done": True, "records": [HISTORY, {**HISTORY, "Field": "created"}]}).encode(),
    json.dumps(EVENT).encode(),
    json.dumps({"schema": "s", "payload": EVENT, "event": {"replayId": 9}}).encode(),
    json.dumps(SETUP).encode(),
    json.dumps({**SETUP, "DelegateUser": "admin@co.example"}).encode(),
    json.dumps(LOGIN).encode(),
    json.dumps(LOG).encode(),
]


def parse(document, context=CONTEXT):
    return salesforce.parse(json.dumps(document).encode(), context)


def csv(header, *fields, context=CONTEXT):
    quoted = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    return salesforce.parse(f"{header}\n{quoted}".encode(), context)


# -- field history ------------------------------------------------------------------------------------------------------


def test_a_history_row_says_who_changed_what_from_what_to_what():
    assert one(salesforce.parse, HISTORY) == Operation(
        action="field.update",
        kind="field_history",
        time=Time(WHEN),
        id="017xx1",
        object_type="account",
        object_id="001xx1",
        object_label="Account",
        actor_type="user",
        actor_confidence="asserted",
        fields={"user.id": "005xx1", "user.name": "kim@co.example", "user.full_name": "Kim Q"},
        changes=[Change("Rating", "Cold", "Hot")],
        raw={"DataType": "Text"},
    )


@pytest.mark.parametrize(
    ("kind", "parent", "object_type"),
    [
        ("OpportunityFieldHistory", "OpportunityId", "opportunity"),
        ("Invoice__History", "ParentId", "invoice_c"),
        (None, "CaseId", "case"),
        (None, "ParentId", "account"),
    ],
)
def test_the_object_comes_from_the_rows_type_its_parent_or_the_ids_first_characters(kind, parent, object_type):
    row = {**HISTORY, "attributes": {"type": kind} if kind else None, parent: "001xx9"}
    if parent != "AccountId":
        del row["AccountId"]
    op = one(salesforce.parse, row)
    assert (op.object_type, op.object_id) == (object_type, "001xx9")


@pytest.mark.parametrize(
    ("field", "old", "new", "action", "changes"),
    [
        ("Phone", None, "1", "field.update", [Change("Phone", None, "1")]),
        ("Phone", "1", None, "field.update", [Change("Phone", "1", None)]),
        ("Bio__c", None, None, "field.update", [Change("Bio__c", UNKNOWN, UNKNOWN, derivation="new_only")]),
        ("created", None, None, "record.create", []),
        ("contactMerged", None, None, "record.merge", []),
        ("locked", None, None, "field.update", []),
    ],
)
def test_nulls_keep_their_direction_and_what_is_no_field_is_no_change(field, old, new, action, changes):
    op = one(salesforce.parse, {**HISTORY, "Field": field, "OldValue": old, "NewValue": new})
    assert (op.action, op.changes) == (action, changes)


def test_a_history_export_as_csv_is_read_by_its_header():
    header = "ID,ACCOUNTID,FIELD,OLDVALUE,NEWVALUE,CREATEDBYID,CREATEDBY.NAME,CREATEDDATE,MOOD"
    (op,) = csv(header, "017xx1", "001xx1", "Phone", "", "1", "005xx1", "Kim Q", WHEN, "good")
    assert op.changes == [Change("Phone", None, "1")]
    assert (op.object_type, op.object_id, op.id) == ("account", "001xx1", "017xx1")
    assert op.fields == {"user.id": "005xx1", "user.full_name": "Kim Q"}
    assert op.raw == {"MOOD": "good"}


# -- change events ------------------------------------------------------------------------------------------------------


def test_a_change_event_gives_the_fields_that_its_header_names():
    op = one(salesforce.parse, EVENT)
    assert (op.action, op.code, op.id, op.interface) == ("field.update", "UPDATE", "t-1/3/003xx1", "api")
    assert op.changes == [
        Change("Title", UNKNOWN, "Boss", derivation="new_only"),
        Change("MailingAddress.City", UNKNOWN, "Bern", derivation="new_only"),
        Change("Phone", UNKNOWN, None, derivation="new_only"),
    ]
    assert op.fields == {"user.id": "005xx1", "transaction.id": "t-1", "event.sequence": 3}
    assert op.raw == {
        "LastModifiedDate": "2026-03-01T17:04:05Z",
        "ChangeEventHeader": {"changeOrigin": "com/salesforce/api/rest/63.0;client=Payroll", "commitNumber": 10585},
    }


def test_an_event_of_several_records_is_one_operation_for_each():
    header = {**EVENT["ChangeEventHeader"], "recordIds": ["003xx1", "003xx2"]}
    operations = parse({**EVENT, "ChangeEventHeader": header})
    assert [op.object_id for op in operations] == ["003xx1", "003xx2"]
    assert [op.id for op in operations] == ["t-1/3/003xx1", "t-1/3/003xx2"]
    assert operations[0].changes == operations[1].changes
    assert operations[0].changes is not operations[1].changes
    assert operations[1].raw == {}


@pytest.mark.parametrize(
    ("entity", "kind", "body", "action"),
    [
        ("Account", "CREATE", {"Name": "A"}, "record.create"),
        ("Account", "DELETE", {}, "record.delete"),
        ("Account", "UNDELETE", {"Name": "A"}, "record.restore"),
        ("Account", "GAP_CREATE", {}, "record.create"),
        ("Account", "GAP_UPDATE", {}, "field.update"),
        ("Account", "NEW_KIND", {}, "log.message"),
        ("User", "CREATE", {"Name": "A"}, "user.create"),
        ("User", "UPDATE", {"ProfileId": "00exx1"}, "role.grant"),
        ("User", "UPDATE", {"IsActive": False}, "user.disable"),
        ("User", "UPDATE", {"Title": "x"}, "user.update"),
    ],
)
def test_kinds_of_change_events_become_our_actions(entity, kind, body, action):
    header = {**EVENT["ChangeEventHeader"], "entityName": entity, "changeType": kind, "nulledFields": []}
    header["changedFields"] = list(body) if kind == "UPDATE" else []
    op = one(salesforce.parse, {"ChangeEventHeader": header, **body})
    assert op.action == action
    assert op.values == (body if kind in {"CREATE", "UNDELETE"} else {})


def test_values_of_a_created_record_have_the_paths_of_their_components():
    header = {**EVENT["ChangeEventHeader"], "changeType": "CREATE", "changedFields": []}
    op = one(salesforce.parse, {"ChangeEventHeader": header, "A": {"City": "Bern", "Zip": None}, "B": None, "C": 1})
    assert op.values == {"A.City": "Bern", "C": 1}


def test_an_event_about_no_record_has_none():
    header = {**EVENT["ChangeEventHeader"], "changeType": "GAP_OVERFLOW", "recordIds": ["000000000000000AAA"]}
    op = one(salesforce.parse, {"ChangeEventHeader": header})
    assert (op.action, op.object_id) == ("log.message", None)
    assert op.raw["ChangeEventHeader"]["recordIds"] == ["000000000000000AAA"]


def test_a_field_that_is_sent_as_a_difference_keeps_it_in_raw():
    header = {**EVENT["ChangeEventHeader"], "changedFields": ["Description"], "diffFields": ["Description"]}
    op = one(salesforce.parse, {"ChangeEventHeader": {**header, "nulledFields": []}, "Description": "@@ -1 +1 @@"})
    assert op.changes == [Change("Description", UNKNOWN, UNKNOWN, derivation="new_only")]
    assert op.raw["Description"] == "@@ -1 +1 @@"


# -- the setup audit trail ----------------------------------------------------------------------------------------------

SENTENCES = [
    ("changedroleforuser", "Changed role for user Lee Ode from Sales to Support", "role.grant", "user",
     Change("role", "Sales", "Support")),
    ("changedroleforusertonone", "Changed role for user Lee Ode from Sales to <None Specified>", "role.revoke", "user",
     Change("role", "Sales", None)),
    ("changedemail", "Changed email for user Lee Ode (UserID: [005xx00000EsOI0]) from a@co.example to b@co.example",
     "user.update", "user", Change("email", "a@co.example", "b@co.example")),
    ("changedManager", "The manager for user Lee Ode (UserID: [005xx00000EsOI0]) changed from Ann B to Bo C",
     "user.update", "user", Change("manager", "Ann B", "Bo C")),
    ("changedinteractionuseroffon", "For user Lee Ode, changed Flow user from off to on", "user.update", "user",
     Change("Flow user", "off", "on")),
    ("userAllowForecastingOff", "Changed allow forecasting from on to off for user Lee Ode", "user.update", "user",
     Change("allow forecasting", "on", "off")),
    ("changedusername", "Changed username for 005xx00000EsOI0 from a@co.example to b@co.example", "user.update", "user",
     Change("username", "a@co.example", "b@co.example")),
    ("changedUserEmailVerifiedStatusVerified", "For user lee@co.example, the User Verified Email status changed to verified",
     "user.update", "user", Change("User Verified Email status", UNKNOWN, "verified")),
    ("changedprofileforuserstdtoadmin", "Changed profile for user Lee Ode from Standard User to System Administrator",
     "role.grant", "user", Change("profile", "Standard User", "System Administrator")),
    ("PermSetAssign", "Permission set Pay: assigned to user Lee Ode (UserID: [005xx00000EsOI0])", "role.grant", "user",
     Change("permission_set", ABSENT, "Pay")),
    ("PermSetGroupUnassign", "Permission set group Pay: unassigned from user Lee Ode (UserID: [005xx00000EsOI0])",
     "role.revoke", "user", Change("permission_set_group", "Pay", ABSENT)),
    ("PermSetEnableUserPerm", "Changed permission set Pay: Edit Tasks permission was changed from disabled to enabled",
     "role.update", "permission_set", Change("Edit Tasks permission", "disabled", "enabled")),
    ("profileFlsChangedStandard",
     "Changed profile Pay: field-level security for Opportunity: Type was changed from Read Only to Read/Write",
     "role.update", "profile", Change("field-level security for Opportunity: Type", "Read Only", "Read/Write")),
    ("enhancedProfileMgmtOffOn", "Changed Enhanced Profile List Views from off to on", "config.update", "setup",
     Change("Enhanced Profile List Views", "off", "on")),
    ("PermSetCreate", "Created permission set Pay: with User License Salesforce", "role.create", "permission_set", None),
    ("deactivateduser", "Deactivated user Lee Ode (UserID: [005xx00000EsOI0])", "user.disable", "user", None),
    ("createdpartneruser", "Created new Partner User Lee Ode", "user.create", "user", None),
    ("frozeuser", "Froze user account for Lee Ode", "user.lock", "user", None),
    ("resetpassword", "Reset password for user Lee Ode", "password.reset", "user", None),
    ("insertTwoFactorInfo2", "Time-Based Token added for lee@co.example", "mfa.enable", "user", None),
    ("loginIpRange", "Added Login Ip Range to Sales from 192.0.2.1 to 192.0.2.9", "config.create", "setup", None),
    ("changedx", "Changed slogan from Go to market to Buy", "config.update", "setup", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "display", "action", "object_type", "change"), SENTENCES, ids=[one[0] for one in SENTENCES]
)
@pytest.mark.parametrize("download", [False, True])
def test_sentences_of_the_setup_trail_are_read_with_and_without_their_code(
    code, display, action, object_type, change, download
):
    if download:
        header = "Date,User,Source Namespace Prefix,Action,Section,Delegate User"
        (op,) = csv(header, "3/1/2026 5:04:05 PM GMT", "kim@co.example", "", display, "Manage Users", "")
        assert op.time == Time("2026-03-01T17:04:05Z")
    else:
        op = one(salesforce.parse, {**SETUP, "Action": code, "Display": display})
    if code == "changedusername" and download:
        action = "user.update"
    assert (op.action, op.object_type) == (action, object_type)
    assert op.changes == ([change._replace(derivation="reconstructed")] if change else [])


def test_the_target_of_a_right_is_named():
    display = "Permission set Pay: assigned to user Lee Ode (UserID: [005xx00000EsOI0])"
    op = one(salesforce.parse, {**SETUP, "Action": "PermSetAssign", "Display": display})
    assert op.fields["user.target.id"] == op.object_id == "005xx00000EsOI0"
    assert op.fields["user.target.full_name"] == "Lee Ode"
    assert op.fields["user.changes.roles"] == ["Pay"]


def test_values_that_were_read_from_a_sentence_stand_there_no_more():
    op = one(salesforce.parse, SETUP)
    assert op.raw["Display"] == "Changed role for user Lee Ode from … to …"
    assert op.message is None


def test_a_delegate_is_the_actor_and_the_account_is_the_effective_user():
    op = one(salesforce.parse, {**SETUP, "DelegateUser": "admin@co.example"})
    assert op.fields["user.name"] == "admin@co.example"
    assert op.fields["user.effective.id"] == "005xx1"
    assert "user.id" not in op.fields


def test_a_login_as_somebody_else_is_an_impersonation():
    display = "Logged in using Login-As access for Lee Ode"
    op = one(salesforce.parse, {**SETUP, "Action": "suOrgAdminLogin", "Display": display})
    assert (op.action, op.fields["user.id"], op.fields["user.effective.full_name"]) == (
        "auth.impersonate", "005xx1", "Lee Ode",
    )  # fmt: skip


def test_a_secret_in_a_sentence_is_dropped():
    display = "Changed consumer secret from hunter1 to hunter2"
    op = one(salesforce.parse, {**SETUP, "Action": "changeAuthProviderConsumerSecret", "Display": display})
    assert op.changes == [Change("consumer secret", SECRET, SECRET, derivation="reconstructed")]
    assert "hunter" not in str(op.raw) + str(op.message)


@pytest.mark.parametrize(
    ("text", "options", "time"),
    [
        ("3/1/2026, 5:04:05 PM PST", {}, "2026-03-01T17:04:05-08:00"),
        ("3/1/2026 12:04 AM", {}, "2026-03-01T00:04:00"),
        ("3/1/2026 17:04", {"dates": "day_first"}, "2026-01-03T17:04:00"),
        ("13/1/2026 08:00", {}, "2026-01-13T08:00:00"),
        ("2026-03-01 17:04:05", {}, "2026-03-01 17:04:05"),
    ],
)
def test_dates_of_the_download(text, options, time):
    header = "Date,User,Action,Section,Delegate User"
    (op,) = csv(header, text, "kim", "Did something", "", "", context=Context(options=options))
    assert op.time == Time(time)


# -- event logs and logins ----------------------------------------------------------------------------------------------


def test_a_login_of_an_event_log_has_user_session_address_and_outcome():
    op = one(salesforce.parse, LOG)
    assert (op.action, op.outcome, op.id, op.kind) == ("auth.login", "success", "r-1", "login")
    assert op.fields == {
        "user.id": "005xx000001SwiUAAS",
        "source.ip": "198.51.100.9",
        "user.name": "kim@co.example",
        "http.request.id": "r-1",
        "organization.id": "00Dxx1",
        "trail.session.id": "qwbm",
        "event.duration": 67_000_000,
    }
    assert (op.time, op.raw) == (Time("2026-03-01T17:04:05.507Z"), {})
    failed = one(salesforce.parse, {**LOG, "LOGIN_STATUS": "LOGIN_ERROR_INVALID_PASSWORD"})
    assert (failed.outcome, failed.fields["event.reason"]) == ("failure", "LOGIN_ERROR_INVALID_PASSWORD")


def test_an_export_names_the_report_and_its_rows():
    row = {**LOG, "EVENT_TYPE": "ReportExport", "URI": "/00Oxx0000001AbC", "ROW_COUNT": "48211"}
    op = one(salesforce.parse, row)
    assert (op.action, op.object_type, op.object_id) == ("data.export", "report", "00Oxx0000001AbC")
    assert op.fields["trail.export.rows"] == 48211


@pytest.mark.parametrize(
    ("kind", "more", "action", "interface"),
    [
        ("Report", {}, "report.run", None),
        ("ApiTotalUsage", {"ENTITY_NAME": "Account"}, "api.request", "api"),
        ("BulkApi2", {"OPERATION_TYPE": "query"}, "data.read", "api"),
        ("BulkApi", {"OPERATION_TYPE": "insert"}, "data.import", "api"),
        ("Logout", {}, "auth.logout", None),
        ("ContentTransfer", {"TRANSACTION_TYPE": "VersionDownloadAction"}, "file.download", None),
        ("SomethingNew", {}, "log.message", None),
    ],
)
def test_event_types_become_our_actions(kind, more, action, interface):
    op = one(salesforce.parse, {**LOG, "EVENT_TYPE": kind, **more})
    assert (op.action, op.interface, op.code) == (action, interface, kind)


def test_a_login_as_of_the_event_log_tells_both_users():
    more = {"EVENT_TYPE": "LoginAs", "DELEGATED_USER_ID": "005xx000001AdmI", "DELEGATED_USER_NAME": "admin@co.example"}
    op = one(salesforce.parse, {**LOG, **more})
    assert (op.fields["user.id"], op.fields["user.name"]) == ("005xx000001AdmI", "admin@co.example")
    assert (op.fields["user.effective.id"], op.fields["user.effective.name"]) == (
        "005xx000001SwiUAAS",
        "kim@co.example",
    )
    assert (op.object_type, op.object_id) == ("user", "005xx000001SwiUAAS")


def test_login_history_has_its_outcome_from_rest_and_from_the_download():
    op = one(salesforce.parse, {**LOGIN, "Status": "Invalid Password"})
    assert (op.action, op.outcome, op.fields["event.reason"]) == ("auth.login", "failure", "Invalid Password")
    (op,) = csv(
        "Username,Login Time,Source IP,Login Type,Status", "kim", WHEN, "198.51.100.9", "Application", "Success"
    )
    assert (op.outcome, op.fields["user.name"], op.fields["source.ip"]) == ("success", "kim", "198.51.100.9")


# -- what holds for all -------------------------------------------------------------------------------------------------


def test_every_action_is_in_the_vocabulary():
    known = set(mappings.actions())
    assert {action for *_, action in _salesforce_setup._RULES} <= known
    assert {action for action, _ in _salesforce_events._EVENTS.values()} <= known


@pytest.mark.parametrize(
    ("document", "ours"),
    [
        (HISTORY, {"AccountHistory", "User", "/x/User/005xx1", HISTORY["attributes"]["url"], "Rating"}),
        (LOGIN, {"Success"}),
        (LOG, {"20260301170405.507", "005xx000001SwiU", "LOGIN_NO_ERROR", "67"}),
    ],
)
def test_nothing_of_a_record_is_lost_or_doubled(document, ours):
    line = json.dumps({**document, "Extra": {"k": ["only here"]}}).encode()
    assert_nothing_is_lost_or_doubled(salesforce.parse, line, translated=ours)


def test_a_custom_field_with_a_secret_is_dropped():
    op = one(salesforce.parse, {**HISTORY, "Field": "Api_Token__c"})
    assert op.changes == [Change("Api_Token__c", SECRET, SECRET)]
    header = {**EVENT["ChangeEventHeader"], "changeType": "CREATE", "changedFields": []}
    op = one(salesforce.parse, {"ChangeEventHeader": header, "Password__c": "hunter1"})
    assert "hunter1" not in str(op.values)


def test_an_answer_without_records_is_no_change():
    assert one(salesforce.parse, {"totalSize": 0, "done": True, "records": []}).no_change


@pytest.mark.parametrize(
    "document",
    [
        {"records": []},
        {**HISTORY, "CreatedById": ..., "CreatedBy": ...},
        {**EVENT, "ChangeEventHeader": {**EVENT["ChangeEventHeader"], "recordIds": [1]}},
        {**SETUP, "attributes": ..., "Section": ..., "DelegateUser": ...},
        {"EVENT_TYPE": "Login"},
    ],
)
def test_what_is_not_salesforces_is_refused(document):
    document = {name: value for name, value in document.items() if value is not ...}
    assert isinstance(parse(document), Rejected)


def test_a_csv_file_of_another_kind_is_refused():
    assert isinstance(csv("Date,User,Action", "a", "b", "c"), Rejected)
    assert isinstance(csv("Event_Type,Timestamp,User Id", "Login", "b", "c"), Rejected)


WORDS = st.sampled_from(
    ["Changed ", "user ", " from ", " to ", "for ", "permission set ", "role", ": ", "(UserID: [005xx00000EsOI0])", "Kim Q",
     " status changed to ", "assigned", "\n", "…", '"', ", ", "Login-As access for ", "a@b.example"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=40).map("".join), st.sampled_from(["", "changedx", "PermSetAssign", "profileX"]))
def test_any_sentence_yields_a_sound_result(text, code):
    assert_sound(parse({**SETUP, "Action": code, "Display": text}))


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in LINES:
        assert any(literal in line for literal in salesforce.LITERALS)
