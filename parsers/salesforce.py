"""Salesforce, field history, change data capture, setup audit trail, event logs: who changed what, logged in, exported.

**What the source records.** Five channels:

| channel | who | from where | field | old | new |
|---|---|---|---|---|---|
| field history (`AccountHistory`, `OpportunityFieldHistory`, `X__History`) | `CreatedById` | - | yes | yes | yes |
| change data capture | `commitUser` | - | `changedFields` | - | yes |
| setup audit trail | `CreatedBy`, `DelegateUser` | - | in a sentence | in a sentence | in a sentence |
| event log files (`Login`, `ReportExport`, `ApiTotalUsage` …) | `USER_ID` | IP address, session, browser | - | - | - |
| login history | `UserId` | IP address, browser | - | - | - |

Field history knows only fields whose tracking is turned on (20 of an object (not confirmed)), and of long texts and
multi-select lists only that they changed. A look-up field gives two rows, one with names and one with ids.

**How to get it out.** Write each answer as one line to a file, or put the CSV files into a folder.

- Field history: `GET /services/data/v63.0/query?q=SELECT Id, AccountId, Field, OldValue, NewValue, DataType,
  CreatedById, CreatedBy.Name, CreatedBy.Username, CreatedDate FROM AccountHistory WHERE CreatedDate > …`, or Data
  Loader. It is kept for 18 months, 24 through the API, longer with Field Audit Trail (not confirmed).
- Change data capture: *Setup, Integrations, Change Data Capture*; subscribe with the Pub/Sub API or CometD and write
  each event, decoded, as one line. Events are kept for 72 hours (not confirmed).
- Setup audit trail: `SELECT Id, Action, Section, Display, DelegateUser, CreatedById, CreatedBy.Username, CreatedDate,
  ResponsibleNamespacePrefix FROM SetupAuditTrail`, or the download in *Setup, View Setup Audit Trail* (180 days). Its
  sentences are read in English: set the exporting user's language to it. The download's times are in that user's
  time zone: set the input's `timezone`.
- Event log files: `SELECT Id, EventType, LogDate, LogFile FROM EventLogFile`, then `GET …/EventLogFile/{Id}/LogFile`.
  Needs *View Event Log Files*; most types need Event Monitoring or Shield (30 days (not confirmed)).
- Login history: `SELECT Id, UserId, LoginTime, LoginType, SourceIp, Status, Application, Browser, Platform, LoginUrl
  FROM LoginHistory`, or the download of *Setup, Login History*. Needs *Manage Users*; six months (not confirmed).

**One line in**: one record, an array, or an answer `{"totalSize": …, "records": […]}`; an event of change data capture
with or without its envelope; or a CSV file with its header. Empty CSV fields are taken as null.

```json
{"attributes":{"type":"AccountHistory","url":"/services/data/v63.0/sobjects/AccountHistory/017xx0001"},"Id":"017xx0001","AccountId":"001xx0001","Field":"AnnualRevenue","OldValue":90000,"NewValue":120000,"CreatedById":"005xx0001","CreatedDate":"2026-03-01T17:04:05.000+0000"}
{"ChangeEventHeader":{"entityName":"Contact","recordIds":["003xx0001"],"changeType":"UPDATE","changeOrigin":"com/salesforce/api/rest/63.0;client=Payroll","transactionKey":"0002343d-9d90","sequenceNumber":1,"commitTimestamp":1772384645000,"commitUser":"005xx0001","commitNumber":10585,"changedFields":["Salary__c","LastModifiedDate"],"nulledFields":[]},"Salary__c":120000,"LastModifiedDate":"2026-03-01T17:04:05Z"}
{"attributes":{"type":"SetupAuditTrail"},"Id":"0Ymxx0001","Action":"changedroleforuser","Section":"Manage Users","Display":"Changed role for user Lee Ode from Sales to Support","DelegateUser":null,"CreatedById":"005xx0001","CreatedDate":"2026-03-01T17:04:05.000+0000"}
```

**What comes out.**

- Field history (`salesforce.field_history`): one `field.update`, `native`; the field `created` is a `record.create`,
  `accountMerged` and its like a `record.merge`. Where neither value is told, both are unknown.
- Change data capture (`salesforce.change_event`): for each of `recordIds` one operation: `field.update` with each of
  `changedFields` and `nulledFields` (`new_only`; a component is `BillingAddress.City`; of `diffFields` only a
  difference is sent, which stays in `trail.raw`), `record.create` with the values, `record.delete`, `record.restore`; of
  users `user.*`, and `role.grant` where profile or role changed. `GAP_*` events say that something happened, and not
  what. `event.id` is transaction, sequence and record.
- Setup audit trail (`salesforce.setup_audit`): users, permission sets and profiles become `user.*`, `role.*`,
  `password.*`, `mfa.*`, the rest `app.*`, `automation.*`, `config.*`; a login as another user is `auth.impersonate`. A
  change that the sentence tells in one way only is read from it (`reconstructed`). Where `DelegateUser` is given, that
  person did it with the rights of `CreatedBy`: `user` is the delegate, `user.effective` the other. The sentence stays
  in `trail.raw`, with `…` for the values that were read from it, or is the message.
- Event log files (`salesforce.<event type>`): `auth.login`, `.logout`, `.impersonate`, `data.export`, `report.run`,
  `api.request` and their like by `EVENT_TYPE`, else `log.message`. Login history: `auth.login` with its outcome.

Missing: of history, change data capture and the setup trail `source.ip`, `trail.session.id` and mostly
`trail.interface` (`api` where `changeOrigin` names a client of yours: an inference); of change data capture
`trail.change.old`; of event log files, which name nobody's edits, there is no change. What is not mapped is in
`trail.raw`. Options: `dates`, the order in the dates of the setup trail's download: `month_first`, which is taken
without it, or `day_first`.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, UNKNOWN, Change, Context, Format, Gives, Operation, Rejected, Time
from parsers._csv import row
from parsers._json import Items, decode, each, is_text, peek, scalar_text, snake, take, take_text, take_time, unwrap
from parsers._salesforce_capture import read_capture
from parsers._salesforce_events import is_event, is_login, read_event, read_login
from parsers._salesforce_setup import read_setup

FORMAT: Final = Format(
    name="salesforce",
    module="salesforce",
    vendor="Salesforce",
    title="Salesforce, field history, change data capture, setup audit trail, event logs and logins",
    options={"dates": "order in the dates of the setup trail's CSV download: month_first (default) or day_first"},
    framing="csv",
    gives=Gives.of("who when ip session field old new logins exports"),
)
LITERALS: Final = (
    b"ChangeEventHeader", b"EVENT_TYPE", b'"Display"', b"Delegate User", b"OldValue", b"OLDVALUE", b"LoginTime",
    b"LOGINTIME", b"Login Time", b'"totalSize"',
)  # fmt: skip

_NAMES: Final = (
    "Id", "ParentId", "Field", "OldValue", "NewValue", "DataType", "FieldHistoryType", "IsDeleted", "CreatedById",
    "CreatedBy.Name", "CreatedBy.Username", "CreatedBy.Email", "CreatedDate", "Action", "Section", "Display",
    "DelegateUser", "ResponsibleNamespacePrefix", "CreatedByContext", "CreatedByIssuer", "LoginTime", "LoginType",
    "SourceIp", "Status", "UserId", "Username", "Browser", "Platform", "Application", "LoginUrl", "CountryIso",
    "Date", "User",
)  # fmt: skip
_KNOWN: Final = {
    **{name.lower(): name for name in _NAMES},
    "sourcenamespaceprefix": "ResponsibleNamespacePrefix",
}
"""Column names without spaces and underscores, in lower case -> the API's."""
_KEPT: Final = frozenset({"Field", "Display", "Action", "DelegateUser", "Section", "Status", "SourceIp", "User"})
"""Columns by which a row is known, even if they are empty."""
_PREFIXES: Final = {
    "001": "Account",
    "003": "Contact",
    "006": "Opportunity",
    "00Q": "Lead",
    "500": "Case",
    "701": "Campaign",
    "800": "Contract",
    "801": "Order",
    "01t": "Product2",
    "02i": "Asset",
}
"""First characters of a record's id -> its object, for rows that do not name it."""
_HISTORY: Final = re.compile(r"(.{1,120}?)(?:__|Field)?History").fullmatch
_DATE: Final = re.compile(
    r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4}),? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?: ([AP]M))?"
    r"(?: ([A-Z]{2,5}))?",
    re.IGNORECASE,
).fullmatch
_OFFSETS: Final = {"GMT": "Z", "UTC": "Z", "PST": "-08:00", "PDT": "-07:00", "EST": "-05:00", "EDT": "-04:00"}
_EVENTS: Final = frozenset(
    {"locked", "unlocked", "leadConverted", "opportunityCreatedFromLead", "ownerAccepted", "ownerAssignment"}
    | {"ownerEscalated", "feedEvent", "contractActivation", "contractApproval", "contractConversion", "contractDraft"}
    | {"contractExpiration", "contractTermination", "TextPost"}
)
"""What stands as `Field` in a history row and is no field."""


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One answer, event or CSV row, see the module's text."""
    if not any(literal in record for literal in LITERALS):
        return Rejected("no record of Salesforce: none of its names is there")
    if record[:1] not in {b"{", b"["}:
        table = row(record)
        return table if isinstance(table, Rejected) else each(_row(table), partial(_one, ctx=ctx))
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    found = unwrap(value, "records") if not _is_capture(value) else unwrap(value)
    if not isinstance(found, Rejected) and not found.items:
        if not {"totalSize", "done"} <= found.rest.keys():
            return Rejected("an empty list of records that is no answer of Salesforce")
        return [Operation(action="log.message", kind="field_history", no_change=True)]
    return each(found, partial(_one, ctx=ctx))


