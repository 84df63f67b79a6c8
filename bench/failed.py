"""How a benchmark ends where it cannot go on."""

from __future__ import annotations


class Failed(Exception):  # noqa: N818 - it is not always an error: a component that is missing is none
    """`code` is the exit code: 64 usage, 69 something needed is not here, 70 a run went wrong."""

    def __init__(self, code: int, cause: str, hint: str) -> None:
        super().__init__(code, cause, hint)  # all of it, so that it goes from one process to another
        self.code, self.cause, self.hint = code, cause, hint


class Refused(Exception):  # noqa: N818 - same reason
    """Fieldtrail refuses the configuration of a piece of work: what it needs is not built yet."""
