"""Compressed files, unpacked piece by piece: gzip (RFC 1952), zstd (RFC 8878), xz and bzip2.

A file may consist of several members (gzip), frames (zstd) or streams (xz, bzip2), one after the other; what it holds
is what they hold, one after the other. NUL bytes between and after them are padding; holes in it are not read. No call
gives more than `PIECE` bytes, however far the data swells, and none takes much more than `TAKE`, however little there
is in them; beside that, memory is what the format's window takes: 32 KiB for gzip, and for zstd
what the frame asks for, 128 MiB at the most (a frame that asks for more is damage).
"""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import re
import sys
import zlib
from typing import TYPE_CHECKING, Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PIECE: Final = 64 * 1024
"""Bytes that one call gives at the most."""
TAKE: Final = 2 * 1024 * 1024
"""Packed bytes after which a call ends that has found nothing to give."""
PEEK: Final = 10
"""Bytes of beginning that tell whether a file is compressed."""
_RAW: Final = 32 * 1024
_MEMBER: Final = 1024
"""What a member costs beside its bytes, in bytes: empty ones have a few, and each takes a decompressor."""
_SILENT: Final = (1 << 32) + TAKE
"""Packed bytes for which a member may give nothing: more than the largest frame to be skipped (RFC 8878, 3.1.2)."""
_ZSTD: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: 27}
_LZMA_MEMORY: Final = 128 * 1024 * 1024
_MAGIC: Final = re.compile(rb"(\x1f\x8b\x08)|(\x28\xb5\x2f\xfd)|(\xfd7zXZ\x00)|(BZh[1-9]1AY&SY)")


class _Codec(Protocol):
    """What unpacks one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)  # with gzip's header, check sum and length
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not (self._full or self._inflate.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length  # zlib may hold more, although it took all that it was given
        return out


_CODECS: Final[Mapping[str, Callable[[], _Codec]]] = {
    "gzip": _Gzip,
    "zstd": lambda: zstd.ZstdDecompressor(options=_ZSTD),
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}
_KINDS: Final = tuple(_CODECS)
_FAULTS: Final = (zlib.error, zstd.ZstdError, lzma.LZMAError, OSError, EOFError, ValueError)
"""What the codecs raise for bytes that are not theirs; bz2 says OSError."""


def kind_of(head: bytes) -> str:
    """`gzip`, `zstd`, `xz` or `bzip2` by the first `PEEK` bytes of a file; "" for one that is not compressed."""
    match = _MAGIC.match(head)
    return "" if match is None else _KINDS[(match.lastindex or 1) - 1]


class Unpacker:
    """The content of one compressed file, from its beginning on; nothing is ever given twice.

    `at`: bytes given so far. `damage`: why there can be no more, "" as long as there may be. `busy`: the last call gave
    nothing because it had taken `TAKE` bytes; the next goes on. `cost`: the bytes that it took or gave, whichever are
    more. The same pieces come each time that the same file is unpacked.
    """

    __slots__ = ("_codec", "_kind", "_members", "_raw", "_rest", "_silent", "at", "busy", "cost", "damage")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._codec: _Codec | None = None
        self._members = 0
        self._raw = 0
        self._rest = b""
        self._silent = 0
        self.at = self.cost = 0
        self.busy = False
        self.damage = ""

    @property
    def whole(self) -> bool:
        """Whether the file, if it has no more bytes than were read, ends where a member ends."""
        return self._codec is None and self._members > 0 and not (self._rest or self.damage or self.busy)

    def piece(self, fd: int) -> bytes:
        """The next bytes, at most `PIECE`; b"" when there are no more now, or when it is `busy`.

        Raises OSError where reading fails.
        """
        self.cost, self.busy = 0, False
        while not self.damage:
            if self.cost >= TAKE:
                self.busy = True
                break
            if not self._rest and (self._codec is None or self._codec.needs_input) and not self._fill(fd):
                break
            if self._codec is None:
                if self._members:
                    self._rest = self._rest.lstrip(b"\0")
                    if not self._rest:
                        self._skip_hole(fd)
                        continue
                self._codec = _CODECS[self._kind]()
                self._silent = 0
                self.cost += _MEMBER
            out = self._decompress(self._codec)
            if out:
                self.at += len(out)
                self.cost = max(self.cost, len(out))
                self._silent = 0
                return out
        return b""

    def _fill(self, fd: int) -> bool:
        """Read on; False where nothing is there, or nothing that could still become anything."""
        if self._codec is not None and self._silent >= _SILENT:
            self.damage = f"{self._kind} data damaged: nothing in {self._silent} bytes"
            return False
        self._rest = os.pread(fd, _RAW, self._raw)
        self._raw += len(self._rest)
        self._silent += len(self._rest)
        self.cost += len(self._rest)
        return bool(self._rest)

    def _skip_hole(self, fd: int) -> None:
        """Go from padding to the next place that may hold something else: a file may be grown by any number of NUL."""
        size = os.fstat(fd).st_size
        if self._raw >= size:
            return
        try:
            self._raw = os.lseek(fd, self._raw, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                self._raw = size

    def _decompress(self, codec: _Codec) -> bytes:
        data, self._rest = self._rest, b""
        try:
            out = codec.decompress(data, PIECE)
        except _FAULTS as error:
            self.damage = f"{self._kind} data damaged: {error}"
            return b""
        if codec.eof:
            self._rest, self._codec = codec.unused_data, None
            self._members += 1
        return out
