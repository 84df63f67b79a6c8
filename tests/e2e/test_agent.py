"""The agent as a process: signals, restarts, states that must not be continued, full disks, dead outputs."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.agent_process import (
    COMMAND,
    checkpoints,
    conserved,
    controls,
    environment,
    eventually,
    line,
    lines,
    numbers,
    run,
)
from tests.integration.faulty_opensearch import FaultyOpenSearch, good, item, items


def nobody_listens():
    """A port of the loopback interface on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def dead(port, name="siem"):
    """An OpenSearch output; nobody has to listen there."""
    return {"id": name, "type": "opensearch", "hosts": [f"http://127.0.0.1:{port}"], "timeout": "2s"}


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_term_drains_and_closes_the_log_with_a_stop_leaf_and_a_checkpoint(place):
    place.append(lines(0, 50))
    agent = place.start().ready()
    place.settled(50)
    assert agent.terminate() == 0
    documents = place.archived()
    assert numbers(documents) == list(range(50))
    assert len(controls(documents, "stop")) == 1
    assert documents[-1]["trail"]["checkpoint"]["size"] == len(documents) - len(checkpoints(documents))
    assert not (place.state / "control.sock").exists()
    place.verified()


def test_a_second_term_ends_at_once(place):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        place.write(
            agent={"shutdown_grace": "60s"},
            outputs=[{**dead(silent.getsockname()[1]), "timeout": "30s"}],
        )
        place.append(lines(0, 5))
        agent = place.start().ready()
        eventually(lambda: place.status()["inputs"][0]["read"] == 5)
        agent.signal(signal.SIGTERM)
        eventually(lambda: not (place.status() or {"outputs": [{"pending": 0}]})["outputs"][0]["connected"])
        assert agent.process.poll() is None
        began = time.monotonic()
        agent.signal(signal.SIGTERM)
        assert agent.end() == 75
        assert time.monotonic() - began < 3
    assert place.verify("--journal").code == 0


def test_an_agent_that_reads_standard_input_ends_with_it(place):
    done = run("run", "-", home=place.root, stdin=lines(0, 20))
    assert done.code == 0, done
    found = run("search", "--json", "--limit", "100", "event.module:*", home=place.root)
    assert sum('"data_stream"' in one for one in found.out.splitlines()) >= 20


# -- reloading ---------------------------------------------------------------------------------------------------------


def test_hup_takes_a_new_input_and_seals_that_the_configuration_changed(place):
    place.append(lines(0, 10))
    agent = place.start().ready()
    place.settled(10)
    other = place.root / "other"
    other.mkdir()
    (other / "b.log").write_bytes(lines(100, 10))
    place.write(inputs=[place.input(), {**place.input("more"), "paths": [f"{other}/*.log"]}])
    agent.signal(signal.SIGHUP)
    agent.wait_told("agent started", 2)
    place.settled(10, "more")
    place.append(lines(10, 5))
    place.settled(5)
    assert agent.terminate() == 0
    documents = place.archived()
    assert sorted(numbers(documents)) == [*range(15), *range(100, 110)]
    leaves = controls(documents, "config")
    assert len(leaves) == 2
    assert leaves[0]["config_hash"] != leaves[1]["config_hash"]
    assert len(controls(documents, "genesis")) == len(controls(documents, "stop")) == 1
    place.verified()


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda place: place.config.write_text("inputs: [{id: x}]\n"), "inputs[0].type"),
        (lambda place: place.write(inputs=[]), "no inputs"),
        (lambda place: place.write(agent={"state_dir": str(place.root / "elsewhere")}), "agent.state_dir"),
        (
            lambda place: place.write(outputs=[{"id": "a", "type": "file", "path": f"{place.root}/none/a.ndjson"}]),
            "no such folder",
        ),
    ],
    ids=["invalid", "no inputs", "another state folder", "fails only when tried"],
)
def test_hup_with_a_bad_configuration_keeps_the_old_one(place, breaks, said):
    place.append(lines(0, 3))
    agent = place.start().ready()
    place.settled(3)
    breaks(place)
    agent.signal(signal.SIGHUP)
    assert said in agent.wait_told("configuration not changed: the new one has problems")[0]["cause"]
    place.append(lines(3, 3))
    eventually(lambda: numbers(place.archived()) == list(range(6)))
    assert agent.terminate() == 0
    place.write()
    place.verified()


