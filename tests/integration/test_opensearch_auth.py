"""Credentials against a server that checks them: passwords, keys and signatures that expire and are replaced."""

import base64
import hashlib

import pytest

from shipper import telemetry
from shipper._auth import ApiKeyAuth, AuthSection, AwsAuth, BasicAuth
from shipper.outputs._opensearch_client import probe
from tests.components import absent
from tests.integration import faulty_opensearch as faulty
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import batch, document
from tests.unit.test_opensearch_auth import signature

KEY, SECRET = "AKIDEXAMPLE", "secret of the server"


@pytest.fixture
def server():
    with FaultyOpenSearch() as running:
        yield running


@pytest.fixture
def opened():
    with faulty.outputs() as make:
        yield make


def told(receipt):
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def accepts(word):
    """A guard that lets this `Authorization` pass and no other."""

    def guard(request):
        if request.handler.headers["authorization"] == word:
            return False
        request.answer(401, b"Unauthorized", content_type="text/plain")
        return True

    return guard


def of(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text("old\n", encoding="utf-8")
    return file


@pytest.fixture
def by_file(password):
    return AuthSection(basic=BasicAuth(username="ft", password_file=password))


@pytest.fixture
def alarms(monkeypatch):
    """What was told of accounts that are not let in, whatever an earlier test has made of the logging."""
    told = []
    monkeypatch.setattr(telemetry, "output_denied", lambda **words: told.append(words))
    return told


def test_a_password_that_was_replaced_in_its_file_is_used_without_a_pause(server, opened, password, by_file):
    server.guard = accepts(of("ft", "old"))
    output = opened(server.url, auth=by_file)
    assert told(output.deliver(batch(0, document(0)))) == (1, 0, 0, 0)
    server.guard = accepts(of("ft", "new"))
    password.write_text("new\n", encoding="utf-8")
    assert told(output.deliver(batch(1, document(1)))) == (1, 0, 0, 0)


def test_a_password_that_is_no_longer_accepted_pauses_and_is_read_again_at_each_try(
    server, opened, password, by_file, alarms
):
    server.guard = accepts(of("ft", "new"))
    output = opened(server.url, auth=by_file)
    for _ in range(3):
        receipt = output.deliver(batch(0, document(0)))
        assert told(receipt) == (0, 0, 0, 1)
        assert "wrong user name or password" in receipt.error and receipt.retry_after >= 30
    password.unlink()
    receipt = output.deliver(batch(0, document(0)))
    assert told(receipt) == (0, 0, 0, 1) and str(password) in receipt.error
    password.write_text("new", encoding="utf-8")
    assert told(output.deliver(batch(0, document(0)))) == (1, 0, 0, 0)
    assert len(alarms) == 1
    assert "old" not in str(alarms) and "new" not in str(alarms)


def test_a_right_that_is_taken_away_in_the_middle_raises_the_alarm_once_and_again_the_next_time(server, opened, alarms):
    output = opened(server.url)
    denied = faulty.error(403, "security_exception", "no permissions for [indices:data/write/bulk]")
    for n in range(2):
        for _ in range(3):
            server.faults = [denied]
            assert told(output.deliver(batch(n, document(n)))) == (0, 0, 0, 1)
        assert told(output.deliver(batch(n, document(n)))) == (1, 0, 0, 0)
    assert len(alarms) == 2


def test_a_full_disk_is_no_alarm_about_rights(server, opened, alarms):
    output = opened(server.url)
    for fault in (faulty.error(403, "cluster_block_exception"), faulty.error(429, "x"), faulty.status(503)):
        server.faults = [fault]
        output.deliver(batch(0, document(0)))
    assert not alarms


def test_parallel_requests_share_a_password_that_was_replaced(server, opened, password, by_file):
    server.guard = accepts(of("ft", "old"))
    output = opened(server.url, auth=by_file, batch_bytes=20_000)
    sent = 0
    while output._sender is None or output._sender._pace.limit < 4:
        output.deliver(batch(0, *[document(sent + n) for n in range(200)]))
        sent += 200
    password.write_text("new", encoding="utf-8")
    server.guard = accepts(of("ft", "new"))
    receipt = output.deliver(batch(1, *[document(sent + n) for n in range(400)]))
    assert told(receipt) == (400, 0, 0, 0)
    assert len(server.documents) == sent + 400


def test_an_api_key_is_accepted_and_a_replaced_one_is_read(server, opened, tmp_path):
    file = tmp_path / "key"
    file.write_text("os_one\n", encoding="utf-8")
    server.guard = accepts("ApiKey os_one")
    output = opened(server.url, auth=AuthSection(api_key=ApiKeyAuth(token_file=file)))
    assert told(output.deliver(batch(0, document(0)))) == (1, 0, 0, 0)
    file.write_text("os_two\n", encoding="utf-8")
    server.guard = accepts("ApiKey os_two")
    assert told(output.deliver(batch(1, document(1)))) == (1, 0, 0, 0)


# -- AWS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """`auth` for a server that `checks` signatures; credentials are those of the test's environment."""
    try:
        import botocore  # noqa: F401 - asked whether it is there
    except ImportError:
        absent("botocore: pip install botocore")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return AuthSection(aws=AwsAuth(region="eu-west-1"))


def checks(secret):
    """A guard that computes each signature anew, from the bytes that came."""

    def guard(request):
        headers = {name.lower(): value for name, value in request.handler.headers.items()}
        url = f"http://{headers['host']}{request.handler.path}"
        names, given, computed = signature(request.method, url, request.sent, headers, secret)
        right = headers["x-amz-content-sha256"] == hashlib.sha256(request.sent).hexdigest()
        if given == computed and right and {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names):
            return False
        request.answer(403, {"message": "The request signature we calculated does not match"})
        return True

    return guard


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_every_request_is_signed_over_the_bytes_that_are_sent(server, opened, aws, compression):
    server.guard = checks(SECRET)
    output = opened(server.url, auth=aws, compression=compression)
    assert output.highest("9f2c61d0aa01b3e7") == -1
    assert told(output.deliver(batch(0, *[document(n) for n in range(50)]))) == (50, 0, 0, 0)
    assert told(output.deliver(batch(0, *[document(n) for n in range(50)]))) == (50, 0, 0, 0)  # read back by _mget
    assert server.asked["POST _mget"] == 1


def test_credentials_of_aws_that_were_replaced_are_found_and_the_request_goes_out_again(
    server, opened, aws, monkeypatch
):
    server.guard = checks(SECRET)
    output = opened(server.url, auth=aws)
    assert told(output.deliver(batch(0, document(0)))) == (1, 0, 0, 0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEXT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "next")
    server.guard = checks("next")
    assert told(output.deliver(batch(1, document(1)))) == (1, 0, 0, 0)


def test_a_signature_that_is_not_accepted_pauses_and_says_so(server, opened, aws):
    server.guard = checks("another secret")
    receipt = opened(server.url, auth=aws).deliver(batch(0, document(0)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "not allowed (403)" in receipt.error and receipt.retry_after >= 30


@pytest.mark.parametrize(
    "text",
    [
        "Signature expired: 20260203T103000Z is now earlier than 20260203T104500Z (20260203T105000Z - 5 min.)",
        "Signature not yet current: 20260203T105000Z is still later than 20260203T103500Z",
        "RequestTimeTooSkewed",
    ],
)
@pytest.mark.parametrize("where", ["guard", "bulk"])
def test_a_clock_that_is_off_is_named(server, opened, aws, text, where):
    answer = faulty.status(403, {"message": text})
    output = opened(server.url, auth=aws)
    if where == "guard":
        server.guard = lambda request: answer(request) or True
    else:
        server.faults = [answer]
    receipt = output.deliver(batch(0, document(0)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "the clock of this machine is off" in receipt.error and "timedatectl" in receipt.error
    assert receipt.retry_after >= 30


def test_validate_connect_signs_too(server, aws):
    from shipper.output_sections import OpenSearchSection

    server.guard = checks(SECRET)
    section = OpenSearchSection(id="siem", type="opensearch", hosts=(server.url,), auth=aws)
    assert all(ok for _, ok, _, _ in probe(section, "default"))
