"""The format linux_auth: who became whom, which account was changed how; and a command cannot write its own line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import UNKNOWN, Change, Context, Rejected, Time
from parsers.linux_auth import LITERALS, parse
from tests.parser_checks import assert_sound

CTX = Context()
HEAD = "Mar 10 13:55:36 db1 "
SUDO = HEAD + "sudo[47]:      kim : TTY=pts/0 ; PWD=/home/kim ; USER=root ; COMMAND=/bin/ls -l"
USERMOD = HEAD + "usermod[48]: change user 'ann' shell from '/bin/sh' to '/bin/bash'"


def one(line):
    found = parse(line.encode(), CTX)
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def said(program, message):
    """Action, outcome, and the fields that are not the header's."""
    operation = one(f"{HEAD}{program}: {message}")
    header = {"host.hostname", "process.name", "process.pid"}
    return (
        operation.action,
        operation.outcome,
        {name: value for name, value in operation.fields.items() if name not in header},
    )


def test_sudo_says_who_ran_what_as_whom():
    operation = one(SUDO)
    assert (operation.action, operation.outcome, operation.code) == ("auth.elevate", "success", "COMMAND")
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert operation.time == Time("Mar 10 13:55:36", "rfc3164")
    assert operation.raw == {"tty": "pts/0"}
    assert operation.fields == {
        "host.hostname": "db1",
        "process.name": "sudo",
        "process.pid": 47,
        "user.name": "kim",
        "user.effective.name": "root",
        "process.working_directory": "/home/kim",
        "process.command_line": "/bin/ls -l",
    }


@pytest.mark.parametrize("reason", ["3 incorrect password attempts", "user NOT in sudoers", "command not allowed"])
def test_a_denied_sudo_is_a_failure_with_its_reason(reason):
    operation = one(SUDO.replace("kim : ", f"kim : {reason} ; "))
    assert (operation.action, operation.outcome) == ("auth.elevate", "failure")
    assert operation.fields["event.reason"] == reason
    assert operation.fields["process.command_line"] == "/bin/ls -l"


def test_a_folder_cannot_forge_whom_sudo_ran_as():
    operation = one(SUDO.replace("/home/kim ;", "/tmp ; USER=nobody ; COMMAND=/bin/true ;"))
    assert operation.fields["user.name"] == "kim"
    assert not {"user.effective.name", "process.command_line"} & operation.fields.keys()
    assert "USER=root ; COMMAND=/bin/ls -l" in operation.message


@pytest.mark.parametrize(
    "command",
    ["mysql -u root -phunter2 hr", "app --password hunter2", "env PGPASSWORD=hunter2 psql", "usermod -p hunter2 ann",
     "curl -u kim:hunter2 https://x.example/", "psql -c ALTER ROLE x PASSWORD 'hunter2'"],
)  # fmt: skip
def test_secrets_in_commands_are_dropped_everywhere(command):
    operation = one(SUDO.replace("/bin/ls -l", command))
    assert "hunter2" not in repr(operation)
    assert "(secret dropped)" in operation.fields["process.command_line"]


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("change user 'ann' shell from '/bin/sh' to '/bin/bash'", Change("shell", "/bin/sh", "/bin/bash")),
        ("change user `ann' home from `/a' to `/b'", Change("home", "/a", "/b")),
        ("change user 'ann' UID from '1001' to '1002'", Change("uid", "1001", "1002")),
        ("change user 'ann' expiration from 'never' to '2026-12-31'", Change("expiration", "never", "2026-12-31")),
        ("change user name 'ann' to 'anna'", Change("name", "ann", "anna")),
        ("changed user 'ann' shell to '/bin/zsh'", Change("shell", UNKNOWN, "/bin/zsh", derivation="new_only")),
    ],
)
def test_a_changed_account_has_old_and_new(message, change):
    operation = one(f"{HEAD}usermod[1]: {message}")
    assert (operation.action, operation.object_type, operation.object_id) == ("user.update", "user", "ann")
    assert operation.changes == [change]
    assert (operation.actor_type, "user.name" in operation.fields) == ("unknown", False)


def test_a_change_to_the_same_value_is_none():
    assert one(USERMOD.replace("/bin/sh'", "/bin/bash'")).no_change is True
    assert one(USERMOD).no_change is False


def test_a_new_account_has_its_values():
    operation = one(
        f"{HEAD}useradd[1]: new user: name=bob, UID=1003, GID=1004, home=/home/bob, shell=/bin/sh, from=none"
    )
    assert (operation.action, operation.object_id) == ("user.create", "bob")
    assert operation.values == {"gid": "1004", "home": "/home/bob", "shell": "/bin/sh"}
    assert operation.fields["user.target.id"] == "1003"
    assert operation.raw == {"tty": "none"}


