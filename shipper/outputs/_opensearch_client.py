"""HTTP to an OpenSearch cluster. The only module that knows opensearch-py's names.

opensearch-py is used for its connections: pools, TLS, addresses. Its transport is passed by: it hides status, headers
and bytes of an answer and repeats requests on terms of its own. What is added here: one total deadline per request (a
socket timeout starts anew with every byte that drips in, and does not hold while a name is looked up), failover
between hosts where nothing was sent yet, credentials that are read again, and one translation of exceptions.
"""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import structlog
import urllib3
from opensearchpy.connection.http_urllib3 import Urllib3HttpConnection
from opensearchpy.exceptions import OpenSearchException, OpenSearchWarning

from shipper._auth import AuthSection
from shipper.errors import UnavailableError, UsageError
from shipper.http_client.connections import Watched, WatchedTls
from shipper.http_client.errors import NoAnswerError, no_answer
from shipper.http_client.tls import Contexts
from shipper.http_client.watch import Watch
from shipper.output_sections import OpenSearchSection, TlsSection
from shipper.outputs._bulk import Answer
from shipper.outputs._opensearch_auth import Credentials, basic, credentials_of, secret_in
from shipper.outputs._opensearch_checks import check_server, check_templates
from shipper.outputs._opensearch_errors import DeniedError, explain, is_denied, op_of
from shipper.outputs._opensearch_hosts import OPEN_AT, Hosts

JSON: Final = {"content-type": "application/json"}
_ANY_STATUS: Final = range(1000)
_DEFAULT_TIMEOUT: Final = 60.0
_ELSEWHERE: Final = frozenset({502, 503, 504})
"""What one host may say and another one not: it has lost the others, or what stands before it has lost it."""
_PROBE_SECONDS: Final = 2.0
"""How long a host that failed may take to say its name while another one is well."""


class _Wire(Urllib3HttpConnection):
    """One host's connections."""

    def __init__(self, *, watch: Watch, contexts: Contexts | None, server_name: str | None, **kwargs: Any) -> None:
        self._watch, self._contexts, self._server_name = watch, contexts, server_name
        super().__init__(**kwargs)

    def _create_urllib3_pool(self) -> None:
        super()._create_urllib3_pool()
        pool: Any = self.pool
        pool.ConnectionCls = WatchedTls if self.use_ssl else Watched
        pool.conn_kw["watch"] = self._watch
        pool.conn_kw["contexts"] = self._contexts
        if self.use_ssl and self._server_name:
            pool.conn_kw["server_hostname"] = self._server_name
            pool.assert_hostname = self._server_name

    def url(self, path: str, params: Mapping[str, str] | None) -> str:
        """The complete address of a request, as it is asked for."""
        return f"{self.host}{self.url_prefix}{path}" + (f"?{urlencode(params)}" if params else "")


