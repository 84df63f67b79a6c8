"""Listings of presets that no simulator has: a scripted API that answers as the vendors document it, and the events."""

import json
import os
import re
from pathlib import Path

import orjson
import pytest

import mappings
from parsers._contract import Context
from shipper.formats import Formats
from shipper.inputs.poll.changed import states
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.pages import Item, UnusableError, items
from shipper.inputs.poll.preset import compile_source, preset, told
from shipper.inputs.poll.probe import probe
from shipper.inputs.poll.tasks import Task, Tasks
from shipper.model import Counts
from shipper.normalize import Normalizer, Settings
from shipper.pipeline import Lane, process
from shipper.protect import Policy
from tests.poll_api import START, Api, Clock, Place, own, section, source

GUIDE = Path(__file__).parents[2] / "docs/howto/polling.md"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def iso(at):
    return told(at, "iso8601")


def documents(place):
    """The events of everything that was given out, through the real formats."""
    found, lanes = [], {}
    for chunk in {id(chunk): chunk for chunk, _ in place.given}.values():
        if chunk.format not in lanes:
            options = {"source": place.spec.module} if chunk.format == "snapshot_diff" else {}
            parser = Formats().get(chunk.format, options)
            settings = Settings("t", "0", "default", "in", parser.format, Policy(), lambda: os.urandom(16))
            lanes[chunk.format] = Lane(
                parser.parse, Normalizer(settings), Context(zone="UTC", options=options), Counts()
            )
        lines = process(chunk, lanes[chunk.format], {}, b"\0" * 32, None, os.urandom)
        found += [orjson.loads(body) for body in lines.bodies]
    return found


def changes(place):
    """(dataset, object, field, old, new, who) of each changed field."""
    found = []
    for event in documents(place):
        change = event["trail"].get("change")
        if change is not None:
            who = event.get("user", {}).get("id") or event.get("user", {}).get("email")
            name = event["event"]["dataset"].partition(".")[2]
            old, new = change.get("old"), change.get("new")
            found.append((name, event["trail"]["object"]["key"], change["field"], old, new, who))
    return found


@pytest.fixture
def place(tmp_path):
    made = []

    def make(answer, spec, clock=None):
        made.append(Place(tmp_path, Api(answer), spec, clock).start())
        return made[-1]

    yield make
    for one in made:
        if one.input is not None:
            one.input.close()


# -- HubSpot: the history of properties --------------------------------------------------------------------------------


class Portal:
    """A portal's contacts: search by time of change, listing, and single contacts with their history."""

    def __init__(self, clock):
        self.clock, self.contacts, self.broken = clock, {}, None
        self.most, self.read, self.searched = 10_000, [], 0

    def change(self, identity, name, value, by=None, ago=0.0):
        """Somebody sets a property."""
        at = self.clock.at - ago
        contact = self.contacts.setdefault(identity, {"at": at, "history": {}})
        state = {"value": value, "timestamp": iso(at), "sourceType": "CRM_UI"}
        state |= {} if by is None else {"sourceId": f"userId:{by}", "updatedByUserId": by}
        contact["history"].setdefault(name, []).insert(0, state)
        contact["at"] = max(contact["at"], at)

    def answer(self, method, path, query, headers, body):
        del headers
        if self.broken is not None and (found := self.broken(method, path, query)) is not None:
            return found
        if method == "POST":
            return self.search(orjson.loads(body))
        if path.endswith("/contacts"):
            return {"results": [self.body(identity) for identity in self.contacts]}
        identity = path.rpartition("/")[2]
        if identity not in self.contacts:
            return Answer(404, {}, b'{"status":"error"}')
        if "propertiesWithHistory" in query:
            self.read.append(identity)
            history = self.contacts[identity]["history"]
            asked = query["propertiesWithHistory"].split(",")
            return {**self.body(identity), "propertiesWithHistory": {name: history.get(name, []) for name in asked}}
        return self.body(identity)

    def body(self, identity):
        contact = self.contacts[identity]
        now = {name: states[0]["value"] for name, states in contact["history"].items()}
        at = iso(contact["at"])
        return {"id": identity, "properties": now, "createdAt": iso(START - 30 * DAY), "updatedAt": at}

    def search(self, asked):
        self.searched += 1
        (condition,) = asked["filterGroups"][0]["filters"]
        assert (condition["propertyName"], condition["operator"]) == ("lastmodifieddate", "GTE")
        assert asked["sorts"] == [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}]
        since, start = int(condition["value"]) / 1000, int(asked.get("after", 0))
        if start >= self.most:
            return Answer(400, {}, b'{"status":"error","category":"VALIDATION_ERROR"}')
        found = sorted((one["at"], identity) for identity, one in self.contacts.items() if one["at"] >= since)
        page = found[start : start + asked["limit"]]
        more = start + len(page) < len(found)
        results = [{"id": one, "properties": {"lastmodifieddate": iso(at)}, "updatedAt": iso(at)} for at, one in page]
        return {"total": len(found), "results": results} | (
            {"paging": {"next": {"after": str(start + len(page))}}} if more else {}
        )


