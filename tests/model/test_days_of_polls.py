"""Days of each compared source, with their true periods, on a clock that stands still while nothing happens.

Changes at random moments, answers that fail, tokens that end, crashes between any two steps: then every true change is
there once, with its old and new value and its bounds, or lived only between two looks; and nothing is invented.
"""

import random

import pytest

from shipper._poll_spec import PollFields
from shipper.inputs._hint import Hint
from tests.simulator import bamboohr, highlevel, hubspot, keap
from tests.simulator.clock import Stepped
from tests.simulator.day import Day
from tests.simulator.inprocess import LATENCY, Polled, PowerCut
from tests.simulator.judge import Judge, audited
from tests.simulator.vendor import Faults
from tests.simulator.world import World

HOUR = 3600
URL = "https://vendor.example"
SECTIONS = {
    "keap": (
        keap.Keap,
        {
            "auth": {
                "oauth2": {
                    "token_url": f"{URL}/keap/token",
                    "client_id": keap.CLIENT[0],
                    "client_secret": keap.CLIENT[1],
                    "refresh_token": keap.FIRST_REFRESH,
                }
            }
        },
    ),
    "highlevel": (
        highlevel.HighLevel,
        {"auth": {"bearer": {"token": highlevel.TOKEN}}, "settings": {"location": highlevel.LOCATION}},
    ),
    "hubspot": (
        hubspot.HubSpot,
        {"auth": {"bearer": {"token": hubspot.TOKEN}}},
    ),
    "bamboohr": (
        bamboohr.BambooHr,
        {"auth": {"basic": {"username": bamboohr.KEY, "password": "x"}}, "settings": {"company": "acme"}},
    ),
}
MISSING = {("bamboohr", "create")}
"""BambooHR does not say when an employee was made: a new one is a baseline."""


class Setting:
    """One source with its world, its faults and the input that polls it."""

    def __init__(self, folder, name, seed):
        self.name, self.clock = name, Stepped()
        self.world, self.faults = World(self.clock), Faults(seed)
        make, section = SECTIONS[name]
        self.vendor = make(self.world, self.clock)
        self.day = Day(self.world, {name: self.vendor}, seed=seed)
        self.chance = random.Random(seed)
        self.day.begin()
        self.clock.forward(HOUR)
        compared = "employees" if name == "bamboohr" else "contacts"
        choose = {**section.get("choose", {}), compared: {"reconcile": "3h"}}
        fields = PollFields.model_validate({"preset": name, "api": f"{URL}/{name}", **section, "choose": choose})
        self.polled = Polled(folder, fields, self.vendor, self.world, self.faults, self.clock)
        self.polled.run(self.clock.now() + HOUR)
        self.began = self.clock.now()
        self.interrupted = []
        self.hooks = 0

    def play(self, hours, *, every, crashes=0, lost=0.0, hooks=False):
        """Changes about every `every` seconds; `lost`: the share of steps that no frame holds before the next one.

        `hooks`: each change is told by a hook too, within a minute or after an hour, sometimes twice.
        """
        end = self.clock.now() + hours * HOUR
        at = self.clock.now()
        if hooks:
            self.world.listeners.append(self.tell)
        while (at := at + self.chance.expovariate(1 / every)) < end:
            self.polled.at(at, self.day.step)
        for _ in range(crashes):
            self.polled.at(self.chance.uniform(self.began, end), self.crash)
        self.polled.run(end, frame=lambda: self.chance.random() >= lost)

    def tell(self, thing, facts):
        """A hook about a record, as a webhook input passes it on."""
        wait = 3600 if self.chance.random() < 0.1 else self.chance.uniform(1, 60)
        kind = "deleted" if facts and facts[0].verb == "delete" else "changed"
        self.hooks += 1
        told = [(Hint(kind, thing.type, thing.id, None, thing.updated), f"hook-{self.hooks}")]
        for more in (0, 90) if self.chance.random() < 0.2 else (0,):
            self.polled.at(self.clock.now() + wait + more, lambda: self.polled.input.hints(told))

    def crash(self):
        """A power cut, in the middle of whatever the input does."""
        self.interrupted.append((self.clock.now() - 60, self.clock.now()))
        raise PowerCut

    def rest(self):
        """Nothing happens for some hours, so that everything is compared once more."""
        self.faults.chance = 0.0
        self.polled.run(self.clock.now() + 3.5 * HOUR)
        self.polled.close()

    def judge(self):
        """What came, judged; it is printed for the log of the run."""
        judge = Judge(
            self.world,
            self.polled.documents,
            aliases={("keap", "opportunity", "stage"): "stage.id"},
            editors=("keap",),
            interrupted=self.interrupted,
            began=self.began,
            tolerance=0.001,
            latency=LATENCY,
        )
        judge.fields(self.name).records(self.name, missing_ok=MISSING)
        print(f"\n{judge.report()}\n{self.polled.requests} requests, broken {self.faults.done}")
        return judge


