"""Workday, user activity logging and sign-on reports: who ran which task, and who signed on, when and from where.

**What the source records.** Activity: the account, the time, the task, the record that it was about, the IP address,
the session and the user agent; no fields and no values. Sign-ons: the account, the times, the outcome with its reason,
the way of authentication, and, where the report has these columns, IP address, session and user agent. What changed
from what to what stands in Workday's audit trail reports alone: their columns differ by tenant, so they are not read
here (map one with a format of your own).

**How to get it out.** Activity: turn on *Edit Tenant Setup - System > Enable User Activity Logging*, give an
integration system user *Get* on the domain *User Activity Logging*, register an API client for integrations, and page
through `GET https://HOST/ccx/api/privacy/v1/TENANT/activityLogging` (30 days are kept, not confirmed). Sign-ons: an
advanced custom report over *Signons and Attempted Signons*, *Enable As Web Service*, domain *System Auditing*; fetch
it as `https://HOST/ccx/service/customreport2/TENANT/OWNER/REPORT?format=json`. Append each row, or each whole answer,
as one line to a file.

**One line in**: one row, an array of rows, or an answer `{"data": [...]}` (activity) or `{"Report_Entry": [...]}`
(sign-ons). Sign-on columns are found by their names without case and punctuation (`Sign-on_Time`, `Signon DateTime`).

```json
{"activityAction":"READ","systemAccount":"rvale","requestTime":"2026-03-09T07:15:30.250Z","taskDisplayName":"View Worker Pay","sessionId":"d04f1a","target":{"descriptor":"Kim Quill","id":"3f5c2a9be01d4c77a8d2f6b1c0e49a52"},"taskId":"7a10b3c4d5e64f708192a3b4c5d6e7f8","ipAddress":"198.51.100.9","deviceType":"Desktop","userAgent":"ExampleBrowser/1.0"}
{"Authentication_Type":"SAML","Sign-on_Time":"2026-03-12T09:20:05-07:00","Session_ID":"e7719c","Signon_IP_Address":"198.51.100.9","userName":"rvale","Request_Originator":"UI"}
```

**What comes out.**

- Activity (`workday.activity`): by `activityAction`: `READ` is `record.view`, `CREATE`, `UPDATE` and `DELETE` are
  `record.create`, `field.update` and `record.delete`, everything else `log.message` (of these words only `READ` and
  `OTHER` are confirmed). A task named *Export* or *Download* is `data.export`, *Start Proxy* is `auth.impersonate`
  (from the task's name; not confirmed). `event.code` is the task's name; the object is the target, else the task.
- Sign-ons (`workday.sign_on`): `auth.login` with `event.outcome`, `event.reason`, and the session's end in
  `event.end`.

An account written `rvale / Robin Vale` is `user.name` and `user.full_name`. The interface is `ui`, `api` or `system`
by the request's originator, or `api` where the task's name says that it is a web service or a REST call; else it is
not known. *Workday Internal* in the place of an IP address stays in `trail.raw`.

Missing: `trail.missing` holds what a row lacks: of changes `trail.change.field`, `.old` and `.new`; of *Start Proxy*
`user.effective.id`; often `trail.interface`; of sign-ons `source.ip`, `trail.session.id` and `user_agent.original` where the report has no such
column. What is not mapped is in `trail.raw`. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Context, Format, Gives, Operation, Rejected
from parsers._json import decode, each, is_text, peek, scalar_text, take, take_ip, take_text, take_time, unwrap

FORMAT: Final = Format(
    name="workday",
    module="workday",
    vendor="Workday",
    title="Workday, user activity logging and sign-on reports",
    gives=Gives.of("who when ip session logins", "exports"),
)
LITERALS: Final = (b'"activityAction"', b'"Report_Entry"', b"ign", b"IGN", b"ession", b"ESSION")

_ACTIVITIES: Final = {
    "READ": "record.view",
    "VIEW": "record.view",
    "CREATE": "record.create",
    "ADD": "record.create",
    "UPDATE": "field.update",
    "WRITE": "field.update",
    "DELETE": "record.delete",
}
# Words of a task's name that say more than the activity's kind; the first that is found decides.
_TASKS: Final = (
    (re.compile(r"(?i)\b(?:export|download)(?:s|ed|ing)?\b").search, "data.export"),
    (re.compile(r"(?i)^start proxy\b").search, "auth.impersonate"),
)
_BY_MACHINE: Final = re.compile(r"\(Web Service\)|\((?:GET|POST|PUT|PATCH|DELETE)\)").search
_ORIGINATORS: Final = {"ui": "ui", "web services": "api", "internal": "system"}

# Columns of sign-on reports without case and punctuation, in order of preference.
_TIMES: Final = ("signontime", "signondatetime", "sessionstart")
_ENDS: Final = ("signofftime", "signoffdatetime", "sessionend")
_ACCOUNTS: Final = ("username", "systemaccount", "workdayaccount", "promptpositiveinteger", "attemptedusername")
_PROOFS: Final = frozenset(
    """authenticationtype authenticationtypeforsignon failedsignon invalidcredentials signonipaddress sessionipaddress
    authenticationfailuremessage activesession""".split()  # noqa: SIM905 - reads better than eight quoted words
)
_ADDRESSES: Final = ("signonipaddress", "sessionipaddress", "ipaddress")
_FAILED: Final = ("failedsignon", "invalidcredentials", "accountlockeddisabledorexpired")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
_TRUE: Final = frozenset({"1", "true", "yes", "y"})
_FALSE: Final = frozenset({"0", "false", "no", "n"})
_PLAIN_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """Rows of activity logging or of a sign-on report, see the module's text."""
    value = decode(record)
    if isinstance(value, Rejected):
        return value
    if isinstance(value, dict) and value.get("Report_Entry") == []:
        return [Operation(action="auth.login", kind="sign_on", no_change=True)]
    found = unwrap(value, "data", "Report_Entry")
    if not isinstance(found, Rejected) and not found.items:
        return Rejected("an empty list that is no answer of a Workday report")
    return each(found, _row)


