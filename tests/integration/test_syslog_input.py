"""The syslog input on the loopback interface: every transport, its limits, and what it does when nobody reads."""

import contextlib
import dataclasses
import errno
import socket
import ssl
import threading
import time
from ipaddress import ip_network

import pytest

from shipper import telemetry
from shipper.clock import SystemClock
from shipper.errors import ConfigError
from shipper.inputs._certificate import Certificate
from shipper.inputs.syslog import _connection, _datagrams, _mailbox, _server
from shipper.inputs.syslog._reports import Reports
from shipper.inputs.syslog.input import SyslogInput
from shipper.inputs.syslog.probe import probe
from shipper.inputs.syslog.settings import Address, Settings
from tests.components import absent
from tests.integration.receivers_real import issue
from tests.relp_receiver import framed

PATIENCE = 10.0
OFFER = b"relp_version=0\nrelp_software=test,1\ncommands=syslog"


def until(look, what=""):
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, what or look
        time.sleep(0.005)
    return found


class Desk:
    """An input of a test, and what it gave out."""

    def __init__(self, *schemes, judge=None, host="127.0.0.1", **settings):
        self.wake = threading.Event()
        self.input = SyslogInput(
            "net",
            Settings(tuple(Address(scheme, host, 0) for scheme in schemes), **settings),
            clock=SystemClock(),
            format="auto" if judge else "syslog",
            wake=self.wake,
            judge=judge,
        )
        self.chunks = []
        self.reports = []
        self.ended = []
        self.input.restore({})

    def port(self, scheme):
        return next(one.port for one in self.input.addresses if one.scheme == scheme)

    def connect(self, scheme):
        made = socket.create_connection(("127.0.0.1", self.port(scheme)), timeout=PATIENCE)
        made.settimeout(PATIENCE)
        return made

    def read(self):
        self.chunks += self.input.read(1_000_000)
        self.ended += self.input.ended()
        self.reports += self.input.reports()
        return self.chunks

    def texts(self):
        self.read()
        return [record.data for chunk in self.chunks for record in chunk.records]

    def keep(self):
        """As the agent does once a frame is durable."""
        self.input.kept({chunk.stream: {"input": "net", **chunk.position} for chunk in self.read()})

    def told(self):
        self.read()
        return [(one.action, one.message) for one in self.reports]

    def figures(self):
        return self.input.statistics()[0]


@pytest.fixture
def desk():
    made = []

    def make(*schemes, **settings):
        made.append(Desk(*schemes, **settings))
        return made[-1]

    yield make
    for one in made:
        one.input.close()


def relp(number, command, data=b""):
    return b"%d %b %d%b\n" % (number, command, len(data), b" " + data if data else b"")


def answers(sock, count):
    got = b""
    while got.count(b" rsp ") < count or not got.endswith(b"\n"):
        piece = sock.recv(65536)
        assert piece, got
        got += piece
    return got


def test_datagrams_of_one_sender_are_one_stream_in_order(desk):
    one = desk("udp")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        for number in range(50):
            (first if number % 2 else second).sendto(b"<13>%d\n\0" % number, ("127.0.0.1", one.port("udp")))
        until(lambda: len(one.texts()) == 50)
    assert one.texts() == [b"<13>%d" % number for number in range(50)]
    assert len({chunk.stream for chunk in one.chunks}) == 1
    assert {chunk.path for chunk in one.chunks} == {"udp://127.0.0.1"}
    assert one.wake.is_set()
    at = 0
    for chunk in one.chunks:
        for record in chunk.records:
            assert record.offset == at
            at += record.length
        assert chunk.position == {"v": 1, "offset": at}


def test_lines_and_counted_messages_come_over_connections_of_their_own(desk):
    one = desk("tcp")
    with one.connect("tcp") as lines, one.connect("tcp") as counted:
        lines.sendall(b"<13>a\n<13>b\n<13>c")
        counted.sendall(b"6 <13>x\n6 <13>yy")
        until(lambda: len(one.texts()) == 4)
        assert one.ended == []
    until(lambda: len(one.texts()) == 5, "the line without an end, once its sender is gone")
    assert sorted(one.texts()) == [b"<13>a", b"<13>b", b"<13>c", b"<13>x", b"<13>yy"]
    until(lambda: one.read() and len(one.ended) == 2)
    assert set(one.ended) == {chunk.stream for chunk in one.chunks}
    assert [(cut.path, cut.offset, cut.length, cut.why) for cut in one.input.cuts()] == [
        ("tcp://127.0.0.1", 12, 5, "unterminated")
    ]


