"""The simulator of the vendors itself: what it says it does, and that its judge is not blind."""

import base64
import json

import pytest

from tests.simulator.bamboohr import KEY as BAMBOO_KEY
from tests.simulator.bamboohr import BambooHr
from tests.simulator.clock import Stepped, iso
from tests.simulator.feeds import HARVEST_KEY, MAKE_TOKEN, Greenhouse, Make
from tests.simulator.highlevel import LOCATION, HighLevel
from tests.simulator.highlevel import TOKEN as GHL_TOKEN
from tests.simulator.hubspot import TOKEN as HUBSPOT_TOKEN
from tests.simulator.hubspot import HubSpot
from tests.simulator.judge import Judge, Row
from tests.simulator.keap import CLIENT, FIRST_REFRESH, Keap
from tests.simulator.vendor import Request
from tests.simulator.world import ABSENT, World


@pytest.fixture
def clock():
    return Stepped()


@pytest.fixture
def world(clock):
    return World(clock)


def ask(vendor, path, *, method="GET", token=None, body=b"", headers=None, **query):
    """One request to a vendor without a server between."""
    given = {"authorization": token} if token else {}
    text = {name: str(value) for name, value in query.items()}
    return vendor.answer(Request(method, path, text, {**given, **(headers or {})}, body))