def hubspot(**choose):
    """The preset, of which contacts and their history are read alone."""
    off = ("deals", "deal_history", "companies", "company_history", "audit_logs", "logins")
    chosen = {name: {"enabled": False} for name in off} | choose
    return source(preset="hubspot", auth={"bearer": {"token": "t"}}, choose=chosen)


@pytest.fixture
def portal(place):
    def make(*, people=3, **choose):
        clock = Clock()
        one = Portal(clock)
        for number in range(people):
            one.change(str(991 + number), "city", "Oslo", ago=20 * DAY)
        one.place = place(one.answer, hubspot(**choose), clock)
        return one

    return make


def test_a_change_that_history_and_comparison_both_show_is_told_once_with_its_author(portal):
    one = portal()
    one.place.run(30 * MINUTE)
    assert changes(one.place) == []
    one.change("991", "city", "Bergen", by=7)
    one.place.run(30 * MINUTE)
    assert changes(one.place) == [("property_history", "hubspot:contact/991", "city", "Oslo", "Bergen", "7")]
    (event,) = documents(one.place)
    assert event["@timestamp"] == iso(START + 30 * MINUTE)
    assert event["trail"]["origin"]["delivery"] == f"991/city/{event['@timestamp']}"


def test_a_value_that_lived_only_between_two_readings_is_in_the_history(portal):
    one = portal()
    one.place.run(31 * MINUTE)
    one.change("991", "city", "Bergen", by=7, ago=20)
    one.change("991", "city", "Molde", by=8)
    one.place.run(30 * MINUTE)
    assert [told[3:] for told in changes(one.place)] == [("Oslo", "Bergen", "7"), ("Bergen", "Molde", "8")]


def test_a_history_that_comes_after_the_comparison_names_who_made_the_change(portal):
    one = portal()
    one.place.run(30 * MINUTE)
    one.broken = lambda method, path, query: Answer(503, {}, b"") if method == "POST" else None
    one.change("991", "city", "Bergen", by=7)
    one.place.run(10 * MINUTE)
    assert changes(one.place) == [("diff", "hubspot:contact/991", "city", "Oslo", "Bergen", None)]
    one.broken = None
    one.place.run(30 * MINUTE)
    first, second = documents(one.place)
    assert (second["event"]["action"], second["user"]["id"]) == ("change.attributed", "7")
    assert second["trail"]["attribution"]["event_id"] == [first["event"]["id"]]


def test_only_contacts_that_changed_are_read_and_each_change_once(portal):
    one = portal(people=40)
    one.place.run(HOUR)
    assert one.read == []
    one.change("1000", "city", "Bergen", by=7)
    one.change("1001", "city", "Bergen", by=7)
    one.place.run(5 * HOUR)
    # Once at once, and once more when no other change can have the same time.
    assert sorted(set(one.read)) == ["1000", "1001"]
    assert len(one.read) <= 4
    assert len(changes(one.place)) == 2


