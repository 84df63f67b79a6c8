"""The parts of polling that know no network: pages, paging, limits, who we are, presets."""

import base64
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mappings
import parsers
from shipper._poll_spec import LimitHeaders, LimitSection
from shipper.formats import Formats
from shipper.inputs.poll.auth import Auth, BusyError, DeniedError
from shipper.inputs.poll.http import Answer
from shipper.inputs.poll.limits import LONGEST, Bucket, Pace, backoff, retry_after
from shipper.inputs.poll.pages import DEEPEST, UnusableError, decode, item_of, items, moment
from shipper.inputs.poll.paging import MOST_EMPTY, Listing, reason
from shipper.inputs.poll.preset import compile_source, files_missing, fill_body, fill_path, preset, told
from shipper.inputs.poll.probe import probe
from tests.poll_api import OAUTH, START, Api, Clock, Store, TokenServer, auth, own, section, source

# -- pages -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.text()), max_size=5
    )
)
def test_the_bytes_of_each_item_are_those_of_the_answer(found):
    body = b'{"a": {"rows" : [' + b" ,\n".join(orjson.dumps(one) for one in found) + b' ] }, "rows": 1}'
    cut = items(body, decode(body), "a.rows")
    assert [data for data, _ in cut] == [orjson.dumps(one) for one in found]


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reading_of_an_answer(body):
    try:
        items(body, decode(body), "rows")
    except UnusableError:
        return
    assert body


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), b'{"a":' * 2000 + b"1" + b"}" * 2000]
)
def test_an_answer_that_nests_too_deeply_is_refused(body):
    with pytest.raises(UnusableError):
        decode(body)


def test_half_a_surrogate_pair_is_read_all_the_same():
    body = b'{"rows":[{"a":"\\ud83d"}]}'
    [(data, value)] = items(body, decode(body), "rows")
    assert json.loads(data) == value == {"a": "\ud83d"}


def test_a_list_that_is_missing_is_no_empty_list():
    with pytest.raises(UnusableError, match="has no rows"):
        items(b'{"other":[]}', {"other": []}, "rows")
    assert items(b'{"rows":null}', {"rows": None}, "rows") == []


def test_members_are_added_before_the_items_own():
    item = item_of(b'{"id":1,"name":"own"}', {"id": 1, "name": "own"}, ("id",), None, {"name": "added", "of": "17"})
    assert item.data == b'{"name":"added","of":17,"id":1,"name":"own"}'
    assert orjson.loads(item.data)["name"] == "own"
    wrapped = item_of(b'{"id":1}', {"id": 1}, ("id",), None, {"of": "17"}, "history")
    assert orjson.loads(wrapped.data) == {"of": 17, "history": [{"id": 1}]}
    assert item_of(b"{}", {}, (), None, {"of": "x"}).data == b'{"of":"x"}'


def test_an_id_of_several_parts_changes_with_each_of_them():
    ids = {item_of(b"{}", {"id": 7, "done": done}, ("id", "done"), None, {}).id for done in (True, False, None)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-05-28T20:26:40Z", START),
        ("2026-05-28T22:26:40+0200", START),
        ("2026-05-28T20:26:40", START),
        (int(START), START),
        (int(START * 1000), START),
        (str(int(START * 1000)), START),
        ("2026-05-28", START - 73600),
        ("soon", None),
        (True, None),
        (None, None),
        ([], None),
        (-5, None),
        (1e300, None),
    ],
)
def test_times_are_read_as_apis_write_them(value, seconds):
    assert moment(value) == seconds


# -- paging ------------------------------------------------------------------------------------------------------------


def walked(resource, pages, headers=None):
    """The queries of a listing of these pages."""
    listing, asked = Listing(own(**resource), own(**resource).resources["rows"], {}), []
    for page, told_ in zip(pages, headers or [{}] * len(pages), strict=True):
        asked.append(listing.ask())
        last = listing.take(orjson.dumps(page), told_).last
    assert last
    return asked


ROWS = {"get": "/rows", "query": {"n": "{limit}"}, "items": "rows", "format": "json", "limit": 2}


def test_pages_are_counted():
    asked = walked({**ROWS, "paging": {"type": "page", "parameter": "p"}}, [{"rows": [1, 2]}, {"rows": [3]}])
    assert [one.url for one in asked] == ["https://api.example/rows?n=2&p=1", "https://api.example/rows?n=2&p=2"]


