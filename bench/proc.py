"""What Linux tells about a process and its descendants. All functions take what has ended meanwhile as nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
_peak_of = re.compile(r"VmHWM:\s+(\d+) kB").search


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, _text(children).split())
    return found


def peak(pid: int) -> int:
    """The largest resident size that the process ever had, bytes (VmHWM)."""
    told = _peak_of(_text(Path(f"/proc/{pid}/status")))
    return int(told[1]) * 1024 if told else 0


def resident(pid: int) -> int:
    """Resident size of the process now, bytes."""
    fields = _text(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * PAGE if fields else 0


def cpu(pid: int) -> float:
    """User and system seconds of the process and of those children of its that have ended; steps of 1/TICK s."""
    told = _text(Path(f"/proc/{pid}/stat"))
    fields = told[told.rfind(")") + 2 :].split()  # the name may hold anything
    return sum(map(int, fields[11:15])) / TICK if fields else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
