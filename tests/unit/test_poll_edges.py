"""What an API does seldom, and what must be neither lost nor doubled then."""

import threading
import time
from email.utils import formatdate

import orjson
import pytest

from shipper.errors import DiskError, UnavailableError
from shipper.inputs.poll import keeping
from shipper.inputs.poll.auth import DeniedError
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.preset import told
from tests.poll_api import OAUTH, START, Api, Clock, Place, Store, TokenServer, auth, own, source

DAY = 86400.0


def iso(at):
    return told(at, "iso8601")


def objects(**resource):
    """A source with one resource of objects."""
    return source(module="desk", api="https://api.example", every=60, resources={"things": resource})


def actions(place):
    return [(one.get("action"), one["object"]["id"]) for one in place.rows]


# -- pages -------------------------------------------------------------------------------------------------------------


def test_an_empty_page_in_the_middle_deletes_nobody(tmp_path):
    pages = {None: [1, 2], "b": [3, 4], "c": [5, 6]}
    hidden = []

    def answer(method, path, query, headers, body):
        here = query.get("c")
        rows = [{"id": one} for one in pages[here] if one not in hidden]
        return {"rows": rows, "next": {None: "b", "b": "c", "c": None}[here]}

    paging = {"type": "cursor", "parameter": "c", "next": "next"}
    spec = objects(
        get="/things", items="rows", id="id", paging=paging, object={"type": "thing", "read": "/things/{id}"}
    )
    place = Place(tmp_path, Api(answer), spec).start().run(1)
    hidden += [3, 4]
    place.run(61)
    # Only what stood on the page that is empty now is asked for.
    assert {path for _, path, *_ in place.api.asked} == {"/things", "/things/3", "/things/4"}
    place.input.close()


# -- full listings that do not end -------------------------------------------------------------------------------------


def test_a_full_listing_that_never_ends_is_told_and_stands_in_the_status(tmp_path):
    def answer(method, path, query, headers, body):
        if query["p"] == "3" and broken:
            return Answer(400, {}, b'{"message":"page too large"}')
        rows = [{"id": f"{query['p']}-{one}", "at": iso(START - DAY)} for one in range(2)]
        return {"rows": rows if query["p"] < "4" else []}

    broken = [True]
    spec = objects(
        get="/things", query={"since": "{since}"}, items="rows", id="id", time="at", limit=2, since={},
        every=1800,
        paging={"type": "page", "parameter": "p"}, object={"type": "thing", "reconcile": 3600},
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec).start().run(60)
    [one] = place.input.statistics()
    assert one["state"] == "failing" and "400" in one["error"]
    assert [name for name, _ in place.input.problems()] == ["things (all)"]
    assert place.input.reports() == []
    place.run(5 * 3600)
    for _ in range(2):
        place.input.problems()
        place.run(61)
    [health] = place.input.reports()
    assert health.action == "source.gap"
    assert health.message.startswith("the whole of things was never read to its end, though it is read every 1 h")
    broken.clear()
    place.run(2 * 3600)
    assert place.input.problems() == [] and place.input.reports() == []
    assert place.input.statistics()[0]["error"] == ""
    broken.append(True)
    place.run(5 * 3600)
    place.input.problems()
    [health] = place.input.reports()
    assert "was last read to its end at 2026-05-2" in health.message
    place.input.close()


# -- refresh tokens ----------------------------------------------------------------------------------------------------


def test_a_new_refresh_token_counts_while_the_disk_is_full_and_is_kept_as_soon_as_it_is_not():
    store, server = Store(), TokenServer({"access_token": "a"})
    api, one = Api(server), auth(store, oauth2=OAUTH)
    store.full = True
    for at in (0, 1, 4000, 4001):
        with pytest.raises(DiskError):
            one.headers(at, api)
    assert server.count == 1  # as long as one is not kept it is not exchanged for another
    store.full = False
    assert one.headers(4002, api) == {"Authorization": "Bearer a"}
    assert b'"r2"' in store.blob
    assert auth(store, oauth2=OAUTH).headers(0, api) == {"Authorization": "Bearer a"}


