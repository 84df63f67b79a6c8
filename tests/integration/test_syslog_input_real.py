"""The syslog input as a real agent, with real senders: logger(1), rsyslog and syslog-ng, and kill -9 over RELP.

Over RELP nothing is lost whenever the agent is killed, and only what it had kept and not answered yet comes twice: the
sender sends it again, as the protocol wants. rsyslog sends 128 messages ahead (`windowSize` of omrelp, and its default).
"""

import shutil
import socket
import subprocess
from collections import Counter

import pytest

from tests.components import absent
from tests.e2e.agent_process import Place, eventually
from tests.integration.receivers_real import AGENT, CACHE, issue, program

WINDOW = 128
MESSAGES = 20_000


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def senders():
    """Processes that are ended with the test."""
    started = []
    yield started
    for process in started:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def listening(place, *schemes, **more):
    """A running agent with a syslog input, and its ports."""
    ports = {scheme: free_port(socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM) for scheme in schemes}
    section = {
        "id": "net",
        "type": "syslog",
        "format": "syslog",
        "listen": [f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()],
        **more,
    }
    place.write(inputs=[section])
    agent = place.start()
    agent.ready()
    return agent, ports


def events(place):
    return [
        one for one in place.archived() if one["data_stream"]["dataset"] in {"fieldtrail.activity", "fieldtrail.change"}
    ]


def logger():
    found = shutil.which("logger")
    if found is None:
        absent("logger(1): apt-get install bsdutils")
    return found


def test_what_logger_sends_arrives_with_its_envelope(place):
    _, ports = listening(place, "udp", "tcp")
    said = 'a "quoted" sentence, with ünïcode and = signs'
    ways = [
        ("udp", "-d", "--rfc5424"),
        ("udp", "-d", "--rfc3164"),
        ("tcp", "-T", "--rfc5424"),
        ("tcp", "-T", "--rfc5424", "--octet-count"),
        ("tcp", "-T", "--rfc3164"),
    ]
    for number, (scheme, *options) in enumerate(ways):
        structured = ("--sd-id", "order@32473", "--sd-param", 'n="7"') if "--rfc5424" in options else ()
        subprocess.run(
            [
                logger(), "--server", "127.0.0.1", "--port", str(ports[scheme]), *options, "-p", "local3.warning",
                "-t", f"hr-app{number}", "--id=4711", *structured, "--", said,
            ],
            check=True,
            timeout=30,
        )  # fmt: skip
    found = eventually(lambda: events(place) if len(events(place)) == len(ways) else None)
    for event in found:
        scheme, _, dialect, *_ = ways[int(event["process"]["name"].removeprefix("hr-app"))]
        assert event["message"] == said
        assert event["log"]["syslog"]["priority"] == 19 * 8 + 4
        assert event["log"]["level"] == "warning"
        assert event["process"]["pid"] == 4711
        assert event["trail"]["origin"]["path"] == f"{scheme}://127.0.0.1"
        assert ("structured_data" in event["log"]["syslog"]) == (dialect == "--rfc5424")
        if dialect == "--rfc5424":
            assert event["log"]["syslog"]["structured_data"]["order@32473"] == {"n": "7"}
    assert len({event["process"]["name"] for event in found}) == len(ways)
    place.settled(len(ways), "net")
    place.verified()


RFC5424 = 'template="RSYSLOG_SyslogProtocol23Format"'


