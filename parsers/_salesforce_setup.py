"""Salesforce's Setup Audit Trail: what its codes and its English sentences say. Pure.

The trail has no member for the field, the old and the new value: they stand in a sentence (`Changed role for user Kim Q
from Sales to Support`). A sentence is read only where it can be read in one way: ` from ` and ` to ` come once in it.
Everything that is read has `derivation: reconstructed`; the sentence itself is always kept.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from parsers._contract import ABSENT, UNKNOWN, Change, Operation
from parsers._json import take_text
from parsers._secrets import DROPPED, is_secret

_LONGEST: Final = 1_500
"""Characters of a sentence that are read."""
_DERIVED: Final = "reconstructed"

_TOLD: Final = frozenset({"user", "role", "password", "mfa", "token", "auth"})
"""Families of actions whose built sentence says more than Salesforce's, since it names who did it."""
_RULES: Final = (
    ("su[a-z]*logout", "Logged out using Login-As", "auth.logout"),
    ("su[a-z]*login|suloginaccessused", "Logged in using Login-As", "auth.impersonate"),
    ("useremailchangesent", "Email change attempted", "log.message"),
    ("created[a-z]*user", "Created new [A-Za-z ]{0,20}[Uu]ser ", "user.create"),
    ("activateduser", "Activated user ", "user.enable"),
    ("deactivateduser|[a-z]*userdisabled", "Deactivated user |User .* disabled as a", "user.disable"),
    ("frozeuser", "Froze user ", "user.lock"),
    ("unfrozeuser|unlockeduser", "Unfroze user |Unlocked user ", "user.unlock"),
    ("changedpassword", "Set new password for ", "password.change"),
    ("resetpassword", "Reset password for ", "password.reset"),
    ("permsetassignmentexpirationchange", "Permission set .* expiration was changed ", "role.update"),
    (
        "permset[a-z]*unassign.*|removeduserpackagelicense|revokeduserpackagelicense",
        "Permission set .* (?:unassigned|removed) from user ",
        "role.revoke",
    ),
    (
        "permset[a-z]*assign(?:_.*)?|granteduserpackagelicense",
        "Permission set .* assigned to user ",
        "role.grant",
    ),
    ("changedroleforusertonone", "Changed role for user .* to <None Specified>", "role.revoke"),
    ("changed(?:profile|role)foruser.*", "Changed (?:profile|role) for user ", "role.grant"),
    ("inserttwofactortempcode", "Temporary verification code .* added for ", "token.create"),
    ("deletetwofactortempcode", "Temporary verification code .* removed for ", "token.revoke"),
    (
        "inserttwofactor.*|insertauthenticator.*",
        "(?:Time-Based Token|Security Key|Salesforce Authenticator) .*added for ",
        "mfa.enable",
    ),
    (
        "deletetwofactor.*|deleteauthenticator.*",
        "(?:Time-Based Token|Security Key|Salesforce Authenticator) .*removed for ",
        "mfa.disable",
    ),
    (
        "permset(?:create|clone).*|profilecloned.*|permissionsetgroupcreate|custompermissioncreate|createdrole",
        "Created (?:permission set|profile|custom permission|role) ",
        "role.create",
    ),
    (
        "permsetdelete|deletedprofile|permissionsetgroupdelete|custompermissiondelete|deletedrole",
        "Deleted (?:permission set|profile|custom permission|role) ",
        "role.delete",
    ),
    (
        "permset.*|permissionset.*|profile.*|setupentityaccessaudit.*|custompermission.*|changedrole.*",
        "Changed (?:[Pp]ermission [Ss]et|[Pp]rofile|custom permission) ",
        "role.update",
    ),
    ("changeduser.*|changed(?:username|email|manager|federationid|communitynickname)", "", "user.update"),
    ("changed[a-z]*user(?:offon|onoff)|changed(?:delegateapprover|approverrequestemails)", "", "user.update"),
    ("insert[a-z]*application|installed.*", "Installed |(?:Inserted|Created) [Cc]onnected [Aa]pp", "app.connect"),
    ("delete[a-z]*application|uninstalled.*", "Uninstalled |Deleted [Cc]onnected [Aa]pp", "app.disconnect"),
    ("(?:update|change|block|unblock)[a-z]*application.*|connectedapp.*", "", "app.update"),
    ("groupmembership|queuemembership", "", "group.update"),
    ("created(?:group|queue)", "", "group.create"),
    ("deleted(?:group|queue)", "", "group.delete"),
    ("created(?:interaction|workflow|flow|process).*", "Created (?:flow|workflow|process) ", "automation.create"),
    ("deleted(?:interaction|workflow|flow|process).*", "Deleted (?:flow|workflow|process) ", "automation.delete"),
    ("activated(?:interaction|workflow|flow|process).*", "Activated (?:flow|workflow|process) ", "automation.enable"),
    (
        "deactivated(?:interaction|workflow|flow|process).*",
        "Deactivated (?:flow|workflow|process) ",
        "automation.disable",
    ),
    ("changed(?:interaction|workflow|flow|process).*", "Changed (?:flow|workflow|process) ", "automation.edit"),
    ("(?:created|insert|new|added|add).*", "Created |Added ", "config.create"),
    ("(?:deleted?|removed?).*", "Deleted |Removed ", "config.delete"),
)
"""Code in lower case (whole), beginning of the sentence (where there is no code) -> action. The first decides."""


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]:
    """The rules compiled, when the first row of the trail is read; a rule without a sentence finds none."""
    return tuple((re.compile(code), re.compile(text or "(?!)"), action) for code, text, action in _RULES)


