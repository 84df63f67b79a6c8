"""`import_saved_objects` against a stand-in of the import route: what is sent, what is told of refusals."""

import json

import pytest
from click.testing import CliRunner

from shipper.cli import cli
from shipper.errors import UnavailableError, UsageError
from shipper.siem.dashboards import ndjson, saved_objects
from shipper.siem.importing import Rejected, import_saved_objects
from tests.dashboards_server import DashboardsServer

OPENSEARCH = {"name": "node-1", "cluster_name": "c", "version": {"distribution": "opensearch", "number": "3.8.0"}}
ONE = b'{"type":"index-pattern","id":"p","attributes":{"title":"logs-*"},"references":[]}\n'


def problem(url, objects=ONE, **options):
    with pytest.raises((UnavailableError, UsageError)) as caught:
        import_saved_objects(url, objects, **options)
    return caught.value


def test_everything_arrives_and_again_in_place_of_itself():
    with DashboardsServer() as server:
        first = import_saved_objects(server.url, ndjson())
        again = import_saved_objects(server.url, ndjson())
    assert first == again == (len(saved_objects()), ())
    assert list(server.objects.values()) == saved_objects()


def test_objects_of_two_namespaces_stand_side_by_side():
    with DashboardsServer() as server:
        import_saved_objects(server.url, ndjson("acme"))
        import_saved_objects(server.url, ndjson("umbrella"))
        import_saved_objects(server.url, ndjson())
    assert len(server.objects) == 3 * len(saved_objects())


def test_a_refused_object_is_named_with_the_reason_and_the_others_stay():
    def refuse(one):
        return {"type": "unknown", "message": "mapping changed", "statusCode": 400} if one["type"] == "search" else None

    with DashboardsServer(refuse=refuse) as server:
        taken, rejected = import_saved_objects(server.url, ndjson("acme"))
    assert [one.type for one in rejected] == ["search"] * 6
    assert rejected[0] == Rejected("search", "fieldtrail.acme-all-changes", "mapping changed (400)")
    assert taken == len(server.objects) == len(saved_objects()) - 6


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"type": "unsupported_type"}, "this Dashboards has no such type"),
        ({"type": "conflict"}, "another object is in its place"),
        (
            {"type": "missing_references", "references": [{"type": "search", "id": "s1"}]},
            "refers to what is not there: search s1",
        ),
        ({"type": "something_new"}, "something_new"),
        (None, "no reason given"),
        ("odd", "no reason given"),
    ],
)
def test_each_kind_of_refusal_has_words(error, text):
    body = {"success": False, "successCount": 0, "errors": [{"type": "dashboard", "id": "d", "error": error}]}
    with DashboardsServer(answer=(200, body)) as server:
        assert import_saved_objects(server.url, ONE) == (0, (Rejected("dashboard", "d", text),))


def test_what_refers_to_nothing_and_what_has_an_unknown_type_are_told():
    lines = [
        {"type": "canvas", "id": "c", "attributes": {}, "references": []},
        {
            "type": "search",
            "id": "s",
            "attributes": {},
            "references": [{"name": "n", "type": "index-pattern", "id": "x"}],
        },
    ]
    with DashboardsServer() as server:
        _, rejected = import_saved_objects(server.url, b"".join(json.dumps(one).encode() + b"\n" for one in lines))
    assert rejected == (
        Rejected("canvas", "c", "this Dashboards has no such type"),
        Rejected("search", "s", "refers to what is not there: index-pattern x"),
    )


def test_a_base_path_belongs_to_the_address(tmp_path):
    with DashboardsServer(base="/dash") as server:
        assert import_saved_objects(server.url + "/", ONE).taken == 1
        error = problem(server.url.removesuffix("/dash"))
    assert "no import under this address (404)" in error.cause
    assert "server.basePath" in error.hint


