"""Exact numbers: from the feed's floats, to the exchange's text, and rounded as balances are."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

#: The smallest part of a balance.
_SMALLEST = Decimal("1E-8")


def exact(value: float) -> Decimal:
    """The decimal number that the exchange writes for a float."""
    return Decimal(repr(float(value)))


def to_money(value: Decimal) -> Decimal:
    """Rounded to the eight decimals of a balance."""
    return value.quantize(_SMALLEST, ROUND_HALF_EVEN)


def text(value: Decimal, places: int) -> str:
    """With so many decimals, or with more where these would lose digits."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return f"{value:.{max(places, -exponent)}f}"


def rounded(value: Decimal, places: int) -> str:
    """With so many decimals, for averages that have no end."""
    return f"{value:.{places}f}"
