"""Every query and aggregation inside our saved objects, asked of a real OpenSearch that holds a company we know.

The figures below are counted by hand from the lines of tests/siem_data.py. Requests are built as Dashboards builds them
(tests/saved_requests.py), charts are drawn with the Vega-Lite versions that Dashboards holds (tools/pictures.py).
"""

import json
import sys
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from shipper.siem.dashboards import ndjson
from tests import siem_data
from tests.components import absent
from tests.saved_fields import mapped
from tests.saved_requests import Context, Objects, rows

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
WHOLE = Context(siem_data.SINCE, siem_data.UNTIL)
NONE = "(none)"
SEARCHED = "ignore_unavailable=true&track_total_hits=true"
"""What Dashboards asks every search with."""
D3, D4 = "2026-02-03T", "2026-02-04T"
HR, CRM = siem_data.AGENTS


@pytest.fixture(scope="module")
def ask(opensearch):
    return siem_data.asking(opensearch.url)


@pytest.fixture(scope="module")
def company(opensearch, ask, tmp_path_factory):
    """The seeded company in a namespace of its own: `objects` to ask for it, `folder` where its logs are."""
    siem_data.install_templates(opensearch.url)
    namespace, folder = f"t{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("company")
    siem_data.seed(folder, namespace, opensearch.url, ask)
    yield SimpleNamespace(namespace=namespace, folder=folder, objects=Objects(ndjson(namespace)))
    ask("DELETE", f"/_data_stream/logs-fieldtrail.*-{namespace}")


@pytest.fixture(scope="module")
def empty(opensearch, ask):
    """The objects of a namespace whose data streams are there and hold nothing."""
    siem_data.install_templates(opensearch.url)
    namespace = f"t{uuid.uuid4().hex[:10]}"
    for stream in ("change", "activity", "health", "log", "checkpoint", "alert"):
        assert ask("PUT", f"/_data_stream/logs-fieldtrail.{stream}-{namespace}").status == 200
    yield Objects(ndjson(namespace))
    ask("DELETE", f"/_data_stream/logs-fieldtrail.*-{namespace}")


@pytest.fixture(scope="module")
def pictures():
    """tools/pictures.py."""
    try:
        import pictures
    except ModuleNotFoundError as error:
        if error.name != "vl_convert":
            raise
        absent("charts are drawn by vl-convert: `pip install vl-convert-python`")
    return pictures


def asked(ask, objects, one, context=WHOLE):
    """The answers to an object's requests; each must be whole."""
    answers = []
    for request in objects.requests(one, context):
        reply = ask("POST", f"/{request.index}/_search?{SEARCHED}", request.body)
        assert reply.status == 200, (one["id"], reply.body)
        assert reply.json["_shards"]["failed"] == 0, (one["id"], reply.json["_shards"])
        answers.append(reply.json)
    return answers


def short(objects, one):
    """An object's id without owner and namespace."""
    prefix = next(key for kind, key in objects.by_key if kind == "index-pattern")
    return one["id"].removeprefix(prefix + "-")


def kind_of(one):
    return json.loads(one["attributes"]["visState"])["type"]


# -- what the panels show ----------------------------------------------------------------------------------------------

