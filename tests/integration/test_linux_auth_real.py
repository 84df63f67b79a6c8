"""A real sshd, sudo, su and the account tools do known things; what they write to syslog must come out as that."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.opensearch.server import free_port
from tests.integration.real_programs import alone, eventually, parsed, program, value, values

DEV_LOG = Path("/dev/log")
RULES = Path("/etc/sudoers.d/fieldtrail-test")
SECRET = "hunter2-of-the-test"
FORGER = "eve from 192.0.2.1"
ENDS = ("Connection closed by", "Connection reset by", "Disconnected from", "Disconnecting")
HOST = "web1"
TOOLS = ("groupadd", "useradd", "usermod", "gpasswd", "groupmod", "userdel", "groupdel")
OURS = tuple(f"{name}{end}" for name in ("sshd", "sshd-session", "sshd-auth", "sudo", "su", *TOOLS) for end in "[:")

SSHD = """
Port {port}
ListenAddress 127.0.0.1
ListenAddress ::1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/good.pub
StrictModes no
LogLevel VERBOSE
PermitRootLogin yes
KbdInteractiveAuthentication no
UsePAM yes
DenyUsers nobody
MaxAuthTries 2
"""


class Syslog:
    """What listens at `/dev/log`, and at the same place under other roots."""

    def __init__(self):
        self.lines: list[str] = []
        self._sockets: list[tuple[socket.socket, int, threading.Thread]] = []

    def listen(self, folder):
        """Take messages at `log` in a folder (by its descriptor: names of sockets may not be long)."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{place}/log")
        os.chmod(folder / "log", 0o666)
        thread = threading.Thread(target=self._take, args=(listener,))
        thread.start()
        self._sockets.append((listener, place, thread))

    def _take(self, listener):
        while data := listener.recv(1 << 16):
            # A syslog daemon takes the priority away and writes its host's name behind the time.
            text = data.decode(errors="replace").rstrip("\0\n").partition(">")[2]
            if text[16:].startswith(OURS):  # others on this machine may write, too
                self.lines.append(f"{text[:15]} {HOST} {text[16:]}")

    def close(self):
        """An empty message says that all before it were taken."""
        for listener, place, thread in self._sockets:
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
                last.sendto(b"", f"/proc/self/fd/{place}/log")
            thread.join(20)
            os.unlink("log", dir_fd=place)
            os.close(place)
            listener.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Everything that is done, done once: the log's path, and what is needed to compare."""
    if os.geteuid() != 0:
        pytest.skip("only root can let others in")
    needed = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "sudo": "sudo"}
    tools = {name: program(name, package) for name, package in needed.items()}
    for name in TOOLS:
        program(name, "passwd")
    folder = tmp_path_factory.mktemp("auth")
    syslog = Syslog()
    with alone():
        if DEV_LOG.exists():
            pytest.skip("/dev/log has a listener: the messages of the test would go there")
        syslog.listen(DEV_LOG.parent)
        began = time.time()
        try:
            port = log_in(folder, tools, syslog)
            become_others(folder)
            change_accounts(folder, syslog)
        finally:
            syslog.close()
    path = folder / "auth.log"
    path.write_text("".join(f"{line}\n" for line in syslog.lines))
    sshd, not_sshd = parsed(path, "sshd")
    others, not_others = parsed(path, "linux_auth")
    return SimpleNamespace(
        folder=folder,
        path=path,
        port=port,
        began=began,
        ended=time.time(),
        sshd=sshd,
        not_sshd=not_sshd,
        others=others,
        not_others=not_others,
    )