def test_history_from_before_the_first_reading_is_not_told(portal):
    one = portal()
    one.change("992", "city", "Bergen", by=7, ago=HOUR)
    one.place.run(HOUR)
    assert [told[3:5] for told in changes(one.place)] == [("Oslo", "Bergen")]
    one.change("991", "phone", "1", by=7)
    one.place.run(HOUR)
    # The oldest one of a property has no former value that HubSpot tells.
    assert changes(one.place)[1:] == [("property_history", "hubspot:contact/991", "phone", None, "1", "7")]


def test_more_contacts_than_one_search_gives_are_all_read(portal):
    one = portal(people=25, changed_contacts={"limit": 5})
    one.place.run(HOUR + MINUTE)
    one.most = 10
    for number in range(25):
        one.change(str(991 + number), "city", "Bergen", by=7, ago=30.0 - number)
    one.place.run(6 * MINUTE)
    assert len({told[1] for told in changes(one.place) if told[0] == "property_history"}) == 25
    assert len(changes(one.place)) == 25


def test_a_restart_in_the_middle_tells_no_change_twice_and_none_less(portal):
    one = portal(people=6)
    one.place.run(HOUR)
    for number in range(6):
        one.change(str(991 + number), "city", "Bergen", by=7, ago=1.0)
    for _ in range(12):
        for _ in range(5):
            one.place.input.turn()
        one.place.crash()  # what was read and not taken is gone
        one.place.start().run(0, turns=100)
    one.place.run(HOUR)
    assert sorted(told[1] for told in changes(one.place)) == [f"hubspot:contact/{991 + number}" for number in range(6)]


def test_a_portal_that_lets_nobody_read_histories_is_not_asked_for_each_contact(portal):
    one = portal(people=10)
    one.place.run(HOUR)

    def refused(method, path, query):
        if "propertiesWithHistory" not in query:
            return None
        one.read.append(path)
        return Answer(403, {}, b"")

    one.broken = refused
    for number in range(10):
        one.change(str(991 + number), "city", "Bergen", by=7)
    one.place.run(30 * MINUTE)
    assert len(one.read) == 3
    assert any(name == "contact_history" for name, _ in one.place.input.problems())
    one.broken = None
    one.place.run(3 * HOUR)
    attributed = [event for event in documents(one.place) if event["event"]["action"] == "change.attributed"]
    assert len(attributed) == 10


def test_histories_are_tried_as_the_other_listings_are(portal):
    one = portal()
    one.change("991", "city", "Bergen", by=7)
    tried = {found.name: found for found in probe(one.place.spec, one.place.api, one.clock)}
    assert (tried["contact_history"].ok, tried["contact_history"].detail) == (
        True,
        f"GET /crm/v3/objects/contacts/{{parent.id}}: answers, with an item of {iso(START)}",
    )


def test_one_contact_that_cannot_be_read_keeps_nobody_waiting(portal):
    one = portal()
    one.place.run(HOUR)
    odd = Answer(400, {}, b'{"status":"error"}')
    one.broken = lambda method, path, query: odd if path.endswith("/991") else None
    one.change("991", "city", "Bergen", by=7)
    one.place.run(10 * MINUTE)
    assert one.read == []
    one.change("992", "city", "Bergen", by=7)
    one.place.run(HOUR + 10 * MINUTE)
    told_of = [told[:2] for told in changes(one.place)]
    assert ("property_history", "hubspot:contact/992") in told_of
    assert any("/contacts/" in problem for _, problem in one.place.input.problems())


def test_a_contact_that_is_gone_when_its_history_is_read_keeps_nobody_waiting(portal):
    one = portal()
    one.place.run(HOUR)
    gone = Answer(404, {}, b'{"status":"error"}')
    one.broken = lambda method, path, query: gone if path.endswith("/991") else None
    one.change("991", "city", "Bergen", by=7)
    one.change("992", "city", "Bergen", by=7)
    one.place.run(10 * MINUTE)
    assert [told[:2] for told in changes(one.place)][:1] == [("property_history", "hubspot:contact/992")]


