"""The presets of Keap, HighLevel, HubSpot and BambooHR against the simulator: each resource is read, whole, and in turn."""

import json

import pytest

import mappings
from shipper._poll_spec import PollFields, SourceSection
from shipper.inputs.poll.pages import items
from shipper.inputs.poll.preset import fill_body
from tests.model.test_days_of_polls import SECTIONS, URL
from tests.simulator.clock import Stepped
from tests.simulator.day import Day
from tests.simulator.inprocess import Polled
from tests.simulator.vendor import Faults
from tests.simulator.world import World

USER = {
    "keap": {"given_name": "Kim", "family_name": "Q", "email_address": "kim@co.example", "status": "Active"},
    "highlevel": {"name": "Kim Q", "email": "kim@co.example", "roles": {"type": "account", "role": "admin"}},
}


class Reading:
    """An hour of one preset, all its resources included."""

    def __init__(self, folder, name, records=12):
        self.clock = Stepped()
        self.world, self.faults = World(self.clock), Faults()
        make, section = SECTIONS[name]
        self.vendor = make(self.world, self.clock)
        Day(self.world, {name: self.vendor}, records=records).begin()
        if name in USER:
            self.world.create(name, "user", "7", USER[name])
        self.clock.forward(3600)
        given = {"preset": name, "api": f"{URL}/{name}", **section, "choose": {}}
        self.polled = Polled(folder, PollFields.model_validate(given), self.vendor, self.world, self.faults, self.clock)

    def hours(self, count=1):
        self.polled.run(self.clock.now() + count * 3600)
        return self


@pytest.fixture
def reading(tmp_path):
    made = []

    def make(name, **more):
        made.append(Reading(tmp_path, name, **more))
        return made[-1]

    yield make
    for one in made:
        one.polled.close()


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_resource_of_a_preset_is_read_without_a_refusal(reading, name):
    one = reading(name).hours()
    assert {status for *_, status in one.vendor.asked} == {200}
    assert one.polled.input.problems() == []
    told = {entry["path"] for entry in one.polled.input.statistics() if entry["behind"] is not None}
    listed = [part for part in one.polled.source.resources.values() if part.format or part.object]
    assert told == {f"{part.method} {part.path}" for part in listed}
    alive = {thing.key for thing in one.world.things.values()}
    assert {entry.key for entry in one.world.served} == alive


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_what_was_there_before_the_agent_is_a_baseline_and_no_event(reading, name):
    one = reading(name).hours()
    # The audit log of HubSpot tells of itself what happened before.
    assert [event for event in one.polled.documents if event["event"]["dataset"].endswith(".diff")] == []


@pytest.mark.parametrize("name", ["keap", "highlevel"])
def test_a_role_that_a_user_is_given_is_a_change_of_that_user(reading, name):
    one = reading(name).hours()
    field, new = {"keap": ("status", "Inactive"), "highlevel": ("roles.role", "user")}[name]
    one.world.change(name, "user", "7", {field: new})
    one.hours(2)
    (event,) = one.polled.documents
    assert event["trail"]["object"]["key"] == f"{name}:user/7"
    assert (event["trail"]["change"]["field"], event["trail"]["change"]["new"]) == (field, new)


@pytest.mark.parametrize(
    ("name", "last", "field"),
    [("keap", "1205", "job_title"), ("highlevel", "hl-1205", "city"), ("hubspot", "1205", "city")],
)
def test_more_records_than_a_page_holds_are_all_compared(reading, name, last, field):
    one = reading(name, records=205).hours(0.1)
    before = len(one.polled.documents)
    one.world.change(name, "contact", last, {field: "another"})
    one.hours(0.1)
    told = [event["trail"]["object"]["id"] for event in one.polled.documents[before:] if event["trail"].get("change")]
    assert told == [last]


def test_hubspot_names_properties_as_its_webhooks_do(reading):
    one = reading("hubspot").hours()
    before = len(one.polled.documents)
    one.world.change("hubspot", "contact", "1001", {"phone": "+47 111"})
    one.hours()
    told = one.polled.documents[before:]
    fields = [event["trail"]["change"]["field"] for event in told if event["trail"].get("change")]
    assert fields == ["phone"]


def test_a_hook_of_keap_that_was_given_up_is_verified_again(reading):
    one = reading("keap")
    one.vendor.subscribe("k1", "contact.edit", "https://agent.example/in", status="Inactive")
    one.hours()
    assert one.vendor.verified == ["k1"]
    assert any("k1" in report.message for report in one.polled.reports)


def test_an_employee_that_is_deleted_is_told_though_the_listing_only_names_those_that_changed(reading):
    one = reading("bamboohr").hours()
    one.world.delete("bamboohr", "employee", "1003")
    one.hours()
    told = [(event["event"]["action"], event["trail"]["object"]["key"]) for event in one.polled.documents]
    # The record, and its pay, which is a field that stands in a document of its own.
    assert told == [("record.delete", "bamboohr:employee/1003"), ("field.update", "bamboohr:employee/1003")]


def test_many_employees_that_changed_in_one_moment_are_read_once_and_not_at_every_poll(reading):
    one = reading("bamboohr", records=40).hours()
    before = one.polled.requests
    one.hours()
    # The listing of employees and those of three tables, every five minutes.
    assert one.polled.requests - before == 12 * 4


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_preset_says_where_it_is_from_and_what_nobody_tried(name):
    section = SourceSection.model_validate(mappings.source(name))
    assert section.facts and section.untried
    assert all(one.about for one in section.resources.values())


# -- the parts that these presets need ---------------------------------------------------------------------------------


def test_members_of_an_object_are_items_where_the_path_says_so():
    body = b'{"employees": {"7": {"id":"7","n":1.50}, "8": {"id":"8"}}, "none": []}'
    assert items(body, json.loads(body), "employees.*") == [
        (b'{"id":"7","n":1.50}', {"id": "7", "n": 1.5}),
        (b'{"id":"8"}', {"id": "8"}),
    ]
    assert items(body, json.loads(body), "none.*") == []


def test_a_filter_without_its_bound_is_left_out_of_a_body():
    body = {
        "limit": "{limit}",
        "filters": [{"field": "at", "value": {"gte": "{since}"}}, {"field": "x"}],
        "at": "{since}",
    }
    assert fill_body(body, {"limit": "5"}) == {"limit": 5, "filters": [{"field": "x"}]}
    assert fill_body(body, {"limit": "5", "since": "t"})["filters"][0] == {"field": "at", "value": {"gte": "t"}}
