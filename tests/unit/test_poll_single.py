"""Objects that are read one by one, and what is believed to be deleted: a fault must not become a deletion."""

import os
from base64 import b64encode
from collections import Counter

import orjson
import pytest

from shipper.inputs._hint import Hint
from shipper.inputs._ledger import Ledger
from shipper.inputs.poll.auth import Auth
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.keeping import Tokens
from shipper.inputs.poll.objects import Objects
from shipper.inputs.poll.paging import Ask
from shipper.inputs.poll.preset import told
from shipper.inputs.poll.session import Absent, Session
from shipper.inputs.poll.single import CROWD
from shipper.inputs.poll.tasks import PATIENCE
from tests.poll_api import START, Api, Clock, Place, own, source

HOUR, DAY = 3600.0, 86400.0
PAGE = b"<html>not found</html>"


class People:
    """An API whose list only names people, each of whom is read; `trouble` answers in place of a reading."""

    def __init__(self, clock, count):
        self.clock = clock
        self.people = {str(number): {"id": str(number), "pay": 1} for number in range(count)}
        self.changed = dict.fromkeys(self.people, told(START - 10_000, "iso8601"))
        self.trouble = None
        self.read = Counter()

    def put(self, identity, **members):
        self.people[identity] = {"id": identity, **members}
        self.changed[identity] = told(self.clock.at, "iso8601")

    def __call__(self, method, path, query, headers, body):
        if path == "/people":
            found = [{"id": one, "at": at} for one, at in self.changed.items() if at >= query["since"]]
            return {"people": found}
        identity = path.rpartition("/")[2]
        self.read[identity] += 1
        if self.trouble is not None:
            return self.trouble
        return self.people.get(identity) or Answer(404, {}, b'{"error": "no such person"}')


@pytest.fixture
def staff(tmp_path):
    def make(count):
        clock = Clock()
        api = People(clock, count)
        spec = source(
            module="desk",
            api="https://api.example",
            every=300,
            resources={
                "people": {
                    "get": "/people",
                    "query": {"since": "{since}"},
                    "items": "people",
                    "id": "id",
                    "time": "at",
                    "since": {"overlap": 60},
                    "object": {"type": "person", "partial": True, "read": "/people/{id}", "reconcile": DAY},
                }
            },
        )
        place = Place(tmp_path, Api(api), spec, clock).start()
        place.run(100)
        assert place.rows == []
        return api, place

    return make


def actions(place):
    return [(one["action"], one["object"]["id"]) for one in place.rows]


def hint(place, *identities, kind="changed"):
    place.input.hints([(Hint(kind, "person", one), None) for one in identities])


# -- not found --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [PAGE, b'{"error": "no route"}', b""])
def test_a_day_on_which_nothing_is_found_for_a_while_deletes_nobody(staff, body):
    api, place = staff(40)
    api.trouble = Answer(404, {}, body)
    place.run(DAY + HOUR / 2)
    assert place.rows == []
    [report] = place.input.reports()
    assert report.action == "source.gap"
    assert "of people were not found, one after another" in report.message
    asked = sum(api.read.values())
    api.trouble = None
    api.put("7", pay=2)
    place.run(3 * HOUR)
    assert [one["changes"][0]["new"] for one in place.rows] == [2]
    assert sum(api.read.values()) - asked >= 40 - CROWD
    assert place.input.reports() == []
    place.input.close()


def test_what_is_not_found_an_hour_later_either_is_deleted(staff):
    api, place = staff(30)
    gone = [str(number) for number in range(CROWD + 5)]
    for one in gone:
        del api.people[one]
        api.changed.pop(one)
    hint(place, *gone)
    place.run(HOUR / 2)
    assert place.rows == []
    place.run(3 * HOUR)
    assert sorted(actions(place)) == sorted(("record.delete", one) for one in gone)
    place.input.close()


def test_a_few_that_are_not_found_are_deleted_at_once(staff):
    api, place = staff(5)
    for one in ("1", "2"):
        del api.people[one]
    hint(place, "1", "2")
    place.run(1)
    assert actions(place) == [("record.delete", "1"), ("record.delete", "2")]
    assert list(place.input._run.ledger.scan("hint")) == []
    assert place.input.reports() == []
    place.input.close()


