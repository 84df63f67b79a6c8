"""Documents as columns: as a sequence they are what a list of `Document`s is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.model import Document, Documents, Run, datasets, payloads
from tests.shipped import LOG, OTHER_LOG, checkpoint, columns, control, document


@st.composite
def runs(draw):
    made = []
    for _ in range(draw(st.integers(0, 4))):
        dataset = draw(st.sampled_from(["fieldtrail.change", "fieldtrail.log", "fieldtrail.checkpoint"]))
        data = draw(st.lists(st.binary(max_size=6), max_size=5))
        first = draw(st.integers(0, 2**53 - 10))
        numbers = range(first, first + len(data))
        made.append(
            Run(
                dataset,
                draw(st.sampled_from([LOG, OTHER_LOG])),
                list(numbers) if draw(st.booleans()) else numbers,
                tuple(data) if draw(st.booleans()) else data,
            )
        )
    return made


def objects(some):
    out = []
    for run in some:
        for number, data in zip(run.numbers, run.data, strict=True):
            if run.dataset == "fieldtrail.checkpoint":
                out.append(Document(-1, run.dataset, f"{run.log}-c{number:014x}", data))
            else:
                out.append(Document(number, run.dataset, f"{run.log}-{number:014x}", data))
    return out


@given(runs())
def test_columns_hold_the_documents_in_order(some):
    wanted = objects(some)
    made = Documents(some)
    assert list(made) == wanted
    assert len(made) == len(wanted)
    assert bool(made) == bool(wanted)
    assert payloads(made) == payloads(wanted)
    assert datasets(made) == datasets(wanted)
    assert [made[at] for at in range(-len(wanted), len(wanted))] == wanted * 2
    for at in (len(wanted), -len(wanted) - 1):
        with pytest.raises(IndexError):
            made[at]


@settings(max_examples=200)
@given(runs(), st.slices(25))
def test_a_slice_of_columns_is_that_of_a_list(some, part):
    assert list(Documents(some)[part]) == objects(some)[part]


@given(runs(), st.integers(0, 8), st.integers(0, 8))
def test_a_part_of_a_batch_stays_columns_and_can_be_cut_again(some, start, stop):
    part = Documents(some)[start:stop]
    assert isinstance(part, Documents)
    assert list(part[1:3]) == objects(some)[start:stop][1:3]


@given(runs(), st.data())
def test_what_a_filter_chose_keeps_its_ids(some, data):
    wanted = objects(some)
    mask = data.draw(st.lists(st.booleans(), min_size=len(wanted), max_size=len(wanted)))
    chosen = Documents(some).chosen(mask)
    assert list(chosen) == [one for one, taken in zip(wanted, mask, strict=True) if taken]


def test_columns_are_equal_to_any_sequence_of_the_same_documents_only():
    sent = [document(0), document(1), control(2), checkpoint(3)]
    made = columns(*sent)
    assert made == sent == made
    assert made == tuple(sent)
    assert made == columns(*sent)
    assert made != sent[:-1]
    assert made != [*sent[:-1], checkpoint(4)]
    assert made != "text"