@pytest.mark.parametrize(
    ("program", "message", "action", "outcome", "fields"),
    [
        ("su", "(to root) kim on pts/0", "auth.elevate", "success", {"user.name": "kim", "user.effective.name": "root"}),
        ("su", "FAILED SU (to root) kim on pts/0", "auth.elevate", "failure", {"user.name": "kim", "user.effective.name": "root"}),
        ("su", "pam_unix(su:session): session opened for user root(uid=0) by kim(uid=1000)", "session.start", None,
         {"user.name": "kim", "user.id": "1000", "user.effective.name": "root", "user.effective.id": "0"}),
        ("login", "pam_unix(login:session): session opened for user kim(uid=1000) by LOGIN(uid=0)", "session.start", None, {"user.name": "kim", "user.id": "1000"}),
        ("vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=203.0.113.7  user=kim", "auth.login", "failure",
         {"user.name": "kim", "source.ip": "203.0.113.7"}),
        ("vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=203.0.113.7 ", "auth.login", "failure",
         {"source.ip": "203.0.113.7"}),
        ("sudo", "pam_unix(sudo:session): session opened for user root by kim(uid=0)", "session.start", None,
         {"user.name": "kim", "user.effective.name": "root"}),
        ("gpasswd", "user ann added by root to group sudo", "group.add", None, {"user.name": "root", "user.target.name": "ann", "group.name": "sudo"}),
        ("usermod", "add 'ann' to group 'sudo'", "group.add", None, {"user.target.name": "ann", "group.name": "sudo"}),
        ("usermod", "add 'ann' to shadow group 'sudo'", "log.message", None, {"user.target.name": "ann", "group.name": "sudo"}),
        ("userdel", "delete user 'ann'", "user.delete", None, {"user.target.name": "ann"}),
        ("passwd", "password for 'ann' changed by 'root'", "password.reset", None, {"user.name": "root", "user.target.name": "ann"}),
        ("passwd", "password for 'ann' changed by 'ann'", "password.change", None, {"user.name": "ann", "user.target.name": "ann"}),
        ("passwd[1]", "pam_unix(passwd:chauthtok): password changed for ann", "password.change", None, {"user.target.name": "ann"}),
        ("systemd-logind", "New session 5 of user kim.", "session.start", None, {"user.name": "kim", "trail.session.id": "5"}),
        ("systemd-logind", "Removed session 5.", "session.end", None, {"trail.session.id": "5"}),
        ("login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'kim', Authentication failure", "auth.login", "failure",
         {"user.name": "kim", "event.reason": "Authentication failure"}),
        ("CRON", "(root) CMD (/bin/backup)", "process.start", None, {"user.name": "root", "process.command_line": "/bin/backup"}),
        ("useradd", "failed adding user 'bob', exit code: 9", "user.create", "failure", {"user.target.name": "bob", "event.reason": "exit code: 9"}),
        ("su", "anything else", "log.message", None, {}),
    ],
)  # fmt: skip
def test_messages_become_activities(program, message, action, outcome, fields):
    assert said(program, message) == (action, outcome, fields)


def test_what_cron_runs_is_the_systems_doing():
    assert one(f"{HEAD}CRON[1]: (root) CMD (/bin/backup)").actor_type == "system"


@pytest.mark.parametrize("file", ["/etc/group", "/srv/image//etc/group"])
def test_a_group_is_renamed_and_renumbered_in_one_line(file):
    operation = one(f"{HEAD}groupmod[1]: group changed in {file} (group hr/1005, new name: people, new gid: 1006)")
    assert operation.changes == [Change("name", "hr", "people"), Change("gid", "1005", "1006")]


@pytest.mark.parametrize(
    "head",
    ["Mar 10 13:55:36 db1 sudo: ", "2026-03-10T13:55:36.5+01:00 db1 sudo[4]: ", "<86>Mar 10 13:55:36 db1 sudo[4]: ",
     "<86>1 2026-03-10T13:55:36Z db1 sudo 4 - - "],
)  # fmt: skip
def test_every_header_leads_to_the_same_message(head):
    operation = one(head + SUDO.partition("]: ")[2])
    assert (operation.action, operation.fields["user.name"]) == ("auth.elevate", "kim")


@pytest.mark.parametrize(
    "line",
    [
        HEAD + "sshd[1]: pam_unix(sshd:session): session opened for user kim(uid=1000) by (uid=0)",
        HEAD + "kernel: sudo[1]: kim : TTY=pts/0 ; COMMAND=/bin/ls",
        "kim : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
        "",
    ],
)
def test_other_lines_are_refused(line):
    assert isinstance(parse(line.encode(), CTX), Rejected)


def test_one_of_the_literals_stands_in_every_accepted_line():
    for line in (SUDO, USERMOD, HEAD + "su: x", "<86>1 - - su - - - x", HEAD + "gdm[1]: pam_unix(gdm:auth): x"):
        assert any(literal in line.encode() for literal in LITERALS)
        one(line)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([SUDO, USERMOD]), st.integers(0, 100), st.binary(max_size=6))
def test_a_damaged_line_yields_a_sound_result(line, at, piece):
    data = line.encode()
    assert_sound(parse(data[:at] + piece + data[at + len(piece) :], CTX))