def test_many_that_are_not_found_are_deleted_at_once_where_the_way_is_seen_to_be_right(staff):
    api, place = staff(20)
    gone = [str(number) for number in range(CROWD - 1)]
    for one in gone:
        del api.people[one]
    hint(place, *gone, "19")
    place.run(1)
    assert actions(place) == [("record.delete", one) for one in gone]
    place.input.close()


def test_many_of_which_hooks_say_that_they_were_deleted_are_deleted_at_once(staff):
    api, place = staff(40)
    gone = [str(number) for number in range(30)]
    for one in gone:
        del api.people[one]
    hint(place, *gone, kind="deleted")
    place.run(10)
    assert actions(place) == [("record.delete", one) for one in gone]
    place.input.close()


def test_a_page_for_people_in_place_of_an_answer_deletes_nobody_and_the_hint_stays(staff):
    api, place = staff(5)
    api.trouble = Answer(404, {}, PAGE)
    api.put("3", pay=9)
    hint(place, "3")
    place.run(200)
    assert place.rows == []
    api.trouble = None
    hint(place, "4")
    place.run(10)
    # One that is found shows that the way is right: what was doubted is looked at again.
    assert [one["changes"][0]["new"] for one in place.rows] == [9]
    place.input.close()


def test_while_many_are_doubted_others_are_still_read(staff):
    api, place = staff(40)
    gone = [str(number) for number in range(CROWD)]
    for one in gone:
        del api.people[one]
    hint(place, *gone)
    place.run(60)
    assert place.rows == []
    api.people["30"] = {"id": "30", "pay": 3}
    hint(place, "30")
    place.run(60)
    assert actions(place) == [("field.update", "30")]
    place.run(3 * HOUR)
    assert sorted(actions(place)[1:]) == sorted(("record.delete", one) for one in gone)
    place.input.close()


# -- answers that say nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer(200, {}, PAGE), Answer(403, {}, b"{}"), Answer(400, {}, b"{}")])
def test_a_hint_outlives_answers_that_say_nothing(staff, answer):
    api, place = staff(3)
    api.put("0", pay=2)
    api.trouble = answer
    hint(place, "0", "1")
    place.run(600)
    assert place.rows == []
    assert place.input.problems() != []
    api.trouble = None
    place.run(HOUR)
    assert [(one["object"]["id"], one["changes"][0]["new"]) for one in place.rows] == [("0", 2)]
    assert place.input.reports() == []
    place.input.close()


def test_a_hint_that_never_leads_to_anything_is_given_up_and_that_is_told(staff):
    api, place = staff(3)
    api.trouble = Answer(400, {}, b"{}")
    before = sum(api.read.values())
    hint(place, "0", "1")
    place.run(12 * HOUR)
    assert sum(api.read.values()) - before == 2 * PATIENCE
    assert list(place.input._run.ledger.scan("hint")) == []
    reports = place.input.reports()
    assert sum(int(one.message.split()[0]) for one in reports) == 2
    assert all(one.action == "source.gap" and "could not be read" in one.message for one in reports)
    place.input.close()


def test_many_new_hints_do_not_use_up_the_patience_with_one(staff):
    api, place = staff(3)
    api.trouble = Answer(400, {}, b"{}")
    before = api.read["0"]
    hint(place, "0")
    place.run(1)
    for _ in range(50):
        hint(place, "0")
        place.run(1)
    assert api.read["0"] - before == 1
    place.input.close()


def test_an_item_that_is_no_object_keeps_no_listing_from_its_end(tmp_path):
    listed = [{"id": 1, "a": 1}, None, 7]
    spec = {"get": "/u", "items": "u", "id": "id", "object": {"type": "user"}}
    place = Place(
        tmp_path,
        Api(lambda *_: {"u": listed}),
        source(module="desk", api="https://api.example", every=60, resources={"u": spec}),
    ).start()
    place.run(100)
    listed[0] = {"id": 1, "a": 2}
    place.run(100)
    assert [one["changes"][0]["new"] for one in place.rows] == [2]
    assert place.input.problems() == []
    assert place.input._run.keeping.looks("u")["unusable"] > 2
    place.input.close()