def test_term_during_a_reload_ends_the_agent(place):
    place.append(lines(0, 3))
    agent = place.start().ready()
    place.settled(3)
    agent.signal(signal.SIGHUP)
    agent.signal(signal.SIGTERM)
    assert agent.end() == 0
    assert len(controls(place.archived(), "stop")) == 1
    place.verified()


# -- one agent, its key, its folder ------------------------------------------------------------------------------------


def test_a_state_without_its_key_is_refused_and_keys_init_does_not_replace_it(place):
    place.append(lines(0, 3))
    assert place.once().code == 0
    key = place.state / "keys" / "identity.pem"
    kept = key.read_bytes()
    key.unlink()
    done = place.once()
    assert done.code == 78
    assert "identity.pem" in done.err and "hint: " in done.err
    assert place.cli("keys", "init").code == 78
    assert not key.exists()
    key.write_bytes(kept)
    key.chmod(0o600)
    assert place.once().code == 0
    place.verified()


def test_a_key_that_others_can_read_is_refused(place):
    assert place.once().code == 0
    (place.state / "keys" / "identity.pem").chmod(0o644)
    done = place.once()
    assert done.code == 78
    assert "0644" in done.err and "hint: chmod 600" in done.err


def test_another_key_does_not_go_on_with_the_log_of_the_first(place, tmp_path_factory):
    place.append(lines(0, 3))
    assert place.once().code == 0
    other = tmp_path_factory.mktemp("other")
    assert run("keys", "init", home=other).code == 0
    shutil.copy(other / "fieldtrail" / "keys" / "identity.pem", place.state / "keys" / "identity.pem")
    done = place.once()
    assert done.code == 78
    assert "not the key that signed this log" in done.err


# -- one pass ----------------------------------------------------------------------------------------------------------


def test_once_ends_with_75_while_an_output_is_unreachable_and_delivers_the_next_time(place):
    port = nobody_listens()
    store = {"id": "local", "type": "store"}
    place.write(agent={"shutdown_grace": "300ms"}, outputs=[store, dead(port)])
    place.append(lines(0, 20))
    done = place.once()
    assert done.code == 75, done
    assert next(one for one in done.logs if one["event"] == "agent stopped")["pending"].keys() == {"siem"}
    assert numbers(place.stored()) == list(range(20))
    with FaultyOpenSearch() as search:
        place.write(agent={"shutdown_grace": "5s"}, outputs=[store, {**dead(0), "hosts": [search.url]}])
        done = place.once()
        assert done.code == 0, done
        arrived = sorted((json.loads(data) for data in search.documents.values()), key=_position)
        assert numbers(arrived) == list(range(20))
    assert place.verify("--store").code == 0


def _position(document):
    return document.get("seal", {}).get("i", -1)


def test_once_takes_an_unfinished_last_line_only_if_it_is_whole(place):
    place.append(lines(0, 2) + line(2).encode())
    place.append(lines(10, 2) + line(12).encode()[:40], "b.log")
    done = place.once()
    assert done.code == 0
    left = [one for one in done.logs if one["event"] == "unfinished last line left unread"]
    assert [(one["path"], one["length"]) for one in left] == [(str(place.logs / "b.log"), 40)]
    assert sorted(numbers(place.archived())) == [0, 1, 2, 10, 11]
    place.append(line(12).encode()[40:] + b"\n", "b.log")
    assert place.once().code == 0
    assert sorted(numbers(place.archived())) == [0, 1, 2, 10, 11, 12]
    place.verified()


def test_once_with_a_full_journal_and_a_dead_output_gives_up_after_the_grace(place):
    place.write(
        agent={"shutdown_grace": "300ms"},
        journal={"max_size": "64KiB", "segment_size": "64KiB"},
        outputs=[dead(nobody_listens())],
    )
    place.append(lines(0, 6000))
    assert place.once().code == 75


