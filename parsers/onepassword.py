"""1Password Business, Events API: sign-in attempts, uses of items, and the audit log of the account.

**What the source records.** Three feeds. *Sign-in attempts*: who tried, when, from which address, country, application
and system, whether it worked and why not. *Item usages*: who revealed, filled, copied, exported or shared which item of
which shared vault. *Audit events*: who did what to which object of the account (user, group, vault, access, device,
integration), with the session, device and address. No feed tells values: neither old nor new.

**How to get it out.** 1Password Business. Create an Events Reporting integration under Integrations, which issues
a bearer token for the feeds that you choose; then `POST` to `/api/v2/signinattempts`, `/api/v2/itemusages` and
`/api/v2/auditevents` on the events server of your region, first with `{"limit": …, "start_time": …}`, then with the
`cursor` of the last answer, until `has_more` is false. Append each answer, or each item, as one line to a file. Events
of the last **120 days** can be fetched; the audit log on 1Password.com goes back 12 months. Uses of items arrive when
the application syncs, so they may be late. The answers of version 3 (`target.attribute.verb`) are not read.

**One line in**: one item, an array of items, or an answer `{"cursor": …, "has_more": …, "items": […]}`.

```json
{"uuid":"A1","session_uuid":"S1","timestamp":"2026-02-03T10:30:00Z","country":"DE","category":"credentials_failed","type":"password_secret_bad","details":null,"target_user":{"uuid":"U7","name":"Kim Q","email":"kim@acme.example"},"client":{"app_name":"1Password for Mac","app_version":"81100","platform_name":"MacBook","platform_version":"15.2","os_name":"MacOSX","os_version":"15.2","ip_address":"198.51.100.9"}}
```

**What comes out.** `event.id` is the `uuid`.

- A sign-in attempt is `auth.login`; `event.code` is its category, the outcome follows from it, and `event.reason` of a
  failure is its type. Who tried is the user whose name was given.
- A use of an item is `record.view` of the item (`reveal`, `fill`, `secure-copy`, and uses by older applications, which
  do not say how), `data.export`, `record.share`, `record.create`, or `field.update` without the fields.
- An audit event takes its action from the object and the verb: `user.*`, `group.*` (`gm`: membership), `role.grant` and
  `role.revoke` (`uva`, `gva`: access of a user or group to a vault), `token.*`, `mfa.*`, `app.*`, `config.*`,
  `record.*`, `data.export`, `report.run`; a verb that is not known here is `log.message`. The verbs are abbreviations;
  those beyond the plain ones (`suspend`, `enblmfa` …), and that the object of `gm` is the group, are not confirmed.
  `aux_info` stays in `trail.raw`.

The person that an event is about is `user.target.*`. What is not mapped is in `trail.raw`.

Missing: `trail.missing` holds `user_agent.original` always (the application and its version are told instead),
`trail.interface`, the session of uses of items, and what was changed of every update. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

from typing import Any, Final

from parsers._contract import CHANGE_NOT_TOLD, Context, Format, Gives, Operation, Rejected
from parsers._json import each, is_text, peek, read, scalar_text, take, take_ip, take_text, take_time

FORMAT: Final = Format(
    name="onepassword",
    module="onepassword",
    vendor="1Password",
    title="1Password Business, Events API",
    missing=("user_agent.original", "trail.session.id"),
    gives=Gives.of("who when ip session logins exports"),
)  # fmt: skip
LITERALS: Final = (b'"session_uuid"', b'"item_uuid"', b'"actor_uuid"', b'"has_more"')

_UPDATES: Final = frozenset({"field.update", "config.update", "user.update", "group.update", "role.update"})
_CLIENT: Final = (
    ("app_name", "user_agent.name"),
    ("app_version", "user_agent.version"),
    ("os_name", "user_agent.os.name"),
    ("os_version", "user_agent.os.version"),
)
_PLACE: Final = (("region", "source.geo.region_name"), ("city", "source.geo.city_name"))
_PERSON: Final = (("uuid", "id"), ("name", "full_name"), ("email", "email"))
_SUCCEEDED: Final = frozenset({"success", "firewall_reported_success"})
_USES: Final = {
    "export": "data.export",
    "share": "record.share",
    "server-create": "record.create",
    "server-update": "field.update",
}
_TYPES: Final = {
    "gm": "group_membership", "gva": "group_vault_access", "uva": "user_vault_access", "sa": "service_account",
    "satoken": "service_account_token", "ssotkn": "sso_token", "slackapp": "slack_app", "famchild": "linked_family",
    "pm": "payment_method", "sub": "subscription", "miguser": "migrated_user", "stguest": "guest",
}  # fmt: skip
"""Abbreviations of object types -> readable names; other types keep theirs."""
_OBJECTS: Final[dict[str, dict[str, str]]] = {
    "user": {
        "create": "user.create", "delete": "user.delete", "suspend": "user.disable", "reactive": "user.enable",
        "reactivate": "user.enable", "activate": "user.enable", "deactivate": "user.disable", "update": "user.update",
        "updatea": "user.update", "patch": "user.update", "enblmfa": "mfa.enable", "disblmfa": "mfa.disable",
        "completr": "password.reset", "provsn": "user.create", "deolddev": "session.revoke",
    },
    "invite": {"create": "user.invite", "send": "user.invite"},
    "mfa": {"enblmfa": "mfa.enable", "disblmfa": "mfa.disable", "create": "mfa.enable", "delete": "mfa.disable"},
    "group": {"create": "group.create", "delete": "group.delete", "update": "group.update"},
    "gm": {"join": "group.add", "leave": "group.remove", "role": "role.grant", "create": "group.add",
           "delete": "group.remove"},
    "gva": {"grant": "role.grant", "update": "role.grant", "revoke": "role.revoke"},
    "uva": {"grant": "role.grant", "update": "role.grant", "revoke": "role.revoke"},
    "sa": {"create": "token.create", "delete": "token.revoke", "revoke": "token.revoke", "update": "token.update"},
    "satoken": {"create": "token.create", "delete": "token.revoke", "revoke": "token.revoke",
                "trename": "token.update"},
    "ssotkn": {"create": "token.create", "delete": "token.revoke", "revoke": "token.revoke"},
    "slackapp": {"create": "app.connect", "update": "app.update", "delete": "app.disconnect"},
    "report": {"view": "report.run", "export": "data.export"},
}  # fmt: skip
_SETTINGS: Final = frozenset({"account", "sso", "duo", "plan", "sub", "pm", "card", "template", "dlgdsess", "mngdacc"})
_VERBS: Final = {
    "create": "record.create", "delete": "record.delete", "purge": "record.purge", "update": "field.update",
    "patch": "field.update", "view": "record.view", "export": "data.export", "import": "data.import",
    "share": "record.share", "grant": "role.grant", "revoke": "role.revoke", "suspend": "user.disable",
    "join": "group.add", "leave": "group.remove", "enblmfa": "mfa.enable", "disblmfa": "mfa.disable",
}  # fmt: skip
_OF_SETTINGS: Final = {
    "create": "config.create", "delete": "config.delete", "update": "config.update", "updatfw": "config.update",
    "updatduo": "config.update", "enblduo": "config.update", "disblduo": "config.update", "enblsso": "config.update",
    "disblsso": "config.update", "patch": "config.update",
}  # fmt: skip


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:  # noqa: ARG001  (one signature for all formats)
    """One line of any feed, see the module's text."""
    found = read(record, "items")
    if not isinstance(found, Rejected) and not found.items:
        if "has_more" not in found.rest or "cursor" not in found.rest:
            return Rejected("an empty list of items that is no answer of the 1Password Events API")
        return [Operation(action="log.message", kind="audit", no_change=True)]
    return each(found, _item)


