"""The benchmark's own parts: its input, its arithmetic, its configurations, and the destination that counts.

A wrong count or ratio would make every figure wrong.
"""

import gzip
import http.client
import json
import random
import re
import shutil
import subprocess

import pytest

from bench import alone, corpus, peers, works
from bench.gates import Gate
from bench.measure import Run, Sample
from shipper.config import load
from tests.components import absent


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_input_is_the_same_in_every_run_and_no_line_is_there_twice(kind):
    first = list(corpus.lines(300, kind))
    assert first == list(corpus.lines(300, kind))
    assert first[:100] == list(corpus.lines(100, kind))
    assert len(set(first)) == 300
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in first)


@pytest.mark.parametrize(("kind", "count"), [("json", 1), ("json3", 3)])
def test_every_audit_line_tells_as_many_changes_of_different_fields_as_it_should(kind, count):
    for number, line in enumerate(corpus.lines(300, kind)):
        value = json.loads(line)
        assert value["seq"] == 1_000_000 + number
        assert len({change["field"] for change in value["changes"]}) == len(value["changes"]) == count
        assert all(change["old"] != change["new"] for change in value["changes"])


def test_pairs_tell_the_same_changes_and_moments_in_the_other_form():
    for line, pairs in zip(corpus.lines(300), corpus.lines(300, "pairs"), strict=True):
        ours, other = json.loads(line), json.loads(pairs)
        assert other["changes"] == {item["field"]: [item["old"], item["new"]] for item in ours["changes"]}
        assert ours["ts"].startswith("2026-03-02T06:00:") and 0 <= other["ts"] - 1_772_431_200_000 < 60_000
        assert {**other, "ts": 0, "changes": 0} == {**ours, "ts": 0, "changes": 0}


@pytest.mark.parametrize(("kind", "low", "high"), [("json", 530, 546), ("nginx", 174, 186), ("sshd", 114, 124)])
def test_the_input_is_of_the_size_that_the_documentation_states(kind, low, high):
    assert low < sum(map(len, corpus.lines(4000, kind))) / 4000 < high


def test_the_input_has_the_characters_that_the_documentation_states():
    lines = list(corpus.lines(4000))
    assert 0.25 < sum(not line.isascii() for line in lines) / len(lines) < 0.4
    assert 0.08 < sum(b"\\" in line for line in lines) / len(lines) < 0.15


ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


@pytest.mark.parametrize("kind", ["nginx", "sshd"])
def test_the_addresses_of_the_text_lines_are_of_the_documentation_ranges(kind):
    agents = "|".join(map(re.escape, corpus._AGENTS))
    text = re.sub(agents, "", b"".join(corpus.lines(1000, kind)).decode())
    found = ADDRESS.findall(text)
    assert len(found) > 800
    assert all(address.startswith(("192.0.2.", "203.0.113.")) for address in found)


def test_a_change_is_never_a_change_to_the_same_value():
    rng = random.Random(7)
    for _ in range(2000):
        _, old, new = corpus._change(rng)
        assert old != new


def test_fields_are_counted_by_their_leaves():
    assert peers.leaves({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}, "f": {}}) == 3


def test_a_value_is_found_by_its_path_and_a_missing_one_is_none():
    assert peers.value_at({"source": {"ip": "192.0.2.1"}}, "source.ip") == "192.0.2.1"
    assert peers.value_at({"source": "?"}, "source.ip") is None
    assert peers.value_at(None, "source.ip") is None


def run(rate, cost):
    """1000 events: `rate` events a second, `cost` CPU seconds per million."""
    return Run(1000, 1000, 1000 / rate, cost / 1000, 0, 0, 0, 1000, 1, 0.0)


def test_ratios_are_those_of_one_round_and_their_median_is_told():
    ours, theirs = [run(200, 10), run(100, 20), run(100, 10)], [run(100, 30), run(100, 40), run(50, 100)]
    found = works._ratios(ours, theirs, {}, "ours", "theirs")
    assert found["cpu"]["rounds"] == pytest.approx([3, 2, 10])
    assert found["cpu"]["median"] == pytest.approx(3)
    assert (found["rate"]["min"], found["rate"]["median"], found["rate"]["max"]) == pytest.approx((1, 2, 2))
    steady = works._ratios(ours[:1], theirs[:1], {"ours": 0.005, "theirs": 0.010}, "ours", "theirs")
    assert steady["cpu_without_start_and_end"]["median"] == pytest.approx(4)