def test_offsets_count_what_came():
    asked = walked({**ROWS, "paging": {"type": "offset", "parameter": "pg[offset]"}}, [{"rows": [1, 2]}, {"rows": []}])
    assert [one.url.rpartition("=")[2] for one in asked] == ["0", "2"]


def test_a_cursor_goes_into_the_body_where_it_belongs_there():
    resource = {"post": "/rows", "body": {"max": "{limit}", "old": "{since}"}, "items": "rows", "format": "json"}
    paging = {"type": "cursor", "parameter": "after", "next": "next", "into": "body"}
    asked = walked({**resource, "paging": paging}, [{"rows": [1], "next": "x"}, {"rows": [2], "next": None}])
    assert [orjson.loads(one.body) for one in asked] == [{"max": 100}, {"max": 100, "after": "x"}]
    assert asked[0].headers["Content-Type"] == "application/json"


def test_a_cursor_of_the_last_item_goes_back_as_it_came():
    resource = {"post": "/rows", "body": {"size": "{limit}"}, "items": "rows", "id": "id", "format": "json", "limit": 2}
    paging = {"type": "cursor", "parameter": "after", "next": "rows.-1.mark", "into": "body", "full": True}
    pages = [{"rows": [{"id": 1}, {"id": 2, "mark": [1772000000123, "c2"]}]}, {"rows": [{"id": 3, "mark": [7, "c3"]}]}]
    asked = walked({**resource, "paging": paging}, pages)
    assert [json.loads(one.body) for one in asked] == [{"size": 2}, {"size": 2, "after": [1772000000123, "c2"]}]


def test_a_full_page_whose_last_item_has_no_cursor_is_not_taken_for_the_last_one():
    resource = {"post": "/rows", "items": "rows", "id": "id", "format": "json", "limit": 2}
    paging = {"type": "cursor", "parameter": "after", "next": "rows.-1.mark", "into": "body", "full": True}
    with pytest.raises(UnusableError, match="no cursor"):
        walked({**resource, "paging": paging}, [{"rows": [{"id": 1}, {"id": 2}]}])


def test_the_header_link_is_followed():
    link = '<https://api.example/rows?x=1>; rel="self", <https://api.example/rows?after=7>; rel="next"'
    asked = walked({**ROWS, "paging": {"type": "link"}}, [{"rows": [1, 2]}, {"rows": [3]}], [{"link": link}, {}])
    assert asked[1].url == "https://api.example/rows?after=7"


def test_a_next_link_on_the_last_page_ends_a_listing_that_says_so():
    link = {"link": '<https://api.example/rows?after=7>; rel="next"'}
    walked({**ROWS, "paging": {"type": "link", "full": True}}, [{"rows": [1, 2]}, {"rows": [3]}], [link, link])


@pytest.mark.parametrize(
    "link", ["https://other.example/rows", "http://api.example/rows", "https://api.example:8443/r"]
)
def test_no_other_host_is_asked_for_the_next_page(link):
    listing = Listing(source_ := own(**ROWS, paging={"type": "link", "next": "next"}), source_.resources["rows"], {})
    with pytest.raises(UnusableError, match="another address"):
        listing.take(orjson.dumps({"rows": [1, 2], "next": link}), {})


def test_headers_carry_what_the_answer_says():
    paging = {"type": "headers", "headers": {"Pit-Id": "paging.pit", "Search-After": "paging.after"}}
    pages = [{"rows": [1], "paging": {"pit": "p", "after": "17"}}, {"rows": [2], "paging": {"pit": "p", "after": None}}]
    asked = walked({**ROWS, "headers": {"Size": "{limit}"}, "paging": paging}, pages)
    assert [one.headers for one in asked] == [{"Size": "2"}, {"Size": "2", "Pit-Id": "p", "Search-After": "17"}]


BY_CURSOR = {**ROWS, "paging": {"type": "cursor", "parameter": "c", "next": "next"}}


@pytest.mark.parametrize("paging", ["cursor", "link", "headers"])
def test_an_empty_page_with_a_next_one_does_not_end_a_listing(paging):
    paged = {
        "cursor": {"type": "cursor", "parameter": "c", "next": "next"},
        "link": {"type": "link", "next": "link"},
        "headers": {"type": "headers", "headers": {"After": "next"}},
    }[paging]
    pages = [
        {"rows": [1, 2], "next": "a", "link": "/rows?a"},
        {"rows": [], "next": "b", "link": "/rows?b"},
        {"rows": [3]},
    ]
    assert len(walked({**ROWS, "paging": paged}, pages)) == 3