def test_the_last_editor_has_a_history_that_says_nothing(portal):
    one = portal()
    one.place.run(HOUR)
    one.change("991", "hs_updated_by_user_id", "7", by=7)
    one.place.run(HOUR)
    assert documents(one.place) == []


def test_a_value_never_stands_in_the_id_of_its_state():
    history = {"salary": [{"value": "120000", "timestamp": iso(START)}, {"value": "90000", "timestamp": iso(START)}]}
    body = {"objectType": "contact", "id": "9", "properties": {"a": 1}, "propertiesWithHistory": history}
    item = Item(orjson.dumps(body), body, "9", True, None)
    spec = hubspot().resources["contact_history"]
    older, newer = states(item, spec, 0.0)
    assert (older.id, newer.id) == (f"9/salary/{iso(START)}", f"9/salary/{iso(START)}/1")
    assert orjson.loads(newer.data) == {
        "objectType": "contact",
        "id": "9",
        "propertiesWithHistory": {"salary": [history["salary"][0]]},
        "before": {"salary": history["salary"][1]},
    }
    for odd in ({}, {"propertiesWithHistory": {"salary": {}}}):
        with pytest.raises(UnusableError):
            states(Item(orjson.dumps(odd), odd, "9", True, None), spec, 0.0)


@pytest.mark.parametrize(("many", "one", "label"), [("deals", "deal", "dealname"), ("companies", "company", "name")])
def test_deals_and_companies_are_compared_too(place, many, one, label):
    clock = Clock()
    now = {label: "Rollout", "amount": "10"}

    def answer(method, path, query, headers, body):
        del method, query, headers, body
        at = iso(clock.at)
        found = {"id": "5", "properties": dict(now), "createdAt": iso(START - DAY), "updatedAt": at}
        if path.endswith(f"/{many}"):
            return {"results": [found]}
        return {"results": []}

    off = {"audit_logs": {"enabled": False}, "logins": {"enabled": False}}
    spec = source(preset="hubspot", auth={"bearer": {"token": "t"}}, choose=off)
    here = place(answer, spec, clock).run(HOUR)
    now["amount"] = "20"
    here.run(HOUR)
    assert changes(here) == [("diff", f"hubspot:{one}/5", "amount", "10", "20", None)]
    assert documents(here)[0]["trail"]["object"]["name"] == "Rollout"


# -- Make: the history of variables ------------------------------------------------------------------------------------


class Variables:
    """The variables of organization 11 and of team 22, and nothing else."""

    def __init__(self):
        self.rows = {("organization", "rate"): [], ("team", "api_key"): []}
        self.asked = []

    def answer(self, method, path, query, headers, body):
        del method, query, headers, body
        self.asked.append(path)
        _, _, _, kind, _, _, *rest = path.split("/")
        kind = kind.removesuffix("s")
        if not rest:
            listed = [
                {"name": name, "typeId": 1, "value": "x", "isSystem": False} for k, name in self.rows if k == kind
            ]
            return {f"{kind}Variables": [{"name": "organizationId", "isSystem": True}, *listed]}
        return {f"{kind}VariableHistory": self.rows[kind, rest[0]]}


def makecom(**settings):
    only = ("organization_variables", "organization_variable_history", "team_variables", "team_variable_history")
    spec = {"preset": "makecom", "auth": {"token": {"token": "t"}}}
    given = {"zone": "eu1.make.com", "organization": "11", **settings}
    every = source(**spec, settings={**given, "team": "22"}).resources
    return source(**spec, settings=given, choose={name: {"enabled": False} for name in every if name not in only})


