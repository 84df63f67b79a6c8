"""A sender of webhooks that does what vendors do: signs, waits for 2xx, and sends the same again until it gets one."""

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import time

SECRET = "a secret of the tests"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def section(port, name="hook", path="/in/hook", **more):
    """An input of type webhook in the format `app` of `agent_process`."""
    return {
        "id": name,
        "type": "webhook",
        "listen": f"127.0.0.1:{port}",
        "path": path,
        "format": "app",
        "auth": {"fieldtrail": {"secret": SECRET, "window": "1h"}},
        **more,
    }


def change(number):
    """One line of the format `app`, as a body."""
    changed = {"field": "stage", "old": f"a{number}", "new": f"b{number}"}
    told = {"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "offer", "n": str(number), "changes": [changed]}
    return json.dumps(told).encode()


def signed(body, secret=SECRET, stamp=None):
    """The headers of one delivery; to send it again, send them again."""
    stamp = str(int(time.time())) if stamp is None else stamp
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Fieldtrail-Signature": f"t={stamp},v1={signature}"}


def post(port, body, headers, path="/in/hook", timeout=20):
    """The status, or None where nobody answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    return None


def deliver(port, body, *, patience=60, path="/in/hook"):
    """Send one delivery until it is acknowledged; what was answered each time."""
    headers, answers = signed(body), []
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answers.append(post(port, body, headers, path))
        if answers[-1] == 200:
            return answers
        time.sleep(0.05)
    raise AssertionError(f"never acknowledged: {answers[-5:]}")