@lru_cache(maxsize=1024)
def _column(column: str) -> str:
    """The API's name of a CSV column, the column's own where it is not known."""
    return _KNOWN.get(column.replace(" ", "").replace("_", "").lower(), column)


def _row(table: dict[str, str]) -> Items:
    """A CSV row with the API's names; empty fields say null where that matters, and are left out elsewhere."""
    if "EVENT_TYPE" in table:
        return Items([{name: text for name, text in table.items() if text}], {})
    item: dict[str, Any] = {}
    for column, text in table.items():
        name = _column(column)
        if name in {"OldValue", "NewValue"}:
            item[name] = text or None
        elif name.startswith("CreatedBy."):
            if text:
                item.setdefault("CreatedBy", {})[name.removeprefix("CreatedBy.")] = text
        elif text or name in _KEPT:
            item[name] = text
    return Items([item], {})


def _is_capture(value: Any) -> bool:
    return isinstance(value, dict) and any(name in value for name in ("ChangeEventHeader", "payload", "data"))


def _one(item: dict[str, Any], ctx: Context) -> list[Operation] | Rejected:
    for path in ((), ("payload",), ("data", "payload")):
        if isinstance(peek(item, *path, "ChangeEventHeader") if path else item.get("ChangeEventHeader"), dict):
            return read_capture(item, path)
    names = frozenset(item)
    if is_event(names):
        return [read_event(item)]
    _forget_address(item)
    if {"Date", "User", "Action", "Section", "DelegateUser"} <= names:
        return [_download(item, str(ctx.options.get("dates", "")) == "day_first")]
    kind = peek(item, "attributes", "type")
    if {"Action", "Display", "CreatedDate"} <= names and (
        kind == "SetupAuditTrail" or not names.isdisjoint({"Section", "DelegateUser"})
    ):
        return [_setup(item)]
    if is_login(names):
        take(item, "attributes", "type")
        return [read_login(item)]
    if {"Field", "OldValue", "NewValue", "CreatedDate"} <= names and is_text(item["Field"]) and item["Field"].strip():
        return _history(item)
    return Rejected(
        "neither field history, a change event, the setup audit trail, an event log nor login history of Salesforce"
    )