def basic(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def keap_token(keap, refresh=FIRST_REFRESH):
    body = f"grant_type=refresh_token&refresh_token={refresh}".encode()
    return ask(keap, "/token", method="POST", token=basic(*CLIENT), body=body)


# -- the world ---------------------------------------------------------------------------------------------------------


def test_every_change_is_a_fact_with_old_new_time_and_actor(world):
    world.create("keap", "contact", "1", {"a": {"b": "x"}, "list": [{"id": "7", "content": "s"}]}, "5")
    world.change("keap", "contact", "1", {"a.b": "y", "list[7].content": "t", "new": 1}, "6")
    told = [(one.verb, one.field, one.old, one.new, one.actor) for one in world.facts]
    assert told == [
        ("create", "", None, None, "5"),
        ("update", "a.b", "x", "y", "6"),
        ("update", "list[7].content", "s", "t", "6"),
        ("update", "new", ABSENT, 1, "6"),
    ]
    assert world.facts[0].at < world.facts[1].at


def test_of_a_list_of_plain_values_each_element_is_a_fact_of_its_own(world):
    world.create("keap", "contact", "1", {"tag_ids": ["1", "2"]})
    world.change("keap", "contact", "1", {"tag_ids": ["2", "3"]})
    assert [(one.old, one.new) for one in world.facts[1:]] == [("1", ABSENT), (ABSENT, "3")]


def test_what_a_field_was_at_any_moment_is_known(world, clock):
    world.create("keap", "contact", "1", {"a": 1})
    before = clock.now()
    clock.forward(10)
    world.change("keap", "contact", "1", {"a": 2})
    clock.forward(10)
    world.delete("keap", "contact", "1")
    assert [world.at("keap:contact/1", "a", before + wait) for wait in (0, 15, 25)] == [1, 2, ABSENT]


def test_noise_changes_a_record_and_is_no_fact(world):
    thing = world.create("keap", "contact", "1", {"score": 1})
    world.change("keap", "contact", "1", {"score": 2}, noise=True)
    assert len(world.facts) == 1
    assert thing.updated > thing.created


# -- the vendors -------------------------------------------------------------------------------------------------------


def test_keap_lists_contacts_by_time_of_update_page_by_page_with_the_fields_that_were_asked_for(world, clock):
    keap = Keap(world, clock)
    token = "Bearer " + keap_token(keap).body["access_token"]
    for number in range(1, 6):
        clock.forward(60)
        world.create("keap", "contact", str(number), {"given_name": "Jo", "family_name": "Q", "owner_id": "6"})
    since = iso(world.things["keap:contact/2"].updated)
    found, page = [], ""
    while True:
        query = {
            "filter": f"start_update_time=={since}",
            "order_by": "update_time asc",
            "page_size": 2,
            "fields": "owner_id,update_time",
        }
        answer = ask(keap, "/rest/v2/contacts", token=token, **query, **({"page_token": page} if page else {})).body
        found += answer["contacts"]
        page = answer["next_page_token"]
        if not page:
            break
    assert [one["id"] for one in found] == ["2", "3", "4", "5"]
    assert set(found[0]) == {"id", "given_name", "family_name", "owner_id", "update_time"}


def test_a_refresh_token_of_keap_is_spent_once_its_access_token_was_used(world, clock):
    keap = Keap(world, clock)
    first = keap_token(keap).body
    assert keap_token(keap).status == 200
    second = keap_token(keap).body
    assert ask(keap, "/rest/v2/users", token="Bearer " + second["access_token"]).status == 200
    assert keap_token(keap).status == 400
    assert keap_token(keap, second["refresh_token"]).status == 200
    assert first["refresh_token"] != second["refresh_token"]


def test_a_token_of_keap_expires(world, clock):
    keap = Keap(world, clock, token_life=600)
    token = "Bearer " + keap_token(keap).body["access_token"]
    assert ask(keap, "/rest/v2/users", token=token).status == 200
    clock.forward(601)
    assert ask(keap, "/rest/v2/users", token=token).status == 401


def test_keap_refuses_the_241st_request_of_a_minute_and_takes_the_next_minutes(world, clock):
    keap = Keap(world, clock)
    token = "Bearer " + keap_token(keap).body["access_token"]
    told = []
    for _ in range(300):
        clock.forward(0.12)
        told.append(ask(keap, "/rest/v2/users", token=token).status)
    assert told.index(429) <= 241
    clock.forward(60)
    assert ask(keap, "/rest/v2/users", token=token).status == 200


def test_a_stage_move_of_keap_says_who_moved_what_from_where_to_where(world, clock):
    keap = Keap(world, clock)
    world.create("keap", "opportunity", "5", {"stage": {"id": "10"}})
    world.change("keap", "opportunity", "5", {"stage.id": "11"}, "40077")
    token = "Bearer " + keap_token(keap).body["access_token"]
    (move,) = ask(keap, "/rest/v2/opportunities/stageMoves", token=token).body["stage_moves"]
    assert (move["move_from_stage_id"], move["move_to_stage_id"], move["user_id"]) == ("10", "11", "40077")
    assert move["move_time"] == iso(world.facts[-1].at)


def test_highlevel_finds_contacts_by_filter_and_goes_on_after_the_last_one(world, clock):
    vendor = HighLevel(world, clock)
    for number in range(5):
        clock.forward(60)
        world.create("highlevel", "contact", f"c{number}", {"email": f"{number}@x.example"})
    since = iso(world.things["highlevel:contact/c1"].updated)
    body = {
        "locationId": LOCATION,
        "pageLimit": 2,
        "filters": [{"field": "dateUpdated", "operator": "range", "value": {"gte": since}}],
        "sort": [{"field": "dateUpdated", "direction": "asc"}],
    }
    found = []
    while True:
        answer = ask(
            vendor,
            "/contacts/search",
            method="POST",
            token=f"Bearer {GHL_TOKEN}",
            headers={"version": "2021-07-28"},
            body=json.dumps(body).encode(),
        )
        page = answer.body["contacts"]
        if not page:
            break
        found += page
        body["searchAfter"] = page[-1]["searchAfter"]
    assert [one["id"] for one in found] == ["c1", "c2", "c3", "c4"]
    assert answer.body["total"] == 4
    assert ask(vendor, "/users/", token=f"Bearer {GHL_TOKEN}", locationId=LOCATION).status == 401


def test_hubspot_keeps_the_history_of_each_property_newest_first_and_its_search_is_late(world, clock):
    vendor = HubSpot(world, clock)
    world.create("hubspot", "contact", "991", {"phone": "1"}, "7")
    clock.forward(60)
    world.change("hubspot", "contact", "991", {"phone": "2"}, "8")
    asked = {"token": f"Bearer {HUBSPOT_TOKEN}"}
    history = ask(vendor, "/crm/v3/objects/contacts/991", propertiesWithHistory="phone", **asked).body[
        "propertiesWithHistory"
    ]
    assert [(one["value"], one["updatedByUserId"]) for one in history["phone"]] == [("2", 8), ("1", 7)]
    body = json.dumps({"filterGroups": [], "limit": 10}).encode()
    assert ask(vendor, "/crm/v3/objects/contacts/search", method="POST", body=body, **asked).body["total"] == 0
    clock.forward(6)
    assert ask(vendor, "/crm/v3/objects/contacts/search", method="POST", body=body, **asked).body["total"] == 1


def test_bamboohr_tells_only_the_latest_change_of_each_employee_and_gives_the_fields_that_were_named(world, clock):
    vendor = BambooHr(world, clock)
    world.create("bamboohr", "employee", "3108", {"firstName": "Jo", "payRate": "1"})
    clock.forward(60)
    since = clock.now()
    world.change("bamboohr", "employee", "3108", {"payRate": "2"})
    asked = {"token": basic(BAMBOO_KEY, "x")}
    changed = ask(vendor, "/v1/employees/changed", since=iso(since), **asked).body["employees"]
    assert changed == {"3108": {"id": "3108", "action": "Updated", "lastChanged": iso(since, 0).replace("Z", "+00:00")}}
    assert ask(vendor, "/v1/employees/3108", fields="payRate", **asked).body == {"id": "3108", "payRate": "2"}
    clock.forward(60)
    assert ask(vendor, "/v1/employees/changed", since=iso(clock.now()), **asked).body["employees"] == []


def test_greenhouse_pages_by_headers_over_what_was_there_at_the_first_page(world, clock):
    vendor = Greenhouse(world, clock)
    for number in range(150):
        vendor.changed("Offer", number, "salary", 1, 2, 7, "198.51.100.9")
    grant = ask(
        vendor, "/auth/jwt_access_token", method="POST", token=basic(HARVEST_KEY), headers={"on-behalf-of": "7"}
    )
    headers, found = {"size": "100"}, []
    clock.forward(1)
    while True:
        answer = ask(vendor, "/events", token=f"Bearer {grant.body['access_token']}", headers=headers, paging="true")
        found += answer.body["results"]
        vendor.changed("Offer", 1, "salary", 2, 3, 7, "198.51.100.9")
        if answer.body["paging"]["next_search_after"] is None:
            break
        headers |= {
            "pit-id": answer.body["paging"]["pit_id"],
            "search-after": answer.body["paging"]["next_search_after"],
        }
    assert [one["request"]["id"] for one in found] == [f"r{number}" for number in range(1, 151)]


def test_make_without_the_plan_refuses_the_audit_log_and_gives_runs(world, clock):
    vendor = Make(world, clock, enterprise=False)
    vendor.run(701)
    asked = {"token": f"Token {MAKE_TOKEN}"}
    assert ask(vendor, "/audit-logs/organization/11", **asked).status == 403
    (run,) = ask(vendor, "/scenarios/701/logs", **asked).body["scenarioLogs"]
    assert run["imtId"].startswith(str(round(vendor.executions["701"][0][0] * 1000)))


# -- the judge ---------------------------------------------------------------------------------------------------------


def event(world, fact, *, after=-60.0, before=60.0, number=0, **change):
    """A document as an agent should make it of a fact."""
    told = {
        "field": fact.field,
        "old": fact.old,
        "new": fact.new,
        "old_state": "value",
        "new_state": "value",
        "derivation": "snapshot_diff",
        "changed_after": iso(fact.at + after),
        "changed_before": iso(fact.at + before),
        **change,
    }
    return {
        "@timestamp": iso(fact.at),
        "data_stream": {"dataset": "fieldtrail.change"},
        "event": {"action": "field.update", "id": f"e{number}", "module": fact.source, "kind": "event"},
        "trail": {
            "change": told,
            "object": {"key": fact.key, "last_editor": {"id": fact.actor}},
            "origin": {"received": iso(fact.at + before)},
            "operation": {"id": f"e{number}"},
        },
    }


@pytest.fixture
def changed(world, clock):
    """Three changes of one field, an hour apart."""
    world.create("keap", "contact", "1", {"owner": "a"}, "1")
    for new, actor in (("b", "2"), ("c", "3"), ("d", "4")):
        clock.forward(3600)
        world.change("keap", "contact", "1", {"owner": new}, actor)
    clock.forward(60)
    return [fact for fact in world.facts if fact.verb == "update"]


def judged(world, documents, **more):
    judge = Judge(world, documents, editors=("keap",), **more).fields("keap")
    return [one.kind for one in judge.findings], judge.counts["keap"]


def test_the_judge_is_content_with_the_truth(world, changed):
    findings, counts = judged(world, [event(world, fact, number=n) for n, fact in enumerate(changed)])
    assert findings == []
    assert (counts["true"], counts["seen"], counts["unseen"]) == (3, 3, 0)


def test_the_judge_counts_a_value_between_two_looks_as_unseen(world, changed):
    both = event(world, changed[1], after=-3700, old="a")
    findings, counts = judged(world, [both, event(world, changed[2], number=1)])
    assert findings == []
    assert (counts["seen"], counts["unseen"]) == (2, 1)


def test_the_judge_finds_what_is_lost_though_it_was_shown(world, clock, changed):
    assert judged(world, [event(world, fact, number=n) for n, fact in enumerate(changed[:2])])[0] == ["lost"]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"new": "x"}, "value"),
        ({"old": "x"}, "value"),
        ({"old": "x", "new": "y"}, "invented"),
        ({"field": "other"}, "invented"),
        ({"before": -1.2}, "bounds"),
        ({"after": 1.2}, "bounds"),
    ],
)
def test_the_judge_finds_what_is_not_true(world, changed, wrong, kind):
    documents = [
        event(world, changed[0]),
        event(world, changed[1], number=1),
        event(world, changed[2], number=2, **wrong),
    ]
    assert kind in judged(world, documents)[0]


