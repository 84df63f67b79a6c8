"""The output against a server that misbehaves on demand: one test for each way in which `_bulk` can go wrong."""

import itertools
import threading

import orjson
import pytest

from shipper.errors import UnavailableError
from shipper.output_sections import OpenSearchSection
from shipper.outputs import _opensearch_hosts
from shipper.outputs._opensearch_client import Client, probe
from shipper.outputs.opensearch import OpenSearchOutput
from tests.integration import faulty_opensearch as faulty
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import LOG, batch, change, checkpoint, control, document

STREAM = "logs-fieldtrail.change-default"


@pytest.fixture
def server():
    with FaultyOpenSearch() as running:
        yield running


@pytest.fixture
def opened():
    """`opened(url…, **section)`: an output that is open; all are closed afterwards."""
    outputs = []

    def make(*hosts, **section):
        output = OpenSearchOutput(
            OpenSearchSection(id="siem", type="opensearch", hosts=hosts, **section), namespace="default"
        )
        output.open({})
        outputs.append(output)
        return output

    yield make
    for output in outputs:
        output.close()
        output.close()


def documents(count, first=0):
    return [document(first + n) for n in range(count)]


def identity(index):
    return f"{LOG}-{index:014x}"


def told(receipt):
    """How many documents were delivered, refused, forked and are to be sent again."""
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def stored(server):
    return [one for _, one in server.documents]


# -- the plain case ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_documents_arrive_with_their_bytes_in_order(server, opened, compression):
    sent = [*documents(3), control(3), checkpoint(4)]
    assert told(opened(server.url, compression=compression).deliver(batch(0, *sent))) == (5, 0, 0, 0)
    assert list(server.documents.values()) == [one.data for one in sent]
    assert [index for index, _ in server.documents] == [
        *[".ds-logs-fieldtrail.change-default-000001"] * 3,
        ".ds-logs-fieldtrail.log-default-000001",
        ".ds-logs-fieldtrail.checkpoint-default-000001",
    ]


def test_a_large_batch_goes_in_requests_of_the_configured_size(server, opened):
    sent = documents(100)
    output = opened(server.url, batch_bytes=20_000, concurrency=1)
    assert told(output.deliver(batch(0, *sent))) == (100, 0, 0, 0)
    assert len(server.bulk_sizes) > 4
    assert max(server.bulk_sizes) <= 20_000
    assert stored(server) == [one.id for one in sent]


def test_the_server_and_its_templates_are_checked_once_and_not_for_every_batch(server, opened):
    output = opened(server.url)
    for seq in range(3):
        output.deliver(batch(seq, document(seq)))
    assert server.asked["GET "] == server.asked["GET _index_template"] == 1


@pytest.mark.parametrize(
    "answer", [faulty.good, faulty.items(lambda one: None if one == identity(2) else {"status": 200})]
)
def test_a_document_that_a_plain_index_took_has_the_templates_checked_again(server, opened, monkeypatch, answer):
    output = opened(server.url)
    output.deliver(batch(0, *documents(2)))
    monkeypatch.setattr(server, "backing", lambda stream: stream)
    server.faults = [answer]
    assert told(output.deliver(batch(1, *documents(2, 2)))) == (2, 0, 0, 0)
    server.templates = {}
    receipt = output.deliver(batch(2, *documents(2, 4)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "index templates are missing" in receipt.error


def test_a_batch_without_documents_is_delivered(server, opened):
    assert told(opened(server.url).deliver(batch(0))) == (0, 0, 0, 0)


# -- whole requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faulty.error(429, "rejected_execution_exception"), "rejected_execution_exception (429)"),
        (faulty.error(429, "circuit_breaking_exception"), "circuit_breaking_exception (429)"),
        (faulty.error(500, "null_pointer_exception"), "null_pointer_exception (500)"),
        (faulty.status(502, b"<html>", content_type="text/html"), "502"),
        (faulty.error(503, "unavailable_shards_exception"), "unavailable_shards_exception (503)"),
        (faulty.status(504), "504"),
        (faulty.status(401, b"Unauthorized", content_type="text/plain"), "wrong user name or password"),
        (faulty.error(403, "security_exception", "no permissions"), "not allowed"),
        (faulty.error(403, "cluster_block_exception", "FORBIDDEN/12/index read-only"), "a full disk"),
        (faulty.status(404, b"no"), "no _bulk at this address"),
        (faulty.status(302, location="http://192.0.2.1/"), "redirects"),
        (faulty.status(200, b"<html>hello</html>", content_type="text/html"), "without a bulk answer"),
        (faulty.status(200, b""), "without a bulk answer"),
        (faulty.status(200, b"\xff\xfe not text"), "ended before"),
        (lambda request: request.raw(b"nonsense\r\n\r\n"), "ended before"),
        (faulty.reset, "reset"),
        (faulty.stored_then_reset, "reset"),
        (faulty.cut_short, "ended before"),
        (faulty.fewer_items, "answered for 2 of 3"),
        (faulty.stored_then(faulty.status(502)), "502"),
        (faulty.stored_then(faulty.status(200, b'{"items":')), "without a bulk answer"),
    ],
)
def test_a_request_that_fails_is_sent_again_whole_and_nothing_is_lost_or_doubled(server, opened, fault, words):
    output = opened(server.url)
    sent = documents(3)
    server.faults = [fault]
    receipt = output.deliver(batch(0, *sent))
    assert told(receipt) == (0, 0, 0, 3)
    assert receipt.retry == tuple(sent)
    assert words in receipt.error and "\n" not in receipt.error
    server.rollover(STREAM)  # the worst moment for it
    assert told(output.deliver(batch(0, *receipt.retry))) == (3, 0, 0, 0)
    assert sorted(stored(server)) == [one.id for one in sent]


