"""Operations to events: the shape of event.md, hand-built case by case, and for any JSON that a mapped format meets."""

import itertools
import json

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import greenhouse
from parsers._contract import ABSENT, UNKNOWN, Change, Context, Format, Operation, Rejected, Time
from parsers._json import Number
from shipper.normalize import Normalizer, Origin, Settings
from shipper.protect import Policy
from shipper.schema import check
from shipper.seal.canonical import canonical

KEAP = Format("keap", "keap", "Keap", "Keap", missing=("source.ip", "trail.session.id", "trail.interface"))
RECEIVED = 1_770_114_662.118
RECEIVED_TEXT = "2026-02-03T10:31:02.118Z"


def normalizer(card=KEAP, **more):
    numbers = itertools.count()
    settings = {
        "agent_name": "hr-app-03", "agent_version": "0.1.0", "namespace": "default", "input": "gh", "format": card,
        "policy": Policy(), "salt": lambda: next(numbers).to_bytes(16, "big"),
    }  # fmt: skip
    return Normalizer(Settings(**{**settings, **more}))


def origin(data=b"", **more):
    return Origin("s1", "audit.jsonl", 88120, len(data) or 412, RECEIVED, RECEIVED_TEXT, data=data, **more)


def events(operation, data=b"", **more):
    made, _ = normalizer(**more).events(operation, origin(data))
    for event in made:
        assert check(event) == []
        assert canonical(event) == rfc8785.dumps(event)
    return made


def one(operation, data=b"", **more):
    made = events(operation, data, **more)
    assert len(made) == 1
    return made[0]


def edit(*changes, **more):
    given = {"id": "r1", "object_type": "offer", "object_id": "55", "time": Time("2026-02-03T10:30:00Z")}
    return Operation("field.update", "audit", changes=list(changes), **{**given, **more})


# -- the two documents of the specification ---------------------------------------------------------------------------


def test_a_native_change_comes_out_as_the_specification_prints_it():
    line = (
        b'{"request":{"id":"r9","type":"offers#update"},"performer":{"meta":{"name":"Kim Q","username":"kim@co.example"},"id":7,'
        b'"ip_address":"198.51.100.9","type":"user"},"organization_id":123,"event":{"meta":{"salary":[90000,120000]},'
        b'"target_type":"Offer","target_id":55,"type":"data_change_update"},"event_time":"2026-02-03T10:30:00.000Z"}'
    )
    (operation,) = greenhouse.parse(line, Context())
    event = one(operation, card=greenhouse.FORMAT)
    # What the parser knows beyond the printed document.
    assert event.pop("http") == {"request": {"id": "r9"}}
    assert event.pop("organization") == {"id": "123"}
    assert event == {
        "@timestamp": "2026-02-03T10:30:00.000Z",
        "agent": {"name": "hr-app-03", "type": "fieldtrail", "version": "0.1.0"},
        "data_stream": {"dataset": "fieldtrail.change", "namespace": "default", "type": "logs"},
        "ecs": {"version": "9.4.0"},
        "event": {
            "action": "field.update", "category": ["database"], "code": "offers#update", "created": RECEIVED_TEXT,
            "dataset": "greenhouse.audit", "id": "r9", "kind": "event", "module": "greenhouse", "outcome": "success", "type": ["change"],
        },
        "message": "Kim Q changed salary of Offer 55 from 90000 to 120000 via ui (Greenhouse)",
        "related": {"ip": ["198.51.100.9"], "user": ["7", "kim@co.example"]},
        "source": {"ip": "198.51.100.9"},
        "trail": {
            "actor": {"confidence": "asserted", "type": "user"},
            "change": {
                "category": "pay", "delta": 30000, "delta_pct": 33.33, "derivation": "native", "field": "salary", "index": 0,
                "new": "120000", "new_number": 120000, "new_state": "value", "old": "90000", "old_number": 90000, "old_state": "value",
                "op": "update", "redaction": "none", "sensitivity": "restricted", "value_type": "number",
            },
            "interface": "ui",
            "missing": ["trail.session.id", "user_agent.original"],
            "object": {"id": "55", "key": "greenhouse:offer/55", "type": "offer"},
            "operation": {"change_count": 1, "head": True, "id": "r9"},
            "origin": {"input": "gh", "length": 412, "offset": 88120, "path": "audit.jsonl", "received": RECEIVED_TEXT},
            "schema": 1,
            "time": {"precision": "exact"},
        },
        "user": {"full_name": "Kim Q", "id": "7", "name": "kim@co.example"},
    }  # fmt: skip