@cache
def _sentences() -> dict[str, re.Pattern[str]]:
    rights = "permission set group|permission set license|permission set|profile|custom permission"
    return {
        "id": re.compile(r" \(UserID: \[([A-Za-z0-9]{15,18})\]\)"),
        "user": re.compile(
            r"(?:(?:^| )(?:for|to|from|new [A-Za-z ]{0,20}) ?|^(?:Activated|Deactivated|Unlocked|Froze|Unfroze) |^)"
            r"user (?:account for )?(?P<name>[^,:\n]{1,200}?)"
            r"(?=$|[,:]| from | to | changed | was | disabled | accepted )",
            re.IGNORECASE,
        ),
        "for": re.compile(r" for (?P<name>\S{1,100}@\S{1,100})$"),
        "user_id": re.compile(r"^Changed username for (?P<id>[A-Za-z0-9]{15,18}) "),
        "rights": re.compile(
            rf"(?:^|^Created |^Changed |^Deleted )(?P<type>{rights}) (?!for user )(?P<name>[^:\n]{{1,200}}?)"
            r"(?=:|$| with expiration| assigned| removed)",
            re.IGNORECASE,
        ),
        "login_as": re.compile(r"using Login-As access for (?P<name>[^\n]{1,200})$"),
        "lead": re.compile(r"^(?:For user [^,\n]{1,200}, )?(?:(?:Changed|the) )?", re.IGNORECASE),
        "tail": re.compile(r"(?: was| were| has| have)?(?: changed)?$"),
    }


def read_setup(op: Operation, item: dict[str, Any], member: str) -> None:
    """Fill action, object, target and change from the code (`op.code`) and the sentence in `member`.

    The sentence becomes the message of what has no object of its own. Else it stays in `raw`, without the values of a
    change that was read from it: what the privacy policy does to a change must hold for them too.
    """
    text = take_text(item, member)
    sentence = (text or "")[:_LONGEST]
    find = _sentences()
    found = find["id"].search(sentence)
    user_id = found[1] if found else None
    sentence = find["id"].sub("", sentence)
    op.action = _action((op.code or "").lower(), sentence)
    user, rights = find["user"].search(sentence) or find["for"].search(sentence), find["rights"].search(sentence)
    if op.action in {"auth.impersonate", "auth.logout"}:
        whom = find["login_as"].search(sentence)
        if whom and not any(name.startswith("user.effective.") for name in op.fields):
            _name(op, "user.effective", whom["name"])
            op.object_type, op.object_name = "user", whom["name"]
    else:
        named = find["user_id"].search(sentence)
        user_id = named["id"] if named else user_id
        if user:
            _name(op, "user.target", user["name"])
        if user_id is not None:
            op.fields["user.target.id"] = user_id
        if op.action != "log.message":
            _object(op, item, user, rights)
            op.changes, values = _changes(op, sentence, rights)
            if text is not None and values:
                shown = text.replace(values[0], values[1], 1)
                text = DROPPED if shown == text and is_secret(op.changes[0].field) else shown
    if op.changes or op.action.partition(".")[0] in _TOLD:
        if text is not None:
            item[member] = text
    else:
        op.message = text


