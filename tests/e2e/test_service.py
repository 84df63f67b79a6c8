"""The real agent as a service: what it tells its manager, and what it can still reach once it is confined."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shipper import landlock
from tests.components import absent
from tests.e2e.agent_process import ROOT, eventually, lines, numbers

UNIT = ROOT / "tools" / "packaging" / "fieldtrail.service"
DENY_WRITE_AND_EXECUTE = (
    "import ctypes, os, sys; "
    "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit('no PR_SET_MDWE'); os.execv(sys.argv[1], sys.argv[1:])"
)


class Manager:
    """A service manager's socket; `heard` collects the messages, each a dict, with the moment they came at."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.path = path
        self.messages = []

    def prefix(self, **more):
        settings = {"NOTIFY_SOCKET": self.path, **more}
        return ("env", *(f"{name}={value}" for name, value in settings.items()))

    def heard(self, word):
        """The messages with one word in them, such as READY=1."""
        with contextlib.suppress(BlockingIOError):
            while True:
                told = self.socket.recv(4096).decode().split("\n")
                self.messages.append({**dict(one.split("=", 1) for one in told), "at": time.monotonic()})
        name, _, value = word.partition("=")
        return [one for one in self.messages if one.get(name) == value]

    def wait(self, word, count=1):
        return eventually(lambda: len(self.heard(word)) >= count and self.heard(word), word)


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.fixture
def kernel():
    """A kernel that can confine."""
    if landlock.version() == 0:
        absent("this kernel has no Landlock: Linux 5.13 or newer with landlock in its lsm= list")


@pytest.fixture
def place(place):
    """Its archive lies in a folder of its own, which an agent may write whole."""
    place.archive = place.root / "archive" / "events.ndjson"
    place.archive.parent.mkdir()
    place.write()
    return place


def confined(agent):
    """How often it was confined; its log line."""
    return agent.told("confined to its files (Landlock)")


def delivered(place, count, name="app"):
    """The numbers of what was delivered, once so many lines were read."""
    place.settled(count, name)
    return numbers(place.stored()), numbers(place.archived())


# -- the manager -------------------------------------------------------------------------------------------------------


def test_the_manager_hears_of_start_life_reload_and_stop(place, manager):
    place.write()
    began = time.monotonic()
    agent = place.start(prefix=manager.prefix(WATCHDOG_USEC=400_000))
    (first,) = manager.wait("READY=1")
    agent.ready()
    assert "1 inputs, 2 outputs, log test.example/audit/t1" in first["STATUS"]

    beats = manager.wait("WATCHDOG=1", 5)
    assert len(beats) * 0.2 <= beats[-1]["at"] - began, "twice in each period, not at every turn"

    agent.signal(signal.SIGHUP)
    (reload,) = manager.wait("RELOADING=1")
    assert abs(int(reload["MONOTONIC_USEC"]) / 1e6 - reload["at"]) < 5
    manager.wait("READY=1", 2)

    place.config.write_text("agent: {name: 7")
    agent.signal(signal.SIGHUP)
    agent.wait_told("configuration not changed: the new one has problems")
    kept = manager.wait("READY=1", 3)[-1]
    assert "not changed" in kept["STATUS"]

    assert agent.terminate() == 0
    (stop,) = manager.heard("STOPPING=1")
    assert int(stop["EXTEND_TIMEOUT_USEC"]) > 30e6, "more than the grace"
    assert len(manager.heard("READY=1")) == 3


def test_an_agent_that_cannot_start_is_never_ready(place, manager):
    place.write(inputs=[place.input(paths=[str(place.logs)])])
    agent = place.start(prefix=manager.prefix())
    assert agent.end() == 78
    assert manager.heard("READY=1") == []


