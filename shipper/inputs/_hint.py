"""What a hook says of an object, and the poll input that is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Hint:
    """An object that changed, for the poll input that reads it.

    `object_type` and `object_id` as the source names them. `snapshot`: the object as JSON, where the hook carries the
    whole of it. `time`: s since the epoch, where the source says when it changed.
    """

    kind: Literal["changed", "deleted"]
    object_type: str
    object_id: str
    snapshot: bytes | None = None
    time: float | None = None


class Feeder(Protocol):
    """A poll input that is told what to look at. For any thread."""

    def takes(self, object_type: str) -> bool:
        """Whether it looks at objects of a type when it is told of them."""

    def hints(self, told: Sequence[tuple[Hint, str | None]]) -> None:
        """Remember hints, each with the id of its delivery, durably before it returns. Raises `FieldtrailError`."""
