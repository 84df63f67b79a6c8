"""A run that ended before its cursor was saved has sent several batches: none of them may stand twice after a rollover."""

import pytest

from shipper.output_sections import OpenSearchSection
from shipper.outputs.opensearch import OpenSearchOutput
from tests.integration.faulty_opensearch import FaultyOpenSearch
from tests.shipped import LOG, OTHER_LOG, batch, checkpoint, document

STREAM = "logs-fieldtrail.change-default"


@pytest.fixture
def server():
    with FaultyOpenSearch() as running:
        yield running


@pytest.fixture
def started(server):
    """`started()`: the output of a run that begins, which has asked for the highest document."""
    outputs = []

    def make():
        section = OpenSearchSection(id="siem", type="opensearch", hosts=[server.url])
        output = OpenSearchOutput(section, namespace="default")
        output.open({})
        outputs.append(output)
        output.highest(LOG)
        return output

    yield make
    for output in outputs:
        output.close()


def batches(count, each=10):
    return [batch(seq, *(document(seq * each + n) for n in range(each))) for seq in range(count)]


def ids(server):
    return sorted(identity for _, identity in server.documents)


def searches(server):
    return server.asked["POST _search"]


def test_every_batch_that_was_sent_before_the_restart_is_looked_for_and_none_stands_twice(server, started):
    sent = batches(4)
    before = started()
    for one in sent[:3]:
        assert before.deliver(one).delivered == 10
    server.rollover(STREAM)
    after = started()
    for one in sent:
        assert after.deliver(one).delivered == 10
    assert ids(server) == [document(n).id for n in range(40)]


def test_a_batch_of_which_a_part_was_there_is_completed(server, started):
    first, second = batches(2)
    before = started()
    before.deliver(first)
    before.deliver(batch(1, *second.documents[::3]))
    server.rollover(STREAM)
    after = started()
    assert [after.deliver(one).delivered for one in (first, second)] == [10, 10]
    assert ids(server) == [document(n).id for n in range(20)]


def test_beyond_the_highest_document_nothing_is_searched_for(server, started):
    sent = batches(5)
    before = started()
    for one in sent[:2]:
        before.deliver(one)
    after = started()
    for one in sent[:3]:
        after.deliver(one)
    searched = searches(server)
    for one in sent[3:]:
        assert after.deliver(one).delivered == 10
    assert searches(server) == searched


def test_a_batch_of_checkpoints_alone_is_looked_for_while_its_neighbours_are(server, started):
    before = started()
    before.deliver(batches(1)[0])
    before.deliver(batch(1, checkpoint(10)))
    before.deliver(batch(2, document(10)))
    server.rollover("logs-fieldtrail.checkpoint-default")
    after = started()
    for one in (batches(1)[0], batch(1, checkpoint(10)), batch(2, document(10))):
        assert after.deliver(one).delivered == len(one.documents)
    assert len(ids(server)) == len(set(ids(server))) == 12


def test_another_log_is_not_measured_by_this_one(server, started):
    before = started()
    for one in batches(3):
        before.deliver(one)
    after = started()
    after.deliver(batches(1)[0])
    searched = searches(server)
    assert after.deliver(batch(9, document(0, log=OTHER_LOG), log=OTHER_LOG)).delivered == 1
    assert searches(server) == searched