def _item(item: dict[str, Any]) -> list[Operation] | Rejected:
    if not is_text(item.get("uuid")) or "timestamp" not in item:
        return Rejected("no item of the 1Password Events API (uuid and timestamp are needed)")
    if isinstance(item.get("target_user"), dict) and "session_uuid" in item and is_text(item.get("category")):
        op = _signin(item)
    elif is_text(item.get("item_uuid")) and isinstance(item.get("user"), dict) and "vault_uuid" in item:
        op = _usage(item)
    elif is_text(item.get("action")) and is_text(item.get("object_type")) and "actor_uuid" in item:
        op = _audit(item)
    else:
        return Rejected("neither a sign-in attempt nor a use of an item nor an audit event of 1Password")
    op.id = take_text(item, "uuid")
    op.time = take_time(item, "timestamp")
    _where(op, item)
    if op.action in _UPDATES:
        op.missing = CHANGE_NOT_TOLD
    op.raw = item
    return [op]


# -- the three feeds --------------------------------------------------------------------------------------------------


def _signin(item: dict[str, Any]) -> Operation:
    op = Operation(action="auth.login", kind="signin", code=take_text(item, "category"))
    failed = (op.code or "").endswith("_failed")
    op.outcome = "success" if op.code in _SUCCEEDED else "failure" if failed else "unknown"
    if failed:
        reason = take_text(item, "type")
        if reason is not None:
            op.fields["event.reason"] = reason
    _actor(op, item, "target_user")
    session = take_text(item, "session_uuid")
    if session is not None:
        op.fields["trail.session.id"] = session
    return op


