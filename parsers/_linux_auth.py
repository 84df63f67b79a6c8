"""The messages of the Linux authentication log, kind by kind, for the format `linux_auth`. Pure.

Account tools: as shadow 4.1 to 4.17 write them, with `name' of the older and 'name' of the newer ones.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Shape(NamedTuple):
    """One kind of message; the parser says where each named group of `pattern` belongs.

    A name may end in `_` where two branches of a pattern have the same part.
    """

    pattern: str
    action: str = "log.message"
    outcome: str | None = None
    code: str | None = None
    category: tuple[str, ...] = ()


_Q: Final = "[`']"
_T: Final = rf"{_Q}(?P<target>[^'`]{{1,256}})'"
_G: Final = rf"{_Q}(?P<group>[^'`]{{1,256}})'"
_VALUES: Final = rf"from {_Q}(?P<old>[^'`]{{0,4096}})' to {_Q}(?P<new>[^'`]{{0,4096}})'"
_IN: Final = r"(?: in (?P<file>/\S{1,200}))?"
_IAM: Final = ("iam",)
AUTHENTICATION: Final = ("authentication",)

# fmt: off
ACCOUNTS: Final = (
    Shape(r"new user: name=(?P<target>[^,]{1,256}), UID=(?P<target_id>[0-9]{1,10}), GID=(?P<gid>[0-9]{1,10}), "
           r"home=(?P<home>[^,]{0,4096}), shell=(?P<shell>[^,]{0,4096})(?:, from=(?P<tty>[^,]{0,256}))?",
           "user.create", code="new user"),
    Shape(rf"failed adding user {_T}, (?P<reason>.*)", "user.create", "failure", "failed adding user"),
    Shape(rf"delete user {_T}", "user.delete", code="delete user"),
    Shape(rf"change user (?P<field>name) {_Q}(?P<old>[^'`]{{1,256}})' to {_Q}(?P<new>[^'`]{{1,256}})'",
           "user.update", code="change user name"),
    Shape(rf"change user {_T} (?P<field>UID|GID|home|shell|inactive|expiration) {_VALUES}",
           "user.update", code="change user"),
    Shape(rf"change user {_T} password", "password.reset", code="change user password"),
    Shape(rf"lock user {_T} password", "user.lock", code="lock user password"),
    Shape(rf"unlock user {_T} password", "user.unlock", code="unlock user password"),
    Shape(rf"changed user {_T} (?P<field>shell) to {_Q}(?P<new>[^'`]{{0,4096}})'", "user.update",
           code="changed user shell"),
    Shape(rf"changed user {_T} information", "user.update", code="changed user information"),
    Shape(r"changed password expiry for (?P<target>\S{1,256})", "user.update", code="changed password expiry"),
    Shape(rf"password for {_T} changed by {_Q}(?P<who>[^'`]{{1,256}})'", "password.change", code="password changed"),
    Shape(rf"add {_T} to group {_G}", "group.add", code="add to group"),
    Shape(rf"delete {_T} from group {_G}", "group.remove", code="delete from group"),
    Shape(rf"(?:add|delete) {_T} (?:to|from) shadow group {_G}", code="shadow group", category=_IAM),
    Shape(rf"user (?P<target>\S{{1,256}}) added by (?P<who>\S{{1,256}}) to group (?P<group>\S{{1,256}}){_IN}",
           "group.add", code="user added to group"),
    Shape(rf"user (?P<target>\S{{1,256}}) removed by (?P<who>\S{{1,256}}) from group (?P<group>\S{{1,256}}){_IN}",
           "group.remove", code="user removed from group"),
    Shape(r"(?P<who>\S{1,256}) failed to (?:add|remove) user (?P<target>\S{1,256}) (?:to|from) group "
           rf"(?P<group>\S{{1,256}}){_IN}", "group.update", "failure", "failed to change members"),
    Shape(r"(?P<field>members|administrators) of group (?P<group>\S{1,256}) set by (?P<who>\S{1,256}) to "
           rf"(?P<names>\S{{0,4096}}){_IN}", "group.update", code="members set"),
    Shape(rf"(?P<field>password) of group (?P<group>\S{{1,256}}) (?:changed|removed) by (?P<who>\S{{1,256}}){_IN}",
           "group.update", code="password of group"),
    Shape(rf"access to group (?P<group>\S{{1,256}}) restricted by (?P<who>\S{{1,256}}){_IN}",
           "group.update", code="access to group restricted"),
    Shape(r"new group: name=(?P<group>[^,]{1,256}), GID=(?P<group_id>[0-9]{1,10})", "group.create", code="new group"),
    Shape(r"group added to (?P<file>/\S{1,200}): name=(?P<group>[^,]{1,256})(?:, GID=(?P<group_id>[0-9]{1,10}))?",
           code="group added", category=_IAM),
    Shape(rf"(?:group {_G} removed|remove group {_Q}(?P<group_>[^'`]{{1,256}})')", "group.delete",
           code="group removed"),
    Shape(rf"removed group {_G} owned by {_Q}(?P<owner>[^'`]{{1,256}})'", "group.delete", code="group removed"),
    Shape(rf"(?:group|removed shadow group) {_G} (?:removed from (?P<file>/\S{{1,200}})|owned by \S{{1,256}})",
           code="group removed", category=_IAM),
    Shape(r"group changed in (?:/\S{1,200})?/etc/group \(group (?P<group>[^/,)]{1,256})(?:/(?P<group_id>[0-9]{1,10}))?"
           r"(?:, new name: (?P<new_name>[^,)]{1,256}))?(?:, new password)?(?:, new gid: (?P<new_gid>[0-9]{1,10}))?\)",
           "group.update", code="group changed"),
    Shape(r"group changed in (?P<file>/\S{1,200}) \(group (?P<group>[^/,)]{1,256}).*\)",
           code="group changed", category=_IAM),
    Shape(rf"change group {_G} to {_Q}(?P<new_name>[^'`]{{1,256}})'", "group.update", code="change group"),
)
BY_PROGRAM: Final[dict[str, tuple[Shape, ...]]] = {
    "su": (
        Shape(r"(?:Successful su for (?P<as>\S{1,256}) by (?P<who>\S{1,256})|\(to (?P<as_>[^)]{1,256})\) "
               r"(?P<who_>\S{1,256}) on (?P<tty>\S{1,256}))", "auth.elevate", "success", "su"),
        Shape(r"(?:FAILED su for (?P<as>\S{1,256}) by (?P<who>\S{1,256})|FAILED SU \(to (?P<as_>[^)]{1,256})\) "
               r"(?P<who_>\S{1,256}) on (?P<tty>\S{1,256}))", "auth.elevate", "failure", "FAILED SU"),
        Shape(r"[+] (?P<tty>\S{1,256}) (?P<who>[^\s:]{1,256}):(?P<as>\S{1,256})", "auth.elevate", "success", "su"),
        Shape(r"- (?P<tty>\S{1,256}) (?P<who>[^\s:]{1,256}):(?P<as>\S{1,256})", "auth.elevate", "failure", "su"),
    ),
    "login": (
        Shape(r"(?:LOGIN ON (?P<tty>\S{1,256}) BY (?P<who>\S{1,256})(?: FROM (?P<host>\S{1,256}))?)", "auth.login",
               "success", "LOGIN"),
        Shape(r"(?P<who>ROOT|root) LOGIN (?:ON|on) '?(?P<tty>[^\s']{1,256})'?(?: FROM (?P<host>\S{1,256}))?",
               "auth.login", "success", "ROOT LOGIN"),
        Shape(r"FAILED LOGIN (?:SESSION )?(?:\([0-9]{1,9}\) )?(?:on '?(?P<tty>[^\s']{1,256})'? )?"
               r"(?:(?:FROM|from) '?(?P<host>[^\s']{1,256})'? )?FOR '?(?P<name>[^\s',]{0,256})'?, (?P<reason>.*)",
               "auth.login", "failure", "FAILED LOGIN"),
    ),
    "systemd-logind": (
        Shape(r"New session '?(?P<session>[^\s']{1,64})'? of user '?(?P<who>[^\s']{1,255}?)'?"
               r"(?:\.| with class '(?P<class>[^']{1,64})' and type '(?P<type>[^']{1,64})'\.)",
               "session.start", code="New session"),
        Shape(r"Session '?(?P<session>[^\s']{1,64})'? logged out\..*", code="Session logged out",
               category=("session",)),
        Shape(r"Removed session '?(?P<session>[^\s'.]{1,64})'?\.", "session.end", code="Removed session"),
    ),
    "pkexec": (
        Shape(r"(?P<who>[^\s:]{1,256}): Executing command \[USER=(?P<as>[^\]]{1,256})\] \[TTY=(?P<tty>[^\]]{0,256})\] "
               r"\[CWD=(?P<folder>[^\]]{0,4096})\] \[COMMAND=(?P<command>.*)\]", "auth.elevate", "success",
               "Executing command"),
        Shape(r"(?P<who>[^\s:]{1,256}): Error executing command as another user: (?P<reason>[^\[]{1,300}?) "
               r"\[USER=(?P<as>[^\]]{1,256})\] \[TTY=(?P<tty>[^\]]{0,256})\] \[CWD=(?P<folder>[^\]]{0,4096})\] "
               r"\[COMMAND=(?P<command>.*)\]", "auth.elevate", "failure", "Error executing command"),
    ),
    "polkitd": (
        Shape(r"Operator of (?P<subject>\S{1,256}) successfully authenticated as unix-user:(?P<as>\S{1,256}) to gain "
               r"(?P<kind>[A-Z-]{1,32}) authorization for action (?P<permission>\S{1,256}) for .* "
               r"\(owned by unix-user:(?P<who>[^\s)]{1,256})\)", "auth.elevate", "success", "authenticated"),
        Shape(r"Operator of (?P<subject>\S{1,256}) FAILED to authenticate to gain authorization for action "
               r"(?P<permission>\S{1,256}) for .* \(owned by unix-user:(?P<who>[^\s)]{1,256})\)",
               "auth.elevate", "failure", "FAILED to authenticate"),
    ),
    **dict.fromkeys(("CRON", "cron", "crond"), (
        Shape(r"\((?P<who>[^)\s]{1,256})\) CMD \((?P<command>.*)\)", "process.start", code="CMD"),
    )),
    "crontab": (
        Shape(r"\((?P<who>[^)\s]{1,256})\) (?P<verb>REPLACE|DELETE) \((?P<tab>[^)\s]{1,256})\)", "config.update"),
    ),
}
PAM: Final = (
    Shape(r"session opened for user (?P<user>\S{1,256}?)(?:\(uid=(?P<user_id>[0-9]{1,10})\))? by "
           r"(?P<by>[^\s(]{0,256})(?:\(uid=(?P<by_id>[0-9]{1,10})\))?", "session.start", code="session opened"),
    Shape(r"session closed for user (?P<user>\S{1,256})", "session.end", code="session closed"),
    Shape(r"authentication failure; logname=(?P<logname>\S{0,256}) uid=(?P<uid>[0-9]{1,10}) euid=(?P<euid>[0-9]{1,10})"
          r" tty=(?P<tty>\S{0,256}) ruser=(?P<ruser>\S{0,256}) rhost=(?P<host>\S{0,256})"
          r"(?: {1,4}(?:user=(?P<user>.{1,256}))?)?",
           "auth.login", "failure", "authentication failure", AUTHENTICATION),
    Shape(r"password changed for (?P<target>\S{1,256})", "password.change", code="password changed"),
    Shape(r"(?:Consecutive login failures for user (?P<name>\S{1,256}) account (?P<reason>.*)"
           r"|user (?P<name_>\S{1,256}) \((?P<target_id>[0-9]{1,10})\) (?P<reason_>tally .*))", "auth.lockout",
           code="too many failures"),
    Shape(r"account (?P<name>\S{1,256}) has (?P<reason>.*)", "auth.login", "failure", "account"),
)
# fmt: on
