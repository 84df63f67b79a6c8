"""Our roles under the real security plugin: what each may do, what none may, and agents and auditors that work with it.

The plugins for retention, alerting and notifications are not published where these tests could fetch them.
"""

import itertools
import json
import secrets
import uuid
from types import SimpleNamespace

import pytest

from shipper.siem.roles import roles
from tests.e2e.agent_process import Place, eventually, inside, lines

pytestmark = pytest.mark.slow

WRITER, READER, VERIFIER, INSTALLER = "ft-agent", "ft-analyst", "ft-auditor", "ft-setup"
GRANTS = {WRITER: "writer", READER: "reader", VERIFIER: "verifier", INSTALLER: "setup"}
TIME = "2026-02-03T10:30:00.000Z"
FORGED = {"@timestamp": TIME, "event": {"action": "forged"}}
IMMUTABLE = "immutable"
"""A namespace whose indices the server is told to hold immutable (`secure_opensearch`)."""


class Accounts:
    """Users of the secure server, each with a password by chance, and commands that are run as one of them."""

    def __init__(self, running, folder):
        self.server, self.folder = running, folder
        self.passwords = {"admin": running.password}
        self._write("admin")
        for name in (*GRANTS, "ft-nobody"):
            self.passwords[name] = secrets.token_urlsafe(20)
            self._write(name)
            status, told = running.call(
                "PUT", f"/_plugins/_security/api/internalusers/{name}", {"password": self.passwords[name]}
            )
            assert status in {200, 201}, told

    def _write(self, name):
        self.file(name).write_text(self.passwords[name] + "\n", encoding="utf-8")

    def file(self, name):
        return self.folder / f"{name}.password"

    def call(self, name, method, path, body=None):
        return self.server.call(method, path, body, user=name, password=self.passwords[name])

    def options(self, name):
        options = ["--opensearch", self.server.url, "--ca", self.server.ca]
        return [*options, "--user", name, "--password-file", self.file(name)]

    def cli(self, name, command, *words):
        return inside(command, *self.options(name), *words)

    def verify(self, place, *words, name=VERIFIER):
        """`verify` of what this agent has brought there, on a machine that has nothing of it but its public keys."""
        trust = place.root / "trust.json"
        trust.write_text(place.cli("keys", "trust").out, encoding="utf-8")
        return self.cli(name, "verify", "--trust", trust, *words)

    def output(self, name=WRITER, **more):
        """The section of an output that signs in as this user."""
        return {
            "id": "siem",
            "type": "opensearch",
            "hosts": [self.server.url],
            "auth": {"basic": {"username": name, "password_file": str(self.file(name))}},
            "tls": {"ca": str(self.server.ca)},
            **more,
        }


@pytest.fixture(scope="module")
def accounts(secure_opensearch, tmp_path_factory):
    """The users; `setup` has given each its role."""
    made = Accounts(secure_opensearch, tmp_path_factory.mktemp("accounts"))
    grants = itertools.chain.from_iterable(("--grant", f"{role}={user}") for user, role in GRANTS.items())
    done = made.cli("admin", "setup", "--security", *grants)
    assert done.code == 0, done
    return made


@pytest.fixture
def namespace(accounts):
    """A namespace of the test's own; its data streams are removed afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield name
    accounts.call("admin", "DELETE", f"/_data_stream/logs-fieldtrail.*-{name}")


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    for agent in made.running:
        if agent.process.poll() is None:
            agent.kill()


@pytest.fixture
def shipped(accounts, place, namespace):
    """Twenty changes that an agent with the writer's role has brought there, and the options that name them."""
    place.write(agent={"namespace": namespace}, outputs=[accounts.output()])
    place.append(lines(0, 20))
    done = place.once()
    assert done.code == 0, done
    assert accounts.call(WRITER, "POST", f"/logs-fieldtrail.*-{namespace}/_refresh")[0] == 200
    return SimpleNamespace(place=place, index=["--index", f"logs-fieldtrail.*-{namespace}"])


