"""The output, the reader and the commands against a real OpenSearch, with and without nginx in front of it."""

import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import trustme
from click.testing import CliRunner
from pydantic import SecretStr
from structlog.testing import capture_logs

from shipper._auth import AuthSection, BasicAuth
from shipper.commands import siem
from shipper.errors import ConfigError, UnavailableError, UsageError
from shipper.http_client.errors import NoAnswerError
from shipper.model import Batch, Document
from shipper.output_sections import OpenSearchSection, TlsSection
from shipper.outputs import _opensearch_sender
from shipper.outputs._bulk import read_reply
from shipper.outputs._opensearch_client import Client, client_for, probe
from shipper.outputs._opensearch_reader import (
    CONTROL,
    DEFAULT_INDEX,
    OpenSearchSource,
    pull_documents,
    search_events,
    trace_events,
)
from shipper.outputs._opensearch_scan import Snapshot
from shipper.outputs._when import instant
from shipper.outputs.opensearch import OpenSearchOutput
from shipper.seal.verify import verify
from shipper.siem.install import install
from shipper.siem.templates import template_parts
from tests.integration import nginx
from tests.integration.opensearch.server import url_from_environment
from tests.sealed import small_log, trust
from tests.shipped import LOG, ORIGIN, change, checkpoint, columns, control, document

GOLDEN = Path(__file__).parents[1] / "golden"
NOW = 1_770_200_000.0
"""2026-02-04T10:13:20Z."""


@pytest.fixture
def opened(opensearch, templates, namespace):
    """`opened(**section)`: an output into the test's namespace."""
    outputs = []

    def make(*hosts, **section):
        section = OpenSearchSection(id="siem", type="opensearch", hosts=hosts or (opensearch.url,), **section)
        output = OpenSearchOutput(section, namespace=namespace)
        output.open({})
        outputs.append(output)
        return output

    yield make
    for output in outputs:
        output.close()


@pytest.fixture
def client(opensearch):
    client = Client([opensearch.url])
    yield client
    client.close()


@pytest.fixture
def batch(namespace):
    def make(*documents, seq=0):
        return Batch(seq, LOG, ORIGIN, columns(*documents), namespace)

    return make


@pytest.fixture
def ours(namespace):
    """The index pattern of the test's namespace."""
    return f"logs-fieldtrail.*-{namespace}"


@pytest.fixture
def found(ask, ours):
    """`found()`: every document there is, as (index, id, source)."""

    def read():
        assert ask("POST", f"/{ours}/_refresh").status == 200
        hits = ask("POST", f"/{ours}/_search", {"size": 10_000, "query": {"match_all": {}}}).json["hits"]["hits"]
        return [(hit["_index"], hit["_id"], hit["_source"]) for hit in hits]

    return read


def told(receipt):
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def documents(count, first=0):
    return [document(first + n) for n in range(count)]


def golden_events():
    """The expected events of every format."""
    for path in sorted(GOLDEN.glob("*/*.json")):
        yield from (json.loads(line) for line in path.read_bytes().split(b"\n") if b'"data_stream"' in line)


# -- templates ---------------------------------------------------------------------------------------------------------


def test_templates_installed_twice_change_nothing_the_second_time(client, templates):
    assert [step.result for step in install(client, template_parts())] == ["unchanged"] * len(templates)
    assert {step.kind for step in templates} == {"component template", "index template"}


def test_a_template_that_was_changed_by_hand_is_put_right_and_a_newer_one_is_left(client, templates, ask):
    path = "/_index_template/fieldtrail-alert"
    own = ask("GET", path).json["index_templates"][0]["index_template"]
    try:
        ask("PUT", path, {**own, "priority": 499})
        dry = [step for step in install(client, template_parts(), dry_run=True) if step.result != "unchanged"]
        assert [(step.name, step.result) for step in dry] == [("fieldtrail-alert", "updated")]
        assert ask("GET", path).json["index_templates"][0]["index_template"]["priority"] == 499
        assert [step.result for step in install(client, template_parts()) if step.name == "fieldtrail-alert"] == [
            "updated"
        ]
        assert ask("GET", path).json["index_templates"][0]["index_template"] == own
        ask("PUT", path, {**own, "version": 99})
        assert [step.result for step in install(client, template_parts()) if step.name == "fieldtrail-alert"] == [
            "newer"
        ]
    finally:
        ask("PUT", path, own)


