"""What must hold, as figures with their limits. A gate whose figure could not be had counts as not met."""

from __future__ import annotations

from typing import Any, NamedTuple


class Gate(NamedTuple):
    """One thing that must hold."""

    work: str
    what: str
    figure: float | None
    """None: not to be had, see `why`."""
    limit: float
    least: bool
    """Whether the figure must be at least the limit; else it must stay below it."""
    unit: str = ""
    why: str = ""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        if self.figure is None:
            return False
        return self.figure >= self.limit if self.least else self.figure < self.limit

    def line(self) -> str:
        """One line for people."""
        had = f"{self.figure:,.2f}{self.unit}" if self.figure is not None else f"not measured: {self.why}"
        limit = f"{'at least' if self.least else 'below'} {self.limit:,g}{self.unit}"
        return f"{'met    ' if self.met else 'NOT met'}  {self.work:9}{self.what:60}{limit:>20}  {had}"

    def told(self) -> dict[str, Any]:
        """The same for `--json`."""
        return {**self._asdict(), "met": self.met}
