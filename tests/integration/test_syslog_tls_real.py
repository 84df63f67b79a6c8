"""Who gets in over TLS: real rsyslog (GnuTLS) and syslog-ng (OpenSSL), each asking for a certificate or not."""

import shutil

import pytest

from tests.integration.receivers_real import YESTERDAY, Lab, issue
from tests.shipped import batch, document

TLS = [("rsyslog", "tls"), ("syslog-ng", "tls"), ("rsyslog", "relps")]


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    made.close()


def put(lab, old, new):
    for ending in ("pem", "key"):
        shutil.copy(lab.pki / f"{new}.{ending}", lab.pki / f"{old}.{ending}")


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_with_its_certificate_the_agent_gets_in(lab, name, transport):
    receiver = lab.start(name, transport, mutual=True)
    output = lab.output(receiver, "client")
    assert output.deliver(batch(0, document(0))).error == ""
    assert receiver.lines(1) == [document(0).data]


@pytest.mark.parametrize(("name", "transport"), TLS)
@pytest.mark.parametrize("client", [None, "foreign", "expired"])
def test_without_a_good_certificate_nothing_is_delivered_and_somebody_is_told(lab, name, transport, client):
    receiver = lab.start(name, transport, mutual=True)
    receipt = lab.output(receiver, client).deliver(batch(0, document(0)))
    assert receipt.delivered == 0 and len(receipt.retry) == 1
    assert "certificate" in receipt.error, receipt.error
    assert not receiver.written.exists() or receiver.written.read_bytes() == b""


def test_another_agents_certificate_does_not_get_in_where_names_are_checked(lab):
    receiver = lab.start("rsyslog", "relps", mutual=True)
    receipt = lab.output(receiver, "stranger").deliver(batch(0, document(0)))
    assert receipt.delivered == 0 and "tls.cert, tls.key" in receipt.error


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_a_receiver_of_an_unknown_authority_gets_nothing(lab, name, transport):
    receiver = lab.start(name, transport, mutual=True)
    output = lab.output(receiver, "client", tls={"ca": lab.pki / "other-ca.pem"})
    receipt = output.deliver(batch(0, document(0)))
    assert receipt.delivered == 0 and "certificate is not trusted" in receipt.error and "tls.ca" in receipt.error


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_a_receiver_of_another_name_gets_nothing(lab, name, transport):
    receiver = lab.start(name, transport, mutual=True)
    output = lab.output(receiver, "client", tls={"server_name": "other.example.test"})
    receipt = output.deliver(batch(0, document(0)))
    assert receipt.delivered == 0 and "tls.server_name" in receipt.error, f"{receipt.error}; {receiver.told()}"


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_a_receiver_whose_certificate_has_expired_gets_nothing(lab, name, transport):
    pki = issue(lab.folder / "old", not_after=YESTERDAY)
    receiver = lab.start(name, transport, pki=pki, mutual=True)
    receipt = lab.output(receiver, "client", tls={"ca": pki / "ca.pem"}).deliver(batch(0, document(0)))
    assert receipt.delivered == 0 and "has expired" in receipt.error


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_a_certificate_renewed_on_disk_counts_from_the_next_connection_on(lab, name, transport):
    receiver = lab.start(name, transport, mutual=True)
    put(lab, "mine", "foreign")
    output = lab.output(receiver, "mine")
    assert output.deliver(batch(0, document(0))).delivered == 0
    put(lab, "mine", "client")
    receipt = output.deliver(batch(0, document(0)))
    assert (receipt.delivered, receipt.error) == (1, "")
    assert receiver.lines(1) == [document(0).data]


@pytest.mark.parametrize(("name", "transport"), TLS)
def test_a_new_authority_of_the_receiver_counts_from_the_next_connection_on(lab, name, transport):
    receiver = lab.start(name, transport, mutual=True)
    authority = lab.folder / "trusted.pem"
    shutil.copy(lab.pki / "other-ca.pem", authority)
    output = lab.output(receiver, "client", tls={"ca": authority})
    assert "not trusted" in output.deliver(batch(0, document(0))).error
    shutil.copy(lab.pki / "ca.pem", authority)
    assert output.deliver(batch(0, document(0))).delivered == 1
