"""What all sections of the configuration are made of: durations, sizes, names, addresses, and their base."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def stays_here(url: str) -> bool:
    """Whether a URL is one of this machine, as far as its text tells."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def seconds(text: str) -> float:
    """A duration such as `60s`, `5m` or `7d` in seconds; `ValueError` with an example otherwise."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)", text.strip())
    if not match:
        raise ValueError("not a duration; write for example 500ms, 60s, 5m, 12h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def _seconds(value: Any) -> Any:
    return seconds(value) if isinstance(value, str) else value


def _within(longest: float, text: str) -> Callable[[float], float]:
    def check(value: float) -> float:
        if value > longest:
            raise ValueError(f"longer than {text}")
        return value

    return check


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", value.strip())
        if not match or match[2].lower() not in _SIZES:
            raise ValueError("not a size; write for example 512KiB, 64MiB or 2GB")
        size = float(match[1]) * _SIZES[match[2].lower()]
        if math.isinf(size):
            raise ValueError("larger than any size")
        return int(size)
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0, allow_inf_nan=False),
    AfterValidator(_within(100 * 365.25 * 86400, "100 years")),
]
"""A duration: `60s`, `5m`, `7d`, or a number of seconds. Clocks and locks take no more than some 290 years."""
Patience = Annotated[Seconds, AfterValidator(_within(86400.0, "a day"))]
"""How long a socket is waited for: poll(2) takes no more than 24 days."""
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
"""A size: `64MiB`, `2GB`, or a number of bytes."""
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Model(BaseModel):
    """Base of all sections: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
