"""Lines of the Linux audit log: pairs, quoted and hex-encoded values, what enriching added, addresses, tables. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple

from parsers._contract import Rejected
from parsers._text import readable

Members = dict[str, Any]

_HEAD: Final = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Z][A-Z0-9_]{0,59}|UNKNOWN\[[0-9]{1,6}\])"
    rb" msg=audit\(([0-9]{1,12}(?:\.[0-9]{1,9})?):([0-9]{1,20})\): ?"
)
_PAIR: Final = re.compile(
    r"(?<![A-Za-z0-9_.-])([A-Za-z_][A-Za-z0-9_.-]{0,99}(?:\[[0-9]{1,6}\])?)=(\"[^\"]*+\"?|\{[^}]*+\}?|'[^']*+'?|[^\s\"]*+)"
)
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+").fullmatch
_ENRICHED: Final = "\x1d"

# Values that a user may have chosen: the kernel writes them in quotes, or in hex where they hold blanks or quotes.
_ENCODED: Final = frozenset({
    "acct", "cmd", "comm", "cwd", "data", "device", "dir", "exe", "file", "grp", "key", "name", "new-acct", "new_group",
    "ocomm", "old-acct", "path", "proctitle", "root_dir", "sw", "vm", "watch",
})  # fmt: skip
_ARGUMENT: Final = re.compile(r"a[0-9]{1,5}(?:\[[0-9]{1,6}\])?").fullmatch
_NONE: Final = frozenset(("?", "(null)", "(none)", ""))
UNSET: Final = frozenset(("4294967295", "-1", "unset"))


# Type of a record -> (action, category where the action has none).
ACTIONS: Final[dict[str, tuple[str, str]]] = {
    "USER_LOGIN": ("auth.login", ""),
    "USER_AUTH": ("auth.login", ""),
    "USER_LOGOUT": ("auth.logout", ""),
    "USER_START": ("session.start", ""),
    "USER_END": ("session.end", ""),
    "USER_CMD": ("auth.elevate", ""),
    "USER_ACCT": ("log.message", "authentication"),
    "USER_ERR": ("log.message", "authentication"),
    "CRED_ACQ": ("log.message", "authentication"),
    "CRED_DISP": ("log.message", "authentication"),
    "CRED_REFR": ("log.message", "authentication"),
    "LOGIN": ("log.message", "authentication"),
    "USER_CHAUTHTOK": ("password.change", ""),
    "USER_MGMT": ("user.update", ""),
    "ADD_USER": ("user.create", ""),
    "DEL_USER": ("user.delete", ""),
    "ACCT_LOCK": ("user.lock", ""),
    "ACCT_UNLOCK": ("user.unlock", ""),
    "RESP_ACCT_LOCK": ("user.lock", ""),
    "RESP_ACCT_UNLOCK_TIMED": ("user.unlock", ""),
    "ANOM_LOGIN_FAILURES": ("auth.lockout", ""),
    "ADD_GROUP": ("group.create", ""),
    "DEL_GROUP": ("group.delete", ""),
    "GRP_MGMT": ("group.update", ""),
    "GRP_CHAUTHTOK": ("group.update", ""),
    "ROLE_ASSIGN": ("role.grant", ""),
    "ROLE_REMOVE": ("role.revoke", ""),
    "ROLE_MODIFY": ("role.update", ""),
    "SERVICE_START": ("service.start", ""),
    "SERVICE_STOP": ("service.stop", ""),
    "DAEMON_START": ("service.start", ""),
    "DAEMON_END": ("service.stop", ""),
    "DAEMON_ABORT": ("service.stop", ""),
    "DAEMON_CONFIG": ("config.update", ""),
    "CONFIG_CHANGE": ("config.update", ""),
    "MAC_STATUS": ("config.update", ""),
    "MAC_CONFIG_CHANGE": ("config.update", ""),
    "MAC_POLICY_LOAD": ("config.update", ""),
    "FEATURE_CHANGE": ("config.update", ""),
    "NETFILTER_CFG": ("config.update", ""),
    "SOFTWARE_UPDATE": ("config.update", ""),
    "SYSTEM_BOOT": ("log.message", "host"),
    "SYSTEM_SHUTDOWN": ("log.message", "host"),
}
# Records that tell more of a system call, and nothing of their own.
ANNEXES: Final = frozenset((
    "SYSCALL", "PATH", "CWD", "PROCTITLE", "EXECVE", "SOCKADDR", "EOE", "BPRM_FCAPS", "SOCKETCALL", "IPC",
    "IPC_SET_PERM", "FD_PAIR", "MQ_OPEN", "MQ_SENDRECV", "MQ_NOTIFY", "MQ_GETSETATTR", "CAPSET", "MMAP", "OPENAT2",
    "OBJ_PID", "MAC_TASK_CONTEXTS", "MAC_OBJ_CONTEXTS",
))  # fmt: skip
_ACCOUNTS: Final = frozenset(("ADD_USER", "DEL_USER"))
_GROUPS: Final = frozenset(("ADD_GROUP", "DEL_GROUP"))
_MEMBERS: Final = frozenset(("USER_MGMT", "GRP_MGMT", "USER_CHAUTHTOK"))
SUBJECTS: Final = {"user": "user", "group": "group", "password": "user", "role": "user", "auth.lockout": "user"}
CONFIGURED: Final = {
    "CONFIG_CHANGE": "audit_setting",
    "DAEMON_CONFIG": "audit_setting",
    "MAC_STATUS": "selinux_setting",
    "MAC_CONFIG_CHANGE": "selinux_boolean",
    "MAC_POLICY_LOAD": "selinux_policy",
    "FEATURE_CHANGE": "audit_feature",
    "NETFILTER_CFG": "netfilter_table",
    "SOFTWARE_UPDATE": "package",
}
ELEVATORS: Final = frozenset(("su", "sudo", "pkexec", "runuser", "doas", "su-l"))
SUCCESS: Final = {
    "yes": "success",
    "success": "success",
    "1": "success",
    "no": "failure",
    "failed": "failure",
    "0": "failure",
}
# System calls of x86-64 that start a program, change a file or name an address; elsewhere the enriched name tells.
CALLS: Final = {
    "59": "execve", "322": "execveat",
    "42": "connect", "43": "accept", "288": "accept4", "49": "bind",
    "76": "truncate", "77": "ftruncate", "82": "rename", "264": "renameat", "316": "renameat2",
    "90": "chmod", "91": "fchmod", "268": "fchmodat", "452": "fchmodat2",
    "92": "chown", "93": "fchown", "94": "lchown", "260": "fchownat",
    "188": "setxattr", "189": "lsetxattr", "190": "fsetxattr",
    "197": "removexattr", "198": "lremovexattr", "199": "fremovexattr",
}  # fmt: skip


def account_action(kind: str, words: str, members: Members) -> str | None:
    """The action of an account tool's record where its type alone would say another; `words`: what its `op` says.

    The tools write one act once for each file that they touch: all but the first are `log.message`.
    """
    if kind in _GROUPS:
        return "log.message" if "shadow" in words or not (words or {"acct", "grp"} & members.keys()) else None
    if kind in _ACCOUNTS and ("home" in words or "mail" in words):
        return "log.message"
    if (kind in _ACCOUNTS or (kind in _MEMBERS and "acct" in members)) and "group" in words:
        if "shadow" in words or words.startswith("changing group member"):
            return "log.message"
        if words.startswith("add"):
            return "group.add"
        if words.startswith(("delet", "remov")):
            return "group.remove"
    if kind == "USER_CHAUTHTOK" and words and not any(word in words for word in ("passw", "chauthtok")):
        return "user.update"
    return None


class Line(NamedTuple):
    """One record of an event: its type, its members in the source's order, and text that is in none of them."""

    node: str | None
    type: str
    seconds: str
    serial: str
    members: Members


