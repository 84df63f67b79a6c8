"""The format django_auditlog: rows and Django's own serialization of them."""

from __future__ import annotations

import json

import pytest

from parsers import ABSENT, SECRET, Change, Context, Rejected, Time
from parsers.django_auditlog import parse

CTX = Context()
ROW = {
    "id": 8801,
    "content_type": "hr.employee",
    "object_pk": "55",
    "object_id": 55,
    "object_repr": "Lee R",
    "action": 1,
    "changes": {"salary": ["90000", "120000"]},
    "actor": 7,
    "actor_email": "kim@example.com",
    "cid": None,
    "remote_addr": "192.0.2.10",
    "remote_port": None,
    "timestamp": "2026-02-03T10:30:00.123Z",
    "additional_data": None,
}
# Django 5.2 and django-auditlog 3.4: manage.py dumpdata auditlog.logentry --natural-foreign --format jsonl
DUMPED = b"""{"model": "auditlog.logentry","pk": 1,"fields": {"content_type": ["hr","employee"],"object_pk": "1",\
"object_id": 1,"object_repr": "Lee R","serialized_data": null,"action": 0,"changes_text": "","changes": \
{"name": ["None","Lee R"],"salary": ["None","90000"],"active": ["None","True"],"iban": ["**ne","********56780000"],\
"id": ["None","1"]},"actor": ["kim"],"cid": null,"remote_addr": "192.0.2.10","remote_port": null,"timestamp": \
"2026-02-03T10:30:00.757Z","additional_data": null,"actor_email": "kim@example.com"}}"""


def one(options=None, **columns):
    found = parse(json.dumps({**ROW, **columns}).encode(), Context(options=options or {}))
    assert not isinstance(found, Rejected), found
    (operation,) = found
    return operation


def test_an_update_says_who_changed_what_from_what_to_what():
    operation = one()
    assert (operation.action, operation.code, operation.kind) == ("field.update", "update", "audit")
    assert operation.changes == [Change("salary", "90000", "120000")]
    assert (operation.object_type, operation.object_id, operation.object_name) == ("employee", "55", "Lee R")
    assert operation.fields == {"user.id": "7", "user.email": "kim@example.com", "source.ip": "192.0.2.10"}
    assert (operation.actor_type, operation.actor_confidence) == ("user", "asserted")
    assert (operation.id, operation.time) == ("8801", Time("2026-02-03T10:30:00.123Z"))
    assert operation.raw == {"content_type": "hr.employee"}


def test_what_dumpdata_writes_is_read():
    (operation,) = parse(DUMPED, CTX)
    assert (operation.action, operation.id, operation.object_type) == ("record.create", "1", "employee")
    assert operation.values == {
        "name": "Lee R",
        "salary": "90000",
        "active": "True",
        "iban": "********56780000",
        "id": "1",
    }
    assert operation.changes == []
    assert operation.fields == {"user.name": "kim", "user.email": "kim@example.com", "source.ip": "192.0.2.10"}
    assert operation.raw == {"content_type": ["hr", "employee"], "model": "auditlog.logentry"}


def test_an_array_gives_one_operation_per_entry():
    found = parse(json.dumps([ROW, {**ROW, "id": 8802}]).encode(), CTX)
    assert [operation.id for operation in found] == ["8801", "8802"]


def test_a_bad_entry_of_an_array_is_named_by_position():
    assert parse(json.dumps([ROW, {**ROW, "action": 9}]).encode(), CTX).reason.startswith("entry 1: ")


def test_the_text_none_is_null_unless_told_otherwise():
    assert one(changes={"a": ["None", "x"]}).changes == [Change("a", None, "x")]
    assert one({"none_is_text": True}, changes={"a": ["None", "x"]}).changes == [Change("a", "None", "x")]
    assert one({"none_is_text": True}, changes={"a": [None, 5]}).changes == [Change("a", None, 5)]


def test_a_deleted_record_is_its_old_values():
    operation = one(action=2, changes={"name": ["Lee R", "None"], "iban": ["**5678", "**ne"], "left": ["None", "None"]})
    assert (operation.action, operation.values, operation.changes) == (
        "record.delete",
        {"name": "Lee R", "iban": "**5678"},
        [],
    )
    assert "changes" not in operation.raw


def test_a_value_on_the_wrong_side_of_a_creation_is_kept_in_raw():
    operation = one(action=0, changes={"rank": ["0", "1"]})
    assert operation.values == {"rank": "1"}
    assert operation.raw["changes"] == {"rank": ["0", "1"]}


def test_a_deletion_without_changes_takes_the_serialized_record():
    whole = {"model": "hr.employee", "pk": 55, "fields": {"name": "Lee R", "salary": 90000}}
    operation = one(action="delete", changes=None, serialized_data=whole)
    assert operation.values == {"name": "Lee R", "salary": 90000}
    assert operation.raw["serialized_data"] == {"model": "hr.employee", "pk": 55}


def test_an_access_is_a_view():
    operation = one(action=3, changes=None)
    assert (operation.action, operation.changes, operation.no_change) == ("record.view", [], False)


def test_many_to_many_changes_say_what_came_and_went():
    added = {"type": "m2m", "operation": "add", "objects": ["sql"]}
    assert one(changes={"skills": added}).changes == [Change("skills", ABSENT, ["sql"])]
    assert one(changes={"skills": {**added, "operation": "delete"}}).changes == [Change("skills", ["sql"], ABSENT)]
    operation = one(changes={"skills": {**added, "operation": "explode"}})
    assert operation.changes == [] and not operation.no_change
    assert operation.raw["changes"] == {"skills": {**added, "operation": "explode"}}


