"""Actions: what each asks for from each position, and its mirror image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apex_trader.trading.config import ActionSet, Instrument, TradingConfig

SHORT, FLAT, LONG = -1, 0, 1

#: Wanted position by [position + 1][action].
_TARGET = ((SHORT, FLAT, LONG),) * 3
_SELL_BUY = (
    (SHORT, FLAT),  # short: same → hold, opposite → close
    (SHORT, LONG),  # flat: enter
    (FLAT, LONG),  # long: opposite → close, same → hold
)


@dataclass(frozen=True)
class Actions:
    """An action set on an instrument. Actions are indices 0 … size − 1.

    On spot a wanted short position is flat: there is nothing to sell short.
    """

    action_set: ActionSet = "target"
    instrument: Instrument = "perpetual"

    @classmethod
    def of(cls, config: TradingConfig) -> Actions:
        """The actions of a trading configuration."""
        return cls(config.action_set, config.instrument)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each action."""
        return ("short", "flat", "long") if self.action_set == "target" else ("sell", "buy")

    @property
    def size(self) -> int:
        """Number of actions."""
        return len(self.names)

    @cached_property
    def wanted(self) -> NDArray[np.int8]:
        """[3, size]: the position that each action asks for, by position + 1."""
        table = np.array(_TARGET if self.action_set == "target" else _SELL_BUY, np.int8)
        return np.maximum(table, FLAT) if self.instrument == "spot" else table

    @cached_property
    def mirror(self) -> NDArray[np.int64]:
        """[size]: the action that means the same in the market turned upside down."""
        return np.arange(self.size)[::-1].copy()

    def holding(self, position: int) -> int | None:
        """The action that keeps a position; None where every action trades (sell_buy when flat)."""
        kept = np.flatnonzero(self.wanted[position + 1] == position)
        return int(kept[0]) if len(kept) else None
