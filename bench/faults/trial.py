"""One trial: an agent, a folder with logs that one writer writes, a sink; and the count of what arrived.

Every line carries a token: a letter for its stream and its number, as `A00000042E`. It stands in what Fieldtrail makes
of the line and in the line itself, which is what the peers send.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from bench.failed import Failed
from bench.faults.agents import FIELDTRAIL, Agent, configured

RATE = 1500
"""Lines a second that the writer writes."""
PATIENCE, QUIET = 20.0, 12.0
"""Seconds: for something that must come; without growth until it counts as lost (Fieldtrail waits ten at most)."""
AFTER = 1.5
"""Seconds that are left for repeats once everything has arrived."""
SPREAD = 10
"""Lines that the writer writes at once."""

_token = re.compile(rb'"([A-Z])(\d{8})E"')


class Count(NamedTuple):
    """What became of the lines of a trial, or the worst of several."""

    written: int
    lost: int
    doubled: int
    """Arrivals beyond one a line."""
    disordered: int
    """Lines that arrived first after one that was written later, within their stream."""
    torn: int
    """Arrivals that are not a whole line that was written."""

    @property
    def kept(self) -> bool:
        """Whether each line arrived once, whole and in order."""
        return not any(self[1:])


def line(stream: str, number: int) -> bytes:
    """A line of the log: one change of one record."""
    change = {"field": "stage", "old": f"a{number}", "new": f"b{number}"}
    told = {"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "offer", "n": f"{stream}{number:08}E"}
    return json.dumps({**told, "changes": [change]}).encode() + b"\n"


class Log:
    """The writer: numbered lines at a fixed rate to a file that it holds open, as a program would."""

    def __init__(self, path: Path, stream: str, written: Counter[str]) -> None:
        self.path, self.stream, self._written = path, stream, written
        self._number = 0
        self.reopen()

    def reopen(self) -> None:
        """Open the path (anew), to append."""
        self._file = self.path.open("ab", buffering=0)

    def raw(self, data: bytes) -> None:
        """Write as it is."""
        self._file.write(data)

    def next(self) -> bytes:
        """The next line, counted as written."""
        self._number += 1
        self._written[f"{self.stream}{self._number:08}E"] += 1
        return line(self.stream, self._number)

    def write(self, count: int, *, rate: float = RATE) -> None:
        """So many lines, a few at once."""
        began = time.monotonic()
        for done in range(0, count, SPREAD):
            for _ in range(min(SPREAD, count - done)):
                self.raw(self.next())
            time.sleep(max(0.0, began + (done + SPREAD) / rate - time.monotonic()))

    def rotate(self) -> None:
        """By renaming: app.log becomes app.log.1, that becomes app.log.2, and so on; the new one is opened."""
        self.shift()
        self.path.rename(f"{self.path}.1")
        self._file.close()
        self.reopen()

    def shift(self) -> None:
        """Make room for app.log.1."""
        for number in range(9, 0, -1):
            old = Path(f"{self.path}.{number}")
            if old.exists():
                old.rename(f"{self.path}.{number + 1}")

    def copytruncate(self) -> None:
        """Copy to app.log.1, truncate; nobody writes meanwhile."""
        self.shift()
        Path(f"{self.path}.1").write_bytes(self.path.read_bytes())
        self._file.truncate(0)

    def truncate(self) -> None:
        """Throw away what is in it."""
        self._file.truncate(0)

    def close(self) -> None:
        """Done writing."""
        self._file.close()


class Trial:
    """An agent with the place it works in. `transport`: `file`, or how the receiver is spoken to."""

    def __init__(self, agent: Agent, folder: Path, transport: str = "file") -> None:
        self.agent, self.folder, self.logs = agent, folder, folder / "logs"
        self.logs.mkdir(parents=True)
        self.sink = folder / "sink"
        self.written: Counter[str] = Counter()
        self.unnumbered: set[bytes] = set()
        """What else stands in the logs and is not counted."""
        self.transport, self._port = transport, _free_port()
        self._how = configured(agent, folder, transport, self._port)
        self._process: subprocess.Popen[bytes] | None = None
        self._receiver: subprocess.Popen[bytes] | None = None
        self._open: list[Log] = []
        if transport != "file":
            self.receiver_start()

    # -- what scenarios do ---------------------------------------------------------------------------------------------

    def log(self, name: str = "app.log", stream: str = "A") -> Log:
        """A log that is written from now on."""
        log = Log(self.logs / name, stream, self.written)
        self._open.append(log)
        return log

    def start(self) -> None:
        """Start the agent."""
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                self._how.argv, env=dict(self._how.env), cwd=self.folder, stdout=said, stderr=said
            )

    def stop(self) -> None:
        """Ask the agent to end, and wait for that."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the agent as a crash would."""
        self._end(signal.SIGKILL)

    def receiver_start(self) -> None:
        """Start the receiver, and wait until it listens."""
        program = Path(__file__).with_name("receiver.py")
        argv = [sys.executable, "-S", str(program), self.transport, str(self._port), str(self.sink)]
        self._receiver = subprocess.Popen(argv)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                if time.monotonic() > end:
                    raise Failed(70, "the receiver does not listen", " ".join(argv)) from None
                time.sleep(0.02)
            else:
                return

    def receiver_kill(self) -> None:
        """End the receiver as a crash would."""
        assert self._receiver is not None
        self._receiver.kill()
        self._receiver.wait()

    def arrived(self) -> None:
        """Wait until everything that was written has arrived, or it is clear that it will not."""
        grown, size, end = time.monotonic(), -1, time.monotonic() + 5 * PATIENCE
        while time.monotonic() < end:
            now = self.sink.stat().st_size if self.sink.exists() else 0
            if now != size:
                grown, size = time.monotonic(), now
                if not self.count().lost:
                    return
            if time.monotonic() - grown > QUIET:
                return
            time.sleep(0.25)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finished(self) -> Count:
        """Wait for what still comes, end the agent in good order, and count."""
        self.arrived()
        time.sleep(AFTER)
        ended = self._process is not None and self._process.poll()
        if ended:
            said = (self.folder / "said").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise Failed(70, f"{self.agent.title} ended with {ended}:\n{said}", " ".join(self._how.argv))
        self.stop()
        return self.count()

    def count(self) -> Count:
        """What has arrived so far against what was written."""
        seen: Counter[str] = Counter()
        highest: dict[bytes, int] = {}
        disordered = torn = 0
        with self.sink.open("rb") if self.sink.exists() else Path("/dev/null").open("rb") as sink:
            for text in sink:
                found = _token.search(text)
                if found is None or not self._whole(text, found[1].decode(), int(found[2])):
                    torn += not self._allowed(text.strip())
                    continue
                stream, number, token = found[1], int(found[2]), found[0][1:-1].decode()
                if not seen[token]:
                    disordered += number < highest.get(stream, 0)
                    highest[stream] = max(highest.get(stream, 0), number)
                seen[token] += 1
        lost = sum(max(0, wanted - seen[token]) for token, wanted in self.written.items())
        doubled = sum(max(0, came - self.written[token]) for token, came in seen.items())
        return Count(sum(self.written.values()), lost, doubled, disordered, torn)

    def close(self) -> None:
        """End what still runs."""
        for log in self._open:
            log.close()
        for process in (self._process, self._receiver):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def _whole(self, text: bytes, stream: str, number: int) -> bool:
        # The peers send the line as it is; a document of Fieldtrail's is the last thing in its line.
        return (self.agent.product == FIELDTRAIL and text.endswith(b"}\n")) or text == line(stream, number)

    def _allowed(self, text: bytes) -> bool:
        # Fieldtrail sends documents of its own, of which none has a number.
        return not text or text in self.unnumbered or (self.agent.product == FIELDTRAIL and text.endswith(b"}"))

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
