"""The monitoring endpoint against real connections, hostile ones too."""

import contextlib
import http.client
import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from shipper._listening import MetricsSection
from shipper.endpoint import HEAD_BYTES, MOST_REQUESTS, Endpoint
from shipper.errors import ConfigError
from tests.e2e.agent_process import eventually
from tests.unit.test_status import Part


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@pytest.fixture
def part():
    return Part()


@pytest.fixture
def served(part):
    with serving(part) as endpoint:
        yield endpoint


@contextlib.contextmanager
def serving(part, host="127.0.0.1", **options):
    shown = f"[{host}]" if ":" in host else host
    endpoint = Endpoint(MetricsSection(listen=f"{shown}:{free_port(host)}"), **options)
    try:
        endpoint.serve(part.observer)
        yield endpoint
    finally:
        endpoint.close()


def ask(endpoint, path, method="GET"):
    host, port = endpoint.server_address[:2]
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=20)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())


def raw(endpoint, data=b""):
    connection = socket.create_connection(endpoint.server_address[:2], timeout=20)
    connection.sendall(data)
    return connection


def until_end(connection):
    with connection:
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                found += data
        return found


def test_metrics_are_served_as_prometheus_wants_them(served):
    answer = ask(served, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert b'fieldtrail_input_read_records_total{input="app"} 9.0\n' in answer.body
    assert ask(served, "/metrics?x=1").status == 200


def test_a_head_request_gets_no_body(served):
    answer = ask(served, "/metrics", "HEAD")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["Content-Length"]) > 1000


def test_health_and_readiness_say_why_not(part, served):
    for path in ("/healthz", "/readyz"):
        answer = ask(served, path)
        assert (answer.status, json.loads(answer.body)) == (200, {"ok": True, "reasons": []})
    part.room.full, part.room.holders = True, ("siem",)
    assert ask(served, "/healthz").status == 200
    answer = ask(served, "/readyz")
    assert answer.status == 503
    assert json.loads(answer.body)["reasons"] == ["the journal is full: reading waits for siem"]
    part.clock.mono += 100
    assert ask(served, "/healthz").status == 503


def test_other_paths_are_not_there_and_other_methods_not_allowed(served):
    assert ask(served, "/").status == ask(served, "/metrics/").status == ask(served, "/../metrics").status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
        answer = ask(served, "/metrics", method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), method


def test_ipv6_is_served(part):
    with serving(part, "::1") as endpoint:
        assert ask(endpoint, "/healthz").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\n\n",
        b"GET /metrics HTTP/1.1\r\n: x\r\n\xff\r\n\r\n",
    ],
)
def test_what_is_no_request_does_not_disturb(served, data):
    until_end(raw(served, data))
    assert ask(served, "/healthz").status == 200


def test_an_endless_head_is_cut_off(served):
    connection = raw(served, b"GET /metrics HTTP/1.1\r\nX: ")
    with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(100):
            connection.sendall(b"x" * HEAD_BYTES)
        assert connection.recv(100) == b""
    assert ask(served, "/healthz").status == 200


def test_a_head_that_drips_is_given_up_in_time_and_gives_its_place_back(part):
    with serving(part, head_seconds=0.5) as endpoint:
        slow = [raw(endpoint, b"G") for _ in range(MOST_REQUESTS)]
        began = time.monotonic()
        eventually(lambda: endpoint._free._value == 0)
        assert until_end(raw(endpoint, b"GET /healthz HTTP/1.1\r\n\r\n")) == b"", "there are too many"
        stop = threading.Event()

        def drip():
            while not stop.wait(0.1):
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            eventually(lambda: endpoint._free._value == MOST_REQUESTS)
            assert time.monotonic() - began < 5
        finally:
            stop.set()
            dripping.join()
            for connection in slow:
                connection.close()
        assert ask(endpoint, "/healthz").status == 200


def test_callers_that_go_away_leave_nothing_behind(served):
    before = threading.active_count()
    for _ in range(30):
        raw(served, b"GET /metrics HTTP/1.1\r\n\r\n").close()
    eventually(lambda: served._free._value == MOST_REQUESTS and threading.active_count() == before)
    assert ask(served, "/healthz").status == 200


def test_a_page_that_cannot_be_made_is_an_error_told_once_and_the_others_go_on(part, served, capfd, monkeypatch):
    told = []
    monkeypatch.setattr("shipper.telemetry.metrics_failed", lambda *, cause: told.append(cause))

    def broken():
        raise KeyError("a bug")

    part.source.statistics = broken
    for _ in range(3):
        answer = ask(served, "/metrics")
        assert answer.status == 500 and b"bug" not in answer.body
    assert told == ["KeyError: 'a bug'"]
    assert ask(served, "/healthz").status == 200
    assert capfd.readouterr().err == ""


def test_an_address_in_use_is_a_configuration_error_with_a_hint(served):
    section = MetricsSection(listen=f"127.0.0.1:{served.server_port}")
    with pytest.raises(ConfigError) as caught:
        Endpoint(section)
    assert caught.value.exit_code == 78
    assert "Address already in use" in str(caught.value) and "ss -ltnp" in caught.value.hint


def test_an_address_that_is_not_of_this_machine_is_a_configuration_error():
    with pytest.raises(ConfigError):
        Endpoint(MetricsSection(listen="192.0.2.7:9599", allow_remote=True))


def test_it_can_be_closed_twice_and_without_having_served(part):
    endpoint = Endpoint(MetricsSection(listen=f"127.0.0.1:{free_port()}"))
    endpoint.close()
    endpoint.close()
    with serving(part) as endpoint:
        port = endpoint.server_port
    again = Endpoint(MetricsSection(listen=f"127.0.0.1:{port}"))
    again.close()
