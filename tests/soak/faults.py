"""What each kind of fault does to the stage: begins, waits as long as the plan says, and is over."""

import http.client
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress

from tests.soak.plan import KINDS
from tests.soak.stage import DISK_EXIT

STREAMS = ("change", "log", "checkpoint")
_REACTION = 60.0
"""Seconds in which a reload has to be answered: an output in the middle of a request is waited for first."""


class Faults:
    """Runs a plan against a stage. `done`: faults by kind; `broken`: what went otherwise than it must."""

    def __init__(self, stage, faults, say):
        self.stage, self.faults, self._say = stage, faults, say
        self.done = Counter()
        self.rollovers = 0
        self.broken = []
        self._things = {thing: threading.Lock() for things, _, _ in KINDS.values() for thing in things}
        """Held by the fault that has the thing: what is slow to be well again is waited for."""
        self._ending = threading.Event()
        self._threads = []

    def run(self, seconds):
        """Begin each fault at its time; return after `seconds`, when all are over."""
        for fault in self.faults:
            if self._ending.wait(max(0.0, fault.at - self.stage.now)):
                break
            thread = threading.Thread(target=self._one, args=(fault,), name=fault.kind)
            thread.start()
            self._threads.append(thread)
        self._ending.wait(max(0.0, seconds - self.stage.now))
        self.end()

    def end(self):
        """Let every fault be over now, and wait for that."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _one(self, fault):
        try:
            with ExitStack() as held:
                for thing in sorted(KINDS[fault.kind][0]):  # in one order, so that no two wait for each other
                    held.enter_context(self._things[thing])
                self._say(str(fault._replace(at=self.stage.now)))
                ACTS[fault.kind](self, fault)
            self.done[fault.kind] += 1
        except Exception as error:  # noqa: BLE001 - a fault that could not be made is told, for whatever reason
            self.broken.append(f"{fault.kind} at {fault.at} s: {type(error).__name__}: {error}")

    def _last(self, fault):
        self._ending.wait(fault.seconds)

    # -- the agent -----------------------------------------------------------------------------------------------------

    def agent_killed(self, fault):
        self.stage.end_agent(lambda agent: agent.kill())
        self._last(fault)
        self.stage.start_agent()

    def agent_restarted(self, fault):
        def ask(agent):
            agent.process.terminate()
            code = agent.end(60)
            # 75: an output that another fault keeps busy has not everything yet.
            assert code in {0, 75} or (code == DISK_EXIT and time.monotonic() < self.stage.disk_faulty_until), code

        try:
            self.stage.end_agent(ask)
            self._last(fault)
        finally:
            if self.stage.agent.process.poll() is None:
                self.stage.agent.kill()
            self.stage.start_agent()

    def agent_frozen(self, fault):
        agent = self.stage.agent
        with suppress(ProcessLookupError):
            agent.signal(signal.SIGSTOP)
            self._last(fault)
            agent.signal(signal.SIGCONT)

    def reload_good(self, _):
        self.stage.configure(vary=True)
        self._hang_up("configuration changed")

    def reload_bad(self, fault):
        bad = ("outputs: [", "agent: {nmae: x}\n", "inputs:\n  - {id: a, type: file, paths: [x], format: nothing}\n")
        self.stage.configure(bad[min(int(fault.chance * len(bad)), len(bad) - 1)])
        try:
            self._hang_up("configuration not changed: the new one has problems")
        finally:
            self.stage.configure()

    def _hang_up(self, expected):
        """HUP, and wait for the agent's word. One that a full disk has ended meanwhile owes none."""
        agent = self.stage.agent
        before = len(agent.told(expected))
        # A process that has only just begun knows no signals yet: one that is told to reload then would end.
        self._until(agent, lambda: agent.told("agent started"), "agent started")
        with suppress(ProcessLookupError):
            agent.signal(signal.SIGHUP)
        self._until(agent, lambda: len(agent.told(expected)) > before, expected)

    def _until(self, agent, told, what):
        deadline = time.monotonic() + _REACTION
        while not told() and agent is self.stage.agent and agent.process.poll() is None:
            assert time.monotonic() < deadline, f"never told: {what}"
            time.sleep(0.1)

    # -- OpenSearch ----------------------------------------------------------------------------------------------------

    def opensearch_killed(self, fault):
        self.stage.opensearch.kill()
        self._last(fault)
        self.stage.opensearch.start(180)

    def rollover(self, _):
        """New backing indices for all our streams, as the index management does when they are old or large."""
        for stream in STREAMS:
            self._roll(stream)

    def _roll(self, stream):
        connection = http.client.HTTPConnection("127.0.0.1", self.stage.opensearch.port, timeout=60)
        try:
            connection.request("POST", f"/logs-fieldtrail.{stream}-default/_rollover")
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200 or b"does not exist" in said, f"rollover of {stream}: {said!r}"
            self.rollovers += answer.status == 200  # else nothing was sent there yet
        finally:
            connection.close()

    def answer_lost_rollover(self, fault):
        """The most doubtful moment: stored, not known to be stored, and the next try meets another index."""
        self._answers_lost(self.stage.search_net, fault, then=lambda: self.rollover(fault))

    def _front(self, name, value, otherwise, fault):
        setattr(self.stage.front, name, value)
        try:
            self._last(fault)
        finally:
            setattr(self.stage.front, name, otherwise)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _net(self, proxy, begin, fault):
        begin()
        try:
            self._last(fault)
        finally:
            proxy.resume()

    def _answers_lost(self, proxy, fault, then=None):
        count = 1 + int(fault.chance * 3)
        before = proxy.ended
        proxy.lose_answers(count)
        deadline = time.monotonic() + fault.seconds
        while proxy.ended == before and time.monotonic() < deadline and not self._ending.is_set():
            time.sleep(0.01)
        try:
            if then is not None:
                then()
            self._ending.wait(max(0.0, deadline - time.monotonic()))
        finally:
            proxy.resume()

    def relp_killed(self, fault):
        self.stage.relp.kill()
        self._last(fault)
        self.stage.relp.start()

    # -- disk and clock ------------------------------------------------------------------------------------------------

    def disk_full(self, fault):
        self.stage.fill_disk()
        try:
            self._last(fault)
        finally:
            self.stage.empty_disk()

    def _disk_fails(self, fail, fault):
        fail(1 + int(fault.chance * 4))

    def clock_jumps(self, fault, sign):
        """By up to two days, and back when the fault is over: two jumps."""
        self.stage.preload.shift(sign * (1 + fault.chance * 2 * 86400))
        try:
            self._last(fault)
        finally:
            self.stage.preload.shift(0)


