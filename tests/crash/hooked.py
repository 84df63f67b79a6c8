"""An agent that kills itself at one step of a webhook's request: `python hooked.py CONFIG STEP`.

Steps, in their order: `taken` (before anything is written), `written` (its id is in the ledger), `sealed` (its frame is
made), `kept` (the frame is durable, nobody knows), `told` (the answer is about to be sent).
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shipper.cli import main
from shipper.inputs.webhook._entries import Entries
from shipper.inputs.webhook._listener import Listener
from shipper.inputs.webhook.input import WebhookInput
from shipper.keeper import Keeper

STEPS = ("taken", "written", "sealed", "kept", "told")


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def arm(step):
    group, give, write = Entries.group, Entries.give, Keeper._write
    if step == "taken":
        Entries.group = lambda self: die() if self._can_group() else group(self)
    elif step == "written":
        Entries.give = lambda self, budget: die() if self._ready else give(self, budget)
    elif step == "sealed":
        Keeper._write = lambda self, frame: die() if frame.meta["positions"] else write(self, frame)
    elif step == "kept":
        WebhookInput.kept = die
    else:
        Listener.post = lambda self, entries, kept: die() if kept and entries else None


if __name__ == "__main__":
    arm(sys.argv[2])
    main(["run", "-c", sys.argv[1]])