# -- outputs come and go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"), [({}, [5]), ({"from": "oldest"}, list(range(6)))], ids=["end", "oldest"]
)
def test_a_new_output_starts_where_it_is_told(place, start, expected):
    place.append(lines(0, 5))
    assert place.once().code == 0
    added = place.root / "added.ndjson"
    old = {"id": "archive", "type": "file", "path": str(place.archive)}
    place.write(outputs=[old, {"id": "added", "type": "file", "path": str(added), **start}])
    place.append(lines(5, 1))
    assert place.once().code == 0
    assert numbers(place.archived(added)) == expected
    told = controls(place.archived(), "config")[-1]
    assert [entry["id"] for entry in told["added"]] == ["added"]
    assert (told["added"][0]["from"] > 0) == (not start)
    assert told["removed"] == ["local"]
    assert place.verify("--ndjson", added).code == 0
    assert place.verify("--ndjson", place.archive).code == 0


def test_when_leaves_out_events_and_never_control_documents(place):
    filtered = {"id": "some", "type": "file", "path": str(place.root / "some.ndjson"), "when": {"dataset": ["nothing"]}}
    place.write(outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}, filtered])
    place.append(lines(0, 10))
    agent = place.start().ready()
    status = place.settled(10)
    told = {one["id"]: one for one in status["outputs"]}
    assert told["some"]["filtered"] == 11  # ten changes, and the health event of the start
    assert told["archive"]["filtered"] == 0
    assert agent.terminate() == 0
    some = place.archived(place.root / "some.ndjson")
    assert numbers(some) == []
    assert checkpoints(some) == checkpoints(place.archived())
    # Nothing in the file says which output wrote it: the archive would not have left anything out.
    done = place.verify("--ndjson", place.root / "some.ndjson")
    assert done.code == 1, done
    done = place.verify("--ndjson", place.root / "some.ndjson", "--output", "some")
    assert done.code == 0, done
    assert "filtered" in done.out


# -- files come and go -------------------------------------------------------------------------------------------------


def test_a_file_that_was_read_and_removed_is_no_loss_at_the_next_start(place):
    place.write(inputs=[place.input(grace="100ms")])
    place.append(lines(0, 5))
    agent = place.start().ready()
    place.settled(5)
    (place.logs / "a.log").unlink()
    eventually(lambda: not place.status()["inputs"][0]["streams"])
    time.sleep(0.2)
    agent.kill()
    place.append(lines(5, 5), "b.log")
    assert place.once().code == 0
    documents = place.archived()
    assert numbers(documents) == list(range(10))
    assert not [one for one in documents if one["event"]["action"] == "source.loss"]
    place.verified()


# -- states that must not be continued ---------------------------------------------------------------------------------


def test_a_state_restored_from_an_older_copy_opens_a_new_generation(place, tmp_path):
    place.write(outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}])
    place.append(lines(0, 5))
    assert place.once().code == 0
    shutil.copytree(place.state, tmp_path / "older")
    place.append(lines(5, 5))
    assert place.once().code == 0
    before = checkpoints(place.archived())
    shutil.rmtree(place.state)
    shutil.copytree(tmp_path / "older", place.state)
    place.append(lines(10, 5))
    done = place.once()
    assert done.code == 0, done
    files = [*sorted(place.root.glob("archive.ndjson.0*")), place.archive]
    documents = [document for path in files for document in place.archived(path)]
    after = checkpoints(documents)  # asserts that no size has two roots
    assert before.items() <= after.items()
    assert len({log for log, _ in after}) == 2
    assert [leaf["reason"] for leaf in controls(documents, "succession")] == ["ahead at output archive"]
    assert len(controls(documents, "start")) == 3
    # What was read between copy and restore is sealed a second time, in the new log: nothing is lost.
    assert sorted(set(numbers(documents))) == list(range(15))
    done = place.verify("--ndjson", *files[:1], *(word for path in files[1:] for word in ("--ndjson", path)))
    assert done.code in {0, 1}
    assert "MODIFIED" not in done.out and "MISSING" not in done.out


def test_a_journal_that_is_gone_opens_a_new_generation(place):
    place.append(lines(0, 5))
    assert place.once().code == 0
    shutil.rmtree(place.state / "journal")
    place.append(lines(5, 5))
    done = place.once()
    assert done.code == 0, done
    documents = place.stored()
    assert [leaf["reason"] for leaf in controls(documents, "succession")] == ["the journal is gone"]
    assert set(numbers(documents)) == set(range(10))
    checkpoints(documents)
    assert place.verify("--store").code == 0