def diff(time="2026-03-01T14:07:00Z", **more):
    change = Change(
        "owner_id", "60001", "60017", derivation="snapshot_diff",
        changed_after="2026-03-01T14:05:00Z", changed_before="2026-03-01T14:10:00Z",
    )  # fmt: skip
    return Operation(
        "field.update", "diff", time=Time(time), id="d1", object_type="contact", object_id="991", changes=[change],
        fields={"trail.object.last_editor.id": "40077"}, **more,
    )  # fmt: skip


def test_a_diff_is_honest():
    event = one(diff())
    assert "user" not in event
    assert event["@timestamp"] == "2026-03-01T14:07:00Z"
    trail = event["trail"]
    assert trail["actor"] == {"confidence": "unknown", "type": "unknown"}
    assert trail["object"]["last_editor"] == {"id": "40077"}
    assert trail["missing"] == ["user.id", "source.ip", "trail.session.id", "trail.interface"]
    assert trail["time"] == {"precision": "bounded"}
    assert (trail["change"]["changed_after"], trail["change"]["changed_before"]) == (
        "2026-03-01T14:05:00Z",
        "2026-03-01T14:10:00Z",
    )
    assert trail["change"]["derivation"] == "snapshot_diff"
    assert "delta" not in trail["change"]
    assert event["message"] == (
        "owner_id of contact 991 changed from 60001 to 60017 between 14:05 and 14:10 UTC;"
        " who: not given by Keap (last editor 40077)"
    )


@pytest.mark.parametrize("time", ["2026-03-01T13:00:00Z", "2026-03-01T15:00:00Z", "soon"])
def test_the_time_of_a_diff_is_never_outside_its_bounds(time):
    assert one(diff(time))["@timestamp"] == "2026-03-01T14:10:00Z"


# -- fan-out ----------------------------------------------------------------------------------------------------------


def test_each_changed_field_is_one_document_with_its_place_in_the_operation():
    made = events(edit(Change("a", 1, 2), Change("b", 1, 1), Change("c", None, "x"), raw={"context": "kept"}))
    assert [event["event"]["id"] for event in made] == ["r1#0", "r1#1"]
    assert [event["trail"]["change"]["field"] for event in made] == ["a", "c"]
    assert [event["trail"]["change"]["index"] for event in made] == [0, 1]
    assert [event["trail"]["operation"] for event in made] == [
        {"change_count": 2, "head": True, "id": "r1"}, {"change_count": 2, "id": "r1"},
    ]  # fmt: skip
    assert ["raw" in event["trail"] for event in made] == [True, False]


def test_documents_of_one_operation_share_nothing_that_makes_them_equal():
    made = events(edit(*(Change(f"f{n}", n, n + 1) for n in range(5)), fields={"user.id": "7"}))
    assert len({event["message"] for event in made}) == 5
    assert len({event["event"]["id"] for event in made}) == 5


def test_without_an_id_of_the_source_the_place_is_the_id():
    assert one(edit(Change("a", 1, 2), id=None))["event"]["id"] == "s1:88120"
    made, _ = normalizer().events(edit(Change("a", 1, 2), id=None), origin(number=3))
    assert made[0]["event"]["id"] == "s1:88120.3"