def test_every_gate_of_a_work_counts_as_not_met_where_it_has_no_figures():
    for key in works.WORKS:
        gates = works.unmet(key, "because")
        assert len(gates) == len(works.WORKS[key].ratios)
        assert not any(gate.met for gate in gates)
        assert all("NOT met" in gate.line() and "because" in gate.line() for gate in gates)


@pytest.mark.parametrize(
    ("figure", "least", "met"), [(3.0, True, True), (2.99, True, False), (3.0, False, False), (2.99, False, True)]
)
def test_a_gate_is_met_at_a_least_limit_and_below_a_highest_one(figure, least, met):
    gate = Gate("json", "something", figure, 3, least=least)
    assert gate.met is met
    assert gate.line().startswith("met" if met else "NOT met")
    assert gate.told()["met"] is met


def test_the_fifths_of_a_run_are_told_by_the_samples_in_them():
    samples = [Sample(n, n * (0.001 if n <= 400 else 0.002) - (0 if n <= 400 else 0.4), n) for n in range(0, 1000, 50)]
    parts = alone.fifths(samples, 1000, 1.6)
    assert [part["events"] for part in parts] == [200, 400, 600, 800, 1000]
    costs = [part["cpu_seconds_per_million"] for part in parts]
    assert costs == pytest.approx([1000, 1000, 2000, 2000, 2000])
    assert [part["rss_bytes"] for part in parts] == [125, 325, 525, 725, 925]


def test_a_fifth_without_a_sample_does_not_end_the_arithmetic():
    assert len(alone.fifths([], 1000, 1.0)) == 5


CONFIGURED = sorted({work.conf for work in works.WORKS.values()})


@pytest.mark.parametrize("work", CONFIGURED)
@pytest.mark.parametrize("variant", [{}, {"compression": "gzip"}, {"archive": True}, {"once": False}])
def test_fieldtrail_takes_its_own_configurations(work, variant, tmp_path):
    program = peers.fieldtrail(tmp_path, tmp_path / "data.log", 9, work, **variant)
    config = load(tmp_path / "fieldtrail.yaml")
    assert config.inputs[0].paths == (str(tmp_path / "data.log"),)
    assert [output.id for output in config.outputs] == (["siem", "archive"] if "archive" in variant else ["siem"])
    assert config.privacy is None, "the policy is the default one"
    assert program.ends is ("--once" in program.argv) is variant.get("once", True)


@pytest.mark.parametrize("work", CONFIGURED)
@pytest.mark.parametrize("start", [peers.rsyslog, peers.syslog_ng])
def test_every_name_in_a_peers_configuration_is_filled_in(work, start, tmp_path):
    peer = peers.Peer(tmp_path / "program", None, None, "1")
    start(tmp_path, tmp_path / "data.log", 9, work, peer)
    text = (tmp_path / ("rsyslog.conf" if start is peers.rsyslog else "syslog-ng.conf")).read_text()
    assert not re.search(r"(?<!\$)\{(?:data|state|port|conf)\}", text)
    assert str(tmp_path / "data.log") in text


@pytest.fixture
def sink(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        absent("no C compiler: apt-get install gcc libc6-dev")
    program, templates = tmp_path / "sink", tmp_path / "templates.json"
    templates.write_bytes(peers.templates_answer())
    base = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(peers.ROOT / "bench/sink.c")]
    if subprocess.run([*base, "-DHAVE_ZLIB", "-lz"], capture_output=True, check=False).returncode:
        absent("no zlib to compile with: apt-get install zlib1g-dev")
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


def test_the_sink_tells_when_marked_documents_came_apart_from_others(sink):
    ask(sink, "POST", "/_sink/reset", b'"audit"')
    for body in (b'{"create":{"_index":"other"}}\n{"n":1}\n', BULK, BULK, b'{"create":{"_index":"other"}}\n{"n":1}\n'):
        ask(sink, "POST", "/_bulk", body)
    _, counts = ask(sink, "GET", "/_sink/stats")
    moments = [counts[name] for name in ("first_ns", "first_marked_ns", "last_marked_ns", "last_ns")]
    assert moments == sorted(set(moments))


def test_the_sink_passes_for_an_opensearch_with_our_templates(sink):
    assert ask(sink, "GET", "/")[1]["version"] == {"distribution": "opensearch", "number": "3.8.0"}
    assert len(ask(sink, "GET", "/_index_template?filter_path=a")[1]["index_templates"]) >= 5
    assert ask(sink, "POST", "/logs-fieldtrail.*-default/_search", b"{}")[1]["hits"]["hits"] == []