def _on(net, act):
    """A fault of one of the two connections: `act(proxy)` begins it."""

    def run(faults, fault):
        proxy = getattr(faults.stage, net)
        faults._net(proxy, lambda: act(proxy), fault)

    return run


ACTS = {
    "agent killed": Faults.agent_killed,
    "agent restarted": Faults.agent_restarted,
    "agent frozen": Faults.agent_frozen,
    "reload, good": Faults.reload_good,
    "reload, bad": Faults.reload_bad,
    "opensearch killed": Faults.opensearch_killed,
    "opensearch resets": _on("search_net", lambda proxy: proxy.reset()),
    "opensearch stalls": _on("search_net", lambda proxy: proxy.stall()),
    "opensearch half-open": _on("search_net", lambda proxy: proxy.orphan()),
    "opensearch black hole": _on("search_net", lambda proxy: proxy.swallow()),
    "opensearch answer lost": lambda faults, fault: faults._answers_lost(faults.stage.search_net, fault),
    "opensearch answer lost, then rollover": Faults.answer_lost_rollover,
    "opensearch slow": _on("search_net", lambda proxy: setattr(proxy, "delay", 0.2)),
    "opensearch 429": lambda faults, fault: faults._front("busy", True, False, fault),
    "opensearch 429 for some": lambda faults, fault: faults._front("items_busy", True, False, fault),
    "opensearch 413": lambda faults, fault: faults._front("limit", 30_000 + int(fault.chance * 70_000), 0, fault),
    "rollover": Faults.rollover,
    "relp killed": Faults.relp_killed,
    "relp resets": _on("relp_net", lambda proxy: proxy.reset()),
    "relp stalls": _on("relp_net", lambda proxy: proxy.stall()),
    "relp half-open": _on("relp_net", lambda proxy: proxy.orphan()),
    "relp answer lost": lambda faults, fault: faults._answers_lost(faults.stage.relp_net, fault),
    "relp drips": _on("relp_net", lambda proxy: setattr(proxy, "pace", 4000)),
    "disk full": Faults.disk_full,
    "disk EIO on sync": lambda faults, fault: faults._disk_fails(faults.stage.preload.fail_syncs, fault),
    "disk EIO on write": lambda faults, fault: faults._disk_fails(faults.stage.preload.fail_writes, fault),
    "clock forward": lambda faults, fault: faults.clock_jumps(fault, 1),
    "clock back": lambda faults, fault: faults.clock_jumps(fault, -1),
}
