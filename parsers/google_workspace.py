"""Google Workspace, Admin SDK Reports: what administrators changed, who signed in, which files and tokens were used.

**What the source records.** Who (`actor`: e-mail address and profile id, or a key), when (`id.time`), the IP address,
the application (`id.applicationName`: admin, login, drive, token, groups, user_accounts, saml …) and one or more events,
each with its parameters. Administrators' events name the setting, its old and its new value; Drive's name access and
visibility before and after. It records no session and no user agent.

**How to get it out.** `GET https://admin.googleapis.com/admin/reports/v1/activity/users/all/applications/<name>` with
the scope `https://www.googleapis.com/auth/admin.reports.audit.readonly` (a service account with domain-wide delegation,
or an administrator), one call per application, `startTime` and `pageToken` to go on; append each answer as one line to
a file. Activities are available for up to 180 days; some come hours late (not confirmed). Drive's need a licence that
has the Drive audit log.

**One line in**: one activity, an array of them, or an answer `{"items": […]}`.

```json
{"kind":"admin#reports#activity","id":{"time":"2026-02-03T10:30:00.123Z","uniqueQualifier":"-712","applicationName":"admin","customerId":"C01"},"etag":"e1","actor":{"callerType":"USER","email":"kim@co.example","profileId":"1077"},"ipAddress":"198.51.100.9","events":[{"type":"APPLICATION_SETTINGS","name":"CHANGE_APPLICATION_SETTING","parameters":[{"name":"APPLICATION_NAME","value":"Drive and Docs"},{"name":"SETTING_NAME","value":"SHARING_OUTSIDE_DOMAIN"},{"name":"OLD_VALUE","value":"NOT_ALLOWED"},{"name":"NEW_VALUE","value":"SHARING_ALLOWED"}]}]}
```

**What comes out.** One operation per event; `event.code` is its name, the dataset the application. `event.id` is the
activity's time and `uniqueQualifier`, with the event's position where there are several.

- admin: `config.update` with the setting as field; users `user.*`, `password.reset`, `mfa.disable`, `session.revoke`;
  roles `role.grant` (the `role` as a change) and `role.*`; groups `group.*`; API access `app.connect`, `token.revoke`;
  takeouts and downloads `data.export`.
- login, user_accounts: `auth.login` with outcome and reason, `auth.mfa`, `auth.logout`, `mfa.enable`, `mfa.disable`,
  `password.change`, `user.disable` where Google disabled an account. saml: `auth.login` to the application.
- drive: `file.*`, `record.share` and `record.unshare` with `access` and `visibility` as changes. token: `app.connect`,
  `app.disconnect`, `token.use`. groups: `group.*`.
- An event that is not known is `config.update` (of Drive `file.update`) where it has an old or a new value, else
  `log.message`.

Parameters stand in `trail.raw` under `events.parameters`, each under its own name; a list of one value is that value.
A key is an `api_key`; an application that impersonates a user (domain-wide delegation) is the actor and the user
`user.effective` (not confirmed).

Missing: `trail.missing` lists `trail.session.id` and `user_agent.original` always, `trail.interface` where no
application is named, and old and new values where an event does not give them. What belongs to the activity as a whole
and is not mapped stands in `trail.raw` of its first event. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Any, Final

from parsers._contract import (
    ABSENT,
    CHANGE_NOT_TOLD,
    UNKNOWN,
    Change,
    Context,
    Format,
    Gives,
    Operation,
    Rejected,
    Time,
)
from parsers._google import action_of
from parsers._json import each, is_text, peek, read, scalar_text, snake, take, take_ip, take_text, take_time
from parsers._pairs import ODD, named, set_person, take_first

FORMAT: Final = Format(
    name="google_workspace",
    module="google_workspace",
    vendor="Google Workspace",
    title="Google Workspace, Admin SDK Reports (activities)",
    missing=("trail.session.id", "user_agent.original"),
    gives=Gives.of("who when ip field old new logins exports"),
)
LITERALS: Final = (b'"applicationName"', b"admin#reports#activities")

_VALUES: Final = ("value", "boolValue", "intValue", "multiValue", "multiIntValue", "messageValue", "multiMessageValue")
_KNOWN: Final = frozenset(
    """access_transparency admin calendar chat chrome context_aware_access data_studio drive gcp gemini groups
    groups_enterprise jamboard keep login meet mobile rules saml token user_accounts vault
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
_SETTINGS: Final = ("SETTING_NAME", "setting_name", "USER_CUSTOM_FIELD", "setting", "field_name", "column_name")
_SETTING: Final = re.compile(
    r"(?:basic|info|identity|new_members_restrictions|post_replies|spam_moderation)_setting|acl_permission"
)
_PAIRS: Final = (("OLD_VALUE", "NEW_VALUE"), ("old_value", "new_value"))
_VERB: Final = re.compile(r"^(?:change|update|set|edit|rename|toggle)_|_(?:change|edit|updated?)$")
_EMAIL: Final = ("USER_EMAIL", "user_email", "target_user", "affected_email_address", "target_email", "member_id")
_GROUP: Final = ("GROUP_EMAIL", "group_email", "group_id")
_NO_ACCESS: Final = ("none", ["none"])


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of activities, see the module's text."""
    found = read(record, "items")
    if not isinstance(found, Rejected) and not found.items:
        if found.rest.get("kind") != "admin#reports#activities":
            return Rejected("an empty list that is no answer of the Google Reports API")
        return [Operation(action="log.message", kind="activity", no_change=True)]
    return each(found, _activity)


