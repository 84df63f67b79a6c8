"""Accounts, metrics and health of the real agent, while it works and while things fail."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from shipper.model import KEPT_PARTS, READ_PARTS
from tests.e2e.agent_process import COMMAND, conserved, environment, eventually, lines
from tests.integration.test_endpoint import free_port


def get(port, path):
    """The answer, or None where nobody listens."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        try:
            connection.request("GET", path)
        except ConnectionRefusedError:
            return None
        answer = connection.getresponse()
        return SimpleNamespace(status=answer.status, body=answer.read())


def scrape(port):
    """{(name, label values in the order of their names...): value}."""
    found = {}
    for family in text_string_to_metric_families(get(port, "/metrics").body.decode()):
        for sample in family.samples:
            found[sample.name, *(sample.labels[name] for name in sorted(sample.labels))] = sample.value
    return found


def reasons(port, path="/readyz"):
    answer = get(port, path)
    told = json.loads(answer.body)
    assert (answer.status == 200) == told["ok"] == (not told["reasons"])
    return told["reasons"]


def dead(port, name="siem"):
    return {"id": name, "type": "opensearch", "hosts": [f"http://127.0.0.1:{port}"]}


def test_the_accounts_balance_at_every_look_while_lines_come_and_an_output_fails(place):
    port = free_port()
    place.write(
        metrics={"listen": f"127.0.0.1:{port}"},
        outputs=[
            {"id": "local", "type": "store"},
            {"id": "archive", "type": "file", "path": str(place.archive)},
            dead(free_port()),
        ],
        seal={"interval": "100ms"},
    )
    count = 30_000
    place.append(lines(0, count))
    agent = place.start().ready()
    looks = middle = 0

    def finished():
        nonlocal looks, middle
        status, found = place.status(), scrape(port)
        conserved(status)
        assert status["conserved"] and found["fieldtrail_conserved",] == 1
        read = found["fieldtrail_input_read_records_total", "app"]
        assert read == sum(found["fieldtrail_input_records_total", "app", name] for name in READ_PARTS)
        for output in ("local", "archive", "siem"):
            kept = found["fieldtrail_output_kept_documents_total", output]
            parts = [found["fieldtrail_output_documents_total", name, output] for name in KEPT_PARTS[:-1]]
            assert kept == sum(parts) + found["fieldtrail_output_pending_documents", output]
        looks, middle = looks + 1, middle + (0 < read < count)
        local = status["outputs"][0]
        return read == count and local["kept"] >= count and not local["pending"]

    eventually(finished, patience=60)
    assert middle >= 3, f"{looks} looks"
    found = scrape(port)
    assert found["fieldtrail_output_connected", "siem"] == 0
    assert found["fieldtrail_output_pending_documents", "siem"] > count
    assert found["fieldtrail_output_lag_bytes", "siem"] == found["fieldtrail_journal_bytes",]
    assert found["fieldtrail_output_lag_seconds", "siem"] > 0
    assert found["fieldtrail_output_lag_seconds", "local"] == found["fieldtrail_lost_events_total", "app", "input"] == 0
    assert reasons(port) == reasons(port, "/healthz") == []
    os.kill(agent.pid, signal.SIGKILL)


def test_an_output_that_fails_for_long_makes_the_agent_unready_but_not_unhealthy(place):
    port = free_port()
    place.write(metrics={"listen": f"127.0.0.1:{port}", "unready_after": "200ms"}, outputs=[dead(free_port())])
    place.append(lines(0, 3))
    place.start().ready()
    (reason,) = eventually(lambda: reasons(port))
    assert reason.startswith("output siem has been failing for ")
    assert reasons(port, "/healthz") == []
    assert place.status()["ready"] is False


def test_a_full_journal_is_told_with_the_output_that_holds_it(place):
    port = free_port()
    place.write(
        metrics={"listen": f"127.0.0.1:{port}"},
        journal={"max_size": 256 * 1024},
        outputs=[{"id": "local", "type": "store"}, dead(free_port())],
        seal={"interval": "200ms"},
    )
    place.append(lines(0, 12_000))
    place.start().ready().wait_told("journal full: reading is paused until an output catches up")
    eventually(lambda: reasons(port) == ["the journal is full: reading waits for siem"])
    assert reasons(port, "/healthz") == []
    found = scrape(port)
    assert found["fieldtrail_journal_paused",] == found["fieldtrail_conserved",] == 1
    assert found["fieldtrail_input_lag_bytes", "app"] > 0
    before = found["fieldtrail_input_lag_seconds", "app"]
    eventually(lambda: scrape(port)["fieldtrail_input_lag_seconds", "app"] > max(before, 1.0))
    assert found["fieldtrail_input_lag_events_estimated", "app"] > 0
    shown = place.cli("status").out
    assert "FULL: reading is paused until siem catches up" in shown
    assert "accounts: balanced, nothing lost" in shown