def test_the_account_and_the_tenant_go_along(tmp_path):
    secret = tmp_path / "pw"
    secret.write_text("pässword\n")
    with DashboardsServer(account="ops:pässword") as server:
        taken = import_saved_objects(server.url, ONE, user="ops", password_file=secret, tenant="global")
        error = problem(server.url)
    assert taken == (1, ())
    assert server.headers[0]["securitytenant"] == "global"
    assert server.headers[1]["securitytenant"] is None
    assert error.cause == "wrong user name or password (401)"
    assert "--password-file" in error.hint


@pytest.mark.parametrize("status", [200, 400, 404, 405])
def test_opensearch_itself_is_told_apart(status):
    """It answers GET / with its name, and a POST with what it likes."""
    answer = status, {"error": "no handler found for uri [/api/saved_objects/_import]"}
    with DashboardsServer(answer=answer, home=(200, OPENSEARCH)) as server:
        error = problem(server.url)
    assert error.cause == "this is OpenSearch, not OpenSearch Dashboards"
    assert "5601" in error.hint


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ((302, b"", {"location": "/app/login?nextUrl=%2F"}), "it asks to sign in (302)"),
        ((302, b"", {"location": "/dash"}), "the address redirects (302)"),
        ((403, {"message": "no write permission in workspace w1"}), "not allowed (403): no write permission in workspace w1"),
        ((413, {"message": "Payload content length greater than maximum"}), "the file is too large for it (413): Payload content length greater than maximum"),
        ((400, {"message": "Unexpected token"}), "status 400: Unexpected token"),
        ((503, b"OpenSearch Dashboards server is not ready yet"), "status 503"),
        ((200, b"<html>"), "no answer of an import: is this OpenSearch Dashboards?"),
        ((200, {"success": False}), "it says that it failed, and not why"),
        ((200, ["odd"]), "no answer of an import: is this OpenSearch Dashboards?"),
    ],
)  # fmt: skip
def test_an_answer_that_takes_nothing_says_why(answer, cause):
    with DashboardsServer(answer=answer) as server:
        error = problem(server.url)
    assert (error.op, error.place, error.cause) == ("import into Dashboards", server.url, cause)
    assert error.hint


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("dash.example:5601", "not a URL"),
        ("ftp://dash.example", "not a URL"),
        ("http://dash.example:x", "not a URL"),
        ("http://ops:secret@dash.example", "must not hold a user name or password"),
        ("http://dash.example:5601/app/home#/", "is a page of Dashboards, not its address"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url, cause):
    error = problem(url)
    assert (error.op, error.cause, error.exit_code) == ("read --dashboards", cause, 64)
    assert "secret" not in error.render()


def test_nobody_there_is_told():
    with DashboardsServer() as server:
        gone = server.url
    error = problem(gone)
    assert error.cause == "Connection refused"
    assert error.exit_code == 69


# -- the command line --------------------------------------------------------------------------------------------------


def fieldtrail(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_setup_imports_into_dashboards_alone_and_says_how_many():
    with DashboardsServer() as server:
        done = fieldtrail("setup", "--dashboards", server.url)
        assert (done.exit_code, len(server.objects)) == (0, len(saved_objects()))
    assert done.stdout == f"imported: saved objects {len(saved_objects())} of them\n"


def test_setup_prints_what_was_refused_and_ends_with_1():
    def refuse(one):
        return {"type": "unsupported_type"} if one["id"] == "fieldtrail-automations" else None

    with DashboardsServer(refuse=refuse) as server:
        done = fieldtrail("setup", "--dashboards", server.url)
    assert done.exit_code == 1
    assert "rejected: this Dashboards has no such type: dashboard fieldtrail-automations\n" in done.stdout


def test_a_dry_run_sends_nothing():
    with DashboardsServer() as server:
        done = fieldtrail("setup", "--dashboards", server.url, "--dry-run")
    assert done.exit_code == 0
    assert server.headers == []


def test_export_writes_the_file_that_an_import_takes(tmp_path):
    path = tmp_path / "fieldtrail.ndjson"
    assert fieldtrail("export", "dashboards", "--file", path, "--namespace", "acme").exit_code == 0
    assert path.read_bytes() == ndjson("acme")
    assert fieldtrail("export", "dashboards").stdout_bytes == ndjson()
