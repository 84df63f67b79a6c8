r"""The journal's bytes: a pure codec. The same facts, for readers of the files: docs/reference/journal-format.md.

All integers are little-endian and unsigned. A journal is a folder of segments named `<first seq>.seg` (16 lower-case
hex digits). A segment is one header and any number of frames without space between them.

Segment header, 44 bytes in version 1:

    offset length
         0      8  magic: 46 54 4A F7 53 45 47 0A ("FTJ", F7, "SEG", LF)
         8      2  format version: 1
        10      2  length of this header including its crc: 44; a reader takes the crc from the last 4 of these bytes
        12      4  flags: 0
        16      8  creation time, milliseconds since 1970-01-01 UTC
        24      8  first seq: the number of the first frame, the same as in the file name
        32      8  salt: random, repeated in each frame of the segment
        40      4  CRC-32 (zlib, ISO-HDLC) of the bytes before it

Frame, 40 bytes of header and the payload:

         0      4  magic: F7 46 54 FE (F7 and FE never occur in UTF-8 text)
         4      1  frame version: 1
         5      1  codec of the payload: 1 = one zstd frame
         6      2  flags: 0
         8      8  salt: that of the segment
        16      8  seq: rises by one from frame to frame over all segments
        24      4  payload length, bytes as stored
        28      4  payload length, bytes uncompressed: at most 256 MiB
        32      4  number of documents
        36      4  CRC-32 of the 36 bytes before it and of the payload as stored
        40      …  payload

Uncompressed payload: length of the meta (4 bytes), the meta (one JSON object in UTF-8 without line feeds), then each
document followed by one line feed (0A). Documents are the shipped bytes and never hold a line feed.

The salt is there for the search after a damaged place: what follows a bad frame is found again by its magic, and a log
line that somebody wrote to look like a frame must not be taken for one. It cannot know the salt. It also keeps frames
of a deleted segment, whose disk blocks came back after a crash, out of this one.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import contains
from typing import Any, NamedTuple

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 1
SEGMENT_MAGIC = b"FTJ\xf7SEG\n"
FRAME_MAGIC = b"\xf7FT\xfe"
MAX_RAW = 256 * 1024 * 1024
"""Hard cap of a frame's uncompressed payload, bytes. What claims more is damage and is never allocated."""
MAX_PAYLOAD = MAX_RAW + (MAX_RAW >> 8) + 1024
"""Hard cap of a frame's stored payload: zstd's bound for bytes that do not compress, rounded up."""
MAX_SEQ = (1 << 63) - 1
NO_SALT = bytes(8)

_SEGMENT = struct.Struct("<8sHHIQQ8sI")
_FRAME = struct.Struct("<4sBBH8sQIIII")
_U32 = struct.Struct("<I")
SEGMENT_HEADER_LENGTH = _SEGMENT.size
FRAME_HEADER_LENGTH = _FRAME.size
_CODEC_ZSTD = 1
_LEVEL = -3
"""Faster than level 1 by a quarter; a frame of events is a tenth of its size at both, more or less."""
# Level 1 uses a window of 512 KiB. A stored frame that asks for more than 8 MiB was not written by us.
_INFLATE: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
_LOOK = 1024 * 1024
_NAME = re.compile(r"([0-7][0-9a-f]{15})\.seg")


class FormatError(ValueError):
    """These bytes are not what `encode` wrote. The text says what is wrong, without quoting content."""


class UnknownVersionError(FormatError):
    """An intact segment header of a version that this program does not read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One kept frame: its number, its meta (a JSON object) and the documents' shipped bytes in journal order."""

    seq: int
    meta: Mapping[str, Any]
    documents: Sequence[bytes]


class SegmentHeader(NamedTuple):
    """What stands at the head of a segment; `length` is the header's own, so the offset of the first frame."""

    first_seq: int
    created_ms: int
    salt: bytes
    length: int = SEGMENT_HEADER_LENGTH


class FrameHeader(NamedTuple):
    """The fixed part of a frame; lengths in bytes."""

    salt: bytes
    seq: int
    payload_length: int
    raw_length: int
    documents: int
    crc: int


class Good(NamedTuple):
    """A frame whose checksum holds, at its place in the segment; `payload` is as stored."""

    offset: int
    header: FrameHeader
    payload: bytes

    @property
    def end(self) -> int:
        """The offset after the frame."""
        return self.offset + FRAME_HEADER_LENGTH + len(self.payload)


class Bad(NamedTuple):
    """Bytes that are no frame."""

    offset: int
    length: int
    reason: str