def _action(code: str, sentence: str) -> str:
    """By the code, and by the sentence where there is none or it is not known."""
    for codes, _, action in _patterns():
        if codes.fullmatch(code[:200]):
            return action
    return next((action for _, sentences, action in _patterns() if sentences.match(sentence)), "config.update")


def _name(op: Operation, prefix: str, name: str) -> None:
    op.fields[f"{prefix}.name" if "@" in name else f"{prefix}.full_name"] = name


def _object(op: Operation, item: dict[str, Any], user: re.Match[str] | None, rights: re.Match[str] | None) -> None:
    family = op.action.partition(".")[0]
    target = user is not None or "user.target.id" in op.fields
    if target and (
        family in {"user", "password", "mfa"} or op.action in {"role.grant", "role.revoke", "config.update"}
    ):
        op.object_type, op.object_id = "user", op.fields.get("user.target.id")
        op.object_name = user["name"] if user else None
        op.action = "user.update" if op.action == "config.update" else op.action
    elif rights:
        op.object_label = rights["type"].lower()
        op.object_type, op.object_name = op.object_label.replace(" ", "_"), rights["name"]
    elif family not in {"user", "password", "mfa"}:
        op.object_type, op.object_name = "setup", take_text(item, "Section")


def _changes(op: Operation, sentence: str, rights: re.Match[str] | None) -> tuple[list[Change], tuple[str, str] | None]:
    """The change; and the part of the sentence that holds its values, with what may stand in its place."""
    if rights and op.action in {"role.grant", "role.revoke"}:
        field, name = rights["type"].lower().replace(" ", "_"), rights["name"]
        if op.action == "role.revoke":
            return [Change(field, name, ABSENT, derivation=_DERIVED)], None
        op.fields["user.changes.roles"] = [name]
        return [Change(field, ABSENT, name, derivation=_DERIVED)], None
    if rights:
        sentence = sentence[rights.end() :].partition(": ")[2] if ": " in sentence[rights.end() :] else sentence
    what, found, new = sentence.partition(" status changed to ")
    if found:
        change = Change(f"{_field(what)} status", UNKNOWN, _value(new), derivation=_DERIVED)
        return [change], (found + new, found + "…")
    what, found, values = sentence.partition(" from ")
    old, came, new = values.partition(" to ")
    field = _field(what)
    if not (field and came and "changed" in what.lower()) or " from " in values or " to " in new:
        return [], None  # no change, or one that can be read in more than one way
    # `Changed allow forecasting from on to off for user Kim Q`: the user stands behind the values.
    new, _, behind = new.partition(" for user ")
    new = new if behind else _sentences()["for"].sub("", new)
    value = _value(new)
    if op.action in {"role.grant", "role.revoke"} and value is not None:
        op.fields["user.changes.roles"] = [value]
    change = Change(field, _value(old), value, derivation=_DERIVED)
    return [change], (f"{found}{old}{came}{new}", f"{found}…{came}…")


def _field(what: str) -> str:
    """`The manager for user Kim Q changed` -> `manager`."""
    find = _sentences()
    field = find["lead"].sub("", find["tail"].sub("", what), count=1)
    return field.partition(" for " if field.startswith("username for ") else " for user ")[0].strip()


def _value(text: str) -> str | None:
    """A value of a sentence; the words that Salesforce writes for none are null."""
    text = text.strip().removesuffix(".")
    if text in {"<None Specified>", "null", "<none>"}:
        return None
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