def test_the_own_sentence_of_a_source_is_not_lost_where_changes_are_told():
    made = events(edit(Change("a", 1, 2), Change("b", 1, 2), message="saved twice"))
    assert [event["message"][:9] for event in made] == ["somebody ", "somebody "]
    assert made[0]["trail"]["raw"] == {"message": "saved twice"}
    assert one(edit(message="saved twice"))["message"] == "saved twice"


def test_an_edit_from_a_value_to_itself_yields_nothing():
    assert events(edit(Change("a", 1, 1.0), Change("b", "x", "x"))) == []


def test_an_activity_with_unchanged_fields_is_still_an_event():
    event = one(Operation("auth.login", "audit", changes=[Change("a", 1, 1)]))
    assert "change" not in event["trail"]
    assert event["data_stream"]["dataset"] == "fieldtrail.activity"


def test_a_field_of_which_no_value_is_known_is_a_change_all_the_same():
    event = one(edit(Change("stage", UNKNOWN, UNKNOWN, derivation="new_only")))
    assert event["trail"]["missing"][-2:] == ["trail.change.old", "trail.change.new"]
    assert event["message"].endswith("old and new value: not given")


def test_an_edit_that_names_no_field_says_so():
    event = one(edit())
    assert event["trail"]["missing"][-3:] == ["trail.change.field", "trail.change.old", "trail.change.new"]
    assert event["trail"]["operation"] == {"change_count": 0, "head": True, "id": "r1"}


VALUES = {
    "name": "Robin T",
    "salary": 50000,
    "iban": "DE02120300000000202051",
    "notes": "",
    "left": None,
    "tags": ["a", {"b": 1}],
}


def test_a_created_record_is_one_document_and_one_for_each_sensitive_field():
    made = events(Operation("record.create", "audit", id="r2", object_type="employee", object_id="5", values=VALUES))
    assert [event["event"]["action"] for event in made] == ["record.create", "field.update", "field.update"]
    assert [event["event"]["id"] for event in made] == ["r2#0", "r2#1", "r2#2"]
    assert made[0]["trail"]["values"] == {"name": "Robin T", "salary": "50000", "notes": "", "tags": '["a",{"b":1}]'}
    assert [entry["path"] for entry in made[0]["trail"]["sealed_fields"]] == ["trail.values.iban"]
    assert made[0]["trail"]["operation"] == {"change_count": 2, "head": True, "id": "r2"}
    assert [event["trail"].get("change", {}).get("field") for event in made] == [None, "salary", "iban"]
    for event in made[1:]:
        assert "values" not in event["trail"] and "head" not in event["trail"]["operation"]
        assert (event["trail"]["change"]["op"], event["trail"]["change"]["old_state"]) == ("add", "absent")
    assert made[2]["trail"]["change"].keys().isdisjoint({"new", "new_number"})


def test_a_deleted_record_says_what_was_removed():
    made = events(
        Operation("record.delete", "audit", id="r3", object_type="employee", object_id="5", values={"salary": 1})
    )
    change = made[1]["trail"]["change"]
    assert (change["op"], change["old"], change["new_state"]) == ("remove", "1", "absent")


@pytest.mark.parametrize(("expand", "documents"), [("always", 5), ("sensitive", 3), ("never", 1)])
def test_expand_says_which_values_get_a_document_of_their_own(expand, documents):
    made = events(Operation("record.create", "audit", id="r", object_type="employee", values=VALUES), expand=expand)
    assert len(made) == documents


# -- words ------------------------------------------------------------------------------------------------------------


def test_an_unknown_verb_takes_the_default_action_and_stays_the_code():
    event = one(Operation("frobnicate", "audit"))
    assert (event["event"]["action"], event["event"]["code"]) == ("log.message", "frobnicate")
    event = one(Operation("frobnicate", "audit", code="frob#1"))
    assert (event["event"]["code"], event["trail"]["raw"]) == ("frob#1", {"action": "frobnicate"})