def test_setup_says_what_it_did_and_export_prints_what_it_would_install(opensearch, templates, tmp_path):
    run = CliRunner().invoke(siem.setup, ["--opensearch", opensearch.url, "--no-retention", "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert {step["result"] for step in told if step["kind"] != "data stream"} == {"unchanged"}
    run = CliRunner().invoke(siem.setup, ["--opensearch", opensearch.url])
    assert run.stdout.splitlines()[0] == "unchanged: component template fieldtrail-settings"
    lines = [json.loads(line) for line in CliRunner().invoke(siem.export, ["templates"]).stdout.splitlines()]
    assert [line["path"].rpartition("/")[2] for line in lines] == [step.name for step in templates]
    CliRunner().invoke(siem.export, ["templates", "--dir", str(tmp_path)])
    assert json.loads((tmp_path / "index_templates" / "fieldtrail-log.json").read_bytes()) == next(
        line["body"] for line in lines if line["path"] == "/_index_template/fieldtrail-log"
    )


def test_the_agent_waits_for_missing_templates_and_goes_on_by_itself(client, opened, batch, ask, found):
    if url_from_environment():
        pytest.skip("the templates of a server that may serve others are not taken away")
    output = opened()
    ask("DELETE", "/_data_stream/logs-fieldtrail.*")  # as long as there is one, its template cannot be taken away
    for path in ("/_index_template/fieldtrail-*", "/_component_template/fieldtrail-*"):
        assert ask("DELETE", path).status == 200
    try:
        receipt = output.deliver(batch(*documents(3)))
        assert told(receipt) == (0, 0, 0, 3)
        assert "index templates are missing" in receipt.error and "hint: fieldtrail setup" in receipt.error
        assert found() == []
    finally:
        assert {step.result for step in install(client, template_parts())} == {"installed"}
    assert told(output.deliver(batch(*receipt.retry))) == (3, 0, 0, 0)
    assert {index[:4] for index, _, _ in found()} == {".ds-"}


# -- delivery ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_expected_events_of_every_format_are_indexed_without_a_reject_and_without_an_ignored_value(
    opened, batch, ask, ours, compression
):
    events = [event for event in golden_events() if not _has_long_values(event)]
    assert len(events) > 50
    sent = [document(n, event) for n, event in enumerate(events)]
    sent += [control(len(sent)), checkpoint(len(sent) + 1)]
    assert told(opened(compression=compression).deliver(batch(*sent))) == (len(sent), 0, 0, 0)
    ask("POST", f"/{ours}/_refresh")
    assert ask("GET", f"/{ours}/_count").json["count"] == len(sent)
    ignored = ask("POST", f"/{ours}/_search", {"size": 100, "query": {"exists": {"field": "_ignored"}}}).json
    assert [(hit["_ignored"], hit["_source"]["event"]["id"]) for hit in ignored["hits"]["hits"]] == []


def _has_long_values(value):
    """Whether a string is longer than a keyword is indexed for: that it is then listed as ignored is as intended."""
    if isinstance(value, dict):
        return any(_has_long_values(one) for one in value.values())
    if isinstance(value, list):
        return any(_has_long_values(one) for one in value)
    return isinstance(value, str) and len(value) > 1024


def test_documents_are_stored_byte_for_byte(client, opened, batch, ours):
    sent = [*documents(3), control(3), checkpoint(4)]
    opened().deliver(batch(*sent))
    client.ask("refresh", "POST", f"/{ours}/_refresh")
    assert list(pull_documents(client, now=NOW, index=ours)) == [one.data for one in sent]


def test_an_answer_that_accepts_all_has_the_form_that_is_read_without_looking_at_each_item(
    opened, batch, namespace, monkeypatch
):
    replies = []

    def reading(answer, count):
        replies.append(read_reply(answer, count))
        return replies[-1]

    monkeypatch.setattr(_opensearch_sender, "read_reply", reading)
    assert told(opened().deliver(batch(*documents(3), control(3), document(4)))) == (5, 0, 0, 0)
    (reply,) = replies
    streams = {name.removeprefix(".ds-")[: -len("-000001")] for name in reply.created}
    assert streams == {f"logs-fieldtrail.change-{namespace}", f"logs-fieldtrail.log-{namespace}"}


def test_a_batch_that_is_delivered_again_is_delivered_and_stands_there_once(opened, batch, found):
    sent = [*documents(400), control(400), checkpoint(401)]
    output = opened()
    assert told(output.deliver(batch(*sent))) == (402, 0, 0, 0)
    assert told(output.deliver(batch(*sent))) == (402, 0, 0, 0)  # by conflicts and comparison
    assert told(opened().deliver(batch(*sent, document(401)))) == (403, 0, 0, 0)  # by a search before
    assert len(found()) == 403


def test_other_content_under_an_id_is_a_fork_and_what_was_there_stays(opened, batch, found):
    output = opened()
    output.deliver(batch(*documents(3)))
    other = document(1, change(message="forged", event__id="e1"))
    for one in (output, opened()):
        receipt = one.deliver(batch(document(0), other, document(3)))
        assert told(receipt) == (2, 0, 1, 0)
        assert receipt.fork == [other]
    assert all(source["message"] != "forged" for _, _, source in found())


def test_after_a_rollover_between_two_tries_nothing_stands_there_twice(opened, batch, ask, namespace, found):
    sent = [*documents(20), control(20), checkpoint(21)]
    opened().deliver(batch(*sent))
    for stream in ("change", "log", "checkpoint"):
        assert ask("POST", f"/logs-fieldtrail.{stream}-{namespace}/_rollover").status == 200
    assert told(opened().deliver(batch(*sent, document(21)))) == (23, 0, 0, 0)
    assert len(found()) == 23


def test_parallel_requests_of_which_some_answers_are_lost_double_nothing_across_a_rollover(
    opened, batch, ask, namespace, found, monkeypatch
):
    output = opened(batch_bytes=50_000)
    once, lost = Client._once, Counter()

    def forgetful(self, number, method, path, *rest):
        answer = once(self, number, method, path, *rest)
        lost[path] += path == "/_bulk"
        if path == "/_bulk" and lost[path] % 3 == 0:
            raise NoAnswerError("send", self.place, "the answer was lost", sent=True)
        return answer

    output.deliver(batch(document(0)))
    output._sender._pace.limit = 4
    monkeypatch.setattr(Client, "_once", forgetful)
    sent = documents(600, 1)
    receipt = output.deliver(batch(*sent))
    assert receipt.retry and receipt.delivered
    assert any(thread.name.startswith("opensearch-lane") for thread in threading.enumerate())
    for _ in range(20):
        assert ask("POST", f"/logs-fieldtrail.change-{namespace}/_rollover").status == 200
        before = receipt
        receipt = output.deliver(batch(*before.retry))
        assert not receipt.refused and not receipt.fork
        assert receipt.delivered + len(receipt.retry) == len(before.retry)
        if not receipt.retry:
            break
    assert told(opened().deliver(batch(*sent))) == (600, 0, 0, 0)  # and after a start
    ids = Counter(identity for _, identity, _ in found())
    assert len(ids) == 601 and set(ids.values()) == {1}


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"trail__object": "a scalar"}, "trail.object"),
        ({"message": {"an": "object"}}, "message"),
        ({"trail__missing": {"an": "object"}}, "trail.missing"),
        ({"trail__raw": "a scalar"}, "trail.raw"),
        ({"timestamp": "yesterday"}, "@timestamp"),
    ],
)
def test_a_document_that_the_mapping_refuses_is_refused_alone_with_type_and_field(opened, batch, found, extra, field):
    bad = document(1, change(event__id="e1", **extra))
    receipt = opened().deliver(batch(document(0), bad, document(2)))
    assert told(receipt) == (2, 1, 0, 0)
    (refusal,) = receipt.refused
    assert (refusal.document, refusal.type, refusal.field) == (bad, "mapper_parsing_exception", field)
    assert refusal.reason
    assert len(found()) == 2


