"""Roles: what each may do, held against the requests that the program really makes."""

import re
from fnmatch import fnmatchcase

import orjson
import pytest

from shipper.errors import UsageError
from shipper.outputs._bulk import Answer
from shipper.outputs._opensearch_client import Client
from shipper.outputs._opensearch_reader import OpenSearchSource, pull_documents, search_events, trace_events
from shipper.outputs._opensearch_sender import Sender
from shipper.siem.channels import channel_of
from shipper.siem.install import install
from shipper.siem.monitors import alerting_parts
from shipper.siem.policies import policy_parts
from shipper.siem.roles import RoleKind, RoleMappingKind, role_parts, roles
from shipper.siem.setup import Wanted, set_up
from shipper.templates import templates
from tests.shipped import batch, document

ROLES = roles()
API = "/_plugins/_security/api"
STREAM = "logs-fieldtrail.change-default"
EXISTS = "version_conflict_engine_exception"

# (method, path) -> what the server checks for it: (level, action). Names: OpenSearch's documentation, "Permissions",
# and the sources of its transport actions. The bracketed ones are what a request does on a shard.
CALLS = [
    ("GET", "/", [("cluster", "cluster:monitor/main")]),
    ("GET", "/_index_template.*", [("cluster", "indices:admin/index_template/get")]),
    ("PUT", "/_index_template/.*", [("cluster", "indices:admin/index_template/put")]),
    ("GET", "/_component_template/.*", [("cluster", "cluster:admin/component_template/get")]),
    ("PUT", "/_component_template/.*", [("cluster", "cluster:admin/component_template/put")]),
    ("GET", "/_cat/plugins", [("cluster", "cluster:monitor/state"), ("cluster", "cluster:monitor/nodes/info")]),
    ("GET", "/_resolve/index/.*", [("index", "indices:admin/resolve/index")]),
    ("POST", "/[^_/][^/]*/_refresh", [("index", "indices:admin/refresh"), ("index", "indices:admin/refresh[s]")]),
    (
        "POST",
        "/_bulk",
        [
            ("cluster", "indices:data/write/bulk"),
            ("index", "indices:data/write/bulk[s]"),
            ("index", "indices:data/write/index"),
            ("index", "indices:admin/create"),  # in place of indices:admin/auto_create
        ],
    ),
    (
        "POST",
        "/_mget",
        [
            ("cluster", "indices:data/read/mget"),
            ("index", "indices:data/read/mget[shard]"),
            ("index", "indices:data/read/get"),
        ],
    ),
    ("POST", "(/[^/]+)?/_search", [("index", "indices:data/read/search")]),
    ("GET", "/[^/]+/_count", [("index", "indices:data/read/search")]),
    ("POST", "/[^/]+/_search/point_in_time", [("index", "indices:data/read/point_in_time/create")]),
    ("DELETE", "/_search/point_in_time", [("index", "indices:data/read/point_in_time/delete")]),
    ("GET", "/[^/]+/_settings.*", [("index", "indices:monitor/settings/get")]),
    ("GET", "/[^/]+/_mapping", [("index", "indices:admin/mappings/get")]),
    ("GET", "/[^/]+/_alias", [("index", "indices:admin/aliases/get")]),
    ("GET", "/_data_stream/.*", [("index", "indices:admin/data_stream/get")]),
    ("PUT", "/_data_stream/.*", [("index", "indices:admin/data_stream/create")]),
    ("POST", "/[^/]+/_rollover", [("index", "indices:admin/rollover")]),
    ("GET", "/_plugins/_ism/policies/.*", [("cluster", "cluster:admin/opendistro/ism/policy/get")]),
    ("PUT", "/_plugins/_ism/policies/.*", [("cluster", "cluster:admin/opendistro/ism/policy/write")]),
    (
        "GET",
        "/_plugins/_ism/explain/.*",
        [
            ("cluster", "cluster:admin/opendistro/ism/managedindex/explain"),
            ("index", "indices:admin/opensearch/ism/managedindex"),
        ],
    ),
    (
        "POST",
        "/_plugins/_ism/add/.*",
        [
            ("cluster", "cluster:admin/opendistro/ism/managedindex/add"),
            ("index", "indices:admin/opensearch/ism/managedindex"),
        ],
    ),
    (
        "POST",
        "/_plugins/_ism/change_policy/.*",
        [
            ("cluster", "cluster:admin/opendistro/ism/managedindex/change"),
            ("index", "indices:admin/opensearch/ism/managedindex"),
        ],
    ),
    ("POST", "/_plugins/_alerting/monitors/_search", [("cluster", "cluster:admin/opendistro/alerting/monitor/search")]),
    ("GET", "/_plugins/_alerting/monitors/.*", [("cluster", "cluster:admin/opendistro/alerting/monitor/get")]),
    ("POST", "/_plugins/_alerting/monitors", [("cluster", "cluster:admin/opendistro/alerting/monitor/write")]),
    ("PUT", "/_plugins/_alerting/monitors/.*", [("cluster", "cluster:admin/opendistro/alerting/monitor/write")]),
    ("GET", "/_plugins/_notifications/configs/.*", [("cluster", "cluster:admin/opensearch/notifications/configs/get")]),
    (
        "POST",
        "/_plugins/_notifications/configs",
        [("cluster", "cluster:admin/opensearch/notifications/configs/create")],
    ),
    (
        "PUT",
        "/_plugins/_notifications/configs/.*",
        [("cluster", "cluster:admin/opensearch/notifications/configs/update")],
    ),
]