def _activity(item: dict[str, Any]) -> list[Operation] | Rejected:
    events = item.get("events")
    if not (
        isinstance(item.get("id"), dict)
        and is_text(peek(item, "id", "applicationName"))
        and peek(item, "id", "time") is not ABSENT
        and isinstance(events, list)
        and ("actor" in item or "ipAddress" in item or item.get("kind") == "admin#reports#activity")
    ):
        return Rejected("no activity of the Google Reports API (id.time, id.applicationName, actor, events are needed)")
    for position, event in enumerate(events):
        if not isinstance(event, dict):
            return Rejected(f"events[{position}] is no object")
    del item["events"]
    application = peek(item, "id", "applicationName")
    common = Operation(action="log.message", kind=application if application in _KNOWN else "activity")
    if application in _KNOWN:
        take(item, "id", "applicationName")
    time = peek(item, "id", "time")
    common.time = take_time(item, "id", "time")
    qualifier = take_text(item, "id", "uniqueQualifier")
    _who(common, item)
    identity = f"{time}/{qualifier}" if qualifier is not None and scalar_text(time) is not None else None
    operations = []
    for position, event in enumerate(events):
        number = "" if len(events) == 1 else f"/{position + 1}"
        operations.append(_event(common, event, None if identity is None else identity + number))
    if not operations:
        common.raw, common.id = item, identity
        return [common]
    operations[0].raw = {**item, **operations[0].raw}
    return operations


def _who(op: Operation, item: dict[str, Any]) -> None:
    take_first(op, item, ("user.id", ("actor", "profileId")))
    email = take_text(item, "actor", "email")
    if email is not None:
        set_person(op, email)
    if op.fields:
        op.actor_type, op.actor_confidence = "user", "asserted"
    key = scalar_text(peek(item, "actor", "key"))
    if key == "SYSTEM":
        op.actor_type, op.actor_confidence, op.interface = "system", "asserted", "system"
    elif peek(item, "actor", "callerType") == "KEY" or (key is not None and not op.fields):
        op.actor_type, op.actor_confidence, op.interface = "api_key", "asserted", "api"
        if key is not None and not op.fields:
            op.fields["user.id"] = key
            take(item, "actor", "key")
    info = peek(item, "actor", "applicationInfo")
    if isinstance(info, dict):
        op.interface = "api"
        if info.get("impersonation") is True and op.fields:
            op.fields = {f"user.effective.{name.removeprefix('user.')}": text for name, text in op.fields.items()}
            op.actor_type, op.actor_confidence = "api_key", "asserted"
            path = ("actor", "applicationInfo")
            take_first(op, item, ("user.id", (*path, "oauthClientId")), ("user.name", (*path, "applicationName")))
    address = take_ip(item, "ipAddress")
    if address is not None:
        op.fields["source.ip"] = address
    take_first(
        op,
        item,
        ("organization.id", ("id", "customerId")),
        ("source.geo.country_iso_code", ("networkInfo", "regionCode")),
        ("source.geo.region_iso_code", ("networkInfo", "subdivisionCode")),
    )
    numbers = peek(item, "networkInfo", "ipAsn")
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], int) and numbers[0] is not True:
        op.fields["source.as.number"] = numbers[0]
        take(item, "networkInfo", "ipAsn")


def _event(common: Operation, event: dict[str, Any], identity: str | None) -> Operation:
    op = Operation(
        action="log.message",
        kind=common.kind,
        time=Time(*common.time) if common.time is not None else None,
        id=identity,
        code=take_text(event, "name"),
        actor_type=common.actor_type,
        actor_confidence=common.actor_confidence,
        interface=common.interface,
        fields=dict(common.fields),
    )
    parameters: dict[str, Any] = {}
    if isinstance(event.get("parameters"), list):
        parameters = named(event["parameters"], "name", _VALUES)
        event["parameters"] = parameters
        for name, value in parameters.items():
            if isinstance(value, list) and len(value) == 1 and name != ODD:
                parameters[name] = value[0]
    op.action = action_of(op.kind, op.code or "", scalar_text(event.get("type")) or "")
    _outcome(op, parameters)
    _changes(op, parameters)
    _what(op, parameters)
    if op.action == "log.message" and op.changes:
        op.action = "file.update" if op.kind == "drive" else "config.update"
    if op.action in {"user.update", "group.update"} and not op.changes:
        op.missing = CHANGE_NOT_TOLD
    if not parameters:
        event.pop("parameters", None)
    op.raw = {"events": event} if event else {}
    return op


