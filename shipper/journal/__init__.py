"""The journal: the durable spool and the signed log, one thing. A frame is kept when its one sync has returned.

`format` is the codec, `writer` appends, `reader` reads what is published, `start` takes the journal up after a crash,
`recovery` checks, repairs and reads it from outside.
"""

from __future__ import annotations

from shipper.journal.format import Frame
from shipper.journal.reader import Damage, Gap, Reader
from shipper.journal.recovery import Report, check, iterate, repair
from shipper.journal.start import Recovery
from shipper.journal.writer import Journal, JournalError

__all__ = [
    "Damage",
    "Frame",
    "Gap",
    "Journal",
    "JournalError",
    "Reader",
    "Recovery",
    "Report",
    "check",
    "iterate",
    "repair",
]