def test_a_server_that_drips_is_left_when_the_time_is_up(server, opened):
    output = opened(server.url, timeout=0.4)
    for fault in (faulty.drip, faulty.drip_body):
        server.faults = [fault]
        receipt = output.deliver(batch(0, *documents(3)))
        assert told(receipt) == (0, 0, 0, 3)
        assert "within 0.4 s" in receipt.error
    assert told(output.deliver(batch(0, *documents(3)))) == (3, 0, 0, 0)


def test_the_next_request_has_its_full_time_after_one_that_ran_out_of_it(server):
    client = Client([server.url], timeout=0.3)
    server.faults = [faulty.drip, faulty.good]
    with pytest.raises(UnavailableError, match=r"within 0\.3 s"):
        client.request("POST", "/_bulk", body=b"")
    assert client.request("GET", "/").status == 200
    client.close()


def test_a_request_with_less_time_than_the_one_before_ends_in_its_own_time(server):
    client = Client([server.url], timeout=60)
    client.request("GET", "/")
    server.faults = [faulty.drip]
    with pytest.raises(UnavailableError, match=r"within 0\.2 s"):
        client.request("POST", "/_bulk", body=b"", timeout=0.2)
    client.close()


def test_one_thread_watches_over_all_requests_and_ends_with_the_client(server):
    def watching():
        return sum(thread.name == "request-watch" for thread in threading.enumerate())

    others = watching()
    client = Client([server.url])
    for _ in range(3):
        client.request("GET", "/")
        assert watching() == others + 1
    client.close()
    client.close()
    assert watching() == others
    assert client.request("GET", "/").status == 200
    client.close()
    assert watching() == others


