r"""Linux auditd, audit log: programs run, files touched, logins, accounts and audit settings changed, by the login user.

**What the source records.** What the kernel's audit rules ask for (system calls with program, arguments, paths and
outcome) and what programs report themselves: logins and sessions (PAM), `sudo` commands, accounts and groups, services,
SELinux, and changes of the audit configuration. Each event carries the **login user** (`auid`): who logged in, kept
over `su` and `sudo`. It has old and new values for audit settings, SELinux switches, kernel features and renamed files
alone; of a changed file it tells that it was changed, not what. What no rule asks for is not there.

**How to get it out.** Read `/var/log/audit/audit.log` (root only) with an input of this format. Set `log_format =
ENRICHED` in `auditd.conf`, so that names stand beside numeric ids (`AUID="kim"`); on a reader elsewhere the ids would
mean other accounts. Rules for programs: `-a always,exit -F arch=b64 -S execve -F auid>=1000 -F auid!=unset -k exec`;
for files: `-w /etc/passwd -p wa -k identity`. Several hosts in one file: `name_format = hostname` (`node=…`).

The records of one event stand on lines of their own with the same serial, and other events may stand between them: they
are joined, and an event comes out with its last record or two seconds later (`multiline: {timeout: …}` of the input).

**One line in**: the lines of one event.

```text
type=SYSCALL msg=audit(1770110400.123:4711): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 items=1 ppid=2100 pid=2101 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm="useradd" exe="/usr/sbin/useradd" key="exec"
type=EXECVE msg=audit(1770110400.123:4711): argc=3 a0="useradd" a1="-m" a2="jo"
type=CWD msg=audit(1770110400.123:4711): cwd="/root"
type=PATH msg=audit(1770110400.123:4711): item=0 name="/usr/sbin/useradd" inode=393 dev=08:02 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL
type=PROCTITLE msg=audit(1770110400.123:4711): proctitle=75736572616464002D6D006A6F
```

**What comes out.**

- `execve`: `process.start` with `process.command_line`, `.args`, `.executable`, `.working_directory`, `.parent.pid`;
  where it failed, the object is the program that was asked for, `process.executable` the one that asked.
- A system call with a path: `file.create`, `file.delete`, `file.update` (owner, rights, length, attributes; a rename has
  the path as `trail.change`), else `file.access`. With an address: `network.connect`. Any other: `log.message`. System
  calls are known by their enriched name, or by number on x86-64.
- `USER_LOGIN`: `auth.login`. `USER_AUTH`: the same, or `auth.elevate` for `su` and `sudo`: one login yields both, told
  apart by `event.code`. `USER_LOGOUT`: `auth.logout`. `USER_START`, `USER_END`: `session.start`, `session.end`.
  `USER_CMD`: `auth.elevate` with the command.
- `ADD_USER`, `DEL_USER`, `ADD_GROUP`, `DEL_GROUP`, `USER_MGMT`, `GRP_MGMT`, `USER_CHAUTHTOK`, `ACCT_LOCK`,
  `ROLE_ASSIGN` and their like: `user.*`, `group.*`, `password.change`, `role.*`, with the account as `user.target.*`.
  The tools write one act once for each file that they touch; the others than the first (shadow files, home, mail) are
  `log.message`. Of a group's new member they may name the member alone. Debian's groupmod writes `USER_ACCT`.
- `CONFIG_CHANGE`, `MAC_STATUS`, `MAC_CONFIG_CHANGE`, `FEATURE_CHANGE`: `config.update` with `trail.change`; rules added
  and removed: `config.create`, `config.delete`; auditing itself turned on or off: `audit.enable`, `audit.disable`.
- `SERVICE_START`, `SERVICE_STOP`, `DAEMON_START`, `DAEMON_END`: `service.start`, `service.stop`. `AVC`: `file.access`
  or `log.message`, failure where it was denied. All others: `log.message`.

`user.id` is `auid`; `user.effective.id` is the user as which the process runs (`euid`, else `uid`) where that is
another. Whom `sudo` asks for a password (`USER_AUTH`, `USER_ACCT`) stays in `trail.raw`. Before a login there is no `auid`: then the actor is the account that a login names, sure only if it
succeeded, and else the system. `trail.session.id` is `ses`. Hex-encoded values are decoded. Everything else stays in
`trail.raw`, by the type of its record. Passwords in command lines (`--password=x`, `PGPASSWORD=x`) are dropped; the list
of arguments is left out then. A password that was typed into a recorded terminal (`pam_tty_audit log_passwd`) cannot be
told from other text: do not record those.

Missing: `trail.missing` holds `trail.interface` always, `user.id` where the source has no login user, `source.ip` where
nobody came over the network. Options: none.
"""  # noqa: E501 - a log line has no line breaks