def lines_of(record: bytes) -> list[Line] | Rejected:
    """The lines of one event."""
    found: list[Line] = []
    for number, data in enumerate(record.split(b"\n")):
        line = _line(data)
        if line is None:
            return Rejected(
                "not a line of the audit log" if not number else f"line {number + 1} is none of the audit log"
            )
        if found and line[:1] + line[2:4] != found[0][:1] + found[0][2:4]:
            return Rejected(f"line {number + 1} belongs to another event")
        found.append(line)
    return found


def _line(data: bytes) -> Line | None:
    head = _HEAD.match(data)
    if head is None:
        return None
    node, kind, seconds, serial = (None if part is None else part.decode("ascii", "replace") for part in head.groups())
    if kind is None or seconds is None or serial is None:
        return None
    text = readable(data[head.end() :]).rstrip("\r")
    plain, _, enriched = text.partition(_ENRICHED)
    before, quoted, message = plain.partition("msg='")
    members: Members = {}
    _read(before, members, kind)
    if quoted:
        inner, _, behind = message.rpartition("'") if "'" in message else (message, "", "")
        _read(inner, members, kind)
        _read(behind, members, kind)
    for name, value in _pairs(enriched)[0]:
        _add(members, name, value.strip('"'))
    return Line(node, kind, seconds, serial, members)