def test_a_server_that_is_away_is_waited_for(server, opened):
    output = opened(server.url)
    assert told(output.deliver(batch(0, *documents(2)))) == (2, 0, 0, 0)
    server._http.shutdown()
    server._http.server_close()
    output._client.close()
    receipt = output.deliver(batch(1, *documents(2, 2)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "refused" in receipt.error
    with pytest.raises(UnavailableError, match="refused"):
        output.highest(LOG)


def test_the_wait_that_the_server_asks_for_reaches_the_agent(server, opened):
    output = opened(server.url)
    server.faults = [faulty.error(429, "rejected_execution_exception", retry_after="17")]
    assert output.deliver(batch(0, *documents(1))).retry_after == 17.0
    server.faults = [faulty.error(503, "x", retry_after="Wed, 21 Oct 2015 07:28:00 GMT")]
    assert output.deliver(batch(0, *documents(1))).retry_after == 0.0


def test_what_a_person_must_put_right_is_tried_again_slowly(server, opened):
    output = opened(server.url)
    for fault in (faulty.status(401), faulty.error(403, "cluster_block_exception"), faulty.status(307)):
        server.faults = [fault]
        assert output.deliver(batch(0, *documents(1))).retry_after >= 30


# -- too large ---------------------------------------------------------------------------------------------------------


def test_a_request_that_is_too_large_is_halved_and_the_size_remembered(server, opened):
    output = opened(server.url, concurrency=1)  # so that the order is told as well
    server.always = faulty.larger_than(20_000)
    assert told(output.deliver(batch(0, *documents(100)))) == (100, 0, 0, 0)
    assert stored(server) == [one.id for one in documents(100)]
    server.bulk_sizes.clear()
    assert told(output.deliver(batch(1, *documents(100, 100)))) == (100, 0, 0, 0)
    assert max(server.bulk_sizes) <= 20_000


def test_a_document_that_is_too_large_alone_is_refused_and_the_others_arrive(server, opened):
    big = document(3, change(message="x" * 30_000, event__id="e3"))
    sent = [*documents(3), big, *documents(3, 4)]
    server.always = faulty.larger_than(20_000)
    receipt = opened(server.url).deliver(batch(0, *sent))
    assert told(receipt) == (6, 1, 0, 0)
    assert receipt.refused[0].document == big and receipt.refused[0].type == "request_too_large"


# -- single items ------------------------------------------------------------------------------------------------------


def test_items_that_are_rejected_for_now_are_sent_again_and_the_others_are_not(server, opened):
    output = opened(server.url)
    busy = {identity(1), identity(3)}
    reject = faulty.item(429, "rejected_execution_exception", "secret value")
    server.faults = [faulty.items(lambda one: reject if one in busy else None)]
    receipt = output.deliver(batch(0, *documents(5)))
    assert told(receipt) == (3, 0, 0, 2)
    assert [one.index for one in receipt.retry] == [1, 3]
    assert receipt.error == "rejected_execution_exception (429): 2 of 5 documents"
    assert told(output.deliver(batch(0, *receipt.retry))) == (2, 0, 0, 0)


def test_after_a_rejected_item_the_later_requests_of_the_batch_wait(server, opened):
    output = opened(server.url, batch_bytes=3_000)
    server.faults = [faulty.items(lambda one: faulty.item(429, "x") if one == identity(0) else None)]
    receipt = output.deliver(batch(0, *documents(20)))
    assert len(server.bulk_sizes) == 1
    assert (receipt.retry[0].index, receipt.retry[-1].index) == (0, 19)


def test_an_item_of_a_server_error_may_have_been_stored_and_is_looked_for(server, opened):
    output = opened(server.url)

    def kept_but_denied(request):
        made = request.server.store(request)
        made[1]["create"] = {"_index": "x", **faulty.item(503, "unavailable_shards_exception")}
        request.answer(200, {"errors": True, "items": made})

    server.faults = [kept_but_denied]
    receipt = output.deliver(batch(0, *documents(3)))
    assert told(receipt) == (2, 0, 0, 1)
    server.rollover(STREAM)
    assert told(output.deliver(batch(0, *receipt.retry))) == (1, 0, 0, 0)
    assert len(server.documents) == 3


def test_a_document_that_is_refused_for_good_is_a_refusal_with_type_reason_and_field(server, opened):
    reason = "failed to parse field [trail.change.delta] of type [double] in document with id 'x'. Preview of field's value: 'abc'"
    bad = faulty.item(400, "mapper_parsing_exception", reason)
    server.faults = [faulty.items(lambda one: bad if one == identity(2) else None)]
    receipt = opened(server.url).deliver(batch(0, *documents(5)))
    assert told(receipt) == (4, 1, 0, 0)
    (refusal,) = receipt.refused
    assert (refusal.document.index, refusal.type, refusal.field) == (
        2,
        "mapper_parsing_exception",
        "trail.change.delta",
    )
    assert "abc" in refusal.reason
    assert "abc" not in receipt.error


def test_when_most_of_a_batch_is_refused_alike_nothing_is_given_up(server, opened):
    output = opened(server.url)
    bad = faulty.item(400, "mapper_parsing_exception", "failed to parse field [message] of type [long]")
    server.faults = [faulty.items(lambda one: bad if int(one[17:], 16) % 3 else None)]
    receipt = output.deliver(batch(0, *documents(60)))
    assert told(receipt) == (20, 0, 0, 40)
    assert "fieldtrail setup" in receipt.error and receipt.retry_after >= 30
    assert told(output.deliver(batch(0, *receipt.retry))) == (40, 0, 0, 0)  # the mapping was put right


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        ("validation_exception", "Validation Failed: 1: this action would add [2] total shards, but", 400),
        ("illegal_argument_exception", "Limit of total fields [1000] has been exceeded", 400),
        ("illegal_argument_exception", "pipeline with id [gone] does not exist", 400),
        ("index_not_found_exception", "no such index and [action.auto_create_index] is [false]", 404),
        ("cluster_block_exception", "blocked by: [FORBIDDEN/8/index write (api)];", 403),
        ("security_exception", "no permissions", 403),
    ],
)
def test_trouble_with_the_cluster_costs_no_document(server, opened, kind, reason, code):
    output = opened(server.url)
    server.faults = [faulty.items(lambda _: faulty.item(code, kind, reason))]
    receipt = output.deliver(batch(0, *documents(3)))
    assert told(receipt) == (0, 0, 0, 3)
    assert receipt.retry_after >= 30
    assert told(output.deliver(batch(0, *receipt.retry))) == (3, 0, 0, 0)