def stream(namespace, name="change"):
    return f"logs-fieldtrail.{name}-{namespace}"


def seeded(accounts, namespace):
    """A document that the agent's user wrote, in the change stream of the namespace."""
    path = f"/{stream(namespace)}/_create/one?refresh=true"
    status, told = accounts.call(WRITER, "PUT", path, {"@timestamp": TIME, "event": {"action": "field.update"}})
    assert status == 201, told
    return accounts.call("admin", "GET", f"/_data_stream/{stream(namespace)}")[1]["data_streams"][0]["indices"][0][
        "index_name"
    ]


# -- setup -------------------------------------------------------------------------------------------------------------


def test_the_plugin_is_the_one_that_setup_asks_for(accounts):
    status, told = accounts.call(INSTALLER, "GET", "/_cat/plugins?format=json")
    assert status == 200 and [one["component"] for one in told] == ["opensearch-security"]


def test_setup_a_second_time_changes_no_role_and_no_grant(accounts):
    before = accounts.call("admin", "GET", "/_plugins/_security/api/rolesmapping")
    grants = itertools.chain.from_iterable(("--grant", f"{role}={user}") for user, role in GRANTS.items())
    done = accounts.cli("admin", "setup", "--security", "--json", *grants)
    assert done.code == 0, done
    results = {(step["kind"], step["name"]): step["result"] for step in done.json}
    assert {one for kind, one in results if kind == "role"} == set(roles())
    assert {result for (kind, _), result in results.items() if kind != "retention policy"} == {"unchanged"}
    assert accounts.call("admin", "GET", "/_plugins/_security/api/rolesmapping") == before


def test_setup_makes_no_user_and_gives_roles_to_none_but_those_named(accounts):
    status, users = accounts.call("admin", "GET", "/_plugins/_security/api/internalusers")
    assert status == 200 and set(users) == {"admin", "ft-nobody", *GRANTS}
    status, mapped = accounts.call("admin", "GET", "/_plugins/_security/api/rolesmapping")
    assert status == 200
    ours = {name: body["users"] for name, body in mapped.items() if name.startswith("fieldtrail_")}
    assert ours == {f"fieldtrail_{role}": [user] for user, role in GRANTS.items()}
    assert not any(body["backend_roles"] or body["hosts"] for name, body in mapped.items() if name in ours)


def test_a_filter_that_somebody_put_on_a_role_is_seen_and_taken_off_again(accounts, shipped):
    path = "/_plugins/_security/api/roles/fieldtrail_verifier"
    role = accounts.call("admin", "GET", path)[1]["fieldtrail_verifier"]
    changed = {key: value for key, value in role.items() if key not in {"reserved", "hidden", "static"}}
    changed["index_permissions"] = [{**one, "fls": ["~user.name"]} for one in role["index_permissions"]]
    assert accounts.call("admin", "PUT", path, changed)[0] == 200
    try:
        lacking = accounts.verify(shipped.place, *shipped.index)
        assert lacking.code == 1, lacking
        told = accounts.cli("admin", "setup", "--security", "--dry-run")
        assert "would be updated: role fieldtrail_verifier" in told.out and "fls" in told.out, told
    finally:
        mended = accounts.cli("admin", "setup", "--security")
    assert "updated: role fieldtrail_verifier" in mended.out, mended
    assert accounts.verify(shipped.place, *shipped.index).code == 0


def test_the_setup_role_installs_without_an_administrator(accounts):
    again = accounts.cli(INSTALLER, "setup", "--json")
    assert again.code == 0, again
    assert {step["result"] for step in again.json if step["kind"].endswith("template")} == {"unchanged"}
    template = accounts.call("admin", "GET", "/_index_template/fieldtrail-change")[1]["index_templates"][0]
    older = {**template["index_template"], "version": 0, "priority": template["index_template"]["priority"] - 1}
    assert accounts.call("admin", "PUT", "/_index_template/fieldtrail-change", older)[0] == 200
    done = accounts.cli(INSTALLER, "setup")
    assert done.code == 0 and "updated: index template fieldtrail-change" in done.out, done


