"""The real agent as a process of its own, in a folder of the test's own, started and killed by its process id.

`Place` is that folder: configuration, logs, state, archive. `Place.start()` gives a `Running` agent, `Place.once()` and
`Place.cli()` run a command to its end. Whatever a test starts is killed when the `place` fixture is done.
"""

import contextlib
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "shipper")
PATIENCE = 20.0
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Before a command: root without the capability to ignore mode bits."""

FORMAT = {
    "decode": "json",
    "time": {"field": "ts", "layout": "iso8601"},
    "map": {"user.name": "who", "trail.object.type": "kind", "trail.object.id": "n"},
    "changes": {"list": "changes"},
    "default_action": "field.update",
}


def line(number, **more):
    """One line of a log of format `app`: one change of the record that is called like its number."""
    change = {"field": "stage", "old": f"a{number}", "new": f"b{number}"}
    return json.dumps(
        {"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "offer", "n": str(number), "changes": [change], **more}
    )


def lines(first, count):
    """`count` lines from number `first` on, as bytes."""
    return "".join(line(number) + "\n" for number in range(first, first + count)).encode()


def eventually(look, what="", patience=PATIENCE):
    """The first true answer of `look`, asked again and again."""
    end = time.monotonic() + patience
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < end, f"never came true: {what or look}"
        time.sleep(0.02)


class Result:
    """What a command gave: `code`, `out`, `err` as text."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def logs(self):
        """The agent's own log lines."""
        return _logs(self.err)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


def _logs(text):
    found = []
    for one in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(one))
    return [one for one in found if isinstance(one, dict)]


def environment(home, **more):
    """The environment of a command: no configuration of this machine, no colours, this source tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FIELDTRAIL", "XDG_", "PYTEST"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **more}


def run(*words, home, prefix=(), stdin=b"", timeout=60, env=None, cwd=None):
    """Run `fieldtrail WORDS` to its end."""
    done = subprocess.run(
        [*prefix, *COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=env or environment(home),
        cwd=cwd or home,
        check=False,
    )
    result = Result(done)
    balanced(result.logs)
    return result


def inside(*words):
    """Run `fieldtrail WORDS` in this process: for the many short commands that only look at something."""
    from shipper.cli import main

    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.TextIOWrapper(io.BytesIO(), write_through=True)
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return Result(SimpleNamespace(returncode=code, stdout=out.buffer.getvalue(), stderr=err.buffer.getvalue()))


class Running:
    """An agent that runs until it is told or killed."""

    def __init__(self, place, words, prefix, stdin):
        self.place = place
        self._said = place.root / f"stderr-{len(place.running)}"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*prefix, *COMMAND, *map(str, words)],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment(place.root),
                cwd=place.root,
            )
        self.pid = self.process.pid

    @property
    def logs(self):
        return _logs(self._said.read_text(errors="replace"))

    def told(self, event):
        """The log lines of one kind."""
        return [one for one in self.logs if one["event"] == event]

    def wait_told(self, event, count=1):
        return eventually(lambda: len(self.told(event)) >= count and self.told(event), event)

    def ready(self):
        """Wait until it reads."""
        eventually(lambda: self.told("agent started") or self.process.poll() is not None, "agent started")
        assert self.process.poll() is None, self._said.read_text()
        return self

    def signal(self, number):
        os.kill(self.pid, number)

    def end(self, timeout=PATIENCE):
        """The exit code, once it has ended."""
        return self.process.wait(timeout)

    def terminate(self):
        """TERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.end()

    def peak(self):
        """The most memory it ever had, bytes."""
        told = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(one.split()[1]) * 1024 for one in told.splitlines() if one.startswith("VmHWM"))

    def kill(self):
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()


