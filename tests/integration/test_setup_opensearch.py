"""`fieldtrail setup` and our templates on a real OpenSearch without plugins."""

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import mappings
from shipper.commands import siem
from shipper.outputs._opensearch_client import Client
from shipper.outputs._opensearch_reader import OpenSearchSource, pull_documents
from shipper.seal.verify import verify
from shipper.siem.install import install
from shipper.siem.setup import Wanted, set_up
from shipper.siem.streams import data_streams
from shipper.siem.templates import COMPONENTS, INDICES, template_parts
from tests.components import absent
from tests.integration.opensearch import server
from tests.integration.opensearch.server import url_from_environment
from tests.sealed import small_log, trust

GOLDEN = Path(__file__).parents[1] / "golden"
own_server = pytest.mark.skipif(
    url_from_environment() is not None, reason="the templates of a server that may serve others are left as they are"
)


@pytest.fixture
def client(opensearch):
    client = Client([opensearch.url])
    yield client
    client.close()


@pytest.fixture
def setup(opensearch, ask):
    """`setup(*arguments)`: the command, at this server. The empty data streams that it makes are removed afterwards."""
    yield lambda *arguments: CliRunner().invoke(siem.setup, ["--opensearch", opensearch.url, *arguments])
    if url_from_environment() is None:
        ask("DELETE", "/_data_stream/logs-fieldtrail.*-default")


@pytest.fixture
def first_version(client, templates):
    """The templates as a program before this one installed them; afterwards ours again."""
    yield from _older(client)


def _older(client):
    for part in template_parts():
        for name, body in part.bodies.items():
            old = copy.deepcopy(dict(body)) | {"version": 1}
            inner = old.get("template", {})
            inner.get("mappings", {}).pop("_meta", None)
            if name == "fieldtrail-own":
                del inner["mappings"]["properties"]["trail"]["properties"]["verify"]
            part.kind.write(client, name, old, None)
    yield
    list(install(client, template_parts()))


def fill(ask, stream, count=1):
    """Documents that make a data stream of it."""
    lines = []
    for number in range(count):
        lines += [{"create": {}}, {"@timestamp": "2026-02-03T10:30:00.000Z", "event": {"id": f"e{number}"}}]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    answer = ask("POST", f"/{stream}/_bulk?refresh=true", body)
    assert not answer.json["errors"], answer.json


def indices(ask, stream):
    (found,) = ask("GET", f"/_data_stream/{stream}").json["data_streams"]
    return [index["index_name"] for index in found["indices"]]


def test_setup_twice_does_nothing_the_second_time(setup, templates):
    run = setup("--json")
    assert run.exit_code == 0, run.output
    steps = json.loads(run.stdout)
    assert {step["result"] for step in steps if "template" in step["kind"]} == {"unchanged"}
    assert len([step for step in steps if "template" in step["kind"]]) == 9


def test_without_the_plugin_setup_says_what_it_left_out_and_why(setup, templates):
    run = setup()
    assert run.exit_code == 0
    why = "left out: the server has no plugin opensearch-index-management"
    assert f"{why}: retention policy fieldtrail-events" in run.stdout
    assert f"{why}: retention policy fieldtrail-seal" in run.stdout


def test_a_retention_that_was_asked_for_and_cannot_be_had_is_an_error_after_all_else_was_done(setup, templates):
    run = setup("--retention-days", "400")
    assert run.exception is not None and "--retention-days" in str(run.exception)
    assert run.exception.exit_code == 69
    assert "unchanged: index template fieldtrail-change" in run.stdout


def test_policies_that_nobody_wants_are_not_even_asked_about(setup, templates):
    run = setup("--no-retention")
    assert run.exit_code == 0 and "retention" not in run.stdout


@own_server
def test_a_dry_run_prints_what_an_upgrade_would_change_and_changes_nothing(setup, client, first_version, ask):
    run = setup("--dry-run", "--no-retention")
    assert run.exit_code == 0, run.output
    lines = run.stdout.splitlines()
    at = lines.index("would be updated: component template fieldtrail-own")
    version = mappings.component_templates().version
    assert lines[at + 1 : at + 3] == [
        "    mappings.properties.trail.properties.verify: added",
        f"    version: 1 -> {version}",
    ]
    assert "    mappings._meta: added" in lines
    assert COMPONENTS.read(client, "fieldtrail-own").body["version"] == 1

    steps = json.loads(setup("--dry-run", "--json").stdout)
    assert {step["result"] for step in steps if step["kind"] == "index template"} == {"updated"}
    own = next(step for step in steps if step["name"] == "fieldtrail-own")
    assert "mappings.properties.trail.properties.verify: added" in own["difference"]


