"""Two states of a record: what changed, field by field, and nothing that did not."""

import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers._contract import ABSENT
from parsers._json import Number, decode
from shipper.changes import same
from shipper.differ.diff import MOST_OF_A_LIST, ById, ObjectPolicy, _identity, beside, diff, text_of_path

PLAIN = ObjectPolicy()


def found(old, new, policy=PLAIN):
    return [(one.field, one.old, one.new) for one in diff(old, new, policy).differences]


def test_members_have_their_path():
    old = {"name": "Jo", "address": {"city": "Berlin", "geo": {"lat": 1}}, "age": 7}
    new = {"name": "Jo", "address": {"city": "Bern", "geo": {"lat": 2}}, "age": 7}
    assert found(old, new) == [("address.city", "Berlin", "Bern"), ("address.geo.lat", 1, 2)]


def test_members_of_an_element_may_be_told_with_what_changed_in_it():
    policy = ObjectPolicy(ids={"pay": "row"}, beside=("start",))
    old = {"pay": [{"row": 1, "start": "a", "rate": 5}, {"row": 2, "start": "b"}], "name": "x"}
    new = {
        "pay": [{"row": 1, "start": "a", "rate": 6}, {"row": 2, "start": "c"}, {"row": 3, "start": "d"}],
        "name": "y",
    }
    paths = [one.path for one in diff(old, new, policy).differences]
    assert [text_of_path(path) for path in paths] == ["pay[1].rate", "pay[2].start", "pay[3]", "name"]
    assert beside(paths, new, policy) == {"pay[1].start": "a"}
    assert beside(paths, {"pay": "gone"}, policy) == beside(paths, new, ObjectPolicy()) == {}


def test_absent_null_and_the_empty_ones_are_five_things():
    values = [ABSENT, None, "", [], {}]
    for one in values:
        for other in values:
            old, new = ({} if value is ABSENT else {"a": value} for value in (one, other))
            assert found(old, new) == ([] if one is other else [("a", one, other)])


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (b"1", b"1.0", False),
        (b"1.10", b"1.1", False),
        (b"1e2", b"100", False),
        (b"1", b"true", True),
        (b"0", b"false", True),
        (b"1", b'"1"', True),
        (b"9007199254740993", b"9007199254740992", True),
    ],
)
def test_numbers_are_compared_as_json(old, new, changed):
    states = [decode(b'{"a":%b}' % value) for value in (old, new)]
    assert bool(found(*states)) is changed


def test_tags_are_a_set_and_each_one_is_a_change():
    assert found({"tag_ids": ["1", "2", "3"]}, {"tag_ids": ["3", "4", "1"]}) == [
        ("tag_ids", "2", ABSENT),
        ("tag_ids", ABSENT, "4"),
    ]
    assert found({"tags": ["a", "b", "a"]}, {"tags": ["b", "a"]}) == []
    assert found({"teamIds": [1]}, {"teamIds": [1.0, True]}) == [("teamIds", ABSENT, True)]


def test_a_policy_names_further_sets():
    old, new = {"stops": {"route": ["a", "b"]}}, {"stops": {"route": ["b", "a"]}}
    assert found(old, new) == [("stops.route", ["a", "b"], ["b", "a"])]
    assert found(old, new, ObjectPolicy(sets=("stops.*",))) == []


def test_a_set_that_comes_or_goes_as_a_whole_is_one_change():
    assert found({}, {"tags": ["a"]}) == [("tags", ABSENT, ["a"])]
    assert found({"tags": ["a"]}, {"tags": None}) == [("tags", ["a"], None)]
    assert found({"tags": []}, {"tags": ["a"]}) == [("tags", ABSENT, "a")]


def test_objects_in_lists_are_met_by_their_id_wherever_they_stand():
    old = {"phones": [{"id": 7, "number": "1"}, {"id": 8, "number": "2"}, {"id": 9, "number": "3"}]}
    new = {"phones": [{"id": 9, "number": "3"}, {"id": 7, "number": "4"}, {"id": 10, "number": "5"}]}
    assert found(old, new) == [
        ("phones[7].number", "1", "4"),
        ("phones[10]", ABSENT, {"id": 10, "number": "5"}),
        ("phones[8]", {"id": 8, "number": "2"}, ABSENT),
    ]


def test_a_policy_names_the_member_that_tells_the_elements_apart():
    policy = ObjectPolicy(ids={"email_addresses": "field"})
    old = {"email_addresses": [{"field": "EMAIL1", "email": "a@x.example"}]}
    new = {"email_addresses": [{"field": "EMAIL1", "email": "b@x.example"}]}
    assert found(old, new, policy) == [("email_addresses[EMAIL1].email", "a@x.example", "b@x.example")]


@pytest.mark.parametrize(
    "elements",
    [[{"id": 1}, {"id": 1}], [{"id": 1}, {"id": "1"}], [{"id": None}], [{"id": True}], [{"no": 1}], [1, {"id": 2}]],
)
def test_a_list_whose_elements_have_no_id_of_their_own_changes_as_a_whole(elements):
    assert found({"rows": [{"id": 5}]}, {"rows": elements}) == [("rows", [{"id": 5}], elements)]
    assert found({"rows": elements}, {"rows": []}) == [("rows", elements, [])]


