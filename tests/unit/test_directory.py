"""The directory: lists read and joined, the version, the cache, the refresh, and what events get of it."""

import contextlib
import csv
import json
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers._contract import Change, Context, Operation
from shipper import config
from shipper.build import Lanes
from shipper.commands.inspect import validate
from shipper.directory import fetch, standing, table
from shipper.directory.keeper import Directory, View, cache_path, unreadable
from shipper.directory.people import (
    Label,
    Person,
    UnreadableError,
    labels_of_csv,
    of_bamboohr,
    of_csv,
    of_google,
    of_okta,
)
from shipper.enrich import Tables, enriched
from shipper.errors import ConfigError, DiskError
from shipper.framing import Block
from shipper.model import Chunk
from shipper.pipeline import process

KEY = bytes(range(32))
KIM = Person(
    "kim@co.example", ("kim@co.example", "keap:7", "kim"), "Kim Q", "Sales", "active", "person", "Europe/Berlin"
)
BOT = Person("sync", ("sync@co.example",), "Sync Bot", kind="service")


def tables(*people, labels=()):
    return table.decode(table.encode(table.join([people], [labels]), KEY))


def told(fields, *, module="keap", changes=(), state=None):
    """The operation after the directory saw it."""
    operation = Operation(action="field.update", kind="audit", fields=dict(fields), changes=list(changes))
    state = state or tables(
        KIM, BOT, labels=[Label("keap", "owner_id", "7", "Kim Q"), Label("*", "stage", "3", "Offer")]
    )
    return enriched(lambda record, ctx: [operation], module, lambda: state)(b"", Context())[0]


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_csv_file_is_read_by_its_own_column_names_and_words():
    found = of_csv(
        b"\xef\xbb\xbfWork E-Mail;Accounts;Full Name;Dept;Status;Type\n"
        b"Kim@Co.Example, kim.q@co.example;7 hubspot:99;Kim Q;Sales;Enabled;Employee\n"
        b";;;;;\n"
        b"sync@co.example;;Sync;;Terminated;Service Account\n",
        {
            "email": "Work E-Mail", "accounts": "Accounts", "name": "Full Name", "department": "Dept",
            "status": "Status", "kind": "Type",
        },
        separator=";",
        module="keap",
    )  # fmt: skip
    assert found == [
        Person(
            "kim@co.example", ("kim@co.example", "kim.q@co.example", "keap:7", "hubspot:99"), "Kim Q", "Sales",
            "active", "person",
        ),
        Person("sync@co.example", ("sync@co.example",), "Sync", "", "inactive", "service"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "columns", "said"),
    [
        (b"", {}, "empty file"),
        (b"name,dept\nKim,Sales\n", {}, "neither a column for email"),
        (b"email\nkim@co.example\n", {"department": "Dept"}, "no column 'Dept' among the 1 of the first line"),
        (b"email\n\xff\xfe\n", {}, "not UTF-8 at byte 6"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named(data, columns, said):
    with pytest.raises(UnreadableError, match=said):
        of_csv(data, columns)


@pytest.mark.parametrize("columns", [{}, {"email": "Work E-Mail"}])
def test_a_person_where_the_header_should_be_is_never_told(tmp_path, columns):
    sections, state, clock = config_of(tmp_path, columns=columns).directory, tmp_path / "state", Clock()
    (tmp_path / "people.csv").write_text("email,Work E-Mail\nkim@co.example,kim@co.example\n", encoding="utf-8")
    keeper = refreshed(sections, state, clock)
    (tmp_path / "people.csv").write_text("Kim Q,kim@co.example,0000123456789,84000\n", encoding="utf-8")
    clock.now += 61
    keeper.refresh()
    view = View(cache_path(state), clock)
    ((_, told),) = view.reports(1_800_000_000.0)
    assert "among the 4 of the first line" in told.message
    kept = (state / "directory" / "standing.json").read_text(encoding="utf-8")
    for text in ("Kim", "kim@", "0000123456789", "84000"):
        assert text not in told.message + kept


@pytest.mark.parametrize(
    ("error", "said"),
    [(UnreadableError("x" * 5000), "x" * 300), (KeyError("kim@co.example"), "internal error: KeyError")],
)
def test_a_problem_is_short_and_holds_no_text_of_an_internal_error(tmp_path, monkeypatch, error, said):
    (tmp_path / "people.csv").write_text("email\nkim@co.example\n", encoding="utf-8")
    clock = Clock()
    keeper = refreshed(config_of(tmp_path).directory, tmp_path / "state", clock)

    def failing(section):
        raise error

    monkeypatch.setattr("shipper.directory.keeper.listed", failing)
    (tmp_path / "people.csv").write_text("email\nkim@co.example\nlee@co.example\n", encoding="utf-8")
    clock.now += 61
    keeper.refresh()
    assert keeper.problems() == {"staff": said}


def test_a_stray_quote_makes_a_list_unreadable_and_what_was_known_stays(tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("email,name\na@co.example,Ann\nb@co.example,Ben\n", encoding="utf-8")
    clock = Clock()
    keeper = refreshed(config_of(tmp_path).directory, tmp_path / "state", clock)
    people.write_text('email,name\na@co.example,"Ann\nb@co.example,Ben\nc@co.example,Cas\n', encoding="utf-8")
    clock.now += 61
    assert not keeper.refresh()
    assert keeper.problems()["staff"].startswith("line 4: ")
    view = View(cache_path(tmp_path / "state"), clock)
    view.look()
    assert set(view.tables().people) == {"a@co.example", "b@co.example"}
    with pytest.raises(UnreadableError, match="line 2"):
        labels_of_csv(b'field,id,label\nstage,3,"Offer" sent\n')


def test_whitespace_in_values_is_one_blank():
    assert of_csv(b'email,name\nkim@co.example,"Kim\r\n\t Q "\n', {})[0].name == "Kim Q"
    assert labels_of_csv(b'field,id,label\nstage,3,"Offer\n  sent"\n') == [Label("*", "stage", "3", "Offer sent")]
    assert of_bamboohr([{**BAMBOO, "displayName": " Kim\n Q"}])[0].name == "Kim Q"


def test_a_field_that_is_too_long_for_a_csv_reader_is_named():
    before = csv.field_size_limit(1000)
    try:
        with pytest.raises(UnreadableError, match="line 2: field larger"):
            of_csv(b"email\n" + b"x" * 2000 + b"\n", {})
    finally:
        csv.field_size_limit(before)


def test_labels_are_read_and_what_is_incomplete_is_left_out():
    assert labels_of_csv(b"module,field,id,label\nkeap,Stage,3,Offer\n,owner,7,Kim\nkeap,stage,4,\n") == [
        Label("keap", "stage", "3", "Offer"),
        Label("*", "owner", "7", "Kim"),
    ]
    with pytest.raises(UnreadableError, match="field, id and label"):
        labels_of_csv(b"a,b\n1,2\n")


OKTA = {
    "id": "00u1", "status": "DEPROVISIONED",
    "profile": {"login": "kim@co.example", "email": "Kim@co.example", "firstName": "Kim", "lastName": "Q",
                "department": "Sales", "timezone": "Europe/Berlin"},
}  # fmt: skip
GOOGLE = {
    "id": "1001", "primaryEmail": "kim@co.example", "aliases": ["kim.q@co.example"], "suspended": True,
    "name": {"fullName": "Kim Q"}, "organizations": [{"department": "Old"}, {"department": "Sales", "primary": True}],
}  # fmt: skip
BAMBOO = {"id": "5", "displayName": "Kim Q", "workEmail": "kim@co.example", "department": "Sales", "photoUrl": None}


def test_vendors_lists_give_the_same_person():
    okta, google, bamboo = of_okta([OKTA])[0], of_google([GOOGLE])[0], of_bamboohr([BAMBOO])[0]
    assert okta == Person(
        "kim@co.example", ("kim@co.example", "okta:00u1"), "Kim Q", "Sales", "inactive", "person", "Europe/Berlin"
    )
    assert (google.accounts, google.status, google.department) == (
        ("kim@co.example", "kim.q@co.example", "google_workspace:1001"), "suspended", "Sales",
    )  # fmt: skip
    assert bamboo == Person("kim@co.example", ("kim@co.example", "bamboohr:5"), "Kim Q", "Sales", "active", "person")
    for read, wrong in ((of_okta, {"id": 1}), (of_google, {}), (of_bamboohr, {"name": "Kim"})):
        with pytest.raises(UnreadableError):
            read([wrong])


def test_an_address_that_users_set_themselves_is_no_account():
    profile = {
        **OKTA["profile"],
        "login": "mal@ext.example",
        "email": "mal@ext.example",
        "secondEmail": "kim@co.example",
    }
    (mal,) = of_okta([{**OKTA, "id": "00u9", "profile": profile}])
    assert mal.accounts == ("mal@ext.example", "okta:00u9")
    joined = table.join([[KIM], [mal]], [])
    assert [person.person for person in joined.people] == ["kim@co.example", "mal@ext.example"]
    assert joined.disputed == ()


def test_a_vendors_account_names_no_other_module():
    okta = of_okta([{**OKTA, "profile": {"login": "keap:7", "email": "mal@ext.example"}}])[0]
    google = of_google([{**GOOGLE, "aliases": ["keap:7"]}])[0]
    bamboo = of_bamboohr([{**BAMBOO, "workEmail": "keap:7"}])[0]
    assert okta.accounts == ("mal@ext.example", "okta:00u1")
    assert google.accounts == ("kim@co.example", "google_workspace:1001")
    assert bamboo.accounts == ("bamboohr:5",)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=12), st.none() | st.text(max_size=5) | st.integers() | st.lists(st.none()))
    )
)
def test_no_answer_whatever_does_more_than_be_unreadable(users):
    whole = {"id": "1", "primaryEmail": "x", "profile": {}}
    for read in (of_okta, of_google, of_bamboohr):
        with contextlib.suppress(UnreadableError):
            assert all(person.accounts for person in read([{**whole, **user} for user in users]))


