"""The records of sample files, cut as the agent cuts a file in that format."""

from parsers import get
from shipper.grouping import Framing, GroupFramer


def records_of(name, data):
    """The records of a file in the format `name`, whole file in order; one without an end at the end of it counts."""
    framer = GroupFramer(Framing.of(get(name).format))
    found = framer.feed(data)
    rest = framer.flush()
    return [*found, *rest] if rest else found
