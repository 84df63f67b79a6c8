"""A stand-in for the import route of OpenSearch Dashboards, on loopback: takes and refuses as its source says."""

import base64
import email
import email.policy
import http.server
import json
import threading

TYPES = {"index-pattern", "search", "visualization", "dashboard"}


def _error(status, name, message):
    return status, {"statusCode": status, "error": name, "message": message}


class DashboardsServer:
    """`objects`: what it holds, by (type, id). `base`: server.basePath, with a rewrite. `account`: "user:password".

    `refuse(object)` -> an `error` for it, or None. `answer`: (status, body) or (status, body, headers) of every import.
    `home`: the same of `GET /`.
    """

    def __init__(self, *, base="", account=None, refuse=lambda one: None, answer=None, home=None):
        self.objects, self.headers = {}, []
        self.base, self.account, self.refuse, self.answer, self.home = base, account, refuse, answer, home
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self._tell(*(outer.home or _error(404, "Not Found", "Not Found")))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.headers.append(self.headers)
                self._tell(*(outer.answer or outer._import(self.path, self.headers, body)))

            def _tell(self, status, content, headers=()):
                text = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words):
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{base}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)

    def _import(self, path, headers, body):
        if path != f"{self.base}/api/saved_objects/_import?overwrite=true":
            return _error(404, "Not Found", "Not Found")
        if self.account and headers["authorization"] != "Basic " + base64.b64encode(self.account.encode()).decode():
            return _error(401, "Unauthorized", "Authentication required")
        if headers["osd-xsrf"] is None:
            return _error(400, "Bad Request", "Request must contain the osd-xsrf header.")
        head = b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n"
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        (part,) = form.iter_parts()
        if part.get_param("name", header="content-disposition") != "file":
            return _error(400, "Bad Request", "[request body.file]: expected value of type [Stream]")
        if not part.get_filename().endswith(".ndjson"):
            return _error(400, "Bad Request", f"Invalid file extension {part.get_filename()}")
        return self._take([json.loads(line) for line in part.get_payload(decode=True).splitlines()])

    def _take(self, given):
        names = [(one["type"], one["id"]) for one in given]
        if len(names) != len(set(names)):
            return _error(400, "Bad Request", "Non-unique import objects detected")
        errors = []
        for one in given:
            gone = [
                {"type": to["type"], "id": to["id"]}
                for to in one["references"]
                if (to["type"], to["id"]) not in {*names, *self.objects}
            ]
            error = self.refuse(one)
            if one["type"] not in TYPES:
                error = {"type": "unsupported_type"}
            elif gone:
                error = {"type": "missing_references", "references": gone}
            if error:
                errors.append({"type": one["type"], "id": one["id"], "title": "", "error": error})
            else:
                self.objects[one["type"], one["id"]] = one
        told = {"success": not errors, "successCount": len(given) - len(errors)}
        return 200, {**told, **({"errors": errors} if errors else {})}
