"""The webhook listener over real sockets: what is acknowledged, what is refused, and who may stay connected."""

import contextlib
import errno
import gzip
import http.client
import json
import socket
import ssl
import threading
import time
import zlib
from ipaddress import ip_network
from types import SimpleNamespace

import pytest

from shipper import telemetry
from shipper._webhook_auth import WebhookAuthSection
from shipper.clock import SystemClock
from shipper.errors import ConfigError
from shipper.inputs import _certificate
from shipper.inputs.syslog import _sockets
from shipper.inputs.syslog.settings import Address
from shipper.inputs.webhook import _listener
from shipper.inputs.webhook.input import Place, WebhookInput
from shipper.inputs.webhook.settings import Settings
from tests.components import absent

TOKEN = "0123456789abcdef"
JSON = frozenset({"application/json"})
TIMEOUT = 20


class Hook:
    """An input and, in place of the agent, a thread that reads it and says that all is kept, unless it is held."""

    def __init__(self, folder, settings=None, name="hook", path="/in", max_body=10_000, **auth):
        self.woken = threading.Event()
        self.input = WebhookInput(
            name,
            settings or Settings("127.0.0.1", 0),
            Place(path, max_body, JSON),
            WebhookAuthSection(**(auth or {"bearer": {"token": TOKEN, "id_header": "X-Id"}})),
            clock=SystemClock(),
            format="json",
            ledger=folder / f"{name}.db",
            wake=self.woken,
        )
        self.port = self.input._listener.settings.port
        self.records, self.deliveries, self.positions = [], [], {}
        self.turning = threading.Lock()
        self.go, self.ending = threading.Event(), threading.Event()
        self.go.set()
        self.input.restore({})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ending.is_set():
            self.woken.wait(0.02)
            self.woken.clear()
            with self.turning:
                if self.go.is_set():
                    self.turn()

    def turn(self, chunks=None):
        for chunk in chunks if chunks is not None else self.input.read(2**30):
            self.records += [record.data for record in chunk.records]
            self.deliveries += chunk.deliveries.values()
            self.positions[chunk.stream] = chunk.position
        if self.positions:
            self.input.kept(self.positions)

    def end(self):
        self.ending.set()
        self.thread.join()
        self.input.close()

    def post(self, body=b"{}", path="/in", method="POST", tls=None, **headers):
        """(status, headers, body) of one request on a connection of its own."""
        made = http.client.HTTPConnection if tls is None else http.client.HTTPSConnection
        connection = made("127.0.0.1", self.port, timeout=TIMEOUT, **({} if tls is None else {"context": tls}))
        with contextlib.closing(connection):
            given = {"authorization": f"Bearer {TOKEN}", "content_type": "application/json", **headers}
            named = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def raw(self):
        made = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        made.settimeout(TIMEOUT)
        return made


