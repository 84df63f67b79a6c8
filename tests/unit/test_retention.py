"""What may be deleted by age is said in advance, and never of anything younger."""

import json

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shipper import retention
from shipper.config import RetentionSection, parse
from shipper.connect import remarks
from shipper.errors import DiskError
from shipper.recover import Watermark
from shipper.retention import AHEAD, DAY, Retention
from shipper.seal.note import checkpoint_text, log_id, sign
from tests.tailing import StandingClock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "test.example/audit/t1/20260203T103000Z-0a1b2c3d"
NEXT = "test.example/audit/t1/20260303T103000Z-0a1b2c3e"
LOG, NEXT_LOG = log_id(ORIGIN), log_id(NEXT)


def mark(size, origin=ORIGIN, earlier=()):
    return Watermark(origin, size, 1, "", "", tuple(earlier))


def closed(origin, size):
    """A generation that has ended, as the watermark names it."""
    note = sign(checkpoint_text(origin, size, bytes(32)), origin, KEY)
    return {"origin": origin, "genesis": "", "note": note}


class Days:
    """A log that grows by ten leaves a day, watched for years."""

    def __init__(self, place, days=30):
        self.place, self.days, self.clock = place, days, StandingClock()
        self.size, self.origin, self.earlier = 0, ORIGIN, ()
        self.began = self.clock.wall
        self.start()

    def start(self):
        section = None if self.days is None else RetentionSection(days=self.days)
        self.memory = Retention(self.place, section, self.clock)

    def pass_by(self, days=1.0):
        self.clock.wall += days * DAY
        self.clock.mono += days * DAY

    def day(self):
        """One more day; what is said at its end."""
        self.size += 10
        self.pass_by()
        return self.look()

    def look(self):
        return self.memory.look(mark(self.size, self.origin, self.earlier))

    def lines(self):
        return [json.loads(text) for text in self.place.read_text().splitlines()]


@pytest.fixture
def days(tmp_path):
    return Days(tmp_path / "retention")


def test_nothing_is_said_while_nothing_is_old_enough(days):
    assert [days.day() for _ in range(30 - AHEAD)] == [[]] * (30 - AHEAD)


def test_each_day_it_is_said_below_which_leaf_everything_is_old_enough(days):
    said = [days.day() for _ in range(40)]
    first = next(number for number, one in enumerate(said) if one)
    assert said[first] == [{"log": LOG, "days": 30, "below": 10}]
    assert [one[0]["below"] for one in said[first:]] == list(range(10, 10 * (41 - first), 10))


def test_it_is_said_before_a_destination_deletes_and_at_most_four_days_early(days):
    """A document of day n (from 0) has an index below 10 (n + 1) and may be deleted from day n + 30 on."""
    for now in range(1, 100):
        for payload in days.day():
            newest = payload["below"] // 10 - 1  # the day of the newest document that it speaks of
            assert newest + 30 - (AHEAD + 1) <= now <= newest + 30


def test_what_is_said_again_only_says_more(days):
    said = [payload["below"] for _ in range(50) for payload in days.day()]
    assert said == sorted(set(said))
    assert days.look() == []


def test_there_is_one_line_a_day_and_none_that_nobody_needs(days):
    for _ in range(200):
        days.day()
    lines = days.lines()
    assert len(lines) <= 33
    assert [line["size"] for line in lines] == list(range(lines[0]["size"], 2001, 10))
    assert {line["log"] for line in lines} == {LOG}


def test_looking_more_often_adds_no_line(days):
    days.day()
    for _ in range(20):
        days.size += 1
        days.pass_by(0.04)
        assert days.look() == []
    assert len(days.lines()) == 1


def test_after_a_start_the_memory_goes_on_and_agents_started_often_say_no_more(days):
    for _ in range(50):
        days.day()
    before = days.lines()
    said = []
    for _ in range(23):
        days.start()
        days.pass_by(1 / 24)
        said += days.look()
    assert said == [] and days.lines() == before
    days.start()
    days.pass_by(1 / 24)
    assert [payload["below"] for payload in days.look()] == [240]
    assert len(days.lines()) <= len(before) + 1


def test_what_a_kill_took_with_it_is_said_the_next_day_and_still_in_time(days):
    for _ in range(50):
        days.day()
    days.start()  # the leaf of today was never kept
    (payload,) = days.day()
    assert payload["below"] // 10 - 1 + 30 >= 51


def test_a_memory_that_is_gone_announces_nothing_for_its_time(days):
    for _ in range(40):
        days.day()
    days.place.unlink()
    days.start()
    said = [days.day() for _ in range(30 - AHEAD)]
    assert said == [[]] * (30 - AHEAD)
    assert days.day() == [{"log": LOG, "days": 30, "below": 410}]


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\x00",
        b"[]\n",
        b'{"time": "x"}\n',
        b'{"time":1,"log":"a","size":-1}\n',
        b'{"time":1,"log":"a","size":true}\n',
    ],
)
def test_damaged_lines_announce_nothing_and_end_no_agent(days, damage, monkeypatch):
    told = []
    monkeypatch.setattr(retention.telemetry, "retention_not_kept", lambda *, cause: told.append(cause))
    for _ in range(40):
        days.day()
    days.place.write_bytes(damage + days.place.read_bytes())
    days.start()
    assert len(told) == 1
    assert days.day() == []