def test_a_list_in_which_nearly_all_changed_is_one_change():
    old, new = {"tags": []}, {"tags": list(range(MOST_OF_A_LIST + 1))}
    assert found(old, new) == [("tags", [], new["tags"])]
    assert len(found(old, {"tags": list(range(MOST_OF_A_LIST))})) == MOST_OF_A_LIST


def test_ignored_fields_are_counted_and_never_change():
    policy = ObjectPolicy(ignore=("stats", "phones.checked_*", "synced"))
    old = {"stats": {"opens": 1, "by": {"day": 1}}, "phones": [{"id": 1, "checked_at": 1, "number": 1}], "synced": 1}
    new = {"stats": {"opens": 2, "by": {"day": 2}}, "phones": [{"id": 1, "checked_at": 2, "number": 2}], "sync": 1}
    made = diff(old, new, policy)
    assert [one.field for one in made.differences] == ["phones[1].number", "sync"]
    assert made.ignored == 4


def test_paths_read_as_people_write_them():
    assert text_of_path(("a", "b", ById("7"), "c", ById("x.y"))) == "a.b[7].c[x.y]"
    assert text_of_path(("",)) == '""'


# -- the law: what differs makes the new state out of the old -----------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "tags", "phones", "ids", "x.y", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "1", "a", "b"]), st.sampled_from([0.5, 1.0])
)
OBJECTS = st.builds(
    lambda number, more: {**more, "id": number}, st.integers(0, 3), st.dictionaries(NAMES, SCALARS, max_size=2)
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(OBJECTS, max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
STATES = st.dictionaries(NAMES, VALUES, max_size=5)


def apply(state, differences):
    """The new state, by what differs alone."""
    state = copy.deepcopy(state)
    for one in differences:
        holder, last = _holder(state, one.path)
        if one.element:
            values = holder[last]
            keys = [_identity(value) for value in values]
            if one.new is ABSENT:
                gone = _identity(one.old)
                assert gone in keys
                values[:] = [value for value, key in zip(values, keys, strict=True) if key != gone]
            else:
                assert _identity(one.new) not in keys
                values.append(one.new)
        elif isinstance(last, ById):
            at = [number for number, value in enumerate(holder) if str(value["id"]) == last]
            assert len(at) == (one.old is not ABSENT)
            for number in at:
                assert same(holder[number], one.old)
                del holder[number]
            if one.new is not ABSENT:
                holder.append(one.new)
        else:
            assert same(holder.get(last, ABSENT), one.old)
            if one.new is ABSENT:
                del holder[last]
            else:
                holder[last] = one.new
    return state


def _holder(state, path):
    for step in path[:-1]:
        state = next(one for one in state if str(one["id"]) == step) if isinstance(step, ById) else state[step]
    return state, path[-1]


def ordered(value, name=""):
    """A state without the orders that mean nothing."""
    if isinstance(value, dict):
        return {key: ordered(member, key) for key, member in value.items()}
    if not isinstance(value, list):
        return value
    by_id = all(isinstance(one, dict) and "id" in one and type(one["id"]) is int for one in value)
    if name in {"tags", "ids"} and not any(isinstance(one, dict | list) for one in value):
        found = {_identity(one): one for one in value}
        return [found[key] for key in sorted(found, key=repr)]
    if by_id and len({one["id"] for one in value}) == len(value):
        return sorted(map(ordered, value), key=lambda one: one["id"])
    return value  # of any other list the order means something, and that of lists in it too


@settings(max_examples=200, deadline=None)
@given(STATES, STATES)
def test_what_differs_makes_the_new_state_of_the_old_one(old, new):
    kept = orjson.dumps([old, new])
    made = diff(old, new, PLAIN)
    assert orjson.dumps([old, new]) == kept
    assert same(ordered(apply(old, made.differences)), ordered(new))
    assert all(one.field for one in made.differences)


@settings(max_examples=100, deadline=None)
@given(STATES)
def test_a_state_does_not_differ_from_itself_however_it_is_ordered(state):
    assert diff(state, copy.deepcopy(state), PLAIN) == ((), 0)
    assert diff(state, ordered(state), PLAIN).differences == ()


@settings(max_examples=100, deadline=None)
@given(STATES, STATES)
def test_both_directions_are_the_same_changes_turned_round(old, new):
    forth = {(one.field, repr(one.old), repr(one.new)) for one in diff(old, new, PLAIN).differences}
    back = {(one.field, repr(one.new), repr(one.old)) for one in diff(new, old, PLAIN).differences}
    assert forth == back


def test_numbers_keep_their_characters():
    (one,) = diff(decode(b'{"a":1.10}'), decode(b'{"a":1.20}'), PLAIN).differences
    assert (one.old, one.new) == (Number("1.10"), Number("1.20"))