def test_the_setup_role_rolls_streams_over_but_reads_no_change(accounts, namespace):
    seeded(accounts, namespace)
    assert accounts.call(INSTALLER, "POST", f"/{stream(namespace)}/_rollover")[0] == 200
    for path in (f"/{stream(namespace)}/_search", f"/{stream(namespace)}/_doc/one"):
        assert accounts.call(INSTALLER, "GET", path)[0] == 403
    path = f"/{stream(namespace)}/_create/two"
    assert accounts.call(INSTALLER, "PUT", path, {"@timestamp": TIME})[0] == 403
    assert accounts.call(INSTALLER, "PUT", "/_plugins/_security/api/roles/all_of_it", {})[0] == 403


# -- the agent ---------------------------------------------------------------------------------------------------------


def test_an_agent_with_the_writer_role_delivers_and_an_auditor_verifies_all_of_it(accounts, shipped):
    done = accounts.verify(shipped.place, *shipped.index)
    assert done.code == 0, done
    count = accounts.call("admin", "GET", f"/{shipped.index[1]}/_count")[1]["count"]
    pulled = accounts.cli(READER, "pull", *shipped.index)
    assert pulled.code == 0 and len(pulled.out.splitlines()) == count, pulled
    file = shipped.place.root / "pulled.ndjson"
    file.write_text(pulled.out, encoding="utf-8")
    assert inside("verify", "--trust", shipped.place.root / "trust.json", "--ndjson", file).code == 0


def test_an_agent_reads_on_where_it_was_after_its_server_was_killed(accounts, place, namespace):
    place.write(agent={"namespace": namespace}, outputs=[accounts.output(timeout="5s")])
    agent = place.start().ready()
    place.append(lines(0, 30))
    place.settled(30)
    accounts.server.kill()
    place.append(lines(30, 30))
    eventually(lambda: place.status()["outputs"][0]["pending"] > 0, "something waits")
    accounts.server.start(120)
    eventually(lambda: place.status()["outputs"][0]["pending"] == 0, "all of it has arrived", 120)
    assert agent.terminate() == 0
    done = accounts.verify(place, "--index", f"logs-fieldtrail.*-{namespace}")
    assert done.code == 0, done
    found = accounts.cli(READER, "search", "--json", "--index", f"{stream(namespace)}", "--limit", "200")
    assert len(found.out.splitlines()) == 60, found


def test_validate_connect_finds_the_writers_rights_enough(accounts, place, namespace):
    place.write(agent={"namespace": namespace}, outputs=[accounts.output()])
    done = place.cli("validate", "--connect")
    assert done.code == 0, done


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/{stream}/_update_by_query", {"script": "ctx._source.x = 1"}),
        ("POST", "/{stream}/_delete_by_query", {"query": {"match_all": {}}}),
        ("POST", "/{index}/_update/one", {"doc": {"x": 1}}),
        ("DELETE", "/{index}/_doc/one", None),
        ("DELETE", "/_data_stream/{stream}", None),
        ("DELETE", "/{index}", None),
        ("PUT", "/{stream}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
        ("PUT", "/{index}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
        ("PUT", "/{stream}/_settings", {"index.number_of_replicas": 0}),
        ("POST", "/{stream}/_rollover", None),
        ("POST", "/{index}/_close", None),
        ("PUT", "/_index_template/fieldtrail-change", {"index_patterns": ["logs-fieldtrail.change-*"]}),
        ("POST", "/_aliases", {"actions": [{"add": {"index": "{index}", "alias": "x"}}]}),
        ("PUT", "/_ingest/pipeline/x", {"processors": []}),
        ("PUT", "/_cluster/settings", {"transient": {"action.auto_create_index": "false"}}),
        ("PUT", "/elsewhere/_create/one", {"@timestamp": TIME}),
        ("GET", "/_plugins/_security/api/roles", None),
        ("GET", "/elsewhere/_search", None),
    ],
)
@pytest.mark.parametrize("user", [WRITER, READER, VERIFIER])
def test_what_no_daily_role_may_do(accounts, namespace, user, method, path, body):
    index = seeded(accounts, namespace)
    names = {"stream": stream(namespace), "index": index}
    filled = json.loads(json.dumps(body).replace("{index}", index))
    status, told = accounts.call(user, method, path.format(**names), filled)
    if isinstance(told, dict) and "failures" in told:  # of a request that was taken and whose parts were refused
        assert {one["status"] for one in told["failures"]} == {403} and status == 403, told
    assert status == 403, told
    status, told = accounts.call("admin", "GET", f"/{index}/_doc/one")
    assert status == 200 and told["_version"] == 1


