"""The agents under test: how each is configured and started for a trial (bench/conf/faults)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.peers import CONF, ROOT, Peer, find
from shipper import __version__

TEMPLATES = CONF / "faults"
UNPACKED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldtrail/receivers/root"
"""Where tests/integration/install_receivers.sh puts rsyslog with RELP and syslog-ng."""
INSTALLER = "tests/integration/install_receivers.sh"

FIELDTRAIL, RSYSLOG, SYSLOG_NG = "Fieldtrail", "rsyslog", "syslog-ng"
NEEDED = {RSYSLOG: ("rsyslogd", "omrelp.so"), SYSLOG_NG: ("syslog-ng", "libaffile.so")}
NAMES = {"exact": "*.log", "all": "*.log*"}
"""What the agents are told to read: the logs, or their rotated generations too."""


class Agent(NamedTuple):
    """A product with one of the two patterns."""

    product: str
    pattern: str
    peer: Peer | None
    """Where it is; None for Fieldtrail."""

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.product} {NAMES[self.pattern]}"

    def speaks(self, transport: str) -> bool:
        """Whether it can send that way at all."""
        return self.peer is None or (TEMPLATES / f"{self.product}-{transport}.conf").exists()


class Started(NamedTuple):
    """How to start it."""

    argv: list[str]
    env: Mapping[str, str]


def agents(products: list[str]) -> tuple[list[Agent], dict[str, str]]:
    """Every product with every pattern, and product -> version; `Failed` where one is not on this machine."""
    found: list[Agent] = []
    versions: dict[str, str] = {}
    for product in products:
        peer = None if product == FIELDTRAIL else find(*NEEDED[product], UNPACKED, INSTALLER)
        versions[product] = peer.version if peer else __version__
        found += [Agent(product, pattern, peer) for pattern in NAMES]
    return found, versions


def configured(agent: Agent, folder: Path, transport: str, port: int) -> Started:
    """Write its configuration into `folder`: reads `folder/logs`, state in `folder/state`, sends to `folder/sink`."""
    (folder / "state").mkdir(mode=0o700)
    values = {
        "logs": folder / "logs",
        "names": NAMES[agent.pattern],
        "state": folder / "state",
        "sink": folder / "sink",
        "port": port,
    }
    if agent.peer is None:
        output: dict[str, object] = {"id": "sink", "type": "file", "path": str(folder / "sink")}
        if transport != "file":
            output = {"id": "sink", "type": "syslog", "address": f"{transport}://127.0.0.1:{port}"}
        config = _written(folder, "fieldtrail.yaml", {**values, "outputs": json.dumps([output])})
        argv = [sys.executable, "-m", "shipper", "run", "-c", str(config)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FIELDTRAIL")}
        return Started(argv, {**kept, "PYTHONPATH": str(ROOT)})
    destination = _filled(TEMPLATES / f"{agent.product}-{transport}.conf", values)
    config = _written(folder, f"{agent.product}.conf", {**values, "destination": destination})
    if agent.product == RSYSLOG:
        argv = [str(agent.peer.program), "-n", "-f", str(config), "-iNONE"]
        argv += [] if agent.peer.modules is None else ["-M", str(agent.peer.modules)]
        return Started(argv, agent.peer.env)
    argv = [str(agent.peer.program), "--foreground", "--no-caps", f"--cfgfile={config}"]
    argv += [f"--{what}={folder / what}" for what in ("persist-file", "pidfile", "control")]
    argv += [] if agent.peer.modules is None else [f"--module-path={agent.peer.modules}"]
    return Started(argv, agent.peer.env)


def _written(folder: Path, name: str, values: Mapping[str, object]) -> Path:
    config = folder / name
    config.write_text(_filled(TEMPLATES / name, values), encoding="utf-8")
    return config


def _filled(path: Path, values: Mapping[str, object]) -> str:
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text
