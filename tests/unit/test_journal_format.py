"""The journal's codec: what is written comes back, and nothing else ever does."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.journal import format as codec
from shipper.journal.format import Bad, FormatError, Frame, Good, SegmentHeader

SALT = b"saltsalt"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
frames = st.builds(
    Frame,
    st.integers(0, codec.MAX_SEQ),
    st.dictionaries(st.text(max_size=8), json_values, max_size=4),
    st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), max_size=6).map(tuple),
)


def reading(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def pieces(data: bytes, salt: bytes | None = SALT):
    return list(codec.scan(reading(data), 0, len(data), salt))


def stored(payload: bytes, *, raw_length: int, documents: int = 0, seq: int = 0, payload_length: int | None = None):
    """A frame with a right checksum around any payload."""
    length = len(payload) if payload_length is None else payload_length
    head = struct.pack("<4sBBH8sQIII", codec.FRAME_MAGIC, 1, 1, 0, SALT, seq, length, raw_length, documents)
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


@settings(max_examples=150, deadline=None)
@given(frames)
def test_a_frame_comes_back_as_it_was(frame):
    data = codec.encode(frame, SALT)
    (piece,) = pieces(data)
    assert isinstance(piece, Good)
    assert codec.decode(piece.header, piece.payload) == frame
    assert codec.decode_meta(piece.header, piece.payload) == frame.meta
    assert piece.end == len(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(frames, max_size=4), st.binary(max_size=80))
def test_frames_are_found_again_after_foreign_bytes(some, rubbish):
    data = rubbish + b"".join(codec.encode(frame, SALT) for frame in some)
    found = [piece for piece in pieces(data) if isinstance(piece, Good)]
    assert [codec.decode(piece.header, piece.payload) for piece in found] == some
    bad = [piece for piece in pieces(data) if isinstance(piece, Bad)]
    assert sum(piece.length for piece in bad) == len(rubbish)


def test_the_layout_is_the_documented_one():
    header = codec.encode_segment_header(SegmentHeader(0x1234, 1_770_000_000_123, SALT))
    assert header[:16] == bytes.fromhex("46544af75345470a01002c0000000000")
    assert header[16:40] == struct.pack("<QQ", 1_770_000_000_123, 0x1234) + SALT
    assert header[40:] == struct.pack("<I", zlib.crc32(header[:40]))
    data = codec.encode(Frame(7, {"a": 1}, (b"one", b"two")), SALT)
    raw = b"\x07\0\0\0" + b'{"a":1}' + b"one\ntwo\n"
    assert data[:8] == bytes.fromhex("f74654fe01010000")
    assert data[8:24] == SALT + struct.pack("<Q", 7)
    assert data[24:36] == struct.pack("<III", len(data) - 40, len(raw), 2)
    assert data[36:40] == struct.pack("<I", zlib.crc32(data[:36] + data[40:]))
    assert codec.zstd.decompress(data[40:]) == raw


def test_a_document_with_a_line_feed_is_refused():
    for documents in ((b"a\n", b"b"), (b"a", b"b\n"), (b"\n",)):
        with pytest.raises(ValueError, match="line feed"):
            codec.encode(Frame(0, {}, documents))


def test_line_feeds_in_the_length_prefix_and_in_meta_strings_do_no_harm():
    frame = Frame(0, {"x": "\n"}, (b"",))
    assert len(orjson.dumps(frame.meta)) == 10  # so the length prefix begins with 0A
    (piece,) = pieces(codec.encode(frame, SALT))
    assert codec.decode(piece.header, piece.payload) == frame


def test_too_much_for_one_frame_is_refused(monkeypatch):
    monkeypatch.setattr(codec, "MAX_RAW", 1000)
    codec.encode(Frame(0, {}, (b"x" * 900,)))
    with pytest.raises(ValueError, match="at most 1000"):
        codec.encode(Frame(0, {}, (b"x" * 1000,)))


def test_no_single_bit_flip_yields_a_wrong_frame():
    some = [Frame(seq, {"n": seq}, (b"document %d" % seq,)) for seq in range(3)]
    whole = b"".join(codec.encode(frame, SALT) for frame in some)
    for at in range(len(whole)):
        for bit in (0x01, 0x80):
            data = bytearray(whole)
            data[at] ^= bit
            found = pieces(bytes(data))
            good = [codec.decode(piece.header, piece.payload) for piece in found if isinstance(piece, Good)]
            assert [frame for frame in some if frame in good] == good
            assert len(good) == 2
            assert any(isinstance(piece, Bad) for piece in found)


def test_a_frame_cut_at_any_byte_is_no_frame_and_the_one_before_it_is_intact():
    first, second = (codec.encode(Frame(seq, {}, (b"abc",)), SALT) for seq in range(2))
    for length in range(len(second)):
        found = pieces(first + second[:length])
        assert isinstance(found[0], Good)
        assert found[1:] == [Bad(len(first), length, found[-1].reason)] if length else not found[1:]


def test_a_frame_of_another_segment_is_not_taken():
    forged = codec.encode(Frame(5, {"n": "forged"}, (b"x",)), b"guessed!")
    good = codec.encode(Frame(6, {}, (b"y",)), SALT)
    found = pieces(forged + good)
    assert found[0] == Bad(0, len(forged), "the frame is of another segment")
    assert found[1].header.seq == 6


def test_without_a_salt_the_first_frame_gives_it():
    data = codec.encode(Frame(5, {}, ()), SALT) + codec.encode(Frame(6, {}, ()), b"another!")
    found = pieces(data, None)
    assert [type(piece) for piece in found] == [Good, Bad]


@pytest.mark.parametrize("length", [0xFFFFFFFF, codec.MAX_PAYLOAD + 1, codec.MAX_PAYLOAD, 5000])
def test_a_hostile_payload_length_is_never_read(length):
    data = stored(b"x", raw_length=10, payload_length=length)
    asked = []

    def read(offset, count):
        asked.append(count)
        return data[offset : offset + count]

    assert [type(piece) for piece in codec.scan(read, 0, len(data), SALT)] == [Bad]
    assert max(asked) <= len(data)


def test_a_hostile_uncompressed_length_is_refused_before_decompressing():
    (piece,) = pieces(stored(codec.zstd.compress(b"x"), raw_length=codec.MAX_RAW + 1))
    assert isinstance(piece, Bad)


def test_a_payload_that_unpacks_to_more_than_it_says_is_refused_without_the_memory():
    bomb = codec.zstd.compress(bytes(200_000_000))
    (piece,) = pieces(stored(bomb, raw_length=1000))
    assert isinstance(piece, Good)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="length"):
            codec.decode(piece.header, piece.payload)
        with pytest.raises(FormatError):
            codec.decode_meta(piece.header, piece.payload)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_large_claim_with_a_small_payload_takes_no_memory():
    (piece,) = pieces(stored(codec.zstd.compress(b"x" * 10), raw_length=codec.MAX_RAW))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            codec.decode(piece.header, piece.payload)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01\0",
        b"\xff\xff\xff\xff{}",
        b"\x02\0\0\0[]",
        b"\x02\0\0\0{,",
        b"\x02\0\0\0{}x",
        b"\x02\0\0\0{}x\ny\n",
    ],
)
def test_a_payload_that_is_not_ours_is_refused(raw):
    (piece,) = pieces(stored(codec.zstd.compress(raw), raw_length=max(len(raw), 1), documents=1))
    assert isinstance(piece, Good)
    with pytest.raises(FormatError):
        codec.decode(piece.header, piece.payload)


@pytest.mark.parametrize("cut", [1, 5])
def test_a_payload_that_is_cut_or_followed_by_more_is_refused(cut):
    payload = codec.zstd.compress(b"\x02\0\0\0{}x\n")
    for wrong in (payload[:-cut], payload + b"x" * cut, b"no zstd at all"):
        (piece,) = pieces(stored(wrong, raw_length=8, documents=1))
        with pytest.raises(FormatError):
            codec.decode(piece.header, piece.payload)


def test_a_file_full_of_fake_frames_costs_a_few_passes_at_most():
    claims = b"".join(stored(b"", raw_length=10, payload_length=60_000) for _ in range(5000))
    data = claims + bytes(60_000)
    taken = 0

    def read(offset, count):
        nonlocal taken
        taken += min(count, len(data) - offset)
        return data[offset : offset + count]

    found = list(codec.scan(read, 0, len(data), SALT))
    assert found == [Bad(0, len(data), found[0].reason)]
    assert taken < 8 * len(data) + 4 * 1024 * 1024


def test_the_magic_is_found_across_the_border_of_two_looks():
    good = codec.encode(Frame(1, {}, ()), SALT)
    for before in range(codec._LOOK - 5, codec._LOOK + 3):
        found = pieces(bytes(before) + good)
        assert [type(piece) for piece in found] == [Bad, Good]
        assert found[1].offset == before


def test_segment_names_sort_as_their_numbers_and_nothing_else_is_one():
    assert codec.segment_name(255) == "00000000000000ff.seg"
    assert codec.parse_segment_name("00000000000000ff.seg") == 255
    for name in ("ff.seg", "00000000000000FF.seg", "00000000000000ff.seg.tmp", "f000000000000000.seg", "x.seg", "lock"):
        assert codec.parse_segment_name(name) is None


def test_a_segment_header_comes_back_and_any_flipped_byte_is_noticed():
    header = SegmentHeader(9, 1_770_000_000_000, SALT)
    data = codec.encode_segment_header(header)
    assert codec.decode_segment_header(data + b"frames") == header
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x04
        with pytest.raises(FormatError):
            codec.decode_segment_header(bytes(broken))
    with pytest.raises(FormatError, match="cut short"):
        codec.decode_segment_header(data[:43])


def test_an_intact_header_of_a_later_version_is_told_from_damage():
    body = struct.pack("<8sHHIQQ8s", codec.SEGMENT_MAGIC, 2, 48, 0, 0, 0, SALT) + b"more"
    with pytest.raises(codec.UnknownVersionError, match="version 2"):
        codec.decode_segment_header(body + struct.pack("<I", zlib.crc32(body)) + b"frames")


def test_the_reader_printed_in_the_documentation_reads_a_segment(tmp_path):
    text = (Path(__file__).parents[2] / "docs/reference/journal-format.md").read_text()
    program = text.rpartition("```python\n")[2].partition("```")[0]
    if sys.version_info < (3, 14):
        program = program.replace("from compression import zstd", "from backports import zstd")
    segment = tmp_path / codec.segment_name(4)
    segment.write_bytes(
        codec.encode_segment_header(SegmentHeader(4, 0, SALT))
        + codec.encode(Frame(4, {"a": 1}, (b"one", b"two")), SALT)
        + codec.encode(Frame(5, {}, ()), SALT)
    )
    run = subprocess.run([sys.executable, "-c", program, segment], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "# frame 4, 2 documents, meta members ['a']",
        "one",
        "two",
        "# frame 5, 0 documents, meta members []",
    ]