# -- a document that spoils the request --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 7, 63])
def test_a_document_that_makes_the_whole_request_malformed_is_found_by_halving(server, opened, at):
    fault = faulty.error(400, "action_request_validation_exception", "Validation Failed: 1: id … is too long")
    server.always = faulty.poisoned_by(identity(at), fault)
    receipt = opened(server.url).deliver(batch(0, *documents(64)))
    assert told(receipt) == (63, 1, 0, 0)
    assert receipt.refused[0].document.index == at
    assert receipt.refused[0].type == "action_request_validation_exception"
    assert len(server.bulk_sizes) <= 2 * 6 + 1


@pytest.mark.parametrize("count", [20, 2000])
def test_a_server_that_calls_every_request_malformed_gets_no_document_refused(server, opened, count):
    server.always = faulty.error(400, "parse_exception", "secret")
    receipt = opened(server.url).deliver(batch(0, *documents(count)))
    assert told(receipt) == (0, 0, 0, count)
    assert "secret" not in receipt.error and receipt.retry_after >= 30
    assert len(server.bulk_sizes) < 200


def test_a_few_documents_that_are_all_malformed_are_all_refused(server, opened):
    server.always = faulty.error(400, "parse_exception", "bad")
    assert told(opened(server.url).deliver(batch(0, *documents(3)))) == (0, 3, 0, 0)


def test_many_documents_that_spoil_requests_are_found_over_several_tries(server, opened):
    output = opened(server.url)
    bad = {identity(n) for n in range(0, 400, 4)}
    malformed = faulty.error(400, "parse_exception")
    server.always = lambda request: (
        malformed(request) if any(one in bad for _, one, _ in request.lines()) else faulty.good(request)
    )
    pending, refused = documents(400), []
    for _ in range(20):
        receipt = output.deliver(batch(0, *pending))
        refused += [one.document.id for one in receipt.refused]
        assert receipt.delivered + len(receipt.refused) + len(receipt.retry) == len(pending)
        pending = receipt.retry
        if not pending:
            break
    assert sorted(refused) == sorted(bad)
    assert len(server.documents) == 300


@pytest.mark.parametrize("at", [0, 5])
def test_a_document_over_which_the_server_fails_again_and_again_is_found_by_halving(server, opened, at):
    output = opened(server.url)
    server.always = faulty.poisoned_by(identity(at), faulty.error(500, "array_index_out_of_bounds_exception"))
    receipt = None
    for _ in range(5):
        receipt = output.deliver(batch(0, *documents(8)))
        assert told(receipt) == (0, 0, 0, 8)
    receipt = output.deliver(batch(0, *documents(8)))
    assert told(receipt) == (7, 1, 0, 0)
    assert receipt.refused[0].document.index == at


def test_a_server_that_fails_over_everything_gets_nothing_refused(server, opened):
    output = opened(server.url)
    server.always = faulty.error(500, "out_of_memory_error")
    for _ in range(12):
        assert told(output.deliver(batch(0, *documents(8)))) == (0, 0, 0, 8)


# -- what is there already ---------------------------------------------------------------------------------------------


def test_a_conflict_with_the_same_document_is_a_delivery_and_with_another_one_a_fork(server, opened):
    output = opened(server.url)
    output.deliver(batch(0, *documents(4)))
    other = document(2, change(message="changed", event__id="e2"))
    receipt = output.deliver(batch(0, document(1), other, document(4)))
    assert told(receipt) == (2, 0, 1, 0)
    assert receipt.fork == [other]