def test_what_a_listing_of_highlevel_and_a_reading_show_otherwise_is_no_change(tmp_path):
    both = {
        "id": "1",
        "firstName": "Jo",
        "email": "a@co.example",
        "tags": [],
        "dateAdded": told(START - DAY, "iso8601"),
    }
    both["dateUpdated"] = both["dateAdded"]
    listed = {**both, "address": "1 Main St", "phoneLabel": None, "followers": [], "searchAfter": [1, "1"]}
    read = {**both, "address1": "1 Main St", "emailLowerCase": "a@co.example", "timezone": "UTC"}

    def answer(method, path, query, headers, body):
        return {"contacts": [listed]} if path == "/contacts/search" else {"contact": read}

    spec = source(
        preset="highlevel",
        settings={"location": "L"},
        auth={"bearer": {"token": "t"}},
        choose={name: {"enabled": False} for name in ("opportunities", "users")},
    )
    place = Place(tmp_path, Api(answer), spec).start()
    for _ in range(3):
        place.input.hints([(Hint("changed", "contact", "1"), None)])
        place.run(HOUR)
    assert sum(path == "/contacts/1" for _, path, *_ in place.api.asked) == 3
    assert place.rows == []
    for one in (listed, read):
        one |= {"firstName": "Joan", "dateUpdated": told(place.clock.at, "iso8601")}
    place.input.hints([(Hint("changed", "contact", "1"), None)])
    place.run(HOUR)
    assert [[change["field"] for change in one["changes"]] for one in place.rows] == [["firstName"]]
    place.input.close()


# -- listings of what cannot be read again ----------------------------------------------------------------------------


@pytest.fixture
def users(tmp_path):
    def make(count):
        listed = {number: {"id": number, "role": "user"} for number in range(count)}
        place = Place(
            tmp_path,
            Api(lambda *_: {"u": list(listed.values())}),
            source(
                module="desk",
                api="https://api.example",
                every=HOUR,
                resources={"u": {"get": "/u", "items": "u", "id": "id", "object": {"type": "user"}}},
            ),
        ).start()
        place.run(10)
        return listed, place

    return make


def test_one_that_a_listing_lacks_is_deleted_once_the_next_one_lacks_it_too(users):
    listed, place = users(5)
    del listed[3]
    place.run(HOUR)
    assert place.rows == []
    place.run(HOUR)
    assert actions(place) == [("record.delete", "3")]
    place.input.close()


def test_one_that_a_listing_lacks_by_mistake_is_neither_deleted_nor_restored(users):
    listed, place = users(5)
    for number in (3, 4, 3):
        hidden = listed.pop(number)
        place.run(HOUR)
        listed[number] = hidden
        place.run(HOUR)
    assert place.rows == []
    place.input.close()


def test_two_listings_that_lack_one_may_have_a_restart_between_them(users):
    listed, place = users(5)
    del listed[3]
    place.run(HOUR)
    place.crash()
    place.start().run(HOUR + 10)
    assert actions(place) == [("record.delete", "3")]
    place.input.close()


@pytest.mark.parametrize("count", [1, 9, 30])
def test_a_listing_of_nothing_is_doubted_whatever_the_size_of_the_account(users, count):
    listed, place = users(count)
    there = dict(listed)
    listed.clear()
    place.run(HOUR)
    [report] = place.input.reports()
    assert f"lacks {count} of {count}" in report.message
    listed.update(there)
    place.run(2 * HOUR)
    assert place.rows == []
    listed.clear()
    place.run(2 * HOUR)
    assert len(place.rows) == count
    place.input.close()


# -- what hooks carry -------------------------------------------------------------------------------------------------


def carried(tmp_path, **more):
    spec = {"get": "/u", "items": "u", "id": "id", "time": "t", "object": {"type": "user", "ignore": ["t"], **more}}
    api = {"id": "1", "v": "A", "t": told(START - 100, "iso8601")}

    def answer(method, path, query, headers, body):
        return {"u": [api]} if path == "/u" else Answer(404, {}, b"")

    return Place(
        tmp_path, Api(answer), source(module="desk", api="https://api.example", every=DAY, resources={"u": spec})
    ).start()


def snapshot(value, before):
    return orjson.dumps({"id": "1", "v": value, "t": told(START - before, "iso8601")})


