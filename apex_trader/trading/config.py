"""Configuration of the account and of the reward."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from apex_trader.errors import ConfigError
from apex_trader.market.source import MarketInfo
from apex_trader.time import HOUR, MINUTE

Instrument = Literal["perpetual", "spot"]
ActionSet = Literal["target", "sell_buy"]


@dataclass(frozen=True)
class TradingConfig:
    """What is traded and what it costs.

    instrument: "perpetual" (long and short, funding) or "spot" (long and flat only).
    action_set: "target" {short, flat, long}, or "sell_buy", two actions with the rules
        flat → enter, opposite → close, same → hold.
    fee: share of the traded value, per transaction (an entry, an exit; a flip is both).
    slippage_bps: how much worse than the fill price an order trades, in basis points.
    exposure: position value over equity when entering; also the leverage. At most 1 for spot.
    initial_equity: quote currency at the start of an episode.
    lot_size, tick_size, min_notional: the market's rules. None takes them from the market
        (``for_market``); 0 switches a rule off.
    ruin_fraction: equity at or below this share of initial_equity liquidates and terminates.
    funding: whether perpetual positions pay and receive funding.
    trade_allowance: transactions an hour that are free of the frequency penalty; the unit of the
        trade-rate feature.
    rate_half_life, return_half_life: µs, of the decayed trade rate and of the decayed mean and
        deviation of step returns.
    """

    instrument: Instrument = "perpetual"
    action_set: ActionSet = "target"
    fee: float = 0.0002
    slippage_bps: float = 0.0
    exposure: float = 1.0
    initial_equity: float = 10_000.0
    lot_size: float | None = None
    tick_size: float | None = None
    min_notional: float | None = None
    ruin_fraction: float = 0.1
    funding: bool = True
    trade_allowance: float = 12.0
    rate_half_life: int = HOUR
    return_half_life: int = HOUR

    def __post_init__(self) -> None:
        _one_of("trading.instrument", self.instrument, get_args(Instrument))
        _one_of("trading.action_set", self.action_set, get_args(ActionSet))
        _between("trading.fee", self.fee, 0.0, 0.1)
        _between("trading.slippage_bps", self.slippage_bps, 0.0, 1_000.0)
        _above_zero("trading.exposure", self.exposure)
        if self.instrument == "spot" and self.exposure > 1.0:
            raise ConfigError("trading.exposure", self.exposure, "at most 1 for spot")
        _above_zero("trading.initial_equity", self.initial_equity)
        for name in ("lot_size", "tick_size", "min_notional"):
            value = getattr(self, name)
            if value is not None:
                _between(f"trading.{name}", value, 0.0, math.inf)
        if not 0.0 <= self.ruin_fraction < 1.0:
            raise ConfigError("trading.ruin_fraction", self.ruin_fraction, "0 or more, below 1")
        _above_zero("trading.trade_allowance", self.trade_allowance)
        _above_zero("trading.rate_half_life", self.rate_half_life)
        _above_zero("trading.return_half_life", self.return_half_life)

    @property
    def mirrors(self) -> bool:
        """Whether the market turned upside down can be traded: not without short positions."""
        return self.instrument == "perpetual"

    @property
    def round_trip_cost(self) -> float:
        """Share of the position's value that entering and leaving it costs."""
        return 2.0 * (self.fee + self.slippage_bps * 1e-4)

    def for_market(self, info: MarketInfo) -> Self:
        """The same with the market's own rules wherever this names none."""
        rules = ("lot_size", "tick_size", "min_notional")
        missing = {n: getattr(info, n) for n in rules if getattr(self, n) is None}
        return replace(self, **missing)


@dataclass(frozen=True)
class RewardConfig:
    """Weight of each reward term, as a share of equity (0.0001 is a basis point); see docs/rewards.

    Every weight may be 0. The core's is 1: it *is* the log return of the account.

    scale: multiplies the whole reward, so that a learner meets numbers near 1: with 1,000 a
        reward of 1 is a tenth of a percent of equity.
    frequency: per step, times the squared excess of the trade rate over its allowance.
    choppy_factor: how much heavier the frequency term is in the choppiest regime: × (1 + this).
    risk: times the differential Sharpe ratio of the step.
    duration: at each closing trade, times (factor of the holding time − 1).
    duration_edges: µs, upper ends of the holding times that the factors belong to.
    duration_factors: one more than edges; above 1 rewards, below 1 punishes.
    pivot_bonus: when a pivot is confirmed and the position had been on its right side.
    pivot_level_weights: of pivots of levels 2, 3, 4, 5.
    pivot_potential: Φ = this × position × confirmed trend. Added when a batch is gathered.
    cnn_potential: Φ = this × position × mean of direction × confidence. Likewise.
    """

    scale: float = 1_000.0
    core: float = 1.0
    frequency: float = 2e-6
    choppy_factor: float = 1.0
    risk: float = 1e-5
    duration: float = 2e-5
    duration_edges: tuple[int, ...] = (5 * MINUTE, 30 * MINUTE, HOUR)
    duration_factors: tuple[float, ...] = (0.8, 1.2, 1.0, 0.7)
    pivot_bonus: float = 1e-5
    pivot_level_weights: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)
    pivot_potential: float = 2e-5
    cnn_potential: float = 2e-5

    def __post_init__(self) -> None:
        _above_zero("reward.scale", self.scale)
        for name in ("core", "frequency", "choppy_factor", "risk", "duration", "pivot_bonus",
                     "pivot_potential", "cnn_potential"):  # fmt: skip
            _between(f"reward.{name}", getattr(self, name), 0.0, math.inf)
        edges = self.duration_edges
        if any(a >= b for a, b in zip((0, *edges), edges, strict=False)):
            raise ConfigError("reward.duration_edges", edges, "rising, above 0 (microseconds)")
        if len(self.duration_factors) != len(edges) + 1:
            raise ConfigError(
                "reward.duration_factors", self.duration_factors, f"{len(edges) + 1} numbers"
            )
        if len(self.pivot_level_weights) != 4:
            raise ConfigError(
                "reward.pivot_level_weights", self.pivot_level_weights, "levels 2 to 5: 4 numbers"
            )
        for name in ("duration_factors", "pivot_level_weights"):
            for value in getattr(self, name):
                _between(f"reward.{name}", value, 0.0, math.inf)


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(field, value, "one of " + ", ".join(allowed))


def _between(field: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        allowed = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
        raise ConfigError(field, value, allowed)


def _above_zero(field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise ConfigError(field, value, "above 0")