def test_a_new_refresh_token_is_kept_though_the_answer_has_nothing_else():
    store, server = Store(), TokenServer({"access_token": "a"})
    server.more = {}
    one = auth(store, oauth2=OAUTH)
    with pytest.raises(DeniedError, match="no access_token"):
        one.headers(0, Api(server))
    assert b'"r1"' in store.blob
    server.more = {"access_token": "a"}
    assert one.headers(60, Api(server)) == {"Authorization": "Bearer a"}


def test_a_stop_waits_for_the_answer_to_a_refresh_token_and_asks_for_nothing_more():
    store, server, went = Store(), TokenServer({"access_token": "a"}), []
    sent, gate = threading.Event(), threading.Event()

    def slow(*asked):
        sent.set()
        assert gate.wait(30)
        went.append("answered")
        return server(*asked)

    one, api = auth(store, oauth2=OAUTH), Api(slow)

    def ask():
        with pytest.raises(UnavailableError, match="stops"):
            one.headers(0, api)
        went.append("ended")

    asking = threading.Thread(target=ask)
    asking.start()
    assert sent.wait(30)
    stopping = threading.Thread(target=lambda: one.end(lambda: went.append("cut")))
    stopping.start()
    while not one._ended:
        time.sleep(0.001)
    gate.set()
    stopping.join()
    asking.join()
    assert went[0] == "answered" and sorted(went[1:]) == ["cut", "ended"]
    assert b'"r1"' in store.blob
    with pytest.raises(UnavailableError, match="stops"):
        one.headers(5000, api)
    assert server.count == 1


