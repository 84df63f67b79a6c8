"""The running agent's control socket (`control.sock`), for the command line. Local, mode 0600.

One JSON object per line: `{"cmd": "status"}` is answered with one object, and so is `{"cmd": "record", "value": {…}}`
(`recorded.py`), once it is kept; `{"cmd": "tap", "input": ID?}` with one event per line until the caller goes away. A
slow reader misses events of its tap, and never slows the agent.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from shipper import telemetry
from shipper.errors import UnavailableError
from shipper.model import Event

_TAP_DEPTH = 1000
_ANSWER = 10.0
"""Seconds for a status; it is a matter of milliseconds."""
_PAUSE = 0.1
"""Seconds before callers are taken again after one could not be: no descriptor or thread is left, or it went away."""


class ControlServer(threading.Thread):
    """Serves one state folder; `taps` is what the pipeline calls for each event while somebody watches."""

    def __init__(
        self,
        path: Path,
        status: Callable[[], dict[str, Any]],
        commands: Mapping[str, Callable[[Any], dict[str, Any]]] | None = None,
    ) -> None:
        """`commands`: further ones by name; each is given the request's `value`, whatever that is."""
        super().__init__(name="control", daemon=True)
        self._path, self._status, self._commands = path, status, dict(commands or {})
        self._queues: list[tuple[str | None, queue.Queue[Event]]] = []
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._closing = threading.Event()

    def begin(self) -> None:
        """Bind and start; a path too long for a socket is reported and the agent goes on without."""
        with contextlib.suppress(OSError):  # what is in the way makes `bind` fail, which is told
            self._path.unlink()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            old = os.umask(0o177)
            try:
                server.bind(str(self._path))
            finally:
                os.umask(old)
            server.listen(8)
        except OSError as error:
            server.close()
            telemetry.control_failed(cause=error.strerror or str(error))
            return
        self._socket = server
        self.start()

    @property
    def tap(self) -> Callable[[Event], None] | None:
        """The callback for the hot path, None while nobody watches."""
        return self._offer if self._queues else None

    def _offer(self, event: Event) -> None:
        with self._lock:
            for wanted, waiting in self._queues:
                if wanted is None or event["trail"].get("origin", {}).get("input") == wanted:
                    with contextlib.suppress(queue.Full):
                        waiting.put_nowait(event)

    def run(self) -> None:
        """Accept until closed; each caller has its own short-lived thread."""
        server = self._socket
        assert server is not None
        while not self._closing.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                self._closing.wait(_PAUSE)
                continue
            caller = threading.Thread(target=self._serve, args=(connection,), name="control-caller", daemon=True)
            try:
                caller.start()
            except RuntimeError:
                connection.close()
                self._closing.wait(_PAUSE)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            with connection.makefile("rb") as lines:
                line = lines.readline(65536)
            try:
                request = orjson.loads(line)
            except ValueError:
                return
            if not isinstance(request, dict):
                return
            name = request.get("cmd")
            if isinstance(name, str) and name in self._commands:
                connection.sendall(orjson.dumps(self._commands[name](request.get("value"))) + b"\n")
            elif name == "status":
                connection.sendall(orjson.dumps(self._status()) + b"\n")
            elif name == "tap":
                self._stream(connection, request.get("input"))

    def _stream(self, connection: socket.socket, wanted: str | None) -> None:
        mine: queue.Queue[Event] = queue.Queue(_TAP_DEPTH)
        entry = (wanted, mine)
        with self._lock:
            self._queues.append(entry)
        try:
            while not self._closing.is_set():
                try:
                    event = mine.get(timeout=0.5)
                except queue.Empty:
                    connection.sendall(b"\n")  # an empty line: finds out whether the caller is still there
                    continue
                connection.sendall(orjson.dumps(event) + b"\n")
        finally:
            with self._lock:
                self._queues.remove(entry)

    def close(self) -> None:
        """Stop serving and remove the socket."""
        self._closing.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):  # a disk that may not be written any more must not fail the end
                self._path.unlink()


def ask(folder: Path, request: dict[str, Any], *, timeout: float | None = None) -> Iterator[dict[str, Any]]:
    """Send one request to the agent of a state folder and yield its answers.

    `UnavailableError` when none runs, where it ends in the middle of an answer, or says nothing for `timeout` seconds.
    """
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(orjson.dumps(request) + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    if line.strip():
                        yield orjson.loads(line)
        except TimeoutError:
            raise UnavailableError(
                "ask the running agent", str(path), f"no answer within {timeout:g} s", "fieldtrail status, again"
            ) from None
        except ValueError:  # half a line
            raise UnavailableError("ask the running agent", str(path), "the agent ended", "fieldtrail status") from None
        except OSError as error:
            raise UnavailableError(
                "ask the running agent", str(path), error.strerror or str(error), "fieldtrail run"
            ) from None


def status_of(folder: Path) -> dict[str, Any]:
    """The running agent's figures; `UnavailableError` where there is none, or none that answers."""
    answer = next(ask(folder, {"cmd": "status"}, timeout=_ANSWER), None)
    if answer is None:
        raise UnavailableError("ask the running agent", str(folder), "it gave no answer", "fieldtrail status, again")
    return answer
