"""The line framer: the same records however the bytes arrive, offsets that add up, memory that stays bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.framing import LineFramer
from shipper.model import Record


def frame(data: bytes, **options):
    framer = LineFramer(**options)
    return framer.feed(data), framer


def data_of(records):
    return [record.data for record in records]


def test_lines_carry_the_offset_of_their_first_byte_and_the_length_with_the_line_end():
    records, framer = frame(b"alpha\nbeta\ngam")
    assert records == [Record(b"alpha", 0, 6), Record(b"beta", 6, 5)]
    assert (framer.offset, framer.end, framer.partial) == (11, 14, b"gam")


def test_records_are_named_tuples():
    records, _ = frame(b"alpha\n")
    assert isinstance(records[0], Record)
    assert records[0]._asdict() == {"data": b"alpha", "offset": 0, "length": 6}


def test_empty_lines_give_no_record_and_the_position_passes_them():
    records, framer = frame(b"\n\r\n\na\n\n")
    assert records == [Record(b"a", 4, 2)]
    assert framer.offset == 7


def test_a_carriage_return_before_the_line_feed_belongs_to_the_line_end_and_any_other_to_the_line():
    records, _ = frame(b"one\r\ntwo\rhalf\nthree\r\r\n")
    assert records == [Record(b"one", 0, 5), Record(b"two\rhalf", 5, 9), Record(b"three\r", 14, 8)]


def test_a_line_end_split_between_two_reads_leaves_no_stray_carriage_return():
    framer = LineFramer()
    assert framer.feed(b"one\r") == []
    assert framer.feed(b"\ntwo\r") == [Record(b"one", 0, 5)]
    assert framer.feed(b"x\n") == [Record(b"two\rx", 5, 6)]


def test_a_byte_order_mark_counts_in_the_length_and_not_in_the_data():
    records, framer = frame(b"\xef\xbb\xbfalpha\nbeta\n")
    assert records == [Record(b"alpha", 0, 9), Record(b"beta", 9, 5)]
    assert framer.encoding == "utf-8"


def test_a_mark_that_arrives_byte_by_byte_is_waited_for():
    framer = LineFramer()
    assert [framer.feed(bytes([byte])) for byte in b"\xef\xbb\xbfa"] == [[], [], [], []]
    assert framer.feed(b"\n") == [Record(b"a", 0, 5)]


def test_the_first_byte_of_a_mark_alone_is_content_when_no_more_comes():
    framer = LineFramer()
    framer.feed(b"\xef\xbb")
    assert framer.end == 2
    assert framer.flush() == Record(b"\xef\xbb", 0, 2)


def test_a_mark_is_content_where_it_does_not_stand_at_the_start():
    records, _ = frame(b"\xef\xbb\xbfalpha\n", offset=10)
    assert records == [Record(b"\xef\xbb\xbfalpha", 10, 9)]


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_utf_16_is_decoded_and_its_line_ends_are_searched_in_code_units(mark, encoding):
    # U+0A0A contains the byte of a line feed twice, U+0D0A both halves of a line end.
    text = "é\u0a0a\u0d0a\u000d\u0a00\r\n\nz\U0001f600\n\u0a01"
    raw = text.encode(encoding)
    records, framer = frame(mark + raw)
    first, _, second, rest = text.split("\n")
    assert data_of(records) == [first.removesuffix("\r").encode(), second.encode()]
    assert records[0].length == 2 + 2 * (len(first) + 1)
    assert framer.offset == 2 + len(raw) - 2
    assert framer.partial == rest.encode()
    assert framer.encoding == encoding


def test_half_a_code_unit_waits_for_its_other_half():
    raw = b"\xff\xfe" + "ab\n".encode("utf-16-le")
    framer = LineFramer()
    assert framer.feed(raw[:-1]) == []
    assert framer.feed(raw[-1:]) == [Record(b"ab", 0, 8)]


def test_a_lone_surrogate_is_replaced_and_counted():
    records, framer = frame(b"\xff\xfe" + b"a\x00\x00\xd8b\x00\n\x00")
    assert data_of(records) == ["a\ufffdb".encode()]
    assert framer.replaced == 1


def test_a_resumed_utf_16_stream_keeps_its_encoding():
    records, _ = frame("ab\r\n".encode("utf-16-be"), offset=40, encoding="utf-16-be")
    assert records == [Record(b"ab", 40, 8)]


def test_a_hole_at_the_start_of_a_line_is_counted_and_is_not_data():
    records, framer = frame(b"\0" * 100 + b"alpha\n\0\0beta\ng\0amma\n")
    assert records == [Record(b"alpha", 0, 106), Record(b"beta", 106, 7), Record(b"g\0amma", 113, 7)]
    assert framer.nul_bytes == 102


def test_a_line_of_nothing_but_nul_gives_no_record():
    records, framer = frame(b"\0\0\0\r\nx\n")
    assert records == [Record(b"x", 5, 2)]
    assert framer.nul_bytes == 3


def test_a_hole_that_nobody_read_counts_like_one_that_was_read():
    framer = LineFramer()
    framer.feed_hole(1 << 40)
    assert framer.hollow
    assert framer.feed(b"alpha\n") == [Record(b"alpha", 0, (1 << 40) + 6)]
    framer.feed(b"be")
    framer.feed_hole(3)
    assert framer.feed(b"ta\n") == [Record(b"be\0\0\0ta", (1 << 40) + 6, 8)]


def test_a_hole_inside_a_line_costs_no_more_memory_than_a_line():
    framer = LineFramer(max_line=64)
    framer.feed(b"head")
    framer.feed_hole(1 << 40)
    (record,) = framer.feed(b"tail\n")
    assert record == Record(b"head" + bytes(60), 0, (1 << 40) + 9)
    assert framer.truncated == {0: (1 << 40) + 8}


def test_an_unfinished_line_of_nul_can_be_taken_back():
    framer = LineFramer()
    framer.feed(b"a\n\0\0\0")
    assert framer.hollow
    framer.rewind()
    assert framer.end == framer.offset == 2
    assert framer.feed(b"bcd\n") == [Record(b"bcd", 2, 4)]
    assert framer.nul_bytes == 0


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_line_too_long_is_given_out_as_its_head_with_its_true_length(step):
    framer = LineFramer(max_line=100)
    raw = b"a" * 1000 + b"\r\nnext\n"
    records = [record for at in range(0, len(raw), step) for record in framer.feed(raw[at : at + step])]
    assert records == [Record(b"a" * 100, 0, 1002), Record(b"next", 1002, 5)]
    assert framer.truncated == {0: 1000}


def test_a_line_of_exactly_the_limit_is_whole():
    records, framer = frame(b"a" * 100 + b"\r\n", max_line=100)
    assert data_of(records) == [b"a" * 100]
    assert framer.truncated == {}
    framer = LineFramer(max_line=100)
    framer.feed(b"a" * 100)
    framer.feed(b"\r")
    assert data_of(framer.feed(b"\n")) == [b"a" * 100]
    assert framer.truncated == {}


def test_the_head_of_a_long_line_ends_with_a_whole_character():
    records, _ = frame("é".encode() * 60 + b"\n", max_line=17)
    assert records[0].data == "é".encode() * 8
    records, _ = frame(b"x" + "\U0001f600".encode() * 60 + b"\n", max_line=16)
    assert records[0].data == b"x" + "\U0001f600".encode() * 3
    records, _ = frame(b"\xff\xfe" + ("x" * 15 + "\U0001f600\n").encode("utf-16-le"), max_line=32)
    assert records[0].data == b"x" * 15


def test_an_endless_line_is_held_in_bounded_memory():
    framer = LineFramer(max_line=1000)
    for _ in range(1000):
        framer.feed(b"b" * 1000)
    assert len(framer._held) <= 1001
    assert framer.offset == 0
    assert framer.end == 1_000_000


def test_flush_gives_out_the_unfinished_line_once():
    framer = LineFramer()
    framer.feed(b"one\ntwo\r")
    assert framer.flush() == Record(b"two\r", 4, 4)
    assert framer.flush() is None
    assert framer.offset == 8


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="encoding"):
        LineFramer(encoding="latin-1")


PIECES = st.lists(
    st.sampled_from(
        [
            b"a",
            b"bc",
            b"\n",
            b"\r",
            b"\r\n",
            b"\0",
            b"\0\0",
            b"x" * 30,
            "é".encode(),
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\xfe\xff",
        ]
    ),
    max_size=30,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(
    data=PIECES,
    start=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    limit=st.sampled_from([16, 20, 1 << 20]),
)
def test_any_sequence_of_feeds_gives_the_records_of_one_feed(data, start, cuts, limit):
    data = start + data
    whole = LineFramer(max_line=limit)
    expected = whole.feed(data)
    split = LineFramer(max_line=limit)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    records = [record for a, b in pairwise(edges) for record in split.feed(data[a:b])]
    assert records == expected
    assert (split.offset, split.end, split.encoding) == (whole.offset, whole.end, whole.encoding)
    assert (split.truncated, split.nul_bytes, split.partial) == (whole.truncated, whole.nul_bytes, whole.partial)
    assert split.flush() == whole.flush()
    assert split.offset == len(data)


@settings(max_examples=200, deadline=None)
@given(data=PIECES)
def test_a_framer_resumed_at_its_offset_gives_the_same_records(data):
    data = b"start\n" + data
    expected = LineFramer().feed(data)
    for stop in range(7, len(data)):
        first = LineFramer()
        records = first.feed(data[:stop])
        second = LineFramer(first.offset, first.encoding)
        assert [*records, *second.feed(data[first.offset :])] == expected


@settings(max_examples=200, deadline=None)
@given(data=PIECES)
def test_the_lengths_of_lines_and_of_empty_lines_add_up_to_the_bytes(data):
    framer = LineFramer()
    records = framer.feed(data)
    last = framer.flush()
    places = [(record.offset, record.length) for record in [*records, *([last] if last else [])]]
    assert all(a + length <= b for (a, length), (b, _) in pairwise(places))
    assert framer.offset == framer.end == len(data)
