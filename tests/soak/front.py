"""An HTTP server before OpenSearch that refuses on demand: no product answers 429 or 413 when it is asked to.

Everything else is handed on, so that what is stored and what is answered are the real server's doing.
"""

import gzip
import http.client
import json
import random
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
_HOP = {"connection", "content-length", "transfer-encoding", "keep-alive", "host"}
_BUSY = {"type": "rejected_execution_exception", "reason": "the soak's storm"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        front = self.server.front
        if self.path.partition("?")[0] == "/_bulk":
            if front.busy:
                front.refused += 1
                self._answer(
                    429, b'{"error":{"type":"rejected_execution_exception"},"status":429}', {"retry-after": "1"}
                )
                return
            if front.limit and len(body) > front.limit:
                front.refused += 1
                self._answer(413, b"", {})
                return
            if front.items_busy:
                self._some(body)
                return
        self._pass(body, dict(self.headers.items()))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that http.server calls

    def _pass(self, body, headers):
        got = self._ask(body, headers)
        if got is not None:
            status, told, content = got
            self._answer(status, content, told)

    def _some(self, body):
        """Every third document or so is answered 429, the others are handed on."""
        headers = dict(self.headers.items())
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-encoding"}
        rows = body.split(b"\n")
        pairs = list(zip(rows[0:-1:2], rows[1:-1:2], strict=True))
        taken = [random.random() > 1 / 3 for _ in pairs]
        if not any(taken):
            taken[0] = True
        rest = b"".join(b"%b\n%b\n" % pair for pair, take in zip(pairs, taken, strict=True) if take)
        got = self._ask(rest, headers)
        if got is None:
            return
        status, told, content = got
        if status == 200:
            answer = json.loads(content)
            real = iter(answer["items"])
            refused = {"create": {"status": 429, "error": _BUSY}}
            answer["items"] = [next(real) if take else refused for take in taken]
            answer["errors"] = answer["errors"] or not all(taken)
            self.server.front.refused += taken.count(False)
            content = json.dumps(answer, separators=(",", ":")).encode()
        self._answer(status, content, told)

    def _ask(self, body, headers):
        """(status, headers, content) of OpenSearch; None, and the client's connection cut, where it gives no answer."""
        connection = http.client.HTTPConnection(HOST, self.server.front.target, timeout=60)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body, kept)
            answer = connection.getresponse()
            told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, told, answer.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return None
        finally:
            connection.close()

    def _answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass

    def finish(self):
        with suppress(OSError):
            super().finish()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client whose connection a fault has cut


class Front:
    """The server. `target`: the port of OpenSearch. `refused`: requests and documents that were answered 429 or 413."""

    def __init__(self, target):
        self.target = target
        self.busy = False
        """Every `_bulk` request is answered 429."""
        self.items_busy = False
        """A third of the documents are answered 429."""
        self.limit = 0
        """A `_bulk` body of more bytes is answered 413; 0 = none is."""
        self.refused = 0
        self._http = _Server((HOST, 0), _Handler)
        self._http.front = self
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="front", daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
