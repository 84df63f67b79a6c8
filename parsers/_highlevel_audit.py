"""HighLevel: a row of the audit log's CSV, whose header is not documented. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from parsers import _csv
from parsers._contract import CHANGE_NOT_TOLD, Change, Operation, Rejected, Time
from parsers._json import clean_ip, is_text, same, snake
from parsers._old_new import take_changes
from parsers._rows import row_action
from parsers._secrets import hide_secrets
from parsers._urls import clean_urls
from parsers._values import diff, unwrap_json

_NOT_NAME: Final = re.compile(r"[^a-z0-9]+")
_COLUMNS: Final = {
    "who": ("doneby",),
    "email": ("donebyemail", "useremail", "email"),
    "user": ("donebyid", "userid"),
    "time": ("datetime", "dateandtime", "date", "timestamp", "createdat", "time"),
    "module": ("module", "entity", "entitytype"),
    "action": ("action", "actiontype", "event"),
    "name": ("name", "entityname", "recordname"),
    "id": ("entityid", "recordid", "documentid", "id"),
    "location": ("locationid", "subaccountid"),
    "ip": ("ipaddress", "ip"),
    "field": ("field", "fieldname", "property"),
    "old": ("oldvalue", "originalvalue", "previousvalue", "before", "old", "from"),
    "new": ("newvalue", "updatedvalue", "currentvalue", "after", "new", "to"),
    "detail": ("changes", "modifiedfields", "modifiedfieldsandvalues", "details"),
}
"""What a column tells -> its names without case, spaces and punctuation, the likeliest first."""

_VERBS: Final = {
    **dict.fromkeys(("created", "create", "added", "add"), "create"),
    **dict.fromkeys(("updated", "update", "edited", "modified", "changed"), "update"),
    **dict.fromkeys(("deleted", "delete", "removed"), "delete"),
    **dict.fromkeys(("restored", "restore"), "restore"),
    **dict.fromkeys(("exported", "export", "downloaded", "download"), "export"),
    **dict.fromkeys(("imported", "import"), "import"),
    **dict.fromkeys(("login", "logged_in", "log_in"), "login"),
    **dict.fromkeys(("logout", "logged_out", "log_out"), "logout"),
    **dict.fromkeys(("merged", "merge"), "merge"),
}
_ELSEWHERE: Final = {
    "export": "data.export",
    "import": "data.import",
    "login": "auth.login",
    "logout": "auth.logout",
}
_USERS: Final = frozenset({"user", "users", "team_member", "team_members", "my_staff", "staff"})
_SINGULAR: Final = {
    "contacts": "contact",
    "opportunities": "opportunity",
    "appointments": "appointment",
    "tasks": "task",
    "notes": "note",
    "invoices": "invoice",
    "locations": "location",
    "sub_account": "location",
    "sub_accounts": "location",
}
"""Names of modules -> the types of records that webhooks name, so that both are one record's."""
_AUTOMATIONS: Final = frozenset({"workflow", "workflows", "automation", "automations"})
_AUTOMATION_VERBS: Final = {"create": "automation.create", "delete": "automation.delete", "update": "automation.edit"}


def entry(record: bytes, layout: Any) -> list[Operation] | Rejected:
    """The operation of one row (header line, LF, row)."""
    found = _csv.row(record)
    if isinstance(found, Rejected):
        return found
    left: dict[str, Any] = dict(found)
    columns = _columns(left)
    if not all(name in columns for name in ("who", "time", "module", "action")):
        return Rejected("no header of a HighLevel audit log (Module, Action, Done By, Date & Time)")
    told = {what: str(left.pop(name)).strip() for what, name in columns.items()}
    op = Operation(action="log.message", kind="audit", code=told["action"] or None)
    if told["time"]:
        op.time = Time(told["time"], layout if isinstance(layout, str) else "iso8601")
    _who(op, told, columns, left)
    op.object_label = told["module"] or None
    module = snake(told["module"])
    op.object_type = "user" if module in _USERS else _SINGULAR.get(module, module) or None
    op.object_id = told.get("id") or None
    op.object_name = told.get("name") or None
    if told.get("location"):
        op.fields["organization.id"] = told["location"]
    if told.get("ip"):
        address = clean_ip(told["ip"])
        if address is not None:
            op.fields["source.ip"] = address
        if address != told["ip"]:
            left[columns["ip"]] = told["ip"]
    verb = _VERBS.get(snake(told["action"]), "")
    _what(op, verb, told, columns, left)
    op.action = _action(verb, op, module)
    if verb == "export" and told["module"]:
        op.fields["trail.export.objects"] = [told["module"]]
    if verb == "update" and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    op.no_change = bool(op.changes) and all(same(change.old, change.new) for change in op.changes)
    op.raw = {name: value for name, value in left.items() if value != ""}
    clean_urls(op.raw)
    hide_secrets(op)
    return [op]


def _columns(row: dict[str, Any]) -> dict[str, str]:
    plain = {_NOT_NAME.sub("", name.lower()): name for name in reversed(row)}
    found: dict[str, str] = {}
    for what, names in _COLUMNS.items():
        name = next((plain[name] for name in names if name in plain), None)
        if name is not None and name not in found.values():
            found[what] = name
    return found


def _who(op: Operation, told: dict[str, str], columns: dict[str, str], left: dict[str, Any]) -> None:
    who = told["who"]
    if who.lower() == "system":
        op.actor_type, op.actor_confidence = "system", "asserted"
        left[columns["who"]] = who
        return
    if who:
        op.fields["user.email" if "@" in who and " " not in who else "user.full_name"] = who
    for field, what in (("user.email", "email"), ("user.id", "user")):
        if told.get(what):
            op.fields[field] = told[what]
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"


def _action(verb: str, op: Operation, module: str) -> str:
    if verb in _ELSEWHERE:
        return _ELSEWHERE[verb]
    if module in _AUTOMATIONS and verb in _AUTOMATION_VERBS:
        return _AUTOMATION_VERBS[verb]
    action = row_action(verb, op.object_type, op.changes) if verb else "log.message"
    if action.startswith("role."):
        roles = [
            change.new for change in op.changes if snake(change.field) in {"role", "roles"} and is_text(change.new)
        ]
        if roles:
            op.fields["user.changes.roles"] = roles
    return action


def _cell(text: str | None) -> Any:
    """A cell's text, or the object or list that it holds as JSON; null where it is empty."""
    return (unwrap_json(text) if text[0] in "{[" else text) if text else None


def _what(op: Operation, verb: str, told: dict[str, str], columns: dict[str, str], left: dict[str, Any]) -> None:
    """Old and new values; an empty cell is null, since a CSV knows no other way to say so."""
    old, new, detail = (_cell(told.get(side)) for side in ("old", "new", "detail"))
    if verb == "create" and isinstance(new, dict) and old is None:
        op.values = new
    elif verb == "delete" and isinstance(old, dict) and new is None:
        op.values = old
    elif isinstance(old, dict) and isinstance(new, dict):
        op.changes = [change for change in diff(old, new) if change.field]
        left |= {columns["new"]: {name: value for name, value in new.items() if name in old and old[name] == value}}
    elif told.get("field") or old is not None or new is not None:
        op.changes = [Change(told.get("field") or "value", old, new)]
        told.pop("field", None)
    if isinstance(detail, list):
        detail = {"changes": detail}
    if isinstance(detail, dict):
        op.changes += take_changes(detail)
    if detail:
        left[columns["detail"]] = detail
    if told.get("field") and not op.changes:
        left[columns["field"]] = told["field"]
