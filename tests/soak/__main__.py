"""`python -m tests.soak --seconds 7200 --seed 7`: one soak, its figures on standard output; exit 1 if something is wrong."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.harness import missing, soak
from tests.soak.plan import GAP
from tests.soak.writer import ROTATIONS


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="the agent under every fault, for a while"
    )
    parser.add_argument("--seconds", type=float, default=600, help="default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the plan and the writers; default: a new one, printed"
    )
    parser.add_argument("--rate", type=float, default=200, help="lines a second of each writer (default: %(default)s)")
    parser.add_argument("--rotate", nargs="+", choices=ROTATIONS, default=ROTATIONS, help="ways (default: all)")
    parser.add_argument("--every", nargs=2, type=float, default=GAP, help="seconds between faults (default: 5 20)")
    parser.add_argument("--keep", action="store_true", help="keep the folder even if all is well")
    options = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)
        return 69
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="fieldtrail-soak-"))
    problems = ["it was broken off"]
    try:
        problems, figures = soak(
            folder, options.seconds, seed, rate=options.rate, ways=options.rotate, gap=options.every, say=say
        )
        for name, value in figures.items():
            print(f"{name}: {value}")
    finally:
        for problem in problems:
            print(f"WRONG: {problem}")
        if problems or options.keep:
            print(f"kept: {folder}; again: python -m tests.soak --seconds {options.seconds:g} --seed {seed}")
        else:
            shutil.rmtree(folder)
    print("all is well" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
