"""Salesforce's event log files and login history: one row with one kind of event each. Pure.

Rows come with their names as in the file (`EVENT_TYPE`) or in the object (`LoginTime`), empty fields left out.
"""

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import Operation, Time
from parsers._json import clean_ip, is_text, scalar_text, snake, take_ip, take_text, take_time

_STAMP: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]{1,9})?").fullmatch
_REPORT: Final = re.compile(r"/(00O[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)(?:[/?].*)?", re.DOTALL).fullmatch
"""The address of a report is its id, and ids of reports begin with 00O."""
_API: Final = ("api.request", "api")
_EVENTS: Final[dict[str, tuple[str, str | None]]] = {
    "Login": ("auth.login", None),
    "LoginAs": ("auth.impersonate", "ui"),
    "Logout": ("auth.logout", None),
    "ReportExport": ("data.export", "ui"),
    "Report": ("report.run", None),
    "Dashboard": ("report.run", "ui"),
    "AnalyticsDownload": ("data.export", "ui"),
    "WaveDownload": ("data.export", "ui"),
    "DocumentAttachmentDownloads": ("file.download", "ui"),
    "Search": ("record.search", None),
    "PackageInstall": ("app.connect", None),
    **dict.fromkeys(("URI", "LightningPageView", "VisualforceRequest"), ("http.request", "ui")),
    **dict.fromkeys(("API", "ApiTotalUsage", "RestApi", "ApexRestApi", "ApexSoap", "MetadataApiOperation"), _API),
    **dict.fromkeys(("BulkApi", "BulkApi2", "BulkApiRequest"), ("data.import", "api")),
}
"""EVENT_TYPE -> action, interface."""
_TRANSFERS: Final = (("Download", "file.download"), ("Upload", "file.upload"), ("Delet", "file.delete"))
_TEXTS: Final = (
    ("USER_NAME", "user.name"),
    ("USER_EMAIL", "user.email"),
    ("REQUEST_ID", "http.request.id"),
    ("ORGANIZATION_ID", "organization.id"),
    ("METHOD", "http.request.method"),
    ("HTTP_METHOD", "http.request.method"),
    ("URI", "url.original"),
)
_ROWS: Final = ("ROW_COUNT", "ROWS_PROCESSED", "NUMBER_OF_RECORDS", "RECORD_COUNT")
_BULK: Final = frozenset({"data.export", "data.read", "report.run"})


def is_event(names: frozenset[str]) -> bool:
    """Whether a row with these names is one of an event log file."""
    telling = {"TIMESTAMP_DERIVED", "ORGANIZATION_ID", "USER_ID_DERIVED", "RUN_TIME", "REQUEST_ID", "LOGIN_KEY"}
    return "EVENT_TYPE" in names and len(names & telling) >= 2 and not names.isdisjoint({"TIMESTAMP", *telling})


def is_login(names: frozenset[str]) -> bool:
    """Whether a row with these names is one of the login history."""
    return {"LoginTime", "SourceIp", "Status"} <= names and not names.isdisjoint({"UserId", "Username"})


def read_event(item: dict[str, Any]) -> Operation:
    """One row of an event log file."""
    code = take_text(item, "EVENT_TYPE") or ""
    action, interface = _EVENTS.get(code, ("log.message", None))
    op = Operation(action=action, kind=snake(code) or "event", code=code or None, interface=interface, raw=item)
    _time(op, item)
    _accounts(op, item, code)
    _address(op, item)
    for name, target in _TEXTS:
        text = take_text(item, name) if name in item and target not in op.fields else None
        if text is not None:
            op.fields[target] = text
    op.id = op.fields.get("http.request.id")
    session = take_text(item, "SESSION_KEY") or take_text(item, "LOGIN_KEY")
    if session is not None:
        op.fields["trail.session.id"] = session
    for name in ("BROWSER_TYPE", "USER_AGENT"):
        agent = item.get(name)
        if is_text(agent) and not agent.isdigit() and "user_agent.original" not in op.fields:
            op.fields["user_agent.original"] = item.pop(name)
    _numbers(op, item)
    _outcome(op, item)
    _what(op, item, code)
    return op


def _time(op: Operation, item: dict[str, Any]) -> None:
    stamp = item.get("TIMESTAMP")
    found = _STAMP(stamp) if is_text(stamp) else None
    text = "{}-{}-{}T{}:{}:{}{}Z".format(*found.groups("")) if found else None
    if "TIMESTAMP_DERIVED" in item:
        op.time = take_time(item, "TIMESTAMP_DERIVED")
        if text is not None and op.time is not None and op.time.text == text:
            del item["TIMESTAMP"]  # the same in other words
    elif text is not None:
        op.time = Time(text)
        del item["TIMESTAMP"]


def _identity(item: dict[str, Any], name: str) -> str | None:
    """The 18-character form of an id where there is one; the 15-character form of it says nothing more."""
    short, whole = scalar_text(item.get(name)), take_text(item, f"{name}_DERIVED")
    if short is not None and (whole is None or whole.startswith(short)):
        del item[name]
    return whole or short