ACCOUNTS = [
    ("django", "dana", "dana@co.example", NONE, 3, 5, D4 + "08:11:09.900Z"),
    ("django", "lee", "lee@co.example", NONE, 2, 2, D3 + "22:41:10.000Z"),
    ("greenhouse", "kim@co.example", NONE, "7", 4, 6, D3 + "13:30:00.000Z"),
    ("greenhouse", "robin@co.example", NONE, "2", 1, 1, D3 + "11:02:11.000Z"),
    ("app", "make-sync@co.example", NONE, "make-4412", 2, 3, D3 + "11:00:10.000Z"),
    ("app", "make-pay@co.example", NONE, "make-5120", 1, 1, D3 + "10:30:10.000Z"),
    ("app", "dana@co.example", NONE, "3", 1, 1, D3 + "18:00:00.000Z"),
    ("makecom", NONE, "ann@co.example", "70", 2, 2, D3 + "08:21:00.000Z"),
    ("makecom", NONE, NONE, "70", 1, 1, D3 + "08:30:00.000Z"),
    ("keap", NONE, NONE, "40077", 1, 1, D3 + "14:05:00.000Z"),
    ("keap", NONE, NONE, "40081", 1, 1, D3 + "15:12:00.000Z"),
    ("okta", NONE, "robin@co.example", "00u2robin", 2, 2, D3 + "11:10:00.123Z"),
    ("salesforce", NONE, NONE, "005xxSam", 2, 2, D3 + "16:11:00.000Z"),
    ("highlevel", NONE, NONE, NONE, 1, 1, D3 + "15:30:00.000Z"),
]
HR_LINK, CRM_LINK = "https://hr.co.example/employees/7711", "https://crm.co.example/contacts/"
CHANGES = [
    ("django:employee/7711", "manager", NONE, "3021", D4 + "08:11:09.900Z", 1, None),
    ("django:employee/7711", "iban", NONE, NONE, D3 + "09:58:03.120Z", 1, None),
    ("django:employee/7711", "department", "Support", "Payroll", D3 + "09:15:42.551Z", 1, None),
    ("django:employee/7711", "salary", "61000.00", "74500.00", D3 + "09:15:42.551Z", 1, None),
    ("django:employee/8120", "salary", "52000.00", "98000.00", D3 + "22:41:10.000Z", 1, None),
    ("django:employee/8120", "salary", NONE, "52000.00", D3 + "10:05:00.000Z", 1, None),
    ("app:employee/7711", "cost_center", "C1", "C2", D3 + "18:00:00.000Z", 1, None),
    ("app:employee/7711", "bonus", "1000", "4000", D3 + "10:30:10.000Z", 1, HR_LINK),
    ("app:contact/991", "owner_id", "40077", "40081", D3 + "10:00:10.000Z", 1, CRM_LINK + "991"),
    ("app:contact/991", "phone", "+1 555 0100", "+1 555 0199", D3 + "10:00:10.000Z", 1, CRM_LINK + "991"),
    ("app:contact/992", "email", "jo@example.com", "joan@example.com", D3 + "11:00:10.000Z", 1, CRM_LINK + "992"),
    ("salesforce:account/001xx1", "Phone", NONE, "+1 555 0111", D3 + "16:11:00.000Z", 1, None),
    ("salesforce:account/001xx1", "AnnualRevenue", "90000", "120000", D3 + "16:10:00.000Z", 1, None),
    ("highlevel:opportunity/opp-77", "pipelineStageId", NONE, "stage-won", D3 + "15:30:00.000Z", 1, None),
    ("keap:opportunity/318", "stage", NONE, "1", D3 + "15:12:00.000Z", 1, None),
    ("keap:opportunity/312", "stage", "4", "6", D3 + "14:05:00.000Z", 1, None),
    ("greenhouse:candidate/4411", "first_name", "Jo", "Joan", D3 + "13:30:00.000Z", 1, None),
    ("greenhouse:candidate/4411", "phone", NONE, "+1 555 0100", D3 + "13:30:00.000Z", 1, None),
    ("greenhouse:scorecard/71", "overall_recommendation", "strong_yes", NONE, D3 + "12:20:30.000Z", 1, None),
    ("greenhouse:user/31", "role", "Basic", "Site Admin", D3 + "11:02:11.000Z", 1, None),
    ("greenhouse:offer/55", "salary", "90000", "120000", D3 + "10:30:00.000Z", 1, None),
    ("okta:user/00u3lee", "role", NONE, "Read-only administrator", D3 + "11:05:00.123Z", 1, None),
    (
        "makecom:scenario/4412",
        "modules[1].mapper.url",
        "https://a.example",
        "https://b.example",
        D3 + "08:30:00.000Z",
        1,
        None,
    ),
]
RECORDS = [
    ("django:employee/7711", 3, 4, D4 + "08:11:09.900Z", "Employee 7711", None),
    ("django:employee/8120", 2, 3, D3 + "22:41:10.000Z", "Employee 8120", None),
    ("app:employee/7711", 2, 2, D3 + "18:00:00.000Z", None, HR_LINK),
    ("salesforce:account/001xx1", 2, 2, D3 + "16:11:00.000Z", None, None),
    ("app:contact/991", 1, 2, D3 + "10:00:10.000Z", None, CRM_LINK + "991"),
    ("app:contact/992", 1, 1, D3 + "11:00:10.000Z", None, CRM_LINK + "992"),
    ("greenhouse:candidate/4411", 1, 2, D3 + "13:30:00.000Z", None, None),
    ("greenhouse:scorecard/71", 1, 2, D3 + "12:20:30.000Z", None, None),
    ("greenhouse:job/900", 1, 1, D3 + "11:40:00.000Z", None, None),
    ("greenhouse:offer/55", 1, 1, D3 + "10:30:00.000Z", None, None),
    ("greenhouse:user/31", 1, 1, D3 + "11:02:11.000Z", None, None),
    ("highlevel:opportunity/opp-77", 1, 1, D3 + "15:30:00.000Z", None, None),
    ("keap:opportunity/312", 1, 1, D3 + "14:05:00.000Z", None, None),
    ("keap:opportunity/318", 1, 1, D3 + "15:12:00.000Z", None, None),
    ("makecom:connection/31", 1, 1, D3 + "08:20:00.000Z", None, None),
    ("makecom:key/77", 1, 1, D3 + "08:21:00.000Z", None, None),
    ("makecom:scenario/4412", 1, 1, D3 + "08:30:00.000Z", "Sync contacts", None),
    ("okta:token/tok1", 1, 1, D3 + "11:10:00.123Z", "reporting", None),
    ("okta:user/00u3lee", 1, 1, D3 + "11:05:00.123Z", None, None),
]
"""Operations, documents: the creation of 8120 is two documents of one operation, so is the deletion of scorecard 71."""