def test_an_agent_whose_destination_is_gone_is_alive(place, manager):
    gone = {"id": "soc", "type": "syslog", "address": "tcp://127.0.0.1:9"}
    place.write(outputs=[{"id": "local", "type": "store"}, gone], agent={"shutdown_grace": "300ms"})
    place.append(lines(0, 3))
    agent = place.start(prefix=manager.prefix(WATCHDOG_USEC=400_000))
    agent.wait_told("output not reachable, will try again")
    before = len(manager.heard("WATCHDOG=1"))
    manager.wait("WATCHDOG=1", before + 3)
    assert agent.terminate() == 75, "the unit counts this as a success: the journal has the rest"


# -- confined ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_confined_agent_tails_rotates_finds_new_files_and_delivers(kernel, place, workers):
    place.write(agent={"workers": workers, "confine": "require"})
    place.append(lines(0, 10))
    agent = place.start().ready()
    (told,) = confined(agent)
    assert told["read"] == [str(place.logs)]
    assert sorted(told["write"]) == sorted({str(place.state), str(place.archive.parent)})
    place.settled(10)
    os.rename(place.logs / "a.log", place.logs / "a.log.1")
    place.append(lines(10, 10))
    place.append(lines(20, 10), "b.log")
    stored, archived = delivered(place, 30)
    assert sorted(stored) == sorted(archived) == list(range(30))
    if workers > 1:
        statuses = [path.read_text() for path in Path("/proc").glob("[0-9]*/status") if _parent(path) == agent.pid]
        assert len(statuses) == workers
        assert all("NoNewPrivs:\t1" in status for status in statuses)
    assert agent.terminate() == 0
    place.verified()
    assert not agent.told("parsing process not started, will try again")


def _parent(path):
    with contextlib.suppress(OSError, StopIteration):
        return int(next(one for one in path.read_text().splitlines() if one.startswith("PPid:")).split()[1])
    return 0


def test_a_log_that_a_stranger_replaced_by_a_link_is_not_read(kernel, place):
    if os.geteuid() != 0:
        absent("needs root, to make links of other users")
    place.write(inputs=[place.input(format="auto")])
    secret = place.root / "secret"
    secret.write_bytes(lines(100, 5))
    place.append(lines(0, 5))
    for name, target in (("passwd.log", "/etc/passwd"), ("secret.log", secret)):
        os.symlink(target, place.logs / name)
        os.lchown(place.logs / name, 1001, 1001)
    agent = place.start().ready()
    place.settled(5)
    denied = agent.wait_told("input: cannot read, will try again")
    assert {one["cause"] for one in denied} == {"Permission denied"}
    assert agent.terminate() == 0
    text = place.archive.read_bytes()
    assert b"root:" not in text and b"a100" not in text and text.count(b'"old":"a') == 5


def test_without_confinement_the_same_link_is_read(place):
    """The counterpart: what the test above sees is the confinement's doing."""
    place.write(agent={"confine": False}, inputs=[place.input(format="auto")])
    (place.root / "secret").write_bytes(lines(100, 5))
    os.symlink(place.root / "secret", place.logs / "secret.log")
    os.lchown(place.logs / "secret.log", 1001, 1001)
    agent = place.start().ready()
    place.settled(5)
    assert confined(agent) == []
    assert agent.terminate() == 0
    assert b"a100" in place.archive.read_bytes()


def test_a_directory_that_comes_late_and_is_replaced_is_read_to_the_last_line(kernel, place):
    late = place.root / "late"
    place.write(inputs=[place.input(paths=[f"{late}/*.log"])])
    agent = place.start().ready()
    assert len(confined(agent)) == 1
    late.mkdir()
    (late / "a.log").write_bytes(lines(0, 10))
    place.settled(10)
    assert len(confined(agent)) == 2
    late.rename(place.root / "before")
    late.mkdir()
    (late / "b.log").write_bytes(lines(10, 10))
    eventually(lambda: len(confined(agent)) == 3, "confined anew")
    eventually(lambda: numbers(place.archived()) == list(range(20)), "all lines once, in order")
    assert agent.process.poll() is None, "the process is the same"
    assert agent.terminate() == 0
    assert numbers(place.stored()) == list(range(20))
    place.verified()


