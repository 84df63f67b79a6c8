"""A real auditd of the test's own writes down what one login user does; the events must say that, in both layouts.

Rules and daemon are the machine's, so the test runs only where nobody else audits, asks for the deeds of a login user
that nobody is, and leaves everything as it was.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.real_programs import alone, eventually, parsed, program, value, values

SECRET = "hunter2-of-the-test"
UNSET = "4294967295"

SETTINGS = """
local_events = yes
write_logs = yes
log_file = {folder}/audit.log
log_format = {layout}
flush = INCREMENTAL
freq = 1
name_format = {names}
max_log_file = 64
num_logs = 2
max_log_file_action = IGNORE
space_left = 2
admin_space_left = 1
space_left_action = IGNORE
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = {folder}/plugins
"""

ACTS = """
import os, socket, subprocess, sys
folder, login, secret = sys.argv[1:]
with open("/proc/self/loginuid", "w") as place:
    place.write(login)
os.chdir(folder)
subprocess.run(["/bin/echo", "two words", "\\u00fcn\\u00ef \\"q\\"", "--password=" + secret], stdout=subprocess.DEVNULL)
subprocess.run(["/bin/sh", "-c", "exec /nowhere/at-all"], stderr=subprocess.DEVNULL)
open("w/one", "w").close()
os.rename("w/one", "w/two three")
os.chmod("w/two three", 0o600)
os.chown("w/two three", 65534, 65534)
os.truncate("w/two three", 0)
os.unlink("w/two three")
os.mkdir("w/dir")
os.rmdir("w/dir")
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    listener = socket.create_server((address, 0), family=family)
    client = socket.create_connection(listener.getsockname()[:2])
    print(listener.getsockname()[1], client.getsockname()[1])
subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                "head", "-c1", "/etc/shadow"], stderr=subprocess.DEVNULL)
tree = ("--prefix", folder + "/tree")
for command in (
    ("groupadd", *tree, "-g", "4200", "crew"),
    ("useradd", *tree, "-u", "4201", "-g", "crew", "-G", "desk", "-m", "kim"),
    ("usermod", *tree, "-s", "/bin/sh", "-aG", "board", "kim"),
    ("groupmod", *tree, "-n", "deck", "-g", "4202", "crew"),
    ("userdel", *tree, "kim"),
    ("groupdel", *tree, "deck"),
    ("sudo", "-n", "-u", "nobody", "true", "--password=" + secret),
):
    subprocess.run(command, check=True)