FIGURES = {
    "access-and-exports-logins": [(4,)],
    "access-and-exports-failures": [(6,)],
    "access-and-exports-exports": [(4,)],
    "access-and-exports-rows": [(48_211 + 120,)],
    "access-and-exports-failing-accounts": [
        ("okta", NONE, "sam@co.example", "00u9sam", 4, 1, D3 + "16:33:00.123Z"),
        ("sshd", "root", NONE, NONE, 2, 1, D3 + "02:11:09.000Z"),
    ],
    "access-and-exports-failing-addresses": [
        ("203.0.113.66", "okta", 4, 0, D3 + "16:33:00.123Z"),
        ("203.0.113.66", "sshd", 2, 1, D3 + "02:11:09.000Z"),
    ],
    "access-and-exports-exporters": [
        ("app", "dana@co.example", "dana@co.example", "3", "employee", "xlsx", 1, 120, 0, D3 + "17:00:00.000Z"),
        ("app", "sam@co.example", NONE, "9", "contact", "csv", 1, 48_211, 9_000_000, D3 + "16:45:00.000Z"),
        ("greenhouse", "kim@co.example", NONE, "7", "(not told)", "(not told)", 1, 0, 0, D3 + "13:05:00.000Z"),
        ("salesforce", NONE, NONE, "005xxSam", "(not told)", "(not told)", 1, 0, 0, D3 + "16:44:05.507Z"),
    ],
    "access-and-exports-access": [
        ("data.export", "app", 2, D3 + "17:00:00.000Z"),
        ("data.export", "greenhouse", 1, D3 + "13:05:00.000Z"),
        ("data.export", "salesforce", 1, D3 + "16:44:05.507Z"),
        ("record.view", "app", 1, D3 + "17:05:00.000Z"),
        ("record.view", "greenhouse", 1, D3 + "12:00:05.000Z"),
    ],
    "access-and-exports-grants": [
        (
            "role.grant",
            NONE,
            "robin@co.example",
            "00u2robin",
            NONE,
            "00u3lee",
            "Read-only administrator",
            D3 + "11:05:00.123Z",
            1,
        ),
        ("role.grant", "robin@co.example", NONE, "2", NONE, "31", "Site Admin", D3 + "11:02:11.000Z", 1),
    ],
    "access-and-exports-keys": [
        (
            "token.create",
            "okta",
            NONE,
            "robin@co.example",
            "00u2robin",
            "okta:token/tok1",
            D3 + "11:10:00.123Z",
            1,
            "reporting",
        ),
        ("token.create", "makecom", NONE, "ann@co.example", "70", "makecom:key/77", D3 + "08:21:00.000Z", 1, None),
        (
            "app.connect",
            "makecom",
            NONE,
            "ann@co.example",
            "70",
            "makecom:connection/31",
            D3 + "08:20:00.000Z",
            1,
            None,
        ),
    ],
    "automations-runs": [(10,)],
    "automations-failures": [(4,)],
    "automations-warnings": [(1,)],
    "automations-slowest": [(20e9,)],
    "automations-durations": [
        (D3 + "02:00:00.000Z", "n-7", None),
        (D3 + "03:00:00.000Z", "n-7", None),
        (D3 + "10:00:00.000Z", "4412", 20e9),
        (D3 + "10:30:00.000Z", "5120", 5e9),
        (D3 + "11:00:00.000Z", "4412", 2e9),
        (D3 + "12:00:00.000Z", "4412", 3e9),
        (D3 + "12:30:00.000Z", "5120", 0.6e9),
        (D3 + "13:00:00.000Z", "4412", 0.8e9),
        (D3 + "14:00:00.000Z", "4412", 1e9),
        (D3 + "14:30:00.000Z", "5120", 0.7e9),
    ],
    "automations-failing": [
        ("make", "5120", NONE, 2, D3 + "14:30:00.000Z", None),
        ("make", "4412", NONE, 1, D3 + "13:00:00.000Z", None),
        ("n8n", "n-7", "time limit", 1, D3 + "02:00:00.000Z", "Nightly report"),
    ],
    "automations-scenarios": [
        ("make", "4412", 5, 2e9, 20e9, 20e9, D3 + "14:00:00.000Z", None),
        ("make", "5120", 3, 0.7e9, 5e9, 5e9, D3 + "14:30:00.000Z", None),
        ("n8n", "n-7", 2, None, None, None, D3 + "03:00:00.000Z", "Nightly report"),
    ],
    "automations-written": [
        ("app", "make-sync@co.example", "make-4412", "4412", "contact", "email", 1, 1),
        ("app", "make-sync@co.example", "make-4412", "4412", "contact", "owner_id", 1, 1),
        ("app", "make-sync@co.example", "make-4412", "4412", "contact", "phone", 1, 1),
        ("app", "make-pay@co.example", "make-5120", "5120", "employee", "bonus", 1, 1),
    ],
    "automations-written-timeline": [
        (D3 + "10:00:00.000Z", "app", 2),
        (D3 + "10:30:00.000Z", "app", 1),
        (D3 + "11:00:00.000Z", "app", 1),
    ],
    "automations-edits": [
        (
            "makecom:scenario/4412",
            "automation.edit",
            NONE,
            NONE,
            "70",
            "modules[1].mapper.url",
            D3 + "08:30:00.000Z",
            1,
        )
    ],
    "health-and-integrity-last-report": [(D4 + "11:55:00.000Z",)],
    "health-and-integrity-last-checkpoint": [(D4 + "12:00:00.000Z",)],
    "health-and-integrity-last-verification": [(D4 + "11:00:00.000Z",)],
    "health-and-integrity-unparsed-count": [(2,)],
    "health-and-integrity-dead-letters": [(3,)],
    "health-and-integrity-losses": [(1,)],
    "health-and-integrity-lag": [
        (D4 + "11:40:00.000Z", CRM, "siem", 0),
        (D4 + "11:40:00.000Z", HR, "siem", 0),
        (D4 + "11:50:00.000Z", CRM, "siem", 1),
        (D4 + "11:50:00.000Z", HR, "siem", 95),
    ],
    "health-and-integrity-backlog": [
        (D4 + "11:40:00.000Z", CRM, "crm", 0),
        (D4 + "11:40:00.000Z", HR, "hr-app", 0),
        (D4 + "11:40:00.000Z", HR, "make", 0),
        (D4 + "11:50:00.000Z", CRM, "crm", 512),
        (D4 + "11:50:00.000Z", HR, "hr-app", 4096),
        (D4 + "11:50:00.000Z", HR, "make", 0),
    ],
    "health-and-integrity-inputs": [
        (CRM, "crm", D4 + "11:55:00.000Z", 120, 120, 4, 512, 9),
        (HR, "hr-app", D4 + "11:55:00.000Z", 350, 420, 3, 4096, 4),
        (HR, "make", D4 + "11:55:00.000Z", 10, 10, 0, 0, 630),
    ],
    "health-and-integrity-outputs": [
        (CRM, "siem", D4 + "11:55:00.000Z", 120, 0, 0, 0, 1),
        (HR, "siem", D4 + "11:55:00.000Z", 430, 3, 45, 3, 95),
    ],
    "health-and-integrity-agents": [
        (CRM, "0.1.0", D4 + "11:55:00.000Z", 1_100_000, 61_000_000),
        (HR, "0.1.0", D4 + "11:55:00.000Z", 5_000_000, 82_000_000),
    ],
    "health-and-integrity-checkpoints": [
        # 4 leaves at the start, 57 events, 3 at the end; then those of the two logs of reports.
        (HR, "co.example/audit/hr-app-03/(the run)", D4 + "12:00:00.000Z", 4 + 57 + 3, 1),
        (HR, "co.example/audit/hr-app-03/20260204T110000Z-0a1b2c3d", D4 + "11:56:10.000Z", 2 + 12 + 3 + 2 + 1, 1),
        (CRM, "co.example/audit/crm-app-01/20260204T110000Z-0a1b2c3d", D4 + "11:56:10.000Z", 2 + 9 + 1, 1),
    ],
    "health-and-integrity-gaps": [
        ("source.loss", HR, "hr-app", "/var/log/hr/audit.log", D4 + "11:46:00.000Z", 1),
    ],
    "health-and-integrity-control": [
        (HR, "batch", D4 + "12:00:00.000Z", 2),
        (HR, "config", D4 + "12:00:00.000Z", 2),
        (HR, "genesis", D4 + "12:00:00.000Z", 2),
        (HR, "start", D4 + "12:00:00.000Z", 1),
        (HR, "stop", D4 + "12:00:00.000Z", 1),
        (CRM, "batch", D4 + "11:56:00.000Z", 1),
        (CRM, "config", D4 + "11:43:30.000Z", 1),
        (CRM, "genesis", D4 + "11:43:20.000Z", 1),
    ],
    "health-and-integrity-lifecycle": [
        (D4 + "12:00:00.000Z", "agent.start", 1),
        (D4 + "12:00:00.000Z", "agent.stop", 1),
    ],
    "health-and-integrity-unparsed": [
        ("django_auditlog.unparsed", "hr-app", "(logs)/hr-app.jsonl", 1, D4 + "12:00:00.000Z"),
        ("makecom.unparsed", "make", "(logs)/make.jsonl", 1, D4 + "12:00:00.000Z"),
    ],
    "sensitive-data-restricted": [(6,)],
    "sensitive-data-confidential": [(1,)],
    "sensitive-data-operations": [(7,)],
    "sensitive-data-records": [(5,)],
    "sensitive-data-timeline": [
        (D3 + "09:10:00.000Z", "pay", 1),
        (D3 + "09:50:00.000Z", "bank", 1),
        (D3 + "10:00:00.000Z", "pay", 1),
        (D3 + "10:30:00.000Z", "pay", 2),
        (D3 + "12:20:00.000Z", "performance", 1),
        (D3 + "22:40:00.000Z", "pay", 1),
    ],
    "sensitive-data-categories": [
        ("pay", "restricted", 5, 5),
        ("bank", "restricted", 1, 1),
        ("performance", "confidential", 1, 1),
    ],
    "sensitive-data-people": [
        ("django:employee/7711", 2, 2, D3 + "09:58:03.120Z", "Employee 7711", None, None),
        ("django:employee/8120", 2, 2, D3 + "22:41:10.000Z", "Employee 8120", None, None),
        ("app:employee/7711", 1, 1, D3 + "10:30:10.000Z", None, None, HR_LINK),
        ("greenhouse:offer/55", 1, 1, D3 + "10:30:00.000Z", None, None, None),
        ("greenhouse:scorecard/71", 1, 1, D3 + "12:20:30.000Z", None, None, None),
    ],
    "sensitive-data-restricted-fields": [
        ("salary", "django", "dana", "dana@co.example", NONE, 2, D3 + "10:05:00.000Z"),
        ("salary", "django", "lee", "lee@co.example", NONE, 1, D3 + "22:41:10.000Z"),
        ("salary", "greenhouse", "kim@co.example", NONE, "7", 1, D3 + "10:30:00.000Z"),
        ("bonus", "app", "make-pay@co.example", NONE, "make-5120", 1, D3 + "10:30:10.000Z"),
        ("iban", "django", "lee", "lee@co.example", NONE, 1, D3 + "09:58:03.120Z"),
    ],
    "sensitive-data-large": [
        ("app:employee/7711", "bonus", "1000", "4000", 300, 300, 1, D3 + "10:30:10.000Z"),
        ("django:employee/8120", "salary", "52000.00", "98000.00", 88.46, 88.46, 1, D3 + "22:41:10.000Z"),
        ("greenhouse:offer/55", "salary", "90000", "120000", 33.33, 33.33, 1, D3 + "10:30:00.000Z"),
        ("salesforce:account/001xx1", "AnnualRevenue", "90000", "120000", 33.33, 33.33, 1, D3 + "16:10:00.000Z"),
    ],
    "sensitive-data-interfaces": [("not told", 4), ("ui", 2), ("automation", 1)],
    "sensitive-data-redaction": [("none", 6), ("mask", 1)],
    "who-changed-what-operations": [(24,)],
    "who-changed-what-fields-changed": [(23,)],
    "who-changed-what-records": [(len(RECORDS),)],
    "who-changed-what-nobody": [(1,)],
    "who-changed-what-timeline": [
        (D3 + "08:20:00.000Z", "makecom", 2),
        (D3 + "08:30:00.000Z", "makecom", 1),
        (D3 + "09:10:00.000Z", "django", 2),
        (D3 + "09:50:00.000Z", "django", 1),
        (D3 + "10:00:00.000Z", "app", 2),
        (D3 + "10:00:00.000Z", "django", 2),
        (D3 + "10:30:00.000Z", "app", 1),
        (D3 + "10:30:00.000Z", "greenhouse", 1),
        (D3 + "11:00:00.000Z", "app", 1),
        (D3 + "11:00:00.000Z", "greenhouse", 1),
        (D3 + "11:00:00.000Z", "okta", 1),
        (D3 + "11:10:00.000Z", "okta", 1),
        (D3 + "11:40:00.000Z", "greenhouse", 1),
        (D3 + "12:20:00.000Z", "greenhouse", 2),
        (D3 + "13:30:00.000Z", "greenhouse", 2),
        (D3 + "14:00:00.000Z", "keap", 1),
        (D3 + "15:10:00.000Z", "keap", 1),
        (D3 + "15:30:00.000Z", "highlevel", 1),
        (D3 + "16:10:00.000Z", "salesforce", 2),
        (D3 + "18:00:00.000Z", "app", 1),
        (D3 + "22:40:00.000Z", "django", 1),
        (D4 + "08:10:00.000Z", "django", 1),
    ],
    "who-changed-what-who": ACCOUNTS,
    "who-changed-what-fields": [
        ("django", "employee", "salary", 3, 3),
        ("django", "employee", "department", 1, 1),
        ("django", "employee", "iban", 1, 1),
        ("django", "employee", "manager", 1, 1),
        ("app", "contact", "email", 1, 1),
        ("app", "contact", "owner_id", 1, 1),
        ("app", "contact", "phone", 1, 1),
        ("app", "employee", "bonus", 1, 1),
        ("app", "employee", "cost_center", 1, 1),
        ("greenhouse", "candidate", "first_name", 1, 1),
        ("greenhouse", "candidate", "phone", 1, 1),
        ("greenhouse", "offer", "salary", 1, 1),
        ("greenhouse", "scorecard", "overall_recommendation", 1, 1),
        ("greenhouse", "user", "role", 1, 1),
        ("keap", "opportunity", "stage", 2, 2),
        ("salesforce", "account", "AnnualRevenue", 1, 1),
        ("salesforce", "account", "Phone", 1, 1),
        ("highlevel", "opportunity", "pipelineStageId", 1, 1),
        ("makecom", "scenario", "modules[1].mapper.url", 1, 1),
        ("okta", "user", "role", 1, 1),
    ],
    "who-changed-what-objects": RECORDS,
    # Not told: 7 of django, 3 of makecom, 2 each of Keap and Salesforce, 1 of HighLevel.
    "who-changed-what-interfaces": [("not told", 15), ("ui", 9), ("automation", 4), ("import", 1)],
    "who-changed-what-actors": [("user", 24), ("automation", 4), ("unknown", 1)],
    "who-changed-what-derivations": [("native", 21), ("new_only", 1), ("snapshot_diff", 1)],
    "who-changed-what-old-and-new": CHANGES,
}