def test_who_changed_a_variable_of_make_from_what_to_what(place):
    api = Variables()
    here = place(api.answer, makecom(team="22")).run(HOUR)
    assert documents(here) == []
    edit = {"originalValue": "1.1", "newValue": "1.2", "timestamp": "2026-05-28T12:00:00Z", "author": "ann@co.example"}
    api.rows["organization", "rate"] = [{"id": 3, "diffObject": edit}]
    key = {"original": "k-1", "new": "k-2", "author": {"id": 9}}
    api.rows["team", "api_key"] = [{"id": 3, "diffObject": key, "changed": "2026-05-28T13:00:00Z"}]
    here.run(5 * HOUR)
    events = {event["trail"]["object"]["key"]: event for event in documents(here)}
    rate, key = events["makecom:variable/rate"], events["makecom:variable/api_key"]
    assert len(documents(here)) == 2
    assert (rate["trail"]["change"]["old"], rate["trail"]["change"]["new"]) == ("1.1", "1.2")
    assert (rate["user"]["email"], rate["@timestamp"]) == ("ann@co.example", "2026-05-28T12:00:00Z")
    assert (key["user"]["id"], key["@timestamp"]) == ("9", "2026-05-28T13:00:00Z")
    assert "k-1" not in json.dumps(key) and "k-2" not in json.dumps(key)
    assert not any("organizationId" in path for path in api.asked)


def test_a_row_of_an_edited_variable_with_one_value_is_no_creation(place):
    api = Variables()
    made = {"value": "1", "timestamp": "2026-05-28T11:00:00Z", "author": "ann@co.example"}
    edit = {"name": "rate", "value": "2", "typeId": 1}
    row = {"id": 2, "diffObject": edit, "changed": "2026-05-28T12:00:00Z", "action": "organization_variable_edited"}
    api.rows["organization", "rate"] = [{**row, "author": "kim@co.example"}, {"id": 1, "diffObject": made}]
    here = place(api.answer, makecom()).run(HOUR)
    found = {event["event"]["action"]: event for event in documents(here)}
    assert found["config.create"]["trail"]["values"] == {"value": "1"}
    change = found["config.update"]["trail"]["change"]
    assert (change["new"], change["derivation"], "old" in change) == ("2", "new_only", False)
    assert found["config.update"]["user"]["email"] == "kim@co.example"
    assert not any("/teams/" in path for path in api.asked)


# -- BambooHR: tables of employees -------------------------------------------------------------------------------------


class Company:
    """Employees with tables of rows; the listing of changes has rows without their ids."""

    def __init__(self, clock):
        self.clock, self.changed, self.read = clock, {}, []
        self.tables = {}

    def put(self, table, employee, *rows):
        self.tables[table, employee] = list(rows)
        self.changed[employee] = self.clock.at

    def answer(self, method, path, query, headers, body):
        del method, headers, body
        parts = path.split("/")
        table = parts[-1]
        if "changed" in parts:
            since = query["since"]
            found = {
                employee: {"lastChanged": told(at, "iso8601_seconds"), "rows": [{"date": "2026-01-01"}]}
                for employee, at in self.changed.items()
                if told(at, "iso8601_seconds") >= since
            }
            return {"table": table, "employees": found or []}
        employee = parts[-3]
        self.read.append((employee, table))
        if employee not in self.changed:
            return Answer(404, {}, b"{}")
        return [{"employeeId": employee, **row} for row in self.tables.get((table, employee), [])]


def bamboohr(**settings):
    auth = {"basic": {"username": "k", "password": "x"}}
    choose = {"employees": {"enabled": False}}
    return source(preset="bamboohr", auth=auth, settings={"company": "acme", **settings}, choose=choose)


@pytest.fixture
def company(place):
    def make(**settings):
        clock = Clock()
        one = Company(clock)
        one.put("jobInfo", "7", {"id": "17", "date": "2026-01-01", "jobTitle": "Clerk", "location": "Oslo"})
        rate = {"value": "90000", "currency": "USD"}
        one.put("compensation", "7", {"id": "31", "startDate": "2026-01-01", "rate": rate, "type": "Salary"})
        one.place = place(one.answer, bamboohr(**settings), clock)
        one.place.run(HOUR)
        assert documents(one.place) == []
        return one

    return make


