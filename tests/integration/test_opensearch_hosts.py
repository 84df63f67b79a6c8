"""Several hosts of one cluster: failover, the breaker of each of them, the way back, and no document twice."""

import socket

import pytest

from shipper.model import Batch, Documents, Run
from shipper.outputs._opensearch_client import Client
from shipper.outputs._opensearch_hosts import OPEN_AT
from tests.integration import faulty_opensearch as faulty
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import LOG, ORIGIN, document

STREAM = "logs-fieldtrail.change-default"


@pytest.fixture
def pair():
    """Two hosts of one cluster."""
    with FaultyOpenSearch() as first, FaultyOpenSearch() as second:
        second.documents, second.generation = first.documents, first.generation
        yield first, second


@pytest.fixture
def opened():
    with faulty.outputs() as make:
        yield make


@pytest.fixture
def clock():
    """The clock of the breakers: it stands still until it is told to go on."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


def batch(count, first=0, seq=0):
    data = [document(first + n).data for n in range(count)]
    return Batch(seq, LOG, ORIGIN, Documents([Run("fieldtrail.change", LOG, range(first, first + count), data)]))


def told(receipt):
    return receipt.delivered, len(receipt.refused), len(receipt.fork), len(receipt.retry)


def started(output, clock):
    """Have the client made, with the clock of the test."""
    output._opened()
    output._client._states._monotonic = clock
    return output


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def exact(server, count):
    assert sorted(one for _, one in server.documents) == [f"{LOG}-{n:014x}" for n in range(count)]


def test_a_single_host_that_is_silent_is_asked_five_times_and_then_only_for_its_name(opened, clock):
    output = started(opened(f"http://127.0.0.1:{closed_port()}"), clock)
    for _ in range(OPEN_AT):
        assert "refused" in output.deliver(batch(2)).error
    receipt = output.deliver(batch(2))
    assert told(receipt) == (0, 0, 0, 2)
    assert "refused; silent 5 times in a row" in receipt.error
    assert 0 < receipt.retry_after <= 0.5
    assert output.deliver(batch(2)).error == receipt.error  # a text that does not change is logged once


def test_a_host_that_is_back_takes_documents_again_by_itself(pair, opened, clock):
    server, _ = pair
    output = started(opened(server.url), clock)
    assert told(output.deliver(batch(2))) == (2, 0, 0, 0)
    server.guard = lambda request: request.reset() or True
    for _ in range(OPEN_AT + 3):
        receipt = output.deliver(batch(2, 2))
    asked = server.asked["POST _bulk"]
    server.guard = None
    assert told(output.deliver(batch(2, 2))) == (0, 0, 0, 2)  # not due yet
    clock.now += receipt.retry_after + 1
    assert told(output.deliver(batch(2, 2))) == (2, 0, 0, 0)
    assert server.asked["POST _bulk"] == asked + 1
    exact(server, 4)


def test_while_a_host_is_away_another_one_takes_all_and_it_is_used_again_when_it_is_back(pair, opened, clock):
    first, second = pair
    output = started(opened(first.url, second.url), clock)
    first.guard = lambda request: request.reset() or True
    pending = batch(3)
    while True:
        receipt = output.deliver(pending)
        if not receipt.retry:
            break
        pending = Batch(0, LOG, ORIGIN, receipt.retry)
    asked = first.asked.total()
    for n in range(1, 5):
        assert told(output.deliver(batch(3, 3 * n, n))) == (3, 0, 0, 0)
    assert first.asked.total() == asked  # left alone
    first.guard = None
    clock.now += 60
    assert told(output.deliver(batch(3, 15, 5))) == (3, 0, 0, 0)
    assert first.bulk_sizes
    exact(first, 18)


def test_a_host_that_has_lost_its_cluster_gives_way_to_another_one(pair, opened, clock):
    first, second = pair
    output = started(opened(first.url, second.url), clock)
    output.deliver(batch(2))
    first.always = faulty.error(503, "cluster_manager_not_discovered_exception")
    receipt = output.deliver(batch(2, 2, 1))
    assert told(receipt) == (0, 0, 0, 2)
    assert told(output.deliver(batch(2, 2, 1))) == (2, 0, 0, 0)
    assert second.bulk_sizes
    exact(first, 4)


def test_a_host_in_a_black_hole_costs_a_probe_of_two_seconds_at_the_most(pair, opened, clock, monkeypatch):
    _, second = pair
    monkeypatch.setattr("shipper.outputs._opensearch_client._PROBE_SECONDS", 0.2)
    given, once = [], Client._once

    def noted(self, number, method, path, body, headers, params, timeout):
        if number == 0:
            given.append(timeout)
        return once(self, number, method, path, body, headers, params, timeout)

    monkeypatch.setattr(Client, "_once", noted)
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never says a word
        output = started(opened(f"http://127.0.0.1:{hole.getsockname()[1]}", second.url, timeout=0.5), clock)
        assert told(output.deliver(batch(2))) == (0, 0, 0, 2)
        for n in range(3):
            clock.now += 61
            assert told(output.deliver(batch(2, 2 * n, n))) == (2, 0, 0, 0)
    assert given == [0.5, 0.2, 0.2, 0.2]
    exact(second, 6)


def test_parallel_requests_are_spread_over_the_hosts(pair, opened):
    first, second = pair
    output = opened(first.url, second.url, batch_bytes=20_000)
    first.delay = second.delay = 0.005
    sent = 0
    while not (first.bulk_sizes and second.bulk_sizes):
        assert told(output.deliver(batch(400, sent))) == (400, 0, 0, 0)
        sent += 400
        assert sent < 20_000
    exact(first, sent)


@pytest.mark.parametrize("fault", [faulty.stored_then_reset, faulty.cut_short, faulty.stored_then(faulty.status(502))])
def test_what_one_host_has_stored_without_saying_so_is_not_stored_again_by_another_one(pair, opened, fault):
    first, second = pair
    output = opened(first.url, second.url, batch_bytes=20_000)
    sent = 0
    while output._sender is None or output._sender._pace.limit < 4:
        output.deliver(batch(200, sent))
        sent += 200
    first.faults, second.faults = [faulty.good, fault, fault], [fault]
    pending, left = batch(800, sent), 800
    for _ in range(20):
        receipt = output.deliver(pending)
        assert receipt.delivered + len(receipt.retry) == left
        if not receipt.retry:
            break
        pending, left = Batch(0, LOG, ORIGIN, receipt.retry), len(receipt.retry)
        first.rollover(STREAM)
    exact(first, sent + 800)


def test_when_all_hosts_are_silent_the_soonest_to_be_asked_again_is_waited_for(opened, clock):
    output = started(opened(*(f"http://127.0.0.1:{closed_port()}" for _ in range(3))), clock)
    for _ in range(3 * OPEN_AT):
        receipt = output.deliver(batch(1))
        if "in a row" in receipt.error:
            break
    assert receipt.retry_after == output._client._states.wait() <= 0.5