def _forget_address(item: dict[str, Any]) -> None:
    """Drop the REST addresses that only repeat an id: of the row itself, and of who created it."""
    for path, identity in (((), item.get("Id")), (("CreatedBy",), item.get("CreatedById"))):
        url = peek(item, *path, "attributes", "url")
        if is_text(url) and is_text(identity) and identity and url.endswith(f"/{identity}"):
            take(item, *path, "attributes", "url")
    if peek(item, "CreatedBy", "attributes", "type") == "User":
        take(item, "CreatedBy", "attributes", "type")


def _who(op: Operation, item: dict[str, Any]) -> None:
    """`CreatedBy`; with a delegate that person is whose rights were used."""
    delegate = take_text(item, "DelegateUser")
    prefix = "user" if delegate is None else "user.effective"
    for path, member in (
        (("CreatedById",), "id"),
        (("CreatedBy", "Username"), "name"),
        (("CreatedBy", "Name"), "full_name"),
        (("CreatedBy", "Email"), "email"),
        (("User",), "name"),
    ):
        text = take_text(item, *path)
        if text is not None:
            op.fields[f"{prefix}.{member}"] = text
    if delegate is not None:
        op.fields["user.name"] = delegate
    elif not item.get("DelegateUser", True):
        del item["DelegateUser"]
    if any(f"user.{member}" in op.fields for member in ("id", "name", "full_name", "email")):
        op.actor_type, op.actor_confidence = "user", "asserted"