def test_a_row_of_a_table_that_is_edited_is_told_with_its_field_and_from_when_it_holds(company):
    one = company()
    one.put("jobInfo", "7", {"id": "17", "date": "2026-01-01", "jobTitle": "Lead", "location": "Oslo"})
    one.place.run(HOUR)
    key = "bamboohr:employee_job_info/7"
    assert changes(one.place) == [("diff", key, "jobInfo[17].jobTitle", "Clerk", "Lead", None)]
    (event,) = documents(one.place)
    assert event["trail"]["values"] == {"jobInfo[17].date": "2026-01-01"}
    assert event["trail"]["time"]["precision"] == "bounded"


def test_a_pay_that_is_added_is_a_row_that_came_and_a_backdated_one_is_a_change_of_its_date(company):
    one = company()
    first = {"id": "31", "startDate": "2025-06-01", "rate": {"value": "90000", "currency": "USD"}, "type": "Salary"}
    second = {"id": "32", "startDate": "2026-06-01", "rate": {"value": "120000", "currency": "USD"}, "type": "Salary"}
    one.put("compensation", "7", second, first)
    one.place.run(HOUR)
    found = {told[2]: told[3:5] for told in changes(one.place)}
    assert found["compensation[31].startDate"] == ("2026-01-01", "2025-06-01")
    assert found["compensation[32]"][0] is None
    assert json.loads(found["compensation[32]"][1])["startDate"] == "2026-06-01"
    assert len(found) == 2


def test_a_row_that_is_taken_away_is_told_with_all_that_it_had(company):
    one = company()
    one.put("jobInfo", "7")
    one.place.run(HOUR)
    ((_, _, field, old, new, _),) = changes(one.place)
    assert (field, new) == ("jobInfo[17]", None)
    assert json.loads(old)["jobTitle"] == "Clerk"


def test_tables_are_a_setting_and_each_is_read_of_employees_that_changed_alone(company):
    one = company(tables="bonus,custom1")
    assert set(one.place.spec.resources) == {"table_bonus", "table_custom1"}
    assert set(one.read) == {("7", "bonus"), ("7", "custom1")}
    count = len(one.read)
    one.place.run(3 * HOUR)
    assert len(one.read) == count
    one.put("bonus", "7", {"id": "1", "amount": "5"})
    one.place.run(HOUR)
    assert [told[1:3] for told in changes(one.place)] == [("bamboohr:employee_bonus/7", "bonus[1]")]


def test_what_is_chosen_of_the_tables_holds_for_each_of_them():
    auth = {"basic": {"username": "k", "password": "x"}}
    spec = source(
        preset="bamboohr",
        auth=auth,
        settings={"company": "acme"},
        choose={"table": {"every": "1h", "ignore": ["*.note"]}},
    )
    assert [name for name in spec.resources if spec.period(name) == HOUR] == [
        "table_job_info",
        "table_compensation",
        "table_employment_status",
    ]
    assert spec.resources["table_job_info"].object.type == "employee_job_info"
    off = source(preset="bamboohr", auth=auth, settings={"company": "a"}, choose={"table": {"enabled": False}})
    assert (set(off.resources), off.off["table_job_info"]) == ({"employees"}, "not enabled")
    given = section(preset="bamboohr", auth=auth, settings={"company": "acme", "tables": "a b"})
    assert compile_source(given)[1][0][0] == "settings.tables"


# -- HighLevel: custom objects -----------------------------------------------------------------------------------------


