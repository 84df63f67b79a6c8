"""Saved objects into a running OpenSearch Dashboards, by its import route, and what it said of each that it refused.

The route: `POST /api/saved_objects/_import?overwrite=true`, header `osd-xsrf`, a multipart form whose `file` has a name
that ends in `.ndjson`. It answers 200 also where it refused some of them; only `success` tells. Tested against a small
server of ours that answers as Dashboards' source says, not against Dashboards.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from shipper.errors import UnavailableError, UsageError
from shipper.http_client.errors import NoAnswerError
from shipper.outputs._bulk import Answer
from shipper.outputs._opensearch_client import Client, client_for

_OP: Final = "import into Dashboards"
_ROUTE: Final = "/api/saved_objects/_import"
_PORT: Final = 5601
_EXAMPLE: Final = "--dashboards https://dashboards.example:5601"
_SIGN_IN: Final = "--user NAME --password-file FILE, of an account that may write to the tenant"


class Rejected(NamedTuple):
    """A saved object that Dashboards did not take."""

    type: str
    id: str
    error: str


class Imported(NamedTuple):
    """`taken`: how many it took."""

    taken: int
    rejected: tuple[Rejected, ...]


def import_saved_objects(
    url: str,
    objects: bytes,
    *,
    user: str | None = None,
    password_file: Path | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    tenant: str | None = None,
) -> Imported:
    """Import NDJSON, in place of objects that have the same ids.

    `url`: the address of Dashboards with its base path, and `/w/<id>` of a workspace; without a port 443 for https and
    5601 for http. `tenant`: of the security plugin; None: the account's default one. `UsageError` for an address that
    is none, `UnavailableError` for one that does not take the file as a whole.
    """
    client = client_for(_address(url), user=user, password_file=password_file, ca=ca, cert=cert, key=key)
    with contextlib.closing(client):
        body, kind = _form(objects)
        headers = {"content-type": kind, "osd-xsrf": "true"}
        if tenant is not None:
            headers["securitytenant"] = tenant
        try:
            answer = client.request("POST", _ROUTE, body=body, headers=headers, params={"overwrite": "true"})
        except NoAnswerError as error:
            raise UnavailableError(_OP, url, error.cause, error.hint) from None
        return _understood(client, url, answer)


def _address(url: str) -> str:
    """The address, with the port where it has none."""
    parts = urlsplit(url)
    try:
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError("read --dashboards", url, "not a URL", _EXAMPLE)
    if parts.username is not None or parts.password is not None:
        hint = "--user NAME --password-file FILE: a command line can be read by every user of the machine"
        shown = f"{parts.scheme}://{parts.hostname}"
        raise UsageError("read --dashboards", shown, "must not hold a user name or password", hint)
    if parts.query or parts.fragment or parts.path.startswith("/app"):
        cause = "is a page of Dashboards, not its address"
        raise UsageError("read --dashboards", url, cause, f"--dashboards {parts.scheme}://{parts.netloc}")
    port = f":{_PORT}" if parts.port is None and parts.scheme == "http" else ""
    return f"{parts.scheme}://{parts.netloc}{port}{parts.path.rstrip('/')}"


def _form(objects: bytes) -> tuple[bytes, str]:
    """Body and content type of a form with one file (RFC 7578)."""
    # Made of the content, so that it cannot stand in it by intent, and the same request has the same bytes.
    boundary = hashlib.sha256(objects).hexdigest()
    head = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="fieldtrail.ndjson"\r\n'
        "Content-Type: application/x-ndjson\r\n\r\n"
    )
    return head.encode() + objects + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _understood(client: Client, url: str, answer: Answer) -> Imported:
    content = answer.json()
    if answer.status == 200 and isinstance(content, dict) and "success" in content:
        rejected = tuple(_rejected(one) for one in _list(content.get("errors")))
        if content["success"] is not True and not rejected:
            raise UnavailableError(_OP, url, "it says that it failed, and not why", "the log of Dashboards")
        count = content.get("successCount")
        return Imported(count if isinstance(count, int) else 0, rejected)
    raise UnavailableError(_OP, url, *_refused(client, url, answer, content))


def _refused(client: Client, url: str, answer: Answer, content: Any) -> tuple[str, str]:
    """Cause and hint of an answer that takes nothing."""
    status = answer.status
    if status == 401:
        return "wrong user name or password (401)", _SIGN_IN
    if 300 <= status < 400:
        target = answer.headers.get("location", "")
        if "login" in target or "auth" in target:
            return f"it asks to sign in ({status})", _SIGN_IN
        return f"the address redirects ({status})", f"curl -sI {url}/api/status; give the address with its base path"
    if _is_opensearch(client):
        return "this is OpenSearch, not OpenSearch Dashboards", f"{_EXAMPLE} (its own server, usually port {_PORT})"
    told = _message(content)
    if status == 403:
        return f"not allowed (403){told}", "an account that may write to this tenant or workspace (…/w/<workspace id>)"
    if status == 404:
        hint = "server.basePath of opensearch_dashboards.yml belongs to the address: https://dashboards.example/base"
        return f"there is no import under this address (404){told}", hint
    if status == 413:
        return f"the file is too large for it (413){told}", "savedObjects.maxImportPayloadBytes of Dashboards"
    if status == 200:
        return "no answer of an import: is this OpenSearch Dashboards?", f"curl -s {url}/api/status"
    return f"status {status}{told}", f"curl -s {url}/api/status"


def _is_opensearch(client: Client) -> bool:
    """Whether the server under this address says so itself."""
    try:
        content = client.request("GET", "/").json()
    except UnavailableError:
        return False
    return isinstance(content, dict) and isinstance(content.get("version"), dict) and "cluster_name" in content


def _message(content: Any) -> str:
    """What Dashboards says; its errors are `{statusCode, error, message}`."""
    text = content.get("message") if isinstance(content, dict) else None
    return f": {text[:300]}" if isinstance(text, str) and text.isprintable() and text else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _rejected(one: Any) -> Rejected:
    facts = one if isinstance(one, dict) else {}
    error = facts.get("error")
    why = _why(error if isinstance(error, dict) else {})
    return Rejected(str(facts.get("type", "?")), str(facts.get("id", "?")), why)


def _why(error: dict[str, Any]) -> str:
    """The error of one object in words; its types are those of Dashboards' import."""
    kind = error.get("type")
    if kind == "unsupported_type":
        return "this Dashboards has no such type"
    if kind == "missing_references":
        missing = (
            f"{one.get('type')} {one.get('id')}" for one in _list(error.get("references")) if isinstance(one, dict)
        )
        return f"refers to what is not there: {', '.join(missing)}"
    if kind in {"conflict", "ambiguous_conflict"}:
        return "another object is in its place"
    text = error.get("message")
    status = error.get("statusCode")
    return (str(text) if text else str(kind or "no reason given")) + (f" ({status})" if status else "")