def _setup(item: dict[str, Any]) -> Operation:
    take(item, "attributes", "type")
    op = Operation(action="config.update", kind="setup_audit", time=take_time(item, "CreatedDate"), raw=item)
    op.id, op.code = take_text(item, "Id"), take_text(item, "Action")
    _who(op, item)
    read_setup(op, item, "Display")
    return op


def _download(item: dict[str, Any], day_first: bool) -> Operation:  # noqa: FBT001 - the option as it is
    """A row of the CSV download, whose column `Action` holds the sentence."""
    op = Operation(action="config.update", kind="setup_audit", raw=item)
    text = item["Date"]
    found = _DATE(text.strip())
    if found:
        first, second, year, hour, minute, sec, half, zone = found.groups()
        day, month = (first, second) if day_first or int(first) > 12 else (second, first)
        clock = int(hour) % 12 + (12 if half.upper() == "PM" else 0) if half else int(hour)
        offset = _OFFSETS.get((zone or "").upper(), "")
        op.time = Time(f"{year}-{int(month):02}-{int(day):02}T{clock:02}:{minute}:{sec or '00'}{offset}")
        if zone is None or offset:
            del item["Date"]  # else the name of the zone would be lost
    else:
        op.time = take_time(item, "Date")
    _who(op, item)
    for name in ("Section", "User"):
        if item.get(name) == "":
            del item[name]
    read_setup(op, item, "Action")
    return op


def _history(item: dict[str, Any]) -> list[Operation] | Rejected:
    found = _HISTORY(str(peek(item, "attributes", "type")))
    entity = take_text(item, "FieldHistoryType")
    if found:
        kind = take(item, "attributes", "type")
        entity = found[1] + ("__c" if kind.endswith("__History") else "")
    parents = [name for name in item if name.lower().endswith("id") and name not in {"Id", "CreatedById"}]
    parent = "ParentId" if "ParentId" in item else parents[0] if len(parents) == 1 else None
    parent = parent or (f"{entity}Id" if f"{entity}Id" in item else None)
    if parent is None or ("CreatedById" not in item and "CreatedBy" not in item):
        return Rejected("a history row without the id of its record or without CreatedById")
    op = Operation(action="field.update", kind="field_history", time=take_time(item, "CreatedDate"), raw=item)
    op.id, op.object_id = take_text(item, "Id"), take_text(item, parent)
    if entity is None:
        entity = parent[:-2] if parent != "ParentId" else _PREFIXES.get((op.object_id or "")[:3])
        entity = entity.capitalize() if entity and entity.isupper() else entity  # Data Loader shouts
    op.object_type, op.object_label = (snake(entity), entity) if entity else (None, None)
    _who(op, item)
    field = take_text(item, "Field") or ""
    old, new = item.pop("OldValue"), item.pop("NewValue")
    nothing = old is None and new is None
    if nothing and (field == "created" or field.endswith("Merged") or field in _EVENTS):
        op.code = field
        op.action = {"created": "record.create"}.get(field, "record.merge" if field.endswith("Merged") else op.action)
        op.missing = ("trail.values",) if field == "created" else CHANGE_NOT_TOLD if field in _EVENTS else ()
    elif nothing:  # a long text or a multi-select list: Salesforce keeps that it changed, not from what to what
        op.changes = [Change(field, UNKNOWN, UNKNOWN, derivation="new_only")]
    else:
        op.changes = [Change(field, old, new)]
    if scalar_text(item.get("IsDeleted")) == "false" or item.get("IsDeleted") is False:
        del item["IsDeleted"]  # of the history row
    return [op]
