"""SIGKILL, and then an error, at every system call by which the agent changes a file.

One commit cycle from an empty state folder to the last checkpoint: key, genesis, three frames in two segments, two
checkpoints, the archive, the store, the cursors. The n-th call on a group of files is the last thing that the agent does
(or fails), for n = 1, 2, 3 … until a run comes to its end; each time the agent is then started again, and everything
must be there once. Calls are counted per thread; the files of a group belong to one thread, or to one after the other.
"""

import random
import re
import shutil
from collections import Counter

import pytest

from tests.components import absent
from tests.crash.faults import CHANGES, Traced, strace_missing
from tests.e2e.agent_process import Place, checkpoints, line, numbers

COUNT = 90
RANDOM = random.Random(5)
LINES = "".join(line(number, note=RANDOM.randbytes(1000).hex()) + "\n" for number in range(COUNT)).encode()
SYNCED = CHANGES.replace("open,openat,creat,", "")
"""Without `open`: a file that was only created is what the call after it finds."""


@pytest.fixture(autouse=True)
def _strace():
    if reason := strace_missing():
        absent(reason)


class Cycle:
    """One fresh place per point, under the test's own folder."""

    def __init__(self, root):
        self.root, self.made = root, 0

    def place(self):
        self.made += 1
        folder = self.root / str(self.made)
        folder.mkdir()
        place = Place(folder)
        # The smallest segments there are; a frame is an eighth of the journal at the most.
        place.write(
            agent={"shutdown_grace": "2s"},
            journal={"segment_size": "64KiB", "max_size": "512KiB"},
            seal={"max_events": 60},
        )
        place.append(LINES)
        return place


@pytest.fixture
def cycle(tmp_path):
    return Cycle(tmp_path)


def groups(place):
    """The files of the agent by what they are for."""
    state, journal, cursors = place.state, place.state / "journal", place.state / "cursors"
    segments = [journal / f"{seq:016x}.seg" for seq in range(12)]
    return {
        "keys": [state, state / "lock", state / "keys", state / "keys/identity.pem"],
        "journal": [journal, *segments, *(path.with_name(path.name + ".tmp") for path in segments)],
        "checkpoint": [state / "checkpoint", state / "checkpoint.tmp"],
        "cursors": [cursors, *(cursors / name for name in ("archive", "archive.tmp", "local", "local.tmp"))],
        "archive": [place.archive],
        "store": [state / f"store.db{end}" for end in ("", "-wal", "-shm", "-journal")],
    }


def archives(place):
    return [*sorted(place.root.glob("archive.ndjson.0*")), place.archive]


def whole(place):
    """Everything exactly once, in order, verified, in one log that has one root per size."""
    archived = [one for path in archives(place) for one in place.archived(path)]
    for documents in (place.stored(), archived):
        assert numbers(documents) == list(range(COUNT)), Counter(numbers(documents)).most_common(3)
        assert len({one["seal"]["log"] for one in documents if "seal" in one}) == 1
        checkpoints(documents)
    words = [word for path in archives(place) for word in ("--ndjson", path)]
    for source in (["--store"], words, ["--journal"]):
        done = place.verify(*source)
        assert done.code == 0, (source, done)


def points(cycle, calls):
    """[(group, call, n)] of a run that nothing happens to: everything that could be its last call, or its first to fail."""
    place = cycle.place()
    traced = Traced(place.root / "trace")
    done = place.once(prefix=traced.prefix(calls=calls))
    assert done.code == 0, done
    whole(place)
    assert len(list((place.state / "journal").glob("*.seg"))) > 1, "no second segment was begun"
    found = []
    for name, paths in groups(place).items():
        told = Counter()
        for thread, call, words in traced.calls():
            if any(f'"{path}"' in words or f"<{path}>" in words for path in paths):
                told[thread, call] += 1
        for call in dict.fromkeys(call for _, call in told):
            most = max(count for (_, one), count in told.items() if one == call)
            found += [(name, call, n) for n in range(1, most + 1)]
    return found