@pytest.mark.parametrize("scheme", ["tls", "relps"])
def test_with_a_client_ca_only_its_clients_get_in(desk, tmp_path, scheme):
    pki = issue(tmp_path / "pki")
    one = desk(scheme, cert=pki / "server.pem", key=pki / "server.key", client_ca=pki / "ca.pem")

    def client(name):
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        if name:
            context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        return context.wrap_socket(one.connect(scheme), server_hostname="127.0.0.1")

    with client("client") as sock:
        if scheme == "tls":
            sock.sendall(b"10 <13>secret")
        else:
            sock.sendall(relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>secret"))
        until(lambda: one.texts() == [b"<13>secret"])
    for name in ("", "foreign", "expired"):
        with contextlib.suppress(OSError), client(name) as sock:
            sock.sendall(b"10 <13>forged")
            assert sock.recv(10) == b""
    assert one.texts() == [b"<13>secret"]
    until(lambda: one.figures()["refused"] == 3)
    assert any("TLS" in message for _, message in one.told())
    until(lambda: one.figures()["connections"] == 0)


def test_a_renewed_certificate_is_taken(tmp_path):
    pki = issue(tmp_path / "pki")
    certificate = Certificate("listen", pki / "server.pem", pki / "server.key")
    before = certificate.context
    certificate.look(100)
    assert certificate.context is before
    (pki / "server.pem").write_text("broken")
    certificate.look(101)
    assert certificate.problem == ""  # it looks every ten seconds
    certificate.look(111)
    assert certificate.context is before
    assert "stays in use" in certificate.problem
    fresh = issue(tmp_path / "fresh")
    for name in ("server.pem", "server.key"):
        (pki / name).write_bytes((fresh / name).read_bytes())
    certificate.look(122)
    assert certificate.context is not before
    assert certificate.problem == ""


def test_relp_is_answered_only_once_a_frame_is_durable(desk):
    one = desk("relp")
    with one.connect("relp") as sock:
        sock.sendall(relp(1, b"open", OFFER))
        assert b"200 OK" in answers(sock, 1)
        sock.sendall(relp(2, b"syslog", b"<13>a") + relp(3, b"syslog", b"<13>b"))
        until(lambda: one.texts() == [b"<13>a", b"<13>b"])
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(PATIENCE)
        one.keep()
        assert answers(sock, 2) == framed(2, b"200 OK") + framed(3, b"200 OK")
        sock.sendall(relp(4, b"close"))
        assert answers(sock, 1).startswith(framed(4, b"200 OK"))
        rest = sock.recv(100)
        assert rest in {b"", b"0 serverclose 0\n"}


def test_nothing_is_received_while_nobody_reads_and_everything_comes_when_somebody_does(desk, monkeypatch):
    monkeypatch.setattr(_mailbox, "MOST_BYTES", 200_000)
    one = desk("tcp")
    one.input._mailbox._most = 200_000
    sent = 0
    with one.connect("tcp") as sock:
        sock.settimeout(0.5)
        line = b"<13>" + b"x" * 995 + b"\n"
        with contextlib.suppress(TimeoutError):
            while sent < 60_000_000:
                sent += sock.send(line * 50)
        assert sent < 60_000_000, "the sender was made to wait"
        assert one.figures()["lag"] < 1_000_000
        until(lambda: one.read() is not None and one.figures()["offset"] >= sent // 1000 * 1000)
    assert sum(len(chunk.records) for chunk in one.chunks) >= sent // 1000


def test_datagrams_that_the_system_dropped_are_counted(desk):
    one = desk("udp", receive_buffer=4096)
    one.input._mailbox._most = 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        where = ("127.0.0.1", one.port("udp"))
        sock.sendto(b"<13>first", where)
        until(lambda: one.figures()["size"] > 0)
        sent = 400
        for number in range(sent):
            sock.sendto(b"<13>%d" % number + b"x" * 500, where)
        one.input._mailbox._most = 1_000_000

        def last():
            nonlocal sent
            sock.sendto(b"<13>last", where)
            sent += 1
            return b"<13>last" in one.texts()

        until(last)
    # Each is either there or counted, once no more is under way.
    until(lambda: len(one.texts()) - 1 + one.figures()["dropped"] == sent)
    assert one.figures()["dropped"] > 0
    until(lambda: one.read() is not None and one.reports)
    assert {(told.action, told.outcome) for told in one.reports} == {("source.loss", "failure")}


def test_what_was_dropped_is_known_though_no_datagram_follows(desk):
    one = desk("udp", receive_buffer=4096)
    one.input._mailbox._most = 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        where = ("127.0.0.1", one.port("udp"))
        sock.sendto(b"<13>first", where)
        until(lambda: one.input._server.paused)
        for _ in range(400):
            sock.sendto(b"<13>" + b"x" * 500, where)
    until(lambda: one.figures()["dropped"] > 0, "nobody reads, and nothing more is sent")
    one.input._mailbox._most = 1_000_000
    until(lambda: len(one.texts()) + one.figures()["dropped"] == 401)


def test_only_named_networks_may_send(desk):
    one = desk("udp", "tcp", allow=(ip_network("192.0.2.0/24"),))
    with one.connect("tcp") as sock:
        assert sock.recv(10) == b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"<13>forged", ("127.0.0.1", one.port("udp")))
        until(lambda: one.figures()["refused"] == 2)
    assert one.texts() == []
    assert any("not in allow" in message for _, message in one.told())


def test_a_message_that_drips_ends_its_connection_and_is_kept_as_far_as_it_came(desk):
    one = desk("tcp", slow=0.3)
    with one.connect("tcp") as sock, one.connect("tcp") as quiet:
        quiet.sendall(b"<13>whole\n")
        sock.sendall(b"<13>dri")
        for letter in b"pping":
            with contextlib.suppress(OSError):
                sock.sendall(bytes([letter]))
            time.sleep(0.1)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(10) == b""
        until(lambda: any(text.startswith(b"<13>dri") for text in one.texts()))
        quiet.sendall(b"<13>goes on\n")
        until(lambda: b"<13>goes on" in one.texts())
    assert any("a message took longer" in message for _, message in one.told())


@pytest.mark.parametrize(
    ("scheme", "sent", "said"),
    [
        ("tls", b"\x16\x03\x01", "a TLS handshake took longer than 0.3 s"),
        ("tls", b"", "a TLS handshake took longer than 0.3 s"),
        ("relp", b"", "a message took longer than 0.3 s"),
        ("relp", relp(1, b"open", OFFER) + b"2 syslog 1000 <13>half", "a message took longer than 0.3 s"),
    ],
)
def test_what_never_ends_is_ended(desk, tmp_path, scheme, sent, said):
    pki = issue(tmp_path / "pki") if scheme == "tls" else tmp_path
    one = desk(scheme, slow=0.3, cert=pki / "server.pem", key=pki / "server.key")
    with one.connect(scheme) as sock:
        sock.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(1000):
                pass
    until(lambda: any(said in message for _, message in one.told()))
    assert one.texts() == []
    until(lambda: one.figures()["connections"] == 0)


def test_who_was_made_to_wait_is_not_taken_for_slow(desk):
    one = desk("tcp", slow=0.3)
    with one.connect("tcp") as sock:
        sock.sendall(b"<13>begun")
        until(lambda: next(iter(one.input._server._connections.values()), None))
        with one.connect("tcp") as other:
            one.input._mailbox._most = 1
            other.sendall(b"<13>fills the mailbox\n")
            until(lambda: one.input._server.paused)
            resumed = time.monotonic() + 1.0
            until(lambda: time.monotonic() > resumed, "longer than a message may take")
            one.input._mailbox._most = 1_000_000
            sock.sendall(b" and ended\n")
            until(lambda: b"<13>begun and ended" in one.texts())
    assert one.figures()["refused"] == 0


def test_many_senders_at_once_hold_no_more_than_there_is_room_for(desk):
    one = desk("tcp")
    one.input._mailbox._most = 200_000
    line = b"<13>" + b"x" * 995 + b"\n"
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(one.connect("tcp")) for _ in range(30)]
        sent = 0
        for sock in socks:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(10):
                    sent += sock.send(line * 100)
        until(lambda: one.input._server.paused)
        # What there is room for, and what one connection may give at a time.
        assert one.figures()["size"] <= 200_000 + _connection.TURN * _connection.PIECE
        until(lambda: one.read() is not None and one.figures()["offset"] >= sent - 1000 * len(socks))