LISTED = {
    "all-changes": 29,
    # 29 changes; the views of a candidate and an employee, four exports, eight runs of Make.com's scenarios
    "record-history": 29 + 2 + 4 + 8,
    "sensitive-changes": 7,
    "exports": 4,
    "failed-logins": 6,
    "unparsed-lines": 2,
}
"""Saved searches: how many documents each lists."""


def settled(value, company):
    """Without what is another for each run: its folder, and the name of its log."""
    text = str(value)
    if text.startswith("co.example/audit/hr-app-03/20260204T120000Z"):
        return "co.example/audit/hr-app-03/(the run)"
    return text.replace(str(company.folder / "logs"), "(logs)") if isinstance(value, str) else value


def test_every_panel_shows_the_figures_of_the_seeded_company(ask, company):
    found = {}
    for one in company.objects.of("visualization"):
        if kind_of(one) in {"vega", "markdown"}:
            continue
        (answer,) = asked(ask, company.objects, one)
        found[short(company.objects, one)] = [
            tuple(settled(value, company) for value in row) for row in rows(one, answer)
        ]
    assert sorted(found) == sorted(FIGURES)
    for name, expected in FIGURES.items():
        assert Counter(found[name]) == Counter(expected), name


def test_every_saved_search_lists_what_the_company_did_and_fills_its_columns(ask, company):
    found = {}
    for one in company.objects.of("search"):
        (answer,) = asked(ask, company.objects, one)
        name = short(company.objects, one)
        found[name] = answer["hits"]["total"]["value"]
        sources = [hit["_source"] for hit in answer["hits"]["hits"]]
        times = [source["@timestamp"] for source in sources]
        assert times == sorted(times, reverse=True), name
        empty = {
            column for column in one["attributes"]["columns"] if not any(has(source, column) for source in sources)
        }
        assert empty == set(), name
    assert found == LISTED


