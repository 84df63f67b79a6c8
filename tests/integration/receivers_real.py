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
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from shipper.build import OUTPUTS
from shipper.config import Config
from shipper.output_sections import SyslogSection
from tests.components import absent

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fieldtrail" / "receivers" / "root"
HINT = "not installed: sh tests/integration/install_receivers.sh"
PATIENCE = 30.0
AGENT = "hr-app-03.example.test"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


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


def issue(folder, server=("127.0.0.1", "soc.example.test"), **dates):
    """Keys and certificates of an authority of the test's own, in `folder`, which is returned.

    ca.pem, server.pem + server.key for the names in `server` (`not_after=` for an expired one), client.pem + client.key;
    other-ca.pem, and as many clients that must not get in: foreign (of that other authority), stranger (another name),
    expired.
    """
    folder.mkdir(exist_ok=True)
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    for name, issuer, identities, valid in (
        ("server", authority, server, dates),
        ("client", authority, (AGENT,), {}),
        ("foreign", other, (AGENT,), {}),
        ("stranger", authority, ("other.example.test",), {}),
        ("expired", authority, (AGENT,), {"not_after": YESTERDAY}),
    ):
        issued = issuer.issue_cert(*identities, **valid)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(folder / f"{name}.pem", append=bool(number))
    return folder


class Lab:
    """Receivers and outputs of one test; all are stopped and closed in the end. `receivers`: instead of RECEIVERS."""

    def __init__(self, folder, receivers=None):
        self.folder, self.pki = folder, issue(folder / "pki")
        self._receivers = receivers
        self._started, self._outputs = [], []

    def start(self, name, transport, **options):
        """A running receiver."""
        receiver = (self._receivers or RECEIVERS)[name](self.folder, transport, options.pop("pki", self.pki), **options)
        self._started.append(receiver)
        return receiver.start()

    def output(self, receiver, client=None, **values):
        """An output to it; `client`: the name of the certificate to show. It trusts ca.pem unless `tls` says more."""
        if receiver.transport in {"tls", "relps"}:
            own = {"cert": self.pki / f"{client}.pem", "key": self.pki / f"{client}.key"} if client else {}
            values["tls"] = {"ca": self.pki / "ca.pem", **own, **values.get("tls", {})}
        address = f"{receiver.transport}://127.0.0.1:{receiver.port}"
        section = SyslogSection(id="soc", type="syslog", address=address, **values)
        output = OUTPUTS["syslog"](section, Config(agent={"name": "hr-app-03"}), self.folder)
        output.open({})
        self._outputs.append(output)
        return output

    def close(self):
        """Stop and close."""
        for output in self._outputs:
            output.close()
        for receiver in self._started:
            receiver.stop()


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
        # Asked of the kernel: a connection that says nothing would be the first that the daemon has to do with.
        return self.port in listening("udp" if self.transport == "udp" else "tcp")

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


def listening(kind):
    """The IPv4 ports on which somebody listens, `kind` being `tcp` or `udp` (proc(5))."""
    lines = Path(f"/proc/net/{kind}").read_text(encoding="ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if kind == "udp" or row[3] == "0A"}


class Rsyslog(Receiver):
    name = "rsyslogd"

    def command(self):
        modules = next(iter(CACHE.glob("usr/lib/*/rsyslog")), None) if self.path.is_relative_to(CACHE) else None
        if modules and self.transport in {"relp", "relps"} and not (modules / "imrelp.so").exists():
            absent(f"rsyslog-relp is {HINT}")
        size = self.options.get("size", "128k")
        config = self.folder / "rsyslog.conf"
        config.write_text(
            f"""global(workDirectory="{self.folder}" {f'maxMessageSize="{size}"' if size else ""} {self._network()})
template(name="msg" type="string" string="%msg%\\n")
ruleset(name="keep" {self._queue()}) {{ action(type="omfile" file="{self.written}" template="msg") }}
{self._input()}
"""
        )
        return [
            str(self.path),
            *("-n", "-f", str(config), "-i", str(self.folder / "pid")),
            *(("-M", str(modules)) if modules else ()),
        ]

    def _queue(self):
        # An answer over RELP says that the message is in rsyslog's queue: without one it is in the file.
        direct = self.options.get("queue", "direct" if self.transport.startswith("relp") else "main") == "direct"
        return 'queue.type="Direct"' if direct else ""

    def _network(self):
        if self.transport != "tls":
            return ""
        return (
            f'defaultNetstreamDriverCAFile="{self.pki}/ca.pem" defaultNetstreamDriverCertFile="{self.pki}/server.pem"'
            f' defaultNetstreamDriverKeyFile="{self.pki}/server.key"'
        )

    def _input(self):
        place = f'address="127.0.0.1" port="{self.port}" ruleset="keep"'
        if self.transport == "tls":
            mode = "x509/certvalid" if self.options.get("mutual") else "anon"
            driver = f'streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{mode}"'
            return f'module(load="imtcp" {driver})\ninput(type="imtcp" {place})'
        if self.transport in {"relp", "relps"}:
            more = f'oversizeMode="{self.options["oversize"]}"' if "oversize" in self.options else ""
            if self.transport == "relps":
                more += (
                    f' tls="on" tls.caCert="{self.pki}/ca.pem" tls.myCert="{self.pki}/server.pem"'
                    f' tls.myPrivKey="{self.pki}/server.key"'
                )
                if self.options.get("mutual", True):
                    more += f' tls.authMode="name" tls.permittedPeer=["{AGENT}"]'
            return f'module(load="imrelp")\ninput(type="imrelp" {place} {more})'
        kind = "imudp" if self.transport == "udp" else "imtcp"
        return f'module(load="{kind}")\ninput(type="{kind}" {place})'


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
options {{ log-msg-size({self.options.get("size", 131072)}); stats-freq(0); }};
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