def test_unfinished_messages_that_hold_too_much_together_cost_the_largest(desk, monkeypatch):
    monkeypatch.setattr(_server, "MOST_HELD", 100_000)
    one = desk("tcp")
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(one.connect("tcp")) for _ in range(10)]
        for number, sock in enumerate(socks):
            sock.sendall(b"<13>" + b"%d" % number + b"x" * (40_000 if number == 3 else 8_000))
        until(lambda: any("held too much memory" in message for _, message in one.told()))
        assert [text[:5] for text in one.texts()] == [b"<13>3"], "what came of it is kept"
        for sock in socks[:3]:
            sock.sendall(b"\n")
        until(lambda: len(one.texts()) == 4)
    assert one.figures()["refused"] == 1


class Still:
    """A server whose thread does not run, so that a test takes its steps; its clock goes by hand."""

    def __init__(self, stack, *schemes, tick=0.0, **settings):
        self.now, self.tick = 1000.0, tick
        self.mailbox, self.reports = _mailbox.Mailbox(), Reports()
        self.server = _server.Server(
            Settings(tuple(Address(scheme, "127.0.0.1", 0) for scheme in schemes), **settings),
            self.mailbox,
            self.reports,
            name="net",
            wake=lambda: None,
            monotonic=self.clock,
        )
        stack.callback(self.server.close)
        self._stack = stack

    def clock(self):
        self.now += self.tick
        return self.now

    def connect(self, data):
        """A client that has sent `data`, all of which was received; its connection."""
        listening = self.server._listening[0]
        sock = self._stack.enter_context(socket.create_connection(listening.sock.getsockname(), PATIENCE))
        before = set(self.server._connections)
        until(lambda: self.server._accept(listening, self.now) or set(self.server._connections) - before)
        (connection,) = (one for name, one in self.server._connections.items() if name not in before)
        sock.sendall(data)
        until(lambda: connection.receive(self.mailbox, self.now) or connection.session.held >= len(data))
        return connection

    def left(self):
        return list(self.server._connections.values())

    def told(self):
        return " ".join(one.message for one in self.reports.take(self.now))


