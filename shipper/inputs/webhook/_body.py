"""The body of a request, bounded in bytes and time, and with its compression taken off."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from aiohttp import web

SECONDS: Final = 10.0
"""For the whole body of a request, however it drips."""
MOST_AT_ONCE: Final = 32 * 1024 * 1024
"""Bytes of bodies that are read and not yet whole, of all requests of a listener together."""
MOST_MEMBERS: Final = 16
"""Members of a compressed body."""
CODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


class Faulty(NamedTuple):
    """Why a body is not taken, with the status to answer."""

    status: int
    text: str


TOO_LARGE: Final = Faulty(413, "the body is too large")
_SLOW = Faulty(408, "the body came too slowly")
_BUSY = Faulty(429, "too many bodies at once")
_CUT = Faulty(400, "the body is not whole")
_SQUEEZED = Faulty(400, "the body is not compressed as its header says")


class Bodies:
    """Reads the bodies of one listener."""

    def __init__(self, *, seconds: float = SECONDS, most_at_once: int = MOST_AT_ONCE) -> None:
        self._seconds, self._most = seconds, most_at_once
        self._reading = 0

    async def read(self, request: web.BaseRequest, limit: int) -> bytes | Faulty:
        """The body as it was sent, of at most `limit` bytes."""
        content = request.content
        if content.is_eof():
            # Most are: they came with their head.
            data = content.read_nowait()
            return data if len(data) <= limit else TOO_LARGE
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while part := await content.readany():
                    size += len(part)
                    self._reading += len(part)
                    if size > limit:
                        return TOO_LARGE
                    if self._reading > self._most:
                        return _BUSY
                    parts.append(part)
        except TimeoutError:
            return _SLOW
        except Exception:  # noqa: BLE001 - whatever aiohttp says of a body that breaks off or is not framed well
            return _CUT
        finally:
            self._reading -= size
        return b"".join(parts)


def unpacked(data: bytes, coding: str, limit: int) -> bytes | Faulty:
    """A body without its compression (`coding`: one of `CODINGS`), at most `limit` bytes whatever it claims to hold."""
    if coding in {"", "identity"}:
        return data
    if coding == "deflate":
        return _inflate(data, limit, zlib.MAX_WBITS)
    return _inflate(data, limit, zlib.MAX_WBITS | 16)


def _inflate(data: bytes, limit: int, bits: int) -> bytes | Faulty:
    out: list[bytes] = []
    size = 0
    # RFC 1952 section 2.2: a file is one member or several. Each costs a copy of all that follows it.
    for _ in range(MOST_MEMBERS):
        if not data:
            break
        stream = zlib.decompressobj(bits)
        try:
            part = stream.decompress(data, limit - size + 1)
        except zlib.error:
            return _SQUEEZED
        size += len(part)
        if size > limit:
            return TOO_LARGE
        if not stream.eof:
            return _SQUEEZED
        out.append(part)
        data = stream.unused_data
    return _SQUEEZED if data else b"".join(out)