@own_server
def test_an_upgrade_reaches_a_data_stream_that_was_there_at_its_rollover(setup, first_version, namespace, ask):
    stream = f"logs-fieldtrail.change-{namespace}"
    fill(ask, stream)
    arguments = ("--no-retention", "--json", "--namespace", namespace)
    (waiting,) = [one for one in json.loads(setup(*arguments).stdout) if one["name"] == stream]
    version = mappings.component_templates().version
    assert waiting["name"] == stream and waiting["result"] == "takes the templates at its next rollover"
    assert waiting["difference"] == [f"templates: version 1 -> {version}"]
    assert len(indices(ask, stream)) == 1

    (dry,) = [one for one in json.loads(setup(*arguments, "--rollover", "--dry-run").stdout) if one["name"] == stream]
    assert dry["result"] == "rolled over" and len(indices(ask, stream)) == 1

    (rolled,) = [one for one in json.loads(setup(*arguments, "--rollover").stdout) if one["name"] == stream]
    assert rolled["result"] == "rolled over"
    old, new = indices(ask, stream)
    assert "_meta" not in ask("GET", f"/{old}/_mapping").json[old]["mappings"]
    assert ask("GET", f"/{new}/_mapping").json[new]["mappings"]["_meta"]["version"] == version

    again = json.loads(setup(*arguments, "--rollover").stdout)
    assert [one for one in again if one["kind"] == "data stream"] == [], "it is rolled over once"
    for name in ask("GET", f"/_index_template/fieldtrail-*-{namespace}").json["index_templates"]:
        ask("DELETE", f"/_data_stream/*-{namespace}")
        assert ask("DELETE", f"/_index_template/{name['name']}").status == 200


def test_data_streams_that_are_missing_are_made_empty_and_once(client, templates, namespace, ask):
    wanted = Wanted(home=namespace, retention=False)
    fill(ask, f"logs-fieldtrail.change-{namespace}")
    expected = {f"logs-fieldtrail.{kind}-{namespace}" for kind in ("activity", "alert", "checkpoint", "health", "log")}

    def made(*, dry_run=False):
        steps = [step for step in set_up(client, wanted, now=0.0, dry_run=dry_run) if step.name.endswith(namespace)]
        assert all(step.result == "installed" for step in steps)
        return {step.name for step in steps}

    assert made(dry_run=True) == made() == expected
    assert made() == set()
    # What Dashboards asks for an index pattern that names two streams.
    both = f"logs-fieldtrail.alert-{namespace}*,logs-fieldtrail.activity-{namespace}*"
    found = ask("GET", f"/{both}/_field_caps?fields=trail.object.key&allow_no_indices=false")
    assert found.status == 200 and found.json["fields"]["trail.object.key"]["keyword"]["aggregatable"]


def test_a_namespace_that_has_no_data_streams_has_none_to_roll_over(client, templates, namespace):
    steps = list(set_up(client, Wanted(namespace=namespace, retention=False, rollover=True), now=0.0, dry_run=True))
    assert {step.result for step in steps if step.kind == "data stream"} == {"installed"}


@pytest.mark.parametrize("stream", ["change", "activity", "alert", "health", "log", "checkpoint"])
def test_an_index_of_each_stream_has_our_mapping_and_no_pipeline(stream, templates, namespace, ask):
    made = ask("POST", f"/_index_template/_simulate_index/logs-fieldtrail.{stream}-{namespace}").json["template"]
    assert made["mappings"]["dynamic"] in (False, "false")
    assert made["settings"]["index"]["default_pipeline"] == made["settings"]["index"]["final_pipeline"] == "_none"
    assert made["mappings"]["_meta"]["version"] == mappings.component_templates().version
    assert made["settings"]["index"]["sort"] == {"field": ["seal.log", "seal.i"], "order": ["asc", "asc"]}