from __future__ import annotations

import re
from typing import Final

from parsers._auditd import (
    ACTIONS,
    ANNEXES,
    CALLS,
    CONFIGURED,
    ELEVATORS,
    SUBJECTS,
    SUCCESS,
    UNSET,
    Line,
    Members,
    account_action,
    arguments,
    lines_of,
    socket_address,
)
from parsers._commands import clean_command
from parsers._contract import Change, Context, Format, Gives, Operation, Rejected, Time
from parsers._json import clean_ip
from parsers._secrets import hide_secrets

FORMAT: Final = Format(
    name="auditd",
    module="auditd",
    vendor="Linux audit",
    title="Linux audit log (auditd)",
    missing=("trail.interface",),
    framing="auditd",
    gives=Gives.of("who when ip session field old new logins"),
)

LITERALS: Final = (b"msg=audit(",)

_ASKING: Final = frozenset(("USER_AUTH", "USER_ACCT"))
_EXECUTING: Final = frozenset(("execve", "execveat"))
_CHANGING: Final = frozenset(CALLS.values()) - {"connect", "accept", "accept4", "bind"} - _EXECUTING
_changed = re.compile(
    r"changing \S{0,200}/etc/group; group [^/,]{1,64}/(?P<id>[0-9]{1,10})(?:, new name: (?P<name>[^,]{1,64}))?"
    r"(?:, new password)?(?:, new gid: (?P<gid>[0-9]{1,10}))?"
).fullmatch
_ACCEPTS: Final = frozenset(("accept", "accept4"))
_PLAIN: Final = {
    "exe": "process.executable",
    "comm": "process.name",
    "cwd": "process.working_directory",
    "ses": "trail.session.id",
    "hostname": "source.domain",
}
_NUMBERS: Final = {
    "pid": "process.pid",
    "ppid": "process.parent.pid",
    "rport": "source.port",
    "lport": "destination.port",
}


def parse(record: bytes, ctx: Context) -> list[Operation] | Rejected:
    """One event."""
    del ctx
    lines = lines_of(record)
    if isinstance(lines, Rejected):
        return lines
    main = next((line for line in lines if line.type == "SYSCALL"), lines[0])
    others = [line for line in lines if line.type not in ANNEXES]
    about = others[0] if others else main
    op = Operation("log.message", "audit", Time(main.seconds, "epoch_s"), id=f"{main.seconds}:{main.serial}")
    op.code = about.type
    if main.node is not None:
        op.fields["host.name"] = main.node
    execve = next((line.members for line in lines if line.type == "EXECVE"), None)
    proctitle = next((line.members for line in lines if line.type == "PROCTITLE"), None)
    _command(op, execve, proctitle)
    op.outcome = _outcome(about.members, main.members)
    for line in lines:
        if line.type != "PATH":
            _common(op, line.members)
    if about.type in ACTIONS:
        _of_a_program(op, about)
    else:
        _of_a_call(op, main, lines, started=execve is not None)
        if "denied" in str(about.members.get("text")) or about.members.get("apparmor") == "DENIED":
            op.outcome = op.outcome or ("success" if about.members.get("permissive") == "1" else "failure")
    _who(op, main.members, about)
    _rest(op, lines)
    if op.action == "log.message":
        op.message = _sentence(about, op)
    hide_secrets(op)
    return [op]


def _outcome(*places: Members) -> str | None:
    """What the first of them says: a rule that was refused came with a system call that succeeded."""
    outcome = None
    for members in places:
        for name in ("success", "res", "result"):
            found = SUCCESS.get(str(members.get(name)))
            if found is not None and found == (outcome or found):
                outcome = found
                del members[name]
    return outcome


def _common(op: Operation, members: Members) -> None:
    """What every kind of record may have."""
    for name, field in (("addr", "source.ip"), ("laddr", "destination.ip")):
        address = clean_ip(str(members.get(name, "")))
        if address is not None and op.fields.setdefault(field, address) == address:
            del members[name]
    for name, field in _PLAIN.items():
        value = members.get(name)
        if not isinstance(value, str) or value in UNSET:
            continue
        if name == "hostname":  # the address again, or, without one, this host itself
            address = clean_ip(value)
            if address is not None and address == op.fields.get("source.ip"):
                del members[name]
            if address is not None or "source.ip" not in op.fields:
                continue
        if op.fields.setdefault(field, value) == value:
            del members[name]
    for name, field in _NUMBERS.items():
        value = members.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            number = int(value)
            if str(number) == value and op.fields.setdefault(field, number) == number:
                del members[name]
    if isinstance(members.get("key"), str) and "\x01" in members["key"]:
        members["key"] = members["key"].split("\x01")
    for name in ("data", "cmd", "text"):
        if isinstance(members.get(name), str):
            members[name] = clean_command(members[name])