def test_a_reload_reaches_paths_that_the_first_configuration_did_not_name(kernel, place):
    other, archive = place.root / "other", place.root / "second"
    other.mkdir()
    archive.mkdir()
    (other / "b.log").write_bytes(lines(10, 10))
    place.write()
    place.append(lines(0, 10))
    agent = place.start().ready()
    place.settled(10)
    place.write(
        inputs=[place.input(), place.input("more", paths=[f"{other}/*.log"])],
        outputs=[
            {"id": "local", "type": "store"},
            {"id": "second", "type": "file", "path": str(archive / "events.ndjson"), "from": "oldest"},
        ],
    )
    agent.signal(signal.SIGHUP)
    agent.wait_told("configuration changed")
    place.settled(10, "more")
    assert agent.terminate() == 0
    assert numbers(place.stored()) == list(range(20))
    assert numbers(place.archived(archive / "events.ndjson"))[-10:] == list(range(10, 20))


def test_a_certificate_renewed_by_replacing_it_can_be_read(kernel, place):
    trustme = pytest.importorskip("trustme")
    certs = place.root / "certs"
    certs.mkdir()
    trustme.CA().cert_pem.write_to_path(certs / "ca.pem")
    soc = {"id": "soc", "type": "syslog", "address": "tls://127.0.0.1:9", "tls": {"ca": str(certs / "ca.pem")}}
    place.write(outputs=[{"id": "local", "type": "store"}, soc], agent={"shutdown_grace": "100ms"})
    agent = place.start().ready()
    trustme.CA().cert_pem.write_to_path(certs / "new.pem")
    os.replace(certs / "new.pem", certs / "ca.pem")
    place.append(lines(0, 3))
    failing = agent.wait_told("output not reachable, will try again")
    assert all("ca.pem" not in one["cause"] for one in failing), failing
    assert str(certs) in confined(agent)[0]["read"]


# -- the unit's other walls --------------------------------------------------------------------------------------------


def test_the_agent_lives_where_memory_is_never_both_written_and_executed(place):
    place.write(agent={"workers": 2})
    place.append(lines(0, 20))
    done = place.once(prefix=(sys.executable, "-c", DENY_WRITE_AND_EXECUTE))
    if "no PR_SET_MDWE" in done.err:
        absent("this kernel has no PR_SET_MDWE: Linux 6.3 or newer")
    assert done.code == 0, done
    assert sorted(numbers(place.stored())) == list(range(20))


def test_no_system_call_of_the_agent_is_kept_from_it_by_the_unit(place):
    for program, package in (("strace", "strace"), ("systemd-analyze", "systemd")):
        if shutil.which(program) is None:
            absent(f"no {program}: apt-get install {package}")
    place.write(agent={"workers": 2})
    place.append(lines(0, 20))
    trace = place.root / "trace"
    agent = place.start(prefix=("strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace)))
    agent.ready()
    place.settled(20)
    child = eventually(lambda: Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split(), "its child")
    os.kill(int(child[0]), signal.SIGHUP)
    agent.wait_told("configuration changed")
    os.kill(int(child[0]), signal.SIGTERM)
    assert agent.end() == 0
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"openat", "fdatasync", "landlock_restrict_self"} <= called
    allowed, denied = filters()
    assert called - {"fchown"} - allowed == set(), "fchown: SQLite's, and only as root"
    assert called & denied <= {"fchown"}


def filters():
    """The system calls that the unit's SystemCallFilter lines allow, and those that they take out again."""
    allowed, denied = set(), set()
    for line in UNIT.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "SystemCallFilter":
            for word in value.removeprefix("~").split():
                (denied if value.startswith("~") else allowed).update(calls(word))
    return allowed - denied, denied


def calls(word):
    """The system calls of a set (`@file-system`), or the one itself."""
    if not word.startswith("@"):
        return {word}
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
    ).stdout
    inner = [one.strip() for one in told.splitlines()[1:] if one.strip() and not one.strip().startswith("#")]
    return set().union(*(calls(one) for one in inner))
