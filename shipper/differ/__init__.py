"""Old and new values from sources that tell none: each record is compared with what was last seen of it.

`Differ.see` takes what was read of a record, `Differ.native` what the source recorded itself; both give out records for
the format `snapshot_diff`. What is remembered lies encrypted in the input's ledger (`Snapshots`). Why it does what it
does: docs/explanation/differ.md.
"""

from shipper.differ.diff import ObjectPolicy
from shipper.differ.engine import Differ, Outcome, Seen
from shipper.differ.records import Named
from shipper.differ.snapshots import Snapshots

__all__ = ["Differ", "Named", "ObjectPolicy", "Outcome", "Seen", "Snapshots"]
