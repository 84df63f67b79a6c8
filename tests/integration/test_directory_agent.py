"""The directory of a real agent: events name people, a broken list leaves what was known, and its age is sealed."""

import json

import pytest

from tests.e2e.agent_process import Place, eventually


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def line(who, number):
    return b"Feb  3 10:30:%02d web1 sshd[1]: Accepted password for %b from 203.0.113.7 port 40022 ssh2\n" % (
        number,
        who,
    )


def health(place, action):
    return [one for one in place.archived() if one["event"]["action"] == action]


def persons(place):
    return [
        one["trail"].get("actor", {}).get("person")
        for one in place.archived()
        if one["event"]["action"] == "auth.login"
    ]


def test_a_list_that_breaks_while_the_agent_is_away_is_used_as_it_was_and_told_of(place):
    people = place.root / "people.csv"
    people.write_text(
        "email,accounts,name\nkim@co.example,sshd:kim,Kim Q\nlee@co.example,sshd:root,Lee\npat@co.example,sshd:root,Pat\n"
    )
    users = place.root / "users.json"
    profile = {"login": "ali@co.example", "displayName": "Ali", "department": "Support"}
    users.write_text(json.dumps([{"id": "00u1", "status": "ACTIVE", "profile": profile}]))
    place.write(
        inputs=[place.input(format="sshd")],
        directory=[
            {"id": "staff", "type": "csv", "path": str(people), "refresh": "1s"},
            {"id": "okta", "type": "okta", "path": str(users), "refresh": "1s"},
        ],
    )
    agent = place.start()
    agent.ready()
    place.append(line(b"kim", 1) + line(b"root", 2) + line(b"ali@co.example", 3))
    assert eventually(lambda: persons(place) if len(persons(place)) == 3 else None) == [
        "kim@co.example",
        None,
        "ali@co.example",
    ], "an account that two share names neither"
    assert health(place, "source.silence") == []
    assert agent.terminate() == 0

    people.write_text("what has happened here\n")
    users.write_text("[]")
    agent = place.start()
    agent.ready()
    place.append(line(b"kim", 4) + line(b"ali@co.example", 5))
    assert eventually(lambda: persons(place)[3:] if len(persons(place)) == 5 else None) == [
        "kim@co.example",
        "ali@co.example",
    ]
    told, empty = eventually(lambda: found if len(found := health(place, "source.silence")) == 2 else None)
    assert empty["message"].startswith("directory okta: an empty list; before it named 1; what it said ")
    assert told["trail"]["origin"]["input"] == "directory staff"
    assert told["message"].startswith("directory staff: neither a column for email nor one for accounts")
    assert told["trail"]["health"]["age_seconds"] >= 0

    people.write_text("email,accounts,name\nkim@co.example,sshd:kim,Kim Q\nmo@co.example,sshd:mo,Mo\n")

    def known():
        place.append(line(b"mo", 6))
        return "mo@co.example" in persons(place)

    eventually(known, "the list is read again within seconds")
    logins = [one for one in place.archived() if one["event"]["action"] == "auth.login"]
    versions = {
        one["trail"]["origin"].get("directory") for one in logins if one["trail"].get("actor", {}).get("person")
    }
    assert len(versions) == 2, "the state before, and the one with mo"
    assert agent.terminate() == 0
    place.verified()
