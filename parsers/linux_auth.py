r"""Linux authentication log (auth.log, secure): sudo, su, accounts and groups, PAM, cron, logind and polkit.

**What the source records.** sudo: who ran which command as whom, from which terminal and folder, and what was denied.
su: who became whom. The account tools (useradd, usermod, userdel, groupadd, groupmod, groupdel, gpasswd, passwd, chage,
chsh, chfn): which account or group was made, changed or deleted; usermod names the old and the new value of name, UID,
GID, home, shell, expiry and inactivity. PAM: sessions opened and closed, failed authentications, of any program but
sshd. It cannot tell what was done in a session, no address but a PAM client's, and of the account tools only gpasswd
(and passwd without PAM) says who called them: look for the sudo line of the same moment.

**How to get it out.** Point an input at `/var/log/auth.log` (Debian, Ubuntu) or `/var/log/secure` (RHEL, SUSE), or at
`journalctl -o short-iso --follow`. Prefer times with year and offset (rsyslog: `RSYSLOG_FileFormat`). sshd's lines in
the same file belong to the format `sshd` and are refused here, as are those of programs that this format does not know:
let rsyslog write them to files of their own, read one file with two inputs, or use `syslog` for all. This format reads
the syslog header itself, since it needs the program's name: it cannot be the `inner` of `syslog`.

**One line in**

```text
Mar 10 13:55:36 db1 sudo[4711]:      kim : TTY=pts/0 ; PWD=/home/kim ; USER=root ; COMMAND=/usr/sbin/usermod -s /bin/bash ann
Mar 10 13:55:36 db1 usermod[4712]: change user 'ann' shell from '/bin/sh' to '/bin/bash'
```

**What comes out.** `event.module` linux_auth, the dataset's second half `auth`; the message is the source's own, of PAM
without module, service and stage, which are in `trail.raw`.

- sudo, pkexec, su: `auth.elevate` with `user.name`, `user.effective.name`, and of sudo and pkexec
  `process.command_line` and `process.working_directory`; failure with `event.reason` where it was denied.
- useradd `user.create` with UID, home and shell in `trail.values`; userdel `user.delete`; usermod and chsh
  `user.update` with a change for each field; its lock and unlock `user.lock`, `user.unlock`; passwd `password.change`,
  another's password `password.reset`; groups `group.create`, `.update`, `.delete`, `.add`, `.remove`. One act is
  written once for each file (`shadow group`, `/etc/gshadow`): the others than the first are `log.message`.
  useradd writes `new user` before it does it: a line `failed adding user` may follow.
- PAM and systemd-logind: `session.start`, `session.end`; of su and sudo the one who asked is `user.name`, the other
  `user.effective.name`. A failed authentication is an `auth.login` failure; of su and sudo, which write a verdict of
  their own, it is `log.message`. Too many failures: `auth.lockout`. Linux-PAM writes `uid=` and `ruser=` of the caller.
- login: `auth.login`. cron: `process.start` with the command; crontab: `config.update` of the object `crontab`.
- polkit: `auth.elevate` of the owner for an action. Any other line of these programs is `log.message`.

Passwords in commands (`--password=`, `-p` of some tools, `TOKEN=`, URLs, `PASSWORD '…'`) become `(secret dropped)`. A
local user can write any line with `logger`: a line proves no more than that. Shapes are those of shadow 4.1 to 4.17,
Linux-PAM, sudo 1.8 and 1.9; the lines of polkit, pkexec and login are read as commonly seen (not confirmed).

Missing: trail.interface; source.ip but for some PAM failures; user.name for most account tools; trail.session.id but for
logind. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from parsers._commands import clean_command
from parsers._contract import UNKNOWN, Change, Context, Format, Gives, Operation, Rejected
from parsers._json import clean_ip
from parsers._linux_auth import ACCOUNTS, AUTHENTICATION, BY_PROGRAM, PAM, Shape
from parsers._syslog import header_fields
from parsers._text import readable, syslog_header

FORMAT: Final = Format(
    name="linux_auth",
    module="linux_auth",
    vendor="Linux",
    title="Linux authentication log: sudo, su, accounts, PAM",
    missing=("trail.interface",),
    gives=Gives.of("who when ip session field old new logins"),
)

_SHADOW: Final = frozenset(
    (
        *("useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "groupmems", "gpasswd", "newusers"),
        *("passwd", "chpasswd", "chgpasswd", "chage", "chfn", "chsh", "newgrp"),
    )
)
_COMMANDERS: Final = frozenset(("sudo", "pkexec", "polkitd", "CRON", "cron", "crond"))
"""Programs whose messages hold command lines."""
_OWN: Final = frozenset(
    ("sudo", "su", "login", "systemd-logind", "polkitd", "pkexec", "cron", "crond", "CRON", "crontab", "anacron")
)
LITERALS: Final = (*(name.encode() for name in sorted((_SHADOW | _OWN) - {"su"})), b"su:", b"su[", b" su ", b"pam_")

_ELEVATORS: Final = frozenset(("su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "polkit-1", "pkexec"))
"""PAM services by which one user becomes another."""

_pam = re.compile(r"(pam_[a-z0-9_]{1,40})\(([A-Za-z0-9_.@:-]{1,64}):([a-z]{1,16})\): (.*)", re.DOTALL).fullmatch
_SUDO: Final = "(?:TTY|PWD|USER|GROUP|TSID|ENV|HOST|CHROOT|CWD)="
_sudo_parts = re.compile(rf" ; (?={_SUDO})").split
_sudo_part = re.compile(_SUDO).match
_sudo_again = re.compile(r" ; (?:USER|PWD|COMMAND)=").search
_SUDO_FIELDS: Final = {
    "PWD": "process.working_directory",
    "USER": "user.effective.name",
    "GROUP": "user.effective.group.name",
    "COMMAND": "process.command_line",
}


@cache
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Compiled when first needed."""
    return re.compile(pattern, re.DOTALL).fullmatch


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One message per line."""
    del ctx
    header = syslog_header(record)
    if isinstance(header, Rejected):
        return header
    program = (header.app or "").partition("(")[0].rpartition("/")[2]
    if program in {"sshd", "sshd-session", "sshd-auth"}:
        return Rejected("a line of sshd, which has a format of its own")
    message = readable(header.message).rstrip("\n")
    pam = _pam(message)
    if pam is None and program not in _OWN and program not in _SHADOW:
        return Rejected("a line of a program that has no part in authentication")
    if program in _COMMANDERS:
        message = message.lstrip()
    op = Operation("log.message", "auth", header.time, fields=header_fields(header), message=message)
    if program in _COMMANDERS and pam is None:
        op.message = clean_command(message)
    if pam is not None:
        _read_pam(op, pam)
    elif program == "sudo":
        _read_sudo(op, message)
    else:
        shapes = ACCOUNTS if program in _SHADOW else BY_PROGRAM.get(program, ())
        _first(op, shapes, message)
    if "cron" in program.lower() and program != "crontab" and op.actor_type == "user":
        op.actor_type = "system"  # the user is whom the job runs as
    op.no_change = bool(op.changes) and all(one.old is not UNKNOWN and one.old == one.new for one in op.changes)
    return [op]


def _first(op: Operation, shapes: tuple[Shape, ...], message: str) -> None:
    """Set the operation from the first shape that fits."""
    for shape in shapes:
        found = _matcher(shape.pattern)(message)
        if found is None:
            continue
        op.action, op.outcome, op.code, op.category = shape.action, shape.outcome, shape.code, shape.category
        if op.category and not op.type:
            op.type = ("info",)
        _place(op, {name.rstrip("_"): text for name, text in found.groupdict().items() if text})
        return


def _who(op: Operation, name: str) -> None:
    op.fields["user.name"] = name
    op.actor_type, op.actor_confidence = "user", "asserted"


_PLAIN: Final = {
    "as": "user.effective.name",
    "name": "user.name",
    "target_id": "user.target.id",
    "reason": "event.reason",
    "session": "trail.session.id",
    "folder": "process.working_directory",
}


def _place(op: Operation, parts: dict[str, str]) -> None:
    """Each named part where it belongs."""
    for name, target in _PLAIN.items():
        if name in parts:
            op.fields[target] = parts.pop(name)
    if "who" in parts:
        name = parts.pop("who")
        _who(op, "root" if name == "ROOT" else name)
    if "command" in parts:
        op.fields["process.command_line"] = clean_command(parts.pop("command"))
    if "host" in parts:
        _set_host(op, parts.pop("host"))
    if "tab" in parts:
        op.object_type, op.object_id, op.code = "crontab", parts.pop("tab"), parts.pop("verb")
    if "permission" in parts:
        op.object_type, op.object_id = "permission", parts.pop("permission")
    _place_account(op, parts)
    op.raw.update(parts)


def _place_account(op: Operation, parts: dict[str, str]) -> None:
    """Account and group that a tool worked on, and what it changed."""
    field = parts.pop("field", "")
    target = parts.pop("target", None) or (parts.get("old") if field == "name" else None)
    group = parts.pop("group", None)
    if target:
        op.object_type, op.object_id = "user", target
        op.fields["user.target.name"] = target
        if op.fields.get("user.name", target) != target and op.action == "password.change":
            op.action = "password.reset"
    if group:
        op.fields["group.name"] = group
        if op.action.startswith("group."):
            op.object_type, op.object_id = "group", group
    group_id = parts.pop("group_id", None)
    if group_id:
        op.fields["group.id"] = group_id
    if op.code == "new user":
        # Whose id is the target's already; the primary group's number is a value like the others.
        op.values = {name: parts.pop(name) for name in ("gid", "home", "shell") if name in parts}
    names = parts.pop("names", None)
    if names is not None:
        op.changes.append(Change(field, UNKNOWN, names.split(","), derivation="new_only"))
    elif "new" in parts:
        derivation = "native" if "old" in parts else "new_only"
        op.changes.append(Change(field.lower(), parts.pop("old", UNKNOWN), parts.pop("new"), derivation=derivation))
    elif field:
        op.changes.append(Change(field, derivation="new_only"))
    if "new_name" in parts:
        op.changes.append(Change("name", group, parts.pop("new_name")))
    if "new_gid" in parts:
        old = group_id or UNKNOWN
        op.changes.append(Change("gid", old, parts.pop("new_gid"), derivation="native" if group_id else "new_only"))


def _set_host(op: Operation, host: str) -> None:
    address = clean_ip(host)
    if address is not None:
        op.fields["source.ip"] = address
    if address != host:
        op.fields["source.address" if address else "source.domain"] = host


def _read_pam(op: Operation, pam: re.Match[str]) -> None:
    """A PAM module's message: `pam_unix(su:session): …`."""
    module, service, stage, message = pam.groups()
    op.raw.update(pam_module=module, pam_service=service, pam_stage=stage)
    op.message = message
    for shape in PAM:
        found = _matcher(shape.pattern)(message)
        if found is not None:
            break
    else:
        op.category, op.type = AUTHENTICATION, ("info",)
        return
    op.action, op.outcome, op.code = shape.action, shape.outcome, shape.code
    parts = {name.rstrip("_"): text for name, text in found.groupdict().items() if text}
    elevating = service in _ELEVATORS
    user, user_id = parts.pop("user", None), parts.pop("user_id", None)
    if shape.code == "authentication failure":
        caller = parts.pop("ruser", None)
        if elevating:
            op.action, op.category, op.type = "log.message", AUTHENTICATION, ("info",)
            caller = caller or parts.pop("logname", None)
            op.fields.update(_named(("user.name", caller), ("user.id", parts.pop("uid", None))))
            op.fields.update(_named(("user.effective.name", user)))
        else:
            op.fields.update(_named(("user.name", user)))
            parts.update(_named(("ruser", caller)))
    elif elevating and user:
        op.fields.update(_named(("user.effective.name", user), ("user.effective.id", user_id)))
        by, by_id = parts.pop("by", None), parts.pop("by_id", None)
        if by:
            _who(op, by)
            if by_id == "0" and by != "root":  # sudo's own, as older releases write it, beside the name that logged in
                op.raw["by_uid"], by_id = by_id, None
        op.fields.update(_named(("user.id", by_id)))
    elif user:
        _who(op, user)
        op.fields.update(_named(("user.id", user_id)))
    _place(op, parts)


def _named(*pairs: tuple[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in pairs if value}


def _read_sudo(op: Operation, message: str) -> None:
    """`kim : TTY=pts/0 ; PWD=/home/kim ; USER=root ; COMMAND=/bin/ls`, a reason for refusal before TTY.

    A folder may have any name: where the line can be read in two ways, only who asked and why not are taken from it.
    """
    who, colon, rest = message.partition(" : ")
    head, mark, command = rest.partition("COMMAND=")
    if not colon or " " in who or not mark:
        return
    first, *parts = _sudo_parts(head.rstrip(" ;"))
    reason = "" if _sudo_part(first) else first
    op.action, op.code, op.outcome = "auth.elevate", "COMMAND", "failure" if reason else "success"
    _who(op, who)
    if reason:
        op.fields["event.reason"] = reason
    else:
        parts.insert(0, first)
    pairs = [part.partition("=") for part in parts]
    if len({name for name, _, _ in pairs}) < len(pairs) or _sudo_again(command):
        return
    for name, _, value in (*pairs, ("COMMAND", "", command)):
        if name in _SUDO_FIELDS:
            op.fields[_SUDO_FIELDS[name]] = clean_command(value)
        else:
            op.raw[name.lower()] = clean_command(value)
