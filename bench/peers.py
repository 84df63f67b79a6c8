"""The shippers of the benchmark: how each is found, configured, started and told to end. Linux only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.failed import Failed, Refused

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "bench/conf"
UNPACKED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldtrail/bench-peers/root"
"""Where install_peers.sh puts the peers."""

WRONG_CONFIGURATION = 78
CHANGES, ACTIVITIES = '"_index":"logs-fieldtrail.change-', '"_index":"logs-fieldtrail.activity-'


class Program(NamedTuple):
    """What is started: `ends` tells whether it ends by itself when everything is delivered."""

    name: str
    argv: list[str]
    env: Mapping[str, str]
    marker: str
    """What the action lines hold of the documents that stand for lines of the input."""
    ends: bool


class Peer(NamedTuple):
    """A peer on this machine."""

    program: Path
    root: Path | None
    """Folder that it was unpacked into, None where it is installed."""
    modules: Path | None
    """Folder of its plugins, where it has to be told."""
    version: str

    @property
    def env(self) -> dict[str, str]:
        """The environment to start it with."""
        return _environment(self.root)


def _fill(path: Path, values: Mapping[str, object]) -> str:
    text = path.read_text(encoding="utf-8")
    for key, value in {"conf": path.parent, **values}.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def fieldtrail(
    folder: Path,
    data: Path,
    port: int,
    work: str = "json",
    *,
    compression: str = "none",
    workers: int = 1,
    archive: bool = False,
    once: bool = True,
    name: str = "Fieldtrail",
) -> Program:
    """Fieldtrail with everything on that a user has on; state and configuration go into `folder`.

    `work` names a folder of `conf/`; `archive` adds a second output, a file; `data` may be a glob.
    """
    outputs: list[dict[str, object]] = [
        {"id": "siem", "type": "opensearch", "hosts": [f"http://127.0.0.1:{port}"], "compression": compression}
    ]
    if archive:
        outputs.append({"id": "archive", "type": "file", "path": str(folder / "events.ndjson")})
    values = {"state": folder / "state", "data": data, "workers": workers, "outputs": json.dumps(outputs)}
    config = folder / "fieldtrail.yaml"
    config.write_text(_fill(CONF / work / "fieldtrail.yaml", values), encoding="utf-8")
    argv = [sys.executable, "-m", "shipper", "run", *(["--once"] if once else []), "-c", str(config)]
    marker = CHANGES if work in {"json", "pairs"} else ACTIVITIES
    return Program(name, argv, {**os.environ, "PYTHONPATH": str(ROOT)}, marker, ends=once)


def accepted(program: Program) -> None:
    """Raise `Refused` where Fieldtrail does not take its configuration, `Failed` where it cannot even say so."""
    argv = [sys.executable, "-m", "shipper", "validate", "-c", program.argv[-1]]
    answer = subprocess.run(argv, env=dict(program.env), capture_output=True, text=True, check=False)
    said = (answer.stderr or answer.stdout).strip()
    if answer.returncode == WRONG_CONFIGURATION:
        problems = [line.strip() for line in said.splitlines() if line.startswith("  ")]
        raise Refused("; ".join(problems) or said)
    if answer.returncode:
        raise Failed(70, f"fieldtrail validate ended with {answer.returncode}:\n{said[-2000:]}", " ".join(argv))


def rsyslog(folder: Path, data: Path, port: int, work: str, peer: Peer) -> Program:
    """The peer rsyslog in the foreground, with a configuration, state and pid file of its own."""
    config = _configured(folder, data, port, CONF / work / "rsyslog.conf")
    argv = [str(peer.program), "-n", "-f", str(config), "-i", str(folder / "rsyslogd.pid")]
    argv += [] if peer.modules is None else ["-M", str(peer.modules)]
    return Program("rsyslog", argv, peer.env, '{"index":', ends=False)


def syslog_ng(folder: Path, data: Path, port: int, work: str, peer: Peer) -> Program:
    """The peer syslog-ng in the foreground, with a configuration and state of its own."""
    config = _configured(folder, data, port, CONF / work / "syslog-ng.conf")
    argv = [str(peer.program), "--foreground", "--no-caps", f"--cfgfile={config}"]
    argv += [f"--{what}={folder}/{what}" for what in ("persist-file", "pidfile", "control")]
    argv += [] if peer.modules is None else [f"--module-path={peer.modules}"]
    return Program("syslog-ng", argv, peer.env, '{"index":', ends=False)


def _configured(folder: Path, data: Path, port: int, template: Path) -> Path:
    state = folder / "state"
    state.mkdir()
    config = folder / template.name
    config.write_text(_fill(template, {"state": state, "data": data, "port": port}), encoding="utf-8")
    return config


def _environment(root: Path | None) -> dict[str, str]:
    if root is None:
        return dict(os.environ)
    libraries = sorted({str(item.parent) for item in root.glob("**/*.so*") if item.is_file()})
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def find(name: str, plugin: str, unpacked: Path = UNPACKED, script: str = "bench/install_peers.sh") -> Peer:
    """A peer with its plugin: on PATH, else where `script` unpacks it; `Failed` if nowhere.

    `name` is the program's, `plugin` what it must have to send to the sink (a file name below its folder of plugins).
    """
    installed = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if installed and any(Path("/usr").glob(f"lib*/**/{plugin}")):
        return Peer(Path(installed), None, None, _version(Path(installed), None))
    program = unpacked / "usr/sbin" / name
    found = next(unpacked.glob(f"**/{plugin}"), None)
    if not program.exists() or found is None:
        raise Failed(69, f"no {name} with {plugin} on PATH or in the cache", f"sh {script}")
    return Peer(program, unpacked, found.parent, _version(program, unpacked))


def _version(program: Path, root: Path | None) -> str:
    flag = "-v" if program.name == "rsyslogd" else "--version"
    answer = subprocess.run([program, flag], env=_environment(root), capture_output=True, text=True, check=False)
    told = re.search(r"\d+\.\d+\.\d+", answer.stdout)
    return told[0] if told else "unknown"


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


def value_at(document: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none, so that a document can be told from an unparsed one."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
