"""A small HTTP server on the loopback interface that answers as OpenSearch does until it is told to misbehave.

No product breaks on demand. This one keeps documents in a dictionary and knows only the requests that the output
makes. `faults` is the list of what goes wrong next: each `_bulk` request takes one, a callable that is given the
`Request` and answers it, badly; when the list is empty, requests are answered well.
"""

import contextlib
import gzip
import json
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from shipper.output_sections import OpenSearchSection
from shipper.outputs.opensearch import OpenSearchOutput
from shipper.templates import templates


class Request:
    """One request: its bytes, plain and as they were `sent`, and the ways to answer it."""

    def __init__(self, handler, server, body, sent):
        self.handler, self.server, self.body, self.sent = handler, server, body, sent
        parts = urlsplit(handler.path)
        self.method, self.path, self.query = handler.command, parts.path, parse_qs(parts.query)
        self.landed = lambda: None
        """To be called before the first byte of an answer: whoever has it may send the next request at once."""

    def answer(self, status, content=b"", **headers):
        """A complete response; names of headers are written with _ for -."""
        data = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
        self.landed()
        self.handler.send_response(status)
        given = {"content_type": "application/json", **headers}
        for name, value in given.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("content-length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def raw(self, data):
        """Bytes of our own making; the connection ends after them."""
        self.landed()
        self.handler.wfile.write(data)
        self.handler.wfile.flush()
        self.handler.close_connection = True

    def reset(self):
        """End the connection with a RST."""
        self.landed()
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The handler's files hold the socket as well: only when all are closed is it closed.
        self.handler.rfile.close()
        self.handler.wfile.close()
        self.handler.connection.close()
        self.handler.close_connection = True

    def lines(self):
        """(stream, id, document) of a bulk body."""
        rows = self.body.split(b"\n")
        assert rows[-1] == b"", "a bulk body ends with a newline"
        for action, document in zip(rows[0:-1:2], rows[1:-1:2], strict=True):
            meta = json.loads(action)["create"]
            yield meta["_index"], meta["_id"], document


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self):
        sent = body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.owner.handle(Request(self, self.server.owner, body, sent))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that http.server calls

    def log_message(self, *_):
        pass

    def finish(self):
        with contextlib.suppress(OSError, ValueError):  # reset() has closed the files
            super().finish()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that gave up is what some tests are about


class FaultyOpenSearch:
    """The server. `documents`: (concrete index, id) -> bytes. `asked`: how often which path was called."""

    def __init__(self):
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.documents = {}
        self.generation = Counter()
        self.asked = Counter()
        self.bulk_sizes = []
        self.faults = []
        self.always = None
        """What answers every `_bulk` request when no fault is left; None = well."""
        self.root = {"version": {"distribution": "opensearch", "number": "3.8.0"}}
        self.templates = templates()["index_templates"]
        self.plain = []
        self.front = None
        """What answers every other request; None = well."""
        self.guard = None
        """`guard(request)` may answer any request before all else and returns whether it did; None = all may pass."""
        self.delay = 0.0
        """Seconds before each `_bulk` request is answered."""
        self.most = self.most_bytes = 0
        """The most `_bulk` requests that were under way at once, and their bytes."""
        self._flying = self._flying_bytes = 0
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def rollover(self, stream):
        """The stream's next backing index."""
        self.generation[stream] += 1

    def backing(self, stream):
        """The concrete index that is written to now."""
        return f".ds-{stream}-{self.generation[stream] + 1:06d}"

    # -- answers ------------------------------------------------------------------------------------------------------

    def handle(self, request):
        with self._lock:
            self.asked[f"{request.method} {request.path.rpartition('/')[2]}"] += 1
        if self.guard is not None and self.guard(request):
            return
        if request.path == "/_bulk":
            self._bulk(request)
        elif self.front is not None:
            self.front(request)
        elif request.path == "/":
            request.answer(200, self.root)
        elif request.path == "/_index_template":
            entries = [
                {"name": name, "index_template": {**body, "data_stream": {"timestamp_field": {"name": "@timestamp"}}}}
                for name, body in self.templates.items()
            ]
            request.answer(200, {"index_templates": entries} if entries else {})
        elif request.path.startswith("/_resolve/index/"):
            request.answer(200, {"indices": [{"name": name} for name in self.plain], "data_streams": []})
        elif request.path.endswith("/_refresh"):
            request.answer(200, {"_shards": {"total": 1, "successful": 1, "failed": 0}})
        elif request.path.endswith("/_search"):
            self._search(request)
        elif request.path == "/_mget":
            self._mget(request)
        else:
            request.answer(404, {"error": "no such path", "status": 404})

    def _bulk(self, request):
        with self._lock:
            self.bulk_sizes.append(len(request.body))
            fault = self.faults.pop(0) if self.faults else self.always or good
            self._flying += 1
            self._flying_bytes += len(request.body)
            self.most, self.most_bytes = max(self.most, self._flying), max(self.most_bytes, self._flying_bytes)
        request.landed = lambda: self._land(request)
        self.stopping.wait(self.delay)
        fault(request)
        request.landed()

    def _land(self, request):
        with self._lock:
            request.landed = lambda: None
            self._flying -= 1
            self._flying_bytes -= len(request.body)

    def _search(self, request):
        body = json.loads(request.body)
        hits = []
        if "ids" in body["query"]:
            wanted = set(body["query"]["ids"]["values"])
            hits = [
                {"_index": index, "_id": one, "_source": json.loads(data)}
                for (index, one), data in list(self.documents.items())
                if one in wanted
            ]
        elif "term" in body["query"]:
            log = body["query"]["term"]["seal.log"]
            found = [
                int(one[17:], 16)
                for _, one in self.documents
                if one.startswith(f"{log}-") and not one[17:].startswith("c")
            ]
            hits = [{"_index": "x", "_id": "x", "sort": [max(found)]}] if found else []
        request.answer(200, {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}})

    def _mget(self, request):
        docs = []
        for wanted in json.loads(request.body)["docs"]:
            data = self.documents.get((wanted["_index"], wanted["_id"]))
            docs.append({**wanted, "found": data is not None} | ({"_source": json.loads(data)} if data else {}))
        request.answer(200, {"docs": docs})

    def store(self, request, answer_of=None):
        """Store what `answer_of(id)` gives no other item for; the items of the answer."""
        items = []
        for stream, one, document in request.lines():
            index = self.backing(stream)
            item = answer_of(one) if answer_of else None
            if item is None and (index, one) in self.documents:
                item = {
                    "status": 409,
                    "error": {"type": "version_conflict_engine_exception", "reason": "there already"},
                }
            if item is None:
                self.documents[index, one] = document
                item = {"status": 201}
            items.append({"create": {"_index": index, **item}})
        return items