def has(source, path):
    for part in path.split("."):
        if not isinstance(source, dict) or part not in source:
            return False
        source = source[part]
    return True


# -- whatever the time range, and where there is nothing ---------------------------------------------------------------

RANGES = [
    Context("2026-02-03T16:30:00.000Z", "2026-02-03T16:45:00.000Z"),
    Context("2026-02-03T00:00:00.000Z", "2026-02-04T00:00:00.000Z", "event.module:keap"),
    Context("2025-11-10T00:00:00.000Z", "2026-02-08T00:00:00.000Z"),
    Context("2024-08-01T00:00:00.000Z", "2026-02-08T00:00:00.000Z"),
    Context("1990-01-01T00:00:00.000Z", "2026-02-08T00:00:00.000Z"),
]


@pytest.mark.parametrize("context", RANGES, ids=["15 minutes", "a day and a filter", "90 days", "550 days", "36 years"])
def test_every_request_is_answered_over_any_time(ask, company, context):
    count = 0
    for one in company.objects.of("visualization") + company.objects.of("search"):
        count += len(asked(ask, company.objects, one, context))
    assert count >= 70


def test_every_request_is_answered_where_there_are_no_documents(ask, empty):
    for one in empty.of("visualization") + empty.of("search"):
        for answer in asked(ask, empty, one):
            assert answer["hits"]["total"]["value"] == 0
            if one["type"] == "visualization" and kind_of(one) != "vega":
                assert all(set(row) <= {0, None} for row in rows(one, answer)), one["id"]