def _pairs(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(name, value as written) of each pair, and what stands between them. `op=` and `text=` go on to the next one."""
    found: list[tuple[str, str]] = []
    between: list[str] = []
    end = 0
    for match in _PAIR.finditer(text):
        loose = text[end : match.start()].strip()
        end = match.end()
        if loose:
            _loose(found, between, loose)
        found.append((match[1], match[2]))
    loose = text[end:].strip()
    if loose:
        _loose(found, between, loose)
    return found, between


def _loose(found: list[tuple[str, str]], between: list[str], text: str) -> None:
    if found and found[-1][0] in {"op", "text"}:
        found[-1] = (found[-1][0], f"{found[-1][1]} {text}")
    else:
        between.append(text)


def _read(text: str, members: Members, kind: str) -> None:
    pairs, between = _pairs(text)
    for name, written in pairs:
        if written[:1] in {'"', "'"}:
            _add(members, name, written[1:].removesuffix(written[0]))
        elif written in _NONE:
            continue  # the source says that it does not know
        elif (name in _ENCODED or (kind == "EXECVE" and _ARGUMENT(name))) and _HEX(written):
            _add(members, name, readable(bytes.fromhex(written)))
        else:
            _add(members, name, written)
    for part in between:
        _add(members, "text", part)


def _add(members: Members, name: str, value: str) -> None:
    """A name that comes again makes a list, unless it says the same."""
    known = members.get(name)
    if known is None:
        members[name] = value
    elif isinstance(known, list):
        known.append(value)
    elif known != value:
        members[name] = [known, value]


def arguments(members: Members) -> list[str]:
    """Take the arguments out of an EXECVE record; long ones come in parts (`a2[0]=`, `a2[1]=`)."""
    parts: dict[tuple[int, int], str] = {}
    for name in [name for name in members if _ARGUMENT(name) and isinstance(members[name], str)]:
        number, _, part = name[1:].removesuffix("]").partition("[")
        parts[int(number), int(part or 0)] = members.pop(name)
        members.pop(f"a{number}_len", None)
    joined: dict[int, str] = {}
    for (place, _), text in sorted(parts.items()):
        joined[place] = joined.get(place, "") + text
    return list(joined.values())


def socket_address(text: str) -> tuple[str, int] | None:
    """Address and port of a `saddr`; None for other families, and for what is none."""
    if not _HEX(text):
        return None
    data = bytes.fromhex(text)
    if len(data) >= 8 and data[:2] == b"\x02\x00":
        return str(IPv4Address(data[4:8])), int.from_bytes(data[2:4])
    if len(data) >= 24 and data[:2] == b"\x0a\x00":
        address = IPv6Address(data[8:24])
        return str(address.ipv4_mapped or address), int.from_bytes(data[2:4])
    return None