def _row(item: dict[str, Any]) -> list[Operation] | Rejected:
    if is_text(item.get("activityAction")) and "requestTime" in item and _has_any(item, "systemAccount", "taskId"):
        return [_activity(item)]
    columns = {_NO_WORD.sub("", name.lower()): name for name in item}
    if _named(columns, _TIMES) and _named(columns, _ACCOUNTS) and not _PROOFS.isdisjoint(columns):
        return [_sign_on(item, columns)]
    return Rejected(
        "neither a row of Workday's activity logging (activityAction, requestTime, systemAccount)"
        " nor of a sign-on report (a time, an account and how it was authenticated)"
    )


def _has_any(item: dict[str, Any], *names: str) -> bool:
    return any(scalar_text(item.get(name)) is not None for name in names)


def _named(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _account(op: Operation, text: str | None) -> None:
    """`rvale / Robin Vale`, or the account alone."""
    if text is None:
        return
    account, _, person = text.partition(" / ")
    op.fields["user.name"] = account.strip() or text
    if person.strip():
        op.fields["user.full_name"] = person.strip()
    op.actor_type, op.actor_confidence = "user", "asserted"


def _set(op: Operation, item: dict[str, Any], field: str, *path: str) -> None:
    text = take_text(item, *path)
    if text is not None:
        op.fields[field] = text


def _activity(item: dict[str, Any]) -> Operation:
    verb = scalar_text(item["activityAction"]) or ""
    op = Operation(action=_ACTIVITIES.get(verb.upper(), "log.message"), kind="activity")
    op.time = take_time(item, "requestTime")
    _account(op, take_text(item, "systemAccount"))
    _set(op, item, "trail.session.id", "sessionId")
    _set(op, item, "user_agent.original", "userAgent")
    address = take_ip(item, "ipAddress")
    if address is not None:
        op.fields["source.ip"] = address
    op.code = take_text(item, "taskDisplayName")
    if op.code is None:
        op.code = take_text(item, "activityAction")
    else:
        op.action = next((action for found, action in _TASKS if found(op.code)), op.action)
        if _BY_MACHINE(op.code):
            op.interface = "api"
    if scalar_text(peek(item, "target", "id")) is not None:
        op.object_type = "record"
        op.object_id = take_text(item, "target", "id")
        op.object_name = take_text(item, "target", "descriptor")
    else:
        op.object_type, op.object_id = "task", take_text(item, "taskId")
    if op.action == "field.update":
        op.missing = CHANGE_NOT_TOLD
    elif op.action == "auth.impersonate":
        op.missing = ("user.effective.id",)  # whether the target is the person is not confirmed
    op.raw = item
    return op


def _sign_on(item: dict[str, Any], columns: dict[str, str]) -> Operation:
    op = Operation(action="auth.login", kind="sign_on")
    op.outcome = _outcome(item, columns)
    started = _named(columns, _TIMES)
    if started is not None:
        op.time = take_time(item, started)
    ended = _named(columns, _ENDS)
    if ended is not None and is_text(item[ended]) and _PLAIN_TIME(item[ended]):
        op.fields["event.end"] = take(item, ended)
    _signer(op, item, [columns[name] for name in _ACCOUNTS if name in columns])
    worker = columns.get("signonworker")
    if worker is not None and "user.full_name" not in op.fields:
        _set(op, item, "user.full_name", worker)
    for field, name in (
        ("trail.session.id", "sessionid"),
        ("user_agent.original", "useragent"),
        ("event.reason", "authenticationfailuremessage"),
        ("organization.name", "tenantname"),
    ):
        if name in columns:
            _set(op, item, field, columns[name])
    where = _named(columns, _ADDRESSES)
    address = take_ip(item, where) if where is not None else None
    if address is not None:
        op.fields["source.ip"] = address
    way = columns.get("authenticationtype", columns.get("authenticationtypeforsignon"))
    op.code = take_text(item, way) if way is not None else None
    originator = columns.get("requestoriginator")
    if originator is not None:
        op.interface = _ORIGINATORS.get((scalar_text(item[originator]) or "").lower())
        if op.interface is not None:
            del item[originator]
    op.raw = item
    return op


def _signer(op: Operation, item: dict[str, Any], columns: list[str]) -> None:
    """The account that the first of these columns names; another one may add the person to it."""
    named = next((column for column in columns if scalar_text(item[column]) is not None), None)
    if named is None:
        return
    _account(op, take_text(item, named))
    for column in columns:
        account, _, person = (scalar_text(item.get(column)) or "").partition(" / ")
        if account == op.fields["user.name"] and person.strip() and "user.full_name" not in op.fields:
            op.fields["user.full_name"] = person.strip()
            del item[column]


def _outcome(item: dict[str, Any], columns: dict[str, str]) -> str | None:
    """Failure and success as the columns say it; a session that was opened is a success too."""
    flags = {name: _flag(item[column]) for name, column in columns.items() if name in {*_FAILED, "successful"}}
    reason = columns.get("authenticationfailuremessage")
    if any(flags.get(name) for name in _FAILED) or flags.get("successful") is False:
        return "failure"
    if reason is not None and scalar_text(item[reason]) is not None:
        return "failure"
    opened = columns.get("sessionid")
    told = flags.get("failedsignon") is False or flags.get("successful")
    return "success" if told or (opened is not None and scalar_text(item[opened]) is not None) else None


def _flag(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None