def test_a_file_that_cannot_be_written_is_tried_again_and_told_once(days, monkeypatch):
    told = []
    monkeypatch.setattr(retention.telemetry, "retention_not_kept", lambda *, cause: told.append(cause))

    def full(*_):
        raise DiskError("write", "x", "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(retention, "replace_sync", full)
        for _ in range(3):
            days.day()
    assert len(told) == 1 and not days.place.exists()
    days.pass_by(retention.RETRY / DAY)
    days.look()
    assert len(days.lines()) == 1


def test_an_earlier_generation_is_announced_up_to_its_last_checkpoint(days):
    for _ in range(5):
        days.day()
    days.origin, days.earlier = NEXT, (closed(ORIGIN, 57),)
    days.size = 0
    said = [payload for _ in range(60) for payload in days.day()]
    assert max(payload["below"] for payload in said if payload["log"] == LOG) == 57
    assert max(payload["below"] for payload in said if payload["log"] == NEXT_LOG) > 200
    first = next(number for number, payload in enumerate(said) if payload["log"] == NEXT_LOG)
    assert all(payload["log"] == LOG for payload in said[:first])


def test_a_generation_whose_note_is_none_is_left_out(days):
    days.earlier = ({"origin": NEXT, "genesis": "", "note": ""},)
    days.day()
    assert [line["log"] for line in days.lines()] == [LOG]


def test_a_clock_that_leaps_ahead_makes_nothing_old(days):
    """A machine that begins in 1970 and learns the time later."""
    days.clock.wall = 0.0
    days.start()
    for _ in range(3):
        days.day()
    days.clock.wall = days.began
    assert [days.day() for _ in range(30 - AHEAD)] == [[]] * (30 - AHEAD)
    assert days.day()


def test_a_clock_that_was_ahead_delays_what_is_said_and_no_longer_than_that(days):
    days.clock.wall += 3000 * DAY
    days.start()
    days.day()
    days.clock.wall -= 3000 * DAY
    days.start()
    said = [days.day() for _ in range(30)]
    assert said[: 30 - AHEAD - 1] == [[]] * (30 - AHEAD - 1)
    assert any(said)


def test_a_short_retention_is_watched_more_often(tmp_path):
    days = Days(tmp_path / "retention", days=1)
    said = []
    for hour in range(1, 60):
        days.size += 1
        days.pass_by(1 / 24)
        said += [(hour, payload["below"]) for payload in days.look()]
    assert said[0][0] >= 24 - AHEAD - 1
    assert all(below + 24 - (AHEAD + 1) <= hour <= below - 1 + 24 for hour, below in said)


def test_without_retention_nothing_is_written_or_said(tmp_path):
    days = Days(tmp_path / "retention", days=None)
    assert [days.day() for _ in range(700)] == [[]] * 700
    assert not days.place.exists()


def test_before_the_first_checkpoint_there_is_nothing_to_remember(days):
    days.pass_by()
    assert days.memory.look(None) == []
    assert not days.place.exists()


def test_the_file_is_one_object_a_line(days):
    days.day()
    (text,) = days.place.read_bytes().splitlines()
    assert orjson.loads(text) == {"time": days.clock.wall, "log": LOG, "size": 10}


@pytest.mark.parametrize(
    ("text", "found"), [("", 550), ("retention: {}", 550), ("retention: {days: 30}", 30), ("retention: null", None)]
)
def test_the_configuration_says_for_how_long(text, found):
    section = parse(text, "c.yaml").retention
    assert (None if section is None else section.days) == found


# -- clocks that are wrong ---------------------------------------------------------------------------------------------


def test_nothing_is_concluded_while_the_clock_is_not_set(days):
    for _ in range(3):
        days.day()
    before, right = days.lines(), days.clock.wall
    days.clock.wall = 0.0
    days.start()
    assert [days.day() for _ in range(3)] == [[]] * 3
    assert days.lines() == before
    days.clock.wall = right + 3 * DAY
    days.start()
    assert days.day() == [] and days.size == 70


@pytest.mark.parametrize("again", [True, False])
def test_a_clock_that_was_behind_for_a_while_makes_nothing_old_and_spoils_no_earlier_line(days, again):
    days.pass_by(1000)
    for _ in range(3):
        days.day()
    before, right = days.lines()[-3:], days.clock.wall
    days.clock.wall -= 900 * DAY
    days.start()
    assert [days.day() for _ in range(3)] == [[]] * 3
    assert days.lines()[: len(before)] == before
    days.clock.wall = right + 3 * DAY
    if again:
        days.start()
    assert [days.day() for _ in range(20)] == [[]] * 20
    assert any(days.day() for _ in range(10))


def test_what_a_machine_that_sleeps_at_night_remembers_grows_old(days):
    """Its monotonic clock stands meanwhile: a line is not called older than the hours that were counted."""
    said = []
    for _ in range(40):
        days.clock.wall += 7200
        said += days.day()
    assert [payload["below"] for payload in said] == list(range(10, 10 * len(said) + 10, 10))
    assert len(said) == 40 - (30 - AHEAD)
    assert len(days.lines()) <= 33


# -- whether it is announced at all ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("retention: {days: 30}", 30),
        ("outputs: [{id: a, type: store}]", None),
        ("outputs: [{id: a, type: opensearch, hosts: ['https://search.example:9200']}]", 550),
        ("outputs: [{id: a, type: opensearch, hosts: ['https://search.example:9200']}]\nretention: null", None),
    ],
)
def test_it_is_announced_where_an_output_deletes_by_age_or_somebody_asks_for_it(text, found):
    section = retention.announced(parse(text, "c.yaml"))
    assert (None if section is None else section.days) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 0),
        ("retention: {days: 30}", 1),
        ("retention: null", 0),
        ("retention: {days: 30}\noutputs: [{id: a, type: opensearch, hosts: ['https://search.example:9200']}]", 0),
    ],
)
def test_validate_remarks_on_a_retention_that_no_output_has(text, told):
    assert len([one for one in remarks(parse(text, "c.yaml")) if "set retention: null" in one]) == told
