"""Which file is this? Device, inode and birth time, the beginning of the content, and the bytes before the offset.

No single mark is enough: ext4 gives the inode of a deleted file to the next one, a truncated file keeps its inode and
birth time, a copy has neither, and files of one application begin alike. So a stream is recognised by

- `FileId`: (device, inode, birth time in ns). The birth time comes from statx(2) and is 0 where it cannot be had.
- the head: a hash of the first 1,024 bytes, or of all bytes before the offset while these are fewer;
- the anchor: a hash of the up to 256 bytes before the offset.

Head and anchor cover only bytes that were given out, as they were read: a file that goes on growing keeps them, a file
that was truncated and written again does not.

`Position` is what the journal keeps of a stream, as a JSON object with a version.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from shipper.errors import ConfigError, CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")

HEAD: Final = 1024
ANCHOR: Final = 256
MIN_HEAD: Final = 64
"""Bytes of equal beginning from which a file may be taken for a copy of another."""
VERSION: Final = 1
FRAMING_VERSION: Final = 1

# statx(2): struct statx of linux/stat.h. Only the mask and the birth time are read from it.
_AT_EMPTY_PATH: Final = 0x1000
_STATX_BTIME: Final = 0x0800
_BTIME_AT: Final = 80


class FileId(NamedTuple):
    """A file as the file system knows it; `btime` in ns since the epoch, 0 = unknown."""

    dev: int
    ino: int
    btime: int


def _load_statx() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):  # a C library without it
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    function.restype = ctypes.c_int
    return function


_STATX: Final = _load_statx()


def birth_time(fd: int) -> int:
    """When the open file was created, in ns since the epoch; 0 where system or file system do not say."""
    if _STATX is None:
        # macOS and the BSDs have it in fstat; elsewhere there is none.
        return int(getattr(os.fstat(fd), "st_birthtime", 0) * 1_000_000_000)
    buffer = ctypes.create_string_buffer(256)
    if _STATX(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return 0
    if not struct.unpack_from("=I", buffer, 0)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BTIME_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def identify(fd: int) -> FileId:
    """The identity of an open file. Raises OSError."""
    status = os.fstat(fd)
    return FileId(status.st_dev, status.st_ino, birth_time(fd))


def fingerprint(data: bytes) -> str:
    """32 hex digits for a head or an anchor."""
    return blake2b(data, digest_size=16).hexdigest()


def stream_id(file: FileId, generation: int) -> str:
    """The name of one generation of one file, 32 hex digits. A truncated file goes on as the next generation."""
    text = f"fieldtrail/file/1 {file.dev} {file.ino} {file.btime} {generation}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stream stands: everything that is needed to find it again and to go on.

    `offset` is the start of the first line that was not given out. `size` is the largest size seen. `closed` means
    that the file was rotated away, read to its end and quiet: that it is gone later is no loss. `framing` is what the
    framer must know to go on there, None for most. `packed` is size and modification time (ns) of a compressed file of
    which all other places and sizes are those of its content, None for a plain one.
    """

    path: str
    file: FileId
    generation: int
    head_len: int
    head: str
    offset: int
    anchor_len: int
    anchor: str
    size: int
    format: str
    encoding: str
    closed: bool = False
    framing: Mapping[str, Any] | None = None
    packed: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object that goes into the journal frame."""
        value: dict[str, Any] = {
            "v": VERSION,
            "path": self.path,
            "dev": self.file.dev,
            "ino": self.file.ino,
            "btime": self.file.btime,
            "gen": self.generation,
            "head_len": self.head_len,
            "head": self.head,
            "offset": self.offset,
            "anchor_len": self.anchor_len,
            "anchor": self.anchor,
            "size": self.size,
            "format": self.format,
            "encoding": self.encoding,
        }
        if self.closed:
            value["closed"] = True
        if self.framing:
            value["framing"] = {"v": FRAMING_VERSION, **self.framing}
        if self.packed is not None:
            value["packed"] = {"size": self.packed[0], "mtime": self.packed[1]}
        return value

    @classmethod
    def from_json(cls, stream: str, value: Mapping[str, Any]) -> Position:
        """Read a kept position.

        Raises `ConfigError` for one that a newer release wrote (starting over would ship everything twice) and
        `CorruptError` for one that is none.
        """
        framing = value.get("framing") or {}
        for version, known in ((value.get("v"), VERSION), (framing.get("v"), FRAMING_VERSION)):
            if isinstance(version, int) and version > known:
                raise ConfigError(
                    "restore file position",
                    stream,
                    f"written in version {version} by a newer release; this one reads up to {known}",
                    "run the release that wrote the state folder, or a newer one",
                )
        packed = value.get("packed")
        try:
            return cls(
                path=_typed(value["path"], str),
                file=FileId(_typed(value["dev"], int), _typed(value["ino"], int), _typed(value["btime"], int)),
                generation=_typed(value["gen"], int),
                head_len=_typed(value["head_len"], int),
                head=_typed(value["head"], str),
                offset=_typed(value["offset"], int),
                anchor_len=_typed(value["anchor_len"], int),
                anchor=_typed(value["anchor"], str),
                size=_typed(value["size"], int),
                format=_typed(value["format"], str),
                encoding=_typed(value["encoding"], str),
                closed=value.get("closed") is True,
                framing={name: part for name, part in framing.items() if name != "v"} or None,
                packed=None if packed is None else (_typed(packed["size"], int), _typed(packed["mtime"], int)),
            )
        except (KeyError, TypeError) as error:
            raise CorruptError(
                "restore file position", stream, f"not a position: {error}", "fieldtrail journal check"
            ) from error

    def same_inode(self, file: FileId) -> bool:
        """Whether `file` may be the file of this position by what the file system says; the content decides then.

        A device number may change over a reboot or a remount, so inode and birth time are enough where there is one.
        """
        if self.file.ino != file.ino:
            return False
        if self.file.btime and file.btime:
            return self.file.btime == file.btime
        return self.file.dev == file.dev

    def verifies(self, fd: int, size: int) -> bool:
        """Whether the open file has at least `offset` bytes and head and anchor are in it. Raises OSError."""
        if size < self.offset:
            return False
        if self.anchor_len:
            anchor = os.pread(fd, self.anchor_len, self.offset - self.anchor_len)
            if fingerprint(anchor) != self.anchor:
                return False
        return not self.head_len or fingerprint(os.pread(fd, self.head_len, 0)) == self.head

    def continues_in(self, fd: int, size: int) -> bool:
        """Whether another file is a copy of this stream's file, so far as it was given out. Raises OSError."""
        return self.head_len >= MIN_HEAD and self.verifies(fd, size)


def _typed(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
