"""One soak from its seed to its verdict."""

import shutil
import time
from collections import Counter
from contextlib import closing

from shipper.dlq import DeadLetters
from tests.e2e.agent_process import conserved
from tests.integration.opensearch import server
from tests.soak import oracle, preload
from tests.soak.faults import Faults
from tests.soak.plan import GAP, plan
from tests.soak.stage import REPLAY_BYTES, Stage
from tests.soak.watch import RSS_LIMIT, Watch, not_flat
from tests.soak.writer import ROTATIONS

DRAIN = 240.0
"""Seconds for what is left after the last fault: an output waits up to a minute before it tries again."""
EXPECTED_ERRORS = {
    "configuration not changed: the new one has problems",  # the plan's own
    "journal: frame not kept, the agent ends",  # three syncs in a row that failed; the exit code is judged by itself
    "documents refused, moved to the dead letters",  # lines that are too long for syslog, documents over a limit of 413
}
VERIFY_TIMEOUT = 3600
MOST_TOLD = 20


def missing():
    """What must be installed first, or None."""
    return server.missing() or preload.missing()


def soak(folder, seconds, seed, *, rate=200, ways=ROTATIONS, gap=GAP, say=print):
    """Run one; returns (problems, figures): what is wrong in words, and {name: value}.

    `rate`: lines a second of each writer; `ways`: in which it rotates; `gap`: seconds between faults, least and most.
    """
    faults = plan(seed, seconds, gap)
    say(f"seed {seed}, {seconds:g} s, {len(faults)} faults, folder {folder}")
    for fault in faults:
        say(f"  {fault}")
    stage = Stage(folder, seed, rate, ways)
    with closing(stage):
        stage.begin()
        watch, acts = Watch(stage), Faults(stage, faults, say)
        try:
            acts.run(seconds)
        finally:
            acts.end()
            watch.close()
        written = stage.stop_writers()
        say(f"{stage.now:7.1f} s  written {sum(one.count for one in written.values()):,} lines; draining")
        problems = [*acts.broken, *watch.broken]
        problems += _drained(stage)
        lasted = stage.now
        code = stage.stop_agent()
        if code:
            problems.append(f"the agent's last exit code is {code}")
        problems += _ended_well(stage)
        problems += _arrived(stage, written, figures := {}, say)
        problems += _flat(watch, say)
        if problems:
            stage.save(folder / "state-kept")
        figures |= _figures(stage, watch, acts, written, lasted)
    return problems, figures


def _drained(stage):
    """Wait until everything is read and delivered; what is wrong with the figures then."""
    deadline = time.monotonic() + DRAIN
    quiet = 0
    while quiet < 4:
        status = stage.place.status()
        still = (
            status is not None
            and not any(stream["lag"] for source in status["inputs"] for stream in source["streams"])
            and not any(output["pending"] for output in status["outputs"])
        )
        quiet = quiet + 1 if still else 0
        if time.monotonic() > deadline:
            left = status and {output["id"]: (output["pending"], output["last_error"]) for output in status["outputs"]}
            return [f"not drained within {DRAIN:g} s: {left}"]
        time.sleep(0.5)
    try:
        conserved(status)
    except AssertionError as error:
        return [f"at rest: {error}"]
    return []


def _ended_well(stage):
    """Agents that ended by themselves, and what they have told that nobody caused."""
    problems = []
    for at, code, excused in stage.exits:
        if not (excused and code == 74):
            problems.append(f"an agent ended by itself at {at:.1f} s with exit code {code}")
    errors = Counter(
        one["event"] for agent in stage.place.running for one in agent.logs if one.get("level") in {"error", "critical"}
    )
    problems += [
        f"told as an error {count} times: {event}" for event, count in errors.items() if event not in EXPECTED_ERRORS
    ]
    return problems