def test_the_listener_goes_on_when_all_that_held_too_much_took_too_long_as_well(monkeypatch):
    monkeypatch.setattr(_server, "MOST_HELD", 100_000)
    with contextlib.ExitStack() as stack:
        still = Still(stack, "tcp")
        for _ in range(5):
            still.connect(b"<13>" + b"x" * 30_000)
        still.server._sweep(still.now + 3600.0)
        assert still.left() == []
        kept = [record for part in iter(still.mailbox.take, None) for record in part.records]
        assert [len(record.data) for record in kept] == [30_004] * 5, "what came of them"
        assert "a message took longer than 30 s (5)" in still.told()


def test_what_slow_clients_held_does_not_cost_an_innocent_one_its_connection(monkeypatch):
    monkeypatch.setattr(_server, "MOST_HELD", 100_000)
    with contextlib.ExitStack() as stack:
        still = Still(stack, "tcp")
        for _ in range(4):
            still.connect(b"<13>" + b"x" * 30_000)
        still.now += 3600.0
        innocent = still.connect(b"<13>begun")
        still.server._sweep(still.now)
        assert still.left() == [innocent]
        assert "too much memory" not in still.told()


@pytest.mark.parametrize("scheme", ["tcp", "relp"])
def test_one_look_ends_as_many_as_hold_too_much_together(monkeypatch, scheme):
    monkeypatch.setattr(_server, "MOST_HELD", 100_000)
    with contextlib.ExitStack() as stack:
        still = Still(stack, scheme)
        begin = b"<13>" if scheme == "tcp" else relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>a")
        # RELP: no message is unfinished, but the answers to all these wait for the one to the first.
        more = b"x" * 40_000 if scheme == "tcp" else relp(3, b"x") * 300
        for _ in range(10):
            still.connect(begin + more)
        small = still.connect(begin)
        still.server._sweep(still.now)
        assert sum(one.session.held for one in still.left()) <= 100_000
        assert len(still.left()) == 3
        assert small in still.left(), "the largest go first"
        assert "what is unfinished or unanswered held too much memory (8)" in still.told()


