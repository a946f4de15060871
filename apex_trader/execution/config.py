"""Configuration of trading on a live market, and of the limits that are always on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from apex_trader.errors import ConfigError

Mode = Literal["paper", "testnet", "live"]
Lateness = Literal["measured", "none"]


@dataclass(frozen=True)
class TradeConfig:
    """Trading on a live market (``python -m apex_trader.trade run=DIR``).

    mode: "paper" fills orders against the live trades, with fee, latency and slippage as the
        simulator does; "testnet" and "live" send them to the exchange.
    confirm_live: must be true with mode=live, where real money is at stake.
    lateness: "measured": a decision that took longer than execution.latency trades from when it was
        taken, and one that took longer than the order may wait is not sent. "none": paper orders
        alone, as if no time passed; for a market that is replayed faster than it was.
    flatten: whether a STOP file, a signal or the end of the stream closes the position before the
        run halts; otherwise it is left open.
    equity: quote currency that a new run begins with; null: trading.initial_equity on paper, all
        that the account has elsewhere.
    answer_within: seconds to wait for an exchange's answer to one request about an order.
    journal_rows: decisions in one Parquet file of the journal; those since are kept in a file that
        is safe after each.
    learn: whether a learner beside the trader goes on with the run's training on what is heard, and
        new weights replace those in use once they did better on parts that they had not learned
        from.
    judge_parts: sealed parts (rollout.seal_every) on which new weights are judged.
    judge_margin: standard errors of the paired differences, part by part, by which they must have
        earned more.
    """

    mode: Mode = "paper"
    confirm_live: bool = False
    lateness: Lateness = "measured"
    flatten: bool = True
    equity: float | None = None
    answer_within: float = 2.0
    journal_rows: int = 360
    learn: bool = False
    judge_parts: int = 6
    judge_margin: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ConfigError("trade.mode", self.mode, "one of " + ", ".join(get_args(Mode)))
        if self.mode == "live" and not self.confirm_live:
            raise ConfigError(
                "trade.mode", self.mode,
                "paper or testnet; real money needs trade.confirm_live=true beside it",
            )  # fmt: skip
        if self.lateness == "none" and self.mode != "paper":
            raise ConfigError(
                "trade.lateness", self.lateness, "measured where orders go to an exchange"
            )
        for name in ("equity", "answer_within"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ConfigError(f"trade.{name}", value, "above 0")
        if self.journal_rows < 1:
            raise ConfigError("trade.journal_rows", self.journal_rows, "1 or more")
        if self.judge_parts < 2:
            raise ConfigError("trade.judge_parts", self.judge_parts, "2 or more: they are compared")
        if not (math.isfinite(self.judge_margin) and self.judge_margin >= 0.0):
            raise ConfigError("trade.judge_margin", self.judge_margin, "0 or more")


@dataclass(frozen=True)
class RiskConfig:
    """Limits that are always on; what reduces risk is never refused.

    max_position: value of the position, in multiples of the account's equity.
    max_order: value of one order likewise; a flip counts with both halves.
    orders_per_minute: orders in any 60 s.
    daily_loss: share of the equity at the start of the UTC day that may be lost; then the position
        is closed, and nothing is opened until the next day.
    drawdown: share of the highest equity that may be lost; then the position is closed and the run
        halts.
    stale_after: seconds from the end of the newest closed second to now, beyond which no risk is
        added.
    max_skew: seconds by which this machine's clock and the exchange's may differ likewise.
    max_clipped: share of the state's features at the edge of their range (±5), beyond which it is
        unlike what the agent was trained on and no risk is added.
    """

    max_position: float = 1.5
    max_order: float = 3.0
    orders_per_minute: int = 12
    daily_loss: float = 0.05
    drawdown: float = 0.2
    stale_after: float = 5.0
    max_skew: float = 1.0
    max_clipped: float = 0.05

    def __post_init__(self) -> None:
        for name in ("max_position", "max_order", "stale_after", "max_skew"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ConfigError(f"risk.{name}", value, "above 0, and finite: it is always on")
        if self.orders_per_minute < 1:
            raise ConfigError("risk.orders_per_minute", self.orders_per_minute, "1 or more")
        for name in ("daily_loss", "drawdown", "max_clipped"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise ConfigError(f"risk.{name}", value, "a share above 0, below 1")
