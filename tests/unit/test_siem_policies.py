"""Retention policies: what they say, that nothing deletes too early, and which indices they are attached to."""

import copy

import pytest

import mappings
from shipper.errors import UsageError
from shipper.siem.install import Step, install
from shipper.siem.policies import ASKED, KIND, PLUGIN, attach, policy_parts, stored_days

EVENTS, SEAL = "fieldtrail-events", "fieldtrail-seal"


def bodies(days=550, namespace=None):
    (part,) = policy_parts(days, namespace)
    return part.bodies


def states(body):
    return {state["name"]: state for state in body["policy"]["states"]}


class Ism:
    """Stands in for a server with the plugin: keeps policies and writes them as it does, and manages indices."""

    def __init__(self, indices=()):
        self.policies, self.numbers, self.posted = {}, {}, []
        self.indices = dict(indices)
        """name -> what `explain` says of it"""
        self.made = {}
        """name -> when it was made"""
        self.failing = None

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        if path == "/_cat/plugins":
            return [{"component": PLUGIN}]
        if path == "/logs-fieldtrail.*/_settings/index.creation_date":
            return {
                name: {"settings": {"index": {"creation_date": f"{at * 1000:.0f}"}}} for name, at in self.made.items()
            }
        if path == "/logs-fieldtrail.*-*/_mapping":
            version = mappings.component_templates().version
            return {name: {"mappings": {"_meta": {"version": version}}} for name in self.indices}
        if path.startswith("/_data_stream/"):
            streams = {}
            for name in self.indices:
                streams.setdefault(name.removeprefix(".ds-").rpartition("-")[0], []).append({"index_name": name})
            wanted = [glob.removesuffix("*") for glob in path.removeprefix("/_data_stream/").split(",")]
            found = [name for name in streams if name.startswith(tuple(wanted))]
            return {"data_streams": [{"name": name, "indices": streams[name]} for name in found]}
        head, _, name = path.removeprefix("/_plugins/_ism/").partition("/")
        if head == "explain":
            assert params == {"show_policy": "true"}
            return {one: self.indices[one] for one in name.split(",")} | {"total_managed_indices": 0}
        if head in {"add", "change_policy"}:
            assert method == "POST"
            self.posted.append((head, name, body["policy_id"]))
            if self.failing:
                return {"updated_indices": 0, "failures": True, "failed_indices": [{"reason": self.failing}]}
            return {"updated_indices": 1, "failures": False, "failed_indices": []}
        if method == "GET":
            if name not in self.policies:
                assert absent
                return None
            return {"_id": name, "_seq_no": self.numbers[name], "_primary_term": 1, "policy": self.policies[name]}
        assert method == "PUT"
        if name in self.policies:
            assert params == {"if_seq_no": str(self.numbers[name]), "if_primary_term": "1"}
        self.policies[name] = as_told(name, body["policy"])
        self.numbers[name] = self.numbers.get(name, 10) + 1
        return {"_id": name}


def as_told(name, policy):
    """A policy with what the plugin adds to it."""
    told = copy.deepcopy(policy) | {"policy_id": name, "last_updated_time": 1770000000000, "schema_version": 23}
    told |= {"error_notification": None, "user": {"name": "admin", "roles": ["all_access"]}}
    for state in told["states"]:
        for action in state["actions"]:
            action["retry"] = {"count": 3, "backoff": "exponential", "delay": "1m"}
            if "rollover" in action:
                action["rollover"]["copy_alias"] = False
    for template in told["ism_template"]:
        template["last_updated_time"] = 1770000000000
    return told


def test_every_stream_is_in_exactly_one_policy():
    patterns = [glob for body in bodies().values() for glob in body["policy"]["ism_template"][0]["index_patterns"]]
    assert sorted(patterns) == sorted(
        f"logs-fieldtrail.{stream}-*" for stream in mappings.component_templates().streams
    )


def test_control_leaves_and_checkpoints_are_never_deleted():
    seal = bodies()[SEAL]["policy"]
    assert seal["ism_template"][0]["index_patterns"] == ["logs-fieldtrail.log-*", "logs-fieldtrail.checkpoint-*"]
    assert set(states(bodies()[SEAL])) == {"hot", "warm", "kept"}
    assert not any("delete" in action for state in seal["states"] for action in state["actions"])
    assert not any(one["state_name"] == "delete" for state in seal["states"] for one in state["transitions"])