def test_changes_may_be_json_text_and_older_rows_have_changes_text():
    text = '{"salary": ["1", "2"]}'
    for columns in ({"changes": text}, {"changes": None, "changes_text": text}, {"changes": {}, "changes_text": text}):
        operation = one(**columns)
        assert operation.changes == [Change("salary", "1", "2")]
        assert "changes_text" not in operation.raw
    assert "changes_text" not in one(changes={"salary": ["1", "2"]}, changes_text=text).raw


def test_changes_text_that_says_something_else_stays_in_raw():
    assert one(changes_text="by hand").raw["changes_text"] == "by hand"
    operation = one(changes=None, changes_text="by hand")
    assert operation.changes == [] and not operation.no_change and operation.raw["changes_text"] == "by hand"


def test_an_update_without_changes_is_only_counted():
    assert one(changes={}).no_change
    assert one(changes=None, changes_text="").no_change


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("hr.employee", "employee"),
        ("HR.Employee", "employee"),
        (["hr", "employee"], "employee"),
        ({"app_label": "hr", "model": "employee"}, "employee"),
        (7, "contenttype-7"),
        ("7", "contenttype-7"),
        (None, None),
    ],
)
def test_the_type_is_the_models_name(kind, expected):
    assert one(content_type=kind).object_type == expected


def test_a_bare_number_is_named_by_the_option_or_by_the_serialized_record():
    assert one({"content_types": {"7": "hr.employee"}}, content_type=7).object_type == "employee"
    assert one({"content_types": {7: "hr.employee"}}, content_type=7).object_type == "employee"
    assert one(content_type=7, serialized_data={"model": "hr.badge"}).object_type == "badge"


@pytest.mark.parametrize(
    ("actor", "fields"),
    [
        (7, {"user.id": "7"}),
        ("7", {"user.id": "7"}),
        ("0b0c8a52-2f0b-4d0e-8a5e-0d8f6f3b1c11", {"user.id": "0b0c8a52-2f0b-4d0e-8a5e-0d8f6f3b1c11"}),
        ("kim", {"user.name": "kim"}),
        (["kim"], {"user.name": "kim"}),
        ({"id": 7, "username": "kim"}, {"user.id": "7", "user.name": "kim"}),
    ],
)
def test_the_actor_may_be_a_key_a_name_or_an_object(actor, fields):
    operation = one(actor=actor, actor_email=None, remote_addr=None)
    assert operation.fields == fields
    assert "actor" not in operation.raw


def test_a_change_outside_a_request_has_no_actor():
    operation = one(actor=None, actor_email=None, remote_addr=None)
    assert (operation.actor_type, operation.actor_confidence, operation.fields) == ("unknown", "unknown", {})


def test_additional_data_may_name_the_session_and_the_interface():
    operation = one(
        additional_data={"interface": "api", "session_id": "s1", "request_id": "r2", "ticket": "HR-9"},
        cid="c1",
        remote_port=50123,
    )
    assert operation.interface == "api"
    assert operation.fields["trail.session.id"] == "s1"
    assert operation.fields["http.request.id"] == "c1"
    assert operation.fields["source.port"] == 50123
    assert operation.raw["additional_data"] == {"request_id": "r2", "ticket": "HR-9"}


@pytest.mark.parametrize(
    "columns",
    [{"action": 4}, {"action": True}, {"action": "explode"}, {"action": None}, {"action": "²"}, {"action": -1}],
)
def test_an_unknown_action_is_refused(columns):
    assert isinstance(parse(json.dumps({**ROW, **columns}).encode(), CTX), Rejected)


@pytest.mark.parametrize("name", ["action", "content_type", "object_repr"])
def test_a_row_without_a_needed_column_is_refused_by_its_name(name):
    row = {key: value for key, value in ROW.items() if key != name}
    assert parse(json.dumps(row).encode(), CTX) == Rejected(f"no {name}")
    row = {key: value for key, value in ROW.items() if key not in ("object_pk", "object_id")}
    assert isinstance(parse(json.dumps(row).encode(), CTX), Rejected)


def test_a_change_whose_values_were_masked_alike_is_a_change_all_the_same():
    operation = one(changes={"iban": ["****4200", "****4200"]})
    assert operation.changes == [Change("iban", SECRET, SECRET)] and not operation.no_change


@pytest.mark.parametrize(
    ("action", "changes", "becomes"),
    [
        (0, {"username": ["None", "kim"]}, "user.create"),
        (1, {"is_staff": ["False", "True"]}, "role.grant"),
        (1, {"groups": {"type": "m2m", "operation": "delete", "objects": ["payroll"]}}, "role.revoke"),
        (1, {"is_active": ["True", "False"]}, "user.disable"),
        (1, {"password": ["a", "b"]}, "password.change"),
        (1, {"last_login": ["None", "2026-02-03"]}, "user.update"),
        (2, {"username": ["kim", "None"]}, "user.delete"),
        (3, None, "record.view"),
    ],
)
def test_a_change_of_an_account_is_called_what_it_amounts_to(action, changes, becomes):
    assert one(content_type="auth.user", action=action, changes=changes).action == becomes


def test_what_a_creation_carries_is_json_whatever_the_library_masked():
    operation = one(
        action=0, changes={"iban": ["***", "***"], "groups": {"type": "m2m", "operation": "clear", "objects": ["a"]}}
    )
    assert operation.values == {"iban": "(secret dropped)"}
    assert json.dumps(operation.raw["changes"]) == json.dumps(
        {"iban": ["(secret dropped)"] * 2, "groups": [["a"], None]}
    )
