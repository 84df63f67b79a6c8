"""The input of type `poll`: every item once, whatever happens in between."""

from email.utils import formatdate

import orjson
import pytest

from shipper.errors import DiskError
from shipper.http_client.errors import NoAnswerError
from shipper.inputs._hint import Hint
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.preset import told
from tests.poll_api import CONTACTS, START, Api, Clock, Place, own, source


def rows_of(items):
    """An API with one list, oldest first, from `since` on, in pages of `limit` by a cursor."""

    def answer(method, path, query, headers, body):
        found = [one for one in items if one["at"] >= query.get("since", "")]
        found.sort(key=lambda one: one["at"])
        first = int(query.get("cursor", 0))
        last = first + int(query.get("limit", 100))
        more = str(last) if last < len(found) else None
        return {"rows": found[first:last], "next": more}

    return answer


LIST = {
    "get": "/rows",
    "query": {"since": "{since}", "limit": "{limit}"},
    "items": "rows",
    "id": "id",
    "time": "at",
    "format": "json",
    "order": "ascending",
    "limit": 2,
    "since": {"layout": "iso8601", "overlap": 60, "first": 3600},
    "paging": {"type": "cursor", "parameter": "cursor", "next": "next"},
}


def row(number, at):
    return {"id": number, "at": told(at, "iso8601")}


@pytest.fixture
def items():
    return [row(number, START - 100 + number) for number in range(5)]


def ids(place):
    return [one["id"] for one in place.rows]