class Client:
    """HTTP to one cluster. Used by one thread at a time; `beside` makes one for another thread.

    `hosts`: URLs; without a port 443 for https and 9200 for http. `credentials`: what signs requests. `timeout`:
    seconds for one request as a whole. `states` and `contexts`: of a client of the same cluster; `home`: the number of
    the host to ask first while all are well. Raises `ConfigError` for certificates that cannot be read.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        credentials: Credentials | None = None,
        tls: TlsSection | None = None,
        timeout: float = 30.0,
        states: Hosts | None = None,
        contexts: Contexts | None = None,
        home: int = 0,
    ) -> None:
        tls = tls or TlsSection()
        self.hosts, self.timeout = tuple(hosts), timeout
        self._credentials, self._tls = credentials, tls
        secure = any(host.startswith("https") for host in hosts)
        if states is None:  # the first of its kind
            # It logs bodies at DEBUG and every try at WARNING; what people need to know is in our errors.
            logging.getLogger("opensearch").setLevel(logging.CRITICAL)
            warnings.simplefilter("ignore", OpenSearchWarning)
            if secure and not tls.verify:
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                structlog.get_logger("fieldtrail").warning(
                    "tls.verify is off: anybody in between can read and change what is sent", hosts=list(hosts)
                )
        self._states = states or Hosts(len(hosts))
        # One for all threads: a certificate that is being replaced just now must not stop another from beginning.
        contexts = self._contexts = contexts or (Contexts(tls) if secure else None)
        self._watch = Watch()
        self._wires = [self._wire(host, contexts, tls.server_name) for host in hosts]
        self._home = self._answering = home % len(hosts)
        self._last: NoAnswerError | None = None

    def beside(self, home: int) -> Client:
        """A client of the same cluster for another thread, that asks the host number `home` (any number) first."""
        return Client(
            self.hosts,
            credentials=self._credentials,
            tls=self._tls,
            timeout=self.timeout,
            states=self._states,
            contexts=self._contexts,
            home=home,
        )

    def _wire(self, host: str, contexts: Contexts | None, server_name: str | None) -> _Wire:
        url = urlsplit(host)
        secure = url.scheme == "https"
        return _Wire(
            watch=self._watch,
            contexts=contexts if secure else None,
            server_name=server_name,
            host=url.hostname or "",
            port=url.port or (443 if secure else 9200),
            url_prefix=url.path.strip("/"),
            use_ssl=secure,
            ssl_context=contexts.current() if secure and contexts else None,
            timeout=self.timeout,
            headers={"accept": "application/json"},
            http_compress=False,
        )

    @property
    def place(self) -> str:
        """The host that answered last, for messages."""
        return self.hosts[self._answering]

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

        Another host is tried only where nothing was sent to the first. `DeniedError` for a credential that cannot be
        read.
        """
        timeout = timeout or self.timeout
        failure: NoAnswerError | None = None
        for number, probe, alone in self._states.order(self._home):
            if probe:
                try:
                    self._exchange(number, "GET", "/", None, JSON, None, timeout if alone else _PROBE_SECONDS)
                except NoAnswerError as error:
                    failure = error
                    failure.sent = False  # only a name was asked for
                    continue
            try:
                return self._exchange(number, method, path, body, headers, params, timeout)
            except NoAnswerError as error:
                if error.sent:
                    raise
                failure = error
        raise failure or self._resting(method)

    def _resting(self, method: str) -> NoAnswerError:
        """What is said while every host is left alone for having failed too often."""
        last = self._last or NoAnswerError("", self.place, "no answer")
        cause = f"{last.cause}; silent {OPEN_AT} times in a row"
        return NoAnswerError(op_of(method), last.place, cause, last.hint, tls=last.tls, wait=self._states.wait())

    def _exchange(
        self,
        number: int,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        timeout: float,
    ) -> Answer:
        """The answer of this host; asked once more where another credential is found after one was not accepted."""
        if self._credentials is None:
            return self._once(number, method, path, body, headers, params, timeout)
        url = self._wires[number].url(path, params)
        seen = self._credentials.version
        signed = {**headers, **self._credentials.headers(method, url, body)}
        answer = self._once(number, method, path, body, signed, params, timeout)
        if not is_denied(answer) or not self._credentials.renew(seen):
            return answer
        signed = {**headers, **self._credentials.headers(method, url, body)}
        return self._once(number, method, path, body, signed, params, timeout)

    def _once(
        self,
        number: int,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        timeout: float,
    ) -> Answer:
        wire, watch = self._wires[number], self._watch
        failure: Exception | None = None
        status, received, text = 0, {}, ""
        with watch.limit(timeout):
            try:
                status, received, text = wire.perform_request(method, path, params, body, timeout, _ANY_STATUS, headers)
            except (OpenSearchException, OSError, ValueError) as error:
                failure = error
        if failure is None and not watch.expired:
            self._states.answered(number, well=status not in _ELSEWHERE)
            self._answering = number
            lower = {name.lower(): value for name, value in received.items()}
            return Answer(status, lower, text.encode("utf-8", "surrogatepass"))
        host, connected = self.hosts[number], watch.socket is not None
        self._last = no_answer(op_of(method), host, failure, timeout, expired=watch.expired, connected=connected)
        self._states.silent(number)
        raise self._last from None

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
            kind = DeniedError if is_denied(answer) else UnavailableError
            raise kind(op, self.place, *explain(answer))
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
    credentials = None
    if user is not None and password_file is not None:
        try:
            password = secret_in(password_file)
        except DeniedError as error:
            raise UsageError("read --password-file", error.place, error.cause, error.hint) from None
        credentials = basic(user, lambda: password)
    return Client([url], credentials=credentials, tls=TlsSection(ca=ca, cert=cert, key=key), timeout=timeout)


def client_of(section: OpenSearchSection) -> Client:
    """The client of a configured output."""
    return Client(section.hosts, credentials=credentials_of(section.auth), tls=section.tls, timeout=section.timeout)


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
    yield "auth", True, "accepted" if section.auth != AuthSection() else "none", ""
    yield "version", True, check_server(client), ""
    check_templates(client, namespace)
    yield "templates", True, "installed", ""