@pytest.mark.parametrize(
    "action", ["rule.match", "agent.stop", "seal.control", "seal.checkpoint", "source.loss", "log.unparsed"]
)
def test_a_source_cannot_speak_as_fieldtrail(action):
    event = one(Operation(action, "audit"))
    assert (event["event"]["action"], event["event"]["code"]) == ("log.message", action)
    assert event["data_stream"]["dataset"] == "fieldtrail.activity"


def test_words_that_are_not_ours_stay_in_raw():
    event = one(
        edit(
            Change("a", 1, 2), interface="pigeon", outcome="perhaps", actor_type="robot", actor_confidence="sure",
            raw={"interface": "mine", "time": "mine"}, time=Time("yesterday"),
        )
    )  # fmt: skip
    assert event["trail"]["raw"] == {
        "interface": "mine", "interface~2": "pigeon", "time": "mine", "time~2": "yesterday", "outcome": "perhaps",
        "actor_type": "robot", "actor_confidence": "sure",
    }  # fmt: skip
    assert event["trail"]["interface"] == "unknown"
    assert event["trail"]["actor"] == {"confidence": "unknown", "type": "unknown"}
    assert "outcome" not in event["event"]
    assert event["@timestamp"] == RECEIVED_TEXT and event["trail"]["time"] == {"precision": "received"}


@pytest.mark.parametrize(
    ("word", "ours", "raw"),
    [("ui", "ui", None), ("UI", "ui", None), ("web", "ui", "web"), ("REST", "api", "REST"), ("cron", "system", "cron")],
)
def test_ways_are_translated(word, ours, raw):
    event = one(edit(Change("a", 1, 2), interface=word))
    assert event["trail"]["interface"] == ours
    assert event["trail"].get("raw", {}).get("interface") == raw
    assert ("api" in event["event"]["category"]) == (ours == "api")


def test_further_digits_of_a_time_stay_in_raw():
    event = one(edit(Change("a", 1, 2), time=Time("2026-02-03T10:30:00.123456789Z")))
    assert event["@timestamp"] == "2026-02-03T10:30:00.123456Z"
    assert event["trail"]["raw"] == {"time": "2026-02-03T10:30:00.123456789Z"}
    assert "raw" not in one(edit(Change("a", 1, 2), time=Time("2026-02-03T10:30:00.123+01:00")))["trail"]
    assert "raw" not in one(edit(Change("a", 1, 2), time=Time(1770114600123, "epoch_ms")))["trail"]


@pytest.mark.parametrize(
    "time",
    [
        Time("2026-02-03 10:30:00"),
        Time("Feb  3 10:30:00", "rfc3164"),
        Time("03.02.2026 10:30", "%d.%m.%Y %H:%M"),
    ],
)
def test_a_naive_time_names_its_zone_and_keeps_its_text(time):
    event = one(edit(Change("a", 1, 2), time=time))
    assert event["event"]["timezone"] == "UTC"
    assert event["trail"]["raw"] == {"time": time.text}


def test_a_time_whose_year_was_inferred_keeps_its_text_even_with_an_offset():
    event = one(edit(Change("a", 1, 2), time=Time("03 Feb 10:30 +0100", "%d %b %H:%M %z")))
    assert event["trail"]["raw"] == {"time": "03 Feb 10:30 +0100"} and "timezone" not in event["event"]


# -- fields, related, missing -----------------------------------------------------------------------------------------


