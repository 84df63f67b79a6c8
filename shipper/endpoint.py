"""The HTTP endpoint for monitoring: `/metrics`, `/healthz`, `/readyz`. Off unless `metrics:` is configured.

Whoever can connect may be hostile or broken: a request's head is bounded in bytes and in time, there are only so many
requests at once, each connection serves one request, only GET and HEAD are answered. The answers hold ids and figures.
"""

from __future__ import annotations

import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson

from shipper import telemetry
from shipper._listening import MetricsSection
from shipper.errors import ConfigError
from shipper.metrics import exposition
from shipper.status import Observer

HEAD_BYTES: Final = 8192
HEAD_SECONDS: Final = 5.0
"""For the whole head of a request, however it drips; an answer must be taken in as long."""
MOST_REQUESTS: Final = 8
POLL: Final = 0.5
"""Seconds between two looks whether to stop."""
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

Page = Callable[[], tuple[HTTPStatus, str, bytes]]
"""Status, content type and body of a path."""


class Endpoint(ThreadingHTTPServer):
    """Binds at construction; answers between `serve` and `close`. Raises `ConfigError` where it cannot bind."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, section: MetricsSection, *, head_seconds: float = HEAD_SECONDS) -> None:
        """`head_seconds`: instead of `HEAD_SECONDS`."""
        host, port = section.address
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.head_seconds = head_seconds
        self.pages: dict[str, Page] = {}
        self._free = threading.Semaphore(MOST_REQUESTS)
        self._thread: threading.Thread | None = None
        self._told = False
        try:
            super().__init__((host, port), _Request)
        except OSError as error:
            raise ConfigError(
                "listen for metrics",
                section.listen,
                error.strerror or str(error),
                f"ss -ltnp 'sport = :{port}', or another address in metrics.listen",
            ) from None

    def server_bind(self) -> None:
        """Bind, without asking a name server for our name as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # as its base does

    def serve(self, observer: Observer) -> None:
        """Answer from now on."""
        metrics = exposition(observer.status)
        self.pages = {
            "/metrics": lambda: (HTTPStatus.OK, TEXT, metrics()),
            "/healthz": lambda: _verdict(observer.faults()),
            "/readyz": lambda: _verdict(observer.unready()),
        }
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()

    # -- requests, called by the base classes -------------------------------------------------------------------------

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a request a thread of its own, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a page meets is told by `failed`; what is left are callers that went away."""

    def failed(self, error: Exception) -> None:
        """A page could not be made; told once, since it will be asked for again and again."""
        if not self._told:
            self._told = True
            telemetry.metrics_failed(cause=f"{type(error).__name__}: {error}")


def _verdict(reasons: list[str]) -> tuple[HTTPStatus, str, bytes]:
    body = orjson.dumps({"ok": not reasons, "reasons": reasons}, option=orjson.OPT_APPEND_NEWLINE)
    return (HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK), "application/json", body


class _Request(BaseHTTPRequestHandler):
    """One connection: one request, one answer."""

    server: Endpoint
    server_version, sys_version = "fieldtrail", ""

    def handle(self) -> None:
        head = self._head()
        if head is None:
            return
        self.rfile = io.BytesIO(head)
        self.connection.settimeout(self.server.head_seconds)
        self.handle_one_request()

    def _head(self) -> bytes | None:
        """All up to the empty line; None where the caller is too slow, says too much, or goes away."""
        head, until = b"", time.monotonic() + self.server.head_seconds
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            left = until - time.monotonic()
            if left <= 0 or len(head) > HEAD_BYTES:
                return None
            self.connection.settimeout(left)
            try:
                data = self.connection.recv(HEAD_BYTES)
            except OSError:
                return None
            if not data:
                return None
            head += data
        return head

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The base class asks for `do_` and the method that a caller names."""
        if name in {"do_GET", "do_HEAD"}:
            return self._give
        if name.startswith("do_"):
            return lambda: self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", b"GET or HEAD\n")
        raise AttributeError(name)

    def _give(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"/metrics /healthz /readyz\n")
            return
        try:
            made = page()
        except Exception as error:  # noqa: BLE001 - a page that cannot be made is told to the caller and in the log
            self.server.failed(error)
            made = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", b"see the agent's log\n"
        self._answer(*made)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Nothing: callers come every few seconds."""