@pytest.fixture
def hooks(tmp_path):
    made = []

    def make(settings=None, **more):
        made.append(Hook(tmp_path, settings, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()
    assert _listener._listeners == {}


@pytest.fixture
def hook(hooks):
    return hooks()


def all_of(connection):
    """What the other side says until it closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def head(*lines, length=2):
    text = "\r\n".join(
        (
            "POST /in HTTP/1.1",
            "Host: a.example",
            f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json",
            *lines,
        )
    )
    return f"{text}\r\nContent-Length: {length}\r\n\r\n".encode() if length is not None else f"{text}\r\n\r\n".encode()


def test_a_request_is_answered_200_once_it_is_kept(hook):
    hook.go.clear()
    answers = []
    sender = threading.Thread(target=lambda: answers.append(hook.post(b'{"a":1}', x_id="evt-1")))
    sender.start()
    while hook.input._entries.bytes == 0:
        time.sleep(0.01)
    time.sleep(0.2)
    assert answers == []
    hook.go.set()
    hook.woken.set()
    sender.join()
    ((status, headers, _),) = answers
    assert status == 200
    assert headers["Server"] == "fieldtrail"
    assert hook.records == [b'{"a":1}']
    assert hook.deliveries == ["evt-1"]


@pytest.mark.parametrize(
    ("status", "request_of"),
    [
        (404, {"path": "/other"}),
        (404, {"path": "/in/"}),
        (405, {"method": "GET", "body": None}),
        (405, {"method": "PUT"}),
        (401, {"authorization": "Bearer wrong"}),
        (401, {"authorization": None}),
        (413, {"body": b"x" * 10_001}),
        (415, {"content_type": "text/html"}),
        (415, {"content_type": None}),
        (415, {"content_encoding": "br"}),
        (400, {"content_encoding": "gzip", "body": b"not gzip"}),
        (400, {"content_encoding": "gzip", "body": gzip.compress(b"{}", mtime=0)[:-3]}),
        (400, {"content_encoding": "gzip", "body": gzip.compress(b"{}", mtime=0) + b"more"}),
        (413, {"content_encoding": "gzip", "body": gzip.compress(b"\0" * 9_000_000, mtime=0)}),
        (413, {"content_encoding": "deflate", "body": zlib.compress(b"\0" * 10_001)}),
        (400, {"body": b""}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_refused_is_told_why_and_never_kept(hook, status, request_of):
    assert hook.post(**request_of)[0] == status
    assert hook.post(b"good")[0] == 200
    assert hook.records == [b"good"]


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
@pytest.mark.parametrize(
    ("coding", "squeeze"),
    [(None, bytes), ("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes),
     ("GZIP", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:]))],
)  # fmt: skip
def test_compressed_bodies_and_kinds_are_taken_however_they_are_written(hook, kind, coding, squeeze):
    assert hook.post(squeeze(b'{"b": 2}'), content_type=kind, content_encoding=coding)[0] == 200
    assert hook.records == [b'{"b": 2}']


def test_a_body_in_chunks_and_one_that_waits_to_be_asked_for_are_taken(hook):
    with hook.raw() as one:
        one.sendall(head("Transfer-Encoding: chunked", length=None) + b"2\r\n{}\r\n")
        one.sendall(b"3\r\n[1]\r\n0\r\n\r\n")
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
        one.sendall(head("Expect: 100-continue", length=4))
        assert one.recv(1000).startswith(b"HTTP/1.1 100")
        one.sendall(b"null")
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
    assert hook.records == [b"{}[1]", b"null"]


def test_an_endless_body_in_chunks_ends_at_the_bound(hook):
    with hook.raw() as one:
        one.sendall(head("Transfer-Encoding: chunked", length=None) + b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert all_of(one).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 3",),
        ("Bad header",),
        ("X: a\x01b",),
        ("Transfer-Encoding : chunked",),
        tuple(f"X-{number}: 1" for number in range(500)),
        ("X-Long: " + "x" * 100_000,),
    ],
    ids=lambda lines: lines[0][:30],
)
def test_what_two_servers_could_read_differently_is_refused(hook, lines):
    with hook.raw() as one:
        with contextlib.suppress(OSError):
            one.sendall(head(*lines) + b"{}")
        answer = all_of(one)
    assert answer.split(b" ")[1] == b"400"
    assert b"Python" not in answer
    assert hook.records == []


def test_several_requests_at_once_on_one_connection_are_answered_in_order(hook):
    with hook.raw() as one:
        one.sendall((head() + b"{}") * 3 + head().replace(b"/in ", b"/no ") + b"{}")
        answers = all_of(one)
    assert [line.split()[1] for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [b"200"] * 3 + [
        b"404"
    ]
    assert hook.records == [b"{}"] * 3


def test_a_delivery_that_comes_again_is_acknowledged_again_and_told_once(hook):
    for _ in range(3):
        assert hook.post(b"{}", x_id="evt")[0] == 200
    assert hook.records == [b"{}"]
    assert hook.input.set_aside()["deduplicated"] == 2


def test_bad_signatures_are_counted_and_told_once_a_minute(hook):
    for _ in range(3):
        hook.post(authorization="Bearer wrong")
    hook.post(b"x" * 10_001)
    (told,) = hook.input.reports()
    assert told.action == "source.refused"
    assert told.trail == {"health": {"refused": 4}}
    assert "the credentials are wrong (3)" in told.message
    assert "the last from 127.0.0.1" in told.message
    hook.post(authorization="Bearer wrong")
    assert hook.input.reports() == []


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.9", "198.51.100.9"),
        ("203.0.113.1, 198.51.100.9, 127.0.0.2", "198.51.100.9"),
        ("no address", "127.0.0.1"),
        (None, "127.0.0.1"),
    ],
)
def test_behind_a_proxy_that_is_trusted_the_sender_is_whom_it_names(hooks, forwarded, client):
    hook = hooks(Settings("127.0.0.1", 0, trusted_proxies=(ip_network("127.0.0.0/8"),)))
    hook.post(authorization="Bearer wrong", x_forwarded_for=forwarded)
    assert f"the last from {client}" in hook.input.reports()[0].message


def test_nobody_else_is_believed_who_he_says_he_is(hook):
    hook.post(authorization="Bearer wrong", x_forwarded_for="198.51.100.9")
    assert "the last from 127.0.0.1" in hook.input.reports()[0].message


def test_at_the_end_requests_are_told_to_come_again(hook):
    hook.go.clear()
    hook.turn(list(hook.input.finish()))
    status, headers, _ = hook.post()
    assert (status, headers["Retry-After"]) == (429, "5")


def test_what_is_not_kept_in_time_is_told_to_come_again(hook, monkeypatch):
    monkeypatch.setattr("shipper.inputs.webhook._entries.PATIENCE", 0.3)
    monkeypatch.setattr("shipper.inputs.webhook._entries.STALLED", 0.1)
    hook.go.clear()
    assert hook.post(b"first", x_id="1")[0] == 429
    hook.go.set()
    until = time.monotonic() + TIMEOUT
    while hook.post(b"first", x_id="1")[0] == 429:  # a busy machine needs more than that little time
        assert time.monotonic() < until
    assert hook.records == [b"first"]


def test_a_fault_of_ours_is_told_as_worth_trying_again(hook, monkeypatch):
    told = []
    monkeypatch.setattr(telemetry, "webhook_fault", lambda **words: told.append(words))
    monkeypatch.setattr(hook.input, "verify", lambda request: int(request.body))
    for _ in range(3):
        status, headers, _ = hook.post(b"a secret of somebody")
        assert (status, headers["Retry-After"]) == (429, "5")
    (line,) = told  # once a minute
    assert line["place"] == f"127.0.0.1:{hook.port}"
    assert line["cause"].startswith("ValueError in test_webhook_listener.py:")


def test_a_fault_beyond_the_handler_is_told_as_worth_trying_again(hook, monkeypatch):
    told = []
    monkeypatch.setattr(telemetry, "webhook_fault", lambda **words: told.append(words))

    async def fails(request):
        raise RuntimeError("of ours")

    hook.input._listener._server.request_handler = fails
    assert hook.post()[0] == 429
    assert told[0]["cause"].startswith("RuntimeError in test_webhook_listener.py:")


def test_a_fault_where_nobody_waits_for_an_answer_is_told_and_a_broken_connection_is_not(hook, monkeypatch):
    told, woken = [], threading.Event()
    monkeypatch.setattr(telemetry, "webhook_fault", lambda **words: (told.append(words), woken.set()))
    loop = hook.input._listener._loop
    for error in (ConnectionResetError(), ssl.SSLError(), ValueError("of ours")):
        loop.call_soon_threadsafe(loop.call_exception_handler, {"message": "unhandled", "exception": error})
    assert woken.wait(TIMEOUT)
    assert [one["cause"] for one in told] == ["ValueError"]
    assert hook.post()[0] == 200


def test_who_sends_too_much_reads_why_although_he_still_sends(hook):
    for _ in range(5):
        status, _, text = hook.post(b"x" * 3_000_000)
        assert (status, text) == (413, b"the body is too large\n")
    with hook.raw() as one:
        one.sendall(head("Transfer-Encoding: chunked", length=None))
        for _ in range(20):
            one.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        one.sendall(b"0\r\n\r\n")
        assert all_of(one).startswith(b"HTTP/1.1 413")


def test_a_long_body_is_taken_however_fast_it_comes(hooks):
    hook = hooks(max_body=4_000_000)
    for _ in range(10):
        assert hook.post(b"x" * 3_900_000)[0] == 200
    with hook.raw() as one:
        one.sendall((head(length=1_000_000) + b"y" * 1_000_000) * 3)
        assert [one.recv(1000)[9:12] for _ in range(3)] == [b"200"] * 3
    assert sum(map(len, hook.records)) == 42_000_000


def test_whoever_is_gone_before_the_answer_is_kept_all_the_same_and_known_when_he_comes_again(hook):
    hook.go.clear()
    with hook.raw() as one:
        one.sendall(head("X-Id: evt") + b"{}")
        while hook.input._entries.bytes == 0:
            time.sleep(0.01)
    while hook.input._listener.status()["connections"]:
        time.sleep(0.01)
    hook.go.set()
    assert hook.post(b"{}", x_id="evt")[0] == 200
    assert hook.records == [b"{}"]
    assert hook.input.set_aside()["deduplicated"] == 1


def test_the_same_delivery_twice_at_once_is_acknowledged_twice_and_told_once(hook):
    hook.go.clear()
    with hook.raw() as one, hook.raw() as two:
        for connection in (one, two):
            connection.sendall(head("X-Id: evt") + b"{}")
        time.sleep(0.1)
        hook.go.set()
        for connection in (one, two):
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert hook.records == [b"{}"]


def test_what_was_answered_is_counted_for_the_status(hook, monkeypatch):
    (figures,) = hook.input.statistics()
    assert figures["last_delivery"] is None
    hook.post(x_id="1")
    hook.post(x_id="1")
    hook.post(authorization="Bearer wrong")
    hook.post(b"x" * 10_001)
    hook.input._entries.refuse()
    assert hook.post()[0] == 429
    (figures,) = hook.input.statistics()
    assert (figures["accepted"], figures["deferred"]) == (2, 1)
    assert figures["refused"] == {"the credentials are wrong": 1, "the body is too large": 1}
    assert figures["last_delivery"].endswith("Z")


def test_endpoints_share_a_port_and_one_that_is_gone_is_answered_429(hooks, tmp_path):
    first = hooks()
    second = hooks(Settings("127.0.0.1", first.port), name="other", path="/other")
    assert first.port == second.port
    assert second.post(b"2", path="/other")[0] == 200
    assert first.post(b"1")[0] == 200
    assert (first.records, second.records) == ([b"1"], [b"2"])
    second.end()
    assert first.post(path="/other")[0] == 429
    assert first.post(path="/never")[0] == 404
    assert first.post(b"3")[0] == 200


def test_endpoints_of_one_port_must_agree_on_what_they_share(hook, tmp_path):
    with pytest.raises(ConfigError, match="other settings"):
        Hook(tmp_path, Settings("127.0.0.1", hook.port, connections=7), name="other")


def test_an_address_that_is_taken_is_told_before_anything_runs(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            Hook(tmp_path, Settings("127.0.0.1", port))
    assert f"ss -ltnp 'sport = :{port}'" in caught.value.hint


def test_a_port_that_only_root_may_take_is_told_with_what_to_grant(monkeypatch):
    class Denied(socket.socket):
        def bind(self, address):
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(ConfigError, match="Permission denied") as caught:
        _listener.bound(Settings("127.0.0.1", 443))
    assert "CAP_NET_BIND_SERVICE" in caught.value.hint
    for scheme in ("udp", "tcp"):
        with pytest.raises(ConfigError, match="Permission denied") as caught:
            _sockets.bound(Address(scheme, "127.0.0.1", 514))
        assert "CAP_NET_BIND_SERVICE" in caught.value.hint


def test_a_new_configuration_finds_the_address_still_answering(hooks):
    old = hooks()
    connection = old.raw()
    old.input.leave()
    old.end()
    assert old.post()[0] == 429
    new = hooks(Settings("127.0.0.1", old.port), name="new")
    assert new.post(b"{}")[0] == 200
    with connection as kept:
        kept.sendall(head() + b"{}")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_new_configuration_may_open_the_same_port_on_another_address(hooks):
    old = hooks()
    old.input.leave()
    old.end()
    new = hooks(Settings("0.0.0.0", old.port), name="new")
    assert new.post(b"{}")[0] == 200


def test_an_input_that_goes_on_under_a_new_agent_loses_nothing(hook):
    hook.go.clear()
    answers = []
    sender = threading.Thread(target=lambda: answers.append(hook.post(b"over", x_id="1")[0]))
    sender.start()
    wake = threading.Event()
    hook.input.rewire(wake)
    hook.woken = wake
    hook.input.restore(hook.positions)
    hook.go.set()
    sender.join()
    assert answers == [200]
    assert hook.records == [b"over"]


def test_after_an_agent_that_could_not_keep_them_its_requests_are_taken_again(hook):
    assert hook.post(b"kept", x_id="1")[0] == 200
    kept = dict(hook.positions)
    assert hook.post(b"lost", x_id="2")[0] == 200
    with hook.turning:
        hook.positions = kept
        hook.input.restore(kept)  # the frame with the second is not there
    assert hook.post(b"kept", x_id="1")[0] == 200
    assert hook.post(b"lost", x_id="2")[0] == 200
    assert hook.records == [b"kept", b"lost", b"lost"]


def quick(**more):
    return Settings("127.0.0.1", 0, head_seconds=0.5, body_seconds=0.5, idle_seconds=1.0, **more)


def test_a_head_that_drips_is_cut_off(hooks):
    hook = hooks(quick())
    with hook.raw() as one:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in head():
                one.sendall(bytes([byte]))
                time.sleep(0.1)
                assert time.monotonic() - began < TIMEOUT
        assert all_of(one) == b""
    assert hook.records == []


def test_a_body_that_drips_is_cut_off(hooks):
    hook = hooks(quick())
    with hook.raw() as one:
        one.sendall(head(length=1000))
        assert all_of(one).startswith(b"HTTP/1.1 408")


def test_who_says_nothing_is_let_go(hooks):
    hook = hooks(quick())
    with hook.raw() as one:
        assert all_of(one) == b""
    with hook.raw() as one:
        one.sendall(head() + b"{}")
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
        assert all_of(one) == b""


def test_idle_and_dripping_connections_do_not_keep_a_sender_out(hooks):
    hook = hooks(Settings("127.0.0.1", 0, connections=10))
    with contextlib.ExitStack() as held:
        for number in range(60):
            one = held.enter_context(hook.raw())
            if number % 3:
                one.sendall(b"POST /in HTTP/1.1\r\nX" if number % 2 else head(length=9000))
        assert hook.post(b"{}")[0] == 200
        assert hook.input._listener.status()["connections"] <= 10
        assert hook.input._listener.status()["shed"] >= 50


def test_who_waits_for_an_answer_keeps_the_seat(hooks):
    hook = hooks(Settings("127.0.0.1", 0, connections=5))
    hook.go.clear()
    answers = []
    sender = threading.Thread(target=lambda: answers.append(hook.post(b"patient")[0]))
    sender.start()
    with contextlib.ExitStack() as held:
        while hook.input._entries.bytes == 0:
            time.sleep(0.01)
        for _ in range(20):
            held.enter_context(hook.raw())
        hook.go.set()
        sender.join()
    assert answers == [200]


def test_bodies_that_are_never_finished_have_a_bound_together(hooks, monkeypatch):
    monkeypatch.setattr("shipper.inputs.webhook._body.MOST_AT_ONCE", 3_000)
    hook = hooks()
    hook.input._listener._desk._bodies._most = 3_000
    with contextlib.ExitStack() as held:
        waiting = [held.enter_context(hook.raw()) for _ in range(4)]
        for one in waiting:
            one.sendall(head(length=9_000) + b"x" * 1_000)
        answered = []
        while not answered:
            for one in waiting:
                one.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    answered.append(one.recv(1000))
        assert answered[0].startswith(b"HTTP/1.1 429")


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    try:
        import trustme
    except ImportError:
        absent("trustme (pip install trustme)")
    return trustme.CA()


def write(authority, folder, name="127.0.0.1"):
    made = authority.issue_cert(name)
    cert, key = folder / "cert.pem", folder / "key.pem"
    for path, blobs in ((key, [made.private_key_pem]), (cert, made.cert_chain_pems)):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(b"".join(blob.bytes() for blob in blobs))
        fresh.replace(path)
    return cert, key


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_over_tls(hooks, authority, tmp_path):
    cert, key = write(authority, tmp_path)
    hook = hooks(Settings("127.0.0.1", 0, cert=cert, key=key))
    assert hook.post(b"{}", tls=trusting(authority))[0] == 200
    with hook.raw() as plain:
        plain.sendall(head() + b"{}")
        assert b"HTTP/1.1" not in all_of(plain)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        hook.post(b"{}", tls=old)
    assert hook.post(b"{}", tls=trusting(authority))[0] == 200


def test_a_certificate_that_was_renewed_is_used_and_a_broken_one_is_not(hooks, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(_certificate, "LOOK_EVERY", 0.0)
    cert, key = write(authority, tmp_path)
    hook = hooks(Settings("127.0.0.1", 0, cert=cert, key=key))

    def serial():
        with hook.raw() as plain, trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as one:
            return one.getpeercert()["serialNumber"]

    first = serial()
    write(authority, tmp_path)
    until = time.monotonic() + TIMEOUT
    while serial() == first and time.monotonic() < until:
        time.sleep(0.02)
    second = serial()
    assert second != first
    key.write_text("broken")
    while not hook.input.problems() and time.monotonic() < until:
        time.sleep(0.02)
    ((place, cause),) = hook.input.problems()
    assert place == f"127.0.0.1:{hook.input._listener.settings.port}"
    assert "the certificate before it stays in use" in cause
    assert serial() == second


def test_connections_that_begin_no_handshake_do_not_keep_a_sender_out(hooks, authority, tmp_path):
    cert, key = write(authority, tmp_path)
    hook = hooks(Settings("127.0.0.1", 0, cert=cert, key=key, connections=5, head_seconds=0.5))
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(hook.raw()) for _ in range(20)]
        assert hook.post(b"{}", tls=trusting(authority))[0] == 200
        for one in silent:
            assert all_of(one) == b""


def test_a_key_that_cannot_be_used_ends_the_start(authority, tmp_path):
    cert, key = write(authority, tmp_path)
    key.write_text("nothing")
    with pytest.raises(ConfigError, match=r"cert\.pem"):
        Hook(tmp_path, Settings("127.0.0.1", 0, cert=cert, key=key))


def test_a_handshake_of_the_source_is_answered(hooks):
    hook = hooks(zoom={"secret": "zoom secret of some length"})
    import hashlib
    import hmac

    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(
        b"zoom secret of some length", b"v0:" + stamp.encode() + b":" + body, hashlib.sha256
    ).hexdigest()
    status, headers, answer = hook.post(
        body, authorization=None, x_zm_signature=f"v0={signature}", x_zm_request_timestamp=stamp
    )
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer)["plainToken"] == "abc"
    assert hook.records == []


def test_once_nothing_is_awaited(tmp_path):
    one = WebhookInput(
        "hook", Settings("127.0.0.1", 9), Place("/in", 1000, JSON), WebhookAuthSection(bearer={"token": TOKEN}),
        clock=SystemClock(), format="json", ledger=tmp_path / "x.db", wake=SimpleNamespace(), once=True,
    )  # fmt: skip
    one.restore({})
    assert one.done()
    assert list(one.read(100)) == []
    assert list(one.finish()) == []
    one.close()
    assert not (tmp_path / "x.db").exists()
