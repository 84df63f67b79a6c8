"""What the integration tests share: the one real OpenSearch of a test run, and a corner of it for each test."""

import http.client
import json
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tests.components import absent
from tests.integration.opensearch import distribution, server
from tests.integration.opensearch.secure import SecureServer


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory):
    """A running OpenSearch with a `url`: the one of FIELDTRAIL_TEST_OPENSEARCH, else one of our own for the session."""
    if url := server.url_from_environment():
        yield SimpleNamespace(url=url)
        return
    if reason := server.missing():
        absent(reason)
    with server.Server(tmp_path_factory.mktemp("opensearch")) as running:
        yield running


@pytest.fixture
def ask(opensearch):
    """`ask(method, path, body)`: the parsed answer, by plain HTTP beside the code under test."""

    def call(method, path, body=None):
        connection = http.client.HTTPConnection(urlsplit(opensearch.url).netloc, timeout=60)
        try:
            kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {"content-type": kind})
            response = connection.getresponse()
            text = response.read()
            return SimpleNamespace(status=response.status, json=json.loads(text) if text else None, body=text)
        finally:
            connection.close()

    return call


@pytest.fixture
def namespace(ask):
    """A namespace of the test's own; its data streams are removed afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield name
    ask("DELETE", f"/_data_stream/logs-fieldtrail.*-{name}")


@pytest.fixture
def templates(opensearch):
    """Our index templates, installed."""
    from shipper.outputs._opensearch_client import Client
    from shipper.siem.install import install
    from shipper.siem.templates import template_parts

    client = Client([opensearch.url])
    try:
        return list(install(client, template_parts()))
    finally:
        client.close()


@pytest.fixture(scope="session")
def secure_opensearch(tmp_path_factory):
    """A running OpenSearch with its security plugin (`SecureServer`), that knows only `admin`: for slow tests.

    It holds what is under the namespace `immutable` to be that.
    """
    if reason := distribution.missing():
        absent(reason)
    immutable = "plugins.security.compliance.immutable_indices"
    settings = {f"{immutable}.0": "logs-fieldtrail.*-immutable", f"{immutable}.1": ".ds-logs-fieldtrail.*-immutable-*"}
    with SecureServer(tmp_path_factory.mktemp("secure"), settings=settings) as running:
        yield running