def test_an_empty_page_that_names_itself_as_the_next_one_ends_a_listing():
    assert len(walked(BY_CURSOR, [{"rows": [1, 2], "next": "a"}, {"rows": [], "next": "a"}])) == 2


def test_empty_pages_without_end_are_no_listing_that_was_read():
    listing = Listing(own(**BY_CURSOR), own(**BY_CURSOR).resources["rows"], {})
    for number in range(MOST_EMPTY - 1):
        assert not listing.take(orjson.dumps({"rows": [], "next": f"n{number}"}), {}).last
    with pytest.raises(UnusableError, match="empty pages"):
        listing.take(orjson.dumps({"rows": [], "next": "on"}), {})
    assert not listing.done


def test_pages_that_go_round_in_a_circle_end_with_an_error():
    listing = Listing(
        source_ := own(**ROWS, paging={"type": "cursor", "parameter": "c", "next": "next"}),
        source_.resources["rows"],
        {},
    )
    listing.take(b'{"rows":[1,2],"next":"a"}', {})
    with pytest.raises(UnusableError, match="circle"):
        listing.take(b'{"rows":[1,2],"next":"a"}', {})


def test_what_is_filled_into_a_path_stays_one_part_of_it():
    assert fill_path("/a/{x}/b", {"x": "../../c?d#e"}) == "/a/..%2F..%2Fc%3Fd%23e/b"
    assert fill_path("/a/{y}", {"x": "1"}) is None


def test_an_answer_with_status_200_can_say_that_it_failed():
    spec = source(preset="slack", auth={"bearer": {"token": "t"}})
    listing = Listing(spec, spec.resources["audit_log"], {})
    with pytest.raises(UnusableError, match="feature_not_enabled"):
        listing.take(b'{"ok":false,"error":"feature_not_enabled"}', {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errorCode":"E0000011","errorSummary":"Invalid token provided"}', "E0000011"),
        (b'{"error":{"code":"denied","message":"token abc"}}', "denied"),
        (b'{"error":"the token t0ps3cret is wrong"}', ""),
        (b"<html>", ""),
    ],
)
def test_only_codes_of_errors_are_repeated(body, said):
    assert reason(body) == said


# -- limits ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.integers(1, 6))
def test_no_window_ever_holds_more_than_the_budget(pauses, most):
    bucket, now, sent = Bucket(LimitSection(requests=most, per=10)), 0.0, []
    for pause in pauses:
        now += pause
        now += bucket.wait(now)
        bucket.take(now)
        sent.append(now)
    for at in sent:
        assert sum(at - 10 + 1e-6 < one <= at for one in sent) <= most


def test_a_budget_below_one_request_is_one_in_a_longer_time():
    bucket = Bucket(LimitSection(requests=0.5, per=10))
    bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("reset", "seconds"), [(str(int(START) + 30), 30), ("45", 45), (str(int(START + 20) * 1000), 20)]
)
def test_what_is_left_by_the_headers_is_kept_to(reset, seconds):
    pace = Pace(None, LimitHeaders(remaining="X-Left", reset="X-Reset", reserve=5))
    pace.heard(0.0, {"x-left": "6", "x-reset": reset}, START)
    assert pace.wait(0.0) == 0.0
    pace.heard(0.0, {"x-left": "5", "x-reset": reset}, START)
    assert pace.wait(0.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("Thu, 28 May 2026 20:27:10 GMT", 30), ("soon", None), ("", None), ("9" * 14, 21600)],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after({"retry-after": text}, START) == seconds


