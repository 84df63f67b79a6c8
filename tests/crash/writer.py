"""An application that writes a log and rotates it, as a process of its own: `python writer.py FOLDER COUNT SEED SECONDS`.

Lines are numbered from 0. `app.log` is written; when it is rotated it becomes `app.log.1`, what was `app.log.1` becomes
`app.log.2`, and so on; nothing is deleted. `plan` says which lines stand in one file together.
"""

import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def plan(count, seed):
    """[first, end) of the lines of each file, oldest first."""
    rng = random.Random(seed)
    parts, first = [], 0
    while first < count:
        end = min(count, first + rng.randrange(count // 12, count // 6))
        parts.append((first, end))
        first = end
    return parts


def rotate(folder):
    """Every name one number on, the oldest first."""
    old = sorted(folder.glob("app.log.*"), key=lambda path: -int(path.suffix[1:]))
    for path in old:
        path.rename(folder / f"app.log.{int(path.suffix[1:]) + 1}")
    (folder / "app.log").rename(folder / "app.log.1")


def main(folder, count, seed, seconds):
    """Write all of it in about so many seconds, in bursts that may end in the middle of a line."""
    from tests.e2e.agent_process import line

    rng = random.Random(seed + 1)
    began = time.monotonic()
    for number, (first, end) in enumerate(plan(count, seed)):
        if number:
            rotate(folder)
        with (folder / "app.log").open("ab", buffering=0) as file:
            at = first
            while at < end:
                burst = min(end - at, rng.randrange(1, max(2, count // 100)))
                data = "".join(line(index) + "\n" for index in range(at, at + burst)).encode()
                cut = rng.randrange(len(data))
                file.write(data[:cut])
                time.sleep(rng.random() * 0.01)
                file.write(data[cut:])
                at += burst
                late = began + seconds * at / count - time.monotonic()
                if late > 0:
                    time.sleep(late)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