def test_a_refresh_token_that_the_disk_refused_is_kept_at_the_stop(tmp_path, monkeypatch):
    server = TokenServer({"access_token": "a"})
    spec = source(
        api="https://api.example", every=60, auth={"oauth2": OAUTH},
        resources={"rows": {"get": "/rows", "items": "rows", "id": "id", "format": "json"}},
    )  # fmt: skip
    place = Place(
        tmp_path, Api(lambda method, *rest: server(method, *rest) if method == "POST" else {"rows": []}), spec
    )
    place.start()
    ledger = place.input._run.ledger

    def full():
        raise DiskError("write ledger", "in.db", "database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "outside", full)
        place.run(10)
    assert [name for name, _ in place.input.problems()] != []
    place.crash()
    place.start().run(120)
    assert server.count == 2 and place.input.problems() == []
    place.input.close()


# -- clocks ------------------------------------------------------------------------------------------------------------


class Dated:
    """Answers with rows since a time, by a clock that is `behind` ours."""

    def __init__(self, clock, behind):
        self.clock, self.behind, self.rows = clock, behind, []

    def now(self):
        return self.clock.now() - self.behind

    def __call__(self, method, path, query, headers, body):
        rows = [one for one in self.rows if one["at"] >= query.get("since", "")]
        return Answer(200, {"date": formatdate(self.now(), usegmt=True)}, orjson.dumps({"rows": rows}))


def test_a_clock_of_ours_that_is_ahead_at_the_first_reading_loses_nothing(tmp_path):
    clock = Clock(START + 3600)
    api = Dated(clock, 3600)
    spec = own(
        get="/rows", query={"since": "{since}"}, items="rows", id="id", time="at", format="json",
        order="ascending", since={"overlap": 300, "first": 600},
    )  # fmt: skip
    place = Place(tmp_path, Api(api), spec, clock)
    api.rows.append({"id": 0, "at": iso(api.now() - 500)})
    place.start().run(1)
    for number in range(1, 8):
        api.rows.append({"id": number, "at": iso(api.now())})
        place.run(900)
    assert [one["id"] for one in place.rows] == list(range(8))
    place.input.close()


def test_an_object_that_is_made_right_after_the_first_listing_is_new_though_our_clock_is_ahead(tmp_path):
    clock = Clock(START + 3600)
    api = Dated(clock, 3600)
    spec = objects(get="/rows", items="rows", id="id", object={"type": "thing", "created": "at", "ignore": ["at"]})
    place = Place(tmp_path, Api(api), spec, clock)
    api.rows.append({"id": 1, "at": iso(api.now() - DAY)})
    place.start().run(10)
    api.rows.append({"id": 2, "at": iso(api.now())})
    place.run(120)
    assert actions(place) == [("record.create", "2")]
    place.input.close()


def test_servers_that_disagree_about_the_time_do_not_keep_a_listing_from_its_end(tmp_path):
    clock, count = Clock(START + 3600), [0]

    def answer(method, path, query, headers, body):
        count[0] += 1
        date = formatdate(clock.now() - 10 * count[0], usegmt=True)  # each is behind the one before
        return Answer(200, {"date": date}, orjson.dumps({"rows": [{"id": 1}]}))

    place = Place(tmp_path, Api(answer), own(get="/rows", items="rows", id="id", format="json"), clock)
    place.start().run(1)
    assert len(place.rows) == 1 and place.input._run.tasks.all[0].runs == 1 and count == [2]
    assert place.input._run.keeping.cursor("rows").checked <= clock.now() - 19
    place.input.close()


# -- what is known again -----------------------------------------------------------------------------------------------


def test_a_listing_that_begins_at_the_beginning_each_time_doubles_nothing_however_much_else_comes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(keeping, "MOST_DELIVERIES", 50)
    clock, count = Clock(), [0]

    def answer(method, path, query, headers, body):
        if path == "/history":
            return {"rows": [{"id": one, "at": iso(START - 100 * DAY)} for one in range(5)]}
        count[0] += 1
        return {"rows": [{"id": f"{count[0]}-{one}", "at": iso(clock.now() - 1)} for one in range(10)]}

    words = {"items": "rows", "id": "id", "time": "at", "format": "json"}
    spec = source(
        api="https://api.example", every=60,
        resources={
            "history": {"get": "/history", "every": 600, **words},
            "runs": {"get": "/runs", "query": {"since": "{since}"}, "since": {"overlap": 60}, **words},
        },
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec, clock).start().run(3 * 3600)
    assert sum(chunk.stream.endswith("history") for chunk, _ in place.given) == 5
    # The others are forgotten, by their number at the latest.
    db = place.input._run.ledger._db
    assert db.execute("SELECT count(*) FROM deliveries").fetchone()[0] < 300
    place.input.close()


def test_a_row_that_is_listed_by_another_time_than_its_own_comes_once(tmp_path):
    rows = [
        {"id": "old", "made": iso(START - 100 * DAY), "changed": START - 40},
        {"id": "new", "made": iso(START - 10), "changed": START - 10},
    ]

    def answer(method, path, query, headers, body):
        return {"rows": [one for one in rows if one["changed"] >= float(query["since"])]}

    spec = own(
        get="/rows", query={"since": "{since}"}, items="rows", id="id", time="made", format="json",
        since={"layout": "epoch_s", "overlap": 60, "first": 3600},
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec).start().run(3600)
    assert [one["id"] for one in place.rows] == ["old", "new"]
    place.input.close()


@pytest.mark.parametrize("ids", [{}, {"id": "id"}])
@pytest.mark.parametrize("where", [{"get": "/logs/{parent.id}"}, {"post": "/logs", "body": {"of": "{parent.id}"}}])
def test_equal_rows_of_two_parents_are_two(tmp_path, ids, where):
    def answer(method, path, query, headers, body):
        if path == "/parents":
            return {"parents": [{"id": "a"}, {"id": "b"}]}
        return {"rows": [{"id": 1, "status": "gone"}]}

    spec = source(
        api="https://api.example", every=60,
        resources={
            "parents": {"get": "/parents", "items": "parents", "id": "id"},
            "logs": {**where, **ids, "for_each": "parents", "items": "rows", "format": "json"},
        },
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec).start().run(200)
    assert len(place.rows) == 2
    place.input.close()


def test_parents_that_share_a_part_of_their_path_have_cursors_of_their_own(tmp_path):
    logs = {"1": [{"id": 1, "at": iso(START - 5000)}], "2": [{"id": 2, "at": iso(START - 10)}]}

    def answer(method, path, query, headers, body):
        if path == "/parents":
            return {"parents": [{"org": "o", "id": "1"}, {"org": "o", "id": "2"}]}
        return {"rows": [one for one in logs[path.rpartition("/")[2]] if one["at"] >= query["since"]]}

    spec = source(
        api="https://api.example", every=60,
        resources={
            "parents": {"get": "/parents", "items": "parents", "id": "id"},
            "logs": {
                "get": "/orgs/{parent.org}/logs/{parent.id}", "query": {"since": "{since}"}, "for_each": "parents",
                "items": "rows", "id": "id", "time": "at", "since": {"overlap": 60}, "format": "json",
            },
        },
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec).start().run(10)
    assert [one["id"] for one in place.rows] == [1, 2]
    logs["1"].append({"id": 3, "at": iso(START - 4000)})  # late for the other one, not for this one
    place.run(120)
    assert [one["id"] for one in place.rows] == [1, 2, 3]
    place.input.close()


def test_a_run_that_is_seen_while_it_goes_on_has_its_result_later(tmp_path):
    clock, run = Clock(), {"imtId": "1_x", "id": "x", "status": 0, "timestamp": iso(START - 60)}

    def answer(method, path, query, headers, body):
        if path.endswith("/scenarios"):
            return {"scenarios": [{"id": 1, "name": "s"}] if query.get("pg[offset]") == "0" else []}
        if path.endswith("/logs"):
            return {"scenarioLogs": [run]}
        return Answer(403, {}, b"")

    settings = {"zone": "eu1.make.com", "organization": "11"}
    spec = source(preset="makecom", settings=settings, auth={"token": {"token": "t" * 20}})
    place = Place(tmp_path, Api(answer), spec, clock).start().run(1200)
    run["status"] = 3
    place.run(1800)
    assert [one["status"] for one in place.rows] == [0, 3]
    place.input.close()


# -- waits, and the end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["0", "0.2", formatdate(START - DAY, usegmt=True)])
def test_a_wait_of_nothing_that_an_api_asks_for_grows_all_the_same(tmp_path, after):
    spec = own(get="/rows", items="rows", id="id", format="json")
    place = Place(tmp_path, Api(lambda *_: Answer(429, {"retry-after": after}, b"")), spec).start()
    place.run(60)
    assert len(place.api.asked) <= 8
    place.input.close()


def test_once_ends_when_every_object_that_was_named_is_read(tmp_path):
    def answer(method, path, query, headers, body):
        if path != "/things":
            return {"id": path.rpartition("/")[2]}
        first = 3 * int(query["page"]) - 2
        return {"rows": [{"id": str(one), "at": iso(START - DAY)} for one in range(first, first + 3) if one <= 6]}

    spec = objects(
        get="/things", query={"since": "{since}"}, items="rows", id="id", limit=3, time="at", since={},
        paging={"type": "page", "parameter": "page"},
        object={"type": "thing", "partial": True, "read": "/things/{id}"},
    )  # fmt: skip
    place = Place(tmp_path, Api(answer), spec).start()
    place.input._once = True
    while not place.input.done():
        place.input.turn()
        place.keep()
    assert {path for _, path, *_ in place.api.asked} == {"/things", *(f"/things/{one}" for one in range(1, 7))}
    place.input.close()
