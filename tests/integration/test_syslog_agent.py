"""A real agent that ships over RELP to a real rsyslog, which is killed three times meanwhile."""

import json

import pytest

from tests.e2e.agent_process import Place, eventually, lines, numbers
from tests.integration.receivers_real import Lab, until

COUNT, STEPS = 6000, 12


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("transport", ["relp", "relps"])
def test_what_rsyslog_wrote_verifies_after_it_was_killed_three_times(lab, place, transport, tmp_path):
    receiver = lab.start("rsyslog", transport)
    soc = {"id": "soc", "type": "syslog", "address": f"{transport}://127.0.0.1:{receiver.port}"}
    if transport == "relps":
        soc["tls"] = {name: str(lab.pki / file) for name, file in
                      (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))}  # fmt: skip
    place.write(
        outputs=[soc, {"id": "archive", "type": "file", "path": str(place.archive)}],
        seal={"interval": "200ms"},
    )
    agent = place.start().ready()
    step = COUNT // STEPS
    for turn in range(STEPS):
        place.append(lines(turn * step, step))
        if turn % 4 == 1:
            before = receiver.written.stat().st_size if receiver.written.exists() else 0
            until(
                lambda size=before: receiver.written.exists() and receiver.written.stat().st_size > size, place.status
            )
            receiver.kill()
        if turn % 4 == 2:
            eventually(lambda count=turn // 4: len(agent.told("output not reachable, will try again")) > count)
            receiver.start()
    place.settled(COUNT)
    assert agent.terminate() == 0

    written = receiver.written.read_bytes().splitlines()
    once = list(dict.fromkeys(written))
    print(f"\n{transport}: {len(once)} documents, {len(written) - len(once)} repeats")
    assert numbers(json.loads(one) for one in once) == list(range(COUNT))
    archived = [json.loads(one) for one in place.archive.read_bytes().splitlines()]
    leaves = [one["seal"]["i"] for one in archived if "seal" in one]
    assert [one["seal"]["i"] for one in map(json.loads, once) if "seal" in one] == leaves == list(range(len(leaves)))
    kept = tmp_path / "once.ndjson"
    kept.write_bytes(b"".join(one + b"\n" for one in once))
    for file in (kept, place.archive):
        done = place.verify("--ndjson", file)
        assert done.code == 0 and "0 modified, 0 missing" in done.out.splitlines()[-1], done
    repeated = place.verify("--ndjson", receiver.written)
    if len(written) == len(once):
        assert repeated.code == 0, repeated
    else:
        assert {one.split()[0] for one in repeated.out.splitlines()[:-1]} == {"DUPLICATE"}, repeated


def test_validate_connect_speaks_relp_with_the_receiver(lab, place):
    receiver = lab.start("rsyslog", "relps")
    mine = {"ca": str(lab.pki / "ca.pem"), "cert": str(lab.pki / "client.pem"), "key": str(lab.pki / "client.key")}
    soc = {"id": "soc", "type": "syslog", "address": f"relps://127.0.0.1:{receiver.port}", "tls": mine}
    place.write(outputs=[soc])
    done = place.cli("validate", "--connect")
    assert done.code == 0, done
    assert "librelp" in done.out + done.err and "certificate trusted" in done.out + done.err
    place.write(outputs=[{**soc, "tls": {"ca": mine["ca"]}}])
    done = place.cli("validate", "--connect")
    assert done.code != 0 and "tls.cert, tls.key" in done.out + done.err, done


def test_validate_connect_tells_a_plain_syslog_port_from_relp(lab, place):
    receiver = lab.start("rsyslog", "tcp")
    place.write(outputs=[{"id": "soc", "type": "syslog", "address": f"relp://127.0.0.1:{receiver.port}", "timeout": 1}])
    done = place.cli("validate", "--connect")
    assert done.code != 0 and "no answer in time" in done.out + done.err and "imrelp" in done.out + done.err, done


def test_a_message_longer_than_rsyslog_takes_becomes_a_dead_letter_and_the_others_arrive(lab):
    from shipper.outputs.relp import TRIES
    from tests.shipped import batch, change, document

    receiver = lab.start("rsyslog", "relp", size="8k", oversize="abort")
    output = lab.output(receiver, max_bytes=100_000)
    documents = [document(k) for k in range(100)]
    documents[60] = document(60, change(message="x" * 20_000))
    pending, refused, tries = documents, [], 0
    while pending:
        receipt = output.deliver(batch(0, *pending))
        refused += receipt.refused
        pending = receipt.retry
        tries += 1
        assert tries < 4 * TRIES
    assert [(refusal.document, refusal.type) for refusal in refused] == [(documents[60], "relp_session_ended")]
    there = receiver.lines(99)
    assert list(dict.fromkeys(there)) == [doc.data for doc in documents if doc is not documents[60]]