def answer(status, body, **headers):
    return SimpleNamespace(status=status, body=json.dumps(body).encode(), headers=headers)


def test_okta_is_asked_page_after_page():
    asked = []

    def ask(url, headers):
        asked.append((url, headers["Authorization"]))
        if "after" in url:
            return answer(200, [{**OKTA, "id": "00u2"}])
        link = '<https://co.okta.example/api/v1/users?limit=200>; rel="self", <https://co.okta.example/api/v1/users?after=1>; rel="next"'
        return answer(200, [OKTA], link=link)

    found = fetch.fetched("okta", "https://co.okta.example/", "t0k", ask)
    assert [person.accounts[-1] for person in found] == ["okta:00u1", "okta:00u2"]
    assert asked[0] == ("https://co.okta.example/api/v1/users?limit=200", "SSWS t0k")
    assert asked[1][0].endswith("after=1")


def test_a_next_page_on_another_host_never_gets_the_token():
    def ask(url, headers):
        assert url.startswith("https://co.okta.example/")
        return answer(200, [OKTA], link='<https://evil.example/api>; rel="next"')

    with pytest.raises(UnreadableError, match="another host"):
        fetch.fetched("okta", "https://co.okta.example", "t0k", ask)


def test_a_next_page_is_found_beside_any_other_link():
    asked = []

    def ask(url, headers):
        asked.append(url)
        if len(asked) > 1:
            return answer(200, [])
        links = [
            '<https://co.okta.example/a,b>; title="x, y"; rel=self',
            "<https://evil.example/>; rel=nextdoor",
            '<https://co.okta.example/c,d>; title="z"; rel=next',
        ]
        return answer(200, [OKTA], link=", ".join(links))

    fetch.fetched("okta", "https://co.okta.example", "t0k", ask)
    assert asked[1:] == ["https://co.okta.example/c,d"]