"""


def refusal():
    """Why this machine cannot audit for a test, or None."""
    if os.geteuid() != 0:
        return "only root can audit"
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "the test's rules are for x86-64"
    try:
        loginuid = Path("/proc/self/loginuid").read_text()
    except OSError:
        return "the kernel has no audit"
    if loginuid != UNSET:
        return "the process has a login user, which most kernels do not let go"
    control = shutil.which("auditctl", path="/usr/sbin:/sbin")
    if control is None:
        return None
    asked = subprocess.run([control, "-s"], capture_output=True, text=True, check=False, timeout=20)
    if asked.returncode != 0 or "\npid 0\n" not in asked.stdout or "enabled 2" in asked.stdout:
        return "the kernel has no audit for containers, or its rules are somebody else's: auditctl -s"
    return None


@pytest.fixture(scope="module", params=["RAW", "ENRICHED"])
def real(request, tmp_path_factory):
    """What was done, done once for each layout: the events by what they are about."""
    with alone():
        return audited(tmp_path_factory.mktemp("audit"), request.param)


def audited(folder, layout):
    """What the fixture gives."""
    reason = refusal()
    if reason is not None:
        pytest.skip(f"auditd cannot run here: {reason}")
    daemon, control = program("auditd", "auditd"), program("auditctl", "auditd")
    for name, package in (("sudo", "sudo"), ("setpriv", "util-linux"), ("useradd", "passwd")):
        program(name, package)
    prepare(folder, layout)
    login = str(2_000_000_000 + os.getpid())
    # Of the test alone, since rules are everybody's.
    watch = ("-F", f"auid={login}", "-k")
    rules = (
        ("always,exit", "-F", "arch=b64", "-S", "execve", *watch, f"exec-{login}"),
        ("always,exit", "-F", "arch=b64", "-S", "connect,accept4,accept", *watch, f"net-{login}"),
        ("always,exit", "-F", f"dir={folder}/w", "-F", "perm=wa", *watch, f"file-{login}"),
        ("always,exit", "-F", "arch=b64", "-S", "openat", "-F", "exit=-EACCES", *watch, f"denied-{login}"),
    )

    def ask(*words):
        return subprocess.run(
            [control, *words], capture_output=True, text=True, check=False, timeout=20, stdin=subprocess.DEVNULL
        )

    log = folder / "audit.log"
    before = dict(line.split(" ", 1) for line in ask("-s").stdout.splitlines() if " " in line)
    began = time.time()
    running = subprocess.Popen([daemon, "-n", "-c", str(folder)], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: log.exists() and b"DAEMON_START" in log.read_bytes(), "auditd writes")
        for rule in rules:
            assert ask("-a", *rule).returncode == 0
        # A rule for a folder that is none is refused.
        assert ask("-a", "always,exit", "-F", f"dir={folder}/none", *watch, f"refused-{login}").returncode != 0
        limit = int(before["backlog_limit"])
        assert ask("-b", str(limit + 4096)).returncode == 0
        acted = subprocess.run(
            [sys.executable, "-c", ACTS, str(folder), login, SECRET],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        )
        assert acted.returncode == 0, acted.stderr
        assert ask("-m", f"end 'of' {login} --password={SECRET}").returncode == 0
        eventually(lambda: f"end 'of' {login}".encode() in log.read_bytes(), "auditd wrote all")
    finally:
        for rule in rules:
            ask("-d", *rule)
        ask("-b", before["backlog_limit"])
        running.terminate()
        running.wait(20)
        ask("-e", before["enabled"])
    after = dict(line.split(" ", 1) for line in ask("-s").stdout.splitlines() if " " in line)
    assert login not in ask("-l").stdout
    assert (after["enabled"], after["backlog_limit"]) == (before["enabled"], before["backlog_limit"])
    events, refused = parsed(log, "auditd")
    assert not refused
    return SimpleNamespace(
        folder=folder,
        log=log,
        layout=layout,
        login=login,
        limit=limit,
        began=began,
        ended=time.time(),
        ports=[[int(word) for word in line.split()] for line in acted.stdout.splitlines()],
        events=events,
        ours=[event for event in events if value(event, "user.id") == login],
    )


def prepare(folder, layout):
    """The daemon's settings, a folder to watch, and a tree of account files."""
    for name in ("plugins", "w", "tree/etc", "tree/home"):
        (folder / name).mkdir(parents=True)
    names = "NONE" if layout == "RAW" else "HOSTNAME"
    settings = folder / "auditd.conf"
    settings.write_text(SETTINGS.format(folder=folder, layout=layout, names=names))
    settings.chmod(0o640)
    (folder / "tree/etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "tree/etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (folder / "tree/etc/group").write_text("root:x:0:\ndesk:x:50:\nboard:x:51:\n")
    (folder / "tree/etc/gshadow").write_text("root:*::\ndesk:!::\nboard:!::\n")


def of(events, *actions):
    """Those with one of the actions."""
    return [event for event in events if event["event"]["action"] in actions]


def test_every_event_has_its_time_and_its_login_user(real):
    assert len(real.ours) > 40
    for event in real.ours:
        when = datetime.fromisoformat(event["@timestamp"]).astimezone(UTC).timestamp()
        assert real.began - 1 <= when <= real.ended
        assert values(event, "trail.actor.type", "trail.actor.confidence") == ("user", "asserted")
        assert value(event, "user.name") is None  # no account has that number
        assert (value(event, "host.name") == socket.gethostname()) is (real.layout == "ENRICHED")
    assert len({value(event, "trail.session.id") for event in real.ours}) == 1


def test_every_line_is_in_one_event(real):
    serials = {
        line.partition("msg=audit(")[2].partition(")")[0] for line in real.log.read_text().rstrip("\n").split("\n")
    }
    assert {value(event, "trail.operation.id") for event in real.events} == serials


def test_a_program_is_told_with_its_arguments_and_without_secrets(real):
    (echo,) = [event for event in of(real.ours, "process.start") if value(event, "process.name") == "echo"]
    assert value(echo, "process.command_line") == '/bin/echo two words ünï "q" --password=(secret dropped)'
    assert values(echo, "event.outcome", "event.code") == ("success", "SYSCALL")
    assert value(echo, "process.working_directory") == str(real.folder)
    assert value(echo, "user.effective.id") == "0"
    assert (value(echo, "user.effective.name") == "root") is (real.layout == "ENRICHED")
    assert SECRET in real.log.read_text()
    assert not any(SECRET in str(event) for event in real.events)


def test_a_program_that_could_not_be_started_is_a_failure(real):
    failed = [event for event in of(real.ours, "process.start") if event["event"]["outcome"] == "failure"]
    (found,) = [event for event in failed if value(event, "trail.object.id") == "/nowhere/at-all"]
    assert value(found, "process.name") == "sh"


def test_what_became_of_a_file_is_told_in_its_order(real):
    place = f"{real.folder}/w"
    names = ("event.action", "event.outcome", "file.path", "trail.change.field", "trail.change.old", "trail.change.new")
    found = [event for event in real.ours if str(value(event, "file.path")).startswith(place)]
    renamed = f"{place}/two three"
    assert [values(event, *names) for event in found] == [
        ("file.create", "success", f"{place}/one", None, None, None),
        ("file.update", "success", renamed, "path", f"{place}/one", renamed),
        ("file.update", "success", renamed, None, None, None),  # its rights
        ("file.update", "success", renamed, None, None, None),  # its owner
        ("file.update", "success", renamed, None, None, None),  # its length
        ("file.delete", "success", renamed, None, None, None),
        ("file.create", "success", f"{place}/dir", None, None, None),
        ("file.delete", "success", f"{place}/dir", None, None, None),
    ]


def test_a_file_that_somebody_may_not_read_is_a_failed_access(real):
    (found,) = [event for event in real.ours if value(event, "file.path") == "/etc/shadow"]
    assert values(found, "event.action", "event.outcome") == ("file.access", "failure")
    assert values(found, "user.effective.id", "file.uid", "process.name") == ("65534", "0", "head")


def test_connections_have_the_address_that_they_went_to(real):
    found = [values(event, "destination.ip", "destination.port") for event in of(real.ours, "network.connect")]
    assert ("127.0.0.1", real.ports[0][0]) in found
    assert ("::1", real.ports[1][0]) in found


def test_each_act_on_accounts_is_told_once(real):
    """The tools write one record for each file that they touch."""
    tools = {"groupadd", "useradd", "usermod", "groupmod", "userdel", "groupdel"}
    found = [
        event
        for event in real.ours
        if value(event, "process.executable") and value(event, "process.executable").rpartition("/")[2] in tools
    ]
    acts = [
        (
            event["event"]["action"],
            value(event, "user.target.name") or value(event, "user.target.id"),
            value(event, "group.id"),
        )
        for event in found
        if event["event"]["action"].startswith(("user.", "group.")) and event["event"]["code"] != "SYSCALL"
    ]
    assert acts == [
        ("group.create", None, "4200"),
        ("user.create", "4201", None),
        ("group.add", "kim", None),
        ("user.update", "4201", None),
        ("group.add", "kim", None),
        ("group.update", None, "4200"),
        ("group.update", None, "4200"),
        ("user.delete", "4201", None),
        ("group.remove", "4201", None),  # from desk
        ("group.remove", "4201", None),  # from board
        ("group.delete", None, "4202"),
    ]
    changes = [values(event, "trail.change.field", "trail.change.old", "trail.change.new") for event in found]
    assert [change for change in changes if change[0]] == [("name", "crew", "deck"), ("gid", "4200", "4202")]
    assert not any(value(event, "user.name") for event in found)


def test_sudo_tells_as_whom(real):
    (command,) = [event for event in of(real.ours, "auth.elevate") if value(event, "event.code") == "USER_CMD"]
    assert value(command, "process.command_line") == "true --password=(secret dropped)"
    assert value(command, "process.working_directory") == str(real.folder)
    opened = [event for event in of(real.ours, "session.start") if value(event, "event.code") == "USER_START"]
    assert [value(event, "user.effective.name") for event in opened] == ["nobody"]
    for event in real.ours:  # whom sudo asks for a password is root, as whom he acts is not
        if value(event, "event.code") == "USER_ACCT" and value(event, "process.executable").endswith("/sudo"):
            assert value(event, "user.effective.name") is None


def test_rules_and_settings_of_auditing_are_told_with_old_and_new(real):
    names = ("event.outcome", "trail.object.type", "trail.object.id")
    made = [values(event, *names) for event in of(real.events, "config.create")]
    wanted = [("success", "audit_rule", f"{name}-{real.login}") for name in ("exec", "net", "file", "denied")]
    assert [rule for rule in made if rule[2].endswith(real.login)] == [
        *wanted,
        ("failure", "audit_rule", f"refused-{real.login}"),
    ]
    changed = [
        values(event, "trail.change.old_number", "trail.change.new_number")
        for event in of(real.events, "config.update")
        if value(event, "trail.change.field") == "audit_backlog_limit"
    ]
    assert changed[0] == (real.limit, real.limit + 4096)