def test_a_bug_closes_everything_and_is_told_so_that_nobody_sends_into_nothing(desk, monkeypatch):
    told = []
    monkeypatch.setattr(telemetry, "listener_ended", lambda **words: told.append(words))
    one = desk("tcp", "udp")
    assert one.figures()["state"] == "listening"
    with one.connect("tcp") as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        sock.sendall(b"<13>before\n")
        datagrams.sendto(b"<13>before, too", ("127.0.0.1", one.port("udp")))
        until(lambda: len(one.texts()) == 2)
        one.wake.clear()

        def broken(server, now):
            raise KeyError("a bug")

        monkeypatch.setattr(_server.Server, "_sweep", broken)
        until(one.wake.is_set, "the agent looks")
        assert sock.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            one.connect("tcp")
        datagrams.connect(("127.0.0.1", one.port("udp")))
        datagrams.send(b"<13>after")
        with pytest.raises(ConnectionRefusedError):
            until(lambda: datagrams.send(b"<13>after") and None)
    until(lambda: one.figures()["state"] == "closed")
    until(lambda: one.read() and len(one.ended) == 2, "both streams")
    ((place, cause),) = one.input.problems()
    assert place == " ".join(address.url for address in one.input.addresses)
    assert "nothing is received any more: internal error: KeyError" in cause
    assert told == [{"place": place, "cause": cause}]
    one.chunks += one.input.finish()
    assert len(one.texts()) == 2


def test_a_listener_that_ended_with_a_full_mailbox_rests(desk):
    one = desk("tcp")
    one.input._mailbox._most = 1
    with one.connect("tcp") as sock:
        sock.sendall(b"<13>fills the mailbox\n")
        until(lambda: one.input._server.paused)
        one.chunks += one.input.finish()
    one.input._mailbox._most = 1_000_000
    assert not one.input._mailbox.full
    selector, waited = one.input._server._selector, []
    select = selector.select

    def noted(timeout):
        waited.append(timeout)
        return select(timeout)

    selector.select = noted
    one.input._server.ring()
    until(lambda: len(waited) >= 2)
    assert set(waited) == {_server.SWEEP}, waited[:10]
    assert one.figures()["state"] == "closed"


def test_a_flood_of_datagrams_that_fill_nothing_does_not_keep_the_agent_from_ending(monkeypatch):
    asked = []

    def flooded(datagrams, mailbox, now):
        asked.append(now)
        assert len(asked) < 1000, "it ends"
        return 512

    monkeypatch.setattr(_datagrams.Datagrams, "receive", flooded)
    with contextlib.ExitStack() as stack:
        still = Still(stack, "udp", "udp", tick=0.01)
        began = still.now
        still.server._take_last(began)
        assert len(asked) > 10, "what the system holds is taken"
        assert still.now - began <= _server.GOODBYE + 0.1