def test_fields_stand_at_their_places_and_what_fits_none_in_raw():
    event = one(
        edit(
            Change("a", 1, 2),
            fields={
                "user.id": 7, "source.ip": "[2001:db8::7]:443", "source.port": "443", "process.pid": "x", "no.such.field": 1,
                "trail.schema": 9, "agent.name": "other", "event.severity": 3.0, "labels": {"a": 1.5, "b": {"c": None}, "d": None},
                "host.ip": ["192.0.2.1", "192.0.2.1"], "event.risk_score": 1e300, "host.cpu.usage": 0.25,
            },
            raw={"process": {"name": "kept"}, "no.such.field": "mine"},
        )
    )  # fmt: skip
    assert event["user"] == {"id": "7"}
    assert event["source"] == {"ip": "2001:db8::7", "port": 443}
    assert event["event"]["severity"] == 3
    assert event["labels"] == {"a": "1.5", "b": '{"c":null}'}
    assert event["host"] == {"ip": ["192.0.2.1", "192.0.2.1"], "cpu": {"usage": 0.25}}
    assert event["related"] == {"user": ["7"], "ip": ["2001:db8::7", "192.0.2.1"]}
    assert event["agent"]["name"] == "hr-app-03" and event["trail"]["schema"] == 1
    raw = event["trail"]["raw"]
    assert raw["process"] == {"name": "kept", "pid": "x"}
    assert raw["no.such.field"] == "mine" and raw["no"] == {"such": {"field": 1}}
    assert raw["trail"] == {"schema": 9} and raw["agent"] == {"name": "other"}
    assert raw["event"] == {"risk_score": "1e+300"}
    assert {"process.pid", "event.risk_score"} <= set(event["trail"]["missing"])
    assert "user.id" not in event["trail"]["missing"] and "source.ip" not in event["trail"]["missing"]


def test_every_user_address_host_and_hash_is_related():
    event = one(
        edit(
            Change("a", 1, 2),
            fields={
                "user.id": "7", "user.effective.name": "root", "client.user.email": "c@co.example", "trail.object.owner_id": "9",
                "client.ip": "192.0.2.7", "client.domain": "c.example", "host.name": "web1", "file.hash.sha256": "aa", "user.hash": "bb",
                "related.user": ["0", "7"], "user.target.id": "12",
            },
        )
    )  # fmt: skip
    assert event["related"] == {
        "user": ["0", "7", "root", "c@co.example", "9", "12"], "ip": ["192.0.2.7"], "hosts": ["c.example", "web1"], "hash": ["aa", "bb"],
    }  # fmt: skip


def test_a_change_of_an_account_names_it_as_target():
    event = one(
        Operation(
            "role.grant", "audit", id="r", object_type="user", object_id="9", object_name="Ann B", fields={"user.id": "7"},
            changes=[Change("roles", ["basic"], ["basic", "admin"])],
        )
    )  # fmt: skip
    assert event["event"]["category"] == ["iam"] and event["event"]["type"] == ["admin", "user"]
    assert event["user"] == {
        "id": "7",
        "target": {"id": "9", "name": "Ann B"},
        "changes": {"roles": ["basic", "admin"]},
    }
    assert event["related"]["user"] == ["7", "9", "Ann B"]
    event = one(
        Operation(
            "user.update",
            "audit",
            object_type="user",
            object_id="9",
            changes=[Change("email", "a@co.example", "b@co.example")],
        )
    )
    assert event["user"] == {"target": {"id": "9"}, "changes": {"email": "b@co.example"}}
    assert event["related"]["user"] == ["9", "b@co.example"]
    assert event["trail"]["missing"][0] == "user.id"


def test_of_several_changes_of_an_account_each_document_has_its_own():
    made = events(
        Operation(
            "user.update",
            "audit",
            id="r",
            object_type="user",
            object_id="9",
            changes=[Change("email", "a", "b"), Change("title", "x", "y"), Change("name", "c", "d")],
        )
    )
    assert [event["user"].get("changes") for event in made] == [{"email": "b"}, None, {"name": "d"}]


def test_a_secret_change_of_an_account_is_not_told_in_user_changes():
    policy = Policy.build([{"field": "role", "action": "mask"}])
    event = one(
        Operation("role.grant", "audit", object_type="user", object_id="9", changes=[Change("role", "a", "b")]),
        policy=policy,
    )
    assert "changes" not in event["user"]