def test_waits_grow_up_to_a_bound_and_differ():
    assert [backoff(tries, lambda: 0.0) for tries in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert backoff(50, lambda: 0.999) <= LONGEST
    assert backoff(3, lambda: 0.9) > backoff(3, lambda: 0.1)


# -- who we are --------------------------------------------------------------------------------------------------------


def test_tokens_and_passwords_are_shown_as_the_api_wants_them(tmp_path):
    file = tmp_path / "token"
    file.write_text("f1le\n")
    nobody = Api(lambda *_: 1 / 0)
    assert auth(token={"token": "t", "header": "X-Key", "prefix": ""}).headers(0, nobody) == {"X-Key": "t"}
    assert auth(bearer={"token_file": file}).headers(0, nobody) == {"Authorization": "Bearer f1le"}
    basic = auth(basic={"username": "u", "password": "p"}).headers(0, nobody)
    assert basic == {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}
    file.write_text("n3w\n")
    assert auth(bearer={"token_file": file}).headers(0, nobody) == {"Authorization": "Bearer n3w"}


@pytest.mark.parametrize("text", ["", "two\nlines", "umläut"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(DeniedError):
        auth(bearer={"token_file": file}).headers(0, Api(lambda *_: 1 / 0))


def test_a_refresh_token_that_was_exchanged_outlives_a_restart():
    server, store = TokenServer(), Store()
    api = Api(server)
    assert auth(store, oauth2=OAUTH).headers(0, api) == {"Authorization": "Bearer a1"}
    assert auth(store, oauth2=OAUTH).headers(0, api) == {"Authorization": "Bearer a2"}
    assert b"r0" not in store.blob
    server.current = "fresh"
    assert auth(store, oauth2={**OAUTH, "refresh_token": "fresh"}).headers(0, api) == {"Authorization": "Bearer a3"}


def test_an_access_token_is_used_until_shortly_before_its_end():
    api = Api(TokenServer())
    one = auth(oauth2=OAUTH)
    assert [one.headers(at, api)["Authorization"][-2:] for at in (0, 3000, 3470, 3481, 4000)] == [
        "a1",
        "a1",
        "a1",
        "a2",
        "a2",
    ]
    assert one.refused()
    assert one.headers(4001, api)["Authorization"] == "Bearer a3"


def test_a_refresh_token_that_is_not_accepted_needs_a_person():
    server = TokenServer()
    server.current = "other"
    with pytest.raises(DeniedError, match=r"no token \(400, invalid_grant\)"):
        auth(oauth2=OAUTH).headers(0, Api(server))
    with pytest.raises(BusyError):
        auth(oauth2=OAUTH).headers(0, Api(lambda *_: Answer(503, {}, b"")))


def test_a_key_is_exchanged_for_a_token_as_greenhouse_wants_it():
    spec = source(preset="greenhouse", settings={"user_id": "4711"}, auth={"exchange": {"key": "k3y"}})
    api = Api(lambda *_: {"access_token": "jwt", "expires": told(START + 86400, "iso8601")})
    one = Auth(spec.auth, "inputs in", Store())
    assert one.headers(START, api) == {"Authorization": "Bearer jwt"}
    [(method, path, _, headers, _)] = api.asked
    assert (method, path) == ("POST", "/auth/jwt_access_token")
    assert headers["On-Behalf-Of"] == "4711"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"k3y:"
    one.headers(START + 86000, api)
    assert len(api.asked) == 1
    one.headers(START + 86400 - 60, api)
    assert len(api.asked) == 2


# -- presets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mappings.sources())
def test_a_preset_reads_formats_that_there_are_and_says_what_it_is_for(name):
    one = preset(name)
    formats = Formats()
    for resource in one.resources.values():
        assert resource.format is None or resource.format in formats
        assert resource.about
    assert one.module in {parsers.get(fmt).format.module for fmt in parsers.names()}
    assert one.facts and one.untried
    for setting in one.settings.values():
        assert setting.about and setting.example


@pytest.mark.parametrize("name", mappings.sources())
def test_a_preset_with_its_examples_can_be_used(name):
    one = preset(name)
    settings = {key: setting.example for key, setting in one.settings.items()}
    scheme = next(iter(one.auth))
    given_ = {
        "token": {"token": "t"},
        "bearer": {"token": "t"},
        "basic": {"username": "u", "password": "p"},
        "oauth2": {"client_id": "c", "client_secret": "s", "refresh_token": "r"},
        "exchange": {"key": "k"},
    }
    if scheme == "basic" and "username" in one.auth["basic"]:
        given_["basic"].pop("username")
    spec, problems = compile_source(section(preset=name, settings=settings, auth={scheme: given_[scheme]}))
    assert problems == []
    assert spec.off == {}


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    _, problems = compile_source(
        section(
            preset="makecom", settings={"zone": "a b", "teem": 1}, auth={"basic": {"username": "u", "password": "p"}}
        )
    )
    assert [path for path, _ in problems] == ["settings.zone", "settings.teem", "settings.organization", "auth"]
    _, [(path, text)] = compile_source(section(preset="nothing"))
    assert path == "preset" and "makecom" in text
    missing = section(preset="slack", auth={"bearer": {"token_file": tmp_path / "none"}})
    assert files_missing(missing) == [("auth.bearer.token_file", f"cannot read {tmp_path / 'none'}")]


def test_a_resource_whose_setting_is_not_given_is_off():
    spec = source(
        preset="makecom", settings={"zone": "eu1.make.com", "organization": 11}, auth={"token": {"token": "t"}}
    )
    of_the_team = ("functions", "function_history", "team_variables", "team_variable_history")
    assert spec.off == dict.fromkeys(of_the_team, "needs settings.team")
    assert spec.api == "https://eu1.make.com/api/v2"


@pytest.mark.parametrize("api", ["http://api.example", "http://192.0.2.1:8080"])
def test_a_secret_does_not_go_where_anybody_can_read_it(api):
    rows = {"rows": {"get": "/rows", "format": "json"}}
    _, problems = compile_source(section(api=api, resources=rows, auth={"bearer": {"token": "t"}}))
    assert [path for path, _ in problems] == ["api"]
    assert compile_source(section(api=api, resources=rows))[1] == []
    assert compile_source(section(api="http://127.0.0.1:8", resources=rows, auth={"bearer": {"token": "t"}}))[1] == []


def test_a_body_keeps_what_can_be_filled_in():
    assert fill_body({"a": "{x}", "b": ["{y}", {"c": "{limit}"}], "n": 5}, {"x": "1", "limit": "20"}) == {
        "a": "1",
        "b": [{"c": 20}],
        "n": 5,
    }


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("iso8601", "2026-05-28T20:26:40.250Z"),
        ("iso8601_seconds", "2026-05-28T20:26:40Z"),
        ("epoch_s", "1780000000"),
        ("epoch_ms", "1780000000250"),
        ("date", "2026-05-28"),
        ("%d.%m.%Y", "28.05.2026"),
    ],
)
def test_since_is_written_in_the_layout_of_the_api(layout, text):
    assert told(START + 0.25, layout) == text


# -- validate --connect ------------------------------------------------------------------------------------------------


def test_each_listing_is_tried_once_for_one_item():
    spec = source(
        preset="makecom", settings={"zone": "eu1.make.com", "organization": 11}, auth={"token": {"token": "t"}}
    )

    def answer(method, path, query, headers, body):
        if "audit-logs" in path:
            return Answer(403, {}, b"")
        if path.endswith("/scenarios"):
            return {"scenarios": [{"id": 5, "name": "S"}, {"id": 6, "name": "T"}]}
        if path.endswith("/5/logs"):
            assert query["pg[limit]"] == "1"
            return {"scenarioLogs": [{"imtId": "1", "timestamp": told(START, "iso8601")}]}
        return {"dlqs": [], "response": {"blueprint": {"name": "S", "flow": []}}}

    api = Api(answer)
    tried = {one.name: one for one in probe(spec, api, Clock())}
    assert not tried["audit_log"].ok
    assert tried["audit_log"].detail.endswith(
        "needs the Enterprise plan and organization:read; using runs and blueprint diffs"
    )
    assert tried["runs"].ok and tried["runs"].detail.endswith("with an item of 2026-05-28T20:26:40.000Z")
    assert tried["incomplete"].detail.endswith("answers, nothing there now")
    assert tried["functions"].detail == "not read: needs settings.team"
    assert not any("/6/" in path for _, path, *_ in api.asked)


def test_a_token_that_is_not_accepted_is_told_once():
    spec = source(preset="slack", auth={"bearer": {"token": "t0ps3cret"}})
    [one] = probe(spec, Api(lambda *_: Answer(401, {}, b'{"error":"invalid_auth"}')), Clock())
    assert (one.name, one.ok) == ("auth", False)
    assert "not accepted" in one.detail and "t0ps3cret" not in one.detail


def test_a_refresh_token_is_not_used_up_by_a_try():
    spec = source(preset="keap", auth={"oauth2": {"client_id": "c", "client_secret": "s", "refresh_token": "r"}})
    [one] = probe(spec, Api(lambda *_: 1 / 0), Clock())
    assert one.ok and one.detail.startswith("not tried")


def test_what_hangs_on_a_list_that_is_not_read_is_not_read_either():
    listed = {"get": "/things", "items": "things", "id": "id", "enabled": False}
    rows = {**ROWS, "get": "/things/{parent.id}", "for_each": "things"}
    spec = source(api="https://api.example", resources={"things": listed, "rows": rows})
    assert spec.off == {"things": "not enabled", "rows": "things is not read"}