def test_values_of_the_wrong_kind_are_kept_and_only_not_indexed(opened, batch, found):
    odd = change(
        event__id="e0", trail__change__delta="much", source__ip="not an address", trail__change__new="x" * 40_000
    )
    assert told(opened().deliver(batch(document(0, odd)))) == (1, 0, 0, 0)
    assert found()[0][2]["source"]["ip"] == "not an address"


def test_an_id_that_is_too_long_fails_the_request_and_is_found_by_halving(opened, batch, found):
    bad = document(7)._replace(id="x" * 600)
    receipt = opened().deliver(replace(batch(), documents=[*documents(7), bad, *documents(8, 8)]))
    assert told(receipt) == (15, 1, 0, 0)
    assert receipt.refused[0].document == bad
    assert len(found()) == 15


def test_a_write_block_is_waited_for(opened, batch, ask, namespace, found):
    output = opened()
    output.deliver(batch(document(0)))
    settings = f"/logs-fieldtrail.change-{namespace}/_settings"
    ask("PUT", settings, {"index.blocks.write": True})
    receipt = output.deliver(batch(document(1)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "writing is blocked" in receipt.error and receipt.retry_after >= 30
    ask("PUT", settings, {"index.blocks.write": False})
    assert told(output.deliver(batch(*receipt.retry))) == (1, 0, 0, 0)
    assert len(found()) == 2


def test_a_default_pipeline_does_not_rewrite_what_we_send(client, opened, batch, ask, namespace, ours):
    ask("PUT", f"/_ingest/pipeline/{namespace}", {"processors": [{"set": {"field": "added", "value": 1}}]})
    try:
        output = opened()
        output.deliver(batch(document(0)))
        ask("PUT", f"/logs-fieldtrail.change-{namespace}/_settings", {"index.default_pipeline": namespace})
        output.deliver(batch(document(1)))
        client.ask("refresh", "POST", f"/{ours}/_refresh")
        assert list(pull_documents(client, now=NOW, index=ours)) == [one.data for one in documents(2)]
        source = OpenSearchSource(Client(client.hosts), ours)
        assert [len(list(source.control())), len(list(source.events()))] == [0, 2]
        assert any("index.default_pipeline" in text for text in source.notices())
        source.close()
        ask("PUT", f"/logs-fieldtrail.change-{namespace}/_settings", {"index.default_pipeline": "_none"})
    finally:
        ask("DELETE", f"/_ingest/pipeline/{namespace}")


def test_a_missing_final_pipeline_costs_no_document(opened, batch, ask, namespace):
    output = opened()
    output.deliver(batch(document(0)))
    settings = f"/logs-fieldtrail.change-{namespace}/_settings"
    ask("PUT", settings, {"index.final_pipeline": f"gone-{namespace}"})
    receipt = output.deliver(batch(*documents(2, 1)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "pipeline" in receipt.error
    ask("PUT", settings, {"index.final_pipeline": "_none"})
    assert told(output.deliver(batch(*receipt.retry))) == (2, 0, 0, 0)


def test_the_highest_index_is_that_of_the_log_in_this_namespace(opened, batch, ask, namespace):
    output = opened()
    assert output.highest(LOG) == -1
    output.deliver(batch(*documents(30), checkpoint(30)))
    ask("POST", f"/logs-fieldtrail.change-{namespace}/_rollover")
    output.deliver(batch(document(30), seq=1))
    assert output.highest(LOG) == 30
    assert output.highest("00112233445566ff") == -1
    with pytest.raises(UnavailableError, match="refused"):
        opened("http://127.0.0.1:1").highest(LOG)


def test_ten_thousand_documents_in_small_requests_arrive_in_order(opened, batch, ask, ours):
    sent = documents(10_000)
    assert told(opened(batch_bytes=500_000).deliver(batch(*sent))) == (10_000, 0, 0, 0)
    ask("POST", f"/{ours}/_refresh")
    assert ask("GET", f"/{ours}/_count").json["count"] == 10_000


# -- reading back ------------------------------------------------------------------------------------------------------


@pytest.fixture
def book(opened, namespace):
    """A small sealed log, delivered."""
    log = small_log()
    shipped = []
    for ident, data in log.documents:
        event = orjson.loads(data)
        index = event["seal"]["i"] if "seal" in event else -1
        shipped.append(Document(index, event["data_stream"]["dataset"], ident, data))
    receipt = opened().deliver(Batch(0, log.log, log.origin, shipped, namespace))
    assert told(receipt) == (len(shipped), 0, 0, 0)
    return log


@pytest.fixture
def report(opensearch, ask, ours):
    """`report(book)`: the verification of what the server holds."""

    def run(book):
        ask("POST", f"/{ours}/_refresh")
        source = OpenSearchSource(Client([opensearch.url]), ours)
        try:
            return verify(source, trust(book))
        finally:
            source.close()

    return run


def test_what_was_delivered_verifies(book, report):
    result = report(book)
    assert result.ok, result.lines()
    assert (result.sealed, result.found, result.warnings) == (14, 14, ())


@pytest.mark.parametrize("tamper", ["changed", "deleted", "inserted", "doubled"])
def test_what_was_tampered_with_does_not(book, report, ask, namespace, tamper):
    index = f".ds-logs-fieldtrail.change-{namespace}-000001"
    ident = book.documents[3][0]
    if tamper == "changed":
        ask("POST", f"/{index}/_update/{ident}?refresh=true", {"doc": {"message": "nothing to see"}})
        expected = "MODIFIED 3"
    elif tamper == "deleted":
        ask("DELETE", f"/{index}/_doc/{ident}?refresh=true")
        expected = "MISSING 3 unexplained"
    elif tamper == "inserted":
        forged = json.dumps({"create": {"_id": "forged"}}) + "\n" + json.dumps(change()) + "\n"
        ask("POST", f"/logs-fieldtrail.change-{namespace}/_bulk?refresh=true", forged.encode())
        expected = "INSERTED forged"
    else:
        ask("POST", f"/logs-fieldtrail.change-{namespace}/_rollover")
        again = json.dumps({"create": {"_id": ident}}).encode() + b"\n" + book.documents[3][1] + b"\n"
        ask("POST", f"/logs-fieldtrail.change-{namespace}/_bulk?refresh=true", again)
        expected = "DUPLICATE 3"
    result = report(book)
    assert not result.ok
    assert any(line.startswith(expected) for line in result.lines()), result.lines()


def test_pull_writes_what_the_server_holds_and_a_period_keeps_the_log_whole(book, opensearch, ask, ours, tmp_path):
    ask("POST", f"/{ours}/_refresh")
    path = tmp_path / "pulled.ndjson"
    run = CliRunner().invoke(siem.pull, ["--opensearch", opensearch.url, "--index", ours, "--output", str(path)])
    assert run.exit_code == 0, run.output
    assert run.stderr == f"{len(book.documents)} documents\n"
    assert sorted(path.read_bytes().splitlines()) == sorted(data for _, data in book.documents)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "pulled.ndjson.part").exists()
    run = CliRunner().invoke(siem.pull, ["--opensearch", opensearch.url, "--index", ours, "--since", "2027-01-01"])
    datasets = [orjson.loads(line)["data_stream"]["dataset"] for line in run.stdout_bytes.splitlines()]
    assert sorted(datasets) == ["fieldtrail.checkpoint"] * 3 + ["fieldtrail.log"] * 5


def test_a_scan_in_small_pages_gives_every_document_once_in_the_order_of_the_log(
    book, client, opened, batch, ask, ours, namespace, monkeypatch
):
    output = opened()
    output.deliver(batch(*documents(15), checkpoint(3), checkpoint(9)))
    ask("POST", f"/logs-fieldtrail.change-{namespace}/_rollover")
    again = b"".join(b'{"create":{"_id":"%s"}}\n%s\n' % (one.id.encode(), one.data) for one in documents(15))
    assert ask("POST", f"/logs-fieldtrail.change-{namespace}/_bulk", again).json["errors"] is False
    ask("POST", f"/{ours}/_refresh")
    for name in ("_FIRST_PAGE", "_LARGEST_PAGE", "_SMALLEST_PAGE"):
        monkeypatch.setattr(f"shipper.outputs._opensearch_scan.{name}", 2)
    lines = [orjson.loads(line) for line in pull_documents(client, now=NOW, index=ours)]
    assert len(lines) == len(book.documents) + 15 + 2 + 15
    seals = [(line["seal"]["log"], line["seal"]["i"]) for line in lines if "seal" in line]
    assert seals == sorted(seals)
    sizes = [line["trail"]["checkpoint"]["size"] for line in lines[len(seals) :]]
    assert sorted(sizes) == [3, 6, 9, 11, 14]


def test_every_document_comes_in_exactly_one_pass_and_the_count_must_agree(book, opensearch, ask, ours, monkeypatch):
    ask("POST", f"/{ours}/_refresh")
    source = OpenSearchSource(Client([opensearch.url]), ours)
    first, second = list(source.control()), list(source.events())
    assert (len(first), len(second)) == (8, 9)
    assert sorted(raw.data for raw in [*first, *second]) == sorted(data for _, data in book.documents)
    assert {raw.id for raw in first} | {raw.id for raw in second} == {ident for ident, _ in book.documents}
    source.close()
    source.close()
    source = OpenSearchSource(Client([opensearch.url]), ours)
    monkeypatch.setattr(Snapshot, "counts", lambda self: Counter())
    with pytest.raises(UnavailableError, match="documents came, 0 are counted"):
        list(source.control()) + list(source.events())
    source.close()


def test_what_is_written_later_is_not_in_the_snapshot(book, opensearch, opened, batch, ask, ours):
    ask("POST", f"/{ours}/_refresh")
    source = OpenSearchSource(Client([opensearch.url]), ours)
    assert len(list(source.control())) == 8
    opened().deliver(batch(*documents(5)))
    ask("POST", f"/{ours}/_refresh")
    assert len(list(source.events())) == 9
    source.close()


@pytest.mark.parametrize(("restless", "noticed"), [(0, False), (3, False), (99, True)])
def test_a_snapshot_is_taken_again_while_documents_are_being_written(
    book, opensearch, ask, ours, monkeypatch, restless, noticed
):
    before = ask("GET", "/_search/point_in_time/_all").json
    told_truth, calls = Snapshot.counts, []

    def counts(self):
        calls.append(1)
        return told_truth(self) + (Counter(["x"]) if len(calls) <= restless else Counter())

    monkeypatch.setattr(Snapshot, "counts", counts)
    source = OpenSearchSource(Client([opensearch.url]), ours)
    assert len(list(source.control())) == 8  # without a refresh by the test: the source asks for one
    assert any("run again" in text for text in source.notices()) is noticed
    source.close()
    assert ask("GET", "/_search/point_in_time/_all").json == before


def test_settings_that_change_what_is_shown_become_notices(client, opened, batch, ask, ours, namespace):
    opened().deliver(batch(*documents(2)))
    index = f".ds-logs-fieldtrail.change-{namespace}-000001"
    ask("PUT", f"/{index}/_settings", {"index.final_pipeline": "mine"})
    plain = f"logs-fieldtrail.plain-{namespace}"
    mappings = {"_source": {"excludes": ["secret"]}, "properties": {"a": {"type": "keyword"}}}
    ask(
        "PUT",
        f"/{plain}",
        {"mappings": mappings, "aliases": {f"logs-fieldtrail.alias-{namespace}": {"filter": {"term": {"a": 1}}}}},
    )
    try:
        source = OpenSearchSource(Client(client.hosts), ours)
        list(source.control())
        text = "\n".join(source.notices())
        assert f"{index}: index.final_pipeline is mine" in text
        assert f"{plain}: the mapping filters _source" in text
        assert f"logs-fieldtrail.alias-{namespace}: this alias shows only a part" in text
        source.close()
    finally:
        ask("DELETE", f"/{plain}")
        ask("PUT", f"/{index}/_settings", {"index.final_pipeline": "_none"})


def test_a_pattern_that_matches_nothing_is_empty(client):
    source = OpenSearchSource(Client(client.hosts), "logs-fieldtrail.*-nobody")
    assert list(source.control()) == list(source.events()) == []
    source.close()
    assert list(search_events(client, "a:b", now=NOW, index="logs-fieldtrail.*-nobody")) == []
    assert list(pull_documents(client, now=NOW, index="nothing-here")) == []


@pytest.fixture
def searchable(opened, batch, ask, ours):
    events = [
        change(event__id="a", timestamp="2026-02-01T08:00:00Z", user__name="kim@co.example"),
        change(event__id="b", timestamp="2026-02-02T08:00:00Z", user__name="ann@co.example", trail__object__id="56",
               trail__object__key="greenhouse:offer/56"),
        change(event__id="c", timestamp="2026-02-03T08:00:00Z", message="Ann Exported the contacts", trail__change=None),
        change(event__id="d", timestamp="2026-02-03T08:00:00.500Z", event__module="keap", trail__object__key="keap:offer/55"),
    ]  # fmt: skip
    opened().deliver(batch(*(document(n, event) for n, event in enumerate(events)), control(4), checkpoint(5)))
    ask("POST", f"/{ours}/_refresh")


@pytest.mark.parametrize(
    ("query", "options", "expected"),
    [
        ("", {}, "dcba"),
        ("*:*", {}, "dcba"),
        ("*:*", {"limit": 2}, "dc"),
        ("*:*", {"limit": 0}, ""),
        ("user.name:ann*", {}, "b"),
        ("event.id:(a OR d)", {}, "da"),
        ("Ann contacts", {}, "c"),
        ("salary Offer", {}, "dba"),
        ("trail.change.delta:[20000 TO *]", {}, "dba"),
        ("_exists_:trail.change.field AND NOT event.id:a", {}, "db"),
        ('source.ip:"198.51.100.0/24"', {}, "dcba"),
        ("*:*", {"since": "2026-02-02"}, "dcb"),
        ("*:*", {"until": "2026-02-02"}, "ba"),
        ("*:*", {"since": "2026-02-02", "until": "2026-02-02"}, "b"),
        ("*:*", {"since": "now-2d"}, "dc"),
        ("*:*", {"since": "2026-02-03T08:00:00.400Z"}, "d"),
    ],
)
def test_search_finds_newest_first_and_hides_control_documents(client, searchable, ours, query, options, expected):
    events = search_events(client, query, now=NOW, index=ours, **options)
    assert "".join(event["event"]["id"] for event in events) == expected


def test_search_shows_control_documents_when_asked(client, searchable, ours):
    assert sum(1 for _ in search_events(client, "", now=NOW, index=ours, control=True)) == 6


def test_search_in_small_pages_finds_everything_with_and_without_a_seal(
    client, searchable, ours, ask, namespace, monkeypatch
):
    forged = b"".join(
        b'{"create":{"_id":"f%d"}}\n%s\n' % (n, json.dumps(change(event__id=f"f{n}")).encode()) for n in range(5)
    )
    ask("POST", f"/logs-fieldtrail.activity-{namespace}/_bulk?refresh=true", forged)
    for name in ("_FIRST_PAGE", "_LARGEST_PAGE", "_SMALLEST_PAGE"):
        monkeypatch.setattr(f"shipper.outputs._opensearch_scan.{name}", 1)
    events = list(search_events(client, "", now=NOW, index=ours, control=True))
    assert len(events) == 11
    stamps = [instant(event["@timestamp"]) for event in events]
    assert stamps == sorted(stamps, reverse=True)
    assert sum(1 for _ in trace_events(client, "greenhouse", "offer", "55", index=ours)) == 7
    assert sum(1 for _ in pull_documents(client, now=NOW, index=ours)) == 11


@pytest.mark.parametrize("query", ["field:(", 'a:"', "a:[1 TO", "AND"])
def test_a_query_that_cannot_be_read_is_the_users_mistake(client, searchable, ours, query):
    with pytest.raises(UsageError, match="read query"):
        list(search_events(client, query, now=NOW, index=ours))


def test_trace_gives_the_events_of_one_record_oldest_first(client, searchable, ours):
    def ids(module, kind, identity):
        return "".join(event["event"]["id"] for event in trace_events(client, module, kind, identity, index=ours))

    assert ids("greenhouse", "offer", "55") == "ac"
    assert ids(None, "offer", "55") == "acd"
    assert ids("keap", "offer", "55") == "d"
    assert ids("greenhouse", "offer", "57") == ""


def test_the_point_in_time_is_given_back_when_the_reader_stops_early(client, searchable, ours, ask):
    before = ask("GET", "/_search/point_in_time/_all").json
    events = search_events(client, "", now=NOW, index=ours)
    next(events)
    assert len(ask("GET", "/_search/point_in_time/_all").json["pits"]) == len(before.get("pits", [])) + 1
    events.close()
    assert ask("GET", "/_search/point_in_time/_all").json == before


def test_control_documents_are_known_by_the_name_of_their_stream_too(client, opened, batch, ask, ours):
    lying = document(0, change(event__id="x"))._replace(dataset="fieldtrail.log")
    opened().deliver(batch(lying))
    ask("POST", f"/{ours}/_refresh")
    assert list(search_events(client, "", now=NOW, index=ours)) == []
    assert ask("POST", f"/{ours}/_count", {"query": CONTROL}).json["count"] == 1
    assert DEFAULT_INDEX == "logs-fieldtrail.*"


# -- through nginx: TLS, passwords, certificates, limits ---------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def proxy(opensearch, authority, tmp_path_factory):
    running = nginx.Nginx(tmp_path_factory.mktemp("nginx"), opensearch.url, authority)
    yield running
    running.stop()


def basic(password=nginx.PASSWORD):
    return AuthSection(basic=BasicAuth(username=nginx.USER, password=SecretStr(password)))


def test_tls_with_our_own_authority_and_a_password(proxy, opened, batch, found):
    output = opened(proxy.password, tls=TlsSection(ca=proxy.folder / "ca.pem"), auth=basic())
    assert told(output.deliver(batch(*documents(50)))) == (50, 0, 0, 0)
    assert output.highest(LOG) == 49
    assert len(found()) == 50


def test_a_path_before_the_paths_of_the_server(proxy, opened, batch):
    output = opened(proxy.password + "/under/", tls=TlsSection(ca=proxy.folder / "ca.pem"), auth=basic())
    assert told(output.deliver(batch(document(0)))) == (1, 0, 0, 0)


def test_a_wrong_password_is_waited_for_and_named(proxy, opened, batch):
    output = opened(proxy.password, tls=TlsSection(ca=proxy.folder / "ca.pem"), auth=basic("wrong"))
    receipt = output.deliver(batch(document(0)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "wrong user name or password (401)" in receipt.error and "wrong'" not in receipt.error
    with pytest.raises(UnavailableError, match="401"):
        output.highest(LOG)


def test_a_server_of_an_unknown_authority_gets_nothing(proxy, opened, batch, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for tls in (TlsSection(ca=other), TlsSection()):
        receipt = opened(proxy.password, tls=tls, auth=basic()).deliver(batch(document(0)))
        assert told(receipt) == (0, 0, 0, 1)
        assert "certificate not accepted" in receipt.error and "tls.ca or --ca" in receipt.error
        assert receipt.retry_after is not None


def test_a_certificate_for_another_name_is_refused_and_tls_server_name_puts_it_right(proxy, opened, batch):
    address = proxy.password.replace("localhost", "127.0.0.1")
    ca = proxy.folder / "ca.pem"
    receipt = opened(address, tls=TlsSection(ca=ca), auth=basic()).deliver(batch(document(0)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "mismatch" in receipt.error and "tls.server_name" in receipt.error
    named = opened(address, tls=TlsSection(ca=ca, server_name="localhost"), auth=basic())
    assert told(named.deliver(batch(document(0)))) == (1, 0, 0, 0)
    wrong = opened(proxy.password, tls=TlsSection(ca=ca, server_name="other.example"), auth=basic())
    assert told(wrong.deliver(batch(document(1)))) == (0, 0, 0, 1)


def test_without_verification_it_works_and_says_so_once(proxy, opened, batch):
    with capture_logs() as logs:  # whatever an earlier test has made of the logging
        output = opened(proxy.password, tls=TlsSection(verify=False), auth=basic())
        for n in range(3):
            assert told(output.deliver(batch(document(n)))) == (1, 0, 0, 0)
    assert sum("tls.verify is off" in entry["event"] for entry in logs) == 1


def test_our_own_certificate_is_shown_where_the_server_asks_for_one(proxy, authority, opened, batch, tmp_path):
    own = authority.issue_cert("agent@acme.example")
    own.private_key_pem.write_to_path(tmp_path / "own.key")
    own.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    ca = proxy.folder / "ca.pem"
    tls = TlsSection(ca=ca, cert=tmp_path / "own.pem", key=tmp_path / "own.key")
    assert told(opened(proxy.certificate, tls=tls).deliver(batch(document(0)))) == (1, 0, 0, 0)
    assert told(opened(proxy.certificate, tls=TlsSection(ca=ca)).deliver(batch(document(1)))) == (0, 0, 0, 1)


def test_tls_below_1_2_is_refused(proxy, opened, batch):
    receipt = opened(proxy.old, tls=TlsSection(ca=proxy.folder / "ca.pem")).deliver(batch(document(0)))
    assert told(receipt) == (0, 0, 0, 1)
    assert "TLS" in receipt.error


def test_http_where_the_server_speaks_tls_and_tls_where_it_does_not_are_told_apart(proxy, opensearch, opened, batch):
    receipt = opened(opensearch.url.replace("http:", "https:")).deliver(batch(document(0)))
    assert "does not speak TLS" in receipt.error and opensearch.url in receipt.error
    receipt = opened(proxy.password.replace("https:", "http:")).deliver(batch(document(0)))
    assert told(receipt) == (0, 0, 0, 1)


def test_a_proxy_that_takes_little_at_once_gets_little_at_once(proxy, opened, batch, found):
    output = opened(proxy.small, compression="none")
    assert told(output.deliver(batch(*documents(200)))) == (200, 0, 0, 0)
    assert len(found()) == 200


def test_certificates_that_cannot_be_read_are_configuration_errors(opened, tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate\n")
    for tls in (TlsSection(ca=tmp_path / "bad.pem"), TlsSection(cert=tmp_path / "bad.pem")):
        with pytest.raises(ConfigError, match=r"bad\.pem"):
            opened("https://localhost:9", tls=tls)


def test_validate_connect_names_the_step_that_fails(proxy):
    def steps(host, **section):
        section = OpenSearchSection(id="siem", type="opensearch", hosts=(host,), **section)
        return [(name, ok) for name, ok, _, _ in probe(section, "default")]

    ca = TlsSection(ca=proxy.folder / "ca.pem")
    assert steps(proxy.password, tls=ca, auth=basic())[:4] == [
        ("resolve", True),
        ("connect", True),
        ("auth", True),
        ("version", True),
    ]
    assert steps(proxy.password, tls=ca, auth=basic("wrong"))[-1] == ("auth", False)
    assert steps(proxy.password)[-1] == ("TLS", False)


def test_the_options_of_the_command_line_reach_the_client(proxy, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(nginx.PASSWORD + "\n", encoding="utf-8")
    client = client_for(proxy.password, user=nginx.USER, password_file=secret, ca=proxy.folder / "ca.pem")
    assert client.ask("ask", "GET", "/")["version"]["distribution"] == "opensearch"
    client.close()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("search.example:9200", {}),
        ("ftp://search.example", {}),
        ("https://", {}),
        ("https://search.example:port", {}),
        ("https://kim:secret@search.example:9200", {}),
        ("https://search.example", {"user": "kim"}),
        ("https://search.example", {"password_file": Path("x")}),
        ("https://search.example", {"user": "kim", "password_file": Path("does-not-exist")}),
        ("https://search.example", {"key": Path("x")}),
    ],
)
def test_options_that_make_no_sense_are_usage_errors_that_show_no_secret(url, options):
    with pytest.raises(UsageError) as caught:
        client_for(url, **options)
    assert caught.value.hint
    assert "secret" not in caught.value.render()
