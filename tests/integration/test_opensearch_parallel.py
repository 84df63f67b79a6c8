"""Several requests at once, against a server that misbehaves: nothing is lost, doubled, or held in memory for nothing."""

import random
import threading

import orjson
import pytest

from shipper.model import Batch, Documents, Run
from tests.integration import faulty_opensearch as faulty
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import LOG, ORIGIN, document

STREAM = "logs-fieldtrail.change-default"
PART = 20_000
"""Bytes of a request in these tests: some 20 documents."""


@pytest.fixture
def server():
    with FaultyOpenSearch() as running:
        yield running


@pytest.fixture
def opened():
    """Outputs with small requests, whose threads have ended with them."""
    before = lanes()
    with faulty.outputs(batch_bytes=PART) as make:
        yield make
    assert lanes() == before


def batch(count, first=0, seq=0):
    """A batch of columns, as the agent makes it."""
    data = [document(first + n).data for n in range(count)]
    return Batch(seq, LOG, ORIGIN, Documents([Run("fieldtrail.change", LOG, range(first, first + count), data)]))


def again(receipt, seq=0):
    return Batch(seq, LOG, ORIGIN, receipt.retry)


def identity(index):
    return f"{LOG}-{index:014x}"


def told(receipt):
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def lanes():
    return sum(thread.name.startswith("opensearch-lane") for thread in threading.enumerate())


def risen(server, output, first=0):
    """Deliver until requests go side by side; the number of documents that were sent."""
    sent = 0
    server.delay = 0.005
    while output._sender is None or output._sender._pace.limit < 4:
        assert told(output.deliver(batch(200, first + sent))) == (200, 0, 0, 0)
        sent += 200
        assert sent < 20_000
    server.most = server.most_bytes = 0
    return sent


def exact(server, count):
    """Each of `count` documents stands there once, with its bytes."""
    assert sorted(one for _, one in server.documents) == [identity(n) for n in range(count)]
    assert all(orjson.loads(data)["seal"]["i"] == int(one[17:], 16) for (_, one), data in server.documents.items())


