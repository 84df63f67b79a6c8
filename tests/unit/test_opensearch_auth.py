"""Who we are: headers, secrets that are read again, certificates that were replaced, and AWS signatures."""

import base64
import hashlib
import hmac
import re
import ssl
import sys
import threading
from urllib.parse import quote, urlsplit

import pytest
import trustme

from shipper._auth import ApiKeyAuth, AuthSection, AwsAuth, BasicAuth
from shipper.config import cross_check, parse
from shipper.errors import ConfigError
from shipper.http_client.tls import Contexts
from shipper.output_sections import TlsSection
from shipper.outputs._opensearch_auth import basic, credentials_of, secret_in
from shipper.outputs._opensearch_errors import DeniedError
from tests.components import absent

URL = "https://search.example:9200/_bulk?a=1"


def header(credentials):
    return credentials.headers("POST", URL, b"")["authorization"]


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_a_user_name_and_a_password_are_sent_as_utf_8():
    told = header(basic("kim", lambda: "pä:ss"))
    assert base64.b64decode(told.removeprefix("Basic ")).decode() == "kim:pä:ss"


def test_an_api_key_is_sent_as_it_is(tmp_path):
    (tmp_path / "key").write_text("os_abc\n", encoding="utf-8")
    section = AuthSection(api_key=ApiKeyAuth(token_file=tmp_path / "key"))
    assert header(credentials_of(section)) == "ApiKey os_abc"


def test_without_auth_there_are_no_credentials():
    assert credentials_of(AuthSection()) is None


def test_a_file_is_read_again_only_when_it_is_asked_for(tmp_path):
    file = tmp_path / "pw"
    file.write_text("one\n", encoding="utf-8")
    credentials = credentials_of(AuthSection(basic=BasicAuth(username="ft", password_file=file)))
    before = header(credentials)
    file.write_text("two\n", encoding="utf-8")
    assert header(credentials) == before
    assert credentials.renew(credentials.version)
    assert base64.b64decode(header(credentials).removeprefix("Basic ")) == b"ft:two"
    assert not credentials.renew(credentials.version)


def test_a_thread_whose_credential_another_one_has_renewed_meanwhile_is_told_so(tmp_path):
    file = tmp_path / "pw"
    file.write_text("one", encoding="utf-8")
    credentials = credentials_of(AuthSection(basic=BasicAuth(username="ft", password_file=file)))
    header(credentials)
    seen = credentials.version
    file.write_text("two", encoding="utf-8")
    assert credentials.renew(seen)
    assert credentials.renew(seen)
    assert credentials.version == seen + 1


def test_a_password_of_the_configuration_cannot_be_renewed():
    credentials = credentials_of(AuthSection(basic=BasicAuth(username="ft", password="one")))
    header(credentials)
    assert not credentials.renew(credentials.version)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"a\rX-Evil: 1\n"])
def test_a_file_that_holds_no_secret_is_told_without_its_content(tmp_path, content):
    file = tmp_path / "pw"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DeniedError) as caught:
        secret_in(file)
    assert str(file) in str(caught.value) and caught.value.hint
    assert "two" not in caught.value.render() and "Evil" not in caught.value.render()


# -- the configuration -------------------------------------------------------------------------------------------------


def problem(auth):
    with pytest.raises(ConfigError) as caught:
        parse(f"outputs: [{{id: a, type: opensearch, hosts: ['https://s.example'], auth: {auth}}}]", "c")
    return " ".join(f"{path} {text}" for path, text in caught.value.problems)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ("{basic: {username: a}}", "exactly one"),
        ("{basic: {username: a, password: b, password_file: /c}}", "exactly one"),
        ("{api_key: {}}", "exactly one"),
        ("{api_key: {token: a}, basic: {username: a, password: b}}", "give one of"),
        ("{aws: {}}", "auth.aws.region"),
        ("{aws: {region: eu-west-1, service: aoss}}", "Serverless"),
        ("{aws: {region: eu-west-1, service: s3}}", "must be es"),
    ],
)
def test_credentials_that_make_no_sense_are_problems(auth, words):
    assert words in problem(auth)


def test_a_file_that_cannot_be_read_and_an_extra_that_is_missing_are_found_before_the_start(monkeypatch):
    text = """
outputs:
  - {id: a, type: opensearch, hosts: ["https://s.example"], auth: {basic: {username: a, password_file: /nowhere/pw}}}
  - {id: b, type: opensearch, hosts: ["https://s.example"], auth: {api_key: {token_file: /nowhere/key}}}
  - {id: c, type: opensearch, hosts: ["https://s.example"], auth: {aws: {region: eu-west-1}}}
"""
    monkeypatch.setattr("shipper._auth.find_spec", lambda _: None)
    found = dict(cross_check(parse(text, "c")))
    assert found["outputs[0].auth.basic.password_file"] == "cannot read /nowhere/pw"
    assert found["outputs[1].auth.api_key.token_file"] == "cannot read /nowhere/key"
    assert "pip install 'fieldtrail[aws]'" in found["outputs[2].auth.aws"]