def _command(op: Operation, execve: Members | None, proctitle: Members | None) -> None:
    """The command line, without secrets. The process title says it once more, as far as it goes."""
    title = None
    if proctitle is not None and isinstance(proctitle.get("proctitle"), str):
        title = proctitle.pop("proctitle").rstrip("\0").replace("\0", " ")
    if execve is not None:
        words = arguments(execve)
        whole = " ".join(words)
        line = clean_command(whole)
        if words:
            op.fields["process.command_line"] = line
            if line == whole:
                op.fields["process.args"] = words
            if execve.get("argc") == str(len(words)):
                del execve["argc"]
        if title is not None and title and not whole.startswith(title) and proctitle is not None:
            proctitle["proctitle"] = clean_command(title)
    elif title:
        op.fields["process.command_line"] = clean_command(title)


# -- what programs and the kernel say about accounts and settings ------------------------------------------------------


def _of_a_program(op: Operation, line: Line) -> None:
    members = line.members
    op.action, category = ACTIONS[line.type]
    if category:
        op.category, op.type = (category,), ("info",)
    words = str(members.get("op", "")).replace("-", " ").lower()
    program = _last(str(op.fields.get("process.executable", "")))
    if line.type == "USER_AUTH" and program in ELEVATORS:
        op.action = "auth.elevate"
    elif line.type == "USER_CMD" and isinstance(members.get("cmd"), str):
        op.fields["process.command_line"] = members.pop("cmd")
    elif line.type == "USER_ACCT" and program == "groupmod":
        _group_changed(op, members)
        return
    else:
        other = account_action(line.type, words, members)
        if other is not None:
            op.action = other
    if op.action == "log.message" and not category:
        op.category, op.type = ("iam",), ("info",)
    if line.type.startswith("DAEMON_"):
        op.fields["service.name"] = "auditd"
    elif op.action.startswith("service.") and isinstance(members.get("unit"), str):
        op.fields["service.name"] = members.pop("unit")
    if "service.name" in op.fields:
        op.object_type = op.object_label = "service"
        op.object_id = op.fields["service.name"]
    if line.type in CONFIGURED:
        _setting(op, line)
    else:
        about = op.action if op.action != "log.message" else ACTIONS[line.type][0]
        if about.partition(".")[0] in SUBJECTS or about in SUBJECTS:
            _target(op, members, about)


def _group_changed(op: Operation, members: Members) -> None:
    """`groupmod` of Debian: the account is a group, and `op` a sentence for each file, of which one tells the act."""
    op.category, op.type = ("iam",), ("info",)
    name = _text(members, "acct")
    if name is not None:
        op.fields["group.name"] = name
    found = _changed(str(members.get("op", "")))
    if found is None:
        return
    op.action, op.category, op.type = "group.update", (), ()
    op.object_type = op.object_label = "group"
    op.object_id, op.object_name = found["id"], name
    op.fields["group.id"] = found["id"]
    for field, old in (("name", name), ("gid", found["id"])):
        if found[field] and old is not None:
            op.changes.append(Change(field, old, found[field]))


def _target(op: Operation, members: Members, action: str) -> None:
    """The account or group that was changed."""
    group = action.startswith("group.")
    account, number = _text(members, "acct"), _text(members, "id")
    if account is None:
        account = _text(members, "ID")  # what enriching found
    name = _text(members, "grp") or _text(members, "new_group")
    if group and action not in {"group.add", "group.remove"}:
        name, account = name or account, None
    for field, value in (("group.name", name), ("user.target.name", account)):
        if value is not None:
            op.fields[field] = value
    if number is not None:
        member = account is not None or action in {"group.add", "group.remove"}
        op.fields["group.id" if group and not member else "user.target.id"] = number
    gid = _text(members, "gid") if group and "group.id" not in op.fields else None
    if gid is not None:
        op.fields["group.id"] = gid
    subject = (op.fields.get("group.id"), name) if group else (number, account)
    op.object_type = op.object_label = "group" if group else "user"
    op.object_id, op.object_name = subject[0] or subject[1], subject[1]
    if not group and action in {"role.grant", "role.revoke"}:
        role = _text(members, "new-role") or _text(members, "new_role")
        if role is not None:
            op.fields["user.changes.roles"] = [role]


