"""Polling over real sockets: deadlines, bounds, TLS, redirects, and an agent from the API to its store."""

import contextlib
import gzip
import http.server
import ssl
import threading
import time

import orjson
import pytest
import trustme

from shipper._poll_spec import PagingSection
from shipper.http_client.errors import NoAnswerError
from shipper.inputs.poll.http import Client
from shipper.inputs.poll.pages import UnusableError
from shipper.inputs.poll.paging import next_link
from shipper.output_sections import TlsSection
from tests.e2e.agent_process import Place


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the server's `answer(handler)`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with contextlib.suppress(ConnectionError):
            self.server.answer(self)

    do_POST = do_GET  # noqa: N815 - named by the base class

    def give(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(answer, context=None):
    """The address of a server, on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer, server.daemon_threads = answer, True
    server.handle_error = lambda *_: None
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def client(timeout=5.0, longest=100_000, **tls):
    one = Client(timeout, longest, TlsSection(**tls))
    try:
        yield one
    finally:
        one.close()


def test_an_answer_comes_with_its_headers_and_is_unpacked():
    body = orjson.dumps({"rows": list(range(1000))})
    with (
        serving(lambda one: one.give(gzip.compress(body), Content_Encoding="gzip", X_Left="7")) as url,
        client() as api,
    ):
        for _ in range(3):
            answer = api.send("GET", f"{url}/rows?x=1", {})
            assert (answer.status, answer.body, answer.headers["x-left"]) == (200, body, "7")


def test_each_of_several_link_headers_counts():
    def answer(one):
        one.send_response(200)
        for relation in ("next", "self"):
            one.send_header("Link", f'<https://api.example/{relation}>; rel="{relation}"')
        one.send_header("Content-Length", "0")
        one.end_headers()

    with serving(answer) as url, client() as api:
        headers = api.send("GET", url, {}).headers
    assert next_link({}, headers, PagingSection(type="link")) == "https://api.example/next"


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_is_read_up_to_its_bound(packed):
    body = b"0" * 50_000_000
    data = gzip.compress(body, 1) if packed else body
    headers = {"Content_Encoding": "gzip"} if packed else {}
    longer = pytest.raises(UnusableError, match="longer than 1000000 bytes")
    with serving(lambda one: one.give(data, **headers)) as url, client(longest=1_000_000) as api, longer:
        api.send("GET", url, {})


@pytest.mark.parametrize(
    "cut", [b"", b"not gzip at all", gzip.compress(b"x" * 5000)[:-12]], ids=["empty", "none", "cut"]
)
def test_what_cannot_be_unpacked_is_no_answer(cut):
    with serving(lambda one: one.give(cut, Content_Encoding="gzip")) as url, client() as api:
        if not cut:
            assert api.send("GET", url, {}).body == b""
            return
        with pytest.raises(UnusableError):
            api.send("GET", url, {})


def test_a_server_that_drips_is_given_up_in_time():
    def drip(one):
        one.send_response(200)
        one.send_header("Content-Length", "1000")
        one.end_headers()
        for _ in range(100):
            one.wfile.write(b"x")
            time.sleep(0.05)

    with serving(drip) as url, client(timeout=0.5) as api:
        began = time.monotonic()
        with pytest.raises(NoAnswerError):
            api.send("GET", url, {})
        assert time.monotonic() - began < 2


def test_a_request_under_way_can_be_ended():
    begun = threading.Event()

    def hang(one):
        begun.set()
        time.sleep(1)

    with serving(hang) as url, client(timeout=20) as api:
        threading.Thread(target=lambda: (begun.wait(5), api.cut()), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(NoAnswerError):
            api.send("GET", url, {})
        assert time.monotonic() - began < 5


def test_redirects_are_not_followed():
    asked = []

    def elsewhere(one):
        asked.append(one.path)
        one.give(b"", 302, Location="/other")

    with serving(elsewhere) as url, client() as api:
        assert api.send("GET", f"{url}/rows", {"Authorization": "Bearer t"}).status == 302
        assert asked == ["/rows"]


def test_only_a_certificate_of_the_given_authority_is_trusted(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving(lambda one: one.give(b"[]"), context) as url:
        with client(ca=tmp_path / "ca.pem") as api:
            assert api.send("GET", url, {}).body == b"[]"
        with client() as api, pytest.raises(NoAnswerError, match="certificate not accepted"):
            api.send("GET", url, {})


def test_nobody_there_is_said_so():
    with serving(lambda one: one.give(b"")) as url:
        pass
    with client() as api, pytest.raises(NoAnswerError, match="Connection refused"):
        api.send("GET", url, {})


# -- an agent ----------------------------------------------------------------------------------------------------------


def desk(one):
    """Rows in pages of two, and what nobody may read."""
    path, _, query = one.path.partition("?")
    if one.headers.get("Authorization") != "Bearer t0ps3cret":
        return one.give(b'{"error":"invalid_token"}', 401)
    if path == "/closed":
        return one.give(b"{}", 403)
    first = int(dict(part.split("=") for part in query.split("&")).get("from", 0))
    rows = [{"id": number, "at": time.time() - 60 + number, "what": f"row {number}"} for number in range(5)]
    return one.give(orjson.dumps({"rows": rows[first : first + 2]}))


def asked(url, secret):
    rows = {"items": "rows", "id": "id", "time": "at", "format": "json", "limit": 2}
    paging = {"type": "offset", "parameter": "from"}
    return {
        "id": "desk",
        "type": "poll",
        "api": url,
        "auth": {"bearer": {"token_file": str(secret)}},
        "resources": {
            "rows": {"get": "/rows", "paging": paging, **rows},
            "closed": {"get": "/closed", "needs": "a right that you lack", **rows},
        },
    }


@pytest.fixture
def place(tmp_path):
    one = Place(tmp_path)
    yield one
    one.close()


def test_once_reads_what_there_is_and_a_second_time_nothing_is_doubled(place, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("t0ps3cret\n")
    with serving(desk) as url:
        spec = asked(url, secret)
        del spec["resources"]["closed"]
        place.write(inputs=[spec], outputs=[{"id": "out", "type": "file", "path": str(tmp_path / "out.ndjson")}])
        for _ in range(2):
            result = place.once()
            assert result.code == 0, result
    found = [orjson.loads(text) for text in (tmp_path / "out.ndjson").read_bytes().splitlines()]
    told = [
        one["trail"]["origin"]["delivery"] for one in found if one["data_stream"]["dataset"] == "fieldtrail.activity"
    ]
    assert sorted(told) == ["0", "1", "2", "3", "4"]
    assert "t0ps3cret" not in result.err + (tmp_path / "out.ndjson").read_text()


def test_each_listing_is_tried_before_the_agent_runs(place, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("t0ps3cret\n")
    with serving(desk) as url:
        place.write(inputs=[asked(url, secret)], outputs=[{"id": "out", "type": "stdout"}])
        tried = place.cli("validate", "--connect")
        assert tried.code == 0, "what else there is can be read"
        assert "warn input desk: closed: 403 on GET /closed: needs a right that you lack" in tried.out + tried.err
        assert "ok   input desk: rows: GET /rows: answers, with an item of" in tried.out + tried.err
        secret.write_text("wrong\n")
        tried = place.cli("validate", "--connect")
        assert tried.code == 69
        assert "status 401, invalid_token: the token, key or password is not accepted" in tried.out + tried.err
        assert "wrong" not in tried.out
