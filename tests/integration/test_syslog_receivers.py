"""The syslog output against real rsyslog and syslog-ng, each an own process with its own configuration on loopback.

Install them beside each other with tests/integration/install_receivers.sh; without them these tests are skipped, or
fail where FIELDTRAIL_REQUIRE_COMPONENTS=1.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import trustme

from shipper.config import SyslogSection
from shipper.outputs.syslog import SyslogOutput
from tests.shipped import batch, change, checkpoint, control, document

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
        if os.environ.get("FIELDTRAIL_REQUIRE_COMPONENTS") == "1":
            pytest.fail(f"{name} is {HINT}")
        pytest.skip(f"{name} is {HINT}")
    return Path(found), dict(os.environ)


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def pki(authority, tmp_path_factory):
    """ca.pem, server.pem + server.key for 127.0.0.1 and soc.example.test, client.pem + client.key, other-ca.pem."""
    folder = tmp_path_factory.mktemp("pki")
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


@pytest.fixture
def start(tmp_path, pki):
    started = []

    def begin(name, transport, **options):
        receiver = RECEIVERS[name](tmp_path, transport, pki, **options)
        started.append(receiver)
        return receiver.start()

    yield begin
    for receiver in started:
        receiver.stop()


@pytest.fixture
def output_to(pki):
    outputs = []

    def build(receiver, tls=None, **values):
        if receiver.transport == "tls":
            values["tls"] = {"ca": pki / "ca.pem", **(tls or {})}
        address = f"{receiver.transport}://127.0.0.1:{receiver.port}"
        section = SyslogSection(id="soc", type="syslog", address=address, **values)
        output = SyslogOutput(section, hostname="hr-app-03")
        output.open({})
        outputs.append(output)
        return output

    yield build
    for output in outputs:
        output.close()


HARD = [
    change(message="Zoë 变更 😀 \u202e\u2028"),
    change(message='quotes " and \\ and ] and line\nbreak \t \x00\x1b\x7f'),
    change(message="x" * 60_000),
    change(message="ü" * 30_000),
    change(message=""),
]
DOCUMENTS = [document(k, event) for k, event in enumerate(HARD)] + [document(k) for k in range(5, 200)]


@pytest.mark.parametrize("name", RECEIVERS)
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_every_message_arrives_byte_for_byte(start, output_to, name, transport):
    receiver = start(name, transport)
    output = output_to(receiver, control="full")
    sent = [*DOCUMENTS, control(200), checkpoint(201)]
    receipt = output.deliver(batch(0, *sent))
    assert (receipt.delivered, receipt.error) == (len(sent), "")
    assert receiver.lines(len(sent)) == [doc.data for doc in sent]


def test_newline_framing_arrives_at_syslog_ng(start, output_to):
    receiver = start("syslog-ng", "tcp", framing="newline")
    output = output_to(receiver, framing="newline")
    assert output.deliver(batch(0, *DOCUMENTS)).delivered == len(DOCUMENTS)
    assert receiver.lines(len(DOCUMENTS)) == [doc.data for doc in DOCUMENTS]


def test_datagrams_arrive_at_rsyslog(start, output_to):
    receiver = start("rsyslog", "udp")
    output = output_to(receiver)
    documents = DOCUMENTS[5:25]
    receipt = output.deliver(batch(0, DOCUMENTS[2], *documents))
    assert [refusal.document for refusal in receipt.refused] == [DOCUMENTS[2]]
    assert sorted(receiver.lines(len(documents))) == sorted(doc.data for doc in documents)


@pytest.mark.parametrize("name", RECEIVERS)
def test_an_unknown_authority_is_refused_with_what_to_set(start, output_to, pki, name):
    receiver = start(name, "tls")
    receipt = output_to(receiver, tls={"ca": pki / "other-ca.pem"}).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and len(receipt.retry) == 1
    assert "certificate is not trusted" in receipt.error and "tls.ca" in receipt.error


def test_another_servers_name_is_refused_with_what_to_set(start, output_to):
    receiver = start("syslog-ng", "tls")
    receipt = output_to(receiver, tls={"server_name": "other.example.test"}).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and "tls.server_name" in receipt.error
    good = output_to(receiver, tls={"server_name": "soc.example.test"}).deliver(batch(0, DOCUMENTS[5]))
    assert good.delivered == 1
    assert receiver.lines(1) == [DOCUMENTS[5].data]


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_that_wants_a_client_certificate_gets_it_or_is_told_of(start, output_to, pki, name):
    receiver = start(name, "tls", mutual=True)
    refused = output_to(receiver).deliver(batch(0, DOCUMENTS[5]))
    assert refused.delivered == 0 and refused.error
    own = {"cert": pki / "client.pem", "key": pki / "client.key"}
    assert output_to(receiver, tls=own).deliver(batch(0, DOCUMENTS[5])).delivered == 1
    assert receiver.lines(1) == [DOCUMENTS[5].data]


def test_plain_tcp_on_a_tls_port_is_told(start, output_to):
    receiver = start("syslog-ng", "tcp")
    receiver.transport = "tls"
    receipt = output_to(receiver, timeout=2).deliver(batch(0, DOCUMENTS[5]))
    assert receipt.delivered == 0 and receipt.error


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_killed_in_the_middle_has_everything_in_the_end(start, output_to, name):
    receiver = start(name, "tcp")
    output = output_to(receiver)
    frames = [batch(seq, *(document(seq * 50 + k) for k in range(50))) for seq in range(40)]
    pending = list(frames)
    for _ in range(20):
        assert output.deliver(pending.pop(0)).delivered == 50
    receiver.kill()
    assert output.confirmed_seq() == 0
    failed = until(lambda: output.deliver(pending[0]).error, lambda: "the loss of the receiver was never noticed")
    assert "refused" in failed or "closed" in failed or "reset" in failed.lower()
    receiver.start()
    while pending:
        until(lambda: output.deliver(pending[0]).delivered, lambda: "never delivered again")
        pending.pop(0)
    wanted = {doc.data for frame in frames for doc in frame.documents}
    until(lambda: set(receiver.lines(1)) >= wanted, lambda: "messages are missing")
    assert {line for line in receiver.lines(1) if line not in wanted} == set()


@pytest.mark.parametrize("name", RECEIVERS)
def test_what_the_receiver_read_to_the_end_is_confirmed_at_once(start, output_to, name):
    receiver = start(name, "tcp")
    output = output_to(receiver)
    output.deliver(batch(3, *DOCUMENTS))
    assert output.confirmed_seq() == 3
    assert output.drain()
    assert output.confirmed_seq() is None
    assert receiver.lines(len(DOCUMENTS)) == [doc.data for doc in DOCUMENTS]