# What a role holds for others than this program, or for what the server does in its name.
FOR_OTHERS = {
    "fieldtrail_writer": set(),
    "fieldtrail_verifier": {"indices:admin/resolve/index"},
    # Dashboards
    "fieldtrail_reader": {
        "cluster:monitor/main",
        "indices:data/read/mget",
        "indices:data/read/msearch",
        "indices:admin/mappings/fields/get*",
        "indices:admin/resolve/index",
        "indices:data/read/field_caps*",
        "indices:data/read/get",
        "indices:data/read/mget*",
        "indices:data/read/msearch*",
    },
    # Monitors and retention work with the rights of who installed them; `validate --connect` asks for the version.
    "fieldtrail_setup": {
        "cluster:monitor/main",
        "cluster:admin/opensearch/notifications/feature/publish",
        "indices:data/read/search*",
        "indices:admin/rollover",
        "indices:admin/settings/update",
        "indices:admin/delete",
        "indices:monitor/stats",
    },
}


class Recorder(Client):
    """A client that notes what it is asked and answers as a server would; `routes`: (method, path) -> body."""

    def __init__(self, routes):
        super().__init__(["http://127.0.0.1:9200"])
        self.routes, self.calls = routes, []

    def request(self, method, path, *, body=None, headers=None, params=None, timeout=None):
        self.calls.append((method, path))
        for (wanted, pattern), made in self.routes.items():
            if wanted == method and re.fullmatch(pattern, path):
                answer = made(body) if callable(made) else made
                return Answer(404, {}, b"{}") if answer is None else Answer(200, {}, orjson.dumps(answer))
        return Answer(200, {}, b"{}")


def _installed():
    made = templates()["index_templates"].items()
    return {"index_templates": [{"name": name, "index_template": body} for name, body in made]}


HITS = {"_shards": {"failed": 0}, "timed_out": False, "hits": {"hits": []}}
COUNTED = {**HITS, "aggregations": {"per_index": {"buckets": []}}}
SERVER = {
    ("GET", "/"): {"version": {"distribution": "opensearch", "number": "3.8.0"}},
    ("GET", "/_index_template"): _installed(),
    ("POST", ".*/_search/point_in_time"): {"pit_id": "p"},
    ("GET", ".*/_settings/index.uuid"): {f".ds-{STREAM}-000001": {}},
    ("GET", ".*/_settings"): {},
    ("GET", ".*/_count"): {"count": 0},
    ("POST", "(/.*)?/_search"): lambda body: COUNTED if body and b"per_index" in body else HITS,
    ("GET", "/_cat/plugins"): [
        {"component": f"opensearch-{name}"} for name in ("alerting", "notifications", "index-management", "security")
    ],
}