def test_records_of_custom_objects_are_compared_and_standard_objects_are_not_asked_for(place):
    clock = Clock()
    records = {"custom_objects.pet": [], "custom_objects.car": []}
    asked = []

    def record(number, **properties):
        by = {"channel": "WEB_USER", "createdAt": iso(START), "source": "WEB_USER", "sourceId": "user-9"}
        one = {"id": f"r{number}", "owner": ["u1"], "followers": [], "properties": properties}
        return one | {"createdAt": iso(START - DAY), "updatedAt": iso(clock.at), "createdBy": by, "lastUpdatedBy": by}

    def answer(method, path, query, headers, body):
        del headers
        if path == "/objects/":
            assert query == {"locationId": "L"}
            schemas = [{"key": key, "standard": key == "contact"} for key in ("contact", *records)]
            return {"objects": [{"id": str(place), **one} for place, one in enumerate(schemas)]}
        assert method == "POST"
        key, told_of = path.split("/")[2], orjson.loads(body)
        asked.append(key)
        assert told_of["locationId"] == "L"
        start = (told_of["page"] - 1) * told_of["pageLimit"]
        return {"records": records[key][start : start + told_of["pageLimit"]], "total": len(records[key])}

    off = {name: {"enabled": False} for name in ("contacts", "opportunities", "users")}
    spec = source(preset="highlevel", auth={"bearer": {"token": "t"}}, settings={"location": "L"}, choose=off)
    records["custom_objects.pet"] = [record(number, name=f"Pet {number}") for number in range(130)]
    records["custom_objects.car"] = [record("c", plate="A 1")]
    here = place(answer, spec, clock).run(HOUR)
    assert documents(here) == []
    records["custom_objects.pet"][120] = record(120, name="Rex")
    records["custom_objects.car"] = []
    here.run(3 * HOUR)
    events = documents(here)
    assert changes(here) == [("diff", "highlevel:record/r120", "properties.name", "Pet 120", "Rex", None)]
    assert events[0]["trail"]["object"]["last_editor"]["id"] == "user-9"
    assert [event["event"]["action"] for event in events[1:]] == ["record.delete"]
    assert set(asked) == {"custom_objects.pet", "custom_objects.car"}


# -- the parts that these need -----------------------------------------------------------------------------------------


def test_members_of_an_object_get_their_name_as_a_member_unless_they_have_one():
    body = b'{"employees": {"7": {"n":1.50}, "8": {"id":"x"}, "9": 3}}'
    assert items(body, json.loads(body), "employees.*", "id") == [
        (b'{"id":7,"n":1.50}', {"id": "7", "n": 1.5}),
        (b'{"id":"x"}', {"id": "x"}),
        (b"3", 3),
    ]


def test_a_listing_that_comes_after_another_waits_for_it_only_while_that_works():
    first = Task("first", "first", lambda: None, 60.0, 0.0)
    second = Task("second", "second", lambda: None, 60.0, 0.0, after=first)
    tasks = Tasks([second, first])
    assert tasks.next(0.0) is first
    first.ready = 5.0  # it waits for its budget
    assert tasks.next(0.0) is None and tasks.wait(0.0) == 5.0
    first.done(5.0)
    assert tasks.next(5.0) is second
    first.due = 5.0
    first.failed(5.0, "503", 30.0)
    assert tasks.next(6.0) is second


def test_items_of_which_a_member_says_otherwise_are_passed_over_and_the_page_counts_them(place):
    pages = {1: [{"id": 1, "kind": "a"}, {"id": 2, "kind": "b"}], 2: [{"id": 3}, {"id": 4, "kind": "b"}], 3: []}
    spec = own(
        get="/rows", id="id", where={"kind": "a"}, format="json", limit=2, paging={"type": "page", "parameter": "page"}
    )
    here = place(lambda method, path, query, headers, body: pages[int(query["page"])], spec).run(1)
    assert [row["id"] for row in here.rows] == [1, 3]


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        (
            {"rows": {"get": "/r"}, "more": {"get": "/r/{parent.id}", "for_each": "rows", "id": "id", "time": "t", "history": "h"}},
            "a history is read of what changed, by a resource with since",
        ),
        (
            {
                "rows": {"get": "/r", "time": "t", "since": {}},
                "more": {"get": "/r/{parent.id}", "for_each": "rows", "id": "id", "object": {"type": "x"}},
            },
            "objects are compared by listings of all of them",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_for_each_of_what_changed_is_said(resources, problem):
    given = section(api="https://api.example", module="desk", resources=resources)
    assert compile_source(given) == (None, [("resources.more.for_each", problem)])


@pytest.mark.parametrize("name", mappings.sources())
def test_the_guide_names_what_each_preset_reads_and_what_it_must_know(name):
    base = preset(name)
    (row,) = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")]
    named = set(re.findall(r"`(\w+)[`:]", row))
    assert base.resources.keys() | base.settings.keys() | base.auth.keys() <= named