def test_requests_go_side_by_side_once_the_server_has_shown_that_it_manages(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    server.delay = 0.05
    assert told(output.deliver(batch(400, sent))) == (400, 0, 0, 0)
    assert 2 <= server.most <= 8
    exact(server, sent + 400)


def test_a_batch_of_one_request_needs_no_thread(server, opened):
    output, before = opened(server.url, batch_bytes=5_000_000), lanes()
    for seq in range(30):
        assert told(output.deliver(batch(50, 50 * seq, seq))) == (50, 0, 0, 0)
    assert lanes() == before
    assert server.most == 1


def test_with_a_concurrency_of_one_the_order_is_kept_and_no_thread_begun(server, opened):
    output, before = opened(server.url, concurrency=1), lanes()
    for seq in range(10):
        assert told(output.deliver(batch(200, 200 * seq, seq))) == (200, 0, 0, 0)
    assert lanes() == before
    assert server.most == 1
    assert [one for _, one in server.documents] == [identity(n) for n in range(2000)]


def test_never_more_requests_are_in_flight_than_configured(server, opened):
    output = opened(server.url, concurrency=2)
    server.delay = 0.003
    for seq in range(20):
        output.deliver(batch(300, 300 * seq, seq))
    assert server.most == 2
    exact(server, 6000)


def test_the_bytes_in_flight_stay_within_what_the_output_says_it_can_use(server, opened):
    output = opened(server.url, compression="none")
    assert output.appetite == PART
    sent = risen(server, output)
    assert output.appetite >= 3 * PART
    server.delay = 0.02
    output.deliver(batch(2000, sent))
    assert server.most_bytes <= 8 * PART


def test_the_threads_stay_for_the_next_batch_and_end_with_the_output(server, opened):
    output, before = opened(server.url), lanes()
    sent = risen(server, output)
    begun = lanes() - before
    assert 2 <= begun <= 8
    output.deliver(batch(400, sent))
    assert lanes() - before <= 8
    output.close()
    assert lanes() == before


def test_after_the_first_request_that_fails_no_further_one_begins_and_those_under_way_count(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    server.bulk_sizes.clear()
    server.delay = 0.02
    server.faults = [faulty.error(429, "rejected_execution_exception", retry_after="7")]
    receipt = output.deliver(batch(2000, sent))
    assert receipt.retry_after == 7.0
    assert receipt.delivered + len(receipt.retry) == 2000
    assert len(server.bulk_sizes) <= 9
    assert told(output.deliver(again(receipt))) == (len(receipt.retry), 0, 0, 0)
    exact(server, sent + 2000)


def test_a_server_that_asks_for_less_gets_less_at_once(server, opened):
    output = opened(server.url)
    risen(server, output)
    before, server.delay = output._sender._pace.limit, 0.0
    server.always = faulty.error(429, "rejected_execution_exception")
    receipt = output.deliver(batch(400, 100_000))
    for _ in range(20):
        receipt = output.deliver(again(receipt))
    assert output._sender._pace.limit == 1 < before
    assert len(receipt.retry) == 400


def test_requests_of_the_same_size_that_are_all_too_large_halve_the_size_once(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    server.delay = 0.02
    server.always = faulty.larger_than(PART - 2_000)
    assert told(output.deliver(batch(2000, sent))) == (2000, 0, 0, 0)
    assert output._sender._limit >= PART // 3
    exact(server, sent + 2000)


def test_requests_that_all_run_out_of_time_halve_the_size_once(server, opened):
    output = opened(server.url, timeout=0.5, batch_bytes=200_000)
    output._sender = None
    output.deliver(batch(1))
    output._sender._pace.limit = 4
    server.faults = [faulty.silent] * 4
    receipt = output.deliver(batch(1000, 1))
    assert len(receipt.retry) > 0
    assert output._sender._limit == 100_000
    assert "within 0.5 s" in receipt.error


def test_documents_that_spoil_several_requests_at_once_are_found_and_the_others_arrive(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    bad = {identity(sent + n) for n in (3, 250, 251, 799)}
    malformed = faulty.error(400, "parse_exception")
    server.always = lambda request: (
        malformed(request) if any(one in bad for _, one, _ in request.lines()) else faulty.good(request)
    )
    receipt = output.deliver(batch(800, sent))
    assert {one.document.id for one in receipt.refused} == bad
    assert told(receipt) == (796, 4, 0, 0)


def test_several_documents_over_which_the_server_fails_again_and_again_are_found_although_others_go_well(
    server, opened
):
    output = opened(server.url)
    sent = risen(server, output)
    bad = {identity(sent + 5), identity(sent + 390)}
    broken = faulty.error(500, "null_pointer_exception")
    server.always = lambda request: (
        broken(request) if any(one in bad for _, one, _ in request.lines()) else faulty.good(request)
    )
    pending, refused = batch(400, sent), []
    for _ in range(20):
        receipt = output.deliver(pending)
        refused += [one.document.id for one in receipt.refused]
        if not receipt.retry:
            break
        pending = again(receipt)
    assert sorted(refused) == sorted(bad)
    assert len(server.documents) == sent + 398


def test_a_doubt_about_one_of_several_requests_has_all_that_is_pending_looked_for_across_a_rollover(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    server.delay = 0.01
    server.faults = [faulty.good, faulty.stored_then_reset, faulty.error(429, "x"), faulty.stored_then_reset]
    receipt = output.deliver(batch(1000, sent))
    assert receipt.retry
    server.rollover(STREAM)
    assert told(output.deliver(again(receipt))) == (len(receipt.retry), 0, 0, 0)
    exact(server, sent + 1000)


def test_a_start_anew_after_parallel_requests_of_which_some_were_answered_doubles_nothing(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    server.faults = [faulty.good, faulty.stored_then_reset, faulty.reset]
    output.deliver(batch(600, sent))
    server.rollover(STREAM)
    server.faults = []
    assert told(opened(server.url).deliver(batch(600, sent))) == (600, 0, 0, 0)
    exact(server, sent + 600)


def test_a_conflict_in_one_of_several_requests_is_compared_and_another_content_is_a_fork(server, opened):
    output = opened(server.url)
    sent = risen(server, output)
    index = f".ds-{STREAM}-000001"
    for n in (sent + 7, sent + 300):
        server.documents[index, identity(n)] = document(n).data
    server.documents[index, identity(sent + 500)] = document(sent + 501).data
    receipt = output.deliver(batch(600, sent))
    assert told(receipt) == (599, 0, 1, 0)
    assert receipt.fork[0].id == identity(sent + 500)


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_rejections_and_lost_answers_over_thousands_of_documents_loses_and_doubles_nothing(
    server, opened, seed
):
    rng = random.Random(seed)
    rejected = faulty.item(429, "rejected_execution_exception")
    unavailable = faulty.item(503, "unavailable_shards_exception")
    storm = [
        faulty.good,
        faulty.error(429, "rejected_execution_exception", retry_after="0"),
        faulty.error(503, "unavailable_shards_exception"),
        faulty.error(429, "circuit_breaking_exception"),
        faulty.items(lambda one: rejected if int(one[17:], 16) % 3 == 0 else None),
        faulty.items(lambda one: unavailable if int(one[17:], 16) % 7 == 0 else None),
        faulty.stored_then_reset,
        faulty.reset,
        faulty.cut_short,
        faulty.fewer_items,
        faulty.stored_then(faulty.status(502)),
        faulty.error(403, "cluster_block_exception", "FORBIDDEN/12/index read-only"),
        faulty.larger_than(PART - 1_000),
    ]
    output = opened(server.url)
    sent = risen(server, output)
    server.delay = 0.0
    server.always = lambda request: rng.choice(storm)(request) if rng.random() < 0.4 else faulty.good(request)
    for seq in range(5):
        pending, count, tries = batch(1000, sent, seq), 1000, 0
        while count:
            receipt = output.deliver(pending)
            assert not receipt.refused and not receipt.fork
            assert receipt.delivered + len(receipt.retry) == count
            pending, count, tries = again(receipt, seq), len(receipt.retry), tries + 1
            output._sender._pace.limit = max(4, output._sender._pace.limit)  # the storm goes on side by side
            output._client._states.answered(0)  # a breaker that waits is another test's matter
            assert tries < 400
            if tries % 4 == 3:
                server.rollover(STREAM)
        sent += 1000
    exact(server, sent)