def test_a_journal_that_lost_its_end_opens_a_new_generation(place):
    place.append(lines(0, 5))
    assert place.once().code == 0
    segment = next((place.state / "journal").glob("*.seg"))
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 2])
    place.append(lines(5, 5))
    done = place.once()
    assert done.code == 0, done
    documents = place.stored()
    assert len(controls(documents, "succession")) == 1
    assert set(numbers(documents)) == set(range(10))
    checkpoints(documents)
    assert place.verify("--store").code == 0


def test_an_unfinished_frame_at_the_end_of_the_journal_is_cut_off(place):
    place.append(lines(0, 5))
    assert place.once().code == 0
    segment = next((place.state / "journal").glob("*.seg"))
    with segment.open("ab") as file:
        file.write(b"\xf7FT\xfe\x01\x01 half a frame")
    assert place.cli("journal", "check").code == 0
    place.append(lines(5, 5))
    done = place.once()
    assert done.code == 0
    assert any(one["event"] == "journal: unfinished frame removed" for one in done.logs)
    assert numbers(place.stored()) == list(range(10))
    assert len(controls(place.stored(), "genesis")) == 1
    place.verified()


def test_a_damaged_frame_in_the_middle_is_reported_and_the_rest_is_delivered(place):
    port = nobody_listens()
    place.write(seal={"max_events": 1}, outputs=[{"id": "local", "type": "store"}, dead(port)])
    agent = place.start().ready()
    for number in range(0, 40, 10):
        place.append(lines(number, 10))
        eventually(lambda wanted=number + 10: numbers(place.stored()) == list(range(wanted)))
    agent.kill()
    segment = next((place.state / "journal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    frames = [at for at in range(len(data)) if data[at : at + 4] == b"\xf7FT\xfe"]
    middle = frames[len(frames) // 2]
    data[middle + 60] ^= 0xFF
    segment.write_bytes(data)
    assert place.cli("journal", "check").code == 1
    with FaultyOpenSearch() as search:
        place.write(
            seal={"max_events": 1},
            outputs=[{"id": "local", "type": "store"}, {**dead(0), "hosts": [search.url]}],
        )
        agent = place.start().ready()
        place.append(lines(40, 10))
        status = place.settled(10)
        assert agent.terminate() == 0
        arrived = [json.loads(document) for document in search.documents.values()]
    assert agent.told("journal: damaged bytes skipped")
    assert agent.told("journal frames missing for output")
    assert next(one for one in status["outputs"] if one["id"] == "siem")["dropped"] > 0
    assert set(numbers(arrived)) >= {0, 49}
    assert numbers(place.stored()) == list(range(50))
    assert place.verify("--store").code == 0


# -- cadence -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_follows_after_so_many_events(place):
    place.write(seal={"max_events": 10, "interval": "1h"})
    agent = place.start().ready()
    for number in range(0, 30, 10):
        place.append(lines(number, 10))
        eventually(lambda wanted=number // 10 + 1: len(checkpoints(place.archived())) >= wanted)
    agent.kill()
    assert place.verify("--ndjson", place.archive).code == 0


def test_a_checkpoint_follows_after_the_interval_and_heartbeats_when_it_is_quiet(place):
    place.write(seal={"interval": "300ms", "heartbeat": "600ms"})
    agent = place.start().ready()
    place.append(lines(0, 1))
    eventually(lambda: numbers(place.archived()) == [0])
    size = eventually(lambda: max((size for _, size in checkpoints(place.archived())), default=0))
    assert size >= 5
    eventually(lambda: len(controls(place.archived(), "heartbeat")) >= 2)
    assert agent.terminate() == 0
    place.verified()


def test_lines_that_change_nothing_keep_the_agent_idle_and_the_heart_beating(place):
    place.write(seal={"interval": "100ms", "heartbeat": "500ms"})
    agent = place.start().ready()
    place.append((json.dumps({"ts": "2026-02-03T10:30:00Z", "n": "1", "changes": []}) + "\n").encode())
    place.append((json.dumps({"ts": "2026-02-03T10:30:00Z", "n": "1", "changes": []}) + "\n").encode(), "b.log")
    eventually(lambda: place.status()["inputs"][0]["read"] == 2)
    eventually(lambda: len(controls(place.archived(), "heartbeat")) >= 1)
    used = _processor_seconds(agent.pid)
    time.sleep(0.5)
    assert _processor_seconds(agent.pid) - used < 0.3
    assert agent.terminate() == 0
    place.verified()


def _processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- looking in --------------------------------------------------------------------------------------------------------


def test_status_and_tap_show_what_the_agent_does(place):
    place.append(lines(0, 5))
    agent = place.start().ready()
    place.settled(5)
    shown = place.cli("status")
    assert shown.code == 0
    assert "app" in shown.out and "archive" in shown.out and "local" in shown.out
    status = place.cli("status", "--json").json
    assert status["pid"] == agent.pid
    assert status["inputs"][0]["streams"][0]["lag"] == 0
    tap = subprocess.Popen(
        [*COMMAND, "tap", "-c", place.config, "--input", "app"], stdout=subprocess.PIPE, env=environment(place.root)
    )
    try:
        number = 5
        seen = b""
        os.set_blocking(tap.stdout.fileno(), False)
        end = time.monotonic() + 20
        while not seen and time.monotonic() < end:
            place.append(lines(number, 1))
            number += 1
            time.sleep(0.1)
            seen = tap.stdout.read() or b""
        assert json.loads(seen.splitlines()[0])["trail"]["change"]["field"] == "stage"
        tap.send_signal(signal.SIGINT)
        assert tap.wait(20) == 0
    finally:
        tap.kill()
        tap.wait()
        tap.stdout.close()
    assert agent.terminate() == 0
    done = place.cli("status")
    assert done.code == 69
    assert "hint: fieldtrail run" in done.err


# -- backpressure and full disks ---------------------------------------------------------------------------------------


def test_a_full_journal_pauses_reading_until_the_output_is_back(place):
    port = nobody_listens()
    limit = 256 * 1024
    place.write(journal={"max_size": limit}, outputs=[dead(port)], seal={"interval": "200ms"})
    count = 12_000
    place.append(lines(0, count))
    agent = place.start().ready()
    agent.wait_told("journal full: reading is paused until an output catches up")
    paused = place.status()
    assert paused["inputs"][0]["read"] < count
    time.sleep(0.5)
    assert place.status()["inputs"][0]["read"] == paused["inputs"][0]["read"]
    assert paused["inputs"][0]["streams"][0]["lag"] > 0
    conserved(paused)
    with FaultyOpenSearch() as search:
        server = Forward(port, int(search.url.rpartition(":")[2]))
        try:
            place.settled(count)
            eventually(lambda: place.status()["journal"]["bytes"] < limit)
            assert agent.terminate() == 0
            arrived = [json.loads(document) for document in search.documents.values()]
        finally:
            server.close()
    assert sorted(numbers(arrived)) == list(range(count))
    assert place.verify("--journal").code == 0


class Forward:
    """Listens on `port` and passes every connection on to `target`."""

    def __init__(self, port, target):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            behind = socket.create_connection(("127.0.0.1", self._target))
            for source, target in ((client, behind), (behind, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


def test_a_disk_that_takes_no_more_pauses_the_agent_and_loses_nothing(place):
    place.write(outputs=[{"id": "archive", "type": "file", "path": str(place.archive)}])
    agent = place.start().ready()
    place.append(lines(0, 100))
    place.settled(100)
    # From now on no file may grow beyond where the journal's stands: as a full disk would answer.
    size = next((place.state / "journal").glob("*.seg")).stat().st_size
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    place.append(lines(100, 500))
    agent.wait_told("journal: frame not kept, will try again", 2)
    assert place.status()["pid"] == agent.pid
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    place.settled(600)
    assert agent.told("journal: frames are kept again")
    assert agent.terminate() == 0
    assert numbers(place.archived()) == list(range(600))
    assert place.verify("--ndjson", place.archive).code == 0
    assert place.verify("--journal").code == 0


def test_a_disk_that_takes_no_more_lets_a_stopping_agent_end_with_74(place):
    agent = place.start().ready()
    place.append(lines(0, 10))
    place.settled(10)
    size = next((place.state / "journal").glob("*.seg")).stat().st_size
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    place.append(lines(10, 500))
    agent.wait_told("journal: frame not kept, will try again")
    assert agent.terminate() == 74
    assert place.once().code == 0
    assert numbers(place.archived()) == list(range(510))
    place.verified()


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_refused_document_is_kept_sealed_as_rejected_and_replayed(place):
    refused = {}

    def answer_of(identity):
        return item(400, "mapper_parsing_exception", "failed to parse field [trail.x]") if identity in refused else None

    def bulk(request):
        for _, identity, document in list(request.lines()):
            event = json.loads(document)
            if event.get("trail", {}).get("object", {}).get("id") in {"3", "4", "7"}:
                refused[identity] = document
        items(answer_of)(request) if any(one in refused for _, one, _ in request.lines()) else good(request)

    with FaultyOpenSearch() as search:
        search.always = bulk
        place.write(
            outputs=[
                {"id": "archive", "type": "file", "path": str(place.archive)},
                {"id": "siem", "type": "opensearch", "hosts": [search.url]},
            ]
        )
        place.append(lines(0, 10))
        agent = place.start().ready()
        status = place.settled(10)
        siem = next(one for one in status["outputs"] if one["id"] == "siem")
        assert siem["dead_lettered"] == 3
        assert status["dead_letters"] == {"siem": 3}
        eventually(lambda: len(controls(place.archived(), "reject")) == 2)
        assert agent.terminate() == 0

        listed = place.cli("dlq", "list", "--json").json
        assert [json.loads(one["document"])["trail"]["object"]["id"] for one in listed] == ["3", "4", "7"]
        assert "3 dead letters" in place.cli("dlq", "list").out
        shown = place.cli("dlq", "show", listed[0]["id"]).json
        assert shown["reason"].startswith("failed to parse field")
        leaves = controls(place.archived(), "reject")
        assert [(leaf["to"] - leaf["from"], leaf["type"]) for leaf in leaves] == [
            (1, "mapper_parsing_exception"),
            (0, "mapper_parsing_exception"),
        ]
        assert "failed to parse" not in place.archive.read_text()

        got = place.root / "siem.ndjson"
        got.write_bytes(b"".join(data + b"\n" for data in search.documents.values()))
        done = place.verify("--ndjson", got)
        assert done.code == 0, done
        assert "rejected" in done.out

        assert place.cli("dlq", "replay").code == 1
        assert len(place.cli("dlq", "list", "--json").json) == 3
        search.always = None
        done = place.cli("dlq", "replay")
        assert done.code == 0, done
        assert "3 accepted" in done.out
        assert place.cli("dlq", "list", "--json").json == []
        got.write_bytes(b"".join(data + b"\n" for data in search.documents.values()))
        done = place.verify("--ndjson", got)
        assert done.code == 0 and "rejected" not in done.out, done


def test_a_document_that_the_destination_holds_differently_opens_a_new_generation(place):
    with FaultyOpenSearch() as search:
        place.write(outputs=[{"id": "siem", "type": "opensearch", "hosts": [search.url]}])
        place.append(lines(0, 3))
        agent = place.start().ready()
        status = place.settled(3)
        log, size = status["log"]["id"], status["log"]["size"]
        stream = "logs-fieldtrail.change-default"
        forged = {"seal": {"i": size, "log": log, "n": "A" * 22}, "message": "somebody else's"}
        search.documents[search.backing(stream), f"{log}-{size:014x}"] = json.dumps(forged).encode()
        place.append(lines(3, 1))
        agent.wait_told("FORK: the destination holds another document under an id of this log")
        eventually(lambda: place.status()["log"]["id"] != log)
        place.append(lines(4, 1))
        place.settled(5)
        assert agent.terminate() == 0
        assert place.cli("dlq", "list", "--json").json[0]["type"] == "fork"


def test_a_frame_of_very_many_short_lines_stays_small(place):
    place.write(inputs=[place.input(format="json")], outputs=[{"id": "local", "type": "store"}])
    place.append(b"x\n" * 60_000)
    agent = place.start().ready()
    place.settled(60_000)
    assert agent.peak() < 300_000_000
    agent.kill()