def test_without_a_descriptor_newcomers_wait_and_the_thread_rests(desk, monkeypatch):
    one = desk("tcp")
    accept, asked = socket.socket.accept, []

    def none_left(sock):
        asked.append(sock)
        if len(asked) <= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", none_left)
    with one.connect("tcp") as sock:
        sock.sendall(b"<13>at last\n")
        until(lambda: one.texts() == [b"<13>at last"])
    assert one.figures()["refused"] == 3, "once for each look"
    assert any("too many open files (" in message for _, message in one.told())


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]"), ("::", "127.0.0.1")])
def test_ipv6_addresses_listen_and_name_their_senders(desk, host, shown):
    if not socket.has_ipv6:
        absent("IPv6")
    one = desk("udp", "tcp", host=host, allow=(ip_network("::1/128"), ip_network("127.0.0.0/8")))
    where = "::1" if host == "::1" else "127.0.0.1"
    with (
        socket.create_connection((where, one.port("tcp")), PATIENCE) as stream,
        socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        stream.sendall(b"<13>a\n")
        sock.sendto(b"<13>b", (where, one.port("udp")))
        until(lambda: len(one.texts()) == 2)
    assert {chunk.path for chunk in one.chunks} == {f"tcp://{shown}", f"udp://{shown}"}


def test_garbage_ends_a_connection_and_others_do_not_notice(desk):
    one = desk("tcp", "relp")
    with one.connect("tcp") as good:
        for scheme, sent in (
            ("tcp", b"\x16\x03\x01\x00\x05\x01"),
            ("relp", b"GET / HTTP/1.1\r\n\r\n"),
            ("tcp", b"5 <13>z?"),
        ):
            with one.connect(scheme) as sock:
                sock.sendall(sent)
                with contextlib.suppress(ConnectionResetError):
                    assert sock.recv(10) == b""
        good.sendall(b"<13>good\n")
        until(lambda: b"<13>good" in one.texts())
    until(lambda: one.figures()["refused"] == 3)


def test_idle_connections_lose_their_seats_to_newcomers_that_speak(desk):
    one = desk("tcp", connections=20)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(one.connect("tcp"))
        until(lambda: one.figures()["connections"] <= 20 and one.figures()["refused"] >= 80)
        sock = stack.enter_context(one.connect("tcp"))
        sock.sendall(b"<13>through\n")
        until(lambda: one.texts() == [b"<13>through"])
        for _ in range(30):
            stack.enter_context(one.connect("tcp"))
        sock.sendall(b"<13>still\n")
        until(lambda: one.texts()[-1] == b"<13>still")


def test_one_client_cannot_take_all_connections_for_good(desk):
    one = desk("tcp", connections=8)
    where = ("127.0.0.1", one.port("tcp"))
    with contextlib.ExitStack() as stack:
        for number in range(8):
            taken = stack.enter_context(socket.create_connection(where, PATIENCE, source_address=("127.0.0.2", 0)))
            taken.sendall(b"<13>%d\n" % number)
            until(lambda number=number: len(one.texts()) == number + 1)
        sock = stack.enter_context(one.connect("tcp"))
        sock.sendall(b"<13>through\n")
        until(lambda: b"<13>through" in one.texts())
        assert one.figures()["connections"] == 8


def test_a_client_that_does_not_read_its_answers_is_not_heard_on(desk, monkeypatch):
    monkeypatch.setattr(_connection, "MOST_UNSENT", 5000)
    one = desk("relp")
    with one.connect("relp") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.sendall(relp(1, b"open", OFFER))
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 60_000_000:
                sent += sock.send(relp(2, b"unknown") * 1000)
        assert sent < 60_000_000
        session = next(iter(one.input._server._connections.values())).session
        assert len(session.out) < 4_000_000


def test_at_the_end_what_the_system_holds_is_taken_and_relp_is_answered(desk):
    one = desk("udp", "tcp", "relp")
    with one.connect("tcp") as tcp, one.connect("relp") as sock:
        tcp.sendall(b"<13>one\n")
        sock.sendall(relp(1, b"open", OFFER) + relp(2, b"syslog", b"<13>two"))
        until(lambda: len(one.texts()) == 2)
        tcp.sendall(b"<13>three\n<13>unfinished")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"<13>four", ("127.0.0.1", one.port("udp")))
        one.chunks += one.input.finish()
        assert sorted(one.texts()) == [b"<13>four", b"<13>one", b"<13>three", b"<13>two", b"<13>unfinished"]
        assert list(one.input.finish()) == []
        one.keep()
        one.input.close()
        assert framed(2, b"200 OK") in answers(sock, 2)
        assert tcp.recv(10) == b""