@pytest.mark.parametrize("link", ["<" * 1_000_000, "<a>;" * 300_000, "<a>" + ";" * 1_000_000, "<a>; rel=" * 100_000])
def test_a_giant_header_ends_the_list_at_once(link):
    """With a search that looks at things again this takes hours."""
    assert (
        len(fetch.fetched("okta", "https://co.okta.example", "t", lambda url, _: answer(200, [OKTA], link=link))) == 1
    )


ENDLESS = {
    "okta": ([OKTA], {"link": '<https://co.example/next>; rel="next"'}),
    "google_workspace": ({"users": [GOOGLE], "nextPageToken": "a"}, {}),
    "label_list": ({"results": [{"id": 1, "label": "x"}], "next": "/next"}, {}),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_list_that_never_ends_is_given_up_at_as_many_bytes_as_a_list_may_have(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fetch, "MOST_BYTES", 5000)
    body, headers = ENDLESS[kind]
    given_out = []

    def ask(url, _):
        given_out.append(answer(200, body, **headers))
        return given_out[-1]

    section = label_list(tmp_path, url="https://co.example/list", token="t", items="results.*", next="next")
    with pytest.raises(UnreadableError, match="more than 5000 bytes"):
        fetch.fetched_labels(section, "t", ask) if kind == "label_list" else fetch.fetched(
            kind, "https://co.example", "t", ask
        )
    assert sum(len(one.body) for one in given_out[:-1]) <= 5000


def test_google_and_bamboohr_are_asked_as_they_want_it():
    def google(url, headers):
        assert headers == {"Authorization": "Bearer t0k"}
        if "pageToken=a%2Fb" in url:
            return answer(200, {"kind": "admin#directory#users"})
        return answer(200, {"users": [GOOGLE], "nextPageToken": "a/b"})

    assert len(fetch.fetched("google_workspace", "https://admin.googleapis.example", "t0k", google)) == 1

    def bamboo(url, headers):
        assert (url, headers["Authorization"]) == (
            "https://co.bamboohr.example/api/v1/employees/directory", "Basic dDBrOng=",
        )  # fmt: skip
        return answer(200, {"fields": [], "employees": [BAMBOO]})

    assert len(fetch.fetched("bamboohr", "https://co.bamboohr.example", "t0k", bamboo)) == 1
    with pytest.raises(UnreadableError, match=r"okta: 403 on the list of people: needs okta\.users\.read"):
        fetch.fetched("okta", "https://co.okta.example", "t0k", lambda url, headers: answer(403, {}))


PIPELINES = {
    "results": [
        {"id": "p1", "stages": [{"id": "31", "label": "Offer"}, {"id": "32", "label": "Won"}]},
        {"id": "p2", "stages": [{"id": "41"}, {"label": "x"}, {"id": 42, "label": "Lost"}]},
    ]
}


def label_list(tmp_path, **more):
    held = {"id": "stages", "type": "label_list", "module": "hubspot", "field": "DealStage", **more}
    text = yaml.safe_dump({"agent": {"state_dir": str(tmp_path)}, "directory": [held]})
    return config.parse(text, "test.yaml").directory[0]


def test_labels_come_out_of_nested_lists_by_their_paths(tmp_path):
    section = label_list(tmp_path, path="stages.json", items="results.*.stages.*")
    assert fetch.labels_in_file(section, json.dumps(PIPELINES).encode()) == [
        Label("hubspot", "dealstage", "31", "Offer"),
        Label("hubspot", "dealstage", "32", "Won"),
        Label("hubspot", "dealstage", "42", "Lost"),
    ]
    with pytest.raises(UnreadableError, match="nothing at"):
        fetch.labels_in_file(section, b'{"error": "x"}')


def test_a_list_of_labels_is_asked_page_after_page_and_names_are_put_together(tmp_path):
    section = label_list(
        tmp_path,
        url="https://api.hubapi.example/crm/v3/owners?limit=100",
        token="t0k",
        items="results.*",
        id_at="userId",
        label="{firstName} {lastName}",
        next="paging.next.link",
    )
    asked = []

    def ask(url, headers):
        asked.append(url)
        assert headers == {"Authorization": "Bearer t0k"}
        if len(asked) == 1:
            owners = [
                {"userId": 7, "firstName": "Kim", "lastName": "Q"},
                {"userId": 8, "lastName": "Only"},
                {"userId": 9},
            ]
            return answer(200, {"results": owners, "paging": {"next": {"link": "/crm/v3/owners?after=2"}}})
        if len(asked) == 2:
            return answer(200, {"results": [], "paging": {"next": {"link": "https://evil.example/"}}})
        raise AssertionError

    with pytest.raises(UnreadableError, match="another host"):
        fetch.fetched_labels(section, "t0k", ask)
    assert asked[1] == "https://api.hubapi.example/crm/v3/owners?after=2"
    asked[:] = ["x"]
    found = fetch.fetched_labels(
        section,
        "t0k",
        lambda url, headers: answer(
            200, {"results": [{"userId": 7, "firstName": "Kim", "lastName": "Q"}, {"userId": 8, "lastName": "Only"}]}
        ),
    )
    assert [(one.id, one.label) for one in found] == [("7", "Kim Q"), ("8", "Only")]
    with pytest.raises(UnreadableError, match="stages: 401 on the list: needs another token"):
        fetch.fetched_labels(section, "t0k", lambda url, headers: answer(401, {}))


# -- the table ---------------------------------------------------------------------------------------------------------


def test_what_two_lists_say_of_one_address_is_one_person_and_the_first_says_more():
    joined = table.join([[KIM._replace(department="")], [of_bamboohr([BAMBOO])[0]._replace(status="left")]], [])
    assert len(joined.people) == 1
    person = joined.people[0]
    assert (person.department, person.status) == ("Sales", "active")
    assert set(person.accounts) == {"kim@co.example", "keap:7", "kim", "bamboohr:5"}


def test_an_account_that_two_people_of_a_list_claim_is_nobodys():
    other = Person("lee@co.example", ("lee@co.example", "kim"), "Lee")
    joined = table.join([[KIM, other]], [])
    assert joined.disputed == ("kim",)
    state = table.decode(table.encode(joined, KEY))
    assert "kim" not in state.people
    assert dict(state.people["keap:7"])["trail.actor.person"] == "kim@co.example"


def test_an_address_that_is_disputed_joins_nobody():
    ann = Person("ann", ("info@co.example", "ann@co.example"), "Ann")
    ben = Person("ben", ("info@co.example", "ben@co.example"), "Ben")
    cas = Person("cas", ("info@co.example", "cas@co.example"), "Cas")
    for lists in ([[ann, ben], [cas]], [[ann], [ben, cas]], [[ann], [cas, ben]]):
        joined = table.join(lists, [])
        assert joined.disputed == ("info@co.example",)
        assert {person.person: person.accounts for person in joined.people} == {
            "ann": ("ann@co.example",), "ben": ("ben@co.example",), "cas": ("cas@co.example",),
        }  # fmt: skip


def test_a_person_whom_two_pages_of_a_list_hold_disputes_nothing_with_herself():
    joined = table.join([[KIM, BOT, KIM]], [])
    assert (len(joined.people), joined.disputed) == (2, ())


@given(st.permutations([KIM, BOT, Person("lee", ("lee@co.example",))]))
def test_the_version_is_of_what_the_table_says_and_not_of_its_order(people):
    assert table.encode(table.join([people], []), KEY) == table.encode(table.join([sorted(people)], []), KEY)


def test_the_version_depends_on_every_value_and_on_the_key():
    base = tables(KIM).version
    assert len(base) == 16
    assert tables(KIM._replace(department="HR")).version != base
    assert tables(KIM, labels=[Label("*", "stage", "3", "Offer")]).version != base
    assert table.decode(table.encode(table.join([[KIM]], []), bytes(32))).version != base


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"v": 2}', b'{"v":1,"version":"x","people":[[1]],"labels":[]}'])
def test_what_is_no_cache_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        table.decode(data)


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "module"),
    [
        ({"user.email": "KIM@co.example"}, "okta"),
        ({"user.id": "7"}, "keap"),
        ({"user.id": 7}, "keap"),
        ({"user.id": "kim@co.example"}, "makecom"),
        ({"user.name": "kim"}, "sshd"),
    ],
)
def test_an_account_names_its_person(fields, module):
    found = told(fields, module=module)
    assert found.fields["trail.actor.person"] == "kim@co.example"
    assert found.fields["user.full_name"] == "Kim Q"
    assert found.fields["trail.actor.department"] == "Sales"
    assert found.fields["trail.origin.directory"] == tables(KIM, BOT, labels=[
        Label("keap", "owner_id", "7", "Kim Q"), Label("*", "stage", "3", "Offer")]).version  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "module"),
    [
        ({"user.id": "7"}, "hubspot"),
        ({"user.id": "kim"}, "sshd"),
        ({"user.email": "who@co.example"}, "keap"),
        ({}, "keap"),
    ],
)
def test_an_account_of_another_system_or_of_nobody_names_nobody(fields, module):
    assert told(fields, module=module).fields == fields


