"""The command line as people type it: help, exit codes, JSON, pipes, and the way from `init` to a first verification."""

import ast
import json
import os
import subprocess
import sys

import pytest

import parsers
from shipper.cli import _COMMANDS
from tests.e2e.agent_process import (
    COMMAND,
    UNPRIVILEGED,
    controls,
    environment,
    inside,
    line,
    lines,
    numbers,
    run,
)

GROUPS = {
    "dlq": ("list", "show", "replay", "purge"),
    "journal": ("check", "repair"),
    "keys": ("init", "show", "trust"),
}


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A home of the test's own, for commands without a configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- help --------------------------------------------------------------------------------------------------------------


def imported(tmp_path, *words):
    """The modules that a command imports, {top-level name: threads}, told by the interpreter's own audit events."""
    code = (
        "import sys, threading\n"
        "seen = []\n"
        "def hook(event, args):\n"
        "    if event == 'import': seen.append((args[0].partition('.')[0], threading.current_thread().name))\n"
        "sys.addaudithook(hook)\n"
        "from shipper.cli import main\n"
        f"try: main({[str(word) for word in words]!r})\n"
        "except SystemExit: print(sorted(set(seen)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(tmp_path), check=True)
    threads = {}
    for name, thread in ast.literal_eval(done.stdout.decode().splitlines()[-1]):
        threads.setdefault(name, set()).add(thread)
    return threads, done.stdout.decode()


def test_help_is_quick_because_it_imports_nothing_heavy(tmp_path):
    modules, text = imported(tmp_path, "--help")
    heavy = {
        "asyncio",
        "cryptography",
        "mappings",
        "opensearchpy",
        "orjson",
        "parsers",
        "pydantic",
        "rich",
        "structlog",
    }
    assert "click" in modules
    assert set(modules) & {*heavy, "sqlite3", "ssl", "watchdog", "yaml"} == set()
    assert all(f"  {name} " in text for name in _COMMANDS)


def test_the_start_waits_neither_for_the_client_of_opensearch_nor_for_watchdog(tmp_path):
    log, config = tmp_path / "app.log", tmp_path / "fieldtrail.yaml"
    log.write_text('{"event":"started"}\n')
    config.write_text(
        f"agent: {{state_dir: {tmp_path / 'state'}, shutdown_grace: 100ms}}\n"
        f"inputs: [{{id: app, type: file, paths: ['{log}'], format: json}}]\n"
        "outputs: [{id: siem, type: opensearch, hosts: ['http://127.0.0.1:9']}]\n"
    )
    modules, _ = imported(tmp_path, "run", "--once", "-c", config)
    assert modules["opensearchpy"] == {"output-siem"}
    assert "MainThread" not in modules.get("urllib3", set())
    assert "watchdog" not in modules


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_has_help_with_an_example(command):
    done = inside(command, "--help")
    assert done.code == 0
    assert f"fieldtrail {command}" in done.out.partition("xample")[2], done.out


@pytest.mark.parametrize(("group", "command"), [(group, one) for group, some in GROUPS.items() for one in some])
def test_each_command_of_a_group_has_help(group, command):
    done = inside(group, command, "--help")
    assert done.code == 0
    assert f"Usage: fieldtrail {group} {command} " in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-command"], "No such command"),
        (["run", "--no-such-option"], "No such option"),
        (["explain"], "Missing argument"),
        (["search", "--limit", "0"], "limit"),
        (["search", "a:[1 TO"], "hint: "),
        (["verify", "--store", "--journal"], "more than one source"),
        (["verify", "something"], "no such thing to verify"),
        (["verify", "event"], "needs one document id"),
        (["verify", "consistency", "1"], "needs two tree sizes"),
        (["verify", "--max-age", "soon"], "not a duration"),
        (["run", "--once", "/no/such/file"], "no such file"),
        (["run", "/tmp"], "is a directory"),
        (["parse", "--format", "json", "/no/such/file"], "No such file"),
        (["init", "--to", "elsewhere"], "elsewhere"),
        (["pull"], "--opensearch is missing"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_64(alone, words, said):
    done = inside(*words)
    assert done.code == 64, done
    assert said in done.err
    assert done.out == ""


def test_version_and_its_json(alone):
    assert inside("version").out.startswith("fieldtrail 0.")
    assert inside("version", "--json").json["fieldtrail"] in inside("--version").out


# -- formats, parse, explain -------------------------------------------------------------------------------------------


def test_formats_lists_every_parser(alone):
    listed = inside("formats", "--json").json
    assert {one["name"] for one in listed} >= set(parsers.names())
    table = inside("formats").out
    assert all(name in table for name in parsers.names())


@pytest.mark.parametrize("name", parsers.names())
def test_a_format_shows_its_documentation_one_line_and_its_events(alone, name):
    done = inside("formats", name, "--json")
    told = done.json
    assert told["documentation"] and told["line"]
    assert told["events"], "the example line gives no event"
    assert all(event["event"]["kind"] != "pipeline_error" for event in told["events"])
    shown = inside("formats", name).out
    assert "One line in:" in shown and "Events out:" in shown
    assert told["documentation"].splitlines()[0] in shown


def test_an_unknown_format_is_refused_with_the_nearest_name(alone):
    done = inside("formats", "greenhous")
    assert done.code == 78
    assert "greenhouse" in done.err


def test_parse_reads_standard_input(alone):
    told = inside("formats", "keap", "--json").json["line"]
    done = run("parse", "--format", "keap", "-", home=alone, stdin=told.encode() + b"\nnonsense\n")
    assert done.code == 0, done
    events = [json.loads(one) for one in done.out.splitlines()]
    assert events[0]["event"]["module"] == "keap"
    assert events[-1]["event"]["kind"] == "pipeline_error"
    assert all("seal" not in event for event in events)


def test_parse_finds_the_format_of_a_file_and_takes_several(alone):
    for name in ("keap", "greenhouse"):
        told = inside("formats", name, "--json").json["line"]
        (alone / f"{name}.log").write_text(told + "\n")
    done = inside("parse", alone / "keap.log", alone / "greenhouse.log")
    modules = [json.loads(one)["event"]["module"] for one in done.out.splitlines()]
    assert modules[0] == "keap" and modules[-1] == "greenhouse"


def test_explain_says_where_each_field_came_from(alone):
    told = inside("formats", "greenhouse", "--json").json["line"]
    done = inside("explain", "--format", "greenhouse", told)
    assert done.code == 0
    assert "@timestamp" in done.out
    rows = inside("explain", "--format", "greenhouse", "--json", told).json
    assert {"document", "field", "value", "from"} == set(rows[0])
    assert all(row["from"] for row in rows)
    done = run("explain", "--format", "greenhouse", "-", home=alone, stdin=told.encode() + b"\n")
    assert "@timestamp" in done.out


def test_a_broken_pipe_is_quiet(alone):
    (alone / "a.log").write_bytes(lines(0, 5000))
    for command in (f"parse --format json {alone / 'a.log'}", "formats"):
        done = subprocess.run(
            f"{' '.join(COMMAND)} {command} | head -c 1",
            shell=True,
            capture_output=True,
            env=environment(alone),
            check=False,
        )
        assert done.stderr == b"", command


# -- from nothing to a verified store ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "to"),
    [([], "store"), (["sshd"], "store"), (["file:keap", "file:makecom"], "opensearch"), (["json"], "syslog")],
    ids=["auto", "sshd", "two", "own json"],
)
def test_init_writes_a_configuration_that_is_valid(alone, sources, to):
    words = [word for source in sources for word in ("--source", source)]
    done = inside("init", *words, "--to", to, "--state-dir", alone / "state")
    assert done.code == 0, done
    assert "signing key SHA256:" in done.out
    assert inside("validate", "-c", "fieldtrail.yaml").code == 0
    assert inside("validate", "-c", "fieldtrail.yaml", "--json").json["ok"] is True
    again = inside("init", *words)
    assert again.code == 64
    assert "already exists" in again.err


def test_init_run_search_trace_and_verify(alone):
    assert inside("init", "--source", "file:greenhouse", "--state-dir", alone / "state").code == 0
    logs = alone / "logs"
    logs.mkdir()
    path = alone / "fieldtrail.yaml"
    path.write_text(path.read_text().replace("/var/log/greenhouse", str(logs)))
    told = inside("formats", "greenhouse", "--json").json
    (logs / "audit.log").write_text(told["line"] + "\n")
    done = run("run", "-c", path, "--once", home=alone)
    assert done.code == 0, done
    event = told["events"][0]
    found = inside("search", "-c", path, f'event.id:"{event["event"]["id"]}"', "--json")
    assert json.loads(found.out.splitlines()[0])["event"]["module"] == "greenhouse"
    missed = inside("search", "-c", path, 'user.nmae:kim AND trail.raw.x:1 AND message:"a b:c"')
    assert missed.err.endswith("no event matches\nhint: no field is called user.nmae; did you mean user.name?\n")
    key = event["trail"]["object"]["key"]
    traced = inside("trace", "-c", path, key)
    assert traced.code == 0
    assert event["trail"]["change"]["field"] in traced.out
    assert json.loads(inside("trace", "-c", path, key, "--json").out.splitlines()[0])
    assert inside("verify", "-c", path, "--store").code == 0


def test_run_takes_paths_and_standard_input_without_any_configuration(alone):
    (alone / "a.log").write_bytes(lines(0, 3))
    assert run("run", "--once", "a.log", home=alone).code == 0
    assert run("run", "--once", "-", home=alone, stdin=lines(3, 4)).code == 0
    done = inside("search", "--json", "--limit", "1000", "NOT event.module:fieldtrail")
    assert len(done.out.splitlines()) == 7
    assert inside("verify").code == 0
    assert inside("verify", "--store", "--json").json["ok"] is True
    assert inside("search", "trail.object.id:none").code == 0
    assert inside("trace", "offer/none").code == 0


def test_without_anything_to_read_there_is_a_hint(alone):
    done = inside("run")
    assert done.code == 78
    assert "hint: fieldtrail init" in done.err
    assert inside("search").code == 69
    assert inside("status").code == 69


# -- verify, keys ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A place where an agent has run twice. Tests must leave it as it is."""
    from tests.e2e.agent_process import Place

    place = Place(tmp_path_factory.mktemp("shipped"))
    place.append(lines(0, 5))
    assert place.once().code == 0
    place.append(lines(5, 5))
    assert place.once().code == 0
    return place


def test_an_auditor_verifies_with_the_trust_file_alone(shipped, alone):
    trust = alone / "trust.json"
    done = shipped.cli("keys", "trust", "--output", trust)
    assert done.code == 0
    assert "fingerprint to read over the phone: SHA256:" in done.err
    assert json.loads(shipped.cli("keys", "trust").out) == json.loads(trust.read_text())
    copy = alone / "archive.ndjson"
    copy.write_bytes(shipped.archive.read_bytes())
    done = run("verify", "--ndjson", copy, "--trust", trust, home=alone, prefix=UNPRIVILEGED)
    assert done.code == 0, done
    assert done.out.count("\n") == 1
    without = inside("verify", "--ndjson", copy)
    assert without.code == 78
    assert "--trust" in without.err


def test_a_changed_a_missing_and_a_cut_line_are_named(shipped, alone):
    trust = alone / "trust.json"
    shipped.cli("keys", "trust", "--output", trust)
    rows = shipped.archive.read_bytes().splitlines(keepends=True)
    at = next(number for number, row in enumerate(rows) if b'"new":"b3"' in row)
    index = json.loads(rows[at])["seal"]["i"]
    cases = {
        f"MODIFIED {index}": [*rows[:at], rows[at].replace(b'"new":"b3"', b'"new":"b4"'), *rows[at + 1 :]],
        f"MISSING {index}": [*rows[:at], *rows[at + 1 :]],
        f"DUPLICATE {index}": [*rows, rows[at]],
    }
    for said, changed in cases.items():
        (alone / "a.ndjson").write_bytes(b"".join(changed))
        done = inside("verify", "--ndjson", alone / "a.ndjson", "--trust", trust)
        assert done.code == 1
        assert done.out.startswith(said), done
        assert len(inside("verify", "--ndjson", alone / "a.ndjson", "--trust", trust, "--json").json["findings"]) == 1


def test_verify_takes_a_period_and_writes_a_report(shipped, alone):
    report = alone / "report.html"
    done = shipped.cli("verify", "--store", "--since", "now-1d", "--until", "now+1d", "--report", report)
    assert done.code == 0, done
    text = report.read_text()
    assert text.lower().startswith("<!doctype html")
    assert "SHA256:" in text
    assert shipped.cli("verify", "--store", "--max-age", "0s").code == 1


def test_verify_one_event_and_the_consistency_of_two_sizes(shipped):
    documents = shipped.archived()
    log = documents[0]["seal"]["log"]
    sizes = [one["trail"]["checkpoint"]["size"] for one in documents if "checkpoint" in one["trail"]]
    event = next(one for one in documents if one["trail"].get("object", {}).get("id") == "7")
    done = shipped.cli("verify", "event", f"{log}-{event['seal']['i']:014x}", "--store")
    assert done.code == 0, done
    done = shipped.cli("verify", "consistency", sizes[0], sizes[1], "--store")
    assert done.code == 0, done
    assert shipped.cli("verify", "event", f"{log}-{9999:014x}", "--store").code == 1


def test_keys_show_names_the_key_and_its_log(shipped):
    shown = shipped.cli("keys", "show")
    told = shipped.cli("keys", "show", "--json").json
    assert told["fingerprint"] in shown.out
    assert told["origin"] == "test.example/audit/t1"
    assert len(told["logs"]) == 1
    assert controls(shipped.archived(), "genesis")[0]["origin"] == told["logs"][0]


def test_keys_init_makes_a_key_once(alone):
    assert inside("keys", "init").code == 0
    done = inside("keys", "init")
    assert done.code == 78
    assert "there is a key already" in done.err
    assert "fingerprint SHA256:" in inside("keys", "trust").err.replace("to read over the phone: ", "")


@pytest.mark.parametrize(
    "words",
    [
        ["formats"],
        ["keys", "show"],
        ["journal", "check"],
        ["dlq", "list"],
        ["verify", "--store"],
        ["verify", "--journal"],
        ["version"],
    ],
    ids=" ".join,
)
def test_what_prints_a_table_prints_json_too(shipped, alone, words):
    if words == ["version"]:
        assert inside(*words, "--json").json
        return
    plain, told = shipped.cli(*words), shipped.cli(*words, "--json")
    assert plain.code == told.code == 0
    assert isinstance(told.json, (dict, list))
    assert "\x1b" not in plain.out


def test_no_color_is_obeyed_on_a_terminal(shipped):
    import pty

    texts = {}
    for name, more in (("plain", {"NO_COLOR": "1"}), ("coloured", {})):
        env = {**environment(shipped.root), "TERM": "xterm-256color", **more}
        if not more:
            env.pop("NO_COLOR")
        ours, theirs = pty.openpty()
        process = subprocess.Popen([*COMMAND, "formats"], stdout=theirs, env=env)
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            pass
        os.close(ours)
        assert process.wait(20) == 0
        texts[name] = b"".join(parts)
    assert b"\x1b[" not in texts["plain"].replace(b"\x1b[?", b"")
    assert b"\x1b[1m" in texts["coloured"]


def test_the_store_can_be_searched_while_nobody_runs(shipped):
    found = shipped.cli("search", "trail.object.id:3", "--json")
    assert numbers([json.loads(one) for one in found.out.splitlines()]) == [3]
    assert shipped.cli("search", "trail.object.id:3").out.strip()
    assert len(shipped.cli("search", "--json", "--limit", "2").out.splitlines()) == 2
    assert "fieldtrail.checkpoint" in shipped.cli("search", "--control", "--json", "--limit", "100").out
    traced = shipped.cli("trace", "offer/3", "--field", "stage")
    assert "a3" in traced.out and "b3" in traced.out
    assert "b3" in shipped.cli("trace", "offer/3", "--at", "2026-02-04").out


# -- demo --------------------------------------------------------------------------------------------------------------


def test_the_demo_tells_the_story_and_keeps_it_where_told(alone):
    done = run("demo", "--dir", alone / "kept", home=alone)
    assert done.code == 0, done
    assert "caught, exactly these three" in done.out
    assert inside("verify", "-c", alone / "kept" / "fieldtrail.yaml", "--store").code == 0
    again = inside("demo", "--dir", alone / "kept")
    assert again.code == 64
    assert "is not empty" in again.err


def test_a_bug_ends_with_70_and_never_with_a_verdict(alone, monkeypatch):
    monkeypatch.setattr("shipper.offline.read_events", lambda *_: 1 / 0)
    (alone / "a.log").write_text(line(1) + "\n")
    done = inside("parse", alone / "a.log")
    assert done.code == 70
    assert "internal error" in done.err


def test_parse_says_on_standard_error_what_auto_chose_and_how_sure_that_is(alone):
    (alone / "a.log").write_text('{"who":"kim"}\nnoise\n')
    done = run("parse", "a.log", home=alone)
    assert "a.log: json (1 of the first 2 records)" in done.err
    assert len(done.out.splitlines()) == 2