def test_the_server_counts_fewer_than_400_fields(templates, namespace, ask):
    """The limit on fields counts groups and sub-fields: 400 is enough for our mapping, and 250 is not."""
    name = f"fieldtrail-count-{namespace}"
    made = ask("POST", f"/_index_template/_simulate_index/logs-fieldtrail.change-{namespace}").json["template"]
    settings = {"index": {"analysis": made["settings"]["index"]["analysis"], "mapping.total_fields.limit": 399}}
    try:
        assert ask("PUT", f"/{name}", {"settings": settings, "mappings": made["mappings"]}).status == 200
        settings["index"]["mapping.total_fields.limit"] = 250
        refused = ask("PUT", f"/{name}-2", {"settings": settings, "mappings": made["mappings"]})
        assert refused.status == 400 and "Limit of total fields" in str(refused.json)
    finally:
        ask("DELETE", f"/{name}")


def golden_events():
    for path in sorted(GOLDEN.glob("*/*.json")):
        for number, line in enumerate(path.read_bytes().split(b"\n")):
            if b'"data_stream"' in line:
                yield f"{path.parent.name}/{path.name}:{number}", json.loads(line)


def test_every_golden_event_is_indexed_whole_but_for_the_fields_that_are_meant(templates, namespace, ask):
    lines = []
    for number, (name, event) in enumerate(golden_events()):
        stream = f"logs-{event['data_stream']['dataset']}-{namespace}"
        lines += [{"create": {"_index": stream, "_id": f"{number}"}}, event | {"agent": {"name": name}}]
    for first in range(0, len(lines), 2000):
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines[first : first + 2000])
        answer = ask("POST", "/_bulk?refresh=true", body).json
        refused = [item["create"] for item in answer["items"] if item["create"]["status"] != 201]
        assert refused == []
    assert ask("GET", f"/logs-fieldtrail.*-{namespace}/_count").json["count"] == len(lines) // 2 > 2000
    assert ignored(ask, namespace) == []


def ignored(ask, namespace):
    """Fields of documents that were taken though the mapping could not read a value; long texts do not count."""
    query = {"query": {"exists": {"field": "_ignored"}}, "size": 1000, "_source": False}
    found = ask("POST", f"/logs-fieldtrail.*-{namespace}/_search", query).json["hits"]["hits"]
    return [(hit["_id"], name) for hit in found for name in hit["_ignored"]]


def test_a_value_that_the_mapping_cannot_read_costs_its_field_and_a_long_one_only_its_search(templates, namespace, ask):
    stream = f"logs-fieldtrail.change-{namespace}"
    long = "x" * 1025
    event = {
        "@timestamp": "2026-02-03T10:30:00.000Z",
        "source": {"ip": "somewhere", "port": "http"},
        "trail": {"change": {"field": "note", "new": long, "delta": "much", "changed_after": "yesterday"}},
        "nobody": {"knows": {"this": [1, {"x": None}]}},
    }
    assert ask("PUT", f"/{stream}/_create/odd?refresh=true", event).status == 201
    assert sorted(ignored(ask, namespace)) == [
        ("odd", name) for name in ("source.ip", "source.port", "trail.change.changed_after", "trail.change.delta")
    ]

    def count(field, value):
        return ask("POST", f"/{stream}/_count", {"query": {"term": {field: value}}}).json["count"]

    assert count("trail.change.field", "note") == 1
    assert count("trail.change.new", long) == 0 and count("nobody.knows.this", 1) == 0
    (hit,) = ask("GET", f"/{stream}/_search").json["hits"]["hits"]
    assert hit["_source"] == event


def test_names_are_found_whatever_their_case(templates, namespace, ask):
    stream = f"logs-fieldtrail.change-{namespace}"
    event = {
        "@timestamp": "2026-02-03T10:30:00.000Z",
        "user": {"name": "Kim.Q", "email": "Kim@CO.example"},
        "trail": {"object": {"type": "Offer", "name": "Big DEAL"}, "change": {"field": "Base_Salary", "old": "Ä"}},
    }
    ask("POST", f"/{stream}/_doc?refresh=true", event)
    for field, value in (
        ("user.name.lc", "KIM.q"),
        ("user.email.lc", "kim@co.example"),
        ("trail.object.type.lc", "OFFER"),
        ("trail.object.name.lc", "big deal"),
        ("trail.change.field.lc", "base_salary"),
        ("trail.change.old.lc", "ä"),
    ):
        told = ask("POST", f"/{stream}/_count", {"query": {"term": {field: value}}}).json
        assert told["count"] == 1, field