def test_categories_of_the_operation_rule_and_types_that_do_not_fit_stay_in_raw():
    event = one(
        Operation("log.message", "log", fields={"event.category": ["database"], "event.type": ["start", "access"]})
    )
    assert (event["event"]["category"], event["event"]["type"]) == (["database"], ["access"])
    assert event["trail"]["raw"] == {"event.type": ["start", "access"]}
    event = one(Operation("auth.login", "log", fields={"event.category": ["network"]}))
    assert (event["event"]["category"], event["event"]["type"]) == (["network"], ["start"])
    event = one(Operation("log.message", "log", category=("iam",), type=("user", "change")))
    assert (event["event"]["category"], event["event"]["type"]) == (["iam"], ["user", "change"])
    event = one(Operation("log.message", "log", fields={"event.type": ["info"]}))
    assert "category" not in event["event"] and event["trail"]["raw"] == {"event.type": ["info"]}


# -- privacy ----------------------------------------------------------------------------------------------------------

SECRET = "DE02120300000000202051"


def test_the_policy_covers_every_path():
    operation = Operation(
        "field.update", "audit", id="r", object_type="bank_account", object_id="4", object_name=SECRET, object_label="Account",
        fields={
            "url.password": SECRET, "labels": {"iban": SECRET}, "error.message": f"iban={SECRET}", "url.query": f"password={SECRET}",
            "log.syslog.structured_data": {"a@1": {"password": SECRET, "kept": "x"}}, "event.original": f"iban={SECRET}",
        },
        changes=[Change("iban", SECRET, "x" + SECRET), Change("data", {"iban": SECRET}, [{"password": SECRET}])],
        values={"number": SECRET}, raw={"deep": [{"ssn": SECRET}], "text": json.dumps({"iban": SECRET})}, message=f"set iban={SECRET}",
    )  # fmt: skip
    data = json.dumps({"iban": SECRET}).encode()
    made = events(operation, data, keep_original=True)
    assert len(made) == 2
    for event in made:
        assert SECRET.encode() not in canonical(event)
    head = made[0]
    assert {"url.password", "labels.iban", "trail.object.name", "trail.values.number", "trail.change.old"} <= {
        entry["path"] for entry in head["trail"]["sealed_fields"]
    }
    assert head["log"]["syslog"]["structured_data"] == {"a@1": {"kept": "x"}}
    assert "4" in head["message"] and "(withheld)" in head["message"]
    # An activity's own sentence is cleaned too.
    assert SECRET not in one(Operation("log.message", "log", message=f"set iban={SECRET}"))["message"]


def test_what_is_withheld_is_not_missing():
    policy = Policy.build([{"category": "contact", "action": "mask"}, {"field": "user.id", "action": "drop"}])
    event = one(edit(Change("a", 1, 2), fields={"user.id": "7", "user.email": "k@co.example"}), policy=policy)
    assert "user" not in event or "id" not in event["user"]
    assert "related" not in event
    assert "user.id" not in event["trail"]["missing"]
    assert {entry["path"] for entry in event["trail"]["sealed_fields"]} == {"user.id", "user.email"}


# -- profile and size -------------------------------------------------------------------------------------------------


def test_foreign_numbers_are_brought_into_the_canonical_profile():
    raw = {"a": 5.0, "b": 1e300, "c": 2**60, "d": [1e-9, {"e": Number("1.10")}], "f": True, "g": 0.5}
    event = one(edit(Change("a", 1, 2), raw=raw))
    assert event["trail"]["raw"] == {
        "a": 5,
        "b": "1e+300",
        "c": "1152921504606846976",
        "d": ["1e-09", {"e": "1.10"}],
        "f": True,
        "g": 0.5,
    }


def test_a_long_value_is_cut_and_its_length_is_told():
    text = "é" * 20_000
    event = one(edit(Change("essay", None, text), raw={"more": text}), data=b"x" * 40_100)
    assert len(event["trail"]["change"]["new"].encode()) == 32_000
    assert {"path": "trail.change.new", "length": 40_000} in event["trail"]["truncated"]
    assert len(canonical(event)) <= 64_000
    assert json.loads(canonical(event)) == event


def test_a_record_of_many_changes_does_not_grow_with_their_square():
    changes = [Change(f"f{n}", n, n + 1) for n in range(500)]
    made = events(edit(*changes, raw={"context": "x" * 20_000}), data=b"x" * 30_000)
    assert len(made) == 500
    assert sum(len(canonical(event)) for event in made) < 1_000_000


