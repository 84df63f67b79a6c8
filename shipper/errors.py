"""The exceptions: one class per way of handling, not per noun. Each says operation, place, cause and a hint to type.

Expected outcomes (a line nobody understands, a document the SIEM refuses, a server that is down) are values, never
these.
"""

from __future__ import annotations


class FieldtrailError(Exception):
    """Base of all errors that a person sees.

    `op` is what was being done, `place` the file, address or configuration path, `cause` what went wrong, `hint`
    something that can be typed or edited. `exit_code` follows sysexits where the command line ends with it.
    """

    exit_code = 70

    def __init__(self, op: str, place: str, cause: str, hint: str = "") -> None:
        self.op, self.place, self.cause, self.hint = op, place, cause, hint
        super().__init__(f"{op}: {place}: {cause}" if place else f"{op}: {cause}")

    def render(self) -> str:
        """The text for standard error: the error, and the hint on a line of its own."""
        return f"error: {self}" + (f"\nhint: {self.hint}" if self.hint else "")


class UsageError(FieldtrailError):
    """The command line asks for something that makes no sense."""

    exit_code = 64


class UnavailableError(FieldtrailError):
    """A service that was asked directly (not by the agent, which waits) does not answer."""

    exit_code = 69


class DiskError(FieldtrailError):
    """The state folder cannot be written or synced: nothing was acknowledged, the agent stops or pauses."""

    exit_code = 74


class CorruptError(FieldtrailError):
    """Stored bytes are not what was written. Reported with file and offset; never repaired silently."""

    exit_code = 74


class ConfigError(FieldtrailError):
    """The configuration, a key or a state folder cannot be used; `problems` lists all of them with their paths."""

    exit_code = 78

    def __init__(
        self, op: str, place: str, cause: str, hint: str = "", problems: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(op, place, cause, hint)
        self.problems = problems

    def render(self) -> str:
        """As the base, with one `path: problem` line each before the hint."""
        lines = [f"error: {self}", *(f"  {path}: {text}" for path, text in self.problems)]
        return "\n".join(lines) + (f"\nhint: {self.hint}" if self.hint else "")
