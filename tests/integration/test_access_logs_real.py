"""Real Apache and nginx serve known requests; the events of their logs say what was asked, by whom and from where."""

import base64
import hashlib
import json
import os
import re
import socket
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.agent_process import run
from tests.integration.web_servers import HOST, REALM, USERS, ZONE, Apache, Nginx

PRIVATE = "/private/page.html"
FORGED = 'a 200 1 "GET /forged HTTP/1.1'


def basic(user, word):
    """The header of a browser that was told a name and a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


@dataclass
class Request:
    """A request as its bytes on the wire, and what the server answered."""

    line: bytes
    headers: dict = None
    user: str | None = None
    body: bytes = b""
    asked: bool = True
    """Whether the server asks for a password there."""
    ip: str = ""
    port: int = 0
    status: int = 0
    sent: int = 0
    sent_body: int = 0

    def wire(self):
        if self.headers is None:
            return self.line + b"\r\n"
        headers = {"Host": HOST, "Connection": "close", **self.headers}
        lines = [self.line, *(f"{name}: {value}".encode() for name, value in headers.items()), b"", self.body]
        return b"\r\n".join(lines)

    def ask(self, host, port):
        with socket.create_connection((host, port), timeout=20) as connection:
            self.ip, self.port = connection.getsockname()[:2]
            connection.sendall(self.wire())
            answer = b""
            while block := connection.recv(65536):
                answer += block
        head, _, body = answer.partition(b"\r\n\r\n") if answer.startswith(b"HTTP/") else (b"", b"", answer)
        self.status = int(head.split(b" ")[1]) if head else 200  # HTTP/0.9 has no head
        self.sent, self.sent_body = len(answer), len(body)
        return answer


def get(path, user=None, word="", method="GET", version="1.1", **more):
    """A request as clients make them; `user`: with a name and a password."""
    headers = more.pop("headers", {})
    if user is not None:
        headers = {**headers, **basic(user, word)}
    line = f"{method} {path} HTTP/{version}".encode()
    return Request(line, headers, user or None, **more)


def requests():
    """What is asked, in this order."""
    return [
        get("/page.html", headers={"User-Agent": "curl/8", "Referer": "https://ref.example/x?y=1&z"}),
        *(get(PRIVATE, user, word) for user, word in USERS.items()),
        get(PRIVATE, "alice", "wrong"),
        get(PRIVATE, "mallory", "wrong"),
        get(PRIVATE, FORGED, "x"),
        get(PRIVATE, "x [01/Jan/2020", "x"),
        get(PRIVATE, "", "x"),
        get(PRIVATE),
        get("/page.html", "nobody asked", "x", asked=False),
        get("/a%20b.html?q=%22x%22&y=1"),
        get("/größe.html"),
        Request(b"GET /\xff\xfe HTTP/1.1", {}),
        get("/a\"b\\c'd"),
        get("/none", headers={"User-Agent": 'x" "GET /admin HTTP/1.1" 200 5'}),
        get("/none", headers={"User-Agent": 'back\\slash \\x41 \\" tab\there größe', "Referer": '"'}),
        get("/page.html", headers={"User-Agent": "u" * 7000}),
        get("/page.html", headers={"User-Agent": "", "X-Forwarded-For": "203.0.113.7, 198.51.100.9"}),
        get("/broken"),
        get("/closed/page.html", headers={"Referer": "https://ref.example/"}),
        get("/page.html", method="POST", headers={"Content-Length": "3"}, body=b"a=b"),
        get("/page.html", method="HEAD"),
        get("/page.html", method="PROPFIND"),
        get(f"http://{HOST}/page.html"),
        get("/page.html", version="1.0"),
        Request(b"GET /page.html"),
        Request(b"\x16\x03\x01"),
    ]


def digest(server, user, word):
    """Log in by digest: the request that was answered with the challenge, and the one with the name."""
    path = "/digest/page.html"
    first = get(path)
    nonce = re.search(rb'nonce="([^"]*)"', first.ask("127.0.0.1", server.port))[1].decode()
    parts = [hashlib.md5(text.encode()).hexdigest() for text in (f"{user}:{REALM}:{word}", f"GET:{path}")]
    proof = hashlib.md5(f"{parts[0]}:{nonce}:00000001:c:auth:{parts[1]}".encode()).hexdigest()
    given = f'Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{path}", qop=auth, nc=00000001'
    second = get(path, headers={"Authorization": f'{given}, cnonce="c", response="{proof}"'})
    second.user = user
    second.ask("127.0.0.1", server.port)
    return [first, second]


class Run:
    """What was asked of a server, when, and the logs that it left."""

    def __init__(self, server):
        self.begin = time.time()
        self.made = requests()
        for number, request in enumerate(self.made):
            request.ask(("127.0.0.1", "::1")[number % 2], server.port)
        if isinstance(server, Apache):
            for user, word in (("alice", USERS["alice"]), ("alice", "wrong"), ("mallory", "x")):
                self.made += digest(server, user, word)
        logs = list(server.logs.values())
        server.until(lambda: all(log.read_bytes().count(b"\n") >= len(self.made) for log in logs))
        server.stop()
        self.end = time.time()
        self.logs, self.folder = server.logs, server.folder


@pytest.fixture(scope="module")
def folder():
    # Not below pytest's own folder, which only its owner may enter: as root, the workers are somebody else.
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def runs(folder):
    """`runs(Apache)`: a server that was asked everything and has stopped."""
    made = {}

    def get_run(kind):
        if kind not in made:
            place = folder / kind.__name__
            place.mkdir()
            server = kind(place)
            try:
                made[kind] = Run(server)
            finally:
                server.stop()
        return made[kind]

    return get_run


@pytest.fixture
def parse(tmp_path):
    """`parse(log, format)`: the events that the command line makes of a file."""

    def call(log, name):
        done = run("parse", "--format", name, "--timezone", ZONE, log, home=tmp_path)
        return [json.loads(line) for line in done.out.split("\n") if line]

    return call


def at(event, path):
    """The value at a dotted path, None where there is none."""
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def meant(value):
    """The bytes that a field stands for; one that has a backslash is still as the log writes it."""
    if value is None or "\\" not in value:
        return value if value is None else value.encode()
    return value.encode("ascii").decode("unicode_escape").encode("latin-1")


def encoded(text):
    return None if text is None else text.encode()


def assert_tells(event, request, server, *, whole_answer=False):
    """That the event says what was asked, who asked, from where, and what was answered."""
    assert event["event"]["kind"] == "event", event
    assert event["event"]["action"] == "http.request"
    assert event["event"]["outcome"] == ("success" if request.status < 400 else "failure")
    assert at(event, "source.ip") == request.ip
    assert at(event, "http.response.status_code") == request.status
    # Apache writes `-` where there was no body.
    size = request.sent if whole_answer else request.sent_body
    assert at(event, "http.response.body.bytes") in ((size, None) if size == 0 else (size,))
    user = request.user if request.asked or server is Nginx else None
    assert meant(at(event, "user.name")) == encoded(user)
    actor = ("user", "inferred") if user and request.status != 401 else ("unknown", "unknown")
    assert (at(event, "trail.actor.type"), at(event, "trail.actor.confidence")) == actor
    assert meant(event["message"]) == request.line
    if request.line[:1] == b"\x16":
        assert at(event, "http.request.method") is None and at(event, "url.original") is None
        return
    method, target, *version = request.line.split(b" ")
    assert at(event, "http.request.method").encode() == method
    assert meant(at(event, "url.original")) == target
    assert at(event, "http.version") == (version[0].decode().removeprefix("HTTP/") if version else None)
    if target.startswith(b"/"):
        path, mark, query = target.partition(b"?")
        assert meant(at(event, "url.path")) == path
        assert meant(at(event, "url.query")) == (query if mark else None)


def assert_in_time(events, done):
    """That times lie within the run and never go back."""
    times = [datetime.fromisoformat(event["@timestamp"]).timestamp() for event in events]
    assert int(done.begin) <= times[0] and times[-1] <= done.end
    assert times == sorted(times)


def headers_of(events):
    return [(meant(at(event, "user_agent.original")), meant(at(event, "http.request.referrer"))) for event in events]


@pytest.mark.parametrize(
    ("server", "log", "name"),
    [
        (Apache, "common", "apache"),
        (Apache, "combined", "apache"),
        (Apache, "vhost_combined", "apache"),
        (Apache, "common", "auto"),
        (Apache, "combined", "auto"),
        (Apache, "vhost_combined", "auto"),
        (Nginx, "combined", "nginx"),
        (Nginx, "further", "nginx"),
        (Nginx, "iso", "nginx"),
        (Nginx, "combined", "auto"),
    ],
)
def test_each_event_tells_what_was_asked_by_whom_from_where_and_the_answer(runs, parse, server, log, name):
    done = runs(server)
    events = parse(done.logs[log], name)
    assert len(events) == len(done.made)
    for event, request in zip(events, done.made, strict=True):
        assert_tells(event, request, server, whole_answer=log == "vhost_combined")
    assert_in_time(events, done)
    # The combined lines of Apache could be nginx's: `auto` says that, as documented.
    assert {event["event"]["module"] for event in events} == {
        "nginx" if server is Nginx or (log, name) == ("combined", "auto") else "apache"
    }
    if log == "vhost_combined":
        assert {at(event, "url.domain") for event in events} == {HOST}
    if log != "common":
        given = [request.headers or {} for request in done.made]
        wanted = [(encoded(one.get("User-Agent")) or None, encoded(one.get("Referer"))) for one in given]
        assert headers_of(events) == wanted


def test_what_stands_behind_the_agent_is_read_by_its_name(runs, parse):
    events = parse(runs(Nginx).logs["further"], "nginx")
    forwarded = [event for event in events if at(event, "network.forwarded_ip")]
    assert [at(event, "network.forwarded_ip") for event in forwarded] == ["198.51.100.9"]
    assert at(forwarded[0], "trail.raw.x_forwarded_for") == "203.0.113.7, 198.51.100.9"
    assert all(isinstance(at(event, "event.duration"), int) for event in events)
    assert at(events[0], "trail.raw.host") == HOST


@pytest.mark.parametrize("name", ["apache", "auto"])
def test_the_error_log_tells_each_failed_login_and_one_start_and_one_stop(runs, parse, name):
    done = runs(Apache)
    events = parse(done.folder / "error.log", name)
    assert {(event["event"]["kind"], event["event"]["dataset"]) for event in events} == {("event", "apache.error")}
    assert_in_time(events, done)
    services = [event["event"]["action"] for event in events if event["event"]["action"].startswith("service.")]
    assert services == ["service.start", "service.stop"]
    failed = [event for event in events if event["event"]["action"] == "auth.login"]
    assert {event["event"]["outcome"] for event in failed} == {"failure"}
    told = [
        (meant(at(event, "user.name")), at(event, "source.ip"), at(event, "source.port"), at(event, "event.reason"))
        for event in failed
    ]
    assert told == [
        (
            encoded(request.user),
            request.ip,
            request.port,
            "password mismatch" if request.user in USERS else "unknown user",
        )
        for request in done.made
        if request.status == 401 and "Authorization" in request.headers
    ]


def test_the_error_log_names_client_file_and_referrer_of_what_was_refused(runs, parse):
    done = runs(Apache)
    events = parse(done.folder / "error.log", "apache")
    (denied,) = [event for event in events if at(event, "event.code") == "AH01630"]
    (request,) = [one for one in done.made if one.status == 403]
    assert (at(denied, "source.ip"), at(denied, "source.port")) == (request.ip, request.port)
    assert at(denied, "http.request.referrer") == "https://ref.example/"
    assert denied["message"].endswith("/closed/page.html")
    granted = [event for event in events if at(event, "event.code") == "AH01626"]
    assert granted and all(at(event, "log.origin.file.name") == "mod_authz_core.c" for event in granted)
    assert all(at(event, "source.ip") in ("127.0.0.1", "::1") for event in granted)
    missing = {at(event, "source.port") for event in events if at(event, "event.code") == "AH00128"}
    assert missing == {one.port for one in done.made if one.status == 404}


@pytest.mark.parametrize("name", ["nginx", "auto"])
def test_the_error_log_of_nginx_tells_each_failed_login_and_one_start_and_one_stop(runs, parse, name):
    done = runs(Nginx)
    events = parse(done.folder / "error.log", name)
    assert {(event["event"]["kind"], event["event"]["dataset"]) for event in events} == {("event", "nginx.error")}
    assert_in_time(events, done)
    services = [event["event"]["action"] for event in events if event["event"]["action"].startswith("service.")]
    assert services == ["service.start", "service.stop"]
    failed = [event for event in events if event["event"]["action"] == "auth.login"]
    assert {event["event"]["outcome"] for event in failed} == {"failure"}
    told = [(at(event, "user.name"), at(event, "source.ip"), at(event, "event.reason")) for event in failed]
    assert told == [
        (
            request.user,
            request.ip,
            "password mismatch"
            if request.user in USERS
            else "unknown user"
            if request.user
            else "no user and password",
        )
        for request in done.made
        if request.status == 401
    ]


def test_the_error_log_of_nginx_names_client_and_request_of_what_was_refused(runs, parse):
    done = runs(Nginx)
    events = parse(done.folder / "error.log", "nginx")
    (denied,) = [event for event in events if event["message"] == "access forbidden by rule"]
    (request,) = [one for one in done.made if one.status == 403]
    assert denied["event"]["outcome"] == "failure"
    assert (at(denied, "source.ip"), at(denied, "url.path")) == (request.ip, "/closed/page.html")
    assert (at(denied, "server.domain"), at(denied, "url.domain")) == (HOST, HOST)
    assert at(denied, "http.request.referrer") == "https://ref.example/"
    missing = [(at(event, "source.ip"), at(event, "url.original")) for event in events if "open()" in event["message"]]
    assert missing == [
        (one.ip, one.line.split(b" ")[1].decode(errors="backslashreplace")) for one in done.made if one.status == 404
    ]