@contextlib.contextmanager
def outputs(**usual):
    """`make(url…, **section)`: an output that is open, with the settings of `usual`; all are closed at the end."""
    made = []

    def make(*hosts, **section):
        section = OpenSearchSection(id="siem", type="opensearch", hosts=hosts, **{**usual, **section})
        output = OpenSearchOutput(section, namespace="default")
        output.open({})
        made.append(output)
        return output

    try:
        yield make
    finally:
        for output in made:
            output.close()


# -- faults ------------------------------------------------------------------------------------------------------------


def good(request):
    """As the server does."""
    items = request.server.store(request)
    request.answer(200, {"took": 1, "errors": any("error" in item["create"] for item in items), "items": items})


def status(code, content=b"", **headers):
    """This status and nothing stored."""
    return lambda request: request.answer(code, content, **headers)


def error(code, kind, reason="", **headers):
    """An error as OpenSearch writes it, for the request as a whole."""
    return status(code, {"error": {"type": kind, "reason": reason}, "status": code}, **headers)


def items(answer_of):
    """200, each item as `answer_of(id)` says, stored where that is None."""

    def answer(request):
        made = request.server.store(request, answer_of)
        request.answer(200, {"took": 1, "errors": True, "items": made})

    return answer


def item(code, kind, reason=""):
    """An item that failed."""
    return {"status": code, "error": {"type": kind, "reason": reason}}


def reset(request):
    """Nothing stored, connection reset."""
    request.reset()


def stored_then_reset(request):
    """All stored, and the answer lost."""
    request.server.store(request)
    request.reset()


def stored_then(fault):
    """All stored, and then this answer."""

    def answer(request):
        request.server.store(request)
        fault(request)

    return answer


def cut_short(request):
    """All stored, and an answer that ends in the middle."""
    body = json.dumps({"items": request.server.store(request)}).encode()
    request.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])


def fewer_items(request):
    """As a body that was cut short on its way is answered: 200, no errors, and one item missing."""
    made = request.server.store(request)
    request.answer(200, {"took": 1, "errors": False, "items": made[:-1]})


def drip(request):
    """A header now and then, for ever: each byte begins a socket's timeout anew."""
    request.handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(OSError):
        number = 0
        while not request.server.stopping.wait(0.05):
            number += 1
            request.handler.wfile.write(b"x-slow: %d\r\n" % number if number < 90 else b"x")
            request.handler.wfile.flush()
    request.handler.close_connection = True


def drip_body(request):
    """The same in the body of an HTTP/1.0 answer, whose end nothing announces."""
    request.handler.wfile.write(b'HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{"items":[')
    with contextlib.suppress(OSError):
        while not request.server.stopping.wait(0.05):
            request.handler.wfile.write(b" ")
            request.handler.wfile.flush()
    request.handler.close_connection = True


def silent(request):
    """Nothing stored, and never an answer: the other side has gone without a word."""
    request.server.stopping.wait(30)
    request.handler.close_connection = True


def stored_then_silent(request):
    """All stored, and never an answer."""
    request.server.store(request)
    silent(request)


def larger_than(limit, otherwise=good):
    """413 for a body above `limit` bytes, without a body of its own, as OpenSearch does."""
    return lambda request: request.answer(413) if len(request.body) > limit else otherwise(request)


def poisoned_by(identity, fault, otherwise=good):
    """`fault` for every request that holds this document."""
    return lambda request: (
        fault(request) if any(one == identity for _, one, _ in request.lines()) else otherwise(request)
    )