def test_every_request_is_answered_where_there_are_no_data_streams(ask):
    objects = Objects(ndjson("nothing"))
    for one in objects.of("visualization") + objects.of("search"):
        for answer in asked(ask, objects, one):
            assert answer["_shards"]["total"] == 0


def test_the_dashboards_own_query_narrows_every_panel(ask, company):
    nobody = Context(WHOLE.since, WHOLE.until, "event.module:nobody")
    for one in company.objects.of("visualization") + company.objects.of("search"):
        for answer in asked(ask, company.objects, one, nobody):
            assert answer["hits"]["total"]["value"] == 0, one["id"]


def test_every_index_pattern_finds_its_fields_and_the_time(ask, company):
    """As Dashboards asks for them, since the patterns are stored without."""
    for one in company.objects.of("index-pattern"):
        path = f"/{one['attributes']['title']}/_field_caps?fields=*&ignore_unavailable=true&allow_no_indices=false"
        reply = ask("GET", path)
        assert reply.status == 200, (one["id"], reply.body)
        assert set(reply.json["fields"]["@timestamp"]) == {"date"}
        assert set(json.loads(one["attributes"].get("fieldFormatMap", "{}"))) <= set(reply.json["fields"])


def test_an_index_pattern_of_two_streams_finds_no_fields_while_one_of_them_is_not_there(ask, company):
    """What docs/howto/dashboards.md says about the first day."""
    path = "/logs-fieldtrail.change-*,logs-fieldtrail.nothing-*/_field_caps?fields=*&ignore_unavailable=true"
    assert ask("GET", path + "&allow_no_indices=false").status == 404


