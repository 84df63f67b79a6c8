"""The agent with every sync left out: what a power cut must be seen to break. `python unsynced.py PYTHON -m shipper …`."""

import os
import runpy
import sys

os.fsync = os.fdatasync = lambda _handle: None
sys.argv = sys.argv[3:]
runpy.run_module("shipper", run_name="__main__", alter_sys=True)
