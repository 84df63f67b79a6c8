"""Atlassian's audit logs: what their words mean, and lists of changed values. Pure."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, Final

from parsers._contract import ABSENT, CHANGE_NOT_TOLD, UNKNOWN, Change, Operation
from parsers._json import is_text, snake
from parsers._secrets import DROPPED, is_secret

_UPDATES: Final = frozenset(
    {"field.update", "config.update", "user.update", "group.update", "role.update", "app.update"}
)
_LONGEST: Final = 300

# The first that is found in the words of a summary or key decides.
_WORDS: Final = (
    (r"\badded to (?:the )?group|\bgroup member(?:ship)? added|\bmember added to group", "group.add"),
    (r"\bremoved from (?:the )?group|\bgroup member(?:ship)? removed", "group.remove"),
    (r"\b(?:fail(?:ed|ure)?|unsuccessful)\b.{0,40}\b(?:log ?in|logged in|sign ?in|authenticat)", "auth.login failure"),
    (r"\b(?:log ?in|sign ?in|authentication)\b.{0,40}\b(?:fail|unsuccessful|denied)", "auth.login failure"),
    (r"\b(?:logged|signed) in\b|\b(?:log ?in|sign ?in) (?:success|ok)|\bsuccessful log ?in|^user log ?in$",
     "auth.login"),
    (r"\b(?:logged|signed) out\b|\blog ?out\b|\bsign ?out\b", "auth.logout"),
    (r"\bpassword reset|\breset.{0,20}password", "password.reset"),
    (r"\bpassword (?:changed|updated)|\bchanged.{0,20}password", "password.change"),
    (r"\btwo step.{0,30}(?:enabled|enrolled)|\b2fa enabled", "mfa.enable"),
    (r"\btwo step.{0,30}(?:disabled|unenrolled)|\b2fa disabled", "mfa.disable"),
    (r"\b(?:token|api key|ssh key)s? (?:was )?(?:created|added)|\bcreated.{0,20}\btoken", "token.create"),
    (r"\b(?:token|api key|ssh key)s? (?:was )?(?:revoked|deleted|removed|expired)|\brevoked.{0,20}token",
     "token.revoke"),
    (r"\b(?:token|api key|ssh key)s? (?:was )?(?:updated|changed|renamed)", "token.update"),
    (r"\baudit(?:ing| log)?.{0,30}\b(?:disabled|turned off)", "audit.disable"),
    (r"\baudit(?:ing| log)?.{0,30}\b(?:enabled|turned on)", "audit.enable"),
    (r"search\w{0,9} performed|\bsearched\b|\baudit log viewed", "record.search"),
    (r"\bexport(?:ed)?\b", "data.export"),
    (r"\bimport(?:ed)?\b", "data.import"),
    (r"\bwebhook.{0,20}\b(?:created|added|registered)", "webhook.create"),
    (r"\bwebhook.{0,20}\b(?:deleted|removed)", "webhook.delete"),
    (r"\bwebhook.{0,20}\bdisabled", "webhook.disable"),
    (r"\bwebhook.{0,20}\b(?:updated|changed|edited)", "webhook.update"),
    (r"\b(?:app|apps|plugin|add-?on|connect|oauth).{0,30}\buninstalled", "app.disconnect"),
    (r"\b(?:app|apps|plugin|add-?on|connect|oauth).{0,30}\binstalled", "app.connect"),
    (r"\b(?:app|plugin|add-?on)s? (?:disabled|removed|deleted)", "app.disconnect"),
    (r"\b(?:app|plugin|add-?on)s? (?:enabled|added)", "app.connect"),
    (r"\b(?:app|plugin|add-?on)s? (?:updated|upgraded)", "app.update"),
    (r"\bautomation (?:rule )?created|\brule created", "automation.create"),
    (r"\bautomation (?:rule )?(?:updated|edited|changed)|\brule (?:updated|edited)", "automation.edit"),
    (r"\bautomation (?:rule )?deleted|\brule deleted", "automation.delete"),
    (r"\busers? invited|^invited|\binvited (?:an? )?user|\binvitation sent", "user.invite"),
    (r"\bscheme.{0,30}\b(?:added to|associated with|assigned to)", "record.link"),
    (r"\bscheme.{0,30}\b(?:removed from|unassigned)", "record.unlink"),
    (r"\badded to (?:the )?(?:project )?role", "role.grant"),
    (r"\bremoved from (?:the )?(?:project )?role", "role.revoke"),
    (r"\b(?:permission|security) scheme", ""),
    (r"\b(?:permissions?|role|access)\b.{0,30}\b(?:added|granted|assigned)|\bgranted\b.{0,30}\b(?:access|role|permission)",
     "role.grant"),
    (r"\b(?:permissions?|role|access)\b.{0,30}\b(?:removed|revoked|unassigned)|\brevoked\b.{0,30}\b(?:access|role)",
     "role.revoke"),
    (r"\badded to\b", "record.link"),
    (r"\bremoved from\b", "record.unlink"),
    (r"\bproject roles? changed", "role.update"),
    (r"\busers? (?:account )?(?:deactivated|disabled|suspended|blocked)|\bdeactivated user", "user.disable"),
    (r"\busers? (?:account )?(?:re-?activated|activated|enabled|unblocked|restored)", "user.enable"),
    (r"\busers? (?:account )?(?:created|added)", "user.create"),
    (r"\busers? (?:account )?(?:deleted|removed)", "user.delete"),
    (r"\busers?(?: account| details| profile)? (?:updated|renamed|changed|edited)", "user.update"),
    (r"\bgroup created", "group.create"),
    (r"\bgroup (?:deleted|removed)", "group.delete"),
    (r"\bgroup (?:updated|renamed|changed)", "group.update"),
)  # fmt: skip
_CHANGED: Final = (
    r"\b(?:updated|changed|edited|renamed|modified|moved|copied|uploaded|archived|unarchived|released|enabled"
    r"|disabled|published|set)\b"
)
_VERBS: Final = (
    (r"\b(?:created|added)\b", "create"),
    (r"\b(?:purged)\b", "purge"),
    (r"\b(?:deleted|removed|trashed)\b", "delete"),
    (r"\b(?:restored)\b", "restore"),
    (r"\b(?:viewed|accessed)\b", "view"),
    (_CHANGED, "update"),
)  # fmt: skip
_RECORDS: Final = frozenset(
    {
        "attachment", "blog", "blogpost", "comment", "component", "content", "dashboard", "filter", "issue", "page",
        "project", "pull_request", "repository", "space", "version", "branch", "request_type", "board", "sprint",
    }
)  # fmt: skip
"""Types of objects that are records of work; all others are settings."""
_ONE_OF: Final = {"users": "user", "groups": "group", "orgs": "org", "policies": "policy", "applicationuser": "user"}
_KEY_FRONT: Final = re.compile(r"^.{0,60}?\b(?:audit(?:ing)?|summary|event|action)\b ")
_WHOLE: Final = frozenset({"create", "delete", "purge", "restore"})
_ONLY_SETTINGS: Final = frozenset({"create", "update", "delete"})


@cache
def _patterns() -> tuple[tuple[tuple[Any, str], ...], tuple[tuple[Any, str], ...]]:
    return (
        tuple((re.compile(pattern).search, action) for pattern, action in _WORDS),
        tuple((re.compile(pattern).search, verb) for pattern, verb in _VERBS),
    )


def described(text: str, object_type: str | None, key: str = "") -> str:
    """Our action for a summary, or for the key of one where the summary's words tell nothing."""
    found = _described(text[:_LONGEST], object_type)
    if found == "log.message" and key:
        words = re.sub(r"[^A-Za-z0-9]+", " ", key[:_LONGEST])
        found = _described(_KEY_FRONT.sub("", words), object_type)
    return found


