"""Numbers as the exchange writes them: exact decimal text that reads back as the same float64."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from apex_trader.market.types import F64


def decimal_texts(values: F64, places: int) -> list[str]:
    """Each value with ``places`` decimals, or with more where these would lose digits."""
    if len(values) == 0:
        return []
    texts: list[str] = np.char.mod(f"%.{places}f", values).tolist()
    wrong = np.flatnonzero(np.array(texts, np.float64) != values)
    for row in wrong.tolist():
        texts[row] = format(Decimal(repr(float(values[row]))), "f")
    return texts


def decimal_text(value: float, places: int) -> str:
    """See ``decimal_texts``."""
    return decimal_texts(np.array([value], np.float64), places)[0]


def places_of(step: float) -> int:
    """Decimals that a step such as 0.01 has."""
    exponent = Decimal(repr(float(step))).normalize().as_tuple().exponent
    return max(0, -int(exponent))
