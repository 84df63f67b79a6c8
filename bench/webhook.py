"""The webhook listener: requests a second that are verified, kept and acknowledged, and how long an answer takes.

Usage: python -m bench.webhook [--seconds 10] [--connections 256] [--rate 1000] [--dir DIR]

One agent with one endpoint (scheme `fieldtrail`, a mapped JSON format, file output) is held on one core, this
client on another. Bodies have 256 bytes, each is signed and tells another change. First as many requests as go, each
connection sending the next when the last is answered; then `--rate` a second on a clock, where the time of an answer
counts from the moment at which its request was due. At the end every request that was answered 200 must be one event.
"""

from __future__ import annotations

import argparse
import contextlib
import hmac
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import proc
from bench.conditions import conditions

ROOT = Path(__file__).resolve().parent.parent
SECRET = "bench-" + "0123456789abcdef"
SIZE = 256


def body(number: int) -> bytes:
    """A change, told in `SIZE` bytes."""
    told = {
        "ts": "2026-02-03T10:30:00Z",
        "user": {"id": "7", "email": "kim@co.example", "ip": "198.51.100.9"},
        "kind": "deal",
        "n": str(number),
        "changes": [{"field": "stage", "old": "open", "new": "won"}],
        "why": "",
    }
    bare = len(json.dumps(told, separators=(",", ":")))
    told["why"] = "x" * (SIZE - bare)
    return json.dumps(told, separators=(",", ":")).encode()


def request(number: int, stamp: str) -> bytes:
    """One signed request."""
    text = body(number)
    signature = hmac.digest(SECRET.encode(), stamp.encode() + b"." + text, "sha256").hex()
    head = (
        "POST /in/bench HTTP/1.1\r\nHost: hooks.example\r\nContent-Type: application/json\r\n"
        f"X-Fieldtrail-Signature: t={stamp},v1={signature}\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


class Client:
    """Connections that have one request each under way."""

    def __init__(self, port: int, connections: int) -> None:
        self.poll = select.epoll()
        self.free: deque[int] = deque()
        self.sockets: dict[int, socket.socket] = {}
        self.due: dict[int, float] = {}
        self.answers: Counter[int] = Counter()
        self.number = 0
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[one.fileno()] = one
            self.poll.register(one.fileno(), select.EPOLLIN)
            self.free.append(one.fileno())

    def send(self, due: float) -> None:
        """The next request, on a connection that is free."""
        place = self.free.popleft()
        self.due[place] = due
        self.sockets[place].send(request(self.number, str(int(time.time()))))
        self.number += 1

    def take(self, wait: float) -> list[float]:
        """Seconds that the answers took that came within `wait` seconds."""
        took = []
        for place, _ in self.poll.poll(wait):
            answer = self.sockets[place].recv(65536)
            if not answer:
                raise SystemExit("the agent closed a connection")
            self.answers[int(answer[9:12])] += 1
            took.append(time.monotonic() - self.due.pop(place))
            self.free.append(place)
        return took

    def settle(self) -> None:
        """Take what is under way, so that it counts for no other part."""
        end = time.monotonic() + 10
        while self.due and time.monotonic() < end:
            self.take(1)

    def close(self) -> None:
        """Take what is under way, and close."""
        self.settle()
        self.poll.close()
        for one in self.sockets.values():
            one.close()


def as_many_as_go(client: Client, seconds: float) -> tuple[float, list[float]]:
    """Requests a second, and the seconds that answers took."""
    began, took = time.monotonic(), []
    while time.monotonic() - began < seconds:
        while client.free:
            client.send(time.monotonic())
        took += client.take(1)
    return len(took) / (time.monotonic() - began), took


def at_a_rate(client: Client, seconds: float, rate: float) -> tuple[float, list[float]]:
    """The same with requests on a clock."""
    began, sent, took = time.monotonic(), 0, []
    while sent < seconds * rate:
        now = time.monotonic()
        while sent < (now - began) * rate and client.free:
            client.send(began + sent / rate)
            sent += 1
        took += client.take(max(0.0, min(0.05, began + sent / rate - time.monotonic())))
    while client.due:
        took += client.take(1)
    return len(took) / (time.monotonic() - began), took


@contextlib.contextmanager
def agent(folder: Path, core: int) -> Iterator[tuple[int, int, Path]]:
    """(process id, port, archive) of an agent that listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    archive = folder / "events.ndjson"
    (folder / "c.yaml").write_text(
        f"""
agent: {{name: bench, origin: bench.example/audit, state_dir: {folder}/state}}
inputs:
  - id: hook
    type: webhook
    listen: 127.0.0.1:{port}
    path: /in/bench
    format: own
    auth: {{fieldtrail: {{secret: {SECRET}}}}}
formats:
  own:
    decode: json
    time: {{field: ts}}
    map:
      user.id: user.id
      user.email: user.email
      source.ip: user.ip
      trail.object.type: kind
      trail.object.id: n
      event.reason: why
    changes: {{list: changes}}
    default_action: field.update
outputs: [{{id: archive, type: file, path: {archive}}}]
""",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        ["taskset", "-c", str(core), sys.executable, "-m", "shipper", "run", "-c", str(folder / "c.yaml")],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        time.sleep(1)
        yield process.pid, port, archive
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def described(rate: float, took: list[float], cpu: float) -> dict[str, Any]:
    """The figures of one part."""
    cuts = statistics.quantiles(took, n=1000)
    return {
        "requests a second": round(rate),
        "answers": len(took),
        "ms, median": round(cuts[499] * 1000, 1),
        "ms, 99 of 100": round(cuts[989] * 1000, 1),
        "ms, 999 of 1000": round(cuts[998] * 1000, 1),
        "ms, the longest": round(max(took) * 1000, 1),
        "agent's CPU, cores": round(cpu, 2),
    }


def events_in(archive: Path) -> Counter[str]:
    """Object id -> events."""
    found: Counter[str] = Counter()
    with archive.open("rb") as lines:
        for line in lines:
            told = json.loads(line)["trail"]
            if "object" in told:
                found[told["object"]["id"]] += 1
    return found


def main() -> int:
    """Measure, print JSON; 1 where a figure of conservation is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        told: dict[str, Any] = {"conditions": conditions(folder.resolve(), 0, 1, {})}
        told["conditions"] |= {"connections": options.connections, "body, bytes": len(body(0)), "aiohttp": _aiohttp()}
        with agent(folder, cores[0]) as (pid, port, archive):
            os.sched_setaffinity(0, {cores[-1]})
            client = Client(port, options.connections)
            as_many_as_go(client, 2)  # so that the agent knows such records
            for part, work in {
                "as many as go": lambda: as_many_as_go(client, options.seconds),
                f"{options.rate:.0f} a second": lambda: at_a_rate(client, options.seconds, options.rate),
            }.items():
                client.settle()
                before, began = proc.cpu(pid), time.monotonic()
                rate, took = work()
                told[part] = described(rate, took, (proc.cpu(pid) - before) / (time.monotonic() - began))
            told["memory at the most, MiB"] = round(proc.peak(pid) / 2**20)
            client.close()
        events = events_in(archive)
    told["answers"] = dict(client.answers)
    told["events"] = sum(events.values())
    told["records told twice"] = sum(count > 1 for count in events.values())
    print(json.dumps(told, indent=1))
    right = told["events"] >= client.answers[200] and not told["records told twice"]
    return 0 if right else 1


def _aiohttp() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - for one line

    return version("aiohttp")


if __name__ == "__main__":
    raise SystemExit(main())