def _writes():
    sent = document(0)
    taken = {"items": [{"create": {"status": 409, "_index": f".ds-{STREAM}-000001", "error": {"type": EXISTS}}}]}
    found = {"docs": [{"found": True, "_source": orjson.loads(sent.data)}]}
    client = Recorder({**SERVER, ("POST", "/_bulk"): {"errors": True, **taken}, ("POST", "/_mget"): found})
    sender = Sender(client, batch_bytes=1_000_000, compress=False)
    sender.highest("9f2c61d0aa01b3e7", "default")
    receipt = sender.deliver(batch(0, sent))
    assert receipt.delivered == 1
    assert receipt.error == ""
    sender.close()
    client.close()
    return client.calls


def _reads():
    client = Recorder(SERVER)
    list(search_events(client, "a:b", now=0.0))
    list(trace_events(client, None, "offer", "55"))
    list(pull_documents(client, now=0.0))
    client.close()
    # An account that may not refresh reads all the same: the answer is not looked at.
    return [call for call in client.calls if not call[1].endswith("/_refresh")]


def _verifies():
    client = Recorder(SERVER)
    source = OpenSearchSource(client)
    list(source.control())
    list(source.events())
    source.close()
    return client.calls


def _sets_up():
    index = f".ds-{STREAM}-000001"
    indices = [{"index_name": index}, {"index_name": f".ds-{STREAM}-000002"}]
    old = {
        ("GET", "/_data_stream/.*"): {"data_streams": [{"name": STREAM, "indices": indices}]},
        ("GET", "/_plugins/_ism/explain/.*"): {index: {}},
        ("POST", "/_plugins/_alerting/monitors/_search"): None,
    }
    states = policy_parts(550)[0].bodies["fieldtrail-events"]["policy"]["states"]
    policy = {"policy": {"states": states}, "_seq_no": 1, "_primary_term": 1}
    ours = ("GET", "/_plugins/_ism/policies/.*"), ("GET", "/_plugins/_notifications/configs/.*")
    calls = []
    there = {ours[0]: policy, ours[1]: {"config_list": [{"config": {"config_type": "slack"}}]}}
    for found in ({ours[0]: policy, ours[1]: None}, there):
        templated = {("GET", "/_(index|component)_template/.*"): None}
        client = Recorder({**old, **found, **templated, **SERVER})
        channel = channel_of("webhook=https://hooks.example/x")
        for days in (400, None):
            wanted = Wanted(days=days, rollover=True, monitors=True, channel=channel)
            list(set_up(client, wanted, now=1.0e9))
        client.close()
        calls += client.calls
    return [*calls, ("POST", f"/_plugins/_ism/change_policy/{index}"), *_updates_a_monitor()]


def _updates_a_monitor():
    """The plugin has all of them, each with another severity."""
    bodies = {}
    for part in alerting_parts(Recorder(SERVER), None):
        bodies |= part.bodies

    def search(body):
        name = orjson.loads(body)["query"]["term"]["monitor.name.keyword"]
        return {"hits": {"hits": [{"_id": name, "_source": {**bodies[name], "monitor_type": "other"}}]}}

    ours = {"name": "x", "triggers": [], "inputs": [], "ui_metadata": {"fieldtrail": {"version": 0}}}
    one = {"_id": "x", "_seq_no": 1, "_primary_term": 1, "monitor": ours}
    routes = {
        ("POST", "/_plugins/_alerting/monitors/_search"): search,
        ("GET", "/_plugins/_alerting/monitors/.*"): one,
        ("GET", "/_plugins/_notifications/configs/.*"): None,
    }
    client = Recorder({**routes, **SERVER})
    list(install(client, alerting_parts(client, None)))
    client.close()
    return client.calls


WORK = {
    "fieldtrail_writer": _writes,
    "fieldtrail_reader": _reads,
    "fieldtrail_verifier": _verifies,
    "fieldtrail_setup": _sets_up,
}


def needed(calls):
    """The (level, action)s of recorded requests; every request must be in the table."""
    out = set()
    for method, path in calls:
        rights = [rights for verb, pattern, rights in CALLS if verb == method and re.fullmatch(pattern, path)]
        assert rights, f"{method} {path} is not in the table of calls"
        out.update(rights[0])
    return out


