"""Arrays of one length, side by side."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Self

import numpy as np


class Columns:
    """A dataclass whose fields are arrays with one row an item."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """All the parts' items, in order; at least one part."""
        names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        columns: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
        return cls(**columns)