@lru_cache(maxsize=2048)
def _described(text: str, object_type: str | None) -> str:
    words = text.replace("_", " ").lower()
    known, verbs = _patterns()
    found = next((action for matches, action in known if matches(words)), "")
    if found:
        return found
    verb = next((verb for matches, verb in verbs if matches(words)), None)
    if verb is None:
        return "log.message"
    if verb in _WHOLE and object_type is not None and object_type.rpartition("_")[2] not in words:
        return "config.update"  # "Request type deleted" of a project: something in it, not itself
    if object_type in _RECORDS or verb not in _ONLY_SETTINGS:
        return "field.update" if verb == "update" else f"record.{verb}"
    return f"config.{verb}"


def type_of(name: str | None) -> str | None:
    """`PROJECT_ROLE` and `Project role` as `project_role`, `users` as `user`."""
    if name is None:
        return None
    kind = snake(name.lower())
    return _ONE_OF.get(kind, kind)


def is_a(item: Any, kind: str, wanted: str) -> bool:
    """Whether an object in a list is of the wanted type."""
    name = item.get(kind) if isinstance(item, dict) else None
    return is_text(name) and type_of(name) == wanted


def changes(item: dict[str, Any], name: str, old: str, new: str) -> list[Change]:
    """Pop what `changedValues` tells; what else its entries hold stays there, with the name that it belongs to."""
    listed = item.get("changedValues")
    if not isinstance(listed, list):
        return []
    found, left = [], []
    for entry in listed:
        field = entry.get(name) if isinstance(entry, dict) else None
        if not is_text(field) or not field.strip():
            left.append(entry)
            continue
        before, after = entry.pop(old, ABSENT), entry.pop(new, ABSENT)
        if before is ABSENT and after is ABSENT:
            before = after = UNKNOWN
        found.append(Change(field, before, after))
        if is_secret(field):
            entry |= {member: DROPPED for member, value in entry.items() if member.startswith("hidden") and value}
        if len(entry) > 1 and any(value not in ("", None) for key, value in entry.items() if key != name):
            left.append(entry)
    if left:
        item["changedValues"] = left
    else:
        del item["changedValues"]
    return found


