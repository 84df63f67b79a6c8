"""HTTP to an OpenSearch cluster. The only module that knows opensearch-py's names.

opensearch-py is used for its connections: pools, TLS, addresses. Its transport is passed by: it hides status, headers
and bytes of an answer and repeats requests on terms of its own. What is added here: one total deadline per request (a
socket timeout starts anew with every byte that drips in), failover between hosts where nothing was sent yet, and one
translation of exceptions.
"""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import structlog
import urllib3
from opensearchpy.connection.http_urllib3 import Urllib3HttpConnection
from opensearchpy.exceptions import OpenSearchException, OpenSearchWarning
from urllib3.connection import HTTPConnection, HTTPSConnection

from shipper.config import OpenSearchSection, TlsSection
from shipper.errors import UnavailableError, UsageError
from shipper.outputs._bulk import Answer
from shipper.outputs._opensearch_errors import NoAnswerError, explain, no_answer
from shipper.outputs._opensearch_sender import Sender
from shipper.outputs._opensearch_tls import tls_context
from shipper.outputs._watch import Watch

JSON: Final = {"content-type": "application/json"}
_ANY_STATUS: Final = range(1000)
_DEFAULT_TIMEOUT: Final = 60.0


class _Watched(HTTPConnection):
    def __init__(self, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.socket = self.sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._watch.socket = self.sock
        super().request(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Wire(Urllib3HttpConnection):
    """One host's connections."""

    def __init__(self, *, watch: Watch, server_name: str | None, **kwargs: Any) -> None:
        self._watch, self._server_name = watch, server_name
        super().__init__(**kwargs)

    def _create_urllib3_pool(self) -> None:
        super()._create_urllib3_pool()
        pool: Any = self.pool
        pool.ConnectionCls = _WatchedTls if self.use_ssl else _Watched
        pool.conn_kw["watch"] = self._watch
        if self.use_ssl and self._server_name:
            pool.conn_kw["server_hostname"] = self._server_name
            pool.assert_hostname = self._server_name


class Client:
    """HTTP to one cluster. Used by one thread at a time.

    `hosts`: URLs; without a port 443 for https and 9200 for http. `basic`: user name and password. `timeout`: seconds
    for one request as a whole. Raises `ConfigError` for certificates that cannot be read.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        basic: tuple[str, str] | None = None,
        tls: TlsSection | None = None,
        timeout: float = 30.0,
    ) -> None:
        tls = tls or TlsSection()
        self.hosts, self.timeout = tuple(hosts), timeout
        # It logs bodies at DEBUG and a traceback for every try at WARNING; what people need to know is in our errors.
        logging.getLogger("opensearch").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore", OpenSearchWarning)
        context = None
        if any(host.startswith("https") for host in hosts):
            context = tls_context(tls)
            if not tls.verify:
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                structlog.get_logger("fieldtrail").warning(
                    "tls.verify is off: anybody in between can read and change what is sent", hosts=list(self.hosts)
                )
        headers = {"accept": "application/json"}
        if basic is not None:
            # opensearch-py would write it in Latin-1, in which not every password can be written.
            headers["authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        self._watch = Watch()
        self._wires = [self._wire(host, headers, context, tls.server_name) for host in hosts]
        self._preferred = 0

    def _wire(
        self, host: str, headers: Mapping[str, str], context: ssl.SSLContext | None, server_name: str | None
    ) -> _Wire:
        url = urlsplit(host)
        secure = url.scheme == "https"
        return _Wire(
            watch=self._watch,
            server_name=server_name,
            host=url.hostname or "",
            port=url.port or (443 if secure else 9200),
            url_prefix=url.path.strip("/"),
            use_ssl=secure,
            ssl_context=context,
            timeout=self.timeout,
            headers=dict(headers),
            http_compress=False,
        )

    @property
    def place(self) -> str:
        """The host that answered last, for messages."""
        return self.hosts[self._preferred]

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = JSON,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """The answer, whatever its status; `NoAnswerError` (an `UnavailableError`) when there is none.

        Another host is tried only where nothing was sent to the first.
        """
        timeout = timeout or self.timeout
        first = self._preferred
        for step in range(len(self._wires)):
            number = (first + step) % len(self._wires)
            wire = self._wires[number]
            failure: Exception | None = None
            status, received, text = 0, {}, ""
            with self._watch.limit(timeout):
                try:
                    status, received, text = wire.perform_request(
                        method, path, params, body, timeout, _ANY_STATUS, headers
                    )
                except (OpenSearchException, OSError, ValueError) as error:
                    failure = error
            if failure is None and not self._watch.expired:
                self._preferred = number
                lower = {name.lower(): value for name, value in received.items()}
                return Answer(status, lower, text.encode("utf-8", "surrogatepass"))
            translated = no_answer(method, self.hosts[number], failure, timeout, expired=self._watch.expired)
            self._preferred = (number + 1) % len(self._wires)
            if translated.sent or step == len(self._wires) - 1:
                raise translated from None
        raise AssertionError("a client has at least one host")

    def ask(
        self,
        op: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        absent: bool = False,
    ) -> Any:
        """The parsed JSON of a 2xx answer. `absent`: None for a 404. All else is an `UnavailableError` with a hint."""
        data = None if body is None else orjson.dumps(body)
        answer = self.request(method, path, body=data, params=params)
        if absent and answer.status == 404:
            return None
        return self.understood(op, answer)

    def understood(self, op: str, answer: Answer) -> Any:
        """The parsed JSON of a 2xx answer, else `UnavailableError`."""
        content = answer.json()
        if not 200 <= answer.status < 300:
            raise UnavailableError(op, self.place, *explain(answer))
        if content is None:
            hint = f"curl {self.place}/"
            raise UnavailableError(op, self.place, f"status {answer.status} and no JSON: is this OpenSearch?", hint)
        return content

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._watch.close()
        for wire in self._wires:
            wire.close()


def client_for(
    url: str,
    *,
    user: str | None = None,
    password_file: Path | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    timeout: float = _DEFAULT_TIMEOUT,
) -> Client:
    """A client for `--opensearch URL` and its options; `UsageError` where they make no sense together."""
    parts = urlsplit(url)
    try:
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError("read --opensearch", url, "not a URL", "--opensearch https://search.example:9200")
    if parts.username is not None or parts.password is not None:
        shown = f"{parts.scheme}://{parts.hostname}"
        hint = "--user NAME --password-file FILE: a command line can be read by every user of the machine"
        raise UsageError("read --opensearch", shown, "must not hold a user name or password", hint)
    if (user is None) != (password_file is None):
        raise UsageError("read options", "", "--user and --password-file belong together", "give both")
    if key is not None and cert is None:
        raise UsageError("read options", "", "--key needs --cert", "give both")
    basic = None
    if user is not None and password_file is not None:
        try:
            basic = (user, password_file.read_text(encoding="utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError("read --password-file", str(password_file), cause, f"ls -l {password_file}") from None
    return Client([url], basic=basic, tls=TlsSection(ca=ca, cert=cert, key=key), timeout=timeout)


def client_of(section: OpenSearchSection) -> Client:
    """The client of a configured output."""
    basic = section.auth.basic
    pair = None if basic is None else (basic.username, basic.password.get_secret_value())
    return Client(section.hosts, basic=pair, tls=section.tls, timeout=section.timeout)


def probe(section: OpenSearchSection, namespace: str) -> Iterator[tuple[str, bool, str, str]]:
    """`validate --connect`: (step, whether it went well, detail, hint), host by host, up to the first that did not."""
    for host in section.hosts:
        url = urlsplit(host)
        try:
            found = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            yield "resolve", False, f"{url.hostname}: {error.strerror or error}", f"getent hosts {url.hostname}"
            return
        yield "resolve", True, f"{url.hostname} is {found[0][4][0]}", ""
        client = client_of(section.model_copy(update={"hosts": (host,)}))
        try:
            yield from _probe_host(client, section, namespace)
        except NoAnswerError as error:
            yield "answer" if error.sent else "TLS" if error.tls else "connect", False, str(error), error.hint
            return
        except UnavailableError as error:
            yield "check", False, f"{error.op}: {error.cause}", error.hint
            return
        finally:
            client.close()


def _probe_host(client: Client, section: OpenSearchSection, namespace: str) -> Iterator[tuple[str, bool, str, str]]:
    answer = client.request("GET", "/")
    secure = client.place.startswith("https") and section.tls.verify
    yield "connect", True, client.place + (", certificate verified" if secure else ""), ""
    if answer.status == 401:
        yield "auth", False, *explain(answer)
        return
    yield "auth", True, "accepted" if section.auth.basic else "none", ""
    sender = Sender(client, batch_bytes=section.batch_bytes, compress=False)
    yield "version", True, sender.check_server(), ""
    sender.check_templates(namespace)
    yield "templates", True, "installed", ""