def test_a_conflict_that_cannot_be_read_back_is_no_delivery(server, opened):
    output = opened(server.url)
    output.deliver(batch(0, *documents(2)))
    server.front = faulty.status(403, b"{}")
    assert told(output.deliver(batch(0, *documents(2)))) == (0, 0, 0, 2)
    server.front = None
    assert told(output.deliver(batch(0, *documents(2)))) == (2, 0, 0, 0)


def test_after_a_restart_what_is_there_is_found_across_a_rollover(server, opened):
    sent = [*documents(3), control(3), checkpoint(4)]
    opened(server.url).deliver(batch(0, *sent))
    for stream in ("change", "log", "checkpoint"):
        server.rollover(f"logs-fieldtrail.{stream}-default")
    assert told(opened(server.url).deliver(batch(0, *sent, document(4)))) == (6, 0, 0, 0)
    assert len(server.documents) == 6


def test_after_a_restart_other_content_under_our_ids_is_a_fork(server, opened):
    sent = [document(0), checkpoint(1)]
    opened(server.url).deliver(batch(0, *sent))
    other = [document(0, change(message="x", event__id="e0")), checkpoint(1, leaves=2)]
    receipt = opened(server.url).deliver(batch(0, *other))
    assert told(receipt) == (0, 0, 2, 0)
    assert len(server.documents) == 2


def test_the_highest_index_is_told_and_none_is_minus_one(server, opened):
    output = opened(server.url)
    assert output.highest(LOG) == -1
    output.deliver(batch(0, *documents(300), checkpoint(300)))
    assert output.highest(LOG) == 299
    assert output.highest("00112233445566ff") == -1


@pytest.mark.parametrize(
    "front",
    [
        faulty.status(503),
        faulty.status(200, b"<html>"),
        faulty.status(200, {"hits": 3}),
        faulty.status(401),
        faulty.reset,
    ],
)
def test_a_server_that_cannot_tell_its_highest_index_now_is_unavailable(server, opened, front):
    server.front = front
    with pytest.raises(UnavailableError):
        opened(server.url).highest(LOG)


# -- before the first document -----------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_templates_are_there_and_then_it_goes_on_by_itself(server, opened):
    output = opened(server.url)
    installed, server.templates = server.templates, {}
    receipt = output.deliver(batch(0, *documents(2)))
    assert told(receipt) == (0, 0, 0, 2)
    assert "index templates are missing" in receipt.error and "fieldtrail setup" in receipt.error
    assert not server.bulk_sizes
    server.templates = installed
    assert told(output.deliver(batch(0, *receipt.retry))) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    "template",
    [
        {"index_patterns": ["logs-*-*"], "priority": 900, "composed_of": [], "data_stream": {}},
        {"index_patterns": ["logs-fieldtrail.change-default"], "priority": 501, "composed_of": ["mine"]},
    ],
)
def test_a_foreign_template_that_outranks_ours_counts_as_missing(server, opened, template):
    server.templates = {**server.templates, "foreign": template}
    assert "logs-fieldtrail.change-default" in opened(server.url).deliver(batch(0, *documents(1))).error
    assert not server.bulk_sizes


def test_a_template_composed_of_our_parts_may_outrank_ours(server, opened):
    own = server.templates["fieldtrail-change"]
    server.templates = {
        **server.templates,
        "mine": {**own, "priority": 900, "composed_of": [*own["composed_of"], "mine"]},
    }
    assert told(opened(server.url).deliver(batch(0, *documents(1)))) == (1, 0, 0, 0)


def test_a_plain_index_under_the_name_of_a_stream_is_named_and_not_written_to(server, opened):
    server.plain = [STREAM]
    receipt = opened(server.url).deliver(batch(0, *documents(1)))
    assert "is a plain index, not a data stream" in receipt.error and f"DELETE {server.url}/{STREAM}" in receipt.error
    assert not server.bulk_sizes


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ({"version": {"number": "8.15.0", "build_flavor": "default"}}, "this is not OpenSearch (version 8.15.0)"),
        ({"hello": "world"}, "this is not OpenSearch"),
        ([], "this is not OpenSearch"),
        ({"version": {"distribution": "opensearch", "number": "1.3.20"}}, "OpenSearch 1.3.20 is too old"),
        ({"version": {"distribution": "opensearch", "number": "2.11.1"}}, "2.12 or newer is needed"),
    ],
)
def test_a_server_that_cannot_take_our_documents_is_named(server, opened, root, words):
    server.root = root
    receipt = opened(server.url).deliver(batch(0, *documents(1)))
    assert told(receipt) == (0, 0, 0, 1)
    assert words in receipt.error
    assert not server.bulk_sizes