def granted(role):
    """(level, pattern) of everything a role allows."""
    body = ROLES[role]
    indices = {("index", action) for entry in body["index_permissions"] for action in entry["allowed_actions"]}
    return {("cluster", action) for action in body["cluster_permissions"]} | indices


def allows(role, level, action):
    # fnmatch reads brackets, which actions have and the plugin's patterns do not.
    plain = action.replace("[", "(").replace("]", ")")
    return any(where == level and fnmatchcase(plain, pattern) for where, pattern in granted(role))


@pytest.mark.parametrize("role", WORK)
def test_a_role_allows_every_request_that_its_work_makes(role):
    calls = WORK[role]()
    assert {(level, action) for level, action in needed(calls) if not allows(role, level, action)} == set()


@pytest.mark.parametrize("role", WORK)
def test_a_role_holds_no_right_that_nothing_needs(role):
    rights = needed(WORK[role]())
    plain = {(level, action.replace("[", "(").replace("]", ")")) for level, action in rights}
    unused = {
        pattern
        for level, pattern in granted(role)
        if not any(where == level and fnmatchcase(action, pattern) for where, action in plain)
    }
    assert unused - FOR_OTHERS[role] == set()


CHANGES = [
    "indices:data/write/update",
    "indices:data/write/delete",
    "indices:data/write/update/byquery",
    "indices:data/write/delete/byquery",
    "indices:data/write/reindex",
    "indices:admin/mapping/put",
    "indices:admin/mapping/auto_put",
    "indices:admin/settings/update",
    "indices:admin/aliases",
    "indices:admin/delete",
    "indices:admin/close",
    "indices:admin/data_stream/create",
    "indices:admin/data_stream/delete",
    "indices:admin/rollover",
    "cluster:admin/settings/update",
    "cluster:admin/component_template/put",
    "indices:admin/index_template/put",
    "cluster:admin/ingest/pipeline/put",
    "restapi:admin/roles",
]


@pytest.mark.parametrize("action", CHANGES)
@pytest.mark.parametrize("role", ["fieldtrail_writer", "fieldtrail_reader", "fieldtrail_verifier"])
def test_only_setup_may_change_anything(role, action):
    assert not allows(role, "index", action)
    assert not allows(role, "cluster", action)


@pytest.mark.parametrize("role", ["fieldtrail_reader", "fieldtrail_verifier", "fieldtrail_setup"])
@pytest.mark.parametrize("action", ["indices:data/write/bulk", "indices:data/write/index", "indices:admin/create"])
def test_only_the_writer_may_write(role, action):
    assert not allows(role, "index", action)
    assert not allows(role, "cluster", action)


def _indices(role, action):
    return {
        pattern
        for entry in ROLES[role]["index_permissions"]
        if any(fnmatchcase(action, one) for one in entry["allowed_actions"])
        for pattern in entry["index_patterns"]
    }


def test_the_writer_creates_nothing_but_data_streams_of_ours():
    made = [pattern for body in templates()["index_templates"].values() for pattern in body["index_patterns"]]
    assert sorted(_indices("fieldtrail_writer", "indices:admin/create")) == sorted(made)


def test_setup_sees_no_change_and_no_activity_and_deletes_no_sealed_log():
    seen = _indices("fieldtrail_setup", "indices:data/read/search")
    gone = _indices("fieldtrail_setup", "indices:admin/delete")
    for stream, read, deleted in (
        ("change", False, True),
        ("activity", False, True),
        ("alert", True, True),
        ("health", True, True),
        ("log", True, False),
        ("checkpoint", True, False),
    ):
        backing = f".ds-logs-fieldtrail.{stream}-default-000001"
        assert any(fnmatchcase(backing, pattern) for pattern in seen) is read
        assert any(fnmatchcase(backing, pattern) for pattern in gone) is deleted


@pytest.mark.parametrize("role", ROLES)
def test_no_role_masks_or_reaches_beyond_our_indices(role):
    for entry in ROLES[role]["index_permissions"]:
        assert (entry["dls"], entry["fls"], entry["masked_fields"]) == ("", [], [])
        for pattern in entry["index_patterns"]:
            assert pattern.startswith(("logs-fieldtrail.", ".ds-logs-fieldtrail."))
    assert not any(action in {"*", "unlimited"} or action.endswith(":*") for _, action in granted(role))


