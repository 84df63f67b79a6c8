"""The output of type `http` over real connections: what a network and a hostile receiver do, TLS, and an agent."""

import contextlib
import hashlib
import hmac
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest
import trustme

from shipper.config import parse
from shipper.connect import remarks, steps
from shipper.outputs.http import HttpOutput
from tests.e2e.agent_process import Place, eventually, lines, numbers
from tests.http_receiver import HttpReceiver, tls_context
from tests.shipped import batch, change, document

DOC = Path("docs/howto/http.md")


@pytest.fixture
def receiver():
    made = HttpReceiver()
    yield made
    made.close()


def config(url, **keys):
    return parse(json.dumps({"outputs": [{"id": "pager", "type": "http", "url": url, **keys}]}), "test", {})


@pytest.fixture
def output():
    made = []

    def build(url, **keys):
        made.append(HttpOutput(config(url, **keys).outputs[0]))
        made[-1].open({})
        return made[-1]

    yield build
    for one in made:
        one.close()


ONE = batch(0, document(0, change()))


def test_requests_go_over_one_connection(receiver, output):
    made = output(receiver.url)
    sent = batch(0, *(document(k, change()) for k in range(50)))
    assert made.deliver(sent).delivered == 50
    assert receiver.bodies(50) == [one.data for one in sent.documents]
    assert receiver.connections == 1
    assert receiver.requests[0].path == "/hooks/in?key=k1"


def test_a_receiver_that_closes_without_a_word_gets_the_same_bytes_again(receiver, output):
    made = output(receiver.url)
    receiver.answer = lambda request: None
    receipt = made.deliver(ONE)
    assert len(receipt.retry) == 1
    assert "k1" not in receipt.error
    receiver.answer = lambda request: 200
    assert made.deliver(ONE).delivered == 1
    assert set(receiver.bodies(2)) == {ONE.documents[0].data}


def test_a_redirect_is_not_followed(receiver, output):
    receiver.answer = lambda request: (307, {"location": receiver.url})
    receipt = output(receiver.url).deliver(ONE)
    assert "redirects (307)" in receipt.error
    assert len(receiver.requests) == 1


def test_an_answer_without_end_costs_a_bounded_read_and_no_delivery_is_lost(receiver, output):
    receiver.answer = lambda request: (200, {}, b"x" * 3_000_000)
    made = output(receiver.url)
    assert made.deliver(ONE).delivered == 1
    assert made.deliver(ONE).delivered == 1
    assert receiver.connections == 2


def test_an_answer_that_drips_ends_with_the_time_of_the_request(output):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
                with contextlib.suppress(OSError):
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        receipt = output(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout="500ms").deliver(ONE)
        assert time.monotonic() - began < 5
        assert "no complete answer within 0.5 s" in receipt.error
        thread.join(20)


def test_nobody_there(output):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    receipt = output(f"http://127.0.0.1:{port}/hooks/s3cret").deliver(ONE)
    assert "Connection refused" in receipt.error
    assert "s3cret" not in receipt.error


def test_something_that_is_no_http_is_named(output):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        receipt = output(f"http://127.0.0.1:{server.getsockname()[1]}/").deliver(ONE)
        thread.join(20)
    assert len(receipt.retry) == 1
    assert receipt.error


def test_tls_is_checked_and_said(tmp_path, output):
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    receiver = HttpReceiver(context=tls_context(authority, "127.0.0.1"))
    other = HttpReceiver(context=tls_context(authority, "hooks.example"))
    try:
        assert "certificate not accepted" in output(receiver.url).deliver(ONE).error
        assert output(receiver.url, tls={"ca": str(ca)}).deliver(ONE).delivered == 1
        assert "mismatch" in output(other.url, tls={"ca": str(ca)}).deliver(ONE).error
        named = {"ca": str(ca), "server_name": "hooks.example"}
        assert output(other.url, tls=named).deliver(ONE).delivered == 1
        tried = [(one.name, one.ok) for one in steps(config(receiver.url, tls={"ca": str(ca)}))]
        assert tried == [("resolve", True), ("connect", True), ("TLS", True)]
        assert [one.ok for one in steps(config(receiver.url))] == [True, True, False]
    finally:
        receiver.close()
        other.close()


def test_validate_says_what_cannot_be_verified_or_is_not_encrypted():
    said = " ".join(remarks(config("http://collector.example/in")))
    assert "cannot be verified alone" in said
    assert "not encrypted" in said
    said = " ".join(remarks(config("https://collector.example/in", control="full")))
    assert "verified" not in said
    assert "encrypted" not in said


def test_the_check_in_the_documentation_accepts_what_is_sent_and_refuses_the_rest(receiver, output):
    code = re.search(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(code, names)
    genuine = names["genuine"]
    output(receiver.url, hmac={"secret": "k3y"}).deliver(ONE)
    request = receiver.requests[0]
    header = request.headers["X-Fieldtrail-Signature"]
    now = int(header[2:].split(",")[0])
    assert genuine(b"k3y", header, request.body, now)
    assert not genuine(b"other", header, request.body, now)
    assert not genuine(b"k3y", header, request.body + b" ", now)
    assert not genuine(b"k3y", header, request.body, now + 301)
    assert not genuine(b"k3y", "", request.body, now)
    assert not genuine(b"k3y", "t=x,v1=", request.body, now)
    forged = hmac.new(b"k3y", f"{now + 1}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert not genuine(b"k3y", f"t={now},v1={forged}", request.body, now)


@pytest.fixture
def place(tmp_path):
    with contextlib.closing(Place(tmp_path)) as made:
        yield made


def test_a_killed_agent_delivers_everything_and_what_a_receiver_kept_can_be_verified(tmp_path, place, receiver):
    collector = {"id": "collector", "type": "http", "url": receiver.url, "body": "ndjson", "control": "full"}
    place.write(outputs=[{**collector, "from": "oldest"}])
    seen = []

    def answer(request):
        seen.append(request)
        return 503 if len(seen) in {2, 5} else 204

    receiver.answer = answer
    agent = place.start().ready()
    place.append(lines(0, 300))
    eventually(lambda: len(seen) >= 3)
    agent.kill()
    place.append(lines(300, 300))
    agent = place.start().ready()

    def kept():
        return dict.fromkeys(line for request in list(receiver.requests) for line in request.body.splitlines())

    eventually(lambda: len(numbers(map(json.loads, kept()))) == 600)
    assert agent.terminate() == 0
    copy = tmp_path / "copy.ndjson"
    copy.write_bytes(b"\n".join(kept()) + b"\n")
    done = place.verify("--ndjson", copy)
    assert done.code == 0, done
    texts = [json.loads(line) for line in kept()]
    assert sorted(numbers(texts)) == list(range(600))
