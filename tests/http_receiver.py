"""A receiver of POSTs on loopback, for tests: keeps every request, answers as it is told."""

import http.server
import ssl
import threading
from types import SimpleNamespace


class HttpReceiver:
    """`answer(request)` -> status, or (status, headers), or (status, headers, body), or None to close without a word."""

    def __init__(self, answer=lambda request: 204, *, context=None):
        self.answer, self.requests, self.connections = answer, [], 0
        self._changed = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                if context is not None:
                    self.request = context.wrap_socket(self.request, server_side=True)
                outer.connections += 1
                super().setup()

            def finish(self):
                super().finish()
                if context is not None:
                    self.request.close()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                request = SimpleNamespace(path=self.path, headers=self.headers, body=body, handler=self)
                told = outer.answer(request)
                with outer._changed:
                    outer.requests.append(request)
                    outer._changed.notify_all()
                if told is None:
                    self.close_connection = True
                    return
                status, headers, text = (*((told,) if isinstance(told, int) else told), {}, b"")[:3]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words):
                """Nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A peer that goes away is what some tests want."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/hooks/in?key=k1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def bodies(self, count):
        """The bodies of the requests, as soon as there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, 20)
            return [request.body for request in self.requests]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)


def tls_context(authority, *names):
    """A server's context with a certificate of a trustme authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