def test_an_account_cannot_choose_its_module():
    state = tables(KIM)
    for field in ("user.name", "user.email", "user.id"):
        assert told({field: "keap:7"}, module="sshd", state=state).fields == {field: "keap:7"}
    assert told({"user.name": "7"}, module="keap", state=state).fields["user.full_name"] == "Kim Q"


def test_id_and_name_of_the_same_text_are_looked_up_as_each_is():
    same = "kim"
    copy = f"k{same[1:]}"
    assert same is not copy
    for name in (same, copy):
        assert told({"user.id": same, "user.name": name}, module="crm").fields["user.full_name"] == "Kim Q"
    assert "user.full_name" not in told({"user.id": same}, module="crm").fields


def test_what_the_source_says_is_never_replaced():
    found = told({"user.email": "kim@co.example", "user.full_name": "K. Q.", "trail.actor.person": "p-1"})
    assert found.fields["user.full_name"] == "K. Q."
    assert found.fields["trail.actor.person"] == "p-1"
    assert found.fields["trail.actor.department"] == "Sales"
    change = Change("stage", "3", "4", old_label="Bid")
    assert told({}, changes=[change]).changes == [change]


def test_only_the_directory_says_that_something_is_from_the_directory():
    assert "trail.origin.directory" not in told({"trail.origin.directory": "forged"}).fields


