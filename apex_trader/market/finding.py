"""What a check of a store has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was found. violation: it cannot be right; otherwise a quirk worth knowing.

    place: file, and text names the row. mend: what to do about it, commands where there are such.
    """

    violation: bool
    place: str
    text: str
    mend: str = ""

    def __str__(self) -> str:
        line = f"{'violation' if self.violation else 'warning'}: {self.place}: {self.text}"
        return "\n  mend: ".join([line, *self.mend.splitlines()])
