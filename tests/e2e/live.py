"""An agent and the vendors that it listens to and asks: a `Place` with the simulator around it."""

import contextlib
import random
import socket
import time

from tests.e2e.agent_process import eventually
from tests.simulator import bamboohr, feeds, highlevel, hubspot, keap
from tests.simulator.clock import Clock
from tests.simulator.day import Day
from tests.simulator.hooks import RULES, Announcer, Hooks
from tests.simulator.judge import Judge, Row, audited
from tests.simulator.server import Server
from tests.simulator.vendor import Faults
from tests.simulator.world import World

SECRET_PATH = "k3Jq8Zt5Vw1Xy7Bn4Mc9Ld2R"
VENDORS = {
    "keap": keap.Keap,
    "highlevel": highlevel.HighLevel,
    "hubspot": hubspot.HubSpot,
    "bamboohr": bamboohr.BambooHr,
    "greenhouse": feeds.Greenhouse,
    "makecom": feeds.Make,
}
COMPARED = ("keap", "highlevel", "hubspot", "bamboohr", "makecom")
"""Sources of which the differ makes changes."""
UNKEPT = 1.0
"""Seconds from an answer to the frame with what it says, at the most."""


def free_port():
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Live:
    """`with Live(place, ["keap", …], scale=360) as live:` The agent is started by `start`, the day by `live.day`."""

    def __init__(
        self, place, names, *, scale=360.0, seed=1, late=0.0, twice=0.0, hooked=True, token_life=2 * 3600, reconcile=3
    ):
        """`reconcile`: hours after which everything is compared. `late`, `twice`: as of `Hooks`."""
        self.place, self.names, self.seed, self.reconcile = place, names, seed, reconcile
        self.clock = Clock(scale)
        self.world = World(self.clock)
        lives = {"keap": {"token_life": token_life}, "greenhouse": {"token_life": token_life}}
        self.vendors = {name: VENDORS[name](self.world, self.clock, **lives.get(name, {})) for name in names}
        self.faults = Faults(seed)
        self.hooks = Hooks(self.clock, seed=seed, late=late, twice=twice)
        self.hooked = [name for name in names if hooked and name in RULES]
        self.port = free_port()
        self.day = Day(self.world, self.vendors, seed=seed)
        self.interrupted = []
        self.began = 0.0
        self._targets = {}
        self._stack = contextlib.ExitStack()
        self._announcer = Announcer(self.world, self.hooks, self.vendors)

    def __enter__(self):
        self.server = self._stack.enter_context(Server(self.world, list(self.vendors.values()), self.faults))
        self._stack.enter_context(self.hooks)
        self.write()
        return self

    def __exit__(self, *exc):
        self._stack.close()

    # -- the configuration --------------------------------------------------------------------------------------------

    def span(self, simulated):
        """A duration of the simulated day as configuration has it."""
        return f"{max(50, round(self.clock.span(simulated) * 1000))}ms"

    def write(self, **more):
        """The agent's configuration: each source polled every five minutes, now and then compared as a whole."""
        inputs = [self._poll(name) for name in self.names]
        inputs += [self._webhook(name) for name in self.hooked]
        self.place.write(inputs=inputs, formats=None, privacy=None, **more)

    def _poll(self, name):
        how = {
            "keap": {
                "auth": {
                    "oauth2": {
                        "token_url": f"{self.server.url('keap')}/token",
                        "client_id": keap.CLIENT[0],
                        "client_secret": keap.CLIENT[1],
                        "refresh_token": keap.FIRST_REFRESH,
                    }
                },
                "choose": {"contacts": self._choice(), "users": {"enabled": False}},
            },
            "highlevel": {
                "auth": {"bearer": {"token": highlevel.TOKEN}},
                "settings": {"location": highlevel.LOCATION},
                "choose": {"contacts": self._choice(), "users": {"enabled": False}},
            },
            "hubspot": {
                "auth": {"bearer": {"token": hubspot.TOKEN}},
                "choose": {"contacts": self._choice(), "logins": {"enabled": False}},
            },
            "bamboohr": {
                "auth": {"basic": {"username": bamboohr.KEY, "password": "x"}},
                "settings": {"company": "acme"},
                "choose": {"employees": self._choice()},
            },
            "greenhouse": {
                "auth": {
                    "exchange": {
                        "url": f"{self.server.url('greenhouse')}/auth/jwt_access_token",
                        "key": feeds.HARVEST_KEY,
                        "headers": {"On-Behalf-Of": "7"},
                    }
                },
                "settings": {"user_id": "7"},
            },
            "makecom": {
                "auth": {"token": {"token": feeds.MAKE_TOKEN}},
                "settings": {"zone": "eu1.make.com", "organization": str(feeds.ORGANIZATION)},
                "choose": {
                    **{one: {"every": self.span(300)} for one in ("scenarios", "runs", "blueprints", "incomplete")},
                    # Not in the simulator.
                    "organization_variable_history": {"enabled": False},
                    "team_variable_history": {"enabled": False},
                },
            },
        }
        return {
            "id": name,
            "type": "poll",
            "preset": name,
            "api": self.server.url(name),
            "every": self.span(300),
            "limits": {"requests": 1000, "per": "1s"},
            **how[name],
        }

    def _choice(self):
        return {"overlap": "2s", "reconcile": self.span(self.reconcile * 3600)}

    def _webhook(self, name):
        path = f"/in/{name}/{SECRET_PATH}"
        url = f"http://127.0.0.1:{self.port}{path}"
        self._targets[name] = url
        if name == "keap":
            for kind in ("contact", "opportunity"):
                for verb in ("add", "edit", "delete"):
                    self.vendors["keap"].subscribe(f"{kind}{verb}", f"{kind}.{verb}", url)
        auth = {
            "keap": {},
            "highlevel": {"key": self.hooks.public_key},
            "hubspot": {"secret": self.hooks.secrets["hubspot"], "url": url},
            "bamboohr": {"secret": self.hooks.secrets["bamboohr"]},
        }[name]
        return {
            "id": f"{name}-hooks",
            "type": "webhook",
            "listen": f"127.0.0.1:{self.port}",
            "path": path,
            "format": name,
            "auth": {name: auth},
            "feeds": name,
        }

    # -- the agent ----------------------------------------------------------------------------------------------------

    def start(self):
        """The agent, running."""
        self.agent = self.place.start().ready()
        return self.agent

    def begin(self):
        """The records of the morning, the agent, and everything seen once: what changes from now on is a change."""
        self.day.begin()
        self.start()
        self.all_seen()
        time.sleep(3 * self.clock.span(300) + 0.5)
        self.hooks.targets.update(self._targets)
        self.began = self.clock.now() - 0.01  # facts have whole milliseconds

    def all_seen(self):
        """Wait until each record was shown as it is now."""

        def look():
            with self.world.lock:
                shown = {}
                for one in self.world.served:
                    shown[one.key] = max(one.version, shown.get(one.key, -1))
                compared = [one for one in self.world.things.values() if one.source in COMPARED and not one.deleted]
                return all(shown.get(one.key, -1) == one.version for one in compared)

        eventually(look, "every record was shown", 60)

    def restart(self, *, kill):
        """End the agent and start it again."""
        since = self.clock.now()
        if kill:
            self.agent.kill()
        else:
            assert self.agent.terminate() == 0
        self.ended(since)
        self.start()

    def ended(self, since):
        """The agent has ended, or began to at `since`: what it was shown then may not have come into a frame."""
        # An answer may still have been on its way; nobody asks before the next agent does, which takes longer to start.
        self.interrupted.append((since - UNKEPT, self.clock.now() + 0.5))

    def rest(self):
        """Wait until the agent has seen everything once more, a whole comparison included, and end it."""
        self.all_seen()
        time.sleep(self.clock.span(1.1 * self.reconcile * 3600) + 2)
        assert self.agent.terminate() == 0

    def judge(self):
        """What the agent shipped, judged."""
        judge = Judge(
            self.world,
            self.place.archived(),
            aliases={("keap", "opportunity", "stage"): "stage.id"},
            editors=("keap",),
            interrupted=self.interrupted,
            began=self.began,
        )
        compared = [name for name in self.names if name in COMPARED]
        # BambooHR does not say when an employee was made: a new one is a baseline.
        judge.fields(*compared).records(*compared, missing_ok={("bamboohr", "create")})
        for name in self.names:
            vendor = self.vendors[name]
            if name == "greenhouse":
                judge.rows(name, [self._changed(row, at) for at, _, row in vendor.rows])
            elif name == "hubspot":
                judge.rows(name, audited(vendor), "hubspot.audit")
            elif name == "makecom":
                runs = [one for rows in vendor.executions.values() for one in rows]
                judge.rows(name, [Row(row["id"], at) for at, row in runs])
        return judge

    @staticmethod
    def _changed(row, at):
        """A row of Greenhouse's log as its event must be."""
        ((old, new),) = row["event"]["meta"].values()
        return Row(row["request"]["id"], at, str(row["performer"]["id"]), old, new)

    def play(self, hours, *, every=60.0, acts=()):
        """Let so many simulated hours pass; about every so many seconds something changes.

        `acts`: (hour, what to do), in order of time.
        """
        chance = random.Random(self.seed)
        acts = sorted(acts, key=lambda one: one[0])
        start = self.clock.passed()
        while (hour := (self.clock.passed() - start) / 3600) < hours:
            while acts and acts[0][0] <= hour:
                acts.pop(0)[1]()
            self.day.step()
            self.clock.wait(chance.expovariate(1 / every))