def test_ids_get_their_labels_by_module_and_field():
    found = told({}, changes=[Change("Owner_ID", 7, "8"), Change("stage", None, "3"), Change("note", "3", "7")])
    assert found.changes == [
        Change("Owner_ID", 7, "8", old_label="Kim Q"),
        Change("stage", None, "3", new_label="Offer"),
        Change("note", "3", "7"),
    ]
    assert "trail.origin.directory" in found.fields


def test_before_the_first_table_nothing_is_added():
    assert told({"user.name": "kim"}, state=Tables()).fields == {"user.name": "kim"}


# -- the agent's way ---------------------------------------------------------------------------------------------------

FORMAT = {
    "decode": "json",
    "module": "crm",
    "time": {"field": "ts"},
    "map": {
        "user.name": "who",
        "user.email": "mail",
        "user.id": "id",
        "trail.object.type": "kind",
        "trail.object.id": "n",
    },
    "changes": {"list": "changes"},
    "default_action": "field.update",
}


def lanes(folder, people="", labels="", *, directory=True):
    """Lanes over an input of an own format and one of sshd, and the directory that fills them, which has started."""
    (folder / "people.csv").write_text("email,accounts,name,department,status,kind\n" + people, encoding="utf-8")
    (folder / "labels.csv").write_text("module,field,id,label\n" + labels, encoding="utf-8")
    sections = [
        {"id": "staff", "type": "csv", "path": str(folder / "people.csv")},
        {"id": "labels", "type": "labels", "path": str(folder / "labels.csv")},
    ]
    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(folder / "state")},
            "inputs": [
                {"id": "app", "type": "file", "paths": ["/x"], "format": "crm"},
                {"id": "auth", "type": "file", "paths": ["/y"], "format": "sshd"},
            ],
            "formats": {"crm": FORMAT},
            "directory": sections if directory else [],
        }
    )
    found = config.parse(text, "test.yaml")
    if directory:
        keeper = Directory(found.directory, found.agent.state_dir, KEY)
        keeper.start()
        keeper.close()
    made = Lanes(found, "test.yaml", bytes)
    if made.directory is not None:
        made.directory.look()
    return made


def line(number, **more):
    change = {"field": "stage", "old": f"a{number % 3}", "new": f"b{number % 3}"}
    held = {
        "ts": "2026-02-03T10:30:00Z",
        "who": f"user{number % 4}",
        "kind": "offer",
        "n": str(number),
        "changes": [change],
    }
    return json.dumps({**held, **more}).encode()