def test_the_index_has_every_field_with_the_type_that_the_validator_believes(ask, company):
    told = ask("GET", f"/logs-fieldtrail.*-{company.namespace}/_field_caps?fields=*").json["fields"]
    wrong = {}
    for name, one in mapped().items():
        caps = told.get(name, {})
        if set(caps) != {one.type} or (caps[one.type]["aggregatable"], caps[one.type]["searchable"]) != one[1:]:
            wrong[name] = (one, caps)
    assert wrong == {}


# -- charts ------------------------------------------------------------------------------------------------------------


def wanted(answer):
    return answer["aggregations"]["wanted"]


def outcomes(answer):
    """Documents by outcome, over all time buckets."""
    found = Counter()
    for bucket in wanted(answer)["time"]["buckets"]:
        inner = bucket["outcome"]["buckets"]
        for name, one in inner.items() if isinstance(inner, dict) else ((one["key"], one) for one in inner):
            found[name] += one["doc_count"]
    return {name: count for name, count in found.items() if count}


def hours(answer):
    return {bucket["key_as_string"][5:13]: bucket["doc_count"] for bucket in wanted(answer)["hours"]["buckets"]}


def newest(answer):
    return [hit["_source"] for hit in wanted(answer)["newest"]["hits"]["hits"]]