def bulk(accounts, user, index, action, identity="one", **condition):
    """(status, reason) of one action of a bulk request, with the document of `seeded` unless another is named."""
    rows = [{action: {"_index": index, "_id": identity, **condition}}]
    rows += {"delete": [], "update": [{"doc": FORGED}]}.get(action, [FORGED])
    status, told = accounts.call(user, "POST", "/_bulk", "".join(json.dumps(row) + "\n" for row in rows).encode())
    answer = next(iter(told["items"][0].values())) if status == 200 else {"status": status, **told}
    return answer["status"], answer.get("error", {}).get("reason", "")


def condition(accounts, index):
    """What an overwriting request must name, as anybody who may read can find out."""
    document = accounts.call(WRITER, "GET", f"/{index}/_doc/one")[1]
    return {"if_seq_no": document["_seq_no"], "if_primary_term": document["_primary_term"]}


def test_a_bulk_request_of_the_writer_creates_and_is_refused_updates_and_deletes(accounts, namespace):
    index = seeded(accounts, namespace)
    assert bulk(accounts, WRITER, stream(namespace), "create", "two") == (201, "")
    for action in ("update", "delete"):
        status, reason = bulk(accounts, WRITER, index, action)
        assert status == 403 and f"no permissions for [indices:data/write/{action}]" in reason, reason
    for action in ("index", "update", "delete"):
        status, reason = bulk(accounts, WRITER, stream(namespace), action)
        assert status == 400 and "create are allowed in data streams" in reason, reason
    status, told = accounts.call("admin", "GET", f"/{index}/_doc/one")
    assert status == 200 and told["_version"] == 1


def test_what_the_writer_writes_over_in_a_backing_index_is_found_by_the_auditor(accounts, shipped, namespace):
    """Creating and writing over are one right, `indices:data/write/index`: no role can give only the first."""
    path = f"/{stream(namespace)}/_search?seq_no_primary_term=true&size=1"
    hit = accounts.call(WRITER, "GET", path)[1]["hits"]["hits"][0]
    hit["_source"]["user"]["name"] = "somebody-else"
    where = f"/{hit['_index']}/_doc/{hit['_id']}?if_seq_no={hit['_seq_no']}&if_primary_term={hit['_primary_term']}"
    status, told = accounts.call(WRITER, "PUT", where, hit["_source"])
    assert status == 200 and told["result"] == "updated", told
    done = accounts.verify(shipped.place, *shipped.index)
    assert done.code == 1 and f"MODIFIED {hit['_source']['seal']['i']}\n" in done.out, done


