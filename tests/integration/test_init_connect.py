"""`fieldtrail init` against an API on loopback and at a terminal: from the first question to shipped events."""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
import yaml

from tests.e2e.agent_process import COMMAND, PATIENCE, Place, environment, eventually, run
from tests.integration.test_poll_http import serving

TOKEN = "t0ps3cret-of-make"
RUN = {
    "imtId": "1770114600000_scenario.7.auto.ab",
    "id": "ab",
    "type": "auto",
    "status": 1,
    "duration": 12,
    "operations": 1,
    "transfer": 5,
    "organizationId": 11,
    "teamId": 22,
    "authorId": None,
    "instant": False,
}


class Make:
    """An organization of Make; `closed`: paths that answer 403."""

    def __init__(self, closed=("/audit-logs",)):
        self.closed, self.asked = closed, []

    def __call__(self, one):
        parts = urlsplit(one.path)
        path = parts.path.removeprefix("/api/v2")
        query = dict(parse_qsl(parts.query))
        self.asked.append(path)
        if one.headers.get("Authorization") != f"Token {TOKEN}":
            return one.give(b'{"message":"Access denied."}', 401)
        if path.startswith(self.closed):
            return one.give(b'{"message":"Permission denied"}', 403)
        first = query.get("pg[offset]", "0") == "0"
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60))
        answers = {
            "/scenarios": {"scenarios": [{"id": 7, "name": "Sync"}] if first else []},
            "/scenarios/7/logs": {"scenarioLogs": [{**RUN, "timestamp": now}] if first else []},
            "/dlqs": {"dlqs": []},
            "/organizations/11/variables": {"organizationVariables": []},
            "/scenarios/7/blueprint": {"response": {"blueprint": {"name": "Sync", "flow": []}}},
        }
        return one.give(orjson.dumps(answers[path]))


@pytest.fixture
def home(tmp_path):
    return tmp_path


def init(home, *words, **secrets):
    return run("init", *words, home=home, env=environment(home, **secrets))


def make_words(url):
    words = ("zone=eu1.make.com", "organization=11", f"api={url}/api/v2")
    return ["--source", "makecom", *(part for word in words for part in ("--set", word))]


def test_from_init_over_validate_to_shipped_events(home):
    make = Make()
    with serving(make) as url:
        done = init(home, *make_words(url), FIELDTRAIL_INIT_MAKECOM_TOKEN=TOKEN)
        assert done.code == 0, done
        missing = "needs the Enterprise plan and organization:read; using runs and blueprint diffs"
        (warned,) = (line for line in done.out.splitlines() if line.startswith("warn"))
        assert warned.startswith("warn input makecom: audit_log: 403 on ") and warned.endswith(missing)
        assert "ok   input makecom: runs: GET /scenarios/{parent.id}/logs: answers, with an item" in done.out
        assert "next: fieldtrail run -c fieldtrail.yaml" in done.out
        again = run("validate", "-c", "fieldtrail.yaml", "--connect", home=home)
        assert again.code == 0 and warned in again.out
        told = run("validate", "-c", "fieldtrail.yaml", "--connect", "--json", home=home).json
        assert told["ok"] and [one["step"] for one in told["steps"] if one["degraded"]] == ["audit_log"]
        shipped = run("run", "--once", "-c", "fieldtrail.yaml", home=home)
        assert shipped.code == 74, "the audit log could not be read"
        path = home / "fieldtrail.yaml"
        text = path.read_text()
        path.write_text(
            text.replace("    preset: makecom\n", "    preset: makecom\n    choose: {audit_log: {enabled: false}}\n")
        )
        assert run("run", "--once", "-c", "fieldtrail.yaml", home=home).code == 0, "what is not wanted is not missed"
    found = run("search", "-c", "fieldtrail.yaml", "event.id:ab", "--json", home=home)
    assert orjson.loads(found.out.splitlines()[0])["event"]["module"] == "makecom"
    everything = "".join(path.read_text(errors="replace") for path in home.glob("*.yaml")) + done.out + done.err
    assert TOKEN not in everything + shipped.err


@pytest.mark.parametrize(("closed", "token"), [(("/",), TOKEN), ((), "another token")], ids=["no right", "no token"])
def test_where_nothing_can_be_used_it_fails_as_validate_does_and_what_was_written_stays(home, closed, token):
    with serving(Make(closed)) as url:
        done = init(home, *make_words(url), FIELDTRAIL_INIT_MAKECOM_TOKEN=token)
        assert done.code == 69, done
        assert "FAIL input makecom:" in done.out and "warn" not in done.out
        assert run("validate", "-c", "fieldtrail.yaml", "--connect", home=home).code == 69
    assert "next: mend what failed" in done.out
    assert (home / "fieldtrail.yaml").exists()
    assert token not in done.out + done.err


