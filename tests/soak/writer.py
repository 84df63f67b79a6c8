"""An application that writes numbered lines and rotates its log, as a process of its own.

    python writer.py FOLDER NAME RATE SEED WAY,WAY…

`NAME.log` is written, about RATE lines a second, in bursts that may stop in the middle of a line; every 4 to 12 seconds
it is rotated in one of the ways of `ROTATIONS`, chosen by the seed. What was `NAME.log.1` becomes `.2`, and so on;
`KEEP` of them are kept. TERM: the last line is finished and synced, and `NAME.written` beside FOLDER says how many
there are, and with which number each file begins: `{"count": 700, "starts": [0, 420]}`.
"""

import gzip
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

KEEP = 12
"""Rotated files: a minute and a half of them, far more than the agent is ever behind in reading."""
LONG_EVERY, LONG = 10_000, "x" * 40_000
"""Every so many lines one has values so long that its message is longer than the syslog output may send."""
ROTATIONS = ("rename", "copytruncate", "gzip")
BURST = 0.05


def line(name, number, rng):
    """Line `number` of writer `name`: one change of the record that is called like its number."""
    end = LONG if number % LONG_EVERY == LONG_EVERY - 1 else ""
    change = {"field": "stage", "old": f"a{number}{end}", "new": f"b{number}{end}"}
    note = "x" * (rng.randrange(3000) if rng.random() < 0.02 else 500)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps(
        {"ts": stamp, "who": "kim", "kind": name, "n": str(number), "changes": [change], "note": note, "more": end}
    )


class Log:
    """The file and its rotations."""

    def __init__(self, folder, name, rng):
        self.path = folder / f"{name}.log"
        self._rng = rng
        self._file = self._open()

    def _open(self):
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, data):
        os.write(self._file, data)

    def sync(self):
        os.fsync(self._file)

    def rotate(self, way, late):
        """`late`: lines that the old file still gets after it was renamed."""
        self._shift()
        first = self._numbered(1)
        if way == "copytruncate":
            # Nobody writes between the copy and the cut: the loss that this way of rotating invites is not the agent's.
            shutil.copyfile(self.path, first)
            os.truncate(self.path, 0)
            return
        self.path.rename(first)
        self.write(late)
        self.sync()
        os.close(self._file)
        self._file = self._open()
        if way == "gzip":
            packed = first.with_name(first.name + ".gz")
            with first.open("rb") as source, gzip.open(packed, "wb") as target:
                shutil.copyfileobj(source, target)
            first.unlink()

    def _numbered(self, number):
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shift(self):
        for number in range(KEEP, 0, -1):
            for ending in ("", ".gz"):
                old = Path(f"{self._numbered(number)}{ending}")
                if not old.exists():
                    continue
                if number == KEEP:
                    old.unlink()
                else:
                    old.rename(f"{self._numbered(number + 1)}{ending}")

    def close(self):
        self.sync()
        os.close(self._file)


def main(folder, name, rate, seed, ways):
    """Write until TERM."""
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    rng = random.Random(seed)
    log = Log(folder, name, rng)
    written, starts, began = 0, [0], time.monotonic()
    synced, rotated = began, began
    next_rotation = rng.uniform(4, 12)

    def burst(count):
        nonlocal written
        data = "".join(line(name, written + extra, rng) + "\n" for extra in range(count)).encode()
        written += count
        return data

    while not stopping:
        now = time.monotonic()
        due = int((now - began) * rate) - written
        if due > 0:
            data = burst(min(due, int(rate)))
            cut = rng.randrange(len(data))
            log.write(data[:cut])
            time.sleep(rng.random() * 0.01)
            log.write(data[cut:])
        if now - synced >= 1:
            synced = now
            log.sync()
        if now - rotated >= next_rotation:
            rotated, next_rotation = now, rng.uniform(4, 12)
            way = rng.choice(ways)
            log.rotate(way, burst(rng.randrange(5)) if way != "copytruncate" else b"")
            starts.append(written)
        time.sleep(BURST)
    log.close()
    (folder.parent / f"{name}.written").write_text(json.dumps({"count": written, "starts": starts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5].split(","))