@pytest.mark.parametrize("days", [1, 7, 30, 31, 550, 3650])
def test_every_way_into_deletion_waits_the_whole_retention_after_the_rollover(days):
    found = states(bodies(days)[EVENTS])
    ways = [one for state in found.values() for one in state["transitions"] if one["state_name"] == "delete"]
    assert len(ways) == 2
    assert all(one["conditions"] == {"min_rollover_age": f"{days}d"} for one in ways)
    assert [name for name, state in found.items() if {"delete": {}} in state["actions"]] == ["delete"]
    assert found["hot"]["transitions"][0]["state_name"] == "delete", "the first that is due counts"


@pytest.mark.parametrize(("days", "age"), [(1, "1d"), (7, "7d"), (30, "30d"), (550, "30d")])
def test_what_is_kept_for_a_week_does_not_wait_a_month_for_its_rollover(days, age):
    (action,) = states(bodies(days)[EVENTS])["hot"]["actions"]
    assert action["rollover"] == {"min_primary_shard_size": "30gb", "min_index_age": age}


def test_an_index_is_closed_to_writes_only_after_its_rollover():
    for body in bodies().values():
        (onward,) = [one for one in states(body)["hot"]["transitions"] if one["state_name"] == "warm"]
        assert onward["conditions"] == {"min_rollover_age": "30d"}
        assert {"read_only": {}} in states(body)["warm"]["actions"]


def test_each_transition_has_the_one_condition_that_is_allowed():
    for body in bodies().values():
        for state in body["policy"]["states"]:
            for one in state["transitions"]:
                assert len(one["conditions"]) == 1 and one["state_name"] in states(body)


def test_a_namespace_has_policies_of_its_own_that_win():
    general, special = bodies()[EVENTS]["policy"], bodies(namespace="prod")["fieldtrail-events-prod"]["policy"]
    assert special["ism_template"][0]["index_patterns"][0] == "logs-fieldtrail.change-prod"
    assert special["ism_template"][0]["priority"] > general["ism_template"][0]["priority"]


@pytest.mark.parametrize("days", [-1, 36_501])
def test_a_retention_that_is_no_number_of_days_is_refused(days):
    with pytest.raises(UsageError, match="not a number of days") as caught:
        policy_parts(days)
    assert caught.value.hint == "a whole number of days from 1 to 36500, or 0 to delete nothing"


def test_installed_twice_nothing_changes_whatever_the_server_adds():
    server = Ism()
    assert [step.result for step in install(server, policy_parts(550))] == ["installed", "installed"]
    assert list(install(server, policy_parts(550))) == [
        Step("retention policy", EVENTS, "unchanged"),
        Step("retention policy", SEAL, "unchanged"),
    ]


def test_another_retention_is_an_update_that_says_what_changes():
    server = Ism()
    list(install(server, policy_parts(550)))
    events, seal = install(server, policy_parts(400))
    assert seal.result == "unchanged"
    assert events.result == "updated"
    assert "states[0].transitions[0].conditions.min_rollover_age: 550d -> 400d" in events.difference
    assert stored_days(server) == 400


def test_a_policy_of_a_newer_program_is_left_alone():
    server = Ism()
    list(install(server, policy_parts(550)))
    policy = server.policies[EVENTS]
    policy["description"] = policy["description"].replace("(version 1)", "(version 9)")
    assert [step.result for step in install(server, policy_parts(400))] == ["newer", "unchanged"]


def test_retries_that_somebody_set_are_a_difference():
    server = Ism()
    list(install(server, policy_parts(550)))
    server.policies[EVENTS]["states"][0]["actions"][0]["retry"]["count"] = 9
    assert next(iter(install(server, policy_parts(550), dry_run=True))).difference == (
        "states[0].actions[0].retry: removed",
    )


def test_the_stored_retention_is_known_only_where_it_is_told_as_we_tell_it():
    server = Ism()
    assert stored_days(server) is None
    list(install(server, policy_parts(123)))
    assert stored_days(server) == 123
    assert stored_days(server, "prod") is None
    server.policies[EVENTS]["states"][1]["transitions"][0]["conditions"] = {"min_index_age": "5d"}
    assert stored_days(server) == "other"
    list(install(server, policy_parts(0)))
    assert stored_days(server) == 0


