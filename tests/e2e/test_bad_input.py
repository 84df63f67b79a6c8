"""Bad configurations, folders, files and lines: each is told with place, cause and hint, and no line disappears."""

import gzip
import json
import os
import sys

import pytest

from tests.e2e.agent_process import (
    UNPRIVILEGED,
    Place,
    conserved,
    eventually,
    inside,
    line,
    lines,
    numbers,
    run,
)

unprivileged = pytest.mark.skipif(
    os.geteuid() == 0 and not any(os.access(f"{folder}/setpriv", os.X_OK) for folder in ("/usr/bin", "/bin")),
    reason="root ignores mode bits, and setpriv is not there",
)
PREFIX = UNPRIVILEGED if os.geteuid() == 0 else ()


# -- the configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: [", ["not valid YAML", "line 2"]),
        ("\tagent: {}\n", ["not valid YAML", "line 1"]),
        ("- a\n- b\n", ["must be a mapping of sections"]),
        ("agents: {}\n", ["agents: unknown key; did you mean agent?"]),
        ("agent: {nam: x}\n", ["agent.nam: unknown key; did you mean name?"]),
        ("agent: {name: a}\nagent: {name: b}\n", ["duplicate key 'agent'", "line 2"]),
        ("inputs:\n  - {id: a, id: b}\n", ["duplicate key 'id'", "line 2"]),
        ("agent: {name: '${env:FT_NOT_SET}'}\n", ["agent.name: environment variable FT_NOT_SET is not set"]),
        ("agent: {name: '${file:/no/such}'}\n", ["agent.name: cannot read /no/such: No such file"]),
        ("seal: {interval: soon}\n", ["seal.interval: not a duration; write for example"]),
        ("inputs: [{id: a, type: file}]\n", ["inputs[0].paths: is required"]),
        ("inputs: [{id: a, type: carrier-pigeon}]\n", ["inputs[0].type: 'carrier-pigeon' is not one of"]),
        (
            "inputs: [{id: a, type: file, paths: [/var/log/x], format: greenhous}]\n",
            ["inputs[0].format: ", "greenhouse"],
        ),
        ("inputs: [{id: a, type: file, paths: [/tmp]}]\n", ["inputs[0].paths[0]: /tmp is a directory; write /tmp/*"]),
        ("inputs: [{id: a, type: stdin, timezone: Mars/Base}]\n", ["inputs[0].timezone: unknown time zone"]),
        (
            "outputs: [{id: a, type: opensearch, hosts: [search.example]}]\n",
            ["outputs[0].hosts[0]: not a URL; write for example"],
        ),
        ("outputs: [{id: a, type: file, path: /tmp}]\n", ["outputs[0].path: /tmp is a directory"]),
        ("outputs: [{id: a, type: store}, {id: a, type: store}]\n", ["outputs: ", "twice"]),
        ("outputs: [{id: a, type: syslog, address: 'http://x:1'}]\n", ["outputs[0].address: "]),
        ("a: &a [*a]\n", ["not valid YAML", "line 1"]),
        ("{" * 5000, ["not valid YAML"]),
    ],
)
def test_a_bad_configuration_is_refused_with_its_place(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    done = inside("validate", "-c", path)
    assert done.code == 78, done
    assert done.err.startswith(f"error: read configuration: {path}: ")
    assert "hint: " in done.err
    for part in said:
        assert part in done.err, done.err
    assert "Traceback" not in done.err


def test_all_problems_are_told_at_once(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("agent: {workers: 99}\nseal: {interval: x}\ninputs: [{id: a}]\noutputs: [{id: '!', type: store}]\n")
    done = inside("validate", "-c", path)
    assert done.code == 78
    for place in ("agent.workers: ", "seal.interval: ", "inputs[0].type: ", "outputs[0].id: "):
        assert place in done.err
    assert "4 problems" in done.err


def test_a_secret_is_never_shown(tmp_path):
    (tmp_path / "secret").write_text("hunter22\n")
    path = tmp_path / "c.yaml"
    path.write_text(
        f"agent: {{state_dir: {tmp_path}/state, workers: '${{file:{tmp_path}/secret}}'}}\n"
        f"inputs: [{{id: a, type: '${{file:{tmp_path}/secret}}'}}]\n"
    )
    done = inside("validate", "-c", path)
    assert done.code == 78
    assert "hunter22" not in done.err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b"agent: {name: '\xff'}\n"), "not UTF-8"),
    ],
    ids=["missing", "a directory", "not text"],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, make, said):
    path = tmp_path / "c.yaml"
    make(path)
    done = inside("run", "-c", path)
    assert done.code == 78
    assert said in done.err and str(path) in done.err and "hint: " in done.err