def test_no_secret_is_shown():
    config = parse(
        "outputs: [{id: a, type: opensearch, hosts: ['https://s.example'], auth: {api_key: {token: s3cret}}}]", "c"
    )
    assert "s3cret" not in config.model_dump_json() + repr(config)


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture
def issued(tmp_path):
    """`issued()`: writes a certificate of ours and its key, a new one each time."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)

    def write():
        made = authority.issue_cert("agent@acme.example", key_type=trustme.KeyType.ECDSA)
        made.private_key_pem.write_to_path(tmp_path / "own.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
        return TlsSection(cert=tmp_path / "own.pem", key=tmp_path / "own.key")

    return write


def test_a_certificate_that_was_replaced_is_used_for_the_next_connection(issued):
    contexts = Contexts(issued())
    first = contexts.current()
    assert contexts.current() is first
    issued()
    second = contexts.current()
    assert second is not first
    assert second.minimum_version == ssl.TLSVersion.TLSv1_2
    assert contexts.current() is second


def test_a_certificate_that_is_half_replaced_leaves_the_old_one_in_use(issued):
    tls = issued()
    contexts = Contexts(tls)
    first = contexts.current()
    key = tls.key.read_bytes()
    issued()
    new = tls.key.read_bytes()
    tls.key.write_bytes(key)  # the new certificate beside the old key
    assert contexts.current() is first
    tls.key.unlink()
    assert contexts.current() is first
    tls.key.write_bytes(new)
    assert contexts.current() is not first


# -- AWS ---------------------------------------------------------------------------------------------------------------

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/with+signs=="


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """`aws(**section)`: credentials that botocore finds in an environment of the test's own."""
    _needs_botocore()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return lambda **section: credentials_of(AuthSection(aws=AwsAuth(region="eu-west-1", **section)))


def _needs_botocore():
    try:
        import botocore  # noqa: F401 - asked whether it is there
    except ImportError:
        absent("botocore: pip install botocore")


def signature(method, url, body, headers, secret=SECRET, region="eu-west-1", service="es"):
    """The signature by the published algorithm, step by step, from the request as the server sees it."""
    parts = urlsplit(url)
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,"
        r" SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    names = given[5].split(";")
    seen = {**headers, "host": parts.netloc}
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/-_.~"),
            "&".join(sorted(parts.query.split("&"))) if parts.query else "",
            *(f"{name}:{seen[name].strip()}" for name in names),
            "",
            given[5],
            hashlib.sha256(body or b"").hexdigest(),
        ]
    )
    scope = f"{given[2]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for word in (given[2], region, service, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return names, given[6], hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "https://d.eu-west-1.es.amazonaws.example/", None),
        ("POST", "https://d.example/_bulk?filter_path=took%2Citems.%2A.status&pipeline=_none&timeout=24s", b"\x1f\x8b"),
        ("POST", "http://d.example:8080/prefix/logs-fieldtrail.*-default/_search?b=2&a=1", b"{}"),
    ],
)
def test_a_request_is_signed_as_the_published_algorithm_says(aws, method, url, body):
    headers = aws().headers(method, url, body)
    names, ours, computed = signature(method, url, body, headers)
    assert ours == computed
    assert names == ["host", "x-amz-content-sha256", "x-amz-date"]
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body or b"").hexdigest()


def test_the_token_of_temporary_credentials_is_sent_and_signed(aws, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    headers = aws().headers("POST", URL, b"x")
    names, ours, computed = signature("POST", URL, b"x", headers)
    assert headers["x-amz-security-token"] == TOKEN
    assert "x-amz-security-token" in names
    assert ours == computed


def test_another_body_has_another_signature(aws):
    credentials = aws()
    first, second = (credentials.headers("POST", URL, body) for body in (b"a", b"b"))
    assert first["authorization"] != second["authorization"]


def test_credentials_that_were_replaced_are_found_when_the_old_ones_are_not_accepted(aws, monkeypatch):
    credentials = aws()
    credentials.headers("GET", URL, None)
    assert not credentials.renew(credentials.version)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    assert credentials.renew(credentials.version)
    assert "AKIDOTHER" in credentials.headers("GET", URL, None)["authorization"]


def test_credentials_that_expire_are_renewed_before_they_are_used(aws):
    from datetime import UTC, datetime, timedelta

    from botocore.credentials import RefreshableCredentials

    def fresh():
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": "AKIDFRESH", "secret_key": "s", "token": "t", "expiry_time": later}

    credentials = aws()
    credentials._credentials = RefreshableCredentials(
        "AKIDOLD", "s", "t", datetime.now(UTC) - timedelta(minutes=1), fresh, "test"
    )
    assert "AKIDFRESH" in credentials.headers("GET", URL, None)["authorization"]


def test_a_profile_is_read_from_its_file_and_an_unknown_one_is_a_configuration_error(aws, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "credentials").write_text(
        "[logs]\naws_access_key_id = AKIDLOGS\naws_secret_access_key = s\n", encoding="utf-8"
    )
    assert "AKIDLOGS" in aws(profile="logs").headers("GET", URL, None)["authorization"]
    with pytest.raises(ConfigError, match="no profile 'other'"):
        aws(profile="other")


def test_without_any_credentials_a_person_is_told_and_no_secret_is(aws, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DeniedError, match="no AWS credentials") as caught:
        aws().headers("GET", URL, None)
    assert caught.value.hint


def test_a_credential_provider_that_fails_is_told_by_its_kind_alone(aws, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    from botocore.exceptions import CredentialRetrievalError
    from botocore.session import Session

    def fails(_):
        raise CredentialRetrievalError(provider="x", error_msg="s3cret")

    monkeypatch.setattr(Session, "get_credentials", fails)
    with pytest.raises(DeniedError, match="CredentialRetrievalError") as caught:
        aws().headers("GET", URL, None)
    assert "s3cret" not in caught.value.render()


def test_without_botocore_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ConfigError) as caught:
        credentials_of(AuthSection(aws=AwsAuth(region="eu-west-1")))
    assert caught.value.hint == "pip install 'fieldtrail[aws]'"


def test_threads_that_share_credentials_renew_them_once():
    reads = []

    def read():
        reads.append(1)
        return f"password {len(reads)}"

    credentials = basic("ft", read)
    header(credentials)
    seen = credentials.version
    told = []
    threads = [threading.Thread(target=lambda: told.append(credentials.renew(seen))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [True] * 8
    assert len(reads) == 2