def test_the_status_of_a_running_agent_tells_how_each_listing_is(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(TOKEN)
    place = Place(tmp_path)
    section = {
        "id": "makecom",
        "type": "poll",
        "preset": "makecom",
        "settings": {"zone": "eu1.make.com", "organization": "11"},
        "auth": {"token": {"token_file": str(secret)}},
    }
    try:
        with serving(Make()) as url:
            place.write(inputs=[{**section, "api": f"{url}/api/v2"}])
            place.start()

            def listing(name):
                told = place.cli("status").out
                return next((line.split() for line in told.splitlines() if f" {name} " in f"{line} "), [])

            eventually(lambda: "FAILING" in listing("audit_log"), "the audit log that the plan lacks")
            eventually(lambda: listing("runs")[2:3] == ["waiting"], "the runs are read")
            told = place.cli("status").out
            assert (
                "makecom: audit_log: 403 on GET /audit-logs/organization/{organization}: needs the Enterprise plan"
                in told
            )
            assert re.search(r"^makecom +audit_log +FAILING +not read yet +\d", told, re.MULTILINE)
            assert re.search(r"^makecom +runs +waiting +\d[\d.]* (s|min) +\d+ (s|min)", told, re.MULTILINE)
    finally:
        place.close()


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_listeners_are_tried_by_their_addresses_and_keys(home):
    ports = [free(), free()]
    words = ["--source", "webhook", "--set", f"webhook.listen=127.0.0.1:{ports[0]}"]
    words += ["--source", "syslog", "--set", f"syslog.listen=udp://127.0.0.1:{ports[1]} tcp://127.0.0.1:{ports[1]}"]
    done = init(home, *words)
    assert done.code == 0, done
    for said in (
        "ok   input webhook: keys: 1 secret",
        f"ok   input webhook: listen: 127.0.0.1:{ports[0]}/in/app",
        f"ok   input syslog: listen: udp://127.0.0.1:{ports[1]}",
        f"ok   input syslog: listen: tcp://127.0.0.1:{ports[1]}",
    ):
        assert said in done.out, done
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        (home / "fieldtrail" / "secrets" / "webhook.secret").write_text("\n")
        tried = run("validate", "-c", "fieldtrail.yaml", "--connect", home=home)
    assert tried.code == 69
    assert "FAIL input webhook: keys:" in tried.out and "the secret is empty" in tried.out
    assert f"FAIL input webhook: listen: 127.0.0.1:{ports[0]}/in/app: Address already in use" in tried.out


def test_files_are_tried_too_and_none_yet_is_no_failure(home):
    done = init(home, "--source", "sshd", "--set", f"paths={home}/*.log")
    assert done.code == 0, done
    assert f"ok   input sshd: match: {home}/*.log: 0 files now" in done.out


# -- a terminal --------------------------------------------------------------------------------------------------------


class Terminal:
    """`fieldtrail init …` with a terminal of its own; what it shows, echo included, is in `seen`."""

    def __init__(self, home, *words):
        self.master, slave = pty.openpty()
        self.seen, self.rest = "", ""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *COMMAND, "init", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=home,
            env=environment(home, TERM="dumb"),
        )
        os.close(slave)

    def until(self, text):
        """Wait for a text behind what was waited for before."""
        end = time.monotonic() + PATIENCE
        while text not in self.rest:
            assert time.monotonic() < end, f"{text!r} never came: {self.seen}"
            if select.select([self.master], [], [], 0.1)[0]:
                self._take()
        self.rest = self.rest.partition(text)[2]
        return self

    def _take(self):
        got = os.read(self.master, 65536).decode(errors="replace")
        self.seen += got
        self.rest += got

    def type(self, text):
        os.write(self.master, text.encode())
        return self

    def end(self):
        """The exit code."""
        with contextlib.suppress(OSError):  # the other side is closed
            while True:
                self._take()
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(home):
    opened = []

    def start(*words):
        opened.append(Terminal(home, *words))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_at_a_terminal_it_asks_explains_hides_the_secret_and_asks_again(terminal, home):
    with serving(Make()) as url:
        one = terminal("--source", "makecom", "--set", f"api={url}/api/v2")
        one.until("in Make: the host in your browser's address").until("zone:").type("eu1 make\n")
        one.until("does not look like one").until("zone:").type("eu1.make.com\n")
        one.until("follows /organization/").until("organization:").type("11\n")
        one.until("team:").type("\n")
        one.until("Profile, API, Add token").until("token (not shown; or @FILE):").type(f"{TOKEN}\n")
        one.until("warn input makecom: audit_log")
        assert one.end() == 0, one.seen
    assert "eu1 make" in one.seen, "what is no secret is echoed"
    assert TOKEN not in one.seen
    section = yaml.safe_load((home / "fieldtrail.yaml").read_text())["inputs"][0]
    assert section["settings"] == {"zone": "eu1.make.com", "organization": "11"}
    (secret,) = (home / "fieldtrail" / "secrets").iterdir()
    assert secret.read_text() == f"{TOKEN}\n"


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "end of input"])
@pytest.mark.parametrize("secret", [False, True], ids=["a question", "a secret"])
def test_ctrl_c_and_the_end_of_input_end_it_and_leave_nothing_behind(terminal, home, key, secret):
    one = terminal("--source", "okta")
    one.until("domain:")
    if secret:
        one.type("acme.okta.example\n").until("token (not shown")
    time.sleep(0.2)  # the prompt of a secret changes the terminal's mode, and throws away what was typed before
    one.type(key)
    assert one.end() == 130, one.seen
    assert list(home.iterdir()) == []
