"""The two shippers of the benchmark: how each is configured, started and told to end. Linux only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldtrail"

FIELDTRAIL_MARKER = '"_index":"logs-fieldtrail.change-'
RSYSLOG_MARKER = '"audit"'


class Program(NamedTuple):
    """What is started: `ends` tells whether it ends by itself when everything is delivered."""

    name: str
    argv: list[str]
    env: Mapping[str, str]
    marker: str
    """What the action lines hold of the documents that stand for lines of the input."""
    ends: bool


def _fill(name: str, values: Mapping[str, object]) -> str:
    text = (ROOT / "bench" / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def fieldtrail(folder: Path, data: Path, port: int, compression: str) -> Program:
    """Fieldtrail, one process, everything on that a user has on; state and configuration go into `folder`."""
    config = folder / "fieldtrail.yaml"
    values = {"state": folder / "state", "data": data, "port": port, "compression": compression}
    config.write_text(_fill("fieldtrail.yaml", values))
    argv = [sys.executable, "-m", "shipper", "run", "--once", "-c", str(config)]
    name = "Fieldtrail" if compression == "none" else f"Fieldtrail, {compression}"
    return Program(name, argv, {**os.environ, "PYTHONPATH": str(ROOT)}, FIELDTRAIL_MARKER, ends=True)


def rsyslog(folder: Path, data: Path, port: int, found: tuple[Path, Path | None]) -> Program:
    """The peer, rsyslog, in the foreground with a configuration, state and pid file of its own."""
    program, root = found
    state = folder / "state"
    state.mkdir()
    config = folder / "es.conf"
    config.write_text(_fill("rsyslog.conf", {"state": state, "data": data, "port": port}))
    argv = [str(program), "-n", "-f", str(config), "-i", str(folder / "rsyslogd.pid")]
    return Program("rsyslog", argv + _modules(root), environment(root), RSYSLOG_MARKER, ends=False)


def _libraries(root: Path) -> list[Path]:
    return sorted({item.parent for item in root.glob("**/*.so.*") if item.is_file()})


def _modules(root: Path | None) -> list[str]:
    if root is None:
        return []
    folder = next(root.glob("**/rsyslog/omelasticsearch.so"), None)
    return ["-M", str(folder.parent)] if folder is not None else []


def environment(root: Path | None) -> dict[str, str]:
    """The environment for a program that was unpacked below `root`, or installed (None)."""
    if root is None:
        return dict(os.environ)
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, _libraries(root)))}


def find_rsyslog() -> tuple[Path, Path | None] | None:
    """(program, folder it was unpacked into or None): on PATH, else where the scripts unpack it; None if nowhere.

    One without its Elasticsearch output does not count.
    """
    installed = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/local/sbin")
    if installed and any(Path("/usr").glob("lib*/**/rsyslog/omelasticsearch.so")):
        return Path(installed), None
    for name in ("bench-rsyslog", "receivers"):
        root = CACHE / name / "root"
        program = root / "usr/sbin/rsyslogd"
        if program.exists() and _modules(root):
            return program, root
    return None


def templates_answer() -> bytes:
    """What OpenSearch answers to GET /_index_template where `fieldtrail setup` was run."""
    from shipper.templates import templates  # noqa: PLC0415 - the path is set by the caller

    entries = [{"name": name, "index_template": body} for name, body in templates()["index_templates"].items()]
    return json.dumps({"index_templates": entries}).encode()


def leaves(document: Any) -> int:
    """How many fields a document has: members that are no objects, at any depth."""
    if isinstance(document, dict):
        return sum(leaves(value) for value in document.values())
    return 1