@pytest.mark.parametrize("user", [WRITER, "admin"])
def test_indices_that_the_server_holds_immutable_are_added_to_and_nothing_else(accounts, user):
    index = seeded(accounts, IMMUTABLE)
    try:
        where = condition(accounts, index)
        assert bulk(accounts, user, stream(IMMUTABLE), "create", "two") == (201, "")
        assert bulk(accounts, user, index, "index", **where)[0] == 409
        assert bulk(accounts, user, index, "delete") == (403, "Index is immutable")
        query = "&".join(f"{name}={value}" for name, value in where.items())
        assert accounts.call(user, "PUT", f"/{index}/_doc/one?{query}", FORGED)[0] == 400
        for method, path in (("POST", f"/{index}/_delete_by_query"), ("DELETE", f"/{index}")):
            body = {"query": {"match_all": {}}} if method == "POST" else None
            assert accounts.call(user, method, path, body)[0] == 403, path
        assert accounts.call("admin", "POST", f"/{stream(IMMUTABLE)}/_rollover")[0] == 200
        assert accounts.call("admin", "GET", f"/{index}/_doc/one")[1]["_version"] == 1
    finally:
        assert accounts.call("admin", "DELETE", f"/_data_stream/{stream(IMMUTABLE)}")[0] == 200


@pytest.mark.parametrize("user", [READER, VERIFIER, INSTALLER, "ft-nobody"])
def test_nobody_but_the_writer_creates(accounts, namespace, user):
    seeded(accounts, namespace)
    status, reason = bulk(accounts, user, stream(namespace), "create", "two")
    assert status == 403, reason
    assert accounts.call(user, "PUT", f"/{stream(namespace)}/_create/two", {"@timestamp": TIME})[0] == 403


def test_a_user_without_a_role_reads_nothing_and_is_told_so(accounts, shipped):
    done = accounts.cli("ft-nobody", "search", *shipped.index)
    assert done.code == 69 and "not allowed (403)" in done.err, done
    done = accounts.verify(shipped.place, *shipped.index, name="ft-nobody")
    assert done.code not in {0, 1} and "not allowed (403)" in done.err, done


def test_an_analyst_searches_and_traces(accounts, shipped):
    found = accounts.cli(READER, "search", "--json", *shipped.index)
    changes = [one for one in map(json.loads, found.out.splitlines()) if "change" in one.get("trail", {})]
    assert found.code == 0 and len(changes) == 20, found
    history = accounts.cli(READER, "trace", "offer/7", *shipped.index)
    assert history.code == 0 and "a7" in history.out and "b7" in history.out, history


# -- logins and TLS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "password"), [("admin", "admin"), ("admin", ""), ("kibanaserver", "kibanaserver")])
def test_no_password_of_a_demonstration_lets_anybody_in(secure_opensearch, user, password):
    assert secure_opensearch.call("GET", "/", user=user, password=password or "x")[0] == 401


def test_without_credentials_nothing_is_sent_in_their_place(accounts):
    done = inside("setup", "--opensearch", accounts.server.url, "--ca", accounts.server.ca)
    assert done.code == 69 and "wrong user name or password (401)" in done.err, done


def test_a_wrong_password_is_named_and_the_agent_waits_for_the_right_one(accounts, place, namespace, tmp_path):
    password = tmp_path / "password"
    password.write_text("not it\n", encoding="utf-8")
    section = accounts.output()
    section["auth"]["basic"]["password_file"] = str(password)
    place.write(agent={"namespace": namespace, "shutdown_grace": "2s"}, outputs=[section])
    refused = place.cli("validate", "--connect")
    assert refused.code != 0 and "wrong user name or password" in refused.out + refused.err, refused
    place.append(lines(0, 5))
    done = place.once()
    assert done.code == 75, done
    password.write_text(accounts.passwords[WRITER], encoding="utf-8")
    assert place.once().code == 0
    assert accounts.verify(place, "--index", f"logs-fieldtrail.*-{namespace}").code == 0


def test_a_server_whose_authority_is_not_known_is_not_spoken_to(accounts):
    options = ["--opensearch", accounts.server.url, "--user", READER, "--password-file", accounts.file(READER)]
    done = inside("search", *options)
    assert done.code == 69 and "TLS: certificate not accepted" in done.err and "--ca" in done.err, done


def test_plain_http_is_refused_where_the_server_speaks_tls(accounts):
    url = accounts.server.url.replace("https:", "http:")
    done = inside("search", "--opensearch", url, "--user", READER, "--password-file", accounts.file(READER))
    assert done.code == 69, done