def test_unmapped_members_can_be_left_out():
    assert "raw" not in one(edit(Change("a", 1, 2), raw={"x": 1}), keep_unmapped=False)["trail"]


# -- the original text ------------------------------------------------------------------------------------------------


def unparsed(data, **more):
    event = normalizer(**more).unparsed("not JSON", origin(data))
    assert check(event) == []
    assert canonical(event) == rfc8785.dumps(event)
    return event


def test_a_line_that_nobody_understood_is_kept_with_the_reason():
    event = unparsed(b"plain text")
    assert event["event"]["kind"] == "pipeline_error" and event["event"]["original"] == "plain text"
    assert event["error"] == {"message": "not JSON"}
    assert event["data_stream"]["dataset"] == "fieldtrail.activity"
    assert event["trail"]["operation"] == {"change_count": 0, "head": True, "id": "s1:88120"}


def test_bytes_that_are_no_text_stay_readable_and_whole():
    event = unparsed(b"caf\xe9")
    assert event["event"]["original"] == r"caf\xe9"
    assert event["trail"]["raw"] == {"original_base64": "Y2Fm6Q=="}


def test_base64_tells_nothing_that_the_policy_withheld():
    event = unparsed(b"\xff iban=" + SECRET.encode())
    assert "raw" not in event["trail"]
    assert SECRET not in event["event"]["original"]


@pytest.mark.parametrize("data", [b"x" * 100_000, "é".encode() * 50_000, b"\xff" * 100_000, b"\x00" * 100_000])
def test_a_long_line_is_cut_and_its_length_is_told(data):
    event = unparsed(data)
    assert len(event["event"]["original"].encode()) <= 32_000
    assert {"path": "event.original", "length": 100_000} in event["trail"]["truncated"]
    assert len(canonical(event)) <= 64_000


def test_the_original_is_kept_on_request_once_per_operation():
    made = events(edit(Change("a", 1, 2), Change("b", 1, 2)), b'{"line": 1}', keep_original=True)
    assert [event["event"].get("original") for event in made] == ['{"line": 1}', None]
    assert "original" not in one(edit(Change("a", 1, 2)), b"{}")["event"]


# -- anything ---------------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["2026-02-03T10:30:00Z", "198.51.100.9", "success", "ui", "edit", "login", "{", '{"a":1}'])
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
NAMES = st.sampled_from(["user.id", "source.ip", "labels", "event.type", "event.category", "process.pid", "host.ip", "trail.x", "geo", "message", "a.b", "event", "user", "source.geo.location", "event.risk_score", "event.start", "log.syslog.structured_data", "trail.export.objects"])  # fmt: skip
SIDE = ANY | st.sampled_from([ABSENT, UNKNOWN, Number("1.10"), Number("1e400")])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["field.update", "record.create", "record.delete", "role.grant", "auth.login", "log.message", "x"]),
    st.dictionaries(NAMES | st.text(max_size=5), ANY, max_size=5),
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), SIDE, SIDE), max_size=3
    ),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), ANY, max_size=4),
    st.sampled_from([None, "user", "employee", "bank_account"]),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
def test_any_operation_becomes_valid_events(action, fields, changes, values, kind, text):
    operation = Operation(
        action, "audit", id=text, code=text, outcome=text, interface=text, message=text, object_type=kind, object_id=text, object_name=text,
        fields=fields, changes=[Change(*change) for change in changes], values=values, raw=dict(values), time=Time("2026-02-03T10:30:00Z"),
    )  # fmt: skip
    fields.pop("", None)
    made = events(operation)
    assert sum("head" in event["trail"]["operation"] for event in made) == bool(made)
    assert len({event["event"]["id"] for event in made}) == len(made)
    for event in made:
        assert not isinstance(event, Rejected) and orjson.loads(canonical(event)) == event