class Place:
    """A folder with a configuration that reads `logs/*.log` in format `app` into the store and into `archive.ndjson`."""

    def __init__(self, root):
        self.root = root
        self.state = root / "state"
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.config = root / "fieldtrail.yaml"
        self.archive = root / "archive.ndjson"
        self.running = []
        self.write()

    # -- the configuration ---------------------------------------------------------------------------------------------

    def write(self, **sections):
        """Write the configuration; a section given replaces the default, None leaves it out, dicts are merged."""
        document = {
            "agent": {"name": "t1", "origin": "test.example/audit", "state_dir": str(self.state)},
            "privacy": {"rules": [{"field": "secret", "action": "drop"}]},
            "inputs": [self.input()],
            "formats": {"app": FORMAT},
            "outputs": [{"id": "local", "type": "store"}, {"id": "archive", "type": "file", "path": str(self.archive)}],
        }
        for name, value in sections.items():
            if value is None:
                document.pop(name, None)
            elif isinstance(value, dict) and isinstance(document.get(name), dict):
                document[name] = {**document[name], **value}
            else:
                document[name] = value
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))
        return document

    def input(self, name="app", pattern="*.log", **more):
        return {
            "id": name,
            "type": "file",
            "paths": [f"{self.logs}/{pattern}"],
            "format": "app",
            "scan_interval": "50ms",
            **more,
        }

    def append(self, data, name="a.log"):
        with (self.logs / name).open("ab") as file:
            file.write(data)

    # -- commands ------------------------------------------------------------------------------------------------------

    def cli(self, *words):
        """A command with `-c`, in this process."""
        return inside(*self._with_config(words))

    def process(self, *words, **options):
        """A command with `-c`, in a process of its own."""
        return run(*self._with_config(words), home=self.root, **options)

    def _with_config(self, words):
        group = 2 if words[0] in {"dlq", "journal", "keys"} else 1
        return *words[:group], "-c", self.config, *words[group:]

    def once(self, **options):
        """One pass of the agent."""
        return self.process("run", "--once", **options)

    def start(self, *words, prefix=(), stdin=subprocess.DEVNULL):
        agent = Running(self, words or ("run", "-c", self.config), prefix, stdin)
        self.running.append(agent)
        return agent

    def status(self):
        """What the running agent says of itself, or None while it does not answer."""
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            asked.connect(str(self.state / "control.sock"))
            asked.sendall(b'{"cmd": "status"}\n')
            with asked.makefile("rb") as answer:
                return json.loads(answer.readline())
        return None

    def settled(self, read, name="app"):
        """Wait until so many lines were read and every output has everything; then the status, checked."""

        def look():
            status = self.status()
            if not status:
                return None
            source = next(one for one in status["inputs"] if one["id"] == name)
            # An event may be counted as read a moment before it counts as kept.
            events = sum(one["events"] for one in status["inputs"])
            quiet = all(not output["pending"] and output["kept"] >= events for output in status["outputs"])
            return status if source["read"] >= read and quiet else None

        status = eventually(look, f"{read} lines read and delivered")
        conserved(status)
        return status

    # -- what arrived --------------------------------------------------------------------------------------------------

    def stored(self):
        """The store's documents, in order of arrival."""
        with contextlib.closing(sqlite3.connect(self.state / "store.db")) as db:
            return [json.loads(row[0]) for row in db.execute("SELECT data FROM documents ORDER BY n")]

    def archived(self, path=None):
        """The archive's documents, in order: whole lines, for a running agent may be in the middle of the last one."""
        path = path or self.archive
        if not path.exists():
            return []
        return [json.loads(one) for one in path.read_bytes().splitlines(keepends=True) if one.endswith(b"\n")]

    def verify(self, *words):
        return self.cli("verify", *words)

    def verified(self):
        """Everything of this place is what was sealed."""
        for words in (["--store"], ["--ndjson", self.archive], ["--journal"]):
            done = self.verify(*words)
            assert done.code == 0, (words, done)

    def close(self):
        """End what still runs. Whatever the test did, no agent may have lost count of anything."""
        status = self.status() if any(agent.process.poll() is None for agent in self.running) else None
        for agent in self.running:
            if agent.process.poll() is None:
                agent.kill()
        for agent in self.running:
            balanced(agent.logs)
        if status is not None:
            conserved(status)


def conserved(status):
    """Nothing disappears: the equations of an agent at rest."""
    for one in status["inputs"]:
        parts = ("with_events", "rejected", "no_change", "filtered", "deduplicated")
        assert one["read"] == sum(one[name] for name in parts), one
    for one in status["outputs"]:
        parts = ("delivered", "dead_lettered", "filtered", "dropped", "pending")
        assert one["kept"] == sum(one[name] for name in parts), one


def balanced(logs):
    """Nothing disappeared: the books of every agent that came to its end."""
    for told in logs:
        if told.get("event") == "agent stopped":
            conserved({kind: list(told[kind].values()) for kind in ("inputs", "outputs")})


def numbers(documents):
    """The sequence numbers of the changes among documents, in order."""
    return [
        int(one["trail"]["object"]["id"])
        for one in documents
        if one["data_stream"]["dataset"] == "fieldtrail.change"
        and one["trail"].get("object", {}).get("type") == "offer"
    ]


def controls(documents, kind):
    """What the control leaves of one kind state."""
    return [one["trail"]["log"] for one in documents if one["trail"].get("control") == kind]


def checkpoints(documents):
    """(log, size) -> root of every checkpoint document."""
    found = {}
    for one in documents:
        told = one["trail"].get("checkpoint")
        if told:
            key = (told["log"], told["size"])
            assert found.setdefault(key, told["root"]) == told["root"], f"two roots for {key}"
    return found