Read = Callable[[int, int], bytes]
"""`read(offset, length)`: that many bytes of the segment, fewer at its end."""


def segment_name(first_seq: int) -> str:
    """The file name of the segment that begins with this frame number."""
    return f"{first_seq:016x}.seg"


def parse_segment_name(name: str) -> int | None:
    """The first frame number from a file name, or None if the file is no segment."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def encode_segment_header(header: SegmentHeader) -> bytes:
    """The 44 bytes at the head of a segment."""
    head = _SEGMENT.pack(
        SEGMENT_MAGIC, VERSION, SEGMENT_HEADER_LENGTH, 0, header.created_ms, header.first_seq, header.salt, 0
    )[:-4]
    return head + _U32.pack(zlib.crc32(head))


def decode_segment_header(data: bytes) -> SegmentHeader:
    """Read a segment header from the first bytes of a file (64 KiB are always enough).

    Raises `UnknownVersionError` for an intact header of another version, `FormatError` for anything else.
    """
    if len(data) < SEGMENT_HEADER_LENGTH:
        raise FormatError("the segment header is cut short")
    magic, version, length, flags, created_ms, first_seq, salt, _ = _SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC:
        raise FormatError("not a journal segment (wrong magic)")
    if not SEGMENT_HEADER_LENGTH <= length <= len(data):
        raise FormatError("the segment header has an impossible length")
    if zlib.crc32(data[: length - 4]) != _U32.unpack_from(data, length - 4)[0]:
        raise FormatError("the segment header's checksum does not hold")
    if version != VERSION or flags:
        raise UnknownVersionError(f"format version {version} (flags {flags}); this program reads version {VERSION}")
    if first_seq > MAX_SEQ:
        raise FormatError("the segment header has an impossible frame number")
    return SegmentHeader(first_seq, created_ms, salt, length)


def encode(frame: Frame, salt: bytes = NO_SALT) -> bytes:
    """A frame as it is stored, header and payload.

    Raises `ValueError` for a document that holds a line feed and for more than 256 MiB uncompressed, `TypeError`
    (orjson's) for a meta that is no JSON.
    """
    meta = orjson.dumps(dict(frame.meta))
    documents = frame.documents
    count = len(documents)
    prefix = _U32.pack(len(meta)) + meta
    # One join: the prefix rides on the first document, the empty last item gives the final line feed.
    raw = b"\n".join((prefix + documents[0], *documents[1:], b"")) if count else prefix
    if any(map(contains, documents, repeat(10))):
        raise ValueError("a document holds a line feed")
    if len(raw) > MAX_RAW:
        raise ValueError(f"a frame of {len(raw)} bytes; at most {MAX_RAW} are allowed")
    payload = zstd.compress(raw, level=_LEVEL)
    head = _FRAME.pack(
        FRAME_MAGIC, VERSION, _CODEC_ZSTD, 0, salt, frame.seq, len(payload), len(raw), count, 0
    )[:-4]  # fmt: skip
    return b"".join((head, _U32.pack(zlib.crc32(payload, zlib.crc32(head))), payload))


def decode_frame_header(data: bytes) -> FrameHeader:
    """Read the 40 bytes at the head of a frame; its checksum is not looked at. Raises `FormatError`."""
    if len(data) < FRAME_HEADER_LENGTH:
        raise FormatError("the frame is cut short")
    magic, version, codec, flags, salt, seq, payload_length, raw_length, documents, crc = _FRAME.unpack_from(data)
    if magic != FRAME_MAGIC:
        raise FormatError("no frame begins here")
    if version != VERSION or codec != _CODEC_ZSTD or flags:
        raise FormatError(f"frame version {version}, codec {codec}, flags {flags}")
    if payload_length > MAX_PAYLOAD or raw_length > MAX_RAW or documents > raw_length or seq > MAX_SEQ:
        raise FormatError("the frame's header has an impossible length or number")
    return FrameHeader(salt, seq, payload_length, raw_length, documents, crc)


def decode(header: FrameHeader, payload: bytes) -> Frame:
    """The frame of a header and its stored payload, whose checksum was already verified (by `scan`).

    Never makes more than `header.raw_length` bytes plus one. Raises `FormatError`.
    """
    try:
        inflate = zstd.ZstdDecompressor(options=_INFLATE)
        raw = inflate.decompress(payload, max_length=header.raw_length + 1)
    except zstd.ZstdError as error:
        raise FormatError("the payload does not decompress") from error
    if len(raw) != header.raw_length or not inflate.eof or inflate.unused_data:
        raise FormatError("the payload's length is not the one in the header")
    if len(raw) < 4 or (start := 4 + _U32.unpack_from(raw)[0]) > len(raw):
        raise FormatError("the meta is cut short")
    documents = raw[start:].split(b"\n")
    if documents.pop() != b"" or len(documents) != header.documents:
        raise FormatError("the number of documents is not the one in the header")
    return Frame(header.seq, _meta(raw[4:start]), tuple(documents))


def decode_meta(header: FrameHeader, payload: bytes) -> Mapping[str, Any]:
    """Only the meta of a frame, without decompressing the documents after it. Raises `FormatError`."""
    try:
        inflate = zstd.ZstdDecompressor(options=_INFLATE)
        length = _U32.unpack(_take(inflate, payload, 4))[0]
        if length + 4 > header.raw_length:
            raise FormatError("the meta is cut short")
        return _meta(_take(inflate, b"", length))
    except zstd.ZstdError as error:
        raise FormatError("the payload does not decompress") from error


def scan(read: Read, start: int, end: int, salt: bytes | None) -> Iterator[Good | Bad]:
    """All frames of a segment between two offsets, and the ranges between them that are none.

    Verifies checksums, does not decompress. After a bad place the next frame is searched by its magic. `salt` is the
    segment's; None (the segment header is unreadable) takes the one of the first frame found. Holds one frame at a
    time. A file made to look like many overlapping frames costs at most a few times its own length: then the search
    gives up and the rest is one `Bad`.
    """
    budget = 4 * (end - start) + _LOOK
    offset = start
    while offset < end:
        piece, _ = _frame_at(read, offset, end, salt)
        if isinstance(piece, str):
            found: Good | None = None
            for candidate in _magics(read, offset + 1, end):
                attempt, cost = _frame_at(read, candidate, end, salt)
                if isinstance(attempt, Good):
                    found = attempt
                    break
                budget -= cost
                if budget < 0:
                    break
            yield Bad(offset, (found.offset if found else end) - offset, piece)
            if found is None:
                return
            piece = found
        salt = piece.header.salt
        yield piece
        offset = piece.end


def _frame_at(read: Read, offset: int, end: int, salt: bytes | None) -> tuple[Good | str, int]:
    """The frame at this offset or why there is none, and how many bytes it took to find out."""
    try:
        head = read(offset, min(FRAME_HEADER_LENGTH, end - offset))
        header = decode_frame_header(head)
    except FormatError as error:
        return str(error), FRAME_HEADER_LENGTH
    if salt is not None and header.salt != salt:
        return "the frame is of another segment", FRAME_HEADER_LENGTH
    if offset + FRAME_HEADER_LENGTH + header.payload_length > end:
        return "the frame is cut short", FRAME_HEADER_LENGTH
    payload = read(offset + FRAME_HEADER_LENGTH, header.payload_length)
    cost = FRAME_HEADER_LENGTH + header.payload_length
    if len(payload) != header.payload_length:
        return "the frame is cut short", cost
    if zlib.crc32(payload, zlib.crc32(head[: FRAME_HEADER_LENGTH - 4])) != header.crc:
        return "the frame's checksum does not hold", cost
    return Good(offset, header, payload), cost


def _magics(read: Read, start: int, end: int) -> Iterator[int]:
    """The offsets at which the frame magic stands."""
    overlap = len(FRAME_MAGIC) - 1
    while start < end:
        window = read(start, min(_LOOK, end - start))
        at = window.find(FRAME_MAGIC)
        while at >= 0:
            yield start + at
            at = window.find(FRAME_MAGIC, at + 1)
        if len(window) <= overlap or start + len(window) >= end:
            return
        start += len(window) - overlap


def _take(inflate: zstd.ZstdDecompressor, data: bytes, length: int) -> bytes:
    """Exactly `length` decompressed bytes."""
    parts: list[bytes] = []
    while length > 0:
        if inflate.eof:
            raise FormatError("the payload is cut short")
        part = inflate.decompress(data, max_length=length)
        if not part and not inflate.eof and inflate.needs_input:
            raise FormatError("the payload is cut short")
        parts.append(part)
        length -= len(part)
        data = b""
    return b"".join(parts)


def _meta(data: bytes) -> Mapping[str, Any]:
    try:
        meta = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatError("the meta is no JSON") from error
    if not isinstance(meta, dict):
        raise FormatError("the meta is no JSON object")
    return meta