def settle(op: Operation) -> None:
    """The outcome in the action's name, values instead of changes of what is new or gone, and what is missing."""
    action, _, outcome = op.action.partition(" ")
    op.action = action
    if action == "auth.login":
        op.outcome = outcome or "success"
    if action.startswith("token."):
        _token(op)
    whole = action.endswith((".create", ".delete", ".add", ".remove", ".grant", ".revoke", ".invite"))
    if op.changes and whole:
        gone = action.endswith((".delete", ".remove", ".revoke"))
        sides = [(change.new, change.old) if gone else (change.old, change.new) for change in op.changes]
        names = {change.field for change in op.changes}
        if len(names) == len(op.changes) and all(_nothing(other) for other, _ in sides):
            op.values = {
                change.field: value
                for change, (_, value) in zip(op.changes, sides, strict=True)
                if value is not ABSENT and value is not UNKNOWN
            }
            op.changes = []
    if op.changes and action == "log.message":
        op.action = "config.update"
    if not op.changes and op.action in _UPDATES:
        op.missing = CHANGE_NOT_TOLD


def _token(op: Operation) -> None:
    """These logs name whose token it is; the token itself has neither id nor name in them."""
    if op.object_type == "user":
        for field, text in (("user.target.id", op.object_id), ("user.target.name", op.object_name)):
            if text is not None:
                op.fields[field] = text
        op.object_id = op.object_name = None
    if op.object_type in {"user", None}:
        op.object_type = "token"


def _nothing(value: Any) -> bool:
    return value is ABSENT or value is None or value is UNKNOWN or (isinstance(value, str) and value == "")