def _outcome(op: Operation, parameters: dict[str, Any]) -> None:
    code = op.code or ""
    if code in {"login_success", "login_failure"}:
        op.outcome = "success" if code == "login_success" else "failure"
    status = parameters.get("login_challenge_status")
    if is_text(status):
        word = status.lower()
        op.outcome = "success" if "pass" in word else "failure" if "fail" in word else "unknown"
    if op.action in {"auth.login", "auth.mfa"}:
        take_first(op, parameters, ("event.reason", ("login_failure_type",)), ("event.reason", ("failure_type",)))


def _changes(op: Operation, parameters: dict[str, Any]) -> None:
    code = op.code or ""
    if op.action in {"role.grant", "role.revoke"}:
        role = take_text(parameters, "ROLE_NAME")
        if role is not None:
            op.changes = [Change("role", ABSENT, role) if op.action == "role.grant" else Change("role", role, ABSENT)]
        return
    if code == "RENAME_USER" and is_text(parameters.get("NEW_VALUE")) and is_text(parameters.get("USER_EMAIL")):
        op.changes = [Change("email", parameters["USER_EMAIL"], take(parameters, "NEW_VALUE"))]
        return
    pair = next((pair for pair in _PAIRS if pair[0] in parameters or pair[1] in parameters), None)
    if pair is not None:
        old, new = (UNKNOWN if name not in parameters else parameters.pop(name) for name in pair)
        field = _field(op, parameters)
        op.changes.append(Change(field, old, new, derivation="new_only" if old is UNKNOWN else "native"))
        if field == "access" and op.action == "record.share" and new in _NO_ACCESS:
            op.action = "record.unshare"
    if "old_visibility" in parameters and "visibility" in parameters:
        if parameters["old_visibility"] == parameters["visibility"]:
            return
        op.changes.append(Change("visibility", parameters.pop("old_visibility"), parameters.pop("visibility")))


def _field(op: Operation, parameters: dict[str, Any]) -> str:
    """What the old and new value are values of: the setting's name, else what the event's name says."""
    for name in (*_SETTINGS, *(name for name in parameters if _SETTING.search(name))):
        text = scalar_text(parameters.get(name))
        if text is not None:
            del parameters[name]
            return text
    code = snake(op.code or "")
    if op.kind == "drive":
        return {
            "change_user_access": "access",
            "shared_drive_membership_change": "access",
            "change_document_visibility": "link_visibility",
            "change_document_access_scope": "link_access",
            "rename": "title",
        }.get(code, _VERB.sub("", code) or "value")
    return _VERB.sub("", code).removeprefix("user_") or "value"


def _what(op: Operation, parameters: dict[str, Any]) -> None:
    person = next((name for name in _EMAIL if scalar_text(parameters.get(name)) is not None), None)
    group = next((name for name in _GROUP if scalar_text(parameters.get(name)) is not None), None)
    if op.kind == "drive" and "doc_id" in parameters:
        op.object_type, op.object_id = "file", take_text(parameters, "doc_id")
        op.object_name = take_text(parameters, "doc_title")
        op.object_label = take_text(parameters, "doc_type")
        if op.object_name is not None:
            op.fields["file.name"] = op.object_name
        take_first(op, parameters, ("trail.object.owner_id", ("owner",)))
    elif op.action.startswith("group.") and group is not None:
        op.object_type, op.object_id = "group", take_text(parameters, group)
        op.fields["group.id"] = op.object_id
    elif op.action.startswith("role.") and person is None:
        op.object_type, op.object_id = "role", take_text(parameters, "ROLE_ID")
        op.object_name = take_text(parameters, "ROLE_NAME")
    elif op.kind == "token" and ("client_id" in parameters or "app_name" in parameters):
        op.object_type, op.object_id = "app", take_text(parameters, "client_id")
        op.object_name = take_text(parameters, "app_name")
    elif op.kind == "saml":
        op.object_name = take_text(parameters, "application_name")
        op.object_type = "app" if op.object_name is not None else None
    elif op.kind == "admin" and person is not None:
        op.object_type, op.object_id = "user", take_text(parameters, person)
        set_person(op, op.object_id, "user.target")
        return
    elif op.kind == "admin" and "APPLICATION_NAME" in parameters:
        op.object_type, op.object_id = "application", take_text(parameters, "APPLICATION_NAME")
    elif op.kind in {"login", "user_accounts"} and op.action.startswith(("user.", "password.", "mfa.")):
        _own_account(op, parameters, person)
        return
    if person is not None:
        set_person(op, take_text(parameters, person), "user.target")


def _own_account(op: Operation, parameters: dict[str, Any], person: str | None) -> None:
    """What people do with their own account, and what Google does with it, names it once, as actor or as affected."""
    named_here = take_text(parameters, person) if person is not None else None
    op.object_type = "user"
    op.object_id = named_here or op.fields.get("user.id") or op.fields.get("user.email")
    if named_here is not None:
        set_person(op, named_here, "user.target")