def _arrived(stage, written, figures, say):
    """Every destination against what was written; then the dead letters replayed, and the verifier's word on each."""
    problems = []
    destinations = _destinations(stage)
    letters = DeadLetters(stage.place.state / "dlq")
    size = _size(destinations)
    for name, arrived in destinations.items():
        dead = oracle.Arrived(f"dead letters of {name}")
        for letter in letters.list(name):
            dead.take_bytes(letter.document.data)
        problems += oracle.compare(arrived, dead, written)
        problems += oracle.complete(arrived, dead, size)
        figures[f"{name}: documents, repeats, dead letters"] = (arrived.count, arrived.repeats, dead.count)
    letters.close()
    figures["archive files"] = len(_archive(stage))
    figures["files begun before the one before was read to its end"] = oracle.overtaken(
        destinations["archive"], written
    )
    if any(figures[f"{name}: documents, repeats, dead letters"][2] for name in destinations):
        problems += _replayed(stage, size, say)
    for words in (
        ("--opensearch", stage.opensearch.url),
        ("--ndjson", *_archive(stage)),
        ("--ndjson", _unique(stage)),
        ("--journal",),
    ):
        done = stage.place.process("verify", *words, timeout=VERIFY_TIMEOUT)
        said = done.out.strip().splitlines()
        say(f"verify {words[0]}: exit {done.code}: {said[-1] if said else done.err[-300:]}")
        if done.code:
            problems.append(f"verify {' '.join(map(str, words))}: exit {done.code}: {said[:10]} {done.err[-500:]}")
    return problems


def _archive(stage):
    """The archive's files, oldest first: a sync that failed closes one, and what was not synced stands in the next."""
    path = stage.place.archive
    return [*sorted(stage.folder.glob(f"{path.name}.0*")), path]


def _unique(stage):
    return stage.folder / "relp.unique"


def _destinations(stage):
    found = {
        "siem": oracle.of_opensearch("siem", stage.opensearch.port),
        "soc": oracle.of_files("soc", [stage.relp.path], messages=True, unique=_unique(stage)),
        "archive": oracle.of_files("archive", _archive(stage)),
    }
    for one in (found["siem"], found["archive"]):
        if one.repeats:
            one.problems.insert(0, f"{one.name}: {one.repeats} documents stand there more than once")
    return found


def _size(destinations):
    return max((len(leaves) for one in destinations.values() for leaves in one.leaves.values()), default=0)


def _replayed(stage, size, say):
    """Replay the dead letters with room enough for them: then every destination is complete, without an excuse."""
    stage.message_bytes = REPLAY_BYTES
    stage.configure()
    done = stage.place.process("dlq", "replay", timeout=VERIFY_TIMEOUT)
    say(f"dlq replay: exit {done.code}: {done.out.strip()}")
    problems = [f"dlq replay: {done}"] if done.code else []
    for arrived in _destinations(stage).values():
        wrong = [*arrived.problems, *oracle.complete(arrived, oracle.Arrived("none"), size)]
        problems += [f"after the replay: {one}" for one in wrong[:MOST_TOLD]]
    return problems


def _flat(watch, say):
    problems = [f"memory: {watch.peak:,} bytes"] if watch.peak > RSS_LIMIT else []
    grown = not_flat(watch.samples)
    if grown is None:
        say(f"{len(watch.samples)} looks at warm processes: too few to say whether memory is flat")
        return problems
    return problems + grown


def _figures(stage, watch, acts, written, lasted):
    packed = sum(1 for path in stage.place.logs.iterdir() if path.suffix == ".gz")
    samples = watch.samples
    return {
        "lines written": {name: one.count for name, one in written.items()},
        "lines a second": round(sum(one.count for one in written.values()) / lasted, 1),
        "files written": sum(len(one.starts) for one in written.values()),
        "faults": dict(sorted(acts.done.items())),
        "rollovers": acts.rollovers,
        "agent starts": stage.starts,
        "agent ended by itself": stage.exits,
        "disk calls failed": stage.preload.failed,
        "disk filled by": "ballast" if stage.mounted else "RLIMIT_FSIZE",
        "refused by the front": stage.front.refused,
        "retries": watch.retries,
        "most pending": watch.most_pending,
        "most lag, bytes": watch.most_lag,
        "looks, unanswered": (watch.looks, watch.unanswered),
        "resident bytes, peak": watch.peak,
        "resident bytes, warm": (min(s.rss for s in samples), max(s.rss for s in samples)) if samples else None,
        "resident MB, a look a minute": [sample.rss // 1_000_000 for sample in samples[::12]],
        "threads, open files at most": (max(s.threads for s in samples), max(s.files for s in samples))
        if samples
        else None,
        "packed files at the end": packed,
        "state": shutil.disk_usage(stage.place.state).used if stage.mounted else None,
    }
