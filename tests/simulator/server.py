"""The server: every vendor below a path of its own (`http://127.0.0.1:PORT/keap/…`), faults on the way."""

import contextlib
import email.utils
import http.server
import threading
import urllib.parse

from tests.simulator.vendor import Answer, Request

PATIENCE = 30.0


class Server:
    """`with Server(world, [vendor, …], faults) as server:` -> `server.url("keap")`."""

    def __init__(self, world, vendors, faults, *, skew=0.0):
        """`skew`: seconds by which the vendors' `Date` is ahead of the machine's clock."""
        self.vendors = {one.name: one for one in vendors}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def _serve(self):
                outer._serve(self, world, faults, skew)

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

            def log_message(self, *words):
                """Nothing."""

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """An agent that is killed leaves connections behind."""

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def url(self, vendor):
        """Where a vendor's API begins."""
        return f"http://127.0.0.1:{self.port}/{vendor}"

    def _serve(self, handler, world, faults, skew):
        parts = urllib.parse.urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        name, _, path = parts.path.lstrip("/").partition("/")
        query = {key: values[0] for key, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {key.lower(): value for key, value in handler.headers.items()}
        request = Request(handler.command, f"/{path}", query, headers, body)
        vendor = self.vendors.get(name)
        fault = faults.next(name) if vendor else None
        if fault == "reset":
            handler.close_connection = True
            return
        if fault in {"429", "500", "502", "503"}:
            wait = {"retry-after": "1"} if fault in {"429", "503"} else {}
            answer = Answer(int(fault), {"message": "try again later"}, wait)
        elif fault == "html":
            answer = Answer(502, b"<html><body>Bad gateway</body></html>", {"content-type": "text/html"})
        else:
            answer = vendor.answer(request) if vendor else Answer(404, {"message": "no such vendor"})
        held = faults.held(name, request.path) if answer.status == 200 else None
        with contextlib.suppress(OSError):
            self._send(handler, answer, world.clock.now() + skew, half=fault == "half", held=held)
            # Who asked for an answer that was held is gone.
            if fault != "half" and answer.status == 200 and held is None:
                world.show(answer.shown)

    def _send(self, handler, answer, now, *, half, held):
        data = answer.data
        handler.send_response_only(answer.status)
        handler.send_header("date", email.utils.formatdate(now, usegmt=True))
        for key, value in {"content-type": "application/json", **answer.headers}.items():
            handler.send_header(key, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        if half or held:
            handler.wfile.write(data[: len(data) // 2])
            handler.wfile.flush()
            handler.close_connection = True
            if not held:
                return
            held[0].set()
            held[1].wait(PATIENCE)
            data = data[len(data) // 2 :]
        handler.wfile.write(data)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)
