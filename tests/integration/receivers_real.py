"""Real syslog daemons: rsyslog and syslog-ng, each an own process with its own configuration on loopback.

Install them beside each other with tests/integration/install_receivers.sh; a test that asks for one that is not there
is skipped, or fails where FIELDTRAIL_REQUIRE_COMPONENTS=1.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import trustme

from tests.components import absent

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fieldtrail" / "receivers" / "root"
HINT = "not installed: sh tests/integration/install_receivers.sh"
PATIENCE = 30.0


def program(name):
    """The program and its environment: from the cache, else from PATH and the folders of daemons."""
    if (CACHE / "usr/sbin" / name).exists():
        libraries = [str(folder) for part in ("usr/lib", "lib") for folder in (CACHE / part).glob("*-linux-gnu*")]
        libraries.append(str(CACHE / "usr/lib/syslog-ng"))
        return CACHE / "usr/sbin" / name, {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        absent(f"{name} is {HINT}")
    return Path(found), dict(os.environ)


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
    return value


def issue(folder):
    """Keys and certificates of an authority of the test's own, in `folder`, which is returned.

    ca.pem, server.pem + server.key for 127.0.0.1 and soc.example.test, client.pem + client.key, other-ca.pem.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    for name, identities in (("server", ("127.0.0.1", "soc.example.test")), ("client", ("hr-app-03.example.test",))):
        issued = authority.issue_cert(*identities)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(folder / f"{name}.pem", append=bool(number))
    return folder


class Receiver:
    """One running daemon that writes every MSG to `written`, one a line."""

    name = ""

    def __init__(self, folder, transport, pki, **options):
        self.folder, self.transport, self.pki, self.options = folder, transport, pki, options
        self.path, self.environment = program(self.name)
        self.written = folder / "messages"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None

    def start(self):
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self.is_listening, self.told)
        return self

    def is_listening(self):
        assert self.process.poll() is None, self.told()
        if self.transport == "udp":
            return self.port in {int(line.split()[1].rpartition(":")[2], 16) for line in open_udp()}
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def told(self):
        return (self.folder / "daemon.log").read_text(errors="replace")[-3000:] or "nothing told"

    def lines(self, count):
        def enough():
            data = self.written.read_bytes() if self.written.exists() else b""
            return data.split(b"\n")[:-1] if data.count(b"\n") >= count else None

        return until(
            enough, lambda: f"{self.written.stat().st_size if self.written.exists() else 0} bytes; {self.told()}"
        )

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        if self.written.exists():  # half a line that the daemon left in its own file is not ours to explain
            data = self.written.read_bytes()
            self.written.write_bytes(data[: data.rfind(b"\n") + 1])

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()


def open_udp():
    return Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]


class Rsyslog(Receiver):
    name = "rsyslogd"

    def command(self):
        modules = next(iter(CACHE.glob("usr/lib/*/rsyslog")), None) if self.path.is_relative_to(CACHE) else None
        driver, network = "", ""
        if self.transport == "tls":
            network = (
                f'defaultNetstreamDriverCAFile="{self.pki}/ca.pem" defaultNetstreamDriverCertFile="{self.pki}/server.pem"'
                f' defaultNetstreamDriverKeyFile="{self.pki}/server.key"'
            )
            mode = "x509/certvalid" if self.options.get("mutual") else "anon"
            driver = f' streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{mode}"'
        kind = "imudp" if self.transport == "udp" else "imtcp"
        config = self.folder / "rsyslog.conf"
        config.write_text(
            f"""global(workDirectory="{self.folder}" maxMessageSize="128k" {network})
module(load="{kind}"{driver})
template(name="msg" type="string" string="%msg%\\n")
ruleset(name="keep") {{ action(type="omfile" file="{self.written}" template="msg") }}
input(type="{kind}" address="127.0.0.1" port="{self.port}" ruleset="keep")
"""
        )
        return [
            str(self.path),
            *("-n", "-f", str(config), "-i", str(self.folder / "pid")),
            *(("-M", str(modules)) if modules else ()),
        ]


class SyslogNg(Receiver):
    name = "syslog-ng"

    def command(self):
        told = subprocess.run(
            [self.path, "--version"], env=self.environment, capture_output=True, text=True, check=True
        )
        version = re.search(r"^Config version: (\S+)", told.stdout, re.MULTILINE)[1]
        modules = next(iter(CACHE.glob("usr/lib/syslog-ng/[0-9]*")), None) if self.path.is_relative_to(CACHE) else None
        tls = ""
        if self.transport == "tls":
            verify = "required-trusted" if self.options.get("mutual") else "optional-untrusted"
            tls = (
                f'tls(key-file("{self.pki}/server.key") cert-file("{self.pki}/server.pem")'
                f' ca-file("{self.pki}/ca.pem") peer-verify({verify}))'
            )
        place = f'ip("127.0.0.1") port({self.port})'
        if self.options.get("framing") == "newline":
            source = f'network({place} transport("{self.transport}") flags(syslog-protocol) {tls})'
        else:
            source = f'syslog({place} transport("{self.transport}") {tls})'
        config = self.folder / "syslog-ng.conf"
        config.write_text(
            f"""@version: {version}
options {{ log-msg-size(131072); stats-freq(0); }};
source in {{ {source}; }};
destination out {{ file("{self.written}" template("$MSG\\n")); }};
log {{ source(in); destination(out); }};
"""
        )
        own = {name: str(self.folder / name) for name in ("persist-file", "pidfile", "control")}
        return [
            str(self.path),
            *("--foreground", "--no-caps", "--cfgfile", str(config)),
            *(f"--{name}={file}" for name, file in own.items()),
            *((f"--module-path={modules}",) if modules else ()),
        ]


RECEIVERS = {"rsyslog": Rsyslog, "syslog-ng": SyslogNg}
