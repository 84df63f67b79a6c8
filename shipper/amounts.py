"""Amounts for people: bytes and durations."""

from __future__ import annotations


def size(octets: float) -> str:
    """Bytes for people: `0 B`, `12.3 kB`, `1.2 GB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= length:
            return f"{octets / length:,.1f} {unit}"
    return f"{octets:.0f} B"


def span(seconds: float) -> str:
    """A duration for people: `0.3 s`, `42 s`, `12 min`, `3 h 12 min`, `4 d 3 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
