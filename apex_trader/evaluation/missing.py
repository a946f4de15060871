"""A figure that cannot be had, with its reason: never a number out of thin air."""

from __future__ import annotations

from dataclasses import dataclass

#: Why most figures are missing.
NOT_ENOUGH = "not enough data"


@dataclass(frozen=True)
class Figure:
    """A number, or None and why there is none."""

    value: float | None
    reason: str = ""

    @classmethod
    def lacking(cls, reason: str, detail: str = "") -> Figure:
        """No number, and why: what is missing, and how much of it there is and should be."""
        return cls(None, f"{reason}: {detail}" if detail else reason)

    def __str__(self) -> str:
        return self.reason if self.value is None else f"{self.value:.4g}"
