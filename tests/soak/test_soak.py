"""The soak: minutes in the slow tier, hours by `make soak`. What it does stands in stage.py, plan.py and oracle.py."""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.components import absent
from tests.soak.harness import missing, soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 600)
def test_nothing_is_lost_and_nothing_stands_twice_while_everything_fails_at_random():
    if reason := missing():
        absent(reason)
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
    # Not pytest's folder: the sockets of a state folder need short names, and of a failure everything is kept.
    folder = Path(tempfile.mkdtemp(prefix="fieldtrail-soak-"))
    problems, figures = soak(folder, SECONDS, seed)
    for name, value in figures.items():
        print(f"{name}: {value}")
    assert not problems, f"seed {seed}, {SECONDS:g} s, kept in {folder}:\n" + "\n".join(problems)
    shutil.rmtree(folder)