def _text(members: Members, name: str) -> str | None:
    """Take a text, if there is one that says something."""
    value = members.get(name)
    if not isinstance(value, str) or value in UNSET or value.startswith("unknown("):
        return None  # `unknown(4201)`: enriching found no name
    del members[name]
    return value


def _setting(op: Operation, line: Line) -> None:
    """Settings with their old and new values, and rules that came and went."""
    members = line.members
    op.object_type = CONFIGURED[line.type]
    op.object_label = op.object_type.replace("_", " ")
    pairs: list[tuple[str, str, str]] = []  # field, name of the old member, name of the new one
    if line.type == "CONFIG_CHANGE":
        verb = str(members.get("op", ""))
        if "rule" in verb:
            op.action = "config.delete" if "remove" in verb or "delete" in verb else "config.create"
            op.object_type, op.object_label = "audit_rule", "audit rule"
            key = members.get("key")
            op.object_id = op.object_name = key if isinstance(key, str) else None
        if "old" in members:
            name = next((name for name in members if name.startswith(("audit_", "actions"))), None)
            if name is not None:
                pairs.append((name, "old", name))
    elif line.type == "MAC_STATUS":
        pairs = [("enforcing", "old_enforcing", "enforcing"), ("enabled", "old-enabled", "enabled")]
    elif line.type == "MAC_CONFIG_CHANGE":
        op.object_id = op.object_name = _text(members, "bool")
        pairs = [(op.object_id or "value", "old_val", "val")]
    elif line.type == "FEATURE_CHANGE":
        op.object_id = op.object_name = _text(members, "feature")
        pairs = [(op.object_id or "value", "old", "new"), ("lock", "old_lock", "new_lock")]
    elif line.type in {"NETFILTER_CFG", "SOFTWARE_UPDATE"}:
        op.object_id = op.object_name = _text(members, "table" if line.type == "NETFILTER_CFG" else "sw")
    compared = False
    for field, old, new in pairs if op.outcome != "failure" else ():  # what failed changed nothing
        before, after = members.get(old), members.get(new)
        if isinstance(before, str) and isinstance(after, str):
            compared = True
            del members[old], members[new]
            if before != after:
                op.changes.append(Change(field, before, after))
                op.object_id = op.object_id or field
    op.no_change = compared and not op.changes
    if op.changes and op.changes[0].field == "audit_enabled":
        op.action = "audit.disable" if op.changes[0].new == "0" else "audit.enable"


# -- system calls ------------------------------------------------------------------------------------------------------


def _of_a_call(op: Operation, main: Line, lines: list[Line], *, started: bool) -> None:
    members = main.members
    call = members.get("SYSCALL")
    if not isinstance(call, str):
        call = CALLS.get(str(members.get("syscall"))) if members.get("arch") == "c000003e" else None
    paths = [line.members for line in lines if line.type == "PATH"]
    socket = next((line.members for line in lines if line.type == "SOCKADDR"), None)
    if started or call in _EXECUTING:
        op.action = "process.start"
        op.object_type = op.object_label = "program"
        op.object_id = op.fields.get("process.executable")
        if op.outcome == "failure":  # the process is still the one that tried
            op.object_id = next((path["name"] for path in paths if isinstance(path.get("name"), str)), None)
        return
    if socket is not None and isinstance(socket.get("saddr"), str):
        found = socket_address(socket["saddr"])
        if found is not None:
            side = "source" if call in _ACCEPTS else "destination"
            op.fields[f"{side}.ip"], op.fields[f"{side}.port"] = found
            del socket["saddr"]
            op.action = "log.message" if call == "bind" else "network.connect"
            if call == "bind":
                op.category, op.type = ("network",), ("info",)
            return
    if paths and main.type == "SYSCALL":
        _file(op, paths, call or "")
    elif main.type == "SYSCALL":
        op.category, op.type = ("process",), ("info",)