def _accounts(op: Operation, item: dict[str, Any], code: str) -> None:
    """Who: of a login as another user the one who does it, and as `user.effective` whom they are then."""
    user, delegate = _identity(item, "USER_ID"), _identity(item, "DELEGATED_USER_ID")
    if code == "LoginAs" and (delegate is not None or "DELEGATED_USER_NAME" in item):
        name = take_text(item, "USER_NAME")
        op.fields.update(
            {key: text for key, text in (("user.effective.id", user), ("user.effective.name", name)) if text}
        )
        user, name = delegate, take_text(item, "DELEGATED_USER_NAME")
        if name is not None:
            op.fields["user.name"] = name
        op.object_type = "user"
        op.object_id = op.fields.get("user.effective.id")
    elif delegate is not None:
        item["DELEGATED_USER_ID"] = delegate
    if user is not None:
        op.fields["user.id"] = user
    if user is not None or "user.name" in op.fields or "USER_NAME" in item:
        op.actor_type, op.actor_confidence = "user", "asserted"


def _address(op: Operation, item: dict[str, Any]) -> None:
    address = take_ip(item, "SOURCE_IP")
    client = item.get("CLIENT_IP")
    client_address = clean_ip(client) if is_text(client) else None
    if address is None or client_address == address:
        address = take_ip(item, "CLIENT_IP") or address
    if address is not None:
        op.fields["source.ip"] = address


def _whole(item: dict[str, Any], name: str) -> int | None:
    text = scalar_text(item.get(name))
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 12):
        return None
    del item[name]
    return int(text)


def _numbers(op: Operation, item: dict[str, Any]) -> None:
    took = _whole(item, "RUN_TIME")
    if took is not None:
        op.fields["event.duration"] = took * 1_000_000
    status = _whole(item, "STATUS_CODE")
    if status is not None:
        op.fields["http.response.status_code"] = status


def _outcome(op: Operation, item: dict[str, Any]) -> None:
    status = item.get("LOGIN_STATUS")
    if op.action == "auth.login" and is_text(status):
        op.outcome = "success" if status == "LOGIN_NO_ERROR" else "failure"
        op.fields["event.reason"] = item.pop("LOGIN_STATUS")
        if op.outcome == "success":
            del op.fields["event.reason"]
    elif str(item.get("REQUEST_STATUS")) in {"S", "F"}:
        op.outcome = "success" if item.pop("REQUEST_STATUS") == "S" else "failure"


def _what(op: Operation, item: dict[str, Any], code: str) -> None:
    """What it was about: the report, the file, the kind of records."""
    if code.startswith("BulkApi") and str(item.get("OPERATION_TYPE", "")).lower().startswith("query"):
        op.action = "data.read"
    if code == "ContentTransfer":
        kind = str(item.get("TRANSACTION_TYPE", ""))
        op.action = next((action for word, action in _TRANSFERS if word in kind), "log.message")
    if code in {"Report", "ReportExport"}:
        op.object_type = "report"
        op.object_id = _identity(item, "REPORT_ID")
        if op.object_id is None:
            found = _REPORT(str(op.fields.get("url.original")))
            op.object_id = found[1] if found else None
        op.object_name = take_text(item, "REPORT_DESCRIPTION")
    entities = scalar_text(item.get("ENTITY_NAME")) or scalar_text(item.get("ENTITY_TYPE"))
    if op.action in _BULK:
        for name in _ROWS:
            rows = _whole(item, name)
            if rows is not None:
                op.fields["trail.export.rows"] = rows
                break
        if entities is not None:
            item.pop("ENTITY_NAME" if "ENTITY_NAME" in item else "ENTITY_TYPE")
            op.fields["trail.export.objects"] = [part.strip() for part in entities.split(",") if part.strip()]
    elif entities is not None and op.object_type is None and "," not in entities:
        item.pop("ENTITY_NAME" if "ENTITY_NAME" in item else "ENTITY_TYPE")
        op.object_type, op.object_label = snake(entities), entities


def read_login(item: dict[str, Any]) -> Operation:
    """One row of the login history."""
    op = Operation(action="auth.login", kind="login_history", time=take_time(item, "LoginTime"), raw=item)
    op.id, op.code = take_text(item, "Id"), take_text(item, "LoginType")
    for name, target in (("UserId", "user.id"), ("Username", "user.name"), ("Browser", "user_agent.name")):
        text = take_text(item, name)
        if text is not None:
            op.fields[target] = text
    if "user.id" in op.fields or "user.name" in op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    address = take_ip(item, "SourceIp")
    if address is not None:
        op.fields["source.ip"] = address
    status = take_text(item, "Status")
    if status is not None:
        op.outcome = "success" if status == "Success" else "failure"
        if op.outcome == "failure":
            op.fields["event.reason"] = status
    for name, target in (("Platform", "user_agent.os.full"), ("LoginUrl", "url.domain")):
        text = take_text(item, name)
        if text is not None:
            op.fields[target] = text
    country = item.get("CountryIso")
    if is_text(country) and len(country) == 2 and country.isascii() and country.isalpha():
        op.fields["source.geo.country_iso_code"] = item.pop("CountryIso").upper()
    return op