def test_every_item_comes_once_though_listings_overlap(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run(600)
    assert ids(place) == [0, 1, 2, 3, 4]
    items.append(row(5, place.clock.at - 3))
    place.run(120)
    assert ids(place) == [0, 1, 2, 3, 4, 5]
    assert place.input.set_aside()["deduplicated"] > 0
    place.input.close()


def test_each_page_is_a_chunk_of_its_own(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run()
    assert [chunk.position["n"] for chunk, _ in place.given] == [1, 1, 2, 2, 3]
    assert [len(chunk.records) for chunk, _ in place.given] == [2, 2, 2, 2, 1]
    place.input.close()


def test_offsets_are_a_running_count_that_goes_on_after_a_restart(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run()
    place.crash()
    items.append(row(5, place.clock.at - 3))
    place.start().run(120)
    end = 0
    for _, record in place.given:
        assert record.offset == end
        end += record.length
    place.input.close()


def test_the_ids_of_the_source_are_told_as_deliveries(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items[:1])), own(**LIST)).start()
    place.run()
    chunk, record = place.given[0]
    assert chunk.deliveries == {record.offset: "0"}
    place.input.close()


@pytest.mark.parametrize("kept", range(4))
def test_what_was_not_kept_before_a_crash_comes_again_and_what_was_does_not(tmp_path, items, kept):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    while place.input.turn() <= 0:
        pass
    for number, chunk in enumerate(place.input.read(10**9), 1):
        if number <= kept:
            place.given += [(chunk, record) for record in chunk.records]
            place.positions[chunk.stream] = dict(chunk.position)
    place.crash()
    place.start().run(120)
    assert sorted(ids(place)) == [0, 1, 2, 3, 4]
    place.input.close()


def test_an_item_that_comes_late_is_found_within_the_overlap(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run(300)
    items.append(row(9, START - 100 + 4 - 50))
    place.run(120)
    assert ids(place)[-1] == 9
    place.input.close()


def test_a_listing_with_the_newest_first_moves_its_cursor_at_its_end_only(tmp_path, items):
    listed = rows_of(items)

    def newest_first(method, path, query, headers, body):
        if query.get("cursor") and broken:
            return Answer(500, {}, b"")
        found = [one for one in items if one["at"] >= query["since"]][::-1]
        first = int(query.get("cursor", 0))
        return {"rows": found[first : first + 2], "next": str(first + 2) if first + 2 < len(found) else None}

    del listed
    broken = [True]
    place = Place(tmp_path, Api(newest_first), own(**{**LIST, "order": "descending"})).start()
    place.run()
    assert ids(place) == [4, 3]
    place.crash()
    broken.clear()
    place.start().run(3600)
    assert ids(place) == [4, 3, 2, 1, 0]
    place.input.close()


def test_an_order_that_the_api_does_not_keep_to_loses_nothing_in_a_crash(tmp_path, items):
    def newest_first(method, path, query, headers, body):
        found = [one for one in items if one["at"] >= query["since"]][::-1]
        first = int(query.get("cursor", 0))
        return {"rows": found[first : first + 2], "next": str(first + 2) if first + 2 < len(found) else None}

    for one, number in zip(items, range(5), strict=True):
        one["at"] = told(START - 3000 + 500 * number, "iso8601")  # further apart than the overlap
    place = Place(tmp_path, Api(newest_first), own(**LIST)).start()
    place.input.turn()
    place.keep()
    assert ids(place) == [4, 3]
    place.crash()
    place.start().run(120)
    assert sorted(ids(place)) == [0, 1, 2, 3, 4]
    place.input.close()


def test_a_time_to_come_does_not_hide_what_comes_until_then(tmp_path, items):
    items.append(row(7, START + 10 * 86400))
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run()
    items.append(row(8, START + 5))
    place.run(120)
    assert 8 in ids(place)
    place.input.close()


def test_an_item_without_an_id_is_known_by_its_bytes(tmp_path):
    same = {"at": told(START - 5, "iso8601"), "what": "a"}
    place = Place(
        tmp_path, Api(lambda *_: {"rows": [same, same, {**same, "what": "b"}], "next": None}), own(**{**LIST, "id": []})
    ).start()
    place.run(300)
    assert [one["what"] for one in place.rows] == ["a", "b"]
    assert place.given[0][0].deliveries == {}
    place.input.close()


def test_numbers_keep_their_digits(tmp_path):
    body = b'{"rows": [ {"id": 1, "at": %d, "pay": 1.10, "big": 12345678901234567890123} ], "next": null}' % int(START)
    place = Place(tmp_path, Api(lambda *_: Answer(200, {}, body)), own(**LIST)).start()
    place.run()
    assert place.given[0][1].data == b'{"id": 1, "at": %d, "pay": 1.10, "big": 12345678901234567890123}' % int(START)
    place.input.close()


# -- troubles ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_busy_is_asked_again_and_nothing_is_lost(tmp_path, items):
    answer, troubles = rows_of(items), [500, 429, 503, 502]

    def busy(*asked):
        return Answer(troubles.pop(), {}, b"") if troubles else answer(*asked)

    place = Place(tmp_path, Api(busy), own(**LIST)).start()
    place.run(120)
    assert ids(place) == [0, 1, 2, 3, 4]
    assert place.input.problems() == []
    place.input.close()


def test_no_request_goes_before_the_time_that_429_asks_for(tmp_path, items):
    answer, clock, times = rows_of(items), Clock(), []

    def limited(*asked):
        times.append(clock.at)
        return Answer(429, {"retry-after": "90"}, b"") if len(times) == 1 else answer(*asked)

    place = Place(tmp_path, Api(limited), own(**LIST), clock).start()
    place.run(200)
    assert times[1] - times[0] >= 90
    place.input.close()


def test_what_the_account_may_not_read_is_said_in_plain_words(tmp_path):
    spec = source(
        preset="makecom",
        settings={"zone": "eu1.make.com", "organization": 11},
        auth={"token": {"token": "t" * 20}},
        choose={
            name: {"enabled": False} for name in ("runs", "incomplete", "blueprints", "organization_variable_history")
        },
    )
    place = Place(tmp_path, Api(lambda *_: Answer(403, {}, b'{"message":"no"}')), spec).start()
    place.run(60)
    [(task, text)] = place.input.problems()
    assert task == "audit_log"
    assert text == (
        "403 on GET /audit-logs/organization/{organization}: needs the Enterprise plan and organization:read; using runs"
        " and blueprint diffs"
    )
    place.input.close()


def test_one_listing_that_fails_does_not_keep_another_from_being_read(tmp_path, items):
    answer = rows_of(items)
    spec = source(api="https://api.example", every=60, resources={"rows": LIST, "other": {**LIST, "get": "/other"}})
    place = Place(
        tmp_path, Api(lambda m, path, *a: Answer(404, {}, b"") if path == "/other" else answer(m, path, *a)), spec
    )
    place.start().run(60)
    assert ids(place) == [0, 1, 2, 3, 4]
    assert [name for name, _ in place.input.problems()] == ["other"]
    place.input.close()


def test_no_answer_at_all_is_a_problem_until_there_is_one(tmp_path, items):
    answer, down = rows_of(items), [True]
    api = Api(lambda *a: NoAnswerError("poll", "api", "Connection refused") if down else answer(*a))
    place = Place(tmp_path, api, own(**LIST)).start()
    place.run(10)
    assert place.input.problems() == [("rows", "GET /rows: Connection refused")]
    down.clear()
    place.run(600)
    assert place.input.problems() == []
    assert ids(place) == [0, 1, 2, 3, 4]
    place.input.close()


def test_a_full_disk_costs_nothing_but_time(tmp_path, items, monkeypatch):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    ledger = place.input._run.ledger
    begin, full = ledger.begin, [True, True]

    def refusing(n):
        if full:
            full.pop()
            raise DiskError("write ledger", "x", "disk full")
        return begin(n)

    monkeypatch.setattr(ledger, "begin", refusing)
    place.run(120)
    assert ids(place) == [0, 1, 2, 3, 4]
    assert place.input.problems() == []
    place.input.close()


def test_nothing_is_asked_while_the_pipeline_takes_nothing(tmp_path):
    big = [{"id": number, "at": told(START, "iso8601"), "fill": "x" * 1_000_000} for number in range(20)]
    api = Api(rows_of(big))
    place = Place(tmp_path, api, own(**LIST)).start()
    for _ in range(50):
        place.input.turn()
    assert len(api.asked) == 3  # two pages are 4 MB, and one more was under way
    place.run()
    assert len(place.rows) == 20
    place.input.close()


def test_a_gap_is_reported_where_the_vendor_keeps_less_than_we_were_away(tmp_path, items):
    clock = Clock()
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST, horizon=30 * 86400), clock).start()
    place.run(60)
    assert place.input.reports() == []
    place.crash()
    clock.at += 40 * 86400
    place.start().run(200)
    [told_] = place.input.reports()
    assert told_.action == "source.gap"
    assert "was not read from 2026-05-28T" in told_.message and "does not keep it" in told_.message
    place.input.close()