@pytest.mark.parametrize("number", ["2.12.0", "2.19.1", "3.8.0", "7.10.2", "4.0.0-rc1"])
def test_a_server_that_is_new_enough_is_taken(server, opened, number):
    server.root = {"version": {"distribution": "opensearch", "number": number}}
    assert told(opened(server.url).deliver(batch(0, *documents(1)))) == (1, 0, 0, 0)


def test_after_a_lost_connection_the_server_is_checked_again(server, opened):
    output = opened(server.url)
    output.deliver(batch(0, document(0)))
    server.faults = [faulty.reset]
    output.deliver(batch(1, document(1)))
    server.templates = {}
    assert "templates are missing" in output.deliver(batch(1, document(1))).error


# -- several hosts -----------------------------------------------------------------------------------------------------


def test_another_host_takes_over_where_one_cannot_be_reached(server, opened):
    output = opened("http://127.0.0.1:1", server.url)
    assert told(output.deliver(batch(0, *documents(2)))) == (2, 0, 0, 0)
    assert output._client.place == server.url


def test_a_request_that_may_have_been_carried_out_is_not_repeated_at_another_host_unasked(server, opened, monkeypatch):
    # the first host is not tried again in between: its wait is a random part of this
    monkeypatch.setattr(_opensearch_hosts, "FIRST_WAIT", 1e9)
    monkeypatch.setattr(_opensearch_hosts, "LONGEST_WAIT", 1e9)
    with FaultyOpenSearch() as second:
        output = opened(server.url, second.url)
        server.faults = [faulty.stored_then_reset]
        second.documents = server.documents  # one cluster
        second.generation = server.generation
        receipt = output.deliver(batch(0, *documents(2)))
        assert told(receipt) == (0, 0, 0, 2)
        assert not second.bulk_sizes
        server.rollover(STREAM)
        assert told(output.deliver(batch(0, *receipt.retry))) == (2, 0, 0, 0)
        assert len(server.documents) == 2
        assert second.asked["POST _search"] == 1  # the second host was asked, and answered for both


def test_when_no_host_can_be_reached_the_last_one_is_named(opened):
    output = opened("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert "127.0.0.1:2" in output.deliver(batch(0, *documents(1))).error


# -- probing -----------------------------------------------------------------------------------------------------------


def test_validate_connect_goes_step_by_step_to_the_first_that_fails(server):
    def steps(*hosts):
        section = OpenSearchSection(id="siem", type="opensearch", hosts=hosts, timeout=2)
        return [(name, ok) for name, ok, _, _ in probe(section, "default")]

    well = [(name, True) for name in ("resolve", "connect", "auth", "version", "templates")]
    assert steps(server.url) == well
    assert steps(server.url, "http://127.0.0.1:1") == [*well, well[0], ("connect", False)]
    server.templates = {}
    assert steps(server.url) == [*well[:4], ("check", False)]
    server.front = faulty.status(401)
    assert steps(server.url) == [*well[:2], ("auth", False)]
    assert steps("http://127.0.0.1:1") == [well[0], ("connect", False)]
    assert steps("http://nowhere.invalid") == [("resolve", False)]


def test_forty_batches_through_mixed_faults_lose_and_double_nothing(server, opened):
    # every outcome in turn, and a rollover now and then: what is stored at the end is what was sent, once
    output = opened(server.url, timeout=5)
    faults = itertools.cycle(
        [
            faulty.good,
            faulty.stored_then_reset,
            faulty.error(429, "x"),
            faulty.fewer_items,
            faulty.stored_then(faulty.status(502)),
            faulty.cut_short,
            faulty.items(lambda one: faulty.item(429, "x") if one.endswith(("1", "7")) else None),
            faulty.reset,
        ]
    )
    sent = []
    for seq in range(40):
        pending = documents(5, 5 * seq)
        sent += pending
        tries = 0
        while pending:
            server.faults = [next(faults)]
            receipt = output.deliver(batch(seq, *pending))
            assert not receipt.refused and not receipt.fork
            pending = receipt.retry
            tries += 1
            assert tries < 30
            if tries % 3 == 2:
                server.rollover(STREAM)
    assert sorted(stored(server)) == [one.id for one in sent]
    assert {orjson.loads(data)["seal"]["i"] for data in server.documents.values()} == set(range(200))