def test_the_judge_finds_what_is_told_twice(world, changed):
    documents = [event(world, fact, number=n) for n, fact in enumerate(changed)]
    assert judged(world, [*documents, documents[-1]])[0] == ["doubled"]


def test_the_judge_finds_an_actor_that_nobody_told_and_a_wrong_editor(world, changed):
    documents = [event(world, fact, number=n) for n, fact in enumerate(changed)]
    documents[0]["user"] = {"id": "2"}
    documents[1]["trail"]["object"]["last_editor"]["id"] = "99"
    assert judged(world, documents)[0] == ["actor", "actor"]


def test_the_judge_lets_no_claim_take_what_another_one_tells_though_the_bounds_are_not_sharp(world, clock):
    world.create("keap", "contact", "1", {"owner": "a"}, "1")
    for new in ("b", "c", "b"):
        clock.forward(0.4)
        world.change("keap", "contact", "1", {"owner": new}, "2")
    facts = [fact for fact in world.facts if fact.verb == "update"]
    told = [event(world, fact, number=n, after=-0.2, before=0.2) for n, fact in enumerate(facts)]
    findings, counts = judged(world, told)
    assert findings == []
    assert counts["seen"] == 3


def attributed(fact, *, event="e0", user=None):
    """A document that names afterwards who made a change."""
    return {
        "@timestamp": iso(fact.at),
        "data_stream": {"dataset": "fieldtrail.activity"},
        "event": {"action": "change.attributed", "id": "later", "module": fact.source, "kind": "event"},
        "user": {"id": user or fact.actor},
        "trail": {"operation": {"id": "later"}, "attribution": {"event_id": [event]}},
    }