def _usage(item: dict[str, Any]) -> Operation:
    op = Operation(action="record.view", kind="item_usage", code=take_text(item, "action"), object_type="item")
    op.action = _USES.get(op.code or "", "record.view")
    op.object_id = take_text(item, "item_uuid")
    _actor(op, item, "user")
    return op


def _audit(item: dict[str, Any]) -> Operation:
    verb, kind = str(item["action"]), str(item["object_type"])
    op = Operation(action="log.message", kind="audit", code=f"{kind}.{verb}")
    del item["action"], item["object_type"]
    general = _OF_SETTINGS if kind in _SETTINGS else _VERBS
    op.action = _OBJECTS.get(kind, {}).get(verb) or general.get(verb) or "log.message"
    op.object_type = _TYPES.get(kind, kind)
    op.object_id = take_text(item, "object_uuid")
    _same_person(item, "actor_uuid", "actor_details")
    actor = take_text(item, "actor_uuid")
    if actor is not None:
        op.fields["user.id"] = actor
        op.actor_type, op.actor_confidence = "user", "asserted"
    _actor(op, item, "actor_details")
    _target(op, item, kind)
    for name, field in (("uuid", "trail.session.id"), ("device_uuid", "device.id")):
        text = take_text(item, "session", name)
        if text is not None:
            op.fields[field] = text
    return op


def _same_person(item: dict[str, Any], number: str, details: str) -> None:
    """Drop the id from the details of a person where it only repeats the one beside them."""
    person = item.get(details)
    if isinstance(person, dict) and item.get(number) is not None and person.get("uuid") == item.get(number):
        take(item, details, "uuid")


def _target(op: Operation, item: dict[str, Any], kind: str) -> None:
    """Whom the event is about: the object where that is a person, else the person beside it."""
    if kind == "user":
        if isinstance(item.get("object_details"), dict) and item["object_details"].get("uuid") == op.object_id:
            take(item, "object_details", "uuid")
        op.object_name = take_text(item, "object_details", "name")
        email = take_text(item, "object_details", "email")
        if email is not None:
            op.fields["user.target.email"] = email
        return
    if isinstance(item.get("aux_details"), dict):
        _same_person(item, "aux_uuid", "aux_details")
        number = take_text(item, "aux_uuid")
        if number is not None:
            op.fields["user.target.id"] = number
        for name, field in _PERSON[1:]:
            text = take_text(item, "aux_details", name)
            if text is not None:
                op.fields[f"user.target.{field}"] = text
    if kind in {"group", "gm"} and op.object_id is not None:
        op.fields["group.id"] = op.object_id


# -- who and where ----------------------------------------------------------------------------------------------------


def _actor(op: Operation, item: dict[str, Any], holder: str) -> None:
    for name, field in _PERSON:
        text = take_text(item, holder, name)
        if text is not None:
            op.fields[f"user.{field}"] = text
            op.actor_type, op.actor_confidence = "user", "asserted"
    kind = peek(item, holder, "type")
    if not is_text(kind):
        kind = item.get("actor_type")
    if is_text(kind) and "service" in kind.lower() and op.actor_type == "user":
        op.actor_type = "api_key"


def _where(op: Operation, item: dict[str, Any]) -> None:
    for name, field in _CLIENT:
        text = take_text(item, "client", name)
        if text is not None:
            op.fields[field] = text
    address = take_ip(item, "client", "ip_address") or take_ip(item, "session", "ip")
    if address is not None:
        op.fields["source.ip"] = address
    for path in (("country",), ("location", "country")):
        country = scalar_text(peek(item, *path))
        if country is None:
            continue
        code = len(country) == 2 and country.isalpha() and country.isupper()
        field = "source.geo.country_iso_code" if code else "source.geo.country_name"
        if field not in op.fields:
            op.fields[field] = take_text(item, *path)
    for name, field in _PLACE:
        text = take_text(item, "location", name)
        if text is not None:
            op.fields[field] = text
    account = take_text(item, "account_uuid")
    if account is not None:
        op.fields["organization.id"] = account