# -- rights and folders ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A place where an agent has run; tests leave it as it is."""
    place = Place(tmp_path_factory.mktemp("ran"))
    assert place.once().code == 0
    return place


@unprivileged
@pytest.mark.parametrize("what", ["configuration", "state", "key", "cursor", "archive", "store"])
def test_what_the_agent_may_not_touch_is_named(ran, what):
    place = ran
    path, mode, code = {
        "configuration": (place.config, 0o000, 78),
        "state": (place.state, 0o500, 78),
        "key": (place.state / "keys" / "identity.pem", 0o000, 78),
        "cursor": (place.state / "cursors" / "archive", 0o000, 74),
        "archive": (place.archive, 0o400, 74),
        "store": (place.state / "store.db", 0o400, 74),
    }[what]
    before = path.stat().st_mode
    path.chmod(mode)
    done = place.once(prefix=PREFIX)
    path.chmod(before)
    assert done.code == code, done
    assert str(path) in done.err and "hint: " in done.err
    assert "Traceback" not in done.err


@unprivileged
def test_a_log_that_may_not_be_read_is_told_and_once_does_not_end_with_0(place):
    place.append(lines(0, 3))
    place.append(lines(3, 3), "closed.log")
    (place.logs / "closed.log").chmod(0)
    done = place.once(prefix=PREFIX)
    assert done.code == 74, done
    told = next(one for one in done.logs if one["event"] == "input: cannot read, will try again")
    assert told["path"].endswith("closed.log") and told["cause"] == "Permission denied"
    assert numbers(place.archived()) == [0, 1, 2]
    done = run("validate", "--connect", "-c", place.config, home=place.root, prefix=PREFIX)
    assert done.code == 69
    assert "FAIL input app: read: " in done.out
    (place.logs / "closed.log").chmod(0o600)
    assert place.once().code == 0
    assert sorted(numbers(place.archived())) == list(range(6))


def test_a_state_folder_that_is_a_file_is_refused(place):
    place.state.write_text("")
    done = place.once()
    assert done.code == 78
    assert str(place.state) in done.err and "not a directory" in done.err


def test_an_archive_in_a_folder_that_is_missing_is_refused(place):
    place.write(outputs=[{"id": "a", "type": "file", "path": f"{place.root}/none/a.ndjson"}])
    done = place.once()
    assert done.code == 78
    assert "no such folder" in done.err and "hint: mkdir -p" in done.err


# -- a destination that is down ----------------------------------------------------------------------------------------


def test_a_search_engine_that_is_down_fails_validate_and_is_waited_for(place):
    place.write(outputs=[{"id": "siem", "type": "opensearch", "hosts": ["http://127.0.0.1:1"]}])
    done = place.cli("validate", "--connect")
    assert done.code == 69
    assert "FAIL output siem: connect" in done.out and "hint: " in done.out
    assert "ok   output siem: resolve" in done.out
    told = place.cli("validate", "--connect", "--json")
    assert told.code == 69 and told.json["ok"] is False
    place.append(lines(0, 3))
    agent = place.start().ready()
    agent.wait_told("output not reachable, will try again")
    status = eventually(lambda: (told := place.status()) and told["inputs"][0]["read"] == 3 and told)
    conserved(status)
    assert "failing: " in place.cli("status").out
    assert agent.process.poll() is None
    agent.kill()


# -- lines -------------------------------------------------------------------------------------------------------------

DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
WIDE = b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(20_000)) + b"}"
BAD = {
    "empty file": (b"", 0),
    "empty lines": (b"\n\r\n\n", 0),
    "no JSON": (b"hello\n", 1),
    "a bare number": (b"17\n", 1),
    "half an object": (b'{"ts": "2026-02-03T10:30:00Z"\n', 1),
    "invalid UTF-8": (b'{"ts":"2026-02-03T10:30:00Z","n":"\xff\xfe","changes":[]}\n', 1),
    "NUL bytes inside": (b'{"ts":\0\0}\n', 1),
    "a hole of NUL bytes": (b"\0" * 5000 + b"\n", 0),
    "nested 10,000 deep": (DEEP + b"\n", 1),
    "two values on a line": (b"{} {}\n", 1),
    "a long line": (b'{"x":"' + b"a" * 17_000_000 + b'"}\n', 1),
    "terminal escapes": (b"\x1b]0;gotcha\x07\x1b[2J\n", 1),
}
ODD = {
    "20,000 keys": b'{"ts":"no time",' + WIDE[1:] + b"\n",
    "a time that is none": b'{"ts":"yesterday","n":"1","who":"kim"}\n',
}
"""Understood, as far as they go."""


def test_every_bad_line_becomes_one_pipeline_error_and_the_good_ones_around_it_arrive(place):
    wanted = {}
    for number, (name, (data, count)) in enumerate(BAD.items()):
        # The good line before and after must not be touched by what stands between them.
        place.append(lines(2 * number, 1) + data + lines(2 * number + 1, 1), f"{number:02d}.log")
        wanted[f"{number:02d}.log"] = (name, count)
    place.append(b"".join(ODD.values()), "odd.log")
    agent = place.start().ready()
    status = place.settled(2 * len(BAD) + sum(count for _, count in BAD.values()) + len(ODD))
    assert agent.terminate() == 0
    documents = place.archived()
    assert sorted(numbers(documents)) == list(range(2 * len(BAD)))
    odd = [one for one in documents if one["trail"].get("origin", {}).get("path", "").endswith("odd.log")]
    assert len(odd) == len(ODD)
    assert all(one["trail"]["time"]["precision"] == "received" for one in odd)
    errors = {}
    for one in documents:
        if one["event"]["kind"] == "pipeline_error":
            errors.setdefault(os.path.basename(one["trail"]["origin"]["path"]), []).append(one)
    for name, (what, count) in wanted.items():
        assert len(errors.get(name, [])) == count, what
        for one in errors.get(name, []):
            assert one["error"]["message"], what
            assert one["event"]["original"], what
            assert len(json.dumps(one)) < 100_000, what
    assert status["inputs"][0]["rejected"] == sum(map(len, errors.values()))
    # Of a line beyond the limit the rest is lost, and that is said; nothing else is.
    cut = [one for one in agent.logs if one["level"] == "error"]
    assert [(one["event"], one["length"]) for one in cut] == [
        ("line longer than the limit, its first part is given out", 17_000_008)
    ]
    place.verified()


def test_a_binary_file_given_as_a_log_does_no_harm(place):
    with open(sys.executable, "rb") as program:
        data = program.read(1_000_000)
    place.write(inputs=[place.input(format="auto")])
    place.append(data)
    done = place.once()
    assert done.code == 0, done
    documents = place.archived()
    whole = {one["trail"]["operation"]["id"] for one in documents if one["event"]["kind"] == "pipeline_error"}
    # A line of NUL bytes only is the hole that a writer left, not a line.
    expected = [part for part in data.split(b"\n")[:-1] if part.strip(b"\0").rstrip(b"\r")]
    assert len(whole) == len(expected)
    place.verified()


def test_a_compressed_file_is_read_like_any_other_also_where_its_name_does_not_say_so(place):
    (place.logs / "a.log").write_bytes(gzip.compress(lines(0, 10)))
    place.append(lines(10, 2), "b.log")
    assert place.once().code == 0
    assert sorted(numbers(place.archived())) == list(range(12))
    place.verified()


def test_a_line_with_very_many_changes_becomes_as_many_events(place):
    changes = [{"field": f"f{n}", "old": "a", "new": "b"} for n in range(3000)]
    place.append((line(1, changes=changes) + "\n" + line(2) + "\n").encode())
    agent = place.start().ready()
    place.settled(2)
    assert agent.peak() < 400_000_000
    assert agent.terminate() == 0
    assert numbers(place.archived()) == [1] * 3000 + [2]
    place.verified()
