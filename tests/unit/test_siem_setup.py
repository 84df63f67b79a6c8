"""`setup`: what it brings together, and what it never does by itself."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

import mappings
from shipper.commands import siem
from shipper.config import AgentSection
from shipper.errors import UnavailableError, UsageError
from shipper.outputs import _opensearch_client
from shipper.siem import importing, setup
from shipper.siem.setup import Wanted
from tests.tailing import StandingClock
from tests.unit.test_siem_policies import EVENTS, POLICY, SEAL, Ism


class Cluster(Ism):
    """A server with templates, Index State Management if `plugins` says so, and nothing else."""

    place = "https://search.example:9200"

    def __init__(self, *args, plugins=("opensearch-index-management",)):
        super().__init__(*args)
        self.plugins, self.templates = plugins, {}
        self.closed = False

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        if path == "/_cat/plugins":
            return [{"component": name} for name in self.plugins]
        member, _, name = path[2:].partition("/")
        if member in {"component_template", "index_template"}:
            if method == "PUT":
                self.templates[path] = body
                return {"acknowledged": True}
            found = self.templates.get(path)
            return None if found is None else {f"{member}s": [{"name": name, member: found}]}
        if method == "PUT" and path.startswith("/_data_stream/"):
            self.indices[f".ds-{path.removeprefix('/_data_stream/')}-000001"] = {POLICY: None}
            return {"acknowledged": True}
        if path.startswith("/_plugins/_ism/add/") and path.endswith("-default-000001"):
            self.indices[path.removeprefix("/_plugins/_ism/add/")] = {POLICY: body["policy_id"]}
        assert self.plugins or not path.startswith("/_plugins/"), path
        return super().ask(op, method, path, body=body, params=params, absent=absent)

    def close(self):
        self.closed = True


NOW = 1_770_200_000.0
DAY = 86_400


def set_up(server, wanted, *, dry_run=False):
    return setup.set_up(server, wanted, now=NOW, dry_run=dry_run)


def results(steps):
    return {step.name: step.result for step in steps}


def retention(server):
    """The retention of the policy that deletes, in words."""
    return server.policies[EVENTS]["description"]


def test_everything_usual_is_installed_and_the_second_time_nothing():
    server = Cluster()
    first = list(set_up(server, Wanted()))
    kinds = ("component template", "index template", "data stream", "retention policy")
    told = {step.kind: step.result for step in first}
    assert told == {**dict.fromkeys(kinds, "installed"), "index": "attached"}
    assert sum(step.kind == "index" for step in first) == len(mappings.component_templates().streams)
    assert {step.result for step in set_up(server, Wanted())} == {"unchanged"}


def test_without_the_plugin_no_policy_is_asked_for_and_the_reason_is_told():
    steps = results(set_up(Cluster(plugins=()), Wanted()))
    assert steps[EVENTS] == steps[SEAL] == "left out: the server has no plugin opensearch-index-management"
    assert steps["fieldtrail-change"] == "installed"


def test_an_update_keeps_the_retention_that_was_chosen_before():
    server = Cluster()
    list(set_up(server, Wanted(days=1000)))
    assert {step.result for step in set_up(server, Wanted())} == {"unchanged"}
    assert "1000 days" in retention(server)


def test_an_update_lengthens_a_retention_that_is_shorter_than_what_the_agent_announces():
    server = Cluster()
    list(set_up(server, Wanted(days=100)))
    list(set_up(server, Wanted(at_least=550)))
    assert "550 days" in retention(server)


def test_for_ever_stays_for_ever_whatever_is_announced():
    server = Cluster()
    list(set_up(server, Wanted(days=0)))
    assert "deleted" not in retention(server)
    assert {step.result for step in set_up(server, Wanted(at_least=550))} == {"unchanged"}
    assert not any("delete" in action for state in server.policies[EVENTS]["states"] for action in state["actions"])


def test_a_retention_that_somebody_changed_by_hand_is_not_written_over_unless_it_is_asked_for():
    server = Cluster()
    list(set_up(server, Wanted()))
    for state in server.policies[EVENTS]["states"]:
        for transition in state["transitions"]:
            transition["conditions"] = {"min_index_age": "900d"}
    steps = results(set_up(server, Wanted()))
    assert steps[EVENTS].startswith("left out: changed by hand")
    assert steps[SEAL] == "unchanged"
    assert results(set_up(server, Wanted(days=900)))[EVENTS] == "updated"


def test_a_dry_run_writes_nothing_at_all():
    server = Cluster()
    assert {step.result for step in set_up(server, Wanted(rollover=True), dry_run=True)} == {"installed"}
    assert server.templates == {} and server.policies == {}


OLD, MIDDLE, NEWEST = (f".ds-logs-fieldtrail.change-a-00000{n}" for n in (1, 2, 3))


def grown(server):
    """A data stream that was rolled over 600 and 100 days ago, before there were policies."""
    server.indices = {name: {POLICY: None} for name in (OLD, MIDDLE, NEWEST)}
    server.made = {OLD: NOW - 900 * DAY, MIDDLE: NOW - 600 * DAY, NEWEST: NOW - 100 * DAY}


def test_a_usual_retention_does_not_delete_at_once_what_was_there_before():
    server = Cluster()
    grown(server)
    steps = results(set_up(server, Wanted()))
    assert steps[OLD].startswith("left out: rolled over so long ago")
    assert steps[MIDDLE] == steps[NEWEST] == "attached"
    assert [name for _, name, _ in server.posted if "-default-" not in name] == [MIDDLE, NEWEST]


@pytest.mark.parametrize("days", [550, 0])
def test_a_retention_that_was_asked_for_holds_for_everything_there_is(days):
    server = Cluster()
    grown(server)
    assert results(set_up(server, Wanted(days=days, hand_over=True)))[OLD] == "attached"


def test_nothing_is_handed_to_a_policy_that_somebody_changed():
    server = Cluster()
    list(set_up(server, Wanted()))
    grown(server)
    server.policies[EVENTS]["states"][-1]["actions"].insert(0, {"snapshot": {"repository": "vault", "snapshot": "x"}})
    assert OLD not in results(set_up(server, Wanted()))
    assert {"snapshot": {"repository": "vault", "snapshot": "x"}} in server.policies[EVENTS]["states"][-1]["actions"]


@pytest.mark.parametrize("days", [0, 2000])
def test_a_namespace_begins_with_the_retention_that_held_for_it_so_far(days):
    server = Cluster()
    list(set_up(server, Wanted(days=days)))
    general = retention(server)
    list(set_up(server, Wanted(namespace="acme")))
    assert server.policies[f"{EVENTS}-acme"]["description"] == general
    list(set_up(server, Wanted(namespace="acme", days=90)))
    list(set_up(server, Wanted(namespace="acme")))
    assert "90 days" in server.policies[f"{EVENTS}-acme"]["description"], "its own counts"


def test_policies_are_there_before_the_data_streams_that_are_to_find_them():
    names = [step.kind for step in set_up(Cluster(), Wanted())]
    assert names.index("retention policy") < names.index("data stream") < names.index("index")


@pytest.mark.parametrize("answer", [[], {"policy": {"states": 5}}, "no", {"policy": {"states": []}}])
def test_an_answer_that_opensearch_does_not_give_is_an_error_that_says_so(answer):
    server = Cluster()
    ask = server.ask

    def odd(op, method, path, **more):
        return answer if path.startswith("/_plugins/_ism/policies/") else ask(op, method, path, **more)

    server.ask = odd
    if answer == []:  # none
        server.ask = lambda op, method, path, **more: [] if "explain" in path else ask(op, method, path, **more)
    with pytest.raises(UnavailableError, match="not what OpenSearch says") as caught:
        list(set_up(server, Wanted()))
    assert caught.value.hint


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    server = Cluster()
    monkeypatch.setattr(_opensearch_client, "client_for", lambda url, **options: server)
    monkeypatch.setattr(_opensearch_client, "client_of", lambda section: server)
    return server


@pytest.fixture
def configured(tmp_path):
    """`configured(more)`: a configuration with an OpenSearch output."""

    def make(more=""):
        path = tmp_path / "fieldtrail.yaml"
        path.write_text(f"outputs: [{{id: siem, type: opensearch, hosts: ['https://search.example']}}]\n{more}\n")
        return str(path)

    return make


def run(*arguments):
    return CliRunner().invoke(siem.setup, list(arguments))


def test_the_retention_of_the_configuration_counts(server, configured):
    assert run("-c", configured("retention: {days: 90}")).exit_code == 0
    assert "90 days" in retention(server)
    assert server.closed


@pytest.mark.parametrize("flags", [(), ("--retention-days", "550")])
def test_the_configuration_hands_nothing_to_be_deleted_at_once_and_the_option_does(
    server, configured, monkeypatch, flags
):
    clock = StandingClock()
    clock.wall = NOW
    monkeypatch.setattr(siem, "SystemClock", lambda: clock)
    grown(server)
    done = run("-c", configured("retention: {days: 550}"), "--json", *flags)
    (old,) = [step for step in json.loads(done.stdout) if step["name"] == OLD]
    assert (old["result"] == "attached") == bool(flags)
    assert (OLD in [name for _, name, _ in server.posted]) == bool(flags)


def test_an_index_that_the_server_refuses_is_an_error_where_days_were_asked_for(server, configured):
    grown(server)
    server.failing = "closed"
    assert run("-c", configured("retention: {days: 550}")).exit_code == 0
    caught = run("-c", configured("retention: {days: 550}"), "--retention-days", "550").exception
    assert isinstance(caught, UnavailableError) and "--retention-days" in str(caught)
    assert caught.hint == f"GET _plugins/_ism/explain/{OLD}"


def test_json_tells_what_was_done_before_it_failed(server):
    ask = server.ask

    def failing(op, method, path, **more):
        if method == "PUT" and "/_ism/" in path:
            raise UnavailableError(op, server.place, "status 500")
        return ask(op, method, path, **more)

    server.ask = failing
    done = run("--opensearch", "https://search.example", "--json")
    assert isinstance(done.exception, UnavailableError)
    assert {step["result"] for step in json.loads(done.stdout)} == {"installed"}


@pytest.mark.parametrize("command", [siem.setup, siem.export])
@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--namespace", "Acme"], "not a namespace"),
        (["--namespace", "a-b"], "not a namespace"),
        (["--namespace", "*"], "not a namespace"),
        (["--namespace", ""], "not a namespace"),
        (["--namespace", "a" * 101], "not a namespace"),
        (["--retention-days", "36501"], "not a number of days"),
    ],
)
def test_options_that_nothing_can_be_made_of_are_refused_before_anything_is_done(server, command, arguments, cause):
    before = ["--opensearch", "https://search.example"] if command is siem.setup else ["policies"]
    caught = CliRunner().invoke(command, [*before, *arguments]).exception
    assert isinstance(caught, UsageError) and cause in str(caught) and caught.hint
    assert server.templates == {}


@pytest.mark.parametrize("name", ["default", "acme_2.eu", "Acme", "a-b", "", "a" * 101])
def test_a_namespace_is_what_the_configuration_takes(server, name):
    try:
        AgentSection(namespace=name)
        known = True
    except ValidationError:
        known = False
    done = CliRunner().invoke(siem.export, ["templates", "--namespace", name])
    assert (done.exit_code == 0) == known


def test_a_configuration_that_keeps_for_ever_installs_a_policy_that_deletes_nothing(server, configured):
    assert run("-c", configured("retention: null")).exit_code == 0
    assert "deleted" not in retention(server)


def test_a_configuration_that_says_nothing_does_not_shorten_what_is_there(server, configured):
    run("--opensearch", "https://search.example", "--retention-days", "1000")
    run("-c", configured())
    assert "1000 days" in retention(server)


@pytest.mark.parametrize(("more", "days"), [("retention: {days: 90}", "89"), ("retention: null", "3000"), ("", "549")])
def test_a_retention_shorter_than_what_the_agent_announces_is_refused(server, configured, more, days):
    caught = run("-c", configured(more), "--retention-days", days).exception
    assert isinstance(caught, UsageError) and "which the agent announces" in str(caught)
    assert server.policies == {} and server.templates == {}


def test_a_longer_retention_than_what_the_agent_announces_is_fine(server, configured):
    assert run("-c", configured("retention: {days: 90}"), "--retention-days", "91").exit_code == 0
    assert "91 days" in retention(server)


def test_a_configured_retention_is_no_demand_for_the_plugin_and_an_option_is(server, configured):
    server.plugins = ()
    assert run("-c", configured("retention: {days: 90}")).exit_code == 0
    caught = run("-c", configured("retention: {days: 90}"), "--retention-days", "90").exception
    assert isinstance(caught, UnavailableError) and caught.exit_code == 69
    assert "leave --retention-days out" in caught.hint


def test_a_dry_run_says_what_would_be(server):
    lines = run("--opensearch", "https://search.example", "--dry-run").stdout.splitlines()
    assert lines[0] == "would be installed: component template fieldtrail-settings"
    run("--opensearch", "https://search.example")
    lines = run("--opensearch", "https://search.example", "--retention-days", "90", "--dry-run").stdout.splitlines()
    at = lines.index(f"would be updated: retention policy {EVENTS}")
    assert lines[at + 1].startswith("    description: ")


def test_json_tells_each_step_with_its_difference(server):
    run("--opensearch", "https://search.example")
    steps = json.loads(run("--opensearch", "https://search.example", "--retention-days", "90", "--json").stdout)
    (changed,) = [step for step in steps if step["result"] != "unchanged"]
    assert changed["opensearch"] == "https://search.example:9200" and changed["kind"] == "retention policy"
    assert "states[1].transitions[0].conditions.min_rollover_age: 550d -> 90d" in changed["difference"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--notify", "webhook=@x"], "goes with --monitors only"),
        (["--grant", "writer=x"], "goes with --security only"),
        (["--tenant", "x"], "goes with --dashboards only"),
        (["--retention-days", "9", "--no-retention"], "exclude each other"),
        (["--retention-days", "-1"], "not a number of days"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(server, arguments, cause):
    caught = run("--opensearch", "https://search.example", *arguments).exception
    assert isinstance(caught, UsageError) and cause in str(caught) and caught.hint


def test_monitors_and_roles_without_their_plugins_are_an_error_that_names_the_option(server):
    for option in ("--monitors", "--security"):
        done = run("--opensearch", "https://search.example", option)
        assert isinstance(done.exception, UnavailableError) and option in str(done.exception)
        assert "left out: the server has no plugin" in done.stdout


@pytest.fixture
def dashboards(monkeypatch):
    """What was imported; the second object is refused."""
    calls = []

    def imported(url, objects, **options):
        calls.append((url, options))
        lines = objects.splitlines()
        second = json.loads(lines[1])
        return importing.Imported(len(lines) - 1, (importing.Rejected(second["type"], second["id"], "conflict"),))

    monkeypatch.setattr(importing, "import_saved_objects", imported)
    return calls


def test_dashboards_alone_touch_no_cluster_and_what_is_refused_is_told_with_exit_code_1(server, dashboards):
    done = run("--dashboards", "https://dashboards.example", "--user", "kim", "--password-file", "pw")
    assert done.exit_code == 1
    assert any(line.startswith("rejected: conflict: ") for line in done.stdout.splitlines())
    assert server.templates == {}
    ((url, options),) = dashboards
    assert url == "https://dashboards.example" and options["user"] == "kim" and options["tenant"] is None


def test_dashboards_beside_a_configuration_take_the_account_of_the_command_line(server, dashboards, configured):
    run("-c", configured(), "--dashboards", "https://dashboards.example", "--user", "kim", "--password-file", "pw")
    assert server.templates and dashboards[0][1]["user"] == "kim"


def test_a_dry_run_imports_nothing(server, dashboards):
    done = run("--dashboards", "https://dashboards.example", "--dry-run")
    assert done.exit_code == 0 and done.stdout.startswith("would be imported: saved objects ")
    assert dashboards == []


@pytest.mark.parametrize("what", ["templates", "policies", "monitors", "security"])
def test_everything_that_is_exported_is_a_path_and_a_body_a_line_or_a_file_each(what, tmp_path):
    lines = [json.loads(line) for line in CliRunner().invoke(siem.export, [what]).stdout.splitlines()]
    assert lines and all(set(line) == {"path", "body"} and line["path"].startswith("/_") for line in lines)
    done = CliRunner().invoke(siem.export, [what, "--dir", str(tmp_path)])
    files = [json.loads(Path(path).read_bytes()) for path in done.stdout.splitlines()]
    assert files == [line["body"] for line in lines]


def test_dashboards_are_exported_as_they_are_imported(tmp_path):
    printed = CliRunner().invoke(siem.export, ["dashboards"]).stdout_bytes
    path = tmp_path / "new" / "fieldtrail.ndjson"
    assert CliRunner().invoke(siem.export, ["dashboards", "--file", str(path)]).stdout.strip() == str(path)
    assert path.read_bytes() == printed
    assert len(printed.splitlines()) > 10