# -- on a server -------------------------------------------------------------------------------------------------------


class Security:
    """The plugin's interface over a dictionary: it adds marks, and gives absent filters as null."""

    place = "https://127.0.0.1:9200"

    def __init__(self, plugins=("opensearch-security",)):
        self.plugins, self.stored, self.writes = plugins, {}, []

    def ask(self, op, method, path, *, body=None, params=None, absent=False):
        if path == "/_cat/plugins":
            return [{"component": name} for name in self.plugins]
        name = path.rpartition("/")[2]
        if method == "GET":
            return {name: self.stored[path]} if path in self.stored else None
        self.writes.append(path)
        kept = {**body, "reserved": False, "hidden": False, "static": False}
        for entry in kept.get("index_permissions", ()):
            entry["dls"] = entry["dls"] or None
        self.stored[path] = kept
        return {"status": "CREATED"}


def told(server, *grants, **options):
    return [(step.kind, step.name, step.result) for step in install(server, role_parts(grants), **options)]


def test_installed_twice_nothing_changes_the_second_time():
    server = Security()
    first = told(server, "writer=ft", "fieldtrail_verifier=auditor")
    assert {result for _, _, result in first} == {"installed"}
    assert [(kind, name) for kind, name, _ in first][-2:] == [
        ("role mapping", "fieldtrail_writer"),
        ("role mapping", "fieldtrail_verifier"),
    ]
    assert {result for _, _, result in told(server, "writer=ft", "verifier=auditor")} == {"unchanged"}
    assert len(server.writes) == 6


def test_a_filter_that_somebody_put_into_a_role_is_taken_out_again():
    server = Security()
    told(server)
    path = f"{API}/roles/fieldtrail_verifier"
    server.stored[path]["index_permissions"][0]["masked_fields"] = ["trail.change.new"]
    steps = [step for step in install(server, role_parts()) if step.result == "updated"]
    assert [step.name for step in steps] == ["fieldtrail_verifier"]
    assert "masked_fields" in steps[0].difference[0]
    assert server.stored[path]["index_permissions"][0]["masked_fields"] == []


def test_who_has_a_role_already_keeps_it():
    server = Security()
    path = f"{API}/rolesmapping/fieldtrail_writer"
    server.stored[path] = {
        "users": ["old"],
        "backend_roles": ["agents"],
        "hosts": [],
        "and_backend_roles": [],
        "description": None,
        "reserved": False,
        "hidden": False,
    }
    assert told(server, "writer=new")[-1] == ("role mapping", "fieldtrail_writer", "updated")
    kept = server.stored[path]
    assert kept["users"] == ["old", "new"]
    assert kept["backend_roles"] == ["agents"]
    assert told(server, "writer=old")[-1][2] == "unchanged"


def test_a_user_with_two_roles_makes_no_difference_in_either():
    server = Security()
    told(server, "reader=kim", "verifier=kim", "reader=lee")
    assert {result for _, _, result in told(server, "reader=kim", "reader=lee", "verifier=kim")} == {"unchanged"}


@pytest.mark.parametrize("grant", ["writer", "writer=", "admin=kim", "=kim", "writer= "])
def test_a_grant_of_no_role_or_to_nobody_is_refused(grant):
    with pytest.raises(UsageError, match="not ROLE=USER"):
        role_parts([grant])


def test_without_the_plugin_roles_are_left_out():
    server = Security(plugins=())
    assert {result for _, _, result in told(server, "writer=ft")} == {
        "left out: the server has no plugin opensearch-security"
    }
    assert server.writes == []


def test_a_role_of_a_newer_version_is_left_alone():
    server = Security()
    told(server)
    stored = server.stored[f"{API}/roles/fieldtrail_reader"]
    stored["description"] = stored["description"].replace("version 1)", "version 2)")
    assert ("role", "fieldtrail_reader", "newer") in told(server)


def test_versions_stand_in_descriptions_and_mappings_have_none():
    assert {RoleKind().version(body) for body in ROLES.values()} == {1}
    assert RoleKind().version({"description": "made by hand"}) is None
    assert RoleMappingKind(frozenset()).version({}) is None
