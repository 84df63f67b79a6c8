"""Looks at the agent every few seconds: memory, threads, open files, lag, and whether its figures balance."""

import statistics
import threading
import time
from typing import NamedTuple

from tests.e2e.agent_process import conserved
from tests.soak.stage import process_figures

EVERY = 5.0
WARM = 30.0
"""Seconds of a process's life before its memory counts."""
RSS_LIMIT = 400_000_000
GROWTH, SLACK_BYTES, SLACK_COUNT = 1.2, 10_000_000, 10
"""What the last third of the figures may be of the first: so many times, and so much more."""
ENOUGH = 60
_LOOKS = 6


class Sample(NamedTuple):
    """One look at a process that is warm."""

    at: float
    rss: int
    threads: int
    files: int


class Watch:
    """A thread over a stage. `broken`: equations that did not balance."""

    def __init__(self, stage):
        self.stage = stage
        self.samples = []
        self.peak = 0
        self.most_pending = {}
        self.most_lag = 0
        self.retries = {}
        self.looks = self.unanswered = 0
        self.broken = []
        self._of_process = (0, {})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    def close(self):
        self._ending.set()
        self._thread.join()
        self._count_retries((0, {}))

    def _run(self):
        born = {}
        while not self._ending.wait(EVERY):
            pid = self.stage.agent.pid
            age = time.monotonic() - born.setdefault(pid, time.monotonic())
            figures = process_figures(pid)
            if figures is not None:
                self.peak = max(self.peak, figures[0])
                if age >= WARM:
                    self.samples.append(Sample(self.stage.now, *figures))
            self._look(pid)

    def _look(self, pid):
        status = self.stage.place.status()
        self.looks += 1
        if status is None or status["pid"] != pid:
            self.unanswered += 1
            return
        lag = sum(stream["lag"] for source in status["inputs"] for stream in source["streams"])
        self.most_lag = max(self.most_lag, lag)
        for output in status["outputs"]:
            name = output["id"]
            self.most_pending[name] = max(self.most_pending.get(name, 0), output["pending"])
        self._count_retries((pid, {output["id"]: output["retries"] for output in status["outputs"]}))
        self._balance(status)

    def _balance(self, status):
        """A look in the middle of a chunk may be off by it; figures that stay off are wrong."""
        for _ in range(_LOOKS):
            if status is None:
                return
            try:
                conserved(status)
                return
            except AssertionError as error:
                wrong = str(error)
            time.sleep(0.1)
            status = self.stage.place.status()
        self.broken.append(f"{self.stage.now:.0f} s: {wrong}")

    def _count_retries(self, now):
        """Each agent counts from 0."""
        pid, counts = self._of_process
        if pid != now[0]:
            for name, count in counts.items():
                self.retries[name] = self.retries.get(name, 0) + count
        self._of_process = now


def not_flat(samples):
    """What grew between the first and the last third of the samples, in words; None where there are too few to say.

    Memory follows the backlogs that faults make: each third has to have seen some.
    """
    if len(samples) < ENOUGH:
        return None
    third = len(samples) // 3
    grown = []
    for name, slack in (("rss", SLACK_BYTES), ("threads", SLACK_COUNT), ("files", SLACK_COUNT)):
        first = statistics.median(getattr(sample, name) for sample in samples[:third])
        last = statistics.median(getattr(sample, name) for sample in samples[-third:])
        if last > first * GROWTH + slack:
            grown.append(f"{name}: median {first:,.0f} in the first third, {last:,.0f} in the last")
    return grown