def test_the_judge_counts_an_author_that_is_named_afterwards(world, changed):
    documents = [event(world, fact, number=n) for n, fact in enumerate(changed)]
    findings, counts = judged(world, [*documents, attributed(changed[1], event="e1")])
    assert findings == []
    assert (counts["actor right"], counts["actor unknown"]) == (1, 2)


@pytest.mark.parametrize(
    ("wrong", "kind"), [({"user": "99"}, "actor"), ({"event": "e2"}, "actor"), ({"event": "none"}, "invented")]
)
def test_the_judge_finds_a_wrong_author_that_is_named_afterwards(world, changed, wrong, kind):
    documents = [event(world, fact, number=n) for n, fact in enumerate(changed)]
    told = attributed(changed[1], **{"event": "e1", **wrong})
    assert judged(world, [*documents, told])[0] == [kind]


def whole(fact, values, **time):
    """A document of a record that came or went."""
    told = {"precision": "bounded", "after": iso(fact.at - 60), "before": iso(fact.at + 60), **time}
    return {
        "@timestamp": iso(fact.at),
        "data_stream": {"dataset": "fieldtrail.change"},
        "event": {"action": f"record.{fact.verb}", "id": "w", "module": fact.source, "kind": "event"},
        "trail": {"object": {"key": fact.key}, "operation": {"id": "w"}, "time": told, "values": values},
    }


@pytest.mark.parametrize(
    ("values", "time", "user", "kinds"),
    [
        ({"owner": "a"}, {}, None, []),
        ({"owner": "a"}, {}, "1", []),
        ({"owner": "z"}, {}, None, ["value"]),
        ({"owner": "a"}, {"before": "2026-01-01T00:00:00Z"}, None, ["bounds"]),
        ({"owner": "a"}, {}, "2", ["actor"]),
    ],
)
def test_the_judge_looks_at_the_values_the_time_and_the_author_of_a_record_that_went(
    world, clock, values, time, user, kinds
):
    world.create("keap", "contact", "1", {"owner": "a"}, "1")
    clock.forward(60)
    began = clock.now()
    world.delete("keap", "contact", "1", "1")
    document = whole(world.facts[-1], values, **time)
    if user is not None:
        document["user"] = {"id": user}
    judge = Judge(world, [document], began=began).records("keap")
    assert [one.kind for one in judge.findings] == kinds
    assert judge.counts["keap"]["seen"] == 1


def test_the_judge_looks_at_every_record_that_a_source_has_of_its_own(world, clock):
    at = clock.now()
    document = {
        "@timestamp": iso(at),
        "event": {"id": "r1", "module": "greenhouse", "kind": "event"},
        "user": {"id": "7"},
        "trail": {"change": {"old": "1", "new": "2"}},
    }
    right = Row("r1", at, "7", 1, 2)
    rows = {
        (): [right],
        ("lost",): [right, Row("r2", at)],
        ("bounds",): [right._replace(at=at + 1)],
        ("actor",): [right._replace(actor="8")],
        ("value",): [right._replace(old=3)],
        ("invented",): [],
    }
    for kinds, expected in rows.items():
        judge = Judge(world, [document]).rows("greenhouse", expected)
        assert tuple(one.kind for one in judge.findings) == kinds
    twice = Judge(world, [document, document]).rows("greenhouse", [right])
    assert [one.kind for one in twice.findings] == ["doubled"]
