"""Memory: how the C library and the collector are told to handle a burst of large, short-lived buffers.

Left alone, glibc takes frames and request bodies from the system anew each time and gives them back at once: every page
of them costs a fault. Told otherwise, it keeps what a burst needed, until `Rest` gives it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from pathlib import Path
from typing import Final

_TRIM, _MMAP = -1, -3
"""Parameters of mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD."""
_LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a buffer that is taken from the heap (glibc's own upper limit), and of free heap that is kept."""
QUIET: Final = 5.0
"""Seconds without work after which what is free goes back."""


def settle_in() -> None:
    """To be called once the process has loaded what it needs: its objects live as long as it does.

    Events hold no cycles, so the collector may look seldom. Where there is no glibc, nothing is told to it.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for parameter, value in ((_MMAP, _LARGEST), (_TRIM, 2 * _LARGEST)):
            library.mallopt(parameter, value)


class Rest:
    """Gives free memory back to the system when a burst of work is over. Times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._worked: float | None = now

    def look(self, now: float, *, worked: bool) -> None:
        """To be called again and again; costs some milliseconds once after each burst."""
        if worked:
            self._worked = now
        elif self._worked is not None and now - self._worked >= QUIET:
            self._worked = None
            with contextlib.suppress(AttributeError, OSError):
                ctypes.CDLL(None).malloc_trim(0)


def resident() -> int | None:
    """Bytes of memory that this process has now (statm(5)); None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