CHARTED = {
    "access-and-exports-timeline": (outcomes, {"success": 4, "failure": 6}),
    "access-and-exports-export-timeline": (
        lambda answer: [one.get("trail", {}).get("export", {}).get("rows") for one in newest(answer)],
        [120, 48_211, None, None],
    ),
    "automations-timeline": (outcomes, {"success": 5, "warning": 1, "failure": 4}),
    "health-and-integrity-verifications": (
        lambda answer: [(one["event"]["outcome"], one["trail"]["verify"]["findings"]) for one in newest(answer)],
        [("failure", 3), ("success", 0)],
    ),
    "sensitive-data-accounts": (
        lambda answer: Counter(
            {tuple(filter(None, one["key"])): one["doc_count"] for one in wanted(answer)["accounts"]["buckets"]}
        ),
        Counter(
            {
                ("dana", "dana@co.example", "django", "pay"): 2,
                ("lee", "lee@co.example", "django", "pay"): 1,
                ("lee", "lee@co.example", "django", "bank"): 1,
                ("Kim Q", "kim@co.example", "7", "greenhouse", "pay"): 1,
                ("Kim Q", "kim@co.example", "7", "greenhouse", "performance"): 1,
                ("make-pay@co.example", "make-5120", "app", "pay"): 1,
            }
        ),
    ),
    "who-changed-what-hours": (
        hours,
        {
            "02-03T08": 3,
            "02-03T09": 3,
            "02-03T10": 6,
            "02-03T11": 5,
            "02-03T12": 2,
            "02-03T13": 2,
            "02-03T14": 1,
            "02-03T15": 2,
            "02-03T16": 2,
            "02-03T18": 1,
            "02-03T22": 1,
            "02-04T08": 1,
        },
    ),
    "who-changed-what-accounts": (
        lambda answer: Counter(one["doc_count"] for one in wanted(answer)["accounts"]["buckets"]),
        Counter(documents for *_, documents, _ in ACCOUNTS),
    ),
}
"""Charts: how to read their answers, and what is in them."""

SHOWN = {
    "access-and-exports-timeline": {"Logins", "success", "failure"},
    "access-and-exports-export-timeline": {
        "005xxSam · salesforce",
        "dana@co.example · app",
        "kim@co.example · greenhouse",
        "sam@co.example · app",
    },
    "automations-timeline": {"Runs", "success", "warning", "failure"},
    "health-and-integrity-verifications": {
        "520 sealed, 518 found, 1 modified, 2 missing; complete since received",
        "400 sealed, 400 found, 0 modified, 0 missing; complete since received",
    },
    "sensitive-data-accounts": {
        "dana · django",
        "lee · django",
        "Kim Q (kim@co.example) · greenhouse",
        "make-pay@co.example · app",
        "pay",
        "bank",
        "performance",
    },
    "who-changed-what-hours": {"Mon", "Tue", "Sun", "0", "23"},
    "who-changed-what-accounts": {
        "Kim Q (kim@co.example) · greenhouse",
        "dana · django",
        "Sam Ode (005xxSam) · salesforce",
        "40077 · keap",
        "not told · highlevel",
    },
}
"""Texts that the drawn charts show."""


def test_every_chart_asks_for_the_figures_of_the_seeded_company(ask, company):
    found = {}
    for one in company.objects.of("visualization"):
        if kind_of(one) == "vega":
            name = short(company.objects, one)
            (answer,) = asked(ask, company.objects, one)
            found[name] = CHARTED[name][0](answer)
    assert found == {name: expected for name, (_, expected) in CHARTED.items()}


def test_every_chart_is_drawn_without_a_warning_by_every_vega_lite(ask, company, pictures, capfd):
    drawn = 0
    for ident, spec in pictures.charts(company.objects).items():
        whole = pictures.answered(company.objects, ident, spec, ask, WHOLE)
        for version in pictures.VERSIONS:
            assert pictures.draw(whole, version).startswith(b"\x89PNG")
            assert capfd.readouterr() == ("", ""), (ident, version)
            drawn += 1
        name = short(company.objects, {"id": ident})
        assert SHOWN[name] <= set(pictures.texts(whole)), name
    assert drawn == len(SHOWN) * len(pictures.VERSIONS)


def test_a_warning_of_vega_lite_would_be_seen(pictures, capfd):
    spec = {"data": {"values": [{"a": 1}]}, "mark": "bar", "encoding": {"shape": {"field": "a", "type": "nominal"}}}
    pictures.draw({"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec})
    assert "shape" in capfd.readouterr().err


@pytest.mark.parametrize("answer", ["empty", "nothing"])
def test_an_empty_chart_says_why_and_a_full_one_does_not(ask, company, empty, pictures, answer):
    full = pictures.charts(company.objects)
    there = empty if answer == "empty" else Objects(ndjson("nothing"))
    for ident, spec in pictures.charts(there).items():
        name = short(there, {"id": ident})
        about = there.by_key["visualization", ident]["attributes"]["description"]
        sentence = about.removeprefix("If it is empty: ")
        for version in pictures.VERSIONS:
            shown = words(pictures.texts(pictures.answered(there, ident, spec, ask, WHOLE), version))
            assert sentence in shown, (name, version)
        same = next(key for key in full if key.endswith(name))
        whole = pictures.answered(company.objects, same, full[same], ask, WHOLE)
        assert sentence not in words(pictures.texts(whole)), name


def words(texts):
    """All texts in one line; a text of several lines is a list in the drawing."""
    return " ".join(" ".join(text.split()) for text in texts)
