"""Everything that runs in a soak: the real agent, three writers, a real OpenSearch, a RELP receiver, and what is between.

    agent --TCP--> fault proxy --TCP--> front (429, 413) --HTTP--> OpenSearch
    agent --TCP--> fault proxy --TCP--> RELP receiver
    agent -------> archive file

The agent's state folder is a small file system of its own where we may mount one (root), so that it can be filled up; a
soak that is killed leaves it mounted (`umount FOLDER/state`).
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import yaml

from shipper.outputs._opensearch_client import Client
from shipper.siem.install import install
from shipper.siem.templates import template_parts
from tests.e2e.agent_process import FORMAT, Place
from tests.integration.fault_proxy import HOST, FaultProxy
from tests.integration.opensearch.server import Server, free_port
from tests.soak import writer
from tests.soak.front import Front
from tests.soak.oracle import Written
from tests.soak.preload import Preload
from tests.soak.receiver import Receiver

WRITERS = ("w1", "w2", "w3")
STATE_BYTES = 256 * 1024 * 1024
MESSAGE_BYTES, REPLAY_BYTES = 30_000, 65_536
"""The syslog output's limit, which only the writers' long lines are over, and the one with which they are replayed."""
DISK_EXIT = 74
_VARIANTS = (
    {},
    {"seal": {"interval": "1s"}},
    {"batch_bytes": 500_000, "compression": "none"},
    {"scan_interval": "250ms", "seal": {"max_events": 500}},
)
"""Good configurations that a reload goes round in."""


class Stage:
    """Build with a folder of its own, `begin`, and `close` whatever happens. `seed`: of the writers' chances."""

    def __init__(self, folder, seed, rate, ways):
        self.folder, self.seed, self.rate, self.ways = folder, seed, rate, ways
        self.exits = []
        """(seconds, exit code, whether the disk was failing) of agents that ended though nobody had told them to."""
        self.disk_faulty_until = 0.0
        self.starts = 0
        self.began = time.monotonic()
        self._open = ExitStack()
        self._hold = threading.RLock()
        """Held by whoever ends or starts the agent."""
        self._wanted = False
        self.message_bytes = MESSAGE_BYTES
        self._variant = 0
        self._writers = []
        self._closing = threading.Event()

    # -- building and taking down --------------------------------------------------------------------------------------

    def begin(self):
        """Start everything, the agent last but for the writers."""
        self.preload = self._closed(Preload(self.folder))
        self.place = Place(self.folder)
        self.mounted = self._mount()
        self._closed(self.place)
        self.opensearch = Server(self.folder / "opensearch", settings={"cluster.max_shards_per_node": "100000"})
        self._open.callback(self.opensearch.kill)
        self.opensearch.start(120)
        with closing(Client([self.opensearch.url])) as client:
            list(install(client, template_parts()))
        self.front = self._closed(Front(self.opensearch.port))
        self.search_net = self._closed(FaultProxy((HOST, self.front.port)))
        self.relp = Receiver(free_port(), self.folder / "relp.messages")
        self._open.callback(self.relp.kill)
        self.relp.start()
        self.relp_net = self._closed(FaultProxy((HOST, self.relp.port)))
        self.configure()
        self.start_agent()
        self.agent.ready()
        supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        supervisor.start()
        self._open.callback(supervisor.join)
        self._open.callback(self._closing.set)
        for number, name in enumerate(WRITERS):
            command = [sys.executable, writer.__file__, self.place.logs, name, self.rate, self.seed * 10 + number]
            self._writers.append(subprocess.Popen([*map(str, command), ",".join(self.ways)]))
        self.began = time.monotonic()

    def _closed(self, part):
        self._open.callback(part.close)
        return part

    def _mount(self):
        """Whether the state folder is a file system of its own."""
        self.place.state.mkdir(mode=0o700)
        if os.geteuid():
            return False
        command = ["mount", "-t", "tmpfs", "-o", f"size={STATE_BYTES},mode=0700", "soak", str(self.place.state)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        # Lazy: whoever looks into the folder at that moment must not keep it from going.
        self._open.callback(subprocess.run, ["umount", "-l", str(self.place.state)], check=False)
        return True

    def close(self):
        """End what runs, last first."""
        for process in self._writers:
            process.kill()
            process.wait()
        self._open.close()

    def save(self, target):
        """A copy of the state folder, which a mounted file system takes with it when it goes."""
        subprocess.run(["cp", "-a", str(self.place.state), str(target)], check=False)

    # -- the agent -----------------------------------------------------------------------------------------------------

    def configuration(self):
        """The configuration of now, as a value."""
        variant = _VARIANTS[self._variant % len(_VARIANTS)]
        siem = {"batch_bytes": variant.get("batch_bytes", 5_000_000), "compression": variant.get("compression", "gzip")}
        source = {
            "id": "app",
            "type": "file",
            "paths": [f"{self.place.logs}/*.log*"],
            "format": "app",
            "scan_interval": variant.get("scan_interval", "100ms"),
            "grace": "5s",
        }
        search = f"http://{HOST}:{self.search_net.port}"
        relp = f"relp://{HOST}:{self.relp_net.port}"
        agent = {"name": "soak", "origin": "test.example/audit", "state_dir": str(self.place.state)}
        return {
            "agent": {**agent, "shutdown_grace": "3s"},
            "seal": {"interval": "2s", "max_events": 2000, **variant.get("seal", {})},
            "journal": {"keep": "30s", "max_size": "64MiB", "segment_size": "1MiB"},
            "privacy": {"rules": [{"field": "secret", "action": "drop"}]},
            "inputs": [source],
            "formats": {"app": FORMAT},
            "outputs": [
                {"id": "siem", "type": "opensearch", "hosts": [search], "timeout": "5s", **siem},
                {"id": "soc", "type": "syslog", "address": relp, "timeout": "5s", "max_bytes": self.message_bytes},
                {"id": "archive", "type": "file", "path": str(self.place.archive)},
            ],
        }

    def configure(self, text=None, *, vary=False):
        """Put the configuration (or `text`) in place, whole at any moment. `vary`: the next good one."""
        self._variant += vary
        new = self.place.config.with_suffix(".new")
        new.write_text(text or yaml.safe_dump(self.configuration(), sort_keys=False))
        new.replace(self.place.config)

    def start_agent(self):
        with self._hold:
            self.agent = self.place.start(prefix=self.preload.prefix)
            self.starts += 1
            self._wanted = True

    def end_agent(self, end):
        """`end(agent)` ends it; it is started again by `start_agent` only."""
        with self._hold:
            self._wanted = False
            end(self.agent)

    def _supervise(self):
        """Start the agent again when it ends by itself, as a service manager would, and note that it did."""
        while not self._closing.wait(0.2):
            if self.preload.armed:
                self.disk_soon_well()
            with self._hold:
                code = self.agent.process.poll()
                if not self._wanted or code is None:
                    continue
                self.exits.append((self.now, code, time.monotonic() < self.disk_faulty_until))
            if not self._closing.wait(1.0):
                with self._hold:
                    if self._wanted:
                        self.start_agent()

    @property
    def now(self):
        """Seconds since the writers began."""
        return time.monotonic() - self.began

    def told(self, event):
        """How often the agents have told this, all of them together."""
        return sum(len(agent.told(event)) for agent in self.place.running)

    # -- the disk ------------------------------------------------------------------------------------------------------

    def fill_disk(self):
        """Leave no byte in the state folder's file system, or (not root) let no file of the agent grow."""
        self.disk_faulty_until = float("inf")
        if not self.mounted:
            self._limit(1)
            return
        ballast = os.open(self.place.state / "ballast", os.O_WRONLY | os.O_CREAT, 0o600)
        size = 1 << 20
        with suppress(OSError):
            while size >= 4096:
                try:
                    os.write(ballast, bytes(size))
                except OSError:
                    size //= 2
        os.close(ballast)

    def empty_disk(self):
        if self.mounted:
            (self.place.state / "ballast").unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY)
        self.disk_soon_well()

    def disk_soon_well(self):
        """What the agent says of the disk counts as our doing for some seconds more."""
        self.disk_faulty_until = time.monotonic() + 15

    def _limit(self, size):
        with suppress(ProcessLookupError):
            resource.prlimit(self.agent.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    # -- the end -------------------------------------------------------------------------------------------------------

    def stop_writers(self):
        """Let them finish their last line; {name: `Written`}."""
        for process in self._writers:
            process.terminate()
        for process in self._writers:
            assert process.wait(60) == 0, "a writer failed"
        return {name: Written(**json.loads((self.folder / f"{name}.written").read_text())) for name in WRITERS}

    def stop_agent(self):
        """TERM, and the exit code."""
        with self._hold:
            self._wanted = False
        if self.agent.process.poll() is None:
            self.agent.process.terminate()
        return self.agent.end(60)


def process_figures(pid):
    """(resident bytes, threads, open files) of a process; None when it is gone."""
    try:
        told = dict(one.split(":", 1) for one in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in one)
        return int(told["VmRSS"].split()[0]) * 1024, int(told["Threads"]), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, KeyError):
        return None
