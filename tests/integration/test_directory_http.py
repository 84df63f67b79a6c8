"""The directory asks vendors' APIs over HTTP: pages, tokens, answers that are no list, and no answer at all.

The answers have the shape of those that the vendors' references show, for people invented here.
"""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from shipper import config
from shipper.directory.keeper import Directory, View, cache_path, probe

KEY = bytes(32)


class Okta(ThreadingHTTPServer):
    """Two pages of users, for whoever has the token."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.token = "first"
        self.broken = ""
        self.asked = []


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        if self.headers["Authorization"] != f"SSWS {server.token}":
            self.reply(401, {})
        elif server.broken:
            self.reply(200, server.broken)
        elif "after=1" in self.path:
            self.reply(200, [user(2)])
        else:
            where = f"http://127.0.0.1:{server.server_port}/api/v1/users?after=1&limit=200"
            self.reply(200, [user(1)], link=f'<{where}>; rel="next"')

    def reply(self, status, body, link=""):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if link:
            self.send_header("Link", link)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


def user(number):
    profile = {"login": f"u{number}@co.example", "firstName": "User", "lastName": str(number)}
    return {"id": f"00u{number}", "status": "ACTIVE", "profile": profile}


@pytest.fixture
def okta():
    server = Okta()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def section(folder, port):
    (folder / "token").write_text("first\n")
    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(folder)},
            "directory": [
                {
                    "id": "okta", "type": "okta", "url": f"http://127.0.0.1:{port}",
                    "token_file": str(folder / "token"), "timeout": "5s", "refresh": "1h",
                }
            ],
        }
    )  # fmt: skip
    return config.parse(text, "test.yaml").directory


class Vendors(BaseHTTPRequestHandler):
    """Google Workspace, BambooHR and HubSpot, as far as they are asked."""

    def do_GET(self):
        where, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        token = self.headers["Authorization"]
        if where == "/admin/directory/v1/users":
            ok = token == "Bearer t0k" and query["customer"] == ["my_customer"]
            page = google_page(query.get("pageToken", [""])[0]) if ok else None
        elif where == "/api/v1/employees/directory":
            page = BAMBOO if token == "Basic " + base64.b64encode(b"t0k:x").decode() else None
        elif where == "/crm/v3/owners":
            page = owners_page(query.get("after", [""])[0]) if token == "Bearer t0k" else None
        else:
            page = None
        data = json.dumps(page if page is not None else {"error": "no"}).encode()
        self.send_response(200 if page is not None else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


def google_page(token):
    number = int(token or 0)
    user = {
        "kind": "admin#directory#user", "id": f"10{number}", "primaryEmail": f"u{number}@co.example",
        "name": {"givenName": "User", "familyName": str(number), "fullName": f"User {number}"},
        "isAdmin": False, "suspended": number == 2, "archived": False, "customerId": "C01",
        "aliases": [f"alias{number}@co.example"],
        "organizations": [{"title": "Agent", "primary": True, "department": "Support"}],
    }  # fmt: skip
    page = {"kind": "admin#directory#users", "etag": "x", "users": [user]}
    return page if number == 2 else {**page, "nextPageToken": str(number + 1)}


BAMBOO = {
    "fields": [{"id": "displayName", "type": "text", "name": "Display Name"}],
    "employees": [
        {"id": "5", "displayName": "Kim Q", "firstName": "Kim", "lastName": "Q", "jobTitle": None, "photoUploaded": False,
         "workEmail": "kim@co.example", "department": "People", "location": "Remote"},
        {"id": "6", "displayName": "Lee", "workEmail": None, "department": None},
    ],
}  # fmt: skip


def owners_page(after):
    owner = {
        "id": f"4{after}",
        "firstName": "Kim",
        "lastName": after or "0",
        "userId": 7,
        "archived": False,
        "teams": [],
    }
    link = {} if after else {"paging": {"next": {"after": "1", "link": "/crm/v3/owners?after=1"}}}
    return {"results": [owner], **link}


@pytest.fixture
def vendors():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendors)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_people_of_google_and_bamboohr_and_labels_of_hubspot_make_one_table(tmp_path, vendors):
    labels = {
        "items": "results.*", "label": "{firstName} {lastName}", "module": "hubspot", "field": "hubspot_owner_id",
        "next": "paging.next.link",
    }  # fmt: skip
    held = [
        {"id": "google", "type": "google_workspace", "url": vendors, "token": "t0k"},
        {"id": "hr", "type": "bamboohr", "url": vendors, "token": "t0k"},
        {"id": "owners", "type": "label_list", "url": f"{vendors}/crm/v3/owners", "token": "t0k", **labels},
        {"id": "closed", "type": "bamboohr", "url": vendors, "token": "another"},
    ]
    sections = config.parse(
        yaml.safe_dump({"agent": {"state_dir": str(tmp_path)}, "directory": held}), "test.yaml"
    ).directory
    (tmp_path / "directory").mkdir()
    keeper = Directory(sections, tmp_path, KEY, now=lambda: 1_800_000_000.0)
    assert keeper.refresh()
    assert keeper.problems() == {
        "closed": "bamboohr: 403 on the list of people: needs the company directory shared with the key's user"
    }
    view = View(cache_path(tmp_path))
    view.look()
    known = {account: dict(facts) for account, facts in view.tables().people.items()}
    assert known["google_workspace:102"] == {
        "trail.actor.person": "u2@co.example",
        "user.full_name": "User 2",
        "trail.actor.department": "Support",
        "trail.actor.status": "suspended",
        "trail.actor.kind": "person",
    }
    assert known["alias0@co.example"]["trail.actor.person"] == "u0@co.example"
    assert known["bamboohr:5"]["trail.actor.department"] == "People"
    assert known["bamboohr:6"]["user.full_name"] == "Lee"
    assert view.tables().labels == {
        "hubspot": {("hubspot_owner_id", "4"): "Kim 0", ("hubspot_owner_id", "41"): "Kim 1"}
    }
    ((name, told),) = view.reports(1_800_000_000.0)
    assert name == "closed"
    assert told.message.endswith("it was never read")


def people(folder):
    view = View(cache_path(folder))
    view.look()
    return {account for account in view.tables().people if account.startswith("okta:")}


def test_all_pages_are_asked_with_the_token_that_the_file_holds_now(tmp_path, okta):
    sections = section(tmp_path, okta.server_port)
    (tmp_path / "directory").mkdir()
    now = [0.0]
    keeper = Directory(sections, tmp_path, KEY, lambda: now[0])
    assert keeper.refresh()
    assert people(tmp_path) == {"okta:00u1", "okta:00u2"}
    assert len(okta.asked) == 2
    okta.token = "second"
    now[0] += 3601
    assert not keeper.refresh()
    assert keeper.problems() == {"okta": "okta: 401 on the list of people: needs okta.users.read"}
    (tmp_path / "token").write_text("second")
    now[0] += 31
    assert not keeper.refresh(), "the same people"
    assert keeper.problems() == {}
    okta.broken = {"users": [{"id": 1}]}
    now[0] += 3601
    keeper.refresh()
    assert "not a list of Okta's users" in keeper.problems()["okta"]
    assert people(tmp_path) == {"okta:00u1", "okta:00u2"}


def test_an_api_that_does_not_answer_is_named(tmp_path, okta):
    good = section(tmp_path, okta.server_port)[0]
    assert probe(good) == (True, "2 people")
    port = okta.server_port
    okta.shutdown()
    okta.server_close()
    ok, said = probe(section(tmp_path, port)[0])
    assert not ok
    assert "refused" in said
