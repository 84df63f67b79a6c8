"""What inputs give: cards beside what came, counted from shipped documents."""

import orjson
import pytest

from parsers import Format, Gives
from shipper._privacy import Policy
from shipper.coverage import Tally, told

CARD = Format(
    name="acme_audit",
    module="acme",
    vendor="Acme",
    title="",
    gives=Gives(who="native", when="native", ip="native", field="native", old="native", new="native", logins="native"),
)


def document(**more):
    event = {
        "@timestamp": "2026-02-03T10:30:00Z",
        "event": {"dataset": "acme_audit.audit", "action": "field.update", "kind": "event"},
        "user": {"id": "7"},
        "source": {"ip": "192.0.2.7"},
        "trail": {
            "origin": {"input": "a"},
            "actor": {"confidence": "asserted"},
            "object": {"type": "offer"},
            "change": {"field": "frob", "old_state": "value", "new_state": "null", "derivation": "native"},
            "time": {"precision": "exact"},
        },
    }
    for path, value in more.items():
        here = event
        *parts, last = path.split("__")
        for part in parts:
            here = here[part]
        if value is None:
            here.pop(last, None)
        else:
            here[last] = value
    return orjson.dumps(event)


def tally(*documents, policy=None, since=""):
    made = Tally(policy or Policy(), {"acme_audit": CARD})
    for data in documents:
        made.add(data, since)
    return made


def cells(made):
    (row,) = made.rows()
    return {facet: row.cell(facet) for facet in Gives._fields}


def test_what_came_is_told_with_how_often_it_came():
    came = cells(tally(document(), document(user=None), document(source=None), document(source=None)))
    assert came["who"] == "native 75%" and came["ip"] == "native 50%" and came["old"] == "native 100%"
    assert came["session"] == "none" and came["exports"] == "none"
    assert came["logins"] == "native, none came"


def test_a_share_is_never_rounded_up_to_all_nor_down_to_nothing():
    assert cells(tally(*[document()] * 999, document(user=None)))["who"] == "native 99%"
    assert cells(tally(document(), *[document(user=None)] * 999))["who"] == "native 1%"


@pytest.mark.parametrize(
    ("derivation", "old", "told_as"),
    [
        ("native", "unknown", "native, none came"),
        ("snapshot_diff", "value", "diff 100%"),
        ("reconstructed", "null", "inferred 100%"),
        ("native", "empty", "native 100%"),
    ],
)
def test_old_values_are_told_by_how_they_are_known(derivation, old, told_as):
    change = {"field": "f", "old_state": old, "new_state": "value", "derivation": derivation}
    assert cells(tally(document(trail__change=change)))["old"] == told_as


def test_that_a_created_record_had_no_old_value_is_no_old_value_told():
    change = {"field": "salary", "old_state": "absent", "new_state": "value", "derivation": "native"}
    made = document(trail__change=change)
    came = cells(tally(made, document()))
    assert came["old"] == came["new"] == "native 100%"
    (row,) = tally(made).rows()
    assert not row.came["old"] and row.came["new"]["native"] == 1


def test_who_may_be_inferred_and_times_received():
    came = cells(tally(document(trail__actor={"confidence": "inferred"}, trail__time={"precision": "received"})))
    assert came["who"] == "inferred 100%" and came["when"] == "native, none came"


def test_logins_and_exports_are_counted():
    login = document(event={"dataset": "acme_audit.login", "action": "auth.login"}, trail__change=None)
    export = document(event={"dataset": "acme_audit.audit", "action": "data.export"}, trail__change=None)
    came = cells(tally(login, login, export))
    assert (came["logins"], came["exports"]) == ("2", "1")
    assert came["old"] == "native"  # nothing came that could have said it


def test_an_edit_that_names_no_field_counts_as_one_that_did_not_say_it():
    assert cells(tally(document(), document(trail__change=None)))["field"] == "native 50%"


def test_control_documents_health_damage_and_what_is_too_old_are_passed_over():
    health = document(event={"dataset": "fieldtrail.health", "action": "agent.start"})
    assert tally(health, b"{", b"[]", b'{"event":3}').rows() == []
    assert tally(document(), since="2026-02-04T00:00:00Z").rows() == []
    (row,) = tally(document(), since="2026-02-03T00:00:00Z").rows()
    assert row.last == "2026-02-03T10:30:00Z"


def test_lines_that_nobody_understood_are_counted_apart():
    line = document(event={"dataset": "acme_audit.unparsed", "action": "log.unparsed", "kind": "pipeline_error"})
    (row,) = tally(document(), line).rows()
    assert (row.documents, row.unparsed) == (1, 1)


def test_an_input_of_which_nothing_came_has_a_row_with_its_cards_promise():
    made = tally()
    made.expect("a", "acme_audit")
    assert cells(made)["who"] == "native" and cells(made)["session"] == "none"
    made.add(document())
    made.expect("a", "auto")  # what came says more
    assert len(made.rows()) == 1


def test_fields_that_no_rule_names_are_listed_the_most_frequent_first():
    salary = {"field": "salary", "old_state": "value", "new_state": "value", "derivation": "native"}
    made = tally(
        document(), document(), document(trail__change=salary), document(trail__change={**salary, "field": "zzz"})
    )
    assert [(one.module, one.field, one.documents) for one in made.uncovered()] == [
        ("acme", "frob", 2),
        ("acme", "zzz", 1),
    ]
    own = Policy.build([], fields=[{"field": "fr*", "sensitivity": "public"}, {"field": "zzz", "category": "pay"}])
    assert tally(document(), policy=own).uncovered() == []


def test_everything_is_there_for_programs():
    (row,) = told(tally(document()).rows(), {"a": 17})
    assert row["lag_bytes"] == 17 and row["last_event"] == "2026-02-03T10:30:00Z"
    assert row["old"] == {"declared": "native", "native": 1, "diff": 0, "inferred": 0, "none": 0}