def test_a_file_that_was_deleted_unread_counts_as_lost_and_nothing_else_does(place):
    port = free_port()
    place.write(metrics={"listen": f"127.0.0.1:{port}"})
    place.append(lines(0, 20))
    place.append(lines(20, 20), "b.log")
    agent = place.start().ready()
    place.settled(40)
    assert scrape(port)["fieldtrail_lost_events_total", "app", "input"] == 0
    agent.kill()
    place.append(lines(40, 20), "b.log")
    (place.logs / "b.log").unlink()
    place.start().ready()
    eventually(lambda: scrape(port)["fieldtrail_lost_events_total", "app", "input"] == 1)
    status = place.status()
    assert status["conserved"] and status["lost"]["events"] == 1
    assert "LOST: at least 1 events" in place.cli("status").out


def test_nothing_listens_without_the_section_and_a_reload_brings_and_takes_it(place):
    port = free_port()
    agent = place.start().ready()
    assert get(port, "/healthz") is None
    place.write(metrics={"listen": f"127.0.0.1:{port}"})
    agent.signal(signal.SIGHUP)
    agent.wait_told("configuration changed")
    eventually(lambda: (answer := get(port, "/healthz")) and answer.status == 200)
    place.write()
    agent.signal(signal.SIGHUP)
    agent.wait_told("configuration changed", 2)
    eventually(lambda: get(port, "/healthz") is None)
    assert agent.terminate() == 0


def test_an_address_in_use_ends_the_start_before_anything_is_made_but_the_lock(place):
    port = free_port()
    place.write(metrics={"listen": f"127.0.0.1:{port}"})
    place.start().ready()
    other = place.root / "other.yaml"
    place.config.rename(other)
    other.write_text(other.read_text().replace(str(place.state), f"{place.state}-2"))
    done = subprocess.run(
        [*COMMAND, "run", "-c", other],
        capture_output=True,
        env=environment(place.root),
        cwd=place.root,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    said = done.stderr.decode()
    assert f"listen for metrics: 127.0.0.1:{port}: Address already in use" in said and "hint: ss -ltnp" in said
    assert [one.name for one in place.state.with_name("state-2").iterdir()] == ["lock"]


def test_a_second_agent_on_a_state_folder_is_told_of_the_first_not_of_its_address(place):
    place.write(metrics={"listen": f"127.0.0.1:{free_port()}"})
    agent = place.start().ready()
    done = place.process("run")
    assert done.code == 69
    assert f"in use by another agent (pid {agent.pid})" in done.err and "hint: fieldtrail status" in done.err


def test_a_reload_to_an_address_in_use_keeps_the_agent_running_as_it_was(place):
    taken, port = free_port(), free_port()
    place.write(metrics={"listen": f"127.0.0.1:{port}"})
    agent = place.start().ready()
    with socket.create_server(("127.0.0.1", taken)):
        place.write(metrics={"listen": f"127.0.0.1:{taken}"})
        agent.signal(signal.SIGHUP)
        agent.wait_told("configuration not changed: the new one has problems")
        eventually(lambda: (answer := get(port, "/readyz")) and answer.status == 200)
    place.append(lines(0, 5))
    place.settled(5)
    assert agent.terminate() == 0


def test_status_can_be_watched_through_a_restart(place):
    agent = place.start().ready()
    words = [*COMMAND, "status", "-c", str(place.config), "--watch", "0.2"]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(place.root))
    try:
        first = watching.stdout.readline().decode()
        assert "app: 0 events, -/s" in first and first.endswith("| balanced\n")
        place.append(lines(0, 50))
        while "app: 50 events" not in watching.stdout.readline().decode():
            pass
        agent.kill()
        while "refused" not in watching.stdout.readline().decode():
            pass
        place.start().ready()
        while "| balanced" not in watching.stdout.readline().decode():
            pass
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


def test_watched_as_json_each_line_is_a_status(place):
    place.start().ready()
    words = [*COMMAND, "status", "-c", str(place.config), "--watch", "0.1", "--json"]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(place.root))
    try:
        for _ in range(3):
            assert json.loads(watching.stdout.readline())["conserved"] is True
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


def test_status_without_an_agent_says_what_to_type(place):
    for words in (["status"], ["status", "--watch"]):
        done = place.cli(*words)
        assert done.code == 69 and "hint: fieldtrail run" in done.err


def test_validate_tries_the_address_unless_the_agent_is_running(place):
    port = free_port()
    place.write(metrics={"listen": f"127.0.0.1:{port}"})
    done = place.cli("validate", "--connect")
    assert done.code == 0 and f"ok   metrics: listen: 127.0.0.1:{port}\n" in done.out
    with socket.create_server(("127.0.0.1", port)):
        done = place.cli("validate", "--connect")
    assert done.code == 69
    assert (
        f"FAIL metrics: listen: 127.0.0.1:{port}: Address already in use" in done.out and "hint: ss -ltnp" in done.out
    )
    place.start().ready()
    done = place.cli("validate", "--connect")
    assert done.code == 0 and "not tried, the agent is running" in done.out


def test_validate_says_what_listening_for_others_means(place):
    place.write(metrics={"listen": f"0.0.0.0:{free_port()}", "allow_remote": True})
    assert "no TLS, no password" in place.cli("validate").out
