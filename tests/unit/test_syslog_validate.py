import pytest

from shipper.config import Config
from shipper.connect import remarks


def told(**output):
    config = Config(privacy={}, outputs=[{"id": "soc", "type": "syslog", **output}])
    return [remark for remark in remarks(config) if remark.startswith("outputs[0]")]


@pytest.mark.parametrize("transport", ["tcp", "relp", "udp"])
@pytest.mark.parametrize("host", ["soc.example", "192.0.2.1", "[2001:db8::1]"])
def test_what_leaves_the_machine_without_encryption_is_remarked_on(transport, host):
    remark = told(address=f"{transport}://{host}:514")[-1]
    assert remark == f"outputs[0]: {transport}:// is not encrypted: anybody in between can read and change it"


@pytest.mark.parametrize(
    "address",
    ["soc.example:6514", "tls://192.0.2.1:6514", "relps://soc.example:2514", "tcp://127.0.0.1:514", "relp://[::1]:2514",
     "tcp://localhost:514"],
)  # fmt: skip
def test_what_is_encrypted_or_stays_on_the_machine_is_not(address):
    assert told(address=address) == []


def test_a_certificate_that_is_not_checked_is_remarked_on():
    (remark,) = told(address="soc.example:6514", tls={"verify": False})
    assert "tls.verify is off" in remark
