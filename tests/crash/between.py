"""An agent that is killed after a refusal is on disk and before the leaf that says so is: `python between.py CONFIG`.

What its outputs ask for waits until each had time to save its cursor, and then the process kills itself.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shipper.agent import Agent
from shipper.cli import main
from shipper.delivery import SAVE_EVERY

asked = []


def wait(agent):
    """In the place of `Agent._serve_requests`: nothing is served."""
    if not agent._requests.empty():
        asked.append(time.monotonic())
        if time.monotonic() - asked[0] > 2 * SAVE_EVERY:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Agent._serve_requests = wait
    main(["run", "-c", sys.argv[1]])
