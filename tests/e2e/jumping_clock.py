"""Run a command of Python with a wall clock that is wrong: `jumping_clock.py OFFSETS PYTHON -m MODULE WORDS…`.

OFFSETS is a file with the seconds by which the clock is wrong now; who writes it anew lets the clock jump. Monotonic
time goes on as it does.
"""

import runpy
import sys
import time
from pathlib import Path

_OFFSETS = Path(sys.argv[1])
_RIGHT = time.time


def _now():
    return _RIGHT() + float(_OFFSETS.read_text() or 0)


if __name__ == "__main__":
    assert sys.argv[3] == "-m"
    time.time = _now
    time.time_ns = lambda: int(_now() * 1e9)
    sys.argv[:] = [sys.argv[4], *sys.argv[5:]]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