def test_for_ever_means_that_no_policy_deletes():
    for body in bodies(0).values():
        assert set(states(body)) == {"hot", "warm", "kept"} and "deleted" not in body["policy"]["description"]
    assert states(bodies(0)[EVENTS])["hot"]["actions"][0]["rollover"]["min_index_age"] == "30d"


def test_the_version_is_read_from_the_end_of_the_description():
    assert KIND.version(bodies()[EVENTS]) == mappings.retention_policies().version
    assert KIND.version({"policy": {"description": "ours"}}) is None
    assert KIND.version({"policy": {}}) is None


POLICY = "index.plugins.index_state_management.policy_id"


def managed(policy, body=None):
    """What `explain` says of an index under a policy; `body`: the policy as the index follows it, once it has begun."""
    state = {POLICY: policy, "policy_id": policy, "enabled": True}
    return state if body is None else state | {"policy_seq_no": -2, "policy_primary_term": 0, "policy": body}


def test_indices_from_before_the_policies_are_attached_and_others_left_as_they_are():
    server = Ism(
        {
            ".ds-logs-fieldtrail.change-a-000001": {POLICY: None},
            ".ds-logs-fieldtrail.change-a-000002": managed(EVENTS, as_told(EVENTS, bodies()[EVENTS]["policy"])),
            ".ds-logs-fieldtrail.activity-a-000001": managed("house-rules", {"description": "ours"}),
            ".ds-logs-fieldtrail.health-a-000001": managed(EVENTS),
            ".ds-logs-fieldtrail.log-a-000001": {POLICY: None},
            ".ds-logs-other-a-000001": {POLICY: None},
        }
    )
    list(install(server, policy_parts(550)))
    steps = list(attach(server, bodies()))
    assert server.posted == [
        ("add", ".ds-logs-fieldtrail.change-a-000001", EVENTS),
        ("add", ".ds-logs-fieldtrail.log-a-000001", SEAL),
    ]
    assert steps[0] == Step("index", ".ds-logs-fieldtrail.change-a-000001", "attached", (f"policy: none -> {EVENTS}",))


def test_indices_with_an_older_version_of_the_policy_get_the_newest():
    followed = as_told(EVENTS, bodies()[EVENTS]["policy"])
    server = Ism({".ds-logs-fieldtrail.change-a-000001": managed(EVENTS, followed)})
    list(install(server, policy_parts(550)))
    assert list(attach(server, bodies())) == []
    list(install(server, policy_parts(400)))
    (step,) = attach(server, bodies(400))
    assert server.posted == [("change_policy", ".ds-logs-fieldtrail.change-a-000001", EVENTS)]
    assert step.result == ASKED
    assert "states[1].transitions[0].conditions.min_rollover_age: 550d -> 400d" in step.difference


def test_a_dry_run_attaches_nothing_and_needs_no_policy_to_be_there_to_say_what_it_would():
    server = Ism({".ds-logs-fieldtrail.change-a-000001": {POLICY: None}})
    assert [step.result for step in attach(server, bodies(), dry_run=True)] == ["attached"]
    list(install(server, policy_parts(550)))
    assert [step.result for step in attach(server, bodies(), dry_run=True)] == ["attached"]
    assert server.posted == []


def test_a_dry_run_says_which_indices_would_follow_the_policy_that_it_would_install():
    followed = as_told(EVENTS, bodies()[EVENTS]["policy"])
    server = Ism({".ds-logs-fieldtrail.change-a-000001": managed(EVENTS, followed)})
    list(install(server, policy_parts(550)))
    assert [step.result for step in attach(server, bodies(30), dry_run=True)] == [ASKED]
    policy = server.policies[EVENTS]
    policy["description"] = policy["description"].replace("(version 1)", "(version 9)")
    (step,) = attach(server, bodies(30), dry_run=True)
    assert [line.partition(":")[0] for line in step.difference] == ["description"], "a newer policy is left as it is"


@pytest.mark.parametrize("days", [0, 550])
def test_no_index_is_ever_done_with_its_policy_and_so_deaf_to_a_newer_one(days):
    for body in bodies(days).values():
        found = states(body)
        (last,) = [name for name, state in found.items() if not state["transitions"]]
        assert last == "delete" or {
            one["conditions"]["min_rollover_age"]
            for state in found.values()
            for one in state["transitions"]
            if one["state_name"] == last
        } == {"36500d"}


