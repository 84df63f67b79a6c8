"""Which fault begins when: made of a seed alone, so that the same seed gives the same plan on any machine."""

import random
from typing import NamedTuple

GAP = (5.0, 20.0)
"""Seconds between two beginnings."""
FIRST, LAST = 4.0, 6.0
"""Seconds of peace at the beginning, and at the end after the last fault is over."""

KINDS = {
    # kind: (what it takes for itself, shortest, longest, in seconds)
    "agent killed": ({"agent"}, 0, 5),
    "agent restarted": ({"agent"}, 0, 2),
    "agent frozen": ({"agent"}, 2, 8),
    "reload, good": ({"agent"}, 0, 0),
    "reload, bad": ({"agent"}, 0, 0),
    "opensearch killed": ({"search", "search-net"}, 1, 8),
    "opensearch resets": ({"search-net"}, 0, 0),
    "opensearch stalls": ({"search-net"}, 5, 15),
    "opensearch half-open": ({"search-net"}, 2, 8),
    "opensearch black hole": ({"search-net"}, 3, 10),
    "opensearch answer lost": ({"search-net"}, 3, 8),
    "opensearch answer lost, then rollover": ({"search", "search-net"}, 3, 8),
    "opensearch slow": ({"search-net"}, 5, 15),
    "opensearch 429": ({"search"}, 3, 12),
    "opensearch 429 for some": ({"search"}, 3, 12),
    "opensearch 413": ({"search"}, 3, 12),
    "rollover": ({"search"}, 0, 0),
    "relp killed": ({"relp", "relp-net"}, 0.5, 6),
    "relp resets": ({"relp-net"}, 0, 0),
    "relp stalls": ({"relp-net"}, 5, 15),
    "relp half-open": ({"relp-net"}, 2, 8),
    "relp answer lost": ({"relp-net"}, 2, 6),
    "relp drips": ({"relp-net"}, 3, 8),
    "disk full": ({"disk"}, 3, 12),
    "disk EIO on sync": ({"disk"}, 0, 0),
    "disk EIO on write": ({"disk"}, 0, 0),
    "clock forward": ({"clock"}, 3, 15),
    "clock back": ({"clock"}, 3, 15),
}


class Fault(NamedTuple):
    """One fault. `at`, `seconds`: when it begins after the start, how long it lasts; `chance`: 0..1, for its details."""

    at: float
    kind: str
    seconds: float
    chance: float

    def __str__(self):
        return f"{self.at:7.1f} s  {self.kind}" + (f", {self.seconds:.1f} s" if self.seconds else "")


def plan(seed, seconds, gap=GAP):
    """The faults of a soak of so many seconds: every kind once in random order, then all again.

    Faults overlap where they take different things; one that finds its thing taken waits for the next turn.
    """
    rng = random.Random(seed)
    faults, bag = [], []
    taken = {}
    at = FIRST
    while at < seconds - LAST:
        if not bag:
            bag = list(KINDS)
            rng.shuffle(bag)
        for kind in bag:
            things, shortest, longest = KINDS[kind]
            if all(taken.get(thing, 0.0) <= at for thing in things):
                lasting = min(rng.uniform(shortest, longest), max(0.0, seconds - LAST - at))
                faults.append(Fault(round(at, 1), kind, round(lasting, 1), round(rng.random(), 3)))
                taken |= dict.fromkeys(things, at + lasting + 1.0)
                bag.remove(kind)
                break
        at += rng.uniform(*gap)
    return faults