def _file(op: Operation, paths: list[Members], call: str) -> None:
    """The file that a call was about: the one that came or went, else the last that is no parent."""
    by_kind: dict[str, Members] = {str(path.get("nametype")): path for path in paths}
    here = str(op.fields.get("process.working_directory", "/"))
    made, gone = by_kind.get("CREATE"), by_kind.get("DELETE")
    plain = [path for path in paths if str(path.get("nametype")) not in {"PARENT", "CREATE", "DELETE"}]
    about = made or gone or (plain or paths)[-1]
    name = about.get("name")
    if made is not None and gone is not None and call.startswith("rename"):
        op.action = "file.update"
        old = gone.get("name")
        if isinstance(name, str) and isinstance(old, str):
            del gone["name"]
            op.changes.append(Change("path", _absolute(here, old), _absolute(here, name)))
    elif made is not None:
        op.action = "file.create"
    elif gone is not None:
        op.action = "file.delete"
    else:
        op.action = "file.update" if call in _CHANGING else "file.access"
    if isinstance(name, str):
        del about["name"]
        path = _absolute(here, name)
        op.fields["file.path"], op.fields["file.name"] = path, _last(path)
        op.object_type = op.object_label = "file"
        op.object_id, op.object_name = path, _last(path)
    for member, field in (
        ("inode", "file.inode"),
        ("ouid", "file.uid"),
        ("ogid", "file.gid"),
        ("OUID", "file.owner"),
        ("OGID", "file.group"),
    ):
        value = _text(about, member)
        if value is not None:
            op.fields[field] = value


def _absolute(here: str, name: str) -> str:
    return name if name.startswith("/") else f"{here.rstrip('/')}/{name.removeprefix('./')}"


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path


# -- who, and the rest -------------------------------------------------------------------------------------------------


def _who(op: Operation, members: Members, about: Line) -> None:
    login, account = members.get("auid"), about.members.get("acct")
    program = _last(str(op.fields.get("process.executable", "")))
    effective = members.get("euid", members.get("uid"))
    if isinstance(login, str) and login not in UNSET:
        op.fields["user.id"] = members.pop("auid")
        name = _text(members, "AUID")
        if name is not None:
            op.fields["user.name"] = name
        op.actor_type, op.actor_confidence = "user", "asserted"
        # A daemon that lets somebody in runs as root; that is not whom he acts as.
        mine = not op.action.startswith(("auth.", "session.")) and op.category != ("authentication",)
        if mine and isinstance(effective, str) and effective != login and effective not in UNSET:
            kind = "euid" if "euid" in members else "uid"
            op.fields["user.effective.id"] = members.pop(kind)
            name = _text(members, kind.upper())
            if name is not None:
                op.fields["user.effective.name"] = name
        if isinstance(account, str) and "user.target.name" not in op.fields:
            if program == "sudo" and about.type in _ASKING:
                if op.fields.get("user.name") == account:  # who is asked for a password: not whom he becomes
                    del about.members["acct"]
            elif program in ELEVATORS:
                op.fields["user.effective.name"] = about.members.pop("acct")
            elif op.fields.setdefault("user.name", account) == account:
                del about.members["acct"]
        for name in ("id", "auid"):  # once more
            if about.members.get(name) == login:
                del about.members[name]
        return
    told = members.pop("auid", None) is not None
    if members.get("AUID") == "unset":
        del members["AUID"]
    op.missing = ("user.id",)
    number = about.members.get("id") if op.action == "auth.login" else None
    if op.action in {"auth.login", "session.start", "session.end", "auth.logout", "auth.elevate"} and (
        account or number
    ):
        sure = op.outcome == "success"
        op.actor_type, op.actor_confidence = ("user", "asserted") if sure else ("unknown", "unknown")
        if isinstance(account, str):
            op.fields["user.name"] = about.members.pop("acct")
        elif isinstance(number, str) and number not in UNSET:
            op.fields["user.id"], op.missing = about.members.pop("id"), ()
        return
    if isinstance(effective, str) and effective not in UNSET:
        kind = "euid" if "euid" in members else "uid"
        op.fields["user.effective.id"] = members.pop(kind)
        name = _text(members, kind.upper())
        if name is not None:
            op.fields["user.effective.name"] = name
    if told:
        op.actor_type, op.actor_confidence = "system", "inferred"
        op.fields["trail.actor.basis"] = "the process has no login user (auid)"


def _rest(op: Operation, lines: list[Line]) -> None:
    """What was not mapped, by the type of its record; records of one type make a list."""
    for line in lines:
        members = {
            name: value for name, value in line.members.items() if not (name in {"auid", "ses"} and str(value) in UNSET)
        }
        if not members:
            continue
        name = line.type.lower()
        if name not in op.raw:
            op.raw[name] = members
        elif isinstance(op.raw[name], list):
            op.raw[name].append(members)
        else:
            op.raw[name] = [op.raw[name], members]
    if "source.ip" not in op.fields:
        op.missing = (*op.missing, "source.ip")


def _sentence(about: Line, op: Operation) -> str:
    """A few words of the source's own for what has no action."""
    verb = about.members.get("op") or about.members.get("text") or about.members.get("SYSCALL") or ""
    subject = op.fields.get("process.command_line") or op.fields.get("process.executable") or ""
    return " ".join(str(part) for part in (about.type, verb, subject) if part)
