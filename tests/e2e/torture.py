"""What the tests of the torture matrix (`test_row_NN_…`, rows 1 to 40) share: one trial of an agent, and its oracle.

A `Trial` is a `Place` whose agent looks every 50 ms. `whole` is the oracle that every row ends in: each line exactly
once, those of one file in order, in the store and in the archive alike; the equations of conservation; each loss told
as a sealed health event and as an ERROR, and none that was not expected; and everything verifies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections import Counter
from itertools import chain
from pathlib import Path

from tests.components import absent
from tests.e2e.agent_process import PATIENCE, UNPRIVILEGED, eventually, line, lines, numbers

NO_CAPABILITY = UNPRIVILEGED if os.geteuid() == 0 else ()
"""Before a command: mode bits count, whoever runs the tests."""


def program(name, package):
    """The path of a program that a test drives."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        absent(f"{name} is not installed: apt-get install -y {package}")
    return found


def only_root():
    """Leave a test out where nobody may do what it does."""
    if os.geteuid() != 0:
        absent("only root can mount file systems: run the tests as root")


@contextlib.contextmanager
def frozen(agent):
    """The agent sees nothing of what happens in here until it is over."""
    agent.signal(signal.SIGSTOP)
    stat = Path(f"/proc/{agent.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the agent stands still")
    try:
        yield
    finally:
        agent.signal(signal.SIGCONT)


def shift(folder, name, generations=9):
    """What rotation by renaming does: `name.1` becomes `name.2`, ..., `name` becomes `name.1`."""
    for number in range(generations, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{name}.{number}").rename(folder / f"{name}.{number + 1}")
    (folder / name).rename(folder / f"{name}.1")


def losses(documents):
    """(file name, offset) of every loss that was sealed."""
    return [
        (os.path.basename(one["trail"]["origin"]["path"]), one["trail"]["origin"]["offset"])
        for one in documents
        if one["event"].get("action") == "source.loss"
    ]


def refused(documents):
    """The texts of the records that were kept as they are, since no parser takes them."""
    return [one["event"]["original"] for one in documents if one["event"]["kind"] == "pipeline_error"]


def generations(documents):
    """The numbers that each stream held, in the order in which they stood in it."""
    found = {}
    for one in documents:
        for number in numbers([one]):
            stream, _, offset = one["event"]["id"].rpartition(":")
            found.setdefault(stream, []).append((int(offset), number))
    return [[number for _, number in sorted(pairs)] for pairs in found.values()]


class Trial:
    """One agent in a place of its own. `patterns` are looked for in `logs`; `options` go to the input."""

    def __init__(self, place, *patterns, sections=None, **options):
        self.place, self.logs = place, place.logs
        self.outputs = []
        self._markers = 0
        self.configure(*(patterns or ("*.log",)), sections=sections, **options)

    def configure(self, *patterns, sections=None, **options):
        """Write the configuration (anew)."""
        # Markers are files of the same input, so that one that arrived says that the input has scanned since.
        paths = [str(self.logs / pattern) for pattern in (*patterns, "*.marker")]
        section = self.place.input(**{"grace": "300ms", **options})
        self.outputs = self.place.write(inputs=[{**section, "paths": paths}], **(sections or {}))["outputs"]

    def start(self, prefix=()):
        """An agent that reads."""
        return self.place.start(prefix=prefix).ready()

    def reading(self, count, name="a.log"):
        """An agent that has read a file of the lines from 0 on."""
        self.append(lines(0, count), name)
        agent = self.start()
        self.arrived(count)
        return agent

    def append(self, data, name="a.log"):
        self.place.append(data, name)

    def arrived(self, count, patience=PATIENCE):
        """Wait until so many lines are in the store."""
        where = "object_key >= 'app:offer/' AND object_key < 'app:offer0'"
        eventually(lambda: self._stored(where) >= count, f"{count} lines in the store", patience)

    def kept_unparsed(self, count):
        """Wait until so many records are in the store that no parser takes."""
        where = 'CAST(data AS TEXT) LIKE \'%"kind":"pipeline_error"%\''
        eventually(lambda: self._stored(where) >= count, f"{count} unparsed records in the store")

    def _stored(self, where):
        """How many documents of the store a condition of SQL holds for."""
        with contextlib.closing(sqlite3.connect(f"file:{self.place.state}/store.db?mode=ro", uri=True)) as db:
            return db.execute(f"SELECT count(*) FROM documents WHERE {where}").fetchone()[0]

    def looked(self, times=2):
        """Wait until the agent has looked at everything so often again."""
        for _ in range(times):
            self._markers += 1
            name = f"m{self._markers}"
            (self.logs / f"{name}.marker").write_text(line(self._markers, kind="marker", who=name) + "\n")
            eventually(lambda where=f"user_name = '{name}'": self._stored(where), f"marker {name}")

    def pieces(self, data, sizes, name="a.log"):
        """Append `data` in pieces of these sizes, the rest last; after each the agent has looked."""
        at = 0
        for size in (*sizes, len(data)):
            self.append(data[at : at + size], name)
            self.looked(1)
            at += size

    def whole(self, *sequences, lost=(), across=True):
        """The oracle: stop the agent (or run one pass, if none runs), and hold what arrived against `sequences`.

        Each sequence is what one file (or, `across` its rotations, one log) held, in its order. `lost`: (file name,
        offset) of the losses that are to be told, and no others.
        """
        place = self.place
        agent = place.running[-1] if place.running else None
        if agent is not None and agent.process.poll() is None:
            self.looked()
            status = place.settled(0)
            assert agent.terminate() == 0, agent.logs
            assert all(one["dead_lettered"] == one["dropped"] == 0 for one in status["outputs"])
        else:
            done = place.once()
            assert done.code == 0, done
        documents = place.stored()
        got, wanted = numbers(documents), Counter(chain(*sequences))
        missing, twice = wanted - Counter(got), Counter(got) - wanted
        assert not missing, f"{missing.total()} lines are missing: {sorted(missing)[:5]}"
        assert not twice, f"{twice.total()} lines stand twice: {sorted(twice)[:5]}"
        if wanted.total() == len(wanted):  # else a number does not say which line it is of
            at = {number: index for index, number in enumerate(got)}
            for sequence in sequences if across else generations(documents):
                places = [at[number] for number in sequence]
                assert places == sorted(places), f"{len(places)} lines of one file are not in order"
        assert numbers(place.archived()) == got
        assert sorted(losses(documents)) == sorted(lost)
        told = [one for agent in place.running for one in agent.told("input: bytes lost before they could be read")]
        assert sorted((os.path.basename(one["path"]), one["offset"]) for one in told) == sorted(lost)
        assert all(one["level"] == "error" for one in told)
        place.verified()
        return documents