def run(*command, **more):
    """To its end, whatever that is."""
    environment = {**os.environ, "TZ": "UTC", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", **more.pop("env", {})}
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


def log_in(folder, tools, syslog):
    """With the right key from two addresses, a wrong key, wrong passwords, names that are none; the server's port."""
    for name in ("host", "good", "bad"):
        assert run(tools["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f", folder / name).returncode == 0
    port = free_port()
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder))
    ask = folder / "ask"
    ask.write_text(f"#!/bin/sh\necho {SECRET}\n")
    ask.chmod(0o700)
    privileges = Path("/run/sshd")  # sshd wants it, and packages make it at the system's start
    made = not privileges.exists()
    privileges.mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen(
        [tools["sshd"], "-D", "-f", str(folder / "sshd_config")],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TZ": "UTC"},
    )

    def ssh(user, key, host, *options):
        answer = run(
            *(tools["ssh"], "-F", "none", "-p", port, "-i", folder / key, "-l", user),
            *(f"-o{option}" for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")),
            *(f"-o{option}" for option in ("IdentitiesOnly=yes", "IdentityAgent=none", *options)),
            *(host, "true"),
            env={"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"},
        )
        return answer.returncode

    try:
        eventually(lambda: sum("Server listening on" in line for line in syslog.lines) == 2, "sshd listens")
        password = ("PreferredAuthentications=password", "NumberOfPasswordPrompts=2")
        assert ssh("root", "good", "127.0.0.1", "BatchMode=yes") == 0
        assert ssh("root", "good", "::1", "BatchMode=yes") == 0
        assert ssh("root", "bad", "127.0.0.1", "BatchMode=yes") == 255
        assert ssh(FORGER, "bad", "127.0.0.1", "BatchMode=yes") == 255
        assert ssh("nobody", "bad", "127.0.0.1", "BatchMode=yes") == 255
        assert ssh("mallory", "bad", "::1", *password) == 255
        assert ssh("root", "bad", "127.0.0.1", *password) == 255
        eventually(lambda: sum(any(end in line for end in ENDS) for line in syslog.lines) >= 7, "sshd tells each end")
        eventually(
            lambda: sum("sshd:session): session closed" in line for line in syslog.lines) == 2, "PAM tells each end"
        )
    finally:
        server.terminate()
        server.wait(20)
        if made:
            privileges.rmdir()
    return port


def become_others(folder):
    """Take other accounts by sudo and su, allowed and denied."""
    place = folder / "a place"
    place.mkdir()
    nobody = ("setpriv", "--reuid=nobody", "--clear-groups")
    secret = (f"--password={SECRET}", "two words")
    # Else a password would be asked for before anything is denied.
    RULES.write_text("Defaults:nobody !authenticate\nnobody ALL=(root) /bin/false\n")
    try:
        RULES.chmod(0o440)
        assert run("sudo", "-n", "-u", "nobody", "true", *secret, cwd=place).returncode == 0
        assert run(*nobody, "sudo", "-n", "id", *secret, cwd="/").returncode == 1
    finally:
        RULES.unlink()
    assert run("su", "nobody", "-s", "/bin/true").returncode == 0
    assert run(*nobody, "su", "root", "-c", "true", cwd="/").returncode == 1


def change_accounts(folder, syslog):
    """In a tree that has nothing but its files of accounts; gpasswd knows no `--prefix` and goes into it."""
    tree = folder / "tree"
    for part in ("etc", "dev", "home"):
        (tree / part).mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/gshadow").write_text("root:*::\n")
    syslog.listen(tree / "dev")
    here = ("--prefix", tree)
    for command in (
        ("groupadd", *here, "-g", "4200", "crew"),
        ("groupadd", *here, "-g", "4300", "desk"),
        ("useradd", *here, "-u", "4201", "-g", "crew", "-d", "/home/kim", "-s", "/bin/sh", "-M", "kim"),
        ("usermod", *here, "-d", "/srv/kim", "-s", "/bin/bash", "-u", "4202", "-e", "2030-01-01", "-f", "7", "kim"),
        ("usermod", *here, "-aG", "desk", "kim"),
        ("usermod", *here, "-p", f"$6${SECRET}", "kim"),
        ("usermod", *here, "-L", "kim"),
        ("usermod", *here, "-U", "kim"),
        ("gpasswd", "--root", tree, "-a", "kim", "crew"),
        ("gpasswd", "--root", tree, "-d", "kim", "crew"),
        ("usermod", *here, "-l", "kimmy", "kim"),
        ("groupmod", *here, "-n", "board", "-g", "4301", "desk"),
        ("userdel", *here, "kimmy"),
        ("groupdel", *here, "board"),
    ):
        done = run(*command)
        assert done.returncode == 0, (command, done.stderr)
    assert run("userdel", *here, "nemo").returncode == 6


def of(events, *actions):
    """Those with one of the actions."""
    return [event for event in events if event["event"]["action"] in actions]


def test_each_line_belongs_to_one_of_the_two_formats(real):
    count = len(real.path.read_text().splitlines())
    read = [{event["trail"]["origin"]["offset"] for event in events} for events in (real.sshd, real.others)]
    assert not read[0] & read[1]
    assert len(read[0] | read[1]) == count


def test_every_event_has_the_time_and_the_host_of_its_line(real):
    for event in (*real.sshd, *real.others):
        when = datetime.fromisoformat(event["@timestamp"]).astimezone(UTC).timestamp()
        assert real.began - 1 <= when <= real.ended
        assert value(event, "host.hostname") == HOST


def test_each_login_is_told_with_who_from_where_and_whether(real):
    logins = [event for event in of(real.sshd, "auth.login") if event["event"]["outcome"] != "unknown"]
    names = ("event.outcome", "user.name", "source.ip", "trail.actor.type")
    assert [values(event, *names) for event in logins if value(event, "event.code") == "Accepted publickey"] == [
        ("success", "root", "127.0.0.1", "user"),
        ("success", "root", "::1", "user"),
    ]
    failed = [values(event, "event.code", *names) for event in logins if value(event, "event.outcome") == "failure"]
    for code, user, address in (
        ("Failed publickey", "root", "127.0.0.1"),
        ("Invalid user", FORGER, "127.0.0.1"),
        ("User not allowed", "nobody", "127.0.0.1"),
        ("Invalid user", "mallory", "::1"),
        ("Failed password for invalid user", "mallory", "::1"),
        ("Failed password", "root", "127.0.0.1"),
        ("maximum authentication attempts exceeded", "root", "127.0.0.1"),
    ):
        assert (code, "failure", user, address, "unknown") in failed
    assert {value(event, "user.name") for event in logins if event["event"]["outcome"] == "success"} == {"root"}


def test_the_keys_of_logins_are_those_that_were_used(real):
    used = {}
    for name in ("good", "bad"):
        used[name] = run("ssh-keygen", "-lf", real.folder / f"{name}.pub").stdout.split()[1]
    for event in of(real.sshd, "auth.login"):
        wanted = {"Accepted publickey": used["good"], "Failed publickey": used["bad"]}.get(event["event"]["code"])
        if wanted is not None:
            assert values(event, "trail.raw.algorithm", "trail.raw.fingerprint") == ("ED25519", wanted)


def test_no_client_can_forge_an_address(real):
    for event in real.sshd:
        assert value(event, "source.ip") in {None, "127.0.0.1", "::1"}
    assert {value(event, "destination.port") for event in of(real.sshd, "network.connect")} == {real.port}


def test_sessions_are_told_with_their_user(real):
    started = of(real.sshd, "session.start")
    by_code = {code: [] for code in ("session opened", "Starting session")}
    for event in started:
        by_code[event["event"]["code"]].append(values(event, "user.name", "user.id", "source.ip"))
    assert by_code["session opened"] == [("root", "0", None)] * 2
    assert by_code["Starting session"] == [("root", None, "127.0.0.1"), ("root", None, "::1")]
    ended = [event for event in of(real.sshd, "session.end") if value(event, "event.code") == "session closed"]
    assert [value(event, "user.name") for event in ended] == ["root"] * 2


def test_a_failure_of_pam_has_the_address_also_where_it_names_nobody(real):
    """Its line ends in a blank then."""
    failures = [event for event in real.sshd if value(event, "event.code") == "authentication failure"]
    assert ("::1", None) in [values(event, "source.ip", "user.name") for event in failures]
    assert ("127.0.0.1", "root") in [values(event, "source.ip", "user.name") for event in failures]


def test_sudo_tells_who_ran_what_as_whom_and_what_was_denied(real):
    done, denied = [event for event in of(real.others, "auth.elevate") if value(event, "process.name") == "sudo"]
    names = ("event.outcome", "event.reason", "user.name", "user.effective.name", "process.working_directory")
    assert values(done, *names) == ("success", None, "root", "nobody", str(real.folder / "a place"))
    assert values(denied, *names) == ("failure", "command not allowed", "nobody", "root", "/")
    for event, command in ((done, "true"), (denied, "id")):
        line = value(event, "process.command_line")
        assert line.split()[0].endswith(f"/{command}")
        assert line.split(maxsplit=1)[1].replace("'", "") == "--password=(secret dropped) two words"


def test_su_tells_who_became_whom(real):
    found = [event for event in of(real.others, "auth.elevate") if value(event, "process.name") == "su"]
    assert [values(event, "event.outcome", "user.name", "user.effective.name") for event in found] == [
        ("success", "root", "nobody"),
        ("failure", "nobody", "root"),
    ]


def test_accounts_change_from_old_to_new(real):
    found = [event for event in real.others if value(event, "process.name") in TOOLS]
    names = ("event.action", "user.target.name", "group.name")
    pair = ("trail.change.field", "trail.change.old", "trail.change.new")
    assert [values(event, *names, *pair) for event in found if event["event"]["action"] != "log.message"] == [
        ("group.create", None, "crew", None, None, None),
        ("group.create", None, "desk", None, None, None),
        ("user.create", "kim", None, None, None, None),
        ("user.update", "kim", None, "uid", "4201", "4202"),
        ("user.update", "kim", None, "home", "/home/kim", "/srv/kim"),
        ("user.update", "kim", None, "shell", "/bin/sh", "/bin/bash"),
        ("user.update", "kim", None, "inactive", "-1", "7"),
        ("user.update", "kim", None, "expiration", "never", "2030-01-01"),
        ("group.add", "kim", "desk", None, None, None),
        ("password.reset", "kim", None, None, None, None),
        ("user.lock", "kim", None, None, None, None),
        ("user.unlock", "kim", None, None, None, None),
        ("group.add", "kim", "crew", None, None, None),
        ("group.remove", "kim", "crew", None, None, None),
        ("user.update", "kim", None, "name", "kim", "kimmy"),
        ("group.update", None, "desk", "name", "desk", "board"),
        ("group.update", None, "desk", "gid", "4300", "4301"),
        ("user.delete", "kimmy", None, None, None, None),
        ("group.remove", "kimmy", "board", None, None, None),
        ("group.delete", None, "board", None, None, None),
    ]
    made = of(found, "user.create")[0]
    assert value(made, "user.target.id") == "4201"
    assert value(made, "trail.values") == {"gid": "4200", "home": "/home/kim", "shell": "/bin/sh"}


def test_only_gpasswd_says_who_did_it(real):
    for event in of(real.others, "group.add", "group.remove", "user.update", "user.create"):
        by_gpasswd = value(event, "process.name") == "gpasswd"
        assert values(event, "user.name", "trail.actor.type") == (("root", "user") if by_gpasswd else (None, "unknown"))


def test_no_secret_comes_out(real):
    assert SECRET in real.path.read_text()
    for event in (*real.sshd, *real.others, *real.not_others):
        assert SECRET not in str(event)


@pytest.mark.parametrize(("name", "ours"), [("sshd", True), ("linux_auth", False)])
def test_auto_knows_each_of_them(real, tmp_path, name, ours):
    lines = [line for line in real.path.read_text().splitlines() if line.split()[4].startswith("sshd") is ours]
    path = shutil.copy(real.path, tmp_path / "log")
    path.write_text("\n".join(lines) + "\n")
    events, refused = parsed(path, "auto")
    assert {event["event"]["module"] for event in events} == {name}
    assert not refused