def events(lane, form, lines_, *, quick=True):
    if not quick:
        lane.quick = None
    block = Block(b"".join(one + b"\n" for one in lines_), 0)
    chunk = Chunk("app", "s", "/x", form, block, {"v": 1}, 1_800_000_000.0)
    return process(chunk, lane, {}, bytes(32), None, bytes).bodies


PEOPLE = "user1@co.example,user1 sshd:admin,User One,Sales,active,\n,user2,User Two,,,service\n"


def test_both_ways_through_the_pipeline_give_the_same_bytes(tmp_path):
    made = lanes(tmp_path, PEOPLE, "crm,stage,a1,Lead\n*,stage,b2,Won\n")
    sent = [line(number) for number in range(40)]
    sent += [line(7, mail="User1@co.example", who='odd "name"'), line(8, changes=[]), b"{broken"]
    quick, slow = (events(made.lane("app", "crm"), "crm", sent, quick=way) for way in (True, False))
    assert quick == slow
    documents = [json.loads(body) for body in quick]
    persons = [document["trail"]["actor"].get("person") for document in documents if "actor" in document["trail"]]
    assert persons[:4] == [None, "user1@co.example", "user2", None]
    assert documents[1]["user"]["full_name"] == "User One"
    assert documents[1]["trail"]["change"]["old_label"] == "Lead"
    assert documents[2]["trail"]["change"]["new_label"] == "Won"
    assert documents[1]["trail"]["origin"]["directory"] == made.directory.tables().version
    assert documents[1]["trail"]["origin"]["path"] == "/x"
    assert "directory" not in documents[0]["trail"]["origin"]


ODD = 'ü@co.example,üser2 crm:9 sshd:9,"Q, ""Kim"" \\x",Söles,active,person\nuser1@co.example,user1,,"a\tb",left,bot\n,nobody,,,,\n'
WHO = st.sampled_from(["user1", "crm:9", "sshd:9", "üser2", "USER1", "stranger", "nobody", "7", 'q"', None, 9, 10])
SIDES = st.sampled_from(["a1", "b2", None, 3, "", 'x"', "ü", 0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "who": WHO,
                "changes": st.lists(
                    st.builds(lambda old, new: {"field": "stage", "old": old, "new": new}, SIDES, SIDES), max_size=3
                ),
            },
            optional={
                "mail": st.sampled_from(["user1@co.example", "Ü@co.example", "x@co.example", None]),
                "id": WHO,
                "more": st.just("é"),
            },
        ),
        min_size=8,
        max_size=40,
    )
)
def test_whatever_lines_and_people_both_ways_give_the_same_bytes(odd_lanes, found):
    sent = [line(number, **{**one, "more": one.get("more")}) for number, one in enumerate(found)] * 3
    quick, slow = (events(odd_lanes.lane("app", "crm"), "crm", sent, quick=way) for way in (True, False))
    assert quick == slow


@pytest.fixture(scope="module")
def odd_lanes(tmp_path_factory):
    return lanes(tmp_path_factory.mktemp("odd"), ODD, "crm,stage,a1,Lead\n*,stage,3,Won\n")


def test_a_written_format_gets_persons_too_on_both_ways(tmp_path):
    made = lanes(tmp_path, PEOPLE)
    sent = [
        b"Mar 10 13:55:%02d host sshd[1]: Accepted password for %b from 203.0.113.7 port 40022 ssh2" % (number, who)
        for number, who in enumerate([b"admin", b"kim", b"user1", b"user1"])
    ]
    quick, slow = (events(made.lane("auth", "sshd"), "sshd", sent, quick=way) for way in (True, False))
    assert quick == slow
    assert [json.loads(body)["trail"]["actor"].get("person") for body in quick] == [
        "user1@co.example", None, "user1@co.example", "user1@co.example",
    ]  # fmt: skip


def test_without_a_directory_nothing_stands_between_line_and_mapping(tmp_path):
    made = lanes(tmp_path, directory=False)
    assert made.directory is None
    assert type(made.lane("app", "crm").quick).__name__ == "Splicer"
    assert not cache_path(tmp_path / "state").exists()


def test_a_record_stays_as_it_is_when_the_directory_changes_later(tmp_path):
    made = lanes(tmp_path, PEOPLE)
    lane = made.lane("app", "crm")
    before = json.loads(events(lane, "crm", [line(1)])[0])
    keeper = Directory(config_of(tmp_path).directory, tmp_path / "state", KEY)
    (tmp_path / "people.csv").write_text("email,accounts,department\nuser1@co.example,user1,HR\n", encoding="utf-8")
    keeper.start()
    keeper.close()
    made.directory._next = 0.0
    made.directory.look()
    after = json.loads(events(lane, "crm", [line(1)])[0])
    assert before["trail"]["actor"]["department"] == "Sales"
    assert after["trail"]["actor"]["department"] == "HR"
    assert before["trail"]["origin"]["directory"] != after["trail"]["origin"]["directory"]


def config_of(folder, **more):
    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(folder / "state")},
            "directory": [{"id": "staff", "type": "csv", "path": str(folder / "people.csv"), **more}],
        }
    )
    return config.parse(text, "test.yaml")


