"""All that a reader has to know to judge the figures: machine, versions, load."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.peers import Peer
from shipper import __version__

LIBRARIES = ("orjson", "opensearch-py", "urllib3", "cryptography", "backports.zstd", "isal", "msgspec")
"""Those that the hot path may use; the ones that are not installed are told as such."""


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if found:
            return found[1]
    return platform.machine()


def _optimized() -> str:
    built = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "built with PGO" if "--enable-optimizations" in built else "built without PGO"


def file_system(folder: Path) -> str:
    """What `folder` lies on."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind = line.split()[:3]
        if folder.is_relative_to(point) and len(point) > len(best[0]):
            best = (point, kind)
    return best[1]


def _memory() -> str:
    return f"{os.sysconf('SC_PAGESIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _library(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _compiler() -> str:
    try:
        answer = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return answer.stdout.partition("\n")[0] or "unknown"


def conditions(folder: Path, lines: int, rounds: int, found: Mapping[str, Peer]) -> dict[str, Any]:
    """Name of a condition -> its value, in the order to print."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "kernel": platform.release(),
        "file system": file_system(folder),
        "fieldtrail": __version__,
        "python": f"{platform.python_version()} ({_optimized()})",
        **{name: _library(name) for name in LIBRARIES},
        **{name: peer.version for name, peer in found.items()},
        "C compiler of the sink": _compiler(),
        "lines": lines,
        "rounds": rounds,
        "load average at start": round(os.getloadavg()[0], 2),
    }