def test_each_object_that_a_hook_carried_counts_in_the_order_of_its_own_time(tmp_path):
    place = carried(tmp_path, hints="snapshot")
    place.run(1)
    for value, before in (("C", 10), ("B", 20), ("D", 5)):
        place.input.hints([(Hint("changed", "user", "1", snapshot(value, before)), f"d-{value}")])
    place.run(100)
    assert [(one["changes"][0]["old"], one["changes"][0]["new"]) for one in place.rows] == [
        ("A", "B"),
        ("B", "C"),
        ("C", "D"),
    ]
    assert [list(chunk.deliveries.values()) for chunk, _ in place.given] == [["d-B"], ["d-C"], ["d-D"]]
    assert list(place.input._run.ledger.scan("hint")) == []
    place.input.close()


def test_what_hooks_carried_is_taken_before_what_they_say_was_deleted_is_read(tmp_path):
    place = carried(tmp_path, hints="snapshot", read="/u/{id}")
    place.run(1)
    place.input.hints(
        [(Hint("deleted", "user", "1"), "d-gone"), (Hint("changed", "user", "1", snapshot("B", 20)), "d-B")]
    )
    place.run(100)
    assert [one["action"] for one in place.rows] == ["field.update", "record.delete"]
    place.input.close()


@pytest.mark.parametrize("hints", ["snapshot", "read"])
def test_what_a_hook_carried_lies_nowhere_in_clear_neither_before_nor_after_it_was_taken(tmp_path, hints):
    place = carried(tmp_path, hints=hints, read="/u/{id}")
    place.run(1)
    secret = b"kim@x.example"
    place.input.hints([(Hint("changed", "user", "1", snapshot(secret.decode(), 10)), None)])
    folder = tmp_path / "inputs"
    written = [file.read_bytes() for file in folder.iterdir()]
    place.run(100)
    place.input.close()
    written += [file.read_bytes() for file in folder.iterdir()]
    assert len(written) > 2
    assert not any(secret in one or b64encode(secret)[:12] in one for one in written)


def test_a_kept_refresh_token_lies_nowhere_in_clear_and_is_read_again(tmp_path):
    ledger = Ledger.open(tmp_path / "in.db", 0)
    spec = source(module="desk", api="https://api.example", resources={"u": {"get": "/u", "format": "json"}})
    (tmp_path / "keys").mkdir(mode=0o700)
    made = Objects(ledger, spec, tmp_path / "keys", os.urandom)
    tokens = Tokens(ledger, made.snapshots)
    assert tokens.get() is None
    tokens.put(b"refresh-token-1")
    assert tokens.get() == b"refresh-token-1"
    tokens.put(b"refresh-token-2")
    written = [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()]
    ledger.close()
    written.append((tmp_path / "in.db").read_bytes())
    assert not any(b"refresh-token" in one for one in written)


# -- when an answer is from -------------------------------------------------------------------------------------------


class Slow:
    """An API that takes its time, by its own clock."""

    def __init__(self, clock, takes, date=None, status=200):
        self.clock, self.takes, self.date, self.status = clock, takes, date, status

    def send(self, method, url, headers, body=None):
        self.clock.at += self.takes
        told_ = {} if self.date is None else {"date": self.date}
        return Answer(self.status, told_, b"{}")

    def cut(self):
        pass

    def close(self):
        pass


def session_of(sender, clock):
    spec = own(get="/r", items="rows", format="json")
    return Session(spec, sender, Auth(spec.auth, "in", None), clock, lambda: 0.0)


def test_an_answer_is_from_some_moment_since_it_was_asked_for():
    clock = Clock()
    outcome = session_of(Slow(clock, 20.0), clock).send(Ask("GET", "https://api.example/r", {}, None, "GET /r"))
    assert outcome.heard == START + 20
    # The clocks may differ by two seconds, of which nobody can say.
    assert outcome.asked == START - 2


def test_that_nothing_is_there_is_from_some_moment_as_well():
    clock = Clock()
    outcome = session_of(Slow(clock, 5.0, status=404), clock).send(Ask("GET", "https://api.example/r", {}, None, "r"))
    assert isinstance(outcome, Absent)
    assert (outcome.asked, outcome.heard, outcome.plain) == (START - 2, START + 5, True)
