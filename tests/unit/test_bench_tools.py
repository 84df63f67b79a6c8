"""The benchmark's own parts: its input, and the destination that counts. A wrong count would make every figure wrong."""

import gzip
import http.client
import json
import random
import shutil
import subprocess

import pytest

from bench import corpus, peers


def test_the_input_is_the_same_in_every_run_and_every_line_tells_one_change():
    first = list(corpus.lines(300))
    assert first == list(corpus.lines(300))
    assert first[:100] == list(corpus.lines(100))
    for number, line in enumerate(first):
        value = json.loads(line)
        assert value["seq"] == 1_000_000 + number
        assert len(value["changes"]) == 1
        assert value["changes"][0]["old"] != value["changes"][0]["new"]


def test_the_input_is_of_the_size_and_the_characters_that_the_documentation_states():
    lines = list(corpus.lines(4000))
    assert 530 < sum(map(len, lines)) / len(lines) < 546
    assert 0.25 < sum(not line.isascii() for line in lines) / len(lines) < 0.4
    assert 0.08 < sum(b"\\" in line for line in lines) / len(lines) < 0.15


def test_a_change_is_never_a_change_to_the_same_value():
    rng = random.Random(7)
    for _ in range(2000):
        _, old, new = corpus._change(rng)
        assert old != new


def test_fields_are_counted_by_their_leaves():
    assert peers.leaves({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}, "f": {}}) == 3


@pytest.fixture
def sink(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    program, templates = tmp_path / "sink", tmp_path / "templates.json"
    templates.write_bytes(peers.templates_answer())
    base = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(peers.ROOT / "bench/sink.c")]
    if subprocess.run([*base, "-DHAVE_ZLIB", "-lz"], capture_output=True, check=False).returncode:
        pytest.skip("no zlib to compile with")
    with subprocess.Popen([program, templates], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline().split()[1]), timeout=30)
        yield connection
        connection.close()
        process.stdin.close()


def ask(sink, method, path, body=b"", headers=None):
    sink.request(method, path, body, headers or {})
    answer = sink.getresponse()
    return answer.status, json.loads(answer.read())


BULK = b'{"create":{"_index":"audit"}}\n{"n":1}\n{"create":{"_index":"other"}}\n{"n":2}\n'


def test_the_sink_answers_one_status_for_each_document_and_counts_the_marked_ones(sink):
    ask(sink, "POST", "/_sink/reset", b'"audit"')
    status, told = ask(sink, "POST", "/_bulk?filter_path=x", BULK * 5000)
    assert (status, told["errors"], len(told["items"])) == (200, False, 10_000)
    assert all(item == {"create": {"status": 201}} for item in told["items"])
    _, counts = ask(sink, "GET", "/_sink/stats")
    assert (counts["documents"], counts["marked"], counts["requests"], counts["odd"]) == (10_000, 5000, 1, 0)
    assert counts["bytes"] == len(BULK) * 5000
    assert ask(sink, "GET", "/_sink/sample") == (200, {"n": 1})


def test_the_sink_reads_gzip_and_notices_a_body_that_breaks_off(sink):
    ask(sink, "POST", "/_sink/reset")
    _, told = ask(sink, "POST", "/_bulk", gzip.compress(BULK), {"Content-Encoding": "gzip"})
    assert len(told["items"]) == 2
    ask(sink, "POST", "/_bulk", BULK + b'{"create":{"_index":"audit"}}\n')
    _, counts = ask(sink, "GET", "/_sink/stats")
    assert (counts["documents"], counts["odd"]) == (4, 1)
    status, _ = ask(sink, "POST", "/_bulk", gzip.compress(BULK)[:-10], {"Content-Encoding": "gzip"})
    assert status == 415


def test_the_sink_passes_for_an_opensearch_with_our_templates(sink):
    assert ask(sink, "GET", "/")[1]["version"] == {"distribution": "opensearch", "number": "3.8.0"}
    assert len(ask(sink, "GET", "/_index_template?filter_path=a")[1]["index_templates"]) >= 5
    assert ask(sink, "POST", "/logs-fieldtrail.*-default/_search", b"{}")[1]["hits"]["hits"] == []