def test_a_restart_ends_the_streams_of_the_run_before(desk):
    one = desk("udp")
    one.input.restore({"old": {"v": 1, "offset": 7}})  # a reload: it runs, and they are its own
    assert one.input.ended() == []
    another = SyslogInput(
        "net",
        dataclasses.replace(Settings((Address("udp", "127.0.0.1", 0),))),
        clock=SystemClock(),
        format="syslog",
        wake=threading.Event(),
    )
    try:
        another.restore({"old": {"v": 1, "offset": 7}})
        assert another.ended() == ["old"]
    finally:
        another.close()


def test_an_address_that_is_taken_is_told_at_the_start(desk):
    one = desk("tcp")
    with pytest.raises(ConfigError) as raised:
        SyslogInput(
            "other",
            Settings((Address("tcp", "127.0.0.1", one.port("tcp")),)),
            clock=SystemClock(),
            format="syslog",
            wake=threading.Event(),
        )
    assert "ss -ltnp" in raised.value.hint


def test_what_validate_tries_is_named_with_its_hint(desk, tmp_path):
    one = desk("tcp")
    taken, free = Address("tcp", "127.0.0.1", one.port("tcp")), Address("udp", "127.0.0.1", 0)
    tried = list(probe(Settings((taken, free)), running=False))
    assert [(step, ok) for step, ok, _, _ in tried] == [("listen", False), ("listen", True)]
    assert "ss -ltnp" in tried[0][3]
    assert all(ok for _, ok, _, _ in probe(Settings((taken,)), running=True)), "the agent itself is there"
    pki = issue(tmp_path / "pki")
    secure = Settings(
        (Address("tls", "127.0.0.1", 0),), cert=pki / "server.pem", key=pki / "server.key", client_ca=pki / "ca.pem"
    )
    assert [ok for _, ok, _, _ in probe(secure, running=False)] == [True, True]
    ((_, ok, said, _), *_) = probe(dataclasses.replace(secure, key=pki / "client.key"), running=False)
    assert not ok
    assert "server.pem" in said


def test_what_was_refused_is_told_at_the_end_though_the_minute_is_not_over(desk):
    one = desk("tcp", allow=(ip_network("192.0.2.0/24"),))
    for count in (1, 2):
        with one.connect("tcp") as sock, contextlib.suppress(ConnectionResetError):
            assert sock.recv(10) == b""
        until(lambda count=count: one.figures()["refused"] == count)
        one.read()
    assert [told.trail for told in one.reports] == [{"health": {"refused": 1}}]
    one.chunks += one.input.finish()
    one.read()
    assert [told.trail for told in one.reports] == [{"health": {"refused": 1}}] * 2


def test_formats_are_found_out_for_each_program(desk):
    asked = []

    def judge(sample):
        asked.append(sample)
        return ("sshd", True) if b"sshd" in sample else ("syslog", False)

    one = desk("tcp", judge=judge)
    with one.connect("tcp") as sock:
        sock.sendall(
            b"<38>Mar 10 13:55:36 h sshd[1]: a\n<38>Mar 10 13:55:36 h sshd[1]: b\n<38>Mar 10 13:55:36 h cron[2]: c\n"
            b"<38>Mar 10 13:55:37 h sshd[1]: d\n"
        )
        until(lambda: len(one.texts()) == 4)
        assert [(chunk.format, len(chunk.records)) for chunk in one.chunks] == [("sshd", 2), ("syslog", 1), ("sshd", 1)]
        assert len(asked) == 2
        sock.sendall(b"<38>Mar 10 13:55:38 h sshd[1]: e\n<38>Mar 10 13:55:38 h cron[2]: f\n")
        until(lambda: len(one.texts()) == 6)
    assert len(asked) == 3, "sshd is settled, cron is not yet"


def test_senders_of_datagrams_beyond_the_most_end_the_one_that_was_silent_longest(desk, monkeypatch):
    monkeypatch.setattr(_datagrams, "MOST_SENDERS", 4)
    one = desk("udp")
    for number in range(1, 9):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((f"127.0.0.{number}", 0))
            sock.sendto(b"<13>%d" % number, ("127.0.0.1", one.port("udp")))
        until(lambda number=number: len(one.texts()) == number)
    assert len(one.ended) == 4
    assert {chunk.path for chunk in one.chunks} == {f"udp://127.0.0.{number}" for number in range(1, 9)}