def test_an_index_of_a_namespace_goes_from_the_general_policy_to_its_own():
    name = ".ds-logs-fieldtrail.change-acme-000001"
    server = Ism({name: managed(EVENTS, as_told(EVENTS, bodies()[EVENTS]["policy"]))})
    list(install(server, policy_parts(550, "acme")))
    own = f"{EVENTS}-acme"
    assert list(attach(server, bodies(550, "acme"), "acme")) == [
        Step("index", name, ASKED, (f"policy: {EVENTS} -> {own}",))
    ]
    assert server.posted == [("change_policy", name, own)]


def test_the_general_policy_takes_no_index_from_that_of_a_namespace():
    server = Ism({".ds-logs-fieldtrail.change-acme-000001": managed(f"{EVENTS}-acme")})
    list(install(server, policy_parts(550)))
    assert list(attach(server, bodies())) == []


@pytest.mark.parametrize("namespace", [None, "a"])
def test_an_index_that_was_rolled_over_long_ago_gets_no_shorter_policy_either(namespace):
    first, second = (f".ds-logs-fieldtrail.change-a-00000{n}" for n in (1, 2))
    for_ever = as_told(EVENTS, bodies(0)[EVENTS]["policy"])
    server = Ism({first: managed(EVENTS, for_ever), second: managed(EVENTS, for_ever)})
    server.made = {first: 100.0, second: 200.0}
    list(install(server, policy_parts(550, namespace)))
    found = {step.name: step.result for step in attach(server, bodies(550, namespace), namespace, spare_before=201.0)}
    assert found[first].startswith("left out: rolled over so long ago") and found[second] == ASKED
    assert [name for _, name, _ in server.posted] == [second]


def test_an_index_whose_age_the_server_does_not_tell_is_spared():
    first, second = (f".ds-logs-fieldtrail.change-a-00000{n}" for n in (1, 2))
    server = Ism({first: {POLICY: None}, second: {POLICY: None}})
    list(install(server, policy_parts(550)))
    found = {step.name: step.result for step in attach(server, bodies(), spare_before=201.0)}
    assert found[first].startswith("left out") and found[second] == "attached"


def test_an_index_that_found_its_policy_in_between_is_attached_after_all():
    name = ".ds-logs-fieldtrail.change-a-000001"
    server = Ism({name: {POLICY: None}})
    list(install(server, policy_parts(550)))
    server.failing = "This index already has a policy"
    ask = server.ask

    def meanwhile(op, method, path, **more):
        answer = ask(op, method, path, **more)
        if "/add/" in path:
            server.indices[name] = managed(EVENTS)
        return answer

    server.ask = meanwhile
    assert [step.result for step in attach(server, bodies())] == ["attached"]


@pytest.mark.parametrize("days", [0, 123])
@pytest.mark.parametrize("description", ["as it was", "ours"])
def test_a_policy_of_this_version_that_was_changed_anywhere_is_somebody_elses(days, description):
    server = Ism()
    list(install(server, policy_parts(days)))
    policy = server.policies[EVENTS]
    if description == "ours":
        policy["description"] = "ours"
    else:
        policy["states"][-1]["actions"].insert(0, {"snapshot": {"repository": "vault", "snapshot": "last"}})
    assert stored_days(server) == "other"
    policy["description"] = "from before (version 0)"
    assert stored_days(server) == days, "an older version is not a change by hand"


@pytest.mark.parametrize("age", ["0d", "36501d", "12h"])
def test_an_age_that_is_none_of_ours_is_not_taken_for_a_number_of_days(age):
    server = Ism()
    list(install(server, policy_parts(123)))
    server.policies[EVENTS]["description"] = "from before (version 0)"
    for state in server.policies[EVENTS]["states"]:
        for one in state["transitions"]:
            one["conditions"] = {"min_rollover_age": age}
    assert stored_days(server) == "other"


def test_an_index_that_the_server_does_not_attach_is_told_with_its_reason():
    server = Ism({".ds-logs-fieldtrail.change-a-000001": {POLICY: None}})
    list(install(server, policy_parts(550)))
    server.failing = "This index is closed"
    assert [step.result for step in attach(server, bodies())] == ["left out: This index is closed"]


def test_many_indices_are_asked_about_in_several_requests():
    server = Ism({f".ds-logs-fieldtrail.change-a-{n:06d}": {POLICY: None} for n in range(1, 46)})
    list(install(server, policy_parts(550)))
    assert len(list(attach(server, bodies()))) == 45