# -- the refresh -------------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_list_that_is_broken_later_leaves_what_was_known(tmp_path):
    (tmp_path / "people.csv").write_text("email,name\nkim@co.example,Kim\n", encoding="utf-8")
    clock = Clock()
    keeper = Directory(config_of(tmp_path).directory, tmp_path / "state", KEY, clock)
    keeper.start()
    keeper.close()
    keeper._ending.clear()
    view = View(cache_path(tmp_path / "state"), clock)
    view.look()
    before = view.tables()
    assert set(before.people) == {"kim@co.example"}
    (tmp_path / "people.csv").write_text("nothing of use\n", encoding="utf-8")
    clock.now += 61
    assert not keeper.refresh()
    assert "neither a column for email" in keeper.problems()["staff"]
    view.look()
    assert view.tables() == before
    (tmp_path / "people.csv").write_text("email,name\nlee@co.example,Lee\n", encoding="utf-8")
    clock.now += 61
    assert keeper.refresh()
    assert not keeper.problems()
    view.look()
    assert set(view.tables().people) == {"lee@co.example"}
    clock.now += 61
    assert not keeper.refresh(), "a file that did not change is not read again"


def test_a_list_that_cannot_be_read_at_the_start_is_a_fault_of_the_configuration(tmp_path):
    (tmp_path / "people.csv").write_text("nothing of use\n", encoding="utf-8")
    keeper = Directory(config_of(tmp_path).directory, tmp_path / "state", KEY)
    with pytest.raises(ConfigError) as raised:
        keeper.start()
    assert raised.value.problems[0][0] == "directory staff"


def refreshed(sections, folder, clock, wall=1_800_000_000.0):
    """A directory that has started, and whose thread has ended."""
    keeper = Directory(sections, folder, KEY, clock, lambda: wall)
    keeper.start()
    keeper.close()
    keeper._ending.clear()
    return keeper


def test_a_list_that_is_broken_at_a_restart_leaves_what_was_known_and_its_age_is_told(tmp_path):
    (tmp_path / "people.csv").write_text("email,name\nkim@co.example,Kim\n", encoding="utf-8")
    sections, state, clock = config_of(tmp_path).directory, tmp_path / "state", Clock()
    refreshed(sections, state, clock)
    (tmp_path / "people.csv").write_text("nothing of use\n", encoding="utf-8")
    keeper = refreshed(sections, state, clock, 1_800_000_000.0 + 7200)
    assert "neither a column for email" in keeper.problems()["staff"]
    view = View(cache_path(state), clock)
    view.look()
    assert set(view.tables().people) == {"kim@co.example"}
    ((name, told),) = view.reports(1_800_000_000.0 + 7200)
    assert (name, told.action, told.outcome) == ("staff", "source.silence", "failure")
    assert told.message.startswith("directory staff: neither a column for email")
    assert told.message.endswith("what it said 2 h 0 min ago stays in use")
    assert told.trail == {"health": {"age_seconds": 7200}}
    clock.now += 100
    assert view.reports(1_800_000_000.0 + 7300) == [], "not again within an hour"
    clock.now += 3600
    assert len(view.reports(1_800_000_000.0 + 10_900)) == 1
    (tmp_path / "people.csv").write_text("email,name\nkim@co.example,Kim\n", encoding="utf-8")
    clock.now += 3600
    keeper.refresh()
    assert view.reports(1_800_000_000.0 + 7300) == []


def test_a_list_that_is_not_looked_at_any_more_is_told_too():
    teller = standing.Teller()
    fresh = {"okta": standing.Standing(1000.0, 60.0)}
    assert teller.take(fresh, 1000.0 + 3 * 60 + standing.GRACE, 0.0) == []
    ((_, told),) = teller.take(fresh, 1000.0 + 3 * 60 + standing.GRACE + 1, 1.0)
    assert told.message == "directory okta: not read for 5 min; what it said then stays in use"
    ((_, never),) = standing.Teller().take({"okta": standing.Standing(None, 60.0, "okta: 401")}, 5.0, 0.0)
    assert never.message == "directory okta: okta: 401; it was never read"
    assert never.trail == {}
    assert standing.Teller().take({"okta": standing.Standing(None, 60.0)}, 5.0, 0.0) == [], "it is about to be read"


@given(
    st.dictionaries(
        st.text(max_size=5), st.builds(standing.Standing, st.none() | st.floats(0, 1e10), st.floats(1, 1e6), st.text())
    )
)
def test_how_fresh_lists_are_comes_back_as_it_was_noted(standings):
    assert standing.decode(standing.encode(standings)) == standings


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"lists": []}', b'{"lists": {"a": [1]}}', b'{"lists": {"a": 1}}']
)
def test_what_is_no_note_of_freshness_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        standing.decode(data)


def test_what_was_kept_for_another_section_is_not_taken_for_this_one(tmp_path):
    (tmp_path / "people.csv").write_text("email,name\nkim@co.example,Kim\n", encoding="utf-8")
    refreshed(config_of(tmp_path).directory, tmp_path / "state", Clock())
    (tmp_path / "people.csv").write_text("nothing of use\n", encoding="utf-8")
    other = config_of(tmp_path, columns={"name": "Full Name"}).directory
    with pytest.raises(ConfigError):
        refreshed(other, tmp_path / "state", Clock())