def test_an_index_that_a_policy_closed_to_writes_is_refreshed_searched_and_verified_as_before(
    client, templates, namespace, ask
):
    """What the warm state does (`read_only`) must stop neither the search for doubles nor a verification."""
    stream = f"logs-fieldtrail.change-{namespace}"
    fill(ask, stream)
    assert ask("POST", f"/{stream}/_rollover").status == 200
    old, new = indices(ask, stream)
    assert ask("PUT", f"/{old}/_settings", {"index.blocks.write": True, "index.priority": 10}).status == 200
    fill(ask, stream)
    refreshed = ask("POST", f"/logs-fieldtrail.*-{namespace}/_refresh")
    assert refreshed.status == 200 and refreshed.json["_shards"]["failed"] == 0
    assert len(list(pull_documents(client, now=0.0, index=f"logs-fieldtrail.*-{namespace}"))) == 2
    (hit,) = ask("GET", f"/{old}/_search").json["hits"]["hits"]
    assert ask("DELETE", f"/{old}/_doc/{hit['_id']}").status == 403, "one document cannot be taken out"
    assert ask("DELETE", f"/{old}").status == 200, "what is closed to writes can be deleted as a whole"
    assert indices(ask, stream) == [new]


def test_what_export_prints_can_be_sent_as_it_is(templates, ask, namespace):
    run = CliRunner().invoke(siem.export, ["templates", "--namespace", namespace])
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) == 9
    for line in lines:
        assert ask("PUT", line["path"], line["body"]).status == 200
    assert ask("DELETE", f"/_index_template/fieldtrail-*-{namespace}").status == 200


def test_policies_are_printed_one_a_line_or_written_as_files(tmp_path):
    run = CliRunner().invoke(siem.export, ["policies", "--retention-days", "90"])
    first, second = (json.loads(line) for line in run.stdout.splitlines())
    assert first["path"] == "/_plugins/_ism/policies/fieldtrail-events"
    assert "90 days" in first["body"]["policy"]["description"]
    CliRunner().invoke(siem.export, ["policies", "--retention-days", "90", "--dir", str(tmp_path)])
    assert json.loads((tmp_path / "policies" / "fieldtrail-seal.json").read_bytes()) == second["body"]


def test_a_template_whose_settings_are_written_otherwise_counts_as_the_same(client, templates):
    for part in template_parts():
        for name, body in part.bodies.items():
            stored = part.kind.read(client, name)
            assert part.kind.normal(stored.body) == part.kind.normal(body), name
    assert INDICES.read(client, "fieldtrail-nothing") is None


@pytest.mark.slow
def test_streams_restored_from_a_snapshot_under_another_name_hold_the_same_documents(tmp_path):
    """As docs/howto/opensearch.md says it: everything sealed, restored beside what is there, left alone by policies."""
    if reason := server.missing():
        absent(reason)
    path = tmp_path / "snapshots"
    path.mkdir()
    with server.Server(tmp_path / "home", settings={"path.repo": str(path)}) as running:
        client = Client([running.url])
        list(install(client, template_parts()))

        def ask(method, path, body=None):
            return client.ask("test", method, path, body=body)

        book = small_log()
        for ident, document in book.documents:
            stream = f"logs-{json.loads(document)['data_stream']['dataset']}-a"
            ask("PUT", f"/{stream}/_create/{ident}?refresh=true", json.loads(document))
        ask("POST", "/logs-fieldtrail.change-a/_rollover")
        ask("PUT", "/_snapshot/backup", {"type": "fs", "settings": {"location": str(path)}})
        body = {"indices": "logs-fieldtrail.*", "include_global_state": False}
        ask("PUT", "/_snapshot/backup/fieldtrail-1?wait_for_completion=true", body)
        restore = {
            "indices": "logs-fieldtrail.*",
            "include_global_state": False,
            "rename_pattern": "logs-(.+)",
            "rename_replacement": "restored-$1",
        }
        told = ask("POST", "/_snapshot/backup/fieldtrail-1/_restore?wait_for_completion=true", restore)
        assert told["snapshot"]["shards"]["failed"] == 0
        client.ask("delete", "DELETE", "/_data_stream/logs-fieldtrail.change-a")
        source = OpenSearchSource(Client([running.url]), "restored-fieldtrail.*")
        report = verify(source, trust(book))
        source.close()
        assert report.ok and (report.sealed, report.found) == (14, 14), report.lines()
        left = {stream.name for stream in data_streams(client)}
        assert left == {"logs-fieldtrail.log-a", "logs-fieldtrail.checkpoint-a"}, (
            "what is restored is not ours to manage"
        )
        client.close()