def killed_at(cycle, group, call, n):
    """Kill there, start again, look. False when the run came to its end before."""
    place = cycle.place()
    traced = Traced(place.root / "trace")
    inject = f"{call}:signal=SIGKILL:when={n}"
    done = place.once(prefix=traced.prefix(calls=call, inject=inject, paths=groups(place)[group]))
    assert done.code in {0, -9, 137}, done
    again = place.once()
    assert again.code == 0, (group, call, n, again)
    whole(place)
    shutil.rmtree(place.root)
    return done.code != 0


def failed_at(cycle, group, call, n, error):
    """It fails there. The run goes on, or ends with words for a person; the next one finds everything.

    Returns the exit code of the run, None where it made no such call.
    """
    place = cycle.place()
    traced = Traced(place.root / "trace")
    inject = f"{call}:error={error}:when={n}"
    done = place.once(prefix=traced.prefix(calls=call, inject=inject, paths=groups(place)[group]))
    hit = "(INJECTED)" in traced.log.read_text(errors="replace")
    what = (group, call, n, error, done)
    # 75: an output whose file could not be synced waits for a start.
    assert done.code in ({0, 74, 78} | ({75} if group in {"archive", "store"} else set()) if hit else {0}), what
    if done.code in {74, 78}:
        assert re.search(r'^hint: \S|"hint": "\S', done.err, re.MULTILINE), what
    assert not [one for one in done.logs if one["event"] == "output stopped by an internal error"], what
    again = place.once()
    assert again.code == 0, (what, again)
    whole(place)
    shutil.rmtree(place.root)
    return done.code if hit else None


def chosen(found, every=9):
    """All points of our own files; SQLite writes two hundred pages, of which one in `every` does."""
    return [(group, call, n) for group, call, n in found if group != "store" or call != "pwrite64" or n % every == 0]


def error_for(call, at):
    """What such a call can fail with; a disk that is full is told at a write, never at a sync."""
    return "EIO" if at % 2 or call in {"fsync", "fdatasync", "unlink", "unlinkat", "ftruncate"} else "ENOSPC"


KILLS = (
    ("keys", "linkat", 1),
    ("journal", "rename", 1),
    ("journal", "fdatasync", 2),
    ("cursors", "rename", 2),
    ("archive", "pwrite64", 2),
    ("store", "pwrite64", 99),
)
"""One of each; the slow tests go through all."""


@pytest.mark.parametrize(("group", "call", "n"), KILLS)
def test_row_32_killed_at_one_call_of_a_commit_cycle_it_goes_on_with_everything_once(cycle, group, call, n):
    assert killed_at(cycle, group, call, n)


@pytest.mark.parametrize(
    ("group", "call", "n", "error"),
    [("journal", "pwrite64", 3, "ENOSPC"), ("journal", "fsync", 4, "EIO"), ("checkpoint", "rename", 1, "EROFS")],
)
def test_row_32_where_one_call_of_a_commit_cycle_fails_it_is_made_again(cycle, group, call, n, error):
    assert failed_at(cycle, group, call, n, error) == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_row_32_killed_at_every_call_of_a_commit_cycle_it_goes_on_with_everything_once(cycle):
    found = chosen(points(cycle, SYNCED))
    killed = [point for point in found if killed_at(cycle, *point)]
    print(f"{len(killed)} kill points: {dict(Counter(group for group, _, _ in killed))}")
    assert {group for group, _, _ in killed} == set(groups(cycle.place()))
    # One more than there are: the run comes to its end, so none was left out.
    for group, call in dict.fromkeys((group, call) for group, call, _ in found if group != "store"):
        most = max(n for one, name, n in found if (one, name) == (group, call))
        assert not killed_at(cycle, group, call, most + 1), (group, call)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_row_32_where_every_call_of_a_commit_cycle_fails_once_nothing_is_lost(cycle):
    codes = Counter()
    for at, (group, call, n) in enumerate(chosen(points(cycle, CHANGES), 36)):
        codes[failed_at(cycle, group, call, n, error_for(call, at))] += 1
    print(f"{codes.total()} failing calls; exit codes {dict(codes)}")
    assert codes[0] > codes.total() / 2, "most are tried again"