def test_a_directory_that_was_closed_writes_no_more(tmp_path):
    (tmp_path / "people.csv").write_text("email\nkim@co.example\n", encoding="utf-8")
    clock = Clock()
    keeper = Directory(config_of(tmp_path).directory, tmp_path / "state", KEY, clock)
    keeper.start()
    keeper.close()
    before = cache_path(tmp_path / "state").read_bytes()
    (tmp_path / "people.csv").write_text("email\nlee@co.example\n", encoding="utf-8")
    clock.now += 100
    assert not keeper.refresh()
    assert cache_path(tmp_path / "state").read_bytes() == before


def test_a_table_that_a_full_disk_refused_is_written_when_there_is_room(tmp_path, monkeypatch):
    (tmp_path / "people.csv").write_text("email\nkim@co.example\n", encoding="utf-8")
    clock = Clock()
    keeper = refreshed(config_of(tmp_path).directory, tmp_path / "state", clock)
    (tmp_path / "people.csv").write_text("email\nlee@co.example\n", encoding="utf-8")
    clock.now += 61

    def full(path, data):
        raise DiskError("write", str(path), "No space left on device", "df")

    with monkeypatch.context() as patched:
        patched.setattr("shipper.directory.keeper.replace_sync", full)
        assert not keeper.refresh()
    assert keeper.refresh(), "though the list did not change again"
    view = View(cache_path(tmp_path / "state"), clock)
    view.look()
    assert set(view.tables().people) == {"lee@co.example"}


def test_validate_names_each_file_that_is_no_list(tmp_path):
    (tmp_path / "people.csv").write_text("nothing of use\n", encoding="utf-8")
    held = [
        {"id": "a", "type": "csv", "path": str(tmp_path / "people.csv")},
        {"id": "b", "type": "labels", "path": str(tmp_path / "nowhere.csv")},
        {"id": "c", "type": "okta", "url": "https://co.okta.example", "token_file": str(tmp_path / "none")},
        {"id": "d", "type": "okta", "url": "https://co.okta.example", "token": "t"},
    ]
    text = yaml.safe_dump({"agent": {"state_dir": str(tmp_path)}, "directory": held})
    (tmp_path / "fieldtrail.yaml").write_text(text, encoding="utf-8")
    found = unreadable(config.parse(text, "test.yaml").directory)
    assert [place for place, _ in found] == ["directory[0].path", "directory[1].path", "directory[2].token_file"]
    assert "neither a column for email nor one for accounts" in found[0][1]
    assert found[1][1].endswith("nowhere.csv: No such file or directory")
    raised = CliRunner().invoke(validate, ["-c", str(tmp_path / "fieldtrail.yaml")]).exception
    assert isinstance(raised, ConfigError)
    assert dict(raised.problems) == dict(found)


def test_what_a_vendor_said_is_there_at_the_next_start_though_it_does_not_answer(tmp_path, monkeypatch):
    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(tmp_path)},
            "directory": [{"id": "okta", "type": "okta", "url": "https://co.okta.example", "token": "t"}],
        }
    )
    sections = config.parse(text, "test.yaml").directory
    replies = iter([answer(200, [OKTA]), answer(503, {})])
    monkeypatch.setattr(fetch, "asking", lambda section: (lambda url, headers: next(replies), lambda: None))
    (tmp_path / "directory").mkdir()
    for _ in range(2):
        keeper = Directory(sections, tmp_path, KEY, Clock())
        keeper._write()
        keeper.refresh()
        view = View(cache_path(tmp_path), Clock())
        view.look()
        assert "okta:00u1" in view.tables().people
    assert keeper.problems() == {"okta": "okta: 503 on the list of people"}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"type": "okta"}, "give path"),
        ({"type": "okta", "url": "https://co.okta.example"}, "with url give token or token_file"),
        ({"type": "okta", "url": "http://co.okta.example", "token": "t"}, "https://"),
        ({"type": "csv", "path": "/dev/null", "columns": {"mail": "x"}}, "no such column"),
        ({"type": "ldap"}, "directory"),
    ],
)
def test_a_section_that_cannot_work_is_refused(tmp_path, section, said):
    text = yaml.safe_dump({"agent": {"state_dir": str(tmp_path)}, "directory": [{"id": "d", **section}]})
    with pytest.raises(ConfigError) as raised:
        Lanes(config.parse(text, "test.yaml"), "test.yaml", bytes)
    assert said in str(raised.value.problems), raised.value.problems


def test_a_token_never_shows(tmp_path):
    text = yaml.safe_dump(
        {
            "agent": {"state_dir": str(tmp_path)},
            "directory": [{"id": "d", "type": "okta", "url": "https://co.okta.example", "token": "hunter2hunter2"}],
        }
    )
    assert "hunter2" not in repr(config.parse(text, "test.yaml"))
