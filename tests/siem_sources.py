"""The logs of a small company on two days, in the formats of its sources: see tests/siem_data.py.

The company: Dana and Lee in human resources, Kim and Robin in recruiting, Sam in sales, Ann who builds automations.
On 3 February somebody guesses Sam's password from 203.0.113.66 and exports the contacts.

Invented: example domains, documentation addresses, no real people.
"""

import csv
import io
import json
from dataclasses import dataclass

DAY = "2026-02-03"


@dataclass(frozen=True)
class Source:
    """One input: its format, the name of its file, its lines."""

    format: str
    file: str
    lines: tuple[str, ...]


def _json(*records):
    return tuple(json.dumps(record, separators=(",", ":"), ensure_ascii=False) for record in records)


def _csv(*rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return tuple(text.getvalue().splitlines())


# -- the HR application (django-auditlog) ------------------------------------------------------------------------------


def _hr(number, when, who, pk, changes, ip, action=1):
    return {
        "id": number,
        "content_type": "hr.employee",
        "object_pk": str(pk),
        "object_id": pk,
        "object_repr": f"Employee {pk}",
        "action": action,
        "changes": changes,
        "actor": who,
        "actor_email": f"{who}@co.example",
        "cid": f"c-{1000 + number}",
        "remote_addr": ip,
        "remote_port": 52011,
        "timestamp": when,
        "additional_data": None,
    }


HR_APP = _json(
    _hr(
        1,
        "2026-02-03T09:15:42.551+00:00",
        "dana",
        7711,
        {"salary": ["61000.00", "74500.00"], "department": ["Support", "Payroll"]},
        "192.0.2.17",
    ),
    _hr(
        2,
        "2026-02-03T09:58:03.120+00:00",
        "lee",
        7711,
        {"iban": ["DE00 0000 0000 0000 0000 00", "DE00 0000 0000 0000 0000 11"]},
        "192.0.2.44",
    ),
    _hr(
        3,
        "2026-02-03T10:05:00.000+00:00",
        "dana",
        8120,
        {"name": ["None", "New Hire"], "salary": ["None", "52000.00"]},
        "192.0.2.17",
        action=0,
    ),
    _hr(4, "2026-02-03T22:41:10.000+00:00", "lee", 8120, {"salary": ["52000.00", "98000.00"]}, "192.0.2.44"),
    _hr(5, "2026-02-04T08:11:09.900+00:00", "dana", 7711, {"manager": ["None", "3021"]}, "192.0.2.17"),
)


# -- recruiting (Greenhouse) -------------------------------------------------------------------------------------------

_KIM = {
    "meta": {"name": "Kim Q", "username": "kim@co.example"},
    "id": 7,
    "ip_address": "198.51.100.9",
    "type": "user",
}
_ROBIN = {
    "meta": {"name": "Robin Vale", "username": "robin@co.example"},
    "id": 2,
    "ip_address": "198.51.100.20",
    "type": "user",
}
_KEY = {"meta": {"api_key_type": "harvest"}, "id": 88, "ip_address": "203.0.113.40", "type": "api_key"}


def _greenhouse(ident, when, who, verb, kind, target, event, meta=None):
    return {
        "request": {"id": ident, "type": verb},
        "performer": who,
        "organization_id": 123,
        "event": {"meta": meta, "target_type": kind, "target_id": target, "type": event},
        "event_time": f"{DAY}T{when}.000Z",
    }


GREENHOUSE = _json(
    _greenhouse(
        "r1", "10:30:00", _KIM, "offers#update", "Offer", 55, "data_change_update", {"salary": [90000, 120000]}
    ),
    _greenhouse(
        "r2", "11:02:11", _ROBIN, "users#update", "User", 31, "data_change_update", {"role": ["Basic", "Site Admin"]}
    ),
    _greenhouse(
        "r3",
        "11:40:00",
        _KIM,
        "jobs#create",
        "Job",
        900,
        "data_change_create",
        {"name": [None, "Payroll Specialist"], "status": [None, "open"]},
    ),
    _greenhouse("r4", "12:00:05", _KEY, "candidates#show", "Candidate", 4411, "harvest_access"),
    _greenhouse(
        "r5",
        "12:20:30",
        _KIM,
        "scorecards#destroy",
        "Scorecard",
        71,
        "data_change_destroy",
        {"overall_recommendation": ["strong_yes", None]},
    ),
    _greenhouse("r6", "13:05:00", _KIM, "exports#create", "Export", 41, "action"),
    _greenhouse(
        "r7",
        "13:30:00",
        _KIM,
        "candidates#update",
        "Candidate",
        4411,
        "data_change_update",
        {"first_name": ["Jo", "Joan"], "phone": [None, "+1 555 0100"]},
    ),
)


# -- the CRM: Keap's and HighLevel's stage moves, Salesforce's field history and an export -----------------------------

KEAP = _json(
    {
        "id": "5001",
        "opportunity_id": "312",
        "move_time": "2026-02-03T14:05:00Z",
        "move_from_stage_id": "4",
        "move_to_stage_id": "6",
        "prev_stage_move_time": "2026-01-20T09:00:00Z",
        "user_id": "40077",
        "created_by": "40077",
        "create_time": "2026-02-03T14:05:00Z",
    },
    {
        "id": "5002",
        "opportunity_id": "318",
        "move_time": "2026-02-03T15:12:00Z",
        "move_from_stage_id": "0",
        "move_to_stage_id": "1",
        "user_id": "40081",
        "created_by": "40081",
        "create_time": "2026-02-03T15:12:00Z",
    },
)

# A webhook that names neither author nor old value.
HIGHLEVEL = _json(
    {
        "type": "OpportunityStageUpdate",
        "locationId": "loc1",
        "id": "opp-77",
        "status": "open",
        "pipelineStageId": "stage-won",
        "monetaryValue": 40,
        "timestamp": "2026-02-03T15:30:00.000Z",
        "webhookId": "wh-1",
    }
)

SALESFORCE_HISTORY = _csv(
    ("ID", "ACCOUNTID", "FIELD", "OLDVALUE", "NEWVALUE", "CREATEDBYID", "CREATEDBY.NAME", "CREATEDDATE"),
    ("017xx1", "001xx1", "AnnualRevenue", "90000", "120000", "005xxSam", "Sam Ode", "2026-02-03T16:10:00.000Z"),
    ("017xx2", "001xx1", "Phone", "", "+1 555 0111", "005xxSam", "Sam Ode", "2026-02-03T16:11:00.000Z"),
)

_EVENTS = (
    "EVENT_TYPE,TIMESTAMP,REQUEST_ID,ORGANIZATION_ID,USER_ID,CLIENT_IP,URI,ROW_COUNT,REPORT_DESCRIPTION,ENTITY_NAME,"
    "HTTP_METHOD,STATUS_CODE,OPERATION_TYPE,ROWS_PROCESSED,TIMESTAMP_DERIVED"
)

SALESFORCE_EVENTS = (
    *_csv(
        _EVENTS.split(","),
        (
            "ReportExport",
            "20260203164405.507",
            "r-3",
            "00Dxx1",
            "005xxSam",
            "203.0.113.66",
            "/00Oxx0000001AbC",
            "",
            "All contacts",
            *([""] * 5),
            "2026-02-03T16:44:05.507Z",
        ),
    ),
)


# -- Make.com: runs, audit log, two blueprints of a scenario -----------------------------------------------------------


def _run(scenario, number, when, status, milliseconds, **more):
    ident = f"{scenario}{number:02d}f0"
    return {
        "imtId": f"1770112800000_scenario.{scenario}.auto.{ident}",
        "id": ident,
        "duration": milliseconds,
        "operations": 10,
        "transfer": 3942,
        "organizationId": 21,
        "teamId": 27,
        "type": "auto",
        "authorId": None,
        "instant": False,
        "timestamp": f"{DAY}T{when}.000Z",
        "status": status,
        **more,
    }


def _make(number, when, verb, target, **more):
    return {
        "uuid": f"c37c7292-35cd-4dc4-9113-{number:012d}",
        "createdAt": f"{DAY}T{when}Z",
        "triggeredAt": f"{DAY}T{when}Z",
        "organizationId": 21,
        "organization": {"id": 21, "name": "Acme"},
        "team": {"id": 27, "name": "Ops"},
        "actor": {"id": 70, "name": "Ann", "email": "ann@co.example"},
        "eventName": verb,
        "targetId": target,
        "version": {},
        **more,
    }


def _blueprint(url):
    return {
        "name": "Sync contacts",
        "flow": [{"id": 1, "module": "http:ActionSendData", "version": 3, "mapper": {"url": url}}],
    }


MAKE = _json(
    _run(4412, 1, "10:00:00", 1, 20_000),
    _run(4412, 2, "11:00:00", 1, 2_000),
    _run(4412, 3, "12:00:00", 1, 3_000),
    _run(4412, 4, "13:00:00", 3, 800, error={"name": "DataError", "message": "Missing value of required parameter"}),
    _run(4412, 5, "14:00:00", 2, 1_000),
    _run(5120, 6, "10:30:00", 1, 5_000),
    _run(5120, 7, "12:30:00", 3, 600, error={"name": "ConnectionError", "message": "no answer"}),
    _run(5120, 8, "14:30:00", 3, 700, error={"name": "ConnectionError", "message": "no answer"}),
    _make(1, "08:20:00", "connection_created", "31"),
    _make(2, "08:21:00", "key_created", "77"),
    {
        "scenarioId": 4412,
        "scenarioName": "Sync contacts",
        "before": _blueprint("https://a.example"),
        "after": _blueprint("https://b.example"),
        "beforeAt": f"{DAY}T08:00:00Z",
        "afterAt": f"{DAY}T08:30:00Z",
        "actor": {"id": 70, "name": "Ann"},
    },
)


# -- what automations wrote and what else tells Fieldtrail by itself (fieldtrail_change) -------------------------------

_SYNC = {"platform": "make", "scenario_id": "4412", "scenario_name": "Sync contacts"}
_PAY = {"platform": "make", "scenario_id": "5120", "scenario_name": "Pay sync"}
_NIGHTLY = {"platform": "n8n", "scenario_id": "n-7", "scenario_name": "Nightly report"}
_BOT = {"id": "make-4412", "name": "make-sync@co.example", "type": "automation"}
_PAYBOT = {"id": "make-5120", "name": "make-pay@co.example", "type": "automation"}


def _said(ident, when, **members):
    return {"fieldtrail_change": 1, "id": ident, "time": f"{DAY}T{when}Z", **members}


def _contact(number):
    return {"type": "contact", "id": str(number), "url": f"https://crm.co.example/contacts/{number}"}


AUTOMATIONS = _json(
    _said(
        "w-1",
        "10:00:10",
        source="keap",
        actor=_BOT,
        interface="automation",
        execution={**_SYNC, "id": "441201f0"},
        object=_contact(991),
        changes=[
            {"field": "phone", "old": "+1 555 0100", "new": "+1 555 0199"},
            {"field": "owner_id", "old": "40077", "new": "40081"},
        ],
    ),
    _said(
        "w-2",
        "11:00:10",
        source="keap",
        actor=_BOT,
        interface="automation",
        execution={**_SYNC, "id": "441202f0"},
        object=_contact(992),
        changes=[{"field": "email", "old": "jo@example.com", "new": "joan@example.com"}],
    ),
    _said(
        "w-3",
        "10:30:10",
        actor=_PAYBOT,
        interface="automation",
        execution={**_PAY, "id": "512006f0"},
        object={"type": "employee", "id": "7711", "url": "https://hr.co.example/employees/7711"},
        changes=[{"field": "bonus", "old": 1000, "new": 4000}],
    ),
    _said(
        "w-6",
        "18:00:00",
        actor={"id": "3", "name": "dana@co.example"},
        interface="import",
        object={"type": "employee", "id": "7711"},
        changes=[{"field": "cost_center", "old": "C1", "new": "C2"}],
    ),
    _said("w-4", "02:00:00", action="run", outcome="failure", reason="time limit", execution={**_NIGHTLY, "id": "x1"}),
    _said("w-5", "03:00:00", action="run", outcome="success", execution={**_NIGHTLY, "id": "x2"}),
)

REPORTS = _json(
    _said(
        "e-1",
        "16:45:00",
        actor={"id": "9", "name": "sam@co.example"},
        ip="203.0.113.66",
        interface="ui",
        action="export",
        object={"type": "contact_list", "id": "c-all"},
        export={"rows": 48_211, "bytes": 9_000_000, "format": "csv", "objects": ["contact"]},
    ),
    _said(
        "e-2",
        "17:00:00",
        actor={"id": "3", "name": "dana@co.example", "email": "dana@co.example"},
        ip="192.0.2.17",
        interface="ui",
        action="export",
        object={"type": "employee_list", "id": "e-all"},
        export={"rows": 120, "format": "xlsx", "objects": ["employee"]},
    ),
    _said(
        "e-3",
        "17:05:00",
        actor={"id": "3", "name": "dana@co.example"},
        ip="192.0.2.17",
        interface="ui",
        action="view",
        object={"type": "employee", "id": "7711"},
    ),
)


# -- signing in: Okta, SSH ---------------------------------------------------------------------------------------------


def _okta(number, when, verb, who, ip, result="SUCCESS", reason=None, target=None, **debug):
    ident, login, name = who
    return {
        "actor": {"id": ident, "type": "User", "alternateId": login, "displayName": name, "detailEntry": None},
        "client": {
            "userAgent": {"rawUserAgent": "Mozilla/5.0 (X11)", "os": "Linux", "browser": "FIREFOX"},
            "device": "Computer",
            "ipAddress": ip,
        },
        "authenticationContext": {"authenticationStep": 0, "externalSessionId": f"trs{number}"},
        "displayMessage": verb,
        "eventType": verb,
        "outcome": {"result": result, "reason": reason},
        "published": f"{DAY}T{when}.123Z",
        "severity": "INFO",
        "debugContext": {"debugData": {"requestId": f"req{number}", **debug}},
        "transaction": {"type": "WEB", "id": f"tx{number}"},
        "uuid": f"0e1f-{number:04d}",
        "version": "0",
        "request": {"ipChain": [{"ip": ip, "version": "V4"}]},
        "target": target,
    }


_OKTA_KIM = ("00u1kim", "kim@co.example", "Kim Q")
_OKTA_SAM = ("00u9sam", "sam@co.example", "Sam Ode")
_OKTA_ROBIN = ("00u2robin", "robin@co.example", "Robin Vale")
_LOGIN = "user.session.start"
_WRONG = {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}

OKTA = _json(
    _okta(1, "08:00:00", _LOGIN, _OKTA_KIM, "198.51.100.9"),
    _okta(2, "08:05:00", _LOGIN, _OKTA_ROBIN, "198.51.100.20"),
    _okta(3, "16:30:00", _LOGIN, _OKTA_SAM, "203.0.113.66", **_WRONG),
    _okta(4, "16:31:00", _LOGIN, _OKTA_SAM, "203.0.113.66", **_WRONG),
    _okta(5, "16:32:00", _LOGIN, _OKTA_SAM, "203.0.113.66", **_WRONG),
    _okta(6, "16:33:00", _LOGIN, _OKTA_SAM, "203.0.113.66", **_WRONG),
    _okta(7, "16:40:00", _LOGIN, _OKTA_SAM, "203.0.113.66"),
    _okta(
        8,
        "11:05:00",
        "user.account.privilege.grant",
        _OKTA_ROBIN,
        "198.51.100.20",
        target=[{"id": "00u3lee", "type": "User", "alternateId": "lee@co.example", "displayName": "Lee W"}],
        privilegeGranted="Read-only administrator",
    ),
    _okta(
        9,
        "11:10:00",
        "system.api_token.create",
        _OKTA_ROBIN,
        "198.51.100.20",
        target=[{"id": "tok1", "type": "Token", "alternateId": "unknown", "displayName": "reporting"}],
    ),
)

SSHD = (
    "Feb  3 02:11:05 bastion sshd[1234]: Failed password for root from 203.0.113.66 port 40022 ssh2",
    "Feb  3 02:11:09 bastion sshd[1234]: Failed password for root from 203.0.113.66 port 40022 ssh2",
    "Feb  3 07:55:00 bastion sshd[1240]: Accepted password for kim from 192.0.2.10 port 50022 ssh2",
)

BROKEN = (
    '{"this line was cut off by a full disk, and nobody und',
    '{"nor was this one',
)

SOURCES = {
    "hr-app": Source("django_auditlog", "hr-app.jsonl", (*HR_APP, BROKEN[0])),
    "greenhouse": Source("greenhouse", "greenhouse.jsonl", GREENHOUSE),
    "keap": Source("keap", "keap.jsonl", KEAP),
    "highlevel": Source("highlevel", "highlevel.jsonl", HIGHLEVEL),
    "salesforce-history": Source("salesforce", "salesforce-history.csv", SALESFORCE_HISTORY),
    "salesforce-events": Source("salesforce", "salesforce-events.csv", SALESFORCE_EVENTS),
    "make": Source("makecom", "make.jsonl", (*MAKE, BROKEN[1])),
    "automations": Source("fieldtrail_change", "automations.jsonl", AUTOMATIONS),
    "reports": Source("fieldtrail_change", "reports.jsonl", REPORTS),
    "okta": Source("okta", "okta.jsonl", OKTA),
    "sshd": Source("sshd", "auth.log", SSHD),
}
