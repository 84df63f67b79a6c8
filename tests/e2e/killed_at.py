"""Run a command of Python that kills itself at a step: `killed_at.py STEP COUNT PYTHON -m MODULE WORDS…`.

The process gets SIGKILL in the middle of the COUNT-th time that the step is done, as a power cut would have it.

    page       a page of an API is in the ledger, uncommitted: what it means is being written
    written    a page is in the ledger, committed, and not given to the pipeline
    framed     the frame with it is durable, and the input was not told
    hinted     a hook's hint is durable, and the hook was not answered
    answering  a webhook's record is durable, and the hook was not answered
"""

import os
import runpy
import signal
import sys

STEP, LEFT = sys.argv[1], [int(sys.argv[2])]


def _die(*, before):
    """A wrapper that ends the process before, or after, what it wraps is done for the last time."""

    def wrap(work):
        def done(*args, **kwargs):
            LEFT[0] -= 1
            if before and LEFT[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*args, **kwargs)
            if LEFT[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return done

    return wrap


def _arm():
    from shipper.inputs._ledger import Transaction
    from shipper.inputs.poll.input import PollInput
    from shipper.inputs.poll.keeping import Keeping
    from shipper.inputs.webhook.input import WebhookInput

    before, after = _die(before=True), _die(before=False)
    if STEP == "page":
        Transaction.put = after(Transaction.put)
    elif STEP == "written":
        Keeping._give = before(Keeping._give)
    elif STEP == "framed":
        PollInput.kept = before(PollInput.kept)
    elif STEP == "hinted":
        PollInput.hints = after(PollInput.hints)
    else:
        assert STEP == "answering"
        WebhookInput.kept = before(WebhookInput.kept)


if __name__ == "__main__":
    assert sys.argv[4] == "-m"
    _arm()
    sys.argv[:] = [sys.argv[5], *sys.argv[6:]]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
