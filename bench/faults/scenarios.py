"""The scenarios: what is done to the logs, the agent and the receiver. Each ends with the agent running.

"Down" means ended in good order (SIGTERM) and started again afterwards, unless it says killed.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.failed import Failed
from bench.faults.trial import Log, Trial

SOME = 400
"""Lines before or after the event of a scenario."""
HEAD = 1200
MANY = 3000
TRIES = 200
AT_ONCE = 1e9
LATE = 300
"""Lines a second of each of two writers."""


class Taken(Failed):
    """Another program was given the inode that was wanted."""


class Scenario(NamedTuple):
    """What `--only` calls it, what the table calls it, what happens, and the way to the sink."""

    name: str
    title: str
    play: Callable[[Trial], None]
    transport: str = "file"


def _settled(trial: Trial) -> Log:
    """An agent that is up and has read all lines of a log."""
    trial.start()
    log = trial.log()
    log.write(SOME)
    trial.arrived()
    return log


def _renamed(trial: Trial) -> None:
    log = _settled(trial)
    for _ in range(3):
        log.write(SOME)
        log.rotate()
    log.write(SOME)


def _renamed_while_down(trial: Trial) -> None:
    log = _settled(trial)
    trial.stop()
    log.write(SOME)
    log.rotate()
    log.write(SOME)
    trial.start()


def _copytruncate(trial: Trial) -> None:
    log = _settled(trial)
    for _ in range(3):
        log.write(SOME)
        log.copytruncate()
    log.write(SOME)


def _copytruncate_while_down(trial: Trial) -> None:
    log = _settled(trial)
    trial.stop()
    log.copytruncate()
    log.write(2 * SOME)  # past the old offset
    trial.start()


def _five_rotations(trial: Trial) -> None:
    log = _settled(trial)
    for _ in range(5):
        log.write(50, rate=AT_ONCE)
        log.rotate()
    log.write(SOME)


def _late_writes(trial: Trial) -> None:
    log = _settled(trial)
    Path(log.path).rename(f"{log.path}.1")
    new = trial.log(stream="B")
    for _ in range(20):  # some three seconds, in turns
        log.write(20, rate=LATE)
        new.write(20, rate=LATE)


def _rewritten(trial: Trial) -> None:
    log = _settled(trial)
    log.truncate()
    log.write(SOME, rate=AT_ONCE)


def _rewritten_while_down(trial: Trial) -> None:
    log = _settled(trial)
    trial.stop()
    log.truncate()
    log.write(SOME)
    trial.start()


def _recreated(trial: Trial) -> None:
    log = _settled(trial)
    trial.stop()
    inode = log.path.stat().st_ino
    log.close()
    log.path.unlink()
    for number in range(TRIES):  # the file system gives out the lowest that is free, but trials run side by side
        spare = trial.logs / f"spare-{number}"
        spare.touch()
        if spare.stat().st_ino == inode:
            break
    else:
        raise Taken(70, "no file got the inode of the deleted one", "--jobs 1, or --dir on an ext4")
    spare.rename(log.path)
    log.reopen()
    log.write(2 * SOME)
    trial.start()


def _equal_heads(trial: Trial) -> None:
    told = {"ts": "2026-02-03T10:30:00Z", "who": "kim", "kind": "head", "n": "0", "changes": [], "pad": "x" * HEAD}
    head = json.dumps(told).encode()
    trial.unnumbered.add(head)
    trial.start()
    logs = [trial.log("app.log", "A"), trial.log("two.log", "B")]
    for log in logs:
        log.raw(head + b"\n")
    for log in logs:
        log.write(SOME)


def _killed(trial: Trial) -> None:
    log = _settled(trial)
    for _ in range(5):
        log.write(MANY // 5)
        trial.kill()
        trial.start()
        time.sleep(1.0)  # it gets to read again before the next one
    log.write(SOME)


def _torn(trial: Trial) -> None:
    log = _settled(trial)
    line = log.next()
    log.raw(line[:40])
    time.sleep(1.5)  # seen by everyone
    trial.kill()
    trial.start()
    time.sleep(1.5)
    log.raw(line[40:])
    log.write(SOME)


def _packed_while_down(trial: Trial) -> None:
    log = _settled(trial)
    trial.stop()
    log.write(SOME)
    log.rotate()
    old = Path(f"{log.path}.1")
    with gzip.open(f"{old}.gz", "wb") as packed:
        packed.write(old.read_bytes())
    old.unlink()
    log.write(SOME)
    trial.start()


def _link_swapped(trial: Trial) -> None:
    data = trial.folder / "data"
    data.mkdir()
    link = trial.logs / "app.log"
    (data / "0").touch()
    link.symlink_to(data / "0")
    log = _settled(trial)
    log.write(SOME)
    (data / "1").touch()
    new = trial.logs / ".new"
    new.symlink_to(data / "1")
    new.rename(link)
    log.close()
    log.reopen()
    log.write(SOME)


def _receiver_killed(trial: Trial) -> None:
    log = _settled(trial)
    for _ in range(3):
        log.write(MANY // 3)
        trial.receiver_kill()
        log.write(SOME)
        trial.receiver_start()
    log.write(SOME)


SCENARIOS = (
    Scenario("rename", "renamed three times, agent up", _renamed),
    Scenario("rename-down", "renamed, agent down", _renamed_while_down),
    Scenario("copytruncate", "copied and truncated three times, agent up", _copytruncate),
    Scenario("copytruncate-down", "copied, truncated, grown past the old size, agent down", _copytruncate_while_down),
    Scenario("five-rotations", "renamed five times in a moment", _five_rotations),
    Scenario("late-writes", "written on after it was renamed", _late_writes),
    Scenario("rewrite", "truncated and written anew, same size, agent up", _rewritten),
    Scenario("rewrite-down", "truncated and written anew, same size, agent down", _rewritten_while_down),
    Scenario("recreate", "deleted and made again with the same inode, agent down", _recreated),
    Scenario("equal-heads", "two files with the same first 1,200 bytes", _equal_heads),
    Scenario("gzip-down", "renamed and packed, agent down", _packed_while_down),
    Scenario("symlink", "a link swapped to another file", _link_swapped),
    Scenario("kill", "agent killed five times while it reads", _killed),
    Scenario("torn", "agent killed in the middle of a line", _torn),
    Scenario("receiver-tcp", "receiver killed three times, TCP", _receiver_killed, "tcp"),
    Scenario("receiver-relp", "receiver killed three times, RELP", _receiver_killed, "relp"),
)