def rsyslog(place, senders, *actions, pki=None):
    """An rsyslog that reads `sent.log` and sends each line on with each action; returns how to tell what it said."""
    path, environment = program("rsyslogd")
    modules = next(iter(CACHE.glob("usr/lib/*/rsyslog")), None) if path.is_relative_to(CACHE) else None
    folder = place.root / "rsyslog"
    folder.mkdir(exist_ok=True)
    tls = ""
    if pki is not None:
        tls = (
            f'defaultNetstreamDriverCAFile="{pki}/ca.pem" defaultNetstreamDriverCertFile="{pki}/client.pem"'
            f' defaultNetstreamDriverKeyFile="{pki}/client.key"'
        )
    own = 'queue.type="LinkedList" queue.size="50000" action.resumeRetryCount="-1" action.resumeInterval="1"'
    sends = "\n".join(f'  action({action} target="127.0.0.1" {own})' for action in actions)
    (folder / "rsyslog.conf").write_text(
        f"""global(workDirectory="{folder}" maxMessageSize="128k" {tls})
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omrelp")
input(type="imfile" file="{place.root}/sent.log" tag="app:" ruleset="out")
ruleset(name="out" queue.type="LinkedList" queue.size="100000") {{
{sends}
}}
"""
    )
    with (folder / "daemon.log").open("ab") as log:
        senders.append(
            subprocess.Popen(
                [path, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid", *(("-M", modules) if modules else ())],
                env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        )  # fmt: skip
    return lambda: (folder / "daemon.log").read_text(errors="replace")[-2000:]


def relp_to(port):
    return f'type="omrelp" port="{port}" {RFC5424}'


def write_lines(place, count, name="sent.log"):
    (place.root / name).write_text("".join(f"message {number:06d} of {count}\n" for number in range(count)))


def numbers(place, path=None):
    """The numbers of the messages in the order in which they were sealed; `path`: of one sender alone."""
    return [int(one["message"].split()[1]) for one in events(place) if path in {None, one["trail"]["origin"]["path"]}]


def test_what_rsyslog_sends_arrives_once_and_in_order_over_every_transport(place, senders):
    count = 1000
    pki = issue(place.root / "pki", server=("127.0.0.1", AGENT))
    server = {"cert": str(pki / "server.pem"), "key": str(pki / "server.key"), "client_ca": str(pki / "ca.pem")}
    _, ports = listening(place, "udp", "tcp", "tls", "relp", "relps", tls=server)
    write_lines(place, count)
    told = rsyslog(
        place,
        senders,
        f'type="omfwd" protocol="tcp" port="{ports["tcp"]}" template="RSYSLOG_TraditionalForwardFormat"',
        f'type="omfwd" protocol="tcp" port="{ports["tls"]}" TCP_Framing="octet-counted" {RFC5424} streamDriver="gtls"'
        f' streamDriverMode="1" streamDriverAuthMode="x509/name" streamDriverPermittedPeers="{AGENT}"',
        f'{relp_to(ports["relp"])} windowSize="1000"',
        f'{relp_to(ports["relps"])} windowSize="1000" tls="on" tls.caCert="{pki}/ca.pem" tls.authMode="name"'
        f' tls.myCert="{pki}/client.pem" tls.myPrivKey="{pki}/client.key" tls.permittedPeer=["{AGENT}"]',
        pki=pki,
    )
    eventually(lambda: len(events(place)) >= 4 * count, told, patience=60)
    for scheme in ("tcp", "tls", "relp", "relps"):
        assert numbers(place, f"{scheme}://127.0.0.1") == list(range(count)), scheme
    assert {one["process"]["name"] for one in events(place)} == {"app"}
    place.settled(4 * count, "net")
    place.verified()


@pytest.mark.slow
def test_over_relp_nothing_is_lost_however_often_the_agent_is_killed(place, senders):
    agent, ports = listening(place, "relp")
    write_lines(place, MESSAGES)
    told = rsyslog(place, senders, relp_to(ports["relp"]))
    kills = 0
    for goal in (1500, 4000, 7000, 11_000, 15_000):
        eventually(lambda goal=goal: len(events(place)) >= goal, told, patience=60)
        agent.kill()
        kills += 1
        agent = place.start()
        agent.ready()
    eventually(lambda: len(set(numbers(place))) == MESSAGES, told, patience=120)
    counted = Counter(numbers(place))
    assert set(counted) == set(range(MESSAGES)), "every message is there"
    repeated = sum(count - 1 for count in counted.values())
    assert repeated <= kills * WINDOW, f"{repeated} repeats after {kills} kills"
    place.verified()


@pytest.mark.slow
def test_over_relp_the_sender_waits_while_the_agent_is_stopped_and_goes_on(place, senders):
    agent, ports = listening(place, "relp")
    write_lines(place, 5000)
    told = rsyslog(place, senders, relp_to(ports["relp"]))
    eventually(lambda: len(events(place)) >= 500, told, patience=60)
    agent.terminate()
    place.start().ready()
    eventually(lambda: len(set(numbers(place))) == 5000, told, patience=60)
    assert sum(Counter(numbers(place)).values()) - 5000 <= WINDOW
    place.verified()


def test_what_syslog_ng_sends_arrives_over_every_transport(place, senders):
    pki = issue(place.root / "pki")
    server = {"cert": str(pki / "server.pem"), "key": str(pki / "server.key"), "client_ca": str(pki / "ca.pem")}
    _, ports = listening(place, "tcp", "tls", "udp", tls=server)
    path, environment = program("syslog-ng")
    modules = next(iter(CACHE.glob("usr/lib/syslog-ng/[0-9]*")), None) if path.is_relative_to(CACHE) else None
    told = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, check=True).stdout
    version = next(line.split(": ")[1] for line in told.splitlines() if line.startswith("Config version"))
    folder = place.root / "syslog-ng"
    folder.mkdir()
    count = 200
    write_lines(place, count)
    tls = (
        f'tls(ca-file("{pki}/ca.pem") key-file("{pki}/client.key") cert-file("{pki}/client.pem")'
        " peer-verify(required-trusted))"
    )
    to = "\n".join(
        f'syslog("127.0.0.1" transport("{scheme}") port({port}) {tls if scheme == "tls" else ""});'
        for scheme, port in ports.items()
    )
    (folder / "syslog-ng.conf").write_text(
        f"""@version: {version}
options {{ stats-freq(0); }};
source in {{ file("{place.root}/sent.log" program-override("app") flags(no-parse) follow-freq(1)); }};
destination out {{ {to} }};
log {{ source(in); destination(out); }};
"""
    )
    own = {name: str(folder / name) for name in ("persist-file", "pidfile", "control")}
    with (folder / "daemon.log").open("ab") as log:
        senders.append(
            subprocess.Popen(
                [
                    path, "--foreground", "--no-caps", "--cfgfile", folder / "syslog-ng.conf",
                    *(f"--{name}={file}" for name, file in own.items()),
                    *((f"--module-path={modules}",) if modules else ()),
                ],
                env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        )  # fmt: skip
    eventually(
        lambda: len(events(place)) >= 3 * count, lambda: (folder / "daemon.log").read_text()[-2000:], patience=60
    )
    for scheme in ports:
        assert numbers(place, f"{scheme}://127.0.0.1") == list(range(count)), scheme
    assert {one["log"]["syslog"]["version"] for one in events(place)} == {"1"}
    place.settled(3 * count, "net")


def test_a_reload_keeps_the_connection_and_a_new_configuration_takes_the_address_over(place):
    agent, ports = listening(place, "tcp")
    with socket.create_connection(("127.0.0.1", ports["tcp"]), 20) as sock:
        sock.sendall(b"<13>Feb  3 10:30:00 web1 app: message 0\n")
        eventually(lambda: numbers(place) == [0])
        place.write(
            inputs=[{"id": "net", "type": "syslog", "format": "syslog", "listen": [f"tcp://127.0.0.1:{ports['tcp']}"]}],
            seal={"interval": "30s"},
        )
        agent.signal(1)
        agent.wait_told("agent started", 2)
        sock.sendall(b"<13>Feb  3 10:30:01 web1 app: message 1\n")
        eventually(lambda: numbers(place) == [0, 1])
        place.write(
            inputs=[
                {
                    "id": "net", "type": "syslog", "format": "syslog", "max_message": "8KiB",
                    "listen": [f"tcp://127.0.0.1:{ports['tcp']}"],
                }
            ],
        )  # fmt: skip
        agent.signal(1)
        sock.settimeout(20)
        assert sock.recv(10) == b"", "another configuration of the input ends its connections"

    def again():
        try:
            return socket.create_connection(("127.0.0.1", ports["tcp"]), 5)
        except OSError:
            return None

    with eventually(again) as sock:
        sock.sendall(b"<13>Feb  3 10:30:02 web1 app: message 2\n")
        eventually(lambda: numbers(place) == [0, 1, 2])
    assert agent.terminate() == 0
    place.verified()


@pytest.mark.parametrize("workers", [2])
def test_parsing_processes_read_messages_and_the_directory(place, workers):
    (place.root / "people.csv").write_text("email,accounts,name\nkim@co.example,sshd:kim,Kim Q\n")
    ports = {"tcp": free_port()}
    place.write(
        agent={"workers": workers},
        directory=[{"id": "staff", "type": "csv", "path": str(place.root / "people.csv")}],
        inputs=[{"id": "net", "type": "syslog", "listen": [f"tcp://127.0.0.1:{ports['tcp']}"]}],
    )
    agent = place.start()
    agent.ready()
    line = b"<38>Mar 10 13:55:36 host sshd[1]: Accepted password for %b from 203.0.113.7 port 40022 ssh2\n"
    with socket.create_connection(("127.0.0.1", ports["tcp"]), 20) as sock:
        for _ in range(100):
            sock.sendall(line % b"kim" + line % b"lee")
        found = eventually(lambda: events(place) if len(events(place)) == 200 else None)
    assert [one["trail"]["actor"].get("person") for one in found] == ["kim@co.example", None] * 100
    assert {one["event"]["action"] for one in found} == {"auth.login"}
    assert found[0]["user"]["full_name"] == "Kim Q"
    assert found[0]["trail"]["origin"]["directory"]
    place.verified()