@pytest.fixture
def setting(tmp_path):
    made = []

    def make(name, seed=1):
        made.append(Setting(tmp_path, name, seed))
        return made[-1]

    yield make
    for one in made:
        one.polled.close()


def right(judge):
    """Nothing is wrong."""
    assert not judge.findings, "\n".join(str(one)[:500] for one in judge.findings[:8])
    return judge.counts


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_quiet_day_tells_every_change_that_stood_for_longer_than_a_period(setting, name):
    one = setting(name)
    one.play(6, every=600)
    one.rest()
    counts = right(one.judge())[name]
    assert counts["seen"] > 20
    assert counts["unseen"] < 0.2 * counts["true"]


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_day_of_refusals_and_broken_answers_loses_and_doubles_nothing(setting, name):
    one = setting(name, seed=2)
    one.faults.chance = 0.1
    one.play(8, every=300)
    one.rest()
    assert right(one.judge())[name]["seen"] > 40
    assert sum(one.faults.done.values()) > 20


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_day_of_crashes_between_any_two_steps_loses_and_doubles_nothing(setting, name):
    one = setting(name, seed=3)
    one.play(8, every=300, crashes=40, lost=0.5)
    one.rest()
    assert right(one.judge())[name]["seen"] > 40


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_change_that_hooks_and_polls_tell_is_one_change_though_the_agent_crashes(setting, name):
    one = setting(name, seed=5)
    one.play(6, every=300, crashes=20, lost=0.5, hooks=True)
    one.rest()
    counts = right(one.judge())[name]
    assert one.hooks > 40
    assert counts["seen"] > 40
    assert counts["unseen"] < 0.2 * counts["true"]


def test_a_stage_that_a_hook_shows_before_the_stage_moves_do_gets_its_author_from_them(setting):
    one = setting("keap", seed=7)
    one.play(4, every=200, crashes=10, lost=0.5, hooks=True)
    one.rest()
    right(one.judge())
    compared = {
        event["event"]["id"]
        for event in one.polled.documents
        if event["event"]["dataset"] == "keap.diff" and event["trail"].get("change", {}).get("field") == "stage.id"
    }
    named = [event for event in one.polled.documents if event["event"]["action"] == "change.attributed"]
    assert len(named) > 5
    assert {one for event in named for one in event["trail"]["attribution"]["event_id"]} == compared


def test_a_record_that_the_audit_log_tells_of_too_is_told_once_and_by_whom(setting):
    one = setting("hubspot", seed=7)
    one.play(6, every=200, crashes=10, lost=0.5, hooks=True)
    one.rest()
    judge = one.judge().rows("hubspot", audited(one.vendor), "hubspot.audit")
    right(judge)
    assert judge.counts["hubspot.audit"]["actor right"] == len(one.vendor.audits)
    compared = {
        event["event"]["id"]
        for event in one.polled.documents
        if event["event"]["action"] in {"record.create", "record.delete"}
        and event["event"]["dataset"] == "hubspot.diff"
    }
    named = [
        event
        for event in one.polled.documents
        if event["event"]["action"] == "change.attributed" and event["event"]["dataset"] == "hubspot.audit"
    ]
    assert len(named) > 5
    assert {each for event in named for each in event["trail"]["attribution"]["operation_id"]} == compared


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_changes_while_a_question_or_its_answer_is_under_way_have_right_bounds(setting, name):
    one = setting(name, seed=6)
    one.polled.amid = lambda: one.chance.random() < 0.15 and one.day.step()
    one.play(3, every=HOUR, crashes=5)
    one.polled.amid = lambda: None
    one.rest()
    assert right(one.judge())[name]["seen"] > 10


def test_tokens_that_end_and_rotate_stop_nothing(setting):
    one = setting("keap", seed=4)
    one.vendor.grants.life = 1800
    one.play(6, every=300, crashes=6)
    one.rest()
    assert right(one.judge())["keap"]["seen"] > 20
    assert one.vendor.grants.issued > 12