def test_a_source_that_is_quiet_for_long_has_no_gap(tmp_path, items):
    clock = Clock()
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST, every=7200, horizon=3 * 86400), clock).start()
    place.run(10 * 86400)
    place.crash()
    place.start().run(200)
    assert place.input.reports() == []
    place.input.close()


def test_once_reads_everything_once_and_is_done(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.input._once = True
    assert not place.input.done()
    place.run()
    assert place.input.done()
    assert ids(place) == [0, 1, 2, 3, 4]
    place.input.close()


def test_statistics_say_how_far_behind_and_when_next(tmp_path, items):
    place = Place(tmp_path, Api(rows_of(items)), own(**LIST)).start()
    place.run(30)
    [one] = place.input.statistics()
    assert one["behind"] == pytest.approx(30) and one["next"] == pytest.approx(30)
    assert (one["lag"], one["state"], one["format"], one["error"]) == (0, "waiting", "json", "")
    assert one["size"] == sum(len(record.data) for _, record in place.given)
    place.input.close()


# -- one listing for each item of another ------------------------------------------------------------------------------


def test_each_parent_has_a_cursor_of_its_own(tmp_path):
    runs = {"a": [row(1, START - 50)], "b": [row(2, START - 40)]}

    def answer(method, path, query, headers, body):
        if path == "/things":
            return {"things": [{"id": name, "name": name.upper()} for name in runs]}
        return {"rows": [one for one in runs[path.split("/")[2]] if one["at"] >= query["since"]]}

    spec = source(
        api="https://api.example",
        every=60,
        resources={
            "things": {"get": "/things", "items": "things", "id": "id", "every": 60},
            "runs": {
                **{k: v for k, v in LIST.items() if k != "paging"},
                "get": "/things/{parent.id}/runs",
                "for_each": "things",
                "add": {"thing": "{parent.name}"},
            },
        },
    )
    api = Api(answer)
    place = Place(tmp_path, api, spec).start()
    place.run(90)
    assert [(one["id"], one["thing"]) for one in place.rows] == [(1, "A"), (2, "B")]
    runs["b"].append(row(3, place.clock.at - 5))
    del runs["a"]
    place.run(180)
    assert [(one["id"], one["thing"]) for one in place.rows] == [(1, "A"), (2, "B"), (3, "B")]
    place.input.close()


@pytest.mark.parametrize(("status", "problems"), [(404, []), (403, [("runs", "403 on GET /things/{parent.id}/runs")])])
def test_a_parent_that_went_away_or_may_not_be_read_does_not_keep_the_others_from_it(tmp_path, status, problems):
    def answer(method, path, query, headers, body):
        if path == "/things":
            return {"things": [{"id": "closed"}, {"id": "b"}]}
        return Answer(status, {}, b"") if "closed" in path else {"rows": [row(2, START - 40)]}

    spec = source(
        api="https://api.example",
        resources={
            "things": {"get": "/things", "items": "things", "id": "id"},
            "runs": {
                "get": "/things/{parent.id}/runs",
                "for_each": "things",
                "items": "rows",
                "id": "id",
                "format": "json",
            },
        },
    )
    place = Place(tmp_path, Api(answer), spec).start()
    place.run(60)
    assert ids(place) == [2]
    assert place.input.problems() == problems
    place.input.close()


def test_a_full_listing_with_a_part_that_cannot_be_read_says_nothing_to_be_deleted(tmp_path):
    closed = []

    def answer(method, path, query, headers, body):
        if path == "/things":
            return {"things": [{"id": "a"}, {"id": "b"}]}
        return Answer(403, {}, b"") if path in closed else {"id": path[-1], "name": "n"}

    spec = source(
        module="desk",
        api="https://api.example",
        every=60,
        resources={
            "things": {"get": "/things", "items": "things", "id": "id"},
            "parts": {"get": "/things/{parent.id}", "for_each": "things", "id": "id", "object": {"type": "part"}},
        },
    )
    place = Place(tmp_path, Api(answer), spec).start()
    place.run(30)
    closed.append("/things/b")
    place.run(300)
    assert place.rows == []
    place.input.close()


# -- objects ----------------------------------------------------------------------------------------------------------


class Crm:
    """Contacts that change."""

    def __init__(self, clock):
        self.clock, self.contacts = clock, {}

    def put(self, identity, **members):
        at = told(self.clock.at, "iso8601")
        self.contacts[identity] = {**self.contacts.get(identity, {}), "id": identity, **members, "updated": at}

    def __call__(self, method, path, query, headers, body):
        if path == "/contacts":
            since = query.get("since", "")
            return {"contacts": [one for one in self.contacts.values() if one["updated"] >= since]}
        one = self.contacts.get(path.rpartition("/")[2])
        return one if one is not None else Answer(404, {}, b"")


@pytest.fixture
def crm(tmp_path):
    clock = Clock()
    api = Crm(clock)
    api.put("1", email="a@co.example")
    api.put("2", email="b@co.example")
    place = Place(
        tmp_path,
        Api(api),
        source(module="desk", api="https://api.example", every=60, resources={"contacts": CONTACTS}),
        clock,
    )
    return api, place


def changes(place):
    return [
        (one["object"]["id"], change["field"], change.get("old"), change.get("new"))
        for one in place.rows
        for change in one.get("changes", [])
    ]


def test_first_sight_is_a_baseline_and_what_changes_then_is_told(crm):
    api, place = crm
    place.start().run(100)
    assert place.rows == []
    api.put("1", email="new@co.example")
    place.run(100)
    assert changes(place) == [("1", "email", "a@co.example", "new@co.example")]
    assert place.given[0][0].format == "snapshot_diff"
    place.input.close()


def test_a_change_during_a_crash_is_told_once(crm):
    api, place = crm
    place.start().run(100)
    api.put("1", email="new@co.example")
    while place.input.turn() <= 0 or place.clock.at < START + 200:
        place.clock.at += 10
    place.crash()  # it was found, and never kept
    place.start().run(200)
    assert changes(place) == [("1", "email", "a@co.example", "new@co.example")]
    place.crash()
    place.start().run(200)
    assert len(changes(place)) == 1
    place.input.close()


def test_a_hint_makes_us_look_at_once_and_the_change_is_told_once(crm):
    api, place = crm
    place.start().run(65)
    api.put("2", email="hooked@co.example")
    place.input.hints([(Hint("changed", "contact", "2"), "d-1")])
    place.run(1)
    assert changes(place) == [("2", "email", "b@co.example", "hooked@co.example")]
    chunk, record = place.given[0]
    assert chunk.deliveries == {record.offset: "d-1"}
    place.run(300)
    assert len(changes(place)) == 1
    place.input.close()


def test_a_hint_outlives_a_crash(crm):
    api, place = crm
    place.start().run(5)
    api.put("2", email="hooked@co.example")
    place.input.hints([(Hint("changed", "contact", "2"), None)])
    place.crash()
    place.start().run(1)
    assert changes(place) == [("2", "email", "b@co.example", "hooked@co.example")]
    place.crash()
    asked = len(place.api.asked)
    place.start().run(1)
    assert not any(path == "/contacts/2" for _, path, *_ in place.api.asked[asked:])
    place.input.close()


def test_many_hints_for_one_object_are_one_request(crm):
    _, place = crm
    place.start().run(5)
    for number in range(20):
        place.input.hints([(Hint("changed", "contact", "2"), f"d-{number}")])
    asked = len(place.api.asked)
    place.run(1)
    assert [path for _, path, *_ in place.api.asked[asked:]] == ["/contacts/2"]
    place.input.close()


def test_a_hint_for_what_is_not_read_is_forgotten(crm):
    _, place = crm
    place.start().run(5)
    place.input.hints([(Hint("changed", "invoice", "2"), None)])
    place.run(5)
    assert list(place.input._run.ledger.scan("hint")) == []
    place.input.close()


def test_what_a_full_listing_lacks_is_deleted_once_a_reading_says_so(crm):
    api, place = crm
    place.start().run(100)
    del api.contacts["2"]
    place.run(200)
    assert place.rows == []
    place.clock.at += 86400
    place.run(200)
    [one] = place.rows
    assert one["action"] == "record.delete" and one["object"]["id"] == "2"
    place.input.close()


def test_what_a_page_missed_and_a_reading_finds_is_not_deleted(crm):
    _, place = crm
    place.start().run(100)
    listed = place.api.answer

    def lossy(method, path, query, headers, body):
        found = listed(method, path, query, headers, body)
        return {"contacts": found["contacts"][:1]} if path == "/contacts" else found

    place.api.answer = lossy
    place.clock.at += 86400
    place.run(200)
    assert any(path == "/contacts/2" for _, path, *_ in place.api.asked)
    assert place.rows == []
    place.input.close()


def test_most_objects_do_not_go_at_once_without_a_second_listing_saying_so(tmp_path):
    clock = Clock()
    api = Crm(clock)
    for number in range(30):
        api.put(str(number), email="a@co.example")
    spec = {**CONTACTS, "object": {**CONTACTS["object"], "read": None}}
    place = Place(
        tmp_path,
        Api(api),
        source(module="desk", api="https://api.example", every=3600, resources={"contacts": spec}),
        clock,
    )
    place.start().run(100)
    hidden = dict(api.contacts)
    for number in range(25):
        del api.contacts[str(number)]
    place.run(86400)
    assert place.rows == []
    [report] = place.input.reports()
    assert "lacks 25 of 30" in report.message
    api.contacts.update(hidden)
    place.run(86400)
    assert place.rows == []
    place.input.close()


def test_a_restart_does_not_begin_a_full_listing_before_its_time(crm):
    _, place = crm
    place.start().run(100)
    place.crash()
    asked = len(place.api.asked)
    place.start().run(100)
    assert all("since" in query for _, path, query, *_ in place.api.asked[asked:] if path == "/contacts")
    place.input.close()


def test_a_hook_that_was_given_up_is_verified_again_and_told(tmp_path):
    spec = source(preset="keap", auth={"bearer": {"token": "t" * 20}})
    posted = []

    def answer(method, path, query, headers, body):
        if path.endswith("/hooks"):
            return [
                {"key": "h1", "status": "Inactive", "eventKey": "contact.edit"},
                {"key": "h2", "status": "Verified"},
            ]
        if method == "POST":
            posted.append(path)
            return {}
        return Answer(404, {}, orjson.dumps({}))

    place = Place(tmp_path, Api(answer), spec).start()
    place.run(60)
    assert posted == ["/crm/rest/v1/hooks/h1/verify"]
    [report] = place.input.reports()
    assert report.action == "source.silence" and "hook h1 of Keap" in report.message
    place.input.close()


def test_a_record_of_the_source_names_who_made_a_change_that_was_told(tmp_path):
    """Keap's stage moves come with who moved; the comparison of opportunities may have told the move before."""
    clock = Clock()
    crm = {"id": "5", "stage": "10", "updated": told(START, "iso8601")}
    moves = []

    def answer(method, path, query, headers, body):
        return {"moves": moves} if path == "/moves" else {"rows": [crm]}

    spec = source(
        preset="keap",
        auth={"bearer": {"token": "t" * 20}},
        api="https://api.example",
        choose={key: {"enabled": False} for key in ("contacts", "opportunities", "stage_moves", "users")},
        resources={
            "deals": {
                "get": "/deals",
                "items": "rows",
                "id": "id",
                "time": "updated",
                "object": {"type": "opportunity", "ignore": ["updated"]},
                "every": 60,
            },
            "moves": {"get": "/moves", "items": "moves", "id": "id", "format": "keap", "every": 60},
        },
    )
    place = Place(tmp_path, Api(answer), spec, clock).start()
    place.run(10)
    clock.at += 30
    crm.update(stage="11", updated=told(clock.at, "iso8601"))
    moved = {"opportunity_id": "5", "move_from_stage_id": "10", "move_to_stage_id": "11", "user_id": "7"}
    place.run(100)
    [found] = place.rows
    assert found["changes"][0]["new"] == "11"
    moves.append({"id": "901", "move_time": told(clock.at - 90, "iso8601"), **moved})
    place.run(100)
    [_, named] = place.rows
    assert named["action"] == "change.attributed"
    assert named["attribution"]["operation_id"] == [found["id"]]
    assert [chunk.format for chunk, _ in place.given] == ["snapshot_diff", "snapshot_diff"]
    moves.append({"id": "902", "move_time": told(clock.at, "iso8601"), **moved, "opportunity_id": "6"})
    place.run(100)
    assert place.given[-1][0].format == "keap" and len(place.given) == 3
    place.input.close()


def test_the_servers_clock_counts_and_a_large_difference_is_told(tmp_path, items):
    ahead = 7200.0
    for number, one in enumerate(items):
        one["at"] = told(START + ahead - 100 + number, "iso8601")
    answer, clock = rows_of(items), Clock()

    def dated(*asked):
        return Answer(200, {"date": formatdate(clock.at + ahead, usegmt=True)}, orjson.dumps(answer(*asked)))

    place = Place(tmp_path, Api(dated), own(**LIST), clock).start()
    place.run(200)
    assert ids(place) == [0, 1, 2, 3, 4]
    assert place.input.problems() == [("clock", "the server's is about 2 h 0 min apart from ours")]
    [one] = place.input.statistics()
    assert one["behind"] < 61
    place.input.close()


def test_ids_are_forgotten_once_no_listing_can_bring_them_again(tmp_path):
    clock, kept = Clock(), []
    rows = []
    place = Place(tmp_path, Api(rows_of(rows)), own(**{**LIST, "limit": 100, "every": 3600}), clock).start()
    for number in range(10):
        rows.append(row(number, clock.at - 1))
        place.run(86400)
        kept.append(sum(place.input._run.ledger.has_delivery(f"rows\0{one}") for one in range(10)))
    assert ids(place) == list(range(10))
    assert max(kept) <= 4
    place.input.close()
