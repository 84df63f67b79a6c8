"""Tailing files: every line exactly once, over rotation, truncation, restart. How: docs/explanation/tailing.md."""

from shipper.inputs.file.follow import Loss
from shipper.inputs.file.handles import Problem
from shipper.inputs.file.tail import Cut, FileInput

__all__ = ["Cut", "FileInput", "Loss", "Problem"]
